// Package ovs compares what is read over the sockets of a real Open vSwitch
// with what its own tools print.
package ovs

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/tests/ovs/lab"
)

var update = flag.Bool("update", false, "record the replies that the unit tests of the client read")

// start runs a switch with all sorts of flows, groups and meters.
func start(t testing.TB) *lab.Switch {
	t.Helper()
	s := lab.Start(t, lab.Options{})
	s.Vsctl("add-port", s.Bridge, "pod-a", "--", "set", "interface", "pod-a", "type=internal", "ofport_request=1",
		"--", "add-port", s.Bridge, "pod2", "--", "set", "interface", "pod2", "type=internal", "ofport_request=2",
		"--", "add-port", s.Bridge, "tun0", "--", "set", "interface", "tun0", "type=geneve", "options:remote_ip=flow", "ofport_request=3")
	s.Vsctl("--id=@a", "create", "Flow_Table", "name=Classifier", "--", "--id=@b", "create", "Flow_Table", "name=Ingress-Rule",
		"--", "--id=@c", "create", "Flow_Table", `name="a \"b\" ü"`, "--", "set", "bridge", s.Bridge, "flow_tables:0=@a", "flow_tables:9=@b", "flow_tables:200=@c")
	s.Ofctl("add-tlv-map", s.Bridge, "{class=0xffff,type=0,len=4}->tun_metadata0,{class=0xffff,type=1,len=8}->tun_metadata1")
	for _, meter := range []string{"meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=100", "meter=2,pktps,stats,bands=type=drop,rate=1000"} {
		s.Ofctl("-O", "OpenFlow15", "add-meter", s.Bridge, meter)
	}
	for _, group := range []string{
		"group_id=1,type=select,bucket=bucket_id:0,weight:100,actions=set_field:0xc0000201->reg3,resubmit(,9),bucket=bucket_id:1,weight:50,actions=output:1",
		"group_id=2,type=select,selection_method=hash,selection_method_param=7,fields(ip_src,tcp_dst=0xff00),bucket=bucket_id:5,weight:10,actions=output:1,bucket=bucket_id:9,weight:0,watch_port:2,watch_group:1,actions=drop",
		"group_id=3,type=select,selection_method=dp_hash,bucket=output:1,bucket=weight:1,output:2",
		"group_id=4,type=all,bucket=output:1,bucket=set_field:1->reg0,resubmit(,3)", "group_id=5,type=ff,bucket=watch_port:1,output:1,bucket=watch_group:4,output:2",
		"group_id=6,type=indirect,bucket=output:1", "group_id=7,type=all", "group_id=8,type=select,selection_method=hash,fields=ip_dst,bucket=actions=output:1",
	} {
		s.Ofctl("-O", "OpenFlow15", "add-group", s.Bridge, group)
	}
	s.AddFlows(join(mixed()))
	return s
}

// versions are those that the client speaks, as ovs-ofctl names them.
func versions() iter.Seq2[openflow.Version, string] {
	return func(yield func(openflow.Version, string) bool) {
		_ = yield(openflow.Version13, "OpenFlow13") && yield(openflow.Version15, "OpenFlow15")
	}
}

func dial(t testing.TB, s *lab.Switch, v openflow.Version) *openflow.Client {
	t.Helper()
	c, err := openflow.Dial(t.Context(), s.Management(), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing was written
	if c.Version() != v {
		t.Fatalf("want OpenFlow %s, got %s", v, c.Version())
	}
	return c
}

// names of the switch's ports and tables, as ovs-ofctl --names finds them.
func names(t testing.TB, c *openflow.Client) *openflow.Names {
	t.Helper()
	n := openflow.Names{Ports: map[uint32]string{}}
	var err error
	if n.Tables, err = c.TableNames(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ports(t.Context(), func(p *openflow.Port) error {
		n.Ports[p.Number] = p.Name
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return &n
}

// moving is what changes between two dumps without traffic.
var moving = regexp.MustCompile(`duration=[0-9.]+s|idle_age=[0-9]+`)

// lines of a kind in what a tool printed, sorted, and without what moves.
func lines(text string, kind ovs.Kind) []string {
	var list []string
	for line := range strings.Lines(text) {
		if ovs.LineKind([]byte(line)) == kind {
			list = append(list, moving.ReplaceAllString(strings.TrimSpace(line), "~"))
		}
	}
	slices.Sort(list)
	return list
}

// wireFlows are the flows as the client prints them, in the same form.
func wireFlows(t testing.TB, c *openflow.Client, n *openflow.Names) []string {
	t.Helper()
	var b []byte
	if err := c.Flows(t.Context(), openflow.FlowFilter{Table: openflow.AllTables}, func(f *openflow.Flow) error {
		b = append(f.AppendText(b, n), '\n')
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines(string(b), ovs.FlowLine)
}

// Flows and groups are printed as ovs-ofctl prints them, with names and
// without, and every field and action is among them.
func TestText(t *testing.T) {
	s := start(t)
	for version, name := range versions() {
		c := dial(t, s, version)
		for option, n := range map[string]*openflow.Names{"--no-names": nil, "--names": names(t, c)} {
			want := lines(s.Ofctl("-O", name, option, "dump-flows", s.Bridge), ovs.FlowLine)
			if len(want) != len(mixed()) {
				t.Fatalf("%s: %d flows were added, %d are there", name, len(mixed()), len(want))
			}
			if diff := cmp.Diff(want, wireFlows(t, c, n)); diff != "" {
				t.Errorf("flows, %s %s (-want +got):\n%s", name, option, diff)
			}
			var groups []byte
			if err := c.Groups(t.Context(), func(g *openflow.Group) error {
				groups = append(g.AppendText(groups, n), '\n')
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			want = lines(s.Ofctl("-O", name, option, "dump-groups", s.Bridge), ovs.GroupLine)
			if diff := cmp.Diff(want, lines(string(groups), ovs.GroupLine)); diff != "" || len(want) != 8 {
				t.Errorf("groups, %s %s (-want +got):\n%s", name, option, diff)
			}
		}
	}
}

// record is a flow as far as all forms of a dump tell it.
type record struct {
	Table      int
	Priority   uint32
	Cookie     ovs.Cookie
	Packets    ovs.Count
	Bytes      ovs.Count
	Idle, Hard uint16
	Flags      ovs.Flags
	Importance uint16
	Match      string
	Actions    string
}

// records of a dump, by what makes a flow of mixed one of a kind: its priority
// and table.
func records(t testing.TB, text string, n *openflow.Names) map[string]record {
	t.Helper()
	all := map[string]record{}
	var f ovs.Flow
	for line := range strings.Lines(text) {
		if ovs.LineKind([]byte(line)) != ovs.FlowLine {
			continue
		}
		if err := f.Parse([]byte(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		r := record{f.TableID, f.Priority, f.Cookie, f.Packets, f.Bytes, f.IdleTimeout, f.HardTimeout, f.Flags, f.Importance, string(f.Match), string(f.Actions)}
		for id, name := range n.Tables {
			if name == string(f.TableName) {
				r.Table = int(id)
			}
		}
		all[fmt.Sprint(r.Table, "/", r.Priority)] = r
	}
	return all
}

// ignoring leaves out fields of a record that a form does not tell.
func ignoring(fields []string) cmp.Option {
	if len(fields) == 0 {
		return nil
	}
	return cmpopts.IgnoreFields(record{}, fields...)
}

// Whatever form a dump has, its lines parse to what the wire says.
func TestForms(t *testing.T) {
	s := start(t)
	for version, name := range versions() {
		f := comparison(t, s, version, len(mixed()))
		f("plain", s.Ofctl("-O", name, "--no-names", "dump-flows", s.Bridge))
		// With colours there is a comma too many behind exec(…).
		colored := s.Ofctl("-O", name, "--no-names", "--color=always", "dump-flows", s.Bridge)
		f("color", regexp.MustCompile(`,((\x1b\[[0-9;]*[mK])+\))`).ReplaceAllString(colored, "$1"))
		f("sorted", s.Ofctl("-O", name, "--no-names", "--sort", "dump-flows", s.Bridge))
		f("names", s.Ofctl("-O", name, "--names", "dump-flows", s.Bridge), "Match", "Actions")
		f("no stats", s.Ofctl("-O", name, "--no-names", "--no-stats", "dump-flows", s.Bridge), "Packets", "Bytes")
		untold := []string{"Importance"}
		if version == openflow.Version15 { // which has no load
			untold = append(untold, "Actions")
		}
		f("OpenFlow 1.4", s.Ofctl("-O", "OpenFlow14", "--no-names", "dump-flows", s.Bridge), untold...)
		f("bridge/dump-flows", s.Appctl("bridge/dump-flows", s.Bridge), "Match", "Actions", "Cookie", "Flags", "Importance", "Idle", "Hard")
	}

	// OpenFlow before 1.3 does not have every field, nor groups in every form.
	older := slices.DeleteFunc(mixed()[:len(matches())], func(flow string) bool {
		// ovs-ofctl does not know how long an option of a tunnel is, the switch does.
		return strings.Contains(flow, "packet_type=") || strings.Contains(flow, "tun_metadata1=0x5/0xff")
	})
	s.Ofctl("-O", "OpenFlow15", "del-flows", s.Bridge)
	s.AddFlows(join(older))
	for version := range versions() {
		f := comparison(t, s, version, len(older))
		f("OpenFlow 1.0", s.Ofctl("-O", "OpenFlow10", "--no-names", "dump-flows", s.Bridge), "Flags", "Importance")
		f("OpenFlow 1.1", s.Ofctl("-O", "OpenFlow11", "--no-names", "dump-flows", s.Bridge), "Flags", "Importance")
		f("OpenFlow 1.2", s.Ofctl("-O", "OpenFlow12", "--no-names", "dump-flows", s.Bridge), "Flags", "Importance")
		f("bridge/dump-flows", s.Appctl("bridge/dump-flows", s.Bridge), "Cookie", "Flags", "Importance", "Idle", "Hard")
	}
}

// comparison reads all flows from the wire, and gives what compares a dump
// with them, but for the fields that its form does not tell.
func comparison(t *testing.T, s *lab.Switch, version openflow.Version, flows int) func(form, text string, ignore ...string) {
	t.Helper()
	c := dial(t, s, version)
	n := names(t, c)
	wire := map[string]record{}
	var text []byte
	if err := c.Flows(t.Context(), openflow.FlowFilter{Table: openflow.AllTables}, func(f *openflow.Flow) error {
		text = f.Instructions.AppendText(text[:0], nil)
		wire[fmt.Sprint(f.Table, "/", f.Priority)] = record{
			int(f.Table), uint32(f.Priority), f.Cookie, f.Packets, f.Bytes, f.IdleTimeout, f.HardTimeout, f.Flags, f.Importance,
			string(f.Match.AppendText(nil, nil)), string(text),
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(wire) != flows {
		t.Fatalf("%d flows are told apart, of %d", len(wire), flows)
	}
	return func(form, text string, ignore ...string) {
		t.Helper()
		got := records(t, text, n)
		for key := range got { // the switch's own
			if _, ok := wire[key]; !ok && strings.HasPrefix(key, "254/") {
				delete(got, key)
			}
		}
		if diff := cmp.Diff(wire, got, ignoring(ignore)); diff != "" {
			t.Errorf("%s beside OpenFlow %s (-wire +text):\n%s", form, version, diff)
		}
	}
}

// A filter chooses what ovs-ofctl chooses, and sums up what it sums up.
func TestFilter(t *testing.T) {
	s := start(t)
	for version, name := range versions() {
		c := dial(t, s, version)
		f := func(filter openflow.FlowFilter, option string) {
			t.Helper()
			want := lines(s.Ofctl("-O", name, "--no-names", "dump-flows", s.Bridge, option), ovs.FlowLine)
			var text []byte
			if err := c.Flows(t.Context(), filter, func(f *openflow.Flow) error {
				text = append(f.AppendText(text, nil), '\n')
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, lines(string(text), ovs.FlowLine)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", option, diff)
			}
			sum, err := c.Aggregate(t.Context(), filter)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("packet_count=%d byte_count=%d flow_count=%d", sum.Packets.Value, sum.Bytes.Value, sum.Flows)
			if out := s.Ofctl("-O", name, "dump-aggregate", s.Bridge, option); !strings.Contains(out, got+"\n") || int(sum.Flows) != len(want) {
				t.Errorf("%s: got %s, ovs-ofctl prints %s", option, got, out)
			}
		}
		f(openflow.FlowFilter{Table: openflow.AllTables}, "")
		f(openflow.FlowFilter{Table: 0}, "table=0")
		f(openflow.FlowFilter{Table: 6}, "table=6")
		f(openflow.FlowFilter{Table: 100}, "table=100")
		f(openflow.FlowFilter{Table: openflow.AllTables, Cookie: 0x5, CookieMask: 0xff}, "cookie=0x5/0xff")
		f(openflow.FlowFilter{Table: 1, Cookie: 0x10000000000, CookieMask: 1<<64 - 1}, "table=1,cookie=0x10000000000/-1")
	}
}

// settled reads until two readings on both sides of a tool's are the same, and
// compares it with them.
func settled[T any](t *testing.T, wire func() T, tool func() T) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		before, want, after := wire(), tool(), wire()
		if cmp.Equal(before, after, cmpopts.EquateEmpty()) {
			if diff := cmp.Diff(want, before, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-tool +wire):\n%s", diff)
			}
			return
		}
		<-tick.C
	}
	t.Error("the counters never came to rest")
}

// all takes what an iterator of the parsers gives.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var list []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// Counters of tables, ports, groups, meters and flows are those that the tools
// print, with real packets.
func TestCounters(t *testing.T) {
	s := lab.Start(t, lab.Options{})
	a := s.AddPod("pod-a", 11, "192.0.2.11/24")
	b := s.AddPod("pod-b", 12, "192.0.2.12/24")
	s.Ofctl("-O", "OpenFlow15", "add-meter", s.Bridge, "meter=1,pktps,stats,bands=type=drop,rate=3")
	s.Ofctl("-O", "OpenFlow15", "add-group", s.Bridge, "group_id=1,type=select,bucket=weight:1,actions=output:12,bucket=weight:1,actions=output:12")
	s.Ofctl("-O", "OpenFlow15", "add-group", s.Bridge, "group_id=2,type=all,bucket=actions=output:11")
	s.AddFlows(join([]string{
		"table=0,priority=10,arp,actions=NORMAL", "table=0,priority=10,ip,actions=ct(table=1,zone=5)", "table=0,priority=0,actions=drop",
		"table=1,priority=10,ct_state=+new+trk,icmp,nw_dst=192.0.2.12,actions=meter:1,ct(commit,zone=5),group:1", "table=1,priority=10,ct_state=+est+trk,ip,nw_dst=192.0.2.11,actions=group:2",
		"table=1,priority=10,ct_state=+est+trk,ip,nw_dst=192.0.2.12,actions=goto_table:9", "table=1,priority=0,actions=drop", "table=9,actions=output:12",
	}))
	a.Run("ping", "-c", "20", "-i", "0.01", "-W", "1", b.Address)
	a.Run("bash", "-c", "ping -c 5 -i 0.01 -W 1 192.0.2.77; ping -c 3 -s 1000 -W 1 "+b.Address)

	for version, name := range versions() {
		c := dial(t, s, version)
		ctx := t.Context()
		settled(t, func() (list []ovs.TableStats) {
			if err := c.Tables(ctx, func(t *ovs.TableStats) error { list = append(list, *t); return nil }); err != nil {
				t.Fatal(err)
			}
			if list[9].Matched == 0 || list[9].Active != 1 {
				t.Errorf("no traffic: %+v", list[9])
			}
			return list
		}, func() []ovs.TableStats {
			return all(t, ovs.Tables(bytes.Lines([]byte(s.Ofctl("-O", name, "--no-names", "dump-tables", s.Bridge)))))
		})
		settled(t, func() (list []ovs.PortStats) {
			if err := c.PortStats(ctx, func(p *ovs.PortStats) error {
				if p.Duration <= 0 {
					t.Errorf("port %s: %v", p.Port, p.Duration)
				}
				same := *p
				same.Duration, same.More = 0, slices.Clone(p.More)
				list = append(list, same)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return list
		}, func() []ovs.PortStats {
			list := all(t, ovs.Ports(bytes.Lines([]byte(s.Ofctl("-O", name, "--no-names", "dump-ports", s.Bridge)))))
			for i := range list {
				list[i].Duration = 0
			}
			return list
		})
		settled(t, func() (list []ovs.GroupStats) {
			if err := c.GroupStats(ctx, func(g *ovs.GroupStats) error {
				same := *g
				same.Duration, same.Buckets = 0, slices.Clone(g.Buckets)
				list = append(list, same)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if len(list) != 2 || list[0].Packets.Value == 0 {
				t.Errorf("no traffic: %+v", list)
			}
			return list
		}, func() (list []ovs.GroupStats) {
			for line := range bytes.Lines([]byte(s.Ofctl("-O", name, "dump-group-stats", s.Bridge))) {
				if ovs.LineKind(line) != ovs.GroupStatsLine {
					continue
				}
				var g ovs.GroupStats
				if err := g.Parse(line); err != nil {
					t.Fatal(err)
				}
				g.Duration = 0
				list = append(list, g)
			}
			return list
		})
		settled(t, func() string {
			var text strings.Builder
			if err := c.Meters(ctx, func(m *openflow.MeterStats) error {
				fmt.Fprintf(&text, "meter:%d flow_count:%d packet_in_count:%d byte_in_count:%d ~ bands:\n", m.ID, m.Flows, m.Packets.Value, m.Bytes.Value)
				for i, band := range m.Bands {
					fmt.Fprintf(&text, "%d: packet_count:%d byte_count:%d\n", i, band.Packets.Value, band.Bytes.Value)
				}
				if m.Packets.Value == 0 {
					t.Errorf("no traffic: %+v", m)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			return text.String()
		}, func() string {
			_, text, _ := strings.Cut(s.Ofctl("-O", name, "meter-stats", s.Bridge), "\n")
			return regexp.MustCompile(`duration:[0-9.]+s`).ReplaceAllString(text, "~")
		})
		settled(t, func() []string { return wireFlows(t, c, nil) }, func() []string {
			return lines(s.Ofctl("-O", name, "--no-names", "dump-flows", s.Bridge), ovs.FlowLine)
		})
		features, err := c.MeterFeatures(ctx)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("max_meter:%d max_bands:%d max_color:%d\n", features.MaxMeters, features.MaxBands, features.MaxColors)
		if out := s.Ofctl("-O", name, "meter-features", s.Bridge); !strings.Contains(out, want) || features.BandTypes != 1<<1 || features.Capabilities != 0xf {
			t.Errorf("got %+v, ovs-ofctl prints %s", features, out)
		}
		var ports []string
		if err := c.Ports(ctx, func(p *openflow.Port) error {
			number := fmt.Sprint(p.Number)
			if p.Number == openflow.PortLocal {
				number = "LOCAL"
			}
			ports = append(ports, fmt.Sprintf(" %s(%s): addr:%s", number, p.Name, p.Address))
			if p.Name == "pod-a" && (p.Down() || p.Speed == 0) {
				t.Errorf("%+v", p)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, p := range ports {
			if out := s.Ofctl("-O", name, "--no-names", "dump-ports-desc", s.Bridge); !strings.Contains(out, p+"\n") || len(ports) != 3 {
				t.Errorf("got %s, ovs-ofctl prints %s", p, out)
			}
		}
	}
}

// With 100,000 flows all of them are told, and the same.
func TestManyFlows(t *testing.T) {
	s := lab.Start(t, lab.Options{})
	const flows = 20_000 // a hundred parts of a reply
	s.AddFlows(manyFlows(flows))
	for version, name := range versions() {
		c := dial(t, s, version)
		want, got := lines(s.Ofctl("-O", name, "--no-names", "dump-flows", s.Bridge), ovs.FlowLine), wireFlows(t, c, nil)
		if len(want) != flows || !slices.Equal(want, got) {
			t.Errorf("%s: %d flows, ovs-ofctl prints %d", name, len(got), len(want))
		}
	}
}

// manyFlows are flows as Antrea has them, in 30 tables.
func manyFlows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "table=%d,priority=%d,cookie=%#x,", i%30, 100+i%500, 0x1020000000000+uint64(i%8)<<40)
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "ip,nw_src=198.%d.%d.%d actions=conjunction(%d,1/3),conjunction(%d,1/2)\n", 18+i>>16&1, i>>8&255, i&255, i+1, i+2)
		case 1:
			fmt.Fprintf(&b, "ip,in_port=%d,reg1=%d actions=set_field:0x200/0x200->reg0,goto_table:%d\n", 1+i%60000, i, i%30+1)
		case 2:
			fmt.Fprintf(&b, "tcp,reg3=%#x,reg4=%#x/0x7ffff actions=ct(commit,table=%d,zone=65520,nat(dst=192.0.2.%d:8080),exec(set_field:0x10/0x10->ct_mark,move:NXM_NX_REG0[0..3]->NXM_NX_CT_MARK[0..3]))\n",
				0xc0000000+i, 0x20000+i%0xffff, i%30+1, i%256)
		case 3:
			fmt.Fprintf(&b, "ct_state=+new+trk,ct_label=%#x/0xffffffff,ip actions=resubmit(,%d)\n", i+1, i%30+1)
		}
	}
	return b.String()
}

// recorder stands between a client and the switch, and keeps what the switch says.
func recorder(t *testing.T, s *lab.Switch) (path string, recorded func() []byte) {
	path = filepath.Join(s.Dir, "recorder.mgmt")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var kept bytes.Buffer
	var done sync.WaitGroup
	done.Go(func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		to, err := (&net.Dialer{}).DialContext(t.Context(), "unix", s.Management())
		if err != nil {
			return
		}
		defer to.Close()
		done.Go(func() {
			_, _ = io.Copy(to, client) // until the client closes
			_ = to.Close()
		})
		_, _ = io.Copy(io.MultiWriter(client, &kept), to) // until it is closed
	})
	return path, func() []byte {
		done.Wait()
		return kept.Bytes()
	}
}

// TestRecord writes what the unit tests of the client read, with -update.
func TestRecord(t *testing.T) {
	s := start(t)
	for version, name := range versions() {
		path, recorded := recorder(t, s)
		c, err := openflow.Dial(t.Context(), path, version)
		if err != nil {
			t.Fatal(err)
		}
		var text []byte
		ctx := t.Context()
		// As TestRecorded of the client asks.
		calls := []error{
			c.Flows(ctx, openflow.FlowFilter{Table: openflow.AllTables}, func(f *openflow.Flow) error {
				text = append(f.AppendText(text, nil), '\n')
				return nil
			}),
			c.Groups(ctx, func(g *openflow.Group) error { text = append(g.AppendText(text, nil), '\n'); return nil }),
			c.Ports(ctx, func(*openflow.Port) error { return nil }),
			c.PortStats(ctx, func(*ovs.PortStats) error { return nil }),
			c.GroupStats(ctx, func(*ovs.GroupStats) error { return nil }),
			c.Meters(ctx, func(*openflow.MeterStats) error { return nil }),
			c.Tables(ctx, func(*ovs.TableStats) error { return nil }),
		}
		_, err = c.Aggregate(ctx, openflow.FlowFilter{Table: openflow.AllTables})
		calls = append(calls, err)
		_, err = c.MeterFeatures(ctx)
		calls = append(calls, err, c.Close())
		for i, err := range calls {
			if err != nil {
				t.Fatalf("call %d: %v", i, err)
			}
		}
		if bytes := recorded(); *update {
			stem := filepath.Join("../../exporter/collector/ovs/openflow/testdata", strings.ToLower(name))
			for file, content := range map[string][]byte{stem + ".bin": bytes, stem + ".txt": text} {
				if err := os.WriteFile(file, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// Counters that only some devices have are told, too: those of the dummy ones.
func TestCustomCounters(t *testing.T) {
	s := lab.Start(t, lab.Options{Dummy: true})
	s.Vsctl("add-port", s.Bridge, "p1", "--", "set", "interface", "p1", "type=dummy", "ofport_request=7")
	s.AddFlows("actions=IN_PORT\n")
	for range 3 {
		s.Appctl("netdev-dummy/receive", "p1", "in_port(7),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x88cc)")
	}
	c := dial(t, s, openflow.Version15)
	settled(t, func() (list []ovs.PortStats) {
		if err := c.PortStats(t.Context(), func(p *ovs.PortStats) error {
			same := *p
			same.Duration, same.More = 0, slices.Clone(p.More)
			list = append(list, same)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return list
	}, func() []ovs.PortStats {
		text := s.Ofctl("-O", "OpenFlow15", "--no-names", "dump-ports", s.Bridge)
		if !strings.Contains(text, "CUSTOM Statistics") {
			t.Errorf("no custom counters: %s", text)
		}
		list := all(t, ovs.Ports(bytes.Lines([]byte(text))))
		for i := range list {
			list[i].Duration = 0
		}
		return list
	})
}
