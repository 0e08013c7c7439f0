package conntrack

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
	"github.com/corkline/corkline/parsers/conntrack"
)

// Daemon answers the commands of ovs-appctl.
type Daemon interface {
	Call(ctx context.Context, command string, args ...string) (string, error)
}

// Datapath is the table of Open vSwitch's userspace datapath. The daemon gives
// it as one text, so that the memory it takes grows with the table.
type Datapath struct{ Daemon Daemon }

// Size gives the table's entries, and how many it may have.
func (d Datapath) Size(ctx context.Context) (entries, limit uint64, err error) {
	for command, to := range map[string]*uint64{"dpctl/ct-get-nconns": &entries, "dpctl/ct-get-maxconns": &limit} {
		var text string
		text, err = d.Daemon.Call(ctx, command)
		if err == nil {
			*to, err = strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("read the size of the datapath's conntrack: %w", err)
		}
	}
	return entries, limit, nil
}

// Dump implements Table. A line that is no entry is an error, once all others
// were given.
func (d Datapath) Dump(ctx context.Context, filter netlink.Filter, each func(*netlink.Entry)) (stats netlink.DumpStats, err error) {
	text, err := d.Daemon.Call(ctx, "dpctl/dump-conntrack", "-m")
	if err != nil {
		return stats, fmt.Errorf("dump the datapath's conntrack: %w", err)
	}
	stats.Bytes, stats.Reads = uint64(len(text)), 1
	var from conntrack.Entry
	var entry netlink.Entry
	var wrong error
	line := []byte(nil)
	for text := range strings.Lines(text) {
		if line = append(line[:0], strings.TrimSuffix(text, "\n")...); len(line) == 0 {
			continue
		}
		if err := from.Parse(line); err != nil {
			if wrong == nil {
				wrong = fmt.Errorf("parse %.100q: %w", line, err)
			}
			continue
		}
		convert(&entry, &from)
		if !filter.Matches(&entry) {
			stats.Filtered++
			continue
		}
		stats.Entries++
		each(&entry)
	}
	return stats, errors.Join(wrong, ctx.Err())
}

// convert what was printed to what the kernel gives. The userspace datapath has
// no status: whether TCP was answered its states tell, and of other protocols
// it does not say, so that they count as answered.
func convert(to *netlink.Entry, e *conntrack.Entry) {
	*to = netlink.Entry{
		Orig: tuple(&e.Orig), Reply: tuple(&e.Reply), Family: uint8(e.Family), Protocol: e.Protocol,
		Zone: e.Zone, Mark: e.Mark, Timeout: e.Timeout, ID: e.ID, Status: netlink.SeenReply,
	}
	if bits, ok := strings.CutPrefix(string(e.Labels), "0x"); ok && len(bits) <= 32 {
		_, _ = hex.Decode(to.Labels[:], fmt.Appendf(nil, "%032s", bits)) // what is no number is no label
	}
	if e.Protocol == protocolTCP {
		to.State = tcpState(string(e.State))
		if to.State == uint8(analysis.SynSent) && len(e.StateReply) > 0 && string(e.StateReply) != "CLOSED" {
			to.State = uint8(analysis.SynRecv)
		}
	}
	switch analysis.State(to.State) {
	case analysis.SynSent:
		to.Status &^= netlink.SeenReply
	case analysis.Established, analysis.FinWait, analysis.CloseWait, analysis.LastAck, analysis.TimeWait:
		to.Status |= netlink.Assured
	}
	if e.Status&conntrack.Unreplied != 0 { // of the kernel's datapath
		to.Status &^= netlink.SeenReply
	}
	if to.Reply.Src != to.Orig.Dst || to.Reply.SrcPort != to.Orig.DstPort {
		to.Status |= netlink.DestNAT
	}
	if to.Reply.Dst != to.Orig.Src || to.Reply.DstPort != to.Orig.SrcPort {
		to.Status |= netlink.SourceNAT
	}
}

func tuple(t *conntrack.Tuple) netlink.Tuple {
	return netlink.Tuple{
		Src: t.Src, Dst: t.Dst, SrcPort: t.SrcPort, DstPort: t.DstPort,
		ICMPType: t.ICMPType, ICMPCode: t.ICMPCode, ICMPID: t.ICMPID, Packets: t.Packets, Bytes: t.Bytes,
	}
}

// tcpState gives the kernel's number for the name that Open vSwitch has for a
// state (lib/ct-dpif.h).
func tcpState(name string) uint8 {
	switch name {
	case "SYN_SENT":
		return uint8(analysis.SynSent)
	case "SYN_RECV":
		return uint8(analysis.SynRecv)
	case "ESTABLISHED":
		return uint8(analysis.Established)
	case "FIN_WAIT_1", "FIN_WAIT_2":
		return uint8(analysis.FinWait)
	case "CLOSE_WAIT":
		return uint8(analysis.CloseWait)
	case "CLOSING", "LAST_ACK":
		return uint8(analysis.LastAck)
	case "TIME_WAIT":
		return uint8(analysis.TimeWait)
	case "CLOSED":
		return uint8(analysis.Close)
	default:
		return 0
	}
}
