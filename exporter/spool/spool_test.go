package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/corkline/corkline/exporter/exportertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a spool with a clock of its own.
type bench struct {
	testing.TB
	exportertest.Clock
	dir     string
	limit   int64
	metrics Metrics
	log     exportertest.Log
	spool   *Spool
}

func newBench(tb testing.TB) *bench {
	number := func() prometheus.Gauge { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "a"}) }
	return &bench{
		TB: tb, dir: filepath.Join(tb.TempDir(), "spool"), limit: 64 << 20,
		metrics: Metrics{Bytes: number(), Limit: number(), WriteFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "b"})},
	}
}

func (b *bench) open() {
	b.Helper()
	var err error
	b.spool, err = Open(Options{Dir: b.dir, Limit: b.limit, Metrics: b.metrics, Log: slog.New(slog.NewTextHandler(&b.log, nil)), Now: b.Now})
	b.do(err)
}

func (b *bench) do(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// paths of the files, the oldest first.
func (b *bench) paths() []string {
	paths, err := filepath.Glob(Pattern(b.dir))
	b.do(err)
	return paths
}

func lines(text []byte) (all []string) {
	for line := range bytes.Lines(text) {
		all = append(all, string(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return all
}

// arrives holds that the spool has just these lines.
func (b *bench) arrives(want ...string) {
	b.Helper()
	var got []string
	for _, path := range b.paths() {
		text, err := os.ReadFile(path)
		b.do(err)
		got = append(got, lines(text)...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("(-want +got):\n%s", diff)
	}
}

// deliver reads the files that are not written to any more, and deletes them.
func (b *bench) deliver() (messages []string) {
	b.Helper()
	for _, path := range b.paths() {
		text, err := os.ReadFile(path)
		b.do(err)
		if b.spool.Finished(path, int64(len(text))) {
			b.do(os.Remove(path))
			b.spool.Removed(path)
			messages = append(messages, lines(text)...)
		}
	}
	return messages
}

func (b *bench) deliverAll() []string {
	b.Advance(idleTime)
	return b.deliver()
}

// Appends, deliveries and kills in random order, with a file cut anywhere in
// its last write: every line before arrives, once, and in order.
func TestSpool_Property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.limit = int64(rapid.IntRange(16, 4096).Draw(rt, "limit"))
		b.open()
		var want, got []string
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				var lines []string
				for range rapid.IntRange(1, 5).Draw(rt, "lines") {
					n++
					lines = append(lines, fmt.Sprintf("<1>%d", n))
				}
				text := strings.Join(lines, "\n") + "\n"
				if bytes, limit := b.spool.Size(); bytes > 0 && bytes+int64(len(text)) > limit {
					got = append(got, b.deliverAll()...)
				}
				b.do(b.spool.Append(t.Context(), []byte(text)))
				want = append(want, lines...)
			},
			"deliver": func(*rapid.T) { got = append(got, b.deliver()...) },
			"sync":    func(*rapid.T) { b.do(b.spool.Sync()) },
			"close": func(*rapid.T) {
				b.do(b.spool.Close())
				b.open()
			},
			"kill": func(rt *rapid.T) {
				path, text := b.spool.path, "<1>lost\n"
				if path != "" { // and in the middle of a write
					f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
					b.do(err)
					part := text[:rapid.IntRange(0, len(text)).Draw(rt, "bytes")]
					_, err = f.WriteString(part)
					b.do(errors.Join(err, f.Close(), b.spool.active.Close()))
					if part = strings.TrimSuffix(part, "\n"); part != "" {
						want = append(want, part)
					}
				}
				for _, f := range b.spool.unsynced {
					b.do(f.Close())
				}
				b.open()
			},
			"": func(rt *rapid.T) {
				size := int64(0)
				for _, path := range b.paths() {
					info, err := os.Stat(path)
					b.do(err)
					size += info.Size()
				}
				if bytes, _ := b.spool.Size(); bytes != size {
					rt.Fatalf("the spool counts %d bytes of %d", bytes, size)
				}
			},
		})
		got = append(got, b.deliverAll()...)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Errorf("(-want +got):\n%s", diff)
		}
		if files := b.paths(); len(files) > 0 {
			rt.Errorf("files stay: %q", files)
		}
		b.do(b.spool.Close())
	})
}

// What does not fit on the disk is written when it has room again, and said once.
func TestSpool_DiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.open()
	b.do(b.spool.Append(t.Context(), []byte("<1>a\n")))
	b.spool.mu.Lock()
	active := b.spool.active
	b.spool.active = full
	b.spool.mu.Unlock()
	done := make(chan error, 2)
	go func() { done <- b.spool.Append(t.Context(), []byte("<2>b\n")) }()
	exportertest.Eventually(b, "failures", func() error {
		if testutil.ToFloat64(b.metrics.WriteFailures) == 0 {
			return errors.New("none are counted")
		}
		return nil
	})
	go func() { done <- b.spool.Append(t.Context(), []byte("<3>c\n")) }()
	b.spool.mu.Lock()
	b.spool.active = active
	b.spool.mu.Unlock()
	b.do(errors.Join(<-done, <-done))
	b.arrives("<1>a", "<2>b", "<3>c")
	b.do(errors.Join(full.Close(), b.spool.Close()))
	if log := b.log.String(); strings.Count(log, "no space left") != 1 {
		t.Errorf("the log does not say it once:\n%s", log)
	}
}

// Half a write is completed by the next try, and nothing comes between.
func TestSpool_HalfWritten(t *testing.T) {
	b := newBench(t)
	b.open()
	read, write, err := os.Pipe() // it takes 64 KiB
	b.do(err)
	b.do(write.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)))
	b.spool.active, b.spool.path = write, "pipe"
	want := strings.Repeat(strings.Repeat("x", 99)+"\n", 1000)
	done := make(chan error, 2)
	go func() { done <- b.spool.Append(t.Context(), []byte(want)) }()
	exportertest.Eventually(b, "a failure", func() error {
		if testutil.ToFloat64(b.metrics.WriteFailures) == 0 {
			return errors.New("none is counted")
		}
		return nil
	})
	go func() { done <- b.spool.Append(t.Context(), []byte("last\n")) }()
	b.Advance(idleTime)
	if size, _ := b.spool.Size(); size != 64<<10 || b.spool.Finished("pipe", size) {
		t.Errorf("a file with half a line is finished at %d bytes", size)
	}
	b.do(write.SetWriteDeadline(time.Time{}))
	got := make([]byte, len(want)+len("last\n"))
	_, err = io.ReadFull(read, got)
	b.do(errors.Join(err, <-done, <-done))
	if string(got) != want+"last\n" {
		t.Error("lines are not as they were appended")
	}
	b.do(errors.Join(read.Close(), write.Close()))
}

// What could not be synced is tried again, and not taken for synced.
func TestSpool_SyncFails(t *testing.T) {
	b := newBench(t)
	b.open()
	b.do(b.spool.Append(t.Context(), []byte("a\n")))
	file := b.spool.active
	closed, err := os.Open(os.DevNull)
	b.do(err)
	b.do(closed.Close())
	b.spool.active = closed // whatever it is asked fails
	for range 2 {
		if err := b.spool.Sync(); err == nil {
			t.Error("Sync says that it has synced")
		}
	}
	b.spool.active = file
	b.do(b.spool.Close())
}

// A folder's name is no pattern.
func TestPattern(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a*[b]?\c`)
	b := newBench(t)
	b.dir = dir
	b.open()
	b.do(b.spool.Append(t.Context(), []byte("<1>a\n")))
	b.arrives("<1>a")
	b.do(b.spool.Close())
}

// A folder that is gone is made again.
func TestSpool_FolderGone(t *testing.T) {
	b := newBench(t)
	b.open()
	b.do(os.RemoveAll(b.dir))
	b.do(b.spool.Append(t.Context(), []byte("<1>a\n")))
	b.arrives("<1>a")
	b.do(b.spool.Close())

	b.do(os.RemoveAll(b.dir))
	b.do(os.WriteFile(b.dir, nil, 0o600))
	if _, err := Open(Options{Dir: b.dir, Metrics: b.metrics}); err == nil {
		t.Error("a file is a spool")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.spool.Append(ctx, []byte("<2>b\n")); err == nil {
		t.Error("what cannot be written is no failure")
	}
}
