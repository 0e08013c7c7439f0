// Package conntrack polls the connection tracking table: how full it is, what
// was dropped, and of what it consists.
package conntrack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
	"github.com/prometheus/client_golang/prometheus"
)

// Table gives its entries, each valid until the function returns.
type Table interface {
	Dump(ctx context.Context, filter netlink.Filter, each func(*netlink.Entry)) (netlink.DumpStats, error)
}

// Options configure a Collector.
type Options struct {
	Proc string // where procfs is mounted; empty for /proc
	// Datapath to poll in place of the kernel's table; nil for that.
	Datapath *Datapath
	// Interval between two polls of a table that is up to half full. Fuller ones
	// are polled more often.
	Interval time.Duration
	// Check lies between two looks at the size of the kernel's table, and if that
	// is suspicious at its unreplied entries: Poll then reads all entries at each
	// Interval, or when a flood may have begun. 0: each time.
	Check time.Duration
	// Stream counts new and destroyed connections by the kernel's events.
	Stream bool
	Names  Resolver         // of addresses; nil for none
	Events collector.Events // takes floods and forecasts; nil for nobody
	Seed   uint64           // of the analysis' hashes
	Log    *slog.Logger
	Now    func() time.Time
}

// Collector polls the kernel's table.
type Collector struct {
	options  Options
	metrics  *metrics
	streamed *streamed
	snapshot atomic.Pointer[snapshot]

	// What follows belongs to Poll.
	totals                totals
	tally                 *tally
	interrupted, overruns uint64
	analyzer              *analysis.Analyzer
	filling               bool // the event was emitted
	checks                checks

	mu         sync.Mutex
	interval   time.Duration // until the next poll
	reads      time.Duration // between those that read all entries
	forecaster *analysis.Forecaster
}

// snapshot is what one poll found.
type snapshot struct {
	at     time.Time
	facts  facts
	totals [counters]uint64
	has    [counters]bool
	// Of all dumps until now.
	interrupted, overruns, checks uint64

	table *content // nil when the entries could not be read
	why   error    // why not
	// unnamed is why the names of addresses may be old.
	unnamed error
	read    bool // with this poll; else they are those of the last that did

	forecast analysis.Forecast
	growing  bool // there is a forecast
}

// content of the table.
type content struct {
	took     time.Duration
	entries  uint64
	zones    []ZoneEntries
	states   []StateEntries
	tally    summary
	analysis *analysis.Snapshot
}

// New makes a Collector that has not polled yet.
func New(o Options) *Collector {
	if o.Proc == "" {
		o.Proc = defaultProc
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Collector{
		options: o, metrics: newMetrics(), streamed: newStreamed(), tally: &tally{}, interval: o.Interval,
		analyzer: analysis.New(analysis.Options{Seed: o.Seed}), forecaster: analysis.NewForecaster(analysis.ForecastOptions{}),
	}
}

// Example is a Collector with one series of every family, for documents.
func Example() *Collector {
	c := &Collector{options: Options{Stream: true}, metrics: newMetrics(), streamed: newStreamed()}
	pod := netip.MustParseAddr("192.0.2.1")
	c.options.Names = Names{netip.PrefixFrom(pod, pod.BitLen()): {Namespace: "namespace", Pod: "pod"}}
	tops := analysis.Tops{Entries: []analysis.Top{{Source: pod}}, HalfOpen: []analysis.Top{{Source: pod}}}
	s := &snapshot{growing: true, table: &content{
		zones: []ZoneEntries{{}}, states: []StateEntries{{}},
		analysis: &analysis.Snapshot{Sources: tops, Events: []analysis.Event{{Kind: analysis.Flood}}},
	}}
	s.facts.timestamps = true
	for i := range s.has {
		s.has[i] = true
	}
	c.snapshot.Store(s)
	return c
}

// Name implements collector.Collector.
func (c *Collector) Name() string { return "conntrack" }

// Poll implements collector.Collector. It fails when not even the table's size
// can be read; Status tells what else could not.
func (c *Collector) Poll(ctx context.Context) error {
	s := &snapshot{at: c.options.Now()}
	var err error
	if c.options.Datapath != nil {
		err = c.pollDatapath(ctx, s)
	} else {
		err = c.pollKernel(ctx, s)
	}
	if err != nil {
		return err
	}
	if names, is := c.options.Names.(Refresher); is && s.read {
		s.unnamed = names.Refresh(ctx)
	}
	s.interrupted, s.overruns, s.checks = c.interrupted, c.overruns, c.checks.reads
	c.tell(s)
	c.pace(s, c.options.Now().Sub(s.at))
	c.snapshot.Store(s)
	return nil
}

func (c *Collector) pollKernel(ctx context.Context, s *snapshot) (err error) {
	conn, dialErr := netlink.Dial() // nil when there is none
	if dialErr == nil {
		defer conn.Close()
	}
	s.why = dialErr
	if s.facts, err = c.facts(ctx, conn); err != nil {
		return err
	}
	s.forecast, s.growing = c.observe(s.facts)
	if rows, has, err := c.counters(ctx, conn); err == nil {
		c.totals.add(rows, has)
	} else {
		s.why = errors.Join(s.why, err)
	}
	s.totals, s.has = c.totals.values, c.totals.has
	if conn == nil {
		return nil
	}
	if !c.isDue(ctx, conn, s) {
		last := c.snapshot.Load()
		s.table, s.unnamed = last.table, last.unnamed
		return nil
	}
	s.read = true
	if s.table, err = c.dump(ctx, conn); err != nil {
		s.why = errors.Join(s.why, err)
	}
	return nil
}

// pollDatapath finds no counters: Open vSwitch has none of them.
func (c *Collector) pollDatapath(ctx context.Context, s *snapshot) (err error) {
	if s.facts.entries, s.facts.limit, err = c.options.Datapath.Size(ctx); err != nil {
		return err
	}
	s.forecast, s.growing = c.observe(s.facts)
	s.read = true
	if s.table, err = c.dump(ctx, c.options.Datapath); err != nil {
		s.why = err
	}
	return nil
}

// facts of procfs, or of netlink where there is none.
func (c *Collector) facts(ctx context.Context, conn *netlink.Conn) (facts, error) {
	f, err := procFacts(c.options.Proc)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || conn == nil {
		return f, err
	}
	if _, statErr := os.Stat(filepath.Join(c.options.Proc, "sys/net")); statErr == nil {
		return f, err // no tracker: asking for it would load it
	}
	stats, statsErr := conn.Stats(ctx)
	if statsErr != nil {
		return f, errors.Join(err, statsErr)
	}
	return facts{entries: uint64(stats.Entries), limit: uint64(stats.Limit)}, nil
}

// counters of procfs, or of netlink where the kernel was built without.
func (c *Collector) counters(ctx context.Context, conn *netlink.Conn) ([]perCPU, [counters]bool, error) {
	text, err := os.ReadFile(filepath.Join(c.options.Proc, "net/stat/nf_conntrack"))
	switch {
	case err == nil:
		return parseStat(text)
	case errors.Is(err, fs.ErrNotExist) && conn != nil:
		return netlinkCounters(ctx, conn)
	default:
		return nil, [counters]bool{}, fmt.Errorf("read conntrack's counters: %w", err)
	}
}

func (c *Collector) dump(ctx context.Context, table Table) (*content, error) {
	*c.tally = tally{}
	start := c.options.Now()
	now := start.UnixNano()
	c.analyzer.Begin(start)
	var plain analysis.Entry
	stats, err := table.Dump(ctx, netlink.Filter{}, func(e *netlink.Entry) {
		simplify(&plain, e)
		c.tally.add(e, plain.HalfOpen(), now)
		c.analyzer.Add(&plain)
	})
	c.overruns += stats.Overruns
	if stats.Interrupted {
		c.interrupted++
	}
	if err != nil {
		return nil, err
	}
	end := c.options.Now()
	return &content{
		took: end.Sub(start), entries: stats.Entries,
		zones: c.tally.zoneCounts(), states: c.tally.stateCounts(), tally: c.tally.summary, analysis: c.analyzer.End(end),
	}, nil
}

// simplify gives what the analysis takes of an entry.
func simplify(to *analysis.Entry, e *netlink.Entry) {
	to.Source, to.Destination, to.ReplySource = e.Orig.Src.As16(), e.Orig.Dst.As16(), e.Reply.Src.As16()
	to.SourcePort, to.DestinationPort = e.Orig.SrcPort, e.Orig.DstPort
	to.Mark, to.Zone, to.Protocol, to.State, to.Status = e.Mark, e.Zone, e.Protocol, 0, 0
	if e.Protocol == analysis.TCP {
		to.State = analysis.State(e.State)
	}
	if e.Unreplied() {
		to.Status |= analysis.Unreplied
	}
	if e.Status&netlink.Assured != 0 {
		to.Status |= analysis.Assured
	}
	if e.Offloaded() {
		to.Status |= analysis.Offloaded
	}
}

// observe a count of entries that was just read, and tell when the table will be
// full. Polls and Run observe in turn: to the forecaster a count that came before
// the last one is a new beginning.
func (c *Collector) observe(f facts) (analysis.Forecast, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forecaster.Observe(c.options.Now(), f.entries, f.limit)
	return c.forecaster.Forecast()
}

// filling is the event of a table that will be full soon.
type filling struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	Phase   string    `json:"phase"`
	Message string    `json:"message"`
	Entries uint64    `json:"entries"`
	Limit   uint64    `json:"limit"`
	Seconds float64   `json:"seconds,omitempty"`
}

// tell of floods that begin and end, and of a table that will soon be full.
func (c *Collector) tell(s *snapshot) {
	if c.options.Events == nil {
		return
	}
	if s.table != nil && s.read {
		for i := range s.table.analysis.Events {
			if e := &s.table.analysis.Events[i]; e.Phase != analysis.Ongoing {
				c.options.Events.Emit(c.flood(s.at, e))
			}
		}
	}
	is := s.growing && s.forecast.Soon()
	if is == c.filling {
		return
	}
	c.filling = is
	event := filling{Time: s.at, Event: "filling", Phase: "end", Message: "the table fills no more", Entries: s.facts.entries, Limit: s.facts.limit}
	if is {
		event.Phase, event.Seconds = "start", math.Round(s.forecast.Full.Seconds())
		event.Message = fmt.Sprintf("the table will be full in %s: %d of %d entries, and %.0f more each second", s.forecast.Full.Round(time.Second), s.facts.entries, s.facts.limit, s.forecast.Growth)
	}
	c.options.Events.Emit(event)
}

const (
	// minInterval of polls, whatever the table is like.
	minInterval = time.Second
	// restTimes as long as it took lie between two polls at least, unless the
	// configuration asks for more.
	restTimes = 5
)

// pace chooses when to poll next: at the interval until the table is half full,
// then more and more often, up to ten times when it is full.
func (c *Collector) pace(s *snapshot, took time.Duration) {
	interval := c.options.Interval
	if s.facts.limit > 0 {
		fill := float64(s.facts.entries) / float64(s.facts.limit)
		interval = time.Duration(float64(interval) * min(1, max(0.1, 1-1.8*(fill-0.5))))
	}
	interval = min(c.options.Interval, max(interval, minInterval, restTimes*took))
	next := c.checks.next(s, took, interval, c.options.Check)
	c.mu.Lock()
	c.interval = next
	if s.read {
		c.reads = interval
	}
	c.mu.Unlock()
}

// Interval implements collector.Pacer.
func (c *Collector) Interval() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interval
}

func (c *Collector) readInterval() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// Status implements collector.Reporter.
func (c *Collector) Status() []collector.Fact {
	s := c.snapshot.Load()
	if s == nil {
		return nil
	}
	rows := []collector.Fact{{Name: "Entries", Value: fmt.Sprintf("%d of %d", s.facts.entries, s.facts.limit), Bad: s.facts.entries*4 > s.facts.limit*3}}
	add := func(name, format string, args ...any) {
		rows = append(rows, collector.Fact{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	add("Dropped, evicted early, inserts that failed", "%d, %d, %d", s.totals[drop], s.totals[earlyDrop], s.totals[insertFailed])
	if s.table != nil {
		add("Read", "%d entries in %s; again %s later", s.table.entries, s.table.took.Round(time.Millisecond), c.readInterval().Round(time.Millisecond))
		add("Unreplied, half-open", "%d, %d", s.table.tally.unreplied, s.table.tally.halfOpen)
	}
	if s.growing {
		add("Full in", "%s, between %s and %s; confidence %.2f", s.forecast.Full.Round(time.Second), s.forecast.Earliest.Round(time.Second), s.forecast.Latest.Round(time.Second), s.forecast.Confidence)
	}
	if r := c.Report(); r.Top != nil {
		for _, list := range [...]struct {
			name string
			top  []Talker
		}{{"Most entries from", r.Top.Sources}, {"Most entries to", r.Top.Destinations}} {
			if len(list.top) > 0 {
				t := list.top[0]
				add(list.name, "%s %s: %d at least", t.Source+t.Destination, t.SourcePod+t.DestinationPod, t.AtLeast)
			}
		}
		for i := range r.Floods {
			rows = append(rows, collector.Fact{Name: r.Floods[i].Event + ", " + r.Floods[i].Phase, Value: r.Floods[i].Message, Bad: r.Floods[i].Phase != "end"})
		}
	}
	if err := errors.Join(s.why, s.unnamed); err != nil {
		rows = append(rows, collector.Fact{Name: "Missing", Value: missing(err), Bad: true})
	}
	return rows
}

// missing tells what to do about what cannot be read.
func missing(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "what the table consists of: " + err.Error() + "; give the agent the capability NET_ADMIN"
	}
	return err.Error()
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	c.metrics.describe(to)
	c.streamed.Describe(to)
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	if s := c.snapshot.Load(); s != nil {
		c.metrics.collect(s, c.options.Names, to)
	}
	if c.options.Stream {
		c.streamed.Collect(to)
	}
}

// familyName of 0 and 1, the indices of a tally.
func familyName(index int) string { return "ipv" + strconv.Itoa(4+2*index) }
