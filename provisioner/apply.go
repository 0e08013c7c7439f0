package provisioner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/corkline/corkline/provisioner/kubeapi"
)

// FieldManager is the name under which the API server keeps what we apply.
const FieldManager = "corkline"

// Cluster is what applying needs of a Kubernetes API; *kubeapi.Client is one.
type Cluster interface {
	Get(ctx context.Context, o kubeapi.Object) (kubeapi.Object, error)
	Apply(ctx context.Context, o kubeapi.Object, options kubeapi.ApplyOptions) (kubeapi.Object, error)
	List(ctx context.Context, apiVersion, kind, namespace string, labels map[string]string) ([]kubeapi.Object, error)
	Delete(ctx context.Context, o kubeapi.Object, dryRun bool) error
}

// Action is what applying does, or did, to an object.
type Action string

// The actions.
const (
	Created    Action = "created"
	Configured Action = "configured"
	Unchanged  Action = "unchanged"
	Pruned     Action = "pruned"
	Failed     Action = "failed"
	NotApplied Action = "not applied" // since another failed before it
)

// Change is one object of a plan.
type Change struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Action    Action `json:"action"`

	desired kubeapi.Object // nil when it is pruned
	before  kubeapi.Object // nil when it is created
	after   kubeapi.Object // as the API server would keep it; nil when it is pruned
}

// PlanOptions of a plan.
type PlanOptions struct {
	// Namespace and Instance as rendered; what bears their labels and is no
	// longer rendered is pruned.
	Namespace string
	Instance  string
	// Prune deletes what is ours and gone: ConfigMaps, Secrets, and the kinds
	// among the objects.
	Prune bool
	// Force takes fields over from other managers.
	Force bool
}

// Plan is what has to change, tried in a dry run of the API server.
type Plan struct {
	Changes []Change

	cluster Cluster
	force   bool
}

// NewPlan compares the objects with what the cluster has. Every change goes
// through the API server's dry run, so that what it refuses (rights,
// conflicts, an unknown kind) is found, all of it, before anything is changed.
func NewPlan(ctx context.Context, cluster Cluster, objects []kubeapi.Object, o PlanOptions) (*Plan, error) {
	p := &Plan{cluster: cluster, force: o.Force}
	var refused []error
	for _, desired := range objects {
		change, err := p.compare(ctx, desired)
		if err != nil {
			refused = append(refused, err)
			if !answered(err) { // the next one would not be answered either
				break
			}
			continue
		}
		p.Changes = append(p.Changes, change)
	}
	if o.Prune && len(refused) == 0 {
		gone, err := p.gone(ctx, objects, o)
		if err != nil {
			refused = append(refused, err)
		}
		p.Changes = append(p.Changes, gone...)
	}
	if len(refused) > 0 {
		return nil, errors.Join(refused...)
	}
	return p, nil
}

// answered tells whether the API server itself said no.
func answered(err error) bool {
	var status *kubeapi.StatusError
	return errors.As(err, &status)
}

func (p *Plan) compare(ctx context.Context, desired kubeapi.Object) (Change, error) {
	c := change(desired, Unchanged)
	c.desired = desired
	before, err := p.cluster.Get(ctx, desired)
	if err != nil && !kubeapi.IsNotFound(err) {
		return Change{}, err
	}
	after, err := p.cluster.Apply(ctx, desired, kubeapi.ApplyOptions{Manager: FieldManager, Force: p.force, DryRun: true})
	if err != nil {
		return Change{}, err
	}
	c.before, c.after = before.Bare(), after.Bare()
	switch {
	case c.before == nil:
		c.Action = Created
	case !reflect.DeepEqual(c.before, c.after):
		c.Action = Configured
	}
	return c, nil
}

// gone finds what bears our labels and is not among the objects.
func (p *Plan) gone(ctx context.Context, objects []kubeapi.Object, o PlanOptions) ([]Change, error) {
	kinds := map[[2]string]bool{{"v1", "ConfigMap"}: true, {"v1", "Secret"}: true}
	kept := map[string]bool{}
	for _, object := range objects {
		kinds[[2]string{object.APIVersion(), object.Kind()}] = true
		kept[object.Namespace()+" "+object.String()] = true
	}
	var changes []Change
	for _, kind := range slices.SortedFunc(maps.Keys(kinds), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		live, err := p.cluster.List(ctx, kind[0], kind[1], o.Namespace, owner(o.Instance))
		if err != nil {
			return nil, err
		}
		for _, object := range live {
			if kept[object.Namespace()+" "+object.String()] {
				continue
			}
			if err := p.cluster.Delete(ctx, object, true); err != nil {
				return nil, err
			}
			c := change(object, Pruned)
			c.before = object
			changes = append(changes, c)
		}
	}
	return changes, nil
}

func change(o kubeapi.Object, a Action) Change {
	return Change{Namespace: o.Namespace(), Kind: o.Kind(), Name: o.Name(), Action: a}
}

// Apply makes the changes, in order. It always returns all of them with what
// became of each; with an error, the one that failed and those after it, which
// were not tried, are marked. Whatever was done stays.
func (p *Plan) Apply(ctx context.Context) ([]Change, error) {
	changes := slices.Clone(p.Changes)
	for i := range changes {
		if err := p.apply(ctx, changes[i]); err != nil {
			changes[i].Action = Failed
			for j := range changes[i+1:] {
				changes[i+1+j].Action = NotApplied
			}
			return changes, fmt.Errorf("apply %d of %d: %w", i+1, len(changes), err)
		}
	}
	return changes, nil
}

func (p *Plan) apply(ctx context.Context, c Change) error {
	if c.Action == Pruned {
		err := p.cluster.Delete(ctx, c.before, false)
		if kubeapi.IsNotFound(err) {
			return nil // somebody else was faster
		}
		return err
	}
	// Also what is unchanged: the server may not yet know the fields as ours.
	_, err := p.cluster.Apply(ctx, c.desired, kubeapi.ApplyOptions{Manager: FieldManager, Force: p.force})
	return err
}

// Differs tells whether applying would change anything.
func (p *Plan) Differs() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action != Unchanged })
}

// Diff is what applying would change, in the unified format. Of Secrets it
// shows which keys differ, and no values.
func (p *Plan) Diff() (string, error) {
	var text strings.Builder
	for _, c := range p.Changes {
		before, after := c.before, c.after
		if c.Kind == "Secret" {
			before, after = masked(c.before, c.after)
		}
		old, err := encode(before.Bare())
		if err != nil {
			return "", err
		}
		now, err := encode(after.Bare())
		if err != nil {
			return "", err
		}
		name := fmt.Sprintf("%s/%s/%s", c.Namespace, strings.ToLower(c.Kind), c.Name)
		text.WriteString(unified("live/"+name, string(old), "corkline/"+name, string(now)))
	}
	return text.String(), nil
}

// masked replaces the values of a Secret by what tells only whether they
// differ, as kubectl diff does.
func masked(before, after kubeapi.Object) (maskedBefore, maskedAfter kubeapi.Object) {
	old, now := stringMap(before["data"]), stringMap(after["data"])
	mask := func(o kubeapi.Object, values, others map[string]any, differs string) kubeapi.Object {
		if o == nil {
			return nil
		}
		hidden := map[string]any{}
		for key, value := range values {
			hidden[key] = "***"
			if other, both := others[key]; both && other != value {
				hidden[key] = differs
			}
		}
		o = maps.Clone(o)
		o["data"] = hidden
		return o
	}
	return mask(before, old, now, "*** (before)"), mask(after, now, old, "*** (after)")
}
