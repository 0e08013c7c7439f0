package simulation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// controller of AVI, which sends alerts by syslog: those on the state of objects
// as JSON, those on its configuration in the old form.
type controller struct {
	options Options
	rng     *rand.Rand
	slow    state
	day     []alert // of which an ordinary day consists
	text    object
	kept    texts
}

func newController(o Options) *controller {
	return &controller{options: o, rng: o.Random("avi controller"), day: []alert{
		login,
		profile,
		poolUpdated(Members),
		serverUp(Member(0)),
		{
			medium, "Service-Engine-Load", "SEVM", engineName(0), uuid("se", 1),
			"Service Engine " + engineName(0) + " uses 81% of its CPU",
			[]string{"SE_CPU_HIGH"},
		},
	}}
}

// alert on an object, raised by events.
type alert struct {
	level, name string
	kind        string // of the object
	object      string
	uuid        string
	text        string
	events      []string
}

func (c *controller) Second(m Moment, out Output) {
	at := m.Time
	next := func() time.Time {
		at = at.Add(time.Duration(5+c.rng.IntN(60)) * time.Millisecond)
		return at
	}
	for _, a := range c.states(m) {
		c.writeJSON(m, next(), &a, out)
	}
	for _, a := range c.changes(m) {
		c.writeLegacy(m, next(), &a, out)
	}
}

// say implements talker.
func (c *controller) say(m Moment, at time.Time, out Output) {
	if a := &c.day[c.rng.IntN(len(c.day))]; a.level == "" {
		c.writeLegacy(m, at, a, out)
	} else {
		c.writeJSON(m, at, a, out)
	}
}

// What comes now and again.
var (
	login   = alert{name: "User-Access", object: "operator", text: `User operator logged in from 192.0.2.200 as member of ["network-admins"]`, events: []string{"USER_LOGIN"}}
	profile = alert{name: "Config-Change", object: "shop-analytics", text: "Analytics profile shop-analytics was updated by user operator", events: []string{"CONFIG_UPDATE"}}
)

func poolUpdated(servers int) alert {
	return alert{name: "Config-Change", object: Pool, text: fmt.Sprintf("Pool %s was updated to %d servers by user ako", Pool, servers), events: []string{"CONFIG_UPDATE"}}
}

func serverUp(server Pod) alert {
	return alert{
		low, "Server-State", "POOL", Pool, uuid("pool", 1),
		fmt.Sprintf("Server %s (%s:8080) of pool %s is up", server.Name, server.Address, Pool),
		[]string{"SERVER_UP"},
	}
}

// module of the Controller that reports on objects of this kind.
func (a *alert) module() string {
	switch a.kind {
	case "SEVM":
		return "SE_MGR"
	case "GSLBSERVICE":
		return "GSLB_MGR"
	default:
		return "VS_MGR"
	}
}

// Levels of alerts.
const (
	low    = "ALERT_LOW"
	medium = "ALERT_MEDIUM"
	high   = "ALERT_HIGH"
)

// states that have changed in a second.
func (c *controller) states(m Moment) (all []alert) {
	before, after := c.slow, memberOf(m)
	c.slow = after
	server := Member(SlowServer)
	switch {
	case after == down && before != down:
		all = append(all, alert{
			medium, "Server-State", "POOL", Pool, uuid("pool", 1),
			fmt.Sprintf("Server %s (%s:8080) of pool %s is down: no answer to GET /healthz?token=%s within 4s", server.Name, server.Address, Pool, appendSecret(nil, c.rng)),
			[]string{"SERVER_DOWN", "SERVER_DOWN_HA_COMPROMISED"},
		})
	case before == down && after != down:
		all = append(all, serverUp(server))
	}
	all = append(all, c.payments(m)...)
	site := Sites()[0]
	switch began, ended := c.options.changed(m, SiteDown); {
	case began:
		all = append(all, alert{
			high, "GSLB-Member-State", "GSLBSERVICE", GSLBService, uuid("gslbservice", 1),
			fmt.Sprintf("Member %s of GSLB service %s at site %s is down", site.Address, GSLBService, site.Name),
			[]string{"GS_MEMBER_DOWN", "SE_HM_EVENT_GHM_DOWN"},
		})
	case ended:
		all = append(all, alert{
			low, "GSLB-Member-State", "GSLBSERVICE", GSLBService, uuid("gslbservice", 1),
			fmt.Sprintf("Member %s of GSLB service %s at site %s is up", site.Address, GSLBService, site.Name),
			[]string{"GS_MEMBER_UP", "SE_HM_EVENT_GHM_UP"},
		})
	}
	if second, told := m.Since(WAFAttack); told && second == 25 {
		all = append(all, alert{
			medium, "Service-Engine-Load", "SEVM", engineName(1), uuid("se", 2),
			fmt.Sprintf("Service Engine %s uses 91%% of its CPU", engineName(1)),
			[]string{"SE_CPU_HIGH"},
		})
	}
	return all
}

// payments is what comes of the servers of shop-tcp being cut off.
func (c *controller) payments(m Moment) (all []alert) {
	began, ended := c.options.changed(m, DefaultDeny)
	if !began && !ended {
		return nil
	}
	level, suffix, word := high, "DOWN", "down"
	if ended {
		level, suffix, word = low, "UP", "up"
	}
	for i := range paymentServers {
		p := payments(i)
		all = append(all, alert{level, "Server-State", "POOL", L4Pool, uuid("pool", 2), fmt.Sprintf("Server %s (%s:9443) of pool %s is %s", p.Name, p.Address, L4Pool, word), []string{"SERVER_" + suffix}})
	}
	return append(
		all,
		alert{level, "Pool-State", "POOL", L4Pool, uuid("pool", 2), fmt.Sprintf("Pool %s is %s", L4Pool, word), []string{"POOL_" + suffix}},
		alert{level, "Virtual-Service-State", "VIRTUALSERVICE", L4Service, uuid("virtualservice", 2), fmt.Sprintf("Virtual service %s is %s", L4Service, word), []string{"VS_" + suffix}},
	)
}

// changes of the configuration, and who logged in.
func (c *controller) changes(m Moment) (all []alert) {
	if servers, synced := c.options.synced(m); synced {
		all = append(all, poolUpdated(servers))
	}
	switch m.Second % 300 {
	case 33:
		all = append(all, login)
	case 52:
		all = append(all, profile)
	}
	return all
}

// sent is how the Controller stamps what it sends.
const sent = "2006-01-02 15:04:05,000"

// writeJSON has the head of SYSLOG_RFC5424, which is none of RFC 5424.
func (c *controller) writeJSON(m Moment, at time.Time, a *alert, out Output) {
	o := &c.text
	o.text = append(at.AppendFormat(append(o.text[:0], "<142>"...), sent), " controller-1 Avi-Controller - - - "...)
	o.start = len(o.text)
	o.begin("", '{')
	o.string("level", a.level)
	o.layout("timestamp", m.Time, "2006-01-02 15:04:05")
	o.string("obj_name", a.object)
	o.string("obj_uuid", a.uuid)
	o.string("tenant_uuid", "admin")
	o.string("summary", a.text)
	o.string("reason", "threshold_exceeded")
	o.number("threshold", 1)
	o.begin("events", '[')
	for _, event := range a.events {
		o.begin("", '{')
		o.string("event_id", event)
		o.string("obj_type", a.kind)
		o.string("module", a.module())
		o.string("event_description", a.text)
		o.layout("report_timestamp", m.Time, "2006-01-02T15:04:05Z")
		o.string("tenant", "admin")
		o.end('}')
	}
	o.end(']')
	o.end('}')
	out.Line("avi-event", o.text)
	countStream("avi-event", out, &c.kept, "level", a.level)
	for _, event := range a.events {
		out.Count("corkline_virtualservice_events_total", c.kept.labels("event", event, "level", a.level), 1)
	}
}

func (c *controller) writeLegacy(m Moment, at time.Time, a *alert, out Output) {
	text := at.AppendFormat(append(c.text.text[:0], "<142>["...), sent)
	text = appendf(text, ": Avi-Controller: INFO: ] [%s: reason: %s] At ", a.object, a.name)
	text = m.Time.AppendFormat(text, "2006-01-02 15:04:05+00:00")
	c.text.text = appendf(text, " event %s occurred on object %s in tenant admin as %s", a.events[0], a.object, a.text)
	out.Line("avi-event", c.text.text)
	countStream("avi-event", out, &c.kept, "level", "INFO")
	out.Count("corkline_virtualservice_events_total", c.kept.labels("event", a.events[0], "level", "INFO"), 1)
}
