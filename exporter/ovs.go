package exporter

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/parsers"
)

// OVSConfig is that of the collector of Open vSwitch.
type OVSConfig struct {
	Enabled bool `yaml:"enabled"`
	// RunDir is the folder of the switch's sockets; empty for the one that is found.
	RunDir string `yaml:"run_dir"`
	// Bridges to read; empty for all that have a socket.
	Bridges      []string      `yaml:"bridges"`
	Interval     time.Duration `yaml:"interval"`
	FullInterval time.Duration `yaml:"full_interval"` // of polls that read all flows
	Timeout      time.Duration `yaml:"timeout"`
}

func defaultOVS() OVSConfig {
	return OVSConfig{Enabled: true, Interval: ovs.DefaultInterval, FullInterval: ovs.DefaultFullInterval, Timeout: 10 * time.Second}
}

func ovsKind() collectorKind {
	return collectorKind{
		name: ovs.Name, about: "Open vSwitch: tables, flows, ports, datapath",
		poll: func(c *CollectorsConfig) pollConfig {
			return pollConfig{c.OVS.Enabled, c.OVS.Interval, c.OVS.Timeout}
		},
		config: func(c *CollectorsConfig) any { return c.OVS },
		open: func(c *Config, tools collectorTools) collector.Collector {
			o := &c.Collectors.OVS
			return ovs.New(ovs.Options{
				RunDir: o.RunDir, Bridges: o.Bridges, Interval: o.Interval, FullInterval: o.FullInterval, MaxSeries: c.MaxSeries,
				Rules: tools.rules, Events: tools.events, Log: tools.log, Now: tools.now,
			})
		},
		example: func() collector.Collector { return ovs.Example() },
	}
}

// ovs checks what only this collector has.
func (c *configCheck) ovs() {
	o := &c.config.Collectors.OVS
	if o.FullInterval < o.Interval {
		c.fault("collectors.ovs.full_interval", "must not be below interval (%s)", o.Interval)
	}
	for i, name := range o.Bridges {
		if name == "" || strings.Contains(name, "/") {
			c.fault(fmt.Sprintf("collectors.ovs.bridges[%d]", i), "%q is not the name of a bridge", name)
		}
	}
}

// shower tells the book of rules what the records of a definition name. It is
// nil for definitions that do not have the fields of Antrea's policy log.
func shower(d *parsers.Definition, book *ovs.RuleBook) func(*parsers.Record) {
	var fields [5]int
	for i, name := range [...]string{"table", "priority", "action", "policy", "rule"} {
		fields[i] = slices.IndexFunc(d.Fields, func(f parsers.Field) bool { return f.Name == name })
		if fields[i] < 0 {
			return nil
		}
	}
	return func(r *parsers.Record) {
		book.Show(r.Value(fields[0]), r.Value(fields[1]), r.Value(fields[2]), r.Value(fields[3]), r.Value(fields[4]), time.Unix(0, r.Time))
	}
}
