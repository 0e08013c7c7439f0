package tail

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// Only a packed file that begins as the one that is looked for is read to its end.
func TestPacked_BeginsOtherwise(t *testing.T) {
	b := newBench(t, "np.log")
	text := strings.Repeat("a line of the log\n", 10_000)
	b.pack("np.log.1.gz", text)
	f := func(beginning string, same bool) {
		t.Helper()
		c, err := open(b.path("np.log.1.gz"))
		b.do(err)
		got, err := c.has(evidence{head: fingerprintOf([]byte(beginning))}, make([]byte, fingerprintBytes))
		if err != nil || got != same {
			t.Errorf("it has %.20q: %v, %v", beginning, got, err)
		}
		if whole := c.packed.rest == nil; whole != same || same && c.size != int64(len(text)) {
			t.Errorf("for %.20q it was read as a whole: %v; its size is %d", beginning, whole, c.size)
		}
		b.do(c.close())
	}
	f(text[:fingerprintBytes], true)
	f(text[:100], true)
	f("another log\n", false)
}

// A file that was rotated and compressed before its end was read is read out of
// its .gz, whoever made it, and once.
func TestPacked(t *testing.T) {
	for _, tt := range []struct{ name, oldest, older, newer string }{
		{"logrotate", "np.log.3", "np.log.2", "np.log.1"},
		{"logrotate dateext", "np.log-20240531", "np.log-20240601", "np.log-20240602"},
		{"kubelet", "np.log.20240602-091112", "np.log.20240602-101112", "np.log.20240602-111112"},
		{"lumberjack", "np-2024-06-02T09-11-12.000.log", "np-2024-06-02T10-11-12.000.log", "np-2024-06-02T11-11-12.000.log"},
	} {
		for _, files := range []string{"np.log", "np*.log*"} {
			for _, down := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, down %v", tt.name, files, down), func(t *testing.T) {
					b := newBench(t, files)
					b.pack(tt.oldest+".gz", "shipped long ago\n")
					b.append("np.log", "a\nb\n")
					b.scan()
					b.fill(Ship, "a", "b")
					b.commit()
					b.append("np.log", "c\n")
					if down {
						b.stop()
					} else {
						b.scan()
					}
					b.rename("np.log", tt.older)
					b.compress(tt.older)
					b.append(tt.newer, "d\ne") // came and went unseen
					b.compress(tt.newer)
					b.append("np.log", "f\n")
					if down {
						b.start()
					}
					b.scan()
					b.fill(Ship, "c", "d", "e", "f")
					b.commit()
					for range 3 {
						b.now = b.now.Add(quietTime)
						b.scan()
						b.fill(Ship)
					}
					if got := b.positions.of("np"); len(got) != 1 || len(b.tailer.Files()) != 1 {
						t.Errorf("finished files are not forgotten: %+v, %+v", got, b.tailer.Files())
					}
					b.stop()
					b.start()
					b.scan()
					b.fill(Ship)
				})
			}
		}
	}
}

// The offset in a .gz survives a restart in the middle of it, and its renaming.
func TestPacked_Restart(t *testing.T) {
	b := newBench(t, "np.log")
	b.buffer = NewBuffer(4096)
	line := func(i int) string { return fmt.Sprintf("line %04d %s", i, strings.Repeat("x", i%90)) }
	const n = 3000
	for i := range n {
		b.append("np.log", line(i)+"\n")
	}
	b.scan()
	b.do(b.tailer.Fill(b.buffer, Ship))
	next := b.buffer.Len()
	b.commit()
	b.stop()
	b.rename("np.log", "np.log.1")
	b.compress("np.log.1")
	b.append("np.log", "live\n")
	for i := 1; next < n; i++ {
		b.start()
		b.scan()
		for range i {
			b.do(b.tailer.Fill(b.buffer, Ship))
			for _, got := range texts(b.buffer.Chunks) {
				if next < n && got != line(next) {
					t.Fatalf("got %q, want %q", got, line(next))
				}
				next++
			}
			b.commit()
		}
		b.stop()
		b.rename(fmt.Sprintf("np.log.%d.gz", i), fmt.Sprintf("np.log.%d.gz", i+1))
	}
	b.start()
	if next == n {
		b.scan()
		b.fill(Ship, "live")
	}
}

// While Loki is away, what is in a .gz is counted, too.
func TestPacked_Count(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\nb\n")
	b.scan()
	b.fill(Ship, "a", "b")
	b.commit()
	b.stop()
	b.append("np.log", "c\nd\n")
	b.rename("np.log", "np.log.1")
	b.compress("np.log.1")
	b.start()
	b.scan("no such file")
	b.fill(Count, "c", "d")
	b.buffer.Chunks[0].SetCounted()
	b.fill(Count)
	b.fill(Ship, "c", "d")
	if got := b.buffer.Chunks[0]; got.Start != 4 || got.End != 8 || got.File.Counted() != 8 {
		t.Errorf("chunk from %d to %d, counted up to %d", got.Start, got.End, got.File.Counted())
	}
}

// A .gz that has no end yet is waited for, and the files behind it with it; one
// that never gets an end is read as far as it goes, and said to be damaged.
func TestPacked_Partial(t *testing.T) {
	for _, finished := range []bool{true, false} {
		b := newBench(t, "np.log")
		b.append("np.log", "a\n")
		b.scan()
		b.fill(Ship, "a")
		b.commit()
		b.stop()
		var text strings.Builder
		text.WriteString("a\n")
		var want []string
		for i := range 2000 {
			want = append(want, fmt.Sprintf("line %d", i*i))
			fmt.Fprintln(&text, want[i])
		}
		packed := packedText(text.String())
		b.do(os.WriteFile(b.path("np.log.1.gz"), packed[:len(packed)/2], 0o600))
		b.do(os.Remove(b.path("np.log")))
		b.start()
		b.scan("no such file", "np.log.1.gz\": it has no end")
		b.fill(Ship)
		b.now = b.now.Add(packTime - 1)
		b.scan("no such file", "np.log.1.gz\": it has no end")
		if finished {
			b.do(os.WriteFile(b.path("np.log.1.gz"), packed, 0o600))
			b.scan("no such file")
			b.fill(Ship, want...)
			continue
		}
		b.now = b.now.Add(1)
		b.scan("no such file", "np.log.1.gz\" is damaged: it has no end")
		b.do(b.tailer.Fill(b.buffer, Ship))
		if got := texts(b.buffer.Chunks); len(got) < 500 || got[499] != want[499] {
			t.Errorf("of the first half %d lines are read", len(got))
		}
		b.commit()
		b.scan("no such file")
	}
}

// What lies before the damage is read, and the error says where it is.
func TestPacked_Damaged(t *testing.T) {
	f := func(what string, damage func([]byte) []byte, words string, least int) {
		t.Helper()
		b := newBench(t, "np.log")
		b.append("np.log", "a\n")
		b.scan()
		b.fill(Ship, "a")
		b.commit()
		b.stop()
		var text strings.Builder
		text.WriteString("a\n")
		for i := range 20_000 {
			fmt.Fprintln(&text, "line", i*i)
		}
		b.do(os.WriteFile(b.path("np.log.1.gz"), damage(packedText(text.String())), 0o600))
		b.do(os.Remove(b.path("np.log")))
		b.append("np.log", "live\n")
		b.start()
		faults := b.tailer.Scan()
		var lost *LostError
		switch {
		case words == "" && len(faults) == 0:
		case words == "", len(faults) == 0, !errors.As(faults[0], &lost), !strings.Contains(lost.Error(), words), !strings.Contains(lost.Error(), "np.log.1.gz"):
			t.Errorf("%s: Scan returned %q", what, faults)
		}
		got := 0
		for {
			b.do(b.tailer.Fill(b.buffer, Ship))
			if b.buffer.Len() == 0 {
				break
			}
			got += b.buffer.Len()
			b.commit()
		}
		if got < least {
			t.Errorf("%s: %d lines are read, not %d", what, got, least)
		}
		b.scan() // told once
	}
	f("no gzip", func(p []byte) []byte { return []byte("what is this, which is long enough") }, "invalid header", 1)
	f("in the middle", func(p []byte) []byte { clear(p[len(p)/2 : len(p)/2+200]); return p }, "is damaged: decompress it behind byte", 5000)
	f("checksum", func(p []byte) []byte { p[len(p)-7] ^= 1; return p }, "invalid checksum", 20_001)
	f("garbage behind", func(p []byte) []byte { return append(p, "garbage, and more of it"...) }, "invalid header", 20_001)
	f("two members", func(p []byte) []byte { return append(p, packedText("more\n")...) }, "", 20_002)
}

// However large a .gz is, it takes little memory.
func TestPacked_Memory(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	b.stop()
	b.do(os.Remove(b.path("np.log")))
	file, err := os.Create(filepath.Join(b.dir, "np.log.1.gz"))
	b.do(err)
	z := gzip.NewWriter(file)
	_, err = z.Write([]byte("a\n"))
	b.do(err)
	const lines = 1_000_000
	block := bytes.Repeat([]byte(fmt.Sprintf("%-99s\n", "line")), lines/100)
	for range 100 {
		_, err := z.Write(block)
		b.do(err)
	}
	_, err = z.Write(append(bytes.Repeat([]byte("x"), 5<<20), "\nend"...)) // and a huge line
	b.do(errors.Join(err, z.Close(), file.Close()))
	b.start()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.scan("no such file")
	b.scan("no such file") // it takes two turns
	if b.tailer.Busy() {
		t.Error("100 MB take more than two turns")
	}
	got, last := 0, ""
	for {
		b.do(b.tailer.Fill(b.buffer, Ship))
		if b.buffer.Len() == 0 {
			break
		}
		got += b.buffer.Len()
		all := b.buffer.Chunks[0].Lines
		last = string(all[len(all)-1].Text)
		b.commit()
	}
	runtime.ReadMemStats(&after)
	if got != lines+2 || last != "end" {
		t.Errorf("%d lines are read, the last is %q", got, last)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 40<<20 {
		t.Errorf("reading 100 MB took %d bytes of memory in all", took)
	}
}
