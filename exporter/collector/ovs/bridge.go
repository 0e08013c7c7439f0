package ovs

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/parsers/ovs"
)

// bridge is what is known of one bridge. Only Poll touches it.
type bridge struct {
	name   string
	path   string
	client *openflow.Client

	up       bool
	err      error // why it is not up
	version  openflow.Version
	pipeline *pipeline

	names      map[uint8]string
	namesAt    time.Time // when the switch was asked
	namesRound uint16    // of Antrea's agent, and since when
	roundAt    time.Time

	info *bridgeInfo // nil when the database did not tell

	tables   map[uint8]*tableCount
	ports    map[string]*portCount
	overflow *portCount // of ports beyond the cap
	book     *book
	ttl      map[uint8]*gap // by the table that decreases the TTL
	after    map[uint8]uint8
	misses   map[uint8]*gap
	lost     map[uint8]bool // tables without a flow that matches all, as of the last dump

	fullAt     time.Time // of the last whole dump
	fullLasted time.Duration
	round      uint16
	hasRound   bool
	checks     checks
}

// tableCount is of one table; what it adds up to is in the book.
type tableCount struct {
	flows            uint32
	lookups, matches monotonic
}

// portCount is of one port.
type portCount struct {
	Port
	age      time.Duration
	counters [portCounters]monotonic
	overflow bool
	seen     bool
}

const portCounters = 8

// monotonic continues a counter of the switch over its restarts.
type monotonic struct {
	value, last uint64
}

// to takes what the switch tells, and gives how much has been added.
func (m *monotonic) to(raw uint64, anew bool) uint64 {
	added := raw
	if !anew && raw >= m.last {
		added = raw - m.last
	}
	m.last = raw
	m.value += added
	return added
}

// gap is what one counter is ahead of another. Both move while they are read, so
// only what two polls have is taken for true.
type gap struct {
	begun        bool
	before, true uint64
}

// to takes two counters, and gives by how much the gap has grown.
func (g *gap) to(ahead, behind uint64) uint64 {
	now := ahead - behind
	if behind > ahead {
		now = 0
	}
	if !g.begun {
		*g = gap{true, now, now}
		return 0
	}
	both := min(now, g.before)
	g.before = now
	if both <= g.true {
		return 0
	}
	grown := both - g.true
	g.true = both
	return grown
}

// restart of the switch: counters begin at 0.
func (g *gap) restart() { *g = gap{begun: true} }

func newBridge(name, dir string, maxSeries int) *bridge {
	return &bridge{
		name: name, path: filepath.Join(dir, name+bridgeSocket), tables: map[uint8]*tableCount{}, ports: map[string]*portCount{},
		book: newBook(maxSeries), ttl: map[uint8]*gap{}, after: map[uint8]uint8{}, misses: map[uint8]*gap{}, checks: newChecks(),
	}
}

func (b *bridge) close() {
	if b.client != nil {
		_ = b.client.Close() // of a connection that is only read
		b.client = nil
	}
}

// restarted tells the bridge that the switch's counters begin at 0.
func (b *bridge) restarted() {
	b.book.restart()
	for _, t := range b.tables {
		t.lookups.last, t.matches.last = 0, 0
	}
	for _, p := range b.ports {
		for i := range p.counters {
			p.counters[i].last = 0
		}
	}
	for _, list := range []map[uint8]*gap{b.ttl, b.misses} {
		for _, g := range list {
			g.restart()
		}
	}
}

// connect dials, and asks once for what does not change during a connection.
func (b *bridge) connect(ctx context.Context) error {
	if b.client != nil {
		return nil
	}
	client, err := openflow.Dial(ctx, b.path)
	if err != nil {
		return err
	}
	b.client, b.version, b.namesAt = client, client.Version(), time.Time{}
	return nil
}

// poll reads tables and ports, what the invariants take, and with full all
// flows. A connection of an earlier poll may have been closed since: then it
// dials once more.
func (b *bridge) poll(ctx context.Context, c *Collector, full bool) error {
	for {
		again := b.client != nil && ctx.Err() == nil
		if err := b.connect(ctx); err != nil {
			return err
		}
		err := b.read(ctx, c, full)
		if err == nil {
			return nil
		}
		b.close()
		if !again {
			return err
		}
	}
}

func (b *bridge) read(ctx context.Context, c *Collector, full bool) error {
	stats, err := b.readTables(ctx)
	if err != nil {
		return err
	}
	if b.begunAnew(&stats) {
		b.restarted()
		full = true
	}
	if err := b.rename(ctx, &stats, c.options.Now()); err != nil {
		return err
	}
	pipeline := c.known.recognise(b.names, func(id uint8) bool { return stats[id].Active > 0 })
	if b.pipeline == nil || !b.pipeline.same(pipeline) {
		full = true // flows may mean something else
		b.pipeline = pipeline
	}
	b.book.take(b.pipeline)
	b.countTables(&stats)
	if err := b.readPorts(ctx, c); err != nil {
		return err
	}
	if full {
		if err := b.dump(ctx, c); err != nil {
			return err
		}
	}
	b.countGaps(&stats)
	return b.check(ctx, c)
}

func (b *bridge) readTables(ctx context.Context) (stats [256]ovs.TableStats, err error) {
	err = b.client.Tables(ctx, func(t *ovs.TableStats) error {
		if t.ID >= 0 && t.ID < len(stats) {
			stats[t.ID] = *t
		}
		return nil
	})
	return stats, err
}

// How long names of tables are taken for true, and how long after a start of
// Antrea's agent they may still change. Asking costs the switch 1.2 MB.
const (
	namesLast   = 10 * time.Minute
	namesSettle = 2 * time.Minute
)

// rename asks for the names of the tables when they may have changed: Antrea
// numbers and names them when its agent starts, which begins a new round.
func (b *bridge) rename(ctx context.Context, stats *[256]ovs.TableStats, now time.Time) (err error) {
	if b.info != nil && b.info.hasRound && b.info.round != b.namesRound {
		b.namesRound, b.roundAt = b.info.round, now
	}
	stale := now.Sub(b.namesAt) > namesLast || now.Sub(b.roundAt) < namesSettle
	for id := range stats {
		t := b.tables[uint8(id)]
		stale = stale || stats[id].Active > 0 && b.names[uint8(id)] == "" && (t == nil || t.flows == 0)
	}
	if stale {
		b.names, err = b.client.TableNames(ctx)
		maps.DeleteFunc(b.names, func(id uint8, name string) bool { return name == "table"+strconv.Itoa(int(id)) }) // of a switch that names them all so
		b.namesAt = now
	}
	return err
}

// begunAnew tells whether the counters of tables are below what they were, as
// they are when the daemon has restarted with the process number that it had.
func (b *bridge) begunAnew(stats *[256]ovs.TableStats) bool {
	for id, t := range b.tables {
		if s := &stats[id]; s.Lookups < t.lookups.last || s.Matched < t.matches.last {
			return true
		}
	}
	return false
}

func (b *bridge) countTables(stats *[256]ovs.TableStats) {
	for id := range stats {
		s := &stats[id]
		t := b.tables[uint8(id)]
		if t == nil {
			if s.Active == 0 && s.Lookups == 0 && b.names[uint8(id)] == "" {
				continue
			}
			t = &tableCount{}
			b.tables[uint8(id)] = t
		}
		t.flows = s.Active
		b.book.tables[id].lookups += t.lookups.to(s.Lookups, false)
		b.book.tables[id].matches += t.matches.to(s.Matched, false)
	}
}

// readPorts counts what the ports have moved, and puts them together with the
// rows of the database.
func (b *bridge) readPorts(ctx context.Context, c *Collector) error {
	known := b.knownPorts()
	for _, p := range b.ports {
		p.seen = false
	}
	err := b.client.PortStats(ctx, func(s *ovs.PortStats) error {
		p := b.portOf(known, s)
		b.countPort(c, &p, s)
		return nil
	})
	if err != nil {
		return err
	}
	for name, p := range b.ports {
		if !p.seen {
			delete(b.ports, name)
		}
	}
	return nil
}

// knownPorts are those of the database by their numbers.
func (b *bridge) knownPorts() map[int]Port {
	known := map[int]Port{}
	if b.info != nil {
		for _, p := range b.info.ports {
			known[p.Number] = p
		}
	}
	return known
}

// portOf says whose the counters are.
func (b *bridge) portOf(known map[int]Port, s *ovs.PortStats) Port {
	number := s.Number
	if s.Port == "LOCAL" {
		number = localPort
	}
	p, ok := known[number]
	if !ok {
		p = Port{Number: number, Name: s.Port, Type: "unknown"}
		if number == localPort {
			p.Name, p.Type = b.name, "internal"
		}
	}
	return p
}

const localPort = 65534

func (b *bridge) countPort(c *Collector, p *Port, s *ovs.PortStats) {
	port := b.ports[p.Name]
	if port == nil {
		port = &portCount{overflow: len(b.ports) >= c.options.MaxSeries}
		b.ports[p.Name] = port
	}
	anew := s.Duration < port.age || port.Number != p.Number
	port.Port, port.age, port.seen = *p, s.Duration, true
	for i, n := range [portCounters]ovs.Count{s.RxPackets, s.RxBytes, s.RxDropped, s.RxErrors, s.TxPackets, s.TxBytes, s.TxDropped, s.TxErrors} {
		if !n.Known {
			continue
		}
		if added := port.counters[i].to(n.Value, anew); port.overflow {
			if b.overflow == nil {
				b.overflow = &portCount{}
			}
			b.overflow.counters[i].value += added
		}
	}
}

// dump reads all flows.
func (b *bridge) dump(ctx context.Context, c *Collector) (err error) {
	start := c.options.Now()
	b.book.begin()
	b.book.owners = b.info.owners()
	missing := map[uint8]bool{}
	for id := range b.pipeline.tables {
		t := b.tables[uint8(id)]
		if b.pipeline.tables[id].belong && t != nil && (t.flows > 0 || b.names[uint8(id)] != "") {
			missing[uint8(id)] = true
		}
	}
	source := newFlowSource()
	err = b.client.Flows(ctx, openflow.FlowFilter{Table: openflow.AllTables}, func(f *openflow.Flow) error {
		b.book.add(source.take(f), start)
		if f.Priority == 0 && f.Match.Empty() {
			delete(missing, f.Table)
		}
		return nil
	})
	b.book.end(err == nil, start, c.options.Rules)
	if err != nil {
		return err
	}
	b.lost = missing
	clear(b.after)
	for table, next := range b.book.round.ttl {
		b.after[table] = next
	}
	b.fullAt, b.fullLasted = start, c.options.Now().Sub(start)
	b.roundOf()
	return nil
}

// roundOf gives the round of Antrea's agent: what it wrote, or the newest seen.
func (b *bridge) roundOf() {
	b.round, b.hasRound = b.book.newestRound(), b.pipeline.of != nil
	if b.info != nil && b.info.hasRound {
		b.round, b.hasRound = b.info.round, true
	}
}

// countGaps counts the packets that are lost between counters: in a table that
// no flow of them matches, and where the TTL ends.
func (b *bridge) countGaps(stats *[256]ovs.TableStats) {
	grow := func(gaps map[uint8]*gap, id uint8, ahead, behind uint64, reason string) {
		g := gaps[id]
		if g == nil {
			g = &gap{}
			gaps[id] = g
		}
		if n := g.to(ahead, behind); n > 0 || id == 0 || reason == reasonTTL {
			b.book.drops[dropKey{b.pipeline.tables[id].label, reason}] += n
		}
	}
	for id := range stats {
		s := &stats[id]
		if id == 0 || b.pipeline.tables[id].belong && b.tables[uint8(id)] != nil {
			grow(b.misses, uint8(id), s.Lookups, s.Matched, reasonTableMiss)
		}
	}
	for id, next := range b.after {
		grow(b.ttl, id, stats[id].Matched, stats[next].Lookups, reasonTTL)
	}
}

// flowSource makes flows of those of the wire, always in the same memory.
type flowSource struct {
	from   *openflow.Flow
	to     flow
	line   []byte
	parsed ovs.Flow
}

func newFlowSource() *flowSource {
	s := &flowSource{}
	s.to.subject = func() subject { return subjectOf(&s.from.Match) }
	s.to.text = func() (match, actions []byte) {
		s.line = s.from.AppendText(s.line[:0], nil)
		if err := s.parsed.Parse(s.line); err != nil {
			return nil, nil // then it means nothing
		}
		return s.parsed.Match, s.parsed.Actions
	}
	return s
}

// subjectOf gives the port that a flow is for, by the packet's origin or the
// register of its target, or else the address that it comes from.
func subjectOf(m *openflow.Match) (s subject) {
	if port, _, ok := m.Register(1); ok {
		return subject{port: port}
	}
	if port, ok := m.InPort(); ok {
		return subject{port: port}
	}
	if address, bits, ok := m.Source(); ok && bits == address.BitLen() {
		return subject{address: address}
	}
	return s
}

func (s *flowSource) take(f *openflow.Flow) *flow {
	s.from = f
	t := &s.to
	t.table, t.priority, t.cookie, t.age = f.Table, f.Priority, f.Cookie, f.Duration
	t.packets, t.bytes = f.Packets.Value, f.Bytes.Value
	t.match, t.actions = f.Match.Raw(), f.Instructions.Raw()
	t.drops = len(t.actions) == 0
	_, t.conjunction = f.Match.ConjunctionID()
	return t
}

// since says how long ago a time was, for people.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return fmt.Sprint(now.Sub(t).Round(time.Second), " ago")
}
