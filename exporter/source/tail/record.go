package tail

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strconv"
	"time"
)

const (
	header  = "corkline-positions "
	version = 1
)

// record is one position as it is kept on disk. After its header, the file has
// one a line: the crc32c of the JSON in 8 hex digits, a blank, the JSON.
type record struct {
	Source string `json:"source"`
	Path   string `json:"path"`
	Dev    uint64 `json:"dev"`
	Inode  uint64 `json:"inode"`
	// The fingerprint is taken of the first bytes, as far as they are known.
	FingerprintBytes int64  `json:"fingerprint_bytes"`
	Fingerprint      uint32 `json:"fingerprint"`
	Offset           int64  `json:"offset"`
	Time             int64  `json:"time"` // Unix ns

	// What follows is left out where it is not known. A reader ignores what it
	// does not know, and does not write it again.
	Target string `json:"target,omitempty"` // what Path links to
	Tail   uint32 `json:"tail,omitempty"`   // of as many bytes before Offset
	Lost   int64  `json:"lost,omitempty"`   // since when it is gone, Unix s
	// Modified is when it was last written to, in Unix ns, as of the first sight,
	// or of its end if it is Finished: read to its end, and gone since or soon.
	Modified int64 `json:"modified,omitempty"`
	Finished bool  `json:"finished,omitempty"`
	// Ended tells that it was rotated away, left by its writer, and delivered to
	// its end. It may still be there.
	Ended bool `json:"ended,omitempty"`
	// Unused is since when its source is not configured, in Unix s.
	Unused int64 `json:"unused,omitempty"`
	// Delivered is since when it is no position any more, in Unix s, but only what
	// tells a file of Size bytes that was delivered to its end; Dev is 0 then, and
	// Inode stands for the content. It is Finished, too, for agents that do not
	// know this.
	Delivered int64 `json:"delivered,omitempty"`
	Size      int64 `json:"size,omitempty"`
}

func (r record) identity() identity { return identity{r.Dev, r.Inode} }

func (r record) fingerprint() fingerprint {
	return fingerprint{r.FingerprintBytes, r.Fingerprint}
}

// target returns what lay at Path, links followed.
func (r record) target() string {
	if r.Target != "" {
		return r.Target
	}
	return resolve(r.Path)
}

// targets returns where it lay, and where its path leads to by now.
func (r record) targets() []string {
	targets := []string{r.target()}
	if now := resolve(r.Path); now != targets[0] {
		targets = append(targets, now)
	}
	return targets
}

func (r record) evidence() evidence {
	e := evidence{head: r.fingerprint(), offset: r.Offset, tail: r.Tail}
	if r.Modified != 0 {
		e.since = time.Unix(0, r.Modified)
	}
	return e
}

// note is what its owner keeps of a source beside the positions, in a line of
// the same form. To agents that know no notes it is a position of no source.
type note struct {
	Source    string          `json:"note"`
	Body      json.RawMessage `json:"body"`
	Positions []record        `json:"positions,omitempty"`
}

// commit is a note that was appended, with the positions that changed along with
// it. Agents that do not know it take it for a position of no source: to them
// the note and the positions before it still hold, which belong together, too.
type commit struct {
	Source    string          `json:"commit"`
	Body      json.RawMessage `json:"body"`
	Positions []record        `json:"positions,omitempty"`
}

const noteStart, commitStart = `{"note":`, `{"commit":`

// encodePositions returns the text of a positions file.
func encodePositions(records []record, notes map[string]json.RawMessage) ([]byte, error) {
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(
			cmp.Compare(a.Source, b.Source), cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Dev, b.Dev), cmp.Compare(a.Inode, b.Inode),
		)
	})
	text := fmt.Appendf(nil, "%s%d\n", header, version)
	for _, r := range records {
		body, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode position of %q: %w", r.Path, err)
		}
		text = appendChecked(text, body)
	}
	for _, source := range slices.Sorted(maps.Keys(notes)) {
		body, err := json.Marshal(note{Source: source, Body: notes[source]})
		if err != nil {
			return nil, fmt.Errorf("encode note of source %q: %w", source, err)
		}
		text = appendChecked(text, body)
	}
	return text, nil
}

// encodeCommit returns the line of a commit.
func encodeCommit(c commit) ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode commit of source %q: %w", c.Source, err)
	}
	return appendChecked(nil, body), nil
}

func appendChecked(text, body []byte) []byte {
	return fmt.Appendf(text, "%08x %s\n", crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)), body)
}

// decodePositions returns the records and notes in the text of a positions
// file, and an error for each damaged line. Of several records of one file the
// last holds. It fails only if the text is of a
// newer version: its header says so, and it is not that the header alone is
// damaged, as no record of this version follows. (So a newer version whose
// records this one must not read has to seed their checksums differently.)
func decodePositions(text []byte) (records []record, notes map[string]json.RawMessage, damaged []error, err error) {
	notes = map[string]json.RawMessage{}
	keep := func(n note) {
		if n.Source != "" {
			notes[n.Source] = n.Body
		}
		for _, r := range n.Positions {
			if r.Source != "" { // else it is what an older agent made of a commit
				records = append(records, r)
			}
		}
	}
	first, newer := true, 0
	for line := range bytes.Lines(text) {
		line, ended := bytes.CutSuffix(line, []byte("\n"))
		v, isHeader := parseHeader(line)
		switch n, err := decodeLine(line); {
		case err == nil:
			keep(n)
		case first && isHeader && v == version:
		case !ended && len(line) > 8 && bytes.HasPrefix(line[8:], []byte(" "+commitStart)):
			// The process was killed while it appended: what was before still holds.
		default:
			if first && isHeader && v > version {
				newer = v
			}
			damaged = append(damaged, fmt.Errorf("set aside %.300q: %w", line, err))
			if n, ok := decodeJoined(line); ok {
				keep(n)
			}
		}
		first = false
	}
	if newer > 0 && len(records)+len(notes) == 0 {
		return nil, nil, nil, fmt.Errorf("version %d is newer than %d, the newest this agent knows: run a newer agent, or set another state_dir", newer, version)
	}
	return records, notes, damaged, nil
}

func parseHeader(line []byte) (int, bool) {
	digits, ok := bytes.CutPrefix(line, []byte(header))
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseUint(string(digits), 10, 31)
	return int(v), err == nil
}

// decodeLine reads a note, or a position, which is one of no source.
func decodeLine(line []byte) (n note, err error) {
	if len(line) < 10 || line[8] != ' ' {
		return n, errors.New("not a position")
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	if err != nil {
		return n, fmt.Errorf("parse checksum: %w", err)
	}
	body := line[9:]
	if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != uint32(sum) {
		return n, errors.New("checksum does not match")
	}
	switch {
	case bytes.HasPrefix(body, []byte(commitStart)):
		if err := json.Unmarshal(body, (*commit)(&n)); err != nil {
			return note{}, fmt.Errorf("parse commit: %w", err)
		}
	case bytes.HasPrefix(body, []byte(noteStart)):
		if err := json.Unmarshal(body, &n); err != nil {
			return note{}, fmt.Errorf("parse note: %w", err)
		}
	default:
		n.Positions = make([]record, 1)
		if err := json.Unmarshal(body, &n.Positions[0]); err != nil {
			return note{}, fmt.Errorf("parse position: %w", err)
		}
	}
	for _, r := range n.Positions {
		if r.Offset < 0 || r.FingerprintBytes < min(r.Offset, fingerprintBytes) || r.FingerprintBytes > fingerprintBytes {
			return note{}, fmt.Errorf("offset %d cannot have a fingerprint of %d bytes", r.Offset, r.FingerprintBytes)
		}
	}
	return n, nil
}

// decodeJoined returns the last position or note of a line that a damaged line
// end has joined with another.
func decodeJoined(line []byte) (note, bool) {
	body := max(bytes.LastIndex(line, []byte(` {"source":`)), bytes.LastIndex(line, []byte(" "+noteStart)), bytes.LastIndex(line, []byte(" "+commitStart)))
	if body <= 8 {
		return note{}, false
	}
	n, err := decodeLine(line[body-8:])
	return n, err == nil
}
