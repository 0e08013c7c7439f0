package parsers

import (
	"regexp/syntax"
	"unicode"
)

// alone tells for each of some layouts whether it is sure that no line that
// fits it fits one of those before it. Then it does not matter which of them is
// tried first.
func alone(layouts []*Layout) []bool {
	all := make([]*automaton, len(layouts))
	is := make([]bool, len(layouts))
	for i, l := range layouts {
		is[i] = true
		if l.pattern != nil {
			all[i] = newAutomaton(l.pattern.tree())
		}
		for _, before := range all[:i] {
			is[i] = is[i] && all[i].apart(before)
		}
	}
	return is
}

// apart tells whether it is sure that no line matches both of two expressions:
// a walk through both at once finds no way to the end.
//
// All runes beyond ASCII count as one, and word boundaries as met, so that
// there are more ways than lines can take. False may thus be wrong, true may
// not.
func (p *automaton) apart(q *automaton) bool {
	if p == nil || q == nil {
		return false
	}
	seen := make([]bool, len(p.states)*len(q.states))
	type pair struct{ p, q int }
	var todo []pair
	visit := func(from, to []int) {
		for _, i := range from {
			for _, j := range to {
				if at := i*len(q.states) + j; !seen[at] {
					seen[at] = true
					todo = append(todo, pair{i, j})
				}
			}
		}
	}
	visit(p.start, q.start)
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		s, t := &p.states[at.p], &q.states[at.q]
		if s.end && t.end {
			return false
		}
		if s.takes.meets(t.takes) {
			visit(s.next, t.next)
		}
	}
	return true
}

// automaton has a state for each rune that an expression takes, one for its
// end, and as the last one that for its end at $.
type automaton struct {
	start  []int
	states []state
}

// state takes a rune and goes to one of others, or ends.
type state struct {
	takes symbols
	next  []int
	end   bool
}

// symbols are the ASCII characters, and one that stands for all others.
type symbols [3]uint64

const beyondASCII = unicode.MaxASCII + 1

func (s *symbols) add(r rune) { s[r/64] |= 1 << (r % 64) }

func (s symbols) meets(o symbols) bool { return s[0]&o[0]|s[1]&o[1]|s[2]&o[2] != 0 }

// newAutomaton gives nil for an expression that is not anchored at the start.
func newAutomaton(re *syntax.Regexp) *automaton {
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return nil
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	a := &automaton{states: make([]state, len(prog.Inst)+1)}
	for pc := range prog.Inst {
		s := &a.states[pc]
		switch inst := &prog.Inst[pc]; inst.Op {
		case syntax.InstMatch: // without $ anything may follow
			*s = state{takes: symbols{^uint64(0), ^uint64(0), 1}, next: []int{pc}, end: true}
		case syntax.InstRune, syntax.InstRune1, syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			s.takes, s.next = symbolsOf(inst), reach(prog, int(inst.Out))
		}
	}
	a.states[len(prog.Inst)] = state{end: true}
	a.start = reach(prog, prog.Start)
	return a
}

func symbolsOf(inst *syntax.Inst) symbols {
	takes := inst.MatchRune
	switch inst.Op {
	case syntax.InstRuneAny:
		takes = func(rune) bool { return true }
	case syntax.InstRuneAnyNotNL:
		takes = func(r rune) bool { return r != '\n' }
	}
	var s symbols
	for r := range rune(beyondASCII) {
		if takes(r) {
			s.add(r)
		}
	}
	beyond := takes(unicode.MaxRune)
	for _, r := range inst.Rune { // pairs, or one in any case
		beyond = beyond || r > unicode.MaxASCII || len(inst.Rune) == 1 && (unicode.SimpleFold(r) > unicode.MaxASCII || unicode.SimpleFold(unicode.SimpleFold(r)) > unicode.MaxASCII)
	}
	if beyond {
		s.add(beyondASCII)
	}
	return s
}

// reach gives the states that can be reached without a rune; behind $ it is
// the last one only.
func reach(prog *syntax.Prog, from int) []int {
	var to []int
	seen := make([]bool, 2*len(prog.Inst)) // at, and past $
	var walk func(pc, past int)
	walk = func(pc, past int) {
		if seen[2*pc+past] {
			return
		}
		seen[2*pc+past] = true
		switch inst := &prog.Inst[pc]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			walk(int(inst.Out), past)
			walk(int(inst.Arg), past)
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&syntax.EmptyEndText != 0 {
				past = 1
			}
			walk(int(inst.Out), past)
		case syntax.InstCapture, syntax.InstNop:
			walk(int(inst.Out), past)
		case syntax.InstFail:
		case syntax.InstMatch:
			if past == 1 {
				pc = len(prog.Inst)
			}
			to = append(to, pc)
		default:
			if past == 0 {
				to = append(to, pc)
			}
		}
	}
	walk(from, 0)
	return to
}
