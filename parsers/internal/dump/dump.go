// Package dump has what the parsers of dumps share: a scanner that goes
// through a line once, and the error that says where the line went wrong.
package dump

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// Error says where a line stops being what it should be.
type Error struct {
	Column   int // in bytes, from 1
	Expected string
}

func (e Error) Error() string { return fmt.Sprintf("column %d: expected %s", e.Column, e.Expected) }

// Scanner reads a line from left to right. Its methods leave At where it was
// when they do not find what they look for.
type Scanner struct {
	Text []byte
	At   int
}

// Expected is the error that something is not at the place reached.
func (s *Scanner) Expected(what string) error { return Error{s.At + 1, what} }

// End tells whether nothing is left.
func (s *Scanner) End() bool { return s.At >= len(s.Text) }

// Rest is what is left.
func (s *Scanner) Rest() []byte { return s.Text[s.At:] }

// Next tells whether a byte follows.
func (s *Scanner) Next(b byte) bool { return s.At < len(s.Text) && s.Text[s.At] == b }

// Sees tells whether a text follows.
func (s *Scanner) Sees(text string) bool {
	return len(s.Text)-s.At >= len(text) && string(s.Text[s.At:s.At+len(text)]) == text
}

// Take goes past a text, if it follows.
func (s *Scanner) Take(text string) bool {
	if !s.Sees(text) {
		return false
	}
	s.At += len(text)
	return true
}

// Blanks goes past blanks and tabs.
func (s *Scanner) Blanks() {
	for s.At < len(s.Text) && (s.Text[s.At] == ' ' || s.Text[s.At] == '\t') {
		s.At++
	}
}

// Until goes to the next of that byte, or to the end, and gives what lies between.
func (s *Scanner) Until(b byte) []byte {
	start := s.At
	for s.At < len(s.Text) && s.Text[s.At] != b {
		s.At++
	}
	return s.Text[start:s.At]
}

// Word takes lower-case letters, digits, - and _.
func (s *Scanner) Word() []byte {
	start := s.At
	for s.At < len(s.Text) && word[s.Text[s.At]] {
		s.At++
	}
	return s.Text[start:s.At]
}

var word = [256]bool{
	'-': true, '_': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true,
	'k': true, 'l': true, 'm': true, 'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true,
	'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
}

// Number takes a decimal number up to a limit.
func (s *Scanner) Number(limit uint64) (uint64, bool) {
	n, at := uint64(0), s.At
	for ; at < len(s.Text); at++ {
		digit := uint64(s.Text[at] - '0')
		if digit > 9 {
			break
		}
		if n > (math.MaxUint64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	if at == s.At || n > limit {
		return 0, false
	}
	s.At = at
	return n, true
}

// Uint is any unsigned integer.
type Uint interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Take takes a decimal number that fits its place.
func Take[T Uint](s *Scanner, to *T) bool {
	n, ok := s.Number(uint64(^T(0)))
	*to = T(n)
	return ok
}

// Hex takes 0x and a hexadecimal number of up to 64 bits.
func (s *Scanner) Hex() (uint64, bool) {
	if !s.Sees("0x") {
		return 0, false
	}
	n, at := uint64(0), s.At+2
	for ; at < len(s.Text); at++ {
		digit, ok := HexDigit(s.Text[at])
		if !ok {
			break
		}
		if n>>60 != 0 {
			return 0, false
		}
		n = n<<4 | uint64(digit)
	}
	if at == s.At+2 {
		return 0, false
	}
	s.At = at
	return n, true
}

// HexDigit gives a digit's value.
func HexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	default:
		return 0, false
	}
}

// Duration takes seconds with up to nine decimals and an s, as in 12.345s.
func (s *Scanner) Duration() (time.Duration, bool) {
	start := s.At
	seconds, ok := s.Number(math.MaxInt64/uint64(time.Second) - 1)
	if !ok {
		return 0, false
	}
	d := time.Duration(seconds) * time.Second
	if s.Next('.') {
		s.At++
		digits := s.At
		fraction, ok := s.Number(999_999_999)
		n := s.At - digits
		if !ok || n > 9 {
			s.At = start
			return 0, false
		}
		for range 9 - n {
			fraction *= 10
		}
		d += time.Duration(fraction)
	}
	if !s.Take("s") {
		s.At = start
		return 0, false
	}
	return d, true
}

// Line gives a scanner at the start of a line of a record, whose text ends with
// the line, so that columns are those of the record; and the start of the next
// line, which is behind the record's end when there is none.
func Line(record []byte, start int) (s Scanner, next int) {
	start = min(start, len(record))
	end := bytes.IndexByte(record[start:], '\n')
	if end < 0 {
		end = len(record) - start
	}
	end += start
	return Scanner{Text: bytes.TrimSuffix(record[:end:end], []byte("\r")), At: start}, end + 1
}

// TrimEnd gives the line without its end.
func TrimEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}
