package ovs

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// parsed compares what a parser makes of a text, and of it with odd line ends.
func parsed[T any](t *testing.T, parse func(string) (T, error), text string, want T) {
	t.Helper()
	got, err := parse(text)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%s\n%v (-want +got):\n%s", text, err, diff)
	}
}

func refused[T any](t *testing.T, parse func(string) (T, error), text, want string) {
	t.Helper()
	if _, err := parse(text); err == nil || err.Error() != want {
		t.Errorf("%s\nwant %s\n got %v", text, want, err)
	}
}

const coverageText = `Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=1a2b3c4d:
upcall_ukey_replace        0.0/sec     0.000/sec        0.0003/sec   total: 7
flow_extract            1200.4/sec  1180.017/sec      900.1236/sec   total: 18446744073709551615
drop_action_of_pipeline    0.0/sec     0.000/sec        0.0000/sec   total: 0
12 events never hit
`

func TestCoverage(t *testing.T) {
	f := func(text string, want ...CoverageEvent) { t.Helper(); parsed(t, Coverage, text, want) }
	f(coverageText, CoverageEvent{"upcall_ukey_replace", 7}, CoverageEvent{"flow_extract", math.MaxUint64}, CoverageEvent{"drop_action_of_pipeline", 0})
	f("Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=00000000:\r\n1 events never hit")
	f("")
	bad := func(text, want string) { t.Helper(); refused(t, Coverage, text, "read coverage: "+want) }
	bad("flow_extract 1/sec\n", "line 1: column 13: expected rates, and a total")
	bad("\n\nx   1/sec   total: y\n", "line 3: column 20: expected a total at the end")
}

const datapathsText = `system@ovs-system:
  lookups: hit:901 missed:77 lost:3
  flows: 12
  masks: hit:2045 total:6 hit/pkt:2.09
  cache: hit:640 hit-rate:65.44%
  caches:
    masks-cache: size:256
  port 0: ovs-system (internal)
  port 1: web-0-0a1b2c
  port 2: genev_sys_6081 (geneve: packet_type=ptap, dst_port=6081)
netdev@ovs-netdev:
  lookups: hit:0 missed:0 lost:0
  flows: 0
  port 7: web(x) (tap)
    RX packets:4 errors:1 dropped:2 overruns:? frame:0
    TX packets:5 errors:? dropped:6 aborted:0 carrier:0
    collisions:0
    RX bytes:1572864 (1.5 MiB)  TX bytes:?
    UPCALL packets:9 errors:1
    something: new
`

func TestDatapaths(t *testing.T) {
	f := func(text string, want ...Datapath) { t.Helper(); parsed(t, Datapaths, text, want) }
	f(datapathsText,
		Datapath{
			Name: "system@ovs-system", Hit: 901, Missed: 77, Lost: 3, Flows: 12, MaskHits: known(2045), Masks: known(6), CacheHits: known(640),
			Ports: []DatapathPort{{Number: 0, Name: "ovs-system", Type: "internal"}, {Number: 1, Name: "web-0-0a1b2c"}, {Number: 2, Name: "genev_sys_6081", Type: "geneve"}},
		},
		Datapath{Name: "netdev@ovs-netdev", Ports: []DatapathPort{{
			Number: 7, Name: "web(x)", Type: "tap", RxPackets: known(4), RxErrors: known(1), RxDropped: known(2), RxFrameErrors: known(0), RxBytes: known(1572864),
			TxPackets: known(5), TxDropped: known(6), TxAborted: known(0), TxCarrier: known(0), Collisions: known(0), UpcallPackets: known(9), UpcallErrors: known(1),
		}}})
	f("")
	bad := func(text, want string) { t.Helper(); refused(t, Datapaths, text, "read datapaths: "+want) }
	bad("hello\n", "line 1: column 1: expected a datapath and a colon")
	bad("  flows: 1\n", "line 1: column 3: expected a datapath")
	bad("dp:\n  flows: x\n", "line 2: column 10: expected a number of flows")
	bad("dp:\n  lookups: hit:1 missed:x\n", "line 2: column 25: expected a number")
	bad("dp:\n  lookups: hit\n", "line 2: column 15: expected a colon")
	bad("dp:\n  lookups: hit:1x missed:2\n", "line 2: column 17: expected a blank")
	bad("dp:\n  port x: y\n", "line 2: column 8: expected a port's number, a colon and a blank")
	bad("dp:\n  port 1: y\n    RX bytes:x\n", "line 3: column 14: expected a number of bytes, or ?")
	bad("dp:\n  port 1: y\n    RX bytes:1\n", "line 3: column 15: expected TX bytes:, and a number or ?")
}

const upcallsText = `system@ovs-system:
  flows         : (current 117) (avg 120) (max 4021) (limit 187500)
  offloaded flows : 4
  dump duration : 21ms
  ufid enabled : true

  12: (keys 60)
  13: (keys 57)
netdev@ovs-netdev:
  flows         : (current 0) (avg 0) (max 0) (limit 10000)
  dump duration : 1ms
  ufid enabled : true

  5: (keys 0)
`

func TestAllUpcalls(t *testing.T) {
	f := func(text string, want ...Upcalls) { t.Helper(); parsed(t, AllUpcalls, text, want) }
	f(upcallsText,
		Upcalls{"system@ovs-system", 117, 120, 4021, 187500, 4, 21 * time.Millisecond, 117, 2},
		Upcalls{"netdev@ovs-netdev", 0, 0, 0, 10000, 0, time.Millisecond, 0, 1})
	f("")
	bad := func(text, want string) { t.Helper(); refused(t, AllUpcalls, text, "read upcalls: "+want) }
	bad("x\n", "line 1: column 1: expected a datapath and a colon")
	bad("  5: (keys 0)\n", "line 1: column 3: expected a datapath")
	bad("dp:\n  5: (keys x)\n", "line 2: column 12: expected a number of keys and a bracket")
	bad("dp:\n  flows : (current 1) (max 2)\n", "line 2: column 21: expected ) (avg and a number")
	bad("dp:\n  flows : (current 1) (avg 1) (max 1) (limit 1\n", "line 2: column 47: expected a bracket at the end")
	bad("dp:\n  dump duration : 1s\n", "line 2: column 20: expected milliseconds")
	bad("dp:\n  offloaded flows : x\n", "line 2: column 21: expected a number of flows")
	bad("dp:\n  hello\n", "line 2: column 8: expected a colon and a blank")
}

const bridgesText = `netdev@ovs-netdev: hit:19 missed:7
  br-int:
    br-int 65534/1: (tap)
    web-0-0a1b2c 11/2: (system)
    tun 0 3/none: (geneve: key=flow, remote_ip=flow, x="a: (b) 1/2: (c)")
  br-ext:
`

func TestDatapathBridges(t *testing.T) {
	f := func(text string, want ...DatapathBridge) { t.Helper(); parsed(t, DatapathBridges, text, want) }
	f(bridgesText,
		DatapathBridge{"netdev@ovs-netdev", 19, 7, "br-int", []BridgePort{
			{"br-int", 65534, 1, "tap"}, {"web-0-0a1b2c", 11, 2, "system"}, {"tun 0", 3, -1, "geneve"},
		}},
		DatapathBridge{"netdev@ovs-netdev", 19, 7, "br-ext", nil})
	f("")
	bad := func(text, want string) { t.Helper(); refused(t, DatapathBridges, text, "read bridges: "+want) }
	bad("x:\n", "line 1: column 1: expected a datapath, and : hit:")
	bad("x: hit:y missed:1\n", "line 1: column 1: expected hit and missed")
	bad("  br:\n", "line 1: column 3: expected a datapath, then a bridge and a colon")
	bad("x: hit:1 missed:1\n    p 1/1: (tap)\n", "line 2: column 5: expected a bridge")
	for _, port := range []string{"p 1/1 (tap)", "p 1/1: (tap", "p: (tap)", "p x/1: (tap)", "p 1/x: (tap)", "p 1: (tap)"} {
		bad("x: hit:1 missed:1\n  br:\n    "+port+"\n", "line 3: column 5: expected a port: name number/number: (type)")
	}
}

func TestMemoryUse(t *testing.T) {
	f := func(text string, want ...Use) { t.Helper(); parsed(t, MemoryUse, text, want) }
	f("handlers:4 idl-cells-Open_vSwitch:3000 udpif keys:117 rules:100002\n", Use{"handlers", 4}, Use{"idl-cells-Open_vSwitch", 3000}, Use{"udpif keys", 117}, Use{"rules", 100002})
	f("\n")
	bad := func(text string, want string) {
		t.Helper()
		refused(t, MemoryUse, text, "read memory use: line 1: "+want)
	}
	bad("handlers\n", "column 9: expected name:number")
	bad("handlers:x\n", "column 10: expected name:number")
	bad(":1\n", "column 1: expected name:number")
	bad("a:1b:2\n", "column 4: expected name:number")
}

func TestConnectionCounts(t *testing.T) {
	f := func(text string, want ...ConnectionCount) { t.Helper(); parsed(t, ConnectionCounts, text, want) }
	f("Connections Stats:\n    Total: 0\n", ConnectionCount{"Total", 0})
	f("Connections Stats:\n    Total: 12\n\tTCP: 9\n\t  Conn ESTABLISHED: 7\n\tUDP: 3\n",
		ConnectionCount{"Total", 12}, ConnectionCount{"TCP", 9}, ConnectionCount{"Conn ESTABLISHED", 7}, ConnectionCount{"UDP", 3})
	bad := func(text, want string) { t.Helper(); refused(t, ConnectionCounts, text, "read connections: "+want) }
	bad("hello\n", "line 1: column 1: expected Connections Stats:")
	bad("Connections Stats:\n    Total\n", "line 2: column 10: expected a colon")
	bad("Connections Stats:\n    Total: x\n", "line 2: column 12: expected a number of connections")
}

func TestSingleCount(t *testing.T) {
	parsed(t, SingleCount, "3000000\n", 3000000)
	parsed(t, SingleCount, "0", 0)
	refused(t, SingleCount, "x", "read a count: column 1: expected a number")
	refused(t, SingleCount, "1 2", "read a count: column 2: expected a number")
	refused(t, SingleCount, "", "read a count: column 1: expected a number")
}

// FuzzRuntime holds that no text makes a parser panic, or give more than it has.
func FuzzRuntime(f *testing.F) {
	for _, text := range []string{coverageText, datapathsText, upcallsText, bridgesText, "handlers:4 udpif keys:1\n", "Connections Stats:\n    Total: 1\n", "7\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		events, _ := Coverage(text)
		datapaths, _ := Datapaths(text)
		upcalls, _ := AllUpcalls(text)
		bridges, _ := DatapathBridges(text)
		uses, _ := MemoryUse(text)
		counts, _ := ConnectionCounts(text)
		_, _ = SingleCount(text)
		if most := max(len(events), len(datapaths), len(upcalls), len(bridges), len(uses), len(counts)); most > len(text) {
			t.Fatalf("%q: %d", text, most)
		}
	})
}
