package loki

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/corkline/corkline/parsers"
)

// What is pushed from entries is byte for byte what Begin pushed.
func TestEntries(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := words(1, 2)
		b := &parsers.Batch{Source: rapid.SampledFrom([]string{"s", `a "b"`}).Draw(rt, "source")}
		for i := range rapid.IntRange(1, 20).Draw(rt, "n") {
			line := rapid.SampledFrom([]string{"a b c", "b  c", "c", "overflow x", "d \xff\xfe x", "e k v"}).Draw(rt, "line")
			r := record(d, int64(i), line)
			if rapid.Bool().Draw(rt, "no layout") {
				r.Layout, r.Spans = nil, nil
			} else if len(line) == 5 {
				r.Pairs = []parsers.Pair{{Key: parsers.Span{Start: 0, End: 1}, Value: parsers.Span{Start: 4, End: 5}}}
			}
			r.Flags = parsers.Flags(rapid.IntRange(0, 7).Draw(rt, "flags"))
			b.Records = append(b.Records, r)
		}
		var mu sync.Mutex
		var bodies []string
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			mu.Lock()
			bodies = append(bodies, string(body))
			mu.Unlock()
			r.Body.Close()
			if err != nil {
				return nil, err
			}
			return respond(http.StatusNoContent, ""), nil
		})}
		reg := prometheus.NewRegistry()
		packed := rapid.Bool().Draw(rt, "packed")
		s, err := New(Options{URL: "http://loki", Client: client, Budget: NewBudget(reg, 2), Labels: []Label{{"job", "j"}, {"node", "n\xff"}, {"cluster", ""}}})
		if err != nil {
			rt.Fatal(err)
		}
		s.form.packed.Store(packed)
		if err := s.Begin(b)(t.Context()); err != nil {
			rt.Fatal(err)
		}
		want := bodies
		slices.Sort(want) // streams are pushed side by side
		capped := gathered(t, reg)

		var records []int32
		for i := range b.Records {
			records = append(records, int32(i))
		}
		entries := map[string][]Entry{}
		labelsOf := map[string][][2]string{}
		var order []string
		err = s.Entries(b, records, func(labels [][2]string, e Entry) error {
			key := fmt.Sprint(labels)
			if entries[key] == nil {
				order, labelsOf[key] = append(order, key), labels
			}
			entries[key] = append(entries[key], e)
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(capped, gathered(t, reg)); diff != "" {
			rt.Errorf("the budget counts them again: %s", diff)
		}
		bodies = nil
		other, err := New(Options{URL: "http://loki", Client: client})
		if err != nil {
			rt.Fatal(err)
		}
		other.form.packed.Store(packed)
		for _, key := range order {
			if err := other.Push(t.Context(), labelsOf[key], entries[key]); err != nil {
				rt.Fatal(err)
			}
		}
		slices.Sort(bodies)
		if diff := cmp.Diff(want, bodies); diff != "" {
			rt.Errorf("(-consumed +pushed):\n%s", diff)
		}
	})
}

func gathered(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(families)
}

func TestPush_LabelName(t *testing.T) {
	s := newSink(t, Options{URL: "http://loki"})
	if err := s.Push(t.Context(), [][2]string{{"a b", "c"}}, nil); err == nil || err.Error() != `push to loki: "a b" is not a label name` {
		t.Errorf("error is %v", err)
	}
}
