package view

import (
	"context"
	"errors"
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
//     those of its scrapes;
//   - the switch of node-3 stands still where its table is full, and its logs
//     have a crash and a line that is none;
//   - the switch of node-4 has gone, and so have the Pods of Antrea there;
//   - no alert waits for its time before it fires.
func (c *cluster) grow(t *testing.T) {
	t.Helper()
	targets := map[string][]string{ // by job, each with its node
		"corkline":          {c.kernelNode(t), "node-2", c.fullNode(t), "node-3", c.brokenNode(t), "node-4", nobody, "node-5"},
		"antrea-agent":      {nobody, "node-4"},
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
	if err := lab.Install(t.Context(), map[string]string{"nft": "nftables", "ip": "iproute2", "unshare": "util-linux"}); err != nil {
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

// emulated switch that has played all seconds up to one, and stands still.
func emulated(t *testing.T, last int) *vswitch.Switch {
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
	o := simulation.Options{Seed: 1, Start: time.Now().UTC().Add(-time.Duration(last) * time.Second), Rate: 1}
	for second := range last {
		if err := v.Second(t.Context(), o.At(second)); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

const switchCollectors = "collectors: {conntrack: {enabled: true, table: ovs, interval: 2s}, ovs: {enabled: true, run_dir: %s, interval: 2s, full_interval: 4s}}\n"

// fullNode has a switch at the end of the flood.
func (c *cluster) fullNode(t *testing.T) string {
	t.Helper()
	v, logs, now := emulated(t, 150), t.TempDir(), time.Now().UTC()
	write(t, logs+"/np.log", "A line that is none.\n")
	write(t, logs+"/controller.log", fmt.Sprintf("%s stderr F F%s       1 main.go:52] Error running controller: listen tcp :10349: bind: address already in use\n",
		now.Format(time.RFC3339Nano), now.Format("0102 15:04:05.000000")))
	_, address := c.agent(t, "node-3", fmt.Sprintf("loki: {url: %q}\nsources:\n  - {name: antrea-networkpolicy, definitions: [antrea-networkpolicy], files: [%[2]s/np.log]}\n"+
		"  - {name: antrea-controller, definitions: [antrea-controller], files: [%[2]s/controller.log]}\n"+switchCollectors, c.loki, logs, v.Dir))
	return address
}

// brokenNode has a switch that was there.
func (c *cluster) brokenNode(t *testing.T) string {
	t.Helper()
	v := emulated(t, 2)
	_, address := c.agent(t, "node-4", "sources: []\n"+fmt.Sprintf(switchCollectors, v.Dir))
	rig.Eventually(t, "the switch to be read", func(ctx context.Context) error {
		all, err := rig.Get(ctx, "http://"+address+"/metrics", nil)
		if err == nil && !regexp.MustCompile(`(?m)^corkline_ovs_up\{.*\} 1$`).Match(all) {
			err = errors.New("corkline_ovs_up is not 1")
		}
		return err
	})
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return address
}
