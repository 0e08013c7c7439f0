package simulation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Play says what is played, and where it goes.
type Play struct {
	Options // those of all nodes; Node is not used
	// Dir gets a folder for each node, laid out as the node's own root, and
	// what was written (WrittenFile).
	Dir string
	// Nodes of the cluster; 0 for one. What a cluster has once is with the first.
	Nodes int
	// Sources whose logs are written (see Sources); nil for all. Their lines are
	// the same with and without others.
	Sources []string
	// Seconds that are played; 0 for no end.
	Seconds int
	// Fast plays as fast as it can. Else a second is played when it has passed,
	// those before now at once.
	Fast bool
	// RotateBytes is how long a log becomes before it is rotated; 0 for
	// DefaultRotateBytes.
	RotateBytes int64
	// Syslog gets the load balancer's lines; nil for files.
	Syslog *Syslog
	// Report, if not nil, gets how it goes: when all that had passed at the
	// begin is written, and then every ReportEvery.
	Report func(Report)
}

// How often something is done, and how long a log becomes.
const (
	ReportEvery        = 10 * time.Second
	saveEvery          = 5 * time.Second
	DefaultRotateBytes = 64 << 20
)

// metricPrefix of the agent's metrics.
const metricPrefix = "corkline_"

// Report tells how it goes.
type Report struct {
	Moment  Moment // the last one that was written
	Lines   int64
	Rotated int // files
	Syslog  *SyslogState
}

// NodeName of the i-th node, from 0.
func NodeName(i int) string { return fmt.Sprintf("node-%d", i+1) }

// On gives the options of a node's parts.
func (o Options) On(node string) Options {
	o.Node = node
	return o
}

// AtTime gives the moment of a time.
func (o Options) AtTime(now time.Time) Moment { return o.At(max(0, int(now.Sub(o.Start)/time.Second))) }

// Run plays until all seconds are played or ctx ends, which is no error. It
// fails when logs cannot be written, and when the receiver of syslog has not
// taken all lines in the end. Unless it cannot begin, it gives what was written.
func Run(ctx context.Context, p Play) (*Written, error) {
	r := &runner{Play: p, ledger: newLedger(), saved: time.Now()}
	if r.RotateBytes == 0 {
		r.RotateBytes = DefaultRotateBytes
	}
	for i := range max(1, p.Nodes) {
		n := &player{runner: r, options: p.On(NodeName(i)), files: map[string]*logFile{}}
		n.root = filepath.Join(p.Dir, n.options.Node)
		n.parts = partsOf(n.options, i == 0, p.Sources)
		r.nodes = append(r.nodes, n)
	}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("create the folder of the nodes: %w", err)
	}
	if p.Syslog != nil {
		r.sender = startSender(*p.Syslog)
	}
	err := r.run(ctx)
	if r.sender != nil {
		err = errors.Join(err, r.sender.stop())
	}
	for _, n := range r.nodes {
		for _, l := range n.logs {
			err = errors.Join(err, l.close())
		}
	}
	w := r.written()
	return w, errors.Join(err, w.save(p.Dir))
}

// runner plays.
type runner struct {
	Play
	nodes   []*player
	ledger  *ledger
	sender  *sender
	seconds int // that are written
	rotated int
	saved   time.Time
}

func (r *runner) run(ctx context.Context) error {
	began := time.Now()
	var reported time.Time
	for r.due(ctx) {
		m := r.At(r.seconds)
		for _, n := range r.nodes {
			if err := n.second(ctx, m); err != nil {
				return err
			}
		}
		r.seconds++
		now := time.Now()
		if now.Sub(r.saved) >= saveEvery {
			r.saved = now
			if err := r.written().save(r.Dir); err != nil {
				return err
			}
		}
		caughtUp := reported.IsZero() && m.Time.Add(2*time.Second).After(began)
		if r.Report != nil && (caughtUp || now.Sub(reported) >= ReportEvery && now.Sub(began) >= ReportEvery) {
			reported = now
			report := Report{Moment: m, Lines: r.ledger.lines, Rotated: r.rotated}
			if r.sender != nil {
				report.Syslog = r.sender.state()
			}
			r.Report(report)
		}
	}
	return nil
}

// due waits for the next second to be over; false when there is none.
func (r *runner) due(ctx context.Context) bool {
	switch {
	case r.Seconds > 0 && r.seconds == r.Seconds:
		return false
	case r.Fast:
		return ctx.Err() == nil
	}
	return wait(ctx, time.Until(r.Start.Add(time.Duration(r.seconds+1)*time.Second)))
}

func (r *runner) written() *Written {
	w := r.ledger.written(r.Options, r.seconds)
	if r.sender != nil {
		w.Syslog = r.sender.state()
	}
	return w
}

// wait tells whether the time has come, rather than the end of ctx.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// player plays a node. It is the Output of its parts.
type player struct {
	*runner
	options Options
	root    string
	parts   []Part
	logs    []*logFile
	files   map[string]*logFile // the same by definition
	now     time.Time           // begin of the second
	fault   error               // the first one
	queue   [][]byte            // to be sent
}

// second plays a second.
func (n *player) second(ctx context.Context, m Moment) error {
	n.now = m.Time
	for _, part := range n.parts {
		part.Second(m, n)
	}
	for _, l := range n.logs {
		rotated, err := l.flush(m.Time.Add(time.Second))
		n.fail(err)
		if rotated {
			n.rotated++
		}
	}
	if len(n.queue) > 0 {
		n.fail(n.sender.send(ctx, n.queue))
		n.queue = nil
	}
	return n.fault
}

func (n *player) fail(err error) {
	if n.fault == nil {
		n.fault = err
	}
}

// Line implements Output.
func (n *player) Line(definition string, line []byte) {
	n.ledger.line(n.options.Node, definition, len(line))
	if n.sender != nil && IsLoadBalancer(definition) {
		n.queue = append(n.queue, append(append(make([]byte, 0, len(line)+1), line...), '\n'))
		return
	}
	l := n.files[definition]
	if l == nil {
		if l = n.open(definition); l == nil {
			return
		}
	}
	l.line(n.now, line)
}

// open the log of a definition, which others may have, too.
func (n *player) open(definition string) *logFile {
	p := n.options.place(definition)
	i := slices.IndexFunc(n.logs, func(l *logFile) bool { return l.place.path == p.path })
	if i < 0 {
		l, err := openLog(n.root, p, n.RotateBytes)
		if err != nil {
			n.fail(err)
			return nil
		}
		i, n.logs = len(n.logs), append(n.logs, l)
	}
	n.files[definition] = n.logs[i]
	return n.logs[i]
}

// Count implements Output.
func (n *player) Count(metric, labels string, count float64) {
	n.ledger.count(n.options.Node, metric, labels, count)
}
