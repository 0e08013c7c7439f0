package vswitch_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/vswitch"
	"github.com/prometheus/client_golang/prometheus"
)

// node is an emulated switch with the collectors that an agent would have.
type node struct {
	t         testing.TB
	s         *vswitch.Switch
	options   simulation.Options
	now       time.Time
	ovs       *ovs.Collector
	conntrack *conntrack.Collector
	registry  *prometheus.Registry
	before    map[string]float64 // counters of the last poll
}

func newNode(t testing.TB, stories []simulation.Story) *node {
	t.Helper()
	s, err := vswitch.Start(t.Context(), vswitch.Options{Mode: vswitch.Emulated, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &node{t: t, s: s, options: simulation.Options{Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Stories: stories}, registry: prometheus.NewPedanticRegistry()}
	now := func() time.Time { return n.now }
	names := conntrack.Names{}
	for _, p := range n.options.At(0).Pods() {
		names[netip.PrefixFrom(p.Address, 32)] = conntrack.Owner{Namespace: simulation.Namespace, Pod: p.Name}
	}
	n.ovs = ovs.New(ovs.Options{RunDir: s.Dir, Now: now})
	t.Cleanup(n.ovs.Close)
	path, err := unixctl.Find(t.Context(), "ovs-vswitchd", s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	n.conntrack = conntrack.New(conntrack.Options{Datapath: &conntrack.Datapath{Daemon: unixctl.Client{Path: path}}, Interval: 15 * time.Second, Now: now, Names: names})
	n.registry.MustRegister(n.ovs, n.conntrack)
	return n
}

// to plays the seconds up to one, with a poll every 15.
func (n *node) to(from, second int) {
	n.t.Helper()
	for at := from; at < second; at++ {
		m := n.options.At(at)
		if err := n.s.Second(n.t.Context(), m); err != nil {
			n.t.Fatal(err)
		}
		if n.now = m.Time.Add(time.Second); at%15 == 14 {
			n.poll()
		}
	}
}

// poll, and hold what is always so.
func (n *node) poll() {
	n.t.Helper()
	if err := n.ovs.PollAll(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	if err := n.conntrack.Poll(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	families, err := n.registry.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	counters := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			if f.GetName() == "corkline_ovs_invariant_broken" {
				n.t.Errorf("%s: broken is %s", n.now.Format("04:05"), name)
			}
			counters[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			if m.GetCounter() != nil && counters[name] < n.before[name] {
				n.t.Errorf("%s: %s went from %g back to %g", n.now.Format("04:05"), name, n.before[name], counters[name])
			}
		}
	}
	for name, value := range n.before { // of what is gone, nothing else is told
		if _, there := counters[name]; !there && strings.Contains(name, "_table_packets_total") {
			n.t.Errorf("%s is gone, it was %g", name, value)
		}
	}
	n.before = counters
}

// sum of the series that have all of the words.
func (n *node) sum(words ...string) (sum float64) {
	for name, value := range n.before {
		has := true
		for _, w := range words {
			has = has && strings.Contains(name+" ", w+" ")
		}
		if has {
			sum += value
		}
	}
	return sum
}

func TestSwitch_Stories(t *testing.T) {
	n := newNode(t, nil)
	grown := func(what string, before float64, words ...string) {
		t.Helper()
		if now := n.sum(words...); now <= before {
			t.Errorf("%s did not grow: %g, then %g", what, before, now)
		}
	}
	is := func(want float64, words ...string) {
		t.Helper()
		if got := n.sum(words...); got != want {
			t.Errorf("%s is %g, want %g", strings.Join(words, " "), got, want)
		}
	}

	n.to(30, 60) // the client that leaks has its connections
	is(1, "corkline_ovs_bridge_info", "pipeline=1.7", "openflow=1.5")
	is(1, "corkline_ovs_up")
	is(0, "corkline_conntrack_floods")
	is(40_000, "corkline_conntrack_entries_limit")
	is(0, "corkline_ovs_dropped_packets_total", "reason=policy_reject")
	if got := n.sum("corkline_conntrack_entries"); got < 28_000 || got > 30_000 {
		t.Errorf("%g entries", got)
	}

	n.to(60, 150)
	grown("rejected", 0, "corkline_ovs_dropped_packets_total", "reason=policy_reject", "table=IngressMetric")
	grown("the rule", 0, "corkline_ovs_rule_packets_total", "action=Reject", "priority=14600", "table=AntreaPolicyIngressRule")
	grown("not allowed", 0, "corkline_conntrack_not_allowed_entries", "family=ipv4")
	is(105, "corkline_ovs_pods_checked")
	if got := n.sum("corkline_ovs_port_received_packets_total", "namespace=shop", "pod=web-99", "type=pod"); got == 0 {
		t.Error("the port of web-99 received nothing")
	}

	n.to(150, 360)
	for _, reason := range []string{"spoof_guard", "arp_spoof_guard", "invalid_conntrack", "policy_drop", "default_deny_ingress", "default_deny_egress", "no_endpoints", "ttl", "table_miss"} {
		grown(reason, 0, "corkline_ovs_dropped_packets_total", "reason="+reason)
	}
	denied := n.sum("corkline_ovs_dropped_packets_total", "reason=default_deny_ingress")
	is(6, "corkline_ovs_pods_checked")
	for table, want := range map[string]bool{"L2ForwardingCalc": true, "ConntrackZone": false} {
		if got := n.sum("corkline_ovs_flow_deletes_total", "table="+table); got > 0 != want {
			t.Errorf("%g flows of table %s were deleted", got, table)
		}
	}

	// The leak: a forecast, and early enough an alarm, which names the client.
	n.to(360, 435)
	if left, sure := n.sum("corkline_conntrack_forecast_full_seconds"), n.sum("corkline_conntrack_forecast_confidence"); left < 150 || left > 220 || sure < 0.5 {
		t.Errorf("the table will be full in %g s with a confidence of %g", left, sure)
	}
	if got := n.sum("corkline_conntrack_top_pod_entries", "role=source", "pod=web-0"); got < 35_000 {
		t.Errorf("web-0 has %g entries", got)
	}
	n.to(435, 480)
	is(0, "corkline_conntrack_floods")
	is(denied, "corkline_ovs_dropped_packets_total", "reason=default_deny_ingress")
	is(0, "corkline_ovs_coverage_total", "event=conntrack_full")

	// The flood: its source and victim, and what finds no room.
	invalid := n.sum("corkline_ovs_dropped_packets_total", "reason=invalid_conntrack")
	n.to(480, 525)
	is(1, "corkline_conntrack_floods", "kind=flood")
	if n.sum("corkline_conntrack_flood_half_open_entries", "source=shop/loadtest-0", "victim=shop/catalog-0") < 2000 {
		t.Error("the flood's source and victim are not told")
	}
	n.to(525, 570)
	is(40_000, "corkline_conntrack_entries")
	grown("conntrack_full", 10_000, "corkline_ovs_coverage_total", "event=conntrack_full")
	grown("what is answered without an entry", invalid+100, "corkline_ovs_dropped_packets_total", "reason=invalid_conntrack")

	n.to(570, 690)
	is(0, "corkline_conntrack_floods")
	if got := n.sum("corkline_conntrack_entries"); got > 1000 {
		t.Errorf("%g entries are left", got)
	}
}

func TestSwitch_OrdinaryDay(t *testing.T) {
	n := newNode(t, []simulation.Story{})
	n.to(0, 120)
	if got := n.sum("corkline_ovs_flow_adds_total") + n.sum("corkline_ovs_flow_deletes_total"); got != 0 {
		t.Errorf("%g flows came or went", got)
	}
	if got := n.sum("corkline_ovs_dropped_packets_total", "reason=policy_reject") + n.sum("corkline_conntrack_floods"); got != 0 {
		t.Errorf("%g rejected packets and floods", got)
	}
	zone, snat, all := n.sum("corkline_conntrack_zone_entries", "zone=antrea", "family=ipv4"), n.sum("corkline_conntrack_zone_entries", "zone=antrea-snat", "family=ipv4"), n.sum("corkline_conntrack_entries")
	if zone+snat != all || snat == 0 || all < 100 || all > 2000 {
		t.Errorf("%g and %g entries are in Antrea's zones, %g in all", zone, snat, all)
	}
	if halfOpen := n.sum("corkline_conntrack_status_entries", "status=half_open"); halfOpen > all/4 {
		t.Errorf("%g of %g entries are half-open", halfOpen, all)
	}
}

func TestStart_Refuses(t *testing.T) {
	f := func(o vswitch.Options, want string) {
		t.Helper()
		s, err := vswitch.Start(t.Context(), o)
		if err == nil {
			s.Close()
			t.Fatalf("%+v: it starts", o)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", o, err, want)
		}
	}
	f(vswitch.Options{Dir: "/tmp/" + strings.Repeat("x", 90), Mode: vswitch.Emulated}, "take a shorter folder")
	f(vswitch.Options{Mode: "virtual"}, `no mode "virtual"`)
	f(vswitch.Options{Dir: "/proc/none", Mode: vswitch.Emulated}, "listen on")
	t.Setenv("PATH", t.TempDir())
	f(vswitch.Options{Mode: vswitch.Real}, "is not on PATH")
}

func TestStart_AutoSaysWhy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	s, err := vswitch.Start(t.Context(), vswitch.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Describe(); s.Mode != vswitch.Emulated || !strings.HasPrefix(got, "emulated: ovs-vswitchd is not on PATH") {
		t.Errorf("it is %s: %s", s.Mode, got)
	}
	if len(s.Missing()) == 0 {
		t.Error("it does not tell what is missing")
	}
	moment := simulation.Options{Start: time.Now()}.At(0)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Second(ended, moment); err == nil {
		t.Error("a second passes when it is cancelled")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error("closed again:", err)
	}
	if err := s.Second(t.Context(), moment); err == nil {
		t.Error("a second passes in a closed switch")
	}
	if _, err := os.Stat(s.Dir); err == nil {
		t.Error("its folder is left")
	}
}

// Another switch may take the folder over.
func TestStart_Again(t *testing.T) {
	dir, err := os.MkdirTemp("", "ck") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for range 2 {
		s, err := vswitch.Start(t.Context(), vswitch.Options{Dir: dir, Mode: vswitch.Emulated})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := unixctl.Find(t.Context(), "ovs-vswitchd", dir); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("left is %v", left)
		}
	}
}
