package vswitch

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// tracker is the connection tracking of the emulated datapath: what the
// userspace datapath of Open vSwitch (lib/conntrack.c and conntrack-tcp.c) makes
// of the packets of the node.
type tracker struct {
	entries map[tuple]entry // of both directions
	count   int
	full    uint64 // times that there was no room
	now     time.Time
}

// tuple of a packet.
type tuple struct {
	zone     uint16
	protocol uint8
	from, to netip.AddrPort
}

func (t tuple) reversed() tuple { return tuple{t.zone, t.protocol, t.to, t.from} }

// entry is one direction of a connection.
type entry struct {
	conn  *connection
	reply bool
}

type connection struct {
	orig, reply tuple // as each side sends
	states      [2]tcpState
	mark        uint32
	label       uint64
	expires     time.Time
	answered    bool // of UDP
}

// tcpState of one side, in the order in which they follow each other.
type tcpState uint8

const (
	tcpClosed tcpState = iota
	tcpSynSent
	tcpEstablished
	tcpClosing
	tcpFinWait2
	tcpTimeWait
)

func (s tcpState) String() string {
	return [...]string{"CLOSED", "SYN_SENT", "ESTABLISHED", "CLOSING", "FIN_WAIT_2", "TIME_WAIT"}[s]
}

func newTracker() *tracker { return &tracker{entries: map[tuple]entry{}} }

// begin a moment: what has expired is gone.
func (t *tracker) begin(now time.Time) {
	t.now = now
	for _, e := range t.entries {
		if !e.reply && !now.Before(e.conn.expires) {
			t.remove(e.conn)
		}
	}
}

func (t *tracker) remove(c *connection) {
	delete(t.entries, c.orig)
	delete(t.entries, c.reply)
	t.count--
}

// track gives the ct_state of a packet, and the connection that it belongs to.
func (t *tracker) track(of tuple, flags uint8) (state uint64, e entry) {
	e, known := t.entries[of]
	if known && of.protocol == protoTCP && flags&(syn|ack) == syn && min(e.conn.states[0], e.conn.states[1]) >= tcpFinWait2 {
		t.remove(e.conn) // the same ports anew
		e, known = entry{}, false
	}
	switch {
	case !known && (of.protocol == protoICMP || of.protocol == protoTCP && flags&(syn|ack) == syn|ack):
		return stateInvalid | stateTracked, entry{} // answers only; nobody asks by ICMP
	case !known:
		return stateNew | stateTracked, entry{}
	}
	e.conn.update(e.reply, flags, t.now)
	if of.protocol == protoTCP && e.conn.states == [2]tcpState{tcpSynSent, tcpClosed} && flags&(syn|ack) == syn {
		return stateNew | stateTracked, e // again
	}
	state = stateEstablished | stateTracked
	if e.reply {
		state |= stateReply
	}
	return state, e
}

// commit makes a connection, whose addresses are translated to those that are
// valid, unless the table is full.
func (t *tracker) commit(of tuple, to netip.AddrPort, from netip.Addr) entry {
	if t.count >= maxEntries {
		t.full++
		return entry{}
	}
	c := &connection{orig: of, reply: of.reversed()}
	if to.IsValid() {
		c.reply.from = to
	}
	if from.IsValid() {
		c.reply.to = netip.AddrPortFrom(from, of.from.Port())
	}
	timeout := timeoutUDP
	if of.protocol == protoTCP {
		c.states[0], timeout = tcpSynSent, timeoutSYNSent
	}
	c.expires = t.now.Add(time.Duration(timeout) * time.Second)
	t.entries[c.orig], t.entries[c.reply] = entry{c, false}, entry{c, true}
	t.count++
	return entry{c, false}
}

// update what a packet changes.
func (c *connection) update(reply bool, flags uint8, now time.Time) {
	from, to := &c.states[0], &c.states[1]
	if reply {
		from, to = to, from
	}
	if c.orig.protocol != protoTCP {
		c.answered = c.answered || reply
		timeout := timeoutUDP
		if c.answered {
			timeout = timeoutUDPReplied
		}
		c.expires = now.Add(time.Duration(timeout) * time.Second)
		return
	}
	*from = max(*from, tcpSynSent)
	if flags&fin != 0 {
		*from = max(*from, tcpClosing)
	}
	if flags&ack != 0 {
		switch *to {
		case tcpSynSent:
			*to = tcpEstablished
		case tcpClosing:
			*to = tcpFinWait2
		}
	}
	if flags&rst != 0 {
		*from, *to = tcpTimeWait, tcpTimeWait
	}
	low, high := min(*from, *to), max(*from, *to)
	timeout := timeoutEstablished
	switch {
	case low >= tcpFinWait2:
		timeout = timeoutClosed
	case low >= tcpClosing:
		timeout = timeoutTimeWait
	case low == tcpClosed:
		timeout = timeoutSYNSent
	case low < tcpEstablished:
		timeout = timeoutSYNReceived
	case high >= tcpClosing:
		timeout = timeoutFinWait
	}
	c.expires = now.Add(time.Duration(timeout) * time.Second)
}

// dump is what dpctl/dump-conntrack prints, with -m or without.
func (t *tracker) dump(more bool) string {
	var b strings.Builder
	b.Grow(t.count * 200)
	for _, e := range t.entries {
		if !e.reply {
			e.conn.print(&b, more)
		}
	}
	return b.String()
}

func (c *connection) print(b *strings.Builder, more bool) {
	protocol := "tcp"
	if c.orig.protocol == protoUDP {
		protocol = "udp"
	}
	b.WriteString(protocol)
	for _, side := range []struct {
		name string
		of   tuple
	}{{"orig", c.orig}, {"reply", c.reply}} {
		fmt.Fprintf(b, ",%s=(src=%s,dst=%s,sport=%d,dport=%d)", side.name, side.of.from.Addr(), side.of.to.Addr(), side.of.from.Port(), side.of.to.Port())
	}
	if more {
		b.WriteString(",id=0")
	}
	b.WriteString(",zone=" + strconv.Itoa(int(c.orig.zone)))
	if more {
		b.WriteString(",status=0")
	}
	if c.mark != 0 {
		b.WriteString(",mark=" + strconv.Itoa(int(c.mark)))
	}
	if c.label != 0 {
		b.WriteString(",labels=0x" + strconv.FormatUint(c.label, 16))
	}
	switch {
	case c.orig.protocol != protoTCP:
	case more:
		fmt.Fprintf(b, ",protoinfo=(state_orig=%s,state_reply=%s,flags_orig=0,flags_reply=0)", c.states[0], c.states[1])
	default:
		fmt.Fprintf(b, ",protoinfo=(state=%s)", c.states[0])
	}
	b.WriteByte('\n')
}
