package parsers

import (
	"fmt"
	"testing"
	"time"
)

func TestTimeLayout_Unix(t *testing.T) {
	f := func(layout, text string, want int64, resolution time.Duration) {
		t.Helper()
		l, err := newTimeLayout(layout, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.parse([]byte(text))
		if err != nil || got != want || l.resolution != resolution {
			t.Errorf("%s %q: want %d in steps of %s, got %d in steps of %s, %v", layout, text, want, resolution, got, l.resolution, err)
		}
	}
	const second = 1730797204
	f("unix", "1730797204", second*1e9, time.Second)
	f("unix", "0", 0, time.Second)
	f("unix", "1730797204.5", second*1e9+5e8, 100*time.Millisecond)
	f("unix", "1730797204.123456789", second*1e9+123456789, 1)
	f("unix", "1730797204.12345678999999999999", second*1e9+123456789, 1)
	f("unix", "1.730797204e+09", second*1e9, time.Second)
	f("unix", "1.7307972041234567e+09", second*1e9+123456700, 100)
	f("unix", "1.73e9", 1730000000*1e9, time.Second)
	f("unix", "17307972040e-1", second*1e9, 100*time.Millisecond)
	f("unix_ms", "1730797204123", second*1e9+123e6, time.Millisecond)
	f("unix_ms", "1730797204123.25", second*1e9+12325e4, 10*time.Microsecond)
	f("unix_ms", "1730797204123.0000001", second*1e9+123e6, 1)

	bad := func(text string) {
		t.Helper()
		for layout := range unixLayouts {
			l, err := newTimeLayout(layout, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := l.parse([]byte(text)); err == nil {
				t.Errorf("%s %q: want an error, got %d", layout, text, got)
			}
		}
	}
	bad("")
	bad("-1")
	bad(".5")
	bad("1.")
	bad("1.e3")
	bad("1e")
	bad("1e999")
	bad("1e30")
	bad("1.2.3")
	bad("173x")
	bad("1730797204 ")
	bad("9223372036854775808000")
	bad("99999999999999999")
}

// Numbers are read as exactly as they are written.
func FuzzTimeLayout_Unix(f *testing.F) {
	f.Add(int64(1730797204123456789))
	f.Add(int64(1))
	f.Fuzz(func(t *testing.T, ns int64) {
		if ns < 0 {
			ns = ^ns
		}
		l, err := newTimeLayout("unix", time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%d.%09d", ns/1e9, ns%1e9)
		if got, err := l.parse([]byte(text)); err != nil || got != ns {
			t.Errorf("%q: want %d, got %d, %v", text, ns, got, err)
		}
	})
}
