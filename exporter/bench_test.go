package exporter

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/samples"
)

// benchmarkLines is how many lines an iteration takes through the agent.
const benchmarkLines = 200_000

// regexpNetworkPolicy is what an agent that parses with one regular expression
// would run on the same lines.
const regexpNetworkPolicy = `^(?P<time>\S+ \S+) (?P<table>\S*) (?P<policy>\S*) (?P<rule>.*) (?P<direction>Ingress|Egress|<nil>|) (?P<action>Allow|Drop|Reject|Pass|Redirect) (?P<priority>\S+) (?P<applied_to>\S*) (?P<src_ip>\S+) (?P<src_port>\S+) (?P<dst_ip>\S+) (?P<dst_port>\S+) (?P<protocol>\S+) (?P<length>[0-9]+) (?P<label>\S*)(?: \[(?P<packets>[0-9]+) packets in (?P<span>[^\]]+)\])?$`

// BenchmarkEndToEnd takes a log file through the agent: read, parsed into
// fields, counted, pushed to a Loki receiver on loopback that only drains its
// requests, and committed. It reports the CPU time of the process for each
// line (the receiver's share is in it), beside that of one regexp match of the
// same lines, measured in the same run.
func BenchmarkEndToEnd(b *testing.B) {
	path := filepath.Join(b.TempDir(), "np.log")
	text := generate(benchmarkLines)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	var pushed atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			b.Error(err)
		}
		pushed.Add(n)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var agentCPU, regexpCPU time.Duration
	var allocated uint64
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	expression := regexp.MustCompile(regexpNetworkPolicy)
	for b.Loop() {
		b.StopTimer()
		config := benchmarkConfig(b, path, receiver.URL)
		start := cpuTime(b)
		for _, line := range lines[:benchmarkLines/10] {
			if expression.FindStringSubmatchIndex(line) == nil {
				b.Fatalf("%q does not match", line)
			}
		}
		regexpCPU += 10 * (cpuTime(b) - start)
		before := mallocs()
		start = cpuTime(b)
		b.StartTimer()

		agent, err := New(Options{Config: config, Once: true, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if err := agent.Run(b.Context()); err != nil {
			b.Fatal(err)
		}

		b.StopTimer()
		agentCPU += cpuTime(b) - start
		allocated += mallocs() - before
		if shipped := agent.ledger.account("antrea-networkpolicy").shipped.Load(); shipped != benchmarkLines {
			b.Fatalf("shipped %d of %d lines", shipped, benchmarkLines)
		}
		b.StartTimer()
	}
	total := float64(b.N) * benchmarkLines
	b.ReportMetric(float64(agentCPU.Nanoseconds())/total, "cpu-ns/line")
	b.ReportMetric(float64(regexpCPU.Nanoseconds())/total, "regexp-cpu-ns/line")
	b.ReportMetric(float64(agentCPU)/float64(regexpCPU), "cpu/regexp")
	b.ReportMetric(float64(allocated)/total, "allocs/line")
	b.ReportMetric(float64(pushed.Load())/total, "pushed-B/line")
}

func benchmarkConfig(b *testing.B, path, url string) *Config {
	b.Helper()
	config, err := ParseConfig("bench.yaml", []byte("state_dir: "+b.TempDir()+"\nloki: {url: '"+url+"', max_age: 0s}\nsources: [{definition: antrea-networkpolicy, files: ["+path+"]}]\n"))
	if err != nil {
		b.Fatal(err)
	}
	return config
}

func generate(n int) []byte {
	g := samples.NewGenerator(samples.Options{Seed: 1})
	var text []byte
	for range n {
		text = g.Next(text)
	}
	return text
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}
