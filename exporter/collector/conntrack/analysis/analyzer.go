package analysis

import "time"

// Analyzer looks at a table poll by poll. It is not safe for concurrent use;
// snapshots may be kept and shared.
type Analyzer struct {
	options Options
	poll    Snapshot
}

// New makes an Analyzer.
func New(o Options) *Analyzer { return &Analyzer{options: o} }

// Bytes is how much memory the Analyzer takes, whatever the table's size.
func (a *Analyzer) Bytes() int { return 0 }

// Begin begins a poll. One that was begun and did not end is forgotten.
func (a *Analyzer) Begin(at time.Time) { a.poll = Snapshot{Start: at} }

// Add takes an entry of the poll. It allocates nothing and keeps nothing of e.
func (a *Analyzer) Add(e *Entry) {
	a.poll.Entries++
	if e.HalfOpen() {
		a.poll.HalfOpen++
	}
}

// End ends the poll. Calling it is what makes the poll count: one that could
// not be read to its end is to be left, and Begin called again.
func (a *Analyzer) End(at time.Time) *Snapshot {
	s := a.poll
	s.End = at
	return &s
}
