package exporter

import (
	"bytes"
	"testing"

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
	show := shower(d, book)
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
	// By the log's time, the rule has gone two hours before the next has its place.
	line := bytes.Replace(r.Line, []byte("10:11:12"), []byte("12:11:12"), 1)
	r = &parsers.Record{Line: bytes.Replace(line, []byte("drop ext"), []byte("next"), 1)}
	if err := parser.Parse(r); err != nil {
		t.Fatal(err)
	}
	show(r)
	if policy, rule := book.Name("AntreaPolicyEgressRule", "14500", "Drop"); policy != "AntreaClusterNetworkPolicy:acnp" || rule != "next" {
		t.Errorf("later: policy %q, rule %q", policy, rule)
	}
	if shower(library.Set["ako"], book) != nil {
		t.Error("another log is asked for rules")
	}
}
