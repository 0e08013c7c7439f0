package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/deploy/local"
)

func TestFeed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "np.log")
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	f, err := newFeed(path, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{0, 5 * time.Millisecond, time.Second, time.Second} {
		if err := f.catchUp(now.Add(later)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = 60*50 + 1 + 1 + 50 // the history with both ends, the cut line, and one second
	if got := bytes.Count(text, []byte("\n")); got != want || f.lines.Load() != want {
		t.Errorf("%d lines in the log, %d counted, want %d", got, f.lines.Load(), want)
	}
	if !bytes.HasPrefix(text, []byte("2026/11/21 09:59:0")) {
		t.Errorf("the log begins with %.30q, want a minute before now", text)
	}
}

func TestAnswerIsWaitedFor(t *testing.T) {
	answers := []string{
		`{"status":"success","data":{"resultType":"vector","result":[]}}`,
		`{"status":"success","data":{"resultType":"vector","result":[
			{"metric":{"action":"Drop"},"value":[1795256136.689,"7"]},
			{"metric":{"action":"Allow"},"value":[1795256136.689,"1200"]}]}}`,
	}
	const query = `sum by (action) ({source="x"})`
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.FormValue("query"); got != query {
			t.Errorf("query = %q, want %q", got, query)
		}
		if asked++; asked == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, answers[min(asked-2, len(answers)-1)])
	}))
	defer server.Close()
	q := &quickstart{progress: local.NewProgress(io.Discard)}
	rows, err := q.answer(t.Context(), "asking", server.URL, query, func(rows []row) bool { return len(rows) > 0 })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]row{{"Allow", 1200}, {"Drop", 7}}, rows, cmp.AllowUnexported(row{})); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestDecodeAnswerRefuses(t *testing.T) {
	for _, body := range []string{``, `[]`, `{"data":{"result":[{"value":[1,"x"]}]}}`, `{"data":{"result":[{"value":[1]}]}}`} {
		if rows, err := decodeAnswer([]byte(body)); err == nil {
			t.Errorf("%s: decoded to %v", body, rows)
		}
	}
}

func TestQuickstartDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, temporary, err := (&quickstartCmd{}).directory()
	if err != nil || !temporary || !strings.HasPrefix(dir, os.Getenv("TMPDIR")) {
		t.Errorf("directory = %q, %v, %v, want a temporary one", dir, temporary, err)
	}
	own := filepath.Join(t.TempDir(), "a", "b")
	dir, temporary, err = (&quickstartCmd{Dir: own}).directory()
	if err != nil || temporary || dir != own {
		t.Errorf("directory = %q, %v, %v, want %q", dir, temporary, err, own)
	}
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode = %v (%v), want 0700", info.Mode(), err)
	}
}

func TestShellQuote(t *testing.T) {
	if got, want := shellQuote(`a b'c$d`), `'a b'\''c$d'`; got != want {
		t.Errorf("quoted %s, want %s", got, want)
	}
}
