package loki

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/corkline/corkline/parsers"
)

// sourceLabel is the stream label that holds Batch.Source.
const sourceLabel = "source"

// checkLabels of the configuration.
func checkLabels(labels []Label) error {
	seen := map[string]bool{sourceLabel: true}
	for _, l := range labels {
		if !validName(l.Name) {
			return fmt.Errorf("loki.labels: %q is not a label name", l.Name)
		}
		if seen[l.Name] {
			return fmt.Errorf("loki.labels: %q is set twice, or by corkline itself", l.Name)
		}
		seen[l.Name] = true
	}
	return nil
}

// validName as Prometheus and LogQL have it.
func validName(name string) bool {
	for i, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// normalLabels are those that have a value, sorted by name. Of several labels
// with one name the first holds.
func normalLabels(labels []Label) []Label {
	slices.SortStableFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	labels = slices.DeleteFunc(labels, func(l Label) bool { return l.Value == "" })
	return slices.CompactFunc(labels, func(a, b Label) bool { return a.Name == b.Name })
}

// appendLabels in the form that Loki reads with its LogQL parser:
// {a="b", c="d"}.
func appendLabels(dst []byte, labels []Label) []byte {
	dst = append(dst, '{')
	for i, l := range labels {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, l.Name...)
		dst = append(dst, '=')
		dst = strconv.AppendQuote(dst, strings.ToValidUTF8(l.Value, "\uFFFD"))
	}
	return append(dst, '}')
}

// value of a field; empty also when the line fitted no layout.
func value(r *parsers.Record, field int) []byte {
	if field >= len(r.Spans) {
		return nil
	}
	return r.Value(field)
}

// stream of a batch.
type stream struct {
	schema  *schema
	labels  []Label // normal ones
	head    []byte  // the labels, encoded
	records []int32
	// full are the fields whose label is Overflow, and not their own value.
	full []metadata
	// pushed are the entries that the records stand for; nil when the records
	// have all that there is.
	pushed []Entry
}

// own metadata of record i, besides what its fields have.
func (st *stream) own(i int32) [][2]string {
	if st.pushed == nil {
		return nil
	}
	return st.pushed[i].Metadata
}

// label the stream; labels are taken over.
func (st *stream) label(labels []Label) {
	st.labels = normalLabels(labels)
	st.head = appendBytes(nil, tagLabels, appendLabels(nil, st.labels))
}

// splitter divides batches into streams, and remembers the streams of earlier
// batches. It is for one goroutine.
type splitter struct {
	labels  []Label
	budget  *Budget
	schemas map[*parsers.Definition]*schema
	known   map[string]*stream // by source, definition and values of the labels
	order   []*stream          // those of the batch
	key     []byte
	over    []bool // the stream labels of the record at hand that have no room
	silent  bool   // the budget counts nothing
}

// maxKnown bounds the streams, and maxSchemas the definitions, that a
// splitter remembers from one batch to the next.
const (
	maxKnown   = 128
	maxSchemas = 64
)

func newSplitter(labels []Label, budget *Budget) *splitter {
	return &splitter{
		labels:  labels,
		budget:  budget,
		schemas: make(map[*parsers.Definition]*schema),
		known:   make(map[string]*stream),
	}
}

// streams that the records of b belong to. They are valid until the next call.
func (sp *splitter) streams(b *parsers.Batch) []*stream {
	for _, st := range sp.order {
		st.records = st.records[:0]
	}
	clear(sp.order)
	sp.order = sp.order[:0]
	if len(sp.known) > maxKnown || len(sp.schemas) > maxSchemas {
		clear(sp.known)
		clear(sp.schemas)
	}

	sp.key = appendSized(sp.key[:0], b.Source)
	source := len(sp.key)
	var sc *schema
	for i := range b.Records {
		r := &b.Records[i]
		if sc == nil || sc.definition != r.Definition {
			sc = sp.schema(r.Definition)
		}
		sp.key = binary.AppendUvarint(sp.key[:source], sc.id)
		for _, field := range sc.definition.StreamLabels {
			sp.key = appendSized(sp.key, value(r, field))
		}
		st := sp.known[string(sp.key)]
		if st == nil {
			st = sp.find(b.Source, sp.key[:source], sc, r)
		}
		if len(st.records) == 0 {
			sp.order = append(sp.order, st)
		}
		st.records = append(st.records, int32(i))
	}
	return sp.order
}

// appendSized appends s so that no two lists of values have the same bytes.
func appendSized[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func (sp *splitter) schema(d *parsers.Definition) *schema {
	sc := sp.schemas[d]
	if sc == nil {
		sc = newSchema(d, uint64(len(sp.schemas)))
		sp.schemas[d] = sc
	}
	return sc
}

// find the stream of a record whose values are in no known key: they are new,
// or the budget has no room for them. What is known needs not be asked again,
// since a value that once had room keeps it.
func (sp *splitter) find(source string, key []byte, sc *schema, r *parsers.Record) *stream {
	sp.over = sp.over[:0]
	sp.key = binary.AppendUvarint(key, sc.id)
	for _, field := range sc.definition.StreamLabels {
		v := value(r, field)
		over := !sp.budget.admit(source, sc.definition.Fields[field].Name, v, !sp.silent)
		if over {
			sp.key = appendSized(sp.key, Overflow)
		} else {
			sp.key = appendSized(sp.key, v)
		}
		sp.over = append(sp.over, over)
	}
	st := sp.known[string(sp.key)]
	if st == nil {
		st = sp.open(source, sc, r)
	}
	return st
}

// open the stream of sp.key, to which r belongs.
func (sp *splitter) open(source string, sc *schema, r *parsers.Record) *stream {
	st := &stream{schema: sc}
	labels := append(slices.Clone(sp.labels), Label{sourceLabel, source})
	for i, field := range sc.definition.StreamLabels {
		name, text := sc.definition.Fields[field].Name, string(value(r, field))
		if sp.over[i] {
			text = Overflow
		}
		if text == Overflow { // the field's own, too: other records share the stream
			st.full = append(st.full, newMetadata(field, name+fullSuffix))
		}
		labels = append(labels, Label{name, text})
	}
	st.label(labels)
	sp.known[string(sp.key)] = st
	return st
}
