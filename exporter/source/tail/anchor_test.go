package tail

import (
	"os"
	"slices"
	"testing"
)

// What a path's last file was rotated to says nothing of where the path is: two
// rotations while a folder is looked at put no newer file before an older one.
func TestCatchUp_FromRotated(t *testing.T) {
	for look, looks := 1, 1; looks >= look; look++ {
		b := newBench(t, "np.log*")
		b.append("np.log", "a\n")
		b.scan()
		b.fill(Ship, "a")
		b.commit()
		b.stop()
		b.rename("np.log", "np.log.1")
		b.append("np.log", "b\n")
		b.start()
		looks = 0
		b.tailer.between = func() {
			if looks++; looks != look {
				return
			}
			b.rename("np.log.1", "np.log.3")
			b.rename("np.log", "np.log.2")
			b.append("np.log.1", "c\n")
			b.append("np.log", "d\n")
		}
		b.tailer.Scan()
		want := []string{"b"}
		b.stop()
		if looks >= look {
			b.compress("np.log.3")
			b.compress("np.log.2")
			want = []string{"b", "c", "d"}
		}
		b.start()
		b.readAll(look, want...)
	}
}

// A file that took over the position of an empty one, whose inode it has, keeps
// it although the empty one is missed.
func TestRecover_EmptyInode(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "")
	b.scan()
	b.stop()
	b.rename("np.log", "np.log.1.gz")
	b.pack("np.log.1.gz", "a\n")
	b.append("np.log", "b\n")
	b.start()
	b.scan("lose what")
	b.stop()
	b.start()
	b.readAll(0, "a", "b")
}

// A last file that is compressed and quiet is still where the search for the next
// one starts, which comes and is compressed between two looks or two starts.
func TestRetire_PackedLast(t *testing.T) {
	f := func(files string, restart bool) {
		t.Helper()
		b := newBench(t, files)
		b.append("np.log", "a\n")
		b.scan()
		b.fill(Ship, "a")
		b.commit()
		b.rename("np.log", "np.log.1")
		b.compress("np.log.1")
		for range 3 {
			b.now = b.now.Add(quietTime)
			b.tailer.Scan()
		}
		if restart {
			b.stop()
		}
		b.rename("np.log.1.gz", "np.log.2.gz")
		b.append("np.log.1", "b\n")
		b.compress("np.log.1")
		if restart {
			b.start()
		}
		b.readAll(0, "b")
	}
	for _, restart := range []bool{false, true} {
		f("np.log", restart)
		f("np.log*", restart)
	}
}

// A file that was first found after its rotation is where the search for what
// came to the path before that starts.
func TestRecover_FirstFoundRotated(t *testing.T) {
	b := newBench(t, "np.log*")
	b.append("np.log.1", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	b.stop()
	b.rename("np.log.1", "np.log.2")
	b.compress("np.log.2")
	b.append("np.log.1", "b\n")
	b.compress("np.log.1")
	b.append("np.log", "c\n")
	b.start()
	b.readAll(0, "b", "c")
}

// readAll demands that lines are read.
func (b *bench) readAll(look int, want ...string) {
	b.Helper()
	var got []string
	for range 4 {
		b.tailer.Scan()
		b.do(b.tailer.Fill(b.buffer, Ship))
		got = append(got, texts(b.buffer.Chunks)...)
		b.commit()
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			b.Errorf("after look %d, %q is lost; read are %q", look, line, got)
		}
	}
}

// The file of a position that has yet to be found may have had the inode that
// another's compressed one has: neither takes the place of the other.
func TestRecover_InodeOfPending(t *testing.T) {
	b := newBench(t, "a.log", "b.log")
	b.append("a.log", "a\n")
	b.append("b.log", "b\n")
	b.scan()
	b.fill(Ship, "a", "b")
	b.commit()
	b.stop()
	b.rename("a.log", "b.log.1.gz") // in place
	b.do(os.Remove(b.path("b.log")))
	b.pack("b.log.1.gz", "b\nb later\n")
	whole := packedText("a\na later\n")
	b.do(os.WriteFile(b.path("a.log.1.gz"), whole[:len(whole)-9], 0o600))
	b.start()
	b.tailer.Scan()
	b.do(os.WriteFile(b.path("a.log.1.gz"), whole, 0o600))
	b.readAll(0, "a later", "b later")
}
