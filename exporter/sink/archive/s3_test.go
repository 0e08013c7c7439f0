package archive

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// faulty is an S3 that takes objects, once it has shown its faults. Real ones
// are in tests.
type faulty struct {
	mu      sync.Mutex
	fault   func(w http.ResponseWriter, r *http.Request)
	faults  int // left
	seen    int
	objects *memory
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen++
	f.faults--
	failing := f.faults >= 0
	f.mu.Unlock()
	if failing {
		f.fault(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	key, found := strings.CutPrefix(r.URL.Path, "/lines/some/prefix/")
	body = unchunked(body)
	if err != nil || r.Method != http.MethodPut || !found || r.Header.Get("X-Amz-Decoded-Content-Length") != strconv.Itoa(len(body)) || len(body) == 0 {
		http.Error(w, r.Method+" "+r.URL.Path, http.StatusBadRequest)
		return
	}
	if err := f.objects.Put(r.Context(), key, body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("ETag", `"x"`)
}

// requests tells how many came.
func (f *faulty) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// unchunked reads S3's chunks, each of which has its length in hex and a
// signature before it.
func unchunked(text []byte) (body []byte) {
	for {
		head, rest, _ := bytes.Cut(text, []byte("\r\n"))
		digits, _, _ := bytes.Cut(head, []byte(";"))
		n, err := strconv.ParseUint(string(digits), 16, 31)
		if err != nil || n == 0 || int(n) > len(rest) {
			return body
		}
		body = append(body, rest[:n]...)
		text = bytes.TrimPrefix(rest[n:], []byte("\r\n"))
	}
}

func newFaulty(t *testing.T, faults int, fault http.HandlerFunc) (*faulty, *S3) {
	t.Helper()
	t.Setenv("CORKLINE_S3_ACCESS_KEY", "key")
	t.Setenv("CORKLINE_S3_SECRET_KEY", "hunter2")
	f := &faulty{fault: fault, faults: faults, objects: newMemory()}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s, err := NewS3(S3Options{Endpoint: server.URL, Bucket: "lines", Prefix: "some/prefix", Region: "us-east-1", Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, s
}

func cut(w http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 20)
	if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
		connection.Close()
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the end
	<-r.Context().Done()
}

func answers(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>not now</Message></Error>")
	}
}

// Whatever S3 does, segments wait on disk, each call is one request, and in the
// end each object is there once.
func TestS3_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		says  string
	}{
		"500":            {answers(http.StatusInternalServerError, "InternalError"), "not now"},
		"503":            {answers(http.StatusServiceUnavailable, "SlowDown"), "not now"},
		"403":            {answers(http.StatusForbidden, "AccessDenied"), "the key needs s3:PutObject"},
		"unknown key":    {answers(http.StatusForbidden, "InvalidAccessKeyId"), "check archive.access_key_file"},
		"no bucket":      {answers(http.StatusNotFound, "NoSuchBucket"), "corkline provision buckets"},
		"cut connection": {cut, "put c=201/n1/s/"},
		"hang":           {hang, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			f, s := newFaulty(t, 3, c.fault)
			dir := t.TempDir()
			a := open(t, options(dir, s, newClock()))
			put(t, a, entriesOf("s", 0, 20))
			for range 3 {
				err := a.upload(t.Context())
				if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
					t.Fatalf("error is %v, want %q", err, c.says)
				}
				if state := a.State(); state.UploadError != err.Error() || state.Segments != 1 {
					t.Errorf("%+v", state)
				}
			}
			if seen := f.requests(); seen != 3 || len(f.objects.objects) > 0 {
				t.Errorf("%d requests, %d objects", seen, len(f.objects.objects))
			}
			if err := a.upload(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(linesOf(entriesOf("s", 0, 20)), f.objects.lines(t)); diff != "" || f.requests() != 5 {
				t.Errorf("%d requests; %s", f.requests(), diff)
			}
			if names := files(t, dir); len(names) > 0 {
				t.Errorf("left on disk: %s", names)
			}
		})
	}
}

// The end of the agent ends an upload that hangs.
func TestS3_Cancel(t *testing.T) {
	f, s := newFaulty(t, 1, hang)
	s.timeout = time.Hour
	a := open(t, options(t.TempDir(), s, newClock()))
	put(t, a, entriesOf("s", 0, 20))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Run(ctx)
	}()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for begun := false; !begun; <-ticker.C {
		f.mu.Lock()
		begun = f.seen > 0
		f.mu.Unlock()
	}
	cancel()
	<-ended
	if state := a.State(); state.Segments != 1 || state.UploadError != "" {
		t.Errorf("%+v", state)
	}
}

func TestNewS3(t *testing.T) {
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "no.pem")
	if err := os.WriteFile(noPEM, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(o S3Options, want string) {
		t.Helper()
		if _, err := NewS3(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	const notURL = "archive.endpoint: is not a URL such as"
	f(S3Options{Endpoint: "minio:9000"}, notURL)
	f(S3Options{Endpoint: "http://minio/path"}, notURL)
	f(S3Options{Endpoint: "http://u:p@minio"}, notURL)
	f(S3Options{Endpoint: "ftp://minio"}, notURL)
	f(S3Options{Endpoint: "http://minio", Bucket: "b", CAFile: filepath.Join(dir, "none")}, "archive.ca_file: open ")
	f(S3Options{Endpoint: "http://minio", Bucket: "b", CAFile: noPEM}, "holds no PEM certificate")
}

// Keys come from files that may change, or from the environment.
func TestKeys(t *testing.T) {
	noKeys(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := func(o S3Options, access, secret string) {
		t.Helper()
		v, err := keysOf(o).RetrieveWithCredContext(nil)
		if err != nil || v.AccessKeyID != access || v.SecretAccessKey != secret {
			t.Errorf("got %q and %q, %v, want %q and %q", v.AccessKeyID, v.SecretAccessKey, err, access, secret)
		}
	}
	t.Setenv("MINIO_ROOT_USER", "m")
	t.Setenv("MINIO_ROOT_PASSWORD", "n")
	f(S3Options{}, "m", "n")
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	f(S3Options{}, "a", "b")
	t.Setenv("CORKLINE_S3_ACCESS_KEY_FILE", write("c", "c\n"))
	t.Setenv("CORKLINE_S3_SECRET_KEY_FILE", write("d", " d "))
	f(S3Options{}, "c", "d")
	o := S3Options{AccessKeyFile: write("e", "e"), SecretKeyFile: write("f", "f")}
	f(o, "e", "f")
	write("e", "g")
	f(o, "g", "f")
	o.SecretKeyFile = filepath.Join(dir, "none")
	if _, err := keysOf(o).RetrieveWithCredContext(nil); err == nil { // and not another's keys
		t.Error("a file that is not there is taken for keys")
	}
}
