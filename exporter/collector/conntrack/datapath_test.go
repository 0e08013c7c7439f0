package conntrack

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// daemon gives what it has for a command.
type daemon map[string]string

func (d daemon) Call(_ context.Context, command string, args ...string) (string, error) {
	text, ok := d[strings.Join(append([]string{command}, args...), " ")]
	if !ok {
		return "", errors.New("not a valid command")
	}
	return text, nil
}

func TestDatapath(t *testing.T) {
	ovs := daemon{
		"dpctl/ct-get-nconns": "3\n", "dpctl/ct-get-maxconns": "3000000\n",
		"dpctl/dump-conntrack -m": `tcp,orig=(src=192.0.2.10,dst=203.0.113.1,sport=40001,dport=443),reply=(src=198.51.100.7,dst=192.0.2.10,sport=8443,dport=40001),zone=65520,mark=19,labels=0x200000107,protoinfo=(state_orig=ESTABLISHED,state_reply=ESTABLISHED)
tcp,orig=(src=2001:db8::1,dst=2001:db8::2,sport=40001,dport=80),reply=(src=2001:db8::2,dst=2001:db8::1,sport=80,dport=40001),zone=65510,protoinfo=(state_orig=SYN_SENT,state_reply=CLOSED)

udp,orig=(src=192.0.2.10,dst=198.51.100.7,sport=40001,dport=53),reply=(src=198.51.100.7,dst=192.0.2.1,sport=53,dport=40001)
`,
	}
	var got []netlink.Entry
	stats, err := Datapath{ovs}.Dump(t.Context(), netlink.Filter{}, func(e *netlink.Entry) { got = append(got, *e) })
	if err != nil || stats.Entries != 3 {
		t.Fatalf("%+v, %v", stats, err)
	}
	ip := netip.MustParseAddr
	want := []netlink.Entry{
		{
			Orig:   netlink.Tuple{Src: ip("192.0.2.10"), Dst: ip("203.0.113.1"), SrcPort: 40001, DstPort: 443},
			Reply:  netlink.Tuple{Src: ip("198.51.100.7"), Dst: ip("192.0.2.10"), SrcPort: 8443, DstPort: 40001},
			Family: 4, Protocol: 6, State: 3, Zone: 65520, Mark: 19, Status: netlink.SeenReply | netlink.Assured | netlink.DestNAT,
			Labels: [16]byte{11: 2, 14: 1, 15: 7},
		},
		{
			Orig:   netlink.Tuple{Src: ip("2001:db8::1"), Dst: ip("2001:db8::2"), SrcPort: 40001, DstPort: 80},
			Reply:  netlink.Tuple{Src: ip("2001:db8::2"), Dst: ip("2001:db8::1"), SrcPort: 80, DstPort: 40001},
			Family: 6, Protocol: 6, State: 1, Zone: 65510,
		},
		{
			Orig:   netlink.Tuple{Src: ip("192.0.2.10"), Dst: ip("198.51.100.7"), SrcPort: 40001, DstPort: 53},
			Reply:  netlink.Tuple{Src: ip("198.51.100.7"), Dst: ip("192.0.2.1"), SrcPort: 53, DstPort: 40001},
			Family: 4, Protocol: 17, Status: netlink.SeenReply | netlink.SourceNAT,
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	stats, err = Datapath{ovs}.Dump(t.Context(), netlink.Unreplied(), func(*netlink.Entry) {})
	if err != nil || stats.Entries != 1 || stats.Filtered != 2 {
		t.Errorf("%+v, %v", stats, err)
	}

	c := New(Options{Datapath: &Datapath{ovs}, Interval: time.Minute})
	if err := c.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := c.Report(); r.Entries != 3 || r.Limit != 3000000 || r.Read != 3 || len(r.Counters) > 0 || r.Missing != "" || len(r.Zones) != 3 {
		t.Errorf("%+v", r)
	}
	ovs["dpctl/dump-conntrack -m"] += "not an entry\n"
	if err := c.Poll(t.Context()); err != nil || !strings.Contains(c.Report().Missing, `parse "not an entry"`) {
		t.Errorf("%v, %+v", err, c.Report())
	}
	if err := New(Options{Datapath: &Datapath{daemon{}}}).Poll(t.Context()); err == nil {
		t.Error("a daemon that does not answer is no error")
	}
}
