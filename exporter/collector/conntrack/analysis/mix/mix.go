// Package mix makes believable populations of a conntrack table, for tests and
// simulations: services with their clients, bursts, floods, what looks like
// them, each over time as the kernel's time-outs would leave it in the table.
//
// Everything is a function of the seed and the time: a connection has the same
// addresses in each poll that finds it, and tests can be repeated.
package mix

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
)

// The kernel's time-outs of what it tracks, by default (nf_conntrack_tcp_timeout_*,
// nf_conntrack_udp_timeout and nf_conntrack_udp_timeout_stream).
const (
	synSentTimeout  = 120 * time.Second
	synRecvTimeout  = 60 * time.Second
	timeWaitTimeout = 120 * time.Second
	closeTimeout    = 10 * time.Second
	udpTimeout      = 30 * time.Second
	streamTimeout   = 120 * time.Second
)

// Step in the life of an entry: how it looks for how long.
type Step struct {
	State  analysis.State
	Status analysis.Status
	For    time.Duration
}

// Life is the steps of an entry in the table.
type Life []Step

func (l Life) length() (sum time.Duration) {
	for _, s := range l {
		sum += s.For
	}
	return sum
}

// Short is a TCP connection that is answered, lasts so long, and waits to be
// forgotten.
func Short(lasts time.Duration) Life {
	return Life{
		{analysis.SynSent, analysis.Unreplied, 2 * time.Millisecond},
		{analysis.Established, analysis.Assured, lasts},
		{analysis.TimeWait, analysis.Assured, timeWaitTimeout},
	}
}

// Kept is a TCP connection that is kept for hours.
func Kept() Life { return Life{{analysis.Established, analysis.Assured, 4 * time.Hour}} }

// Datagram is a UDP query with an answer after so long.
func Datagram(answer time.Duration) Life {
	return Life{{0, analysis.Unreplied, answer}, {0, 0, udpTimeout}}
}

// Stream is UDP in both directions for so long.
func Stream(lasts time.Duration) Life { return Life{{0, analysis.Assured, lasts + streamTimeout}} }

// Silent is TCP that nobody answers, and of which so many seconds are tried.
func Silent(tried time.Duration) Life {
	return Life{{analysis.SynSent, analysis.Unreplied, tried + synSentTimeout}}
}

// SilentDatagram is UDP that nobody answers.
func SilentDatagram() Life { return Life{{0, analysis.Unreplied, udpTimeout}} }

// HalfDone is TCP that is answered, and whose sender says no more.
func HalfDone() Life { return Life{{analysis.SynRecv, 0, synRecvTimeout}} }

// Reset is TCP that is answered, and whose sender's kernel knows nothing of it.
func Reset() Life { return Life{{analysis.Close, 0, closeTimeout}} }

// Pool of N addresses from the first of a prefix on.
type Pool struct {
	Prefix netip.Prefix
	N      uint64
}

// Addresses is a pool of the n first addresses of a prefix.
func Addresses(prefix string, n uint64) Pool { return Pool{netip.MustParsePrefix(prefix), max(n, 1)} }

func (p Pool) pick(random uint64) [16]byte {
	a := p.Prefix.Addr().As16()
	low := binary.BigEndian.Uint64(a[8:]) + random%p.N
	binary.BigEndian.PutUint64(a[8:], low)
	return a
}

// Ports that are chosen by chance from Low to High, or one after the other.
type Ports struct {
	Low, High uint16
	InTurn    bool
}

func (p Ports) pick(random, i uint64) uint16 {
	n := uint64(p.High-p.Low) + 1
	if p.InTurn {
		return p.Low + uint16(i%n)
	}
	return p.Low + uint16(random%n)
}

// Port is one port.
func Port(n uint16) Ports { return Ports{n, n, false} }

// Ephemeral are the ports that Linux chooses for clients.
func Ephemeral() Ports { return Ports{32768, 60999, false} }

// Flow of connections that are alike.
type Flow struct {
	Seed        uint64
	From, Until time.Duration // new connections begin; Until 0: without end
	Rate        float64       // new connections a second
	// Wave, a share of Rate by which it goes up and down over Period.
	Wave   float64
	Period time.Duration

	Protocol                     uint8
	Sources, Destinations        Pool
	SourcePorts, DestinationPort Ports
	Backends                     Pool // of a Service; N 0: it is none
	Zone                         uint16
	Mark                         uint32

	Life Life
	// Other is the life of a share of the connections.
	Other      Life
	OtherShare float64
}

// begun is how many connections have begun by a time.
func (f *Flow) begun(at time.Duration) float64 {
	if f.Until > 0 {
		at = min(at, f.Until)
	}
	t := (at - f.From).Seconds()
	if t <= 0 {
		return 0
	}
	n := f.Rate * t
	if f.Wave > 0 {
		w := 2 * math.Pi / f.Period.Seconds()
		n += f.Rate * f.Wave / w * (1 - math.Cos(w*t))
	}
	return n
}

// start of the connection i, to a millisecond.
func (f *Flow) start(i float64) time.Duration {
	if f.Wave == 0 {
		return f.From + time.Duration(i/f.Rate*1e9)
	}
	low, high := f.From, f.From+time.Duration(2*(i+1)/f.Rate*1e9)+2*f.Period
	for high-low > time.Millisecond {
		if mid := (low + high) / 2; f.begun(mid) >= i {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// Append adds the entries that the flow has in the table at a time.
func (f *Flow) Append(to []analysis.Entry, at time.Duration) []analysis.Entry {
	lasts := max(f.Life.length(), f.Other.length())
	first, end := math.Ceil(f.begun(at-lasts)), math.Ceil(f.begun(at))
	for n := first; n < end; n++ {
		i := uint64(n)
		random := hash(f.Seed, i)
		life := f.Life
		if f.OtherShare > 0 && float64(hash(random, 1)>>11)/(1<<53) < f.OtherShare {
			life = f.Other
		}
		age := at - f.start(n)
		for _, step := range life {
			if age >= step.For {
				age -= step.For
				continue
			}
			e := analysis.Entry{
				Source: f.Sources.pick(hash(random, 2)), Destination: f.Destinations.pick(hash(random, 3)),
				SourcePort: f.SourcePorts.pick(hash(random, 4), i), DestinationPort: f.DestinationPort.pick(hash(random, 5), i),
				Protocol: f.Protocol, State: step.State, Status: step.Status, Zone: f.Zone, Mark: f.Mark,
			}
			e.ReplySource = e.Destination
			if f.Backends.N > 0 {
				e.ReplySource = f.Backends.pick(hash(random, 6))
			}
			to = append(to, e)
			break
		}
	}
	return to
}

func hash(seed, i uint64) uint64 {
	x := seed*0x9e3779b97f4a7c15 + i + 0x632be59bd9b4e019
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Mix of flows.
type Mix []Flow

// Append adds what all flows have in the table at a time, in the order of
// chance, as the kernel dumps it.
func (m Mix) Append(to []analysis.Entry, at time.Duration) []analysis.Entry {
	start := len(to)
	for i := range m {
		to = m[i].Append(to, at)
	}
	added := to[start:]
	for i := len(added) - 1; i > 0; i-- {
		k := hash(uint64(at), uint64(i)) % uint64(i+1)
		added[i], added[k] = added[k], added[i]
	}
	return to
}
