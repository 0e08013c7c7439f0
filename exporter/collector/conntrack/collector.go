// Package conntrack polls the connection tracking table of the kernel.
package conntrack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configure a Collector.
type Options struct {
	// Proc is where procfs is mounted; empty for /proc.
	Proc     string
	Interval time.Duration // between two polls
}

// Collector polls the table.
type Collector struct {
	options  Options
	snapshot atomic.Pointer[snapshot]
	metrics
}

type metrics struct {
	entries, limit *prometheus.Desc
}

// snapshot is what one poll found.
type snapshot struct {
	entries, limit uint64
}

// New makes a Collector that has not polled yet.
func New(o Options) *Collector {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("corkline_conntrack_"+name, help, labels, nil)
	}
	c := &Collector{options: o, metrics: metrics{
		entries: desc("entries", "Entries of the table."),
		limit:   desc("entries_limit", "Entries that the table may have."),
	}}
	return c
}

// Example is a Collector with one series of every family, for documents.
func Example() *Collector {
	c := New(Options{})
	c.snapshot.Store(&snapshot{})
	return c
}

// Name implements collector.Collector.
func (c *Collector) Name() string { return "conntrack" }

// Poll implements collector.Collector.
func (c *Collector) Poll(context.Context) error {
	s := &snapshot{}
	for name, to := range map[string]*uint64{"count": &s.entries, "max": &s.limit} {
		text, err := os.ReadFile(filepath.Join(c.options.Proc, "sys/net/netfilter/nf_conntrack_"+name))
		if err == nil {
			*to, err = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		}
		if err != nil {
			return fmt.Errorf("read sysctl: %w", err)
		}
	}
	c.snapshot.Store(s)
	return nil
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	to <- c.entries
	to <- c.limit
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	s := c.snapshot.Load()
	if s == nil {
		return
	}
	to <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(s.entries))
	to <- prometheus.MustNewConstMetric(c.limit, prometheus.GaugeValue, float64(s.limit))
}

// Status implements collector.Reporter.
func (c *Collector) Status() []collector.Fact {
	s := c.snapshot.Load()
	if s == nil {
		return nil
	}
	return []collector.Fact{{Name: "Entries", Value: fmt.Sprintf("%d of %d", s.entries, s.limit)}}
}
