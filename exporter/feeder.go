package exporter

import (
	"bytes"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/corkline/corkline/parsers"
)

// Feeder adds the records of one goroutine to the families of a definition,
// and remembers the series that it has met. Several feeders may feed the same
// families.
type Feeder struct{ groups []*group }

// Feeder for the metrics of a definition; an error when the name of one is
// taken by a family of another type, help, labels or buckets.
func (c *Catalogue) Feeder(d *parsers.Definition) (*Feeder, error) {
	feeds := make([]feed, len(d.Metrics))
	for i := range d.Metrics {
		m := &d.Metrics[i]
		family, err := c.family(d, m)
		if err != nil {
			return nil, err
		}
		feeds[i] = newFeed(m, family, labelFields(d, m))
	}
	// The first feed of a group has all of its labels.
	slices.SortStableFunc(feeds, func(a, b feed) int { return b.rank() - a.rank() })
	f := &Feeder{}
	for i := range feeds {
		f.group(&feeds[i])
	}
	return f, nil
}

// group puts a feed to those that it shares a key with.
func (f *Feeder) group(d *feed) {
	for _, g := range f.groups {
		if g.covers(d) {
			g.feeds, g.spare = append(g.feeds, *d), append(g.spare, nil)
			return
		}
	}
	f.groups = append(f.groups, newGroup(d))
}

// Add counts one parsed record in every metric of its definition that it feeds.
func (f *Feeder) Add(r *parsers.Record) {
	for _, g := range f.groups {
		switch {
		case !g.always && !g.take(r):
		case g.each < 0 || len(r.Value(g.each)) == 0:
			g.add(r, nil)
		default:
			for list, more := r.Value(g.each), true; more; {
				var element []byte
				element, list, more = bytes.Cut(list, []byte{','})
				if element = bytes.TrimSpace(element); len(element) > 0 {
					g.add(r, element)
				}
			}
		}
	}
}

// group is the metrics whose series are found with one key and one look-up.
type group struct {
	labels []int // fields
	each   int   // the label that is an element of a list, or -1
	// always tells that every record feeds a metric with all of the labels.
	// Others may then have some of the labels only: the key tells their series, too.
	always bool
	feeds  []feed
	// known are the series of each feed by key, nil where there was none yet. A
	// key is kept when a metric with all of the labels has a series of its own
	// for it, so there are no more keys than the families' caps allow.
	known map[string][]*series
	spare []*series // for the next key

	key, part []byte // reused
}

func newGroup(f *feed) *group {
	return &group{
		labels: f.labels, each: f.metric.Each, always: f.always(), feeds: []feed{*f},
		known: map[string][]*series{}, spare: make([]*series, 1),
	}
}

// covers tells whether the group's keys tell the series of a feed.
func (g *group) covers(f *feed) bool {
	if g.each != f.metric.Each {
		return false
	}
	return slices.Equal(g.labels, f.labels) ||
		g.always && !slices.ContainsFunc(f.labels, func(field int) bool { return !slices.Contains(g.labels, field) })
}

// feed is what a record has for one metric.
type feed struct {
	metric *parsers.Metric
	family *family
	labels []int // fields, in the order of the family's labels
	way    way

	fed    bool
	amount float64 // to add or to observe
	number uint64  // in the sequence
}

// way in which a record feeds a metric.
type way uint8

const (
	addDefault way = iota // whatever the record is
	addValue
	observeValue
	countGap
	countSecond
)

func newFeed(m *parsers.Metric, family *family, labels []int) feed {
	f := feed{metric: m, family: family, labels: labels, way: addValue, amount: m.Default, fed: true}
	switch {
	case m.Type == parsers.Histogram:
		f.way = observeValue
	case m.Gaps >= 0:
		f.way = countGap
	case m.SecondsAt > 0:
		f.way = countSecond
	case m.Value < 0 && !f.conditional():
		f.way = addDefault
	}
	return f
}

func (f *feed) conditional() bool { return len(f.metric.Only)+len(f.metric.Except) > 0 }

// always tells whether every record feeds the metric, once.
func (f *feed) always() bool { return f.way <= addValue && !f.conditional() && f.metric.Each < 0 }

// rank is higher for a feed with more labels, and among those for one that
// every record feeds.
func (f *feed) rank() int {
	if f.always() {
		return 2*len(f.labels) + 1
	}
	return 2 * len(f.labels)
}

// take what a record has for the metric; false when that is nothing.
func (f *feed) take(r *parsers.Record) bool {
	m := f.metric
	if f.conditional() && !m.Fed(r) {
		return false
	}
	switch f.way {
	case addValue:
		f.amount = m.Default
		if m.Value >= 0 {
			if number, ok := r.Number(m.Value); ok {
				f.amount = number * m.Scale
			}
		}
		return f.amount >= 0 && f.amount <= math.MaxFloat64 // a counter only goes up
	case observeValue:
		number, ok := r.Number(m.Value)
		f.amount = number * m.Scale
		return ok && !math.IsInf(f.amount, 0)
	case countGap:
		number, ok := sequenceNumber(r.Value(m.Gaps))
		f.number = number
		return ok
	case countSecond:
		return r.Time != 0
	}
	return true
}

// take what a record has for the metrics; false when that is nothing.
func (g *group) take(r *parsers.Record) (some bool) {
	for i := range g.feeds {
		f := &g.feeds[i]
		f.fed = f.take(r)
		some = some || f.fed
	}
	return some
}

// add what the record has to the series of its labels, of which the one that
// is a list has this element.
func (g *group) add(r *parsers.Record, element []byte) {
	g.key = g.appendKey(g.key[:0], g.labels, r, element)
	all, known := g.known[string(g.key)]
	if !known {
		all = g.spare
	}
	own := false
	for i := range g.feeds {
		f := &g.feeds[i]
		if g.always && f.way != addDefault {
			f.fed = f.take(r)
		}
		if !f.fed {
			continue
		}
		s := all[i]
		if s == nil {
			s = g.find(f, r, element)
			all[i] = s
			own = own || s.capped == nil && len(f.labels) == len(g.labels)
		}
		f.add(s, r)
	}
	switch {
	case known:
	case own:
		g.known[string(g.key)] = all
		g.spare = make([]*series, len(g.feeds))
	default:
		clear(all)
	}
}

// find the series of a feed that the group's key tells.
func (g *group) find(f *feed, r *parsers.Record, element []byte) *series {
	if len(f.labels) == len(g.labels) {
		return f.family.with(g.key)
	}
	g.part = g.appendKey(g.part[:0], f.labels, r, element)
	return f.family.with(g.part)
}

func (f *feed) add(s *series, r *parsers.Record) {
	if s.capped != nil {
		s.capped.Inc()
	}
	switch f.way {
	case addDefault, addValue:
		s.counter.Add(f.amount)
	case observeValue:
		s.histogram.Observe(f.amount)
	case countGap:
		s.countGap(f.number)
	case countSecond:
		s.countSecond(r.Time/int64(time.Second), f.metric.SecondsAt)
	}
}

// keyEnd ends each label value of a key. No UTF-8 text has this byte.
const keyEnd = 0xff

// maxLabelBytes of a metric's label; what is longer is cut and ends in cutMark.
const (
	maxLabelBytes = 128
	cutMark       = "…"
)

// appendKey appends the values of these labels.
func (g *group) appendKey(key []byte, labels []int, r *parsers.Record, element []byte) []byte {
	for _, field := range labels {
		value := element
		if field != g.each {
			value = r.Value(field)
		}
		if len(value) > maxLabelBytes {
			key = appendCut(key, value)
		} else {
			key = append(key, value...)
		}
		key = append(key, keyEnd)
	}
	return key
}

// appendCut appends the beginning of a value that is too long.
func appendCut(key, value []byte) []byte {
	end := maxLabelBytes - len(cutMark)
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return append(append(key, value[:end]...), cutMark...)
}
