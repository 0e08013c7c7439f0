package conntrack

import (
	"bytes"
)

// datapath reads what Open vSwitch prints.
func (p *parser) datapath() error {
	e := p.entry
	e.Form = Datapath
	start := p.At
	if name := p.Word(); protocol(name) != 0 {
		e.ProtocolName, e.Protocol = name, protocol(name)
	} else if number(p, name, &e.Protocol, "") != nil { // only some have names here
		p.At = start
		return p.Expected("a protocol's name or number")
	}
	for _, direction := range [...]struct {
		key string
		to  *Tuple
	}{{",orig=(", &e.Orig}, {",reply=(", &e.Reply}} {
		if !p.Take(direction.key) {
			return p.Expected(direction.key)
		}
		p.tuple, p.tupleSeen = direction.to, 0
		if err := p.datapathTuple(); err != nil {
			return err
		}
	}
	for !p.End() {
		if !p.Take(",") {
			return p.Expected("a comma")
		}
		key, value, err := p.datapathPair()
		if err != nil {
			return err
		}
		if err := p.datapathValue(key, value); err != nil {
			return err
		}
	}
	return nil
}

// datapathTuple takes pairs up to the closing bracket.
func (p *parser) datapathTuple() error {
	for {
		key, value, err := p.datapathPair()
		if err != nil {
			return err
		}
		if taken, err := p.tuplePair(key, value); err != nil {
			return err
		} else if !taken {
			p.entry.Other = append(p.entry.Other, Pair{key, value})
		}
		switch at := p.At; {
		case p.Take(","):
		case p.Take(")"):
			return p.endTuple(at)
		default:
			return p.Expected("a comma or a bracket")
		}
	}
}

// datapathPair takes key=value up to a comma or a closing bracket; a value in
// brackets is taken whole.
func (p *parser) datapathPair() (key, value []byte, err error) {
	if key = p.key(); len(key) == 0 || !p.Take("=") {
		return nil, nil, p.Expected("a key and =")
	}
	p.valueAt = p.At
	depth := 0
	for ; p.At < len(p.Text); p.At++ {
		b := p.Text[p.At]
		if depth == 0 && (b == ',' || b == ')') {
			break
		}
		switch {
		case b == '(':
			depth++
		case b == ')':
			depth--
		case b == '=' && depth == 0: // of the next pair
			return nil, nil, p.Expected("a value without =")
		}
	}
	if depth > 0 {
		return nil, nil, p.Expected("a closing bracket")
	}
	return key, p.Text[p.valueAt:p.At:p.At], nil
}

// datapathValue takes a pair behind the tuples.
func (p *parser) datapathValue(key, value []byte) error {
	e := p.entry
	if taken, err := p.entryPair(key, value); taken {
		return err
	}
	switch string(key) {
	case "timeout":
		if err := number(p, value, &e.Timeout, "a timeout in seconds"); err != nil {
			return err
		}
		return p.once(HasTimeout)
	case "start":
		e.Start = value
		return p.once(seenStart)
	case "stop":
		e.Stop = value
		return p.once(seenStop)
	case "status":
		e.status(value)
		e.Other = append(e.Other, Pair{key, value})
		return p.once(seenStatus)
	case "protoinfo":
		if err := p.protoInfo(value); err != nil {
			return err
		}
		return p.once(seenProtoInfo)
	default:
		e.Other = append(e.Other, Pair{key, value})
		return nil
	}
}

// status takes the names of the kernel's status bits, with | between. The
// userspace datapath has none of them, and prints 0 or nothing.
func (e *Entry) status(value []byte) {
	seenReply, known := false, false
	for name := range bytes.SplitSeq(value, []byte("|")) {
		switch string(name) {
		case "SEEN_REPLY":
			seenReply = true
		case "ASSURED":
			e.Status |= Assured
		case "", "0":
			continue
		}
		known = true
	}
	if known && !seenReply {
		e.Status |= Unreplied
	}
}

// protoInfo takes (state=…), or of both directions (state_orig=…,state_reply=…).
func (p *parser) protoInfo(value []byte) error {
	inner, ok := bytes.CutPrefix(value, []byte("("))
	if inner, ok2 := bytes.CutSuffix(inner, []byte(")")); ok && ok2 {
		for pair := range bytes.SplitSeq(inner, []byte(",")) {
			key, value, found := bytes.Cut(pair, []byte("="))
			switch {
			case !found && len(inner) > 0:
				p.At = p.valueAt
				return p.Expected("pairs in brackets")
			case string(key) == "state", string(key) == "state_orig":
				p.entry.State = value
			case string(key) == "state_reply":
				p.entry.StateReply = value
			case found:
				p.entry.Other = append(p.entry.Other, Pair{key, value})
			}
		}
		return nil
	}
	p.At = p.valueAt
	return p.Expected("pairs in brackets")
}
