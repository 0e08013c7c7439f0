package provision

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// role is all that provisioning needs.
func role() []map[string]any {
	return []map[string]any{{
		"apiGroups": []string{""}, "resources": []string{"configmaps", "secrets"},
		"verbs": []string{"get", "list", "create", "patch", "delete"},
	}}
}

// namespace makes one with a service account of the rules, and returns a
// kubeconfig of it.
func namespace(t *testing.T, name string, rules []map[string]any) (kubeconfig string) {
	t.Helper()
	if err := servers.kubernetes.Namespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	token, err := servers.kubernetes.ServiceAccount(t.Context(), name, "provisioner", rules)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "kubeconfig", servers.kubernetes.Kubeconfig(token, name))
}

type configMap struct {
	Metadata struct {
		Labels, Annotations map[string]string
		ManagedFields       []struct{ Manager, Operation string }
	}
	Data map[string]string
}

func get(t *testing.T, path string) (o configMap) {
	t.Helper()
	text, err := servers.kubernetes.Call(t.Context(), http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// The whole life: created, unchanged, configured, pruned, each seen by diff and
// dry run before, with no more rights than the chart's Role.
func TestApply(t *testing.T) {
	kubeconfig := namespace(t, "life", role())
	a, b := dashboard(t, "board-a", "A"), dashboard(t, "board-b", "B")
	base := []string{"--kubeconfig=" + kubeconfig, "--no-shipped"}
	both := slices.Concat(base, []string{"--dashboard=" + a, "--dashboard=" + b, "--loki-url=http://loki:3100", "--loki-user=u", "--label=team=network"})
	env := []string{"CORKLINE_LOKI_PASSWORD=hunter2"}
	with := func(command string, flags []string, more ...string) []string {
		return slices.Concat([]string{command}, flags, more)
	}
	want := func(what, table string, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, actions(t, table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	all := func(action string) map[string]string {
		return map[string]string{"corkline-dashboard-board-a": action, "corkline-dashboard-board-b": action, "corkline-datasources": action}
	}

	stdout, stderr, code := corkline(t, env, with("diff", both)...)
	if code != 1 || !strings.Contains(stdout, "+++ corkline/life/configmap/corkline-dashboard-board-a") || strings.Contains(stdout, "hunter2") {
		t.Errorf("diff before apply: exit code %d\n%s%s", code, stdout, stderr)
	}
	want("dry run", succeed(t, env, with("apply", both, "--dry-run")...), all("created"))
	want("apply", succeed(t, env, with("apply", both)...), all("created"))
	want("apply again", succeed(t, env, with("apply", both)...), all("unchanged"))
	if stdout, stderr, code := corkline(t, env, with("diff", both)...); code != 0 || stdout != "" {
		t.Errorf("diff after apply: exit code %d\n%s%s", code, stdout, stderr)
	}

	o := get(t, "/api/v1/namespaces/life/configmaps/corkline-dashboard-board-a")
	if o.Metadata.Labels["grafana_dashboard"] != "1" || o.Metadata.Labels["team"] != "network" ||
		o.Metadata.Annotations["grafana_folder"] != "Corkline" || !json.Valid([]byte(o.Data["board-a.json"])) {
		t.Errorf("the ConfigMap is %+v", o)
	}
	if len(o.Metadata.ManagedFields) != 1 || o.Metadata.ManagedFields[0].Manager != "corkline" || o.Metadata.ManagedFields[0].Operation != "Apply" {
		t.Errorf("its fields are managed by %+v, want corkline's apply", o.Metadata.ManagedFields)
	}
	if o := get(t, "/api/v1/namespaces/life/secrets/corkline-datasources"); o.Metadata.Labels["grafana_datasource"] != "1" || o.Data["corkline.yaml"] == "" {
		t.Errorf("the Secret is %+v", o)
	}

	one := slices.Concat(base, []string{"--dashboard=" + a, "--loki-url=http://loki:3101", "--label=team=network"})
	stdout, _, code = corkline(t, nil, with("diff", one)...)
	if code != 1 || !strings.Contains(stdout, "+  corkline.yaml: '*** (after)'") || !strings.Contains(stdout, "--- live/life/configmap/corkline-dashboard-board-b") ||
		strings.Contains(stdout, "board-a") {
		t.Errorf("diff of a change: exit code %d\n%s", code, stdout)
	}
	gone := map[string]string{"corkline-dashboard-board-a": "unchanged", "corkline-datasources": "configured", "corkline-dashboard-board-b": "pruned"}
	want("dry run of a change", succeed(t, nil, with("apply", one, "--dry-run")...), gone)
	kept := map[string]string{"corkline-dashboard-board-a": "unchanged", "corkline-datasources": "configured"}
	want("apply without prune", succeed(t, nil, with("apply", one, "--no-prune")...), kept)
	gone["corkline-datasources"] = "unchanged"
	want("apply with prune", succeed(t, nil, with("apply", one)...), gone)
	want("another instance", succeed(t, nil, with("apply", base, "--instance=other")...), map[string]string{})
	if _, err := servers.kubernetes.Call(t.Context(), http.MethodGet, "/api/v1/namespaces/life/configmaps/corkline-dashboard-board-b", nil); err == nil {
		t.Error("the pruned dashboard is still there")
	}
}

// What somebody changed by hand is a conflict, which says whose and what, and
// leaves everything as it is.
func TestApplyConflict(t *testing.T) {
	kubeconfig := namespace(t, "conflict", role())
	flags := []string{"--kubeconfig=" + kubeconfig, "--no-shipped", "--dashboard=" + dashboard(t, "board-b", "B"), "--dashboard=" + dashboard(t, "board-a", "A")}
	succeed(t, nil, append([]string{"apply"}, flags...)...)
	path := "/api/v1/namespaces/conflict/configmaps/corkline-dashboard-board-a"
	if _, err := servers.kubernetes.Call(t.Context(), http.MethodPatch, path, map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "corkline-dashboard-board-a"},
		"data": map[string]string{"board-a.json": "{}"},
	}); err != nil {
		t.Fatal(err)
	}
	changed := append([]string{"apply", "--label=team=network"}, flags...)
	refuse(t, nil, 1, []string{`"admin" manages .data.board-a.json`, "--force-conflicts", "nothing was changed"}, changed...)
	refuse(t, nil, 2, []string{`"admin" manages .data.board-a.json`}, append([]string{"diff"}, flags...)...)
	if o := get(t, "/api/v1/namespaces/conflict/configmaps/corkline-dashboard-board-b"); o.Metadata.Labels["team"] != "" {
		t.Error("the other dashboard was changed though one was refused")
	}
	got := actions(t, succeed(t, nil, append(changed, "--force-conflicts")...))
	if got["corkline-dashboard-board-a"] != "configured" {
		t.Errorf("forced: %v", got)
	}
	if o := get(t, path); o.Data["board-a.json"] == "{}" {
		t.Error("forced, and still as it was")
	}
}

func TestApplyRefused(t *testing.T) {
	full := namespace(t, "full", role())
	board := "--dashboard=" + dashboard(t, "board-a", "A")
	noPatch := namespace(t, "nopatch", []map[string]any{{
		"apiGroups": []string{""}, "resources": []string{"configmaps"}, "verbs": []string{"get", "list", "create"},
	}})
	noDelete := namespace(t, "nodelete", []map[string]any{{
		"apiGroups": []string{""}, "resources": []string{"configmaps", "secrets"}, "verbs": []string{"get", "list", "create", "patch"},
	}})
	succeed(t, nil, "apply", "--no-shipped", "--kubeconfig="+noDelete, board)
	admin := write(t, "admin", servers.kubernetes.Kubeconfig(servers.kubernetes.AdminToken, "full"))
	rule := write(t, "rule.yaml", "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: corkline}\nspec: {}\n")
	for name, c := range map[string]struct {
		texts []string
		args  []string
	}{
		"no rights at all":     {[]string{`cannot get resource "configmaps"`, `in the namespace "default"`, "Role"}, []string{"--kubeconfig=" + full, "-n", "default", board}},
		"no right to patch":    {[]string{`cannot patch resource "configmaps"`, "get, list, create, patch and delete on configmaps"}, []string{"--kubeconfig=" + noPatch, board}},
		"no right to delete":   {[]string{`cannot delete resource "configmaps"`, "nothing was changed"}, []string{"--kubeconfig=" + noDelete}},
		"a wrong token":        {[]string{"(401)", "expired"}, []string{"--kubeconfig=" + write(t, "k", servers.kubernetes.Kubeconfig("wrong", "full")), board}},
		"no such namespace":    {[]string{"kubectl create namespace nowhere"}, []string{"--kubeconfig=" + write(t, "k", servers.kubernetes.Kubeconfig(servers.kubernetes.AdminToken, "nowhere")), board}},
		"an unknown CRD":       {[]string{"no PrometheusRule in monitoring.coreos.com/v1", "CRD"}, []string{"--kubeconfig=" + full, board, "--manifest=" + rule}},
		"of the whole cluster": {[]string{"clusterrole/x", "whole cluster"}, []string{"--kubeconfig=" + admin, board, "--manifest=" + write(t, "role.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n")}},
		"no cluster":           {[]string{"connection refused", "is the cluster up"}, []string{"--kubeconfig=" + write(t, "k", strings.ReplaceAll(servers.kubernetes.Kubeconfig("t", "full"), servers.kubernetes.URL, "https://127.0.0.1:1")), board}},
		"a foreign CA":         {[]string{"not signed by the CA"}, []string{"--kubeconfig=" + write(t, "k", strings.ReplaceAll(servers.kubernetes.Kubeconfig("t", "full"), servers.kubernetes.CAFile, servers.versityCA)), board}},
		"no kubeconfig":        {[]string{"--kubeconfig FILE"}, []string{board}},
		"no such kubeconfig":   {[]string{"does not exist"}, []string{"--kubeconfig=/nowhere", board}},
		"no such context":      {[]string{`no context "x"; it has: test`}, []string{"--kubeconfig=" + full, "--context=x", board}},
		"a dashboard, no JSON": {[]string{"bad.json", "not a JSON object"}, []string{"--kubeconfig=" + full, "--dashboard=" + write(t, "bad.json", "{")}},
		"a label's value":      {[]string{`"a b" of label team`, "--annotation"}, []string{"--kubeconfig=" + full, board, "--label=team=a b"}},
		"a label's key":        {[]string{`label "a b"`}, []string{"--kubeconfig=" + full, board, "--label=a b=c"}},
		"too large":            {[]string{"1048576", "split the dashboard"}, []string{"--kubeconfig=" + full, "--dashboard=" + dashboard(t, "large", strings.Repeat("x", 1<<20))}},
	} {
		t.Run(name, func(t *testing.T) {
			refuse(t, nil, 1, c.texts, append([]string{"apply", "--no-shipped"}, c.args...)...)
		})
	}
	text, err := servers.kubernetes.Call(t.Context(), http.MethodGet, "/api/v1/namespaces/full/configmaps?labelSelector=app.kubernetes.io/part-of=corkline", nil)
	if err != nil || strings.Contains(string(text), "corkline-dashboard") {
		t.Errorf("something was applied by what was refused (%v): %s", err, text)
	}
}

// Our own limits are the API server's: what we let through, it takes.
func TestLimitsAreTheServers(t *testing.T) {
	kubeconfig := namespace(t, "limits", role())
	file := dashboard(t, "board-a", "A")
	empty := len(`{
  "panels": [],
  "title": "",
  "uid": "large"
}`)
	large := dashboard(t, "large", strings.Repeat("x", 1<<20-empty))
	succeed(t, nil, "apply", "--kubeconfig="+kubeconfig, "--no-shipped", "--dashboard="+file, "--dashboard="+large,
		"--label=example.com/team="+strings.Repeat("a", 63), "--annotation=note="+strings.Repeat("x", 100<<10))
}

// The dashboards that are shipped: the API server takes them as they are.
func TestApplyShipped(t *testing.T) {
	kubeconfig := namespace(t, "shipped", role())
	args := []string{"--kubeconfig=" + kubeconfig, "--prometheus-url=http://prometheus:9090", "--loki-url=http://loki:3100"}
	for _, want := range []string{"created", "unchanged"} {
		table := actions(t, succeed(t, nil, append([]string{"apply"}, args...)...))
		if len(table) < 3 {
			t.Errorf("applied %v, want two dashboards and the datasources at least", table)
		}
		for name, action := range table {
			if action != want {
				t.Errorf("%s is %s, want %s", name, action, want)
			}
		}
	}
	if stdout, stderr, code := corkline(t, nil, append([]string{"diff"}, args...)...); code != 0 {
		t.Errorf("diff after apply: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// Objects of other kinds are found by discovery; what the server sets in them
// by itself is no change.
func TestApplyManifest(t *testing.T) {
	if err := servers.kubernetes.Namespace(t.Context(), "manifest"); err != nil {
		t.Fatal(err)
	}
	kubeconfig := write(t, "kubeconfig", servers.kubernetes.Kubeconfig(servers.kubernetes.AdminToken, "manifest"))
	const form = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: NAME}\nspec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}\n"
	apply := func(name string) map[string]string {
		file := write(t, "policy.yaml", strings.ReplaceAll(form, "NAME", name))
		return actions(t, succeed(t, nil, "apply", "--kubeconfig="+kubeconfig, "--no-shipped", "--manifest="+file))
	}
	for _, want := range []map[string]string{{"a": "created"}, {"a": "unchanged"}, {"b": "created", "a": "pruned"}} {
		name := "a"
		if want["b"] != "" {
			name = "b"
		}
		if diff := cmp.Diff(want, apply(name)); diff != "" {
			t.Errorf("apply %s (-want +got):\n%s", name, diff)
		}
	}
}
