package parsers

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestApart(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		p, err := parsePattern(a)
		if err != nil {
			t.Fatal(err)
		}
		q, err := parsePattern(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := newAutomaton(p.tree()).apart(newAutomaton(q.tree())); got != want {
			t.Errorf("%s and %s apart: %v", a, b, got)
		}
		if got := newAutomaton(q.tree()).apart(newAutomaton(p.tree())); got != want {
			t.Errorf("%s and %s apart: %v", b, a, got)
		}
	}
	f(`^a$`, `^b$`, true)
	f(`^a`, `^ab$`, false)
	f(`^a$`, `^ab$`, true)
	f(`^(.*) (a|b)$`, `^(.*) (a|c)$`, false)
	f(`^(.*) (a|b) [0-9]+$`, `^(.*) (c|d) [0-9]+$`, true)
	f(`^(.*) (a|b) [0-9]+$`, `^(.*) (c|d) \S+$`, true)
	f(`^(.*) (a|b) [0-9]+$`, `^(.*) (c|d) .*$`, false)
	f(`^[^|]{23}\|`, `^[^|]{19}\|`, true)
	f(`^[^|]{3}\|`, `^é..\|`, false)
	f(`^é$`, `^世$`, false) // both are beyond ASCII
	f(`^(?i:k)$`, `^\x{212a}$`, false)
	f(`^a\b`, `^ab`, false)
	f(`^$`, `^a*$`, false)
	f(`a`, `^b$`, false)
}

// TestApart_Random holds that no line matches both of two expressions that are apart.
func TestApart_Random(t *testing.T) {
	expression := randomExpression()
	patterns := rapid.Custom(func(t *rapid.T) *pattern {
		p, err := parsePattern("^" + expression.Draw(t, "expression") + rapid.SampledFrom([]string{"$", ""}).Draw(t, "end"))
		if err != nil {
			return nil
		}
		return p
	}).Filter(func(p *pattern) bool { return p != nil })
	were := 0
	rapid.Check(t, func(t *rapid.T) {
		all := []*pattern{patterns.Draw(t, "one"), patterns.Draw(t, "other")}
		if !newAutomaton(all[0].tree()).apart(newAutomaton(all[1].tree())) {
			return
		}
		were++
		for range 20 {
			if line := randomLine(t); all[0].re().MatchString(line) && all[1].re().MatchString(line) {
				t.Fatalf("%q matches %s and %s", line, all[0].source, all[1].source)
			}
		}
	})
	if were < 10 {
		t.Errorf("only %d pairs were apart", were)
	}
}

// TestAlone holds that the shipped layouts exclude each other, whatever the line.
func TestAlone(t *testing.T) {
	set := shippedSet(t)
	for _, name := range set.Names() {
		typed := slices.ContainsFunc(set[name].Layouts, func(l *Layout) bool { return l.pattern == nil })
		for i, is := range set[name].alone() {
			layout := set[name].Layouts[i].Name
			if !is && !typed && layout != "banner" { // the time of the layouts before it may be any text
				t.Errorf("a line may fit the layout %s of %s, and one before it", layout, name)
			}
		}
	}
}

func BenchmarkAlone(b *testing.B) {
	set := shippedSet(b)
	for _, name := range set.Names() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				alone(set[name].Layouts)
			}
		})
	}
}
