package tests

import (
	"bytes"
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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// corkline runs the binary to its end.
func corkline(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, stack.binary, args...)
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errs
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("corkline %q does not end", args)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

// writeAll makes files in a folder of their own.
func writeAll(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
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
)

func TestTry(t *testing.T) {
	dir := writeAll(t, map[string]string{
		"np.log": goodLine + "\n\n" + oldLine + "\n", "words.yaml": wordsForm, "faulty.yaml": faultyForm, "w.log": "one 1\ntwo 2\n\xff 3\n",
	})
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
  direction   Egress
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
# HELP corkline_networkpolicy_logged_packets_total Packets that network-policy logs report, with merged lines counted as the packets they stand for. Logs are sampled by the datapath, so this is a lower bound of the traffic.
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
	f("", "--definition-file DIR/faulty.yaml DIR/w.log", 1, "", "corkline: DIR/faulty.yaml:7: about: expected a text, found a list\n")
	f("", "-d words DIR/w.log", 1, "", `corkline: there is no definition "words"; there are: ako amko antrea-agent antrea-controller antrea-networkpolicy avi-application avi-connection avi-dns avi-event avi-waf calico-packet gke-policy hubble ovn-acl ovs-vswitchd ovsdb-server`+"\n")

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
	want := "corkline: " + file + ":3: layouts[0].regex: error parsing regexp: missing closing ): `^(?P<word>[a-z]+`\n" +
		file + `:5: metrics[0].help: is missing; say in one sentence what is counted, and in which unit` + "\n" +
		file + `:5: metrics[0].type: "gauge" is not a type; there are: counter histogram` + "\n"
	if diff := cmp.Diff(want, stderr); diff != "" || stdout != "" || code != 1 {
		t.Errorf("code %d, stdout %q, stderr (-want +got):\n%s", code, stdout, diff)
	}
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
			"stream_labels": map[string]any{"action": "Drop"},
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
	dir := writeAll(t, map[string]string{
		"words.yaml":  wordsForm,
		"faulty.yaml": faultyForm,
		"good.yaml":   "node: node-1\nstate_dir: /s\nloki: {url: 'http://loki:3100'}\ndefinition_files: [words.yaml]\nsources:\n  - {definition: words, files: [/a.log, '/b/*.log']}\n",
		"silent.yaml": "node: node-1\nsources: [{name: np, definition: antrea-networkpolicy}]\n",
		"bad.yaml":    "nodee: x\npoll_interval: 5\nloki:\n  url: http://me:s3cret@loki:3100\nsources:\n  - definition: nope\n",
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
	const wordsGood = "DIR/words.yaml: good; 1 layouts, 2 fields, 1 metrics\n"
	const badFaults = `DIR/bad.yaml:1: nodee: unknown key; did you mean "node"?
DIR/bad.yaml:2: poll_interval: expected a duration such as 5s or 1m30s, found "5"
DIR/bad.yaml:4: loki.url: must not hold a user or a password; there is loki.basic_auth
DIR/bad.yaml:6: sources[0].definition: there is no definition "nope"; there are: [ako amko antrea-agent antrea-controller antrea-networkpolicy avi-application avi-connection avi-dns avi-event avi-waf calico-packet gke-policy hubble ovn-acl ovs-vswitchd ovsdb-server]
`
	f("--config DIR/good.yaml", 0, "DIR/good.yaml: good; 1 sources, node \"node-1\", state in /s, lines to http://loki:3100\n  words: definition words, files /a.log /b/*.log\n", "")
	f("-c DIR/silent.yaml", 0, "DIR/silent.yaml: good; 1 sources, node \"node-1\", state in /var/lib/corkline, metrics only (loki.url is not set)\n"+
		"  np: definition antrea-networkpolicy, files /var/log/antrea/networkpolicy/np.log\n", "")
	f("--definition-file DIR/words.yaml", 0, wordsGood, "")
	f("-c DIR/bad.yaml", 1, "", badFaults+"corkline: 4 faults\n")
	f("-c DIR/bad.yaml --definition-file DIR/words.yaml --definition-file DIR/faulty.yaml --definition-file DIR/none.yaml", 1, wordsGood,
		badFaults+"DIR/faulty.yaml:7: about: expected a text, found a list\nread definition: open DIR/none.yaml: no such file or directory\ncorkline: 6 faults\n")
	f("-c DIR/none.yaml", 1, "", "read configuration: open DIR/none.yaml: no such file or directory\ncorkline: 1 faults\n")
	f("", 1, "", "corkline: nothing to check: give --config FILE or --definition-file FILE\n")
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
	f("try --help", "Examples:", "corkline try -d antrea-networkpolicy -o json", "The exit code is 1 when a line did not parse.")
	f("check --help", "Examples:", "corkline check --config corkline.yaml")
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

// process is an agent that runs until it is told to end.
type process struct {
	*exec.Cmd
	t       *testing.T
	dir     string
	output  *sharedBuffer
	address string
}

// sharedBuffer is written to by the command while a test reads it.
type sharedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

const agentConfig = `node: node-1
state_dir: DIR/state
listen: 127.0.0.1:0
poll_interval: 20ms
shutdown_timeout: SHUTDOWN
loki: {url: URL, timeout: 1m, max_backoff: 50ms}
definition_files: [words.yaml]
sources:
  - {definition: words, files: [DIR/w.log]}
`

// startAgent with a log of two lines, and waits until it listens.
func startAgent(t *testing.T, url, shutdown string) *process {
	t.Helper()
	p := &process{t: t, output: &sharedBuffer{}}
	p.dir = writeAll(t, map[string]string{
		"w.log": "one 1\ntwo 2\n", "words.yaml": wordsForm,
		"c.yaml": strings.NewReplacer("URL", url, "SHUTDOWN", shutdown).Replace(agentConfig),
	})
	p.Cmd = exec.CommandContext(t.Context(), stack.binary, "agent", "--config", filepath.Join(p.dir, "c.yaml"))
	p.Stdout, p.Stderr = p.output, p.output
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill() // a test has failed
			_ = p.Wait()
		}
		if t.Failed() {
			t.Logf("the agent said:\n%s", p.output)
		}
	})
	status := regexp.MustCompile(`msg="agent started" status=http://(\S+)/ `)
	p.says(status)
	p.address = status.FindStringSubmatch(p.output.String())[1]
	return p
}

func (p *process) says(what *regexp.Regexp) {
	p.t.Helper()
	eventually(p.t, "the agent's log", func(context.Context) error {
		if !what.MatchString(p.output.String()) {
			return fmt.Errorf("no %s", what)
		}
		return nil
	})
}

// shows waits until /metrics holds a line.
func (p *process) shows(line string) {
	p.t.Helper()
	eventually(p.t, line, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(response.Body); err != nil {
			return err
		}
		if !strings.Contains(body.String(), line+"\n") {
			return errors.New("is not there")
		}
		return nil
	})
}

func (p *process) signal(signals ...syscall.Signal) {
	p.t.Helper()
	for _, s := range signals {
		if err := p.Process.Signal(s); err != nil {
			p.t.Fatal(err)
		}
	}
}

// ends holds that the agent ends with a code, within a time.
func (p *process) ends(code int, within time.Duration) {
	p.t.Helper()
	timer := time.AfterFunc(within, func() { _ = p.Process.Kill() }) // it may have ended
	err := p.Wait()
	if !timer.Stop() {
		p.t.Fatalf("the agent has not ended within %s", within)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || p.ProcessState.ExitCode() != code {
		p.t.Errorf("want exit code %d, got %d (%v)", code, p.ProcessState.ExitCode(), err)
	}
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
		p.shows(`corkline_pipeline_lines_waiting{source="words"} 2`)
		p.signal(syscall.SIGTERM)
		p.ends(0, 20*time.Second)
		p.says(regexp.MustCompile(`stopped before all was shipped; the lines stay in their files" source=words waiting=2`))
	}
	f(http.StatusServiceUnavailable)
	f(0)
}

func TestAgent_SecondSignalAborts(t *testing.T) {
	p := startAgent(t, awayLoki(t, 0), "10m")
	p.shows(`corkline_pipeline_lines_waiting{source="words"} 2`)
	p.signal(syscall.SIGTERM, syscall.SIGINT) // two of a kind might reach it as one
	p.ends(130, 20*time.Second)
	p.says(regexp.MustCompile(`corkline: aborted; lines that were not shipped stay in their files`))
}

func TestAgent_ReloadsOnHangup(t *testing.T) {
	p := startAgent(t, awayLoki(t, http.StatusNoContent), "1s")
	p.shows(`corkline_pipeline_lines_shipped_total{source="words"} 2`)
	config := filepath.Join(p.dir, "c.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.signal(syscall.SIGHUP)
	}
	write(string(text) + "nonsense: 1\n")
	p.says(regexp.MustCompile(`refuse the new configuration; the one before goes on" error="\S+/c.yaml:10: nonsense: unknown key`))
	p.shows("corkline_pipeline_config_last_reload_successful 0")
	write(string(text) + "  - {name: again, definition: words, files: [" + p.dir + "/w.log]}\n")
	p.shows(`corkline_pipeline_lines_shipped_total{source="again"} 2`)
	p.shows(`corkline_pipeline_lines_shipped_total{source="words"} 2`)
	p.shows("corkline_pipeline_config_last_reload_successful 1")
	p.signal(syscall.SIGINT)
	p.ends(0, 20*time.Second)
}

func TestAgent_DoesNotStart(t *testing.T) {
	other := startAgent(t, awayLoki(t, http.StatusNoContent), "1s")
	dir := writeAll(t, map[string]string{
		"bad.yaml":    "nodee: x\nsources:\n  - definition: nope\n",
		"taken.yaml":  "state_dir: DIR/state\nlisten: " + other.address + "\n",
		"locked.yaml": "state_dir: " + other.dir + "/state\nlisten: 127.0.0.1:0\n",
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
	f("bad.yaml", `corkline: DIR/bad.yaml:1: nodee: unknown key; did you mean "node"?
DIR/bad.yaml:3: sources[0].definition: there is no definition "nope"; there are: [ako amko antrea-agent antrea-controller antrea-networkpolicy avi-application avi-connection avi-dns avi-event avi-waf calico-packet gke-policy hubble ovn-acl ovs-vswitchd ovsdb-server]
`)
	f("none.yaml", "corkline: read configuration: open DIR/none.yaml: no such file or directory\n")
	f("taken.yaml", "corkline: start the agent: listen for /metrics (key listen): listen tcp "+other.address+": bind: address already in use\n")
	f("locked.yaml", fmt.Sprintf("corkline: start the agent: open state_dir: lock positions in %q: another agent uses them: stop it, or give each agent its own state_dir: resource temporarily unavailable\n", other.dir+"/state"))
	f("below.yaml", `corkline: start the agent: open state_dir: open positions in "DIR/bad.yaml/state": mkdir DIR/bad.yaml: not a directory: set state_dir to a folder that can be written to, or check its mount and permissions`+"\n")
	other.signal(syscall.SIGTERM)
	other.ends(0, 20*time.Second)
}
