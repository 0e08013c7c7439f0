package collector

import (
	"fmt"
	"slices"
	"strings"
)

// tables of Antrea 1.10 with what a node needs, in the order of their numbers.
func tables() []string {
	return []string{
		"PipelineRootClassifier", "ARPSpoofGuard", "ARPResponder", "Classifier", "SpoofGuard", "UnSNAT", "ConntrackZone", "ConntrackState",
		"PreRoutingClassifier", "SessionAffinity", "ServiceLB", "EndpointDNAT", "AntreaPolicyEgressRule", "EgressRule", "EgressDefaultRule", "EgressMetric",
		"L3Forwarding", "EgressMark", "L3DecTTL", "SNATMark", "SNAT", "L2ForwardingCalc", "IngressSecurityClassifier", "AntreaPolicyIngressRule",
		"IngressRule", "IngressDefaultRule", "IngressMetric", "ConntrackCommit", "Output",
	}
}

// number of a table. That of an unknown one is -1, which ovs-ofctl refuses.
func number(name string) int { return slices.Index(tables(), name) }

// Categories of cookies since Antrea 1.7.
const (
	categoryDefault = iota
	categoryPod
	categoryPolicy
	categoryService
	categoryEgress
)

// flow of Antrea's agent in its n-th round; goto=Name stands for the action.
func flow(round, category int, table string, priority int, match, actions string) string {
	if match != "" {
		match += ","
	}
	for i, name := range tables() {
		actions = strings.ReplaceAll(actions, "goto:"+name+"!", fmt.Sprintf("goto_table:%d", i))
		actions = strings.ReplaceAll(actions, "table:"+name+"!", fmt.Sprintf("table=%d", i))
		actions = strings.ReplaceAll(actions, "resubmit:"+name+"!", fmt.Sprintf("resubmit(,%d)", i))
	}
	return fmt.Sprintf("cookie=%#x,table=%d,priority=%d,%sactions=%s\n", round<<48|category<<40, number(table), priority, match, actions)
}

// pod of the node.
type pod struct {
	name       string
	port       int
	ip, mac    string
	interface_ string
}

func newPod(n int) pod {
	return pod{
		name: fmt.Sprintf("web-%d", n), port: n, ip: fmt.Sprintf("192.0.2.%d", n), mac: fmt.Sprintf("02:00:00:00:00:%02x", n),
		interface_: fmt.Sprintf("web-%d-1a2b3c", n),
	}
}

// base are the flows of a node without pods, with one of each kind that drops.
func base(round int) string {
	var b strings.Builder
	add := func(category int, table string, priority int, match, actions string) {
		b.WriteString(flow(round, category, table, priority, match, actions))
	}
	names := tables()
	for i, name := range names { // what matches nothing else goes on
		next := "drop"
		switch name {
		case "PipelineRootClassifier", "ARPSpoofGuard", "ARPResponder", "Classifier", "SpoofGuard", "Output":
		case "EgressMark":
			next = "set_field:0x20/0xf0->reg0,goto:L2ForwardingCalc!"
		case "SessionAffinity":
			next = "set_field:0x10000/0x70000->reg4"
		default:
			next = "goto:" + names[i+1] + "!"
		}
		add(categoryDefault, name, 0, "", next)
	}
	add(categoryDefault, "PipelineRootClassifier", 200, "arp", "goto:ARPSpoofGuard!")
	add(categoryDefault, "PipelineRootClassifier", 200, "ip", "goto:Classifier!")
	add(categoryPod, "ARPResponder", 190, "arp", "NORMAL")
	add(categoryPod, "Classifier", 200, "in_port=250", "set_field:0x1/0xf->reg0,set_field:0x200/0x200->reg0,goto:UnSNAT!") // the tunnel
	add(categoryPod, "ConntrackZone", 200, "ip", "ct(table:ConntrackState!,zone=65520,nat)")
	add(categoryPod, "ConntrackState", 200, "ct_state=+inv+trk,ip", "drop")
	add(categoryPod, "ConntrackState", 190, "ct_state=-new+trk,ct_mark=0/0x10,ip", "goto:AntreaPolicyEgressRule!")
	add(categoryService, "PreRoutingClassifier", 200, "ip", "resubmit:SessionAffinity!,resubmit:ServiceLB!")
	add(categoryService, "ServiceLB", 200, "udp,reg4=0x10000/0x70000,nw_dst=198.51.100.1,tp_dst=80", "set_field:0x4000/0x4000->reg0,goto:EndpointDNAT!")
	add(categoryService, "ServiceLB", 195, "udp,nw_dst=198.51.100.2", "set_field:0x40000000/0x60000000->reg4,resubmit:ServiceLB!")
	add(categoryService, "ServiceLB", 199, "reg4=0x40000000/0x60000000", "drop")
	add(categoryService, "EndpointDNAT", 200, "reg0=0x4000/0x4000", "controller(reason=no_match,id=62373,userdata=04)")

	for table, state := range map[string]string{"AntreaPolicyEgressRule": "EgressMetric", "AntreaPolicyIngressRule": "IngressMetric"} {
		add(categoryPolicy, table, 64990, "ct_state=-new+est,ip", "goto:"+state+"!")
	}
	rule := func(table, metric string, priority, id int, from, to, actions string) {
		add(categoryPolicy, table, priority, from, fmt.Sprintf("conjunction(%d,1/2)", id))
		add(categoryPolicy, table, priority, to, fmt.Sprintf("conjunction(%d,2/2)", id))
		add(categoryPolicy, table, priority, fmt.Sprintf("conj_id=%d,ip", id), actions)
		_ = metric
	}
	deny := func(id int, metric string) string {
		return fmt.Sprintf("set_field:%#x->reg3,set_field:0x400/0x400->reg0,goto:%s!", id, metric)
	}
	rule("AntreaPolicyEgressRule", "EgressMetric", 14500, 5, "ip", "udp,tp_dst=5005", deny(5, "EgressMetric"))
	rule("AntreaPolicyEgressRule", "EgressMetric", 14499, 6, "ip,nw_src=192.0.2.0/24", "udp,tp_dst=5006",
		"set_field:0x6->reg3,set_field:0x400/0x400->reg0,set_field:0x1000/0x1800->reg0,set_field:0x4000000/0xe000000->reg0,controller(id=62373,userdata=01.02),goto:EgressMetric!")
	rule("AntreaPolicyEgressRule", "EgressMetric", 14498, 7, "ip,nw_src=192.0.2.0/24", "udp,tp_dst=5007",
		"set_field:0x7->reg5,ct(commit,table:EgressMetric!,zone=65520,exec(set_field:0x700000000/0xffffffff00000000->ct_label))")
	for id := 5; id <= 6; id++ {
		add(categoryPolicy, "EgressMetric", 200, fmt.Sprintf("reg0=0x400/0x400,reg3=%#x", id), "drop")
	}
	for _, state := range []string{"+new", "-new"} {
		add(categoryPolicy, "EgressMetric", 200, "ct_state="+state+",ct_label=0x700000000/0xffffffff00000000,ip", "goto:L3Forwarding!")
	}
	rule("AntreaPolicyIngressRule", "IngressMetric", 14600, 8, "ip", "udp,tp_dst=5008", deny(8, "IngressMetric"))
	add(categoryPolicy, "IngressMetric", 200, "reg0=0x400/0x400,reg3=0x8", "drop")
	add(categoryPolicy, "EgressDefaultRule", 200, "udp,tp_dst=5009", "drop") // for one of the pod's ports: a pod of its own takes more words
	add(categoryPolicy, "IngressDefaultRule", 200, "udp,tp_dst=5010", "drop")

	add(categoryPod, "L3Forwarding", 200, "ip,reg0=0x200/0x200", "goto:L3DecTTL!")
	add(categoryPod, "L3Forwarding", 200, "ip,reg0=0/0x200,nw_dst=192.0.2.0/24", "goto:L2ForwardingCalc!")
	add(categoryEgress, "L3Forwarding", 190, "ip,reg0=0x3/0xf", "goto:EgressMark!")
	add(categoryEgress, "EgressMark", 190, "udp,nw_dst=203.0.113.9", "drop")
	add(categoryPod, "L3DecTTL", 210, "ip,reg0=0x2/0xf", "goto:SNATMark!")
	add(categoryPod, "L3DecTTL", 200, "ip", "dec_ttl,goto:SNATMark!")
	add(categoryPod, "ConntrackCommit", 200, "ct_state=+new+trk,ip", "ct(commit,table:Output!,zone=65520)")
	add(categoryPod, "Output", 200, "ip,reg0=0x200000/0x600000", "output:NXM_NX_REG1[]")
	return b.String()
}

// podFlows are those that the agent makes for a pod.
func podFlows(round int, p pod) string {
	return flow(round, categoryPod, "ARPSpoofGuard", 200, fmt.Sprintf("arp,in_port=%d,arp_spa=%s,arp_sha=%s", p.port, p.ip, p.mac), "goto:ARPResponder!") +
		flow(round, categoryPod, "Classifier", 190, fmt.Sprintf("in_port=%d", p.port), "set_field:0x3/0xf->reg0,set_field:0x10000000/0x10000000->reg4,goto:SpoofGuard!") +
		flow(round, categoryPod, "SpoofGuard", 200, fmt.Sprintf("ip,in_port=%d,dl_src=%s,nw_src=%s", p.port, p.mac, p.ip), "goto:UnSNAT!") +
		flow(round, categoryPod, "L2ForwardingCalc", 200, "dl_dst="+p.mac, fmt.Sprintf("set_field:%#x->reg1,set_field:0x200000/0x600000->reg0,goto:IngressSecurityClassifier!", p.port))
}
