package analysis

import (
	"math"
	"slices"
	"time"
)

// ForecastOptions of a Forecaster. The zero value of each field means its default.
type ForecastOptions struct {
	// Window of counts that a trend is looked for in: 15 minutes.
	Window time.Duration
	// Memory of highs and lows, which what rises and falls again is known by: 3
	// hours.
	Memory time.Duration
	// Horizon beyond which there is no forecast: 24 hours.
	Horizon time.Duration
	// Trend that lasts so long is one: a minute.
	Trend time.Duration
	// Reach of a trend, in its own length: 8.
	Reach float64
	// Settle is how long counts go back before there is a forecast of a table
	// that is not nearly full: 14 minutes.
	Settle time.Duration
}

// Glimpse has the options for a look of so long, at counts each second: a
// forecast by what there is.
func Glimpse(lasts time.Duration) ForecastOptions {
	return ForecastOptions{Window: max(lasts, time.Minute), Trend: min(lasts/2, time.Minute), Reach: 120, Settle: time.Second}
}

// Forecast of a table that fills.
type Forecast struct {
	// Full is the time left until the table is full, from the newest count; 0 if
	// it is.
	Full time.Duration
	// Earliest and Latest bound it: with the growth that is 1.64 standard errors
	// above and below, so that nine times in ten it is between them, if the noise
	// of the counts has no memory.
	Earliest, Latest time.Duration
	// Confidence from 0 to 1: how much of the counts' change the trend explains,
	// less where the forecast is long beside the trend. It is below Confident
	// while the growth may be that of a tooth, which falls again.
	Confidence float64
	// Growth of the table, in entries per second, at the newest count.
	Growth float64
	// Since when the table has grown like this, as far as was looked.
	Since time.Time
}

const (
	// SoonFull is when a table that fills is worth an alarm.
	SoonFull = 30 * time.Minute
	// Confident is the confidence that an alarm takes.
	Confident = 0.5
)

// Soon tells whether the forecast is worth an alarm.
func (f *Forecast) Soon() bool { return f.Full < SoonFull && f.Confidence >= Confident }

const (
	// Counts that are closer than this part of the window are averaged.
	windowPoints = 60
	// Highs and lows that are remembered.
	spans = 180
	// What a trend needs at least.
	trendPoints = 6
	// Before the counts have settled, the table must be near the limit.
	nearLimit = 0.85
	// What falls again does so below this share of the limit, for all we know.
	toothHighest = 0.9
	// From this share on, what accelerates or has grown for long goes on.
	longGrows = 0.75
	// What accelerates: its growth is e times what it was, to this power.
	accelerates = 1.5
	// So many counts must show it, and so much of their variance.
	curvePoints = 10
	smooth      = 0.98
	// What grows for so long is no tooth.
	longSeconds = 75 * 60
	// A bend explains so many times more than noise would.
	bendSquares = 20
	// or so many times, if it is only likely.
	likelySquares = 5
	// Trends in a row, and how much of the time left they differ by.
	trends    = 5
	agreement = 0.2
	// Growth beside its standard error.
	significance = 8
	// A trend is told when it has been there for this part of what makes one.
	hold = 0.75
)

// point is a count, or an average of some, at seconds since the first.
type point struct{ at, count, n float64 }

// span is what a part of the memory had.
type span struct{ at, low, high float64 }

// end is when the table is full, by the trend of a time.
type end struct{ at, full float64 }

// Forecaster tells from counts when the table will be full. Counts may come
// from polls or, better, from the cheap count of each scrape
// (nf_conntrack_count). It is not safe for concurrent use; its memory is
// constant, about 8 KiB.
//
// The trend is a regression over the longest part of the window that one curve
// fits: growth that is even, or that grows or wanes by itself. A table that has
// been as high before and fell again has none, before it is higher than ever or
// grows much faster.
type Forecaster struct {
	options ForecastOptions
	start   time.Time
	limit   float64
	points  []point
	last    point
	spans   []span
	weights []float64 // of a regression
	xs      []float64

	differences []float64 // of spans

	current  trend // if it has one, towards the limit
	has      bool
	hasSince float64
	ends     []end // when the last trends have the table full
}

// NewForecaster makes a Forecaster.
func NewForecaster(o ForecastOptions) *Forecaster {
	if o.Window <= 0 {
		o.Window = 15 * time.Minute
	}
	if o.Memory <= 0 {
		o.Memory = 3 * time.Hour
	}
	if o.Horizon <= 0 {
		o.Horizon = 24 * time.Hour
	}
	if o.Trend <= 0 {
		o.Trend = time.Minute
	}
	if o.Reach <= 0 {
		o.Reach = 8
	}
	if o.Settle <= 0 {
		o.Settle = 14 * time.Minute
	}
	return &Forecaster{
		options: o, points: make([]point, 0, 2*windowPoints), spans: make([]span, 0, spans+1),
		weights: make([]float64, 2*windowPoints), xs: make([]float64, 2*windowPoints), differences: make([]float64, 0, 64),
		ends: make([]end, 0, trends),
	}
}

func (f *Forecaster) remember(at time.Time, entries, limit uint64) {
	seconds := at.Sub(f.start).Seconds()
	if len(f.points) == 0 || seconds <= f.last.at {
		f.start, seconds, f.points, f.spans = at, 0, f.points[:0], f.spans[:0]
	}
	count := float64(entries)
	f.limit, f.last = float64(limit), point{seconds, count, 1}

	window := f.options.Window.Seconds()
	if n := len(f.points); n > 1 && seconds-f.points[n-2].at < window/windowPoints {
		p := &f.points[n-1]
		p.at, p.count = (p.at*p.n+seconds)/(p.n+1), (p.count*p.n+count)/(p.n+1)
		p.n++
	} else {
		old := 0
		for old < n && f.points[old].at < seconds-window || n-old == cap(f.points) {
			old++
		}
		f.points = append(slices.Delete(f.points, 0, old), f.last)
	}

	every := f.options.Memory.Seconds() / spans
	if n := len(f.spans); n > 0 && seconds-f.spans[n-1].at < every {
		s := &f.spans[n-1]
		s.low, s.high = min(s.low, count), max(s.high, count)
		return
	}
	old := 0
	for old < len(f.spans) && f.spans[old].at < seconds-f.options.Memory.Seconds() || len(f.spans)-old == cap(f.spans) {
		old++
	}
	f.spans = append(slices.Delete(f.spans, 0, old), span{seconds, count, count})
}

// Observe takes a count of entries, and the table's limit: 0 for none. Times
// that do not go forward begin anew.
func (f *Forecaster) Observe(at time.Time, entries, limit uint64) {
	f.remember(at, entries, limit)
	had := f.has
	if f.current, f.has = f.trend(); f.has && f.roseAndFell(&f.current) {
		f.has = false
	}
	if !f.has {
		return
	}
	if !had {
		f.hasSince, f.ends = f.last.at, f.ends[:0]
	}
	old := 0
	for n := len(f.ends); n-old == cap(f.ends) || n-old > 1 && f.ends[old].at < f.last.at-2*f.options.Trend.Seconds(); {
		old++
	}
	f.ends = append(slices.Delete(f.ends, 0, old), end{f.last.at, f.last.at + f.current.left(f.current.growth, f.limit)})
}

// agreed is when most of the last trends have the table full: the median, so
// that one which noise has bent for a moment does no harm.
func (f *Forecaster) agreed() (full float64, ok bool) {
	var sorted [trends]float64
	n := len(f.ends)
	for i, e := range f.ends {
		sorted[i] = e.full
	}
	slices.Sort(sorted[:n])
	if full = f.ends[n-1].full; n > 2 {
		full = (sorted[(n-1)/2] + sorted[n/2]) / 2
	}
	if math.IsInf(full, 1) {
		return 0, false
	}
	tolerance := max(agreement*(full-f.last.at), hold*f.options.Trend.Seconds())
	agree := 0
	for _, e := range f.ends {
		if math.Abs(e.full-full) <= tolerance {
			agree++
		}
	}
	return full, n > 1 && agree >= n/2+1
}

// trend is a curve through counts: count(t) = level + growth·(e^(bend·t)-1)/bend,
// t seconds after the newest; growth·t where there is no bend.
type trend struct {
	level, growth, bend float64
	since               float64 // seconds
	error               float64 // standard error of the growth
	other               float64 // growth with a bend, if the curve has none, and without one
	likely              float64 // a bend that explains a little more, if the curve has none
	explains            float64 // share of the variance
	points              int
}

// left is how long the curve takes to the limit; infinite if it does not get there.
func (t *trend) left(growth, limit float64) float64 {
	if growth <= 0 {
		return math.Inf(1)
	}
	x := (limit - t.level) / growth
	if math.Abs(t.bend*x) < 1e-6 {
		return max(0, x)
	}
	if 1+t.bend*x <= 0 {
		return math.Inf(1)
	}
	return max(0, math.Log(1+t.bend*x)/t.bend)
}

// Forecast tells when the table will be full; false if there is no trend
// towards that, or it is too early to say.
func (f *Forecaster) Forecast() (Forecast, bool) {
	if f.limit <= 0 || len(f.points) == 0 {
		return Forecast{}, false
	}
	if f.last.count >= f.limit {
		return Forecast{Confidence: 1, Since: f.start.Add(seconds(f.last.at))}, true
	}
	held := hold * f.options.Trend.Seconds()
	if !f.has || f.last.at-f.hasSince < held {
		return Forecast{}, false
	}
	t := f.current
	lasts := f.last.at - t.since
	at, ok := f.agreed()
	if !ok {
		return Forecast{}, false
	}
	full := max(0, at-f.last.at)
	if full > f.options.Reach*lasts || full > f.options.Horizon.Seconds() {
		return Forecast{}, false
	}
	earliest := min(full, t.left(t.growth*1.03+1.64*t.error, f.limit))
	latest := max(full, min(t.left(t.growth*0.97-1.64*t.error, f.limit), f.options.Horizon.Seconds()))
	confidence := Confident * max(0, t.explains) * (1 - full/(f.options.Reach*lasts)/2)
	if f.sure(&t, full) {
		confidence += Confident
	} else if f.doubtful(&t, full) {
		return Forecast{}, false
	}
	return Forecast{
		Full: seconds(full), Earliest: seconds(earliest), Latest: seconds(latest),
		Confidence: confidence,
		Growth:     t.growth, Since: f.start.Add(seconds(t.since)),
	}, true
}

// doubtful reports whether the newest trend has the table full at another time
// than those before, or would have it with a bend that is likely.
func (f *Forecaster) doubtful(t *trend, full float64) bool {
	differs := func(left float64) bool {
		return math.Abs(left-full) > max(agreement*full, hold*f.options.Trend.Seconds())
	}
	if differs(t.left(t.growth, f.limit)) {
		return true
	}
	bent := trend{level: t.level, bend: t.likely}
	return t.likely != 0 && differs(bent.left(t.other, f.limit))
}

// sure reports whether the growth is not that of a tooth, nor to a level below
// the limit: the table is nearly full, or was full, or grows faster and faster,
// or has grown for long.
func (f *Forecaster) sure(t *trend, full float64) bool {
	switch share := f.last.count / f.limit; {
	case f.wasFull():
		return true
	case share >= toothHighest:
		return !f.wanes(full)
	case share >= longGrows:
		return t.points >= curvePoints && t.explains >= smooth && t.bend*(f.last.at-t.since) >= accelerates || f.growsForLong()
	}
	return false
}

// wanes reports whether the growth ends below the limit if it goes on to wane as
// it did: from one time to the next, of the length that is left or of half of it,
// by more than noise does.
func (f *Forecaster) wanes(full float64) bool {
	noise := f.noise()
	for _, length := range [...]float64{full, full / 2} {
		length = max(length, 2*f.options.Trend.Seconds())
		sigma := noise / math.Sqrt(max(1, length/4/120)) // of a mean, of noise that goes on for two minutes
		newest, ok0 := f.mean(0, length/4)
		middle, ok1 := f.mean(length, length/4)
		oldest, ok2 := f.mean(2*length, length/4)
		if !ok0 || !ok1 || !ok2 {
			continue
		}
		newer := (newest.count-middle.count)/(newest.at-middle.at)*length + sigma
		older := (middle.count-oldest.count)/(middle.at-oldest.at)*length - sigma
		// What follows is a geometric series.
		if newer < older && f.last.count+newer*newer/(older-newer) < f.limit {
			return true
		}
	}
	return false
}

// mean of the counts of a while, which ended some time before the newest span.
func (f *Forecaster) mean(ago, lasts float64) (m point, ok bool) {
	last := len(f.spans) - 1 // which is not over
	end := f.spans[last].at - ago
	for i := range f.spans[:last] {
		if s := &f.spans[i]; s.at >= end-lasts && s.at < end {
			m.at += s.at
			m.count += (s.low + s.high) / 2
			m.n++
		}
	}
	m.at, m.count = m.at/m.n, m.count/m.n
	return m, m.n > 0
}

func (f *Forecaster) wasFull() bool {
	for i := range f.spans {
		if f.spans[i].high >= 0.97*f.limit {
			return true
		}
	}
	return false
}

// growsForLong reports whether the table has grown in each part of the last
// while, by a quarter of the mean at least, in the newest by no less than before,
// and has not fallen in between.
func (f *Forecaster) growsForLong() bool {
	if len(f.spans) == 0 || f.spans[0].at > f.last.at-longSeconds {
		return false
	}
	const parts = 6
	var sum, n [parts]float64
	low, fall := math.Inf(1), 0.0
	for i := len(f.spans) - 1; i >= 0; i-- {
		s := f.spans[i]
		part := int((f.last.at - s.at) / (longSeconds / parts))
		if part >= parts {
			break
		}
		sum[part] += (s.low + s.high) / 2
		n[part]++
		low = min(low, s.low)
		fall = max(fall, s.high-low)
	}
	if slices.Contains(n[:], 0) {
		return false
	}
	step := func(part int) float64 { return sum[part]/n[part] - sum[part+1]/n[part+1] }
	rise := sum[0]/n[0] - sum[parts-1]/n[parts-1]
	for part := range parts - 1 {
		if step(part) <= rise/(parts-1)/4 {
			return false
		}
	}
	return fall < rise/5 && step(0) > 0.95*step(1)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// trend finds the curve of the longest part of the window that has one, whose
// growth is one that all shorter parts allow, too (Lepski's rule).
func (f *Forecaster) trend() (best trend, ok bool) {
	n := len(f.points)
	noise := f.noise()
	slowest, fastest := math.Inf(-1), math.Inf(1)
	for from := n - trendPoints; from >= 0; {
		part := f.points[from:]
		if lasts := f.last.at - part[0].at; lasts >= f.options.Trend.Seconds() {
			t, fits := f.fit(part, noise)
			tolerance := 4*t.error + 0.06*math.Abs(t.growth)
			if ok && (t.growth < slowest || t.growth > fastest) {
				break
			}
			if fits {
				best, ok = t, true
				slowest = max(slowest, min(t.growth, t.other)-tolerance)
				fastest = min(fastest, max(t.growth, t.other)+tolerance)
			}
		}
		if from == 0 {
			break
		}
		from = max(0, min(from-1, n-(n-from)*5/4))
	}
	return best, ok && best.growth > significance*best.error
}

// noise is the deviation of counts that are minutes apart, from the median of
// what they differ from the middle of their neighbours.
func (f *Forecaster) noise() float64 {
	from := max(0, len(f.spans)-60)
	ds := f.differences[:0]
	for i := from + 2; i < len(f.spans); i++ {
		a, b, c := f.spans[i-2], f.spans[i-1], f.spans[i]
		ds = append(ds, math.Abs(a.low+a.high-2*(b.low+b.high)+c.low+c.high)/2)
	}
	if len(ds) < 3 {
		return 0
	}
	slices.Sort(ds)
	return 1.48 * ds[len(ds)/2] / math.Sqrt(6)
}

// fit finds the curve of a part, and whether it is one, of counts that have such
// noise by themselves.
func (f *Forecaster) fit(part []point, noise float64) (best trend, fits bool) {
	lasts := f.last.at - part[0].at
	best, squares := f.regress(part, 0)
	best.other = best.growth
	if bend := f.bend(part, lasts); bend != 0 {
		// A bend must explain much of what an even growth does not.
		bent, less := f.regress(part, bend)
		free := float64(len(part) - 3)
		switch gain := (squares - less) / max(less/free, noise*noise*max(1, 120*free/lasts)); {
		case gain > bendSquares:
			bent.other = best.growth
			best, squares = bent, less
		case gain > likelySquares:
			best.other, best.likely = bent.growth, bend
		default:
			best.other = bent.growth
		}
	}
	best.since, best.points = part[0].at, len(part)

	// Residuals that go with their neighbours are of another curve, or of noise
	// that has a memory, which shows in short parts as growth.
	var jumps, mean, deviations float64
	residual := func(p point) float64 { return p.count - best.at(p.at-f.last.at) }
	for i, p := range part {
		mean += p.count / float64(len(part))
		if i > 0 {
			d := residual(p) - residual(part[i-1])
			jumps += d * d / 2
		}
	}
	for _, p := range part {
		deviations += (p.count - mean) * (p.count - mean)
	}
	best.explains = 1 - squares/max(deviations, 1e-9)
	n := float64(len(part))
	deviation, jump := math.Sqrt(squares/n), math.Sqrt(jumps/(n-1))
	rise := math.Abs(best.at(0) - best.at(-lasts))
	best.error = math.Hypot(best.error*max(1, deviation/max(jump, 1e-9)), noise*math.Sqrt(12*120/lasts)/lasts)
	if deviation > 2*max(jump, noise) && deviation > 0.02*rise {
		return best, false
	}

	// The newest counts must not leave the curve, neither by level nor by growth.
	var end float64
	for _, p := range part[len(part)-3:] {
		end += residual(p) / 3
	}
	if math.Abs(end) > max(2*deviation, 2*noise, 0.02*rise, 1) {
		return best, false
	}
	if math.Abs(end) > 1.2*noise { // no noise: the curve is a little off
		best.level += end
	}
	newest := part[len(part)-max(len(part)/3, 3):]
	line, _ := f.regress(newest, 0)
	middle := (newest[0].at+newest[len(newest)-1].at)/2 - f.last.at
	span := f.last.at - newest[0].at
	allowed := 0.05*math.Abs(best.growth) + 3*line.error + 2*noise*math.Sqrt(12*120/span)/span
	return best, math.Abs(line.growth-best.growth*math.Exp(best.bend*middle)) <= allowed
}

// bend of the growth: the newer half of a part grows by that much faster than
// the older. Within a part growth is at most twenty times what it was.
func (f *Forecaster) bend(part []point, lasts float64) float64 {
	half := len(part) / 2
	if half < 3 {
		return 0
	}
	older, _ := f.regress(part[:half], 0)
	newer, _ := f.regress(part[len(part)-half:], 0)
	if older.growth <= 0 || newer.growth <= 0 {
		return 0
	}
	apart := part[len(part)-1].at - part[half-1].at
	return min(max(math.Log(newer.growth/older.growth)/apart, -3/lasts), 3/lasts)
}

func (t *trend) at(seconds float64) float64 {
	return t.level + t.growth*bent(t.bend, seconds)
}

func bent(bend, seconds float64) float64 {
	if bend == 0 {
		return seconds
	}
	return math.Expm1(bend*seconds) / bend
}

// regress fits a curve of a given bend, so that single counts that are far off
// weigh little (Huber), and gives the sum of the weighted squares of what it
// does not explain.
func (f *Forecaster) regress(part []point, bend float64) (t trend, squares float64) {
	weights, xs := f.weights[:len(part)], f.xs[:len(part)]
	for i, p := range part {
		weights[i], xs[i] = 1, bent(bend, p.at-f.last.at)
	}
	t.bend = bend
	for range 2 {
		var w, x, y, xx, xy float64
		for i, p := range part {
			w += weights[i]
			x += weights[i] * xs[i]
			y += weights[i] * p.count
			xx += weights[i] * xs[i] * xs[i]
			xy += weights[i] * xs[i] * p.count
		}
		spread := xx - x*x/w
		if spread <= 0 {
			return t, math.Inf(1)
		}
		t.growth = (xy - x*y/w) / spread
		t.level = (y - t.growth*x) / w
		squares = 0
		var sum float64
		for i, p := range part {
			r := math.Abs(p.count - t.level - t.growth*xs[i])
			squares += weights[i] * r * r
			sum += r
		}
		t.error = math.Sqrt(squares / max(w-2, 1) / spread)
		for i, p := range part {
			if r := math.Abs(p.count - t.level - t.growth*xs[i]); r > 3*sum/w {
				weights[i] = 3 * sum / w / r
			}
		}
	}
	return t, squares
}

// roseAndFell reports whether the counts before the trend make it doubtful:
// they were as high and fell again, or there are too few of them.
func (f *Forecaster) roseAndFell(t *trend) bool {
	lasts, young := f.last.at-t.since, f.options.Settle.Seconds()
	low, high, fastest, before := math.Inf(1), math.Inf(-1), 0.0, 0.0
	for i, s := range f.spans {
		if s.at >= t.since {
			break
		}
		before = t.since - f.spans[0].at
		low, high = min(low, s.low), max(high, s.high)
		for k := i - 1; k >= 0; k-- {
			if d := s.at - f.spans[k].at; d >= lasts || k == 0 {
				fastest = max(fastest, (s.high-f.spans[k].low)/max(d, lasts))
				break
			}
		}
	}
	if high >= 0.97*f.limit { // it was full: that it fell is no comfort
		return false
	}
	if before >= 4*lasts && before >= young && t.growth > 2.5*fastest {
		return false
	}
	if f.last.count < high+min((high-low)/4, (f.limit-high)/2) {
		return true
	}
	return before+lasts < young && (lasts < young/3 || f.last.count < nearLimit*f.limit)
}
