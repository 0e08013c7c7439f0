// Package parts has the servers that only tests need: the Kubernetes API and a
// second S3. Their binaries are had as those of deploy/local are: from PATH,
// else built once from the pinned tools modules in this folder.
package parts

import (
	"context"
	"embed"

	"github.com/corkline/corkline/deploy/local"
)

//go:embed *.mod *.sum
var modules embed.FS

// The parts.
var (
	Etcd = local.Part{
		Name: "etcd", Modules: modules, Module: "go.etcd.io/etcd/server/v3", Command: "server",
	}
	KubeAPIServer = local.Part{
		Name: "kube-apiserver", Modules: modules, Module: "k8s.io/kubernetes",
		LinkerFlags: "-X k8s.io/component-base/version.gitVersion=v1.36.3",
	}
	VersityGW = local.Part{Name: "versitygw", Modules: modules, Module: "github.com/versity/versitygw"}
)

// binary of the part, built now if need be.
func binary(ctx context.Context, p local.Part, progress *local.Progress) (string, error) {
	cache, err := local.CacheDir()
	if err != nil {
		return "", err
	}
	return p.Binary(ctx, cache, progress)
}
