package simulation_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
)

// written takes what parts write.
type written struct {
	lines  []line
	counts map[string]float64
	second int
}

type line struct {
	definition string
	text       []byte
	second     int
}

func (w *written) Line(definition string, text []byte) {
	w.lines = append(w.lines, line{definition, bytes.Clone(text), w.second})
}

func (w *written) Count(metric, labels string, n float64) { w.counts[metric+"{"+labels+"}"] += n }

// play the load balancer for a time.
func play(o simulation.Options, seconds int) *written {
	w := &written{counts: map[string]float64{}}
	parts := simulation.LoadBalancer(o)
	for w.second = range seconds {
		m := o.At(w.second)
		for _, p := range parts {
			p.Second(m, w)
		}
	}
	return w
}

func options() simulation.Options {
	return simulation.Options{Seed: 7, Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rate: 1, Node: "node-1"}
}

// streams are the definitions that a source reads together.
var streams = [...][]string{
	{"avi-waf", "avi-application", "avi-dns", "avi-connection", "avi-event"},
	{"ako"},
	{"amko"},
}

// reading parses what was written as an agent does, and gives its metrics.
func reading(t *testing.T, w *written, see func(r *parsers.Record, l line)) map[string]float64 {
	t.Helper()
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	catalogue := exporter.NewCatalogue(registry, 1<<20)
	for _, names := range streams {
		var definitions []*parsers.Definition
		feeders := map[*parsers.Definition]*exporter.Feeder{}
		for _, name := range names {
			definitions = append(definitions, set[name])
			if feeders[set[name]], err = catalogue.Feeder(set[name]); err != nil {
				t.Fatal(err)
			}
		}
		parser, framer := parsers.NewParser(definitions...), definitions[0].NewFramer(1<<20)
		var lines []parsers.Line
		var of []line
		at := int64(0)
		for _, l := range w.lines {
			if slices.Contains(names, l.definition) {
				of = append(of, l)
				for _, text := range bytes.Split(l.text, []byte("\n")) {
					lines = append(lines, parsers.Line{Text: bytes.Clone(text), Start: at, End: at + int64(len(text)) + 1})
					at += int64(len(text)) + 1
				}
			}
		}
		if framer != nil {
			lines, _, _ = framer.Join(nil, lines, nil, true)
		}
		if len(lines) != len(of) {
			t.Errorf("%v have %d records, %d were written", names, len(lines), len(of))
		}
		for i := range lines {
			r := parsers.Record{Line: lines[i].Text, Carried: lines[i].Time, Header: lines[i].Header}
			if err := parser.Parse(&r); err != nil {
				t.Fatalf("%q: %s", lines[i].Text, err)
			}
			feeders[r.Definition].Add(&r)
			see(&r, of[i])
		}
	}
	return gathered(t, registry)
}

// gathered gives counters, and counts of histograms.
func gathered(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := "{" + strings.Join(labels, ",") + "}"
			if h := m.GetHistogram(); h != nil {
				all[f.GetName()+"_count"+key] = float64(h.GetSampleCount())
			} else if !strings.HasPrefix(f.GetName(), "corkline_pipeline_") {
				all[f.GetName()+key] = m.GetCounter().GetValue()
			}
		}
	}
	return all
}

// What the load balancer writes is parsed whole, each line by its definition,
// tells no secret, and adds up to what was counted.
func TestLoadBalancer(t *testing.T) {
	w := play(options(), 600)
	last := map[string]int64{}
	secrets, lines, streamed := 0, map[string]int{}, map[string]float64{}
	got := reading(t, w, func(r *parsers.Record, l line) {
		lines[r.Definition.Name]++
		streamed[streamOf(r)]++
		if r.Definition.Name != l.definition {
			t.Errorf("%s reads a line of %s: %s", r.Definition.Name, l.definition, r.Line)
		}
		if bytes.Contains(l.text, []byte(simulation.Secret)) {
			secrets++
		}
		if bytes.Contains(r.Line, []byte(simulation.Secret)) {
			t.Errorf("a secret is shown: %s", r.Line)
		}
		if second := r.Time/1e9 - options().Start.Unix(); second != int64(l.second) {
			t.Errorf("second %d has a line of second %d: %s", l.second, second, r.Line)
		}
		if r.Time < last[l.definition] {
			t.Errorf("time goes back: %s", r.Line)
		}
		last[l.definition] = r.Time
	})
	if secrets == 0 {
		t.Error("there was nothing to redact")
	}
	for _, stream := range streams {
		for _, name := range stream {
			t.Logf("%s: %d lines", name, lines[name])
			if lines[name] == 0 {
				t.Errorf("no line of %s", name)
			}
		}
	}
	maps.Copy(got, streamed)
	zero := func(_ string, n float64) bool { return n == 0 }
	// Sums of seconds are rounded at every step.
	if diff := cmp.Diff(got, w.counts, cmpopts.IgnoreMapEntries(zero), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("counts (-of the agent +of the simulation):\n%s", diff)
	}
}

// streamOf gives a record's stream: the definition, and the labels that any of
// its source has.
func streamOf(r *parsers.Record) string {
	names := []string{"level", "operator"}
	if strings.HasPrefix(r.Definition.Name, "avi-") {
		names = []string{"code_class", "level", "protocol", "rcode", "status"}
	}
	labels := r.Result(time.Time{}).StreamLabels
	for i, name := range names {
		names[i] = fmt.Sprintf("%s=%q", name, labels[name])
	}
	return r.Definition.Name + "{" + strings.Join(names, ",") + "}"
}

// Equal options give equal bytes.
func TestLoadBalancer_Same(t *testing.T) {
	text := func(o simulation.Options) string {
		var all strings.Builder
		w := play(o, 300)
		for _, l := range w.lines {
			fmt.Fprintf(&all, "%s %s\n", l.definition, l.text)
		}
		for _, key := range slices.Sorted(maps.Keys(w.counts)) {
			fmt.Fprintf(&all, "%s %v\n", key, w.counts[key])
		}
		return all.String()
	}
	o := options()
	one := text(o)
	if text(o) != one {
		t.Error("equal options give other lines")
	}
	if o.Seed++; text(o) == one {
		t.Error("another seed gives the same lines")
	}
}

// Each story leaves its marks, and an ordinary day has none of them.
func TestLoadBalancer_Stories(t *testing.T) {
	counts := func(rate float64, stories ...simulation.Story) map[string]float64 {
		o := options()
		o.Rate, o.Stories = rate, append([]simulation.Story{}, stories...)
		return play(o, 500).counts
	}
	count := func(counts map[string]float64, mark string) (n float64) {
		for key, value := range counts {
			if strings.Contains(key, mark) {
				n += value
			}
		}
		return n
	}
	for _, rate := range []float64{0.2, 2} {
		ordinary := counts(rate)
		f := func(story simulation.Story, marks ...string) {
			t.Helper()
			told := counts(rate, story)
			for _, mark := range marks {
				if n := count(ordinary, mark); n != 0 {
					t.Errorf("rate %v: an ordinary day has %v of %s", rate, n, mark)
				}
				if count(told, mark) == 0 {
					t.Errorf("rate %v: %s has none of %s", rate, story, mark)
				}
			}
		}
		f(simulation.WAFAttack, "corkline_virtualservice_missing_logs_total", "log_throttled_seconds", `status="REJECTED"`, `event="SE_CPU_HIGH"`)
		f(simulation.SiteDown, `event="GS_MEMBER_DOWN"`, `event="GS_MEMBER_UP"`, `level="ERROR",object_kind="admin",operator="amko"`)
		f(simulation.DefaultDeny, "ADF_SERVER_UNANSWERED_SYNS", "ADF_LOAD_BALANCING_FAILED", `event="VS_DOWN"`, `event="VS_UP"`)
		f(simulation.Scaling, `level="ERROR",object_kind="admin",operator="ako"`)
		f(simulation.SlowMember, "ADF_SERVER_CONN_TIMEDOUT", `event="SERVER_DOWN"`, `event="SERVER_UP"`)
	}
}

// Sites are answered by their weights, also those that are left.
func TestLoadBalancer_Weights(t *testing.T) {
	f := func(stories []simulation.Story, from, to int, want ...float64) {
		t.Helper()
		o := options()
		o.Stories = stories
		before, after := play(o, from).counts, play(o, to).counts
		var answers []float64
		sum := 0.0
		for _, s := range simulation.Sites() {
			key := fmt.Sprintf("corkline_dns_site_answers_total{gslbservice=%q,site=%q}", simulation.GSLBService, s.Name)
			answers = append(answers, after[key]-before[key])
			sum += after[key] - before[key]
		}
		for i := range answers {
			answers[i] /= sum
		}
		if diff := cmp.Diff(want, answers, cmpopts.EquateApprox(0, 0.01)); diff != "" {
			t.Errorf("from second %d to %d (-want +got):\n%s", from, to, diff)
		}
	}
	f([]simulation.Story{}, 0, 600, 0.6, 0.3, 0.1)
	f([]simulation.Story{simulation.SiteDown}, 200, 400, 0, 0.75, 0.25)
	f([]simulation.Story{simulation.SiteDown}, 415, 600, 0.6, 0.3, 0.1)
}

// discard counts the bytes of lines.
type discard struct{ bytes int64 }

func (d *discard) Line(_ string, text []byte)   { d.bytes += int64(len(text)) }
func (d *discard) Count(_, _ string, _ float64) {}

// BenchmarkLoadBalancer makes seconds of a busy day.
func BenchmarkLoadBalancer(b *testing.B) {
	o := options()
	o.Rate = 10
	out := &discard{}
	parts, second := simulation.LoadBalancer(o), 0
	b.ReportAllocs()
	for b.Loop() {
		m := o.At(second)
		for _, p := range parts {
			p.Second(m, out)
		}
		second++
	}
	b.SetBytes(out.bytes / int64(b.N))
}
