package ovs

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"github.com/corkline/corkline/exporter/collector/ovs/ovsdb"
)

// Port is a port of a bridge with what the database says of it.
type Port struct {
	Number         int    // of OpenFlow; 65534 is the bridge itself
	Name           string // of its first interface
	Type           string // of Antrea (gateway, tunnel, …), else pod, else that of the interface
	Namespace, Pod string // empty but for a pod's
	MAC            string // in lower case; of a pod of Antrea's
	HasIPv4        bool
	HasIPv6        bool
	Addresses      []netip.Addr // of a pod of Antrea's
}

// bridgeInfo is a bridge as the database has it.
type bridgeInfo struct {
	name     string
	round    uint16 // of Antrea's agent; with known
	hasRound bool
	ports    []Port
}

// owners are the pods by their ports and addresses; nil of no bridge.
func (b *bridgeInfo) owners() map[subject]owner {
	if b == nil {
		return nil
	}
	all := map[subject]owner{}
	for i := range b.ports {
		p := &b.ports[i]
		if p.Pod == "" || p.Number <= 0 {
			continue
		}
		who := owner{p.Namespace, p.Pod}
		all[subject{port: uint32(p.Number)}] = who
		for _, address := range p.Addresses {
			all[subject{address: address}] = who
		}
	}
	return all
}

// readDatabase gives the bridges by their names (vswitchd/vswitch.ovsschema).
func readDatabase(ctx context.Context, path string) (map[string]*bridgeInfo, error) {
	rows, err := ovsdb.Read(ctx, path, "Open_vSwitch",
		ovsdb.Select{Table: "Bridge", Columns: []string{"name", "ports", "external_ids"}},
		ovsdb.Select{Table: "Port", Columns: []string{"_uuid", "interfaces", "external_ids"}},
		ovsdb.Select{Table: "Interface", Columns: []string{"_uuid", "name", "type", "ofport", "external_ids"}},
	)
	if err != nil {
		return nil, err
	}
	return join(rows[0], rows[1], rows[2]), nil
}

// join puts rows together.
func join(bridges, ports, interfaces []ovsdb.Row) map[string]*bridgeInfo {
	interfaceOf, portOf := byUUID(interfaces), byUUID(ports)
	all := map[string]*bridgeInfo{}
	for _, row := range bridges {
		b := &bridgeInfo{name: row["name"].Text()}
		if n, err := strconv.ParseUint(row["external_ids"].Map()["roundNum"], 10, 64); err == nil {
			b.round, b.hasRound = uint16(n), true
		}
		for _, id := range row["ports"].UUIDs() {
			port := portOf[id]
			for _, id := range port["interfaces"].UUIDs() {
				if p, ok := portOfRows(port, interfaceOf[id]); ok {
					b.ports = append(b.ports, p)
				}
			}
		}
		all[b.name] = b
	}
	return all
}

func byUUID(rows []ovsdb.Row) map[string]ovsdb.Row {
	by := make(map[string]ovsdb.Row, len(rows))
	for _, row := range rows {
		if ids := row["_uuid"].UUIDs(); len(ids) == 1 {
			by[ids[0]] = row
		}
	}
	return by
}

// portOfRows reads what Antrea writes to Port rows (pkg/agent/cniserver), and
// OVN to Interface rows.
func portOfRows(port, i ovsdb.Row) (p Port, ok bool) {
	number, ok := i["ofport"].Int()
	if !ok {
		return p, false // the switch has not taken it yet
	}
	ids, own := port["external_ids"].Map(), i["external_ids"].Map()
	p = Port{Number: int(number), Name: i["name"].Text(), Type: i["type"].Text()}
	switch {
	case ids["pod-name"] != "":
		p.Type, p.Pod, p.Namespace, p.MAC = "pod", ids["pod-name"], ids["pod-namespace"], strings.ToLower(ids["attached-mac"])
		for ip := range strings.SplitSeq(ids["ip-address"], ",") {
			switch {
			case strings.Contains(ip, ":"):
				p.HasIPv6 = true
			case strings.TrimSpace(ip) != "":
				p.HasIPv4 = true
			}
			if a, err := netip.ParseAddr(strings.TrimSpace(ip)); err == nil {
				p.Addresses = append(p.Addresses, a)
			}
		}
	case ids["antrea-type"] != "":
		p.Type = ids["antrea-type"]
	case own["pod_name"] != "": // Kube-OVN
		p.Type, p.Pod, p.Namespace = "pod", own["pod_name"], own["pod_namespace"]
	case own["iface-id"] != "": // ns_pod of OVN-Kubernetes
		if namespace, pod, ok := strings.Cut(own["iface-id"], "_"); ok {
			p.Type, p.Pod, p.Namespace = "pod", pod, namespace
		}
	}
	if p.Type == "" {
		p.Type = "system"
	}
	return p, true
}
