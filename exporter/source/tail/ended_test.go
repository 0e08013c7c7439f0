package tail

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A file that is removed while no agent runs is missed unless the state can tell
// that it had been read to its end, and that its writer had left it.
func TestRemoved_Ended(t *testing.T) {
	f := func(want string, before func(b *bench)) {
		t.Helper()
		b := newBench(t, "np.log")
		b.append("np.log", "a\nb\n")
		b.scan()
		b.fill(Ship, "a", "b")
		b.commit()
		b.rename("np.log", "np.log.1")
		before(b)
		b.stop() // the end of its Tailer is not written: as after a kill
		b.do(os.Remove(b.path("np.log.1")))
		b.append("np.log", "y\n")
		b.start()
		if want == "" {
			b.scan()
		} else {
			b.scan(want)
		}
		b.scan()
		b.fill(Ship, "y")
	}
	follow := func(b *bench) {
		t.Helper()
		b.append("np.log", "x\n")
		b.scan()
		b.fill(Ship, "x")
		b.commit()
	}
	f("", follow)          // its writer has gone on
	f("", func(b *bench) { // has been quiet for long
		b.scan("np.log")
		b.now = b.now.Add(quietTime)
		b.scan("np.log")
	})
	// Its writer may have written on.
	f("offset 4", func(b *bench) { b.scan("np.log") })
	f("offset 4", func(b *bench) {
		follow(b)
		b.append("np.log.1", "c\n")
		b.scan()
	})
	f("", func(b *bench) {
		follow(b)
		b.append("np.log.1", "c\n")
		b.scan()
		b.fill(Ship, "c")
		b.commit()
		b.scan()
	})
	// It was not seen after its rotation.
	f("offset 4", func(*bench) {})
}

// At the end of a Tailer the state is told, too.
func TestRemoved_EndedAtClose(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.rename("np.log", "np.log.1")
	b.append("np.log", "x\n")
	b.scan()
	b.commit()
	b.fill(Ship, "x")
	b.commit()
	b.do(b.tailer.Close())
	b.do(b.positions.Sync())
	b.stop()
	b.do(os.Remove(b.path("np.log.1")))
	b.start()
	b.scan()
}

// Positions of a source that is not configured any more are kept for a month.
func TestRetain(t *testing.T) {
	b := newBench(t, "np.log")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.positions.Keep(b.buffer.Chunks, "np", json.RawMessage(`{}`))
	b.do(b.positions.Sync())
	f := func(want map[string]int, sources ...string) {
		t.Helper()
		got, err := b.positions.Retain(sources, b.now)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	none := map[string]int{}
	f(none, "np", "other")
	b.now = b.now.Add(UnusedTime)
	f(none, "other") // the month begins
	b.stop()
	b.now = b.now.Add(UnusedTime - time.Second)
	b.start()
	f(none, "other")
	f(none, "np") // it is back
	b.now = b.now.Add(time.Second)
	f(none, "other") // and begins again
	b.scan()
	b.fill(Ship)
	b.stop()
	b.now = b.now.Add(UnusedTime)
	b.start()
	f(map[string]int{"np": 1}, "other")
	f(none, "other")
	if len(b.positions.Notes()) != 1 {
		t.Error("the note is gone")
	}
	b.stop()
	b.start()
	b.scan()
	b.fill(Ship, "a")
}
