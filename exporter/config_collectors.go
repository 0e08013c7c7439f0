package exporter

import (
	"fmt"
	"time"

	"github.com/corkline/corkline/exporter/spool"
)

// CollectorsConfig says what state is polled. Every collector is on unless it
// is switched off; one whose object is not on this node says so on the status
// page, and does no more.
type CollectorsConfig struct {
	Conntrack ConntrackConfig `yaml:"conntrack"`
	OVS       OVSConfig       `yaml:"ovs"`
}

// pollConfig is what all collectors have in their configuration.
type pollConfig struct {
	enabled           bool
	interval, timeout time.Duration // between two polls, and of one
}

func defaultCollectors() CollectorsConfig {
	return CollectorsConfig{Conntrack: defaultConntrack(), OVS: defaultOVS()}
}

// collectors checks what all collectors have, and adds the sources of their
// events to those of the configuration.
func (c *configCheck) collectors() {
	c.conntrack()
	c.ovs()
	for _, k := range collectorKinds() {
		config := k.poll(&c.config.Collectors)
		at := "collectors." + k.name
		if config.interval < time.Second {
			c.fault(at+".interval", "must be at least 1s")
		}
		if config.timeout <= 0 {
			c.fault(at+".timeout", "must be above 0")
		}
		if config.enabled {
			c.events(eventsOf(k.name))
		}
	}
}

// eventsOf a collector are read as the source with this name, by the definition
// with the same.
func eventsOf(collector string) string { return collector + "-events" }

func (c *configCheck) events(name string) {
	if c.config.library.Set[name] == nil {
		if !c.own[name] { // whose faults say more
			c.fault("definitions", "the definition %q is replaced, which reads a collector's events; extend it instead", name)
		}
		return
	}
	for i, s := range c.config.Sources {
		if s.Name == name {
			c.fault(fmt.Sprintf("sources[%d].name", i), "%q is the source of a collector's events; give this one a name of its own", name)
			return
		}
	}
	c.config.Sources = append(c.config.Sources, SourceConfig{
		Name: name, Definition: name, Files: []string{spool.Pattern(c.config.spoolDir(name))}, events: true,
	})
}
