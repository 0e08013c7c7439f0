package openflow

import (
	"math"
	"strconv"

	"github.com/corkline/corkline/parsers/ovs"
)

// AppendText appends the instructions as ovs-ofctl prints them behind actions=.
func (i Instructions) AppendText(to []byte, names *Names) []byte {
	start := len(to)
	for b := i.b; len(b) > 0; {
		kind, n := be16(b), int(be16(b[2:]))
		body := b[:n:n]
		switch kind {
		case instructionMeter:
			to = appendDecimal(append(to, "meter:"...), uint64(be32(body[4:])))
		case instructionApplyActions:
			to = Actions{body[8:]}.AppendText(to, names)
		case instructionClearActions:
			to = append(to, "clear_actions"...)
		case instructionWriteActions:
			to = append(to, "write_actions("...)
			to = append(Actions{body[8:]}.appendOr(to, names, "drop"), ')')
		case instructionWriteMetadata:
			to = appendMetadata(to, be64(body[8:]), be64(body[16:]))
		case instructionGoto:
			to = names.appendTable(append(to, "goto_table:"...), body[4])
		default:
			to = appendDecimal(append(to, "instruction:"...), uint64(kind))
		}
		if len(to) > start && to[len(to)-1] != ',' {
			to = append(to, ',')
		}
		b = b[n:]
	}
	if len(to) == start {
		return append(to, "drop"...)
	}
	return to[:len(to)-1]
}

func appendMetadata(to []byte, value, mask uint64) []byte {
	to = appendHash(append(to, "write_metadata:"...), value)
	if mask != math.MaxUint64 {
		to = appendHash(append(to, '/'), mask)
	}
	return to
}

// AppendText appends the actions with commas between; nothing when there are none.
func (l Actions) AppendText(to []byte, names *Names) []byte {
	first := true
	for a := range l.All() {
		if !first {
			to = append(to, ',')
		}
		first = false
		to = a.AppendText(to, names)
	}
	return to
}

func (l Actions) appendOr(to []byte, names *Names, empty string) []byte {
	if l.Empty() {
		return append(to, empty...)
	}
	return l.AppendText(to, names)
}

// AppendText appends the action as ovs-ofctl prints it.
func (a Action) AppendText(to []byte, names *Names) []byte {
	b := a.b
	named := func(separator string) { to = append(append(to, a.Kind.String()...), separator...) }
	switch a.Kind {
	case Output:
		return a.appendOutput(to, names)
	case OutputTruncated:
		to = names.appendPort(append(to, "output(port="...), port32(be16(b[10:])))
		return append(appendDecimal(append(to, ",max_len="...), uint64(be32(b[12:]))), ')')
	case OutputRegister:
		first, bits := offsetBits(be16(b[10:]))
		header := b[12:]
		if a.subtype() == 32 {
			header = b[14:]
		}
		return appendHeader(append(to, "output:"...), header, first, bits)
	case Controller:
		return a.appendController(to)
	case GroupAction, MeterAction:
		named(":")
		return appendDecimal(to, uint64(be32(b[4:])))
	case SetQueue:
		named(":")
		if !a.standard() {
			return appendDecimal(to, uint64(be32(b[12:])))
		}
		return appendDecimal(to, uint64(be32(b[4:])))
	case PushVLAN, PushMPLS, PopMPLS:
		ether := b[4:]
		if !a.standard() {
			ether = b[10:]
		}
		named(":")
		return appendWide(to, uint64(be16(ether)), 4)
	case SetMPLSTTL:
		ttl := b[4]
		if !a.standard() {
			ttl = b[10]
		}
		named("(")
		return append(appendDecimal(to, uint64(ttl)), ')')
	case SetMPLSLabel:
		named("(")
		return append(appendDecimal(to, uint64(be32(b[12:]))), ')')
	case SetMPLSTC:
		named("(")
		return append(appendDecimal(to, uint64(b[10])), ')')
	case SetNWTTL:
		named(":")
		return appendDecimal(to, uint64(b[4]))
	case DecNWTTL:
		return a.appendDecTTL(to)
	case SetTunnel:
		named(":")
		return appendHash(to, uint64(be32(b[12:])))
	case SetTunnel64:
		named(":")
		return appendHash(to, be64(b[16:]))
	case Resubmit:
		return a.appendResubmit(to, names)
	case SetField, RegisterLoad:
		return a.appendSet(to, names)
	case Move:
		return a.appendMove(to)
	case StackPush, StackPop:
		named(":")
		return appendHeader(to, b[12:], int(be16(b[10:])), int(be16(b[12+headerLenOf(b[12:]):])))
	case Conjunction:
		id, k, n, _ := a.Conjunction()
		to = appendDecimal(append(to, "conjunction("...), uint64(id))
		to = appendDecimal(append(to, ','), uint64(k))
		return append(appendDecimal(append(to, '/'), uint64(n)), ')')
	case Learn:
		return a.appendLearn(to, names)
	case Note:
		return appendOctets(append(to, "note:"...), a.Note())
	case CT:
		return a.appendCT(to, names)
	case NAT:
		return a.appendNAT(to)
	case Clone:
		named("(")
		return append(a.Nested().AppendText(to, names), ')')
	case Sample:
		return a.appendSample(to, names)
	case Multipath, Bundle, BundleLoad:
		return a.appendHashed(to, names)
	case FinTimeout:
		return a.appendFinTimeout(to)
	case WriteMetadataAction:
		return appendMetadata(to, be64(b[16:]), be64(b[24:]))
	case CheckPacketLarger:
		to = appendDecimal(append(to, "check_pkt_larger("...), uint64(be16(b[10:])))
		return appendHeader(append(to, ")->"...), b[14:], int(be16(b[12:])), 1)
	case DeleteField:
		id, _, _ := takeSubfieldHeader(b[10:])
		return append(append(to, "delete_field:"...), id.String()...)
	case Encap:
		return a.appendEncap(to)
	case Decap:
		to = append(to, "decap("...)
		if kind := be32(b[12:]); kind != 0xfffe { // OFPHT_USE_NEXT_PROTO
			to = appendDecimal(append(to, "packet_type(ns="...), uint64(kind>>16))
			to = append(appendHash(append(to, ",type="...), uint64(kind&0xffff)), ')')
		}
		return append(to, ')')
	case PopVLAN, PopQueue, DecMPLSTTL, DecNSHTTL, CTClear, Exit, DebugSlow, Enqueue:
		named("")
		return to
	default:
		to = appendDecimal(append(to, "action:"...), uint64(be16(b)))
		if !a.standard() && len(b) >= 16 {
			to = appendHex(append(to, "/0x"...), uint64(be32(b[4:])))
			to = appendDecimal(append(to, '/'), uint64(a.subtype()))
		}
		return to
	}
}

func (a Action) appendOutput(to []byte, names *Names) []byte {
	port := be32(a.b[4:])
	if port < PortMax {
		to = append(to, "output:"...)
	}
	to = names.appendPort(to, port)
	if port == PortController {
		to = appendDecimal(append(to, ':'), uint64(be16(a.b[8:])))
	}
	return to
}

// packetInReasons are enum ofp_packet_in_reason of OpenFlow 1.5.
var packetInReasons = [...]string{"no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"}

func (a Action) appendController(to []byte) []byte {
	c, _ := a.Controller()
	if c.Reason == reasonAction && c.ID == 0 && c.Userdata == nil && !c.Pause && c.Meter == math.MaxUint32 {
		return appendDecimal(append(to, "CONTROLLER:"...), uint64(c.MaxLen))
	}
	to = append(to, "controller("...)
	if c.Reason != reasonAction {
		to = append(to, "reason="...)
		if int(c.Reason) < len(packetInReasons) {
			to = append(to, packetInReasons[c.Reason]...)
		} else {
			to = appendDecimal(to, uint64(c.Reason))
		}
		to = append(to, ',')
	}
	if c.MaxLen != math.MaxUint16 {
		to = append(appendDecimal(append(to, "max_len="...), uint64(c.MaxLen)), ',')
	}
	if c.ID != 0 {
		to = append(appendDecimal(append(to, "id="...), uint64(c.ID)), ',')
	}
	if c.Userdata != nil {
		to = append(appendOctets(append(to, "userdata="...), c.Userdata), ',')
	}
	if c.Pause {
		to = append(to, "pause,"...)
	}
	if c.Meter != math.MaxUint32 {
		to = append(appendDecimal(append(to, "meter_id="...), uint64(c.Meter)), ',')
	}
	return closed(to)
}

// closed puts a bracket in the place of the comma at the end, if there is one.
func closed(to []byte) []byte {
	if to[len(to)-1] == ',' {
		to = to[:len(to)-1]
	}
	return append(to, ')')
}

// appendOctets appends bytes with dots between.
func appendOctets(to, b []byte) []byte {
	for i, n := range b {
		if i > 0 {
			to = append(to, '.')
		}
		to = append(to, hexDigits[n>>4], hexDigits[n&15])
	}
	return to
}

func (a Action) appendDecTTL(to []byte) []byte {
	to = append(to, "dec_ttl"...)
	if a.standard() || a.subtype() != 21 {
		return to
	}
	to = append(to, '(')
	for i := range int(be16(a.b[10:])) {
		to = append(appendDecimal(to, uint64(be16(a.b[16+2*i:]))), ',')
	}
	return closed(to)
}

func (a Action) appendResubmit(to []byte, names *Names) []byte {
	port, table, _ := a.Resubmit()
	if port != PortIn && table == AllTables {
		return names.appendPort(append(to, "resubmit:"...), port)
	}
	to = append(to, "resubmit("...)
	if port != PortIn {
		to = names.appendPort(to, port)
	}
	to = append(to, ',')
	if table != AllTables {
		to = names.appendTable(to, table)
	}
	if a.subtype() == 44 {
		to = append(to, ",ct"...)
	}
	return append(to, ')')
}

func (a Action) appendSet(to []byte, names *Names) []byte {
	s, _ := a.SetField()
	if s.bits != 0 {
		to = appendHash(append(to, "load:"...), s.load)
		return appendSubfield(append(to, "->"...), subfield{s.ID, s.first, s.bits})
	}
	to = s.appendValue(append(to, "set_field:"...), names)
	return append(append(to, "->"...), s.ID.String()...)
}

func (a Action) appendMove(to []byte) []byte {
	numbers := a.b[10:]
	if a.standard() {
		numbers = a.b[4:]
	} else if be32(a.b[4:]) == experimenterONF {
		numbers = a.b[12:]
	}
	bits, first, second := int(be16(numbers)), int(be16(numbers[2:])), int(be16(numbers[4:]))
	src, dst := a.moveHeaders()
	to = appendHeader(append(to, "move:"...), src, first, bits)
	return appendHeader(append(to, "->"...), dst, second, bits)
}

func headerLenOf(b []byte) int {
	_, n, _ := takeSubfieldHeader(b)
	return n
}

// appendHeader appends the field whose header b begins with, and its bits.
func appendHeader(to, b []byte, first, bits int) []byte {
	id, _, _ := takeSubfieldHeader(b)
	return appendSubfield(to, subfield{id, first, bits})
}

func appendSubfield(to []byte, s subfield) []byte {
	to = append(to, fields[s.id].code...)
	switch {
	case s.first == 0 && s.bits == int(fields[s.id].bits):
		return append(to, "[]"...)
	case s.bits == 1:
		return append(appendDecimal(append(to, '['), uint64(s.first)), ']')
	default:
		to = appendDecimal(append(to, '['), uint64(s.first))
		return append(appendDecimal(append(to, ".."...), uint64(s.first+s.bits-1)), ']')
	}
}

func (a Action) appendFinTimeout(to []byte) []byte {
	to = append(to, "fin_timeout("...)
	if n := be16(a.b[10:]); n != 0 {
		to = append(appendDecimal(append(to, "idle_timeout="...), uint64(n)), ',')
	}
	if n := be16(a.b[12:]); n != 0 {
		to = append(appendDecimal(append(to, "hard_timeout="...), uint64(n)), ',')
	}
	return closed(to)
}

func (a Action) appendLearn(to []byte, names *Names) []byte {
	b := a.b
	l, _ := a.Learn()
	to = names.appendTable(append(to, "learn(table="...), l.Table)
	number := func(key string, n uint64) {
		if n != 0 {
			to = appendDecimal(append(append(append(to, ','), key...), '='), n)
		}
	}
	number("idle_timeout", uint64(l.IdleTimeout))
	number("hard_timeout", uint64(l.HardTimeout))
	number("fin_idle_timeout", uint64(be16(b[28:])))
	number("fin_hard_timeout", uint64(be16(b[30:])))
	if l.Priority != ovs.DefaultPriority {
		to = appendDecimal(append(to, ",priority="...), uint64(l.Priority))
	}
	flags := be16(b[24:])
	if flags&learnSendFlowRem != 0 {
		to = append(to, ",send_flow_rem"...)
	}
	if flags&learnDeleted != 0 {
		to = append(to, ",delete_learned"...)
	}
	if l.Cookie != 0 {
		to = appendHash(append(to, ",cookie="...), l.Cookie)
	}
	at := a.learnSpecs()
	if a.subtype() == 45 {
		number("limit", uint64(be32(b[32:])))
		if at > 40 {
			to = appendHeader(append(to, ",result_dst="...), b[40:], int(be16(b[36:])), 1)
		}
	}
	for at < len(b) {
		p, n, ok := takeLearnPart(b[at:])
		if !ok || n == 0 {
			break
		}
		at += n
		to = p.appendText(append(to, ','), names)
	}
	return append(to, ')')
}

func (p *learnPart) appendText(to []byte, names *Names) []byte {
	switch p.head & learnDestination {
	case learnToMatch:
		if p.immediate != nil && p.dst.first == 0 && p.dst.bits == p.dst.id.Bits() {
			width := int(fields[p.dst.id].width)
			value := append(make([]byte, max(0, width-len(p.immediate))), p.immediate...)
			f := Field{ID: p.dst.id, Value: value[len(value)-width:]}
			return f.appendValue(append(append(to, p.dst.id.String()...), '='), names)
		}
		to = appendSubfield(to, p.dst)
		if p.immediate == nil && p.src == p.dst {
			return to
		}
		to = append(to, '=')
	case learnToLoad:
		to = append(to, "load:"...)
	default:
		to = append(to, "output:"...)
	}
	if p.immediate != nil {
		to = appendLong(to, p.immediate)
	} else {
		to = appendSubfield(to, p.src)
	}
	if p.head&learnDestination == learnToLoad {
		to = appendSubfield(append(to, "->"...), p.dst)
	}
	return to
}

// algorithms are the helpers of connection tracking by their ports.
func algorithm(port uint16) string {
	switch port {
	case 0:
		return ""
	case 21:
		return "ftp"
	case 69:
		return "tftp"
	default:
		return strconv.Itoa(int(port))
	}
}

func (a Action) appendCT(to []byte, names *Names) []byte {
	c := a.CT()
	to = append(to, "ct("...)
	if c.Commit {
		to = append(to, "commit,"...)
	}
	if c.Force {
		to = append(to, "force,"...)
	}
	if table, ok := c.Table(); ok {
		to = append(names.appendTable(append(to, "table="...), table), ',')
	}
	if c.zoneBits != 0 {
		first, bits := offsetBits(c.zoneBits)
		to = append(appendSubfield(append(to, "zone="...), subfield{c.ZoneField, first, bits}), ',')
	} else if c.Zone != 0 {
		to = append(appendDecimal(append(to, "zone="...), uint64(c.Zone)), ',')
	}
	rest := a.Nested()
	if first, n, ok := takeAction(rest.b); ok && first.Kind == NAT {
		to = append(first.appendNAT(to), ',')
		rest.b = rest.b[n:]
	}
	if !rest.Empty() {
		to = append(rest.AppendText(append(to, "exec("...), names), "),"...)
	}
	if name := algorithm(c.ALG); name != "" {
		to = append(append(append(to, "alg="...), name...), ',')
	}
	return closed(to)
}

// Flags of nat (NX_NAT_F_*).
const (
	natSource = 1 << iota
	natDestination
	natPersistent
	natHash
	natRandom
)

func (a Action) appendNAT(to []byte) []byte {
	to = append(to, "nat"...)
	flags, present := be16(a.b[12:]), be16(a.b[14:])
	if flags&(natSource|natDestination) == 0 {
		return to
	}
	if flags&natSource != 0 {
		to = append(to, "(src"...)
	} else {
		to = append(to, "(dst"...)
	}
	var parts [len(natParts)][]byte
	at := 16
	for i, length := range natParts {
		if present>>i&1 != 0 {
			parts[i], at = a.b[at:at+length], at+length
		}
	}
	if present != 0 {
		to = append(to, '=')
		bracket := parts[4] != nil
		for i, part := range parts {
			if part == nil {
				continue
			}
			switch i {
			case 1, 3, 5: // the end of a range
				to = append(to, '-')
			case 4:
				to = append(to, ':')
			}
			switch {
			case len(part) == 2:
				to = appendDecimal(to, uint64(be16(part)))
			case len(part) == 16 && bracket:
				to = append(appendAddress(append(to, '['), part), ']')
			default:
				to = appendAddress(to, part)
			}
		}
	}
	for _, f := range []struct {
		bit  uint16
		name string
	}{{natPersistent, ",persistent"}, {natHash, ",hash"}, {natRandom, ",random"}} {
		if flags&f.bit != 0 {
			to = append(to, f.name...)
		}
	}
	return append(to, ')')
}

func (a Action) appendSample(to []byte, names *Names) []byte {
	to = appendDecimal(append(to, "sample(probability="...), uint64(be16(a.b[10:])))
	to = appendDecimal(append(to, ",collector_set_id="...), uint64(be32(a.b[12:])))
	to = appendDecimal(append(to, ",obs_domain_id="...), uint64(be32(a.b[16:])))
	to = appendDecimal(append(to, ",obs_point_id="...), uint64(be32(a.b[20:])))
	if a.subtype() != 29 {
		if port := be16(a.b[24:]); port != math.MaxUint16 {
			to = names.appendPort(append(to, ",sampling_port="...), port32(port))
		}
		switch a.b[26] {
		case 1:
			to = append(to, ",ingress"...)
		case 2:
			to = append(to, ",egress"...)
		}
	}
	return append(to, ')')
}

// What multipath and bundle hash (enum nx_hash_fields), and how they choose.
var (
	hashFields          = [...]string{"eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3"}
	multipathAlgorithms = [...]string{"modulo_n", "hash_threshold", "hrw", "iter_hash"}
	bundleAlgorithms    = [...]string{"active_backup", "hrw"}
)

func appendNth(to []byte, names []string, n uint16) []byte {
	if int(n) < len(names) {
		return append(to, names[n]...)
	}
	return appendDecimal(to, uint64(n))
}

func (a Action) appendHashed(to []byte, names *Names) []byte {
	b := a.b
	to = append(append(to, a.Kind.String()...), '(')
	if a.Kind == Multipath {
		to = appendNth(to, hashFields[:], be16(b[10:]))
		to = appendDecimal(append(to, ','), uint64(be16(b[12:])))
		to = appendNth(append(to, ','), multipathAlgorithms[:], be16(b[16:]))
		to = appendDecimal(append(to, ','), uint64(be16(b[18:]))+1)
		to = appendDecimal(append(to, ','), uint64(be32(b[20:])))
		first, bits := offsetBits(be16(b[26:]))
		return append(appendHeader(append(to, ','), b[28:], first, bits), ')')
	}
	to = appendNth(to, hashFields[:], be16(b[12:]))
	to = appendDecimal(append(to, ','), uint64(be16(b[14:])))
	to = appendNth(append(to, ','), bundleAlgorithms[:], be16(b[10:]))
	to = append(to, ",ofport,"...)
	if a.Kind == BundleLoad {
		first, bits := offsetBits(be16(b[22:]))
		to = append(appendHeader(to, b[24:], first, bits), ',')
	}
	to = append(to, "members:"...)
	for i := range int(be16(b[20:])) {
		to = append(names.appendPort(to, port32(be16(b[32+2*i:]))), ',')
	}
	return closed(to)
}

func (a Action) appendEncap(to []byte) []byte {
	to = append(to, "encap("...)
	switch kind := be32(a.b[12:]); kind {
	case 0:
		to = append(to, "ethernet"...)
	case 0x0001_894f:
		to = append(to, "nsh"...)
	case 0x0001_8847:
		to = append(to, "mpls"...)
	case 0x0001_8848:
		to = append(to, "mpls_mcast"...)
	default:
		to = appendWide(to, uint64(kind), 8)
	}
	start := len(to)
	for at := 16; len(a.b)-at >= 8; {
		class, kind, n := be16(a.b[at:]), a.b[at+2], int(a.b[at+3])
		if n < 5 || n > len(a.b)-at {
			break
		}
		p := a.b[at : at+n]
		at += min(padded(n), len(a.b)-at)
		if class != 4 { // of NSH
			continue
		}
		if len(to) == start {
			to = append(to, '(')
		}
		switch {
		case kind == 1:
			to = append(appendDecimal(append(to, "md_type="...), uint64(p[4])), ',')
		case kind == 2 && n >= 8:
			to = appendWide(append(to, "tlv("...), uint64(be16(p[4:])), 4)
			to = appendDecimal(append(to, ','), uint64(p[6]))
			to = append(appendBytes(append(to, ','), p[8:min(n, 8+int(p[7]))]), "),"...)
		}
	}
	if len(to) > start {
		to = closed(to)
	}
	return append(to, ')')
}
