package parsers

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vjeantet/grok"
	"pgregory.net/rapid"
)

// libraryPatterns are patterns of the grok library, with and without patterns
// of others in them.
var libraryPatterns = []string{
	"USERNAME", "USER", "EMAILADDRESS", "INT", "BASE10NUM", "NUMBER", "BASE16NUM", "POSINT", "NONNEGINT", "WORD", "NOTSPACE", "SPACE", "DATA",
	"GREEDYDATA", "QUOTEDSTRING", "UUID", "MAC", "CISCOMAC", "IPV6", "IPV4", "IP", "HOSTNAME", "HOST", "IPORHOST", "HOSTPORT", "PATH", "UNIXPATH", "TTY", "WINPATH",
	"URIPROTO", "URIHOST", "URIPATH", "URIPARAM", "URIPATHPARAM", "URI", "MONTH", "MONTHNUM", "MONTHDAY", "DAY", "YEAR", "HOUR", "MINUTE", "SECOND", "TIME",
	"DATE_US", "DATE_EU", "ISO8601_TIMEZONE", "TIMESTAMP_ISO8601", "DATE", "DATESTAMP", "TZ", "SYSLOGTIMESTAMP", "PROG", "SYSLOGPROG", "SYSLOGHOST",
	"SYSLOGFACILITY", "HTTPDATE", "QS", "SYSLOGBASE", "COMMONAPACHELOG", "COMBINEDAPACHELOG", "LOGLEVEL",
}

// TestGrok_Library holds that an expression of each of the library's patterns
// gives the groups that the library finds.
func TestGrok_Library(t *testing.T) {
	lines := []string{
		"", "-12", "+3.5", "0x1F", "word", "two words", `"quoted \" text"`, "192.0.2.1", "2001:db8::1", "192.0.2.1:80", "00:0a:95:9d:68:16", "/var/log/x.log", `C:\x\y`,
		"https://u@example.com:80/a?b=c", "a@example.com", "Jun", "Jun  2 10:11:12", "2024-06-02T10:11:12.5+02:00", "06/02/2024", "02.06.24", "10:11:12",
		"Jun  2 10:11:12 host prog[7]: text", "WARN", "error", `192.0.2.1 - - [02/Jun/2024:10:11:12 +0000] "GET /a HTTP/1.1" 200 5 "-" "agent"`,
		"01234567-89ab-cdef-0123-456789abcdef", "naïve 世界",
	}
	library, err := grok.NewWithConfig(&grok.Config{NamedCapturesOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	ours, err := newGrokExpander(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := func(expression string, wantNumbers ...string) {
		t.Helper()
		regex, numbers, err := ours.expand(expression)
		if err != nil {
			t.Errorf("%s: %s", expression, err)
			return
		}
		if diff := cmp.Diff(wantNumbers, numbers); diff != "" {
			t.Errorf("%s has the numbers (-want +got):\n%s", expression, diff)
		}
		p, err := compilePattern(regex)
		if err != nil {
			return // a field twice, which the library takes
		}
		for _, line := range lines {
			want, err := library.Parse(expression, line)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			var s search
			if s.begin([]byte(line)); p.match(&s) {
				for group, name := range p.names {
					if name == "" {
						continue
					}
					got[name] = ""
					if start := s.slots[2*group]; start >= 0 {
						got[name] = line[start:s.slots[2*group+1]]
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s on %q (-library +ours):\n%s", expression, line, diff)
			}
		}
	}
	for _, name := range libraryPatterns {
		f("%{" + name + "}")
		f("^%{" + name + ":x}$")
		f("%{"+name+":x:int} *%{"+name+":y:float}?%{WORD:z:string}?", "x", "y")
	}
}

// TestGrok_Own holds that patterns of a definition's own, nested and in the
// place of the library's, give the same expression as they do in the library.
func TestGrok_Own(t *testing.T) {
	names := []string{"A", "B", "C", "D_1", "INT", "IPV4"}
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.Custom(func(t *rapid.T) string {
			name := rapid.SampledFrom(append(names, "WORD", "IP", "NUMBER", "NOPE")).Draw(t, "name")
			return rapid.SampledFrom([]string{
				"%{" + name + "}", "%{" + name + ":f}", "%{" + name + ":g_2:int}", "%{" + name + ":h:string}", "(?P<k>%{" + name + "})", "a", "x|y", "[0-9]+", "%", "{",
			}).Draw(t, "piece")
		})
		expression := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(piece, 1, 4).Draw(t, "pieces"), "")
		})
		own := rapid.MapOfN(rapid.SampledFrom(names), expression, 0, 4).Draw(t, "own")
		sameExpansion(t, own, expression.Draw(t, "expression"))
	})
}

func FuzzGrok(f *testing.F) {
	f.Add("%{A:x} %{B}", "%{B:y:int}|%{INT}", "[a-z]+")
	f.Add("%{IP:x:string}%{A}", "%{IPV4}", "%{A}")
	f.Add("%{B:a.b}%{A", "%{B:a-b:float}", `%{WORD}\`)
	f.Fuzz(func(t *testing.T, expression, a, b string) {
		if len(expression)+len(a)+len(b) < 200 {
			sameExpansion(t, map[string]string{"A": a, "B": b}, expression)
		}
	})
}

// sameExpansion holds that an expression becomes what the library makes of it,
// or is an error in both.
func sameExpansion(t interface{ Fatalf(string, ...any) }, own map[string]string, expression string) {
	library, wrong := newGrokLibrary(own)
	ours, err := newGrokExpander(own)
	if err != nil && wrong == nil && slices.ContainsFunc(slices.Collect(maps.Keys(own)), func(name string) bool { return refersTo(own, name, name, nil) }) {
		return // the library leaves out patterns that hold themselves
	}
	if (wrong == nil) != (err == nil) {
		t.Fatalf("%q: the library says %v, we say %v", own, wrong, err)
	}
	if err != nil {
		return
	}
	for _, ref := range grokReference.FindAllString(expression, -1) {
		if !grokForm.MatchString(ref) {
			return // is refused before the library sees it
		}
	}
	want, wrong := library.expand(expression)
	got, _, err := ours.expand(expression)
	if want != got || (wrong == nil) != (err == nil) {
		t.Fatalf("%q with %q: the library gives %s, %v; we %s, %v", expression, own, want, wrong, got, err)
	}
}

// refersTo tells whether a pattern has another in it, at any depth.
func refersTo(own map[string]string, name, other string, within []string) bool {
	for _, m := range grokAny.FindAllStringSubmatch(own[name], -1) {
		if m[1] == other || !slices.Contains(within, m[1]) && refersTo(own, m[1], other, append(within, m[1])) {
			return true
		}
	}
	return false
}
