package ovs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
	"github.com/corkline/corkline/parsers/ovs"
)

// Viewer shows a bridge as it is to a person.
type Viewer struct {
	RunDir, Bridge string

	known  *knowledge
	bridge *bridge
	stats  [256]ovs.TableStats
}

// ErrNoBridge is what OpenViewer returns, wrapped, for a bridge that has no socket.
var ErrNoBridge = errors.New("there is no such bridge")

// OpenViewer connects to a bridge, without a name to br-int or else the first,
// whose sockets are in a folder, without one in that which FindRunDir finds.
func OpenViewer(ctx context.Context, runDir, name string) (*Viewer, error) {
	known, err := loadKnowledge("antrea.yaml", antreaYAML)
	if err != nil {
		return nil, fmt.Errorf("read what is known of Antrea: %w", err)
	}
	dir, err := FindRunDir(runDir)
	if err != nil {
		return nil, err
	}
	names, err := Bridges(dir)
	if err != nil {
		return nil, err
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("look for bridges in %s: %w", dir, fs.ErrNotExist)
	case name == "":
		name = names[0]
	case !slices.Contains(names, name):
		return nil, fmt.Errorf("%w: %q; %s has %s", ErrNoBridge, name, dir, strings.Join(names, ", "))
	}
	v := &Viewer{RunDir: dir, Bridge: name, known: known, bridge: newBridge(name, dir, 1)}
	if err := v.bridge.connect(ctx); err != nil {
		return nil, fmt.Errorf("read bridge %s: %w", name, err)
	}
	return v, nil
}

// Close ends the connection.
func (v *Viewer) Close() { v.bridge.close() }

// Pipeline says whose the pipeline is.
func (v *Viewer) Pipeline() string {
	if p := v.bridge.pipeline; p != nil && p.of != nil {
		return p.of.About
	}
	return ""
}

// OpenFlow is the version that is spoken.
func (v *Viewer) OpenFlow() string { return v.bridge.version.String() }

// Table of a bridge. Counters are since the switch's start.
type Table struct {
	ID      int    `json:"id"`
	Name    string `json:"name,omitempty"`
	Flows   uint32 `json:"flows"`
	Lookups uint64 `json:"lookups"`
	Matches uint64 `json:"matches"`
}

// Tables gives those that have a name, flows, or have been looked up.
func (v *Viewer) Tables(ctx context.Context) ([]Table, error) {
	if err := v.recognise(ctx); err != nil {
		return nil, err
	}
	var all []Table
	for id := range v.stats {
		s, t := &v.stats[id], &v.bridge.pipeline.tables[id]
		if s.Active == 0 && s.Lookups == 0 && v.bridge.names[uint8(id)] == "" {
			continue
		}
		name := t.label
		if name == fmt.Sprint(id) {
			name = ""
		}
		all = append(all, Table{id, name, s.Active, s.Lookups, s.Matched})
	}
	return all, nil
}

// recognise reads what the tables are.
func (v *Viewer) recognise(ctx context.Context) (err error) {
	b := v.bridge
	if b.client == nil {
		if err := b.connect(ctx); err != nil {
			return fmt.Errorf("read bridge %s: %w", v.Bridge, err)
		}
	}
	if v.stats, err = b.readTables(ctx); err == nil {
		err = b.rename(ctx, &v.stats, time.Now())
	}
	if err != nil {
		b.close() // the next look dials anew
		return fmt.Errorf("read bridge %s: %w", v.Bridge, err)
	}
	b.pipeline = v.known.recognise(b.names, func(id uint8) bool { return v.stats[id].Active > 0 })
	if infos, err := readDatabase(ctx, filepath.Join(v.RunDir, databaseSocket)); err == nil { // without it pods have no names
		b.info = infos[v.Bridge]
	}
	return nil
}

// FlowView is a flow as a person reads it.
type FlowView struct {
	Table    string  `json:"table"`
	Priority uint16  `json:"priority"`
	Cookie   string  `json:"cookie"`
	Category string  `json:"category,omitempty"` // of Antrea's
	Seconds  float64 `json:"seconds"`            // since it was added
	Packets  uint64  `json:"packets"`
	Bytes    uint64  `json:"bytes"`
	Match    string  `json:"match"`
	Actions  string  `json:"actions"`
	Reason   string  `json:"reason,omitempty"` // of a drop
}

// Flows hands on the flows of a table, or without a name of all; the text is
// that of ovs-ofctl --names.
func (v *Viewer) Flows(ctx context.Context, table string, each func(f *FlowView, text []byte) error) error {
	if err := v.recognise(ctx); err != nil {
		return err
	}
	filter := openflow.FlowFilter{Table: openflow.AllTables}
	if table != "" {
		id, ok := v.bridge.pipeline.number([]byte(table))
		if !ok {
			return fmt.Errorf("there is no table %q; corkline ovs tables shows them", table)
		}
		filter.Table = id
	}
	names := &openflow.Names{Ports: map[uint32]string{}, Tables: v.bridge.names}
	err := v.bridge.client.Ports(ctx, func(p *openflow.Port) error {
		names.Ports[p.Number] = p.Name
		return nil
	})
	if err != nil {
		return fmt.Errorf("read ports of bridge %s: %w", v.Bridge, err)
	}
	var line []byte
	var parsed ovs.Flow
	var reasons reasons
	source := newFlowSource()
	err = v.bridge.client.Flows(ctx, filter, func(f *openflow.Flow) error {
		line = f.AppendText(line[:0], names)
		if err := parsed.Parse(line); err != nil {
			return fmt.Errorf("read the text of a flow: %w", err)
		}
		view := FlowView{
			Table: v.bridge.pipeline.tables[f.Table].label, Priority: f.Priority, Cookie: fmt.Sprintf("%#x", uint64(f.Cookie)),
			Seconds: f.Duration.Seconds(), Packets: f.Packets.Value, Bytes: f.Bytes.Value, Match: string(parsed.Match), Actions: string(parsed.Actions),
		}
		if v.bridge.pipeline.of != nil {
			view.Category = v.bridge.pipeline.category(f.Cookie)
		}
		if m := v.understand(source.take(f), &reasons); m.kind == ends || m.kind == denies {
			view.Reason = reasons[m.reason]
		}
		return each(&view, line)
	})
	if err != nil {
		return fmt.Errorf("read flows of bridge %s: %w", v.Bridge, err)
	}
	return nil
}

func (v *Viewer) understand(f *flow, reasons *reasons) meaning {
	p := v.bridge.pipeline
	if !p.tells(f) {
		return meaning{}
	}
	match, actions := f.text()
	return p.understand(&p.tables[f.table], f.priority, match, actions, reasons)
}

// Drop is where packets end, since the switch's start.
type Drop struct {
	Table   string `json:"table"`
	Reason  string `json:"reason"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes,omitempty"`
	// Of the flow that drops; without one the packets are the difference of two counters.
	Priority *uint16 `json:"priority,omitempty"`
	Match    string  `json:"match,omitempty"`
	// Of the rule's own flow, where a rule denies.
	RuleTable    string  `json:"rule_table,omitempty"`
	RulePriority *uint16 `json:"rule_priority,omitempty"`
	// The pod whose port or address the flow matches.
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`

	rule uint32
	id   uint8
}

// Drops gives all places where packets end, those with the most packets first.
func (v *Viewer) Drops(ctx context.Context) ([]Drop, error) {
	if err := v.recognise(ctx); err != nil {
		return nil, err
	}
	p := v.bridge.pipeline
	var all []Drop
	var reasons reasons
	rules := map[uint32]ruleFlow{}
	ttl := map[uint8]uint8{}
	owners := v.bridge.info.owners()
	source := newFlowSource()
	err := v.bridge.client.Flows(ctx, openflow.FlowFilter{Table: openflow.AllTables}, func(wire *openflow.Flow) error {
		f := source.take(wire)
		m := v.understand(f, &reasons)
		switch {
		case m.flags&isPolicy != 0:
			rules[m.rule] = ruleFlow{f.table, f.priority, m.flags}
		case m.flags&isTTL != 0:
			ttl[f.table] = uint8(m.rule)
		}
		if m.kind != ends && m.kind != denies {
			return nil
		}
		match, _ := f.text()
		priority := f.priority
		d := Drop{
			Table: p.tables[f.table].label, Reason: reasons[m.reason], Packets: f.packets, Bytes: f.bytes, Priority: &priority, Match: string(match), rule: m.rule, id: f.table,
		}
		who := owners[subjectOf(&wire.Match)]
		d.Namespace, d.Pod = who.namespace, who.pod
		all = append(all, d)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read flows of bridge %s: %w", v.Bridge, err)
	}
	for i := range all {
		d := &all[i]
		r, ok := rules[d.rule]
		if !ok || d.rule == 0 {
			continue
		}
		priority := r.priority
		d.RuleTable, d.RulePriority = p.tables[r.table].label, &priority
		if r.flags&isReject != 0 {
			d.Reason = v.known.rejected(d.Reason)
		}
	}
	return v.sorted(append(all, v.gaps(ttl)...)), nil
}

// gaps are what no flow counts.
func (v *Viewer) gaps(ttl map[uint8]uint8) (all []Drop) {
	for id := range v.stats {
		s := &v.stats[id]
		if (id == 0 || v.bridge.pipeline.tables[id].belong) && s.Lookups > s.Matched {
			all = append(all, Drop{Table: v.bridge.pipeline.tables[id].label, Reason: reasonTableMiss, Packets: s.Lookups - s.Matched, id: uint8(id)})
		}
		if next, is := ttl[uint8(id)]; is && s.Matched > v.stats[next].Lookups {
			all = append(all, Drop{Table: v.bridge.pipeline.tables[id].label, Reason: reasonTTL, Packets: s.Matched - v.stats[next].Lookups, id: uint8(id)})
		}
	}
	return all
}

func (v *Viewer) sorted(all []Drop) []Drop {
	slices.SortFunc(all, func(a, b Drop) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.id, b.id), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Match, b.Match))
	})
	return all
}

// Grown gives the drops with what each has more than before, those that have
// nothing more left out.
func Grown(before, now []Drop) []Drop {
	type key struct{ table, reason, match, priority string }
	of := func(d *Drop) key {
		k := key{d.Table, d.Reason, d.Match, ""}
		if d.Priority != nil {
			k.priority = fmt.Sprint(*d.Priority)
		}
		return k
	}
	was := map[key]Drop{}
	for i := range before {
		was[of(&before[i])] = before[i]
	}
	var grown []Drop
	for _, d := range now {
		old := was[of(&d)]
		if d.Packets < old.Packets { // made anew
			old = Drop{}
		}
		if d.Packets > old.Packets {
			d.Packets -= old.Packets
			d.Bytes -= min(d.Bytes, old.Bytes)
			grown = append(grown, d)
		}
	}
	slices.SortStableFunc(grown, func(a, b Drop) int { return cmp.Compare(b.Packets, a.Packets) })
	return grown
}

// PortView is a port with its counters, since it was added.
type PortView struct {
	Number          int     `json:"number"`
	Name            string  `json:"name"`
	Type            string  `json:"type"`
	Namespace       string  `json:"namespace,omitempty"`
	Pod             string  `json:"pod,omitempty"`
	Seconds         float64 `json:"seconds"`
	ReceivedPackets uint64  `json:"received_packets"`
	ReceivedBytes   uint64  `json:"received_bytes"`
	ReceivedDropped uint64  `json:"received_dropped"`
	ReceivedErrors  uint64  `json:"received_errors"`
	SentPackets     uint64  `json:"sent_packets"`
	SentBytes       uint64  `json:"sent_bytes"`
	SentDropped     uint64  `json:"sent_dropped"`
	SentErrors      uint64  `json:"sent_errors"`
}

// Ports gives the ports by their numbers.
func (v *Viewer) Ports(ctx context.Context) ([]PortView, error) {
	if err := v.recognise(ctx); err != nil {
		return nil, err
	}
	known := v.bridge.knownPorts()
	var all []PortView
	err := v.bridge.client.PortStats(ctx, func(s *ovs.PortStats) error {
		p := v.bridge.portOf(known, s)
		all = append(all, PortView{
			p.Number, p.Name, p.Type, p.Namespace, p.Pod, s.Duration.Seconds(),
			s.RxPackets.Value, s.RxBytes.Value, s.RxDropped.Value, s.RxErrors.Value, s.TxPackets.Value, s.TxBytes.Value, s.TxDropped.Value, s.TxErrors.Value,
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read ports of bridge %s: %w", v.Bridge, err)
	}
	slices.SortFunc(all, func(a, b PortView) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}
