package analysis_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
)

const limit = 262144

// curve is what share of the limit there is at a time, in seconds.
type curve func(at float64) float64

// ramp is a curve, and what is fair to ask of its forecasts; see replay.
type ramp struct {
	at             curve
	slack, settled float64
}

// kind of ramps, of which one of random parameters is made.
type kind struct {
	name   string
	fills  bool // there is a time at which it is full
	quiet  bool // a forecast under 30 minutes is false
	random func(r *rand.Rand) ramp
}

var kinds = []kind{
	{"linear", true, false, func(r *rand.Rand) ramp {
		base, quiet, slope := between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 0.00005, 0.0015)
		return ramp{at: func(at float64) float64 { return base + max(0, at-quiet)*slope }}
	}},
	{"exponential", true, false, func(r *rand.Rand) ramp {
		base, quiet, doubles := between(r, 0.05, 0.4), between(r, 600, 3600), between(r, 120, 1800)
		return ramp{at: func(at float64) float64 { return base + 0.01*math.Expm1(max(0, at-quiet)*math.Ln2/doubles) }}
	}},
	{"linear, noisy", true, false, func(r *rand.Rand) ramp {
		base, quiet, slope := between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 0.0002, 0.001)
		deviation := between(r, 0.0005, 0.003)
		noise := noise(r, deviation)
		return ramp{func(at float64) float64 { return base + max(0, at-quiet)*slope + noise(at) }, 2 * deviation / slope, 0}
	}},
	{"linear from the start", true, false, func(r *rand.Rand) ramp {
		base, slope := between(r, 0.01, 0.3), between(r, 0.0001, 0.0004)
		return ramp{at: func(at float64) float64 { return base + at*slope }}
	}},
	{"diurnal, then linear", true, false, func(r *rand.Rand) ramp {
		base, wave, phase, slope := between(r, 0.2, 0.3), between(r, 0.05, 0.15), between(r, 0, 2*math.Pi), between(r, 0.0001, 0.001)
		return ramp{at: func(at float64) float64 {
			return base + wave*math.Sin(at*2*math.Pi/86400+phase) + max(0, at-7200)*slope
		}}
	}},
	{"flat", false, true, func(r *rand.Rand) ramp {
		base, noise := between(r, 0.02, 0.95), noise(r, between(r, 0, 0.02))
		return ramp{at: func(at float64) float64 { return base + noise(at) }}
	}},
	{"saw-tooth", false, true, func(r *rand.Rand) ramp {
		low, period, phase := between(r, 0.05, 0.5), between(r, 120, 2400), between(r, 0, 1)
		height, up, noise := between(r, 0.05, 0.9-low), between(r, 0.5, 0.98), noise(r, 0.003)
		settled := 2 * period // the first whole tooth is a ramp
		return ramp{func(at float64) float64 {
			_, part := math.Modf(at/period + phase)
			if part < up {
				return low + height*part/up + noise(at)
			}
			return low + height*(1-part)/(1-up) + noise(at)
		}, 0, settled}
	}},
	{"steps", false, false, func(r *rand.Rand) ramp {
		base, step, period := between(r, 0.05, 0.4), between(r, 0.02, 0.12), between(r, 1200, 3600)
		noise := noise(r, 0.003)
		return ramp{at: func(at float64) float64 { return base + step*math.Mod(math.Floor(at/period), 4) + noise(at) }}
	}},
	{"diurnal", false, true, func(r *rand.Rand) ramp {
		base, phase, noise := between(r, 0.3, 0.5), between(r, 0, 2*math.Pi), noise(r, 0.005)
		wave := between(r, 0.05, 0.4)
		return ramp{at: func(at float64) float64 { return base + wave*math.Sin(at*2*math.Pi/86400+phase) + noise(at) }}
	}},
	{"grows to a level", false, false, func(r *rand.Rand) ramp {
		base, to, quiet, settles := between(r, 0.05, 0.2), between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 120, 900)
		return ramp{at: func(at float64) float64 { return base - to*math.Expm1(-max(0, at-quiet)/settles) }}
	}},
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
	alarms        int     // polls with a forecast under 30 minutes
	near, told    int     // polls with less than 10 minutes left, and those with a forecast
	worst         float64 // error of these
	how           string
	within, given int // polls with a forecast whose bounds hold it, and all
}

// slack, in seconds, is what the noise moves the moment at which a ramp is full.
// Forecasts before settled, in seconds, are not alarms.
func replay(r curve, every, slack, settled float64) (got replayed) {
	full := math.Inf(1)
	var counts []float64
	for at := 0.0; at < 5*3600 && full > at; at += every {
		n := min(1, max(0, r(at))) * limit
		counts = append(counts, n)
		if n >= limit {
			full = at
		}
	}
	f := analysis.NewForecaster(analysis.ForecastOptions{})
	for i, n := range counts {
		at := float64(i) * every
		if at >= full {
			break
		}
		f.Observe(second(at), uint64(n), limit)
		forecast, ok := f.Forecast()
		if ok && forecast.Full < 30*time.Minute && at > settled {
			got.alarms++
		}
		left := full - at
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
		off := max(0, math.Abs(forecast.Full.Seconds()-left+every/2)-every/2-slack)
		if off/left > got.worst {
			got.worst = off / left
			got.how = fmt.Sprintf("%.0f s left, told are %v (%v to %v)", left, forecast.Full, forecast.Earliest, forecast.Latest)
		}
	}
	return got
}

func second(at float64) time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(at * float64(time.Second)))
}

// Ramps of random parameters, polled at random intervals.
func TestForecast(t *testing.T) {
	const tries = 25
	for _, kind := range kinds {
		var all replayed
		alarmed := 0
		for seed := range uint64(tries) {
			r := rand.New(rand.NewPCG(seed, 1))
			every := []float64{10, 15, 30, 60}[r.IntN(4)]
			ramp := kind.random(r)
			got := replay(ramp.at, every, ramp.slack, ramp.settled)
			all.near, all.told = all.near+got.near, all.told+got.told
			all.within, all.given = all.within+got.within, all.given+got.given
			all.worst = max(all.worst, got.worst)
			if got.alarms > 0 {
				alarmed++
			}
			if kind.quiet && got.alarms > 0 {
				t.Errorf("%s, seed %d, every %.0f s: %d forecasts under 30 minutes", kind.name, seed, every, got.alarms)
			}
			if kind.fills && got.worst > 0.2 {
				t.Errorf("%s, seed %d, every %.0f s: an error of %.0f %%: %s", kind.name, seed, every, 100*got.worst, got.how)
			}
		}
		line := fmt.Sprintf("%-20s %2d of %d with a forecast under 30 minutes", kind.name, alarmed, tries)
		if kind.fills {
			line += fmt.Sprintf("; of polls with less than 10 minutes left %3.0f %% with a forecast, off by %4.1f %% at worst; %3.0f %% of all within the bounds",
				100*float64(all.told)/float64(all.near), 100*all.worst, 100*float64(all.within)/float64(all.given))
			if float64(all.told) < 0.8*float64(all.near) {
				t.Errorf("%s: forecasts in %d of %d polls with less than 10 minutes left", kind.name, all.told, all.near)
			}
		}
		t.Log(line)
	}
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
