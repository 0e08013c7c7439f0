package loki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAuth(t *testing.T) {
	var mu sync.Mutex
	var got []string
	wanted := "" // else 401
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		io.Copy(io.Discard, r.Body)
		got = append(got, r.Header.Get("Authorization")+" "+r.Header.Get("X-Scope-OrgID")+" "+r.Header.Get("X-Team"))
		if wanted != "" && r.Header.Get("Authorization") != wanted {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	f := func(o Options, want ...string) {
		t.Helper()
		o.URL, o.MaxBackoff = server.URL, time.Millisecond
		s := newSink(t, o)
		got = nil
		if err := s.Begin(batchOf("s", "one"))(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	f(Options{}, "  ")
	f(Options{Headers: map[string]string{"x-team": "net"}, Tenant: "t"}, " t net")
	f(Options{Auth: Auth{Username: "user", PasswordFile: write(t, "password", "pa:ss\n")}}, "Basic dXNlcjpwYTpzcw==  ")
	f(Options{Auth: Auth{BearerTokenFile: write(t, "token", "abc\r\n")}}, "Bearer abc  ")

	// A token that is changed, or that was not there yet, is taken.
	wanted = "Bearer new"
	token := write(t, "token", "old")
	s := newSink(t, Options{URL: server.URL, MaxBackoff: time.Millisecond, Auth: Auth{BearerTokenFile: token}})
	done := make(chan error, 1)
	go func() { done <- s.Begin(batchOf("s", "one"))(t.Context()) }()
	until(t, s, "loki answered 401: check loki.tenant and credentials: Unauthorized")
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	until(t, s, "read loki.bearer_token_file: open "+token+": no such file or directory")
	if err := os.WriteFile(token, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// until the sink's last error holds that text.
func until(t *testing.T, s *Sink, want string) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(30 * time.Second)
	for !strings.Contains(s.State().LastError, want) {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("last error is %q, want %q", s.State().LastError, want)
		}
	}
}

func TestAuth_Faults(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		o.URL = "https://loki"
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", o, err, want)
		}
	}
	f(Options{Auth: Auth{BearerTokenFile: "a", Username: "u"}}, "loki.bearer_token_file: give either")
	f(Options{Auth: Auth{Username: "u"}}, "loki.basic_auth: username and password_file go together")
	f(Options{Auth: Auth{PasswordFile: "u"}}, "loki.basic_auth: username and password_file go together")
	f(Options{Auth: Auth{Username: "u:v", PasswordFile: "p"}}, "must not hold a colon")
	f(Options{Headers: map[string]string{"a b": "c"}}, `loki.headers: "a b" is not a header's name`)
	f(Options{Headers: map[string]string{"a": "c\nd"}}, `loki.headers: the value of "a"`)
	f(Options{Headers: map[string]string{"x-scope-orgid": "c"}}, `loki.headers: "x-scope-orgid" cannot be set here`)
	f(Options{TLS: TLS{CertFile: "a"}}, "loki.tls: cert_file and key_file go together")
	f(Options{TLS: TLS{CAFile: "/none"}}, "loki.tls.ca_file: open /none")
	f(Options{TLS: TLS{CAFile: write(t, "ca.crt", "no certificate")}}, "holds no certificate in PEM")
	f(Options{TLS: TLS{CertFile: "/none", KeyFile: "/none"}}, "loki.tls.cert_file: open /none")

	for text, want := range map[string]string{"": "is empty", "\n": "is empty", "a\x00b": "control characters"} {
		if _, err := secret(write(t, "s", text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// authority makes certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = write(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue files of a certificate and its key, for this machine and loki.test.
func (a *authority) issue(name string) (certFile, keyFile string) {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, DNSNames: []string{"loki.test"},
	}
	if name == "local" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return write(a.t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(a.t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

func TestTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	serve := func(name string, clients bool) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
		}))
		pair, err := tls.LoadX509KeyPair(ours.issue(name))
		if err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		if clients {
			server.TLS.ClientAuth = tls.RequireAndVerifyClientCert
			server.TLS.ClientCAs = x509.NewCertPool()
			server.TLS.ClientCAs.AddCert(ours.cert)
		}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	local, named, mutual := serve("local", false), serve("named", false), serve("local", true)
	f := func(url string, o TLS, want string) {
		t.Helper()
		s := newSink(t, Options{URL: url, MaxBackoff: time.Millisecond, TLS: o})
		if want == "" {
			if err := s.Begin(batchOf("s", "one"))(t.Context()); err != nil {
				t.Error(err)
			}
			return
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Begin(batchOf("s", "one"))(ctx) }()
		until(t, s, want)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	f(local, TLS{CAFile: ours.file}, "")
	f(local, TLS{CAFile: others.file}, "unknown authority")
	f(local, TLS{}, "unknown authority")
	f(named, TLS{CAFile: ours.file}, "doesn't contain any IP SANs")
	f(named, TLS{CAFile: ours.file, ServerName: "loki.test"}, "")
	f(mutual, TLS{CAFile: ours.file}, "certificate required")
	cert, key := ours.issue("agent")
	f(mutual, TLS{CAFile: ours.file, CertFile: cert, KeyFile: key}, "")
}
