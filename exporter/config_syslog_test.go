package exporter

import (
	"errors"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/parsers/strict"
)

func TestParseConfig_Syslog(t *testing.T) {
	f := func(text string, want SourceConfig) {
		t.Helper()
		c, err := ParseConfig("/etc/corkline/c.yaml", []byte("state_dir: /state\ncollectors: {conntrack: {enabled: false}, ovs: {enabled: false}}\nsources: ["+text+"]\n"))
		if err != nil {
			t.Fatalf("%q: %s", text, err)
		}
		if diff := cmp.Diff([]SourceConfig{want}, c.Sources, cmpopts.IgnoreUnexported(SourceConfig{}), cmp.AllowUnexported(SyslogConfig{}), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	avi := []string{"avi-waf", "avi-dns", "avi-connection", "avi-application", "avi-event"}
	f("{syslog: {udp: ':5514'}}", SourceConfig{
		Name: "avi", Definitions: avi, Files: []string{"/state/spool/avi/*.log"},
		Syslog: &SyslogConfig{UDP: ":5514", SpoolBytes: 256 << 20, MaxConnections: 256, IdleTimeout: 15 * time.Minute},
	})
	f(`{name: lb, definition: avi-dns, syslog: {tcp: '127.0.0.1:5514', tls: {listen: '[::1]:6514', cert_file: /c, key_file: k, client_ca_file: tls/a},
	    allow: [192.0.2.0/24, '2001:db8::1'], spool_bytes: 2097152, max_connections: 3, idle_timeout: 1m}}`, SourceConfig{
		Name: "lb", Definition: "avi-dns", Files: []string{"/state/spool/lb/*.log"},
		Syslog: &SyslogConfig{
			TCP: "127.0.0.1:5514", TLS: SyslogTLSConfig{Listen: "[::1]:6514", CertFile: "/c", KeyFile: "/etc/corkline/k", ClientCAFile: "/etc/corkline/tls/a"},
			Allow: []string{"192.0.2.0/24", "2001:db8::1"}, SpoolBytes: 2 << 20, MaxConnections: 3, IdleTimeout: time.Minute,
			allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
		},
	})
}

func TestSyslogConfig_String(t *testing.T) {
	c := SyslogConfig{UDP: ":1", TLS: SyslogTLSConfig{Listen: "localhost:2"}}
	if got := c.String(); got != "UDP :1, TLS localhost:2" {
		t.Errorf("%q", got)
	}
}

func TestParseConfig_SyslogFaults(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := ParseConfig("c.yaml", []byte(text))
		var faults strict.Faults
		if !errors.As(err, &faults) {
			t.Fatalf("%q: error is %v, not faults", text, err)
		}
		// Columns are the decoder's matter.
		got := regexp.MustCompile(`(?m)^(c\.yaml:\d+):\d+`).ReplaceAllString(err.Error(), "$1")
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	const at = "c.yaml:1: sources[0].syslog"
	f("sources: [{syslog: {}}]\n", at+": give at least one of udp, tcp and tls")
	f("sources: [{syslog: {udb: ':1'}}]\n", at+": give at least one of udp, tcp and tls", at+`.udb: unknown key; did you mean "udp"?`)
	f("sources: [{syslog: {udp: ':1'}, files: [/a]}]\n", "c.yaml:1: sources[0].files: give either files or syslog")
	f("sources: [{syslog: {udp: 5514}}]\n", at+`.udp: "5514" is not host:port, such as 127.0.0.1:5514 or :5514`)
	f("sources: [{syslog: {tcp: ':65536'}}]\n", at+`.tcp: ":65536" is not host:port, such as 127.0.0.1:5514 or :5514`)
	f("sources: [{syslog: {tls: {key_file: /k}}}]\n", at+".tls.listen: is missing; name where to listen, such as :6514", at+".tls.cert_file: is missing; name the server's certificate")
	f("sources: [{syslog: {tls: {listen: ':1', cert_file: /c}}}]\n", at+".tls.key_file: is missing; name the certificate's key")
	f("sources: [{syslog: {udp: ':1', allow: [all, 192.0.2.0/33, 'fe80::1%eth0', '']}}]\n",
		at+`.allow[0]: "all" is not an address or a CIDR, such as 192.0.2.0/24`,
		at+`.allow[1]: "192.0.2.0/33" is not an address or a CIDR, such as 192.0.2.0/24`,
		at+`.allow[2]: "fe80::1%eth0" is not an address or a CIDR, such as 192.0.2.0/24`,
		at+`.allow[3]: "" is not an address or a CIDR, such as 192.0.2.0/24`)
	f("sources: [{syslog: {udp: ':1', spool_bytes: 1048575, max_connections: 0, idle_timeout: 0s}}]\n",
		at+".spool_bytes: must be at least 1048576",
		at+".max_connections: must be at least 1",
		at+".idle_timeout: must be above 0")
	f("listen: ':1'\nsources:\n  - syslog: {udp: ':1', tcp: ':1'}\n  - {name: b, syslog: {udp: ':1', tls: {listen: ':2', cert_file: c, key_file: k}}}\n  - {name: c, syslog: {tcp: ':2'}}\n",
		`c.yaml:3: sources[0].syslog.tcp: listen listens at ":1" already`,
		`c.yaml:4: sources[1].syslog.udp: sources[0].syslog.udp listens at ":1" already`,
		`c.yaml:5: sources[2].syslog.tcp: sources[1].syslog.tls.listen listens at ":2" already`)
	f("sources: [{syslog: {udp: ':1'}}, {syslog: {udp: ':2'}}]\n", `c.yaml:1: sources[1].name: there is a source "avi" already; give this one a name of its own`)
}

// What a source with syslog reads with by default gives each of the samples to
// its own definition.
func TestSyslogDefinitions(t *testing.T) {
	c, err := ParseConfig("c.yaml", []byte("sources: [{syslog: {udp: ':5514'}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	var definitions []*parsers.Definition
	for _, name := range c.Sources[0].Definitions {
		definitions = append(definitions, c.Library().Set[name])
	}
	parser := parsers.NewParser(definitions...)
	parser.Refer(time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC).UnixNano())
	for _, d := range definitions {
		n := 0
		for line := range strings.Lines(readFile(t, filepath.Join("..", "samples", d.Name+".log"))) {
			r := parsers.Record{Line: []byte(strings.TrimSuffix(line, "\n")), Spans: make([]parsers.Span, 256), Scratch: &parsers.Scratch{}}
			if err := parser.Parse(&r); err != nil || r.Definition != d {
				t.Errorf("%s: %v: %.200s", d.Name, err, line)
			}
			n++
		}
		if n == 0 {
			t.Errorf("%s has no samples", d.Name)
		}
	}
}
