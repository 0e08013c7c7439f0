package loki

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/corkline/corkline/parsers"
)

// Entry is one line as Loki gets it, so that it can be kept and pushed again.
type Entry struct {
	Time     int64 // Unix nanoseconds
	Line     []byte
	Metadata [][2]string // names and values, in the order of the push
}

// Entries calls f with what Begin pushes for records of b (indices), and
// with the labels of their stream: names and values, sorted by name. The line
// is the record's, the labels are not to be changed. It stops at an error of f.
func (s *Sink) Entries(b *parsers.Batch, records []int32, f func(labels [][2]string, e Entry) error) error {
	sp := s.splitter()
	sp.silent = true // Begin counts
	one := parsers.Batch{Source: b.Source, Records: make([]parsers.Record, 1)}
	known := map[*stream][][2]string{}
	var encoded []byte
	for _, i := range records {
		one.Records[0] = b.Records[i]
		r := &one.Records[0]
		st := sp.streams(&one)[0]
		labels, ok := known[st]
		if !ok {
			for _, l := range st.labels {
				labels = append(labels, [2]string{l.Name, strings.ToValidUTF8(l.Value, "\uFFFD")})
			}
			known[st] = labels
		}
		encoded = st.appendEntry(encoded[:0], r, 0)
		metadata, err := decodeMetadata(encoded)
		if err != nil {
			return fmt.Errorf("read the entry of a record: %w", err) // not unless the encoder is wrong
		}
		if err := f(labels, Entry{r.Time, r.Line, metadata}); err != nil {
			return err
		}
	}
	return nil
}

// decodeMetadata reads the pairs of an encoded Entry.
func decodeMetadata(entry []byte) (pairs [][2]string, err error) {
	err = eachField(entry, func(tag byte, value []byte) error {
		if tag != tagMetadata {
			return nil
		}
		var pair [2]string
		err := eachField(value, func(tag byte, value []byte) error {
			if tag == tagName {
				pair[0] = string(value)
			} else {
				pair[1] = string(value)
			}
			return nil
		})
		pairs = append(pairs, pair)
		return err
	})
	return pairs, err
}

var errBroken = errors.New("broken message")

// eachField calls f for the fields of a message, all of which are bytes with
// tags of one byte.
func eachField(message []byte, f func(tag byte, value []byte) error) error {
	for len(message) > 0 {
		value, n := protowire.ConsumeBytes(message[1:])
		if n < 0 {
			return errBroken
		}
		if err := f(message[0], value); err != nil {
			return err
		}
		message = message[1+n:]
	}
	return nil
}

// Push entries of the stream with these labels (names and values), which are
// in the order of their times. It answers for them as Begin does;
// Options.Refused gets a batch whose records are the entries. The sink's own
// labels and its budget do not come in.
func (s *Sink) Push(ctx context.Context, labels [][2]string, entries []Entry) error {
	own := make([]Label, len(labels))
	for i, l := range labels {
		if !validName(l[0]) {
			return fmt.Errorf("push to loki: %q is not a label name", l[0])
		}
		own[i] = Label{l[0], l[1]}
	}
	st := &stream{schema: &schema{}, pushed: entries}
	st.label(own)
	b := &parsers.Batch{Records: make([]parsers.Record, len(entries))}
	records := make([]int32, len(entries))
	whole := &parsers.Layout{} // that there was none is in the metadata
	for i, e := range entries {
		b.Records[i] = parsers.Record{Time: e.Time, Line: e.Line, Layout: whole}
		records[i] = int32(i)
	}
	if err := s.send(ctx, b, st, records, nil); err != nil {
		return fmt.Errorf("push to loki: %w", err)
	}
	return nil
}
