package faults

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/corkline/corkline/tests/rig"
)

// S3 is down while Loki is down. What is too old for Loki waits on disk, what is
// not waits in its file; then each line is in one place, and a replay that is
// broken off and started again puts the archived ones into Loki, once each.
func TestRow15S3Down(t *testing.T) {
	l := newLab(t, 15, "S3 down while Loki is down, then a replay that is broken off")
	client, err := stack.S3.Client(nil)
	if err != nil {
		t.Fatal(err)
	}
	const bucket = "faults"
	if err := client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(stack.S3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var down atomic.Bool
	pass := httputil.NewSingleHostReverseProxy(target)
	s3 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			cut(w, r, nil)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	defer s3.Close()
	l.write("access", stack.S3.AccessKey)
	l.write("secret", stack.S3.SecretKey)
	keys := fmt.Sprintf(`sources:
  - {definition: antrea-networkpolicy, files: [%s]}
archive: {endpoint: %q, bucket: %s, access_key_file: %s, secret_key_file: %s, flush_interval: 1s}
`, l.path("np.log"), s3.URL, bucket, l.path("access"), l.path("secret"))
	l.configure(keys)
	// The lines begin half an hour ago, and are 2 ms apart.
	l.write("corkline.yaml", strings.Replace(rig.Read(t, l.path("corkline.yaml")), "timeout: 2s}", "timeout: 2s, max_age: 29m}", 1))

	down.Store(true)
	l.proxy.behave(always(cut))
	const old, fresh = 10_000, 50_000 // the first minute is too old, by and large
	l.append("np.log", old+fresh)
	l.agent.Start()
	l.read(old + fresh)
	l.agent.AtLeast("corkline_archive_upload_failures_total", 1)
	l.kill()
	l.agent.Start()
	l.proxy.behave(nil)
	l.agent.Shows(`corkline_pipeline_lines_waiting{source="antrea-networkpolicy"}`, 0)
	down.Store(false)
	l.agent.Shows("corkline_archive_segments", 0)
	l.agent.Stop()

	args := []string{"replay", "--config", l.path("corkline.yaml"), "--from", l.from.UTC().Format(time.RFC3339), "--to", l.from.UTC().Add(time.Hour).Format(time.RFC3339)}
	pushes := 0
	broken := make(chan struct{})
	l.proxy.behave(func(push int, _ []string) fault {
		if pushes++; push == 1 {
			close(broken)
			return hang
		}
		return nil
	})
	first := exec.CommandContext(t.Context(), stack.Binary, args...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-broken
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	l.proxy.behave(nil)
	out, err := exec.CommandContext(t.Context(), stack.Binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("replay: %s\n%s", err, out)
	}
	// Loki finds what is older than its ingesters look back once it is in S3.
	l.arrived()
	again, err := exec.CommandContext(t.Context(), stack.Binary, args...).CombinedOutput()
	if err != nil || l.proxy.repeated() != l.row.SentTwice {
		t.Errorf("the replay is not over: %v\n%s", err, again)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	l.row.Note = "replay: " + lines[len(lines)-1]
}
