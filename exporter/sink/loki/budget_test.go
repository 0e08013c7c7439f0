package loki

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/corkline/corkline/parsers"
)

func batchWith(d *parsers.Definition, source string, lines ...string) *parsers.Batch {
	b := &parsers.Batch{Source: source}
	for i, line := range lines {
		b.Records = append(b.Records, record(d, int64(i), line))
	}
	return b
}

// cappedAre compares what was counted with lines like `label="f0",source="s"} 1`.
func cappedAre(t *testing.T, reg *prometheus.Registry, want ...string) {
	t.Helper()
	const name = "corkline_pipeline_label_values_capped_total"
	text := "# HELP " + name + " Records that went to a stream with the label's value overflow, since the source had reached its number of values (max_label_values).\n# TYPE " + name + " counter\n"
	for _, w := range want {
		text += name + "{" + w + "\n"
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(text)); err != nil {
		t.Error(err)
	}
}

func TestBudget(t *testing.T) {
	d := words(2, 1)
	reg := prometheus.NewPedanticRegistry()
	budget := NewBudget(reg, 2)
	budget.Declare("s", "f1")
	cappedAre(t, reg, `label="f1",source="s"} 0`)

	// f gives each line's stream and metadata.
	f := func(sp *splitter, source, want string, lines ...string) {
		t.Helper()
		var got []string
		for _, p := range encodeAll(t, sp, batchWith(d, source, lines...), 1<<20) {
			got = append(got, p.Labels)
			for _, e := range p.Entries {
				var metadata []string
				for _, l := range e.Metadata {
					metadata = append(metadata, l.Name+"="+l.Value)
				}
				got = append(got, fmt.Sprintf("  %s: %s", e.Line, strings.Join(metadata, " ")))
			}
		}
		if diff := cmp.Diff(strings.TrimSpace(want), strings.Join(got, "\n")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	one := newSplitter(nil, budget)
	f(one, "s", `
{f0="a", f1="x", source="s"}
  a x 1: f2=1
{f0="b", f1="x", source="s"}
  b x 2: f2=2
{f0="overflow", f1="y", source="s"}
  c y 3: f2=3 f0_full=c
  overflow y 7: f2=7 f0_full=overflow
{f0="a", f1="overflow", source="s"}
  a z 4: f2=4 f1_full=z
{f0="overflow", f1="overflow", source="s"}
  d z 5: f2=5 f0_full=d f1_full=z
{f1="y", source="s"}
   y 6: f2=6
{f0="a", source="s"}
  a  8: f2=8`,
		"a x 1", "b x 2", "c y 3", "a z 4", "d z 5", " y 6", "overflow y 7", "a  8")
	cappedAre(t, reg, `label="f0",source="s"} 2`, `label="f1",source="s"} 2`)

	// The same values keep their room, in each splitter.
	for _, sp := range []*splitter{one, newSplitter(nil, budget)} {
		f(sp, "s", `
{f0="overflow", f1="x", source="s"}
  e x 1: f2=1 f0_full=e
  c x 3: f2=3 f0_full=c
{f0="b", f1="y", source="s"}
  b y 2: f2=2`,
			"e x 1", "b y 2", "c x 3")
	}
	cappedAre(t, reg, `label="f0",source="s"} 6`, `label="f1",source="s"} 2`)

	// Another source has room of its own.
	f(one, "s2", `
{f0="c", f1="z", source="s2"}
  c z 1: f2=1`, "c z 1")
	cappedAre(t, reg, `label="f0",source="s"} 6`, `label="f1",source="s"} 2`, `label="f0",source="s2"} 0`, `label="f1",source="s2"} 0`)
}

// A line that has the overflow's name as its value is not taken for a capped
// one, whichever comes first.
func TestBudget_OwnOverflow(t *testing.T) {
	d := words(1, 0)
	reg := prometheus.NewPedanticRegistry()
	sp := newSplitter(nil, NewBudget(reg, 1))
	got := encodeAll(t, sp, batchWith(d, "s", "overflow", "a", "b"), 1<<20)
	want := []pushed{
		{Labels: `{f0="overflow", source="s"}`, Entries: []entry{
			{Time: 0, Line: "overflow", Metadata: pairs("f0_full", "overflow")},
			{Time: 2, Line: "b", Metadata: pairs("f0_full", "b")},
		}},
		{Labels: `{f0="a", source="s"}`, Entries: []entry{{Time: 1, Line: "a"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cappedAre(t, reg, `label="f0",source="s"} 1`)
}

// Sinks that share a budget agree on what has room, however they race for it.
func TestBudget_Parallel(t *testing.T) {
	const values, room, rounds = 40, 8, 5
	reg := prometheus.NewPedanticRegistry()
	budget := NewBudget(reg, room)
	d := words(1, 0)
	var lokis [4]fakeLoki
	var wg sync.WaitGroup
	for i := range lokis {
		lokis[i].tb = t
		wg.Go(func() {
			for k := range rounds {
				s, err := New(Options{URL: "http://loki", Client: &http.Client{Transport: &lokis[i]}, Budget: budget}) // as after a reload
				if err != nil {
					t.Error(err)
					return
				}
				b := &parsers.Batch{Source: "s"}
				for n := range values {
					b.Records = append(b.Records, record(d, int64(k*values+n), fmt.Sprint("v", (n*7+i*11)%values)))
				}
				if err := s.Begin(b)(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	streams := map[string]bool{}
	for i := range lokis {
		for labels, lines := range lokis[i].lines {
			streams[labels] = true
			if want := rounds * (values - room); strings.Contains(labels, Overflow) && len(lines) != want {
				t.Errorf("%d lines in the overflow, want %d", len(lines), want)
			}
		}
	}
	if len(streams) != room+1 {
		t.Errorf("%d streams, want %d and the overflow: %v", len(streams), room, streams)
	}
	cappedAre(t, reg, fmt.Sprintf(`label="f0",source="s"} %d`, len(lokis)*rounds*(values-room)))
}

func TestBudget_AllocatesNothing(t *testing.T) {
	f := func(values int) {
		t.Helper()
		b := policyBatch(500)
		sp, buf := newSplitter(nil, NewBudget(nil, values)), new(buffer)
		encode := func() {
			for _, st := range sp.streams(b) {
				st.encode(buf, b, st.records, 1<<20, false)
			}
		}
		encode()
		if n := testing.AllocsPerRun(20, encode); n != 0 {
			t.Errorf("room for %d values: %v allocations for a batch, want none", values, n)
		}
	}
	f(2)
	f(1) // Drop goes to the overflow
}
