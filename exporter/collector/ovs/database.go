package ovs

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
)

// The rows of Open vSwitch's database that are read (vswitchd/vswitch.ovsschema).
type (
	bridgeRow struct {
		UUID        string            `ovsdb:"_uuid"`
		Name        string            `ovsdb:"name"`
		Ports       []string          `ovsdb:"ports"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
	portRow struct {
		UUID        string            `ovsdb:"_uuid"`
		Name        string            `ovsdb:"name"`
		Interfaces  []string          `ovsdb:"interfaces"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
	interfaceRow struct {
		UUID        string            `ovsdb:"_uuid"`
		Name        string            `ovsdb:"name"`
		Type        string            `ovsdb:"type"`
		Ofport      *int              `ovsdb:"ofport"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
)

// database follows the database over its socket. It connects when it is asked
// and is not connected.
type database struct {
	path string

	mu     sync.Mutex
	client client.Client
}

// Port is a port of a bridge with what the database says of it.
type Port struct {
	Number         int    // of OpenFlow; 65534 is the bridge itself
	Name           string // of its first interface
	Type           string // of Antrea (gateway, tunnel, …), else pod, else that of the interface
	Namespace, Pod string // empty but for a pod's
	MAC            string // in lower case; of a pod of Antrea's
	HasIPv4        bool
	HasIPv6        bool
}

// bridgeInfo is a bridge as the database has it.
type bridgeInfo struct {
	name     string
	round    uint16 // of Antrea's agent; with known
	hasRound bool
	ports    []Port
}

// read gives the bridges by their names.
func (d *database) read(ctx context.Context) (map[string]*bridgeInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil && !d.client.Connected() {
		d.close()
	}
	if d.client == nil {
		if err := d.connect(ctx); err != nil {
			return nil, fmt.Errorf("read the database of Open vSwitch: %w", err)
		}
	}
	var (
		bridges    []bridgeRow
		ports      []portRow
		interfaces []interfaceRow
	)
	for _, list := range []any{&bridges, &ports, &interfaces} {
		if err := d.client.List(ctx, list); err != nil {
			d.close()
			return nil, fmt.Errorf("list rows of the database of Open vSwitch: %w", err)
		}
	}
	return join(bridges, ports, interfaces), nil
}

func (d *database) connect(ctx context.Context) error {
	// The library panics at nothing, but waits for ever where nobody answers.
	probe, err := (&net.Dialer{}).DialContext(ctx, "unix", d.path)
	if err != nil {
		return err
	}
	if err := probe.Close(); err != nil {
		return err
	}
	tables, err := model.NewClientDBModel("Open_vSwitch", map[string]model.Model{
		"Bridge": &bridgeRow{}, "Port": &portRow{}, "Interface": &interfaceRow{},
	})
	if err != nil {
		return err
	}
	quiet := logr.Discard() // what fails is returned, too
	c, err := client.NewOVSDBClient(tables, client.WithEndpoint("unix:"+d.path), client.WithLogger(&quiet))
	if err != nil {
		return err
	}
	if err := c.Connect(ctx); err != nil {
		return err
	}
	if _, err := c.MonitorAll(ctx); err != nil {
		c.Close()
		return err
	}
	d.client = c
	return nil
}

// Close ends the connection.
func (d *database) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.close()
}

func (d *database) close() {
	if d.client != nil {
		d.client.Close()
		d.client = nil
	}
}

// join puts rows together.
func join(bridges []bridgeRow, ports []portRow, interfaces []interfaceRow) map[string]*bridgeInfo {
	interfaceOf := map[string]*interfaceRow{}
	for i := range interfaces {
		interfaceOf[interfaces[i].UUID] = &interfaces[i]
	}
	portOf := map[string]*portRow{}
	for i := range ports {
		portOf[ports[i].UUID] = &ports[i]
	}
	all := map[string]*bridgeInfo{}
	for _, row := range bridges {
		b := &bridgeInfo{name: row.Name}
		if n, err := strconv.ParseUint(row.ExternalIDs["roundNum"], 10, 64); err == nil {
			b.round, b.hasRound = uint16(n), true
		}
		for _, id := range row.Ports {
			port := portOf[id]
			if port == nil {
				continue // the rest of a change comes later
			}
			for _, id := range port.Interfaces {
				if i := interfaceOf[id]; i != nil && i.Ofport != nil {
					b.ports = append(b.ports, portOfRows(port, i))
				}
			}
		}
		all[row.Name] = b
	}
	return all
}

// portOfRows reads what Antrea writes to Port rows (pkg/agent/cniserver), and
// OVN to Interface rows.
func portOfRows(port *portRow, i *interfaceRow) Port {
	ids := port.ExternalIDs
	p := Port{Number: *i.Ofport, Name: i.Name, Type: i.Type}
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
		}
	case ids["antrea-type"] != "":
		p.Type = ids["antrea-type"]
	case i.ExternalIDs["pod_name"] != "": // Kube-OVN
		p.Type, p.Pod, p.Namespace = "pod", i.ExternalIDs["pod_name"], i.ExternalIDs["pod_namespace"]
	case i.ExternalIDs["iface-id"] != "": // ns_pod of OVN-Kubernetes
		if namespace, pod, ok := strings.Cut(i.ExternalIDs["iface-id"], "_"); ok {
			p.Type, p.Pod, p.Namespace = "pod", pod, namespace
		}
	}
	if p.Type == "" {
		p.Type = "system"
	}
	return p
}
