package conntrack

import (
	"net/netip"
	"testing"

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
