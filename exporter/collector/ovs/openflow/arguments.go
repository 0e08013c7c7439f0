package openflow

import "math"

// Output is the port of output (which may be PortLocal and the like), without
// that of a register.
func (a Action) Output() (port uint32, ok bool) {
	switch a.Kind {
	case Output:
		return be32(a.b[4:]), true
	case OutputTruncated:
		return port32(be16(a.b[niciraOffset:])), true
	default:
		return 0, false
	}
}

// port32 is a port of OpenFlow 1.0 as later versions have it.
func port32(port uint16) uint32 {
	if port >= 0xff00 {
		return 0xffff0000 | uint32(port)
	}
	return uint32(port)
}

// Group is the group that decides.
func (a Action) Group() (id uint32, ok bool) {
	if a.Kind != GroupAction {
		return 0, false
	}
	return be32(a.b[4:]), true
}

// Meter is the meter that the packet goes through.
func (a Action) Meter() (id uint32, ok bool) {
	if a.Kind != MeterAction {
		return 0, false
	}
	return be32(a.b[4:]), true
}

// Resubmit is the table in which the packet is looked up next, and the port
// that it then seems to come from. The table AllTables is this one, the port
// PortIn the one that it came from.
func (a Action) Resubmit() (port uint32, table uint8, ok bool) {
	if a.Kind != Resubmit {
		return 0, 0, false
	}
	table = AllTables
	if a.subtype() != 1 {
		table = a.b[12]
	}
	return port32(be16(a.b[niciraOffset:])), table, true
}

// Conjunction tells that the flow matches the k-th of n dimensions, from 1.
func (a Action) Conjunction() (id uint32, k, n uint8, ok bool) {
	if a.Kind != Conjunction {
		return 0, 0, 0, false
	}
	return be32(a.b[12:]), a.b[10] + 1, a.b[11], true
}

// Set is a field that an action sets.
type Set struct {
	Field           // whose Mask is nil when all of it is set
	first, bits int // of a load: which bits
	load        uint64
}

// SetField is what set_field and load set; of a load only the field's numbers
// and Uint64 are there, no bytes.
func (a Action) SetField() (s Set, ok bool) {
	switch {
	case a.Kind == SetField:
		_, ok = takeField(a.b[4:], &s.Field)
	case a.Kind == RegisterLoad && a.subtype() == 33:
		_, ok = takeField(a.b[16:], &s.Field)
	case a.Kind == RegisterLoad:
		s.first, s.bits = offsetBits(be16(a.b[niciraOffset:]))
		s.load = be64(a.b[16:])
		s.Class, s.Number, ok = be16(a.b[12:]), a.b[14]>>1, true
		s.ID = fieldOf(s.Class, s.Number, 0)
	}
	return s, ok
}

// offsetBits takes apart a first bit (10 bits) and how many they are, less 1.
func offsetBits(n uint16) (first, bits int) { return int(n >> 6), int(n&0x3f) + 1 }

// Uint64 is the low 64 bits of what is set, and which of them are.
func (s *Set) Uint64() (value, mask uint64) {
	if s.bits == 0 {
		return s.Field.Uint64()
	}
	if s.first >= 64 {
		return 0, 0
	}
	mask = uint64(math.MaxUint64) >> (64 - s.bits) << s.first
	return s.load << s.first & mask, mask
}

// Register is what becomes of register n, from 0 to 15, as far as it is set.
func (s *Set) Register(n int) (value, mask uint32, ok bool) {
	if n < 0 || n > 15 {
		return 0, 0, false
	}
	if s.bits == 0 {
		return s.register(n)
	}
	at, ok := registerOffset(s.ID, n)
	if !ok {
		return 0, 0, false
	}
	// Bit 0 of the register is bit low of the field.
	low := 8*int(fields[s.ID].width) - 8*at - 32
	shift := s.first - low
	if shift >= 32 || shift <= -s.bits {
		return 0, 0, false
	}
	bits, load := uint64(math.MaxUint64)>>(64-s.bits), s.load
	if shift >= 0 {
		bits, load = bits<<shift, load<<shift
	} else {
		bits, load = bits>>-shift, load>>-shift
	}
	return uint32(load & bits), uint32(bits), true
}

// ToController is what controller(…) says.
type ToController struct {
	MaxLen   uint16
	ID       uint16 // of the controller
	Reason   uint8  // enum ofp_packet_in_reason
	Userdata []byte
	Pause    bool
	Meter    uint32 // 0xffffffff is the default
}

// Controller tells what a controller gets, also by output to it.
func (a Action) Controller() (c ToController, ok bool) {
	c = ToController{MaxLen: math.MaxUint16, Reason: reasonAction, Meter: math.MaxUint32}
	switch {
	case a.Kind == Output && be32(a.b[4:]) == PortController:
		c.MaxLen = be16(a.b[8:])
		return c, true
	case a.Kind != Controller:
		return c, false
	case a.subtype() == 20:
		c.MaxLen, c.ID, c.Reason = be16(a.b[10:]), be16(a.b[12:]), a.b[14]
		return c, true
	}
	_ = eachProperty(a.b, 16, func(kind uint16, p []byte) error { // checked by checkController
		switch {
		case kind == 0 && len(p) >= 6:
			c.MaxLen = be16(p[4:])
		case kind == 1 && len(p) >= 6:
			c.ID = be16(p[4:])
		case kind == 2 && len(p) >= 5:
			c.Reason = p[4]
		case kind == 3:
			c.Userdata = p[4:]
		case kind == 4:
			c.Pause = true
		case kind == 5 && len(p) >= 8:
			c.Meter = be32(p[4:])
		}
		return nil
	})
	return c, true
}

const reasonAction = 1

func (a Action) checkController() (at int, ok bool) {
	if a.subtype() == 20 {
		return 0, true
	}
	err := eachProperty(a.b, 16, func(uint16, []byte) error { return nil })
	return 16, err == nil
}

// ConnectionTracking is what ct(…) says.
type ConnectionTracking struct {
	Commit, Force bool
	table         uint8
	Zone          uint16 // where ZoneField is UnknownField
	ZoneField     FieldID
	zoneBits      uint16
	ALG           uint16 // the port of the protocol: 21 is ftp, 69 tftp
}

// CT is what an action of the kind CT says; nat and what exec has are Nested.
func (a Action) CT() (c ConnectionTracking) {
	if a.Kind != CT {
		return ConnectionTracking{table: AllTables}
	}
	flags := be16(a.b[10:])
	c = ConnectionTracking{Commit: flags&1 != 0, Force: flags&2 != 0, table: a.b[18], ALG: be16(a.b[22:])}
	if header := a.b[12:16]; be32(header) != 0 {
		c.ZoneField, c.zoneBits = fieldOf(be16(header), header[2]>>1, 0), be16(a.b[16:])
	} else {
		c.Zone = be16(a.b[16:])
	}
	return c
}

// Table is where the packet goes on with the state of its connection; without
// one it does not.
func (c ConnectionTracking) Table() (table uint8, ok bool) { return c.table, c.table != AllTables }

// Nested are the actions within ct (nat, and those of exec) and clone.
func (a Action) Nested() Actions {
	switch a.Kind {
	case CT:
		return Actions{a.b[24:]}
	case Clone:
		return Actions{a.b[16:]}
	default:
		return Actions{}
	}
}

// Note is what note:… holds, with the zeros that fill it up.
func (a Action) Note() []byte {
	if a.Kind != Note {
		return nil
	}
	return a.b[niciraOffset:]
}

// Learned is what learn(…) says of the flows that it adds.
type Learned struct {
	Table                    uint8
	Priority                 uint16
	Cookie                   uint64
	IdleTimeout, HardTimeout uint16
}

// Learn tells of the flows that an action of the kind Learn adds.
func (a Action) Learn() (l Learned, ok bool) {
	if a.Kind != Learn {
		return l, false
	}
	return Learned{
		Table: a.b[26], Priority: be16(a.b[14:]), Cookie: be64(a.b[16:]), IdleTimeout: be16(a.b[10:]), HardTimeout: be16(a.b[12:]),
	}, true
}

// Learn flags and the bits of what stands before each part (NX_LEARN_*).
const (
	learnSendFlowRem = 1
	learnDeleted     = 2
	learnWriteResult = 4
	learnImmediate   = 1 << 13
	learnDestination = 3 << 11
	learnToMatch     = 0 << 11
	learnToLoad      = 1 << 11
	learnToOutput    = 2 << 11
	learnBits        = 0x3ff
)

// learnSpecs is where the parts begin.
func (a Action) learnSpecs() int {
	if a.subtype() != 45 {
		return 32
	}
	if be16(a.b[24:])&learnWriteResult == 0 || len(a.b) < 48 {
		return 40
	}
	return 40 + headerLenOf(a.b[40:])
}

// learnPart is one part of learn: a field or a value, and where it goes.
type learnPart struct {
	head      uint16
	immediate []byte // nil when it comes from a field
	src, dst  subfield
}

func (a Action) checkLearn() (at int, ok bool) {
	at = a.learnSpecs()
	if at > len(a.b) {
		return 0, false
	}
	for at < len(a.b) {
		_, n, ok := takeLearnPart(a.b[at:])
		if !ok {
			return at, false
		}
		if n == 0 {
			break
		}
		at += n
	}
	return at, true
}

// takeLearnPart reads the part that b begins with; n is 0 at the end.
func takeLearnPart(b []byte) (p learnPart, n int, ok bool) {
	if len(b) < 2 || be16(b) == 0 {
		return p, 0, true
	}
	p.head = be16(b)
	bits := int(p.head & learnBits)
	n = 2
	if p.head&learnImmediate != 0 {
		length := (bits + 15) / 16 * 2
		if n+length > len(b) {
			return p, 0, false
		}
		p.immediate = b[n : n+length]
		n += length
	} else {
		length, ok := p.src.take(b[n:], bits)
		if !ok {
			return p, 0, false
		}
		n += length
	}
	if p.head&learnDestination == learnToOutput {
		return p, n, true
	}
	length, ok := p.dst.take(b[n:], bits)
	return p, n + length, ok
}

// subfield is some bits of a field.
type subfield struct {
	id          FieldID
	first, bits int
}

// take reads a header, whichever it is, and the number of the first bit.
func (s *subfield) take(b []byte, bits int) (n int, ok bool) {
	id, n, ok := takeSubfieldHeader(b)
	if !ok || n+2 > len(b) {
		return 0, false
	}
	*s = subfield{id, int(be16(b[n:])), bits}
	return n + 2, true
}

// takeSubfieldHeader reads the header of a field without its value.
func takeSubfieldHeader(b []byte) (id FieldID, n int, ok bool) {
	if len(b) < 4 {
		return 0, 0, false
	}
	class, experimenter := be16(b), uint32(0)
	if n = 4; class == classExperimenter {
		if n = 8; len(b) < n {
			return 0, 0, false
		}
		experimenter = be32(b[4:])
	}
	return fieldOf(class, b[2]>>1, experimenter), n, true
}

// moveHeaders gives what follows the numbers of a move: the two fields.
func (a Action) moveHeaders() (src, dst []byte) {
	at := 16 // of Open vSwitch's, and of EXT-320
	if a.standard() {
		at = 12
	} else if be32(a.b[4:]) == experimenterONF {
		at = 20
	}
	if at > len(a.b) {
		return nil, nil
	}
	b := a.b[at:]
	_, n, ok := takeSubfieldHeader(b)
	if !ok {
		return nil, nil
	}
	src, dst = b[:n], b[n:]
	if _, _, ok := takeSubfieldHeader(dst); !ok {
		return nil, nil
	}
	return src, dst
}

// checkHeaders tests that the fields that an action names are there.
func (a Action) checkHeaders() (at int, ok bool) {
	switch a.Kind {
	case OutputRegister:
		if a.subtype() == 32 {
			at = 14
		} else {
			at = 12
		}
	case StackPush, StackPop:
		at = 12
	case DeleteField:
		at = niciraOffset
	case CheckPacketLarger:
		at = 14
	case Multipath:
		at = 28
	case Sample:
		return 0, a.subtype() == 29 || len(a.b) >= 32
	}
	_, _, ok = takeSubfieldHeader(a.b[at:])
	return at, ok
}

// Presence bits of nat (NX_NAT_RANGE_*), with how long each part is.
var natParts = [...]int{4, 4, 16, 16, 2, 2}

func (a Action) natLen() (n int) {
	for i, length := range natParts {
		if be16(a.b[14:])>>i&1 != 0 {
			n += length
		}
	}
	return n
}
