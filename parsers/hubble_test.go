package parsers_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

type jsonObject = map[string]any

// Lines of random values, with any of them left out, give the values back.
func TestHubble_RoundTrip(t *testing.T) {
	check := giveBack(t, "hubble")
	rapid.Check(t, func(t *rapid.T) {
		const time = "2024-06-02T10:11:12.345678901Z"
		want := map[string]string{}
		line := jsonObject{"time": time, "node_name": "node-1"}
		switch want["layout"] = rapid.SampledFrom([]string{"flow", "flow", "lost_events", "agent_event", "debug_event"}).Draw(t, "layout"); want["layout"] {
		case "lost_events":
			want["lost_events"] = strconv.FormatUint(rapid.Uint64Min(1).Draw(t, "lost"), 10)
			line["lost_events"] = jsonObject{"num_events_lost": want["lost_events"], "source": "HUBBLE_RING_BUFFER"}
		case "agent_event", "debug_event":
			want[want["layout"]] = "SOME_TYPE"
			line[want["layout"]] = jsonObject{"type": "SOME_TYPE"}
		default:
			flow := jsonObject{"time": time}
			line["flow"] = flow
			has := func(part string) bool { return rapid.Bool().Draw(t, part) }
			verdict := rapid.SampledFrom([]string{"FORWARDED", "DROPPED", "REDIRECTED", "AUDIT", "ERROR", "TRACED"}).Draw(t, "verdict")
			flow["verdict"], want["verdict"] = verdict, verdict
			want["action"] = map[string]string{"FORWARDED": "Allow", "DROPPED": "Drop", "REDIRECTED": "Redirect", "AUDIT": "Allow"}[verdict]
			if has("IP") {
				src, dst, _ := addresses(t)
				want["src_ip"], want["dst_ip"] = src, dst
				flow["IP"] = jsonObject{"source": src, "destination": dst}
			}
			if has("l4") {
				protocol := rapid.SampledFrom([]string{"TCP", "UDP", "SCTP"}).Draw(t, "protocol")
				src, dst := rapid.Uint16Min(1).Draw(t, "src_port"), rapid.Uint16Min(1).Draw(t, "dst_port")
				want["protocol"], want["src_port"], want["dst_port"] = protocol, strconv.Itoa(int(src)), strconv.Itoa(int(dst))
				flow["l4"] = jsonObject{protocol: jsonObject{"source_port": src, "destination_port": dst}}
			}
			namespace, pod := kubernetesName().Draw(t, "namespace"), kubernetesName().Draw(t, "pod")
			if has("direction") && has("destination") {
				flow["traffic_direction"], want["direction"] = "INGRESS", "Ingress"
				flow["destination"] = jsonObject{"namespace": namespace, "pod_name": pod}
				want["applied_to"], want["dst_pod"], want["src_pod"] = namespace+"/"+pod, namespace+"/"+pod, ""
			}
			if has("policy") {
				flow["ingress_allowed_by"], want["policy"], want["policy_kind"] = policies(t, namespace)
			}
		}
		// The kind of event comes first, as the exporter has it.
		kind := want["layout"]
		first, err := json.Marshal(line[kind])
		if err != nil {
			t.Fatal(err)
		}
		check(t, `{"`+kind+`":`+string(first)+`,"node_name":"node-1","time":"`+time+`"}`, want)
	})
}

// policies draws some, with a namespace or of the whole cluster, and gives their
// names and kinds as lists.
func policies(t *rapid.T, namespace string) (list []jsonObject, names, kinds string) {
	for range rapid.IntRange(1, 3).Draw(t, "policies") {
		name := rapid.StringMatching(`[a-z"\\é]{1,9}`).Draw(t, "policy")
		policy, kind := jsonObject{"name": name}, "CiliumClusterwideNetworkPolicy"
		if rapid.Bool().Draw(t, "namespaced") {
			policy["namespace"], kind, name = namespace, "CiliumNetworkPolicy", namespace+"/"+name
		}
		policy["kind"] = kind
		list, names, kinds = append(list, policy), names+","+name, kinds+","+kind
	}
	return list, names[1:], kinds[1:]
}

func BenchmarkHubble(b *testing.B) { besides(b, "hubble", "encoding/json", decodes) }
