package loki

import (
	"log/slog"
	"sync"
	"time"
)

// State of the sink, over all its sources.
type State struct {
	LastSuccess time.Time // when Loki last took a request; zero: never yet
	LastFailure time.Time // zero: never yet
	LastError   string    // what failed then; without secrets
	Failures    int       // in a row; 0: all is well
	RetryAt     time.Time // of the try that was scheduled last; zero when all is well
}

// State for a status page.
func (s *Sink) State() State {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.state
}

// calm is how long no try may fail before faults count as over. It is longer
// than the default backoff, so that a source that gets through does not hide
// one that does not, and a Loki that limits the rate does not fill the log.
const calm = time.Minute

// health keeps the State, and logs when it changes: each kind of fault once,
// and once that all of them are over.
type health struct {
	log    *slog.Logger
	mu     sync.Mutex
	state  State
	faults map[string]bool // kinds logged since all was well
	since  time.Time       // of the first of them
}

// failed is told of a try that failed, and of the pause before the next.
func (h *health) failed(now time.Time, pause time.Duration, kind, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.LastFailure, h.state.LastError = now, text
	h.state.RetryAt = now.Add(pause)
	h.state.Failures++
	if h.faults[kind] {
		return
	}
	if len(h.faults) == 0 {
		h.since = now
	}
	h.faults[kind] = true
	h.log.Warn("pushing to loki fails, is retried", "error", text)
}

// good reports whether the last try went well.
func (h *health) good() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.Failures == 0 && !h.state.LastSuccess.IsZero()
}

// answered is told that Loki took a request, or refused its entries.
func (h *health) answered(now time.Time, taken bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if taken {
		h.state.LastSuccess = now
	}
	h.state.Failures, h.state.RetryAt = 0, time.Time{}
	if len(h.faults) > 0 && now.Sub(h.state.LastFailure) >= calm {
		h.log.Info("pushing to loki works again", "after", h.state.LastFailure.Sub(h.since).Round(time.Second))
		clear(h.faults)
	}
}
