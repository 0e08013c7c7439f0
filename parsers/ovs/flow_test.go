package ovs

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// equal compares flows by what is exported; nothing is as good as empty.
var equal = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Flow{})}

func known(n uint64) Count { return Count{n, true} }

// sample is a line, and what it says.
type sample struct {
	line string
	want Flow
}

func samples() []sample {
	const stats = HasCookie | HasDuration | HasTable
	return []sample{
		// OFPST_FLOW of OpenFlow 1.1 to 1.4
		{
			" cookie=0x7030000000000, duration=3.5s, table=0, n_packets=18, n_bytes=1532, priority=200,in_port=1 actions=load:0x3->NXM_NX_REG0[0..3],resubmit(,1)",
			Flow{
				Has: stats | HasPriority, Cookie: 0x7030000000000, Duration: 3500 * time.Millisecond, Packets: known(18), Bytes: known(1532), Priority: 200,
				Match: []byte("in_port=1"), Actions: []byte("load:0x3->NXM_NX_REG0[0..3],resubmit(,1)"),
			},
		},
		{ // no decimals; an empty match of another priority than the default
			" cookie=0x0, duration=86401s, table=254, n_packets=0, n_bytes=0, priority=0 actions=drop",
			Flow{Has: stats | HasPriority, Duration: 86401 * time.Second, TableID: 254, Packets: known(0), Bytes: known(0), Actions: []byte("drop")},
		},
		{ // nothing between the head and the actions: no match, the default priority
			" cookie=0xffffffffffffffff, duration=0.000000001s, table=6, n_packets=18446744073709551614, n_bytes=0, actions=NORMAL",
			Flow{
				Has: stats, Cookie: 0xffffffffffffffff, Duration: 1, TableID: 6, Packets: known(18446744073709551614), Bytes: known(0),
				Priority: DefaultPriority, Actions: []byte("NORMAL"),
			},
		},
		{ // the default priority is not printed
			" cookie=0x1, duration=0.468s, table=5, n_packets=0, n_bytes=0, in_port=LOCAL actions=NORMAL",
			Flow{
				Has: stats, Cookie: 1, Duration: 468 * time.Millisecond, TableID: 5, Packets: known(0), Bytes: known(0),
				Priority: DefaultPriority, Match: []byte("in_port=LOCAL"), Actions: []byte("NORMAL"),
			},
		},
		{ // counters that the switch does not know
			" cookie=0x0, duration=1.2s, table=0, n_packets=?, n_bytes=?, priority=1,ip actions=drop",
			Flow{Has: stats | HasPriority, Duration: 1200 * time.Millisecond, Priority: 1, Match: []byte("ip"), Actions: []byte("drop")},
		},

		// NXST_FLOW, and OFPST_FLOW of OpenFlow 1.5: ages
		{
			" cookie=0x7020000000000, duration=86400.123s, table=2, n_packets=7, n_bytes=490, idle_age=65534, hard_age=65534, priority=14500,conj_id=5,ip actions=load:0x5->NXM_NX_REG6[]",
			Flow{
				Has: stats | HasIdleAge | HasHardAge | HasPriority, Cookie: 0x7020000000000, Duration: 86400123 * time.Millisecond, TableID: 2,
				Packets: known(7), Bytes: known(490), IdleAge: 65534, HardAge: 65534, Priority: 14500, Match: []byte("conj_id=5,ip"), Actions: []byte("load:0x5->NXM_NX_REG6[]"),
			},
		},
		{ // timeouts and importance; flags have a blank and no comma behind them
			" cookie=0x0, duration=9.1s, table=5, n_packets=0, n_bytes=0, idle_timeout=600, hard_timeout=1200, send_flow_rem check_overlap reset_counts importance=9, idle_age=4, priority=7,arp,arp_spa=192.0.2.0/24,arp_op=1 actions=IN_PORT",
			Flow{
				Has: stats | HasIdleAge | HasPriority, Duration: 9100 * time.Millisecond, TableID: 5, Packets: known(0), Bytes: known(0),
				IdleTimeout: 600, HardTimeout: 1200, Flags: SendFlowRem | CheckOverlap | ResetCounts, Importance: 9, IdleAge: 4,
				Priority: 7, Match: []byte("arp,arp_spa=192.0.2.0/24,arp_op=1"), Actions: []byte("IN_PORT"),
			},
		},
		{ // all flags, and bits without a name
			" cookie=0x0, duration=9.1s, table=5, n_packets=0, n_bytes=0, send_flow_rem check_overlap reset_counts no_packet_counts no_byte_counts allow_hidden_fields no_readonly_table flags:0x80 actions=drop",
			Flow{
				Has: stats, Duration: 9100 * time.Millisecond, TableID: 5, Packets: known(0), Bytes: known(0), Flags: 0xff,
				Priority: DefaultPriority, Actions: []byte("drop"),
			},
		},

		// --names
		{
			` cookie=0x0, duration=1s, table=AntreaPolicyIngressRule, n_packets=0, n_bytes=0, priority=1,in_port="web-0-0a1b2c" actions=output:"coredns--0a1b2c",resubmit(,L3Forwarding)`,
			Flow{
				Has: stats | HasPriority, Duration: time.Second, TableID: -1, TableName: []byte("AntreaPolicyIngressRule"), Packets: known(0), Bytes: known(0),
				Priority: 1, Match: []byte(`in_port="web-0-0a1b2c"`), Actions: []byte(`output:"coredns--0a1b2c",resubmit(,L3Forwarding)`),
			},
		},
		{ // names with all that divides fields
			` cookie=0x0, duration=1s, table="a, \"b\" (actions=", n_packets=0, n_bytes=0, priority=1,in_port="p,1 (x" actions=output:"q)1,[ ",drop`,
			Flow{
				Has: stats | HasPriority, Duration: time.Second, TableID: -1, TableName: []byte(`a, "b" (actions=`), Packets: known(0), Bytes: known(0),
				Priority: 1, Match: []byte(`in_port="p,1 (x"`), Actions: []byte(`output:"q)1,[ ",drop`),
			},
		},
		{ // a name that looks like a number
			` cookie=0x0, duration=1s, table="7", n_packets=0, n_bytes=0, in_port="7" actions="7"`,
			Flow{
				Has: stats, Duration: time.Second, TableID: -1, TableName: []byte("7"), Packets: known(0), Bytes: known(0),
				Priority: DefaultPriority, Match: []byte(`in_port="7"`), Actions: []byte(`"7"`),
			},
		},

		// --no-stats leaves out cookie 0, and table 0 without a name
		{
			" cookie=0x203000000000a, table=4, priority=192,tcp,tp_dst=443 actions=group:10",
			Flow{
				Has: HasCookie | HasTable | HasPriority, Cookie: 0x203000000000a, TableID: 4, Priority: 192,
				Match: []byte("tcp,tp_dst=443"), Actions: []byte("group:10"),
			},
		},
		{" priority=0 actions=NORMAL", Flow{Has: HasPriority, Actions: []byte("NORMAL")}},
		{" ip actions=drop", Flow{Priority: DefaultPriority, Match: []byte("ip"), Actions: []byte("drop")}},
		{" actions=drop", Flow{Priority: DefaultPriority, Actions: []byte("drop")}},
		{
			" idle_timeout=5, send_flow_rem priority=4,dl_vlan=16 actions=dec_ttl(0,1)",
			Flow{Has: HasPriority, IdleTimeout: 5, Flags: SendFlowRem, Priority: 4, Match: []byte("dl_vlan=16"), Actions: []byte("dec_ttl(0,1)")},
		},
		{ // a bracket in the match
			" table=8, reset_counts priority=3,packet_type=(1,0x800) actions=decap()",
			Flow{Has: HasTable | HasPriority, TableID: 8, Flags: ResetCounts, Priority: 3, Match: []byte("packet_type=(1,0x800)"), Actions: []byte("decap()")},
		},

		// bridge/dump-flows: another key for the table, and a comma before actions=
		{
			"table_id=254, duration=147s, n_packets=1, n_bytes=70, n_offload_packets=3, n_offload_bytes=4, priority=0,reg0=0x2,actions=drop",
			Flow{
				Has: HasTable | HasDuration | HasPriority, TableID: 254, Duration: 147 * time.Second, Packets: known(1), Bytes: known(70),
				OffloadPackets: known(3), OffloadBytes: known(4), Match: []byte("reg0=0x2"), Actions: []byte("drop"),
			},
		},
		{
			"duration=147s, n_packets=19, n_bytes=1602, priority=0,actions=NORMAL",
			Flow{Has: HasDuration | HasPriority, Duration: 147 * time.Second, Packets: known(19), Bytes: known(1602), Actions: []byte("NORMAL")},
		},
		{ // what the switch adds itself, as for in-band control, has priorities that no controller can give
			"duration=147s, n_packets=19, n_bytes=1602, priority=180008,tcp,nw_src=192.0.2.1,tp_src=6653,actions=NORMAL",
			Flow{
				Has: HasDuration | HasPriority, Duration: 147 * time.Second, Packets: known(19), Bytes: known(1602), Priority: 180008,
				Match: []byte("tcp,nw_src=192.0.2.1,tp_src=6653"), Actions: []byte("NORMAL"),
			},
		},
		{ // the comma is there even where nothing is before it
			"table_id=6, duration=2s, n_packets=0, n_bytes=0, ,actions=resubmit:1,resubmit(,7)",
			Flow{
				Has: HasTable | HasDuration, TableID: 6, Duration: 2 * time.Second, Packets: known(0), Bytes: known(0),
				Priority: DefaultPriority, Actions: []byte("resubmit:1,resubmit(,7)"),
			},
		},

		// an Antrea support bundle: from the table on
		{
			"table=IngressMetric, n_packets=3, n_bytes=222, idle_age=5, priority=200,ct_state=+new,ct_label=0x5/0xffffffff,ip actions=goto_table:ConntrackCommit",
			Flow{
				Has: HasTable | HasIdleAge | HasPriority, TableID: -1, TableName: []byte("IngressMetric"), Packets: known(3), Bytes: known(222), IdleAge: 5, Priority: 200,
				Match: []byte("ct_state=+new,ct_label=0x5/0xffffffff,ip"), Actions: []byte("goto_table:ConntrackCommit"),
			},
		},

		// --color
		{
			" \x1b[36m\x1b[Kcookie=\x1b[m\x1b[K0x1, \x1b[36m\x1b[Kduration=\x1b[m\x1b[K2s, \x1b[33m\x1b[Ktable=\x1b[m\x1b[K3, \x1b[36m\x1b[Kn_packets=\x1b[m\x1b[K4, \x1b[36m\x1b[Kn_bytes=\x1b[m\x1b[K5, " +
				"\x1b[33m\x1b[Kpriority=\x1b[m\x1b[K6,\x1b[32m\x1b[Kip\x1b[m\x1b[K \x1b[1;31m\x1b[Kactions=\x1b[m\x1b[K\x1b[35m\x1b[Kct(\x1b[m\x1b[K\x1b[33m\x1b[Ktable=\x1b[m\x1b[K7\x1b[35m\x1b[K)\x1b[m\x1b[K",
			Flow{
				Has: stats | HasPriority, Cookie: 1, Duration: 2 * time.Second, TableID: 3, Packets: known(4), Bytes: known(5),
				Priority: 6, Match: []byte("ip"), Actions: []byte("ct(table=7)"),
			},
		},
	}
}

func TestFlow_Parse(t *testing.T) {
	var f Flow // one for all: nothing of the line before may stay
	for _, s := range samples() {
		for _, end := range []string{"", "\n", "\r\n"} {
			if err := f.Parse([]byte(s.line + end)); err != nil {
				t.Errorf("%s%q: %v", s.line, end, err)
				continue
			}
			if diff := cmp.Diff(s.want, f, equal); diff != "" {
				t.Errorf("%s%q (-want +got):\n%s", s.line, end, diff)
			}
		}
		if got := LineKind([]byte(s.line)); got != FlowLine {
			t.Errorf("%s: is of kind %d", s.line, got)
		}
	}
}

func TestFlags(t *testing.T) {
	f := func(flags Flags, want string) {
		t.Helper()
		if got := string(flags.Append([]byte("x"))); got != "x"+want {
			t.Errorf("%x: want %q, got %q", uint16(flags), want, got)
		}
	}
	f(0, "")
	f(SendFlowRem, "send_flow_rem")
	f(CheckOverlap|NoReadonlyTable|0x180, "check_overlap,no_readonly_table,0x180")
	f(0x8000, "0x8000")
}

func TestFlow_ParseErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		var flow Flow
		if err := flow.Parse([]byte(line)); err == nil || err.Error() != want {
			t.Errorf("%s:\nwant %s\n got %v", line, want, err)
		}
	}
	const more = "expected a field of the match, or actions="
	f("", "column 1: "+more)
	f("OFPST_FLOW reply (OF1.3) (xid=0x2):", "column 1: "+more)
	f(" group_id=10,type=select,bucket=weight:100,actions=output:1", "column 2: expected a flow, not a group")
	f(" cookie=7, ", "column 9: expected a cookie in hexadecimal")
	f(" cookie=0x, ", "column 9: expected a cookie in hexadecimal")
	f(" cookie=0x10000000000000000, ", "column 9: expected a cookie in hexadecimal")
	f(" cookie=0x1,duration=1s, ", "column 12: expected a comma and a blank")
	f(" cookie=0x1, cookie=0x1, ", "column 14: expected each field once")
	f(" duration=1, ", "column 11: expected seconds")
	f(" duration=1.s, ", "column 11: expected seconds")
	f(" duration=1.0000000001s, ", "column 11: expected seconds")
	f(" duration=9223372036s, ", "column 11: expected seconds")
	f(" table=, ", "column 8: expected a table's number or name")
	f(" table=256, ", "column 8: expected a table's number or name")
	f(" table=-x, ", "column 8: expected a table's number or name")
	f("table_id=x, ", "column 10: expected a table's number")
	f(` table="x, `, "column 8: expected a table's number or name")
	f(" table=a b, ", "column 9: expected a comma and a blank")
	f(" n_packets=-1, ", "column 12: expected a number")
	f(" n_bytes=18446744073709551616, ", "column 10: expected a number")
	f(" idle_timeout=65536, ", "column 15: expected a number")
	f(" idle_age=4294967296, ", "column 11: expected a number")
	f(" flags:7 ", "column 8: expected flags in hexadecimal")
	f(" flags:0x8,", "column 11: expected a blank")
	f(" priority=2147483648 actions=drop", "column 11: expected a priority")
	f(" priority=1;ip actions=drop", "column 12: expected a comma, or actions=")
	f(" priority=1,ip", "column 15: "+more)
	f(" priority=1,ip drop", "column 15: "+more)
	f(" priority=1,ip,,tcp actions=drop", "column 16: "+more)
	f(" priority=1,reg0= actions=drop", "column 18: "+more)
	f(" priority=1,reg0=1reg1=2 actions=drop", "column 23: "+more)
	f(" priority=1,packet_type=(1,0x800 actions=drop", "column 46: "+more)
	f(" priority=1,packet_type=1) actions=drop", "column 26: "+more)
	f(` priority=1,in_port="x actions=drop`, "column 21: "+more)
	f(" ip,priority=1 actions=drop", "column 5: expected the priority before the match")
	f(" actions=", "column 10: expected an action")
	f(" actions=drop,", "column 15: expected an action")
	f(" actions=,drop", "column 10: expected an action")
	f(" actions=ct(commit,nat(src=192.0.2.1)", "column 38: expected an action") // cut off
	f(" actions=drop world", "column 14: expected an action")
	f(" actions=drop)", "column 14: expected an action")
	f(` actions=output:"x`, "column 17: expected an action")
	f("\x1b[36mcookie=\x1b[m7, ", "column 8: expected a cookie in hexadecimal") // of the line without colours
}

// names gives what an iterator yields, as "name value" a line; a value that is
// nil as "name".
func names(seq func(func(name, value []byte) bool)) string {
	var b strings.Builder
	for name, value := range seq {
		b.Write(name)
		if value != nil {
			fmt.Fprintf(&b, " %s", value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestFlow_MatchFields(t *testing.T) {
	f := func(match string, want ...string) {
		t.Helper()
		var flow Flow
		if err := flow.Parse([]byte("priority=1," + match + " actions=drop")); err != nil {
			t.Fatalf("%s: %v", match, err)
		}
		if diff := cmp.Diff(strings.Join(want, "\n")+"\n", names(flow.MatchFields())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", match, diff)
		}
	}
	f("ip", "ip")
	f("tcp,reg0=0x3/0xf,nw_dst=192.0.2.0/24", "tcp", "reg0 0x3/0xf", "nw_dst 192.0.2.0/24")
	f("nw_src=192.0.2.0/255.0.255.0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "nw_src 192.0.2.0/255.0.255.0", "dl_dst 01:00:00:00:00:00/01:00:00:00:00:00")
	f("ct_state=+new-est+trk,ct_label=0x200000000/0xffffffff00000000,ct_mark=0/0x10", "ct_state +new-est+trk", "ct_label 0x200000000/0xffffffff00000000", "ct_mark 0/0x10")
	f("ct_state=est|trk,tcp_flags=-fin+syn,nw_frag=not_later", "ct_state est|trk", "tcp_flags -fin+syn", "nw_frag not_later")
	f(`in_port="a,b=c d\",e",icmp6,nd_target=2001:db8::11`, `in_port "a,b=c d\",e"`, "icmp6", "nd_target 2001:db8::11")
	f("ip,nw_proto=2", "ip", "nw_proto 2")
	f("packet_type=(1,0x800),xxreg3=0x20010db8000000000000000000000005/0xffffffff000000000000000000000000", "packet_type (1,0x800)", "xxreg3 0x20010db8000000000000000000000005/0xffffffff000000000000000000000000")

	var flow Flow
	if err := flow.Parse([]byte("priority=1 actions=drop")); err != nil || names(flow.MatchFields()) != "" {
		t.Errorf("empty match: %v, %s", err, names(flow.MatchFields()))
	}
}

func TestActions(t *testing.T) {
	f := func(list string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(strings.Join(want, "\n")+"\n", names(Actions([]byte(list)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", list, diff)
		}
	}
	f("drop", "drop")
	f("NORMAL,LOCAL,IN_PORT,7", "NORMAL", "LOCAL", "IN_PORT", "7")
	f(`output:1,output:NXM_NX_REG1[],"web,0",output:"q)1"`, "output 1", "output NXM_NX_REG1[]", `"web,0"`, `output "q)1"`)
	f("CONTROLLER:65535,controller(reason=no_match,max_len=128,id=1,userdata=01.02,pause,meter_id=5),controller(reason=)",
		"CONTROLLER 65535", "controller reason=no_match,max_len=128,id=1,userdata=01.02,pause,meter_id=5", "controller reason=")
	f("load:0x3->NXM_NX_REG0[0..3],set_field:0x200/0x200->reg0,set_field:02:00:00:00:00:aa->eth_src,move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
		"load 0x3->NXM_NX_REG0[0..3]", "set_field 0x200/0x200->reg0", "set_field 02:00:00:00:00:aa->eth_src", "move NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]")
	f("resubmit(,70),resubmit(,L3Forwarding),resubmit(2,5,ct),resubmit:1,goto_table:SpoofGuard", "resubmit ,70", "resubmit ,L3Forwarding", "resubmit 2,5,ct", "resubmit 1", "goto_table SpoofGuard")
	f("conjunction(5,1/3),conjunction(6,1/2)", "conjunction 5,1/3", "conjunction 6,1/2")
	f("ct(commit,table=5,zone=NXM_NX_REG8[0..15],nat(src=192.0.2.1-192.0.2.9:1024-65535,persistent,random),exec(load:0x1->NXM_NX_CT_MARK[4],move:NXM_NX_REG5[]->NXM_NX_CT_LABEL[32..63])),ct_clear",
		"ct commit,table=5,zone=NXM_NX_REG8[0..15],nat(src=192.0.2.1-192.0.2.9:1024-65535,persistent,random),exec(load:0x1->NXM_NX_CT_MARK[4],move:NXM_NX_REG5[]->NXM_NX_CT_LABEL[32..63])", "ct_clear")
	f("ct(nat(dst=[2001:db8::5]:53)),decap(),decap(packet_type(ns=0,type=0))", "ct nat(dst=[2001:db8::5]:53)", "decap ", "decap packet_type(ns=0,type=0)")
	f("check_pkt_larger(1500)->NXM_NX_REG0[1],note:01.02,dec_ttl,dec_ttl(0,1)", "check_pkt_larger (1500)->NXM_NX_REG0[1]", "note 01.02", "dec_ttl", "dec_ttl 0,1")
	f("write_actions(set_field:0x1->reg0,output:1),clone(drop),meter:5,group:10", "write_actions set_field:0x1->reg0,output:1", "clone drop", "meter 5", "group 10")

	// within an argument
	f("commit,table=5,zone=65520,nat(src=192.0.2.1),exec(load:0x1->NXM_NX_CT_MARK[4])", "commit", "table 5", "zone 65520", "nat src=192.0.2.1", "exec load:0x1->NXM_NX_CT_MARK[4]")
	f("table=4,idle_timeout=10,cookie=0x203000000000a,NXM_OF_TCP_DST[],load:NXM_NX_REG3[]->NXM_NX_REG3[]",
		"table 4", "idle_timeout 10", "cookie 0x203000000000a", "NXM_OF_TCP_DST[]", "load NXM_NX_REG3[]->NXM_NX_REG3[]")

	if got := names(Actions(nil)); got != "" {
		t.Errorf("no actions: %s", got)
	}
	f("drop,ct(commit", "drop") // no list: what is one of it
}

func TestConjunction(t *testing.T) {
	f := func(argument string, id uint32, k, n uint8, ok bool) {
		t.Helper()
		if a, b, c, is := Conjunction([]byte(argument)); a != id || b != k || c != n || is != ok {
			t.Errorf("%s: got %d %d/%d %v", argument, a, b, c, is)
		}
	}
	f("5,1/3", 5, 1, 3, true)
	f("4294967295,64/64", 4294967295, 64, 64, true)
	for _, bad := range []string{"", "5", "5,1", "5,1/", "5,1/3 ", "4294967296,1/2", "5,256/2", "0x5,1/2", "-5,1/2"} {
		f(bad, 0, 0, 0, false)
	}
}

func TestFlow_ConjunctionID(t *testing.T) {
	f := func(match string, want uint32, ok bool) {
		t.Helper()
		flow := Flow{Match: []byte(match)}
		if id, is := flow.ConjunctionID(); id != want || is != ok {
			t.Errorf("%s: got %d %v", match, id, is)
		}
	}
	f("conj_id=5,ip", 5, true)
	f("ip,conj_id=4294967295", 4294967295, true)
	f("ip", 0, false)
	f("", 0, false)
	f("conj_id=4294967296,ip", 0, false)
}

func TestCookie(t *testing.T) {
	f := func(c Cookie, round uint16, category uint8, object uint32) {
		t.Helper()
		if c.Round() != round || c.Category() != category || c.Object() != object {
			t.Errorf("%x: got %d %d %d", c, c.Round(), c.Category(), c.Object())
		}
	}
	f(0x7030000000000, 7, 3, 0)
	f(0x203000000000a, 2, 3, 10)
	f(0xffff08ff00000000|0xfffffffe, 65535, 8, 0xfffffffe)
	f(0, 0, 0, 0)
}

func TestParseLabel(t *testing.T) {
	full := Label{1<<64 - 1, 1<<64 - 1}
	f := func(text string, value, mask Label, ok bool) {
		t.Helper()
		if v, m, is := ParseLabel([]byte(text)); is != ok || ok && (v != value || m != mask) {
			t.Errorf("%s: got %x/%x %v", text, v, m, is)
		}
		wantNumber := ok && value.High == 0 && (mask == full || mask.High == 0)
		if v, m, is := ParseNumber([]byte(text)); is != wantNumber || is && (v != value.Low || m != mask.Low) {
			t.Errorf("%s: as a number %x/%x %v", text, v, m, is)
		}
	}
	f("0x5/0xffffffff", Label{0, 5}, Label{0, 0xffffffff}, true)
	f("0x200000000/0xffffffff00000000", Label{0, 2 << 32}, Label{0, 0xffffffff00000000}, true)
	f("0", Label{}, full, true)
	f("0/0x10", Label{}, Label{0, 16}, true)
	f("65520", Label{0, 65520}, full, true)
	f("8080/65528", Label{0, 8080}, Label{0, 65528}, true)
	f("0x100500000007", Label{0, 0x100500000007}, full, true)
	f("0x20010db8000000000000000000000005/0xffffffff000000000000000000000000", Label{0x20010db800000000, 5}, Label{0xffffffff00000000, 0}, true)
	f("0xffffffffffffffffffffffffffffffff", full, full, true)
	for _, bad := range []string{"", "0x", "/1", "1/", "0x1/x", "1 ", "0x1000000000000000000000000000000001", "18446744073709551616", "+new", "192.0.2.1"} {
		f(bad, Label{}, Label{}, false)
	}

	l, _, _ := ParseLabel([]byte("0xabc0000000600000005"))
	if l.IngressRule() != 5 || l.EgressRule() != 6 || l.L7VLAN() != 0xabc {
		t.Errorf("%x: ingress %d, egress %d, VLAN %x", l, l.IngressRule(), l.EgressRule(), l.L7VLAN())
	}
}

func TestUnquote(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(Unquote([]byte(text))); got != want {
			t.Errorf("%s: want %s, got %s", text, want, got)
		}
	}
	f("", "")
	f("7", "7")
	f(`"7"`, "7")
	f(`"a, \"b\" (c"`, `a, "b" (c`)
	f(`"\u00e9"`, "é")
	f(`"\q"`, `\q`)
	f(`"`, `"`)
}

func TestFlow_Allocations(t *testing.T) {
	var lines [][]byte
	for _, s := range samples() {
		if !strings.Contains(s.line, `table="a`) { // whose escapes cost one
			lines = append(lines, []byte(s.line))
		}
	}
	var f Flow
	parts := 0
	if n := testing.AllocsPerRun(100, func() {
		for _, line := range lines {
			if f.Parse(line) != nil || LineKind(line) != FlowLine {
				t.Fatal(string(line))
			}
			for range f.MatchFields() {
				parts++
			}
			for name, argument := range Actions(f.Actions) {
				parts++
				if string(name) == "ct" {
					for range Actions(argument) {
						parts++
					}
				}
			}
			if _, ok := f.ConjunctionID(); ok {
				parts++
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// style is one of the ways in which a flow is printed.
type style uint8

const (
	withStats style = iota
	noStats
	bridge
	bundle
	colours
	styles
)

// printed gives a flow as Open vSwitch prints it.
func printed(f *Flow, how style) string {
	var b strings.Builder
	key := func(name, format string, args ...any) {
		if how == colours {
			name = "\x1b[36m\x1b[K" + name + "=\x1b[m\x1b[K"
		} else {
			name += "="
		}
		fmt.Fprintf(&b, name+format, args...)
	}
	table := strconv.Itoa(f.TableID)
	if f.TableID < 0 {
		table = strconv.Quote(string(f.TableName))
	}
	count := func(c Count) string {
		if c.Known {
			return strconv.FormatUint(c.Value, 10)
		}
		return "?"
	}
	if how != bundle && how != bridge && f.Has&HasCookie != 0 {
		key("cookie", "0x%x, ", uint64(f.Cookie))
	}
	if how == bridge && f.Has&HasTable != 0 {
		key("table_id", "%s, ", table)
	}
	if f.Has&HasDuration != 0 {
		fraction := strings.TrimRight(fmt.Sprintf(".%09d", f.Duration%time.Second), "0")
		key("duration", "%d%ss, ", f.Duration/time.Second, strings.TrimSuffix(fraction, "."))
	}
	if how != bridge && f.Has&HasTable != 0 {
		key("table", "%s, ", table)
	}
	if how != noStats {
		key("n_packets", "%s, ", count(f.Packets))
		key("n_bytes", "%s, ", count(f.Bytes))
	}
	if f.OffloadPackets.Known {
		key("n_offload_packets", "%s, ", count(f.OffloadPackets))
		key("n_offload_bytes", "%s, ", count(f.OffloadBytes))
	}
	for _, n := range []struct {
		name  string
		value uint16
	}{{"idle_timeout", f.IdleTimeout}, {"hard_timeout", f.HardTimeout}} {
		if n.value != 0 {
			key(n.name, "%d, ", n.value)
		}
	}
	for i, name := range []string{"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts", "allow_hidden_fields", "no_readonly_table"} {
		if f.Flags&(1<<i) != 0 {
			b.WriteString(name + " ")
		}
	}
	if f.Importance != 0 {
		key("importance", "%d, ", f.Importance)
	}
	if f.Has&HasIdleAge != 0 {
		key("idle_age", "%d, ", f.IdleAge)
	}
	if f.Has&HasHardAge != 0 {
		key("hard_age", "%d, ", f.HardAge)
	}
	match := string(f.Match)
	if f.Has&HasPriority != 0 {
		match = strings.TrimSuffix(fmt.Sprintf("priority=%d,%s", f.Priority, match), ",")
	}
	b.WriteString(match)
	switch {
	case how == bridge:
		b.WriteByte(',')
	case match != "":
		b.WriteByte(' ')
	}
	key("actions", "%s", f.Actions)
	if how == bridge || how == bundle {
		return b.String()
	}
	return " " + b.String()
}

// aFlow draws a flow that can be printed in a style.
func aFlow(t *rapid.T, how style) (f Flow) {
	f.Priority = DefaultPriority
	has := func(name string) bool { return rapid.Bool().Draw(t, "has "+name) }
	text := func(name, pattern string) []byte { return []byte(rapid.StringMatching(pattern).Draw(t, name)) }
	count := func(name string) Count {
		if has(name) {
			return known(rapid.Uint64().Draw(t, name))
		}
		return Count{}
	}
	if how != bundle && how != bridge && (how != noStats || has("cookie")) {
		f.Has |= HasCookie
		f.Cookie = Cookie(rapid.Uint64().Draw(t, "cookie"))
	}
	if how != bundle && how != noStats {
		f.Has |= HasDuration
		f.Duration = time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "seconds"))*time.Second + time.Duration(rapid.Int64Range(0, 1e9-1).Draw(t, "nanoseconds"))
		if how == bridge {
			f.Duration = f.Duration.Truncate(time.Second)
		}
	}
	if how == withStats || how == colours || how == bundle || has("table") {
		f.Has |= HasTable
		f.TableID = rapid.IntRange(0, 254).Draw(t, "table")
		if how != bridge && has("name") {
			f.TableID, f.TableName = -1, text("name", `[A-Za-z0-9 ,=()\[\]{}:;"\\_-]{1,20}`)
		}
	}
	if how != noStats {
		f.Packets, f.Bytes = count("packets"), count("bytes")
	}
	if how == bridge {
		if f.OffloadPackets = count("offloaded packets"); f.OffloadPackets.Known {
			f.OffloadBytes = known(rapid.Uint64().Draw(t, "offloaded bytes"))
		}
	} else {
		f.IdleTimeout, f.HardTimeout = rapid.Uint16().Draw(t, "idle timeout"), rapid.Uint16().Draw(t, "hard timeout")
		f.Flags = Flags(rapid.Uint16Range(0, 0x7f).Draw(t, "flags"))
		f.Importance = rapid.Uint16().Draw(t, "importance")
		if has("idle age") {
			f.Has |= HasIdleAge
			f.IdleAge = rapid.Uint32().Draw(t, "idle age")
		}
		if has("hard age") {
			f.Has |= HasHardAge
			f.HardAge = rapid.Uint32().Draw(t, "hard age")
		}
	}
	if has("priority") {
		f.Has |= HasPriority
		f.Priority = rapid.OneOf(rapid.Uint32Range(0, math.MaxUint16), rapid.Uint32Range(0, math.MaxInt32)).Draw(t, "priority")
	}
	fields := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{"ip", "tcp6", "mplsm", "arp"}),
		rapid.StringMatching(`reg[0-9]=0x[0-9a-f]{1,8}(/0x[0-9a-f]{1,8})?`),
		rapid.StringMatching(`in_port="[a-z ,=()\[\]]{1,9}(\\"[a-z,]{0,3})?"`),
		rapid.StringMatching(`(ipv6_src|nd_target)=2001:db8::[0-9a-f]{1,4}(/64)?`),
		rapid.StringMatching(`packet_type=\([01],0x[0-9a-f]{1,4}\)`),
		rapid.StringMatching(`ct_state=([+-](new|est|trk|rel))+`),
	), 0, 5).Draw(t, "fields")
	actions := rapid.SliceOfN(rapid.OneOf(
		rapid.SampledFrom([]string{"drop", "NORMAL", "ct_clear", "decap()", "dec_ttl(0,1)", "resubmit(,70)", "check_pkt_larger(1500)->NXM_NX_REG0[1]"}),
		rapid.StringMatching(`output:"[a-z ,=()\[\]]{1,9}(\\"[a-z,]{0,3})?"`),
		rapid.StringMatching(`(load|set_field):0x[0-9a-f]{1,8}->NXM_NX_REG[0-9]\[[0-9]?\]`),
		rapid.StringMatching(`ct\(commit,zone=[0-9]{1,5}(,nat\(src=\[2001:db8::[0-9]\]:[0-9]{1,4}\))?\)`),
		rapid.StringMatching(`conjunction\([0-9]{1,9},[1-9]/[1-9]\)`),
	), 1, 5).Draw(t, "actions")
	f.Match, f.Actions = []byte(strings.Join(fields, ",")), []byte(strings.Join(actions, ","))
	return f
}

func TestFlow_RoundTrip(t *testing.T) {
	var got Flow
	rapid.Check(t, func(t *rapid.T) {
		how := style(rapid.IntRange(0, int(styles)-1).Draw(t, "style"))
		want := aFlow(t, how)
		line := printed(&want, how)
		if err := got.Parse([]byte(line)); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", line, diff)
		}
		if LineKind([]byte(line)) != FlowLine {
			t.Fatalf("%q: no flow", line)
		}
		if err := whole(&got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	})
}

// whole tells whether the iterators give all of the match and the actions.
func whole(f *Flow) error {
	n := -1
	for name, value := range f.MatchFields() {
		n += 1 + len(name)
		if value != nil {
			n += 1 + len(value)
		}
	}
	if n != len(f.Match) && (n != -1 || len(f.Match) != 0) {
		return fmt.Errorf("%d bytes of the match %q", n, f.Match)
	}
	n = -1
	for name, argument := range Actions(f.Actions) {
		n += 1 + len(name) + len(argument)
		at := f.Actions[n-len(argument):]
		switch {
		case argument == nil:
		case len(argument) > 0 && &at[0] == &argument[0]: // of check_pkt_larger(…)->…
		case at[0] == '(':
			n += 2
		default:
			n++
		}
	}
	if n != len(f.Actions) {
		return fmt.Errorf("%d bytes of the actions %q", n, f.Actions)
	}
	return nil
}

// reader finds the values of a line slowly: by searching for keys.
type reader struct{ keyed, named *regexp.Regexp }

func newReader() *reader {
	return &reader{
		keyed: regexp.MustCompile(`(?:^|[\s,])([a-z_]+)=([^, ]*)`),
		named: regexp.MustCompile(`(?s)table=("(?:[^"\\]|\\.)*"|[^,"]+)`),
	}
}

// holds compares what was taken from a line with what the reader finds.
func (r *reader) holds(line string, f *Flow) error {
	head, _, _ := strings.Cut(line, "actions=")
	if f.TableID < 0 { // names may have anything in them
		m := r.named.FindStringSubmatchIndex(line)
		if m == nil {
			return fmt.Errorf("table %s is not in the line", f.TableName)
		}
		if name := strings.Trim(line[m[2]:m[3]], `"`); name != string(f.TableName) && !strings.Contains(name, `\`) {
			return fmt.Errorf("table %q is %q", name, f.TableName)
		}
		head = line[:m[2]] + line[m[3]:]
		head, _, _ = strings.Cut(head, "actions=")
	}
	pairs := map[string]string{}
	for _, m := range r.keyed.FindAllStringSubmatch(head, -1) {
		if _, twice := pairs[m[1]]; !twice {
			pairs[m[1]] = m[2]
		}
	}
	if !strings.HasSuffix(line, "actions="+string(f.Actions)) || !strings.Contains(line, string(f.Match)) {
		return fmt.Errorf("match %q or actions %q are not those of the line", f.Match, f.Actions)
	}
	same := func(key string, has bool, want uint64) error {
		text := pairs[key]
		n, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), map[bool]int{true: 16, false: 10}[strings.HasPrefix(text, "0x")], 64)
		if has && (err != nil || n != want) {
			return fmt.Errorf("%s is %d, the line has %q", key, want, text)
		}
		return nil
	}
	tableKey := "table"
	if strings.Contains(head, "table_id=") {
		tableKey = "table_id"
	}
	for _, n := range []struct {
		key  string
		has  bool
		want uint64
	}{
		{"cookie", f.Has&HasCookie != 0, uint64(f.Cookie)},
		{tableKey, f.Has&HasTable != 0 && f.TableID >= 0, uint64(f.TableID)},
		{"n_packets", f.Packets.Known, f.Packets.Value},
		{"n_bytes", f.Bytes.Known, f.Bytes.Value},
		{"n_offload_packets", f.OffloadPackets.Known, f.OffloadPackets.Value},
		{"n_offload_bytes", f.OffloadBytes.Known, f.OffloadBytes.Value},
		{"idle_timeout", f.IdleTimeout != 0, uint64(f.IdleTimeout)},
		{"hard_timeout", f.HardTimeout != 0, uint64(f.HardTimeout)},
		{"importance", f.Importance != 0, uint64(f.Importance)},
		{"idle_age", f.Has&HasIdleAge != 0, uint64(f.IdleAge)},
		{"hard_age", f.Has&HasHardAge != 0, uint64(f.HardAge)},
		{"priority", f.Has&HasPriority != 0, uint64(f.Priority)},
	} {
		if err := same(n.key, n.has, n.want); err != nil {
			return err
		}
	}
	if d, err := time.ParseDuration(pairs["duration"]); f.Has&HasDuration != 0 && (err != nil || d != f.Duration) {
		return fmt.Errorf("duration is %s, the line has %q", f.Duration, pairs["duration"])
	}
	return whole(f)
}

// Whatever byte of a line is another one, the line is refused, or each value
// is still that of its own key.
func TestFlow_Mutations(t *testing.T) {
	var f Flow
	r := newReader()
	accepted, refused := 0, 0
	for _, s := range samples() {
		if strings.Contains(s.line, "\x1b") {
			continue
		}
		if err := f.Parse([]byte(s.line)); err != nil {
			t.Fatal(err)
		}
		if err := r.holds(s.line, &f); err != nil {
			t.Fatalf("%s: %v", s.line, err)
		}
		line := []byte(s.line)
		for at, was := range line {
			for _, b := range []byte(" ,=()[]/.:?0179axAZ_-\t\"\\\x00\xff") {
				if line[at] = b; b == was {
					continue
				}
				if f.Parse(line) != nil {
					refused++
					continue
				}
				accepted++
				if err := r.holds(string(line), &f); err != nil {
					t.Errorf("%q: %v", line, err)
				}
			}
			line[at] = was
		}
	}
	if accepted == 0 || refused < accepted {
		t.Errorf("%d accepted, %d refused", accepted, refused)
	}
}

func FuzzFlow(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		var flow Flow
		err := flow.Parse(line)
		if !bytes.Equal(before, line) {
			t.Fatalf("%q was changed to %q", before, line)
		}
		kind := LineKind(line)
		if err != nil {
			var wrong Error
			if !errors.As(err, &wrong) || wrong.Column < 1 || wrong.Column > len(line)+1 {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		if kind != FlowLine {
			t.Fatalf("%q: parses, but is of kind %d", line, kind)
		}
		if err := whole(&flow); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, argument := range Actions(flow.Actions) {
			for range Actions(argument) { // any text may be given
			}
		}
	})
}

func FuzzActions(f *testing.F) {
	f.Add([]byte(`ct(commit,nat(src=[2001:db8::1]:5)),output:"a)",check_pkt_larger(1500)->NXM_NX_REG0[1]`))
	f.Fuzz(func(t *testing.T, list []byte) {
		n := 0
		for name, argument := range Actions(list) {
			n += len(name) + len(argument) + 1
		}
		if n > len(list)+1 {
			t.Fatalf("%q: %d bytes", list, n)
		}
		ParseLabel(list)
		Conjunction(list)
		Unquote(list)
	})
}
