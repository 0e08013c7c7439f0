package parsers

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"

	"github.com/vjeantet/grok"
)

// pattern is a compiled grok or regex expression. It means what package
// regexp makes of it; see matcher for how it is matched.
type pattern struct {
	re     *regexp.Regexp
	fast   *matcher // nil when only regexp can match it
	slow   string   // why it is nil
	names  []string // of the groups, "" for those without
	source string   // expanded
	tree   *syntax.Regexp

	mu       sync.Mutex
	prefixes map[int]*regexp.Regexp // of so many elements, as Closest asked for them
}

func compilePattern(source string) (*pattern, error) {
	re, err := regexp.Compile(source)
	if err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	p := &pattern{re: re, names: re.SubexpNames(), source: source, tree: tree}
	p.fast, p.slow = compileMatcher(tree, re.NumSubexp(), 0)
	seen := map[string]bool{}
	for _, name := range p.names {
		if name != "" && seen[name] {
			return nil, fmt.Errorf("field %q is captured twice; name one differently", name)
		}
		seen[name] = true
	}
	return p, nil
}

// share finds the elements that all patterns begin with, so that a line is
// searched for them once. They end with plain text: nothing behind it can
// change how they match.
func share(patterns []*pattern) {
	shared := math.MaxInt
	for _, p := range patterns {
		n := 0
		for first := patterns[0].tree.Sub; n < min(len(first), len(p.tree.Sub)) && first[n].Equal(p.tree.Sub[n]); n++ {
		}
		shared = min(shared, n)
	}
	for shared > 0 && !isText(patterns[0].tree.Sub[shared-1]) {
		shared--
	}
	for _, p := range patterns {
		p.fast, p.slow = compileMatcher(p.tree, p.re.NumSubexp(), shared)
	}
}

// match leaves the slots of the match of s.line in s: two for each group, -1
// for a group that took no part.
func (p *pattern) match(s *search) bool {
	if p.fast != nil && s.ascii {
		switch p.fast.match(s) {
		case matched:
			return true
		case noMatch:
			return false
		}
	}
	found := p.re.FindSubmatchIndex(s.line)
	if found == nil {
		return false
	}
	s.slots = s.slots[:0]
	for _, at := range found {
		s.slots = append(s.slots, int32(at))
	}
	return true
}

// reached tells how far a line that does not match got: the elements of the
// pattern that matched from its start, the column (bytes, from 1) behind the
// last one that leaves no choice, and what was expected there.
func (p *pattern) reached(line []byte) (elements, column int, expected string) {
	subs := p.tree.Sub
	if p.tree.Op != syntax.OpConcat {
		return 0, 1, p.source
	}
	column = 1
	low, high := 0, len(subs) // subs[:low] matches, subs[:high] does not
	var best []int
	for low+1 < high {
		mid := (low + high) / 2
		re := p.prefix(mid)
		if re == nil {
			break // cannot be: a prefix of what compiles
		}
		if at := re.FindSubmatchIndex(line); at != nil {
			low, best = mid, at
		} else {
			high = mid
		}
	}
	if best != nil {
		column = best[1] + 1
		// Free text such as .* runs to the end of the line on its own: what
		// comes after it could have begun anywhere behind its start.
		if last := subs[low-1]; low > 0 && last.Op == syntax.OpCapture && last.Sub[0].Op == syntax.OpStar && len(best) > 2*last.Cap {
			column = best[2*last.Cap] + 1
		}
	}
	if low < len(subs) {
		expected = describe(subs[low:])
	}
	return low, column, expected
}

// prefix gives the expression of the first n elements.
func (p *pattern) prefix(n int) *regexp.Regexp {
	p.mu.Lock()
	defer p.mu.Unlock()
	re, ok := p.prefixes[n]
	if !ok {
		tree := &syntax.Regexp{Op: syntax.OpConcat, Sub: p.tree.Sub[:n]}
		re, _ = regexp.Compile(tree.String())
		if p.prefixes == nil {
			p.prefixes = map[int]*regexp.Regexp{}
		}
		p.prefixes[n] = re
	}
	return re
}

// describe names what an expression begins with: its field, or its text.
func describe(subs []*syntax.Regexp) string {
	for _, sub := range subs {
		if name := fieldIn(sub); name != "" {
			return name
		}
		if sub.Op == syntax.OpEndText {
			return "end of line"
		}
	}
	return "end of line"
}

func fieldIn(re *syntax.Regexp) string {
	if re.Op == syntax.OpCapture && re.Name != "" {
		return re.Name
	}
	for _, sub := range re.Sub {
		if name := fieldIn(sub); name != "" {
			return name
		}
	}
	return ""
}

// grokExpander turns %{PATTERN:field} expressions into regular expressions,
// with the pattern library of vjeantet/grok and a definition's own patterns.
type grokExpander struct{ g *grok.Grok }

func newGrokExpander(own map[string]string) (*grokExpander, error) {
	g, err := grok.NewWithConfig(&grok.Config{NamedCapturesOnly: true, Patterns: own})
	if err != nil {
		return nil, err
	}
	return &grokExpander{g}, nil
}

var (
	grokReference = regexp.MustCompile(`%\{[^}]*\}?`)
	grokForm      = regexp.MustCompile(`^%\{\w+(:(\w+)(:(string|int|float))?)?\}$`)
)

// expand gives the regular expression and the fields marked :int or :float.
func (e *grokExpander) expand(expression string) (regex string, numbers []string, err error) {
	for _, ref := range grokReference.FindAllString(expression, -1) {
		m := grokForm.FindStringSubmatch(ref)
		if m == nil {
			return "", nil, fmt.Errorf("%s is not of the form %%{PATTERN}, %%{PATTERN:field} or %%{PATTERN:field:int}, with letters, digits and _ in the names", ref)
		}
		if m[4] == "int" || m[4] == "float" {
			numbers = append(numbers, m[2])
		}
	}
	// The library keeps the expanded expression to itself, but names it whole
	// in the error for a parenthesis that is not closed.
	_, err = e.g.Parse(expression+"(", "")
	var syntaxErr *syntax.Error
	if errors.As(err, &syntaxErr) && syntaxErr.Code == syntax.ErrMissingParen && strings.HasSuffix(syntaxErr.Expr, "(") {
		return strings.TrimSuffix(syntaxErr.Expr, "("), numbers, nil
	}
	return "", nil, err
}
