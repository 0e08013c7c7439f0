package datasources

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestProvisioning(t *testing.T) {
	const want = `apiVersion: 1
datasources:
  - name: Corkline Prometheus
    uid: "corkline-prometheus"
    type: prometheus
    access: proxy
    url: "http://127.0.0.1:9090"
    isDefault: true
    jsonData: {httpMethod: POST}
  - name: Corkline Loki
    uid: "corkline-loki"
    type: loki
    access: proxy
    url: "http://127.0.0.1:3100"
`
	got, err := Provisioning(URLs{Prometheus: "http://127.0.0.1:9090", Loki: "http://127.0.0.1:3100"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("rendered (-want +got):\n%s", diff)
	}
}

func TestProvisioningEscapes(t *testing.T) {
	const hard = "https://loki.example/a'b&c<d>: #$x"
	text, err := Provisioning(URLs{Loki: hard})
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Datasources []struct{ UID, URL string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("the file is not YAML: %v\n%s", err, text)
	}
	if len(file.Datasources) != 1 || file.Datasources[0].UID != LokiUID {
		t.Fatalf("datasources = %+v, want Loki's alone", file.Datasources)
	}
	if got := strings.ReplaceAll(file.Datasources[0].URL, "$$", "$"); got != hard {
		t.Errorf("URL = %q, want %q", got, hard)
	}
}

func TestProvisioningRefuses(t *testing.T) {
	for name, urls := range map[string]URLs{
		"no URL":     {},
		"no scheme":  {Loki: "127.0.0.1:3100"},
		"no host":    {Loki: "http://"},
		"file":       {Prometheus: "file:///etc/passwd"},
		"a password": {Prometheus: "http://u:hunter2@prometheus:9090"},
		"unparsable": {Prometheus: "http://u:hunter2@%zz"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Provisioning(urls)
			if err == nil {
				t.Fatalf("rendered %s", text)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}
