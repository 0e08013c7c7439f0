package parsers

import (
	"bytes"
	"encoding/binary"
	"math"
	"regexp/syntax"
	"unicode"
)

// matcher finds the same match as package regexp, without allocating. It
// takes anchored expressions and lines of ASCII only; all else stays with
// regexp.
//
// regexp defines its match as the one that a backtracking search finds first.
// That is what the matcher is: a backtracking search over a graph of nodes.
// What a node does, and what can come after it, is worked out beforehand, so
// that there are few nodes (a token and the blank behind it are one), and
// hardly ever a choice. A search that takes too long is given up, and regexp
// decides.
type matcher struct {
	start *node
	fork  *node // where start comes to behind the shared elements
	slots int   // two for each group
	unset []int // the slots that are not set on every way to a match
}

type op uint8

const (
	opEmpty op = iota
	opByte     // the byte
	opText     // the bytes of text
	opRun      // between min and max bytes of class
	opSplit    // next, or else other
	opWord     // a word boundary, or none
	opEnd      // the end of the line
	opFork     // the end of the shared elements
	opMatch
	opFail
)

// node has what a search needs of it in its first 64 bytes.
type node struct {
	op       op
	byte     byte  // opByte; opRun with skip: the byte that comes behind the run
	skip     uint8 // opRun: 1 when it takes the byte behind it, too
	sole     bool  // opRun: only the longest run can lead to a match
	lazy     bool  // opRun: as few bytes as go, not as many
	negate   bool  // opWord: no boundary
	except   int16 // opRun: the one byte of plain lines that is not in class, or -1 when there are more
	open     mark  // set when the node begins
	close    mark  // opRun: set where the run ends
	min, max int32
	after    int32 // opRun: the fewest bytes that what follows takes
	least    int32 // the fewest bytes that the node and what follows take
	class    *byteSet
	next     *node
	on       *[setSize]*node // opSplit: where a byte leads; nil when it may be either branch

	other *node
	text  string
	look  *[setSize]uint8 // opRun: bit i is set where the byte can be the i-th of what follows
	first *byteSet        // what the node and all that follows can begin with
}

// mark says that a position is kept.
type mark struct {
	slot int32 // 0: none, which may be set all the same, since it holds 0 in the end
	undo bool  // not on every way to a match
}

// byteSet holds bytes, and at endOfLine whether the line may end here.
type byteSet [setSize]bool

const (
	endOfLine = 256
	setSize   = endOfLine + 1
)

func (s *byteSet) union(o *byteSet) *byteSet {
	both := *s
	for i, in := range o {
		both[i] = both[i] || in
	}
	return &both
}

func setOf(b int) *byteSet {
	var s byteSet
	s[b] = true
	return &s
}

func anything() *byteSet {
	var s byteSet
	for i := range s {
		s[i] = true
	}
	return &s
}

// compileMatcher gives nil for what only regexp can match, and says why. The
// first elements of re, as many as shared says, are those of other matchers too.
func compileMatcher(re *syntax.Regexp, groups, shared int) (m *matcher, why string) {
	if re.Op == syntax.OpAlternate {
		return nil, "alternatives that are not within ^(…)"
	}
	if re.Op != syntax.OpConcat || len(re.Sub) == 0 || re.Sub[0].Op != syntax.OpBeginText && re.Sub[0].Op != syntax.OpBeginLine {
		return nil, "not anchored at the start"
	}
	c := compiler{classes: map[byteSet]*byteSet{}, always: map[int]bool{}}
	fork := c.add(node{op: opFork, next: c.concat(re.Sub[max(shared, 1):], c.add(node{op: opMatch}))})
	start := c.concat(re.Sub[1:max(shared, 1)], fork)
	if re.Sub[0].Op == syntax.OpBeginLine {
		c.unsupported = multiLine
	}
	if c.unsupported != "" {
		return nil, c.unsupported
	}
	// A loop is settled before its body is, so the first round takes the worst
	// of the body, and the second knows better.
	for range 2 {
		for _, n := range c.nodes {
			n.settle()
		}
	}
	m = &matcher{start: start, fork: fork.next, slots: 2 * (groups + 1)}
	for slot := 2; slot < m.slots; slot++ {
		if !c.always[slot] {
			m.unset = append(m.unset, slot)
		}
	}
	return m, ""
}

const multiLine = "a (?m) anchor"

// compiler makes the graph from its end to its start.
type compiler struct {
	nodes       []*node // each behind those that it leads to, but for loops
	classes     map[byteSet]*byteSet
	always      map[int]bool // slots that are set on every way to a match
	optional    int          // how many choices the expression at hand is within
	unsupported string       // what only regexp can match
}

func (c *compiler) add(n node) *node {
	n.first = anything()
	c.nodes = append(c.nodes, &n)
	return &n
}

// compile gives the node that takes re and then goes on at next.
func (c *compiler) compile(re *syntax.Regexp, next *node) *node {
	if class := asciiClass(re); class != nil && !isText(re) {
		return c.run(node{class: class, min: 1, max: 1}, next)
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return next
	case syntax.OpNoMatch:
		return c.add(node{op: opFail})
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return c.text(string(re.Rune), next)
		}
		for i := len(re.Rune) - 1; i >= 0; i-- {
			next = c.run(node{class: foldedRune(re.Rune[i]), min: 1, max: 1}, next)
		}
		return next
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return c.repeat(re, next)
	case syntax.OpCapture:
		return c.mark(2*re.Cap, c.compile(re.Sub[0], c.mark(2*re.Cap+1, next)))
	case syntax.OpConcat:
		return c.concat(re.Sub, next)
	case syntax.OpAlternate:
		c.optional++
		defer func() { c.optional-- }()
		last := len(re.Sub) - 1
		n := c.compile(re.Sub[last], next)
		for i := last - 1; i >= 0; i-- {
			n = c.add(node{op: opSplit, next: c.compile(re.Sub[i], next), other: n})
		}
		return n
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return c.add(node{op: opWord, negate: re.Op == syntax.OpNoWordBoundary, next: next})
	case syntax.OpEndText:
		return c.add(node{op: opEnd, next: next})
	case syntax.OpBeginText:
		c.unsupported = "a second ^"
		return next
	default:
		c.unsupported = multiLine
		return next
	}
}

func (c *compiler) concat(subs []*syntax.Regexp, next *node) *node {
	for i := len(subs) - 1; i >= 0; i-- {
		next = c.compile(subs[i], next)
	}
	return next
}

func (c *compiler) text(text string, next *node) *node {
	if len(text) == 1 {
		return c.add(node{op: opByte, byte: text[0], next: next})
	}
	return c.add(node{op: opText, text: text, next: next})
}

// mark keeps the position before a node.
func (c *compiler) mark(slot int, n *node) *node {
	marked := node{next: n}
	if n.open.slot == 0 && (n.op != opSplit || n.next != nil) { // not a loop that is being made
		marked = *n
	}
	marked.open = mark{int32(slot), c.optional > 0}
	if c.optional == 0 {
		c.always[slot] = true
	}
	return c.add(marked)
}

func (c *compiler) repeat(re *syntax.Regexp, next *node) *node {
	low, high := bounds(re)
	lazy := re.Flags&syntax.NonGreedy != 0
	if class := asciiClass(re.Sub[0]); class != nil {
		return c.run(node{class: class, min: low, max: high, lazy: lazy}, next)
	}
	if re.Op == syntax.OpRepeat { // spelt out as x x (x (x)?)?
		return c.compile(re.Simplify(), next)
	}
	switch {
	case lazy:
		c.unsupported = "a lazy group"
		return next
	case high > 1 && nullable(re.Sub[0]):
		c.unsupported = "a repeated group that may be empty" // regexp has its own rules for empty rounds
		return next
	}
	c.optional++
	defer func() { c.optional-- }()
	if high == 1 {
		return c.add(node{op: opSplit, next: c.compile(re.Sub[0], next), other: next})
	}
	loop := c.add(node{op: opSplit, other: next})
	loop.next = c.compile(re.Sub[0], loop)
	if low == 1 {
		return loop.next
	}
	return loop
}

// run adds an opRun, and lets it take what it can of the next node.
func (c *compiler) run(n node, next *node) *node {
	if c.classes[*n.class] == nil {
		c.classes[*n.class] = n.class
	}
	n.op, n.class, n.next = opRun, c.classes[*n.class], next
	switch {
	case next.op == opRun && next.class == n.class && next.open.slot == 0 && n.min == n.max: // [0-9][0-9]
		length := n.min
		n = *next
		n.min += length
		n.max += min(length, unlimited-n.max)
	case next.op == opByte:
		n.skip, n.byte, n.close, n.next = 1, next.byte, next.open, next.next
	case next.op == opText:
		n.skip, n.byte, n.close, n.next = 1, next.text[0], next.open, c.text(next.text[1:], next.next)
	}
	return c.add(n)
}

const unlimited = math.MaxInt32

func bounds(re *syntax.Regexp) (low, high int32) {
	switch re.Op {
	case syntax.OpStar:
		return 0, unlimited
	case syntax.OpPlus:
		return 1, unlimited
	case syntax.OpQuest:
		return 0, 1
	default: // OpRepeat
		if re.Max < 0 {
			return int32(re.Min), unlimited
		}
		return int32(re.Min), int32(re.Max)
	}
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

// isText tells whether re is plain text.
func isText(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0
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

// settle works out what a node knows of those that it leads to.
func (n *node) settle() {
	switch n.op {
	case opByte:
		n.first, n.least = setOf(int(n.byte)), 1+n.next.least
	case opText:
		n.first, n.least = setOf(int(n.text[0])), int32(len(n.text))+n.next.least
	case opRun:
		n.settleRun()
	case opSplit:
		n.first, n.least = n.next.first.union(n.other.first), min(n.next.least, n.other.least)
		n.on = new([setSize]*node)
		for b := range n.on {
			if n.next.first[b] != n.other.first[b] || !n.next.first[b] {
				n.on[b] = n.other.lead(b)
				if n.next.first[b] {
					n.on[b] = n.next.lead(b)
				}
			}
		}
	case opEmpty, opWord, opFork:
		n.first, n.least = n.next.first, n.next.least
	case opEnd:
		n.first = setOf(endOfLine)
	case opFail:
		n.first = &byteSet{}
	case opMatch: // without $ anything may follow
	}
}

// lead gives the node to go to at a byte: past splits that the byte decides.
func (n *node) lead(b int) *node {
	if n.op == opSplit && n.open.slot == 0 && n.on != nil && n.on[b] != nil {
		return n.on[b]
	}
	return n
}

func (n *node) settleRun() {
	follow, second := n.next.first, anything()
	if n.skip == 1 {
		follow, second = setOf(int(n.byte)), n.next.first
	}
	n.after = int32(n.skip) + n.next.least
	n.least = n.min + n.after
	n.sole = n.min == n.max || disjoint(n.class, follow)
	n.first = n.class
	if n.min == 0 {
		n.first = n.class.union(follow)
	}
	n.look = new([setSize]uint8)
	for b := range n.look {
		if follow[b] {
			n.look[b] |= 1
		}
		if second[b] {
			n.look[b] |= 2
		}
	}
	n.except = unicode.MaxASCII + 1 // a byte that no line has
	for b := ' '; b <= unicode.MaxASCII; b++ {
		if n.class[b] {
			continue
		}
		if n.except <= unicode.MaxASCII {
			n.except = -1
			break
		}
		n.except = int16(b)
	}
}

func disjoint(a, b *byteSet) bool {
	for i := range a {
		if a[i] && b[i] {
			return false
		}
	}
	return true
}

type outcome uint8

const (
	noMatch outcome = iota
	matched
	undecided // took too long
)

// search is the state of a match, kept to be used again.
type search struct {
	line   []byte
	ascii  bool
	plain  bool // ASCII from the blank on
	fork   int  // where the line's shared elements end, when they can end there only; else 0
	forked bool // there was a choice
	slots  []int32
	undo   []kept
	effort int
	depth  int
}

// kept is what a slot held.
type kept struct{ slot, at int32 }

// A search may take this many branches and scanned bytes for each byte of the
// line; the shipped definitions take fewer than three. Tries may nest so deep;
// they go deeper only in loops.
const (
	effortPerByte = 32
	maxDepth      = 1000
)

// match fills s.slots with the match of an ASCII line. Slots of groups that
// took no part are -1.
func (m *matcher) match(s *search) outcome {
	if missing := m.slots - len(s.slots); missing > 0 {
		s.slots = append(s.slots, make([]int32, missing)...)
	}
	s.undo = s.undo[:0]
	s.effort, s.depth, s.forked = 1024+effortPerByte*len(s.line), 0, false
	for _, slot := range m.unset {
		s.slots[slot] = -1
	}
	start := m.start
	if s.fork > 0 {
		start = m.fork
	}
	switch {
	case s.run(start, s.fork):
		return matched
	case s.effort < 0:
		return undecided
	default:
		return noMatch
	}
}

// run tells whether the line matches from pos on.
func (s *search) run(n *node, pos int) bool {
	line := s.line
	for {
		if n.open.slot != 0 {
			s.keep(n.open, pos)
		}
		switch n.op {
		case opByte:
			if pos >= len(line) || line[pos] != n.byte {
				return false
			}
			pos++
		case opText:
			end := pos + len(n.text)
			if end > len(line) || string(line[pos:end]) != n.text {
				return false
			}
			pos = end
		case opRun:
			shortest, limit := pos+int(n.min), len(line)-int(n.after)
			if limit < shortest {
				return false
			}
			if int(n.max) < limit-pos {
				limit = pos + int(n.max)
			}
			end := limit
			if s.plain && n.except >= 0 {
				if i := bytes.IndexByte(line[pos:limit], byte(n.except)); i >= 0 {
					end = pos + i
				}
			} else {
				class := n.class
				for end = pos; end < limit && class[line[end]]; end++ {
				}
			}
			s.effort -= end - pos
			if end < shortest {
				return false
			}
			if !n.sole {
				return s.choose(n, shortest, end)
			}
			if n.skip == 1 && line[end] != n.byte {
				return false
			}
			if n.close.slot != 0 {
				s.keep(n.close, end)
			}
			pos = end + int(n.skip)
		case opSplit:
			s.effort--
			if to := n.on[at(line, pos)]; to != nil {
				n = to
				continue
			}
			if s.try(n.next, pos) {
				return true
			}
			if s.effort < 0 {
				return false
			}
			n = n.other
			continue
		case opWord:
			if wordBoundary(line, pos) == n.negate {
				return false
			}
		case opEnd:
			if pos != len(line) {
				return false
			}
		case opFork:
			if !s.forked && len(s.undo) == 0 {
				s.fork = pos
			}
		case opMatch:
			s.slots[0], s.slots[1] = 0, int32(pos)
			return true
		case opFail:
			return false
		}
		n = n.next
	}
}

// choose tries the ends that a run can have where what follows can begin.
func (s *search) choose(n *node, shortest, longest int) bool {
	line, look := s.line, n.look
	end, last, step := longest, shortest, -1
	if n.lazy {
		end, last, step = shortest, longest, 1
	}
	here, behind := look[at(line, end)], look[at(line, end+1)]
	for {
		if here&(behind>>1) != 0 {
			s.keep(n.close, end)
			if s.try(n.next, end+int(n.skip)) {
				return true
			}
			if s.effort < 0 {
				return false
			}
		}
		if end == last {
			return false
		}
		if end += step; step < 0 {
			here, behind = look[line[end]], here
		} else {
			here, behind = behind, look[at(line, end+1)]
		}
	}
}

// try runs a branch, and when it fails puts the slots back.
func (s *search) try(n *node, pos int) bool {
	if s.depth == maxDepth {
		s.effort = -1
		return false
	}
	s.forked = true
	s.depth++
	s.effort--
	before := len(s.undo)
	if s.run(n, pos) {
		return true
	}
	s.depth--
	for i := len(s.undo) - 1; i >= before; i-- {
		s.slots[s.undo[i].slot] = s.undo[i].at
	}
	s.undo = s.undo[:before]
	return false
}

func (s *search) keep(m mark, pos int) {
	if m.undo {
		s.undo = append(s.undo, kept{m.slot, s.slots[m.slot]})
	}
	s.slots[m.slot] = int32(pos)
}

func at(line []byte, pos int) int {
	if pos < len(line) {
		return int(line[pos])
	}
	return endOfLine
}

func wordBoundary(line []byte, pos int) bool {
	before := pos > 0 && isWord(line[pos-1])
	after := pos < len(line) && isWord(line[pos])
	return before != after
}

func isWord(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// begin takes another line.
func (s *search) begin(line []byte) {
	s.line, s.fork = line, 0
	var high, low uint64 // the high bits tell bytes from 0x80 on, and in ASCII those below ' '
	rest := line
	for ; len(rest) >= 8; rest = rest[8:] {
		eight := binary.LittleEndian.Uint64(rest)
		high |= eight
		low |= eight - 0x2020202020202020
	}
	for _, b := range rest {
		high |= uint64(b)
		low |= uint64(b) - ' '
	}
	s.ascii = high&0x8080808080808080 == 0
	s.plain = s.ascii && low&0x8080808080808080 == 0
}
