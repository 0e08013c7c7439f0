package conntrack

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// The kernel itself leaves out what a filter does not want, and what it hands
// out is just that.
func TestFilters(t *testing.T) {
	emptyTable(t)
	table := openTable(t)
	for i := range 90 {
		e := connection{
			src: netip.MustParseAddr("192.0.2.10"), dst: netip.MustParseAddr("198.51.100.7"), protocol: unix.IPPROTO_UDP,
			srcPort: uint16(1000 + i), dstPort: 53, timeout: 3600, mark: uint32(i % 3), zone: uint16(i % 5), status: uint32(i%2) * seenReply,
		}
		if i%6 == 5 {
			e.status |= assured
		}
		if i%9 == 0 {
			e.src, e.dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
		}
		table.create(&e)
	}
	table.flush()
	conn, err := netlink.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := func(filter netlink.Filter, want uint64, is func(*netlink.Entry) bool) {
		t.Helper()
		stats, err := conn.Dump(t.Context(), filter, func(e *netlink.Entry) {
			if !is(e) {
				t.Errorf("%+v gives %+v", filter, e)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if stats.Entries != want || stats.Filtered != 0 {
			t.Errorf("%+v: %+v, want %d entries", filter, stats, want)
		}
	}
	f(netlink.Filter{}, 90, func(*netlink.Entry) bool { return true })
	f(netlink.Filter{Family: 6}, 10, func(e *netlink.Entry) bool { return e.Orig.Src.Is6() })
	f(netlink.Filter{Family: 4}, 80, func(e *netlink.Entry) bool { return e.Orig.Src.Is4() })
	f(netlink.Unreplied(), 45, (*netlink.Entry).Unreplied)
	f(netlink.Unassured(), 75, func(e *netlink.Entry) bool { return e.Status&netlink.Assured == 0 })
	f(netlink.Filter{Mark: 2, MarkMask: 3}, 30, func(e *netlink.Entry) bool { return e.Mark == 2 })
	f(netlink.Filter{MarkMask: 3}, 30, func(e *netlink.Entry) bool { return e.Mark == 0 })
	f(netlink.Filter{Zone: 3, OnlyZone: true}, 18, func(e *netlink.Entry) bool { return e.Zone == 3 })
	f(netlink.Filter{OnlyZone: true}, 18, func(e *netlink.Entry) bool { return e.Zone == 0 })
	f(netlink.Filter{Family: 4, MarkMask: 3, StatusMask: seenReply, Zone: 1, OnlyZone: true}, 2, func(e *netlink.Entry) bool { return e.Zone == 1 })

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if stats, err := conn.Stats(ctx); err != nil || stats.Entries != 90 || stats.Limit == 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	if all, err := conn.CPUStats(ctx); err != nil || len(all) == 0 {
		t.Errorf("%+v, %v", all, err)
	}
	cancel()
	if _, err := conn.Dump(ctx, netlink.Filter{}, func(*netlink.Entry) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	emptyTable(t)
}

// Every new and destroyed connection is told of; those for which there was no
// room are counted.
func TestEvents(t *testing.T) {
	emptyTable(t)
	writeSysctl(t, "nf_conntrack_timestamp", "1")
	defer writeSysctl(t, "nf_conntrack_timestamp", "0")
	table := openTable(t)
	f := func(n int, slow bool) (lost uint64) {
		t.Helper()
		events, err := netlink.Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		defer events.Close()
		table.fill(n)
		emptyTable(t)
		if !slow { // nothing may be lost of what fits
			n = min(n, 1000)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		created, destroyed := 0, 0
		done := func() {
			if created+destroyed+int(lost) >= 2*n {
				cancel()
			}
		}
		err = events.Receive(ctx, func(event netlink.Event, e *netlink.Entry) {
			if event == netlink.New {
				created++
			} else {
				destroyed++
				if e.Start == 0 || e.Stop < e.Start {
					t.Errorf("no lifetime: %+v", e)
				}
			}
			done()
		}, func(n uint64) { lost += n; done() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("received %d and %d events and %d are lost of %d connections: %v", created, destroyed, lost, n, err)
		}
		if total := created + destroyed + int(lost); total != 2*n {
			t.Errorf("%d events and %d lost ones of %d connections", created+destroyed, lost, n)
		}
		return lost
	}
	if lost := f(1000, false); lost > 0 {
		t.Errorf("%d events are lost", lost)
	}
	if lost := f(50_000, true); lost == 0 {
		t.Error("no event is lost of a reader that is too slow")
	}
}

func writeSysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/netfilter/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}
