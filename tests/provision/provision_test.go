// Package provision runs corkline provision against a real API server with
// etcd, real S3s, Loki and Prometheus.
package provision

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/parts"
	"github.com/corkline/corkline/tests/rig"
)

// real is what all tests of a run share; each has a namespace or buckets of
// its own.
var servers struct { //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests
	*rig.Rig
	kubernetes *parts.Kubernetes
	versity    *parts.Versity // over TLS
	versityCA  string         // file
	stack      *local.Stack   // MinIO, Loki, Prometheus
}

func TestMain(m *testing.M) { os.Exit(rig.Main(m, setUp)) }

func setUp(ctx context.Context, r *rig.Rig) (err error) {
	servers.Rig = r
	progress := local.NewProgress(os.Stderr)
	if servers.kubernetes, err = parts.StartKubernetes(ctx, filepath.Join(r.Dir, "kubernetes"), progress); err != nil {
		return err
	}
	r.AtEnd(servers.kubernetes.Stop)
	var key string
	if servers.versityCA, key, err = rig.Certificate(r.Dir); err != nil {
		return err
	}
	if servers.versity, err = parts.StartVersity(ctx, filepath.Join(r.Dir, "versity"), servers.versityCA, key, progress); err != nil {
		return err
	}
	r.AtEnd(servers.versity.Stop)
	scraped, err := local.FreeAddr()
	if err == nil {
		servers.stack, err = r.Stack(ctx, scraped)
	}
	return err
}

// corkline runs corkline provision to its end, with nothing in its environment
// but what is given.
func corkline(t *testing.T, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, servers.Binary, append([]string{"provision"}, args...)...)
	command.Env = append([]string{"HOME=" + t.TempDir()}, env...)
	stdout, stderr, code = rig.Run(t, command)
	if ctx.Err() != nil {
		t.Fatalf("corkline provision %q does not end", args)
	}
	return stdout, stderr, code
}

// succeed runs it, and wants exit code 0.
func succeed(t *testing.T, env []string, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, code := corkline(t, env, args...)
	if code != 0 {
		t.Fatalf("corkline provision %q: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// refuse runs it, and wants the exit code and the texts on standard error.
func refuse(t *testing.T, env []string, code int, texts []string, args ...string) {
	t.Helper()
	stdout, stderr, got := corkline(t, env, args...)
	if got != code {
		t.Errorf("corkline provision %q: exit code %d, want %d\n%s%s", args, got, code, stdout, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stderr, text) {
			t.Errorf("corkline provision %q says\n%s\nand not %q", args, stderr, text)
		}
	}
}

// write makes a file of this test.
func write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// dashboard is a small one.
func dashboard(t *testing.T, uid, title string) (path string) {
	t.Helper()
	text, err := json.MarshalIndent(map[string]any{"uid": uid, "title": title, "panels": []any{}}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return write(t, uid+".json", string(text))
}

// actions is the table of apply, buckets and push by name.
func actions(t *testing.T, table string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		fields := strings.Fields(line)
		if i == 0 || len(fields) < 3 {
			continue
		}
		out[fields[1]] = strings.Join(fields[2:], " ")
	}
	return out
}
