// Package parsers turns lines of text into values, by definitions that say how
// a log format is read.
package parsers

// Span is a part of a text, in bytes. One with 0 <= Start lies in the record's
// line, at [Start, End). One with Start < 0 lies in the record's scratch, at
// [^Start, ^End). A span of no length means that the line has no such value.
type Span struct{ Start, End int32 }

// length of the text in bytes.
func (s Span) length() int {
	if s.Start >= 0 {
		return int(s.End - s.Start)
	}
	return int(s.Start - s.End)
}

// Scratch holds the values of records that do not stand in their lines as they
// are, such as text that was unescaped. It is reused, for as many records as
// live at the same time.
type Scratch struct{ bytes []byte }

// Reset forgets the values, and with them those of all records that refer to them.
func (s *Scratch) Reset() { s.bytes = s.bytes[:0] }

// begin gives the place where the next value starts; end makes it a Span.
func (s *Scratch) begin() int { return len(s.bytes) }

func (s *Scratch) end(start int) Span { return Span{^int32(start), ^int32(len(s.bytes))} }

// add keeps a value.
func (s *Scratch) add(value string) Span {
	start := s.begin()
	s.bytes = append(s.bytes, value...)
	return s.end(start)
}

// Flags say what happened to a line before it was parsed.
type Flags uint8

const (
	// Truncated marks a line that was longer than the source's limit and was cut
	// there, or that may have been cut before: it ends in a number that nothing closes.
	Truncated Flags = 1 << iota
	// InvalidUTF8 marks a line whose invalid bytes were replaced by U+FFFD.
	InvalidUTF8
	// TimeClamped marks a record whose own time the store would refuse, and
	// that got the time of the record before it.
	TimeClamped
)

// Record is one line, or several that belong together, and what its
// definition makes of it. It refers to the memory of the line and of the
// scratch, and is valid as long as they are.
type Record struct {
	// Definition that parsed the line; never nil.
	Definition *Definition
	// Layout that the line has, or nil when it fits none.
	Layout *Layout
	// Carried is the time that the line's carrier (such as a container runtime)
	// wrote, in Unix nanoseconds, or 0. It comes before the line's own.
	Carried int64
	// Header of the file that the line is of, where its format has one.
	Header *Header
	// Time in Unix nanoseconds, UTC; Parse leaves 0 when the line carries none.
	Time int64
	// Resolution is the step of Time's last digit in nanoseconds, 0 when the
	// record carries no time.
	Resolution int64
	// Line as it was read, without its line end. Parse replaces in it what the
	// definition redacts, and may make it shorter.
	Line []byte
	// Spans of the definition's fields, in the order of Definition.Fields.
	Spans []Span
	// Pairs are the keys and values that the line has beyond the definition's fields.
	Pairs []Pair
	// Scratch that spans may lie in. Parse makes one when it needs it and
	// there is none.
	Scratch *Scratch
	Flags   Flags
}

// Pair is a key of the line's own, and its value.
type Pair struct{ Key, Value Span }

// Value of the field with that index in Definition.Fields; empty when the
// line does not have it.
func (r *Record) Value(field int) []byte { return r.Text(r.Spans[field]) }

// Text of a span.
func (r *Record) Text(s Span) []byte {
	if s.Start >= 0 {
		return r.Line[s.Start:s.End]
	}
	return r.Scratch.bytes[^s.Start:^s.End]
}

// Batch is what a sink consumes at once: records of one source, in the order
// in which they were read.
type Batch struct {
	// Source is the configured name of the source.
	Source  string
	Records []Record
	// DeadLettered counts the records that the sink's store refuses for good
	// and that were stored as dead letters, while the sink consumes the batch.
	DeadLettered int
}
