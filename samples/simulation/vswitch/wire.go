package vswitch

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// What stands here writes OpenFlow 1.5 (OpenFlow Switch Specification 1.5.1),
// with the fields and actions of Open vSwitch (include/openflow/nicira-ext.h
// and lib/ofp-actions.c of its source).

const (
	nicira     = 0x00002320
	portNormal = 0xfffffffa
	padded     = 8
)

// Subtypes of Open vSwitch's actions (enum ofp_raw_action_type).
const (
	niciraMove        = 6
	niciraResubmit    = 14
	niciraOutput      = 15
	niciraConjunction = 34
	niciraCT          = 35
	niciraNAT         = 36
	niciraController  = 37
)

func u16(b []byte, n uint16) []byte { return binary.BigEndian.AppendUint16(b, n) }
func u32(b []byte, n uint32) []byte { return binary.BigEndian.AppendUint32(b, n) }
func u64(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

func zeros(b []byte, n int) []byte { return append(b, make([]byte, n)...) }

// pad to a multiple of 8 bytes from a start.
func pad(b []byte, start int) []byte { return zeros(b, (padded-(len(b)-start)%padded)%padded) }

// text in so many bytes, cut so that a zero ends it.
func text(b []byte, s string, n int) []byte {
	s = s[:min(len(s), n-1)]
	return zeros(append(b, s...), n-len(s))
}

// setLength of what begins at a place with a length of 16 bits there.
func setLength(b []byte, start, at int) []byte {
	binary.BigEndian.PutUint16(b[start+at:], uint16(len(b)-start))
	return b
}

// entry writes an OXM header, the value, and the mask when there is one.
func (f field) append(b []byte, protocol, value, mask uint64) []byte {
	i := f.info()
	if protocol == protoUDP && (f == portSrc || f == portDst) {
		i.number += 2
	}
	masked := mask&i.all() != i.all()
	if f == ctLabel {
		masked = true // its upper half is not asked for
	}
	b = u32(b, i.header(masked))
	b = appendWide(b, i.width, value)
	if masked {
		b = appendWide(b, i.width, mask)
	}
	return b
}

func (i fieldInfo) header(masked bool) uint32 {
	n, has := uint32(i.width), uint32(0)
	if masked {
		n, has = 2*n, 1
	}
	return uint32(i.class)<<16 | uint32(i.number)<<9 | has<<8 | n
}

// appendWide writes a number in so many bytes.
func appendWide(b []byte, width uint8, n uint64) []byte {
	for at := int(width) - 1; at >= 0; at-- {
		if at >= 8 {
			b = append(b, 0)
			continue
		}
		b = append(b, byte(n>>(8*at)))
	}
	return b
}

// encodeMatch writes struct ofp_match.
func encodeMatch(match []bits) []byte {
	protocol := uint64(0)
	for _, m := range match {
		if m.field == ipProtocol {
			protocol = m.value
		}
	}
	b := u16(nil, 1)
	b = u16(b, 0)
	for _, m := range match {
		b = m.field.append(b, protocol, m.value, m.mask)
	}
	return pad(setLength(b, 0, 2), 0)
}

// encodeInstructions writes what is done at once, and the table that follows.
func encodeInstructions(actions []action) []byte {
	apply := slices.DeleteFunc(slices.Clone(actions), func(a action) bool { return a.kind == gotoTable })
	var b []byte
	if len(apply) > 0 {
		b = u32(u16(u16(b, 4), 0), 0)
		b = setLength(encodeActions(b, apply), 0, 2)
	}
	for _, a := range actions {
		if a.kind == gotoTable {
			b = append(u16(u16(b, 1), 8), byte(a.n), 0, 0, 0)
		}
	}
	return b
}

func encodeActions(b []byte, actions []action) []byte {
	for i := range actions {
		start := len(b)
		b = actions[i].encode(b)
		b = setLength(pad(b, start), start, 2)
	}
	return b
}

// vendor begins an action of Open vSwitch.
func vendor(b []byte, subtype uint16) []byte {
	return u16(u32(u16(u16(b, 0xffff), 0), nicira), subtype)
}

// encode an action; its length and padding are written by who calls.
func (a *action) encode(b []byte) []byte {
	switch a.kind {
	case normal:
		return zeros(u32(u16(u16(b, 0), 0), portNormal), 8)
	case groupAction:
		return u32(u16(u16(b, 22), 0), a.n)
	case decTTL:
		return zeros(u16(u16(b, 24), 0), 4)
	case setField:
		return a.set.field.append(u16(u16(b, 25), 0), 0, a.set.value, a.set.mask)
	case resubmitTable:
		return zeros(append(u16(vendor(b, niciraResubmit), 0xfff8), byte(a.n)), 3)
	case outputRegister: // the whole of reg1
		return zeros(u16(u32(u16(vendor(b, niciraOutput), 31), (register0+1).info().header(false)), 0xffff), 6)
	case conjunction:
		return u32(append(vendor(b, niciraConjunction), a.clause-1, a.clauses), a.n)
	case moveSource:
		b = u16(u16(u16(vendor(b, niciraMove), 4), 0), 0)
		return u32(u32(b, register0.info().header(false)), ctMark.info().header(false))
	case controller:
		return a.encodeController(vendor(b, niciraController))
	case ct:
		return a.ct.encode(vendor(b, niciraCT))
	default:
		return b
	}
}

// encodeController writes NXAST_CONTROLLER2 with its properties: the
// controller's number, the reason, and what it is to be told.
func (a *action) encodeController(b []byte) []byte {
	b = zeros(b, 6)
	property := func(kind uint16, value []byte) {
		start := len(b)
		b = append(u16(u16(b, kind), 0), value...)
		b = pad(setLength(b, start, 2), start)
	}
	property(1, u16(nil, 62373))
	property(2, []byte{0}) // the reason: no match
	property(3, a.user)
	return b
}

func (c *ctAction) encode(b []byte) []byte {
	flags := uint16(0)
	if c.commit {
		flags = 1
	}
	table := byte(0xff)
	if c.table != 0 {
		table = c.table
	}
	b = u16(u32(u16(b, flags), 0), c.zone)
	b = zeros(append(b, table), 5)
	if c.nat {
		start := len(b)
		b = zeros(vendor(b, niciraNAT), 2)
		switch {
		case c.to.IsValid():
			b = u16(u16(b, 2), 1|16) // the destination: an address and a port
			b = u16(append(b, c.to.Addr().AsSlice()...), c.to.Port())
		case c.from.IsValid():
			b = append(u16(u16(b, 1), 1), c.from.AsSlice()...)
		default:
			b = u16(u16(b, 0), 0)
		}
		b = setLength(pad(b, start), start, 2)
	}
	return encodeActions(b, c.exec)
}

// statistics writes struct ofp_stats.
func statistics(b []byte, duration, idle time.Duration, packets, bytes uint64) []byte {
	start := len(b)
	b = u16(u16(b, 0), 0)
	oxs := func(number uint32) { b = u32(b, 0x8002<<16|number<<9|8) }
	oxs(0)
	b = seconds(b, duration)
	oxs(1)
	b = seconds(b, idle)
	oxs(4)
	b = u64(b, packets)
	oxs(5)
	b = u64(b, bytes)
	return pad(setLength(b, start, 2), start)
}

// seconds and nanoseconds of a time, each in 32 bits.
func seconds(b []byte, d time.Duration) []byte {
	d = max(d, 0)
	return u32(u32(b, uint32(d/time.Second)), uint32(d%time.Second))
}

// appendFlow writes struct ofp_flow_desc.
func (p *pipeline) appendFlow(b []byte, f *flow) []byte {
	start := len(b)
	b = u16(append(zeros(u16(b, 0), 2), f.table, 0), f.priority)
	b = u64(zeros(b, 8), f.cookie)
	b = append(b, f.wire.match...)
	b = statistics(b, p.now.Sub(f.added), p.now.Sub(f.used), f.packets, f.bytes)
	return setLength(append(b, f.wire.instructions...), start, 0)
}

// appendTable writes struct ofp_table_stats.
func (t *table) append(b []byte, id int) []byte {
	b = u32(append(b, byte(id), 0, 0, 0), uint32(len(t.flows)))
	return u64(u64(b, t.lookups), t.matches)
}

// appendFeatures writes struct ofp_table_features without properties.
func appendFeatures(b []byte, id int, name string) []byte {
	b = u32(append(u16(b, 64), byte(id), 0), 0)
	b = text(b, name, 32)
	return u32(u32(u64(u64(b, 0), 0), 0), 1_000_000)
}

// describe writes struct ofp_port.
func (l *livePort) describe(b []byte) []byte {
	b = zeros(u16(u32(b, uint32(l.number)), 40+32), 2)
	b = text(zeros(append(b, l.mac[:]...), 2), l.name, 16)
	b = u32(u32(b, 0), 4) // it is live
	b = zeros(u16(u16(b, 0), 32), 20)
	return u32(u32(b, 10_000_000), 10_000_000)
}

// count writes struct ofp_port_stats.
func (l *livePort) count(b []byte, now time.Time) []byte {
	b = u32(zeros(u16(b, 80), 2), uint32(l.number))
	b = seconds(b, now.Sub(l.added))
	for _, n := range []uint64{l.received, l.sent, l.receivedBytes, l.out, 0, 0, 0, 0} {
		b = u64(b, n)
	}
	return b
}

// count writes struct ofp_group_stats.
func (g *group) count(b []byte, now time.Time) []byte {
	start := len(b)
	var packets, bytes uint64
	for i := range g.packets {
		packets, bytes = packets+g.packets[i], bytes+g.bytes[i]
	}
	b = u32(zeros(u16(b, 0), 2), g.id)
	b = u64(u64(zeros(u32(b, 1), 4), packets), bytes)
	b = seconds(b, now.Sub(g.added))
	for i := range g.packets {
		b = u64(u64(b, g.packets[i]), g.bytes[i])
	}
	return setLength(b, start, 0)
}

// describe writes struct ofp_group_desc.
func (g *group) describe(b []byte) []byte {
	start := len(b)
	b = u32(append(u16(b, 0), 1, 0), g.id) // select
	b = zeros(b, 8)
	for i, actions := range g.buckets {
		bucket := len(b)
		b = u32(zeros(b, 4), uint32(i))
		b = encodeActions(b, actions)
		binary.BigEndian.PutUint16(b[bucket+2:], uint16(len(b)-bucket-8))
		b = zeros(u16(u16(u16(b, 0), 8), 100), 2) // weight
		b = setLength(b, bucket, 0)
	}
	binary.BigEndian.PutUint16(b[start+8:], uint16(min(len(b)-start-16, math.MaxUint16)))
	return setLength(b, start, 0)
}
