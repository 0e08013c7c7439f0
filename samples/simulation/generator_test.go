package simulation_test

import (
	"testing"
	"time"

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

func TestGenerator_DoesNotAllocate(t *testing.T) {
	for _, name := range simulation.Definitions(true) {
		g := generator(t, simulation.Log{Definition: name})
		line := make([]byte, 0, 64<<10)
		for range 20_000 { // all texts are kept
			line = g.Next(line[:0])
		}
		n := testing.AllocsPerRun(2000, func() { line = g.Next(line[:0]) })
		t.Log(name, n)
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
		f("antrea-networkpolicy/"+layout, simulation.Log{Layouts: []string{layout}, Step: time.Microsecond})
	}
	for _, name := range simulation.Definitions(true)[1:] {
		f(name, simulation.Log{Definition: name, Step: 20 * time.Microsecond})
	}
}
