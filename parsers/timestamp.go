package parsers

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// timeLayout parses the times of one layout. It gives what time.Parse gives;
// usual layouts are read without it. A layout without a year takes the latest
// year that does not lead more than a day beyond the reference.
type timeLayout struct {
	layout   string
	zone     *time.Location
	yearless bool
	// resolution is the step of the layout's last digit; of the time that was
	// parsed last, where the layout counts from 1970.
	resolution time.Duration
	// unix is what such a layout counts, a second or a millisecond; else 0.
	unix time.Duration

	// Of a layout that is a day, 15:04:05, perhaps a fraction and perhaps a Z:
	fast     bool
	dayWidth int
	fraction fraction
	digits   int // of the fraction, with fixed
	tail     timeTail

	// the day last seen, since nearly all lines share it
	day      [maxDayWidth]byte
	dayLen   int
	dayStart int64
	// reference in Unix nanoseconds, for layouts without a year
	reference int64
}

type fraction uint8

const (
	noFraction fraction = iota
	fixed               // .000: so many digits
	open                // .999: up to nine digits, or none at all
)

type timeTail uint8

const (
	noTail     timeTail = iota
	literalZ            // Z
	zoneOffset          // Z07:00; read fast when it is a Z
)

// Layouts of times that are numbers, since 1970-01-01T00:00:00Z.
var unixLayouts = map[string]time.Duration{"unix": time.Second, "unix_ms": time.Millisecond}

const (
	maxDayWidth = 16
	clock       = "15:04:05"
)

func newTimeLayout(layout string, zone *time.Location) (*timeLayout, error) {
	t := &timeLayout{layout: layout, zone: time.UTC, resolution: time.Second, unix: unixLayouts[layout]}
	t.in(zone)
	if t.unix != 0 {
		return t, nil
	}
	probe := time.Date(2006, 1, 2, 15, 4, 5, 123456789, zone)
	back, err := time.ParseInLocation(layout, probe.Format(layout), zone)
	if err != nil || back.Second() != 5 || back.Minute() != 4 {
		return nil, fmt.Errorf("%q does not give a time; write Mon Jan 2 15:04:05 2006 in the line's form, or unix or unix_ms for a number since 1970", layout)
	}
	t.yearless = back.Year() == 0
	for d := time.Second; d >= 1; d /= 10 {
		if back.Nanosecond()%int(d) == 0 {
			t.resolution = d
			break
		}
	}
	t.learn()
	return t, nil
}

// learn finds out whether the layout can be read without time.Parse.
func (t *timeLayout) learn() {
	day, rest, ok := strings.Cut(t.layout, clock)
	if !ok || len(day) == 0 || len(day) > maxDayWidth || strings.ContainsAny(day, "345Z:") || strings.Contains(day, "Monday") || strings.Contains(day, "January") {
		return
	}
	if strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, ",") {
		n := 1
		for n < len(rest) && rest[n] == rest[1] {
			n++
		}
		switch rest[1] {
		case '0':
			t.fraction, t.digits = fixed, n-1
		case '9':
			t.fraction = open
		default:
			return
		}
		if rest[0] == ',' {
			return // rare; time.Parse knows it
		}
		rest = rest[n:]
	}
	switch rest {
	case "":
	case "Z":
		t.tail = literalZ
	case "Z07:00":
		t.tail = zoneOffset
	default:
		return
	}
	t.dayWidth, t.fast = len(day), true
}

// in sets the zone of times that do not name theirs, as a Z at the end does.
func (t *timeLayout) in(zone *time.Location) {
	if !strings.HasSuffix(t.layout, "Z") {
		t.zone, t.dayLen = zone, 0
	}
}

// refer sets the reference for times without a year.
func (t *timeLayout) refer(unixNano int64) {
	t.reference, t.dayLen = unixNano, 0
}

var errTime = errors.New("no valid time")

// parse gives Unix nanoseconds.
func (t *timeLayout) parse(text []byte) (int64, error) {
	if t.unix != 0 {
		return t.parseUnix(text)
	}
	if t.fast {
		if ns, ok := t.parseFast(text); ok {
			return ns, nil
		}
	}
	at, err := t.parseSlow(t.layout, string(text))
	if err != nil {
		return 0, err
	}
	if year := at.Year(); year < 1678 || year > 2261 {
		return 0, errTime // beyond what nanoseconds can say
	}
	return at.UnixNano(), nil
}

func (t *timeLayout) parseSlow(layout, text string) (time.Time, error) {
	if !t.yearless {
		return time.ParseInLocation(layout, text, t.zone)
	}
	reference := time.Unix(0, t.reference).In(t.zone)
	limit := reference.Add(24 * time.Hour)
	var first error
	for year := reference.Year() + 1; year > reference.Year()-9; year-- { // one of nine has a 29 February
		at, err := time.ParseInLocation("2006 "+layout, fmt.Sprintf("%04d %s", year, text), t.zone)
		if err == nil && !at.After(limit) {
			return at, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = errTime
	}
	return time.Time{}, first
}

// parseFast gives up on anything unusual; time.Parse then decides.
func (t *timeLayout) parseFast(text []byte) (int64, bool) {
	w := t.dayWidth
	if len(text) < w+len(clock) {
		return 0, false
	}
	c := text[w : w+len(clock)]
	rest := text[w+len(clock):]
	if c[2] != ':' || c[5] != ':' {
		return 0, false
	}
	hour, minute, second := two(c[0], c[1]), two(c[3], c[4]), two(c[6], c[7])
	if hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	nanos := int64(0)
	if t.fraction != noFraction && len(rest) > 0 && rest[0] == '.' {
		n := 1
		for n < len(rest) && n <= 9 && rest[n]-'0' <= 9 {
			nanos = nanos*10 + int64(rest[n]-'0')
			n++
		}
		if n == 1 || t.fraction == fixed && n-1 != t.digits {
			return 0, false
		}
		for k := n; k <= 9; k++ {
			nanos *= 10
		}
		rest = rest[n:]
	} else if t.fraction == fixed {
		return 0, false
	}
	switch {
	case t.tail == noTail && len(rest) == 0:
	case t.tail != noTail && len(rest) == 1 && rest[0] == 'Z':
	default:
		return 0, false
	}
	if t.dayLen != w || string(text[:w]) != string(t.day[:w]) {
		if !t.learnDay(text) {
			return 0, false
		}
	}
	return (t.dayStart+int64(hour)*3600+int64(minute)*60+int64(second))*int64(time.Second) + nanos, true
}

// parseUnix reads a number, perhaps with a fraction and an exponent, exactly;
// what is below a nanosecond is dropped.
func (t *timeLayout) parseUnix(text []byte) (int64, error) {
	value, digits, scale, i := int64(0), 0, 0, 0
	for point := false; i < len(text); i++ {
		switch b := text[i]; {
		case b == '.' && !point && digits > 0:
			point = true
			continue
		case b-'0' > 9:
			// what is behind the number
		case value > (math.MaxInt64-9)/10: // more than nanoseconds need
			if !point {
				return 0, errTime
			}
			continue
		default:
			value, digits = value*10+int64(b-'0'), digits+1
			if point {
				scale--
			}
			continue
		}
		break
	}
	if digits == 0 || text[i-1] == '.' {
		return 0, errTime
	}
	if i < len(text) {
		exponent, err := strconv.ParseInt(string(text[i+1:]), 10, 8)
		if text[i]|0x20 != 'e' || err != nil {
			return 0, errTime
		}
		scale += int(exponent)
	}
	step := int64(t.unix)
	for ; scale < 0 && step > 1; scale++ {
		step /= 10
	}
	for ; scale < 0 && value > 0; scale++ {
		value /= 10
	}
	for ; scale > 0 && value < math.MaxInt64/10; scale-- {
		value *= 10
	}
	if scale > 0 || value > math.MaxInt64/step {
		return 0, errTime
	}
	t.resolution = time.Duration(step)
	return value * step, nil
}

// two digits' value; above 99 when they are none.
func two(a, b byte) uint {
	a, b = a-'0', b-'0'
	if a > 9 || b > 9 {
		return 100
	}
	return uint(a)*10 + uint(b)
}

// learnDay fails for days on which the clocks of the zone are changed, and for
// those beside them: they may have an hour twice, or lack one.
func (t *timeLayout) learnDay(text []byte) bool {
	w, given := t.dayWidth, t.zone
	if t.tail != noTail {
		t.zone = time.UTC // as the text says
	}
	zone := t.zone
	// With its clock: which year it is may depend on it.
	at, err := t.parseSlow(t.layout[:w]+clock, string(text[:w+len(clock)]))
	t.zone = given
	if err != nil || at.Year() < 1900 || at.Year() > 2200 {
		return false
	}
	year, month, day := at.Date()
	start := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if from, to := start.ZoneBounds(); from.After(start.AddDate(0, 0, -1)) || !to.IsZero() && to.Before(start.AddDate(0, 0, 2)) {
		return false
	}
	t.dayLen, t.dayStart = copy(t.day[:], text[:w]), start.Unix()
	return true
}

// times are the layouts that the time of a definition may have.
type times []timeLayout

// parse gives Unix nanoseconds and the step of the last digit.
func (ts times) parse(text []byte) (ns, resolution int64, err error) {
	for i := range ts {
		t := &ts[i]
		at, wrong := t.parse(text)
		if wrong == nil {
			return at, int64(t.resolution), nil
		}
		if err == nil {
			err = wrong
		}
	}
	return 0, 0, err
}
