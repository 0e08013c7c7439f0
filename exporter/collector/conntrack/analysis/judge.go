package analysis

import (
	"math"
	"net/netip"
	"slices"
	"time"
)

const (
	// A service's own clients stay unanswered for up to as long as Linux tries
	// SYN (127 s at tcp_syn_retries 6) and the kernel keeps the last of them
	// (63 s after the last but one, 120 s; clients seldom wait so long).
	dyingSeconds = 190
	// manyPorts, or hosts: fewer may be one program's.
	manyPorts = 64
	// rawPorts: one that tries many ports from so few of its own forges its
	// packets, and need not tell connections apart: a scanner.
	rawPorts = 16
	// endAfter so long without it an event may end, however fast the polls follow
	// each other.
	endAfter = 30 * time.Second
	// carpetEntries at each of the services that a source tries are more than a
	// scan takes.
	carpetEntries = 16
)

// judgement of a key, and what it rests on.
type judgement struct {
	kind           Kind // 0: nothing
	shape          Shape
	half, answered float64
	above, share   float64 // half-open entries above what is usual, and their share of all that are
	clients, known float64
	sources        []Top
	distinct       [3]uint64 // sources, ports, hosts
}

// judge looks at all that is watched, and begins, goes on with or ends events.
// What explains more comes first, and is taken off the rest: a flooded port
// from its host, a flooded host from the source that does it.
func (a *Analyzer) judge(s *Snapshot) {
	j := judge{Analyzer: a, at: s.End, seconds: s.End.Sub(a.last).Seconds(), falseShare: -1}
	if a.polls > 0 && j.seconds > 0 {
		j.step = 1 - math.Exp(-j.seconds/a.options.Memory.Seconds())
	}
	for _, w := range a.services.watches {
		if w.used {
			j.conclude(w, j.service(w))
			for i := range w.heavy.n {
				j.explain(w, w.heavy.keys[i], w.scaled(w.heavy.counts[i]), true)
			}
		}
	}
	for _, w := range a.conversations.watches {
		if w.used {
			j.conclude(w, j.conversation(w))
		}
	}
	for _, w := range a.hosts.watches {
		if w.used {
			j.conclude(w, j.host(w))
		}
	}
	for _, w := range a.origins.watches {
		if w.used {
			j.conclude(w, j.origin(w))
		}
	}
	slices.SortFunc(a.events, func(x, y *Event) int { return int(x.ID) - int(y.ID) })
	for _, e := range a.events {
		s.Events = append(s.Events, *e)
	}
	a.events = slices.DeleteFunc(a.events, func(e *Event) bool { return e.Phase == Ended })
}

// conclude begins, goes on with or ends an event of the key, or learns what is
// usual without one.
func (j *judge) conclude(w *watch, v judgement) {
	switch e := w.event; {
	case e == nil && (v.kind == 0 || len(j.events) == MaxEvents):
		j.learn(w, v)
	case e == nil:
		w.usual.mean = min(w.usual.mean, max(0, v.half-v.above))
		j.begin(w, v)
	case v.half-w.usual.mean < float64(j.options.FloodEntries)/2:
		e.Phase = Ongoing
		if w.quiet++; w.quiet >= j.options.EndPolls && j.at.Sub(e.Until) >= endAfter {
			e.Phase, w.event = Ended, nil
		}
	case v.kind == Flood && e.Kind != Flood && len(j.events) < MaxEvents: // one has joined it
		e.Phase = Ended
		j.begin(w, v)
	default:
		e.Phase, w.quiet = Ongoing, 0
		if v.kind == e.Kind {
			e.Shape = v.shape
		}
		j.tell(w, v)
	}
	j.explain(w, w.source, w.halfOpen(), false)
}

// begin an event.
func (j *judge) begin(w *watch, v judgement) {
	j.lastID++
	w.quiet = 0
	w.event = &Event{
		ID: j.lastID, Kind: v.kind, Shape: v.shape, Phase: Started, Protocol: w.protocol(), Since: j.poll.Start,
		Port: w.to.port, Baseline: uint64(w.usual.mean),
	}
	if v.shape != OneToHosts {
		w.event.Victim = netip.AddrFrom16(w.to.address).Unmap()
	}
	j.events = append(j.events, w.event)
	j.tell(w, v)
}

// tell in the event what it is judged by.
func (j *judge) tell(w *watch, v judgement) {
	e := w.event
	w.alive = w.isAlive(j.seconds)
	e.Until = j.at
	e.HalfOpen, e.Answered, e.Share = uint64(v.half), uint64(v.answered), v.share
	e.Peak = max(e.Peak, e.HalfOpen)
	e.Sources, e.Clients, e.Known = v.sources, v.clients, v.known
	e.DistinctSources, e.DistinctPorts, e.DistinctHosts = v.distinct[0], v.distinct[1], v.distinct[2]
	e.Handshakes, e.NotAllowed = uint64(w.scaled(w.handshakes)), uint64(w.scaled(w.notAllowed))
	e.Backend = netip.Addr{}
	if w.votes > w.looked/4 {
		e.Backend = netip.AddrFrom16(w.backend).Unmap()
	}
}

// learn moves what is usual for the key. What may become an event is not usual
// soon, nor what comes with it.
func (j *judge) learn(w *watch, v judgement) {
	handshakes := w.scaled(w.handshakes)
	if j.polls == 0 {
		w.usual, w.usualHandshakes = level{v.half, v.half / 8}, level{handshakes, handshakes / 8}
		w.answered.observe(j.at, v.answered, j.options.Memory)
		return
	}
	step := j.step
	if max(w.usual.above(v.half), w.usualHandshakes.above(handshakes)) > float64(j.options.FloodEntries)/8 {
		step /= 10
	} else {
		w.answered.observe(j.at, v.answered, j.options.Memory)
	}
	w.usual.observe(v.half, step)
	w.usualHandshakes.observe(handshakes, step)
	if j.seconds <= 0 {
		return
	}
	w.alive = w.isAlive(j.seconds)
	if rate := float64(w.newClients) / j.seconds; w.arrivals.mean == 0 {
		w.arrivals.mean = rate
	} else {
		w.arrivals.observe(rate, j.step)
	}
}

// judge is what one poll's judgements share.
type judge struct {
	*Analyzer
	at         time.Time
	seconds    float64 // since the last poll
	step       float64 // of the way from what was usual to what is
	falseShare float64 // of the memory; -1: not counted yet
	explained  []explained
}

// explained half-open entries: those of what is judged already.
type explained struct {
	source, victim [16]byte
	entries        float64
	isPart         bool // of another one, which is of all sources
	isEvent        bool // or else it may become one
}

func (j *judge) explain(w *watch, source [16]byte, entries float64, isPart bool) {
	if w.event != nil || entries >= float64(j.options.FloodEntries)/4 {
		j.explained = append(j.explained, explained{source, w.to.address, entries, isPart, w.event != nil})
	}
}

// unexplained is what remains of half-open entries without what belongs to
// events. It is nothing if most of it belongs to what may become one.
func (j *judge) unexplained(half float64, belongs func(*explained) bool) float64 {
	most := 0.0
	for i := range j.explained {
		switch x := &j.explained[i]; {
		case !belongs(x):
		case x.isEvent:
			half -= x.entries
		default:
			most = max(most, x.entries)
		}
	}
	if half < 0 || most > half/2 {
		return 0
	}
	return half
}

// enough reports whether so many half-open entries above the usual, and so big
// a share of them, may be an event.
func (j *judge) enough(above, share float64) bool {
	return above >= float64(j.options.FloodEntries) && share >= j.options.FloodShare
}

// aboveUsual half-open entries, and their share of all entries that are.
func (j *judge) aboveUsual(w *watch, half, answered float64) (above, share float64) {
	if j.polls == 0 { // all that there is, is usual
		return 0, 0
	}
	above = w.usual.above(half)
	return above, shareOf(above, j.moreAnswered(w, answered))
}

func (j *judge) moreAnswered(w *watch, answered float64) float64 {
	return max(0, answered-1.1*w.answered.value()-16)
}

func shareOf(part, rest float64) float64 {
	if part <= 0 {
		return 0
	}
	return part / (part + rest)
}

// remembered is the share of the hashes that are remembered, without those that
// are by mistake.
func (j *judge) remembered(hashes []uint64, key func(uint64) uint64) float64 {
	if len(hashes) == 0 {
		return 0
	}
	if j.falseShare < 0 {
		j.falseShare = j.answered.falseShare()
	}
	n := 0
	for _, hash := range hashes {
		if j.answered.has(key(hash)) {
			n++
		}
	}
	return max(0, (float64(n)/float64(len(hashes))-j.falseShare)/max(1-j.falseShare, 1e-9))
}

func itself(hash uint64) uint64 { return hash }

// service judges what goes to one port of a host.
func (j *judge) service(w *watch) judgement {
	half := w.halfOpen()
	v := judgement{half: half, answered: float64(w.total) - half, shape: ManyToPort}
	v.above, v.share = j.aboveUsual(w, half, v.answered)
	handshakes := w.usualHandshakes.above(w.scaled(w.handshakes))
	handshakesShare := shareOf(handshakes, j.moreAnswered(w, v.answered))
	if w.event == nil && !j.enough(v.above, v.share) && !j.enough(handshakes, handshakesShare) {
		return v
	}

	// Sources with many entries are judged one by one, the others by a sample.
	var fromHeavy, strangers float64
	var light []uint64
	many := float64(max(j.options.FloodEntries/8, 16))
	for i := range w.heavy.n {
		n := w.scaled(w.heavy.counts[i])
		v.sources = append(v.sources, Top{
			Source:  netip.AddrFrom16(w.heavy.keys[i]).Unmap(),
			AtLeast: uint64(w.heavy.counts[i]), AtMost: uint64(w.heavy.counts[i]) + uint64(w.heavy.offset) + uint64(w.missed),
		})
		if n >= half/2 {
			v.shape = OneToPort
		}
		if n >= many {
			fromHeavy += n
			if !j.answered.has(j.hash.pair(w.heavy.hashes[i], w.hash)) {
				strangers += n
			}
		}
	}
	slices.SortFunc(v.sources, compareTops)
	v.sources = v.sources[:min(len(v.sources), j.options.K)]
	for _, hash := range w.clients.sample() {
		i := slices.Index(w.heavy.hashes[:w.heavy.n], hash)
		if i < 0 || w.scaled(w.heavy.counts[i]) < many {
			light = append(light, hash)
		}
	}
	asClient := func(hash uint64) uint64 { return j.hash.pair(hash, w.hash) }
	v.clients, v.known = j.remembered(w.clients.sample(), asClient), j.remembered(w.clients.sample(), itself)
	unknown := 1 - max(j.remembered(light, asClient), j.remembered(light, itself))
	sources := float64(w.clients.estimate())
	v.distinct[0] = uint64(sources)

	// A service that dies leaves its new clients unanswered, too, as many as come
	// while it does. One that goes on to answer new ones has not died.
	seconds := float64(dyingSeconds)
	if alive := w.isAlive(j.seconds); alive && w.alive {
		seconds = 0
	} else if alive {
		seconds = min(seconds, j.seconds)
	}
	sure := strangers // would not be there if the service had merely died
	if lightStrangers := sources * unknown; lightStrangers > 0 && len(light) > 0 {
		unexpected := max(0, 1-3*w.arrivals.mean*seconds/lightStrangers)
		strangers += max(0, half-fromHeavy) * unknown * unexpected
		sure += lightStrangers * unexpected
	}

	switch {
	case j.enough(handshakes, handshakesShare):
		v.kind = Flood
		if v.above < handshakes {
			v.above, v.share = handshakes, handshakesShare
		}
	case !j.enough(v.above, v.share):
	case strangers >= v.above/2 || sure >= float64(j.options.FloodEntries):
		v.kind = Flood
	default:
		v.kind = Unanswered
	}
	return v
}

// isAlive reports whether about as many new clients as usual were answered.
func (w *watch) isAlive(seconds float64) bool {
	usual := w.arrivals.mean * seconds
	return usual > 0 && float64(w.newClients) >= 0.4*usual
}

// conversation judges what one source sends to many ports of a host.
func (j *judge) conversation(w *watch) judgement {
	half := j.unexplained(w.halfOpen(), func(x *explained) bool { return x.source == w.source && x.victim == w.to.address })
	key := pair{w.source, w.to.address}
	v := judgement{half: half, shape: OneToPorts}
	j.restOf(&v, w, j.pairs.entries(&key, w.hash), j.pairsWas.entries(&key, w.hash))
	if w.event == nil && !j.enough(v.above, v.share) {
		return v
	}
	once, twice, more := w.ports.times()
	ports := once + twice + more
	v.distinct = [3]uint64{1, uint64(ports), 1}
	v.sources = []Top{{Source: netip.AddrFrom16(w.source).Unmap(), AtLeast: uint64(v.half), AtMost: w.total}}
	v.clients, v.known = j.remembered(w.clients.sample(), itself), 0
	if j.answered.has(j.hash.address(&w.source)) {
		v.known = 1
	}
	switch {
	case !j.enough(v.above, v.share) || ports < 2:
	case v.clients >= 0.5:
		v.kind = Unanswered
	case ports >= manyPorts && (w.others.estimate() <= rawPorts || w.ports.eachOnce()):
		v.kind = Scan
	default:
		v.kind = Flood
	}
	return v
}

// restOf fills in what a key has beside its half-open entries, and how that
// compares with before.
func (j *judge) restOf(v *judgement, w *watch, now, was float64) {
	v.answered = max(0, now-float64(w.total))
	if w.answered.since.IsZero() && was > 0 { // not watched before: it was not half-open
		w.answered.observe(j.last, was, j.options.Memory)
	}
	v.above, v.share = j.aboveUsual(w, v.half, v.answered)
}

// host judges what many sources send to many ports of a host.
func (j *judge) host(w *watch) judgement {
	half := j.unexplained(w.halfOpen(), func(x *explained) bool { return x.victim == w.to.address && !x.isPart })
	v := judgement{half: half, shape: ManyToPorts}
	j.restOf(&v, w, j.destinations.entries(&w.to.address, w.hash), j.destinationsWas.entries(&w.to.address, w.hash))
	if w.event == nil && !j.enough(v.above, v.share) {
		return v
	}
	v.distinct = [3]uint64{w.clients.estimate(), w.others.estimate(), 1}
	v.sources = j.conversations.sketch.topOf(j.options.K, toPair, func(p pair) bool { return p.destination == w.to.address })
	fromHeavy := 0.0
	for _, t := range v.sources {
		if n := float64(t.AtLeast); n >= float64(max(j.options.FloodEntries/8, 16)) {
			fromHeavy += n
		}
	}
	fromHeavy = min(fromHeavy, v.half)
	v.known = j.remembered(w.clients.sample(), itself)
	strangers := (v.half - fromHeavy) * (1 - v.known)
	if v.distinct[1] >= manyPorts { // not a host's services that are dead
		strangers += fromHeavy
	}
	switch {
	case !j.enough(v.above, v.share):
	case strangers >= float64(j.options.FloodEntries) || strangers >= v.above/2:
		v.kind = Flood
	default:
		v.kind = Unanswered
	}
	return v
}

// origin judges what one source sends to many hosts.
func (j *judge) origin(w *watch) judgement {
	half := j.unexplained(w.halfOpen(), func(x *explained) bool { return x.source == w.source })
	v := judgement{half: half, shape: OneToHosts}
	j.restOf(&v, w, j.sources.entries(&w.source, w.hash), j.sourcesWas.entries(&w.source, w.hash))
	if w.event == nil && !j.enough(v.above, v.share) {
		return v
	}
	services := w.clients.estimate()
	v.distinct = [3]uint64{1, 0, w.others.estimate()}
	v.sources = []Top{{Source: netip.AddrFrom16(w.source).Unmap(), AtLeast: uint64(v.half), AtMost: w.total}}
	v.clients, v.known = j.remembered(w.clients.sample(), itself), 0
	if j.answered.has(w.hash) {
		v.known = 1
	}
	switch {
	case !j.enough(v.above, v.share) || v.distinct[2] < 2:
	case v.clients >= 0.5:
		v.kind = Unanswered
	case v.half >= carpetEntries*float64(services):
		v.kind = Flood
	default:
		v.kind = Scan
	}
	return v
}
