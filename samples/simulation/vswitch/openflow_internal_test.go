package vswitch

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/exporter/collector/ovs/ovsdb"
	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
	"github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/google/go-cmp/cmp"
)

// emulatedAt is a switch in a moment in which most stories are told.
func emulatedAt(t testing.TB, second int) (s *Switch, now *state) {
	t.Helper()
	s, err := Start(t.Context(), Options{Mode: Emulated, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	o := simulation.Options{Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for at := second - 3; at <= second; at++ {
		if err := s.Second(t.Context(), o.At(at)); err != nil {
			t.Fatal(err)
		}
	}
	return s, stateOf(o.At(second))
}

func dial(t testing.TB, s *Switch) *openflow.Client {
	t.Helper()
	client, err := openflow.Dial(t.Context(), filepath.Join(s.Dir, bridgeName+".mgmt"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// canonical gives what tells flows apart, and what they do: the order of a match's
// fields does not matter.
func canonical(t testing.TB, text []byte) string {
	t.Helper()
	var f ovs.Flow
	if err := f.Parse(text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var match []string
	for name, value := range f.MatchFields() {
		match = append(match, string(name)+"="+string(value))
	}
	slices.Sort(match)
	return strings.Join(match, ",") + " " + string(f.Actions)
}

// All flows, groups, ports and tables come back from the wire as the model has them.
func TestOpenFlow_SaysTheModel(t *testing.T) {
	s, now := emulatedAt(t, 130)
	client := dial(t, s)
	var got, want []string
	packets := uint64(0)
	err := client.Flows(t.Context(), openflow.FlowFilter{Table: openflow.AllTables}, func(f *openflow.Flow) error {
		got = append(got, canonical(t, f.AppendText(nil, nil)))
		packets += f.Packets.Value
		if f.Cookie.Round() != round {
			t.Errorf("cookie %#x", uint64(f.Cookie))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range now.flows {
		want = append(want, canonical(t, []byte(text)))
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
	sum, err := client.Aggregate(t.Context(), openflow.FlowFilter{Table: openflow.AllTables})
	if err != nil || int(sum.Flows) != len(want) || sum.Packets.Value != packets || packets == 0 {
		t.Errorf("in all %d flows with %d packets (%v), want %d with %d", sum.Flows, sum.Packets.Value, err, len(want), packets)
	}
	one := 0
	if err := client.Flows(t.Context(), openflow.FlowFilter{Table: 4, Cookie: ovs.Cookie(uint64(podConnectivity) << 40), CookieMask: 0xff << 40}, func(f *openflow.Flow) error {
		one++
		if f.Table != 4 {
			t.Errorf("table %d", f.Table)
		}
		return nil
	}); err != nil || one != len(now.ports)-1 { // of the pods, and the gateway
		t.Errorf("%d flows of SpoofGuard are of pods (%v)", one, err)
	}

	var groups []string
	if err := client.Groups(t.Context(), func(g *openflow.Group) error { groups = append(groups, string(g.AppendText(nil, nil))); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(groups)
	if diff := cmp.Diff(slices.Sorted(slices.Values(now.groups)), groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	chosen := uint64(0)
	if err := client.GroupStats(t.Context(), func(g *ovs.GroupStats) error {
		buckets := uint64(0)
		for _, b := range g.Buckets {
			buckets += b.Packets.Value
		}
		if chosen += buckets; buckets != g.Packets.Value {
			t.Errorf("group %d has %d packets, its buckets %d", g.ID, g.Packets.Value, buckets)
		}
		return nil
	}); err != nil || chosen == 0 {
		t.Errorf("groups took %d packets: %v", chosen, err)
	}

	names := map[string]bool{}
	if err := client.Ports(t.Context(), func(p *openflow.Port) error { names[p.Name] = !p.Down(); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(names) != len(now.ports)+1 || !names["antrea-gw0"] || !names["web-99-"+podPort(simulation.Web(99)).name[7:]] {
		t.Errorf("%d ports: %v", len(names), names)
	}
	tables, err := client.TableNames(t.Context())
	if err != nil || len(tables) != len(tableNames()) || tables[28] != "Output" {
		t.Errorf("tables %v: %v", tables, err)
	}
	if err := client.Meters(t.Context(), func(*openflow.MeterStats) error { return errors.New("there is a meter") }); err != nil {
		t.Error(err)
	}
	if _, err := client.MeterFeatures(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenFlow_RefusesWhatItDoesNotKnow(t *testing.T) {
	s, _ := emulatedAt(t, 10)
	if _, err := openflow.Dial(t.Context(), filepath.Join(s.Dir, bridgeName+".mgmt"), openflow.Version13); !errors.Is(err, openflow.ErrVersion) {
		t.Errorf("OpenFlow 1.3: %v", err)
	}
	e := s.forward.(*emulated)
	f := func(version, kind byte, body []byte, wantKind byte, want ...byte) {
		t.Helper()
		reply, last := e.answer(version, kind, 5, body)
		if last || len(reply) < headerLen || reply[1] != wantKind || binary.BigEndian.Uint32(reply[4:]) != 5 || !strings.HasPrefix(string(reply[headerLen:]), string(want)) {
			t.Errorf("message %d: %x", kind, reply)
		}
	}
	f(6, typeEcho, []byte("hi"), typeEchoReply, []byte("hi")...)
	f(6, typeFeatures, nil, typeFeatures+1)
	f(6, typeBarrier, nil, typeBarrier+1)
	f(6, typeConfig, nil, typeConfig+1)
	f(6, typeMultipart, make([]byte, 8), typeMultipart+1, 0, 0)     // the switch's description
	f(6, typeMultipart, nil, typeError, 0, 1, 0, 6)                 // too short
	f(6, typeMultipart, []byte{0, 99, 7: 0}, typeError, 0, 1, 0, 2) // unknown
	f(6, 14, nil, typeError, 0, 1, 0, 1)                            // a change
	f(4, typeEcho, nil, typeError, 0, 1, 0, 0)                      // of another version

	client, server := net.Pipe()
	done := make(chan error)
	go func() { done <- e.serveOpenFlow(server) }()
	if _, err := io.ReadFull(client, make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte{6, 0, 0, 3, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("a message of 3 bytes was taken")
	}
	client.Close()
}

func TestOVSDB(t *testing.T) {
	s, _ := emulatedAt(t, 10)
	path := filepath.Join(s.Dir, "db.sock")
	rows, err := ovsdb.Read(t.Context(), path, "Open_vSwitch", ovsdb.Select{Table: "Bridge", Columns: []string{"name"}}, ovsdb.Select{Table: "Open_vSwitch", Columns: []string{"ovs_version"}})
	if err != nil || len(rows[0]) != 1 || rows[0][0]["name"].Text() != bridgeName || len(rows[0][0]) != 1 || rows[1][0]["ovs_version"].Text() != "3.1.0" {
		t.Errorf("%s, %v", rows, err)
	}
	if _, err := ovsdb.Read(t.Context(), path, "Open_vSwitch", ovsdb.Select{Table: "QoS"}); err == nil || !strings.Contains(err.Error(), "No table named QoS") {
		t.Errorf("of a table that is not there: %v", err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := func(request, want string) {
		t.Helper()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil || strings.TrimSpace(string(b[:n])) != want {
			t.Errorf("%s: %s, %v", request, b[:n], err)
		}
	}
	f(`{"method":"echo","params":["x"],"id":"e"}`, `{"result":["x"],"error":null,"id":"e"}`)
	f(`{"method":"list_dbs","params":[],"id":2}`, `{"result":["Open_vSwitch"],"error":null,"id":2}`)
	f(`{"method":"monitor","params":[],"id":3}`, `{"result":null,"error":"unknown method","id":3}`)
	f(`{"method":"transact","params":["Open_vSwitch",{"op":"insert","table":"Port"}],"id":4}`, `{"result":[{"details":"this is an emulation, which is only read","error":"not supported"}],"error":null,"id":4}`)
}

func TestUnixctl(t *testing.T) {
	s, _ := emulatedAt(t, 130)
	path, err := unixctl.Find(t.Context(), "ovs-vswitchd", s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	f := func(command, want string, arguments ...string) {
		t.Helper()
		got, err := unixctl.Client{Path: path}.Call(t.Context(), command, arguments...)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %.200s, want %s", command, got, want)
		}
	}
	f("version", "ovs-vswitchd (Open vSwitch) 3.1.0")
	f("list-commands", "dpctl/ct-get-nconns")
	f("dpctl/ct-get-maxconns", "40000")
	f("dpctl/dump-conntrack", "protoinfo=(state=SYN_SENT)")
	f("dpctl/dump-conntrack", "state_orig=SYN_SENT,state_reply=CLOSED", "-m")
	f("upcall/show", "(limit 200000)")
	f("memory/show", "rules:")
	f("exit", `"exit" is not a valid command`)
}

func TestStart_ContextEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Mode: Real}); err == nil {
		t.Error("a real switch starts when that is cancelled")
	}
}

// What the model does not print, the emulation does not guess.
func TestParseFlow_Refuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := parseFlow(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	f("nonsense", "parse flow")
	f("table=1, priority=1,vlan_tci=5 actions=drop", "field vlan_tci is not known")
	f("table=1, priority=1,reg1=x actions=drop", "is no number")
	f("table=1, priority=1,reg1=1/x actions=drop", "is no mask")
	f("table=1, priority=1,nw_src=x actions=drop", "is no IPv4 address")
	f("table=1, priority=1,nw_src=192.0.2.0/99 actions=drop", "is no prefix")
	f("table=1, priority=1,ct_state=+old actions=drop", "is no state")
	f("table=1, priority=1 actions=enqueue:1:2", "action enqueue is not known")
	f("table=1, priority=1 actions=goto_table:x", "is no number")
	f("table=1, priority=1 actions=set_field:1->vlan", "field vlan is not known")
	f("table=1, priority=1 actions=controller(userdata=zz)", "is no byte")
	f("table=1, priority=1 actions=ct(zone=x)", "read ct")
	if _, err := parseGroup("group_id=1,type=select,bucket=actions=enqueue:1:2"); err == nil {
		t.Error("a group with an unknown action is taken")
	}
}
