package tail

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

// However large a file is that was compressed before it was read, the files
// beside it are read at once: each turn decompresses a bounded part of it. Then
// it is read on from where it was, each line once and in order, and what came to
// its path behind it.
func TestInspect_Turns(t *testing.T) {
	const turnBytes = 8 << 10
	for name, tt := range map[string]struct{ down, twice, count bool }{
		"while no agent runs":          {down: true},
		"two of them":                  {down: true, twice: true},
		"while it runs":                {},
		"two of them while it runs":    {twice: true},
		"counted before it is shipped": {down: true, count: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "*.log")
			b.buffer = NewBuffer(4096)
			b.options.MaxLineBytes = 256
			b.stop()
			b.start()
			var text strings.Builder
			var want []string
			for i := range 5000 { // half a megabyte
				want = append(want, fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%150)))
				fmt.Fprintln(&text, want[i])
			}
			b.append("np.log", text.String()[:200<<10])
			b.append("beside.log", "first\n")
			b.scan()
			var got, beside []string
			read := func(cursor Cursor) {
				b.do(b.tailer.Fill(b.buffer, cursor))
				for i := range b.buffer.Chunks {
					c := &b.buffer.Chunks[i]
					for _, l := range c.Lines {
						if strings.HasSuffix(c.File.Path(), "beside.log") {
							beside = append(beside, string(l.Text))
						} else {
							got = append(got, string(l.Text))
						}
					}
				}
			}
			for len(got) < 1000 { // not to the end
				read(Ship)
				b.commit()
			}
			b.append("np.log", text.String()[200<<10:])
			if tt.down {
				b.stop()
			}
			b.rename("np.log", "np.log.2")
			b.compress("np.log.2")
			if tt.twice {
				for i := range 5000 {
					want = append(want, fmt.Sprintf("second %d", i*i))
					b.append("np.log.1", want[len(want)-1]+"\n")
				}
				b.compress("np.log.1")
			}
			b.append("np.log", "live\n")
			want = append(want, "live")
			if tt.down {
				b.start()
			}
			b.tailer.turnBytes = turnBytes
			cursor := Ship
			if tt.count {
				cursor = Count
			}
			busy, empty := 0, 0
			for turn := 0; empty < 5; turn++ {
				line := fmt.Sprintf("turn %d", turn)
				b.append("beside.log", line+"\n")
				b.scan()
				if b.tailer.turn.left < 0 {
					t.Fatalf("Scan decompressed %d bytes too many", -b.tailer.turn.left)
				}
				if b.tailer.Busy() {
					busy++
				}
				before := len(got)
				for range 2 { // a small buffer is filled by one of the two
					read(cursor)
					if b.tailer.turn.left < 0 {
						t.Fatalf("Fill decompressed %d bytes too many", -b.tailer.turn.left)
					}
					if tt.count {
						for i := range b.buffer.Chunks {
							b.buffer.Chunks[i].SetCounted()
						}
					} else {
						b.commit()
					}
				}
				if !slices.Contains(beside, line) {
					t.Fatalf("%q waits for what is decompressed", line)
				}
				if len(got) == before && !b.tailer.Busy() {
					empty++
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d lines were read, want %d", len(got), len(want))
			}
			if tt.down && busy < len(text.String())/turnBytes {
				t.Errorf("it took %d turns only", busy)
			}
			if n := len(b.tailer.inspected); n > 2 {
				t.Errorf("%d files are remembered", n)
			}
		})
	}
}

// More files than are looked into at once come to their end, too, and the
// descriptors with them.
func TestInspect_Many(t *testing.T) {
	b := newBench(t, "*.log")
	b.buffer = NewBuffer(64 << 10)
	const files, lines = 3 * inspections, 400
	for i := range files {
		b.append(fmt.Sprintf("f%d.log", i), fmt.Sprintf("begin %d\n", i))
	}
	arrived := map[string]int{}
	read := func() (n int) {
		b.do(b.tailer.Fill(b.buffer, Ship))
		for _, line := range texts(b.buffer.Chunks) {
			arrived[line]++
		}
		b.commit()
		return b.buffer.Len()
	}
	b.scan()
	read()
	b.stop()
	for i := range files {
		name := fmt.Sprintf("f%d.log", i)
		r := rand.New(rand.NewPCG(1, uint64(i)))
		for j := range lines {
			b.append(name, fmt.Sprintf("file %d line %d %x\n", i, j, r.Uint64()))
		}
		b.rename(name, name+".1")
		b.compress(name + ".1")
		b.append(name, fmt.Sprintf("live %d\n", i))
	}
	b.start()
	b.tailer.turnBytes = 8 << 10
	for turns, idle := 0, 0; idle < 3; turns++ {
		b.scan()
		if open := b.positions.descriptors.open.Load(); open > 2*files+inspections {
			t.Fatalf("%d files are open", open)
		}
		if read() == 0 && !b.tailer.Busy() {
			idle++
		}
		if turns > 10_000 {
			t.Fatal("it comes to no end")
		}
	}
	if len(arrived) != files*(lines+2) {
		t.Errorf("%d lines arrived, want %d", len(arrived), files*(lines+2))
	}
	for line, n := range arrived {
		if n != 1 {
			t.Errorf("%q arrived %d times", line, n)
		}
	}
	for range 3 {
		b.now = b.now.Add(quietTime)
		b.scan()
		read()
	}
	if open := b.positions.descriptors.open.Load(); open > files {
		t.Errorf("%d files stay open", open)
	}
}

// A packed file that is still written to while it is looked into is looked into
// again, and one that goes away is let go.
func TestInspect_Changing(t *testing.T) {
	b := newBench(t, "np.log")
	b.buffer = NewBuffer(64 << 10)
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	b.stop()
	var text strings.Builder
	want := []string{}
	text.WriteString("a\n")
	for i := range 3000 {
		want = append(want, fmt.Sprintf("line %d", i*i))
		fmt.Fprintln(&text, want[i])
	}
	packed := packedText(text.String())
	b.do(os.Remove(b.path("np.log")))
	b.start()
	b.tailer.turnBytes = 4 << 10
	for part := 1; part <= 10; part++ {
		b.do(os.WriteFile(b.path("np.log.1.gz"), packed[:len(packed)*part/10], 0o600))
		b.tailer.Scan()
		b.fill(Ship)
	}
	var got []string
	for turns := 0; len(got) < len(want); turns++ {
		b.scan("no such file")
		b.do(b.tailer.Fill(b.buffer, Ship))
		got = append(got, texts(b.buffer.Chunks)...)
		b.commit()
		if turns > 1000 {
			t.Fatal("it comes to no end")
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d lines were read, want %d", len(got), len(want))
	}
	b.do(os.Remove(b.path("np.log.1.gz")))
	b.scan("no such file")
	if n := len(b.tailer.inspected); n > 0 {
		t.Errorf("%d files are remembered", n)
	}
}
