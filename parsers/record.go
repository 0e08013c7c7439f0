// Package parsers turns lines of text into values, by definitions that say how
// a log format is read.
package parsers

// Span is the part [Start, End) of a record's line, in bytes. A span of no
// length means that the line has no such value.
type Span struct{ Start, End int32 }

// Flags say what happened to a line before it was parsed.
type Flags uint8

const (
	// Truncated marks a line that was longer than the source's limit and was cut there.
	Truncated Flags = 1 << iota
	// InvalidUTF8 marks a line whose invalid bytes were replaced by U+FFFD.
	InvalidUTF8
)

// Record is one line and what its definition makes of it. It refers to the
// memory of the line, and is valid as long as that is.
type Record struct {
	// Definition that parsed the line; never nil.
	Definition *Definition
	// Layout that the line has, or nil when it fits none.
	Layout *Layout
	// Time in Unix nanoseconds, UTC: of the line, or when it carries none the
	// time that the pipeline gave it.
	Time int64
	// Line as it was read, without its line end.
	Line []byte
	// Spans of the definition's fields, in the order of Definition.Fields.
	Spans []Span
	Flags Flags
}

// Value of the field with that index in Definition.Fields; empty when the
// line does not have it.
func (r *Record) Value(field int) []byte {
	s := r.Spans[field]
	return r.Line[s.Start:s.End]
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
