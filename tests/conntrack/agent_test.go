package conntrack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/exporter/collector/conntrack"
)

// build the binary.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "corkline")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/corkline")
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build corkline: %s\n%s", err, out)
	}
	return path
}

// forge half-open connections of many addresses to one port.
func (t *table) forge(n int) {
	t.Helper()
	for i := range n {
		t.create(&connection{
			src: netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), dst: netip.MustParseAddr("198.51.100.9"),
			protocol: unix.IPPROTO_TCP, srcPort: uint16(1024 + i), dstPort: 80, state: 1, zone: 65520, mark: 0x10, timeout: 3600,
		})
	}
	t.flush()
}

// The built agent exposes the table, tells of a flood and of its end, and goes
// on over a reload.
func TestAgent(t *testing.T) {
	emptyTable(t)
	command(t, "ip", "link", "set", "lo", "up")
	table := openTable(t)
	table.fill(100)
	binary, dir := build(t), t.TempDir()
	address, err := local.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	config := func(more string) {
		t.Helper()
		text := fmt.Sprintf("node: n1\nstate_dir: %s/state\nlisten: %s\npoll_interval: 50ms\nsources: []\ncollectors: {conntrack: {interval: 1s, stream: true, names: {198.51.100.9: shop/web-0}%s}}\n", dir, address, more)
		if err := os.WriteFile(dir+"/corkline.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config("")
	var log bytes.Buffer
	agent := exec.CommandContext(t.Context(), binary, "agent", "--config", dir+"/corkline.yaml")
	agent.Stderr = &log
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := agent.Wait(); err != nil || t.Failed() {
			t.Errorf("the agent ends with %v, and said:\n%s", err, log.String())
		}
	}()
	exposes := func(want ...string) {
		t.Helper()
		eventually(t, func() error {
			body, err := get(t.Context(), "http://"+address+"/metrics")
			for _, line := range want {
				if err == nil && !strings.Contains(body, "\n"+line) {
					err = fmt.Errorf("no %q in\n%s", line, body)
				}
			}
			return err
		})
	}
	exposes(`corkline_collector_up{collector="conntrack"} 1`, "corkline_conntrack_entries 100\n", "corkline_conntrack_entries_limit 262144\n",
		`corkline_conntrack_zone_entries{family="ipv4",zone="0"} 100`, `corkline_conntrack_state_entries{protocol="tcp",state="ESTABLISHED"} 100`,
		"corkline_conntrack_drops_total 0\n", "corkline_conntrack_early_drops_total 0\n", "corkline_conntrack_insert_failures_total 0\n")

	table.forge(5000)
	exposes(`corkline_conntrack_floods{kind="flood"} 1`, `corkline_conntrack_zone_entries{family="ipv4",zone="antrea"} 5000`,
		`corkline_conntrack_not_allowed_entries{family="ipv4"} 5000`, `corkline_conntrack_events_total{event="flood",phase="start"} 1`,
		`corkline_conntrack_flood_half_open_entries{kind="flood",protocol="tcp",source="",victim="shop/web-0"} 5000`, "corkline_conntrack_connections_created_total 5000")
	if page, err := get(t.Context(), "http://"+address+"/"); err != nil || !strings.Contains(page, "198.51.100.9:80 (shop/web-0)") {
		t.Errorf("the status page does not name the victim: %v\n%s", err, page)
	}
	emptyTable(t)
	exposes(`corkline_conntrack_floods{kind="flood"} 0`, `corkline_conntrack_events_total{event="flood",phase="end"} 1`, "corkline_conntrack_entries 0\n")

	config(", timeout: 5s") // restarts the collector
	if err := agent.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	table.fill(10)
	exposes("corkline_conntrack_entries 10\n", "corkline_conntrack_connections_created_total 0\n")
	emptyTable(t)
}

// The subcommands show what the table holds.
func TestCommand(t *testing.T) {
	emptyTable(t)
	table := openTable(t)
	table.fill(50)
	table.forge(30)
	binary := build(t)
	config := filepath.Join(t.TempDir(), "corkline.yaml")
	if err := os.WriteFile(config, []byte("collectors: {conntrack: {names: {198.51.100.9: shop/web-0}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		return command(t, binary, append(append([]string{"conntrack"}, args...), "--config", config)...)
	}
	var report conntrack.Report
	if err := json.Unmarshal([]byte(run("zones", "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	want := []conntrack.ZoneEntries{{Zone: "0", Family: "ipv4", Entries: 50}, {Zone: "antrea", Family: "ipv4", Entries: 30}}
	if report.Entries != 80 || report.Read != 80 || fmt.Sprint(report.Zones) != fmt.Sprint(want) || report.Statuses["half_open"] != 30 {
		t.Errorf("%+v", report)
	}
	f := func(want string, args ...string) {
		t.Helper()
		if out := run(args...); !strings.Contains(out, want) {
			t.Errorf("%q has no %q:\n%s", args, want, out)
		}
	}
	f("80 of 262144")
	f("80 of 262144", "summary")
	f("198.51.100.9 shop/web-0  30 ", "top")
	f("SYN_SENT     30", "zones")
	f("no trend", "forecast", "--for", "1s")
	f("unreplied,not-allowed", "flows", "--pod", "shop/web-0")
	count := func(want int, args ...string) {
		t.Helper()
		if got := strings.Count(run(append([]string{"flows", "-o", "json"}, args...)...), "\n"); got != want {
			t.Errorf("%q gives %d flows, not %d", args, got, want)
		}
	}
	count(80)
	count(5, "-n", "5")
	count(30, "--unreplied")
	count(30, "--pod", "shop/web-0", "--state", "SYN_SENT", "--protocol", "tcp", "--zone", "65520")
	count(50, "--zone", "0")
	count(1, "--address", "10.0.0.7")
	emptyTable(t)
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func eventually(t *testing.T, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-ticker.C:
		}
	}
}
