package conntrack

import (
	"context"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// unassured is a kernel's table with so many unreplied entries, answered
// handshakes and answers over UDP. It has others as well unless it filters.
type unassured struct {
	unreplied, handshakes, answers int
	others                         uint64
	dumps                          int
}

func (u *unassured) Dump(_ context.Context, filter netlink.Filter, each func(*netlink.Entry)) (netlink.DumpStats, error) {
	u.dumps++
	for _, kind := range []struct {
		n int
		netlink.Entry
	}{
		{u.unreplied, netlink.Entry{Protocol: 17}},
		{u.handshakes, netlink.Entry{Protocol: 6, State: 2, Status: netlink.SeenReply}},
		{u.answers, netlink.Entry{Protocol: 17, Status: netlink.SeenReply}},
	} {
		for range kind.n {
			if filter.Matches(&kind.Entry) {
				each(&kind.Entry)
			}
		}
	}
	return netlink.DumpStats{Filtered: u.others}, nil
}

// All entries are read at each interval, and in between when the table grows by
// a flood's half-open entries.
func TestCollector_Check(t *testing.T) {
	begin := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	f := func(name string, after time.Duration, took time.Duration, entries uint64, kernel unassured, flood, want bool, dumps int) {
		t.Helper()
		c := New(Options{Interval: 15 * time.Second, Check: 2 * time.Second})
		last := &snapshot{at: begin, read: true, table: &content{took: took, analysis: &analysis.Snapshot{}}}
		last.facts.entries, last.facts.limit, last.table.tally.halfOpen = 100_000, 1_000_000, 500
		if flood {
			last.table.analysis.Events = []analysis.Event{{Kind: analysis.Flood, Phase: analysis.Ongoing}}
		}
		c.snapshot.Store(last)
		c.pace(last, took)
		if got := c.Interval(); got != 2*time.Second {
			t.Errorf("%s: the next poll is in %s", name, got)
		}
		s := &snapshot{at: begin.Add(took + after)}
		s.facts.entries = entries
		got := c.isDue(t.Context(), &kernel, s)
		if got != want || kernel.dumps != dumps {
			t.Errorf("%s: due %t after %d dumps, want %t, %d", name, got, kernel.dumps, want, dumps)
		}
		if again := c.isDue(t.Context(), &kernel, s); again && !want {
			t.Errorf("%s: due at once after it was not", name)
		}
		if kernel.others > 0 && kernel.dumps != dumps {
			t.Errorf("%s: asks a kernel again that does not filter", name)
		}
	}
	const long, short = 400 * time.Millisecond, 20 * time.Millisecond
	f("the interval is over", 15*time.Second, long, 100_000, unassured{}, false, true, 0)
	f("no growth", 4*time.Second, long, 101_900, unassured{unreplied: 5000}, false, false, 0)
	f("unreplied growth", 4*time.Second, long, 102_500, unassured{unreplied: 2500}, false, true, 1)
	f("replied growth", 4*time.Second, long, 102_500, unassured{unreplied: 600}, false, false, 1)
	f("growth of handshakes", 4*time.Second, long, 102_500, unassured{unreplied: 500, handshakes: 2000}, false, true, 1)
	f("growth of answers", 4*time.Second, long, 102_500, unassured{unreplied: 500, answers: 2000}, false, false, 1)
	f("unreplied growth, at once", time.Second, long, 102_500, unassured{unreplied: 2500}, false, false, 0)
	f("unreplied growth of a known flood", 4*time.Second, long, 102_500, unassured{unreplied: 2500}, true, false, 0)
	f("growth of a table that is read in no time", 4*time.Second, short, 102_500, unassured{}, false, true, 0)
	f("a kernel that does not filter", 4*time.Second, long, 102_500, unassured{unreplied: 600, others: 101_900}, false, false, 1)

	c := New(Options{Interval: 15 * time.Second})
	if s := (&snapshot{at: begin}); !c.isDue(t.Context(), nil, s) {
		t.Error("without checks a poll does not read")
	}
}

// Near its time, a poll waits for that only.
func TestChecks_Next(t *testing.T) {
	var c checks
	at := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	f := func(s *snapshot, want time.Duration) {
		t.Helper()
		if got := c.next(s, time.Second, 5*time.Second, 2*time.Second); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(&snapshot{at: at}, 5*time.Second) // the entries cannot be read
	f(&snapshot{at: at, read: true, table: &content{}}, 2*time.Second)
	f(&snapshot{at: at.Add(2 * time.Second), table: &content{}}, 2*time.Second)
	f(&snapshot{at: at.Add(4 * time.Second), table: &content{}}, time.Second)
	f(&snapshot{at: at.Add(6 * time.Second), table: &content{}}, 0)
}
