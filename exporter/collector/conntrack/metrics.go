package conntrack

import (
	"net/netip"
	"strconv"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of snapshots.
type metrics struct {
	entries, limit, buckets             *prometheus.Desc
	counters                            [counters]*prometheus.Desc
	zone, state, status                 *prometheus.Desc
	service, notAllowed, age            *prometheus.Desc
	up, duration, interrupted, overruns *prometheus.Desc
	checks                              *prometheus.Desc
	full, confidence                    *prometheus.Desc
	podEntries, podHalfOpen             *prometheus.Desc
	floods, floodHalfOpen               *prometheus.Desc
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("corkline_conntrack_"+name, help, labels, nil)
}

// counterNames are those of the metrics, without prefix and suffix.
var counterNames = [counters]string{
	found:         "found",
	invalid:       "invalid",
	insert:        "inserts",
	insertFailed:  "insert_failures",
	drop:          "drops",
	earlyDrop:     "early_drops",
	packetError:   "packet_errors",
	searchRestart: "search_restarts",
	clashResolve:  "clash_resolves",
	chainTooLong:  "chain_too_long",
}

var counterHelps = [counters]string{
	found:         "Look-ups that found an entry, as far as the kernel counts them.",
	invalid:       "Packets that could not be tracked.",
	insert:        "Entries that were inserted, as far as the kernel counts them.",
	insertFailed:  "Entries that could not be inserted, since another one had the same tuple; the packet was dropped.",
	drop:          "Packets that were dropped because the table was full, or their entry could not be confirmed.",
	earlyDrop:     "Entries that were evicted to make room for new ones, since the table was full.",
	packetError:   "ICMP packets that belong to no connection.",
	searchRestart: "Look-ups that began anew because the table changed meanwhile.",
	clashResolve:  "Entries with the same tuple whose packets were passed all the same.",
	chainTooLong:  "Packets that were dropped because their bucket had too many entries.",
}

func newMetrics() *metrics {
	m := &metrics{
		entries:       desc("entries", "Entries of the connection tracking table."),
		limit:         desc("entries_limit", "Entries that the table may have (nf_conntrack_max)."),
		buckets:       desc("buckets", "Buckets of the table's hash."),
		zone:          desc("zone_entries", "Entries by zone: antrea for the connections that Antrea's policies decide on, antrea-snat for those of them to Services that need SNAT (the same connections a second time), else the number.", "zone", "family"),
		state:         desc("state_entries", "Entries by protocol and its state as conntrack prints it; none for protocols without, OFFLOAD for connections that bypass the tracker.", "protocol", "state"),
		status:        desc("status_entries", "Entries with a status: unreplied (no packet came back), half_open (unreplied, or TCP whose handshake is not complete), assured (not evicted when the table is full), offloaded, snat, dnat. An entry may have several.", "status"),
		service:       desc("service_entries", "Entries of connections to Services, in Antrea's zones without those of SNAT.", "family"),
		notAllowed:    desc("not_allowed_entries", "Entries in Antrea's zones, without those of SNAT, that no policy has let pass yet, such as those of denied connections.", "family"),
		age:           desc("age_entries", "Entries that are no older than le seconds, where nf_conntrack_timestamp is on; histogram_quantile takes them as they are.", "le"),
		up:            desc("dump_up", "Whether the table's entries could be read when they were last to be (1); the status page tells why not."),
		duration:      desc("dump_duration_seconds", "How long it took to read all entries."),
		interrupted:   desc("dumps_interrupted_total", "Times that the table changed its shape while it was read, so that entries may have been missed or counted twice."),
		checks:        desc("flood_checks_total", "Times that only the unassured entries were read, between two reads of all, since the table had grown."),
		full:          desc("forecast_full_seconds", "Time until the table is full, as it grows now; absent without a trend towards that, or when it is too early to say."),
		confidence:    desc("forecast_confidence", "How sure the forecast is, from 0 to 1: how much of the table's growth the trend explains, and below 0.5 while the growth may be that of a saw-tooth; absent without a forecast."),
		podEntries:    desc("top_pod_entries", "Entries of the pods that are the sources or destinations of most, at least; the addresses of pods that are not known are left out.", "role", "namespace", "pod"),
		podHalfOpen:   desc("top_pod_half_open_entries", "Half-open entries of the pods that are the sources or destinations of most, at least; the addresses of pods that are not known are left out.", "role", "namespace", "pod"),
		floods:        desc("floods", "Floods, and what looks like them, that go on: flood of half-open entries that no client of the victim explains, scan of hosts or ports by one source, unanswered for a service that does not answer its own clients any more.", "kind"),
		floodHalfOpen: desc("flood_half_open_entries", "Half-open entries of floods, scans and unanswered services that go on, by the pods or nodes that they come from mostly and go to; empty where those are not known.", "kind", "protocol", "source", "victim"),
		overruns:      desc("dump_overruns_total", "Times that the kernel found no room for entries while they were read."),
	}
	for i, name := range counterNames {
		m.counters[i] = desc(name+"_total", counterHelps[i])
	}
	return m
}

func (m *metrics) describe(to chan<- *prometheus.Desc) {
	for _, d := range append([]*prometheus.Desc{
		m.entries, m.limit, m.buckets, m.zone, m.state, m.status, m.service, m.notAllowed, m.age, m.up, m.duration, m.interrupted, m.overruns, m.checks,
		m.full, m.confidence, m.podEntries, m.podHalfOpen, m.floods, m.floodHalfOpen,
	}, m.counters[:]...) {
		to <- d
	}
}

func (m *metrics) collect(s *snapshot, names Resolver, to chan<- prometheus.Metric) {
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
	to <- prometheus.MustNewConstMetric(m.checks, prometheus.CounterValue, float64(s.checks))
	if s.growing {
		gauge(m.full, s.forecast.Full.Seconds())
		gauge(m.confidence, s.forecast.Confidence)
	}
	if s.table == nil {
		gauge(m.up, 0)
		return
	}
	gauge(m.up, 1)
	gauge(m.duration, s.table.took.Seconds())
	for _, z := range s.table.zones {
		gauge(m.zone, float64(z.Entries), z.Zone, z.Family)
	}
	for _, p := range s.table.states {
		gauge(m.state, float64(p.Entries), p.Protocol, p.State)
	}
	t := &s.table.tally
	for _, status := range t.statuses() {
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
	m.analysis(s.table.analysis, names, gauge)
}

// analysis adds up by pod, since one may have several addresses.
func (m *metrics) analysis(a *analysis.Snapshot, names Resolver, gauge func(d *prometheus.Desc, value float64, labels ...string)) {
	type pod struct{ role, namespace, name string }
	for d, tops := range map[*prometheus.Desc][2][]analysis.Top{
		m.podEntries: {a.Sources.Entries, a.Destinations.Entries}, m.podHalfOpen: {a.Sources.HalfOpen, a.Destinations.HalfOpen},
	} {
		sums := map[pod]uint64{}
		for i, role := range [...]string{"source", "destination"} {
			for _, top := range tops[i] {
				addr := top.Source
				if i == 1 {
					addr = top.Destination
				}
				if owner := resolve(names, addr); owner.Pod != "" {
					sums[pod{role, owner.Namespace, owner.Pod}] += top.AtLeast
				}
			}
		}
		for p, n := range sums {
			gauge(d, float64(n), p.role, p.namespace, p.name)
		}
	}
	going := map[analysis.Kind]int{analysis.Flood: 0, analysis.Scan: 0, analysis.Unanswered: 0}
	halfOpen := map[[4]string]uint64{}
	for i := range a.Events {
		e := &a.Events[i]
		if e.Phase == analysis.Ended {
			continue
		}
		going[e.Kind]++
		source := Owner{}
		if len(e.Sources) > 0 {
			source = resolve(names, e.Sources[0].Source)
		}
		halfOpen[[4]string{e.Kind.String(), ProtocolName(e.Protocol), source.String(), resolve(names, e.Victim).String()}] += e.HalfOpen
	}
	for kind, n := range going {
		gauge(m.floods, float64(n), kind.String())
	}
	for labels, n := range halfOpen {
		gauge(m.floodHalfOpen, float64(n), labels[:]...)
	}
}

// resolve gives the owner of an address, which may be neither there nor known.
func resolve(names Resolver, addr netip.Addr) Owner {
	if names == nil || !addr.IsValid() {
		return Owner{}
	}
	owner, _ := names.Resolve(addr)
	return owner
}
