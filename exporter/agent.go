// Package exporter is the agent: it follows log files, turns their lines into
// Prometheus metrics and Loki streams, and commits a file's position when its
// lines are safe.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/exporter/sink/archive"
	"github.com/corkline/corkline/exporter/sink/loki"
	"github.com/corkline/corkline/exporter/source/syslog"
	"github.com/corkline/corkline/exporter/source/tail"
	"github.com/corkline/corkline/parsers"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Job is the value of the stream label job.
const Job = "corkline"

// Options of an Agent.
type Options struct {
	// ConfigFile is watched and read again, as is its folder of definitions;
	// empty when the agent runs on defaults.
	ConfigFile string
	Config     *Config
	// Once ends Run when everything that the files hold has been consumed.
	Once     bool
	Version  string
	Revision string
	Log      *slog.Logger
	// Reload asks for the configuration to be read again.
	Reload <-chan os.Signal
	// Client for Loki; nil for the sink's own.
	Client *http.Client
	// Now is the clock; nil for time.Now.
	Now func() time.Time

	kinds []collectorKind // nil for all
}

// Agent follows the configured sources.
type Agent struct {
	options  Options
	config   *Config
	log      *slog.Logger
	now      func() time.Time
	started  time.Time
	registry *prometheus.Registry
	ledger   *ledger
	families *Catalogue
	push     *loki.Metrics
	archived *archive.Metrics
	budget   *loki.Budget
	own      ownMetrics
	syslog   *syslog.Metrics
	polled   *polledMetrics
	kinds    []collectorKind
	rules    *ovs.RuleBook // names that the network-policy log has shown

	positions *tail.Positions
	listener  net.Listener
	ready     chan struct{} // closed when the sources have had their first look
	look      time.Duration // between two looks at the configuration's files

	mu        sync.Mutex // guards what follows and config, which a reload replaces
	sink      *loki.Sink
	archive   *archive.Archive
	receivers map[string]*syslogSource // by source
	running   map[string]*runningCollector
}

// ownMetrics are the agent's that belong to no source.
type ownMetrics struct {
	reloadSuccessful prometheus.Gauge
	reloadTime       prometheus.Gauge
	positionFailures prometheus.Counter
}

// New opens the state folder and the listener. Its errors say what to change.
func New(o Options) (*Agent, error) {
	a := &Agent{
		options: o, config: o.Config, log: o.Log, now: o.Now,
		registry: prometheus.NewRegistry(), ledger: newLedger(), ready: make(chan struct{}), look: watchInterval,
		receivers: map[string]*syslogSource{}, running: map[string]*runningCollector{}, kinds: o.kinds, rules: ovs.NewRuleBook(),
	}
	if a.kinds == nil {
		a.kinds = collectorKinds()
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.started = a.now()
	a.families = NewCatalogue(a.registry, o.Config.MaxSeries)
	a.budget = loki.NewBudget(a.registry, o.Config.MaxLabelValues)
	a.registerOwn()
	a.registry.MustRegister(collectorSet{a.kinds, a.runningCollectors})
	positions, damaged, err := tail.OpenPositions(o.Config.StateDir)
	if err != nil {
		return nil, fmt.Errorf("open state_dir: %w", err)
	}
	for _, err := range damaged {
		a.log.Warn("set aside a damaged position; its file is read from the beginning", "error", err)
	}
	a.positions = positions
	for source, note := range positions.Notes() {
		kept, err := decodeAccount(source, note)
		if err != nil {
			a.log.Warn("begin a new account", "error", err)
			continue
		}
		a.ledger.account(source).restore(kept)
	}
	if !o.Once {
		if a.listener, err = net.Listen("tcp", o.Config.Listen); err != nil {
			return nil, errors.Join(fmt.Errorf("listen for /metrics (key listen): %w", err), positions.Close())
		}
	}
	return a, nil
}

func (a *Agent) registerOwn() {
	a.push = loki.NewMetrics(a.registry)
	a.archived = archive.NewMetrics(a.registry)
	a.syslog = syslog.NewMetrics(a.registry)
	a.polled = newPolledMetrics(a.registry)
	a.own = ownMetrics{
		reloadSuccessful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "corkline_pipeline_config_last_reload_successful", Help: "Whether the configuration was good when it was last read (1), or refused while the one before goes on (0).",
		}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "corkline_pipeline_config_last_reload_success_timestamp_seconds", Help: "When a configuration was last taken.",
		}),
		positionFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "corkline_pipeline_position_write_failures_total", Help: "Commits of file positions that could not be written to state_dir; lines since then are sent again after a crash.",
		}),
	}
	a.own.reloadSuccessful.Set(1)
	a.own.reloadTime.Set(float64(a.started.Unix()))
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "corkline_build_info", Help: "Version of the agent; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": a.options.Version, "revision": a.options.Revision, "goversion": runtime.Version()},
	})
	build.Set(1)
	a.registry.MustRegister(a.ledger, a.own.reloadSuccessful, a.own.reloadTime, a.own.positionFailures, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

// Addr is where /metrics is served; empty with Once.
func (a *Agent) Addr() string {
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

// Gatherer gives the agent's metrics.
func (a *Agent) Gatherer() prometheus.Gatherer { return a.registry }

// Run follows the sources until ctx ends, then lets what is at Loki finish
// within the shutdown timeout. With Once it returns when all is consumed; its
// error then says what could not be.
func (a *Agent) Run(ctx context.Context) (err error) {
	defer func() {
		if err := a.positions.Sync(); err != nil { // what tailers learned at their end
			a.log.Error("commit positions", "error", err)
		}
		err = errors.Join(err, a.stopCollectors(func(*runningCollector) bool { return false }),
			a.stopSyslog(func(*syslogSource) bool { return false }), a.positions.Close())
	}()
	stopServer := a.serve()
	defer stopServer()
	first := true
	for {
		changed, err := a.generation(ctx, first)
		if err != nil || changed == nil {
			return err
		}
		first = false
		a.mu.Lock()
		a.config = changed
		a.mu.Unlock()
		a.log.Info("configuration taken", "file", a.options.ConfigFile)
	}
}

// generation runs one configuration until ctx ends (no changed configuration)
// or a new one is taken.
func (a *Agent) generation(parent context.Context, first bool) (changed *Config, err error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	store, s3, err := a.openArchive()
	if err == nil {
		defer func() {
			err = errors.Join(err, store.Close())
			if s3 != nil {
				err = errors.Join(err, s3.Close())
			}
		}()
		a.mu.Lock()
		a.archive = store
		a.mu.Unlock()
	}
	if err == nil {
		err = a.startSyslog(parent)
	}
	if err == nil {
		err = a.startCollectors(parent)
	}
	var pipelines []*pipeline
	if err == nil {
		pipelines, err = a.build()
	}
	if err != nil {
		if first {
			return nil, err
		}
		return nil, fmt.Errorf("start with the new configuration: %w", err)
	}
	defer func() {
		for _, p := range pipelines {
			err = errors.Join(err, p.tailer.Close())
		}
		if a.sink != nil {
			err = errors.Join(err, a.sink.Close())
		}
	}()
	a.retain()
	if first {
		close(a.ready)
	}

	// What is at the sink when ctx ends has until abort ends.
	timeout := a.config.ShutdownTimeout // a.config may be another by then
	abort, abortNow := context.WithCancel(context.WithoutCancel(parent))
	defer abortNow()
	stopped := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(timeout, abortNow)
		context.AfterFunc(abort, func() { timer.Stop() })
	})
	defer stopped()

	var wait sync.WaitGroup
	results := make([]error, len(pipelines))
	for i, p := range pipelines {
		wait.Go(func() { results[i] = p.run(ctx, abort, a.options.Once) })
	}
	var uploads sync.WaitGroup
	if !a.options.Once {
		uploads.Go(func() { store.Run(ctx) })
		changed = a.watch(ctx)
		cancel()
	}
	wait.Wait()
	uploads.Wait()
	for i, err := range results {
		if err != nil && isStop(err) && !a.options.Once {
			a.log.Warn("stopped before all was shipped; the lines stay in their files", "source", pipelines[i].source, "waiting", pipelines[i].account.waiting.Load())
			results[i] = nil
		}
	}
	if a.options.Once {
		results = append(results, a.unread(pipelines))
		flush, cancel := context.WithTimeout(parent, timeout)
		defer cancel()
		if err := store.Flush(flush); err != nil {
			a.log.Warn("segments of the archive stay on disk until the next run", "error", err)
		}
	}
	return changed, errors.Join(results...)
}

// retain forgets the positions of sources that are not configured any more.
func (a *Agent) retain() {
	sources := make([]string, 0, len(a.config.Sources))
	for _, s := range a.config.Sources {
		sources = append(sources, s.Name)
	}
	forgotten, err := a.positions.Retain(sources, a.now())
	if err != nil {
		a.log.Error("forget positions", "error", err)
	}
	for source, n := range forgotten {
		a.log.Info("forget the positions of a source that is not configured any more", "source", source, "files", n, "after", tail.UnusedTime)
	}
}

// unread is the error for sources that a run with Once could not read whole.
func (a *Agent) unread(pipelines []*pipeline) error {
	var errs []error
	for _, p := range pipelines {
		if n := p.account.readErrors.Load(); n > 0 {
			errs = append(errs, fmt.Errorf("source %q: %d of its files could not be read", p.source, n))
		}
	}
	return errors.Join(errs...)
}

// build makes the pipelines of the current configuration.
func (a *Agent) build() (pipelines []*pipeline, err error) {
	c := a.config
	var sink Sink
	a.mu.Lock()
	a.sink = nil
	if c.Loki.URL != "" {
		o := c.Loki.options()
		o.Labels = []loki.Label{{Name: "job", Value: Job}, {Name: "cluster", Value: c.Cluster}, {Name: "node", Value: c.Node}}
		o.Budget = a.budget
		o.UserAgent = "corkline/" + a.options.Version
		o.Client, o.Metrics, o.Refused, o.Log = a.options.Client, a.push, a.refused, a.log
		a.sink, err = loki.New(o)
		if c.Loki.insecure() {
			a.log.Warn("loki.url is http: credentials and lines can be read on the way", "loki", c.Loki.Address())
		}
		sink = a.sink
	}
	a.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("make the Loki sink: %w", err)
	}
	if sink == nil {
		a.log.Info("metrics only: loki.url is not set, so lines feed metrics and are not shipped")
	}
	for _, s := range c.Sources {
		var definitions []*parsers.Definition
		var feeders []*Feeder
		var shown []func(*parsers.Record)
		for _, name := range s.DefinitionNames() {
			d := c.library.Set[name]
			if s.Redact != nil && !*s.Redact {
				d = d.Unredacted()
			}
			feeder, err := a.families.Feeder(d)
			if err != nil {
				return nil, fmt.Errorf("register metrics: %w", err)
			}
			definitions, feeders, shown = append(definitions, d), append(feeders, feeder), append(shown, shower(d, a.rules))
			for _, field := range d.StreamLabels {
				a.budget.Declare(s.Name, d.Fields[field].Name)
			}
		}
		options := tail.Options{Source: s.Name, Files: s.Files, Positions: a.positions, MaxLineBytes: c.MaxLineBytes, Spread: maxSpread, Now: a.now}
		if !s.spooled() { // whose lines are whole
			options.Framer = definitions[0].NewFramer(c.MaxLineBytes)
		}
		tailer, err := tail.New(options)
		if err != nil {
			return nil, fmt.Errorf("follow source %q: %w", s.Name, err)
		}
		parser := parsers.NewParser(definitions...)
		if s.zone != nil {
			parser.In(s.zone)
		}
		pipelines = append(pipelines, &pipeline{
			source: s.Name, definitions: definitions, tailer: tailer, positions: a.positions, sink: sink,
			parser: parser, feeders: feeders, shown: shown, account: a.ledger.account(s.Name), log: a.log,
			poll: c.PollInterval, maxLine: c.MaxLineBytes, implied: s.implied || s.spooled(), now: a.now, unwritten: a.own.positionFailures,
			spool: a.spool(s.Name), onCommit: a.archive.Committed, onIdle: func() { a.archive.Idle(s.Name) },
		})
	}
	return pipelines, nil
}

// refused puts records into the archive that Loki will not have.
func (a *Agent) refused(_ context.Context, b *parsers.Batch, records []int32, reason string) error {
	entries := make([]archive.Entry, 0, len(records))
	err := a.sink.Entries(b, records, func(labels [][2]string, e loki.Entry) error {
		entries = append(entries, archive.Entry{
			Time: e.Time, Source: b.Source, Labels: labels, Line: e.Line, Metadata: e.Metadata, Reason: reason,
		})
		return nil
	})
	if err != nil {
		return err
	}
	return a.archive.Store(b, entries)
}

// watchInterval is how often the configuration's files are looked at; mounted
// ConfigMaps change by a swapped link, which only the content tells for sure.
const watchInterval = 5 * time.Second

// watch returns a changed configuration that is good, or nil when ctx ends.
func (a *Agent) watch(ctx context.Context) *Config {
	ticker := time.NewTicker(a.look)
	defer ticker.Stop()
	daily := time.NewTicker(24 * time.Hour)
	defer daily.Stop()
	// Of what was read, not of what is there by now: the generation before may
	// have taken its time to end.
	in, last := a.config.inputs, a.config.digest
	for {
		asked := false
		select {
		case <-ctx.Done():
			return nil
		case <-a.options.Reload:
			asked = true
		case <-daily.C:
			a.retain()
			continue
		case <-ticker.C:
		}
		if in.digestNow(a.options.ConfigFile) == last && !asked {
			continue
		}
		changed, err := readConfig(a.options.ConfigFile)
		in, last = changed.inputs, changed.digest // of a refused one, too: what it names may become good
		if err == nil {
			err = a.replaceable(changed)
		}
		if err == nil {
			err = a.canListen(ctx, changed)
		}
		if err != nil {
			a.own.reloadSuccessful.Set(0)
			a.log.Error("refuse the new configuration; the one before goes on", "error", err)
			continue
		}
		a.own.reloadSuccessful.Set(1)
		a.own.reloadTime.Set(float64(a.now().Unix()))
		return changed
	}
}

// replaceable tells whether the running agent can take a configuration.
func (a *Agent) replaceable(c *Config) error {
	switch {
	case c.Listen != a.config.Listen:
		return errors.New("listen has changed, which takes a restart")
	case c.StateDir != a.config.StateDir:
		return errors.New("state_dir has changed, which takes a restart")
	case c.MaxSeries != a.config.MaxSeries:
		return errors.New("max_series has changed, which takes a restart")
	case c.MaxLabelValues != a.config.MaxLabelValues:
		return errors.New("max_label_values has changed, which takes a restart")
	}
	for _, s := range c.Sources {
		for _, name := range s.DefinitionNames() {
			if err := a.families.mismatch(c.library.Set[name]); err != nil {
				return fmt.Errorf("metrics differ from the running ones, which takes a restart: %w", err)
			}
		}
	}
	return nil
}

// Summary writes what became of the lines of each source.
func (a *Agent) Summary(w io.Writer) error {
	for _, name := range a.ledger.names() {
		s := a.ledger.account(name)
		if _, err := fmt.Fprintf(w, "%s: read %d, parsed %d, unparsed %d, shipped %d, dead-lettered %d, dropped %d, lost %d, waiting %d\n", name,
			s.read.Load(), s.parsed.Load(), s.unparsed.Load(), s.shipped.Load(), s.deadLettered.Load(), s.dropped.Load(), s.lost.Load(), s.waiting.Load()); err != nil {
			return err
		}
	}
	return nil
}
