package exporter

import (
	"testing"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs"
	"github.com/corkline/corkline/parsers"
)

// The lines of network policies name the rules that flows are of; showing them
// costs no memory of its own.
func TestShower(t *testing.T) {
	library, faults, err := parsers.Compose(nil)
	if err != nil || faults.Err() != nil {
		t.Fatal(err, faults)
	}
	d := library.Set["antrea-networkpolicy"]
	book := ovs.NewRuleBook()
	show := shower(d, book, func() time.Time { return time.Unix(1e9, 0) })
	if show == nil {
		t.Fatal("the log's definition lacks a field")
	}
	parser := parsers.NewParser(d)
	r := &parsers.Record{Line: []byte("2024/06/02 10:11:12.000123 AntreaPolicyEgressRule AntreaClusterNetworkPolicy:acnp drop ext Egress Drop 14500 shop/web-0 192.0.2.10 40001 198.51.100.7 443 TCP 60 ext-label")}
	if err := parser.Parse(r); err != nil {
		t.Fatal(err)
	}
	show(r)
	if policy, rule := book.Name("AntreaPolicyEgressRule", "14500", "Drop"); policy != "AntreaClusterNetworkPolicy:acnp" || rule != "drop ext" {
		t.Errorf("policy %q, rule %q", policy, rule)
	}
	if n := testing.AllocsPerRun(100, func() { show(r) }); n > 0 {
		t.Errorf("%v allocations for each line", n)
	}
	if shower(library.Set["ako"], book, time.Now) != nil {
		t.Error("another log is asked for rules")
	}
}
