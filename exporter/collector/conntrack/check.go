package conntrack

import (
	"context"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// cheapRead is what it takes to read all entries where that is not worth a look
// at the unassured ones first.
const cheapRead = 100 * time.Millisecond

// checks decide which polls read all entries. In between, the table's size tells
// whether a flood may have begun.
type checks struct {
	last time.Time // that all entries were read
	due  time.Time // to read them
	rest time.Time // before which they are not, whatever is suspicious
	grew uint64    // entries above which growth is suspicious
	// unfiltered: this kernel gives all entries when it is asked for unassured
	// ones, as before Linux 6.0.
	unfiltered bool
	reads      uint64 // of unassured entries only
}

// isDue tells whether to read all entries with a poll: when it is time, or when
// the table has grown by a flood's entries since, and so have those half-open.
func (c *Collector) isDue(ctx context.Context, table Table, s *snapshot) bool {
	last := c.snapshot.Load()
	switch {
	case c.options.Check <= 0 || last == nil || last.table == nil || !s.at.Before(c.checks.due) || c.checks.due.Sub(s.at) > c.options.Interval:
		return true
	case s.at.Before(c.checks.rest) || s.facts.entries < c.checks.grew || last.table.inFlood():
		return false
	case last.table.took < cheapRead:
		return true
	case c.checks.unfiltered:
		return false
	}
	c.checks.reads++
	var halfOpen uint64
	var plain analysis.Entry
	start := c.options.Now()
	stats, err := table.Dump(ctx, netlink.Unassured(), func(e *netlink.Entry) {
		if simplify(&plain, e); plain.HalfOpen() {
			halfOpen++
		}
	})
	if err != nil {
		return true // and have it told
	}
	end := c.options.Now()
	c.checks.unfiltered = stats.Filtered > 0
	c.checks.grew, c.checks.rest = s.facts.entries+analysis.FloodEntries, end.Add(restTimes*end.Sub(start))
	return halfOpen >= last.table.tally.halfOpen+analysis.FloodEntries
}

// inFlood tells whether there is one already.
func (t *content) inFlood() bool {
	for i := range t.analysis.Events {
		if e := &t.analysis.Events[i]; e.Kind == analysis.Flood && e.Phase != analysis.Ended {
			return true
		}
	}
	return false
}

// next gives the time until the next poll. Of those of all entries there is one
// each interval, which gets shorter as the table fills.
func (c *checks) next(s *snapshot, took, interval, check time.Duration) time.Duration {
	end := s.at.Add(took)
	if s.read {
		c.last, c.rest, c.grew = end, end.Add(restTimes*took), s.facts.entries+analysis.FloodEntries
	}
	if c.due = c.last.Add(interval); c.due.Before(c.rest) {
		c.due = c.rest
	}
	if check <= 0 || s.table == nil {
		return interval
	}
	return min(check, max(c.due.Sub(end), 0))
}
