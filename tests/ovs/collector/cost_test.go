package collector

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What polls of 100,000 flows cost, beside ovs-ofctl in the same run.
func BenchmarkPoll(b *testing.B) {
	s := newBench(b, 7, newPod(1), newPod(2))
	s.AddFlows(manyFlows())
	runtime.GC()
	before := rss()
	s.poll()
	first := rss()
	s.poll()
	b.Logf("RSS: %d KiB before, %d after the first poll, %d after the second", before, first, rss())
	own := func(n int, poll func()) (wall, cpu time.Duration) {
		start, used := time.Now(), computed(b)
		for range n {
			poll()
		}
		return time.Since(start) / time.Duration(n), (computed(b) - used) / time.Duration(n)
	}
	all := func() {
		if err := s.collector.PollAll(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		const n = 5
		forwarder := s.ForwarderCPU()
		full, fullCPU := own(n, all)
		fullOVS := (s.ForwarderCPU() - forwarder) / n
		s.step = time.Second // not yet time for all flows
		forwarder = s.ForwarderCPU()
		routine, routineCPU := own(n, s.routine)
		routineOVS := (s.ForwarderCPU() - forwarder) / n
		start := time.Now()
		for range n {
			s.Run("sh", "-c", "ovs-ofctl -O OpenFlow15 dump-flows br-int | wc -c")
		}
		ofctl := time.Since(start) / n
		start = time.Now()
		for range n {
			if _, err := s.registry.Gather(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(start).Microseconds())/n, "us/scrape")
		b.Logf("full %v (own CPU %v, vswitchd %v), routine %v (own CPU %v, vswitchd %v), ofctl %v: ratios %.2f %.3f",
			full, fullCPU, fullOVS, routine, routineCPU, routineOVS, ofctl, full.Seconds()/ofctl.Seconds(), routine.Seconds()/ofctl.Seconds())
	}
	b.Logf("RSS at the end %d KiB", rss())
}

func rss() (kib int) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * os.Getpagesize() / 1024
}

func computed(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What the agent holds in memory before and after it has polled 100,000 flows.
func BenchmarkAgent_Memory(b *testing.B) {
	s := newBench(b, 7, newPod(1), newPod(2))
	config := filepath.Join(b.TempDir(), "c.yaml")
	text := fmt.Sprintf("state_dir: %s\nlisten: 127.0.0.1:0\nsources: []\ncollectors: {conntrack: {enabled: false}, ovs: {run_dir: %s, interval: 1s, full_interval: 2s}}\n", b.TempDir(), s.Dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	agent := exec.CommandContext(b.Context(), shared.Binary, "agent", "--config", config)
	if err := agent.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	}()
	for b.Loop() {
		wait(b, 15*time.Second)
		idle := resident(b, agent.Process.Pid)
		s.AddFlows(manyFlows())
		wait(b, 30*time.Second)
		b.Logf("RSS of the agent: %s with few flows, %s with 100,000", idle, resident(b, agent.Process.Pid))
	}
}

func wait(b *testing.B, d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.Context().Done():
	}
}

func resident(b *testing.B, pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}

func manyFlows() string {
	var flows strings.Builder
	for i := range 100_000 {
		flows.WriteString(flow(7, categoryPolicy, "IngressRule", 200, fmt.Sprintf("tcp,nw_src=10.%d.%d.%d,tp_dst=%d", i>>16, i>>8&255, i&255, 1+i%60000), fmt.Sprintf("conjunction(%d,1/3)", 100+i%3000)))
	}
	return flows.String()
}
