package analysis_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis/mix"
)

// tables are what a poll may find, with about so many entries.
func tables(entries int) map[string]mix.Mix {
	n := float64(entries)
	usual := mix.Flow{
		Seed: 1, Rate: n / 120, Protocol: analysis.TCP, Sources: mix.Addresses("10.1.0.0/16", 2000), Destinations: mix.Addresses("10.96.0.0/16", 300),
		SourcePorts: mix.Ephemeral(), DestinationPort: mix.Ports{Low: 8000, High: 8003}, Backends: mix.Addresses("10.1.64.0/18", 2000),
		Life: mix.Short(200 * time.Millisecond), Other: mix.Silent(0), OtherShare: 0.03,
	}
	flood, strangers := usual, usual
	flood.Rate, flood.Sources, flood.Destinations = n/60, mix.Addresses("2001:db8::/32", 1<<40), mix.Addresses("2001:db8:1::1/128", 1)
	flood.Life, flood.OtherShare = mix.HalfDone(), 0
	strangers.Rate, strangers.Life = n/120, mix.Silent(0)
	strangers.Sources, strangers.Destinations = mix.Addresses("100.64.0.0/10", 1<<22), mix.Addresses("10.0.0.0/8", 1<<24)
	return map[string]mix.Mix{"usual": {usual}, "flood": {flood}, "all different and half-open": {strangers}}
}

func BenchmarkPoll(b *testing.B) {
	for _, entries := range [...]int{2_000, 200_000, 2_000_000} {
		for name, m := range tables(entries) {
			table := m.Append(nil, 5*time.Hour)
			b.Run(fmt.Sprintf("%s/%d", name, entries), func(b *testing.B) {
				a := analysis.New(analysis.Options{})
				at := time.Unix(0, 0)
				began := userTime(b)
				b.ReportAllocs()
				b.SetBytes(int64(len(table)) * int64(unsafe.Sizeof(table[0])))
				for b.Loop() {
					a.Begin(at)
					for i := range table {
						a.Add(&table[i])
					}
					at = at.Add(15 * time.Second)
					a.End(at)
				}
				// The time of this process alone: others may have the processors, too.
				user := userTime(b) - began
				b.ReportMetric(float64(user.Nanoseconds())/float64(b.N)/float64(len(table)), "user-ns/entry")
				b.ReportMetric(float64(user.Microseconds())/float64(b.N)/1000, "user-ms/op")
			})
		}
	}
}

// BenchmarkMaps counts the same keys, and no more, in maps of the runtime's.
func BenchmarkMaps(b *testing.B) {
	for name, m := range tables(200_000) {
		table := m.Append(nil, 5*time.Hour)
		b.Run(name+"/200000", func(b *testing.B) {
			began := userTime(b)
			b.ReportAllocs()
			for b.Loop() {
				var all, halfOpen struct {
					ends  [2]map[[16]byte]int
					pairs map[[2][16]byte]int
				}
				all.ends = [2]map[[16]byte]int{{}, {}}
				halfOpen.ends = [2]map[[16]byte]int{{}, {}}
				all.pairs, halfOpen.pairs = map[[2][16]byte]int{}, map[[2][16]byte]int{}
				for i := range table {
					e := &table[i]
					all.ends[0][e.Source]++
					all.ends[1][e.Destination]++
					all.pairs[[2][16]byte{e.Source, e.Destination}]++
					if e.HalfOpen() {
						halfOpen.ends[0][e.Source]++
						halfOpen.ends[1][e.Destination]++
						halfOpen.pairs[[2][16]byte{e.Source, e.Destination}]++
					}
				}
			}
			user := userTime(b) - began
			b.ReportMetric(float64(user.Microseconds())/float64(b.N)/1000, "user-ms/op")
		})
	}
}

func userTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano())
}
