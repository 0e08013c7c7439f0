package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"
)

const (
	// readBytes of a connection are read at once.
	readBytes = 32 << 10
	// frameTime is how long a sender may take for one message.
	frameTime = time.Minute
	// handshakeTime is how long a sender may take for the TLS handshake.
	handshakeTime = 10 * time.Second
	// drainTime is how long what senders have sent already is read at most when
	// the receiver stops, and quietTime how long more is waited for.
	drainTime = time.Second
	quietTime = 100 * time.Millisecond
	// errorPause follows a failure to accept or to read.
	errorPause = 100 * time.Millisecond
)

// accept serves connections until ctx ends.
func (r *Receiver) accept(ctx context.Context, l net.Listener, certs *certificates, m *transportMetrics) {
	stop := context.AfterFunc(ctx, func() { r.logError("close listener", l.Close()) })
	defer stop()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				r.logError("close connection", conn.Close())
			}
			return
		case err != nil: // such as too many open files
			r.logError("accept a connection", err)
			r.wait(ctx, errorPause)
		case !r.allowed(remote(conn)):
			r.options.Metrics.refusedSender.Inc()
			r.logError("close connection", conn.Close())
		default:
			select {
			case r.slots <- struct{}{}:
				r.work.Go(func() {
					defer func() { <-r.slots }()
					r.serve(ctx, conn, certs, m)
				})
			default:
				r.options.Metrics.refusedLimit.Inc()
				r.logError("close connection", conn.Close())
			}
		}
	}
}

func remote(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// serve spools the messages of one connection until it ends.
func (r *Receiver) serve(ctx context.Context, conn net.Conn, certs *certificates, m *transportMetrics) {
	m.connections.Inc()
	defer m.connections.Dec()
	defer func() {
		if err := conn.Close(); err != nil && !isPeer(err) {
			r.logError("close connection", err)
		}
	}()
	if certs != nil {
		secure := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: certs.config})
		shake, cancel := context.WithTimeout(ctx, handshakeTime)
		err := secure.HandshakeContext(shake)
		cancel()
		if err != nil {
			r.options.Metrics.refusedTLS.Inc()
			r.options.Log.Debug("refuse a connection", "source", r.options.Source, "sender", conn.RemoteAddr(), "error", err)
			return
		}
		conn = secure
	}
	f := framer{limit: r.limit}
	if !r.read(ctx, conn, &f, m) {
		r.options.Metrics.framingCount.Inc()
		r.options.Log.Warn("close a connection: an octet count is not one", "source", r.options.Source, "sender", conn.RemoteAddr())
	} else if f.unfinished() {
		r.options.Metrics.framingCut.Inc()
	}
}

// read spools messages until the connection ends; false when that is because
// its frames make no sense.
func (r *Receiver) read(ctx context.Context, conn net.Conn, f *framer, m *transportMetrics) (sound bool) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now().Add(quietTime)) })
	defer stop()
	var (
		buffer = make([]byte, readBytes)
		lines  []byte
		began  time.Time // the frame that is unfinished
		frames = ^uint64(0)
		last   time.Time // to read when ctx has ended
	)
	for {
		now := time.Now()
		deadline := now.Add(r.options.IdleTimeout)
		if f.unfinished() {
			if frames != f.frames {
				began, frames = now, f.frames
			}
			deadline = began.Add(min(frameTime, r.options.IdleTimeout))
		}
		if err := conn.SetReadDeadline(deadline); err != nil {
			return true
		}
		if ctx.Err() != nil {
			if last.IsZero() {
				last = now.Add(drainTime)
			}
			if now.After(last) || r.options.Spool.Full() || conn.SetReadDeadline(now.Add(quietTime)) != nil {
				return true
			}
		}
		n, readErr := conn.Read(buffer)
		t := tally{limit: r.limit}
		sound = f.feed(buffer[:n], func(message []byte, cut bool) { lines = t.take(lines, message, cut) })
		t.book(m, r.options.Metrics, n)
		if r.options.Spool.Append(ctx, lines) != nil || !sound || readErr != nil {
			return sound
		}
		if lines = lines[:0]; cap(lines) > 2*readBytes {
			lines = nil
		}
	}
}

// tally makes lines of messages, and counts them.
type tally struct {
	limit               int
	messages, oversized int
}

func (t *tally) take(lines, message []byte, cut bool) []byte {
	if !cut {
		message = trim(message)
	}
	if len(message) == 0 {
		return lines
	}
	t.messages++
	if len(message) >= t.limit {
		t.oversized++
	}
	return appendLine(lines, message, t.limit)
}

func (t *tally) book(m *transportMetrics, s *SourceMetrics, bytes int) {
	m.bytes.Add(float64(bytes))
	m.messages.Add(float64(t.messages))
	if t.oversized > 0 {
		s.oversized.Add(float64(t.oversized))
	}
}

// isPeer tells what the other side may do to a connection from a fault of ours.
func isPeer(err error) bool {
	var e *net.OpError
	return errors.As(err, &e)
}
