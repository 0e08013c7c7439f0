package antreametrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corkline/corkline/samples/foreign"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/vswitch"
)

// series is one value, or one histogram, whose value is its sum.
type series struct {
	labels []string
	value  float64

	bounds []float64
	counts []uint64 // of what lies above the bound before
	count  uint64
}

type key struct{ exporter, name, labels string }

// cluster is what the metrics tell of, after a second.
type cluster struct {
	random       *rand.Rand
	rate         float64
	flowExporter bool
	version      foreign.Version
	all          map[key]*series
	order        map[[2]string][]*series // by exporter and name
	bounds       map[string][]float64    // of histograms

	began    bool
	node     node
	policies int
	flows    []vswitch.TableFlows
	queue    float64 // of groups that the controller has yet to sync

	known map[node][]vswitch.TableFlows
}

// node is what the flows of the switch depend on.
type node struct {
	replicas         int
	rejected, denied bool
}

func newCluster(o Options, v foreign.Version, exporters []foreign.Exporter) *cluster {
	c := &cluster{
		random: o.Simulation.Random("antrea-metrics"), rate: o.Simulation.Rate, flowExporter: o.FlowExporter, version: v,
		known: map[node][]vswitch.TableFlows{}, all: map[key]*series{}, order: map[[2]string][]*series{}, bounds: map[string][]float64{},
	}
	for _, e := range exporters {
		for _, m := range e.Metrics {
			if m.Type == "histogram" && len(m.Buckets) == 0 {
				c.bounds[m.Name] = prometheus.DefBuckets
			} else if m.Type == "histogram" {
				c.bounds[m.Name] = m.Buckets
			}
		}
	}
	return c
}

// tables of the switch with their flows, as a version numbers them: before 1.13
// there is one more.
func (c *cluster) tables(m simulation.Moment, of node) []vswitch.TableFlows {
	tables, known := c.known[of]
	if known {
		return tables
	}
	tables = vswitch.FlowsByTable(m)
	if c.version.Major == 1 && c.version.Minor < 13 {
		at := slices.IndexFunc(tables, func(t vswitch.TableFlows) bool { return t.Table == "IngressSecurityClassifier" })
		tables = slices.Insert(tables, max(at, 0), vswitch.TableFlows{Table: "TrafficControl", Flows: 1})
	}
	c.known[of] = tables
	return tables
}

// of gives the series of a metric of an exporter.
func (c *cluster) of(exporter, name string) []*series { return c.order[[2]string{exporter, name}] }

// at finds the series, or makes it. Labels are in the order of the data.
func (c *cluster) at(exporter, name string, labels ...string) *series {
	k := key{exporter, name, strings.Join(labels, "\xff")}
	s := c.all[k]
	if s == nil {
		s = &series{labels: labels, bounds: c.bounds[name]}
		s.counts = make([]uint64, len(s.bounds))
		c.all[k] = s
		c.order[[2]string{exporter, name}] = append(c.order[[2]string{exporter, name}], s)
	}
	return s
}

func (s *series) observe(v float64) {
	s.count++
	s.value += v
	for i, bound := range s.bounds {
		if v <= bound {
			s.counts[i]++
			return
		}
	}
}

// around a mean, as times are: never negative, and now and then far above it.
func (c *cluster) around(mean float64) float64 {
	return mean * math.Exp(0.5*c.random.NormFloat64()) / 1.13
}

// some whole number whose mean is n.
func (c *cluster) some(n float64) float64 {
	whole := math.Floor(n)
	if c.random.Float64() < n-whole {
		whole++
	}
	return whole
}

const (
	agent      = "antrea-agent"
	controller = "antrea-controller"
	apiServer  = "kube-apiserver"
)

// second lets one pass.
func (c *cluster) second(m simulation.Moment) {
	pods := len(m.Pods())
	_, rejected := m.Told(simulation.Rejected)
	_, denied := m.Told(simulation.DefaultDeny)
	policies := 3
	for _, told := range []bool{rejected, denied} {
		if told {
			policies++
		}
	}
	now := node{m.Replicas, rejected, denied}
	if !c.began {
		c.node, c.policies = now, policies
	}
	changed := math.Abs(float64(now.replicas - c.node.replicas)) // Pods that came or went
	turned := math.Abs(float64(policies - c.policies))           // policies that did

	operations := c.overSwitch(m, pods, now)
	c.overPolicies(policies, rejected, denied)
	c.overConnections(m)
	c.overProxy(m, changed)
	c.overController(changed, turned)
	c.overAPI(changed, turned)
	c.overProcesses(m, pods, operations, changed)
	c.node, c.policies, c.began = now, policies, true
}

// overSwitch tells what the agent does with the switch, and gives how many
// flows it touched.
func (c *cluster) overSwitch(m simulation.Moment, pods int, now node) (operations float64) {
	c.at(agent, "antrea_agent_local_pod_count").value = float64(pods)
	did := map[string]float64{}
	if !c.began || now != c.node {
		total := 0
		tables := c.tables(m, now)
		for i, t := range tables {
			total += t.Flows
			c.at(agent, "antrea_agent_ovs_flow_count", strconv.Itoa(i), t.Table).value = float64(t.Flows)
			came := t.Flows // all at the agent's start
			if c.flows != nil {
				came -= c.flows[i].Flows
			}
			did["add"] += float64(max(came, 0))
			did["delete"] += float64(max(-came, 0))
		}
		c.flows = tables
		c.at(agent, "antrea_agent_ovs_total_flow_count").value = float64(total)
	}
	// Groups and conjunctions are modified with what they consist of; and there
	// is always somebody who touches a Service.
	did["modify"] = c.some(0.2 + 0.3*(did["add"]+did["delete"])/5)
	for _, operation := range []string{"add", "modify", "delete"} {
		n := did[operation]
		operations += n
		c.at(agent, "antrea_agent_ovs_flow_ops_count", operation).value += n
		// A busy switch refuses one in hundreds.
		failed := c.at(agent, "antrea_agent_ovs_flow_ops_error_count", operation)
		latency := c.at(agent, "antrea_agent_ovs_flow_ops_latency_milliseconds", operation)
		for range int(n) {
			latency.observe(c.around(0.4 + n/20))
		}
		if n > 2 && c.random.Float64() < n/400 {
			failed.value++
		}
	}

	dropped := c.at(agent, "antrea_agent_ovs_meter_packet_dropped_count", "PacketInMeterNetworkPolicy")
	if progress, flood := m.Told(simulation.SYNFlood); flood {
		// What is logged of a flood goes through the meter, which has let more
		// pass since 2.4.
		most := 60.0
		if c.version.Major > 2 || c.version.Major == 2 && c.version.Minor >= 4 {
			most = 20
		}
		dropped.value += c.some(c.rate * most * math.Sin(math.Pi*progress) * (0.9 + 0.2*c.random.Float64()))
	}
	c.at(agent, "antrea_agent_ovs_meter_packet_dropped_count", "PacketInMeterTraceflow")
	c.at(agent, "antrea_agent_ovs_meter_packet_dropped_count", "PacketInMeterDNSInterception")
	return operations
}

func (c *cluster) overPolicies(policies int, rejected, denied bool) {
	ingress, egress := 4.0, 2.0
	if rejected {
		ingress++
	}
	if denied { // isolates in both directions
		ingress++
		egress++
	}
	c.at(agent, "antrea_agent_networkpolicy_count").value = float64(policies)
	c.at(agent, "antrea_agent_ingress_networkpolicy_rule_count").value = ingress
	c.at(agent, "antrea_agent_egress_networkpolicy_rule_count").value = egress
	c.at(agent, "antrea_agent_fqdn_cache_size").value = 12 + c.some(0.5)
	c.at(agent, "antrea_agent_fqdn_cache_eviction_count", "selector_limit")
	c.at(agent, "antrea_agent_fqdn_cache_eviction_count", "total_limit")

	refused := c.at(agent, "antrea_agent_denied_connection_count")
	if c.flowExporter && rejected {
		refused.value += c.some(4 * c.rate)
	}
	if c.flowExporter && denied {
		refused.value += c.some(2 * c.rate)
	}
}

// connTrackMax is what Linux takes on a node with some gigabytes.
const connTrackMax = 262144

func (c *cluster) overConnections(m simulation.Moment) {
	total := c.at(agent, "antrea_agent_conntrack_total_connection_count")
	antrea := c.at(agent, "antrea_agent_conntrack_antrea_connection_count")
	limit := c.at(agent, "antrea_agent_conntrack_max_connection_count")
	poll := c.at(agent, "antrea_agent_conntrack_poll_cycle_duration_seconds")
	c.at(agent, "antrea_agent_flow_collector_reconnection_count")
	if !c.flowExporter || m.Second%5 != 0 { // flowPollInterval
		return
	}
	own := math.Round((210 + 12*float64(m.Replicas)) * (0.95 + 0.1*c.random.Float64()))
	if progress, flood := m.Told(simulation.SYNFlood); flood {
		own += math.Round(connTrackMax * 0.97 * min(1, 2*progress))
	}
	antrea.value, total.value, limit.value = own, min(own*4/3, connTrackMax), connTrackMax
	poll.observe(c.around(0.004 + own/2e5))
}

func (c *cluster) overProxy(m simulation.Moment, changed float64) {
	const family = "v4"
	c.at(agent, "antrea_proxy_total_services_installed", family).value = 23
	c.at(agent, "antrea_proxy_total_endpoints_installed", family).value = float64(41 + m.Replicas)
	c.at(agent, "antrea_proxy_total_endpoints_updates", family).value += changed + c.some(0.02)
	c.at(agent, "antrea_proxy_total_services_updates", family).value += c.some(0.01)
	sync := c.at(agent, "antrea_proxy_sync_proxy_rules_duration_seconds", family)
	if changed > 0 || m.Second%30 == 0 {
		sync.observe(c.around(0.004 + float64(m.Replicas)/4000))
	}
}

// overController tells how it follows: each Pod is in groups that policies
// select by, and each policy has some of its own.
func (c *cluster) overController(changed, turned float64) {
	work := []struct {
		kind  string
		came  float64
		took  float64 // milliseconds
		share float64 // of the queue
	}{
		{"address_group", 2*changed + 2*turned + c.some(0.03), 0.6, 0.6},
		{"applied_to_group", changed + turned + c.some(0.03), 0.4, 0.4},
		{"network_policy", changed/2 + 2*turned + c.some(0.02), 0.9, 0.2},
	}
	c.queue = max(0, c.queue+3*changed+4*turned-2.8)
	for _, w := range work {
		n := c.some(w.came)
		c.at(controller, "antrea_controller_"+w.kind+"_processed").value += n
		c.at(controller, "antrea_controller_length_"+w.kind+"_queue").value = math.Round(w.share * c.queue)
		sync := c.at(controller, "antrea_controller_"+w.kind+"_sync_duration_milliseconds")
		for range int(n) {
			// Long queues and large groups make it slow.
			sync.observe(c.around(w.took * (1 + c.queue/4 + float64(c.node.replicas)/20)))
		}
	}
	updates := func(kind string, n float64) { c.at(controller, "antrea_controller_"+kind+"_status_updates").value += n }
	namespaced := c.some(0.02 + turned + changed/4)
	updates("anp", namespaced)
	updates("annp", namespaced)
	updates("acnp", c.some(0.01+changed/5))
	updates("eg", c.some(0.002))
	updates("eip", c.some(0.002))
}

func (c *cluster) overAPI(changed, turned float64) {
	const host = "198.51.100.1:443"
	ask := func(exporter, code, method string, n float64) {
		c.at(exporter, "rest_client_requests_total", code, host, method).value += c.some(n)
	}
	ask(agent, "200", "GET", 0.5+changed/2)
	ask(agent, "200", "PUT", 0.1)
	ask(agent, "200", "PATCH", changed/3)
	ask(agent, "201", "POST", 0.02+turned)
	ask(agent, "404", "GET", changed/20)
	ask(controller, "200", "GET", 0.8+changed/2)
	ask(controller, "200", "PUT", 0.5+turned+changed/2)
	ask(controller, "409", "PUT", changed/15) // somebody else was first
	ask(controller, "201", "POST", 0.01+turned)

	for _, r := range []struct {
		verb, resource, scope, code string
		n                           float64
	}{
		{"GET", "leases", "resource", "200", 4},
		{"PUT", "leases", "resource", "200", 4},
		{"LIST", "pods", "cluster", "200", 0.3},
		{"WATCH", "pods", "cluster", "200", 0.2 + changed/10},
		{"GET", "pods", "resource", "200", 1 + 3*changed},
		{"PATCH", "pods", "resource", "200", 0.1 + 4*changed},
		{"POST", "pods", "resource", "201", changed},
		{"PUT", "endpointslices", "resource", "200", 0.05 + changed},
		{"PUT", "networkpolicies", "resource", "200", 0.05 + 2*turned},
		{"GET", "pods", "resource", "404", changed / 8},
		{"PUT", "endpointslices", "resource", "409", changed / 12},
	} {
		n := c.some(r.n)
		group, version := "", "v1"
		switch r.resource {
		case "leases":
			group = "coordination.k8s.io"
		case "endpointslices":
			group = "discovery.k8s.io"
		case "networkpolicies":
			group, version = "crd.antrea.io", "v1beta1"
		}
		c.at(apiServer, "apiserver_request_total", r.code, "apiserver", "", group, r.resource, r.scope, "", r.verb, version).value += n
		took := c.at(apiServer, "apiserver_request_duration_seconds", "apiserver", "", group, r.resource, r.scope, "", r.verb, version)
		for range int(n) {
			if r.verb == "WATCH" {
				took.observe(c.around(400))
			} else {
				took.observe(c.around(0.006 + changed/300))
			}
		}
	}
	c.at(apiServer, "apiserver_current_inflight_requests", "readOnly").value = 2 + c.some(1+2*changed)
	c.at(apiServer, "apiserver_current_inflight_requests", "mutating").value = c.some(0.5 + 2*changed)
}

const mebibyte = 1 << 20

func (c *cluster) overProcesses(m simulation.Moment, pods int, operations, changed float64) {
	for _, p := range []struct {
		name           string
		age            float64 // at the start, in days
		cpu            float64 // cores
		memory, extent float64 // resident and virtual
		files          float64
	}{
		{agent, 3, 0.02 + operations/400, float64(90+pods/2) * mebibyte, 1300 * mebibyte, float64(30 + pods/4)},
		{controller, 3, 0.01 + changed/60 + c.queue/800, (70 + c.queue/2) * mebibyte, 1250 * mebibyte, 22},
		{apiServer, 40, 0.15 + changed/15, float64(420+pods) * mebibyte, 1500 * mebibyte, 110},
	} {
		cpu := c.at(p.name, "process_cpu_seconds_total")
		cpu.value = math.Round(100*(cpu.value+c.around(p.cpu))) / 100 // the kernel counts so
		c.at(p.name, "process_start_time_seconds").value = float64(m.Time.Unix()-int64(m.Second)) - p.age*86400
		// Go frees its garbage from time to time.
		garbage := float64(m.Second%120) / 120 * 0.08
		c.at(p.name, "process_resident_memory_bytes").value = math.Round(p.memory*(1+garbage)/4096) * 4096
		c.at(p.name, "process_virtual_memory_bytes").value = p.extent
		c.at(p.name, "process_open_fds").value = p.files + c.some(1)
		c.at(p.name, "process_max_fds").value = 1048576
	}
}
