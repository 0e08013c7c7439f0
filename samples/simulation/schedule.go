package simulation

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// said is something that a part logs.
type said struct {
	at     time.Time
	level  string
	origin string // file and line, or module
	thread string

	from, to int // of the text, in the schedule's
}

// schedule keeps what is said until its second comes.
type schedule struct {
	waiting []said
	gone    int    // of those that wait, which are due
	texts   []byte // of those that wait
	last    time.Time
	step    time.Duration // between two times, at least; 0 lets them be equal
}

// say something with a text as appendf makes it.
func (s *schedule) say(what said, text string, args ...any) {
	s.forget()
	what.from = len(s.texts)
	s.texts = appendf(s.texts, text, args...)
	what.to = len(s.texts)
	s.waiting = append(s.waiting, what)
}

// text of what is said, until the next say.
func (s *schedule) text(what said) []byte { return s.texts[what.from:what.to] }

// forget what was due.
func (s *schedule) forget() {
	if s.gone == 0 {
		return
	}
	s.waiting = slices.Delete(s.waiting, 0, s.gone)
	s.gone = 0
	if len(s.waiting) == 0 {
		s.texts = s.texts[:0]
	}
}

// all gives all that is said.
func (s *schedule) all() []said {
	s.forget()
	s.gone = len(s.waiting)
	return s.waiting
}

// due gives what is said in a second, in order, each within it.
func (s *schedule) due(second time.Time) []said {
	s.forget()
	slices.SortStableFunc(s.waiting, func(a, b said) int { return a.at.Compare(b.at) })
	end := second.Add(time.Second)
	n := 0
	for ; n < len(s.waiting) && s.waiting[n].at.Before(end); n++ {
		what := &s.waiting[n]
		what.at = s.next(what.at, second)
	}
	s.gone = n
	return s.waiting[:n]
}

// next time that a line may have: not before the one wanted, nor before the
// last line's. The last millisecond of a second is for what comes too much.
func (s *schedule) next(at, second time.Time) time.Time {
	at = at.Truncate(time.Microsecond)
	if latest := second.Add(999 * time.Millisecond); at.After(latest) {
		at = latest
	}
	if at.Before(second) {
		at = second
	}
	if earliest := s.last.Add(s.step); at.Before(earliest) {
		at = earliest
	}
	s.last = at
	return at
}

// clock prints times to the microsecond.
type clock struct {
	layout string // of what stands before the fraction
	second int64
	text   []byte // of the second
}

func (c *clock) append(to []byte, at time.Time) []byte {
	if second := at.Unix(); second != c.second || c.text == nil {
		c.second, c.text = second, at.AppendFormat(c.text[:0], c.layout)
	}
	to = append(append(to, c.text...), "000000"...)
	for i, left := len(to)-1, at.Nanosecond()/1000; left > 0; i-- {
		to[i] = byte('0' + left%10)
		left /= 10
	}
	return to
}

// often gives how often something happens in a second that happens so often in
// the mean.
func often(rng *rand.Rand, mean float64) int {
	if mean <= 0 {
		return 0
	}
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())))
	}
	n, left := 0, math.Exp(-mean)
	for p := rng.Float64(); p > left; p *= rng.Float64() {
		n++
	}
	return n
}

// within gives a time in the second.
func within(rng *rand.Rand, second time.Time) time.Time {
	return second.Add(time.Duration(rng.Int64N(998_000)) * time.Microsecond)
}

// jitter is a duration between a half and twice of a mean.
func jitter(rng *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(float64(mean) * math.Exp2(2*rng.Float64()-1)).Truncate(time.Microsecond)
}

func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

// churn tells which replicas of shop/web came and went since the moment before.
type churn struct {
	before int
	known  bool
}

func (c *churn) second(m Moment) (added, deleted []Pod) {
	before := c.before
	if !c.known {
		before = m.Replicas
	}
	c.before, c.known = m.Replicas, true
	for i := before; i < m.Replicas; i++ {
		added = append(added, Web(i))
	}
	for i := before; i > m.Replicas; i-- {
		deleted = append(deleted, Web(i-1))
	}
	return added, deleted
}

// turn tells when stories begin and end.
type turn map[Story]bool

func (t turn) second(m Moment, s Story) (begins, ends bool) {
	_, told := m.Told(s)
	before := t[s]
	t[s] = told
	return told && !before, before && !told
}

// share is something that happens in a share of cases.
type share[T any] struct {
	weight float64
	of     T
}

// among picks by weight.
func among[T any](rng *rand.Rand, all []share[T]) T {
	sum := 0.0
	for _, s := range all {
		sum += s.weight
	}
	at := rng.Float64() * sum
	for _, s := range all {
		if at -= s.weight; at < 0 {
			return s.of
		}
	}
	return all[len(all)-1].of
}
