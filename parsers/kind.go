package parsers

import "fmt"

// kind is what the values of a field must be.
type kind uint8

const (
	numberKind kind = iota
	portKind
	addressKind
	wordKind // one of some words
)

// check of a field's values. A line with another value fails: a field that
// holds something else tells that the line was not understood.
type check struct {
	field int
	kind  kind
	words []string
}

// FieldError is a field that holds something else than it must.
type FieldError struct {
	Field    string
	Expected string
	at       Span
}

// Error says what was expected.
func (e *FieldError) Error() string { return fmt.Sprintf("field %s is not %s", e.Field, e.Expected) }

func (d *Definition) check(r *Record) error {
	for i := range d.checks {
		c := &d.checks[i]
		value := r.Value(c.field)
		if len(value) == 0 || c.fits(value) {
			continue
		}
		return &FieldError{d.Fields[c.field].Name, c.expected(), r.Spans[c.field]}
	}
	return nil
}

func (c *check) fits(value []byte) bool {
	switch c.kind {
	case numberKind:
		return isNumber(value)
	case portKind:
		port, ok := digits(value)
		return ok && port <= 65535
	case addressKind:
		return isAddress(value)
	default:
		for _, word := range c.words {
			if string(value) == word {
				return true
			}
		}
		return false
	}
}

func (c *check) expected() string {
	switch c.kind {
	case numberKind:
		return "a number"
	case portKind:
		return "a port"
	case addressKind:
		return "an IP address"
	default:
		return fmt.Sprintf("one of %q", c.words)
	}
}

// isNumber takes what JSON has for numbers, and leading zeros.
func isNumber(text []byte) bool {
	i := 0
	if text[0] == '-' {
		i++
	}
	whole := run(text, &i)
	if i < len(text) && text[i] == '.' {
		i++
		if run(text, &i) == 0 {
			return false
		}
	}
	if whole > 0 && i < len(text) && text[i]|0x20 == 'e' {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		if run(text, &i) == 0 {
			return false
		}
	}
	return whole > 0 && i == len(text)
}

// run moves i behind the digits that begin there, and counts them.
func run(text []byte, i *int) (n int) {
	for *i < len(text) && text[*i]-'0' <= 9 {
		*i++
		n++
	}
	return n
}

// isAddress tells whether a text is an IPv4 or IPv6 address without a zone, as
// net/netip has it.
func isAddress(text []byte) bool {
	for _, b := range text {
		if b == ':' {
			return isIPv6(text)
		}
		if b == '.' {
			break
		}
	}
	return isIPv4(text)
}

func isIPv4(text []byte) bool {
	value, digits, dots := 0, 0, 0
	for _, b := range text {
		switch digit := b - '0'; {
		case digit <= 9 && (digits == 0 || value > 0): // no leading zeros
			digits++
			if value = value*10 + int(digit); value > 255 {
				return false
			}
		case b == '.' && digits > 0 && dots < 3:
			value, digits, dots = 0, 0, dots+1
		default:
			return false
		}
	}
	return dots == 3 && digits > 0
}

func isIPv6(text []byte) bool {
	groups, gap, i := 0, false, 0
	if len(text) >= 2 && text[0] == ':' && text[1] == ':' {
		gap, i = true, 2
	}
	for i < len(text) {
		start, n := i, 0
		for i < len(text) && isHex(text[i]) && n < 5 {
			i++
			n++
		}
		if i < len(text) && text[i] == '.' { // the last two groups as IPv4
			groups += 2
			return isIPv4(text[start:]) && (groups == 8 && !gap || groups < 8 && gap)
		}
		if n == 0 || n > 4 {
			return false
		}
		groups++
		if i == len(text) {
			break
		}
		if text[i] != ':' {
			return false
		}
		i++
		if i < len(text) && text[i] == ':' {
			if gap {
				return false
			}
			gap = true
			i++
			continue
		}
		if i == len(text) { // ends in a single colon
			return false
		}
	}
	return groups == 8 && !gap || groups < 8 && gap
}

func isHex(b byte) bool { return b-'0' <= 9 || b|0x20 >= 'a' && b|0x20 <= 'f' }
