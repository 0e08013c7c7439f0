package ovs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
	"github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/tests/ovs/lab"
)

// What a call gives is what ovs-appctl prints, and is understood.
func TestUnixctl(t *testing.T) {
	s := lab.Start(t, lab.Options{})
	a := s.AddPod("pod-a", 11, "192.0.2.11/24")
	b := s.AddPod("pod-b", 12, "192.0.2.12/24")
	s.Vsctl("add-port", s.Bridge, "tun0", "--", "set", "interface", "tun0", "type=geneve", "options:remote_ip=flow", "options:key=flow")
	s.AddFlows(join([]string{
		"priority=10,arp,actions=NORMAL", "priority=10,ip,ct_state=-trk,actions=ct(table=1,zone=5)", "table=1,ip,ct_state=+new+trk,actions=ct(commit,zone=5),NORMAL", "table=1,ip,ct_state=-new+trk,actions=NORMAL",
	}))
	a.Run("ping", "-c", "3", "-i", "0.01", "-W", "1", b.Address)
	// One packet of each protocol; nobody answers.
	a.Run("bash", "-c", fmt.Sprintf("echo x >/dev/udp/%[1]s/5000; (exec 3<>/dev/tcp/%[1]s/5001) 2>/dev/null; true", b.Address))

	path, err := unixctl.Find(t.Context(), "ovs-vswitchd", filepath.Join(s.Dir, "none"), s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	call := func(method string, arguments ...string) string {
		t.Helper()
		text, err := unixctl.Client{Path: path}.Call(t.Context(), method, arguments...)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	digits := regexp.MustCompile(`[0-9]+(\.[0-9]+)?| +`)
	same := func(text, method string, arguments ...string) {
		t.Helper()
		want := s.Appctl(append([]string{method}, arguments...)...)
		if digits.ReplaceAllString(want, "") != digits.ReplaceAllString(text, "") {
			t.Errorf("%s: want\n%s\ngot\n%s", method, want, text)
		}
	}

	text := call("dpctl/show", "-s")
	same(text, "dpctl/show", "-s")
	datapaths, err := ovs.Datapaths(text)
	if err != nil || len(datapaths) != 1 {
		t.Fatalf("%v: %s", err, text)
	}
	d := datapaths[0]
	if d.Name != "netdev@ovs-netdev" || d.Hit == 0 || d.Missed == 0 || len(d.Ports) != 5 {
		t.Errorf("%+v\n%s", d, text)
	}
	for _, p := range d.Ports {
		if p.Name == "pod-a" && (p.Type != "" || p.RxPackets.Value == 0 || p.TxBytes.Value == 0) || p.Name == "genev_sys_6081" && p.Type != "geneve" {
			t.Errorf("%+v\n%s", p, text)
		}
	}

	text = call("dpif/show")
	same(text, "dpif/show")
	bridges, err := ovs.DatapathBridges(text)
	if err != nil || len(bridges) != 1 || bridges[0].Name != s.Bridge || bridges[0].Hit < d.Hit || len(bridges[0].Ports) != 4 {
		t.Fatalf("%v: %+v\n%s", err, bridges, text)
	}
	for _, p := range bridges[0].Ports {
		if p.Name == "pod-b" && p.OpenFlow != 12 || p.Name == s.Bridge && p.OpenFlow != 65534 || p.Name == "tun0" && p.Type != "geneve" {
			t.Errorf("%+v\n%s", p, text)
		}
	}

	// These are brought up to date every few seconds.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; ; tries++ {
		upcallText, coverageText := call("upcall/show"), call("coverage/show")
		upcalls, err := ovs.AllUpcalls(upcallText)
		if err != nil || len(upcalls) != 1 || upcalls[0].Limit == 0 || upcalls[0].Revalidators == 0 {
			t.Fatalf("%v: %+v\n%s", err, upcalls, upcallText)
		}
		events, err := ovs.Coverage(coverageText)
		if err != nil {
			t.Fatalf("%v\n%s", err, coverageText)
		}
		if slices.ContainsFunc(events, func(e ovs.CoverageEvent) bool { return e.Name == "flow_extract" && e.Total > 0 }) && upcalls[0].Max > 0 && len(events) > 10 {
			break
		}
		if tries == 200 {
			t.Fatalf("%+v %+v\n%s%s", upcalls, events, upcallText, coverageText)
		}
		<-tick.C
	}

	text = call("memory/show")
	uses, err := ovs.MemoryUse(text)
	if err != nil || len(uses) == 0 || strings.Count(text, ":") != len(uses) {
		t.Errorf("%v: %+v\n%s", err, uses, text)
	}

	text = call("dpctl/ct-stats-show")
	same(text, "dpctl/ct-stats-show")
	counts, err := ovs.ConnectionCounts(text)
	by := map[string]uint64{}
	for _, c := range counts {
		by[c.Protocol] = c.Count
	}
	if err != nil || by["Total"] != 3 || by["TCP"] != 1 || by["UDP"] != 1 || by["ICMP"] != 1 {
		t.Errorf("%v: %v\n%s", err, by, text)
	}
	if n, err := ovs.SingleCount(call("dpctl/ct-get-nconns")); err != nil || n != 3 {
		t.Errorf("%d %v", n, err)
	}
	if n, err := ovs.SingleCount(call("dpctl/ct-get-maxconns")); err != nil || n < 1000 {
		t.Errorf("%d %v", n, err)
	}

	_, err = unixctl.Client{Path: path}.Call(t.Context(), "no/such")
	if answer := (unixctl.Error{}); !errors.As(err, &answer) || !strings.Contains(err.Error(), "is not a valid command") {
		t.Error(err)
	}
	if _, err := (unixctl.Client{Path: path, MaxReply: 100}).Call(t.Context(), "coverage/show"); !errors.Is(err, unixctl.ErrTooLong) {
		t.Error(err)
	}
}

// A switch that was killed leaves its sockets behind: they are told from those
// of the next one.
func TestRestart(t *testing.T) {
	s := lab.Start(t, lab.Options{})
	c := dial(t, s, openflow.Version15)
	first, err := unixctl.Find(t.Context(), "ovs-vswitchd", s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	s.KillForwarder()
	if err := c.Tables(t.Context(), func(*ovs.TableStats) error { return nil }); err == nil {
		t.Error("a killed switch answers")
	}
	if _, err := os.Stat(first); err != nil {
		t.Errorf("nothing was left behind: %v", err)
	}
	if path, err := unixctl.Find(t.Context(), "ovs-vswitchd", s.Dir); !errors.Is(err, unixctl.ErrNotFound) {
		t.Errorf("%s %v", path, err)
	}
	if _, err := openflow.Dial(t.Context(), s.Management()); err == nil {
		t.Error("a killed switch takes a connection")
	}
	s.StartForwarder()
	next, err := unixctl.Find(t.Context(), "ovs-vswitchd", s.Dir)
	if err != nil || next == first {
		t.Errorf("%s %v", next, err)
	}
	dial(t, s, openflow.Version15)
}

// A bridge that speaks OpenFlow 1.0 only says so.
func TestNoVersion(t *testing.T) {
	s := lab.Start(t, lab.Options{Protocols: []string{"OpenFlow10"}, Bridge: "br-x"})
	if _, err := openflow.Dial(t.Context(), s.Management()); !errors.Is(err, openflow.ErrVersion) {
		t.Error(err)
	}
}
