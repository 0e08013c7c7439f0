package ovs

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/parsers/ovs"
	"github.com/prometheus/client_golang/prometheus"
)

// overflow is the value of the labels of a series that takes what a cap cuts.
const overflow = "overflow"

// descriptions of all families.
type descriptions struct {
	up, info, restarts, round, fullDuration, fullTime, unaccounted, pods, broken, category, stale *prometheus.Desc
	tableFlows, lookups, matches, packets, bytes, adds, deletes, modifications                    *prometheus.Desc
	drops, podDrops, rulePackets, ruleBytes, ruleSessions                                         *prometheus.Desc
	ports                                                                                         [portCounters]*prometheus.Desc
	hits, misses, lost, datapathFlows, masks, maskHits, connections                               *prometheus.Desc
	upcallFlows, upcallLimit, upcallDump, coverage, memory                                        *prometheus.Desc
}

func newDescriptions() *descriptions {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("corkline_ovs_"+name, help, labels, nil)
	}
	table := []string{"bridge", "table"}
	rule := []string{"bridge", "table", "priority", "policy", "rule", "action"}
	port := []string{"bridge", "port", "type", "namespace", "pod"}
	d := &descriptions{
		up:           desc("up", "Whether the bridge could be read over OpenFlow in the last poll (1).", "bridge"),
		info:         desc("bridge_info", "OpenFlow's version, and the generation of Antrea's pipeline (the version that it began with) or none; the value is always 1.", "bridge", "openflow", "pipeline"),
		restarts:     desc("restarts_total", "Restarts of ovs-vswitchd that were seen."),
		round:        desc("round", "Number of the start of Antrea's agent, which its flows carry in their cookies.", "bridge"),
		fullDuration: desc("full_poll_duration_seconds", "How long it took to read all flows.", "bridge"),
		fullTime:     desc("full_poll_timestamp_seconds", "When all flows were last read.", "bridge"),
		unaccounted:  desc("flows_unaccounted", "Flows beyond those that are remembered; what they count is not in the sums.", "bridge"),
		pods:         desc("pods_checked", "Local pods whose flows were checked in the last poll.", "bridge"),
		broken:       desc("invariant_broken", "Flows that the pipeline or a local pod needs, and that are not there (1).", "bridge", "invariant", "table", "namespace", "pod"),
		category:     desc("category_flows", "Flows by the category of their cookies.", "bridge", "category"),
		stale:        desc("stale_flows", "Flows of rounds other than the current one.", "bridge"),

		tableFlows:    desc("table_flows", "Flows of a table.", table...),
		lookups:       desc("table_lookups_total", "Packets that were looked up in a table.", table...),
		matches:       desc("table_matches_total", "Packets that a flow of a table matched.", table...),
		packets:       desc("table_packets_total", "Packets of a table's flows, since the agent's start.", table...),
		bytes:         desc("table_bytes_total", "Bytes of a table's flows, since the agent's start.", table...),
		adds:          desc("flow_adds_total", "Flows that had been added when all were read; what lasts shorter is not seen.", table...),
		deletes:       desc("flow_deletes_total", "Flows that had gone when all were read.", table...),
		modifications: desc("flow_modifications_total", "Flows whose actions or cookie had changed when all were read.", table...),

		drops:        desc("dropped_packets_total", "Packets that ended in a table, by reason, since the agent's start.", append(table, "reason")...),
		podDrops:     desc("pod_dropped_packets_total", "Packets that flows for a local pod dropped, as those of a default deny do, since the agent's start; of those in dropped_packets_total.", append(table, "reason", "namespace", "pod")...),
		rulePackets:  desc("rule_packets_total", "Packets that a policy rule allowed or denied, since the agent's start. Policy and rule are known once the network-policy log has named them; table and priority are those of the rule's flows.", rule...),
		ruleBytes:    desc("rule_bytes_total", "Bytes that a policy rule allowed or denied, since the agent's start.", rule...),
		ruleSessions: desc("rule_sessions_total", "Connections that a policy rule allowed, or packets that it denied, since the agent's start.", rule...),

		hits:          desc("datapath_hits_total", "Packets that a flow of the datapath matched.", "datapath"),
		misses:        desc("datapath_misses_total", "Packets that no flow of the datapath matched, and that went up to ovs-vswitchd.", "datapath"),
		lost:          desc("datapath_lost_total", "Packets that should have gone up to ovs-vswitchd, and were dropped.", "datapath"),
		datapathFlows: desc("datapath_flows", "Flows of the datapath.", "datapath"),
		masks:         desc("datapath_masks", "Masks of the datapath's flows; each look-up tries some of them.", "datapath"),
		maskHits:      desc("datapath_mask_hits_total", "Masks that were tried in all look-ups.", "datapath"),
		connections:   desc("conntrack_connections", "Connections that the userspace datapath tracks.", "datapath"),
		upcallFlows:   desc("upcall_flows", "Flows of the datapath that revalidation watches.", "datapath"),
		upcallLimit:   desc("upcall_flow_limit", "Flows that the datapath may have; it shrinks when revalidation takes too long.", "datapath"),
		upcallDump:    desc("upcall_dump_duration_seconds", "How long the last revalidation took.", "datapath"),
		coverage:      desc("coverage_total", "Events that ovs-vswitchd counts of itself (coverage counters).", "event"),
		memory:        desc("memory_objects", "Objects that ovs-vswitchd holds in memory.", "object"),
	}
	for i, p := range [portCounters][2]string{
		{"received_packets", "Packets that came in"},
		{"received_bytes", "Bytes that came in"},
		{"received_dropped", "Packets that came in and were dropped"},
		{"received_errors", "Errors of what came in"},
		{"sent_packets", "Packets that went out"},
		{"sent_bytes", "Bytes that went out"},
		{"sent_dropped", "Packets that should have gone out and were dropped"},
		{"sent_errors", "Errors of what went out"},
	} {
		d.ports[i] = desc("port_"+p[0]+"_total", p[1]+" at a port; what a pod sends comes in here.", port...)
	}
	return d
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(everything(c.desc), to)
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	metrics := c.metrics
	c.mu.Unlock()
	for _, m := range metrics {
		to <- m
	}
}

// publish makes metrics and facts of what is known, at once.
func (c *Collector) publish() {
	p := &publisher{d: c.desc, max: c.options.MaxSeries}
	p.counter(c.desc.restarts, float64(c.restarts))
	for _, name := range c.order {
		c.bridges[name].publish(p)
	}
	c.runtime.publish(p)
	facts := c.findFacts()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.metrics, c.facts = p.metrics, facts
}

// publisher gathers metrics.
type publisher struct {
	d       *descriptions
	max     int
	metrics []prometheus.Metric
}

func (p *publisher) gauge(d *prometheus.Desc, value float64, labels ...string) {
	p.metrics = append(p.metrics, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...))
}

func (p *publisher) counter(d *prometheus.Desc, value float64, labels ...string) {
	p.metrics = append(p.metrics, prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...))
}

func (b *bridge) publish(p *publisher) {
	d := p.d
	up := 0.0
	if b.up {
		up = 1
	}
	p.gauge(d.up, up, b.name)
	if b.pipeline == nil { // not read yet
		return
	}
	generation := "none"
	if b.pipeline.of != nil {
		generation = b.pipeline.of.Name
	}
	p.gauge(d.info, 1, b.name, b.version.String(), generation)
	b.publishTables(p)
	for _, k := range slices.SortedFunc(maps.Keys(b.book.drops), func(x, y dropKey) int {
		return cmp.Or(cmp.Compare(x.table, y.table), cmp.Compare(x.reason, y.reason))
	}) {
		p.counter(d.drops, float64(b.book.drops[k]), b.name, k.table, k.reason)
	}
	for k, packets := range b.book.owned {
		p.counter(d.podDrops, float64(packets), b.name, k.table, k.reason, k.namespace, k.pod)
	}
	for k, sum := range b.book.ruled {
		labels := []string{b.name, k.table, k.priority, k.policy, k.rule, k.action}
		p.counter(d.rulePackets, float64(sum.packets), labels...)
		p.counter(d.ruleBytes, float64(sum.bytes), labels...)
		p.counter(d.ruleSessions, float64(sum.sessions), labels...)
	}
	b.publishPorts(p)
	b.publishFull(p)
}

func (b *bridge) publishTables(p *publisher) {
	d := p.d
	flows := map[string]uint32{}
	for id, t := range b.tables {
		flows[b.pipeline.tables[id].label] += t.flows
	}
	for label, sum := range b.book.labels {
		n, now := flows[label]
		if !now && *sum == (tableSum{}) { // of numbers that nothing uses
			continue
		}
		if now && b.up {
			p.gauge(d.tableFlows, float64(n), b.name, label)
		}
		p.counter(d.lookups, float64(sum.lookups), b.name, label)
		p.counter(d.matches, float64(sum.matches), b.name, label)
		p.counter(d.packets, float64(sum.packets), b.name, label)
		p.counter(d.bytes, float64(sum.bytes), b.name, label)
		p.counter(d.adds, float64(sum.adds), b.name, label)
		p.counter(d.deletes, float64(sum.deletes), b.name, label)
		p.counter(d.modifications, float64(sum.modifications), b.name, label)
	}
}

func (b *bridge) publishPorts(p *publisher) {
	for _, port := range b.ports {
		if port.overflow {
			continue
		}
		for i := range port.counters {
			p.counter(p.d.ports[i], float64(port.counters[i].value), b.name, port.Name, port.Type, port.Namespace, port.Pod)
		}
	}
	if b.overflow != nil {
		for i := range b.overflow.counters {
			p.counter(p.d.ports[i], float64(b.overflow.counters[i].value), b.name, overflow, overflow, overflow, overflow)
		}
	}
}

// publishFull what only a dump of all flows tells.
func (b *bridge) publishFull(p *publisher) {
	d := p.d
	if !b.up {
		return
	}
	p.gauge(d.pods, float64(b.checks.pods), b.name)
	b.publishBroken(p)
	if b.fullAt.IsZero() {
		return
	}
	p.gauge(d.fullTime, seconds(b.fullAt), b.name)
	p.gauge(d.fullDuration, b.fullLasted.Seconds(), b.name)
	p.gauge(d.unaccounted, float64(b.book.round.forgotten), b.name)
	if b.pipeline.of == nil {
		return
	}
	categories, stale := b.book.categories(b.round)
	for name, n := range categories {
		p.gauge(d.category, float64(n), b.name, name)
	}
	p.gauge(d.stale, float64(stale), b.name)
	p.gauge(d.round, float64(b.round), b.name)
}

func (b *bridge) publishBroken(p *publisher) {
	rest := 0
	for k := range b.checks.broken {
		if rest++; rest <= maxBroken {
			p.gauge(p.d.broken, 1, b.name, k.Invariant, k.Table, k.Namespace, k.Pod)
		}
	}
	if rest > maxBroken {
		p.gauge(p.d.broken, float64(rest-maxBroken), b.name, overflow, overflow, overflow, overflow)
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

func (r *runtime) publish(p *publisher) {
	d := p.d
	for name, x := range r.datapaths {
		p.counter(d.hits, float64(x.hits.value), name)
		p.counter(d.misses, float64(x.misses.value), name)
		p.counter(d.lost, float64(x.lost.value), name)
		p.gauge(d.datapathFlows, float64(x.Flows), name)
		if x.Masks.Known {
			p.gauge(d.masks, float64(x.Masks.Value), name)
			p.counter(d.maskHits, float64(x.maskHits.value), name)
		}
		if x.connections.Known {
			p.gauge(d.connections, float64(x.connections.Value), name)
		}
	}
	for i := range r.upcalls {
		u := &r.upcalls[i]
		p.gauge(d.upcallFlows, float64(u.Current), u.Datapath)
		p.gauge(d.upcallLimit, float64(u.Limit), u.Datapath)
		p.gauge(d.upcallDump, u.DumpDuration.Seconds(), u.Datapath)
	}
	for name, m := range r.coverage {
		p.counter(d.coverage, float64(m.value), name)
	}
	for _, use := range r.memory {
		p.gauge(d.memory, float64(use.Value), use.Name)
	}
}

// everything has one series of every family.
func everything(d *descriptions) static {
	b := newBridge("bridge", "", 1)
	b.up, b.fullAt, b.hasRound, b.version = true, time.Unix(1, 0), true, openflow.Version15
	g := &generation{Name: "generation", Cookies: []string{"category"}}
	b.pipeline = &pipeline{of: g}
	for id := range b.pipeline.tables {
		b.pipeline.tables[id].label = strconv.Itoa(id)
	}
	b.book.take(b.pipeline)
	b.book.begin()
	b.book.round.cookies.add(0)
	b.tables[0] = &tableCount{}
	b.book.drops[dropKey{"table", "reason"}] = 0
	b.book.owned[ownedKey{}] = 0
	b.book.ruled[ruleKey{}] = &ruleSum{}
	b.ports["port"] = &portCount{}
	b.checks.broken[broken{}] = true
	r := newRuntime()
	known := ovs.Count{Known: true}
	r.datapaths["datapath"] = &datapathCount{Datapath: ovs.Datapath{Masks: known}, connections: known}
	r.upcalls, r.memory, r.coverage["event"] = []ovs.Upcalls{{}}, []ovs.Use{{}}, &monotonic{}
	p := &publisher{d: d, max: 1}
	p.counter(d.restarts, 0)
	b.publish(p)
	r.publish(p)
	return p.metrics
}

// Example is a collector with one series of every family; it cannot be polled.
func Example() *Collector {
	d := newDescriptions()
	return &Collector{desc: d, metrics: everything(d)}
}

// static metrics.
type static []prometheus.Metric

func (s static) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, to) }

func (s static) Collect(to chan<- prometheus.Metric) {
	for _, m := range s {
		to <- m
	}
}
