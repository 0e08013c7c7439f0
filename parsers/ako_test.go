package parsers_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestAKO(t *testing.T) {
	read := reading(t, "ako")
	rapid.Check(t, func(t *rapid.T) { readZap(t, "ako", read) })
}

// readZap holds what the logs of AKO and AMKO have in common.
func readZap(t *rapid.T, operator string, read func(*rapid.T, string, string, map[string]string)) {
	line, want := zapHead(t, operator)
	switch rapid.IntRange(0, 2).Draw(t, "layout") {
	case 0:
		want["object_kind"], want["namespace"], want["name"] = draw(t, `[A-Z][A-Za-z0-9]{0,9}`, "kind"), draw(t, `|[a-z][a-z-]{0,9}`, "namespace"), draw(t, `[a-z][a-z0-9.-]{0,14}`, "name")
		want["key"] = want["object_kind"] + "/" + want["name"]
		if want["namespace"] != "" {
			want["key"] = want["object_kind"] + "/" + want["namespace"] + "/" + want["name"]
		}
		want["message"] = draw(t, `|[a-z][a-z:, {}"\[\]\n]{0,30}`, "message")
		separator := draw(t, `, msg: `, "separator")
		read(t, "zap", line+"key: "+want["key"]+separator+want["message"], want)
	case 1:
		want["message"], want["extra"] = draw(t, `[A-Z][a-z,. ]{0,20}`, "message"), draw(t, `|\{"tenant": "[a-z]{1,5}"\}`, "extra")
		line += want["message"]
		if want["extra"] != "" {
			line += "\t" + want["extra"]
		}
		read(t, "zap", line, want)
	default:
		line, want := klogHead(t)
		delete(want, "category")
		want["message"] = draw(t, `[A-Z][a-z,. ]{0,20}`, "message")
		read(t, "klog", line+want["message"], want)
	}
}

// zapHead draws what stands before the message.
func zapHead(t *rapid.T, operator string) (line string, want map[string]string) {
	want = map[string]string{
		"time":  draw(t, `2024-0[1-9]-[12][0-9]T[01][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}(Z|[+-]0[0-9][03]0)`, "time"),
		"level": draw(t, `DEBUG|INFO|WARN|ERROR|FATAL`, "level"), "operator": operator,
		"file": draw(t, `[a-z]{1,5}/[a-z_0-9]{1,9}\.go`, "file"), "line": draw(t, `[1-9][0-9]{0,3}`, "line"),
	}
	gap := draw(t, `\t| {1,8}`, "gap")
	return fmt.Sprintf("%s%s%s%s%s:%s%s", want["time"], gap, want["level"], gap, want["file"], want["line"], gap), want
}
