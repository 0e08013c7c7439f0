package tail

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
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

// Fill empties b and fills it with whole lines that lie after the cursor, and
// moves the cursor behind them. If b stays empty there is nothing to read now.
//
// The files that were rotated away from one path are read one after the other,
// the oldest first. Other files take turns: those that were passed over longest
// come first, and none gets all of b while others wait.
//
// With Count it reads lines that have neither been shipped nor counted; to call
// Chunk.SetCounted is up to the caller.
//
// A file that cannot be read does not stop the others; the error joins all that
// went wrong, and b holds the lines nevertheless.
func (t *Tailer) Fill(b *Buffer, c Cursor) error { return t.fill(b, c, false) }

// Drain is like Fill, but takes the end of a file for a line end. It is for
// files that will not grow any more.
func (t *Tailer) Drain(b *Buffer, c Cursor) error { return t.fill(b, c, true) }

// shareBytes is the least that a chain may take of a buffer.
const shareBytes = 64 << 10

func (t *Tailer) fill(b *Buffer, c Cursor, drain bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.reset()
	if room := len(b.block) - len(lineEnd); room < t.maxLineBytes {
		return fmt.Errorf("fill buffer: it holds %d bytes, but a line of source %q may have %d", room, t.source, t.maxLineBytes)
	}
	var errs []error
	t.turn = turn{t.turnBytes, t.turnBytes * 2 / 3}
	t.ready = t.ready[:0]
	for _, chain := range t.chains {
		ready, err := t.refresh(chain, c, drain)
		if err != nil {
			errs = append(errs, err)
		}
		if ready {
			t.ready = append(t.ready, chain)
		}
	}
	for again := true; again && len(b.lines) == 0; {
		again = false
		end, share := t.choose(b, c)
		for i, chain := range t.queue {
			if b.used >= end {
				break
			}
			part := share
			if part == 0 {
				part = max(shareBytes, (end-b.used)/(len(t.queue)-i))
			}
			b.limit, b.full = min(b.used+part, end), false
			chunks := len(b.Chunks)
			for _, f := range chain.files {
				if t.waits(f, c) && t.unread(f, c, drain) {
					break
				}
				err := t.fillFrom(f, b, c, drain)
				if isBusy(err) { // what is behind it in the chain waits
					t.busy = true
					break
				}
				if err != nil {
					errs = append(errs, err)
				}
				if b.full {
					break
				}
			}
			if len(b.Chunks) > chunks {
				t.clock++
				chain.turn[c] = t.clock
			}
			if c == Ship && !b.full && chain.idle != t.scans {
				chain.idle, again = t.scans, again || b.Held
			}
		}
	}
	return errors.Join(errs...)
}

// firstBytes are read of a file to learn the time of its first line.
const firstBytes = 4 << 10

// choose from the ready chains those to read now, in their order, how much in
// all, and how much of each, where that is not an equal share.
//
// No line is to be handed out that is much newer than the oldest one that waits
// in another file, so what is ahead is passed over. Not waited for is what has
// been read to its end since the last Scan, or cannot be read: it may be a
// file of a clock that is wrong, or broken.
func (t *Tailer) choose(b *Buffer, c Cursor) (end, share int) {
	end = len(b.block)
	if b.Most > 0 {
		end = min(b.Most, end)
	}
	t.queue = append(t.queue[:0], t.ready...)
	slices.SortStableFunc(t.queue, func(a, b *chain) int { return cmp.Compare(a.turn[c], b.turn[c]) })
	b.Horizon, b.Held = math.MaxInt64, false
	if c != Ship || t.spread == 0 || len(t.ready) < 2 {
		return end, 0
	}
	oldest, known := int64(math.MaxInt64), true
	for _, chain := range t.ready {
		if chain.idle != t.scans {
			oldest, known = min(oldest, chain.next), known && chain.next != 0
		}
	}
	switch {
	case !known: // only look at the first lines
		b.Horizon, end, share = math.MinInt64, len(b.block), firstBytes
		t.queue = slices.DeleteFunc(t.queue, func(chain *chain) bool { return chain.next != 0 || chain.idle == t.scans })
	case oldest < math.MaxInt64:
		b.Horizon = oldest + int64(t.spread)
		// Well before that, so that a chain that was cut there is not read again
		// for a few lines.
		t.queue = slices.DeleteFunc(t.queue, func(chain *chain) bool { return chain.next > oldest+int64(t.spread)*2/3 })
		t.giveWay(c)
	}
	b.Held = len(t.queue) < len(t.ready)
	return end, share
}

// giveWay lets another packed file be read if the one that is being read has to
// wait for older lines.
func (t *Tailer) giveWay(c Cursor) {
	if f := t.unpacking[c]; f != nil && !slices.Contains(t.queue, f.chain) {
		t.unpacking[c] = nil
		f.content.packed.release(c)
	}
}

// Return gives back the lines of a chunk from index n on, the first of which has
// the time next; the last that is kept has the time last, both in Unix
// nanoseconds. The next Fill hands them out again. It is to be called before
// that, and, if the chunk is not the last one of its chain, for those after it,
// too. A chunk without lines is not to be committed.
func (t *Tailer) Return(c *Chunk, n int, last, next int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, cur := c.File, &c.File.cursors[c.cursor]
	f.chain.idle = 0
	t.positions.takeBack(c, len(c.Lines)-n)
	if c.Lines = c.Lines[:n]; n == 0 {
		*cur = c.before
		f.time.Store(c.handed)
		f.next.Store(next)
		return nil
	}
	c.End, c.tail, c.Time = c.Lines[n-1].End, 0, last
	f.time.Store(last)
	f.next.Store(next)
	err := t.reach(f)
	if err == nil {
		c.tail, _, err = f.content.tail(c.cursor, c.End, t.scratch[:])
	}
	cur.moveTo(c.End, c.tail)
	if isMoved(err) || isBusy(err) {
		err = nil // the next Scan finds it
	}
	return err
}

// refresh looks at the open files of a chain again, and reports whether one may
// have lines behind the cursor.
func (t *Tailer) refresh(chain *chain, c Cursor, drain bool) (ready bool, err error) {
	var errs []error
	for _, f := range chain.files {
		if f.content != nil && !f.unsettled() {
			if err := t.lookAgain(f); err != nil {
				if !f.unsettled() {
					errs = append(errs, err)
				}
				continue
			}
		}
		if c == Count {
			cur, ship := &f.cursors[Count], &f.cursors[Ship]
			if ahead := max(f.Counted(), ship.offset); ahead > cur.offset {
				cur.moveTo(ahead, 0)
			}
		}
		if !ready && t.unread(f, c, drain) {
			ready, chain.next = true, f.next.Load()
		}
	}
	return ready, errors.Join(errs...)
}

// unread reports whether there may be lines behind the cursor.
func (t *Tailer) unread(f *File, c Cursor, drain bool) bool {
	cur := &f.cursors[c]
	whole, complete := t.ends(f, c, drain)
	return !f.unsettled() && cur.offset < f.size && (cur.seen < f.size || whole || complete)
}

// ends reports whether what lies before the end of the file is a line, and
// whether the lines before it are a record.
func (t *Tailer) ends(f *File, c Cursor, drain bool) (whole, complete bool) {
	whole = drain || f.whole(t.now())
	return whole, whole || f.cursors[c].held && t.now().Sub(f.changed) >= openTime
}

// waits reports whether a packed file waits for another: each that is being read
// takes memory.
func (t *Tailer) waits(f *File, c Cursor) bool {
	other := t.unpacking[c]
	return f.packed() && other != nil && other != f
}

// fillFrom adds a chunk of f's lines to b, if there are any.
func (t *Tailer) fillFrom(f *File, b *Buffer, c Cursor, drain bool) (err error) {
	if !t.unread(f, c, drain) {
		return nil
	}
	if err := t.reach(f); err != nil {
		if isMoved(err) || errors.Is(err, errTooMany) {
			return nil // the next Scan finds it, or says so
		}
		return err
	}
	if f.packed() {
		t.unpacking[c] = f
		defer func() {
			if err != nil && !isBusy(err) || f.cursors[c].offset >= f.size {
				t.unpacking[c] = nil
				f.content.packed.release(c)
			}
		}()
	}
	cur := &f.cursors[c]
	before, lines, used := *cur, len(b.lines), b.used
	whole, complete := t.ends(f, c, drain)
	readErr := t.read(f, b, c, whole, complete)
	if len(b.lines) == lines && b.full && b.limit < len(b.block) && readErr == nil {
		b.limit, b.full = len(b.block), false // a line longer than the share
		readErr = t.read(f, b, c, whole, true)
	}
	if len(b.lines) == lines {
		return readErr
	}
	if t.framer != nil {
		if err := t.setHeader(f, c); err != nil {
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
	same, err := f.intact(t.scratch[:])
	if err == nil && same {
		err = f.learn(t.scratch[:])
	}
	var tail uint32
	if err == nil && same {
		tail, same, err = f.content.tail(c, cur.offset, t.scratch[:])
	}
	if err != nil || !same {
		*cur = before
		b.lines, b.used, b.full = b.lines[:lines], used, false
		if err == nil {
			err = t.startOver(f, f.evidence())
		}
		if f.unsettled() {
			return nil
		}
		return err
	}
	cur.handed, cur.tail = cur.offset, tail
	handed := b.lines[lines:len(b.lines):len(b.lines)]
	b.Chunks = append(b.Chunks, Chunk{
		File:        f,
		Lines:       handed,
		Start:       before.handed,
		End:         cur.offset,
		Time:        f.Time(),
		cursor:      c,
		before:      before,
		handed:      f.Time(),
		generation:  t.positions.hand(f.mark, c, len(handed)),
		fingerprint: f.prefix,
		tail:        tail,
	})
	return readErr
}

// read adds lines of f from the cursor on until b has some or is full, or the
// file ends. If whole, what lies before the end of the file is a line, too. If
// again, lines are read that were held back before.
func (t *Tailer) read(f *File, b *Buffer, c Cursor, whole, again bool) error {
	cur := &f.cursors[c]
	for !b.full && cur.offset < f.size && (cur.seen < f.size || whole || again) {
		if cur.seen-cur.offset >= t.overlong() && !cur.ends {
			return t.readOverlong(f, b, c, whole)
		}
		cur.ends = false
		room := b.block[b.used:b.limit]
		n, err := f.content.readAt(c, room, cur.offset)
		b.full = n == len(room)
		lines := len(b.lines)
		if z := runOfNULs(room[:n]); z >= 0 && err == nil {
			if waits, err := t.readBefore(f, b, c, room[:z], whole); err != nil || waits || len(b.lines) > lines {
				return err
			}
			continue
		}
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

// readBefore adds the lines of text, which lies at the cursor and before a run of
// NULs, and moves the cursor. What is behind its last line end is a line, too,
// if something follows the run: at the end of a file it may yet be overwritten,
// and waits.
func (t *Tailer) readBefore(f *File, b *Buffer, c Cursor, text []byte, whole bool) (waits bool, err error) {
	cur := &f.cursors[c]
	b.full = false
	if taken := b.split(text, cur.offset, t.maxLineBytes); taken > 0 {
		cur.offset += int64(taken)
		cur.seen = cur.offset
		b.used += taken
		return false, nil
	}
	start := cur.offset + int64(len(text))
	end, err := t.behindNULs(f, c, start)
	if err != nil {
		return false, err
	}
	if end >= f.size && !whole {
		cur.seen, cur.ends = f.size, true
		return true, nil
	}
	b.add(text, cur.offset, end, t.maxLineBytes)
	b.used += len(text)
	cur.offset, cur.seen = end, end
	if start = max(start, f.nuls); end > start { // each once
		t.nuls += uint64(end - start)
		f.nuls = end
	}
	return false, nil
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
func (t *Tailer) setHeader(f *File, c Cursor) error {
	if !t.framer.Headed() {
		return nil
	}
	if f.header == nil {
		b := NewBuffer(t.maxLineBytes)
		n, err := f.content.readAt(c, b.block, 0)
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

// scanBytes are read at once to find the end of an overlong line.
const scanBytes = 64 << 10

// readOverlong adds the beginning of the overlong line at the cursor, if the
// line's end can be found.
func (t *Tailer) readOverlong(f *File, b *Buffer, c Cursor, whole bool) error {
	cur := &f.cursors[c]
	if len(b.block)-b.used < t.maxLineBytes {
		b.full = true
		return nil
	}
	// Before the end is looked for: a packed file is read in one direction.
	text := b.block[b.used : b.used+t.maxLineBytes]
	n, err := f.content.readAt(c, text, cur.offset)
	if err != nil || n < len(text) { // truncated: the next look will tell
		return err
	}
	if t.scan == nil {
		t.scan = make([]byte, scanBytes)
	}
	end := cur.seen
	for found := false; !found; {
		n, err := f.content.readAt(c, t.scan, end)
		if err != nil {
			return err
		}
		last := n < len(t.scan)
		if i := bytes.IndexByte(t.scan[:n], '\n'); i >= 0 {
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
	b.lines = append(b.lines, Line{Text: text[:n:n], Start: cur.offset, End: end, Truncated: true})
	b.used += n
	cur.offset, cur.seen = end, end
	return nil
}
