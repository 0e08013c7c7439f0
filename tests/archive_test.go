package tests

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/exporter/sink/archive"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/tests/parts"
	"github.com/corkline/corkline/tests/rig"
)

const archiveBucket = "lines"

// archiveClient makes the bucket.
func archiveClient(t *testing.T) *minio.Client {
	t.Helper()
	client, err := minio.New(strings.TrimPrefix(stack.S3.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(stack.S3.AccessKey, stack.S3.SecretKey, ""), Region: stack.S3.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	exists, err := client.BucketExists(t.Context(), archiveBucket)
	if err == nil && !exists {
		err = client.MakeBucket(t.Context(), archiveBucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// maxAge of lines is below that of the node's.
func (n *node) maxAge() {
	n.t.Helper()
	text := rig.Read(n.t, filepath.Join(n.dir, "corkline.yaml"))
	n.write("corkline.yaml", strings.Replace(text, "timeout: 5s}", "timeout: 5s, max_age: 10m}", 1))
}

// archiveKeys of the configuration: where lines go that are too old.
func (n *node) archiveKeys(endpoint, extra string) {
	n.t.Helper()
	n.maxAge()
	n.write("access", stack.S3.AccessKey+"\n")
	n.write("secret", stack.S3.SecretKey+"\n")
	text := rig.Read(n.t, filepath.Join(n.dir, "corkline.yaml"))
	n.write("corkline.yaml", fmt.Sprintf("%s\narchive: {endpoint: %q, bucket: %s, access_key_file: %s/access, secret_key_file: %s/secret, flush_interval: 1s%s}\n",
		text, endpoint, archiveBucket, n.dir, n.dir, extra))
}

// manifests of a cluster's objects.
func manifests(ctx context.Context, client *minio.Client, cluster string) (all []archive.Manifest, err error) {
	objects := 0
	for object := range client.ListObjects(ctx, archiveBucket, minio.ListObjectsOptions{Prefix: "corkline/" + cluster + "/", Recursive: true}) {
		if object.Err != nil {
			return nil, object.Err
		}
		if strings.HasSuffix(object.Key, ".jsonl.zst") {
			objects++
		}
		if !strings.HasSuffix(object.Key, ".manifest.json") {
			continue
		}
		reader, err := client.GetObject(ctx, archiveBucket, object.Key, minio.GetObjectOptions{})
		if err != nil {
			return nil, err
		}
		var m archive.Manifest
		err = json.NewDecoder(reader).Decode(&m)
		if err := errors.Join(err, reader.Close()); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if objects != len(all) {
		return nil, fmt.Errorf("%d objects have %d manifests", objects, len(all))
	}
	return all, nil
}

func linesIn(manifests []archive.Manifest) (n int) {
	for _, m := range manifests {
		n += m.Lines
	}
	return n
}

// runFor runs the binary until a context ends, and gives what it prints and its exit code.
func runFor(ctx context.Context, t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return rig.Run(t, exec.CommandContext(ctx, stack.Binary, args...))
}

// ledger holds what became of the lines.
func (n *node) ledger(read, shipped, deadLettered int64) {
	n.t.Helper()
	accounts := rig.Ledger(n.t, stack.Binary, filepath.Join(n.dir, "state"))
	if len(accounts) != 1 {
		n.t.Fatalf("%d accounts", len(accounts))
	}
	if a := accounts[0]; a.Read != read || a.Shipped != shipped || a.DeadLettered != deadLettered {
		n.t.Errorf("read %d, shipped %d, dead-lettered %d; want %d, %d and %d", a.Read, a.Shipped, a.DeadLettered, read, shipped, deadLettered)
	}
}

// replayed gives the lines of a selector within an hour, in the order of their texts.
func replayed(t *testing.T, selector string, from time.Time, count int) (lines []string) {
	t.Helper()
	rig.Eventually(t, "find the lines in Loki", func(ctx context.Context) error {
		entries, err := logQL(ctx, selector, from.Add(-time.Minute), from.Add(time.Hour))
		if err != nil {
			return err
		}
		lines = nil
		for _, e := range entries {
			lines = append(lines, e.Line)
		}
		if len(lines) < count {
			return fmt.Errorf("%d of %d lines", len(lines), count)
		}
		return nil
	})
	slices.Sort(lines)
	return lines
}

// gate is a way to S3 that is shut until it is opened.
type gate struct {
	url  string
	open atomic.Bool
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	g := &gate{}
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	// The host is what requests are signed for.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.open.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.url = server.URL
	return g
}

const deadSeries = `corkline_pipeline_lines_dead_lettered_total{source="antrea-networkpolicy"}`

// Lines that are too old for Loki go to S3, wherever the agent is killed, each
// once; replay puts them into a Loki that takes them, each once.
func TestArchive(t *testing.T) {
	client := archiveClient(t)
	n := newNode(t, "archived")
	n.archiveKeys(stack.S3.Endpoint, ", segment_bytes: 100000")
	const lines = 6_000
	for range 12 {
		n.append(lines / 12)
		n.agent.Start()
		n.agent.AtLeast(readSeries, 1)
		n.agent.Kill()
	}
	n.agent.Start()
	inS3(t, client, "archived", lines)
	n.agent.Stop()
	n.ledger(lines, 0, lines)

	// The stack's Loki takes them; loki.max_age is for the agent.
	args := []string{"replay", "--config", filepath.Join(n.dir, "corkline.yaml"), "--from", n.from.UTC().Format(time.RFC3339), "--to", n.from.UTC().Add(time.Hour).Format(time.RFC3339)}
	out, log, code := runFor(t.Context(), t, append(args, "--dry-run")...)
	if code != 0 || !strings.Contains(out, fmt.Sprintf(": %d lines in ", lines)) || !strings.Contains(log, "dry run: nothing was pushed") {
		t.Fatalf("exit code %d: %s%s", code, out, log)
	}
	id := strings.TrimSuffix(strings.Fields(out)[1], ":")
	for i := range 3 { // killed after a while
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(300+300*i)*time.Millisecond)
		_, _, _ = runFor(ctx, t, args...)
		cancel()
	}
	out, log, code = runFor(t.Context(), t, args...)
	if code != 0 || !strings.Contains(out, "refused again 0,") && !strings.Contains(out, "nothing is left to push") {
		t.Fatalf("exit code %d: %s%s", code, out, log)
	}
	out, log, code = runFor(t.Context(), t, args...)
	if code != 0 || !strings.Contains(out, fmt.Sprintf("replayed before: %d lines\nnothing is left to push", lines)) {
		t.Fatalf("exit code %d: %s%s", code, out, log)
	}
	got := replayed(t, fmt.Sprintf(`{replay=%q, cluster="archived"}`, id), n.from, lines)
	want := slices.Clone(n.written)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines of the replay (-want +got):\n%s", diff)
	}
}

// inS3 waits until the objects of a cluster have that many lines.
func inS3(t *testing.T, client *minio.Client, cluster string, lines int) {
	t.Helper()
	rig.Eventually(t, "find the lines in S3", func(ctx context.Context) error {
		all, err := manifests(ctx, client, cluster)
		if err == nil && linesIn(all) != lines {
			err = fmt.Errorf("%d of %d lines in %d objects", linesIn(all), lines, len(all))
		}
		return err
	})
}

// Over TLS lines wait while nobody has told whom to trust, and while the account
// may not write; then they are uploaded, each once.
func TestArchive_TLS(t *testing.T) {
	dir := t.TempDir()
	ca, key, err := rig.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	versity, err := parts.StartVersity(t.Context(), dir, ca, key, local.NewProgress(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := versity.Stop(); err != nil {
			t.Error(err)
		}
	})
	account := func(name string) (access, secret string, client *minio.Client) {
		access, secret, err := versity.Account(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		transport, err := minio.DefaultTransport(true)
		if err != nil {
			t.Fatal(err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(rig.Read(t, ca)))
		client, err = minio.New(strings.TrimPrefix(versity.URL, "https://"), &minio.Options{
			Creds: credentials.NewStaticV4(access, secret, ""), Secure: true, Region: "us-east-1", Transport: transport,
		})
		if err != nil {
			t.Fatal(err)
		}
		return access, secret, client
	}
	_, otherSecret, _ := account("other")
	access, secret, client := account("corkline")
	if err := client.MakeBucket(t.Context(), archiveBucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}

	n := newNode(t, "over-tls")
	n.archiveKeys(versity.URL, ", segment_bytes: 20000")
	n.write("access", "other\n")
	n.write("secret", otherSecret+"\n")
	n.append(1_000)
	n.agent.Start()
	n.agent.AtLeast(deadSeries, 1_000)
	n.agent.Says(regexp.MustCompile(`unknown authority`))
	n.agent.Kill()

	text := rig.Read(t, filepath.Join(n.dir, "corkline.yaml"))
	n.write("corkline.yaml", strings.Replace(text, "archive: {", "archive: {ca_file: "+ca+", ", 1))
	n.agent.Start()
	n.agent.Says(regexp.MustCompile(`the key needs s3:PutObject`))
	n.agent.AtLeast("corkline_archive_segments", 2)

	// Keys are read again, without a restart.
	n.write("access", access+"\n")
	n.write("secret", secret+"\n")
	inS3(t, client, "over-tls", 1_000)
	n.agent.Shows("corkline_archive_segments", 0)
	n.agent.Stop()
	n.ledger(1_000, 0, 1_000)
	for _, secret := range []string{secret, otherSecret} {
		if strings.Contains(n.agent.Said(), secret) {
			t.Error("the log has a secret key")
		}
	}
}

// A role's temporary keys, which may do nothing but what an archive needs.
func TestArchive_Role(t *testing.T) {
	client := archiveClient(t)
	assume, err := credentials.NewSTSAssumeRole(stack.S3.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: stack.S3.AccessKey, SecretKey: stack.S3.SecretKey,
		Policy: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject"],"Resource":["arn:aws:s3:::` + archiveBucket + `/corkline/*"]}]}`,
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := assume.GetWithContext(&credentials.CredContext{Client: &http.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, "role")
	n.maxAge()
	text := rig.Read(t, filepath.Join(n.dir, "corkline.yaml"))
	n.write("corkline.yaml", fmt.Sprintf("%s\narchive: {endpoint: %q, bucket: %s, flush_interval: 1s}\n", text, stack.S3.Endpoint, archiveBucket))
	n.agent.Env = []string{"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey, "AWS_SESSION_TOKEN=" + keys.SessionToken}
	n.append(500)
	n.agent.Start()
	inS3(t, client, "role", 500)
	n.agent.Stop()
	n.ledger(500, 0, 500)
}

// While S3 and Loki are away all waits; afterwards all is where it belongs.
func TestArchive_S3Away(t *testing.T) {
	client := archiveClient(t)
	n := newNode(t, "s3-away")
	proxy := newGate(t, stack.S3.Endpoint)
	n.archiveKeys(proxy.url, ", segment_bytes: 20000")
	n.append(1_000)
	n.lines = rig.Lines(t, simulation.Log{Seed: 8, Start: time.Now().Add(-time.Minute).Truncate(time.Second), Step: 5 * time.Millisecond, Layouts: simulation.Layouts()})
	n.append(1_000)
	n.agent.Start()
	n.agent.AtLeast(deadSeries, 1_000)
	n.agent.AtLeast(shippedSeries, 1_000)
	n.agent.AtLeast("corkline_archive_upload_failures_total", 1)
	n.agent.AtLeast("corkline_archive_segments", 2)
	if all, err := manifests(t.Context(), client, "s3-away"); err != nil || len(all) > 0 {
		t.Fatalf("%v, %d objects", err, len(all))
	}
	n.agent.Kill()
	n.agent.Start()
	proxy.open.Store(true)
	inS3(t, client, "s3-away", 1_000)
	n.agent.Shows("corkline_archive_segments", 0)
	n.agent.Stop()
	n.ledger(2_000, 1_000, 1_000)
}

// Without S3 the lines stay on the node, and are replayed from there.
func TestArchive_Folder(t *testing.T) {
	n := newNode(t, "folder")
	n.maxAge()
	n.append(500)
	n.agent.Start()
	n.agent.AtLeast(deadSeries, 500)
	n.agent.Kill()
	args := []string{
		"replay", "--config", filepath.Join(n.dir, "corkline.yaml"), "--dir", filepath.Join(n.dir, "state", "archive"), "--id", "by-hand",
		"--from", n.from.UTC().Format(time.RFC3339), "--to", n.from.UTC().Add(time.Hour).Format(time.RFC3339),
	}
	out, log, code := runFor(t.Context(), t, args...)
	if code != 0 || !strings.Contains(out, `pushed 500 lines with the label replay="by-hand", refused again 0, skipped 0`) {
		t.Fatalf("exit code %d: %s%s", code, out, log)
	}
	got := replayed(t, `{replay="by-hand"}`, n.from, 500)
	want := slices.Clone(n.written)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines of the replay (-want +got):\n%s", diff)
	}
}
