package tail

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/klauspost/compress/gzip"
)

// errPartial marks a packed file without an end: it may still be being written.
var errPartial = errors.New("it has no end")

// errBusy marks a packed file that takes more than this turn to look into.
var errBusy = errors.New("it takes more than one turn to decompress")

// turn is how much may still be decompressed by one Scan or Fill, in bytes, in
// order to look into files and not to hand it out; share bounds what one file
// takes at once.
type turn struct{ left, share int64 }

// take from a turn what one file may have of it; without a turn, all.
func (t *turn) take() int64 {
	if t == nil {
		return math.MaxInt64
	}
	return min(t.left, t.share)
}

func (t *turn) spend(n int64) {
	if t != nil {
		t.left -= n
	}
}

// packed reads what a gzip file holds. Offsets are those of the decompressed
// bytes.
type packed struct {
	turn    *turn // nil: no bound
	long    bool  // it has taken more than a turn
	file    *os.File
	rest    io.Reader // what lies behind head; nil once all of it was inspected
	size    int64     // bytes that can be read, as far as they were inspected
	head    []byte
	damage  error // why nothing comes behind, unless it is the end
	readers [2]inflater
}

// unpack begins to read a gzip file: as much as tells it from others.
func unpack(file *os.File) (*packed, error) {
	p := &packed{file: file, head: make([]byte, fingerprintBytes)}
	for i := range p.readers {
		p.readers[i].file = file
	}
	z, err := gzip.NewReader(source(file))
	n := 0
	if err == nil {
		n, err = io.ReadFull(z, p.head)
		p.size = int64(n)
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // an empty file
	}
	p.head = p.head[:n]
	switch {
	case n == fingerprintBytes:
		p.rest = z
		return p, nil
	case n > 0 && errors.Is(err, io.ErrUnexpectedEOF): // which may be that of what is packed
		p.rest = z
		return p, p.inspect()
	}
	return p, p.end(err)
}

// inspect what was not read yet to its end, or as far as can be. It fails with
// errBusy when the turn ends before, and goes on there the next time.
func (p *packed) inspect() error {
	if p.rest == nil {
		return nil
	}
	n, err := io.CopyN(io.Discard, p.rest, p.turn.take())
	p.turn.spend(n)
	p.size += n
	if err == nil {
		p.long = true
		return errBusy
	}
	p.rest = nil
	return p.end(err)
}

// end notes how reading a gzip file ended.
func (p *packed) end(err error) error {
	var failed *fs.PathError
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case errors.As(err, &failed):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.damage = errPartial
	default:
		p.damage = fmt.Errorf("decompress it behind byte %d: %w", p.size, err)
	}
	return nil
}

func source(file *os.File) io.Reader {
	return bufio.NewReaderSize(io.NewSectionReader(file, 0, 1<<62), 32<<10)
}

// readAt reads like ReadAt. Each cursor decompresses for itself.
func (p *packed) readAt(cursor Cursor, b []byte, offset int64) (int, error) {
	if offset+int64(len(b)) <= int64(len(p.head)) {
		return copy(b, p.head[offset:]), nil
	}
	if offset >= p.size {
		return 0, io.EOF
	}
	n, err := p.readers[cursor].readAt(b[:min(int64(len(b)), p.size-offset)], offset, p.turn)
	p.long = p.long || errors.Is(err, errBusy)
	return n, err
}

// release gives the memory back that a cursor took.
func (p *packed) release(cursor Cursor) { p.readers[cursor] = inflater{file: p.file} }

// inflater decompresses from offset to offset. To go back beyond its window, it
// starts over.
type inflater struct {
	file   *os.File
	gzip   *gzip.Reader // nil before the first read
	end    int64        // of what was decompressed
	window []byte       // the last of it
}

// readAt fails with errBusy when it comes to the end of the turn before it comes
// to offset, and goes on there the next time.
func (z *inflater) readAt(b []byte, offset int64, turn *turn) (int, error) {
	start := z.end - int64(len(z.window))
	if offset >= start && offset+int64(len(b)) <= z.end {
		return copy(b, z.window[offset-start:]), nil
	}
	if z.gzip == nil || offset < start {
		reader, err := gzip.NewReader(source(z.file))
		if err != nil {
			return 0, err
		}
		z.gzip, z.end, z.window, start = reader, 0, z.window[:0], 0
	}
	// What lies just before is kept for the tail.
	if drop := max(0, offset-fingerprintBytes) - start; drop > int64(len(z.window)) {
		skip := drop - int64(len(z.window))
		skipped, err := io.CopyN(io.Discard, z.gzip, min(skip, turn.take()))
		turn.spend(skipped)
		z.end, z.window = z.end+skipped, z.window[:0]
		if err != nil {
			return 0, err
		}
		if skipped < skip {
			return 0, errBusy
		}
		start = z.end
	} else if drop > 0 {
		z.window, start = append(z.window[:0], z.window[drop:]...), start+drop
	}
	var err error
	if more := offset + int64(len(b)) - z.end; more > 0 {
		had := len(z.window)
		z.window = slices.Grow(z.window, int(more))[:had+int(more)]
		var n int
		n, err = io.ReadFull(z.gzip, z.window[had:])
		z.end, z.window = z.end+int64(n), z.window[:had+n]
	}
	if skip := offset - start; skip < int64(len(z.window)) {
		return copy(b, z.window[skip:]), err
	}
	return 0, err
}
