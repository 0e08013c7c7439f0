package local

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the golden files")

// The test binary is its own child: helperVariable says what it does then.
const helperVariable = "CORKLINE_TEST_HELPER"

func TestMain(m *testing.M) {
	if role := os.Getenv(helperVariable); role != "" {
		os.Exit(helper(role))
	}
	goleak.VerifyTestMain(m)
}

// helper writes "ready" once it is, and lives for a minute at most.
func helper(role string) int {
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	switch role {
	case "fail":
		for i := range 2 * tailLines {
			fmt.Printf("line %d\n", i)
		}
		return 3
	case "parent":
		// Its child inherits the log and outlives it unless the group is killed.
		self, err := os.StartProcess(os.Args[0], os.Args, &os.ProcAttr{
			Env:   []string{helperVariable + "=stubborn"},
			Files: []*os.File{nil, os.Stdout, os.Stderr},
		})
		if err != nil {
			return 1
		}
		fmt.Println("child", self.Pid)
	case "stubborn":
		terms = nil
		signal.Ignore(syscall.SIGTERM)
	}
	fmt.Println("ready")
	select {
	case <-terms:
		fmt.Println("terminated")
		return 0
	case <-time.After(time.Minute):
		return 4
	}
}

func helperProcess(t *testing.T, role string) *Process {
	t.Helper()
	log := filepath.Join(t.TempDir(), role+".log")
	return &Process{
		Name: role, Path: os.Args[0], LogFile: log,
		Env: []string{helperVariable + "=" + role},
		Ready: func(context.Context) error {
			text, err := os.ReadFile(log)
			if err == nil && !bytes.HasSuffix(text, []byte("ready\n")) {
				err = errors.New("the helper is not ready")
			}
			return err
		},
		OnExit: func(err error) { t.Errorf("unexpected exit: %v", err) },
	}
}

func TestProcessStopAndStartAgain(t *testing.T) {
	p := helperProcess(t, "good")
	for range 2 {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		pid := p.child.cmd.Process.Pid
		if pgid, err := syscall.Getpgid(pid); err != nil || pgid != pid {
			t.Errorf("process group = %d (%v), want its own, %d", pgid, err, pid)
		}
		if err := p.Start(t.Context()); err != nil || p.child.cmd.Process.Pid != pid {
			t.Errorf("a second Start: %v, or another process", err)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the process is there after Stop: %v", err)
		}
	}
	if err := p.Stop(); err != nil {
		t.Errorf("Stop of a stopped process: %v", err)
	}
	text, err := os.ReadFile(p.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("ready\nterminated\n", 2); string(text) != want {
		t.Errorf("log = %q, want %q", text, want)
	}
}

func TestProcessKillTakesTheGroup(t *testing.T) {
	p := helperProcess(t, "parent")
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "child ")
	var grandchild int
	if _, err := fmt.Sscan(after, &grandchild); err != nil {
		t.Fatalf("no grandchild in %q: %v", text, err)
	}
	p.Kill()
	if err := poll(deadline(t), 10*time.Millisecond, func(context.Context) error { return dead(grandchild) }); err != nil {
		t.Error(err)
	}
}

// dead accepts a zombie, since nobody may reap orphans in a container.
func dead(pid int) error {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if len(text) > 0 && !bytes.Contains(text, []byte(") Z ")) {
		return fmt.Errorf("process %d lives: %s", pid, text)
	}
	return nil
}

func TestProcessEarlyExit(t *testing.T) {
	err := helperProcess(t, "fail").Start(t.Context())
	if err == nil {
		t.Fatal("Start succeeded")
	}
	var want strings.Builder
	for i := tailLines; i < 2*tailLines; i++ {
		fmt.Fprintf(&want, "\nline %d", i)
	}
	if !strings.HasSuffix(err.Error(), want.String()) || !strings.Contains(err.Error(), "exit status 3") ||
		strings.Contains(err.Error(), "line 19\n") {
		t.Errorf("error = %v, want exit status 3 and the last %d lines", err, tailLines)
	}
}

func TestProcessLaterExit(t *testing.T) {
	p := helperProcess(t, "good")
	exits := make(chan error, 1)
	p.OnExit = func(err error) { exits <- err }
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.child.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-exits; !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("exit = %v, want killed", err)
	}
	// What crashed can be started again.
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Kill()
}

func TestProcessStartCancelled(t *testing.T) {
	p := helperProcess(t, "good")
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	p.Ready = func(context.Context) error {
		cancel(reason)
		return errors.New("never ready")
	}
	if err := p.Start(ctx); !errors.Is(err, reason) {
		t.Errorf("Start = %v, want the cause", err)
	}
	if p.child != nil {
		t.Error("the process is left running")
	}
}

func TestProcessMissingBinary(t *testing.T) {
	p := helperProcess(t, "good")
	p.Path = filepath.Join(t.TempDir(), "none")
	if err := p.Start(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start = %v, want that there is no such file", err)
	}
}

func TestConfigGolden(t *testing.T) {
	for name, data := range map[string]any{
		"loki.yaml": lokiConfig{
			Host: "127.0.0.1", Port: 3100, GRPCPort: 9095, Data: `/tmp/a "b" #c/loki`, Insecure: true,
			S3: S3{Endpoint: "http://127.0.0.1:9000", Region: "us-east-1", AccessKey: "access", SecretKey: "s: 'e' \\ <c>&"},
		},
		"prometheus.yaml": prometheusConfig{
			Interval: "1000ms", Targets: []string{"127.0.0.1:9440", "[::1]:9441"},
			Labels: map[string]string{"cluster": "c", "node": `a"b`}, Rules: []string{"/run/a rule.yaml"},
			Jobs: []Job{{Name: "antrea-agent", Path: "/antrea-agent/metrics", Target: "127.0.0.1:9442", Labels: map[string]string{"cluster": "c"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := render(name+".tmpl", data)
			if err != nil {
				t.Fatal(err)
			}
			var content map[string]any
			if err := yaml.Unmarshal(got, &content); err != nil {
				t.Errorf("not YAML: %v", err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("rendered (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteConfigIsPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sub", "prometheus.yaml")
	if err := writeConfig(file, "prometheus.yaml.tmpl", prometheusConfig{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode())
	}
}

func TestBinary(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	cache := t.TempDir()
	built, err := lokiPart.cached(cache)
	if err != nil {
		t.Fatal(err)
	}
	writeBinary(t, built)
	var log strings.Builder
	progress := NewProgress(&log)

	if got, err := lokiPart.Binary(t.Context(), cache, progress); err != nil || got != built {
		t.Errorf("with a build in the cache: %q, %v, want %q", got, err, built)
	}
	onPath := filepath.Join(os.Getenv("PATH"), "loki")
	writeBinary(t, onPath)
	if got, err := lokiPart.Binary(t.Context(), cache, progress); err != nil || got != onPath {
		t.Errorf("with one on PATH too: %q, %v, want %q", got, err, onPath)
	}
	if _, err := minioPart.Binary(t.Context(), cache, progress); err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("with neither, nor Go: %v, want what to do", err)
	}
	if log.Len() > 0 {
		t.Errorf("progress = %q, want none", log.String())
	}
}

func writeBinary(t *testing.T, file string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestCacheKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, part := range []Part{minioPart, lokiPart, prometheusPart} {
		first, err := part.cached("/cache")
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := part.cached("/cache"); again != first {
			t.Errorf("%s: %q, then %q", part.Name, first, again)
		}
		key := strings.TrimPrefix(filepath.Dir(first), "/cache/parts/"+part.Name+"-")
		if len(key) != 16 || seen[key] {
			t.Errorf("%s: key %q, want 16 digits of its own", part.Name, key)
		}
		seen[key] = true
		if v := part.version(); !strings.HasPrefix(v, "v") {
			t.Errorf("%s: version %q, want one from its module", part.Name, v)
		}
	}
}

func TestCacheDir(t *testing.T) {
	t.Run("environment", func(t *testing.T) {
		t.Setenv("CORKLINE_CACHE", "/some/cache")
		if dir, err := CacheDir(); err != nil || dir != "/some/cache" {
			t.Errorf("CacheDir = %q, %v", dir, err)
		}
	})
	t.Run("repository", func(t *testing.T) {
		t.Setenv("CORKLINE_CACHE", "")
		root := t.TempDir()
		below := filepath.Join(root, "tests", "stack")
		if err := os.MkdirAll(below, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, module := range map[string]string{"go.mod": modulePath, "tests/go.mod": modulePath + "/tests"} {
			if err := os.WriteFile(filepath.Join(root, file), []byte("module "+module+"\n\ngo 1.26\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		t.Chdir(below)
		if dir, err := CacheDir(); err != nil || dir != filepath.Join(root, ".cache") {
			t.Errorf("CacheDir = %q, %v, want %s/.cache", dir, err, root)
		}
	})
	t.Run("user", func(t *testing.T) {
		t.Setenv("CORKLINE_CACHE", "")
		t.Setenv("HOME", "/home/u")
		t.Setenv("XDG_CACHE_HOME", "")
		t.Chdir(t.TempDir())
		if dir, err := CacheDir(); err != nil || !strings.HasPrefix(dir, "/home/u/") || filepath.Base(dir) != "corkline" {
			t.Errorf("CacheDir = %q, %v, want the user's", dir, err)
		}
	})
}

func TestBuildOutput(t *testing.T) {
	var b buildOutput
	// Cut anywhere, as a pipe does.
	text := "go: downloading example.org/a v1.2.3\ngo: downloading example.org/b v0.1.0\n" +
		"internal/abi\ngithub.com/minio/minio/cmd\n# github.com/minio/minio/cmd\n../x.go:3:1: undefined: y\n"
	for i := 0; i < len(text); i += 7 {
		if _, err := io.WriteString(&b, text[i:min(i+7, len(text))]); err != nil {
			t.Fatal(err)
		}
		if i == 35 && b.status() != "1 modules downloaded" {
			t.Errorf("status half way = %q", b.status())
		}
	}
	if want := "2 modules downloaded, 2 packages compiled"; b.status() != want {
		t.Errorf("status = %q, want %q", b.status(), want)
	}
	if want := "# github.com/minio/minio/cmd\n../x.go:3:1: undefined: y\n"; b.messages() != want {
		t.Errorf("messages = %q, want %q", b.messages(), want)
	}
}

func TestProgressRepeats(t *testing.T) {
	r, w := io.Pipe()
	p := NewProgress(w)
	p.every = time.Millisecond
	done := p.Track("building x", func() string { return "1 packages compiled" })
	line := make([]byte, 100)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(line[:n]), "building x: 0s, 1 packages compiled\n"; got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
	rest := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(r)
		rest <- text
	}()
	done()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if text := <-rest; !bytes.HasSuffix(text, []byte("compiled\n")) {
		t.Errorf("last line = %q, want the last state", text)
	}
}

func TestProgressOnTerminal(t *testing.T) {
	var log strings.Builder
	p := &Progress{w: &log, terminal: true}
	p.line("moves", false)
	p.line("stays", true)
	if want := "\r\x1b[Kmoves\r\x1b[Kstays\n"; log.String() != want {
		t.Errorf("written %q, want %q", log.String(), want)
	}
}

func TestLockIsWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	progress := NewProgress(io.Discard)
	unlock, err := lock(t.Context(), file, progress, "x")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ctx, file, progress, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("a second lock: %v, want that it waits", err)
	}
	unlock()
	unlock, err = lock(t.Context(), file, progress, "x")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestS3FromEnv(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const name = "CORKLINE_S3_"
	for _, test := range []struct {
		about string
		env   map[string]string
		want  *S3
		fails bool
	}{
		{about: "no endpoint"},
		{
			"keys",
			map[string]string{"ENDPOINT": "http://s3:9000", "ACCESS_KEY": "a", "SECRET_KEY": "hunter2"},
			&S3{Endpoint: "http://s3:9000", AccessKey: "a", SecretKey: "hunter2"}, false,
		},
		{
			"file",
			map[string]string{"ENDPOINT": "https://s3", "REGION": "eu", "ACCESS_KEY": "a", "SECRET_KEY_FILE": secret},
			&S3{Endpoint: "https://s3", Region: "eu", AccessKey: "a", SecretKey: "hunter2"}, false,
		},
		{"no secret", map[string]string{"ENDPOINT": "http://s3", "ACCESS_KEY": "a"}, nil, true},
		{"key as file", map[string]string{"ENDPOINT": "http://s3", "ACCESS_KEY": "a", "SECRET_KEY_FILE": "hunter2"}, nil, true},
		{"path", map[string]string{"ENDPOINT": "http://s3/bucket", "ACCESS_KEY": "a", "SECRET_KEY": "hunter2"}, nil, true},
		{"password", map[string]string{"ENDPOINT": "http://u:hunter2@s3", "ACCESS_KEY": "a", "SECRET_KEY": "b"}, nil, true},
	} {
		t.Run(test.about, func(t *testing.T) {
			for _, key := range []string{"ENDPOINT", "REGION", "ACCESS_KEY", "ACCESS_KEY_FILE", "SECRET_KEY", "SECRET_KEY_FILE"} {
				t.Setenv(name+key, test.env[key])
			}
			got, err := S3FromEnv()
			if (err != nil) != test.fails {
				t.Fatalf("error = %v, want one: %v", err, test.fails)
			}
			if shown := fmt.Sprintf("%v %+v %#v %v", got, got, got, err); strings.Contains(shown, "hunter2") {
				t.Errorf("the secret is shown: %s", shown)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	ready := Answers(server.URL)
	if err := ready(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("while it answers 503: %v", err)
	}
	status = http.StatusOK
	if err := ready(t.Context()); err != nil {
		t.Errorf("while it answers 200: %v", err)
	}
}

func TestFreeAddr(t *testing.T) {
	addr, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if host, port, err := splitAddr(addr); err != nil || host != loopback || port < 20000 || port > 32767 {
		t.Errorf("address %q (%v), want loopback below the ephemeral ports", addr, err)
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
