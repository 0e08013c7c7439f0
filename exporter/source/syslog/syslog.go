// Package syslog receives messages over UDP, TCP and TLS and appends them to
// spool files, from where they are read like any log.
//
// Messages are taken as they are, whether they follow RFC 3164, RFC 5424 or
// neither. A datagram is a message; the frames of a connection are those of RFC
// 6587. Line ends and NUL bytes at the end of a message are cut, and what is
// then empty is no message.
//
// Syslog has no acknowledgements. A message counts as taken once it is written
// to the spool, and a connection is not read on before. The spool is synced
// once a second, so a crash of the agent loses nothing that was taken, and a
// loss of power up to about a second.
package syslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/corkline/corkline/exporter/spool"
)

// syncInterval is how often the spool is synced and the kernel asked for drops.
const syncInterval = time.Second

// Options configure a Receiver. All but Allow, the addresses and TLS are required.
type Options struct {
	Source        string
	UDP, TCP, TLS string // host:port to listen at, or empty
	TLSFiles      TLSFiles
	// Allow are the senders whose messages are taken; without any, those with
	// loopback, private and link-local addresses.
	Allow          []netip.Prefix
	MaxConnections int           // over TCP and TLS
	IdleTimeout    time.Duration // ends a connection without data
	MaxLineBytes   int           // longer messages are cut where they are read again
	Spool          *spool.Spool
	Metrics        *SourceMetrics
	Log            *slog.Logger
}

// Receiver listens for the messages of one source.
type Receiver struct {
	options Options
	limit   int // bytes of a message that are kept
	udp     *udpSocket
	tcp     net.Listener
	tls     net.Listener
	certs   *certificates
	slots   chan struct{} // one for each open connection
	work    sync.WaitGroup

	mu     sync.Mutex
	failed map[string]time.Time // when a failure was logged last
}

// Listen opens the sockets. Nothing is read from them before Run, which must
// follow: it closes them.
func Listen(ctx context.Context, o Options) (r *Receiver, err error) {
	r = &Receiver{
		options: o,
		limit:   o.MaxLineBytes + 1, // so that the reader sees that there was more
		slots:   make(chan struct{}, o.MaxConnections),
		failed:  map[string]time.Time{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if o.UDP != "" {
		if r.udp, err = listenUDP(ctx, o.UDP); err != nil {
			return r, fmt.Errorf("listen for syslog over UDP: %w", err)
		}
	}
	var config net.ListenConfig
	if o.TCP != "" {
		if r.tcp, err = config.Listen(ctx, "tcp", o.TCP); err != nil {
			return r, fmt.Errorf("listen for syslog over TCP: %w", err)
		}
	}
	if o.TLS != "" {
		if r.certs, err = loadCertificates(o.TLSFiles, o.Log); err != nil {
			return r, err
		}
		if r.tls, err = config.Listen(ctx, "tcp", o.TLS); err != nil {
			return r, fmt.Errorf("listen for syslog over TLS: %w", err)
		}
	}
	return r, nil
}

// Probe tells whether a "udp" or "tcp" address can be listened at.
func Probe(ctx context.Context, network, address string) error {
	var config net.ListenConfig
	var listener io.Closer
	var err error
	if network == "udp" {
		listener, err = config.ListenPacket(ctx, network, address)
	} else {
		listener, err = config.Listen(ctx, network, address)
	}
	if err != nil {
		return err
	}
	return listener.Close()
}

// Run receives until ctx ends, then takes what has been sent already, for a
// moment, and closes sockets and spool.
func (r *Receiver) Run(ctx context.Context) error {
	if r.udp != nil {
		r.work.Go(func() { r.receiveUDP(ctx) })
	}
	if r.tcp != nil {
		r.work.Go(func() { r.accept(ctx, r.tcp, nil, &r.options.Metrics.tcp) })
	}
	if r.tls != nil {
		r.work.Go(func() { r.accept(ctx, r.tls, r.certs, &r.options.Metrics.tls) })
	}
	for r.wait(ctx, syncInterval) {
		r.countDrops()
		r.logError("make the spool durable", r.options.Spool.Sync())
	}
	r.work.Wait()
	r.countDrops()
	return errors.Join(r.close(), r.options.Spool.Close())
}

// close the sockets that are open.
func (r *Receiver) close() error {
	var errs []error
	if r.udp != nil {
		errs = append(errs, r.udp.conn.Close())
	}
	for _, l := range []net.Listener{r.tcp, r.tls} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (r *Receiver) countDrops() {
	if r.udp == nil {
		return
	}
	n, err := r.udp.dropped()
	r.logError("count datagrams that the kernel dropped", err)
	r.options.Metrics.dropped.Add(float64(n))
}

// allowed tells whether a sender's messages are taken.
func (r *Receiver) allowed(sender netip.Addr) bool {
	if len(r.options.Allow) == 0 {
		return sender.IsLoopback() || sender.IsPrivate() || sender.IsLinkLocalUnicast()
	}
	sender = sender.WithZone("")
	for _, prefix := range r.options.Allow {
		if prefix.Contains(sender) {
			return true
		}
	}
	return false
}

// Status of a receiver.
type Status struct {
	Listeners     []string // such as "UDP 127.0.0.1:514"
	Connections   int
	ReceiveBuffer int // bytes that the kernel holds of UDP; 0 without
}

// Status as it is now.
func (r *Receiver) Status() Status {
	s := Status{Connections: len(r.slots)}
	if r.udp != nil {
		s.ReceiveBuffer = r.udp.buffer
		s.Listeners = append(s.Listeners, "UDP "+r.udp.conn.LocalAddr().String())
	}
	if r.tcp != nil {
		s.Listeners = append(s.Listeners, "TCP "+r.tcp.Addr().String())
	}
	if r.tls != nil {
		s.Listeners = append(s.Listeners, "TLS "+r.tls.Addr().String())
	}
	return s
}

// wait is false when ctx ends before the time is over.
func (r *Receiver) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// logInterval lies between two logs of the same failure.
const logInterval = time.Minute

func (r *Receiver) logError(what string, err error) {
	if err == nil {
		return
	}
	now := time.Now()
	r.mu.Lock()
	recent := now.Sub(r.failed[what]) < logInterval
	if !recent {
		r.failed[what] = now
	}
	r.mu.Unlock()
	if !recent {
		r.options.Log.Error(what, "source", r.options.Source, "error", err)
	}
}
