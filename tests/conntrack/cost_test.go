package conntrack

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// usage of the process until now.
func usage(tb testing.TB) (user, system time.Duration) {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// What a poll costs, beside conntrack -L of the same table in the same run.
func TestCost(t *testing.T) {
	table := openTable(t)
	start := time.Now()
	table.fill(200_000)
	t.Logf("filled in %s", time.Since(start))
	conn, err := netlink.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 3 {
		start := time.Now()
		if err := exec.CommandContext(t.Context(), "sh", "-c", "conntrack -L 2>/dev/null | wc -l").Run(); err != nil {
			t.Fatal(err)
		}
		list := time.Since(start)
		u, s := usage(t)
		start = time.Now()
		var n int
		stats, err := conn.Dump(t.Context(), netlink.Filter{}, func(*netlink.Entry) { n++ })
		if err != nil {
			t.Fatal(err)
		}
		dump := time.Since(start)
		u2, s2 := usage(t)
		t.Logf("conntrack -L | wc -l: %s; dump: %s (%.2f), user %s, system %s, %+v", list, dump, float64(dump)/float64(list), u2-u, s2-s, stats)
	}
}
