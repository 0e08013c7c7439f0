package conntrack

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// The stream of the benchmark has what it says.
func TestStream(t *testing.T) {
	n, clients := 1000, map[netip.Addr]bool{}
	stats, err := stream(n, 100).Dump(t.Context(), netlink.Filter{}, func(e *netlink.Entry) {
		clients[e.Orig.Src] = true
		if e.Orig.Src != e.Reply.Dst || e.Orig.SrcPort < 1024 || e.Orig.SrcPort != e.Reply.DstPort || e.Orig.DstPort != 443 || e.Reply.SrcPort != 8443 ||
			e.Zone != antreaIPv4 || e.Mark != 0x13 || e.State != 3 || e.Unreplied() || e.Timeout != 3600 || e.ID != 0x01020304 {
			t.Fatalf("%+v", e)
		}
	})
	if err != nil || stats.Entries != uint64(n) || len(clients) != 100 {
		t.Errorf("%+v, %d clients: %v", stats, len(clients), err)
	}
}

// Two million entries, each of another client, take what a collector may take,
// and less again.
func TestStream_Memory(t *testing.T) {
	c := New(Options{Interval: time.Minute})
	allocated := func(n int) uint64 {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		content, err := c.dump(t.Context(), stream(n, n))
		runtime.ReadMemStats(&after)
		if err != nil || content.entries != uint64(n) || content.states[0].Entries != uint64(n) {
			t.Fatalf("%+v: %v", content, err)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	first, again := allocated(2_000_000), allocated(2_000_000)
	t.Logf("%d bytes allocated for 2 million entries, %d for the next", first, again)
	if first > 8<<20 || again > 2<<20 {
		t.Errorf("%d bytes allocated for 2 million entries, %d for the next", first, again)
	}
}
