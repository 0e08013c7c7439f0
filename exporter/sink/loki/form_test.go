package loki

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"pgregory.net/rapid"

	"github.com/corkline/corkline/exporter/sink/loki/lokitest"
	"github.com/corkline/corkline/parsers"
)

// oldLoki has a version, and takes structured metadata or refuses it.
type oldLoki struct {
	t       testing.TB
	version string
	refuses bool

	mu       sync.Mutex
	requests []string
	lines    []string
}

func (o *oldLoki) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, r.Method+" "+r.URL.Path)
	if r.Method == http.MethodGet {
		if o.version == "" {
			http.Error(w, "no such page", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"version":%q,"revision":"0"}`, o.version)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Error(err)
	}
	plain, err := s2.Decode(nil, body)
	if err != nil {
		o.t.Error(err)
	}
	streams, err := lokitest.Decode(plain)
	if err != nil {
		o.t.Error(err)
	}
	for _, e := range streams[0].Entries {
		if o.refuses && len(e.Metadata) > 0 {
			http.Error(w, "stream '{}' includes structured metadata, but this feature is disallowed. Please see `limits_config.allow_structured_metadata`", http.StatusBadRequest)
			return
		}
		o.lines = append(o.lines, e.Line)
	}
	w.WriteHeader(http.StatusNoContent)
}

func TestForm(t *testing.T) {
	const get, post = "GET /loki/api/v1/status/buildinfo", "POST /loki/api/v1/push"
	plain, packed := []string{"one", "two"}, []string{`{"f0":"one","_entry":"one"}`, `{"f0":"two","_entry":"two"}`}
	f := func(version string, probe, refuses bool, lines []string, requests ...string) {
		t.Helper()
		old := &oldLoki{t: t, version: version, refuses: refuses}
		server := httptest.NewServer(old)
		defer server.Close()
		var log strings.Builder
		s := newSink(t, Options{URL: server.URL, Probe: probe, MaxBackoff: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for range 2 { // what was learnt is known
			if err := s.Begin(batchOf("s", "one", "two"))(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(append(lines, lines...), old.lines); diff != "" {
			t.Errorf("version %q (-want +got):\n%s", version, diff)
		}
		if diff := cmp.Diff(requests, old.requests); diff != "" {
			t.Errorf("version %q (-want +got):\n%s", version, diff)
		}
		if said := strings.Count(log.String(), "| unpack"); (said == 1) != (lines[0] != "one") {
			t.Errorf("version %q: the log says:\n%s", version, &log)
		}
	}
	f("3.7.8", true, false, plain, get, post, post)
	f("", true, false, plain, get, post, post)
	f("main-abc", true, false, plain, get, post, post)
	f("2.9.0", true, true, packed, get, post, post, post)
	f("2.8.11", true, false, packed, get, post, post)
	f("v1.6.1", true, false, packed, get, post, post)
	f("2.8.11", false, false, plain, post, post)
	f("3.7.8", false, true, packed, post, post, post)
}

// A packed line is JSON, whatever the record holds, and gives it back.
func TestPacked(t *testing.T) {
	d := words(0, 2)
	sp := newSplitter(nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.String().Draw(t, "line")
		r := record(d, 1, line)
		r.Pairs = []parsers.Pair{{Key: parsers.Span{Start: 0, End: int32(len(line) / 2)}, Value: parsers.Span{Start: int32(len(line) / 2), End: int32(len(line))}}}
		if rapid.Bool().Draw(t, "unparsed") {
			r.Layout = nil
		}
		b := &parsers.Batch{Source: "s", Records: []parsers.Record{r}}
		var got map[string]string
		packed := sp.streams(b)[0].appendPacked(nil, &r, 0)
		if err := json.Unmarshal(packed, &got); err != nil {
			t.Fatalf("%q: %s", packed, err)
		}
		valid := func(text []byte) string { return strings.ToValidUTF8(string(text), "\uFFFD") }
		if got["_entry"] != valid(r.Line) || (got["parse_error"] == "true") != (r.Layout == nil) {
			t.Errorf("%q of %q", packed, line)
		}
		for i, f := range d.Fields {
			if value := valid(r.Value(i)); value != "" && got[f.Name] == "" {
				t.Errorf("%q lacks %s %q", packed, f.Name, value)
			}
		}
	})
}

// The streams of a batch are pushed side by side: none waits for another's
// answer. But as long as Loki does not answer it gets one of them only, so that
// it does not have half a batch when a crash comes.
func TestStreamsSideBySide(t *testing.T) {
	d := words(1, 0)
	b := &parsers.Batch{Source: "s"}
	for i := range maxPushes + 1 {
		b.Records = append(b.Records, record(d, int64(i), fmt.Sprintf("stream%d", i)))
	}
	var mu sync.Mutex
	seen := map[string]int{}
	away := 5
	var all sync.WaitGroup
	all.Add(maxPushes)
	s := newSink(t, Options{URL: "http://loki", MaxBackoff: time.Millisecond, Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		mu.Lock()
		seen[string(body)]++
		streams := len(seen)
		if away--; away >= 0 {
			mu.Unlock()
			return respond(http.StatusServiceUnavailable, ""), nil
		}
		mu.Unlock()
		if streams > 1 {
			all.Done()
			all.Wait() // for ever, if they came one after the other
		}
		return respond(http.StatusNoContent, ""), nil
	})}})
	if err := s.Begin(b)(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tries := slices.Sorted(maps.Values(seen)); !slices.Equal(tries, append(slices.Repeat([]int{1}, maxPushes), 6)) {
		t.Errorf("tries of each stream %v, want one stream to have 6", tries)
	}
}

// What is older than Loki takes is handed over without a request.
func TestMaxAge(t *testing.T) {
	loki := &fakeLoki{tb: t}
	server := httptest.NewServer(loki)
	defer server.Close()
	refused := map[int]string{}
	var mu sync.Mutex
	s := newSink(t, Options{URL: server.URL, MaxAge: time.Hour, Refused: func(_ context.Context, _ *parsers.Batch, records []int32, reason string) error {
		mu.Lock()
		defer mu.Unlock()
		for _, i := range records {
			refused[int(i)] = reason
		}
		return nil
	}})
	d := words(1, 0)
	b := &parsers.Batch{Source: "s"}
	now := time.Now()
	for i, age := range []time.Duration{2 * time.Hour, time.Minute, 90 * time.Minute, -time.Hour, 59 * time.Minute} {
		b.Records = append(b.Records, record(d, now.Add(-age).UnixNano(), fmt.Sprintf("%c", 'a'+i%2)))
	}
	if err := s.Begin(b)(t.Context()); err != nil {
		t.Fatal(err)
	}
	const reason = "older than 1h0m0s (loki.max_age)"
	if diff := cmp.Diff(map[int]string{0: reason, 2: reason}, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if n := len(loki.all()); n != 3 {
		t.Errorf("%d lines arrived, want 3", n)
	}
}
