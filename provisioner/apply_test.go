package provisioner

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/provisioner/kubeapi"
)

// fakeCluster is for what the real one cannot be made to do: fail in the
// middle, after the dry run went well.
type fakeCluster struct {
	objects map[string]kubeapi.Object
	fail    string // name whose change fails
}

var errFake = errors.New("the API server is gone")

func (f *fakeCluster) Get(_ context.Context, o kubeapi.Object) (kubeapi.Object, error) {
	if live, ok := f.objects[o.Name()]; ok {
		return live, nil
	}
	return nil, &kubeapi.StatusError{Code: 404}
}

func (f *fakeCluster) Apply(_ context.Context, o kubeapi.Object, options kubeapi.ApplyOptions) (kubeapi.Object, error) {
	if options.DryRun {
		return o, nil
	}
	if o.Name() == f.fail {
		return nil, errFake
	}
	f.objects[o.Name()] = o
	return o, nil
}

func (f *fakeCluster) List(_ context.Context, _, kind, _ string, _ map[string]string) ([]kubeapi.Object, error) {
	var all []kubeapi.Object
	for _, o := range f.objects {
		if o.Kind() == kind {
			all = append(all, o)
		}
	}
	return all, nil
}

func (f *fakeCluster) Delete(_ context.Context, o kubeapi.Object, dryRun bool) error {
	if !dryRun {
		delete(f.objects, o.Name())
	}
	return nil
}

func TestApplyFailsInTheMiddle(t *testing.T) {
	o := options()
	o.Dashboards = []dashboards.Dashboard{small("a"), small("b"), small("c")}
	objects, err := Render(o)
	if err != nil {
		t.Fatal(err)
	}
	gone := maps.Clone(objects[0])
	gone["metadata"] = map[string]any{"name": "gone"}
	f := &fakeCluster{objects: map[string]kubeapi.Object{"gone": gone}, fail: "corkline-dashboard-b"}
	plan, err := NewPlan(t.Context(), f, objects, PlanOptions{Namespace: "monitoring", Instance: "corkline", Prune: true})
	if err != nil {
		t.Fatal(err)
	}
	changes, err := plan.Apply(t.Context())
	if !errors.Is(err, errFake) || !strings.Contains(err.Error(), "2 of 4") {
		t.Errorf("Apply = %v, want the second's error", err)
	}
	want := map[string]Action{
		"corkline-dashboard-a": Created, "corkline-dashboard-b": Failed, "corkline-dashboard-c": NotApplied, "gone": NotApplied,
	}
	if diff := cmp.Diff(want, byName(changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if len(f.objects) != 2 { // a, and what was not pruned
		t.Errorf("the cluster has %v", f.objects)
	}

	f.fail = ""
	if plan, err = NewPlan(t.Context(), f, objects, PlanOptions{Namespace: "monitoring", Instance: "corkline", Prune: true}); err != nil {
		t.Fatal(err)
	}
	if changes, err = plan.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	want = map[string]Action{
		"corkline-dashboard-a": Unchanged, "corkline-dashboard-b": Created, "corkline-dashboard-c": Created, "gone": Pruned,
	}
	if diff := cmp.Diff(want, byName(changes)); diff != "" {
		t.Errorf("second try (-want +got):\n%s", diff)
	}
}
