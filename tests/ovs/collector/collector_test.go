// Package collector holds the collector of Open vSwitch to known packets and
// flows in a real switch, with a pipeline as Antrea's agent makes it.
package collector

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/tests/ovs/lab"
	"github.com/corkline/corkline/tests/rig"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var shared *rig.Rig //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(_ context.Context, r *rig.Rig) error {
		shared = r
		return nil
	}))
}

// bench is a switch with Antrea's pipeline, and a collector of it.
type bench struct {
	*lab.Switch
	t         testing.TB
	collector *ovs.Collector
	rules     *ovs.RuleBook
	events    events
	registry  *prometheus.Registry
	clock     time.Time     // ahead of time, so that ports are old enough; zero for the real one
	step      time.Duration // of the clock between two polls
}

type events struct{ all []any }

func (e *events) Emit(event any) { e.all = append(e.all, event) }

func newBench(t testing.TB, round int, pods ...pod) *bench {
	t.Helper()
	b := &bench{Switch: lab.Start(t, lab.Options{Dummy: true}), t: t, rules: ovs.NewRuleBook(), registry: prometheus.NewPedanticRegistry(), clock: time.Now(), step: time.Minute}
	b.collector = ovs.New(ovs.Options{
		RunDir: b.Dir, Interval: time.Nanosecond, Rules: b.rules, Events: &b.events, Now: func() time.Time {
			if b.clock.IsZero() {
				return time.Now()
			}
			return b.clock
		},
	})
	t.Cleanup(b.collector.Close)
	b.registry.MustRegister(b.collector)
	b.nameTables()
	b.Vsctl("set", "bridge", b.Bridge, fmt.Sprintf("external_ids:roundNum=%d", round))
	b.Vsctl("add-port", b.Bridge, "tunnel", "--", "set", "interface", "tunnel", "type=dummy", "ofport_request=250", "--", "set", "port", "tunnel", "external_ids:antrea-type=tunnel")
	b.addPods(pods...)
	flows := base(round)
	for _, p := range pods {
		flows += podFlows(round, p)
	}
	b.AddFlows(flows)
	return b
}

func (b *bench) nameTables() {
	var args []string
	for i, name := range tables() {
		args = append(args, "--", fmt.Sprintf("--id=@t%d", i), "create", "Flow_Table", "name="+name)
	}
	args = append(args, "--", "set", "bridge", b.Bridge)
	for i := range tables() {
		args = append(args, fmt.Sprintf("flow_tables:%d=@t%d", i, i))
	}
	b.Vsctl(args[1:]...)
}

func (b *bench) addPods(pods ...pod) {
	if len(pods) == 0 {
		return
	}
	var args []string
	for _, p := range pods {
		args = append(args, "--", "add-port", b.Bridge, p.interface_, "--", "set", "interface", p.interface_, "type=dummy", fmt.Sprintf("ofport_request=%d", p.port),
			"--", "set", "port", p.interface_, "external_ids:pod-name="+p.name, "external_ids:pod-namespace=shop",
			"external_ids:ip-address="+p.ip, `external_ids:attached-mac="`+p.mac+`"`)
	}
	b.Vsctl(args[1:]...)
}

// poll all; the clock of the collector goes on.
func (b *bench) poll() {
	b.t.Helper()
	b.clock = b.clock.Add(b.step)
	b.Appctl("revalidator/wait")
	if err := b.collector.PollAll(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// metrics of a family: values by their labels, in the order of the labels' names.
func (b *bench) metrics(family string) map[string]float64 {
	b.t.Helper()
	gathered, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, g := range gathered {
		if g.GetName() != family {
			continue
		}
		for _, m := range g.GetMetric() {
			values[labels(m)] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}

func labels(m *dto.Metric) string {
	var parts []string
	for _, l := range m.GetLabel() {
		if l.GetName() != "bridge" {
			parts = append(parts, l.GetValue())
		}
	}
	return strings.Join(parts, " ")
}

// udp packet of a pod.
func udp(from pod, to string, port int) string {
	return ip(from.ip, from.mac, to, 64, 17, fmt.Sprintf("udp(src=40000,dst=%d)", port))
}

func ip(src, mac, dst string, ttl, protocol int, rest string) string {
	return fmt.Sprintf("in_port(1),eth(src=%s,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=%s,dst=%s,proto=%d,tos=0,ttl=%d,frag=no),%s", mac, src, dst, protocol, ttl, rest)
}

func (b *bench) send(port, packet string, n int) {
	b.t.Helper()
	for range n {
		b.Appctl("netdev-dummy/receive", port, packet)
	}
}
