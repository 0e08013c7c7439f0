package parsers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefinition_Expressions(t *testing.T) {
	f := func(text string, want ...Expression) {
		t.Helper()
		d, faults := ParseDefinition("x.yaml", []byte("name: x\n"+text))
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, d.Expressions()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	const layouts = "layouts: [{name: one, regex: '^(?P<a>.*)$'}, {name: two, regex: '(?P<a>.)'}]\n"
	one, two := Expression{Key: "layouts[0]", Layout: "one"}, Expression{Key: "layouts[1]", Layout: "two", Regexp: "not anchored at the start"}
	f(layouts, one, two)
	f("frame: {cri: true}\n"+layouts, one, two)
	f("frame: {head: '^[0-9]'}\n"+layouts, Expression{Key: "frame.head"}, one, two)
	f("layouts: [{name: entry, dump: conntrack}]\n", Expression{Key: "layouts[0]", Layout: "entry", Typed: true})
	f("layouts: [{name: row, csv: {time: at}}]\n", Expression{Key: "layouts[0]", Layout: "row", Typed: true})
	f(layouts+"extract: [{from: a, to: b}, {from: a, regex: '^(?:xy)*?(?P<c>y)$'}, {first: [b, a], grok: '^%{INT:n}$'}]\n",
		one, two, Expression{Key: "extract[1]", Regexp: "a lazy group"}, Expression{Key: "extract[2]"})
}
