package openflow

import (
	"iter"
	"math"
	"net/netip"

	"github.com/corkline/corkline/parsers/ovs"
)

// Match is what a flow matches on: a view on the fields (OXM) of its entry.
type Match struct{ oxm []byte }

// Field is one field of a match or an action, as the wire has it. OpenFlow 1.5
// carries registers in pairs (XReg0 is Reg0 and Reg1): ask Match.Register.
type Field struct {
	ID           FieldID // UnknownField where the numbers are not known here
	Class        uint16
	Number       uint8
	Experimenter uint32 // when Class is 0xffff
	// Value and Mask are as long as the field. Mask is nil where there is none.
	Value, Mask []byte
}

// Name of the field, as a match prints it.
func (f *Field) Name() string {
	if m := fields[f.ID].match; m != "" {
		return m
	}
	return fields[f.ID].name
}

// Uint64 is the low 64 bits of value and mask; the mask of a value without
// one has all bits of the field set.
func (f *Field) Uint64() (value, mask uint64) {
	mask = uint64(math.MaxUint64)
	if n := len(f.Value); n < 8 {
		mask = 1<<(8*n) - 1
	}
	if f.Mask != nil {
		mask = number(f.Mask)
	}
	return number(f.Value), mask
}

// number is the low 64 bits.
func number(b []byte) (n uint64) {
	for _, digit := range b {
		n = n<<8 | uint64(digit)
	}
	return n
}

// takeField reads the field that b begins with, and gives how long it is. A
// header with the length of a value, but without one, as move has, is a field
// with nil.
func takeField(b []byte, f *Field) (n int, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	*f = Field{Class: be16(b), Number: b[2] >> 1}
	n = 4 + int(b[3])
	if len(b) < n {
		return 0, false
	}
	value := b[4:n:n]
	if f.Class == classExperimenter {
		if len(value) < 4 {
			return 0, false
		}
		f.Experimenter, value = be32(value), value[4:]
	}
	if b[2]&1 != 0 {
		if len(value)%2 != 0 {
			return 0, false
		}
		half := len(value) / 2
		value, f.Mask = value[:half:half], value[half:]
	}
	f.Value = value
	if f.ID = fieldOf(f.Class, f.Number, f.Experimenter); f.ID != UnknownField {
		width := int(fields[f.ID].width)
		if len(value) != width && (f.ID < TunnelMetadata0 || f.ID > TunnelMetadata63 || len(value) > width) {
			return 0, false
		}
	}
	return n, true
}

// takeMatch checks the match that b begins with at an offset of its entry, and
// gives how long it is with its padding.
func takeMatch(b []byte, offset int) (m Match, n int, err error) {
	if len(b) < 8 {
		return m, 0, DecodeError{"a match", offset}
	}
	n = int(be16(b[2:]))
	if be16(b) != 1 || n < 4 || padded(n) > len(b) { // OFPMT_OXM
		return m, 0, DecodeError{"the head of a match", offset}
	}
	m.oxm = b[4:n:n]
	return m, padded(n), checkFields(m.oxm, offset+4)
}

// checkFields tells whether fields fill b.
func checkFields(b []byte, offset int) error {
	var f Field
	for at := 0; at < len(b); {
		n, ok := takeField(b[at:], &f)
		if !ok {
			return DecodeError{"the match field " + headerName(b[at:]), offset + at}
		}
		at += n
	}
	return nil
}

// headerName names the field that b begins with, however short it is.
func headerName(b []byte) string {
	if len(b) < 3 {
		return "?"
	}
	experimenter := uint32(0)
	if len(b) >= 8 {
		experimenter = be32(b[4:])
	}
	if id := fieldOf(be16(b), b[2]>>1, experimenter); id != UnknownField {
		return id.String()
	}
	return "0x" + string(appendHex(nil, uint64(be16(b)))) + ":" + string(appendDecimal(nil, uint64(b[2]>>1)))
}

// Fields gives the fields in the order of the wire. The Field is the same
// one at each step.
func (m Match) Fields() iter.Seq[*Field] {
	return func(yield func(*Field) bool) {
		var f Field
		for b := m.oxm; len(b) > 0; {
			n, ok := takeField(b, &f)
			if !ok || !yield(&f) {
				return
			}
			b = b[n:]
		}
	}
}

// Empty tells whether every packet matches.
func (m Match) Empty() bool { return len(m.oxm) == 0 }

// Field looks for a field.
func (m Match) Field(id FieldID) (f Field, ok bool) {
	for b := m.oxm; len(b) > 0; {
		n, ok := takeField(b, &f)
		if !ok {
			break
		}
		if f.ID == id {
			return f, true
		}
		b = b[n:]
	}
	return Field{}, false
}

func (m Match) number(id FieldID) (value, mask uint64, ok bool) {
	f, ok := m.Field(id)
	if !ok {
		return 0, 0, false
	}
	value, mask = f.Uint64()
	return value, mask, true
}

// ConjunctionID is the conj_id.
func (m Match) ConjunctionID() (id uint32, ok bool) {
	v, _, ok := m.number(ConjunctionID)
	return uint32(v), ok
}

// InPort is the number of the port that the packet came from.
func (m Match) InPort() (port uint32, ok bool) {
	v, _, ok := m.number(InPort)
	return uint32(v), ok
}

// Register is register n, from 0 to 15, also where the wire has it as half of
// an xreg or a quarter of an xxreg.
func (m Match) Register(n int) (value, mask uint32, ok bool) {
	if n < 0 || n > 15 {
		return 0, 0, false
	}
	for b := m.oxm; len(b) > 0; {
		var f Field
		length, ok := takeField(b, &f)
		if !ok {
			break
		}
		if v, m, ok := f.register(n); ok {
			return v, m, true
		}
		b = b[length:]
	}
	return 0, 0, false
}

// register is register n, if the field has bits of it.
func (f *Field) register(n int) (value, mask uint32, ok bool) {
	at, ok := registerOffset(f.ID, n)
	if !ok {
		return 0, 0, false
	}
	mask = math.MaxUint32
	if f.Mask != nil {
		mask = be32(f.Mask[at:])
	}
	return be32(f.Value[at:]), mask, mask != 0
}

// registerOffset is where in a field's value register n begins.
func registerOffset(id FieldID, n int) (at int, ok bool) {
	switch {
	case id == Reg0+FieldID(n):
		return 0, true
	case id == XReg0+FieldID(n/2):
		return n % 2 * 4, true
	case id == XXReg0+FieldID(n/4):
		return n % 4 * 4, true
	}
	return 0, false
}

// State is the state of a connection, as ct_state has it.
type State uint32

// The bits of a State.
const (
	StateNew State = 1 << iota
	StateEstablished
	StateRelated
	StateReply
	StateInvalid
	StateTracked
	StateSourceNAT
	StateDestinationNAT
)

// CTState gives the bits that are looked at (mask), and those of them that must be set.
func (m Match) CTState() (value, mask State, ok bool) {
	v, k, ok := m.number(CTState)
	return State(v), State(k), ok
}

// CTMark is the ct_mark.
func (m Match) CTMark() (value, mask uint32, ok bool) {
	v, k, ok := m.number(CTMark)
	return uint32(v), uint32(k), ok
}

// CTLabel is the ct_label.
func (m Match) CTLabel() (value, mask ovs.Label, ok bool) {
	f, ok := m.Field(CTLabel)
	if !ok {
		return value, mask, false
	}
	value, mask = label(f.Value), ovs.Label{High: math.MaxUint64, Low: math.MaxUint64}
	if f.Mask != nil {
		mask = label(f.Mask)
	}
	return value, mask, true
}

func label(b []byte) ovs.Label { return ovs.Label{High: be64(b), Low: be64(b[8:])} }

// EthType is the type of the frame, such as 0x800 of IPv4.
func (m Match) EthType() (kind uint16, ok bool) {
	v, _, ok := m.number(EthType)
	return uint16(v), ok
}

// IPProto is the protocol above IP.
func (m Match) IPProto() (protocol uint8, ok bool) {
	v, _, ok := m.number(IPProto)
	return uint8(v), ok
}

// Source is the source address of IPv4, IPv6 or ARP. Bits is the length of
// the prefix, and -1 of a mask that is none.
func (m Match) Source() (address netip.Addr, bits int, ok bool) {
	return m.address(IPv4Src, IPv6Src, ARPSPA)
}

// Destination is the destination address of IPv4, IPv6 or ARP.
func (m Match) Destination() (address netip.Addr, bits int, ok bool) {
	return m.address(IPv4Dst, IPv6Dst, ARPTPA)
}

func (m Match) address(ids ...FieldID) (address netip.Addr, bits int, ok bool) {
	for _, id := range ids {
		if f, found := m.Field(id); found {
			address, ok = netip.AddrFromSlice(f.Value)
			return address, prefixLen(f.Value, f.Mask), ok
		}
	}
	return address, 0, false
}

// prefixLen is how many bits are set from the left in a mask, or -1 when
// others are set, too.
func prefixLen(value, mask []byte) int {
	if mask == nil {
		return 8 * len(value)
	}
	n, ended := 0, false
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			set := b>>bit&1 != 0
			if set && ended {
				return -1
			}
			if set {
				n++
			}
			ended = ended || !set
		}
	}
	return n
}
