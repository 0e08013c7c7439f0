package loki

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/corkline/corkline/parsers"
)

// form that Loki takes entries in. One that takes no structured metadata gets
// JSON lines in the form that LogQL's unpack reads: the line is _entry, and
// all else becomes labels of the query.
type form struct {
	probed atomic.Bool
	packed atomic.Bool
}

// pack changes to JSON lines, and says so once.
func (f *form) pack(log *slog.Logger, why string) {
	if !f.packed.Swap(true) {
		log.Warn("loki takes no structured metadata, so JSON lines are sent; read them with | unpack", "reason", why)
	}
}

// buildInfoPath is where Loki tells its version.
const buildInfoPath = "/loki/api/v1/status/buildinfo"

// probe asks for the version, until Loki or what stands before it answers.
func (s *Sink) probe(ctx context.Context) error {
	base, own := strings.CutSuffix(s.url.Path, PushPath)
	if s.form.probed.Load() || !own {
		return nil
	}
	return s.persist(ctx, func() answer {
		version, err := s.version(ctx, base+buildInfoPath)
		if err != nil {
			return s.unanswered(err)
		}
		if before29(version) {
			s.form.pack(s.health.log, "its version is "+version)
		}
		s.form.probed.Store(true)
		return answer{verdict: taken}
	})
}

// version of Loki, or nothing where it is not to be had.
func (s *Sink) version(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	target := *s.url
	target.Path, target.RawPath = path, ""
	request := (&http.Request{Method: http.MethodGet, URL: &target, Host: target.Host, Header: s.header.Clone()}).WithContext(ctx)
	request.Header.Del("Content-Type")
	if err := s.auth.apply(request.Header); err != nil {
		return "", err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var info struct {
		Version string `json:"version"`
	}
	// Whatever is no such answer comes from something that hides it.
	if err := json.NewDecoder(io.LimitReader(response.Body, maxErrorText)).Decode(&info); err != nil || response.StatusCode != http.StatusOK {
		return "", nil
	}
	return info.Version, nil
}

// before29 tells whether a version is known to be older than 2.9.
func before29(version string) bool {
	majorText, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minorText, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(majorText)
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(minorText)
	return err == nil && (major < 2 || major == 2 && minor < 9)
}

// entryKey is the line's key in a JSON line, as LogQL's unpack has it.
const entryKey = "_entry"

// appendPacked appends the JSON line of a record.
func (st *stream) appendPacked(dst []byte, r *parsers.Record) []byte {
	dst = append(dst, '{')
	member := func(name, value []byte) {
		if len(name) > 0 && len(value) > 0 {
			dst = append(appendJSON(append(appendJSON(dst, name), ':'), value), ',')
		}
	}
	for _, fields := range [][]metadata{st.schema.metadata, st.full} {
		for i := range fields {
			member([]byte(fields[i].label), value(r, fields[i].field))
		}
	}
	for i, has := range marked(r) {
		if has {
			member([]byte(marks[i].name), []byte("true"))
		}
	}
	for i := range r.Pairs {
		member(appendName(nil, r.Text(r.Pairs[i].Key)), r.Text(r.Pairs[i].Value))
	}
	dst = append(append(dst, `"`+entryKey+`":`...), `"`...)
	return append(appendEscaped(dst, r.Line), `"}`...)
}

func appendJSON(dst, text []byte) []byte {
	return append(appendEscaped(append(dst, '"'), text), '"')
}

// appendEscaped appends a text as JSON has it between quotes.
func appendEscaped(dst, text []byte) []byte {
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', byte(c))
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		case c == utf8.RuneError && n == 1:
			dst = append(dst, "\uFFFD"...)
		default:
			dst = append(dst, text[:n]...)
		}
		text = text[n:]
	}
	return dst
}
