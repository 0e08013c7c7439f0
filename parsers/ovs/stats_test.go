package ovs

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// all reads stats, and what went wrong as "error: …".
func all[T any](seq iter.Seq2[T, error]) (stats []T, faults []string) {
	for s, err := range seq {
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		stats = append(stats, s)
	}
	return stats, faults
}

// tables13 is of OpenFlow 1.3 to 1.5.
const tables13 = `OFPST_TABLE reply (OF1.3) (xid=0x2):
  table 0 ("Classifier"):
    active=3, lookup=20, matched=19

  table 1 ("odd, "na me(""):
    active=0, lookup=0, matched=0

  table 2 ("Output"): ditto
  tables 3...5: ditto

OFPST_TABLE reply (OF1.3) (xid=0x2): flags=[more]
  table 6: ditto
  table 254:
    active=4294967295, lookup=18446744073709551615, matched=1
`

// tables10 is of OpenFlow 1.0 to 1.2, with the features of tables.
const tables10 = `OFPST_TABLE reply (xid=0x2):
  table 0 ("Classifier"):
    active=1, lookup=5, matched=4
    config=controller
    max_entries=1000000
    instructions (table miss and others):
      instructions: apply_actions clear_actions
      Write-Actions and Apply-Actions features:
        actions: output group set_field
    matching:
      exact match or wildcard: in_port eth_{src,dst,type} vlan_{vid,pcp}

  table 1:
    active=2, lookup=3, matched=2
    (same features)

  tables 2...3: ditto
`

// tables20 is of Open vSwitch before 2.4.
const tables20 = `OFPST_TABLE reply (xid=0x4): 3 tables
  0: classifier: wild=0x3fffff, max=1000000, active=12
               lookup=7, matched=6
  1: table1  : wild=0x3fffff, max=1000000, active=0
               lookup=0, matched=0
  2: a: wild= , active=x: wild=0x3fffff, max=1000000, active=1
               lookup=2, matched=1
`

func TestTables(t *testing.T) {
	f := func(dump string, want ...TableStats) {
		t.Helper()
		got, faults := all(Tables(bytes.Lines([]byte(dump))))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || faults != nil {
			t.Errorf("%s\nfaults %s (-want +got):\n%s", dump, faults, diff)
		}
		for line := range strings.Lines(dump) {
			kind := LineKind([]byte(line))
			table := strings.Contains(line, "active=") || strings.Contains(line, "lookup=") || strings.HasPrefix(line, "  table")
			if (kind == TableLine) != table || (kind == ReplyLine) != strings.HasPrefix(line, "OFPST") {
				t.Errorf("%s: is of kind %d", line, kind)
			}
		}
	}
	f(tables13,
		TableStats{0, "Classifier", 3, 20, 19},
		TableStats{1, `odd, "na me("`, 0, 0, 0}, TableStats{2, "Output", 0, 0, 0}, TableStats{3, "", 0, 0, 0}, TableStats{4, "", 0, 0, 0}, TableStats{5, "", 0, 0, 0}, TableStats{6, "", 0, 0, 0},
		TableStats{254, "", 4294967295, 18446744073709551615, 1})
	f(tables10, TableStats{0, "Classifier", 1, 5, 4}, TableStats{1, "", 2, 3, 2}, TableStats{2, "", 2, 3, 2}, TableStats{3, "", 2, 3, 2})
	f(tables20, TableStats{0, "classifier", 12, 7, 6}, TableStats{1, "table1", 0, 0, 0}, TableStats{2, "a: wild= , active=x", 1, 2, 1})
	f("")

	for _, err := range Tables(bytes.Lines([]byte(tables13))) { // a reader may stop
		if err != nil {
			t.Error(err)
		}
		break
	}
}

func TestTables_Faults(t *testing.T) {
	const good = "  table 9:\n    active=1, lookup=2, matched=3\n"
	f := func(dump string, want ...string) {
		t.Helper()
		got, faults := all(Tables(bytes.Lines([]byte(dump + good))))
		for i, w := range want {
			want[i] = "read tables: " + w
		}
		if diff := cmp.Diff(want, faults); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dump, diff)
		}
		if len(got) == 0 || got[len(got)-1] != (TableStats{9, "", 1, 2, 3}) { // whatever is before
			t.Errorf("%s: got %v", dump, got)
		}
	}
	f("hello\n", "line 1: column 1: expected a table")
	f("  table x:\n", "line 1: column 9: expected a table's number")
	f("  table 256:\n", "line 1: column 9: expected a table's number")
	f("  table 1\n", "line 1: column 10: expected a colon")
	f("  table 1 (\"a\"\n", "line 1: column 13: expected a name, and \"):")
	f("  table 1: x\n", "line 1: column 11: expected ditto, or the end of the line")
	f("  tables 2-3: ditto\n", "line 1: column 11: expected ...")
	f("  tables 3...2: ditto\n", "line 1: column 15: expected the last table's number")
	f("  tables 2...3:\n", "line 1: column 16: expected ditto, or the end of the line")
	f("  table 1: ditto\n", "line 1: column 17: expected a table with counters before ditto")
	f("  table 1:\n", "line 2: column 1: expected the counters of table 1")
	f("  table 1:\n  table 2: ditto\n", "line 2: column 1: expected the counters of table 1\ncolumn 17: expected a table with counters before ditto")
	f("  table 1:\n    active=x, lookup=0, matched=0\n  table 2: ditto\n", "line 2: column 12: expected a number of flows, a comma and a blank", "line 3: column 17: expected a table with counters before ditto")
	f("  table 1:\n    active=1, lookup=, matched=0\n", "line 2: column 22: expected a number")
	f("  table 1:\n    active=1, lookup=1\n", "line 2: column 23: expected , matched=")
	f("  table 1:\n    active=1, lookup=1, matched=0, x=1\n", "line 2: column 34: expected the end of the line")
	f("  table 1:\n    metadata: x\n", "line 2: column 5: expected active=")
	f("  0 x\n", "line 1: column 4: expected a colon and a blank")
	f("  0: x\n", "line 1: column 6: expected a name, and : wild=")
	f("  0: x: wild=1, max=1\n", "line 1: column 7: expected wild, max and active")
	f("  0: x: wild=1, max=1, active=1x\n", "line 1: column 32: expected a number of flows, and the end of the line")

	_, faults := all(Tables(bytes.Lines([]byte(good + "  table 1:\n"))))
	if diff := cmp.Diff([]string{"read tables: end of line 3: column 1: expected the counters of table 1"}, faults); diff != "" {
		t.Errorf("cut off (-want +got):\n%s", diff)
	}
}

const ports14 = `OFPST_PORT reply (OF1.4) (xid=0x2): flags=[more] 2 ports
  port LOCAL: rx pkts=1, bytes=2, drop=3, errs=4, frame=5, over=6, crc=7
           tx pkts=8, bytes=9, drop=10, errs=11, coll=12
           duration=147.153s
  port  "p: rx, \"1\"": rx pkts=0, bytes=0, drop=?, errs=?, frame=?, over=?, crc=?
           tx pkts=0, bytes=0, drop=?, errs=?, coll=?
           duration=2s
           rx rfc2819 1_to_64_packets=5, 65_to_127_packets=0, broadcast_packets=18446744073709551614, ` + `
           tx rfc2819 multicast_packets=7, ` + `
           CUSTOM Statistics
                      rx_q0_errors=1, rx_q0_bytes=?, ovs_tx_failure_drops=3,
                      rx_missed_errors=4,
OFPST_PORT reply (OF1.4) (xid=0x2): 1 ports
  port  "7": rx pkts=1, bytes=0, drop=0, errs=0, frame=0, over=0, crc=0
           tx pkts=2, bytes=0, drop=0, errs=0, coll=0
`

// ports10 is of OpenFlow 1.0 to 1.2.
const ports10 = `OFPST_PORT reply (xid=0x2): 2 ports
  port  1: rx pkts=11, bytes=946, drop=0, errs=0, frame=0, over=0, crc=0
           tx pkts=21, bytes=1702, drop=0, errs=0, coll=0
  port 65534: rx pkts=0, bytes=0, drop=0, errs=0, frame=0, over=0, crc=0
           tx pkts=0, bytes=0, drop=0, errs=0, coll=0
`

func TestPorts(t *testing.T) {
	f := func(dump string, want ...PortStats) {
		t.Helper()
		got, faults := all(Ports(bytes.Lines([]byte(dump))))
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || faults != nil {
			t.Errorf("%s\nfaults %s (-want +got):\n%s", dump, faults, diff)
		}
		for line := range strings.Lines(dump) {
			if kind := LineKind([]byte(line)); kind != PortLine && (kind != ReplyLine || !strings.HasPrefix(line, "OFPST")) {
				t.Errorf("%s: is of kind %d", line, kind)
			}
		}
	}
	zero := func(p PortStats) PortStats {
		for _, c := range []*Count{
			&p.RxPackets, &p.RxBytes, &p.RxDropped, &p.RxErrors, &p.RxFrameErrors, &p.RxOverruns, &p.RxCRCErrors,
			&p.TxPackets, &p.TxBytes, &p.TxDropped, &p.TxErrors, &p.Collisions,
		} {
			c.Known = true
		}
		return p
	}
	f(ports14,
		PortStats{
			Port: "LOCAL", Number: -1,
			RxPackets: known(1), RxBytes: known(2), RxDropped: known(3), RxErrors: known(4), RxFrameErrors: known(5), RxOverruns: known(6), RxCRCErrors: known(7),
			TxPackets: known(8), TxBytes: known(9), TxDropped: known(10), TxErrors: known(11), Collisions: known(12),
			Duration: 147153 * time.Millisecond,
		},
		PortStats{
			Port: `p: rx, "1"`, Number: -1, RxPackets: known(0), RxBytes: known(0), TxPackets: known(0), TxBytes: known(0), Duration: 2 * time.Second,
			More: []PortCounter{
				{"rx rfc2819", "1_to_64_packets", known(5)},
				{"rx rfc2819", "65_to_127_packets", known(0)},
				{"rx rfc2819", "broadcast_packets", known(18446744073709551614)},
				{"tx rfc2819", "multicast_packets", known(7)},
				{"CUSTOM Statistics", "rx_q0_errors", known(1)},
				{"CUSTOM Statistics", "rx_q0_bytes", Count{}},
				{"CUSTOM Statistics", "ovs_tx_failure_drops", known(3)},
				{"CUSTOM Statistics", "rx_missed_errors", known(4)},
			},
		},
		zero(PortStats{Port: "7", Number: -1, RxPackets: known(1), TxPackets: known(2)})) // a name
	f(ports10,
		zero(PortStats{Port: "1", Number: 1, RxPackets: known(11), RxBytes: known(946), TxPackets: known(21), TxBytes: known(1702)}),
		zero(PortStats{Port: "65534", Number: 65534}))
	f("")

	for _, err := range Ports(bytes.Lines([]byte(ports14))) { // a reader may stop
		if err != nil {
			t.Error(err)
		}
		break
	}
}

func TestPorts_Faults(t *testing.T) {
	const rx = "  port  1: rx pkts=1, bytes=1, drop=0, errs=0, frame=0, over=0, crc=0\n"
	const tx = "           tx pkts=2, bytes=0, drop=0, errs=0, coll=0\n"
	f := func(dump string, ports int, want ...string) {
		t.Helper()
		got, faults := all(Ports(bytes.Lines([]byte(dump + rx + tx))))
		for i, w := range want {
			want[i] = "read ports: " + w
		}
		if diff := cmp.Diff(want, faults); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dump, diff)
		}
		if len(got) != ports+1 || got[ports].RxPackets.Value != 1 || got[ports].TxPackets.Value != 2 {
			t.Errorf("%s: got %v", dump, got)
		}
	}
	f("hello\n", 0, "line 1: column 1: expected a port")
	f("  port : rx\n", 0, "line 1: column 8: expected a port")
	f("  port \"x: rx\n", 0, "line 1: column 8: expected the end of a quoted name")
	f("  port  1: tx\n           tx\n", 0, "line 1: column 10: expected : rx ") // once a port
	f("  port  1: rx pkts=x\n", 0, "line 1: column 20: expected a number, or ?")
	f("  port  1: rx pkts=1\n", 0, "line 1: column 21: expected , bytes=")
	f(rx[:len(rx)-1]+", x=1\n", 0, "line 1: column 70: expected the end of the line")
	f(rx, 0, "line 2: column 1: expected the tx counters of port 1")
	f(rx+"\n", 0, "line 2: column 1: expected the tx counters of port 1")
	f(rx+tx[:20]+"\n"+tx, 0, "line 2: column 21: expected , bytes=")
	f(rx+tx+tx, 0, "line 3: column 12: expected duration, rfc2819 or CUSTOM Statistics")
	f(rx+tx+"  duration=1\n", 0, "line 3: column 12: expected seconds, and the end of the line")
	f(rx+tx+"  rx rfc2819 a=1\n", 0, "line 3: column 17: expected a number and a comma")
	f(rx+tx+"  CUSTOM Statistics\n   =1,\n", 0, "line 4: column 4: expected a counter")
	f(rx+tx+rx+tx+"  port  1: rx\n", 2, "line 5: column 10: expected : rx ")

	_, faults := all(Ports(bytes.Lines([]byte(rx))))
	if diff := cmp.Diff([]string{"read ports: end of line 1: column 1: expected the tx counters of port 1"}, faults); diff != "" {
		t.Errorf("cut off (-want +got):\n%s", diff)
	}
}

// Tables of any counters, folded as Open vSwitch folds them, come out as they were.
func TestTables_RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []TableStats
		var b strings.Builder
		for id := 0; id < 250; id++ {
			stats := TableStats{id, "", rapid.Uint32().Draw(t, "active"), rapid.Uint64().Draw(t, "lookups"), rapid.Uint64().Draw(t, "matched")}
			if rapid.Bool().Draw(t, "named") {
				stats.Name = rapid.StringMatching(`[a-zA-Z0-9 "():]{1,12}`).Draw(t, "name")
			}
			head := fmt.Sprintf("  table %d", id)
			if stats.Name != "" {
				head += fmt.Sprintf(` ("%s")`, stats.Name)
			}
			fmt.Fprintf(&b, "%s:\n    active=%d, lookup=%d, matched=%d\n\n", head, stats.Active, stats.Lookups, stats.Matched)
			want = append(want, stats)
			fold := rapid.IntRange(0, 20).Draw(t, "folded")
			switch {
			case fold == 1:
				fmt.Fprintf(&b, "  table %d: ditto\n", id+1)
			case fold > 1:
				fmt.Fprintf(&b, "  tables %d...%d: ditto\n", id+1, id+fold)
			}
			for range fold {
				id++
				same := stats
				same.ID, same.Name = id, ""
				want = append(want, same)
			}
			id += rapid.IntRange(0, 100).Draw(t, "gap")
			if id > 230 {
				break
			}
		}
		got, faults := all(Tables(bytes.Lines([]byte(b.String()))))
		if diff := cmp.Diff(want, got); diff != "" || faults != nil {
			t.Fatalf("%s\nfaults %s (-want +got):\n%s", &b, faults, diff)
		}
	})
}

func TestReplyName(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		name, ok := ReplyName([]byte(line))
		if string(name) != want && ok || ok != (want != "") {
			t.Errorf("%s: got %q %v", line, name, ok)
		}
		if (LineKind([]byte(line)) == ReplyLine) != ok {
			t.Errorf("%s: is of kind %d", line, LineKind([]byte(line)))
		}
	}
	f("NXST_FLOW reply (xid=0x4):", "FLOW")
	f("NXST_FLOW reply (xid=0x4): flags=[more]", "FLOW")
	f("OFPST_FLOW reply (OF1.3) (xid=0x2):\r\n", "FLOW")
	f("OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):", "GROUP_DESC")
	f("NXST_GROUP reply (xid=0x6):", "GROUP")
	f("OFPST_TABLE reply (xid=0x4): 254 tables", "TABLE")
	f("OFPST_PORT reply (OF1.4) (xid=0x2): flags=[more] 4 ports", "PORT")
	f("OFPST_PORT_DESC reply (OF1.3) (xid=0x2):", "PORT_DESC")
	for _, bad := range []string{
		"", "OFPST_FLOW", "OFPST_ reply (xid=0x2):", "OFPST_FLOW reply (OF2.0) (xid=0x2):", "OFPST_FLOW reply (OF1.) (xid=0x2):", "OFPST_FLOW reply (xid=2):", "OFPST_FLOW request (xid=0x2):",
		"OFPST_FLOW reply (OF1.3) (xid=0x2): ***decode error: OFPBRC_BAD_LEN***", "OFPST_PORT reply (xid=0x2): 4", "OFPT_ERROR (xid=0x2): OFPBRC_BAD_TYPE",
		"NXST_AGGREGATE reply (xid=0x4): packet_count=114 byte_count=8720 flow_count=30040",
	} {
		f(bad, "")
	}
}

func TestLineKind(t *testing.T) {
	f := func(line string) {
		t.Helper()
		if kind := LineKind([]byte(line)); kind != OtherLine {
			t.Errorf("%s: is of kind %d", line, kind)
		}
	}
	f("")
	f("   ")
	f("\x1b[")
	f("hello actions=drop world")
	f("actions are as follows")
	f("table of contents")
	f("port of call")
	f("12: of something")
	f("group_id=5")
	f("duration=1s of something")
	f("priority=0")
	f("    max_entries=1000000")
	f("    (same features)")
	f("     state:      LIVE")
	f("meter=1 kbps bands=")
	f("2026/11/21 10:11:12.000123 AntreaPolicyIngressRule AntreaNetworkPolicy:shop/web allow Ingress Allow 14600")
	f("2026-11-21T10:11:12.123Z|00001|connmgr|INFO|br-int<->unix#0: 5 flow_mods in the last 1 s (5 adds)")
	f("tcp      6 9 LAST_ACK src=192.0.2.10 dst=198.51.100.7 sport=40001 dport=443 src=198.51.100.7 dst=192.0.2.10 sport=443 dport=40001 mark=0 use=1")
	f("tcp,orig=(src=192.0.2.10,dst=192.0.2.20,sport=1,dport=2),reply=(src=192.0.2.20,dst=192.0.2.10,sport=2,dport=1)")
}

const portDesc = ` 11(odd"): addr:(m): addr:02:00:00:00:00:0b
     config:     NO_FLOOD
     state:      STP_FORWARD LIVE
     current:    10GB-FD COPPER AUTO_NEG
     advertised: 1GB-FD 10GB-FD
     supported:  1GB-FD 10GB-FD AUTO_PAUSE 0x10000
     peer:       1GB-FD
     speed: 10000 Mbps now, 25000 Mbps max
`

func TestPortDesc(t *testing.T) {
	var p PortDesc
	f := func(record string, want PortDesc) {
		t.Helper()
		if err := p.Parse([]byte(record)); err != nil {
			t.Errorf("%s: %s", record, err)
		}
		if diff := cmp.Diff(want, p); diff != "" {
			t.Errorf("%s (-want +got):\n%s", record, diff)
		}
		first, _, _ := strings.Cut(record, "\n")
		if kind := LineKind([]byte(first)); kind != PortDescLine {
			t.Errorf("%s: is of kind %d", first, kind)
		}
	}
	b := func(text string) []byte { return []byte(text) }
	all := PortDesc{
		b("11"), b(`odd"): addr:(m`), b("02:00:00:00:00:0b"), b("NO_FLOOD"), b("STP_FORWARD LIVE"),
		b("10GB-FD COPPER AUTO_NEG"), b("1GB-FD 10GB-FD"), b("1GB-FD 10GB-FD AUTO_PAUSE 0x10000"), b("1GB-FD"), 10000, 25000,
	}
	f(portDesc, all)
	f(strings.ReplaceAll(portDesc, "\n", "\r\n"), all)
	f("LOCAL(br-lab): addr:02:00:00:00:00:01\nconfig: PORT_DOWN\n\n   state: LINK_DOWN\nspeed: 0 Mbps now, 0 Mbps max", // as in a support bundle
		PortDesc{Port: b("LOCAL"), Name: b("br-lab"), Address: b("02:00:00:00:00:01"), Config: b("PORT_DOWN"), State: b("LINK_DOWN")})

	bad := func(part, instead, want string) {
		t.Helper()
		if got := p.Parse([]byte(strings.Replace(portDesc, part, instead, 1))); got == nil || got.Error() != want {
			t.Errorf("%s for %s: want %s, got %v", instead, part, want, got)
		}
	}
	bad("11(", "x(", "column 2: expected a port's number, or LOCAL")
	bad("11(", "11)", "column 4: expected a bracket")
	bad(portDesc, " 11(x", "column 5: expected a name, and "+portAddress)
	bad("0b", "0g", "column 27: expected an Ethernet address")
	bad("0b", "0", "column 27: expected an Ethernet address")
	bad("config", "conf", "column 50: expected each of config, state, features and speed once")
	bad("config", "state", "column 75: expected each of config, state, features and speed once")
	bad("config:    ", "config", "column 50: expected each of config, state, features and speed once")
	bad("NO_FLOOD", "", "column 57: expected names of bits, or 0")
	bad("LIVE", "live", "column 82: expected names of bits, or 0")
	bad("10000 M", "M", "column 265: expected a number and Mbps now")
	bad(", 25000", " 25000", "column 279: expected , ")
	bad("max\n", "max x\n", "column 295: expected the end of the line")
	bad("max\n", "max\n x", "column 297: expected the end of the port")
	bad("     state:      STP_FORWARD LIVE\n", "", "column 262: expected config, state and speed")
	bad("     speed: 10000 Mbps now, 25000 Mbps max\n", "", "column 253: expected config, state and speed")
	bad(portDesc, "", "column 1: expected a port's number, or LOCAL")
}

// The lines of a port or table as one text say what they say line by line.
func TestRecords(t *testing.T) {
	var port Port
	record := "  port  \"p: rx, \\\"1\\\"\": rx pkts=1, bytes=2, drop=3, errs=4, frame=5, over=6, crc=7\n" +
		"     tx pkts=8, bytes=9, drop=10, errs=11, coll=?\n     duration=147.153s\n     CUSTOM Statistics\n          a=1, b=?, \n          c=3,\n"
	for range 2 {
		if err := port.Parse([]byte(record)); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprintf("%s %d %v %v", port.Port, port.Number, port.Collisions, port.Duration)
	for _, c := range port.More {
		got += fmt.Sprintf(" %s %s %v", c.Set, c.Name, c.Count)
	}
	if want := `p: rx, "1" -1 {0 false} 2m27.153s CUSTOM Statistics a {1 true} CUSTOM Statistics b {0 false} CUSTOM Statistics c {3 true}`; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
	var table Table
	f := func(record, want string) {
		t.Helper()
		if err := table.Parse([]byte(record)); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d...%d %q %d %d %d %v", table.ID, table.Last, table.Name, table.Active, table.Lookups, table.Matched, table.Ditto); got != want {
			t.Errorf("%s: want %s, got %s", record, want, got)
		}
	}
	f("  table 0 (\"a\"):\n    active=3, lookup=20, matched=19\n", `0...0 "a" 3 20 19 false`)
	f("  table 0:\n    active=3, lookup=20, matched=19\n    config=controller\n      actions: output\n\n", `0...0 "" 3 20 19 false`)
	f("  2: a  : wild=0x3fffff, max=1000000, active=1\n               lookup=2, matched=1", `2...2 "a" 1 2 1 false`)
	f("  tables 3...5: ditto", `3...5 "" 0 0 0 true`)
	f("  table 6 (\"b\"): ditto\n", `6...6 "b" 0 0 0 true`)

	bad := func(parse func([]byte) error, record, want string) {
		t.Helper()
		if err := parse([]byte(record)); err == nil || err.Error() != want {
			t.Errorf("%s: want %s, got %v", record, want, err)
		}
	}
	bad(table.Parse, "  x", "column 3: expected a table")
	bad(table.Parse, "  table 256:", "column 9: expected a table's number")
	bad(table.Parse, "  table 0:", "column 11: expected active=")
	bad(table.Parse, "  table 0:\n    active=1, lookup=x", "column 33: expected a number")
	bad(table.Parse, "  table 0:\n    active=1, lookup=1, matched=1\n  xable 1:", "column 46: expected the end of the table")
	bad(table.Parse, "  table 0:\n    active=1, lookup=1, matched=1\n    active=1, lookup=1, matched=1", "column 50: expected the end of the table")
	bad(table.Parse, "  tables 0...1: ditto\n    active=1, lookup=1, matched=1", "column 27: expected the end of the table")
	bad(port.Parse, "x", "column 1: expected a port")
	bad(port.Parse, "port x", "column 7: expected : rx ")
	first, _, _ := strings.Cut(record, "\n")
	bad(port.Parse, first, "column 83: expected the tx counters of the port")
	bad(port.Parse, record+"port", "column 220: expected a counter")
}

func FuzzTables(f *testing.F) {
	for _, dump := range []string{tables13, tables10, tables20} {
		f.Add([]byte(dump))
	}
	f.Fuzz(func(t *testing.T, dump []byte) {
		if table := (Table{}); table.Parse(dump) == nil && (table.ID < 0 || table.Last < table.ID || table.Last > 255) {
			t.Fatalf("%q: %+v", dump, table)
		}
		lines, stats := bytes.Count(dump, []byte("\n"))+1, 0
		for s, err := range Tables(bytes.Lines(dump)) {
			if stats++; err == nil && (s.ID < 0 || s.ID > 255) {
				t.Fatalf("%q: %+v", dump, s)
			}
		}
		if stats > 257*lines { // no line is more than all tables, and an error
			t.Fatalf("%q: %d tables", dump, stats)
		}
	})
}

func FuzzPorts(f *testing.F) {
	for _, dump := range []string{ports14, ports10, portDesc} {
		f.Add([]byte(dump))
	}
	f.Fuzz(func(t *testing.T, dump []byte) {
		if port := (Port{}); port.Parse(dump) == nil && len(port.Port) == 0 {
			t.Fatalf("%q: %+v", dump, port)
		}
		if port := (PortDesc{}); port.Parse(dump) == nil && (len(port.Port) == 0 || len(port.Config) == 0 || len(port.Address) != 17) {
			t.Fatalf("%q: %+v", dump, port)
		}
		lines, stats := bytes.Count(dump, []byte("\n"))+1, 0
		for s, err := range Ports(bytes.Lines(dump)) {
			if stats++; err == nil && s.Port == "" {
				t.Fatalf("%q: %+v", dump, s)
			}
		}
		if stats > 2*lines {
			t.Fatalf("%q: %d ports", dump, stats)
		}
		for line := range bytes.Lines(dump) {
			LineKind(line)
		}
	})
}
