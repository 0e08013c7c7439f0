package exporter

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/corkline/corkline/parsers"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// define a format "word number" under a name, with one metric.
func define(t testing.TB, name, metric string) *parsers.Definition {
	t.Helper()
	d, faults := parsers.ParseDefinition(name+".yaml", fmt.Appendf(nil, `
name: %s
layouts: [{name: plain, regex: '^(?P<word>\S*) (?P<number>\S*)$'}]
numbers: [number]
metrics: [%s]
`, name, metric))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return d
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
# HELP corkline_pipeline_series_capped_total Additions that went to a family's overflow series since the family had reached its cap (max_series).
# TYPE corkline_pipeline_series_capped_total counter
corkline_pipeline_series_capped_total{family="corkline_words_total"} 5
`)
}

// Many goroutines may feed one family, and the cap holds.
func TestCatalogue_Parallel(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := NewCatalogue(registry, 10)
	d := define(t, "words", `{name: words_total, type: counter, labels: [word], help: Words.}`)
	var wait sync.WaitGroup
	for g := range 4 {
		feeder, err := c.Feeder(d)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			parser := d.NewParser()
			for i := range 100 {
				r := parsers.Record{Line: fmt.Appendf(nil, "w%d 1", (i*7+g)%40)}
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
	series, total := 0, 0.0
	for _, f := range families {
		if f.GetName() == "corkline_words_total" {
			for _, m := range f.Metric {
				series++
				total += m.Counter.GetValue()
			}
		}
	}
	if series != 11 || total != 400 {
		t.Errorf("want 10 series and the overflow with 400 in all, got %d with %v", series, total)
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
	registry := prometheus.NewPedanticRegistry()
	c := NewCatalogue(registry, 100)
	const metric = `{name: words_total, type: counter, labels: [word], help: Words.}`
	feederOf(t, c, define(t, "one", metric))("a 1", "b 1")
	feederOf(t, c, define(t, "two", metric))("a 1", "c 1")
	holds(t, registry, `
# HELP corkline_words_total Words.
# TYPE corkline_words_total counter
corkline_words_total{word="a"} 2
corkline_words_total{word="b"} 1
corkline_words_total{word="c"} 1
`, "corkline_words_total")
}

func TestCatalogue_Conflict(t *testing.T) {
	f := func(second string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		c := NewCatalogue(registry, 100)
		add := feederOf(t, c, define(t, "one", `{name: words_total, type: counter, labels: [word], help: Words.}`))
		if _, err := c.Feeder(define(t, "two", second)); err == nil || !strings.Contains(err.Error(), "corkline_") {
			t.Errorf("%s: error is %v, and names no metric", second, err)
		}
		add("a 1") // the first goes on
		holds(t, registry, "# HELP corkline_words_total Words.\n# TYPE corkline_words_total counter\n"+`corkline_words_total{word="a"} 1`+"\n", "corkline_words_total")
	}
	f(`{name: words_total, type: counter, labels: [word], help: Other words.}`)
	f(`{name: words_total, type: counter, labels: [number], help: Words.}`)
	f(`{name: words_total, type: counter, labels: [word, number], help: Words.}`)
	f(`{name: words_total, type: counter, help: Words.}`)
	f(`{name: pipeline_series_capped_total, type: counter, help: The catalogue's own.}`)
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
