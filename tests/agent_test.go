package tests

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/tests/parts"
	"github.com/corkline/corkline/tests/rig"
)

// node is one node: its log, its state and the agent that runs on it.
type node struct {
	t       *testing.T
	cluster string
	dir     string
	log     *os.File
	from    time.Time
	lines   *simulation.Generator
	written []string
	agent   *rig.Agent
}

func newNode(t *testing.T, cluster string) *node {
	t.Helper()
	n := &node{t: t, cluster: cluster, dir: t.TempDir(), from: time.Now().Add(-30 * time.Minute).Truncate(time.Second)}
	n.agent = stack.Agent(t, filepath.Join(n.dir, "corkline.yaml"))
	n.lines = rig.Lines(t, simulation.Log{Seed: 7, Start: n.from, Step: 5 * time.Millisecond, Layouts: simulation.Layouts()})
	n.write("corkline.yaml", fmt.Sprintf(`
node: node-1
cluster: %s
state_dir: %s/state
listen: %s
poll_interval: 100ms
loki: {url: %q, max_backoff: 1s, timeout: 5s}
sources:
  - {definition: antrea-networkpolicy, files: [%s/np.log]}
`, cluster, n.dir, stack.agentAddr, stack.Loki.URL, n.dir))
	log, err := os.Create(filepath.Join(n.dir, "np.log"))
	if err != nil {
		t.Fatal(err)
	}
	n.log = log
	t.Cleanup(func() { _ = n.log.Close() }) // all was written
	return n
}

func (n *node) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// append writes fresh lines to the log.
func (n *node) append(count int) {
	n.t.Helper()
	var text []byte
	for range count {
		at := len(text)
		text = n.lines.Next(text)
		n.written = append(n.written, string(text[at:len(text)-1]))
	}
	if _, err := n.log.Write(text); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) entries(ctx context.Context) ([]rig.Entry, error) {
	return logQL(ctx, fmt.Sprintf(`{job="corkline", cluster=%q}`, n.cluster), n.from.Add(-time.Minute), time.Now().Add(time.Minute))
}

// arrived holds that Loki has each line of the log once, with the labels and
// metadata that a parser of its own finds in it.
func (n *node) arrived() {
	n.t.Helper()
	var got []rig.Entry
	rig.Eventually(n.t, "find the lines in Loki", func(ctx context.Context) (err error) {
		if got, err = n.entries(ctx); err == nil && len(got) < len(n.written) {
			err = fmt.Errorf("%d of %d lines", len(got), len(n.written))
		}
		return err
	})
	times := map[string]int{}
	for _, e := range got {
		times[e.Line]++
	}
	for _, line := range n.written {
		if times[line] != 1 {
			n.t.Fatalf("Loki has %q %d times", line, times[line])
		}
	}
	if len(got) != len(n.written) {
		n.t.Fatalf("Loki has %d lines, the log %d", len(got), len(n.written))
	}
	set, err := parsers.Shipped()
	if err != nil {
		n.t.Fatal(err)
	}
	d := set["antrea-networkpolicy"]
	parser := d.NewParser()
	for _, e := range got {
		r := parsers.Record{Line: []byte(e.Line)}
		if err := parser.Parse(&r); err != nil {
			n.t.Fatalf("%q: %s", e.Line, err)
		}
		stream := map[string]string{"job": "corkline", "cluster": n.cluster, "node": "node-1", "source": "antrea-networkpolicy"}
		for name, value := range r.Result(time.Time{}).StreamLabels {
			stream[name] = value
		}
		metadata := map[string]string{}
		for _, field := range d.Metadata {
			if value := r.Value(field); len(value) > 0 {
				metadata[d.Fields[field].Name] = string(value)
			}
		}
		delete(e.Metadata, "detected_level") // Loki's own
		want := rig.Entry{Time: r.Time, Line: e.Line, Stream: stream, Metadata: metadata}
		if diff := cmp.Diff(want, e); diff != "" {
			n.t.Fatalf("%q (-want +got):\n%s", e.Line, diff)
		}
	}
}

// counted holds that Prometheus has the packets of the log.
func (n *node) counted() {
	n.t.Helper()
	want := map[string]float64{}
	set := regexp.MustCompile(`([a-z]+)="([^"]+)"`)
	for series, total := range n.lines.Totals() {
		if series.Metric != "corkline_networkpolicy_logged_packets_total" {
			continue
		}
		labels := map[string]string{}
		for _, label := range set.FindAllStringSubmatch(series.Labels, -1) {
			labels[label[1]] = label[2]
		}
		text, err := json.Marshal(labels)
		if err != nil {
			n.t.Fatal(err)
		}
		want[string(text)] = total
	}
	rig.Eventually(n.t, "find the packets in Prometheus", func(ctx context.Context) error {
		got, err := promQL(ctx, `sum by (policy, rule, direction, action) (corkline_networkpolicy_logged_packets_total)`)
		if err == nil {
			if diff := cmp.Diff(want, got); diff != "" {
				err = errors.New("(-want +got):\n" + diff)
			}
		}
		return err
	})
}

// balances holds that all lines were read and shipped.
func (n *node) balances(lines int) {
	n.t.Helper()
	if shipped := n.agent.Balances("antrea-networkpolicy", lines)[shippedSeries]; shipped != float64(lines) {
		n.t.Errorf("of %d lines %v were shipped", lines, shipped)
	}
}

const (
	readSeries    = `corkline_pipeline_lines_read_total{source="antrea-networkpolicy"}`
	shippedSeries = `corkline_pipeline_lines_shipped_total{source="antrea-networkpolicy"}`
	waitingSeries = `corkline_pipeline_lines_waiting{source="antrea-networkpolicy"}`
)

func TestAgent(t *testing.T) {
	n := newNode(t, "plain")
	n.append(4_000)
	n.agent.Start()
	n.agent.AtLeast(readSeries, 4_000)
	for range 6 {
		n.append(1_000)
	}
	n.arrived()
	n.counted()
	n.balances(10_000)
	n.promtool()
	n.chunks()
	n.agent.Stop()
}

// promtool lets Prometheus' own linter read /metrics.
func (n *node) promtool() {
	n.t.Helper()
	text, err := rig.Get(n.t.Context(), "http://"+stack.agentAddr+"/metrics", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	promtool, err := parts.Binary(n.t.Context(), parts.Promtool, local.NewProgress(os.Stderr))
	if err != nil {
		n.t.Fatal(err)
	}
	check := exec.CommandContext(n.t.Context(), promtool, "check", "metrics")
	check.Stdin = bytes.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil {
		n.t.Errorf("promtool check metrics: %s\n%s", err, out)
	}
}

// chunks holds that Loki keeps its chunks as objects in the bucket.
func (n *node) chunks() {
	n.t.Helper()
	request, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, stack.Loki.URL+"/flush", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		n.t.Fatal(err)
	}
	_ = response.Body.Close()
	client, err := stack.S3.Client(nil)
	if err != nil {
		n.t.Fatal(err)
	}
	rig.Eventually(n.t, "find chunks in the bucket", func(ctx context.Context) error {
		objects := 0
		for object := range client.ListObjectsIter(ctx, "chunks", minio.ListObjectsOptions{Prefix: "fake/", Recursive: true}) {
			if object.Err != nil {
				return object.Err
			}
			objects++
		}
		if objects == 0 {
			return errors.New("no object below fake/")
		}
		return nil
	})
}

func TestAgent_Killed(t *testing.T) {
	n := newNode(t, "killed")
	n.append(3_000)
	for round := range 5 {
		n.agent.Start()
		n.append(1_000)
		// Anywhere in the middle: some of it read, some sent, some committed.
		n.agent.AtLeast(readSeries, float64(1+300*round))
		n.append(400)
		n.agent.Kill()
	}
	n.agent.Start()
	n.arrived()
	n.agent.Stop()
	// A process that sees the whole log again counts all of it once.
	n.countsOf("recount")
}

// countsOf runs a second agent, with state of its own, over the same log.
func (n *node) countsOf(cluster string) {
	n.t.Helper()
	text := rig.Read(n.t, n.agent.Config)
	n.write("corkline.yaml", strings.NewReplacer("cluster: "+n.cluster, "cluster: "+cluster, "/state", "/state-2").Replace(text))
	n.agent.Start()
	n.counted()
	n.agent.Stop()
}

func TestAgent_LokiOutage(t *testing.T) {
	n := newNode(t, "outage")
	n.append(2_000)
	n.agent.Start()
	n.agent.AtLeast(shippedSeries, 2_000)
	if err := stack.Loki.Stop(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		n.append(2_000)
	}
	// Metrics do not wait for Loki, and are counted once.
	n.counted()
	n.agent.AtLeast(waitingSeries, 8_000)
	if err := stack.Loki.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.append(500)
	n.arrived()
	n.counted()
	n.balances(10_500)
	n.agent.Stop()
}

func TestAgent_StoppedDuringOutage(t *testing.T) {
	n := newNode(t, "stopped")
	n.write("corkline.yaml", rig.Read(t, filepath.Join(n.dir, "corkline.yaml"))+"shutdown_timeout: 1s\n")
	if err := stack.Loki.Stop(); err != nil {
		t.Fatal(err)
	}
	n.append(3_000)
	n.agent.Start()
	n.agent.AtLeast(waitingSeries, 3_000)
	n.agent.Stop() // within shutdown_timeout, and not as a failure
	if err := stack.Loki.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.agent.Once()
	n.arrived()
}

func TestAgent_Once(t *testing.T) {
	n := newNode(t, "once")
	n.append(500)
	for range 2 { // the second time there is nothing left
		n.agent.Once()
	}
	if want := "read 0,"; !strings.Contains(n.agent.Said(), want) {
		t.Errorf("the second run does not say %q:\n%s", want, n.agent.Said())
	}
	n.arrived()
}

// Two files of a stream hold two hours each. Loki takes lines up to an hour
// behind the newest of their stream, so neither file may get ahead of the other.
// Lines from 2 h 40 min ago would be found only once they are in S3.
func TestAgent_FilesOfHours(t *testing.T) {
	n := newNode(t, "hours")
	const lines = 3_000
	n.from = time.Now().Add(-150 * time.Minute).Truncate(time.Second)
	text := rig.Read(t, filepath.Join(n.dir, "corkline.yaml"))
	n.write("corkline.yaml", strings.Replace(text, "files: ["+n.dir+"/np.log]", fmt.Sprintf("files: ['%s/*.log']", n.dir), 1))
	for i, name := range []string{"np.log", "other.log"} {
		g := rig.Lines(t, simulation.Log{Seed: uint64(20 + i), Start: n.from, Step: 2 * time.Hour / lines, Layouts: simulation.Layouts()})
		var text []byte
		for range lines {
			at := len(text)
			text = g.Next(text)
			n.written = append(n.written, string(text[at:len(text)-1]))
		}
		n.write(name, string(text))
	}
	n.agent.Once()
	n.ledger(2*lines, 2*lines, 0)
	n.arrived()
}

// TestAgent_Boards holds that every panel of the boards on this log and on the
// agent has data, or words for none, on a log that goes on and has a line now
// and then that does not parse.
func TestAgent_Boards(t *testing.T) {
	n := newNode(t, "boards")
	n.append(500)
	n.agent.Start()
	n.agent.AtLeast(shippedSeries, 500)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	verify := exec.CommandContext(ctx, stack.Binary, "provision", "verify",
		"--no-shipped", "--dashboard=../dashboards/antrea-networkpolicy.json", "--dashboard=../dashboards/corkline.json",
		"--prometheus-url="+stack.Prometheus.URL, "--loki-url="+stack.Loki.URL, "--fail-on-no-data", "--wait=90s")
	var out bytes.Buffer
	verify.Stdout, verify.Stderr = &out, &out
	if err := verify.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- verify.Wait() }()
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("provision verify: %s\n%s", err, &out)
			}
			n.agent.Stop()
			return
		case <-ticker.C:
			n.append(20)
			if _, err := n.log.WriteString("2024/06/02 10:11:12.000123 cut\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
