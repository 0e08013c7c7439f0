package parsers

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// pairsPlan says how keys and values are written in a text, and which of them
// are kept.
//
// Style klog is what k8s.io/klog/v2 (InfoS and ErrorS) writes behind the
// quoted message: key=value, where a value is bare, quoted as Go does it, a
// struct, map or list in its brackets, or a block of lines:
//
//	err="not found" port=443 object={"a":1} text=<
//		first line
//		last line
//	 >
//
// Style words is what the kernel's packet log (nf_log) writes: KEY=value, never
// quoted, and bare words for flags, which make one value, joined by commas, of
// the key "". What stands in brackets is skipped: it is the inner packet of an
// ICMP error.
//
// Style colon is what AKO and AMKO write: "key: value, other: value, msg: text",
// where a value may hold commas, brackets and quotes, and msg is all the rest.
//
// Of repeated keys words takes the first (which is the outer header's), the
// others the last, as klog does where it merges them.
type pairsPlan struct {
	read   func(p *pairsPlan, r *Record, s Span)
	fields map[string]int
	others bool
	first  bool // of repeated keys
}

// maxPairs is how many pairs a record may have; further keys are left out.
const maxPairs = 32

// newPairsPlan takes the style (klog, words or colon), the keys that are fields
// with their indices in Record.Spans, and whether all other keys are kept in
// Record.Pairs.
func newPairsPlan(style string, fields map[string]int, others bool) (*pairsPlan, error) {
	p := &pairsPlan{fields: fields, others: others}
	switch style {
	case "klog":
		p.read = (*pairsPlan).klog
	case "words":
		p.read, p.first = (*pairsPlan).words, true
	case "colon":
		p.read = (*pairsPlan).colon
	default:
		return nil, fmt.Errorf("%q is not a style of pairs; there are: klog words colon", style)
	}
	return p, nil
}

// scan keeps the pairs of a text of the record. What cannot be read, and empty
// values, are left out.
func (p *pairsPlan) scan(r *Record, s Span) { p.read(p, r, s) }

// place is where the value of a key goes: to a field of the record, or else
// (field is negative) to one of its pairs, which may be the next one.
type place struct{ field, pair int }

func (p *pairsPlan) place(r *Record, key []byte) (to place, wanted bool) {
	if field, named := p.fields[string(key)]; named {
		taken := r.Spans[field].Start != r.Spans[field].End
		return place{field, -1}, !taken || !p.first
	}
	if !p.others {
		return place{-1, -1}, false
	}
	for i := range r.Pairs {
		if bytes.Equal(r.Text(r.Pairs[i].Key), key) {
			return place{-1, i}, !p.first
		}
	}
	return place{-1, len(r.Pairs)}, len(r.Pairs) < maxPairs
}

func (to place) keep(r *Record, key, value Span) {
	switch {
	case value.Start == value.End:
	case to.field >= 0:
		r.Spans[to.field] = value
	case to.pair == len(r.Pairs):
		r.Pairs = append(r.Pairs, Pair{key, value})
	default:
		r.Pairs[to.pair].Value = value
	}
}

func (p *pairsPlan) klog(r *Record, s Span) {
	text := r.Text(s)
	for at := 0; at < len(text); {
		end := keyEnd(text, at, '=')
		if end < 0 {
			at = nextBlank(text, at) + 1
			continue
		}
		value := findKlogValue(text, end+1)
		if to, wanted := p.place(r, text[at:end]); wanted {
			to.keep(r, s.sub(at, end), value.span(r, s, text))
		}
		at = value.next
	}
}

// klogValue is the part [start, end) of a text, which goes on at next.
type klogValue struct {
	start, end, next int
	form             klogForm
}

type klogForm uint8

const (
	klogPlain   klogForm = iota // the value as it is
	klogEscaped                 // with the escapes of Go's "…"
	klogRaw                     // with carriage returns, which Go's `…` leaves out
	klogBlock                   // lines, each but the first with a TAB before it
)

func findKlogValue(text []byte, at int) klogValue {
	var first byte
	if at < len(text) {
		first = text[at]
	}
	v := klogValue{start: at + 1}
	switch first {
	case '"':
		var escaped bool
		if v.end, escaped = closingQuote(text, v.start); escaped {
			v.form = klogEscaped
		}
	case '`':
		value, _, _ := bytes.Cut(text[v.start:], []byte("`"))
		v.end = v.start + len(value)
		if bytes.IndexByte(value, '\r') >= 0 {
			v.form = klogRaw
		}
	case '<':
		if at+1 == len(text) || text[at+1] == '\n' {
			return findKlogBlock(text, min(at+2, len(text)))
		}
		fallthrough
	default:
		bracket := at
		if first == '&' {
			bracket++
		} else if bytes.HasPrefix(text[at:], []byte("map[")) {
			bracket += len("map")
		}
		v.start, v.end = at, nextBlank(text, closingBracket(text, bracket))
	}
	v.next = nextBlank(text, v.end)
	return v
}

// findKlogBlock takes the lines that begin with a TAB. A line " >" comes behind them.
func findKlogBlock(text []byte, at int) klogValue {
	v := klogValue{start: at, end: at, next: at}
	for v.next < len(text) && text[v.next] == '\t' {
		if v.next == at {
			v.start++
		} else {
			v.form = klogBlock
		}
		v.end = len(text)
		if i := bytes.IndexByte(text[v.next:], '\n'); i >= 0 {
			v.end = v.next + i
		}
		v.next = min(v.end+1, len(text))
	}
	return v
}

func (v klogValue) span(r *Record, s Span, text []byte) Span {
	if v.form == klogPlain {
		return s.sub(v.start, v.end)
	}
	value, start, out := text[v.start:v.end], r.Scratch.begin(), r.Scratch.bytes
	switch v.form {
	case klogEscaped:
		out = appendUnquoted(out, value)
	case klogRaw:
		out = appendReplaced(out, value, "\r", "")
	default:
		out = appendReplaced(out, value, "\n\t", "\n")
	}
	r.Scratch.bytes = out
	return r.Scratch.end(start)
}

func appendReplaced(out, text []byte, before, after string) []byte {
	for {
		i := bytes.Index(text, []byte(before))
		if i < 0 {
			return append(out, text...)
		}
		out = append(append(out, text[:i]...), after...)
		text = text[i+len(before):]
	}
}

// appendUnquoted takes the escapes of Go's "…" for what they stand for; what
// is no escape stays as it is.
func appendUnquoted(out, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return append(out, text...)
		}
		out = append(out, text[:i]...)
		text = text[i:]
		longest := text[:min(len(text), len(`\U0010ffff`))]
		char, multibyte, rest, err := strconv.UnquoteChar(string(longest), '"')
		used := len(longest) - len(rest)
		switch {
		case err != nil:
			out, used = append(out, '\\'), 1
		case multibyte:
			out = utf8.AppendRune(out, char)
		default:
			out = append(out, byte(char))
		}
		text = text[used:]
	}
}

// closingQuote gives where the quote is that ends what begins at, or the end of
// the text, and whether there are escapes before it.
func closingQuote(text []byte, at int) (end int, escaped bool) {
	end = len(text)
	if i := bytes.IndexByte(text[at:], '"'); i >= 0 {
		end = at + i
	}
	i := bytes.IndexByte(text[at:end], '\\')
	if i < 0 {
		return end, false
	}
	for i += at; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i, true
		}
	}
	return len(text), true
}

// closingBracket gives the place behind the bracket that closes the one at, or
// the end of the text; and at where there is none. JSON's strings may hold
// brackets; in what Go prints with %v quotes mean nothing.
func closingBracket(text []byte, at int) int {
	var closing byte
	if at < len(text) {
		switch text[at] {
		case '{':
			closing = '}'
		case '[':
			closing = ']'
		case '(':
			closing = ')'
		}
	}
	if closing == 0 {
		return at
	}
	inside := bytes.TrimLeft(text[at:], "{[")
	json := len(inside) > 0 && inside[0] == '"'
	opening, depth := text[at], 0
	for i := at; i < len(text); i++ {
		switch text[i] {
		case opening:
			depth++
		case closing:
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			if json {
				i, _ = closingQuote(text, i+1)
			}
		}
	}
	return len(text)
}

func (p *pairsPlan) words(r *Record, s Span) {
	text := r.Text(s)
	_, listed := p.place(r, nil)
	var list Span
	words, start := 0, r.Scratch.begin()
	for at := 0; at < len(text); {
		if text[at] == '[' {
			at = closingBracket(text, at)
			continue
		}
		end := nextBlank(text, at)
		if key := keyEnd(text, at, '='); key >= 0 {
			if to, wanted := p.place(r, text[at:key]); wanted {
				to.keep(r, s.sub(at, key), s.sub(key+1, end))
			}
		} else if word := text[at:end]; listed && len(word) > 0 && bytes.IndexByte(word, '=') < 0 {
			if words++; words == 1 {
				list = s.sub(at, end)
			} else {
				out := r.Scratch.bytes
				if words == 2 {
					out = append(out, r.Text(list)...)
				}
				r.Scratch.bytes = append(append(out, ','), word...)
				list = r.Scratch.end(start)
			}
		}
		at = end + 1
	}
	if to, wanted := p.place(r, nil); wanted {
		to.keep(r, Span{}, list)
	}
}

func (p *pairsPlan) colon(r *Record, s Span) {
	text := r.Text(s)
	balanced := true // until a bracket or quote is found that nothing closes; then they mean nothing
	for at := 0; at < len(text); {
		key := colonKeyEnd(text, at)
		if key < 0 {
			return // the first: there are no pairs
		}
		start, end := min(key+len(": "), len(text)), len(text)
		if string(text[at:key]) != "msg" {
			if balanced {
				end, balanced = colonValueEnd(text, start, true)
			}
			if !balanced {
				end, _ = colonValueEnd(text, start, false)
			}
		}
		if to, wanted := p.place(r, text[at:key]); wanted {
			to.keep(r, s.sub(at, key), s.sub(start, end))
			if start == end && to.field >= 0 && r.Spans[to.field] == s {
				r.Spans[to.field] = Span{} // the field was the whole text, of which nothing is its own
			}
		}
		at = end + len(", ")
	}
}

// colonKeyEnd gives where the colon of "key: " is, or -1.
func colonKeyEnd(text []byte, at int) int {
	end := keyEnd(text, at, ':')
	if end >= 0 && end+1 < len(text) && text[end+1] != ' ' {
		return -1
	}
	return end
}

// colonValueEnd gives where the next ", key: " is, or the end of the text. With
// nesting, it is not looked for in brackets and quotes, and balanced tells
// whether all were closed.
func colonValueEnd(text []byte, at int, nesting bool) (end int, balanced bool) {
	depth := 0
	for i := at; i < len(text); i++ {
		b := text[i]
		if b == ',' && depth == 0 && i+1 < len(text) && text[i+1] == ' ' && colonKeyEnd(text, i+2) >= 0 {
			return i, true
		}
		if !nesting {
			continue
		}
		switch b {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth = max(depth-1, 0)
		case '"':
			if i, _ = closingQuote(text, i+1); i == len(text) {
				return i, false
			}
		}
	}
	return len(text), depth == 0
}

// keyEnd gives where the separator behind a key is, or -1 when there is no key at.
func keyEnd(text []byte, at int, separator byte) int {
	end := at
	for end < len(text) && isKeyByte(text[end]) {
		end++
	}
	if end == at || end == len(text) || text[end] != separator {
		return -1
	}
	return end
}

func isKeyByte(b byte) bool { return isWord(b) || b == '.' || b == '-' || b == '/' }

// nextBlank gives where the next blank or line end is, or the end of the text.
func nextBlank(text []byte, at int) int {
	for at < len(text) && text[at] != ' ' && text[at] != '\t' && text[at] != '\n' && text[at] != '\r' {
		at++
	}
	return at
}
