package vswitch

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/corkline/corkline/samples/simulation"
)

// bridgeName of Antrea's bridge, and the round of its agent, which its cookies carry.
const (
	bridgeName = "br-int"
	round      = 7
)

// tableNames of Antrea 1.13 and later on a node with IPv4 and AntreaProxy, in
// the order of their numbers (antrea.io/antrea, docs/design/ovs-pipeline.md).
func tableNames() []string {
	return []string{
		"PipelineRootClassifier", "ARPSpoofGuard", "ARPResponder", "Classifier", "SpoofGuard", "UnSNAT", "ConntrackZone", "ConntrackState",
		"PreRoutingClassifier", "SessionAffinity", "ServiceLB", "EndpointDNAT", "AntreaPolicyEgressRule", "EgressRule", "EgressDefaultRule",
		"EgressMetric", "L3Forwarding", "EgressMark", "L3DecTTL", "SNATMark", "SNAT", "L2ForwardingCalc", "IngressSecurityClassifier",
		"AntreaPolicyIngressRule", "IngressRule", "IngressDefaultRule", "IngressMetric", "ConntrackCommit", "Output",
	}
}

func tableNumber(name string) int { return slices.Index(tableNames(), name) }

// Zones: of the connections that Antrea's policies decide on, and a second time
// of those of them to Services that need SNAT.
const (
	zone     = 65520
	zoneSNAT = 65521
)

// Addresses of the node, beside those of its Pods.
const (
	podNetwork       = "192.0.2.0/24"
	remotePodNetwork = "203.0.113.128/25"
)

func gatewayAddress() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 1}) }

// Numbers of the ports that are always there.
const (
	tunnelPort  = 1
	gatewayPort = 2
	localPort   = 0xfffffffe // the bridge itself
)

// port of the bridge.
type port struct {
	number  int
	name    string
	antrea  string // antrea-type of what is no Pod's
	pod     string
	mac     mac
	address netip.Addr
}

type mac [6]byte

func (m mac) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// macOf an address is locally administered.
func macOf(a netip.Addr) mac {
	four := a.As4()
	return mac{2, 0, four[0], four[1], four[2], four[3]}
}

// tunnelMAC is that of all remote nodes, as Antrea has it.
func tunnelMAC() mac { return mac{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff} }

func gateway() port {
	return port{number: gatewayPort, name: "antrea-gw0", antrea: "gateway", mac: macOf(gatewayAddress()), address: gatewayAddress()}
}

func tunnel() port {
	return port{number: tunnelPort, name: "antrea-tun0", antrea: "tunnel", mac: tunnelMAC()}
}

// podPort is named as Antrea names interfaces: the first 8 characters of the
// Pod's name, and 6 digits.
func podPort(p simulation.Pod) port {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(p.String())) // it cannot fail
	host := int(p.Address.As4()[3])
	number := host + 1
	if host >= 100 { // replicas of web
		number = host - 90
	}
	return port{
		number: number, name: fmt.Sprintf("%.8s-%06x", p.Name, hash.Sum32()&0xffffff), pod: p.Name, mac: macOf(p.Address), address: p.Address,
	}
}

// externalIDs of the Port's row, as Antrea writes them (pkg/agent/cniserver).
func (p *port) externalIDs() map[string]string {
	if p.pod == "" {
		return map[string]string{"antrea-type": p.antrea}
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(p.name)) // it cannot fail
	container := fmt.Sprintf("%016x", hash.Sum64())
	return map[string]string{
		"pod-name": p.pod, "pod-namespace": simulation.Namespace, "ip-address": p.address.String(), "attached-mac": p.mac.String(),
		"container-id": strings.Repeat(container, 4),
	}
}

// service of the cluster.
type service struct {
	group    uint32
	address  netip.Addr
	protocol string
	port     uint16
	// endpoints that it has, and the port that they listen on.
	endpoints []netip.Addr
	target    uint16
}

func serviceAddress(i byte) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, i}) }

// Services, by their groups.
const (
	webGroup = iota + 1
	catalogGroup
	paymentsGroup
	dnsGroup
	reportsGroup  // has no endpoints
	sessionsGroup // has them on another node
)

func services(m simulation.Moment) []service {
	one := func(group uint32, protocol string, port, target uint16, endpoints ...netip.Addr) service {
		return service{group: group, address: serviceAddress(byte(10 + group)), protocol: protocol, port: port, target: target, endpoints: endpoints}
	}
	web := one(webGroup, "tcp", 80, simulation.WebPort)
	for i := range m.Replicas {
		web.endpoints = append(web.endpoints, simulation.Web(i).Address)
	}
	return []service{
		web,
		one(catalogGroup, "tcp", 80, simulation.CatalogPort, simulation.Catalog.Pod().Address),
		one(paymentsGroup, "tcp", 443, simulation.PaymentsPort, simulation.Payments.Pod().Address),
		one(dnsGroup, "udp", simulation.DNSPort, simulation.DNSPort, simulation.DNS.Pod().Address),
		one(reportsGroup, "tcp", 80, 0),
		one(sessionsGroup, "tcp", 6379, 6379, netip.AddrFrom4([4]byte{203, 0, 113, 150})),
	}
}

// state of the node in a moment: what its agent has made of the bridge.
type state struct {
	ports  []port
	groups []string // as ovs-ofctl takes them
	flows  []string // as ovs-ofctl prints them
}

// stateKey is all that a state depends on.
type stateKey struct {
	replicas              int
	rejected, defaultDeny bool
}

func keyOf(m simulation.Moment) stateKey {
	k := stateKey{replicas: m.Replicas}
	_, k.rejected = m.Told(simulation.Rejected)
	_, k.defaultDeny = m.Told(simulation.DefaultDeny)
	return k
}

func stateOf(m simulation.Moment) *state {
	b := &builder{}
	b.ports = []port{tunnel(), gateway()}
	for _, p := range m.Pods() {
		b.ports = append(b.ports, podPort(p))
	}
	b.misses()
	b.node()
	for i := range b.ports {
		if b.ports[i].pod != "" {
			b.podFlows(&b.ports[i])
		}
	}
	for _, s := range services(m) {
		b.service(&s)
	}
	for _, r := range simulation.Rules() {
		if _, told := m.Told(r.Story); told || r.Story == "" {
			b.rule(&r)
		}
	}
	if _, told := m.Told(simulation.DefaultDeny); told {
		p := podPort(simulation.Payments.Pod())
		b.add(policy, "EgressDefaultRule", 200, "ip,nw_src="+p.address.String(), "drop")
		b.add(policy, "IngressDefaultRule", 200, fmt.Sprintf("ip,reg1=%#x", p.number), "drop")
	}
	return &b.state
}

// TableFlows is how many flows a table has.
type TableFlows struct {
	Table string
	Flows int
}

// FlowsByTable counts the flows of the node's bridge in a moment, in the order
// of the tables' numbers.
func FlowsByTable(m simulation.Moment) []TableFlows {
	names := tableNames()
	counts := make([]TableFlows, len(names))
	for i, name := range names {
		counts[i].Table = name
	}
	b := stateOf(m)
	for _, text := range b.flows {
		_, text, _ = strings.Cut(text, "table=")
		text, _, _ = strings.Cut(text, ",")
		if i, err := strconv.Atoi(text); err == nil {
			counts[i].Flows++
		}
	}
	return counts
}

// category of a flow's cookie since Antrea 1.7.
type category uint64

const (
	defaults category = iota
	podConnectivity
	policy
	proxy
	egress
)

// builder makes flows. Their fields stand as ovs-ofctl prints them, so that
// text tells flows apart.
type builder struct{ state }

func (b *builder) add(c category, table string, priority int, match, actions string) {
	if match != "" {
		match = "," + match
	}
	cookie := uint64(round)<<48 | uint64(c)<<40
	b.flows = append(b.flows, fmt.Sprintf("cookie=%#x, table=%d, priority=%d%s actions=%s", cookie, tableNumber(table), priority, match, actions))
}

func to(table string) string { return fmt.Sprintf("goto_table:%d", tableNumber(table)) }

func resubmit(table string) string { return fmt.Sprintf("resubmit(,%d)", tableNumber(table)) }

// setMAC rewrites the Ethernet addresses of what is routed.
func setMAC(from, to mac) string {
	return fmt.Sprintf("set_field:%s->eth_src,set_field:%s->eth_dst", from, to)
}

// misses are the flows that match what no other does.
func (b *builder) misses() {
	names := tableNames()
	for i, name := range names {
		var actions string
		switch name {
		case "PipelineRootClassifier", "ARPSpoofGuard", "ARPResponder", "Classifier", "SpoofGuard", "Output":
			actions = "drop"
		case "SessionAffinity": // it is resubmitted to
			actions = "set_field:0x10000/0x70000->reg4"
		case "EgressMark":
			actions = "set_field:0x20/0xf0->reg0," + to("L2ForwardingCalc")
		default:
			actions = to(names[i+1])
		}
		b.add(defaults, name, 0, "", actions)
	}
}

// node makes the flows that do not depend on Pods.
func (b *builder) node() {
	gw := gateway()
	b.add(defaults, "PipelineRootClassifier", 200, "arp", to("ARPSpoofGuard"))
	b.add(defaults, "PipelineRootClassifier", 200, "ip", to("Classifier"))
	b.add(podConnectivity, "ARPSpoofGuard", 200, fmt.Sprintf("arp,in_port=%d,arp_spa=%s,arp_sha=%s", gw.number, gw.address, gw.mac), to("ARPResponder"))
	b.add(podConnectivity, "ARPResponder", 190, "arp", "NORMAL")
	b.add(podConnectivity, "Classifier", 200, fmt.Sprintf("in_port=%d", tunnelPort), "set_field:0x1/0xf->reg0,set_field:0x200/0x200->reg0,"+to("UnSNAT"))
	b.add(podConnectivity, "Classifier", 200, fmt.Sprintf("in_port=%d", gw.number), "set_field:0x2/0xf->reg0,"+to("SpoofGuard"))
	b.add(podConnectivity, "SpoofGuard", 200, fmt.Sprintf("ip,in_port=%d", gw.number), to("UnSNAT"))

	snat := fmt.Sprintf("zone=%d,nat", zoneSNAT)
	b.add(proxy, "UnSNAT", 200, "ip,nw_dst="+gw.address.String(), fmt.Sprintf("ct(table=%d,%s)", tableNumber("ConntrackZone"), snat))
	b.add(podConnectivity, "ConntrackZone", 200, "ip", fmt.Sprintf("ct(table=%d,zone=%d,nat)", tableNumber("ConntrackState"), zone))
	b.add(podConnectivity, "ConntrackState", 200, "ct_state=+inv+trk,ip", "drop")
	b.add(podConnectivity, "ConntrackState", 190, "ct_state=-new+trk,ct_mark=0x10/0x10,ip", "set_field:0x200/0x200->reg0,"+to("AntreaPolicyEgressRule"))
	b.add(podConnectivity, "ConntrackState", 190, "ct_state=-new+trk,ct_mark=0/0x10,ip", to("AntreaPolicyEgressRule"))
	b.add(proxy, "PreRoutingClassifier", 200, "ip", resubmit("SessionAffinity")+","+resubmit("ServiceLB"))
	b.add(proxy, "EndpointDNAT", 200, "reg0=0x4000/0x4000", "controller(reason=no_match,id=62373,userdata=04)")

	// What belongs to a connection that was let pass goes on.
	b.add(policy, "AntreaPolicyEgressRule", 64990, "ct_state=-new+est,ip", to("EgressMetric"))
	b.add(policy, "AntreaPolicyIngressRule", 64990, "ct_state=-new+est,ip", to("IngressMetric"))

	b.add(podConnectivity, "L3Forwarding", 210, "ct_state=+rpl+trk,ct_mark=0x2/0xf,ip", fmt.Sprintf("set_field:%s->eth_dst,set_field:0x20/0xf0->reg0,%s", gw.mac, to("L3DecTTL")))
	b.add(podConnectivity, "L3Forwarding", 200, "ip,reg0=0/0x200,nw_dst="+podNetwork, "set_field:0x30/0xf0->reg0,"+to("L2ForwardingCalc"))
	b.add(podConnectivity, "L3Forwarding", 200, "ip,nw_dst="+remotePodNetwork, setMAC(gw.mac, tunnelMAC())+",set_field:0x10/0xf0->reg0,"+to("L3DecTTL"))
	b.add(egress, "L3Forwarding", 190, "ip,reg0=0x3/0xf", to("EgressMark"))
	b.add(podConnectivity, "L3DecTTL", 210, "ip,reg0=0x2/0xf", to("SNATMark"))
	b.add(podConnectivity, "L3DecTTL", 200, "ip", "dec_ttl,"+to("SNATMark"))
	// From the gateway to an endpoint on another node, whose answers have to come
	// back here.
	b.add(proxy, "SNATMark", 200, "ct_state=+new+trk,ip,reg0=0x12/0xff",
		fmt.Sprintf("ct(commit,table=%d,zone=%d,exec(set_field:0x20/0x20->ct_mark,move:NXM_NX_REG0[0..3]->NXM_NX_CT_MARK[0..3]))", tableNumber("SNAT"), zone))
	b.add(proxy, "SNAT", 200, "ct_state=+new+trk,ct_mark=0x20/0x20,ip,reg0=0x2/0xf",
		fmt.Sprintf("ct(commit,table=%d,%s(src=%s),exec(set_field:0x30/0x30->ct_mark))", tableNumber("L2ForwardingCalc"), snat, gw.address))
	b.add(proxy, "SNAT", 200, "ct_state=-new-rpl+trk,ct_mark=0x20/0x20,ip", fmt.Sprintf("ct(table=%d,%s)", tableNumber("L2ForwardingCalc"), snat))
	for _, p := range []port{tunnel(), gw} {
		b.forward(&p)
	}
	for _, to0 := range []string{"0x10/0xf0", "0x20/0xf0"} { // policies are of Pods
		b.add(podConnectivity, "IngressSecurityClassifier", 200, "ip,reg0="+to0, to("IngressMetric"))
	}
	b.add(podConnectivity, "ConntrackCommit", 200, "ct_state=+new+trk,ct_mark=0/0x20,ip",
		fmt.Sprintf("ct(commit,table=%d,zone=%d,exec(move:NXM_NX_REG0[0..3]->NXM_NX_CT_MARK[0..3]))", tableNumber("Output"), zone))
	b.add(podConnectivity, "Output", 200, "ip,reg0=0x200000/0x600000", "output:NXM_NX_REG1[]")
}

// podFlows are those without which a Pod is cut off.
func (b *builder) podFlows(p *port) {
	b.add(podConnectivity, "ARPSpoofGuard", 200, fmt.Sprintf("arp,in_port=%d,arp_spa=%s,arp_sha=%s", p.number, p.address, p.mac), to("ARPResponder"))
	b.add(podConnectivity, "Classifier", 190, fmt.Sprintf("in_port=%d", p.number), "set_field:0x3/0xf->reg0,set_field:0x10000000/0x10000000->reg4,"+to("SpoofGuard"))
	b.add(podConnectivity, "SpoofGuard", 200, fmt.Sprintf("ip,in_port=%d,dl_src=%s,nw_src=%s", p.number, p.mac, p.address), to("UnSNAT"))
	b.add(podConnectivity, "L3Forwarding", 200, "ip,reg0=0x200/0x200,nw_dst="+p.address.String(), setMAC(gateway().mac, p.mac)+",set_field:0x30/0xf0->reg0,"+to("L3DecTTL"))
	b.forward(p)
}

func (b *builder) forward(p *port) {
	b.add(podConnectivity, "L2ForwardingCalc", 200, "dl_dst="+p.mac.String(),
		fmt.Sprintf("set_field:%#x->reg1,set_field:0x200000/0x600000->reg0,%s", p.number, to("IngressSecurityClassifier")))
}

// service makes its group and flows. Endpoints are in reg3, their port in the
// lower half of reg4, whose bits 16 to 18 tell that one was selected.
func (b *builder) service(s *service) {
	group := fmt.Sprintf("group_id=%d,type=select", s.group)
	if len(s.endpoints) == 0 {
		group += ",bucket=bucket_id:0,weight:100,actions=set_field:0x4000/0x4000->reg0," + resubmit("EndpointDNAT")
	}
	for i, e := range s.endpoints {
		group += fmt.Sprintf(",bucket=bucket_id:%d,weight:100,actions=set_field:%#x->reg3,set_field:%#x/0xffff->reg4,%s", i, number(e), s.target, resubmit("EndpointDNAT"))
		b.add(proxy, "EndpointDNAT", 200, fmt.Sprintf("%s,reg3=%#x,reg4=%#x/0x7ffff", s.protocol, number(e), 0x20000|uint32(s.target)), fmt.Sprintf(
			"ct(commit,table=%d,zone=%d,nat(dst=%s:%d),exec(set_field:0x10/0x10->ct_mark))", tableNumber("AntreaPolicyEgressRule"), zone, e, s.target))
	}
	b.groups = append(b.groups, group)
	b.add(proxy, "ServiceLB", 200, fmt.Sprintf("%s,reg4=0x10000/0x70000,nw_dst=%s,tp_dst=%d", s.protocol, s.address, s.port),
		fmt.Sprintf("set_field:0x200/0x200->reg0,set_field:0x20000/0x70000->reg4,set_field:%#x->reg7,group:%d", s.group, s.group))
}

func number(a netip.Addr) uint32 {
	four := a.As4()
	return binary.BigEndian.Uint32(four[:])
}

// rule makes a conjunction of who, whom and which port, what comes of it, and
// the flows that count it.
func (b *builder) rule(r *simulation.Rule) {
	ingress := r.Direction == "Ingress"
	var from, who []string
	for _, p := range r.From {
		from = append(from, "ip,nw_src="+p.Address.String())
	}
	for _, p := range r.To {
		if ingress {
			who = append(who, fmt.Sprintf("ip,reg1=%#x", podPort(p).number))
		} else {
			who = append(who, "ip,nw_dst="+p.Address.String())
		}
	}
	if from == nil {
		from = []string{"ip,nw_src=" + podNetwork}
	}
	clauses := [][]string{from, who, {fmt.Sprintf("%s,tp_dst=%d", r.Protocol, r.Port)}}
	if who == nil {
		clauses = [][]string{from, clauses[2]}
	}
	for k, flows := range clauses {
		for _, match := range flows {
			b.add(policy, r.Table, r.Priority, match, fmt.Sprintf("conjunction(%d,%d/%d)", r.ID, k+1, len(clauses)))
		}
	}

	metric, next, register, label, mask := "EgressMetric", "L3Forwarding", 5, uint64(r.ID)<<32, uint64(0xffffffff)<<32
	if ingress {
		metric, next, register, label, mask = "IngressMetric", "ConntrackCommit", 6, uint64(r.ID), 0xffffffff
	}
	verdict := fmt.Sprintf("conj_id=%d,ip", r.ID)
	if r.Action == "Allow" {
		b.add(policy, r.Table, r.Priority, verdict, fmt.Sprintf("set_field:%#x->reg%d,ct(commit,table=%d,zone=%d,exec(set_field:%#x/%#x->ct_label))", r.ID, register, tableNumber(metric), zone, label, mask))
		for _, is := range []string{"+new", "-new"} {
			b.add(policy, metric, 200, fmt.Sprintf("ct_state=%s,ct_label=%#x/%#x,ip", is, label, mask), to(next))
		}
		return
	}
	actions := fmt.Sprintf("set_field:%#x->reg3,set_field:0x400/0x400->reg0,", r.ID)
	if r.Action == "Reject" {
		actions += "set_field:0x1000/0x1800->reg0,set_field:0x4000000/0xe000000->reg0,controller(reason=no_match,id=62373,userdata=01.02),"
	} else {
		actions += "set_field:0x800/0x1800->reg0,"
	}
	b.add(policy, r.Table, r.Priority, verdict, actions+to(metric))
	b.add(policy, metric, 200, fmt.Sprintf("reg0=0x400/0x400,reg3=%#x", r.ID), "drop")
}
