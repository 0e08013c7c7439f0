package parsers

import (
	"bytes"
	"slices"
)

// Detect gives the definitions that parse some of the lines, the one that
// parses the most first, and of those that parse as many the first by name.
// Only those are given that put lines together as the first does.
func (s Set) Detect(lines [][]byte) []*Definition {
	type found struct {
		d *Definition
		n int
	}
	var all []found
	for _, name := range s.Names() {
		if n := s[name].parsed(lines); n > 0 {
			all = append(all, found{s[name], n})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return b.n - a.n })
	var definitions []*Definition
	for _, f := range all {
		if f.d.FramesAs(all[0].d) {
			definitions = append(definitions, f.d)
		}
	}
	return definitions
}

// parsed counts the lines that the definition understands.
func (d *Definition) parsed(texts [][]byte) (n int) {
	lines := make([]Line, len(texts))
	for i, text := range texts {
		lines[i].Text = bytes.Clone(text) // to be parsed by others, too
	}
	if f := d.NewFramer(1 << 20); f != nil {
		lines, _, _ = f.Join(nil, lines, nil, true)
	}
	parser := d.NewParser()
	for i := range lines {
		r := Record{Line: lines[i].Text, Carried: lines[i].Time}
		whole := 1 + bytes.Count(r.Line, []byte{'\n'})
		if parser.Parse(&r) == nil {
			n += whole
		}
	}
	return n
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
