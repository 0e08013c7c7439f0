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

// ramp is how many entries there are at a time.
type ramp func(at float64) float64

// ramps makes one of each kind, of random parameters.
var ramps = []struct {
	name   string
	fills  bool // there is a time at which it is full
	quiet  bool // a forecast under 30 minutes is false
	random func(r *rand.Rand) ramp
}{
	{"linear", true, false, func(r *rand.Rand) ramp {
		base, quiet, slope := between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 0.00005, 0.0015)
		return func(at float64) float64 { return base + max(0, at-quiet)*slope }
	}},
	{"exponential", true, false, func(r *rand.Rand) ramp {
		base, quiet, doubles := between(r, 0.05, 0.4), between(r, 600, 3600), between(r, 120, 1800)
		return func(at float64) float64 { return base + 0.01*math.Expm1(max(0, at-quiet)*math.Ln2/doubles) }
	}},
	{"linear, noisy", true, false, func(r *rand.Rand) ramp {
		base, quiet, slope := between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 0.0002, 0.001)
		noise := noise(r, between(r, 0.0005, 0.003))
		return func(at float64) float64 { return base + max(0, at-quiet)*slope + noise(at) }
	}},
	{"linear from the start", true, false, func(r *rand.Rand) ramp {
		base, slope := between(r, 0.01, 0.3), between(r, 0.0001, 0.0004)
		return func(at float64) float64 { return base + at*slope }
	}},
	{"diurnal, then linear", true, false, func(r *rand.Rand) ramp {
		base, wave, phase, slope := between(r, 0.2, 0.3), between(r, 0.05, 0.15), between(r, 0, 2*math.Pi), between(r, 0.0001, 0.001)
		return func(at float64) float64 {
			return base + wave*math.Sin(at*2*math.Pi/86400+phase) + max(0, at-7200)*slope
		}
	}},
	{"flat", false, true, func(r *rand.Rand) ramp {
		base, noise := between(r, 0.02, 0.95), noise(r, between(r, 0, 0.02))
		return func(at float64) float64 { return base + noise(at) }
	}},
	{"saw-tooth", false, true, func(r *rand.Rand) ramp {
		low, period, phase := between(r, 0.05, 0.5), between(r, 120, 2400), between(r, 0, 1)
		height, up, noise := between(r, 0.05, 0.9-low), between(r, 0.5, 0.98), noise(r, 0.003)
		return func(at float64) float64 {
			_, part := math.Modf(at/period + phase)
			if part < up {
				return low + height*part/up + noise(at)
			}
			return low + height*(1-part)/(1-up) + noise(at)
		}
	}},
	{"steps", false, false, func(r *rand.Rand) ramp {
		base, step, period := between(r, 0.05, 0.4), between(r, 0.02, 0.12), between(r, 1200, 3600)
		noise := noise(r, 0.003)
		return func(at float64) float64 { return base + step*math.Mod(math.Floor(at/period), 4) + noise(at) }
	}},
	{"diurnal", false, true, func(r *rand.Rand) ramp {
		base, phase, noise := between(r, 0.3, 0.5), between(r, 0, 2*math.Pi), noise(r, 0.005)
		wave := between(r, 0.05, 0.4)
		return func(at float64) float64 { return base + wave*math.Sin(at*2*math.Pi/86400+phase) + noise(at) }
	}},
	{"grows to a level", false, false, func(r *rand.Rand) ramp {
		base, to, quiet, settles := between(r, 0.05, 0.2), between(r, 0.05, 0.5), between(r, 600, 3600), between(r, 120, 900)
		return func(at float64) float64 { return base - to*math.Expm1(-max(0, at-quiet)/settles) }
	}},
}

func between(r *rand.Rand, low, high float64) float64 { return low + r.Float64()*(high-low) }

// noise with a memory of about a minute.
func noise(r *rand.Rand, deviation float64) ramp {
	last, value := 0.0, 0.0
	return func(at float64) float64 {
		keep := math.Exp(-(at - last) / 60)
		last = at
		value = keep*value + math.Sqrt(1-keep*keep)*r.NormFloat64()*deviation
		return value
	}
}

// replayed is what came of a ramp.
type replayed struct {
	alarms        int     // polls with a forecast under 30 minutes
	near, told    int     // polls with less than 10 minutes left, and those with a forecast
	worst         float64 // error of these
	what          string
	within, given int // polls with a forecast whose bounds hold it, and all
}

func replay(r ramp, every, slack, quiet float64, fills bool) (got replayed) {
	full := math.Inf(1)
	var counts []float64
	for at := 0.0; at < 5*3600; at += every {
		n := min(1, max(0, r(at))) * limit
		counts = append(counts, n)
		if n >= limit {
			full = at
			break
		}
	}
	f := analysis.NewForecaster(analysis.ForecastOptions{})
	start := time.Unix(1_800_000_000, 0)
	for i, n := range counts {
		at := float64(i) * every
		if at >= full {
			break
		}
		f.Observe(start.Add(time.Duration(at*1e9)), uint64(n), limit)
		forecast, ok := f.Forecast()
		if ok && forecast.Full < 30*time.Minute && at > quiet {
			got.alarms++
		}
		left := full - at
		if fills && ok {
			got.given++
			if forecast.Earliest.Seconds() <= left+every && left-every <= forecast.Latest.Seconds() {
				got.within++
			}
		}
		if left < 600 && left > every {
			got.near++
			if ok {
				got.told++
				// The count reaches the limit between two polls.
				off := max(0, math.Abs(forecast.Full.Seconds()-left+every/2)-every/2-slack)
				if off/left > got.worst {
					got.worst = off / left
					got.what = fmt.Sprintf("left %.0f, forecast %.0f (%.0f-%.0f) conf %.2f since %.0f growth %.5f", left, forecast.Full.Seconds(), forecast.Earliest.Seconds(), forecast.Latest.Seconds(), forecast.Confidence, start.Add(time.Duration(at*1e9)).Sub(forecast.Since).Seconds(), forecast.Growth/limit)
				}
			}
		}
	}
	return got
}

// Ramps of random parameters, polled at random intervals.
func TestForecast(t *testing.T) {
	for _, kind := range ramps {
		var all replayed
		tries, alarmed, bad := 40, 0, 0
		for seed := range uint64(tries) {
			r := rand.New(rand.NewPCG(seed, 1))
			every := []float64{5, 10, 15, 30, 60}[r.IntN(5)]
			got := replay(kind.random(r), every, 0, map[bool]float64{true: 2400}[kind.name == "saw-tooth"], kind.fills)
			all.near += got.near
			all.told += got.told
			all.within += got.within
			all.given += got.given
			all.worst = max(all.worst, got.worst)
			if got.alarms > 0 {
				alarmed++
			}
			if got.worst > 0.2 {
				bad++
			}
			if kind.quiet && got.alarms > 0 {
				t.Logf("%s, seed %d, every %.0f s: %d forecasts under 30 minutes", kind.name, seed, every, got.alarms)
			}
			if kind.fills && got.worst > 0.2 {
				t.Logf("%s, seed %d, every %.0f s: an error of %.0f %% %s", kind.name, seed, every, 100*got.worst, got.what)
			}
		}
		line := fmt.Sprintf("%-24s alarms in %3d of %d", kind.name, alarmed, tries)
		if kind.fills {
			line += fmt.Sprintf(", less than 10 minutes left: told in %.1f %% of polls, worst error %.1f %%, bounds hold %.0f %%; bad %d",
				100*float64(all.told)/float64(all.near), 100*all.worst, 100*float64(all.within)/float64(all.given), bad)
		}
		t.Log(line)
	}
}
