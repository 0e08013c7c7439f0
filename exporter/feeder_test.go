package exporter

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"pgregory.net/rapid"

	"github.com/corkline/corkline/parsers"
)

// visits is a format of values between semicolons: a time, two words, a list
// and two numbers.
func visits(t testing.TB, metrics string) *parsers.Definition {
	t.Helper()
	return parse(t, "visits", `
layouts: [{name: plain, regex: '^(?P<time>[^;]*);(?P<site>[^;]*);(?P<code>[^;]*);(?P<rules>[^;]*);(?P<ms>[^;]*);(?P<id>[^;]*)$'}]
absent: ["-"]
numbers: [ms, id]
time: {field: time, layout: "2006-01-02 15:04:05.000", zone: UTC}
metrics: [`+metrics+`]
`)
}

// exposition of a registry, without the catalogue's own metrics.
func exposition(t rapid.TB, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("gather: %s", err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "corkline_pipeline_") {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatalf("write: %s", err)
		}
	}
	return text.String()
}

// samples of an exposition, without what describes them.
func samplesOf(text string) (samples []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			samples = append(samples, strings.TrimSpace(strings.TrimPrefix(line, "corkline_")))
		}
	}
	return samples
}

// A packet counts for each policy that decided on it, and once when none is named.
func TestFeeder_Policies(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, lines []string, want ...string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		feederOf(t, NewCatalogue(registry, 100), set[name])(lines...)
		if diff := cmp.Diff(want, samplesOf(exposition(t, registry))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	const policies = `[{"name":"allow-db","namespace":"shop"},{"name":"allow-all"}]`
	f("hubble", []string{
		`{"flow":{"time":"2024-06-02T10:11:12Z","verdict":"FORWARDED","event_type":{"type":5},"traffic_direction":"EGRESS","egress_allowed_by":` + policies + `}}`,
		`{"flow":{"time":"2024-06-02T10:11:12Z","verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","event_type":{"type":5},"traffic_direction":"EGRESS"}}`,
	},
		`networkpolicy_log_lines_total{action="Allow"} 1`, `networkpolicy_log_lines_total{action="Drop"} 1`,
		`networkpolicy_logged_packets_total{action="Allow",direction="Egress",policy="allow-all",rule=""} 1`,
		`networkpolicy_logged_packets_total{action="Allow",direction="Egress",policy="shop/allow-db",rule=""} 1`,
		`networkpolicy_logged_packets_total{action="Drop",direction="Egress",policy="",rule=""} 1`)
	f("gke-policy", []string{
		`{"connection":{"direction":"ingress"},"disposition":"allow","policies":` + policies + `,"timestamp":"2024-06-02T10:11:12Z"}`,
		`{"connection":{"direction":"ingress"},"disposition":"deny","count":17,"timestamp":"2024-06-02T10:11:12Z"}`,
	},
		`networkpolicy_log_lines_total{action="Allow"} 1`, `networkpolicy_log_lines_total{action="Drop"} 1`,
		`networkpolicy_logged_packets_total{action="Allow",direction="Ingress",policy="allow-all",rule=""} 1`,
		`networkpolicy_logged_packets_total{action="Allow",direction="Ingress",policy="shop/allow-db",rule=""} 1`,
		`networkpolicy_logged_packets_total{action="Drop",direction="Ingress",policy="",rule=""} 17`)
}

func TestFeeder_Kinds(t *testing.T) {
	// f feeds lines to a metric: what follows its name and type, and the
	// samples that are wanted of it.
	f := func(metric string, lines []string, want ...string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		feederOf(t, NewCatalogue(registry, 100), visits(t, "{"+metric+", help: H.}"))(lines...)
		if diff := cmp.Diff(want, samplesOf(exposition(t, registry))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", metric, diff)
		}
	}
	const counter, histogram = "name: v_total, type: counter, ", "name: v_seconds, type: histogram, "
	at := func(site, code, rules, ms, id string) string {
		return strings.Join([]string{"2026-11-21 10:00:00.000", site, code, rules, ms, id}, ";")
	}
	ms := func(values ...string) (lines []string) {
		for _, v := range values {
			lines = append(lines, at("a", "", "", v, ""))
		}
		return lines
	}

	// Amounts are scaled, the default is not.
	f(counter+"add: ms, scale: 0.5", ms("4", "10", "-", "x"), "v_total 9")
	f(counter+"add: ms, scale: 0.5, default: 0", ms("4", "10", "-", "x"), "v_total 7")
	f(counter+"add: ms, scale: 10", ms("1e308"))
	// A histogram observes nothing for a record without a value.
	f(histogram+"observe: ms, scale: 0.001, buckets: [0.01, 0.1]", ms("10", "11", "100", "101", "-", "", "x", "NaN", "1e400"),
		`v_seconds_bucket{le="0.01"} 1`, `v_seconds_bucket{le="0.1"} 3`, `v_seconds_bucket{le="+Inf"} 4`, "v_seconds_sum 0.222", "v_seconds_count 4")
	f(histogram+"observe: ms, labels: [site], buckets: [-1, 0]", ms("-2", "0", "1e-3"),
		`v_seconds_bucket{site="a",le="-1"} 1`, `v_seconds_bucket{site="a",le="0"} 2`, `v_seconds_bucket{site="a",le="+Inf"} 3`, `v_seconds_sum{site="a"} -1.999`, `v_seconds_count{site="a"} 3`)
	f(histogram+"observe: ms, scale: 10, buckets: [1]", ms("1e308"))

	// Conditions. What does not feed a metric makes no series either.
	codes := []string{at("a", "200", "", "", ""), at("a", "404", "", "", ""), at("b", "-", "", "", ""), at("c", "404", "", "", "")}
	f(counter+"labels: [site], only: {code: [\"404\", \"500\"]}", codes, `v_total{site="a"} 1`, `v_total{site="c"} 1`)
	f(counter+"labels: [site], only: {code: []}", codes, `v_total{site="a"} 2`, `v_total{site="c"} 1`)
	f(counter+"labels: [site], except: {code: []}", codes, `v_total{site="b"} 1`)
	f(counter+"labels: [site], only: {code: [\"404\"]}, except: {site: [a]}", codes, `v_total{site="c"} 1`)
	f(histogram+"observe: ms, buckets: [1], only: {site: [a], code: [\"200\"]}", []string{at("a", "200", "", "1", ""), at("b", "200", "", "1", "")},
		`v_seconds_bucket{le="1"} 1`, `v_seconds_bucket{le="+Inf"} 1`, "v_seconds_sum 1", "v_seconds_count 1")

	// Once for each element of a list, and once for none unless a condition says otherwise.
	rules := []string{at("a", "", "r1,r2", "2", ""), at("a", "", "", "2", ""), at("a", "", "-", "2", ""), at("b", "", " r1 , ,r1,", "3", ""), at("b", "", ", ", "5", "")}
	f(counter+"labels: [rules], each: rules", rules, `v_total{rules=""} 2`, `v_total{rules="r1"} 3`, `v_total{rules="r2"} 1`)
	f(counter+"labels: [rules], each: rules, only: {rules: []}", rules, `v_total{rules="r1"} 3`, `v_total{rules="r2"} 1`)
	f(counter+"labels: [site, rules], each: rules, add: ms, only: {rules: []}", rules, `v_total{rules="r1",site="a"} 2`, `v_total{rules="r1",site="b"} 6`, `v_total{rules="r2",site="a"} 2`)
	f(counter+"labels: [rules, site], each: rules, only: {site: [a], rules: []}", rules, `v_total{rules="r1",site="a"} 1`, `v_total{rules="r2",site="a"} 1`)
	f(histogram+"observe: ms, labels: [rules], each: rules, buckets: [2]", []string{at("a", "", "r1,r2", "3", "")},
		`v_seconds_bucket{rules="r1",le="2"} 0`, `v_seconds_bucket{rules="r1",le="+Inf"} 1`, `v_seconds_sum{rules="r1"} 3`, `v_seconds_count{rules="r1"} 1`,
		`v_seconds_bucket{rules="r2",le="2"} 0`, `v_seconds_bucket{rules="r2",le="+Inf"} 1`, `v_seconds_sum{rules="r2"} 3`, `v_seconds_count{rules="r2"} 1`)

	// Missing numbers, for each label set by itself.
	f(counter+"labels: [site], gaps: id", []string{at("a", "", "", "", "7"), at("b", "", "", "", "100"), at("a", "", "", "", "10"), at("a", "", "", "", "-"), at("a", "", "", "", "x"), at("b", "", "", "", "101")},
		`v_total{site="a"} 2`, `v_total{site="b"} 0`)
	f(counter+"gaps: id, except: {site: [b]}", []string{at("a", "", "", "", "1"), at("b", "", "", "", "2"), at("a", "", "", "", "3")}, "v_total 1")

	// Seconds in which 2 records came, for each label set by itself.
	times := func(words ...string) (lines []string) {
		for _, word := range words {
			site, time, _ := strings.Cut(word, "@")
			lines = append(lines, "2026-11-21 10:00:"+time+";"+site+";;;;")
		}
		return lines
	}
	f(counter+"labels: [site], seconds_at: 2", times("a@01.000", "a@01.999", "a@01.999", "b@01.500", "a@02.000", "b@02.000", "a@03.000", "a@02.500", "a@03.100"), `v_total{site="a"} 2`, `v_total{site="b"} 0`)
	f(counter+"seconds_at: 1", times("a@01.000", "a@01.000", "a@02.000"), "v_total 2")
}

// A record that carries no time belongs to no second.
func TestFeeder_NoTime(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	feederOf(t, NewCatalogue(registry, 100), define(t, "words", "{name: v_total, type: counter, seconds_at: 1, help: H.}"))("a 1", "b 2")
	if got := samplesOf(exposition(t, registry)); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestFeeder_LongLabels(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		registry := prometheus.NewPedanticRegistry()
		d := define(t, "words", "{name: v_total, type: counter, labels: [word], help: H.}, {name: each_total, type: counter, labels: [word], each: word, help: H.}")
		feederOf(t, NewCatalogue(registry, 100), d)(value+" 1", value+" 1")
		if diff := cmp.Diff([]string{fmt.Sprintf("each_total{word=%q} 2", want), fmt.Sprintf("v_total{word=%q} 2", want)}, samplesOf(exposition(t, registry))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", value, diff)
		}
	}
	x := strings.Repeat("x", 200)
	f(x[:128], x[:128])
	f(x[:129], x[:125]+"…")
	f(x[:124]+"é"+x[:10], x[:124]+"…")
	f(x[:123]+"é"+x[:10], x[:123]+"é…")
	f(x[:122]+"😀"+x[:10], x[:122]+"…")
	f(strings.Repeat("…", 50), strings.Repeat("…", 41)+"…")
}

// Bytes that are not UTF-8 are the pipeline's to replace, but a cut survives them.
func TestAppendCut_Invalid(t *testing.T) {
	if got := appendCut(nil, bytes.Repeat([]byte{0x80}, 200)); string(got) != cutMark {
		t.Errorf("got %q", got)
	}
}

func TestSequence(t *testing.T) {
	// f feeds numbers; want is what is missing in all.
	f := func(want uint64, numbers ...uint64) {
		t.Helper()
		var s sequence
		got := uint64(0)
		for _, n := range numbers {
			got += s.next(n)
		}
		if got != want {
			t.Errorf("%d: want %d missing, got %d", numbers, want, got)
		}
	}
	const most = 1<<64 - 1
	f(0)
	f(0, 5)
	f(0, 0, 1, 2)
	f(0, most-1, most)
	f(3, 1, 5)
	f(2, 1, 3, 5)
	f(1, 1, 3, 2, 4)             // one came late, and stays counted
	f(0, 1, 2, 2, 1, 3)          // some came twice
	f(0, 2000, 2000-1024, 2001)  // late: the sequence goes on where it was
	f(1, 2000, 2000-1025, 977)   // a restart: it goes on from there
	f(1<<20-1, 10, 10+1<<20)     // the longest gap
	f(0, 10, 11+1<<20, 12+1<<20) // a restart
	f(5, 10, 11+1<<20, 17+1<<20)
	f(0, most, 0, 1) // it wrapped around
	f(0, 0, most, 0, most)
	f(9, 0, 10, 0, 10) // 0 is late
}

func TestSequenceNumber(t *testing.T) {
	f := func(text string, want uint64, wantOK bool) {
		t.Helper()
		if got, ok := sequenceNumber([]byte(text)); got != want && wantOK || ok != wantOK {
			t.Errorf("%q: want %d, %v, got %d, %v", text, want, wantOK, got, ok)
		}
	}
	f("0", 0, true)
	f("007", 7, true)
	f("9223372036854775809", 1<<63+1, true) // a float64 would round it
	f("18446744073709551615", 1<<64-1, true)
	f("18446744073709551616", 0, false)
	f("184467440737095516150", 0, false)
	f(strings.Repeat("9", 100), 0, false)
	f("", 0, false)
	f("-1", 0, false)
	f("1.0", 0, false)
	f("1e3", 0, false)
	f(" 1", 0, false)
	f("1:", 0, false)
	f("\xff", 0, false)
}

func TestSecond(t *testing.T) {
	f := func(atLeast, want int, times ...int64) {
		t.Helper()
		var s second
		got := 0
		for _, at := range times {
			if s.add(at, atLeast) {
				got++
			}
		}
		if got != want {
			t.Errorf("%d at %v: want %d seconds, got %d", atLeast, times, want, got)
		}
	}
	f(1, 3, 5, 6, 6, 7)
	f(2, 1, 5, 6, 6, 6, 7)
	f(2, 2, 5, 5, 6, 6)
	f(3, 0, 5, 5, 6, 6)
	f(2, 1, 5, 6, 5, 6, 5, 5) // those of 5 come late
	f(2, 1, -5, -5, -6)
}

// every is a definition with a metric of each kind, and labels in all relations.
func every(t testing.TB) *parsers.Definition {
	return visits(t, `
  {name: a_total, type: counter, labels: [site, code], help: H.},
  {name: b_total, type: counter, labels: [code, site], add: ms, help: H.},
  {name: c_seconds, type: histogram, labels: [site, code], observe: ms, scale: 0.001, buckets: [0.001, 0.1], help: H.},
  {name: d_total, type: counter, labels: [site], help: H.},
  {name: e_total, type: counter, help: H.},
  {name: f_total, type: counter, labels: [site], only: {code: ["500"]}, help: H.},
  {name: g_seconds, type: histogram, labels: [site], observe: ms, buckets: [1], except: {code: ["200"]}, help: H.},
  {name: h_total, type: counter, labels: [rules], each: rules, help: H.},
  {name: i_total, type: counter, labels: [rules, site], each: rules, help: H.},
  {name: j_total, type: counter, labels: [site, rules], each: rules, add: ms, only: {code: ["200"]}, help: H.},
  {name: k_total, type: counter, labels: [site], gaps: id, help: H.},
  {name: l_total, type: counter, labels: [site, code], seconds_at: 2, help: H.},
  {name: m_total, type: counter, labels: [rules, code], only: {site: [a]}, help: H.},
  {name: n_total, type: counter, labels: [code], help: H.}
`)
}

// ungrouped gives each metric a key of its own.
func ungrouped(f *Feeder) *Feeder {
	apart := &Feeder{}
	for _, g := range f.groups {
		for i := range g.feeds {
			apart.groups = append(apart.groups, newGroup(&g.feeds[i]))
		}
	}
	return apart
}

func TestFeeder_Groups(t *testing.T) {
	feeder, err := NewCatalogue(prometheus.NewRegistry(), 100).Feeder(every(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range feeder.groups {
		var names []string
		for i := range g.feeds {
			names = append(names, strings.TrimPrefix(g.feeds[i].metric.Name, parsers.Prefix))
		}
		got = append(got, strings.Join(names, " "))
	}
	want := []string{
		"a_total b_total c_seconds l_total d_total n_total f_total g_seconds k_total e_total",
		"i_total j_total",
		"m_total",
		"h_total",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics that share a key (-want +got):\n%s", diff)
	}
}

// Whatever comes, and whatever the cap cuts off, metrics that share a key
// count what they would count each by itself; and no feeder remembers more
// than the caps allow.
func TestFeeder_SharedKeys(t *testing.T) {
	d := every(t)
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 2, 5, 100}).Draw(t, "cap")
		n := rapid.IntRange(1, 60).Draw(t, "n")
		var lines []string
		pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, "value") }
		for range n {
			lines = append(lines, strings.Join([]string{
				pick("2026-11-21 10:00:00.000", "2026-11-21 10:00:00.900", "2026-11-21 10:00:01.000"),
				pick("a", "b", "c", "-", "overflow"),
				pick("200", "404", "500", "-"),
				pick("", "r1", "r1,r2", "r3, r4,r1,,", "overflow"),
				pick("0", "1.5", "70", "-3", "-"),
				pick("1", "2", "5", "2000", "-"),
			}, ";"))
		}
		shared, apart := prometheus.NewPedanticRegistry(), prometheus.NewPedanticRegistry()
		together, err := NewCatalogue(shared, limit).Feeder(d)
		if err != nil {
			t.Fatal(err)
		}
		single, err := NewCatalogue(apart, limit).Feeder(d)
		if err != nil {
			t.Fatal(err)
		}
		single = ungrouped(single)
		parser := d.NewParser()
		for _, line := range lines {
			r := parsers.Record{Line: []byte(line)}
			if err := parser.Parse(&r); err != nil {
				t.Fatalf("%q: %s", line, err)
			}
			together.Add(&r)
			single.Add(&r)
		}
		for _, g := range together.groups {
			most := 0
			for i := range g.feeds {
				if len(g.feeds[i].labels) == len(g.labels) {
					most += g.feeds[i].family.cap
				}
			}
			if len(g.known) > most {
				t.Errorf("%d keys are remembered, and the caps are %d", len(g.known), most)
			}
		}
		if diff := cmp.Diff(exposition(t, apart), exposition(t, shared)); diff != "" {
			t.Errorf("(-each by itself +with a shared key):\n%s", diff)
		}
	})
}

// No record allocates, neither one whose series are there nor one that the limit
// cuts off.
func TestFeeder_AllocatesNothing(t *testing.T) {
	d := every(t)
	f := func(limit int, lines ...string) {
		t.Helper()
		feeder, err := NewCatalogue(prometheus.NewRegistry(), limit).Feeder(d)
		if err != nil {
			t.Fatal(err)
		}
		var records []parsers.Record
		for _, line := range lines {
			r := parsers.Record{Line: []byte(line)}
			if err := d.NewParser().Parse(&r); err != nil {
				t.Fatalf("%q: %s", line, err)
			}
			records = append(records, r)
		}
		got := testing.AllocsPerRun(100, func() {
			for i := range records {
				feeder.Add(&records[i])
			}
		})
		if got != 0 {
			t.Errorf("limit %d, %q: %v allocations", limit, lines, got)
		}
	}
	long := strings.Repeat("x", 200)
	lines := []string{
		"2026-11-21 10:00:00.000;a;200;r1,r2;17;1",
		"2026-11-21 10:00:00.000;b;500;;-;x",
		"2026-11-21 10:00:00.000;" + long + ";500;" + long + ",r;-1;18446744073709551615",
	}
	f(100, lines...)
	f(1, lines...)
}
