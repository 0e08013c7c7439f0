package tests

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/rig"
)

// A Loki that takes no structured metadata gets JSON lines, which unpack turns
// back into the line and its fields.
func TestAgent_NoStructuredMetadata(t *testing.T) {
	dir := t.TempDir()
	addr := rig.Addr(t)
	_, port, _ := strings.Cut(addr, ":")
	_, grpcPort, _ := strings.Cut(rig.Addr(t), ":")
	n := newNode(t, "packed")
	n.write("loki.yaml", fmt.Sprintf(`
auth_enabled: false
analytics: {reporting_enabled: false}
server: {http_listen_address: 127.0.0.1, http_listen_port: %s, grpc_listen_address: 127.0.0.1, grpc_listen_port: %s, log_level: warn}
common:
  instance_addr: 127.0.0.1
  path_prefix: %s
  replication_factor: 1
  ring: {kvstore: {store: inmemory}, instance_addr: 127.0.0.1}
  storage: {filesystem: {chunks_directory: %s/chunks, rules_directory: %s/rules}}
schema_config:
  configs:
    - {from: 2015-01-01, store: tsdb, object_store: filesystem, schema: v13, index: {prefix: index_, period: 24h}}
ingester: {lifecycler: {min_ready_duration: 0s, final_sleep: 0s}}
limits_config: {allow_structured_metadata: false, discover_service_name: []}
query_scheduler: {use_scheduler_ring: false}
frontend: {scheduler_address: '127.0.0.1:%s'}
frontend_worker: {scheduler_address: '127.0.0.1:%s'}
`, port, grpcPort, dir, dir, dir, grpcPort, grpcPort))
	url := "http://" + addr
	old := &local.Process{
		Name: "loki without structured metadata", URL: url, Path: stack.Loki.Path,
		Args: []string{"-config.file=" + filepath.Join(n.dir, "loki.yaml")}, LogFile: filepath.Join(dir, "loki.log"),
		Ready: local.Answers(url + "/ready"),
	}
	if err := old.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := old.Stop(); err != nil {
			t.Error(err)
		}
	})

	n.append(500)
	n.write("corkline.yaml", strings.Replace(rig.Read(t, filepath.Join(n.dir, "corkline.yaml")), stack.Loki.URL, url, 1))
	n.agent.Once()
	if !strings.Contains(n.agent.Said(), "| unpack") {
		t.Errorf("the agent does not say how the lines are read:\n%s", n.agent.Said())
	}

	entries, err := rig.LogQL(t.Context(), url, `{job="corkline", cluster="packed"} | unpack | protocol="TCP"`, n.from.Add(-time.Minute), time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(entries, func(a, b rig.Entry) int { return int(a.Time - b.Time) })
	var got, want []string
	for _, e := range entries {
		got = append(got, e.Line)
	}
	for _, line := range n.written {
		if strings.Contains(line, " TCP ") || strings.HasSuffix(line, " TCP") {
			want = append(want, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
		t.Errorf("%d lines (-want +got):\n%s", len(got), diff)
	}
}
