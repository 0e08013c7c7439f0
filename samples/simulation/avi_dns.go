package simulation

import (
	"net/netip"
	"slices"
	"time"
)

// dnsService is gslb-dns: it answers for the GSLB service shop-gs, and for a few
// static names.
type dnsService struct {
	virtualService
	options Options
	queries []int       // of the table, each as often as its share
	sites   []Site      // all of them
	up      []Site      // that are answered
	turns   [][]float64 // of the sites, at each Service Engine
	last    entry
	asked   []byte // name of a query
	gslb    string // UUID of the GSLB service
}

func newDNSService(o Options) *dnsService {
	s := &dnsService{virtualService: newVirtualService(o, DNSService, 3, 53), options: o, sites: Sites(), up: Sites(), gslb: uuid("gslbservice", 1)}
	s.rfc5424, s.address, s.address6 = true, netip.MustParseAddr("198.51.100.53"), netip.MustParseAddr("2001:db8:62::53")
	for i, q := range queries {
		for range q.often {
			s.queries = append(s.queries, i)
		}
	}
	for range s.streams {
		s.turns = append(s.turns, make([]float64, len(Sites())))
	}
	return s
}

// Queries in a second at rate 1.
const dnsRate = 7

func (s *dnsService) arrivals(m Moment, all []arrival) []arrival {
	s.up = s.options.sitesUp(m)
	for range s.pace.take(s.rng, dnsRate*s.rate*daytime(m)) {
		all = append(all, arrival{after: anyMicrosecond(s.rng), at: s})
	}
	return all
}

func (s *dnsService) arrive(_ Moment, _ int, at time.Time, out Output) { s.answer(at, out) }

// say implements talker.
func (s *dnsService) say(_ Moment, at time.Time, out Output) { s.answer(at, out) }

// query that clients send. A {word} in the name stands for letters.
type query struct {
	often               int
	name, qtype, source string
	code                string
	address             string // that is answered; empty for those of the sites
	reason              reason // 0: none
}

// Where an answer is from: the GSLB services, or a server behind.
const (
	gslbEntry   = "GSLB"
	passThrough = "PASS_THROUGH"
)

var queries = [...]query{
	{80, GSLBName, "A", gslbEntry, "NOERROR", "", 0},
	{8, GSLBName, "AAAA", gslbEntry, "NOERROR", "", 0},
	{5, "static.example.com", "A", "STATIC", "NOERROR", "198.51.100.80", 0},
	{3, "office.example.com", "A", passThrough, "NOERROR", "192.0.2.210", 0},
	{1, "example.com", "TXT", passThrough, "NOERROR", "", 0},
	{2, "{word}.shop.example.com", "A", "", "NXDOMAIN", "", dnsInvalidDomain},
	{1, GSLBName, "MX", gslbEntry, "NOTIMP", "", dnsUnsupported},
}

// answer a query, with one of the sites that are up.
func (s *dnsService) answer(at time.Time, out Output) {
	q := &queries[s.queries[s.rng.IntN(len(s.queries))]]
	e := &s.last
	*e = s.next()
	e.at = at
	if q.reason != 0 {
		e.reasons.add(q.reason)
	}
	var site *Site
	if q.source == gslbEntry && q.qtype == "A" {
		site = s.turn(e.engine)
	}
	if !s.log("avi-dns", e, out, func(o *object) { s.members(o, e, q, site) }, "rcode", q.code) {
		return
	}
	gslb := ""
	if q.source == gslbEntry {
		gslb = GSLBService
	}
	out.Count("corkline_dns_queries_total", s.kept.labels("gslbservice", gslb, "qtype", q.qtype, "rcode", q.code, "virtualservice", s.name), 1)
	if site != nil {
		out.Count("corkline_dns_answers_total", s.kept.labels("gslbservice", gslb, "member", s.kept.sprintf("%s", site.Address)), 1)
		out.Count("corkline_dns_site_answers_total", s.kept.labels("gslbservice", gslb, "site", site.Name), 1)
	}
	s.countReasons(e, "corkline_dns_significant_queries_total", out)
}

// sitesUp tells which sites are answered: not the first one, once the monitors
// know that it is down.
func (o Options) sitesUp(m Moment) []Site {
	sites := Sites()
	if _, known := o.seen(m).Told(SiteDown); known {
		return sites[1:]
	}
	return sites
}

// siteShare is what part of the clients come to this site, compared with an
// ordinary day.
func (o Options) siteShare(m Moment) float64 {
	weights := func(sites []Site) (sum float64) {
		for _, s := range sites {
			sum += float64(s.Weight)
		}
		return sum
	}
	return weights(Sites()) / weights(o.sitesUp(m))
}

// turn of the next site at a Service Engine: each is as far behind its weight as
// it has been answered too seldom, so that the weights hold exactly.
func (s *dnsService) turn(engine int) *Site {
	sites := s.sites
	turns := s.turns[engine]
	sum, next := 0.0, -1
	for i := range sites {
		if !slices.Contains(s.up, sites[i]) {
			turns[i] = 0
			continue
		}
		turns[i] += float64(sites[i].Weight)
		sum += float64(sites[i].Weight)
		if next < 0 || turns[i] > turns[next] {
			next = i
		}
	}
	turns[next] -= sum
	return &sites[next]
}

func (s *dnsService) members(o *object, e *entry, q *query, site *Site) {
	s.asked = append(s.asked[:0], q.name...)
	if q.code == "NXDOMAIN" {
		s.asked = appendf(s.asked[:0], "%s-%d.%s", [...]string{"cdn", "img", "mail", "dev"}[s.rng.IntN(4)], s.rng.IntN(90), GSLBName)
	}
	address := q.address
	if site != nil {
		address = s.kept.sprintf("%s", site.Address)
	}
	asked, answers, took := 33+len(s.asked), 0, time.Duration(40+s.rng.IntN(300))*time.Microsecond
	answered := asked
	if address != "" {
		answers, answered = 1, asked+16
	}
	o.time("start_timestamp", e.at.Add(-took))
	o.number("connection_ended", 1)
	o.number("rx_bytes", asked)
	o.number("rx_pkts", 1)
	o.number("tx_bytes", answered)
	o.number("tx_pkts", 1)
	o.number("total_bytes", asked+answered)
	o.number("total_pkts", 2)
	transport := "UDP"
	if s.rng.IntN(40) == 0 {
		transport = "TCP"
	}
	o.words("protocol", "PROTOCOL_", transport)
	o.bytes("dns_fqdn", s.asked)
	o.words("dns_qtype", "DNS_RECORD_", q.qtype)
	if q.source != "" {
		o.words("dns_etype", "DNS_ENTRY_", q.source)
	}
	if q.source == gslbEntry {
		o.string("gslbservice", s.gslb)
		o.string("gslbservice_name", GSLBService)
	}
	if site != nil {
		o.string("gslbpool_name", GSLBService+"-pool")
	}
	if address != "" {
		o.strings("dns_ips", address)
	}
	if q.source == passThrough {
		o.string("pool_name", "office-dns-pool")
		o.string("server_ip", "192.0.2.53")
		o.string("server_name", "office-dns")
	}
	id := s.rng.IntN(65536)
	o.begin("dns_request", '{')
	o.number("question_count", 1)
	o.number("identifier", id)
	o.bool("recursion_desired", true, true)
	o.string("opcode", "DNS_OPCODE_QUERY")
	o.end('}')
	o.begin("dns_response", '{')
	o.words("response_code", "DNS_RCODE_", q.code)
	o.string("opcode", "DNS_OPCODE_QUERY")
	o.number("question_count", 1)
	o.number("answer_records_count", answers)
	o.bool("authoritative_answer", q.source != passThrough, true)
	if address != "" {
		o.begin("records", '[')
		o.begin("", '{')
		o.string("type", "DNS_RECORD_A")
		o.string("addr_ip_str", address)
		o.number("ttl", 30)
		if site != nil {
			o.string("site_name", site.Name)
		}
		o.end('}')
		o.end(']')
	}
	o.end('}')
	o.number("total_time", 0)
}
