package exporter

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/prometheus/client_golang/prometheus"
)

// Family describes a metric that an agent exposes.
type Family struct {
	Name   string
	Type   string // counter, gauge or histogram
	Help   string
	Labels []string
}

// Families describes every metric that an agent with these definitions can
// expose, in the order of their names. Those of the Go runtime and the process
// (go_*, process_*) are left out.
func Families(set parsers.Set) ([]Family, error) {
	// An agent that has seen one value of every label exposes them all.
	a := dryAgent()
	a.ledger.account("source")
	for _, name := range set.Names() {
		d := set[name]
		for i := range d.Metrics {
			f, err := a.families.family(d, &d.Metrics[i])
			if err != nil {
				return nil, fmt.Errorf("register metrics of definition %q: %w", name, err)
			}
			f.with(strings.Repeat("value\xff", len(f.labels)))
		}
	}
	gathered, err := a.registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	var families []Family
	for _, g := range gathered {
		if !strings.HasPrefix(g.GetName(), parsers.Prefix) {
			continue
		}
		f := Family{Name: g.GetName(), Type: strings.ToLower(g.GetType().String()), Help: g.GetHelp()}
		for _, pair := range g.GetMetric()[0].GetLabel() {
			f.Labels = append(f.Labels, pair.GetName())
		}
		sort.Strings(f.Labels)
		families = append(families, f)
	}
	return families, nil
}

// dryAgent has its metrics, and runs nothing.
func dryAgent() *Agent {
	a := &Agent{registry: prometheus.NewRegistry(), ledger: newLedger(), started: time.Now()}
	a.families = NewCatalogue(a.registry, 1)
	a.registerOwn()
	return a
}

func labelNames(d *parsers.Definition, m *parsers.Metric) []string {
	labels := make([]string, len(m.Labels))
	for i, field := range m.Labels {
		labels[i] = d.Fields[field].Name
	}
	return labels
}
