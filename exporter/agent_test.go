package exporter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/corkline/corkline/exporter/exportertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a folder with logs, a configuration and the state of an agent.
type bench struct {
	t         *testing.T
	dir       string
	loki      *receiver
	keys      string // of the configuration, besides those that every test has
	max       int    // bytes of a line
	conntrack string // keys of the collector
	kinds     []collectorKind
	log       *exportertest.Log
	reload    chan os.Signal
	agent     *Agent
	cancel    context.CancelFunc
	ended     chan error
}

// newBench has a source "words" that follows w.log and whatever else is named.
// Loki may be nil.
func newBench(t *testing.T, loki *receiver, files ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), loki: loki, max: 1024, conntrack: "enabled: false", log: &exportertest.Log{}, reload: make(chan os.Signal, 1)}
	b.keys = "sources:\n" + b.source("words", "words", append([]string{"w.log"}, files...)...)
	t.Cleanup(func() {
		b.stop()
		if t.Failed() {
			t.Logf("the agent said:\n%s", b.log)
		}
	})
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// source is an element of the list sources.
func (b *bench) source(name, definition string, files ...string) string {
	for i, file := range files {
		files[i] = b.path(file)
	}
	return fmt.Sprintf("  - {name: %s, definition: %s, files: ['%s']}\n", name, definition, strings.Join(files, "', '"))
}

// text of the configuration.
func (b *bench) text() string {
	loki := ""
	if b.loki != nil {
		loki = "loki: {url: '" + b.loki.URL + "', timeout: 500ms, max_backoff: 5ms, max_age: 0s}\n"
	}
	return "node: node-1\ncluster: test\nstate_dir: " + b.path("state") + `
listen: 127.0.0.1:0
poll_interval: 5ms
shutdown_timeout: 100ms
max_line_bytes: ` + strconv.Itoa(b.max) + "\n" + loki + "collectors: {ovs: {enabled: false}, conntrack: {" + b.conntrack + "}}\n" + `definitions:
  - name: words
    about: Words and numbers
    layouts: [{name: plain, regex: '^(?P<word>[a-z]+) (?P<number>[0-9]+)$'}]
    numbers: [number]
    metrics: [{name: words_total, type: counter, add: number, labels: [word], help: Words.}]
  - name: timed
    layouts: [{name: plain, regex: '^(?P<time>\S{19}) (?P<word>\S+)$'}]
    time: {field: time, layout: "2006-01-02T15:04:05"}
` + b.keys
}

func (b *bench) config() *Config {
	b.t.Helper()
	writeFile(b.t, b.path("c.yaml"), b.text())
	c, err := LoadConfig(b.path("c.yaml"))
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// append lines to a file.
func (b *bench) append(name string, lines ...string) {
	b.t.Helper()
	f, err := os.OpenFile(b.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) make(once bool) {
	b.t.Helper()
	agent, err := New(Options{
		ConfigFile: b.path("c.yaml"), Config: b.config(), Once: once, Version: "1.2.3", Revision: "abc",
		Log: slog.New(slog.NewTextHandler(b.log, nil)), Reload: b.reload, kinds: b.kinds,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	agent.look = 10 * time.Millisecond
	b.agent = agent
}

// once runs an agent until all is consumed, and gives its error.
func (b *bench) once() error {
	b.t.Helper()
	b.make(true)
	ctx, cancel := context.WithTimeout(b.t.Context(), exportertest.Patience)
	defer cancel()
	err := b.agent.Run(ctx)
	if ctx.Err() != nil {
		b.t.Fatal("the run takes for ever")
	}
	return err
}

// start an agent that goes on until stop.
func (b *bench) start() {
	b.t.Helper()
	b.make(false)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.ended = cancel, make(chan error, 1)
	agent, ended := b.agent, b.ended
	go func() { ended <- agent.Run(ctx) }()
	<-agent.ready
}

// stop lets the agent end, which is never a failure.
func (b *bench) stop() {
	b.t.Helper()
	if b.cancel == nil {
		return
	}
	b.cancel()
	b.cancel = nil
	select {
	case err := <-b.ended:
		if err != nil {
			b.t.Errorf("the agent ends with: %s", err)
		}
	case <-time.After(exportertest.Patience):
		b.t.Fatal("the agent does not end")
	}
}

// ledger of a source, with those numbers that are not 0.
func (b *bench) ledger(source string) map[string]int64 {
	a := b.agent.ledger.account(source)
	all := map[string]int64{
		"read": a.read.Load(), "parsed": a.parsed.Load(), "unparsed": a.unparsed.Load(),
		"shipped": a.shipped.Load(), "dead-lettered": a.deadLettered.Load(), "dropped": a.dropped.Load(), "lost": a.lost.Load(), "waiting": a.waiting.Load(),
		"truncated": a.truncated.Load(), "invalid": a.invalidUTF8.Load(), "read errors": a.readErrors.Load(),
	}
	for name, n := range all {
		if n == 0 {
			delete(all, name)
		}
	}
	return all
}

type counts = map[string]int64

// balances holds the ledger of a source against what is wanted, and that each
// line that was read is in one place.
func (b *bench) balances(source string, want counts) {
	b.t.Helper()
	b.eventually("the ledger of "+source, func() error {
		got := b.ledger(source)
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New("(-want +got):\n" + diff)
		}
		if sum := got["shipped"] + got["dead-lettered"] + got["dropped"] + got["lost"] + got["waiting"]; sum != got["read"] || got["parsed"]+got["unparsed"] != got["read"] {
			return fmt.Errorf("does not balance: %v", got)
		}
		return nil
	})
}

func (b *bench) eventually(what string, try func() error) {
	b.t.Helper()
	exportertest.Eventually(b.t, what, try)
}

// says waits until the agent's log holds a text.
func (b *bench) says(want string) {
	b.t.Helper()
	b.eventually("the log", func() error {
		if !strings.Contains(b.log.String(), want) {
			return fmt.Errorf("does not say %q:\n%s", want, b.log)
		}
		return nil
	})
}

// arrived waits until Loki has these lines, each once after folding.
func (b *bench) arrived(want ...string) {
	b.t.Helper()
	b.eventually("lines in Loki", func() error {
		if diff := cmp.Diff(want, b.loki.lines(), cmpopts.SortSlices(strings.Compare)); diff != "" {
			return errors.New("(-want +got):\n" + diff)
		}
		return nil
	})
}

// numbered makes lines "word 1", "word 2" and so on.
func numbered(word string, n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%s %d", word, i+1)
	}
	return lines
}

func TestAgent_Once(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.append("w.log", "a 1", "", "b 2\r", "what is this?", "a 39")
	writeFile(t, b.path("w.log"), readFile(t, b.path("w.log"))+"last 5") // without a line end
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	if addr := b.agent.Addr(); addr != "" {
		t.Errorf("an agent that runs once listens on %s", addr)
	}
	const stream = `{cluster="test", job="corkline", node="node-1", source="words"}`
	want := []entry{{Stream: stream, Line: "a 1"}, {Stream: stream, Line: "b 2"}, {Stream: stream, Line: "what is this?", Metadata: "parse_error=true"}, {Stream: stream, Line: "a 39"}, {Stream: stream, Line: "last 5"}}
	if diff := cmp.Diff(want, loki.folded(), cmpopts.IgnoreFields(entry{}, "Time")); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	b.balances("words", counts{"read": 5, "parsed": 4, "unparsed": 1, "shipped": 5})
	const metrics = "# HELP corkline_words_total Words.\n# TYPE corkline_words_total counter\n" +
		`corkline_words_total{word="a"} 40` + "\n" + `corkline_words_total{word="b"} 2` + "\n" + `corkline_words_total{word="last"} 5` + "\n"
	if err := testutil.GatherAndCompare(b.agent.Gatherer(), strings.NewReader(metrics), "corkline_words_total"); err != nil {
		t.Error(err)
	}
	var summary strings.Builder
	if err := b.agent.Summary(&summary); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("words: read 5, parsed 4, unparsed 1, shipped 5, dead-lettered 0, dropped 0, lost 0, waiting 0\n", summary.String()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}

	// The second run repeats nothing, the third takes what is new.
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.balances("words", counts{})
	b.append("w.log", "", "c 1")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.balances("words", counts{"read": 1, "parsed": 1, "shipped": 1})
	if n := loki.taken(); n != 6 {
		t.Errorf("Loki got %d entries in all, not 6", n)
	}
}

// A run that is interrupted has not consumed all, and must not say so.
func TestAgent_OnceInterrupted(t *testing.T) {
	b := newBench(t, newReceiver(t))
	b.append("w.log", "a 1")
	b.make(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.agent.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	b.balances("words", counts{})
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A file that cannot be read is named, and takes no other file with it.
func TestAgent_BadFiles(t *testing.T) {
	f := func(prepare func(b *bench) error, file, says, fails string) {
		t.Helper()
		loki := newReceiver(t)
		b := newBench(t, loki, file)
		b.append("w.log", "a 1", "b 2")
		if err := prepare(b); err != nil {
			t.Fatal(err)
		}
		err := b.once()
		if got := fmt.Sprint(err); got != fails {
			t.Errorf("%s: want error %q, got %q", file, fails, got)
		}
		b.says(strings.ReplaceAll(says, "DIR", b.dir))
		b.arrived("a 1", "b 2")
		want := counts{"read": 2, "parsed": 2, "shipped": 2}
		if err != nil {
			want["read errors"] = 1
		}
		b.balances("words", want)
	}
	nothing := func(*bench) error { return nil }
	const unread = `source "words": 1 of its files could not be read`
	f(nothing, "none.log", `DIR/none.log: no such file or directory`, "<nil>") // it may come yet
	f(nothing, "none*.log", `no file matches`, "<nil>")
	f(nothing, "w.log/x.log", `DIR/w.log/x.log: not a directory`, unread) // root may read anything else
	f(func(b *bench) error { return os.Mkdir(b.path("x.log"), 0o700) }, "x.log", `only regular, uncompressed files are read`, unread)
	f(func(b *bench) error { return syscall.Mkfifo(b.path("x.log"), 0o600) }, "x.log", `mode is prw-------: only regular, uncompressed files are read`, unread)
	f(func(b *bench) error { return os.Symlink(b.path("x.log"), b.path("x.log")) }, "x.log", `too many levels of symbolic links`, unread)
}

// A file that comes later is taken then, and its absence is said only once.
func TestAgent_FileComesLater(t *testing.T) {
	b := newBench(t, newReceiver(t), "later.log")
	b.append("w.log", "a 1")
	b.start()
	b.arrived("a 1")
	b.append("w.log", "a 2") // many looks later
	b.arrived("a 1", "a 2")
	b.append("later.log", "b 1")
	b.arrived("a 1", "a 2", "b 1")
	if n := strings.Count(b.log.String(), "look at files"); n != 1 {
		t.Errorf("the missing file is named %d times", n)
	}
}

func TestAgent_BadLines(t *testing.T) {
	f := func(bad, arrives, metadata string, want counts) {
		t.Helper()
		loki := newReceiver(t)
		b := newBench(t, loki)
		b.append("w.log", "before 1", bad, "behind 2")
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		got := loki.folded()
		wanted := []entry{{Line: "before 1"}, {Line: arrives, Metadata: metadata}, {Line: "behind 2"}}
		if diff := cmp.Diff(wanted, got, cmpopts.IgnoreFields(entry{}, "Time", "Stream")); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", bad, diff)
		}
		want["read"], want["shipped"], want["parsed"] = 3, 3, 3-want["unparsed"]
		b.balances("words", want)
	}
	f("nul\x00 1", "nul\x00 1", "parse_error=true", counts{"unparsed": 1})
	f("\x00\x00\x00", "\x00\x00\x00", "parse_error=true", counts{"unparsed": 1})
	f("bad\xff\xfe 1", "bad\uFFFD 1", "parse_error=true invalid_utf8=true", counts{"unparsed": 1, "invalid": 1})
	f("\xc3", "\uFFFD", "parse_error=true invalid_utf8=true", counts{"unparsed": 1, "invalid": 1})
	f("\x1b[31mred 1", "\x1b[31mred 1", "parse_error=true", counts{"unparsed": 1})
	f(strings.Repeat("x", 1022)+" 1", strings.Repeat("x", 1022)+" 1", "", counts{}) // as long as may be
	f(strings.Repeat("x", 1022)+" 12", strings.Repeat("x", 1022)+" 1", "truncated=true", counts{"truncated": 1})
	f(strings.Repeat("é", 600), strings.Repeat("é", 512), "parse_error=true truncated=true", counts{"truncated": 1, "unparsed": 1})
	f("x"+strings.Repeat("é", 600), "x"+strings.Repeat("é", 511)+"\uFFFD", "parse_error=true truncated=true invalid_utf8=true", counts{"truncated": 1, "unparsed": 1, "invalid": 1})
}

// A line of 100 MiB is cut, takes no more memory than another, and no
// neighbour with it.
func TestAgent_HugeLine(t *testing.T) {
	const huge = 100 << 20
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.append("w.log", "before 1")
	log, err := os.OpenFile(b.path("w.log"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := bytes.Repeat([]byte("x"), 1<<20)
	for range huge / len(x) {
		if _, err := log.Write(x); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	b.append("w.log", "", "behind 2")
	b.make(true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := b.agent.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > huge/4 {
		t.Errorf("%d bytes were allocated on the way", used)
	}
	want := []entry{{Line: "before 1"}, {Line: strings.Repeat("x", 1024), Metadata: "parse_error=true truncated=true"}, {Line: "behind 2"}}
	if diff := cmp.Diff(want, loki.folded(), cmpopts.IgnoreFields(entry{}, "Time", "Stream")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.balances("words", counts{"read": 3, "parsed": 2, "unparsed": 1, "shipped": 3, "truncated": 1})
}

// The longest line that may be configured fits the buffers.
func TestAgent_LongestLine(t *testing.T) {
	b := newBench(t, newReceiver(t))
	long := strings.Repeat("x", 1<<20-2) + " 1"
	b.append("w.log", "before 1", long, "behind 2")
	c := b.config()
	c.MaxLineBytes = 1 << 20
	agent, err := New(Options{Config: c, Once: true, Log: slog.New(slog.NewTextHandler(b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.agent = agent
	if err := agent.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.arrived("before 1", long, "behind 2")
	b.balances("words", counts{"read": 3, "parsed": 3, "shipped": 3})
}

func TestNew_Failure(t *testing.T) {
	f := func(change func(b *bench, c *Config), want ...string) {
		t.Helper()
		b := newBench(t, nil)
		c := b.config()
		change(b, c)
		agent, err := New(Options{Config: c, Log: slog.New(slog.NewTextHandler(b.log, nil))})
		if err == nil {
			t.Fatalf("there is an agent: %v", agent)
		}
		for _, text := range want {
			if text = strings.ReplaceAll(text, "DIR", b.dir); !strings.Contains(err.Error(), text) {
				t.Errorf("want %q in: %s", text, err)
			}
		}
	}
	f(func(b *bench, c *Config) { c.StateDir = b.path("c.yaml/state") },
		"open state_dir: ", "DIR/c.yaml", "not a directory", "set state_dir to a folder that can be written to")
	f(func(_ *bench, c *Config) { c.Listen = "192.0.2.1:9440" }, "listen for /metrics (key listen): listen tcp 192.0.2.1:9440")

	// An address and a folder that another agent has.
	other := newBench(t, nil)
	other.start()
	f(func(_ *bench, c *Config) { c.Listen = other.agent.Addr() }, "(key listen)", "address already in use")
	f(func(_ *bench, c *Config) { c.StateDir = other.path("state") }, "another agent uses them", "give each agent its own state_dir")
}

// After damage to the positions the agent reads the file again, and Loki folds
// the lines that it has.
func TestAgent_DamagedPositions(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.keys = "sources:\n" + b.source("timed", "timed", "t.log")
	lines := []string{"2026-11-21T10:00:00 a", "2026-11-21T10:00:00 b", "2026-11-21T10:00:01 c"}
	b.append("t.log", lines...)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	text := []byte(readFile(t, b.path("state/positions")))
	text[bytes.Index(text, []byte(`"offset"`))] ^= 1
	writeFile(t, b.path("state/positions"), string(text))
	b.append("t.log", "2026-11-21T10:00:02 d")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.says("set aside a damaged position; its file is read from the beginning")
	b.arrived(append(lines, "2026-11-21T10:00:02 d")...)
	if n := loki.taken(); n != 7 {
		t.Errorf("Loki got %d entries, not 3 and again all 4", n)
	}
}

// Whatever Loki answers, the lines arrive once it takes them, in order and
// each once.
func TestAgent_LokiRecovers(t *testing.T) {
	f := func(status int, metric, says string) {
		t.Helper()
		loki := newReceiver(t, status, status, status)
		b := newBench(t, loki)
		b.append("w.log", numbered("a", 50)...)
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(numbered("a", 50), loki.lines()); diff != "" {
			t.Errorf("%d: lines (-want +got):\n%s", status, diff)
		}
		if n := loki.taken(); n != 50 {
			t.Errorf("%d: %d entries were taken, not 50", status, n)
		}
		if n := loki.count(status); n != 3 {
			t.Errorf("%d was answered %d times, not 3", status, n)
		}
		b.balances("words", counts{"read": 50, "parsed": 50, "shipped": 50})
		if says != "" {
			b.says(strings.ReplaceAll(says, "URL", loki.URL))
		}
		families, err := b.agent.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.Metric {
				if family.GetName() == "corkline_loki_push_requests_total" && m.Label[0].GetValue() == metric && m.Counter.GetValue() != 3 {
					t.Errorf("%d: %v requests are counted as %s, not 3", status, m.Counter.GetValue(), metric)
				}
			}
		}
		if err := b.once(); err != nil { // all is committed
			t.Fatal(err)
		}
		b.balances("words", counts{})
	}
	f(http.StatusUnauthorized, "401", "loki answered 401: check loki.tenant and credentials: not now")
	f(http.StatusForbidden, "403", "loki answered 403: check loki.tenant and credentials: not now")
	f(http.StatusNotFound, "404", "loki answered 404: check loki.url (URL/loki/api/v1/push): not now")
	f(http.StatusRequestEntityTooLarge, "413", "") // halved, which is no fault
	f(http.StatusTooManyRequests, "429", "loki answered 429: not now")
	f(http.StatusInternalServerError, "5xx", "loki answered 500: not now")
	f(http.StatusServiceUnavailable, "5xx", "loki answered 503: not now")
	f(hang, "error", "did not answer within 500ms")
}

// During an outage metrics go on, and lines wait in their files.
func TestAgent_Outage(t *testing.T) {
	loki := newReceiver(t)
	loki.answer(http.StatusServiceUnavailable)
	b := newBench(t, loki)
	b.append("w.log", numbered("a", 10)...)
	b.start()
	b.balances("words", counts{"read": 10, "parsed": 10, "waiting": 10})
	b.append("w.log", append(numbered("b", 10), "what?")...)
	b.balances("words", counts{"read": 21, "parsed": 20, "unparsed": 1, "waiting": 21})
	loki.answer(0)
	b.arrived(append(append(numbered("a", 10), numbered("b", 10)...), "what?")...)
	b.balances("words", counts{"read": 21, "parsed": 20, "unparsed": 1, "shipped": 21})
	const want = "# HELP corkline_words_total Words.\n# TYPE corkline_words_total counter\n" +
		`corkline_words_total{word="a"} 55` + "\n" + `corkline_words_total{word="b"} 55` + "\n"
	if err := testutil.GatherAndCompare(b.agent.Gatherer(), strings.NewReader(want), "corkline_words_total"); err != nil {
		t.Error(err)
	}
}

func TestAgent_DeadLetters(t *testing.T) {
	loki := newReceiver(t)
	loki.refuse = "forbidden"
	b := newBench(t, loki)
	lines := numbered("a", 30)
	lines[3], lines[17], lines[29] = "forbidden 1", "forbidden fruit <&>", "forbidden 3"
	b.append("w.log", lines...)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.arrived(slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.HasPrefix(line, "forbidden") })...)
	b.balances("words", counts{"read": 30, "parsed": 29, "unparsed": 1, "shipped": 27, "dead-lettered": 3})

	var want []map[string]any
	for _, line := range []string{"forbidden 1", "forbidden fruit <&>", "forbidden 3"} {
		metadata := []any{}
		if strings.HasSuffix(line, ">") {
			metadata = []any{[]any{"parse_error", "true"}}
		}
		want = append(want, map[string]any{
			"source": "words", "reason": "entry has a forbidden word", "line": line, "metadata": metadata,
			"labels": map[string]any{"job": "corkline", "cluster": "test", "node": "node-1", "source": "words"},
		})
	}
	got := b.archived("words")
	for _, record := range got {
		if age := time.Since(time.Unix(0, int64(record["time"].(float64)))); age < 0 || age > time.Hour {
			t.Errorf("%q is %s old", record["line"], age)
		}
		delete(record, "time")
		delete(record, "crc")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
	if err := b.once(); err != nil { // refused once is refused for good
		t.Fatal(err)
	}
	b.balances("words", counts{})
}

// A line that nothing keeps is not passed over: its source waits.
func TestAgent_DeadLettersUnwritable(t *testing.T) {
	loki := newReceiver(t)
	loki.refuse = "forbidden"
	b := newBench(t, loki)
	if err := os.MkdirAll(b.path("state/archive"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, b.path("state/archive/words"), "in the way")
	b.append("w.log", "a 1", "forbidden 1", "a 2")
	b.start()
	b.says("store what loki refused: store in the archive:")
	b.balances("words", counts{"read": 3, "parsed": 3, "waiting": 3})
	if err := os.Remove(b.path("state/archive/words")); err != nil {
		t.Fatal(err)
	}
	b.balances("words", counts{"read": 3, "parsed": 3, "shipped": 2, "dead-lettered": 1})
	b.arrived("a 1", "a 2")
}

// When the budget is used up the source waits, and says so.
func TestAgent_ArchiveFull(t *testing.T) {
	loki := newReceiver(t)
	loki.refuse = "forbidden"
	b := newBench(t, loki)
	b.keys += "archive: {segment_bytes: 1, budget_bytes: 400}\n"
	b.append("w.log", "forbidden 1", "a 1")
	b.start()
	b.balances("words", counts{"read": 2, "parsed": 2, "shipped": 1, "dead-lettered": 1})
	b.append("w.log", "forbidden 2", "a 2")
	b.says("is full (")
	b.balances("words", counts{"read": 4, "parsed": 4, "shipped": 1, "dead-lettered": 1, "waiting": 2})
	b.eventually("say so on the status page", func() error {
		if _, page := b.get(http.MethodGet, "/"); !strings.Contains(page, "Archive: <span class=\"bad\">") || !strings.Contains(page, "configure archive.endpoint") {
			return errors.New(page)
		}
		return nil
	})
}

// archived gives the records in a source's segments.
func (b *bench) archived(source string) (records []map[string]any) {
	b.t.Helper()
	paths, err := filepath.Glob(b.path("state/archive/" + source + "/*"))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, path := range paths {
		for line := range strings.Lines(readFile(b.t, path)) {
			var r map[string]any
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				b.t.Fatalf("%q: %s", line, err)
			}
			records = append(records, r)
		}
	}
	return records
}

func TestAgent_MetricsOnly(t *testing.T) {
	b := newBench(t, nil)
	b.append("w.log", "a 1", "b 2", "what?")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.says("metrics only: loki.url is not set")
	b.balances("words", counts{"read": 3, "parsed": 2, "unparsed": 1, "dropped": 3})
	b.append("w.log", "c 3")
	if err := b.once(); err != nil { // positions are committed all the same
		t.Fatal(err)
	}
	b.balances("words", counts{"read": 1, "parsed": 1, "dropped": 1})
}

// get a page of the agent.
func (b *bench) get(method, path string) (status int, body string) {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.agent.Addr()+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestAgent_HTTP(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.append("w.log", "a 1", "<script>alert(1)</script>")
	b.start()
	b.arrived("a 1", "<script>alert(1)</script>")
	b.balances("words", counts{"read": 2, "parsed": 1, "unparsed": 1, "shipped": 2})
	f := func(method, path string, status int, want ...string) {
		t.Helper()
		got, body := b.get(method, path)
		if got != status {
			t.Errorf("%s %s: want %d, got %d", method, path, status, got)
		}
		for _, text := range want {
			if !strings.Contains(body, text) {
				t.Errorf("%s %s: no %q in:\n%s", method, path, text, body)
			}
		}
	}
	f("GET", "/healthz", 200, "ok")
	f("GET", "/readyz", 200, "ready")
	f("GET", "/nothing", 404)
	f("POST", "/", 405)
	f("GET", "/metrics", 200,
		`corkline_pipeline_lines_read_total{source="words"} 2`, `corkline_pipeline_lines_shipped_total{source="words"} 2`,
		`corkline_words_total{word="a"} 1`, `corkline_build_info{goversion="`+runtime.Version()+`",revision="abc",version="1.2.3"} 1`)
	f("GET", "/", 200,
		"Corkline on node-1, cluster test", "Version 1.2.3", loki.URL, "last push answered", "<h2>words</h2>", "Words and numbers (definition words)", b.path("w.log"),
		"in "+b.path("w.log")+": fits no layout; layout plain got to column 1, where it expected word", "<pre>&lt;script&gt;alert(1)&lt;/script&gt;</pre>")
	if _, body := b.get("GET", "/"); strings.Contains(body, "<script>") {
		t.Errorf("a line is not escaped:\n%s", body)
	}

	// What Loki answers is shown, and a client that breaks off spoils nothing.
	loki.answer(http.StatusUnauthorized)
	b.append("w.log", "b 2")
	b.eventually("the page", func() error {
		if _, body := b.get("GET", "/"); !strings.Contains(body, "loki answered 401: check loki.tenant and credentials") {
			return errors.New(body)
		}
		return nil
	})
	problems, err := testutil.GatherAndLint(b.agent.Gatherer())
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestAgent_StatusPageLinksToBoards(t *testing.T) {
	b := newBench(t, nil)
	b.keys += "boards_url: http://127.0.0.1:3030/boards/\n"
	b.start()
	recorder := httptest.NewRecorder()
	b.agent.handler().ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	page := recorder.Body.String()
	for _, want := range []string{
		`<a href="http://127.0.0.1:3030/boards/d/corkline-overview?var-cluster=test&amp;var-node=node-1">Overview</a>`,
		`<a href="http://127.0.0.1:3030/boards/d/corkline-agent?`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in:\n%s", want, page)
		}
	}
	// Nothing but the page's own style and script works.
	_, style, _ := strings.Cut(page, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	policy := recorder.Header().Get("Content-Security-Policy")
	if want := "script-src 'self'; connect-src 'self'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; "; !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, want) {
		t.Errorf("the policy is %q, without %q", policy, want)
	}
}

// failingWriter is the connection of a client that is gone.
type failingWriter struct{ http.ResponseWriter }

func (failingWriter) Header() http.Header       { return http.Header{} }
func (failingWriter) WriteHeader(int)           {}
func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("the client is gone") }

func TestAgent_StatusPageOutlivesClients(t *testing.T) {
	b := newBench(t, nil)
	b.start()
	pages := b.agent.handler()
	var wait sync.WaitGroup
	for range 8 { // each at the same time as others, for the race detector
		wait.Go(func() {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			pages.ServeHTTP(failingWriter{}, request)
		})
	}
	wait.Wait()
	b.says("the client is gone")
	recorder := httptest.NewRecorder()
	pages.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if recorder.Code != http.StatusOK || !strings.Contains(recorder.Body.String(), "Metrics only") {
		t.Errorf("the page is %d, %q", recorder.Code, recorder.Body)
	}
}

func TestAgent_NotReady(t *testing.T) {
	b := newBench(t, nil)
	b.make(false)
	stop := b.agent.serve() // Run has not looked at the sources yet
	if status, body := b.get("GET", "/readyz"); status != http.StatusServiceUnavailable || body != "starting\n" {
		t.Errorf("/readyz is %d, %q", status, body)
	}
	if status, _ := b.get("GET", "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz is %d", status)
	}
	stop()
	if err := b.agent.positions.Close(); err != nil {
		t.Error(err)
	}
}

// reloaded waits until the metric says whether the last reload was good.
func (b *bench) reloaded(want float64) {
	b.t.Helper()
	b.eventually("the metric of the reload", func() error {
		if got := testutil.ToFloat64(b.agent.own.reloadSuccessful); got != want {
			return fmt.Errorf("is %v, not %v", got, want)
		}
		return nil
	})
}

func TestAgent_Reload(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.append("w.log", numbered("a", 10)...)
	b.append("v.log", numbered("v", 5)...)
	b.start()
	addr := b.agent.Addr()
	b.balances("words", counts{"read": 10, "parsed": 10, "shipped": 10})

	// A good one: the new source appears, and the one before goes on.
	one := b.keys
	b.keys = one + b.source("more", "words", "v.log")
	b.config()
	b.reload <- syscall.SIGHUP
	b.balances("more", counts{"read": 5, "parsed": 5, "shipped": 5})
	b.append("w.log", "b 1")
	b.balances("words", counts{"read": 11, "parsed": 11, "shipped": 11})
	all := append(append(numbered("a", 10), numbered("v", 5)...), "b 1")
	b.arrived(all...)

	// Bad ones are refused with a reason, and what runs goes on.
	two := b.keys
	refused := func(text, why string) {
		t.Helper()
		b.agent.own.reloadSuccessful.Set(1)
		writeFile(t, b.path("c.yaml"), text)
		b.reload <- syscall.SIGHUP
		b.reloaded(0)
		b.says(why)
		line := fmt.Sprintf("c %d", len(all))
		all = append(all, line)
		b.append("w.log", line)
		b.arrived(all...)
	}
	good := b.text()
	refused("node: [", "refuse the new configuration; the one before goes on")
	refused(good+"nonsense: 1\n", "nonsense: unknown key")
	refused(strings.Replace(good, "listen: 127.0.0.1:0", "listen: 127.0.0.1:1", 1), "listen has changed, which takes a restart")
	refused(strings.Replace(good, "/state\n", "/state-2\n", 1), "state_dir has changed, which takes a restart")
	refused("max_series: 5\n"+good, "max_series has changed, which takes a restart")
	refused("max_label_values: 5\n"+good, "max_label_values has changed, which takes a restart")
	refused(strings.Replace(good, "labels: [word], help", "labels: [number], help", 1), "differ from the running ones, which takes a restart")
	refused(strings.Replace(good, "timeout: 500ms", "timeout: 500ms, tenant: 'a b'", 1), "loki.tenant:")
	refused(strings.Replace(good, loki.URL, "http://:3100", 1), "loki.url: is not a URL")
	if err := os.Remove(b.path("c.yaml")); err != nil {
		t.Fatal(err)
	}
	b.agent.own.reloadSuccessful.Set(1)
	b.reload <- syscall.SIGHUP
	b.reloaded(0)

	// Back to a good one without the second source.
	b.keys = one
	b.config()
	b.reload <- syscall.SIGHUP
	b.reloaded(1)
	b.append("v.log", "v 99")
	b.append("w.log", "d 1")
	all = append(all, "d 1")
	b.arrived(all...)
	b.keys = two
	b.config()
	b.reload <- syscall.SIGHUP
	all = append(all, "v 99")
	b.arrived(all...)
	if n := loki.taken(); n != len(all) {
		t.Errorf("Loki got %d entries for %d lines", n, len(all))
	}
	n := int64(len(all)) - 6 // but for those of v.log
	b.balances("words", counts{"read": n, "parsed": n, "shipped": n})
	if got := b.agent.Addr(); got != addr {
		t.Errorf("the address changed from %s to %s", addr, got)
	}
	if _, body := b.get("GET", "/"); !strings.Contains(body, "<h2>more</h2>") {
		t.Errorf("the page does not show the new source:\n%s", body)
	}
}

// A stream label has a number of values, and they stay the same over a reload.
func TestAgent_LabelValues(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.keys = `  - name: states
    layouts: [{name: plain, regex: '^(?P<state>[a-z]+) (?P<number>[0-9]+)$'}]
    stream_labels: [state]
max_label_values: 2
sources:
` + b.source("states", "states", "s.log")
	b.append("s.log", "a 1", "b 1", "c 1")
	b.start()
	b.arrived("a 1", "b 1", "c 1")
	b.keys += b.source("words", "words", "w.log")
	b.append("w.log", "taken 1")
	b.config()
	b.reload <- syscall.SIGHUP
	b.arrived("a 1", "b 1", "c 1", "taken 1")
	b.append("s.log", "c 2", "b 2")
	b.arrived("a 1", "b 1", "c 1", "taken 1", "c 2", "b 2")
	got := map[string]string{}
	for _, e := range loki.folded() {
		got[e.Line] = strings.TrimSpace(e.Stream + " " + e.Metadata)
	}
	stream := func(source, state string) string {
		return `{cluster="test", job="corkline", node="node-1", source="` + source + `"` + state + `}`
	}
	want := map[string]string{
		"a 1": stream("states", `, state="a"`), "b 1": stream("states", `, state="b"`), "b 2": stream("states", `, state="b"`),
		"c 1": stream("states", `, state="overflow"`) + " state_full=c", "c 2": stream("states", `, state="overflow"`) + " state_full=c",
		"taken 1": stream("words", ""),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, body := b.get("GET", "/metrics"); !strings.Contains(body, `corkline_pipeline_label_values_capped_total{label="state",source="states"} 2`+"\n") {
		t.Errorf("the metrics do not count the records with another value:\n%s", body)
	}
}

// A changed file is noticed without a signal, also one that changed while the
// configuration before was on its way out.
func TestAgent_ReloadByFile(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.append("w.log", "a 1")
	b.append("v.log", "v 1")
	c := b.config()
	// The file changes behind the back of an agent that has read it already.
	b.keys += b.source("more", "words", "v.log")
	writeFile(t, b.path("c.yaml"), b.text())
	agent, err := New(Options{ConfigFile: b.path("c.yaml"), Config: c, Log: slog.New(slog.NewTextHandler(b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	agent.look = 10 * time.Millisecond
	b.agent, b.ended = agent, make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() { b.ended <- agent.Run(ctx) }()
	b.arrived("a 1", "v 1")
	b.says("configuration taken")
}

// The folder of definitions is part of the configuration: what is added,
// changed and removed there is noticed, and does not count anything twice. What
// a refused configuration names is watched, too.
func TestAgent_ReloadByDefinition(t *testing.T) {
	b := newBench(t, newReceiver(t))
	const form = "name: mine\nlayouts: [{name: l, regex: '^(?P<word>[a-z]+)$'}]\nmetrics: [{name: mine_total, type: counter, labels: [word], help: Mine.}]\n"
	writeFile(t, b.path("formats/mine.yaml"), form)
	b.keys = "definitions_dir: formats\nsources:\n" + b.source("mine", "mine", "w.log")
	b.append("w.log", "word", "a,b")
	b.start()
	b.balances("mine", counts{"read": 2, "parsed": 1, "unparsed": 1, "shipped": 2})
	seen := 0
	says := func(what string) { // once more
		t.Helper()
		b.eventually("the agent to say "+what, func() error {
			if n := strings.Count(b.log.String(), what); n <= seen {
				return fmt.Errorf("%d times", n)
			}
			return nil
		})
		seen = strings.Count(b.log.String(), what)
	}
	const taken, refused = "configuration taken", "refuse the new configuration"

	// changed
	writeFile(t, b.path("formats/mine.yaml"), strings.Replace(form, "[a-z]+", "[a-z,]+", 1))
	says(taken)
	b.append("w.log", "c,d")
	b.balances("mine", counts{"read": 3, "parsed": 2, "unparsed": 1, "shipped": 3})

	// added
	writeFile(t, b.path("formats/what-is-new.yml"), "extends: mine\nlayouts: [{name: numbers, regex: '^(?P<word>[0-9]+)$'}]\nname: more\n")
	says(taken)
	b.keys += b.source("more", "more", "v.log")
	b.append("v.log", "a", "1", "!")
	b.config()
	says(taken)
	b.balances("more", counts{"read": 3, "parsed": 2, "unparsed": 1, "shipped": 3})

	// removed, though a source needs it
	seen = strings.Count(b.log.String(), refused)
	if err := os.Remove(b.path("formats/what-is-new.yml")); err != nil {
		t.Fatal(err)
	}
	says(refused)
	b.says(`there is no definition \"more\"`)

	// another folder, which is not there yet
	b.keys = strings.Replace(b.keys, "definitions_dir: formats", "definitions_dir: later", 1)
	writeFile(t, b.path("c.yaml"), b.text())
	says(refused)
	b.says("definitions_dir: open " + b.path("later"))
	writeFile(t, b.path("later/mine.yaml"), form)
	says(refused)
	seen = strings.Count(b.log.String(), taken)
	writeFile(t, b.path("later/more.yaml"), "extends: mine\nlayouts: [{name: other, regex: '^(?P<word>[^a-z]+)$'}]\nname: more\n")
	says(taken)
	b.append("w.log", "e,f")
	b.append("v.log", "?")
	b.balances("mine", counts{"read": 4, "parsed": 2, "unparsed": 2, "shipped": 4})
	b.balances("more", counts{"read": 4, "parsed": 3, "unparsed": 1, "shipped": 4})

	// a file that another key names, and that comes later
	seen = strings.Count(b.log.String(), refused)
	writeFile(t, b.path("c.yaml"), strings.Replace(b.text(), "timeout: 500ms", "timeout: 500ms, tls: {ca_file: "+b.path("ca.crt")+"}", 1))
	says(refused)
	b.says("loki.tls.ca_file: open " + b.path("ca.crt"))
	seen = strings.Count(b.log.String(), taken)
	writeFile(t, b.path("ca.crt"), certificate(t))
	says(taken)
	b.config()
	says(taken)

	// broken, and mended: what was taken goes on in between
	seen = strings.Count(b.log.String(), refused)
	writeFile(t, b.path("later/more.yaml"), "extends: theirs\nname: more\n")
	says(refused)
	b.says(b.path("later/more.yaml") + ":1:10: extends: there is no definition")
	b.append("v.log", "??")
	b.balances("more", counts{"read": 5, "parsed": 4, "unparsed": 1, "shipped": 5})
	seen = strings.Count(b.log.String(), taken)
	writeFile(t, b.path("later/more.yaml"), "extends: mine\nname: more\n")
	says(taken)
	b.append("v.log", "???")
	b.balances("more", counts{"read": 6, "parsed": 4, "unparsed": 2, "shipped": 6})
}

// certificate in PEM.
func certificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// Without a file, the defaults and their folder of definitions are read again.
func TestAgent_ReloadDefaults(t *testing.T) {
	b := newBench(t, nil)
	c := b.config()
	agent, err := New(Options{Config: c, Log: slog.New(slog.NewTextHandler(b.log, nil)), Reload: b.reload})
	if err != nil {
		t.Fatal(err)
	}
	b.agent, b.ended = agent, make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() { b.ended <- agent.Run(ctx) }()
	b.reload <- syscall.SIGHUP
	b.reloaded(0)
	b.says("listen has changed, which takes a restart") // the test listens elsewhere
}

// A reload during an outage loses no line, and books none twice.
func TestAgent_ReloadDuringOutage(t *testing.T) {
	loki := newReceiver(t)
	loki.answer(http.StatusInternalServerError)
	b := newBench(t, loki)
	b.append("w.log", numbered("a", 10)...)
	b.start()
	b.balances("words", counts{"read": 10, "parsed": 10, "waiting": 10})
	b.append("v.log", "v 1")
	b.keys += b.source("more", "words", "v.log")
	b.config()
	b.reload <- syscall.SIGHUP
	b.balances("more", counts{"read": 1, "parsed": 1, "waiting": 1})
	b.append("w.log", "b 1")
	b.balances("words", counts{"read": 11, "parsed": 11, "waiting": 11})
	loki.answer(0)
	b.arrived(append(numbered("a", 10), "b 1", "v 1")...)
	b.balances("words", counts{"read": 11, "parsed": 11, "shipped": 11})
	b.balances("more", counts{"read": 1, "parsed": 1, "shipped": 1})
	if n := loki.taken(); n != 12 {
		t.Errorf("Loki got %d entries for 12 lines", n)
	}
}

// A file that is renamed away is read to its end, what is written behind the
// rename too.
func TestAgent_Rotation(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.append("w.log", numbered("a", 100)...)
	b.start()
	b.eventually("the first lines", func() error {
		if loki.taken() == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	b.append("w.log", numbered("b", 100)...)
	if err := os.Rename(b.path("w.log"), b.path("w.log.1")); err != nil {
		t.Fatal(err)
	}
	b.append("w.log.1", numbered("c", 10)...) // the writer has not noticed yet
	b.append("w.log", numbered("d", 100)...)
	want := slices.Concat(numbered("a", 100), numbered("b", 100), numbered("c", 10), numbered("d", 100))
	b.arrived(want...)
	if n := loki.taken(); n != len(want) {
		t.Errorf("Loki got %d entries for %d lines", n, len(want))
	}
	b.balances("words", counts{"read": 310, "parsed": 310, "shipped": 310})
}

// Lines that share a time are told apart, in order, and a line without a time
// follows the one before it.
func TestAgent_Times(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.keys = "sources:\n" + b.source("timed", "timed", "t.log")
	b.append("t.log",
		"2026-11-21T10:00:00 a", "2026-11-21T10:00:00 a", "no time", "no time", "2026-11-21T10:00:00 a",
		"2026-11-21T10:00:02 b", "2026-11-21T10:00:01 older", "2026-11-21T10:00:01 older", "2026-99-21T10:00:01 never")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.append("t.log", "2026-11-21T10:00:01 older", "no time") // goes on where the run before ended
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	type stamped struct {
		Line string
		At   time.Duration // from ten o'clock
	}
	ten := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC).UnixNano()
	var got []stamped
	for _, e := range loki.folded() {
		got = append(got, stamped{e.Line, time.Duration(e.Time - ten)})
	}
	want := []stamped{
		{"2026-11-21T10:00:00 a", 0},
		{"2026-11-21T10:00:00 a", 1},
		{"no time", 2},
		{"no time", 3},
		{"2026-11-21T10:00:00 a", 4},
		{"2026-11-21T10:00:01 older", time.Second},
		{"2026-11-21T10:00:01 older", time.Second + 1},
		{"2026-99-21T10:00:01 never", time.Second + 2},
		{"2026-11-21T10:00:01 older", time.Second + 3},
		{"no time", time.Second + 4},
		{"2026-11-21T10:00:02 b", 2 * time.Second},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Times that name no zone have that of their source.
func TestAgent_Zone(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.keys = "sources:\n" + strings.Replace(b.source("there", "timed", "t.log"), "{", "{zone: Asia/Kolkata, ", 1) + b.source("here", "timed", "h.log")
	b.append("t.log", "2026-11-21T10:00:00 a")
	b.append("h.log", "2026-11-21T10:00:00 b")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range loki.folded() {
		got[e.Line] = time.Unix(0, e.Time).UTC().Format(time.RFC3339)
	}
	want := map[string]string{"2026-11-21T10:00:00 a": "2026-11-21T04:30:00Z", "2026-11-21T10:00:00 b": "2026-11-21T10:00:00Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is sent again after a stop before the commit is the same to the byte,
// so that Loki folds it, whether lines carry their time or not.
func TestAgent_SendsTheSameAgain(t *testing.T) {
	f := func(definition string, first, second []string) {
		t.Helper()
		loki := newReceiver(t)
		b := newBench(t, loki)
		b.keys = "sources:\n" + b.source("s", definition, "s.log")
		b.append("s.log", first...)
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		committed := len(loki.requests())
		loki.answer(hang) // Loki has got the lines, and the agent does not know
		b.append("s.log", second...)
		b.start()
		b.eventually("a push", func() error {
			if len(loki.requests()) == committed {
				return errors.New("there is none")
			}
			return nil
		})
		b.stop()
		b.says("stopped before all was shipped; the lines stay in their files")
		sent := len(loki.requests())
		loki.answer(0)
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		requests := loki.requests()
		if len(requests) != sent+1 {
			t.Fatalf("%d requests after the restart, not 1", len(requests)-sent)
		}
		for i, body := range requests[committed:sent] {
			if !bytes.Equal(body, requests[sent]) {
				t.Errorf("%s: request %d differs from the one after the restart", definition, i)
			}
		}
		if diff := cmp.Diff(append(slices.Clone(first), second...), loki.lines()); diff != "" {
			t.Errorf("%s: lines (-want +got):\n%s", definition, diff)
		}
	}
	f("words", numbered("a", 3), numbered("b", 50))
	f("words", []string{"a 1", "same 1", "same 1"}, []string{"same 1", "same 1", "what?", "what?"})
	f("timed", []string{"2026-11-21T10:00:00 a", "2026-11-21T10:00:00 a"},
		[]string{"2026-11-21T10:00:00 a", "2026-11-21T10:00:00 a", "no time", "2026-11-21T10:00:01 b", "no time"})
	f("timed", []string{"no time"}, []string{"no time", "no time"}) // from the first sight of the file on
}

// The ledger goes on over restarts, and lines that waited are not read twice.
func TestAgent_LedgerIsKept(t *testing.T) {
	loki := newReceiver(t)
	loki.refuse = "forbidden"
	b := newBench(t, loki)
	f := func(want Account) {
		t.Helper()
		got, damaged, err := ReadLedger(b.path("state"))
		if err != nil || len(damaged) > 0 || len(got) != 1 {
			t.Fatal(got, damaged, err)
		}
		if got[0].Since.IsZero() || got[0].Written.Before(got[0].Since) || !got[0].Balances() {
			t.Errorf("%+v", got[0])
		}
		want.Source = "words"
		if diff := cmp.Diff(want, got[0], cmpopts.IgnoreFields(Account{}, "Since", "Written")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	b.append("w.log", "a 1", "forbidden 1", "what?")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	f(Account{Read: 3, Parsed: 2, Unparsed: 1, Shipped: 2, DeadLettered: 1})

	// Lines wait while an agent ends.
	loki.answer(http.StatusServiceUnavailable)
	b.start()
	b.append("w.log", "a 2", "why?")
	b.balances("words", counts{"read": 2, "parsed": 1, "unparsed": 1, "waiting": 2})
	b.stop()
	f(Account{Read: 3, Parsed: 2, Unparsed: 1, Shipped: 2, DeadLettered: 1})

	loki.answer(0)
	b.append("w.log", "forbidden 2")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	f(Account{Read: 6, Parsed: 4, Unparsed: 2, Shipped: 4, DeadLettered: 2})
}

// Lines that were counted, and whose file goes before Loki takes them, are in
// the kept account, though no commit follows.
func TestAgent_LostIsKept(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	f := func(want Account) {
		t.Helper()
		b.eventually("the kept account", func() error {
			got, damaged, err := ReadLedger(b.path("state"))
			if err != nil || len(damaged) > 0 || len(got) != 1 {
				return fmt.Errorf("%v %v: %w", got, damaged, err)
			}
			want.Source = "words"
			if diff := cmp.Diff(want, got[0], cmpopts.IgnoreFields(Account{}, "Since", "Written")); diff != "" || !got[0].Balances() {
				return fmt.Errorf("balances: %v (-want +got):\n%s", got[0].Balances(), diff)
			}
			return nil
		})
	}
	b.append("w.log", "a 1", "a 2")
	b.start()
	b.balances("words", counts{"read": 2, "parsed": 2, "shipped": 2})
	loki.answer(http.StatusServiceUnavailable)
	b.append("w.log", "a 3")
	b.balances("words", counts{"read": 3, "parsed": 3, "shipped": 2, "waiting": 1})
	b.append("w.log", "a 4") // the next batch
	b.balances("words", counts{"read": 4, "parsed": 4, "shipped": 2, "waiting": 2})
	b.append("w.log", "a 5", "a 6", "why?") // only counted
	b.balances("words", counts{"read": 7, "parsed": 6, "unparsed": 1, "shipped": 2, "waiting": 5})
	if err := os.Truncate(b.path("w.log"), 0); err != nil {
		t.Fatal(err)
	}
	f(Account{Read: 7, Parsed: 6, Unparsed: 1, Shipped: 2, Lost: 3, Waiting: 2, WaitingParsed: 2, TruncatedFiles: 1})
	b.stop() // those on their way are lost, too, with a process that is told to end
	loki.answer(0)
	b.append("w.log", "a 7")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	f(Account{Read: 6, Parsed: 5, Unparsed: 1, Shipped: 3, Lost: 3, TruncatedFiles: 1})
}

// Lines that wait at a commit are in the kept account, and are taken off again
// by the restart that reads them once more.
func TestAccount_Restore(t *testing.T) {
	a := &account{}
	a.read.Store(10)
	a.parsed.Store(7)
	a.unparsed.Store(3)
	a.shipped.Store(6)
	a.waiting.Store(4)
	a.waitingParsed = 3
	f := func(want Account) Account {
		t.Helper()
		note, err := a.note("s", time.Unix(1, 0))
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeAccount("s", note)
		if err != nil || !got.Balances() {
			t.Fatal(got, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Account{}, "Source", "Since", "Written")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return got
	}
	kept := f(Account{Read: 10, Parsed: 7, Unparsed: 3, Shipped: 6, Waiting: 4, WaitingParsed: 3})
	a = &account{}
	a.restore(kept)
	f(Account{Read: 6, Parsed: 4, Unparsed: 2, Shipped: 6})

	// An agent that kept no lost lines left them out.
	older, err := decodeAccount("s", []byte(`{"read":6,"parsed":6,"shipped":3,"waiting":1,"waiting_parsed":1}`))
	if err != nil || older.Lost != 2 || !older.Balances() {
		t.Error(older, err)
	}
}
