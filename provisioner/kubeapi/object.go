package kubeapi

import (
	"maps"
	"strings"
)

// Object is a Kubernetes object in the form that its JSON has.
type Object map[string]any

// APIVersion is the group and version, such as v1 or monitoring.coreos.com/v1.
func (o Object) APIVersion() string { return text(o, "apiVersion") }

// Kind is the kind, such as ConfigMap.
func (o Object) Kind() string { return text(o, "kind") }

// Name is metadata.name.
func (o Object) Name() string { return text(o.metadata(), "name") }

// Namespace is metadata.namespace; objects of the cluster have none.
func (o Object) Namespace() string { return text(o.metadata(), "namespace") }

// String names the object as kubectl does: configmap/name.
func (o Object) String() string { return strings.ToLower(o.Kind()) + "/" + o.Name() }

// Bare is the object without what the API server writes by itself, so that two
// are equal when they say the same. It shares its values with o.
func (o Object) Bare() Object {
	if o == nil {
		return nil
	}
	bare := maps.Clone(o)
	delete(bare, "status")
	metadata := maps.Clone(o.metadata())
	for _, key := range []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
		delete(metadata, key)
	}
	bare["metadata"] = metadata
	return bare
}

func (o Object) metadata() map[string]any {
	m, _ := o["metadata"].(map[string]any) // another type is as good as absent
	return m
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string) // likewise
	return s
}
