package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

func TestLive(t *testing.T) {
	if os.Getenv("LIVE") == "" { t.Skip() }
	ctx := t.Context()
	begin := time.Now()
	srv := http.Server{Addr: "127.0.0.1:19555", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "corkline_x 7\n") })}
	go srv.ListenAndServe()
	defer srv.Close()
	dir := os.Getenv("LIVE_DIR")
	if dir == "" { dir = t.TempDir() }
	s, err := Start(ctx, Options{Dir: dir, Progress: NewProgress(os.Stderr), Scrape: []string{"127.0.0.1:19555"}, OnExit: func(err error) { t.Error(err) }})
	if err != nil { t.Fatal(err) }
	t.Log("up in", time.Since(begin))
	defer func() { b := time.Now(); t.Log("stop", s.Stop(), time.Since(b)) }()
	push := func(age time.Duration, text string) {
		body := fmt.Sprintf(`{"streams":[{"stream":{"job":"t","a":"%d"},"values":[["%d",%q]]}]}`, age, time.Now().Add(-age).UnixNano(), text)
		r, err := http.Post(s.Loki.URL+"/loki/api/v1/push", "application/json", bytes.NewBufferString(body))
		if err != nil { t.Fatal(err) }
		b, _ := io.ReadAll(r.Body); r.Body.Close()
		t.Log("push", r.Status, string(b))
	}
	get := func(u string) string {
		r, err := http.Get(u); if err != nil { return err.Error() }
		b, _ := io.ReadAll(r.Body); r.Body.Close(); return string(b[:min(len(b), 400)])
	}
	query := func(age time.Duration) string { return get(s.Loki.URL + "/loki/api/v1/query_range?query=" + url.QueryEscape(`{job="t"}`) + fmt.Sprintf("&start=%d&end=%d", time.Now().Add(-age-time.Hour).UnixNano(), time.Now().Add(-age+time.Hour).UnixNano())) }
	list := func(bucket string) {
		c, err := s.S3.Client(nil); if err != nil { t.Fatal(err) }
		for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) { t.Log(bucket, o.Key, o.Size, o.Err) }
	}
	push(0, "fresh")
	push(1000*24*time.Hour, "old")
	for range 5 { t.Log("old before flush", query(1000*24*time.Hour)); time.Sleep(time.Second) }
	r, err := http.Post(s.Loki.URL+"/flush", "", nil); t.Log(r.Status, err)
	poll(ctx, time.Second, func(context.Context) error { c, _ := s.S3.Client(nil); for o := range c.ListObjects(ctx, "chunks", minio.ListObjectsOptions{Recursive: true}) { _ = o; return nil }; return io.EOF })
	list("chunks")
	t.Log("old after flush", query(1000*24*time.Hour))
	r, err = http.Post(s.Loki.URL+"/loki/api/v1/rules/ns", "application/yaml", bytes.NewBufferString("name: g\nrules:\n- record: a\n  expr: sum(rate({job=\"t\"}[5m]))\n"))
	b, _ := io.ReadAll(r.Body); t.Log("rules", r.Status, string(b)); list("ruler")
	s.MinIO.Kill()
	push(0, "during s3 outage")
	b2 := time.Now()
	t.Log("minio again", s.MinIO.Start(ctx), time.Since(b2)); b2 = time.Now()
	t.Log("loki stop", s.Loki.Stop(), time.Since(b2)); b2 = time.Now()
	list("chunks")
	t.Log("loki again", s.Loki.Start(ctx), time.Since(b2))
	t.Log(query(0)); t.Log("old after restart", query(1000*24*time.Hour))
	s.Loki.Kill(); b2 = time.Now()
	t.Log("loki again", s.Loki.Start(ctx), time.Since(b2))
	poll(ctx, time.Second, func(context.Context) error { if x := get(s.Prometheus.URL + "/api/v1/query?query=corkline_x"); bytes.Contains([]byte(x), []byte("7")) { t.Log(x); return nil }; return io.EOF })
	t.Log(get(s.Prometheus.URL + "/graph"))
}
