package exporter

import (
	"slices"
	"strings"
	"sync"

	"github.com/corkline/corkline/parsers"
	"github.com/prometheus/client_golang/prometheus"
)

// Overflow is the value of every label of the series that takes what a
// family's cap cuts off.
const Overflow = "overflow"

// Catalogue holds the metric families that lines feed. A family with the same
// name is the same family, whichever definition or reload asks for it.
type Catalogue struct {
	registry  prometheus.Registerer
	maxSeries int
	capped    *prometheus.CounterVec

	mu       sync.Mutex
	families map[string]*family
}

// NewCatalogue registers families with a registry and gives each at most
// maxSeries series beside its overflow series.
func NewCatalogue(registry prometheus.Registerer, maxSeries int) *Catalogue {
	c := &Catalogue{
		registry:  registry,
		maxSeries: maxSeries,
		capped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "corkline_pipeline_series_capped_total",
			Help: "Additions that went to a family's overflow series since the family had reached its cap (max_series).",
		}, []string{"family"}),
		families: map[string]*family{},
	}
	registry.MustRegister(c.capped)
	return c
}

// family is one counter with labels, and a cap on its series.
type family struct {
	help   string
	labels []string
	vec    *prometheus.CounterVec
	capped prometheus.Counter
	cap    int

	mu     sync.Mutex
	series map[string]prometheus.Counter
}

// family gives the family of a metric; an error when the name is taken by one
// with another help or other labels.
func (c *Catalogue) family(d *parsers.Definition, m *parsers.Metric) (*family, error) {
	labels := make([]string, len(m.Labels))
	for i, field := range m.Labels {
		labels[i] = d.Fields[field].Name
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.families[m.Name]; ok && f.help == m.Help && slices.Equal(f.labels, labels) {
		return f, nil
	}
	f := &family{
		help:   m.Help,
		labels: labels,
		vec:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, labels),
		capped: c.capped.WithLabelValues(m.Name),
		cap:    c.maxSeries,
		series: map[string]prometheus.Counter{},
	}
	if err := c.registry.Register(f.vec); err != nil {
		return nil, err
	}
	c.families[m.Name] = f
	return f, nil
}

// with gives the series of a key (label values, each ended by a 0xff byte),
// and false for the overflow series.
func (f *family) with(key string) (prometheus.Counter, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if series, ok := f.series[key]; ok {
		return series, true
	}
	values := strings.Split(strings.TrimSuffix(key, "\xff"), "\xff")[:len(f.labels)]
	if len(f.series) >= f.cap && len(f.labels) > 0 {
		for i := range values {
			values[i] = Overflow
		}
		return f.vec.WithLabelValues(values...), false
	}
	series := f.vec.WithLabelValues(values...)
	f.series[key] = series
	return series, true
}

// Feeder adds the records of one goroutine to the families of a definition,
// and remembers the series that it has met.
type Feeder struct {
	metrics []*parsers.Metric
	feeds   []feed
	key     []byte
}

type feed struct {
	family *family
	series map[string]prometheus.Counter
}

// Feeder for the metrics of a definition; an error when the name of one is
// taken by a family with another help or other labels.
func (c *Catalogue) Feeder(d *parsers.Definition) (*Feeder, error) {
	f := &Feeder{}
	for i := range d.Metrics {
		family, err := c.family(d, &d.Metrics[i])
		if err != nil {
			return nil, err
		}
		f.metrics = append(f.metrics, &d.Metrics[i])
		f.feeds = append(f.feeds, feed{family, map[string]prometheus.Counter{}})
	}
	return f, nil
}

// Add counts one parsed record in every metric of its definition.
func (f *Feeder) Add(r *parsers.Record) {
	for i, m := range f.metrics {
		amount := m.Default
		if m.Value >= 0 {
			if number, ok := r.Number(m.Value); ok {
				amount = number
			}
		}
		if amount < 0 {
			continue // a counter only goes up
		}
		f.key = f.key[:0]
		for _, field := range m.Labels {
			f.key = append(append(f.key, r.Value(field)...), 0xff)
		}
		feed := &f.feeds[i]
		series, ok := feed.series[string(f.key)]
		if !ok {
			if series, ok = feed.family.with(string(f.key)); ok {
				feed.series[string(f.key)] = series
			} else {
				feed.family.capped.Inc()
			}
		}
		series.Add(amount)
	}
}
