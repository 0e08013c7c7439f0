package parsers_test

import (
	"testing"

	"github.com/corkline/corkline/parsers"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// reading gives a function that holds that a record has a layout, and that
// the fields named have these values: none for an empty one. Keys that are no
// fields are those of pairs.
func reading(t *testing.T, name string) func(t *rapid.T, layout, line string, want map[string]string) {
	t.Helper()
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	d := set[name]
	parser := d.NewParser()
	parser.Refer(reference().UnixNano())
	return func(t *rapid.T, layout, line string, want map[string]string) {
		t.Helper()
		r := parsers.Record{Line: []byte(line)}
		if err := parser.Parse(&r); err != nil {
			t.Fatalf("%q: %s; %s", line, err, d.Closest([]byte(line)))
		}
		if diff := cmp.Diff([]string{layout}, d.Fits(r.Line)); diff != "" {
			t.Fatalf("%q fits (-want +got):\n%s", line, diff)
		}
		got := map[string]string{}
		for key := range want {
			got[key] = ""
			if i := d.FieldIndex(key); i >= 0 {
				got[key] = string(r.Value(i))
			}
		}
		for _, pair := range r.Pairs {
			got[string(r.Text(pair.Key))] = string(r.Text(pair.Value))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", line, diff)
		}
	}
}

func draw(t *rapid.T, expression, label string) string {
	return rapid.StringMatching(expression).Draw(t, label)
}
