package analysis

import (
	"math"
	"slices"
	"time"
)

// service is an address, a port and a protocol that connections go to.
type service struct {
	address  [16]byte
	port     uint16
	protocol uint8
}

// pair of a source and a destination.
type pair struct{ source, destination [16]byte }

// recent is the biggest of the values of the last while: of one to two spans.
type recent struct {
	newer, older float64
	since        time.Time
}

func (r *recent) observe(at time.Time, value float64, span time.Duration) {
	if r.since.IsZero() {
		r.since = at
	}
	if at.Sub(r.since) >= span {
		r.older, r.newer, r.since = r.newer, 0, at
	}
	r.newer = max(r.newer, value)
}

func (r *recent) value() float64 { return max(r.newer, r.older) }

// level is what a count usually is, and how far it usually is from that.
type level struct{ mean, spread float64 }

// observe moves the level towards the count by a share of the way.
func (l *level) observe(count, share float64) {
	l.spread += (math.Abs(count-l.mean) - l.spread) * share
	l.mean += (count - l.mean) * share
}

// above is how much of the count is more than usual.
func (l *level) above(count float64) float64 { return max(0, count-l.mean-3*l.spread) }

// watch looks closely at a service, a host, a pair or a source: at its half-open
// TCP and UDP entries of this poll, and at what it was before.
type watch struct {
	used   bool
	to     service // the port and the protocol are those of a service
	source [16]byte
	hash   uint64

	event *Event // that is not over
	quiet int    // polls in a row that did not have the event
	idle  int    // polls in a row with little to watch

	// Of this poll. The first entries of a key were only counted: missed.
	total          uint64 // entries; of a service also those that are not half-open
	missed, looked uint32 // half-open entries
	udp            uint32 // of those looked at
	handshakes     uint32 // that were answered
	notAllowed     uint32
	newClients     uint32      // of a service: answered for the first time
	clients        distinct    // sources; of a pair or a source: its services
	others         *distinct   // ports of a host, source ports of a pair, hosts of a source
	heavy          *heavy      // of a service: sources
	ports          *portCounts // of a pair
	backend        [16]byte    // of a service, by majority vote
	votes          uint32

	// Of the polls before.
	usual, usualHandshakes, arrivals level // arrivals: new clients a second
	answered                         recent
	alive                            bool // new clients were answered in the last poll
}

func (w *watch) reset() {
	w.total, w.missed, w.looked, w.udp, w.handshakes, w.notAllowed, w.newClients, w.votes = 0, 0, 0, 0, 0, 0, 0, 0
	w.clients.n = 0
	if w.others != nil {
		w.others.n = 0
	}
	if w.heavy != nil {
		w.heavy.n, w.heavy.offset = 0, 0
	}
	if w.ports != nil {
		clear(w.ports[:])
	}
}

// forget makes the watch free for another key.
func (w *watch) forget() {
	*w = watch{others: w.others, heavy: w.heavy, ports: w.ports}
	w.reset()
}

// look takes a half-open entry, and the hash of what is counted as distinct.
func (w *watch) look(e *Entry, client uint64) {
	w.looked++
	if e.Protocol == UDP {
		w.udp++
	}
	if e.Status&Unreplied == 0 {
		w.handshakes++
	}
	if e.Mark&markSource == 0 && (e.Zone == zoneIPv4 || e.Zone == zoneIPv6) {
		w.notAllowed++
	}
	w.clients.add(client)
}

// vote keeps the backend that most entries have, if one has many.
func (w *watch) vote(backend *[16]byte) {
	switch {
	case w.votes == 0:
		w.backend, w.votes = *backend, 1
	case w.backend == *backend:
		w.votes++
	default:
		w.votes--
	}
}

// Antrea's zones where policies are tracked, and the bits of its mark that tell
// where a connection came from, set when all policies have let it pass.
const (
	zoneIPv4   = 65520
	zoneIPv6   = 65510
	markSource = 0xf
)

func (w *watch) halfOpen() float64 { return float64(w.missed) + float64(w.looked) }

// scaled makes a number of those that were looked at one of all.
func (w *watch) scaled(n uint32) float64 {
	return float64(n) * w.halfOpen() / max(float64(w.looked), 1)
}

func (w *watch) protocol() uint8 {
	switch {
	case w.to.protocol != 0:
		return w.to.protocol
	case w.udp > w.looked/2:
		return UDP
	}
	return TCP
}

// group watches the biggest keys of a sketch.
type group[K comparable] struct {
	sketch    *sketch[K]
	watches   []*watch // as many as there were keys to watch at once
	most      int
	key       func(*watch) K
	keep      func(*watch, K)
	make      func() *watch
	least     uint32 // entries at which a key is watched
	unwatched uint64
}

// begin begins a poll, in which keys with so many entries are watched from then
// on, and those of the poll before from the first.
func (g *group[K]) begin(least uint32) {
	g.least, g.unwatched = least, 0
	g.sketch.reset()
	for i, w := range g.watches {
		if w.used {
			w.reset()
			key := g.key(w)
			g.sketch.at(&key, w.hash).watch = int32(i + 1)
		}
	}
}

// count counts an entry of the key, and gives the key's watch; nil if there is
// none.
func (g *group[K]) count(key *K, hash uint64, halfOpen bool) *watch {
	c := g.sketch.at(key, hash)
	if c.watch == 0 && c.count+1 >= g.least {
		g.take(c)
	}
	c.count++
	if halfOpen {
		c.half++
	}
	if c.watch <= 0 {
		return nil
	}
	w := g.watches[c.watch-1]
	w.total++
	return w
}

// take finds a watch for the key: a free one, or that of a key that has much
// less.
func (g *group[K]) take(c *counter[K]) {
	smallest, entries := -1, uint64(math.MaxUint64)
	if !slices.ContainsFunc(g.watches, func(w *watch) bool { return !w.used }) && len(g.watches) < g.most {
		g.watches = append(g.watches, g.make())
	}
	for i, w := range g.watches {
		if !w.used {
			smallest, entries = i, 0
			break
		}
		if w.event == nil && w.total < entries {
			smallest, entries = i, w.total
		}
	}
	if entries > uint64(c.count/2) {
		c.watch = -1
		g.unwatched++
		return
	}
	w := g.watches[smallest]
	if w.used {
		key := g.key(w)
		if robbed := g.sketch.find(&key, w.hash); robbed != nil {
			robbed.watch = -1
		}
		w.forget()
	}
	w.used, w.hash, w.missed, w.total = true, c.hash, c.half, uint64(c.count)
	g.keep(w, c.key)
	c.watch = int32(smallest + 1)
}

// rest ends a poll: keys that have been small for a while are watched no more.
func (g *group[K]) rest() {
	for _, w := range g.watches {
		switch {
		case !w.used:
		case w.event != nil || w.total >= uint64(g.least):
			w.idle = 0
		case w.idle == idlePolls:
			w.forget()
		default:
			w.idle++
		}
	}
}

// idlePolls is for how many polls a small key is watched.
const idlePolls = 8

// portCounts counts the entries of each port up to 3, in 2 bits.
type portCounts [1 << 16 / 32]uint64

func (p *portCounts) add(port uint16) {
	word, shift := &p[port/32], port%32*2
	if *word>>shift&3 < 3 {
		*word += 1 << shift
	}
}

// times is how many ports were counted once, twice, and more often.
func (p *portCounts) times() (once, twice, more float64) {
	for _, word := range p {
		for ; word != 0; word >>= 2 {
			switch word & 3 {
			case 1:
				once++
			case 2:
				twice++
			case 3:
				more++
			}
		}
	}
	return once, twice, more
}

// eachOnce reports whether the entries went to each port once, or once again
// where there was no answer, as those of a scan do. Ports that are chosen by
// chance repeat themselves: of n entries at least n²/2/65536 do, and of the
// ports that are met twice some are met again.
func (p *portCounts) eachOnce() bool {
	once, twice, more := p.times()
	n := once + 2*twice + 3*more
	if twice+more <= n*n/(2<<16)/4 {
		return true
	}
	byChance := 2 * twice / max(once, 1) * twice / 3 // ports that would be met a third time
	return byChance >= 8 && more < byChance/3
}
