package openflow

import "iter"

// ActionKind tells what an action does.
type ActionKind uint8

// The actions of Open vSwitch 3.1 (ovs-actions(7)), and the instructions that
// ovs-ofctl prints among them.
const (
	UnknownAction ActionKind = iota
	Output
	OutputRegister // to the port in a field
	OutputTruncated
	GroupAction
	Controller
	Enqueue
	Bundle
	BundleLoad
	SetQueue
	PopQueue
	Resubmit
	SetField
	RegisterLoad
	Move
	StackPush
	StackPop
	Learn
	Conjunction
	CT
	NAT
	CTClear
	Clone
	Note
	MeterAction
	Sample
	Multipath
	FinTimeout
	CheckPacketLarger
	DeleteField
	Exit
	WriteMetadataAction
	PushVLAN
	PopVLAN
	PushMPLS
	PopMPLS
	SetMPLSLabel
	SetMPLSTC
	SetMPLSTTL
	DecMPLSTTL
	SetNWTTL
	DecNWTTL
	DecNSHTTL
	SetTunnel
	SetTunnel64
	Encap
	Decap
	DebugSlow
	actionCount
)

type actionInfo struct {
	name     string
	min      uint16 // bytes, with the header
	forwards bool   // the packet goes somewhere, or on
}

// actions are the kinds with their names as ovs-ofctl prints them.
var actions = [actionCount]actionInfo{
	UnknownAction:       {"unknown", 8, false},
	Output:              {"output", 16, true},
	OutputRegister:      {"output", 24, true},
	OutputTruncated:     {"output", 16, true},
	GroupAction:         {"group", 8, true},
	Controller:          {"controller", 16, true},
	Enqueue:             {"enqueue", 16, true},
	Bundle:              {"bundle", 32, true},
	BundleLoad:          {"bundle_load", 32, false},
	SetQueue:            {"set_queue", 8, false},
	PopQueue:            {"pop_queue", 16, false},
	Resubmit:            {"resubmit", 16, true},
	SetField:            {"set_field", 8, false},
	RegisterLoad:        {"load", 16, false},
	Move:                {"move", 16, false},
	StackPush:           {"push", 24, false},
	StackPop:            {"pop", 24, false},
	Learn:               {"learn", 32, false},
	Conjunction:         {"conjunction", 16, true},
	CT:                  {"ct", 24, false}, // with a table it goes on
	NAT:                 {"nat", 16, false},
	CTClear:             {"ct_clear", 16, false},
	Clone:               {"clone", 16, false}, // what its actions do
	Note:                {"note", 16, false},
	MeterAction:         {"meter", 8, false},
	Sample:              {"sample", 24, false},
	Multipath:           {"multipath", 32, false},
	FinTimeout:          {"fin_timeout", 16, false},
	CheckPacketLarger:   {"check_pkt_larger", 24, false},
	DeleteField:         {"delete_field", 16, false},
	Exit:                {"exit", 16, false},
	WriteMetadataAction: {"write_metadata", 32, false},
	PushVLAN:            {"push_vlan", 8, false},
	PopVLAN:             {"pop_vlan", 8, false},
	PushMPLS:            {"push_mpls", 8, false},
	PopMPLS:             {"pop_mpls", 8, false},
	SetMPLSLabel:        {"set_mpls_label", 16, false},
	SetMPLSTC:           {"set_mpls_tc", 16, false},
	SetMPLSTTL:          {"set_mpls_ttl", 8, false},
	DecMPLSTTL:          {"dec_mpls_ttl", 8, false},
	SetNWTTL:            {"mod_nw_ttl", 8, false},
	DecNWTTL:            {"dec_ttl", 8, false},
	DecNSHTTL:           {"dec_nsh_ttl", 16, false},
	SetTunnel:           {"set_tunnel", 16, false},
	SetTunnel64:         {"set_tunnel64", 24, false},
	Encap:               {"encap", 16, false},
	Decap:               {"decap", 16, false},
	DebugSlow:           {"debug_slow", 16, false},
}

// String gives the name as ovs-ofctl prints it.
func (k ActionKind) String() string {
	if k >= actionCount {
		k = UnknownAction
	}
	return actions[k].name
}

// standardActions are the types of OpenFlow 1.3 and 1.5 (enum ofp_action_type).
var standardActions = [30]ActionKind{
	0: Output, 15: SetMPLSTTL, 16: DecMPLSTTL, 17: PushVLAN, 18: PopVLAN, 19: PushMPLS, 20: PopMPLS, 21: SetQueue, 22: GroupAction,
	23: SetNWTTL, 24: DecNWTTL, 25: SetField, 28: Move, 29: MeterAction,
}

// niciraActions are the subtypes of Open vSwitch's (enum ofp_raw_action_type).
var niciraActions = [51]ActionKind{
	1: Resubmit, 2: SetTunnel, 4: SetQueue, 5: PopQueue, 6: Move, 7: RegisterLoad, 8: Note, 9: SetTunnel64, 10: Multipath, 12: Bundle, 13: BundleLoad,
	14: Resubmit, 15: OutputRegister, 16: Learn, 17: Exit, 18: DecNWTTL, 19: FinTimeout, 20: Controller, 21: DecNWTTL, 22: WriteMetadataAction,
	23: PushMPLS, 24: PopMPLS, 25: SetMPLSTTL, 26: DecMPLSTTL, 27: StackPush, 28: StackPop, 29: Sample, 30: SetMPLSLabel, 31: SetMPLSTC,
	32: OutputRegister, 33: RegisterLoad, 34: Conjunction, 35: CT, 36: NAT, 37: Controller, 38: Sample, 39: OutputTruncated, 41: Sample, 42: Clone, 43: CTClear,
	44: Resubmit, 45: Learn, 46: Encap, 47: Decap, 48: DecNSHTTL, 49: CheckPacketLarger, 50: DeleteField,
}

// niciraOffset is where the arguments of Open vSwitch's actions begin: behind
// type, length, experimenter and subtype.
const niciraOffset = 10

// Action is one action as the wire has it, checked when its flow was decoded.
type Action struct {
	Kind ActionKind
	b    []byte // from its type on
}

// takeAction reads the action that b begins with.
func takeAction(b []byte) (a Action, n int, ok bool) {
	if len(b) < 4 {
		return a, 0, false
	}
	kind := be16(b)
	if kind < uint16(len(standardActions)) {
		a.Kind = standardActions[kind]
	}
	n = int(be16(b[2:]))
	if n < 8 || n%8 != 0 || n > len(b) {
		return a, 0, false
	}
	a.b = b[:n:n]
	switch {
	case kind == 0xffff && n >= 16 && be32(b[4:]) == experimenterNicira:
		if subtype := a.subtype(); subtype < uint16(len(niciraActions)) {
			a.Kind = niciraActions[subtype]
		} else if subtype == 255 {
			a.Kind = DebugSlow
		}
	case kind == 0xffff && be32(b[4:]) == experimenterONF && n >= 24 && be16(b[8:]) == 3200: // EXT-320, of OpenFlow 1.3
		a.Kind = Move
	}
	return a, n, n >= int(actions[a.Kind].min)
}

func (a Action) standard() bool  { return be16(a.b) != 0xffff }
func (a Action) subtype() uint16 { return be16(a.b[8:]) }

// Actions are a list of actions.
type Actions struct{ b []byte }

// Empty tells whether there are none.
func (l Actions) Empty() bool { return len(l.b) == 0 }

// All gives the actions in their order. Those within ct and clone are had by
// Action.Nested.
func (l Actions) All() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		for b := l.b; len(b) > 0; {
			a, n, ok := takeAction(b)
			if !ok || !yield(a) {
				return
			}
			b = b[n:]
		}
	}
}

func (l Actions) forwards() bool {
	for b := l.b; len(b) > 0; {
		a, n, ok := takeAction(b)
		if !ok {
			break
		}
		if actions[a.Kind].forwards {
			return true
		}
		switch a.Kind {
		case CT:
			if _, goesOn := a.CT().Table(); goesOn || a.Nested().forwards() {
				return true
			}
		case Clone:
			if a.Nested().forwards() {
				return true
			}
		}
		b = b[n:]
	}
	return false
}

// maxDepth is how deep actions may lie within actions; the switch allows less.
const maxDepth = 32

// checkActions tells whether actions fill b, those within them too.
func checkActions(b []byte, offset, depth int) error {
	if depth > maxDepth {
		return DecodeError{"actions within actions", offset}
	}
	for at := 0; at < len(b); {
		a, n, ok := takeAction(b[at:])
		if !ok {
			name := "an action"
			if a.Kind != UnknownAction {
				name = "the action " + a.Kind.String()
			}
			return DecodeError{name, offset + at}
		}
		if inner, ok := a.check(); !ok {
			return DecodeError{"the action " + a.Kind.String(), offset + at + inner}
		}
		if nested := a.Nested(); len(nested.b) > 0 {
			if err := checkActions(nested.b, offset+at+n-len(nested.b), depth+1); err != nil {
				return err
			}
		}
		at += n
	}
	return nil
}

// check tests what an action has beyond its head, and gives where it goes wrong.
func (a Action) check() (at int, ok bool) {
	switch a.Kind {
	case SetField:
		var f Field
		n, ok := takeField(a.b[4:], &f)
		return 4, ok && len(f.Value) > 0 && 4+padded(4+n)-4 <= len(a.b)
	case RegisterLoad:
		if a.subtype() == 33 {
			var f Field
			_, ok := takeField(a.b[16:], &f)
			return 16, ok && len(f.Value) > 0
		}
		return 0, len(a.b) >= 24
	case Move:
		src, dst := a.moveHeaders()
		return 0, src != nil && dst != nil
	case Conjunction:
		return 0, len(a.b) >= 16
	case Learn:
		return a.checkLearn()
	case NAT:
		return 0, 16+a.natLen() <= len(a.b)
	case Controller:
		return a.checkController()
	case DecNWTTL:
		return 0, a.standard() || a.subtype() != 21 || 16+2*int(be16(a.b[10:])) <= len(a.b)
	case Bundle, BundleLoad:
		return 20, 32+2*int(be16(a.b[20:])) <= len(a.b)
	case OutputRegister, StackPush, StackPop, DeleteField, CheckPacketLarger, Sample, Multipath:
		return a.checkHeaders()
	default:
		return 0, true
	}
}

// Instructions are what is done with the packets of a flow: a view on the
// instructions of its entry.
type Instructions struct{ b []byte }

// Types of instructions.
const (
	instructionGoto          = 1
	instructionWriteMetadata = 2
	instructionWriteActions  = 3
	instructionApplyActions  = 4
	instructionClearActions  = 5
	instructionMeter         = 6
)

// checkInstructions tells whether instructions fill b.
func checkInstructions(b []byte, offset int) error {
	for at := 0; at < len(b); {
		if len(b)-at < 8 {
			return DecodeError{"the head of an instruction", offset + at}
		}
		kind, n := be16(b[at:]), int(be16(b[at+2:]))
		if n < 8 || n%8 != 0 || n > len(b)-at || kind == instructionWriteMetadata && n < 24 {
			return DecodeError{"the length of an instruction", offset + at}
		}
		if kind == instructionApplyActions || kind == instructionWriteActions {
			if err := checkActions(b[at+8:at+n], offset+at+8, 0); err != nil {
				return err
			}
		}
		at += n
	}
	return nil
}

func (i Instructions) find(kind uint16) []byte {
	for b := i.b; len(b) > 0; b = b[be16(b[2:]):] {
		if be16(b) == kind {
			return b[:be16(b[2:]):be16(b[2:])]
		}
	}
	return nil
}

// Apply are the actions that are done at once.
func (i Instructions) Apply() Actions {
	if b := i.find(instructionApplyActions); b != nil {
		return Actions{b[8:]}
	}
	return Actions{}
}

// Write are the actions that are done when the packet goes to no further table.
func (i Instructions) Write() Actions {
	if b := i.find(instructionWriteActions); b != nil {
		return Actions{b[8:]}
	}
	return Actions{}
}

// Clear tells whether the actions that tables before have written are removed.
func (i Instructions) Clear() bool { return i.find(instructionClearActions) != nil }

// All gives the actions that are applied, then those that are written.
func (i Instructions) All() iter.Seq[Action] {
	return func(yield func(Action) bool) {
		for a := range i.Apply().All() {
			if !yield(a) {
				return
			}
		}
		for a := range i.Write().All() {
			if !yield(a) {
				return
			}
		}
	}
}

// GotoTable is the table in which the packet goes on.
func (i Instructions) GotoTable() (table uint8, ok bool) {
	if b := i.find(instructionGoto); b != nil {
		return b[4], true
	}
	return 0, false
}

// Meter is the meter that the packet goes through, of OpenFlow 1.3; 1.5 has
// it as an action.
func (i Instructions) Meter() (id uint32, ok bool) {
	if b := i.find(instructionMeter); b != nil {
		return be32(b[4:]), true
	}
	return 0, false
}

// Metadata is what is written into the metadata.
func (i Instructions) Metadata() (value, mask uint64, ok bool) {
	if b := i.find(instructionWriteMetadata); b != nil {
		return be64(b[8:]), be64(b[16:]), true
	}
	return 0, 0, false
}

// Drop tells whether a packet ends here: no action puts it out, hands it to a
// group, the controller or another table, and no dimension of a conjunction is
// met by it.
func (i Instructions) Drop() bool {
	_, goesOn := i.GotoTable()
	return !goesOn && !i.Apply().forwards() && !i.Write().forwards()
}
