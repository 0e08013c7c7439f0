package parsers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers"
	"pgregory.net/rapid"
)

// Each sample is told to be what it is, but for those whose programs write the
// same form.
func TestDetect_Samples(t *testing.T) {
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	same := map[string]string{"ovsdb-server": "ovs-vswitchd", "antrea-controller": "antrea-agent"}
	for name, d := range set {
		if first, ok := same[name]; ok {
			d = set[first]
		}
		text, err := os.ReadFile(filepath.Join("..", "samples", name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		if found := set.Detect(lines(text)); len(found) == 0 || found[0] != d {
			t.Errorf("%s is taken for %v", name, found)
		}
	}
}

// A flow has the same values in each of the forms in which it is printed.
func TestOVSFlows(t *testing.T) {
	read := reading(t, "ovs-flows")
	rapid.Check(t, func(t *rapid.T) {
		number := func(name string) string { return strconv.FormatUint(rapid.Uint64().Draw(t, name), 10) }
		port := func(name string) string { return strconv.Itoa(int(rapid.Uint16().Draw(t, name))) }
		src, dst, v6 := addresses(t)
		want := map[string]string{
			"table": draw(t, `[1-9]|[1-9][0-9]|Classifier|"a, b"`, "table"), "priority": strconv.Itoa(int(rapid.Uint16().Draw(t, "priority"))),
			"packets": number("packets"), "bytes": number("bytes"), "cookie": "0x" + draw(t, `[1-9a-f][0-9a-f]{0,15}`, "cookie"),
			"src_ip": src, "dst_ip": "", "src_net": "", "dst_net": dst + "/24", "protocol": "TCP",
			"src_port": port("src_port"), "dst_port": port("dst_port"), "duration": draw(t, `[1-9][0-9]{0,5}(\.[0-9]{0,8}[1-9])?`, "duration"),
			"actions": draw(t, `drop|resubmit\(,7\)|ct\(commit,nat\(src=192\.0\.2\.1\)\),output:"a\) b"|note:0a\.0b`, "actions"),
		}
		want["match"] = fmt.Sprintf("tcp,nw_src=%s,nw_dst=%s/24,tp_src=%s,tp_dst=%s", src, dst, want["src_port"], want["dst_port"])
		if v6 {
			want["match"] = fmt.Sprintf("tcp6,ipv6_src=%s,ipv6_dst=%s/24,tp_src=%s,tp_dst=%s", src, dst, want["src_port"], want["dst_port"])
		}
		line, counters := "", fmt.Sprintf("n_packets=%s, n_bytes=%s, ", want["packets"], want["bytes"])
		tail := fmt.Sprintf("priority=%s,%s actions=%s", want["priority"], want["match"], want["actions"])
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			line = fmt.Sprintf(" cookie=%s, duration=%ss, table=%s, %sidle_age=3, %s", want["cookie"], want["duration"], want["table"], counters, tail)
		case 1: // --no-stats
			line = fmt.Sprintf(" cookie=%s, table=%s, %s", want["cookie"], want["table"], tail)
			want["packets"], want["bytes"], want["duration"] = "", "", ""
		case 2: // bridge/dump-flows, of table 0
			line = fmt.Sprintf("duration=%ss, %s%s", want["duration"], counters, strings.Replace(tail, " actions=", ",actions=", 1))
			want["table"], want["cookie"] = "0", ""
		case 3: // a support bundle
			line = fmt.Sprintf("table=%s, %s%s", want["table"], counters, tail)
			want["cookie"], want["duration"] = "", ""
		}
		want["table"] = strings.Trim(want["table"], `"`)
		read(t, "flow", line, want)
	})
}

// A group has the same values in each version of OpenFlow, and so have its counters.
func TestOVSGroups(t *testing.T) {
	read := reading(t, "ovs-groups")
	rapid.Check(t, func(t *rapid.T) {
		id := strconv.FormatUint(uint64(rapid.Uint32().Draw(t, "group")), 10)
		var ids, weights, packets, bytes, actions []string
		line, stats := "", ""
		versioned := rapid.Bool().Draw(t, "bucket_id")
		for i := range rapid.IntRange(0, 4).Draw(t, "buckets") {
			ids = append(ids, strconv.Itoa(i))
			line += ",bucket="
			if versioned {
				ids[i] = strconv.Itoa(i + rapid.IntRange(0, 1000).Draw(t, "id"))
				line += "bucket_id:" + ids[i] + ","
			}
			weights = append(weights, strconv.Itoa(int(rapid.Uint16Min(1).Draw(t, "weight"))))
			actions = append(actions, draw(t, `drop|output:11|set_field:0xc0000214->reg3,resubmit\(,EndpointDNAT\)|output:"a; b"`, "actions"))
			line += "weight:" + weights[i] + ",actions=" + actions[i]
			packets, bytes = append(packets, draw(t, `0|[1-9][0-9]{0,18}`, "packets")), append(bytes, draw(t, `0|[1-9][0-9]{0,18}`, "bytes"))
			stats += ",bucket" + ids[i] + ":packet_count=" + packets[i] + ",byte_count=" + bytes[i]
		}
		method := draw(t, `(hash|dp_hash)?`, "method")
		if method != "" {
			line = ",selection_method=" + method + line
		}
		read(t, "group", " group_id="+id+",type=select"+line, map[string]string{
			"group": id, "type": "select", "selection_method": method, "buckets": strconv.Itoa(len(ids)), "bucket_ids": strings.Join(ids, ","),
			"weights": strings.Join(weights, ","), "watch_ports": "", "actions": strings.Join(actions, "; "), "packets": "",
		})
		references, duration := strconv.Itoa(int(rapid.Uint32().Draw(t, "references"))), draw(t, `([1-9][0-9]{0,5}(\.[0-9]{0,2}[1-9])?)?`, "duration")
		head := " group_id=" + id
		if duration != "" {
			head += ",duration=" + duration + "s"
		}
		read(t, "stats", head+",ref_count="+references+",packet_count=7,byte_count=?"+stats, map[string]string{
			"group": id, "duration": duration, "references": references, "packets": "7", "bytes": "", "bucket_ids": strings.Join(ids, ","),
			"bucket_packets": strings.Join(packets, ","), "bucket_bytes": strings.Join(bytes, ","), "type": "",
		})
	})
}

func TestOVSTables(t *testing.T) {
	read := reading(t, "ovs-tables")
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.IntRange(0, 250).Draw(t, "table")
		name := draw(t, `[A-Za-z"(][A-Za-z0-9 "():]{0,11}[A-Za-z")]`, "name")
		want := map[string]string{
			"table": strconv.Itoa(id), "name": name, "last_table": "", "ditto": "",
			"active": strconv.Itoa(int(rapid.Uint32().Draw(t, "active"))), "lookups": draw(t, `0|[1-9][0-9]{0,18}`, "lookups"), "matched": draw(t, `0|[1-9][0-9]{0,18}`, "matched"),
		}
		counters := fmt.Sprintf("lookup=%s, matched=%s", want["lookups"], want["matched"])
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			read(t, "table", fmt.Sprintf("  table %d (\"%s\"):\n    active=%s, %s", id, name, want["active"], counters), want)
		case 1: // OpenFlow 1.0 to 1.2
			want["name"] = ""
			read(t, "table", fmt.Sprintf("  table %d:\n    active=%s, %s\n    max_entries=1000000\n    (same matching)", id, want["active"], counters), want)
		case 2: // before Open vSwitch 2.4
			read(t, "table", fmt.Sprintf("  %d: %-8s: wild=0x3fffff, max=1000000, active=%s\n               %s", id, name, want["active"], counters), want)
		case 3:
			last := id + rapid.IntRange(1, 5).Draw(t, "more")
			read(t, "table", fmt.Sprintf("  tables %d...%d: ditto", id, last), map[string]string{
				"table": want["table"], "last_table": strconv.Itoa(last), "ditto": "true", "name": "", "active": "", "lookups": "", "matched": "",
			})
		}
	})
}

func TestOVSPorts(t *testing.T) {
	read := reading(t, "ovs-ports")
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{"ofport": draw(t, `[1-9][0-9]{0,4}|LOCAL`, "ofport"), "name": ""}
		if rapid.Bool().Draw(t, "desc") {
			want["name"], want["mac"] = draw(t, `[a-z"(][a-z0-9 "():.@-]{0,13}`, "name"), draw(t, `02(:[0-9a-f]{2}){5}`, "mac")
			want["speed_mbps"], want["max_speed_mbps"] = strconv.Itoa(int(rapid.Uint32().Draw(t, "speed"))), strconv.Itoa(int(rapid.Uint32().Draw(t, "max_speed")))
			record := fmt.Sprintf(" %s(%s): addr:%s", want["ofport"], want["name"], want["mac"])
			for _, line := range [][2]string{
				{"config", `0|PORT_DOWN( NO_FLOOD)?`},
				{"state", `0|LIVE|STP_FORWARD( 0x[1-9a-f]{1,8})?`},
				{"current", `(10GB-FD COPPER)?`},
				{"advertised", `(1GB-FD( AUTO_NEG)?)?`},
				{"supported", `(1TB-FD FIBER)?`},
				{"peer", `(OTHER|AUTO_PAUSE_ASYM)?`},
			} {
				key := line[0]
				if want[key] = draw(t, line[1], key); want[key] != "" {
					record += fmt.Sprintf("\n     %-11s %s", key+":", want[key])
				}
			}
			read(t, "port", record+fmt.Sprintf("\n     speed: %s Mbps now, %s Mbps max", want["speed_mbps"], want["max_speed_mbps"]), want)
			return
		}
		port := want["ofport"]
		if rapid.Bool().Draw(t, "names") && port != "LOCAL" {
			want["ofport"], want["name"] = "", draw(t, `[a-z][a-z0-9 "]{0,9}`, "name")
			port = strconv.Quote(want["name"])
		}
		counters := func(pairs ...string) (text string) {
			for i := 0; i < len(pairs); i += 2 {
				value := draw(t, `\?|0|[1-9][0-9]{0,18}`, pairs[i])
				want[pairs[i]] = strings.Trim(value, "?")
				text += fmt.Sprintf(", %s=%s", pairs[i+1], value)
			}
			return text[2:]
		}
		record := fmt.Sprintf("  port %2s: rx %s\n           tx %s", port,
			counters("rx_packets", "pkts", "rx_bytes", "bytes", "rx_dropped", "drop", "rx_errors", "errs", "rx_frame_errors", "frame", "rx_overruns", "over", "rx_crc_errors", "crc"),
			counters("tx_packets", "pkts", "tx_bytes", "bytes", "tx_dropped", "drop", "tx_errors", "errs", "collisions", "coll"))
		if want["duration"] = draw(t, `([1-9][0-9]{0,5}\.[0-9]{0,2}[1-9])?`, "duration"); want["duration"] != "" {
			record += "\n           duration=" + want["duration"] + "s"
		}
		if rapid.Bool().Draw(t, "more") {
			record += "\n           tx rfc2819 " + counters("tx_multicast_packets", "multicast_packets") + ", \n           CUSTOM Statistics\n                      " + counters("odd", "odd") + ","
			for _, key := range []string{"odd", "tx_multicast_packets"} { // pairs that are not there
				if want[key] == "" {
					delete(want, key)
				}
			}
		}
		read(t, "stats", record, want)
	})
}

func TestConntrack(t *testing.T) {
	read := reading(t, "conntrack")
	rapid.Check(t, func(t *rapid.T) {
		src, dst, _ := addresses(t)
		number := func(name, pattern string) string { return draw(t, pattern, name) }
		port := func(name string) string { return strconv.Itoa(int(rapid.Uint16().Draw(t, name))) }
		want := map[string]string{
			"protocol": "TCP", "src_ip": src, "dst_ip": dst, "src_port": port("src_port"), "dst_port": port("dst_port"),
			"reply_src_ip": dst, "reply_dst_ip": src, "reply_src_port": port("reply_src_port"), "reply_dst_port": port("reply_dst_port"),
			"tcp_state": draw(t, `ESTABLISHED|SYN_SENT2`, "state"), "state": "", "packets": number("packets", `[1-9][0-9]{0,18}`), "bytes": number("bytes", `[1-9][0-9]{0,18}`),
			"mark": number("mark", `[1-9][0-9]{0,8}`), "zone": number("zone", `[1-9][0-9]{0,3}`), "timeout": number("timeout", `[1-9][0-9]{0,5}`), "vendor": number("vendor", `0x[0-9]`),
		}
		tuple := func(format, prefix string) string {
			return fmt.Sprintf(format, want[prefix+"src_ip"], want[prefix+"dst_ip"], want[prefix+"src_port"], want[prefix+"dst_port"])
		}
		if rapid.Bool().Draw(t, "datapath") {
			const format = "src=%s,dst=%s,sport=%s,dport=%s,packets="
			line := "tcp,orig=(" + tuple(format, "") + want["packets"] + ",bytes=" + want["bytes"] + "),reply=(" + tuple(format, "reply_") + "0,bytes=0)," +
				fmt.Sprintf("zone=%s,timeout=%s,mark=%s,vendor=%s,protoinfo=(state=%s)", want["zone"], want["timeout"], want["mark"], want["vendor"], want["tcp_state"])
			read(t, "entry", line, want)
			return
		}
		const format = "src=%s dst=%s sport=%s dport=%s "
		family := rapid.SampledFrom([]string{"", "x"}).Draw(t, "family")
		if family != "" {
			family = "ipv4     2 "
			if strings.Contains(src, ":") {
				family = "ipv6     10 "
			}
		}
		line := fmt.Sprintf("%stcp      6 %s %s %spackets=%s bytes=%s %s[ASSURED] mark=%s vendor=%s zone=%s use=1", family, want["timeout"], want["tcp_state"],
			tuple(format, ""), want["packets"], want["bytes"], tuple(format, "reply_"), want["mark"], want["vendor"], want["zone"])
		read(t, "entry", line, want)
	})
}

// What a definition says of its fields holds for those of a dump, too.
func TestDumps_Definition(t *testing.T) {
	d, faults := parsers.ParseDefinition("", []byte(`name: x
layouts: [{name: entry, dump: conntrack}]
absent: ["0"]
redact: {parameters: [secctx]}
values: {protocol: [UDP]}
extract: [{from: status, to: kept, map: {ASSURED: "yes"}}]
stream_labels: [protocol]
metrics: [{name: x_bytes_total, type: counter, add: bytes, labels: [kept], help: Bytes.}]
`))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	const line = "udp      17 29 src=192.0.2.10 dst=192.0.2.53 sport=5353 dport=53 packets=1 bytes=70 src=192.0.2.53 dst=192.0.2.10 sport=53 dport=5353 packets=1 bytes=99 [ASSURED] mark=0 secctx=hidden use=1"
	r := parsers.Record{Line: []byte(line)}
	if err := d.NewParser().Parse(&r); err != nil {
		t.Fatal(err)
	}
	got := r.Result(time.Time{})
	if got.Fields["mark"] != nil || got.Fields["kept"] != "yes" || got.Fields["bytes"] != json.Number("70") || got.StreamLabels["protocol"] != "UDP" {
		t.Errorf("got %v, %v", got.Fields, got.StreamLabels)
	}
	if strings.Contains(got.Line, "hidden") || got.Fields["secctx"] == "hidden" {
		t.Errorf("secctx is not hidden: %v, %s", got.Fields["secctx"], got.Line)
	}
	r.Line = []byte(strings.Replace(line, "udp      17", "udplite  136", 1))
	if err := d.NewParser().Parse(&r); err == nil || err.Error() != `field protocol is not one of ["UDP"]` {
		t.Errorf("got %v", err)
	}
}

// dumpRecords are the records of a sample that are no heads or summaries.
func dumpRecords(t testing.TB, name string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "samples", name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	d := shippedDefinition(t, name)
	var found [][]byte
	for _, record := range records(d, text) {
		if layout := d.Fits(record.Text)[0]; layout != "reply" && layout != "summary" {
			found = append(found, record.Text)
		}
	}
	return found
}

// A line that parses has valid values; one that does not says where.
func FuzzDumps(f *testing.F) {
	set, err := parsers.Shipped()
	if err != nil {
		f.Fatal(err)
	}
	names := []string{"ovs-flows", "ovs-groups", "ovs-tables", "ovs-ports", "conntrack"}
	for _, name := range names {
		for _, line := range dumpRecords(f, name) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, name := range names {
			d := set[name]
			r := parsers.Record{Line: bytes.Clone(line)}
			if d.NewParser().Parse(&r) == nil {
				if wrong := wrongField(&r, nil); wrong != "" {
					t.Fatalf("%q parses with %s", line, wrong)
				}
			} else if c := d.Closest(line); c.Column < 1 || c.Column > len(line)+1 || c.Expected == "" {
				t.Fatalf("%q: %+v", line, c)
			}
		}
	})
}

// Beside each definition, the expression that finds only its first fields.
func BenchmarkDumps(b *testing.B) {
	for name, expression := range map[string]string{
		"ovs-flows": `cookie=(0x[0-9a-f]+), .*table=([^,]+), n_packets=([0-9]+), n_bytes=([0-9]+), .*actions=(.*)$`,
		"conntrack": `([a-z]+) +([0-9]+) .*src=([^ ]+) dst=([^ ]+) sport=([0-9]+) dport=([0-9]+) .*src=([^ ]+) dst=([^ ]+) sport=([0-9]+) dport=([0-9]+)`,
	} {
		re := regexp.MustCompile(expression)
		var all [][]byte
		size := 0
		for _, line := range dumpRecords(b, name) {
			if re.Match(line) {
				all = append(all, line)
				size += len(line)
			}
		}
		run := func(kind string, read func(line []byte) bool) {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(size))
				for b.Loop() {
					for _, line := range all {
						if !read(line) {
							b.Fatal(string(line))
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/line")
			})
		}
		parser := shippedDefinition(b, name).NewParser()
		r := parsers.Record{Scratch: new(parsers.Scratch)}
		run("definition", func(line []byte) bool {
			r.Line = line
			r.Scratch.Reset()
			return parser.Parse(&r) == nil
		})
		run("regexp", func(line []byte) bool { return re.FindSubmatchIndex(line) != nil })
	}
}
