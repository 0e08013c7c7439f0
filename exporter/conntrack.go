package exporter

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/corkline/corkline/exporter/collector/conntrack"
)

// ConntrackConfig is that of the collector of the connection tracking table.
type ConntrackConfig struct {
	Enabled  bool          `yaml:"enabled"`
	Interval time.Duration `yaml:"interval"` // shorter as the table fills
	Timeout  time.Duration `yaml:"timeout"`
	// Table is kernel, or ovs for that of Open vSwitch's userspace datapath.
	Table string `yaml:"table"`
	// Stream counts new and destroyed connections by the kernel's events.
	Stream bool `yaml:"stream"`
	// Names of addresses and CIDRs: namespace/pod, or that of a node.
	Names map[string]string `yaml:"names"`
}

func defaultConntrack() ConntrackConfig {
	return ConntrackConfig{Enabled: true, Interval: 15 * time.Second, Timeout: 10 * time.Second, Table: kernelTable}
}

// conntrackCheck lies between two looks for the beginning of a flood.
const conntrackCheck = 2 * time.Second

// The tables that may be polled.
const (
	kernelTable = "kernel"
	switchTable = "ovs"
)

// Conntrack gives the options of a collector that has the configured table, and
// names of addresses: those of the configuration, then those of Antrea's ports.
func (c *Config) Conntrack() conntrack.Options {
	o := conntrack.Options{
		Interval: c.Collectors.Conntrack.Interval, Stream: c.Collectors.Conntrack.Stream,
		Names: conntrack.Resolvers{c.conntrackNames(), &podPorts{dir: c.Collectors.OVS.RunDir}}, Seed: rand.Uint64(),
	}
	if c.Collectors.Conntrack.Table == switchTable {
		o.Datapath, o.Stream = &conntrack.Datapath{Daemon: switchDaemon{c.Collectors.OVS.RunDir}}, false
	}
	return o
}

func (c *Config) conntrackNames() conntrack.Names {
	names := conntrack.Names{}
	for address, name := range c.Collectors.Conntrack.Names {
		prefix, err := parsePrefix(address)
		owner, ownerErr := conntrack.ParseOwner(name)
		if err == nil && ownerErr == nil { // checked with the configuration
			names[prefix.Masked()] = owner
		}
	}
	return names
}

// parsePrefix reads a CIDR or an address.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// conntrack checks what only this collector has.
func (c *configCheck) conntrack() {
	if table := c.config.Collectors.Conntrack.Table; table != kernelTable && table != switchTable {
		c.fault("collectors.conntrack.table", "%q is neither %s nor %s", table, kernelTable, switchTable)
	}
	names := c.config.Collectors.Conntrack.Names
	for _, address := range slices.Sorted(maps.Keys(names)) {
		key := "collectors.conntrack.names"
		if _, err := parsePrefix(address); err != nil {
			c.fault(key, "%q is not an address or a CIDR, such as 192.0.2.0/24", address)
		}
		if _, err := conntrack.ParseOwner(names[address]); err != nil {
			c.fault(fmt.Sprintf("%s.%s", key, address), "%s", err)
		}
	}
}

func conntrackKind() collectorKind {
	return collectorKind{
		name: "conntrack", about: "The connection tracking table",
		poll: func(c *CollectorsConfig) pollConfig {
			return pollConfig{c.Conntrack.Enabled, c.Conntrack.Interval, c.Conntrack.Timeout}
		},
		config: func(c *CollectorsConfig) any { return [...]any{c.Conntrack, c.OVS.RunDir} },
		open: func(c *Config, tools collectorTools) collector.Collector {
			o := c.Conntrack()
			o.Events, o.Log, o.Now, o.Check = tools.events, tools.log, tools.now, conntrackCheck
			return conntrack.New(o)
		},
		example: func() collector.Collector { return conntrack.Example() },
	}
}
