package tail

import (
	"os"
	"strings"
	"testing"
)

// NULs that a loss of power, or a copytruncate, has left are no text: the lines
// around them are read as they are, and the NULs are counted.
func TestNULs(t *testing.T) {
	f := func(what, text string, count uint64, want ...string) {
		t.Helper()
		for _, size := range []int{4096, 64 << 10} {
			for _, gzip := range []bool{false, true} {
				b := newBench(t, "np.log")
				b.buffer = NewBuffer(size)
				b.append("np.log", "first\n")
				b.scan()
				b.fill(Ship, "first")
				b.commit()
				b.stop()
				if b.append("np.log", text); gzip {
					b.rename("np.log", "np.log.1")
					b.compress("np.log.1")
					b.append("np.log", "")
				}
				b.start()
				b.scan()
				var got []string
				for {
					b.do(b.tailer.Fill(b.buffer, Ship))
					if b.buffer.Len() == 0 {
						break
					}
					got = append(got, texts(b.buffer.Chunks)...)
					b.commit()
				}
				if strings.Join(got, "|") != strings.Join(want, "|") || b.tailer.NULs() != count {
					t.Errorf("%s, in %d bytes, gzip %v: got %.300q and %d NULs, want %q and %d", what, size, gzip, got, b.tailer.NULs(), want, count)
				}
			}
		}
	}
	nuls := func(n int) string { return strings.Repeat("\x00", n) }
	f("between lines", "a\n"+nuls(1000)+"b\n", 1000, "a", "b")
	f("many", "a\n"+nuls(3<<20)+"b\nc\n", 3<<20, "a", "b", "c")
	f("in a line", "a\nhal"+nuls(5000)+"b\n", 5000, "a", "hal", "b")
	f("two runs", nuls(20)+"a"+nuls(30)+"\n"+nuls(100_000)+"\n"+nuls(16)+"b\n", 20+30+100_000+16, "a", "b")
	f("few", "a"+nuls(nulRun-1)+"b\n"+nuls(3)+"\n", 0, "a"+nuls(nulRun-1)+"b", nuls(3))
	f("without a line end", nuls(100)+"\n", 100)
}

// At the end of a live file NULs wait, as half a line does: they may be room that
// the writer has reserved. Once it goes on behind them, or the file was rotated
// away, they are passed over.
func TestNULs_AtTheEnd(t *testing.T) {
	for _, rotated := range []bool{false, true} {
		b := newBench(t, "np.log")
		b.append("np.log", "a\nhal"+strings.Repeat("\x00", 100_000))
		b.scan()
		b.fill(Ship, "a")
		b.fill(Ship)
		b.commit()
		if n := b.tailer.NULs(); n != 0 {
			t.Errorf("%d NULs are passed over", n)
		}
		want := []string{"hal", "b"}
		if rotated {
			b.rename("np.log", "np.log.1")
			b.append("np.log", "b\n")
			b.scan()
			b.now = b.now.Add(quietTime)
		} else {
			b.append("np.log", "b\n")
		}
		b.scan()
		var got []string
		for range 4 {
			b.do(b.tailer.Fill(b.buffer, Ship))
			got = append(got, texts(b.buffer.Chunks)...)
			b.commit()
		}
		if strings.Join(got, "|") != strings.Join(want, "|") || b.tailer.NULs() != 100_000 {
			t.Errorf("rotated %v: got %.99q and %d NULs", rotated, got, b.tailer.NULs())
		}
		for _, f := range b.tailer.Files() {
			if f.Lag != 0 {
				t.Errorf("rotated %v: %+v", rotated, f)
			}
		}
	}
}

// A writer without O_APPEND goes on where it was after a copytruncate: in front of
// it is a hole, however large, which takes no time to pass over.
func TestNULs_Hole(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	b.do(os.Truncate(b.path("np.log"), 0))
	b.scan()
	b.do(os.Truncate(b.path("np.log"), 1<<40))
	b.scan()
	b.fill(Ship)
	b.append("np.log", "b\nc\n")
	b.scan()
	b.tailer.turnBytes = 1 << 20
	b.do(b.tailer.Fill(b.buffer, Ship))
	if got := strings.Join(texts(b.buffer.Chunks), "|"); got != "b|c" {
		t.Fatalf("got %.99q", got)
	}
	b.commit()
	if n := b.tailer.NULs(); n != 1<<40 {
		t.Errorf("%d NULs", n)
	}
}

// However many NULs there are, they are passed over in turns.
func TestNULs_Turns(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n"+strings.Repeat("\x00", 4<<20)+"b\n")
	b.tailer.turnBytes = 256 << 10
	b.scan()
	b.fill(Ship, "a")
	turns := 1
	for b.fill(Ship); b.tailer.Busy(); turns++ {
		b.scan()
		b.do(b.tailer.Fill(b.buffer, Ship))
	}
	if b.want([]string{"b"}); turns < 16 {
		t.Errorf("it took %d turns", turns)
	}
}
