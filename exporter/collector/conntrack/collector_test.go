package conntrack

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// told are the events that were emitted, as "event phase".
type told []string

func (e *told) Emit(event any) {
	switch event := event.(type) {
	case Flood:
		*e = append(*e, event.Event+" "+event.Phase+" "+event.Destination+" "+event.DestinationPod)
	case filling:
		*e = append(*e, event.Event+" "+event.Phase)
	}
}

// table is a daemon with so many answered entries, and half-open ones to a port.
func table(answered, halfOpen int) daemon {
	var b strings.Builder
	for i := range answered {
		fmt.Fprintf(&b, "tcp,orig=(src=192.0.2.%d,dst=198.51.100.7,sport=%d,dport=443),reply=(src=198.51.100.7,dst=192.0.2.%[1]d,sport=443,dport=%[2]d),zone=65520,mark=3,protoinfo=(state_orig=ESTABLISHED,state_reply=ESTABLISHED)\n", i%250+1, 1024+i/250)
	}
	for i := range halfOpen {
		fmt.Fprintf(&b, "tcp,orig=(src=203.0.113.9,dst=198.51.100.7,sport=%d,dport=443),reply=(src=198.51.100.7,dst=203.0.113.9,sport=443,dport=%[1]d),zone=65520,protoinfo=(state_orig=SYN_SENT,state_reply=CLOSED)\n", 1024+i)
	}
	return daemon{
		"dpctl/ct-get-nconns": fmt.Sprint(answered + halfOpen), "dpctl/ct-get-maxconns": "20000",
		"dpctl/dump-conntrack -m": b.String(),
	}
}

// A flood is told of when it begins and when it ends; metrics and the status
// page have it meanwhile, with the names of its ends.
func TestCollector_Flood(t *testing.T) {
	now := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	events := &told{}
	datapath := &Datapath{}
	c := New(Options{
		Datapath: datapath, Interval: 15 * time.Second, Events: events, Now: func() time.Time { return now },
		Names: Names{netip.MustParsePrefix("198.51.100.7/32"): {Namespace: "shop", Pod: "web-0"}, netip.MustParsePrefix("203.0.113.0/24"): {Node: "edge"}},
	})
	poll := func(answered, halfOpen int) {
		t.Helper()
		datapath.Daemon = table(answered, halfOpen)
		if err := c.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(15 * time.Second)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	poll(500, 0)
	poll(500, 0)
	poll(500, 6000)
	poll(500, 6000)
	if diff := cmp.Diff(told{"flood start 198.51.100.7 shop/web-0"}, *events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP corkline_conntrack_flood_half_open_entries Half-open entries of floods, scans and unanswered services that go on, by the pods or nodes that they come from mostly and go to; empty where those are not known.
# TYPE corkline_conntrack_flood_half_open_entries gauge
corkline_conntrack_flood_half_open_entries{kind="flood",protocol="tcp",source="edge",victim="shop/web-0"} 6000
# HELP corkline_conntrack_not_allowed_entries Entries in Antrea's zones, without those of SNAT, that no policy has let pass yet, such as those of denied connections.
# TYPE corkline_conntrack_not_allowed_entries gauge
corkline_conntrack_not_allowed_entries{family="ipv4"} 6000
corkline_conntrack_not_allowed_entries{family="ipv6"} 0
# HELP corkline_conntrack_status_entries Entries with a status: unreplied (no packet came back), half_open (unreplied, or TCP whose handshake is not complete), assured (not evicted when the table is full), offloaded, snat, dnat. An entry may have several.
# TYPE corkline_conntrack_status_entries gauge
corkline_conntrack_status_entries{status="assured"} 500
corkline_conntrack_status_entries{status="dnat"} 0
corkline_conntrack_status_entries{status="half_open"} 6000
corkline_conntrack_status_entries{status="offloaded"} 0
corkline_conntrack_status_entries{status="snat"} 0
corkline_conntrack_status_entries{status="unreplied"} 6000
`), "corkline_conntrack_flood_half_open_entries", "corkline_conntrack_not_allowed_entries", "corkline_conntrack_status_entries")
	if err != nil {
		t.Error(err)
	}
	if facts := fmt.Sprint(c.Status()); !strings.Contains(facts, "tcp flood of half-open connections to 198.51.100.7:443 (shop/web-0) from 203.0.113.9 (edge): 6000 half-open entries, 500 answered") {
		t.Errorf("the status is %s", facts)
	}
	for range 6 {
		poll(500, 0)
	}
	if diff := cmp.Diff(told{"flood start 198.51.100.7 shop/web-0", "flood end 198.51.100.7 shop/web-0"}, *events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A table that fills is told of once, and so is that it fills no more.
func TestCollector_Filling(t *testing.T) {
	now := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	events := &told{}
	datapath := &Datapath{}
	c := New(Options{Datapath: datapath, Interval: 15 * time.Second, Events: events, Now: func() time.Time { return now }})
	poll := func(entries int) {
		t.Helper()
		datapath.Daemon = daemon{"dpctl/ct-get-nconns": fmt.Sprint(entries), "dpctl/ct-get-maxconns": "100000", "dpctl/dump-conntrack -m": ""}
		if err := c.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(15 * time.Second)
	}
	for i := range 65 { // full in less than half an hour; it may yet be a tooth
		poll(20000 + 1000*i)
	}
	if r := c.Report(); len(*events) > 0 || r.Forecast == nil || r.Forecast.Seconds > 600 || r.Forecast.Confidence >= 0.5 {
		t.Errorf("events %v, the forecast is %+v", *events, r.Forecast)
	}
	for i := range 8 {
		poll(85000 + 1000*i)
	}
	if diff := cmp.Diff(told{"filling start"}, *events); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if f := c.Report().Forecast; f == nil || f.Seconds < 90 || f.Seconds > 150 { // 8000 entries at 1000 in 15 s
		t.Errorf("the forecast is %+v", f)
	}
	for range 120 {
		poll(92000)
	}
	if diff := cmp.Diff(told{"filling start", "filling end"}, *events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The fuller the table, the more often it is polled; long polls have their rest.
func TestCollector_Interval(t *testing.T) {
	c := New(Options{Interval: 20 * time.Second})
	f := func(entries uint64, took, want time.Duration) {
		t.Helper()
		c.pace(&snapshot{facts: facts{entries: entries, limit: 1000}}, took)
		if got := c.Interval(); got.Round(time.Second) != want {
			t.Errorf("%d of 1000 entries: %s, want %s", entries, got, want)
		}
	}
	f(0, 0, 20*time.Second)
	f(500, 0, 20*time.Second)
	f(750, 0, 11*time.Second)
	f(1000, 0, 2*time.Second)
	f(5000, 0, 2*time.Second)
	f(1000, time.Second, 5*time.Second)
	f(1000, time.Minute, 20*time.Second)
	c.pace(&snapshot{facts: facts{entries: 5}}, 0) // without a limit
	if got := c.Interval(); got != 20*time.Second {
		t.Error(got)
	}
}

func TestNames(t *testing.T) {
	names := Resolvers{Names{}, Names{
		netip.MustParsePrefix("192.0.2.0/24"): {Node: "net"}, netip.MustParsePrefix("192.0.2.7/32"): {Namespace: "shop", Pod: "web-0"},
		netip.MustParsePrefix("2001:db8::/32"): {Node: "six"},
	}}
	f := func(addr, want string) {
		t.Helper()
		owner, ok := names.Resolve(netip.MustParseAddr(addr))
		if owner.String() != want || ok != (want != "") {
			t.Errorf("%s is %q, %t", addr, owner, ok)
		}
	}
	f("192.0.2.7", "shop/web-0")
	f("192.0.2.8", "net")
	f("198.51.100.1", "")
	f("2001:db8::1", "six")
	f("::ffff:192.0.2.7", "")
	if err := names.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "/", "a/", "/b", "a/b/c"} {
		if owner, err := ParseOwner(text); err == nil {
			t.Errorf("%q is %v", text, owner)
		}
	}
	if owner, err := ParseOwner("shop/web-0"); err != nil || owner != (Owner{Namespace: "shop", Pod: "web-0"}) {
		t.Errorf("%v, %v", owner, err)
	}
	if owner, err := ParseOwner("node-1"); err != nil || owner != (Owner{Node: "node-1"}) {
		t.Errorf("%v, %v", owner, err)
	}
}

// A dump that takes long does not put the poll's count behind those of Run,
// which would begin the forecast anew.
func TestCollector_CountsWhileDumping(t *testing.T) {
	now := time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC)
	var c *Collector
	entries := 20_000
	slow := daemonFunc(func(command string) string {
		switch command {
		case "dpctl/ct-get-nconns":
			return fmt.Sprint(entries)
		case "dpctl/ct-get-maxconns":
			return "100000"
		}
		now, entries = now.Add(5*time.Second), entries+300
		c.observe(facts{entries: uint64(entries), limit: 100_000}) // as Run does meanwhile
		return ""
	})
	c = New(Options{Datapath: &Datapath{Daemon: slow}, Interval: 15 * time.Second, Now: func() time.Time { return now }})
	for range 65 {
		if err := c.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		now, entries = now.Add(10*time.Second), entries+600
	}
	if f := c.Report().Forecast; f == nil || f.Seconds < 300 || f.Seconds > 400 { // 21,500 entries at 60 a second
		t.Errorf("the forecast is %+v", f)
	}
}

// daemonFunc answers by the command.
type daemonFunc func(command string) string

func (f daemonFunc) Call(_ context.Context, command string, _ ...string) (string, error) {
	return f(command), nil
}
