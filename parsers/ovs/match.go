package ovs

import (
	"bytes"
	"iter"
	"math"

	"github.com/corkline/corkline/parsers/internal/dump"
	"github.com/corkline/corkline/parsers/internal/jsontext"
)

// Cookie of a flow. Antrea divides it into round, category, 8 reserved bits
// and object (antrea.io/antrea, pkg/agent/openflow/cookie).
type Cookie uint64

// Round is the number of the agent's start that made the flow. After a start
// the flows of two rounds exist for a while.
func (c Cookie) Round() uint16 { return uint16(c >> 48) }

// Category tells which part of the agent made the flow; the numbers have
// changed with Antrea 1.6 and 1.7.
func (c Cookie) Category() uint8 { return uint8(c >> 40) }

// Object is a group's number in flows that are learnt for a Service, and 0 in
// nearly all others.
func (c Cookie) Object() uint32 { return uint32(c) }

// MatchFields gives the names of the match's fields, and their values as they
// are printed: with mask, and with the quotes that tell a port named "1" from
// port 1. A short name of a protocol, as tcp, has the value nil.
func (f *Flow) MatchFields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) { eachMatchField(f.Match, yield) }
}

func eachMatchField(text []byte, yield func(name, value []byte) bool) {
	for len(text) > 0 {
		name, end, ok := matchField(text)
		if !ok {
			return
		}
		var value []byte
		if name < end {
			value = text[name+1 : end : end]
		}
		if !yield(text[:name:name], value) || end == len(text) {
			return
		}
		text = text[end+1:]
	}
}

// ConjunctionID is the conj_id that the flow matches on: the rule of Antrea
// whose verdict the flow gives.
func (f *Flow) ConjunctionID() (id uint32, ok bool) {
	for name, value := range f.MatchFields() {
		if string(name) == "conj_id" {
			s := dump.Scanner{Text: value}
			n, ok := s.Number(math.MaxUint32)
			return uint32(n), ok && s.End()
		}
	}
	return 0, false
}

// Actions gives the names and arguments of a list of actions, such as those of
// a Flow or a Bucket: "output:1" and "output(1)" are output and 1, and "drop"
// has the argument nil. What follows a closing bracket stays with the
// argument, which then keeps its brackets. The argument of an action that has
// actions within, as ct, exec, clone or write_actions, is such a list too, in
// which "table=5" is table and 5.
func Actions(list []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, argument []byte) bool) { eachAction(list, yield) }
}

func eachAction(list []byte, yield func(name, argument []byte) bool) {
	for len(list) > 0 {
		name, end, ok := action(list)
		if !ok {
			return
		}
		var argument []byte
		switch {
		case name == end:
		case list[name] == '(' && list[end-1] == ')' && closing(list[name:end]):
			argument = list[name+1 : end-1 : end-1]
		case list[name] == '(':
			argument = list[name:end:end]
		default:
			argument = list[name+1 : end : end]
		}
		if !yield(list[:name:name], argument) || end == len(list) {
			return
		}
		list = list[end+1:]
	}
}

// Conjunction reads the argument of conjunction(id,k/n): the flow matches the
// k-th of n dimensions.
func Conjunction(argument []byte) (id uint32, k, n uint8, ok bool) {
	s := dump.Scanner{Text: argument}
	a, okA := s.Number(math.MaxUint32)
	okA = okA && s.Take(",")
	b, okB := s.Number(math.MaxUint8)
	okB = okB && s.Take("/")
	c, okC := s.Number(math.MaxUint8)
	if !okA || !okB || !okC || !s.End() {
		return 0, 0, 0, false
	}
	return uint32(a), uint8(b), uint8(c), true
}

// Label is a ct_label, of 128 bits.
type Label struct{ High, Low uint64 }

// IngressRule is the number of Antrea's rule that allowed the connection in.
func (l Label) IngressRule() uint32 { return uint32(l.Low) }

// EgressRule is the number of Antrea's rule that allowed the connection out.
func (l Label) EgressRule() uint32 { return uint32(l.Low >> 32) }

// L7VLAN is the VLAN by which Antrea leads the connection to its L7 engine.
func (l Label) L7VLAN() uint16 { return uint16(l.High) & 0xfff }

// ParseLabel reads a ct_label, an xxreg or the labels of a conntrack entry:
// value, or value/mask, hexadecimal or decimal. The mask of a value without
// one has all bits set.
func ParseLabel(text []byte) (value, mask Label, ok bool) {
	s := dump.Scanner{Text: text}
	value, ok = label(&s)
	mask = Label{math.MaxUint64, math.MaxUint64}
	if ok && s.Take("/") {
		mask, ok = label(&s)
	}
	return value, mask, ok && s.End()
}

func label(s *dump.Scanner) (l Label, ok bool) {
	if !s.Take("0x") {
		l.Low, ok = s.Number(math.MaxUint64)
		return l, ok
	}
	start := s.At
	for ; s.At < len(s.Text); s.At++ {
		digit, isDigit := dump.HexDigit(s.Text[s.At])
		if !isDigit {
			break
		}
		if l.High>>60 != 0 {
			return l, false
		}
		l.High, l.Low = l.High<<4|l.Low>>60, l.Low<<4|uint64(digit)
	}
	return l, s.At > start
}

// ParseNumber reads a number of up to 64 bits, such as a register, a mark, a
// port or a priority: value, or value/mask, hexadecimal or decimal. The mask
// of a value without one has all bits set.
func ParseNumber(text []byte) (value, mask uint64, ok bool) {
	v, m, ok := ParseLabel(text)
	if v.High != 0 || m.High != 0 && m.High != math.MaxUint64 {
		return 0, 0, false
	}
	return v.Low, m.Low, ok
}

// Unquote gives a name without its quotes. It allocates when escapes are in
// it, which AppendUnquoted does not.
func Unquote(text []byte) []byte {
	inner, escaped := unquote(text)
	if escaped {
		return jsontext.Append(nil, inner)
	}
	return inner
}

// AppendUnquoted appends a name without its quotes.
func AppendUnquoted(to, text []byte) []byte {
	inner, escaped := unquote(text)
	if escaped {
		return jsontext.Append(to, inner)
	}
	return append(to, inner...)
}

// unquote gives what stands between quotes, and whether escapes are in it: Open
// vSwitch quotes as JSON does.
func unquote(text []byte) (inner []byte, escaped bool) {
	if len(text) < 2 || text[0] != '"' {
		return text, false
	}
	inner = text[1 : len(text)-1]
	return inner, bytes.IndexByte(inner, '\\') >= 0
}

// Classes of bytes.
const (
	field   = 1 << iota // in names of match fields
	bare                // in names that need no quotes
	special             // where a match field or an action may end, or more than a byte is to be skipped
)

var class = [256]uint8{
	'0': field | bare, '1': field | bare, '2': field | bare, '3': field | bare, '4': field | bare,
	'5': field | bare, '6': field | bare, '7': field | bare, '8': field | bare, '9': field | bare,
	'a': field | bare, 'b': field | bare, 'c': field | bare, 'd': field | bare, 'e': field | bare, 'f': field | bare, 'g': field | bare,
	'h': field | bare, 'i': field | bare, 'j': field | bare, 'k': field | bare, 'l': field | bare, 'm': field | bare, 'n': field | bare,
	'o': field | bare, 'p': field | bare, 'q': field | bare, 'r': field | bare, 's': field | bare, 't': field | bare, 'u': field | bare,
	'v': field | bare, 'w': field | bare, 'x': field | bare, 'y': field | bare, 'z': field | bare, '_': field | bare,
	'A': bare, 'B': bare, 'C': bare, 'D': bare, 'E': bare, 'F': bare, 'G': bare, 'H': bare, 'I': bare, 'J': bare, 'K': bare, 'L': bare, 'M': bare,
	'N': bare, 'O': bare, 'P': bare, 'Q': bare, 'R': bare, 'S': bare, 'T': bare, 'U': bare, 'V': bare, 'W': bare, 'X': bare, 'Y': bare, 'Z': bare,
	'-': bare, '.': bare,
	',': special, ' ': special, '"': special, '(': special, ')': special, '[': special, ']': special, ':': special, '=': special,
}

// matchField gives where the name and the whole of the match field end that
// text begins with. When there is none, end is where it stops to be one.
func matchField(text []byte) (name, end int, ok bool) {
	for name < len(text) && class[text[name]]&field != 0 {
		name++
	}
	if name == 0 || name == len(text) || text[name] != '=' {
		return name, name, name > 0
	}
	depth := 0
	for end = name + 1; end < len(text); end++ {
		if class[text[end]]&special == 0 {
			continue
		}
		switch text[end] {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return name, end, false
			}
		case '"':
			after := quoted(text, end)
			if after < 0 {
				return name, end, false
			}
			end = after - 1
		case '=': // of the next field
			if depth == 0 {
				return name, end, false
			}
		case ',', ' ':
			if depth == 0 {
				return name, end, end > name+1
			}
		}
	}
	return name, end, depth == 0 && end > name+1
}

// action gives where the name and the whole of the action end that text begins
// with. When there is none, end is where it stops to be one.
func action(text []byte) (name, end int, ok bool) {
	name = -1
	depth := 0
scan:
	for ; end < len(text); end++ {
		if class[text[end]]&special == 0 {
			continue
		}
		switch b := text[end]; b {
		case '(', '[':
			if b == '(' && name < 0 {
				name = end
			}
			depth++
		case ')', ']':
			if depth--; depth < 0 {
				return 0, end, false
			}
		case ':', '=':
			if name < 0 && depth == 0 {
				name = end
			}
		case '"':
			after := quoted(text, end)
			if after < 0 {
				return 0, end, false
			}
			end = after - 1
		case ' ': // nothing follows the actions
			if depth == 0 {
				return 0, end, false
			}
		case ',':
			if depth == 0 {
				break scan
			}
		}
	}
	if name < 0 {
		name = end
	}
	return name, end, depth == 0 && end > 0
}

// closing tells whether the bracket that text begins with is closed by its last byte.
func closing(text []byte) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '(', '[':
			depth++
		case ')', ']':
			if depth--; depth == 0 {
				return i == len(text)-1
			}
		case '"':
			i = quoted(text, i) - 1
		}
	}
	return false
}

// checkActions goes through the actions to the end of the line.
func checkActions(s *dump.Scanner) error {
	for {
		_, end, ok := action(s.Rest())
		s.At += end
		if !ok {
			return s.Expected("an action")
		}
		if s.End() {
			return nil
		}
		s.At++ // the comma
	}
}

// quoted gives the place behind the quotes that begin at a place, or -1.
func quoted(text []byte, at int) int {
	for at++; at < len(text); at++ {
		switch text[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return -1
}
