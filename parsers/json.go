package parsers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"github.com/corkline/corkline/parsers/internal/jsontext"
)

// jsonPlan says which values of JSON objects (RFC 8259) are kept, and what is
// hidden in them. It does not change, and may be shared by goroutines.
type jsonPlan struct {
	root   *jsonNode
	named  int   // how many nodes have keys
	fields []int // of the values that are kept as they are: their indexes in Record.Spans
	joined []int // of the values that are joined from the elements of an array, -1 of those for tuples only
	tuples []jsonTuple
	hide   *secrets
}

// jsonTuple is a field that has of each element of an array the values of
// several keys.
type jsonTuple struct {
	field int
	nodes []*jsonNode // of the values
}

// jsonNode is a place in objects that paths lead to, or through.
type jsonNode struct {
	keys   map[string]*jsonNode // the members below it, if it is an object
	each   *jsonNode            // the elements below it, if it is an array
	field  int                  // index in Record.Spans of the path that ends here, or -1
	slot   int                  // index in jsonPlan.fields or joined of the path that ends here, or -1
	joined bool                 // an element of an array, or in one
	tuple  bool                 // an element of which tuples are made
	part   bool                 // a value of tuples
	id     int                  // index in jsonWalker.objects when it has keys

	// What ends here and below: parts of jsonPlan.fields and of joined.
	firstField, endField, firstJoined, endJoined int
}

// newJSONPlan makes a plan of paths, each of which leads to the value of the
// field with that index in Record.Spans. A path is the keys on the way to a
// value, joined by dots; [] behind a key stands for each element of its array,
// {b/c} at the end for the values of b and c with the slash between, and a
// backslash makes the next character a part of the key. It is an error
// when a path is not of that form or two lead to the same value or field.
func newJSONPlan(paths map[string]int, hide *secrets) (*jsonPlan, error) {
	p := &jsonPlan{root: &jsonNode{field: -1}, hide: hide}
	of := map[int]string{}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		field := paths[path]
		if other, ok := of[field]; ok {
			return nil, fmt.Errorf("paths %q and %q lead to the same field", other, path)
		}
		of[field] = path
		path, keys, tuple := strings.Cut(path, ".{")
		n, err := p.root.add(path)
		if err == nil && tuple {
			err = p.addTuple(n, keys, field)
		}
		if err != nil {
			return nil, fmt.Errorf("reading path %q: %w", of[field], err)
		}
		if tuple {
			continue
		}
		if n.field >= 0 {
			return nil, fmt.Errorf("paths %q and %q lead to the same value", of[n.field], path)
		}
		n.field = field
	}
	p.number(p.root)
	return p, nil
}

// addTuple adds what {keys leads to from n.
func (p *jsonPlan) addTuple(n *jsonNode, keys string, field int) error {
	keys, closed := strings.CutSuffix(keys, "}")
	if !closed || !n.joined {
		return errors.New(`{ needs "[]." before it and "}" at the end`)
	}
	t := jsonTuple{field: field}
	n.tuple = true
	for key := range strings.SplitSeq(keys, "/") {
		value, err := n.add(key)
		if err != nil {
			return err
		}
		if n.keys[key] != value {
			return errors.New("{ } takes keys with slashes between")
		}
		value.part = true
		t.nodes = append(t.nodes, value)
	}
	p.tuples = append(p.tuples, t)
	return nil
}

// add gives the node that a path leads to from n.
func (n *jsonNode) add(path string) (*jsonNode, error) {
	for i := 0; ; i++ { // behind a dot
		var key []byte
		for ; i < len(path) && path[i] != '.' && path[i] != '['; i++ {
			if path[i] == ']' {
				return nil, errors.New(`"]" without "["`)
			}
			if path[i] == '\\' {
				if i++; i == len(path) {
					return nil, errors.New(`nothing behind "\"`)
				}
			}
			key = append(key, path[i])
		}
		if len(key) == 0 {
			return nil, errors.New("empty key")
		}
		child := n.keys[string(key)]
		if child == nil {
			if n.keys == nil {
				n.keys = map[string]*jsonNode{}
			}
			child = &jsonNode{field: -1, joined: n.joined}
			n.keys[string(key)] = child
		}
		n = child
		for ; i < len(path) && path[i] == '['; i += 2 {
			if i+1 == len(path) || path[i+1] != ']' {
				return nil, errors.New(`"[" without "]"`)
			}
			if n.each == nil {
				n.each = &jsonNode{field: -1, joined: true}
			}
			n = n.each
		}
		if i == len(path) {
			return n, nil
		}
		if path[i] != '.' {
			return nil, errors.New(`neither "." nor the end behind "[]"`)
		}
	}
}

// number gives out slots and ids, so that those of n and below are in a row.
func (p *jsonPlan) number(n *jsonNode) {
	n.firstField, n.firstJoined, n.slot = len(p.fields), len(p.joined), -1
	if (n.field >= 0 || n.part) && n.joined {
		n.slot = len(p.joined)
		p.joined = append(p.joined, n.field)
	} else if n.field >= 0 {
		n.slot = len(p.fields)
		p.fields = append(p.fields, n.field)
	}
	if n == p.root || n.keys != nil {
		n.id = p.named
		p.named++
	}
	for _, key := range slices.Sorted(maps.Keys(n.keys)) {
		p.number(n.keys[key])
	}
	if n.each != nil {
		p.number(n.each)
	}
	n.endField, n.endJoined = len(p.fields), len(p.joined)
}

// jsonError tells where a text stops to be a JSON object.
type jsonError struct {
	offset   int // in bytes
	expected string
	cut      bool // the text is right as far as it goes, but ends too early
}

func (e *jsonError) Error() string {
	if e.cut {
		return fmt.Sprintf("JSON is cut off at byte %d: expected %s", e.offset, e.expected)
	}
	return fmt.Sprintf("byte %d of JSON: expected %s", e.offset, e.expected)
}

const (
	// maxLevels of arrays and objects within each other.
	maxLevels = 200
	// What is learned about one object at most: names can be anything.
	maxMembers = 256
	maxKey     = 64
	maxWithin  = 16 // objects of which nothing is kept
)

// jsonWalker reads JSON objects by a plan, for one goroutine. Lines of one log
// have the same keys in the same order, so it remembers for each object that
// it keeps values of, and for some that lie in them, which key followed which:
// where that guess is right, a key is compared, and neither searched for its
// end nor looked up.
type jsonWalker struct {
	plan    *jsonPlan
	root    *jsonNode
	hide    *secrets
	objects []jsonObject // by jsonNode.id, then those of which nothing is kept

	// Of the text at hand; all positions are those before it is redacted.
	text    []byte
	values  []jsonValue   // by jsonNode.slot, as are lists
	lists   [][]jsonValue // what is to be joined
	marks   []int         // lengths of lists where the objects at hand began
	edits   []edit
	moves   []move
	settled int  // what comes before was read, but for what it is within
	open    bool // the text ends with a number that may go on
	equals  int  // there is no = between what was walked and here
	buffer  []byte
	places  []int32
	found   []Span
	err     *jsonError // nil or wrong
	wrong   jsonError
}

// jsonValue is a value's place in the text. One of no length is none.
type jsonValue struct {
	start, end int
	escaped    bool
}

// jsonObject is what was learned about the objects of one node.
type jsonObject struct {
	members []jsonMember
	index   map[string]int // by key
	first   int            // the member that came first the last time, or -1
}

type jsonMember struct {
	text  string // the key as it stands in compact JSON, with its colon
	child *jsonNode
	role  role
	next  int // the member that came behind it the last time, or -1
	// within is the index in jsonWalker.objects of the object that its value is,
	// or has as elements, if nothing of that is kept; 0 until there is one.
	within int
}

func (p *jsonPlan) newWalker() *jsonWalker {
	w := &jsonWalker{
		plan: p, root: p.root, hide: p.hide,
		objects: make([]jsonObject, p.named, p.named+maxWithin),
		values:  make([]jsonValue, len(p.fields)),
		lists:   make([][]jsonValue, len(p.joined)),
	}
	w.prepare(p.root)
	return w
}

func (w *jsonWalker) prepare(n *jsonNode) {
	if n == w.plan.root || n.keys != nil {
		o := &w.objects[n.id]
		o.index, o.first = map[string]int{}, -1
		for key, child := range n.keys {
			o.learn(key, child, w.hide.role([]byte(key)))
			w.prepare(child)
		}
	}
	if n.each != nil {
		w.prepare(n.each)
	}
}

func (o *jsonObject) learn(key string, child *jsonNode, role role) int {
	i := len(o.members)
	o.members = append(o.members, jsonMember{`"` + key + `":`, child, role, -1, 0})
	o.index[key] = i
	return i
}

// walk reads the JSON object that is the text at s, with its braces or without
// them, and sets the fields in r.Spans that it has values for: the content of
// strings, numbers, true and false as they stand there, and the JSON of arrays
// and objects. null and "" are no values. The values of an array's elements
// are joined by commas, with semicolons for the commas within them. Of members
// with the same key the last counts. A number that ends a text without braces
// may have been cut: its field has no value then, and r.Flags get Truncated.
//
// What the plan hides is replaced in the text; walk returns where the object
// is afterwards, and moves what stands behind it in r.Line, but no span.
// r.Scratch must not be nil.
//
// A text that is no JSON object gives a *jsonError, and leaves the record as
// it was. All that encoding/json takes is right, but for more than 200 levels.
func (w *jsonWalker) walk(r *Record, s Span) (Span, error) {
	if !w.read(r.Text(s)) {
		wrong := *w.err // which is that of the next text soon
		return s, &wrong
	}
	if len(w.edits) > 0 {
		length := redact(w.text, w.edits, &w.moves)
		w.text = w.text[:length]
		after := s.sub(0, length)
		if s.Start >= 0 && after.End < s.End {
			r.Line = append(r.Line[:after.End], r.Line[s.End:]...)
		}
		s = after
	}
	if w.open {
		r.Flags |= Truncated
	}
	w.fill(r, s)
	return s, nil
}

// read reads a text that should be an object.
func (w *jsonWalker) read(text []byte) bool {
	w.text, w.err, w.settled, w.open, w.equals = text, nil, 0, false, -1
	w.marks, w.edits, w.moves = w.marks[:0], w.edits[:0], w.moves[:0]
	clear(w.values)
	for i := range w.lists {
		w.lists[i] = w.lists[i][:0]
	}

	p := w.blanks(0)
	if p < len(text) && text[p] == '"' {
		p = w.object(p, w.root, nil, 1, true)
	} else if p < len(text) && text[p] == '{' {
		p = w.object(p+1, w.root, nil, 1, false)
	} else {
		p = w.fail(p, "an object")
	}
	if p < 0 {
		return false
	}
	w.settled = p
	if p = w.blanks(p); p < len(text) {
		w.fail(p, "nothing behind the object")
	}
	return w.err == nil
}

// fill sets the fields of the record, the text of which is at s.
func (w *jsonWalker) fill(r *Record, s Span) {
	for i, v := range w.values {
		if v.start == v.end {
			continue
		}
		if v = w.moved(v); v.escaped {
			start := r.Scratch.begin()
			r.Scratch.bytes = jsontext.Append(r.Scratch.bytes, w.text[v.start:v.end])
			r.Spans[w.plan.fields[i]] = r.Scratch.end(start)
		} else if v.start < v.end {
			r.Spans[w.plan.fields[i]] = s.sub(v.start, v.end)
		}
	}
	for i, list := range w.lists {
		if w.plan.joined[i] < 0 {
			continue
		}
		start := r.Scratch.begin()
		for _, v := range list {
			w.join(r.Scratch, start, v)
		}
		if r.Scratch.begin() > start {
			r.Spans[w.plan.joined[i]] = r.Scratch.end(start)
		}
	}
	for i := range w.plan.tuples {
		w.fillTuple(r, &w.plan.tuples[i])
	}
}

// fillTuple sets a field that has several values of each element of an array:
// of those that have the last.
func (w *jsonWalker) fillTuple(r *Record, t *jsonTuple) {
	start, last := r.Scratch.begin(), len(t.nodes)-1
	for i, v := range w.lists[t.nodes[last].slot] {
		at := r.Scratch.begin()
		first := start
		for _, n := range t.nodes[:last] {
			if w.join(r.Scratch, first, w.lists[n.slot][i]) {
				r.Scratch.bytes = append(r.Scratch.bytes, '/')
				first = r.Scratch.begin()
			}
		}
		if !w.join(r.Scratch, first, v) {
			r.Scratch.bytes = r.Scratch.bytes[:at]
		}
	}
	if r.Scratch.begin() > start {
		r.Spans[t.field] = r.Scratch.end(start)
	}
}

// join appends a value to what begins at start, behind a comma if there is
// something, and tells whether there is a value. Its own commas become semicolons.
func (w *jsonWalker) join(s *Scratch, start int, v jsonValue) bool {
	if v = w.moved(v); v.start == v.end {
		return false
	}
	at := s.begin()
	if at > start {
		s.bytes = append(s.bytes, ',')
		at++
	}
	if v.escaped {
		s.bytes = jsontext.Append(s.bytes, w.text[v.start:v.end])
	} else {
		s.bytes = append(s.bytes, w.text[v.start:v.end]...)
	}
	for i, c := range s.bytes[at:] {
		if c == ',' {
			s.bytes[at+i] = ';'
		}
	}
	return true
}

// fail keeps the error. It returns -1, which the walk ends with.
func (w *jsonWalker) fail(p int, expected string) int {
	w.wrong = jsonError{p, expected, p == len(w.text)}
	w.err = &w.wrong
	return -1
}

// blanks gives the next position that does not hold white space.
func (w *jsonWalker) blanks(p int) int {
	for p < len(w.text) && isBlank(w.text[p]) {
		p++
	}
	return p
}

func isBlank(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// object reads the members of an object, from behind its brace to behind the
// other one. A bare one has no braces, and takes the rest of the text. n is
// nil when nothing of it is kept, m when the member is not known that has it.
func (w *jsonWalker) object(p int, n *jsonNode, m *jsonMember, depth int, bare bool) int {
	if depth > maxLevels {
		return w.fail(p-1, "no deeper level")
	}
	text := w.text
	if p = w.blanks(p); p < len(text) && text[p] == '}' {
		if n != nil && n.tuple {
			w.align(n, nil)
		}
		return p + 1
	}
	var o *jsonObject
	guess, previous := -1, -1
	mark := len(w.marks)
	if n == nil {
		o = w.within(m)
	} else {
		o = &w.objects[n.id]
		for i := n.firstJoined; i < n.endJoined; i++ {
			w.marks = append(w.marks, len(w.lists[i]))
		}
	}
	if o != nil {
		guess = o.first
	}
	pairs := pairState{last: -1}
	for {
		w.settled = p
		var child *jsonNode
		var member *jsonMember
		var does role
		if guess >= 0 && startsWith(text[p:], o.members[guess].text) {
			member = &o.members[guess]
			p += len(member.text)
			child, does = member.child, member.role
			previous, guess = guess, member.next
		} else {
			key, plain, end := w.key(p)
			if end < 0 {
				return -1
			}
			p = end
			if o == nil {
				does = w.hide.role(key)
			} else if i, ok := o.index[string(key)]; ok {
				member = &o.members[i]
				child, does = member.child, member.role
				if plain {
					o.follow(previous, i)
				}
				previous, guess = i, member.next
			} else if does = w.hide.role(key); plain && len(key) <= maxKey && len(o.members) < maxMembers {
				i := o.learn(string(key), nil, does)
				o.follow(previous, i)
				previous, guess = i, -1
			}
		}
		if p < len(text) && text[p] <= ' ' {
			p = w.blanks(p)
		}
		if child != nil && (child.keys != nil || child.each != nil || child.joined) {
			w.forget(child, n, mark)
		}
		if does == 0 {
			p = w.value(p, child, member, depth)
		} else {
			p = w.hidden(p, child, member, depth, does, &pairs)
		}
		if p < 0 {
			return -1
		}
		if p < len(text) && text[p] <= ' ' {
			p = w.blanks(p)
		}
		if p == len(text) {
			if !bare {
				return w.fail(p, "a comma or the end of the object")
			}
			if isDigit(text[p-1]) {
				w.open = true
				if child != nil {
					w.forget(child, n, mark)
				}
			}
			break
		}
		if text[p] != ',' {
			if text[p] != '}' || bare {
				return w.fail(p, "a comma or the end of the object")
			}
			p++
			break
		}
		if p++; p < len(text) && text[p] <= ' ' {
			p = w.blanks(p)
		}
	}
	if pairs.last >= 0 {
		pairs.settle(w.edits, bare)
	}
	if n != nil && n.tuple {
		w.align(n, w.marks[mark:])
	}
	w.marks = w.marks[:mark]
	return p
}

// align gives an element of which tuples are made an empty value for each key
// that it does not have. The lists had these lengths when it began; nil: they
// are as they were.
func (w *jsonWalker) align(n *jsonNode, lengths []int) {
	for i := n.firstJoined; i < n.endJoined; i++ {
		if i != n.slot && (lengths == nil || len(w.lists[i]) == lengths[i-n.firstJoined]) {
			w.lists[i] = append(w.lists[i], jsonValue{})
		}
	}
}

// within gives what is learned of the objects in a member's value, or nil.
func (w *jsonWalker) within(m *jsonMember) *jsonObject {
	if m == nil {
		return nil
	}
	if m.within == 0 {
		if len(w.objects) == cap(w.objects) { // others refer to where they are
			return nil
		}
		m.within = len(w.objects)
		w.objects = append(w.objects, jsonObject{index: map[string]int{}, first: -1})
	}
	return &w.objects[m.within]
}

// startsWith is bytes.HasPrefix, and small enough to be inlined.
func startsWith(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

// follow remembers that a member came behind another, or first.
func (o *jsonObject) follow(previous, i int) {
	if previous < 0 {
		o.first = i
	} else {
		o.members[previous].next = i
	}
}

// key reads a key and the colon behind it. It tells whether the key stands
// there as it is, and then the colon.
func (w *jsonWalker) key(p int) (key []byte, plain bool, next int) {
	if p == len(w.text) || w.text[p] != '"' {
		return nil, false, w.fail(p, "a key")
	}
	end, has := plainRun(w.text, p+1), escapes(0)
	if end == len(w.text) || w.text[end] != '"' {
		if end, has = w.string(end); end < 0 {
			return nil, false, -1
		}
	}
	key = w.text[p+1 : end]
	plain = has == 0
	if !plain {
		w.buffer = jsontext.Append(w.buffer[:0], key)
		key = w.buffer
	}
	p = w.blanks(end + 1)
	if p == len(w.text) || w.text[p] != ':' {
		return nil, false, w.fail(p, "a colon")
	}
	return key, plain, p + 1
}

// forget takes back what an earlier member with the same key of an object n
// has left in and below its node. The lists had the lengths at mark when the
// object began.
func (w *jsonWalker) forget(member, n *jsonNode, mark int) {
	clear(w.values[member.firstField:member.endField])
	for i := member.firstJoined; i < member.endJoined; i++ {
		w.lists[i] = w.lists[i][:w.marks[mark+i-n.firstJoined]]
	}
}

// keep keeps the value of a node.
func (w *jsonWalker) keep(n *jsonNode, v jsonValue) {
	if !n.joined {
		w.values[n.slot] = v
	} else {
		w.lists[n.slot] = append(w.lists[n.slot], v)
	}
}

// value reads any value, of which something is kept when n is not nil, and
// which m has if it is known.
func (w *jsonWalker) value(p int, n *jsonNode, m *jsonMember, depth int) int {
	text := w.text
	if p >= len(text) {
		return w.fail(p, "a value")
	}
	start := p
	switch c := text[p]; c {
	case '"':
		start = p + 1
		end, has := plainRun(text, start), escapes(0)
		if end == len(text) || text[end] != '"' {
			if end, has = w.string(end); end < 0 {
				return -1
			}
		}
		if w.hide != nil && (end > w.equals || has&escapesNames != 0 || end > start && w.hide.header(text[start], text[start+1]) != 0) {
			w.inspect(start, end, has)
		}
		if n != nil && n.slot >= 0 {
			w.keep(n, jsonValue{start, end, has != 0})
		}
		return end + 1
	case '{':
		within := n
		if n != nil && n.keys == nil {
			within = nil
		}
		p = w.object(p+1, within, m, depth+1, false)
	case '[':
		p = w.array(p+1, n, m, depth+1)
	case 't':
		p = w.literal(p, "true")
	case 'f':
		p = w.literal(p, "false")
	case 'n':
		p = w.literal(p, "null")
		start = p
	default:
		p = w.number(p)
	}
	if p >= 0 && n != nil && n.slot >= 0 {
		w.keep(n, jsonValue{start, p, false})
	}
	return p
}

// array reads the elements of an array, from behind its bracket to behind the
// other one.
func (w *jsonWalker) array(p int, n *jsonNode, m *jsonMember, depth int) int {
	if depth > maxLevels {
		return w.fail(p-1, "no deeper level")
	}
	var each *jsonNode
	if n != nil {
		each = n.each
	}
	if p = w.blanks(p); p < len(w.text) && w.text[p] == ']' {
		return p + 1
	}
	for {
		w.settled = p
		if p = w.value(w.blanks(p), each, m, depth); p < 0 {
			return -1
		}
		p = w.blanks(p)
		if p < len(w.text) && w.text[p] == ',' {
			p++
			continue
		}
		if p < len(w.text) && w.text[p] == ']' {
			return p + 1
		}
		return w.fail(p, "a comma or the end of the array")
	}
}

func (w *jsonWalker) literal(p int, literal string) int {
	for i := range len(literal) {
		if p+i == len(w.text) || w.text[p+i] != literal[i] {
			return w.fail(p+i, literal)
		}
	}
	return p + len(literal)
}

func (w *jsonWalker) number(p int) int {
	text := w.text
	first := text[p]
	if first == '-' {
		p++
	} else if !isDigit(first) {
		return w.fail(p, "a value")
	}
	if p < len(text) && text[p] == '0' {
		p++
	} else if p = w.digits(p); p < 0 {
		return -1
	}
	if p < len(text) && text[p] == '.' {
		if p = w.digits(p + 1); p < 0 {
			return -1
		}
	}
	if p < len(text) && text[p]|0x20 == 'e' {
		if p++; p < len(text) && (text[p] == '+' || text[p] == '-') {
			p++
		}
		p = w.digits(p)
	}
	return p
}

// digits reads at least one.
func (w *jsonWalker) digits(p int) int {
	if p >= len(w.text) || !isDigit(w.text[p]) {
		return w.fail(p, "a digit")
	}
	for p < len(w.text) && isDigit(w.text[p]) {
		p++
	}
	return p
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// escapes are flags: what a string has that does not stand for itself.
type escapes uint8

const (
	// escapesAny is an escaped character.
	escapesAny escapes = 1 << iota
	// escapesNames is one that the names of headers and parameters can be
	// written with, or can stand behind: any but quotes and slashes.
	escapesNames
)

// string reads a string on from p, to the quote behind it.
func (w *jsonWalker) string(p int) (end int, has escapes) {
	text := w.text
	for {
		p = plainRun(text, p)
		if p == len(text) {
			return w.fail(p, "the end of the string"), 0
		}
		switch text[p] {
		case '"':
			return p, has
		case '\\':
			n, more := w.escape(p)
			if n == 0 {
				return -1, 0
			}
			p, has = p+n, has|more
		default:
			return w.fail(p, "no control character in a string"), 0
		}
	}
}

// escape checks the escaped character at p, and gives its length.
func (w *jsonWalker) escape(p int) (int, escapes) {
	if p++; p < len(w.text) {
		switch w.text[p] {
		case '"', '/':
			return 2, escapesAny
		case '\\', 'b', 'f', 'n', 'r', 't':
			return 2, escapesAny | escapesNames
		case 'u':
			for i := p + 1; i <= p+4; i++ {
				if i == len(w.text) || jsontext.HexDigit(w.text[i]) < 0 {
					w.fail(i, "a hexadecimal digit")
					return 0, 0
				}
			}
			return 6, escapesAny | escapesNames
		}
	}
	w.fail(p, "an escaped character")
	return 0, 0
}

// plainRun gives the first position at or behind p that holds a quote, a
// backslash or a control character, or the text's length.
func plainRun(text []byte, p int) int {
	const ones = 0x0101010101010101
	for ; p+8 <= len(text); p += 8 {
		// The lowest bit that is set is right; those above may come from a borrow.
		x := binary.LittleEndian.Uint64(text[p:])
		quote, slash := x^ones*'"', x^ones*'\\'
		if at := ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*' ')&^x) & (ones << 7); at != 0 {
			return p + bits.TrailingZeros64(at)/8
		}
	}
	for ; p < len(text); p++ {
		if c := text[p]; c == '"' || c == '\\' || c < ' ' {
			break
		}
	}
	return p
}
