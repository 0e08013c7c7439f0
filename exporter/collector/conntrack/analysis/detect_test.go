package analysis_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis/mix"
)

const (
	silentTime   = 120 * time.Second
	halfDoneTime = 60 * time.Second
	datagramTime = 30 * time.Second
)

// start is when the tables are first looked at: what is kept for hours is there.
const start = 5 * time.Hour

// background is what a table has beside what is to be told or not.
type background struct {
	name string
	mix  func(seed uint64) mix.Mix
}

func backgrounds() []background {
	site := mix.Target{Address: "10.96.1.1", Port: 443, Protocol: analysis.TCP}
	return []background{
		{"nothing", func(uint64) mix.Mix { return nil }},
		{"web", func(seed uint64) mix.Mix { return mix.Web(seed, 60) }},
		{"DNS", func(seed uint64) mix.Mix { return mix.DNS(seed, 200) }},
		{"gateway", func(seed uint64) mix.Mix { return mix.Gateway(seed, 60) }},
		{"telemetry", func(seed uint64) mix.Mix { return mix.Telemetry(seed, 120) }},
		{"visited site", func(seed uint64) mix.Mix { return mix.Visits(seed, site, 40) }},
		{"waves", func(seed uint64) mix.Mix {
			m := mix.Web(seed, 50)
			for i := range m {
				m[i].Wave, m[i].Period = 0.8, 7*time.Minute
			}
			return m
		}},
		{"all", func(seed uint64) mix.Mix {
			return slices.Concat(mix.Web(seed, 20), mix.DNS(seed+10, 50), mix.Gateway(seed+20, 20), mix.Telemetry(seed+30, 60), mix.Visits(seed+40, site, 20), mix.Tunnels(seed+50, 0))
		}},
	}
}

// attack and what is to be told of it.
type attack struct {
	name    string
	flow    mix.Flow // of one entry a second
	lasts   time.Duration
	shape   analysis.Shape
	victim  string
	port    uint16
	sources []string // that must be named
}

func attacks(seed uint64) []attack {
	web := mix.Target{Address: "10.96.0.7", Port: 8081, Protocol: analysis.TCP} // one of the services of mix.Web
	site := mix.Target{Address: "10.96.1.1", Port: 443, Protocol: analysis.TCP}
	site6 := mix.Target{Address: "2001:db8:1::1", Port: 443, Protocol: analysis.TCP}
	dns := mix.Target{Address: "10.96.0.53", Port: 53, Protocol: analysis.UDP}
	game := mix.Target{Address: "10.1.7.7", Port: 27015, Protocol: analysis.UDP}
	from := func(to mix.Target, prefix string, n uint64, life mix.Life, change func(*mix.Flow)) mix.Flow {
		f := mix.Clients(seed, to, prefix, n, 1, life)
		f.SourcePorts = mix.Ports{Low: 1024, High: 65535}
		if change != nil {
			change(&f)
		}
		return f
	}
	anyPort := func(f *mix.Flow) { f.DestinationPort = mix.Ports{Low: 1, High: 65535} }
	service := func(f *mix.Flow) { f.Backends, f.Zone = mix.Addresses(mix.Backends, 5), 65520 }
	const one = "203.0.113.66/32"
	return []attack{
		{"SYN, forged, no answer", from(web, mix.Forged, 1<<22, mix.Silent(0), service), silentTime, analysis.ManyToPort, web.Address, web.Port, nil},
		{"SYN, forged, answered", from(web, mix.Forged, 1<<22, mix.HalfDone(), service), halfDoneTime, analysis.ManyToPort, web.Address, web.Port, nil},
		{"SYN, forged, a visited site", from(site, mix.Forged, 1<<22, mix.Silent(0), nil), silentTime, analysis.ManyToPort, site.Address, site.Port, nil},
		{"SYN, forged, IPv6", from(site6, mix.Forged6, 1<<40, mix.HalfDone(), nil), halfDoneTime, analysis.ManyToPort, site6.Address, site6.Port, nil},
		{"UDP, forged, DNS", from(dns, mix.Forged, 1<<22, mix.SilentDatagram(), nil), datagramTime, analysis.ManyToPort, dns.Address, dns.Port, nil},
		{"UDP, forged", from(game, mix.Forged, 1<<22, mix.SilentDatagram(), nil), datagramTime, analysis.ManyToPort, game.Address, game.Port, nil},
		{"SYN, one source, no answer", from(web, one, 1, mix.Silent(0), nil), silentTime, analysis.OneToPort, web.Address, web.Port, []string{"203.0.113.66"}},
		{"SYN, a client, answered", from(web, "10.1.0.9/32", 1, mix.HalfDone(), service), halfDoneTime, analysis.OneToPort, web.Address, web.Port, []string{"10.1.0.9"}},
		{"SYN, one source, reset", from(web, "10.1.0.9/32", 1, mix.Reset(), nil), 10 * time.Second, analysis.OneToPort, web.Address, web.Port, []string{"10.1.0.9"}},
		{"UDP, one source", from(game, one, 1, mix.SilentDatagram(), nil), datagramTime, analysis.OneToPort, game.Address, game.Port, []string{"203.0.113.66"}},
		{"SYN, one source, all ports", from(web, one, 1, mix.Silent(0), anyPort), silentTime, analysis.OneToPorts, web.Address, 0, []string{"203.0.113.66"}},
		{"UDP, one source, all ports", from(game, one, 1, mix.SilentDatagram(), anyPort), datagramTime, analysis.OneToPorts, game.Address, 0, []string{"203.0.113.66"}},
		{"UDP, forged, all ports", from(game, mix.Forged, 1<<22, mix.SilentDatagram(), anyPort), datagramTime, analysis.ManyToPorts, game.Address, 0, nil},
		{"SYN, three sources", from(web, "203.0.113.8/32", 3, mix.Silent(0), nil), silentTime, analysis.ManyToPort, web.Address, web.Port, []string{"203.0.113.8", "203.0.113.9", "203.0.113.10"}},
		{"UDP, pods that were taken over", from(game, "10.1.0.20/32", 4, mix.SilentDatagram(), nil), datagramTime, analysis.ManyToPort, game.Address, game.Port, []string{"10.1.0.20", "10.1.0.21", "10.1.0.22", "10.1.0.23"}},
	}
}

// outcome of a mix.
type outcome struct {
	polls int // from the one that had enough entries to the one that told; 0: never
	wrong []string
	false []string
}

// watchMix polls a mix with an attack that begins after the third poll.
func watchMix(m mix.Mix, a attack, perSecond float64, every time.Duration) (o outcome) {
	options := analysis.Options{}
	analyzer := analysis.New(options)
	a.flow.Rate = perSecond
	a.flow.From = start + 2*every + every/3
	all := append(slices.Clone(m), a.flow)
	var table, own []analysis.Entry
	enough := 0
	for poll := 0; ; poll++ {
		at := start + time.Duration(poll)*every
		table = all.Append(table[:0], at)
		own = a.flow.Append(own[:0], at)
		s := look(analyzer, table, at)
		if len(own) >= 2000*21/20 && enough == 0 {
			enough = poll
		}
		told := false
		for _, e := range s.Events {
			switch {
			case e.Kind != analysis.Flood:
			case poll < 3 || e.Victim != netip.MustParseAddr(a.victim):
				o.false = append(o.false, fmt.Sprintf("poll %d: %+v", poll, e))
			default:
				told = true
				if wrong := differs(e, a); wrong != "" {
					o.wrong = append(o.wrong, fmt.Sprintf("poll %d: %s: %+v", poll, wrong, e))
				}
			}
		}
		if told {
			if enough == 0 {
				enough = poll
			}
			o.polls = poll - enough + 1
			return o
		}
		if enough > 0 && poll == enough+3 || poll > 60 {
			return o
		}
	}
}

func look(analyzer *analysis.Analyzer, table []analysis.Entry, at time.Duration) *analysis.Snapshot {
	epoch := time.Unix(1_800_000_000, 0)
	analyzer.Begin(epoch.Add(at))
	for i := range table {
		analyzer.Add(&table[i])
	}
	return analyzer.End(epoch.Add(at + 50*time.Millisecond))
}

// differs tells what an event of a flood says wrongly.
func differs(e analysis.Event, a attack) string {
	if e.Shape != a.shape || e.Port != a.port || e.Protocol != a.flow.Protocol {
		return fmt.Sprintf("%v to port %d of protocol %d, want %v, %d, %d", e.Shape, e.Port, e.Protocol, a.shape, a.port, a.flow.Protocol)
	}
	for _, source := range a.sources {
		if !slices.ContainsFunc(e.Sources, func(t analysis.Top) bool { return t.Source == netip.MustParseAddr(source) }) {
			return source + " is not named"
		}
	}
	return ""
}

// Every attack on every background, at rates from just above what is told.
func TestFloods(t *testing.T) {
	counts := map[string][4]int{} // attack: mixes, told, told in a poll, false
	var names []string
	total, told, falsely := 0, 0, 0
	seed := uint64(1)
	for _, b := range backgrounds() {
		for n := range attacks(seed) {
			for _, strength := range [...]float64{1.1, 4} {
				seed += 1000
				a := attacks(seed)[n]
				every := []time.Duration{10 * time.Second, 15 * time.Second, 30 * time.Second}[seed/1000%3]
				rate := strength * 2000 / a.lasts.Seconds()
				o := watchMix(b.mix(seed), a, rate, every)
				c, known := counts[a.name]
				if !known {
					names = append(names, a.name)
				}
				c[0]++
				total++
				if o.polls > 0 {
					c[1]++
					told++
				}
				if o.polls > 0 && o.polls <= 2 {
					c[2]++
				} else {
					t.Errorf("%s, %s, %.1f of the threshold, every %s, seed %d: told after %d polls (0: never)", b.name, a.name, strength, every, seed, o.polls)
				}
				for _, wrong := range o.wrong {
					t.Errorf("%s, %s, %.1f of the threshold, every %s, seed %d: %s", b.name, a.name, strength, every, seed, wrong)
				}
				for _, f := range o.false {
					t.Errorf("%s, %s, %.1f of the threshold, every %s, seed %d: a false alarm: %s", b.name, a.name, strength, every, seed, f)
					c[3]++
					falsely++
				}
				counts[a.name] = c
			}
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-32s %6s %6s %12s %6s\n", "", "mixes", "told", "in two polls", "false")
	for _, name := range names {
		c := counts[name]
		fmt.Fprintf(&table, "%-32s %6d %6d %12d %6d\n", name, c[0], c[1], c[2], c[3])
	}
	t.Logf("%d mixes, recall %.3f, false alarms %d\n%s", total, float64(told)/float64(total), falsely, table.String())
}
