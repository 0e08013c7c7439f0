package tests

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/tests/rig"
)

// corkline runs the binary to its end.
func corkline(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, stack.Binary, args...)
	command.Stdin = strings.NewReader(stdin)
	stdout, stderr, code = rig.Run(t, command)
	if ctx.Err() != nil {
		t.Fatalf("corkline %q does not end", args)
	}
	return stdout, stderr, code
}

// writeAll makes files in a folder of their own.
func writeAll(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	goodLine = "2024/06/02 10:11:12.000123 AntreaPolicyEgressRule AntreaClusterNetworkPolicy:acnp drop-ext Egress Drop 14500 shop/web-0 192.0.2.10 40001 198.51.100.7 443 TCP 60 <nil> [3 packets in 1.1s]"
	oldLine  = "2021/03/02 10:11:12.000123 AntreaPolicyIngressRule AntreaNetworkPolicy:shop/allow-web Allow 44899 SRC: 192.0.2.10 DEST: 192.0.2.20 60 TCP"
	badLine  = "2024/06/02 10:11:12.000123 AntreaPolicyEgressRule AntreaClusterNetworkPolicy:acnp drop-ext Egress Drop 14500 shop/web-0 192.0.2.10 40001 198.51.100.7 443 TCP sixty <nil>"

	wordsForm = `name: words
layouts: [{name: plain, regex: '^(?P<word>[a-z]+) (?P<number>[0-9]+)$'}]
numbers: [number]
stream_labels: [word]
metrics: [{name: words_total, type: counter, add: number, labels: [word], help: Words.}]
`
	faultyForm = `name: faulty
layouts:
  - {name: plain, regex: '^(?P<word>[a-z]+'}
metrics:
  - {name: words, type: gauge, labels: [wort]}
about:
  - nothing
`
	extendingForm = `extends: antrea-networkpolicy
layouts:
  - {name: ours, grok: '^%{NP_TIME:time} OURS (?P<rule>\S+) (?P<action>%{NP_ACTION})$'}
metrics:
  - {name: networkpolicy_log_lines_total, type: counter, labels: [action, rule], help: Lines of ours.}
  - {name: ours_total, type: counter, help: Ours.}
`
	slowForm = `name: slow
layouts:
  - {name: free, regex: 'a(?P<rest>.*)$'}
  - {name: either, regex: '^b(?P<rest>.*)$|^cd(?P<size>\d)'}
  - {name: lines, regex: '^(?m)c(?P<rest>.*)$'}
  - {name: lazy, regex: '^d(?:ab)*?(?P<rest>.*)$'}
  - {name: empty, regex: '^e(?:a?b?)*(?P<rest>.*)$'}
  - {name: fast, grok: '^f%{INT:size:int} (?P<rest>.*)$'}
extract:
  - {from: rest, to: copy}
  - {from: copy, regex: '^(?P<first>\S+)(?: \S+)*?$'}
  - {first: [copy, rest], grok: '^%{INT:size:int}$'}
structured_metadata: [size]
`
)

// shippedDefinitions gives them and their names in order, as messages list them.
func shippedDefinitions(t *testing.T) (set parsers.Set, names string) {
	t.Helper()
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return set, strings.Join(set.Names(), " ")
}

func TestTry(t *testing.T) {
	dir := writeAll(t, map[string]string{
		"np.log": goodLine + "\n\n" + oldLine + "\n", "words.yaml": wordsForm, "faulty.yaml": faultyForm, "w.log": "one 1\ntwo 2\n\xff 3\n",
		"more.yaml": "name: more\nextends: words\nlayouts: [{name: other, regex: '^!(?P<word>[a-z]+)$'}]\n", "ours.yml": extendingForm,
		"c.yaml": "definitions_dir: formats\nsources: [{definition: words, files: [/w.log]}]\n", "formats/policies.yml": extendingForm, "formats/words.yaml": wordsForm,
		"broken.yaml": "definitions_dir: none\n",
		"timed.yaml":  "name: timed\nlayouts: [{name: l, regex: '^(?P<time>\\S+) x$'}]\ntime: {field: time, layout: 2006-01-02T15:04:05}\n",
	})
	_, all := shippedDefinitions(t)
	f := func(stdin, args string, code int, stdout, stderr string) {
		t.Helper()
		gotOut, gotErr, gotCode := corkline(t, stdin, append([]string{"try"}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)...)
		if diff := cmp.Diff(strings.ReplaceAll(stdout, "DIR", dir), gotOut); diff != "" {
			t.Errorf("try %s: stdout (-want +got):\n%s", args, diff)
		}
		if diff := cmp.Diff(strings.ReplaceAll(stderr, "DIR", dir), gotErr); diff != "" {
			t.Errorf("try %s: stderr (-want +got):\n%s", args, diff)
		}
		if gotCode != code {
			t.Errorf("try %s: want exit code %d, got %d", args, code, gotCode)
		}
	}
	const (
		goodTable = goodLine + `
  layout      1.13
  time        2024-06-02T10:11:12.000123Z
  table       AntreaPolicyEgressRule
  policy      AntreaClusterNetworkPolicy:acnp
  rule        drop-ext
  direction   Egress  (stream label)
  action      Drop  (stream label)
  priority    14500
  applied_to  shop/web-0
  src_ip      192.0.2.10
  src_port    40001
  dst_ip      198.51.100.7
  dst_port    443
  protocol    TCP
  length      60
  packets     3
  span        1.1s

`
		oldTable = oldLine + `
  layout    0.11
  time      2021-03-02T10:11:12.000123Z
  table     AntreaPolicyIngressRule
  policy    AntreaNetworkPolicy:shop/allow-web
  action    Allow  (stream label)
  priority  44899
  src_ip    192.0.2.10
  dst_ip    192.0.2.20
  protocol  TCP
  length    60

`
		bothSummary = "definition antrea-networkpolicy: 2 lines parsed, 0 not; layout 1.13: 1; layout 0.11: 1\n"
		metricsText = `# HELP corkline_networkpolicy_log_lines_total Lines of network-policy logs, a merged line counted once.
# TYPE corkline_networkpolicy_log_lines_total counter
corkline_networkpolicy_log_lines_total{action="Allow"} 1
corkline_networkpolicy_log_lines_total{action="Drop"} 1
# HELP corkline_networkpolicy_logged_packets_total Packets that network-policy logs report, once for each policy that decided on them, with merged lines counted as the packets they stand for. Logs are sampled by the datapath, so this is a lower bound of the traffic.
# TYPE corkline_networkpolicy_logged_packets_total counter
corkline_networkpolicy_logged_packets_total{action="Allow",direction="",policy="AntreaNetworkPolicy:shop/allow-web",rule=""} 1
corkline_networkpolicy_logged_packets_total{action="Drop",direction="Egress",policy="AntreaClusterNetworkPolicy:acnp",rule="drop-ext"} 3
`
	)
	// A table, with the definition found by the content or named.
	f("", "DIR/np.log", 0, goodTable+oldTable+bothSummary, "")
	f("", "-d antrea-networkpolicy DIR/np.log", 0, goodTable+oldTable+bothSummary, "")
	f(goodLine+"\r\n"+oldLine, "", 0, goodTable+oldTable+bothSummary, "")
	f(goodLine+"\n"+oldLine+"\n", "-", 0, goodTable+oldTable+bothSummary, "")
	f("", "-o metrics DIR/np.log", 0, metricsText, "")

	// Lines that do not parse say how far they got, and make the exit code 1.
	at := strings.Index(badLine, "sixty")
	f(badLine+"\n", "", 1,
		badLine+"\n"+strings.Repeat(" ", at)+"^\n"+fmt.Sprintf("  no definition parses the line; antrea-networkpolicy got furthest: layout 1.13 got to column %d, where it expected length\n\n", at+1),
		"corkline: 1 of 1 lines did not parse\n")
	f(goodLine+"\n"+oldLine+"\n"+badLine, "-o metrics", 1, metricsText,
		fmt.Sprintf("not parsed: fits no layout; layout 1.13 got to column %d, where it expected length\n  %s\ncorkline: 1 of 3 lines did not parse\n", at+1, badLine))

	// A definition of one's own.
	f("", "--definition-file DIR/words.yaml -o json DIR/w.log", 1,
		`{"line":"one 1","definition":"words","layout":"plain","stream_labels":{"word":"one"},"fields":{"number":1,"word":"one"}}`+"\n"+
			`{"line":"two 2","definition":"words","layout":"plain","stream_labels":{"word":"two"},"fields":{"number":2,"word":"two"}}`+"\n"+
			`{"line":"`+"\uFFFD"+` 3","definition":"words","error":"fits no layout","closest":{"layout":"plain","column":1,"expected":"word"}}`+"\n",
		"corkline: 1 of 3 lines did not parse\n")
	f("one 1\none 2", "--definition-file DIR/words.yaml -o metrics", 0, `# HELP corkline_words_total Words.
# TYPE corkline_words_total counter
corkline_words_total{word="one"} 3
`, "")
	f("", "--definition-file DIR/faulty.yaml DIR/w.log", 1, "", "corkline: DIR/faulty.yaml:7:3: about: expected a text, found a list\n")
	f("", "-d words DIR/w.log", 1, "", `corkline: there is no definition "words"; there are: `+all+"\n")

	// One that extends another: a shipped one, or one beside it.
	const ours = "2024/06/02 10:11:12.000123 OURS ssh Drop"
	f(ours+"\n"+goodLine+"\n", "--definition-file DIR/ours.yml", 0, ours+`
  layout  ours
  time    2024-06-02T10:11:12.000123Z
  rule    ssh
  action  Drop  (stream label)

`+strings.NewReplacer("  rule        drop-ext\n", "", "  action      Drop  (stream label)\n", "", "  table ", "  rule        drop-ext\n  action      Drop  (stream label)\n  table ").Replace(goodTable)+
		"definition antrea-networkpolicy: 2 lines parsed, 0 not; layout ours: 1; layout 1.13: 1\n", "")
	f("!a\none 1\n", "--definition-file DIR/more.yaml -o json", 0, `{"line":"!a","definition":"more","layout":"other","stream_labels":{"word":"a"},"fields":{"word":"a"}}
{"line":"one 1","definition":"more","layout":"plain","stream_labels":{"word":"one"},"fields":{"number":1,"word":"one"}}
`, "")

	// Those of a configuration.
	const wordsJSON = `{"line":"one 1","definition":"words","layout":"plain","stream_labels":{"word":"one"},"fields":{"number":1,"word":"one"}}` + "\n"
	f("one 1\n", "-c DIR/c.yaml -o json", 0, wordsJSON, "")
	f("one 1\n", "-c DIR/c.yaml -d words -o json", 0, wordsJSON, "")
	f(ours+"\n", "-c DIR/c.yaml -d antrea-networkpolicy -o json", 0,
		`{"line":"`+ours+`","definition":"antrea-networkpolicy","layout":"ours","time":"2024-06-02T10:11:12.000123Z","stream_labels":{"action":"Drop"},"fields":{"action":"Drop","rule":"ssh","time":"2024/06/02 10:11:12.000123"}}`+"\n", "")
	f("", "-c DIR/broken.yaml", 1, "", "corkline: DIR/broken.yaml:1:18: definitions_dir: open DIR/none: no such file or directory; make the folder, or leave the key out\n")

	// Times that name no zone.
	f("2024-06-02T10:11:12 x\n", "--definition-file DIR/timed.yaml --zone Europe/Berlin -o json", 0,
		`{"line":"2024-06-02T10:11:12 x","definition":"timed","layout":"l","time":"2024-06-02T08:11:12Z","fields":{"time":"2024-06-02T10:11:12"}}`+"\n", "")
	f("", "--zone Mars/Crater", 1, "", `corkline: there is no time zone "Mars/Crater"; use UTC or an IANA name such as Europe/Berlin`+"\n")

	// What cannot be read.
	f("", "DIR", 1, "", `corkline: read lines: "DIR" is a directory; name a file in it`+"\n")
	f("", "DIR/none.log", 1, "", "corkline: read lines: stat DIR/none.log: no such file or directory\n")
	f("", "--definition-file DIR/none.yaml DIR/w.log", 1, "", "corkline: read definition: open DIR/none.yaml: no such file or directory\n")
}

// Every line of a definition file that is at fault is named at once.
func TestTry_FaultyDefinition(t *testing.T) {
	dir := writeAll(t, map[string]string{"faulty.yaml": strings.TrimSuffix(faultyForm, "about:\n  - nothing\n")})
	file := filepath.Join(dir, "faulty.yaml")
	stdout, stderr, code := corkline(t, "a 1\n", "try", "--definition-file", file)
	want := "corkline: " + file + ":3:26: layouts[0].regex: error parsing regexp: missing closing ): `^(?P<word>[a-z]+`\n" +
		file + `:5:5: metrics[0].help: is missing; say in one sentence what is counted, and in which unit` + "\n" +
		file + `:5:25: metrics[0].type: "gauge" is not a type; there are: counter histogram` + "\n"
	if diff := cmp.Diff(want, stderr); diff != "" || stdout != "" || code != 1 {
		t.Errorf("code %d, stdout %q, stderr (-want +got):\n%s", code, stdout, diff)
	}
}

// tarball packs texts by name, in the order given.
func tarball(t *testing.T, namesAndTexts ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(namesAndTexts); i += 2 {
		text := namesAndTexts[i+1]
		if err := w.WriteHeader(&tar.Header{Name: namesAndTexts[i], Size: int64(len(text)), ModTime: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTry_Bundle(t *testing.T) {
	const flow, lost = " cookie=0x7020000000000, duration=9.1s, table=IngressMetric, n_packets=3, n_bytes=222, priority=200,ct_label=0x5/0xffffffff,ip actions=goto_table:ConntrackCommit", " cookie=0x7020000000000, duration=9.1"
	const vlog = "2024-06-02T10:11:12.345Z|00042|bridge|INFO|bridge br-lab: added interface antrea-gw0 on port 2"
	good := tarball(t, "flows", flow+"\n", "logs/ovs/ovs-vswitchd.log", vlog+"\n", "agentinfo", "name: node-1\n", "memprofile", "\x1f\x00", "np.log", goodLine+"\n"+oldLine+"\n")
	bad := tarball(t, "flows", flow+"\n"+flow+"\n"+lost)
	dir := writeAll(t, map[string]string{"bundle.tar.gz": good, "bad.tgz": bad})
	f := func(stdin, args string, code int, stdout, stderr string) {
		t.Helper()
		gotOut, gotErr, gotCode := corkline(t, stdin, append([]string{"try"}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)...)
		if diff := cmp.Diff(stdout, gotOut); diff != "" {
			t.Errorf("try %s: stdout (-want +got):\n%s", args, diff)
		}
		if diff := cmp.Diff(stderr, gotErr); diff != "" {
			t.Errorf("try %s: stderr (-want +got):\n%s", args, diff)
		}
		if gotCode != code {
			t.Errorf("try %s: want exit code %d, got %d", args, code, gotCode)
		}
	}
	const summary = `flows: definition ovs-flows: 1 lines parsed, 0 not; layout flow: 1
logs/ovs/ovs-vswitchd.log: definition ovs-vswitchd: 1 lines parsed, 0 not; layout file: 1
agentinfo: no definition parses most of its first lines
memprofile: binary
np.log: definition antrea-networkpolicy: 2 lines parsed, 0 not; layout 1.13: 1; layout 0.11: 1

3 members of known formats: 4 lines parsed, 0 not; 2 members of none
`
	f("", "DIR/bundle.tar.gz", 0, summary, "")
	f(good, "-", 0, summary, "")
	f("", "-d ovs-flows DIR/bundle.tar.gz", 0, `flows: definition ovs-flows: 1 lines parsed, 0 not; layout flow: 1
logs/ovs/ovs-vswitchd.log: no definition parses most of its first lines
agentinfo: no definition parses most of its first lines
memprofile: binary
np.log: no definition parses most of its first lines

1 members of known formats: 1 lines parsed, 0 not; 4 members of none
`, "")
	f("", "DIR/bad.tgz", 1, `flows: definition ovs-flows: 2 lines parsed, 1 not; layout flow: 2
  fits no layout: layout flow got to column 35, where it expected seconds
    `+lost+`

1 members of known formats: 2 lines parsed, 1 not; 0 members of none
`, "corkline: 1 of 3 lines did not parse\n")
	f("", "-o metrics -d ovs-vswitchd DIR/bundle.tar.gz", 0, `# HELP corkline_ovs_log_messages_total Messages in the logs of Open vSwitch's daemons, without the rows of their coverage tables. Rate limits leave messages out.
# TYPE corkline_ovs_log_messages_total counter
corkline_ovs_log_messages_total{level="INFO",module="bridge"} 1
`, `flows: no definition parses most of its first lines
logs/ovs/ovs-vswitchd.log: definition ovs-vswitchd: 1 lines parsed, 0 not; layout file: 1
agentinfo: no definition parses most of its first lines
memprofile: binary
np.log: no definition parses most of its first lines

1 members of known formats: 1 lines parsed, 0 not; 4 members of none
`)
	f("", "-o json DIR/bad.tgz", 1,
		strings.Repeat(`{"member":"flows","line":"`+flow+`","definition":"ovs-flows","layout":"flow","fields":{"actions":"goto_table:ConntrackCommit","bytes":222,"cookie":"0x7020000000000",`+
			`"ct_label":"0x5/0xffffffff","duration":9.1,"match":"ct_label=0x5/0xffffffff,ip","packets":3,"priority":200,"table":"IngressMetric"}}`+"\n", 2)+
			`{"member":"flows","line":"`+lost+`","definition":"ovs-flows","error":"fits no layout","closest":{"layout":"flow","column":35,"expected":"seconds"}}`+"\n",
		"corkline: 1 of 3 lines did not parse\n")
	f(tarball(t, "agentinfo", "name: node-1\n"), "-o json", 1, `{"member":"agentinfo","skipped":"no definition parses most of its first lines"}`+"\n", "corkline: no member has lines of a known format\n")

	// A file in gzip, and one that is cut.
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(flow + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f(b.String(), "-d ovs-flows -o json", 0, `{"line":"`+flow+`","definition":"ovs-flows","layout":"flow","fields":{"actions":"goto_table:ConntrackCommit","bytes":222,"cookie":"0x7020000000000",`+
		`"ct_label":"0x5/0xffffffff","duration":9.1,"match":"ct_label=0x5/0xffffffff,ip","packets":3,"priority":200,"table":"IngressMetric"}}`+"\n", "")
	f(b.String()[:b.Len()-8], "", 1, "", "corkline: read lines: unexpected EOF\n")
	f("\x1f\x8bx", "", 1, "", "corkline: read lines: unpack gzip: unexpected EOF\n")
}

func TestTry_JSON(t *testing.T) {
	stdout, stderr, code := corkline(t, goodLine+"\n"+badLine+"\n", "try", "-o", "json")
	if code != 1 || stderr != "corkline: 1 of 2 lines did not parse\n" {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
	var got []map[string]any
	for line := range strings.Lines(stdout) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q: %s", line, err)
		}
		got = append(got, object)
	}
	want := []map[string]any{
		{
			"line": goodLine, "definition": "antrea-networkpolicy", "layout": "1.13", "time": "2024-06-02T10:11:12.000123Z",
			"stream_labels": map[string]any{"action": "Drop", "direction": "Egress"},
			"fields": map[string]any{
				"time": "2024/06/02 10:11:12.000123", "table": "AntreaPolicyEgressRule", "policy": "AntreaClusterNetworkPolicy:acnp", "rule": "drop-ext",
				"direction": "Egress", "action": "Drop", "priority": 14500.0, "applied_to": "shop/web-0", "src_ip": "192.0.2.10", "src_port": 40001.0,
				"dst_ip": "198.51.100.7", "dst_port": 443.0, "protocol": "TCP", "length": 60.0, "packets": 3.0, "span": "1.1s",
			},
		},
		{
			"line": badLine, "definition": "antrea-networkpolicy", "error": "fits no layout",
			"closest": map[string]any{"layout": "1.13", "column": float64(strings.Index(badLine, "sixty") + 1), "expected": "length"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_NAME", host)
	const sources = "sources:\n  - {definition: words, files: [/a.log, '/b/*.log']}\n"
	dir := writeAll(t, map[string]string{
		"words.yaml":           wordsForm,
		"faulty.yaml":          faultyForm,
		"good.yaml":            "node: node-1\nstate_dir: /s\nloki: {url: 'http://loki:3100'}\ndefinitions_dir: formats\n" + sources,
		"formats/words.yaml":   wordsForm,
		"formats/policies.yml": extendingForm,
		"silent.yaml":          "node: node-1\nsources: [{name: np, definition: antrea-networkpolicy}]\n",
		"bad.yaml":             "nodee: x\npoll_interval: 5\nloki:\n  url: http://me:s3cret@loki:3100\nsources:\n  - definition: nope\n",
		"worse.yaml":           "definitions_dir: worse\n" + sources + "  - {definition: more, files: [/c.log]}\n  - {definition: broken, files: [/c.log]}\n",
		"worse/words.yaml":     wordsForm,
		"worse/more.yaml":      "name: more\nextends: words\nmetrics:\n  - {name: words_total, type: counter, help: Other words.}\n",
		"worse/broken.yaml":    "name: broken\nextends: antrea-networkpolicy\nlayouts: [{name: '0.11', regex: '^(?P<rule>x)$'}]\n",
		"worse/taken.yaml":     strings.Replace(wordsForm, "words", "antrea-networkpolicy", 1),
		"worse/ring.yaml":      "name: ring\nextends: round\n",
		"worse/round.yaml":     "name: round\nextends: ring\n",
		"worse/twice.yml":      "extends: words\nname: more\n",
		"slow.yaml":            slowForm,
		"several.yaml":         "node: node-1\nsources:\n  - {name: avi, definitions: [avi-waf, avi-dns], files: [/a.log], zone: Europe/Berlin}\n  - {name: np, definition: antrea-networkpolicy, zone: UTC}\n",
	})
	f := func(args string, code int, stdout, stderr string) {
		t.Helper()
		gotOut, gotErr, gotCode := corkline(t, "", append([]string{"check"}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)...)
		if diff := cmp.Diff(strings.ReplaceAll(stdout, "DIR", dir), gotOut); diff != "" {
			t.Errorf("check %s: stdout (-want +got):\n%s", args, diff)
		}
		if diff := cmp.Diff(strings.ReplaceAll(stderr, "DIR", dir), gotErr); diff != "" {
			t.Errorf("check %s: stderr (-want +got):\n%s", args, diff)
		}
		if gotCode != code {
			t.Errorf("check %s: want exit code %d, got %d", args, code, gotCode)
		}
	}
	set, all := shippedDefinitions(t)
	text, err := os.ReadFile("../parsers/definitions/antrea-networkpolicy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(text), "\ntime: {field: ")
	place := fmt.Sprintf("%d:%d", strings.Count(before, "\n")+2, len("time: {field: ")+1)
	if !strings.HasPrefix(after, "time,") {
		t.Fatalf("the shipped definition has another time: %q", after)
	}
	const policyParts = `  layout 1.13       matcher
  layout 1.12       matcher
  layout 1.9        matcher
  layout 1.6        matcher
  layout 1.4        matcher
  layout 0.11       matcher
  field time        time
  field table       -
  field policy      structured metadata
  field rule        structured metadata
  field direction   stream label
  field action      stream label
  field priority    number
  field applied_to  structured metadata
  field src_ip      structured metadata
  field src_port    structured metadata, number
  field dst_ip      structured metadata
  field dst_port    structured metadata, number
  field protocol    structured metadata
  field length      structured metadata, number
  field label       structured metadata
  field packets     structured metadata, number
  field span        structured metadata
`
	const wordsGood = "DIR/words.yaml: good; 1 layouts, 2 fields, 1 metrics\n"
	badFaults := `DIR/bad.yaml:1:1: nodee: unknown key; did you mean "node"?
DIR/bad.yaml:2:16: poll_interval: expected a duration such as 5s or 1m30s, found "5"
DIR/bad.yaml:4:8: loki.url: must not hold a user or a password; there is loki.basic_auth
DIR/bad.yaml:6:17: sources[0].definition: there is no definition "nope"; there are: [` + all + `]
`
	const good = "DIR/good.yaml: good; 1 sources, node \"node-1\", state in /s, lines to http://loki:3100\n  words: definition words, files /a.log /b/*.log\n"
	const (
		ours  = "antrea-networkpolicy of DIR/formats/policies.yml: good; 7 layouts, 17 fields, 3 metrics\n  layout ours       matcher\n"
		words = "words of DIR/formats/words.yaml: good; 1 layouts, 2 fields, 1 metrics\n  layout plain  matcher\n  field word    stream label\n  field number  number\n"
	)
	ends := func(args, start, end string) {
		t.Helper()
		stdout, stderr, code := corkline(t, "", append([]string{"check"}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)...)
		start, end = strings.ReplaceAll(start, "DIR", dir), strings.ReplaceAll(end, "DIR", dir)
		if code != 0 || stderr != "" || !strings.HasPrefix(stdout, start) || !strings.HasSuffix(stdout, end) {
			t.Errorf("check %s: exit code %d, %s; want\n%s…\n%s, got\n%s", args, code, stderr, start, end, stdout)
		}
	}
	ends("-c DIR/good.yaml -v", good+"ako: good; ", ours+oursFirst(policyParts)+words)
	f("-c DIR/good.yaml -d words", 0, words, "")
	f("-c DIR/good.yaml -d antrea-networkpolicy", 0, ours+oursFirst(policyParts), "")
	f("-c DIR/several.yaml", 0, "DIR/several.yaml: good; 2 sources, node \"node-1\", state in /var/lib/corkline, metrics only (loki.url is not set)\n"+
		"  avi: definitions avi-waf avi-dns in zone Europe/Berlin, files /a.log\n  np: definition antrea-networkpolicy in zone UTC, files /var/log/antrea/networkpolicy/np.log\n", "")
	f("--config DIR/good.yaml", 0, "DIR/good.yaml: good; 1 sources, node \"node-1\", state in /s, lines to http://loki:3100\n  words: definition words, files /a.log /b/*.log\n", "")
	f("-c DIR/silent.yaml", 0, "DIR/silent.yaml: good; 1 sources, node \"node-1\", state in /var/lib/corkline, metrics only (loki.url is not set)\n"+
		"  np: definition antrea-networkpolicy, files /var/log/antrea/networkpolicy/np.log\n", "")
	f("--definition-file DIR/words.yaml", 0, wordsGood, "")
	f("--definition-file DIR/slow.yaml --verbose", 0, `DIR/slow.yaml: good; 6 layouts, 4 fields, 0 metrics
  layout free    regexp: not anchored at the start
  layout either  regexp: alternatives that are not within ^(…)
  layout lines   regexp: a (?m) anchor
  layout lazy    regexp: a lazy group
  layout empty   regexp: a repeated group that may be empty
  layout fast    matcher
  extract[1]     regexp: a lazy group
  extract[2]     matcher
  field rest     -
  field size     structured metadata, number
  field copy     -
  field first    -
`, "")
	f("-c DIR/bad.yaml", 1, "", badFaults+"corkline: 4 faults\n")
	f("-c DIR/worse.yaml", 1, "", `DIR/worse/broken.yaml:2:10: extends: breaks antrea-networkpolicy.yaml:`+place+`: time.field: layout "0.11" has no field "time", so no line would parse as it; capture it there, or set optional
DIR/worse/more.yaml:4:46: metrics[0].help: "Other words." differs from "Words." of definition "words"; make the metrics corkline_words_total the same, or name them differently
DIR/worse/ring.yaml:2:10: extends: comes back to itself: ring extends round extends ring; end the ring
DIR/worse/round.yaml:2:10: extends: comes back to itself: round extends ring extends round; end the ring
DIR/worse/taken.yaml:1:7: name: "antrea-networkpolicy" is a shipped definition; change it with extends: antrea-networkpolicy, take its place with replaces: antrea-networkpolicy, or choose another name
DIR/worse/twice.yml:2:7: name: there is a definition "more" already, at DIR/worse/more.yaml:1:7; choose another name
corkline: 6 faults
`)
	f("-c DIR/bad.yaml --definition-file DIR/words.yaml --definition-file DIR/faulty.yaml --definition-file DIR/none.yaml", 1, wordsGood,
		badFaults+"DIR/faulty.yaml:7:3: about: expected a text, found a list\nread definition: open DIR/none.yaml: no such file or directory\ncorkline: 6 faults\n")
	f("-c DIR/none.yaml", 1, "", "read configuration: open DIR/none.yaml: no such file or directory\ncorkline: 1 faults\n")

	// Without a file, what an agent would run with here, and what is shipped.
	var lines, shipped []string
	for _, name := range set.Names() {
		d := set[name]
		if len(d.Files) > 0 {
			lines = append(lines, fmt.Sprintf("  %s: definition %s, files %s\n", name, name, strings.Join(d.Files, " ")))
		}
		shipped = append(shipped, fmt.Sprintf("%s: good; %d layouts, %d fields, %d metrics\n", name, len(d.Layouts), len(d.Fields), len(d.Metrics)))
	}
	const policy = "antrea-networkpolicy: good; 6 layouts, 17 fields, 2 metrics\n"
	if !slices.Contains(shipped, policy) {
		t.Errorf("the definition antrea-networkpolicy is another one: %s", shipped)
	}
	defaults := fmt.Sprintf("defaults: good; %d sources, node %q, state in /var/lib/corkline, metrics only (loki.url is not set)\n", len(lines), host) + strings.Join(lines, "")
	f("", 0, defaults+strings.Join(shipped, ""), "")
	ends("-v", defaults+shipped[0]+"  frame.head            matcher\n  layout zap            matcher\n", "\n")
	f("--definition antrea-networkpolicy", 0, policy+policyParts, "")
	ends("-d conntrack", "conntrack: good; ", "\n")
	f("-d nope", 1, "", `there is no definition "nope"; there are: `+all+"\ncorkline: 1 faults\n")
}

// oursFirst has the fields of extendingForm's layout first.
func oursFirst(parts string) string {
	rule, action := "  field rule        structured metadata\n", "  field action      stream label\n"
	parts = strings.NewReplacer(rule, "", action, "").Replace(parts)
	const at = "  field time        time\n"
	return strings.Replace(parts, at, at+rule+action, 1)
}

func TestHelp(t *testing.T) {
	f := func(args string, want ...string) {
		t.Helper()
		stdout, stderr, code := corkline(t, "", strings.Fields(args)...)
		if code != 0 || stderr != "" {
			t.Errorf("%q: exit code %d, %s", args, code, stderr)
		}
		for _, text := range want {
			if !strings.Contains(stdout, text) {
				t.Errorf("%q: no %q in:\n%s", args, text, stdout)
			}
		}
	}
	f("", "Usage: corkline <command> [flags]", "agent", "try", "check", "quickstart")
	f("--help", "Usage: corkline <command> [flags]")
	f("agent --help", "Examples:", "corkline agent --config corkline.yaml", "SIGHUP")
	f("try --help", "Examples:", "corkline try -d antrea-networkpolicy -o json", "corkline try support-bundle.tar.gz", "The exit code is 1 when a line did not parse.")
	f("check --help", "Examples:", "corkline check --config corkline.yaml", "file:line:column: key: message")
	f("quickstart --help", "Examples:", "corkline quickstart --for=30s")
	f("--version", "dev")
}

func TestUsage(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		_, stderr, code := corkline(t, "", strings.Fields(args)...)
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, no %q in %q", args, code, want, stderr)
		}
	}
	f("agnet", `unexpected argument agnet`)
	f("agent --confg x", `unknown flag --confg, did you mean "--config"?`)
	f("try -o yaml", `--output must be one of "table","json","metrics" but got "yaml"`)
	f("try -d x --definition-file y", `--definition and --definition-file can't be used together`)
}

const agentConfig = `node: node-1
state_dir: DIR/state
listen: 127.0.0.1:0
poll_interval: 20ms
shutdown_timeout: SHUTDOWN
loki: {url: URL, timeout: 1m, max_backoff: 50ms}
definitions_dir: formats
sources:
  - {definition: words, files: [DIR/w.log]}
`

// startAgent with a log of two lines beside its configuration, and waits until it is up.
func startAgent(t *testing.T, url, shutdown string) *rig.Agent {
	t.Helper()
	dir := writeAll(t, map[string]string{
		"w.log": "one 1\ntwo 2\n", "formats/words.yaml": wordsForm,
		"c.yaml": strings.NewReplacer("URL", url, "SHUTDOWN", shutdown).Replace(agentConfig),
	})
	p := stack.Agent(t, filepath.Join(dir, "c.yaml"))
	p.Start()
	p.Says(regexp.MustCompile(`msg="agent started"`))
	return p
}

// awayLoki answers nothing but a status, or nothing at all for 0.
func awayLoki(t *testing.T, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status != 0 {
			w.WriteHeader(status)
			return
		}
		_, _ = bytes.NewBuffer(nil).ReadFrom(r.Body) // only then the server sees that the client goes
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAgent_StopsDuringOutage(t *testing.T) {
	f := func(status int) {
		t.Helper()
		p := startAgent(t, awayLoki(t, status), "500ms")
		p.Shows(`corkline_pipeline_lines_waiting{source="words"}`, 2)
		p.Signal(syscall.SIGTERM)
		p.Ends(0, 20*time.Second)
		p.Says(regexp.MustCompile(`stopped before all was shipped; the lines stay in their files" source=words waiting=2`))
	}
	f(http.StatusServiceUnavailable)
	f(0)
}

func TestAgent_SecondSignalAborts(t *testing.T) {
	p := startAgent(t, awayLoki(t, 0), "10m")
	p.Shows(`corkline_pipeline_lines_waiting{source="words"}`, 2)
	p.Signal(syscall.SIGTERM, syscall.SIGINT) // two of a kind might reach it as one
	p.Ends(130, 20*time.Second)
	p.Says(regexp.MustCompile(`corkline: aborted; lines that were not shipped stay in their files`))
}

func TestAgent_ReloadsOnHangup(t *testing.T) {
	p := startAgent(t, awayLoki(t, http.StatusNoContent), "1s")
	p.Shows(`corkline_pipeline_lines_shipped_total{source="words"}`, 2)
	text := rig.Read(t, p.Config)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(p.Config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.Signal(syscall.SIGHUP)
	}
	write(text + "nonsense: 1\n")
	p.Says(regexp.MustCompile(`refuse the new configuration; the one before goes on" error="\S+/c.yaml:10:1: nonsense: unknown key`))
	p.Shows("corkline_pipeline_config_last_reload_successful", 0)
	write(text + "  - {name: again, definition: words, files: [" + filepath.Dir(p.Config) + "/w.log]}\n")
	p.Shows(`corkline_pipeline_lines_shipped_total{source="again"}`, 2)
	p.Shows(`corkline_pipeline_lines_shipped_total{source="words"}`, 2)
	p.Shows("corkline_pipeline_config_last_reload_successful", 1)
	p.Signal(syscall.SIGINT)
	p.Ends(0, 20*time.Second)
}

// A definition that is put into the folder of a running agent is taken without
// a signal.
func TestAgent_TakesDefinitions(t *testing.T) {
	p := startAgent(t, awayLoki(t, http.StatusNoContent), "1s")
	p.Shows(`corkline_pipeline_lines_shipped_total{source="words"}`, 2)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(filepath.Dir(p.Config), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("formats/spoken.yaml", "extends: wrods\n")
	p.Says(regexp.MustCompile(`refuse .*/formats/spoken.yaml:1:10: extends: there is no definition .*wrods`))
	write("formats/spoken.yaml", "extends: words\nlayouts: [{name: spoken, regex: '^(?P<word>[a-z]+) said (?P<number>[0-9]+)$'}]\n")
	p.Says(regexp.MustCompile(`configuration taken`))
	write("w.log", "one 1\ntwo 2\none said 5\n")
	p.Shows(`corkline_words_total{word="one"}`, 6)
	p.Shows(`corkline_pipeline_lines_parsed_total{source="words"}`, 3)
	p.Signal(syscall.SIGTERM)
	p.Ends(0, 20*time.Second)
}

func TestAgent_DoesNotStart(t *testing.T) {
	other := startAgent(t, awayLoki(t, http.StatusNoContent), "1s")
	url, err := other.URL()
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(url, "http://")
	dir := writeAll(t, map[string]string{
		"bad.yaml":    "nodee: x\nsources:\n  - definition: nope\n",
		"taken.yaml":  "state_dir: DIR/state\nlisten: " + address + "\n",
		"locked.yaml": "state_dir: " + filepath.Dir(other.Config) + "/state\nlisten: 127.0.0.1:0\n",
		"below.yaml":  "state_dir: DIR/bad.yaml/state\nlisten: 127.0.0.1:0\n",
	})
	f := func(config, want string) {
		t.Helper()
		stdout, stderr, code := corkline(t, "", "agent", "--config", filepath.Join(dir, config))
		want = strings.ReplaceAll(want, "DIR", dir)
		if diff := cmp.Diff(want, stderr); diff != "" || stdout != "" || code != 1 {
			t.Errorf("%s: exit code %d, stdout %q, stderr (-want +got):\n%s", config, code, stdout, diff)
		}
	}
	_, all := shippedDefinitions(t)
	f("bad.yaml", `corkline: DIR/bad.yaml:1:1: nodee: unknown key; did you mean "node"?
DIR/bad.yaml:3:17: sources[0].definition: there is no definition "nope"; there are: [`+all+`]
`)
	f("none.yaml", "corkline: read configuration: open DIR/none.yaml: no such file or directory\n")
	f("taken.yaml", "corkline: start the agent: listen for /metrics (key listen): listen tcp "+address+": bind: address already in use\n")
	f("locked.yaml", fmt.Sprintf("corkline: start the agent: open state_dir: lock positions in %q: another agent uses them: stop it, or give each agent its own state_dir: resource temporarily unavailable\n", filepath.Dir(other.Config)+"/state"))
	f("below.yaml", `corkline: start the agent: open state_dir: open positions in "DIR/bad.yaml/state": mkdir DIR/bad.yaml: not a directory: set state_dir to a folder that can be written to, or check its mount and permissions`+"\n")
	other.Signal(syscall.SIGTERM)
	other.Ends(0, 20*time.Second)
}
