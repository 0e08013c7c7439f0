package exporter

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/corkline/corkline/parsers"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// parse a definition of this name.
func parse(t testing.TB, name, text string) *parsers.Definition {
	t.Helper()
	d, faults := parsers.ParseDefinition(name+".yaml", []byte("name: "+name+text))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	for i := range d.Metrics {
		if m := &d.Metrics[i]; m.Buckets != nil {
			m.Type = parsers.Histogram // which Compile leaves out
		}
	}
	return d
}

// define a format "word number" under a name, with these metrics.
func define(t testing.TB, name, metrics string) *parsers.Definition {
	t.Helper()
	return parse(t, name, `
layouts: [{name: plain, regex: '^(?P<word>\S*) (?P<number>\S*)$'}]
numbers: [number]
metrics: [`+metrics+`]
`)
}

func feederOf(t testing.TB, c *Catalogue, d *parsers.Definition) func(lines ...string) {
	t.Helper()
	feeder, err := c.Feeder(d)
	if err != nil {
		t.Fatal(err)
	}
	parser := d.NewParser()
	return func(lines ...string) {
		t.Helper()
		for _, line := range lines {
			r := parsers.Record{Line: []byte(line)}
			if err := parser.Parse(&r); err != nil {
				t.Fatalf("%q: %s", line, err)
			}
			feeder.Add(&r)
		}
	}
}

// holds compares a registry with what is wanted, in the exposition format.
func holds(t *testing.T, registry *prometheus.Registry, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestCatalogue_Cap(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := NewCatalogue(registry, 2)
	d := define(t, "words", `{name: words_total, type: counter, add: number, labels: [word], help: Words.}`)
	add := feederOf(t, c, d)
	add("a 1", "b 2", "c 4", "d 8", "a 16", "c 32")
	// The cap is the family's, not the feeder's.
	feederOf(t, c, d)("e 64", "b 128", "overflow 256")
	holds(t, registry, `
# HELP corkline_words_total Words.
# TYPE corkline_words_total counter
corkline_words_total{word="a"} 17
corkline_words_total{word="b"} 130
corkline_words_total{word="overflow"} 364
# HELP corkline_pipeline_series_capped_total Additions that went to a family's overflow series since the family had reached its cap (max_series); gaps and throttled seconds of such label sets are not counted.
# TYPE corkline_pipeline_series_capped_total counter
corkline_pipeline_series_capped_total{family="corkline_words_total"} 5
`)
}

// The cap counts time series: a label set of a histogram with two buckets is
// five of them. What the cap cuts off is summed up, but is no sequence.
func TestCatalogue_CapByKind(t *testing.T) {
	f := func(maxSeries int, metric, capped string, want ...string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		add := feederOf(t, NewCatalogue(registry, maxSeries), define(t, "words", "{"+metric+", help: H.}"))
		add("a 1", "b 1", "c 1", "d 1", "a 4", "b 4", "c 4", "d 4")
		got := samplesOf(exposition(t, registry))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("max_series %d, %s (-want +got):\n%s", maxSeries, metric, diff)
		}
		holds(t, registry, `
# HELP corkline_pipeline_series_capped_total Additions that went to a family's overflow series since the family had reached its cap (max_series); gaps and throttled seconds of such label sets are not counted.
# TYPE corkline_pipeline_series_capped_total counter
corkline_pipeline_series_capped_total`+capped+"\n", "corkline_pipeline_series_capped_total")
	}
	histogram := func(word string, one, all, sum int) []string {
		return []string{
			fmt.Sprintf(`s_bucket{word=%q,le="1"} %d`, word, one),
			fmt.Sprintf(`s_bucket{word=%q,le="2"} %d`, word, one),
			fmt.Sprintf(`s_bucket{word=%q,le="+Inf"} %d`, word, all),
			fmt.Sprintf(`s_sum{word=%q} %d`, word, sum),
			fmt.Sprintf(`s_count{word=%q} %d`, word, all),
		}
	}
	const s = "name: s, type: histogram, observe: number, buckets: [1, 2], labels: [word]"
	f(20, s, `{family="corkline_s"} 0`, slices.Concat(histogram("a", 1, 2, 5), histogram("b", 1, 2, 5), histogram("c", 1, 2, 5), histogram("d", 1, 2, 5))...)
	f(19, s, `{family="corkline_s"} 2`, slices.Concat(histogram("a", 1, 2, 5), histogram("b", 1, 2, 5), histogram("c", 1, 2, 5), histogram("overflow", 1, 2, 5))...)
	f(10, s, `{family="corkline_s"} 4`, slices.Concat(histogram("a", 1, 2, 5), histogram("b", 1, 2, 5), histogram("overflow", 2, 4, 10))...)
	f(1, s, `{family="corkline_s"} 6`, slices.Concat(histogram("a", 1, 2, 5), histogram("overflow", 3, 6, 15))...)
	f(2, "name: s_total, type: counter, gaps: number, labels: [word]", `{family="corkline_s_total"} 4`,
		`s_total{word="a"} 2`, `s_total{word="b"} 2`, `s_total{word="overflow"} 0`)
	f(1, "name: s_total, type: counter, gaps: number", `{family="corkline_s_total"} 0`, "s_total 2")
}

// Many goroutines may feed one family, and the cap holds.
func TestCatalogue_Parallel(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := NewCatalogue(registry, 10)
	d := visits(t, `
  {name: a_total, type: counter, labels: [site], help: H.},
  {name: b_seconds, type: histogram, labels: [site], observe: ms, buckets: [1, 2], help: H.},
  {name: c_total, type: counter, labels: [code], gaps: id, help: H.},
  {name: d_total, type: counter, labels: [code], seconds_at: 3, help: H.}
`)
	const feeders, records = 4, 200
	var wait sync.WaitGroup
	for g := range feeders {
		feeder, err := c.Feeder(d)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			parser := d.NewParser()
			for i := range records {
				r := parsers.Record{Line: fmt.Appendf(nil, "2026-11-21 10:00:00.000;w%d;c;;1;7", (i*7+g)%40)}
				if err := parser.Parse(&r); err != nil {
					t.Error(err)
				}
				feeder.Add(&r)
			}
		})
	}
	wait.Wait()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]float64{} // series and what they add up to
	for _, f := range families {
		sum := []float64{0, 0}
		for _, m := range f.Metric {
			sum[0]++
			sum[1] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
		got[f.GetName()] = sum
	}
	delete(got, "corkline_pipeline_series_capped_total")
	want := map[string][]float64{
		"corkline_a_total":   {10 + 1, feeders * records},
		"corkline_b_seconds": {2 + 1, feeders * records},
		"corkline_c_total":   {1, 0},
		"corkline_d_total":   {1, 1}, // one second, whoever has its third record
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series and sums (-want +got):\n%s", diff)
	}
}

func TestFeeder_Amounts(t *testing.T) {
	f := func(metric, want string, lines ...string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		feederOf(t, NewCatalogue(registry, 100), define(t, "words", metric))(lines...)
		holds(t, registry, "# HELP corkline_words_total Words.\n# TYPE corkline_words_total counter\n"+want, "corkline_words_total")
	}
	lines := []string{"a 2", "a 0.5", "a 1e1", "a -3", "a NaN", "a Inf", "a many", "a ", " 007"}
	f(`{name: words_total, type: counter, help: Words.}`, "corkline_words_total 9\n", lines...)
	f(`{name: corkline_words_total, type: counter, labels: [word], help: Words.}`,
		`corkline_words_total{word=""} 1`+"\n"+`corkline_words_total{word="a"} 8`+"\n", lines...)
	// A number below 0 adds nothing; what is no number counts as the default.
	f(`{name: words_total, type: counter, add: number, help: Words.}`, "corkline_words_total 23.5\n", lines...)
	f(`{name: words_total, type: counter, add: number, default: 0, help: Words.}`, "corkline_words_total 19.5\n", lines...)
	f(`{name: words_total, type: counter, add: number, default: 100, labels: [word, number], help: Words.}`,
		`corkline_words_total{number="",word=""} 100`+"\n"+`corkline_words_total{number="x",word=""} 100`+"\n", " ", " x")
}

func TestCatalogue_SameFamily(t *testing.T) {
	// f feeds two definitions that have the metrics in common.
	f := func(one, two, lines string, want ...string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		c := NewCatalogue(registry, 100)
		first, second := feederOf(t, c, define(t, "one", one)), feederOf(t, c, define(t, "two", two))
		for i, line := range strings.Split(lines, ", ") {
			[]func(...string){first, second}[i%2](line)
		}
		if diff := cmp.Diff(want, samplesOf(exposition(t, registry))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const counter = `{name: s_total, type: counter, labels: [word], help: H.}`
	f(counter, counter, "a 1, a 1, b 1, c 1", `s_total{word="a"} 2`, `s_total{word="b"} 1`, `s_total{word="c"} 1`)
	f(counter, `{name: s_total, type: counter, add: number, labels: [word], help: H.}`, "a 5, a 7", `s_total{word="a"} 8`)
	// The order of labels is no difference.
	f(`{name: s_total, type: counter, labels: [word, number], help: H.}`, `{name: s_total, type: counter, labels: [number, word], help: H.}`, "a 1, a 1, 1 a", `s_total{number="1",word="a"} 2`, `s_total{number="a",word="1"} 1`)
	const histogram = `{name: s, type: histogram, observe: number, buckets: [1], help: H.}`
	f(histogram, histogram, "a 1, a 2", `s_bucket{le="1"} 1`, `s_bucket{le="+Inf"} 2`, "s_sum 3", "s_count 2")
	// A label set is one sequence, whoever reads it.
	const gaps = `{name: s_total, type: counter, gaps: number, labels: [word], help: H.}`
	f(gaps, gaps, "a 1, a 2, a 4, a 5", `s_total{word="a"} 1`)
}

func TestCatalogue_Conflict(t *testing.T) {
	f := func(first, second, want string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		c := NewCatalogue(registry, 100)
		add := feederOf(t, c, define(t, "one", first))
		_, err := c.Feeder(define(t, "two", second))
		if err == nil {
			t.Fatalf("%s: no error", second)
		}
		if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: want the error\n%s, got\n%s", second, want, err)
		}
		add("a 1") // the first goes on
		if got := samplesOf(exposition(t, registry)); len(got) == 0 {
			t.Errorf("%s: the first definition's metric is gone", second)
		}
	}
	const counter = `{name: words_total, type: counter, labels: [word], help: Words.}`
	const of = `metric corkline_words_total of definition "two": `
	f(counter, `{name: words_total, type: counter, labels: [word], help: Other words.}`, of+`help "Other words." differs from "Words." of definition "one"`)
	f(counter, `{name: words_total, type: counter, labels: [number], help: Words.}`, of+`labels [number] differ from [word] of definition "one"`)
	f(counter, `{name: words_total, type: counter, labels: [word, number], help: Words.}`, of+`labels [number word] differ from [word] of definition "one"`)
	f(counter, `{name: words_total, type: counter, help: Words.}`, of+`labels [] differ from [word] of definition "one"`)
	f(counter, `{name: words_total, type: histogram, observe: number, buckets: [1], labels: [word], help: Words.}`, of+`type histogram differs from counter of definition "one"`)
	const histogram = `{name: words, type: histogram, observe: number, buckets: [1, 2.5], help: Words.}`
	f(histogram, `{name: words, type: histogram, observe: number, buckets: [1], help: Words.}`, `metric corkline_words of definition "two": buckets [1] differ from [1 2.5] of definition "one"`)
	f(counter, `{name: pipeline_series_capped_total, type: counter, help: The catalogue's own.}`,
		`metric corkline_pipeline_series_capped_total of definition "two": name corkline_pipeline_series_capped_total is that of a metric of the agent itself; choose another`)
	// Names that histograms take beside their own.
	f(histogram, strings.Replace(histogram, "words", "words_sum", 1), `metric corkline_words_sum of definition "two": name corkline_words_sum ends in _sum, as the series of histograms do`)
	f(histogram, strings.Replace(histogram, "words", "words_count", 1), `metric corkline_words_count of definition "two": name corkline_words_count ends in _count, as the series of histograms do`)
	f(counter, strings.Replace(histogram, "words", "words_bucket", 1), `metric corkline_words_bucket of definition "two": name corkline_words_bucket ends in _bucket, as the series of histograms do`)
}

// What a refused configuration would have is no family yet.
func TestCatalogue_Mismatch(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := NewCatalogue(registry, 100)
	feederOf(t, c, define(t, "one", `{name: words_total, type: counter, labels: [word], help: Words.}`))
	refused := define(t, "two", `{name: new_total, type: counter, help: New.}, {name: words_total, type: counter, help: Words.}`)
	err := c.mismatch(refused)
	if err == nil || err.Error() != `metric corkline_words_total of definition "two": labels [] differ from [word] of definition "one"` {
		t.Errorf("got %v", err)
	}
	if err := c.mismatch(define(t, "one", `{name: words_total, type: counter, labels: [word], help: Words.}`)); err != nil {
		t.Errorf("the same again: %s", err)
	}
	feederOf(t, c, define(t, "two", `{name: new_total, type: counter, labels: [word], help: Newer.}`))
}

// A field that is called le cannot be a histogram's label, but a counter's.
func TestCatalogue_LabelOfBuckets(t *testing.T) {
	f := func(metric, want string) {
		t.Helper()
		d := parse(t, "x", "\nlayouts: [{name: plain, regex: '^(?P<le>\\S*) (?P<number>\\S*)$'}]\nnumbers: [number]\nmetrics: ["+metric+"]\n")
		got := ""
		if _, err := NewCatalogue(prometheus.NewPedanticRegistry(), 100).Feeder(d); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", metric, diff)
		}
	}
	f(`{name: s, type: histogram, observe: number, buckets: [1], labels: [le], help: H.}`, `metric corkline_s of definition "x": labels have le, which is that of a histogram's buckets; name the field differently`)
	f(`{name: s_total, type: counter, labels: [le], help: H.}`, "")
}

func TestFeeder_Allocations(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	c := NewCatalogue(prometheus.NewRegistry(), 100)
	d := set["antrea-networkpolicy"]
	feeder, err := c.Feeder(d)
	if err != nil {
		t.Fatal(err)
	}
	r := parsers.Record{Line: []byte("2024/06/02 10:11:12.000123 AntreaPolicyEgressRule AntreaClusterNetworkPolicy:acnp drop-ext Egress Drop 14500 shop/web-0 192.0.2.10 40001 198.51.100.7 443 TCP 60 <nil> [3 packets in 1.1s]")}
	if err := d.NewParser().Parse(&r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(0.0, testing.AllocsPerRun(1000, func() { feeder.Add(&r) })); diff != "" {
		t.Errorf("allocations for a line (-want +got):\n%s", diff)
	}
}
