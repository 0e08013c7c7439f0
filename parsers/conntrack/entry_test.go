package conntrack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// equal compares entries: no Other pairs are as good as none of them.
var equal = cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func pairs(keysAndValues ...string) []Pair {
	var ps []Pair
	for i := 0; i < len(keysAndValues); i += 2 {
		ps = append(ps, Pair{[]byte(keysAndValues[i]), []byte(keysAndValues[i+1])})
	}
	return ps
}

// tcp is a line's usual pair of directions, with ports and without counters.
func tcp(e Entry) Entry {
	e.Protocol, e.ProtocolName, e.Family = 6, []byte("tcp"), 4
	e.Orig.Src, e.Orig.Dst, e.Orig.SrcPort, e.Orig.DstPort = addr("192.0.2.10"), addr("198.51.100.7"), 40001, 443
	e.Reply.Src, e.Reply.Dst, e.Reply.SrcPort, e.Reply.DstPort = addr("198.51.100.7"), addr("192.0.2.10"), 443, 40001
	e.Orig.Has |= HasPorts
	e.Reply.Has |= HasPorts
	return e
}

const (
	tcpOrig  = "src=192.0.2.10 dst=198.51.100.7 sport=40001 dport=443"
	tcpReply = "src=198.51.100.7 dst=192.0.2.10 sport=443 dport=40001"
)

// sample is a line, and what it says.
type sample struct {
	line string
	want Entry
}

func samples() []sample {
	icmp := func(e Entry, family int, number uint8, name string, request, answer uint8) Entry {
		a, b := addr("192.0.2.10"), addr("192.0.2.20")
		if family == 6 {
			a, b = addr("2001:db8::10"), addr("2001:db8::20")
		}
		e.Protocol, e.ProtocolName, e.Family = number, []byte(name), family
		e.Orig.Has, e.Orig.Src, e.Orig.Dst, e.Orig.ICMPType, e.Orig.ICMPID = HasICMP, a, b, request, 23250
		e.Reply.Has, e.Reply.Src, e.Reply.Dst, e.Reply.ICMPType, e.Reply.ICMPID = HasICMP, b, a, answer, 23250
		return e
	}
	counted := func(e Entry, packets, bytes, replyPackets, replyBytes uint64) Entry {
		e.Orig.Has |= HasCounters
		e.Reply.Has |= HasCounters
		e.Orig.Packets, e.Orig.Bytes, e.Reply.Packets, e.Reply.Bytes = packets, bytes, replyPackets, replyBytes
		return e
	}
	return []sample{
		// conntrack -L
		{
			"tcp      6 431999 ESTABLISHED " + tcpOrig + " " + tcpReply + " [ASSURED] mark=18 zone=65520 use=1",
			tcp(Entry{Form: List, Has: HasTimeout | HasMark | HasZone | HasUse, Timeout: 431999, State: []byte("ESTABLISHED"), Status: Assured, Mark: 18, Zone: 65520, Use: 1}),
		},
		{ // counters, which nf_conntrack_acct turns on; -o id; nothing was seen of the reply
			"tcp      6 119 SYN_SENT " + tcpOrig + " packets=1 bytes=60 [UNREPLIED] " + tcpReply + " packets=0 bytes=0 mark=4294967295 use=2 id=4294967295",
			counted(tcp(Entry{Form: List, Has: HasTimeout | HasMark | HasUse | HasID, Timeout: 119, State: []byte("SYN_SENT"), Status: Unreplied, Mark: 4294967295, Use: 2, ID: 4294967295}), 1, 60, 0, 0),
		},
		{ // the zone of one direction stands before its counters
			"tcp      6 119 SYN_SENT " + tcpOrig + " zone-orig=5 packets=1 bytes=60 [UNREPLIED] " + tcpReply + " packets=0 bytes=0 mark=0 use=1",
			func() Entry {
				e := counted(tcp(Entry{Form: List, Has: HasTimeout | HasMark | HasUse, Timeout: 119, State: []byte("SYN_SENT"), Status: Unreplied, Use: 1}), 1, 60, 0, 0)
				e.Orig.Zone, e.Orig.Has = 5, e.Orig.Has|HasTupleZone
				return e
			}(),
		},
		{
			"tcp      6 119 SYN_SENT " + tcpOrig + " [UNREPLIED] " + tcpReply + " zone-reply=6 mark=0 use=1",
			func() Entry {
				e := tcp(Entry{Form: List, Has: HasTimeout | HasMark | HasUse, Timeout: 119, State: []byte("SYN_SENT"), Status: Unreplied, Use: 1})
				e.Reply.Zone, e.Reply.Has = 6, HasPorts|HasTupleZone
				return e
			}(),
		},
		{ // labels and timestamps; the labels come last
			"tcp      6 10 TIME_WAIT " + tcpOrig + " " + tcpReply + " [ASSURED] mark=0 delta-time=90 [start=Sat Nov 21 14:25:33 2026] use=1 id=7 labels=web,db-1",
			tcp(Entry{
				Form: List, Has: HasTimeout | HasMark | HasUse | HasID | HasDeltaTime, Timeout: 10, State: []byte("TIME_WAIT"), Status: Assured, Use: 1, ID: 7,
				DeltaTime: 90, Start: []byte("Sat Nov 21 14:25:33 2026"), Labels: []byte("web,db-1"),
			}),
		},
		{ // no label is set: conntrack drops the =
			"tcp      6 10 TIME_WAIT " + tcpOrig + " " + tcpReply + " mark=0 use=1 labels",
			tcp(Entry{Form: List, Has: HasTimeout | HasMark | HasUse, Timeout: 10, State: []byte("TIME_WAIT"), Use: 1}),
		},
		{ // a clock that went back
			"tcp      6 10 CLOSE " + tcpOrig + " " + tcpReply + " mark=0 delta-time=18446744073709551615 use=1",
			tcp(Entry{Form: List, Has: HasTimeout | HasMark | HasUse | HasDeltaTime, Timeout: 10, State: []byte("CLOSE"), Use: 1, DeltaTime: 18446744073709551615}),
		},
		{ // no state but of TCP, SCTP and DCCP; IPv6 compressed
			"udp      17 29 src=2001:db8::10 dst=2001:db8::53 sport=5353 dport=53 [UNREPLIED] src=2001:db8::53 dst=2001:db8::10 sport=53 dport=5353 mark=0 use=1",
			Entry{
				Form: List, Has: HasTimeout | HasMark | HasUse, Family: 6, Protocol: 17, ProtocolName: []byte("udp"), Timeout: 29, Status: Unreplied, Use: 1,
				Orig:  Tuple{Has: HasPorts, Src: addr("2001:db8::10"), Dst: addr("2001:db8::53"), SrcPort: 5353, DstPort: 53},
				Reply: Tuple{Has: HasPorts, Src: addr("2001:db8::53"), Dst: addr("2001:db8::10"), SrcPort: 53, DstPort: 5353},
			},
		},
		{ // two ids in a tuple's place, the last one is the entry's
			"icmp     1 29 src=192.0.2.10 dst=192.0.2.20 type=8 code=0 id=23250 src=192.0.2.20 dst=192.0.2.10 type=0 code=0 id=23250 id=139514757",
			icmp(Entry{Form: List, Has: HasTimeout | HasID, Timeout: 29, ID: 139514757}, 4, 1, "icmp", 8, 0),
		},
		{
			"gre      47 29 src=192.0.2.10 dst=192.0.2.20 srckey=0x10 dstkey=0xffff [UNREPLIED] src=192.0.2.20 dst=192.0.2.10 srckey=0xffff dstkey=0x10 mark=0 use=1",
			Entry{
				Form: List, Has: HasTimeout | HasMark | HasUse, Family: 4, Protocol: 47, ProtocolName: []byte("gre"), Timeout: 29, Status: Unreplied, Use: 1,
				Orig:  Tuple{Has: HasKeys, Src: addr("192.0.2.10"), Dst: addr("192.0.2.20"), SrcKey: 16, DstKey: 65535},
				Reply: Tuple{Has: HasKeys, Src: addr("192.0.2.20"), Dst: addr("192.0.2.10"), SrcKey: 65535, DstKey: 16},
			},
		},
		{ // a protocol that the tool has no name for, and that has addresses only
			"unknown  89 599 src=192.0.2.10 dst=192.0.2.20 [UNREPLIED] src=192.0.2.20 dst=192.0.2.10 mark=0 use=1",
			Entry{
				Form: List, Has: HasTimeout | HasMark | HasUse, Family: 4, Protocol: 89, ProtocolName: []byte("unknown"), Timeout: 599, Status: Unreplied, Use: 1,
				Orig:  Tuple{Src: addr("192.0.2.10"), Dst: addr("192.0.2.20")},
				Reply: Tuple{Src: addr("192.0.2.20"), Dst: addr("192.0.2.10")},
			},
		},
		{ // what vendors' kernels add is kept, wherever it stands
			"tcp      6 9 LAST_ACK " + tcpOrig + " sc=1 " + tcpReply + " [ASSURED] [FAST] mark=0 nmark=0x7 secctx=system_u:object_r:net_t:s0 helper=ftp use=1",
			tcp(Entry{
				Form: List, Has: HasTimeout | HasMark | HasUse, Timeout: 9, State: []byte("LAST_ACK"), Status: Assured, Use: 1,
				Other: pairs("sc", "1", "FAST", "", "nmark", "0x7", "secctx", "system_u:object_r:net_t:s0", "helper", "ftp"),
			}),
		},

		// conntrack -L -o extended
		{
			"ipv4     2 sctp     132 210 ESTABLISHED src=192.0.2.10 dst=192.0.2.20 sport=1 dport=3868 src=192.0.2.20 dst=192.0.2.10 sport=3868 dport=1 [ASSURED] mark=0 use=1",
			Entry{
				Form: Extended, Has: HasTimeout | HasMark | HasUse, Family: 4, Protocol: 132, ProtocolName: []byte("sctp"), Timeout: 210, State: []byte("ESTABLISHED"), Status: Assured, Use: 1,
				Orig:  Tuple{Has: HasPorts, Src: addr("192.0.2.10"), Dst: addr("192.0.2.20"), SrcPort: 1, DstPort: 3868},
				Reply: Tuple{Has: HasPorts, Src: addr("192.0.2.20"), Dst: addr("192.0.2.10"), SrcPort: 3868, DstPort: 1},
			},
		},

		// /proc/net/nf_conntrack
		{ // zone 0 is printed, IPv6 is not compressed
			"ipv6     10 icmpv6   58 29 src=2001:0db8:0000:0000:0000:0000:0000:0010 dst=2001:0db8:0000:0000:0000:0000:0000:0020 type=128 code=0 id=23250 packets=1 bytes=104 src=2001:0db8:0000:0000:0000:0000:0000:0020 dst=2001:0db8:0000:0000:0000:0000:0000:0010 type=129 code=0 id=23250 packets=1 bytes=104 mark=0 zone=0 use=2",
			counted(icmp(Entry{Form: Extended, Has: HasTimeout | HasMark | HasZone | HasUse, Timeout: 29, Use: 2}, 6, 58, "icmpv6", 128, 129), 1, 104, 1, 104),
		},
		{ // in the flowtable there is neither timeout nor state
			"ipv4     2 tcp      6 " + tcpOrig + " packets=9 bytes=900 " + tcpReply + " packets=8 bytes=800 [OFFLOAD] mark=0 zone=0 use=3",
			counted(tcp(Entry{Form: Extended, Has: HasMark | HasZone | HasUse, Status: Offload, Use: 3}), 9, 900, 8, 800),
		},
		{
			"ipv4     2 tcp      6 " + tcpOrig + " " + tcpReply + " [HW_OFFLOAD] mark=0 secctx=null zone=0 delta-time=7 use=3",
			tcp(Entry{Form: Extended, Has: HasMark | HasZone | HasUse | HasDeltaTime, Status: HWOffload, Use: 3, DeltaTime: 7, Other: pairs("secctx", "null")}),
		},
		{ // the kernel's GRE has pairs in the place of the state
			"ipv4     2 gre      47 22 timeout=30, stream_timeout=180 src=192.0.2.10 dst=192.0.2.20 srckey=0x0 dstkey=0x0 src=192.0.2.20 dst=192.0.2.10 srckey=0x0 dstkey=0x0 mark=0 zone=0 use=2",
			Entry{
				Form: Extended, Has: HasTimeout | HasMark | HasZone | HasUse, Family: 4, Protocol: 47, ProtocolName: []byte("gre"), Timeout: 22, Use: 2,
				Orig:  Tuple{Has: HasKeys, Src: addr("192.0.2.10"), Dst: addr("192.0.2.20")},
				Reply: Tuple{Has: HasKeys, Src: addr("192.0.2.20"), Dst: addr("192.0.2.10")},
				Other: pairs("timeout", "30", "stream_timeout", "180"),
			},
		},
		{ // kernels without DCCP do not know its ports
			"ipv4     2 unknown  33 21 src=192.0.2.10 dst=192.0.2.20 [UNREPLIED] src=192.0.2.20 dst=192.0.2.10 mark=0 zone=0 use=2",
			Entry{
				Form: Extended, Has: HasTimeout | HasMark | HasZone | HasUse, Family: 4, Protocol: 33, ProtocolName: []byte("unknown"), Timeout: 21, Status: Unreplied, Use: 2,
				Orig:  Tuple{Src: addr("192.0.2.10"), Dst: addr("192.0.2.20")},
				Reply: Tuple{Src: addr("192.0.2.20"), Dst: addr("192.0.2.10")},
			},
		},

		// conntrack -E
		{ // padded to a column; neither mark nor use
			"    [NEW] tcp      6 120 SYN_SENT " + tcpOrig + " [UNREPLIED] " + tcpReply,
			tcp(Entry{Form: List, Event: New, Has: HasTimeout, Timeout: 120, State: []byte("SYN_SENT"), Status: Unreplied}),
		},
		{
			" [UPDATE] tcp      6 60 SYN_RECV " + tcpOrig + " " + tcpReply + " mark=1",
			tcp(Entry{Form: List, Event: Update, Has: HasTimeout | HasMark, Timeout: 60, State: []byte("SYN_RECV"), Mark: 1}),
		},
		{ // what timed out has a state, and no timeout
			"[DESTROY] tcp      6 ESTABLISHED " + tcpOrig + " packets=3 bytes=180 " + tcpReply + " packets=2 bytes=120 [ASSURED] delta-time=43 [start=Sat Nov 21 14:25:33 2026] [stop=Sat Nov 21 14:26:16 2026]",
			counted(tcp(Entry{
				Form: List, Event: Destroy, Has: HasDeltaTime, State: []byte("ESTABLISHED"), Status: Assured, DeltaTime: 43,
				Start: []byte("Sat Nov 21 14:25:33 2026"), Stop: []byte("Sat Nov 21 14:26:16 2026"),
			}), 3, 180, 2, 120),
		},
		{ // -o timestamp, extended, id, userspace; of ICMP both ids stand side by side
			"[1795271222.112770]\t    [NEW] ipv4     2 icmp     1 30 src=192.0.2.10 dst=192.0.2.20 type=8 code=0 id=23250 [UNREPLIED] src=192.0.2.20 dst=192.0.2.10 type=0 code=0 id=23250 id=1 [USERSPACE] portid=4081763839 progname=conntrack",
			icmp(Entry{
				Form: Extended, Event: New, Time: 1795271222112770000, Has: HasTimeout | HasID, Timeout: 30, Status: Unreplied, ID: 1,
				Other: pairs("USERSPACE", "", "portid", "4081763839", "progname", "conntrack"),
			}, 4, 1, "icmp", 8, 0),
		},

		// ovs-appctl dpctl/dump-conntrack
		{
			"tcp,orig=(src=192.0.2.10,dst=198.51.100.7,sport=40001,dport=443),reply=(src=198.51.100.7,dst=192.0.2.10,sport=443,dport=40001),zone=65520,mark=18,labels=0x500000007,protoinfo=(state=ESTABLISHED)",
			tcp(Entry{Form: Datapath, Has: HasZone | HasMark, Zone: 65520, Mark: 18, Labels: []byte("0x500000007"), State: []byte("ESTABLISHED")}),
		},
		{ // -m -s, the kernel's datapath
			"tcp,orig=(src=192.0.2.10,dst=198.51.100.7,sport=40001,dport=443,packets=9,bytes=900),reply=(src=198.51.100.7,dst=192.0.2.10,sport=443,dport=40001,packets=8,bytes=800),start=2026-11-21T14:25:33.123,stop=2026-11-21T14:26:16.001,id=7,zone=65520,status=SEEN_REPLY|ASSURED|CONFIRMED|SRC_NAT_DONE|DST_NAT_DONE,timeout=86399,mark=18,labels=0x7,protoinfo=(state_orig=ESTABLISHED,state_reply=FIN_WAIT_1,wscale_orig=7,wscale_reply=9,flags_orig=WINDOW_SCALE|SACK_PERM,flags_reply=WINDOW_SCALE),helper=ftp,parent=(src=192.0.2.10,dst=198.51.100.7,sport=40000,dport=21)",
			counted(tcp(Entry{
				Form: Datapath, Has: HasID | HasZone | HasTimeout | HasMark, ID: 7, Zone: 65520, Timeout: 86399, Mark: 18, Labels: []byte("0x7"), Status: Assured,
				State: []byte("ESTABLISHED"), StateReply: []byte("FIN_WAIT_1"), Start: []byte("2026-11-21T14:25:33.123"), Stop: []byte("2026-11-21T14:26:16.001"),
				Other: pairs("status", "SEEN_REPLY|ASSURED|CONFIRMED|SRC_NAT_DONE|DST_NAT_DONE", "wscale_orig", "7", "wscale_reply", "9", "flags_orig", "WINDOW_SCALE|SACK_PERM", "flags_reply", "WINDOW_SCALE",
					"helper", "ftp", "parent", "(src=192.0.2.10,dst=198.51.100.7,sport=40000,dport=21)"),
			}), 9, 900, 8, 800),
		},
		{ // the kernel's datapath tells that nothing was seen of the reply
			"tcp,orig=(src=192.0.2.10,dst=198.51.100.7,sport=40001,dport=443),reply=(src=198.51.100.7,dst=192.0.2.10,sport=443,dport=40001),id=7,status=CONFIRMED,protoinfo=(state_orig=[12],state_reply=[12],flags_orig=,flags_reply=)",
			tcp(Entry{
				Form: Datapath, Has: HasID, ID: 7, Status: Unreplied, State: []byte("[12]"), StateReply: []byte("[12]"),
				Other: pairs("status", "CONFIRMED", "flags_orig", "", "flags_reply", ""),
			}),
		},
		{ // the userspace datapath tells nothing of it; id before type and code
			"icmp,orig=(src=192.0.2.10,dst=192.0.2.20,id=23250,type=8,code=0),reply=(src=192.0.2.20,dst=192.0.2.10,id=23250,type=0,code=0),id=0,zone=65520,status=0,timeout=28",
			icmp(Entry{Form: Datapath, Has: HasID | HasZone | HasTimeout, Zone: 65520, Timeout: 28, Other: pairs("status", "0")}, 4, 1, "icmp", 8, 0),
		},
		{ // older ones print an id without type and code, and a status without bits as nothing
			"icmpv6,orig=(src=2001:db8::10,dst=2001:db8::20,id=23250),reply=(src=2001:db8::20,dst=2001:db8::10,id=23250),id=1,status=,timeout=28",
			icmp(Entry{Form: Datapath, Has: HasID | HasTimeout, ID: 1, Timeout: 28, Other: pairs("status", "")}, 6, 58, "icmpv6", 0, 0),
		},
		{ // a protocol that Open vSwitch has no name for has ports all the same
			"47,orig=(src=192.0.2.10,dst=192.0.2.20,sport=0,dport=0),reply=(src=192.0.2.20,dst=192.0.2.10,sport=0,dport=0)",
			Entry{
				Form: Datapath, Family: 4, Protocol: 47,
				Orig:  Tuple{Has: HasPorts, Src: addr("192.0.2.10"), Dst: addr("192.0.2.20")},
				Reply: Tuple{Has: HasPorts, Src: addr("192.0.2.20"), Dst: addr("192.0.2.10")},
			},
		},
	}
}

func TestEntry_Parse(t *testing.T) {
	var e Entry // one for all: nothing of the line before may stay
	for _, s := range samples() {
		for _, end := range []string{"", "\n", "\r\n"} {
			if err := e.Parse([]byte(s.line + end)); err != nil {
				t.Errorf("%s%q: %v", s.line, end, err)
				continue
			}
			if diff := cmp.Diff(s.want, e, equal); diff != "" {
				t.Errorf("%s%q (-want +got):\n%s", s.line, end, diff)
			}
		}
		if got := LineKind([]byte(s.line)); got != EntryLine {
			t.Errorf("%s: is of kind %d", s.line, got)
		}
	}
}

func TestStatus(t *testing.T) {
	f := func(status Status, want string) {
		t.Helper()
		if got := string(status.Append([]byte("x"))); got != "x"+want {
			t.Errorf("%d: want %q, got %q", status, want, got)
		}
	}
	f(0, "")
	f(HWOffload, "HW_OFFLOAD")
	f(Unreplied|Assured|Offload|1<<7, "UNREPLIED,ASSURED,OFFLOAD")
}

func TestEvent(t *testing.T) {
	f := func(event Event, want string) {
		t.Helper()
		if event.String() != want {
			t.Errorf("%d: want %q, got %q", event, want, event)
		}
	}
	f(NoEvent, "")
	f(New, "NEW")
	f(Update, "UPDATE")
	f(Destroy, "DESTROY")
}

func TestEntry_ParseErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		var e Entry
		if err := e.Parse([]byte(line)); err == nil || err.Error() != want {
			t.Errorf("%s:\nwant %s\n got %v", line, want, err)
		}
	}
	f("", "column 1: expected a protocol")
	f("???", "column 1: expected a protocol")
	f("conntrack v1.4.6 (conntrack-tools): 3 flow entries have been shown.", "column 11: expected the number of the protocol")
	f("tcp", "column 1: expected a protocol")
	f("tcp      7 1 ESTABLISHED "+tcpOrig+" "+tcpReply, "column 10: expected the number of the protocol")
	f("unknown  256 1 "+tcpOrig+" "+tcpReply, "column 10: expected the number of the protocol")
	f("ipv4     10 tcp      6 "+tcpOrig+" "+tcpReply, "column 10: expected the number of the family: 2 of ipv4, 10 of ipv6")
	f("ipv6     10 tcp      6 "+tcpOrig+" "+tcpReply, "column 28: expected an address, of one family with the others")
	f("ipv4     2 TCP", "column 12: expected a protocol")
	f("tcp      6 4294967296 "+tcpOrig+" "+tcpReply, "column 12: expected a timeout in seconds")
	f("tcp      6 1x "+tcpOrig+" "+tcpReply, "column 12: expected a timeout in seconds")
	f("tcp      6 1 Established "+tcpOrig, "column 15: expected a blank after the state")
	f("tcp      6 1 "+tcpOrig, "column 67: expected src= of the reply")
	f("tcp      6 1 src=192.0.2.256", "column 18: expected an address, of one family with the others")
	f("tcp      6 1 src=192.0.2.1 dst=2001:db8::1", "column 32: expected an address, of one family with the others")
	f("udp      17 1 src=192.0.2.1 dst=192.0.2.2 sport=65536", "column 49: expected a port")
	f("udp      17 1 src=192.0.2.1 dst=192.0.2.2 sport= dport=1", "column 49: expected a port")
	f("udp      17 1 src=192.0.2.1 dst=192.0.2.2 sport=1 src=192.0.2.2", "column 51: expected sport= and dport= before")
	f("udp      17 1 src=192.0.2.1 src=192.0.2.2", "column 29: expected src= and dst= before")
	f("icmp     1 1 src=192.0.2.1 dst=192.0.2.2 type=256", "column 47: expected an ICMP type")
	f("icmp     1 1 src=192.0.2.1 dst=192.0.2.2 type=8 code=0 src=192.0.2.2", "column 56: expected type=, code= and id= before")
	f("gre      47 1 src=192.0.2.1 dst=192.0.2.2 srckey=16", "column 50: expected a key in hexadecimal")
	f("gre      47 1 src=192.0.2.1 dst=192.0.2.2 srckey=0x1ffffffff", "column 50: expected a key in hexadecimal")
	f("tcp      6 1 "+tcpOrig+" packets=1 [UNREPLIED] "+tcpReply, "column 90: expected packets= and bytes= before")
	f("tcp      6 1 "+tcpOrig+" packets=1 bytes=18446744073709551616", "column 84: expected a number")
	f("tcp      6 1 "+tcpOrig+" sport=1", "column 74: expected each key once in a direction")
	f("tcp      6 1 "+tcpOrig+" zone-reply=1 "+tcpReply, "column 79: expected zone-orig before and zone-reply after the src of the reply")
	f("tcp      6 1 "+tcpOrig+" zone-orig=65536 "+tcpReply, "column 78: expected a zone")
	f("tcp      6 1 [UNREPLIED] "+tcpOrig+" "+tcpReply, "column 14: expected [UNREPLIED] between the directions")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" mark=0x12", "column 127: expected a decimal mark")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" mark=1 mark=1", "column 134: expected each key once")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" [ASSURED mark=1 [X]", "column 122: expected a flag in brackets")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" [ASSURED mark=1", "column 122: expected a flag in brackets")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" secctx=a,mark=1", "column 129: expected a value without =")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" mark", "column 126: expected a key and =")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" =1", "column 122: expected a key and =")
	f("tcp      6 1 "+tcpOrig+" "+tcpReply+" "+tcpOrig, "column 126: expected each key once in a direction")
	f("[1795271222.11277] [NEW] tcp", "column 18: expected microseconds and a bracket")
	f("[1795271222.112770] tcp      6", "column 21: expected [NEW], [UPDATE] or [DESTROY]")

	f("tcp,orig(", "column 4: expected ,orig=(")
	f("ospf,orig=(", "column 1: expected a protocol's name or number")
	f("256,orig=(", "column 1: expected a protocol's name or number")
	f("tcp,orig=()", "column 11: expected a key and =")
	f("tcp,orig=(x=1),", "column 14: expected src= and dst= before")
	f("tcp,orig=(sport=1,dport=2),", "column 26: expected src= and dst= before")
	f("tcp,orig=(src=192.0.2.1,dst=192.0.2.2,sport=1),", "column 46: expected sport= and dport= before")
	f("tcp,orig=(src=192.0.2.1,dst=192.0.2.2),reply=(src=192.0.2.2,dst=192.0.2.1", "column 74: expected a comma or a bracket")
	f("tcp,orig=(src=192.0.2.1,dst=192.0.2.2),zone=1", "column 39: expected ,reply=(")
	const both = "tcp,orig=(src=192.0.2.1,dst=192.0.2.2),reply=(src=192.0.2.2,dst=192.0.2.1)"
	f(both+"zone=1", "column 75: expected a comma")
	f(both+",zone=65536", "column 81: expected a zone")
	f(both+",mark=0x1", "column 81: expected a decimal mark")
	f(both+",timeout=1,timeout=1", "column 94: expected each key once")
	f(both+",protoinfo=state", "column 86: expected pairs in brackets")
	f(both+",protoinfo=(state=A", "column 94: expected a closing bracket")
	f(both+",labels=0x1;mark=1", "column 91: expected a value without =")
}

func TestLineKind(t *testing.T) {
	f := func(line string, want Kind) {
		t.Helper()
		if got := LineKind([]byte(line)); got != want {
			t.Errorf("%s: want kind %d, got %d", line, want, got)
		}
	}
	f("conntrack v1.4.6 (conntrack-tools): 3 flow entries have been shown.", SummaryLine)
	f("conntrack v1.4.7 (conntrack-tools): 21 flow events have been shown.\n", SummaryLine)
	f("conntrack v1.4.7 (conntrack-tools): 1 flow entries have been deleted.", SummaryLine)
	f("conntrack v1.4.7 (conntrack-tools): Operation failed: sorry", OtherLine)
	f("", OtherLine)
	f("[", OtherLine)
	f("[start of something", OtherLine)
	f("2026/11/21 10:11:12.000123 IngressRule K8sNetworkPolicy Drop src=1", OtherLine)
	f("300 proto=6 src=192.0.2.1 dst=192.0.2.2 sport=0 dport=33000 mask-src=255.255.255.255", OtherLine) // conntrack -L expect
	f("-A -t 431999 -u SEEN_REPLY,ASSURED -s 192.0.2.1 -d 192.0.2.2", OtherLine)                         // -o save
	f("<conntrack><flow><meta direction=\"original\">", OtherLine)                                       // -o xml
	f(" cookie=0x0, duration=1.2s, table=0, n_packets=0, n_bytes=0, priority=0 actions=NORMAL", OtherLine)
}

func TestEntry_Allocations(t *testing.T) {
	var lines [][]byte
	for _, s := range samples() {
		lines = append(lines, []byte(s.line))
	}
	var e Entry
	if n := testing.AllocsPerRun(100, func() {
		for _, line := range lines {
			if e.Parse(line) != nil || LineKind(line) != EntryLine {
				t.Fatal(string(line))
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// printed gives an entry as its form prints it.
func printed(e *Entry, proc bool) string {
	if e.Form == Datapath {
		return printDatapath(e)
	}
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	if e.Time != 0 {
		p("[%d.%06d]\t", e.Time/1e9, e.Time%1e9/1000)
	}
	if e.Event != NoEvent {
		p("%9s ", []string{New: "[NEW]", Update: "[UPDATE]", Destroy: "[DESTROY]"}[e.Event])
	}
	if e.Form == Extended {
		p("%-8s %d ", fmt.Sprintf("ipv%d", e.Family), map[int]int{4: 2, 6: 10}[e.Family])
	}
	p("%-8s %d ", e.ProtocolName, e.Protocol)
	if e.Has&HasTimeout != 0 {
		p("%d ", e.Timeout)
	}
	if e.State != nil {
		p("%s ", e.State)
	}
	for _, t := range []*Tuple{&e.Orig, &e.Reply} {
		if proc {
			p("src=%s dst=%s ", t.Src.StringExpanded(), t.Dst.StringExpanded())
		} else {
			p("src=%s dst=%s ", t.Src, t.Dst)
		}
		if t.Has&HasPorts != 0 {
			p("sport=%d dport=%d ", t.SrcPort, t.DstPort)
		}
		if t.Has&HasICMP != 0 {
			p("type=%d code=%d id=%d ", t.ICMPType, t.ICMPCode, t.ICMPID)
		}
		if t.Has&HasKeys != 0 {
			p("srckey=0x%x dstkey=0x%x ", t.SrcKey, t.DstKey)
		}
		if t.Has&HasTupleZone != 0 {
			p("zone-%s=%d ", map[*Tuple]string{&e.Orig: "orig", &e.Reply: "reply"}[t], t.Zone)
		}
		if t.Has&HasCounters != 0 {
			p("packets=%d bytes=%d ", t.Packets, t.Bytes)
		}
		if t == &e.Orig && e.Status&Unreplied != 0 {
			p("[UNREPLIED] ")
		}
	}
	for i, flag := range []string{"ASSURED", "OFFLOAD", "HW_OFFLOAD"} {
		if e.Status&(Assured<<i) != 0 {
			p("[%s] ", flag)
		}
	}
	if e.Has&HasMark != 0 {
		p("mark=%d ", e.Mark)
	}
	if e.Has&HasZone != 0 {
		p("zone=%d ", e.Zone)
	}
	if e.Has&HasDeltaTime != 0 {
		p("delta-time=%d ", e.DeltaTime)
	}
	if e.Start != nil {
		p("[start=%s] ", e.Start)
	}
	if e.Stop != nil {
		p("[stop=%s] ", e.Stop)
	}
	if e.Has&HasUse != 0 {
		p("use=%d ", e.Use)
	}
	if e.Has&HasID != 0 {
		p("id=%d ", e.ID)
	}
	if e.Labels != nil {
		p("labels=%s ", e.Labels)
	}
	for _, o := range e.Other {
		if len(o.Value) == 0 {
			p("[%s] ", o.Key)
		} else {
			p("%s=%s ", o.Key, o.Value)
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

func printDatapath(e *Entry) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	if e.ProtocolName != nil {
		p("%s", e.ProtocolName)
	} else {
		p("%d", e.Protocol)
	}
	for _, t := range []*Tuple{&e.Orig, &e.Reply} {
		p(",%s=(src=%s,dst=%s", map[*Tuple]string{&e.Orig: "orig", &e.Reply: "reply"}[t], t.Src, t.Dst)
		if t.Has&HasICMP != 0 {
			p(",id=%d,type=%d,code=%d", t.ICMPID, t.ICMPType, t.ICMPCode)
		} else {
			p(",sport=%d,dport=%d", t.SrcPort, t.DstPort)
		}
		if t.Has&HasCounters != 0 {
			p(",packets=%d,bytes=%d", t.Packets, t.Bytes)
		}
		p(")")
	}
	if e.Start != nil {
		p(",start=%s", e.Start)
	}
	if e.Stop != nil {
		p(",stop=%s", e.Stop)
	}
	if e.Has&HasID != 0 {
		p(",id=%d", e.ID)
	}
	if e.Has&HasZone != 0 {
		p(",zone=%d", e.Zone)
	}
	if e.Has&HasTimeout != 0 {
		p(",timeout=%d", e.Timeout)
	}
	if e.Has&HasMark != 0 {
		p(",mark=%d", e.Mark)
	}
	if e.Labels != nil {
		p(",labels=%s", e.Labels)
	}
	switch {
	case e.StateReply != nil:
		p(",protoinfo=(state_orig=%s,state_reply=%s)", e.State, e.StateReply)
	case e.State != nil:
		p(",protoinfo=(state=%s)", e.State)
	}
	for _, o := range e.Other {
		p(",%s=%s", o.Key, o.Value)
	}
	return b.String()
}

// anEntry draws an entry, and whether /proc prints it.
func anEntry(t *rapid.T) (e Entry, proc bool) {
	e.Form = Form(rapid.IntRange(int(List), int(Datapath)).Draw(t, "form"))
	proc = e.Form == Extended && rapid.Bool().Draw(t, "proc")
	list := e.Form != Datapath
	has := func(name string) bool { return rapid.Bool().Draw(t, "has "+name) }
	text := func(name, pattern string) []byte { return []byte(rapid.StringMatching(pattern).Draw(t, name)) }

	e.Family = rapid.SampledFrom([]int{4, 6}).Draw(t, "family")
	known := rapid.SampledFrom(protocols[:]).Draw(t, "protocol")
	e.Protocol, e.ProtocolName = known.number, []byte(known.name)
	if has("unknown protocol") {
		e.Protocol, e.ProtocolName = rapid.Uint8Range(140, 255).Draw(t, "number"), nil
		if list {
			e.ProtocolName = []byte("unknown")
		}
	}
	address := func(name string) netip.Addr {
		if e.Family == 4 {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, name)))
		}
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0, 1, 0xff}), 16, 16).Draw(t, name)))
	}
	for _, to := range []*Tuple{&e.Orig, &e.Reply} {
		name := map[*Tuple]string{&e.Orig: "orig", &e.Reply: "reply"}[to]
		to.Src, to.Dst = address(name+" src"), address(name+" dst")
		switch {
		case e.Protocol == 1 || e.Protocol == 58:
			to.Has |= HasICMP
			to.ICMPType, to.ICMPCode, to.ICMPID = rapid.Uint8().Draw(t, "type"), rapid.Uint8().Draw(t, "code"), rapid.Uint16().Draw(t, "id")
		case e.Protocol == 47 && list:
			to.Has |= HasKeys
			to.SrcKey, to.DstKey = rapid.Uint32().Draw(t, "srckey"), rapid.Uint32().Draw(t, "dstkey")
		case !list || len(e.ProtocolName) < 7 && e.Protocol != 2:
			to.Has |= HasPorts
			to.SrcPort, to.DstPort = rapid.Uint16().Draw(t, "sport"), rapid.Uint16().Draw(t, "dport")
		}
		if has("counters") {
			to.Has |= HasCounters
			to.Packets, to.Bytes = rapid.Uint64().Draw(t, "packets"), rapid.Uint64().Draw(t, "bytes")
		}
		if list && has("tuple zone") {
			to.Has |= HasTupleZone
			to.Zone = rapid.Uint16().Draw(t, "tuple zone")
		}
	}
	if has("state") {
		e.State = text("state", `[A-Z][A-Z0-9_]{0,12}`)
		if !list && has("state of the reply") {
			e.StateReply = text("state of the reply", `[A-Z][A-Z0-9_]{0,12}`)
		}
	}
	number := func(name string, has Fields, to *uint32) {
		if rapid.Bool().Draw(t, "has "+name) {
			e.Has |= has
			*to = rapid.Uint32().Draw(t, name)
		}
	}
	number("timeout", HasTimeout, &e.Timeout)
	number("mark", HasMark, &e.Mark)
	number("id", HasID, &e.ID)
	if has("zone") {
		e.Has |= HasZone
		e.Zone = rapid.Uint16().Draw(t, "zone")
	}
	if has("start") {
		e.Start = text("start", `Sat Nov [ 12][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9] 20[0-9][0-9]`)
		if has("stop") {
			e.Stop = text("stop", `Sun Nov [ 12][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9] 20[0-9][0-9]`)
		}
	}
	if has("labels") {
		e.Labels = text("labels", map[bool]string{true: `[a-z]{1,5}(,[a-z0-9-]{1,5}){0,3}`, false: `0x[1-9a-f][0-9a-f]{0,31}`}[list])
	}
	if list {
		number("use", HasUse, &e.Use)
		if has("delta-time") {
			e.Has |= HasDeltaTime
			e.DeltaTime = rapid.Uint64().Draw(t, "delta-time")
		}
		if has("event") {
			e.Event = Event(rapid.IntRange(int(New), int(Destroy)).Draw(t, "event"))
			if has("time") {
				e.Time = rapid.Int64Range(1, 9e9*1e6).Draw(t, "time") * 1000
			}
		}
		e.Status = Status(rapid.IntRange(0, int(Unreplied|Assured|Offload|HWOffload)).Draw(t, "status"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "others") {
		if list && has("flag") {
			e.Other = append(e.Other, Pair{Key: text("flag", `X[A-Z_]{1,8}`)})
		} else {
			e.Other = append(e.Other, Pair{text("key", `x[a-z_-]{1,8}`), text("value", `[a-z0-9:._|-]{1,8}`)})
		}
	}
	return e, proc
}

func TestEntry_RoundTrip(t *testing.T) {
	var got Entry
	rapid.Check(t, func(t *rapid.T) {
		want, proc := anEntry(t)
		line := printed(&want, proc)
		if err := got.Parse([]byte(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", line, diff)
		}
		if LineKind([]byte(line)) != EntryLine {
			t.Fatalf("%s: no entry", line)
		}
	})
}

// reader finds the values of a line slowly: by searching for keys.
type reader struct{ keyed, brackets *regexp.Regexp }

func newReader() *reader {
	return &reader{regexp.MustCompile(`([^\s,()\[\]=]+)=([^\s,()\[\]]*)`), regexp.MustCompile(`\([^()]*\)`)}
}

// holds compares what was taken from a line with what the reader finds.
func (r *reader) holds(line string, e *Entry) error {
	type side struct {
		t     *Tuple
		name  string
		pairs map[string]string
	}
	keyed := r.keyed
	sides := []side{{t: &e.Orig, name: "orig"}, {t: &e.Reply, name: "reply"}}
	tail := map[string]string{}
	switch e.Form {
	case Datapath:
		rest := line
		for i := range sides {
			_, after, _ := strings.Cut(rest, sides[i].name+"=(")
			inner, behind, _ := strings.Cut(after, ")")
			sides[i].pairs = map[string]string{}
			for _, m := range keyed.FindAllStringSubmatch(inner, -1) {
				sides[i].pairs[m[1]] = m[2]
			}
			rest = behind
		}
		outside := r.brackets.ReplaceAllString(rest, "")
		for _, m := range keyed.FindAllStringSubmatch(outside, -1) {
			tail[m[1]] = m[2]
		}
	default:
		parts := strings.Split(line, "src=")
		if len(parts) != 3 {
			return fmt.Errorf("%d times src=", len(parts)-1)
		}
		for i := range sides {
			sides[i].pairs = map[string]string{}
			for _, m := range keyed.FindAllStringSubmatch("src="+parts[i+1], -1) {
				if _, twice := sides[i].pairs[m[1]]; twice && m[1] == "id" {
					tail["id"] = m[2]
					continue
				}
				sides[i].pairs[m[1]] = m[2]
				if i == 1 {
					tail[m[1]] = m[2]
				}
			}
		}
		if fields := strings.Fields(parts[0]); e.Has&HasTimeout != 0 && !contains(fields, strconv.FormatUint(uint64(e.Timeout), 10)) {
			return fmt.Errorf("timeout %d is not in the head", e.Timeout)
		}
		delete(tail, "timeout")
		if e.Orig.Has&HasICMP != 0 && e.Has&HasID == 0 {
			delete(tail, "id")
		}
	}
	same := func(pairs map[string]string, key string, has bool, want uint64, base int) error {
		text, there := pairs[key]
		if !has {
			return nil
		}
		if n, err := strconv.ParseUint(text, base, 64); !there || err != nil || n != want {
			return fmt.Errorf("%s is %d, the line has %q", key, want, text)
		}
		return nil
	}
	for _, s := range sides {
		for key, want := range map[string]netip.Addr{"src": s.t.Src, "dst": s.t.Dst} {
			if a, err := netip.ParseAddr(s.pairs[key]); err != nil || a != want {
				return fmt.Errorf("%s %s is %s, the line has %q", s.name, key, want, s.pairs[key])
			}
		}
		icmp := s.t.Has&HasICMP != 0
		for _, n := range []struct {
			key  string
			has  bool
			want uint64
			base int
		}{
			{"sport", s.t.Has&HasPorts != 0, uint64(s.t.SrcPort), 10},
			{"dport", s.t.Has&HasPorts != 0, uint64(s.t.DstPort), 10},
			{"id", icmp, uint64(s.t.ICMPID), 10},
			{"type", icmp && s.pairs["type"] != "", uint64(s.t.ICMPType), 10},
			{"code", icmp && s.pairs["type"] != "", uint64(s.t.ICMPCode), 10},
			{"srckey", s.t.Has&HasKeys != 0, uint64(s.t.SrcKey), 0},
			{"dstkey", s.t.Has&HasKeys != 0, uint64(s.t.DstKey), 0},
			{"packets", s.t.Has&HasCounters != 0, s.t.Packets, 10},
			{"bytes", s.t.Has&HasCounters != 0, s.t.Bytes, 10},
			{"zone-" + s.name, s.t.Has&HasTupleZone != 0, uint64(s.t.Zone), 10},
		} {
			if err := same(s.pairs, n.key, n.has, n.want, n.base); err != nil {
				return fmt.Errorf("%s %w", s.name, err)
			}
		}
	}
	for _, n := range []struct {
		key  string
		has  Fields
		want uint64
	}{
		{"mark", HasMark, uint64(e.Mark)},
		{"zone", HasZone, uint64(e.Zone)},
		{"use", HasUse, uint64(e.Use)},
		{"id", HasID, uint64(e.ID)},
		{"delta-time", HasDeltaTime, e.DeltaTime},
	} {
		if err := same(tail, n.key, e.Has&n.has != 0, n.want, 10); err != nil {
			return err
		}
	}
	for key, value := range map[string][]byte{"": e.State, "labels": e.Labels, "start": e.Start, "stop": e.Stop} {
		if value != nil && !strings.Contains(line, string(value)) || key != "" && value != nil && !strings.Contains(line, key+"="+string(value)) {
			return fmt.Errorf("%s %q is not in the line", key, value)
		}
	}
	return nil
}

func contains(fields []string, want string) bool {
	for _, f := range fields {
		if strings.TrimLeft(f, "0") == strings.TrimLeft(want, "0") {
			return true
		}
	}
	return false
}

// Whatever byte of a line is another one, the line is refused, or each value
// is still that of its own key.
func TestEntry_Mutations(t *testing.T) {
	var e Entry
	r := newReader()
	accepted, refused := 0, 0
	for _, s := range samples() {
		if err := e.Parse([]byte(s.line)); err != nil {
			t.Fatal(err)
		}
		if err := r.holds(s.line, &e); err != nil {
			t.Fatalf("%s: %v", s.line, err)
		}
		line := []byte(s.line)
		for at, was := range line {
			for _, b := range []byte(" ,=()[]/.:0179axAZ_-\t\"\x00\xff") {
				if line[at] = b; b == was {
					continue
				}
				if e.Parse(line) != nil {
					refused++
					continue
				}
				accepted++
				if err := r.holds(string(line), &e); err != nil {
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

func TestParseAddress(t *testing.T) {
	f := func(text string) {
		t.Helper()
		want, err := netip.ParseAddr(text)
		got, ok := parseAddress([]byte(text))
		if ok != (err == nil && want.Zone() == "") || ok && got != want {
			t.Errorf("%q: want %v (%v), got %v %v", text, want, err, got, ok)
		}
	}
	for _, text := range []string{
		"", "192.0.2.1", "192.0.2.256", "192.0.2", "192.0.2.1.", "192.0.2.01", "192..2.1", ".1.2.3", "1.2.3.4.5", "255.255.255.255", "0.0.0.0", "00.0.0.0",
		"::", "::1", "1::", "2001:db8::1", "2001:db8::1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "1::2:3:4:5:6:7:8",
		"::ffff:192.0.2.1", "1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:7:192.0.2.1", "1:2:3:4:5:192.0.2.1", "::192.0.2.1:1", "12345::", "g::", ":1", ":::", "1:", "fe80::1%eth0",
		"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:DB8::A",
	} {
		f(text)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.StringMatching(`[0-9a-f:.]{0,20}`),
			rapid.StringMatching(`([0-9a-f]{1,4}:){0,8}:?([0-9a-f]{1,4}:){0,7}[0-9a-f]{0,4}`),
			rapid.StringMatching(`([0-9]{1,3}\.){3}[0-9]{1,3}`),
		).Draw(t, "text")
		want, err := netip.ParseAddr(text)
		got, ok := parseAddress([]byte(text))
		if ok != (err == nil) || ok && got != want {
			t.Fatalf("%q: want %v (%v), got %v %v", text, want, err, got, ok)
		}
	})
}

func FuzzEntry(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		var e Entry
		err := e.Parse(line)
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
		if kind != EntryLine {
			t.Fatalf("%q: parses, but is of kind %d", line, kind)
		}
		if !e.Orig.Src.IsValid() || !e.Reply.Dst.IsValid() || (e.Family == 4) != e.Orig.Dst.Is4() || e.Form == 0 {
			t.Fatalf("%q: %+v", line, e)
		}
	})
}
