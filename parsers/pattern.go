package parsers

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"

	"github.com/vjeantet/grok"
)

// pattern is a compiled grok or regex expression. It means what package
// regexp makes of it; see matcher for how it is matched.
type pattern struct {
	re     func() *regexp.Regexp // compiled when it is first asked for
	fast   *matcher              // nil when only regexp can match it
	slow   string                // why it is nil
	names  []string              // of the groups, "" for those without
	source string                // expanded

	mu       sync.Mutex
	prefixes map[int]*regexp.Regexp // of so many elements, as Closest asked for them
}

func compilePattern(source string) (*pattern, error) {
	p, err := parsePattern(source)
	if err != nil {
		return nil, err
	}
	share([]*pattern{p})
	return p, nil
}

// parsePattern leaves the matcher to share.
func parsePattern(source string) (*pattern, error) {
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	p := &pattern{names: tree.CapNames(), source: source}
	p.re = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(source) }) // what can be parsed compiles
	seen := map[string]bool{}
	for _, name := range p.names {
		if name != "" && seen[name] {
			return nil, fmt.Errorf("field %q is captured twice; name one differently", name)
		}
		seen[name] = true
	}
	return p, nil
}

// tree parses the expression again: held, those of all definitions take half a MiB.
func (p *pattern) tree() *syntax.Regexp {
	tree, err := syntax.Parse(p.source, syntax.Perl)
	if err != nil {
		return &syntax.Regexp{Op: syntax.OpNoMatch} // cannot be: it was parsed before
	}
	return tree
}

// share makes the matchers of patterns. It finds the elements that all begin
// with, so that a line is searched for them once. They end with plain text:
// nothing behind it can change how they match.
func share(patterns []*pattern) {
	shared := math.MaxInt
	trees := make([]*syntax.Regexp, len(patterns))
	for i, p := range patterns {
		trees[i] = p.tree()
		n := 0
		for first, subs := trees[0].Sub, trees[i].Sub; n < min(len(first), len(subs)) && first[n].Equal(subs[n]); n++ {
		}
		shared = min(shared, n)
	}
	for shared > 0 && (len(patterns) == 1 || !isText(trees[0].Sub[shared-1])) {
		shared--
	}
	for i, p := range patterns {
		p.fast, p.slow = compileMatcher(trees[i], len(p.names)-1, shared)
	}
}

// match leaves the slots of the match of s.line in s: two for each group, -1
// for a group that took no part.
func (p *pattern) match(s *search) bool {
	if p.fast != nil && s.valid {
		switch p.fast.match(s) {
		case matched:
			return true
		case noMatch:
			return false
		}
	}
	found := p.re().FindSubmatchIndex(s.line)
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
	whole := p.tree()
	subs := whole.Sub
	if whole.Op != syntax.OpConcat {
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
		tree := &syntax.Regexp{Op: syntax.OpConcat, Sub: p.tree().Sub[:n]}
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
type grokExpander struct {
	library *grokLibrary
	own     map[string]string
}

// grokLibrary expands one expression at a time: the library writes while it does.
type grokLibrary struct {
	mu sync.Mutex
	g  *grok.Grok
}

func newGrokLibrary(own map[string]string) (*grokLibrary, error) {
	g, err := grok.NewWithConfig(&grok.Config{NamedCapturesOnly: true, Patterns: own})
	return &grokLibrary{g: g}, err
}

// plainLibrary has the library's patterns only. They are read but once, which
// takes milliseconds.
var plainLibrary = sync.OnceValues(func() (*grokLibrary, error) { return newGrokLibrary(nil) }) //nolint:gochecknoglobals // its patterns do not change

func newGrokExpander(own map[string]string) (*grokExpander, error) {
	library, err := plainLibrary()
	if err != nil {
		return nil, err
	}
	for name := range own {
		if _, err := library.expand("%{" + name + "}"); err == nil {
			// It takes the place of one of the library's, wherever that is used.
			if library, err = newGrokLibrary(own); err != nil {
				return nil, err
			}
			return &grokExpander{library, nil}, nil
		}
	}
	e := &grokExpander{library, own}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		var wrong *syntax.Error // is told where it is used
		if _, err := library.expand(e.spell(own[name], name)); err != nil && !errors.As(err, &wrong) {
			return nil, err
		}
	}
	return e, nil
}

// spell puts a definition's own patterns in the place of their names, but
// those that it is within.
func (e *grokExpander) spell(expression string, within ...string) string {
	return grokAny.ReplaceAllStringFunc(expression, func(ref string) string {
		m := grokAny.FindStringSubmatch(ref)
		own, ok := e.own[m[1]]
		if !ok || slices.Contains(within, m[1]) {
			return ref
		}
		own = e.spell(own, append(slices.Clip(within), m[1])...)
		if m[2] == "" {
			return "(" + own + ")"
		}
		return "(?P<" + grokSymbol.ReplaceAllString(m[2], "_") + ">" + own + ")"
	})
}

// expand gives the regular expression of one that refers to patterns of the library.
func (l *grokLibrary) expand(expression string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// The library keeps the expanded expression to itself, but names it whole
	// in the error for a parenthesis that is not closed.
	_, err := l.g.Parse(expression+"(", "")
	var wrong *syntax.Error
	if errors.As(err, &wrong) && wrong.Code == syntax.ErrMissingParen && strings.HasSuffix(wrong.Expr, "(") {
		return strings.TrimSuffix(wrong.Expr, "("), nil
	}
	return "", err
}

var (
	// As the library has it in its patterns.
	grokAny    = regexp.MustCompile(`%\{(\w+(?:[-.]\w+)*)(?::([-.\w]+)(?::(?:string|int|float))?)?\}`)
	grokSymbol = regexp.MustCompile(`\W`)

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
	regex, err = e.library.expand(e.spell(expression))
	return regex, numbers, err
}
