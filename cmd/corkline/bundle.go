package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/corkline/corkline/parsers"
)

const (
	// maxUnpacked is how many bytes a file may become when it is unpacked, and
	// the members of a bundle together. Memory does not grow with them, but a
	// small file could keep the command busy for days.
	maxUnpacked = 4 << 30
	sniffBytes  = 4 << 10
	shownLines  = 3 // of a member that did not parse
)

var errUnpacked = fmt.Errorf("unpacked it has more than %d GiB; unpack it yourself and name a file in it", maxUnpacked>>30)

// limited reads until no bytes are left. Several readers may share them.
type limited struct {
	from io.Reader
	left *int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.from.Read(p[:min(int64(len(p)), max(*l.left, 0)+1)])
	if *l.left -= int64(n); *l.left < 0 {
		return 0, errUnpacked
	}
	return n, err
}

// unpacked reads in, or what is compressed in it with gzip.
func unpacked(in io.Reader, left *int64) (*bufio.Reader, error) {
	r := bufio.NewReaderSize(in, tryLineBytes)
	magic, _ := r.Peek(2) // who reads on gets the error
	if string(magic) != "\x1f\x8b" {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("unpack gzip: %w", err)
	}
	return bufio.NewReaderSize(&limited{z, left}, tryLineBytes), nil
}

// isTar tells whether a tar archive follows (POSIX and GNU tar).
func isTar(r *bufio.Reader) bool {
	const magic, block = 257, 512
	head, err := r.Peek(block)
	return err == nil && string(head[magic:magic+len("ustar")]) == "ustar"
}

// isBinary tells whether a file that begins so is no text: it has a NUL, or
// more than a tenth of it are control characters and bytes that are no UTF-8.
func isBinary(head []byte) bool {
	if len(head) == sniffBytes { // the last character may be cut
		head = head[:len(head)-utf8.UTFMax]
	}
	odd := 0
	for at := 0; at < len(head); {
		char, size := utf8.DecodeRune(head[at:])
		switch {
		case char == 0:
			return true
		case char == utf8.RuneError && size == 1, char < ' ' && !strings.ContainsRune("\t\n\v\f\r\x1b", char):
			odd++
		}
		at += size
	}
	return odd*10 > len(head)
}

// bundle tries the members of an archive.
type bundle struct {
	zone   *time.Location // nil for the definitions'
	set    parsers.Set
	output string
	left   int64
	out    *bufio.Writer
	notes  *bufio.Writer // what is for people
	feed   func(outcome) error

	known, unknown, broken int // members
	parsed, failed         int // lines
}

// tryBundle tries the members of an archive one after the other. Its error
// says when lines did not parse.
func tryBundle(ctx context.Context, set parsers.Set, zone *time.Location, output string, in io.Reader, out *bufio.Writer) error {
	b := &bundle{set: set, zone: zone, output: output, left: maxUnpacked, out: out, notes: out}
	finish := func() error { return nil }
	switch output {
	case "json":
		b.notes = bufio.NewWriter(io.Discard)
	case "metrics":
		b.notes = bufio.NewWriter(os.Stderr)
		var all []*parsers.Definition
		for _, name := range set.Names() {
			all = append(all, set[name])
		}
		var err error
		if b.feed, finish, err = (&trial{out: out}).metrics(all); err != nil {
			return err
		}
	}
	err := b.members(ctx, tar.NewReader(in))
	if err == nil {
		fmt.Fprintf(b.notes, "\n%d members of known formats: %d lines parsed, %d not; %d members of none\n", b.known, b.parsed, b.failed, b.unknown)
		err = finish()
	}
	if err := errors.Join(err, b.notes.Flush()); err != nil {
		return err
	}
	return b.verdict()
}

func (b *bundle) verdict() error {
	switch {
	case b.failed > 0:
		return fmt.Errorf("%d of %d lines did not parse", b.failed, b.failed+b.parsed)
	case b.broken > 0:
		return fmt.Errorf("%d members could not be read", b.broken)
	case b.known == 0:
		return errors.New("no member has lines of a known format")
	default:
		return nil
	}
}

func (b *bundle) members(ctx context.Context, archive *tar.Reader) error {
	for ctx.Err() == nil {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read bundle: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := b.member(ctx, header.Name, header.ModTime, archive); err != nil {
			return fmt.Errorf("read bundle: %s: %w", shown(header.Name), err)
		}
	}
	return nil
}

// member tries one member. It is an error when the bundle cannot be read further.
func (b *bundle) member(ctx context.Context, name string, changed time.Time, in io.Reader) error {
	lines, err := unpacked(&limited{in, &b.left}, &b.left)
	if err != nil {
		return b.unreadable(name, err)
	}
	head, err := lines.Peek(sniffBytes)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return b.skip(name, &b.unknown, "empty")
	case isTar(lines):
		return b.skip(name, &b.unknown, "an archive in the archive: unpack it, and try it by itself")
	case isBinary(head):
		return b.skip(name, &b.unknown, "binary")
	}
	if changed.Unix() <= 0 { // the archive does not tell
		changed = time.Now()
	}
	t := &trial{set: b.set, lines: lines, out: b.notes, reference: changed, zone: b.zone}
	first, err := t.head()
	if err != nil {
		return b.unreadable(name, err)
	}
	definitions, err := b.detect(ctx, name, first)
	if err != nil {
		return err
	}
	if len(definitions) == 0 {
		return b.skip(name, &b.unknown, "no definition parses most of its first lines")
	}
	t.take(definitions)

	b.known++
	var wrong []parsers.Result
	layouts := map[*parsers.Layout]int{}
	err = t.all(ctx, first, func(o outcome) error {
		switch {
		case o.record != nil:
			layouts[o.record.Layout]++
		case len(wrong) < shownLines:
			wrong = append(wrong, o.failure)
		}
		switch {
		case b.output == "json":
			return b.encode(memberResult{name, o.result()})
		case b.feed != nil && o.record != nil:
			return b.feed(o)
		}
		return nil
	})
	b.parsed, b.failed = b.parsed+t.parsed, b.failed+t.failed
	if err != nil {
		return b.unreadable(name, err)
	}
	fmt.Fprintf(b.notes, "%s: ", shown(name))
	if err := t.summary(definitions, layouts); err != nil {
		return err
	}
	for _, w := range wrong {
		fmt.Fprintf(b.notes, "  %s: %s\n    %s\n", w.Error, w.Closest, w.Line)
	}
	return nil
}

// detect gives the definitions that parse most of a member's first lines. Some
// programs write the same form: there the member's name tells whose it is.
func (b *bundle) detect(ctx context.Context, name string, head []parsers.Line) ([]*parsers.Definition, error) {
	var named []*parsers.Definition
	for _, of := range b.set.Names() {
		if strings.HasPrefix(path.Base(name), of) {
			named = parsers.Set{of: b.set[of]}.Detect(texts(head))
		}
	}
	for _, definitions := range [][]*parsers.Definition{named, b.set.Detect(texts(head))} {
		if len(definitions) == 0 {
			continue
		}
		probe := &trial{set: b.set, lines: bufio.NewReader(bytes.NewReader(nil)), reference: time.Now()}
		probe.take(definitions)
		if err := probe.all(ctx, head, func(outcome) error { return nil }); err != nil {
			return nil, err
		}
		if probe.parsed > probe.failed {
			return definitions, nil
		}
	}
	return nil, nil
}

// unreadable passes over a member whose own content is at fault. When it is the
// archive's, the next member cannot be read, either.
func (b *bundle) unreadable(name string, err error) error {
	if errors.Is(err, errUnpacked) {
		return err
	}
	return b.skip(name, &b.broken, err.Error())
}

// skip says why a member is not tried.
func (b *bundle) skip(name string, count *int, why string) error {
	*count++
	fmt.Fprintf(b.notes, "%s: %s\n", shown(name), why)
	if b.output == "json" {
		return b.encode(skipped{name, why})
	}
	return nil
}

// memberResult is the result of a line, with the member that it is in.
type memberResult struct {
	Member string `json:"member"`
	parsers.Result
}

// skipped is a member that was not tried.
type skipped struct {
	Member  string `json:"member"`
	Skipped string `json:"skipped"`
}

func (b *bundle) encode(v any) error {
	encoder := json.NewEncoder(b.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// shown gives a name for people; anything can be in it.
func shown(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
