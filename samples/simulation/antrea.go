package simulation

import (
	"math/rand/v2"
	"strings"
	"time"
)

// agent writes the log of the Antrea agent.
type agent struct {
	klog
	o     Options
	rng   *rand.Rand
	webs  []Pod
	pods  churn
	turns turn
	ports int // of the bridge, given so far
	flows int // connections told so far
}

func newAgent(o Options) *agent {
	return &agent{
		klog: newKlog("antrea-agent", "corkline_agent_log_messages_total"),
		o:    o, rng: o.Random("antrea-agent"), webs: webs(), turns: turn{}, ports: 10,
	}
}

// Second implements Part.
func (a *agent) Second(m Moment, out Output) {
	added, deleted := a.pods.second(m)
	for _, pod := range added {
		a.add(m, pod)
	}
	for _, pod := range deleted {
		a.del(m, pod)
	}
	if len(added)+len(deleted) > 0 {
		a.info(within(a.rng, m.Time), "proxier.go:618", `"Endpoints of a Service have changed" service="shop/web:http" added=%d removed=%d total=%d`, len(added), len(deleted), m.Replicas)
	}
	for _, p := range [...]struct {
		story        Story
		policy, rule string
		flows        int
	}{{Rejected, "shop/catalog-closed", RejectRule, 6}, {DefaultDeny, "shop/payments-isolated", "", 4}} {
		switch begins, ends := a.turns.second(m, p.story); {
		case begins:
			a.policy(m, p.policy, p.rule, p.flows)
		case ends:
			at := within(a.rng, m.Time)
			a.info(at, "networkpolicy_controller.go:584", `"NetworkPolicy is gone" policy=%q`, p.policy)
			a.info(at.Add(jitter(a.rng, 6*time.Millisecond)), "pod_reconciler.go:851", `"Flows of a rule were removed" policy=%q flows=%d`, p.policy, p.flows)
		}
	}
	if _, told := m.Told(SYNFlood); told {
		for range often(a.rng, 0.4*a.o.Rate) {
			a.fail(within(a.rng, m.Time), "conntrack_linux.go:141", `"Connections cannot be dumped" zone=65520 err="netlink receive: no buffer space available"`)
		}
	}
	for range often(a.rng, 4*a.o.Rate) {
		a.chat(m, within(a.rng, m.Time))
	}
	a.write(m.Time, out)
}

// say implements talker.
func (a *agent) say(m Moment, at time.Time, out Output) {
	a.chat(m, at)
	a.flush(out)
}

func (a *agent) container(pod Pod) string { return a.o.id("container " + pod.Name) }

// add a Pod: what the CNI server does.
func (a *agent) add(m Moment, pod Pod) {
	at, id := within(a.rng, m.Time), a.container(pod)
	a.ports++
	a.info(at, "server.go:437", `"CmdAdd request received" container=%q pod=%q netns="/var/run/netns/cni-%s"`, id, pod, id[:12])
	if a.rng.IntN(12) == 0 {
		at = at.Add(jitter(a.rng, 5*time.Millisecond))
		a.warn(at, "pod_configuration.go:261", `"Interface has no port number yet, waiting" pod=%q interface=%q`, pod, pod.Interface())
	}
	if a.rng.IntN(25) == 0 {
		at = at.Add(jitter(a.rng, 10*time.Millisecond))
		a.fail(at, "server.go:462", `"CmdAdd has failed, the runtime will ask again" container=%q pod=%q err="interface %s: timed out waiting for its port"`, id, pod, pod.Interface())
		at = at.Add(jitter(a.rng, 300*time.Millisecond))
		a.info(at, "server.go:437", `"CmdAdd request received" container=%q pod=%q netns="/var/run/netns/cni-%s"`, id, pod, id[:12])
	}
	at = at.Add(jitter(a.rng, 18*time.Millisecond))
	a.info(at, "pod_configuration.go:243", `"Pod interface is configured" pod=%q container=%q interface=%q ip=%q ofport=%d flows=%d`, pod, id[:12], pod.Interface(), pod.Address, a.ports, FlowsPerPod)
	at = at.Add(jitter(a.rng, 4*time.Millisecond))
	a.info(at, "server.go:481", `"CmdAdd succeeded" container=%q pod=%q`, id, pod)
}

func (a *agent) del(m Moment, pod Pod) {
	at, id := within(a.rng, m.Time), a.container(pod)
	a.info(at, "server.go:492", `"CmdDel request received" container=%q pod=%q`, id, pod)
	at = at.Add(jitter(a.rng, 9*time.Millisecond))
	a.info(at, "pod_configuration.go:318", `"Pod interface is removed" pod=%q container=%q interface=%q`, pod, id[:12], pod.Interface())
	at = at.Add(jitter(a.rng, 2*time.Millisecond))
	a.info(at, "server.go:527", `"CmdDel succeeded" container=%q pod=%q`, id, pod)
}

// policy is realized.
func (a *agent) policy(m Moment, policy, rule string, flows int) {
	at := within(a.rng, m.Time)
	a.info(at, "networkpolicy_controller.go:547", `"NetworkPolicy received" policy=%q rules=1`, policy)
	at = at.Add(jitter(a.rng, 12*time.Millisecond))
	a.info(at, "pod_reconciler.go:402", `"Rule is installed" policy=%q rule=%q direction="In" flows=%d`, policy, rule, flows)
	at = at.Add(jitter(a.rng, 3*time.Millisecond))
	a.info(at, "status_controller.go:232", `"NetworkPolicy is realized" policy=%q generation=1`, policy)
}

// chat is what an agent says on an ordinary day.
func (a *agent) chat(m Moment, at time.Time) {
	rng := a.rng
	among(rng, []share[func()]{
		{30, func() {
			a.info(at, "proxier.go:1041", `"Proxy rules are synchronised" took=%q services=23 endpoints=%d`, jitter(rng, 3*time.Millisecond), 41+m.Replicas)
		}},
		{20, func() {
			a.info(at, "ofctrl_bridge.go:573", `"Bundle is committed" bridge=%q mods=%d took=%q`, Bridge, 1+rng.IntN(8), jitter(rng, 900*time.Microsecond))
		}},
		{14, func() {
			flows := 380 + 12*m.Replicas + rng.IntN(60)
			a.info(at, "conntrack_linux.go:63", "Polled conntrack, %d of %d connections are of the cluster", flows*3/4, flows)
		}},
		{16, func() { a.flow(at, m) }},
		{12, func() {
			a.info(at, "collector.go:166", `"Statistics of policies are reported" rules=%d took=%q`, 12+rng.IntN(4), jitter(rng, 2*time.Millisecond))
		}},
		{10, func() {
			a.info(at, "node_route_controller.go:611", `"Routes of a Node are in place" node="node-%d" podCIDR="192.0.2.128/26"`, 2+rng.IntN(4))
		}},
		{6, func() {
			a.info(at, "cluster.go:255", `"Member answers" node="node-%d" rtt=%q`, 2+rng.IntN(4), jitter(rng, 400*time.Microsecond))
		}},
		{3, func() {
			a.warn(at, "reflector.go:561", "object-cache: watch of *v1beta2.AddressGroup has ended with: the resource version is too old")
		}},
		{2, func() {
			a.warn(at, "route_linux.go:1204", `"Route was missing and is back" destination="192.0.2.%d/26" device="antrea-gw0"`, 64*rng.IntN(4))
		}},
		{1.2, func() {
			a.fail(at, "collector.go:181", `"Statistics of policies cannot be reported" err="Post \"https://198.51.100.1:443/apis/stats\": context deadline exceeded"`)
		}},
		{0.3, func() {
			a.fail(at, "config.go:88", "\"Configuration was read again, some keys are unknown\" config=<\n\tfeatureGates:\n\t  FlowExporter: true\n > path=\"/etc/antrea/antrea-agent.conf\"")
		}},
		{0.1, func() {
			a.fail(at, "runtime.go:79", "Observed a panic: \"index out of range\" (index out of range [3] with length 3)\n%s", stack(rng))
		}},
	})()
}

// flow is a connection that the flow exporter has found in conntrack, as Go
// prints the structure that Antrea keeps of it.
func (a *agent) flow(at time.Time, m Moment) {
	connections := []struct {
		from, to Pod
		protocol int
		port     uint16
		state    string
		ingress  string // policy of the Namespace
	}{
		{Frontend.Pod(), pick(a.rng, a.webs[:m.Replicas]), 6, WebPort, "ESTABLISHED", "web"},
		{Frontend.Pod(), DNS.Pod(), 17, DNSPort, "", "dns-open"},
		{Catalog.Pod(), DNS.Pod(), 17, DNSPort, "", "dns-open"},
		{Frontend.Pod(), Payments.Pod(), 6, PaymentsPort, "TIME_WAIT", "payments-np"},
		{Catalog.Pod(), Payments.Pod(), 6, PaymentsPort, "ESTABLISHED", "payments-np"},
	}
	if _, told := m.Told(DefaultDeny); told {
		connections = connections[:3]
	}
	c := connections[a.rng.IntN(len(connections))]
	began := at.Add(-jitter(a.rng, 4*time.Second)).UTC()
	a.flows++
	a.info(at, "conntrack_connections.go:210", `"New Antrea flow added" connection="&{ID:%d StartTime:%s StopTime:%s IsActive:true Zone:65520 Mark:0`+
		` FlowKey:{SourceAddress:%s DestinationAddress:%s Protocol:%d SourcePort:%d DestinationPort:%d} OriginalPackets:%d`+
		` SourcePodNamespace:%s SourcePodName:%s DestinationPodNamespace:%s DestinationPodName:%s`+
		` IngressNetworkPolicyName:%s IngressNetworkPolicyNamespace:%s EgressNetworkPolicyName: EgressNetworkPolicyNamespace: TCPState:%s}"`,
		a.flows, began, at.UTC().Truncate(time.Second), c.from.Address, c.to.Address, c.protocol, 32768+a.rng.IntN(28000), c.port, 1+a.rng.IntN(40),
		Namespace, c.from.Name, Namespace, c.to.Name, c.ingress, Namespace, c.state)
}

// stack as Go's runtime prints it.
func stack(rng *rand.Rand) string {
	text := appendf(nil, "goroutine %d [running]:", 20+rng.IntN(900))
	for _, f := range [...]string{"net.(*Table).At", "net.(*Table).Walk", "agent.(*Monitor).loop"} {
		text = appendf(text, "\nsimulated.example/%s(0xc%09x)\n\t/src/%s.go:%d +0x%x", f, rng.Uint32(), strings.ToLower(f[:3]), 20+rng.IntN(400), rng.IntN(4096))
	}
	return string(text)
}

// antreaController writes the log of the Antrea controller.
type antreaController struct {
	klog
	o     Options
	rng   *rand.Rand
	pods  churn
	turns turn
}

func newAntreaController(o Options) *antreaController {
	return &antreaController{
		klog: newKlog("antrea-controller", "corkline_controller_log_messages_total"),
		o:    o, rng: o.Random("antrea-controller"), turns: turn{},
	}
}

// Second implements Part.
func (c *antreaController) Second(m Moment, out Output) {
	added, deleted := c.pods.second(m)
	for range len(added) + len(deleted) {
		at := within(c.rng, m.Time)
		c.group(at, "AddressGroup", "pods of shop/web", m.Replicas)
		c.group(at.Add(jitter(c.rng, 2*time.Millisecond)), "AppliedToGroup", "pods of shop/web", m.Replicas)
	}
	for _, p := range [...]struct {
		story  Story
		kind   string
		policy string
	}{{Rejected, "AntreaNetworkPolicy", "shop/catalog-closed"}, {DefaultDeny, "K8sNetworkPolicy", "shop/payments-isolated"}} {
		at := within(c.rng, m.Time)
		switch begins, ends := c.turns.second(m, p.story); {
		case begins:
			c.info(at, "networkpolicy_controller.go:642", `"NetworkPolicy was created" type=%q policy=%q`, p.kind, p.policy)
			at = at.Add(jitter(c.rng, 4*time.Millisecond))
			c.policy(at, p.policy)
			c.info(at.Add(jitter(c.rng, 700*time.Millisecond)), "status_controller.go:384", `"Status is updated" policy=%q phase="Realized" realized=1 desired=1`, p.policy)
		case ends:
			c.info(at, "networkpolicy_controller.go:688", `"NetworkPolicy was deleted" type=%q policy=%q`, p.kind, p.policy)
		}
	}
	for range often(c.rng, 3*c.o.Rate) {
		c.chat(within(c.rng, m.Time))
	}
	c.write(m.Time, out)
}

// say implements talker.
func (c *antreaController) say(_ Moment, at time.Time, out Output) {
	c.chat(at)
	c.flush(out)
}

func (c *antreaController) group(at time.Time, kind, name string, members int) {
	c.info(at, "networkpolicy_controller.go:1264", `"%s is synchronised" name=%q members=%d nodes=1 took=%q`, kind, name, members, jitter(c.rng, time.Duration(100+3*members)*time.Microsecond))
}

func (c *antreaController) policy(at time.Time, policy string) {
	c.info(at, "networkpolicy_controller.go:1502", `"NetworkPolicy is synchronised" policy=%q rules=%d nodes=1 took=%q`, policy, 1+c.rng.IntN(3), jitter(c.rng, 400*time.Microsecond))
}

// chat is what a controller says on an ordinary day.
func (c *antreaController) chat(at time.Time) {
	rng := c.rng
	policy := pick(rng, []string{"shop/web", "shop/web-np", "shop/catalog", "shop/payments-np", "shop/egress", "tenants", "l7"})
	among(rng, []share[func()]{
		{30, func() { c.policy(at, policy) }},
		{20, func() { c.group(at, "AddressGroup", "pods of shop/frontend", 1+rng.IntN(3)) }},
		{15, func() { c.group(at, "AppliedToGroup", "pods of "+policy, 1+rng.IntN(3)) }},
		{14, func() {
			c.info(at, "status_controller.go:384", `"Status is updated" policy=%q phase="Realized" realized=1 desired=1`, policy)
		}},
		{8, func() {
			c.info(at, "stats_aggregator.go:271", `"Statistics of a Node are summed up" node=%q rules=%d`, c.o.Node, 12+rng.IntN(4))
		}},
		{6, func() {
			c.info(at, "store.go:252", "Watcher number %d has got %d events of *networking.AddressGroup", 3+rng.IntN(5), 1+rng.IntN(40))
		}},
		{2, func() {
			c.warn(at, "watchers.go:117", `"Watcher is slow and was ended" node=%q buffered=%d`, c.o.Node, 900+rng.IntN(124))
		}},
		{1.5, func() {
			c.fail(at, "status_controller.go:351", `"Status cannot be updated, trying again" policy=%q err="conflict: the object has been modified"`, policy)
		}},
		{0.5, func() {
			c.warn(at, "reflector.go:561", "object-cache: watch of *v1.Namespace has ended with: the resource version is too old")
		}},
	})()
}
