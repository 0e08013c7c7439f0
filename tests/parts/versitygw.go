package parts

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/corkline/corkline/deploy/local"
)

// Versity is an S3 with accounts of its own; see
// https://github.com/versity/versitygw.
type Versity struct {
	URL string
	// AccessKey and SecretKey of its root.
	AccessKey string
	SecretKey string

	path    string
	process *local.Process
}

// StartVersity starts it on loopback, over TLS when there is a certificate
// with its key.
func StartVersity(ctx context.Context, dir, certFile, keyFile string, progress *local.Progress) (*Versity, error) {
	path, err := binary(ctx, VersityGW, progress)
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{"iam", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("create a folder of versitygw: %w", err)
		}
	}
	addr, err := local.FreeAddr()
	if err != nil {
		return nil, err
	}
	v := &Versity{URL: "http://" + addr, AccessKey: rand.Text(), SecretKey: rand.Text(), path: path}
	args := []string{"--port", addr, "--iam-dir", filepath.Join(dir, "iam"), "--quiet"}
	if certFile != "" {
		v.URL = "https://" + addr
		args = append(args, "--cert", certFile, "--key", keyFile)
	}
	v.process = &local.Process{
		Name: "versitygw", URL: v.URL, Path: path, LogFile: filepath.Join(dir, "versitygw.log"),
		Args:  append(args, "posix", filepath.Join(dir, "data")),
		Env:   []string{"ROOT_ACCESS_KEY_ID=" + v.AccessKey, "ROOT_SECRET_ACCESS_KEY=" + v.SecretKey, "PATH=" + os.Getenv("PATH")},
		Ready: listens(addr),
	}
	if err := v.process.Start(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// listens tells whether it takes connections.
func listens(addr string) func(context.Context) error {
	var dialer net.Dialer
	return func(ctx context.Context) error {
		connection, err := dialer.DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("connect to versitygw: %w", err)
		}
		return connection.Close()
	}
}

// Account makes one that may have buckets of its own, and returns its keys.
func (v *Versity) Account(ctx context.Context, name string) (accessKey, secretKey string, err error) {
	secretKey = rand.Text()
	command := exec.CommandContext(ctx, v.path, "admin", "--endpoint-url", v.URL, "--allow-insecure",
		"create-user", "--access", name, "--secret", secretKey, "--role", "userplus")
	command.Env = append(os.Environ(), "ADMIN_ACCESS_KEY_ID="+v.AccessKey, "ADMIN_SECRET_ACCESS_KEY="+v.SecretKey)
	if out, err := command.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("make an account in versitygw: %w: %s", err, out)
	}
	return name, secretKey, nil
}

// Stop stops it.
func (v *Versity) Stop() error { return v.process.Stop() }
