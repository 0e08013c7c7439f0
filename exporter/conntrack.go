package exporter

import (
	"time"

	"github.com/corkline/corkline/exporter/collector"
	"github.com/corkline/corkline/exporter/collector/conntrack"
)

// ConntrackConfig is that of the collector of the connection tracking table.
type ConntrackConfig struct {
	Enabled  bool          `yaml:"enabled"`
	Interval time.Duration `yaml:"interval"` // shorter as the table fills
	Timeout  time.Duration `yaml:"timeout"`
}

func defaultConntrack() ConntrackConfig {
	return ConntrackConfig{Enabled: true, Interval: 15 * time.Second, Timeout: 10 * time.Second}
}

func conntrackKind() collectorKind {
	return collectorKind{
		name: "conntrack", about: "The kernel's connection tracking table",
		poll: func(c *CollectorsConfig) pollConfig {
			return pollConfig{c.Conntrack.Enabled, c.Conntrack.Interval, c.Conntrack.Timeout}
		},
		config: func(c *CollectorsConfig) any { return c.Conntrack },
		open: func(c *Config, _ collectorTools) collector.Collector {
			return conntrack.New(conntrack.Options{Interval: c.Collectors.Conntrack.Interval})
		},
		example: func() collector.Collector { return conntrack.Example() },
	}
}
