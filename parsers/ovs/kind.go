package ovs

import (
	"bytes"
	"math"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// Kind tells what a line is.
type Kind uint8

// The kinds of lines.
const (
	OtherLine      Kind = iota // none of those below, or of a table's features
	ReplyLine                  // the head of a reply, see ReplyName
	FlowLine                   // see Flow
	GroupLine                  // see Group
	GroupStatsLine             // see GroupStats
	TableLine                  // see Tables
	PortLine                   // see Ports
	PortDescLine               // the first of PortDesc
)

// LineKind tells what a line is by how it begins. A line that parses is of its
// parser's kind; one of that kind may still not parse.
func LineKind(line []byte) Kind {
	s := dump.Scanner{Text: dump.TrimEnd(line)}
	s.Blanks()
	indent := s.At
	for s.Next(escape) {
		s.At += sequence(s.Rest())
	}
	switch {
	case s.End():
		return OtherLine
	case isReply(s.Rest()):
		return ReplyLine
	case s.Sees(groupKey):
		return groupKind(s)
	case isPortDesc(s):
		return PortDescLine
	case isTable(s):
		return TableLine
	case isPort(s, indent):
		return PortLine
	case isFlow(s):
		return FlowLine
	default:
		return OtherLine
	}
}

// ReplyName gives the name in the head of a reply, such as FLOW or GROUP_DESC
// of "OFPST_FLOW reply (OF1.3) (xid=0x2):". Every message that a reply comes in
// has a head, all but the last with "flags=[more]".
func ReplyName(line []byte) (name []byte, ok bool) {
	s := dump.Scanner{Text: dump.TrimEnd(line)}
	if !s.Take("OFPST_") && !s.Take("NXST_") {
		return nil, false
	}
	name = s.Until(' ')
	if len(name) == 0 || !s.Take(" reply ") {
		return nil, false
	}
	if s.Take("(OF1.") {
		if _, ok := s.Number(9); !ok || !s.Take(") ") {
			return nil, false
		}
	}
	if !s.Take("(xid=") {
		return nil, false
	}
	if _, ok := s.Hex(); !ok || !s.Take("):") {
		return nil, false
	}
	s.Take(" flags=[more]")
	if s.Take(" ") {
		if _, ok := s.Number(math.MaxUint32); !ok || !s.Take(" ports") && !s.Take(" tables") {
			return nil, false
		}
	}
	return name, s.End()
}

func isReply(line []byte) bool {
	_, ok := ReplyName(line)
	return ok
}

func groupKind(s dump.Scanner) Kind {
	s.Take(groupKey)
	s.Number(math.MaxUint32)
	switch {
	case s.Sees(",type="):
		return GroupLine
	case s.Sees(",duration="), s.Sees(",ref_count="):
		return GroupStatsLine
	default:
		return OtherLine
	}
}

func isTable(s dump.Scanner) bool {
	if s.Sees("active=") || s.Sees("lookup=") {
		return parseTableCounters(&s, &TableStats{}) == nil
	}
	if !s.Sees("table") && s.Rest()[0]-'0' > 9 {
		return false
	}
	_, ok, err := parseTableHead(&s)
	return ok && err == nil
}

func isPort(s dump.Scanner, indent int) bool {
	switch {
	case s.Take("port "):
		return bytes.Contains(s.Rest(), []byte(": rx pkts="))
	case s.Sees("tx pkts="), s.Sees("rx rfc2819 "), s.Sees("tx rfc2819 "), s.Sees(custom):
		return true
	case s.Take("duration="):
		_, ok := s.Duration()
		return ok && s.End()
	case indent > len("           "): // deeper than the lines above
		s.Until('=')
		if !s.Take("=") {
			return false
		}
		_, ok := s.Number(math.MaxUint64)
		return ok && s.Next(',')
	default:
		return false
	}
}

func isPortDesc(s dump.Scanner) bool {
	_, ok := s.Number(math.MaxUint32)
	return (ok || s.Take("LOCAL")) && s.Next('(') && bytes.Contains(s.Rest(), []byte(portAddress))
}

func isFlow(s dump.Scanner) bool {
	start := s.At
	name := s.Word()
	switch string(name) {
	case "cookie", "duration", "table", "table_id", "n_packets", "n_bytes", "n_offload_packets", "n_offload_bytes",
		"idle_timeout", "hard_timeout", "importance", "idle_age", "hard_age", "priority", "actions":
		if s.Next('=') && bytes.Contains(s.Text, []byte(actionsKey)) {
			return true
		}
	}
	return new(Flow).Parse(s.Text[start:]) == nil // it may begin with a flag or its match
}
