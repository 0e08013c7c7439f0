package parsers

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/corkline/corkline/parsers/strict"
)

// Written is a definition as its text gives it, before it is compiled.
type Written struct {
	Form   Form
	Doc    *strict.Document
	Prefix string // of its keys in Doc, such as definitions[0]; empty in a file of its own

	faults strict.Faults // of its text
}

// ReadDefinition decodes the text of a definition file. Its faults are those
// of the library that it comes into.
func ReadDefinition(file string, text []byte) (w Written) {
	w.Doc, w.faults = strict.Decode(file, text, &w.Form)
	return w
}

// Name that the definition has: its own, or else that of what it replaces, or
// of what it extends.
func (w Written) Name() string { return cmp.Or(w.Form.Name, w.Form.Replaces, w.Form.Extends) }

// nameKey is where the definition gets its name from.
func (w Written) nameKey() string {
	switch {
	case w.Form.Name != "":
		return "name"
	case w.Form.Replaces != "":
		return "replaces"
	case w.Form.Extends != "":
		return "extends"
	default:
		return "name"
	}
}

func (w Written) key(key string) string {
	if w.Prefix == "" {
		return key
	}
	return w.Prefix + "." + key
}

func (w Written) fault(key, format string, args ...any) strict.Fault {
	return w.Doc.Fault(w.key(key), format, args...)
}

// Library is the shipped definitions together with a user's own, which may
// extend or replace them, and extend each other.
type Library struct {
	Set
	order []string
	own   map[string]Written
	// shipped reads one that is not a user's own. Its text is seldom asked for, and
	// those of all would hold a MiB.
	shipped func(name string) Written
}

// Compose compiles the shipped definitions and a user's own, those with faults
// left out. The error is for shipped ones that are broken.
func Compose(own []Written) (*Library, strict.Faults, error) {
	base, faults := shippedLibrary()
	if err := faults.Err(); err != nil {
		return nil, nil, fmt.Errorf("compile shipped definitions: %w", err)
	}
	library, faults := base.with(own)
	return library, faults, nil
}

// ComposeFile compiles the text of a definition file on its own, and gives its
// name. It may replace a shipped definition, and extend a shipped one or one of
// those beside it, of which the others are left alone.
func ComposeFile(file string, text []byte, beside ...Written) (library *Library, name string, faults strict.Faults) {
	w := ReadDefinition(file, text)
	base := &Library{} // the name of a shipped one is no fault of the file's
	if w.Form.Extends != "" || w.Form.Replaces != "" {
		if base, faults = shippedLibrary(); len(faults) > 0 {
			return base, "", faults
		}
	}
	library, faults = base.with(w.bases(beside))
	return library, w.Name(), faults
}

// InOrder gives the names: first the shipped ones, then a user's own as they
// were given, each behind the one that it extends.
func (l *Library) InOrder() []string { return l.order }

// File that a user's own definition is written in; empty for a shipped one.
func (l *Library) File(name string) string {
	w, own := l.own[name]
	if !own {
		return ""
	}
	return w.Doc.File()
}

// Fault makes a fault at a key of a definition.
func (l *Library) Fault(name, key, format string, args ...any) strict.Fault {
	return l.written(name).fault(key, format, args...)
}

// written gives a definition of the library before it was compiled.
func (l *Library) written(name string) Written {
	if w, own := l.own[name]; own {
		return w
	}
	return l.shipped(name)
}

// shippedLibrary is compiled but once.
var shippedLibrary = sync.OnceValues(compileShipped) //nolint:gochecknoglobals // it does not change

func compileShipped() (*Library, strict.Faults) {
	texts, err := shippedTexts()
	if err != nil {
		return &Library{}, strict.Faults{{File: "definitions", Message: err.Error()}}
	}
	var all []Written
	byName := func(a, b string) int { // of definitions: - sorts before the . of the suffix
		return strings.Compare(strings.TrimSuffix(a, ".yaml"), strings.TrimSuffix(b, ".yaml"))
	}
	for _, name := range slices.SortedFunc(maps.Keys(texts), byName) {
		all = append(all, ReadDefinition(name, texts[name]))
	}
	library, faults := (&Library{}).with(all)
	library.own, library.shipped = nil, readShipped
	return library, faults
}

// readShipped reads one of the shipped definitions that there are.
func readShipped(name string) Written {
	file := name + ".yaml"
	text, err := shippedText(file)
	w := ReadDefinition(file, text)
	if err != nil {
		w.faults = append(w.faults, w.fault("", "%s", err))
	}
	return w
}

// with gives a library that has more definitions, those with faults left out.
func (l *Library) with(own []Written) (*Library, strict.Faults) {
	c := composer{base: l, own: own, starts: map[string]int{}, changes: map[string]int{}, done: map[int]*composed{}}
	for i, w := range own {
		if alike := c.alike(w); w.Name() != "" && c.mayHave(w) && index(alike, w.Name()) < 0 {
			alike[w.Name()] = i
		}
	}
	for i := range own {
		c.compose(i)
	}
	more := &Library{Set: Set{}, own: map[string]Written{}, shipped: l.shipped}
	for _, name := range l.order {
		if c.named(name) < 0 {
			more.add(name, l.Set[name])
		}
	}
	for _, i := range c.order {
		if done := c.done[i]; c.named(done.definition.Name) == i {
			more.add(done.definition.Name, done.definition)
			more.own[done.definition.Name] = done.written
		}
	}
	c.faults.Sort()
	return more, c.faults
}

func (l *Library) add(name string, d *Definition) {
	l.order = append(l.order, name)
	l.Set[name] = d
}

// composer puts definitions on a base library.
type composer struct {
	base    *Library
	own     []Written
	starts  map[string]int // of own: those that begin a name or replace the shipped one
	changes map[string]int // of own: those that extend the one of their name in its place
	done    map[int]*composed
	order   []int // those without faults
	faults  strict.Faults
}

// inPlace tells whether a definition extends the one of its own name.
func (w Written) inPlace() bool { return w.Form.Extends != "" && w.Form.Extends == w.Name() }

// alike gives those of own of which only one may have the name of a definition.
func (c *composer) alike(w Written) map[string]int {
	if w.inPlace() {
		return c.changes
	}
	return c.starts
}

// index gives the definition that has a name, or -1.
func index(names map[string]int, name string) int {
	if i, ok := names[name]; ok {
		return i
	}
	return -1
}

// named gives the definition of own that has a name in the end, or -1.
func (c *composer) named(name string) int {
	if i := index(c.changes, name); i >= 0 {
		return i
	}
	return index(c.starts, name)
}

// extends gives the definition of own that one extends, or -1.
func (c *composer) extends(i int) int {
	w := c.own[i]
	if w.inPlace() {
		return index(c.starts, w.Name())
	}
	return c.named(w.Form.Extends)
}

// composed is a definition merged with its bases; its definition is nil when
// there are faults.
type composed struct {
	written    Written
	definition *Definition
}

// compose merges and compiles a definition of own, once.
func (c *composer) compose(i int) *composed {
	if done, ok := c.done[i]; ok {
		return done
	}
	done := &composed{written: c.own[i]}
	c.done[i] = done
	w := &done.written
	faults := c.claim(i)
	defer func() { c.faults = append(c.faults, faults...) }()
	if len(w.faults) > 0 {
		faults = append(faults, w.faults...)
		return done
	}
	if w.Form.Extends != "" {
		base, wrong, ok := c.extended(i)
		if !ok {
			faults = append(faults, wrong...)
			return done
		}
		*w = w.over(base)
	}
	w.Form.Name = c.own[i].Name()
	d, wrong := Compile(w.Form, w.Doc, w.Prefix)
	if faults = append(faults, wrong...); len(faults) == 0 {
		faults = c.own[i].misnamed(d.Name)
	}
	if len(faults) == 0 {
		done.definition = d
		c.order = append(c.order, i)
	}
	return done
}

// mayHave tells whether a definition says what becomes of the shipped one that
// has its name.
func (c *composer) mayHave(w Written) bool {
	_, shipped := c.base.Set[w.Name()]
	return !shipped || w.Form.Replaces == w.Name() || w.inPlace()
}

// claim gives a fault when a definition of own must not have its name.
func (c *composer) claim(i int) strict.Faults {
	w, name := c.own[i], c.own[i].Name()
	one, key := index(c.alike(w), name), w.nameKey()
	switch {
	case name == "":
		return nil // Compile has more to say
	case w.Form.Replaces != "" && c.base.Set[w.Form.Replaces] == nil:
		return strict.Faults{w.fault("replaces", "there is no shipped definition %q; there are: %s", w.Form.Replaces, strings.Join(c.base.Names(), " "))}
	case w.Form.Replaces != "" && w.Form.Replaces != name:
		return strict.Faults{w.fault("name", "is %q, but what replaces %q has its name; leave name out", name, w.Form.Replaces)}
	case !c.mayHave(w):
		return strict.Faults{w.fault(key, "%q is a shipped definition; change it with extends: %s, take its place with replaces: %s, or choose another name", name, name, name)}
	case one != i:
		what, instead := "there is a definition %q already, at %s; %s", "choose another name"
		if w.inPlace() {
			what, instead = "%q is extended in its place already, at %s; %s", "put both into one, or give this one a name"
		}
		return strict.Faults{w.fault(key, what, name, c.own[one].fault(c.own[one].nameKey(), "").Place(), instead)}
	default:
		return nil
	}
}

// extended gives what a definition of own extends. It is not ok without a
// fault when the base has faults.
func (c *composer) extended(i int) (base Written, faults strict.Faults, ok bool) {
	w := c.own[i]
	name := w.Form.Extends
	if k := c.extends(i); k >= 0 {
		if ring := c.ring(i); ring != "" {
			return base, strict.Faults{w.fault("extends", "comes back to itself: %s; end the ring", ring)}, false
		}
		done := c.compose(k)
		return done.written, nil, done.definition != nil
	}
	if c.base.Set[name] != nil {
		return c.base.written(name), nil, true
	}
	names := slices.Concat(c.base.Names(), slices.Collect(maps.Keys(c.starts)), slices.Collect(maps.Keys(c.changes)))
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == w.Name() })
	return base, strict.Faults{w.fault("extends", "there is no definition %q; there are: %s", name, strings.Join(names, " "))}, false
}

// ring gives the names on the way on which a definition extends itself.
func (c *composer) ring(start int) string {
	names, seen := []string{c.own[start].Name()}, map[int]bool{}
	for i := start; ; {
		i = c.extends(i)
		if i < 0 || seen[i] {
			return ""
		}
		names = append(names, c.own[i].Name())
		if i == start {
			return strings.Join(names, " extends ")
		}
		seen[i] = true
	}
}

// bases gives a definition with those of others that it extends, and so on.
func (w Written) bases(others []Written) []Written {
	all, taken := []Written{w}, make([]bool, len(others))
	for i := 0; i < len(all); i++ {
		for k, other := range others {
			if other.Name() != "" && other.Name() == all[i].Form.Extends && !taken[k] && (!all[i].inPlace() || !other.inPlace()) {
				all, taken[k] = append(all, other), true
			}
		}
	}
	return all
}

// misnamed gives a fault when a file of its own has another name than the
// definition. One stem per signal everywhere: definition, sample, board,
// runbook. What changes another definition is not the one of its name.
func (w Written) misnamed(name string) strict.Faults {
	file := filepath.Base(w.Doc.File())
	if w.Prefix != "" || w.Doc.File() == "" || w.Form.Extends != "" || w.Form.Replaces != "" || strings.TrimSuffix(file, filepath.Ext(file)) == name {
		return nil
	}
	return strict.Faults{w.fault("name", "is %q, but the file is named %q; they must be the same", name, file)}
}

// listRule says how a list that extends another is merged with it.
type listRule struct {
	whole bool // takes the place of the base's
	first bool // before the base's, else behind it
	named bool // an element with a name of the base's takes its place
}

var listRules = map[string]listRule{
	"files":         {whole: true},
	"stream_labels": {whole: true},
	"layouts":       {first: true, named: true},
	"metrics":       {named: true},
}

// over merges a definition with its base: what it gives goes before what the
// base has, lists are added to the base's, and maps entry by entry. The files
// are the base's only for what takes its place: no log is read twice unasked.
func (w Written) over(base Written) Written {
	m := formMerge{own: w, base: base, doc: w.Doc.Overlay()}
	m.doc.Borrow("", w.Doc, w.Prefix, "")
	form := base.Form
	m.fields("", reflect.ValueOf(w.Form), reflect.ValueOf(&form).Elem())
	form.Replaces = w.Form.Replaces
	if w.Name() != base.Name() {
		form.Files = w.Form.Files
	}
	return Written{Form: form, Doc: m.doc}
}

type formMerge struct {
	own, base Written
	doc       *strict.Document
}

// fromBase has faults in what the base has under a key reported where the user
// named the base.
func (m *formMerge) fromBase(key, baseKey string) {
	m.doc.Borrow(key, m.base.Doc, m.base.key(baseKey), "extends")
}

func (m *formMerge) fromOwn(key, ownKey string) {
	m.doc.Borrow(key, m.own.Doc, m.own.key(ownKey), "")
}

// fields merges those of a struct into the base's.
func (m *formMerge) fields(prefix string, own, base reflect.Value) {
	for i := range base.NumField() {
		key := prefix + base.Type().Field(i).Tag.Get("yaml")
		base.Field(i).Set(m.value(key, own.Field(i), base.Field(i)))
	}
}

func (m *formMerge) value(key string, own, base reflect.Value) reflect.Value {
	rule := listRules[key]
	switch {
	case !m.own.Doc.Has(m.own.key(key)):
		m.fromBase(key, key)
		return base
	case own.Type() == reflect.TypeFor[RedactForm](): // what was secret stays so
		all := reflect.New(own.Type()).Elem()
		all.Set(base)
		m.fields(key+".", own, all)
		return all
	case own.Kind() == reflect.Slice && !rule.whole:
		return m.list(key, rule, own, base)
	case own.Kind() == reflect.Map:
		all := reflect.MakeMap(own.Type())
		for _, name := range base.MapKeys() {
			all.SetMapIndex(name, base.MapIndex(name))
			m.fromBase(key+"."+name.String(), key+"."+name.String())
		}
		for _, name := range own.MapKeys() {
			all.SetMapIndex(name, own.MapIndex(name))
			m.fromOwn(key+"."+name.String(), key+"."+name.String())
		}
		return all
	default:
		return own
	}
}

// listElement of a merged list, and its index in the list that it is from.
type listElement struct {
	value reflect.Value
	index int
	own   bool
}

func (m *formMerge) list(key string, rule listRule, own, base reflect.Value) reflect.Value {
	elements := make([]listElement, base.Len())
	for i := range elements {
		elements[i] = listElement{base.Index(i), i, false}
	}
	var added []listElement
	for i := range own.Len() {
		e := listElement{own.Index(i), i, true}
		at := slices.IndexFunc(elements, func(b listElement) bool { return !b.own && sameElement(rule, e.value, b.value) })
		switch {
		case at < 0:
			added = append(added, e)
		case rule.named:
			elements[at] = e
		}
	}
	if rule.first {
		elements = append(added, elements...)
	} else {
		elements = append(elements, added...)
	}
	all := reflect.MakeSlice(own.Type(), 0, len(elements))
	for i, e := range elements {
		all = reflect.Append(all, e.value)
		from := m.fromBase
		if e.own {
			from = m.fromOwn
		}
		from(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%s[%d]", key, e.index))
	}
	return all
}

// sameElement tells whether an element is in the base already: by its name, or as a
// plain text.
func sameElement(rule listRule, own, base reflect.Value) bool {
	if rule.named {
		own, base = own.FieldByName("Name"), base.FieldByName("Name")
	}
	return own.Kind() == reflect.String && own.String() != "" &&
		strings.TrimPrefix(own.String(), Prefix) == strings.TrimPrefix(base.String(), Prefix)
}
