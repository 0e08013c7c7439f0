package parsers

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Result is what a line came to, in the form that corkline try prints.
type Result struct {
	Line         string            `json:"line"`
	Definition   string            `json:"definition,omitempty"`
	Layout       string            `json:"layout,omitempty"`
	Time         string            `json:"time,omitempty"` // RFC 3339, UTC
	StreamLabels map[string]string `json:"stream_labels,omitempty"`
	// Fields holds strings, and json.Number for numbers.
	Fields  map[string]any `json:"fields,omitempty"`
	Error   string         `json:"error,omitempty"`
	Closest *Closest       `json:"closest,omitempty"`
}

// Result of a parsed record. A line that carries no time gets the one given.
func (r *Record) Result(otherwise time.Time) Result {
	d := r.Definition
	out := Result{
		Line:         text(r.Line),
		Definition:   d.Name,
		Layout:       r.Layout.Name,
		StreamLabels: map[string]string{},
		Fields:       map[string]any{},
	}
	at := otherwise
	if r.Resolution > 0 {
		at = time.Unix(0, r.Time)
	}
	if !at.IsZero() {
		out.Time = at.UTC().Format(time.RFC3339Nano)
	}
	for i, f := range d.Fields {
		value := r.Value(i)
		if len(value) == 0 {
			continue
		}
		out.Fields[f.Name] = text(value)
		if f.Number && json.Valid(value) {
			out.Fields[f.Name] = json.Number(value)
		} else if number, whole := digits(value); f.Number && whole { // leading zeros
			out.Fields[f.Name] = number
		}
	}
	for _, pair := range r.Pairs {
		if key := text(r.Text(pair.Key)); out.Fields[key] == nil {
			out.Fields[key] = text(r.Text(pair.Value))
		}
	}
	for _, i := range d.StreamLabels {
		if value := r.Value(i); len(value) > 0 {
			out.StreamLabels[d.Fields[i].Name] = text(value)
		}
	}
	return out
}

// Failure is the result of a line that did not parse.
func (d *Definition) Failure(line []byte, err error) Result {
	closest := d.Closest(line)
	return Result{Line: text(line), Definition: d.Name, Error: err.Error(), Closest: &closest}
}

func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
