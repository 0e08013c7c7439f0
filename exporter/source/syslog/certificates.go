package syslog

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// TLSFiles name what a TLS listener shows and asks for.
type TLSFiles struct {
	Certificate, Key string // PEM; the certificate may be a chain
	ClientCA         string // PEM; if set, only clients with a certificate of these authorities are taken
}

// certificates gives the files' content as it is now. When the files change to
// what cannot be used, the content before goes on.
type certificates struct {
	files TLSFiles
	log   *slog.Logger

	mu      sync.Mutex
	seen    [3]fs.FileInfo
	current *tls.Config
}

func loadCertificates(files TLSFiles, log *slog.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log}
	c.seen = c.look()
	var err error
	c.current, err = files.load()
	return c, err
}

// look at the files; what is not there is nil.
func (c *certificates) look() (infos [3]fs.FileInfo) {
	for i, file := range []string{c.files.Certificate, c.files.Key, c.files.ClientCA} {
		if info, err := os.Stat(file); err == nil {
			infos[i] = info
		}
	}
	return infos
}

// config is for tls.Config.GetConfigForClient.
func (c *certificates) config(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if seen := c.look(); !same(seen, c.seen) {
		c.seen = seen
		if changed, err := c.files.load(); err != nil {
			c.log.Error("refuse changed TLS files; those before go on", "error", err)
		} else {
			c.current = changed
		}
	}
	return c.current, nil
}

// same tells whether the same files with the same content were seen, as far as
// size and time tell.
func same(a, b [3]fs.FileInfo) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime())) {
			return false
		}
	}
	return true
}

// Check tells whether the files can be used.
func (f TLSFiles) Check() error {
	_, err := f.load()
	return err
}

func (f TLSFiles) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("load TLS certificate %q and key %q: %w", f.Certificate, f.Key, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if f.ClientCA == "" {
		return config, nil
	}
	text, err := os.ReadFile(f.ClientCA)
	config.ClientCAs = x509.NewCertPool()
	if err == nil && !config.ClientCAs.AppendCertsFromPEM(text) {
		err = errors.New("it holds no certificate")
	}
	if err != nil {
		return nil, fmt.Errorf("load authorities of TLS clients %q: %w", f.ClientCA, err)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}
