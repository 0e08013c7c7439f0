// Package strict decodes YAML into Go structs and reports every fault of a
// file at once, each with its place and key. Unknown and repeated keys are
// faults. Struct fields are named by their `yaml:"…"` tags.
package strict

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Fault is one thing that is wrong with a file.
type Fault struct {
	File    string
	Line    int    // from 1; 0 when the whole file is meant
	Column  int    // from 1, in characters; 0 when it is not known
	Key     string // path such as "sources[0].files"; empty for the whole file
	Message string
}

// Error gives the fault as "file:line:column: key: message", without what is
// not known.
func (f Fault) Error() string {
	if f.Key == "" {
		return f.Place() + ": " + f.Message
	}
	return f.Place() + ": " + f.Key + ": " + f.Message
}

// Place gives "file:line:column", without what is not known.
func (f Fault) Place() string {
	switch {
	case f.Line == 0:
		return f.File
	case f.Column == 0:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
}

// Faults of one or more files, in the order of their places.
type Faults []Fault

// Error gives one fault a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Err is nil when there are no faults.
func (fs Faults) Err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}

// Sort orders the faults by file, line and column.
func (fs Faults) Sort() {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
}

// Document remembers where each key of a decoded file stands, so that what is
// found wrong later can be reported with its place.
type Document struct {
	file   string
	places map[string]place
}

// place of a key. Of a key that was borrowed, the file and key are those of
// the text that it was borrowed from.
type place struct {
	file         string
	line, column int
	key          string
	null         bool   // nothing stands behind the key
	via          string // the key at which faults are reported, when not at this one
}

// File name that the document was decoded from.
func (d *Document) File() string { return d.file }

// Has tells whether the file gives that key a value.
func (d *Document) Has(key string) bool {
	p, ok := d.places[key]
	return ok && !p.null
}

// Fault makes a fault at a key; a key that the file does not have is reported
// at the nearest one around it.
func (d *Document) Fault(key, format string, args ...any) Fault {
	f := Fault{File: d.file, Key: key, Message: fmt.Sprintf(format, args...)}
	for at := key; ; at = parent(at) {
		if p, ok := d.places[at]; ok {
			f.File, f.Line, f.Column, f.Key = p.file, p.line, p.column, extend(p.key, key[len(at):])
			if p.via != "" && p.via != key {
				return d.Fault(p.via, "breaks %s", f)
			}
			return f
		}
		if at == "" {
			return f
		}
	}
}

func parent(key string) string {
	if i := strings.LastIndexAny(key, ".["); i >= 0 {
		return key[:i]
	}
	return ""
}

// Overlay gives an empty document of the same file, which borrows its keys.
func (d *Document) Overlay() *Document {
	return &Document{file: d.file, places: map[string]place{}}
}

// Borrow takes over a key with all below it that another document has, in
// place of a key of this one; both may be empty for the whole of a document.
// Faults are reported where the other document has them. With via, they are
// reported at that key of this document instead, and say what they break.
func (d *Document) Borrow(key string, from *Document, fromKey, via string) {
	for at := range d.places {
		if _, ok := below(at, key); ok {
			delete(d.places, at)
		}
	}
	for at, p := range from.places {
		if rest, ok := below(at, fromKey); ok {
			p.via = via
			d.places[extend(key, rest)] = p
		}
	}
}

// below gives the rest of a key that is another, or below it.
func below(at, key string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(at, key)
	return rest, ok && (key == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// extend gives the key that a rest such as ".files[0]" makes of one above it.
func extend(key, rest string) string {
	switch {
	case key == "":
		return strings.TrimPrefix(rest, ".")
	case rest == "" || rest[0] == '.' || rest[0] == '[':
		return key + rest
	default:
		return key + "." + rest
	}
}

// Decode reads one YAML document into a struct, over the values that it
// already has. An empty file is legal and changes nothing.
func Decode(file string, text []byte, into any) (*Document, Faults) {
	doc := &Document{file: file, places: map[string]place{}}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return doc, nil
		}
		return doc, Faults{syntaxFault(file, err)}
	}
	var more yaml.Node
	if err := dec.Decode(&more); err == nil {
		return doc, Faults{{File: file, Line: more.Line, Column: more.Column, Message: "a second YAML document starts here; only one is read"}}
	} else if !errors.Is(err, io.EOF) {
		return doc, Faults{syntaxFault(file, err)}
	}
	doc.places[""] = place{file: file, line: root.Content[0].Line, column: root.Content[0].Column}
	w := walker{doc: doc}
	w.decode(root.Content[0], "", reflect.ValueOf(into).Elem())
	w.faults.Sort()
	return doc, w.faults
}

func syntaxFault(file string, err error) Fault {
	f := Fault{File: file, Message: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := regexp.MustCompile(`^line (\d+): (.*)$`).FindStringSubmatch(f.Message); m != nil {
		f.Line, _ = strconv.Atoi(m[1]) // digits by the pattern
		f.Message = m[2]
	}
	return f
}

// maxDepth bounds the nesting, and with it what aliases can blow up.
const maxDepth = 32

type walker struct {
	doc    *Document
	faults Faults
	depth  int
}

func (w *walker) fault(n *yaml.Node, key, format string, args ...any) {
	w.faults = append(w.faults, Fault{w.doc.file, n.Line, n.Column, key, fmt.Sprintf(format, args...)})
}

func (w *walker) decode(n *yaml.Node, key string, v reflect.Value) {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > maxDepth {
		w.fault(n, key, "nested more than %d deep", maxDepth)
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	null := n.Kind == yaml.ScalarNode && n.Tag == "!!null"
	if key != "" {
		w.doc.places[key] = place{file: w.doc.file, line: n.Line, column: n.Column, key: key, null: null}
	}
	if null {
		return // "key:" with nothing keeps the default
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		w.decodeStruct(n, key, v)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			w.fault(n, key, "expected a list, found %s", kindName(n))
			return
		}
		list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
		for i, c := range n.Content {
			w.decode(c, fmt.Sprintf("%s[%d]", key, i), list.Index(i))
		}
		v.Set(list)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			w.fault(n, key, "expected keys and values, found %s", kindName(n))
			return
		}
		m := reflect.MakeMap(v.Type())
		for i := 0; i+1 < len(n.Content); i += 2 {
			e := reflect.New(v.Type().Elem()).Elem()
			w.decode(n.Content[i+1], join(key, n.Content[i].Value), e)
			m.SetMapIndex(reflect.ValueOf(n.Content[i].Value), e)
		}
		v.Set(m)
	default:
		w.decodeScalar(n, key, v)
	}
}

func (w *walker) decodeStruct(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		w.fault(n, key, "expected keys and values, found %s", kindName(n))
		return
	}
	byName := map[string]int{}
	names := []string{}
	for i := range v.NumField() {
		name := strings.Split(v.Type().Field(i).Tag.Get("yaml"), ",")[0]
		if name != "" && name != "-" {
			byName[name] = i
			names = append(names, name)
		}
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		at := join(key, k.Value)
		if line, twice := seen[k.Value]; twice {
			w.fault(k, at, "given twice, first in line %d", line)
			continue
		}
		seen[k.Value] = k.Line
		field, known := byName[k.Value]
		if !known {
			hint := "known keys: " + strings.Join(names, ", ")
			if near := nearest(k.Value, names); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			w.fault(k, at, "unknown key; %s", hint)
			continue
		}
		w.decode(n.Content[i+1], at, v.Field(field))
	}
}

func (w *walker) decodeScalar(n *yaml.Node, key string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		w.fault(n, key, "expected %s, found %s", typeName(v.Type()), kindName(n))
		return
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(n.Value)
		if err != nil {
			w.fault(n, key, "expected a duration such as 5s or 1m30s, found %q", n.Value)
			return
		}
		v.SetInt(int64(d))
		return
	}
	if v.Kind() == reflect.String {
		v.SetString(n.Value) // 007, yes and 1.10 are meant as they are written
		return
	}
	if err := n.Decode(v.Addr().Interface()); err != nil {
		w.fault(n, key, "expected %s, found %q", typeName(v.Type()), n.Value)
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(n.Value)
	}
}

func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		if t == reflect.TypeFor[time.Duration]() {
			return "a duration such as 5s"
		}
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "a text"
	}
}

// nearest gives the name within two edits of a misspelt one, if there is one.
func nearest(word string, names []string) string {
	best, bestDistance := "", 3
	for _, name := range names {
		if d := distance(word, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
