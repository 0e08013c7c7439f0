package analysis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis/mix"
)

func TestSmoke(t *testing.T) {
	m := mix.Mix{
		{Seed: 1, Rate: 200, Protocol: 6, Sources: mix.Addresses("10.1.0.0/16", 300), Destinations: mix.Addresses("10.96.0.1/32", 1), SourcePorts: mix.Ephemeral(), DestinationPort: mix.Port(443), Life: mix.Short(time.Second), OtherShare: .01, Other: mix.Silent(0)},
		{Seed: 2, From: time.Hour + 40*time.Second, Rate: 300, Protocol: 6, Sources: mix.Addresses("100.64.0.0/10", 1<<22), Destinations: mix.Addresses("10.96.0.1/32", 1), SourcePorts: mix.Ephemeral(), DestinationPort: mix.Port(443), Life: mix.Silent(0)},
	}
	a := analysis.New(analysis.Options{})
	fmt.Println(a.Bytes())
	epoch := time.Unix(0, 0)
	var es []analysis.Entry
	for at := time.Hour; at < time.Hour+150*time.Second; at += 15 * time.Second {
		es = m.Append(es[:0], at)
		a.Begin(epoch.Add(at))
		for i := range es {
			a.Add(&es[i])
		}
		s := a.End(epoch.Add(at))
		fmt.Println(at, s.Entries, s.HalfOpen, s.Destinations.Entries, len(s.Events))
		for _, e := range s.Events {
			fmt.Printf("%+v\n", e)
		}
	}
}
