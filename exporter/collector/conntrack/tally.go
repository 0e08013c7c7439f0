package conntrack

import (
	"strconv"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// Zones of Antrea: connections that policies decide on, and a second time those
// of them to Services that need SNAT.
const (
	antreaIPv4     = 65520
	antreaIPv6     = 65510
	antreaSNATIPv4 = 65521
	antreaSNATIPv6 = 65511
)

// Bits of the mark that Antrea gives to connections.
const (
	antreaSource  = 0xf    // where from; 0 until a policy has let the connection pass
	antreaService = 1 << 4 // to a Service
)

// ZoneName gives the name that a zone has in Antrea for a family (4 or 6), or
// the number.
func ZoneName(zone uint16, family uint8) string {
	switch {
	case zone == antreaIPv4 && family == 4, zone == antreaIPv6 && family == 6:
		return "antrea"
	case zone == antreaSNATIPv4 && family == 4, zone == antreaSNATIPv6 && family == 6:
		return "antrea-snat"
	default:
		return strconv.Itoa(int(zone))
	}
}

// ProtocolName as conntrack prints it, or the number.
func ProtocolName(protocol uint8) string {
	switch protocol {
	case 1:
		return "icmp"
	case protocolTCP:
		return "tcp"
	case 17:
		return "udp"
	case protocolDCCP:
		return "dccp"
	case 47:
		return "gre"
	case 58:
		return "icmpv6"
	case protocolSCTP:
		return "sctp"
	case 136:
		return "udplite"
	default:
		return strconv.Itoa(int(protocol))
	}
}

const (
	protocolTCP  = 6
	protocolDCCP = 33
	protocolSCTP = 132
)

// States as conntrack prints them, by the kernel's numbers.
var (
	tcpStates  = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}
	sctpStates = [...]string{"NONE", "CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "ESTABLISHED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT", "HEARTBEAT_SENT", "HEARTBEAT_ACKED"}
	dccpStates = [...]string{"NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"}
)

// StateName of a protocol as conntrack prints it; "none" where there are none.
func StateName(protocol, state uint8) string {
	if state == offloaded {
		return "OFFLOAD"
	}
	var names []string
	switch protocol {
	case protocolTCP:
		names = tcpStates[:]
	case protocolSCTP:
		names = sctpStates[:]
	case protocolDCCP:
		names = dccpStates[:]
	default:
		return "none"
	}
	if int(state) < len(names) {
		return names[state]
	}
	return strconv.Itoa(int(state))
}

// offloaded entries have no state: it counts as this one.
const offloaded = states - 1

const states = 16

// ages that entries are counted up to.
var ages = [...]time.Duration{10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// tally of the entries of a table, in constant memory.
type tally struct {
	zones  [2][1 << 16]uint32 // of IPv4 and IPv6
	states [1 << 8][states]uint32
	summary
}

// summary of a tally. An entry may be in several of its numbers.
type summary struct {
	unreplied, halfOpen, assured, offloaded, sourceNAT, destNAT uint64

	// In Antrea's zones, but for those of SNAT, of IPv4 and IPv6.
	service, notAllowed [2]uint64

	ages [len(ages)]uint64 // entries up to each age
	aged uint64            // entries with a timestamp
}

// statuses by their names, in order.
func (s *summary) statuses() []statusCount {
	return []statusCount{
		{"unreplied", s.unreplied},
		{"half_open", s.halfOpen},
		{"assured", s.assured},
		{"offloaded", s.offloaded},
		{"snat", s.sourceNAT},
		{"dnat", s.destNAT},
	}
}

type statusCount struct {
	name    string
	entries uint64
}

// add an entry; now is in Unix nanoseconds.
func (t *tally) add(e *netlink.Entry, halfOpen bool, now int64) {
	family := 0
	if e.Family == 6 {
		family = 1
	}
	t.zones[family][e.Zone]++
	state := min(e.State, offloaded-1)
	if e.Offloaded() {
		state = offloaded
		t.offloaded++
	}
	t.states[e.Protocol][state]++
	if e.Unreplied() {
		t.unreplied++
	}
	if e.Status&netlink.Assured != 0 {
		t.assured++
	}
	if e.Status&netlink.SourceNAT != 0 {
		t.sourceNAT++
	}
	if e.Status&netlink.DestNAT != 0 {
		t.destNAT++
	}
	if halfOpen {
		t.halfOpen++
	}
	if e.Zone == antreaIPv4 || e.Zone == antreaIPv6 {
		if e.Mark&antreaService != 0 {
			t.service[family]++
		}
		if e.Mark&antreaSource == 0 {
			t.notAllowed[family]++
		}
	}
	if e.Start > 0 {
		t.aged++
		age := time.Duration(now - int64(e.Start))
		for i, limit := range ages {
			if age <= limit {
				t.ages[i]++
			}
		}
	}
}

// maxZones that are told apart; the entries of others are those of "overflow".
const maxZones = 256

func (t *tally) zoneCounts() (counts []ZoneEntries) {
	for family := range t.zones {
		var over uint64
		own := 0
		for zone, n := range t.zones[family] {
			switch {
			case n == 0:
			case own < maxZones || antrea(uint16(zone)):
				own++
				counts = append(counts, ZoneEntries{ZoneName(uint16(zone), uint8(4+2*family)), familyName(family), uint64(n)})
			default:
				over += uint64(n)
			}
		}
		if over > 0 {
			counts = append(counts, ZoneEntries{"overflow", familyName(family), over})
		}
	}
	return counts
}

func antrea(zone uint16) bool {
	return zone == antreaIPv4 || zone == antreaIPv6 || zone == antreaSNATIPv4 || zone == antreaSNATIPv6
}

func (t *tally) stateCounts() (counts []StateEntries) {
	for protocol := range t.states {
		first := len(counts)
		for state, n := range t.states[protocol] {
			if n == 0 {
				continue
			}
			one := StateEntries{ProtocolName(uint8(protocol)), StateName(uint8(protocol), uint8(state)), uint64(n)}
			if last := len(counts) - 1; last >= first && counts[last].State == one.State { // a number that means nothing
				counts[last].Entries += one.Entries
				continue
			}
			counts = append(counts, one)
		}
	}
	return counts
}
