package faults

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/corkline/corkline/exporter/sink/loki/lokitest"
)

// fault is what becomes of a push: nil lets it through to Loki.
type fault func(w http.ResponseWriter, r *http.Request, forward func())

// proxy stands before Loki. It counts how often each entry went through.
type proxy struct {
	*httptest.Server
	tb   testing.TB
	loki string
	seed maphash.Seed

	mu     sync.Mutex
	plan   func(push int, lines []string) fault // of the push with that number, counted from 0
	pushes int
	idle   bool // pushes go through without being counted
	sent   map[uint64]uint16
	twice  int
	taken  chan struct{} // closed by the first push that goes through, where one is waited for
}

func newProxy(tb testing.TB, loki string) *proxy {
	tb.Helper()
	p := &proxy{tb: tb, loki: loki, seed: maphash.MakeSeed(), sent: map[uint64]uint16{}}
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = log.New(io.Discard, "", 0) // of answers that are lost on purpose
	p.Start()
	tb.Cleanup(p.Close)
	return p
}

// behave sets what becomes of the pushes from now on; nil lets all through.
func (p *proxy) behave(plan func(push int, lines []string) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.pushes = plan, 0
}

// pass lets all pushes through, and does not even count them.
func (p *proxy) pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.idle = nil, true
}

// always does the same to each push.
func always(f fault) func(int, []string) fault { return func(int, []string) fault { return f } }

// next is closed when a push goes through.
func (p *proxy) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = make(chan struct{})
	return p.taken
}

// repeated counts the entries that Loki took more than once, each time.
func (p *proxy) repeated() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.twice
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the agent was killed while it sent
	}
	p.mu.Lock()
	idle := p.idle
	p.mu.Unlock()
	if r.Method != http.MethodPost || idle {
		p.forward(w, r, body, nil)
		return
	}
	plain, err := s2.Decode(nil, body)
	var streams []lokitest.Stream
	if err == nil {
		streams, err = lokitest.Decode(plain)
	}
	if err != nil {
		p.tb.Errorf("decode a push: %s", err)
		return
	}
	var keys []uint64
	var lines []string
	for _, s := range streams {
		for _, e := range s.Entries {
			// Without the labels, which another version may give it others of.
			keys = append(keys, maphash.String(p.seed, fmt.Sprintf("%d\x00%s", e.Time, e.Line)))
			lines = append(lines, e.Line)
		}
	}
	p.mu.Lock()
	var f fault
	if p.plan != nil {
		f = p.plan(p.pushes, lines)
	}
	p.pushes++
	p.mu.Unlock()
	forward := func() { p.forward(w, r, body, keys) }
	if f == nil {
		forward()
		return
	}
	f(w, r, forward)
}

func (p *proxy) forward(w http.ResponseWriter, r *http.Request, body []byte, keys []uint64) {
	// An agent that is killed does not take back what it sent.
	request, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, p.loki+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		p.tb.Error(err)
		return
	}
	request.Header = r.Header.Clone()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		p.count(keys)
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body) // the agent may be gone
}

func (p *proxy) count(keys []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range keys {
		if p.sent[key]++; p.sent[key] > 1 {
			p.twice++
		}
	}
	if p.taken != nil {
		close(p.taken)
		p.taken = nil
	}
}

// status answers for Loki.
func status(code int, text string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ func()) { http.Error(w, text, code) }
}

// hang gives no answer at all.
func hang(_ http.ResponseWriter, r *http.Request, _ func()) { <-r.Context().Done() }

// cut closes the connection instead of an answer.
func cut(w http.ResponseWriter, _ *http.Request, _ func()) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// halfClose ends its side of the connection, and waits for the other.
func halfClose(w http.ResponseWriter, _ *http.Request, _ func()) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.Close()
}

// deaf lets Loki take the push, and loses its answer.
func deaf(w http.ResponseWriter, _ *http.Request, forward func()) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	forward() // writes to a connection that was taken over, which fails
	_ = conn.Close()
}
