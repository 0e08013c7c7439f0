package collector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/tests/rig"
)

// agent is the built binary that reads a switch and its node's policy log.
type agent struct {
	*rig.Agent
	t   *testing.T
	log string // of network policies
}

func startAgent(t *testing.T, b *bench) *agent {
	t.Helper()
	dir := t.TempDir()
	a := &agent{shared.Agent(t, filepath.Join(dir, "corkline.yaml")), t, filepath.Join(dir, "np.log")}
	config := fmt.Sprintf(`listen: 127.0.0.1:0
state_dir: %s
poll_interval: 50ms
sources: [{definition: antrea-networkpolicy, files: [%s]}]
collectors: {conntrack: {enabled: false}, ovs: {run_dir: %s, bridges: [br-int], interval: 1s, full_interval: 1s}}
`, filepath.Join(dir, "state"), a.log, b.Dir)
	if err := os.WriteFile(a.Config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Start()
	return a
}

// exposes waits for lines of the exposition.
func (a *agent) exposes(lines ...string) {
	a.t.Helper()
	rig.Eventually(a.t, "lines of the exposition", func(ctx context.Context) error {
		all, err := a.Metrics(ctx)
		if err != nil {
			return err
		}
		var wrong []string
		for _, line := range lines {
			at := strings.LastIndexByte(line, ' ')
			if got, is := all[line[:at]]; !is || strconv.FormatFloat(got, 'f', -1, 64) != line[at+1:] {
				wrong = append(wrong, fmt.Sprintf("%s, is %v (%t)", line, got, is))
			}
		}
		if len(wrong) > 0 {
			return errors.New(strings.Join(wrong, "\n"))
		}
		return nil
	})
}

// The whole way: the switch, the agent, what Prometheus is told.
func TestAgent(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	a := startAgent(t, b)
	a.exposes(`corkline_ovs_up{bridge="br-int"} 1`, `corkline_ovs_bridge_info{bridge="br-int",openflow="1.5",pipeline="1.7"} 1`,
		`corkline_ovs_dropped_packets_total{bridge="br-int",reason="policy_drop",table="EgressMetric"} 0`,
		`corkline_ovs_round{bridge="br-int"} 7`, `corkline_collector_up{collector="ovs"} 1`)

	b.send(web.interface_, udp(web, db.ip, 5005), 4)
	b.spoof(3)
	a.exposes(`corkline_ovs_dropped_packets_total{bridge="br-int",reason="policy_drop",table="EgressMetric"} 4`,
		`corkline_ovs_dropped_packets_total{bridge="br-int",reason="spoof_guard",table="SpoofGuard"} 3`,
		`corkline_ovs_rule_packets_total{action="Drop",bridge="br-int",policy="",priority="14500",rule="",table="AntreaPolicyEgressRule"} 4`)
	a.sameAsTools(b)
	a.exposes(`corkline_ovs_port_received_packets_total{bridge="br-int",namespace="shop",pod="web-1",port="web-1-1a2b3c",type="pod"} 7`,
		`corkline_ovs_port_received_packets_total{bridge="br-int",namespace="",pod="",port="tunnel",type="tunnel"} 0`)

	// The policy log names the rule.
	line := time.Now().UTC().Format("2006/01/02 15:04:05.000000") + " AntreaPolicyEgressRule AntreaClusterNetworkPolicy:acnp no dns Egress Drop 14500 shop/web-1 192.0.2.1 40000 192.0.2.2 5005 UDP 28 <nil>\n"
	if err := os.WriteFile(a.log, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	a.exposes(`corkline_networkpolicy_log_lines_total{action="Drop"} 1`)
	b.send(web.interface_, udp(web, db.ip, 5005), 5)
	a.exposes(`corkline_ovs_rule_packets_total{action="Drop",bridge="br-int",policy="AntreaClusterNetworkPolicy:acnp",priority="14500",rule="no dns",table="AntreaPolicyEgressRule"} 5`,
		`corkline_ovs_rule_packets_total{action="Drop",bridge="br-int",policy="",priority="14500",rule="",table="AntreaPolicyEgressRule"} 4`)

	// A pod's guard is gone.
	b.Ofctl("-O", "OpenFlow15", "--strict", "del-flows", b.Bridge, fmt.Sprintf("table=%d,priority=200,ip,in_port=1,dl_src=%s,nw_src=%s", number("SpoofGuard"), web.mac, web.ip))
	a.exposes(`corkline_ovs_invariant_broken{bridge="br-int",invariant="spoof_guard",namespace="shop",pod="web-1",table="SpoofGuard"} 1`,
		`corkline_ovs_events_total{event="invariant_broken"} 1`, `corkline_pipeline_lines_unparsed_total{source="ovs-events"} 0`)

	b.KillForwarder()
	a.exposes(`corkline_ovs_up{bridge="br-int"} 0`, `corkline_ovs_events_total{event="bridge_down"} 1`,
		`corkline_ovs_dropped_packets_total{bridge="br-int",reason="policy_drop",table="EgressMetric"} 9`)
	b.StartForwarder()
	a.exposes(`corkline_ovs_up{bridge="br-int"} 1`, `corkline_ovs_restarts_total 1`,
		`corkline_ovs_dropped_packets_total{bridge="br-int",reason="policy_drop",table="EgressMetric"} 9`)
}

// sameAsTools compares tables with what the switch's tools print.
func (a *agent) sameAsTools(b *bench) {
	a.t.Helper()
	var want []string
	lines := strings.SplitSeq(b.Ofctl("-O", "OpenFlow15", "--names", "dump-tables", b.Bridge), "\n")
	for s, err := range ovs.Tables(func(yield func([]byte) bool) {
		for line := range lines {
			if !yield([]byte(line)) {
				return
			}
		}
	}) {
		if err != nil {
			a.t.Fatal(err)
		}
		if s.ID >= len(tables()) {
			continue
		}
		s.Name = tables()[s.ID] // those like the one before are folded, without their names
		for name, n := range map[string]uint64{"table_flows": uint64(s.Active), "table_lookups_total": s.Lookups, "table_matches_total": s.Matched} {
			want = append(want, fmt.Sprintf(`corkline_ovs_%s{bridge="br-int",table="%s"} %d`, name, s.Name, n))
		}
	}
	if len(want) != 3*len(tables()) {
		a.t.Fatalf("%d values of tables", len(want))
	}
	a.exposes(want...)
}
