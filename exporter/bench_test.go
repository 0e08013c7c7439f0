package exporter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/parsers/strict"
	"github.com/corkline/corkline/samples"
	"github.com/corkline/corkline/samples/simulation"
)

// benchmarkBytes of lines are what an iteration takes through the agent.
const benchmarkBytes = 64 << 20

// regexpNetworkPolicy is what an agent that parses with one regular expression
// would run on the same lines.
const regexpNetworkPolicy = `^(?P<time>\S+ \S+) (?P<table>\S*) (?P<policy>\S*) (?P<rule>.*) (?P<direction>Ingress|Egress|<nil>|) (?P<action>Allow|Drop|Reject|Pass|Redirect) (?P<priority>\S+) (?P<applied_to>\S*) (?P<src_ip>\S+) (?P<src_port>\S+) (?P<dst_ip>\S+) (?P<dst_port>\S+) (?P<protocol>\S+) (?P<length>[0-9]+) (?P<label>\S*)(?: \[(?P<packets>[0-9]+) packets in (?P<span>[^\]]+)\])?$`

// regexpVlog is the same for lines of Open vSwitch.
const regexpVlog = `^(?P<time>[^|]+)\|(?P<sequence>[0-9]+)\|(?P<module>[a-z0-9_]+)(?:\((?P<thread>[^)]*)\))?\|(?P<level>[A-Z]+)\|(?P<message>.*)$`

// BenchmarkEndToEnd takes a log file through the agent: read, parsed into
// fields, counted, pushed to a Loki receiver on loopback that only drains its
// requests, and committed. It reports the CPU time of the process for each
// line (the receiver's share is in it), beside that of what an agent would
// have to do at least with the standard library, measured on the same lines in
// the same run: one regexp match, or one object decoded into a struct.
// cpu/standard is the median over the iterations.
func BenchmarkEndToEnd(b *testing.B) {
	b.Run("antrea-networkpolicy", func(b *testing.B) {
		g, err := simulation.NewGenerator(simulation.Log{Seed: 1})
		if err != nil {
			b.Fatal(err)
		}
		endToEnd(b, "antrea-networkpolicy", g.Next, matches(b, regexpNetworkPolicy))
	})
	b.Run("ovs-vswitchd", func(b *testing.B) {
		at, n := time.Date(2024, 6, 2, 10, 0, 0, 0, time.UTC), 0
		messages := []string{
			"connmgr|INFO|br-int<->unix#%d: 8 flow_mods in the last 0 s (8 adds)",
			"bridge|INFO|bridge br-int: added interface web-%d on port 7",
			"ofproto_dpif_upcall(handler%d)|WARN|Dropped 25 log messages in last 80 seconds (most recently, 6 seconds ago) due to excessive rate",
			"rconn|INFO|br-int<->unix#%d: connected",
		}
		endToEnd(b, "ovs-vswitchd", func(dst []byte) []byte {
			at, n = at.Add(3*time.Millisecond), n+1
			dst = at.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
			dst = fmt.Appendf(dst, "|%05d|", n)
			return append(fmt.Appendf(dst, messages[n%len(messages)], n%100), '\n')
		}, matches(b, regexpVlog))
	})
	b.Run("avi-application", func(b *testing.B) {
		text, err := samples.Log("avi-application")
		if err != nil {
			b.Fatal(err)
		}
		request, _, _ := bytes.Cut(text, []byte("\n"))
		into, n := reflect.TypeOf(application(b)).Elem(), 0
		before, after, found := bytes.Cut(request, []byte(`"log_id":4711`))
		if !found {
			b.Fatalf("the first sample has another log_id: %s", request)
		}
		endToEnd(b, "avi-application", func(dst []byte) []byte {
			n++
			return append(append(fmt.Appendf(append(dst, before...), `"log_id":%d`, n), after...), '\n')
		}, func(line []byte) bool {
			return json.Unmarshal(line[bytes.IndexByte(line, '{'):], reflect.New(into).Interface()) == nil
		})
	})
}

func matches(b *testing.B, expression string) func(line []byte) bool {
	b.Helper()
	re := regexp.MustCompile(expression)
	return func(line []byte) bool { return re.FindSubmatchIndex(line) != nil }
}

// application gives a pointer to a struct of those members of a request's log
// that the definition keeps.
func application(b *testing.B) any {
	b.Helper()
	text, err := os.ReadFile("../parsers/definitions/avi-application.yaml")
	if err != nil {
		b.Fatal(err)
	}
	var form parsers.Form
	if _, faults := strict.Decode("avi-application.yaml", text, &form); len(faults) > 0 {
		b.Fatal(faults)
	}
	var fields []reflect.StructField
	for _, step := range form.Extract {
		for path, field := range step.JSON {
			if strings.ContainsAny(path, ".[") {
				continue
			}
			kind := reflect.TypeFor[string]()
			switch {
			case path == "adf" || path == "udf":
				kind = reflect.TypeFor[bool]()
			case slices.Contains(form.Numbers, field) || slices.Contains(form.Ports, field):
				kind = reflect.TypeFor[int64]()
			}
			fields = append(fields, reflect.StructField{
				Name: fmt.Sprintf("F%d", len(fields)), Type: kind, Tag: reflect.StructTag(fmt.Sprintf("json:%q", path)),
			})
		}
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

// endToEnd measures lines of a definition, beside what the standard library
// takes for each.
func endToEnd(b *testing.B, definition string, next func(dst []byte) []byte, standardly func(line []byte) bool) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "a.log")
	text, count := make([]byte, 0, benchmarkBytes+64<<10), 0
	for ; len(text) < benchmarkBytes; count++ {
		text = next(text)
	}
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
	var agentCPU, standardCPU time.Duration
	var allocated uint64
	var ratios []float64
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for b.Loop() {
		b.StopTimer()
		config := benchmarkConfig(b, definition, path, receiver.URL)
		start := cpuTime(b)
		for _, line := range lines[:count/10] {
			if !standardly(line) {
				b.Fatalf("%q does not match", line)
			}
		}
		standard := 10 * (cpuTime(b) - start)
		standardCPU += standard
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
		spent := cpuTime(b) - start
		agentCPU += spent
		ratios = append(ratios, float64(spent)/float64(standard))
		allocated += mallocs() - before
		account := agent.ledger.account(definition)
		if shipped, bad := account.shipped.Load(), account.unparsed.Load(); shipped != int64(count) || bad != 0 {
			b.Fatalf("shipped %d of %d lines, %d of them not parsed", shipped, count, bad)
		}
		b.StartTimer()
	}
	total := float64(b.N * count)
	b.ReportMetric(float64(agentCPU.Nanoseconds())/total, "cpu-ns/line")
	b.ReportMetric(float64(standardCPU.Nanoseconds())/total, "standard-cpu-ns/line")
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "cpu/standard")
	b.ReportMetric(float64(allocated)/total, "allocs/line")
	b.ReportMetric(float64(pushed.Load())/total, "pushed-B/line")
}

func benchmarkConfig(b *testing.B, definition, path, url string) *Config {
	b.Helper()
	config, err := ParseConfig("bench.yaml", []byte("state_dir: "+b.TempDir()+"\nloki: {url: '"+url+"', max_age: 0s}\nsources: [{definition: "+definition+", files: ["+path+"]}]\n"))
	if err != nil {
		b.Fatal(err)
	}
	return config
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
