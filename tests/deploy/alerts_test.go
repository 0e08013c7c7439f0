package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/parts"
	"github.com/corkline/corkline/tests/rig"
)

type rule struct {
	Alert       string
	Record      string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	for _, path := range glob(t, alerts+"/*.yaml") {
		var file struct{ Groups []struct{ Rules []rule } }
		parse(t, read(t, path), &file)
		for _, g := range file.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

// alerting leaves out the rules that only record.
func alerting(all []rule) []rule {
	return slices.DeleteFunc(all, func(r rule) bool { return r.Record != "" })
}

func TestPrometheusTakesTheRules(t *testing.T) {
	run(t, parts.Promtool, alerts, append([]string{"check", "rules"}, base(glob(t, alerts+"/*.yaml"))...)...)
}

func TestRulesFireWhenTheyShould(t *testing.T) {
	t.Setenv("GOGC", "400") // or promtool collects garbage for a third of its time
	run(t, parts.Promtool, alerts+"/tests", append([]string{"test", "rules"}, base(glob(t, alerts+"/tests/*.yaml"))...)...)
}

var (
	waits   = regexp.MustCompile(`(?m)^( +for:).*$`)
	passing = regexp.MustCompile(`Unit Testing: +(\S+)\n +SUCCESS`)
)

// The test of a rule notices when it does not wait any more.
func TestRulesWait(t *testing.T) {
	t.Setenv("GOGC", "400")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(alerts)); err != nil {
		t.Fatal(err)
	}
	for _, path := range glob(t, dir+"/*.yaml") {
		if err := os.WriteFile(path, waits.ReplaceAll(read(t, path), []byte("$1 0s")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"test", "rules"}
	for _, r := range alerting(rules(t)) {
		if r.For != "" {
			args = append(args, r.Alert+".yaml")
		}
	}
	stdout, stderr, code := try(t, parts.Promtool, dir+"/tests", args...)
	for _, test := range passing.FindAllStringSubmatch(stdout, -1) {
		t.Errorf("%s passes without for:", test[1])
	}
	if code != 1 || strings.Count(stdout, "Unit Testing:") != len(args)-2 {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

func base(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = filepath.Base(p)
	}
	return out
}

// Who is called at night finds what is wrong, where, and what to do.
func TestRulesAreWhole(t *testing.T) {
	all := alerting(rules(t))
	var alertNames []string
	for _, r := range all {
		alertNames = append(alertNames, r.Alert)
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Labels["signal"] == "" {
			t.Errorf("%s: labels %v: want severity (critical, warning, info) and signal", r.Alert, r.Labels)
		}
		for _, key := range []string{"summary", "description"} {
			if r.Annotations[key] == "" {
				t.Errorf("%s: there is no %s", r.Alert, key)
			}
		}
		if want := "https://github.com/corkline/corkline/blob/main/docs/runbooks/" + r.Alert + ".md"; r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
	slices.Sort(alertNames)
	if tested := names(glob(t, alerts+"/tests/*.yaml")); !slices.Equal(tested, alertNames) {
		t.Errorf("there are tests for %v\nand rules %v", tested, alertNames)
	}
	if written := names(glob(t, runbooks+"/*.md")); !slices.Equal(written, alertNames) {
		t.Errorf("there are runbooks for %v\nand rules %v", written, alertNames)
	}
}

func TestRulesAreTestedFourTimes(t *testing.T) {
	for _, path := range glob(t, alerts+"/tests/*.yaml") {
		var file struct{ Tests []struct{ Name string } }
		parse(t, read(t, path), &file)
		var have []string
		for _, test := range file.Tests {
			have = append(have, test.Name)
		}
		// A rule that takes one of two exporters' metrics fires for each.
		if want := []string{"fire", "no fire", "reset", "absence"}; !slices.Equal(slices.Compact(have), want) {
			t.Errorf("%s tests %q, want %q", path, have, want)
		}
	}
}

var heading = regexp.MustCompile(`(?m)^##? (.*)$`)

func TestRunbooksHaveTheirForm(t *testing.T) {
	for _, path := range glob(t, runbooks+"/*.md") {
		text := string(read(t, path))
		var have []string
		for _, m := range heading.FindAllStringSubmatch(outsideCode(text), -1) {
			have = append(have, m[1])
		}
		if want := []string{names([]string{path})[0], "Meaning", "Impact", "Diagnosis", "Mitigation"}; !slices.Equal(have, want) {
			t.Errorf("%s has the headings %q, want %q", path, have, want)
		}
	}
}

// outsideCode drops what stands between fences, where # begins a comment.
func outsideCode(text string) string {
	var out strings.Builder
	for i, part := range strings.Split(text, "```") {
		if i%2 == 0 {
			out.WriteString(part)
		}
	}
	return out.String()
}

func TestAlertmanagerTakesTheInhibition(t *testing.T) {
	run(t, parts.Amtool, alerts, "check-config", "alertmanager/inhibit.yaml")
	for labels, receiver := range map[string]string{"critical": "pager", "warning": "office", "info": "nobody"} {
		out := run(t, parts.Amtool, alerts, "config", "routes", "test", "--config.file=alertmanager/inhibit.yaml", "severity="+labels)
		if got := strings.TrimSpace(out); got != receiver {
			t.Errorf("severity %s goes to %q, want %q", labels, got, receiver)
		}
	}
}

// Of a full conntrack table the critical alert is told and the warning is not;
// other nodes and other matters are told as before.
func TestCriticalMutesWarning(t *testing.T) {
	path, err := parts.Binary(t.Context(), parts.Alertmanager, local.NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	addr := rig.Addr(t)
	dir := t.TempDir()
	server := &local.Process{
		Name: "alertmanager", URL: "http://" + addr, Path: path, LogFile: filepath.Join(dir, "log"),
		Args:  []string{"--config.file=" + alerts + "/alertmanager/inhibit.yaml", "--storage.path=" + dir, "--web.listen-address=" + addr, "--cluster.listen-address="},
		Ready: local.Answers("http://" + addr + "/-/ready"),
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()

	amtool := func(args ...string) string {
		t.Helper()
		return run(t, parts.Amtool, ".", append([]string{"--alertmanager.url=" + server.URL, "alert"}, args...)...)
	}
	alert := func(name, severity, signal, node string) {
		t.Helper()
		amtool("add", name, "severity="+severity, "signal="+signal, "node="+node)
	}
	alert("ConntrackTableNearlyFull", "critical", "conntrack", "n1")
	alert("ConntrackTableFilling", "warning", "conntrack", "n1")
	alert("ConntrackTableFilling", "warning", "conntrack", "n2")
	alert("CorklineAgentDown", "warning", "agent", "n1")
	want := []string{"ConntrackTableFilling n2", "ConntrackTableNearlyFull n1", "CorklineAgentDown n1"}
	rig.Eventually(t, "the alerts", func(context.Context) error {
		var listed []struct {
			Labels struct{ Alertname, Node string }
		}
		if err := json.Unmarshal([]byte(amtool("query", "--active", "-o", "json")), &listed); err != nil {
			return err
		}
		var have []string
		for _, a := range listed {
			have = append(have, a.Labels.Alertname+" "+a.Labels.Node)
		}
		if slices.Sort(have); !slices.Equal(have, want) {
			return fmt.Errorf("told are %q, want %q", have, want)
		}
		return nil
	})
}
