package ovs

import (
	"fmt"
	"strings"
)

// matches has every field that ovs-ofctl of Open vSwitch 3.1 takes, exact and
// masked, and the odd values.
func matches() []string {
	list := []string{
		"", "in_port=1", "in_port=LOCAL", `in_port="pod-a"`, "dl_src=02:00:00:00:00:01", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
		"dl_src=02:00:00:00:00:01/ff:ff:ff:00:00:00,dl_dst=02:00:00:00:00:02", "dl_type=0x88cc", "dl_type=0x05ff", "ip", "ipv6", "arp", "rarp", "mpls", "mplsm",
		"tcp", "tcp6", "udp", "udp6", "sctp", "sctp6", "icmp", "icmp6", "ip,nw_proto=2", "ip,nw_proto=47", "ipv6,nw_proto=0", "ipv6,nw_proto=2",
		"dl_vlan=0xffff", "dl_vlan=7", "dl_vlan=7,dl_vlan_pcp=3", "dl_vlan_pcp=5", "vlan_tci=0", "vlan_tci=0x1123", "vlan_tci=0x1000/0x1000",
		"vlan_tci=0xf005/0xf00f", "vlan_vid=0x1005/0x1007", "vlan_vid=0x0/0x1fff", "vlan_tci=0xa000/0xe000", "vlan_tci=0x0123/0x0fff",
		"ip,nw_src=192.0.2.1", "ip,nw_src=192.0.2.0/24,nw_dst=198.51.100.0/25", "ip,nw_dst=192.0.2.0/255.0.255.0", "ip,nw_dst=128.0.0.0/1",
		"ip,nw_tos=0", "ip,nw_tos=184,nw_ecn=2", "ip,nw_ttl=64", "ip,ip_dscp=63", "ipv6,nw_tos=8,nw_ecn=0,nw_ttl=1",
		"ip,nw_frag=no", "ip,nw_frag=yes", "ip,nw_frag=first", "ip,nw_frag=later", "ip,nw_frag=not_later", "ipv6,nw_frag=first",
		"tcp,tp_src=80", "tcp,tp_dst=0x1f90/0xfff8", "tcp,tp_src=0", "udp,tp_src=53,tp_dst=53", "udp6,tp_dst=0x8000/0x8000", "sctp,tp_src=1,tp_dst=2", "sctp6,tp_dst=38412",
		"tcp,tcp_flags=+syn-ack", "tcp,tcp_flags=0x12/0x3f", "tcp,tcp_flags=0x2", "tcp6,tcp_flags=+fin+syn+rst+psh+ack+urg+ece+cwr+ns", "tcp,tcp_flags=0",
		"tcp,tcp_flags=0xe00/0xe00", "tcp,tcp_flags=syn|ack",
		"icmp,icmp_type=8", "icmp,icmp_type=3,icmp_code=4", "icmp,icmp_code=0", "icmp6,icmp_type=128,icmp_code=0",
		"icmp6,icmp_type=135,icmp_code=0,nd_target=2001:db8::1,nd_sll=02:00:00:00:00:01", "icmp6,icmp_type=136,icmp_code=0,nd_target=2001:db8::/32,nd_tll=02:00:00:00:00:02",
		"icmp6,icmp_type=136,icmp_code=0,nd_reserved=7,nd_options_type=2",
		"arp,arp_spa=192.0.2.1,arp_tpa=192.0.2.0/28,arp_op=1", "arp,arp_sha=02:00:00:00:00:01,arp_tha=02:00:00:00:00:02/ff:ff:ff:ff:00:00", "arp,arp_op=2", "rarp,arp_op=3,arp_spa=192.0.2.9",
		"ipv6,ipv6_src=2001:db8::1,ipv6_dst=2001:db8::/64", "ipv6,ipv6_dst=2001:db8::1/ffff::ffff", "ipv6,ipv6_src=::ffff:192.0.2.1", "ipv6,ipv6_src=::192.0.2.1",
		"ipv6,ipv6_src=::1", "ipv6,ipv6_src=::", "ipv6,ipv6_src=2001:db8:0:1:0:1:0:1", "ipv6,ipv6_dst=ff02::1:ff00:0/104", "ipv6,ipv6_label=0x12345", "ipv6,ipv6_label=0x5/0xf",
		"mpls,mpls_label=100,mpls_tc=3,mpls_bos=1,mpls_ttl=9", "mplsm,mpls_bos=0", "mpls,mpls_label=0",
		"metadata=0x1234", "metadata=0x1234000000000000/0xffff000000000000", "metadata=0", "pkt_mark=5", "pkt_mark=0/0x80000000", "conj_id=4294967295", "conj_id=0",
		"actset_output=1", "actset_output=LOCAL",
		"ct_state=+new+trk", "ct_state=-new+est-rel+rpl-inv+trk+snat-dnat", "ct_state=0", "ct_state=est|trk", "ct_state=0/0x20", "ct_zone=65520", "ct_zone=0",
		"ct_mark=0x10/0x10", "ct_mark=7", "ct_mark=0", "ct_mark=0/0x10", "ct_label=0x5", "ct_label=0x200000000/0xffffffff00000000", "ct_label=0", "ct_label=0/0x1",
		"ct_label=0x80000000000000000000000000000001", "ct_label=0x10000000000000000/0xfff0000000000000000",
		"tcp,ct_state=+est+trk,ct_nw_proto=6,ct_nw_src=192.0.2.1,ct_nw_dst=198.51.100.0/24,ct_tp_src=80,ct_tp_dst=0x100/0xff00",
		"udp6,ct_state=+est+trk,ct_ipv6_src=2001:db8::1,ct_ipv6_dst=2001:db8::/32,ct_nw_proto=17,ct_tp_dst=53",
		"tun_id=0x5", "tun_id=0/0xff", "tun_src=192.0.2.1,tun_dst=192.0.2.0/24", "tun_ipv6_src=2001:db8::1", "tun_ipv6_dst=2001:db8::/32", "tun_gbp_id=5", "tun_gbp_id=0x10/0xf0",
		"tun_gbp_flags=0x40", "tun_flags=oam", "tun_flags=-oam", "tun_metadata0=0x1234", "tun_metadata0=0", "tun_metadata1=0x5/0xff", "tun_metadata0",
		"tun_erspan_ver=1,tun_erspan_idx=0xfedcb", "tun_erspan_ver=2,tun_erspan_dir=1,tun_erspan_hwid=0x3f", "tun_gtpu_flags=0x30,tun_gtpu_msgtype=255",
		"packet_type=(1,0x800)", "packet_type=(0,0)", "packet_type=(1,0x894f)", "packet_type=(1,0x86dd),ipv6_src=2001:db8::5", "packet_type=(1,0x800),nw_src=192.0.2.7,nw_proto=6,tp_dst=7",
		"dl_type=0x894f,nsh_flags=1,nsh_ttl=63,nsh_mdtype=1,nsh_np=3,nsh_spi=0x123456,nsh_si=255,nsh_c1=0x1,nsh_c2=0x2/0xff,nsh_c3=0x3,nsh_c4=0",
		"dl_type=0x894f,nsh_mdtype=2,nsh_flags=0x1/0x3", "dl_type=0x894f,nsh_si=0,nsh_spi=0",
		"reg0=0", "reg0=0/0x1", "reg0=0x3/0xf,reg15=0xffffffff", "reg1=1,reg3=0x400/0x400", "xreg0=0x100000005", "xreg1=0x5/0xff", "xxreg3=0x20010db8000000000000000000000005",
		"xxreg0=0x100000000000000000000/0xffff00000000000000000000", "reg0=1,reg1=2,reg2=3,reg3=4,reg4=5,reg5=6,reg6=7,reg7=8,reg8=9,reg9=10,reg10=11,reg11=12,reg12=13,reg13=14,reg14=15,reg15=16",
		"tcp,reg0=0x2/0xf,in_port=2,dl_src=02:00:00:00:00:09,nw_src=192.0.2.9,nw_dst=198.51.100.0/24,tp_dst=443,ct_state=+new+trk,ct_mark=0/0x10,metadata=1,tun_id=2,pkt_mark=1",
	}
	return list
}

// actions has every action and instruction.
func actions() []string {
	return []string{
		"drop", "output:1", "output:LOCAL", "1", "LOCAL", "IN_PORT", "NORMAL", "FLOOD", "ALL", "CONTROLLER", "CONTROLLER:128", "output:pod2", "output:NXM_NX_REG1[]", "output:NXM_NX_REG1[0..15]",
		"output:NXM_NX_XXREG0[0..15]", "output(port=1,max_len=100)", "output(port=LOCAL,max_len=1000)", "output:1,2,LOCAL",
		"controller(reason=no_match)", "controller(max_len=128,id=7)", "controller(userdata=01.02.ff)", "controller(pause)", "controller(reason=invalid_ttl,max_len=64,id=1,userdata=00,pause,meter_id=5)",
		"controller(userdata=)", "controller(meter_id=5)", "controller(reason=action,id=65535)",
		"group:1", "meter:1,output:1", "meter:2,goto_table:9", "set_queue:5,output:1,pop_queue", "enqueue:1:2",
		"resubmit:1", "resubmit(,9)", "resubmit(1,9)", "resubmit(in_port,9)", "resubmit(LOCAL,200)", "resubmit(,200)", "goto_table:9", "goto_table:200",
		"load:0x3->NXM_NX_REG0[0..3]", "load:0->NXM_NX_REG0[]", "load:0xffffffff->NXM_NX_REG3[]", "load:1->NXM_NX_REG0[10]", "load:0x1->OXM_OF_PKT_REG0[33..40]",
		"set_field:0x3/0xf->reg0", "set_field:0->reg1", "set_field:0x1234/0xffff->xreg1", "set_field:0x20010db8000000000000000000000005->xxreg3", "set_field:0x5/0xff->xxreg0", "set_field:0/0xff->xxreg0",
		"set_field:02:00:00:00:00:aa->eth_src", "set_field:02:00:00:00:00:00/ff:00:00:00:00:00->eth_dst", "set_field:0x7->tun_id", "set_field:192.0.2.1->tun_dst", "set_field:2001:db8::1->tun_ipv6_dst",
		"set_field:5->metadata", "set_field:0x10/0x10->pkt_mark", "set_field:0x0->metadata", "set_field:1->in_port",
		"set_field:0x40->tun_gbp_flags", "set_field:0x4->tun_gbp_id", "set_field:0x1->tun_flags", "set_field:0x1234->tun_metadata0",
		"mod_dl_src:02:00:00:00:00:bb", "mod_dl_dst:02:00:00:00:00:cc", "mod_vlan_vid:5", "mod_vlan_pcp:3", "push_vlan:0x8100", "push_vlan:0x88a8",
		"push_mpls:0x8847", "push_mpls:0x8848,set_field:5->mpls_label", "move:NXM_NX_REG0[]->NXM_NX_REG1[]", "move:NXM_NX_REG0[0..3]->NXM_NX_REG1[4..7]", "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
		"move:NXM_NX_REG0[5]->NXM_NX_REG2[6]", "move:NXM_NX_XXREG0[0..47]->NXM_OF_ETH_SRC[]", "move:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]", "move:OXM_OF_METADATA[]->OXM_OF_PKT_REG1[]",
		"move:NXM_NX_TUN_ID[]->OXM_OF_PKT_REG1[]", "move:NXM_OF_VLAN_TCI[]->NXM_NX_REG0[0..15]", "move:NXM_NX_TUN_METADATA0[0..31]->NXM_NX_REG0[]",
		"push:NXM_NX_REG0[],pop:NXM_NX_REG1[]", "push:NXM_NX_REG0[3..9],pop:NXM_NX_REG1[0..6]",
		"conjunction(5,1/3)", "conjunction(4294967295,2/2),conjunction(6,64/64)", "exit", "note:01.02.03", "note:00", "note:01.02.03.04.05.06.07", "ct_clear", "ct_clear,resubmit(,9)",
		"clone(output:1)", "clone(set_field:0x1->reg0,clone(output:2)),output:1", "write_metadata:0x5", "write_metadata:0x5/0xff", "clear_actions", "write_actions(output:1)",
		"write_actions(set_field:02:00:00:00:00:dd->eth_src,group:1)", "output:1,clear_actions,write_actions(output:2),write_metadata:0x1,goto_table:9", "write_actions(drop)",
		"sample(probability=100)", "sample(probability=100,collector_set_id=1,obs_domain_id=2,obs_point_id=3)", "sample(probability=65535,sampling_port=1,egress)", "sample(probability=1,ingress)",
		"multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[])", "multipath(symmetric_l4,1024,hrw,4,5,NXM_NX_REG0[0..3])", "multipath(symmetric_l3l4+udp,0,hash_threshold,2,0,NXM_NX_REG0[0])",
		"multipath(symmetric_l3,1,iter_hash,64,9,NXM_NX_REG1[])",
		"bundle(eth_src,0,hrw,ofport,members:1,2)", "bundle(symmetric_l4,60,active_backup,ofport,members:)", "bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[],members:1,2)", "bundle(nw_src,0,hrw,ofport,members:1)",
		"check_pkt_larger(1500)->NXM_NX_REG0[1]", "delete_field:tun_metadata0", "encap(nsh(md_type=1))", "encap(nsh)", "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))", "encap(nsh(md_type=2,tlv(0x1000,10,0x12),tlv(0x2000,20,0xfedcba9876543210)))",
		"learn(table=9)",
		"learn(table=9,limit=5,result_dst=NXM_NX_REG0[3],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])", "learn(table=9,eth_src=02:00:00:00:00:01,in_port=1,reg0=5,NXM_NX_REG1[0..15]=0x7,load:0->NXM_NX_REG2[])",
		"learn(table=9,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],output:NXM_OF_IN_PORT[])",
		"learn(table=9,eth_type=0x800,ip_dst=192.0.2.1,nw_proto=6,tcp_src=80)", "learn(table=9,eth_type=0x86dd,ipv6_dst=2001:db8::1)",
		"set_field:5->reg0,set_field:6->reg1,resubmit(,9),output:1", "mod_vlan_vid:5,mod_vlan_pcp:3",
	}
}

// ipActions need a match on IP, TCP or the like.
func ipActions() map[string][]string {
	return map[string][]string{
		"ip": {
			"ct()", "ct(commit)", "ct(commit,force)", "ct(table=9)", "ct(table=9,zone=65520)", "ct(zone=NXM_NX_REG8[0..15],table=9)", "ct(commit,zone=5,exec(set_field:0x1->ct_mark))",
			"ct(commit,exec(set_field:0x10/0x10->ct_mark,move:NXM_NX_REG0[0..3]->NXM_NX_CT_MARK[0..3],set_field:0x5/0xffffffff->ct_label,load:0x1->NXM_NX_CT_LABEL[127]))",
			"ct(commit,exec(load:0x1->NXM_NX_CT_MARK[4],load:0xf->NXM_NX_CT_LABEL[0..31]))",
			"dec_ttl", "dec_ttl(0,1)", "mod_nw_ttl:5", "mod_nw_src:192.0.2.1", "mod_nw_dst:192.0.2.2", "mod_nw_tos:184", "mod_nw_ecn:1", "set_field:192.0.2.3->ip_src", "set_field:192.0.2.0/255.255.255.0->ip_dst",
			"load:0xc0000201->NXM_OF_IP_SRC[]", "load:0x2->NXM_NX_IP_ECN[]", "move:NXM_OF_IP_SRC[]->NXM_NX_REG3[]", "set_field:10->ip_dscp", "load:0x1->NXM_OF_IP_TOS[2..4]", "load:0x3->NXM_OF_IP_TOS[2..7]", "load:1->NXM_NX_IP_TTL[0]", "set_field:64->nw_ttl",
			"ct(nat)", "ct(commit,nat)", "ct(commit,nat(src))", "ct(commit,nat(src=192.0.2.1))", "ct(commit,nat(src=192.0.2.1-192.0.2.9))", "ct(commit,nat(dst=192.0.2.1:80))",
			"ct(commit,nat(src=192.0.2.1-192.0.2.9:1024-65535,persistent,random))", "ct(commit,nat(src=192.0.2.1,hash))", "ct(commit,nat(dst=192.0.2.1:80-90,random))", "ct(commit,table=9,zone=65520,nat(dst=192.0.2.1:8080),exec(set_field:0x10/0x10->ct_mark))",
			"ct(table=9,zone=65520,nat)", "ct(commit,nat(src=192.0.2.1,persistent,hash))",
		},
		"ipv6": {
			"set_field:2001:db8::9->ipv6_src", "set_field:2001:db8::/ffff:ffff::->ipv6_dst", "set_field:0x12345->ipv6_label", "ct(commit,nat(src=2001:db8::1))", "ct(commit,nat(src=2001:db8::1-2001:db8::9))",
			"ct(commit,nat(dst=[2001:db8::1]:80))", "ct(commit,nat(dst=[2001:db8::1]-[2001:db8::9]:80-90,hash))", "dec_ttl", "move:NXM_NX_IPV6_SRC[]->NXM_NX_XXREG3[]",
		},
		"udp6": {
			"learn(table=9,limit=5,eth_type=0x86dd,nw_proto=17,NXM_OF_UDP_DST[],NXM_NX_IPV6_SRC[]=NXM_NX_IPV6_DST[],load:NXM_NX_XXREG3[]->NXM_NX_XXREG3[])",
		},
		"tcp,ct_state=+est+trk": {"ct(alg=ftp,commit)", "resubmit(,9,ct)", "resubmit(1,9,ct)"},
		"udp":                   {"ct(alg=tftp,commit)", "set_field:53->udp_src", "mod_tp_dst:53"},
		"tcp": {
			"learn(table=9,idle_timeout=10,hard_timeout=20,fin_idle_timeout=5,fin_hard_timeout=6,priority=192,send_flow_rem,delete_learned,cookie=0x203000000000a,eth_type=0x800,nw_proto=6,NXM_OF_TCP_DST[],NXM_OF_IP_SRC[]=NXM_OF_IP_DST[],load:NXM_NX_REG3[]->NXM_NX_REG3[],load:0x3->NXM_NX_REG0[0..3],load:0x1->NXM_NX_REG4[19],output:NXM_NX_REG1[])",
			"mod_tp_src:80", "mod_tp_dst:8080", "set_field:443->tcp_dst", "load:0x5->NXM_OF_TCP_DST[0..7]", "load:0->NXM_OF_TCP_DST[3]", "fin_timeout(idle_timeout=5)", "fin_timeout(idle_timeout=5,hard_timeout=9)", "load:0x50->NXM_OF_TCP_DST[]", "fin_timeout()",
		},
		"sctp":                            {"set_field:1->sctp_src"},
		"icmp":                            {"set_field:0->icmp_type", "set_field:1->icmp_code"},
		"icmp6,icmp_type=135,icmp_code=0": {"set_field:2001:db8::2->nd_target", "set_field:02:00:00:00:00:ee->nd_sll", "set_field:0->icmpv6_code"},
		"icmp6,icmp_type=136,icmp_code=0": {"set_field:02:00:00:00:00:ee->nd_tll", "set_field:0x5->nd_reserved", "set_field:2->nd_options_type"},
		"arp": {
			"move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],set_field:02:00:00:00:00:0a->arp_sha,move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:192.0.2.1->arp_spa,IN_PORT",
			"load:0x2->NXM_OF_ARP_OP[]", "set_field:192.0.2.0/24->arp_tpa",
		},
		"mpls":                  {"set_mpls_label(100)", "set_mpls_tc(3)", "set_mpls_ttl(9)", "dec_mpls_ttl", "pop_mpls:0x0800", "set_field:5->mpls_label", "set_field:1->mpls_tc", "set_field:7->mpls_ttl"},
		"dl_vlan=5":             {"mod_vlan_vid:6", "mod_vlan_pcp:1", "strip_vlan", "set_field:4102->vlan_vid"},
		"dl_type=0x894f":        {"dec_nsh_ttl", "decap()", "set_field:5->nsh_ttl", "set_field:0x3->nsh_c1", "set_field:7->nsh_si", "set_field:9->nsh_spi"},
		"packet_type=(0,0)":     {"encap(mpls)", "decap()"},
		"packet_type=(1,0x800)": {"encap(ethernet)", "decap(packet_type(ns=0,type=0))"},
	}
}

// mixed are flows of all of that, with the other fields of a flow.
func mixed() []string {
	var flows []string
	add := func(match, actions string) {
		if match != "" {
			match = "," + match
		}
		n := len(flows)
		head := fmt.Sprintf("table=%d,priority=%d,cookie=%#x", n%7, n+1, uint64(n)<<40|uint64(n))
		switch n % 5 {
		case 1:
			head += ",idle_timeout=60000"
		case 2:
			head += fmt.Sprintf(",hard_timeout=60000,importance=%d,send_flow_rem", n)
		case 3:
			head += ",reset_counts,check_overlap,no_packet_counts,no_byte_counts"
		}
		flows = append(flows, head+match+",actions="+actions)
	}
	for _, m := range matches() {
		add(m, "drop")
	}
	for _, a := range actions() {
		add("", a)
	}
	for match, list := range ipActions() {
		for _, a := range list {
			add(match, a)
		}
	}
	flows = append(flows, "cookie=1,table=250,actions=drop", "table=251,tcp,actions=drop", "table=252,priority=32768,actions=NORMAL", "table=253,priority=0,actions=drop")
	return flows
}

func join(lines []string) string { return strings.Join(lines, "\n") + "\n" }
