package parsers_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOVSVswitchd(t *testing.T) {
	read := reading(t, "ovs-vswitchd")
	rapid.Check(t, func(t *rapid.T) {
		message, want := flowMods(t)
		line, layout, head := vlog(t, "connmgr")
		maps.Copy(want, head)
		read(t, layout, line+message, want)
	})
	rapid.Check(t, func(t *rapid.T) { readVlog(t, read) })
}

// flowMods draws the summary of connmgr.
func flowMods(t *rapid.T) (message string, want map[string]string) {
	want = map[string]string{
		"bridge": draw(t, `[a-z][a-z0-9-]{0,9}`, "bridge"), "connection": draw(t, `unix#[0-9]{1,4}|tcp:192\.0\.2\.[1-9]:6653`, "connection"),
		"flow_mods": draw(t, `[1-9][0-9]{0,4}`, "flow_mods"),
	}
	var parts []string
	for _, kind := range []string{"adds", "deletes", "modifications"} {
		want[kind] = draw(t, `|[1-9][0-9]{0,4}`, kind)
		if want[kind] != "" {
			parts = append(parts, want[kind]+" "+kind)
		}
	}
	when := draw(t, `[0-9]{1,4} s ago|in the last [0-9]{1,4} s|in the [0-9]{1,3} s starting [0-9]{1,4} s ago`, "when")
	message = fmt.Sprintf("%s<->%s: %s flow_mods %s (%s)", want["bridge"], want["connection"], want["flow_mods"], when, strings.Join(parts, ", "))
	want["message"] = message
	return message, want
}

// readVlog holds the messages that all daemons have.
func readVlog(t *rapid.T, read func(*rapid.T, string, string, map[string]string)) {
	module, message := draw(t, `[a-z][a-z0-9_]{0,15}x`, "module"), draw(t, `[^ -~]{0,3}[a-z|(){}"\n ]{0,40}`, "message")
	want := map[string]string{}
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 1:
		want["suppressed"] = draw(t, `[1-9][0-9]{0,5}`, "suppressed")
		message = fmt.Sprintf("Dropped %s log messages in last 61 seconds (most recently, 3 seconds ago) due to excessive rate", want["suppressed"])
	case 2:
		module = "coverage"
		want["event"], want["rate_5s"], want["rate_1m"], want["rate_1h"] = draw(t, `[a-z_]{1,23}`, "event"), draw(t, `[0-9]{1,5}\.[0-9]`, "5s"), draw(t, `[0-9]{1,5}\.[0-9]{3}`, "1m"), draw(t, `[0-9]{1,5}\.[0-9]{4}`, "1h")
		want["total"] = draw(t, `[0-9]{1,15}`, "total")
		message = fmt.Sprintf("%-24s %9s/sec %9s/sec  %13s/sec   total: %s", want["event"], want["rate_5s"], want["rate_1m"], want["rate_1h"], want["total"])
	case 3:
		want["poll_ms"], want["user_ms"], want["system_ms"] = draw(t, `[1-9][0-9]{3,6}`, "poll"), draw(t, `[0-9]{1,6}`, "user"), draw(t, `[0-9]{1,6}`, "system")
		message = fmt.Sprintf("Unreasonably long %sms poll interval (%sms user, %sms system)", want["poll_ms"], want["user_ms"], want["system_ms"])
	}
	want["message"] = message
	line, layout, head := vlog(t, module)
	maps.Copy(want, head)
	read(t, layout, line+message, want)
}

// vlog draws what stands before the message in one of the layouts.
func vlog(t *rapid.T, module string) (line, layout string, want map[string]string) {
	want = map[string]string{
		"sequence": draw(t, `[0-9]{5,7}`, "sequence"), "module": module, "thread": draw(t, `|[a-z]+[0-9]{0,2}`, "thread"),
		"level": draw(t, `EMER|ERR|WARN|INFO|DBG`, "level"),
	}
	layout = rapid.SampledFrom([]string{"file", "console", "syslog", "syslog"}).Draw(t, "layout")
	switch layout {
	case "file":
		want["time"] = draw(t, `2024-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z`, "time")
		line = want["time"] + "|"
	case "console":
		want["time"] = draw(t, `2024-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9]Z`, "time")
		line = want["time"] + "|"
	default:
		want["time"] = draw(t, `|(Jan|Aug|Dec) ([12][0-9]| [1-9]) [01][0-9]:[0-5][0-9]:[0-5][0-9]`, "time")
		if want["time"] != "" {
			want["host"], want["program"], want["pid"] = draw(t, `[a-z][a-z0-9.-]{0,9}`, "host"), draw(t, `ovs[a-z-]{0,9}`, "program"), draw(t, `|[1-9][0-9]{0,6}`, "pid")
			line = want["time"] + " " + want["host"] + " " + want["program"]
			if want["pid"] != "" {
				line += "[" + want["pid"] + "]"
			}
			line += ": "
		}
		line += "ovs|"
	}
	line += want["sequence"] + "|" + module
	if want["thread"] != "" {
		line += "(" + want["thread"] + ")"
	}
	return line + "|" + want["level"] + "|", layout, want
}
