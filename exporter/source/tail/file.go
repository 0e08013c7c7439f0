package tail

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/parsers"
)

// File is one file that a Tailer follows, whatever its name is by now. Its
// methods are safe for concurrent use.
type File struct {
	path      string // where it was first found
	positions *Positions
	mark      *mark
	time      atomic.Int64
	next      atomic.Int64 // no line after the ship cursor is older; 0: not known

	// The rest belongs to the Tailer.
	id       identity
	place    string   // where it was last seen
	target   string   // place, or what it linked to when the file was found
	chain    *chain   // of the files that were rotated away from the same path
	content  *content // nil while closed
	used     uint64   // when it was last read or looked into
	rotated  bool     // not at a matched path
	size     int64
	modified time.Time   // by the file system's clock
	changed  time.Time   // by the Tailer's clock: when a change was last noticed
	prefix   fingerprint // of its beginning, as far as it is known
	cursors  [2]cursor   // by Cursor
	nuls     int64       // the end of the last run of NULs that was passed over
	header   *parsers.Header
}

// Path returns where the file was first found; rotation does not change it.
func (f *File) Path() string { return f.path }

// Counted returns the offset before which every line has been counted in the
// life of this process.
func (f *File) Counted() int64 {
	return f.positions.counted(f.mark)
}

// Time returns the time, in Unix nanoseconds, that is handed out with the next
// Chunk. It starts as the time committed last, or that of the first sight.
func (f *File) Time() int64 { return f.time.Load() }

// SetTime sets what Time returns, in Unix nanoseconds: the time of the last line
// that was handed out.
func (f *File) SetTime(ns int64) {
	f.time.Store(ns)
	f.next.Store(ns)
}

// begin puts the file at its beginning, with a time of now.
func (f *File) begin(now time.Time) {
	f.time.Store(now.UnixNano())
	f.next.Store(0)
	f.prefix, f.header = fingerprint{}, nil
	f.cursors, f.nuls = [2]cursor{}, 0
}

// committed returns the offset before which all lines have been delivered.
func (f *File) committed() int64 {
	offset := f.positions.offset(f.mark)
	if ship := f.cursors[Ship]; offset == ship.handed {
		return ship.offset // only empty lines lie between
	}
	return offset
}

// unsettled reports whether the file was truncated, and it is not known yet
// where what it held is now.
func (f *File) unsettled() bool { return f.modified.IsZero() }

// finished reports whether all that the file holds has been delivered.
func (f *File) finished() bool { return !f.unsettled() && f.committed() >= f.size }

// quiet reports whether a rotated file has ceased to change.
func (f *File) quiet(now time.Time) bool {
	return f.rotated && now.Sub(f.changed) >= quietTime
}

// followed reports whether a file that was rotated away later has content.
func (f *File) followed() bool {
	later := f.chain.files[slices.Index(f.chain.files, f)+1:]
	return slices.ContainsFunc(later, func(g *File) bool { return g.prefix.bytes > 0 })
}

// whole reports whether no more can come to a file: what lies before its end
// is a line.
func (f *File) whole(now time.Time) bool {
	return f.packed() || f.quiet(now)
}

// packed reports whether the file is read out of a packed one.
func (f *File) packed() bool { return f.content != nil && f.content.packed != nil }

// evidence returns what tells the file's content from others.
func (f *File) evidence() evidence {
	return evidence{f.prefix, f.cursors[Ship].handed, f.cursors[Ship].tail, f.modified}
}

// intact reports whether the file still holds what was read of it.
func (f *File) intact(scratch []byte) (bool, error) {
	if f.packed() {
		return true, nil
	}
	same, err := f.content.has(f.evidence(), scratch)
	if ahead := &f.cursors[Count]; err == nil && same && ahead.tail != 0 {
		same, err = f.content.has(evidence{head: f.prefix, offset: ahead.handed, tail: ahead.tail}, scratch)
	}
	return same, err
}

// learn takes in what has become known of the file's beginning: whole lines,
// as the beginning of one is the same in many files, and what has been read.
func (f *File) learn(scratch []byte) error {
	if f.prefix.bytes >= min(f.size, fingerprintBytes) {
		return nil
	}
	head := scratch[:fingerprintBytes]
	n, err := f.content.readAt(Ship, head, 0)
	if n < len(head) {
		read := int(min(max(f.cursors[Ship].offset, f.cursors[Count].offset), int64(n)))
		n = max(read, bytes.LastIndexByte(head[:n], '\n')+1)
	}
	if err == nil && int64(n) > f.prefix.bytes {
		f.prefix = fingerprintOf(head[:n])
	}
	return err
}

// info returns the size and modification time of the open file.
func (f *File) info() (fs.FileInfo, error) {
	info, err := f.content.file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at %q: %w", f.path, err)
	}
	return info, nil
}

// cursor is one reading position in a file.
type cursor struct {
	offset int64  // before which all lines have been read
	seen   int64  // before which, from offset on, there is no line end
	handed int64  // the end of the last chunk; only empty lines lie after it
	tail   uint32 // of what lies before handed; 0 if not known
	nuls   int64  // before which, from the last run of NULs on, there are only NULs
	ends   bool   // seen lies behind a run of NULs at the end of the file
	held   bool   // lines were given back that may belong to a record to come
}

func (c *cursor) moveTo(offset int64, tail uint32) {
	*c = cursor{offset: offset, seen: offset, handed: offset, tail: tail}
}
