package ovs

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/parsers/ovs"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

var update = flag.Bool("update", false, "write the goldens")

// flowSet is a bridge's flows as ovs-ofctl prints them, below lines of
// comment with the tables that have names.
type flowSet struct {
	names map[uint8]string
	flows []flow
}

func readFlowSet(t testing.TB, path string) flowSet {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := flowSet{names: map[uint8]string{}}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# "); ok {
			number, name, _ := strings.Cut(rest, " ")
			id, err := strconv.ParseUint(number, 10, 8)
			if err != nil {
				t.Fatal(err)
			}
			set.names[uint8(id)] = name
			continue
		}
		set.flows = append(set.flows, parseFlow(t, line))
	}
	return set
}

// parseFlow gives a flow that is an hour old.
func parseFlow(t testing.TB, line string) flow {
	t.Helper()
	var p ovs.Flow
	if err := p.Parse([]byte(line)); err != nil {
		t.Fatalf("%s: %s", line, err)
	}
	f := flow{
		table: uint8(p.TableID), priority: uint16(p.Priority), cookie: p.Cookie, age: time.Hour, packets: p.Packets.Value, bytes: p.Bytes.Value,
		match: p.Match, actions: p.Actions, drops: string(p.Actions) == "drop", text: func() ([]byte, []byte) { return p.Match, p.Actions },
	}
	_, f.conjunction = p.ConjunctionID()
	return f
}

// feed a bridge with a dump.
func feed(b *bridge, k *knowledge, names map[uint8]string, flows []flow, now time.Time) {
	counts := map[uint8]uint32{}
	for i := range flows {
		counts[flows[i].table]++
	}
	b.names = names
	b.pipeline = k.recognise(names, func(id uint8) bool { return counts[id] > 0 })
	b.book.take(b.pipeline)
	b.book.begin()
	for i := range flows {
		b.book.add(&flows[i], now)
	}
	b.book.end(true, now, nil)
	for id, n := range counts {
		b.tables[id] = &tableCount{flows: n}
	}
	b.up, b.version, b.fullAt = true, openflow.Version15, now
	b.roundOf()
}

// What the flows of each generation of Antrea come to, when all of their
// counts are of the time between two dumps.
func TestFlows_Golden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.flows")
	if err != nil || len(paths) != 4 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		set := readFlowSet(t, path)
		b := newBridge("br-int", "", 100)
		before := append([]flow(nil), set.flows...)
		for i := range before {
			before[i].packets, before[i].bytes = 0, 0
		}
		start := time.Unix(1e9, 0)
		k := known(t)
		feed(b, k, set.names, before, start)
		feed(b, k, set.names, set.flows, start.Add(time.Minute))
		got := exposition(t, b)
		golden := strings.TrimSuffix(path, ".flows") + ".golden"
		if *update {
			if err := os.WriteFile(golden, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// exposition of what flows feed.
func exposition(t testing.TB, b *bridge) []byte {
	t.Helper()
	p := &publisher{d: newDescriptions()}
	b.publish(p)
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(static(p.metrics)); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, f := range families {
		for _, name := range []string{"bridge_info", "dropped", "rule_", "category", "stale", "round"} {
			if strings.HasPrefix(f.GetName(), "corkline_ovs_"+name) {
				f.Help = nil
				if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return out.Bytes()
}

// Whatever happens to flows, nothing is counted twice, and nothing goes back.
func TestBook_OnlyGrows(t *testing.T) {
	b := newBridge("br-int", "", 100)
	k := known(t)
	now := time.Unix(1e9, 0)
	f := func(when string, want uint64, flows ...flow) {
		t.Helper()
		now = now.Add(time.Minute)
		feed(b, k, nil, flows, now)
		if got := b.book.drops[dropKey{"7", reasonFlow}]; got != want {
			t.Errorf("%s: %d, not %d", when, got, want)
		}
	}
	drop := func(packets int, age time.Duration, cookie string) flow {
		flow := parseFlow(t, fmt.Sprintf("cookie=%s, table=7, n_packets=%d, n_bytes=0, priority=5,tcp actions=drop", cookie, packets))
		flow.age = age
		return flow
	}
	f("it was there before", 0, drop(100, time.Hour, "0x1"))
	f("it counts on", 5, drop(105, time.Hour, "0x1"))
	f("it is gone", 5)
	f("it is back, as old as before", 5, drop(105, time.Hour, "0x1"))
	f("and counts on", 7, drop(107, time.Hour, "0x1"))
	f("it is made anew", 10, drop(3, time.Second, "0x1"))
	f("it is replaced, with its counts", 11, drop(4, time.Second, "0x2"))
	f("it is gone again", 11)
	f("a new one", 20, drop(9, time.Second, "0x3"))
	b.book.restart()
	f("the switch has restarted", 28, drop(8, time.Second, "0x3"))
	if sum := b.book.labels["7"]; sum.adds != 3-1 && sum.adds != 2 || sum.deletes != 2 || sum.modifications != 1 {
		t.Errorf("adds, deletes, modifications: %+v", sum)
	}
}

// Memory is bounded: what is beyond is not counted, and told.
func TestBook_Bounded(t *testing.T) {
	b := newBook(10)
	b.take(known(t).recognise(nil, func(uint8) bool { return false }))
	now := time.Unix(1e9, 0)
	b.begin()
	text := func() ([]byte, []byte) { return nil, []byte("drop") }
	var match [4]byte
	for i := range maxPlain + 7 {
		match = [4]byte{byte(i), byte(i >> 8), byte(i >> 16)}
		b.add(&flow{priority: 1, match: match[:], actions: []byte("x"), text: text}, now)
	}
	for i := range maxMeaning + 5 {
		match = [4]byte{byte(i), byte(i >> 8), byte(i >> 16), 1}
		b.add(&flow{priority: 1, match: match[:], drops: true, text: text}, now)
	}
	b.end(true, now, nil)
	if b.round.forgotten != 12 || len(b.places) != maxPlain+maxMeaning {
		t.Errorf("%d are forgotten, %d remembered", b.round.forgotten, len(b.places))
	}
	b.begin()
	b.end(true, now, nil)
	if len(b.places) != 0 || b.plain != 0 || len(b.free) != len(b.states) {
		t.Errorf("%d are left, %d plain", len(b.places), b.plain)
	}
}

// BenchmarkBook is a whole dump of flows that are known.
func BenchmarkBook(b *testing.B) {
	const n = 100_000
	book := newBook(1000)
	k, err := loadKnowledge("antrea.yaml", antreaYAML)
	if err != nil {
		b.Fatal(err)
	}
	book.take(k.recognise(nil, func(uint8) bool { return false }))
	flows := make([]flow, n)
	size := 0
	for i := range flows {
		match := fmt.Sprintf("tcp,nw_src=192.0.2.%d,nw_dst=198.51.100.%d,tp_dst=%d", i%256, i/256%256, i/65536)
		flows[i] = flow{table: uint8(i % 30), priority: 200, cookie: 0x7020000000000, match: []byte(match), actions: []byte("goto_table:5, and some more of it")}
		size += len(match)
	}
	now := time.Unix(1e9, 0)
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		book.begin()
		for i := range flows {
			flows[i].packets++
			book.add(&flows[i], now)
		}
		book.end(true, now, nil)
	}
}
