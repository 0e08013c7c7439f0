package tail

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is one source under test, with its folder, state and clock.
type bench struct {
	testing.TB
	dir, state string
	now        time.Time
	options    Options
	positions  *Positions
	tailer     *Tailer
	buffer     *Buffer
}

func newBench(tb testing.TB, files ...string) *bench {
	b := &bench{TB: tb, dir: tb.TempDir(), state: tb.TempDir(), now: time.Unix(1_800_000_000, 0), buffer: NewBuffer(64 << 10)}
	for i, file := range files {
		files[i] = b.path(file)
	}
	b.options = Options{Source: "np", Files: files, MaxLineBytes: 4096, Now: func() time.Time { return b.now }}
	b.start()
	tb.Cleanup(func() { b.stop() })
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) start() {
	b.Helper()
	var warnings []error
	var err error
	if b.positions, warnings, err = OpenPositions(b.state); err != nil || len(warnings) > 0 {
		b.Fatal(warnings, err)
	}
	b.reload()
}

func (b *bench) reload() {
	b.Helper()
	b.options.Positions = b.positions
	var err error
	if b.tailer, err = New(b.options); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) stop() {
	b.Helper()
	if err := errors.Join(b.tailer.Close(), b.positions.Close()); err != nil {
		b.Error(err)
	}
}

func (b *bench) append(name, text string) {
	b.Helper()
	f, err := os.OpenFile(b.path(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) do(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) rename(from, to string) {
	b.Helper()
	b.do(os.Rename(b.path(from), b.path(to)))
}

// pack writes a gzip file.
func (b *bench) pack(name, text string) {
	b.Helper()
	b.do(os.WriteFile(b.path(name), packedText(text), 0o600))
}

func packedText(text string) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write([]byte(text))
	if err := errors.Join(err, z.Close()); err != nil {
		return nil
	}
	return packed.Bytes()
}

// compress replaces a file by one that is packed, as gzip does.
func (b *bench) compress(name string) {
	b.Helper()
	text, err := os.ReadFile(b.path(name))
	b.do(err)
	info, err := os.Stat(b.path(name))
	b.do(err)
	b.pack(name+".gz", string(text))
	b.do(os.Chtimes(b.path(name+".gz"), info.ModTime(), info.ModTime()))
	b.do(os.Remove(b.path(name)))
}

// scan demands faults that contain the given words, in order.
func (b *bench) scan(want ...string) {
	b.Helper()
	faults := b.tailer.Scan()
	if len(faults) != len(want) {
		b.Fatalf("Scan returned %q, want %q", faults, want)
	}
	for i, fault := range faults {
		if !strings.Contains(fault.Error(), want[i]) {
			b.Fatalf("Scan returned %q, want %q", fault, want[i])
		}
	}
}

func texts(chunks []Chunk) []string {
	var got []string
	for _, c := range chunks {
		for _, l := range c.Lines {
			got = append(got, string(l.Text))
		}
	}
	return got
}

// fill demands that one Fill returns these lines.
func (b *bench) fill(c Cursor, want ...string) {
	b.Helper()
	b.do(b.tailer.Fill(b.buffer, c))
	b.want(want)
}

func (b *bench) want(want []string) {
	b.Helper()
	if diff := cmp.Diff(want, texts(b.buffer.Chunks)); diff != "" {
		b.Fatalf("lines (-want +got):\n%s", diff)
	}
	if b.buffer.Len() != len(want) {
		b.Fatalf("Len is %d, want %d", b.buffer.Len(), len(want))
	}
}

func (b *bench) commit() {
	b.Helper()
	b.do(b.positions.Commit(b.buffer.Chunks))
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 20)
	for _, tt := range []struct {
		name, text string
		want       []Line
	}{
		{"none", "", nil},
		{"one", "abc\n", []Line{{Text: []byte("abc"), Start: 0, End: 4}}},
		{"carriage return", "abc\r\nd\n", []Line{{Text: []byte("abc"), Start: 0, End: 5}, {Text: []byte("d"), Start: 5, End: 7}}},
		{"empty ones", "\n\r\na\n\n\nb\n\n", []Line{{Text: []byte("a"), Start: 3, End: 5}, {Text: []byte("b"), Start: 7, End: 9}}},
		{"incomplete", "abc\ndef", []Line{{Text: []byte("abc"), Start: 0, End: 4}}},
		{"NUL and invalid UTF-8", "a\x00b\xff\n", []Line{{Text: []byte("a\x00b\xff"), Start: 0, End: 5}}},
		{"as long as allowed", long[:16] + "\n", []Line{{Text: []byte(long[:16]), Start: 0, End: 17}}},
		{"as long as allowed, carriage return", long[:16] + "\r\n", []Line{{Text: []byte(long[:16]), Start: 0, End: 18}}},
		{"too long by one", long[:17] + "\na\n", []Line{{Text: []byte(long[:16]), Start: 0, End: 18, Truncated: true}, {Text: []byte("a"), Start: 18, End: 20}}},
		{"too long, carriage return", long[:17] + "\r\na\n", []Line{{Text: []byte(long[:16]), Start: 0, End: 19, Truncated: true}, {Text: []byte("a"), Start: 19, End: 21}}},
		{"longer than the buffer", "a\n" + strings.Repeat(long, 5) + "\nb\n", []Line{
			{Text: []byte("a"), Start: 0, End: 2}, {Text: []byte(long[:16]), Start: 2, End: 103, Truncated: true}, {Text: []byte("b"), Start: 103, End: 105},
		}},
		{"more empty lines than the buffer holds", strings.Repeat("\n", 100) + "a\n", []Line{{Text: []byte("a"), Start: 100, End: 102}}},
	} {
		for _, size := range []int{16, 17, 18, 19, 31, 64, 4096} {
			t.Run(fmt.Sprint(tt.name, " in ", size), func(t *testing.T) {
				b := newBench(t, "np.log")
				b.options.MaxLineBytes = 16
				b.reload()
				b.append("np.log", tt.text)
				b.scan()
				var got []Line
				var end int64
				for buffer := NewBuffer(size); ; {
					b.do(b.tailer.Fill(buffer, Ship))
					if buffer.Len() == 0 {
						break
					}
					for _, c := range buffer.Chunks {
						if c.Start != end || c.End <= c.Start || c.Lines[0].Start < c.Start || c.Lines[len(c.Lines)-1].End > c.End {
							t.Errorf("chunk from %d to %d does not follow %d or does not hold its lines", c.Start, c.End, end)
						}
						end = c.End
						for _, l := range c.Lines {
							l.Text = bytes.Clone(l.Text)
							got = append(got, l)
						}
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestBufferTooSmall(t *testing.T) {
	b := newBench(t, "np.log")
	if err := b.tailer.Fill(NewBuffer(4095), Ship); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("Fill returned %v, want an error that names 4096 bytes", err)
	}
}

func TestMalformedPattern(t *testing.T) {
	b := newBench(t)
	if _, err := New(Options{Files: []string{"/var/log/[.log"}, Positions: b.positions}); !errors.Is(err, filepath.ErrBadPattern) || !strings.Contains(err.Error(), "/var/log/[.log") {
		t.Errorf("New returned %v, want an error that names the pattern", err)
	}
}

func TestIncompleteLine(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\nb")
	b.scan()
	b.fill(Ship, "a")
	b.fill(Ship)
	b.now = b.now.Add(time.Hour)
	b.fill(Ship)
	b.append("np.log", "c")
	b.fill(Ship)
	b.append("np.log", "d\ne")
	b.fill(Ship, "bcd")
	b.do(b.tailer.Drain(b.buffer, Ship))
	b.want([]string{"e"})
	b.commit()
	if got := b.tailer.Files()[0]; got.Lag != 0 || got.Committed != 7 {
		t.Errorf("after Drain: %+v", got)
	}
	b.do(b.tailer.Drain(b.buffer, Ship))
	b.want(nil)
}

func TestOverlongLineArrivesInParts(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	part := strings.Repeat("x", 3000)
	for range 100 {
		b.append("np.log", part)
		b.fill(Ship)
	}
	b.append("np.log", "\nb\n")
	b.fill(Ship, strings.Repeat("x", 4096))
	if l := b.buffer.Chunks[0].Lines[0]; !l.Truncated || l.Start != 2 || l.End != 2+300_001 {
		t.Errorf("overlong line is at %d to %d, truncated %v", l.Start, l.End, l.Truncated)
	}
	b.fill(Ship, "b")
}

func TestHugeLine(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.append("np.log", strings.Repeat("x", 16<<20)+"\nb\n")
	b.scan()
	b.fill(Ship, "a")
	b.fill(Ship, strings.Repeat("x", 4096))
	b.fill(Ship, "b")
	if cap(b.buffer.block) > 65<<10 {
		t.Errorf("the buffer grew to %d bytes", cap(b.buffer.block))
	}
}

func TestDrainOverlongLine(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", strings.Repeat("x", 1<<20))
	b.scan()
	b.fill(Ship)
	b.do(b.tailer.Drain(b.buffer, Ship))
	b.want([]string{strings.Repeat("x", 4096)})
	if end := b.buffer.Chunks[0].End; end != 1<<20 {
		t.Errorf("chunk ends at %d", end)
	}
}

func TestFaults(t *testing.T) {
	b := newBench(t, "dir", "fifo", "none", "*.none", "loop", "np.log.gz", "np.log")
	b.do(os.Mkdir(b.path("dir"), 0o700))
	b.do(syscall.Mkfifo(b.path("fifo"), 0o600))
	b.do(os.Symlink(b.path("loop"), b.path("loop")))
	b.append("np.log", "a\n")
	want := []string{`dir": mode is d`, `fifo": mode is p`, `none": stat`, `*.none": no file matches`, `loop": stat`, `np.log.gz": it is compressed`}
	b.scan(want...)
	b.fill(Ship, "a")
	b.scan(want...)
}

func TestSymbolicLink(t *testing.T) {
	b := newBench(t, "link.log", "np.log")
	b.append("np.log", "a\n")
	b.do(os.Symlink("np.log", b.path("link.log")))
	b.scan()
	b.fill(Ship, "a") // once, although it is named twice
}

// A file that cannot be looked at for a while is not gone.
func TestHiddenFile(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	b.rename("np.log", "hidden")
	b.do(os.Symlink("np.log", b.path("np.log")))
	for range 3 {
		b.now = b.now.Add(quietTime)
		b.scan("too many")
	}
	b.rename("hidden", "np.log")
	b.append("np.log", "b\n")
	b.scan()
	b.fill(Ship, "b")
}

func TestRotation(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\nb\n")
	b.scan()
	b.fill(Ship, "a", "b")
	b.append("np.log", "c\n")
	b.rename("np.log", "np.log.1")
	b.append("np.log", "f\n")
	b.scan()
	b.append("np.log.1", "d\ne") // its writer has yet to notice
	b.fill(Ship, "c", "d", "f")
	b.commit()
	b.now = b.now.Add(quietTime - 1)
	b.fill(Ship)
	b.scan()
	b.now = b.now.Add(1)
	b.fill(Ship, "e")
	b.scan()
	if got := len(b.tailer.Files()); got != 2 {
		t.Errorf("%d files are open before the commit, want 2", got)
	}
	b.commit()
	b.scan()
	want := []FileStatus{{Path: b.path("np.log"), Size: 2, Committed: 2}}
	if diff := cmp.Diff(want, b.tailer.Files()); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := b.positions.of("np"); len(got) != 1 {
		t.Errorf("positions left: %+v", got)
	}
}

// A rotated file is closed although empty lines came after its last chunk.
func TestRotationAfterEmptyLine(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	chunks := slices.Clone(b.buffer.Chunks)
	b.append("np.log", "\n")
	b.fill(Ship)
	b.do(b.positions.Commit(chunks))
	b.do(os.Remove(b.path("np.log")))
	b.scan("no such file")
	b.now = b.now.Add(quietTime)
	b.scan("no such file")
	if got := b.tailer.Files(); len(got) != 0 {
		t.Errorf("still open: %+v", got)
	}
}

func TestDeletedFileIsReadToItsEnd(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\nb\n")
	b.scan()
	b.do(os.Remove(b.path("np.log")))
	b.scan("no such file")
	b.fill(Ship, "a", "b")
}

func TestSeveralRotationsBetweenScans(t *testing.T) {
	names := func(n int) []string { // the oldest last
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("np.log.%d", i+1))
		}
		return names
	}
	for _, tt := range []struct {
		name  string
		names []string
	}{
		{"logrotate", names(12)},
		{"logrotate dateext", []string{"np.log-20261122", "np.log-20261121", "np.log-20261120"}},
		{"kubelet", []string{"np.log.20261121-100002", "np.log.20261121-100001", "np.log.20261121-100000"}},
		{"lumberjack", []string{"np-2026-11-21T10-00-02.000.log", "np-2026-11-21T10-00-01.500.log", "np-2026-11-21T10-00-01.000.log"}},
	} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, down %v", tt.name, down), func(t *testing.T) {
				b := newBench(t, "np.log")
				n := len(tt.names)
				b.append("np.log", "old\n")
				b.append(tt.names[n-1], "older than the first sight\n")
				b.scan()
				b.fill(Ship, "old")
				b.commit()
				if down {
					b.stop()
				}
				b.rename("np.log", tt.names[n-2])
				b.append(tt.names[n-2], "rest\n")
				want := []string{"rest"}
				for i := n - 3; i >= 0; i-- {
					b.append(tt.names[i], fmt.Sprintln("line", i))
					want = append(want, fmt.Sprint("line ", i))
				}
				b.pack(tt.names[0]+".gz", "line 0\n") // while it is being compressed
				b.append("other.log.1", "other\n")
				b.append("np.log", "new\n")
				if down {
					b.start()
				}
				b.scan()
				b.fill(Ship, append(want, "new")...)
				b.commit()
				b.scan()
				b.fill(Ship)
			})
		}
	}
}

// With a glob that matches them, rotated files keep their positions for as long
// as they are there.
func TestGlobMatchesRotatedFiles(t *testing.T) {
	b := newBench(t, "np.log*")
	b.append("np.log.2", "a\n")
	b.append("np.log.1", "b\n")
	b.append("np.log", "c\n")
	b.pack("np.log.2.gz", "0\n")
	b.scan()
	b.fill(Ship, "a", "b", "c")
	b.commit()
	rotate := func(line string) {
		b.append("np.log", line+"\n")
		b.rename("np.log.1", "np.log.2")
		b.rename("np.log", "np.log.1")
		b.append("np.log", line+line+"\n")
	}
	rotate("d")
	b.scan()
	b.fill(Ship, "d", "dd")
	b.commit()
	for range 3 {
		b.now = b.now.Add(quietTime)
		b.scan()
		b.fill(Ship)
	}
	b.stop()
	rotate("e")
	b.start()
	b.scan("lose what") // np.log.2 was overwritten
	b.fill(Ship, "e", "ee")
}

func TestRestart(t *testing.T) {
	const text = "a\nb\n"
	for _, tt := range []struct {
		name   string
		change func(b *bench)
		faults []string
		want   []string
	}{
		{"nothing changed", func(b *bench) {}, nil, nil},
		{"grown", func(b *bench) { b.append("np.log", "c\n") }, nil, []string{"c"}},
		{"truncated", func(b *bench) { b.do(os.Truncate(b.path("np.log"), 2)) }, []string{"lose what"}, []string{"a"}},
		{"other content in the same inode", func(b *bench) {
			b.do(os.WriteFile(b.path("np.log"), []byte("x\ny\nz\n"), 0o600))
		}, []string{"lose what"}, []string{"x", "y", "z"}},
		{"removed", func(b *bench) { b.do(os.Remove(b.path("np.log"))) }, []string{"no such file", "lose what"}, nil},
		{"rotated, no new file", func(b *bench) {
			b.append("np.log", "c\n")
			b.rename("np.log", "np.log.1")
		}, []string{"no such file"}, []string{"c"}},
		{"renamed to any name", func(b *bench) {
			b.append("np.log", "c\n")
			b.rename("np.log", "saved")
			b.append("np.log", "d\n")
		}, nil, []string{"c", "d"}},
		{"removed after rotation, as were others", func(b *bench) {
			b.do(os.Remove(b.path("np.log")))
			b.append("np.log.2", "c\n")
			b.append("np.log.1", "d\n")
			b.append("np.log", "e\n")
		}, []string{"lose what"}, []string{"c", "d", "e"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, "np.log")
			b.append("np.log", text)
			b.scan()
			b.fill(Ship, "a", "b")
			b.commit()
			b.stop()
			tt.change(b)
			b.start()
			b.scan(tt.faults...)
			b.fill(Ship, tt.want...)
			b.commit()
			for _, fault := range b.tailer.Scan() {
				var lost *LostError
				if errors.As(fault, &lost) {
					t.Errorf("told twice: %v", lost)
				}
			}
		})
	}
}

// Two files may have the same first KiB, and another inode tells them apart.
func TestSameBeginning(t *testing.T) {
	b := newBench(t, "np.log")
	head := strings.Repeat("x", 2000)
	b.append("np.log", head+"\na\n")
	b.scan()
	b.fill(Ship, head, "a")
	b.commit()
	b.stop()
	b.rename("np.log", "np.log.1")
	b.append("np.log", head+"\nb\nc\n")
	b.start()
	b.scan()
	b.fill(Ship, head, "b", "c")
}

func TestTruncation(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"to nothing", "", nil},
		{"grown to less", "x\n", []string{"x"}},
		{"grown to as much", "xx\nyy\n", []string{"xx", "yy"}},
		{"grown to more", "xx\nyy\nzz\n", []string{"xx", "yy", "zz"}},
	} {
		for _, byScan := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, by scan %v", tt.name, byScan), func(t *testing.T) {
				b := newBench(t, "np.log")
				b.append("np.log", "aa\nbb\n")
				b.scan()
				b.fill(Ship, "aa", "bb")
				old := b.buffer
				f := old.Chunks[0].File
				old.Chunks[0].SetCounted()
				b.now = b.now.Add(time.Second)
				b.do(os.WriteFile(b.path("np.log"), []byte(tt.text), 0o600))
				// Kernels stamp files a few milliseconds coarse.
				b.do(os.Chtimes(b.path("np.log"), b.now, b.now))
				if byScan {
					b.scan()
				}
				b.buffer = NewBuffer(4096)
				b.fill(Ship, tt.want...)
				if got := b.tailer.Truncations(); got != 1 {
					t.Errorf("Truncations is %d", got)
				}
				if f.Counted() != 0 || f.Time() != b.now.UnixNano() {
					t.Errorf("counted up to %d, time %d", f.Counted(), f.Time())
				}
				b.do(b.positions.Commit(old.Chunks))
				if got := b.tailer.Files()[0].Committed; got != 0 {
					t.Errorf("a chunk from before the truncation was committed: %d", got)
				}
				b.commit()
				if got := b.tailer.Files()[0].Committed; got != int64(len(tt.text)) {
					t.Errorf("committed %d, want %d", got, len(tt.text))
				}
			})
		}
	}
}

func TestCount(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\nb\n")
	b.scan()
	b.fill(Ship, "a", "b")
	f := b.buffer.Chunks[0].File
	b.fill(Count) // what has been shipped is counted by the shipping
	b.append("np.log", "c\nd\n")
	b.fill(Count, "c", "d")
	if err := b.positions.Commit(b.buffer.Chunks); err != nil || b.tailer.Files()[0].Committed != 0 {
		t.Errorf("Commit of counted lines: %v, %+v", err, b.tailer.Files())
	}
	if f.Counted() != 0 {
		t.Errorf("Fill counted up to %d", f.Counted())
	}
	b.buffer.Chunks[0].SetCounted()
	b.buffer.Chunks[0].SetCounted() // changes nothing
	if f.Counted() != 8 {
		t.Errorf("counted up to %d, want 8", f.Counted())
	}
	b.fill(Count)
	b.append("np.log", "e\n")

	// A reload of the configuration keeps the counts, but not what was read.
	b.do(b.tailer.Close())
	b.reload()
	b.scan()
	b.fill(Count, "e")
	b.fill(Ship, "a", "b", "c", "d", "e")
	if got := b.buffer.Chunks[0].File.Counted(); got != 8 {
		t.Errorf("counted up to %d after the reload, want 8", got)
	}
	b.fill(Count)
}

func TestTime(t *testing.T) {
	b := newBench(t, "np.log")
	first := b.now.UnixNano()
	b.append("np.log", "a\n")
	b.scan()
	b.stop() // before anything was read
	b.now = b.now.Add(time.Hour)
	b.start()
	b.scan()
	b.fill(Ship, "a")
	c := &b.buffer.Chunks[0]
	if c.Time != first {
		t.Errorf("time of the first chunk is %d, want that of the first sight, %d", c.Time, first)
	}
	c.Time = 42
	b.commit()
	c.File.SetTime(43)
	b.append("np.log", "b\n")
	b.fill(Ship, "b")
	if got := b.buffer.Chunks[0].Time; got != 43 {
		t.Errorf("time of the second chunk is %d, want 43", got)
	}
	b.stop()
	b.start()
	b.scan()
	b.fill(Ship, "b")
	if got := b.buffer.Chunks[0].Time; got != 42 {
		t.Errorf("time after a restart is %d, want 42", got)
	}
}

func TestOneUnreadableFileStopsNoOther(t *testing.T) {
	b := newBench(t, "a.log", "b.log")
	b.append("a.log", "a\n")
	b.append("b.log", "b\n")
	b.scan()
	b.do(b.tailer.byID[b.identity("a.log")].content.file.Close())
	if err := b.tailer.Fill(b.buffer, Ship); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Fill returned %v", err)
	}
	b.want([]string{"b"})
	b.tailer.files = b.tailer.files[1:]
}

func (b *bench) identity(name string) identity {
	b.Helper()
	s, err := sight(b.path(name))
	b.do(err)
	return s.id
}

func TestIdleTailIsNotReadAgain(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\nb")
	b.scan()
	b.fill(Ship, "a")
	f := b.tailer.files[0]
	b.do(f.content.file.Close())
	if f.content.file, _ = os.OpenFile(b.path("np.log"), os.O_WRONLY, 0); f.content.file == nil {
		t.Fatal("cannot open the file for writing only")
	}
	b.fill(Ship) // would fail if it read
}
