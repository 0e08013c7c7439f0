package conntrack

import (
	"context"
	"errors"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
	"github.com/prometheus/client_golang/prometheus"
)

// streamed are the metrics of the event stream.
type streamed struct {
	created, destroyed, lost prometheus.Counter
	lifetime                 prometheus.Histogram
}

func newStreamed() *streamed {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "corkline_conntrack_" + name, Help: help})
	}
	return &streamed{
		created:   counter("connections_created_total", "New connections, of the events that were received."),
		destroyed: counter("connections_destroyed_total", "Connections that ended, of the events that were received."),
		lost:      counter("events_lost_total", "Events for which the kernel found no room."),
		lifetime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "corkline_conntrack_connection_lifetime_seconds", Help: "How long connections that ended were tracked, where nf_conntrack_timestamp is on.",
			Buckets: []float64{1, 10, 30, 60, 120, 300, 600, 3600, 86400},
		}),
	}
}

// Describe implements prometheus.Collector.
func (s *streamed) Describe(to chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{s.created, s.destroyed, s.lost, s.lifetime} {
		c.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (s *streamed) Collect(to chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{s.created, s.destroyed, s.lost, s.lifetime} {
		c.Collect(to)
	}
}

// retryInterval lies between two tries to subscribe.
const retryInterval = time.Minute

// Run implements collector.Runner: it counts events until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	for c.options.Events {
		err := c.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		c.options.Log.Warn("the event stream ends; trying again", "error", err)
		retry := time.NewTimer(retryInterval)
		select {
		case <-ctx.Done():
			retry.Stop()
			return
		case <-retry.C:
		}
	}
}

func (c *Collector) stream(ctx context.Context) (err error) {
	events, err := netlink.Subscribe()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, events.Close()) }()
	s := c.streamed
	return events.Receive(ctx, func(event netlink.Event, e *netlink.Entry) {
		if event == netlink.New {
			s.created.Inc()
			return
		}
		s.destroyed.Inc()
		if e.Start > 0 && e.Stop >= e.Start {
			s.lifetime.Observe(float64(e.Stop-e.Start) / 1e9)
		}
	}, func(n uint64) { s.lost.Add(float64(n)) })
}
