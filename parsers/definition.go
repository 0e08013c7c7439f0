package parsers

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/parsers/strict"
)

// Form is a definition as it is written in YAML, in a file of its own or in
// the configuration.
type Form struct {
	Name               string            `yaml:"name"`
	Extends            string            `yaml:"extends"`  // the definition that this one is merged with
	Replaces           bool              `yaml:"replaces"` // takes the place of the shipped definition of its name
	About              string            `yaml:"about"`
	Files              []string          `yaml:"files"`
	Patterns           map[string]string `yaml:"patterns"`
	Layouts            []LayoutForm      `yaml:"layouts"`
	Absent             []string          `yaml:"absent"`
	Numbers            []string          `yaml:"numbers"`
	Time               TimeForm          `yaml:"time"`
	StreamLabels       []string          `yaml:"stream_labels"`
	StructuredMetadata []string          `yaml:"structured_metadata"`
	Metrics            []MetricForm      `yaml:"metrics"`
	Samples            []string          `yaml:"samples"`
}

// LayoutForm is one layout of a Form: an expression, either grok or regex.
type LayoutForm struct {
	Name  string `yaml:"name"`
	About string `yaml:"about"`
	Grok  string `yaml:"grok"`
	Regex string `yaml:"regex"`
}

// TimeForm says which field holds the time, and how: a layout of package time.
type TimeForm struct {
	Field  string `yaml:"field"`
	Layout string `yaml:"layout"`
	Zone   string `yaml:"zone"`
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

	absent    []string
	time      *timeLayout
	timeField int
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
	fields  []int // of the pattern's groups, -1 for those without a name
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
	// in Labels.
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
}

// Holds tells whether the condition holds for a record.
func (c *Condition) Holds(r *Record) bool {
	value := r.Value(c.Field)
	if len(c.Values) == 0 {
		return len(value) > 0
	}
	for _, v := range c.Values {
		if string(value) == v {
			return true
		}
	}
	return false
}

// Fed tells whether a record feeds the metric.
func (m *Metric) Fed(r *Record) bool {
	for i := range m.Only {
		if !m.Only[i].Holds(r) {
			return false
		}
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

// Shipped gives the definitions that come with Corkline.
func Shipped() (Set, error) {
	library, faults := shippedLibrary()
	return library.Set, faults.Err()
}

// shippedTexts gives the text of each shipped definition by its file name.
func shippedTexts() (map[string][]byte, error) {
	entries, err := shipped.ReadDir("definitions")
	if err != nil {
		return nil, fmt.Errorf("list shipped definitions: %w", err)
	}
	texts := map[string][]byte{}
	for _, entry := range entries {
		if texts[entry.Name()], err = shipped.ReadFile("definitions/" + entry.Name()); err != nil {
			return nil, fmt.Errorf("read shipped definition: %w", err)
		}
	}
	return texts, nil
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

// LoadDefinition reads a definition file. Its error is strict.Faults when the
// file could be read.
func LoadDefinition(path string) (*Definition, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read definition: %w", err)
	}
	d, faults := ParseDefinition(path, text)
	return d, faults.Err()
}

// ParseDefinition compiles the text of a definition file on its own; it may
// extend or replace a shipped one. The definition is nil when there are faults.
func ParseDefinition(file string, text []byte) (*Definition, strict.Faults) {
	w, faults := ReadDefinition(file, text)
	if len(faults) > 0 {
		return nil, faults
	}
	base := &Library{} // the name of a shipped one is no fault of the file's
	if w.Form.Extends != "" || w.Form.Replaces {
		if base, faults = shippedLibrary(); len(faults) > 0 {
			return nil, faults
		}
	}
	library, faults := base.with([]Written{w})
	return library.Set[w.Name()], faults
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
	numbers := c.layouts()
	for i, name := range c.form.Numbers {
		if c.field(fmt.Sprintf("numbers[%d]", i), name) >= 0 {
			numbers = append(numbers, name)
		}
	}
	for i := range d.Fields {
		d.Fields[i].Number = slices.Contains(numbers, d.Fields[i].Name)
	}
	if c.form.Time.Field != "" {
		d.timeField = c.field("time.field", c.form.Time.Field)
		for _, layout := range d.Layouts {
			if d.timeField >= 0 && !slices.Contains(layout.fields, d.timeField) {
				c.fault("time.field", "layout %q has no field %q, so no line would parse as it", layout.Name, c.form.Time.Field)
			}
		}
		if c.form.Time.Layout == "" {
			c.fault("time.layout", "is missing; write Mon Jan 2 15:04:05 2006 in the line's form")
		} else if t, err := newTimeLayout(c.form.Time.Layout, c.form.Time.Zone); err != nil {
			c.fault("time", "%s", err)
		} else {
			d.time = t
		}
	} else if c.form.Time.Layout != "" {
		c.fault("time.field", "is missing; name the field that holds the time")
	}
	if len(c.form.StreamLabels) > maxStreamLabels {
		c.fault("stream_labels", "%d labels; at most %d, with a handful of values each (all else is structured_metadata)", len(c.form.StreamLabels), maxStreamLabels)
	}
	for i, name := range c.form.StreamLabels {
		key := fmt.Sprintf("stream_labels[%d]", i)
		if slices.Contains([]string{"job", "cluster", "node", "source"}, name) {
			c.fault(key, "%q is a label that every stream has already", name)
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

// layouts gives the fields that grok marks as numbers.
func (c *compilation) layouts() (numbers []string) {
	if len(c.form.Layouts) == 0 {
		c.fault("layouts", "is missing; give at least one {name, grok} or {name, regex}")
	}
	expander, err := newGrokExpander(c.form.Patterns)
	if err != nil {
		c.fault("patterns", "%s", err)
		return nil
	}
	var patterns []*pattern
	names := map[string]bool{}
	for i, form := range c.form.Layouts {
		at := fmt.Sprintf("layouts[%d]", i)
		if form.Name == "" || names[form.Name] {
			c.fault(at+".name", "every layout needs a name of its own")
		}
		names[form.Name] = true
		key, source := at+".regex", form.Regex
		switch {
		case (form.Grok == "") == (form.Regex == ""):
			c.fault(at, "give either grok or regex")
			continue
		case form.Grok != "":
			key = at + ".grok"
			regex, marked, err := expander.expand(form.Grok)
			if err != nil {
				c.fault(key, "%s", err)
				continue
			}
			source = regex
			numbers = append(numbers, marked...)
		}
		p, err := compilePattern(source)
		if err != nil {
			c.fault(key, "%s", err)
			continue
		}
		layout := &Layout{Name: form.Name, pattern: p, fields: make([]int, len(p.names))}
		named := false
		for g, name := range p.names {
			layout.fields[g] = -1
			if name == "" {
				continue
			}
			if !fieldForm.MatchString(name) {
				c.fault(key, "field %q: use lower-case letters, digits and _", name)
				continue
			}
			layout.fields[g] = c.addField(name)
			named = true
		}
		if !named {
			c.fault(key, "captures no field; name one as %%{PATTERN:field} or (?P<field>…)")
		}
		c.definition.Layouts = append(c.definition.Layouts, layout)
		patterns = append(patterns, p)
	}
	if len(patterns) > 1 {
		share(patterns)
	}
	return numbers
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
			c.fault(at+".name", "%q is defined twice", form.Name)
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
		c.fault(at+".default", "a counter only goes up")
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
		c.fault(key, "field %q is not listed in numbers", name)
	}
	return i
}

func (c *compilation) conditions(key string, form map[string][]string) []Condition {
	var conditions []Condition
	for _, name := range slices.Sorted(maps.Keys(form)) {
		conditions = append(conditions, Condition{c.field(key+"."+name, name), form[name]})
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
			if err := c.definition.NewParser().Parse(&r); err != nil {
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

// TimeResolution is the step of the time's last digit, or 0 when the lines
// carry no time.
func (d *Definition) TimeResolution() time.Duration {
	if d.time == nil {
		return 0
	}
	return d.time.resolution
}

// Fits names every layout that the line has.
func (d *Definition) Fits(line []byte) []string {
	var names []string
	var s search
	s.begin(line)
	for _, layout := range d.Layouts {
		if layout.pattern.match(&s) {
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
	for _, layout := range d.Layouts {
		if layout.pattern.re.Match(line) { // then the time was wrong
			return Closest{Layout: layout.Name, Column: d.timeColumn(layout, line), Expected: "a valid time"}
		}
		n, column, expected := layout.pattern.reached(line)
		if best.Layout == "" || column > best.Column || column == best.Column && n > best.elements {
			best = Closest{layout.Name, column, expected, n}
		}
	}
	return best
}

func (d *Definition) timeColumn(layout *Layout, line []byte) int {
	found := layout.pattern.re.FindSubmatchIndex(line)
	for g, field := range layout.fields {
		if field == d.timeField && field >= 0 && found[2*g] >= 0 {
			return found[2*g] + 1
		}
	}
	return 1
}

// Parser parses lines of one definition, one at a time.
type Parser struct {
	definition *Definition
	search     search
	time       *timeLayout
}

// NewParser gives a parser for use by one goroutine.
func (d *Definition) NewParser() *Parser {
	p := &Parser{definition: d}
	if d.time != nil {
		own := *d.time
		p.time = &own
	}
	return p
}

// ErrNoLayout is the error for a line that has none of the definition's layouts.
var ErrNoLayout = fmt.Errorf("fits no layout")

// Parse fills a record from its Line: Definition, Layout, Spans, and Time for
// a definition that has one. The layouts are tried in the definition's order,
// and the first that the line has is taken. With an error, Layout is nil and
// the spans are empty.
func (p *Parser) Parse(r *Record) error {
	d := p.definition
	r.Definition, r.Layout = d, nil
	if cap(r.Spans) < len(d.Fields) {
		r.Spans = make([]Span, len(d.Fields))
	}
	r.Spans = r.Spans[:len(d.Fields)]
	clear(r.Spans)
	if len(r.Line) > math.MaxInt32 {
		return ErrNoLayout
	}
	p.search.begin(r.Line)
	for _, layout := range d.Layouts {
		if !layout.pattern.match(&p.search) {
			continue
		}
		line, spans, slots := r.Line, r.Spans, p.search.slots
		for group, field := range layout.fields {
			if field < 0 {
				continue
			}
			if start, end := slots[2*group], slots[2*group+1]; end > start && !d.isAbsent(line[start:end]) {
				spans[field] = Span{start, end}
			}
		}
		if p.time != nil {
			at, err := p.time.parse(r.Value(d.timeField))
			if err != nil {
				clear(r.Spans)
				return err
			}
			r.Time = at
		}
		r.Layout = layout
		return nil
	}
	return ErrNoLayout
}

func (d *Definition) isAbsent(value []byte) bool {
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
