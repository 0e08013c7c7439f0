package analysis_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis/mix"
)

// poller polls a mix every 15 s.
type poller struct {
	analyzer *analysis.Analyzer
	at       time.Duration
	table    []analysis.Entry
}

func newPoller(o analysis.Options) *poller { return &poller{analyzer: analysis.New(o), at: start} }

func (p *poller) poll(m mix.Mix) *analysis.Snapshot {
	p.table = m.Append(p.table[:0], p.at)
	s := look(p.analyzer, p.table, p.at)
	p.at += 15 * time.Second
	return s
}

// phases of the events over polls, as words of kind and phase.
func (p *poller) phases(m mix.Mix, polls int) string {
	var words []string
	for range polls {
		var now []string
		for _, e := range p.poll(m).Events {
			now = append(now, e.Kind.String()+" "+e.Phase.String())
		}
		words = append(words, strings.Join(now, " + "))
	}
	return strings.Join(words, ", ")
}

var victim = mix.Target{Address: "10.96.0.7", Port: 8081, Protocol: analysis.TCP}

// flood of half-open connections from forged addresses, so many in the table,
// that begins and ends.
func flood(entries float64, from, until time.Duration) mix.Flow {
	f := mix.Clients(99, victim, mix.Forged, 1<<22, entries/60, mix.HalfDone())
	f.From, f.Until = from, until
	return f
}

func TestHysteresis(t *testing.T) {
	web := mix.Web(1, 60)
	f := func(name string, m mix.Mix, polls int, want string) {
		t.Helper()
		if got := newPoller(analysis.Options{}).phases(slices.Concat(web, m), polls); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	at := func(poll float64) time.Duration { return start + time.Duration(poll*float64(15*time.Second)) }
	// Its entries last for 60 s after it, four polls; from half of the threshold
	// on they are no more it.
	f("a flood", mix.Mix{flood(10_000, at(2.1), at(6.1))}, 14,
		", , , flood start, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood end, ")
	f("a flood that pauses is one", mix.Mix{flood(10_000, at(2.1), at(4.1)), flood(10_000, at(8.1), at(20))}, 12,
		", , , flood start, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing, flood ongoing")
	f("half of a flood", mix.Mix{flood(1000, at(2.1), at(12))}, 12, strings.Repeat(", ", 11))

	// Around the threshold: it begins once.
	wave := flood(2200, at(2.1), at(60))
	wave.Wave, wave.Period = 0.3, 90*time.Second
	if got := newPoller(analysis.Options{}).phases(slices.Concat(web, mix.Mix{wave}), 40); strings.Count(got, "start") != 1 || strings.Contains(got, "end") {
		t.Errorf("around the threshold: %s", got)
	}
}

// A service dies, and is flooded later: two events.
func TestFloodOfWhatIsUnanswered(t *testing.T) {
	p := newPoller(analysis.Options{})
	dies, again := start+40*time.Second, start+100*time.Second
	before := mix.Clients(1, victim, mix.Pods, 300, 40, mix.Short(time.Second))
	before.Until = dies
	after := mix.Clients(2, victim, mix.Pods, 300, 150, mix.Silent(0))
	after.From = dies
	forged := mix.Clients(3, victim, mix.Forged, 1<<22, 500, mix.Silent(0))
	forged.From = again
	got := p.phases(mix.Mix{before, after, forged}, 9)
	if want := ", , , , unanswered start, unanswered ongoing, unanswered ongoing, unanswered end + flood start, flood ongoing"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// What was there before the first poll is usual, but for handshakes that nobody
// completes.
func TestFirstPoll(t *testing.T) {
	f := func(name, want string, life mix.Life) {
		t.Helper()
		flow := mix.Clients(1, victim, mix.Forged, 1<<22, 300, life)
		if got := newPoller(analysis.Options{}).phases(append(mix.Web(5, 60), flow), 3); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	f("answered", "flood start, flood ongoing, flood ongoing", mix.HalfDone())
	f("not answered", ", , ", mix.Silent(0))
}

func TestThresholds(t *testing.T) {
	f := func(o analysis.Options, entries float64, want bool) {
		t.Helper()
		got := newPoller(o).phases(append(mix.Web(5, 60), flood(entries, start+20*time.Second, 0)), 10)
		if strings.Contains(got, "flood") != want {
			t.Errorf("%d entries of %.0f: %s", o.FloodEntries, entries, got)
		}
	}
	f(analysis.Options{FloodEntries: 300}, 360, true)
	f(analysis.Options{FloodEntries: 300}, 240, false)
	f(analysis.Options{FloodEntries: 20_000}, 22_000, true)
	f(analysis.Options{FloodEntries: 20_000}, 16_000, false)
	f(analysis.Options{OneWay: []uint16{victim.Port}}, 10_000, false)
}

// So many victims at once that not all have an event; those that end make room.
func TestMaxEvents(t *testing.T) {
	p := newPoller(analysis.Options{FloodEntries: 100})
	var all mix.Mix
	for n := range uint64(100) {
		f := flood(200, start+10*time.Second, start+100*time.Second)
		if n >= 80 {
			f.Until = 0
		}
		f.Seed, f.Destinations = n, mix.Addresses(netip.AddrFrom4([4]byte{10, 96, 0, byte(n)}).String()+"/32", 1)
		all = append(all, f)
	}
	most := 0
	ids := map[uint64]bool{}
	for range 20 {
		s := p.poll(all)
		most = max(most, len(s.Events))
		for _, e := range s.Events {
			ids[e.ID] = true
		}
	}
	if most != analysis.MaxEvents || len(ids) <= analysis.MaxEvents {
		t.Errorf("%d events at most, %d in all", most, len(ids))
	}
}

// What an event names, and the numbers it rests on.
func TestEvidence(t *testing.T) {
	p := newPoller(analysis.Options{})
	f := flood(12_000, start+20*time.Second, 0)
	f.Backends, f.Zone = mix.Addresses("10.1.200.9/32", 1), 65520
	var s *analysis.Snapshot
	for range 8 {
		s = p.poll(append(mix.Web(5, 60), f))
	}
	if len(s.Events) != 1 {
		t.Fatalf("events: %+v", s.Events)
	}
	e := s.Events[0]
	own := uint64(len(f.Append(nil, p.at-15*time.Second)))
	if e.Victim != victim.Netip() || e.Port != victim.Port || e.Backend != netip.MustParseAddr("10.1.200.9") {
		t.Errorf("victim %v, port %d, backend %v", e.Victim, e.Port, e.Backend)
	}
	if e.HalfOpen < own || e.HalfOpen > own+20 || e.Peak < e.HalfOpen || e.Handshakes < own-20 || e.Handshakes > own {
		t.Errorf("%d half-open, %d at most, %d handshakes; there are %d", e.HalfOpen, e.Peak, e.Handshakes, own)
	}
	if e.DistinctSources < own/2 || e.DistinctSources > 2*own || e.Share < 0.9 || e.Clients > 0.1 || e.Known > 0.1 {
		t.Errorf("%d sources, share %.2f, clients %.2f, known %.2f", e.DistinctSources, e.Share, e.Clients, e.Known)
	}
	// Nothing has marked them as allowed.
	if e.NotAllowed < own-20 || e.NotAllowed > e.HalfOpen {
		t.Errorf("%d of %d not allowed", e.NotAllowed, own)
	}
	if e.Since.Sub(s.End) > -time.Minute || e.Until != s.End {
		t.Errorf("since %v until %v, the poll ended %v", e.Since, e.Until, s.End)
	}
}

// Lists are exact while there are counters for all; entries of skipped zones are
// only counted; what is not TCP or UDP is in the lists, too.
func TestTops(t *testing.T) {
	address := func(s string) [16]byte { return netip.MustParseAddr(s).As16() }
	entry := func(source, destination string, protocol uint8, status analysis.Status, zone uint16) analysis.Entry {
		return analysis.Entry{Source: address(source), Destination: address(destination), Protocol: protocol, Status: status, Zone: zone}
	}
	const icmp = 1
	entries := []analysis.Entry{
		entry("192.0.2.1", "198.51.100.1", analysis.TCP, analysis.Assured, 0),
		entry("192.0.2.1", "198.51.100.1", analysis.TCP, analysis.Unreplied, 0),
		entry("192.0.2.1", "198.51.100.2", icmp, analysis.Unreplied, 65520),
		entry("192.0.2.2", "198.51.100.2", analysis.UDP, 0, 65520),
		entry("2001:db8::1", "2001:db8::2", analysis.UDP, analysis.Unreplied, 65510),
		entry("192.0.2.3", "198.51.100.3", analysis.TCP, analysis.Unreplied, 65521),
	}
	analyzer := analysis.New(analysis.Options{K: 2})
	s := look(analyzer, entries, 0)
	if s.Entries != 6 || s.Skipped != 1 || s.HalfOpen != 3 {
		t.Errorf("%d entries, %d skipped, %d half-open", s.Entries, s.Skipped, s.HalfOpen)
	}
	f := func(name string, got []analysis.Top, want ...analysis.Top) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	top := func(source, destination string, n uint64) (t analysis.Top) {
		if source != "" {
			t.Source = netip.MustParseAddr(source)
		}
		if destination != "" {
			t.Destination = netip.MustParseAddr(destination)
		}
		t.AtLeast, t.AtMost = n, n
		return t
	}
	f("sources", s.Sources.Entries, top("192.0.2.1", "", 3), top("192.0.2.2", "", 1))
	f("half-open sources", s.Sources.HalfOpen, top("192.0.2.1", "", 2), top("2001:db8::1", "", 1))
	f("destinations", s.Destinations.Entries, top("", "198.51.100.1", 2), top("", "198.51.100.2", 2))
	f("half-open pairs", s.Pairs.HalfOpen, top("192.0.2.1", "198.51.100.1", 1), top("192.0.2.1", "198.51.100.2", 1))

	// Nothing remains of a poll that did not end, nor of the one before.
	analyzer.Begin(time.Unix(0, 0))
	analyzer.Add(&entries[0])
	if s := look(analyzer, entries[3:4], time.Minute); s.Entries != 1 || len(s.Sources.Entries) != 1 {
		t.Errorf("after a poll that did not end: %+v", s)
	}
}

func TestHalfOpen(t *testing.T) {
	f := func(want bool, protocol uint8, state analysis.State, status analysis.Status) {
		t.Helper()
		if e := (analysis.Entry{Protocol: protocol, State: state, Status: status}); e.HalfOpen() != want {
			t.Errorf("protocol %d, state %d, status %d: %t", protocol, state, status, !want)
		}
	}
	f(true, analysis.TCP, analysis.SynSent, analysis.Unreplied)
	f(true, analysis.TCP, analysis.SynRecv, 0)
	f(true, analysis.TCP, analysis.Close, 0)
	f(false, analysis.TCP, analysis.Close, analysis.Assured)
	f(false, analysis.TCP, analysis.Established, analysis.Assured)
	f(false, analysis.TCP, analysis.TimeWait, 0)
	f(false, analysis.TCP, 0, analysis.Offloaded)
	f(true, analysis.UDP, 0, analysis.Unreplied)
	f(false, analysis.UDP, 0, 0)
	f(true, 132, 0, analysis.Unreplied)
}

// The memory grows with what there is to watch, to what Bytes says; apart from
// that, adding allocates nothing.
func TestMemoryIsBounded(t *testing.T) {
	heap := func() int {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc)
	}
	all := tables(50_000)
	before := heap()
	analyzer := analysis.New(analysis.Options{})
	if took := heap() - before; took > 2<<20 {
		t.Errorf("%d bytes of heap for an empty table", took)
	}
	for name, m := range all {
		table := m.Append(nil, start)
		analyzer.Begin(time.Unix(0, 0))
		i := 0
		if n := testing.AllocsPerRun(len(table)-1, func() { analyzer.Add(&table[i]); i++ }); n != 0 {
			t.Errorf("%s: %v allocations for an entry", name, n)
		}
	}
	took := heap() - before
	t.Logf("%d bytes of heap, at most %d", took, analyzer.Bytes())
	if took > analyzer.Bytes()*11/10 || analyzer.Bytes() > 8<<20 {
		t.Errorf("%d bytes of heap, at most %d are told", took, analyzer.Bytes())
	}
	runtime.KeepAlive(analyzer)
}

// Entries of any bytes, in polls at any times.
func FuzzAnalyzer(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1}, 64*40), int64(15), uint16(10))
	f.Add(bytes.Repeat([]byte("0123456789abcdef0123456789abcdef0"), 300), int64(-1), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, step int64, perPoll uint16) {
		analyzer := analysis.New(analysis.Options{FloodEntries: 1})
		data = data[:min(len(data), 61*200)]
		at := time.Unix(0, 0)
		for len(data) > 0 {
			analyzer.Begin(at)
			var added uint64
			for ; len(data) > 0 && added < uint64(perPoll)+8; added++ {
				var raw [61]byte
				data = data[copy(raw[:], data):]
				var e analysis.Entry
				if _, err := binary.Decode(raw[:], binary.BigEndian, &e); err != nil {
					t.Fatal(err)
				}
				analyzer.Add(&e)
			}
			at = at.Add(time.Duration(step))
			s := analyzer.End(at)
			if s.Entries != added || s.HalfOpen+s.Skipped > added || len(s.Events) > 2*analysis.MaxEvents {
				t.Fatalf("%d added: %+v", added, s)
			}
			for _, top := range slices.Concat(s.Sources.Entries, s.Destinations.HalfOpen, s.Pairs.Entries) {
				if top.AtLeast > added || top.AtMost < top.AtLeast {
					t.Fatalf("%d added: %+v", added, top)
				}
			}
		}
	})
}
