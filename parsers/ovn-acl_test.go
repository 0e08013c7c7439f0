package parsers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Lines of random values, in each layout, give the values back.
func TestOVNACL_RoundTrip(t *testing.T) {
	check := giveBack(t, "ovn-acl")
	rapid.Check(t, func(t *rapid.T) {
		namespace, policy := kubernetesName().Draw(t, "namespace"), kubernetesName().Draw(t, "policy")
		rule := fmt.Sprint(rapid.IntRange(0, 99).Draw(t, "rule"))
		want := map[string]string{"direction": rapid.SampledFrom([]string{"Ingress", "Egress"}).Draw(t, "direction")}
		var acl string
		switch rapid.IntRange(0, 6).Draw(t, "generation") {
		case 0:
			acl, want["policy"], want["rule"] = namespace+"_"+policy+"_"+rule, namespace+"_"+policy, rule
		case 1:
			acl, want["policy"], want["rule"] = "NP:"+namespace+":"+policy+":"+want["direction"]+":"+rule, "NP:"+namespace+":"+policy, rule
		case 2:
			acl, want["policy"] = "NP:"+namespace+":"+want["direction"], "NP:"+namespace
		case 3:
			acl, want["policy"], want["rule"] = "ANP:"+policy+":"+want["direction"]+":"+rule, "ANP:"+policy, rule
		case 4:
			want["direction"] = "Egress"
			acl, want["policy"], want["rule"] = "EF:"+namespace+":"+rule, "EF:"+namespace, rule
		case 5:
			acl, want["policy"], want["rule"] = "np/"+policy+"."+namespace+"/IPv4/"+rule, "np/"+policy+"."+namespace, rule
		default: // anything, behind what no other has
			acl = "#:" + rapid.String().Draw(t, "acl")
			want["policy"] = acl
		}
		want["acl"] = acl
		pipeline := map[string]string{"Ingress": "to-lport", "Egress": "from-lport"}[want["direction"]]
		verdict := rapid.SampledFrom([]string{"allow", "drop", "reject", "pass"}).Draw(t, "verdict")
		want["action"] = map[string]string{"allow": "Allow", "drop": "Drop", "reject": "Reject", "pass": "Pass"}[verdict]
		src, dst, v6 := addresses(t)
		want["src_ip"], want["dst_ip"] = src, dst
		protocol := rapid.SampledFrom([]string{"TCP", "UDP", "SCTP"}).Draw(t, "protocol")
		want["protocol"], want["src_port"], want["dst_port"] = protocol, port(t), port(t)
		flow := map[string]string{"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}[protocol]
		if v6 {
			flow += "6,vlan_tci=0x0000,ipv6_src=" + src + ",ipv6_dst=" + dst + ",ipv6_label=0x00000"
		} else {
			flow += ",vlan_tci=0x0000,nw_src=" + src + ",nw_dst=" + dst
		}
		flow += ",nw_tos=0,nw_ecn=0,nw_ttl=64,tp_src=" + want["src_port"] + ",tp_dst=" + want["dst_port"]
		if protocol == "TCP" {
			want["tcp_flags"] = rapid.SampledFrom([]string{"syn", "syn|ack", "fin|psh|ack"}).Draw(t, "flags")
			flow += ",tcp_flags=" + want["tcp_flags"]
		}
		var quoted bytes.Buffer
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(acl); err != nil {
			t.Fatal(err)
		}
		name := bytes.TrimSpace(quoted.Bytes())
		head, direction := "2024-06-02T10:11:12.345Z|00042", ", direction="+pipeline
		switch want["layout"] = rapid.SampledFrom([]string{"directed", "undirected", "syslog"}).Draw(t, "layout"); want["layout"] {
		case "undirected":
			direction = ""
			if want["rule"] == "" && !bytes.HasPrefix(name, []byte(`"NP`)) || acl[0] != 'N' && acl[0] != 'A' && acl[0] != 'E' {
				want["direction"] = ""
			}
		case "syslog":
			head = "Jun  2 10:11:12 node-1 ovn-controller[4711]: ovs|00042"
		}
		check(t, fmt.Sprintf(`%s|acl_log(ovn_pinctrl0)|INFO|name=%s, verdict=%s, severity=info%s: %s`, head, name, verdict, direction, flow), want)
	})
}

// A name that is cut at 63 bytes, anywhere, still tells no wrong policy kind or direction.
func TestOVNACL_Cut(t *testing.T) {
	d := shippedDefinition(t, "ovn-acl")
	const name = "NP:shop:allow-web:Ingress:0"
	for n := len("NP:shop"); n <= len(name); n++ {
		line := `2024-06-02T10:11:12.345Z|00042|acl_log|INFO|name="` + name[:n] + `", verdict=drop, severity=info: udp,nw_src=192.0.2.1,nw_dst=192.0.2.2,tp_src=1,tp_dst=2`
		r := parsers.Record{Line: []byte(line)}
		if err := d.NewParser().Parse(&r); err != nil {
			t.Fatal(err)
		}
		policy := string(r.Value(d.FieldIndex("policy")))
		if want := "NP:shop:allow-web"; len(policy) > len(want) || policy != want[:len(policy)] {
			t.Errorf("%q: policy %q", name[:n], policy)
		}
		if direction := string(r.Value(d.FieldIndex("direction"))); direction != "" && direction != "Ingress" {
			t.Errorf("%q: direction %q", name[:n], direction)
		}
	}
}

func BenchmarkOVNACL(b *testing.B) {
	re := regexp.MustCompile(`^([^|]*)\|([0-9]+)\|acl_log\(([^)]*)\)\|([A-Z]+)\|name="([^"]*)", verdict=([a-z]+), severity=([a-z]+), direction=([a-z-]+): ([a-z0-9]+),.*nw_src=([^,]*),nw_dst=([^,]*),.*tp_src=([0-9]+),tp_dst=([0-9]+)`)
	besides(b, "ovn-acl", "regexp", func(line []byte) bool { return re.FindSubmatchIndex(line) != nil })
}

func kubernetesName() *rapid.Generator[string] {
	return rapid.StringMatching(`[a-z]([-a-z0-9]{0,6}[a-z0-9])?`)
}

func port(t *rapid.T) string { return fmt.Sprint(rapid.Uint16().Draw(t, "port")) }

func addresses(t *rapid.T) (src, dst string, v6 bool) {
	a, b := rapid.IntRange(1, 254).Draw(t, "src"), rapid.IntRange(1, 254).Draw(t, "dst")
	if rapid.Bool().Draw(t, "v6") {
		return fmt.Sprintf("2001:db8::%x", a), fmt.Sprintf("2001:db8::%x", b), true
	}
	return fmt.Sprintf("192.0.2.%d", a), fmt.Sprintf("198.51.100.%d", b), false
}

func shippedDefinition(t testing.TB, name string) *parsers.Definition {
	t.Helper()
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return set[name]
}

// giveBack gives a check that a line has exactly those of the wanted values;
// "" stands for a field that it does not have, "layout" for its layout.
func giveBack(t *testing.T, name string) func(t *rapid.T, line string, want map[string]string) {
	d := shippedDefinition(t, name)
	parser := d.NewParser()
	parser.Refer(reference().UnixNano())
	return func(t *rapid.T, line string, want map[string]string) {
		r := parsers.Record{Line: []byte(line)}
		if err := parser.Parse(&r); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		if fits := d.Fits([]byte(line)); len(fits) != 1 {
			t.Fatalf("%q fits %v", line, fits)
		}
		if r.Time/int64(time.Second) != time.Date(2024, 6, 2, 10, 11, 12, 0, time.UTC).Unix() {
			t.Fatalf("%q: time %s", line, time.Unix(0, r.Time))
		}
		got := map[string]string{}
		for field := range want {
			if field == "layout" {
				got[field] = r.Layout.Name
			} else {
				got[field] = string(r.Value(d.FieldIndex(field)))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", line, diff)
		}
	}
}

// besides measures the definition, and something else on the same line: the
// first of the samples.
func besides(b *testing.B, name, other string, read func(line []byte) bool) {
	text, err := os.ReadFile(filepath.Join("..", "samples", name+".log"))
	if err != nil {
		b.Fatal(err)
	}
	line := lines(text)[0]
	parser := shippedDefinition(b, name).NewParser()
	b.Run("definition", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(line)))
		r := parsers.Record{Line: bytes.Clone(line), Scratch: new(parsers.Scratch)}
		for b.Loop() {
			r.Scratch.Reset()
			if err := parser.Parse(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(other, func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(line)))
		for b.Loop() {
			if !read(line) {
				b.Fatal("does not read the line")
			}
		}
	})
}

func decodes(line []byte) bool {
	var v map[string]any
	return json.Unmarshal(line, &v) == nil
}
