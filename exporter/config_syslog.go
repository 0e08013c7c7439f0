package exporter

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/spool"
)

// SyslogConfig says where a source listens for messages, and whose it takes.
type SyslogConfig struct {
	UDP            string          `yaml:"udp"` // host:port
	TCP            string          `yaml:"tcp"`
	TLS            SyslogTLSConfig `yaml:"tls"`
	Allow          []string        `yaml:"allow"` // addresses and CIDRs
	SpoolBytes     int64           `yaml:"spool_bytes"`
	MaxConnections int             `yaml:"max_connections"`
	IdleTimeout    time.Duration   `yaml:"idle_timeout"`

	allow []netip.Prefix
}

// String tells where it listens, such as "UDP :5514, TLS :6514".
func (c *SyslogConfig) String() string {
	var all []string
	for _, l := range []struct{ transport, address string }{{"UDP", c.UDP}, {"TCP", c.TCP}, {"TLS", c.TLS.Listen}} {
		if l.address != "" {
			all = append(all, l.transport+" "+l.address)
		}
	}
	return strings.Join(all, ", ")
}

// SyslogTLSConfig is the listener for syslog over TLS.
type SyslogTLSConfig struct {
	Listen   string `yaml:"listen"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFile makes clients show a certificate of these authorities.
	ClientCAFile string `yaml:"client_ca_file"`
}

// Limits of a source with syslog, where the configuration names none.
const (
	defaultSpoolBytes     = 256 << 20
	minSpoolBytes         = 1 << 20
	defaultMaxConnections = 256
	defaultIdleTimeout    = 15 * time.Minute
)

// syslogDefinitions completes a source with syslog that names no definitions:
// it is for the streams of AVI, whose Service Engines have no other way to an
// agent.
func (c *configCheck) syslogDefinitions(s *SourceConfig) {
	if s.Syslog == nil || len(s.DefinitionNames()) > 0 {
		return
	}
	// A request that the firewall looked at is one of avi-application, too.
	s.Definitions = []string{"avi-waf", "avi-dns", "avi-connection", "avi-application", "avi-event"}
	if s.Name == "" {
		s.Name = "avi"
	}
}

// spoolDir is the folder of a source's spool files.
func (c *Config) spoolDir(source string) string {
	return filepath.Join(c.StateDir, "spool", source)
}

// syslog checks what a source has under this key, and completes it.
func (c *configCheck) syslog(at string, s *SourceConfig) {
	if len(s.Files) > 0 {
		c.fault(at+".files", "give either files or syslog")
	}
	s.Files = []string{spool.Pattern(c.config.spoolDir(s.Name))}
	at += ".syslog"
	config := s.Syslog
	if config.UDP == "" && config.TCP == "" && config.TLS == (SyslogTLSConfig{}) {
		c.fault(at, "give at least one of udp, tcp and tls")
	}
	for i, text := range config.Allow {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			c.fault(fmt.Sprintf("%s.allow[%d]", at, i), "%q is not an address or a CIDR, such as 192.0.2.0/24", text)
		}
		config.allow = append(config.allow, prefix)
	}
	if !c.doc.Has(at + ".spool_bytes") {
		config.SpoolBytes = defaultSpoolBytes
	}
	if config.SpoolBytes < minSpoolBytes {
		c.fault(at+".spool_bytes", "must be at least %d", minSpoolBytes)
	}
	if !c.doc.Has(at + ".max_connections") {
		config.MaxConnections = defaultMaxConnections
	}
	if config.MaxConnections < 1 {
		c.fault(at+".max_connections", "must be at least 1")
	}
	if !c.doc.Has(at + ".idle_timeout") {
		config.IdleTimeout = defaultIdleTimeout
	}
	if config.IdleTimeout <= 0 {
		c.fault(at+".idle_timeout", "must be above 0")
	}
	if config.TLS == (SyslogTLSConfig{}) {
		return
	}
	for _, k := range []struct{ key, value, about string }{
		{"listen", config.TLS.Listen, "where to listen, such as :6514"},
		{"cert_file", config.TLS.CertFile, "the server's certificate"},
		{"key_file", config.TLS.KeyFile, "the certificate's key"},
	} {
		if k.value == "" {
			c.fault(at+".tls."+k.key, "is missing; name %s", k.about)
		}
	}
	for _, file := range []*string{&config.TLS.CertFile, &config.TLS.KeyFile, &config.TLS.ClientCAFile} {
		if *file != "" && !filepath.IsAbs(*file) {
			*file = filepath.Join(filepath.Dir(c.doc.File()), *file)
		}
	}
}

// listeners checks that no two sources listen at the same place.
func (c *configCheck) listeners() {
	taken := map[string]string{} // keys by protocol and address
	claim := func(key, network, address string) {
		if address == "" {
			return
		}
		host, port, err := net.SplitHostPort(address)
		number, numberErr := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil || numberErr != nil:
			c.fault(key, "%q is not host:port, such as 127.0.0.1:5514 or :5514", address)
			return
		case number == 0:
			return // any that is free
		}
		at := network + " " + net.JoinHostPort(host, port)
		if other, is := taken[at]; is {
			c.fault(key, "%s listens at %q already", other, address)
			return
		}
		taken[at] = key
	}
	if _, port, err := net.SplitHostPort(c.config.Listen); err == nil && port != "" {
		taken["tcp "+c.config.Listen] = "listen"
	}
	for i, s := range c.config.Sources {
		if s.Syslog == nil {
			continue
		}
		at := fmt.Sprintf("sources[%d].syslog.", i)
		claim(at+"udp", "udp", s.Syslog.UDP)
		claim(at+"tcp", "tcp", s.Syslog.TCP)
		claim(at+"tls.listen", "tcp", s.Syslog.TLS.Listen)
	}
}
