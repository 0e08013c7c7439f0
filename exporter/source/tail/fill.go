package tail

import (
	"bytes"
	"errors"
	"fmt"
)

// Cursor names one of a file's two reading positions.
type Cursor int

const (
	// Ship is the position of lines on their way to the sinks; commits follow it.
	Ship Cursor = iota
	// Count is the position of lines that are read ahead, for metrics only,
	// while the sinks are away.
	Count
)

// Fill empties b and fills it with whole lines that lie after the cursor, from
// as many files as fit, the oldest file first, and moves the cursor behind
// them. If b stays empty there is nothing to read now.
//
// With Count it reads lines that have neither been shipped nor counted; to call
// File.SetCounted is up to the caller.
//
// A file that cannot be read does not stop the others; the error joins all that
// went wrong, and b holds the lines nevertheless.
func (t *Tailer) Fill(b *Buffer, c Cursor) error { return t.fill(b, c, false) }

// Drain is like Fill, but takes the end of a file for a line end. It is for
// files that will not grow any more.
func (t *Tailer) Drain(b *Buffer, c Cursor) error { return t.fill(b, c, true) }

func (t *Tailer) fill(b *Buffer, c Cursor, drain bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.reset()
	if room := len(b.block) - len(lineEnd); room < t.maxLineBytes {
		return fmt.Errorf("fill buffer: it holds %d bytes, but a line of source %q may have %d", room, t.source, t.maxLineBytes)
	}
	var errs []error
	for _, f := range t.files {
		if b.full {
			break
		}
		if err := t.fillFrom(f, b, c, drain); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fillFrom adds a chunk of f's lines to b, if there are any.
func (t *Tailer) fillFrom(f *File, b *Buffer, c Cursor, drain bool) error {
	if err := t.lookAgain(f); err != nil {
		return err
	}
	cur := &f.cursors[c]
	if c == Count {
		if ahead := max(f.Counted(), f.cursors[Ship].offset); ahead > cur.offset {
			cur.moveTo(ahead)
		}
	}
	before, lines, used := *cur, len(b.lines), b.used
	whole := drain || f.quiet(t.now())
	complete := whole || cur.held && t.now().Sub(f.changed) >= openTime
	readErr := t.read(f, b, cur, whole, complete)
	if len(b.lines) == lines {
		return readErr
	}
	if t.framer != nil {
		if err := t.setHeader(f); err != nil {
			*cur = before
			b.lines, b.used, b.full = b.lines[:lines], used, false
			return err
		}
		t.join(b, cur, lines, complete)
		if len(b.lines) == lines && b.full && used == 0 {
			t.join(b, cur, lines, true) // a record that fills the buffer
		}
		if len(b.lines) == lines {
			return readErr
		}
	}

	// Only now is it certain that the file was not truncated meanwhile.
	at, same, err := f.verify(cur.offset, t.prefix[:])
	if err != nil || !same {
		*cur = before
		b.lines, b.used, b.full = b.lines[:lines], used, false
		if err == nil {
			err = t.startOver(f)
		}
		return err
	}
	cur.handed = cur.offset
	b.Chunks = append(b.Chunks, Chunk{
		File:        f,
		Lines:       b.lines[lines:len(b.lines):len(b.lines)],
		Start:       before.handed,
		End:         cur.offset,
		Time:        f.Time(),
		cursor:      c,
		generation:  t.positions.hand(f.mark, cur.offset),
		fingerprint: at,
	})
	return readErr
}

// read adds lines of f from the cursor on until b has some or is full, or the
// file ends. If whole, what lies before the end of the file is a line, too. If
// again, lines are read that were held back before.
func (t *Tailer) read(f *File, b *Buffer, cur *cursor, whole, again bool) error {
	for !b.full && cur.offset < f.size && (cur.seen < f.size || whole || again) {
		if cur.seen-cur.offset >= t.overlong() {
			return t.readOverlong(f, b, cur, whole)
		}
		room := b.block[b.used:]
		n, err := f.readAt(room, cur.offset)
		b.full = n == len(room)
		lines := len(b.lines)
		taken := b.split(room[:n], cur.offset, t.maxLineBytes)
		if err == nil && whole && !b.full && taken < n {
			b.add(room[taken:n], cur.offset+int64(taken), cur.offset+int64(n), t.maxLineBytes)
			taken = n
		}
		cur.seen = cur.offset + int64(n)
		cur.offset += int64(taken)
		if len(b.lines) > lines {
			b.used += taken
			return err
		}
		if err != nil || !b.full {
			return err
		}
		// Nothing but empty lines, or the beginning of an overlong one: neither
		// needs the room. Else the line waits for an empty buffer.
		b.full = taken == 0 && int64(n) < t.overlong()
	}
	return nil
}

// join puts the lines from index first on together, and gives those back to
// the file that belong to a record that may not be complete, unless final.
func (t *Tailer) join(b *Buffer, cur *cursor, first int, final bool) {
	if len(b.lines) > first {
		b.raw = append(b.raw[:0], b.lines[first:]...)
	}
	var rest int
	b.lines, rest, b.joined = t.framer.Join(b.lines[:first], b.raw, b.joined, final)
	cur.held = rest < len(b.raw)
	if cur.held {
		cur.offset = b.raw[rest].Start
	} else {
		cur.offset = max(cur.offset, b.raw[len(b.raw)-1].End)
	}
}

// setHeader reads the header of f again, which may lie before the position
// that it is read from.
func (t *Tailer) setHeader(f *File) error {
	if !t.framer.Headed() {
		return nil
	}
	if f.header == nil {
		b := NewBuffer(t.maxLineBytes)
		n, err := f.readAt(b.block, 0)
		if err != nil {
			return err
		}
		full := n == len(b.block)
		if b.split(b.block[:n], 0, t.maxLineBytes); full && len(b.lines) == 0 {
			b.add(b.block, 0, int64(n), t.maxLineBytes)
		}
		f.header = t.framer.HeaderOf(b.lines, full)
	}
	t.framer.SetHeader(f.header)
	return nil
}

// overlong is how many bytes without a line end make a line that will be cut.
func (t *Tailer) overlong() int64 { return int64(t.maxLineBytes + len(lineEnd)) }

// readOverlong adds the beginning of the overlong line at the cursor, if the
// line's end can be found.
func (t *Tailer) readOverlong(f *File, b *Buffer, cur *cursor, whole bool) error {
	room := b.block[b.used:]
	if len(room) < t.maxLineBytes {
		b.full = true
		return nil
	}
	end := cur.seen
	for found := false; !found; {
		n, err := f.readAt(room, end)
		if err != nil {
			return err
		}
		last := n < len(room)
		if i := bytes.IndexByte(room[:n], '\n'); i >= 0 {
			n, found = i+1, true
		}
		end += int64(n)
		if last && !found {
			cur.seen = end
			if !whole {
				return nil
			}
			break
		}
	}
	text := room[:t.maxLineBytes]
	n, err := f.readAt(text, cur.offset)
	if err != nil || n < len(text) { // truncated: the next look will tell
		return err
	}
	b.lines = append(b.lines, Line{Text: text[:n:n], Start: cur.offset, End: end, Truncated: true})
	b.used += n
	cur.offset, cur.seen = end, end
	return nil
}
