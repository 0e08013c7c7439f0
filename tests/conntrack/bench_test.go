package conntrack

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// BenchmarkPoll of a table of 200,000 entries, beside a dump that is read and
// decoded only, and those that tell whether a flood has begun.
func BenchmarkPoll(b *testing.B) {
	const size = 200_000
	emptyTable(b)
	table := openTable(b)
	table.fill(size)
	defer emptyTable(b)
	f := func(name string, read func(*testing.B)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			user, system := usage(b)
			for b.Loop() {
				read(b)
			}
			user2, system2 := usage(b)
			perOp := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
			b.ReportMetric(perOp(user2-user), "user-ms/op")
			b.ReportMetric(perOp(system2-system), "system-ms/op")
		})
	}
	f("decoded", func(b *testing.B) { dumpOnly(b, size) })
	c := conntrack.New(conntrack.Options{Interval: time.Minute})
	f("polled", func(b *testing.B) {
		if err := c.Poll(b.Context()); err != nil {
			b.Fatal(err)
		}
		if r := c.Report(); r.Read != size {
			b.Fatalf("%d entries are read: %s", r.Read, r.Missing)
		}
	})
	// What a flood whose SYN are answered is found by, beside short questions.
	table.forge(5000, true)
	for i := range 20_000 {
		table.create(&connection{
			src: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), dst: netip.MustParseAddr("198.51.100.53"),
			protocol: unix.IPPROTO_UDP, srcPort: uint16(1024 + i), dstPort: 53, status: seenReply, timeout: 3600,
		})
	}
	table.flush()
	conn, err := netlink.Dial()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	for name, filter := range map[string]netlink.Filter{"unreplied": netlink.Unreplied(), "unassured": netlink.Unassured()} {
		f(name, func(b *testing.B) {
			if stats, err := conn.Dump(b.Context(), filter, func(*netlink.Entry) {}); err != nil || stats.Filtered > 0 {
				b.Fatal(stats, err)
			}
		})
	}
}
