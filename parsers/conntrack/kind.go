package conntrack

import (
	"bytes"
	"math"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// Kind tells what a line is.
type Kind uint8

// The kinds of lines.
const (
	OtherLine   Kind = iota // neither of those below
	EntryLine               // see Entry
	SummaryLine             // how many entries or events conntrack has shown
)

// LineKind tells what a line is by how it begins. A line that parses is an
// EntryLine; an EntryLine may still not parse.
func LineKind(line []byte) Kind {
	s := dump.Scanner{Text: dump.TrimEnd(line)}
	s.Blanks()
	switch {
	case isSummary(s):
		return SummaryLine
	case isEntry(s):
		return EntryLine
	default:
		return OtherLine
	}
}

func isEntry(s dump.Scanner) bool {
	for s.Next('[') { // of an event
		s.Until(']')
		s.Take("]")
		s.Blanks()
	}
	if s.Word(); s.Sees(",orig=(") {
		return true
	}
	s.Blanks()
	_, ok := s.Number(math.MaxUint8) // of the family or the protocol
	return ok && s.Next(' ') && bytes.Contains(s.Rest(), []byte(" src="))
}

// isSummary takes "conntrack v1.4.6 (conntrack-tools): 3 flow entries have been
// shown.", which goes to the standard error.
func isSummary(s dump.Scanner) bool {
	if !s.Take("conntrack v") {
		return false
	}
	s.Until(' ')
	if !s.Take(" (conntrack-tools): ") {
		return false
	}
	_, ok := s.Number(math.MaxUint64)
	return ok && s.Take(" ") && bytes.Contains(s.Rest(), []byte(" have been "))
}
