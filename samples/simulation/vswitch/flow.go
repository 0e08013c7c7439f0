package vswitch

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/parsers/ovs"
)

// field of packets, as far as the node's flows have them.
type field uint8

const (
	inPort field = iota
	ethDst
	ethSrc
	ethType
	ipProtocol
	ipSrc
	ipDst
	portSrc // of TCP or UDP
	portDst
	arpSPA
	arpSHA
	ctState
	ctMark
	ctLabel // its lower half; the upper is 0
	conjunctionID
	register0
	fields = register0 + 8
)

// fieldInfo has a field's class, number and width as the wire has them
// (OpenFlow 1.5.1, 7.2.3; include/openflow/nicira-ext.h), and its names.
type fieldInfo struct {
	name, action  string // in a match, and in set_field
	class         uint16
	number, width uint8
}

func (f field) info() fieldInfo {
	if f >= register0 {
		n := uint8(f - register0)
		name := "reg" + strconv.Itoa(int(n))
		return fieldInfo{name, name, 1, n, 4}
	}
	return [...]fieldInfo{
		inPort: {"in_port", "in_port", 0x8000, 0, 4}, ethDst: {"dl_dst", "eth_dst", 0x8000, 3, 6}, ethSrc: {"dl_src", "eth_src", 0x8000, 4, 6},
		ethType: {"dl_type", "eth_type", 0x8000, 5, 2}, ipProtocol: {"nw_proto", "ip_proto", 0x8000, 10, 1},
		ipSrc: {"nw_src", "ip_src", 0x8000, 11, 4}, ipDst: {"nw_dst", "ip_dst", 0x8000, 12, 4},
		portSrc: {"tp_src", "tp_src", 0x8000, 13, 2}, portDst: {"tp_dst", "tp_dst", 0x8000, 14, 2}, // of TCP
		arpSPA: {"arp_spa", "arp_spa", 0x8000, 22, 4}, arpSHA: {"arp_sha", "arp_sha", 0x8000, 24, 6},
		ctState: {"ct_state", "ct_state", 1, 105, 4}, ctMark: {"ct_mark", "ct_mark", 1, 107, 4}, ctLabel: {"ct_label", "ct_label", 1, 108, 16},
		conjunctionID: {"conj_id", "conj_id", 1, 37, 4},
	}[f]
}

// all bits of the field, of 64 at most.
func (i fieldInfo) all() uint64 {
	if i.width >= 8 {
		return ^uint64(0)
	}
	return 1<<(8*i.width) - 1
}

func fieldNamed(name string) (field, bool) {
	for f := range fields {
		if i := f.info(); i.name == name || i.action == name {
			return f, true
		}
	}
	return 0, false
}

// bits of a field.
type bits struct {
	field       field
	value, mask uint64
}

// Flags of ct_state.
const (
	stateNew = 1 << iota
	stateEstablished
	stateRelated
	stateReply
	stateInvalid
	stateTracked
)

// flow is one of the bridge's.
type flow struct {
	text     string
	table    uint8
	priority uint16
	cookie   uint64
	match    []bits
	actions  []action
	hash     uint64 // of the text
	added    time.Time
	used     time.Time

	packets, bytes uint64
	wire           struct{ match, instructions []byte }
}

// action of a flow or a bucket.
type action struct {
	kind actionKind
	set  bits   // setField
	n    uint32 // table, port, group, or conjunction
	clause,
	clauses uint8
	user []byte // controller
	ct   *ctAction
}

type actionKind uint8

const (
	gotoTable actionKind = iota
	resubmitTable
	setField
	normal         // what a switch without flows does
	outputRegister // the port that reg1 names
	groupAction
	conjunction
	controller
	decTTL
	moveSource // reg0[0..3] to ct_mark[0..3]
	ct
)

type ctAction struct {
	commit, nat bool
	table       uint8 // 0: none
	zone        uint16
	to          netip.AddrPort // destination; not valid for none
	from        netip.Addr     // source; not valid for none
	exec        []action
}

// parseFlow reads a flow as the model prints it.
func parseFlow(text string) (*flow, error) {
	var from ovs.Flow
	if err := from.Parse([]byte(text)); err != nil {
		return nil, fmt.Errorf("parse flow %q: %w", text, err)
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(text)) // it cannot fail
	f := &flow{text: text, hash: hash.Sum64(), table: uint8(from.TableID), priority: uint16(from.Priority), cookie: uint64(from.Cookie)}
	for name, value := range from.MatchFields() {
		if err := f.addMatch(string(name), string(value)); err != nil {
			return nil, fmt.Errorf("parse flow %q: %w", text, err)
		}
	}
	var err error
	if f.actions, err = parseActions(from.Actions); err != nil {
		return nil, fmt.Errorf("parse flow %q: %w", text, err)
	}
	f.wire.match, f.wire.instructions = encodeMatch(f.match), encodeInstructions(f.actions)
	return f, nil
}

func (f *flow) addMatch(name, value string) error {
	whole := func(id field, value uint64) { f.match = append(f.match, bits{id, value, id.info().all()}) }
	switch name {
	case "ip", "tcp", "udp", "arp":
		kind := uint64(ethIPv4)
		if name == "arp" {
			kind = ethARP
		}
		whole(ethType, kind)
		switch name {
		case "tcp":
			whole(ipProtocol, protoTCP)
		case "udp":
			whole(ipProtocol, protoUDP)
		}
		return nil
	}
	id, ok := fieldNamed(name)
	if !ok {
		return fmt.Errorf("field %s is not known", name)
	}
	b, err := parseBits(id, value)
	f.match = append(f.match, b)
	return err
}

// parseBits reads value or value/mask in the field's own notation.
func parseBits(id field, text string) (bits, error) {
	info := id.info()
	b := bits{field: id, mask: info.all()}
	switch id {
	case ethDst, ethSrc, arpSHA:
		address, err := net.ParseMAC(text)
		for _, octet := range address {
			b.value = b.value<<8 | uint64(octet)
		}
		return b, err
	case ipSrc, ipDst, arpSPA:
		host, length, masked := strings.Cut(text, "/")
		address, err := netip.ParseAddr(host)
		if err != nil || !address.Is4() {
			return b, fmt.Errorf("%q is no IPv4 address", text)
		}
		b.value = uint64(number(address))
		if masked {
			n, err := strconv.ParseUint(length, 10, 5)
			if err != nil {
				return b, fmt.Errorf("%q is no prefix", text)
			}
			b.mask = b.mask << (32 - n) & b.mask
		}
		return b, nil
	case ctState:
		return b, b.parseState(text)
	}
	value, mask, masked := strings.Cut(text, "/")
	var err error
	if b.value, err = strconv.ParseUint(value, 0, 64); err != nil {
		return b, fmt.Errorf("%q is no number", text)
	}
	if masked {
		if b.mask, err = strconv.ParseUint(mask, 0, 64); err != nil {
			return b, fmt.Errorf("%q is no mask", text)
		}
	}
	return b, nil
}

func (b *bits) parseState(text string) error {
	names := map[string]uint64{"new": stateNew, "est": stateEstablished, "rel": stateRelated, "rpl": stateReply, "inv": stateInvalid, "trk": stateTracked}
	b.mask = 0
	for len(text) >= 4 {
		bit, ok := names[text[1:4]]
		if !ok || text[0] != '+' && text[0] != '-' {
			break
		}
		if b.mask |= bit; text[0] == '+' {
			b.value |= bit
		}
		text = text[4:]
	}
	if text != "" {
		return fmt.Errorf("%q is no state of a connection", text)
	}
	return nil
}

// parseActions reads a list of actions; drop is none.
func parseActions(text []byte) (list []action, err error) {
	for name, argument := range ovs.Actions(text) {
		var a action
		switch string(name) {
		case "drop":
			continue
		case "goto_table":
			a.kind, err = gotoTable, readNumber(argument, &a.n)
		case "resubmit":
			_, table, _ := bytes.Cut(argument, []byte{','})
			a.kind, err = resubmitTable, readNumber(table, &a.n)
		case "group":
			a.kind, err = groupAction, readNumber(argument, &a.n)
		case "set_field":
			a.kind, err = setField, a.parseSet(string(argument))
		case "NORMAL":
			a.kind = normal
		case "output": // only that of the register that names the port
			a.kind = outputRegister
		case "conjunction":
			a.kind = conjunction
			a.n, a.clause, a.clauses, _ = ovs.Conjunction(argument)
		case "controller":
			a.kind, err = controller, a.parseController(string(argument))
		case "dec_ttl":
			a.kind = decTTL
		case "move": // only that of the source
			a.kind = moveSource
		case "ct":
			a.kind, err = ct, a.parseCT(argument)
		default:
			err = fmt.Errorf("action %s is not known", name)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

func readNumber(text []byte, to *uint32) error {
	n, err := strconv.ParseUint(string(text), 0, 32)
	if err != nil {
		return fmt.Errorf("%q is no number", text)
	}
	*to = uint32(n)
	return nil
}

func (a *action) parseSet(text string) (err error) {
	value, name, _ := strings.Cut(text, "->")
	id, ok := fieldNamed(name)
	if !ok {
		return fmt.Errorf("field %s is not known", name)
	}
	a.set, err = parseBits(id, value)
	return err
}

func (a *action) parseController(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		digits, ok := strings.CutPrefix(part, "userdata=")
		for ok && digits != "" {
			var digit string
			digit, digits, _ = strings.Cut(digits, ".")
			n, err := strconv.ParseUint(digit, 16, 8)
			if err != nil {
				return fmt.Errorf("%q is no byte", digit)
			}
			a.user = append(a.user, byte(n))
		}
	}
	return nil
}

func (a *action) parseCT(argument []byte) (err error) {
	a.ct = &ctAction{}
	for name, value := range ovs.Actions(argument) {
		var n uint32
		switch string(name) {
		case "commit":
			a.ct.commit = true
		case "table":
			err = readNumber(value, &n)
			a.ct.table = uint8(n)
		case "zone":
			err = readNumber(value, &n)
			a.ct.zone = uint16(n)
		case "nat":
			a.ct.nat = true
			switch kind, address, _ := strings.Cut(string(value), "="); kind {
			case "dst":
				a.ct.to, err = netip.ParseAddrPort(address)
			case "src":
				a.ct.from, err = netip.ParseAddr(address)
			}
		case "exec":
			a.ct.exec, err = parseActions(value)
		}
		if err != nil {
			return fmt.Errorf("read ct: %w", err)
		}
	}
	return nil
}

// group of endpoints.
type group struct {
	id      uint32
	text    string
	buckets [][]action
	packets []uint64 // of each bucket
	bytes   []uint64
	added   time.Time
}

func parseGroup(text string) (*group, error) {
	var from ovs.Group
	if err := from.Parse([]byte(text)); err != nil {
		return nil, fmt.Errorf("parse group %q: %w", text, err)
	}
	g := &group{id: from.ID, text: text, packets: make([]uint64, len(from.Buckets)), bytes: make([]uint64, len(from.Buckets))}
	for i := range from.Buckets {
		actions, err := parseActions(from.Buckets[i].Actions)
		if err != nil {
			return nil, fmt.Errorf("parse group %q: %w", text, err)
		}
		g.buckets = append(g.buckets, actions)
	}
	return g, nil
}
