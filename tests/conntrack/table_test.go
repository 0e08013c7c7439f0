package conntrack

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/exporter/collector/conntrack"
)

// sums of metrics by their names and label values, such as
// "zone_entries antrea ipv4".
type sums map[string]float64

// poll the table once, and give what the collector exposes.
func poll(tb testing.TB, c *conntrack.Collector) sums {
	tb.Helper()
	if err := c.Poll(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	all := sums{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(f.GetName(), "corkline_conntrack_")
			for _, label := range []string{"zone", "family", "protocol", "state", "status", "le"} {
				for _, pair := range m.GetLabel() {
					if pair.GetName() == label {
						key += " " + pair.GetValue()
					}
				}
			}
			all[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// listed is what conntrack prints, added up in the same way. It parses nothing
// with the code under test.
func listed(tb testing.TB) sums {
	tb.Helper()
	all := sums{}
	for _, family := range []string{"ipv4", "ipv6"} {
		for line := range strings.Lines(command(tb, "conntrack", "-L", "-o", "extended", "-f", family)) {
			words := strings.Fields(line) // ipv4 2 tcp 6 431999 ESTABLISHED src=…
			protocol, state, zone := words[2], "none", "0"
			if protocol == "unknown" {
				protocol = words[3]
			}
			switch {
			case !strings.Contains(words[5], "=") && !strings.HasPrefix(words[5], "["):
				state = words[5]
			}
			for _, word := range words {
				if value, ok := strings.CutPrefix(word, "zone="); ok {
					zone = value
				}
			}
			switch zone + family {
			case "65520ipv4", "65510ipv6":
				zone = "antrea"
			case "65521ipv4", "65511ipv6":
				zone = "antrea-snat"
			}
			all["entries"]++
			all["zone_entries "+zone+" "+family]++
			all["state_entries "+protocol+" "+state]++
			if strings.Contains(line, "[UNREPLIED]") {
				all["status_entries unreplied"]++
			}
			if strings.Contains(line, "[ASSURED]") {
				all["status_entries assured"]++
			}
		}
	}
	return all
}

// same compares the sums of a poll with those of conntrack.
func same(t *testing.T, c *conntrack.Collector) sums {
	t.Helper()
	want, got := listed(t), poll(t, c)
	kept := sums{}
	for key, n := range got {
		name, _, _ := strings.Cut(key, " ")
		if n > 0 && (name == "entries" || name == "zone_entries" || name == "state_entries" || key == "status_entries unreplied" || key == "status_entries assured") {
			kept[key] = n
		}
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("(-conntrack +collector):\n%s", diff)
	}
	return got
}

func emptyTable(t testing.TB) {
	t.Helper()
	for _, family := range []string{"ipv4", "ipv6"} {
		command(t, "conntrack", "-F", "-f", family)
	}
}

// The sums equal those of conntrack -L, for connections of all kinds.
func TestSums(t *testing.T) {
	table := openTable(t)
	c := conntrack.New(conntrack.Options{Interval: time.Minute})
	emptyTable(t)
	if got := same(t, c); got["entries"] != 0 || got["dump_up"] != 1 || got["entries_limit"] == 0 {
		t.Errorf("an empty table: %v", got)
	}
	ip := netip.MustParseAddr
	create := func(n int, e connection) {
		t.Helper()
		for i := range n {
			e := e
			e.srcPort += uint16(i)
			if e.timeout == 0 {
				e.timeout = 3600
			}
			table.create(&e)
		}
		table.flush()
	}
	v4, v6 := connection{src: ip("192.0.2.10"), dst: ip("198.51.100.7")}, connection{src: ip("2001:db8::1"), dst: ip("2001:db8::2")}
	with := func(e connection, change func(*connection)) connection { change(&e); return e }

	create(1, with(v4, func(e *connection) {
		e.protocol, e.srcPort, e.dstPort, e.state, e.status = unix.IPPROTO_TCP, 1000, 443, 3, seenReply|assured
	}))
	if got := same(t, c); got["entries"] != 1 {
		t.Errorf("one entry: %v", got)
	}
	for state := uint8(1); state <= 9; state++ { // TCP in every state, of both families
		for family, e := range []connection{v4, v6} {
			create(int(state)+family, with(e, func(e *connection) {
				e.protocol, e.srcPort, e.dstPort, e.state = unix.IPPROTO_TCP, 2000+uint16(state)*100, 80, state
				if state != 1 {
					e.status = seenReply
				}
			}))
		}
	}
	for state := uint8(1); state <= 8; state++ { // as far as the kernel lets them be set
		create(int(state), with(v4, func(e *connection) {
			e.protocol, e.srcPort, e.dstPort, e.state, e.status = unix.IPPROTO_SCTP, 2000+uint16(state)*100, 9, state, seenReply
		}))
	}
	create(20, with(v4, func(e *connection) { e.protocol, e.srcPort, e.dstPort = unix.IPPROTO_UDP, 5000, 53 }))
	create(30, with(v6, func(e *connection) {
		e.protocol, e.srcPort, e.dstPort, e.status = unix.IPPROTO_UDP, 5000, 53, seenReply|assured
	}))
	create(5, with(v4, func(e *connection) { e.protocol, e.srcPort, e.dstPort = unix.IPPROTO_ICMP, 1, 8<<8 }))
	create(6, with(v6, func(e *connection) { e.protocol, e.srcPort, e.dstPort = unix.IPPROTO_ICMPV6, 1, 128<<8 }))
	create(1, with(v4, func(e *connection) { e.protocol = 89 })) // OSPF, which has no name here
	create(7, with(v4, func(e *connection) {
		e.protocol, e.srcPort, e.dstPort, e.nat, e.status = unix.IPPROTO_UDP, 6000, 53, ip("203.0.113.9"), seenReply
	}))
	got := same(t, c)
	if got["status_entries dnat"] != 7 || got["status_entries snat"] != 0 {
		t.Errorf("NAT: %v", got)
	}

	for zone, n := range map[uint16]int{1: 2, 4096: 3, 65510: 4, 65511: 5, 65520: 6, 65521: 7, 65535: 8} {
		for _, e := range []connection{v4, v6} {
			create(n, with(e, func(e *connection) {
				e.protocol, e.srcPort, e.dstPort, e.zone, e.labels = unix.IPPROTO_UDP, 7000, 53, zone, []byte("0123456789abcdef")
				if zone == 65520 || zone == 65510 {
					e.mark = 0x13 // a local pod, to a Service
				}
			}))
		}
	}
	create(9, with(v4, func(e *connection) {
		e.protocol, e.srcPort, e.dstPort, e.zone, e.mark = unix.IPPROTO_UDP, 8000, 53, 65520, 0x10
	}))
	got = same(t, c)
	if got["service_entries ipv4"] != 4+6+9 || got["service_entries ipv6"] != 4+6 || got["not_allowed_entries ipv4"] != 9 || got["not_allowed_entries ipv6"] != 0 {
		t.Errorf("Antrea's marks: %v", got)
	}
	emptyTable(t)
	table.fill(1000)
	if got := same(t, c); got["entries"] != 1000 {
		t.Errorf("a thousand entries: %v", got)
	}
	emptyTable(t)
	table.fill(200_000)
	if got := same(t, c); got["entries"] != 200_000 {
		t.Errorf("200,000 entries: %v", got)
	}
	if pace := c.Interval(); pace >= time.Minute { // three quarters full
		t.Errorf("polls again in %s", pace)
	}
	emptyTable(t)
}

// kernelCounters adds up what the kernel's statistics say.
func kernelCounters(t *testing.T) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(command(t, "conntrack", "-S")) {
		for _, word := range strings.Fields(line) {
			name, value, _ := strings.Cut(word, "=")
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			all[name] += n
		}
	}
	return all
}

// Of a table that is full of assured entries, what is dropped is counted just
// as the kernel counts it; unassured ones are evicted early.
func TestFull(t *testing.T) {
	emptyTable(t)
	table := openTable(t)
	command(t, "ip", "link", "set", "lo", "up")
	command(t, "nft", "add table inet tracking; add chain inet tracking out { type filter hook output priority 0; }; add rule inet tracking out ct state new counter")
	defer command(t, "nft", "delete table inet tracking")
	c := conntrack.New(conntrack.Options{Interval: time.Minute})
	before := poll(t, c)
	limit := int(before["entries_limit"])
	for i := range limit {
		table.create(&connection{
			src: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), dst: netip.AddrFrom4([4]byte{198, 51, 100, 7}),
			protocol: unix.IPPROTO_TCP, srcPort: 1000, dstPort: 443, state: 3, status: seenReply | assured, timeout: 3600,
		})
	}
	_ = table.send() // the last ones may be refused
	refused := 0
	for port := range 300 { // each send is a new connection
		if err := sendUDP(t, port); err != nil {
			refused++
		}
	}
	got, kernel := poll(t, c), kernelCounters(t)
	if refused == 0 || got["drops_total"] < float64(refused) {
		t.Errorf("%d sends are refused, and %v drops counted", refused, got["drops_total"])
	}
	for name, column := range map[string]string{
		"drops_total": "drop", "early_drops_total": "early_drop", "insert_failures_total": "insert_failed",
		"invalid_total": "invalid", "search_restarts_total": "search_restart", "clash_resolves_total": "clash_resolve", "chain_too_long_total": "chaintoolong",
	} {
		if got[name] != kernel[column] {
			t.Errorf("%s is %v, and the kernel says %v", name, got[name], kernel[column])
		}
	}
	if got["entries"] < float64(limit)*0.99 {
		t.Errorf("%v entries of %d", got["entries"], limit)
	}
	t.Logf("%d sends refused, %v drops, %v of %d entries, polls again in %s", refused, got["drops_total"], got["entries"], limit, c.Interval())
	emptyTable(t)
}

func sendUDP(t *testing.T, port int) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 10000 + port})
}

// Without the capability the cheap facts go on.
func TestWithoutCapability(t *testing.T) {
	emptyTable(t)
	openTable(t).fill(3)
	got, facts := pollUnprivileged(t)
	if got["entries"] != 3 || got["dump_up"] != 0 {
		t.Errorf("%v", got)
	}
	if text := fmt.Sprint(facts); !strings.Contains(text, "NET_ADMIN") {
		t.Errorf("the status does not say what is missing: %s", text)
	}
	emptyTable(t)
}
