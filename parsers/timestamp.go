package parsers

import (
	"fmt"
	"strings"
	"time"
)

// timeLayout parses the times of one format. It gives what time.Parse gives;
// layouts of fixed width are read without it.
type timeLayout struct {
	layout string
	zone   *time.Location
	parts  []timePart // nil: only time.Parse knows
	// resolution is the step of the layout's last digit.
	resolution time.Duration

	// the day last seen, since nearly all lines share it
	day      [10]byte
	dayStart int64
}

type timePart struct {
	unit  byte // 'Y' 'M' 'D' 'h' 'm' 's' 'f', or 0 for a literal byte
	at, n int
	byte  byte
}

func newTimeLayout(layout, zone string) (*timeLayout, error) {
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q", zone)
	}
	t := &timeLayout{layout: layout, zone: location, resolution: time.Second}
	probe := time.Date(2006, 1, 2, 15, 4, 5, 123456789, location)
	if back, err := time.ParseInLocation(layout, probe.Format(layout), location); err != nil || back.Second() != 5 || back.Minute() != 4 {
		return nil, fmt.Errorf("layout %q does not give a time; write Mon Jan 2 15:04:05 2006 in the line's form", layout)
	}
	for d := time.Second; d >= 1; d /= 10 {
		back, err := time.ParseInLocation(layout, probe.Format(layout), location)
		if err == nil && back.Nanosecond()%int(d) == 0 {
			t.resolution = d
			break
		}
	}
	if location == time.UTC {
		t.parts = fixedParts(layout)
	}
	return t, nil
}

// fixedParts takes layouts made of 2006 01 02 15 04 05, a fraction of zeros
// behind the seconds, and punctuation.
func fixedParts(layout string) []timePart {
	var parts []timePart
	units := []struct {
		text string
		unit byte
	}{{"2006", 'Y'}, {"01", 'M'}, {"02", 'D'}, {"15", 'h'}, {"04", 'm'}, {"05", 's'}}
	seen := ""
	for at := 0; at < len(layout); {
		part := timePart{at: at, n: 1, byte: layout[at]}
		for _, u := range units {
			if strings.HasPrefix(layout[at:], u.text) {
				part = timePart{unit: u.unit, at: at, n: len(u.text)}
				break
			}
		}
		if layout[at] == '.' && strings.HasSuffix(seen, "s") {
			n := 1
			for at+n < len(layout) && layout[at+n] == '0' {
				n++
			}
			part = timePart{unit: 'f', at: at, n: n}
		}
		if part.unit == 0 && !strings.ContainsRune("/-: T", rune(layout[at])) {
			return nil
		}
		if part.unit != 0 {
			seen += string(part.unit)
		}
		parts = append(parts, part)
		at += part.n
	}
	if seen != "YMDhms" && seen != "YMDhmsf" || parts[4].at != 8 || parts[4].n != 2 {
		return nil // the day must be the first ten bytes
	}
	return parts
}

// parse gives Unix nanoseconds.
func (t *timeLayout) parse(text []byte) (int64, error) {
	if t.parts != nil {
		if ns, ok := t.parseFixed(text); ok {
			return ns, nil
		}
	}
	at, err := time.ParseInLocation(t.layout, string(text), t.zone)
	if err != nil {
		return 0, err
	}
	return at.UnixNano(), nil
}

// parseFixed gives up on anything unusual; time.Parse then decides.
func (t *timeLayout) parseFixed(text []byte) (int64, bool) {
	last := t.parts[len(t.parts)-1]
	if len(text) != last.at+last.n {
		return 0, false
	}
	if t.dayStart == 0 || string(text[:10]) != string(t.day[:]) {
		day, err := time.Parse(t.layout[:10], string(text[:10]))
		if err != nil || day.Unix() == 0 || day.Year() < 1900 || day.Year() > 2200 {
			return 0, false
		}
		copy(t.day[:], text[:10])
		t.dayStart = day.Unix()
	}
	seconds, nanos := t.dayStart, int64(0)
	for i := 5; i < len(t.parts); i++ {
		p := &t.parts[i]
		if p.unit == 0 {
			if text[p.at] != p.byte {
				return 0, false
			}
			continue
		}
		from := p.at
		if p.unit == 'f' {
			if text[from] != '.' {
				return 0, false
			}
			from++
		}
		value := int64(0)
		for _, b := range text[from : p.at+p.n] {
			if b < '0' || b > '9' {
				return 0, false
			}
			value = value*10 + int64(b-'0')
		}
		switch p.unit {
		case 'h':
			if value > 23 {
				return 0, false
			}
			seconds += value * 3600
		case 'm':
			if value > 59 {
				return 0, false
			}
			seconds += value * 60
		case 's':
			if value > 59 {
				return 0, false
			}
			seconds += value
		case 'f':
			for range 9 - (p.n - 1) {
				value *= 10
			}
			nanos = value
		}
	}
	return seconds*int64(time.Second) + nanos, true
}
