package parsers

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vjeantet/grok"
	"pgregory.net/rapid"
)

// same holds that the matcher finds what regexp finds.
func same(t interface{ Fatalf(string, ...any) }, source, line string) {
	p, err := compilePattern(source)
	if err != nil || p.fast == nil || !isASCII([]byte(line)) {
		return
	}
	var want []int32
	for _, at := range regexp.MustCompile(source).FindStringSubmatchIndex(line) {
		want = append(want, int32(at))
	}
	var s search
	var got []int32
	switch p.fast.match([]byte(line), &s) {
	case matched:
		got = s.slots
	case undecided:
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q on %q (-regexp +matcher):\n%s", source, line, diff)
	}
}

func TestMatcher_Expressions(t *testing.T) {
	expressions := []string{
		`^a*$`, `^(a*)(a)$`, `^(a*?)(a*)$`, `^(.*) (x|y|) (.*)$`, `^(a|ab)(c|bcd)(d*)$`, `^(?:(a)|b)*$`, `^(a+|b)+c`,
		`^(\w+)\b (\S*)$`, `^(?:(x)y)?(.*)$`, `^(a{2,3})(a*)$`, `^((?:ab){1,2})(.*)$`, `^(.*?),(.*),(.*)$`, `^(?i:warn|info) (.*)$`,
		`^(\d{4}/\d\d) (.*) \[(\d+) packets in ([^\]]+)\]$`, `^[^ ]+ ([^ ]*) (.*)x$`, `^(|a)+$`, `^(a?)(a?)(a?)aaa$`, `^(?s:.)(.*)$`, `^(a|b|)(c)?\B`,
	}
	lines := []string{
		"", "a", "aa", "aaa", "aaaa", "ab", "abc", "abcd", "abcdd", "b x ", " x ", "q x y z", "abab", "ababab", "warn x", "INFO y", "Warn ",
		"2024/01 a b [3 packets in 1s]", "2024/01  [3 packets in 1s] [2 packets in 9ms]", "a,b,c,d", ",,", "foo  barx", "foo bar x", "x\ny", "xy", "xyz", "c", "a c",
	}
	for _, e := range expressions {
		for _, l := range lines {
			same(t, e, l)
		}
	}
}

func TestMatcher_Random(t *testing.T) {
	atom := rapid.SampledFrom([]string{"a", "b", "ab", " ", ".", `\w`, `\d`, `[ab]`, `[^a]`, `\S`, `\b`})
	repeat := rapid.SampledFrom([]string{"", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?"})
	var nested func(depth int) *rapid.Generator[string]
	nested = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string { return build(t, depth, atom, repeat, nested) })
	}
	expression := nested(3)
	rapid.Check(t, func(t *rapid.T) {
		source := "^" + expression.Draw(t, "expression") + rapid.SampledFrom([]string{"$", ""}).Draw(t, "end")
		if _, err := regexp.Compile(source); err != nil {
			t.Skip(err)
		}
		line := rapid.StringOfN(rapid.RuneFrom([]rune("aab 1\n")), 0, 12, -1).Draw(t, "line")
		same(t, source, line)
	})
}

func build(t *rapid.T, depth int, atom, repeat *rapid.Generator[string], nested func(int) *rapid.Generator[string]) string {
	var b strings.Builder
	kinds := 5
	if depth == 0 {
		kinds = 0
	}
	for range rapid.IntRange(1, 4).Draw(t, "parts") {
		switch kind := rapid.IntRange(0, kinds).Draw(t, "kind"); {
		case depth > 0 && kind == 0:
			b.WriteString("(" + nested(depth-1).Draw(t, "group") + "|" + nested(depth-1).Draw(t, "group") + ")")
		case kind == 1:
			b.WriteString("(" + nested(depth-1).Draw(t, "group") + ")")
		default:
			b.WriteString(atom.Draw(t, "atom"))
		}
		b.WriteString(repeat.Draw(t, "repeat"))
	}
	return b.String()
}

func FuzzMatcher(f *testing.F) {
	f.Add(`^(a*)(a)$`, "aaa")
	f.Add(`^(\S+) (.*) (x|y|) \[(\d+)\]$`, "a b c x [12]")
	f.Fuzz(func(t *testing.T, source, line string) {
		if len(source) > 60 || len(line) > 200 {
			return
		}
		same(t, source, line)
	})
}

// FuzzParse_NetworkPolicy mutates real lines and holds, for every layout, that
// the matcher, regexp and vjeantet/grok agree.
func FuzzParse_NetworkPolicy(f *testing.F) {
	set, err := Shipped()
	if err != nil {
		f.Fatal(err)
	}
	d := set["antrea-networkpolicy"]
	for _, name := range []string{"log", "bad"} {
		text, err := os.ReadFile("../samples/antrea-networkpolicy." + name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			f.Add(line)
		}
	}
	library, err := grok.NewWithConfig(&grok.Config{NamedCapturesOnly: true})
	if err != nil {
		f.Fatal(err)
	}
	parser := d.NewParser()
	f.Fuzz(func(t *testing.T, line string) {
		for _, l := range d.Layouts {
			same(t, l.pattern.source, line)
		}
		r := Record{Line: []byte(line)}
		if err := parser.Parse(&r); err != nil {
			d.Closest(r.Line)
			return
		}
		if fits := d.Fits(r.Line); len(fits) != 1 {
			t.Fatalf("%q fits the layouts %v", line, fits)
		}
		fields, err := library.Parse(r.Layout.pattern.source, line)
		if err != nil {
			t.Fatal(err)
		}
		for i, field := range d.Fields {
			want := fields[field.Name]
			if want == "<nil>" {
				want = ""
			}
			if got := string(r.Value(i)); got != want {
				t.Fatalf("%q: field %s: grok %q, parser %q", line, field.Name, want, got)
			}
		}
	})
}

func FuzzTimeLayout(f *testing.F) {
	layouts := []string{"2006/01/02 15:04:05.000000", "2006-01-02T15:04:05.000", "2006-01-02 15:04:05", time15}
	f.Add(0, "2023/02/14 11:23:54.727335")
	f.Add(1, "2023-02-29T23:59:60.999")
	f.Add(2, "1970-01-01 00:00:00")
	f.Fuzz(func(t *testing.T, i int, text string) {
		l, err := newTimeLayout(layouts[uint(i)%uint(len(layouts))], "UTC")
		if err != nil {
			t.Fatal(err)
		}
		slow := *l
		slow.parts = nil
		got, gotErr := l.parse([]byte(text))
		want, wantErr := slow.parse([]byte(text))
		if (gotErr == nil) != (wantErr == nil) || gotErr == nil && got != want {
			t.Fatalf("%q as %q: %d, %v; time.Parse %d, %v", text, l.layout, got, gotErr, want, wantErr)
		}
	})
}

const time15 = "15:04:05 2006/01/02" // not of the quick form

// BenchmarkParse_NetworkPolicy is to be read beside BenchmarkRegexp_NetworkPolicy.
func BenchmarkParse_NetworkPolicy(b *testing.B) {
	lines, d := benchmarkLines(b)
	parser := d.NewParser()
	r := Record{Spans: make([]Span, 0, len(d.Fields))}
	eachLine(b, lines, func(line []byte) {
		r.Line = line
		if parser.Parse(&r) != nil {
			b.Fatalf("%q does not parse", line)
		}
	})
}

func BenchmarkRegexp_NetworkPolicy(b *testing.B) {
	lines, d := benchmarkLines(b)
	eachLine(b, lines, func(line []byte) {
		if d.Layouts[0].pattern.re.FindSubmatchIndex(line) == nil {
			b.Fatalf("%q does not match", line)
		}
	})
}

func eachLine(b *testing.B, lines [][]byte, f func([]byte)) {
	bytes := 0
	for _, l := range lines {
		bytes += len(l)
	}
	b.SetBytes(int64(bytes / len(lines)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f(lines[i%len(lines)])
	}
}

func benchmarkLines(b *testing.B) ([][]byte, *Definition) {
	set, err := Shipped()
	if err != nil {
		b.Fatal(err)
	}
	d := set["antrea-networkpolicy"]
	text, err := os.ReadFile("../samples/antrea-networkpolicy.log")
	if err != nil {
		b.Fatal(err)
	}
	var newest [][]byte
	for line := range strings.SplitSeq(string(text), "\n") {
		if isASCII([]byte(line)) && d.Layouts[0].pattern.re.MatchString(line) {
			newest = append(newest, []byte(line))
		}
	}
	return newest, d
}
