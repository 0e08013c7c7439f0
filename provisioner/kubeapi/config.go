package kubeapi

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// serviceAccountDir is where the kubelet mounts a pod's credentials.
const serviceAccountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// Options choose the API server and who we are to it.
type Options struct {
	// Kubeconfig is a file, or a list of files as in $KUBECONFIG of which the
	// first that exists is read. Empty means $KUBECONFIG, then ~/.kube/config,
	// then the credentials of the pod that we run in.
	Kubeconfig string
	// Context of the kubeconfig; empty means its current one.
	Context string
	// UserAgent of the requests.
	UserAgent string
}

// Connect reads the credentials and returns a client; it sends nothing. It
// fails when there is no configuration, or one that needs another program.
func Connect(o Options) (*Client, error) {
	c, err := connect(o)
	if err != nil {
		return nil, err
	}
	c.agent = o.UserAgent
	return c, nil
}

func connect(o Options) (*Client, error) {
	list, named := o.Kubeconfig, true
	if list == "" {
		list = os.Getenv("KUBECONFIG")
	}
	if list == "" {
		named = false
		if home, err := os.UserHomeDir(); err == nil {
			list = filepath.Join(home, ".kube", "config")
		}
	}
	for _, file := range filepath.SplitList(list) {
		text, err := os.ReadFile(file)
		if err == nil {
			return fromKubeconfig(file, text, o.Context)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the kubeconfig: %w", err)
		}
	}
	if named {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", list, fs.ErrNotExist)
	}
	if o.Context != "" {
		return nil, fmt.Errorf("there is no kubeconfig that could have the context %q (looked for %s)", o.Context, list)
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, fmt.Errorf("find a cluster: no kubeconfig at %s, and not in a pod; give --kubeconfig FILE or set $KUBECONFIG", list)
	}
	return inCluster(net.JoinHostPort(host, port), serviceAccountDir)
}

func inCluster(addr, dir string) (*Client, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("read the pod's CA: %w", err)
	}
	tokenFile := filepath.Join(dir, "token")
	if _, err := fileToken(tokenFile)(); err != nil {
		return nil, fmt.Errorf("%w (is automountServiceAccountToken off?)", err)
	}
	namespace, err := os.ReadFile(filepath.Join(dir, "namespace"))
	if err != nil {
		return nil, fmt.Errorf("read the pod's namespace: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, errors.New("read the pod's CA: no certificate in it")
	}
	return &Client{
		Namespace: strings.TrimSpace(string(namespace)),
		base:      &url.URL{Scheme: "https", Host: addr},
		origin:    "the pod's service account",
		token:     fileToken(tokenFile),
		http:      &http.Client{Transport: transport(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil), Timeout: requestLimit},
	}, nil
}

// fileToken reads the file at every request: the kubelet replaces it within
// the hour.
func fileToken(file string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
}

func transport(t *tls.Config, proxy *url.URL) *http.Transport {
	h := &http.Transport{TLSClientConfig: t, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if proxy != nil {
		h.Proxy = http.ProxyURL(proxy)
	}
	return h
}

// kubeconfig is what we read of the file; see
// https://kubernetes.io/docs/reference/config-api/kubeconfig.v1.
type kubeconfig struct {
	CurrentContext string `yaml:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User, Namespace string }
	}
	Clusters []struct {
		Name    string
		Cluster cluster
	}
	Users []struct {
		Name string
		User user
	}
}

type cluster struct {
	Server     string
	CAFile     string `yaml:"certificate-authority"`
	CA         string `yaml:"certificate-authority-data"`
	Insecure   bool   `yaml:"insecure-skip-tls-verify"`
	ServerName string `yaml:"tls-server-name"`
	Proxy      string `yaml:"proxy-url"`
}

type user struct {
	Token     string
	TokenFile string `yaml:"tokenFile"`
	CertFile  string `yaml:"client-certificate"`
	Cert      string `yaml:"client-certificate-data"`
	KeyFile   string `yaml:"client-key"`
	Key       string `yaml:"client-key-data"`
	Username  string
	// What we do not run.
	Exec         *struct{ Command string }
	AuthProvider *struct{ Name string } `yaml:"auth-provider"`
}

func fromKubeconfig(file string, text []byte, contextName string) (*Client, error) {
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		// yaml quotes the value at fault, and that may be a token.
		return nil, fmt.Errorf("parse the kubeconfig %s: it is not YAML of the form that kubectl writes (check with kubectl config view)", file)
	}
	c, err := k.client(filepath.Dir(file), contextName)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", file, err)
	}
	c.origin = fmt.Sprintf("context %q of %s", c.origin, file)
	return c, nil
}

func (k kubeconfig) client(dir, contextName string) (*Client, error) {
	if contextName == "" {
		contextName = k.CurrentContext
	}
	if contextName == "" {
		return nil, errors.New("it has no current-context; give --context NAME")
	}
	var names []string
	for _, c := range k.Contexts {
		if c.Name != contextName {
			names = append(names, c.Name)
			continue
		}
		cluster, err := k.cluster(c.Context.Cluster)
		if err != nil {
			return nil, err
		}
		user, err := k.user(c.Context.User)
		if err != nil {
			return nil, err
		}
		client, err := dial(dir, cluster, user)
		if err != nil {
			return nil, err
		}
		client.origin, client.Namespace = contextName, c.Context.Namespace
		if client.Namespace == "" {
			client.Namespace = "default"
		}
		return client, nil
	}
	return nil, fmt.Errorf("it has no context %q; it has: %s", contextName, strings.Join(names, " "))
}

func (k kubeconfig) cluster(name string) (cluster, error) {
	for _, c := range k.Clusters {
		if c.Name == name {
			return c.Cluster, nil
		}
	}
	return cluster{}, fmt.Errorf("it has no cluster %q", name)
}

func (k kubeconfig) user(name string) (user, error) {
	if name == "" {
		return user{}, nil
	}
	for _, u := range k.Users {
		if u.Name != name {
			continue
		}
		const instead = "use a service account's token (kubectl create token NAME) or a client certificate"
		switch {
		case u.User.Exec != nil:
			return user{}, fmt.Errorf("user %q gets its credentials from the program %q, which corkline does not run; %s", name, u.User.Exec.Command, instead)
		case u.User.AuthProvider != nil:
			return user{}, fmt.Errorf("user %q has the auth-provider %q, which Kubernetes has removed; %s", name, u.User.AuthProvider.Name, instead)
		case u.User.Username != "":
			return user{}, fmt.Errorf("user %q has a password, which Kubernetes no longer takes; %s", name, instead)
		}
		return u.User, nil
	}
	return user{}, fmt.Errorf("it has no user %q", name)
}

func dial(dir string, c cluster, u user) (*Client, error) {
	base, err := url.Parse(c.Server)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, fmt.Errorf("its server %q is not a URL such as https://host:6443", c.Server)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName, InsecureSkipVerify: c.Insecure}
	ca, err := material(dir, "certificate-authority", c.CA, c.CAFile)
	if err != nil {
		return nil, err
	}
	if ca != nil {
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("its certificate-authority holds no certificate")
		}
	}
	cert, err := material(dir, "client-certificate", u.Cert, u.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := material(dir, "client-key", u.Key, u.KeyFile)
	if err != nil {
		return nil, err
	}
	if cert != nil || key != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("load its client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	var proxy *url.URL
	if c.Proxy != "" {
		if proxy, err = url.Parse(c.Proxy); err != nil {
			return nil, errors.New("its proxy-url is not a URL")
		}
	}
	client := &Client{base: base, http: &http.Client{Transport: transport(t, proxy), Timeout: requestLimit}}
	switch {
	case u.Token != "":
		client.token = func() (string, error) { return u.Token, nil }
	case u.TokenFile != "":
		client.token = fileToken(beside(dir, u.TokenFile))
	}
	return client, nil
}

// material is a PEM that stands in the kubeconfig, or beside it in a file. The
// inline one counts when both are there, as kubectl has it.
func material(dir, what, inline, file string) ([]byte, error) {
	if inline != "" {
		text, err := base64.StdEncoding.DecodeString(inline)
		if err != nil {
			return nil, fmt.Errorf("decode its %s-data: %w", what, err)
		}
		return text, nil
	}
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(beside(dir, file))
	if err != nil {
		return nil, fmt.Errorf("read its %s: %w", what, err)
	}
	return text, nil
}

func beside(dir, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(dir, file)
}
