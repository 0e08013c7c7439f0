package ovs

import (
	"hash/maphash"
	"maps"
	"net/netip"
	"strconv"
	"time"

	"github.com/corkline/corkline/parsers/ovs"
)

// flow is one flow of a dump.
type flow struct {
	table          uint8
	priority       uint16
	cookie         ovs.Cookie
	age            time.Duration // since it was added
	packets, bytes uint64
	// The match and the actions, in any form that is the same for the same ones.
	match, actions     []byte
	drops, conjunction bool // it has no actions; it matches a conj_id
	// text gives them as ovs-ofctl prints them.
	text func() (match, actions []byte)
	// subject is what the flow is for; it may be nil.
	subject func() subject
}

// subject is the port, or the address, that a flow is for. Antrea isolates pods
// by them.
type subject struct {
	port    uint32
	address netip.Addr
}

// owner of a subject.
type owner struct{ namespace, pod string }

// flowState is what is remembered of a flow.
type flowState struct {
	id             uint64 // hash of table, priority and match
	packets, bytes uint64 // as last seen
	body           uint32 // hash of cookie and actions
	meaning
	table uint8
	seen  uint8 // the dump that had it last; 0 of a free place
	anew  bool  // to be understood, for the tables have changed
}

// Flows that are remembered at most: plain ones, and beside them those that
// mean something. What is beyond is not counted, and told.
const (
	maxPlain   = 150_000
	maxMeaning = 100_000
)

// book remembers the flows of a bridge, so that what they count never goes
// back: each flow adds what it has more than when it was last seen. A flow is
// known by table, priority and match. One that has less than it had was made
// anew, and adds what it has. One that was replaced by its like keeps its
// counts in the switch, whatever its age says, and adds the difference.
//
// Flows that were there before the first dump add only what comes after it: a
// restart of the agent repeats nothing.
type book struct {
	maxSeries int // of rules
	pipeline  *pipeline
	seed      maphash.Seed
	places    map[uint64]uint32 // of the flows in states, by their id
	states    []flowState
	free      []uint32
	next      uint32 // where the next flow of a dump is, when they come as before
	plain     int    // flows that mean nothing but themselves
	dump      uint8
	last      time.Time // of the last whole dump; zero before the first

	reasons reasons
	rules   map[uint32]ruleFlow // of the last whole dump, by number
	pending []pending

	tables [256]*tableSum // those of the pipeline's labels
	labels map[string]*tableSum
	drops  map[dropKey]uint64
	owners map[subject]owner // as of the dump; nil when the database did not tell
	owned  map[ownedKey]uint64
	ruled  map[ruleKey]*ruleSum
	round  round
}

// tableSum only grows. It is of a label, for Antrea may number its tables anew.
type tableSum struct{ lookups, matches, packets, bytes, adds, deletes, modifications uint64 }

// dropKey names tables, for a pipeline may be numbered anew.
type dropKey struct{ table, reason string }

// ownedKey is of drops by flows that are for one pod.
type ownedKey struct {
	dropKey
	owner
}

// ruleSum only grows.
type ruleSum struct{ packets, bytes, sessions uint64 }

// ruleKey is what tells the series of a rule.
type ruleKey struct{ table, priority, policy, rule, action string }

// ruleFlow is the flow by which a rule decides.
type ruleFlow struct {
	table    uint8
	priority uint16
	flags    flags
}

// pending is what a rule's flow adds; whose it is, is known when all flows have
// been seen.
type pending struct {
	table          uint8
	meaning        meaning
	packets, bytes uint64
}

// round is what one dump has.
type round struct {
	flows, forgotten             int
	counts                       [256]int // flows of each table
	cookies                      cookies
	rules                        map[uint32]ruleFlow
	ttl                          map[uint8]uint8 // the table behind each of those that decrease the TTL
	adds, deletes, modifications int
}

func newBook(maxSeries int) *book {
	return &book{
		maxSeries: maxSeries,
		seed:      maphash.MakeSeed(), places: map[uint64]uint32{}, rules: map[uint32]ruleFlow{},
		labels: map[string]*tableSum{}, drops: map[dropKey]uint64{}, owned: map[ownedKey]uint64{}, ruled: map[ruleKey]*ruleSum{},
	}
}

// take the tables for what they are now.
func (b *book) take(p *pipeline) {
	if b.pipeline != nil && b.pipeline.same(p) {
		return
	}
	for i := range b.states {
		b.states[i].anew = true
	}
	b.pipeline = p
	for id := range b.tables {
		label := p.tables[id].label
		if b.labels[label] == nil {
			b.labels[label] = &tableSum{}
		}
		b.tables[id] = b.labels[label]
	}
}

// begin a dump.
func (b *book) begin() {
	b.dump = b.dump%250 + 1 // 0 is that of free places
	b.next = 0
	b.pending = b.pending[:0]
	b.round = round{rules: map[uint32]ruleFlow{}, ttl: map[uint8]uint8{}}
}

// restart forgets the flows of a switch that is no more; those that it has now
// add all they have.
func (b *book) restart() {
	clear(b.places)
	b.states, b.free, b.plain = nil, nil, 0
}

// add a flow of the dump.
func (b *book) add(f *flow, now time.Time) {
	r := &b.round
	r.flows++
	r.counts[f.table]++
	r.cookies.add(uint32(f.cookie >> 40))
	id, body := b.hash(f)
	s := b.find(id)
	packets, bytes := f.packets, f.bytes
	sum := b.tables[f.table]
	if s == nil {
		isNew := !b.last.IsZero() && f.age <= now.Sub(b.last)+time.Second
		if isNew {
			sum.adds++
			r.adds++
		}
		if s = b.remember(id, b.understand(f)); s == nil {
			r.forgotten++
			return
		}
		s.table = f.table
		if !isNew {
			packets, bytes = 0, 0
		}
	} else {
		if s.packets <= packets && s.bytes <= bytes {
			packets, bytes = packets-s.packets, bytes-s.bytes
		}
		if s.body != body {
			sum.modifications++
			r.modifications++
		}
		if s.body != body || s.anew {
			b.note(s.meaning, -1)
			s.meaning, s.anew = b.understand(f), false
			b.note(s.meaning, 1)
		}
	}
	s.packets, s.bytes, s.body, s.seen = f.packets, f.bytes, body, b.dump
	sum.packets += packets
	sum.bytes += bytes
	if s.meaning != (meaning{}) {
		b.count(f, s.meaning, packets, bytes)
	}
}

// count what the packets of a flow mean.
func (b *book) count(f *flow, m meaning, packets, bytes uint64) {
	r := &b.round
	if m.flags&isPolicy != 0 {
		r.rules[m.rule] = ruleFlow{f.table, f.priority, m.flags}
	}
	if m.flags&isTTL != 0 {
		r.ttl[f.table] = uint8(m.rule)
	}
	switch m.kind {
	case plain:
	case ends:
		key := dropKey{b.pipeline.tables[f.table].label, b.reasons[m.reason]}
		b.drops[key] += packets
		b.countOwned(f, key, packets)
	default:
		b.pending = append(b.pending, pending{f.table, m, packets, bytes})
	}
}

// countOwned counts what a flow drops that is for one pod.
func (b *book) countOwned(f *flow, key dropKey, packets uint64) {
	if f.subject == nil {
		return
	}
	who, known := b.owners[f.subject()]
	if !known {
		return
	}
	owned := ownedKey{key, who}
	if _, counted := b.owned[owned]; !counted && len(b.owned) >= b.maxSeries {
		owned = ownedKey{dropKey{overflow, overflow}, owner{overflow, overflow}}
	}
	b.owned[owned] += packets
}

// forgetOwners drops the counts of pods that are gone.
func (b *book) forgetOwners() {
	if b.owners == nil {
		return
	}
	here := map[owner]bool{{overflow, overflow}: true}
	for _, who := range b.owners {
		here[who] = true
	}
	maps.DeleteFunc(b.owned, func(k ownedKey, _ uint64) bool { return !here[k.owner] })
}

// find a flow that is remembered. A switch hands out flows in about the same
// order each time, so it mostly is behind the last one.
func (b *book) find(id uint64) *flowState {
	if int(b.next) >= len(b.states) || b.states[b.next].id != id || b.states[b.next].seen == 0 {
		place, known := b.places[id]
		if !known {
			return nil
		}
		b.next = place
	}
	b.next++
	return &b.states[b.next-1]
}

// remember a flow, or give nil when there is no room.
func (b *book) remember(id uint64, m meaning) *flowState {
	if !b.room(m) {
		return nil
	}
	b.note(m, 1)
	place := uint32(len(b.states))
	if n := len(b.free); n > 0 {
		place, b.free = b.free[n-1], b.free[:n-1]
	} else {
		b.states = append(b.states, flowState{})
	}
	b.states[place] = flowState{id: id, meaning: m}
	b.places[id] = place
	b.next = place + 1
	return &b.states[place]
}

// forget a flow that is gone.
func (b *book) forget(place uint32) {
	s := &b.states[place]
	b.tables[s.table].deletes++
	b.round.deletes++
	b.note(s.meaning, -1)
	delete(b.places, s.id)
	*s = flowState{}
	b.free = append(b.free, place)
}

// understand says what a flow means.
func (b *book) understand(f *flow) meaning {
	if !b.pipeline.tells(f) {
		return meaning{}
	}
	match, actions := f.text()
	return b.pipeline.understand(&b.pipeline.tables[f.table], f.priority, match, actions, &b.reasons)
}

// note counts the flows that mean nothing but themselves.
func (b *book) note(m meaning, n int) {
	if m == (meaning{}) {
		b.plain += n
	}
}

func (b *book) room(m meaning) bool {
	if m == (meaning{}) {
		return b.plain < maxPlain
	}
	return len(b.places)-b.plain < maxMeaning
}

// hash gives what a flow is known by, and its body.
func (b *book) hash(f *flow) (id uint64, body uint32) {
	const odd = 0x9e3779b97f4a7c15 // spreads what is mixed in
	id = maphash.Bytes(b.seed, f.match) ^ (uint64(f.table)<<16|uint64(f.priority)+1)*odd
	return id, uint32((maphash.Bytes(b.seed, f.actions) ^ (uint64(f.cookie)+1)*odd) >> 32)
}

// end a dump: a whole one forgets the flows that it did not have.
func (b *book) end(whole bool, now time.Time, names *RuleBook) {
	if whole {
		b.rules = b.round.rules
		for i := range b.states {
			if seen := b.states[i].seen; seen != 0 && seen != b.dump {
				b.forget(uint32(i))
			}
		}
		b.last = now
		b.forgetOwners()
	} else { // what its flows add is counted all the same
		maps.Copy(b.rules, b.round.rules)
	}
	for i := range b.pending {
		b.settle(&b.pending[i], names)
	}
	if cap(b.pending) > 1<<12 && len(b.pending) < cap(b.pending)/4 {
		b.pending = nil
	}
}

// settle books what a rule's flow adds.
func (b *book) settle(p *pending, names *RuleBook) {
	r, known := b.rules[p.meaning.rule]
	action := "Allow"
	if p.meaning.kind == denies {
		action = "Drop"
		reason := b.reasons[p.meaning.reason]
		if r.flags&isReject != 0 {
			action, reason = "Reject", b.pipeline.known.rejected(reason)
		}
		b.drops[dropKey{b.pipeline.tables[p.table].label, reason}] += p.packets
	}
	key := ruleKey{table: b.pipeline.tables[p.table].label, action: action}
	if known {
		key.table, key.priority = b.pipeline.tables[r.table].label, strconv.Itoa(int(r.priority))
		key.policy, key.rule = names.Name(key.table, key.priority, action)
		if key.policy == "" && action == "Allow" { // what is allowed to go on through the L7 engine
			key.policy, key.rule = names.Name(key.table, key.priority, "Redirect")
		}
	}
	sum := b.ruled[key]
	if sum == nil && len(b.ruled) >= b.maxSeries {
		key = ruleKey{overflow, overflow, overflow, overflow, overflow}
		sum = b.ruled[key]
	}
	if sum == nil {
		sum = &ruleSum{}
		b.ruled[key] = sum
	}
	sum.packets += p.packets
	sum.bytes += p.bytes
	if p.meaning.kind != allows {
		sum.sessions += p.packets
	}
}

// categories are the flows of the last dump by the category of their cookies,
// and how many are not of the newest round.
func (b *book) categories(current uint16) (categories map[string]int, stale int) {
	categories = map[string]int{}
	for _, k := range b.round.cookies {
		c, n := ovs.Cookie(k.key)<<40, k.flows
		categories[b.pipeline.category(c)] += n
		if c.Round() != current && c != 0 {
			stale += n
		}
	}
	return categories, stale
}

// newestRound of the flows' cookies; what is added by hand has none.
func (b *book) newestRound() (newest uint16) {
	for _, k := range b.round.cookies {
		newest = max(newest, (ovs.Cookie(k.key) << 40).Round())
	}
	return newest
}

// cookies counts flows by round and category. There are a few of them, and they
// come in rows.
type cookies []cookieCount

type cookieCount struct {
	key   uint32
	flows int
}

// maxCookies are told apart; the rest of somebody's own are counted with the last.
const maxCookies = 256

func (c *cookies) add(key uint32) {
	list := *c
	for i := range list {
		if list[i].key == key {
			list[i].flows++
			if i > 0 { // for the next one
				list[i], list[0] = list[0], list[i]
			}
			return
		}
	}
	if len(list) == maxCookies {
		list[maxCookies-1].flows++
		return
	}
	*c = append(*c, cookieCount{key, 1})
}
