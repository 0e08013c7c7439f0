package tests

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/rig"
)

// issuer of web identities, as a cluster is one of its service accounts.
type issuer struct {
	url string
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/none", "token_endpoint": i.url + "/none",
			"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		text := base64.RawURLEncoding.EncodeToString
		answer(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
			"n": text(key.N.Bytes()), "e": text(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

// token of an account, for an audience.
func (i *issuer) token(t *testing.T, audience string) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	now := time.Now().Unix()
	signed := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": "1"}) + "." + part(map[string]any{
		"iss": i.url, "sub": "system:serviceaccount:corkline:corkline", "aud": audience, "iat": now, "exp": now + 3600, "policy": "readwrite",
	})
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// A MinIO gives keys for the token of a service account: not for one with
// another audience, and for the right one once that is there.
func TestArchive_WebIdentity(t *testing.T) {
	tokens := newIssuer(t)
	dir := t.TempDir()
	addr, err := local.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + addr
	store := &local.Process{
		Name: "minio with identities", URL: endpoint, Path: stack.MinIO.Path, LogFile: filepath.Join(dir, "minio.log"),
		Args: []string{"server", "--quiet", "--address", addr, "--config-dir", filepath.Join(dir, "config"), filepath.Join(dir, "data")},
		Env: append(slices.Clone(stack.MinIO.Env),
			"MINIO_IDENTITY_OPENID_CONFIG_URL="+tokens.url+"/.well-known/openid-configuration",
			"MINIO_IDENTITY_OPENID_CLIENT_ID=archive", "MINIO_IDENTITY_OPENID_CLAIM_NAME=policy"),
		Ready: local.Answers(endpoint + "/minio/health/ready"),
	}
	if err := store.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := minio.New(addr, &minio.Options{
		Creds: credentials.NewStaticV4(stack.S3.AccessKey, stack.S3.SecretKey, ""), Region: stack.S3.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), archiveBucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}

	n := newNode(t, "identity")
	n.maxAge()
	text := rig.Read(t, filepath.Join(n.dir, "corkline.yaml"))
	n.write("corkline.yaml", fmt.Sprintf("%s\narchive: {endpoint: %q, bucket: %s, flush_interval: 1s}\n", text, endpoint, archiveBucket))
	n.write("token", tokens.token(t, "another"))
	n.agent.Env = []string{"AWS_WEB_IDENTITY_TOKEN_FILE=" + filepath.Join(n.dir, "token")}
	n.append(500)
	n.agent.Start()
	n.agent.Says(regexp.MustCompile(`get the keys for the web identity in .*check AWS_ROLE_ARN`))
	n.write("token", tokens.token(t, "archive"))
	inS3(t, client, "identity", 500)
	n.agent.Stop()
	n.ledger(500, 0, 500)
	if strings.Contains(n.agent.Said(), tokens.token(t, "archive")[:40]) {
		t.Error("the log has a token")
	}
}
