package loki

import (
	"encoding/binary"
	"math/bits"
	"slices"
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
}

func newSchema(d *parsers.Definition, id uint64) *schema {
	sc := &schema{definition: d, id: id}
	for _, field := range d.Metadata {
		sc.metadata = append(sc.metadata, newMetadata(field, d.Fields[field].Name))
	}
	return sc
}

func newMetadata(field int, name string) metadata {
	return metadata{field, name, append(appendBytes(nil, tagName, []byte(name)), tagValue)}
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
		var line []byte
		var size int
		if packed {
			line = st.appendPacked(nil, r)
			size = sizeLine(r, len(line))
		} else {
			size = st.schema.size(r) + sizeMetadata(st.full, r)
		}
		whole := sizeBytes(size)
		apart := time.Duration(r.Time-first).Abs() > maxSpan
		if n > 0 && (apart || len(dst)-room+whole > limit) {
			break
		}
		dst = appendSize(slices.Grow(dst, whole), tagEntry, size)
		if packed {
			dst = appendLine(dst, r, line)
		} else {
			dst = appendMetadata(st.schema.appendEntry(dst, r), st.full, r)
		}
		n++
	}
	buf.bytes = dst
	length := len(dst) - room
	start := room - (sizeBytes(length) - length)
	appendSize(dst[:start], tagStream, length)
	return dst[start:], n
}

// size of a record's Entry in bytes.
func (sc *schema) size(r *parsers.Record) int {
	n := sizeLine(r, len(r.Line)) + sizeMetadata(sc.metadata, r)
	for i, has := range marked(r) {
		if has {
			n += len(marks[i].pair)
		}
	}
	for i := range r.Pairs {
		n += sizePair(r, &r.Pairs[i])
	}
	return n
}

// sizeLine of a record's time and of a line of n bytes.
func sizeLine(r *parsers.Record, n int) int {
	return sizeBytes(sizeTimestamp(split(r.Time))) + sizeBytes(n)
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

// sizePair is the size of a pair of the line's own in bytes.
func sizePair(r *parsers.Record, p *parsers.Pair) int {
	key, value := len(r.Text(p.Key)), len(r.Text(p.Value))
	if key == 0 || value == 0 {
		return 0
	}
	return sizeBytes(sizeBytes(key) + sizeBytes(value))
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

// sizeMetadata of those fields that the record has, in bytes.
func sizeMetadata(fields []metadata, r *parsers.Record) (n int) {
	for i := range fields {
		m := &fields[i]
		if v := len(value(r, m.field)); v > 0 {
			n += sizeBytes(len(m.name) + sizeVarint(uint64(v)) + v)
		}
	}
	return n
}

func appendMetadata(dst []byte, fields []metadata, r *parsers.Record) []byte {
	for i := range fields {
		m := &fields[i]
		v := value(r, m.field)
		if len(v) == 0 {
			continue
		}
		dst = appendSize(dst, tagMetadata, len(m.name)+sizeVarint(uint64(len(v)))+len(v))
		dst = append(dst, m.name...)
		dst = appendVarint(dst, uint64(len(v)))
		dst = append(dst, v...)
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
