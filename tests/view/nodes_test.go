package view

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
	"github.com/corkline/corkline/samples/simulation/vswitch"
	"github.com/corkline/corkline/tests/ovs/lab"
	"github.com/corkline/corkline/tests/rig"
)

// cluster is the quickstart's, and where it is.
type cluster struct {
	rig.Rig
	dir, loki, prometheus string
}

// grow adds what the quickstart's node does not show within a minute, so that
// every panel has something to show:
//
//   - node-2 has a kernel's connection tracking table, whose connections are
//     those of its scrapes, and a flow that Antrea's agent fails to add;
//   - the switch of node-3 is flooded until its table is full, and stands still
//     then; its logs have a crash and a line that is none;
//   - the switch of node-4 has gone, and so have the Pods of Antrea; its agent may
//     not read the kernel's table;
//   - node-5 does not answer;
//   - no alert waits for its time before it fires.
func (c *cluster) grow(t *testing.T) {
	t.Helper()
	targets := map[string][]string{ // by job, each with its node
		"corkline":          {c.kernelNode(t), "node-2", c.fullNode(t), "node-3", c.brokenNode(t), "node-4", nobody, "node-5"},
		"antrea-agent":      {antreaAgent(t), "node-2", nobody, "node-4"},
		"antrea-controller": {nobody, "node-4"},
	}
	file := filepath.Join(c.dir, "prometheus.yaml")
	config := rig.Read(t, file)
	for job, all := range targets {
		for i := 0; i < len(all); i += 2 {
			config += fmt.Sprintf("  - {job_name: %[1]s on %[2]s, static_configs: [{targets: [%[3]q], labels: {job: %[1]s, cluster: %[4]s, node: %[2]s}}]}\n", job, all[i+1], all[i], simulation.Cluster)
		}
	}
	write(t, file, config)
	rules, err := filepath.Glob(filepath.Join(c.dir, "rules-*.yaml"))
	if err != nil || len(rules) == 0 {
		t.Fatalf("the quickstart has no rules in %s: %v", c.dir, err)
	}
	for _, rule := range rules {
		write(t, rule, regexp.MustCompile(`(?m)^ +for: .*\n`).ReplaceAllString(rig.Read(t, rule), ""))
	}
	if err := syscall.Kill(runs(t, "--config.file="+file), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// nobody listens there.
const nobody = "127.0.0.1:1"

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runs gives the process that has an argument.
func runs(t *testing.T, argument string) int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range found {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), argument+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("nothing runs with %s", argument)
	return 0
}

// agent of a node, that is up.
func (c *cluster) agent(t *testing.T, node, config string, prefix ...string) (a *rig.Agent, address string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "corkline.yaml")
	write(t, file, fmt.Sprintf("node: %s\ncluster: %s\nstate_dir: %s\nlisten: 127.0.0.1:0\n%s", node, simulation.Cluster, dir, config))
	a = c.Agent(t, file)
	a.Prefix = prefix
	a.Start()
	rig.Eventually(t, node+" to be up", func(context.Context) (err error) {
		address, err = a.URL()
		return err
	})
	return a, strings.TrimPrefix(address, "http://")
}

// kernelNode runs in a network namespace of its own, and gives where it is
// scraped from outside.
func (c *cluster) kernelNode(t *testing.T) string {
	t.Helper()
	if err := lab.Install(t.Context(), map[string]string{"nft": "nftables", "ip": "iproute2", "unshare": "util-linux", "setpriv": "util-linux"}); err != nil {
		t.Fatal(err)
	}
	a, address := c.agent(t, "node-2", "sources: []\ncollectors: {conntrack: {table: kernel, interval: 1s, stream: true}}\n", "unshare", "--net", "sh", "-ec", `
		ip link set lo up
		nft 'add table inet track; add chain inet track input { type filter hook input priority 0; }; add rule inet track input ct state new accept'
		for name in acct timestamp; do echo 1 >/proc/sys/net/netfilter/nf_conntrack_$name; done
		for name in time_wait close fin_wait last_ack; do echo 2 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_$name; done
		exec "$0" "$@"`)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.Transport = &http.Transport{DisableKeepAlives: true, DialContext: dialAt(a.PID())}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// dialAt connects within the network namespace of a process.
func dialAt(pid int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			var space *os.File
			if space, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
				return
			}
			defer space.Close()
			if err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err == nil {
				conn, err = new(net.Dialer).DialContext(ctx, network, address)
			}
		}()
		<-done
		return conn, err
	}
}

// told gives the seconds between which a story is told.
func told(t *testing.T, s simulation.Story) (begin, end int) {
	t.Helper()
	begin = -1
	for second := range 3600 {
		switch _, told := (simulation.Options{}).At(second).Told(s); {
		case told && begin < 0:
			begin = second
		case !told && begin >= 0:
			return begin, second
		}
	}
	t.Fatalf("%s is never told", s)
	return 0, 0
}

// antreaAgent has the metrics of one of whose operations on flows one fails soon.
func antreaAgent(t *testing.T) string {
	t.Helper()
	o := simulation.Options{Seed: 1, Rate: 1, Node: "node-2", Start: time.Now().UTC()}
	failures := regexp.MustCompile(`(?m)^antrea_agent_ovs_flow_ops_error_count.*$`)
	const ahead = 15 // seconds, in which it is scraped without
	second, before := 0, ""
	for probe := antreaMetrics(t, o, func() int { return second }); ; second++ {
		w := httptest.NewRecorder()
		probe.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		now := strings.Join(failures.FindAllString(w.Body.String(), -1), "")
		if second > ahead && now != before {
			break
		}
		before = now
		if _, end := told(t, simulation.Scaling); second == end {
			t.Fatal("no operation fails while flows come and go")
		}
	}
	o.Start = o.Start.Add(-time.Duration(second-ahead) * time.Second)
	server := httptest.NewServer(antreaMetrics(t, o, func() int { return int(time.Since(o.Start) / time.Second) }))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// antreaMetrics of an agent at any path.
func antreaMetrics(t *testing.T, o simulation.Options, now func() int) http.Handler {
	t.Helper()
	all, err := antreametrics.Handler(now, antreametrics.Options{Simulation: o, Version: antreametrics.Newest, FlowExporter: true})
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/antrea-agent/metrics"
		all.ServeHTTP(w, r)
	})
}

// emulated switch of a node.
type emulated struct {
	*vswitch.Switch
	options simulation.Options
	seconds int // that it has seen
}

func startEmulated(t *testing.T) *emulated {
	t.Helper()
	v, err := vswitch.Start(t.Context(), vswitch.Options{Mode: vswitch.Emulated, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return &emulated{v, simulation.Options{Seed: 1, Start: time.Now().UTC(), Rate: 1}, 0}
}

// play what happens until a second. Time then stands still.
func (e *emulated) play(t *testing.T, until int) {
	t.Helper()
	for ; e.seconds < until; e.seconds++ {
		if err := e.Second(t.Context(), e.options.At(e.seconds)); err != nil {
			t.Fatal(err)
		}
	}
}

// read waits until an agent has a metric with a value, by a regular expression.
func read(t *testing.T, address, metric string) {
	t.Helper()
	rig.Eventually(t, "the switch to be read", func(ctx context.Context) error {
		all, err := rig.Get(ctx, "http://"+address+"/metrics", nil)
		if err == nil && !regexp.MustCompile(`(?m)^`+metric+`$`).Match(all) {
			err = fmt.Errorf("no %s", metric)
		}
		return err
	})
}

const switchCollector = "ovs: {enabled: true, run_dir: %s, interval: 2s, full_interval: 4s}"

// fullNode has a switch whose table a flood has filled, and keeps so.
func (c *cluster) fullNode(t *testing.T) string {
	t.Helper()
	v, logs, now := startEmulated(t), t.TempDir(), time.Now().UTC()
	begin, end := told(t, simulation.SYNFlood)
	v.play(t, begin)
	write(t, logs+"/np.log", "A line that is none.\n")
	write(t, logs+"/controller.log", fmt.Sprintf("%s stderr F F%s       1 main.go:52] Error running controller: listen tcp :10349: bind: address already in use\n",
		now.Format(time.RFC3339Nano), now.Format("0102 15:04:05.000000")))
	write(t, logs+"/ovs-vswitchd.log", now.Format("2006-01-02T15:04:05.000Z")+"|00042|connmgr|INFO|br-int<->unix#3: 9 flow_mods in the last 10 s (4 adds, 3 deletes, 2 modifications)\n")
	_, address := c.agent(t, "node-3", fmt.Sprintf("loki: {url: %q}\nsources:\n  - {name: antrea-networkpolicy, definitions: [antrea-networkpolicy], files: [%[2]s/np.log]}\n"+
		"  - {name: antrea-controller, definitions: [antrea-controller], files: [%[2]s/controller.log]}\n  - {name: ovs-vswitchd, definitions: [ovs-vswitchd], files: [%[2]s/ovs-vswitchd.log]}\n", c.loki, logs)+
		fmt.Sprintf("collectors: {conntrack: {enabled: true, table: ovs, interval: 1s}, "+switchCollector+"}\n", v.Dir))
	read(t, address, `corkline_conntrack_entries [0-9]+`)
	v.play(t, (begin+end)/2)
	read(t, address, `corkline_conntrack_floods\{kind="flood"\} 1`)
	v.play(t, end)
	read(t, address, `corkline_conntrack_forecast_full_seconds 0`)
	return address
}

// brokenNode has a switch that was there, and may not read the table's entries.
func (c *cluster) brokenNode(t *testing.T) string {
	t.Helper()
	v := startEmulated(t)
	v.play(t, 2)
	_, address := c.agent(t, "node-4", "sources: []\n"+fmt.Sprintf("collectors: {conntrack: {enabled: true, table: kernel, interval: 2s}, "+switchCollector+"}\n", v.Dir),
		"setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
	read(t, address, `corkline_ovs_up\{.*\} 1`)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}
