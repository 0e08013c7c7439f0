// Package analysis tells from the entries of a conntrack table who fills it,
// when it will be full, and whether a flood does it.
//
// It is pure: entries, counts and times are passed in. Memory is bounded
// whatever the number of entries; docs/conntrack-analysis.md says how the
// verdicts come about.
package analysis

import (
	"net/netip"
	"time"
)

// State of a TCP connection, numbered as by the kernel (enum tcp_conntrack,
// CTA_PROTOINFO_TCP_STATE). It is 0 where there is none: other protocols, and
// offloaded connections.
type State uint8

// The states of TCP.
const (
	SynSent State = iota + 1
	SynRecv
	Established
	FinWait
	CloseWait
	LastAck
	TimeWait
	Close
	SynSent2
)

// Status of an entry.
type Status uint8

const (
	// Unreplied tells that no packet has come back. The kernel's status has the opposite,
	// IPS_SEEN_REPLY.
	Unreplied Status = 1 << iota
	// Assured entries are not evicted when the table is full. TCP is once its handshake is
	// complete.
	Assured
	// Offloaded connections bypass the tracker.
	Offloaded
)

// Protocols that the detection knows, numbered as by IANA.
const (
	TCP = 6
	UDP = 17
)

// Entry is what the analysis takes of an entry of the table.
type Entry struct {
	// Source and Destination of the original direction, and ReplySource: the
	// source of the other, which differs from Destination where the connection
	// goes to a Service (DNAT). IPv4 addresses are mapped, as netip.Addr.As16
	// has them.
	Source, Destination, ReplySource [16]byte
	Mark                             uint32
	SourcePort, DestinationPort      uint16 // in host order; 0 where the protocol has none
	Zone                             uint16
	Protocol                         uint8 // IANA's number
	State                            State
	Status                           Status
}

// HalfOpen reports whether the connection is not established from both ends:
// no packet has come back, or it is TCP whose handshake was answered and never
// completed.
func (e *Entry) HalfOpen() bool {
	if e.Status&Unreplied != 0 {
		return true
	}
	if e.Protocol != TCP || e.Status&Assured != 0 {
		return false
	}
	return e.State == SynSent || e.State == SynRecv || e.State == SynSent2 || e.State == Close
}

// FloodEntries is the default of the option.
const FloodEntries = 2000

// Options of an Analyzer. The zero value of each field means its default.
type Options struct {
	// K is how many results a list has: 10.
	K int
	// Counters of each list's sketch: 4096. What a list says of a key is off by
	// 2/Counters of all entries at most, and Top says by how much.
	Counters int
	// SkipZones holds zones whose entries are only counted, since they stand for
	// connections that another zone has, too: 65521 and 65511, Antrea's zones of
	// Service connections with SNAT. To skip none: []uint16{}.
	SkipZones []uint16
	// Seed of the hashes. A random one keeps senders from choosing addresses
	// that collide; results do not depend on it but for the estimates of
	// distinct addresses.
	Seed uint64

	// FloodEntries is how many half-open entries above its baseline a victim has
	// in a flood: FloodEntries. With the kernel's time-outs a flood of unanswered SYN
	// has as many at 17 a second, one of SYN that are answered at 34, one of UDP
	// at 67.
	FloodEntries int
	// FloodShare of the entries that a victim has above its baseline must be
	// half-open: 0.5. A burst that is answered has a few in a hundred.
	FloodShare float64
	// EndPolls is how many polls in a row an event must be below half of
	// FloodEntries, for at least 30 seconds, before it is over: 3.
	EndPolls int
	// OneWay are destination ports of TCP and UDP that are never judged, since
	// their answers do not come back on the same connection: 4789, 6081 and
	// 8472, of tunnels (VXLAN, Geneve), whose source port is a hash. To except
	// none: []uint16{}.
	OneWay []uint16
	// Memory is how long the clients of a service are remembered at least, and
	// the time in which a lasting change becomes the baseline: 10 minutes.
	Memory time.Duration
}

// Snapshot is what a poll found.
type Snapshot struct {
	// Start and End of the poll, as they were passed in.
	Start, End time.Time
	// Entries is how many were added, Skipped those of them in SkipZones, and
	// HalfOpen those that are half-open among the others.
	Entries, Skipped, HalfOpen uint64

	Sources, Destinations, Pairs Tops
	// Events that began, go on or have ended with this poll, the oldest first;
	// at most MaxEvents.
	Events []Event
	// Unwatched services and hosts had enough entries to be looked at, when
	// there was no room for more of them. 0 but for tables of very many big
	// services.
	Unwatched uint64
}

// Tops are the keys with most entries, and those with most half-open ones, the
// biggest first; ties by address.
type Tops struct {
	Entries, HalfOpen []Top
}

// Top is a source, a destination, or a pair of them.
type Top struct {
	Source, Destination netip.Addr // one is the zero value unless it is a pair
	// AtLeast and AtMost so many entries; they differ by the error of the sketch.
	AtLeast, AtMost uint64
}

// MaxEvents is how many events there are at a time; further ones wait until
// others end.
const MaxEvents = 64

// Kind of an event.
type Kind uint8

const (
	// Flood of half-open entries that no client of the victim explains.
	Flood Kind = iota + 1
	// Scan of one source, which tries many hosts, or each port of a host about once.
	Scan
	// Unanswered service: its own clients get no answer any more, or clients
	// that others answer get none from it. Dead, overloaded, or cut off by a
	// policy.
	Unanswered
)

// String gives a word for logs and labels.
func (k Kind) String() string {
	return [...]string{"", "flood", "scan", "unanswered"}[min(k, Unanswered)]
}

// Shape of an event: from whom to what.
type Shape uint8

// The shapes.
const (
	OneToPort   Shape = iota + 1 // one source, or a few, to one port of a host
	OneToPorts                   // one source to many ports of a host
	OneToHosts                   // one source to many hosts
	ManyToPort                   // many sources to one port of a host
	ManyToPorts                  // many sources to many ports of a host
)

// String gives a word for logs and labels.
func (s Shape) String() string {
	return [...]string{"", "one-to-port", "one-to-ports", "one-to-hosts", "many-to-port", "many-to-ports"}[min(s, ManyToPorts)]
}

// Phase of an event in a snapshot.
type Phase uint8

// The phases.
const (
	Started Phase = iota + 1
	Ongoing
	Ended
)

// String gives a word for logs and labels.
func (p Phase) String() string { return [...]string{"", "start", "ongoing", "end"}[min(p, Ended)] }

// Event is a flood or what looks like one, over the polls.
type Event struct {
	ID       uint64 // counts from 1 in the life of the Analyzer
	Kind     Kind
	Shape    Shape
	Phase    Phase
	Protocol uint8 // TCP or UDP

	Since time.Time // start of the poll that saw it first
	Until time.Time // end of the last poll that had it

	// Victim and its port; port 0 where there are many, no victim where there
	// are many hosts.
	Victim netip.Addr
	Port   uint16
	// Backend that at least a quarter of the connections were sent on to, if the
	// victim is a Service, else the victim; the zero value if there is none.
	Backend netip.Addr
	// Sources with most half-open entries to the victim; those of a flood from
	// forged addresses are but examples, of one entry each.
	Sources []Top

	// What it was judged by, as of the last poll that had it.
	HalfOpen uint64  // half-open entries
	Baseline uint64  // of them before the event
	Peak     uint64  // most half-open entries in any poll
	Answered uint64  // entries of the victim that are not half-open
	Share    float64 // of the entries above the baseline that are half-open
	// Distinct sources, ports of the victim and hosts, among half-open entries;
	// an estimate from 64 up, with a standard error of 13 %. Ports of a
	// OneToPorts are exact.
	DistinctSources, DistinctPorts, DistinctHosts uint64
	// Clients is the share of the distinct sources that the victim answered
	// before, Known of those that anyone answered.
	Clients, Known float64
	// Handshakes are the half-open entries that the victim answered.
	Handshakes uint64
	// NotAllowed entries have no source in their mark: in Antrea's zones, those
	// that no policy has let pass yet.
	NotAllowed uint64
}
