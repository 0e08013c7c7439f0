package openflow

import (
	"bytes"
	"encoding/json"
	"math"
	"math/bits"
	"net/netip"
	"strconv"
	"time"

	"github.com/corkline/corkline/parsers/ovs"
)

// Names are the names of ports and tables, for AppendText as with ovs-ofctl
// --names. A number without a name is printed as it is.
type Names struct {
	Ports  map[uint32]string
	Tables map[uint8]string
}

// AppendText appends the flow as "ovs-ofctl -O OpenFlow15 dump-flows" prints it
// (of OpenFlow 1.3 as with -O OpenFlow13), without the blank before it and the
// end of the line. With names, which may be nil, it is that of --names to a
// file, where every name is quoted.
func (f *Flow) AppendText(to []byte, names *Names) []byte {
	to = appendHex(append(to, "cookie=0x"...), uint64(f.Cookie))
	to = append(to, ", duration="...)
	to = appendDecimal(to, uint64(f.Duration/time.Second))
	to = appendFraction(to, f.Duration%time.Second)
	to = append(to, "s, table="...)
	to = names.appendTable(to, f.Table)
	to = appendCount(append(to, ", n_packets="...), f.Packets)
	to = appendCount(append(to, ", n_bytes="...), f.Bytes)
	to = append(to, ", "...)
	timeout := func(key string, seconds uint16) {
		if seconds != 0 {
			to = append(appendDecimal(append(to, key...), uint64(seconds)), ", "...)
		}
	}
	timeout("idle_timeout=", f.IdleTimeout)
	timeout("hard_timeout=", f.HardTimeout)
	const named = ovs.NoReadonlyTable<<1 - 1
	for flags := f.Flags & named; flags != 0; flags &= flags - 1 { // the lowest bit
		to = append((flags & -flags).Append(to), ' ')
	}
	if other := f.Flags &^ named; other != 0 {
		to = append(appendHex(append(to, "flags:0x"...), uint64(other)), ' ')
	}
	timeout("importance=", f.Importance)
	if f.HasIdleAge {
		to = append(appendDecimal(append(to, "idle_age="...), uint64(f.IdleAge/time.Second)), ", "...)
	}
	start := len(to)
	if f.Priority != ovs.DefaultPriority {
		to = append(appendDecimal(append(to, "priority="...), uint64(f.Priority)), ',')
	}
	if to = f.Match.AppendText(to, names); len(to) > start {
		if to[len(to)-1] == ',' { // of the priority
			to = to[:len(to)-1]
		}
		to = append(to, ' ')
	}
	to = append(to, "actions="...)
	return f.Instructions.AppendText(to, names)
}

// appendFraction appends a point and three, six or nine decimals, as many as it takes.
func appendFraction(to []byte, d time.Duration) []byte {
	if d == 0 {
		return to
	}
	to = append(to, '.')
	for unit := 100 * time.Millisecond; unit > 0; unit /= 10 {
		if (unit == 100*time.Microsecond || unit == 100) && d == 0 {
			break
		}
		to, d = append(to, byte('0'+d/unit)), d%unit
	}
	return to
}

func appendCount(to []byte, c ovs.Count) []byte {
	if !c.Known {
		return append(to, '?')
	}
	return appendDecimal(to, c.Value)
}

func appendDecimal(to []byte, n uint64) []byte { return strconv.AppendUint(to, n, 10) }

// appendHex appends as C's %x does.
func appendHex(to []byte, n uint64) []byte { return strconv.AppendUint(to, n, 16) }

// appendHash appends as C's %#x does: 0 has no 0x.
func appendHash(to []byte, n uint64) []byte {
	if n != 0 {
		to = append(to, "0x"...)
	}
	return appendHex(to, n)
}

// appendWide appends 0x and n with at least as many digits.
func appendWide(to []byte, n uint64, digits int) []byte {
	to = append(to, "0x"...)
	for shift := 4 * (digits - 1); shift > 0 && n>>shift == 0; shift -= 4 {
		to = append(to, '0')
	}
	return appendHex(to, n)
}

// appendBytes appends a number of any length.
func appendBytes(to, b []byte) []byte {
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	to = append(to, "0x"...)
	for i, digits := range b {
		if i == 0 {
			to = appendHex(to, uint64(digits))
			continue
		}
		to = append(to, hexDigits[digits>>4], hexDigits[digits&15])
	}
	return to
}

const hexDigits = "0123456789abcdef"

func (n *Names) appendTable(to []byte, table uint8) []byte {
	if n != nil {
		if name, ok := n.Tables[table]; ok {
			return appendQuoted(to, name)
		}
	}
	return appendDecimal(to, uint64(table))
}

// appendQuoted appends a name in quotes, which only letters and digits do without.
func appendQuoted(to []byte, name string) []byte {
	if plainName(name) {
		return append(to, name...)
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' || name[i] == '"' || name[i] == '\\' {
			quoted, _ := json.Marshal(name) // a string has no error
			return append(to, quoted...)
		}
	}
	return append(append(append(to, '"'), name...), '"')
}

func plainName(name string) bool {
	for i := range len(name) {
		letter, digit := name[i]|0x20-'a' < 26, name[i]-'0' < 10
		if !letter && (i == 0 || !digit) {
			return false
		}
	}
	return name != ""
}

// reservedPorts are from PortUnset on.
var reservedPorts = [...]string{"UNSET", "IN_PORT", "TABLE", "NORMAL", "FLOOD", "ALL", "CONTROLLER", "LOCAL", "ANY"}

func (n *Names) appendPort(to []byte, port uint32) []byte {
	if port >= PortUnset {
		return append(to, reservedPorts[port-PortUnset]...)
	}
	if n != nil {
		if name, ok := n.Ports[port]; ok {
			return appendQuoted(to, name)
		}
	}
	return appendDecimal(to, uint64(port))
}

// Flags by their bits, from the lowest on.
var (
	ctStates    = []string{"new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"}
	tcpFlagBits = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"}
	tunnelBits  = []string{"oam"}
)

// appendFlags appends +a-b of those in the mask, or a|b when all are in it.
func appendFlags(to []byte, names []string, value, mask, all uint64) []byte {
	switch {
	case mask == all && value&all == 0, mask&(1<<len(names)-1) == 0:
		return append(to, '0')
	case mask == all:
		first := true
		for i, name := range names {
			if value>>i&1 == 0 {
				continue
			}
			if !first {
				to = append(to, '|')
			}
			first = false
			to = append(to, name...)
		}
		return to
	}
	for i, name := range names {
		if mask>>i&1 == 0 {
			continue
		}
		sign := byte('-')
		if value>>i&1 != 0 {
			sign = '+'
		}
		to = append(append(to, sign), name...)
	}
	return to
}

func appendEthernet(to, value, mask []byte) []byte {
	address := func(b []byte) {
		for i, n := range b {
			if i > 0 {
				to = append(to, ':')
			}
			to = append(to, hexDigits[n>>4], hexDigits[n&15])
		}
	}
	address(value)
	if mask != nil && !allOnes(mask) {
		to = append(to, '/')
		address(mask)
	}
	return to
}

// appendIP appends an address of IPv4 or IPv6 with the length of its prefix,
// or with its mask.
func appendIP(to, value, mask []byte) []byte {
	to = appendAddress(to, value)
	if n := prefixLen(value, mask); n < 0 {
		to = appendAddress(append(to, '/'), mask)
	} else if n < 8*len(value) {
		to = appendDecimal(append(to, '/'), uint64(n))
	}
	return to
}

// appendAddress appends an address as inet_ntop does, which other than package
// netip has the end of ::192.0.2.1 in dots.
func appendAddress(to, value []byte) []byte {
	address, _ := netip.AddrFromSlice(value)
	if len(value) == 16 && be64(value) == 0 && be32(value[8:]) == 0 && be16(value[12:]) != 0 {
		address, _ = netip.AddrFromSlice(value[12:])
		to = append(to, "::"...)
	}
	return address.AppendTo(to)
}

func allOnes(b []byte) bool {
	for _, digit := range b {
		if digit != 0xff {
			return false
		}
	}
	return true
}

func allZeros(b []byte) bool {
	for _, digit := range b {
		if digit != 0 {
			return false
		}
	}
	return true
}

// EtherTypes and protocols that a match names.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherRARP = 0x8035
	etherIPv6 = 0x86dd
	etherMPLS = 0x8847
	etherMPLM = 0x8848
	etherNone = 0x05ff // no EtherType
)

// protocolName is the short name that stands for type and protocol; whole
// tells whether the protocol is in it.
func protocolName(ether uint16, protocol uint8) (name string, whole bool) {
	switch ether {
	case etherIPv4:
		switch protocol {
		case 1:
			return "icmp", true
		case 6:
			return "tcp", true
		case 17:
			return "udp", true
		case 132:
			return "sctp", true
		}
		return "ip", false
	case etherIPv6:
		switch protocol {
		case 58:
			return "icmp6", true
		case 6:
			return "tcp6", true
		case 17:
			return "udp6", true
		case 132:
			return "sctp6", true
		}
		return "ipv6", false
	case etherARP:
		return "arp", false
	case etherRARP:
		return "rarp", false
	case etherMPLS:
		return "mpls", false
	case etherMPLM:
		return "mplsm", false
	}
	return "", false
}

// printed is a match sorted for printing.
type printed struct {
	at           [fieldCount]uint16 // where a field is in the match, from 1
	present      [4]uint64          // a bit for each field that is there
	value, mask  [16]uint32         // of the registers
	ether        uint16
	protocol     uint8
	tci, tciMask uint16
}

func (m Match) sorted() (p printed) {
	var f Field
	for at := 0; at < len(m.oxm); {
		n, ok := takeField(m.oxm[at:], &f)
		if !ok {
			break
		}
		p.at[f.ID] = uint16(at + 1)
		p.present[f.ID/64] |= 1 << (f.ID % 64)
		at += n
		v, mask := f.Uint64()
		switch {
		case f.ID >= Reg0 && f.ID <= XXReg3:
			for i := range p.value {
				if value, mask, ok := f.register(i); ok {
					p.value[i] |= value
					p.mask[i] |= mask
				}
			}
		case f.ID == PacketType && v>>16 == 1: // an EtherType without an Ethernet header
			p.ether = uint16(v)
		case f.ID == EthType:
			p.ether = uint16(v)
		case f.ID == IPProto:
			p.protocol = uint8(v)
		case f.ID == VLANVID:
			p.tci, p.tciMask = p.tci|uint16(v), p.tciMask|uint16(mask)&0x1fff
		case f.ID == VLANPCP:
			p.tci, p.tciMask = p.tci|uint16(v)<<13|0x1000, p.tciMask|0xf000
		case f.ID == VLANTCI:
			p.tci, p.tciMask = uint16(v), uint16(mask)
		}
	}
	return p
}

// AppendText appends the match as ovs-ofctl prints it, without a priority.
func (m Match) AppendText(to []byte, names *Names) []byte {
	p, start := m.sorted(), len(to)
	name, whole := protocolName(p.ether, p.protocol)
	named, vlan, registers := false, false, false
	for i, word := range p.present {
		for ; word != 0; word &= word - 1 { // the lowest bit
			id := FieldID(64*i + bits.TrailingZeros64(word))
			if id >= Reg0 && !named && p.at[EthType] != 0 { // before the registers
				named = true
				if name != "" {
					to = append(append(to, name...), ',')
				}
			}
			switch {
			case id == UnknownField, id == EthType && name != "", id == IPProto && whole && p.at[EthType] != 0:
				continue
			case id >= Reg0 && id <= XXReg3:
				if !registers {
					registers = true
					to = p.appendRegisters(to)
				}
				continue
			case id == VLANVID || id == VLANPCP || id == VLANTCI:
				if !vlan {
					vlan = true
					to = p.appendVLAN(to)
				}
				continue
			}
			var f Field
			takeField(m.oxm[p.at[id]-1:], &f)
			if id == PacketType && allZeros(f.Value) { // Ethernet, as ever
				continue
			}
			to = append(f.appendMatch(to, names), ',')
		}
	}
	if p.at[UnknownField] != 0 {
		to = m.appendUnknown(to)
	}
	if len(to) > start {
		to = to[:len(to)-1]
	}
	return to
}

// appendUnknown appends what no known field is, so that nothing goes unseen.
func (m Match) appendUnknown(to []byte) []byte {
	for f := range m.Fields() {
		if f.ID != UnknownField {
			continue
		}
		to = appendHex(append(to, "oxm_"...), uint64(f.Class))
		to = appendDecimal(append(to, '_'), uint64(f.Number))
		to = appendBytes(append(to, '='), f.Value)
		if f.Mask != nil {
			to = appendBytes(append(to, '/'), f.Mask)
		}
		to = append(to, ',')
	}
	return to
}

func (p *printed) appendRegisters(to []byte) []byte {
	for i, mask := range p.mask {
		if mask == 0 {
			continue
		}
		to = appendDecimal(append(to, "reg"...), uint64(i))
		to = appendHash(append(to, '='), uint64(p.value[i]))
		if mask != 1<<32-1 {
			to = appendHash(append(to, '/'), uint64(mask))
		}
		to = append(to, ',')
	}
	return to
}

// appendVLAN appends dl_vlan and dl_vlan_pcp where they say all that is
// matched on, else vlan_tci.
func (p *printed) appendVLAN(to []byte) []byte {
	vid, pcp := p.tciMask&0xfff, p.tciMask&0xe000
	if p.tci&p.tciMask&0x1000 != 0 && (vid == 0 || vid == 0xfff) && (pcp == 0 || pcp == 0xe000) && (vid|pcp) != 0 {
		if vid != 0 {
			to = append(appendDecimal(append(to, "dl_vlan="...), uint64(p.tci&0xfff)), ',')
		}
		if pcp != 0 {
			to = append(appendDecimal(append(to, "dl_vlan_pcp="...), uint64(p.tci>>13)), ',')
		}
		return to
	}
	to = appendWide(append(to, "vlan_tci="...), uint64(p.tci), 4)
	if p.tciMask != 0xffff {
		to = appendWide(append(to, '/'), uint64(p.tciMask), 4)
	}
	return append(to, ',')
}

// appendMatch appends name=value of a field, as a match has it.
func (f *Field) appendMatch(to []byte, names *Names) []byte {
	to = append(to, f.Name()...)
	if f.ID >= TunnelMetadata0 && f.ID <= TunnelMetadata63 {
		return f.appendTunnelMetadata(to)
	}
	to = append(to, '=')
	value, mask := f.Uint64()
	info := &fields[f.ID]
	exact := f.exact()
	switch f.ID {
	case IPDSCP:
		return appendDecimal(to, value<<2)
	case EthType:
		return appendWide(to, value, 4)
	case IPv6Label:
		to = appendWide(to, value, 5)
		if mask&0xfffff != 0xfffff {
			to = appendWide(append(to, '/'), mask, 5)
		}
		return to
	case TunnelGBPFlags, GTPUFlags:
		return appendHash(to, value)
	case GTPUMessageType, ERSPANVersion, ERSPANDirection:
		return appendDecimal(to, value)
	case NSHServicePath:
		return appendHex(append(to, "0x"...), value)
	case CTZone:
		return appendDecimal(to, value)
	case NSHContext1, NSHContext2, NSHContext3, NSHContext4:
		to = appendHex(append(to, "0x"...), value)
		if !exact {
			to = appendHex(append(to, "/0x"...), mask)
		}
		return to
	}
	switch {
	case info.format == decimal && !exact && info.width == 1:
		return appendWide(append(appendWide(to, value, 2), '/'), mask, 2)
	case info.format == decimal && !exact:
		return appendHex(append(appendHex(append(to, "0x"...), value), "/0x"...), mask)
	}
	if exact && info.format != tunnelFlags { // without the bits that are never set
		f.Mask = nil
	}
	return f.appendValue(to, names)
}

// appendTunnelMetadata appends what a match has of an option, whose length
// ovs-ofctl does not know: zeros in front count for nothing, not in a mask either.
func (f *Field) appendTunnelMetadata(to []byte) []byte {
	if f.Mask != nil && allZeros(f.Mask) { // whatever it is, it is there
		return to
	}
	to = appendLong(append(to, '='), f.Value)
	if mask := bytes.TrimLeft(f.Mask, "\x00"); !allOnes(mask) {
		to = appendBytes(append(to, '/'), mask)
	}
	return to
}

// appendValue appends value and mask as set_field and learn have them.
func (f *Field) appendValue(to []byte, names *Names) []byte {
	value, mask := f.Uint64()
	info := &fields[f.ID]
	exact := f.Mask == nil || allOnes(f.Mask)
	switch info.format {
	case ipv4, ipv6:
		return appendIP(to, f.Value, f.Mask)
	case ethernet:
		return appendEthernet(to, f.Value, f.Mask)
	case portNumber:
		return names.appendPort(to, uint32(value))
	case portNumber16:
		return names.appendPort(to, port32(uint16(value)))
	case packetType:
		to = appendDecimal(append(to, '('), value>>16)
		return append(appendHash(append(to, ','), value&0xffff), ')')
	case ctState:
		if f.Mask == nil || mask&0xff == 0xff {
			mask = 0xff
		}
		return appendFlags(to, ctStates, value, mask, 0xff)
	case tcpFlags:
		return appendFlags(to, tcpFlagBits, value, mask&0xfff, 0xfff)
	case tunnelFlags:
		if f.Mask == nil {
			return appendFlags(to, tunnelBits, value, 1, 1)
		}
		return appendFlags(to, tunnelBits, value, mask&1, math.MaxUint64)
	case fragments:
		return append(to, fragmentName(value, mask&3)...)
	case decimal:
		to = appendDecimal(to, value)
		if !exact {
			to = appendHash(append(to, '/'), mask)
		}
		return to
	}
	if len(f.Value) > 8 {
		to = appendLong(to, f.Value)
		if !exact {
			to = appendLong(append(to, '/'), f.Mask)
		}
		return to
	}
	to = appendHash(to, value)
	if !exact {
		to = appendHash(append(to, '/'), mask)
	}
	return to
}

// exact tells whether all bits that the field may have are looked at.
func (f *Field) exact() bool {
	if bits := fields[f.ID].bits; bits <= 64 && f.Mask != nil {
		all := uint64(math.MaxUint64) >> (64 - bits)
		_, mask := f.Uint64()
		return mask&all == all
	}
	return f.Mask == nil || allOnes(f.Mask)
}

// appendLong appends a number of more than 64 bits, of which 0 is short.
func appendLong(to, b []byte) []byte {
	if allZeros(b) {
		return append(to, '0')
	}
	return appendBytes(to, b)
}

// fragmentName is what nw_frag is of: 1 any, 2 later fragments.
func fragmentName(value, mask uint64) string {
	switch mask {
	case 3:
		return [...]string{"no", "first", "<error>", "later"}[value&3]
	case 1:
		return [...]string{"no", "yes"}[value&1]
	default:
		return [...]string{"not_later", "later"}[value>>1&1]
	}
}

// AppendText appends the group as ovs-ofctl dump-groups prints it, without the
// blank before it.
func (g *Group) AppendText(to []byte, names *Names) []byte {
	to = appendDecimal(append(to, "group_id="...), uint64(g.ID))
	to = append(append(to, ",type="...), g.Type.String()...)
	if len(g.SelectionMethod) > 0 {
		to = append(append(to, ",selection_method="...), g.SelectionMethod...)
	}
	if g.SelectionParam != 0 {
		to = appendDecimal(append(to, ",selection_method_param="...), g.SelectionParam)
	}
	if !g.HashFields.Empty() {
		to = append(to, ",fields("...)
		open, n := len(to)-1, 0
		for f := range g.HashFields.Fields() {
			to = append(to, f.ID.String()...)
			if !allOnes(f.Value) {
				to = f.appendValue(append(to, '='), nil)
			}
			to = append(to, ',')
			n++
		}
		if to = closed(to); n == 1 {
			to[open] = '='
			to = to[:len(to)-1]
		}
	}
	for i := range g.Buckets {
		to = g.Buckets[i].appendText(append(to, ",bucket="...), g, names)
	}
	return to
}

func (k *Bucket) appendText(to []byte, g *Group, names *Names) []byte {
	if g.numbered {
		to = append(appendDecimal(append(to, "bucket_id:"...), uint64(k.ID)), ',')
	}
	usual := uint16(0)
	if g.Type == GroupSelect {
		usual = 1
	}
	if k.Weight != usual {
		to = append(appendDecimal(append(to, "weight:"...), uint64(k.Weight)), ',')
	}
	if k.WatchPort != PortNone {
		to = append(names.appendPort(append(to, "watch_port:"...), k.WatchPort), ',')
	}
	if k.WatchGroup != math.MaxUint32 {
		to = append(appendDecimal(append(to, "watch_group:"...), uint64(k.WatchGroup)), ',')
	}
	return k.Actions.appendOr(append(to, "actions="...), names, "drop")
}
