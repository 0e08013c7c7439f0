package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
)

// Syslog is a receiver of syslog.
type Syslog struct {
	Network string // tcp or udp
	Address string // host and port
	// Log, if not nil, is told when the receiver cannot be reached, and when it
	// can again.
	Log func(format string, args ...any)
}

// ParseSyslog reads a URL such as tcp://127.0.0.1:5515.
func ParseSyslog(text string) (*Syslog, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the URL: %w", err)
	}
	if u.Scheme != "tcp" && u.Scheme != "udp" || u.Hostname() == "" || u.Port() == "" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("%q is not like tcp://127.0.0.1:5515 or udp://127.0.0.1:5514", text)
	}
	return &Syslog{Network: u.Scheme, Address: u.Host}, nil
}

// SyslogState is how sending goes.
type SyslogState struct {
	Sent    int64 `json:"sent"`    // lines that the kernel took
	Waiting int64 `json:"waiting"` // lines
	// Fault is why lines wait, if they have to.
	Fault string `json:"fault,omitempty"`
}

const (
	// queueBytes of lines may wait; then the cluster stands still.
	queueBytes = 64 << 20
	retryAfter = time.Second
	// lastWait is how long the receiver has in the end to take what waits.
	lastWait  = 10 * time.Second
	lookEvery = 20 * time.Millisecond
	// chunkBytes are written at once over TCP.
	chunkBytes = 64 << 10
	// datagrams that are sent in a row before the receiver gets a moment: the
	// kernel keeps few for it, and drops the others.
	datagrams = 20
	pause     = 2 * time.Millisecond
)

// sender sends lines in their order, and keeps them while it cannot.
type sender struct {
	Syslog
	mu     sync.Mutex
	lines  [][]byte // with their ends
	bytes  int
	sent   int64
	fault  string
	wake   chan struct{} // there are lines
	room   chan struct{} // there is room
	cancel context.CancelFunc
	done   chan struct{}
	conn   net.Conn
	gone   chan struct{} // the receiver has closed conn
}

func startSender(s Syslog) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	q := &sender{Syslog: s, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(q.done)
		q.run(ctx)
	}()
	return q
}

// state of sending.
func (s *sender) state() *SyslogState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &SyslogState{Sent: s.sent, Waiting: int64(len(s.lines)), Fault: s.fault}
}

// send takes lines, as soon as there is room.
func (s *sender) send(ctx context.Context, lines [][]byte) error {
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	for {
		s.mu.Lock()
		fits := s.bytes == 0 || s.bytes+size <= queueBytes
		if fits {
			s.lines, s.bytes = append(s.lines, lines...), s.bytes+size
		}
		s.mu.Unlock()
		if fits {
			signal(s.wake)
			return nil
		}
		select {
		case <-s.room:
		case <-ctx.Done():
			return fmt.Errorf("send %d lines by syslog: %w", len(lines), ctx.Err())
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// stop gives the receiver time to take what waits, and waits for the end.
func (s *sender) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastWait)
	defer cancel()
	for s.state().Waiting > 0 && wait(ctx, lookEvery) {
		continue
	}
	s.cancel()
	<-s.done
	if state := s.state(); state.Waiting > 0 {
		return fmt.Errorf("send by syslog to %s://%s: %d lines have not been taken: %s", s.Network, s.Address, state.Waiting, state.Fault)
	}
	return nil
}

// run sends until ctx ends.
func (s *sender) run(ctx context.Context) {
	defer s.hangUp()
	for {
		lines := s.next(ctx)
		if lines == nil {
			return
		}
		n, err := s.deliver(ctx, lines)
		s.delivered(n, err)
		if err != nil && !wait(ctx, retryAfter) {
			return
		}
	}
}

// next waits for lines; nil at the end of ctx.
func (s *sender) next(ctx context.Context) [][]byte {
	for ctx.Err() == nil {
		s.mu.Lock()
		n, size := 0, 0
		for n < len(s.lines) && (n == 0 || size+len(s.lines[n]) <= chunkBytes) {
			size += len(s.lines[n])
			n++
		}
		lines := s.lines[:n]
		s.mu.Unlock()
		if n > 0 {
			return lines
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
	return nil
}

// delivered takes n lines off the queue.
func (s *sender) delivered(n int, err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	s.mu.Lock()
	for _, line := range s.lines[:n] {
		s.bytes -= len(line)
	}
	s.lines, s.sent = s.lines[n:], s.sent+int64(n)
	waiting, before := len(s.lines), s.fault
	s.fault = fault
	s.mu.Unlock()
	signal(s.room)
	switch {
	case s.Log == nil || (fault == "") == (before == ""):
	case fault != "":
		s.Log("syslog to %s://%s: %s; %d lines wait, in order", s.Network, s.Address, fault, waiting)
	default:
		s.Log("syslog to %s://%s: goes on, %d lines wait", s.Network, s.Address, waiting)
	}
}

// deliver tells how many of the lines the kernel has taken.
func (s *sender) deliver(ctx context.Context, lines [][]byte) (int, error) {
	if s.conn != nil && s.Network == "tcp" {
		select {
		case <-s.gone:
			s.hangUp()
		default:
		}
	}
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return 0, err
		}
	}
	if s.Network == "udp" {
		return s.datagrams(ctx, lines)
	}
	n, err := s.conn.Write(bytes.Join(lines, nil))
	taken := 0
	for _, line := range lines {
		// The receiver throws a part of a line away.
		if n -= len(line); n < 0 {
			break
		}
		taken++
	}
	if err != nil {
		s.hangUp()
		return taken, fmt.Errorf("write: %w", err)
	}
	return taken, nil
}

func (s *sender) datagrams(ctx context.Context, lines [][]byte) (int, error) {
	for i, line := range lines {
		if _, err := s.conn.Write(bytes.TrimSuffix(line, []byte{'\n'})); err != nil {
			s.hangUp()
			return i, fmt.Errorf("write: %w", err)
		}
		if i%datagrams == datagrams-1 && !wait(ctx, pause) {
			return i + 1, nil
		}
	}
	return len(lines), nil
}

func (s *sender) dial(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, s.Network, s.Address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	s.conn, s.gone = conn, make(chan struct{})
	if s.Network == "tcp" {
		// The receiver says nothing, but that it is gone. Without that, the
		// kernel would take lines for nobody.
		go func(gone chan struct{}) {
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn) // however it ends, it has ended
		}(s.gone)
	}
	return nil
}

// hangUp ends the connection, if there is one. The receiver gets a moment to
// read to its end.
func (s *sender) hangUp() {
	if s.conn == nil {
		return
	}
	if tcp, ok := s.conn.(*net.TCPConn); ok {
		if err := tcp.CloseWrite(); err == nil {
			timer := time.NewTimer(retryAfter)
			select {
			case <-s.gone:
			case <-timer.C:
			}
			timer.Stop()
		}
	}
	if err := s.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) && s.Log != nil {
		s.Log("syslog to %s://%s: close: %s", s.Network, s.Address, err)
	}
	if s.Network == "tcp" {
		<-s.gone
	}
	s.conn = nil
}
