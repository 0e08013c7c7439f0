package conntrack

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
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

// stream of a dump over netlink, of n established TCP connections from so many
// clients to a Service, as the kernel sends them: 32 KiB at a time. It takes the
// memory of one read, whatever n is.
func stream(n, clients int) netlink.Recording {
	attribute := func(b []byte, kind uint16, value ...byte) []byte {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		return append(b, make([]byte, -len(value)&3)...)
	}
	const nested = 1 << 15
	tuple := func(src, dst [4]byte, srcPort, dstPort uint16) []byte {
		addresses := attribute(attribute(nil, 1, src[:]...), 2, dst[:]...)
		proto := attribute(nil, 1, 6)
		proto = attribute(proto, 2, byte(srcPort>>8), byte(srcPort))
		proto = attribute(proto, 3, byte(dstPort>>8), byte(dstPort))
		return attribute(attribute(nil, nested|1, addresses...), nested|2, proto...)
	}
	client, service, backend := [4]byte{10, 0, 0, 0}, [4]byte{198, 51, 100, 0}, [4]byte{192, 0, 2, 0}
	body := []byte{2, 0, 0, 0} // nfgenmsg of IPv4
	body = attribute(body, nested|1, tuple(client, service, 0, 443)...)
	body = attribute(body, nested|2, tuple(backend, client, 8443, 0)...)
	body = attribute(body, 3, 0, 0, 1, 0x2e) // seen reply, assured, confirmed, NAT
	body = attribute(body, 7, 0, 0, 14, 16)
	tcp := attribute(attribute(attribute(nil, 1, 3), 2, 7), 3, 7)
	tcp = attribute(attribute(tcp, 4, 0x23, 0), 5, 0x23, 0)
	body = attribute(body, nested|4, attribute(nil, nested|1, tcp...)...)
	body = attribute(body, 8, 0, 0, 0, 0x13)
	body = attribute(body, 22, make([]byte, 16)...)
	body = attribute(body, 12, 1, 2, 3, 4)
	body = attribute(body, 11, 0, 0, 0, 1)
	body = attribute(body, 18, 0xff, 0xf0) // the zone
	const header = 16
	message := binary.NativeEndian.AppendUint32(nil, uint32(header+len(body)))
	message = binary.NativeEndian.AppendUint16(message, 1<<8)
	message = append(append(message, make([]byte, header-6)...), body...)

	// Where the addresses and ports are that change from entry to entry.
	const origSrc = header + 4 + 4 + 4 + 4
	const origDst, origPort = origSrc + 8, origSrc + 8 + 4 + 4 + 8 + 4
	const replyDst, replyPort = origSrc + 52 + 8, origPort + 52 + 8
	perRead := 32 << 10 / len(message)
	return func(yield func([]byte) bool) {
		buffer := make([]byte, 0, perRead*len(message))
		for i := 0; i < n; {
			buffer = buffer[:0]
			for ; i < n && len(buffer) < perRead*len(message); i++ {
				at := len(buffer)
				buffer = append(buffer, message...)
				m := buffer[at:]
				from := i % clients
				for _, place := range [...]int{origSrc, replyDst} {
					m[place+1], m[place+2], m[place+3] = byte(from>>16), byte(from>>8), byte(from)
				}
				m[origDst+3] = byte(i % 20)
				port := uint16(1024 + i%60000)
				binary.BigEndian.PutUint16(m[origPort:], port)
				binary.BigEndian.PutUint16(m[replyPort:], port)
			}
			if !yield(buffer) {
				return
			}
		}
	}
}

// BenchmarkStream decodes, adds up and analyses a stream as the kernel sends it.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{200_000, 2_000_000} {
		for _, clients := range []int{2000, size} {
			b.Run(fmt.Sprintf("entries=%d/clients=%d", size, clients), func(b *testing.B) {
				now := time.Unix(0, 0)
				c := New(Options{Interval: time.Minute, Now: func() time.Time { return now }})
				table := stream(size, clients)
				began := userTime(b)
				b.ReportAllocs()
				for b.Loop() {
					content, err := c.dump(b.Context(), table)
					if err != nil || content.entries != uint64(size) {
						b.Fatal(content, err)
					}
					now = now.Add(15 * time.Second)
				}
				user := userTime(b) - began
				b.ReportMetric(float64(user.Nanoseconds())/float64(b.N)/float64(size), "user-ns/entry")
				b.ReportMetric(float64(user.Microseconds())/float64(b.N)/1000, "user-ms/op")
			})
		}
	}
}

// userTime of this process alone: others may have the processors, too.
func userTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano())
}
