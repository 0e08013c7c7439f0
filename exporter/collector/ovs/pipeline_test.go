package ovs

import (
	"strings"
	"testing"

	"github.com/corkline/corkline/parsers/ovs"
)

func known(t testing.TB) *knowledge {
	t.Helper()
	k, err := loadKnowledge("antrea.yaml", antreaYAML)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Every table with a role is one of a generation, and each generation has what
// the invariants need.
func TestKnowledge(t *testing.T) {
	k := known(t)
	for i := range k.Generations {
		g := &k.Generations[i]
		names := map[uint8]string{}
		for n, table := range g.Tables {
			id := n
			if table.ID != nil {
				id = *table.ID
			}
			names[uint8(id)] = table.Name
		}
		if !g.named() {
			byID := names
			names = nil
			p := k.recognise(names, func(id uint8) bool { return byID[id] != "" })
			if p.of != g {
				t.Errorf("%s is not recognised by its numbers, but as %v", g.Name, p.of)
			}
			continue
		}
		p := k.recognise(names, nil)
		if p.of != g {
			t.Errorf("%s is taken for %v", g.Name, p.of)
			continue
		}
		for _, v := range k.Invariants {
			if _, ok := p.tableOf(v.Roles); !ok {
				t.Errorf("%s has no table for %s", g.Name, v.Name)
			}
		}
		for _, role := range []string{roleEgressRule, roleEgressDefault, roleEgressMetric, roleIngressRule, roleIngressDefault, roleIngressMetric, roleTTL} {
			if _, ok := p.tableOf([]string{role}); !ok {
				t.Errorf("%s has no table of role %s", g.Name, role)
			}
		}
	}
}

func TestKnowledge_Faults(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := loadKnowledge("k.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", text, want, err)
		}
	}
	const one = "generations: [{name: a, tables: [{name: T}], cookies: [c]}]\n"
	f("roles: {r: [T]}\n", `k.yaml:1:13: roles.r[0]: no generation has a table "T"`)
	f(one+"roles: {r: [T], s: [T]}\n", `"T" has the role`)
	f("generations: [{name: a}]\n", "needs name, tables and cookies")
	f("generations: [{name: a, tables: [{name: T}], cookies: [c], deny: [reg0]}]\n", `"reg0" is not field=value/mask`)
	f(one+"drops: [{reason: x, roles: [r]}]\n", `drops[0].roles[0]: there is no role "r"`)
	f(one+"drops: [{reason: x}]\n", "needs reason and roles")
	f(one+"roles: {r: [T]}\ndrops: [{reason: x, roles: [r], match: inv}]\n", `"inv" is not field=value`)
	f(one+"roles: {r: [T]}\ninvariants: [{name: x, roles: [r], field: nw_src}]\n", `"nw_src" is not in_port or dl_dst`)
	f("drop: []\n", `did you mean "drops"?`)
}

// Tables get their names, and never two of them the same.
func TestRecognise(t *testing.T) {
	k := known(t)
	none := func(uint8) bool { return false }
	f := func(names map[uint8]string, flows func(uint8) bool, generation string, labels map[uint8]string) {
		t.Helper()
		p := k.recognise(names, flows)
		got := "none"
		if p.of != nil {
			got = p.of.Name
		}
		if got != generation {
			t.Errorf("%v: %s, not %s", names, got, generation)
		}
		seen := map[string]bool{}
		for id := range p.tables {
			label := p.tables[id].label
			if seen[label] {
				t.Errorf("%v: %q twice", names, label)
			}
			seen[label] = true
			if want, ok := labels[uint8(id)]; ok && label != want {
				t.Errorf("%v: table %d is %q, not %q", names, id, label, want)
			}
		}
	}
	f(nil, none, "none", map[uint8]string{0: "0", 253: "253"})
	f(map[uint8]string{0: "a", 1: "a", 2: "3", 4: "bad\xff"}, none, "none", map[uint8]string{0: "a", 1: "a#1", 2: "3", 3: "3#3", 4: "bad\uFFFD"})
	// A few of the names are somebody else's.
	f(map[uint8]string{0: "Classifier", 1: "Output"}, none, "none", map[uint8]string{0: "Classifier"})
	f(map[uint8]string{0: "Classifier", 1: "Output", 2: "SNAT", 3: "DNAT", 4: "mine", 5: "also mine"}, none, "none", nil)
	f(map[uint8]string{0: "Classifier", 1: "SpoofGuard", 2: "L3DecTTL", 3: "SNATMark", 4: "Output", 5: "of a later version"}, none, "1.7", map[uint8]string{5: "of a later version"})
	// Numbers alone are Antrea's only when there are no strangers among them.
	old := map[uint8]bool{0: true, 10: true, 20: true, 30: true, 31: true, 70: true, 72: true, 80: true, 105: true, 110: true}
	f(nil, func(id uint8) bool { return old[id] }, "1.0", map[uint8]string{10: "SpoofGuard", 110: "Output", 11: "11"})
	f(nil, func(id uint8) bool { return id < 50 }, "none", map[uint8]string{10: "10"})
}

func TestVerdict(t *testing.T) {
	f := func(actions string, dropping, controller, dec bool, target string) {
		t.Helper()
		d, c, ttl, to := verdict([]byte(actions))
		if d != dropping || c != controller || ttl != dec || string(to) != target {
			t.Errorf("%s: drop %v, controller %v, ttl %v, to %q", actions, d, c, ttl, to)
		}
	}
	f("drop", true, false, false, "")
	f("goto_table:5", false, false, false, "5")
	f("resubmit(,L3Forwarding)", false, false, false, "L3Forwarding")
	f("resubmit(1,9,ct)", false, false, false, "9")
	f("dec_ttl,goto_table:19", false, false, true, "19")
	f("dec_ttl,resubmit(,80)", false, false, true, "80")
	f("controller(reason=no_match,id=62373,userdata=04)", false, true, false, "")
	f("CONTROLLER:65535", false, true, false, "")
	f("meter:256,controller(max_len=128,id=1)", false, true, false, "")
	f("controller(id=1),goto_table:3", false, false, false, "3")
	f("set_field:0x1->reg0", false, false, false, "") // resubmitted to
	f("conjunction(5,1/2)", false, false, false, "")
}

func TestSetsAny(t *testing.T) {
	f := func(actions, mark string, want bool) {
		t.Helper()
		marks, err := parseMarks([]string{mark})
		if err != nil {
			t.Fatal(err)
		}
		if got := setsAny([]byte(actions), marks); got != want {
			t.Errorf("%s in %s: %v", mark, actions, got)
		}
	}
	f("set_field:0x4000000/0xe000000->reg0,goto_table:1", "reg0=0x4000000/0x4000000", true)
	f("set_field:0x2000000/0xe000000->reg0,goto_table:1", "reg0=0x4000000/0x4000000", false)
	f("set_field:0x6000000/0xe000000->reg0", "reg0=0x4000000/0x4000000", true)
	f("set_field:0x4000000/0xe000000->reg1", "reg0=0x4000000/0x4000000", false)
	f("load:0x2->NXM_NX_REG0[24..28],controller(id=1)", "reg0=0x2000000/0x2000000", true)
	f("load:0x1->NXM_NX_REG0[24..28]", "reg0=0x2000000/0x2000000", false)
	f("load:0x1->NXM_NX_REG0[20]", "reg0=0x100000/0x100000", true)
	f("load:0x2000000->NXM_NX_REG0[]", "reg0=0x2000000/0x2000000", true)
	f("load:0x1->NXM_NX_REG0[x..y]", "reg0=0x1/0x1", false)
	f("drop", "reg0=0x1/0x1", false)
}

func TestGap(t *testing.T) {
	var g gap
	f := func(ahead, behind, want uint64) {
		t.Helper()
		if got := g.to(ahead, behind); got != want {
			t.Errorf("%d ahead of %d: %d, not %d", ahead, behind, got, want)
		}
	}
	f(100, 90, 0)  // what was before the start
	f(110, 100, 0) // the same
	f(125, 110, 0) // seen once
	f(130, 115, 5) // twice
	f(140, 100, 0) // only on its way
	f(150, 135, 0)
	f(90, 100, 0) // behind is read later
	f(170, 150, 0)
	f(175, 150, 5)
	g.restart()
	f(3, 0, 0)
	f(4, 1, 3)
}

func TestMonotonic(t *testing.T) {
	var m monotonic
	f := func(raw uint64, anew bool, added, value uint64) {
		t.Helper()
		if got := m.to(raw, anew); got != added || m.value != value {
			t.Errorf("%d: added %d, value %d, not %d and %d", raw, got, m.value, added, value)
		}
	}
	f(10, false, 10, 10)
	f(12, false, 2, 12)
	f(3, false, 3, 15)
	f(7, true, 7, 22)
	f(7, false, 0, 22)
}

// Whatever a switch prints is understood as something, without a panic.
func FuzzUnderstand(f *testing.F) {
	f.Add("EgressMetric", uint16(200), "ct_state=+new,ct_label=0x200000000/0xffffffff00000000,ip", "goto_table:5")
	f.Add("IngressMetric", uint16(200), "reg0=0x400/0x400,reg3=0x5", "drop")
	f.Add("AntreaPolicyEgressRule", uint16(14500), "conj_id=5", "set_field:0x4000000/0xe000000->reg0,load:0x1->NXM_NX_REG0[63],group:4")
	f.Add("L3DecTTL", uint16(200), "ip", "dec_ttl,goto_table:200")
	f.Add("EndpointDNAT", uint16(200), "reg0=0x4000/0x4000", "controller(reason=no_match)")
	k := known(f)
	p := &pipeline{known: k, of: &k.Generations[len(k.Generations)-1]}
	for id, t := range p.of.Tables {
		p.tables[id] = table{label: t.Name, role: k.roleOf[t.Name], belong: true}
	}
	f.Fuzz(func(t *testing.T, name string, priority uint16, match, actions string) {
		id, ok := p.number([]byte(name))
		if !ok {
			id = 0
		}
		var reasons reasons
		m := p.understand(&p.tables[id], priority, []byte(match), []byte(actions), &reasons)
		if (m.kind == ends || m.kind == denies) && int(m.reason) >= len(reasons) {
			t.Fatalf("reason %d of %q", m.reason, reasons)
		}
	})
}

// Counters below what they were tell of a restart that nothing else does.
func TestBridge_BegunAnew(t *testing.T) {
	b := newBridge("br-int", "", 10)
	b.book.take(known(t).recognise(nil, func(uint8) bool { return false }))
	b.pipeline = b.book.pipeline
	var stats [256]ovs.TableStats
	f := func(lookups, matches uint64, anew bool, total uint64) {
		t.Helper()
		stats[0] = ovs.TableStats{Active: 1, Lookups: lookups, Matched: matches}
		if got := b.begunAnew(&stats); got != anew {
			t.Errorf("%d, %d: %v", lookups, matches, got)
		}
		if anew {
			b.restarted()
		}
		b.countTables(&stats)
		b.countGaps(&stats)
		if got := b.book.labels["0"].lookups; got != total {
			t.Errorf("%d lookups, not %d", got, total)
		}
	}
	f(100, 90, false, 100)
	f(110, 100, false, 110)
	f(120, 105, false, 120)
	f(120, 105, false, 120)
	f(10, 3, true, 130)
	f(10, 3, false, 130)
	if got := b.book.drops[dropKey{"0", reasonTableMiss}]; got != 5+7 {
		t.Errorf("%d packets that nothing matched, not 12", got)
	}
}
