package archive

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Entry is one line with all that it takes to push it again as it was.
type Entry struct {
	Time     int64  // Unix nanoseconds
	Source   string // that it was read by
	Labels   [][2]string
	Line     []byte
	Metadata [][2]string // structured metadata, in its order
	Reason   string      // why Loki does not have it
}

// A segment is a file of JSON lines, one for each entry:
//
//	{"crc":"0a1b2c3d","time":…,"source":"…","labels":{…},"line":"…","metadata":[["…","…"],…],"reason":"…"}
//
// crc is the crc32c, in 8 hex digits, of what follows its comma up to the line
// end. Text that is no UTF-8 is {"base64":"…"}. No string of JSON can hold
// recordStart, so that a record is found behind any damage.
const (
	recordStart = `{"crc":"`
	prefixBytes = len(recordStart) + 8 + len(`",`)
	reasonKey   = `,"reason":`
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// digest tells entries apart whatever the reason, which may have the time of
// the refusal.
type digest [16]byte

func digestOf(record []byte) digest {
	if end := bytes.LastIndex(record, []byte(reasonKey)); end > prefixBytes {
		record = record[prefixBytes:end]
	}
	sum := sha256.Sum256(record)
	return digest(sum[:])
}

// appendRecord appends the line of an entry, with its line end.
func appendRecord(dst []byte, e *Entry) []byte {
	start := len(dst)
	dst = append(dst, recordStart+`00000000",`...)
	body := len(dst)
	dst = append(dst, `"time":`...)
	dst = strconv.AppendInt(dst, e.Time, 10)
	dst = appendText(append(dst, `,"source":`...), e.Source)
	dst = append(dst, `,"labels":{`...)
	for i, l := range e.Labels {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(appendString(dst, l[0]), ':'), l[1])
	}
	dst = append(dst, `},"line":`...)
	if utf8.Valid(e.Line) {
		dst = appendString(dst, e.Line)
	} else {
		dst = appendBase64(dst, e.Line)
	}
	dst = append(dst, `,"metadata":[`...)
	for i, pair := range e.Metadata {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(append(appendText(append(dst, '['), pair[0]), ','), pair[1])
		dst = append(dst, ']')
	}
	dst = appendText(append(dst, `]`+reasonKey...), e.Reason)
	dst = append(dst, '}')
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], checksum(dst[body:]))
	hex.Encode(dst[start+len(recordStart):], sum[:])
	return append(dst, '\n')
}

// appendText appends a string, or what holds one that is no UTF-8.
func appendText(dst []byte, s string) []byte {
	if utf8.ValidString(s) {
		return appendString(dst, s)
	}
	return appendBase64(dst, []byte(s))
}

func appendBase64(dst, s []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(dst, `{"base64":"`...), s), `"}`...)
}

// appendString appends a string of JSON.
func appendString[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	plain := 0 // what lies between it and i is copied as it is
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
		}
	}
	return append(append(dst, s[plain:]...), '"')
}

// jsonText is a string of JSON, or an object with base64.
type jsonText []byte

// UnmarshalJSON reads either form.
func (t *jsonText) UnmarshalJSON(b []byte) error {
	if b[0] == '{' {
		var object struct{ Base64 []byte }
		err := json.Unmarshal(b, &object)
		*t = object.Base64
		return err
	}
	var s string
	err := json.Unmarshal(b, &s)
	*t = jsonText(s)
	return err
}

var (
	errNoRecord = errors.New("not a record")
	errChecksum = errors.New("the checksum does not match")
)

// checkRecord tells whether a line, without its line end, is as it was written.
func checkRecord(line []byte) error {
	if len(line) < prefixBytes || !bytes.HasPrefix(line, []byte(recordStart)) || string(line[prefixBytes-2:prefixBytes]) != `",` {
		return errNoRecord
	}
	sum, err := strconv.ParseUint(string(line[len(recordStart):prefixBytes-2]), 16, 32)
	if err != nil {
		return errNoRecord
	}
	if checksum(line[prefixBytes:]) != uint32(sum) {
		return errChecksum
	}
	return nil
}

// decodeRecord reads a line that checkRecord has found good.
func decodeRecord(line []byte) (Entry, error) {
	var r struct {
		Time     int64
		Source   jsonText
		Labels   map[string]jsonText
		Line     jsonText
		Metadata [][2]jsonText
		Reason   jsonText
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return Entry{}, fmt.Errorf("parse record: %w", err)
	}
	e := Entry{Time: r.Time, Source: string(r.Source), Line: r.Line, Reason: string(r.Reason)}
	for name, value := range r.Labels {
		e.Labels = append(e.Labels, [2]string{name, string(value)})
	}
	slices.SortFunc(e.Labels, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	for _, pair := range r.Metadata {
		e.Metadata = append(e.Metadata, [2]string{string(pair[0]), string(pair[1])})
	}
	return e, nil
}

// peek reads the time and the reason of a line that checkRecord has found good.
func peek(line []byte) (at int64, reason string, err error) {
	digits, found := bytes.CutPrefix(line[prefixBytes:], []byte(`"time":`))
	digits, _, _ = bytes.Cut(digits, []byte(","))
	end := bytes.LastIndex(line, []byte(reasonKey))
	if !found || end < 0 || end+len(reasonKey) == len(line) {
		return 0, "", errNoRecord
	}
	if at, err = strconv.ParseInt(string(digits), 10, 64); err != nil {
		return 0, "", fmt.Errorf("parse the time of a record: %w", err)
	}
	var text jsonText
	if err := json.Unmarshal(line[end+len(reasonKey):len(line)-1], &text); err != nil {
		return 0, "", fmt.Errorf("parse the reason of a record: %w", err)
	}
	return at, string(text), nil
}

// scan calls good for each record of a segment's text (without its line end)
// and damaged for each stretch that is none. It returns how much of the text
// is whole: what follows is the torn end of a write that was never
// acknowledged.
func scan(text []byte, good, damaged func([]byte)) (whole int) {
	for at := 0; at < len(text); {
		end := len(text)
		if n := bytes.Index(text[at+1:], []byte(recordStart)); n >= 0 {
			end = at + 1 + n
		}
		chunk := text[at:end]
		line, rest, ended := bytes.Cut(chunk, []byte("\n"))
		last := end == len(text)
		switch {
		case checkRecord(line) == nil:
			good(line)
			switch {
			case !ended: // all but the line end
			case len(rest) == 0:
			case last && rest[len(rest)-1] != '\n':
				return end - len(rest)
			default:
				damaged(rest)
			}
		case checkRecord(chunk[:len(chunk)-1]) == nil: // its line end is damaged
			good(chunk[:len(chunk)-1])
		case last && chunk[len(chunk)-1] != '\n':
			return at
		default:
			damaged(chunk)
		}
		at = end
	}
	return len(text)
}
