package parsers

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/corkline/corkline/parsers/internal/dump"
	"github.com/corkline/corkline/parsers/strict"
)

// Form is a definition as it is written in YAML, in a file of its own or in
// the configuration.
type Form struct {
	Name string `yaml:"name"`
	// Extends: the definition that this one is merged with; Replaces: the shipped one whose place it takes.
	Extends  string   `yaml:"extends"`
	Replaces string   `yaml:"replaces"`
	About    string   `yaml:"about"`
	Files    []string `yaml:"files"`
	// Contains: texts of which a line of this format has one; Lacks: of which it has none.
	Contains []string          `yaml:"contains"`
	Lacks    []string          `yaml:"lacks"`
	Frame    FrameForm         `yaml:"frame"`
	Patterns map[string]string `yaml:"patterns"`
	Layouts  []LayoutForm      `yaml:"layouts"`
	Extract  []ExtractForm     `yaml:"extract"`
	Redact   RedactForm        `yaml:"redact"`
	Absent   []string          `yaml:"absent"`
	// What the values of fields must be: a line fails that has another.
	Numbers            []string            `yaml:"numbers"`
	Ports              []string            `yaml:"ports"`
	Addresses          []string            `yaml:"addresses"`
	Values             map[string][]string `yaml:"values"`
	Time               TimeForm            `yaml:"time"`
	StreamLabels       []string            `yaml:"stream_labels"`
	StructuredMetadata []string            `yaml:"structured_metadata"`
	Metrics            []MetricForm        `yaml:"metrics"`
	Samples            []string            `yaml:"samples"`
}

// LayoutForm is one layout of a Form, one of: an expression, grok or regex; the
// name of a typed parser of dumps, which has its own fields; the columns of CSV
// and the fields that they become. A layout csv is the only one of its
// definition, and its files begin with the header that names their columns.
type LayoutForm struct {
	Name  string            `yaml:"name"`
	About string            `yaml:"about"`
	Grok  string            `yaml:"grok"`
	Regex string            `yaml:"regex"`
	Dump  string            `yaml:"dump"`
	CSV   map[string]string `yaml:"csv"`
}

// TimeForm says which field holds the time, and how: a layout of package time,
// or several that are tried in their order.
type TimeForm struct {
	Field   string   `yaml:"field"`
	Layout  string   `yaml:"layout"`
	Layouts []string `yaml:"layouts"`
	Zone    string   `yaml:"zone"`
	// Optional: a line without the field is no failure; it gets the time of
	// its carrier or of the line before it.
	Optional bool `yaml:"optional"`
}

// RedactForm says what is not to leave the node: the values of keys (of JSON
// members and HTTP headers) and of URL parameters, in any case.
type RedactForm struct {
	Keys       []string `yaml:"keys"`
	Parameters []string `yaml:"parameters"`
}

// MetricForm is a metric that lines feed.
type MetricForm struct {
	Name      string              `yaml:"name"`
	Type      string              `yaml:"type"`
	Add       string              `yaml:"add"`
	Observe   string              `yaml:"observe"`
	Default   *float64            `yaml:"default"`
	Scale     *float64            `yaml:"scale"`
	Buckets   []float64           `yaml:"buckets"`
	Labels    []string            `yaml:"labels"`
	Each      string              `yaml:"each"`
	Only      map[string][]string `yaml:"only"`
	Except    map[string][]string `yaml:"except"`
	Gaps      string              `yaml:"gaps"`
	SecondsAt int                 `yaml:"seconds_at"`
	Help      string              `yaml:"help"`
}

// Definition says how one log format is read. It does not change once it is
// made, and may be used by many goroutines.
type Definition struct {
	Name  string
	About string
	// Files are the paths and globs where an Antrea node has this log.
	Files   []string
	Fields  []Field
	Layouts []*Layout
	// StreamLabels are the fields that become labels of the Loki stream, as
	// indices into Fields.
	StreamLabels []int
	// Metadata are the fields that become structured metadata, as indices into Fields.
	Metadata []int
	Metrics  []Metric

	alone         func() []bool // of each layout, see alone
	absent        []string
	absentLengths uint64 // bit i is set when one has i bytes, or that and 64, and so on
	contains      texts
	lacks         texts
	frame         *frame
	steps         []step
	checks        []check
	secrets       *secrets
	times         times
	timeField     int
	timeOptional  bool
}

// Field of a definition.
type Field struct {
	Name   string
	Number bool // its values are numbers
}

// Layout is one shape that the lines of a format have had.
type Layout struct {
	Name    string
	pattern *pattern
	dump    func() dumpReader // in place of a pattern
	csv     *csvPlan          // in place of a pattern
	fields  []int             // of the pattern's groups, -1 for those without a name; or of the dump's values or the columns
	scrub   bool              // may hold secrets that no JSON step comes upon
}

// fits tells whether a line has the layout.
func (l *Layout) fits(s *search) bool {
	switch {
	case l.dump != nil:
		return l.dump().Parse(s.line) == nil
	case l.csv != nil:
		return l.csv.newReader().split(s.line) == nil
	}
	return l.pattern.match(s)
}

// MetricType says what a metric is to Prometheus.
type MetricType uint8

// The types of metrics.
const (
	Counter MetricType = iota
	Histogram
)

// Metric is what the records of a definition feed.
type Metric struct {
	Name   string // with the prefix corkline_
	Type   MetricType
	Help   string
	Labels []int // indices into Fields
	// Value is the field whose value a record adds (Counter) or observes
	// (Histogram), or -1. A record without one adds Default; it is not observed.
	Value   int
	Default float64
	// Scale is what the value is multiplied with, such as 0.001 for
	// milliseconds in a metric of seconds.
	Scale float64
	// Buckets are the upper bounds of a Histogram's buckets, rising.
	Buckets []float64
	// Each is the field that holds a comma-separated list, or -1. A record
	// counts once for each of its elements, which is the value of that field
	// in Labels; and once when it does not have the field.
	Each int
	// Only and Except name what records feed the metric: those that have for
	// every condition of Only one of its values, and for none of Except.
	Only, Except []Condition
	// Gaps is the field that numbers the records, or -1. The metric then
	// counts the numbers that are missing between two records of the same
	// labels.
	Gaps int
	// SecondsAt, if above 0, makes the metric count the seconds of the records'
	// time in which at least so many records of the same labels came.
	SecondsAt int
}

// Condition holds for a record whose field has one of the values; with no
// values it holds when the record has the field at all.
type Condition struct {
	Field  int
	Values []string

	lengths uint64 // bit i is set when a value has i bytes, or that and 64, and so on
}

// Holds tells whether the condition holds for a record.
func (c *Condition) Holds(r *Record) bool {
	s := r.Spans[c.Field]
	if c.lengths>>(s.length()&63)&1 == 0 {
		return len(c.Values) == 0 && s.Start != s.End
	}
	value := r.Text(s)
	for _, v := range c.Values {
		if string(value) == v {
			return true
		}
	}
	return false
}

// holdAll tells whether all conditions hold.
func holdAll(conditions []Condition, r *Record) bool {
	for i := range conditions {
		if !conditions[i].Holds(r) {
			return false
		}
	}
	return true
}

// Fed tells whether a record feeds the metric.
func (m *Metric) Fed(r *Record) bool {
	if !holdAll(m.Only, r) {
		return false
	}
	for i := range m.Except {
		if m.Except[i].Holds(r) {
			return false
		}
	}
	return true
}

// Prefix of every metric's name.
const Prefix = "corkline_"

// maxStreamLabels is what a definition may add to job, cluster, node and
// source; Loki's streams multiply with every label.
const maxStreamLabels = 2

//go:embed definitions/*.yaml
var shipped embed.FS

// Set holds definitions by name.
type Set map[string]*Definition

// Shipped gives the definitions that come with Corkline. They are compiled but once.
func Shipped() (Set, error) {
	library, faults := shippedLibrary()
	return maps.Clone(library.Set), faults.Err()
}

// shippedTexts gives the text of each shipped definition by its file name.
func shippedTexts() (map[string][]byte, error) {
	entries, err := shipped.ReadDir("definitions")
	if err != nil {
		return nil, fmt.Errorf("list shipped definitions: %w", err)
	}
	texts := map[string][]byte{}
	for _, entry := range entries {
		if texts[entry.Name()], err = shippedText(entry.Name()); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func shippedText(file string) ([]byte, error) {
	text, err := shipped.ReadFile("definitions/" + file)
	if err != nil {
		return nil, fmt.Errorf("read shipped definition: %w", err)
	}
	return text, nil
}

// Names gives the names in order.
func (s Set) Names() []string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// ParseDefinition compiles the text of a definition file on its own, as
// ComposeFile does. The definition is nil when there are faults.
func ParseDefinition(file string, text []byte) (*Definition, strict.Faults) {
	library, name, faults := ComposeFile(file, text)
	if len(faults) > 0 {
		return nil, faults
	}
	return library.Set[name], nil
}

var (
	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	fieldForm  = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	metricForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Compile makes a definition of its form. The faults are named after the keys
// of doc, below prefix (such as "definitions[0]", or empty).
func Compile(form Form, doc *strict.Document, prefix string) (*Definition, strict.Faults) {
	c := &compilation{form: form, doc: doc, prefix: prefix, definition: &Definition{
		Name: form.Name, About: form.About, Files: form.Files, absent: form.Absent, timeField: -1,
	}}
	d := c.definition // alone: the rest of the compilation is not to be held
	d.alone = sync.OnceValue(func() []bool { return alone(d.Layouts) })
	c.run()
	if len(c.faults) > 0 {
		c.faults.Sort()
		return nil, c.faults
	}
	return c.definition, nil
}

type compilation struct {
	form       Form
	doc        *strict.Document
	prefix     string
	definition *Definition
	faults     strict.Faults
	numbers    []string // fields that grok marks as numbers
	untyped    bool     // fields come from elsewhere than expressions
	secrets    *secrets
}

func (c *compilation) fault(key, format string, args ...any) {
	if c.prefix != "" {
		key = c.prefix + "." + key
	}
	c.faults = append(c.faults, c.doc.Fault(key, format, args...))
}

func (c *compilation) run() {
	d := c.definition
	if !nameForm.MatchString(d.Name) {
		c.fault("name", "%q is not a name; use lower-case letters and digits, joined by -", d.Name)
	}
	for i, pattern := range c.form.Files {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			c.fault(fmt.Sprintf("files[%d]", i), "%q is not a path or glob", pattern)
		}
	}
	for _, word := range d.absent {
		d.absentLengths |= 1 << (len(word) & 63)
	}
	d.contains, d.lacks = newTexts(c.form.Contains), newLackedTexts(c.form.Lacks)
	if len(c.form.Redact.Keys)+len(c.form.Redact.Parameters) > 0 {
		c.secrets = newSecrets(c.form.Redact.Keys, c.form.Redact.Parameters)
		d.secrets = c.secrets
	}
	expander, err := newGrokExpander(c.form.Patterns)
	if err != nil {
		c.fault("patterns", "%s", err)
	} else {
		c.frame(expander)
		c.layouts(expander)
		c.extract(expander)
		c.scrubbed()
	}
	c.kinds()
	c.time()
	if len(c.form.StreamLabels) > maxStreamLabels {
		c.fault("stream_labels", "%d labels; at most %d, with a handful of values each (all else is structured_metadata)", len(c.form.StreamLabels), maxStreamLabels)
	}
	for i, name := range c.form.StreamLabels {
		key := fmt.Sprintf("stream_labels[%d]", i)
		if slices.Contains([]string{"job", "cluster", "node", "source"}, name) {
			c.fault(key, "%q is a label that every stream has already; choose another field", name)
		}
		d.StreamLabels = append(d.StreamLabels, c.field(key, name))
	}
	for i, name := range c.form.StructuredMetadata {
		d.Metadata = append(d.Metadata, c.field(fmt.Sprintf("structured_metadata[%d]", i), name))
	}
	c.metrics()
	if len(c.faults) == 0 {
		c.samples()
	}
}

// texts are sought in lines. Those in a row that begin alike are sought at once.
type texts []alike

type alike struct {
	start []byte
	rests [][]byte
	skip  int // where in start the search begins: at a byte that lines have few of
	// members, if not nil, are what is sought instead; start is empty, and rests are they.
	members *memberTexts
}

// common bytes of logs: a search for one stops all the time.
const common = " \"etaoinsrhlcd_-:,./0123456789"

// minStart is how long the common start of texts must be to be worth it.
const minStart = 5

func newTexts(words []string) texts {
	var all texts
	for len(words) > 0 {
		start, n := words[0], 1
		for ; n < len(words); n++ {
			k := 0
			for k < min(len(start), len(words[n])) && start[k] == words[n][k] {
				k++
			}
			if k < minStart {
				break
			}
			start = start[:k]
		}
		group := alike{start: []byte(start)}
		if i := strings.IndexFunc(start, func(c rune) bool { return !strings.ContainsRune(common, c) }); i > 0 {
			group.skip = i
		}
		for _, word := range words[:n] {
			group.rests = append(group.rests, []byte(word[len(start):]))
		}
		all, words = append(all, group), words[n:]
	}
	return all
}

// in tells whether a line has one of the texts.
func (ts texts) in(line []byte) bool {
	for i := range ts {
		if ts[i].in(line) {
			return true
		}
	}
	return false
}

func (a *alike) in(line []byte) bool {
	if a.members != nil {
		return a.members.in(line)
	}
	if len(line) < len(a.start) {
		return false
	}
	for at := a.skip; ; at++ {
		i := bytes.Index(line[at:], a.start[a.skip:])
		if i < 0 {
			return false
		}
		at += i
		if !bytes.HasPrefix(line[at-a.skip:], a.start) {
			continue
		}
		for _, rest := range a.rests {
			if bytes.HasPrefix(line[at-a.skip+len(a.start):], rest) {
				return true
			}
		}
	}
}

// String lists the texts.
func (ts texts) String() string {
	var all []string
	for _, a := range ts {
		for _, rest := range a.rests {
			all = append(all, string(a.start)+string(rest))
		}
	}
	return fmt.Sprintf("%q", all)
}

// frame compiles how lines make records.
func (c *compilation) frame(expander *grokExpander) {
	form := c.form.Frame
	csv := slices.ContainsFunc(c.form.Layouts, func(l LayoutForm) bool { return l.CSV != nil })
	if form == (FrameForm{}) && !csv {
		return
	}
	f := &frame{FrameForm: form, csv: csv}
	if form.Glued != "" && form.Head == "" {
		c.fault("frame.glued", "needs head, what a record begins with")
	}
	if csv && form != (FrameForm{}) {
		c.fault("frame", "does not go with a layout csv")
	}
	if form.Head != "" {
		regex, _, err := expander.expand(form.Head)
		if err == nil {
			f.head, err = compilePattern(regex)
		}
		if err != nil {
			c.fault("frame.head", "%s", err)
		}
	}
	c.definition.frame = f
}

// scrubbed finds the layouts in which no JSON step hides secrets.
func (c *compilation) scrubbed() {
	for _, layout := range c.definition.Layouts {
		layout.scrub = c.secrets != nil && !slices.ContainsFunc(c.definition.steps, func(s step) bool {
			return s.json != nil && slices.ContainsFunc(s.from, func(field int) bool { return slices.Contains(layout.fields, field) })
		})
	}
}

// kinds compiles what the values of fields must be.
func (c *compilation) kinds() {
	d := c.definition
	add := func(key, name string, k kind, words []string) {
		if field := c.field(key, name); field >= 0 {
			d.checks = append(d.checks, check{field, k, words})
		}
	}
	for i, name := range c.form.Ports {
		add(fmt.Sprintf("ports[%d]", i), name, portKind, nil)
	}
	for i, name := range c.form.Addresses {
		add(fmt.Sprintf("addresses[%d]", i), name, addressKind, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(c.form.Values)) {
		add("values."+name, name, wordKind, c.form.Values[name])
	}
	for i, name := range c.form.Numbers {
		key := fmt.Sprintf("numbers[%d]", i)
		if c.untyped {
			add(key, name, numberKind, nil)
		} else {
			c.field(key, name)
		}
	}
	numbers := slices.Concat(c.numbers, c.form.Numbers, c.form.Ports)
	for i := range d.Fields {
		d.Fields[i].Number = slices.Contains(numbers, d.Fields[i].Name)
	}
}

// time compiles how the time is read.
func (c *compilation) time() {
	d, form := c.definition, c.form.Time
	layouts := form.Layouts
	if form.Layout != "" {
		layouts = append([]string{form.Layout}, layouts...)
	}
	if form.Field == "" {
		if len(layouts) > 0 {
			c.fault("time.field", "is missing; name the field that holds the time")
		}
		return
	}
	d.timeField, d.timeOptional = c.field("time.field", form.Field), form.Optional
	for _, layout := range d.Layouts {
		if d.timeField >= 0 && !form.Optional && len(d.steps) == 0 && !slices.Contains(layout.fields, d.timeField) {
			c.fault("time.field", "layout %q has no field %q, so no line would parse as it; capture it there, or set optional", layout.Name, form.Field)
		}
	}
	if len(layouts) == 0 {
		c.fault("time.layout", "is missing; write Mon Jan 2 15:04:05 2006 in the line's form, or unix or unix_ms for a number since 1970")
	}
	zone, err := time.LoadLocation(form.Zone)
	if err != nil {
		c.fault("time.zone", "%q is not a time zone; use UTC or an IANA name such as Europe/Berlin", form.Zone)
		return
	}
	for i, layout := range layouts {
		t, err := newTimeLayout(layout, zone)
		if err != nil {
			key := "time.layout"
			if form.Layout == "" {
				key = fmt.Sprintf("time.layouts[%d]", i)
			} else if i > 0 {
				key = fmt.Sprintf("time.layouts[%d]", i-1)
			}
			c.fault(key, "%s", err)
			continue
		}
		d.times = append(d.times, *t)
	}
}

func (c *compilation) layouts(expander *grokExpander) {
	if len(c.form.Layouts) == 0 {
		c.fault("layouts", "is missing; give at least one {name, grok}, {name, regex} or {name, csv}")
	}
	var patterns []*pattern
	names := map[string]bool{}
	for i, form := range c.form.Layouts {
		at := fmt.Sprintf("layouts[%d]", i)
		if form.Name == "" || names[form.Name] {
			c.fault(at+".name", "every layout needs a name of its own")
		}
		names[form.Name] = true
		if form.CSV != nil {
			c.csv(at, form)
			continue
		}
		key, source := at+".regex", form.Regex
		switch {
		case given(form.Grok, form.Regex, form.Dump) != 1:
			c.fault(at, "give one of grok, regex, dump and csv")
			continue
		case form.Dump != "":
			c.dump(at+".dump", form)
			continue
		case form.Grok != "":
			key = at + ".grok"
			regex, marked, err := expander.expand(form.Grok)
			if err != nil {
				c.fault(key, "%s", err)
				continue
			}
			source = regex
			c.numbers = append(c.numbers, marked...)
		}
		p, fields := c.expression(key, source)
		if p == nil {
			continue
		}
		c.definition.Layouts = append(c.definition.Layouts, &Layout{Name: form.Name, pattern: p, fields: fields})
		patterns = append(patterns, p)
	}
	if len(patterns) > 0 {
		share(patterns)
	}
}

// given counts the texts that are not empty.
func given(texts ...string) (n int) {
	for _, text := range texts {
		if text != "" {
			n++
		}
	}
	return n
}

// dump adds a layout that a typed parser reads.
func (c *compilation) dump(key string, form LayoutForm) {
	all := dumps()
	read, ok := all[form.Dump]
	if !ok {
		c.fault(key, "there is no parser %q; there are: %s", form.Dump, strings.Join(slices.Sorted(maps.Keys(all)), " "))
		return
	}
	layout := &Layout{Name: form.Name, dump: read}
	var learn dumpValues
	read().values(&learn)
	for _, f := range learn.fields {
		layout.fields = append(layout.fields, c.addField(f.Name))
		if f.Number {
			c.numbers = append(c.numbers, f.Name)
		}
	}
	c.definition.Layouts = append(c.definition.Layouts, layout)
}

func (c *compilation) csv(at string, form LayoutForm) {
	if given(form.Grok, form.Regex, form.Dump) > 0 || len(c.form.Layouts) > 1 || len(c.form.Samples) > 0 {
		c.fault(at+".csv", "goes with no expression or dump, no other layout and no samples")
	}
	columns := c.named(at+".csv", form.CSV)
	if len(columns) == 0 {
		c.fault(at+".csv", "names no column; write column: field")
	}
	c.untyped = true
	c.definition.Layouts = append(c.definition.Layouts, &Layout{
		Name: form.Name, csv: newCSVPlan(columns, c.secrets), fields: slices.Sorted(maps.Values(columns)),
	})
}

// expression parses an expression whose groups are fields: -1 for those
// without a name.
func (c *compilation) expression(key, source string) (p *pattern, fields []int) {
	p, err := parsePattern(source)
	if err != nil {
		c.fault(key, "%s", err)
		return nil, nil
	}
	fields = make([]int, len(p.names))
	named := false
	for g, name := range p.names {
		fields[g] = -1
		if name == "" {
			continue
		}
		if !fieldForm.MatchString(name) {
			c.fault(key, "field %q: use lower-case letters, digits and _", name)
			continue
		}
		fields[g] = c.addField(name)
		named = true
	}
	if !named {
		c.fault(key, "captures no field; name one as %%{PATTERN:field} or (?P<field>…)")
	}
	return p, fields
}

func (c *compilation) addField(name string) int {
	d := c.definition
	for i, f := range d.Fields {
		if f.Name == name {
			return i
		}
	}
	d.Fields = append(d.Fields, Field{Name: name})
	return len(d.Fields) - 1
}

func (c *compilation) field(key, name string) int {
	i := c.definition.FieldIndex(name)
	if i < 0 && len(c.definition.Layouts) > 0 {
		names := make([]string, len(c.definition.Fields))
		for i, f := range c.definition.Fields {
			names[i] = f.Name
		}
		c.fault(key, "no layout has a field %q; there are: %s", name, strings.Join(names, " "))
	}
	return i
}

func (c *compilation) metrics() {
	names := map[string]bool{}
	for i, form := range c.form.Metrics {
		at := fmt.Sprintf("metrics[%d]", i)
		m := Metric{
			Name: Prefix + strings.TrimPrefix(form.Name, Prefix), Help: form.Help,
			Value: -1, Default: 1, Scale: 1, Buckets: form.Buckets, Each: -1, Gaps: -1, SecondsAt: form.SecondsAt,
		}
		if names[m.Name] {
			c.fault(at+".name", "%q is defined twice; name one differently", form.Name)
		}
		names[m.Name] = true
		if strings.TrimSpace(form.Help) == "" {
			c.fault(at+".help", "is missing; say in one sentence what is counted, and in which unit")
		}
		if !metricForm.MatchString(form.Name) {
			c.fault(at+".name", "%q is not a metric name; use lower-case letters, digits and _", form.Name)
		}
		switch form.Type {
		case "counter":
			c.counter(at, form, &m)
		case "histogram":
			c.histogram(at, form, &m)
		default:
			c.fault(at+".type", "%q is not a type; there are: counter histogram", form.Type)
		}
		if form.Scale != nil {
			m.Scale = *form.Scale
		}
		if !(m.Scale > 0) || math.IsInf(m.Scale, 0) {
			c.fault(at+".scale", "must be above 0")
		}
		for k, name := range form.Labels {
			if slices.Contains(form.Labels[:k], name) {
				c.fault(fmt.Sprintf("%s.labels[%d]", at, k), "%q is given twice", name)
			}
			m.Labels = append(m.Labels, c.field(fmt.Sprintf("%s.labels[%d]", at, k), name))
		}
		if form.Each != "" {
			m.Each = c.field(at+".each", form.Each)
			if !slices.Contains(form.Labels, form.Each) {
				c.fault(at+".each", "%q must be one of the labels", form.Each)
			}
		}
		m.Only = c.conditions(at+".only", form.Only)
		m.Except = c.conditions(at+".except", form.Except)
		c.definition.Metrics = append(c.definition.Metrics, m)
	}
}

func (c *compilation) counter(at string, form MetricForm, m *Metric) {
	if metricForm.MatchString(form.Name) && !strings.HasSuffix(form.Name, "_total") {
		c.fault(at+".name", "%q is a counter; its name must end in _total", form.Name)
	}
	if form.Observe != "" || form.Buckets != nil {
		c.fault(at, "observe and buckets are for histograms; a counter has add")
	}
	if form.Add != "" {
		m.Value = c.numberField(at+".add", form.Add)
	}
	if form.Default != nil {
		m.Default = *form.Default
	}
	if m.Default < 0 || math.IsNaN(m.Default) || math.IsInf(m.Default, 0) {
		c.fault(at+".default", "must not be below 0, for a counter only goes up")
	}
	if form.Gaps != "" {
		m.Gaps = c.numberField(at+".gaps", form.Gaps)
	}
	ways := 0
	for _, way := range []bool{form.Add != "", form.Gaps != "", form.SecondsAt != 0} {
		if way {
			ways++
		}
	}
	if ways > 1 {
		c.fault(at, "give one of add, gaps and seconds_at")
	}
	if form.SecondsAt < 0 {
		c.fault(at+".seconds_at", "must be above 0")
	}
}

func (c *compilation) histogram(at string, form MetricForm, m *Metric) {
	m.Type = Histogram
	if form.Add != "" || form.Default != nil || form.Gaps != "" || form.SecondsAt != 0 {
		c.fault(at, "add, default, gaps and seconds_at are for counters; a histogram has observe and buckets")
	}
	if form.Observe == "" {
		c.fault(at+".observe", "is missing; name the field whose values are observed")
	} else {
		m.Value = c.numberField(at+".observe", form.Observe)
	}
	if len(form.Buckets) == 0 {
		c.fault(at+".buckets", "is missing; list the upper bounds, in the metric's unit")
	}
	for i, bound := range form.Buckets {
		if math.IsNaN(bound) || math.IsInf(bound, 0) || i > 0 && bound <= form.Buckets[i-1] {
			c.fault(fmt.Sprintf("%s.buckets[%d]", at, i), "the bounds must rise")
		}
	}
}

func (c *compilation) numberField(key, name string) int {
	i := c.field(key, name)
	if i >= 0 && !c.definition.Fields[i].Number {
		c.fault(key, "field %q is not listed in numbers; add it there", name)
	}
	return i
}

func (c *compilation) conditions(key string, form map[string][]string) []Condition {
	var conditions []Condition
	for _, name := range slices.Sorted(maps.Keys(form)) {
		condition := Condition{Field: c.field(key+"."+name, name), Values: form[name]}
		for _, value := range condition.Values {
			condition.lengths |= 1 << (len(value) & 63)
		}
		conditions = append(conditions, condition)
	}
	return conditions
}

func (c *compilation) samples() {
	for i, line := range c.form.Samples {
		key := fmt.Sprintf("samples[%d]", i)
		switch fits := c.definition.Fits([]byte(line)); len(fits) {
		case 0:
			c.fault(key, "fits no layout; %s", c.definition.Closest([]byte(line)))
		case 1:
			r := Record{Line: []byte(line)}
			var wrong *FieldError
			parser := c.definition.NewParser()
			for i := range parser.readers[0].times {
				parser.readers[0].times[i].day = nil // time.Parse says what is wrong
			}
			if err := parser.Parse(&r); errors.As(err, &wrong) {
				c.fault(key, "%s", err)
			} else if err != nil {
				c.fault(key, "has no valid time: %s; %s", err, c.definition.Closest(r.Line))
			}
		default:
			c.fault(key, "fits the layouts %s; make their expressions exclude each other", strings.Join(fits, " and "))
		}
	}
}

// FieldIndex gives the index in Fields, or -1.
func (d *Definition) FieldIndex(name string) int {
	return slices.IndexFunc(d.Fields, func(f Field) bool { return f.Name == name })
}

// Fits names every layout that the line has.
func (d *Definition) Fits(line []byte) []string {
	var names []string
	if !d.mayBe(line) {
		return nil
	}
	var s search
	s.begin(line)
	for _, layout := range d.Layouts {
		if layout.fits(&s) {
			names = append(names, layout.Name)
		}
	}
	return names
}

// Closest is how far a line that does not parse got.
type Closest struct {
	Layout   string `json:"layout"`
	Column   int    `json:"column"` // in bytes, from 1
	Expected string `json:"expected"`
	elements int
}

// String says it in words.
func (c Closest) String() string {
	return fmt.Sprintf("layout %s got to column %d, where it expected %s", c.Layout, c.Column, c.Expected)
}

// Closest tells which layout got furthest with a line, and where it stopped.
// It is slow: for people, not for every line.
func (d *Definition) Closest(line []byte) Closest {
	var best Closest
	if !d.mayBe(line) {
		return Closest{Layout: d.Layouts[0].Name, Column: 1, Expected: d.contained()}
	}
	for _, layout := range d.Layouts {
		if layout.csv != nil {
			return Closest{Layout: layout.Name, Column: 1, Expected: "a row of CSV below the header of its file"}
		}
		n, column, expected, whole := layout.reached(line)
		if whole { // then a value was wrong
			return d.wrongValue(layout, line)
		}
		if best.Layout == "" || column > best.Column || column == best.Column && n > best.elements {
			best = Closest{layout.Name, column, expected, n}
		}
	}
	return best
}

// reached tells how far a line got, and whether it is whole.
func (l *Layout) reached(line []byte) (elements, column int, expected string, whole bool) {
	if l.dump != nil {
		var wrong dump.Error
		whole = !errors.As(l.dump().Parse(line), &wrong)
		return math.MaxInt, wrong.Column, wrong.Expected, whole // it knows best
	}
	if l.pattern.re().Match(line) {
		return 0, 0, "", true
	}
	elements, column, expected = l.pattern.reached(line)
	return elements, column, expected, false
}

// contained says what a line of the format contains.
func (d *Definition) contained() string {
	said := fmt.Sprintf("a line that contains one of %s", d.contains)
	if len(d.lacks) > 0 {
		said = fmt.Sprintf("%s and none of %s", said, d.lacks)
	}
	return said
}

func (d *Definition) wrongValue(layout *Layout, line []byte) Closest {
	r := Record{Line: bytes.Clone(line)}
	c := Closest{Layout: layout.Name, Column: d.timeColumn(layout, line), Expected: "a valid time"}
	var field *FieldError
	var syntax *jsonError
	switch err := d.NewParser().Parse(&r); {
	case errors.As(err, &field):
		c.Column, c.Expected = max(int(field.at.Start), 0)+1, field.Expected+" as "+field.Field
	case errors.As(err, &syntax):
		c.Column, c.Expected = syntax.offset+1, syntax.expected
	}
	return c
}

func (d *Definition) timeColumn(layout *Layout, line []byte) int {
	if layout.dump != nil {
		return 1
	}
	found := layout.pattern.re().FindSubmatchIndex(line)
	for g, field := range layout.fields {
		if field == d.timeField && field >= 0 && found[2*g] >= 0 {
			return found[2*g] + 1
		}
	}
	return 1
}

// Parser parses lines that each have one of some definitions, one at a time.
type Parser struct {
	readers  []*reader
	search   search    // of the line
	scrubber *scrubber // of lines that none of them parses
}

// reader parses lines of one definition.
type reader struct {
	definition *Definition
	first      int     // the layout that is tried first: what the last line had
	others     int     // lines that did not have the layout that was tried first
	search     *search // of the line
	inner      search  // of steps
	times      times
	walkers    []*jsonWalker // of the steps that have one
	dumps      []dumpReader  // of the layouts that have one
	values     dumpValues    // of the line at hand
	rows       *csvReader    // of the layout, if it is of CSV
	scrubber   *scrubber
}

// NewParser gives a parser for use by one goroutine. The definitions are tried
// in their order, and the first that the line has is taken.
func NewParser(definitions ...*Definition) *Parser {
	p := &Parser{}
	for _, d := range definitions {
		o := &reader{definition: d, search: &p.search, scrubber: newScrubber(d.secrets), times: slices.Clone(d.times), walkers: make([]*jsonWalker, len(d.steps)), dumps: make([]dumpReader, len(d.Layouts))}
		for i := range d.steps {
			if plan := d.steps[i].json; plan != nil {
				o.walkers[i] = plan.newWalker()
			}
		}
		for i, layout := range d.Layouts {
			if layout.dump != nil {
				o.dumps[i] = layout.dump()
			}
		}
		if plan := d.Layouts[0].csv; plan != nil {
			o.rows = plan.newReader()
		}
		p.readers = append(p.readers, o)
	}
	p.scrubber = newScrubber(allSecrets(definitions))
	p.Refer(time.Now().UnixNano())
	return p
}

// NewParser gives a parser of one definition, for use by one goroutine.
func (d *Definition) NewParser() *Parser { return NewParser(d) }

// Refer sets the time by which lines without a year get theirs: the latest
// that leads no more than a day beyond. It is the time of NewParser otherwise.
func (p *Parser) Refer(unixNano int64) {
	for _, o := range p.readers {
		for i := range o.times {
			o.times[i].refer(unixNano)
		}
	}
}

// In sets the zone of times that do not name theirs, in place of the
// definitions' own.
func (p *Parser) In(zone *time.Location) {
	for _, o := range p.readers {
		for i := range o.times {
			o.times[i].in(zone)
		}
	}
}

// ErrNoLayout is the error for a line that has none of the definition's layouts.
var ErrNoLayout = fmt.Errorf("fits no layout")

// Parse fills a record from its Line: Definition, Layout, Spans, and Time for
// a definition that has one. The layouts are tried in the definition's order,
// and the first that the line has is taken. With an error, Layout is nil and
// the spans are empty. Bytes of the line that are not UTF-8 become U+FFFD, and
// the record is flagged.
func (p *Parser) Parse(r *Record) error {
	var best *Definition
	var err error
	p.search.begin(r.Line)
	if !p.search.valid {
		r.Line = bytes.ToValidUTF8(r.Line, []byte("\uFFFD"))
		r.Flags |= InvalidUTF8
		p.search.begin(r.Line)
	}
	for i, o := range p.readers {
		if i > 0 { // the one before may have changed the line
			p.search.begin(r.Line)
		}
		wrong := o.parse(r)
		if wrong == nil {
			return nil
		}
		if best == nil || errors.Is(err, ErrNoLayout) && !errors.Is(wrong, ErrNoLayout) {
			best, err = o.definition, wrong
		}
	}
	// What could not be read may hold secrets all the same.
	r.Line = p.scrubber.scrub(r.Line)
	r.Definition, r.Layout = best, nil
	r.Spans = slices.Grow(r.Spans[:0], len(best.Fields))[:len(best.Fields)]
	clear(r.Spans)
	r.Pairs = r.Pairs[:0]
	return err
}

func (p *reader) parse(r *Record) error {
	d := p.definition
	r.Definition, r.Layout = d, nil
	if cap(r.Spans) < len(d.Fields) {
		r.Spans = make([]Span, len(d.Fields))
	}
	r.Spans = r.Spans[:len(d.Fields)]
	clear(r.Spans)
	r.Pairs, r.Time, r.Resolution = r.Pairs[:0], r.Carried, 0
	if r.Carried != 0 {
		r.Resolution = 1
	}
	if len(r.Line) > math.MaxInt32 {
		return ErrNoLayout
	}
	if (len(d.steps) > 0 || p.rows != nil) && r.Scratch == nil {
		r.Scratch = new(Scratch)
	}
	if !d.mayBe(r.Line) {
		return ErrNoLayout
	}
	if p.rows != nil {
		return p.parseRow(r)
	}
	i := p.layout()
	if i < 0 {
		return ErrNoLayout
	}
	if d.Layouts[i].scrub { // which may move what was found
		r.Line = p.scrubber.scrub(r.Line)
		if p.search.begin(r.Line); !p.fits(i) {
			return ErrNoLayout
		}
	}
	p.fill(r, i)
	if err := p.finish(r); err != nil {
		return err
	}
	r.Layout = d.Layouts[i]
	return nil
}

// layout finds the first layout that the line has, or gives -1.
func (p *reader) layout() int {
	if p.fits(p.first) {
		return p.first
	}
	for i := range p.definition.Layouts {
		if i == p.first || !p.fits(i) {
			continue
		}
		// It takes milliseconds to find out what is alone.
		if p.others++; i == 0 || p.others > 100 && p.definition.alone()[i] {
			p.first = i
		}
		return i
	}
	return -1
}

// fits tells whether the line that is searched has a layout.
func (p *reader) fits(layout int) bool {
	if from := p.dumps[layout]; from != nil {
		return !from.notes(p.search.line) && from.Parse(p.search.line) == nil
	}
	return p.definition.Layouts[layout].pattern.match(p.search)
}

// fill takes the values of the line that fits a layout.
func (p *reader) fill(r *Record, layout int) {
	d := p.definition
	fields := d.Layouts[layout].fields
	if from := p.dumps[layout]; from != nil {
		if r.Scratch == nil {
			r.Scratch = new(Scratch)
		}
		p.values = dumpValues{record: r, indices: fields}
		from.values(&p.values)
		return
	}
	line, spans, slots := r.Line, r.Spans, p.search.slots
	for group, field := range fields {
		if field < 0 {
			continue
		}
		if start, end := slots[2*group], slots[2*group+1]; end > start && !d.isAbsent(line[start:end]) {
			spans[field] = Span{start, end}
		}
	}
}

// parseRow parses a row of CSV.
func (p *reader) parseRow(r *Record) error {
	d := p.definition
	if err := p.rows.read(r); err != nil {
		return err
	}
	for i := range r.Spans {
		if d.isAbsent(r.Value(i)) {
			r.Spans[i] = Span{}
		}
	}
	if err := p.finish(r); err != nil {
		return err
	}
	r.Layout = d.Layouts[0]
	return nil
}

// mayBe tells whether a line has what lines of the format contain.
func (d *Definition) mayBe(line []byte) bool {
	return !d.lacks.in(line) && (len(d.contains) == 0 || d.contains.in(line))
}

// finish makes the rest of a record whose layout is known.
func (p *reader) finish(r *Record) error {
	d := p.definition
	if len(d.steps) > 0 {
		if err := p.extract(r); err != nil {
			return err
		}
	}
	if err := d.check(r); err != nil {
		return err
	}
	if r.Carried != 0 || len(p.times) == 0 {
		return nil
	}
	text := r.Value(d.timeField)
	if len(text) == 0 && d.timeOptional {
		return nil
	}
	var err error
	r.Time, r.Resolution, err = p.times.parse(text)
	return err
}

func (d *Definition) isAbsent(value []byte) bool {
	if d.absentLengths>>(len(value)&63)&1 == 0 {
		return false
	}
	for _, word := range d.absent {
		if len(value) == len(word) && string(value) == word {
			return true
		}
	}
	return false
}

// Number gives the value of a field as a number, and whether it is one.
func (r *Record) Number(field int) (float64, bool) {
	value := r.Value(field)
	if len(value) == 0 {
		return 0, false
	}
	if whole, ok := digits(value); ok {
		return float64(whole), true
	}
	number, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
	return number, err == nil && !math.IsNaN(number) && !math.IsInf(number, 0)
}

// digits reads a short whole number without allocating.
func digits(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 15 {
		return 0, false
	}
	value := int64(0)
	for _, b := range text {
		if b < '0' || b > '9' {
			return 0, false
		}
		value = value*10 + int64(b-'0')
	}
	return value, true
}

// IsTime tells whether a field is the one that holds the time.
func (d *Definition) IsTime(field int) bool { return field == d.timeField }
