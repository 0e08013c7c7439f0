package analysis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis/mix"
)

// lookalike is what is not a flood, and what it is told to be; 0: nothing.
type lookalike struct {
	name string
	kind analysis.Kind
	mix  mix.Mix
}

// begins is when what is told of begins.
const begins = start + 67*time.Second

func lookalikes(seed uint64) []lookalike {
	service := mix.Target{Address: "10.96.2.1", Port: 8080, Protocol: analysis.TCP}
	site := mix.Target{Address: "10.96.2.2", Port: 443, Protocol: analysis.TCP}
	resolver := mix.Target{Address: "10.200.0.53", Port: 53, Protocol: analysis.UDP}
	// flow from a time on.
	from := func(at time.Duration, f mix.Flow) mix.Flow {
		f.From = at
		return f
	}
	until := func(at time.Duration, f mix.Flow) mix.Flow {
		f.Until = at
		return f
	}
	with := func(f mix.Flow, change func(*mix.Flow)) mix.Flow {
		change(&f)
		return f
	}
	dies := func(to mix.Target, prefix string, n uint64, rate, retries float64, life, silent mix.Life) mix.Mix {
		return mix.Mix{
			until(begins, mix.Clients(seed, to, prefix, n, rate, life)),
			from(begins, mix.Clients(seed+1, to, prefix, n, rate*retries, silent)),
		}
	}
	short := mix.Short(100 * time.Millisecond)
	return []lookalike{
		{"burst of 10k short connections", 0, mix.Mix{until(begins+2*time.Second, from(begins, mix.Clients(seed, service, mix.Pods, 50, 5000, short)))}},
		{"burst of one client", 0, mix.Mix{until(begins+2*time.Second, from(begins, mix.Clients(seed, service, "10.1.3.3/32", 1, 5000, short)))}},
		{"burst of visitors, a fifth lost", 0, mix.Mix{until(begins+5*time.Second, from(begins, with(mix.Clients(seed, site, mix.Visitors, 100_000, 2000, short), func(f *mix.Flow) {
			f.Other, f.OtherShare = mix.Silent(0), 0.2
		})))}},
		{"ten times the clients", 0, mix.Mix{mix.Clients(seed, service, mix.Pods, 100, 20, short), from(begins, mix.Clients(seed+1, service, mix.Pods, 1000, 200, short))}},
		{"burst of queries", 0, mix.Mix{until(begins+3*time.Second, from(begins, mix.Clients(seed, resolver, mix.Pods, 100, 4000, mix.Datagram(2*time.Millisecond))))}},
		{"dead, clients that retry", analysis.Unanswered, dies(service, mix.Pods, 300, 20, 5, short, mix.Silent(0))},
		{"dead, connections that were kept", analysis.Unanswered, mix.Mix{
			until(begins, mix.Clients(seed, service, mix.Pods, 500, 0.05, mix.Kept())),
			from(begins, mix.Clients(seed, service, mix.Pods, 500, 300, mix.Silent(0))),
		}},
		{"dead behind one proxy", analysis.Unanswered, dies(service, "10.1.4.4/32", 1, 50, 2, short, mix.Silent(0))},
		{"dead site", analysis.Unanswered, dies(site, mix.Visitors, 100_000, 40, 2, mix.Short(time.Second), mix.Silent(0))},
		{"dead resolver", analysis.Unanswered, dies(resolver, "10.1.200.1/32", 2, 150, 1.5, mix.Datagram(5*time.Millisecond), mix.SilentDatagram())},
		{"never answered, many pods", analysis.Unanswered, append(mix.DNS(seed+5, 100), from(begins, mix.Clients(seed, service, mix.Pods, 300, 60, mix.Silent(0))))},
		{"uplink dead", analysis.Unanswered, mix.Mix{
			until(begins, with(mix.Clients(seed, site, "192.0.2.1/32", 1, 60, mix.Short(time.Second)), func(f *mix.Flow) { f.Destinations = mix.Addresses(mix.World, 300) })),
			from(begins, with(mix.Clients(seed+1, site, "192.0.2.1/32", 1, 60, mix.Silent(0)), func(f *mix.Flow) { f.Destinations = mix.Addresses(mix.World, 300) })),
		}},
		{"scan of many hosts", analysis.Scan, mix.Mix{from(begins, with(mix.Clients(seed, site, "10.1.5.5/32", 1, 200, mix.Silent(0)), func(f *mix.Flow) {
			f.Destinations = mix.Addresses(mix.World, 1<<20)
		}))}},
		{"scan of many hosts, UDP", analysis.Scan, mix.Mix{from(begins, with(mix.Clients(seed, resolver, "10.1.5.5/32", 1, 600, mix.SilentDatagram()), func(f *mix.Flow) {
			f.Destinations = mix.Addresses(mix.World, 1<<20)
		}))}},
		{"scan of a host's ports, forged packets", analysis.Scan, mix.Mix{from(begins, with(mix.Clients(seed, site, "10.1.5.5/32", 1, 300, mix.Silent(0)), func(f *mix.Flow) {
			f.DestinationPort, f.SourcePorts = mix.Ports{Low: 1, High: 65535}, mix.Port(54321)
		}))}},
		{"scan of a host's ports, connections", analysis.Scan, mix.Mix{from(begins, with(mix.Clients(seed, site, "10.1.5.5/32", 1, 300, mix.Silent(0)), func(f *mix.Flow) {
			f.DestinationPort = mix.Ports{Low: 1, High: 65535, InTurn: true}
		}))}},
		{"tunnels that begin", 0, mix.Tunnels(seed, begins)},
		{"crawler", analysis.Scan, mix.Mix{from(begins, with(mix.Clients(seed, site, "10.1.6.6/32", 1, 300, mix.SilentDatagram()), func(f *mix.Flow) {
			f.Protocol, f.Destinations, f.DestinationPort = analysis.UDP, mix.Addresses(mix.World, 1<<22), mix.Ports{Low: 1024, High: 65535}
		}))}},
		{"lossy clients", 0, mix.Mix{with(mix.Clients(seed, site, mix.Visitors, 5000, 60, short), func(f *mix.Flow) {
			f.Other, f.OtherShare, f.Wave, f.Period = mix.Silent(0), 0.3, 0.5, 10*time.Minute
		})}},
		{"half-open health checks", 0, mix.Mix{with(mix.Clients(seed, service, mix.Nodes, 20, 150, mix.Reset()), func(f *mix.Flow) {
			f.Destinations = mix.Addresses(mix.Backends, 30)
		})}},
	}
}

// What looks like a flood is not called one, on no background; and what it is
// called.
func TestNoFloods(t *testing.T) {
	table, falsely, total, seed := &strings.Builder{}, 0, 0, uint64(7)
	for n, first := range lookalikes(seed) {
		mixes, floods, named, other := 0, 0, 0, 0
		for _, b := range backgrounds() {
			seed += 1000
			l := lookalikes(seed)[n]
			every := []time.Duration{15 * time.Second, 20 * time.Second, 30 * time.Second}[seed/1000%3]
			all := slices.Concat(b.mix(seed+100), l.mix)
			analyzer := analysis.New(analysis.Options{})
			var table []analysis.Entry
			isNamed := false
			mixes++
			total++
			for at := start; at < begins+130*time.Second; at += every {
				table = all.Append(table[:0], at)
				for _, e := range look(analyzer, table, at).Events {
					switch {
					case e.Kind == analysis.Flood:
						floods++
						t.Errorf("%s, %s, every %s, seed %d, at %s: %+v", b.name, l.name, every, seed, at-begins, e)
					case e.Kind == l.kind:
						isNamed = true
					case e.Phase == analysis.Started:
						other++
						t.Errorf("%s, %s, every %s, seed %d, at %s: want kind %q: %+v", b.name, l.name, every, seed, at-begins, l.kind, e)
					}
				}
			}
			if isNamed {
				named++
			} else if l.kind != 0 {
				t.Errorf("%s, %s, every %s, seed %d: not called %v", b.name, l.name, every, seed, l.kind)
			}
		}
		falsely += floods
		called := "nothing"
		if first.kind != 0 {
			called = first.kind.String()
		}
		fmt.Fprintf(table, "%-40s %6d %8d   %s in %d\n", first.name, mixes, floods, called, max(named, map[bool]int{true: mixes - other}[first.kind == 0]))
	}
	t.Logf("%d mixes, false alarms %d\n%-40s %6s %8s   called\n%s", total, falsely, "", "mixes", "floods", table.String())
}

// A flood is told beside what looks like one, and only the flood.
func TestFloodsBesideLookalikes(t *testing.T) {
	seed, mixes, told := uint64(3), 0, 0
	for n := range lookalikes(seed) {
		for k := range attacks(seed) {
			if (7*n+k)%5 != 0 { // all are tried, not each beside each
				continue
			}
			seed += 1000
			l, a := lookalikes(seed)[n], attacks(seed)[k]
			mixes++
			o := watchMix(slices.Concat(mix.Web(seed+500, 60), l.mix), a, 1.2*2000/a.lasts.Seconds(), 30*time.Second)
			if o.polls > 0 && o.polls <= 2 {
				told++
			} else {
				t.Errorf("%s beside %s, seed %d: told after %d polls (0: never)", a.name, l.name, seed, o.polls)
			}
			for _, wrong := range slices.Concat(o.wrong, o.false) {
				t.Errorf("%s beside %s, seed %d: %s", a.name, l.name, seed, wrong)
			}
		}
	}
	t.Logf("%d mixes, recall %.3f", mixes, float64(told)/float64(mixes))
}
