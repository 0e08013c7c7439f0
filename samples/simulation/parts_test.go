package simulation_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/simulation"
)

// reader is an Output that lets the definitions read the lines, and the
// agent's catalogue count them.
type reader struct {
	t        *testing.T
	registry *prometheus.Registry
	second   time.Time
	logs     map[string]*log
	metrics  map[string]float64
	streams  map[string]float64
	text     bytes.Buffer // all there is
}

// log that a definition reads.
type log struct {
	definition *parsers.Definition
	parser     *parsers.Parser
	framer     *parsers.Framer
	feeder     *exporter.Feeder
	last       int64
	lines      int
	layouts    map[string]int
}

func newReader(t *testing.T) *reader {
	t.Helper()
	return &reader{t: t, registry: prometheus.NewRegistry(), logs: map[string]*log{}, metrics: map[string]float64{}, streams: map[string]float64{}}
}

func (r *reader) open(names ...string) {
	r.t.Helper()
	set, err := parsers.Shipped()
	if err != nil {
		r.t.Fatal(err)
	}
	catalogue := exporter.NewCatalogue(r.registry, 2000)
	for _, name := range names {
		l := &log{definition: set[name], parser: set[name].NewParser(), framer: set[name].NewFramer(1 << 20), layouts: map[string]int{}}
		if l.feeder, err = catalogue.Feeder(set[name]); err != nil {
			r.t.Fatal(err)
		}
		r.logs[name] = l
	}
}

func (r *reader) Line(definition string, line []byte) {
	r.t.Helper()
	fmt.Fprintf(&r.text, "%s %s\n", definition, line)
	l := r.logs[definition]
	if l == nil {
		r.t.Fatalf("no definition %q: %s", definition, line)
	}
	records := []parsers.Line{{Text: bytes.Clone(line)}}
	if l.framer != nil {
		var lines []parsers.Line
		for text := range bytes.SplitSeq(line, []byte{'\n'}) {
			lines = append(lines, parsers.Line{Text: bytes.Clone(text)})
		}
		records, _, _ = l.framer.Join(nil, lines, nil, true)
	}
	if len(records) != 1 {
		r.t.Fatalf("%s makes %d records of %q", definition, len(records), line)
	}
	l.parser.Refer(r.second.UnixNano())
	record := parsers.Record{Line: records[0].Text}
	if err := l.parser.Parse(&record); err != nil {
		r.t.Fatalf("%s: %s: %q", definition, err, line)
	}
	if record.Time < r.second.UnixNano() || record.Time >= r.second.Add(time.Second).UnixNano() || record.Time < l.last {
		r.t.Fatalf("%s: %s is not in the second of %s, or before the line before: %q", definition, time.Unix(0, record.Time).UTC(), r.second, line)
	}
	l.last = record.Time
	l.lines++
	l.layouts[record.Layout.Name]++
	l.feeder.Add(&record)
	labels := record.Result(r.second).StreamLabels
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	r.streams[definition+"{"+strings.Join(pairs, ", ")+"}"]--
}

func (r *reader) Count(metric, labels string, n float64) {
	if strings.HasPrefix(metric, parsers.Prefix) {
		r.metrics[metric+"{"+labels+"}"] += n
		return
	}
	r.streams[metric+"{"+labels+"}"] += n
}

// counted gives what the agent would expose.
func (r *reader) counted() map[string]float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			pairs := map[string]string{}
			for _, label := range m.GetLabel() {
				pairs[label.GetName()] = label.GetValue()
			}
			if c := m.GetCounter(); c != nil && f.GetName() != "corkline_pipeline_series_capped_total" {
				all[f.GetName()+key(pairs)] = c.GetValue()
			}
		}
	}
	return all
}

func key(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return strings.Join(parts, ", ")
}

// sorted gives counts with their labels in order.
func sorted(counts map[string]float64) map[string]float64 {
	all := map[string]float64{}
	for series, n := range counts {
		metric, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
		parts := strings.Split(labels, ", ")
		slices.Sort(parts)
		all[metric+strings.Join(parts, ", ")] += n
	}
	return all
}

// Each line is read, and what is said of it is what the agent counts: ten
// minutes of all stories, and a busier and a quieter cluster.
func TestParts(t *testing.T) {
	f := func(rate float64, seconds, least, most int) {
		t.Helper()
		o := simulation.Options{Seed: 7, Start: time.Date(2026, 2, 28, 23, 55, 0, 0, time.UTC), Rate: rate, Node: "node-1"}
		r := newReader(t)
		r.open("antrea-networkpolicy", "antrea-agent", "antrea-controller", "ovs-vswitchd", "ovsdb-server")
		parts := simulation.NetworkParts(o)
		for second := range seconds {
			m := o.At(second)
			r.second = m.Time
			for _, p := range parts {
				p.Second(m, r)
			}
		}
		if diff := cmp.Diff(r.counted(), sorted(r.metrics)); diff != "" {
			t.Errorf("counts (-lines +said):\n%s", diff)
		}
		for stream, n := range r.streams {
			if n != 0 {
				t.Errorf("of %s %v more lines are said to be there than are", stream, n)
			}
		}
		total := 0
		for name, l := range r.logs {
			t.Log(rate, name, l.lines, l.layouts)
			if total += l.lines; l.lines == 0 {
				t.Errorf("%s has no lines", name)
			}
		}
		if total < least*seconds || total > most*seconds {
			t.Errorf("at rate %v there are %d lines a second, want %d to %d", rate, total/seconds, least, most)
		}
	}
	f(1, 600, 45, 75)
	f(40, 15, 1500, 2600)
	f(0.1, 120, 5, 15)
}

// counter is an Output that only counts.
type counter struct{ lines, bytes int }

func (c *counter) Line(_ string, line []byte) {
	c.lines++
	c.bytes += len(line) + 1
}

func (c *counter) Count(string, string, float64) {}

func BenchmarkParts(b *testing.B) {
	o := simulation.Options{Seed: 7, Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rate: 1, Node: "node-1"}
	parts, c, second := simulation.NetworkParts(o), &counter{}, 0
	b.ReportAllocs()
	for b.Loop() {
		m := o.At(second)
		for _, p := range parts {
			p.Second(m, c)
		}
		second++
	}
	b.SetBytes(int64(c.bytes / second))
	b.ReportMetric(float64(c.lines)/b.Elapsed().Seconds(), "lines/s")
}
