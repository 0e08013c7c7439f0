package ovs

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// CoverageEvent is one row of ovs-appctl coverage/show (lib/coverage.c): how
// often something happened in the daemon. Events that never did have no row.
type CoverageEvent struct {
	Name  string
	Total uint64 // since the daemon's start
}

// Coverage reads what ovs-appctl coverage/show prints.
func Coverage(text string) ([]CoverageEvent, error) {
	var events []CoverageEvent
	err := eachLine("coverage", text, func(s *dump.Scanner, _ int) error {
		if s.Sees("Event coverage, ") {
			return nil
		}
		if n := *s; number(&n) && (n.Sees(" events never hit") || n.Sees(" event never hit")) {
			return nil
		}
		name := string(s.Until(' '))
		_, after, ok := strings.Cut(string(s.Rest()), "/sec   total: ")
		if name == "" || !ok {
			return s.Expected("rates, and a total")
		}
		s.At = len(s.Text) - len(after)
		n, ok := s.Number(math.MaxUint64)
		if !ok || !s.End() {
			return s.Expected("a total at the end")
		}
		events = append(events, CoverageEvent{name, n})
		return nil
	})
	return events, err
}

// number goes past a number.
func number(s *dump.Scanner) bool {
	_, ok := s.Number(math.MaxUint64)
	return ok
}

// Datapath is what ovs-appctl dpctl/show prints of a datapath (lib/dpctl.c).
type Datapath struct {
	Name              string // such as system@ovs-system
	Hit, Missed, Lost uint64 // packets that a flow of the datapath matched, that went up, and that could not
	Flows             uint64
	MaskHits, Masks   Count // the masks that were tried in all look-ups, and how many there are now; not of the userspace datapath
	CacheHits         Count // look-ups that the cache of masks answered, of newer kernels
	Ports             []DatapathPort
}

// DatapathPort is a port of a datapath; the counters are known with -s.
type DatapathPort struct {
	Number uint32
	Name   string
	Type   string // such as internal, geneve or tap; empty is a device of the system

	RxPackets, RxBytes, RxDropped, RxErrors, RxOverruns, RxFrameErrors Count
	TxPackets, TxBytes, TxDropped, TxErrors, TxAborted, TxCarrier      Count
	Collisions                                                         Count
	UpcallPackets, UpcallErrors                                        Count // of newer kernels
}

// Datapaths reads what ovs-appctl dpctl/show prints, with -s or without.
func Datapaths(text string) ([]Datapath, error) {
	var all []Datapath
	err := eachLine("datapaths", text, func(s *dump.Scanner, indent int) error {
		if indent == 0 {
			name, ok := strings.CutSuffix(string(s.Rest()), ":")
			if !ok {
				return s.Expected("a datapath and a colon")
			}
			all = append(all, Datapath{Name: name})
			return nil
		}
		if len(all) == 0 {
			return s.Expected("a datapath")
		}
		return all[len(all)-1].read(s)
	})
	return all, err
}

func (d *Datapath) read(s *dump.Scanner) error {
	switch {
	case s.Take("lookups: "):
		return pairs(s, plain("hit", &d.Hit), plain("missed", &d.Missed), plain("lost", &d.Lost))
	case s.Take("flows: "):
		n, ok := s.Number(math.MaxUint64)
		d.Flows = n
		if !ok || !s.End() {
			return s.Expected("a number of flows")
		}
	case s.Take("masks: "):
		return pairs(s, pair{"hit", &d.MaskHits}, pair{"total", &d.Masks})
	case s.Take("cache: "):
		return pairs(s, pair{"hit", &d.CacheHits})
	case s.Take("port "):
		return d.readPort(s)
	case len(d.Ports) > 0:
		return d.Ports[len(d.Ports)-1].read(s)
	}
	return nil // caches and what versions to come add
}

func (d *Datapath) readPort(s *dump.Scanner) error {
	n, ok := s.Number(math.MaxUint32)
	if !ok || !s.Take(": ") {
		return s.Expected("a port's number, a colon and a blank")
	}
	p := DatapathPort{Number: uint32(n), Name: string(s.Rest())}
	if name, kind, ok := strings.Cut(p.Name, " ("); ok {
		p.Name = name
		p.Type, _, _ = strings.Cut(strings.TrimSuffix(kind, ")"), ": ")
	}
	d.Ports = append(d.Ports, p)
	return nil
}

func (p *DatapathPort) read(s *dump.Scanner) error {
	switch {
	case s.Take("RX packets:"):
		s.At -= len("packets:")
		return pairs(s, pair{"packets", &p.RxPackets}, pair{"errors", &p.RxErrors}, pair{"dropped", &p.RxDropped}, pair{"overruns", &p.RxOverruns}, pair{"frame", &p.RxFrameErrors})
	case s.Take("TX packets:"):
		s.At -= len("packets:")
		return pairs(s, pair{"packets", &p.TxPackets}, pair{"errors", &p.TxErrors}, pair{"dropped", &p.TxDropped}, pair{"aborted", &p.TxAborted}, pair{"carrier", &p.TxCarrier})
	case s.Sees("collisions:"):
		return pairs(s, pair{"collisions", &p.Collisions})
	case s.Take("UPCALL packets:"):
		s.At -= len("packets:")
		return pairs(s, pair{"packets", &p.UpcallPackets}, pair{"errors", &p.UpcallErrors})
	case s.Take("RX bytes:"): // with, from some number on, "(1.5 MiB)" behind
		var ok bool
		if p.RxBytes, ok = count(s); !ok {
			return s.Expected("a number of bytes, or ?")
		}
		_, after, _ := strings.Cut(string(s.Rest()), "TX bytes:")
		tx := dump.Scanner{Text: []byte(after)}
		if p.TxBytes, ok = count(&tx); !ok {
			return s.Expected("TX bytes:, and a number or ?")
		}
	}
	return nil
}

// pair is a name and where its number goes.
type pair struct {
	name string
	to   any // *Count or *uint64
}

func plain(name string, to *uint64) pair { return pair{name, to} }

// pairs reads name:number with blanks between; what has another name, such as
// hit/pkt, is passed over.
func pairs(s *dump.Scanner, known ...pair) error {
	for s.Blanks(); !s.End(); s.Blanks() {
		name := string(s.Until(':'))
		if !s.Take(":") {
			return s.Expected("a colon")
		}
		found := false
		for _, p := range known {
			if p.name != name {
				continue
			}
			c, ok := count(s)
			if !ok {
				return s.Expected("a number")
			}
			switch to := p.to.(type) {
			case *Count:
				*to = c
			case *uint64:
				*to = c.Value
			}
			found = true
		}
		if found && !s.End() && !s.Next(' ') {
			return s.Expected("a blank")
		}
		s.Until(' ')
	}
	return nil
}

// Upcalls is what ovs-appctl upcall/show prints of a datapath
// (ofproto/ofproto-dpif-upcall.c).
type Upcalls struct {
	Datapath                     string
	Current, Average, Max, Limit uint64 // flows in the datapath, and the limit that revalidation sets
	Offloaded                    uint64
	DumpDuration                 time.Duration // of the last revalidation
	Keys                         uint64        // flows of all revalidators
	Revalidators                 int
}

// AllUpcalls reads what ovs-appctl upcall/show prints.
func AllUpcalls(text string) ([]Upcalls, error) {
	var all []Upcalls
	err := eachLine("upcalls", text, func(s *dump.Scanner, indent int) error {
		if indent == 0 {
			name, ok := strings.CutSuffix(string(s.Rest()), ":")
			if !ok {
				return s.Expected("a datapath and a colon")
			}
			all = append(all, Upcalls{Datapath: name})
			return nil
		}
		if len(all) == 0 {
			return s.Expected("a datapath")
		}
		return all[len(all)-1].read(s)
	})
	return all, err
}

func (u *Upcalls) read(s *dump.Scanner) error {
	if n := *s; number(&n) && n.Take(": (keys ") {
		keys, ok := n.Number(math.MaxUint64)
		if !ok || !n.Take(")") || !n.End() {
			return n.Expected("a number of keys and a bracket")
		}
		u.Keys, u.Revalidators = u.Keys+keys, u.Revalidators+1
		return nil
	}
	name := strings.TrimSpace(string(s.Until(':')))
	if !s.Take(": ") {
		return s.Expected("a colon and a blank")
	}
	switch name {
	case "flows":
		for _, part := range []struct {
			key string
			to  *uint64
		}{{"(current ", &u.Current}, {") (avg ", &u.Average}, {") (max ", &u.Max}, {") (limit ", &u.Limit}} {
			n, ok := uint64(0), s.Take(part.key)
			if ok {
				n, ok = s.Number(math.MaxUint64)
			}
			if !ok {
				return s.Expected(part.key + "and a number")
			}
			*part.to = n
		}
		if !s.Take(")") || !s.End() {
			return s.Expected("a bracket at the end")
		}
	case "offloaded flows":
		n, ok := s.Number(math.MaxUint64)
		u.Offloaded = n
		if !ok || !s.End() {
			return s.Expected("a number of flows")
		}
	case "dump duration":
		n, ok := s.Number(math.MaxInt32)
		if !ok || !s.Take("ms") || !s.End() {
			return s.Expected("milliseconds")
		}
		u.DumpDuration = time.Duration(n) * time.Millisecond
	}
	return nil
}

// DatapathBridge is a bridge of a datapath in ovs-appctl dpif/show.
type DatapathBridge struct {
	Datapath    string
	Hit, Missed uint64 // of the datapath
	Name        string
	Ports       []BridgePort
}

// BridgePort is a port in dpif/show.
type BridgePort struct {
	Name           string
	OpenFlow       uint32 // 65534 is the bridge itself
	DatapathNumber int64  // -1 is none, as of tunnels that share a port
	Type           string
}

// DatapathBridges reads what ovs-appctl dpif/show prints
// (ofproto/ofproto-dpif.c).
func DatapathBridges(text string) ([]DatapathBridge, error) {
	var bridges []DatapathBridge
	var datapath DatapathBridge // that bridges are of
	err := eachLine("bridges", text, func(s *dump.Scanner, indent int) error {
		switch {
		case indent == 0:
			name, rest, ok := strings.Cut(string(s.Rest()), ": hit:")
			if !ok {
				return s.Expected("a datapath, and : hit:")
			}
			datapath = DatapathBridge{Datapath: name}
			counts := dump.Scanner{Text: []byte("hit:" + rest)}
			if pairs(&counts, plain("hit", &datapath.Hit), plain("missed", &datapath.Missed)) != nil {
				return s.Expected("hit and missed")
			}
		case indent <= 2:
			name, ok := strings.CutSuffix(string(s.Rest()), ":")
			if !ok || datapath.Datapath == "" {
				return s.Expected("a datapath, then a bridge and a colon")
			}
			bridge := datapath
			bridge.Name = name
			bridges = append(bridges, bridge)
		case len(bridges) == 0:
			return s.Expected("a bridge")
		default:
			p, ok := bridgePort(string(s.Rest()))
			if !ok {
				return s.Expected("a port: name number/number: (type)")
			}
			last := &bridges[len(bridges)-1]
			last.Ports = append(last.Ports, p)
		}
		return nil
	})
	return bridges, err
}

// bridgePort reads "name 1/2: (type: options)" from behind, for the options
// may hold anything.
func bridgePort(text string) (p BridgePort, ok bool) {
	head, kind, ok := strings.Cut(text, ": (")
	if !ok || !strings.HasSuffix(kind, ")") {
		return p, false
	}
	p.Type, _, _ = strings.Cut(strings.TrimSuffix(kind, ")"), ": ")
	name, numbers, ok := cutLast(head, " ")
	if !ok {
		return p, false
	}
	p.Name = name
	s := dump.Scanner{Text: []byte(numbers)}
	n, ok := s.Number(math.MaxUint32)
	p.OpenFlow = uint32(n)
	if !ok || !s.Take("/") {
		return p, false
	}
	if s.Take("none") {
		p.DatapathNumber = -1
		return p, s.End()
	}
	n, ok = s.Number(math.MaxUint32)
	p.DatapathNumber = int64(n)
	return p, ok && s.End()
}

func cutLast(text, separator string) (before, after string, ok bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(separator):], true
}

// Use is a row of ovs-appctl memory/show (lib/memory.c): how many of
// something the daemon holds.
type Use struct {
	Name  string // may hold a blank, as "udpif keys"
	Value uint64
}

// MemoryUse reads what ovs-appctl memory/show prints.
func MemoryUse(text string) ([]Use, error) {
	var uses []Use
	err := eachLine("memory use", text, func(s *dump.Scanner, _ int) error {
		for s.Blanks(); !s.End(); s.Blanks() {
			u := Use{Name: string(s.Until(':'))}
			ok := u.Name != "" && s.Take(":")
			if ok {
				u.Value, ok = s.Number(math.MaxUint64)
			}
			if !ok || !s.End() && !s.Next(' ') {
				return s.Expected("name:number")
			}
			uses = append(uses, u)
		}
		return nil
	})
	return uses, err
}

// ConnectionCount is how many connections of a protocol the userspace
// datapath tracks.
type ConnectionCount struct {
	Protocol string // Total for all
	Count    uint64
}

// ConnectionCounts reads what ovs-appctl dpctl/ct-stats-show prints
// (lib/dpctl.c).
func ConnectionCounts(text string) ([]ConnectionCount, error) {
	var counts []ConnectionCount
	err := eachLine("connections", text, func(s *dump.Scanner, indent int) error {
		if indent == 0 {
			if s.Sees("Connections Stats:") {
				return nil
			}
			return s.Expected("Connections Stats:")
		}
		c := ConnectionCount{Protocol: strings.TrimSpace(string(s.Until(':')))}
		if !s.Take(":") {
			return s.Expected("a colon")
		}
		s.Blanks()
		var ok bool
		if c.Count, ok = s.Number(math.MaxUint64); !ok || c.Protocol == "" {
			return s.Expected("a number of connections")
		}
		counts = append(counts, c)
		return nil
	})
	return counts, err
}

// SingleCount reads the number that ovs-appctl dpctl/ct-get-maxconns and
// ct-get-nconns print.
func SingleCount(text string) (uint64, error) {
	s := dump.Scanner{Text: []byte(strings.TrimSpace(text))}
	n, ok := s.Number(math.MaxUint64)
	if !ok || !s.End() {
		return 0, fmt.Errorf("read a count: %w", s.Expected("a number"))
	}
	return n, nil
}

// eachLine hands on the lines that are not empty, without their indentation.
func eachLine(what, text string, read func(s *dump.Scanner, indent int) error) error {
	at := 0
	for line := range strings.Lines(text) {
		at++
		s := dump.Scanner{Text: dump.TrimEnd([]byte(line))}
		s.Blanks()
		if s.End() {
			continue
		}
		if err := read(&s, s.At); err != nil {
			return fmt.Errorf("read %s: line %d: %w", what, at, err)
		}
	}
	return nil
}
