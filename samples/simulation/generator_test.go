package simulation_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/simulation"
)

func generator(t testing.TB, log simulation.Log) *simulation.Generator {
	t.Helper()
	g, err := simulation.NewGenerator(log)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// generate n records at least: until none is left that is counted already.
func generate(t testing.TB, log simulation.Log, n int) (records []string, totals map[simulation.Series]float64) {
	t.Helper()
	g := generator(t, log)
	for i := 0; i < n || g.Rest() > 0; i++ {
		records = append(records, string(g.Next(nil)))
	}
	return records, g.Totals()
}

// parsed lets the definition read records as an agent does, and gives what it
// counts, with streams.
func parsed(t *testing.T, definition string, records []string, see func(*parsers.Record)) map[string]float64 {
	t.Helper()
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	feeder, err := exporter.NewCatalogue(registry, 1<<20).Feeder(set[definition])
	if err != nil {
		t.Fatal(err)
	}
	parser, framer := set[definition].NewParser(), set[definition].NewFramer(1<<20)
	var lines []parsers.Line
	for _, record := range records {
		for text := range strings.Lines(record) {
			lines = append(lines, parsers.Line{Text: []byte(strings.TrimSuffix(text, "\n"))})
		}
	}
	if framer != nil {
		lines, _, _ = framer.Join(nil, lines, nil, true)
	}
	if len(lines) != len(records) {
		t.Fatalf("%s has %d records, %d were made", definition, len(lines), len(records))
	}
	parser.Refer(time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	streams := map[string]float64{}
	for _, line := range lines {
		r := parsers.Record{Line: line.Text, Carried: line.Time, Header: line.Header}
		if err := parser.Parse(&r); err != nil {
			t.Fatalf("%s: %q: %s", definition, line.Text, err)
		}
		feeder.Add(&r)
		var labels []string
		for name, value := range r.Result(time.Time{}).StreamLabels {
			labels = append(labels, fmt.Sprintf("%s=%q", name, value))
		}
		slices.Sort(labels)
		streams[definition+"{"+strings.Join(labels, ",")+"}"]++
		see(&r)
	}
	counts := gathered(t, registry)
	maps.Copy(counts, streams)
	return counts
}

// plain gives totals as parsed does: labels in order, streams without those that
// are empty.
func plain(totals map[simulation.Series]float64) map[string]float64 {
	label := regexp.MustCompile(`\w+="[^"]*"`)
	all := map[string]float64{}
	for series, n := range totals {
		labels := label.FindAllString(series.Labels, -1)
		if !strings.HasPrefix(series.Metric, parsers.Prefix) {
			labels = slices.DeleteFunc(labels, func(l string) bool { return strings.HasSuffix(l, `=""`) })
		}
		slices.Sort(labels)
		all[series.Metric+"{"+strings.Join(labels, ",")+"}"] += n
	}
	return all
}

// Records of every log, by several seeds and steps and in the layouts of all
// eras, are parsed in full by their definition, come once, do not go back in
// time, and add up to what the agent counts.
func TestGenerator(t *testing.T) {
	f := func(log simulation.Log, n int) {
		t.Helper()
		records, totals := generate(t, log, n)
		seen := map[string]bool{}
		for _, record := range records {
			if seen[record] {
				t.Errorf("%s: twice: %s", log.Definition, record)
			}
			seen[record] = true
		}
		last, layouts := int64(0), map[string]int{}
		got := parsed(t, log.Definition, records, func(r *parsers.Record) {
			if r.Time < last {
				t.Errorf("%s: time goes back: %s", log.Definition, r.Line)
			}
			last = r.Time
			layouts[r.Layout.Name]++
		})
		// Sums of seconds are rounded at every step.
		zero := cmpopts.IgnoreMapEntries(func(_ string, n float64) bool { return n == 0 })
		if diff := cmp.Diff(got, plain(totals), zero, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("%+v: counts (-of the agent +of the generator):\n%s", log, diff)
		}
		for _, name := range log.Layouts {
			if layouts[name] < n/len(log.Layouts)/2 {
				t.Errorf("%d of %d lines have the layout %s", layouts[name], n, name)
			}
			delete(layouts, name)
		}
		if len(log.Layouts) > 0 && len(layouts) > 0 {
			t.Errorf("lines have other layouts: %v", layouts)
		}
	}
	for seed := range uint64(3) {
		for _, name := range simulation.Definitions(true) {
			f(simulation.Log{Definition: name, Seed: seed, Step: []time.Duration{0, time.Microsecond, 700 * time.Millisecond}[seed]}, 1500)
		}
		f(simulation.Log{Definition: "antrea-networkpolicy", Seed: seed, Layouts: simulation.Layouts()}, 6000)
	}
	for _, layout := range simulation.Layouts() {
		f(simulation.Log{Definition: "antrea-networkpolicy", Layouts: []string{layout}}, 1000)
	}
	f(simulation.Log{Definition: "antrea-networkpolicy", Layouts: []string{"0.11", "1.6", "1.12"}}, 2000)
}

func TestGenerator_IsDecidedByItsSeed(t *testing.T) {
	for _, name := range simulation.Definitions(true) {
		log := simulation.Log{Definition: name, Seed: 7}
		one, totals := generate(t, log, 500)
		other, again := generate(t, log, 500)
		if !slices.Equal(one, other) || !maps.Equal(totals, again) {
			t.Errorf("%s: equal seeds give other lines or totals", name)
		}
		if log.Seed++; slices.Equal(one, first(generate(t, log, 500))) {
			t.Errorf("%s: different seeds give equal lines", name)
		}
	}
}

func first(records []string, _ map[simulation.Series]float64) []string { return records }

// Times increase by the step in the mean, from the start on.
func TestGenerator_Times(t *testing.T) {
	f := func(step time.Duration) {
		t.Helper()
		const n = 10_000
		start := time.Date(2024, 2, 28, 23, 59, 59, 0, time.FixedZone("", 3600))
		last := start
		for _, line := range first(generate(t, simulation.Log{Start: start, Step: step}, n)) {
			at, err := time.Parse("2006/01/02 15:04:05.000000", line[:26])
			if err != nil {
				t.Fatal(err)
			}
			if !at.After(last) {
				t.Fatalf("%s does not follow %s", at, last)
			}
			last = at
		}
		if mean := last.Sub(start) / n; mean < step*95/100 || mean > step*105/100 {
			t.Errorf("mean step %s, want about %s", mean, step)
		}
	}
	f(time.Microsecond)
	f(300 * time.Microsecond)
	f(3 * time.Second)
}

// Lines have what rules decide, about as often as rules are asked, and addresses
// of both families.
func TestGenerator_Actions(t *testing.T) {
	const n = 8000
	records, totals := generate(t, simulation.Log{Seed: 1}, n)
	for action, least := range map[string]float64{"Allow": 0.6, "Drop": 0.05, "Reject": 0.005, "Pass": 0.01, "Redirect": 0.005} {
		if got := totals[simulation.Series{Metric: "corkline_networkpolicy_log_lines_total", Labels: fmt.Sprintf("action=%q", action)}]; got < n*least {
			t.Errorf("%v of %d lines have %s, want %v at least", got, n, action, n*least)
		}
	}
	text := strings.Join(records, "")
	for what, least := range map[string]int{" 2001:db8:": n / 20, " <nil> 203.0.113.": 0, " packets in ": n / 40, " ICMP ": 20, " IPv6-ICMP ": 20, " SCTP ": 20, " <nil>\n": n / 4} {
		if got := strings.Count(text, what); got < least {
			t.Errorf("%d times %q, want %d at least", got, what, least)
		}
	}
}

func TestNewGenerator_Faults(t *testing.T) {
	f := func(log simulation.Log, want string) {
		t.Helper()
		if _, err := simulation.NewGenerator(log); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", log, err, want)
		}
	}
	f(simulation.Log{Definition: "hubble"}, `make lines of "hubble": there is no such log`)
	f(simulation.Log{Layouts: []string{"2.0"}}, `make lines of antrea-networkpolicy: there is no layout "2.0"`)
	f(simulation.Log{Definition: "ako", Layouts: []string{"1.13"}}, `make lines of ako: there is no layout "1.13"`)
}

func TestGenerator_DoesNotAllocate(t *testing.T) {
	for _, name := range simulation.Definitions(true) {
		g := generator(t, simulation.Log{Definition: name, Layouts: map[string][]string{"antrea-networkpolicy": simulation.Layouts()}[name]})
		line := make([]byte, 0, 64<<10)
		for range 5000 { // buffers grow, and texts are kept
			line = g.Next(line[:0])
		}
		if n := testing.AllocsPerRun(1000, func() { line = g.Next(line[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations a line, want none", name, n)
		}
	}
}

func BenchmarkGenerator(b *testing.B) {
	f := func(name string, log simulation.Log) {
		b.Run(name, func(b *testing.B) {
			g := generator(b, log)
			line := make([]byte, 0, 64<<10)
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				line = g.Next(line[:0])
				size += len(line)
			}
			b.SetBytes(int64(size / b.N))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
	for _, layout := range simulation.Layouts() {
		f("antrea-networkpolicy/"+layout, simulation.Log{Layouts: []string{layout}})
	}
	for _, name := range simulation.Definitions(true)[1:] {
		f(name, simulation.Log{Definition: name})
	}
}

// FuzzGenerator holds that all logs are parsed, whatever was asked for.
func FuzzGenerator(f *testing.F) {
	f.Add(uint8(0), uint64(1), int64(0), int64(0), uint8(0))
	f.Add(uint8(7), uint64(3), int64(1<<40), int64(1), uint8(3))
	set, err := parsers.Shipped()
	if err != nil {
		f.Fatal(err)
	}
	names := simulation.Definitions(true)
	f.Fuzz(func(t *testing.T, name uint8, seed uint64, start, step int64, layout uint8) {
		log := simulation.Log{Definition: names[int(name)%len(names)], Seed: seed, Step: time.Duration(step % int64(time.Hour))}
		log.Start = time.Unix(start%(1<<33), 0)
		if log.Start.Year() < 1000 || log.Start.Year() > 9000 {
			return
		}
		if log.Definition == "antrea-networkpolicy" {
			log.Layouts = []string{simulation.Layouts()[int(layout)%6]}
		}
		g := generator(t, log)
		d := set[log.Definition]
		parser, framer := d.NewParser(), d.NewFramer(1<<20)
		parser.Refer(log.Start.UnixNano())
		for range 20 {
			lines := []parsers.Line{{Text: bytes.TrimSuffix(g.Next(nil), []byte("\n"))}}
			if framer != nil {
				text := bytes.Split(lines[0].Text, []byte("\n"))
				lines = lines[:0]
				for _, line := range text {
					lines = append(lines, parsers.Line{Text: line})
				}
				lines, _, _ = framer.Join(nil, lines, nil, true)
			}
			for _, line := range lines {
				r := parsers.Record{Line: line.Text, Carried: line.Time, Header: line.Header}
				if err := parser.Parse(&r); err != nil {
					t.Fatalf("%+v: %q: %s", log, line.Text, err)
				}
			}
		}
	})
}
