package parsers

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// timeLayout parses the times of one layout. It gives what time.Parse gives;
// usual layouts are read without it, for it allocates. A layout without a year
// takes the latest year that does not lead more than a day beyond the
// reference.
type timeLayout struct {
	layout   string
	zone     *time.Location
	yearless bool
	// resolution is the step of the layout's last digit; of the time that was
	// parsed last, where the layout counts from 1970.
	resolution time.Duration
	// unix is what such a layout counts, a second or a millisecond; else 0.
	unix time.Duration

	// Of a layout that is a day, 15:04:05, perhaps a fraction and perhaps a
	// zone; no parts for others.
	day    []dayPart
	digits int // of the fraction; 0 for any number of them, or none
	tail   timeTail

	// the day last seen, since nearly all lines share it
	last    [maxDayWidth]byte
	lastLen int
	date    date
	// reference in Unix nanoseconds, for layouts without a year
	reference int64
}

// dayPart is one of the parts below, or a byte that stands for itself.
type dayPart byte

const (
	year4     dayPart = iota // 2006
	month2                   // 01
	monthName                // Jan
	day2                     // 02
	dayBlank                 // _2
)

var dayParts = [...]string{year4: "2006", month2: "01", monthName: "Jan", day2: "02", dayBlank: "_2"}

type timeTail uint8

const (
	noTail         timeTail = iota
	literalZ                // Z
	offset                  // -0700
	offsetColon             // -07:00
	offsetOrZ               // Z0700
	offsetColonOrZ          // Z07:00
)

var timeTails = [...]string{noTail: "", literalZ: "Z", offset: "-0700", offsetColon: "-07:00", offsetOrZ: "Z0700", offsetColonOrZ: "Z07:00"}

// date is a day; if it has a year, its start in Unix seconds: in UTC where the
// times say how far they are from it, else in the layout's zone.
type date struct {
	year, month, day int
	start            int64
}

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
	if !ok {
		return
	}
	var parts []dayPart
	for len(day) > 0 {
		i := slices.IndexFunc(dayParts[:], func(part string) bool { return strings.HasPrefix(day, part) })
		switch {
		case i >= 0:
			parts, day = append(parts, dayPart(i)), day[len(dayParts[i]):]
		case strings.ContainsRune("-/T ", rune(day[0])):
			parts, day = append(parts, dayPart(day[0])), day[1:]
		default:
			return
		}
	}
	if n := len(parts); n == 0 || parts[n-1] <= dayBlank { // then it is not clear where the day ends
		return
	}
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') && (rest[1] == '0' || rest[1] == '9') {
		digits := len(rest) - 1 - len(strings.TrimLeft(rest[1:], rest[1:2]))
		if rest[1] == '0' {
			t.digits = digits
		}
		rest = rest[1+digits:]
	}
	tail := slices.Index(timeTails[:], rest)
	if tail < 0 {
		return
	}
	t.day, t.tail = parts, timeTail(tail)
}

// in sets the zone of times that do not name theirs, as a Z at the end does.
func (t *timeLayout) in(zone *time.Location) {
	if !strings.HasSuffix(t.layout, "Z") {
		t.zone, t.lastLen = zone, 0
	}
}

// refer sets the reference for times without a year.
func (t *timeLayout) refer(unixNano int64) {
	t.reference, t.lastLen = unixNano, 0
}

var errTime = errors.New("no valid time")

// parse gives Unix nanoseconds.
func (t *timeLayout) parse(text []byte) (int64, error) {
	if t.unix != 0 {
		return t.parseUnix(text)
	}
	if t.day != nil {
		switch ns, sure := t.read(text); sure {
		case yes:
			return ns, nil
		case no:
			return 0, errTime
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

// answer tells whether a text is a time of the layout. What is unusual is left
// to time.Parse, which is generous.
type answer uint8

const (
	unsure answer = iota
	no
	yes
)

// read gives Unix nanoseconds.
func (t *timeLayout) read(text []byte) (int64, answer) {
	w := t.lastLen
	if w == 0 || len(text) <= w || text[w]-'0' > 9 || string(text[:w]) != string(t.last[:w]) {
		var is answer
		if w, is = t.readDay(text); is != yes {
			return 0, is
		}
	}
	rest := text[w:]
	if len(rest) < len(clock) || rest[1]-'0' > 9 {
		return 0, unsure // an hour may have one digit
	}
	hour, minute, second := two(rest[0], rest[1]), two(rest[3], rest[4]), two(rest[6], rest[7])
	if rest[2] != ':' || rest[5] != ':' || hour > 23 || minute > 59 || second > 59 {
		return 0, no
	}
	rest = rest[len(clock):]
	nanos := int64(0)
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') && rest[1]-'0' <= 9 {
		n := 1
		for ; n < len(rest) && rest[n]-'0' <= 9; n++ {
			if n <= 9 { // time.Parse drops the others
				nanos = nanos*10 + int64(rest[n]-'0')
			}
		}
		if t.digits > 0 && n-1 != t.digits {
			return 0, no
		}
		for k := n; k <= 9; k++ {
			nanos *= 10
		}
		rest = rest[n:]
	} else if t.digits > 0 {
		if len(rest) > 1 && (rest[1] == '+' || rest[1] == '-') { // which time.Parse reads as a sign
			return 0, unsure
		}
		return 0, no
	}
	east, is := t.readTail(rest)
	if is != yes {
		return 0, is
	}
	nanos += (int64(hour)*3600 + int64(minute)*60 + int64(second) - east) * int64(time.Second)
	if !t.yearless {
		return t.date.start*int64(time.Second) + nanos, yes
	}
	latest := time.Unix(0, t.reference).In(t.zone).Year() + 1
	if latest < minYear+10 || latest > maxYear || t.tail >= offset {
		return 0, unsure
	}
	for year := latest; year > latest-10; year-- { // one of nine has a 29 February
		d := date{year: year, month: t.date.month, day: t.date.day}
		switch t.begin(&d) {
		case unsure:
			return 0, unsure
		case yes:
			if at := d.start*int64(time.Second) + nanos; at <= t.reference+24*int64(time.Hour) {
				return at, yes
			}
		}
	}
	return 0, no
}

// The years that nanoseconds can count, and a few less.
const (
	minYear = 1700
	maxYear = 2200
)

// begin finds out when a day begins, and whether there is such a day. It is
// unsure about days on which the clocks of the zone are changed, and those
// beside them: they may have an hour twice, or lack one.
func (t *timeLayout) begin(d *date) answer {
	at := time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, time.UTC)
	if at.Day() != d.day || int(at.Month()) != d.month {
		return no
	}
	if t.tail == noTail && t.zone != time.UTC {
		at = time.Date(d.year, time.Month(d.month), d.day, 0, 0, 0, 0, t.zone)
		if from, to := at.ZoneBounds(); from.After(at.AddDate(0, 0, -1)) || !to.IsZero() && to.Before(at.AddDate(0, 0, 2)) {
			return unsure
		}
	}
	d.start = at.Unix()
	return yes
}

// readDay keeps the day that a text begins with, and gives its length.
func (t *timeLayout) readDay(text []byte) (width int, is answer) {
	d := date{}
	rest := text
	for _, part := range t.day {
		if len(rest) < 4 { // and a clock is to follow
			return 0, no
		}
		switch part {
		case year4:
			high, low := two(rest[0], rest[1]), two(rest[2], rest[3])
			if high > 99 || low > 99 {
				return 0, no
			}
			d.year, rest = int(100*high+low), rest[4:]
		case month2:
			d.month, rest = int(two(rest[0], rest[1])), rest[2:]
		case monthName:
			d.month, rest = monthOf(rest), rest[3:]
		case day2:
			d.day, rest = int(two(rest[0], rest[1])), rest[2:]
		case dayBlank:
			if rest[0] == ' ' {
				rest = rest[1:]
			}
			if d.day = int(two(rest[0], rest[1])); d.day <= 99 {
				rest = rest[2:]
			} else {
				d.day, rest = int(two('0', rest[0])), rest[1:]
			}
		default:
			if rest[0] != byte(part) {
				return 0, no
			}
			for rest = rest[1:]; part == ' ' && len(rest) > 0 && rest[0] == ' '; {
				rest = rest[1:]
			}
		}
	}
	switch {
	case t.yearless && (d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31):
		return 0, no
	case t.yearless:
	default:
		if is := t.begin(&d); is != yes {
			return 0, is
		}
		if d.year < minYear || d.year > maxYear {
			return 0, unsure
		}
	}
	if width = len(text) - len(rest); width <= maxDayWidth {
		t.lastLen = copy(t.last[:], text[:width])
	} else {
		t.lastLen = 0
	}
	t.date = d
	return width, yes
}

// monthOf gives the month of a name of three letters, or 0.
func monthOf(text []byte) int {
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	for i := 0; i < len(names); i += 3 {
		if text[0]|0x20 == names[i] && text[1]|0x20 == names[i+1] && text[2]|0x20 == names[i+2] {
			return i/3 + 1
		}
	}
	return 0
}

// readTail gives the seconds by which the zone at the end of a time is ahead of UTC.
func (t *timeLayout) readTail(text []byte) (east int64, is answer) {
	z := len(text) == 1 && text[0] == 'Z'
	switch t.tail {
	case noTail:
		z = len(text) == 0
	case literalZ:
	case offsetOrZ, offsetColonOrZ:
		if !z {
			return readOffset(text, t.tail == offsetColonOrZ)
		}
	default:
		return readOffset(text, t.tail == offsetColon)
	}
	if z {
		return 0, yes
	}
	return 0, no
}

func readOffset(text []byte, colon bool) (east int64, is answer) {
	if colon {
		if len(text) != len("-07:00") || text[3] != ':' {
			return 0, no
		}
	} else if len(text) != len("-0700") {
		return 0, no
	}
	hours, minutes := two(text[1], text[2]), two(text[len(text)-2], text[len(text)-1])
	if hours > 24 || minutes > 60 || text[0] != '+' && text[0] != '-' {
		return 0, no
	}
	east = int64(hours*3600 + minutes*60)
	if text[0] == '-' {
		east = -east
	}
	return east, yes
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
