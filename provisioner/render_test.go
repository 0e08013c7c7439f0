package provisioner

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/datasources"
	"github.com/corkline/corkline/provisioner/kubeapi"
)

var update = flag.Bool("update", false, "write the golden files")

func options() RenderOptions {
	return RenderOptions{
		Namespace: "monitoring", Instance: "corkline",
		DashboardLabel: Label{"grafana_dashboard", "1"}, DatasourceLabel: Label{"grafana_datasource", "1"},
		Folder: "Corkline", FolderAnnotation: "grafana_folder",
		Dashboards: []dashboards.Dashboard{small("corkline-a")},
	}
}

func TestRenderGolden(t *testing.T) {
	o := options()
	o.Labels, o.Annotations = map[string]string{"team": "network", managedByLabel: "not ours to give away"}, map[string]string{"note": "free text: ü"}
	o.Datasources = datasources.Stores{Prometheus: datasources.Store{URL: "http://prometheus:9090"}}
	o.Dashboards[0].JSON = []byte("{\n  \"uid\": \"corkline-a\",\n  \"title\": \"A\"\n}\n")
	var err error
	if o.Manifests, err = LoadManifests("testdata/rules.yaml"); err != nil {
		t.Fatal(err)
	}
	var texts [2]bytes.Buffer
	for i := range texts { // twice: maps must not show
		objects, err := Render(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteYAML(&texts[i], objects); err != nil {
			t.Fatal(err)
		}
	}
	if texts[0].String() != texts[1].String() {
		t.Error("the same options gave different bytes")
	}
	golden := filepath.Join("testdata", "manifests.golden")
	if *update {
		if err := os.WriteFile(golden, texts[0].Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), texts[0].String()); diff != "" {
		t.Errorf("manifests (-want +got):\n%s", diff)
	}
}

// Each fault is named with its remedy.
func TestRenderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*RenderOptions)
		text   string
	}{
		"data too large": {func(o *RenderOptions) {
			o.Dashboards[0].JSON = append(o.Dashboards[0].JSON, bytes.Repeat([]byte(" "), maxData)...)
		}, "split the dashboard"},
		"annotations too large": {func(o *RenderOptions) {
			o.Annotations = map[string]string{"note": strings.Repeat("x", maxAnnotations)}
		}, "--server-side"},
		"a label's value":      {func(o *RenderOptions) { o.Labels = map[string]string{"team": "a b"} }, "--annotation"},
		"a long label":         {func(o *RenderOptions) { o.Labels = map[string]string{"team": strings.Repeat("a", 64)} }, "63"},
		"a label's key":        {func(o *RenderOptions) { o.Labels = map[string]string{"-team": "a"} }, "--label"},
		"a label's prefix":     {func(o *RenderOptions) { o.Labels = map[string]string{"A_B/team": "a"} }, "DNS prefix"},
		"an annotation's key":  {func(o *RenderOptions) { o.FolderAnnotation = "a b" }, "--folder-annotation"},
		"a namespace":          {func(o *RenderOptions) { o.Namespace = "a.b" }, "--namespace"},
		"an instance":          {func(o *RenderOptions) { o.Instance = "a b" }, instanceLabel},
		"a stem":               {func(o *RenderOptions) { o.Dashboards[0].Stem = "My Board" }, "rename the file"},
		"one uid twice":        {func(o *RenderOptions) { o.Dashboards = append(o.Dashboards, small("corkline-a")) }, "same uid"},
		"no JSON":              {func(o *RenderOptions) { o.Dashboards[0].JSON = []byte("{]") }, "corkline-a.json"},
		"JSON of another kind": {func(o *RenderOptions) { o.Dashboards[0].JSON = []byte(`["a"]`) }, "not a JSON object"},
		"exported to share": {func(o *RenderOptions) {
			o.Dashboards[0].JSON = []byte(`{"uid": "a", "title": "a", "__inputs": []}`)
		}, "__inputs"},
		"an answer of the API": {func(o *RenderOptions) { o.Dashboards[0].JSON = []byte(`{"dashboard": {}, "meta": {}}`) }, "API"},
		"no title":             {func(o *RenderOptions) { o.Dashboards[0].JSON = []byte(`{"uid": "a"}`) }, "title"},
		"no uid":               {func(o *RenderOptions) { o.Dashboards[0].JSON = []byte(`{"title": "a"}`) }, "uid"},
		"a datasource's URL":   {func(o *RenderOptions) { o.Datasources.Loki.URL = "loki" }, "Loki"},
		"one object twice": {func(o *RenderOptions) {
			o.Manifests = []kubeapi.Object{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "corkline-dashboard-corkline-a"}}}
		}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			c.change(&o)
			if _, err := Render(o); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Render = %v, want an error with %q", err, c.text)
			}
		})
	}
}

func TestLoadManifestsRefuses(t *testing.T) {
	for name, text := range map[string]string{"no YAML": "a: [", "a list": "- a\n", "no name": "apiVersion: v1\nkind: ConfigMap\n"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "m.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := LoadManifests(file); err == nil || !strings.Contains(err.Error(), "m.yaml") {
				t.Errorf("LoadManifests = %v, want an error that names the file", err)
			}
		})
	}
}
