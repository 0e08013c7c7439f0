package parsers_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// Lines of random values give the values back.
func TestGKEPolicy_RoundTrip(t *testing.T) {
	check := giveBack(t, "gke-policy")
	rapid.Check(t, func(t *rapid.T) {
		src, dst, _ := addresses(t)
		from, to := rapid.Uint16().Draw(t, "src_port"), rapid.Uint16().Draw(t, "dst_port")
		namespace, pod := kubernetesName().Draw(t, "namespace"), kubernetesName().Draw(t, "pod")
		count := rapid.IntRange(1, 1e6).Draw(t, "count")
		want := map[string]string{
			"layout": "json", "src_ip": src, "dst_ip": dst, "src_port": strconv.Itoa(int(from)), "dst_port": strconv.Itoa(int(to)),
			"protocol": "TCP", "action": "Drop", "direction": "Egress", "policy": "", "rule": "", "packets": strconv.Itoa(count),
			"src_pod": namespace + "/" + pod, "applied_to": namespace + "/" + pod, "dst_instance": "node-2",
		}
		line := jsonObject{
			"connection":  jsonObject{"src_ip": src, "dest_ip": dst, "src_port": from, "dest_port": to, "protocol": "tcp", "direction": "egress"},
			"disposition": "deny", "count": count, "timestamp": "2024-06-02T10:11:12.345Z",
			"src": jsonObject{"pod_name": pod, "pod_namespace": namespace}, "dest": jsonObject{"instance": "node-2"},
		}
		if rapid.Bool().Draw(t, "allow") {
			line["disposition"], want["action"] = "allow", "Allow"
			line["policies"], want["policy"], want["policy_kind"] = policies(t, namespace)
		}
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		check(t, string(text), want)
	})
}

func BenchmarkGKEPolicy(b *testing.B) { besides(b, "gke-policy", "encoding/json", decodes) }
