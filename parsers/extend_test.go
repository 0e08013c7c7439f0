package parsers

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/parsers/strict"
)

// baseFormat is what tests extend, as if it were shipped.
const baseFormat = `name: base
about: A base
files: [/var/log/base.log]
patterns: {LEVEL: 'INFO|WARN', WORT: '[a-z]+'}
layouts:
  - {name: new, grok: '^%{LEVEL:level} %{WORT:word} (?P<size>[0-9]+)$'}
  - {name: old, grok: '^%{LEVEL:level}: %{WORT:word}$'}
absent: [none]
numbers: [size]
stream_labels: [level]
structured_metadata: [word]
metrics:
  - {name: base_lines_total, type: counter, labels: [level], help: Lines.}
  - {name: base_bytes_total, type: counter, add: size, help: Bytes.}
samples: [INFO ready 1]
`

// richFormat has what baseFormat has, and what else can be merged.
const richFormat = baseFormat + `contains: [' ']
extract: [{from: level, to: severity}]
redact: {keys: [cookie], parameters: [sig]}
values: {level: [INFO, WARN]}
`

// otherFormat is another shipped one.
const otherFormat = "name: other\nlayouts: [{name: l, regex: '^(?P<a>.*)$'}]\n"

func readAll(t testing.TB, texts ...string) []Written {
	t.Helper()
	var all []Written
	for _, text := range texts {
		file, text, _ := strings.Cut(text, "\n")
		w := ReadDefinition(file, []byte(text))
		if err := w.faults.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

func testLibrary(t testing.TB) *Library {
	t.Helper()
	all := readAll(t, "base.yaml\n"+baseFormat, "other.yaml\n"+otherFormat)
	library, faults := (&Library{}).with(all)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	library.own, library.shipped = nil, func(name string) Written {
		return all[slices.IndexFunc(all, func(w Written) bool { return w.Name() == name })]
	}
	return library
}

// A definition that gives nothing is its base, in every key that there is.
func TestExtend_Nothing(t *testing.T) {
	base, own := readAll(t, "my-format.yaml\n"+format)[0], readAll(t, "own.yaml\nextends: my-format\nabout:\nmetrics:\n")[0]
	want := base.Form
	want.Extends = "my-format"
	if diff := cmp.Diff(want, own.over(base).Form); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Each text is merged with richFormat and gives a form that differs from the
// base's as change says.
func TestExtend_Form(t *testing.T) {
	base := readAll(t, "base.yaml\n"+richFormat)[0]
	f := func(text string, change func(*Form)) {
		t.Helper()
		own := readAll(t, "own.yaml\nextends: base\n"+text)[0]
		want := readAll(t, "base.yaml\n"+richFormat)[0].Form
		want.Extends = "base"
		change(&want)
		if diff := cmp.Diff(want, own.over(base).Form); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(readAll(t, "base.yaml\n"+richFormat)[0].Form, base.Form); diff != "" {
			t.Fatalf("%q changed the base (-before +after):\n%s", text, diff)
		}
	}
	layouts, metrics := base.Form.Layouts, base.Form.Metrics
	mine := LayoutForm{Name: "mine", Regex: "^(?P<x>.)$"}
	bytes := MetricForm{Name: "corkline_base_bytes_total", Type: "counter", Help: "B."}

	// What is one thing is overridden when it is given.
	f("name: mine\n", func(w *Form) { w.Name, w.Files = "mine", nil }) // both read no file unasked
	f("name: mine\nfiles: [/a]\n", func(w *Form) { w.Name, w.Files = "mine", []string{"/a"} })
	f("replaces: other\n", func(w *Form) { w.Replaces, w.Files = "other", nil })
	f("about: ''\n", func(w *Form) { w.About = "" })
	f("time: {field: x}\n", func(w *Form) { w.Time = TimeForm{Field: "x"} })

	// Lists are added to, each text once.
	f("numbers: [a, size, b]\n", func(w *Form) { w.Numbers = []string{"size", "a", "b"} })
	f("structured_metadata: [size]\n", func(w *Form) { w.StructuredMetadata = []string{"word", "size"} })
	f("absent: []\n", func(w *Form) {})
	f("contains: [OURS]\n", func(w *Form) { w.Contains = []string{" ", "OURS"} })
	f("samples: ['INFO: up']\n", func(w *Form) { w.Samples = []string{"INFO ready 1", "INFO: up"} })

	// These take the place of the base's.
	f("files: [/a, /b]\n", func(w *Form) { w.Files = []string{"/a", "/b"} })
	f("stream_labels: []\n", func(w *Form) { w.StreamLabels = []string{} })

	// Layouts come first, metrics behind, and those with a name of the base's
	// where the base has them.
	f("layouts: [{name: mine, regex: '^(?P<x>.)$'}]\n", func(w *Form) { w.Layouts = []LayoutForm{mine, layouts[0], layouts[1]} })
	f("layouts: [{name: old, regex: a}, {name: mine, regex: '^(?P<x>.)$'}]\n", func(w *Form) {
		w.Layouts = []LayoutForm{mine, layouts[0], {Name: "old", Regex: "a"}}
	})
	f("layouts: [{name: old, regex: a}, {name: old, regex: b}, {regex: c}]\n", func(w *Form) { // Compile refuses the second
		w.Layouts = []LayoutForm{{Name: "old", Regex: "b"}, {Regex: "c"}, layouts[0], {Name: "old", Regex: "a"}}
	})
	f("metrics: [{name: more_total, type: counter, help: M.}, {name: corkline_base_bytes_total, type: counter, help: B.}]\n", func(w *Form) {
		w.Metrics = []MetricForm{metrics[0], bytes, {Name: "more_total", Type: "counter", Help: "M."}}
	})

	// Maps are merged.
	f("patterns: {LEVEL: 'ERR', NUM: '[0-9]'}\n", func(w *Form) {
		w.Patterns = map[string]string{"LEVEL": "ERR", "WORT": "[a-z]+", "NUM": "[0-9]"}
	})
	f("values: {word: [up]}\n", func(w *Form) {
		w.Values = map[string][]string{"level": {"INFO", "WARN"}, "word": {"up"}}
	})

	// What is secret in the base stays so.
	f("redact: {keys: [token, cookie]}\n", func(w *Form) {
		w.Redact = RedactForm{Keys: []string{"cookie", "token"}, Parameters: []string{"sig"}}
	})
	f("redact: {keys: []}\n", func(w *Form) {})

	// Steps take what the base's make.
	f("extract: [{from: word, to: state}]\n", func(w *Form) {
		w.Extract = append(w.Extract, ExtractForm{From: "word", To: "state"})
	})
}

// Of each set of texts, all parse, and the definitions that there are then
// take the lines.
func TestCompose(t *testing.T) {
	shipped := testLibrary(t)
	f := func(line string, want map[string]string, texts ...string) {
		t.Helper()
		var orders [][]string
		for range texts { // in whatever order they are read
			texts = append(texts[1:], texts[0])
			orders = append(orders, slices.Clone(texts))
		}
		for _, texts := range orders {
			library, faults := shipped.with(readAll(t, texts...))
			if err := faults.Err(); err != nil {
				t.Fatalf("%q: %s", texts, err)
			}
			got := map[string]string{}
			for _, name := range library.InOrder() {
				r := Record{Line: []byte(line)}
				if got[name] = library.File(name); library.Set[name].NewParser().Parse(&r) == nil {
					got[name] += " " + r.Layout.Name
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || len(library.Set) != len(want) {
				t.Errorf("%q: %v (-want +got):\n%s", texts, library.Names(), diff)
			}
		}
	}
	const (
		another = "any.yaml\nname: another\nextends: base\nlayouts: [{name: mine, regex: '^(?P<level>ERR) (?P<word>.*)$'}]\n"
		inPlace = "any.yaml\nextends: base\nlayouts: [{name: mine, regex: '^(?P<level>ERR) (?P<word>.*)$'}]\n"
		named   = "any.yaml\nname: base\nextends: base\nlayouts: [{name: mine, regex: '^(?P<level>ERR) (?P<word>.*)$'}]\n"
		third   = "third.yml\nname: third\nextends: another\npatterns: {LEVEL: 'INFO|E'}\nlayouts: [{name: mine, regex: '^(?P<level>E) (?P<word>.*)$'}]\n"
	)
	// the name tells whether it takes its base's place
	f("ERR x 1", map[string]string{"base": "", "other": " l", "another": "any.yaml mine"}, another)
	f("WARN x 1", map[string]string{"base": " new", "other": " l", "another": "any.yaml new"}, another)
	f("ERR x 1", map[string]string{"base": "any.yaml mine", "other": " l"}, inPlace)
	f("ERR x 1", map[string]string{"base": "any.yaml mine", "other": " l"}, named)
	f("x", map[string]string{"base": "me.yaml l", "other": " l"}, "me.yaml\nreplaces: base\nlayouts: [{name: l, regex: '^(?P<x>.)$'}]\n")

	// what extends another's extension
	f("E x", map[string]string{"base": "", "other": " l", "another": "any.yaml", "third": "third.yml mine"}, third, another)
	// a base by its name is what has taken its place
	f("ERR x 1", map[string]string{"base": "any.yaml mine", "other": " l", "two": "2 mine"}, inPlace, "2\nname: two\nextends: base\n")
	// in the place of one of one's own, which has any place
	f("ERR x 1", map[string]string{"base": "", "other": " l", "words": "change.yaml l"}, "words.yaml\nname: words\nlayouts: [{name: w, regex: '^(?P<x>.)$'}]\n",
		"change.yaml\nextends: words\nlayouts: [{name: l, regex: '^(?P<x>E.*)$'}]\n")
	f("x", map[string]string{"base": "change.yaml w", "other": " l", "third": "third.yaml w"}, "words.yaml\nreplaces: base\nlayouts: [{name: w, regex: '^(?P<x>.)$'}]\n",
		"change.yaml\nextends: base\nlayouts: [{name: l, regex: '^(?P<x>E.*)$'}]\n", "third.yaml\nname: third\nextends: base\n")
	// from another's content into another's place
	f("INFO: x", map[string]string{"base": " old", "other": "o.yaml old"}, "o.yaml\nreplaces: other\nextends: base\n")
	f("x", map[string]string{"base": "", "other": " l"})
}

// The base's values reach what extends it, and own layouts are tried first.
func TestCompose_Values(t *testing.T) {
	library, faults := testLibrary(t).with(readAll(t, `any.yaml
extends: base
layouts:
  - {name: timed, grok: '^(?P<at>\S+) %{LEVEL:level} %{WORT:word} (?P<took>[0-9]+)$'}
numbers: [took]
metrics: [{name: base_took_total, type: counter, add: took, labels: [level], help: T.}]
`))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	d := library.Set["base"]
	r := Record{Line: []byte("now WARN none 7")}
	if err := d.NewParser().Parse(&r); err != nil {
		t.Fatal(err)
	}
	want := Result{
		Line: "now WARN none 7", Definition: "base", Layout: "timed",
		StreamLabels: map[string]string{"level": "WARN"}, Fields: map[string]any{"at": "now", "level": "WARN", "took": r.Result(time.Time{}).Fields["took"]},
	}
	if diff := cmp.Diff(want, r.Result(time.Time{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n, ok := r.Number(d.FieldIndex("took")); !ok || n != 7 || len(d.Metrics) != 3 || len(d.Files) != 1 {
		t.Errorf("took is %v, metrics %v, files %v", n, d.Metrics, d.Files)
	}
}

// Each set of texts has these faults, and no others.
func TestCompose_Faults(t *testing.T) {
	shipped := testLibrary(t)
	const stays = "base.yaml\nname: base\nlayouts: [{name: l, regex: '^(?P<x>.)$'}]\n" // it has no right to take the place of the shipped one
	f := func(want string, texts ...string) {
		t.Helper()
		var own []Written
		for _, text := range texts {
			file, text, _ := strings.Cut(text, "\n")
			own = append(own, ReadDefinition(file, []byte(text)))
		}
		library, faults := shipped.with(own)
		if diff := cmp.Diff(strings.TrimSpace(want), faults.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", texts, diff)
		}
		for _, fault := range faults {
			for name, d := range library.Set {
				if d == nil || library.File(name) == fault.File {
					t.Errorf("%q: the definition %q is there in spite of its faults", texts, name)
				}
			}
		}
		if slices.Contains(texts, stays) && library.Set["base"] == nil {
			t.Errorf("%q: the shipped definition is gone", texts)
		}
	}
	const words = "name: words\nlayouts: [{name: l, regex: '^(?P<word>[a-z]+)$'}]\n"

	// names
	f(`base.yaml:1:7: name: "base" is a shipped definition; change it with extends: base, take its place with replaces: base, or choose another name`,
		stays)
	f(`x.yaml:1:7: name: "base" is a shipped definition; change it with extends: base, take its place with replaces: base, or choose another name`,
		"x.yaml\nname: base\nextends: other\n")
	f(`
base.yaml:1:7: name: "base" is a shipped definition; change it with extends: base, take its place with replaces: base, or choose another name
x.yaml:1:10: extends: breaks base.yaml:15:11: samples[0]: fits no layout; layout new got to column 1, where it expected level
`, stays, "x.yaml\nextends: base\nname: x\npatterns: {LEVEL: X}\n")
	f(`words.yml:1:7: name: there is a definition "words" already, at words.yaml:1:7; choose another name`, "words.yaml\n"+words, "words.yml\n"+words)
	f(`b.yaml:1:10: extends: "base" is extended in its place already, at a.yaml:2:10; put both into one, or give this one a name`, "a.yaml\n#\nextends: base\n", "b.yaml\nextends: base\n")
	f(`words.yaml:1:11: replaces: there is no shipped definition "words"; there are: base other`, "words.yaml\nreplaces: words\n"+words)
	f(`
a.yaml:1:7: name: is "mine", but what replaces "base" has its name; leave name out
b.yaml:1:11: replaces: there is no shipped definition "nope"; there are: base other
`, "a.yaml\nname: mine\nreplaces: base\nlayouts: [{name: l, regex: '^(?P<x>.)$'}]\n", "b.yaml\nreplaces: nope\nlayouts: [{name: l, regex: '^(?P<x>.)$'}]\n")
	f(`text.yaml:1:7: name: is "words", but the file is named "text.yaml"; they must be the same`, "text.yaml\n"+words)
	f(`x.yaml:2:7: name: "Base" is not a name; use lower-case letters and digits, joined by -`, "x.yaml\nextends: base\nname: Base\n")

	// bases
	f(`a.yaml:1:10: extends: there is no definition "nope"; there are: base other words`, "a.yaml\nextends: nope\nname: a\n", "words.yaml\n"+words)
	f(`a.yaml:1:10: extends: there is no definition "a"; there are: base other`, "a.yaml\nextends: a\n")
	f(`
a.yaml:1:10: extends: comes back to itself: a extends b extends c extends a; end the ring
b.yaml:1:10: extends: comes back to itself: b extends c extends a extends b; end the ring
c.yaml:1:10: extends: comes back to itself: c extends a extends b extends c; end the ring
`, "a.yaml\nextends: b\nname: a\n", "b.yaml\nextends: c\nname: b\n", "c.yaml\nextends: a\nname: c\n", "d.yaml\nextends: a\nname: d\n")
	f(`
a.yaml:1:10: extends: comes back to itself: base extends other extends base; end the ring
b.yaml:1:10: extends: comes back to itself: other extends base extends other; end the ring
`, "a.yaml\nextends: other\nreplaces: base\n", "b.yaml\nextends: base\nreplaces: other\n")

	f(`
a.yaml:3:10: extends: comes back to itself: words extends more extends words extends words; end the ring
b.yaml:1:10: extends: comes back to itself: more extends words extends words extends more; end the ring
c.yaml:1:10: extends: comes back to itself: words extends words extends more extends words; end the ring
`, "a.yaml\n# may be in any file\nname: words\nextends: more\n", "b.yaml\nextends: words\nname: more\n", "c.yaml\nextends: words\n")

	// What a base has wrong is said once, where it is.
	f(`a.yaml:2:1: laiouts: unknown key; did you mean "layouts"?`, "a.yaml\nname: a\nlaiouts: []\n", "b.yaml\nextends: a\nname: b\n")
	f(`a.yaml:2:10: layouts: is missing; give at least one {name, grok}, {name, regex} or {name, csv}`, "a.yaml\nname: a\nlayouts: []\n", "b.yaml\nextends: a\nname: b\n", "c.yaml\nextends: b\nname: c\n")

	// What is wrong in merged content is said where its text is: own lists keep
	// their own indices.
	f(`x.yaml:4:21: layouts[1].grok: no pattern found for %{NOPE}`, `x.yaml
extends: base
layouts:
  - {name: a, regex: '^(?P<x>y)$'}
  - {name: b, grok: '^%{NOPE:y}$'}
`)
	f(`x.yaml:2:60: metrics[0].labels[1]: no layout has a field "wort"; there are: level word size`,
		"x.yaml\nextends: base\nmetrics: [{name: more_total, type: counter, labels: [word, wort], help: M.}]\n")
	f(`x.yaml:2:17: stream_labels[0]: no layout has a field "wort"; there are: level word size`, "x.yaml\nextends: base\nstream_labels: [wort]\n")
	f(`x.yaml:2:17: numbers[1]: no layout has a field "c"; there are: level word size`, "x.yaml\nextends: base\nnumbers: [size, c]\n")
	f(`x.yaml:2:11: samples[0]: fits no layout; layout new got to column 1, where it expected level`, "x.yaml\nextends: base\nsamples: [what]\n")

	// What the merge makes wrong of the base is said where the base is named.
	f(`
x.yaml:1:10: extends: breaks base.yaml:6:23: layouts[0].grok: error parsing regexp: missing closing ): `+"`^(?P<level>() (?P<word>[a-z]+) (?P<size>[0-9]+)$`"+`
x.yaml:1:10: extends: breaks base.yaml:7:23: layouts[1].grok: error parsing regexp: missing closing ): `+"`^(?P<level>(): (?P<word>[a-z]+)$`"+`
`, "x.yaml\nextends: base\npatterns: {LEVEL: '('}\n")
	f(`
x.yaml:1:10: extends: breaks base.yaml:9:11: numbers[0]: no layout has a field "size"; there are: level word
x.yaml:1:10: extends: breaks base.yaml:14:50: metrics[1].add: no layout has a field "size"; there are: level word
`, "x.yaml\nextends: base\nsamples: []\nlayouts: [{name: new, grok: '^%{LEVEL:level} %{WORT:word} [0-9]+$'}]\n")
	f(`x.yaml:1:10: extends: breaks base.yaml:15:11: samples[0]: fits the layouts any and new; make their expressions exclude each other`,
		"x.yaml\nextends: base\nlayouts: [{name: any, regex: '^(?P<level>INFO) (?P<word>.*)$'}]\n")
	// … also where the base's own text is named over two steps
	f(`
y.yaml:1:10: extends: breaks base.yaml:15:11: samples[0]: fits no layout; layout new got to column 8, where it expected size
y.yaml:1:10: extends: breaks x.yaml:2:11: samples[0]: fits no layout; layout old got to column 7, where it expected word
`, "x.yaml\nextends: base\nsamples: ['INFO: abc']\nname: x\n", "y.yaml\nextends: x\nname: y\npatterns: {WORT: '[e-z]+'}\n")
}

// Definitions within another file are named by their keys there.
func TestCompose_Inline(t *testing.T) {
	var into struct {
		Definitions []Form `yaml:"definitions"`
	}
	doc, faults := strict.Decode("c.yaml", []byte(`definitions:
  - name: a
    extends: base
    numbers: [size, what]
  - {name: b, extends: c}
  - {name: c, extends: base, patterns: {WORT: '('}}
  - {extends: other, metrics: [{name: x_total, type: counter}]}
`), &into)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	var own []Written
	for i, form := range into.Definitions {
		own = append(own, Written{Form: form, Doc: doc, Prefix: []string{"definitions[0]", "definitions[1]", "definitions[2]", "definitions[3]"}[i]})
	}
	library, faults := testLibrary(t).with(own)
	want := `c.yaml:4:21: definitions[0].numbers[1]: no layout has a field "what"; there are: level word size
c.yaml:6:24: definitions[2].extends: breaks base.yaml:6:23: layouts[0].grok: error parsing regexp: missing closing ): ` + "`^(?P<level>INFO|WARN) (?P<word>() (?P<size>[0-9]+)$`" + `
c.yaml:6:24: definitions[2].extends: breaks base.yaml:7:23: layouts[1].grok: error parsing regexp: missing closing ): ` + "`^(?P<level>INFO|WARN): (?P<word>()$`" + `
c.yaml:7:32: definitions[3].metrics[0].help: is missing; say in one sentence what is counted, and in which unit`
	if diff := cmp.Diff(want, faults.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"base"}, library.InOrder()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := library.Fault("base", "metrics[1].add", "bad").Error(); got != "base.yaml:14:50: metrics[1].add: bad" {
		t.Error(got)
	}
}

// Shipped definitions are what Compose starts from.
func TestCompose_Shipped(t *testing.T) {
	set, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	library, faults, err := Compose(readAll(t, "mine.yaml\nname: mine\nextends: antrea-networkpolicy\n"))
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	if diff := cmp.Diff(append(set.Names(), "mine"), library.InOrder()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := library.Set["mine"], set["antrea-networkpolicy"]; len(got.Layouts) != len(want.Layouts) || !slices.Equal(got.Fields, want.Fields) {
		t.Errorf("layouts %v, fields %v", got.Layouts, got.Fields)
	}
	if library.File("mine") != "mine.yaml" || library.File("antrea-networkpolicy") != "" {
		t.Errorf("files %q and %q", library.File("mine"), library.File("antrea-networkpolicy"))
	}
}

// A file on its own may extend what is shipped, and may have the name of the
// file that is shipped: it is what the next release is made of.
func TestParseDefinition_Extends(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		d, faults := ParseDefinition("x.yaml", []byte(text))
		if diff := cmp.Diff(want, faults.Error()); diff != "" || (d == nil) != (want != "") {
			t.Errorf("%q: %v (-want +got):\n%s", text, d, diff)
		}
	}
	f("extends: antrea-networkpolicy\n", "")
	f("replaces: antrea-networkpolicy\nlayouts: [{name: l, regex: '^(?P<x>.)$'}]\n", "")
	f("extends: x\n", `x.yaml:1:10: extends: there is no definition "x"; there are: `+shippedNames(t))
	f("name: x\nreplaces: x\nlayouts: [{name: l, regex: '^(?P<x>.)$'}]\n", `x.yaml:2:11: replaces: there is no shipped definition "x"; there are: `+shippedNames(t))
	text, err := shipped.ReadFile("definitions/antrea-networkpolicy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if d, faults := ParseDefinition("antrea-networkpolicy.yaml", text); d == nil {
		t.Error(faults)
	}
}

func shippedNames(t *testing.T) string {
	t.Helper()
	set, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(set.Names(), " ")
}

// Whatever two definitions say, the order in which they are read does not
// matter, and one is there or has a fault, or its base has.
func FuzzCompose(f *testing.F) {
	f.Add("name: a\nextends: base\n", "name: b\nextends: a\nfiles: []\n")
	f.Add("name: a\nextends: b\n", "name: b\nextends: a\n")
	f.Add("extends: base\npatterns: {LEVEL: '('}\n", "replaces: other\nextends: base\n")
	f.Add(baseFormat, otherFormat)
	f.Add("extends: a\n", "name: a\nextends: base\n")
	f.Add("name: a\nextends: base\nlayouts: [{name: old, grok: '%{WORT:x}'}, {name: old}, {}]\nmetrics: [{name: base_bytes_total}]\n", "extends: b")
	shipped := testLibrary(f)
	f.Fuzz(func(t *testing.T, a, b string) {
		both := func(order ...int) (*Library, string) {
			var own []Written
			for _, i := range order {
				own = append(own, ReadDefinition([]string{"a.yaml", "b.yaml"}[i], []byte([]string{a, b}[i])))
			}
			library, faults := shipped.with(own)
			for _, fault := range faults {
				if fault.File != "a.yaml" && fault.File != "b.yaml" {
					t.Errorf("%q and %q: the fault is elsewhere: %s", a, b, fault)
				}
			}
			for _, w := range own {
				if library.Set[w.Name()] == nil && len(faults) == 0 {
					t.Errorf("%q and %q: %q is not there, without a fault", a, b, w.Name())
				}
			}
			return library, faults.Error()
		}
		one, faults := both(0, 1)
		two, other := both(1, 0)
		if strings.Contains(faults, "already, at ") {
			return // the second one is at fault
		}
		if diff := cmp.Diff(faults, other); diff != "" || !slices.Equal(one.Names(), two.Names()) {
			t.Errorf("%q and %q: %v and %v in another order (-one +two):\n%s", a, b, one.Names(), two.Names(), diff)
		}
	})
}
