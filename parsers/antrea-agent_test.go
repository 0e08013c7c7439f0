package parsers_test

import (
	"fmt"
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestAntreaAgent(t *testing.T) {
	read := reading(t, "antrea-agent")
	rapid.Check(t, func(t *rapid.T) { readKlog(t, read) })
	rapid.Check(t, func(t *rapid.T) {
		line, want := klogHead(t)
		flow := connection(t)
		maps.Copy(want, flow)
		service := draw(t, "DestinationService|OriginalDestination", "service")
		dump := fmt.Sprintf("&{ID:1 StartTime:%s Zone:%s Labels:[] FlowKey:{SourceAddress:%s DestinationAddress:%s Protocol:%s SourcePort:%s DestinationPort:%s} %sAddress:%s %sPort:%s SourcePodName:%s DestinationPodName: IngressNetworkPolicyName:%s EgressNetworkPolicyName: TCPState:}",
			flow["start_time"], flow["zone"], flow["src_ip"], flow["dst_ip"], flow["protocol"], flow["src_port"], flow["dst_port"],
			service, flow["service_ip"], service, flow["service_port"], flow["src_pod"], flow["ingress_policy"])
		want["message"] = "New Antrea flow added"
		read(t, "structured", line+`"New Antrea flow added" connection=`+strconv.Quote(dump), want)
	})
}

func connection(t *rapid.T) map[string]string {
	const ip = `192\.0\.2\.[1-9]|2001:db8::[1-9a-f]{1,4}`
	return map[string]string{
		"src_ip": draw(t, ip, "src_ip"), "dst_ip": draw(t, ip, "dst_ip"), "service_ip": draw(t, ip, "service_ip"),
		"src_port": draw(t, `[1-5][0-9]{0,4}`, "src_port"), "dst_port": draw(t, `[1-5][0-9]{0,4}`, "dst_port"), "service_port": draw(t, `[1-9][0-9]{0,3}`, "service_port"),
		"protocol": draw(t, `6|17|132|1|58`, "protocol"), "zone": draw(t, `655[0-9]{2}`, "zone"),
		"start_time": draw(t, `2024-06-02 10:11:1[0-9](\.[0-9]{9})? \+0000 UTC( m=\+[0-9]{1,4}\.[0-9]{9})?`, "start_time"),
		"src_pod":    draw(t, `[a-z][a-z0-9-]{0,9}[a-z]`, "src_pod"), "ingress_policy": draw(t, `|[a-z][a-z0-9-]{0,9}[a-z]`, "policy"), "dst_pod": "", "egress_policy": "",
	}
}

// readKlog holds what the logs of agent and controller have in common.
func readKlog(t *rapid.T, read func(*rapid.T, string, string, map[string]string)) {
	text := rapid.StringMatching(`[a-z"\\=:. é\n\t]{1,30}`)
	switch rapid.IntRange(0, 3).Draw(t, "layout") {
	case 0:
		line, want := klogHead(t)
		want["message"] = text.Draw(t, "message")
		line += strconv.Quote(want["message"])
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"pod", "items", "podName", "a.b/c"}), 0, 4, rapid.ID).Draw(t, "keys") {
			want[key] = draw(t, `[1-9][0-9]{0,3}`, "number")
			shown := want[key]
			if rapid.Bool().Draw(t, "quoted") {
				want[key] = text.Draw(t, "value")
				shown = strconv.Quote(want[key])
			}
			line += " " + key + "=" + shown
		}
		want["error"] = text.Draw(t, "error")
		read(t, "structured", line+" err="+strconv.Quote(want["error"]), want)
	case 1:
		line, want := klogHead(t)
		want["message"] = draw(t, `[a-z=:.][a-z"\\=:. é]{0,30}`, "message")
		line += want["message"]
		if want["level"] == "FATAL" || want["level"] == "ERROR" {
			want["stack"] = draw(t, `|goroutine [1-9][0-9]* \[running\]:\nmain\.main\(\)\n\t/src/main\.go:[1-9]`, "stack")
		}
		if want["stack"] != "" {
			line += "\n" + want["stack"]
		}
		read(t, "plain", line, want)
	case 2:
		kind := draw(t, `panic|fatal error`, "kind")
		want := map[string]string{"level": "FATAL", "message": draw(t, `[a-z][a-z: ]{0,20}`, "message"), "stack": draw(t, `|goroutine [1-9] \[running\]:\nmain\.main\(\)`, "stack")}
		line := kind + ": " + want["message"]
		if want["stack"] != "" {
			line += "\n\n" + want["stack"]
		}
		read(t, "panic", line, want)
	default:
		want := map[string]string{"time": draw(t, `2024/0[1-9]/[12][0-9] [01][0-9]:[0-5][0-9]:[0-5][0-9]`, "time"), "host": draw(t, `[a-z][a-z0-9.-]{0,9}`, "host"), "level": ""}
		read(t, "header", "Log file created at: "+want["time"]+"\nRunning on machine: "+want["host"]+"\nBinary: Built with gc\nLog line format: x", want)
	}
}

// klogHead draws what stands before the message.
func klogHead(t *rapid.T) (line string, want map[string]string) {
	severity := draw(t, "[IWEF]", "severity")
	want = map[string]string{
		"level":  map[string]string{"I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL"}[severity],
		"time":   draw(t, `0[1-9][12][0-9] [01][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}`, "time"),
		"thread": draw(t, `[1-9][0-9]{0,6}`, "thread"), "category": draw(t, `[a-z][a-z0-9_.]{0,14}`, "category"), "line": draw(t, `[1-9][0-9]{0,3}`, "line"),
	}
	want["file"] = want["category"] + ".go"
	return fmt.Sprintf("%s%s %7s %s:%s] ", severity, want["time"], want["thread"], want["file"], want["line"]), want
}
