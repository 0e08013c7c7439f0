package conntrack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/tests/rig"
)

// forge half-open connections of many addresses to one port, whose SYN are
// answered or not.
func (t *table) forge(n int, answered bool) {
	t.Helper()
	state, status := uint8(1), uint32(0)
	if answered {
		state, status = 2, seenReply
	}
	for i := range n {
		t.create(&connection{
			src: netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), dst: netip.MustParseAddr(forgedTo),
			protocol: unix.IPPROTO_TCP, srcPort: uint16(1024 + i), dstPort: 80, state: state, status: status, zone: 65520, mark: 0x10, timeout: 3600,
		})
	}
	t.flush()
}

// forgedTo is the victim of what is forged.
const forgedTo = "198.51.100.9"

// The built agent exposes the table, tells of a flood and of its end, and goes
// on over a reload.
func TestAgent(t *testing.T) {
	emptyTable(t)
	command(t, "ip", "link", "set", "lo", "up")
	table := openTable(t)
	table.fill(100)
	dir := t.TempDir()
	config := func(more string) {
		t.Helper()
		text := fmt.Sprintf("node: n1\nstate_dir: %s/state\nlisten: 127.0.0.1:0\npoll_interval: 50ms\nsources: []\ncollectors: {conntrack: {interval: 1s, stream: true, names: {198.51.100.9: shop/web-0}%s}}\n", dir, more)
		if err := os.WriteFile(dir+"/corkline.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config("")
	agent := (&rig.Rig{Binary: corkline()}).Agent(t, dir+"/corkline.yaml")
	agent.Start()
	get := func(ctx context.Context, page string) (string, error) {
		url, err := agent.URL()
		if err != nil {
			return "", err
		}
		body, err := rig.Get(ctx, url+page, nil)
		return string(body), err
	}
	exposes := func(want ...string) {
		t.Helper()
		rig.Eventually(t, "metrics", func(ctx context.Context) error {
			body, err := get(ctx, "/metrics")
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

	table.forge(5000, false)
	exposes(`corkline_conntrack_floods{kind="flood"} 1`, `corkline_conntrack_zone_entries{family="ipv4",zone="antrea"} 5000`,
		`corkline_conntrack_not_allowed_entries{family="ipv4"} 5000`, `corkline_conntrack_events_total{event="flood",phase="start"} 1`,
		`corkline_conntrack_flood_half_open_entries{kind="flood",protocol="tcp",source="",victim="shop/web-0"} 5000`, "corkline_conntrack_connections_created_total 5000")
	if page, err := get(t.Context(), "/"); err != nil || !strings.Contains(page, "198.51.100.9:80 (shop/web-0)") {
		t.Errorf("the status page does not name the victim: %v\n%s", err, page)
	}
	emptyTable(t)
	exposes(`corkline_conntrack_floods{kind="flood"} 0`, `corkline_conntrack_events_total{event="flood",phase="end"} 1`, "corkline_conntrack_entries 0\n")

	config(", timeout: 5s") // restarts the collector
	agent.Signal(syscall.SIGHUP)
	table.fill(10)
	exposes("corkline_conntrack_entries 10\n", "corkline_conntrack_connections_created_total 0\n")
	emptyTable(t)
	agent.Stop()
}

// The subcommands show what the table holds.
func TestCommand(t *testing.T) {
	emptyTable(t)
	table := openTable(t)
	table.fill(50)
	table.forge(30, false)
	config := filepath.Join(t.TempDir(), "corkline.yaml")
	if err := os.WriteFile(config, []byte("collectors: {conntrack: {names: {198.51.100.9: shop/web-0}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		return command(t, corkline(), append(append([]string{"conntrack"}, args...), "--config", config)...)
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
