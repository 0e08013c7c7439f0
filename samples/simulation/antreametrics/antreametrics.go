// Package antreametrics serves the metrics that Antrea and the API server of a
// simulated cluster would, in any version of Antrea from 1.7 on.
package antreametrics

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/corkline/corkline/samples/foreign"
	"github.com/corkline/corkline/samples/simulation"
)

// Newest is the version of Antrea that is taken when none is named.
const Newest = "2.7"

// Options of the emulated endpoints.
type Options struct {
	// Simulation gives the seed, the node and the stories.
	Simulation simulation.Options
	// Version of Antrea, such as 1.10; empty for Newest.
	Version string
	// FlowExporter is Antrea's feature without which the metrics of connections
	// stay 0.
	FlowExporter bool
}

// Exporters that have an endpoint, /<name>/metrics; their names are those of
// the scrape jobs.
func Exporters() []string { return []string{"antrea-agent", "antrea-controller", "kube-apiserver"} }

// Handler serves the endpoints of Exporters as of now, the number of seconds
// since the simulation's start. Equal options and seconds give equal values;
// counters begin at the start, and never go back.
func Handler(now func() int, o Options) (http.Handler, error) {
	if o.Version == "" {
		o.Version = Newest
	}
	version, err := foreign.ParseVersion(o.Version)
	if err != nil {
		return nil, err
	}
	exporters, err := foreign.Exporters()
	if err != nil {
		return nil, err
	}
	c := &clock{now: now, options: o.Simulation, cluster: newCluster(o, version, exporters)}
	mux := http.NewServeMux()
	for _, name := range Exporters() {
		e := &exporter{name: name, clock: c, version: version}
		for _, x := range exporters {
			if x.Name == name {
				e.metrics = x.Metrics
			}
		}
		registry := prometheus.NewRegistry()
		if err := registry.Register(e); err != nil {
			return nil, fmt.Errorf("register the metrics of %s: %w", name, err)
		}
		mux.Handle("GET /"+name+"/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	}
	return mux, nil
}

// clock plays the cluster up to now.
type clock struct {
	now     func() int
	options simulation.Options

	mu      sync.Mutex
	next    int // second
	cluster *cluster
}

// at calls f with the cluster as it is now.
func (c *clock) at(f func(*cluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for now := c.now(); c.next <= now; c.next++ {
		c.cluster.second(c.options.At(c.next))
	}
	f(c.cluster)
}

// exporter is one process of the cluster.
type exporter struct {
	name    string
	clock   *clock
	version foreign.Version
	metrics []foreign.Metric
}

// Describe sends nothing: what there is depends on the version.
func (*exporter) Describe(chan<- *prometheus.Desc) {}

// Collect sends what the process has in its version.
func (e *exporter) Collect(out chan<- prometheus.Metric) {
	e.clock.at(func(c *cluster) {
		for _, m := range e.metrics {
			if !m.In(e.version) {
				continue
			}
			// Labels that a version lacks are the last ones.
			names := m.LabelsIn(e.version)
			desc := prometheus.NewDesc(m.Name, m.Help, names, nil)
			for _, s := range c.of(e.name, m.Name) {
				sample, err := s.metric(desc, m.Type, s.labels[:len(names)])
				if err != nil {
					sample = prometheus.NewInvalidMetric(desc, err)
				}
				out <- sample
			}
		}
	})
}

func (s *series) metric(desc *prometheus.Desc, kind string, labels []string) (prometheus.Metric, error) {
	switch kind {
	case "histogram":
		buckets := make(map[float64]uint64, len(s.bounds))
		var below uint64
		for i, bound := range s.bounds {
			below += s.counts[i]
			buckets[bound] = below
		}
		return prometheus.NewConstHistogram(desc, s.count, s.value, buckets, labels...)
	case "counter":
		return prometheus.NewConstMetric(desc, prometheus.CounterValue, s.value, labels...)
	default:
		return prometheus.NewConstMetric(desc, prometheus.GaugeValue, s.value, labels...)
	}
}
