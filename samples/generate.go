package samples

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options of a Generator.
type Options struct {
	// Seed decides every line; equal options give equal lines.
	Seed int64
	// Start is the time that the lines follow, printed in UTC. Zero means
	// 2024-01-01.
	Start time.Time
	// Step is the mean time between two lines, a microsecond at least. Zero
	// means a millisecond.
	Step time.Duration
	// Layouts that the lines have, each named by the first Antrea release
	// that printed it; see Layouts. None means the newest only.
	Layouts []string
}

// Key says which rule decided and how. What a layout does not print, or
// prints as <nil>, is empty.
type Key struct{ Policy, Rule, Direction, Action string }

// Total counts what the lines of one Key hold: a line stands for one packet,
// or for as many as its suffix says.
type Total struct{ Lines, Packets uint64 }

// Generator makes Antrea network-policy log lines without end. It is not safe
// for concurrent use.
type Generator struct {
	rng       *rand.Rand
	now       time.Time
	step      int64 // mean, in microseconds
	decisions [len(actions)][]decision
	mix       []int // actions, each as often as its share
	pods      []pod
	outside   []pod
	durations []string
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
)

// Layouts names what Options.Layouts may hold, oldest first.
func Layouts() []string { return []string{"0.11", "1.4", "1.6", "1.9", "1.12", "1.13"} }

const (
	allow = iota
	drop
	reject
	pass
	redirect
)

var actions = [...]struct {
	name  string
	share int
}{
	allow:    {"Allow", 28},
	drop:     {"Drop", 8},
	reject:   {"Reject", 4},
	pass:     {"Pass", 1},
	redirect: {"Redirect", 1},
}

// rule of a policy. A %s in policy stands for the namespace.
type rule struct {
	since    layout
	table    string
	policy   string
	name     string
	egress   bool
	action   int
	priority string
	label    string
}

var namespaces = [...]string{"shop", "payments", "monitoring", "media"}

// Rules that every namespace has.
var namespacedRules = [...]rule{
	{v011, "AntreaPolicyIngressRule", "AntreaNetworkPolicy:%s/web", "allow-frontend", false, allow, "14600", "web"},
	{v011, "AntreaPolicyIngressRule", "AntreaNetworkPolicy:%s/web", "allow metrics scrape", false, allow, "14599", ""},
	{v011, "AntreaPolicyIngressRule", "AntreaNetworkPolicy:%s/web", "drop anything else", false, drop, "14598", "web"},
	{v011, "AntreaPolicyIngressRule", "AntreaNetworkPolicy:%s/database", "allow-web", false, allow, "14500", ""},
	{v011, "AntreaPolicyIngressRule", "AntreaNetworkPolicy:%s/database", "ingress-reject-0a1b2c3", false, reject, "14499", ""},
	{v011, "AntreaPolicyEgressRule", "AntreaNetworkPolicy:%s/egress", "allow-dns", true, allow, "14400", "dns"},
	{v011, "AntreaPolicyEgressRule", "AntreaNetworkPolicy:%s/egress", "allow partner API", true, allow, "14399", ""},
	{v011, "AntreaPolicyEgressRule", "AntreaNetworkPolicy:%s/egress", "egress-drop-4d5e6f7", true, drop, "14398", ""},
	{v16, "IngressRule", "K8sNetworkPolicy:%s/np", "", false, allow, "190", ""},
	{v16, "EgressRule", "K8sNetworkPolicy:%s/np-egress", "", true, allow, "200", ""},
}

// Rules of the cluster.
var clusterRules = [...]rule{
	{v16, "IngressDefaultRule", "K8sNetworkPolicy", "", false, drop, "", ""},
	{v19, "AntreaPolicyIngressRule", "AntreaClusterNetworkPolicy:tenants", "pass-own-tenant", false, pass, "14210", "tenants"},
	{v19, "AntreaPolicyIngressRule", "AntreaClusterNetworkPolicy:l7", "allow-get", false, redirect, "14300", "l7"},
	{v113, "AntreaPolicyEgressRule", "AdminNetworkPolicy:/tenants", "pass monitoring", true, pass, "14200", ""},
}

// service is what a connection asks for.
type service struct{ port, protocol, protocol6, length string }

// The first is what a Redirect goes for; each is as likely as it is often here.
var services = [...]service{
	{"80", "TCP", "TCP", "60"},
	{"443", "TCP", "TCP", "60"},
	{"443", "TCP", "TCP", "52"},
	{"8080", "TCP", "TCP", "60"},
	{"5432", "TCP", "TCP", "60"},
	{"6379", "TCP", "TCP", "64"},
	{"9100", "TCP", "TCP", "60"},
	{"53", "UDP", "UDP", "71"},
	{"53", "UDP", "UDP", "84"},
	{"123", "UDP", "UDP", "76"},
	{"", "ICMP", "IPv6-ICMP", "84"},
	{"", "SCTP", "SCTP", "68"},
}

// decision is a rule as one layout prints it, and what it decided so far.
type decision struct {
	rule   rule
	layout layout
	key    Key
	head   string // the tokens from the table to the priority
	label  string
	pods   []pod // that the rule applies to
	total  Total
}

// pod is an end of a connection, of either address family.
type pod struct{ name, v4, v6 string }

const (
	podsPerNamespace = 50
	outsiders        = 60
)

// NewGenerator panics when o names a layout that does not exist.
func NewGenerator(o Options) *Generator {
	if o.Start.IsZero() {
		o.Start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.Step == 0 {
		o.Step = time.Millisecond
	}
	names := Layouts()
	if len(o.Layouts) == 0 {
		o.Layouts = names[v113:]
	}
	g := &Generator{
		rng:  rand.New(rand.NewPCG(uint64(o.Seed), 0)),
		now:  o.Start.UTC().Truncate(time.Microsecond),
		step: max(1, o.Step.Microseconds()),
	}
	for i := range len(namespaces) * podsPerNamespace {
		g.pods = append(g.pods, pod{
			name: fmt.Sprintf("%s/web-%d", namespaces[i/podsPerNamespace], i%podsPerNamespace),
			v4:   fmt.Sprintf("192.0.2.%d", i+10),
			v6:   fmt.Sprintf("2001:db8::%x", i+10),
		})
	}
	for i := range outsiders {
		g.outside = append(g.outside, pod{
			v4: fmt.Sprintf("198.51.100.%d", i+1),
			v6: fmt.Sprintf("2001:db8:ffff::%x", i+1),
		})
	}
	for range 256 { // Antrea merges denied packets for about a second
		d := 990*time.Millisecond + time.Duration(g.rng.Int64N(int64(60*time.Millisecond)))
		g.durations = append(g.durations, d.String())
	}
	for _, name := range o.Layouts {
		l := slices.Index(names, name)
		if l < 0 {
			panic(fmt.Sprintf("samples: no layout %q, only %q", name, names))
		}
		g.addRules(layout(l))
	}
	for action, decisions := range g.decisions {
		if len(decisions) > 0 {
			g.mix = append(g.mix, slices.Repeat([]int{action}, actions[action].share)...)
		}
	}
	return g
}

// addRules gives g every rule that the layout could log.
func (g *Generator) addRules(l layout) {
	add := func(r rule, pods []pod) {
		if r.since <= l {
			g.decisions[r.action] = append(g.decisions[r.action], newDecision(r, l, pods))
		}
	}
	for i, namespace := range namespaces {
		pods := g.pods[i*podsPerNamespace:][:podsPerNamespace]
		for _, r := range namespacedRules {
			r.policy = fmt.Sprintf(r.policy, namespace)
			add(r, pods)
		}
	}
	for _, r := range clusterRules {
		add(r, g.pods)
	}
}

func newDecision(r rule, l layout, pods []pod) decision {
	d := decision{
		rule:   r,
		layout: l,
		key:    Key{Policy: r.policy, Action: actions[r.action].name},
		label:  orNil(r.label),
		pods:   pods,
	}
	head := []string{r.table, r.policy}
	if l >= v19 {
		d.key.Rule = r.name
		head = append(head, orNil(r.name))
	}
	if l >= v113 {
		d.key.Direction = "Ingress"
		if r.egress {
			d.key.Direction = "Egress"
		}
		head = append(head, d.key.Direction)
	}
	priority := orNil(r.priority)
	if r.priority == "" && l < v19 { // the default drop of Kubernetes has none
		priority = "-1"
	}
	d.head = strings.Join(append(head, d.key.Action, priority), " ")
	return d
}

// orNil is how Antrea prints what a line does not have.
func orNil(s string) string {
	if s == "" {
		return "<nil>"
	}
	return s
}

// Next appends one line and its line end to dst. The times of the lines
// strictly increase, so that no two are equal.
func (g *Generator) Next(dst []byte) []byte {
	action := *pick(g.rng, g.mix)
	d := pick(g.rng, g.decisions[action])
	appliedTo := pick(g.rng, d.pods)
	from, to := pick(g.rng, g.pods), appliedTo
	if d.rule.egress {
		from, to = appliedTo, pick(g.rng, g.outside)
	}
	wanted := pick(g.rng, services[:])
	if action == redirect {
		wanted = &services[0]
	}
	src, dest, protocol := from.v4, to.v4, wanted.protocol
	if g.rng.IntN(10) == 0 {
		src, dest, protocol = from.v6, to.v6, wanted.protocol6
	}

	g.now = g.now.Add(time.Duration(1+g.rng.Int64N(2*g.step-1)) * time.Microsecond)
	dst = g.now.AppendFormat(dst, "2006/01/02 15:04:05.000000")
	dst = appendTokens(dst, d.head)
	if d.layout >= v113 {
		dst = appendTokens(dst, appliedTo.name)
	}
	switch {
	case d.layout < v14:
		dst = appendTokens(dst, "SRC:", src, "DEST:", dest, wanted.length, protocol)
	case d.layout < v16:
		dst = appendTokens(dst, src, dest, wanted.length, protocol)
	case wanted.port == "":
		dst = appendTokens(dst, src, "<nil>", dest, "<nil>", protocol, wanted.length)
	default:
		dst = append(appendTokens(dst, src), ' ')
		dst = strconv.AppendInt(dst, 32768+g.rng.Int64N(28232), 10)
		dst = appendTokens(dst, dest, wanted.port, protocol, wanted.length)
	}
	if d.layout >= v112 {
		dst = appendTokens(dst, d.label)
	}
	packets := int64(1)
	if (action == drop || action == reject) && g.rng.IntN(3) == 0 {
		packets = 2 + g.rng.Int64N(49)
		dst = append(dst, " ["...)
		dst = strconv.AppendInt(dst, packets, 10)
		dst = appendTokens(dst, "packets", "in", *pick(g.rng, g.durations))
		dst = append(dst, ']')
	}
	d.total.Lines++
	d.total.Packets += uint64(packets)
	return append(dst, '\n')
}

// Totals says what the lines that Next made so far hold.
func (g *Generator) Totals() map[Key]Total {
	totals := make(map[Key]Total)
	for _, decisions := range g.decisions {
		for _, d := range decisions {
			if d.total.Lines == 0 {
				continue
			}
			t := totals[d.key]
			t.Lines += d.total.Lines
			t.Packets += d.total.Packets
			totals[d.key] = t
		}
	}
	return totals
}

func pick[T any](rng *rand.Rand, from []T) *T { return &from[rng.IntN(len(from))] }

func appendTokens(dst []byte, tokens ...string) []byte {
	for _, t := range tokens {
		dst = append(dst, ' ')
		dst = append(dst, t...)
	}
	return dst
}
