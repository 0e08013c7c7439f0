package parsers

import (
	"bytes"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/parsers/conntrack"
	"github.com/corkline/corkline/parsers/internal/dump"
	"github.com/corkline/corkline/parsers/ovs"
)

// dumps are the typed parsers that a layout may name in place of an
// expression. Each makes a reader for one goroutine.
func dumps() map[string]func() dumpReader {
	return map[string]func() dumpReader{
		"ovs-flow":        func() dumpReader { return new(flowLine) },
		"ovs-group":       func() dumpReader { return new(groupLine) },
		"ovs-group-stats": func() dumpReader { return new(groupStatsLine) },
		"ovs-table":       func() dumpReader { return new(tableRecord) },
		"ovs-port":        func() dumpReader { return new(portRecord) },
		"ovs-port-stats":  func() dumpReader { return new(portStatsRecord) },
		"conntrack":       func() dumpReader { return new(entryLine) },
	}
}

// dumpReader reads the records of a dump, one after the other. Most are a line.
type dumpReader interface {
	// Parse reads a record. The error is a dump.Error.
	Parse(line []byte) error
	// notes tells whether a record is one of those that usually stand beside what
	// is dumped. Parse would make an error of it, which takes memory.
	notes(line []byte) bool
	// values gives the values of the line that was read last: always of the
	// same fields, in the same order.
	values(to *dumpValues)
}

// dumpValues takes the values of a line as the fields of a record, or, without
// a record, learns which fields there are.
type dumpValues struct {
	record  *Record
	indices []int // of the fields, in their order
	next    int   // in indices
	fields  []Field
}

// add writes a value. One that is empty or a word for absence is none.
func (v *dumpValues) add(name string, number bool, write func(to []byte) []byte) {
	if v.record == nil {
		v.fields = append(v.fields, Field{name, number})
		return
	}
	s := v.record.Scratch
	start := s.begin()
	if s.bytes = write(s.bytes); v.record.Definition.isAbsent(s.bytes[start:]) {
		s.bytes = s.bytes[:start]
	}
	if s.begin() > start {
		v.record.Spans[v.indices[v.next]] = s.end(start)
	}
	v.next++
}

func (v *dumpValues) text(name string, value []byte) {
	v.add(name, false, func(to []byte) []byte { return append(to, value...) })
}

func (v *dumpValues) word(name, value string) {
	v.add(name, false, func(to []byte) []byte { return append(to, value...) })
}

func (v *dumpValues) address(name string, value netip.Addr) {
	v.add(name, false, value.AppendTo)
}

// number writes a number that the line has, or that is known without it.
func (v *dumpValues) number(name string, value uint64, has bool) {
	v.add(name, true, func(to []byte) []byte {
		if !has {
			return to
		}
		return strconv.AppendUint(to, value, 10)
	})
}

func (v *dumpValues) count(name string, c ovs.Count) { v.number(name, c.Value, c.Known) }

func (v *dumpValues) hex(name string, value uint64, has bool) {
	v.add(name, false, func(to []byte) []byte {
		if !has {
			return to
		}
		return strconv.AppendUint(append(to, "0x"...), value, 16)
	})
}

// seconds writes a time in seconds, with as many decimals as it needs.
func (v *dumpValues) seconds(name string, d time.Duration, has bool) {
	v.add(name, true, func(to []byte) []byte {
		if !has {
			return to
		}
		to = strconv.AppendInt(to, int64(d/time.Second), 10)
		fraction := d % time.Second
		if fraction == 0 {
			return to
		}
		end := len(to)
		to = strconv.AppendInt(to, int64(time.Second+fraction), 10)
		to[end] = '.' // in place of the 1
		return bytes.TrimRight(to, "0")
	})
}

// counter keeps a counter that the line has beyond the fields; its key begins
// with the direction, if it is of one.
func (v *dumpValues) counter(set string, name []byte, value uint64) {
	s := v.record.Scratch
	start := s.begin()
	if direction, _, of := strings.Cut(set, " rfc2819"); of {
		s.bytes = append(append(s.bytes, direction...), '_')
	}
	s.bytes = append(s.bytes, name...)
	middle := s.begin()
	s.bytes = strconv.AppendUint(s.bytes, value, 10)
	v.record.Pairs = append(v.record.Pairs, Pair{Span{^int32(start), ^int32(middle)}, s.end(middle)})
}

// pair keeps what the line has beyond the fields.
func (v *dumpValues) pair(key, value []byte) {
	s := v.record.Scratch
	start := s.begin()
	s.bytes = append(s.bytes, key...)
	middle := s.begin()
	s.bytes = append(s.bytes, value...)
	v.record.Pairs = append(v.record.Pairs, Pair{Span{^int32(start), ^int32(middle)}, s.end(middle)})
}

// list writes what n elements have in common, with a text between.
func (v *dumpValues) list(name, between string, n int, element func(to []byte, i int) []byte) {
	v.add(name, false, func(to []byte) []byte {
		for i := range n {
			if i > 0 {
				to = append(to, between...)
			}
			to = element(to, i)
		}
		return to
	})
}

// appendCount appends a counter as Open vSwitch prints it: ? when it is not known.
func appendCount(to []byte, c ovs.Count) []byte {
	if !c.Known {
		return append(to, '?')
	}
	return strconv.AppendUint(to, c.Value, 10)
}

// protocolName gives the name that logs have for a protocol, or its number.
func protocolName(number uint8) string {
	switch number {
	case 1:
		return "ICMP"
	case 2:
		return "IGMP"
	case 6:
		return tcp
	case 17:
		return "UDP"
	case 33:
		return "DCCP"
	case 47:
		return "GRE"
	case 58:
		return "IPv6-ICMP"
	case 132:
		return "SCTP"
	case 136:
		return "UDPLite"
	default:
		return strconv.Itoa(int(number)) // which allocates nothing below 100
	}
}

const tcp = "TCP"

// flowLine is a flow of an Open vSwitch bridge, and what is known of its match.
type flowLine struct {
	ovs.Flow
	table                                      []byte
	tableNumber                                [3]byte
	portName                                   []byte // which port lies in
	protocol                                   string
	port, srcIP, dstIP, srcNet, dstNet         []byte
	ctState, ctMark, ctLabel                   []byte
	srcPort, dstPort, icmpType, icmpCode, zone ovs.Count
	conjunction                                ovs.Count
}

func (l *flowLine) values(to *dumpValues) {
	to.text("table", l.table)
	to.hex("cookie", uint64(l.Cookie), l.Has&ovs.HasCookie != 0)
	to.number("priority", uint64(l.Priority), true)
	to.count("packets", l.Packets)
	to.count("bytes", l.Bytes)
	to.count("offload_packets", l.OffloadPackets)
	to.count("offload_bytes", l.OffloadBytes)
	to.seconds("duration", l.Duration, l.Has&ovs.HasDuration != 0)
	to.number("idle_timeout", uint64(l.IdleTimeout), l.IdleTimeout > 0)
	to.number("hard_timeout", uint64(l.HardTimeout), l.HardTimeout > 0)
	to.number("importance", uint64(l.Importance), l.Importance > 0)
	to.number("idle_age", uint64(l.IdleAge), l.Has&ovs.HasIdleAge != 0)
	to.number("hard_age", uint64(l.HardAge), l.Has&ovs.HasHardAge != 0)
	to.add("flags", false, l.Flags.Append)
	to.text("ofport", l.port)
	to.word("protocol", l.protocol)
	to.text("src_ip", l.srcIP)
	to.text("src_net", l.srcNet)
	to.count("src_port", l.srcPort)
	to.text("dst_ip", l.dstIP)
	to.text("dst_net", l.dstNet)
	to.count("dst_port", l.dstPort)
	to.count("icmp_type", l.icmpType)
	to.count("icmp_code", l.icmpCode)
	to.count("zone", l.zone)
	to.text("ct_state", l.ctState)
	to.text("ct_mark", l.ctMark)
	to.text("ct_label", l.ctLabel)
	to.count("conjunction", l.conjunction)
	to.text("match", l.Match)
	to.text("actions", l.Actions)
}

func (l *flowLine) notes(line []byte) bool {
	_, reply := ovs.ReplyName(line)
	return reply
}

// Parse reads a flow. What is known of its match must have values that it can have.
func (l *flowLine) Parse(line []byte) error {
	*l = flowLine{Flow: l.Flow, portName: l.portName} // which has memory of its own
	if err := l.Flow.Parse(line); err != nil {
		return err
	}
	if l.table = l.TableName; l.TableID >= 0 {
		l.table = strconv.AppendInt(l.tableNumber[:0], int64(l.TableID), 10)
	}
	at := 0
	for name, value := range l.MatchFields() {
		at += len(name) + 1
		if expected := l.take(name, value); expected != "" {
			return dump.Error{Column: max(bytes.Index(line, l.Match), 0) + at + 1, Expected: expected}
		}
		if value != nil {
			at += len(value) + 1
		}
	}
	return nil
}

// take keeps what is known of a field of the match. It tells what was expected
// in place of a value that the field cannot have.
func (l *flowLine) take(name, value []byte) (expected string) {
	switch string(name) {
	case "tcp", "tcp6":
		l.protocol = tcp
	case "udp", "udp6":
		l.protocol = "UDP"
	case "sctp", "sctp6":
		l.protocol = "SCTP"
	case "icmp":
		l.protocol = "ICMP"
	case "icmp6":
		l.protocol = "IPv6-ICMP"
	case "igmp":
		l.protocol = "IGMP"
	case "arp":
		l.protocol = "ARP"
	case "rarp":
		l.protocol = "RARP"
	case "mpls", "mplsm":
		l.protocol = "MPLS"
	case "nw_proto":
		var n ovs.Count
		if expected = exactly(&n, value, math.MaxUint8); n.Known {
			l.protocol = protocolName(uint8(n.Value))
		}
	case "in_port":
		l.portName = ovs.AppendUnquoted(l.portName[:0], value)
		l.port = l.portName
	case "nw_src", "ipv6_src", "arp_spa":
		l.srcIP, l.srcNet, expected = network(value)
	case "nw_dst", "ipv6_dst", "arp_tpa":
		l.dstIP, l.dstNet, expected = network(value)
	case "tp_src":
		expected = exactly(&l.srcPort, value, math.MaxUint16)
	case "tp_dst":
		expected = exactly(&l.dstPort, value, math.MaxUint16)
	case "icmp_type":
		expected = exactly(&l.icmpType, value, math.MaxUint8)
	case "icmp_code":
		expected = exactly(&l.icmpCode, value, math.MaxUint8)
	case "ct_zone":
		expected = exactly(&l.zone, value, math.MaxUint16)
	case "conj_id":
		expected = exactly(&l.conjunction, value, math.MaxUint32)
	case "ct_state":
		l.ctState = value
	case "ct_mark":
		l.ctMark = value
	case "ct_label":
		l.ctLabel = value
	}
	return expected
}

// exactly reads a number up to a limit, which has all bits set. One with a mask
// is right, but not known.
func exactly(n *ovs.Count, text []byte, limit uint64) (expected string) {
	value, mask, ok := ovs.ParseNumber(text)
	if !ok || value > limit {
		return "a number up to " + strconv.FormatUint(limit, 10)
	}
	*n = ovs.Count{Value: value, Known: mask&limit == limit}
	return ""
}

// network tells an address from one with a mask, which is a number of bits or
// has the form of an address.
func network(text []byte) (address, masked []byte, expected string) {
	address, mask, has := bytes.Cut(text, []byte("/"))
	bits, isBits := digits(mask)
	switch {
	case len(address) > 0 && isAddress(address) && !has:
		return address, nil, ""
	case len(address) > 0 && isAddress(address) && (isBits && bits <= 128 || len(mask) > 0 && isAddress(mask)):
		return nil, text, ""
	default:
		return nil, nil, "an IP address, or one with a mask"
	}
}

// ovsKind tells what the first line of a record of Open vSwitch is.
func ovsKind(record []byte) ovs.Kind {
	first, _, _ := bytes.Cut(record, []byte("\n"))
	return ovs.LineKind(first)
}

// groupLine is a group of an Open vSwitch bridge. What its buckets have is a
// list for each field, in their order.
type groupLine struct{ ovs.Group }

func (l *groupLine) notes(line []byte) bool { return ovsKind(line) != ovs.GroupLine }

func (l *groupLine) values(to *dumpValues) {
	weighted, watchesPort, watchesGroup := false, false, false
	for i := range l.Buckets {
		b := &l.Buckets[i]
		weighted = weighted || b.Weight > 0
		watchesPort, watchesGroup = watchesPort || len(b.WatchPort) > 0, watchesGroup || len(b.WatchGroup) > 0
	}
	list := func(name, between string, has bool, value func(to []byte, b *ovs.Bucket) []byte) {
		n := 0
		if has {
			n = len(l.Buckets)
		}
		to.list(name, between, n, func(to []byte, i int) []byte { return value(to, &l.Buckets[i]) })
	}
	to.number("group", uint64(l.ID), true)
	to.text("type", l.Type)
	to.text("selection_method", l.SelectionMethod)
	to.number("selection_param", l.SelectionParam, l.SelectionParam > 0)
	to.text("hash_fields", l.HashFields)
	to.number("buckets", uint64(len(l.Buckets)), true)
	list("bucket_ids", ",", true, func(to []byte, b *ovs.Bucket) []byte { return strconv.AppendUint(to, uint64(b.ID), 10) })
	list("weights", ",", weighted, func(to []byte, b *ovs.Bucket) []byte { return strconv.AppendUint(to, uint64(b.Weight), 10) })
	list("watch_ports", ",", watchesPort, func(to []byte, b *ovs.Bucket) []byte { return appendWatched(to, b.WatchPort) })
	list("watch_groups", ",", watchesGroup, func(to []byte, b *ovs.Bucket) []byte { return appendWatched(to, b.WatchGroup) })
	list("actions", "; ", true, func(to []byte, b *ovs.Bucket) []byte { return append(to, b.Actions...) })
}

// appendWatched appends what a bucket watches, which may be nothing while others
// of its group do.
func appendWatched(to, text []byte) []byte {
	if len(text) == 0 {
		return append(to, "none"...)
	}
	return append(to, text...)
}

// groupStatsLine are the counters of a group, and those of its buckets as lists.
type groupStatsLine struct{ ovs.GroupStats }

func (l *groupStatsLine) notes(line []byte) bool { return ovsKind(line) != ovs.GroupStatsLine }

func (l *groupStatsLine) values(to *dumpValues) {
	to.number("group", uint64(l.ID), true)
	to.seconds("duration", l.Duration, l.Duration > 0)
	to.number("references", uint64(l.References), true)
	to.count("packets", l.Packets)
	to.count("bytes", l.Bytes)
	to.list("bucket_ids", ",", len(l.Buckets), func(to []byte, i int) []byte { return strconv.AppendUint(to, uint64(l.Buckets[i].Bucket), 10) })
	to.list("bucket_packets", ",", len(l.Buckets), func(to []byte, i int) []byte { return appendCount(to, l.Buckets[i].Packets) })
	to.list("bucket_bytes", ",", len(l.Buckets), func(to []byte, i int) []byte { return appendCount(to, l.Buckets[i].Bytes) })
}

// tableRecord are the counters of a table, or what tables have those of the one
// before.
type tableRecord struct{ ovs.Table }

func (l *tableRecord) notes(record []byte) bool { return ovsKind(record) != ovs.TableLine }

func (l *tableRecord) values(to *dumpValues) {
	ditto := ""
	if l.Ditto {
		ditto = "true"
	}
	to.number("table", uint64(l.ID), true)
	to.number("last_table", uint64(l.Last), l.Ditto)
	to.word("ditto", ditto)
	to.text("name", l.Name)
	to.number("active", uint64(l.Active), !l.Ditto)
	to.number("lookups", l.Lookups, !l.Ditto)
	to.number("matched", l.Matched, !l.Ditto)
}

// portRecord describes a port.
type portRecord struct{ ovs.PortDesc }

func (l *portRecord) notes(record []byte) bool { return ovsKind(record) != ovs.PortDescLine }

func (l *portRecord) values(to *dumpValues) {
	to.text("ofport", l.Port)
	to.text("name", l.Name)
	to.text("mac", l.Address)
	to.text("config", l.Config)
	to.text("state", l.State)
	to.text("current", l.Current)
	to.text("advertised", l.Advertised)
	to.text("supported", l.Supported)
	to.text("peer", l.Peer)
	to.number("speed_mbps", uint64(l.Speed), true)
	to.number("max_speed_mbps", uint64(l.MaxSpeed), true)
}

// portStatsRecord are the counters of a port. Those that only some devices have
// are pairs.
type portStatsRecord struct{ ovs.Port }

func (l *portStatsRecord) notes(record []byte) bool { return ovsKind(record) != ovs.PortLine }

func (l *portStatsRecord) values(to *dumpValues) {
	number, name := l.PortStatsOf.Port, []byte(nil)
	if l.Number < 0 && string(number) != "LOCAL" {
		number, name = nil, number
	}
	to.text("ofport", number)
	to.text("name", name)
	to.count("rx_packets", l.RxPackets)
	to.count("rx_bytes", l.RxBytes)
	to.count("rx_dropped", l.RxDropped)
	to.count("rx_errors", l.RxErrors)
	to.count("rx_frame_errors", l.RxFrameErrors)
	to.count("rx_overruns", l.RxOverruns)
	to.count("rx_crc_errors", l.RxCRCErrors)
	to.count("tx_packets", l.TxPackets)
	to.count("tx_bytes", l.TxBytes)
	to.count("tx_dropped", l.TxDropped)
	to.count("tx_errors", l.TxErrors)
	to.count("collisions", l.Collisions)
	to.seconds("duration", l.Duration, l.Duration > 0)
	for i := range l.More {
		if c := &l.More[i]; c.Known {
			to.counter(c.Set, c.Name, c.Value)
		}
	}
}

// entryLine is an entry of the connection tracking table.
type entryLine struct{ conntrack.Entry }

func (l *entryLine) notes(line []byte) bool {
	return conntrack.LineKind(line) == conntrack.SummaryLine
}

func (l *entryLine) values(to *dumpValues) {
	orig, reply := &l.Orig, &l.Reply
	ports, icmp, keys := orig.Has&conntrack.HasPorts != 0, orig.Has&conntrack.HasICMP != 0, orig.Has&conntrack.HasKeys != 0
	protocol, state, tcpState := protocolName(l.Protocol), l.State, []byte(nil)
	if protocol == tcp {
		state, tcpState = nil, l.State
	}
	to.word("event", l.Event.String())
	to.seconds("event_time", time.Duration(l.Time), l.Time != 0)
	to.number("family", uint64(l.Family), true)
	to.word("protocol", protocol)
	to.text("tcp_state", tcpState)
	to.text("state", state)
	to.text("reply_state", l.StateReply)
	to.add("status", false, l.Status.Append)
	to.number("timeout", uint64(l.Timeout), l.Has&conntrack.HasTimeout != 0)
	to.address("src_ip", orig.Src)
	to.number("src_port", uint64(orig.SrcPort), ports)
	to.address("dst_ip", orig.Dst)
	to.number("dst_port", uint64(orig.DstPort), ports)
	to.number("icmp_type", uint64(orig.ICMPType), icmp)
	to.number("icmp_code", uint64(orig.ICMPCode), icmp)
	to.number("icmp_id", uint64(orig.ICMPID), icmp)
	to.hex("gre_src_key", uint64(orig.SrcKey), keys)
	to.hex("gre_dst_key", uint64(orig.DstKey), keys)
	to.number("packets", orig.Packets, orig.Has&conntrack.HasCounters != 0)
	to.number("bytes", orig.Bytes, orig.Has&conntrack.HasCounters != 0)
	to.address("reply_src_ip", reply.Src)
	to.number("reply_src_port", uint64(reply.SrcPort), reply.Has&conntrack.HasPorts != 0)
	to.address("reply_dst_ip", reply.Dst)
	to.number("reply_dst_port", uint64(reply.DstPort), reply.Has&conntrack.HasPorts != 0)
	to.number("reply_packets", reply.Packets, reply.Has&conntrack.HasCounters != 0)
	to.number("reply_bytes", reply.Bytes, reply.Has&conntrack.HasCounters != 0)
	// Zone 0 is not printed. A direction's zone is in place of the entry's.
	directed := (orig.Has|reply.Has)&conntrack.HasTupleZone != 0
	to.number("zone", uint64(l.Zone), l.Has&conntrack.HasZone != 0 || !directed)
	to.number("orig_zone", uint64(orig.Zone), orig.Has&conntrack.HasTupleZone != 0)
	to.number("reply_zone", uint64(reply.Zone), reply.Has&conntrack.HasTupleZone != 0)
	to.number("mark", uint64(l.Mark), l.Has&conntrack.HasMark != 0)
	to.text("labels", l.Labels)
	to.number("use", uint64(l.Use), l.Has&conntrack.HasUse != 0)
	to.number("id", uint64(l.ID), l.Has&conntrack.HasID != 0)
	to.number("age", l.DeltaTime, l.Has&conntrack.HasDeltaTime != 0)
	to.text("start_time", l.Start)
	to.text("stop_time", l.Stop)
	for _, pair := range l.Other {
		to.pair(pair.Key, pair.Value)
	}
}
