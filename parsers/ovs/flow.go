// Package ovs parses what ovs-ofctl and ovs-appctl print about the flows,
// groups, tables and ports of an Open vSwitch bridge.
//
// The formats are those of Open vSwitch 2.5 to 3.x: lib/ofp-flow.c,
// lib/ofp-match.c, lib/ofp-actions.c, lib/ofp-group.c, lib/ofp-table.c and
// lib/ofp-port.c of its source, and ofproto/ofproto.c for bridge/dump-flows.
package ovs

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/corkline/corkline/parsers/internal/dump"
	"github.com/corkline/corkline/parsers/internal/jsontext"
)

// Error of a line that is not what it should be: the column, in bytes from 1
// and without colours, and what was expected there.
type Error = dump.Error

// Count is a counter. The switch knows not every counter of every port and flow.
type Count struct {
	Value uint64
	Known bool // false where ? is printed, and where nothing is
}

// Flow is one flow as ovs-ofctl dump-flows prints it, for OpenFlow 1.0 to 1.5,
// with or without --names, --no-stats and --color; as ovs-appctl
// bridge/dump-flows prints it; or from table= on, as in the support bundles of
// Antrea. What is left out has the value that it stands for, so that a flow is
// the same in all forms, but for Has and for what a form does not tell.
type Flow struct {
	Has Fields // what the line has

	Cookie   Cookie
	Duration time.Duration // since the flow was added
	// The table, of which a line tells the number or the name.
	TableID   int    // -1 when only the name is known
	TableName []byte // empty when only the number is known

	Packets, Bytes               Count
	OffloadPackets, OffloadBytes Count // only of bridge/dump-flows

	IdleTimeout, HardTimeout uint16 // seconds; 0 is none
	Flags                    Flags
	Importance               uint16
	// IdleAge and HardAge are seconds since the last packet and the last
	// change. In OpenFlow 1.0 they stop at 65534, while Duration goes on. A
	// HardAge that is not printed is the same as Duration.
	IdleAge, HardAge uint32

	Priority uint32 // DefaultPriority when it is not printed; above 65535 of the switch's own flows
	Match    []byte // without the priority; see MatchFields
	Actions  []byte // see Actions

	plain []byte // the line without its colours
	name  []byte // TableName, when escapes were in it
}

// DefaultPriority of flows that are added without one.
const DefaultPriority = 32768

// Fields are what a flow's line may have or not.
type Fields uint16

// What Flow.Has tells.
const (
	HasCookie Fields = 1 << iota // --no-stats leaves out 0
	HasDuration
	HasTable // --no-stats and bridge/dump-flows leave out table 0
	HasIdleAge
	HasHardAge
	HasPriority
	allFields = 1<<iota - 1
)

// What needs no telling whether it is there, but is taken once too.
const (
	seenPackets Fields = (allFields + 1) << iota
	seenBytes
	seenOffloadPackets
	seenOffloadBytes
	seenIdleTimeout
	seenHardTimeout
	seenImportance
)

// Flags of a flow, as in OpenFlow 1.3 (ofp_flow_mod_flags) and, from
// AllowHiddenFields on, of Open vSwitch's own.
type Flags uint16

// The flags of a flow.
const (
	SendFlowRem Flags = 1 << iota
	CheckOverlap
	ResetCounts
	NoPacketCounts
	NoByteCounts
	AllowHiddenFields
	NoReadonlyTable
)

// flagNames are the names of the flags, from the lowest bit on.
var flagNames = [...]string{
	"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts", "allow_hidden_fields", "no_readonly_table",
}

func flag(name []byte) Flags {
	for i := range flagNames {
		if string(name) == flagNames[i] {
			return 1 << i
		}
	}
	return 0
}

// Append appends the names of the flags, with commas between, and in
// hexadecimal what has no name.
func (f Flags) Append(to []byte) []byte {
	start := len(to)
	comma := func() {
		if len(to) > start {
			to = append(to, ',')
		}
	}
	for i := range flagNames {
		if f&(1<<i) != 0 {
			comma()
			to = append(to, flagNames[i]...)
			f &^= 1 << i
		}
	}
	if f != 0 {
		comma()
		to = strconv.AppendUint(append(to, "0x"...), uint64(f), 16)
	}
	return to
}

// Parse reads a line into f, whatever f held before. f then refers to the
// memory of the line, or to its own where the line has colours, or escapes in
// the table's name. The error is an Error, and leaves f undefined.
func (f *Flow) Parse(line []byte) error {
	*f = Flow{Priority: DefaultPriority, plain: f.plain, name: f.name}
	line = dump.TrimEnd(line)
	if bytes.IndexByte(line, escape) >= 0 {
		f.plain = appendPlain(f.plain[:0], line)
		line = f.plain
	}
	s := dump.Scanner{Text: line}
	s.Blanks()
	if s.Sees(groupKey) { // pairs with commas between and actions=, as a match may be
		return s.Expected("a flow, not a group")
	}
	if err := f.parseHead(&s); err != nil {
		return err
	}
	if err := f.parseMatch(&s); err != nil {
		return err
	}
	f.Actions = s.Rest()
	return checkActions(&s)
}

// parseHead reads what stands before the match: key=value and a comma, flags.
func (f *Flow) parseHead(s *dump.Scanner) error {
	var seen Fields
	for {
		f.Has = seen & allFields
		start := s.At
		name := s.Word()
		if s.Next(' ') {
			bit := flag(name)
			if bit == 0 { // of the match, as ip
				s.At = start
				return nil
			}
			f.Flags |= bit
			s.At++
			continue
		}
		if string(name) == "flags" && s.Take(":") {
			bits, ok := s.Hex()
			if !ok || bits > math.MaxUint16 {
				return s.Expected("flags in hexadecimal")
			}
			if !s.Take(" ") {
				return s.Expected("a blank")
			}
			f.Flags |= Flags(bits)
			continue
		}
		if !s.Take("=") {
			s.At = start
			return nil
		}

		var has Fields
		var n uint64
		var ok bool
		expected := "a number"
		switch string(name) {
		case "cookie":
			has, expected = HasCookie, "a cookie in hexadecimal"
			n, ok = s.Hex()
			f.Cookie = Cookie(n)
		case "duration":
			has, expected = HasDuration, "seconds"
			f.Duration, ok = s.Duration()
		case "table":
			has, expected = HasTable, "a table's number or name"
			ok = f.parseTable(s)
		case "table_id":
			has, expected = HasTable, "a table's number"
			ok = f.parseTableID(s)
		case "n_packets":
			has = seenPackets
			f.Packets, ok = count(s)
		case "n_bytes":
			has = seenBytes
			f.Bytes, ok = count(s)
		case "n_offload_packets":
			has = seenOffloadPackets
			f.OffloadPackets, ok = count(s)
		case "n_offload_bytes":
			has = seenOffloadBytes
			f.OffloadBytes, ok = count(s)
		case "idle_timeout":
			has = seenIdleTimeout
			ok = dump.Take(s, &f.IdleTimeout)
		case "hard_timeout":
			has = seenHardTimeout
			ok = dump.Take(s, &f.HardTimeout)
		case "importance":
			has = seenImportance
			ok = dump.Take(s, &f.Importance)
		case "idle_age":
			has = HasIdleAge
			ok = dump.Take(s, &f.IdleAge)
		case "hard_age":
			has = HasHardAge
			ok = dump.Take(s, &f.HardAge)
		default:
			s.At = start
			return nil
		}
		if !ok {
			return s.Expected(expected)
		}
		if seen&has != 0 {
			s.At = start
			return s.Expected("each field once")
		}
		seen |= has
		if !s.Take(", ") {
			return s.Expected("a comma and a blank")
		}
	}
}

func (f *Flow) parseTable(s *dump.Scanner) bool {
	start, end := s.At, s.At
	if s.Next('"') {
		if end = quoted(s.Text, start); end < 0 {
			return false
		}
		f.TableName, f.TableID, s.At = s.Text[start+1:end-1:end-1], -1, end
		if inner, escaped := unquote(s.Text[start:end]); escaped {
			f.name = jsontext.Append(f.name[:0], inner)
			f.TableName = f.name
		}
		return true
	}
	if f.parseTableID(s) {
		return true
	}
	for end < len(s.Text) && class[s.Text[end]]&bare != 0 {
		end++
	}
	if end == start || s.Text[start] <= '9' { // a digit, - or .
		return false
	}
	f.TableName, f.TableID, s.At = s.Text[start:end:end], -1, end
	return true
}

func (f *Flow) parseTableID(s *dump.Scanner) bool {
	n, ok := s.Number(math.MaxUint8)
	f.TableID = int(n)
	return ok
}

// count takes a number, or ? for one that the switch does not know.
func count(s *dump.Scanner) (Count, bool) {
	if s.Take("?") {
		return Count{}, true
	}
	n, ok := s.Number(math.MaxUint64)
	return Count{n, ok}, ok
}

const (
	actionsKey = "actions="
	expectMore = "a field of the match, or actions="
)

// parseMatch reads the priority and the match, and goes past actions=.
// ovs-ofctl puts a blank before actions=, unless the match is empty and has no
// priority; bridge/dump-flows always puts a comma.
func (f *Flow) parseMatch(s *dump.Scanner) error {
	if s.Take(actionsKey) || s.Take(","+actionsKey) {
		return nil
	}
	if s.Take("priority=") {
		n, ok := s.Number(math.MaxInt32)
		if !ok {
			return s.Expected("a priority")
		}
		f.Priority = uint32(n)
		f.Has |= HasPriority
		if s.Take(" "+actionsKey) || s.Take(","+actionsKey) {
			return nil
		}
		if !s.Take(",") {
			return s.Expected("a comma, or actions=")
		}
	}
	start := s.At
	for {
		name, end, ok := matchField(s.Rest())
		if !ok {
			s.At += end
			return s.Expected(expectMore)
		}
		if string(s.Text[s.At:s.At+name]) == "priority" {
			return s.Expected("the priority before the match")
		}
		s.At += end
		f.Match = s.Text[start:s.At:s.At]
		if s.Take(" "+actionsKey) || s.Take(","+actionsKey) {
			return nil
		}
		if !s.Take(",") {
			return s.Expected(expectMore)
		}
	}
}

const escape = 0x1b

// appendPlain appends a line without its terminal sequences.
func appendPlain(to, line []byte) []byte {
	for {
		at := bytes.IndexByte(line, escape)
		if at < 0 {
			return append(to, line...)
		}
		to = append(to, line[:at]...)
		line = line[at+sequence(line[at:]):]
	}
}

// sequence gives the length of the terminal sequence that text begins with:
// escape, [, parameters, and the letter that ends them.
func sequence(text []byte) int {
	end := 1
	if end < len(text) && text[end] == '[' {
		for end++; end < len(text) && (text[end]-'0' <= 9 || text[end] == ';'); end++ {
		}
	}
	return min(end+1, len(text))
}
