package parsers

import (
	"bytes"
	"encoding/binary"
	"math"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// matcher finds the same match as package regexp, without allocating. It
// takes anchored expressions and lines of valid UTF-8 only; all else stays
// with regexp.
//
// regexp defines its match as the one that a backtracking search finds first.
// That is what the matcher is: a backtracking search over a graph of nodes.
// What a node does, and what can come after it, is worked out beforehand, so
// that there are few nodes (a token and the blank behind it are one), and
// hardly ever a choice. A search that takes too long is given up, and regexp
// decides.
//
// The search goes by bytes. Most classes have all runes beyond ASCII, or none:
// then every byte from 0x80 on is in the class, or none is. It remains that
// nothing begins within a rune: sets of what can begin somewhere never hold a
// byte that continues a rune.
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

// node has what a search needs of it in its first bytes.
type node struct {
	op       op
	byte     byte     // opByte; opRun with skip: the byte that comes behind the run
	skip     uint8    // opRun: 1 when it takes the byte behind it, too
	sole     bool     // opRun: only the longest run can lead to a match
	lazy     bool     // opRun: as few bytes as go, not as many
	negate   bool     // opWord: no boundary
	counted  bool     // opRun: runes beyond ASCII must be looked at one by one
	stops    [2]int16 // opRun: what ends it in lines without, and with, control characters: a byte, or several, or nothing
	open     mark     // set when the node begins
	close    mark     // opRun: set where the run ends
	min, max int32    // runes
	after    int32    // opRun: the fewest bytes that what follows takes
	class    *class
	next     *node
	on       *[setSize]uint8 // opSplit: where a byte leads, an index of leads
	leads    []*node         // nil where it may be either branch
	look     *[setSize]uint8 // opRun: bit i is set where the byte can be the i-th of what follows

	least int32 // the fewest bytes that the node and what follows take
	other *node
	text  string
	first byteSet // what the node and all that follows can begin with
}

// In node.stops.
const (
	several int16 = -1 - iota
	nothing
)

// mark says that a position is kept.
type mark struct {
	slot int32 // 0: none, which may be set all the same, since it holds 0 in the end
	undo bool  // not on every way to a match
}

// class is a set of runes.
type class struct {
	bytes  [256]bool // of its runes; of those beyond ASCII only when it has them all
	beyond beyond
	ranges []rune // in pairs, when it has some beyond ASCII
}

// beyond tells how many of the runes beyond ASCII there are.
type beyond uint8

const (
	none beyond = iota
	some
	all
)

// size gives the length of the rune that text begins with, or 0 when it is
// not in the class.
func (c *class) size(text []byte) int {
	b := text[0]
	if b <= unicode.MaxASCII {
		if c.bytes[b] {
			return 1
		}
		return 0
	}
	r, size := utf8.DecodeRune(text)
	for i := 0; c.beyond == some && i < len(c.ranges); i += 2 {
		if c.ranges[i] <= r && r <= c.ranges[i+1] {
			return size
		}
	}
	if c.beyond == all {
		return size
	}
	return 0
}

// first gives the bytes that its runes can begin with.
func (c *class) first() byteSet {
	var s byteSet
	for b, in := range c.bytes {
		if !continues(b) && (in || c.beyond == some && b >= utf8.RuneSelf) {
			s.add(b)
		}
	}
	return s
}

// continues tells whether a byte is one that continues a rune.
func continues(b int) bool { return b&0xc0 == 0x80 && b < endOfLine }

// byteSet holds a bit for each byte, and at endOfLine one that tells whether
// the line may end here.
type byteSet [(setSize + 63) / 64]uint64

const (
	endOfLine = 256
	setSize   = endOfLine + 1
)

func (s *byteSet) add(b int)      { s[b/64] |= 1 << (b % 64) }
func (s *byteSet) has(b int) bool { return s[b/64]>>(b%64)&1 != 0 }

func (s *byteSet) union(o *byteSet) byteSet {
	var both byteSet
	for i := range both {
		both[i] = s[i] | o[i]
	}
	return both
}

func (s *byteSet) disjoint(o *byteSet) bool {
	for i := range s {
		if s[i]&o[i] != 0 {
			return false
		}
	}
	return true
}

func setOf(b int) byteSet {
	var s byteSet
	s.add(b)
	return s
}

// anything is what can begin where a rune does.
func anything() byteSet {
	return byteSet{math.MaxUint64, math.MaxUint64, 0, math.MaxUint64, 1} // all but 0x80 to 0xbf
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
	c := compiler{always: map[int]bool{}}
	fork := c.add(node{op: opFork, next: c.concat(re.Sub[max(shared, 1):], c.add(node{op: opMatch}))})
	start := c.concat(re.Sub[1:max(shared, 1)], fork)
	if re.Sub[0].Op == syntax.OpBeginLine {
		c.unsupported = multiLine
	}
	if c.unsupported != "" {
		return nil, c.unsupported
	}
	for _, n := range c.nodes {
		n.settle()
	}
	if c.loops { // which are settled before their bodies are, and so took the worst of them
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
	classes     []*class
	always      map[int]bool // slots that are set on every way to a match
	loops       bool
	optional    int    // how many choices the expression at hand is within
	unsupported string // what only regexp can match
}

func (c *compiler) add(n node) *node {
	n.first = anything()
	c.nodes = append(c.nodes, &n)
	return &n
}

// compile gives the node that takes re and then goes on at next.
func (c *compiler) compile(re *syntax.Regexp, next *node) *node {
	if class := classOf(re); class != nil && !isText(re) {
		return c.run(node{class: class, min: 1, max: 1}, next)
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return next
	case syntax.OpNoMatch:
		return c.add(node{op: opFail})
	case syntax.OpLiteral:
		if slices.ContainsFunc(re.Rune, func(r rune) bool { return !utf8.ValidRune(r) }) {
			c.unsupported = "a surrogate"
			return next
		}
		if isText(re) {
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
	if class := classOf(re.Sub[0]); class != nil {
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
	c.loops = true
	loop := c.add(node{op: opSplit, other: next})
	loop.next = c.compile(re.Sub[0], loop)
	if low == 1 {
		return loop.next
	}
	return loop
}

// run adds an opRun, and lets it take what it can of the next node.
func (c *compiler) run(n node, next *node) *node {
	n.op, n.class, n.next = opRun, c.known(n.class), next
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

// known gives the class that is equal, so that there is one of each.
func (c *compiler) known(a *class) *class {
	for _, b := range c.classes {
		if a.bytes == b.bytes && a.beyond == b.beyond && slices.Equal(a.ranges, b.ranges) {
			return b
		}
	}
	c.classes = append(c.classes, a)
	return a
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

// classOf gives the runes that a one-rune expression takes, or nil.
func classOf(re *syntax.Regexp) *class {
	switch re.Op {
	case syntax.OpAnyChar:
		return newClass(0, unicode.MaxRune)
	case syntax.OpAnyCharNotNL:
		return newClass(0, '\n'-1, '\n'+1, unicode.MaxRune)
	case syntax.OpCharClass:
		return newClass(re.Rune...)
	case syntax.OpLiteral:
		if len(re.Rune) != 1 {
			return nil
		}
		if re.Flags&syntax.FoldCase != 0 {
			return foldedRune(re.Rune[0])
		}
		return newClass(re.Rune[0], re.Rune[0])
	default:
		return nil
	}
}

// newClass makes a class of ranges, in pairs.
func newClass(ranges ...rune) *class {
	c := &class{}
	count := rune(0)
	for i := 0; i < len(ranges); i += 2 {
		low, high := ranges[i], ranges[i+1]
		for r := low; r <= min(high, unicode.MaxASCII); r++ {
			c.bytes[r] = true
		}
		if low = max(low, unicode.MaxASCII+1); low <= high {
			c.ranges = append(c.ranges, low, high)
			count += high - low + 1
		}
	}
	switch count {
	case 0:
	case unicode.MaxRune - unicode.MaxASCII:
		c.beyond, c.ranges = all, nil
		for b := utf8.RuneSelf; b < len(c.bytes); b++ {
			c.bytes[b] = true
		}
	default:
		c.beyond = some
	}
	return c
}

// isText tells whether re is plain text.
func isText(re *syntax.Regexp) bool {
	return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0
}

func foldedRune(r rune) *class {
	ranges := []rune{r, r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		ranges = append(ranges, f, f)
	}
	return newClass(ranges...)
}

func nullable(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return nullable(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || nullable(re.Sub[0])
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
		n.settleSplit()
	case opEmpty, opWord, opFork:
		n.first, n.least = n.next.first, n.next.least
	case opEnd:
		n.first = setOf(endOfLine)
	case opFail:
		n.first = byteSet{}
	case opMatch: // without $ anything may follow
	}
}

func (n *node) settleSplit() {
	n.first, n.least = n.next.first.union(&n.other.first), min(n.next.least, n.other.least)
	n.on, n.leads = new([setSize]uint8), []*node{nil}
	for b := range n.on {
		var to *node
		switch {
		case !n.next.first.has(b):
			to = n.other.lead(b)
		case !n.other.first.has(b):
			to = n.next.lead(b)
		}
		i := slices.Index(n.leads, to)
		if i < 0 {
			i = len(n.leads)
			n.leads = append(n.leads, to)
		}
		n.on[b] = uint8(i) // a split leads to fewer nodes than there are bytes
	}
}

// lead gives the node to go to at a byte: past splits that the byte decides.
func (n *node) lead(b int) *node {
	if n.op == opSplit && n.open.slot == 0 && n.on != nil {
		if to := n.leads[n.on[b]]; to != nil {
			return to
		}
	}
	return n
}

func (n *node) settleRun() {
	n.after = int32(n.skip) + n.next.least
	n.least = n.min + n.after
	follow := n.next.first
	if n.skip == 1 {
		follow = setOf(int(n.byte))
	}
	n.first = n.class.first()
	n.sole = n.min == n.max || n.first.disjoint(&follow)
	if n.min == 0 {
		n.first = n.first.union(&follow)
	}
	n.look = nil
	if !n.sole {
		n.look = new([setSize]uint8)
		for b := range n.look {
			if follow.has(b) {
				n.look[b] |= 1
			}
			if n.skip == 0 || n.next.first.has(b) {
				n.look[b] |= 2
			}
		}
	}
	n.counted = n.class.beyond == some || n.class.beyond == all && (n.min > 1 || n.max != unlimited)
	n.stops = [2]int16{n.class.stop(' '), n.class.stop(0)}
}

// stop gives what ends a run in lines that have no byte below low.
func (c *class) stop(low int) int16 {
	stop := nothing
	for b := low; b < len(c.bytes); b++ {
		switch {
		case c.bytes[b]:
		case stop == nothing:
			stop = int16(b)
		default:
			return several
		}
	}
	return stop
}

// runes gives the ends of the shortest and of the longest run up to limit, and
// whether there is one. It goes rune by rune.
func (n *node) runes(line []byte, pos, limit int) (shortest, end int, ok bool) {
	end = pos
	for count := int32(0); ; count++ {
		if count == n.min {
			shortest, ok = end, true
		}
		if count == n.max || end >= limit {
			return shortest, end, ok
		}
		size := n.class.size(line[end:])
		if size == 0 || end+size > limit {
			return shortest, end, ok
		}
		end += size
	}
}

type outcome uint8

const (
	noMatch outcome = iota
	matched
	undecided // took too long
)

// search is the state of a match, kept to be used again.
type search struct {
	line    []byte
	valid   bool // UTF-8
	ascii   bool
	control uint8 // 1 when there are control characters
	fork    int   // where the line's shared elements end, when they can end there only; else 0
	forked  bool  // there was a choice
	slots   []int32
	undo    []kept
	effort  int
	depth   int
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

// match fills s.slots with the match of a line of valid UTF-8. Slots of groups that
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
			end := limit
			if n.counted && !s.ascii {
				var ok bool
				if shortest, end, ok = n.runes(line, pos, limit); !ok {
					return false
				}
			} else {
				if int(n.max) < limit-pos {
					limit = pos + int(n.max)
					end = limit
				}
				switch stop := n.stops[s.control]; stop {
				case nothing:
				case several:
					class := n.class
					for i, b := range line[pos:limit] {
						if !class.bytes[b] {
							end = pos + i
							break
						}
					}
				default:
					if i := bytes.IndexByte(line[pos:limit], byte(stop)); i >= 0 {
						end = pos + i
					}
				}
				if end < shortest {
					return false
				}
			}
			s.effort -= end - pos
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
			if to := n.leads[n.on[at(line, pos)]]; to != nil {
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
	line := s.line
	low, high := shortest, longest
	for low <= high {
		end := high
		switch {
		case n.skip == 0 && n.lazy:
			end = low
		case n.skip == 0:
		case n.lazy:
			end = low + bytes.IndexByte(line[low:high+1], n.byte)
			if end < low {
				return false
			}
		default:
			end = low + bytes.LastIndexByte(line[low:high+1], n.byte)
			if end < low {
				return false
			}
		}
		if n.look[at(line, end)]&(n.look[at(line, end+1)]>>1) != 0 {
			s.keep(n.close, end)
			if s.try(n.next, end+int(n.skip)) {
				return true
			}
			if s.effort < 0 {
				return false
			}
		}
		if n.lazy {
			low = end + 1
		} else {
			high = end - 1
		}
	}
	return false
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
	var high, low uint64 // the high bits tell bytes from 0x80 on, and those below ' '
	rest := line
	for ; len(rest) >= 16; rest = rest[16:] {
		a, b := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		high |= a | b
		low |= (a-blanks)&^a | (b-blanks)&^b
	}
	if len(line) >= 16 { // the rest, with some of what was before it
		rest = line[len(line)-16:]
		a, b := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		high |= a | b
		low |= (a-blanks)&^a | (b-blanks)&^b
		rest = nil
	}
	for _, b := range rest {
		high |= uint64(b)
		low |= (uint64(b) - ' ') &^ uint64(b)
	}
	s.ascii = high&highBits == 0
	s.valid = s.ascii || utf8.Valid(line)
	s.control = 0
	if low&highBits != 0 {
		s.control = 1
	}
}

// within takes a part of the line of another search as the line. All that is
// known of it is known of the part.
func (s *search) within(whole *search, part []byte) {
	s.line, s.fork, s.valid, s.ascii, s.control = part, 0, true, true, 0
	if !whole.ascii || whole.control != 0 {
		s.begin(part)
	}
}

const (
	blanks   = 0x2020202020202020
	highBits = 0x8080808080808080
)
