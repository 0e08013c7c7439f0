package conntrack

import (
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// usage of the process until now.
func usage(tb testing.TB) (user, system time.Duration) { return usageOf(tb, unix.RUSAGE_SELF) }

func usageOf(tb testing.TB, who int) (user, system time.Duration) {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// resident memory of the process in bytes, now and at most since resetPeak.
func resident(tb testing.TB) (now, peak int64) {
	tb.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	value := func(key string) int64 {
		found := regexp.MustCompile(key + `:\s+(\d+) kB`).FindSubmatch(text)
		if found == nil {
			tb.Fatalf("no %s in %s", key, text)
		}
		n, err := strconv.ParseInt(string(found[1]), 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		return n << 10
	}
	return value("VmRSS"), value("VmHWM")
}

func resetPeak(tb testing.TB) {
	tb.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		tb.Fatal(err)
	}
}

// maxExtra is what a collector may take of memory, whatever the table's size.
const maxExtra = 8 << 20

// What a poll takes of memory, and that one of unreplied entries reads no others.
func TestCost(t *testing.T) {
	emptyTable(t)
	table := openTable(t)
	at := 0
	for _, size := range []int{50_000, 260_000} {
		table.more(at, size-at)
		at = size
		debug.FreeOSMemory()
		resetPeak(t)
		before, _ := resident(t)
		c := conntrack.New(conntrack.Options{Interval: time.Minute})
		for range 2 {
			pollAll(t, c, size)
			if _, peak := resident(t); peak-before > maxExtra {
				t.Errorf("the collector takes %d bytes for %d entries", peak-before, size)
			}
		}
	}
	conn, err := netlink.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stats, err := conn.Dump(t.Context(), netlink.Unreplied(), func(*netlink.Entry) {})
	if err != nil || stats.Entries+stats.Filtered > 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	emptyTable(t)
}

// pollAll polls a table, and holds that all of it was read.
func pollAll(tb testing.TB, c *conntrack.Collector, size int) {
	tb.Helper()
	if err := c.Poll(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if r := c.Report(); r.Read != uint64(size) {
		tb.Fatalf("%d of %d entries are read: %s", r.Read, size, r.Missing)
	}
}

// What a poll costs, beside what others take for the same table in turn.
func BenchmarkCost(b *testing.B) {
	emptyTable(b)
	table := openTable(b)
	at := 0
	for _, size := range []int{50_000, 100_000, 200_000, 260_000} {
		table.more(at, size-at)
		at = size
		c := conntrack.New(conntrack.Options{Interval: time.Minute})
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			for b.Loop() {
				start := time.Now()
				u, s := usage(b)
				pollAll(b, c, size)
				took := time.Since(start)
				u2, s2 := usage(b)
				listUser, _ := usageOf(b, unix.RUSAGE_CHILDREN)
				list := shell(b, "conntrack -L 2>/dev/null | wc -l")
				listUser2, _ := usageOf(b, unix.RUSAGE_CHILDREN)
				proc := shell(b, "cat /proc/net/nf_conntrack | wc -l")
				decoding := dumpOnly(b, uint64(size))
				b.Logf("%d entries: poll %s (user %s, system %s); of conntrack -L | wc -l (%s, user %s) %.2f, of cat /proc/net/nf_conntrack | wc -l (%s) %.2f; decoding only %s (%.2f)",
					size, took.Round(time.Millisecond), (u2 - u).Round(time.Millisecond), (s2 - s).Round(time.Millisecond),
					list.Round(time.Millisecond), (listUser2 - listUser).Round(time.Millisecond), took.Seconds()/list.Seconds(), proc.Round(time.Millisecond), took.Seconds()/proc.Seconds(),
					decoding.Round(time.Millisecond), decoding.Seconds()/list.Seconds())
			}
		})
	}
	emptyTable(b)
}

func dumpOnly(t testing.TB, want uint64) time.Duration {
	t.Helper()
	conn, err := netlink.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	if stats, err := conn.Dump(t.Context(), netlink.Filter{}, func(*netlink.Entry) {}); err != nil || stats.Entries != want {
		t.Fatalf("%+v, %v", stats, err)
	}
	return time.Since(start)
}

func shell(t testing.TB, line string) time.Duration {
	t.Helper()
	start := time.Now()
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s\n%s", line, err, out)
	}
	return time.Since(start)
}
