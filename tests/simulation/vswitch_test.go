// Package simulation holds the simulated node to the real parts.
package simulation

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
	parser "github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/vswitch"
	"github.com/corkline/corkline/tests/ovs/lab"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// node is a switch with the collectors that an agent would have.
type node struct {
	t        testing.TB
	s        *vswitch.Switch
	options  simulation.Options
	unixctl  unixctl.Client
	now      time.Time
	ovs      *ovs.Collector
	table    *conntrack.Collector
	registry *prometheus.Registry
}

func newNode(t testing.TB, mode vswitch.Mode) *node {
	t.Helper()
	if err := lab.Install(t.Context(), map[string]string{"ovs-vswitchd": "openvswitch-switch"}); err != nil {
		t.Fatal(err)
	}
	s, err := vswitch.Start(t.Context(), vswitch.Options{Mode: mode, Seed: 7, Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(s.Dir + "/ovs-vswitchd.log") // there or not
			t.Logf("ovs-vswitchd.log:\n%s", text[max(0, len(text)-4000):])
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, s: s, options: simulation.Options{Seed: 7, Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, registry: prometheus.NewRegistry()}
	now := func() time.Time { return n.now }
	n.ovs = ovs.New(ovs.Options{RunDir: s.Dir, Now: now})
	t.Cleanup(n.ovs.Close)
	path, err := unixctl.Find(t.Context(), "ovs-vswitchd", s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	n.unixctl.Path = path
	n.table = conntrack.New(conntrack.Options{Datapath: &conntrack.Datapath{Daemon: n.unixctl}, Interval: 15 * time.Second, Now: now, Names: conntrack.Names{}})
	n.registry.MustRegister(n.ovs, n.table)
	return n
}

// second brings switch and clock to a second.
func (n *node) second(second int) {
	n.t.Helper()
	m := n.options.At(second)
	if err := n.s.Second(n.t.Context(), m); err != nil {
		n.t.Fatal(err)
	}
	n.now = m.Time.Add(time.Second)
}

func (n *node) poll() {
	n.t.Helper()
	for range 2 { // the first look may have begun before the last packets came
		if n.s.Mode != vswitch.Real {
			break
		}
		// Flows count what the datapath's have counted once those are looked at.
		if _, err := n.unixctl.Call(n.t.Context(), "revalidator/wait"); err != nil {
			n.t.Fatal(err)
		}
	}
	if err := n.ovs.PollAll(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	if err := n.table.Poll(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// metrics by name and labels.
func (n *node) metrics() map[string]float64 {
	n.t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// flows of the bridge as the client prints them, without what is of time.
func (n *node) flows() map[string]string {
	n.t.Helper()
	client, err := openflow.Dial(n.t.Context(), filepath.Join(n.s.Dir, "br-int.mgmt"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer client.Close()
	all := map[string]string{}
	var parsed parser.Flow
	err = client.Flows(n.t.Context(), openflow.FlowFilter{Table: openflow.AllTables}, func(f *openflow.Flow) error {
		if err := parsed.Parse(f.AppendText(nil, nil)); err != nil {
			return err
		}
		var match []string
		for name, value := range parsed.MatchFields() {
			match = append(match, string(name)+"="+string(value))
		}
		slices.Sort(match)
		key := fmt.Sprintf("%d %d %s", f.Table, f.Priority, strings.Join(match, ","))
		all[key] = fmt.Sprintf("%#x %d packets %d bytes %s", uint64(f.Cookie), f.Packets.Value, f.Bytes.Value, parsed.Actions)
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return all
}

// The emulation counts what the real switch counts, flow by flow, and has the
// same connections in the same states, until the table is full: then it depends
// on when the real one lets entries go.
func TestVSwitch_EmulatedIsAsReal(t *testing.T) {
	t.Parallel()
	f := func(from, to int, stories ...simulation.Story) {
		t.Helper()
		actual, emulated := newNode(t, vswitch.Real), newNode(t, vswitch.Emulated)
		if !strings.HasPrefix(actual.s.Describe(), "real: Open vSwitch ") || !strings.HasPrefix(emulated.s.Describe(), "emulated") {
			t.Errorf("they are %q and %q", actual.s.Describe(), emulated.s.Describe())
		}
		for _, n := range []*node{actual, emulated} {
			n.options.Stories = stories
			for second := from; second < to; second++ {
				if n.second(second); second%10 == 9 {
					n.poll()
				}
			}
		}
		compare(t, actual.metrics(), emulated.metrics())
		if diff := cmp.Diff(actual.flows(), emulated.flows()); diff != "" {
			t.Errorf("%v: flows of the emulation differ (-real +emulated):\n%s", stories, diff)
		}
	}
	f(0, 140, simulation.Scaling, simulation.Rejected, simulation.DefaultDeny)
	f(90, 140, simulation.SYNFlood)
	f(580, 630, simulation.ConnectionLeak)
}

// compare metrics, without what the emulation only resembles.
func compare(t *testing.T, want, got map[string]float64) {
	t.Helper()
	near := func(name string, share float64) {
		t.Helper()
		if math.Abs(want[name]-got[name]) > share*want[name] {
			t.Errorf("%s is %g, emulated %g", name, want[name], got[name])
		}
	}
	near("corkline_conntrack_entries{}", 0.1) // those that have expired are not gone at once
	near("corkline_ovs_datapath_hits_total{datapath=netdev@ovs-netdev}", 0.1)
	for _, all := range []map[string]float64{want, got} {
		maps.DeleteFunc(all, func(name string, value float64) bool {
			for _, prefix := range []string{"coverage", "datapath", "upcall", "memory", "conntrack_connections"} {
				if strings.HasPrefix(name, "corkline_ovs_"+prefix) {
					return true
				}
			}
			return value == 0 || name == "corkline_conntrack_entries{}"
		})
	}
	if len(want) < 200 {
		t.Errorf("there are %d series", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics of the emulation differ (-real +emulated):\n%s", diff)
	}
}

// A flood fills the table of a real switch, and it drains.
func TestVSwitch_RealStories(t *testing.T) {
	t.Parallel()
	n := newNode(t, vswitch.Real)
	n.options.Stories = []simulation.Story{simulation.SYNFlood, simulation.Rejected, simulation.DefaultDeny}
	before := map[string]float64{}
	for second := 90; second < 300; second++ {
		n.second(second)
		if second%15 != 14 {
			continue
		}
		n.poll()
		now := n.metrics()
		for name, value := range now {
			if strings.HasPrefix(name, "corkline_ovs_invariant_broken") {
				t.Errorf("second %d: broken is %s", second, name)
			}
			if strings.Contains(name, "_total{") && value < before[name] {
				t.Errorf("second %d: %s went from %g back to %g", second, name, before[name], value)
			}
		}
		before = now
		switch full := now["corkline_conntrack_entries{}"]; {
		case second == 104 && (full < 100 || full > 2000), second == 194 && full < 19_900, second == 299 && full > 3000:
			t.Errorf("second %d: %g entries", second, full)
		}
		if flood := now["corkline_conntrack_floods{kind=flood}"]; second == 104 && flood != 0 || second == 134 && flood != 1 || second == 299 && flood != 0 {
			t.Errorf("second %d: %g floods", second, flood)
		}
	}
	for _, reason := range []string{
		"spoof_guard,table=SpoofGuard", "arp_spoof_guard,table=ARPSpoofGuard", "invalid_conntrack,table=ConntrackState", "policy_drop,table=EgressMetric",
		"policy_reject,table=IngressMetric", "default_deny_ingress,table=IngressDefaultRule", "default_deny_egress,table=EgressDefaultRule",
		"no_endpoints,table=EndpointDNAT", "ttl,table=L3DecTTL", "table_miss,table=PipelineRootClassifier",
	} {
		if before["corkline_ovs_dropped_packets_total{bridge=br-int,reason="+reason+"}"] == 0 {
			t.Errorf("nothing was dropped for %s", reason)
		}
	}
	if before["corkline_ovs_coverage_total{event=conntrack_full}"] == 0 {
		t.Error("the table was never too full for a connection")
	}
}

// What happens when the daemon dies is an error, not a wait; nothing runs on
// after Close.
func TestVSwitch_RealEnds(t *testing.T) {
	t.Parallel()
	n := newNode(t, vswitch.Real)
	n.second(0)
	text, err := os.ReadFile(filepath.Join(n.s.Dir, "ovs-vswitchd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := n.s.Second(t.Context(), n.options.At(1)); err == nil || !strings.Contains(err.Error(), "ovs-vswitchd has ended") {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	if err := n.s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(n.s.Dir); err == nil {
		t.Error("the folder is left")
	}
}
