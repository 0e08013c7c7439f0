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

func TestX(t *testing.T) {
	n := newNode(t, vswitch.Real)
	t.Log(n.s.Describe())
	for second := range 160 {
		n.second(second)
		if second%10 == 9 {
			n.poll()
			m := n.metrics()
			t.Log(second, n.now.Format("04:05"), m["corkline_conntrack_entries{}"], m["corkline_conntrack_floods{kind=flood}"], m["corkline_conntrack_forecast_full_seconds{}"])
			for k, v := range m {
				if strings.HasPrefix(k, "corkline_ovs_invariant_broken") {
					t.Error(k, v)
				}
			}
		}
	}
	for k, v := range n.metrics() {
		if strings.Contains(k, "corkline_ovs_drop") || strings.Contains(k, "corkline_ovs_rule_pa") || strings.HasPrefix(k, "corkline_conntrack") || strings.Contains(k, "ovs_bridge") || strings.Contains(k, "pods_checked") {
			t.Log(k, v)
		}
	}
}
