package collector

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is missing is told within one poll, once, and so is that it is back.
func TestInvariants_Told(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	b.realTime()
	b.poll()
	f := func(of pod, table int, want string) {
		t.Helper()
		flow := strings.Split(podFlows(7, of), "\n")[table]
		_, remove, _ := strings.Cut(flow, ",") // the cookie
		remove, _, _ = strings.Cut(remove, ",actions=")
		b.Ofctl("-O", "OpenFlow15", "--strict", "del-flows", b.Bridge, remove)
		b.events.all = nil
		b.routine()
		if diff := cmp.Diff(map[string]float64{want: 1}, b.metrics("corkline_ovs_invariant_broken")); diff != "" {
			t.Errorf("without %s (-want +got):\n%s", remove, diff)
		}
		b.routine()
		if got := b.eventsOf("invariant_broken"); len(got) != 1 || !strings.Contains(got[0], "missing") {
			t.Errorf("without %s: events %q", remove, got)
		}
		b.AddFlows(flow + "\n")
		b.routine()
		if broken := b.metrics("corkline_ovs_invariant_broken"); len(broken) > 0 || len(b.eventsOf("invariant_mended")) != 1 {
			t.Errorf("%s is back: %v, events %q", remove, broken, b.eventsOf("invariant_mended"))
		}
	}
	// The flows of a pod in their order; invariant, namespace, pod, table.
	f(db, 0, "arp_spoof_guard shop web-2 ARPSpoofGuard")
	f(web, 1, "classifier shop web-1 Classifier")
	f(web, 2, "spoof_guard shop web-1 SpoofGuard")
	f(db, 3, "forwarding shop web-2 L2ForwardingCalc")
}

// A table without the flow that matches what no other does is told with the
// next dump of all flows.
func TestInvariants_MissFlow(t *testing.T) {
	b := newBench(t, 7)
	b.poll()
	b.Ofctl("-O", "OpenFlow15", "--strict", "del-flows", b.Bridge, fmt.Sprintf("table=%d,priority=0", number("EgressMetric")))
	b.poll()
	if diff := cmp.Diff(map[string]float64{"miss_flow   EgressMetric": 1}, b.metrics("corkline_ovs_invariant_broken")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A hundred pods are added while it polls, ports first, and then their flows, as
// the agent does it: nothing is broken. One without flows is, when its port is
// older than a poll.
func TestInvariants_Scale(t *testing.T) {
	b := newBench(t, 7, newPod(1))
	b.realTime()
	b.poll()
	for n := 2; n <= 100; n += 7 {
		var batch []pod
		var flows string
		for k := n; k < min(n+7, 101); k++ {
			batch = append(batch, newPod(k))
			flows += podFlows(7, newPod(k))
		}
		b.addPods(batch...)
		b.routine() // between port and flows
		b.AddFlows(flows)
		b.routine()
	}
	b.routine()
	if broken := b.metrics("corkline_ovs_invariant_broken"); len(broken) > 0 {
		t.Errorf("broken: %v", broken)
	}
	if got := b.metrics("corkline_ovs_pods_checked")[""]; got < 90 {
		t.Errorf("%v pods checked; ports %d", got, len(b.metrics("corkline_ovs_port_received_packets_total")))
	}
	if told := b.eventsOf("invariant_broken"); len(told) > 0 {
		t.Errorf("told: %q", told)
	}
	b.addPods(newPod(101))
	b.routine()
	b.routine()
	b.routine()
	if got := b.metrics("corkline_ovs_invariant_broken"); len(got) != 4 {
		t.Errorf("a pod without flows: %v", got)
	}
}

// realTime is that in which the switch tells the age of ports.
func (b *bench) realTime() { b.step, b.clock = 0, time.Time{} }

// routine polls without reading all flows.
func (b *bench) routine() {
	b.t.Helper()
	if b.step > 0 {
		b.clock = b.clock.Add(b.step)
	}
	if err := b.collector.Poll(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) eventsOf(name string) (lines []string) {
	for _, e := range b.events.all {
		line, err := json.Marshal(e)
		if err != nil {
			b.t.Fatal(err)
		}
		if strings.HasPrefix(string(line), `{"event":"`+name+`"`) {
			lines = append(lines, string(line))
		}
	}
	return lines
}
