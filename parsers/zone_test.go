package parsers

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// In every zone, on every day, the quick way gives what package time gives:
// some clocks are changed at midnight, by half an hour, or by a whole day.
func TestTimeLayout_Zones(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Kolkata", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Godthab"}
	layouts := []string{"2006-01-02 15:04:05", "2006/01/02 15:04:05.000000", "2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05Z"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		layout := rapid.SampledFrom(layouts).Draw(t, "layout")
		quick, err := newTimeLayout(layout, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if quick.day == nil {
			t.Fatalf("%s has no quick way", layout)
		}
		quick.in(zone)
		slow := *quick
		slow.day = nil
		at := time.Unix(rapid.Int64Range(0, 1<<31).Draw(t, "at"), 0).UTC()
		// On days on which clocks are changed, and beside them.
		if _, change := at.In(zone).ZoneBounds(); !change.IsZero() && rapid.Bool().Draw(t, "change") {
			at = change.Add(time.Duration(rapid.Int64Range(-100_000, 100_000).Draw(t, "from the change")) * time.Second).In(zone)
		}
		for range 3 { // the first teaches the day
			text := []byte(at.Format(layout))
			got, gotErr := quick.parse(text)
			want, wantErr := slow.parse(text)
			if gotErr != nil || wantErr != nil || got != want {
				t.Fatalf("%q in %s: %d, %v; time.Parse %d, %v", text, zone, got, gotErr, want, wantErr)
			}
			year, month, day := at.Date() // whether the zone has such an hour or not
			at = time.Date(year, month, day, rapid.IntRange(0, 23).Draw(t, "hour"), at.Minute(), at.Second(), 0, time.UTC)
		}
	})
}

// In other zones, too, nothing is allocated for a line of a day that is known.
func TestTimeLayout_ZonesAllocateNothing(t *testing.T) {
	l, err := newTimeLayout("2006-01-02 15:04:05.000", zoneOf(t, "Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("2024-06-02 10:11:12.345")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := l.parse(text); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The zone of a parser is that of times that name none.
func TestParser_In(t *testing.T) {
	d, faults := ParseDefinition("x.yaml", []byte(`name: x
layouts: [{name: l, regex: '^(?P<time>[^!]+)$'}]
time: {field: time, layouts: ["2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000Z", "Jan _2 15:04:05", "15:04:05 02.01.2006"], zone: Asia/Tokyo}
`))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	f := func(zone, line, want string) {
		t.Helper()
		p := d.NewParser()
		p.Refer(time.Date(2024, 7, 1, 0, 0, 0, 0, time.UTC).UnixNano())
		if zone != "" {
			p.In(zoneOf(t, zone))
		}
		r := Record{Line: []byte(line)}
		if err := p.Parse(&r); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		if got := time.Unix(0, r.Time).UTC().Format(time.RFC3339); got != want {
			t.Errorf("%q in %q: want %s, got %s", line, zone, want, got)
		}
	}
	f("", "2024-06-02 10:11:12", "2024-06-02T01:11:12Z")
	f("UTC", "2024-06-02 10:11:12", "2024-06-02T10:11:12Z")
	f("Europe/Berlin", "2024-06-02 10:11:12", "2024-06-02T08:11:12Z")
	f("Europe/Berlin", "2024-01-02 10:11:12", "2024-01-02T09:11:12Z")
	f("Europe/Berlin", "2024-03-31 03:00:00", "2024-03-31T01:00:00Z") // the first hour of summer
	f("Europe/Berlin", "Jun  2 10:11:12", "2024-06-02T08:11:12Z")
	f("Europe/Berlin", "Jul  5 10:11:12", "2023-07-05T08:11:12Z")
	f("Europe/Berlin", "10:11:12 02.06.2024", "2024-06-02T08:11:12Z") // not of the quick form

	// These name theirs.
	f("Europe/Berlin", "2024-06-02T10:11:12Z", "2024-06-02T10:11:12Z")
	f("Europe/Berlin", "2024-06-02T10:11:12+05:30", "2024-06-02T04:41:12Z")
	f("Europe/Berlin", "2024-06-02T10:11:12.000Z", "2024-06-02T10:11:12Z")
}
