package exporter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/corkline/corkline/exporter/source/syslog"
	"github.com/corkline/corkline/exporter/spool"
)

// syslogSource is what receives the messages of a source. It outlives a reload
// that changes nothing about it, and with it its connections.
type syslogSource struct {
	config       SyslogConfig
	maxLineBytes int
	spool        *spool.Spool
	receiver     *syslog.Receiver // nil in a run with Once
	cancel       context.CancelFunc
	ended        chan error
}

// is tells whether a configuration asks for just this one.
func (s *syslogSource) is(c *Config, source SourceConfig) bool {
	return s.maxLineBytes == c.MaxLineBytes && reflect.DeepEqual(s.config, *source.Syslog)
}

// withSyslog gives the sources of a configuration that receive messages.
func withSyslog(c *Config) map[string]SourceConfig {
	sources := map[string]SourceConfig{}
	for _, s := range c.Sources {
		if s.Syslog != nil {
			sources[s.Name] = s
		}
	}
	return sources
}

// startSyslog ends the receivers that are not as the configuration has them,
// and starts those that are missing. They go on until ctx ends.
func (a *Agent) startSyslog(ctx context.Context) error {
	wanted := withSyslog(a.config)
	running := map[*syslogSource]bool{}
	for name, source := range wanted {
		if s := a.syslogSource(name); s != nil && s.is(a.config, source) {
			running[s] = true
		}
	}
	if err := a.stopSyslog(func(s *syslogSource) bool { return running[s] }); err != nil {
		a.log.Error("stop receiving syslog", "error", err)
	}
	for _, source := range a.config.Sources {
		if source.Syslog == nil || a.syslogSource(source.Name) != nil {
			continue
		}
		s, err := a.newSyslog(ctx, source)
		if err != nil {
			return fmt.Errorf("receive syslog for source %q: %w", source.Name, err)
		}
		a.mu.Lock()
		a.receivers[source.Name] = s
		a.mu.Unlock()
	}
	return nil
}

func (a *Agent) newSyslog(ctx context.Context, source SourceConfig) (*syslogSource, error) {
	c, config := a.config, source.Syslog
	metrics := a.syslog.Source(source.Name)
	spool, err := spool.Open(spool.Options{Dir: c.spoolDir(source.Name), Limit: config.SpoolBytes, Metrics: metrics.Spool(), Log: a.log, Now: a.now})
	if err != nil {
		return nil, err
	}
	s := &syslogSource{config: *config, maxLineBytes: c.MaxLineBytes, spool: spool, cancel: func() {}, ended: make(chan error, 1)}
	if a.options.Once { // takes what the spool has
		s.ended <- nil
		return s, nil
	}
	s.receiver, err = syslog.Listen(ctx, syslog.Options{
		Source: source.Name, UDP: config.UDP, TCP: config.TCP, TLS: config.TLS.Listen,
		TLSFiles: config.TLS.files(), Allow: config.allow,
		MaxConnections: config.MaxConnections, IdleTimeout: config.IdleTimeout, MaxLineBytes: c.MaxLineBytes,
		Spool: spool, Metrics: metrics, Log: a.log,
	})
	if err != nil {
		return nil, err
	}
	for _, at := range s.receiver.Status().Listeners {
		a.log.Info("receiving syslog", "source", source.Name, "at", at)
	}
	ctx, s.cancel = context.WithCancel(ctx)
	go func() { s.ended <- s.receiver.Run(ctx) }() // waited for by stopSyslog
	return s, nil
}

func (c *SyslogTLSConfig) files() syslog.TLSFiles {
	return syslog.TLSFiles{Certificate: c.CertFile, Key: c.KeyFile, ClientCA: c.ClientCAFile}
}

// stopSyslog ends the receivers but for those to keep.
func (a *Agent) stopSyslog(keep func(*syslogSource) bool) error {
	a.mu.Lock()
	var stopped []*syslogSource
	for name, s := range a.receivers {
		if !keep(s) {
			s.cancel()
			stopped = append(stopped, s)
			delete(a.receivers, name)
		}
	}
	a.mu.Unlock()
	var errs []error
	for _, s := range stopped {
		errs = append(errs, <-s.ended)
	}
	return errors.Join(errs...)
}

func (a *Agent) syslogSource(name string) *syslogSource {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.receivers[name]
}

// spool of a source; nil when its files are not ours.
func (a *Agent) spool(source string) *spool.Spool {
	if s := a.syslogSource(source); s != nil {
		return s.spool
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.running {
		if eventsOf(r.name) == source {
			return r.spool
		}
	}
	return nil
}

// canListen tells whether the receivers of a new configuration can start, so
// that one with which they cannot is refused while the one before goes on.
func (a *Agent) canListen(ctx context.Context, c *Config) error {
	ours := map[string]bool{}
	for _, source := range withSyslog(a.config) {
		for _, l := range listeners(source) {
			ours[l.network+l.address] = true
		}
	}
	for name, source := range withSyslog(c) {
		if s := a.syslogSource(name); s != nil && s.is(c, source) {
			continue
		}
		for _, l := range listeners(source) {
			if ours[l.network+l.address] {
				continue
			}
			if err := syslog.Probe(ctx, l.network, l.address); err != nil {
				return fmt.Errorf("receive syslog for source %q: %w", name, err)
			}
		}
		if source.Syslog.TLS.Listen == "" {
			continue
		}
		if err := source.Syslog.TLS.files().Check(); err != nil {
			return fmt.Errorf("receive syslog for source %q: %w", name, err)
		}
	}
	return nil
}

type listenAddress struct{ network, address string }

// listeners of a source.
func listeners(s SourceConfig) (all []listenAddress) {
	for _, l := range []listenAddress{{"udp", s.Syslog.UDP}, {"tcp", s.Syslog.TCP}, {"tcp", s.Syslog.TLS.Listen}} {
		if l.address != "" {
			all = append(all, l)
		}
	}
	return all
}

// tidy deletes the spool files that are delivered to their end.
func (p *pipeline) tidy() {
	if p.spool == nil {
		return
	}
	for _, f := range p.tailer.Files() {
		if !p.spool.Finished(f.Path, f.Committed) {
			continue
		}
		if err := p.tailer.Remove(f.Path); err != nil {
			p.account.readErrors.Add(1)
			p.log.Error("delete a spool file", "source", p.source, "error", err)
			continue
		}
		p.spool.Removed(f.Path)
	}
}

// syslogStatus is what the status page shows of a receiver.
type syslogStatus struct {
	Listeners   string
	Connections int
	Spool       string
	SpoolLimit  string
	Full        bool
	Buffer      string // empty without UDP
}

func (s *syslogSource) status() *syslogStatus {
	bytes, limit := s.spool.Size()
	out := &syslogStatus{Spool: inBytes(bytes), SpoolLimit: inBytes(limit), Full: s.spool.Full()}
	if s.receiver != nil {
		status := s.receiver.Status()
		out.Listeners, out.Connections = strings.Join(status.Listeners, ", "), status.Connections
		if status.ReceiveBuffer > 0 {
			out.Buffer = inBytes(int64(status.ReceiveBuffer))
		}
	}
	return out
}
