package parsers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExtract_JoinOnly(t *testing.T) {
	const text = `name: joins
layouts: [{name: all, regex: '^(?P<side>[a-z]*) (?P<a>[^ ]*) (?P<b>[^ ]*)$'}]
extract:
  - {join: [a, b], with: /, to: both}
  - {join: [a, b], with: /, to: never, only: {side: [none]}}
  - {from: a, to: chosen, only: {side: [left]}}
  - {from: b, to: chosen, only: {side: [right]}}
  - {from: side, to: empty, map: {}}
`
	d, faults := ParseDefinition("joins.yaml", []byte(text))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	f := func(line string, want map[string]any) {
		t.Helper()
		r := Record{Line: []byte(line)}
		if err := d.NewParser().Parse(&r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, r.Result(time.Time{}).Fields); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
	f("left 1 2", map[string]any{"side": "left", "a": "1", "b": "2", "both": "1/2", "chosen": "1"})
	f("right 1 2", map[string]any{"side": "right", "a": "1", "b": "2", "both": "1/2", "chosen": "2"})
	f("left 1 ", map[string]any{"side": "left", "a": "1", "both": "1", "chosen": "1"})
	f("right 1 ", map[string]any{"side": "right", "a": "1", "both": "1"})
	f("other  ", map[string]any{"side": "other"})
}
