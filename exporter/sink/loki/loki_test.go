package loki

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/corkline/corkline/exporter/sink/loki/lokitest"
	"github.com/corkline/corkline/parsers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// fakeLoki takes the good entries of a request, and answers 400 if there are
// bad ones: those whose line contains "bad". It folds repeats.
type fakeLoki struct {
	tb    rapid.TB
	limit int // of a request's uncompressed bytes, 0: none

	mu    sync.Mutex
	lines map[string][]string // by labels
	seen  map[string]bool
}

func (f *fakeLoki) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, text := f.take(r)
	if status/100 == 2 {
		w.WriteHeader(status)
		return
	}
	http.Error(w, text, status)
}

func (f *fakeLoki) RoundTrip(r *http.Request) (*http.Response, error) {
	status, text := f.take(r)
	r.Body.Close()
	return respond(status, text), nil
}

func (f *fakeLoki) take(r *http.Request) (int, string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return http.StatusInternalServerError, err.Error()
	}
	request, err := s2.Decode(nil, body)
	if err != nil {
		f.tb.Errorf("snappy: %v", err)
		return http.StatusInternalServerError, err.Error()
	}
	if f.limit > 0 && len(request) > f.limit {
		return http.StatusRequestEntityTooLarge, "request body too large"
	}
	streams, err := lokitest.Decode(request)
	if err != nil || len(streams) != 1 {
		f.tb.Errorf("decode %d streams: %v", len(streams), err)
		return http.StatusInternalServerError, "decode"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lines == nil {
		f.lines, f.seen = make(map[string][]string), make(map[string]bool)
	}
	refused := 0
	for _, e := range streams[0].Entries {
		if strings.Contains(e.Line, "bad") {
			refused++
			continue
		}
		if key := fmt.Sprint(streams[0].Labels, e); !f.seen[key] {
			f.seen[key] = true
			f.lines[streams[0].Labels] = append(f.lines[streams[0].Labels], e.Line)
		}
	}
	if refused > 0 {
		return http.StatusBadRequest, fmt.Sprintf("%d errors like: entry is bad\nsecond line", refused)
	}
	return http.StatusNoContent, ""
}

func (f *fakeLoki) all() (lines []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lines {
		lines = append(lines, l...)
	}
	return lines
}

func newSink(t testing.TB, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func batchOf(source string, lines ...string) *parsers.Batch {
	d := words(0, 1)
	b := &parsers.Batch{Source: source}
	for i, line := range lines {
		b.Records = append(b.Records, record(d, int64(i), line))
	}
	return b
}

func TestRequest(t *testing.T) {
	var got http.Header
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, path = r.Header, r.URL.Path
		if r.ContentLength <= 0 || r.Method != http.MethodPost {
			t.Errorf("%s of %d bytes", r.Method, r.ContentLength)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	s := newSink(t, Options{URL: server.URL, Tenant: "net", UserAgent: "corkline/1"})
	if err := s.Begin(batchOf("s", "a"))(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/x-protobuf", "X-Scope-Orgid": "net", "User-Agent": "corkline/1",
		"Content-Encoding": "", "Idempotency-Key": "",
	} {
		if got.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Get(name), want)
		}
	}
	if path != PushPath {
		t.Errorf("path is %q", path)
	}
	if err := s.Begin(&parsers.Batch{Source: "s"})(t.Context()); err != nil {
		t.Errorf("empty batch: %v", err)
	}
}

// Whatever is answered first, the batch arrives, with the same bytes each time.
func TestFaults(t *testing.T) {
	status := func(code int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Error(w, text, code) }
	}
	hijack := func(f func(*net.TCPConn)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("hijack: %v", err)
				return
			}
			defer conn.Close()
			f(conn.(*net.TCPConn))
		}
	}
	for name, c := range map[string]struct {
		fault  http.HandlerFunc
		status string
		state  string // a part of State.LastError
	}{
		"200": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) }, "2xx", ""},
		"204": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, "2xx", ""},
		"200 of a web page": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, "<html>")
		}, "2xx", "loki answered 200: check loki.url (http://127."},
		"260 of a blocked tenant": {status(260, "ingestion blocked for user 'net'"), "260", "loki answered 260: loki blocks this tenant"},
		"301": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
		}, "3xx", "loki answered 301: check loki.url"},
		"400 required labels": {status(400, "missing required labels 'team' for user 'fake'"), "400", "check loki.labels"},
		"400 snappy":          {status(400, "snappy: corrupt input"), "400", "changed on its way"},
		"401":                 {status(401, "no org id"), "401", "loki answered 401: check loki.tenant and credentials: no org id"},
		"403":                 {status(403, ""), "403", "loki answered 403: check loki.tenant and credentials: Forbidden"},
		"404":                 {status(404, "404 page not found"), "404", "loki answered 404: check loki.url (http://127."},
		"405":                 {status(405, ""), "405", "loki answered 405: check loki.url"},
		"422":                 {status(422, "what"), "4xx", "loki answered 422: what"},
		"429": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}, "429", "loki answered 429: Too Many Requests"},
		"500":        {status(500, "at least 2 live replicas required\nmore"), "5xx", "loki answered 500: at least 2 live replicas required"},
		"503":        {status(503, ""), "5xx", "loki answered 503"},
		"hang":       {func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, "error", "did not answer within 200ms"},
		"reset":      {hijack(func(c *net.TCPConn) { c.SetLinger(0) }), "error", "reach loki at 127."},
		"half-close": {hijack(func(c *net.TCPConn) { c.CloseWrite(); io.Copy(io.Discard, c) }), "error", "reach loki at 127."},
		"cut header": {hijack(func(c *net.TCPConn) { io.WriteString(c, "HTTP/1.1 204 No") }), "error", "reach loki at 127."},
		"not HTTP":   {hijack(func(c *net.TCPConn) { io.WriteString(c, "what?\r\n\r\n") }), "error", "reach loki at 127."},
		"cut text": {hijack(func(c *net.TCPConn) {
			io.WriteString(c, "HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\nhalf")
		}), "5xx", "loki answered 503: half"},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var bodies [][]byte
			loki := &fakeLoki{tb: t}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				mu.Lock()
				bodies = append(bodies, body)
				n := len(bodies)
				mu.Unlock()
				r.Body = io.NopCloser(bytes.NewReader(body))
				if n <= 2 {
					c.fault(w, r)
					return
				}
				loki.ServeHTTP(w, r)
			}))
			defer server.Close()
			reg := prometheus.NewRegistry()
			s := newSink(t, Options{
				URL: server.URL, Timeout: 200 * time.Millisecond, MaxBackoff: time.Millisecond, Metrics: NewMetrics(reg),
				Refused: func(_ context.Context, _ *parsers.Batch, records []int32, reason string) error {
					t.Errorf("records %d were refused: %s", records, reason)
					return nil
				},
			})
			if err := s.Begin(batchOf("s", "one", "two", "three"))(t.Context()); err != nil {
				t.Fatal(err)
			}
			state := s.State()
			if state.Failures != 0 || !state.RetryAt.IsZero() || state.LastSuccess.IsZero() {
				t.Errorf("state is %+v", state)
			}
			if !strings.Contains(state.LastError, c.state) || c.state == "" != (state.LastError == "") {
				t.Errorf("last error is %q, want %q", state.LastError, c.state)
			}
			if testutil.ToFloat64(s.metrics.requests[c.status]) == 0 {
				t.Errorf("no request was counted as %s", c.status)
			}
			if c.state == "" {
				return
			}
			if diff := cmp.Diff([]string{"one", "two", "three"}, loki.all()); diff != "" {
				t.Error(diff)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, body := range bodies {
				if !bytes.Equal(body, bodies[0]) {
					t.Error("a repeated request has other bytes")
				}
			}
			if testutil.ToFloat64(s.metrics.retries) == 0 {
				t.Error("no retry was counted")
			}
		})
	}
}

// Of any mix of good and bad lines and any limit, the good ones arrive in
// order and the bad ones are handed over, once each.
func TestNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 80).Draw(t, "n")
		d := words(1, 1)
		b := &parsers.Batch{Source: "s"}
		want := make(map[string][]string)
		var wantRefused []int
		limit := rapid.SampledFrom([]int{0, 150, 400}).Draw(t, "limit")
		for i := range n {
			word := rapid.SampledFrom([]string{"good", "good", "bad", "huge"}).Draw(t, "word")
			stream := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "stream")
			line := fmt.Sprintf("%s %s %d", stream, word, i)
			if word == "huge" {
				line += strings.Repeat("x", 400)
			}
			b.Records = append(b.Records, record(d, int64(i), line))
			if word == "bad" || word == "huge" && limit > 0 {
				wantRefused = append(wantRefused, i)
			} else {
				key := fmt.Sprintf("{f0=%q, source=\"s\"}", stream)
				want[key] = append(want[key], line)
			}
		}
		loki := &fakeLoki{tb: t, limit: limit}
		var refused []int
		s, err := New(Options{
			URL: "http://loki", Client: &http.Client{Transport: loki},
			BatchBytes: rapid.SampledFrom([]int{1, 300, 1 << 20}).Draw(t, "batch"),
			Refused: func(_ context.Context, got *parsers.Batch, records []int32, reason string) error {
				if got != b || strings.Contains(reason, "\n") || reason == "" {
					t.Errorf("refused for %q", reason)
				}
				for _, i := range records {
					refused = append(refused, int(i))
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Begin(b)(context.Background()); err != nil {
			t.Fatal(err)
		}
		if len(want) == 0 && len(loki.lines) == 0 {
			want = loki.lines
		}
		if diff := cmp.Diff(want, loki.lines); diff != "" {
			t.Errorf("delivered: %s", diff)
		}
		slices.Sort(refused)
		if diff := cmp.Diff(wantRefused, refused); diff != "" {
			t.Errorf("refused: %s", diff)
		}
	})
}

func TestReason(t *testing.T) {
	long := strings.Repeat("ä", 400)
	for _, c := range []struct{ text, want string }{
		{"line too long", "line too long"},
		{"\n first \nsecond", "first "},
		{long, long[:maxReason]},
		{"x" + long, ("x" + long)[:maxReason-1]},
		{"", "Bad Request"},
	} {
		var got string
		s := newSink(t, Options{
			URL:    "http://loki",
			Client: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return respond(400, c.text), nil })},
			Refused: func(_ context.Context, _ *parsers.Batch, _ []int32, reason string) error {
				got = reason
				return nil
			},
		})
		if err := s.Begin(batchOf("s", "x"))(t.Context()); err != nil || got != c.want {
			t.Errorf("got %q, %v, want %q", got, err, c.want)
		}
	}
}

func TestRefusedFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		loki := &fakeLoki{tb: t}
		var s *Sink
		s = newSink(t, Options{
			URL: "http://loki", Client: &http.Client{Transport: loki},
			Refused: func(context.Context, *parsers.Batch, []int32, string) error {
				if tries++; tries < 4 {
					return errors.New("S3 is away")
				}
				if st := s.State(); st.Failures != 3 || st.LastError != "store what loki refused: S3 is away" {
					t.Errorf("state is %+v", st)
				}
				return nil
			},
		})
		if err := s.Begin(batchOf("s", "one", "bad", "two"))(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"one", "two"}, loki.all()); diff != "" || tries != 4 {
			t.Errorf("%d tries; %s", tries, diff)
		}
	})
}

// A record with nowhere to go blocks its source, and is not lost.
func TestNoRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t, Options{URL: "http://loki", Client: &http.Client{Transport: &fakeLoki{tb: t}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.Begin(batchOf("s", "bad"))(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		s := newSink(t, Options{
			URL: "http://loki", MaxBackoff: 8 * time.Second,
			Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				at = append(at, time.Now())
				r.Body.Close()
				response := respond(500, "")
				switch len(at) {
				case 10:
					response.Header.Set("Retry-After", "7")
				case 11:
					response.Header.Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
				case 12:
					return respond(204, ""), nil
				}
				return response, nil
			})},
		})
		if err := s.Begin(batchOf("s", "a"))(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, milliseconds := range []int{100, 200, 400, 800, 1600, 3200, 6400, 8000, 8000, 8000, 8000} {
			most := time.Duration(milliseconds) * time.Millisecond
			least := most / 2
			if i == 9 {
				least = 7 * time.Second
			}
			if i == 10 {
				least = most
			}
			if d := at[i+1].Sub(at[i]); d < least || d > most {
				t.Errorf("pause %d is %s, want %s to %s", i, d, least, most)
			}
		}
	})
}

// While Loki cannot be reached its return is noticed within seconds.
func TestBackoff_Away(t *testing.T) {
	f := func(away func() (*http.Response, error)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			back := time.Now().Add(10 * time.Minute)
			s := newSink(t, Options{URL: "http://loki", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				r.Body.Close()
				if time.Now().Before(back) {
					return away()
				}
				return respond(204, ""), nil
			})}})
			if err := s.Begin(batchOf("s", "a"))(t.Context()); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(back); late > awayBackoff {
				t.Errorf("Loki was back for %s", late)
			}
		})
	}
	f(func() (*http.Response, error) { return nil, errors.New("connection refused") })
	f(func() (*http.Response, error) { return respond(502, ""), nil })
	f(func() (*http.Response, error) { return respond(503, ""), nil })
}

func TestTimeoutAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newSink(t, Options{
			URL: "http://loki", Timeout: 10 * time.Second,
			Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				r.Body.Close()
				return nil, r.Context().Err()
			})},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Begin(batchOf("s", "a"))(ctx) }()

		synctest.Wait()                // in the first request
		<-time.After(10 * time.Second) // of the bubble's clock
		synctest.Wait()                // in the pause after it
		state := s.State()
		if want := "loki at loki did not answer within 10s"; state.LastError != want || state.Failures != 1 {
			t.Errorf("state is %+v", state)
		}
		if pause := state.RetryAt.Sub(state.LastFailure); pause < 50*time.Millisecond || pause > 100*time.Millisecond {
			t.Errorf("the next try is in %s", pause)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || err.Error() != "push to loki: context canceled" {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("cancelled after %s", took)
		}

		ctx, cancel = context.WithCancel(t.Context())
		go func() { done <- s.Begin(batchOf("s", "a"))(ctx) }()
		synctest.Wait()
		cancel() // within a request
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if st := s.State(); st.Failures != 1 {
			t.Errorf("a cancelled request counts as a failure: %+v", st)
		}
	})
}

// One line for each kind of fault in an outage, one for its end, and no secret.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		answers := []int{503, 502, 0, 503, 429, 204, 503, 204}
		n := 0
		s := newSink(t, Options{
			URL: "http://user:hunter2@loki/push?token=hunter2",
			Log: slog.New(slog.NewTextHandler(&log, nil)),
			Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				r.Body.Close()
				status := 204
				if n < len(answers) {
					status = answers[n]
				}
				n++
				if status == 0 {
					return nil, errors.New("connection refused")
				}
				return respond(status, ""), nil
			})},
		})
		push := func() {
			t.Helper()
			if err := s.Begin(batchOf("s", "a"))(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		push()
		push()
		if got := strings.Count(log.String(), "fails, is retried"); got != 3 || strings.Contains(log.String(), "works again") {
			t.Errorf("want 5xx, error and 429 once each and no end:\n%s", log.String())
		}
		<-time.After(calm) // of the bubble's clock
		push()
		push()
		if got := strings.Count(log.String(), "works again"); got != 1 {
			t.Errorf("want one end:\n%s", log.String())
		}
		n = 0
		push()
		if got := strings.Count(log.String(), "fails, is retried"); got != 6 {
			t.Errorf("want the next outage to be logged like the first:\n%s", log.String())
		}
		if strings.Contains(log.String()+s.State().LastError, "hunter2") {
			t.Errorf("a secret is in the log:\n%s", log.String())
		}
	})
}

// Sources and batches at once, while requests fail at random places: each source
// gets all its lines through, in order, and pooled buffers never mix.
func TestConcurrent(t *testing.T) {
	loki := &fakeLoki{tb: t}
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 7 {
		case 2:
			http.Error(w, "", http.StatusServiceUnavailable) // before the body was read
			return
		case 4:
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				conn.Close()
			}
			return
		}
		loki.ServeHTTP(w, r)
	}))
	defer server.Close()
	var mu sync.Mutex
	refused := make(map[string]int)
	s := newSink(t, Options{
		URL: server.URL, MaxBackoff: time.Millisecond, BatchBytes: 64 << 10,
		Refused: func(_ context.Context, b *parsers.Batch, records []int32, _ string) error {
			mu.Lock()
			defer mu.Unlock()
			refused[b.Source] += len(records)
			return nil
		},
	})
	const sources, batches, size = 6, 5, 400
	var wg sync.WaitGroup
	for i := range sources {
		wg.Go(func() {
			source := strconv.Itoa(i)
			d := words(0, 2)
			for j := range batches {
				b := &parsers.Batch{Source: source}
				for k := range size {
					at := j*size + k
					line := fmt.Sprintf("%s %06d %s", source, at, strings.Repeat(source, at%500))
					if k == 17 {
						line = "bad " + line
					}
					b.Records = append(b.Records, record(d, int64(at), line))
				}
				deliver := s.Begin(b)
				wg.Go(func() {
					if err := deliver(t.Context()); err != nil {
						t.Errorf("source %s: %v", source, err)
					}
				})
			}
		})
	}
	wg.Wait()
	for i := range sources {
		source := strconv.Itoa(i)
		lines := loki.lines[fmt.Sprintf("{source=%q}", source)]
		if len(lines) != batches*(size-1) || refused[source] != batches {
			t.Errorf("source %s: %d delivered, %d refused", source, len(lines), refused[source])
		}
		if !slices.IsSorted(lines) {
			t.Errorf("source %s: out of order", source)
		}
	}
}

// A batch passes by the one before it, but in the streams that they share.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log []string
		answers := map[string]chan int{}
		for _, line := range []string{"a 1", "b 1", "a 2", "c 2", "a 3"} {
			answers[line] = make(chan int)
		}
		s := newSink(t, Options{URL: "http://loki", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			line := pushedLine(t, r)
			mu.Lock()
			log = append(log, line)
			mu.Unlock()
			select {
			case code := <-answers[line]:
				return respond(code, ""), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})}})
		s.health.answered(time.Now(), true)
		d := words(1, 1)
		batch := func(lines ...string) *parsers.Batch {
			b := &parsers.Batch{Source: "s"}
			for i, line := range lines {
				b.Records = append(b.Records, record(d, int64(i), line))
			}
			return b
		}
		done := make(chan int, 3)
		deliver := func(n int, ctx context.Context, b *parsers.Batch) {
			deliver := s.Begin(b)
			go func() {
				if err := deliver(ctx); (err != nil) != (ctx.Err() != nil) {
					t.Errorf("batch %d: %v", n, err)
				}
				done <- n
			}()
		}
		sent := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(log)
			if !slices.Equal(log, want) {
				t.Errorf("%q are on their way, want %q", log, want)
			}
			log = log[:0]
		}
		ctx, cancel := context.WithCancel(t.Context())
		deliver(1, t.Context(), batch("a 1", "b 1"))
		deliver(2, t.Context(), batch("a 2", "c 2"))
		deliver(3, ctx, batch("a 3"))
		sent("a 1", "b 1", "c 2")
		answers["c 2"] <- 204
		answers["b 1"] <- 204
		answers["a 1"] <- 503
		sent()
		answers["a 1"] <- 204 // when it is tried again
		if n := <-done; n != 1 {
			t.Errorf("batch %d was done first", n)
		}
		sent("a 1", "a 2")
		cancel()
		sent()
		answers["a 2"] <- 204
		<-done
		<-done
		sent()
		if len(s.order.last) > 0 {
			t.Errorf("%d streams are remembered", len(s.order.last))
		}
	})
}

// Of many streams the largest goes out first, and a few at a time.
func TestLargestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var onTheirWay []string
		release := make(chan struct{})
		s := newSink(t, Options{URL: "http://loki", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			stream := requested(t, r)
			mu.Lock()
			onTheirWay = append(onTheirWay, stream.Labels)
			mu.Unlock()
			<-release
			return respond(204, ""), nil
		})}})
		s.health.answered(time.Now(), true)
		d := words(1, 1)
		b := &parsers.Batch{Source: "s"}
		for i, line := range strings.Fields("a b c d e f g h i g j g k") {
			b.Records = append(b.Records, record(d, int64(i), line))
		}
		done := make(chan error)
		go func() { done <- s.Begin(b)(t.Context()) }()
		synctest.Wait()
		mu.Lock()
		if len(onTheirWay) != maxPushes || !slices.ContainsFunc(onTheirWay, func(labels string) bool { return strings.Contains(labels, `"g"`) }) {
			t.Errorf("%q are on their way at first", onTheirWay)
		}
		mu.Unlock()
		close(release)
		if err := <-done; err != nil || len(onTheirWay) != 11 {
			t.Errorf("%q were pushed: %v", onTheirWay, err)
		}
	})
}

// A request that was ready is made anew when Loki turns out to take no
// structured metadata from the one before it.
func TestReadyInAnotherForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		s := newSink(t, Options{URL: "http://loki", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			lines = append(lines, pushedLine(t, r))
			if len(lines) == 1 {
				synctest.Wait() // until the other is ready
				return respond(400, "set allow_structured_metadata"), nil
			}
			return respond(204, ""), nil
		})}})
		var wait sync.WaitGroup
		for _, line := range []string{"1", "2"} {
			deliver := s.Begin(batchOf("s", line))
			wait.Go(func() {
				if err := deliver(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if want := []string{"1", `{"f0":"1","_entry":"1"}`, `{"f0":"2","_entry":"2"}`}; !slices.Equal(lines, want) {
			t.Errorf("pushed %q, want %q", lines, want)
		}
	})
}

// pushedLine of a request with one entry.
func pushedLine(t *testing.T, r *http.Request) string {
	stream := requested(t, r)
	if len(stream.Entries) != 1 {
		t.Errorf("%d entries", len(stream.Entries))
		return ""
	}
	return stream.Entries[0].Line
}

// requested is the stream of a request.
func requested(t *testing.T, r *http.Request) lokitest.Stream {
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err == nil {
		body, err = s2.Decode(nil, body)
	}
	var streams []lokitest.Stream
	if err == nil {
		streams, err = lokitest.Decode(body)
	}
	if err != nil || len(streams) != 1 {
		t.Errorf("decode %v: %v", streams, err)
		return lokitest.Stream{}
	}
	return streams[0]
}

// A transport may go on reading a body after it has answered.
func TestBufferIsNotReusedWhileRead(t *testing.T) {
	var open []io.ReadCloser
	s := newSink(t, Options{URL: "http://loki", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		open = append(open, r.Body)
		return respond(204, ""), nil
	})}})
	want := make([]string, 5)
	for i := range want {
		want[i] = fmt.Sprintf("line %d", i)
		if err := s.Begin(batchOf("s", want[i]))(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, body := range open {
		packed, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		request, err := s2.Decode(nil, packed)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := lokitest.Decode(request); err != nil || got[0].Entries[0].Line != want[i] {
			t.Errorf("got %v, %v, want %q", got, err, want[i])
		}
		body.Close()
		if _, err := body.Read(make([]byte, 1)); err == nil {
			t.Error("a closed body can be read")
		}
	}
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string // URL, or a part of the error
	}{
		{Options{URL: "http://loki:3100"}, "http://loki:3100/loki/api/v1/push"},
		{Options{URL: "https://loki/"}, "https://loki/loki/api/v1/push"},
		{Options{URL: "https://gateway/custom/push"}, "https://gateway/custom/push"},
		{Options{URL: ""}, "loki.url: not a URL"},
		{Options{URL: "http://u:hunter2@lo ki"}, "loki.url: not a URL"},
		{Options{URL: "http://u:hunter2"}, "loki.url: not a URL"},
		{Options{URL: "loki:3100"}, "loki.url: the scheme"},
		{Options{URL: "ftp://u:hunter2@loki"}, "loki.url: the scheme"},
		{Options{URL: "http://"}, "loki.url: no host"},
		{Options{URL: "http://:3100"}, "loki.url: no host"},
		{Options{URL: "http://loki", Tenant: "a\r\nb"}, "loki.tenant"},
		{Options{URL: "http://loki", Labels: []Label{{"a-b", "x"}}}, `loki.labels: "a-b" is not a label name`},
		{Options{URL: "http://loki", Labels: []Label{{"1a", "x"}}}, `loki.labels: "1a" is not a label name`},
		{Options{URL: "http://loki", Labels: []Label{{"a1_B", "x"}, {"a1_B", "y"}}}, `loki.labels: "a1_B" is set twice`},
		{Options{URL: "http://loki", Labels: []Label{{"source", "x"}}}, `loki.labels: "source" is set twice`},
		{Options{URL: "http://loki", BatchBytes: -1}, "negative"},
	} {
		s, err := New(c.o)
		got := fmt.Sprint(err)
		if err == nil {
			got = s.url.String()
		}
		if !strings.HasPrefix(got, c.want) && !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.o.URL, got, c.want)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("a secret is in the error: %s", got)
		}
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	NewMetrics(reg)
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(reg, "corkline_loki_push_requests_total"); err != nil || n != 13 {
		t.Errorf("got %d statuses, %v", n, err)
	}
}
