package parsers

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/samples"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/google/go-cmp/cmp"
	"github.com/vjeantet/grok"
	"pgregory.net/rapid"
)

// same holds that the matcher finds what regexp finds.
// It tells whether the matcher decided.
func same(t interface{ Fatalf(string, ...any) }, source, line string) bool {
	p, err := compilePattern(source)
	if err != nil {
		return false
	}
	return sameMatch(t, p, line, new(search))
}

// sameMatch takes up a search that may have been used for the line.
func sameMatch(t interface{ Fatalf(string, ...any) }, p *pattern, line string, s *search) bool {
	if s.line == nil || string(s.line) != line {
		s.begin([]byte(line))
	}
	if p.fast == nil || !s.valid {
		return false
	}
	var want []int32
	for _, at := range p.re().FindStringSubmatchIndex(line) {
		want = append(want, int32(at))
	}
	var got []int32
	switch p.fast.match(s) {
	case matched:
		got = s.slots[:p.fast.slots]
	case undecided:
		return false
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q on %q (-regexp +matcher):\n%s", p.source, line, diff)
	}
	return true
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
	expression := randomExpression()
	tried, decided := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		source := "^" + expression.Draw(t, "expression") + rapid.SampledFrom([]string{"$", ""}).Draw(t, "end")
		for range 20 {
			tried++
			if same(t, source, randomLine(t)) {
				decided++
			}
		}
	})
	if decided < tried/5 { // the rest was left to regexp, and compared with nothing
		t.Errorf("the matcher decided %d of %d", decided, tried)
	}
}

// TestMatcher_Shared holds that what one expression leaves of a search does not
// change the match of the next.
func TestMatcher_Shared(t *testing.T) {
	expression := randomExpression()
	rapid.Check(t, func(t *rapid.T) {
		start := "^" + expression.Draw(t, "start") + rapid.SampledFrom([]string{"a", " ", "1b"}).Draw(t, "text")
		var sources []string
		for range 3 {
			sources = append(sources, start+"("+expression.Draw(t, "rest")+")"+rapid.SampledFrom([]string{"$", ""}).Draw(t, "end"))
		}
		sameShared(t, sources, randomLine(t))
	})
	for _, line := range []string{"ba1", "a1", "ba 1", "ba ", "bba 1"} {
		sameShared(t, []string{`^(b)?a(1)?x`, `^(b)?a(\d)$`, `^(b)?a( )?(1?)$`}, line)
		sameShared(t, []string{`^(b*)a x`, `^(b*)a ([^ ]*)$`, `^(b*)a (.*)(1)$`}, line)
	}
}

func sameShared(t interface{ Fatalf(string, ...any) }, sources []string, line string) {
	var patterns []*pattern
	for _, source := range sources {
		p, err := compilePattern(source)
		if err != nil {
			return
		}
		patterns = append(patterns, p)
	}
	share(patterns)
	var s search
	for _, p := range patterns {
		sameMatch(t, p, line, &s)
	}
}

func randomLine(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("aab 1\né世k\u212a")), 0, 12, -1).Draw(t, "line")
}

func randomExpression() *rapid.Generator[string] {
	atom := rapid.SampledFrom([]string{"a", "b", "ab", " ", ".", `\w`, `\d`, `[ab]`, `[^a]`, `[aé]`, `[^é]`, "é", "世", "(?i:k)", `\S`, `\b`})
	repeat := rapid.SampledFrom([]string{"", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?"})
	var nested func(depth int) *rapid.Generator[string]
	nested = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string { return build(t, depth, atom, repeat, nested) })
	}
	return nested(3)
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

// What is left to regexp says why.
func TestCompilePattern_Slow(t *testing.T) {
	f := func(source, want string) {
		t.Helper()
		p, err := compilePattern(source)
		if err != nil {
			t.Fatal(err)
		}
		if p.slow != want || (p.fast == nil) != (want != "") {
			t.Errorf("%s: want %q, got %q", source, want, p.slow)
		}
	}
	f(`^(a*)-(?:b|c?)+d\b.*$`, "a repeated group that may be empty")
	f(`^(a*)-(?:b|c)+d\b.*$`, "")
	f(`^(?:a?)*$`, "a repeated group that may be empty")
	f(`^a*?b+?.??$`, "")
	f(`a$`, "not anchored at the start")
	f(`^a|^b+`, "alternatives that are not within ^(…)")
	f(`^(?:a|b+)`, "")
	f(`(^a)b`, "not anchored at the start")
	f(`(?m)^a`, "a (?m) anchor")
	f(`^a(?m)$`, "a (?m) anchor")
	f(`^a(?m:^)b`, "a (?m) anchor")
	f(`^a(^|b)`, "a second ^")
	f(`^(?:ab)*?c`, "a lazy group")
	f(`^(?:a(b))??c`, "a lazy group")
}

func FuzzMatcher(f *testing.F) {
	for source, line := range map[string]string{ // every construct that the matcher takes
		`^(a*)(a)$`:                             "aaa",
		`^(\S+) (.*) (x|y|) \[(\d+)\]$`:         "a b c x [12]",
		`^(.*?), (?:(a)b|[^,]{2,3})+(c?)`:       "x, y, abzzc",
		`^(?i:straße)\b(?s:.)([é-ü]*)(\pL)\B`:   "STRASSE\néß世x",
		`^[^|]{3}\|(?:([0-9]+)ms|)(世|\x{fffd})`: "aé世|12ms世",
		`^((a{2}|b)*)(?:c|$)`:                   "aabaac",
	} {
		if !same(f, source, line) {
			f.Fatalf("%s is left to regexp", source)
		}
		f.Add(source, line)
	}
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
	d := addNetworkPolicy(f)
	var alone []*pattern // they share nothing
	for _, l := range d.Layouts {
		p, err := compilePattern(l.pattern.source)
		if err != nil {
			f.Fatal(err)
		}
		alone = append(alone, p)
	}
	library, err := grok.NewWithConfig(&grok.Config{NamedCapturesOnly: true})
	if err != nil {
		f.Fatal(err)
	}
	parser := d.NewParser()
	f.Fuzz(func(t *testing.T, line string) {
		var s search
		var want *Layout
		for i, l := range d.Layouts {
			sameMatch(t, alone[i], line, new(search))
			sameMatch(t, l.pattern, line, &s)
			if want == nil && l.pattern.re().MatchString(line) {
				want = l
			}
		}
		r := Record{Line: []byte(line)}
		if err := parser.Parse(&r); err != nil {
			if errors.Is(err, ErrNoLayout) != (want == nil) {
				t.Fatalf("%q: %s, layout %v", line, err, want)
			}
			return
		}
		if r.Layout != want {
			t.Fatalf("%q: layout %s, regexp %v", line, r.Layout.Name, want)
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

// FuzzClosest_NetworkPolicy is apart, for Closest is ten thousand times slower
// than Parse.
func FuzzClosest_NetworkPolicy(f *testing.F) {
	d := addNetworkPolicy(f)
	f.Fuzz(func(t *testing.T, line string) {
		if c := d.Closest([]byte(line)); c.Layout == "" || c.Expected == "" || c.Column < 1 || c.Column > len(line)+1 {
			t.Fatalf("%q: closest is %+v", line, c)
		}
	})
}

// addNetworkPolicy adds the lines of the sample, good and bad, to the corpus.
func addNetworkPolicy(f *testing.F) *Definition {
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
	return d
}

// FuzzTimeLayout holds that times are those of time.Parse.
func FuzzTimeLayout(f *testing.F) {
	layouts := []string{
		"2006/01/02 15:04:05.000000", "2006-01-02T15:04:05.000", "2006-01-02 15:04:05", time15, time.RFC3339Nano, "0102 15:04:05.000000",
		"Jan _2 15:04:05", "2006-01-02T15:04:05.000Z", "2006-01-02T15:04:05.000-0700", "2006-01-02T15:04:05Z0700", "02/Jan/2006 15:04:05,999-07:00", "0102 15:04:05.999999",
	}
	for i, text := range []string{
		"2023/02/14 11:23:54.727335", "2023-02-29T23:59:60.999", "1970-01-01 00:00:00", "10:11:12 2024/06/02", "2024-06-02T10:11:12.345678901Z", "0229 10:11:12.345678",
		"Feb  3 10:11:12", "2024-06-02T10:11:12.345Z", "2024-06-02T10:11:12.345+0200", "2024-06-02T10:11:12-2460", "02/jAN/2006  1:02:03,5-07:00", "0301 23:59:59.9",
		"2024-06-02T10:11:12.+12", "2024-06-02T10:11:12.-00", "2024-06-02T10:11:12,1234567891Z", "Mar   12 10:11:12.5", "2024-06-31 10:11:12", "0000-01-01T10:11:12.123Z",
	} {
		f.Add(i, text, text)
		f.Add(i%7, text, "Feb 29 10:11:12")
	}
	zones := []*time.Location{time.UTC, zoneOf(f, "Europe/Berlin"), zoneOf(f, "America/Sao_Paulo")}
	f.Add(len(layouts)+2, "", "2024-03-31 02:30:00")
	f.Add(2*len(layouts)+2, "", "2017-10-15 00:30:00")
	f.Fuzz(func(t *testing.T, i int, before, text string) {
		l, err := newTimeLayout(layouts[uint(i)%uint(len(layouts))], zones[uint(i)/uint(len(layouts))%uint(len(zones))])
		if err != nil {
			t.Fatal(err)
		}
		l.refer(time.Date(2024, 3, 1, 10, 30, 0, 0, time.UTC).UnixNano())
		slow := *l
		slow.day = nil
		for _, text := range []string{before, text} { // the day of the first is kept
			got, gotErr := l.parse([]byte(text))
			want, wantErr := slow.parse([]byte(text))
			if (gotErr == nil) != (wantErr == nil) || gotErr == nil && got != want {
				t.Fatalf("%q as %q: %d, %v; time.Parse %d, %v", text, l.layout, got, gotErr, want, wantErr)
			}
		}
	})
}

const time15 = "15:04:05 2006/01/02" // not of the quick form

// BenchmarkParse_NetworkPolicy is to be read beside BenchmarkRegexp_NetworkPolicy,
// which makes one match only, with the layout that the lines have.
func BenchmarkParse_NetworkPolicy(b *testing.B) {
	eachLine(b, func(d *Definition, _ *Layout) func([]byte) bool {
		parser := d.NewParser()
		r := Record{Spans: make([]Span, 0, len(d.Fields))}
		return func(line []byte) bool {
			r.Line = line
			return parser.Parse(&r) == nil
		}
	})
}

func BenchmarkRegexp_NetworkPolicy(b *testing.B) {
	eachLine(b, func(_ *Definition, l *Layout) func([]byte) bool {
		return func(line []byte) bool { return l.pattern.re().FindSubmatchIndex(line) != nil }
	})
}

// eachLine runs a function over the ASCII lines of every layout, of the sample
// and of the generator.
func eachLine(b *testing.B, maker func(*Definition, *Layout) func([]byte) bool) {
	set, err := Shipped()
	if err != nil {
		b.Fatal(err)
	}
	d := set["antrea-networkpolicy"]
	text, err := samples.Log(d.Name)
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range d.Layouts {
		made, err := simulation.NewGenerator(simulation.Log{Layouts: []string{l.Name}})
		if err != nil {
			b.Fatal(err)
		}
		var generated []byte
		for range 4096 {
			generated = made.Next(generated)
		}
		for i, text := range [][]byte{text, generated} {
			var lines [][]byte
			bytes := 0
			for line := range strings.Lines(string(text)) {
				line := []byte(strings.TrimSuffix(line, "\n"))
				var s search
				if s.begin(line); s.valid && l.pattern.re().Match(line) {
					lines = append(lines, line)
					bytes += len(line)
				}
			}
			b.Run(l.Name+"/"+[]string{"sample", "generated"}[i], func(b *testing.B) {
				f := maker(d, l)
				b.SetBytes(int64(bytes / len(lines)))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if line := lines[i%len(lines)]; !f(line) {
						b.Fatalf("%q does not match", line)
					}
				}
			})
		}
	}
}
