package archive

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// metadata is the service of a machine that has a role (IMDSv2), and that of a
// container. It stands in for the real ones, which are only in Amazon's cloud.
type metadata struct {
	*httptest.Server
	away  atomic.Bool
	asked atomic.Int64 // keys that were given out
	clock func() time.Time
}

const (
	lifetime     = time.Hour
	sessionToken = "session of IMDSv2"
	podToken     = "token of the pod"
)

func newMetadata(t *testing.T, clock func() time.Time) *metadata {
	t.Helper()
	m := &metadata{clock: clock}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const roles = "/latest/meta-data/iam/security-credentials/"
	authorized := r.Header.Get("X-Aws-Ec2-Metadata-Token") == sessionToken
	switch path := r.Method + " " + r.URL.Path; {
	case m.away.Load():
		http.Error(w, "away", http.StatusServiceUnavailable)
	case path == "PUT /latest/api/token" && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "":
		_, _ = io.WriteString(w, sessionToken)
	case path == "GET "+roles && authorized:
		_, _ = io.WriteString(w, "corkline\n")
	case path == "GET "+roles+"corkline" && authorized, path == "GET /pod" && r.Header.Get("Authorization") == podToken:
		n := m.asked.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{
			"Code": "Success", "AccessKeyId": fmt.Sprintf("key%d", n), "SecretAccessKey": "hunter2",
			"Token": fmt.Sprintf("token%d", n), "Expiration": m.clock().Add(lifetime),
		})
	default:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	}
}

// noKeys in the environment, but for those of a role.
func noKeys(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"CORKLINE_S3_ACCESS_KEY", "CORKLINE_S3_SECRET_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY",
	} {
		t.Setenv(name, "")
		t.Setenv(name+"_FILE", "")
	}
	for _, name := range []string{
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL_STS", "AWS_REGION",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED",
	} {
		t.Setenv(name, "")
	}
}

// The keys of a role are asked for again before they end, and serve until then
// while nobody answers.
func TestRoleKeys(t *testing.T) {
	for _, of := range []string{"machine", "container"} {
		t.Run(of, func(t *testing.T) {
			noKeys(t)
			now := time.Unix(1_800_000_000, 0)
			m := newMetadata(t, func() time.Time { return now })
			says := "get the keys of the machine's role from its metadata service: 503 Service Unavailable; set archive.access_key_file"
			if of == "machine" {
				t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", m.URL+"/")
			} else {
				path := filepath.Join(t.TempDir(), "token")
				if err := os.WriteFile(path, []byte(podToken), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", m.URL+"/pod")
				t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", podToken)
				t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path)
				says = "get the keys of the container from"
			}
			k := newRoleKeys(S3Options{})
			k.now = func() time.Time { return now }
			keys := credentials.New(k)
			f := func(want string) {
				t.Helper()
				v, err := keys.GetWithContext(nil)
				if err != nil || v.AccessKeyID != "key"+want || v.SessionToken != "token"+want {
					t.Errorf("got %q and %q, %v, want those of %s", v.AccessKeyID, v.SessionToken, err, want)
				}
			}
			f("1")
			now = now.Add(lifetime * 3 / 4)
			f("1")
			now = now.Add(lifetime / 10)
			f("2")
			m.away.Store(true)
			now = now.Add(lifetime * 9 / 10)
			f("2")
			m.away.Store(false)
			f("2") // not asked at once
			now = now.Add(askAgain)
			f("3")
			m.away.Store(true)
			now = now.Add(lifetime)
			if _, err := keys.GetWithContext(nil); err == nil || !strings.HasPrefix(err.Error(), says) {
				t.Errorf("error is %v, want %q", err, says)
			}
			m.away.Store(false)
			f("4")
		})
	}
}

// What is configured for a role and does not work says what to look at.
func TestRoleKeys_Faults(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	answer := func(status int, text string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	f := func(env map[string]string, endpoint, want string) {
		t.Helper()
		noKeys(t)
		for name, value := range env {
			t.Setenv(name, value)
		}
		if endpoint == "" {
			endpoint = gone.URL
		}
		s, err := NewS3(S3Options{Endpoint: endpoint, Bucket: "lines", Region: "us-east-1"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Put(t.Context(), "x.json", []byte("x")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	f(map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": gone.URL}, "", "from its metadata service: dial tcp ")
	f(map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": answer(200, "{}")}, "", "from its metadata service: ")
	f(map[string]string{"AWS_EC2_METADATA_DISABLED": "true"}, "", "no keys are configured")
	f(map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": answer(200, "{}")}, "", "the answer has no keys; check AWS_CONTAINER")
	f(map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/"}, "", "not a loopback address")
	f(map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": filepath.Join(dir, "none")}, "", "no such file or directory; check AWS_ROLE_ARN")
	// A store of one's own has its STS at its endpoint, unless another is named.
	const refused = `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Code>AccessDenied</Code><Message>not for you</Message></Error></ErrorResponse>`
	f(map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token}, answer(http.StatusForbidden, refused), "not for you; check AWS_ROLE_ARN")
	f(map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ENDPOINT_URL_STS": answer(http.StatusForbidden, refused)}, "", "not for you; check AWS_ROLE_ARN")
}

// Keys that S3 knows no more are asked for again before their time.
func TestRoleKeys_Revoked(t *testing.T) {
	noKeys(t)
	m := newMetadata(t, time.Now)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", m.URL)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=key2/") || r.Header.Get("X-Amz-Security-Token") != "token2" {
			answers(http.StatusForbidden, "ExpiredToken")(w, r)
			return
		}
		w.Header().Set("ETag", `"x"`)
	}))
	t.Cleanup(server.Close)
	s, err := NewS3(S3Options{Endpoint: server.URL, Bucket: "lines", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "x.json", []byte("x")); err == nil {
		t.Error("the first keys are taken")
	}
	if err := s.Put(t.Context(), "x.json", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
