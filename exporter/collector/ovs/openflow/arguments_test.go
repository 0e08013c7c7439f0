package openflow

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// found gives the first action of recorded flows that is printed so.
func found(t *testing.T, v Version, text string, use func(a Action)) {
	t.Helper()
	stream, _ := recorded(t, v)
	c, _ := replayed(stream)
	if err := c.do(t.Context(), func() error { return c.hello([]Version{v}) }); err != nil {
		t.Fatal(err)
	}
	seen := false
	if err := c.Flows(t.Context(), FlowFilter{Table: AllTables}, func(f *Flow) error {
		for a := range f.Instructions.All() {
			if !seen && string(a.AppendText(nil, nil)) == text {
				seen = true
				use(a)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !seen {
		t.Errorf("OpenFlow %s: no action %s", v, text)
	}
}

func TestSetField(t *testing.T) {
	type registers map[int][2]uint32
	f := func(v Version, text string, want registers) {
		t.Helper()
		found(t, v, text, func(a Action) {
			s, ok := a.SetField()
			got := registers{}
			for n := range 16 {
				if value, mask, ok := s.Register(n); ok {
					got[n] = [2]uint32{value, mask}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || !ok {
				t.Errorf("OpenFlow %s, %s: %v (-want +got):\n%s", v, text, ok, diff)
			}
		})
	}
	const all = math.MaxUint32
	f(Version13, "load:0x3->NXM_NX_REG0[0..3]", registers{0: {3, 0xf}})
	f(Version15, "set_field:0x3/0xf->reg0", registers{0: {3, 0xf}})
	f(Version15, "set_field:0->reg1", registers{1: {0, all}})
	f(Version13, "load:0x1->NXM_NX_REG0[10]", registers{0: {1 << 10, 1 << 10}})
	f(Version13, "load:0x1->OXM_OF_PKT_REG0[33..40]", registers{0: {2, 0x1fe}})
	f(Version15, "set_field:0x200000000/0x1fe00000000->xreg0", registers{0: {2, 0x1fe}})
	f(Version15, "set_field:0x1234/0xffff->xreg1", registers{3: {0x1234, 0xffff}})
	f(Version15, "set_field:0x20010db8000000000000000000000005->xxreg3", registers{12: {0x20010db8, all}, 13: {0, all}, 14: {0, all}, 15: {5, all}})
	f(Version15, "set_field:02:00:00:00:00:aa->eth_src", registers{})

	// A load over the border of two registers.
	s := Set{Field: Field{ID: XReg1}, first: 24, bits: 16, load: 0xabcd}
	if v, m, ok := s.Register(3); v != 0xcd000000 || m != 0xff000000 || !ok {
		t.Errorf("%#x/%#x %v", v, m, ok)
	}
	if v, m, ok := s.Register(2); v != 0xab || m != 0xff || !ok {
		t.Errorf("%#x/%#x %v", v, m, ok)
	}
	if v, m := s.Uint64(); v != 0xabcd000000 || m != 0xffff000000 {
		t.Errorf("%#x/%#x", v, m)
	}
	if _, _, ok := s.Register(1); ok {
		t.Error("another register is set")
	}
}

func TestController(t *testing.T) {
	f := func(text string, want ToController) {
		t.Helper()
		for _, v := range []Version{Version13, Version15} {
			found(t, v, text, func(a Action) {
				got, ok := a.Controller()
				if diff := cmp.Diff(want, got); diff != "" || !ok {
					t.Errorf("OpenFlow %s, %s: %v (-want +got):\n%s", v, text, ok, diff)
				}
			})
		}
	}
	f("CONTROLLER:128", ToController{MaxLen: 128, Reason: 1, Meter: math.MaxUint32})
	f("controller(reason=no_match)", ToController{MaxLen: 65535, Meter: math.MaxUint32})
	f("controller(userdata=01.02.ff)", ToController{MaxLen: 65535, Reason: 1, Meter: math.MaxUint32, Userdata: []byte{1, 2, 255}})
	f("controller(reason=invalid_ttl,max_len=64,id=1,userdata=00,pause,meter_id=5)", ToController{MaxLen: 64, ID: 1, Reason: 2, Userdata: []byte{0}, Pause: true, Meter: 5})
}

func TestCT(t *testing.T) {
	f := func(text string, want ConnectionTracking, nested ...ActionKind) {
		t.Helper()
		found(t, Version15, text, func(a Action) {
			c := a.CT()
			var kinds []ActionKind
			for inner := range a.Nested().All() {
				kinds = append(kinds, inner.Kind)
			}
			if diff := cmp.Diff(want, c, cmp.AllowUnexported(ConnectionTracking{})) + cmp.Diff(nested, kinds); diff != "" {
				t.Errorf("%s (-want +got):\n%s", text, diff)
			}
		})
	}
	f("ct(commit,force)", ConnectionTracking{Commit: true, Force: true, table: AllTables})
	f("ct(table=9,zone=65520,nat)", ConnectionTracking{table: 9, Zone: 65520}, NAT)
	f("ct(table=9,zone=NXM_NX_REG8[0..15])", ConnectionTracking{table: 9, ZoneField: Reg8, zoneBits: 15})
	f("ct(commit,alg=ftp)", ConnectionTracking{Commit: true, table: AllTables, ALG: 21})
	f("ct(commit,table=9,zone=65520,nat(dst=192.0.2.1:8080),exec(set_field:0x10/0x10->ct_mark))", ConnectionTracking{Commit: true, table: 9, Zone: 65520}, NAT, SetField)
	if table, ok := (Action{}).CT().Table(); ok {
		t.Errorf("no ct goes on in %d", table)
	}
}

func TestDrop(t *testing.T) {
	for _, v := range []Version{Version13, Version15} {
		stream, _ := recorded(t, v)
		c, _ := replayed(stream)
		c.version = v
		if _, err := c.message(); err != nil { // hello
			t.Fatal(err)
		}
		drops := map[string]bool{}
		if err := c.Flows(t.Context(), FlowFilter{Table: AllTables}, func(f *Flow) error {
			drops[string(f.Instructions.AppendText(nil, nil))] = f.Instructions.Drop()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		f := func(actions string, want bool) {
			t.Helper()
			if got, ok := drops[actions]; !ok || got != want {
				t.Errorf("OpenFlow %s, %s: got %v, there %v", v, actions, got, ok)
			}
		}
		f("drop", true)
		f("clear_actions", true)
		f("note:01.02.03.00.00.00", true)
		f("ct(commit,force)", true)
		f("write_metadata:0x5/0xff", true)
		f("LOCAL", false)
		f("IN_PORT", false)
		f("CONTROLLER:128", false)
		f("controller(pause)", false)
		f("group:1", false)
		f("goto_table:9", false)
		f("resubmit(,9)", false)
		f("resubmit(,9,ct)", false)
		f("ct(table=9)", false)
		f("conjunction(5,1/3)", false)
		f("clone(output:1)", false)
		f("write_actions(output:1)", false)
		f("output:NXM_NX_REG1[]", false)
	}
}

func TestLearnAndNote(t *testing.T) {
	learn := "learn(table=9,idle_timeout=10,hard_timeout=20,fin_idle_timeout=5,fin_hard_timeout=6,priority=192,send_flow_rem,delete_learned,cookie=0x203000000000a,eth_type=0x800,nw_proto=6," +
		"NXM_OF_TCP_DST[],NXM_OF_IP_SRC[]=NXM_OF_IP_DST[],load:NXM_NX_REG3[]->NXM_NX_REG3[],load:0x3->NXM_NX_REG0[0..3],load:0x1->NXM_NX_REG4[19],output:NXM_NX_REG1[])"
	found(t, Version15, learn, func(a Action) {
		if l, ok := a.Learn(); !ok || l != (Learned{Table: 9, Priority: 192, Cookie: 0x203000000000a, IdleTimeout: 10, HardTimeout: 20}) {
			t.Errorf("%+v %v", l, ok)
		}
	})
	found(t, Version15, "note:01.02.03.00.00.00", func(a Action) {
		if string(a.Note()) != "\x01\x02\x03\x00\x00\x00" {
			t.Errorf("% x", a.Note())
		}
	})
	found(t, Version15, "output(port=1,max_len=100)", func(a Action) {
		if port, ok := a.Output(); port != 1 || !ok {
			t.Errorf("%d %v", port, ok)
		}
	})
	found(t, Version15, "exit", func(a Action) {
		_, output := a.Output()
		_, _, resubmit := a.Resubmit()
		_, _, _, conjunction := a.Conjunction()
		_, group := a.Group()
		_, meter := a.Meter()
		_, set := a.SetField()
		_, controller := a.Controller()
		_, learn := a.Learn()
		if output || resubmit || conjunction || group || meter || set || controller || learn || a.Note() != nil || !a.Nested().Empty() {
			t.Error("exit does something else")
		}
	})
}

// Every field is in the table once for each of its numbers, and fits its width.
func TestFields(t *testing.T) {
	seen := map[FieldID]bool{}
	for _, table := range []*[128]FieldID{&oxmBasic, &nxm0, &nxm1, &oxmRegisters, &oxmEricsson, &oxmONF, &oxmNicira, &oxmNSH} {
		in := map[FieldID]bool{}
		for number, id := range table {
			if id == UnknownField {
				continue
			}
			if in[id] {
				t.Errorf("%s is in a table twice, also as %d", id, number)
			}
			in[id], seen[id] = true, true
		}
	}
	names := map[string]bool{}
	for id := UnknownField + 1; id < fieldCount; id++ {
		info := fields[id]
		if !seen[id] || info.name == "" || info.code == "" || info.width == 0 || info.bits == 0 || int(info.bits) > 8*int(info.width) || names[info.name] {
			t.Errorf("%d: %+v", id, info)
		}
		if strings.ToLower(info.name) != info.name || strings.ToUpper(info.code) != info.code {
			t.Errorf("%+v", info)
		}
		names[info.name] = true
	}
	for k := UnknownAction; k < actionCount; k++ {
		if actions[k].name == "" || actions[k].min < 8 {
			t.Errorf("%d: %+v", k, actions[k])
		}
	}
	if FieldID(255).String() != "" || fieldCount.Bits() != 0 || ActionKind(255).String() != "unknown" {
		t.Error("what is not known has a name")
	}
}
