// Package exportertest is what the tests of the agent and of its parts share.
package exportertest

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what must come.
const Patience = 30 * time.Second

// Eventually tries until there is no error, for Patience at most.
func Eventually(tb testing.TB, what string, try func() error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("%s: %s", what, err)
		case <-ticker.C:
		}
	}
}

// Log is a buffer that is written to while it is read.
type Log struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

// Clock is the real one, put forward.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Advance puts it forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
