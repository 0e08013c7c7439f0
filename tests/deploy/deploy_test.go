// Package deploy checks what is in deploy: alert rules and runbooks, the chart,
// the image and the values for upstream charts, each with the tools and servers
// that will read them.
package deploy

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/parts"
	"github.com/corkline/corkline/tests/rig"
)

const (
	root     = "../.."
	chart    = root + "/deploy/helm/corkline"
	alerts   = root + "/deploy/alerts"
	upstream = root + "/deploy/upstream"
	runbooks = root + "/docs/runbooks"
)

var shared *rig.Rig //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(_ context.Context, r *rig.Rig) error {
		shared = r
		return nil
	}))
}

// run a part's binary in a folder, and want exit code 0.
func run(t *testing.T, part local.Part, dir string, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, code := try(t, part, dir, args...)
	if code != 0 {
		t.Fatalf("%s %q: exit code %d\n%s%s", part.Name, args, code, stdout, stderr)
	}
	return stdout
}

// try runs a tool in a folder, which may fail.
func try(t *testing.T, part local.Part, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := parts.Binary(t.Context(), part, local.NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, args...)
	command.Dir = dir
	return rig.Run(t, command)
}

// corkline runs the built binary to its end.
func corkline(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return rig.Run(t, exec.CommandContext(t.Context(), shared.Binary, args...))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, name string, text []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// glob gives the paths that match, and wants some.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	return paths
}

// names are those of files, without folder and extension.
func names(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = strings.TrimSuffix(filepath.Base(p), filepath.Ext(p))
	}
	return out
}

func parse(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("parse YAML: %v\n%s", err, text)
	}
}

// object is one of Kubernetes.
type object map[string]any

// at gives what is below keys; nil when it is not there.
func (o object) at(keys ...string) any {
	var v any = map[string]any(o)
	for _, key := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func (o object) text(keys ...string) string {
	s, _ := o.at(keys...).(string)
	return s
}

func (o object) String() string { return o.text("kind") + "/" + o.text("metadata", "name") }

func parseObject(t *testing.T, text []byte) object {
	t.Helper()
	var o map[string]any // a named type would become that of all maps within
	parse(t, text, &o)
	return o
}

func objects(t *testing.T, manifests string) (all []object) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(manifests)); ; {
		var o map[string]any
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("parse manifests: %v\n%s", err, manifests)
		}
		if o != nil {
			all = append(all, o)
		}
	}
}

// find the object with a kind and name.
func find(t *testing.T, all []object, id string) object {
	t.Helper()
	for _, o := range all {
		if o.String() == id {
			return o
		}
	}
	t.Fatalf("there is no %s, but %v", id, all)
	return nil
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
