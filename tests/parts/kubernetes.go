package parts

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/corkline/corkline/deploy/local"
)

// Kubernetes is an API server with its etcd: RBAC on, no controllers, no nodes.
type Kubernetes struct {
	URL string
	// CAFile signs its certificate.
	CAFile string
	// AdminToken is of group system:masters.
	AdminToken string

	dir             string
	etcd, apiserver *local.Process
	http            *http.Client
}

// StartKubernetes starts both on loopback, with their data in dir, and returns
// when the API is ready. When it fails nothing is left running.
func StartKubernetes(ctx context.Context, dir string, progress *local.Progress) (*Kubernetes, error) {
	etcd, err := binary(ctx, Etcd, progress)
	if err != nil {
		return nil, err
	}
	apiserver, err := binary(ctx, KubeAPIServer, progress)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the cluster: %w", err)
	}
	k := &Kubernetes{dir: dir, AdminToken: rand.Text(), CAFile: filepath.Join(dir, "certs", "apiserver.crt")}
	// The certificate is checked by those who are tested.
	k.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: 10 * time.Second}
	if err := k.configure(etcd, apiserver); err != nil {
		return nil, err
	}
	for _, p := range []*local.Process{k.etcd, k.apiserver} {
		if err := p.Start(ctx); err != nil {
			return nil, errors.Join(err, k.Stop())
		}
	}
	return k, nil
}

func (k *Kubernetes) configure(etcd, apiserver string) error {
	var addrs [3]string
	for i := range addrs {
		var err error
		if addrs[i], err = local.FreeAddr(); err != nil {
			return err
		}
	}
	client, peer := "http://"+addrs[0], "http://"+addrs[1]
	k.etcd = &local.Process{
		Name: "etcd", URL: client, Path: etcd, LogFile: filepath.Join(k.dir, "etcd.log"),
		Args: []string{
			"--name=t", "--data-dir=" + filepath.Join(k.dir, "etcd"), "--unsafe-no-fsync",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=t=" + peer,
		},
		Ready: local.Answers(client + "/health"),
	}
	_, port, err := net.SplitHostPort(addrs[2])
	if err != nil {
		return fmt.Errorf("parse the address of kube-apiserver: %w", err)
	}
	key, err := k.file("sa.key", serviceAccountKey)
	if err != nil {
		return err
	}
	tokens, err := k.file("tokens.csv", func() ([]byte, error) {
		return []byte(k.AdminToken + ",admin,admin,system:masters\n"), nil
	})
	if err != nil {
		return err
	}
	k.URL = "https://" + addrs[2]
	k.apiserver = &local.Process{
		Name: "kube-apiserver", URL: k.URL, Path: apiserver, LogFile: filepath.Join(k.dir, "kube-apiserver.log"),
		Args: []string{
			"--etcd-servers=" + client, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port,
			"--cert-dir=" + filepath.Join(k.dir, "certs"), "--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + key, "--service-account-signing-key-file=" + key,
			"--service-cluster-ip-range=10.96.0.0/24", "--authorization-mode=RBAC", "--token-auth-file=" + tokens,
			"--disable-admission-plugins=ServiceAccount", "--allow-privileged=true", "--endpoint-reconciler-type=none",
		},
		Ready: func(ctx context.Context) error {
			_, err := k.Call(ctx, http.MethodGet, "/readyz", nil)
			return err
		},
	}
	return nil
}

func serviceAccountKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), nil
}

func (k *Kubernetes) file(name string, content func() ([]byte, error)) (string, error) {
	path := filepath.Join(k.dir, name)
	text, err := content()
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return path, nil
}

// Call sends a request as the admin, with a body in JSON when it is not nil,
// and returns the answer's body. It fails with that body for other statuses
// than 2xx. A PATCH is a server-side apply by the manager "admin".
func (k *Kubernetes) Call(ctx context.Context, method, path string, body any) ([]byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
	}
	contentType := "application/json"
	if method == http.MethodPatch {
		contentType, path = "application/apply-patch+yaml", path+"?fieldManager=admin&force=true"
	}
	request, err := http.NewRequestWithContext(ctx, method, k.URL+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("create the request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+k.AdminToken)
	request.Header.Set("Content-Type", contentType)
	response, err := k.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the API server's answer: %w", err)
	}
	if response.StatusCode > 299 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, nil
}

// Namespace makes one.
func (k *Kubernetes) Namespace(ctx context.Context, name string) error {
	_, err := k.Call(ctx, http.MethodPost, "/api/v1/namespaces", map[string]any{"metadata": map[string]any{"name": name}})
	return err
}

// ServiceAccount makes one with a Role of the rules, and returns a token of it.
func (k *Kubernetes) ServiceAccount(ctx context.Context, namespace, name string, rules []map[string]any) (token string, err error) {
	metadata := map[string]any{"name": name}
	core, rbac := "/api/v1/namespaces/"+namespace, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+namespace
	for _, o := range []struct {
		path string
		body map[string]any
	}{
		{core + "/serviceaccounts", map[string]any{"metadata": metadata}},
		{rbac + "/roles", map[string]any{"metadata": metadata, "rules": rules}},
		{rbac + "/rolebindings", map[string]any{
			"metadata": metadata,
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "namespace": namespace, "name": name}},
		}},
	} {
		if _, err := k.Call(ctx, http.MethodPost, o.path, o.body); err != nil {
			return "", err
		}
	}
	answer, err := k.Call(ctx, http.MethodPost, core+"/serviceaccounts/"+name+"/token", map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{"expirationSeconds": 3600},
	})
	if err != nil {
		return "", err
	}
	var request struct{ Status struct{ Token string } }
	if err := json.Unmarshal(answer, &request); err != nil {
		return "", fmt.Errorf("parse the token request: %w", err)
	}
	return request.Status.Token, nil
}

// Kubeconfig is one for the token, in the namespace.
func (k *Kubernetes) Kubeconfig(token, namespace string) string {
	return `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: test, namespace: ` + strconv.Quote(namespace) + `}}]
clusters: [{name: test, cluster: {server: "` + k.URL + `", certificate-authority: ` + strconv.Quote(k.CAFile) + `}}]
users: [{name: test, user: {token: ` + strconv.Quote(token) + `}}]
`
}

// Stop stops both.
func (k *Kubernetes) Stop() error {
	k.http.CloseIdleConnections() // or the API server waits for them
	return errors.Join(k.apiserver.Stop(), k.etcd.Stop())
}
