package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// target takes pushes, and is told what of them is acknowledged.
type target struct {
	streams map[string][]Entry
	refuse  string // in a line
	until   int    // pushes that it lives
	lost    bool   // whether the last push before its end arrived all the same
}

func newTarget() *target { return &target{streams: map[string][]Entry{}, until: 1 << 30} }

// push folds what it has already, as Loki does, and refuses what is long
// behind the newest of a stream.
func (g *target) push(_ context.Context, labels [][2]string, entries []Entry) (map[string]int, error) {
	if g.until--; g.until < 0 && g.lost {
		return nil, errKilled
	}
	refused := map[string]int{}
	key := fmt.Sprint(labels)
	for _, e := range entries {
		stream := g.streams[key]
		switch {
		case g.refuse != "" && strings.Contains(string(e.Line), g.refuse):
			refused["line 17 is refused"]++
		case len(stream) > 0 && e.Time < stream[len(stream)-1].Time-int64(time.Hour):
			refused["too far behind"]++
		case slices.ContainsFunc(stream, func(old Entry) bool { return old.Time == e.Time && string(old.Line) == string(e.Line) }):
		default:
			g.streams[key] = append(stream, e)
		}
	}
	if g.until < 0 {
		return nil, errKilled
	}
	return refused, nil
}

// lines that it has, by stream; within one they are held to be in order.
func (g *target) lines(t interface{ Errorf(string, ...any) }) (lines []string) {
	for key, stream := range g.streams {
		last := int64(0)
		for _, e := range stream {
			// What was repeated after a crash may come behind what came with it.
			if e.Time < last-int64(windowSpan) {
				t.Errorf("stream %s: %d comes after %d", key, e.Time, last)
			}
			last = max(last, e.Time)
			lines = append(lines, fmt.Sprintf("%s %d %s %s", key, e.Time, e.Line, e.Metadata))
		}
	}
	slices.Sort(lines)
	return lines
}

// stored puts random entries into an archive, and returns those in the
// selection as a replay has them.
func stored(t *rapid.T, dir string, remote Store, s Selection, id string) (want []string) {
	c := newClock()
	o := options(dir, remote, c)
	o.SegmentBytes = 2000
	a, err := Open(o)
	if err != nil {
		t.Fatalf("%s", err)
	}
	defer func() { _ = a.Close() }()
	for i := range rapid.IntRange(1, 12).Draw(t, "batches") {
		source := rapid.SampledFrom([]string{"s", "u"}).Draw(t, "source")
		b := batch(source)
		var entries []Entry
		for k := range rapid.IntRange(1, 15).Draw(t, "lines") {
			e := Entry{
				Time:   s.From.Add(time.Duration(rapid.IntRange(-30, 150).Draw(t, "minute"))*time.Minute + time.Duration(k)).UnixNano(),
				Source: source, Labels: [][2]string{{"action", rapid.SampledFrom([]string{"Allow", "Drop"}).Draw(t, "action")}, {"source", source}},
				Line: fmt.Appendf(nil, "line %d of %d", k, i), Metadata: [][2]string{{"b", "x"}, {"a", fmt.Sprint(k)}}, Reason: "r",
			}
			entries = append(entries, e)
			if e.Time >= s.From.UnixNano() && e.Time < s.To.UnixNano() && s.has(source) {
				labels := [][2]string{e.Labels[0], {"replay", id}, e.Labels[1]}
				want = append(want, fmt.Sprintf("%s %d %s %s", fmt.Sprint(labels), e.Time, e.Line, e.Metadata))
			}
		}
		if err := a.Store(b, entries); err != nil {
			t.Fatalf("%s", err)
		}
		a.Committed(b)
	}
	a.Idle("s")
	a.Idle("u")
	if err := a.Flush(context.Background()); err != nil {
		t.Fatalf("%s", err)
	}
	slices.Sort(want)
	return want
}

// Each line is pushed once, in the order of time, wherever a replay breaks off.
func TestReplay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		from := time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
		s := Selection{From: from, To: from.Add(2 * time.Hour), Sources: rapid.SampledFrom([][]string{nil, {"s"}}).Draw(rt, "sources")}
		id := ReplayID(s)
		remote := newMemory()
		local := rapid.Bool().Draw(rt, "local")
		var store Store = remote
		if local {
			store = nil
		}
		want := stored(rt, dir, store, s, id)
		g := newTarget()
		total := Counts{}
		for run := range 100 {
			g.until = 1 << 30
			if run < 6 {
				g.until = rapid.IntRange(0, 4).Draw(rt, "pushes")
				g.lost = rapid.Bool().Draw(rt, "lost")
			}
			saves := 1 << 30
			if run < 6 && rapid.Bool().Draw(rt, "no save") {
				saves = rapid.IntRange(0, 3).Draw(rt, "saves")
			}
			remote.fail = func(verb, key string) error {
				if verb == "put" && strings.Contains(key, "/replay-") {
					if saves--; saves < 0 {
						return fmt.Errorf("%w: %w", errKilled, fs.ErrNotExist) // which is not tried again
					}
				}
				return nil
			}
			l := NewLibrary(remote)
			if local {
				var err error
				if l, err = OpenFolder(dir); err != nil {
					rt.Fatal(err)
				}
			}
			r, err := NewReplay(context.Background(), l, s, id)
			if err != nil {
				rt.Fatal(err)
			}
			if r.Plan.Lines != len(want) || r.Plan.Skipped != total.Pushed {
				rt.Fatalf("run %d: plan is %+v, want %d lines and %d skipped", run, r.Plan, len(want), total.Pushed)
			}
			saved := 0
			counts, err := r.Run(context.Background(), g.push, func(now Counts) { saved = now.Pushed })
			if counts.Refused > 0 {
				rt.Fatalf("refused %v", counts.Reasons)
			}
			total.Pushed += saved
			if err := l.Close(); err != nil {
				rt.Fatal(err)
			}
			if err == nil {
				if total.Pushed != len(want) || counts.Pushed+counts.Skipped != len(want) {
					rt.Fatalf("pushed %d and skipped %d of %d", counts.Pushed, counts.Skipped, len(want))
				}
				break
			}
		}
		if diff := cmp.Diff(want, g.lines(rt)); diff != "" {
			rt.Fatalf("lines (-want +got):\n%s", diff)
		}
	})
}

// What is refused again is counted by its reason, and not pushed again.
func TestReplay_Refused(t *testing.T) {
	remote := newMemory()
	a := open(t, options(t.TempDir(), remote, newClock()))
	put(t, a, entriesOf("s", 0, 30))
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := Selection{From: time.Date(2026, 11, 1, 0, 0, 10, 0, time.UTC), To: time.Date(2026, 11, 1, 0, 0, 20, 0, time.UTC)}
	g := newTarget()
	g.refuse = "line 17"
	f := func(id string, want Counts) {
		t.Helper()
		r, err := NewReplay(t.Context(), NewLibrary(remote), s, id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Run(t.Context(), g.push, func(Counts) {})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	f("x", Counts{Pushed: 9, Refused: 1, Reasons: map[string]int{"line # is refused": 1}})
	f("x", Counts{Skipped: 10, Reasons: map[string]int{}})
	f("y", Counts{Pushed: 9, Refused: 1, Reasons: map[string]int{"line # is refused": 1}})

	// An id stands for one range, and damaged progress is not taken for none.
	s.To = s.To.Add(time.Second)
	if _, err := NewReplay(t.Context(), NewLibrary(remote), s, "x"); err == nil || !strings.Contains(err.Error(), "give another --id") {
		t.Errorf("error is %v", err)
	}
	for key, content := range remote.objects {
		if strings.HasSuffix(key, "replay-y.json") {
			content[len(content)/2] ^= 1
		}
	}
	if _, err := NewReplay(t.Context(), NewLibrary(remote), s, "y"); err == nil || !strings.Contains(err.Error(), "read the progress in ") {
		t.Errorf("error is %v", err)
	}
}

// An object that is not what its manifest says is not replayed.
func TestReplay_DamagedObject(t *testing.T) {
	remote := newMemory()
	a := open(t, options(t.TempDir(), remote, newClock()))
	put(t, a, entriesOf("s", 0, 30))
	if err := a.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, content := range remote.objects {
		if strings.HasSuffix(key, objectSuffix) {
			content[len(content)-9] ^= 1
		}
	}
	s := Selection{From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}
	r, err := NewReplay(t.Context(), NewLibrary(remote), s, "x")
	if err != nil {
		t.Fatal(err)
	}
	g := newTarget()
	if _, err := r.Run(t.Context(), g.push, func(Counts) {}); err == nil || !strings.Contains(err.Error(), "unpack c=201/n1/s/2026/11/01/") || len(g.streams) > 0 {
		t.Errorf("error is %v", err)
	}
}

// Whatever byte of whatever object is flipped, the others are replayed, and one
// whose manifest is damaged, too.
func TestReplay_AnyByteFlipped(t *testing.T) {
	remote := newMemory()
	a := open(t, options(t.TempDir(), remote, newClock()))
	for _, entries := range [][]Entry{entriesOf("s", 0, 3), entriesOf("odd name=é", 3, 6)} {
		put(t, a, entries)
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s := Selection{From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}
	replay := func() (g *target, err error) {
		g = newTarget()
		r, err := NewReplay(t.Context(), NewLibrary(remote), s, "x")
		if err == nil {
			_, err = r.Run(t.Context(), g.push, func(Counts) {})
		}
		maps.DeleteFunc(remote.objects, func(key string, _ []byte) bool { return strings.Contains(key, "/replay-") })
		return g, err
	}
	g, err := replay()
	all := g.lines(t)
	if len(all) != 6 || err != nil || len(remote.objects) != 4 {
		t.Fatalf("%d lines, %d objects, %v", len(all), len(remote.objects), err)
	}
	for key, content := range remote.objects {
		want := all
		object := strings.HasSuffix(key, objectSuffix)
		if object {
			odd := strings.Contains(key, "odd")
			want = slices.DeleteFunc(slices.Clone(all), func(line string) bool { return strings.Contains(line, "odd name") == odd })
		}
		for i := range content {
			content[i] ^= 1 << (i % 8)
			g, err := replay()
			got := g.lines(t)
			content[i] ^= 1 << (i % 8)
			want := want
			if object && err == nil { // in the header of zstd are bytes that nothing depends on
				want = all
			}
			if diff := cmp.Diff(want, got); diff != "" || !object && err != nil {
				t.Errorf("byte %d of %s: %v, lines (-want +got):\n%s", i, key, err, diff)
			}
		}
	}
	// Progress that is damaged is not taken for another, which would repeat lines.
	r, err := NewReplay(t.Context(), NewLibrary(remote), s, "x")
	if err == nil {
		_, err = r.Run(t.Context(), newTarget().push, func(Counts) {})
	}
	if err != nil {
		t.Fatal(err)
	}
	for key, content := range remote.objects {
		if !strings.Contains(key, "/replay-") {
			continue
		}
		for i := range content {
			content[i] ^= 1 << (i % 8)
			r, err := NewReplay(t.Context(), NewLibrary(remote), s, "x")
			if err != nil && !strings.Contains(err.Error(), "remove it and start with another --id") || err == nil && r.Plan.Skipped != 6 {
				t.Errorf("byte %d of %s: %v", i, key, err)
			}
			content[i] ^= 1 << (i % 8)
		}
	}
	maps.DeleteFunc(remote.objects, func(key string, _ []byte) bool { return strings.Contains(key, "/replay-") })
	// One that is gone, as well.
	for key, content := range remote.objects {
		if strings.HasSuffix(key, objectSuffix) {
			delete(remote.objects, key)
			if g, err := replay(); err == nil || len(g.lines(t)) != 3 {
				t.Errorf("without %s: %v, %d lines", key, err, len(g.lines(t)))
			}
			remote.objects[key] = content
		}
	}
}

// While an agent has the folder, its open segments are left out and counted.
func TestOpenFolder(t *testing.T) {
	dir := t.TempDir()
	a := open(t, options(dir, nil, newClock()))
	put(t, a, entriesOf("s", 0, 1))
	l, err := OpenFolder(dir)
	if err != nil || l.Open != 1 {
		t.Fatalf("%v, %+v", err, l)
	}
	if err := errors.Join(l.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if l, err = OpenFolder(dir); err != nil || l.Open != 0 {
		t.Fatalf("%v, %+v", err, l)
	}
	if diff := cmp.Diff([]string{"s/0000000000000001.jsonl"}, files(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there opens")
	}
}

// Whatever a manifest holds, it is read or refused; what is read with a checksum
// is as it was written. Names come back from keys.
func FuzzManifest(f *testing.F) {
	const key = "c/n/s/2026/11/01/20261101T000000.000000000Z-1e0f26fb455de7cf.manifest.json"
	m := Manifest{
		Version: 1, Object: strings.TrimSuffix(key, manifestSuffix) + objectSuffix, Source: "s", Lines: 1,
		First: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixNano(), SHA256: "1e0f26fb455de7cf",
	}
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("odd name=é/", text)
	f.Add("", []byte(`{"version":9}`))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		if got := nameOf(keyPart(name)); got != name {
			t.Errorf("%q comes back as %q", name, got)
		}
		m, err := decodeManifest(key, text)
		if err == nil && m.Version <= manifestVersion && m.CRC == "" && manifestKey(m.Object) != key {
			t.Errorf("%q is taken", text)
		}
		_ = nameOf(string(text))
	})
}
