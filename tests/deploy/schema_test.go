package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/corkline/corkline/tests/parts"
)

// schemas writes a folder of strict JSON schemas for kubeconform: of the API
// server's own kinds from its OpenAPI description, of the Prometheus operator's
// from its CRDs.
func schemas(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	source, err := parts.KubernetesModule(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var api struct{ Definitions map[string]map[string]any }
	if err := json.Unmarshal(read(t, source+"/api/openapi-spec/swagger.json"), &api); err != nil {
		t.Fatal(err)
	}
	for file, name := range map[string]string{
		"configmap-v1":                "io.k8s.api.core.v1.ConfigMap",
		"daemonset-apps-v1":           "io.k8s.api.apps.v1.DaemonSet",
		"job-batch-v1":                "io.k8s.api.batch.v1.Job",
		"networkpolicy-networking-v1": "io.k8s.api.networking.v1.NetworkPolicy",
		"role-rbac-v1":                "io.k8s.api.rbac.v1.Role",
		"rolebinding-rbac-v1":         "io.k8s.api.rbac.v1.RoleBinding",
		"clusterrole-rbac-v1":         "io.k8s.api.rbac.v1.ClusterRole",
		"clusterrolebinding-rbac-v1":  "io.k8s.api.rbac.v1.ClusterRoleBinding",
		"secret-v1":                   "io.k8s.api.core.v1.Secret",
		"service-v1":                  "io.k8s.api.core.v1.Service",
		"serviceaccount-v1":           "io.k8s.api.core.v1.ServiceAccount",
	} {
		needed := map[string]any{}
		closure(api.Definitions, name, needed)
		writeSchema(t, dir, file, map[string]any{"$ref": "#/definitions/" + name, "definitions": needed})
	}

	for kind, path := range crdFiles(t) {
		crd := parseObject(t, read(t, path))
		version := crd.at("spec", "versions").([]any)[0].(map[string]any)
		schema := object(version).at("schema", "openAPIV3Schema").(map[string]any)
		schema["properties"].(map[string]any)["metadata"] = map[string]any{"type": "object"}
		strict(schema)
		writeSchema(t, dir, strings.ToLower(kind)+"-monitoring-"+version["name"].(string), schema)
	}
	return dir
}

// crdFiles of the Prometheus operator by kind.
func crdFiles(t *testing.T) map[string]string {
	t.Helper()
	source, err := parts.PrometheusOperatorModule(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := source + "/example/prometheus-operator-crd/monitoring.coreos.com_"
	return map[string]string{"PodMonitor": dir + "podmonitors.yaml", "PrometheusRule": dir + "prometheusrules.yaml"}
}

// closure collects a definition and what it refers to.
func closure(all map[string]map[string]any, name string, into map[string]any) {
	if _, done := into[name]; done {
		return
	}
	definition := all[name]
	into[name] = definition
	strict(definition)
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				closure(all, strings.TrimPrefix(ref, "#/definitions/"), into)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(definition)
}

// strict refuses keys that an object does not have, and says in JSON schema
// what OpenAPI says by format.
func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == nil && v["x-kubernetes-preserve-unknown-fields"] == nil {
			v["additionalProperties"] = false
		}
		if v["format"] == "int-or-string" || v["x-kubernetes-int-or-string"] == true {
			delete(v, "anyOf")
			v["type"] = []any{"string", "integer"}
		}
		delete(v, "format")
		for key, child := range v {
			if key != "default" && key != "enum" {
				strict(child)
			}
		}
	case []any:
		for _, child := range v {
			strict(child)
		}
	}
}

func writeSchema(t *testing.T, dir, name string, schema map[string]any) {
	t.Helper()
	text, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
