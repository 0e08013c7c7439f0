package simulation_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/corkline/corkline/samples/simulation"
)

// What appendf takes, it prints as package fmt does.
func TestAppendf(t *testing.T) {
	verbs := map[string]*rapid.Generator[any]{
		"sq": rapid.OneOf(
			rapid.String().AsAny(),
			rapid.Custom(func(t *rapid.T) netip.Addr {
				return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
			}).AsAny(),
			rapid.Custom(func(t *rapid.T) netip.Addr {
				return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")))
			}).AsAny(),
			rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64().Draw(t, "duration")) }).AsAny(),
			rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(0, rapid.Int64().Draw(t, "time")).UTC() }).AsAny(),
			rapid.Custom(func(t *rapid.T) simulation.Pod { return simulation.Web(rapid.IntRange(0, 155).Draw(t, "pod")) }).AsAny(),
		),
		"dx": rapid.OneOf(rapid.Int().AsAny(), rapid.Int64().AsAny(), rapid.Uint16().AsAny(), rapid.Uint32().AsAny(), rapid.Uint64().AsAny(), rapid.Byte().AsAny()),
		"f":  rapid.Float64Range(-1e9, 1e9).AsAny(),
	}
	rapid.Check(t, func(t *rapid.T) {
		var format strings.Builder
		var args []any
		for range rapid.IntRange(0, 5).Draw(t, "verbs") {
			format.WriteString(strings.ReplaceAll(rapid.String().Draw(t, "text"), "%", "%%"))
			kinds := rapid.SampledFrom([]string{"sq", "dx", "f"}).Draw(t, "kind")
			arg := verbs[kinds].Draw(t, "argument")
			verb := string(rapid.SampledFrom([]byte(kinds)).Draw(t, "verb"))
			width := rapid.SampledFrom([]string{"", "7", "-9", "24"}).Draw(t, "width")
			if kinds == "dx" {
				width = rapid.SampledFrom([]string{width, "02", "016"}).Draw(t, "zeros")
			}
			if kinds == "f" {
				width += rapid.SampledFrom([]string{".1", ".4"}).Draw(t, "precision")
			}
			format.WriteString("%" + width + verb)
			args = append(args, arg)
		}
		want := fmt.Sprintf(format.String(), args...)
		if got := string(simulation.Appendf(nil, format.String(), args...)); got != want {
			t.Fatalf("%q of %q: got %q, want %q", format.String(), args, got, want)
		}
	})
}

// Whatever the format, it ends, and keeps what was there.
func FuzzAppendf(f *testing.F) {
	f.Add("%s is %5.1f, %-4d %% %")
	f.Add("%!%9999999999d%0-.s")
	f.Fuzz(func(t *testing.T, format string) {
		got := string(simulation.Appendf([]byte("before "), format, "a", 1, 2.5, time.Second, struct{}{}))
		if !strings.HasPrefix(got, "before ") || len(got) > 7+len(format)*1100 {
			t.Errorf("%q gives %q", format, got)
		}
	})
}

// A text in JSON is read back as it was, whatever it holds.
func FuzzAppendJSON(f *testing.F) {
	f.Add("a \"b\" \\ \x00\n\x1f é")
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		if err := json.Unmarshal(simulation.AppendJSON(nil, text), &got); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(text) && got != text {
			t.Errorf("%q is read as %q", text, got)
		}
	})
}

// Labels are quoted as Go quotes, however often they are asked for.
func FuzzLabels(f *testing.F) {
	f.Add("plain", "with \"quotes\"\n")
	f.Fuzz(func(t *testing.T, one, other string) {
		want := fmt.Sprintf("a=%q,b=%q", one, other)
		var kept simulation.Texts
		for range 2 {
			if got := kept.Labels("a", one, "b", other); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}
