package mix

import (
	"net/netip"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
)

// Where things are in the mixes below.
const (
	Pods      = "10.1.0.0/16"
	Backends  = "10.1.128.0/17"
	Services  = "10.96.0.0/16"
	Nodes     = "192.0.2.0/24"
	Visitors  = "198.18.0.0/15"
	World     = "10.128.0.0/9"
	Forged    = "100.64.0.0/10"
	Forged6   = "2001:db8:f000::/36"
	Attackers = "203.0.113.0/24"
)

// Antrea's zone of IPv4, and the mark of connections from local pods.
const (
	zone     = 65520
	fromPod  = 3
	fromGate = 2
)

// Target is where to the flow of a service, or of an attack on it, goes.
type Target struct {
	Address  string
	Port     uint16
	Protocol uint8
}

// Netip is the target's address.
func (t Target) Netip() netip.Addr { return netip.MustParseAddr(t.Address) }

func (t Target) pool() Pool { return Pool{netip.PrefixFrom(t.Netip(), t.Netip().BitLen()), 1} }

// Clients of a target: n of the prefix begin rate connections a second that have such a life.
func Clients(seed uint64, to Target, prefix string, n uint64, rate float64, life Life) Flow {
	return Flow{
		Seed: seed, Rate: rate, Protocol: to.Protocol, Sources: Addresses(prefix, n), Destinations: to.pool(),
		SourcePorts: Ephemeral(), DestinationPort: Port(to.Port), Life: life,
	}
}

// Web is services in the cluster: pods that call Services with short
// connections, and keep some; one in a hundred gets no answer.
func Web(seed uint64, rate float64) Mix {
	short := Flow{
		Seed: seed, Rate: rate, Protocol: analysis.TCP, Sources: Addresses(Pods, 300), Destinations: Addresses(Services, 40),
		SourcePorts: Ephemeral(), DestinationPort: Ports{8080, 8083, false}, Backends: Addresses(Backends, 200), Zone: zone, Mark: fromPod,
		Life: Short(150 * time.Millisecond), Other: Silent(0), OtherShare: 0.01,
	}
	kept := short
	kept.Seed, kept.Rate, kept.Life, kept.OtherShare = seed+1, rate/100, Kept(), 0
	return Mix{short, kept}
}

// DNS is a busy DNS server and who asks it, with short-lived answered queries.
func DNS(seed uint64, rate float64) Mix {
	f := Clients(seed, Target{"10.96.0.53", 53, analysis.UDP}, Pods, 400, rate, Datagram(3*time.Millisecond))
	f.Backends, f.Zone, f.Mark = Addresses("10.1.200.1/32", 4), zone, fromPod
	f.Other, f.OtherShare = SilentDatagram(), 0.003
	return Mix{f}
}

// Gateway is a NAT gateway: one address that calls the whole world; some of it
// does not answer.
func Gateway(seed uint64, rate float64) Mix {
	return Mix{{
		Seed: seed, Rate: rate, Protocol: analysis.TCP, Sources: Addresses("192.0.2.1/32", 1), Destinations: Addresses(World, 20_000),
		SourcePorts: Ephemeral(), DestinationPort: Port(443), Life: Short(2 * time.Second), Other: Silent(0), OtherShare: 0.04,
	}, {
		Seed: seed + 1, Rate: rate / 4, Protocol: analysis.UDP, Sources: Addresses("192.0.2.1/32", 1), Destinations: Addresses(World, 500),
		SourcePorts: Ephemeral(), DestinationPort: Port(443), Life: Stream(10 * time.Second), Other: SilentDatagram(), OtherShare: 0.05,
	}}
}

// Telemetry is UDP that nobody ever answers, from a new port each time.
func Telemetry(seed uint64, rate float64) Mix {
	return Mix{Clients(seed, Target{"10.96.0.125", 8125, analysis.UDP}, Pods, 200, rate, SilentDatagram())}
}

// Tunnels between nodes: the answers come as connections of their own.
func Tunnels(seed uint64, from time.Duration) Mix {
	f := Flow{
		Seed: seed, From: from, Rate: 300, Protocol: analysis.UDP, Sources: Addresses(Nodes, 20), Destinations: Addresses("192.0.2.100/32", 1),
		SourcePorts: Ports{1024, 65535, false}, DestinationPort: Port(4789), Life: SilentDatagram(),
	}
	return Mix{f}
}

// Visits is a site that is called from outside by ever new clients.
func Visits(seed uint64, to Target, rate float64) Mix {
	f := Clients(seed, to, Visitors, 100_000, rate, Short(time.Second))
	f.Other, f.OtherShare = Silent(0), 0.02
	return Mix{f}
}
