package kubeapi

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apiserver answers with what a test wants; what the real one does is tested
// in tests/provision.
func apiserver(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, ca []byte) {
	t.Helper()
	server = httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func configMapNamed(name string) Object {
	return Object{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"namespace": "ns", "name": name}}
}

const form = `current-context: a
contexts: [{name: a, context: {cluster: c, user: u, namespace: %s}}, {name: b, context: {cluster: c, user: exec}}]
clusters: [{name: c, cluster: %s}]
users: [{name: u, user: %s}, {name: exec, user: {exec: {command: aws}}}]
`

// A kubeconfig leads to the server with its credentials, in every form.
func TestKubeconfig(t *testing.T) {
	server, ca := apiserver(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("Authorization: %q", got)
		}
		fmt.Fprintf(w, `{"metadata": {"name": %q}}`, r.URL.Path)
	})
	dir := t.TempDir()
	write(t, dir, "ca.crt", string(ca))
	write(t, dir, "token", "secret\n")
	for name, c := range map[string][2]string{
		"inline": {fmt.Sprintf("{server: %q, certificate-authority-data: %s}", server.URL, base64.StdEncoding.EncodeToString(ca)), "{token: secret}"},
		"files":  {fmt.Sprintf("{server: %q, certificate-authority: ca.crt}", server.URL+"/prefix/"), "{tokenFile: token}"},
		"insecure": {
			fmt.Sprintf("{server: %q, insecure-skip-tls-verify: true}", server.URL), "{token: secret}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := Connect(Options{Kubeconfig: write(t, dir, "config", fmt.Sprintf(form, "net", c[0], c[1]))})
			if err != nil {
				t.Fatal(err)
			}
			defer client.http.CloseIdleConnections()
			o, err := client.Get(t.Context(), configMapNamed("x"))
			if err != nil || !strings.HasSuffix(o.Name(), "/api/v1/namespaces/ns/configmaps/x") || client.Namespace != "net" {
				t.Errorf("Get = %v, %v in namespace %q", o, err, client.Namespace)
			}
		})
	}
}

func TestKubeconfigRefused(t *testing.T) {
	good := `{server: "https://127.0.0.1:1"}`
	for name, c := range map[string]struct{ cluster, user, context, text string }{
		"a program":        {good, "{}", "b", "aws"},
		"a provider":       {good, "{auth-provider: {name: gcp}}", "", "gcp"},
		"a password":       {good, "{username: u, password: hunter2}", "", "no longer takes"},
		"no such context":  {good, "{}", "z", "it has: a b"},
		"no server":        {"{}", "{}", "", "https://host:6443"},
		"no CA file":       {`{server: "https://h", certificate-authority: nowhere}`, "{}", "", "no such file"},
		"a CA, not base64": {`{server: "https://h", certificate-authority-data: "hunter2!"}`, "{}", "", "certificate-authority-data"},
		"a CA, not PEM":    {`{server: "https://h", certificate-authority-data: aHVudGVyMg==}`, "{}", "", "no certificate"},
		"a key, no cert":   {good, "{client-key-data: aHVudGVyMg==}", "", "client certificate"},
		"not its form":     {good, "[hunter2]", "", "not YAML of the form"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, t.TempDir(), "config", fmt.Sprintf(form, "ns", c.cluster, c.user))
			_, err := Connect(Options{Kubeconfig: file, Context: c.context})
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), file) {
				t.Fatalf("Connect = %v, want an error with %q and the file", err, c.text)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVudGVyMg") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// In a pod the token is read again for each request: the kubelet renews it.
func TestInCluster(t *testing.T) {
	var got []string
	server, ca := apiserver(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		fmt.Fprint(w, `{}`)
	})
	dir := t.TempDir()
	write(t, dir, "ca.crt", string(ca))
	write(t, dir, "namespace", "pods-own")
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inCluster(u.Host, dir); err == nil || !strings.Contains(err.Error(), "automountServiceAccountToken") {
		t.Errorf("without a token: %v", err)
	}
	write(t, dir, "token", "first")
	client, err := inCluster(u.Host, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.http.CloseIdleConnections()
	for _, token := range []string{"first", "second"} {
		write(t, dir, "token", token)
		if _, err := client.Get(t.Context(), configMapNamed("x")); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"Bearer first", "Bearer second"}, got); diff != "" || client.Namespace != "pods-own" {
		t.Errorf("namespace %q, tokens (-want +got):\n%s", client.Namespace, diff)
	}
}

// A list is read page by page.
func TestListPages(t *testing.T) {
	server, ca := apiserver(t, func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Get("labelSelector") != "a=b,c=d":
			t.Errorf("labelSelector %q", q.Get("labelSelector"))
		case q.Get("continue") == "":
			fmt.Fprint(w, `{"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "z"}}]}`)
		default:
			fmt.Fprint(w, `{"items": [{"metadata": {"name": "a"}}]}`)
		}
	})
	dir := t.TempDir()
	write(t, dir, "ca.crt", string(ca))
	client, err := Connect(Options{Kubeconfig: write(t, dir, "config", fmt.Sprintf(form, "ns", fmt.Sprintf("{server: %q, certificate-authority: ca.crt}", server.URL), "{}"))})
	if err != nil {
		t.Fatal(err)
	}
	defer client.http.CloseIdleConnections()
	all, err := client.List(t.Context(), "v1", "ConfigMap", "ns", map[string]string{"c": "d", "a": "b"})
	if err != nil || len(all) != 2 || all[0].String() != "configmap/a" || all[1].String() != "configmap/z" {
		t.Errorf("List = %v, %v", all, err)
	}
}

// What stands before the API server answers otherwise than it.
func TestOtherAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		code       int
		body, text string
	}{
		"a proxy's page":    {502, "<html>hunter2", "Bad Gateway (502)"},
		"no JSON":           {200, "<html>", "does not answer as a Kubernetes API"},
		"a dying namespace": {403, `{"message": "unable to create new content in namespace ns because it is being terminated", "details": {"name": "ns"}}`, "being terminated (403)"},
		"too many":          {429, `{"message": "too many requests"}`, "too many requests (429)"},
	} {
		t.Run(name, func(t *testing.T) {
			server, ca := apiserver(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.code)
				fmt.Fprint(w, c.body)
			})
			dir := t.TempDir()
			write(t, dir, "ca.crt", string(ca))
			client, err := Connect(Options{Kubeconfig: write(t, dir, "config", fmt.Sprintf(form, "ns", fmt.Sprintf("{server: %q, certificate-authority: ca.crt}", server.URL), "{}"))})
			if err != nil {
				t.Fatal(err)
			}
			defer client.http.CloseIdleConnections()
			_, err = client.Apply(t.Context(), configMapNamed("x"), ApplyOptions{Manager: "m"})
			if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Apply = %v, want an error with %q", err, c.text)
			}
		})
	}
}
