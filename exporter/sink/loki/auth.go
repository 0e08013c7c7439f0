package loki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Auth says who pushes: by HTTP basic authentication or by a bearer token.
// The files are read for each request, so that what rotates them is followed.
type Auth struct {
	Username        string
	PasswordFile    string
	BearerTokenFile string
}

func (a Auth) check() error {
	switch {
	case a.BearerTokenFile != "" && (a.Username != "" || a.PasswordFile != ""):
		return errors.New("loki.bearer_token_file: give either it or loki.basic_auth")
	case (a.Username == "") != (a.PasswordFile == ""):
		return errors.New("loki.basic_auth: username and password_file go together")
	case strings.Contains(a.Username, ":"):
		return errors.New("loki.basic_auth.username: must not hold a colon")
	}
	return nil
}

// apply sets the header of a request. Its error holds no secret.
func (a Auth) apply(header http.Header) error {
	switch {
	case a.BearerTokenFile != "":
		token, err := secret(a.BearerTokenFile)
		if err != nil {
			return fmt.Errorf("read loki.bearer_token_file: %w", err)
		}
		header.Set("Authorization", "Bearer "+token)
	case a.PasswordFile != "":
		password, err := secret(a.PasswordFile)
		if err != nil {
			return fmt.Errorf("read loki.basic_auth.password_file: %w", err)
		}
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(a.Username+":"+password)))
	}
	return nil
}

// secret in a file, without the line end that editors leave.
func secret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" || !httpguts.ValidHeaderFieldValue(value) {
		return "", fmt.Errorf("%s: is empty or holds control characters", path)
	}
	return value, nil
}

// reserved headers are the sink's own, or have a key of their own.
var reserved = []string{"Authorization", "Content-Type", "Content-Encoding", "Content-Length", "Host", "User-Agent", "X-Scope-Orgid"}

func checkHeader(name, value string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("loki.headers: %q is not a header's name", name)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("loki.headers: the value of %q holds control characters", name)
	}
	for _, r := range reserved {
		if http.CanonicalHeaderKey(name) == r {
			return fmt.Errorf("loki.headers: %q cannot be set here; there are loki.tenant, loki.basic_auth and loki.bearer_token_file", name)
		}
	}
	return nil
}

// TLS of the connection to an https Loki. The files hold PEM.
type TLS struct {
	CAFile     string // authorities besides the system's
	CertFile   string // of the client, with KeyFile
	KeyFile    string
	ServerName string // in Loki's certificate, where it is not the URL's host
}

func (t TLS) config() (*tls.Config, error) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("loki.tls: cert_file and key_file go together")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		text, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("loki.tls.ca_file: %w", err)
		}
		if config.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, fmt.Errorf("read the system's certificates: %w", err)
		}
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("loki.tls.ca_file: %s holds no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			return nil, fmt.Errorf("loki.tls.cert_file: %w", err)
		}
		// Read again for each connection: certificates are rotated.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("read loki.tls.cert_file and key_file: %w", err)
			}
			return &pair, nil
		}
	}
	return config, nil
}
