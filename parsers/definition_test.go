package parsers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestShipped(t *testing.T) {
	set, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range set {
		for _, l := range d.Layouts {
			if l.dump == nil && l.csv == nil && l.pattern.fast == nil {
				t.Errorf("%s: layout %s is left to regexp", name, l.Name)
			}
		}
	}
}

// format is a good definition with every key, each on a line of its own.
const format = `name: my-format
about: A format of mine
files: [/var/log/my.log]
patterns: {WORT: '[a-z]+'}
layouts: [{name: new, grok: '^%{TIMESTAMP_ISO8601:time} %{WORT:word} %{INT:size:int}$'}, {name: old, regex: '^(?P<time>[^ ]+) (?P<word>[a-z]+)=(?P<n>[0-9]+)$'}]
absent: ["none"]
numbers: [n]
time: {field: time, layout: "2006-01-02T15:04:05Z07:00", zone: UTC}
stream_labels: [word]
structured_metadata: [size, n]
metrics: [{name: words_total, type: counter, add: size, default: 0.5, labels: [word], help: Words.}]
samples: ["2026-11-21T10:00:00Z a 1", "2026-11-21T10:00:00Z a=1"]
`

func TestParseDefinition(t *testing.T) {
	d, faults := ParseDefinition("my-format.yaml", []byte(format))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	want := &Definition{
		Name: "my-format", About: "A format of mine", Files: []string{"/var/log/my.log"},
		Fields:       []Field{{"time", false}, {"word", false}, {"size", true}, {"n", true}},
		Layouts:      []*Layout{{Name: "new"}, {Name: "old"}},
		StreamLabels: []int{1}, Metadata: []int{2, 3},
		Metrics: []Metric{{Name: "corkline_words_total", Help: "Words.", Labels: []int{1}, Value: 2, Default: 0.5, Scale: 1, Each: -1, Gaps: -1}},
	}
	if diff := cmp.Diff(want, d, cmpopts.IgnoreUnexported(Definition{}, Layout{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !d.IsTime(0) || d.IsTime(1) {
		t.Errorf("time: field 0 is %v, field 1 is %v", d.IsTime(0), d.IsTime(1))
	}

	r := Record{Line: []byte("2026-11-21T10:00:00Z none 007")}
	if err := d.NewParser().Parse(&r); err != nil {
		t.Fatal(err)
	}
	got := r.Result(time.Time{})
	if diff := cmp.Diff(Result{
		Line: "2026-11-21T10:00:00Z none 007", Definition: "my-format", Layout: "new", Time: "2026-11-21T10:00:00Z",
		StreamLabels: map[string]string{}, Fields: map[string]any{"time": "2026-11-21T10:00:00Z", "size": int64(7)},
	}, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// Each change of the good definition gives these faults, and no others.
func TestParseDefinition_Faults(t *testing.T) {
	f := func(before, after string, want ...string) {
		t.Helper()
		if strings.Count(format, before) != 1 {
			t.Fatalf("%q is not in the definition once", before)
		}
		d, faults := ParseDefinition("dir/my-format.yaml", []byte(strings.Replace(format, before, after, 1)))
		for i, w := range want {
			want[i] = "dir/my-format.yaml" + w
		}
		for i := range faults {
			faults[i].Column = 0 // TestParseDefinition_FaultsAtOnce has columns
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), faults.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", after, diff)
		}
		if len(faults) > 0 && d != nil {
			t.Errorf("%q: a definition in spite of its faults", after)
		}
	}
	// name
	f("name: my-format", "name: My_Format", `:1: name: "My_Format" is not a name; use lower-case letters and digits, joined by -`)
	f("name: my-format\n", "\n", `:2: name: "" is not a name; use lower-case letters and digits, joined by -`)
	f("name: my-format", "name: my-forms", `:1: name: is "my-forms", but the file is named "my-format.yaml"; they must be the same`)
	f("files: [/var/log/my.log]", "files: ['', '/a[']", `:3: files[0]: "" is not a path or glob`, `:3: files[1]: "/a[" is not a path or glob`)

	// keys and kinds
	f("about:", "abuot:", `:2: abuot: unknown key; did you mean "about"?`)
	f("absent: [\"none\"]", "absent: none", `:6: absent: expected a list, found "none"`)

	// expressions
	const old = "'^(?P<time>[^ ]+) (?P<word>[a-z]+)=(?P<n>[0-9]+)$'"
	noN := func(first string) []string {
		return []string{
			first,
			`:7: numbers[0]: no layout has a field "n"; there are: time word size`,
			`:10: structured_metadata[1]: no layout has a field "n"; there are: time word size`,
		}
	}
	f(old, "'^(?P<time>[^ ]+ (?P<n>[0-9]+)$'", noN(":5: layouts[1].regex: error parsing regexp: missing closing ): `^(?P<time>[^ ]+ (?P<n>[0-9]+)$`")...)
	f("(?P<n>[0-9]+)", "(?P<N>[0-9]+)", noN(`:5: layouts[1].regex: field "N": use lower-case letters, digits and _`)...)
	f("(?P<word>[a-z]+)=(?P<n>", "(?P<n>[a-z]+)=(?P<n>", noN(`:5: layouts[1].regex: field "n" is captured twice; name one differently`)...)
	f("{name: old, regex:", "{name: old, grok: x, regex:", noN(`:5: layouts[1]: give one of grok, regex, dump and csv`)...)
	f("{name: old, regex: "+old+"}", "{name: old, regex: "+old+"}, {name: old}, {grok: '^a$'}",
		`:5: layouts[2]: give one of grok, regex, dump and csv`,
		`:5: layouts[2].name: every layout needs a name of its own`,
		`:5: layouts[3].name: every layout needs a name of its own`,
		`:5: layouts[3].grok: captures no field; name one as %{PATTERN:field} or (?P<field>…)`,
		`:8: time.field: layout "" has no field "time", so no line would parse as it; capture it there, or set optional`)
	noSize := func(first string) []string {
		return []string{
			first,
			`:10: structured_metadata[0]: no layout has a field "size"; there are: time word n`,
			`:11: metrics[0].add: no layout has a field "size"; there are: time word n`,
		}
	}
	f("{name: old, regex: "+old+"}", "{name: old, dump: nope}",
		`:5: layouts[1].dump: there is no parser "nope"; there are: conntrack ovs-flow ovs-group ovs-group-stats ovs-port ovs-port-stats ovs-table`,
		`:7: numbers[0]: no layout has a field "n"; there are: time word size`,
		`:10: structured_metadata[1]: no layout has a field "n"; there are: time word size`)
	f("{name: old, regex: "+old+"}", "{name: old, regex: x, dump: ovs-flow}", noN(`:5: layouts[1]: give one of grok, regex, dump and csv`)...)
	const form = ` is not of the form %{PATTERN}, %{PATTERN:field} or %{PATTERN:field:int}, with letters, digits and _ in the names`
	f("%{WORT:word}", "%{WORD-:word}", noSize(`:5: layouts[0].grok: %{WORD-:word}`+form)...)
	f("size:int}$", "size:integer}$", noSize(`:5: layouts[0].grok: %{INT:size:integer}`+form)...)

	// number marks
	f("size:int}$", "size}$", `:11: metrics[0].add: field "size" is not listed in numbers; add it there`)
	f("size:int}$", "size:string}$", `:11: metrics[0].add: field "size" is not listed in numbers; add it there`)
	f("numbers: [n]", "numbers: [n, nn]", `:7: numbers[1]: no layout has a field "nn"; there are: time word size n`)

	// time
	f("(?P<time>[^ ]+) (", "(?P<when>[^ ]+) (", `:8: time.field: layout "old" has no field "time", so no line would parse as it; capture it there, or set optional`)
	f("field: time, ", "", `:8: time.field: is missing; name the field that holds the time`)
	f("{field: time, layout", "{field: tim, layout", `:8: time.field: no layout has a field "tim"; there are: time word size n`)
	f(`layout: "2006-01-02T15:04:05Z07:00", `, "", `:8: time.layout: is missing; write Mon Jan 2 15:04:05 2006 in the line's form, or unix or unix_ms for a number since 1970`)
	f(`"2006-01-02T15:04:05Z07:00"`, `"YYYY-MM-DD"`, `:8: time.layout: "YYYY-MM-DD" does not give a time; write Mon Jan 2 15:04:05 2006 in the line's form, or unix or unix_ms for a number since 1970`)
	f("zone: UTC", "zone: Mars/Crater", `:8: time.zone: "Mars/Crater" is not a time zone; use UTC or an IANA name such as Europe/Berlin`)
	f(`layout: "2006-01-02T15:04:05Z07:00"`, `layouts: ["2006-01-02T15:04:05Z07:00", x]`, `:8: time.layouts[1]: "x" does not give a time; write Mon Jan 2 15:04:05 2006 in the line's form, or unix or unix_ms for a number since 1970`)
	f(`layout: "2006-01-02T15:04:05Z07:00"`, `layout: "2006-01-02T15:04:05Z07:00", layouts: [x]`, `:8: time.layouts[0]: "x" does not give a time; write Mon Jan 2 15:04:05 2006 in the line's form, or unix or unix_ms for a number since 1970`)

	// labels
	f("stream_labels: [word]", "stream_labels: [wort]", `:9: stream_labels[0]: no layout has a field "wort"; there are: time word size n`)
	f("stream_labels: [word]", "stream_labels: [word, size, n]",
		`:9: stream_labels: 3 labels; at most 2, with a handful of values each (all else is structured_metadata)`)
	f("structured_metadata: [size, n]", "structured_metadata: [sise]", `:10: structured_metadata[0]: no layout has a field "sise"; there are: time word size n`)
	f("labels: [word], help", "labels: [word, wort], help", `:11: metrics[0].labels[1]: no layout has a field "wort"; there are: time word size n`)
	f("labels: [word], help", "labels: [word, word], help", `:11: metrics[0].labels[1]: "word" is given twice`)

	// metrics
	f("help: Words.", "help: ' '", `:11: metrics[0].help: is missing; say in one sentence what is counted, and in which unit`)
	f("name: words_total", "name: words", `:11: metrics[0].name: "words" is a counter; its name must end in _total`)
	f("name: words_total", "name: words-total", `:11: metrics[0].name: "words-total" is not a metric name; use lower-case letters, digits and _`)
	f("type: counter", "type: gauge", `:11: metrics[0].type: "gauge" is not a type; there are: counter histogram`)
	f("default: 0.5", "default: -1", `:11: metrics[0].default: must not be below 0, for a counter only goes up`)
	f("default: 0.5", "default: .inf", `:11: metrics[0].default: must not be below 0, for a counter only goes up`)
	f("default: 0.5", "default: .nan", `:11: metrics[0].default: must not be below 0, for a counter only goes up`)
	f("default: 0.5", "default: half", `:11: metrics[0].default: expected a number, found "half"`)
	f("metrics: [", "metrics: [{name: corkline_words_total, type: counter, help: W.}, ", `:11: metrics[1].name: "words_total" is defined twice; name one differently`)

	// samples
	f("Z a=1", "Z a=b", `:12: samples[1]: fits no layout; layout old got to column 24, where it expected n`)
	f("{name: old, regex: "+old+"}", "{name: old, regex: "+old+"}, {name: any, regex: '^(?P<time>.*) .*[0-9]$'}",
		`:12: samples[0]: fits the layouts new and any; make their expressions exclude each other`,
		`:12: samples[1]: fits the layouts old and any; make their expressions exclude each other`)
	f("00Z a 1", "00Z a 1x", `:12: samples[0]: fits no layout; layout new got to column 25, where it expected end of line`)
	f("2026-11-21T10:00:00Z a=1", "2026-02-30T10:00:00Z a=1",
		`:12: samples[1]: has no valid time: parsing time "2026-02-30T10:00:00Z": day out of range; layout old got to column 1, where it expected a valid time`)
}

// Of a definition that lacks nearly all, everything is said at once.
func TestParseDefinition_FaultsAtOnce(t *testing.T) {
	f := func(file, text, want string) {
		t.Helper()
		_, faults := ParseDefinition(file, []byte(text))
		if diff := cmp.Diff(want, faults.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	f("x.yaml", "", `x.yaml: name: "" is not a name; use lower-case letters and digits, joined by -`+"\n"+
		`x.yaml: layouts: is missing; give at least one {name, grok}, {name, regex} or {name, csv}`)
	f("x.yaml", "name: x\nlayouts: [{name: a, regex: '(?P<job>.)'}]\nstream_labels: [job]\n",
		`x.yaml:3:17: stream_labels[0]: "job" is a label that every stream has already; choose another field`)
	f("x.yaml", "name: x\nlayouts: [{name: a, regex: '(?P<node>.)(?P<source>.)'}]\nstream_labels: [node, source]\n",
		`x.yaml:3:17: stream_labels[0]: "node" is a label that every stream has already; choose another field`+"\n"+
			`x.yaml:3:23: stream_labels[1]: "source" is a label that every stream has already; choose another field`)
	f("x.yaml", "name: X\nlayouts:\n  - {name: a, regex: '('}\nmetrics:\n  - {name: b}\n",
		`x.yaml:1:7: name: "X" is not a name; use lower-case letters and digits, joined by -`+"\n"+
			"x.yaml:3:22: layouts[0].regex: error parsing regexp: missing closing ): `(`\n"+
			`x.yaml:5:5: metrics[0].help: is missing; say in one sentence what is counted, and in which unit`+"\n"+
			`x.yaml:5:5: metrics[0].type: "" is not a type; there are: counter histogram`)
	f("x.yaml", "- a\n", `x.yaml:1:1: expected keys and values, found a list`)
}

func TestParseDefinition_Histogram(t *testing.T) {
	d, faults := ParseDefinition("x.yaml", []byte("name: x\nlayouts: [{name: l, grok: '^%{INT:ms:int}$'}]\nmetrics: [{name: seconds, type: histogram, observe: ms, scale: 0.001, buckets: [1, 2.5], help: Seconds.}]\n"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	want := []Metric{{Name: "corkline_seconds", Type: Histogram, Help: "Seconds.", Value: 0, Default: 1, Scale: 0.001, Buckets: []float64{1, 2.5}, Each: -1, Gaps: -1}}
	if diff := cmp.Diff(want, d.Metrics); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Patterns that are not there, or that name each other in a ring, are faults
// of the expression or of the patterns, and never a hang.
func TestParseDefinition_GrokPatterns(t *testing.T) {
	f := func(patterns, grok, want string) {
		t.Helper()
		_, faults := ParseDefinition("x.yaml", []byte("name: x\npatterns: "+patterns+"\nlayouts:\n  - {name: a, grok: '"+grok+"'}\n"))
		if diff := cmp.Diff(want, faults.Error()); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", patterns, grok, diff)
		}
	}
	f("{}", "%{NOPE:a}", `x.yaml:4:21: layouts[0].grok: no pattern found for %{NOPE}`)
	f("{A: '%{NOPE}'}", "%{A:a}", `x.yaml:2:11: patterns: no pattern found for %{NOPE}`)
	f("{A: '('}", "%{A:a}", "x.yaml:4:21: layouts[0].grok: error parsing regexp: missing closing ): `(?P<a>()`")
	f("{A: 'x'}", "%{A:a", "x.yaml:4:21: layouts[0].grok: %{A:a is not of the form %{PATTERN}, %{PATTERN:field} or %{PATTERN:field:int}, with letters, digits and _ in the names")
	f("{A: 'x'}", "%{A}", `x.yaml:4:21: layouts[0].grok: captures no field; name one as %{PATTERN:field} or (?P<field>…)`)
	f("{A: 'x'}", "%{A:a}%{A:b:int}%{A:c:float}%{A:d:string}(?P<e>y)", "")
}

func TestSet(t *testing.T) {
	set := Set{}
	for _, text := range []string{
		"name: b\nlayouts: [{name: l, regex: '^(?P<word>[a-z]+) (?P<n>[0-9]+)$'}]\n",
		"name: c\nlayouts: [{name: l, regex: '^(?P<word>[a-z]+) (?P<n>[0-9x]+)$'}]\n",
		"name: a\nlayouts: [{name: l, regex: '^(?P<n>[0-9]+)$'}]\n",
	} {
		d, faults := ParseDefinition("", []byte(text))
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		set[d.Name] = d
	}
	f := func(want string, lines ...string) {
		t.Helper()
		var bytes [][]byte
		for _, line := range lines {
			bytes = append(bytes, []byte(line))
		}
		got := ""
		if found := set.Detect(bytes); len(found) > 0 {
			got = found[0].Name
		}
		if got != want {
			t.Errorf("%q: want %q, got %q", lines, want, got)
		}
	}
	f("")
	f("", "???", "")
	f("a", "1")
	f("b", "x 1") // c parses as many, and comes later
	f("c", "x 1", "x x", "1")
	d, closest := set.Closest([]byte("word y"))
	if d.Name != "b" || closest.Column != 6 || closest.Expected != "n" {
		t.Errorf("closest is %s: %s", d.Name, closest)
	}
}

func TestTexts(t *testing.T) {
	ts := newTexts([]string{`"dns_qtype"`, `"dns_qclass"`, `aaaaaab`, `aaaaaac`, `"x"`})
	if len(ts) != 3 {
		t.Errorf("%d groups of %s, not 3", len(ts), ts)
	}
	f := func(line string, want bool) {
		t.Helper()
		if got := ts.in([]byte(line)); got != want {
			t.Errorf("%q: %t", line, got)
		}
	}
	f(``, false)
	f(`"dns_q"`, false)
	f(`"dns_qt "dns_qtype"`, true)
	f(`"dns_qclass"`, true)
	f(`aaaaaaaaac`, true) // begins within another start
	f(`aaaaaaaaa`, false)
	f(`"x"`, true)
	f(`"dns_qtypeaaaaaa`, false)
}

func TestCompile_CSV(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, faults := ParseDefinition("", []byte("name: x\n"+text))
		if diff := cmp.Diff(strings.Join(want, "\n"), faults.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	f("layouts: [{name: csv, csv: {id: id, 'tags[]': tags}}]\nnumbers: [id]\ntime: {field: id, layout: '2006-01-02 15:04:05'}\n")
	const alone = `:2:28: layouts[0].csv: goes with no expression or dump, no other layout and no samples`
	f("layouts: [{name: csv, csv: {id: id}, regex: '^(?P<a>a)$'}]\n", alone)
	f("layouts: [{name: csv, csv: {id: id}}, {name: b, regex: '^(?P<a>a)$'}]\n", alone)
	f("layouts: [{name: csv, csv: {id: id}}]\nsamples: ['1']\n", alone)
	f("layouts: [{name: csv, csv: {}}]\n", `:2:28: layouts[0].csv: names no column; write column: field`)
	f("layouts: [{name: csv, csv: {id: ID}}]\n", `:2:28: layouts[0].csv: names no column; write column: field`, `:2:33: layouts[0].csv.id: field "ID": use lower-case letters, digits and _`)
	f("layouts: [{name: csv, csv: {id: id}}]\nframe: {ansi: true}\n", `:3:8: frame: does not go with a layout csv`)
}
