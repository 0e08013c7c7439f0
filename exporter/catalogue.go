package exporter

import (
	"fmt"
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
// maxSeries time series beside its overflow: a label set of a counter is one
// of them, a label set of a histogram one for each bucket and three more. A
// histogram gets one label set at least.
func NewCatalogue(registry prometheus.Registerer, maxSeries int) *Catalogue {
	c := &Catalogue{
		registry:  registry,
		maxSeries: maxSeries,
		capped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "corkline_pipeline_series_capped_total",
			Help: "Additions that went to a family's overflow series since the family had reached its cap (max_series); gaps and throttled seconds of such label sets are not counted.",
		}, []string{"family"}),
		families: map[string]*family{},
	}
	registry.MustRegister(c.capped)
	return c
}

// family is one counter or histogram with labels, and a cap on its label sets.
type family struct {
	shape
	definition string // that asked for it first
	open       func(values []string) *series
	capped     prometheus.Counter
	cap        int

	mu       sync.Mutex
	series   map[string]*series
	overflow *series // nil until the cap is reached
}

// shape is what all that ask for a family must agree on.
type shape struct {
	kind    parsers.MetricType
	help    string
	labels  []string // in order
	buckets []float64
}

// metricError is what keeps a metric from having a family: the key of its form,
// what is wrong there, and the definition whose family differs, if it does.
type metricError struct {
	key, what, other string
}

func (e *metricError) Error() string { return e.key + " " + e.message() }

func (e *metricError) message() string {
	if e.other == "" {
		return e.what
	}
	return fmt.Sprintf("%s of definition %q", e.what, e.other)
}

// difference to another shape; nil when there is none.
func (s *shape) difference(other *shape) *metricError {
	kinds := map[parsers.MetricType]string{parsers.Counter: "counter", parsers.Histogram: "histogram"}
	switch {
	case s.kind != other.kind:
		return &metricError{key: "type", what: fmt.Sprintf("%s differs from %s", kinds[s.kind], kinds[other.kind])}
	case s.help != other.help:
		return &metricError{key: "help", what: fmt.Sprintf("%q differs from %q", s.help, other.help)}
	case !slices.Equal(s.labels, other.labels):
		return &metricError{key: "labels", what: fmt.Sprintf("%v differ from %v", s.labels, other.labels)}
	case !slices.Equal(s.buckets, other.buckets):
		return &metricError{key: "buckets", what: fmt.Sprintf("%v differ from %v", s.buckets, other.buckets)}
	}
	return nil
}

func shapeOf(d *parsers.Definition, m *parsers.Metric) shape {
	s := shape{kind: m.Type, help: m.Help, buckets: m.Buckets}
	for _, field := range labelFields(d, m) {
		s.labels = append(s.labels, d.Fields[field].Name)
	}
	return s
}

// family gives the family of a metric, or an error that tells the metric, the
// definition, and why there cannot be such a family.
func (c *Catalogue) family(d *parsers.Definition, m *parsers.Metric) (*family, error) {
	f, err := c.open(d, m)
	if err != nil {
		return nil, fmt.Errorf("metric %s of definition %q: %w", m.Name, d.Name, err)
	}
	return f, nil
}

// mismatch is the error for a definition with a metric that differs from the
// family of its name. It makes no family.
func (c *Catalogue) mismatch(d *parsers.Definition) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range d.Metrics {
		m := &d.Metrics[i]
		want := shapeOf(d, m)
		if f, ok := c.families[m.Name]; ok {
			if err := f.differs(&want); err != nil {
				return fmt.Errorf("metric %s of definition %q: %w", m.Name, d.Name, err)
			}
		}
	}
	return nil
}

// differs is the error for a shape that is not the family's.
func (f *family) differs(want *shape) error {
	if err := want.difference(&f.shape); err != nil {
		err.other = f.definition
		return err
	}
	return nil
}

// open gives the family of a metric. Its error is a metricError.
func (c *Catalogue) open(d *parsers.Definition, m *parsers.Metric) (*family, error) {
	want := shapeOf(d, m)
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.families[m.Name]; ok {
		return f, f.differs(&want)
	}
	f := &family{shape: want, definition: d.Name, cap: c.maxSeries, series: map[string]*series{}}
	if err := f.register(c.registry, m.Name); err != nil {
		return nil, err
	}
	f.capped = c.capped.WithLabelValues(m.Name)
	c.families[m.Name] = f
	return f, nil
}

// labelFields of a metric by their names, so that it does not matter in which
// order a definition names them.
func labelFields(d *parsers.Definition, m *parsers.Metric) []int {
	return slices.SortedFunc(slices.Values(m.Labels), func(a, b int) int {
		return strings.Compare(d.Fields[a].Name, d.Fields[b].Name)
	})
}

func (f *family) register(registry prometheus.Registerer, name string) error {
	if f.kind == parsers.Counter {
		vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: f.help}, f.labels)
		f.open = func(values []string) *series { return &series{counter: vec.WithLabelValues(values...)} }
		return registerOnce(registry, name, vec)
	}
	// A histogram brings series of these names and with this label.
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if strings.HasSuffix(name, suffix) {
			return &metricError{key: "name", what: fmt.Sprintf("%s ends in %s, as the series of histograms do; choose another", name, suffix)}
		}
	}
	if slices.Contains(f.labels, "le") {
		return &metricError{key: "labels", what: "have le, which is that of a histogram's buckets; name the field differently"}
	}
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: f.help, Buckets: f.buckets}, f.labels)
	f.open = func(values []string) *series { return &series{histogram: vec.WithLabelValues(values...)} }
	f.cap = max(1, f.cap/(len(f.buckets)+3)) // +Inf, sum and count
	return registerOnce(registry, name, vec)
}

// registerOnce fails for what the agent itself has: all else is in the catalogue.
func registerOnce(registry prometheus.Registerer, name string, collector prometheus.Collector) error {
	if err := registry.Register(collector); err != nil {
		return &metricError{key: "name", what: fmt.Sprintf("%s is that of a metric of the agent itself; choose another", name)}
	}
	return nil
}

// with gives the series of a key (label values, each ended by keyEnd), which
// is the overflow for a new one when the cap is reached.
func (f *family) with(key []byte) *series {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s, ok := f.series[string(key)]; ok {
		return s
	}
	if len(f.series) >= f.cap && len(f.labels) > 0 {
		if f.overflow == nil {
			f.overflow = f.open(slices.Repeat([]string{Overflow}, len(f.labels)))
			f.overflow.capped = f.capped
		}
		return f.overflow
	}
	text := string(key)
	s := f.open(strings.Split(text, string([]byte{keyEnd}))[:len(f.labels)])
	f.series[text] = s
	return s
}

// series is what the records of one label set add up to: one counter, or one
// histogram, which is several time series.
type series struct {
	counter   prometheus.Counter
	histogram prometheus.Observer
	capped    prometheus.Counter // nil unless this is the overflow

	mu       sync.Mutex
	sequence sequence
	second   second
}

// countGap adds the numbers that are missing before n. The overflow is no
// sequence.
func (s *series) countGap(n uint64) {
	if s.capped != nil {
		return
	}
	s.mu.Lock()
	missing := s.sequence.next(n)
	s.mu.Unlock()
	s.counter.Add(float64(missing))
}

// countSecond adds 1 with the atLeast-th record of a second. The overflow is
// of several label sets.
func (s *series) countSecond(at int64, atLeast int) {
	if s.capped != nil {
		return
	}
	s.mu.Lock()
	busy := s.second.add(at, atLeast)
	s.mu.Unlock()
	if busy {
		s.counter.Inc()
	}
}
