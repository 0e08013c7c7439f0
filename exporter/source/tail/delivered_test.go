package tail

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// bench of np.log* with three files: "a" is rotated and known, "b" was rotated
// after it, compressed, delivered and forgotten, "c" is known by another path,
// and np.log is empty. So what lies behind "a" may be new, as far as positions
// tell.
func newForgotten(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, "np.log*")
	b.append("np.log", "a\n")
	b.scan()
	b.fill(Ship, "a")
	b.commit()
	b.rename("np.log", "np.log.1")
	b.append("np.log", "b\n")
	b.scan()
	b.fill(Ship, "b")
	b.commit()
	b.rename("np.log.1", "np.log.3")
	b.rename("np.log", "np.log.2")
	b.append("np.log.1", "c\n")
	b.append("np.log", "")
	b.scan()
	b.fill(Ship, "c")
	b.commit()
	b.compress("np.log.2")
	for range 3 {
		b.now = b.now.Add(quietTime)
		b.scan()
		b.fill(Ship)
	}
	if n := len(b.positions.delivered["np"]); n != 1 {
		t.Fatalf("%d files are remembered", n)
	}
	return b
}

// A file that was delivered and forgotten is not read again.
func TestDelivered(t *testing.T) {
	b := newForgotten(t)
	b.stop()
	b.compress("np.log.3")
	b.start()
	b.scan()
	b.fill(Ship)
}

// One that is not the same, is: with other lines, more lines, or written to at
// another time.
func TestDelivered_Other(t *testing.T) {
	f := func(text string, later time.Duration, want ...string) {
		t.Helper()
		b := newForgotten(t)
		b.stop()
		modified := time.Unix(0, b.positions.delivered["np"][0].Modified).Add(later)
		b.pack("np.log.2.gz", text)
		b.do(os.Chtimes(b.path("np.log.2.gz"), modified, modified))
		b.start()
		b.scan()
		b.fill(Ship, want...)
		b.stop()
		b.start() // so that newBench can stop it
	}
	f("b\n", 0)
	f("x\n", 0, "x")
	f("b\nb\n", 0, "b", "b")
	f("b\n", timeSlack, "b")
}

// What is remembered is bounded and ends.
func TestDelivered_Bounded(t *testing.T) {
	b := newBench(t, "np.log")
	for i := range deliveredFiles + 10 {
		b.append("np.log", fmt.Sprintf("line %d\n", i))
		b.scan()
		b.fill(Ship, fmt.Sprintf("line %d", i))
		b.commit()
		b.rename("np.log", "np.log.1")
		b.now = b.now.Add(quietTime)
	}
	b.append("np.log", "live\n")
	b.scan()
	b.now = b.now.Add(quietTime)
	b.scan()
	if n := len(b.positions.delivered["np"]); n != deliveredFiles {
		t.Errorf("%d files are remembered", n)
	}
	b.stop()
	b.start()
	b.scan()
	if n := len(b.positions.delivered["np"]); n != deliveredFiles {
		t.Errorf("%d files are remembered by the next process", n)
	}
	b.now = b.now.Add(UnusedTime)
	b.scan()
	if n := len(b.positions.delivered["np"]); n != 0 {
		t.Errorf("%d files are remembered for good", n)
	}
}
