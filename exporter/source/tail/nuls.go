package tail

import (
	"bytes"
	"errors"
	"io"
	"syscall"
)

// nulRun is how many NULs in a row are no text: a loss of power leaves them where
// what was written had not reached the disk, and a copytruncate where the writer
// goes on behind what was truncated.
const nulRun = 16

// runOfNULs returns where the first run of NULs begins; -1 if there is none.
func runOfNULs(text []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(text[at:], 0)
		if n < 0 {
			return -1
		}
		at += n
		end := at + 1
		for end < len(text) && text[end] == 0 {
			end++
		}
		if end-at >= nulRun {
			return at
		}
		at = end
	}
}

// behindNULs returns where the run of NULs ends that lies at an offset of f, which
// may be the end of the file. It fails with errBusy if that takes more than this
// turn.
func (t *Tailer) behindNULs(f *File, c Cursor, offset int64) (int64, error) {
	cur := &f.cursors[c]
	if t.scan == nil {
		t.scan = make([]byte, scanBytes)
	}
	for at := max(offset, cur.nuls); ; {
		if cur.nuls = at; t.turn.left <= 0 {
			return 0, errBusy
		}
		if !f.packed() {
			data, err := f.content.file.Seek(at, seekData)
			switch {
			case err == nil:
				at = data
			case errors.Is(err, syscall.ENXIO): // a hole to the end
				cur.nuls = 0
				return f.size, nil
			}
		}
		n, err := f.content.readAt(c, t.scan, at)
		if err != nil {
			return 0, err
		}
		t.turn.spend(int64(n))
		text := bytes.TrimLeft(t.scan[:n], "\x00")
		at += int64(n - len(text))
		if len(text) > 0 || n < len(t.scan) {
			cur.nuls = 0 // what is at the end of a file may yet be overwritten
			return min(at, f.size), nil
		}
	}
}

// seekData is the whence of lseek that finds what is not a hole (SEEK_DATA).
const seekData = io.SeekEnd + 1

// NULs returns how many NUL bytes were passed over as no text.
func (t *Tailer) NULs() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nuls
}
