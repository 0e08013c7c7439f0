package loki

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/corkline/corkline/parsers"
)

// Tags of logproto.PushRequest, as Loki's pkg/push/push.proto has it: the
// field's number and its wire type.
//
//	PushRequest { repeated Stream streams = 1; }
//	Stream      { string labels = 1; repeated Entry entries = 2; }
//	Entry       { Timestamp timestamp = 1; string line = 2; repeated LabelPair structuredMetadata = 3; }
//	Timestamp   { int64 seconds = 1; int32 nanos = 2; }
//	LabelPair   { string name = 1; string value = 2; }
const (
	tagStream    = 1<<3 | byte(protowire.BytesType)
	tagLabels    = 1<<3 | byte(protowire.BytesType)
	tagEntry     = 2<<3 | byte(protowire.BytesType)
	tagTimestamp = 1<<3 | byte(protowire.BytesType)
	tagLine      = 2<<3 | byte(protowire.BytesType)
	tagMetadata  = 3<<3 | byte(protowire.BytesType)
	tagSeconds   = 1<<3 | byte(protowire.VarintType)
	tagNanos     = 2<<3 | byte(protowire.VarintType)
	tagName      = 1<<3 | byte(protowire.BytesType)
	tagValue     = 2<<3 | byte(protowire.BytesType)
)

// maxSpan of the times in one request. Loki refuses what lies an hour (half
// of ingester.max_chunk_age) behind the newest entry of the stream: were a
// request longer, then on its repetition Loki would refuse the start of it
// because of the end, which it already has.
const maxSpan = 30 * time.Minute

// schema is a definition as the wire needs it.
type schema struct {
	definition *parsers.Definition
	id         uint64 // within its splitter
	metadata   []metadata
}

// metadata is a field that goes to the structured metadata.
type metadata struct {
	field int
	label string
	// name is the beginning of a LabelPair: the label, and the value's tag.
	name []byte
	// short is what comes before the value where the sizes of the pair and of the
	// value take a byte each, which are 0 in it; its size is 0 when name is too long.
	short struct {
		text [shortName]byte
		size int
	}
}

// Most names and values of metadata are as short as these. A pair whose size
// takes one byte is no longer than shortPair.
const (
	shortName  = 32
	shortValue = 16
	shortPair  = 2 + 0x80
)

func newSchema(d *parsers.Definition, id uint64) *schema {
	sc := &schema{definition: d, id: id}
	for _, field := range d.Metadata {
		sc.metadata = append(sc.metadata, newMetadata(field, d.Fields[field].Name))
	}
	// Loki sorts the names of every entry, several times, and less long when they are.
	slices.SortFunc(sc.metadata, func(a, b metadata) int { return strings.Compare(a.label, b.label) })
	return sc
}

func newMetadata(field int, name string) metadata {
	m := metadata{field: field, label: name, name: append(appendBytes(nil, tagName, []byte(name)), tagValue)}
	if size := 1 + 1 + len(m.name) + 1; size <= shortName {
		m.short.size = size
		m.short.text[0] = tagMetadata
		copy(m.short.text[2:], m.name)
	}
	return m
}

// mark is metadata that comes with no field: name=true.
type mark struct{ name, pair string }

func newMark(name string) mark {
	pair := appendBytes(appendBytes(nil, tagName, []byte(name)), tagValue, []byte("true"))
	return mark{name, string(appendBytes(nil, tagMetadata, pair))}
}

var marks = [...]mark{newMark("parse_error"), newMark("truncated"), newMark("invalid_utf8"), newMark("time_clamped")}

// marked gives, for each of marks, whether a record has it.
func marked(r *parsers.Record) [len(marks)]bool {
	return [...]bool{
		r.Layout == nil, r.Flags&parsers.Truncated != 0, r.Flags&parsers.InvalidUTF8 != 0, r.Flags&parsers.TimeClamped != 0,
	}
}

// encode the first n of records into buf as a PushRequest: as many as fit into
// limit bytes and lie within maxSpan, but one at least. Packed entries are JSON
// lines without structured metadata.
func (st *stream) encode(buf *buffer, b *parsers.Batch, records []int32, limit int, packed bool) (request []byte, n int) {
	// The stream's length is known last, and written just before the stream.
	const room = 1 + binary.MaxVarintLen64
	dst := slices.Grow(buf.bytes[:0], room+len(st.head))[:room]
	dst = append(dst, st.head...)
	first := b.Records[records[0]].Time
	for _, i := range records {
		r := &b.Records[i]
		if n > 0 && time.Duration(r.Time-first).Abs() > maxSpan {
			break
		}
		start := len(dst)
		dst = append(dst, tagEntry, 0, 0)
		if packed {
			dst = appendLine(dst, r, st.appendPacked(nil, r, i))
		} else {
			dst = st.appendEntry(dst, r, i)
		}
		dst = setSize(dst, start+1)
		if n > 0 && len(dst)-room > limit {
			dst = dst[:start]
			break
		}
		n++
	}
	buf.bytes = dst
	length := len(dst) - room
	start := room - (sizeBytes(length) - length)
	appendSize(dst[:start], tagStream, length)
	return dst[start:], n
}

// setSize writes the size of what follows the two bytes at a place, which most
// entries' sizes take, and moves it when they take more or fewer.
func setSize(dst []byte, at int) []byte {
	size := len(dst) - at - 2
	if size >= 0x80 && size < 0x80<<7 {
		dst[at], dst[at+1] = byte(size)|0x80, byte(size>>7)
		return dst
	}
	n := sizeVarint(uint64(size))
	dst = slices.Grow(dst, n)[:at+n+size]
	copy(dst[at+n:], dst[at+2:at+2+size])
	binary.PutUvarint(dst[at:at+n], uint64(size))
	return dst
}

// appendEntry appends the Entry of record i.
func (st *stream) appendEntry(dst []byte, r *parsers.Record, i int32) []byte {
	dst = appendMetadata(st.schema.appendEntry(dst, r), st.full, r)
	for _, pair := range st.own(i) {
		dst = appendSize(dst, tagMetadata, sizeBytes(len(pair[0]))+sizeBytes(len(pair[1])))
		dst = appendBytes(appendBytes(dst, tagName, []byte(pair[0])), tagValue, []byte(pair[1]))
	}
	return dst
}

func appendLine(dst []byte, r *parsers.Record, line []byte) []byte {
	seconds, nanos := split(r.Time)
	dst = append(dst, tagTimestamp, byte(sizeTimestamp(seconds, nanos)))
	if seconds != 0 {
		dst = appendVarint(append(dst, tagSeconds), uint64(seconds))
	}
	if nanos != 0 {
		dst = appendVarint(append(dst, tagNanos), uint64(nanos))
	}
	return appendBytes(dst, tagLine, line)
}

// appendEntry appends a record's Entry.
func (sc *schema) appendEntry(dst []byte, r *parsers.Record) []byte {
	dst = appendMetadata(appendLine(dst, r, r.Line), sc.metadata, r)
	for i, has := range marked(r) {
		if has {
			dst = append(dst, marks[i].pair...)
		}
	}
	for i := range r.Pairs {
		dst = appendPair(dst, r, &r.Pairs[i])
	}
	return dst
}

// appendPair appends a pair of the line's own.
func appendPair(dst []byte, r *parsers.Record, p *parsers.Pair) []byte {
	key, value := r.Text(p.Key), r.Text(p.Value)
	if len(key) == 0 || len(value) == 0 {
		return dst
	}
	dst = appendSize(dst, tagMetadata, sizeBytes(len(key))+sizeBytes(len(value)))
	dst = appendSize(dst, tagName, len(key))
	return appendBytes(appendName(dst, key), tagValue, value)
}

// appendName appends what Loki takes for a name: letters, digits and _, of
// which no digit comes first.
func appendName(dst, key []byte) []byte {
	for i, c := range key {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendMetadata appends those fields that the record has.
func appendMetadata(dst []byte, fields []metadata, r *parsers.Record) []byte {
	for i := range fields {
		m := &fields[i]
		v := value(r, m.field)
		if len(v) == 0 {
			continue
		}
		size := len(m.name) + 1 + len(v)
		if m.short.size == 0 || size >= 0x80 {
			dst = appendSize(dst, tagMetadata, len(m.name)+sizeVarint(uint64(len(v)))+len(v))
			dst = append(dst, m.name...)
			dst = appendVarint(dst, uint64(len(v)))
			dst = append(dst, v...)
			continue
		}
		// Copies of a fixed size need no call.
		if cap(dst)-len(dst) < shortPair {
			dst = slices.Grow(dst, shortPair)
		}
		to := dst[len(dst) : len(dst)+shortPair]
		*(*[shortName]byte)(to) = m.short.text
		to[1] = byte(size)
		to[m.short.size-1] = byte(len(v))
		if end := to[m.short.size:]; len(v) <= shortValue && cap(v) >= shortValue {
			*(*[shortValue]byte)(end) = [shortValue]byte(v[:shortValue])
		} else {
			copy(end, v)
		}
		dst = dst[:len(dst)+m.short.size+len(v)]
	}
	return dst
}

// split Unix nanoseconds so that nanos is never negative, as Timestamp wants it.
func split(t int64) (seconds, nanos int64) {
	const second = int64(time.Second)
	seconds, nanos = t/second, t%second
	if nanos < 0 {
		return seconds - 1, nanos + second
	}
	return seconds, nanos
}

func sizeTimestamp(seconds, nanos int64) int {
	n := 0
	if seconds != 0 {
		n += 1 + sizeVarint(uint64(seconds))
	}
	if nanos != 0 {
		n += 1 + sizeVarint(uint64(nanos))
	}
	return n
}

// sizeBytes of a field of n bytes, with its tag and length.
func sizeBytes(n int) int { return 1 + sizeVarint(uint64(n)) + n }

func sizeVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func appendBytes(dst []byte, tag byte, b []byte) []byte {
	return append(appendSize(dst, tag, len(b)), b...)
}

// appendSize begins a field of n bytes.
func appendSize(dst []byte, tag byte, n int) []byte {
	return appendVarint(append(dst, tag), uint64(n))
}

func appendVarint(dst []byte, v uint64) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return binary.AppendUvarint(dst, v)
}
