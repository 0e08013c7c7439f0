package collector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each cause drops its own number of packets, and has exactly that number.
func TestDrops_Attributed(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	b.poll()
	for _, cause := range []struct {
		n            int
		port, packet string
	}{
		{1, web.interface_, ip("192.0.2.99", web.mac, db.ip, 64, 17, "udp(src=40000,dst=9)")}, // another's address
		{2, web.interface_, "in_port(1),eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip=192.0.2.98,tip=192.0.2.2,op=1,sha=02:00:00:00:00:01,tha=00:00:00:00:00:00)"},
		{3, web.interface_, ip(web.ip, web.mac, db.ip, 64, 1, "icmp(type=0,code=0)")}, // an answer that nobody asked for
		{4, web.interface_, udp(web, "198.51.100.1", 80)},
		{5, web.interface_, udp(web, "198.51.100.2", 81)},
		{6, web.interface_, udp(web, db.ip, 5005)},
		{7, web.interface_, udp(web, db.ip, 5006)},
		{8, web.interface_, udp(web, db.ip, 5008)},
		{9, web.interface_, udp(web, db.ip, 5009)},
		{10, web.interface_, udp(web, db.ip, 5010)},
		{11, web.interface_, udp(web, "203.0.113.9", 82)},
		{12, "tunnel", ip("198.51.100.50", "02:00:00:00:00:50", db.ip, 1, 17, "udp(src=40000,dst=83)")}, // TTL 1
		{13, web.interface_, "in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x88cc)"},
		{14, "tunnel", ip("198.51.100.50", "02:00:00:00:00:50", db.ip, 9, 17, "udp(src=40000,dst=84)")}, // arrives
		{15, web.interface_, udp(web, db.ip, 5007)},                                                     // is allowed
	} {
		b.send(cause.port, cause.packet, cause.n)
	}
	b.poll()
	b.poll() // a second look at what only the difference of two counters tells
	got := b.metrics("corkline_ovs_dropped_packets_total")
	for k, v := range got {
		if v == 0 {
			delete(got, k)
		}
	}
	// Labels are in the order of their names: reason, table.
	want := map[string]float64{
		"spoof_guard SpoofGuard": 1, "arp_spoof_guard ARPSpoofGuard": 2, "invalid_conntrack ConntrackState": 3, "no_endpoints EndpointDNAT": 4,
		"source_range ServiceLB": 5, "policy_drop EgressMetric": 6, "policy_reject EgressMetric": 7, "policy_drop IngressMetric": 8,
		"default_deny_egress EgressDefaultRule": 9, "default_deny_ingress IngressDefaultRule": 10, "no_egress_ip EgressMark": 11, "ttl L3DecTTL": 12,
		"table_miss PipelineRootClassifier": 13,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	// action, policy, priority, rule, table
	if diff := cmp.Diff(map[string]float64{
		"Drop  14500  AntreaPolicyEgressRule": 6, "Reject  14499  AntreaPolicyEgressRule": 7, "Allow  14498  AntreaPolicyEgressRule": 15, "Drop  14600  AntreaPolicyIngressRule": 8,
	}, b.metrics("corkline_ovs_rule_packets_total")); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if broken := b.metrics("corkline_ovs_invariant_broken"); len(broken) > 0 {
		t.Errorf("broken: %v", broken)
	}
}

// What isolates a pod is known by the pod's port or address.
func TestDrops_OfPods(t *testing.T) {
	web, db := newPod(1), newPod(2)
	b := newBench(t, 7, web, db)
	b.AddFlows(flow(7, categoryPolicy, "EgressDefaultRule", 200, "ip,nw_src="+web.ip, "drop") +
		flow(7, categoryPolicy, "IngressDefaultRule", 200, "ip,reg1=0x2", "drop"))
	b.poll()
	b.send(web.interface_, udp(web, db.ip, 6001), 3)
	b.send("tunnel", ip("198.51.100.50", "02:00:00:00:00:50", db.ip, 9, 17, "udp(src=40000,dst=84)"), 4)
	b.poll()
	const family = "corkline_ovs_pod_dropped_packets_total"
	// Labels are in the order of their names: namespace, pod, reason, table.
	egress, ingress := "shop web-1 default_deny_egress EgressDefaultRule", "shop web-2 default_deny_ingress IngressDefaultRule"
	if diff := cmp.Diff(map[string]float64{egress: 3, ingress: 4}, b.metrics(family)); diff != "" {
		t.Errorf("drops (-want +got):\n%s", diff)
	}
	all := b.metrics("corkline_ovs_dropped_packets_total")
	if all["default_deny_egress EgressDefaultRule"] != 3 || all["default_deny_ingress IngressDefaultRule"] != 4 {
		t.Errorf("they are not in the sums: %v", all)
	}
	b.Vsctl("del-port", b.Bridge, web.interface_)
	b.poll()
	if diff := cmp.Diff(map[string]float64{ingress: 4}, b.metrics(family)); diff != "" {
		t.Errorf("without the pod (-want +got):\n%s", diff)
	}
}
