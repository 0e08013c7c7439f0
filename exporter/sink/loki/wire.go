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
	// name is the beginning of a LabelPair: the name, and the value's tag.
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
	return metadata{field, append(appendBytes(nil, tagName, []byte(name)), tagValue)}
}

// Metadata that comes with no field, encoded.
const (
	parseErrorPair  = "\x1a\x13\x0a\x0bparse_error\x12\x04true"
	truncatedPair   = "\x1a\x11\x0a\x09truncated\x12\x04true"
	invalidUTF8Pair = "\x1a\x14\x0a\x0cinvalid_utf8\x12\x04true"
	timeClampedPair = "\x1a\x14\x0a\x0ctime_clamped\x12\x04true"
)

// encode the first n of records into buf as a PushRequest: as many as fit into
// limit bytes and lie within maxSpan, but one at least.
func (st *stream) encode(buf *buffer, b *parsers.Batch, records []int32, limit int) (request []byte, n int) {
	// The stream's length is known last, and written just before the stream.
	const room = 1 + binary.MaxVarintLen64
	dst := slices.Grow(buf.bytes[:0], room+len(st.head))[:room]
	dst = append(dst, st.head...)
	first := b.Records[records[0]].Time
	for _, i := range records {
		r := &b.Records[i]
		size := st.size(r, i)
		whole := sizeBytes(size)
		apart := time.Duration(r.Time-first).Abs() > maxSpan
		if n > 0 && (apart || len(dst)-room+whole > limit) {
			break
		}
		dst = appendSize(slices.Grow(dst, whole), tagEntry, size)
		dst = st.appendEntry(dst, r, i)
		n++
	}
	buf.bytes = dst
	length := len(dst) - room
	start := room - (sizeBytes(length) - length)
	appendSize(dst[:start], tagStream, length)
	return dst[start:], n
}

// size of the Entry of record i in bytes.
func (st *stream) size(r *parsers.Record, i int32) int {
	n := st.schema.size(r) + sizeMetadata(st.full, r)
	if st.pairs != nil {
		n += len(st.pairs[i])
	}
	return n
}

// appendEntry appends the Entry of record i.
func (st *stream) appendEntry(dst []byte, r *parsers.Record, i int32) []byte {
	dst = appendMetadata(st.schema.appendEntry(dst, r), st.full, r)
	if st.pairs != nil {
		dst = append(dst, st.pairs[i]...)
	}
	return dst
}

// size of a record's Entry in bytes.
func (sc *schema) size(r *parsers.Record) int {
	seconds, nanos := split(r.Time)
	n := sizeBytes(sizeTimestamp(seconds, nanos)) + sizeBytes(len(r.Line)) + sizeMetadata(sc.metadata, r)
	if r.Layout == nil {
		n += len(parseErrorPair)
	}
	if r.Flags&parsers.Truncated != 0 {
		n += len(truncatedPair)
	}
	if r.Flags&parsers.InvalidUTF8 != 0 {
		n += len(invalidUTF8Pair)
	}
	if r.Flags&parsers.TimeClamped != 0 {
		n += len(timeClampedPair)
	}
	for i := range r.Pairs {
		n += sizePair(r, &r.Pairs[i])
	}
	return n
}

// appendEntry appends a record's Entry.
func (sc *schema) appendEntry(dst []byte, r *parsers.Record) []byte {
	seconds, nanos := split(r.Time)
	dst = append(dst, tagTimestamp, byte(sizeTimestamp(seconds, nanos)))
	if seconds != 0 {
		dst = appendVarint(append(dst, tagSeconds), uint64(seconds))
	}
	if nanos != 0 {
		dst = appendVarint(append(dst, tagNanos), uint64(nanos))
	}
	dst = appendMetadata(appendBytes(dst, tagLine, r.Line), sc.metadata, r)
	if r.Layout == nil {
		dst = append(dst, parseErrorPair...)
	}
	if r.Flags&parsers.Truncated != 0 {
		dst = append(dst, truncatedPair...)
	}
	if r.Flags&parsers.InvalidUTF8 != 0 {
		dst = append(dst, invalidUTF8Pair...)
	}
	if r.Flags&parsers.TimeClamped != 0 {
		dst = append(dst, timeClampedPair...)
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

// appendPair appends a pair of the line's own. Loki takes names of letters,
// digits and _ that begin with no digit.
func appendPair(dst []byte, r *parsers.Record, p *parsers.Pair) []byte {
	key, value := r.Text(p.Key), r.Text(p.Value)
	if len(key) == 0 || len(value) == 0 {
		return dst
	}
	dst = appendSize(dst, tagMetadata, sizeBytes(len(key))+sizeBytes(len(value)))
	dst = appendSize(dst, tagName, len(key))
	for i, c := range key {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			c = '_'
		}
		dst = append(dst, c)
	}
	return appendBytes(dst, tagValue, value)
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
