package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/corkline/corkline/parsers"
)

// memory is a Store that holds each key to one content.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	fail    func(verb, key string) error
	puts    int
	changed []string // keys of archived lines that got another content
}

func newMemory() *memory {
	return &memory{objects: map[string][]byte{}, fail: func(string, string) error { return nil }}
}

func (m *memory) Put(_ context.Context, key string, content []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail("put", key); err != nil {
		return err
	}
	m.puts++
	if old, known := m.objects[key]; known && !bytes.Equal(old, content) && !strings.Contains(key, "/replay-") {
		m.changed = append(m.changed, key)
	}
	m.objects[key] = bytes.Clone(content)
	return nil
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail("get", key); err != nil {
		return nil, err
	}
	content, known := m.objects[key]
	if !known {
		return nil, fs.ErrNotExist
	}
	return content, nil
}

func (m *memory) List(_ context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(m.objects)) {
			if strings.HasPrefix(key, prefix) && !yield(key, nil) {
				return
			}
		}
	}
}

// lines of all objects that have a manifest, which is held to them.
func (m *memory) lines(t interface{ Fatalf(string, ...any) }) (lines []string) {
	for key, text := range m.objects {
		if !strings.HasSuffix(key, manifestSuffix) {
			continue
		}
		var manifest Manifest
		if err := json.Unmarshal(text, &manifest); err != nil {
			t.Fatalf("%s: %s", key, err)
		}
		object := m.objects[manifest.Object]
		content, err := unpack(object, &manifest)
		if err != nil {
			t.Fatalf("%s", err)
		}
		if manifestKey(manifest.Object) != key || int64(len(object)) != manifest.CompressedBytes || hexSum(object) != manifest.CompressedSHA256 || int64(len(content)) != manifest.Bytes {
			t.Fatalf("the manifest is not right: %+v", manifest)
		}
		good, damaged, _ := scanned(content)
		reasons := 0
		for _, n := range manifest.Reasons {
			reasons += n
		}
		if len(damaged) > 0 || len(good) != manifest.Lines || reasons != manifest.Lines {
			t.Fatalf("%d good lines, %d damaged, %d reasons: %+v", len(good), len(damaged), reasons, manifest)
		}
		for _, line := range good {
			e, err := decodeRecord([]byte(line))
			if err != nil || e.Time < manifest.First || e.Time > manifest.Last || e.Source != manifest.Source {
				t.Fatalf("%v: %+v in %+v", err, e, manifest)
			}
			lines = append(lines, e.Source+" "+string(e.Line))
		}
	}
	slices.Sort(lines)
	return lines
}

// manifests that are in the store.
func (m *memory) manifests() (n int) {
	for key := range m.objects {
		if strings.HasSuffix(key, manifestSuffix) {
			n++
		}
	}
	return n
}

// clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func options(dir string, remote Store, c *clock) Options {
	return Options{
		Dir: dir, Cluster: "c 1", Node: "n1", BudgetBytes: 1 << 20, SegmentBytes: 1000, FlushInterval: time.Minute,
		Remote: remote, MaxBackoff: time.Millisecond, Now: c.Now,
	}
}

func open(t testing.TB, o Options) *Archive {
	t.Helper()
	a, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() }) // a test may have closed it
	return a
}

// entriesOf a source, from one number to before another.
func entriesOf(source string, from, to int) (entries []Entry) {
	for i := from; i < to; i++ {
		entries = append(entries, Entry{
			Time: time.Date(2026, 11, 1, 0, 0, i, 0, time.UTC).UnixNano(), Source: source, Labels: [][2]string{{"action", "Drop"}, {"source", source}},
			Line: fmt.Appendf(nil, "line %d", i), Metadata: [][2]string{{"n", fmt.Sprint(i)}}, Reason: fmt.Sprintf("entry %d is too old", i),
		})
	}
	return entries
}

func linesOf(entries []Entry) (lines []string) {
	for _, e := range entries {
		lines = append(lines, e.Source+" "+string(e.Line))
	}
	slices.Sort(lines)
	return lines
}

func batch(source string) *parsers.Batch { return &parsers.Batch{Source: source} }

// put stores entries as a batch that is committed.
func put(t testing.TB, a *Archive, entries []Entry) {
	t.Helper()
	b := batch(entries[0].Source)
	if err := a.Store(b, entries); err != nil {
		t.Fatal(err)
	}
	if b.DeadLettered != len(entries) {
		t.Errorf("%d dead letters, want %d", b.DeadLettered, len(entries))
	}
	a.Committed(b)
}

func files(t testing.TB, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == lockName {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %s", path, info.Mode())
		}
		name, err := filepath.Rel(dir, path)
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Segments are closed by size and age, uploaded, and then gone from the disk.
func TestArchive(t *testing.T) {
	dir, remote, c := filepath.Join(t.TempDir(), "a"), newMemory(), newClock()
	reg := prometheus.NewRegistry()
	o := options(dir, remote, c)
	o.Metrics = NewMetrics(reg)
	a := open(t, o)
	put(t, a, entriesOf("s", 0, 3))
	put(t, a, entriesOf("u", 0, 1))
	if diff := cmp.Diff([]string{"s/0000000000000001.open", "u/0000000000000001.open"}, files(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	put(t, a, entriesOf("s", 3, 10)) // above 1000 bytes
	if diff := cmp.Diff([]string{"s/0000000000000001.jsonl", "u/0000000000000001.open"}, files(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := a.upload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"u/0000000000000001.open"}, files(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.add(59 * time.Second)
	a.closeAllDue(false)
	if err := a.upload(t.Context()); err != nil || remote.manifests() != 1 {
		t.Fatalf("%v, %d objects", err, remote.manifests())
	}
	c.add(time.Second)
	a.closeAllDue(false)
	if err := a.upload(t.Context()); err != nil || remote.manifests() != 2 {
		t.Fatalf("%v, %d objects", err, remote.manifests())
	}
	if names := files(t, dir); len(names) > 0 {
		t.Errorf("left on disk: %s", names)
	}
	if diff := cmp.Diff(append(linesOf(entriesOf("s", 0, 10)), "u line 0"), remote.lines(t)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if state := a.State(); state.Bytes != 0 || state.Segments != 0 || state.BudgetBytes != 1<<20 || state.LastUpload.IsZero() || state.StoreError+state.UploadError != "" {
		t.Errorf("state is %+v", state)
	}
	for name, want := range map[string]float64{"uploaded_objects_total": 2, "uploaded_lines_total": 11, "bytes": 0, "segments": 0, "budget_bytes": 1 << 20} {
		if got := metric(t, reg, "corkline_archive_"+name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	const first = "c=201/n1/s/2026/11/01/20261101T000000.000000000Z-"
	for key := range remote.objects {
		if !strings.HasPrefix(key, first) && !strings.HasPrefix(key, strings.Replace(first, "/s/", "/u/", 1)) {
			t.Errorf("key %q", key)
		}
	}
}

func metric(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

var errKilled = errors.New("killed")

// world is an agent that is killed again and again: it sends batches one after
// the other, and sends again those that it did not commit.
type world struct {
	dir       string
	remote    *memory
	clock     *clock
	batches   [][]Entry
	committed int
	until     int // steps of this life
	pace      time.Duration
}

func (w *world) step(string) error {
	if w.until--; w.until < 0 {
		return errKilled
	}
	return nil
}

// live until it is killed or all is done.
func (w *world) live(t *rapid.T) (done bool) {
	a, err := Open(options(w.dir, w.remote, w.clock))
	if err != nil {
		t.Fatalf("%s", err)
	}
	defer func() { _ = a.Close() }()
	a.step = w.step
	tick := func() bool { // closes what is old, also before what was stored is committed
		w.clock.add(w.pace)
		a.closeAllDue(false)
		return a.upload(context.Background()) == nil && w.until >= 0
	}
	if !tick() {
		return false
	}
	for w.committed < len(w.batches) {
		entries := w.batches[w.committed]
		b := batch(entries[0].Source)
		if a.Store(b, entries) != nil || !tick() || w.step("commit") != nil {
			return false
		}
		w.committed++
		if w.step("committed") != nil {
			return false
		}
		a.Committed(b)
		if !tick() {
			return false
		}
	}
	a.Idle("s")
	a.Idle("u")
	return a.Flush(context.Background()) == nil && w.until >= 0
}

// Wherever it is killed, each line ends in one object, and no object changes.
func TestArchive_Killed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		w := &world{dir: dir, remote: newMemory(), clock: newClock(), pace: time.Duration(rapid.IntRange(5, 60).Draw(rt, "pace")) * time.Second}
		var all []Entry
		for i := range rapid.IntRange(1, 6).Draw(rt, "batches") {
			n := rapid.IntRange(1, 9).Draw(rt, "lines")
			entries := entriesOf(rapid.SampledFrom([]string{"s", "u"}).Draw(rt, "source"), 10*i, 10*i+n)
			w.batches = append(w.batches, entries)
			all = append(all, entries...)
		}
		for life := range 1000 {
			w.until = 1 << 30
			if life < 12 {
				w.until = rapid.IntRange(0, 12).Draw(rt, "steps")
			}
			if w.live(rt) {
				break
			}
		}
		if diff := cmp.Diff(linesOf(all), w.remote.lines(rt)); diff != "" {
			rt.Fatalf("lines (-want +got):\n%s", diff)
		}
		if len(w.remote.changed) > 0 || len(w.remote.objects) != 2*w.remote.manifests() {
			rt.Fatalf("changed %q; %d objects, %d manifests", w.remote.changed, len(w.remote.objects), w.remote.manifests())
		}
		if names := files(t, dir); len(names) > 0 {
			rt.Fatalf("left on disk: %s", names)
		}
	})
}

// Between any two steps of an upload a crash changes nothing about its end.
func TestArchive_KilledWhileUploading(t *testing.T) {
	want := map[string][]byte(nil)
	for n := 0; ; n++ {
		dir, remote, c := t.TempDir(), newMemory(), newClock()
		a := open(t, options(dir, remote, c))
		put(t, a, entriesOf("s", 0, 20))
		put(t, a, entriesOf("s", 20, 23))
		put(t, a, entriesOf("u", 0, 1))
		a.Idle("s")
		steps := 0
		a.step = func(string) error {
			if steps++; steps > n && n > 0 {
				return errKilled
			}
			return nil
		}
		err := a.Flush(t.Context())
		if n == 0 {
			want = remote.objects
		}
		if n > 0 && err == nil {
			if n < 10 {
				t.Errorf("an upload of three segments has %d steps", n)
			}
			return // all points were tried
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		a = open(t, options(dir, remote, c))
		a.Idle("s")
		a.Idle("u")
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, remote.objects); diff != "" || len(remote.changed) > 0 {
			t.Errorf("killed at step %d: (-want +got):\n%s", n, diff)
		}
		if names := files(t, dir); len(names) > 0 {
			t.Errorf("killed at step %d: left on disk: %s", n, names)
		}
	}
}

// When the budget is used up nothing is stored, and goes on when S3 is back.
func TestArchive_Budget(t *testing.T) {
	dir, remote, c := t.TempDir(), newMemory(), newClock()
	o := options(dir, remote, c)
	o.BudgetBytes = 1500
	reg := prometheus.NewRegistry()
	o.Metrics = NewMetrics(reg)
	a := open(t, o)
	put(t, a, entriesOf("s", 0, 6))
	before := a.State()
	b := batch("u")
	err := a.Store(b, entriesOf("u", 0, 6))
	if err == nil || !strings.Contains(err.Error(), "is full (") || !strings.Contains(err.Error(), "of 1500 bytes): it empties when S3 is back; its sources wait") || b.DeadLettered != 0 {
		t.Errorf("error is %v", err)
	}
	after := a.State()
	if after.Bytes != before.Bytes || after.StoreError == "" || metric(t, reg, "corkline_archive_store_failures_total") != 1 {
		t.Errorf("state was %+v, is %+v", before, after)
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, a, entriesOf("u", 0, 6))
	if state := a.State(); state.StoreError != "" {
		t.Errorf("state is %+v", state)
	}
}

// A fault of the disk while storing leaves nothing behind.
func TestArchive_StoreFails(t *testing.T) {
	dir, remote, c := t.TempDir(), newMemory(), newClock()
	a := open(t, options(dir, remote, c))
	put(t, a, entriesOf("s", 0, 1))
	g := a.of("s").open[0]
	good := g.file
	readOnly, err := os.Open(g.path)
	if err != nil {
		t.Fatal(err)
	}
	g.file = readOnly
	b := batch("s")
	for range 2 {
		if err := a.Store(b, entriesOf("s", 1, 2)); err == nil {
			t.Error("stored in a file that cannot be written")
		}
	}
	g.file = good
	if err := readOnly.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Store(b, entriesOf("s", 1, 2)); err != nil {
		t.Fatal(err)
	}
	a.Committed(b)
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(linesOf(entriesOf("s", 0, 2)), remote.lines(t)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// Damage to a segment costs the record that it hits, which is set aside.
func TestArchive_Damage(t *testing.T) {
	dir, remote, c := t.TempDir(), newMemory(), newClock()
	o := options(dir, remote, c)
	reg := prometheus.NewRegistry()
	o.Metrics = NewMetrics(reg)
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	a := open(t, o)
	put(t, a, entriesOf("s", 0, 10))
	path := filepath.Join(dir, "s", "0000000000000001.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[bytes.Index(text, []byte("line 4"))] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := linesOf(slices.Concat(entriesOf("s", 0, 4), entriesOf("s", 5, 10)))
	if diff := cmp.Diff(want, remote.lines(t)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	aside, err := os.ReadFile(filepath.Join(dir, "s", "0000000000000001.damaged"))
	if err != nil || !bytes.Contains(aside, []byte("mine 4")) || bytes.Count(aside, []byte("crc")) != 1 {
		t.Errorf("%v; set aside: %q", err, aside)
	}
	if n := metric(t, reg, "corkline_archive_damaged_records_total"); n != 1 || !strings.Contains(log.String(), "set damaged records of the archive aside") {
		t.Errorf("%v damaged records; log %s", n, log.String())
	}
	if state := a.State(); state.Bytes != int64(len(aside)) {
		t.Errorf("%+v, and %d bytes are set aside", state, len(aside))
	}
}

// The agent and a replay do not use a folder at the same time.
func TestArchive_Locked(t *testing.T) {
	dir := t.TempDir()
	open(t, options(dir, nil, newClock()))
	if _, err := Open(options(dir, nil, newClock())); !errors.Is(err, ErrLocked) {
		t.Errorf("error is %v", err)
	}
}

// Run closes, uploads and tries again.
func TestArchive_Run(t *testing.T) {
	dir, remote, c := t.TempDir(), newMemory(), newClock()
	remaining := 5
	remote.fail = func(string, string) error {
		if remaining--; remaining >= 0 {
			return errors.New("S3 is away")
		}
		return nil
	}
	o := options(dir, remote, c)
	o.FlushInterval = 40 * time.Millisecond
	reg := prometheus.NewRegistry()
	o.Metrics = NewMetrics(reg)
	a := open(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { a.Run(ctx) })
	put(t, a, entriesOf("s", 0, 10))
	put(t, a, entriesOf("u", 0, 1))
	c.add(time.Second)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for a.State().Segments > 0 {
		select {
		case <-ticker.C:
		case <-time.After(time.Minute):
			t.Fatalf("%+v", a.State())
		}
	}
	cancel()
	wait.Wait()
	if diff := cmp.Diff(11, len(remote.lines(t))); diff != "" {
		t.Error(diff)
	}
	if n := testutil.ToFloat64(o.Metrics.uploadFailures); n != 5 {
		t.Errorf("%v failures", n)
	}
	if state := a.State(); state.UploadError != "" {
		t.Errorf("%+v", state)
	}
}

func BenchmarkStore(b *testing.B) {
	for _, lines := range []int{1, 1000} {
		b.Run(fmt.Sprintf("lines=%d", lines), func(b *testing.B) {
			o := options(b.TempDir(), newMemory(), newClock())
			o.BudgetBytes, o.SegmentBytes = 1<<40, 1<<40
			a := open(b, o)
			entries := entriesOf("s", 0, lines)
			b.ReportAllocs()
			b.SetBytes(int64(len(appendRecord(nil, &entries[0])) * lines))
			for b.Loop() {
				batch := batch("s")
				if err := a.Store(batch, entries); err != nil {
					b.Fatal(err)
				}
				a.Committed(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*lines), "ns/line")
		})
	}
}

// BenchmarkRecord compares with encoding/json.
func BenchmarkRecord(b *testing.B) {
	e := entriesOf("s", 0, 1)[0]
	b.Run("own", func(b *testing.B) {
		var dst []byte
		b.ReportAllocs()
		for b.Loop() {
			dst = appendRecord(dst[:0], &e)
		}
		b.SetBytes(int64(len(dst)))
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, err := json.Marshal(e)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(text)))
		}
	})
}

// BenchmarkSeal is what an upload of a segment costs.
func BenchmarkSeal(b *testing.B) {
	var text []byte
	for _, e := range entriesOf("s", 0, 20_000) {
		text = appendRecord(text, &e)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s, err := seal(text, "c", "n", "s")
		if err != nil {
			b.Fatal(err)
		}
		encoder, err := newEncoder()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(text))/float64(len(s.pack(encoder))), "ratio")
		if err := encoder.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
