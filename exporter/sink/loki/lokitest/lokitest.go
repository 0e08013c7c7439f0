// Package lokitest reads for tests what was pushed to Loki. It is written from
// Loki's messages, not from our encoder.
package lokitest

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Stream of a push request.
type Stream struct {
	Labels  string // as {name="value", …}
	Entries []Entry
}

// Entry is one line.
type Entry struct {
	Time     int64 // Unix nanoseconds
	Line     string
	Metadata []Label
}

// Label is a name and its value.
type Label struct{ Name, Value string }

// fields calls f for each field of a message.
func fields(msg []byte, f func(num protowire.Number, bytes []byte, varint uint64) error) error {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return protowire.ParseError(n)
		}
		msg = msg[n:]
		var b []byte
		var v uint64
		switch typ {
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(msg)
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(msg)
		default:
			return fmt.Errorf("field %d has wire type %d", num, typ)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		msg = msg[n:]
		if err := f(num, b, v); err != nil {
			return err
		}
	}
	return nil
}

// Decode reads a logproto.PushRequest (without its compression). What Loki's
// messages do not have is an error.
func Decode(request []byte) ([]Stream, error) {
	unknown := func(message string, num protowire.Number) error {
		return fmt.Errorf("%s has no field %d", message, num)
	}
	var all []Stream
	err := fields(request, func(num protowire.Number, b []byte, _ uint64) error {
		if num != 1 {
			return unknown("PushRequest", num)
		}
		var p Stream
		err := fields(b, func(num protowire.Number, b []byte, _ uint64) error {
			switch num {
			case 1:
				p.Labels = string(b)
				return nil
			case 2:
				e, err := decodeEntry(b)
				p.Entries = append(p.Entries, e)
				return err
			}
			return unknown("Stream", num)
		})
		all = append(all, p)
		return err
	})
	return all, err
}

func decodeEntry(msg []byte) (e Entry, err error) {
	stamped := false
	err = fields(msg, func(num protowire.Number, b []byte, _ uint64) error {
		switch num {
		case 1:
			stamped = true
			return fields(b, func(num protowire.Number, _ []byte, v uint64) error {
				switch {
				case num == 1:
					e.Time += int64(v) * int64(time.Second)
				case num == 2 && v < uint64(time.Second):
					e.Time += int64(v)
				default:
					return fmt.Errorf("field %d of a timestamp is %d", num, v)
				}
				return nil
			})
		case 2:
			e.Line = string(b)
		case 3:
			var l Label
			err := fields(b, func(num protowire.Number, b []byte, _ uint64) error {
				switch num {
				case 1:
					l.Name = string(b)
				case 2:
					l.Value = string(b)
				default:
					return fmt.Errorf("a label pair has no field %d", num)
				}
				return nil
			})
			e.Metadata = append(e.Metadata, l)
			return err
		default:
			return fmt.Errorf("an entry has no field %d", num)
		}
		return nil
	})
	if err == nil && !stamped {
		err = errors.New("an entry has no timestamp")
	}
	return e, err
}
