// Package ovs reads an Open vSwitch over its own sockets: tables, flows and
// ports of its bridges over OpenFlow, what they belong to from its database,
// and how the daemon does over unixctl. Of Antrea's bridges it says what the
// flows mean: why packets are dropped, what policies count, and which flows of
// a pod are missing. It runs no program, and changes nothing.
package ovs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
	"github.com/prometheus/client_golang/prometheus"
)

// Options of a Collector. What is left out has the default that New gives it.
type Options struct {
	// RunDir is the folder of the sockets; empty for the first of RunDirs that
	// has a bridge.
	RunDir string
	// Bridges to read; empty for all that have a socket.
	Bridges []string
	// Interval is that of the polls; FullInterval of those that read all flows,
	// which are further apart when they take long.
	Interval, FullInterval time.Duration
	// MaxSeries of a family with pods or rules.
	MaxSeries int
	Rules     *RuleBook        // nil for no names
	Events    collector.Events // nil for none
	Log       *slog.Logger
	Now       func() time.Time
}

// Name of the collector.
const Name = "ovs"

// Collector of one switch. It is a collector.Collector and collector.Reporter.
type Collector struct {
	options  Options
	known    *knowledge
	knownErr error // of antrea.yaml
	desc     *descriptions

	dir      string
	daemon   string // the control socket of ovs-vswitchd, which names its process
	restarts uint64
	bridges  map[string]*bridge
	order    []string
	runtime  *runtime
	problems map[string]string // that have been logged

	polling sync.Mutex // guards all above

	mu      sync.Mutex // guards what a poll publishes
	metrics []prometheus.Metric
	facts   []collector.Fact
}

// New gives a collector.
func New(o Options) *Collector {
	known, err := loadKnowledge("antrea.yaml", antreaYAML)
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.FullInterval <= 0 {
		o.FullInterval = DefaultFullInterval
	}
	if o.MaxSeries <= 0 {
		o.MaxSeries = 2000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Collector{
		options: o, known: known, knownErr: err, desc: newDescriptions(), bridges: map[string]*bridge{}, runtime: newRuntime(), problems: map[string]string{},
	}
}

// Intervals of a collector. A dump of all flows costs ovs-vswitchd about what
// ovs-ofctl dump-flows does.
const (
	DefaultInterval     = 15 * time.Second
	DefaultFullInterval = time.Minute
	// fullShare of the time at most goes by with dumps.
	fullShare = 50
)

// Name implements collector.Collector.
func (c *Collector) Name() string { return Name }

// Poll implements collector.Collector. A bridge that cannot be read is told by
// corkline_ovs_up, not by an error: what the others have is shown.
func (c *Collector) Poll(ctx context.Context) error { return c.poll(ctx, false) }

// PollAll reads all flows, whenever they were last read.
func (c *Collector) PollAll(ctx context.Context) error { return c.poll(ctx, true) }

func (c *Collector) poll(ctx context.Context, full bool) error {
	c.polling.Lock()
	defer c.polling.Unlock()
	if c.knownErr != nil {
		return fmt.Errorf("read what is known of Antrea: %w", c.knownErr)
	}
	dir, err := FindRunDir(c.options.RunDir)
	if err != nil && len(c.bridges) == 0 && len(c.options.Bridges) == 0 {
		return err
	}
	if err != nil { // it was there, or should be
		dir = c.dir
		if dir == "" {
			dir = c.options.RunDir
		}
	}
	c.open(dir)
	if err := c.findBridges(); err != nil && len(c.bridges) == 0 {
		return err
	}
	c.findDaemon(ctx)
	infos := c.readDatabase(ctx)
	for _, name := range c.order {
		b := c.bridges[name]
		if infos != nil {
			b.info = infos[name]
		}
		c.pollBridge(ctx, b, full)
	}
	if c.daemon != "" {
		c.problem("daemon", c.runtime.read(ctx, unixctl.Client{Path: c.daemon}))
	}
	c.publish()
	return nil
}

// open the folder; another one is another switch.
func (c *Collector) open(dir string) {
	if c.dir == dir {
		return
	}
	c.close()
	c.dir, c.daemon = dir, ""
	c.bridges, c.order, c.runtime = map[string]*bridge{}, nil, newRuntime()
}

// Close ends the connections. A poll opens them again.
func (c *Collector) Close() {
	c.polling.Lock()
	defer c.polling.Unlock()
	c.close()
}

func (c *Collector) close() {
	for _, b := range c.bridges {
		b.close()
	}
}

// Run implements collector.Runner: it ends the connections with ctx.
func (c *Collector) Run(ctx context.Context) {
	<-ctx.Done()
	c.Close()
}

// maxBridges are read; a node has a few.
const maxBridges = 32

// findBridges follows what comes and goes. A bridge whose socket is gone is
// down as long as its switch does not say that there is no such bridge.
func (c *Collector) findBridges() error {
	names, err := Bridges(c.dir)
	if len(c.options.Bridges) > 0 {
		names, err = c.options.Bridges, nil
	}
	for _, name := range names {
		if c.bridges[name] == nil && len(c.bridges) < maxBridges {
			c.bridges[name] = newBridge(name, c.dir, c.options.MaxSeries)
			c.order = append(c.order, name)
		}
	}
	return err
}

// findDaemon notices when ovs-vswitchd is another process.
func (c *Collector) findDaemon(ctx context.Context) {
	path, err := unixctl.Find(ctx, "ovs-vswitchd", c.dir)
	if errors.Is(err, fs.ErrPermission) {
		c.problem("daemon", err)
	}
	if err != nil || path == c.daemon {
		return
	}
	if c.daemon != "" {
		c.restarts++
		c.options.Log.Warn("ovs-vswitchd has restarted", "socket", path)
		c.emit(event{Event: "switch_restarted"})
		for _, b := range c.bridges {
			b.close()
			b.restarted()
		}
		c.runtime.restarted()
	}
	c.daemon = path
}

func (c *Collector) readDatabase(ctx context.Context) map[string]*bridgeInfo {
	infos, err := readDatabase(ctx, c.databasePath())
	c.problem("database", err)
	if err != nil {
		return nil
	}
	if len(c.options.Bridges) == 0 { // of those that are gone nothing is told
		c.order = slices.DeleteFunc(c.order, func(name string) bool {
			gone := infos[name] == nil && !c.bridges[name].up
			if gone {
				c.bridges[name].close()
				delete(c.bridges, name)
			}
			return gone
		})
	}
	return infos
}

func (c *Collector) databasePath() string { return filepath.Join(c.dir, databaseSocket) }

// bridgeInfo asks the database again.
func (c *Collector) bridgeInfo(ctx context.Context, name string) *bridgeInfo {
	infos, err := readDatabase(ctx, c.databasePath())
	if err != nil {
		return nil
	}
	return infos[name]
}

func (c *Collector) pollBridge(ctx context.Context, b *bridge, full bool) {
	now := c.options.Now()
	due := full || now.Sub(b.fullAt) >= max(c.options.FullInterval, fullShare*b.fullLasted)-c.options.Interval/2
	before, round, hadRound, last := b.pipeline, b.round, b.hasRound, b.fullAt
	err := b.poll(ctx, c, due)
	wasUp, known := b.up, b.err != nil || b.up
	b.up, b.err = err == nil, err
	c.problem("bridge "+b.name, err)
	switch {
	case err != nil:
		if wasUp {
			c.emit(event{Event: "bridge_down", Bridge: b.name, Reason: err.Error()})
		}
		return
	case !wasUp && known:
		c.emit(event{Event: "bridge_up", Bridge: b.name})
	}
	if of := b.pipeline.of; of != nil && (before == nil || before.of != of) {
		c.emit(event{Event: "pipeline_recognized", Bridge: b.name, Pipeline: of.Name})
	}
	if b.fullAt.Equal(last) {
		return
	}
	if hadRound && b.hasRound && round != b.round {
		n := int(b.round)
		c.emit(event{Event: "agent_restarted", Bridge: b.name, Round: &n})
	}
	if r := &b.book.round; !last.IsZero() && r.adds+r.deletes+r.modifications > 0 {
		c.emit(event{
			Event: "flow_churn", Bridge: b.name, Flows: &r.flows, Adds: &r.adds, Deletes: &r.deletes, Modifications: &r.modifications,
			Seconds: b.fullAt.Sub(last).Seconds(),
		})
	}
}

// problem logs an error when it is another than before.
func (c *Collector) problem(of string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == c.problems[of] {
		return
	}
	c.problems[of] = text
	if err != nil {
		c.options.Log.Warn("cannot read all of Open vSwitch", "part", of, "error", err)
	} else {
		c.options.Log.Info("reads it again", "part", of)
	}
}

// Status implements collector.Reporter.
func (c *Collector) Status() []collector.Fact {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.facts
}

// findFacts says how it is.
func (c *Collector) findFacts() []collector.Fact {
	facts := []collector.Fact{{Name: "folder", Value: c.dir}}
	now := c.options.Now()
	for _, name := range c.order {
		b := c.bridges[name]
		fact := collector.Fact{Name: "bridge " + name, Bad: !b.up || len(b.checks.broken) > 0}
		if !b.up {
			fact.Value = "down: " + fmt.Sprint(b.err)
			facts = append(facts, fact)
			continue
		}
		what := "not Antrea's"
		if b.pipeline.of != nil {
			what = b.pipeline.of.About
		}
		fact.Value = fmt.Sprintf("OpenFlow %s, %s; %d flows, read %s in %s", b.version, what, b.book.round.flows, since(now, b.fullAt), b.fullLasted.Round(time.Millisecond))
		if n := len(b.checks.broken); n > 0 {
			fact.Value += fmt.Sprintf("; %d invariants broken", n)
		}
		facts = append(facts, fact)
	}
	for _, part := range slices.Sorted(maps.Keys(c.problems)) {
		if text := c.problems[part]; text != "" && !strings.HasPrefix(part, "bridge ") {
			facts = append(facts, collector.Fact{Name: part, Value: text, Bad: true})
		}
	}
	return facts
}
