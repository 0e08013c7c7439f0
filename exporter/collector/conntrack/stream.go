package conntrack

import (
	"context"
	"errors"
	"sync"
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

// countInterval lies between two looks at the table's size for the forecast,
// beside those of the polls.
const countInterval = 5 * time.Second

// Run implements collector.Runner: it looks at the table's size, and counts
// events, until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	var wait sync.WaitGroup
	defer wait.Wait()
	if c.options.Stream {
		wait.Go(func() {
			for {
				err := c.stream(ctx)
				if ctx.Err() != nil {
					return
				}
				c.options.Log.Warn("the event stream ends; trying again", "error", err)
				if !pause(ctx, retryInterval) {
					return
				}
			}
		})
	}
	for pause(ctx, countInterval) {
		if entries, limit, err := c.options.Size(ctx); err == nil { // Poll tells of an error
			c.observe(facts{entries: entries, limit: limit})
		}
	}
}

// pause is false when ctx ends before the time is over.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
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
