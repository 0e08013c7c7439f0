package parsers

import (
	"bytes"
	"time"
)

// Line of a file, or the record that several lines make.
type Line struct {
	Text       []byte // without its line end
	Start, End int64  // offsets in the file; End is after the line end
	Truncated  bool   // Text is only the beginning
	// Time that the carrier of the line wrote, in Unix nanoseconds, or 0.
	Time int64
	// Header of the file, for a record of CSV.
	Header *Header
}

// Header is the first record of a file whose other records are rows below it.
type Header struct{ text []byte }

// FrameForm says how the lines of a file make records.
type FrameForm struct {
	// CRI: lines may begin with the head that a container runtime writes,
	// "<RFC 3339 time> stdout|stderr P|F ", as
	// https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
	// has it; parts of a line (P) are joined.
	CRI bool `yaml:"cri"`
	// ANSI: colours are removed.
	ANSI bool `yaml:"ansi"`
	// Head is what a record's first line begins with; a line that does not
	// belongs to the record before it.
	Head string `yaml:"head"`
	// Glued is a text that every head has. Where a line holds it twice, it is
	// two records, if the second has a head.
	Glued string `yaml:"glued"`
}

// frame is a compiled FrameForm.
type frame struct {
	FrameForm
	head *pattern
	csv  bool // rows below a header, with quoted cells that may span lines
}

// Framer puts the lines of one file together to records. It is for one
// goroutine. Nil stands for lines that are records as they are.
type Framer struct {
	frame  *frame
	search search
	time   timeLayout
	pieces []piece
	open   []openRecord
	header *Header
	limit  int
}

// NewFramer gives a framer for records of up to limit bytes, or nil when every
// line is a record.
func (d *Definition) NewFramer(limit int) *Framer {
	if d.frame == nil {
		return nil
	}
	f := &Framer{frame: d.frame, limit: limit}
	if d.frame.CRI {
		if t, err := newTimeLayout("2006-01-02T15:04:05.999999999Z07:00", time.UTC); err == nil {
			f.time = *t
		}
	}
	return f
}

// FramesAs tells whether two definitions put lines together in the same way.
func (d *Definition) FramesAs(other *Definition) bool {
	if d.frame == nil || other.frame == nil {
		return d.frame == other.frame
	}
	return d.frame.FrameForm == other.frame.FrameForm && d.frame.csv == other.frame.csv && (d.frame.head == nil || d.frame.head.source == other.frame.head.source)
}

// Headed tells whether files begin with a header, which is no record. What
// Join gets first is one then, unless SetHeader gave that of the file.
func (f *Framer) Headed() bool { return f.frame.csv }

// SetHeader sets the header of the file whose lines come next; nil: they begin
// with it.
func (f *Framer) SetHeader(h *Header) { f.header = h }

// HeaderOf gives the header of a file that begins with these lines, or nil when
// it goes on behind them, unless final.
func (f *Framer) HeaderOf(lines []Line, final bool) *Header {
	f.header = nil
	f.Join(nil, lines, nil, final)
	return f.header
}

// piece is one line's part of a record.
type piece struct {
	line   int // its index
	text   []byte
	empty  int  // lines before it that are part of the record, and were left out
	broken bool // the line goes on in the next piece
	next   int  // in pieces, or -1
}

type openRecord struct {
	stream      byte
	first, last int // in pieces
	out         int // in the records
}

// Join puts lines of one file together, and appends the records to dst, in the
// order of their first lines. Text that had to be copied is appended to room;
// the records refer to it. Those that may go on in lines still to come are
// left out, unless final: rest is the first line that has to be given again.
// Lines that are empty may be left out; where they are part of a quoted cell,
// the offsets tell how many there were.
func (f *Framer) Join(dst, lines []Line, room []byte, final bool) (records []Line, rest int, newRoom []byte) {
	f.pieces, f.open = f.pieces[:0], f.open[:0]
	start := len(dst)
	quotes := false
	for i := range lines {
		line := &lines[i]
		text, at, stream, partial := line.Text, int64(0), byte(0), false
		if f.frame.CRI {
			text, at, stream, partial = f.cri(text)
		}
		if f.frame.ANSI {
			text = stripANSI(text)
		}
		k := f.openOf(stream)
		begins := k < 0
		if k >= 0 && !f.pieces[f.open[k].last].broken {
			switch {
			case f.frame.csv:
				begins = !quotes
			case f.frame.head != nil:
				begins = f.isHead(text)
			default:
				begins = true
			}
		}
		if f.frame.csv {
			quotes = csvOpen(text, quotes) && !line.Truncated // of which nobody knows
		}
		if begins && len(text) == 0 && !partial && (f.frame.head == nil || k < 0) {
			continue // an empty line is no record
		}
		f.pieces = append(f.pieces, piece{line: i, text: text, broken: partial, next: -1})
		last := len(f.pieces) - 1
		if !begins {
			o := &f.open[k]
			if f.frame.csv {
				f.pieces[last].empty = emptyBetween(&lines[f.pieces[o.last].line], line)
			}
			f.pieces[o.last].next, o.last = last, last
			dst[o.out].End = line.End
			dst[o.out].Truncated = dst[o.out].Truncated || line.Truncated
			if f.frame.head == nil && !partial && !quotes {
				room = f.finish(dst, k, room)
			}
			continue
		}
		if k >= 0 {
			room = f.finish(dst, k, room)
		}
		dst = append(dst, Line{Text: text, Start: line.Start, End: line.End, Time: at, Truncated: line.Truncated})
		if f.frame.Glued != "" && !partial {
			for cut := f.glued(text); cut > 0; cut = f.glued(text) {
				dst[len(dst)-1].Text = text[:cut:cut]
				text = text[cut:]
				start := line.End - int64(len(text)) // the end of the line is that of its text, or behind it
				dst = append(dst, Line{Text: text, Start: max(start-1, line.Start+1), End: line.End, Time: at, Truncated: line.Truncated})
				f.pieces[last].text = text
			}
		}
		f.open = append(f.open, openRecord{stream, last, last, len(dst) - 1})
		if f.frame.head == nil && !f.frame.csv && !partial || f.frame.csv && !quotes {
			room = f.finish(dst, len(f.open)-1, room)
		}
	}
	rest = len(lines)
	if final {
		for len(f.open) > 0 {
			room = f.finish(dst, len(f.open)-1, room)
		}
		return f.below(dst, start), rest, room
	}
	for _, o := range f.open {
		rest = min(rest, f.pieces[o.first].line)
	}
	// Complete records that have lines behind the rest are left out, too.
	for n := len(dst); n > start && rest < len(lines); n-- {
		r := &dst[n-1]
		if r.End <= lines[rest].Start {
			continue
		}
		dst = dst[:n-1]
		for rest > 0 && lines[rest].Start > r.Start {
			rest--
		}
	}
	return f.below(dst, start), rest, room
}

// below gives the records from start on their header, and leaves that out.
func (f *Framer) below(records []Line, start int) []Line {
	if !f.frame.csv {
		return records
	}
	kept := records[:start]
	for _, r := range records[start:] {
		if text := bytes.TrimPrefix(r.Text, []byte("\ufeff")); f.header == nil {
			f.header = &Header{bytes.Clone(text)}
		} else if !bytes.Equal(text, f.header.text) { // it may be repeated
			r.Header = f.header
			kept = append(kept, r)
		}
	}
	return kept
}

func (f *Framer) openOf(stream byte) int {
	for k := range f.open {
		if f.open[k].stream == stream {
			return k
		}
	}
	return -1
}

// finish writes the text of an open record, which then is none any more.
func (f *Framer) finish(dst []Line, k int, room []byte) []byte {
	o := f.open[k]
	f.open = append(f.open[:k], f.open[k+1:]...)
	if o.first == o.last {
		return room
	}
	r := &dst[o.out]
	start := len(room)
	for i := o.first; i >= 0; i = f.pieces[i].next {
		p := &f.pieces[i]
		for n := p.empty; n > 0 && len(room)-start < f.limit; n-- {
			room = append(room, '\n')
		}
		left := f.limit - (len(room) - start)
		if len(p.text) > left {
			r.Truncated = true
			room = append(room, p.text[:left]...)
			break
		}
		room = append(room, p.text...)
		if p.next >= 0 && !p.broken && len(room)-start < f.limit {
			room = append(room, '\n')
		}
	}
	// An empty line parts it from the next record, as tail's banners have it.
	r.Text = bytes.TrimRight(room[start:len(room):len(room)], "\n")
	return room
}

// emptyBetween gives how many empty lines lie between two lines of a file. All
// have the line end of the first.
func emptyBetween(before, line *Line) int {
	end := max(before.End-before.Start-int64(len(before.Text)), 1)
	return int(max(line.Start-before.End, 0) / end)
}

func (f *Framer) isHead(text []byte) bool {
	f.search.begin(text)
	return f.frame.head.match(&f.search)
}

// glued gives where a second record begins in a line, or 0.
func (f *Framer) glued(text []byte) int {
	mark := []byte(f.frame.Glued)
	before := bytes.Index(text, mark)
	for before >= 0 {
		next := bytes.Index(text[before+len(mark):], mark)
		if next < 0 {
			return 0
		}
		next += before + len(mark)
		// A head is short: look for it from the mark backwards.
		for at := next - 1; at > before && next-at <= maxHead; at-- {
			if f.isHead(text[at:min(next+maxHead, len(text))]) {
				return at
			}
		}
		before = next
	}
	return 0
}

// maxHead bounds how long before its mark a glued head begins, and how long
// behind it it ends.
const maxHead = 128

// cri takes the head of the container runtime off a line.
func (f *Framer) cri(line []byte) (text []byte, at int64, stream byte, partial bool) {
	// 2024-06-02T10:11:12.345678901Z stderr F
	blank := bytes.IndexByte(line[:min(len(line), 40)], ' ')
	if blank < len("2006-01-02T15:04:05Z") || line[4] != '-' || line[10] != 'T' {
		return line, 0, 0, false
	}
	rest := line[blank+1:]
	if len(rest) < len("stdout F") || string(rest[:3]) != "std" {
		return line, 0, 0, false
	}
	if name := string(rest[:7]); name != "stdout " && name != "stderr " {
		return line, 0, 0, false
	}
	stream, tags := rest[3], rest[7:]
	if tags[0] != 'P' && tags[0] != 'F' {
		return line, 0, 0, false
	}
	end := bytes.IndexByte(tags, ' ') // further tags are joined by colons
	if end < 0 {
		end = len(tags)
	}
	at, err := f.time.parse(line[:blank])
	if err != nil {
		return line, 0, 0, false
	}
	return tags[min(end+1, len(tags)):], at, stream, tags[0] == 'P'
}

// stripANSI removes ESC [ … m in place.
func stripANSI(text []byte) []byte {
	from := bytes.IndexByte(text, 0x1b)
	if from < 0 {
		return text
	}
	out := text[:from]
	for i := from; i < len(text); i++ {
		if text[i] == 0x1b && i+1 < len(text) && text[i+1] == '[' {
			end := i + 2
			for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == ';') {
				end++
			}
			if end < len(text) && text[end] == 'm' {
				i = end
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}
