package parsers

import (
	"bytes"
	"cmp"
	"slices"
)

// Detect gives the definitions that parse some of the lines: the one that
// parses the most first, then the one that comes first by name. Lines count
// first that have the time that their definition looks for; a time that their
// carrier wrote is weak evidence, and none is no evidence. Only those
// definitions are given that put lines together as the first does and parse
// some that none before them does.
func (s Set) Detect(lines [][]byte) []*Definition {
	type found struct {
		d            *Definition
		sure, parsed int
	}
	var all []found
	for _, name := range s.Names() {
		if sure, parsed := s[name].parsed(lines); parsed > 0 {
			all = append(all, found{s[name], sure, parsed})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(b.sure-a.sure, b.parsed-a.parsed)
	})
	var definitions []*Definition
	for _, f := range all {
		if f.d.FramesAs(all[0].d) {
			definitions = append(definitions, f.d)
		}
	}
	if len(definitions) < 2 {
		return definitions
	}
	needed := map[*Definition]bool{}
	parser := NewParser(definitions...)
	for _, line := range definitions[0].joined(lines) {
		r := Record{Line: line.Text, Carried: line.Time, Header: line.Header}
		if parser.Parse(&r) == nil {
			needed[r.Definition] = true
		}
	}
	return slices.DeleteFunc(definitions, func(d *Definition) bool { return !needed[d] })
}

// joined puts lines together, in memory of their own.
func (d *Definition) joined(texts [][]byte) []Line {
	lines := make([]Line, len(texts))
	for i, text := range texts {
		lines[i].Text = bytes.Clone(text)
	}
	if f := d.NewFramer(1 << 20); f != nil {
		lines, _, _ = f.Join(nil, lines, nil, true)
	}
	return lines
}

// parsed counts the lines that the definition understands, and those of them
// that are surely of its format.
func (d *Definition) parsed(texts [][]byte) (sure, parsed int) {
	parser := d.NewParser()
	for _, line := range d.joined(texts) {
		r := Record{Line: line.Text, Carried: line.Time, Header: line.Header}
		whole := 1 + bytes.Count(r.Line, []byte{'\n'})
		if parser.Parse(&r) != nil {
			continue
		}
		switch {
		case d.timeField < 0 || len(r.Value(d.timeField)) > 0:
			sure += whole
			parsed += whole
		case r.Time != 0:
			parsed += whole
		}
	}
	return sure, parsed
}

// Closest tells which definition got furthest with a line that none parses,
// and how far.
func (s Set) Closest(line []byte) (*Definition, Closest) {
	var best *Definition
	var furthest Closest
	for _, name := range s.Names() {
		if c := s[name].Closest(line); best == nil || c.Column > furthest.Column {
			best, furthest = s[name], c
		}
	}
	return best, furthest
}
