package simulation

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"
)

// operator is AKO or AMKO: a container that logs in zap's console form, with
// coloured levels, and lines of client-go in between.
type operator struct {
	name     string
	options  Options
	rng      *rand.Rand
	pace     pace
	day      []message // of which an ordinary day consists
	rate     float64   // of those in a second
	messages func(m Moment, r *operator) []message
	said     []message // in a second
	text     []byte
	record   []byte
	kept     texts
}

// message of an operator.
type message struct {
	level level
	// kind of object that the agent finds in the text.
	kind string
	file string // with its line
	text string // may have several lines
	klog bool
}

// level of a message.
type level int

const (
	debug level = iota
	info
	warn
	failed
)

func (l level) String() string { return [...]string{"DEBUG", "INFO", "WARN", "ERROR"}[l] }

// colour is what zap writes for a level on a terminal, and on standard output.
func (l level) colour() int { return [...]int{35, 34, 33, 31}[l] }

// Messages in an ordinary second at rate 1.
const (
	akoRate  = 1.2
	amkoRate = 0.8
)

func newAKO(o Options) *operator {
	return &operator{name: "ako", options: o, rng: o.Random("ako"), day: akoOrdinary[:], rate: akoRate, messages: akoMessages}
}

func newAMKO(o Options) *operator {
	return &operator{name: "amko", options: o, rng: o.Random("amko"), day: amkoOrdinary[:], rate: amkoRate, messages: amkoMessages}
}

// Second implements Part.
func (p *operator) Second(m Moment, out Output) {
	all := p.messages(m, p)
	p.said = all[:0]
	for i, message := range all {
		// Each in a part of the second of its own.
		slot := 1_000_000 / len(all)
		at := m.Time.Add(time.Duration(i*slot+p.rng.IntN(max(1, slot-100))) * time.Microsecond)
		p.write(message, at, out)
	}
}

// say implements talker.
func (p *operator) say(_ Moment, at time.Time, out Output) { p.write(p.ordinary(), at, out) }

func (p *operator) write(message message, at time.Time, out Output) {
	text := p.text[:0]
	if message.klog {
		text = append(text, message.level.String()[0])
		text = at.AppendFormat(text, "0102 15:04:05.000000")
		text = appendf(text, " %7d %s] %s", 1, message.file, message.text)
	} else {
		text = at.AppendFormat(text, "2006-01-02T15:04:05.000Z")
		text = appendf(text, "\t\x1b[%dm%s\x1b[0m\t%s\t%s", message.level.colour(), message.level, message.file, message.text)
	}
	p.text, p.record = text, p.record[:0]
	n := 0
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		if n > 0 {
			p.record = append(p.record, '\n')
		}
		stamp := at.Add(time.Duration(n)*time.Microsecond + time.Duration(p.rng.IntN(1000)))
		p.record = stamp.AppendFormat(p.record, "2006-01-02T15:04:05.000000000Z")
		p.record = append(append(p.record, " stdout F "...), line...)
		n++
	}
	out.Line(p.name, p.record)
	out.Count(p.name, p.kept.labels("level", message.level.String(), "operator", p.name), 1)
	out.Count("corkline_operator_log_messages_total", p.kept.labels("level", message.level.String(), "object_kind", message.kind, "operator", p.name), 1)
}

// ordinary picks a message of an ordinary day. Warnings are rare.
func (p *operator) ordinary() message {
	picked := p.day[p.rng.IntN(len(p.day))]
	for picked.level == warn && p.rng.IntN(12) > 0 {
		picked = p.day[p.rng.IntN(len(p.day))]
	}
	return picked
}

// ordinarily picks those of a second.
func (p *operator) ordinarily() []message {
	all := p.said[:0]
	for range p.pace.take(p.rng, p.rate*p.options.Rate) {
		all = append(all, p.ordinary())
	}
	return all
}

// syncEvery is how many seconds AKO gathers changes before it writes a pool.
const syncEvery = 3

// synced tells with how many servers AKO writes the pool shop-web-pool in a
// second, if it does.
func (o Options) synced(m Moment) (servers int, synced bool) {
	if m.Second%syncEvery != 0 {
		return 0, false
	}
	servers = poolServers(m)
	return servers, servers != poolServers(o.At(m.Second-syncEvery))
}

// poolServers is how many servers shop-web-pool has: the Pods of the Deployment
// on this node, if they are more than those that are always there.
func poolServers(m Moment) int { return max(Members, m.Replicas) }

// model is AKO's name for the virtual services of the Ingresses.
const model = "admin/" + Cluster + "--Shared-L7-0"

var akoOrdinary = [...]message{
	{info, "Endpoints", "nodes/dequeue_ingestion.go:118", "key: Endpoints/shop/catalog, msg: nothing has changed in the graph", false},
	{info, "Endpoints", "nodes/dequeue_ingestion.go:118", "key: Endpoints/shop/payments, msg: nothing has changed in the graph", false},
	{info, "Pod", "k8s/controller.go:412", "key: Pod/shop/frontend-0, msg: annotation of node ports is up to date", false},
	{info, "Node", "k8s/controller.go:655", "key: Node/node-1, msg: heartbeat only, not processed", false},
	{info, "Ingress", "nodes/validator.go:73", "key: Ingress/shop/web, msg: host shop.example.com, 3 paths, all valid", false},
	{info, "admin", "rest/dequeue_nodes.go:201", "key: " + model + ", msg: checksums are equal, nothing to write", false},
	{debug, "", "cache/refresh.go:97", "refreshed the cache\t{\"tenant\": \"admin\", \"objects\": 34}", false},
	{debug, "admin", "rest/dequeue_nodes.go:88", "key: " + model + ", msg: taken from queue 2", false},
	{info, "L4LBService", "nodes/l4.go:140", "key: L4LBService/shop/payments, msg: pool values: {\"Name\":\"shop-payments-pool\",\"Port\":9443}", false},
	{warn, "Ingress", "nodes/validator.go:131", "key: Ingress/shop/legacy, msg: secret legacy-tls is not there, host is not served", false},
	{warn, "", "reflector.go:458", "watch of *v1.EndpointSlice ended: too old resource version", true},
}

func akoMessages(m Moment, p *operator) []message {
	all := p.ordinarily()
	if before, now := poolServers(p.options.At(m.Second-1)), poolServers(m); before != now {
		change := "added"
		if before > now {
			change = "removed"
		}
		all = append(all,
			message{info, "Pod", "k8s/controller.go:398", fmt.Sprintf("key: Pod/shop/web-%d, msg: %s", max(before, now)-1, change), false},
			message{info, "Endpoints", "nodes/dequeue_ingestion.go:92", fmt.Sprintf("key: Endpoints/shop/web, msg: has %d addresses", now), false})
	}
	if servers, synced := p.options.synced(m); synced {
		all = append(all, p.sync(servers)...)
	}
	switch m.Second % 120 {
	case 40:
		all = append(all, message{info, "HostRule", "status/crd.go:64", "key: HostRule/shop/shop-host, msg: status is Accepted", false})
	case 41:
		all = append(all, message{warn, "HostRule", "status/crd.go:71", "key: HostRule/shop/shop-canary, msg: status is Rejected: sslprofile lab-modern does not exist", false})
	case 97:
		all = append(all,
			message{failed, "", "avisession.go:704", "Client error for URI: api/cluster/runtime, error: code 401, session has expired", true},
			message{info, "", "rest/session.go:58", "logged in to the Controller again", false})
	}
	return all
}

// sync writes the pool. Now and then the Controller is busy.
func (p *operator) sync(servers int) []message {
	put := "PUT api/pool/" + uuid("pool", 1)
	all := []message{{info, "admin", "rest/dequeue_nodes.go:174", fmt.Sprintf("key: %s, msg: pool %s has changed, %d servers", model, Pool, servers), false}}
	if p.rng.IntN(9) == 0 {
		all = append(all,
			message{failed, "admin", "rest/rest_operation.go:233", fmt.Sprintf("key: %s, msg: %s failed: code: 503 {\n  error: \"pool %s is locked by another operation\"\n}", model, put, Pool), false},
			message{warn, "admin", "rest/retry.go:41", fmt.Sprintf("key: %s, msg: back to the queue, again in 1s", model), false})
	}
	return append(all, message{info, "admin", "rest/rest_operation.go:219", fmt.Sprintf("key: %s, msg: %s answered 200 after %dms", model, put, 40+p.rng.IntN(160)), false})
}

var amkoOrdinary = [...]message{
	{info, "INGRESS", "ingestion/event_handlers.go:144", "cluster: dublin, ns: shop, objType: INGRESS, op: UPDATE, objName: web/shop.example.com, msg: nothing has changed", false},
	{info, "INGRESS", "ingestion/event_handlers.go:144", "cluster: oslo, ns: shop, objType: INGRESS, op: UPDATE, objName: web/shop.example.com, msg: nothing has changed", false},
	{info, "INGRESS", "nodes/dq_nodes.go:210", "key: UPDATE/INGRESS/dublin/shop/web/shop.example.com, msg: member 198.51.100.62 is in the graph", false},
	{info, "admin", "rest/dq_nodes.go:318", "key: admin/shop.example.com, queue: 1, msg: checksums are equal, nothing to write", false},
	{debug, "admin", "rest/dq_nodes.go:402", "key: admin/shop.example.com, hmKey: {admin amko--http--shop.example.com--/healthz, 1}, msg: monitor is there", false},
	{info, "", "nodes/gslb_graph.go:87", "gsName: shop.example.com, msg: members by weight: 6, 3, 1", false},
	{info, "", "ingestion/fullsync.go:51", "ns: shop, gsFqdn: shop.example.com, resp: map[code:200], msg: synced", false},
	{debug, "", "controllers.MemberClusters", "reconciled\t{\"clusters\": 3}", false},
}

// gslbObject is what AMKO has made of the GSLB service, in its cache.
func gslbObject() string {
	var o object
	o.begin("", '{')
	o.string("Name", GSLBService)
	o.string("Tenant", "admin")
	o.string("Uuid", uuid("gslbservice", 1))
	o.begin("Members", '[')
	for _, s := range Sites() {
		o.begin("", '{')
		o.address("IPAddr", s.Address)
		o.number("Weight", s.Weight)
		o.end('}')
	}
	o.end(']')
	o.end('}')
	return string(o.text)
}

func amkoMessages(m Moment, p *operator) []message {
	all := p.ordinarily()
	if m.Second%60 == 3 {
		all = append(all, message{info, "admin", "cache/gs_cache.go:186", fmt.Sprintf("key: admin/%s, cacheKey: {admin %s}, value: %s, msg: added to the cache", GSLBName, GSLBService, gslbObject()), false})
	}
	site := Sites()[0]
	began, ended := p.options.changed(m, SiteDown)
	second, told := m.Since(SiteDown)
	switch {
	case began:
		all = append(all,
			message{warn, "", "nodes/gslb_graph.go:133", fmt.Sprintf("gsName: %s, msg: member %s of cluster %s is down, 2 of 3 are up", GSLBName, site.Address, site.Name), false},
			message{failed, "admin", "rest/rest_operation.go:171", fmt.Sprintf("key: admin/%s, msg: state of the site %s is not known: code: 504 {\n  error: \"no answer from %s.example.com\"\n}", GSLBName, site.Name, site.Name), false})
	case ended:
		all = append(all,
			message{info, "", "nodes/gslb_graph.go:139", fmt.Sprintf("gsName: %s, msg: member %s of cluster %s is up, 3 of 3 are up", GSLBName, site.Address, site.Name), false},
			message{info, "INGRESS", "nodes/dq_nodes.go:198", fmt.Sprintf("key: ADD/INGRESS/%s/shop/web/%s, msg: added to the graph again", site.Name, GSLBName), false})
	case told && second%15 == 6:
		all = append(all,
			message{failed, "", "reflector.go:158", fmt.Sprintf("failed to list *v1.Ingress: Get \"https://api.%s.example.com:6443/apis\": i/o timeout", site.Name), true},
			message{warn, "", "ingestion/members.go:77", fmt.Sprintf("cluster: %s, msg: API server does not answer, again in 15s", site.Name), false})
	}
	return all
}
