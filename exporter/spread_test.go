package exporter

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

// timed gives lines of the definition timed, from first on.
func timed(first time.Time, every time.Duration, n int, word string) (lines []string) {
	for i := range n {
		lines = append(lines, first.Add(time.Duration(i)*every).Format("2006-01-02T15:04:05")+fmt.Sprintf(" %s-%d", word, i))
	}
	return lines
}

// Files of one source share a stream, of which Loki refuses what is an hour
// behind the newest entry. However unlike the files are, after a long outage all
// of their lines are shipped, and none of them is refused.
func TestAgent_FilesOfOneStream(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	f := func(what string, files map[string][]string) {
		t.Helper()
		loki := newReceiver(t)
		loki.newest = map[string]int64{}
		b := newBench(t, loki)
		b.keys = "sources:\n" + b.source("timed", "timed", "*.log*")
		n := 0
		for _, name := range slices.Backward(slices.Sorted(maps.Keys(files))) { // what was rotated is the older
			b.append(name, files[name]...)
			n += len(files[name])
		}
		if err := b.once(); err != nil {
			t.Fatalf("%s: %s", what, err)
		}
		if got := b.ledger("timed"); got["shipped"] != int64(n) || got["dead-lettered"] != 0 {
			t.Errorf("%s: of %d lines the ledger has %v; one was sent %s behind the newest of its stream", what, n, got, loki.furthest)
		}
		if got := len(loki.folded()); got != n {
			t.Errorf("%s: Loki has %d of %d lines", what, got, n)
		}
		if most := maxSpread + 10*time.Minute; loki.furthest > most {
			t.Errorf("%s: a line was sent %s behind the newest of its stream, want %s at most", what, loki.furthest, most)
		}
	}
	busy := timed(noon, time.Second, 36_000, "busy")
	f("a busy file and a quiet one", map[string][]string{"a.log": busy, "b.log": timed(noon, 10*time.Minute, 60, "quiet")})
	f("a busy file beside many quiet ones", func() map[string][]string {
		files := map[string][]string{"m.log": busy}
		for i := range 30 {
			files[fmt.Sprintf("%c%d.log", 'a'+i, i)] = timed(noon.Add(time.Duration(i)*time.Minute), 7*time.Minute, 80, fmt.Sprint("quiet", i))
		}
		return files
	}())
	f("a file with a gap", map[string][]string{
		"a.log": busy,
		"b.log": slices.Concat(timed(noon, time.Second, 10, "before"), timed(noon.Add(9*time.Hour), time.Second, 10, "after")),
	})
	f("files one after the other", map[string][]string{
		"a.log": timed(noon.Add(6*time.Hour), time.Second, 3000, "last"), "b.log": timed(noon.Add(3*time.Hour), time.Second, 3000, "second"), "c.log": timed(noon, time.Second, 3000, "first"),
	})
	f("a file that was rotated", map[string][]string{
		"a.log.1": timed(noon, time.Second, 18_000, "busy"), "a.log": timed(noon.Add(5*time.Hour), time.Second, 18_000, "busy"), "b.log": timed(noon, time.Minute, 600, "quiet"),
	})
	f("lines without a time", map[string][]string{"a.log": busy, "b.log": numbered("words", 100)})
}

// A file whose clock is hours behind is not waited for while it grows: what Loki
// takes of the others arrives.
func TestAgent_ClockOfAFileBehind(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.keys = "sources:\n" + b.source("timed", "timed", "*.log")
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	b.append("late.log", timed(noon.Add(-5*time.Hour), time.Second, 10, "late")...)
	b.append("right.log", timed(noon, time.Second, 10, "right")...)
	b.start()
	for i := range 20 {
		b.append("late.log", timed(noon.Add(time.Duration(i)*time.Minute-5*time.Hour), time.Second, 10, "late")...)
		b.append("right.log", timed(noon.Add(time.Duration(i)*time.Minute), time.Second, 10, "right")...)
		n := int64(20 * (i + 2))
		b.balances("timed", counts{"read": n, "parsed": n, "shipped": n})
	}
}
