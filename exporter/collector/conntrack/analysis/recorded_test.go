package analysis_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// recorded are the kernel's counts of a folder's file, one a line.
func recorded(t *testing.T, name string) (counts []float64, most float64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Fields(string(text)) {
		n, err := strconv.ParseFloat(line, 64)
		if err != nil {
			t.Fatal(err)
		}
		counts, most = append(counts, n), max(most, n)
	}
	return counts, most
}

// What the kernel counted in four minutes, a second each as if it were 15, and
// of a table that is full with the last count, or that they fill to a share.
// tests/conntrack says how they were recorded.
func TestForecastOfRecordings(t *testing.T) {
	const every = 15
	f := func(name string, share float64, alarms bool) {
		t.Helper()
		counts, most := recorded(t, name)
		got := replay(ramp{at: func(at float64) float64 {
			return counts[min(int(at/every), len(counts)-1)] / most * share
		}}, every)
		t.Logf("%s: of %d polls with less than 10 minutes left, %d had a forecast, off by %.0f %% at worst (%s); %d alarms, the first %.0f s before (%s)",
			name, got.near, got.told, 100*got.worst, got.wrong, got.alarms, got.lead, got.how)
		if alarms != (got.alarms > 0) {
			t.Errorf("%s: %d alarms: %s", name, got.alarms, got.how)
		}
		if !alarms {
			return
		}
		if got.near == 0 || got.told*10 < got.near*8 {
			t.Errorf("%s: forecasts in %d of %d polls with less than 10 minutes left", name, got.told, got.near)
		}
		if got.worst > 0.2 {
			t.Errorf("%s: a forecast is off by %.0f %%: %s", name, 100*got.worst, got.wrong)
		}
	}
	f("linear", 1, true)
	f("exponential", 1, true)
	f("sawtooth", highest, false)
	f("flat", highest, false)
	// Recorded after the last change of the judgement.
	f("linear-2", 1, true)
	f("exponential-2", 1, true)
	f("sawtooth-2", highest, false)
	f("flat-2", highest, false)
}
