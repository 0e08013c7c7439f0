package exporter

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/sink/loki"
	"github.com/corkline/corkline/parsers"
	"github.com/prometheus/client_golang/prometheus"
)

// Family describes a metric that an agent exposes.
type Family struct {
	Name    string
	Type    string // counter, gauge or histogram
	Help    string
	Labels  []string  // without a histogram's le
	Buckets []float64 // upper bounds of a histogram's, without +Inf
}

// Families describes every metric that an agent with these definitions can
// expose, in the order of their names. Those of the Go runtime and the process
// (go_*, process_*) are left out.
func Families(set parsers.Set) ([]Family, error) {
	// An agent that has seen one value of every label exposes them all.
	a := dryAgent()
	a.syslog.Source("source")
	a.polled.of("collector")
	a.ledger.account("source")
	for _, name := range set.Names() {
		d := set[name]
		for i := range d.Metrics {
			f, err := a.families.family(d, &d.Metrics[i])
			if err != nil {
				return nil, fmt.Errorf("register metrics: %w", err)
			}
			f.with(bytes.Repeat([]byte{'v', keyEnd}, len(f.labels)))
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
		for _, bucket := range g.GetMetric()[0].GetHistogram().GetBucket() {
			f.Buckets = append(f.Buckets, bucket.GetUpperBound())
		}
		families = append(families, f)
	}
	return families, nil
}

// dryAgent has its metrics, and runs nothing.
func dryAgent() *Agent {
	a := &Agent{registry: prometheus.NewRegistry(), ledger: newLedger(), started: time.Now()}
	a.families = NewCatalogue(a.registry, 1)
	a.budget = loki.NewBudget(a.registry, 1)
	a.budget.Declare("source", "label")
	a.registerOwn()
	a.registry.MustRegister(collectorSet{kinds: collectorKinds()})
	return a
}
