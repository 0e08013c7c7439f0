package collector

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers/ovs"
)

// agent is the built binary that reads a switch and its node's policy log.
type agent struct {
	t   *testing.T
	url string
	log string // of network policies
}

func startAgent(t *testing.T, b *bench) *agent {
	t.Helper()
	binary := build(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := &agent{t, "http://" + address, filepath.Join(dir, "np.log")}
	config := fmt.Sprintf(`listen: %s
state_dir: %s
poll_interval: 50ms
sources: [{definition: antrea-networkpolicy, files: [%s]}]
collectors: {conntrack: {enabled: false}, ovs: {run_dir: %s, bridges: [br-int], interval: 1s, full_interval: 1s}}
`, address, filepath.Join(dir, "state"), a.log, b.Dir)
	path := filepath.Join(dir, "corkline.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), binary, "agent", "--config", path)
	var said strings.Builder
	c.Stderr = &said
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Wait() // the test's context has ended
		if t.Failed() {
			t.Logf("the agent said:\n%s", said.String())
		}
	})
	return a
}

// exposes waits for lines of the exposition.
func (a *agent) exposes(lines ...string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 30*time.Second)
	defer cancel()
	for {
		text := a.metrics(ctx)
		missing := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(text, line+"\n") })
		if len(missing) == 0 {
			return
		}
		timer := time.NewTimer(200 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			var own []string
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "corkline_ovs_dropped") || strings.HasPrefix(line, "corkline_ovs_up") || strings.HasPrefix(line, "corkline_ovs_rule") || strings.HasPrefix(line, "corkline_ovs_e") {
					own = append(own, line)
				}
			}
			a.t.Fatalf("missing: %q in\n%s", missing, strings.Join(own, ""))
		case <-timer.C:
		}
	}
}

func (a *agent) metrics(ctx context.Context) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/metrics", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request) //nolint:forbidigo // of a test
	if err != nil {
		return "" // not there yet
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return ""
	}
	return string(body)
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
