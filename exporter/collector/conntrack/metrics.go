package conntrack

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of snapshots.
type metrics struct {
	entries, limit, buckets             *prometheus.Desc
	counters                            [counters]*prometheus.Desc
	zone, state, status                 *prometheus.Desc
	service, notAllowed, age            *prometheus.Desc
	up, duration, interrupted, overruns *prometheus.Desc
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("corkline_conntrack_"+name, help, labels, nil)
}

func newMetrics() *metrics {
	return &metrics{
		entries: desc("entries", "Entries of the connection tracking table."),
		limit:   desc("entries_limit", "Entries that the table may have (nf_conntrack_max)."),
		buckets: desc("buckets", "Buckets of the table's hash."),
		counters: [counters]*prometheus.Desc{
			found:         desc("found_total", "Look-ups that found an entry, as far as the kernel counts them."),
			invalid:       desc("invalid_total", "Packets that could not be tracked."),
			insert:        desc("inserts_total", "Entries that were inserted, as far as the kernel counts them."),
			insertFailed:  desc("insert_failures_total", "Entries that could not be inserted, since another one had the same tuple; the packet was dropped."),
			drop:          desc("drops_total", "Packets that were dropped because the table was full, or their entry could not be confirmed."),
			earlyDrop:     desc("early_drops_total", "Entries that were evicted to make room for new ones, since the table was full."),
			packetError:   desc("packet_errors_total", "ICMP packets that belong to no connection."),
			searchRestart: desc("search_restarts_total", "Look-ups that began anew because the table changed meanwhile."),
			clashResolve:  desc("clash_resolves_total", "Entries with the same tuple whose packets were passed all the same."),
			chainTooLong:  desc("chain_too_long_total", "Packets that were dropped because their bucket had too many entries."),
		},
		zone:        desc("zone_entries", "Entries by zone: antrea for the connections that Antrea's policies decide on, antrea-snat for those of them to Services that need SNAT (the same connections a second time), else the number.", "zone", "family"),
		state:       desc("state_entries", "Entries by protocol and its state as conntrack prints it; none for protocols without, OFFLOAD for connections that bypass the tracker.", "protocol", "state"),
		status:      desc("status_entries", "Entries with a status: unreplied (no packet came back), half_open (unreplied, or TCP whose handshake is not complete), assured (not evicted when the table is full), offloaded, snat, dnat. An entry may have several.", "status"),
		service:     desc("service_entries", "Entries of connections to Services, in Antrea's zones without those of SNAT.", "family"),
		notAllowed:  desc("not_allowed_entries", "Entries in Antrea's zones, without those of SNAT, that no policy has let pass yet, such as those of denied connections.", "family"),
		age:         desc("age_entries", "Entries that are no older than le seconds, where nf_conntrack_timestamp is on; histogram_quantile takes them as they are.", "le"),
		up:          desc("dump_up", "Whether the table's entries could be read with the last poll (1); the status page tells why not."),
		duration:    desc("dump_duration_seconds", "How long it took to read all entries."),
		interrupted: desc("dumps_interrupted_total", "Times that the table changed its shape while it was read, so that entries may have been missed or counted twice."),
		overruns:    desc("dump_overruns_total", "Times that the kernel found no room for entries while they were read."),
	}
}

func (m *metrics) describe(to chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{
		m.entries, m.limit, m.buckets, m.zone, m.state, m.status, m.service, m.notAllowed, m.age, m.up, m.duration, m.interrupted, m.overruns,
	}, m.counters[:]...) {
		to <- d
	}
}

func (m *metrics) collect(s *snapshot, to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(m.entries, float64(s.facts.entries))
	gauge(m.limit, float64(s.facts.limit))
	gauge(m.buckets, float64(s.facts.buckets))
	for c, d := range m.counters {
		if s.has[c] {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(s.totals[c]))
		}
	}
	to <- prometheus.MustNewConstMetric(m.interrupted, prometheus.CounterValue, float64(s.interrupted))
	to <- prometheus.MustNewConstMetric(m.overruns, prometheus.CounterValue, float64(s.overruns))
	if s.table == nil {
		gauge(m.up, 0)
		return
	}
	gauge(m.up, 1)
	gauge(m.duration, s.table.took.Seconds())
	for _, z := range s.table.zones {
		gauge(m.zone, float64(z.entries), z.zone, z.family)
	}
	for _, p := range s.table.states {
		gauge(m.state, float64(p.entries), p.protocol, p.state)
	}
	t := &s.table.tally
	for _, status := range [...]struct {
		name    string
		entries uint64
	}{
		{"unreplied", t.unreplied}, {"half_open", t.halfOpen}, {"assured", t.assured},
		{"offloaded", t.offloaded}, {"snat", t.sourceNAT}, {"dnat", t.destNAT},
	} {
		gauge(m.status, float64(status.entries), status.name)
	}
	for i := range t.service {
		gauge(m.service, float64(t.service[i]), familyName(i))
		gauge(m.notAllowed, float64(t.notAllowed[i]), familyName(i))
	}
	if s.facts.timestamps {
		for i, age := range ages {
			gauge(m.age, float64(t.ages[i]), strconv.FormatFloat(age.Seconds(), 'g', -1, 64))
		}
		gauge(m.age, float64(t.aged), "+Inf")
	}
}
