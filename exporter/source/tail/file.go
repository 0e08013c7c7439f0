package tail

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/corkline/corkline/parsers"
)

// fingerprintBytes is how much of a file's beginning tells it from another
// file that got the same inode.
const fingerprintBytes = 1024

// errNotRegular marks what is not read by its nature.
var errNotRegular = errors.New("only regular, uncompressed files are read")

// File is one file that a Tailer has opened, whatever its name is by now. Its
// methods are safe for concurrent use.
type File struct {
	path      string // where it was first found
	id        identity
	content   *os.File
	positions *Positions
	mark      *mark
	time      atomic.Int64

	// The rest belongs to the Tailer.
	rotated  bool // not at a matched path
	size     int64
	modified time.Time   // by the file system's clock
	changed  time.Time   // by the Tailer's clock: when a change was last noticed
	prefix   fingerprint // of the beginning that has been read
	cursors  [2]cursor   // by Cursor
	header   *parsers.Header
}

// Path returns where the file was first found; rotation does not change it.
func (f *File) Path() string { return f.path }

// Counted returns the offset before which every line has been counted in the
// life of this process.
func (f *File) Counted() int64 {
	return f.positions.counted(f.mark)
}

// SetCounted moves what Counted returns forward to end, which is the End of a
// Chunk. An end that lies further back, or beyond all chunks that were read
// since the file was last truncated, changes nothing.
func (f *File) SetCounted(end int64) {
	f.positions.setCounted(f.mark, end)
}

// Time returns the time, in Unix nanoseconds, that is handed out with the next
// Chunk. It starts as the time committed last, or that of the first sight.
func (f *File) Time() int64 { return f.time.Load() }

// SetTime sets what Time returns, in Unix nanoseconds.
func (f *File) SetTime(ns int64) { f.time.Store(ns) }

// begin puts the file at its beginning, with a time of now.
func (f *File) begin(now time.Time) {
	f.time.Store(now.UnixNano())
	f.prefix, f.header = fingerprint{}, nil
	f.cursors = [2]cursor{}
}

// committed returns the offset before which all lines have been delivered.
func (f *File) committed() int64 {
	offset := f.positions.offset(f.mark)
	if ship := f.cursors[Ship]; offset == ship.handed {
		return ship.offset // only empty lines lie between
	}
	return offset
}

// finished reports whether all that the file holds has been delivered.
func (f *File) finished() bool { return f.committed() >= f.size }

// quiet reports whether a rotated file has ceased to change.
func (f *File) quiet(now time.Time) bool {
	return f.rotated && now.Sub(f.changed) >= quietTime
}

// deleted reports whether the file has no name any more.
func (f *File) deleted() bool {
	info, err := f.content.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}

// is reports whether this is the file that r is the position of, and still
// holds what was delivered and counted of it.
func (f *File) is(r record, counted int64, scratch []byte) (bool, error) {
	if f.id != r.identity() || f.size < max(r.Offset, counted) {
		return false, nil
	}
	known := File{path: r.Path, content: f.content, prefix: r.fingerprint()}
	_, same, err := known.verify(0, scratch)
	return same, err
}

// verify reports whether the file still begins with what was read of it, and
// returns the fingerprint that goes with offset end. It takes what lies before
// end as read.
func (f *File) verify(end int64, scratch []byte) (at fingerprint, same bool, err error) {
	want := min(end, fingerprintBytes)
	beginning := scratch[:max(want, f.prefix.bytes)]
	if n, err := f.readAt(beginning, 0); err != nil || n < len(beginning) {
		return fingerprint{}, false, err
	}
	if fingerprintOf(beginning[:f.prefix.bytes]) != f.prefix {
		return fingerprint{}, false, nil
	}
	f.prefix = fingerprintOf(beginning)
	return fingerprintOf(beginning[:want]), true, nil
}

// readAt reads like ReadAt, but the end of the file is not an error.
func (f *File) readAt(b []byte, offset int64) (int, error) {
	n, err := f.content.ReadAt(b, offset)
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("read %q: %w", f.path, err)
	}
	return n, nil
}

// cursor is one reading position in a file.
type cursor struct {
	offset int64 // before which all lines have been read
	seen   int64 // before which, from offset on, there is no line end
	handed int64 // the end of the last chunk; only empty lines lie after it
	held   bool  // lines were given back that may belong to a record to come
}

func (c *cursor) moveTo(offset int64) { *c = cursor{offset: offset, seen: offset, handed: offset} }

// identity tells files apart as long as they exist.
type identity struct{ dev, inode uint64 }

func identify(info fs.FileInfo) identity {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}
	}
	return identity{dev: st.Dev, inode: st.Ino}
}

// fingerprint is the crc32c of a file's first bytes.
type fingerprint struct {
	bytes int64
	sum   uint32
}

func fingerprintOf(beginning []byte) fingerprint {
	return fingerprint{int64(len(beginning)), crc32.Checksum(beginning, crc32.MakeTable(crc32.Castagnoli))}
}

// sighting is what was seen at a path.
type sighting struct {
	path string
	info fs.FileInfo
	id   identity
}

// sight looks at path, which must lead to a regular file.
func sight(path string) (sighting, error) {
	info, err := os.Stat(path)
	if err != nil {
		return sighting{}, fmt.Errorf("look at %q: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return sighting{}, fmt.Errorf("read %q: mode is %s: %w", path, info.Mode(), errNotRegular)
	}
	return sighting{path, info, identify(info)}, nil
}

// openRegular opens a file that has been sighted. Should a FIFO have taken its
// place since, opening it does not block.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open %q: %w", path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open %q: %w", path, err), closeFile(f))
	}
	return f, info, nil
}

func closeFile(f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %q: %w", f.Name(), err)
	}
	return nil
}
