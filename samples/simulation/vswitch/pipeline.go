package vswitch

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/corkline/corkline/samples/simulation"
)

// pipeline is the emulated datapath: the flows of the node, and what becomes of
// a packet in them.
type pipeline struct {
	now      time.Time
	tables   [256]table
	groups   map[uint32]*group
	ports    map[int]*livePort
	tracker  *tracker
	caches   map[uint64]time.Time // the datapath's flows, and when each was used
	hits     uint64
	misses   uint64
	packets  uint64
	nowhere  uint64 // packets that the pipeline dropped
	answered uint64 // by the agent of Antrea: it is told
	changes  uint64 // times that flows changed, and ports
	replugs  uint64
	asked    uint64 // by OpenFlow
}

type table struct {
	flows            []*flow // by priority, the highest first
	lookups, matches uint64
}

type livePort struct {
	port
	added                              time.Time
	received, receivedBytes, sent, out uint64 // out: bytes
}

// cacheTime is how long the datapath keeps a flow that nothing uses.
const cacheTime = 10 * time.Second

func newPipeline() *pipeline {
	return &pipeline{groups: map[uint32]*group{}, ports: map[int]*livePort{}, tracker: newTracker(), caches: map[uint64]time.Time{}}
}

func (p *pipeline) begin(m simulation.Moment) {
	p.now = m.Time
	p.tracker.begin(m.Time)
	for id, used := range p.caches {
		if m.Time.Sub(used) >= cacheTime {
			delete(p.caches, id)
		}
	}
	if p.ports[localPort] == nil {
		p.ports[localPort] = &livePort{port: port{number: localPort, name: bridgeName, mac: mac{2, 0, 0, 0, 0, 1}}, added: m.Time}
	}
}

// apply makes the difference between two states; what both have keeps its counters.
func (p *pipeline) apply(before, now *state) error {
	if before == nil {
		before = &state{}
	}
	for _, old := range before.ports {
		if !slices.Contains(now.ports, old) {
			delete(p.ports, old.number)
		}
	}
	for _, is := range now.ports {
		if !slices.Contains(before.ports, is) {
			p.ports[is.number] = &livePort{port: is, added: p.now}
		}
	}
	p.changes++
	if !slices.Equal(before.ports, now.ports) {
		p.replugs++
	}
	is := byKey(now.flows, flowKey)
	for i := range p.tables {
		p.tables[i].flows = slices.DeleteFunc(p.tables[i].flows, func(f *flow) bool { return is[flowKey(f.text)] != f.text })
	}
	was := byKey(before.flows, flowKey)
	for _, text := range now.flows {
		if was[flowKey(text)] == text {
			continue
		}
		f, err := parseFlow(text)
		if err != nil {
			return err
		}
		f.added, f.used = p.now, p.now
		t := &p.tables[f.table]
		at, _ := slices.BinarySearchFunc(t.flows, f, func(a, b *flow) int { return -cmp.Compare(a.priority, b.priority) })
		t.flows = slices.Insert(t.flows, at, f)
	}
	for _, text := range now.groups {
		g, err := parseGroup(text)
		if err != nil {
			return err
		}
		if old := p.groups[g.id]; old != nil {
			if old.text == text {
				continue
			}
			g.added = old.added
			copy(g.packets, old.packets)
			copy(g.bytes, old.bytes)
		} else {
			g.added = p.now
		}
		p.groups[g.id] = g
	}
	return nil
}

// walk is a packet on its way.
type walk struct {
	*pipeline
	values [fields]uint64
	size   uint64
	flags  uint8 // of TCP
	ttl    uint8
	zone   uint16 // in which it was tracked last; 0 for none
	conn   entry
	path   uint64 // hash of the flows since the last look-up of the datapath
	left   int    // look-ups, so that it ends
}

// receive a packet.
func (p *pipeline) receive(in *packet) {
	size := uint64(len(in.frame()))
	w := &walk{pipeline: p, size: size, flags: in.flags, ttl: in.ttl, left: 200, path: uint64(in.in)}
	p.packets++
	if port := p.ports[in.in]; port != nil {
		port.received++
		port.receivedBytes += size
	}
	v := &w.values
	v[inPort], v[ethDst], v[ethSrc], v[ethType] = uint64(in.in), in.dst.number(), in.src.number(), uint64(in.kind)
	switch in.kind {
	case ethARP:
		v[arpSPA], v[arpSHA] = uint64(number(in.from)), in.src.number()
	case ethIPv4:
		v[ipProtocol], v[ipSrc], v[ipDst] = uint64(in.protocol), uint64(number(in.from)), uint64(number(in.to))
		v[portSrc], v[portDst] = uint64(in.fromPort), uint64(in.toPort)
	}
	w.run(0)
	w.cached()
}

func (m mac) number() (n uint64) {
	for _, octet := range m {
		n = n<<8 | uint64(octet)
	}
	return n
}

// cached counts a look-up of the datapath.
func (w *walk) cached() {
	if _, ok := w.caches[w.path]; ok {
		w.hits++
	} else {
		w.misses++
	}
	w.caches[w.path] = w.now
	w.path = 0
}

// run a packet through a table.
func (w *walk) run(id uint8) {
	if w.left--; w.left < 0 {
		return
	}
	t := &w.tables[id]
	t.lookups++
	f := t.find(&w.values)
	if f == nil {
		w.nowhere++
		return
	}
	t.matches++
	f.packets++
	f.bytes += w.size
	f.used = w.now
	w.path = w.path*31 + f.hash
	if len(f.actions) == 0 {
		w.nowhere++
	}
	w.execute(f.actions)
}

// find the flow with the highest priority that matches.
func (t *table) find(v *[fields]uint64) *flow {
	type dimension struct {
		id     uint32
		clause uint8
	}
	var met map[dimension]bool
	for _, f := range t.flows {
		if !matches(f.match, v) {
			continue
		}
		if len(f.actions) == 0 || f.actions[0].kind != conjunction {
			return f
		}
		for _, a := range f.actions {
			if met == nil {
				met = map[dimension]bool{}
			}
			met[dimension{a.n, a.clause}] = true
			all := true
			for clause := range a.clauses {
				all = all && met[dimension{a.n, clause + 1}]
			}
			if !all {
				continue
			}
			v[conjunctionID] = uint64(a.n)
			i := slices.IndexFunc(t.flows, func(verdict *flow) bool {
				return slices.ContainsFunc(verdict.match, func(b bits) bool { return b.field == conjunctionID }) && matches(verdict.match, v)
			})
			v[conjunctionID] = 0
			if i >= 0 {
				return t.flows[i]
			}
		}
	}
	return nil
}

func matches(match []bits, v *[fields]uint64) bool {
	for _, b := range match {
		if v[b.field]&b.mask != b.value&b.mask {
			return false
		}
	}
	return true
}

func (w *walk) execute(actions []action) {
	for i := range actions {
		switch a := &actions[i]; a.kind {
		case gotoTable, resubmitTable:
			w.run(uint8(a.n))
		case setField:
			w.set(a.set)
		case normal:
			w.flood()
		case outputRegister:
			w.output(int(w.values[register0+1]))
		case groupAction:
			w.choose(w.groups[a.n])
		case controller:
			w.answered++
		case decTTL:
			if w.ttl <= 1 {
				return
			}
			w.ttl--
		case ct:
			w.track(a.ct)
		case conjunction, moveSource: // the former is no action, the latter one of ct
		}
	}
}

func (w *walk) set(b bits) { w.values[b.field] = w.values[b.field]&^b.mask | b.value&b.mask }

func (w *walk) output(number int) {
	if port := w.ports[number]; port != nil && number != int(w.values[inPort]) {
		port.sent++
		port.out += w.size
	}
}

// flood is what NORMAL does with a broadcast; nothing else comes to it.
func (w *walk) flood() {
	for number := range w.ports {
		w.output(number)
	}
}

// choose a bucket by the packet's addresses.
func (w *walk) choose(g *group) {
	if g == nil || len(g.buckets) == 0 {
		return
	}
	i := int((w.values[ipSrc]*31 + w.values[portSrc]) * 0x9e3779b97f4a7c15 >> 33 % uint64(len(g.buckets)))
	g.packets[i]++
	g.bytes[i] += w.size
	w.execute(g.buckets[i])
}

func (w *walk) tuple() tuple {
	v := &w.values
	return tuple{w.zone, uint8(v[ipProtocol]), addrPort(v[ipSrc], v[portSrc]), addrPort(v[ipDst], v[portDst])}
}

func addrPort(address, port uint64) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}), uint16(port))
}

// track a packet, and look it up anew in the action's table.
func (w *walk) track(a *ctAction) {
	v := &w.values
	if w.zone != a.zone {
		w.zone = a.zone
		v[ctState], w.conn = w.tracker.track(w.tuple(), w.flags)
	}
	if a.commit && w.conn.conn == nil && v[ctState]&stateInvalid == 0 {
		w.conn = w.tracker.commit(w.tuple(), a.to, a.from)
	}
	v[ctMark], v[ctLabel] = 0, 0
	if c := w.conn.conn; c != nil {
		if a.commit {
			c.execute(a.exec, v)
		}
		if a.nat {
			w.translate()
		}
		v[ctMark], v[ctLabel] = uint64(c.mark), c.label
	}
	if a.table == 0 {
		return
	}
	w.cached()
	w.run(a.table)
}

// translate the addresses to those that the other side knows.
func (w *walk) translate() {
	other := w.conn.conn.reply
	if w.conn.reply {
		other = w.conn.conn.orig
	}
	v := &w.values
	v[ipSrc], v[portSrc] = uint64(number(other.to.Addr())), uint64(other.to.Port())
	v[ipDst], v[portDst] = uint64(number(other.from.Addr())), uint64(other.from.Port())
}

// execute what a commit writes to the connection.
func (c *connection) execute(actions []action, v *[fields]uint64) {
	for _, a := range actions {
		switch {
		case a.kind == moveSource:
			c.mark = c.mark&^0xf | uint32(v[register0])&0xf
		case a.kind == setField && a.set.field == ctMark:
			c.mark = c.mark&^uint32(a.set.mask) | uint32(a.set.value&a.set.mask)
		case a.kind == setField && a.set.field == ctLabel:
			c.label = c.label&^a.set.mask | a.set.value&a.set.mask
		}
	}
}
