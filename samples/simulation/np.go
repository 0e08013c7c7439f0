package simulation

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// networkPolicy writes the log of network policies, as Antrea 1.13 and later do
// if nothing else is asked for.
type networkPolicy struct {
	o       Options
	rng     *rand.Rand
	webs    []Pod
	flows   []flow
	printed [][layouts]printed // of flows
	layouts []layout
	mix     [][]int      // for each of layouts, flows as often as they are in the mean
	lines   []policyLine // of a second
	texts   []byte       // of those
	times   schedule
	clock   clock
	line    []byte
}

// layout is an era of the log, named by the first Antrea release that printed
// it. A later one prints more.
type layout int

const (
	v011 layout = iota
	v14
	v16
	v19
	v112
	v113
	layouts
)

// Layouts names the eras of the log of network policies, oldest first.
func Layouts() []string { return []string{"0.11", "1.4", "1.6", "1.9", "1.12", "1.13"} }

// decision of a rule, as the log prints it.
type decision struct{ table, policy, rule, direction, action, priority, label string }

// flow is a kind of connection that a rule decides on.
type flow struct {
	decision
	since layout // that has such rules
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

// printed is what lines of a flow have in common.
type printed struct {
	head    string // the tokens from the table to the priority
	stream  string // labels of the stream, of lines, and of packets
	action  string
	packets string
}

// asked is what a connection asks for.
type asked struct {
	port             int // 0 where there are none
	protocol, length string
}

type policyLine struct {
	at       time.Time
	flow     int
	packets  int
	from, to int // of the text behind the priority
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

// newNetworkPolicy logs in the newest layout.
func newNetworkPolicy(o Options) *networkPolicy {
	tcp := func(port int) []asked { return []asked{{port, "TCP", "60"}} }
	p := &networkPolicy{o: o, rng: o.Random("antrea-networkpolicy"), webs: webs(), layouts: []layout{v113}, times: schedule{step: time.Microsecond}, clock: clock{layout: "2006/01/02 15:04:05."}}
	web := func(m Moment, rng *rand.Rand) Pod { return pick(rng, p.webs[:m.Replicas]) }
	// Those that the switch has flows of, by what they do.
	rule := func(policy, label string) decision {
		i := slices.IndexFunc(Rules(), func(r Rule) bool { return r.Policy+"/"+r.Name == policy })
		r := Rules()[i]
		return decision{r.Table, r.Policy, r.Name, r.Direction, r.Action, strconv.Itoa(r.Priority), label}
	}
	client := func(m Moment, rng *rand.Rand) Pod {
		replica := web(m, rng)
		return [...]Pod{Frontend.Pod(), Catalog.Pod(), replica}[rng.IntN(3)]
	}
	p.flows = []flow{
		{
			rule("AntreaNetworkPolicy:shop/dns-open/allow-pods", ""),
			v011,
			perReplica(3),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				from := client(m, rng)
				return DNS.Pod(), from.Address, DNS.Pod().Address
			},
			[]asked{{DNSPort, "UDP", "71"}},
			0, 0,
		},
		{
			rule(RejectPolicy+"/"+RejectRule, "catalog-closed"),
			v011,
			during(Rejected, 9), ingress(Frontend, Catalog), tcp(CatalogPort), 0.25, 3,
		},
		{
			rule("AntreaClusterNetworkPolicy:baseline/allow-dns", "dns"),
			v011,
			perReplica(4),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				from := client(m, rng)
				return from, from.Address, DNS.Pod().Address
			},
			[]asked{{DNSPort, "UDP", "71"}, {DNSPort, "UDP", "84"}},
			0, 0,
		},
		{
			rule("AntreaClusterNetworkPolicy:baseline/drop-telnet", ""),
			v011,
			always(0.8),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				from := web(m, rng)
				return from, from.Address, partner(rng)
			}, tcp(23), 0.4, 5,
		},
		{
			decision{"IngressDefaultRule", DefaultDenyPolicy, "", "Ingress", "Drop", "", ""},
			v16,
			during(DefaultDeny, 6),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				return Payments.Pod(), client(m, rng).Address, Payments.Pod().Address
			}, tcp(PaymentsPort), 0.3, 4,
		},
		{
			decision{"EgressDefaultRule", DefaultDenyPolicy, "", "Egress", "Drop", "", ""},
			v16,
			during(DefaultDeny, 3),
			func(_ Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				return Payments.Pod(), Payments.Pod().Address, partner(rng)
			}, tcp(443), 0.3, 4,
		},
		{
			decision{"AntreaPolicyEgressRule", "AntreaNetworkPolicy:shop/egress", "allow partner API", "Egress", "Allow", "14399", ""},
			v011,
			always(2),
			func(_ Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				return Frontend.Pod(), Frontend.Pod().Address, partner(rng)
			}, tcp(443), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/web", "allow-frontend", "Ingress", "Allow", "14610", "web"},
			v011,
			perReplica(7),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				to := web(m, rng)
				return to, Frontend.Pod().Address, to.Address
			}, tcp(WebPort), 0, 0,
		},
		{
			decision{"IngressRule", "K8sNetworkPolicy:shop/web-np", "", "Ingress", "Allow", "190", ""},
			v16,
			perReplica(6),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				to := web(m, rng)
				return to, serviceEngine(rng), to.Address
			}, tcp(WebPort), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/catalog", "allow-frontend", "Ingress", "Allow", "14590", ""},
			v011,
			always(5, Rejected), ingress(Frontend, Catalog), tcp(CatalogPort), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/web", "drop anything else", "Ingress", "Drop", "14598", "web"},
			v011,
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
			v011,
			always(0.5), ingress(LoadTest, Catalog), tcp(9000), 0.5, 5,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaClusterNetworkPolicy:tenants", "pass-own-tenant", "Ingress", "Pass", "14210", "tenants"},
			v19,
			always(0.8), ingress(Catalog, Frontend), tcp(9090), 0, 0,
		},
		{
			decision{"AntreaPolicyIngressRule", "AntreaClusterNetworkPolicy:l7", "allow-get", "Ingress", "Redirect", "14300", "l7"},
			v19,
			always(0.8),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				to := web(m, rng)
				return to, Catalog.Pod().Address, to.Address
			}, tcp(WebPort), 0, 0,
		},
	}
	p.print()
	return p
}

// anyNetworkPolicy logs in layouts, each as often, or in the newest one, also
// what the cluster of the stories does not have.
func anyNetworkPolicy(o Options, eras ...layout) *networkPolicy {
	p := newNetworkPolicy(o)
	if len(eras) > 0 {
		p.layouts = eras
	}
	p.flows = append(
		p.flows,
		flow{
			decision{"AntreaPolicyEgressRule", "AntreaNetworkPolicy:shop/egress", "allow partner API", "Egress", "Allow", "14399", ""},
			v011, always(4),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				i := rng.IntN(m.Replicas)
				return p.webs[i], ipv6(0, 100+i), ipv6(0xffff, 80+rng.IntN(10))
			},
			[]asked{{443, "TCP", "80"}, {DNSPort, "UDP", "91"}, {0, "IPv6-ICMP", "104"}},
			0, 0,
		},
		flow{
			decision{"AntreaPolicyIngressRule", "AntreaNetworkPolicy:shop/web", "drop anything else", "Ingress", "Drop", "14598", "web"},
			v011, always(2),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				i := rng.IntN(m.Replicas)
				return p.webs[i], ipv6(0xffff, 100+rng.IntN(60)), ipv6(0, 100+i)
			},
			[]asked{{22, "TCP", "80"}, {0, "IPv6-ICMP", "104"}},
			0.35, 40,
		},
		flow{
			decision{"EgressRule", "K8sNetworkPolicy:shop/web-np-egress", "", "Egress", "Allow", "200", ""},
			v16, always(2),
			func(m Moment, rng *rand.Rand) (Pod, netip.Addr, netip.Addr) {
				from := pick(rng, p.webs[:m.Replicas])
				return from, from.Address, Catalog.Pod().Address
			},
			[]asked{{CatalogPort, "TCP", "60"}},
			0, 0,
		},
		flow{
			decision{"IngressDefaultRule", DefaultDenyPolicy, "", "Ingress", "Drop", "", ""},
			v16, always(1), ingress(Catalog, Payments),
			[]asked{{PaymentsPort, "TCP", "60"}},
			0.3, 4,
		},
		flow{
			decision{"AntreaPolicyEgressRule", "AdminNetworkPolicy:/tenants", "pass monitoring", "Egress", "Pass", "14200", ""},
			v113, always(1), ingress(Frontend, Catalog),
			[]asked{{9100, "TCP", "60"}},
			0, 0,
		},
	)
	p.print()
	return p
}

// ipv6 address of a network.
func ipv6(network uint16, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 4: byte(network >> 8), 5: byte(network), 15: byte(host)})
}

// print what lines of flows have in common, in all layouts.
func (p *networkPolicy) print() {
	p.printed = make([][layouts]printed, len(p.flows))
	for i := range p.flows {
		for era := range layouts {
			p.printed[i][era] = p.flows[i].print(era)
		}
	}
}

// print what lines of a flow have in common, in a layout.
func (f *flow) print(l layout) printed {
	var kept texts
	head := []byte(f.table + " " + f.policy)
	rule, direction := "", ""
	if l >= v19 {
		rule = f.rule
		head = append(append(head, ' '), orNil(f.rule)...)
	}
	if l >= v113 {
		direction = f.direction
		head = append(append(head, ' '), direction...)
	}
	priority := orNil(f.priority)
	if f.priority == "" && l < v19 { // the default drop of Kubernetes has none
		priority = "-1"
	}
	return printed{
		head:    string(appendf(head, " %s %s", f.action, priority)),
		stream:  kept.sprintf("action=%q, direction=%q", f.action, direction),
		action:  kept.sprintf("action=%q", f.action),
		packets: kept.sprintf("policy=%q, rule=%q, direction=%q, action=%q", f.policy, rule, direction, f.action),
	}
}

// Second implements Part.
func (p *networkPolicy) Second(m Moment, out Output) {
	p.lines, p.texts = p.lines[:0], p.texts[:0]
	for i := range p.flows {
		for range often(p.rng, p.flows[i].mean(m)*p.o.Rate) {
			p.lines = append(p.lines, p.decide(m, i, p.layouts[0]))
		}
	}
	slices.SortStableFunc(p.lines, func(a, b policyLine) int { return a.at.Compare(b.at) })
	for _, l := range p.lines {
		l.at = p.times.next(l.at, m.Time)
		p.write(l, p.layouts[0], out)
	}
}

// say implements talker.
func (p *networkPolicy) say(m Moment, at time.Time, out Output) {
	if p.mix == nil {
		p.mix = p.mixed(m)
	}
	era := p.rng.IntN(len(p.layouts))
	p.texts = p.texts[:0]
	l := p.decide(m, pick(p.rng, p.mix[era]), p.layouts[era])
	l.at = at
	p.write(l, p.layouts[era], out)
}

// mixed gives flows for each layout, as often as they are in a moment.
func (p *networkPolicy) mixed(m Moment) (mix [][]int) {
	for _, layout := range p.layouts {
		var all []int
		for i := range p.flows {
			if f := &p.flows[i]; f.since <= layout {
				all = append(all, slices.Repeat([]int{i}, int(math.Round(10*f.mean(m))))...)
			}
		}
		mix = append(mix, all)
	}
	return mix
}

func (p *networkPolicy) write(l policyLine, era layout, out Output) {
	printed := &p.printed[l.flow][era]
	p.line = append(p.clock.append(p.line[:0], l.at), ' ')
	p.line = append(append(p.line, printed.head...), p.texts[l.from:l.to]...)
	out.Line("antrea-networkpolicy", p.line)
	out.Count("antrea-networkpolicy", printed.stream, 1)
	out.Count("corkline_networkpolicy_log_lines_total", printed.action, 1)
	out.Count("corkline_networkpolicy_logged_packets_total", printed.packets, float64(l.packets))
}

// decide on a connection.
func (p *networkPolicy) decide(m Moment, flow int, era layout) policyLine {
	f := &p.flows[flow]
	appliedTo, src, dst := f.ends(m, p.rng)
	s := &f.services[p.rng.IntN(len(f.services))]
	srcPort := 0
	if s.port != 0 {
		srcPort = 32768 + p.rng.IntN(28232)
	}
	l := policyLine{at: within(p.rng, m.Time), flow: flow, packets: 1, from: len(p.texts)}
	text := p.texts
	if era >= v113 {
		text = append(append(append(text, " "+Namespace+"/"...), appliedTo.Name...), ' ')
	} else {
		text = append(text, ' ')
	}
	switch {
	case era < v14:
		text = dst.AppendTo(append(src.AppendTo(append(text, "SRC: "...)), " DEST: "...))
	case era < v16:
		text = dst.AppendTo(append(src.AppendTo(text), ' '))
	default:
		text = append(appendPort(src.AppendTo(text), srcPort), ' ')
		text = appendPort(dst.AppendTo(text), s.port)
	}
	first, last := s.protocol, s.length
	if era < v16 {
		first, last = last, first
	}
	text = append(append(append(append(text, ' '), first...), ' '), last...)
	if era >= v112 {
		text = append(append(text, ' '), orNil(f.label)...)
	}
	if p.rng.Float64() < f.merged {
		l.packets = 2 + p.rng.IntN(f.most-1)
		// What is denied is gathered for a second.
		text = appendf(text, " [%d packets in %s]", l.packets, time.Second+time.Duration(p.rng.Int64N(int64(40*time.Millisecond))))
	}
	p.texts, l.to = text, len(text)
	return l
}

// appendPort with a blank before it.
func appendPort(to []byte, port int) []byte {
	if port == 0 {
		return append(to, " <nil>"...)
	}
	return strconv.AppendInt(append(to, ' '), int64(port), 10)
}

// orNil is how Antrea prints what a line does not have.
func orNil(s string) string {
	if s == "" {
		return "<nil>"
	}
	return s
}
