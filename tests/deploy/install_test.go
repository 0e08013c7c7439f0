package deploy

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/parts"
	"github.com/corkline/corkline/tests/rig"
)

const (
	pods   = "/pods?dryRun=All"
	secret = "/api/v1/namespaces/monitoring/secrets/corkline-datasources"
)

// The chart's life at a real API server, which no controllers accompany: the
// hooks' commands are run here, as their ServiceAccount.
func TestInstallUpgradeUninstall(t *testing.T) {
	k, err := parts.StartKubernetes(t.Context(), t.TempDir(), local.NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Stop(); err != nil {
			t.Error(err)
		}
	})
	call := func(method, path string, body any) []byte {
		t.Helper()
		answer, err := k.Call(t.Context(), method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for _, namespace := range []string{"net", "monitoring"} {
		if err := k.Namespace(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range crdFiles(t) {
		var crd map[string]any
		parse(t, read(t, path), &crd)
		call(http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
	}
	rig.Eventually(t, "the custom resources to be served", func(context.Context) error {
		for _, kind := range []string{"podmonitors", "prometheusrules"} {
			if _, err := k.Call(t.Context(), http.MethodGet, "/apis/monitoring.coreos.com/v1/"+kind, nil); err != nil {
				return err
			}
		}
		return nil
	})
	kubeconfig := "--kubeconfig=" + write(t, "admin", []byte(k.Kubeconfig(k.AdminToken, "net")))
	helm := func(args ...string) string {
		t.Helper()
		return run(t, parts.Helm, chart, append(args, kubeconfig, "--namespace=net")...)
	}
	values := "--values=" + write(t, "values.yaml", []byte(everything))

	notes := helm("install", "corkline", ".", "--no-hooks")
	for _, want := range []string{"rollout status daemonset/corkline", "port-forward daemonset/corkline 9440", "enforce=privileged"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	before := call(http.MethodGet, "/apis/apps/v1/namespaces/net/daemonsets/corkline", nil)
	helm("upgrade", "corkline", ".", "--no-hooks", values)
	after := call(http.MethodGet, "/apis/apps/v1/namespaces/net/daemonsets/corkline", nil)
	if generation(t, before) == generation(t, after) {
		t.Error("an upgrade with another configuration did not change the DaemonSet")
	}
	helm("upgrade", "corkline", ".", "--no-hooks", values)
	if again := call(http.MethodGet, "/apis/apps/v1/namespaces/net/daemonsets/corkline", nil); generation(t, again) != generation(t, after) {
		t.Error("an upgrade that changes nothing rolls out the DaemonSet")
	}
	for _, path := range []string{"podmonitors/corkline", "prometheusrules/corkline-corkline", "prometheusrules/corkline-conntrack", "prometheusrules/corkline-ovs"} {
		call(http.MethodGet, "/apis/monitoring.coreos.com/v1/namespaces/net/"+path, nil)
	}

	t.Run("pod security", func(t *testing.T) {
		hooks := objects(t, helm("get", "hooks", "corkline"))
		agent := find(t, objects(t, helm("get", "manifest", "corkline")), "DaemonSet/corkline")
		jobs := []object{find(t, hooks, "Job/corkline-provision"), find(t, hooks, "Job/corkline-buckets"), find(t, hooks, "Job/corkline-cleanup")}
		for _, level := range []string{"privileged", "baseline", "restricted"} {
			call(http.MethodPost, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{
				"name": level, "labels": map[string]any{"pod-security.kubernetes.io/enforce": level},
			}})
			_, err := k.Call(t.Context(), http.MethodPost, "/api/v1/namespaces/"+level+pods, pod(agent))
			if refused := err != nil; refused != (level != "privileged") {
				t.Errorf("level %s: %v for the agent", level, err)
			} else if refused && !strings.Contains(err.Error(), "hostPath") {
				t.Errorf("level %s refuses the agent for another reason: %v", level, err)
			}
			for _, job := range jobs {
				call(http.MethodPost, "/api/v1/namespaces/"+level+pods, pod(job))
			}
		}
	})

	t.Run("hooks", func(t *testing.T) {
		var token struct{ Status struct{ Token string } }
		answer := call(http.MethodPost, "/api/v1/namespaces/net/serviceaccounts/corkline-provisioner/token",
			map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"expirationSeconds": 3600}})
		if err := json.Unmarshal(answer, &token); err != nil {
			t.Fatal(err)
		}
		account := "--kubeconfig=" + write(t, "provisioner", []byte(k.Kubeconfig(token.Status.Token, "net")))
		hooks := objects(t, helm("get", "hooks", "corkline"))
		hook := func(name string) {
			t.Helper()
			args := append(args(find(t, hooks, "Job/corkline-"+name)), account)
			stdout, stderr, code := corkline(t, args...)
			t.Logf("corkline %s\n%s%s", strings.Join(args, " "), stdout, stderr)
			if code != 0 {
				t.Fatalf("exit code %d", code)
			}
		}
		hook("provision")
		call(http.MethodGet, secret, nil)
		hook("provision")
		hook("cleanup")
		if _, err := k.Call(t.Context(), http.MethodGet, secret, nil); err == nil {
			t.Error("the datasources are left after the cleanup")
		}
		// Grafana's namespace is all that the account may touch.
		_, stderr, code := corkline(t, "provision", "apply", "--namespace=net", "--loki-url=http://loki", account)
		if code == 0 || !strings.Contains(stderr, "forbidden") {
			t.Errorf("apply in another namespace: exit code %d, %s", code, stderr)
		}
	})

	helm("uninstall", "corkline", "--no-hooks")
	for _, path := range []string{
		"/apis/apps/v1/namespaces/net/daemonsets", "/api/v1/namespaces/net/configmaps?labelSelector=app.kubernetes.io/name=corkline",
		"/api/v1/namespaces/net/serviceaccounts?labelSelector=app.kubernetes.io/name=corkline",
		"/apis/rbac.authorization.k8s.io/v1/namespaces/monitoring/roles", "/apis/monitoring.coreos.com/v1/namespaces/net/podmonitors",
	} {
		var list struct{ Items []any }
		if err := json.Unmarshal(call(http.MethodGet, path, nil), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) > 0 {
			t.Errorf("left after the uninstall at %s: %v", path, list.Items)
		}
	}
}

// pod of a workload's template.
func pod(workload object) map[string]any {
	return map[string]any{"metadata": map[string]any{"generateName": "try-"}, "spec": workload.at("spec", "template", "spec")}
}

// args of a workload's only container.
func args(workload object) (out []string) {
	for _, arg := range workload.at("spec", "template", "spec", "containers").([]any)[0].(map[string]any)["args"].([]any) {
		out = append(out, arg.(string))
	}
	return out
}

func generation(t *testing.T, answer []byte) int64 {
	t.Helper()
	var o struct{ Metadata struct{ Generation int64 } }
	if err := json.Unmarshal(answer, &o); err != nil {
		t.Fatal(err)
	}
	return o.Metadata.Generation
}
