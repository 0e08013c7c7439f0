package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/exporter/spool"
)

// collectorKind is a collector that the agent can run.
type collectorKind struct {
	name  string // the key below collectors
	about string // for the status page
	poll  func(*CollectorsConfig) pollConfig
	// config that it is opened with: it is restarted when that changes.
	config func(*CollectorsConfig) any
	open   func(*Config, collectorTools) collector.Collector
	// example has one series of every family, and cannot be polled.
	example func() collector.Collector
}

// collectorTools are what a collector is given to work with.
type collectorTools struct {
	events collector.Events
	rules  *ovs.RuleBook // that the network-policy log fills
	log    *slog.Logger
	now    func() time.Time
}

// collectorKinds in the order of the status page.
func collectorKinds() []collectorKind {
	return []collectorKind{conntrackKind(), ovsKind()}
}

// eventSpoolBytes of a collector's events wait on disk at most.
const eventSpoolBytes = 16 << 20

// staleAfter so many intervals without a good poll a collector's metrics go.
const staleAfter = 3

// runningCollector polls. It outlives a reload that changes nothing about it.
type runningCollector struct {
	collectorKind
	collector.Collector
	config  any
	pace    pollConfig
	metrics *collectorMetrics
	spool   *spool.Spool
	log     *slog.Logger
	now     func() time.Time
	cancel  context.CancelFunc
	ended   chan error

	mu       sync.Mutex
	err      error // of the last poll
	logged   string
	success  time.Time // of the last good poll
	interval time.Duration
}

// startCollectors ends the collectors that are not as the configuration has
// them, and starts those that are missing. They go on until ctx ends.
func (a *Agent) startCollectors(ctx context.Context) error {
	wanted := map[string]collectorKind{}
	for _, k := range a.kinds {
		if k.poll(&a.config.Collectors).enabled {
			wanted[k.name] = k
		}
	}
	err := a.stopCollectors(func(r *runningCollector) bool {
		k, is := wanted[r.name]
		return is && reflect.DeepEqual(r.config, k.config(&a.config.Collectors))
	})
	if err != nil {
		a.log.Error("stop a collector", "error", err)
	}
	for _, k := range a.kinds {
		if _, is := wanted[k.name]; !is || a.collector(k.name) != nil {
			continue
		}
		r, err := a.newCollector(ctx, k)
		if err != nil {
			return fmt.Errorf("start collector %s: %w", k.name, err)
		}
		a.mu.Lock()
		a.running[k.name] = r
		a.mu.Unlock()
	}
	return nil
}

func (a *Agent) newCollector(ctx context.Context, k collectorKind) (*runningCollector, error) {
	r := &runningCollector{
		collectorKind: k, config: k.config(&a.config.Collectors), pace: k.poll(&a.config.Collectors),
		metrics: a.polled.of(k.name), log: a.log.With("collector", k.name), now: a.now, cancel: func() {}, ended: make(chan error, 1),
	}
	r.interval = r.pace.interval
	var err error
	r.spool, err = spool.Open(spool.Options{
		Dir: a.config.spoolDir(eventsOf(k.name)), Limit: eventSpoolBytes, Metrics: r.metrics.spool, Log: a.log, Now: a.now,
	})
	if err != nil {
		return nil, err
	}
	if a.options.Once { // takes what the spool has
		r.ended <- nil
		return r, nil
	}
	r.Collector = k.open(a.config, collectorTools{events: r, rules: a.rules, log: r.log, now: a.now})
	ctx, r.cancel = context.WithCancel(ctx)
	go func() { r.ended <- r.run(ctx) }() // waited for by stopCollectors
	return r, nil
}

// stopCollectors ends the collectors but for those to keep.
func (a *Agent) stopCollectors(keep func(*runningCollector) bool) error {
	a.mu.Lock()
	var stopped []*runningCollector
	for name, r := range a.running {
		if !keep(r) {
			r.cancel()
			stopped = append(stopped, r)
			delete(a.running, name)
		}
	}
	a.mu.Unlock()
	var errs []error
	for _, r := range stopped {
		errs = append(errs, <-r.ended)
		a.polled.forget(r.name)
	}
	return errors.Join(errs...)
}

func (a *Agent) collector(name string) *runningCollector {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running[name]
}

// run polls until ctx ends.
func (r *runningCollector) run(ctx context.Context) error {
	var wait sync.WaitGroup
	if runner, is := r.Collector.(collector.Runner); is {
		wait.Go(func() { runner.Run(ctx) })
	}
	for ctx.Err() == nil {
		timer := time.NewTimer(r.poll(ctx))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	wait.Wait()
	return r.spool.Close()
}

// poll once, and give the time until the next.
func (r *runningCollector) poll(parent context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(parent, r.pace.timeout)
	defer cancel()
	start := r.now()
	err := r.Poll(ctx)
	end := r.now()
	if parent.Err() != nil {
		return 0 // cut short
	}
	interval := r.pace.interval
	if pacer, is := r.Collector.(collector.Pacer); is && err == nil {
		interval = pacer.Interval()
	}
	absent := errors.Is(err, fs.ErrNotExist)
	r.metrics.polled(err == nil, absent, start, end)
	if err := r.spool.Sync(); err != nil {
		r.log.Error("make events durable", "error", err)
	}

	r.mu.Lock()
	r.err, r.interval = err, interval
	if err == nil {
		r.success = end
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	changed := text != r.logged
	r.logged = text
	r.mu.Unlock()
	switch {
	case !changed:
	case err == nil:
		r.log.Info("polling goes on")
	case absent:
		r.log.Info("nothing to poll on this node", "reason", err)
	default:
		r.log.Warn("poll", "error", err)
	}
	return interval
}

// fresh tells whether what the last good poll found may still be shown.
func (r *runningCollector) fresh() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.success.IsZero() && r.now().Sub(r.success) <= staleAfter*r.interval+r.pace.timeout
}

// Emit implements collector.Events.
func (r *runningCollector) Emit(event any) {
	line, err := json.Marshal(event)
	taken := false
	if err == nil {
		taken, err = r.spool.Offer(append(line, '\n'))
	}
	if taken {
		r.metrics.events.Inc()
		return
	}
	r.metrics.eventsDropped.Inc()
	if err != nil {
		r.log.Error("write an event", "error", err)
	}
}

// collectorSet gives the metrics of the collectors that run.
type collectorSet struct {
	kinds   []collectorKind
	running func() []*runningCollector
}

// Describe implements prometheus.Collector, for those that do not run as well.
func (s collectorSet) Describe(to chan<- *prometheus.Desc) {
	for _, k := range s.kinds {
		k.example().Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (s collectorSet) Collect(to chan<- prometheus.Metric) {
	if s.running == nil {
		for _, k := range s.kinds {
			k.example().Collect(to)
		}
		return
	}
	for _, r := range s.running() {
		if r.fresh() {
			r.Collect(to)
		}
	}
}

// runningCollectors in the order of their kinds; none with Once.
func (a *Agent) runningCollectors() (all []*runningCollector) {
	for _, k := range a.kinds {
		if r := a.collector(k.name); r != nil && r.Collector != nil {
			all = append(all, r)
		}
	}
	return all
}

// polledMetrics are those of all collectors.
type polledMetrics struct {
	up, absent, duration, success        *prometheus.GaugeVec
	polls, events, dropped, failedWrites *prometheus.CounterVec
	spoolBytes, spoolLimit               *prometheus.GaugeVec
}

// collectorMetrics are those of one.
type collectorMetrics struct {
	up, absent, duration, success prometheus.Gauge
	good, bad                     prometheus.Counter
	events, eventsDropped         prometheus.Counter
	spool                         spool.Metrics
}

func newPolledMetrics(reg prometheus.Registerer) *polledMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "corkline_collector_" + name, Help: help}, append(labels, "collector"))
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "corkline_collector_" + name, Help: help}, []string{"collector"})
		reg.MustRegister(g)
		return g
	}
	return &polledMetrics{
		up:           gauge("up", "Whether the last poll was good (1), or failed (0); see absent."),
		absent:       gauge("absent", "Whether this node has nothing to poll (1)."),
		duration:     gauge("poll_duration_seconds", "How long the last poll took."),
		success:      gauge("last_success_timestamp_seconds", "When a poll was last good; 0 for never."),
		polls:        counter("polls_total", "Polls by their result: success or failure.", "result"),
		events:       counter("events_total", "Events that were written to the spool, from which they are read like a log."),
		dropped:      counter("events_dropped_total", "Events that were lost because the spool was full or could not be written."),
		spoolBytes:   gauge("spool_bytes", "Bytes in spool files of events: what has yet to be delivered, and what shares a file with it."),
		spoolLimit:   gauge("spool_limit_bytes", "What the spool files of events may have."),
		failedWrites: counter("spool_write_failures_total", "Tries to write a spool file of events that failed."),
	}
}

// of one collector; they begin at 0.
func (m *polledMetrics) of(name string) *collectorMetrics {
	return &collectorMetrics{
		up: m.up.WithLabelValues(name), absent: m.absent.WithLabelValues(name), duration: m.duration.WithLabelValues(name), success: m.success.WithLabelValues(name),
		good: m.polls.WithLabelValues("success", name), bad: m.polls.WithLabelValues("failure", name),
		events: m.events.WithLabelValues(name), eventsDropped: m.dropped.WithLabelValues(name),
		spool: spool.Metrics{Bytes: m.spoolBytes.WithLabelValues(name), Limit: m.spoolLimit.WithLabelValues(name), WriteFailures: m.failedWrites.WithLabelValues(name)},
	}
}

// forget the gauges of a collector that does not run any more.
func (m *polledMetrics) forget(name string) {
	for _, gauge := range []*prometheus.GaugeVec{m.up, m.absent, m.duration, m.success, m.spoolBytes, m.spoolLimit} {
		gauge.DeleteLabelValues(name)
	}
}

func (m *collectorMetrics) polled(good, absent bool, start, end time.Time) {
	m.up.Set(number(good))
	m.absent.Set(number(absent))
	m.duration.Set(end.Sub(start).Seconds())
	if good {
		m.good.Inc()
		m.success.Set(float64(end.UnixNano()) / 1e9)
	} else {
		m.bad.Inc()
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// collectorStatus is what the status page shows of a collector.
type collectorStatus struct {
	Name, About string
	Board       string // its address; empty without
	State       string
	Good        bool
	Facts       []collector.Fact
}

// status of a collector; absent when this node has nothing for it.
func (r *runningCollector) status(now time.Time) (s collectorStatus, absent bool) {
	r.mu.Lock()
	err, success := r.err, r.success
	r.mu.Unlock()
	s = collectorStatus{Name: r.name, About: r.about, Good: err == nil}
	switch {
	case err != nil:
		s.State = err.Error()
	case success.IsZero():
		s.State = "not polled yet"
	}
	if !success.IsZero() {
		if s.State != "" {
			s.State += "; "
		}
		s.State += "last polled " + now.Sub(success).Round(time.Second).String() + " ago"
	}
	if reporter, is := r.Collector.(collector.Reporter); is {
		s.Facts = reporter.Status()
	}
	return s, errors.Is(err, fs.ErrNotExist)
}
