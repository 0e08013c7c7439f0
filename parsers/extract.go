package parsers

import (
	"bytes"
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
)

// ExtractForm is a step that makes fields of what a field holds. It has one
// of From and First, and one of the ways. Steps are taken in their order; one
// whose field the line does not have is passed over.
type ExtractForm struct {
	// From is the field that is read; First the fields of which the first that
	// the line has is read.
	From  string   `yaml:"from"`
	First []string `yaml:"first"`
	// Only: the step is passed over for a line that does not have one of the
	// values of each of these fields (of none: any value).
	Only map[string][]string `yaml:"only"`
	// Grok and Regex: an expression whose groups become fields where the text
	// has its form.
	Grok  string `yaml:"grok"`
	Regex string `yaml:"regex"`
	// JSON: the text is an object, or the members of one; paths of its values
	// and the fields that they become. A line whose text is not JSON fails.
	JSON map[string]string `yaml:"json"`
	// Pairs: keys and values.
	Pairs *PairsForm `yaml:"pairs"`
	// Go: a struct as Go's %+v prints it; paths and fields.
	Go map[string]string `yaml:"go"`
	// Unquote is the field that the text becomes without its quotes and escapes,
	// where it is a string as Go's %q prints it.
	Unquote string `yaml:"unquote"`
	// To is the field that the text becomes, Map what is written for which
	// text, Default what for all others (or none: as it is, without Map).
	To      string            `yaml:"to"`
	Map     map[string]string `yaml:"map"`
	Default string            `yaml:"default"`
	// Join, in place of From and First: the values of these fields, as many as
	// the line has, become To, with the text With between them.
	Join []string `yaml:"join"`
	With string   `yaml:"with"`
}

// PairsForm says how keys and values are written, which become fields, and
// whether the others are kept as pairs.
type PairsForm struct {
	Style  string            `yaml:"style"`
	Keys   map[string]string `yaml:"keys"`
	Others bool              `yaml:"others"`
}

// step is a compiled ExtractForm.
type step struct {
	source    int      // the only one of from, or -1
	starts    *byteSet // what a text that matches can begin with; nil when that is anything
	only      []Condition
	from      []int // the first that the line has
	unquote   bool
	pattern   *pattern
	begins    []byte // what every text of the pattern begins with
	holds     []byte // what every text of a pattern holds that begins with .*
	groups    []int
	to        int
	values    map[string]string
	mapped    bool
	otherwise string
	json      *jsonPlan
	pairs     *pairsPlan
	dump      *dumpPlan
	join      []int
	with      string
}

func (c *compilation) extract(expander *grokExpander) {
	for i, form := range c.form.Extract {
		c.extractStep(fmt.Sprintf("extract[%d]", i), form, expander)
	}
}

func (c *compilation) extractStep(at string, form ExtractForm, expander *grokExpander) {
	s := step{source: -1, to: -1, with: form.With, only: c.conditions(at+".only", form.Only)}
	if form.With != "" && form.Join == nil {
		c.fault(at+".with", "needs join, the fields between whose values it stands")
	}
	switch {
	case form.Join != nil:
		if form.From != "" || len(form.First) > 0 || form.To == "" || form.Map != nil || form.Default != "" {
			c.fault(at, "join takes to and with, and nothing else")
			return
		}
		for k, name := range form.Join {
			s.join = append(s.join, c.field(fmt.Sprintf("%s.join[%d]", at, k), name))
		}
	case (form.From == "") == (len(form.First) == 0):
		c.fault(at, "give either from or first")
		return
	case form.From != "":
		s.from = []int{c.field(at+".from", form.From)}
	}
	for k, name := range form.First {
		s.from = append(s.from, c.field(fmt.Sprintf("%s.first[%d]", at, k), name))
	}
	ways := 0
	for _, given := range []bool{form.Grok != "", form.Regex != "", form.JSON != nil, form.Pairs != nil, form.Go != nil, form.Unquote != "", form.To != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		c.fault(at, "give one of grok, regex, json, pairs, go, unquote and to")
		return
	}
	if form.To == "" && (form.Map != nil || form.Default != "") {
		c.fault(at, "map and default need to, the field that the text becomes")
	}
	var err error
	switch {
	case form.Grok != "" || form.Regex != "":
		key, source := at+".regex", form.Regex
		if form.Grok != "" {
			key = at + ".grok"
			regex, marked, err := expander.expand(form.Grok)
			if err != nil {
				c.fault(key, "%s", err)
				return
			}
			source = regex
			c.numbers = append(c.numbers, marked...)
		}
		s.pattern, s.groups = c.expression(key, source)
		if s.pattern == nil {
			return
		}
		share([]*pattern{s.pattern})
		if fast := s.pattern.fast; fast != nil {
			s.starts = &fast.start.first
		}
		tree := s.pattern.tree()
		s.begins, s.holds = []byte(literalStart(tree)), []byte(literalWithin(tree))
	case form.JSON != nil:
		s.json, err = newJSONPlan(c.named(at+".json", form.JSON), c.secrets)
		c.untyped = true
	case form.Pairs != nil:
		s.pairs, err = newPairsPlan(form.Pairs.Style, c.named(at+".pairs.keys", form.Pairs.Keys), form.Pairs.Others)
		c.untyped = true
	case form.Go != nil:
		s.dump = newDumpPlan(c.named(at+".go", form.Go))
		c.untyped = true
	case form.Unquote != "":
		if !fieldForm.MatchString(form.Unquote) {
			c.fault(at+".unquote", "field %q: use lower-case letters, digits and _", form.Unquote)
			return
		}
		s.to, s.unquote = c.addField(form.Unquote), true
	default:
		if !fieldForm.MatchString(form.To) {
			c.fault(at+".to", "field %q: use lower-case letters, digits and _", form.To)
			return
		}
		s.to, s.values, s.mapped, s.otherwise = c.addField(form.To), form.Map, form.Map != nil, form.Default
	}
	if err != nil {
		c.fault(at, "%s", err)
		return
	}
	if len(s.from) == 1 {
		s.source = s.from[0]
	}
	c.definition.steps = append(c.definition.steps, s)
}

// named adds the fields of a map of keys to fields.
func (c *compilation) named(at string, keys map[string]string) map[string]int {
	fields := map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		name := keys[key]
		if !fieldForm.MatchString(name) {
			c.fault(at+"."+key, "field %q: use lower-case letters, digits and _", name)
			continue
		}
		fields[key] = c.addField(name)
	}
	return fields
}

// literalStart gives the text that all matches of an anchored expression begin with.
func literalStart(tree *syntax.Regexp) string {
	if tree.Op == syntax.OpConcat && len(tree.Sub) > 1 && tree.Sub[0].Op == syntax.OpBeginText && isText(tree.Sub[1]) {
		return string(tree.Sub[1].Rune)
	}
	return ""
}

// literalWithin gives a text that all matches of an expression hold that begins
// with .* and so would be tried at many places: the longest of its elements.
func literalWithin(tree *syntax.Regexp) string {
	if tree.Op != syntax.OpConcat || len(tree.Sub) < 2 || tree.Sub[1].Op != syntax.OpStar || tree.Sub[1].Sub[0].Op != syntax.OpAnyCharNotNL {
		return ""
	}
	longest := ""
	for _, sub := range tree.Sub {
		if isText(sub) && len(string(sub.Rune)) > len(longest) {
			longest = string(sub.Rune)
		}
	}
	return longest
}

// extract takes the definition's steps.
func (p *reader) extract(r *Record) error {
	for i := range p.definition.steps {
		s := &p.definition.steps[i]
		if s.source >= 0 { // most steps are none of the line's
			text := r.Value(s.source)
			if len(text) == 0 || s.starts != nil && !s.starts.has(int(text[0])) {
				continue
			}
		}
		if len(s.only) > 0 && !holdAll(s.only, r) {
			continue
		}
		if s.join != nil {
			if joined := s.joined(r); joined.Start != joined.End {
				r.Spans[s.to] = joined
			}
			continue
		}
		var from Span
		for _, field := range s.from {
			if from = r.Spans[field]; from.Start != from.End {
				break
			}
		}
		if from.Start == from.End {
			continue
		}
		switch {
		case s.pattern != nil:
			p.extractPattern(r, s, from)
		case s.json != nil:
			after, err := p.walkers[i].walk(r, from)
			if err != nil {
				return err
			}
			r.move(from, after)
		case s.pairs != nil:
			s.pairs.scan(r, from)
		case s.dump != nil:
			s.dump.scan(r, from)
		case s.unquote:
			if text, ok := unquoted(r, from); ok {
				r.Spans[s.to] = text
			}
		default:
			r.Spans[s.to] = s.put(r, from)
		}
	}
	return nil
}

func (p *reader) extractPattern(r *Record, s *step, from Span) {
	text := r.Text(from)
	if !bytes.HasPrefix(text, s.begins) || len(s.holds) > 0 && !bytes.Contains(text, s.holds) {
		return
	}
	if from.Start >= 0 && p.definition.secrets == nil { // so the line is as it was
		p.inner.within(p.search, text)
	} else {
		p.inner.begin(text)
	}
	if !s.pattern.match(&p.inner) {
		return
	}
	for group, field := range s.groups {
		if field < 0 {
			continue
		}
		if start, end := p.inner.slots[2*group], p.inner.slots[2*group+1]; end > start && !p.definition.isAbsent(text[start:end]) {
			r.Spans[field] = from.sub(int(start), int(end))
		}
	}
}

// joined gives the values of the step's fields as one. A single value stays where it is.
func (s *step) joined(r *Record) Span {
	var all Span
	start, n := r.Scratch.begin(), 0
	for _, field := range s.join {
		value := r.Spans[field]
		if value.Start == value.End {
			continue
		}
		if n++; n == 1 {
			all = value
			continue
		}
		if n == 2 {
			r.Scratch.bytes = append(r.Scratch.bytes, r.Text(all)...)
		}
		r.Scratch.bytes = append(append(r.Scratch.bytes, s.with...), r.Text(value)...)
		all = r.Scratch.end(start)
	}
	return all
}

// put gives what a text is written as.
func (s *step) put(r *Record, from Span) Span {
	if value, ok := s.values[string(r.Text(from))]; ok {
		return r.Scratch.add(value)
	}
	if s.otherwise != "" {
		return r.Scratch.add(s.otherwise)
	}
	if s.mapped {
		return Span{}
	}
	return from
}

// sub gives the part [a, b) of a span's text.
func (s Span) sub(a, b int) Span {
	if s.Start >= 0 {
		return Span{s.Start + int32(a), s.Start + int32(b)}
	}
	return Span{s.Start - int32(a), s.Start - int32(b)}
}

// unquoted gives the text of a string that Go's %q prints, and whether it is one.
func unquoted(r *Record, from Span) (Span, bool) {
	text := r.Text(from)
	if len(text) < 2 || text[0] != '"' {
		return Span{}, false
	}
	end, escaped := closingQuote(text, 1)
	if end != len(text)-1 {
		return Span{}, false
	}
	if !escaped {
		return from.sub(1, end), true
	}
	start := r.Scratch.begin()
	r.Scratch.bytes = appendUnquoted(r.Scratch.bytes, text[1:end])
	return r.Scratch.end(start), true
}

// move puts the spans right after the text at from has come to be at after,
// and with it what stands behind it in the line.
func (r *Record) move(from, after Span) {
	if from == after {
		return
	}
	for i, s := range r.Spans {
		switch {
		case s == from:
			r.Spans[i] = after
		case from.Start >= 0 && s.Start >= from.End:
			r.Spans[i] = Span{s.Start + after.End - from.End, s.End + after.End - from.End}
		}
	}
}
