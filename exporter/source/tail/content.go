package tail

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// fingerprintBytes is how much of a file's beginning, and of what lies before
// an offset, tells it from other files.
const fingerprintBytes = 1024

// errNotRegular marks what is not read by its nature.
var errNotRegular = errors.New("only regular, uncompressed files are read")

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

// evidence tells a content from others, whatever its name and inode are.
type evidence struct {
	head   fingerprint
	offset int64
	tail   uint32    // of the last bytes before offset; 0 if not known
	since  time.Time // it was written to then or later
}

// timeSlack is how much of a modification time a copy may lose.
const timeSlack = 2 * time.Second

// tailOf is never 0.
func tailOf(end []byte) uint32 {
	return max(1, crc32.Checksum(end, crc32.MakeTable(crc32.Castagnoli)))
}

// weak reports whether there is nothing that could tell anything.
func (e evidence) weak() bool { return e.head.bytes == 0 }

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

// content is an open file; one that is packed is read as what was packed.
type content struct {
	sighting
	file   *os.File
	size   int64 // bytes to read, as of opening
	packed *packed
}

// open opens a file that has been sighted. Should a FIFO have taken its place
// since, opening it does not block. Of a packed file only the beginning is read;
// its size is not known until measure.
func open(path string) (*content, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	c := &content{file: f}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errNotRegular
	default:
		c.sighting, c.size = sighting{path, info, identify(info)}, info.Size()
		if isPacked(path) {
			if c.packed, err = unpack(f); err == nil && c.packed.rest == nil {
				c.size = c.packed.size
			}
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %q: %w", path, err), closeFile(f))
	}
	return c, nil
}

// measure reads a packed file once as a whole, which tells its size and whether
// it is damaged.
func (c *content) measure() error {
	if c.packed == nil {
		return nil
	}
	if err := c.packed.inspect(); err != nil {
		return fmt.Errorf("read %q: %w", c.path, err)
	}
	c.size = c.packed.size
	return nil
}

func (c *content) close() error { return closeFile(c.file) }

func closeFile(f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("close %q: %w", f.Name(), err)
	}
	return nil
}

// readAt reads like ReadAt, but the end of the file is not an error.
func (c *content) readAt(cursor Cursor, b []byte, offset int64) (n int, err error) {
	if c.packed != nil {
		n, err = c.packed.readAt(cursor, b, offset)
	} else {
		n, err = c.file.ReadAt(b, offset)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("read %q: %w", c.path, err)
	}
	return n, nil
}

// head returns the fingerprint of the first n bytes; false if there are fewer.
func (c *content) head(n int64, scratch []byte) (fingerprint, bool, error) {
	got, err := c.readAt(Ship, scratch[:n], 0)
	return fingerprintOf(scratch[:got]), int64(got) == n, err
}

// tail returns what stands for the last bytes before offset.
func (c *content) tail(cursor Cursor, offset int64, scratch []byte) (uint32, bool, error) {
	b := scratch[:min(offset, fingerprintBytes)]
	got, err := c.readAt(cursor, b, offset-int64(len(b)))
	return tailOf(b), got == len(b), err
}

// has reports whether the evidence is of this content.
func (c *content) has(e evidence, scratch []byte) (bool, error) {
	head, whole, err := c.head(e.head.bytes, scratch)
	if err != nil || !whole || head != e.head {
		return false, err
	}
	if err := c.measure(); err != nil {
		return false, err
	}
	if e.offset == 0 || e.tail == 0 {
		return c.size >= e.offset, nil
	}
	tail, whole, err := c.tail(Ship, e.offset, scratch)
	return whole && tail == e.tail, err
}

// deleted reports whether the file has no name any more.
func (c *content) deleted() bool {
	info, err := c.file.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink == 0
}
