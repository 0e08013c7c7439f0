package analysis

import (
	"net/netip"
	"slices"
	"time"
	"unsafe"
)

// How many of each are watched. What is not watched is in the lists all the same.
const (
	maxServices = 1024
	maxHosts    = 128
	maxPairs    = 32
	maxSources  = 64
)

// Analyzer looks at a table poll by poll. It is not safe for concurrent use;
// snapshots may be kept and shared.
type Analyzer struct {
	options Options
	hash    hasher
	polls   int
	last    time.Time // end of the last poll
	poll    Snapshot
	before  uint64 // entries of the last poll

	// Of all entries; was: of the last poll.
	sources, destinations, sourcesWas, destinationsWas *sketch[[16]byte]
	pairs, pairsWas                                    *sketch[pair]
	services                                           group[service] // TCP and UDP

	// Of half-open entries.
	origins, hosts group[[16]byte]
	conversations  group[pair]

	batch  [batch]queued
	queued int

	answered *memory // sources, and sources with services
	events   []*Event
	lastID   uint64
}

// New makes an Analyzer.
func New(o Options) *Analyzer {
	o.setDefaults()
	a := &Analyzer{
		options: o, hash: newHasher(o.Seed), answered: newMemory(),
		sources: newSketch[[16]byte](o.Counters), sourcesWas: newSketch[[16]byte](o.Counters),
		destinations: newSketch[[16]byte](o.Counters), destinationsWas: newSketch[[16]byte](o.Counters),
		pairs: newSketch[pair](o.Counters), pairsWas: newSketch[pair](o.Counters),
		services: group[service]{
			sketch: newSketch[service](o.Counters), most: maxServices,
			key:  func(w *watch) service { return w.to },
			keep: func(w *watch, key service) { w.to = key },
			make: func() *watch { return &watch{heavy: new(heavy)} },
		},
		origins: group[[16]byte]{
			sketch: newSketch[[16]byte](o.Counters), most: maxSources,
			key:  func(w *watch) [16]byte { return w.source },
			keep: func(w *watch, key [16]byte) { w.source = key },
			make: func() *watch { return &watch{others: new(distinct)} },
		},
		hosts: group[[16]byte]{
			sketch: newSketch[[16]byte](o.Counters), most: maxHosts,
			key:  func(w *watch) [16]byte { return w.to.address },
			keep: func(w *watch, key [16]byte) { w.to.address = key },
			make: func() *watch { return &watch{others: new(distinct)} },
		},
		conversations: group[pair]{
			sketch: newSketch[pair](o.Counters), most: maxPairs,
			key:  func(w *watch) pair { return pair{w.source, w.to.address} },
			keep: func(w *watch, key pair) { w.source, w.to.address = key.source, key.destination },
			make: func() *watch { return &watch{others: new(distinct), ports: new(portCounts)} },
		},
	}
	return a
}

func (o *Options) setDefaults() {
	if o.K <= 0 {
		o.K = 10
	}
	if o.Counters <= 0 {
		o.Counters = 4096
	}
	o.Counters = min(max(o.Counters, 2*maxServices, o.K), 1<<15)
	if o.SkipZones == nil {
		o.SkipZones = []uint16{65521, 65511}
	}
	if o.OneWay == nil {
		o.OneWay = []uint16{4789, 6081, 8472}
	}
	if o.FloodEntries <= 0 {
		o.FloodEntries = FloodEntries
	}
	if o.FloodShare <= 0 {
		o.FloodShare = 0.5
	}
	if o.EndPolls <= 0 {
		o.EndPolls = 3
	}
	if o.Memory <= 0 {
		o.Memory = 10 * time.Minute
	}
}

// Bytes is how much memory the Analyzer takes at most, whatever the table's size.
func (a *Analyzer) Bytes() int {
	watches := maxServices + maxHosts + maxPairs + maxSources
	return int(unsafe.Sizeof(*a)) + 2*memoryBlocks*64 + MaxEvents*int(unsafe.Sizeof(Event{})) +
		watches*int(unsafe.Sizeof(watch{})+unsafe.Sizeof(&watch{})) + maxServices*int(unsafe.Sizeof(heavy{})) +
		(watches-maxServices)*int(unsafe.Sizeof(distinct{})) + maxPairs*int(unsafe.Sizeof(portCounts{})) +
		2*(a.sources.bytes()+a.destinations.bytes()+a.pairs.bytes()) +
		a.services.sketch.bytes() + a.hosts.sketch.bytes() + a.origins.sketch.bytes() + a.conversations.sketch.bytes()
}

// Begin begins a poll. One that was begun and did not end is forgotten, but for
// the clients it had.
func (a *Analyzer) Begin(at time.Time) {
	a.poll, a.queued = Snapshot{Start: at}, 0
	// What is unanswered must not become a flood because its clients are forgotten.
	if !slices.ContainsFunc(a.events, func(e *Event) bool { return e.Kind == Unanswered }) || a.answered.falseShare() > 0.02 {
		a.answered.rotate(at, a.options.Memory)
	}
	a.sources.reset()
	a.destinations.reset()
	a.pairs.reset()
	flood := uint32(a.options.FloodEntries)
	a.services.begin(max(flood/32, 16, uint32(a.before/(2*maxServices))))
	a.hosts.begin(max(flood/8, 1))
	a.origins.begin(max(flood/8, 1))
	a.conversations.begin(max(flood/4, 1))
}

// batch is how many entries are taken at a time: each sketch in turn looks at all
// of them, so that what it needs stays in the processor's cache.
const batch = 256

// queued is an entry of a batch.
type queued struct {
	Entry
	halfOpen, judged                      bool
	toRemember                            bool // the source was answered, and is not yet known to be
	toRememberClient                      bool
	source, destination, pair, to, client uint64 // hashes
	service                               *watch
}

// Add takes an entry of the poll. It allocates nothing and keeps nothing of e.
func (a *Analyzer) Add(e *Entry) {
	a.poll.Entries++
	if slices.Contains(a.options.SkipZones, e.Zone) {
		a.poll.Skipped++
		return
	}
	q := &a.batch[a.queued]
	q.Entry = *e
	q.halfOpen = e.HalfOpen()
	q.judged = (e.Protocol == TCP || e.Protocol == UDP) && !slices.Contains(a.options.OneWay, e.DestinationPort)
	q.source, q.destination = a.hash.address(&e.Source), a.hash.address(&e.Destination)
	q.pair = a.hash.pair(q.source, q.destination)
	q.to = a.hash.service(q.destination, e.DestinationPort, e.Protocol)
	q.client = a.hash.pair(q.source, q.to)
	if a.queued++; a.queued == batch {
		a.addBatch()
	}
}

func (a *Analyzer) addBatch() {
	all := a.batch[:a.queued]
	a.queued = 0
	halfOpen := false
	for i := range all {
		q := &all[i]
		c := a.sources.at(&q.Source, q.source)
		c.count++
		// To remember what was just remembered takes time, and changes nothing.
		q.toRemember = q.judged && !q.halfOpen && c.noted == 0
		if q.toRemember {
			c.noted = 1
		}
		halfOpen = halfOpen || q.halfOpen
	}
	for i := range all {
		a.destinations.at(&all[i].Destination, all[i].destination).count++
	}
	for i := range all {
		q := &all[i]
		c := a.pairs.at(&pair{q.Source, q.Destination}, q.pair)
		c.count++
		part := uint32(q.client) | 1
		q.toRememberClient = q.judged && !q.halfOpen && c.noted != part
		if q.toRememberClient {
			c.noted = part
		}
	}
	for i := range all {
		if q := &all[i]; q.judged {
			q.service = a.services.count(&service{q.Destination, q.DestinationPort, q.Protocol}, q.to, q.halfOpen)
		}
	}
	a.answered.touch(all)
	for i := range all {
		q := &all[i]
		if q.toRemember {
			a.answered.add(q.source)
		}
		if q.toRememberClient && a.answered.add(q.client) && q.service != nil && q.service.hash == q.to {
			q.service.newClients++
		}
	}
	if halfOpen {
		a.addHalfOpen(all)
	}
}

// addHalfOpen takes those of a batch that are half-open.
func (a *Analyzer) addHalfOpen(all []queued) {
	for i := range all {
		if q := &all[i]; q.halfOpen && q.judged && q.service != nil && q.service.hash == q.to {
			q.service.look(&q.Entry, q.source)
			q.service.heavy.add(&q.Source, q.source)
			q.service.vote(&q.ReplySource)
		}
	}
	for i := range all {
		q := &all[i]
		if !q.halfOpen {
			continue
		}
		a.poll.HalfOpen++
		if w := a.origins.count(&q.Source, q.source, true); w != nil && q.judged {
			w.look(&q.Entry, q.client)
			w.others.add(q.destination)
		}
	}
	for i := range all {
		q := &all[i]
		if !q.halfOpen {
			continue
		}
		if w := a.hosts.count(&q.Destination, q.destination, true); w != nil && q.judged {
			w.look(&q.Entry, q.source)
			w.others.add(a.hash.port(q.DestinationPort))
		}
	}
	for i := range all {
		q := &all[i]
		if !q.halfOpen {
			continue
		}
		if w := a.conversations.count(&pair{q.Source, q.Destination}, q.pair, true); w != nil && q.judged {
			w.look(&q.Entry, q.client)
			w.others.add(a.hash.port(q.SourcePort))
			w.ports.add(q.DestinationPort)
		}
	}
}

// End ends the poll, and tells what it found. One that could not be read to its
// end is to be left without it.
func (a *Analyzer) End(at time.Time) *Snapshot {
	a.addBatch()
	s := a.poll
	s.End = at
	k := a.options.K
	s.Sources = Tops{a.sources.top(k, toSource), a.origins.sketch.top(k, toSource)}
	s.Destinations = Tops{a.destinations.top(k, toDestination), a.hosts.sketch.top(k, toDestination)}
	s.Pairs = Tops{a.pairs.top(k, toPair), a.conversations.sketch.top(k, toPair)}
	s.Unwatched = a.services.unwatched + a.hosts.unwatched + a.origins.unwatched + a.conversations.unwatched

	a.judge(&s)

	a.services.rest()
	a.hosts.rest()
	a.origins.rest()
	a.conversations.rest()
	a.sources, a.sourcesWas = a.sourcesWas, a.sources
	a.destinations, a.destinationsWas = a.destinationsWas, a.destinations
	a.pairs, a.pairsWas = a.pairsWas, a.pairs
	a.polls, a.last, a.before = a.polls+1, at, s.Entries
	return &s
}

func toSource(a [16]byte) Top      { return Top{Source: netip.AddrFrom16(a).Unmap()} }
func toDestination(a [16]byte) Top { return Top{Destination: netip.AddrFrom16(a).Unmap()} }
func toPair(p pair) Top {
	return Top{Source: netip.AddrFrom16(p.source).Unmap(), Destination: netip.AddrFrom16(p.destination).Unmap()}
}
