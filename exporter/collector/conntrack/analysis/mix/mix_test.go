package mix_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis/mix"
)

// A flow has as many entries as begin within their lives.
func TestFlow(t *testing.T) {
	to := mix.Target{Address: "10.96.0.1", Port: 53, Protocol: analysis.UDP}
	f := func(name string, want int, at time.Duration, change func(*mix.Flow)) {
		t.Helper()
		flow := mix.Clients(1, to, mix.Pods, 100, 10, mix.SilentDatagram())
		flow.From = time.Minute
		if change != nil {
			change(&flow)
		}
		if got := len(flow.Append(nil, at)); math.Abs(float64(got-want)) > 1 {
			t.Errorf("%s: %d entries at %s, want %d", name, got, at, want)
		}
	}
	f("before", 0, 59*time.Second, nil)
	f("begins", 50, 65*time.Second, nil)
	f("goes on", 300, time.Hour, nil)
	f("ends", 200, time.Hour, func(f *mix.Flow) { f.Until = time.Hour - 10*time.Second })
	f("ended", 0, time.Hour, func(f *mix.Flow) { f.Until = time.Hour - 31*time.Second })
	f("a wave's mean", 300, 61*time.Minute, func(f *mix.Flow) { f.Wave, f.Period = 0.5, 30*time.Second })
	f("a wave's height", 300+95, 60*time.Minute+30*time.Second, func(f *mix.Flow) { f.Wave, f.Period = 0.5, 60*time.Second })
}

// A connection is the same in each poll that finds it, as far as it does not
// change, and tables can be made again.
func TestMixIsTheSameAgain(t *testing.T) {
	m := slices.Concat(mix.Web(1, 20), mix.DNS(2, 20), mix.Gateway(3, 20))
	first, again := m.Append(nil, time.Hour), m.Append(nil, time.Hour)
	if !slices.Equal(first, again) {
		t.Error("the same table is another one")
	}
	kept := map[analysis.Entry]bool{}
	for _, e := range first {
		e.State, e.Status = 0, 0
		kept[e] = true
	}
	found := 0
	for _, e := range m.Append(nil, time.Hour+10*time.Second) {
		e.State, e.Status = 0, 0
		if kept[e] {
			found++
		}
	}
	if found < len(first)*3/4 {
		t.Errorf("of %d entries %d are found again ten seconds later", len(first), found)
	}
}
