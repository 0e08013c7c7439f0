package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// networkPolicy writes the log of network policies as Antrea 1.13 and later do.
type networkPolicy struct {
	o     Options
	rng   *rand.Rand
	flows []flow
	lines []policyLine // of a second
	times schedule
	line  []byte
}

// decision of a rule, as the log prints it.
type decision struct{ table, policy, rule, direction, action, priority, label string }

// flow is a kind of connection that a rule decides on.
type flow struct {
	decision
	// mean of lines a second, at rate 1.
	mean func(m Moment) float64
	// ends of one: who the rule applies to, source and destination.
	ends     func(m Moment, rng *rand.Rand) (appliedTo Pod, src, dst netip.Addr)
	services []asked
	// merged is the share of lines that stand for several packets, and most how
	// many they are.
	merged float64
	most   int
}

// asked is what a connection asks for.
type asked struct {
	port             int // 0 where there are none
	protocol, length string
}

type policyLine struct {
	at      time.Time
	flow    *flow
	packets int
	text    string // behind the priority
}

// always so many lines a second, or as long as a story is not told.
func always(mean float64, unless ...Story) func(Moment) float64 {
	return func(m Moment) float64 {
		for _, s := range unless {
			if _, told := m.Told(s); told {
				return 0
			}
		}
		return mean
	}
}

// during a story so many lines a second.
func during(s Story, mean float64) func(Moment) float64 {
	return func(m Moment) float64 {
		if _, told := m.Told(s); told {
			return mean
		}
		return 0
	}
}

// perReplica grows with the Pods of shop/web.
func perReplica(mean float64) func(Moment) float64 {
	return func(m Moment) float64 { return mean * (1 + float64(m.Replicas)/60) }
}

// Addresses that are not of the cluster.
func serviceEngine(rng *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{203, 0, 113, byte(10 + rng.IntN(2))})
}

func stranger(rng *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{203, 0, 113, byte(100 + rng.IntN(60))})
}

func partner(rng *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(80 + rng.IntN(10))})
}

// ingress from a Pod to another one.
func ingress(from, to Actor) func(Moment, *rand.Rand) (Pod, netip.Addr, netip.Addr) {
	return func(Moment, *rand.Rand) (Pod, netip.Addr, netip.Addr) {
		return to.Pod(), from.Pod().Address, to.Pod().Address
	}
}

func newNetworkPolicy(o Options) Part {
	web := func(m Moment, rng *rand.Rand) Pod { return Web(rng.IntN(m.Replicas)) }
	tcp := func(port int) []asked { return []asked{{port, "TCP", "60"}} }
	p := &networkPolicy{o: o, rng: o.Random("antrea-networkpolicy"), times: schedule{step: time.Microsecond}}
	// Those that the switch has flows of, by what they do.
	rule := func(policy, label string) decision {
		i := slices.IndexFunc(Rules(), func(r Rule) bool { return r.Policy+"/"+r.Name == policy })
		r := Rules()[i]
		return decision{r.Table, r.Policy, r.Name, r.Direction, r.Action, strconv.Itoa(r.Priority), label}
	}
	p.flows = []flow{
		{
			rule("AntreaNetworkPolicy:shop/dns-open/allow-pods", ""),
			perReplica(3),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				from := pick(rng, []Pod{Frontend.Pod(), Catalog.Pod(), web(m, rng)})
				return DNS.Pod(), from.Address, DNS.Pod().Address
			},
			[]asked{{DNSPort, "UDP", "71"}},
			0, 0,
		},
		{
			rule(RejectPolicy+"/"+RejectRule, "catalog-closed"),
			during(Rejected, 9), ingress(Frontend, Catalog), tcp(CatalogPort), 0.25, 3,
		},
		{
			rule("AntreaClusterNetworkPolicy:baseline/allow-dns", "dns"),
			perReplica(4),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				from := pick(rng, []Pod{Frontend.Pod(), Catalog.Pod(), web(m, rng)})
				return from, from.Address, DNS.Pod().Address
			},
			[]asked{{DNSPort, "UDP", "71"}, {DNSPort, "UDP", "84"}},
			0, 0,
		},
		{
			rule("AntreaClusterNetworkPolicy:baseline/drop-telnet", ""),
			always(0.8),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				from := web(m, rng)
				return from, from.Address, partner(rng)
			}, tcp(23), 0.4, 5,
		},
		{
			decision{"IngressDefaultRule", DefaultDenyPolicy, "", "Ingress", "Drop", "", ""},
			during(DefaultDeny, 6),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				return Payments.Pod(), pick(rng, []Pod{Frontend.Pod(), Catalog.Pod(), web(m, rng)}).Address, Payments.Pod().Address
			}, tcp(PaymentsPort), 0.3, 4,
		},
		{
			decision{"EgressDefaultRule", DefaultDenyPolicy, "", "Egress", "Drop", "", ""},
			during(DefaultDeny, 3),
			func(_ Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				return Payments.Pod(), Payments.Pod().Address, partner(rng)
			}, tcp(443), 0.3, 4,
		},
		{
			decision{"AntreaPolicyEgressRule", "AntreaNetworkPolicy:shop/egress", "allow partner API", "Egress", "Allow", "14399", ""},
			always(2),
			func(_ Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				return Frontend.Pod(), Frontend.Pod().Address, partner(rng)
			}, tcp(443), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/web", "allow-frontend", "Ingress", "Allow", "14610", "web"},
			perReplica(7),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				to := web(m, rng)
				return to, Frontend.Pod().Address, to.Address
			}, tcp(WebPort), 0, 0,
		},
		{
			decision{"IngressRule", "K8sNetworkPolicy:shop/web-np", "", "Ingress", "Allow", "190", ""},
			perReplica(6),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				to := web(m, rng)
				return to, serviceEngine(rng), to.Address
			}, tcp(WebPort), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/catalog", "allow-frontend", "Ingress", "Allow", "14590", ""},
			always(5, Rejected), ingress(Frontend, Catalog), tcp(CatalogPort), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/web", "drop anything else", "Ingress", "Drop", "14598", "web"},
			always(2.5),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				to := web(m, rng)
				return to, stranger(rng), to.Address
			},
			[]asked{{22, "TCP", "60"}, {445, "TCP", "52"}, {3389, "TCP", "52"}, {161, "UDP", "78"}, {0, "ICMP", "84"}, {0, "SCTP", "68"}},
			0.35, 40,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/catalog", "ingress-reject-0a1b2c3", "Ingress", "Reject", "14580", ""},
			always(0.5), ingress(LoadTest, Catalog), tcp(9000), 0.5, 5,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaClusterNetworkPolicy:tenants", "pass-own-tenant", "Ingress", "Pass", "14210", "tenants"},
			always(0.8), ingress(Catalog, Frontend), tcp(9090), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaClusterNetworkPolicy:l7", "allow-get", "Ingress", "Redirect", "14300", "l7"},
			always(0.8),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				to := web(m, rng)
				return to, Catalog.Pod().Address, to.Address
			}, tcp(WebPort), 0, 0,
		},
	}
	return p
}

// Second implements Part.
func (p *networkPolicy) Second(m Moment, out Output) {
	p.lines = p.lines[:0]
	for i := range p.flows {
		f := &p.flows[i]
		for range often(p.rng, f.mean(m)*p.o.Rate) {
			p.lines = append(p.lines, p.decide(m, f))
		}
	}
	slices.SortStableFunc(p.lines, func(a, b policyLine) int { return a.at.Compare(b.at) })
	for _, l := range p.lines {
		p.line = p.times.next(l.at, m.Time).AppendFormat(p.line[:0], "2006/01/02 15:04:05.000000")
		f := l.flow
		for _, token := range [...]string{f.table, f.policy, f.rule, f.direction, f.action, f.priority} {
			p.line = append(p.line, ' ')
			p.line = append(p.line, orNil(token)...)
		}
		p.line = append(append(p.line, ' '), l.text...)
		out.Line("antrea-networkpolicy", p.line)
		action := fmt.Sprintf("action=%q", f.action)
		out.Count("antrea-networkpolicy", action, 1)
		out.Count("corkline_networkpolicy_log_lines_total", action, 1)
		out.Count("corkline_networkpolicy_logged_packets_total",
			fmt.Sprintf("policy=%q, rule=%q, direction=%q, action=%q", f.policy, f.rule, f.direction, f.action), float64(l.packets))
	}
}

// decide on a connection.
func (p *networkPolicy) decide(m Moment, f *flow) policyLine {
	appliedTo, src, dst := f.ends(m, p.rng)
	s := pick(p.rng, f.services)
	srcPort, dstPort := "", ""
	if s.port != 0 && s.protocol != "SCTP" {
		srcPort, dstPort = strconv.Itoa(32768+p.rng.IntN(28232)), strconv.Itoa(s.port)
	}
	l := policyLine{at: within(p.rng, m.Time), flow: f, packets: 1}
	l.text = fmt.Sprintf("%s %s %s %s %s %s %s %s", appliedTo, src, orNil(srcPort), dst, orNil(dstPort), s.protocol, s.length, orNil(f.label))
	if p.rng.Float64() < f.merged {
		l.packets = 2 + p.rng.IntN(f.most-1)
		// What is denied is gathered for a second.
		l.text += fmt.Sprintf(" [%d packets in %s]", l.packets, time.Second+time.Duration(p.rng.Int64N(int64(40*time.Millisecond))))
	}
	return l
}

// orNil is how Antrea prints what a line does not have.
func orNil(s string) string {
	if s == "" {
		return "<nil>"
	}
	return s
}
