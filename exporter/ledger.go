package exporter

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/exporter/source/tail"
	"github.com/prometheus/client_golang/prometheus"
)

// account is what became of the lines of one source in this process's life.
// Every line that was read is in exactly one of shipped, deadLettered,
// dropped, lost and waiting.
type account struct {
	read, parsed, unparsed         atomic.Int64
	shipped, deadLettered, dropped atomic.Int64
	lost                           atomic.Int64
	waiting                        atomic.Int64
	truncated, invalidUTF8         atomic.Int64
	readErrors, lostFiles          atomic.Int64
	truncatedFiles                 atomic.Int64
	nuls                           atomic.Int64
	lastShipped                    atomic.Int64 // Unix nanoseconds, 0 for never

	// before is what earlier processes have kept, and waitingParsed how many of
	// the lines that wait were parsed; both belong to the pipeline.
	before        Account
	waitingParsed int64

	// files is the source's view of the file system after its last look.
	files atomic.Pointer[[]tail.FileStatus]

	mu       sync.Mutex
	lastBad  badLine
	problems []string // what the last look at the files found wrong
	rate     rate
}

// badLine is the newest line that did not parse.
type badLine struct {
	at   time.Time
	file string
	text []byte // at most badLineBytes
	err  error
}

const badLineBytes = 2048

// rate is a number of lines per second, smoothed over about ten seconds.
type rate struct {
	at        time.Time
	lines     int64
	perSecond float64
}

func (r *rate) update(now time.Time, lines int64) {
	if elapsed := now.Sub(r.at).Seconds(); !r.at.IsZero() && elapsed > 0 {
		weight := min(1, elapsed/10)
		r.perSecond += weight * (float64(lines-r.lines)/elapsed - r.perSecond)
	}
	r.at, r.lines = now, lines
}

// ledger keeps an account for every source. It outlives reloads of the
// configuration, and is a prometheus.Collector.
type ledger struct {
	mu       sync.Mutex
	accounts map[string]*account
	descs    []ledgerDesc
}

type ledgerDesc struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*account) float64
}

func newLedger() *ledger {
	l := &ledger{accounts: map[string]*account{}}
	add := func(name, help string, kind prometheus.ValueType, value func(*account) float64) {
		l.descs = append(l.descs, ledgerDesc{prometheus.NewDesc("corkline_pipeline_"+name, help, []string{"source"}, nil), kind, value})
	}
	count := func(name, help string, value func(*account) *atomic.Int64) {
		add(name, help, prometheus.CounterValue, func(a *account) float64 { return float64(value(a).Load()) })
	}
	count("lines_read_total", "Lines read; each once in the life of the process.", func(a *account) *atomic.Int64 { return &a.read })
	count("lines_parsed_total", "Lines that had a layout of their definition.", func(a *account) *atomic.Int64 { return &a.parsed })
	count("lines_unparsed_total", "Lines that had no layout of their definition; they are shipped as they are.", func(a *account) *atomic.Int64 { return &a.unparsed })
	count("lines_shipped_total", "Lines that Loki has acknowledged.", func(a *account) *atomic.Int64 { return &a.shipped })
	count("lines_dead_lettered_total", "Lines that Loki refuses for good, or that are too old for it, stored in the archive.", func(a *account) *atomic.Int64 { return &a.deadLettered })
	count("lines_dropped_total", "Lines that were read for metrics only, since no Loki is configured.", func(a *account) *atomic.Int64 { return &a.dropped })
	count("lines_lost_total", "Lines that were counted, and whose file was truncated or removed before they could be shipped.", func(a *account) *atomic.Int64 { return &a.lost })
	add("lines_waiting", "Lines that were read and are not yet shipped, dead-lettered, dropped or lost.", prometheus.GaugeValue, func(a *account) float64 { return float64(a.waiting.Load()) })
	count("lines_truncated_total", "Lines cut at max_line_bytes, or that may have been cut before: they end in a number that nothing closes.", func(a *account) *atomic.Int64 { return &a.truncated })
	count("lines_invalid_utf8_total", "Lines whose invalid bytes were replaced by U+FFFD.", func(a *account) *atomic.Int64 { return &a.invalidUTF8 })
	count("read_errors_total", "Failures to open or read a file of the source.", func(a *account) *atomic.Int64 { return &a.readErrors })
	count("files_lost_total", "Files that were gone before their end was known to be read (rotated away or deleted while the agent was down); lines may be lost.", func(a *account) *atomic.Int64 { return &a.lostFiles })
	add("position_lag_bytes", "Bytes of the source's files behind the committed positions.", prometheus.GaugeValue, func(a *account) float64 {
		lag := int64(0)
		if v := a.files.Load(); v != nil {
			for _, f := range *v {
				lag += f.Lag
			}
		}
		return float64(lag)
	})
	add("files", "Files that the source follows.", prometheus.GaugeValue, func(a *account) float64 {
		if v := a.files.Load(); v != nil {
			return float64(len(*v))
		}
		return 0
	})
	count("file_truncations_total", "Files that were found truncated (copytruncate); what was neither read nor copied before is lost.", func(a *account) *atomic.Int64 { return &a.truncatedFiles })
	count("nul_bytes_total", "NUL bytes that were passed over between lines: what a loss of power left in a file, or a copytruncate whose writer does not append.", func(a *account) *atomic.Int64 { return &a.nuls })
	add("last_shipped_timestamp_seconds", "When Loki last acknowledged lines of the source; 0 for never.", prometheus.GaugeValue, func(a *account) float64 {
		return float64(a.lastShipped.Load()) / 1e9
	})
	return l
}

// account gives the account of a source.
func (l *ledger) account(source string) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, ok := l.accounts[source]
	if !ok {
		a = &account{}
		l.accounts[source] = a
	}
	return a
}

// names gives the sources in order.
func (l *ledger) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(l.accounts))
	for name := range l.accounts {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Describe sends the descriptors of the pipeline's metrics.
func (l *ledger) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range l.descs {
		ch <- d.desc
	}
}

// Collect sends the accounts as they stand.
func (l *ledger) Collect(ch chan<- prometheus.Metric) {
	for _, name := range l.names() {
		a := l.account(name)
		for _, d := range l.descs {
			ch <- prometheus.MustNewConstMetric(d.desc, d.kind, d.value(a), name)
		}
	}
}
