package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/deploy/local"
)

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
