package tail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"pgregory.net/rapid"
)

// TestNothingIsLost writes, rotates in several ways, compresses, reads, commits,
// reloads and crashes in random order: each line arrives, and exactly once
// unless there was a crash after it was read and before it was committed.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &bench{TB: t, dir: t.TempDir(), state: t.TempDir(), now: time.Unix(1_800_000_000, 0), buffer: NewBuffer(256)}
		files := rapid.SampledFrom([]string{"np.log", "np.log*"}).Draw(rt, "files")
		b.options = Options{Source: "np", Files: []string{b.path(files)}, MaxLineBytes: 64, Now: func() time.Time { return b.now }}
		b.start()
		defer func() { b.stop() }()

		const depth = 10
		written, fragment := 0, ""
		d := newDelivery(rt, b)
		excused := make(map[string]bool) // may arrive again
		running := true

		read := func() {
			if err := b.tailer.Fill(b.buffer, Ship); err != nil {
				rt.Fatal(err)
			}
			if last := len(b.buffer.Chunks) - 1; last >= 0 && len(b.buffer.Chunks[last].Lines) > 1 && rapid.IntRange(0, 3).Draw(rt, "give back") == 0 {
				c := &b.buffer.Chunks[last]
				if err := b.tailer.Return(c, rapid.IntRange(1, len(c.Lines)-1).Draw(rt, "lines to keep"), 1, 2); err != nil {
					rt.Fatal(err)
				}
			}
			d.take()
		}
		scan := func() {
			for _, fault := range b.tailer.Scan() {
				// There may be no np.log yet. np.log.10 may have been deleted after
				// all of it was read; where its inode has come back as another
				// file, what is next to it is read again rather than lost.
				var gone *LostError
				if errors.As(fault, &gone) {
					for line := range d.arrived {
						excused[line] = true
					}
				} else if !isGone(fault) {
					rt.Fatal(fault)
				}
			}
		}
		name := func(i int) string {
			if i == 0 {
				return "np.log"
			}
			return fmt.Sprintf("np.log.%d", i)
		}
		text := func(i int) []byte { // of a rotated file, compressed or not
			plain, err := os.ReadFile(b.path(name(i)))
			if err == nil {
				return plain
			}
			packed, err := os.Open(b.path(name(i) + ".gz"))
			if err != nil {
				return nil
			}
			z, err := gzip.NewReader(packed)
			if err == nil {
				plain, err = io.ReadAll(z)
			}
			if err := errors.Join(err, packed.Close()); err != nil {
				rt.Fatal(err)
			}
			return plain
		}
		shift := func() bool {
			for line := range bytes.Lines(text(depth)) {
				if !d.committed[string(bytes.TrimSpace(line))] {
					return false // deleting it would be a true loss
				}
			}
			for i := depth - 1; i >= 1; i-- {
				for _, ext := range []string{"", ".gz"} {
					if err := os.Remove(b.path(name(i+1) + ext)); err != nil && !os.IsNotExist(err) {
						rt.Fatal(err)
					}
					if err := os.Rename(b.path(name(i)+ext), b.path(name(i+1)+ext)); err != nil && !os.IsNotExist(err) {
						rt.Fatal(err)
					}
				}
			}
			return true
		}
		write := func(text string) {
			b.append("np.log", text)
			if err := os.Chtimes(b.path("np.log"), b.now, b.now); err != nil {
				rt.Fatal(err)
			}
		}
		actions := map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(rt, "lines") {
					text := fragment + fmt.Sprintf("line %d\n", written)
					cut := rapid.IntRange(len(fragment), len(text)).Draw(rt, "cut")
					write(text[:cut])
					fragment = text[cut:]
					written++
				}
			},
			"rotate": func(rt *rapid.T) {
				if !shift() {
					return
				}
				write(fragment)
				fragment = ""
				if err := os.Rename(b.path("np.log"), b.path("np.log.1")); err != nil {
					rt.Fatal(err)
				}
				// Where a pattern matches rotated files, what comes to a path that was
				// empty, and is rotated away and compressed before it is seen, is a
				// true loss.
				if files == "np.log*" || rapid.Bool().Draw(rt, "create") {
					write("")
				}
			},
			"copytruncate": func(rt *rapid.T) {
				if !shift() {
					return
				}
				write(fragment)
				fragment = ""
				if running {
					scan() // a file that comes and goes unseen is a true loss
				}
				b.do(os.WriteFile(b.path("np.log.1"), []byte(textOf(b, "np.log")), 0o600))
				b.do(os.Chtimes(b.path("np.log.1"), b.now, b.now))
				if running && rapid.Bool().Draw(rt, "scan") {
					scan()
				}
				b.do(os.Truncate(b.path("np.log"), 0))
				write("")
			},
			"compress": func(rt *rapid.T) {
				i := rapid.IntRange(1, depth).Draw(rt, "file")
				if _, err := os.Stat(b.path(name(i))); err != nil {
					return
				}
				if rapid.Bool().Draw(rt, "slowly") {
					b.pack(name(i)+".gz", textOf(b, name(i)))
					if running {
						scan()
						read()
					}
				}
				b.compress(name(i))
			},
			"scan": func(*rapid.T) {
				if running {
					scan()
				}
			},
			"read": func(*rapid.T) {
				if running {
					read()
				}
			},
			"commit": func(*rapid.T) {
				if running {
					d.commit()
				}
			},
			"wait": func(rt *rapid.T) {
				b.now = b.now.Add(time.Duration(rapid.IntRange(1, 6).Draw(rt, "seconds")) * time.Second)
			},
			"stop": func(*rapid.T) {
				if !running {
					return
				}
				running = false
				for _, line := range texts(d.chunks) {
					excused[line] = true
				}
				d.chunks = nil
				// kill -9: nothing of the process's memory survives.
				state, err := os.ReadFile(filepath.Join(b.state, "positions"))
				if err != nil {
					rt.Fatal(err)
				}
				b.stop()
				b.state = t.TempDir()
				if err := os.WriteFile(filepath.Join(b.state, "positions"), state, 0o600); err != nil {
					rt.Fatal(err)
				}
			},
			"start": func(*rapid.T) {
				if !running {
					running = true
					b.start()
					scan()
				}
			},
			"reload": func(*rapid.T) {
				if running {
					d.commit()
					if err := b.tailer.Close(); err != nil {
						rt.Fatal(err)
					}
					b.reload()
				}
			},
		}
		write("")
		scan()
		actions[""] = func(*rapid.T) { b.now = b.now.Add(time.Millisecond) }
		rt.Repeat(actions)

		write(fragment)
		actions["start"](rt)
		d.settle(2, scan, read)
		for i := range written {
			line := fmt.Sprintf("line %d", i)
			if n := d.arrived[line]; n == 0 || n > 1 && !excused[line] {
				rt.Errorf("%q arrived %d times", line, n)
			}
		}
		if len(d.arrived) != written {
			rt.Errorf("%d different lines arrived, %d were written", len(d.arrived), written)
		}
		// An empty file cannot be told, so the one before it is kept, too.
		if files == "np.log" && len(b.tailer.Files()) > 2 {
			rt.Errorf("still open: %+v", b.tailer.Files())
		}
	})
}

// delivery of the lines that a model reads.
type delivery struct {
	*bench
	rt        *rapid.T
	chunks    []Chunk        // on their way
	arrived   map[string]int // lines, and how often
	committed map[string]bool
}

func newDelivery(rt *rapid.T, b *bench) *delivery {
	return &delivery{bench: b, rt: rt, arrived: make(map[string]int), committed: make(map[string]bool)}
}

// take what the buffer holds.
func (d *delivery) take() {
	for _, c := range d.buffer.Chunks {
		c.Lines = slices.Clone(c.Lines)
		for i := range c.Lines {
			c.Lines[i].Text = bytes.Clone(c.Lines[i].Text)
			d.arrived[string(c.Lines[i].Text)]++
		}
		d.chunks = append(d.chunks, c)
	}
}

// commit what is on its way.
func (d *delivery) commit() {
	if err := d.positions.Commit(d.chunks); err != nil {
		d.rt.Fatal(err)
	}
	for _, line := range texts(d.chunks) {
		d.committed[line] = true
	}
	d.chunks = nil
}

// settle lets time pass until nothing more has come so many times.
func (d *delivery) settle(times int, scan, read func()) {
	for idle := 0; idle < times; {
		d.now = d.now.Add(quietTime)
		scan()
		read()
		if len(d.chunks) == 0 {
			idle++
		}
		d.commit()
	}
}

func textOf(b *bench, name string) string {
	b.Helper()
	text, err := os.ReadFile(b.path(name))
	b.do(err)
	return string(text)
}
