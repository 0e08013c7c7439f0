package simulation_test

import (
	"testing"
	"time"

	"github.com/corkline/corkline/samples/simulation"
)

func TestOptions_At(t *testing.T) {
	o := simulation.Options{Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	most, told := 0, map[simulation.Story]bool{}
	for second := range 600 {
		m := o.At(second)
		most = max(most, m.Replicas)
		for _, s := range simulation.Stories() {
			if _, ok := m.Told(s); ok {
				told[s] = true
			}
		}
	}
	if first, last := o.At(0), o.At(599); first.Replicas != 1 || most != 100 || last.Replicas != 1 || len(told) != len(simulation.Stories()) {
		t.Errorf("replicas go %d, %d, %d; told are %v", first.Replicas, most, last.Replicas, told)
	}
	o.Stories = []simulation.Story{}
	for second := range 600 {
		if m := o.At(second); m.Replicas != 1 {
			t.Fatalf("without stories there are %d replicas", m.Replicas)
		}
	}
}
