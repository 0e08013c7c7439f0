// Package jsontext reads the strings of JSON (RFC 8259).
package jsontext

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Append appends a string's content, as encoding/json has it; raw is what stands
// between its quotes.
func Append(to, raw []byte) []byte {
	for i := 0; i < len(raw); {
		r, n := Unescape(raw[i:])
		if n == 0 {
			to = append(to, raw[i])
			i++
			continue
		}
		to = utf8.AppendRune(to, r)
		i += n
	}
	return to
}

// Unescape gives the character that the text begins with if it is an
// escaped one, and how many bytes it takes, else none.
func Unescape(raw []byte) (rune, int) {
	if len(raw) < 2 || raw[0] != '\\' {
		return 0, 0
	}
	switch c := raw[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r := unicodeEscape(raw)
	if r < 0 {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if both := utf16.DecodeRune(r, unicodeEscape(raw[6:])); both != utf8.RuneError {
			return both, 12
		}
		r = utf8.RuneError
	}
	return r, 6
}

// unicodeEscape gives the number behind \u, or -1.
func unicodeEscape(raw []byte) rune {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range raw[2:6] {
		digit := HexDigit(c)
		if digit < 0 {
			return -1
		}
		r = r<<4 | digit
	}
	return r
}

// HexDigit gives the value of a digit, or -1.
func HexDigit(c byte) rune {
	if c-'0' <= 9 {
		return rune(c - '0')
	}
	if c |= 0x20; c >= 'a' && c <= 'f' {
		return rune(c - 'a' + 10)
	}
	return -1
}
