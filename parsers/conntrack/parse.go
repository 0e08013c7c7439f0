package conntrack

import (
	"bytes"
	"math"
	"net/netip"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// Parse reads a line into e, whatever e held before, and refers to the memory
// of the line. The error is an Error, and leaves e undefined.
func (e *Entry) Parse(line []byte) error {
	*e = Entry{Other: e.Other[:0]}
	p := parser{Scanner: dump.Scanner{Text: dump.TrimEnd(line)}, entry: e}
	p.Blanks()
	var err error
	if p.isDatapath() {
		err = p.datapath()
	} else {
		err = p.list()
	}
	e.Has = p.seen & allFields
	return err
}

// isDatapath tells by what follows the protocol.
func (p *parser) isDatapath() bool {
	s := p.Scanner
	s.Word()
	return s.Next(',')
}

type parser struct {
	dump.Scanner
	entry *Entry

	seen      Fields
	tuple     *Tuple // the direction that pairs belong to
	tupleSeen tupleKeys
	valueAt   int // where the value of the pair begins
}

// tupleKeys are the keys of a tuple that were seen.
type tupleKeys uint16

const (
	seenSrc tupleKeys = 1 << iota
	seenDst
	seenSport
	seenDport
	seenType
	seenCode
	seenID
	seenSrckey
	seenDstkey
	seenPackets
	seenBytes
	seenZone
)

// protocols that are printed by name.
var protocols = [...]struct {
	name   string
	number uint8
}{
	{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"icmpv6", 58}, {"sctp", 132}, {"dccp", 33}, {"gre", 47}, {"udplite", 136}, {"igmp", 2},
}

// protocol gives the number of a name, or 0.
func protocol(name []byte) uint8 {
	for i := range protocols {
		if string(name) == protocols[i].name {
			return protocols[i].number
		}
	}
	return 0
}

// list reads what conntrack and the kernel print.
func (p *parser) list() error {
	if err := p.event(); err != nil {
		return err
	}
	if err := p.head(); err != nil {
		return err
	}
	for !p.End() {
		if p.Next('[') {
			if err := p.flag(); err != nil {
				return err
			}
		} else if err := p.listPair(); err != nil {
			return err
		}
		if !p.End() && !p.Next(' ') {
			return p.Expected("a blank")
		}
		p.Blanks()
	}
	if p.tuple != &p.entry.Reply {
		return p.Expected("src= of the reply")
	}
	return p.endTuple(p.At)
}

// event takes the time and the name of an event: [1700000000.123456] and [NEW].
func (p *parser) event() error {
	e := p.entry
	timed := p.Next('[') && p.digit(p.At+1)
	if timed {
		p.At++
		seconds, ok := p.Number(math.MaxInt64/1_000_000_000 - 1)
		if !ok || !p.Take(".") {
			return p.Expected("seconds and a point")
		}
		start := p.At
		micros, ok := p.Number(999_999)
		if !ok || p.At-start != len("123456") || !p.Take("]") {
			return p.Expected("microseconds and a bracket")
		}
		e.Time = int64(seconds)*1_000_000_000 + int64(micros)*1000
		p.Blanks()
	}
	switch {
	case p.Take("[NEW]"):
		e.Event = New
	case p.Take("[UPDATE]"):
		e.Event = Update
	case p.Take("[DESTROY]"):
		e.Event = Destroy
	case timed:
		return p.Expected("[NEW], [UPDATE] or [DESTROY]")
	}
	p.Blanks()
	return nil
}

// head takes the family, if it is there, the protocol, and what there is of
// timeout and state: offloaded entries have neither, and those destroyed by
// their timeout have a state only.
func (p *parser) head() error {
	e := p.entry
	e.Form = List
	start := p.At
	name := p.Word()
	if string(name) == "ipv4" || string(name) == "ipv6" {
		e.Form, e.Family = Extended, int(name[3]-'0')
		family := uint64(2) // AF_INET
		if e.Family == 6 {
			family = 10 // AF_INET6
		}
		p.Blanks()
		if n, ok := p.Number(family); !ok || n != family || !p.Next(' ') {
			return p.Expected("the number of the family: 2 of ipv4, 10 of ipv6")
		}
		p.Blanks()
		start = p.At
		name = p.Word()
	}
	if len(name) == 0 || !p.Next(' ') {
		p.At = start
		return p.Expected("a protocol")
	}
	e.ProtocolName = name
	p.Blanks()
	start = p.At
	ok := dump.Take(&p.Scanner, &e.Protocol)
	if known := protocol(name); !ok || !p.Next(' ') || known != 0 && known != e.Protocol {
		p.At = start
		return p.Expected("the number of the protocol")
	}
	p.Blanks()

	if p.digit(p.At) {
		start := p.At
		if !dump.Take(&p.Scanner, &e.Timeout) || !p.Next(' ') {
			p.At = start
			return p.Expected("a timeout in seconds")
		}
		p.seen |= HasTimeout
		p.Blanks()
	}
	if start := p.At; p.upper(start) {
		for p.upper(p.At) || p.digit(p.At) || p.Next('_') {
			p.At++
		}
		e.State = p.Text[start:p.At:p.At]
		if !p.Next(' ') {
			return p.Expected("a blank after the state")
		}
		p.Blanks()
	}
	return nil
}

// key takes the key of a pair.
func (p *parser) key() []byte {
	start := p.At
	for p.At < len(p.Text) {
		b := p.Text[p.At]
		if (b|0x20)-'a' > 'z'-'a' && b-'0' > 9 && b != '-' && b != '_' && b != '.' {
			break
		}
		p.At++
	}
	return p.Text[start:p.At:p.At]
}

func (p *parser) digit(at int) bool { return at < len(p.Text) && p.Text[at]-'0' <= 9 }

func (p *parser) upper(at int) bool { return at < len(p.Text) && p.Text[at]-'A' <= 'Z'-'A' }

// flag takes what stands in square brackets.
func (p *parser) flag() error {
	e, start := p.entry, p.At
	length := bytes.IndexByte(p.Rest(), ']')
	if length < 0 {
		return p.Expected("a flag in brackets")
	}
	p.At += length + 1
	flag := p.Text[start+1 : p.At-1 : p.At-1]
	switch string(flag) {
	case "UNREPLIED":
		if p.tuple != &e.Orig {
			p.At = start
			return p.Expected("[UNREPLIED] between the directions")
		}
		e.Status |= Unreplied
	case "ASSURED":
		e.Status |= Assured
	case "OFFLOAD":
		e.Status |= Offload
	case "HW_OFFLOAD":
		e.Status |= HWOffload
	default:
		name, value, hasValue := bytes.Cut(flag, []byte("="))
		switch {
		case !plain(flag, hasValue):
			p.At = start
			return p.Expected("a flag in brackets")
		case string(name) == "start":
			e.Start = value
			return p.once(seenStart)
		case string(name) == "stop":
			e.Stop = value
			return p.once(seenStop)
		default:
			e.Other = append(e.Other, Pair{name, value})
		}
	}
	return nil
}

// plain tells whether there is nothing in a flag that could be what follows
// it, were its bracket missing.
func plain(flag []byte, hasValue bool) bool {
	for _, b := range flag {
		if b == '[' || b == ' ' && !hasValue {
			return false
		}
	}
	return len(flag) > 0 && (!hasValue || bytes.Count(flag, []byte("=")) == 1)
}

// listPair takes key=value.
func (p *parser) listPair() error {
	start := p.At
	key := p.key()
	if string(key) == "labels" && !p.Next('=') { // conntrack drops the = when no label is set
		return nil
	}
	if len(key) == 0 || !p.Take("=") {
		return p.Expected("a key and =")
	}
	p.valueAt = p.At
	value := p.Until(' ')
	if bytes.IndexByte(value, '=') >= 0 { // of the next pair
		p.At = p.valueAt
		return p.Expected("a value without =")
	}
	if string(key) == "src" {
		switch p.tuple {
		case nil:
			p.tuple = &p.entry.Orig
		case &p.entry.Orig:
			if err := p.endTuple(start); err != nil {
				return err
			}
			p.tuple, p.tupleSeen = &p.entry.Reply, 0
		}
	}
	if p.tuple == nil {
		value = bytes.TrimSuffix(value, []byte(",")) // between GRE's timeouts
	} else {
		// The id of an ICMP tuple follows its code; any other is the entry's.
		if string(key) != "id" || p.tupleSeen&(seenType|seenCode|seenID) == seenType|seenCode {
			if taken, err := p.tuplePair(key, value); taken {
				return err
			}
		}
		if p.tuple == &p.entry.Reply {
			if taken, err := p.entryPair(key, value); taken {
				return err
			}
		}
	}
	p.entry.Other = append(p.entry.Other, Pair{key, value})
	return nil
}

// number takes a value that is a decimal number, and fits its place.
func number[T dump.Uint](p *parser, value []byte, to *T, what string) error {
	s := dump.Scanner{Text: value}
	if !dump.Take(&s, to) || !s.End() {
		p.At = p.valueAt
		return p.Expected(what)
	}
	return nil
}

// tuplePair takes a pair of a tuple.
func (p *parser) tuplePair(key, value []byte) (taken bool, err error) {
	t := p.tuple
	var is tupleKeys
	switch string(key) {
	case "src":
		is = seenSrc
		t.Src, err = p.address(value)
	case "dst":
		is = seenDst
		t.Dst, err = p.address(value)
	case "sport":
		is = seenSport
		err = number(p, value, &t.SrcPort, "a port")
	case "dport":
		is = seenDport
		err = number(p, value, &t.DstPort, "a port")
	case "packets":
		is = seenPackets
		err = number(p, value, &t.Packets, "a number")
	case "bytes":
		is = seenBytes
		err = number(p, value, &t.Bytes, "a number")
	case "type":
		is = seenType
		err = number(p, value, &t.ICMPType, "an ICMP type")
	case "code":
		is = seenCode
		err = number(p, value, &t.ICMPCode, "an ICMP code")
	case "id":
		is = seenID
		err = number(p, value, &t.ICMPID, "an ICMP id")
	case "srckey":
		is = seenSrckey
		t.SrcKey, err = p.greKey(value)
	case "dstkey":
		is = seenDstkey
		t.DstKey, err = p.greKey(value)
	case "zone-orig", "zone-reply":
		is = seenZone
		if (string(key) == "zone-orig") != (t == &p.entry.Orig) {
			p.At = p.valueAt
			return true, p.Expected("zone-orig before and zone-reply after the src of the reply")
		}
		err = number(p, value, &t.Zone, "a zone")
	default:
		return false, nil
	}
	if err == nil && p.tupleSeen&is != 0 {
		p.At = p.valueAt
		err = p.Expected("each key once in a direction")
	}
	p.tupleSeen |= is
	return true, err
}

// address takes the address of a direction; all are of one family.
func (p *parser) address(value []byte) (netip.Addr, error) {
	address, ok := parseAddress(value)
	family := 6
	if address.Is4() {
		family = 4
	}
	if !ok || p.entry.Family != 0 && p.entry.Family != family {
		p.At = p.valueAt
		return netip.Addr{}, p.Expected("an address, of one family with the others")
	}
	p.entry.Family = family
	return address, nil
}

func (p *parser) greKey(value []byte) (uint32, error) {
	s := dump.Scanner{Text: value}
	n, ok := s.Hex()
	if !ok || !s.End() || n > math.MaxUint32 {
		p.At = p.valueAt
		return 0, p.Expected("a key in hexadecimal")
	}
	return uint32(n), nil
}

// tupleParts are the keys that come together.
var tupleParts = [...]struct {
	keys, needs tupleKeys
	has         TupleFields
	what        string
}{
	{keys: seenSport | seenDport, needs: seenSport | seenDport, has: HasPorts, what: "sport= and dport="},
	{keys: seenType | seenCode | seenID, needs: seenID, has: HasICMP, what: "type=, code= and id="},
	{keys: seenType | seenCode, needs: seenType | seenCode, what: "type= and code="}, // older Open vSwitch has none
	{keys: seenSrckey | seenDstkey, needs: seenSrckey | seenDstkey, has: HasKeys, what: "srckey= and dstkey="},
	{keys: seenPackets | seenBytes, needs: seenPackets | seenBytes, has: HasCounters, what: "packets= and bytes="},
	{keys: seenZone, has: HasTupleZone},
}

// endTuple holds that a tuple has all of what it has a part of.
func (p *parser) endTuple(at int) error {
	if p.tupleSeen&(seenSrc|seenDst) != seenSrc|seenDst {
		p.At = at
		return p.Expected("src= and dst= before")
	}
	for i := range tupleParts {
		part := &tupleParts[i]
		if p.tupleSeen&part.keys == 0 {
			continue
		}
		if p.tupleSeen&part.needs != part.needs {
			p.At = at
			return p.Expected(part.what + " before")
		}
		p.tuple.Has |= part.has
	}
	return nil
}

// entryPair takes a pair of the entry, that either form has.
func (p *parser) entryPair(key, value []byte) (taken bool, err error) {
	e := p.entry
	var has Fields
	switch string(key) {
	case "mark":
		has = HasMark
		err = number(p, value, &e.Mark, "a decimal mark")
	case "zone":
		has = HasZone
		err = number(p, value, &e.Zone, "a zone")
	case "use":
		has = HasUse
		err = number(p, value, &e.Use, "a number")
	case "id":
		has = HasID
		err = number(p, value, &e.ID, "a number")
	case "delta-time":
		has = HasDeltaTime
		err = number(p, value, &e.DeltaTime, "seconds")
	case "labels":
		has = seenLabels
		e.Labels = value
	default:
		return false, nil
	}
	if err == nil {
		err = p.once(has)
	}
	return true, err
}

// once holds that a pair comes once.
func (p *parser) once(is Fields) error {
	if p.seen&is != 0 {
		p.At = p.valueAt
		return p.Expected("each key once")
	}
	p.seen |= is
	return nil
}
