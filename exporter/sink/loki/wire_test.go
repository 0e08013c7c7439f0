package loki

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"

	"github.com/corkline/corkline/exporter/sink/loki/lokitest"
	"github.com/corkline/corkline/parsers"
)

type (
	pushed = lokitest.Stream
	entry  = lokitest.Entry
)

// pairs makes labels of names and values in turn.
func pairs(words ...string) []lokitest.Label {
	var labels []lokitest.Label
	for i := 0; i < len(words); i += 2 {
		labels = append(labels, lokitest.Label{Name: words[i], Value: words[i+1]})
	}
	return labels
}

// words is a definition of lines that are values between blanks.
func words(stream, metadata int) *parsers.Definition {
	d := &parsers.Definition{Name: "words"}
	for i := range stream + metadata {
		d.Fields = append(d.Fields, parsers.Field{Name: "f" + strconv.Itoa(i)})
		if i < stream {
			d.StreamLabels = append(d.StreamLabels, i)
		} else {
			d.Metadata = append(d.Metadata, i)
		}
	}
	return d
}

var layout = parsers.Layout{Name: "words"}

func record(d *parsers.Definition, t int64, line string) parsers.Record {
	r := parsers.Record{Definition: d, Layout: &layout, Time: t, Line: []byte(line)}
	at := 0
	for i := range d.Fields {
		end := len(line)
		if n := strings.IndexByte(line[at:], ' '); n >= 0 && i < len(d.Fields)-1 {
			end = at + n
		}
		r.Spans = append(r.Spans, parsers.Span{Start: int32(at), End: int32(end)})
		at = min(end+1, len(line))
	}
	return r
}

// encodeAll of a batch, one request for each stream and limit.
func encodeAll(t testing.TB, sp *splitter, b *parsers.Batch, limit int) []pushed {
	t.Helper()
	var all []pushed
	buf := new(buffer)
	for _, st := range sp.streams(b) {
		for records := st.records; len(records) > 0; {
			request, n := st.encode(buf, b, records, limit, false)
			if n > 1 && len(request) > limit+16 {
				t.Errorf("a request of %d records has %d bytes, above the limit of %d", n, len(request), limit)
			}
			p, err := lokitest.Decode(request)
			if err != nil {
				t.Fatalf("decode: %v", err)
			}
			if len(p) != 1 || len(p[0].Entries) != n {
				t.Fatalf("got %d streams, want one with %d entries: %v", len(p), n, p)
			}
			all = append(all, p...)
			records = records[n:]
		}
	}
	return all
}

func TestEncode(t *testing.T) {
	d := words(1, 2)
	long := strings.Repeat("x", 300)
	raw := parsers.Record{Definition: d, Time: -1, Line: []byte("no layout"), Flags: parsers.Truncated | parsers.InvalidUTF8}
	b := &parsers.Batch{Source: `np "one"`, Records: []parsers.Record{
		record(d, 1_700_000_000_123_456_789, "Drop a b"),
		record(d, 1_700_000_000_000_000_000, "Drop  "+long),
		raw,
		record(d, 1_700_000_000_000_000_001, "Drop a"),
		record(d, 0, " only meta"),
		record(d, 5, ""),
	}}
	got := encodeAll(t, newSplitter([]Label{{"job", "corkline"}, {"cluster", ""}, {"node", "n1"}}, nil), b, 1<<20)
	want := []pushed{
		{Labels: `{f0="Drop", job="corkline", node="n1", source="np \"one\""}`, Entries: []entry{
			{Time: 1_700_000_000_123_456_789, Line: "Drop a b", Metadata: pairs("f1", "a", "f2", "b")},
			{Time: 1_700_000_000_000_000_000, Line: "Drop  " + long, Metadata: pairs("f2", long)},
			{Time: 1_700_000_000_000_000_001, Line: "Drop a", Metadata: pairs("f1", "a")},
		}},
		{Labels: `{job="corkline", node="n1", source="np \"one\""}`, Entries: []entry{
			{Time: -1, Line: "no layout", Metadata: pairs("parse_error", "true", "truncated", "true", "invalid_utf8", "true")},
			{Time: 0, Line: " only meta", Metadata: pairs("f1", "only", "f2", "meta")},
			{Time: 5, Line: "", Metadata: nil},
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Names are sorted, whatever the order of the definition.
func TestEncode_SortedNames(t *testing.T) {
	d := words(1, 3)
	slices.Reverse(d.Metadata)
	b := &parsers.Batch{Source: "s", Records: []parsers.Record{record(d, 0, "a b c d")}}
	want := pairs("f1", "b", "f2", "c", "f3", "d")
	if diff := cmp.Diff(want, encodeAll(t, newSplitter(nil, nil), b, 1<<20)[0].Entries[0].Metadata); diff != "" {
		t.Error(diff)
	}
}

func TestEncodeTimes(t *testing.T) {
	d := words(0, 0)
	for _, at := range []int64{math.MinInt64, -1_000_000_001, -1_000_000_000, -1, 0, 1, 999_999_999, 1_000_000_000, math.MaxInt64} {
		b := &parsers.Batch{Source: "s", Records: []parsers.Record{record(d, at, "x")}}
		if got := encodeAll(t, newSplitter(nil, nil), b, 1<<20); got[0].Entries[0].Time != at {
			t.Errorf("got %d, want %d", got[0].Entries[0].Time, at)
		}
	}
}

func TestEncodeLimit(t *testing.T) {
	d := words(0, 1)
	b := &parsers.Batch{Source: "s"}
	for i := range 100 {
		b.Records = append(b.Records, record(d, int64(i), strings.Repeat("x", i)))
	}
	for _, limit := range []int{1, 50, 500, 5000, 1 << 20} {
		n := 0
		for _, p := range encodeAll(t, newSplitter(nil, nil), b, limit) {
			for _, e := range p.Entries {
				if e.Time != int64(n) {
					t.Fatalf("limit %d: record %d came as number %d", limit, e.Time, n)
				}
				n++
			}
		}
		if n != len(b.Records) {
			t.Errorf("limit %d: got %d records, want %d", limit, n, len(b.Records))
		}
	}
}

func TestEncodeSpan(t *testing.T) {
	d := words(0, 0)
	minute := int64(time.Minute)
	b := &parsers.Batch{Source: "s"}
	for _, at := range []int64{0, 30, 31, 50, 62, 10, math.MaxInt64 / minute} {
		b.Records = append(b.Records, record(d, at*minute, "x"))
	}
	var got []int
	for _, p := range encodeAll(t, newSplitter(nil, nil), b, 1<<20) {
		got = append(got, len(p.Entries))
	}
	if diff := cmp.Diff([]int{2, 2, 1, 1, 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		labels []Label
		want   string
	}{
		{nil, `{}`},
		{[]Label{{"b", "2"}, {"a", "1"}}, `{a="1", b="2"}`},
		{[]Label{{"a", ""}, {"b", "2"}}, `{b="2"}`},
		{[]Label{{"a", "first"}, {"a", "second"}}, `{a="first"}`},
		{[]Label{{"a", "q\"\\\n\x00ü\xff"}}, `{a="q\"\\\n\x00ü` + "\uFFFD" + `"}`},
	} {
		if got := string(appendLabels(nil, normalLabels(c.labels))); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// Values that only differ in where one ends must not share a stream.
func TestStreamKeys(t *testing.T) {
	d, e := words(2, 0), words(2, 0)
	b := &parsers.Batch{Source: "s", Records: []parsers.Record{
		record(d, 1, "ab c"), record(d, 2, "a bc"), record(d, 3, "ab c"), record(e, 4, "ab c"),
	}}
	var got []int
	for _, p := range encodeAll(t, newSplitter(nil, nil), b, 1<<20) {
		got = append(got, len(p.Entries))
	}
	if diff := cmp.Diff([]int{2, 1, 1}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSplitterIsBounded(t *testing.T) {
	sp := newSplitter(nil, nil)
	for i := range 50 * maxKnown {
		d := words(1, 0)
		b := &parsers.Batch{Source: "s", Records: []parsers.Record{record(d, 1, strconv.Itoa(i))}}
		got := encodeAll(t, sp, b, 1<<20)
		if want := fmt.Sprintf(`{f0="%d", source="s"}`, i); len(got) != 1 || got[0].Labels != want {
			t.Fatalf("got %v, want %s", got, want)
		}
		if len(sp.known) > maxKnown+1 || len(sp.schemas) > maxSchemas+1 {
			t.Fatalf("%d streams and %d definitions are remembered", len(sp.known), len(sp.schemas))
		}
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	b := policyBatch(500)
	sp, buf := newSplitter(nil, nil), new(buffer)
	encode := func() {
		for _, st := range sp.streams(b) {
			st.encode(buf, b, st.records, 1<<20, false)
		}
	}
	encode()
	if n := testing.AllocsPerRun(20, encode); n != 0 {
		t.Errorf("got %v allocations for a batch, want none", n)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("np", "Drop a b", "v", int64(1_700_000_000_123_456_789), uint8(3), uint16(4), uint16(5))
	f.Add("", "", "", int64(-1), uint8(0), uint16(0), uint16(0))
	f.Add("s\"\\", strings.Repeat("long ", 60), "\x00\xff", int64(math.MinInt64), uint8(7), uint16(0), uint16(300))
	f.Fuzz(func(t *testing.T, source, line, label string, at int64, flags uint8, start, end uint16) {
		d := words(1, 1)
		lo := min(int(start), len(line))
		hi := max(min(int(end), len(line)), lo)
		r := parsers.Record{Definition: d, Time: at, Line: []byte(label + line), Flags: parsers.Flags(flags & 3)}
		r.Spans = []parsers.Span{
			{Start: 0, End: int32(len(label))},
			{Start: int32(len(label) + lo), End: int32(len(label) + hi)},
		}
		if flags&4 != 0 {
			r.Layout = &layout
		}
		sp, buf := newSplitter([]Label{{"job", "corkline"}}, nil), new(buffer)
		b := &parsers.Batch{Source: source, Records: []parsers.Record{r, r}}
		st := sp.streams(b)[0]
		request, _ := st.encode(buf, b, st.records, 1<<20, false)
		plain, err := s2.Decode(nil, s2.EncodeSnappy(nil, request))
		if err != nil || !bytes.Equal(plain, request) {
			t.Fatalf("snappy: %v", err)
		}
		got, err := lokitest.Decode(plain)
		if err != nil {
			t.Fatal(err)
		}

		want := entry{Time: at, Line: label + line}
		if hi > lo {
			want.Metadata = append(want.Metadata, pairs("f1", line[lo:hi])...)
		}
		if r.Layout == nil {
			want.Metadata = append(want.Metadata, pairs("parse_error", "true")...)
		}
		if r.Flags&parsers.Truncated != 0 {
			want.Metadata = append(want.Metadata, pairs("truncated", "true")...)
		}
		if r.Flags&parsers.InvalidUTF8 != 0 {
			want.Metadata = append(want.Metadata, pairs("invalid_utf8", "true")...)
		}
		if diff := cmp.Diff([]entry{want, want}, got[0].Entries); diff != "" {
			t.Error(diff)
		}

		labels := got[0].Labels
		if !utf8.ValidString(labels) {
			t.Errorf("labels are not UTF-8: %q", labels)
		}
		if label != "" {
			rest, ok := strings.CutPrefix(labels, "{f0=")
			quoted, err := strconv.QuotedPrefix(rest)
			if !ok || err != nil {
				t.Fatalf("labels %s: %v", labels, err)
			}
			if v, _ := strconv.Unquote(quoted); v != strings.ToValidUTF8(label, "\uFFFD") {
				t.Errorf("label is %q, want %q", v, label)
			}
		}
	})
}
