package tail

import (
	"bytes"
	"math"

	"github.com/corkline/corkline/parsers"
)

// lineEnd is the longest line end.
const lineEnd = "\r\n"

// Buffer holds what one Fill read. It is meant to be reused: the next Fill
// overwrites the lines.
type Buffer struct {
	// Chunks are what was read, in the order in which it is to be delivered.
	// A file has at most one.
	Chunks []Chunk
	// Most is how many bytes are to be read at once, as far as lines are not
	// longer; 0: as many as there is room for.
	Most int
	// Horizon is the time, in Unix nanoseconds, behind which no line is to be
	// delivered yet, since older ones wait in other files: those lines are to be
	// given back with Tailer.Return. Held tells that files were passed over for
	// the same reason.
	Horizon int64
	Held    bool

	block  []byte
	used   int    // bytes of block that lines lie in
	limit  int    // of what may be used now
	full   bool   // a read found no room for more before limit
	lines  []Line // of all chunks
	joined []byte // text of lines that were put together
	raw    []Line // lines that are being put together
}

// Chunk is a run of lines of one file.
type Chunk struct {
	File  *File
	Lines []Line // at least one
	// Start and End are offsets in the file. The chunks of a cursor follow each
	// other without gaps; End is what Commit makes durable.
	Start, End int64
	// Time is the file's time, in Unix nanoseconds, when the chunk was handed
	// out. To be set to the time of the last line before Commit, which keeps
	// it with the position.
	Time int64

	cursor      Cursor
	before      cursor // of the file, before the chunk was read
	handed      int64  // Time as it was handed out
	generation  uint64 // of the file's content; truncation begins another
	fingerprint fingerprint
	tail        uint32
}

// Follows reports whether a chunk is of the same file as another one, or of one
// that came to the same path.
func (c *Chunk) Follows(other *Chunk) bool { return c.File.chain == other.File.chain }

// SetCounted notes that the lines have been counted: what File.Counted returns
// moves to End, unless it lies further already or the file was truncated since.
func (c *Chunk) SetCounted() { c.File.positions.setCounted(c) }

// Line is one line of a file, or what several make together; never empty.
type Line = parsers.Line

// NewBuffer returns a Buffer that holds lines of up to size bytes in all. It
// must be able to hold one line of the Tailer's MaxLineBytes.
func NewBuffer(size int) *Buffer {
	return &Buffer{block: make([]byte, max(size, 0)+len(lineEnd))}
}

// Len returns the number of lines.
func (b *Buffer) Len() int { return len(b.lines) }

func (b *Buffer) reset() {
	clear(b.Chunks) // do not keep closed files
	b.Chunks, b.lines, b.joined = b.Chunks[:0], b.lines[:0], b.joined[:0]
	b.used, b.limit, b.full = 0, len(b.block), false
	b.Horizon, b.Held = math.MaxInt64, false
}

// split adds the complete lines in data, which starts at offset in its file,
// and returns how many bytes they take up.
func (b *Buffer) split(data []byte, offset int64, limit int) int {
	start := 0
	for {
		n := bytes.IndexByte(data[start:], '\n')
		if n < 0 {
			return start
		}
		end := start + n
		b.add(data[start:end], offset+int64(start), offset+int64(end+1), limit)
		start = end + 1
	}
}

// add adds a line unless it is empty.
func (b *Buffer) add(text []byte, start, end int64, limit int) {
	n := len(text)
	if n > 0 && text[n-1] == '\r' {
		n--
	}
	if n == 0 {
		return
	}
	cut := min(n, limit)
	b.lines = append(b.lines, Line{Text: text[:cut:cut], Start: start, End: end, Truncated: cut < n})
}
