package parsers

import (
	"bytes"
	"math"
	"regexp/syntax"
	"unicode"
)

// matcher finds the same match as package regexp, without allocating. It
// takes anchored expressions and lines of ASCII only; all else stays with
// regexp.
//
// regexp defines its match as the one that a backtracking search finds first.
// That is what the matcher is: a backtracking search over a short program.
// First sets, worked out when the program is made, tell at nearly every choice
// that only one branch can go on, so that hardly any is ever taken back. A
// search that takes too many steps is given up, and regexp decides.
type matcher struct {
	program []step
	slots   int // two for each group
}

type op uint8

const (
	opByte    op = iota // the one byte of literal
	opLiteral           // the bytes of literal
	opClass             // between min and max bytes of class, as many as go; its ends are kept in open and close
	opLazy              // the same, as few as go
	opOne               // exactly one byte of class
	opSlot              // the position is kept in slot
	opSplit             // next, or else other
	opJump              // other
	opWord              // a word boundary, or none: lazy
	opEnd               // the end of the line
	opMatch
	opFail
)

type step struct {
	op       op
	sole     bool // opClass: a shorter run can never lead to a match
	boundary bool // opWord: \b, else \B
	literal  []byte
	class    *byteSet
	min, max int
	slot     int
	undo     bool // opSlot: not on every way to a match
	other    int
	open     int // opClass: slots, or -1
	close    int
	rest     int // opClass: the fewest bytes that what follows takes
	// first sets of the two branches of opSplit; where the byte at hand is
	// not in one, that branch is dead.
	next, alternative *byteSet
	stop              int // opClass: the one byte that can follow, or -1
}

// byteSet holds bytes, and at endOfLine whether the line may end here.
type byteSet [endOfLine + 1]bool

const endOfLine = 256

func (s *byteSet) add(o *byteSet) {
	for i, in := range o {
		s[i] = s[i] || in
	}
}

// compileMatcher gives nil for what only regexp can match.
func compileMatcher(re *syntax.Regexp, groups int) *matcher {
	c := compiler{}
	if re.Op != syntax.OpConcat || len(re.Sub) == 0 || re.Sub[0].Op != syntax.OpBeginText {
		return nil
	}
	for _, sub := range re.Sub[1:] {
		if !c.compile(sub) {
			return nil
		}
	}
	c.emit(step{op: opMatch})
	m := &matcher{program: c.program, slots: 2 * (groups + 1)}
	m.lookAhead()
	return m
}

type compiler struct {
	program  []step
	optional int // how many choices the expression at hand is within
}

func (c *compiler) emit(s step) int {
	c.program = append(c.program, s)
	return len(c.program) - 1
}

func (c *compiler) compile(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch:
	case syntax.OpNoMatch:
		c.emit(step{op: opFail})
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			for _, r := range re.Rune {
				c.emit(step{op: opOne, class: foldedRune(r)})
			}
			return true
		}
		literal := []byte(string(re.Rune))
		if len(literal) == 1 {
			c.emit(step{op: opByte, literal: literal})
		} else {
			c.emit(step{op: opLiteral, literal: literal})
		}
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		c.emit(step{op: opOne, class: asciiClass(re)})
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return c.repeat(re)
	case syntax.OpCapture:
		if class, low, high := classRun(re.Sub[0]); class != nil && c.optional == 0 {
			c.emit(step{op: opClass, class: class, min: low, max: high, open: 2 * re.Cap, close: 2*re.Cap + 1})
			return true
		}
		c.emit(step{op: opSlot, slot: 2 * re.Cap, undo: c.optional > 0})
		if !c.compile(re.Sub[0]) {
			return false
		}
		c.emit(step{op: opSlot, slot: 2*re.Cap + 1, undo: c.optional > 0})
	case syntax.OpConcat:
		for _, sub := range runs(re.Sub) {
			if sub.class != nil {
				c.emit(step{op: opClass, class: sub.class, min: sub.min, max: sub.max, open: -1, close: -1})
			} else if !c.compile(sub.re) {
				return false
			}
		}
	case syntax.OpAlternate:
		c.optional++
		defer func() { c.optional-- }()
		var ends []int
		for i, sub := range re.Sub {
			split := -1
			if i < len(re.Sub)-1 {
				split = c.emit(step{op: opSplit})
			}
			if !c.compile(sub) {
				return false
			}
			if split >= 0 {
				ends = append(ends, c.emit(step{op: opJump}))
				c.program[split].other = len(c.program)
			}
		}
		for _, end := range ends {
			c.program[end].other = len(c.program)
		}
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		c.emit(step{op: opWord, boundary: re.Op == syntax.OpWordBoundary})
	case syntax.OpEndText:
		c.emit(step{op: opEnd})
	default: // (?m) anchors and a second ^
		return false
	}
	return true
}

func (c *compiler) repeat(re *syntax.Regexp) bool {
	if class, low, high := classRun(re); class != nil {
		c.emit(step{op: opClass, class: class, min: low, max: high, open: -1, close: -1})
		return true
	}
	if re.Op == syntax.OpRepeat && asciiClass(re.Sub[0]) == nil { // spelt out as x x (x (x)?)?
		return c.compile(re.Simplify())
	}
	low, high := bounds(re)
	if class := asciiClass(re.Sub[0]); class != nil {
		c.emit(step{op: opLazy, class: class, min: low, max: high})
		return true
	}
	if re.Flags&syntax.NonGreedy != 0 || high > 1 && nullable(re.Sub[0]) {
		return false // rare, and regexp has its own rules for empty rounds
	}
	c.optional++
	defer func() { c.optional-- }()
	start := len(c.program)
	if low == 1 { // x+ is x x*
		if !c.compile(re.Sub[0]) {
			return false
		}
		start = len(c.program)
	}
	split := c.emit(step{op: opSplit})
	if !c.compile(re.Sub[0]) {
		return false
	}
	if high > 1 {
		c.emit(step{op: opJump, other: start})
	}
	c.program[split].other = len(c.program)
	return true
}

func bounds(re *syntax.Regexp) (low, high int) {
	switch re.Op {
	case syntax.OpStar:
		return 0, math.MaxInt
	case syntax.OpPlus:
		return 1, math.MaxInt
	case syntax.OpQuest:
		return 0, 1
	default: // OpRepeat
		if re.Max < 0 {
			return re.Min, math.MaxInt
		}
		return re.Min, re.Max
	}
}

// classRun takes a greedy repetition of one class; else the class is nil.
func classRun(re *syntax.Regexp) (class *byteSet, low, high int) {
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		if re.Flags&syntax.NonGreedy == 0 {
			low, high = bounds(re)
			return asciiClass(re.Sub[0]), low, high
		}
	}
	return nil, 0, 0
}

// run is a stretch of one class, such as [0-9][0-9], or any other expression.
type run struct {
	re       *syntax.Regexp
	class    *byteSet
	min, max int
}

func runs(subs []*syntax.Regexp) []run {
	var out []run
	for _, sub := range subs {
		class := asciiClass(sub)
		if n := len(out); n > 0 && class != nil && out[n-1].class != nil && *out[n-1].class == *class {
			out[n-1].min++
			out[n-1].max++
			continue
		}
		out = append(out, run{sub, class, 1, 1})
	}
	return out
}

// asciiClass gives the ASCII bytes that a one-rune expression takes, or nil.
func asciiClass(re *syntax.Regexp) *byteSet {
	var s byteSet
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		for b := range unicode.MaxASCII + 1 {
			s[b] = re.Op == syntax.OpAnyChar || b != '\n'
		}
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1] && r <= unicode.MaxASCII; r++ {
				s[r] = true
			}
		}
	case syntax.OpLiteral:
		if len(re.Rune) != 1 {
			return nil
		}
		if re.Flags&syntax.FoldCase != 0 {
			return foldedRune(re.Rune[0])
		}
		if re.Rune[0] <= unicode.MaxASCII {
			s[re.Rune[0]] = true
		}
	default:
		return nil
	}
	return &s
}

func foldedRune(r rune) *byteSet {
	var s byteSet
	for f, ok := r, false; !ok || f != r; f, ok = unicode.SimpleFold(f), true {
		if f <= unicode.MaxASCII {
			s[f] = true
		}
	}
	return &s
}

func nullable(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return nullable(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !nullable(sub) {
				return false
			}
		}
		return true
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if nullable(sub) {
				return true
			}
		}
		return false
	default:
		return true
	}
}

// lookAhead works out the first sets.
func (m *matcher) lookAhead() {
	for i := range m.program {
		s := &m.program[i]
		switch s.op {
		case opSplit:
			s.next, s.alternative = m.first(i+1), m.first(s.other)
		case opClass:
			follow := m.first(i + 1)
			s.sole = s.min == s.max || disjoint(s.class, follow)
			s.stop = soleByte(follow)
			s.rest = m.shortest(i + 1)
		}
	}
}

// first gives what can come at a step of a search that will match.
func (m *matcher) first(pc int) *byteSet {
	var out byteSet
	m.addFirst(pc, &out, make([]bool, len(m.program)))
	return &out
}

func (m *matcher) addFirst(pc int, out *byteSet, seen []bool) {
	for !seen[pc] {
		seen[pc] = true
		s := &m.program[pc]
		switch s.op {
		case opByte, opLiteral:
			out[s.literal[0]] = true
			return
		case opOne:
			out.add(s.class)
			return
		case opClass, opLazy:
			out.add(s.class)
			if s.min > 0 {
				return
			}
			pc++
		case opSplit:
			m.addFirst(pc+1, out, seen)
			pc = s.other
		case opJump:
			pc = s.other
		case opEnd:
			out[endOfLine] = true
			return
		case opMatch: // without $ anything may follow
			for i := range out {
				out[i] = true
			}
			return
		case opFail:
			return
		default:
			pc++
		}
	}
}

// shortest gives the fewest bytes that a step and all after it take.
func (m *matcher) shortest(pc int) int {
	n := 0
	for {
		s := &m.program[pc]
		switch s.op {
		case opByte, opLiteral:
			n += len(s.literal)
		case opOne:
			n++
		case opClass, opLazy:
			n += s.min
		case opSplit: // the way around costs nothing, to say the least
			pc = s.join(m, pc)
			continue
		case opJump:
			if s.other <= pc { // back to a loop's split, which ends here
				return n
			}
			pc = s.other
			continue
		case opMatch, opFail:
			return n
		}
		pc++
	}
}

// join gives a step that both branches of a split come to: the farthest that
// a jump within them leads to.
func (s *step) join(m *matcher, pc int) int {
	end := s.other
	for i := pc + 1; i < end; i++ {
		if t := &m.program[i]; (t.op == opJump || t.op == opSplit) && t.other > end {
			end = t.other
		}
	}
	return end
}

func disjoint(a, b *byteSet) bool {
	for i := range a {
		if a[i] && b[i] {
			return false
		}
	}
	return true
}

func soleByte(s *byteSet) int {
	found := -1
	for i, in := range s {
		if in && (found >= 0 || i == endOfLine) {
			return -1
		}
		if in {
			found = i
		}
	}
	return found
}

// choice is a place to go back to.
type choice struct {
	pc   int32
	at   int32 // opClass, opLazy: the end of the run; opSplit: the position; opSlot: the value before
	from int32 // opClass: the shortest end; opLazy: the longest end
}

type outcome uint8

const (
	noMatch outcome = iota
	matched
	undecided // too many steps
)

// search is the state of a match, kept to be used again.
type search struct {
	slots   []int32
	choices []choice
}

// A search may take this many steps and scanned bytes for each byte of the
// line; the shipped definitions take fewer than three.
const effortPerByte = 32

// match fills s.slots with the match of an ASCII line. Slots of groups that
// took no part are -1.
func (m *matcher) match(line []byte, s *search) outcome {
	if cap(s.slots) < m.slots {
		s.slots = make([]int32, m.slots)
	}
	s.slots = s.slots[:m.slots]
	for i := range s.slots {
		s.slots[i] = -1
	}
	s.choices = s.choices[:0]
	effort := 1024 + effortPerByte*len(line)
	pc, pos := 0, 0
	for {
		if effort--; effort < 0 {
			return undecided
		}
		ok := false
		st := &m.program[pc]
		switch st.op {
		case opByte:
			if pos < len(line) && line[pos] == st.literal[0] {
				pos, ok = pos+1, true
			}
		case opLiteral:
			if n := pos + len(st.literal); n <= len(line) && string(line[pos:n]) == string(st.literal) {
				pos, ok = n, true
			}
		case opOne:
			if pos < len(line) && st.class[line[pos]] {
				pos, ok = pos+1, true
			}
		case opClass:
			limit := len(line) - st.rest
			if limit < pos {
				break
			}
			if st.max < limit-pos {
				limit = pos + st.max
			}
			end, class := limit, st.class
			for i, b := range line[pos:limit] {
				if !class[b] {
					end = pos + i
					break
				}
			}
			effort -= end - pos
			if shortest := pos + st.min; end >= shortest {
				if !st.sole && end > shortest {
					s.choices = append(s.choices, choice{int32(pc), int32(end), int32(shortest)})
				}
				if st.open >= 0 {
					s.slots[st.open], s.slots[st.close] = int32(pos), int32(end)
				}
				pos, ok = end, true
			}
		case opLazy:
			end := pos
			for end < len(line) && end-pos < st.min && st.class[line[end]] {
				end++
			}
			if end-pos == st.min {
				longest := len(line)
				if st.max < longest-pos {
					longest = pos + st.max
				}
				s.choices = append(s.choices, choice{int32(pc), int32(end), int32(longest)})
				pos, ok = end, true
			}
		case opSlot:
			if st.undo && len(s.choices) > 0 {
				s.choices = append(s.choices, choice{int32(pc), s.slots[st.slot], 0})
			}
			s.slots[st.slot] = int32(pos)
			ok = true
		case opSplit:
			b := endOfLine
			if pos < len(line) {
				b = int(line[pos])
			}
			if !st.next[b] {
				pc = st.other
				continue
			}
			if st.alternative[b] {
				s.choices = append(s.choices, choice{int32(pc), int32(pos), 0})
			}
			ok = true
		case opJump:
			pc = st.other
			continue
		case opWord:
			ok = wordBoundary(line, pos) == st.boundary
		case opEnd:
			ok = pos == len(line)
		case opMatch:
			s.slots[0], s.slots[1] = 0, int32(pos)
			return matched
		}
		if ok {
			pc++
			continue
		}
		if pc, pos = m.back(line, s); pc < 0 {
			return noMatch
		}
	}
}

// back takes the newest choice that has another branch.
func (m *matcher) back(line []byte, s *search) (pc, pos int) {
	for n := len(s.choices); n > 0; n = len(s.choices) {
		c := &s.choices[n-1]
		st := &m.program[c.pc]
		switch st.op {
		case opClass:
			end := int(c.at) - 1
			if st.stop >= 0 { // only there can what follows begin
				i := bytes.LastIndexByte(line[c.from:c.at], byte(st.stop))
				end = int(c.from) + i
				if i < 0 {
					end = -1
				}
			}
			if end < int(c.from) {
				s.choices = s.choices[:n-1]
				continue
			}
			c.at = int32(end)
			if st.open >= 0 {
				s.slots[st.close] = int32(end)
			}
			return int(c.pc) + 1, end
		case opLazy:
			if c.at >= c.from || !st.class[line[c.at]] {
				s.choices = s.choices[:n-1]
				continue
			}
			c.at++
			return int(c.pc) + 1, int(c.at)
		case opSlot:
			s.slots[st.slot] = c.at
			s.choices = s.choices[:n-1]
		default:
			at := int(c.at)
			s.choices = s.choices[:n-1]
			return st.other, at
		}
	}
	return -1, 0
}

func wordBoundary(line []byte, pos int) bool {
	before := pos > 0 && isWord(line[pos-1])
	after := pos < len(line) && isWord(line[pos])
	return before != after
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// isASCII tells whether no byte has its high bit set.
func isASCII(line []byte) bool {
	for len(line) >= 8 {
		if (line[0]|line[1]|line[2]|line[3]|line[4]|line[5]|line[6]|line[7])&0x80 != 0 {
			return false
		}
		line = line[8:]
	}
	for _, b := range line {
		if b >= 0x80 {
			return false
		}
	}
	return true
}
