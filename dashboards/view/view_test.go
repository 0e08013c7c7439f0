package view

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/dashboards"
)

// serve gives a handler with a store of both kinds behind it.
func serve(t *testing.T, store http.HandlerFunc) http.Handler {
	t.Helper()
	s := httptest.NewServer(store)
	t.Cleanup(s.Close)
	h, err := Handler(Options{Boards: dashboards.All(), Prometheus: Store{URL: s.URL + "/prefix"}, Loki: Store{URL: s.URL}, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ask(h http.Handler, method, target string, header map[string]string, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:3030"
	for name, value := range header {
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	asked := ""
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.RequestURI()
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{}`)
	})
	f := func(method, target string, status int, want string) {
		t.Helper()
		asked = ""
		w := ask(h, method, target, nil, "")
		if w.Code != status {
			t.Errorf("%s %s: %d %s, want %d", method, target, w.Code, w.Body, status)
		}
		if asked != want {
			t.Errorf("%s %s: the store was asked %q, want %q", method, target, asked, want)
		}
	}
	f("GET", "/", 200, "")
	f("GET", "/d/corkline-agent", 200, "")
	f("GET", "/d/corkline-agent/some-slug?from=now-1h", 200, "")
	f("GET", "/explore", 200, "")
	f("GET", "/api/config", 200, "")
	f("GET", "/api/note", 404, "")
	f("GET", "/api/dashboards", 200, "")
	f("GET", "/api/dashboards/corkline-agent", 200, "")
	f("GET", "/api/dashboards/none", 404, "")
	f("GET", "/static/app.js", 200, "")
	f("GET", "/static/app.js.gz", 404, "")
	f("GET", "/static/../view.go", 307, "") // to the path without dots, which there is not
	f("GET", "/view.go", 404, "")
	f("GET", "/static/%2e%2e/view.go", 404, "")
	f("GET", "/static/..%2fview.go", 404, "")
	f("POST", "/", 405, "")
	f("DELETE", "/api/dashboards/corkline-agent", 405, "")

	f("GET", "/proxy/prometheus/api/v1/query?query=up", 200, "GET /prefix/api/v1/query?query=up")
	f("POST", "/proxy/prometheus/api/v1/query_range", 200, "POST /prefix/api/v1/query_range")
	f("GET", "/proxy/prometheus/api/v1/label/node/values?match[]=up", 200, "GET /prefix/api/v1/label/node/values?match[]=up")
	f("GET", "/proxy/loki/loki/api/v1/query_range?query=x", 200, "GET /loki/api/v1/query_range?query=x")
	for _, target := range []string{
		"/proxy/prometheus/api/v1/admin/tsdb/delete_series", "/proxy/prometheus/api/v1/write", "/proxy/prometheus/-/quit",
		"/proxy/prometheus/-/reload", "/proxy/prometheus/api/v1/status/config", "/proxy/prometheus/", "/proxy/prometheus/metrics",
		"/proxy/prometheus/api/v1/label/a%2f..%2fadmin/values", "/proxy/prometheus/api/v1/label/%2e%2e/values", "/proxy/prometheus/api/v1/quer%79",
		"/proxy/loki/loki/api/v1/push", "/proxy/loki/loki/api/v1/delete", "/proxy/loki/loki/api/v1/rules", "/proxy/loki/flush", "/proxy/loki/config",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
			asked = ""
			if w := ask(h, method, target, nil, ""); w.Code < 300 || asked != "" {
				t.Errorf("%s %s: %d, and the store was asked %q", method, target, w.Code, asked)
			}
		}
	}
	f("PUT", "/proxy/prometheus/api/v1/query", 403, "")
	f("POST", "/proxy/loki/loki/api/v1/query", 403, "")
	f("POST", "/proxy/prometheus/api/v1/label/node/values", 403, "")
	f("GET", "/proxy/prometheus/api/v1/../../metrics", 307, "")
	f("GET", "/proxy/prometheus//api/v1/query", 307, "")
	f("GET", "/proxy/tempo/api/v1/query", 404, "")
}

func TestNote(t *testing.T) {
	at := time.UnixMilli(1795294800000)
	h, err := Handler(Options{Boards: dashboards.All(), Note: func() Note {
		return Note{Text: "*played*", Events: []Event{{Title: "flood", Text: "of SYNs", From: at, To: at.Add(time.Second)}}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"text":"*played*","events":[{"from":1795294800000,"text":"of SYNs","title":"flood","to":1795294801000}]}`
	if got := ask(h, "GET", "/api/note", nil, "").Body.String(); got != want {
		t.Errorf("the note is %s, want %s", got, want)
	}
	if config := ask(h, "GET", "/api/config", nil, "").Body.String(); !strings.Contains(config, `"note":true`) {
		t.Errorf("the configuration does not tell of it: %s", config)
	}
}

func TestHeaders(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Cookie", "Authorization", "X-Scope-Orgid"} {
			if r.Header.Get(name) != "" {
				t.Errorf("%s reached the store", name)
			}
		}
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Security-Policy", "none")
		io.WriteString(w, `{}`)
	})
	for _, target := range []string{"/", "/static/app.js", "/api/dashboards", "/proxy/prometheus/api/v1/query", "/proxy/loki/none", "/none"} {
		got := ask(h, "GET", target, map[string]string{"Cookie": "a=b", "Authorization": "Basic x", "X-Scope-OrgID": "other"}, "").Header()
		if p := got.Get("Content-Security-Policy"); p != policy || strings.Contains(p, "unsafe") {
			t.Errorf("%s: Content-Security-Policy: %s", target, p)
		}
		if got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Cross-Origin-Resource-Policy") != "same-origin" || got.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", target, got)
		}
		if got.Get("Set-Cookie") != "" {
			t.Errorf("%s: a cookie of the store came back", target)
		}
	}
	f := func(want int, method string, header map[string]string) {
		t.Helper()
		if got := ask(h, method, "/proxy/prometheus/api/v1/query", header, "").Code; got != want {
			t.Errorf("%s with %v: %d, want %d", method, header, got, want)
		}
	}
	f(200, "GET", map[string]string{"Host": "localhost:3030"})
	f(200, "GET", map[string]string{"Host": "[::1]:3030"})
	f(200, "GET", map[string]string{"Host": "127.0.0.2"})
	f(403, "GET", map[string]string{"Host": "attacker.example:3030"}) // a name that points here
	f(403, "GET", map[string]string{"Host": "localhost.attacker.example"})
	f(403, "GET", map[string]string{"Host": "192.0.2.1"})
	f(403, "POST", map[string]string{"Sec-Fetch-Site": "cross-site"})
	f(200, "POST", map[string]string{"Sec-Fetch-Site": "same-origin"})
}

func TestPageHasNoScriptOfItsOwn(t *testing.T) {
	page := ask(serve(t, nil), "GET", "/", nil, "").Body.String()
	if strings.Count(page, "<script") != 1 || !strings.Contains(page, `<script src="/static/app.js" defer></script>`) || strings.Contains(page, "style=") || strings.Contains(page, "<style") {
		t.Errorf("the page is not what the policy allows:\n%s", page)
	}
}

func TestFilesArePackedOnce(t *testing.T) {
	h := serve(t, nil)
	packed := ask(h, "GET", "/static/app.js", map[string]string{"Accept-Encoding": "br, gzip"}, "")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() > 1_000_000 {
		t.Fatalf("encoding %q, %d bytes", packed.Header().Get("Content-Encoding"), packed.Body.Len())
	}
	r, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"", "br", "gzip;q=0"} {
		plain := ask(h, "GET", "/static/app.js", map[string]string{"Accept-Encoding": header}, "")
		if plain.Header().Get("Content-Encoding") != "" || !bytes.Equal(plain.Body.Bytes(), script) {
			t.Errorf("Accept-Encoding %q: encoding %q, %d bytes, want %d", header, plain.Header().Get("Content-Encoding"), plain.Body.Len(), len(script))
		}
	}
	if again := ask(h, "GET", "/static/app.js", map[string]string{"Accept-Encoding": "gzip", "If-None-Match": packed.Header().Get("ETag")}, ""); again.Code != 304 {
		t.Errorf("the same file again: %d, want 304", again.Code)
	}
	if notices := ask(h, "GET", "/static/notices.txt", nil, "").Body.String(); !strings.Contains(notices, "@grafana/ui 13.2.2 (Apache-2.0)") || !strings.Contains(notices, "SIL OPEN FONT LICENSE") {
		t.Error("the notices lack Grafana's libraries or the fonts")
	}
}

func TestStoreFails(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"status":"error","error":"parse error"}`)
	})
	if w := ask(h, "GET", "/proxy/prometheus/api/v1/query", nil, ""); w.Code != 400 || !strings.Contains(w.Body.String(), "parse error") {
		t.Errorf("a store's refusal: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/proxy/prometheus/api/v1/query", nil, strings.Repeat("x", requestLimit+1)); w.Code != 413 {
		t.Errorf("a long query: %d %s", w.Code, w.Body)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	h, err = Handler(Options{Prometheus: Store{URL: gone}})
	if err != nil {
		t.Fatal(err)
	}
	if w := ask(h, "GET", "/proxy/prometheus/api/v1/query", nil, ""); w.Code != 502 || !strings.Contains(w.Body.String(), "prometheus cannot be asked") {
		t.Errorf("a store that is not there: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/proxy/loki/loki/api/v1/query", nil, ""); w.Code != 404 {
		t.Errorf("a store that was not named: %d", w.Code)
	}

	// A browser that went away is no fault of the store's, and gets nothing.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, "GET", "/proxy/prometheus/api/v1/query", nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Body.Len() != 0 {
		t.Errorf("a request that was given up: %d %s", w.Code, w.Body)
	}
}

func TestLongAnswerIsCutOff(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 1<<20)
		for range answerLimit>>20 + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	defer func() {
		if recover() != http.ErrAbortHandler { //nolint:errorlint // it is the value itself
			t.Error("a cut answer looks like a whole one")
		}
	}()
	ask(h, "GET", "/proxy/prometheus/api/v1/query", nil, "")
}

func TestOptionsAreRefused(t *testing.T) {
	f := func(want string, o Options) {
		t.Helper()
		if _, err := Handler(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f("prometheus", Options{Prometheus: Store{URL: "127.0.0.1:9090"}})
	f("loki", Options{Loki: Store{URL: "ftp://host"}})
	f("has no uid", Options{Boards: []dashboards.Dashboard{{Stem: "x", JSON: []byte(`{}`)}}})
	f("another one", Options{Boards: append(dashboards.All(), dashboards.All()...)})
	f("dashboard x", Options{Boards: []dashboards.Dashboard{{Stem: "x", JSON: []byte(`{`)}}})
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	f := func(file, text, want string) {
		t.Helper()
		if file != "" {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		boards, err := Load(dir)
		switch {
		case err == nil && want == "" && len(boards) > 0:
		case err != nil && want != "" && strings.Contains(err.Error(), want):
		default:
			t.Errorf("with %q: %d boards, %v, want %q", file, len(boards), err, want)
		}
	}
	f("", "", "has no file *.json")
	f("b.json", `{"uid":"b","title":"B"}`, "")
	f("a.json", `{"uid":"a"}`, "")
	if boards, err := Load(dir); err != nil || len(boards) != 2 || boards[0].UID != "a" || boards[0].Stem != "a" || boards[1].Title != "B" {
		t.Errorf("%v, %v", boards, err)
	}
	f("c.json", `{"title":"C"}`, "has no uid")
	f("c.json", `[`, `c.json": unexpected end`)
	if _, err := Load(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func FuzzAllowed(f *testing.F) {
	for _, path := range []string{"/api/v1/query", "/api/v1/label/a/values", "/api/v1/label/../values", "/api/v1/label/%2e%2e/values", "/loki/api/v1/label/x.y-z/values", "/loki/api/v1/push", "//api/v1/query", "/api/v1/query/"} {
		f.Add("GET", path)
		f.Add("POST", path)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		for name, list := range endpoints {
			if !allowed(list, method, path) {
				continue
			}
			if method != "GET" && method != "POST" {
				t.Fatalf("%s: %s %q is allowed", name, method, path)
			}
			u, err := url.Parse("http://store" + path)
			if err != nil || u.Host != "store" || u.Path != path || u.EscapedPath() != path || u.RawQuery != "" || u.Fragment != "" {
				t.Fatalf("%s: %q is not what is sent: %v %+v", name, path, err, u)
			}
			if clean, err := url.JoinPath("/", u.Path); err != nil || clean != path {
				t.Fatalf("%s: %q leads elsewhere, to %q", name, path, clean)
			}
			segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
			if name == "loki" {
				if segments[0] != "loki" {
					t.Fatalf("%q is allowed", path)
				}
				segments = segments[1:]
			}
			if len(segments) < 3 || segments[0] != "api" || segments[1] != "v1" || !slices.Contains([]string{"query", "query_range", "series", "labels", "label", "metadata"}, segments[2]) {
				t.Fatalf("%s: %q is allowed", name, path)
			}
		}
	})
}
