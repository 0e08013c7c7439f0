package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Status bits of an entry (enum ip_conntrack_status of Linux).
const (
	Expected   = 1 << 0 // by a helper, such as a data connection of FTP
	SeenReply  = 1 << 1
	Assured    = 1 << 2 // not evicted when the table is full
	Confirmed  = 1 << 3
	SourceNAT  = 1 << 4
	DestNAT    = 1 << 5
	Dying      = 1 << 9
	Offload    = 1 << 14 // bypasses the tracker in software
	HWOffload  = 1 << 15 // or in hardware
	anyOffload = Offload | HWOffload
)

// Entry is one connection.
type Entry struct {
	Orig, Reply Tuple

	Family   uint8 // 4 or 6
	Protocol uint8 // IANA's number
	// State of TCP, SCTP and DCCP, numbered as in the kernel; 0 is none.
	State uint8

	Zone    uint16
	Status  uint32 // see SeenReply and the others
	Mark    uint32
	Timeout uint32 // seconds until the entry goes; 0 when it is offloaded
	ID      uint32
	Labels  [16]byte // see Rules
	// Start and Stop in Unix nanoseconds; 0 unless nf_conntrack_timestamp is on.
	// Stop is that of a destroyed one.
	Start, Stop uint64
}

// Unreplied tells whether no packet came back.
func (e *Entry) Unreplied() bool { return e.Status&SeenReply == 0 }

// Offloaded tells whether the connection bypasses the tracker.
func (e *Entry) Offloaded() bool { return e.Status&anyOffload != 0 }

// Tuple is one direction of a connection.
type Tuple struct {
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // keys of GRE

	ICMPType, ICMPCode uint8
	ICMPID             uint16

	Packets, Bytes uint64 // 0 unless nf_conntrack_acct is on
}

// Attributes of nfnetlink_conntrack.h of Linux.
const (
	attrTupleOrig     = 1
	attrTupleReply    = 2
	attrStatus        = 3
	attrProtoInfo     = 4
	attrTimeout       = 7
	attrMark          = 8
	attrCountersOrig  = 9
	attrCountersReply = 10
	attrUse           = 11
	attrID            = 12
	attrZone          = 18
	attrTimestamp     = 20
	attrMarkMask      = 21
	attrLabels        = 22
	attrStatusMask    = 26

	attrTupleIP    = 1
	attrTupleProto = 2
	attrTupleZone  = 3

	attrIPv4Src = 1
	attrIPv4Dst = 2
	attrIPv6Src = 3
	attrIPv6Dst = 4

	attrProtoInfoTCP = 1

	attrProtoNum     = 1
	attrProtoSrcPort = 2
	attrProtoDstPort = 3
	attrICMPID       = 4
	attrICMPType     = 5
	attrICMPCode     = 6
	attrICMPv6ID     = 7
	attrICMPv6Type   = 8
	attrICMPv6Code   = 9

	attrPackets   = 1
	attrBytes     = 2
	attrPackets32 = 3
	attrBytes32   = 4

	attrStart = 1
	attrStop  = 2

	attrTypeMask = 1<<14 - 1 // the two bits above are flags
)

// errShort is all that can be wrong with attributes: they end before what they
// announce.
var errShort = errors.New("an attribute is cut short")

// next gives the first attribute and those behind it. With ok false there is
// none; the rest is then empty unless it is damaged.
func next(attrs []byte) (kind uint16, value, rest []byte, ok bool) {
	if len(attrs) < 4 {
		return 0, nil, attrs, false
	}
	size := int(binary.NativeEndian.Uint16(attrs))
	if size < 4 || size > len(attrs) {
		return 0, nil, attrs, false
	}
	return binary.NativeEndian.Uint16(attrs[2:]) & attrTypeMask, attrs[4:size], attrs[min((size+3)&^3, len(attrs)):], true
}

// messageBytes are before the attributes: struct nfgenmsg.
const messageBytes = 4

// Decode reads the payload of a message (what follows its nlmsghdr) into e,
// whatever e held before. Attributes that it does not know are passed over. It
// keeps nothing of the payload, and allocates nothing unless it fails.
func (e *Entry) Decode(payload []byte) error {
	*e = Entry{}
	if len(payload) < messageBytes {
		return fmt.Errorf("decode a message of conntrack: %w", errShort)
	}
	switch payload[0] {
	case familyIPv4:
		e.Family = 4
	case familyIPv6:
		e.Family = 6
	}
	if !e.attributes(payload[messageBytes:]) {
		return fmt.Errorf("decode a message of conntrack: %w", errShort)
	}
	return nil
}

func (e *Entry) attributes(attrs []byte) bool {
	for {
		attrs = e.common(attrs)
		kind, value, rest, ok := next(attrs)
		if !ok {
			return len(rest) == 0
		}
		switch attrs = rest; kind {
		case attrTupleOrig:
			ok = e.usual(&e.Orig, value) || e.tuple(&e.Orig, value)
		case attrTupleReply:
			ok = e.usual(&e.Reply, value) || e.tuple(&e.Reply, value)
		case attrStatus:
			e.Status, ok = be32(value)
		case attrProtoInfo:
			ok = e.protoInfo(value)
		case attrTimeout:
			e.Timeout, ok = be32(value)
		case attrMark:
			e.Mark, ok = be32(value)
		case attrCountersOrig:
			ok = e.Orig.counters(value)
		case attrCountersReply:
			ok = e.Reply.counters(value)
		case attrID:
			e.ID, ok = be32(value)
		case attrZone:
			e.Zone, ok = be16(value)
		case attrTimestamp:
			ok = e.timestamp(value)
		case attrLabels:
			copy(e.Labels[:], value)
		}
		if !ok {
			return false
		}
	}
}

// Heads of attributes, their sizes and kinds, as all kernels send them, and as
// read from a machine whose lowest byte is first. Another one does not know them.
const (
	nestedFlag   = 1 << 15
	headOrig4    = 4 + 48 | (nestedFlag|attrTupleOrig)<<16
	headReply4   = 4 + 48 | (nestedFlag|attrTupleReply)<<16
	headStatus   = 4 + 4 | attrStatus<<16
	headTimeout  = 4 + 4 | attrTimeout<<16
	headMark     = 4 + 4 | attrMark<<16
	headID       = 4 + 4 | attrID<<16
	headUse      = 4 + 4 | attrUse<<16
	headZone     = 4 + 2 | attrZone<<16
	headLabels   = 4 + 16 | attrLabels<<16
	headTCP      = 4 + 44 | (nestedFlag|attrProtoInfo)<<16
	headTCPInner = 4 + 40 | (nestedFlag|attrProtoInfoTCP)<<16

	headIPv4    = 4 + 8 + 8 | (nestedFlag|attrTupleIP)<<16
	headIPv4Src = 4 + 4 | attrIPv4Src<<16
	headIPv4Dst = 4 + 4 | attrIPv4Dst<<16
	headIPv6    = 4 + 20 + 20 | (nestedFlag|attrTupleIP)<<16
	headIPv6Src = 4 + 16 | attrIPv6Src<<16
	headIPv6Dst = 4 + 16 | attrIPv6Dst<<16
	headProto   = 4 + 8 + 8 + 8 | (nestedFlag|attrTupleProto)<<16
	headNum     = 4 + 1 | attrProtoNum<<16
	headSrcPort = 4 + 2 | attrProtoSrcPort<<16
	headDstPort = 4 + 2 | attrProtoDstPort<<16
	headState   = 4 + 1 | 1<<16
)

func head(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// common reads the attributes that most entries have, as far as they are first,
// and gives the others.
func (e *Entry) common(attrs []byte) []byte {
	for len(attrs) >= 8 {
		switch head(attrs) {
		case headOrig4:
			if len(attrs) < 52 || !e.usual(&e.Orig, attrs[4:52]) {
				return attrs
			}
			attrs = attrs[52:]
		case headReply4:
			if len(attrs) < 52 || !e.usual(&e.Reply, attrs[4:52]) {
				return attrs
			}
			attrs = attrs[52:]
		case headTCP:
			if len(attrs) < 48 || head(attrs[4:]) != headTCPInner || head(attrs[8:]) != headState {
				return attrs
			}
			e.State = attrs[12]
			attrs = attrs[48:]
		case headLabels:
			if len(attrs) < 20 {
				return attrs
			}
			e.Labels = [16]byte(attrs[4:])
			attrs = attrs[20:]
		case headStatus:
			e.Status = binary.BigEndian.Uint32(attrs[4:])
			attrs = attrs[8:]
		case headTimeout:
			e.Timeout = binary.BigEndian.Uint32(attrs[4:])
			attrs = attrs[8:]
		case headMark:
			e.Mark = binary.BigEndian.Uint32(attrs[4:])
			attrs = attrs[8:]
		case headID:
			e.ID = binary.BigEndian.Uint32(attrs[4:])
			attrs = attrs[8:]
		case headUse:
			attrs = attrs[8:]
		case headZone:
			e.Zone = binary.BigEndian.Uint16(attrs[4:])
			attrs = attrs[8:]
		default:
			return attrs
		}
	}
	return attrs
}

// usual reads a tuple of addresses and ports in the order and sizes in which all
// kernels send it. It is false, and e as it was, when that is not how it is.
func (e *Entry) usual(t *Tuple, b []byte) bool {
	switch len(b) {
	case 20 + 28:
		if head(b) != headIPv4 || head(b[4:]) != headIPv4Src || head(b[12:]) != headIPv4Dst ||
			!e.usualProto(t, b[20:48]) {
			return false
		}
		t.Src, t.Dst = netip.AddrFrom4([4]byte(b[8:])), netip.AddrFrom4([4]byte(b[16:]))
		return true
	case 44 + 28:
		if head(b) != headIPv6 || head(b[4:]) != headIPv6Src || head(b[24:]) != headIPv6Dst ||
			!e.usualProto(t, b[44:72]) {
			return false
		}
		t.Src, t.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[28:]))
		return true
	}
	return false
}

func (e *Entry) usualProto(t *Tuple, b []byte) bool {
	if len(b) != 28 || head(b) != headProto || head(b[4:]) != headNum ||
		head(b[12:]) != headSrcPort || head(b[20:]) != headDstPort {
		return false
	}
	e.Protocol, t.SrcPort, t.DstPort = b[8], binary.BigEndian.Uint16(b[16:]), binary.BigEndian.Uint16(b[24:])
	return true
}

// tuple of one direction. A zone that is that of one direction only is the
// entry's as well.
func (e *Entry) tuple(t *Tuple, attrs []byte) bool {
	for {
		kind, value, rest, ok := next(attrs)
		if !ok {
			return len(rest) == 0
		}
		switch attrs = rest; kind {
		case attrTupleIP:
			ok = t.addresses(value)
		case attrTupleProto:
			ok = e.proto(t, value)
		case attrTupleZone:
			e.Zone, ok = be16(value)
		}
		if !ok {
			return false
		}
	}
}

func (t *Tuple) addresses(attrs []byte) bool {
	for {
		kind, value, rest, ok := next(attrs)
		if !ok {
			return len(rest) == 0
		}
		switch attrs = rest; kind {
		case attrIPv4Src, attrIPv4Dst:
			if len(value) < 4 {
				return false
			}
			t.set(kind == attrIPv4Src, netip.AddrFrom4([4]byte(value)))
		case attrIPv6Src, attrIPv6Dst:
			if len(value) < 16 {
				return false
			}
			t.set(kind == attrIPv6Src, netip.AddrFrom16([16]byte(value)))
		}
	}
}

func (t *Tuple) set(src bool, to netip.Addr) {
	if src {
		t.Src = to
	} else {
		t.Dst = to
	}
}

func (e *Entry) proto(t *Tuple, attrs []byte) bool {
	for {
		kind, value, rest, ok := next(attrs)
		if !ok {
			return len(rest) == 0
		}
		switch attrs = rest; kind {
		case attrProtoNum:
			e.Protocol, ok = octet(value)
		case attrProtoSrcPort:
			t.SrcPort, ok = be16(value)
		case attrProtoDstPort:
			t.DstPort, ok = be16(value)
		case attrICMPID, attrICMPv6ID:
			t.ICMPID, ok = be16(value)
		case attrICMPType, attrICMPv6Type:
			t.ICMPType, ok = octet(value)
		case attrICMPCode, attrICMPv6Code:
			t.ICMPCode, ok = octet(value)
		}
		if !ok {
			return false
		}
	}
}

// protoInfo has one attribute for TCP (1), DCCP (2) or SCTP (3), and in it the
// state as attribute 1.
func (e *Entry) protoInfo(attrs []byte) bool {
	if len(attrs) >= 12 && head(attrs[4:]) == headState { // comes first
		e.State = attrs[8]
		return true
	}
	_, inner, _, ok := next(attrs)
	if !ok {
		return len(attrs) == 0
	}
	for {
		kind, value, rest, ok := next(inner)
		if !ok {
			return len(rest) == 0
		}
		if inner = rest; kind == 1 {
			if e.State, ok = octet(value); !ok {
				return false
			}
		}
	}
}

func (t *Tuple) counters(attrs []byte) bool {
	for {
		kind, value, rest, ok := next(attrs)
		if !ok {
			return len(rest) == 0
		}
		var small uint32
		switch attrs = rest; kind {
		case attrPackets:
			t.Packets, ok = be64(value)
		case attrBytes:
			t.Bytes, ok = be64(value)
		case attrPackets32:
			small, ok = be32(value)
			t.Packets = uint64(small)
		case attrBytes32:
			small, ok = be32(value)
			t.Bytes = uint64(small)
		}
		if !ok {
			return false
		}
	}
}

func (e *Entry) timestamp(attrs []byte) bool {
	for {
		kind, value, rest, ok := next(attrs)
		if !ok {
			return len(rest) == 0
		}
		switch attrs = rest; kind {
		case attrStart:
			e.Start, ok = be64(value)
		case attrStop:
			e.Stop, ok = be64(value)
		}
		if !ok {
			return false
		}
	}
}

func octet(b []byte) (uint8, bool) {
	if len(b) < 1 {
		return 0, false
	}
	return b[0], true
}

func be16(b []byte) (uint16, bool) {
	if len(b) < 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(b), true
}

func be32(b []byte) (uint32, bool) {
	if len(b) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b), true
}

func be64(b []byte) (uint64, bool) {
	if len(b) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// Rules gives the ids that Antrea has put into the labels, which Open vSwitch
// writes as a number of 128 bits in network order: the lowest 32 bits are the
// ingress rule that let the connection pass, the next the egress rule.
func (e *Entry) Rules() (ingress, egress uint32) {
	return binary.BigEndian.Uint32(e.Labels[12:]), binary.BigEndian.Uint32(e.Labels[8:])
}
