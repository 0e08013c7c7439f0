package ovs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs/openflow"
)

// broken is an invariant that does not hold.
type broken struct {
	Invariant string `json:"invariant"`
	Table     string `json:"table"`
	Namespace string `json:"namespace,omitempty"` // of a pod's
	Pod       string `json:"pod,omitempty"`
}

// missing says what should be there.
func (b *broken) missing(p *Port) string {
	switch {
	case b.Invariant == missFlow:
		return fmt.Sprintf("table %s has no flow that matches what no other does", b.Table)
	case p == nil:
		return fmt.Sprintf("table %s lacks a flow of pod %s/%s", b.Table, b.Namespace, b.Pod)
	}
	return fmt.Sprintf("table %s lacks the %s flow of pod %s/%s (port %d, %s, %s)", b.Table, b.Invariant, b.Namespace, b.Pod, p.Number, p.Name, p.MAC)
}

const missFlow = "miss_flow"

// maxBroken are told one by one; the rest is their number.
const maxBroken = 200

// checks is what is known of a bridge's invariants.
type checks struct {
	broken map[broken]bool
	at     time.Time
	pods   int // that were checked
}

func newChecks() checks { return checks{broken: map[broken]bool{}} }

// flowKeys are what the flows of a table match on, of what invariants look for.
type flowKeys map[flowKeyOf]bool

// flowKeyOf is a port or an address, and a protocol; empty for any.
type flowKeyOf struct {
	field, protocol string
	port            uint32
	mac             string
}

// check the invariants of Antrea's pipelines. What seems broken is looked at a
// second time, for a pod may be on its way out.
func (b *bridge) check(ctx context.Context, c *Collector) error {
	now := c.options.Now()
	found := map[broken]*Port{}
	pods := 0
	if b.pipeline.of != nil {
		for id := range b.lost {
			found[broken{Invariant: missFlow, Table: b.pipeline.tables[id].label}] = nil
		}
		if b.info != nil {
			grace := now.Sub(b.checks.at)
			if b.checks.at.IsZero() {
				grace = c.options.Interval
			}
			missing, n, err := b.checkPods(ctx, grace)
			if err == nil && b.anyNew(missing) {
				if info := c.bridgeInfo(ctx, b.name); info != nil {
					b.info = info
				}
				missing, n, err = b.checkPods(ctx, grace)
			}
			if err != nil {
				return err
			}
			for k, p := range missing {
				found[k] = p
			}
			pods = n
		}
	}
	b.checks.at, b.checks.pods = now, pods
	b.tell(c, found)
	return nil
}

func (b *bridge) anyNew(found map[broken]*Port) bool {
	for k := range found {
		if !b.checks.broken[k] {
			return true
		}
	}
	return false
}

// tell of what broke and what was mended.
func (b *bridge) tell(c *Collector, found map[broken]*Port) {
	byName := func(x, y broken) int {
		return cmp.Or(cmp.Compare(x.Invariant, y.Invariant), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Pod, y.Pod), cmp.Compare(x.Table, y.Table))
	}
	var news, mended []broken
	for k := range found {
		if !b.checks.broken[k] {
			news = append(news, k)
		}
	}
	for k := range b.checks.broken {
		if _, still := found[k]; !still {
			mended = append(mended, k)
			delete(b.checks.broken, k)
		}
	}
	slices.SortFunc(news, byName)
	slices.SortFunc(mended, byName)
	for i, k := range news {
		b.checks.broken[k] = true
		if i < maxBroken {
			missing := k.missing(found[k])
			c.options.Log.Warn("an invariant of the pipeline is broken", "bridge", b.name, "invariant", k.Invariant, "missing", missing)
			c.emit(event{Event: "invariant_broken", Bridge: b.name, broken: k, Missing: missing})
		}
	}
	for i, k := range mended {
		if i < maxBroken {
			c.options.Log.Info("an invariant of the pipeline holds again", "bridge", b.name, "invariant", k.Invariant, "table", k.Table, "namespace", k.Namespace, "pod", k.Pod)
			c.emit(event{Event: "invariant_mended", Bridge: b.name, broken: k})
		}
	}
}

// checkPods gives what the flows of pods lack whose ports are older than the
// grace, and how many pods there were.
func (b *bridge) checkPods(ctx context.Context, grace time.Duration) (missing map[broken]*Port, pods int, err error) {
	missing = map[broken]*Port{}
	keys := map[uint8]flowKeys{}
	var due []Port
	for _, p := range b.info.ports {
		if p.Pod == "" || p.MAC == "" || p.Number <= 0 { // of no pod, not of Antrea, or not in the switch
			continue
		}
		if count := b.ports[p.Name]; count == nil || count.Number != p.Number || count.age <= grace {
			continue
		}
		due = append(due, p)
	}
	for i := range b.pipeline.known.Invariants {
		invariant := &b.pipeline.known.Invariants[i]
		table, ok := b.pipeline.tableOf(invariant.Roles)
		if !ok || len(due) == 0 {
			continue
		}
		if keys[table] == nil {
			if keys[table], err = b.readKeys(ctx, table); err != nil {
				return nil, 0, err
			}
		}
		for k := range due {
			p := &due[k]
			for _, protocol := range invariant.needed(p) {
				key := flowKeyOf{field: invariant.Field, protocol: protocol}
				if key.field == "in_port" {
					key.port = uint32(p.Number)
				} else {
					key.mac = p.MAC
				}
				if !keys[table][key] {
					missing[broken{invariant.Name, b.pipeline.tables[table].label, p.Namespace, p.Pod}] = p
				}
			}
		}
	}
	return missing, len(due), nil
}

// needed are the protocols that a pod's flows must have; one that is empty for
// any.
func (v *invariant) needed(p *Port) (protocols []string) {
	if len(v.Protocols) == 0 {
		return []string{""}
	}
	for _, protocol := range v.Protocols {
		if protocol == "ipv6" && p.HasIPv6 || protocol != "ipv6" && p.HasIPv4 {
			protocols = append(protocols, protocol)
		}
	}
	return protocols
}

// tableOf gives the table of the first of the roles that one has.
func (p *pipeline) tableOf(roles []string) (id uint8, ok bool) {
	for _, role := range roles {
		for id := range p.tables {
			if p.tables[id].role == role {
				return uint8(id), true
			}
		}
	}
	return 0, false
}

// readKeys reads what the flows of a table match on.
func (b *bridge) readKeys(ctx context.Context, table uint8) (flowKeys, error) {
	keys := flowKeys{}
	err := b.client.Flows(ctx, openflow.FlowFilter{Table: table}, func(f *openflow.Flow) error {
		keys.add(f)
		return nil
	})
	return keys, err
}

func (k flowKeys) add(f *openflow.Flow) {
	protocol := ""
	if kind, ok := f.Match.EthType(); ok {
		switch kind {
		case 0x0800:
			protocol = "ip"
		case 0x0806:
			protocol = "arp"
		case 0x86dd:
			protocol = "ipv6"
		}
	}
	for _, p := range []string{"", protocol} {
		if port, ok := f.Match.InPort(); ok {
			k[flowKeyOf{field: "in_port", protocol: p, port: port}] = true
		}
		if mac, ok := f.Match.Field(openflow.EthDst); ok && mac.Mask == nil {
			k[flowKeyOf{field: "dl_dst", protocol: p, mac: macText(mac.Value)}] = true
		}
	}
}

func macText(b []byte) string {
	var s strings.Builder
	for i, octet := range b {
		if i > 0 {
			s.WriteByte(':')
		}
		fmt.Fprintf(&s, "%02x", octet)
	}
	return s.String()
}
