package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Manifest describes an object. It is stored after the object, and an object
// without one does not count.
type Manifest struct {
	Version int    `json:"version"`
	Object  string `json:"object"` // its key
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Source  string `json:"source"`
	Lines   int    `json:"lines"`
	// First and Last are the least and the greatest time of its lines, in Unix
	// nanoseconds.
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Bytes and SHA256 are those of the lines, CompressedBytes and
	// CompressedSHA256 those of the object.
	Bytes            int64  `json:"bytes"`
	SHA256           string `json:"sha256"`
	CompressedBytes  int64  `json:"compressed_bytes"`
	CompressedSHA256 string `json:"compressed_sha256"`
	// Reasons counts lines by why they were archived, with # for numbers.
	Reasons map[string]int `json:"reasons"`
	// CRC is the crc32c of the manifest without it, in 8 hex digits, and stands at
	// its end in all versions to come; empty in those of older ones.
	CRC string `json:"crc,omitempty"`
}

// encode a manifest with its checksum.
func (m Manifest) encode() ([]byte, error) {
	m.CRC = ""
	body, err := json.Marshal(&m)
	if err != nil {
		return nil, err
	}
	m.CRC = fmt.Sprintf("%08x", checksum(body))
	body, err = json.Marshal(&m)
	return append(body, '\n'), err
}

// decodeManifest reads the manifest at a key; it fails if that is damaged.
func decodeManifest(key string, text []byte) (m Manifest, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return m, fmt.Errorf("parse manifest %s: %w", key, err)
	}
	if at := bytes.LastIndex(text, []byte(crcKey)); at >= 0 {
		body := append(bytes.Clone(text[:at]), '}')
		if string(text[at:]) == fmt.Sprintf("%s%08x\"}\n", crcKey, checksum(body)) {
			return m, nil
		}
	} else if first, ok := firstOf(key); ok && m.Version <= manifestVersion && // of a version without checksums
		len(m.SHA256) >= keyHashDigits && manifestKey(m.Object) == key && first.UnixNano() == m.First && strings.Contains(key, m.SHA256[:keyHashDigits]) {
		return m, nil
	}
	return m, fmt.Errorf("parse manifest %s: %w", key, errChecksum)
}

const crcKey = `,"crc":"`

// nameOf reads what keyPart wrote.
func nameOf(part string) string {
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		if n, err := strconv.ParseUint(part[min(i+1, len(part)):min(i+3, len(part))], 16, 8); part[i] == '=' && err == nil {
			b.WriteByte(byte(n))
			i += 2
		} else if part[i] != '=' {
			b.WriteByte(part[i])
		}
	}
	return b.String()
}

const (
	manifestVersion = 1
	objectSuffix    = ".jsonl.zst"
	manifestSuffix  = ".manifest.json"
	stampLayout     = "20060102T150405.000000000Z"
	keyHashDigits   = 16
)

// objectKey is the same for the same lines:
// <cluster>/<node>/<source>/<yyyy>/<mm>/<dd>/<first time>-<hash>.jsonl.zst
func objectKey(m *Manifest) string {
	first := time.Unix(0, m.First).UTC()
	return strings.Join([]string{
		keyPart(m.Cluster), keyPart(m.Node), keyPart(m.Source),
		first.Format("2006/01/02"), first.Format(stampLayout) + "-" + m.SHA256[:keyHashDigits] + objectSuffix,
	}, "/")
}

// keyPart writes a name with letters, digits, - _ and inner dots only.
func keyPart(name string) string {
	var b strings.Builder
	for i, c := range []byte(name) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0
		if letter {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	if name == "" {
		return "=" // no name gives it
	}
	return b.String()
}

// firstOf reads the first time from an object's or manifest's key.
func firstOf(key string) (time.Time, bool) {
	_, base, _ := cutLast(key, "/")
	stamp, _, found := strings.Cut(base, "-")
	t, err := time.Parse(stampLayout, stamp)
	return t, found && err == nil
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return "", s, false
}

// manifestKey of an object's key.
func manifestKey(object string) string {
	return strings.TrimSuffix(object, objectSuffix) + manifestSuffix
}

// sealed is what becomes of a segment.
type sealed struct {
	manifest Manifest
	content  []byte // the lines that are whole
	damaged  []byte // the rest
	wounds   int    // stretches of damage
}

// seal the text of a segment, in the place of which its lines are put.
func seal(text []byte, cluster, node, source string) (*sealed, error) {
	s := &sealed{content: text[:0]} // no longer than what of the text was scanned
	s.manifest = Manifest{Version: manifestVersion, Cluster: cluster, Node: node, Source: source, Reasons: map[string]int{}}
	m := &s.manifest
	var failure error
	whole := scan(text, func(line []byte) {
		at, reason, err := peek(line)
		if err != nil {
			failure = err // its checksum is right
			return
		}
		if m.Lines == 0 {
			m.First, m.Last = at, at
		}
		m.First, m.Last = min(m.First, at), max(m.Last, at)
		m.Lines++
		countReason(m.Reasons, reason, 1)
		s.content = append(append(s.content, line...), '\n')
	}, s.setAside)
	if whole < len(text) {
		s.setAside(text[whole:])
	}
	m.Bytes = int64(len(s.content))
	m.SHA256 = hexSum(s.content)
	m.Object = objectKey(m)
	return s, failure
}

func (s *sealed) setAside(stretch []byte) {
	s.damaged = append(append(s.damaged, stretch...), '\n')
	s.wounds++
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// pack the lines, always to the same bytes, and complete the manifest.
func (s *sealed) pack(encoder *zstd.Encoder) (object []byte) {
	object = encoder.EncodeAll(s.content, nil)
	s.manifest.CompressedBytes, s.manifest.CompressedSHA256 = int64(len(object)), hexSum(object)
	return object
}

// newEncoder packs one segment at a time in about 1 MiB. Records repeat what is
// just before them, so that more of it would not make them shorter.
func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(256<<10),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
}

// maxContent bounds what an object may unpack to: many times what a segment has.
const maxContent = 1 << 30

// damagedError is of an object that cannot be read, however often it is tried.
type damagedError struct{ error }

func (e *damagedError) Unwrap() error { return e.error }

// unpack an object, and hold it to its manifest, if that has a hash.
func unpack(object []byte, m *Manifest) ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	content, err := decoder.DecodeAll(object, nil)
	if err == nil && m.SHA256 != "" && hexSum(content) != m.SHA256 {
		err = errors.New("it is not what its manifest says (sha256)")
	}
	if err != nil {
		return nil, &damagedError{fmt.Errorf("unpack %s: %w", m.Object, err)}
	}
	return content, nil
}

// maxReasons are told apart; the rest counts as otherReasons.
const (
	maxReasons     = 32
	maxReasonBytes = 200
	otherReasons   = "other reasons"
)

// countReason adds to the class of a reason.
func countReason(classes map[string]int, reason string, n int) {
	short := make([]byte, 0, maxReasonBytes)
	for _, c := range []byte(reason) {
		if c >= '0' && c <= '9' {
			c = '#'
		}
		if len(short) == maxReasonBytes {
			break
		}
		if c != '#' || len(short) == 0 || short[len(short)-1] != '#' {
			short = append(short, c)
		}
	}
	class := strings.ToValidUTF8(string(short), "")
	if _, known := classes[class]; !known && len(classes) >= maxReasons {
		class = otherReasons
	}
	classes[class] += n
}
