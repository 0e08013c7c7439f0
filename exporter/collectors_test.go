package exporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/corkline/corkline/exporter/collector"
)

// fake is a collector whose polls a test decides.
type fake struct {
	desc   *prometheus.Desc
	events collector.Events
	polls  chan poll     // what the next polls are told to do
	runs   chan struct{} // closed when Run ends

	mu    sync.Mutex
	value float64
}

type poll struct {
	err   error
	value float64
	event any
}

func newFake() *fake {
	return &fake{
		desc:  prometheus.NewDesc("corkline_conntrack_entries", "Entries.", nil, nil),
		polls: make(chan poll), runs: make(chan struct{}),
	}
}

func (f *fake) Name() string                        { return "conntrack" }
func (f *fake) Describe(to chan<- *prometheus.Desc) { to <- f.desc }
func (f *fake) Interval() time.Duration             { return time.Millisecond }
func (f *fake) Status() []collector.Fact {
	return []collector.Fact{{Name: "Colour", Value: "blue", Bad: true}}
}

func (f *fake) Collect(to chan<- prometheus.Metric) {
	f.mu.Lock()
	defer f.mu.Unlock()
	to <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, f.value)
}

func (f *fake) Poll(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case p := <-f.polls:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.value = p.value
		if p.event != nil {
			f.events.Emit(p.event)
		}
		return p.err
	}
}

func (f *fake) Run(ctx context.Context) {
	<-ctx.Done()
	close(f.runs)
}

// newCollectorBench has a collector in place of that of conntrack.
func newCollectorBench(t *testing.T, loki *receiver) (b *bench, opened chan *fake) {
	b = newBench(t, loki)
	b.conntrack = "interval: 1s"
	opened = make(chan *fake, 10)
	kind := conntrackKind()
	kind.open = func(_ *Config, tools collectorTools) collector.Collector {
		f := newFake()
		f.events = tools.events
		opened <- f
		return f
	}
	kind.example = func() collector.Collector { return newFake() }
	b.kinds = []collectorKind{kind}
	return b, opened
}

// exposes waits until the agent has lines like these, and none that begins with
// one after "!".
func (b *bench) exposes(want ...string) {
	b.t.Helper()
	b.eventually("metrics", func() error {
		_, body := b.get("GET", "/metrics")
		for _, line := range want {
			absent := strings.HasPrefix(line, "!")
			if strings.Contains("\n"+body, "\n"+strings.TrimPrefix(line, "!")) == absent {
				return fmt.Errorf("%s\n%s", line, body)
			}
		}
		return nil
	})
}

func TestAgent_Collector(t *testing.T) {
	loki := newReceiver(t)
	b, opened := newCollectorBench(t, loki)
	b.start()
	f := <-opened
	b.exposes("!corkline_conntrack_entries ", `corkline_collector_up{collector="conntrack"} 0`)

	event := func(n int) string {
		return fmt.Sprintf(`{"time":"2026-11-21T18:00:00.00000000%dZ","event":"flood","phase":"start"}`, n)
	}
	type emitted struct {
		Time  string `json:"time"`
		Event string `json:"event"`
		Phase string `json:"phase"`
	}
	emit := func(n int) emitted {
		return emitted{fmt.Sprintf("2026-11-21T18:00:00.00000000%dZ", n), "flood", "start"}
	}
	f.polls <- poll{value: 7, event: emit(1)}
	b.arrived(event(1))
	b.exposes("corkline_conntrack_entries 7\n", `corkline_collector_up{collector="conntrack"} 1`, `corkline_collector_absent{collector="conntrack"} 0`,
		`corkline_collector_polls_total{collector="conntrack",result="success"} 1`, `corkline_collector_events_total{collector="conntrack"} 1`,
		`corkline_conntrack_events_total{event="flood",phase="start"} 1`)
	if _, page := b.get("GET", "/"); !strings.Contains(page, "last polled ") || !strings.Contains(page, `<td class="bad">blue</td>`) {
		t.Errorf("the page does not show the collector:\n%s", page)
	}

	f.polls <- poll{value: 7, event: func() {}} // cannot be written as JSON
	f.polls <- poll{err: errors.New("the colour is wrong"), value: 7}
	b.exposes("corkline_conntrack_entries 7\n", `corkline_collector_up{collector="conntrack"} 0`, `corkline_collector_events_dropped_total{collector="conntrack"} 1`,
		`corkline_collector_polls_total{collector="conntrack",result="failure"} 1`)
	b.says("the colour is wrong")
	f.polls <- poll{err: fmt.Errorf("read: %w", fs.ErrNotExist)}
	b.exposes(`corkline_collector_absent{collector="conntrack"} 1`)
	_, page := b.get("GET", "/")
	if _, absent, _ := strings.Cut(page, "Not on this node"); !strings.Contains(absent, "read: file does not exist") {
		t.Errorf("the page does not show that there is nothing:\n%s", page)
	}
	b.stop()
	<-f.runs
	if err := b.once(); err != nil { // polls nothing
		t.Fatal(err)
	}
	if len(opened) > 0 {
		t.Error("a run with Once polls")
	}
}

// What a collector has found goes when nothing is found any more.
func TestRunningCollector_Fresh(t *testing.T) {
	now := time.Now()
	r := &runningCollector{interval: 10 * time.Second, pace: pollConfig{timeout: 5 * time.Second}, now: func() time.Time { return now }}
	if r.fresh() {
		t.Error("fresh before the first poll")
	}
	r.success = now
	now = now.Add(35 * time.Second)
	if !r.fresh() {
		t.Error("stale within three intervals and a poll")
	}
	now = now.Add(time.Second)
	if r.fresh() {
		t.Error("fresh after three intervals and a poll")
	}
}

// A reload leaves a collector alone unless it changes its configuration.
func TestAgent_CollectorReload(t *testing.T) {
	b, opened := newCollectorBench(t, nil)
	b.start()
	first := <-opened
	first.polls <- poll{value: 1}
	b.exposes("corkline_conntrack_entries 1\n")
	reload := func(successes float64) {
		t.Helper()
		b.config() // writes it
		b.reload <- syscall.SIGHUP
		b.eventually("the new configuration", func() error {
			if n := strings.Count(b.log.String(), "configuration taken"); n < int(successes) {
				return fmt.Errorf("%d are taken", n)
			}
			return nil
		})
	}
	b.keys += b.source("more", "words", "more.log")
	reload(1)
	first.polls <- poll{value: 2}
	b.exposes("corkline_conntrack_entries 2\n")
	b.conntrack = "interval: 1h" // the first poll is at once
	reload(2)
	second := <-opened
	<-first.runs
	second.polls <- poll{value: 3}
	b.exposes("corkline_conntrack_entries 3\n")
	b.conntrack = "enabled: false"
	reload(3)
	<-second.runs
	b.exposes("!corkline_conntrack_entries ", "!corkline_collector_up{")
	if len(opened) > 0 {
		t.Error("a collector was opened in vain")
	}
	if files, err := filepath.Glob(b.path("state/spool/conntrack-events/*")); err != nil || len(files) > 0 {
		t.Errorf("%q stay, %v", files, err)
	}
}

func TestParseConfig_Collectors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := ParseConfig("c.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("collectors: {conntrack: {interval: 0s}}", `c.yaml:1:36: collectors.conntrack.interval: must be at least 1s`)
	f("collectors: {conntrack: {timeout: 0s}}", `collectors.conntrack.timeout: must be above 0`)
	f("collectors: {contrack: {}}", `did you mean "conntrack"?`)
	f("collectors: {conntrack: {table: both}}", `collectors.conntrack.table: "both" is neither kernel nor ovs`)
	f("collectors: {conntrack: {names: {192.0.2: shop/web-0}}}", `collectors.conntrack.names: "192.0.2" is not an address or a CIDR`)
	f("collectors: {conntrack: {names: {192.0.2.1: shop/}}}", `"shop/" is neither namespace/pod nor a name`)
	f("collectors: {ovs: {interval: 30s, full_interval: 20s}}", `c.yaml:1:50: collectors.ovs.full_interval: must not be below interval (30s)`)
	f("collectors: {ovs: {bridges: [br-int, a/b]}}", `collectors.ovs.bridges[1]: "a/b" is not the name of a bridge`)
	f("sources: [{definition: hubble, name: conntrack-events}]", `"conntrack-events" is the source of a collector's events`)
}

// Events that find no room are counted, and nobody waits for it.
func TestRunningCollector_SpoolFull(t *testing.T) {
	b, opened := newCollectorBench(t, nil)
	b.keys = "sources: []\n"
	b.make(true)
	if err := b.agent.startCollectors(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := b.agent.collector("conntrack")
	long := strings.Repeat("x", 1<<20)
	for range eventSpoolBytes/(1<<20) + 2 {
		r.Emit(long)
	}
	if n := testutil.ToFloat64(r.metrics.eventsDropped); n != 3 {
		t.Errorf("%v events are lost, not 3", n)
	}
	if err := errors.Join(r.spool.Close(), b.agent.stopCollectors(func(*runningCollector) bool { return false }), b.agent.positions.Close()); err != nil {
		t.Error(err)
	}
	if len(opened) > 0 {
		t.Error("a run with Once opens the collector")
	}
}
