// Package tools pins the tools that build Corkline, and tests their settings.
package tools

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/corkline/corkline"

// rooms that the imports below are tried between.
var rooms = [...]string{
	"cmd/corkline", "dashboards", "datasources", "deploy/local", "exporter", "exporter/kube",
	"exporter/collector", "exporter/collector/conntrack", "exporter/collector/conntrack/netlink", "exporter/collector/ovs", "exporter/sink/archive", "exporter/sink/loki",
	"exporter/source/syslog", "exporter/source/tail", "parsers", "parsers/strict", "provisioner", "samples", "tests",
}

// foreign modules, and a package of each.
var foreign = map[string]string{
	"github.com/prometheus/client_golang": "prometheus",
	"k8s.io/api":                          "core/v1",
}

// try is an import by a package below a room, or by its test.
type try struct {
	from    string // a room, with _test for the test
	imports string // a room, or a package that is not ours
	denied  bool
}

// file is where the import stands: a package of its own, so that none is in a cycle.
func (t try) file(i int) string {
	room, isTest := strings.CutSuffix(t.from, "_test")
	if isTest {
		return fmt.Sprintf("%s/try%d/try_test.go", room, i)
	}
	return fmt.Sprintf("%s/try%d/try.go", room, i)
}

func (t try) path() string {
	if slices.Contains(rooms[:], t.imports) {
		return module + "/" + t.imports
	}
	return t.imports
}

var imports = [...]try{
	{"parsers", "parsers/strict", false},
	{"parsers", "net/netip", false},
	{"parsers", "net", true},
	{"parsers", "net/http", true},
	{"parsers", "samples", true},
	{"parsers", "exporter", true},
	{"parsers", "github.com/prometheus/client_golang/prometheus", true},
	{"parsers", "k8s.io/api/core/v1", true},
	{"parsers_test", "samples", false},
	{"exporter/source/tail", "parsers", false},
	{"exporter/source/tail", "net", false},
	{"exporter/source/tail", "exporter", true},
	{"exporter/source/tail", "exporter/source/syslog", true},
	{"exporter/source/tail", "exporter/sink/loki", true},
	{"exporter/source/tail", "exporter/collector", true},
	{"exporter/source/tail", "exporter/collector/ovs", true},
	{"exporter/source/tail_test", "samples", false},
	{"exporter/source/tail_test", "exporter/sink/loki", true},
	{"exporter/source/tail_test", "exporter/collector/ovs", true},
	{"exporter/collector/ovs", "parsers", false},
	{"exporter/collector/ovs", "exporter/collector", false},
	{"exporter/collector/ovs", "exporter/collector/conntrack", true},
	{"exporter/collector/conntrack", "exporter/collector", false},
	{"exporter/collector/conntrack", "exporter/collector/conntrack/netlink", false},
	{"exporter/collector/conntrack", "exporter/collector/ovs", true},
	{"exporter/collector/ovs", "exporter/collector/conntrack/netlink", true},
	{"exporter/collector/ovs", "exporter/kube", true},
	{"exporter/collector/ovs_test", "exporter/sink/loki", true},
	{"exporter/collector/ovs_test", "exporter/source/tail", true},
	{"exporter/sink/loki", "parsers", false},
	{"exporter/sink/loki", "exporter/sink/archive", true},
	{"exporter/sink/loki", "exporter/source/tail", true},
	{"exporter/sink/loki_test", "exporter/source/tail", true},
	{"exporter/sink/loki_test", "exporter/collector/ovs", true},
	{"exporter/kube", "parsers", true},
	{"exporter", "exporter/sink/loki", false},
	{"exporter", "exporter/kube", false},
	{"exporter", "parsers", false},
	{"exporter", "dashboards", true},
	{"exporter", "samples", true},
	{"exporter_test", "dashboards", false},
	{"provisioner", "dashboards", false},
	{"provisioner", "datasources", false},
	{"provisioner", "exporter", true},
	{"dashboards", "parsers", true},
	{"datasources", "parsers", true},
	{"samples", "parsers", true},
	{"provisioner_test", "deploy/local", true},
	{"cmd/corkline", "deploy/local", false},
	{"cmd/corkline", "samples", false},
	{"tests_test", "deploy/local", false},
}

// The rules of .golangci.yml draw the rooms: every import is tried in a module
// of empty packages that bears our name.
func TestImportsBetweenRooms(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config, err := os.ReadFile("../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	write(".golangci.yml", string(config))
	goMod := "module " + module + "\n\ngo 1.26.0\n"
	for name, pkg := range foreign {
		goMod += fmt.Sprintf("require %s v0.0.0\nreplace %[1]s => ./foreign/%[1]s\n", name)
		write("foreign/"+name+"/go.mod", "module "+name+"\n")
		write("foreign/"+name+"/"+pkg+"/foreign.go", "package foreign\n")
	}
	write("go.mod", goMod)
	for _, room := range rooms {
		write(room+"/room.go", "package room\n")
	}
	for i, try := range imports {
		write(try.file(i), fmt.Sprintf("package try\n\nimport _ %q\n", try.path()))
	}

	pinned, err := filepath.Abs("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "-modfile="+pinned, "golangci-lint",
		"run", "--enable-only=depguard", "--allow-parallel-runners", "./...")
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 { // 1: issues were found
		t.Fatalf("run golangci-lint: %v\n%s", err, out)
	}
	for i, try := range imports {
		finding := regexp.MustCompile(fmt.Sprintf(`(?m)^%s:.* import '%s' is not allowed`, try.file(i), try.path()))
		if denied := finding.Match(out); denied != try.denied {
			t.Errorf("%s imports %s: denied is %t, want %t", try.from, try.imports, denied, try.denied)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}
