package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/tests/rig"
)

// lab is a node with a log, the agent on it, and a proxy before Loki that can
// misbehave.
type lab struct {
	*testing.T
	row      *row
	dir      string
	cluster  string
	from     time.Time
	proxy    *proxy
	upstream string // where the agent pushes to
	agent    *rig.Agent

	mu      sync.Mutex // of what a writer uses
	lines   *simulation.Generator
	written []string
	besides int  // lines that the ledger has, and written has not
	anew    bool // the ledger may have begun anew

	settled atomic.Int64 // lines that do not wait any more, as the ledger last had it
}

// newLab makes the lab of a row; its figures become those of the row.
func newLab(t *testing.T, number int, fault string) *lab {
	t.Helper()
	dir := t.TempDir() // has a number of its own, also with -count
	l := &lab{
		T: t, row: &row{Number: number, Fault: fault}, dir: dir, cluster: strings.ToLower(filepath.Base(filepath.Dir(dir))),
		from: time.Now().Add(-30 * time.Minute).Truncate(time.Second), proxy: newProxy(t, stack.Loki.URL),
	}
	l.upstream = l.proxy.URL
	l.agent = stack.Agent(t, l.path("corkline.yaml"))
	// As many as are written at most: Loki does not give lines of the future.
	l.lines = rig.Lines(t, simulation.Log{Seed: uint64(number), Start: l.from, Step: time.Second / 5000})
	l.tail()
	start := time.Now()
	t.Cleanup(func() {
		l.agent.Kill()
		l.row.RSS = l.agent.PeakRSS
		l.row.Time = time.Since(start)
		l.row.Failed = t.Failed()
		report.add(l.row)
	})
	return l
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// tail configures np.log as the only source.
func (l *lab) tail() {
	l.Helper()
	l.configure(fmt.Sprintf("sources:\n  - {definition: antrea-networkpolicy, files: [%s]}\n", l.path("np.log")))
}

// configure writes the configuration, with the keys besides those of every row.
func (l *lab) configure(keys string) {
	l.Helper()
	l.write("corkline.yaml", fmt.Sprintf(`node: node-1
cluster: %s
state_dir: %s
listen: 127.0.0.1:0
poll_interval: 100ms
shutdown_timeout: 5s
loki: {url: %q, timeout: 2s}
`, l.cluster, l.path("state"), l.upstream)+keys)
}

func (l *lab) write(name, text string) {
	l.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

// next makes lines, and remembers them as written.
func (l *lab) next(n int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text []byte
	for range n {
		at := len(text)
		text = l.lines.Next(text)
		l.written = append(l.written, string(text[at:len(text)-1]))
	}
	return text
}

// append writes fresh lines to a file.
func (l *lab) append(name string, n int) {
	l.Helper()
	if err := appendTo(l.path(name), l.next(n)); err != nil {
		l.Fatal(err)
	}
}

func appendTo(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// follow writes n lines to np.log at every tick until the returned function is
// called, which gives the first error. Each is told of the ticks that passed,
// and may rotate the log.
func (l *lab) follow(every time.Duration, n int, each func(tick int) error) (stop func()) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for tick := 1; ; tick++ {
			select {
			case <-quit:
				done <- nil
				return
			case <-ticker.C:
			}
			err := appendTo(l.path("np.log"), l.next(n))
			if err == nil && each != nil {
				err = each(tick)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		if err := <-done; err != nil {
			l.Error(err)
		}
	})
}

// rotating rotates by a function at every so many ticks, but for when the file
// that would be removed then is not known to be delivered: what is removed
// unread is lost to any reader.
func (l *lab) rotating(every, depth int, rotate func(depth int) error) func(tick int) error {
	var ends []int // lines that there were when a file was rotated away
	return func(tick int) error {
		if tick%every != 0 {
			return nil
		}
		if n := len(ends); n >= depth && int64(ends[n-depth]) > l.settled.Load() {
			return nil
		}
		l.mu.Lock()
		ends = append(ends, len(l.written))
		l.mu.Unlock()
		return rotate(depth)
	}
}

// rotate renames np.log to np.log.1, that to np.log.2, and so on.
func (l *lab) rotate(depth int) error {
	for i := depth; i >= 1; i-- {
		from := l.path("np.log." + strconv.Itoa(i-1))
		if i == 1 {
			from = l.path("np.log")
		}
		if err := os.Rename(from, l.path("np.log."+strconv.Itoa(i))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// kill ends the agent at once, whose ledger balances all the same.
func (l *lab) kill() {
	l.Helper()
	l.agent.Kill()
	l.ledger()
}

// ledger of the agent that does not run; each account balances.
func (l *lab) ledger() (accounts []exporter.Account) {
	l.Helper()
	if _, err := os.Stat(l.path("state/positions")); errors.Is(err, os.ErrNotExist) {
		return nil // it was killed before it had read a line
	}
	accounts = rig.Ledger(l, l.agent.Binary, l.path("state"))
	settled := int64(0)
	for _, a := range accounts {
		settled += a.Read - a.Waiting
	}
	l.settled.Store(settled)
	return accounts
}

// read waits until the agent has counted n lines.
func (l *lab) read(n int) {
	l.Helper()
	l.agent.Shows(`corkline_pipeline_lines_read_total{source="antrea-networkpolicy"}`, float64(n))
}

// metrics of the agent, once it is up.
func (l *lab) metrics() (all rig.Metrics) {
	l.Helper()
	rig.Eventually(l, "metrics", func(ctx context.Context) (err error) {
		all, err = l.agent.Metrics(ctx)
		return err
	})
	return all
}

// query gives all lines that Loki has of the lab, without their fields, which
// would cost Loki more than the lines.
func (l *lab) query(each func(rig.Entry)) {
	l.Helper()
	selector := fmt.Sprintf(`{job="corkline", cluster=%q} | keep cluster`, l.cluster)
	if err := rig.EachEntry(l.Context(), stack.Loki.URL, selector, l.from.Add(-48*time.Hour), time.Now().Add(time.Hour), each); err != nil {
		l.Fatal(err)
	}
}

// arrived compares what Loki has with what was written: lost lines, and those
// that are there twice, are failures, and so is a ledger that has not each of
// them. It fills the row's figures. No agent runs.
func (l *lab) arrived() {
	l.Helper()
	var read, waiting int64
	for _, a := range l.ledger() {
		read += a.Read
		waiting += a.Waiting
	}
	if want := int64(len(l.written) + l.besides); waiting != 0 || read != want && !l.anew {
		l.Errorf("the ledger has %d lines, of which %d wait; %d were to be read", read, waiting, want)
	}
	missing := map[string]int{}
	for _, line := range l.written {
		missing[line]++
	}
	l.row.Lines = len(l.written)
	l.query(func(e rig.Entry) { missing[e.Line]-- })
	var example string
	for line, n := range missing {
		if n != 0 {
			example = fmt.Sprintf("%+d %s", n, line)
		}
		if n > 0 {
			l.row.Lost += n
		} else {
			l.row.Twice -= n
		}
	}
	l.row.SentTwice = l.proxy.repeated()
	if l.row.Lost > 0 || l.row.Twice > 0 {
		l.Errorf("of %d lines %d are lost and %d are in Loki twice, such as %s", l.row.Lines, l.row.Lost, l.row.Twice, example)
	}
}
