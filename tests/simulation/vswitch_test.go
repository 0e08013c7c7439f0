// Package simulation holds the simulated node to the real parts.
package simulation

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
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
	n.table = conntrack.New(conntrack.Options{Datapath: &conntrack.Datapath{Daemon: unixctl.Client{Path: path}}, Interval: 15 * time.Second, Now: now, Names: conntrack.Names{}})
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

// The emulation counts what the real switch counts, flow by flow, as the
// collectors show it.
func TestVSwitch_EmulatedIsAsReal(t *testing.T) {
	real, emulated := newNode(t, vswitch.Real), newNode(t, vswitch.Emulated)
	for second := range 110 {
		real.second(second)
		emulated.second(second)
		if second%10 != 9 {
			continue
		}
		real.poll()
		emulated.poll()
	}
	want, got := real.metrics(), emulated.metrics()
	for _, all := range []map[string]float64{want, got} {
		for name, value := range all {
			if value == 0 {
				delete(all, name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the emulation differs (-real +emulated):\n%s", diff)
	}
}
