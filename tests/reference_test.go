package tests

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/grafana/loki-client-go/loki"
	"github.com/grafana/loki/pkg/push"
	"github.com/prometheus/common/model"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/tests/rig"
)

// TestAgent_AsReferenceClient pushes the same lines through Grafana's own
// client, which encodes with Loki's generated types, and holds that Loki then
// has the same from both.
func TestAgent_AsReferenceClient(t *testing.T) {
	n := newNode(t, "ours")
	n.append(2_000)
	n.agent.Once()

	config, err := loki.NewDefaultConfig(stack.Loki.URL + "/loki/api/v1/push")
	if err != nil {
		t.Fatal(err)
	}
	client, err := loki.New(config)
	if err != nil {
		t.Fatal(err)
	}
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	d := set["antrea-networkpolicy"]
	parser := d.NewParser()
	for _, line := range n.written {
		r := parsers.Record{Line: []byte(line)}
		if err := parser.Parse(&r); err != nil {
			t.Fatal(err)
		}
		labels := model.LabelSet{"job": "corkline", "cluster": "reference", "node": "node-1", "source": "antrea-networkpolicy"}
		for name, value := range r.Result(time.Time{}).StreamLabels {
			labels[model.LabelName(name)] = model.LabelValue(value)
		}
		var metadata push.LabelsAdapter
		for _, field := range d.Metadata {
			if value := r.Value(field); len(value) > 0 {
				metadata = append(metadata, push.LabelAdapter{Name: d.Fields[field].Name, Value: string(value)})
			}
		}
		if err := client.HandleWithMetadata(labels, time.Unix(0, r.Time), line, metadata); err != nil {
			t.Fatal(err)
		}
	}
	client.Stop() // flushes

	rig.Eventually(t, "find the same from both clients", func(ctx context.Context) error {
		ours, err := n.entries(ctx)
		if err != nil {
			return err
		}
		n.cluster = "reference"
		theirs, err := n.entries(ctx)
		n.cluster = "ours"
		if err != nil {
			return err
		}
		if len(ours) != len(n.written) || len(theirs) != len(n.written) {
			return fmt.Errorf("%d lines of %d from us, %d from the reference client", len(ours), len(n.written), len(theirs))
		}
		for _, e := range append(ours, theirs...) {
			delete(e.Stream, "cluster")
		}
		byTime := cmpopts.SortSlices(func(a, b rig.Entry) bool { return a.Time < b.Time })
		if diff := cmp.Diff(theirs, ours, byTime); diff != "" {
			return fmt.Errorf("(-reference +ours):\n%s", diff)
		}
		return nil
	})
}
