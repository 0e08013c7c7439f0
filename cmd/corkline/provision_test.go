package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/datasources"
)

// parse gives the flags of corkline provision.
func parse(t *testing.T, args ...string) (*provisionCmd, error) {
	t.Helper()
	var c provisionCmd
	parser, err := kong.New(&c, kong.Exit(func(int) { t.Fatal("the flags end the process") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return &c, err
}

// Stores come from flags, the environment and files.
func TestStoreFlags(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, value := range map[string]string{
		"CORKLINE_PROMETHEUS_URL": "http://prometheus", "CORKLINE_PROMETHEUS_USER": "u", "CORKLINE_PROMETHEUS_PASSWORD": "from the environment",
		"CORKLINE_LOKI_TENANT": "network", "CORKLINE_ALERTMANAGER_TENANT": "without a URL",
	} {
		t.Setenv(name, value)
	}
	c, err := parse(t, "render", "-n", "ns", "--loki-url=https://loki", "--loki-user=v", "--loki-password-file="+file("password", "from a file\n"),
		"--loki-ca-file="+file("ca", "ca"), "--loki-cert-file="+file("cert", "cert"), "--loki-key-file="+file("key", "key"), "--loki-skip-verify")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Render.stores()
	if err != nil {
		t.Fatal(err)
	}
	want := datasources.Stores{
		Prometheus: datasources.Store{URL: "http://prometheus", User: "u", Password: "from the environment"},
		Loki:       datasources.Store{URL: "https://loki", Tenant: "network", User: "v", Password: "from a file", CA: "ca", Cert: "cert", Key: "key", SkipVerify: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stores (-want +got):\n%s", diff)
	}
}

// No secret can be given as an argument.
func TestNoSecretFlags(t *testing.T) {
	var c provisionCmd
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range parser.Model.Leaves(false) {
		for _, group := range command.AllFlags(false) {
			for _, flag := range group {
				name := flag.Name
				if (strings.Contains(name, "password") || strings.Contains(name, "token") || strings.Contains(name, "secret-key")) && !strings.HasSuffix(name, "-file") {
					t.Errorf("%s --%s takes a secret", command.FullPath(), name)
				}
			}
		}
	}
}

func TestRenderWritesForItsOwnerOnly(t *testing.T) {
	out := filepath.Join(t.TempDir(), "manifests.yaml")
	c, err := parse(t, "render", "-n", "ns", "--no-shipped", "--loki-url=http://loki", "--out="+out)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Render.Run(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("wrote %v (%v), want mode 0600", info, err)
	}
	c.Render.Namespace = ""
	if err := c.Render.Run(); err == nil || !strings.Contains(err.Error(), "--namespace") {
		t.Errorf("without a namespace: %v", err)
	}
}

// diff tells trouble from a difference, as diff does.
func TestDiffExitCode(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	c, err := parse(t, "diff", "--no-shipped")
	if err != nil {
		t.Fatal(err)
	}
	var coder kong.ExitCoder
	if err := c.Diff.Run(t.Context()); !errors.As(err, &coder) || coder.ExitCode() != 2 {
		t.Errorf("diff without a cluster: %v, want exit code 2", err)
	}
}
