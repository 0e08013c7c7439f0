// Package conntrack parses the entries of the connection tracking table as
// conntrack, the kernel's /proc/net/nf_conntrack and Open vSwitch print them.
//
// The formats are those of libnetfilter_conntrack (snprintf_default.c) and
// conntrack-tools, of Linux (net/netfilter/nf_conntrack_standalone.c), and of
// Open vSwitch (lib/ct-dpif.c).
package conntrack

import (
	"net/netip"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// Error of a line that is not what it should be: the column, in bytes from 1,
// and what was expected there.
type Error = dump.Error

// Form tells who printed an entry.
type Form uint8

const (
	// List is conntrack -L or -E, or /proc/net/ip_conntrack.
	List Form = iota + 1
	// Extended has the family before the protocol: conntrack -o extended, or
	// /proc/net/nf_conntrack.
	Extended
	// Datapath is ovs-appctl dpctl/dump-conntrack.
	Datapath
)

// Event that conntrack -E tells of.
type Event uint8

// The events.
const (
	NoEvent Event = iota
	New
	Update
	Destroy
)

// String gives the word of conntrack for the event, or nothing.
func (e Event) String() string { return [...]string{"", "NEW", "UPDATE", "DESTROY"}[min(e, Destroy)] }

// Status of a connection, as far as the lines tell.
type Status uint8

const (
	// Unreplied connections have had no packet in the direction of the reply.
	// Open vSwitch tells of its kernel datapath only, with -m.
	Unreplied Status = 1 << iota
	// Assured connections are not evicted when the table is full.
	Assured
	// Offload means that the connection bypasses the tracker in software; it has
	// neither a timeout nor a state.
	Offload
	// HWOffload is the same in hardware.
	HWOffload
)

// Append appends the words of conntrack for the status, with commas between.
func (s Status) Append(to []byte) []byte {
	start := len(to)
	for i, word := range [...]string{"UNREPLIED", "ASSURED", "OFFLOAD", "HW_OFFLOAD"} {
		if s&(1<<i) == 0 {
			continue
		}
		if len(to) > start {
			to = append(to, ',')
		}
		to = append(to, word...)
	}
	return to
}

// Fields are what an entry's line may have or not.
type Fields uint16

// What Entry.Has tells.
const (
	HasTimeout Fields = 1 << iota
	HasMark
	HasZone // conntrack and Open vSwitch leave out zone 0
	HasUse
	HasID
	HasDeltaTime
	allFields = 1<<iota - 1
)

// What needs no telling whether it is there, but is taken once too.
const (
	seenLabels Fields = (allFields + 1) << iota
	seenStart
	seenStop
	seenStatus
	seenProtoInfo
)

// Entry is one connection.
type Entry struct {
	Form  Form
	Event Event
	// Time of the event in Unix nanoseconds, with conntrack -E -o timestamp, else 0.
	Time int64
	Has  Fields // what the line has

	Family       int   // 4 or 6
	Protocol     uint8 // IANA's number
	ProtocolName []byte
	Timeout      uint32 // seconds until the entry goes; see HasTimeout
	// State of TCP, SCTP and DCCP as it is printed. Open vSwitch prints with -m
	// the states of both directions, StateReply being that of the reply.
	State, StateReply []byte

	Orig, Reply Tuple
	Status      Status

	Mark      uint32
	Zone      uint16
	Labels    []byte // names with commas between; of Open vSwitch 0x and 128 bits
	Use       uint32
	ID        uint32
	DeltaTime uint64 // seconds since the connection began; huge when the clock went back
	// Start and Stop are local times, as they are printed: of conntrack as in
	// "Sat Nov 21 14:25:33 2026", of Open vSwitch as in
	// "2026-11-21T14:25:33.123".
	Start, Stop []byte

	// Other pairs and flags in the order of the line, with their keys as they
	// are printed: what newer or vendors' kernels add, secctx, helper, the
	// timeouts of GRE, Open vSwitch's status, parent, and protoinfo but for the
	// states. A flag, such as [USERSPACE], is a key without a value.
	Other []Pair
}

// Pair is a key and a value of the line.
type Pair struct{ Key, Value []byte }

// TupleFields are what a tuple may have or not, which its protocol tells.
type TupleFields uint8

// What Tuple.Has tells.
const (
	HasPorts TupleFields = 1 << iota
	HasICMP
	HasKeys
	HasCounters // nf_conntrack_acct is on
	HasTupleZone
)

// Tuple is one direction of a connection.
type Tuple struct {
	Has TupleFields

	Src, Dst         netip.Addr
	SrcPort, DstPort uint16

	ICMPType, ICMPCode uint8
	ICMPID             uint16

	SrcKey, DstKey uint32 // of GRE

	Packets, Bytes uint64
	// Zone of this direction, where the directions are in different zones: the
	// zone-orig or zone-reply of the line.
	Zone uint16
}
