package tail

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestRemove(t *testing.T) {
	b := newBench(t, "*.log")
	b.append("1.log", "one\ntwo\n")
	b.append("2.log", "three\n")
	b.scan()
	b.fill(Ship, "one", "two", "three")
	if err := b.tailer.Remove(b.path("1.log")); err == nil || !strings.Contains(err.Error(), "has not been delivered") {
		t.Errorf("remove a file that is not committed: %v", err)
	}
	if err := b.tailer.Remove(b.path("none.log")); err == nil {
		t.Error("a file is removed that is not open")
	}
	b.commit()
	b.append("1.log", "four\n")
	if err := b.tailer.Remove(b.path("1.log")); err == nil {
		t.Error("a file is removed that has grown")
	}
	b.fill(Ship, "four")
	b.commit()
	b.do(b.tailer.Remove(b.path("1.log")))
	if _, err := os.Stat(b.path("1.log")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	if files := b.tailer.Files(); len(files) != 1 || files[0].Path != b.path("2.log") {
		t.Errorf("open are %v", files)
	}
	b.scan()
	b.stop()
	b.start() // nothing is missed
	b.scan()
	b.append("2.log", "five\n")
	b.fill(Ship, "five")
}

// A crash between the steps of Remove costs nothing.
func TestRemove_Crash(t *testing.T) {
	f := func(name string, then func(b *bench), want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "*.log")
			b.append("1.log", "one\ntwo\n")
			b.append("2.log", "three\n")
			b.scan()
			b.fill(Ship, "one", "two", "three")
			b.commit()
			b.positions.finish(b.tailer.files[0].mark, b.tailer.files[0].modified)
			b.do(b.positions.Sync())
			then(b)
			b.stop()
			b.start()
			b.scan()
			b.fill(Ship, want...)
			b.commit()
		})
	}
	f("before it is deleted", func(b *bench) {
		b.stop()
		b.start()
		b.scan()
		b.fill(Ship)
		b.do(b.tailer.Remove(b.path("1.log")))
	})
	f("after it is deleted", func(b *bench) { b.do(os.Remove(b.path("1.log"))) })
	// A later file that has its inode, and begins in the same way.
	f("and its inode is used again", func(b *bench) {
		b.do(os.Rename(b.path("1.log"), b.path("3.log")))
		b.append("3.log", "four\n")
	}, "one", "two", "four")
}
