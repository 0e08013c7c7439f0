package samples_test

import (
	"bytes"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/corkline/corkline/samples"
	"github.com/google/go-cmp/cmp"
)

func generate(o samples.Options, n int) ([]byte, map[samples.Key]samples.Total) {
	g := samples.NewGenerator(o)
	var log []byte
	for range n {
		log = g.Next(log)
	}
	return log, g.Totals()
}

func TestGeneratorIsDecidedByItsSeed(t *testing.T) {
	a, totals := generate(samples.Options{Seed: 7}, 1000)
	b, again := generate(samples.Options{Seed: 7}, 1000)
	if !bytes.Equal(a, b) {
		t.Error("equal seeds gave different lines")
	}
	if diff := cmp.Diff(totals, again); diff != "" {
		t.Errorf("equal seeds gave different totals:\n%s", diff)
	}
	if c, _ := generate(samples.Options{Seed: 8}, 1000); bytes.Equal(a, c) {
		t.Error("different seeds gave equal lines")
	}
}

func TestGeneratorKeepsToItsLayout(t *testing.T) {
	for _, want := range samples.Layouts() {
		log, _ := generate(samples.Options{Layouts: []string{want}}, 500)
		for _, line := range lines(log) {
			if got := layoutOf(line); got != want {
				t.Fatalf("got layout %q, want %q: %s", got, want, line)
			}
		}
	}
}

func TestGeneratorMixesLayouts(t *testing.T) {
	want := []string{"0.11", "1.6", "1.12"}
	log, totals := generate(samples.Options{Layouts: want}, 2000)
	var got []string
	for _, line := range lines(log) {
		if name := layoutOf(line); !slices.Contains(got, name) {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("layouts (-want +got):\n%s", diff)
	}
	var sum uint64
	for key, total := range totals {
		sum += total.Lines
		if key.Direction != "" {
			t.Errorf("%+v has a direction, which these layouts lack", key)
		}
	}
	if sum != 2000 {
		t.Errorf("totals hold %d lines, want 2000", sum)
	}
}

func TestGeneratorTimesIncrease(t *testing.T) {
	const n, step = 10_000, 300 * time.Microsecond
	start := time.Date(2024, 2, 28, 23, 59, 59, 0, time.FixedZone("", 3600))
	log, _ := generate(samples.Options{Start: start, Step: step}, n)
	last := start
	for _, line := range lines(log) {
		at, err := time.Parse("2006/01/02 15:04:05.000000", string(line[:26]))
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

// The newest layout is counted again, from the lines alone.
func TestGeneratorTotals(t *testing.T) {
	const n = 8_000
	log, got := generate(samples.Options{Seed: 1}, n)
	re := layouts[0].re
	field := func(m [][]byte, name string) string {
		if v := string(m[re.SubexpIndex(name)]); v != "<nil>" {
			return v
		}
		return ""
	}
	want := map[samples.Key]samples.Total{}
	actions := map[string]int{}
	for _, line := range lines(log) {
		m := re.FindSubmatch(line)
		if m == nil {
			t.Fatalf("not of the newest layout: %s", line)
		}
		packets := uint64(1)
		if s := field(m, "packets"); s != "" {
			packets, _ = strconv.ParseUint(s, 10, 64)
		}
		key := samples.Key{
			Policy: field(m, "policy"), Rule: field(m, "rule"),
			Direction: field(m, "direction"), Action: field(m, "action"),
		}
		total := want[key]
		total.Lines++
		total.Packets += packets
		want[key] = total
		actions[key.Action]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	for action, share := range map[string]int{"Allow": 28, "Drop": 8, "Reject": 4, "Pass": 1, "Redirect": 1} {
		if want := n * share / 42; actions[action] < want*8/10 || actions[action] > want*12/10 {
			t.Errorf("%d lines %s, want about %d", actions[action], action, want)
		}
	}
}

func TestGeneratorDoesNotAllocate(t *testing.T) {
	g := samples.NewGenerator(samples.Options{Layouts: samples.Layouts()})
	line := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(1000, func() { line = g.Next(line[:0]) }); n != 0 {
		t.Errorf("%v allocations a line, want none", n)
	}
}

func BenchmarkGenerator(b *testing.B) {
	for _, layout := range samples.Layouts() {
		b.Run(layout, func(b *testing.B) {
			g := samples.NewGenerator(samples.Options{Layouts: []string{layout}})
			line := make([]byte, 0, 512)
			var size int
			b.ReportAllocs()
			for b.Loop() {
				line = g.Next(line[:0])
				size += len(line)
			}
			b.SetBytes(int64(size / b.N))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
