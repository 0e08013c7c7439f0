package deploy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/parts"
	"github.com/corkline/corkline/tests/rig"
)

// everything that values can switch on.
const everything = `
cluster: test
config:
  loki: {url: "https://loki.example", tenant: network}
  sources:
    - {definition: antrea-networkpolicy, files: [/var/log/antrea/networkpolicy/np.log]}
    - name: lb
      syslog:
        udp: ":5514"
        tcp: ":5515"
        tls: {listen: ":6514", cert_file: /etc/corkline-syslog/tls.crt, key_file: /etc/corkline-syslog/tls.key, client_ca_file: /etc/corkline-syslog/ca.crt}
        allow: [192.0.2.0/24]
        spool_bytes: 268435456
        max_connections: 256
        idle_timeout: 15m
    - {name: avi, definitions: [avi-application, avi-event], files: [/var/log/avi.log], zone: Europe/Berlin}
    - {definition: more}
definitions:
  more: |
    name: more
    extends: antrea-networkpolicy
    files: [/var/log/antrea/networkpolicy/more.log]
ca: {configMap: loki-ca}
imagePullSecrets: [{name: pull}]
commonLabels: {team: network}
agent:
  logFolders: [/var/log/antrea, /var/log/openvswitch]
  capabilities: [DAC_READ_SEARCH]
  seLinuxOptions: {type: spc_t}
  podLabels: {a: b}
  podAnnotations: {c: d}
syslog: {tlsSecret: syslog-tls, hostPort: true, service: {enabled: true, loadBalancerClass: example.com/lb, annotations: {g: h}}}
serviceAccount: {annotations: {e: f}}
provision:
  namespace: monitoring
  datasources:
    prometheus: {url: "http://prometheus:9090"}
    loki: {url: "http://loki:3100", tenant: network, user: me}
    existingSecret: passwords
  tolerations: [{operator: Exists}]
  buckets: {enabled: true, endpoint: "https://minio:9000", existingSecret: minio, ca: {secret: minio-ca}}
podMonitor: {labels: {release: kps}, metricRelabelings: [{action: labeldrop, regex: pod}], antrea: {enabled: true}}
prometheusRule: {labels: {release: kps}, gslbWeights: {shop-gs: {frankfurt: 6, 198.51.100.62: 3}}}
networkPolicy: {enabled: true, from: [{namespaceSelector: {}}], syslogFrom: [{ipBlock: {cidr: 192.0.2.0/24}}]}
`

var crds = []string{"monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule"}

func render(t *testing.T, kubernetes, values string) string {
	t.Helper()
	args := []string{"template", "corkline", ".", "--namespace=net", "--kube-version=" + kubernetes, "--values=" + write(t, "values.yaml", []byte(values))}
	for _, crd := range crds {
		args = append(args, "--api-versions="+crd)
	}
	return run(t, parts.Helm, chart, args...)
}

func TestChartIsLinted(t *testing.T) {
	run(t, parts.Helm, chart, "lint", "--strict", ".")
	run(t, parts.Helm, chart, "lint", "--strict", ".", "--values="+write(t, "values.yaml", []byte(everything)))
}

func TestChartsOwnTests(t *testing.T) {
	run(t, parts.HelmUnittest, chart, "--strict", ".")
}

// A chart cannot read files outside of its folder, so the rules are copied.
func TestChartHasTheRules(t *testing.T) {
	written, copied := glob(t, alerts+"/*.yaml"), glob(t, chart+"/rules/*.yaml")
	if !slices.Equal(base(written), base(copied)) {
		t.Fatalf("the chart has %v, want %v: run make generate", base(copied), base(written))
	}
	for i := range written {
		if !bytes.Equal(read(t, written[i]), read(t, copied[i])) {
			t.Errorf("%s differs from %s: run make generate", copied[i], written[i])
		}
	}
}

func TestManifestsFitEveryKubernetes(t *testing.T) {
	location := "-schema-location=" + schemas(t) + "/{{.ResourceKind}}{{.KindSuffix}}.json"
	for minor := 28; minor <= 36; minor++ {
		version := fmt.Sprintf("1.%d.0", minor)
		for name, values := range map[string]string{"defaults": "", "everything": everything} {
			manifests := write(t, name+".yaml", []byte(render(t, version, values)))
			run(t, parts.Kubeconform, ".", "-strict", "-kubernetes-version="+version, location, manifests)
		}
	}

	// The schemas are ours: that they refuse has to be seen, too.
	path, err := parts.Binary(t.Context(), parts.Kubeconform, local.NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	good := render(t, "1.36.0", everything)
	for _, key := range []string{"readOnlyRootFilesystem:", "backoffLimit:", "podMetricsEndpoints:", "expr:", "policyTypes:", "externalTrafficPolicy:", "roleRef:"} {
		bad := strings.ReplaceAll(good, key, "x"+key)
		out, _, code := rig.Run(t, exec.CommandContext(t.Context(), path, "-strict", location, write(t, "bad.yaml", []byte(bad))))
		if code == 0 || !strings.Contains(out, "x"+strings.TrimSuffix(key, ":")) {
			t.Errorf("x%s passes: exit code %d, %s", key, code, out)
		}
	}
}

// The agent reads what the chart writes, and the chart knows the agent's keys.
func TestChartAndAgentAgreeOnTheConfiguration(t *testing.T) {
	for name, values := range map[string]string{"defaults": "", "everything": everything} {
		all := objects(t, render(t, "1.36.0", values))
		text := find(t, all, "ConfigMap/corkline").text("data", "corkline.yaml")
		want := "antrea-networkpolicy: good"
		if name == "everything" {
			more := find(t, all, "ConfigMap/corkline-definitions").text("data", "more.yaml")
			text += "definitions_dir: " + filepath.Dir(write(t, "more.yaml", []byte(more))) + "\n"
			want = "\nmore of /"
		}
		stdout, stderr, code := corkline(t, "check", "-v", "--config", write(t, name+".yaml", []byte(text)))
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit code %d, no %q in:\n%s%s", name, code, want, stdout, stderr)
		}
	}

	documented, schema := parseObject(t, read(t, root+"/deploy/corkline.yaml")), parseObject(t, read(t, chart+"/values.schema.json"))
	known := keys(schema.at("properties", "config", "properties").(map[string]any))
	known = append(known, "cluster", "node", "listen", "state_dir", "definitions_dir") // the chart's
	slices.Sort(known)
	if want := keys(documented); !slices.Equal(known, want) {
		t.Errorf("the chart knows the keys %v, the agent %v", known, want)
	}
	known = keys(schema.at("properties", "config", "properties", "loki", "properties").(map[string]any))
	if want := keys(documented["loki"].(map[string]any)); !slices.Equal(known, want) {
		t.Errorf("the chart knows the keys %v of loki, the agent %v", known, want)
	}
}
