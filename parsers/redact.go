package parsers

import (
	"bytes"
	"math"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/corkline/corkline/parsers/internal/jsontext"
)

// What is put in the place of a secret: so many of the bytes of stars as the
// secret has when it is shorter than the word.
const (
	redacted = `[redacted]`
	stars    = `**********`
)

// secrets says what is to be hidden. It does not change, and may be shared by
// goroutines. One that is nil hides nothing.
type secrets struct {
	members    names // of JSON objects, and headers: the roles are those of the former
	parameters names // of URLs
}

// Unredacted gives a definition that is the same, but hides nothing.
func (d *Definition) Unredacted() *Definition {
	open := *d
	open.secrets, open.Layouts, open.steps = nil, nil, slices.Clone(d.steps)
	for _, layout := range d.Layouts {
		l := *layout
		if l.scrub = false; l.csv != nil {
			l.csv = &csvPlan{columns: l.csv.columns}
		}
		open.Layouts = append(open.Layouts, &l)
	}
	for i := range open.steps {
		if s := &open.steps[i]; s.json != nil {
			plan := *s.json
			plan.hide = nil
			s.json = &plan
		}
	}
	return &open
}

// role is what a JSON member is in the hiding of secrets. Those of the pairs
// come behind roleSecret: of pair i, element is roleElement+2*i and value
// roleElement+2*i+1.
type role uint8

const (
	roleSecret role = iota + 1
	roleElement
)

func (r role) pair() int     { return int(r-roleElement) / 2 }
func (r role) isValue() bool { return r > roleElement && (r-roleElement)%2 == 1 }

// newSecrets hides the values of JSON members and HTTP headers that have one
// of the keys, and of URL parameters that have one of the other names. Case
// does not matter (in ASCII).
func newSecrets(keys, parameters []string) *secrets {
	h := &secrets{}
	for _, key := range keys {
		h.members.add(key, roleSecret)
	}
	for _, name := range parameters {
		h.parameters.add(name, roleSecret)
	}
	for i, pair := range []struct{ element, value string }{
		{"match_element", "match_value"}, // a match of AVI's WAF
		{"key", "value"},                 // a header of a Hubble flow
	} {
		h.members.add(pair.element, roleElement+role(2*i))
		h.members.add(pair.value, roleElement+role(2*i+1))
	}
	return h
}

// allSecrets hides what any of the definitions hides; nil when none does.
func allSecrets(definitions []*Definition) *secrets {
	var keys, parameters []string
	hides := false
	for _, d := range definitions {
		if d.secrets == nil {
			continue
		}
		hides = true
		keys = append(keys, d.secrets.members.secrets()...)
		parameters = append(parameters, d.secrets.parameters.secrets()...)
	}
	if !hides {
		return nil
	}
	return newSecrets(keys, parameters)
}

// role of the member with that key.
func (h *secrets) role(key []byte) role {
	if h == nil {
		return 0
	}
	return h.members.role(key)
}

// names is a small set, in which most of what is asked for is not.
type names struct {
	list  []string // in lower case
	roles []role
	// Of which names a byte is the first, second or last, in either case.
	first, second, last [256]uint64
	lengths             [64]uint64 // which names are so long, or longer at the end
	secret              uint64     // which have roleSecret
}

// manyNames have the last bit in common.
const manyNames = 63

func (n *names) add(name string, role role) {
	name = strings.ToLower(name)
	if name == "" || slices.Contains(n.list, name) {
		return
	}
	bit := uint64(1) << min(len(n.list), manyNames)
	n.list, n.roles = append(n.list, name), append(n.roles, role)
	n.lengths[min(len(name), len(n.lengths)-1)] |= bit
	if role == roleSecret {
		n.secret |= bit
	}
	for _, both := range []string{name, strings.ToUpper(name)} {
		n.first[both[0]] |= bit
		if len(both) > 1 {
			n.second[both[1]] |= bit
		}
		n.last[both[len(both)-1]] |= bit
	}
}

// secrets gives the names that have roleSecret.
func (n *names) secrets() (secrets []string) {
	for i, name := range n.list {
		if n.roles[i] == roleSecret {
			secrets = append(secrets, name)
		}
	}
	return secrets
}

// find gives the first of those names that fits, or -1.
func (n *names) find(those uint64, fits func(name string) bool) int {
	for ; those != 0; those &= those - 1 {
		i := bits.TrailingZeros64(those)
		for end := i; i <= end && i < len(n.list); i++ {
			if fits(n.list[i]) {
				return i
			}
			if end == manyNames {
				end++
			}
		}
	}
	return -1
}

// role of a name, or 0.
func (n *names) role(name []byte) role {
	those := n.lengths[min(len(name), len(n.lengths)-1)]
	if those == 0 {
		return 0
	}
	if those &= n.first[name[0]] & n.last[name[len(name)-1]]; those == 0 {
		return 0
	}
	if i := n.find(those, func(own string) bool { return len(own) == len(name) && equalFold(name, own) }); i >= 0 {
		return n.roles[i]
	}
	return 0
}

// ending gives the role of the name that a text ends with: the whole of its
// last word.
func (n *names) ending(text []byte) role {
	if len(text) == 0 || n.last[text[len(text)-1]] == 0 {
		return 0
	}
	if i := n.find(n.last[text[len(text)-1]], func(own string) bool {
		at := len(text) - len(own)
		return at >= 0 && equalFold(text[at:], own) && beginsWord(text, at)
	}); i >= 0 {
		return n.roles[i]
	}
	return 0
}

// beginsWord is true where no letter, digit, _ or - comes before. The letter
// of a \n or \r that was not unescaped is none.
func beginsWord(text []byte, at int) bool {
	if at == 0 {
		return true
	}
	c := text[at-1]
	if at > 1 && text[at-2] == '\\' && (c == 'n' || c == 'r') {
		return true
	}
	return c != '_' && c != '-' && !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z')
}

// equalFold compares a text with one of lower case and of the same length.
func equalFold(text []byte, lower string) bool {
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// reveals tells whether the element of a pair says that its value is a secret:
// it is a secret's name, or has one behind its collection (ARGS:token), or is
// of a collection of cookies (REQUEST_COOKIES:id).
func (h *secrets) reveals(element []byte) bool {
	collection, name, _ := bytes.Cut(element, []byte(":"))
	for len(collection) >= len("_cookies") {
		if equalFold(collection[:len("_cookies")], "_cookies") {
			return true
		}
		collection = collection[1:]
	}
	return h.isName(element) || h.isName(name)
}

func (h *secrets) isName(text []byte) bool {
	return h.members.role(text) == roleSecret || h.parameters.role(text) == roleSecret
}

// find appends the places of secrets in a text: up to the line's end behind a
// header's name, which begins a line, and up to & ; # or white space behind a
// parameter's, which begins a line or stands behind ? & ; #. \n and \r that
// are no line ends (the text was escaped twice) may be some all the same.
func (h *secrets) find(to []Span, text []byte) []Span {
	begin, line := 0, true // where a name would begin, and if as a line does
	for i := 0; i < len(text); i++ {
		end := -1
		switch text[i] {
		case '?', '&', ';', '#':
			begin, line = i+1, false
		case '\n', '\r':
			begin, line = i+1, true
		case '\\':
			if i+1 < len(text) && (text[i+1] == 'n' || text[i+1] == 'r') {
				i++
				begin, line = i+1, true
			}
		case ' ', '\t':
			if begin == i {
				begin++
			}
		case ':':
			if line && begin < i && h.members.role(trimEnd(text[begin:i])) == roleSecret {
				for i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\t') {
					i++
				}
				end = until(text, i+1, endsLine)
			}
			line = false
		case '=':
			if begin < i && h.parameters.role(trimEnd(text[begin:i])) == roleSecret {
				end = until(text, i+1, endsParameter)
			}
			begin, line = len(text), false
		}
		if end > i+1 {
			to = append(to, Span{int32(i + 1), int32(end)})
			i = end - 1
		}
	}
	return to
}

const (
	endsLine      = "\n\r"
	endsParameter = "&;# \t\n\r"
)

// until gives the first position at or behind i with one of the bytes, or the end.
func until(text []byte, i int, bytes string) int {
	for i < len(text) && strings.IndexByte(bytes, text[i]) < 0 {
		i++
	}
	return i
}

func trimEnd(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == '\t') {
		text = text[:len(text)-1]
	}
	return text
}

// beginsWithHeader tells whether find would begin with a header.
func (h *secrets) beginsWithHeader(text []byte) bool {
	return len(text) > 1 && h.members.find(h.header(text[0], text[1]), func(name string) bool {
		if len(text) <= len(name) || !equalFold(text[:len(name)], name) {
			return false
		}
		rest := bytes.TrimLeft(text[len(name):], " \t")
		return len(rest) > 0 && rest[0] == ':'
	}) >= 0
}

// header gives the names of headers that begin with two bytes. One of a single
// letter is none.
func (h *secrets) header(a, b byte) uint64 {
	return h.members.first[a] & h.members.second[b] & h.members.secret
}

// edit replaces the part [start, end) of a text, which is not empty.
type edit struct {
	start, end int
	form       form
	off        bool // it is not to be made after all
	next       int  // index of the first edit that is not within this one
	pair       int  // see pairState
	previous   int  // index of the pair value before it in the same object, or -1
}

// form of what an edit puts in its place.
type form uint8

const (
	formContent form = iota // content of a string, or any text
	formString              // a JSON string
	formLoose               // a string if it can hold the word, or text
)

// put writes what replaces a secret of n bytes, and gives its length.
func (e edit) put(to []byte) int {
	n := e.end - e.start
	switch {
	case e.form != formContent && n >= len(redacted)+2:
		return copy(to, `"`+redacted+`"`)
	case e.form == formContent && n >= len(redacted):
		return copy(to, redacted)
	case e.form != formString:
		return copy(to, stars[:min(n, len(stars))])
	case n == 1:
		return copy(to, "0") // no string is so short
	}
	copy(to, stars[:n-1])
	to[0], to[n-1] = '"', '"'
	return n
}

// move tells that [start, end) became [from, to).
type move struct {
	start, end, from, to int
	form                 form
}

// redact makes the edits, in order, and gives the length that the text has
// then: at most the one it had. It appends to moves, which may be nil, what they
// came to.
func redact(text []byte, edits []edit, moves *[]move) int {
	read, write := 0, 0
	for i := 0; i < len(edits); {
		e := edits[i]
		if i++; e.off {
			continue
		}
		i = max(i, e.next)
		write += copy(text[write:], text[read:e.start])
		m := move{e.start, e.end, write, write, e.form}
		write += e.put(text[write:])
		read = e.end
		m.to = write
		if moves != nil {
			*moves = append(*moves, m)
		}
	}
	if read != write {
		write += copy(text[write:], text[read:])
	} else {
		write = len(text)
	}
	return write
}

// moved gives the place that a value has after redact: none when it was within
// something that was replaced.
func (w *jsonWalker) moved(v jsonValue) jsonValue {
	if len(w.moves) == 0 {
		return v
	}
	i := w.movesBefore(v.start)
	if i < len(w.moves) && w.moves[i].start <= v.start {
		m := w.moves[i]
		if v.start != m.start || v.end != m.end {
			return jsonValue{}
		}
		if m.form == formString && m.to-m.from > 1 {
			m.from, m.to = m.from+1, m.to-1
		}
		return jsonValue{m.from, m.to, false}
	}
	if i < len(w.moves) && w.moves[i].start < v.end {
		v.end = w.movedTo(v.end)
	} else if i > 0 {
		v.end += w.moves[i-1].to - w.moves[i-1].end
	}
	if i > 0 {
		v.start += w.moves[i-1].to - w.moves[i-1].end
	}
	return v
}

// movedTo gives the place that a position has after redact: the end of what it
// was within.
func (w *jsonWalker) movedTo(p int) int {
	i := w.movesBefore(p)
	if i < len(w.moves) && w.moves[i].start < p {
		return w.moves[i].to
	}
	if i > 0 {
		p += w.moves[i-1].to - w.moves[i-1].end
	}
	return p
}

// movesBefore counts those of what ended at p or before.
func (w *jsonWalker) movesBefore(p int) int {
	const near = 8 // where most values are, before the headers
	low, high := 0, len(w.moves)
	for low < min(near, high) {
		if w.moves[low].end > p {
			return low
		}
		low++
	}
	for low < high {
		if mid := (low + high) / 2; w.moves[mid].end <= p {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// pairState is what is known about the pairs of one object. Either member of a
// pair may come first, so the edits of values wait for the object's end.
type pairState struct {
	seen, secret uint8 // bit i is set for an element of pair i, and one that reveals a secret
	last         int   // index of the last edit of a value, or -1
}

// settle takes back the edits of values that are no secrets. Of a bare object
// it cannot be known that it has ended: the element may have been cut off.
func (s *pairState) settle(edits []edit, bare bool) {
	for i := s.last; i >= 0; i = edits[i].previous {
		pair := uint8(1) << edits[i].pair
		edits[i].off = s.secret&pair == 0 && (!bare || s.seen&pair != 0)
	}
}

// hidden reads the value of a member that has a role.
func (w *jsonWalker) hidden(p int, n *jsonNode, m *jsonMember, depth int, does role, pairs *pairState) int {
	if does != roleSecret && !does.isValue() { // an element
		end := w.value(p, n, m, depth)
		if end > p && w.text[p] == '"' {
			pairs.seen |= 1 << does.pair()
			element := w.text[p+1 : end-1]
			if bytes.IndexByte(element, '\\') >= 0 {
				w.buffer = jsontext.Append(w.buffer[:0], element)
				element = w.buffer
			}
			if w.hide.reveals(element) {
				pairs.secret |= 1 << does.pair()
			}
		}
		return end
	}
	// Should the text be cut off, all that is left of it belongs to the value.
	at := len(w.edits)
	w.edits = append(w.edits, edit{start: p, end: len(w.text), form: formString, next: math.MaxInt})
	hide := w.hide
	if does == roleSecret && p < len(w.text) && w.text[p] == '"' {
		w.hide = nil // all of it goes
	}
	end := w.value(p, n, m, depth)
	w.hide = hide
	if end < 0 {
		return end
	}
	e := edit{start: p, end: end, form: formString, next: len(w.edits)}
	switch w.text[p] {
	case '"':
		e.start, e.end, e.form = p+1, end-1, formContent
	case 't', 'f', 'n': // says nothing
		e.end = p
	}
	if e.start == e.end {
		w.edits = w.edits[:at]
		return end
	}
	if does.isValue() {
		e.pair, e.previous = does.pair(), pairs.last
		pairs.last = at
	}
	w.edits[at] = e
	return end
}

// inspect hides headers and parameters in a string.
func (w *jsonWalker) inspect(start, end int, has escapes) {
	text := w.text[start:end]
	escaped := has&escapesNames != 0
	if escaped {
		w.buffer, w.places = unescapeAt(w.buffer[:0], w.places[:0], w.text, start, end)
		w.places = append(w.places, int32(end))
		text = w.buffer
	} else if !w.parameterBefore(start, end) && !w.hide.beginsWithHeader(text) {
		return
	}
	w.found = w.hide.find(w.found[:0], text)
	for _, s := range w.found {
		from, to := start+int(s.Start), start+int(s.End)
		if escaped {
			from, to = int(w.places[s.Start]), int(w.places[s.End])
		}
		w.edits = append(w.edits, edit{start: from, end: to})
	}
}

// parameterBefore tells whether there is a parameter's name before any = in
// [start, end), as find would need one.
func (w *jsonWalker) parameterBefore(start, end int) bool {
	for {
		if w.equals >= start {
			if w.equals >= end {
				return false
			}
			if w.hide.parameters.ending(trimEnd(w.text[start:w.equals])) != 0 {
				return true
			}
			start = w.equals + 1
		}
		i := bytes.IndexByte(w.text[start:], '=')
		if w.equals = len(w.text); i >= 0 {
			w.equals = start + i
		}
	}
}

// unescapeAt appends what unescape would for [start, end) of a text, and where
// in it each byte comes from.
func unescapeAt(to []byte, places []int32, text []byte, start, end int) ([]byte, []int32) {
	for i := start; i < end; {
		r, n := jsontext.Unescape(text[i:end])
		if n == 0 {
			to, places = append(to, text[i]), append(places, int32(i))
			i++
			continue
		}
		for to = utf8.AppendRune(to, r); len(places) < len(to); {
			places = append(places, int32(i))
		}
		i += n
	}
	return to, places
}

// scrubber hides secrets in texts, one at a time. It has a text as it is, and
// without what was read as JSON and unescaped once. Names are found in the
// latter.
type scrubber struct {
	hide      *secrets
	raw, text []byte
	places    []int32 // see unescapeAt; nil when both are the same
	// The ends of the last line and parameter that were looked for: in raw, and in text.
	line, run int

	walker    jsonWalker
	edits     []edit
	unescaped []byte // what text and places lie in, when they are not raw
	from      []int32
}

func newScrubber(hide *secrets) *scrubber {
	return &scrubber{hide: hide, walker: jsonWalker{hide: hide}}
}

// scrub hides secrets in a text that is no JSON, or was cut, and returns what
// is left of it, in the same place. As far as it is JSON, from the first brace
// or quote on, what is hidden is the same as in a walk. In all else it rather
// is too much:
//
//   - behind the name of a member in quotes, of either kind, doubled (CSV) or
//     escaped any number of times: up to the other end of a string, object or
//     array, or that of the text;
//   - behind the name of a header, as any word: the rest of the line, and all
//     that comes after an escaped line end other than \r\n;
//   - behind the name of a parameter, as any word: up to & ; # white space or
//     a quote, or the other end of a string.
//
// The values of pairs count as secrets there, whatever their elements are.
func (s *scrubber) scrub(text []byte) []byte {
	h := s.hide
	if h == nil {
		return text
	}
	text, from, to := s.scrubJSON(text)
	s.raw, s.text, s.places, s.line, s.run, s.edits = text, text, nil, 0, 0, s.edits[:0]
	if from < to || bytes.IndexByte(text, '\\') >= 0 {
		s.text, s.places = unescapeAt(s.unescaped[:0], s.from[:0], text, 0, from)
		s.text, s.places = append(s.text, 0), append(s.places, int32(from)) // so that no name comes from both parts
		s.text, s.places = unescapeAt(s.text, s.places, text, to, len(text))
		s.places = append(s.places, int32(len(text)))
		s.unescaped, s.from = s.text, s.places
	}
	for i := 0; i < len(s.text); i++ {
		e, quoted := s.secret(h, i)
		if e.start == e.end {
			continue
		}
		// What begins in a header or parameter, but is quoted, may go on behind it,
		// and the line is then the one that it ends in.
		for read := e.start; i+1 < len(s.text) && s.place(i+1) < e.end; i++ {
			if quoted || s.place(i+1) < read {
				continue
			}
			if within, quoted := s.secret(h, i+1); quoted {
				if read = within.end; read > e.end {
					s.line = s.lineEnd(read)
					e.end = s.line
				}
			} else if within.start < within.end && s.text[i+1] == ':' {
				e.end = max(e.end, within.end)
			}
		}
		s.edits = append(s.edits, e)
	}
	if len(s.edits) == 0 {
		return text
	}
	return text[:redact(text, s.edits, nil)]
}

// secret gives what is to be hidden behind a character, and whether it is
// quoted or in brackets, so that all that begins in it ends in it.
func (s *scrubber) secret(h *secrets, i int) (e edit, quoted bool) {
	switch s.text[i] {
	case ':':
		return s.member(h, i)
	case '=':
		return s.parameter(h, i)
	}
	return edit{}, false
}

// scrubJSON hides secrets in a JSON object that the text has, as far as it can
// be read, and tells which part that is.
func (s *scrubber) scrubJSON(text []byte) (left []byte, from, to int) {
	for ; from < len(text); from++ {
		// A quote behind a word or backslash would be the end of a string.
		if c := text[from]; c == '{' || c == '"' && beginsWord(text, from) && (from == 0 || text[from-1] != '\\') {
			break
		}
	}
	if from == len(text) {
		return text, from, from
	}
	w := &s.walker
	if !w.read(text[from:]) {
		// What may not have been read to its end is for the scrubber.
		for n := len(w.edits); n > 0 && w.edits[n-1].start >= min(w.settled, len(w.text)-1); n-- {
			w.edits = w.edits[:n-1]
		}
	}
	if w.settled == 0 {
		return text, len(text), len(text)
	}
	length := redact(w.text, w.edits, &w.moves)
	return text[:from+length], from, from + w.movedTo(w.settled)
}

func (s *scrubber) place(i int) int {
	if s.places == nil {
		return i
	}
	return int(s.places[i])
}

// behind gives the position behind the character at i.
func (s *scrubber) behind(i int) int {
	p := s.place(i)
	if _, n := jsontext.Unescape(s.raw[p:]); n > 0 {
		return p + n
	}
	return p + 1
}

// member gives what is to be hidden behind a colon.
func (s *scrubber) member(h *secrets, colon int) (e edit, quoted bool) {
	name := bytes.TrimRight(s.text[:colon], " \n\r\t")
	end, quotes := len(name), 0
	for ; len(name) > 0; name = name[:len(name)-1] {
		if c := name[len(name)-1]; c == '"' || c == '\'' {
			quotes++
		} else if c != '\\' {
			break
		}
	}
	does := h.members.ending(name)
	if does != roleSecret && (quotes == 0 || !does.isValue()) {
		return edit{}, false
	}
	p := s.behind(colon)
	if quotes > 0 {
		before := s.raw[:s.place(end)-1]
		e = s.value(p, escapeDepth(len(before)-len(bytes.TrimRight(before, `\`))), quotes > 1)
		return e, e.start < e.end
	}
	for s.is(p, ' ') || s.is(p, '\t') {
		p++
	}
	if p >= s.line { // else the line is the same as before
		s.line = s.lineEnd(p)
	}
	return edit{start: p, end: s.line}, false
}

// lineEnd gives the end of the line: also one that is escaped, but then \r\n
// only, for a \n alone may be part of what is to be hidden: DOMAIN\name.
func (s *scrubber) lineEnd(p int) int {
	for ; p < len(s.raw); p++ {
		switch s.raw[p] {
		case '\n', '\r':
			return p
		case '\\':
			end := p
			for end < len(s.raw) && s.raw[end] == '\\' {
				end++
			}
			if s.is(end, 'r') && s.is(end+1, '\\') {
				n := end + 1
				for s.is(n, '\\') {
					n++
				}
				if s.is(n, 'n') {
					return p
				}
			}
			p = end - 1
		}
	}
	return p
}

func (s *scrubber) is(p int, c byte) bool { return p < len(s.raw) && s.raw[p] == c }

// value gives what is to be hidden of the value of a member, whose key has
// quotes that were escaped so many times. They may be doubled.
func (s *scrubber) value(p, depth int, doubled bool) edit {
	start, quote := s.escapedBlanks(p)
	if quote == len(s.raw) {
		return edit{}
	}
	switch c := s.raw[quote]; c {
	case '"', '\'':
		p = quote + 1
		if doubled && s.is(p, c) {
			p++
		}
		return edit{start: p, end: s.stringEnd(p, c, escapeDepth(quote-start), doubled)}
	case '{', '[':
		p = s.bracketEnd(quote, depth, doubled)
	default:
		p = start
	}
	found := trimEnd(s.raw[start:until(s.raw, p, ",}]\"'\n\r")])
	switch string(found) {
	case "true", "false", "null":
		return edit{}
	}
	return edit{start: start, end: start + len(found), form: formLoose}
}

// escapedBlanks skips white space that may be escaped, and gives the next
// position, and that behind backslashes there.
func (s *scrubber) escapedBlanks(p int) (start, quote int) {
	for {
		for start = p; s.is(p, '\\'); {
			p++
		}
		switch {
		case p == len(s.raw):
			return start, p
		case p == start && isBlank(s.raw[p]), p > start && strings.IndexByte("nrt", s.raw[p]) >= 0:
			p++
		default:
			return start, p
		}
	}
}

// escapeDepth tells how many times a quote was escaped that has so many
// backslashes before it.
func escapeDepth(backslashes int) int { return bits.TrailingZeros(^uint(backslashes)) }

// stringEnd gives the end of the content, at p, of a string whose quotes are
// escaped so many times, or doubled: where one is that is escaped no more often.
func (s *scrubber) stringEnd(p int, quote byte, depth int, doubled bool) int {
	backslashes := 0
	for ; p < len(s.raw); p++ {
		switch s.raw[p] {
		case '\\':
			backslashes++
			continue
		case quote:
			if own := escapeDepth(backslashes); own <= depth {
				return p - (1<<own - 1)
			}
			if doubled && s.is(p+1, quote) {
				p++
			}
		}
		backslashes = 0
	}
	return p
}

// bracketEnd gives the position behind an object or array, whose bracket is at
// p and whose quotes are escaped so many times, or doubled.
func (s *scrubber) bracketEnd(p, depth int, doubled bool) int {
	open, backslashes := 0, 0
	quote := byte(0) // of the string at hand
	for ; p < len(s.raw); p++ {
		c := s.raw[p]
		switch c {
		case '\\':
			backslashes++
			continue
		case '"', '\'':
			own := escapeDepth(backslashes)
			if own > depth || quote != 0 && quote != c {
				if doubled && s.is(p+1, c) {
					p++
				}
				break
			}
			if own < depth && c == '"' { // that of the string around it
				return p - (1<<own - 1)
			}
			if quote = c - quote; doubled && s.is(p+1, c) {
				p++
			}
		case '{', '[':
			if quote == 0 {
				open++
			}
		case '}', ']':
			if quote == 0 {
				open--
			}
			if open == 0 {
				return p + 1
			}
		}
		backslashes = 0
	}
	return p
}

// parameter gives what is to be hidden behind an equals sign.
func (s *scrubber) parameter(h *secrets, equals int) (e edit, quoted bool) {
	if h.parameters.ending(trimEnd(s.text[:equals])) != roleSecret {
		return edit{}, false
	}
	start := s.behind(equals)
	quote, end := start, start
	for s.is(quote, '\\') {
		quote++
	}
	if s.is(quote, '"') || s.is(quote, '\'') {
		c, p := s.raw[quote], quote+1
		doubled := s.is(p, c)
		if doubled {
			p++
		}
		if p, _ := s.escapedBlanks(p); p == len(s.raw) || strings.IndexByte(",:]}", s.raw[p]) >= 0 {
			return edit{}, false // the end of the string that the parameter is in
		}
		end = s.stringEnd(p, c, escapeDepth(quote-start), doubled)
		for s.is(end, '\\') {
			end++
		}
		if end++; doubled && s.is(end, c) {
			end++
		}
	}
	i := equals + 1
	for i < len(s.text) && s.place(i) < end {
		i++
	}
	if i < s.run { // it is the same as before
		i = s.run
	}
	for i < len(s.text) && strings.IndexByte(endsParameter, s.text[i]) < 0 && !s.is(s.place(i), '"') {
		i++
	}
	s.run = i
	return edit{start: start, end: s.place(i)}, end > start
}
