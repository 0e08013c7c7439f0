package ovs

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/corkline/corkline/parsers/ovs"
	"github.com/corkline/corkline/parsers/strict"
)

//go:embed antrea.yaml
var antreaYAML []byte

// The roles of tables that code looks for.
const (
	roleEgressRule     = "egress-rule"
	roleEgressDefault  = "egress-default"
	roleEgressMetric   = "egress-metric"
	roleIngressDefault = "ingress-default"
	roleIngressRule    = "ingress-rule"
	roleIngressMetric  = "ingress-metric"
	roleService        = "service"
	roleEndpoint       = "endpoint"
	roleTTL            = "ttl"
	roleAfterTTL       = "after-ttl"
)

// Reasons of drops that need no knowledge of a pipeline.
const (
	reasonTableMiss = "table_miss" // no flow but the one that matches all, or none at all
	reasonFlow      = "flow"       // a flow that has no actions
	reasonTTL       = "ttl"
)

// knowledge is what is known about Antrea's pipelines (antrea.yaml).
type knowledge struct {
	Roles       map[string][]string `yaml:"roles"`
	Generations []generation        `yaml:"generations"`
	Drops       []drop              `yaml:"drops"`
	Invariants  []invariant         `yaml:"invariants"`

	roleOf map[string]string // by the name of the table
}

// generation is a range of versions whose flows mean the same.
type generation struct {
	Name     string            `yaml:"name"`
	About    string            `yaml:"about"`
	Tables   []generationTable `yaml:"tables"`
	Cookies  []string          `yaml:"cookies"` // categories by their numbers
	Deny     []string          `yaml:"deny"`    // register marks of what a rule denies
	DenyRule string            `yaml:"deny_rule"`
	Reject   []string          `yaml:"reject"` // marks in the actions of a rule that rejects

	deny, reject []mark
}

type generationTable struct {
	ID   *int   `yaml:"id"` // nil where numbers are given out at start-up
	Name string `yaml:"name"`
}

// drop says why a flow ends a packet's way.
type drop struct {
	Reason     string   `yaml:"reason"`
	Rejected   string   `yaml:"rejected"`
	Roles      []string `yaml:"roles"`
	Match      string   `yaml:"match"`
	Denied     bool     `yaml:"denied"`
	Controller bool     `yaml:"controller"`
	Sets       []string `yaml:"sets"`
	Miss       *bool    `yaml:"miss"`
	Rule       *bool    `yaml:"rule"`

	field, value string // of Match
	sets         []mark
}

// invariant is a flow that every local pod needs.
type invariant struct {
	Name      string   `yaml:"name"`
	Roles     []string `yaml:"roles"`
	Field     string   `yaml:"field"`
	Protocols []string `yaml:"protocols"` // of them those that the pod has addresses of
}

// mark is bits of a field.
type mark struct {
	field       string
	value, mask uint64
}

// loadKnowledge reads antrea.yaml, or another text of its form. Its errors are strict.Faults.
func loadKnowledge(file string, text []byte) (*knowledge, error) {
	k := &knowledge{roleOf: map[string]string{}}
	doc, faults := strict.Decode(file, text, k)
	fault := func(key, format string, args ...any) { faults = append(faults, doc.Fault(key, format, args...)) }
	names := map[string]bool{}
	for i := range k.Generations {
		g := &k.Generations[i]
		at := fmt.Sprintf("generations[%d]", i)
		if g.Name == "" || len(g.Tables) == 0 || len(g.Cookies) == 0 {
			fault(at, "needs name, tables and cookies")
		}
		for _, t := range g.Tables {
			names[t.Name] = true
		}
		var err error
		for _, list := range []struct {
			key   string
			texts []string
			to    *[]mark
		}{{"deny", g.Deny, &g.deny}, {"reject", g.Reject, &g.reject}} {
			if *list.to, err = parseMarks(list.texts); err != nil {
				fault(at+"."+list.key, "%s", err)
			}
		}
	}
	for role, tables := range k.Roles {
		for i, name := range tables {
			if !names[name] {
				fault(fmt.Sprintf("roles.%s[%d]", role, i), "no generation has a table %q", name)
			}
			if other, twice := k.roleOf[name]; twice {
				fault(fmt.Sprintf("roles.%s[%d]", role, i), "%q has the role %s already", name, other)
			}
			k.roleOf[name] = role
		}
	}
	roles := func(at string, list []string) {
		for i, role := range list {
			if k.Roles[role] == nil {
				fault(fmt.Sprintf("%s.roles[%d]", at, i), "there is no role %q", role)
			}
		}
	}
	for i := range k.Drops {
		d := &k.Drops[i]
		at := fmt.Sprintf("drops[%d]", i)
		roles(at, d.Roles)
		if d.Reason == "" || len(d.Roles) == 0 {
			fault(at, "needs reason and roles")
		}
		var err error
		if d.sets, err = parseMarks(d.Sets); err != nil {
			fault(at+".sets", "%s", err)
		}
		if d.Match != "" {
			var ok bool
			if d.field, d.value, ok = strings.Cut(d.Match, "="); !ok {
				fault(at+".match", "%q is not field=value", d.Match)
			}
		}
	}
	for i := range k.Invariants {
		at := fmt.Sprintf("invariants[%d]", i)
		roles(at, k.Invariants[i].Roles)
		if field := k.Invariants[i].Field; field != "in_port" && field != "dl_dst" {
			fault(at+".field", "%q is not in_port or dl_dst", field)
		}
	}
	faults.Sort()
	return k, faults.Err()
}

func parseMarks(texts []string) ([]mark, error) {
	var marks []mark
	for _, text := range texts {
		field, bits, _ := strings.Cut(text, "=")
		value, mask, ok := ovs.ParseNumber([]byte(bits))
		if field == "" || !ok {
			return nil, fmt.Errorf("%q is not field=value/mask", text)
		}
		marks = append(marks, mark{field, value, mask})
	}
	return marks, nil
}

// pipeline is what is known about a bridge's tables.
type pipeline struct {
	known  *knowledge
	of     *generation // nil when the bridge is not Antrea's
	tables [256]table
}

// table of a bridge.
type table struct {
	label  string // its name, or its number where it has none
	role   string
	belong bool // to the generation
}

// recognise tells which tables those of a bridge are, by their names, or by the
// numbers of those with flows where no table has a name.
func (k *knowledge) recognise(names map[uint8]string, flows func(id uint8) bool) *pipeline {
	p := &pipeline{known: k}
	p.of = k.generationOf(names, flows)
	taken := map[string]bool{}
	for id := range p.tables {
		t := &p.tables[id]
		t.label = strings.ToValidUTF8(names[uint8(id)], "\uFFFD")
		if p.of != nil {
			t.belong = p.of.table(t.label, id, len(names) == 0, &t.label)
		}
		if t.belong {
			t.role = k.roleOf[t.label]
		}
		if t.label == "" {
			t.label = strconv.Itoa(id)
		}
		if taken[t.label] { // two series of one name would break the whole scrape
			t.label += "#" + strconv.Itoa(id)
		}
		taken[t.label] = true
	}
	return p
}

// table tells whether the generation has a table of a name, or with byID of a
// number, whose name it then gives.
func (g *generation) table(name string, id int, byID bool, label *string) bool {
	for _, t := range g.Tables {
		switch {
		case !byID && name != "" && t.Name == name:
			return true
		case byID && t.ID != nil && *t.ID == id:
			*label = t.Name
			return true
		}
	}
	return false
}

// So many more tables of a generation than of strangers must be there for a
// bridge to be Antrea's: numbers tell less than names do.
const (
	enoughNames   = 4
	enoughNumbers = 8
)

func (k *knowledge) generationOf(names map[uint8]string, flows func(uint8) bool) (best *generation) {
	most := enoughNames - 1
	if len(names) == 0 {
		most = enoughNumbers - 1
	}
	for i := range k.Generations {
		g := &k.Generations[i]
		n, strangers := 0, 0
		for id, name := range names {
			if g.table(name, int(id), false, nil) {
				n++
			} else {
				strangers++
			}
		}
		if len(names) == 0 {
			if g.named() {
				continue
			}
			for id := range 254 {
				var label string
				switch has := flows(uint8(id)); {
				case has && g.table("", id, true, &label):
					n++
				case has:
					strangers++
				}
			}
		}
		if n-strangers > most || best != nil && n-strangers == most {
			best, most = g, n-strangers
		}
	}
	return best
}

// named tells whether the generation's tables have names on the switch.
func (g *generation) named() bool { return g.Name != "1.0" }

// category of a flow's cookie.
func (p *pipeline) category(c ovs.Cookie) string {
	if p.of == nil || int(c.Category()) >= len(p.of.Cookies) {
		return "unknown"
	}
	return p.of.Cookies[c.Category()]
}

// tells whether a flow may mean more than itself: what it means takes its text.
func (p *pipeline) tells(f *flow) bool {
	if f.drops {
		return true
	}
	switch p.tables[f.table].role {
	case roleEgressMetric, roleIngressMetric, roleEgressDefault, roleIngressDefault, roleTTL, roleService, roleEndpoint:
		return true
	case roleEgressRule, roleIngressRule:
		return f.conjunction
	}
	return false
}

// kind of a flow: what its packets mean beside those of its table.
type kind uint8

const (
	plain  kind = iota
	ends        // the packet's way, for the reason
	allows      // what belongs to connections that a rule allowed; new of them
	allowsNew
	denies // what a rule denies
)

// meaning of a flow.
type meaning struct {
	// rule is the number (conj_id) of the rule that the flow belongs to, and
	// with isTTL the table that it leads to.
	rule   uint32
	kind   kind
	reason uint8 // of ends and denies
	flags  flags
}

type flags uint8

const (
	isPolicy flags = 1 << iota // a rule's own flow, which tells the rule's table and priority
	isReject                   // of a rule's own flow
	isTTL                      // it decreases the TTL before a table that only such packets reach
)

// understand says what a flow means, from the text of its match and actions.
func (p *pipeline) understand(t *table, priority uint16, match, actions []byte, reasons *reasons) (m meaning) {
	dropping, controller, dec, target := verdict(actions)
	if p.of == nil || !t.belong {
		if dropping {
			m.kind, m.reason = ends, reasons.of(missOr(priority, match, reasonFlow))
		}
		return m
	}
	switch t.role {
	case roleEgressMetric, roleIngressMetric:
		if id, isNew, ok := allowed(t.role, match); ok {
			if m.kind, m.rule = allows, id; isNew {
				m.kind = allowsNew
			}
			return m
		}
	case roleEgressRule, roleIngressRule, roleEgressDefault, roleIngressDefault:
		if id, ok := conjunction(match); ok {
			m.rule, m.flags = id, isPolicy
			if setsAny(actions, p.of.reject) {
				m.flags |= isReject
			}
		}
	case roleTTL:
		if id, ok := p.number(target); ok && dec && p.tables[id].role == roleAfterTTL {
			m.rule, m.flags = uint32(id), isTTL
		}
	}
	for i := range p.known.Drops {
		d := &p.known.Drops[i]
		ended := dropping || controller && d.Controller || len(d.sets) > 0 && setsAny(actions, d.sets)
		if !ended || !slices.Contains(d.Roles, t.role) || d.Miss != nil && *d.Miss != isMiss(priority, match) || d.Rule != nil && *d.Rule != (m.flags&isPolicy != 0) {
			continue
		}
		if d.Denied {
			id, ok := p.denied(match)
			if !ok {
				continue
			}
			m.kind, m.rule, m.reason = denies, id, reasons.of(d.Reason)
			return m
		}
		if d.field != "" && !matches(match, d.field, d.value) {
			continue
		}
		m.kind, m.reason = ends, reasons.of(d.Reason)
		return m
	}
	if dropping {
		m.kind, m.reason = ends, reasons.of(missOr(priority, match, reasonFlow))
	}
	return m
}

// rejected is the reason for a drop of a rule that rejects.
func (k *knowledge) rejected(reason string) string {
	for i := range k.Drops {
		if d := &k.Drops[i]; d.Reason == reason && d.Rejected != "" {
			return d.Rejected
		}
	}
	return reason
}

// number of the table that a flow goes to: by number or name.
func (p *pipeline) number(target []byte) (id uint8, ok bool) {
	if id, err := strconv.ParseUint(string(target), 10, 8); err == nil {
		return uint8(id), true
	}
	name := string(ovs.Unquote(target))
	for id := range p.tables {
		if p.tables[id].label == name {
			return uint8(id), true
		}
	}
	return 0, false
}

// same tells whether flows mean the same in another pipeline.
func (p *pipeline) same(other *pipeline) bool { return p.of == other.of && p.tables == other.tables }

func isMiss(priority uint16, match []byte) bool { return priority == 0 && len(match) == 0 }

func missOr(priority uint16, match []byte, other string) string {
	if isMiss(priority, match) {
		return reasonTableMiss
	}
	return other
}

// verdict tells whether a packet's way ends: actions are none (drop), or none
// but the controller's; whether they decrease the TTL; and where they go to.
// Actions that only write registers are of tables that are resubmitted to.
func verdict(actions []byte) (dropping, controller, dec bool, target []byte) {
	onlyController := true
	for name, argument := range ovs.Actions(actions) {
		switch string(name) {
		case "drop":
			return true, false, false, nil
		case "CONTROLLER", "controller":
			controller = true
			continue
		case "meter", "set_field", "load", "move":
			continue
		case "dec_ttl":
			dec = true
		case "goto_table":
			target = argument
		case "resubmit":
			if _, to, ok := bytes.Cut(argument, []byte{','}); ok {
				target, _, _ = bytes.Cut(to, []byte{','})
			}
		}
		onlyController = false
	}
	return false, controller && onlyController, dec, target
}

// allowed reads a flow of a metric table that counts a rule's connections.
func allowed(role string, match []byte) (id uint32, isNew, ok bool) {
	for name, value := range fields(match) {
		switch string(name) {
		case "ct_label":
			v, mask, good := ovs.ParseLabel(value)
			if !good || mask.High != 0 {
				return 0, false, false
			}
			switch {
			case role == roleIngressMetric && mask.Low == 0xffffffff:
				id, ok = v.IngressRule(), true
			case role == roleEgressMetric && mask.Low == 0xffffffff<<32:
				id, ok = v.EgressRule(), true
			}
		case "ct_state":
			isNew = stateHas(value, "+new")
		}
	}
	return id, isNew, ok
}

// denied gives the rule whose denied packets a flow of a metric table matches.
func (p *pipeline) denied(match []byte) (id uint32, ok bool) {
	marked, numbered := false, false
	for name, value := range fields(match) {
		v, mask, good := ovs.ParseNumber(value)
		if !good {
			continue
		}
		if string(name) == p.of.DenyRule {
			id, numbered = uint32(v), true
		}
		for _, m := range p.of.deny {
			marked = marked || string(name) == m.field && mask&m.mask == m.mask && v&m.mask == m.value
		}
	}
	return id, marked && numbered
}

func conjunction(match []byte) (id uint32, ok bool) {
	f := ovs.Flow{Match: match}
	return f.ConjunctionID()
}

func fields(match []byte) func(func(name, value []byte) bool) {
	f := ovs.Flow{Match: match}
	return f.MatchFields()
}

// matches tells whether a match has a field with a value: all of the flags of a
// ct_state, or the bits of a number.
func matches(match []byte, field, want string) bool {
	for name, value := range fields(match) {
		if string(name) != field {
			continue
		}
		if field == "ct_state" {
			return stateHas(value, want)
		}
		v, mask, ok := ovs.ParseNumber(value)
		w, bits, good := ovs.ParseNumber([]byte(want))
		return ok && good && mask&bits == bits && v&bits == w
	}
	return false
}

// stateHas tells whether a ct_state such as +inv+trk, or inv|trk, has a flag
// such as +inv.
func stateHas(state []byte, flag string) bool {
	if bytes.Contains(state, []byte(flag)) {
		return true
	}
	for part := range bytes.SplitSeq(state, []byte{'|'}) {
		if "+"+string(part) == flag {
			return true
		}
	}
	return false
}

// setsAny tells whether actions set all bits of one of the marks: set_field with
// a mask, or load into a range of bits.
func setsAny(actions []byte, marks []mark) bool {
	for name, argument := range ovs.Actions(actions) {
		value, to, ok := bytes.Cut(argument, []byte("->"))
		if !ok || string(name) != "set_field" && string(name) != "load" {
			continue
		}
		v, mask, ok := ovs.ParseNumber(value)
		if !ok {
			continue
		}
		field := string(to)
		if string(name) == "load" {
			if field, v, mask, ok = loaded(field, v); !ok {
				continue
			}
		}
		for _, m := range marks {
			if field == m.field && mask&m.mask == m.mask && v&m.mask == m.value {
				return true
			}
		}
	}
	return false
}

// loaded reads the target of a load, such as NXM_NX_REG0[10..12], which gives
// the field reg0 and the bits in it.
func loaded(target string, v uint64) (field string, value, mask uint64, ok bool) {
	name, bits, ok := strings.Cut(strings.TrimSuffix(target, "]"), "[")
	if !ok {
		return "", 0, 0, false
	}
	for _, prefix := range []string{"NXM_NX_", "NXM_OF_", "OXM_OF_"} {
		name = strings.TrimPrefix(name, prefix)
	}
	name = strings.ToLower(name)
	if bits == "" {
		return name, v, 1<<32 - 1, true
	}
	low, high, isRange := strings.Cut(bits, "..")
	if !isRange {
		high = low
	}
	from, err := strconv.ParseUint(low, 10, 6)
	if err != nil {
		return "", 0, 0, false
	}
	end, err := strconv.ParseUint(high, 10, 6)
	if err != nil || end < from {
		return "", 0, 0, false
	}
	return name, v << from, (1<<(end-from+1) - 1) << from, true
}

// reasons of drops, by the number that flows are remembered with.
type reasons []string

func (r *reasons) of(reason string) uint8 {
	i := slices.Index(*r, reason)
	if i < 0 {
		i = len(*r)
		*r = append(*r, reason)
	}
	return uint8(i)
}
