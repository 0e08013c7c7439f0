package conntrack

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

// Flow is an entry of the table, for people and as JSON.
type Flow struct {
	Family   string `json:"family"`
	Protocol string `json:"protocol"`
	State    string `json:"state"` // see StateName
	Zone     string `json:"zone"`  // see ZoneName

	Source         string `json:"src_ip"`
	SourcePort     uint16 `json:"src_port"` // the id of ICMP
	SourcePod      string `json:"src_pod,omitempty"`
	Destination    string `json:"dst_ip"`
	Port           uint16 `json:"dst_port"`
	DestinationPod string `json:"dst_pod,omitempty"`
	// Backend that answers, where it is not the destination.
	Backend     string `json:"backend_ip,omitempty"`
	BackendPort uint16 `json:"backend_port,omitempty"`
	BackendPod  string `json:"backend_pod,omitempty"`

	Unreplied   bool      `json:"unreplied"`
	Assured     bool      `json:"assured"`
	Mark        uint32    `json:"mark"`
	Timeout     uint32    `json:"timeout"` // seconds
	Packets     uint64    `json:"packets"` // of both directions; 0 unless they are counted
	Bytes       uint64    `json:"bytes"`
	Start       time.Time `json:"start,omitzero"`
	IngressRule uint32    `json:"ingress_rule,omitempty"` // Antrea's ids of the rules that let it pass
	EgressRule  uint32    `json:"egress_rule,omitempty"`
	NotAllowed  bool      `json:"not_allowed"` // by a policy of Antrea, yet
}

// Selection of flows. Its empty fields select all.
type Selection struct {
	Owner     string // namespace/pod or node of the source, destination or backend
	Address   netip.Addr
	Zone      string // name or number
	Protocol  string
	State     string
	Unreplied bool
	Limit     int // of flows that are given; 0 for none
}

// Flows gives the entries of a selection, and how many there are of it.
func Flows(ctx context.Context, table Table, names Resolver, selection Selection, each func(*Flow) error) (all uint64, err error) {
	var filter netlink.Filter
	if selection.Unreplied {
		filter = netlink.Unreplied()
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	given := 0
	_, err = table.Dump(ctx, filter, func(e *netlink.Entry) {
		flow, ok := selection.flow(e, names)
		if !ok {
			return
		}
		if all++; selection.Limit > 0 && given == selection.Limit || ctx.Err() != nil {
			return
		}
		given++
		if err := each(&flow); err != nil {
			stop(err)
		}
	})
	if cause := context.Cause(ctx); cause != nil {
		return all, cause
	}
	return all, err
}

func (s *Selection) flow(e *netlink.Entry, names Resolver) (f Flow, ok bool) {
	if s.Address.IsValid() && s.Address != e.Orig.Src && s.Address != e.Orig.Dst && s.Address != e.Reply.Src && s.Address != e.Reply.Dst {
		return f, false
	}
	state := e.State
	if e.Offloaded() {
		state = offloaded
	}
	f = Flow{
		Protocol: ProtocolName(e.Protocol), State: StateName(e.Protocol, state), Zone: ZoneName(e.Zone, e.Family),
		Unreplied: e.Unreplied(), Assured: e.Status&netlink.Assured != 0,
	}
	switch {
	case s.Zone != "" && s.Zone != f.Zone && s.Zone != strconv.Itoa(int(e.Zone)), s.Protocol != "" && s.Protocol != f.Protocol, s.State != "" && s.State != f.State:
		return f, false
	}
	f.SourcePod, f.DestinationPod = resolve(names, e.Orig.Src).String(), resolve(names, e.Orig.Dst).String()
	backend := resolve(names, e.Reply.Src).String()
	if s.Owner != "" && s.Owner != f.SourcePod && s.Owner != f.DestinationPod && s.Owner != backend {
		return f, false
	}
	f.Family = familyName(0)
	if e.Family == 6 {
		f.Family = familyName(1)
	}
	f.Source, f.SourcePort = text(e.Orig.Src), e.Orig.SrcPort
	f.Destination, f.Port = text(e.Orig.Dst), e.Orig.DstPort
	if e.Orig.ICMPID > 0 {
		f.SourcePort = e.Orig.ICMPID
	}
	if e.Reply.Src != e.Orig.Dst || e.Reply.SrcPort != e.Orig.DstPort {
		f.Backend, f.BackendPort, f.BackendPod = text(e.Reply.Src), e.Reply.SrcPort, backend
	}
	f.Mark, f.Timeout = e.Mark, e.Timeout
	f.Packets, f.Bytes = e.Orig.Packets+e.Reply.Packets, e.Orig.Bytes+e.Reply.Bytes
	if e.Start > 0 {
		f.Start = time.Unix(0, int64(e.Start)).UTC()
	}
	if e.Zone == antreaIPv4 || e.Zone == antreaIPv6 {
		f.IngressRule, f.EgressRule = e.Rules()
		f.NotAllowed = e.Mark&antreaSource == 0
	}
	return f, true
}
