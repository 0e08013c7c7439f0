package analysis_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
)

const limit = 262144

// curve is what share of the limit there is at a time, in seconds.
type curve func(at float64) float64

// ramp is a curve, and what is fair to ask of its forecasts; see replay.
type ramp struct {
	at    curve
	slack float64
	from  float64 // when it begins to fill
}

// kind of ramps, of which some of random parameters are made.
type kind struct {
	name   string
	tries  int
	want   verdict
	random func(r *rand.Rand) ramp
}

// verdict is what is asked of a kind.
type verdict uint8

const (
	exact verdict = iota // it is full at some time: each has an alarm before, and its forecasts are right
	fills                // the same, but that noise makes one forecast in a hundred wrong
	rises                // most have an alarm before, and one forecast in twenty may be wrong
	quiet                // an alarm is false
	open                 // only shown
)

var kinds = []kind{
	{"linear", 100, exact, func(r *rand.Rand) ramp {
		base, quiet, slope := between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 0.00005, 0.0015)
		return ramp{at: func(at float64) float64 { return base + max(0, at-quiet)*slope }, from: quiet}
	}},
	{"linear, noisy", 80, fills, func(r *rand.Rand) ramp {
		base, quiet, slope := between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 0.0002, 0.001)
		deviation := between(r, 0.0005, 0.003)
		noise := noise(r, deviation)
		return ramp{func(at float64) float64 { return base + max(0, at-quiet)*slope + noise(at) }, 3 * deviation / slope, quiet}
	}},
	{"linear from the start", 50, exact, func(r *rand.Rand) ramp {
		base, slope := between(r, 0.01, 0.3), between(r, 0.0001, 0.0004)
		return ramp{at: func(at float64) float64 { return base + at*slope }}
	}},
	{"diurnal, then linear", 50, exact, func(r *rand.Rand) ramp {
		base, wave, phase, slope := between(r, 0.2, 0.3), between(r, 0.05, 0.15), between(r, 0, 2*math.Pi), between(r, 0.0001, 0.001)
		return ramp{at: func(at float64) float64 {
			return base + wave*math.Sin(at*2*math.Pi/86400+phase) + max(0, at-7200)*slope
		}, from: 7200}
	}},
	{"exponential", 100, exact, func(r *rand.Rand) ramp {
		base, quiet, doubles := between(r, 0.05, 0.4), between(r, 600, 3600), between(r, 120, 1800)
		return ramp{at: func(at float64) float64 { return base + 0.01*math.Expm1(max(0, at-quiet)*math.Ln2/doubles) }, from: quiet}
	}},
	{"exponential, noisy", 60, fills, func(r *rand.Rand) ramp {
		base, quiet, doubles := between(r, 0.05, 0.4), between(r, 600, 3600), between(r, 240, 1800)
		deviation := between(r, 0.0005, 0.002)
		noise := noise(r, deviation)
		growth := (1 - base) * math.Ln2 / doubles // when it is full
		return ramp{func(at float64) float64 {
			return base + 0.01*math.Expm1(max(0, at-quiet)*math.Ln2/doubles) + noise(at)
		}, 3 * deviation / growth, quiet}
	}},
	{"saw-tooth on a trend", 60, rises, func(r *rand.Rand) ramp {
		low, period, phase := between(r, 0.05, 0.4), between(r, 120, 3600), between(r, 0, 1)
		height, up, noise := between(r, 0.05, 0.3), between(r, 0.5, 0.98), noise(r, 0.003)
		slope := (1 - low - height) / between(r, 3600, 12000)
		return ramp{at: func(at float64) float64 { return low + slope*at + height*tooth(at/period+phase, up) + noise(at) }, slack: 3 * 0.003 / (slope + height/(up*period))}
	}},
	{"flat", 100, quiet, func(r *rand.Rand) ramp {
		deviation := between(r, 0, 0.02)
		base, noise := between(r, 0.02, 0.98-4*deviation), noise(r, deviation)
		return ramp{at: func(at float64) float64 { return base + noise(at) }}
	}},
	{"saw-tooth", 150, quiet, func(r *rand.Rand) ramp {
		low, period, phase := between(r, 0.02, 0.5), between(r, 120, 3600), between(r, 0, 1)
		height, up, noise := between(r, 0.05, highest-low), between(r, 0.5, 0.98), noise(r, 0.003)
		return ramp{at: func(at float64) float64 { return low + height*tooth(at/period+phase, up) + noise(at) }}
	}},
	{"saw-tooth after a quiet time", 100, quiet, func(r *rand.Rand) ramp {
		low, period, quiet := between(r, 0.02, 0.5), between(r, 120, 3600), between(r, 600, 7200)
		height, up, noise := between(r, 0.05, highest-low), between(r, 0.5, 0.98), noise(r, 0.003)
		return ramp{at: func(at float64) float64 { return low + height*tooth(max(0, at-quiet)/period, up) + noise(at) }}
	}},
	{"irregular saw-tooth", 100, quiet, func(r *rand.Rand) ramp {
		low, noise := between(r, 0.02, 0.5), noise(r, 0.003)
		begins, period, height, up := 0.0, between(r, 120, 3600), between(r, 0.05, highest-low), between(r, 0.5, 0.98)
		return ramp{at: func(at float64) float64 {
			for at-begins >= period {
				begins += period
				period, height, up = between(r, 120, 3600), between(r, 0.05, highest-low), between(r, 0.5, 0.98)
			}
			return low + height*tooth((at-begins)/period, up) + noise(at)
		}}
	}},
	{"teeth that wane as they rise", 60, quiet, func(r *rand.Rand) ramp {
		low, period, phase, bend := between(r, 0.02, 0.5), between(r, 120, 3600), between(r, 0, 1), between(r, 0.5, 4)
		height, noise := between(r, 0.05, highest-low), noise(r, 0.003)
		return ramp{at: func(at float64) float64 {
			return low + height*math.Expm1(-bend*tooth(at/period+phase, 0.95))/math.Expm1(-bend) + noise(at)
		}}
	}},
	{"on and off", 50, quiet, func(r *rand.Rand) ramp {
		low, period, share := between(r, 0.02, 0.5), between(r, 120, 3600), between(r, 0.1, 0.9)
		height, noise := between(r, 0.05, highest-low), noise(r, 0.003)
		return ramp{at: func(at float64) float64 {
			if math.Mod(at, period) < share*period {
				return low + noise(at)
			}
			return low + height + noise(at)
		}}
	}},
	{"steps", 50, quiet, func(r *rand.Rand) ramp {
		base, step, period := between(r, 0.05, 0.4), between(r, 0.02, 0.12), between(r, 600, 3600)
		noise := noise(r, 0.003)
		return ramp{at: func(at float64) float64 { return base + step*math.Mod(math.Floor(at/period), 4) + noise(at) }}
	}},
	{"bursts", 50, quiet, func(r *rand.Rand) ramp {
		base, every, width, noise := between(r, 0.05, 0.4), between(r, 1800, 7200), between(r, 60, 600), noise(r, 0.003)
		height := between(r, 0.05, highest-base)
		return ramp{at: func(at float64) float64 {
			away := (math.Mod(at, every) - every/2) / width
			return base + height*math.Exp(-away*away/2) + noise(at)
		}}
	}},
	{"diurnal", 50, quiet, func(r *rand.Rand) ramp {
		base, phase, noise := between(r, 0.3, 0.5), between(r, 0, 2*math.Pi), noise(r, 0.005)
		wave := between(r, 0.05, 0.4)
		return ramp{at: func(at float64) float64 { return base + wave*math.Sin(at*2*math.Pi/86400+phase) + noise(at) }}
	}},
	{"grows to a level", 100, quiet, func(r *rand.Rand) ramp {
		return saturating(r, between(r, 0.25, highest))
	}},
	{"grows to a level, at first faster", 60, quiet, func(r *rand.Rand) ramp { // logistic
		base, level, quiet, settles := between(r, 0.02, 0.2), between(r, 0.3, highest), between(r, 600, 3600), between(r, 60, 900)
		noise := noise(r, between(r, 0, 0.003))
		return ramp{at: func(at float64) float64 {
			return base + (level-base)/(1+math.Exp(-(at-quiet-6*settles)/settles)) + noise(at)
		}}
	}},
	{"grows to a level of 90 to 99 %", 50, open, func(r *rand.Rand) ramp { return saturating(r, between(r, 0.9, 0.99)) }},
	{"grows to a level above the limit", 50, open, func(r *rand.Rand) ramp { return saturating(r, between(r, 1.2, 2)) }},
}

// highest share of the limit that what falls again has by itself, and that what
// grows to a level grows to.
const highest = 0.89

// tooth goes from 0 to 1 in a part of each whole number, and back.
func tooth(at, up float64) float64 {
	_, part := math.Modf(at)
	if part < up {
		return part / up
	}
	return (1 - part) / (1 - up)
}

func saturating(r *rand.Rand, level float64) ramp {
	base, quiet, settles := between(r, 0.02, 0.2), between(r, 600, 3600), between(r, 120, 1800)
	deviation := between(r, 0, 0.003)
	noise := noise(r, deviation)
	growth := max(level-1, 0.01) / settles // when it is full
	return ramp{func(at float64) float64 {
		return base - (level-base)*math.Expm1(-max(0, at-quiet)/settles) + noise(at)
	}, 3 * deviation / growth, quiet}
}

func between(r *rand.Rand, low, high float64) float64 { return low + r.Float64()*(high-low) }

// noise with a memory of about a minute.
func noise(r *rand.Rand, deviation float64) curve {
	last, value := 0.0, 0.0
	return func(at float64) float64 {
		keep := math.Exp(-(at - last) / 60)
		last = at
		value = keep*value + math.Sqrt(1-keep*keep)*r.NormFloat64()*deviation
		return value
	}
}

// replayed is what came of ramps.
type replayed struct {
	alarms, early int     // polls with an alarm, and those of them before it began to fill
	changes       int     // times that an alarm began
	lead          float64 // seconds from the first alarm until it was full
	under         int     // polls with a forecast under 30 minutes
	near, told    int     // polls with less than 10 minutes left, and those with a forecast
	worst         float64 // error of these
	how, wrong    string  // the first alarm, and the worst error
	fills         float64 // polls while it filled
	off           int     // of told, those with an error above 20 %
	within, given int     // polls with a forecast whose bounds hold it, and all
}

// slack, in seconds, is what the noise moves the moment at which a ramp is full.
func replay(r ramp, every float64) (got replayed) {
	full := math.Inf(1)
	var counts []float64
	for at := 0.0; at < 3.5*3600 && full > at; at += every {
		n := min(1, max(0, r.at(at))) * limit
		counts = append(counts, n)
		if n >= limit {
			full = at
		}
	}
	got.fills = (full - r.from) / every
	f := analysis.NewForecaster(analysis.ForecastOptions{})
	alarmed := false
	for i, n := range counts {
		at := float64(i) * every
		if at >= full {
			break
		}
		f.Observe(second(at), uint64(n), limit)
		forecast, ok := f.Forecast()
		left := full - at
		if ok && forecast.Full < analysis.SoonFull {
			got.under++
		}
		if soon := ok && forecast.Soon(); soon {
			if got.alarms == 0 {
				got.lead = left
				got.how = fmt.Sprintf("at %.0f s, %.3f of the limit: %+v", at, n/limit, forecast)
			}
			if !alarmed {
				got.changes++
			}
			got.alarms++
			if at < r.from {
				got.early++
			}
			alarmed = true
		} else {
			alarmed = false
		}
		if math.IsInf(left, 1) {
			continue
		}
		if ok {
			got.given++
			if forecast.Earliest.Seconds() <= left+every && left-every <= forecast.Latest.Seconds() {
				got.within++
			}
		}
		if left >= 600 || left <= every {
			continue
		}
		got.near++
		if !ok {
			continue
		}
		got.told++
		// The count reaches the limit between two polls.
		off := max(0, math.Abs(forecast.Full.Seconds()-left+every/2)-every/2-r.slack)
		if off/left > 0.2 {
			got.off++
		}
		if off/left > got.worst {
			got.worst = off / left
			got.wrong = fmt.Sprintf("%.0f s left, told are %v (%v to %v)", left, forecast.Full, forecast.Earliest, forecast.Latest)
		}
	}
	return got
}

func second(at float64) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(at * float64(time.Second)))
}

// The forecast's constants were chosen with the seeds 1 and 3. Those of the test
// are none of them; others may be tried, many at a time:
//
//	go test -run 'TestForecast$' -v -seeds 7 -times 20
var (
	seeds = flag.Uint64("seeds", 4, "which ramps are replayed") //nolint:gochecknoglobals // a flag
	times = flag.Int("times", 1, "times as many ramps")         //nolint:gochecknoglobals // a flag
)

// fewPolls of a ramp may be too few to see it.
const fewPolls = 8

// Ramps of random parameters, polled at random intervals.
func TestForecast(t *testing.T) {
	lines := make([]string, len(kinds))
	t.Run("kinds", func(t *testing.T) {
		for n, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				t.Parallel()
				lines[n] = replayAll(t, kind)
			})
		}
	})
	t.Logf("alarms; forecasts under 30 minutes; and of curves that are full, those with less than 10 minutes left\n%-34s %6s %7s %6s %5s %10s %9s %7s %9s   %s\n%s",
		"", "curves", "alarmed", "under", "full", "told", "off 20 %", "worst", "in bounds", "alarmed before", strings.Join(lines, "\n"))
}

// replayAll gives the kind's row of the matrix.
func replayAll(t *testing.T, kind kind) string {
	var all replayed
	var leads []float64
	alarmed, filled, under := 0, 0, 0
	for seed := range uint64(kind.tries * *times) {
		r := rand.New(rand.NewPCG(seed, *seeds))
		every := []float64{10, 15, 30, 60}[r.IntN(4)]
		got := replay(kind.random(r), every)
		all.near, all.told = all.near+got.near, all.told+got.told
		all.within, all.given = all.within+got.within, all.given+got.given
		all.off += got.off
		all.worst, all.changes = max(all.worst, got.worst), all.changes+got.changes
		if got.under > 0 {
			under++
		}
		if got.alarms > 0 {
			alarmed++
		}
		if kind.want == quiet && got.alarms > 0 {
			t.Errorf("%s, seed %d, every %.0f s: %d alarms, the first %s", kind.name, seed, every, got.alarms, got.how)
		}
		if kind.want == quiet || got.near == 0 { // not full in the time that was looked at
			continue
		}
		filled++
		leads = append(leads, got.lead)
		if (kind.want == exact || kind.want == fills) && (got.alarms == 0 && got.fills >= fewPolls || got.early > 0) {
			t.Errorf("%s, seed %d, every %.0f s: %d alarms, %d too early: %s", kind.name, seed, every, got.alarms, got.early, got.how)
		}
		if kind.want == exact && got.worst > 0.2 {
			t.Errorf("%s, seed %d, every %.0f s: an error of %.0f %%: %s", kind.name, seed, every, 100*got.worst, got.wrong)
		}
	}
	line := fmt.Sprintf("%-34s %6d %7d %6d", kind.name, kind.tries**times, alarmed, under)
	if filled > 0 {
		slices.Sort(leads)
		percent := func(part, whole int) float64 { return 100 * float64(part) / float64(whole) }
		line += fmt.Sprintf(" %5d %8.0f %% %7.1f %% %5.0f %% %7.0f %%   %.0f to %.0f s, median %.0f s; %d began", filled, percent(all.told, all.near), percent(all.off, all.told),
			100*all.worst, percent(all.within, all.given), leads[0], leads[len(leads)-1], leads[len(leads)/2], all.changes)
		enough, wrong := map[verdict]float64{exact: 0.8, fills: 0.8, rises: 0.2}, map[verdict]float64{fills: 0.01, rises: 0.05, open: 1}
		if float64(all.told) < enough[kind.want]*float64(all.near) {
			t.Errorf("%s: forecasts in %d of %d polls with less than 10 minutes left", kind.name, all.told, all.near)
		}
		if float64(all.off) > wrong[kind.want]*float64(all.told) {
			t.Errorf("%s: %d of %d forecasts are off by more than 20 %%", kind.name, all.off, all.told)
		}
		if kind.want == rises && alarmed < filled*3/4 {
			t.Errorf("%s: %d alarms for %d that were full", kind.name, alarmed, filled)
		}
	}
	return line
}

func TestForecastOfFewCounts(t *testing.T) {
	observe := func(f *analysis.Forecaster, from, to, limit uint64, grows float64) {
		for at := from; at < to; at += 15 {
			f.Observe(second(float64(at)), uint64(1000+grows*float64(at)), limit)
		}
	}
	f := func(name string, want bool, counts func(*analysis.Forecaster)) {
		t.Helper()
		forecaster := analysis.NewForecaster(analysis.ForecastOptions{})
		counts(forecaster)
		if forecast, ok := forecaster.Forecast(); ok != want {
			t.Errorf("%s: a forecast is %t, want %t: %+v", name, ok, want, forecast)
		}
	}
	f("none", false, func(*analysis.Forecaster) {})
	f("one", false, func(f *analysis.Forecaster) { observe(f, 0, 15, 1e6, 0) })
	f("grows", true, func(f *analysis.Forecaster) { observe(f, 0, 1800, 1e6, 200) })
	f("grows without a limit", false, func(f *analysis.Forecaster) { observe(f, 0, 1800, 0, 200) })
	f("shrinks", false, func(f *analysis.Forecaster) { observe(f, 0, 1800, 1e6, -0.5) })
	f("the limit was raised out of reach", false, func(f *analysis.Forecaster) { observe(f, 0, 1800, 1e6, 200); observe(f, 1800, 1815, 1e12, 200) })
	f("the clock went back", false, func(f *analysis.Forecaster) { observe(f, 600, 2400, 1e6, 200); observe(f, 0, 15, 1e6, 200) })
	f("flushed", false, func(f *analysis.Forecaster) { observe(f, 0, 1800, 1e6, 200); observe(f, 1800, 1815, 1e6, 0) })
	f("full", true, func(f *analysis.Forecaster) { observe(f, 0, 15, 1000, 0) })

	full := analysis.NewForecaster(analysis.ForecastOptions{})
	full.Observe(second(0), 12, 10)
	if forecast, ok := full.Forecast(); !ok || forecast.Full != 0 {
		t.Errorf("a full table: %+v, %t", forecast, ok)
	}
}

// A look of half a minute tells what grows meanwhile, and nothing of what does
// not.
func TestGlimpse(t *testing.T) {
	f := func(name string, grows float64, want time.Duration) {
		t.Helper()
		forecaster := analysis.NewForecaster(analysis.Glimpse(30 * time.Second))
		noise := noise(rand.New(rand.NewPCG(1, 1)), 50)
		for at := range 31 {
			forecaster.Observe(second(float64(at)), uint64(50_000+grows*float64(at)+noise(float64(at))), limit)
		}
		got, ok := forecaster.Forecast()
		if ok != (want > 0) || (got.Full-want).Abs() > want/10 {
			t.Errorf("%s: %+v, %t, want %v", name, got, ok, want)
		}
	}
	f("grows", 1000, 181*time.Second)
	f("grows slowly", 100, 2090*time.Second)
	f("is flat", 0, 0)
	f("shrinks", -100, 0)
}

func BenchmarkObserve(b *testing.B) {
	f := analysis.NewForecaster(analysis.ForecastOptions{})
	at := 0.0
	b.ReportAllocs()
	for b.Loop() {
		at += 15
		f.Observe(second(at), uint64(1000+at), limit)
		f.Forecast()
	}
}
