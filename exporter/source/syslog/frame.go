package syslog

import "bytes"

// escapeMark begins a spooled line that is not the message as it came.
const escapeMark = 0x01

// appendLine appends a message as one line of a spool file. A message stands
// there as it came, unless it holds a line end or begins with escapeMark: then
// escapeMark goes before it, with \n for a line end and \\ for a backslash in it.
// No line is longer than limit bytes, without its end.
func appendLine(dst, message []byte, limit int) []byte {
	start := len(dst)
	if message[0] != escapeMark && bytes.IndexByte(message, '\n') < 0 {
		return append(append(dst, message[:min(len(message), limit)]...), '\n')
	}
	dst = append(dst, escapeMark)
	for _, c := range message[:min(len(message), limit)] {
		switch c {
		case '\n':
			dst = append(dst, `\n`...)
		case '\\':
			dst = append(dst, `\\`...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst[:min(len(dst), start+limit)], '\n')
}

// Unescape gives the message of a line of a spool file, without its end. It may
// overwrite the line.
func Unescape(line []byte) []byte {
	if len(line) == 0 || line[0] != escapeMark {
		return line
	}
	message := line[:0]
	for i := 1; i < len(line); i++ {
		c := line[i]
		if c == '\\' && i+1 < len(line) {
			if i++; line[i] == 'n' {
				c = '\n'
			}
		}
		message = append(message, c)
	}
	return message
}

// trim cuts what senders put behind a message to end it.
func trim(message []byte) []byte {
	for n := len(message); n > 0; n-- {
		if c := message[n-1]; c != '\n' && c != '\r' && c != 0 {
			return message[:n]
		}
	}
	return nil
}

const (
	// maxCountDigits of an octet count; a longer number begins a line.
	maxCountDigits = 9
	// maxFrameBytes is the highest octet count that is believed.
	maxFrameBytes = 16 << 20
)

// framer splits the bytes of one connection into messages, as RFC 6587 has
// them. A frame that begins with a number without leading zeros and a blank is
// counted in octets, any other ends with a line end. It keeps no more than
// limit bytes of a message.
type framer struct {
	limit   int
	state   frameState
	left    int    // octets of the frame that have yet to come
	partial []byte // of the message, at most limit bytes
	cut     bool   // partial lacks bytes of the message
	frames  uint64 // that were completed
}

type frameState uint8

const (
	between frameState = iota
	inCount            // partial holds the digits
	inOctets
	inLine
)

// unfinished tells whether a frame has begun and not ended.
func (f *framer) unfinished() bool { return f.state != between }

// feed takes the next bytes and gives every message that they complete to emit,
// with whether it was cut. A message is valid until emit returns, and may be
// empty. It is false when a count cannot be true: what follows has no frames.
func (f *framer) feed(data []byte, emit func(message []byte, cut bool)) bool {
	for len(data) > 0 {
		switch f.state {
		case between:
			f.state = inLine
			if data[0] >= '1' && data[0] <= '9' {
				f.state = inCount
			}
		case inCount:
			c := data[0]
			switch {
			case c >= '0' && c <= '9' && len(f.partial) < maxCountDigits:
				f.partial, data = append(f.partial, c), data[1:]
			case c == ' ':
				data = data[1:]
				if f.left = f.count(); f.left > maxFrameBytes {
					return false
				}
				f.state, f.partial = inOctets, f.partial[:0]
			default:
				f.state = inLine // that begins with the digits
			}
		case inOctets:
			n := min(f.left, len(data))
			if f.left -= n; f.left == 0 {
				f.complete(data[:n], emit)
			} else {
				f.keep(data[:n])
			}
			data = data[n:]
		case inLine:
			n := bytes.IndexByte(data, '\n')
			if n < 0 {
				f.keep(data)
				return true
			}
			f.complete(data[:n], emit)
			data = data[n+1:]
		}
	}
	return true
}

// count is the number in partial.
func (f *framer) count() (n int) {
	for _, c := range f.partial {
		n = n*10 + int(c-'0')
	}
	return n
}

func (f *framer) keep(part []byte) {
	if room := f.limit - len(f.partial); len(part) > room {
		part, f.cut = part[:room], true
	}
	f.partial = append(f.partial, part...)
}

// keptBytes of room stay with a connection between two messages.
const keptBytes = 8 << 10

func (f *framer) complete(end []byte, emit func([]byte, bool)) {
	f.state, f.frames = between, f.frames+1
	if len(f.partial) == 0 {
		cut := len(end) > f.limit
		emit(end[:min(len(end), f.limit)], cut)
		return
	}
	f.keep(end)
	emit(f.partial, f.cut)
	f.cut, f.partial = false, f.partial[:0]
	if cap(f.partial) > keptBytes {
		f.partial = nil
	}
}
