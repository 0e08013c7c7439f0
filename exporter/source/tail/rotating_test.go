package tail

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// node writes a log, rotates it and compresses what was rotated, one call to the
// system at a time.
type node struct {
	*bench
	rt      *rapid.T
	pending []func()               // the rest of what it has begun
	lines   map[string]string      // unpacked text by file
	packed  bool                   // np.log.1 is compressed at once, else np.log.2 is
	temp    bool                   // a .gz has another name until it is whole
	create  bool                   // np.log is made anew right after it was renamed
	depth   int                    // files are removed behind it
	written int                    // lines
	done    func(line string) bool // was delivered
}

func numbered(i int) string {
	if i == 0 {
		return "np.log"
	}
	return fmt.Sprintf("np.log.%d", i)
}

// step does the next call.
func (n *node) step() {
	n.now = n.now.Add(time.Millisecond)
	if len(n.pending) > 0 {
		next := n.pending[0]
		n.pending = n.pending[1:]
		next()
		n.show()
		return
	}
	if rapid.IntRange(0, 2).Draw(n.rt, "what") > 0 {
		n.write("np.log")
		n.show()
		return
	}
	n.rotate()
}

// show what lies in the folder: names, inodes and sizes.
func (n *node) show() {
	listed, err := list(n.dir)
	n.do(err)
	var text strings.Builder
	for _, s := range listed {
		fmt.Fprintf(&text, " %s:%d(%d)", filepath.Base(s.path), s.id.inode, s.info.Size())
	}
	n.rt.Logf("%d lines:%s", n.written, text.String())
}

func (n *node) write(name string) {
	n.append(name, fmt.Sprintf("line %d\n", n.written))
	n.lines[name] += fmt.Sprintf("line %d\n", n.written)
	n.touch(name)
	n.written++
}

func (n *node) touch(name string) { n.do(os.Chtimes(n.path(name), n.now, n.now)) }

func (n *node) move(from, to string) {
	for _, ext := range []string{"", ".gz"} {
		if err := os.Rename(n.path(from+ext), n.path(to+ext)); err != nil && !os.IsNotExist(err) {
			n.Fatal(err)
		}
	}
}

// rotate plans a rotation, unless it would remove what is not delivered.
func (n *node) rotate() {
	if n.lines["np.log"] == "" {
		return
	}
	for line := range bytes.Lines([]byte(n.lines[numbered(n.depth)])) {
		if !n.done(string(bytes.TrimSpace(line))) {
			return
		}
	}
	for i := n.depth; i >= 1; i-- {
		for _, ext := range []string{"", ".gz"} {
			if _, err := os.Stat(n.path(numbered(i-1) + ext)); err == nil {
				n.pending = append(n.pending, func() {
					// What has the name is replaced, or of the other kind.
					if i == n.depth {
						for _, old := range []string{"", ".gz"} {
							if old != ext {
								_ = os.Remove(n.path(numbered(i) + old))
							}
						}
					}
					n.rename(numbered(i-1)+ext, numbered(i)+ext)
					n.lines[numbered(i)] = n.lines[numbered(i-1)]
					n.lines[numbered(i-1)] = ""
				})
			}
		}
	}
	late := rapid.IntRange(0, 2).Draw(n.rt, "lines by the old descriptor")
	if n.create {
		n.pending = append(n.pending, func() { n.append("np.log", ""); n.touch("np.log") })
	}
	for range late {
		n.pending = append(n.pending, func() { n.write("np.log.1") })
	}
	which := "np.log.2"
	if n.packed {
		which = "np.log.1"
	}
	n.pending = append(n.pending, func() { n.pack(which) })
}

// pack plans to compress a file as gzip does, or as what writes beside it does.
func (n *node) pack(name string) {
	text, err := os.ReadFile(n.path(name))
	if err != nil {
		return
	}
	info, err := os.Stat(n.path(name))
	n.do(err)
	packed := packedText(string(text))
	to := name + ".gz"
	if n.temp {
		to += ".tmp"
	}
	parts := rapid.IntRange(1, 3).Draw(n.rt, "parts")
	n.pending = append(n.pending, func() { n.append(to, "") })
	for i := range parts {
		part := string(packed[len(packed)*i/parts : len(packed)*(i+1)/parts])
		n.pending = append(n.pending, func() { n.append(to, part) })
	}
	n.pending = append(n.pending, func() { n.do(os.Chtimes(n.path(to), info.ModTime(), info.ModTime())) })
	if n.temp {
		n.pending = append(n.pending, func() { n.rename(to, name+".gz") })
	}
	n.pending = append(n.pending, func() { n.do(os.Remove(n.path(name))) })
}

// killed is what the process is stopped by, at a look at the file system.
type killed struct{}

// TestNothingIsLost_BetweenLooks writes, rotates and compresses between any two
// looks of the Tailer at the file system, one call at a time, and kills it there,
// too: each line arrives. (Which may arrive again, TestNothingIsLost says.)
func TestNothingIsLost_BetweenLooks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &bench{TB: t, dir: t.TempDir(), state: t.TempDir(), now: time.Unix(1_800_000_000, 0), buffer: NewBuffer(256)}
		files := rapid.SampledFrom([]string{"np.log", "np.log*"}).Draw(rt, "files")
		b.options = Options{Source: "np", Files: []string{b.path(files)}, MaxLineBytes: 64, Now: func() time.Time { return b.now }}
		d := newDelivery(rt, b)
		n := &node{
			bench: b, rt: rt, lines: map[string]string{}, depth: 5,
			packed: rapid.Bool().Draw(rt, "at once"), temp: rapid.Bool().Draw(rt, "temp"),
			create: rapid.Bool().Draw(rt, "create"),
			done:   func(line string) bool { return d.committed[line] },
		}
		running, calm := true, false

		between := func() {
			if calm {
				return
			}
			switch k := rapid.IntRange(0, 99).Draw(rt, "between"); {
			case k >= 98:
				panic(killed{})
			case k >= 90:
				for range rapid.IntRange(2, 20).Draw(rt, "steps") {
					n.step()
				}
			case k >= 75:
				n.step()
			}
		}
		start := func() {
			b.start()
			b.tailer.between = between
			running = true
		}
		kill := func() {
			running = false
			d.chunks = nil
			state, err := os.ReadFile(filepath.Join(b.state, positionsFile))
			b.do(err)
			calm = true
			_ = b.tailer.Close() // it may have been killed in that
			b.do(b.positions.Close())
			calm = false
			b.state = t.TempDir()
			b.do(os.WriteFile(filepath.Join(b.state, positionsFile), state, 0o600))
		}
		// mayKill runs a part of the agent, in which it may be killed.
		mayKill := func(f func()) {
			defer func() {
				switch r := recover().(type) {
				case nil:
				case killed:
					kill()
				default:
					panic(r)
				}
			}()
			f()
		}
		scan := func() {
			for _, fault := range b.tailer.Scan() {
				var gone *LostError // says what may be
				if !errors.As(fault, &gone) && !isGone(fault) && !passing(fault) {
					rt.Fatal(fault)
				}
			}
		}
		read := func() {
			b.do(b.tailer.Fill(b.buffer, Ship))
			for _, c := range b.buffer.Chunks {
				rt.Log("read", filepath.Base(c.File.path), c.File.id.inode, c.Start, c.End, texts([]Chunk{c}))
			}
			d.take()
		}
		b.start()
		n.write("np.log")
		scan()
		b.tailer.between = between
		rt.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) {},
			"steps": func(rt *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(rt, "n") {
					n.step()
				}
			},
			"scan": func(*rapid.T) {
				if !running {
					start()
				}
				mayKill(scan)
			},
			"read": func(*rapid.T) {
				if running {
					mayKill(read)
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
			"kill": func(*rapid.T) {
				if running {
					kill()
				}
			},
			"stop": func(*rapid.T) {
				if running {
					d.commit()
					mayKill(b.stop)
					running = false
				}
			},
		})

		for len(n.pending) > 0 {
			n.step()
		}
		n.write("np.log") // where a pattern matches rotated files, too, its path must be there
		calm = true
		if !running {
			start()
		}
		d.settle(3, scan, read)
		b.stop()
		for i := range n.written {
			line := fmt.Sprintf("line %d", i)
			if d.arrived[line] == 0 {
				rt.Errorf("%q is lost", line)
			}
		}
	})
}

// What is looked for while no agent ran is found though each look meets a folder
// that is rotated once more: of the files that were listed, the one is elsewhere
// when it is opened.
func TestRecover_WhileRotating(t *testing.T) {
	f := func(files string, first, last int) {
		t.Helper()
		b := newBench(t, files)
		n := &node{bench: b}
		b.append("np.log.1", "a\n")
		b.append("np.log", "b\n")
		if files == "np.log" {
			b.rename("np.log.1", "np.log") // "a" is the live one, and "b" comes later
		}
		b.scan()
		b.stop()
		if files == "np.log" {
			b.rename("np.log", "np.log.1")
			b.append("np.log", "b\n")
		}
		b.compress("np.log.1")
		b.start()
		looks := 0
		b.tailer.between = func() {
			if looks++; looks < first || looks > last {
				return
			}
			for i := 8; i > 1; i-- {
				n.move(numbered(i-1), numbered(i))
			}
			b.append("np.log.1", fmt.Sprintf("between %d\n", looks))
			b.compress("np.log.1")
		}
		b.scan()
		b.tailer.between = nil
		var got []string
		for range 4 {
			b.scan()
			b.do(b.tailer.Fill(b.buffer, Ship))
			got = append(got, texts(b.buffer.Chunks)...)
			b.commit()
		}
		for _, want := range []string{"a", "b"} {
			if !slices.Contains(got, want) {
				t.Errorf("%s, rotated at looks %d to %d: %q is lost; read are %q", files, first, last, want, got)
			}
		}
	}
	for first := 1; first <= 12; first++ {
		for _, times := range []int{1, 2, 3} {
			f("np.log", first, first+times-1)
			f("np.log*", first, first+times-1)
		}
	}
}
