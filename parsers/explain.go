package parsers

import "fmt"

// Expression is one that lines are matched with: that of a layout, of a step,
// or of the frame.
type Expression struct {
	Key    string // in the definition's form, such as layouts[0] or extract[2]
	Layout string // name of the layout, if it is one
	Typed  bool   // a typed parser stands in its place (dump, csv)
	// Regexp says why package regexp matches it, which is several times slower
	// than the matcher; empty when the matcher does.
	Regexp string
}

// Expressions lists those of the definition as its form has them: the frame's,
// the layouts', and those of steps.
func (d *Definition) Expressions() []Expression {
	var all []Expression
	if d.frame != nil && d.frame.head != nil {
		all = append(all, Expression{Key: "frame.head", Regexp: d.frame.head.slow})
	}
	for i, layout := range d.Layouts {
		e := Expression{Key: fmt.Sprintf("layouts[%d]", i), Layout: layout.Name, Typed: layout.pattern == nil}
		if !e.Typed {
			e.Regexp = layout.pattern.slow
		}
		all = append(all, e)
	}
	for i := range d.steps {
		if p := d.steps[i].pattern; p != nil {
			all = append(all, Expression{Key: fmt.Sprintf("extract[%d]", i), Regexp: p.slow})
		}
	}
	return all
}
