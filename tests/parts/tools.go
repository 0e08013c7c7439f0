package parts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/corkline/corkline/deploy/local"
)

// Tools and a server that check what is deployed.
var (
	Alertmanager = local.Part{
		Name: "prometheus-alertmanager", Modules: modules, Module: "github.com/prometheus/alertmanager", Command: "alertmanager",
		Debian: "prometheus-alertmanager",
	}
	Amtool       = local.Part{Name: "amtool", Modules: modules, Module: "github.com/prometheus/alertmanager", Debian: "prometheus-alertmanager"}
	Helm         = local.Part{Name: "helm", Modules: modules, Module: "helm.sh/helm/v3"}
	HelmUnittest = local.Part{Name: "helm-unittest", Modules: modules, Module: "github.com/helm-unittest/helm-unittest"}
	Kubeconform  = local.Part{Name: "kubeconform", Modules: modules, Module: "github.com/yannh/kubeconform"}
	Promtool     = local.Part{Name: "promtool", Modules: modules, Module: "github.com/prometheus/prometheus", Debian: "prometheus"}
)

// Binary of the part, built now if need be.
func Binary(ctx context.Context, p local.Part, progress *local.Progress) (string, error) {
	return binary(ctx, p, progress)
}

// KubernetesModule is the folder of the API server's source, which has the
// OpenAPI description.
func KubernetesModule(ctx context.Context) (dir string, err error) {
	return moduleDir(ctx, "kube-apiserver", "k8s.io/kubernetes")
}

// PrometheusOperatorModule is the folder of its source, which has the CRDs.
func PrometheusOperatorModule(ctx context.Context) (dir string, err error) {
	return moduleDir(ctx, "prometheus-operator", "github.com/prometheus-operator/prometheus-operator")
}

// moduleDir has a module that a tools module pins in the module cache.
func moduleDir(ctx context.Context, name, module string) (string, error) {
	dir, err := os.MkdirTemp("", "corkline-module-")
	if err != nil {
		return "", fmt.Errorf("create a folder for %s: %w", name, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // two small files
	for _, ext := range []string{".mod", ".sum"} {
		text, err := modules.ReadFile(name + ext)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "go"+ext), text, 0o600)
		}
		if err != nil {
			return "", fmt.Errorf("write the tools module of %s: %w", name, err)
		}
	}
	command := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	command.Dir, command.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w: %s%s", module, err, out, &stderr)
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal(out, &downloaded); err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	return downloaded.Dir, nil
}
