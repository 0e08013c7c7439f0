package collector

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/google/go-cmp/cmp"
)

// totals of all counters, to see that none goes down.
func (b *bench) totals() map[string]float64 {
	b.t.Helper()
	gathered, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, g := range gathered {
		for _, m := range g.GetMetric() {
			if m.GetCounter() != nil {
				values[g.GetName()+" "+labels(m)] = m.GetCounter().GetValue()
			}
		}
	}
	return values
}

// holds that no counter of before is below what it was, or gone.
func (b *bench) holds(before map[string]float64, when string) map[string]float64 {
	b.t.Helper()
	now := b.totals()
	for k, v := range before {
		if n, is := now[k]; !is || n < v {
			b.t.Errorf("%s: %s was %v, is %v", when, k, v, n)
		}
	}
	return now
}

const spoofed = "spoof_guard SpoofGuard"

func (b *bench) spoof(n int) {
	web := newPod(1)
	b.send(web.interface_, ip("192.0.2.99", web.mac, "192.0.2.2", 64, 17, "udp(src=40000,dst=9)"), n)
}

func (b *bench) wantDrops(want float64, when string) {
	b.t.Helper()
	if got := b.metrics("corkline_ovs_dropped_packets_total")[spoofed]; got != want {
		b.t.Errorf("%s: want %v drops, got %v", when, want, got)
	}
}

// What flows had before the agent is not counted; flows that go, come again,
// are replaced by the next round, or are made anew, add what they count, once.
func TestCounters_OnlyGrow(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	b.spoof(10) // before the first poll
	b.poll()
	b.wantDrops(0, "at the start")
	b.spoof(3)
	b.poll()
	b.wantDrops(3, "while it polls")
	before := b.totals()

	miss := flow(7, categoryDefault, "SpoofGuard", 0, "", "drop")
	b.Ofctl("-O", "OpenFlow15", "--strict", "del-flows", b.Bridge, fmt.Sprintf("table=%d,priority=0", number("SpoofGuard")))
	b.poll()
	before = b.holds(before, "a flow is gone")
	b.wantDrops(3, "the flow is gone")
	b.AddFlows(miss)
	b.spoof(4)
	b.poll()
	before = b.holds(before, "the flow is back")
	b.wantDrops(7, "the flow is back, with what it counted since")
	b.Ofctl("-O", "OpenFlow15", "--strict", "del-flows", b.Bridge, fmt.Sprintf("table=%d,priority=0", number("SpoofGuard")))
	b.AddFlows(miss)
	b.spoof(2)
	b.poll()
	before = b.holds(before, "made anew")
	b.wantDrops(9, "the flow was made anew between two polls")

	// The agent starts again: its flows take the place of those of the round
	// before, and keep their counts in the switch.
	b.AddFlows(base(8) + podFlows(8, web) + podFlows(8, db))
	b.Vsctl("set", "bridge", b.Bridge, "external_ids:roundNum=8")
	b.spoof(5)
	b.poll()
	before = b.holds(before, "the next round")
	b.wantDrops(14, "the next round")
	if got := b.metrics("corkline_ovs_round"); got[""] != 8 {
		t.Errorf("round %v", got)
	}
	if len(b.eventsOf("agent_restarted")) != 1 {
		t.Errorf("events %v", b.events.all)
	}
	// Flows of the round before that the new one does not have.
	b.AddFlows(flow(7, categoryPod, "Classifier", 180, "in_port=77", "goto:UnSNAT!"))
	b.poll()
	b.holds(before, "a stale flow")
	if got := b.metrics("corkline_ovs_stale_flows"); got[""] != 1 {
		t.Errorf("stale %v", got)
	}
}

// A killed ovs-vswitchd is told by up; after its start everything goes on.
func TestCounters_Restart(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	b.poll()
	b.spoof(6)
	b.send(web.interface_, udp(web, db.ip, 5007), 4)
	b.poll()
	b.wantDrops(6, "before")
	before := b.totals()

	b.KillForwarder()
	b.routine()
	if diff := cmp.Diff(map[string]float64{"": 0}, b.metrics("corkline_ovs_up")); diff != "" {
		t.Errorf("up while it is dead (-want +got):\n%s", diff)
	}
	b.holds(before, "while it is dead")

	b.StartForwarder()
	b.waitForBridge()
	b.AddFlows(base(7) + podFlows(7, web) + podFlows(7, db))
	b.spoof(5)
	b.poll()
	if diff := cmp.Diff(map[string]float64{"": 1}, b.metrics("corkline_ovs_up")); diff != "" {
		t.Errorf("up after the start (-want +got):\n%s", diff)
	}
	b.wantDrops(11, "after the start")
	after := b.holds(before, "after the start")
	if after["corkline_ovs_restarts_total "] != 1 {
		t.Errorf("restarts %v", after["corkline_ovs_restarts_total "])
	}
	for _, event := range []string{"bridge_down", "switch_restarted", "bridge_up"} {
		if len(b.eventsOf(event)) != 1 {
			t.Errorf("%s: %v", event, b.events.all)
		}
	}
}

func (b *bench) waitForBridge() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		client, err := openflow.Dial(ctx, b.Management())
		if err == nil {
			_ = client.Close()
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("wait for the bridge: %s", err)
		case <-ticker.C:
		}
	}
}

// Rules have names when the network-policy log has shown them.
func TestRules_Named(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	b.rules.Show([]byte("AntreaPolicyEgressRule"), []byte("14498"), []byte("Allow"), []byte("AntreaNetworkPolicy:shop/web"), []byte("to db"), time.Now())
	b.poll()
	b.send(web.interface_, udp(web, db.ip, 5007), 3)
	b.send(web.interface_, udp(web, db.ip, 5005), 2)
	b.poll()
	f := func(family string, allowed, dropped float64) {
		t.Helper()
		got := b.metrics(family)
		if n := got["Allow AntreaNetworkPolicy:shop/web 14498 to db AntreaPolicyEgressRule"]; n != allowed {
			t.Errorf("%s: allowed %v in %v", family, n, got)
		}
		if n := got["Drop  14500  AntreaPolicyEgressRule"]; n != dropped {
			t.Errorf("%s: dropped %v in %v", family, n, got)
		}
	}
	f("corkline_ovs_rule_packets_total", 3, 2)
	f("corkline_ovs_rule_sessions_total", 3, 2) // of one connection, that nobody answers: it stays new
}

// A bridge of somebody else has all but what takes Antrea's pipeline.
func TestBridge_NotAntreas(t *testing.T) {
	b := newBench(t, 7)
	b.Vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=dummy", "fail_mode=secure", "protocols=OpenFlow13",
		"--", "add-port", "br-ex", "ex0", "--", "set", "interface", "ex0", "type=dummy", "ofport_request=1")
	b.poll()
	b.Ofctl("-O", "OpenFlow13", "add-flow", "br-ex", "table=0,priority=5,udp,tp_dst=53,actions=drop")
	b.Ofctl("-O", "OpenFlow13", "add-flow", "br-ex", "table=0,priority=5,udp,tp_dst=54,actions=goto_table:3")
	b.Ofctl("-O", "OpenFlow13", "add-flow", "br-ex", "table=3,priority=0,actions=drop")
	web := newPod(1)
	b.send("ex0", udp(web, "192.0.2.2", 53), 3)
	b.send("ex0", udp(web, "192.0.2.2", 54), 4)
	b.send("ex0", udp(web, "192.0.2.2", 55), 5)
	b.poll()
	b.poll()
	got := b.metrics("corkline_ovs_dropped_packets_total")
	for k, want := range map[string]float64{"flow 0": 3, "table_miss 3": 4, "table_miss 0": 5} {
		if got[k] != want {
			t.Errorf("%s: want %v, got %v", k, want, got)
		}
	}
	if got := b.metrics("corkline_ovs_port_received_packets_total"); got[" ex0  dummy"] != 12 && got["  ex0 dummy"] != 12 && got[" "+" ex0 dummy"] != 12 {
		t.Errorf("ports: %v", got)
	}
}
