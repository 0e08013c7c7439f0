package ovs

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"slices"
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
}

// flowState is what is remembered of a flow.
type flowState struct {
	packets, bytes uint64 // as last seen
	body           uint32 // hash of cookie and actions
	meaning
	table uint8
	seen  uint8 // the dump that had it last
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
	flows     map[uint64]flowState
	plain     int // of flows
	dump      uint8
	last      time.Time // of the last whole dump; zero before the first
	buffer    []byte

	reasons reasons
	rules   map[uint32]ruleFlow // of the last whole dump, by number
	pending []pending

	tables [256]*tableSum // those of the pipeline's labels
	labels map[string]*tableSum
	drops  map[dropKey]uint64
	ruled  map[ruleKey]*ruleSum
	round  round
}

// tableSum only grows. It is of a label, for Antrea may number its tables anew.
type tableSum struct{ lookups, matches, packets, bytes, adds, deletes, modifications uint64 }

// dropKey names tables, for a pipeline may be numbered anew.
type dropKey struct{ table, reason string }

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
	counts                       [256]int       // flows of each table
	cookies                      map[uint32]int // flows by round and category
	rules                        map[uint32]ruleFlow
	ttl                          map[uint8]uint8 // the table behind each of those that decrease the TTL
	adds, deletes, modifications int
}

func newBook(maxSeries int) *book {
	return &book{
		maxSeries: maxSeries,
		seed:      maphash.MakeSeed(), flows: map[uint64]flowState{}, rules: map[uint32]ruleFlow{},
		labels: map[string]*tableSum{}, drops: map[dropKey]uint64{}, ruled: map[ruleKey]*ruleSum{},
	}
}

// take the tables for what they are now.
func (b *book) take(p *pipeline) {
	if b.pipeline != nil && b.pipeline.same(p) {
		return
	}
	for id, s := range b.flows {
		s.anew = true
		b.flows[id] = s
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
	b.dump++
	b.pending = b.pending[:0]
	b.round = round{cookies: map[uint32]int{}, rules: map[uint32]ruleFlow{}, ttl: map[uint8]uint8{}}
}

// restart forgets the flows of a switch that is no more; those that it has now
// add all they have.
func (b *book) restart() {
	clear(b.flows)
	b.plain = 0
}

// add a flow of the dump.
func (b *book) add(f *flow, now time.Time) {
	r := &b.round
	r.flows++
	r.counts[f.table]++
	r.cookies[uint32(f.cookie>>40)]++
	id, body := b.hash(f)
	s, known := b.flows[id]
	packets, bytes, remember := f.packets, f.bytes, true
	sum := b.tables[f.table]
	if !known {
		s.table, s.meaning = f.table, b.understand(f)
		if !b.last.IsZero() && f.age <= now.Sub(b.last)+time.Second {
			sum.adds++
			r.adds++
		} else {
			packets, bytes = 0, 0
		}
		if remember = b.room(s.meaning); remember {
			b.note(s.meaning, 1)
		} else {
			r.forgotten++
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
	if s.flags&isPolicy != 0 {
		r.rules[s.rule] = ruleFlow{f.table, f.priority, s.flags}
	}
	if s.flags&isTTL != 0 {
		r.ttl[f.table] = uint8(s.rule)
	}
	s.packets, s.bytes, s.body, s.seen = f.packets, f.bytes, body, b.dump
	if remember {
		b.flows[id] = s
	}
	sum.packets += packets
	sum.bytes += bytes
	switch s.kind {
	case plain:
	case ends:
		b.drops[dropKey{b.pipeline.tables[s.table].label, b.reasons[s.reason]}] += packets
	default:
		b.pending = append(b.pending, pending{s.table, s.meaning, packets, bytes})
	}
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
	return len(b.flows)-b.plain < maxMeaning
}

// hash gives what a flow is known by, and its body.
func (b *book) hash(f *flow) (id uint64, body uint32) {
	b.buffer = append(b.buffer[:0], f.table, byte(f.priority>>8), byte(f.priority))
	b.buffer = append(b.buffer, f.match...)
	id = maphash.Bytes(b.seed, b.buffer)
	b.buffer = binary.BigEndian.AppendUint64(b.buffer[:0], uint64(f.cookie))
	b.buffer = append(b.buffer, f.actions...)
	return id, uint32(maphash.Bytes(b.seed, b.buffer))
}

// end a dump: a whole one forgets the flows that it did not have.
func (b *book) end(whole bool, now time.Time, names *RuleBook) {
	if whole {
		b.rules = b.round.rules
		for id, s := range b.flows {
			if s.seen != b.dump {
				b.tables[s.table].deletes++
				b.round.deletes++
				b.note(s.meaning, -1)
				delete(b.flows, id)
			}
		}
		b.last = now
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
	for key, n := range b.round.cookies {
		c := ovs.Cookie(key) << 40
		categories[b.pipeline.category(c)] += n
		if c.Round() != current && c != 0 {
			stale += n
		}
	}
	return categories, stale
}

// newestRound of the flows' cookies; what is added by hand has none.
func (b *book) newestRound() uint16 {
	keys := slices.Collect(maps.Keys(b.round.cookies))
	if len(keys) == 0 {
		return 0
	}
	return (ovs.Cookie(slices.Max(keys)) << 40).Round()
}
