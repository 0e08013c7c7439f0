package deploy

import (
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/tests/parts"
)

func values(t *testing.T, name string) object {
	t.Helper()
	return parseObject(t, read(t, filepath.Join(upstream, name)))
}

// The upstream charts cannot be had here; what their values say to each other
// can be held all the same.
func TestUpstreamValuesFitTogether(t *testing.T) {
	loki, corkline, grafana, minio := values(t, "loki.yaml"), values(t, "corkline.yaml"), values(t, "grafana.yaml"), values(t, "minio.yaml")
	ours := parseObject(t, read(t, chart+"/values.yaml"))

	buckets := keys(loki.at("loki", "storage", "bucketNames").(map[string]any))
	var made []string
	for _, name := range ours.at("provision", "buckets", "names").([]any) {
		made = append(made, name.(string))
	}
	slices.Sort(made)
	if !slices.Equal(buckets, made) {
		t.Errorf("Loki uses the buckets %v, the provisioner makes %v", buckets, made)
	}
	if a, b := loki.text("loki", "storage", "s3", "endpoint"), corkline.text("provision", "buckets", "endpoint"); a != b {
		t.Errorf("Loki's S3 is %s, the provisioner's %s", a, b)
	}
	user := object(minio["users"].([]any)[0].(map[string]any))
	if a, b := user.text("existingSecret"), corkline.text("provision", "buckets", "existingSecret"); a != b {
		t.Errorf("MinIO's user is in the Secret %s, the provisioner reads %s", a, b)
	}
	for _, kind := range []string{"dashboard", "datasource"} {
		label := grafana.text("sidecar", kind+"s", "label") + "=" + grafana.text("sidecar", kind+"s", "labelValue")
		if got := ours.text("provision", kind+"Label"); got != label {
			t.Errorf("the sidecar looks for %s, the provisioner sets %s", label, got)
		}
	}
	if a, b := grafana.text("sidecar", "dashboards", "folderAnnotation"), ours.text("provision", "folderAnnotation"); a != b {
		t.Errorf("the sidecar takes the folder from %s, the provisioner sets %s", a, b)
	}
	if a, b := corkline.text("config", "loki", "tenant"), corkline.text("provision", "datasources", "loki", "tenant"); a != b {
		t.Errorf("the agent writes tenant %s, Grafana reads %s", a, b)
	}
}

// Debian's Prometheus is built without the discovery in Kubernetes, so that part
// is held to be there, and the rest checked.
func TestPrometheusTakesTheScrape(t *testing.T) {
	var jobs []map[string]any
	parse(t, []byte(values(t, "prometheus.yaml").text("extraScrapeConfigs")), &jobs)
	for _, job := range jobs {
		if job["kubernetes_sd_configs"] == nil {
			t.Errorf("job %v finds no pods", job["job_name"])
		}
		delete(job, "kubernetes_sd_configs")
	}
	config, err := yaml.Marshal(map[string]any{"scrape_configs": jobs})
	if err != nil {
		t.Fatal(err)
	}
	run(t, parts.Promtool, ".", "check", "config", "--syntax-only", write(t, "prometheus.yml", config))
}

func TestChartTakesOurUpstreamValues(t *testing.T) {
	path, err := filepath.Abs(upstream + "/corkline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	run(t, parts.Helm, chart, "lint", "--strict", ".", "--values", path)
}
