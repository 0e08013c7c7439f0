package openflow

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/corkline/corkline/parsers/ovs"
)

// Flow is one flow of a bridge. In the callback of Client.Flows it is valid
// until the callback returns, and all that it gives as well.
type Flow struct {
	Table    uint8
	Priority uint16
	Cookie   ovs.Cookie
	Duration time.Duration // since the flow was added

	Packets, Bytes ovs.Count

	IdleTimeout, HardTimeout uint16 // seconds; 0 is none
	Flags                    ovs.Flags
	Importance               uint16 // only OpenFlow 1.5 tells it

	// IdleAge is the time since the last packet; HasIdleAge tells whether it is
	// known, which OpenFlow 1.3 does not tell.
	IdleAge    time.Duration
	HasIdleAge bool

	Match        Match
	Instructions Instructions
}

// FlowFilter chooses flows.
type FlowFilter struct {
	Table uint8 // AllTables is every table; 0 is table 0
	// Flows whose cookies have the bits of CookieMask as in Cookie.
	Cookie, CookieMask ovs.Cookie
}

// request is that of flows and of aggregates (struct ofp_flow_stats_request).
func (f FlowFilter) request() []byte {
	b := make([]byte, 40)
	b[0] = f.Table
	binary.BigEndian.PutUint32(b[4:], PortNone)       // no filter by port
	binary.BigEndian.PutUint32(b[8:], math.MaxUint32) // nor by group
	binary.BigEndian.PutUint64(b[16:], uint64(f.Cookie))
	binary.BigEndian.PutUint64(b[24:], uint64(f.CookieMask))
	b[33], b[35] = 1, 4 // an empty match
	return b
}

// Flows hands on the flows that a filter chooses, in no order, each in the
// same Flow. An error of the callback ends it, and closes the client.
//
// A switch puts a whole reply together before it sends the first part, and
// does nothing else meanwhile: asked table by table it takes less memory,
// waits less for its other clients, and is no slower.
func (c *Client) Flows(ctx context.Context, filter FlowFilter, each func(*Flow) error) error {
	var f Flow
	return c.multipart(ctx, multipartFlow, filter.request(), func(body []byte) error {
		return eachEntry(body, func(entry []byte) error {
			if err := c.decodeFlow(&f, entry); err != nil {
				return err
			}
			return each(&f)
		})
	})
}

// eachEntry goes through entries that begin with their length.
func eachEntry(body []byte, each func(entry []byte) error) error {
	for len(body) > 0 {
		if len(body) < 2 {
			return DecodeError{"the length of an entry", 0}
		}
		n := int(be16(body))
		if n < 2 || n > len(body) {
			return DecodeError{"the length of an entry", 0}
		}
		if err := each(body[:n:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return nil
}

// layout of a flow in OpenFlow 1.5.
type layout uint8

const (
	unknownLayout layout = iota
	layout15             // of the specification, with OXS statistics
	layout13             // that of 1.3, which older Open vSwitch has in 1.5 too
)

func (c *Client) decodeFlow(f *Flow, entry []byte) error {
	if c.version == Version13 {
		return f.decode13(entry, false)
	}
	switch c.flows15 {
	case layout15:
		return f.decode15(entry)
	case layout13:
		return f.decode13(entry, true)
	}
	// The first flow tells: only one of them can be read to its end.
	err := f.decode15(entry)
	c.flows15 = layout15
	if err != nil && f.decode13(entry, true) == nil {
		c.flows15, err = layout13, nil
	}
	return err
}

// decode13 reads struct ofp13_flow_stats.
func (f *Flow) decode13(b []byte, importance bool) error {
	const head = 48
	if len(b) < head {
		return DecodeError{"a flow", 0}
	}
	*f = Flow{
		Table: b[2], Priority: be16(b[12:]), Cookie: ovs.Cookie(be64(b[24:])), Duration: duration(b[4:]),
		Packets: count(b[32:]), Bytes: count(b[40:]),
		IdleTimeout: be16(b[14:]), HardTimeout: be16(b[16:]), Flags: ovs.Flags(be16(b[18:])),
	}
	if importance {
		f.Importance = be16(b[20:])
	}
	return f.decodeRest(b, head, false)
}

// decode15 reads struct ofp_flow_desc.
func (f *Flow) decode15(b []byte) error {
	const head = 24
	if len(b) < head {
		return DecodeError{"a flow", 0}
	}
	*f = Flow{
		Table: b[4], Priority: be16(b[6:]), Cookie: ovs.Cookie(be64(b[16:])),
		IdleTimeout: be16(b[8:]), HardTimeout: be16(b[10:]), Flags: ovs.Flags(be16(b[12:])), Importance: be16(b[14:]),
	}
	return f.decodeRest(b, head, true)
}

func (f *Flow) decodeRest(b []byte, at int, stats bool) (err error) {
	var n int
	if f.Match, n, err = takeMatch(b[at:], at); err != nil {
		return err
	}
	at += n
	if stats {
		var s statistics
		if n, err = s.decode(b[at:], at); err != nil {
			return err
		}
		at += n
		f.Duration, f.IdleAge, f.HasIdleAge, f.Packets, f.Bytes = s.duration, s.idle, s.hasIdle, s.packets, s.bytes
	}
	f.Instructions = Instructions{b[at:]}
	return checkInstructions(f.Instructions.b, at)
}

// statistics are the OXS fields of a flow or an aggregate.
type statistics struct {
	duration, idle time.Duration
	hasIdle        bool
	flows          uint32
	packets, bytes ovs.Count
}

// Numbers of OXS fields (enum oxs_ofb_stat_fields).
const (
	statDuration = 0
	statIdle     = 1
	statFlows    = 3
	statPackets  = 4
	statBytes    = 5
)

// decode reads struct ofp_stats, and gives how long it is with its padding.
func (s *statistics) decode(b []byte, offset int) (n int, err error) {
	if len(b) < 4 {
		return 0, DecodeError{"statistics", offset}
	}
	n = int(be16(b[2:]))
	if be16(b) != 0 || n < 4 || padded(n) > len(b) {
		return 0, DecodeError{"the head of statistics", offset}
	}
	for at := 4; at < n; {
		if n-at < 4 || n-at < 4+int(b[at+3]) {
			return 0, DecodeError{"a statistic", offset + at}
		}
		class, number, value := be16(b[at:]), b[at+2]>>1, b[at+4:at+4+int(b[at+3])]
		at += 4 + len(value)
		if class != classStatistics || len(value) < 8 && (number != statFlows || len(value) < 4) {
			continue // not known here
		}
		switch number {
		case statDuration:
			s.duration = duration(value)
		case statIdle:
			s.idle, s.hasIdle = duration(value), true
		case statFlows:
			s.flows = be32(value)
		case statPackets:
			s.packets = count(value)
		case statBytes:
			s.bytes = count(value)
		}
	}
	return padded(n), nil
}

// duration is seconds and nanoseconds, each of 32 bits. What a switch that
// does not know them writes, all ones, is 0.
func duration(b []byte) time.Duration {
	seconds, nanoseconds := be32(b), be32(b[4:])
	if seconds == math.MaxUint32 && nanoseconds == math.MaxUint32 {
		return 0
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanoseconds)
}

// count is a counter; one that the switch does not know has all bits set.
func count(b []byte) ovs.Count {
	n := be64(b)
	if n == math.MaxUint64 {
		return ovs.Count{}
	}
	return ovs.Count{Value: n, Known: true}
}

// Aggregate is the sum over the flows that a filter chose.
type Aggregate struct {
	Flows          uint32
	Packets, Bytes ovs.Count
}

// Aggregate sums up in the switch, at a fraction of what reading the flows costs.
func (c *Client) Aggregate(ctx context.Context, filter FlowFilter) (a Aggregate, err error) {
	err = c.multipart(ctx, multipartAggregate, filter.request(), func(body []byte) error {
		if len(body) == 0 {
			return nil
		}
		return a.decode(body, c.version)
	})
	return a, err
}

func (a *Aggregate) decode(body []byte, version Version) error {
	// The struct of 1.3, in 1.5 too with older Open vSwitch, begins with the
	// packets, whose upper half is 0 as good as always; the length of
	// statistics is not.
	if version == Version15 && len(body) >= 4 && be16(body[2:]) != 0 {
		var s statistics
		if _, err := s.decode(body, 0); err != nil {
			return err
		}
		*a = Aggregate{s.flows, s.packets, s.bytes}
		return nil
	}
	if len(body) < 24 {
		return DecodeError{"an aggregate", 0}
	}
	*a = Aggregate{be32(body[16:]), count(body), count(body[8:])}
	return nil
}
