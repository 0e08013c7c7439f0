package tail

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// copytruncate does what logrotate does: older copies move up.
func (b *bench) copytruncate(to string) {
	b.Helper()
	text, err := os.ReadFile(b.path("np.log"))
	b.do(err)
	b.do(os.WriteFile(b.path(to), text, 0o600))
	b.do(os.Truncate(b.path("np.log"), 0))
}

// What was written between the last read and the copy is read out of the copy.
func TestCopyTruncate(t *testing.T) {
	for _, files := range []string{"np.log", "np.log*"} {
		for _, packed := range []bool{false, true} {
			for _, down := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, packed %v, down %v", files, packed, down), func(t *testing.T) {
					b := newBench(t, files)
					head := strings.Repeat("x", 2000) // all files begin alike
					b.append("np.log", head+"\na\nb\n")
					b.scan()
					b.fill(Ship, head, "a", "b")
					b.commit()
					for i, want := range [][]string{{"c", head, "e"}, {head, "f"}} {
						b.append("np.log", want[0]+"\n")
						if down {
							b.stop()
						}
						if i == 0 { // twice, unseen
							b.copytruncate("np.log.2")
							b.append("np.log", head+"\ne\n")
							if packed {
								b.compress("np.log.2")
							}
						} else {
							b.rename("np.log.1", "np.log.3")
							b.append("np.log", "f\n")
							if !down {
								b.scan() // what comes and goes unseen cannot be known
							}
						}
						b.copytruncate("np.log.1")
						if down {
							b.start()
						}
						b.scan()
						b.fill(Ship, want...)
						b.commit()
						b.append("np.log", "g\n")
						b.scan()
						b.fill(Ship, "g")
						b.commit()
						if i == 0 {
							b.do(os.Truncate(b.path("np.log"), 0)) // without a copy, and nothing to lose
							b.scan()
						}
					}
					for range 3 {
						b.now = b.now.Add(quietTime)
						b.scan()
						b.fill(Ship)
					}
					if got := len(b.tailer.Files()); files == "np.log" && got != 1 {
						t.Errorf("%d files are followed", got)
					}
				})
			}
		}
	}
}

// A copy is no file of its own, whether it is seen before, during or after the
// truncation.
func TestCopyTruncate_Seen(t *testing.T) {
	b := newBench(t, "np.log*")
	b.append("np.log", "a\nb\nc\n")
	b.scan()
	b.fill(Ship, "a", "b", "c")
	b.commit()
	b.append("np.log.1", "")
	b.scan()
	b.append("np.log.1", "a\nb\n")
	b.scan()
	b.fill(Ship)
	b.append("np.log", "d\n")
	b.append("np.log.1", "c\nd\n")
	b.scan()
	b.fill(Ship, "d")
	b.commit()
	b.do(os.Truncate(b.path("np.log"), 0))
	b.append("np.log", "e\n")
	b.scan()
	b.fill(Ship, "e")
	b.commit()
	if got := len(b.tailer.Files()); got != 2 {
		t.Errorf("%d files are followed", got)
	}
}

// While Loki is away, a copy is where the lines are that were counted ahead.
func TestCopyTruncate_CountedAhead(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.buffer.Chunks[0].SetCounted()
	flight := *b.buffer
	b.buffer = NewBuffer(4096)
	b.append("np.log", "b\nc\n")
	b.fill(Count, "b", "c")
	b.buffer.Chunks[0].SetCounted()
	b.copytruncate("np.log.1")
	b.append("np.log", "d\n")
	b.scan()
	b.fill(Count, "d")
	b.buffer.Chunks[0].SetCounted()
	b.do(b.positions.Commit(flight.Chunks)) // still good
	b.fill(Ship, "b", "c", "d")
	if got := b.buffer.Chunks[0]; got.Start != 2 || got.File.Counted() != 6 {
		t.Errorf("goes on at %d, counted up to %d", got.Start, got.File.Counted())
	}
	b.commit()
	if got := b.tailer.TakeLost(); got != 0 {
		t.Errorf("%d lines are lost", got)
	}
}

// A copy that is still being compressed is waited for.
func TestCopyTruncate_Partial(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\nb\n")
	b.scan()
	b.fill(Ship, "a", "b")
	b.commit()
	b.append("np.log", "c\n")
	packed := packedText("a\nb\nc\n")
	b.do(os.WriteFile(b.path("np.log.1.gz"), packed[:5], 0o600))
	b.do(os.Truncate(b.path("np.log"), 0))
	b.append("np.log", "d\n")
	for range 3 {
		b.scan("has no end")
		b.fill(Ship)
	}
	if got := b.tailer.Truncations(); got != 0 {
		t.Errorf("Truncations is %d", got)
	}
	b.do(os.WriteFile(b.path("np.log.1.gz"), packed, 0o600))
	b.scan()
	b.fill(Ship, "c", "d")
	if got := b.tailer.Truncations(); got != 1 {
		t.Errorf("Truncations is %d", got)
	}
}

// Without a copy, the lines that were counted ahead are lost, and said to be;
// those that are on their way are not.
func TestTruncation_Lost(t *testing.T) {
	b := newBench(t, "np.log", "other.log")
	b.append("np.log", "a\nb\n")
	b.scan("no such file")
	b.fill(Ship, "a", "b")
	b.buffer.Chunks[0].SetCounted()
	flight := *b.buffer
	b.buffer = NewBuffer(4096)
	b.append("np.log", "c\nd\ne\n")
	b.fill(Count, "c", "d", "e")
	b.buffer.Chunks[0].SetCounted()
	b.do(os.Truncate(b.path("np.log"), 0))
	b.append("np.log", "f\n")
	b.scan("no such file")
	if got := b.tailer.TakeLost(); got != 3 {
		t.Errorf("%d lines are lost, not 3", got)
	}
	b.fill(Count, "f")
	b.buffer.Chunks[0].SetCounted()
	b.do(b.positions.Commit(flight.Chunks))
	b.fill(Ship, "f")
	b.commit()
	if got := b.tailer.TakeLost(); got != 0 {
		t.Errorf("%d more lines are lost", got)
	}

	// What is on its way when a reload breaks it off is lost as well, if its
	// file was truncated, and else comes again.
	b.append("other.log", "1\n")
	b.scan()
	b.append("np.log", "g\nh\n")
	b.fill(Ship, "1", "g", "h")
	for i := range b.buffer.Chunks {
		b.buffer.Chunks[i].SetCounted()
	}
	b.do(os.Truncate(b.path("np.log"), 0))
	b.scan()
	b.do(b.tailer.Close())
	b.reload()
	b.scan()
	if got := b.tailer.TakeLost(); got != 2 {
		t.Errorf("%d lines are lost, not 2", got)
	}
	b.fill(Ship, "1")
	if got := b.buffer.Chunks[0].File.Counted(); got != 2 {
		t.Errorf("counted up to %d", got)
	}
}

// When a position is given up, the lines that were counted ahead are lost, and
// those on their way when nobody commits them any more.
func TestAbandon_Lost(t *testing.T) {
	f := func(arrives bool, want int64) {
		t.Helper()
		b := newBench(t, "np.log")
		b.append("np.log", "a\nb\n")
		b.scan()
		b.fill(Ship, "a", "b")
		b.buffer.Chunks[0].SetCounted()
		flight := *b.buffer
		b.buffer = NewBuffer(4096)
		b.append("np.log", "c\n")
		b.fill(Count, "c")
		b.buffer.Chunks[0].SetCounted()
		b.positions.miss(flight.Chunks[0].File.mark, b.now)
		if got := b.tailer.TakeLost(); got != 1 {
			t.Errorf("%d lines are lost, not 1", got)
		}
		if arrives {
			b.do(b.positions.Commit(flight.Chunks))
		}
		b.do(b.tailer.Close())
		b.reload()
		if got := b.tailer.TakeLost(); got != want {
			t.Errorf("%d more lines are lost, not %d", got, want)
		}
	}
	f(true, 0)
	f(false, 2)
}

// A position whose file is gone is kept for a day, should the file come back.
func TestComesBack(t *testing.T) {
	for _, late := range []bool{false, true} {
		b := newBench(t, "np.log")
		b.append("np.log", "a\n")
		b.scan()
		b.fill(Ship, "a")
		b.commit()
		b.stop()
		away := t.TempDir() + "/np.log"
		b.do(os.Rename(b.path("np.log"), away))
		b.start()
		b.scan("no such file", "lose what")
		b.stop()
		b.start()
		b.scan("no such file") // told once
		want := []string{"b"}
		if late {
			b.now = b.now.Add(forgetTime)
			b.scan("no such file")
			if got := b.positions.of("np"); len(got) != 0 {
				t.Errorf("positions are left: %+v", got)
			}
			want = []string{"a", "b"}
		}
		b.do(os.Rename(away, b.path("np.log")))
		b.append("np.log", "b\n")
		b.scan()
		b.fill(Ship, want...)
	}
}

// A file that goes and comes while the agent runs is the same.
func TestComesBack_Running(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	away := t.TempDir() + "/np.log"
	for i := range 3 {
		b.do(os.Rename(b.path("np.log"), away))
		b.now = b.now.Add(2 * quietTime)
		b.scan("no such file")
		b.do(os.Rename(away, b.path("np.log")))
		b.append("np.log", fmt.Sprintln(i))
		b.scan()
		b.fill(Ship, fmt.Sprint(i))
		b.commit()
	}
}

// A file in the inode of another is another, though it begins with the same KiB
// and is longer.
func TestInodeReuse(t *testing.T) {
	b := newBench(t, "*.log")
	head := strings.Repeat("x", 2000)
	b.append("a.log", head+"\na\n")
	b.scan()
	b.fill(Ship, head, "a")
	b.commit()
	b.stop()
	// The same inode for sure.
	b.rename("a.log", "b.log")
	b.do(os.WriteFile(b.path("b.log"), []byte(head+"\nb\nc\nd\n"), 0o600))
	b.start()
	b.scan("lose what")
	b.fill(Ship, head, "b", "c", "d")
	b.commit()
	b.stop()
	b.start()
	b.scan()
	b.fill(Ship)
}
