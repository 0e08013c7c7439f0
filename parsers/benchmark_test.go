package parsers

import (
	"bytes"
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/corkline/corkline/samples"
)

// BenchmarkDefinition parses the records of each definition's sample, layout by
// layout, and apart those ("+") that give an expression of extract a field. An
// operation is some hundred of them. In turn with each it takes what the
// standard library does for less: one match of the layout's own expression
// (x-regexp), or the object that the line holds decoded into a map (x-json).
// Those tell how many times as long that takes: the median over all turns,
// which holds still on a machine that does not.
func BenchmarkDefinition(b *testing.B) {
	set := shippedSet(b)
	for _, name := range set.Names() {
		b.Run(name, func(b *testing.B) {
			d := set[name]
			groups := map[string]*parsed{}
			for _, record := range sampleRecords(b, d) {
				addParsed(b, groups, d, record)
			}
			for _, group := range slices.Sorted(maps.Keys(groups)) {
				b.Run(group, func(b *testing.B) { groups[group].bench(b, d) })
			}
		})
	}
}

// parsed holds records of the same layout.
type parsed struct {
	layout  *Layout
	records []Line
	objects [][]byte // the JSON of those records, if they hold any
}

func addParsed(b testing.TB, groups map[string]*parsed, d *Definition, record Line) {
	b.Helper()
	r := Record{Line: bytes.Clone(record.Text), Carried: record.Time, Header: record.Header}
	parser := d.NewParser()
	parser.Refer(sampleTime)
	if err := parser.Parse(&r); err != nil {
		b.Fatalf("%q: %s", record.Text, err)
	}
	group := r.Layout.Name
	if slices.ContainsFunc(d.steps, func(s step) bool { return s.pattern != nil && extracted(&r, &s) }) {
		group += "+"
	}
	if groups[group] == nil {
		groups[group] = &parsed{layout: r.Layout}
	}
	g := groups[group]
	g.records = append(g.records, record)
	if r.Layout.pattern == nil {
		return
	}
	slots := r.Layout.pattern.re().FindSubmatchIndex(record.Text)
	for _, s := range d.steps {
		for group, field := range r.Layout.fields {
			if s.json != nil && field >= 0 && slices.Contains(s.from, field) && slots[2*group] >= 0 {
				object := record.Text[slots[2*group]:slots[2*group+1]]
				if !json.Valid(object) { // the members of one
					object = slices.Concat([]byte{'{'}, object, []byte{'}'})
				}
				if json.Valid(object) {
					g.objects = append(g.objects, object)
				}
			}
		}
	}
}

// extracted tells whether a record has a field that only the step's expression gives.
func extracted(r *Record, s *step) bool {
	return slices.ContainsFunc(s.groups, func(field int) bool {
		return field >= 0 && len(r.Value(field)) > 0 && !slices.Contains(r.Layout.fields, field)
	})
}

func (p *parsed) bench(b *testing.B, d *Definition) {
	again := newParsing(d)
	parse := func(i int) bool { return again.parse(&p.records[i]) == nil }
	match := func(i int) bool { return p.layout.pattern.re().FindSubmatchIndex(p.records[i].Text) != nil }
	decode := func(i int) bool {
		var object map[string]any
		return json.Unmarshal(p.objects[i], &object) == nil
	}
	size := 0
	for i := range p.records {
		size += len(p.records[i].Text)
	}
	repeat := max(1, 256/len(p.records))
	b.SetBytes(int64(size * repeat))
	b.ReportAllocs()
	var own time.Duration
	ratios := map[string][]float64{}
	for b.Loop() {
		spent := p.pass(b, parse, repeat)
		own += spent
		b.StopTimer()
		if p.layout.pattern != nil {
			ratios["x-regexp"] = append(ratios["x-regexp"], float64(p.pass(b, match, repeat))/float64(spent))
		}
		if len(p.objects) == len(p.records) {
			ratios["x-json"] = append(ratios["x-json"], float64(p.pass(b, decode, repeat))/float64(spent))
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(own)/float64(b.N*repeat*len(p.records)), "ns/record")
	for name, all := range ratios {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], name)
	}
}

// pass gives the time that a function takes for the records, repeated.
func (p *parsed) pass(b *testing.B, f func(i int) bool, repeat int) time.Duration {
	start := time.Now()
	for range repeat {
		for i := range p.records {
			if !f(i) {
				b.Fatalf("%q is not read", p.records[i].Text)
			}
		}
	}
	return time.Since(start)
}

// parsing is what a pipeline has to parse one record after the other.
type parsing struct {
	parser  *Parser
	record  Record
	line    []byte
	redacts bool
}

func newParsing(d *Definition) *parsing {
	p := &parsing{parser: d.NewParser(), redacts: d.secrets != nil, record: Record{Scratch: new(Scratch)}}
	p.parser.Refer(sampleTime)
	return p
}

func (p *parsing) parse(record *Line) error {
	p.record.Line, p.record.Carried, p.record.Header = record.Text, record.Time, record.Header
	if p.redacts { // which changes the line
		p.line = append(p.line[:0], record.Text...)
		p.record.Line = p.line
	}
	p.record.Scratch.Reset()
	return p.parser.Parse(&p.record)
}

// TestDefinition_Allocations holds that no record of a sample needs memory, once
// there is what all of them need.
func TestDefinition_Allocations(t *testing.T) {
	set := shippedSet(t)
	for _, name := range set.Names() {
		records, again := sampleRecords(t, set[name]), newParsing(set[name])
		parse := func(records []Line) func() {
			return func() {
				for i := range records {
					if err := again.parse(&records[i]); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		set[name].alone() // is found out but once
		parse(records)()
		parse(records)()
		for i := range records {
			if n := testing.AllocsPerRun(1, parse(records[i:i+1])); n > 0 {
				t.Errorf("%s: %v allocations for %q", name, n, records[i].Text)
			}
		}
		if n := testing.AllocsPerRun(10, parse(records)); n > 0 {
			t.Errorf("%s: %v allocations for its sample", name, n)
		}
	}
}

// BenchmarkShipped compiles all shipped definitions, and tells how much memory
// they hold.
func BenchmarkShipped(b *testing.B) {
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	compile := func() Set {
		library, faults := compileShipped()
		if len(faults) > 0 {
			b.Fatal(faults)
		}
		return library.Set
	}
	before := heap()
	set := compile()
	held := heap() - before
	b.ReportAllocs()
	for b.Loop() {
		compile()
	}
	b.ReportMetric(float64(held), "held-B")
	runtime.KeepAlive(set)
}

// sampleTime is when the samples without a year are read: 2024-12-31T00:00:00Z.
const sampleTime = 1_735_603_200_000_000_000

func shippedSet(tb testing.TB) Set {
	tb.Helper()
	set, err := Shipped()
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// sampleRecords are the records of a definition's sample.
func sampleRecords(tb testing.TB, d *Definition) []Line {
	tb.Helper()
	text, err := samples.Log(d.Name)
	if err != nil {
		tb.Fatal(err)
	}
	var all []Line
	for _, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		all = append(all, Line{Text: line})
	}
	if framer := d.NewFramer(256 << 10); framer != nil {
		all, _, _ = framer.Join(nil, all, nil, true)
	}
	return all
}
