package conntrack

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// entries is a Table that is decoded already.
type entries []netlink.Entry

func (t entries) Dump(_ context.Context, _ netlink.Filter, each func(*netlink.Entry)) (stats netlink.DumpStats, err error) {
	for i := range t {
		each(&t[i])
	}
	stats.Entries = uint64(len(t))
	return stats, nil
}

// BenchmarkDump adds up and analyses a table: of few clients, and of one entry
// for each.
func BenchmarkDump(b *testing.B) {
	for _, size := range []int{200_000, 2_000_000} {
		for _, clients := range []int{500, size} {
			table := make(entries, size)
			for i := range table {
				client := i % clients
				src := netip.AddrFrom4([4]byte{10, byte(client >> 16), byte(client >> 8), byte(client)})
				dst := netip.AddrFrom4([4]byte{198, 51, 100, byte(i % 20)})
				table[i] = netlink.Entry{
					Orig:   netlink.Tuple{Src: src, Dst: dst, SrcPort: uint16(1024 + i%60000), DstPort: 443},
					Reply:  netlink.Tuple{Src: dst, Dst: src, SrcPort: 443, DstPort: uint16(1024 + i%60000)},
					Family: 4, Protocol: 6, State: 3, Zone: 65520, Mark: 3, Status: netlink.SeenReply | netlink.Assured,
				}
			}
			b.Run(fmt.Sprintf("entries=%d/clients=%d", size, clients), func(b *testing.B) {
				now := time.Unix(0, 0)
				c := New(Options{Interval: time.Minute, Now: func() time.Time { return now }})
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.dump(b.Context(), table); err != nil {
						b.Fatal(err)
					}
					now = now.Add(15 * time.Second)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/entry")
			})
		}
	}
}
