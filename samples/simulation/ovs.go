package simulation

import (
	"math/rand/v2"
	"strings"
	"time"
)

// vlog writes a log as Open vSwitch's lib/vlog.c does.
type vlog struct {
	schedule
	definition string
	sequence   map[string]int // of each thread
	line       []byte
	kept       texts
}

func newVlog(definition string) vlog {
	return vlog{definition: definition, sequence: map[string]int{}}
}

// log says something at a time; module may name the thread in brackets.
func (v *vlog) log(at time.Time, module, level, text string, args ...any) {
	module, thread, _ := strings.Cut(strings.TrimSuffix(module, ")"), "(")
	v.say(said{at: at.Truncate(time.Millisecond), level: level, origin: module, thread: thread}, text, args...)
}

// dropped says how many messages of a module a rate limit left out.
func (v *vlog) dropped(at time.Time, rng *rand.Rand, module string, out Output) {
	n, seconds := 2+rng.IntN(40), 11+rng.IntN(50)
	v.log(at, module, "WARN", "Dropped %d log messages in last %d seconds (most recently, %d seconds ago) due to excessive rate", n, seconds, 1+rng.IntN(10))
	name, _, _ := strings.Cut(module, "(")
	out.Count("corkline_ovs_log_suppressed_messages_total", v.kept.sprintf("module=%q", name), float64(n))
}

// slow says that the main loop took long, which the rest of the time's module
// goes into.
func (v *vlog) slow(at time.Time, rng *rand.Rand) {
	ms := 1000 + rng.IntN(1200)
	v.log(at, "timeval", "WARN", "Unreasonably long %dms poll interval (%dms user, %dms system)", ms, ms*rng.IntN(60)/100, ms*rng.IntN(30)/100)
	v.log(at, "timeval", "WARN", "faults: %d minor, 0 major", rng.IntN(200))
	v.log(at, "timeval", "WARN", "context switches: %d voluntary, %d involuntary", rng.IntN(30), rng.IntN(60))
}

// coverage prints the table of events, with totals that only grow.
func (v *vlog) coverage(m Moment, at time.Time, rng *rand.Rand, events []string) {
	v.log(at, "coverage", "INFO", "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=%08x:", rng.Uint32())
	for i, event := range events {
		mean := float64(i+1) * 7.3
		v.log(at, "coverage", "INFO", "%-24s %5.1f/sec %9.3f/sec %13.4f/sec   total: %d", event, mean*(0.8+rng.Float64()/2), mean*(0.9+rng.Float64()/5), mean, int(mean*float64(3600+m.Second)))
	}
	v.log(at, "coverage", "INFO", "%d events never hit", 70+rng.IntN(9))
}

// write what is due.
func (v *vlog) write(second time.Time, out Output) {
	for _, s := range v.due(second) {
		v.put(s, out)
	}
}

// flush writes all that is said.
func (v *vlog) flush(out Output) {
	for _, s := range v.all() {
		v.put(s, out)
	}
}

func (v *vlog) put(s said, out Output) {
	v.sequence[s.thread]++
	v.line = s.at.AppendFormat(v.line[:0], "2006-01-02T15:04:05.000Z")
	v.line = appendf(v.line, "|%05d|%s", v.sequence[s.thread], s.origin)
	if s.thread != "" {
		v.line = appendf(v.line, "(%s)", s.thread)
	}
	v.line = appendf(v.line, "|%s|%s", s.level, v.text(s))
	out.Line(v.definition, v.line)
	out.Count(v.definition, v.kept.sprintf("level=%q", s.level), 1)
	if s.origin != "coverage" { // rows of a table are no messages
		out.Count("corkline_ovs_log_messages_total", v.kept.sprintf("level=%q, module=%q", s.level, s.origin), 1)
	}
}

// vswitch writes the log of the switch daemon.
type vswitch struct {
	vlog
	o        Options
	rng      *rand.Rand
	pods     churn
	turns    turn
	ports    map[string]int // by interface
	port     int            // the last one given
	added    int            // flows since the last summary
	deleted  int
	modified int
}

func newVSwitch(o Options) *vswitch {
	return &vswitch{vlog: newVlog("ovs-vswitchd"), o: o, rng: o.Random("ovs-vswitchd"), turns: turn{}, ports: map[string]int{}, port: 10}
}

// summaryEvery is how often the switch daemon sums up the changes of flows.
const summaryEvery = 10

// Second implements Part.
func (v *vswitch) Second(m Moment, out Output) {
	added, deleted := v.pods.second(m)
	for _, pod := range added {
		v.port++
		v.ports[pod.Interface()] = v.port
		v.log(within(v.rng, m.Time), "bridge", "INFO", "bridge %s: added interface %s on port %d", Bridge, pod.Interface(), v.port)
	}
	for _, pod := range deleted {
		v.log(within(v.rng, m.Time), "bridge", "INFO", "bridge %s: deleted interface %s on port %d", Bridge, pod.Interface(), v.ports[pod.Interface()])
	}
	v.added += FlowsPerPod * len(added)
	v.deleted += FlowsPerPod * len(deleted)
	for _, p := range [...]struct {
		story Story
		flows int
	}{{Rejected, 6}, {DefaultDeny, 4}} {
		switch begins, ends := v.turns.second(m, p.story); {
		case begins:
			v.added += p.flows
			v.modified += 2 // priorities of others
		case ends:
			v.deleted += p.flows
		}
	}
	if m.Second%summaryEvery == summaryEvery-1 {
		v.summary(m, out)
	}
	mean := 3.5
	if _, told := m.Told(SYNFlood); told {
		mean += 2
	}
	for range often(v.rng, mean*v.o.Rate) {
		v.chat(m, within(v.rng, m.Time), out)
	}
	v.write(m.Time, out)
}

// say implements talker.
func (v *vswitch) say(m Moment, at time.Time, out Output) {
	v.chat(m, at, out)
	v.flush(out)
}

// summary of the changes of flows; parts that are 0 are left out.
func (v *vswitch) summary(m Moment, out Output) {
	var parts []string
	for _, p := range [...]struct {
		n            int
		what, metric string
	}{
		{v.added, "adds", "corkline_ovs_log_flow_adds_total"},
		{v.deleted, "deletes", "corkline_ovs_log_flow_deletes_total"},
		{v.modified, "modifications", "corkline_ovs_log_flow_modifications_total"},
	} {
		if p.n > 0 {
			parts = append(parts, v.kept.sprintf("%d %s", p.n, p.what))
			out.Count(p.metric, v.kept.sprintf("bridge=%q", Bridge), float64(p.n))
		}
	}
	if n := v.added + v.deleted + v.modified; n > 0 {
		v.log(within(v.rng, m.Time), "connmgr", "INFO", "%s<->unix#3: %d flow_mods in the last %d s (%s)", Bridge, n, summaryEvery, strings.Join(parts, ", "))
	}
	v.added, v.deleted, v.modified = 0, 0, 0
}

// handler of packets, with a module.
func (v *vswitch) handler(module string, thread int) string {
	return v.kept.sprintf("%s(handler%d)", module, thread)
}

// chat is what the switch daemon says on an ordinary day, and in a flood.
func (v *vswitch) chat(m Moment, at time.Time, out Output) {
	rng := v.rng
	thread := 1 + rng.IntN(4)
	flood := 0.0
	if _, told := m.Told(SYNFlood); told {
		flood = 1
	}
	among(rng, []share[func()]{
		{30, func() {
			v.log(at, "connmgr", "INFO", "%s<->unix#%d: connected to read statistics", Bridge, 20+m.Second)
		}},
		{20, func() {
			v.log(at, "rconn", "INFO", "%s<->unix#%d: entering ACTIVE", Bridge, 20+m.Second)
		}},
		{12, func() {
			v.log(at, "ofproto_dpif_upcall(revalidator5)", "INFO", "%s: %d datapath flows are kept, %d ms to look at them", Bridge, 300+9*m.Replicas+rng.IntN(80), 1+rng.IntN(20))
		}},
		{10, func() {
			v.log(at, "netdev_linux", "INFO", "ioctl(SIOCGIFINDEX) on antrea-gw0: the index is 7")
		}},
		{5, func() {
			v.log(at, v.handler("ofproto_dpif_xlate", thread), "WARN", "over 4096 resubmit actions on bridge %s while processing arp,in_port=%d", Bridge, 1+rng.IntN(20))
		}},
		{4, func() { v.dropped(at, rng, v.handler("ofproto_dpif_xlate", thread), out) }},
		{1, func() { v.slow(at, rng) }},
		{0.4, func() {
			v.coverage(m, at, rng, []string{"bridge_reconfigure", "xlate_actions", "rev_flow_table", "flow_extract", "dpif_flow_put", "netlink_sent"})
		}},
		{0.5, func() {
			v.log(at, v.handler("ofp_msgs", thread), "WARN", "bad message, its first bytes:\n00000000  04 0e 00 38 00 00 00 %02x-00 00 00 00 00 00 00 00 |...8............|", rng.IntN(256))
		}},
		{25 * flood, func() {
			v.log(at, v.handler("dpif", thread), "WARN", "system@ovs-system: lost packet on port channel %d of handler %d", 1+rng.IntN(12), thread)
		}},
		{10 * flood, func() {
			v.log(at, v.handler("dpif", thread), "WARN", "system@ovs-system: failed to put[create] (No space left on device) ufid:%08x tcp,nw_src=%s,nw_dst=%s,tp_dst=%d", rng.Uint32(), LoadTest.Pod().Address, Catalog.Pod().Address, CatalogPort)
		}},
		{10 * flood, func() { v.dropped(at, rng, v.handler("dpif", thread), out) }},
		{4 * flood, func() { v.slow(at, rng) }},
	})()
}

// ovsdb writes the log of the database server.
type ovsdb struct {
	vlog
	o   Options
	rng *rand.Rand
}

func newOVSDB(o Options) *ovsdb {
	return &ovsdb{vlog: newVlog("ovsdb-server"), o: o, rng: o.Random("ovsdb-server")}
}

// compactEvery is how often the database is compacted, in seconds.
const compactEvery = 120

// Second implements Part.
func (d *ovsdb) Second(m Moment, out Output) {
	if m.Second%compactEvery == compactEvery/2 {
		d.log(within(d.rng, m.Time), "ovsdb(compaction)", "INFO", "Open_vSwitch: Database compaction took %dms", 3+m.Replicas/4+d.rng.IntN(6))
	}
	for range often(d.rng, d.o.Rate) {
		d.chat(m, within(d.rng, m.Time), out)
	}
	d.write(m.Time, out)
}

// say implements talker.
func (d *ovsdb) say(m Moment, at time.Time, out Output) {
	d.chat(m, at, out)
	d.flush(out)
}

// chat is what the database server says on an ordinary day.
func (d *ovsdb) chat(m Moment, at time.Time, out Output) {
	rng := d.rng
	client := 30 + m.Second + rng.IntN(5)
	among(rng, []share[func()]{
		{30, func() {
			d.log(at, "jsonrpc", "INFO", `unix#%d: received request, method="transact", params=["Open_vSwitch"], id=%d`, client, m.Second)
		}},
		{20, func() {
			d.log(at, "memory", "INFO", "atoms:%d cells:%d monitors:%d sessions:%d", 900+40*m.Replicas, 800+36*m.Replicas, 2+rng.IntN(2), 3+rng.IntN(4))
		}},
		{10, func() { d.log(at, "jsonrpc", "WARN", "unix#%d: receive error: Connection reset by peer", client) }},
		{10, func() {
			d.log(at, "reconnect", "WARN", "unix#%d: connection dropped (Connection reset by peer)", client)
		}},
		{3, func() {
			d.log(at, "reconnect", "ERR", "unix#%d: no response to inactivity probe after 5 seconds, disconnecting", client)
		}},
		{3, func() { d.dropped(at, rng, "jsonrpc", out) }},
		{1, func() { d.slow(at, rng) }},
		{0.5, func() {
			d.coverage(m, at, rng, []string{"hmap_expand", "hmap_pathological", "poll_create_node", "lockfile_lock"})
		}},
	})()
}
