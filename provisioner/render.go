package provisioner

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/datasources"
	"github.com/corkline/corkline/provisioner/kubeapi"
)

// Labels that mark an object as ours, and as of which installation.
const (
	managedByLabel = "app.kubernetes.io/managed-by"
	instanceLabel  = "app.kubernetes.io/instance"
	partOfLabel    = "app.kubernetes.io/part-of"

	managedBy = "corkline-provision"
)

// Label is a key with its value.
type Label struct{ Key, Value string }

// RenderOptions say what becomes of dashboards and datasources.
type RenderOptions struct {
	// Namespace in which Grafana's sidecars look. Required.
	Namespace string
	// Instance tells the objects of one installation from those of another in
	// the same namespace. Required.
	Instance string
	// DashboardLabel and DatasourceLabel are what the sidecars look for.
	DashboardLabel  Label
	DatasourceLabel Label
	// FolderAnnotation holds the Folder of the dashboards; without a folder it
	// is left out.
	FolderAnnotation string
	Folder           string
	// Labels and Annotations are set on all objects beside our own.
	Labels      map[string]string
	Annotations map[string]string

	Dashboards []dashboards.Dashboard
	// Datasources; none when they are empty.
	Datasources datasources.Stores
	// Manifests are further objects, which get the labels too, and the
	// namespace when they name none.
	Manifests []kubeapi.Object
}

// Render gives the objects in a fixed order: a ConfigMap for each dashboard, a
// Secret for the datasources, the further manifests. It fails, with all faults
// and what to do, when Kubernetes would refuse one.
func Render(o RenderOptions) ([]kubeapi.Object, error) {
	if err := check(o.Dashboards); err != nil {
		return nil, err
	}
	var objects []kubeapi.Object
	for _, d := range o.Dashboards {
		object := o.object("ConfigMap", "corkline-dashboard-"+d.Stem, o.DashboardLabel, o.folder())
		// The sidecar writes the files of all ConfigMaps into one folder.
		object["data"] = map[string]any{d.UID + ".json": string(d.JSON)}
		objects = append(objects, object)
	}
	if o.Datasources != (datasources.Stores{}) {
		text, err := datasources.Provisioning(o.Datasources)
		if err != nil {
			return nil, err
		}
		object := o.object("Secret", "corkline-datasources", o.DatasourceLabel, nil)
		object["type"] = "Opaque"
		object["data"] = map[string]any{"corkline.yaml": base64.StdEncoding.EncodeToString(text)}
		objects = append(objects, object)
	}
	for _, m := range o.Manifests {
		objects = append(objects, o.adopt(m))
	}
	var faults []error
	seen := map[string]bool{}
	for _, object := range objects {
		for _, fault := range faultsOf(object) {
			faults = append(faults, fmt.Errorf("render %s: %w", object, fault))
		}
		key := object.APIVersion() + " " + object.Namespace() + " " + object.String()
		if seen[key] {
			faults = append(faults, fmt.Errorf("render %s: it is there twice", object))
		}
		seen[key] = true
	}
	return objects, errors.Join(faults...)
}

// folder is the annotation of a dashboard.
func (o RenderOptions) folder() map[string]any {
	if o.Folder == "" {
		return nil
	}
	return map[string]any{o.FolderAnnotation: o.Folder}
}

func (o RenderOptions) object(kind, name string, label Label, annotations map[string]any) kubeapi.Object {
	return o.adopt(kubeapi.Object{
		"apiVersion": "v1", "kind": kind,
		"metadata": map[string]any{"name": name, "labels": map[string]any{label.Key: label.Value}, "annotations": annotations},
	})
}

// adopt sets the labels, annotations and namespace on a copy.
func (o RenderOptions) adopt(object kubeapi.Object) kubeapi.Object {
	object = maps.Clone(object)
	metadata := maps.Clone(stringMap(object["metadata"]))
	labels, annotations := maps.Clone(stringMap(metadata["labels"])), maps.Clone(stringMap(metadata["annotations"]))
	for key, value := range o.Labels {
		labels[key] = value
	}
	for key, value := range o.Annotations {
		annotations[key] = value
	}
	labels[partOfLabel] = "corkline"
	for key, value := range owner(o.Instance) { // last: prune goes by them
		labels[key] = value
	}
	metadata["labels"] = labels
	if delete(metadata, "annotations"); len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	if namespace, _ := metadata["namespace"].(string); namespace == "" {
		metadata["namespace"] = o.Namespace
	}
	object["metadata"] = metadata
	return object
}

// owner is the labels by which we know what is ours.
func owner(instance string) map[string]string {
	return map[string]string{managedByLabel: managedBy, instanceLabel: instance}
}

// stringMap is never nil.
func stringMap(value any) map[string]any {
	if m, ok := value.(map[string]any); ok && m != nil {
		return m
	}
	return map[string]any{}
}

// LoadManifests reads objects from a YAML file of one or more documents. It
// fails, naming the file, when a document is no object with kind and name.
func LoadManifests(file string) ([]kubeapi.Object, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	defer f.Close()
	var objects []kubeapi.Object
	for d := yaml.NewDecoder(f); ; {
		var fields map[string]any
		err := d.Decode(&fields)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the manifests of %s: %w", file, err)
		}
		if len(fields) == 0 {
			continue
		}
		object := kubeapi.Object(fields)
		if object.APIVersion() == "" || object.Kind() == "" || object.Name() == "" {
			return nil, fmt.Errorf("read the manifests of %s: document %d lacks apiVersion, kind or metadata.name", file, len(objects)+1)
		}
		objects = append(objects, object)
	}
}

// WriteYAML writes the objects as a stream of YAML documents, for kubectl
// apply --server-side or a GitOps repository. It has what is in Secrets.
func WriteYAML(w io.Writer, objects []kubeapi.Object) error {
	for _, o := range objects {
		text, err := encode(o)
		if err != nil {
			return err
		}
		if _, err := w.Write(append([]byte("---\n"), text...)); err != nil {
			return fmt.Errorf("write %s: %w", o, err)
		}
	}
	return nil
}

func encode(o kubeapi.Object) ([]byte, error) {
	if o == nil {
		return nil, nil
	}
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := e.Encode(map[string]any(o)); err != nil {
		return nil, fmt.Errorf("encode %s: %w", o, err)
	}
	return text.Bytes(), nil
}

// ParseLabel reads key=value.
func ParseLabel(text string) (Label, error) {
	key, value, found := strings.Cut(text, "=")
	if !found || key == "" {
		return Label{}, fmt.Errorf("parse the label %q: want KEY=VALUE", text)
	}
	return Label{key, value}, nil
}

// sortedKeys so that faults come in the same order each time.
func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
