package provision

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/corkline/corkline/tests/rig"
)

const proven = " put get list delete"

// Both stores, twice: made and proven, then there and proven.
func TestBuckets(t *testing.T) {
	access, secret, err := servers.versity.Account(t.Context(), "loki")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  []string
		args []string
	}{
		"minio": {
			[]string{"AWS_ACCESS_KEY_ID=" + servers.stack.S3.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servers.stack.S3.SecretKey},
			[]string{"--endpoint=" + servers.stack.S3.Endpoint},
		},
		"versitygw": {
			[]string{"CORKLINE_S3_ACCESS_KEY=" + access, "CORKLINE_S3_SECRET_KEY_FILE=" + write(t, "key", secret+"\n")},
			[]string{"--endpoint=" + servers.versity.URL, "--ca-file=" + servers.versityCA},
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"buckets", "--bucket=first-bucket", "--bucket=second-bucket"}, c.args...)
			for _, action := range []string{"created", "unchanged"} {
				want := map[string]string{"first-bucket": action + proven, "second-bucket": action + proven}
				table := succeed(t, c.env, args...)
				got := map[string]string{}
				for _, line := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
					f := strings.Fields(line)
					got[f[0]] = strings.Join(f[1:], " ")
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", action, diff)
				}
			}
		})
	}
}

// Credentials in the forms that operators leave them in.
func TestBucketsCredentials(t *testing.T) {
	key, secret := servers.stack.S3.AccessKey, servers.stack.S3.SecretKey
	folder := t.TempDir()
	for name, text := range map[string]string{"accesskey": key, "secretkey": secret + "\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := "export MINIO_ROOT_USER=\"" + key + "\"\nexport MINIO_ROOT_PASSWORD='" + secret + "'\nexport MINIO_BROWSER=off\n"
	kubeconfig := namespace(t, "minio-tenant", role())
	if _, err := servers.kubernetes.Call(t.Context(), http.MethodPost, "/api/v1/namespaces/minio-tenant/secrets", map[string]any{
		"metadata": map[string]any{"name": "tenant-env"},
		"data":     map[string]string{"config.env": base64.StdEncoding.EncodeToString([]byte(config))},
	}); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"a mounted Secret": {"--credentials=" + folder},
		"config.env":       {"--credentials=" + write(t, "config.env", config)},
		"AWS's file":       {"--credentials=" + write(t, "credentials", "[other]\naws_access_key_id = x\n[default]\naws_access_key_id = "+key+"\naws_secret_access_key = "+secret+"\n")},
		"a Secret":         {"--kubeconfig=" + kubeconfig, "--credentials-secret=tenant-env"},
	} {
		t.Run(name, func(t *testing.T) {
			succeed(t, nil, append([]string{"buckets", "--endpoint=" + servers.stack.S3.Endpoint, "--bucket=credentials"}, args...)...)
		})
	}
}

func TestBucketsRefused(t *testing.T) {
	keys := func(access, secret string) []string {
		return []string{"CORKLINE_S3_ACCESS_KEY=" + access, "CORKLINE_S3_SECRET_KEY=" + secret}
	}
	root := keys(servers.stack.S3.AccessKey, servers.stack.S3.SecretKey)
	minioEndpoint, versityEndpoint, ca := "--endpoint="+servers.stack.S3.Endpoint, "--endpoint="+servers.versity.URL, "--ca-file="+servers.versityCA
	aliceKey, aliceSecret, err := servers.versity.Account(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	bobKey, bobSecret, err := servers.versity.Account(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	succeed(t, keys(aliceKey, aliceSecret), "buckets", versityEndpoint, ca, "--bucket=alices")
	other, _, err := rig.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	nobody := rig.Addr(t)
	for name, c := range map[string]struct {
		env   []string
		texts []string
		args  []string
	}{
		"an unknown key, MinIO":     {keys("x", "hunter2"), []string{"does not know the access key"}, []string{minioEndpoint}},
		"a wrong secret, MinIO":     {keys(servers.stack.S3.AccessKey, "hunter2"), []string{"secret key is not the one"}, []string{minioEndpoint}},
		"an unknown key, versitygw": {keys("x", "hunter2"), []string{"does not know the access key"}, []string{versityEndpoint, ca}},
		"a wrong secret, versitygw": {keys(aliceKey, "hunter2"), []string{"secret key is not the one"}, []string{versityEndpoint, ca}},
		"an unknown CA":             {keys(aliceKey, aliceSecret), []string{"unknown authority", "--ca-file"}, []string{versityEndpoint}},
		"a foreign CA":              {keys(aliceKey, aliceSecret), []string{"--ca-file"}, []string{versityEndpoint, "--ca-file=" + other}},
		"another's bucket":          {keys(bobKey, bobSecret), []string{`"alices"`, "belongs to another account", "--bucket"}, []string{versityEndpoint, ca, "--bucket=alices"}},
		"no store":                  {root, []string{"connection refused", "no answer within 1s"}, []string{"--endpoint=http://" + nobody, "--wait=1s"}},
		"http to https":             {root, []string{"TLS"}, []string{"--endpoint=" + strings.Replace(servers.stack.S3.Endpoint, "http:", "https:", 1), "--wait=3s"}},
		"a bucket's name":           {root, []string{`"No_Bucket"`, "lower-case"}, []string{minioEndpoint, "--bucket=No_Bucket"}},
		"a password in the URL":     {root, []string{"want http(s)://host:port"}, []string{"--endpoint=http://u:hunter2@s3"}},
		"no credentials":            {nil, []string{"none in the environment"}, []string{minioEndpoint}},
		"half of them":              {[]string{"AWS_ACCESS_KEY_ID=x"}, []string{"no AWS_SECRET_ACCESS_KEY"}, []string{minioEndpoint}},
		"a Secret without":          {nil, []string{"line 1"}, []string{minioEndpoint, "--credentials=" + write(t, "config.env", "hunter2")}},
	} {
		t.Run(name, func(t *testing.T) {
			_, stderr, _ := corkline(t, c.env, append([]string{"buckets"}, c.args...)...)
			if strings.Contains(stderr, "hunter2") || strings.Contains(stderr, servers.stack.S3.SecretKey) {
				t.Errorf("the error shows a secret: %s", stderr)
			}
			refuse(t, c.env, 1, c.texts, append([]string{"buckets"}, c.args...)...)
		})
	}
}

// Who may write and not delete is told so, with what did work.
func TestBucketsMissingRight(t *testing.T) {
	assume, err := credentials.NewSTSAssumeRole(servers.stack.S3.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: servers.stack.S3.AccessKey, SecretKey: servers.stack.S3.SecretKey,
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject","s3:ListBucket","s3:GetBucketLocation"],"Resource":["arn:aws:s3:::*"]}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := assume.GetWithContext(&credentials.CredContext{Client: &http.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := servers.stack.S3.Client(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), "no-delete", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	env := []string{"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey, "AWS_SESSION_TOKEN=" + keys.SessionToken}
	stdout, stderr, code := corkline(t, env, "buckets", "--endpoint="+servers.stack.S3.Endpoint, "--bucket=no-delete")
	if code != 1 || !strings.Contains(stdout, "failed  put get list") || !strings.Contains(stderr, `delete an object in bucket "no-delete"`) || !strings.Contains(stderr, "DeleteObject") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}
