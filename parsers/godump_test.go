package parsers

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const connectionDump = `&{ID:4711 Timeout:86399 StartTime:2024-06-02 10:11:12.345 +0000 UTC m=+12.5 StopTime:0001-01-01 00:00:00 +0000 UTC LastExportTime:2024-06-02 12:11:12 +0200 CEST` +
	` IsActive:true IsPresent:true ReadyToDelete:false Zone:65520 Mark:16 StatusFlag:14 Labels:[1 0 0 2] LabelsMask:[]` +
	` FlowKey:{SourceAddress:192.0.2.10 DestinationAddress:2001:db8::7 Protocol:6 SourcePort:40001 DestinationPort:443}` +
	` DestinationServiceAddress:203.0.113.9 DestinationServicePort:80 OriginalPackets:12 OriginalBytes:3400 SourcePodNamespace:shop SourcePodName:web-0` +
	` DestinationPodNamespace: DestinationPodName: DestinationServicePortName:shop/db:sql IngressNetworkPolicyName:allow-web TCPState:ESTABLISHED PrevPackets:0 Owner:<nil>}`

func TestDump(t *testing.T) {
	f := func(text string, want map[string]string) {
		t.Helper()
		fields, paths := map[string]int{}, []string{}
		for path := range want {
			fields[path] = len(paths)
			paths = append(paths, path)
		}
		values, pairs := readBoth(t, text, len(paths), newDumpPlan(fields).scan)
		got := map[string]string{}
		for i, path := range paths {
			got[path] = values[i]
		}
		if diff := cmp.Diff(want, got); diff != "" || pairs != nil {
			t.Errorf("%q: pairs %q (-want +got):\n%s", text, pairs, diff)
		}
	}
	f(connectionDump, map[string]string{
		"ID": "4711", "StartTime": "2024-06-02 10:11:12.345 +0000 UTC m=+12.5", "StopTime": "0001-01-01 00:00:00 +0000 UTC", "LastExportTime": "2024-06-02 12:11:12 +0200 CEST",
		"IsPresent": "true", "Zone": "65520", "Labels": "[1 0 0 2]", "LabelsMask": "[]",
		"FlowKey":               "{SourceAddress:192.0.2.10 DestinationAddress:2001:db8::7 Protocol:6 SourcePort:40001 DestinationPort:443}",
		"FlowKey.SourceAddress": "192.0.2.10", "FlowKey.DestinationAddress": "2001:db8::7", "FlowKey.DestinationPort": "443",
		"SourceAddress": "", "OriginalDestinationAddress": "", "FlowKey.Zone": "", "Zone.FlowKey": "",
		"DestinationServiceAddress": "203.0.113.9", "SourcePodName": "web-0", "DestinationPodNamespace": "", "DestinationPodName": "",
		"DestinationServicePortName": "shop/db:sql", "TCPState": "ESTABLISHED", "Owner": "",
	})

	// keys
	f(`{A:1 B:2}`, map[string]string{"A": "1", "B": "2"})
	f(`flow added: {A:1 B:2} C:3`, map[string]string{"A": "1", "B": "2", "C": ""})
	f(`{A:1 b:2 _C:3 D_E:4 1F:5 G2:6 H I:7}`, map[string]string{"A": "1 b:2 _C:3 D_E:4 1F:5", "b": "", "D_E": "", "G2": "6 H", "I": "7"})
	f(`{A: B:  C:3 }`, map[string]string{"A": "", "B": " ", "C": "3 "})
	f(`{A:FE80::1 B:2001:DB8:ABCD::1:AB C:abcd:ef01::}`, map[string]string{"A": "FE80::1", "B": "2001:DB8:ABCD::1:AB", "C": "abcd:ef01::"})

	// depths
	f(`{A:{B:{C:1 D:2} C:3} C:4 D:{C:5}}`, map[string]string{"A": "{B:{C:1 D:2} C:3}", "A.B": "{C:1 D:2}", "A.B.C": "1", "A.C": "3", "C": "4", "D": "{C:5}"})
	f(`{A:&{B:1} C:2}`, map[string]string{"A": "&{B:1}", "A.B": "1", "C": "2"})
	f(`{A:[{B:1 C:2} {B:3}] B:map[C:4 D:[5 E:6]] E:7}`, map[string]string{"A": "[{B:1 C:2} {B:3}]", "A.B": "", "B": "map[C:4 D:[5 E:6]]", "B.C": "", "C": "", "E": "7"})
	f(`{A:{B:1}x y B:2}`, map[string]string{"A": "{B:1}x y", "A.B": "1", "B": "2"})
	f(`{A:a]b B:&x C:&}`, map[string]string{"A": "a]b", "B": "&x", "B.D": "", "C": "&", "C.D": ""})
	f(`{A:{} B:&{} C:{D: E:}}`, map[string]string{"A": "{}", "A.F": "", "B": "&{}", "B.F": "", "C.D": "", "C.E": ""})

	// no value
	f(`<nil>`, map[string]string{"A": ""})
	f(`{A:<nil> B:0x40001 C:<nil>}`, map[string]string{"A": "", "A.B": "", "B": "0x40001", "C": ""})
	f(`{1 86399 2024-06-02 10:11:12 +0000 UTC {192.0.2.10 443} web-0}`, map[string]string{"ID": "", "FlowKey": ""})
	f(``, map[string]string{"A": ""})
	f(`A:1 B:2`, map[string]string{"A": "", "B": ""})
	f(`}{`, map[string]string{"A": ""})

	// Cut lines: what may go on is left out.
	f(`{A:1 B:{C:2 D:34 E`, map[string]string{"A": "1", "B": "", "B.C": "2", "B.D": ""})
	f(`{A:1 B:{C:2}`, map[string]string{"A": "1", "B": "", "B.C": "2"})
	f(`{A:1 B:[2 C:3}`, map[string]string{"A": "1", "B": "", "C": ""})
	f(`{A:1`, map[string]string{"A": ""})
	f(`{A:{`, map[string]string{"A": "", "A.B": ""})
	f(`{A:&`, map[string]string{"A": "", "A.B": ""})
	f(`{A:`, map[string]string{"A": ""})
}

// Names that versions gave to the same member may lead to one field.
func TestDump_Renamed(t *testing.T) {
	p := newDumpPlan(map[string]int{"DestinationServicePort": 0, "OriginalDestinationPort": 0})
	for _, text := range []string{`{DestinationServicePort:80}`, `{OriginalDestinationPort:80}`, `{DestinationServicePort:80 OriginalDestinationPort:}`} {
		if values, _ := readBoth(t, text, 1, p.scan); values[0] != "80" {
			t.Errorf("%q: got %q", text, values)
		}
	}
}

type dumped struct {
	ID        uint32
	Start     time.Time
	Key       dumpedKey
	Labels    []byte
	Names     map[string]int
	Inner     *dumped
	Pod       string
	Nested    struct{ Key dumpedKey }
	Last      netip.Addr
	Hash      [2]string
	Unlimited float64
}

type dumpedKey struct {
	Source, Destination netip.Addr
	Port                uint16
}

// What fmt prints of each member alone is found in what it prints of all.
func TestDump_Random(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		if rapid.Bool().Draw(t, "v4") {
			return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")))
		}
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.SampledFrom([]byte{0, 0, 0xab, 1}), 16, 16).Draw(t, "address")))
	})
	key := rapid.Custom(func(t *rapid.T) dumpedKey {
		return dumpedKey{address.Draw(t, "source"), address.Draw(t, "destination"), rapid.Uint16().Draw(t, "port")}
	})
	name := rapid.StringMatching(`[A-Za-z0-9.:/ +=-]{0,12}`).Filter(func(s string) bool {
		for i := range s { // a member's name
			if s[i] == ' ' && dumpKeyEnd([]byte(s+":"), i+1) >= 0 {
				return false
			}
		}
		return true
	})
	paths := []string{"ID", "Start", "Key", "Key.Source", "Key.Destination", "Key.Port", "Labels", "Names", "Inner", "Pod", "Nested", "Nested.Key.Port", "Last", "Hash", "Unlimited"}
	fields := map[string]int{}
	for i, path := range paths {
		fields[path] = i
	}
	p := newDumpPlan(fields)
	rapid.Check(t, func(t *rapid.T) {
		d := dumped{
			ID:     rapid.Uint32().Draw(t, "id"),
			Start:  time.Unix(rapid.Int64Range(-1<<33, 1<<33).Draw(t, "start"), rapid.Int64Range(0, 999).Draw(t, "milliseconds")*1e6).UTC(),
			Key:    key.Draw(t, "key"),
			Labels: rapid.SliceOf(rapid.Byte()).Draw(t, "labels"),
			Names:  rapid.MapOf(name, rapid.Int()).Draw(t, "names"),
			Pod:    name.Draw(t, "pod"),
			Last:   address.Draw(t, "last"),
			Hash:   [2]string{name.Draw(t, "first"), name.Draw(t, "second")},
		}
		if rapid.Bool().Draw(t, "now") {
			d.Start = time.Now() // with the monotonic clock's reading
		}
		d.Nested.Key = d.Key
		var want []string
		for _, value := range []any{d.ID, d.Start, d.Key, d.Key.Source, d.Key.Destination, d.Key.Port, d.Labels, d.Names, "", d.Pod, d.Nested, d.Key.Port, d.Last, d.Hash, d.Unlimited} {
			want = append(want, fmt.Sprintf("%+v", value))
		}
		for _, value := range []any{d, &d} {
			text := fmt.Sprintf("%+v", value)
			got, _ := readBoth(t, text, len(paths), p.scan)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%q (-want +got):\n%s", text, diff)
			}
		}
	})
}

func FuzzDump(f *testing.F) {
	for _, text := range []string{connectionDump, `{A:{B:{C:1}} C:[{D:2}] E:map[F:3] G:<nil>}`, `{1 {2 A:3} [4]}`, `{A:&{B:1`} {
		f.Add(text)
	}
	p := newDumpPlan(map[string]int{"A": 0, "A.B": 1, "A.B.C": 2, "ID": 3, "FlowKey.SourceAddress": 4})
	f.Fuzz(func(t *testing.T, text string) {
		readBoth(t, text, 5, p.scan)
	})
}

func connectionPlan() (p *dumpPlan, fields int) {
	paths := map[string]int{}
	for path := range strings.FieldsSeq("StartTime StopTime IsPresent Zone FlowKey.SourceAddress FlowKey.DestinationAddress FlowKey.Protocol FlowKey.SourcePort FlowKey.DestinationPort SourcePodNamespace SourcePodName TCPState") {
		paths[path] = len(paths)
	}
	return newDumpPlan(paths), len(paths)
}

func TestDump_Allocs(t *testing.T) {
	p, fields := connectionPlan()
	holdNoAllocs(t, connectionDump, fields, p.scan)
}

func BenchmarkDump(b *testing.B) {
	p, fields := connectionPlan()
	benchReader(b, connectionDump, fields, p.scan)
}

func BenchmarkDump_Worst(b *testing.B) {
	p := newDumpPlan(map[string]int{"A": 0, "A.A": 1, "A.A.A": 2})
	for _, part := range []string{`{`, `A:{`, `A:&{`, `A`, `A:`, ` A`, ` `, ` A:`, ` A:{} `, ` A:{A:1}`, `[`, `}`, ` A:[`, ` A:}`} {
		benchWorst(b, fmt.Sprintf("%q", part), "{", part, 3, p.scan)
	}
}
