package local

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// How often a running task is shown: a terminal's line is redrawn in place, a
// file or a pipe gets a new line each time.
const (
	redrawEvery = time.Second
	repeatEvery = 5 * time.Second
)

// Progress tells a person what is going on. Its methods may be called from
// several goroutines.
type Progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	every    time.Duration
}

// NewProgress writes to w: one line that moves when w is a terminal, plain
// lines otherwise.
func NewProgress(w io.Writer) *Progress {
	p := &Progress{w: w, every: repeatEvery}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.terminal, p.every = true, redrawEvery
		}
	}
	return p
}

// Printf writes one line.
func (p *Progress) Printf(format string, args ...any) {
	p.line(fmt.Sprintf(format, args...), true)
}

// Track shows what is being done, for how long and its status, until done is
// called; done writes the last state as a line of its own.
func (p *Progress) Track(what string, status func() string) (done func()) {
	begin := time.Now()
	stop, stopped := make(chan struct{}), make(chan struct{})
	show := func(last bool) {
		text := fmt.Sprintf("%s: %s", what, elapsed(time.Since(begin)))
		if s := status(); s != "" {
			text += ", " + s
		}
		p.line(text, last)
	}
	go func() {
		defer close(stopped)
		tick := time.NewTicker(p.every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				show(false)
			case <-stop:
				show(true)
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// line writes text; on a terminal it replaces what an unfinished line showed.
func (p *Progress) line(text string, finished bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		text = "\r\x1b[K" + text
	}
	if finished || !p.terminal {
		text += "\n"
	}
	// Nobody can be told that the terminal is gone.
	_, _ = io.WriteString(p.w, text)
}

// elapsed rounds to what a reader wants: tenths below ten seconds.
func elapsed(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
