package parsers

// Detect gives the definition that parses the most of some lines, or nil when
// none parses any. Where two parse as many, the first by name is taken.
func (s Set) Detect(lines [][]byte) *Definition {
	var best *Definition
	most := 0
	for _, name := range s.Names() {
		parser, n := s[name].NewParser(), 0
		r := Record{}
		for _, line := range lines {
			r.Line = line
			if parser.Parse(&r) == nil {
				n++
			}
		}
		if n > most {
			best, most = s[name], n
		}
	}
	return best
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
