package exporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/exporter/collector/ovs/ovsdb"
	"github.com/corkline/corkline/exporter/collector/ovs/unixctl"
)

// podPorts resolves the addresses of this node's pods by the ports that Antrea
// has made for them in Open vSwitch's database.
type podPorts struct {
	dir   string // of the switch's sockets; empty for the one that is found
	table atomic.Pointer[map[netip.Addr]conntrack.Owner]
}

// Resolve implements conntrack.Resolver.
func (p *podPorts) Resolve(addr netip.Addr) (owner conntrack.Owner, ok bool) {
	if table := p.table.Load(); table != nil {
		owner, ok = (*table)[addr]
	}
	return owner, ok
}

// portsTimeout of the database, which answers at once if it does.
const portsTimeout = 2 * time.Second

// Refresh implements conntrack.Refresher. A node without the switch has no such
// ports.
func (p *podPorts) Refresh(ctx context.Context) error {
	dir, err := ovs.FindRunDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, portsTimeout)
	defer cancel()
	rows, err := ovsdb.Read(ctx, filepath.Join(dir, "db.sock"), "Open_vSwitch", ovsdb.Select{Table: "Port", Columns: []string{"external_ids"}})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the names of pods: %w", err)
	}
	table := map[netip.Addr]conntrack.Owner{}
	for _, row := range rows[0] {
		ids := row["external_ids"].Map()
		owner := conntrack.Owner{Namespace: ids["pod-namespace"], Pod: ids["pod-name"]}
		if owner.Pod == "" || owner.Namespace == "" {
			continue
		}
		for text := range strings.SplitSeq(ids["ip-address"], ",") {
			if addr, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
				table[addr] = owner
			}
		}
	}
	p.table.Store(&table)
	return nil
}

// switchDaemon asks ovs-vswitchd, whose socket has another name after each start.
type switchDaemon struct{ dir string }

// maxTable is what the text of a table may have.
const maxTable = 256 << 20

// Call implements conntrack.Daemon.
func (d switchDaemon) Call(ctx context.Context, command string, args ...string) (string, error) {
	dir, err := ovs.FindRunDir(d.dir)
	if err != nil {
		return "", err
	}
	path, err := unixctl.Find(ctx, "ovs-vswitchd", dir)
	if err != nil {
		return "", err
	}
	return unixctl.Client{Path: path, MaxReply: maxTable}.Call(ctx, command, args...)
}
