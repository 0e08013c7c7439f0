package exporter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/parsers/strict"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// shippedNames of those definitions that say where their log is, and of all.
func shippedNames(t testing.TB) (withFiles []string, all []string, set parsers.Set) {
	t.Helper()
	set, err := parsers.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range set.Names() {
		if len(set[name].Files) > 0 {
			withFiles = append(withFiles, name)
		}
	}
	return withFiles, set.Names(), set
}

func TestParseConfig_Defaults(t *testing.T) {
	t.Setenv("NODE_NAME", "node-7")
	names, all, set := shippedNames(t)
	var sources []SourceConfig
	for _, name := range names {
		sources = append(sources, SourceConfig{Name: name, Definition: name, Files: set[name].Files})
	}
	sources = append(sources, SourceConfig{Name: "conntrack-events", Definition: "conntrack-events", Files: []string{"/var/lib/corkline/spool/conntrack-events/*.log"}},
		SourceConfig{Name: "ovs-events", Definition: "ovs-events", Files: []string{"/var/lib/corkline/spool/ovs-events/*.log"}})
	if len(sources) == 2 {
		t.Fatal("no shipped definition names its files")
	}
	want := Config{
		Node: "node-7", StateDir: "/var/lib/corkline", Listen: "127.0.0.1:9440",
		PollInterval: time.Second, ShutdownTimeout: 10 * time.Second, MaxLineBytes: 256 << 10, MaxSeries: 2000, MaxLabelValues: 32,
		Loki: LokiConfig{Timeout: 10 * time.Second, MaxBackoff: 30 * time.Second, MaxAge: 168 * time.Hour},
		Archive: ArchiveConfig{
			Prefix: "corkline", Region: "us-east-1", BudgetBytes: 1 << 30, SegmentBytes: 1 << 20, FlushInterval: 5 * time.Minute,
		},
		Collectors: CollectorsConfig{
			Conntrack: ConntrackConfig{Enabled: true, Interval: 15 * time.Second, Timeout: 10 * time.Second, Table: "kernel"},
			OVS:       OVSConfig{Enabled: true, Interval: 15 * time.Second, FullInterval: time.Minute, Timeout: 10 * time.Second},
		},
		Sources: sources, DefinitionsDir: "/etc/corkline/definitions",
	}
	f := func(text string) {
		t.Helper()
		got, err := ParseConfig("defaults", []byte(text))
		if err != nil {
			t.Fatalf("%q: %s", text, err)
		}
		if diff := cmp.Diff(want, *got, cmpopts.IgnoreUnexported(Config{}, SourceConfig{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(all, got.Library().Names()); diff != "" {
			t.Errorf("%q: definitions (-want +got):\n%s", text, diff)
		}
	}
	f("")
	f("# nothing\n")
	f("definitions_dir: /etc/corkline/definitions\n") // it need not be there
	f("node:\nloki:\nsources:\n")                     // a key with nothing behind it keeps its default
}

func TestParseConfig_Node(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	f := func(env, text, want string) {
		t.Helper()
		t.Setenv("NODE_NAME", env)
		got, err := ParseConfig("c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got.Node != want {
			t.Errorf("$NODE_NAME %q and %q: want node %q, got %q", env, text, want, got.Node)
		}
	}
	f("", "", host)
	f("from-env", "", "from-env")
	f("from-env", "node: from-file\n", "from-file")
}

const wordsForm = `
name: words
layouts: [{name: plain, regex: '^(?P<word>\S+) (?P<number>[0-9]+)$'}]
numbers: [number]
metrics: [{name: words_total, type: counter, labels: [word], help: Words.}]
samples: [one 1]
`

// indent makes a list element of a YAML mapping.
func indent(text string) string {
	return "  - " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

func TestParseConfig_Definitions(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "one", "words.yaml"), wordsForm)
	writeFile(t, filepath.Join(dir, "two", "words.yml"), wordsForm)
	writeFile(t, filepath.Join(dir, "two", "more-words.yaml"), strings.Replace(wordsForm, "words", "more-words", 1))
	writeFile(t, filepath.Join(dir, "two", "what-is-new.yaml"), "extends: words\nname: new-words\n")
	writeFile(t, filepath.Join(dir, "two", "README.md"), "not a definition")
	writeFile(t, filepath.Join(dir, "two", ".#words.yaml"), "what an editor leaves")
	writeFile(t, filepath.Join(dir, "two", "..2026", "words.yaml"), "what a mounted ConfigMap has behind its links")
	_, shipped, _ := shippedNames(t)
	f := func(text string, want ...string) {
		t.Helper()
		got, err := ParseConfig(filepath.Join(dir, "c.yaml"), []byte(text))
		if err != nil {
			t.Fatalf("%q: %s", text, err)
		}
		if diff := cmp.Diff(append(append([]string{}, shipped...), want...), got.Library().InOrder()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	f("definitions:\n"+indent(wordsForm), "words")
	f("definitions_dir: one\n", "words") // beside the configuration
	f("definitions_dir: '"+dir+"/two'\n", "more-words", "words", "new-words")
	f("definitions_dir: one/../one/\ndefinitions:\n"+indent(strings.Replace(wordsForm, "words", "more-words", 1))+"  - {extends: words, name: x}\n", "more-words", "words", "x")

	got, err := ParseConfig("c.yaml", []byte("definitions:\n"+indent(wordsForm)+"sources:\n  - {definition: words, files: [/a.log]}\n  - {name: Again_2.x, definition: words, files: ['/b/*.log']}\ncollectors: {conntrack: {enabled: false}, ovs: {enabled: false}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []SourceConfig{{Name: "words", Definition: "words", Files: []string{"/a.log"}}, {Name: "Again_2.x", Definition: "words", Files: []string{"/b/*.log"}}}
	if diff := cmp.Diff(want, got.Sources, cmpopts.IgnoreUnexported(SourceConfig{})); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestParseConfig_Faults(t *testing.T) {
	t.Setenv("NODE_NAME", "node-7")
	dir := t.TempDir()
	write := func(name, text string) { t.Helper(); writeFile(t, filepath.Join(dir, name), text) }
	write("words/words.yaml", wordsForm)
	write("other/other.yaml", wordsForm)
	write("unclear/unclear.yaml", "name: unclear\nlayouts: []\nmetrics:\n  - {name: x, type: gauge}\n")
	write("folder/words.yaml/x", "a folder with the name of a definition")
	write("twice/words.yaml", wordsForm)
	write("twice/words.yml", wordsForm)
	write("file", "")
	_, names, _ := shippedNames(t)
	// c is the configuration's path, and all names the definitions.
	c, all := filepath.Join(dir, "c.yaml"), fmt.Sprint(names)
	f := func(text string, want ...string) {
		t.Helper()
		_, err := ParseConfig(c, []byte(text))
		var faults strict.Faults
		if !errors.As(err, &faults) {
			t.Fatalf("%q: error is %v, not faults", text, err)
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), err.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	f("poll_intervall: 1s\n", c+`:1:1: poll_intervall: unknown key; did you mean "poll_interval"?`)
	f("loki:\n  uri: http://loki:3100\n", c+`:2:3: loki.uri: unknown key; did you mean "url"?`)
	f("node: a\nnode: b\n", c+`:2:1: node: given twice, first in line 1`)
	f("state_dir: ''\n", c+`:1:12: state_dir: is empty; name the folder that keeps file positions over restarts`)
	f("listen: 9440\n", c+`:1:9: listen: "9440" is not host:port, such as 127.0.0.1:9440 or :9440`)
	f("listen: 'localhost:'\n", c+`:1:9: listen: "localhost:" is not host:port, such as 127.0.0.1:9440 or :9440`)
	f("poll_interval: 5\n", c+`:1:16: poll_interval: expected a duration such as 5s or 1m30s, found "5"`)
	f("poll_interval: 0s\nshutdown_timeout: -1s\nloki: {timeout: 0s, max_backoff: 0s}\n",
		c+`:1:16: poll_interval: must be above 0`,
		c+`:2:19: shutdown_timeout: must be above 0`,
		c+`:3:17: loki.timeout: must be above 0`,
		c+`:3:34: loki.max_backoff: must be above 0`)
	f("max_line_bytes: 1023\n", c+`:1:17: max_line_bytes: must be between 1024 and 1048576`)
	f("max_line_bytes: 1048577\n", c+`:1:17: max_line_bytes: must be between 1024 and 1048576`)
	for _, bad := range []string{"grafana:3000", "ftp://grafana", "http://", "https://me:secret@grafana", "https://grafana/?orgId=1", "https://grafana#a"} {
		f("boards_url: "+strconv.Quote(bad)+"\n", c+`:1:13: boards_url: `+strconv.Quote(bad)+` is not a URL such as https://grafana.example.com, without a user, a query and a fragment`)
	}
	f("max_series: 0\n", c+`:1:13: max_series: must be at least 1`)
	f("max_label_values: 0\n", c+`:1:19: max_label_values: must be at least 1`)
	f("max_series: some\n", c+`:1:13: max_series: expected a whole number, found "some"`)
	f("loki: {url: '%'}\n", c+`:1:13: loki.url: is not a URL, such as http://loki:3100`)
	f("loki: {url: 'ftp://loki'}\n", c+`:1:13: loki.url: is not a URL, such as http://loki:3100`)
	f("loki: {url: 'loki:3100'}\n", c+`:1:13: loki.url: is not a URL, such as http://loki:3100`)
	f("loki: {url: 'http://:3100'}\n", c+`:1:13: loki.url: is not a URL, such as http://loki:3100`)
	f("loki: {url: 'http://loki', tenant: 'a b'}\n", c+`:1:36: loki.tenant: "a b": use printable ASCII without blanks`)
	f("archive: {endpoint: 'minio:9000', bucket: b}\n", c+`:1:21: archive.endpoint: is not a URL such as https://minio.minio:9000, without a path, user or password`)
	f("archive: {endpoint: 'https://minio'}\n", c+`:1:10: archive.bucket: is missing; name the bucket that archive.endpoint has`)
	f("archive: {bucket: b}\n", c+`:1:10: archive.endpoint: is missing; give the URL of the S3 that has archive.bucket`)
	f("archive: {access_key_file: a}\n", c+`:1:10: archive.secret_key_file: is missing beside archive.access_key_file`)
	f("archive: {secret_key_file: a}\n", c+`:1:10: archive.access_key_file: is missing beside archive.secret_key_file`)
	f("archive: {segment_bytes: 0}\n", c+`:1:26: archive.segment_bytes: must be between 1 and 67108864`)
	f("archive: {budget_bytes: 10}\n", c+`:1:25: archive.budget_bytes: must be at least archive.segment_bytes`)
	f("archive: {flush_interval: 0s}\n", c+`:1:27: archive.flush_interval: must be above 0`)
	f("loki: {url: 'http://loki', max_age: -1s}\n", c+`:1:37: loki.max_age: must not be negative; 0 is for lines of any age`)
	f("loki:\n  url: http://loki\n  basic_auth: {username: u}\n", c+`:3:15: loki.basic_auth: username and password_file go together`)
	f("loki:\n  url: http://loki\n  tls:\n    ca_file: /none\n", c+`:4:14: loki.tls.ca_file: open /none: no such file or directory`)
	f("loki:\n  url: http://loki\n  headers: {Host: x}\n", c+`:3:12: loki.headers: "Host" cannot be set here; there are loki.tenant, loki.basic_auth and loki.bearer_token_file`)
	f("sources: [{}]\n", c+`:1:11: sources[0].definition: is missing; there are: `+all)
	f("sources: [{definition: nope}]\n", c+`:1:24: sources[0].definition: there is no definition "nope"; there are: `+all)
	f("sources:\n  - {definition: antrea-networkpolicy}\n  - {definition: antrea-networkpolicy}\n",
		c+`:3:5: sources[1].name: there is a source "antrea-networkpolicy" already; give this one a name of its own`)
	f("sources: [{definition: antrea-networkpolicy, name: ../x}]\n", c+`:1:52: sources[0].name: "../x": use letters, digits, - _ and .`)
	f("sources: [{definition: antrea-networkpolicy, files: ['/a[', '']}]\n",
		c+`:1:54: sources[0].files[0]: "/a[" is not a path or glob`,
		c+`:1:61: sources[0].files[1]: "" is not a path or glob`)
	f("sources: [{definition: antrea-networkpolicy, zone: Mars/Crater}]\n",
		c+`:1:52: sources[0].zone: "Mars/Crater" is not a time zone; use UTC or an IANA name such as Europe/Berlin`)
	f("definitions_dir: words\nsources:\n  - definition: words\n", c+`:3:5: sources[0].files: is missing, and the definition "words" names none`)
	f("definitions_dir: none\n", c+`:1:18: definitions_dir: open `+dir+`/none: no such file or directory; make the folder, or leave the key out`)
	f("definitions_dir: file\n", c+`:1:18: definitions_dir: open `+dir+`/file: not a directory`)
	f("definitions_dir: folder\n", c+`:1:18: definitions_dir: read `+dir+`/folder/words.yaml: is a directory`)
	f("definitions_dir: ''\n", c+`:1:18: definitions_dir: is empty; name a folder, or leave the key out`)
	f("definitions_dir: [words]\n", c+`:1:18: definitions_dir: expected a text, found a list`)
	f("definitions_dir: other\n", dir+`/other/other.yaml:2:7: name: is "words", but the file is named "other.yaml"; they must be the same`)
	f("definitions_dir: twice\n", dir+`/twice/words.yml:2:7: name: there is a definition "words" already, at `+dir+`/twice/words.yaml:2:7; choose another name`)
	f("definitions_dir: words\ndefinitions:\n"+indent(wordsForm), dir+`/words/words.yaml:2:7: name: there is a definition "words" already, at `+c+`:3:11; choose another name`)
	f("definitions:\n"+indent(strings.Replace(wordsForm, "words", "antrea-networkpolicy", 1)),
		c+`:2:11: definitions[0].name: "antrea-networkpolicy" is a shipped definition; change it with extends: antrea-networkpolicy, take its place with replaces: antrea-networkpolicy, or choose another name`)
	f("definitions:\n"+indent(strings.Replace(wordsForm, "labels: [word]", "labels: [wort]", 1)),
		c+`:5:59: definitions[0].metrics[0].labels[0]: no layout has a field "wort"; there are: word number`)

	// All at once, of the configuration and of the files that it names.
	f("lisen: x\nmax_series: -1\ndefinitions_dir: unclear\nsources: [{definition: nope}, {definition: unclear}]\n",
		c+`:1:1: lisen: unknown key; did you mean "listen"?`,
		c+`:2:13: max_series: must be at least 1`,
		c+`:4:24: sources[0].definition: there is no definition "nope"; there are: `+all,
		dir+`/unclear/unclear.yaml:2:10: layouts: is missing; give at least one {name, grok}, {name, regex} or {name, csv}`,
		dir+`/unclear/unclear.yaml:4:5: metrics[0].help: is missing; say in one sentence what is counted, and in which unit`,
		dir+`/unclear/unclear.yaml:4:21: metrics[0].type: "gauge" is not a type; there are: counter histogram`)
	f("node: [\n", c+`:1: did not find expected node content`)
}

// What the agent could not register when it starts is a fault: metrics of one
// name that are not the same, in definitions that sources use.
func TestParseConfig_Metrics(t *testing.T) {
	t.Setenv("NODE_NAME", "node-7")
	const both = "sources: [{definition: words, files: [/a]}, {definition: more, files: [/b]}]\n"
	more := strings.Replace(wordsForm, "name: words\n", "name: more\n", 1)
	f := func(text string, want ...string) {
		t.Helper()
		_, err := ParseConfig("c.yaml", []byte(text))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	differ := func(before, after, column, want string) {
		t.Helper()
		if strings.Count(more, before) != 1 {
			t.Fatalf("%q is not in the definition once", before)
		}
		definitions := "definitions:\n" + indent(wordsForm) + indent(strings.Replace(more, before, after, 1))
		f(definitions+both, "c.yaml:10:"+column+": definitions[1].metrics[0]."+want+` of definition "words"; make the metrics corkline_words_total the same, or name them differently`)
		f(definitions + "sources: [{definition: more, files: [/a]}]\n") // the other one feeds nothing
		f(definitions+"sources: [{definitions: [more, words], files: [/a]}]\n",
			"c.yaml:10:"+column+": definitions[1].metrics[0]."+want+` of definition "words"; make the metrics corkline_words_total the same, or name them differently`)
	}
	f("definitions:\n" + indent(wordsForm) + indent(more) + both)
	f("definitions:\n" + indent(wordsForm) + "  - {name: more, extends: words}\n" + both)
	differ("help: Words.", "help: Other words.", "72", `help: "Other words." differs from "Words."`)
	differ("labels: [word]", "labels: [number]", "58", `labels: [number] differ from [word]`)
	differ("type: counter", "type: histogram, observe: number, buckets: [1]", "41", `type: histogram differs from counter`)

	// What comes from a base is said where the base is named.
	f("definitions:\n"+indent(wordsForm)+"  - {name: more, extends: words, metrics: [{name: words_total, type: counter, help: W.}]}\n  - {name: third, extends: more}\n"+
		strings.Replace(both, "definition: more", "definition: third", 1),
		`c.yaml:8:28: definitions[2].extends: breaks c.yaml:7:85: definitions[1].metrics[0].help: "W." differs from "Words." of definition "words"; make the metrics corkline_words_total the same, or name them differently`)

	// The agent's own, also those that it has with the same help and labels.
	own := func(name, labels, help string) {
		t.Helper()
		text := strings.NewReplacer("words_total", name, "labels: [word]", labels, "help: Words.", help).Replace(wordsForm)
		f("definitions:\n"+indent(text)+"sources: [{definition: words, files: [/a]}]\n",
			`c.yaml:5:22: definitions[0].metrics[0].name: corkline_`+name+` is that of a metric of the agent itself; choose another`)
	}
	own("pipeline_lines_read_total", "labels: [word]", "help: Words.")
	own("pipeline_series_capped_total", "labels: []", "help: Words.")
	own("pipeline_position_write_failures_total", "labels: []", "help: 'Commits of file positions that could not be written to state_dir; lines since then are sent again after a crash.'")
}

// A URL with a password is refused in each form that hides one, and no message
// repeats it.
func TestParseConfig_Password(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		_, err := ParseConfig("c.yaml", []byte("loki:\n  url: '"+address+"'\n"))
		if err == nil {
			t.Fatalf("%q is accepted", address)
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: the message tells the password: %s", address, err)
		}
		if diff := cmp.Diff("c.yaml:2:8: loki.url: "+want, err.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", address, diff)
		}
	}
	const holds, isNone = "must not hold a user or a password; there is loki.basic_auth", "is not a URL, such as http://loki:3100"
	f("http://me:s3cret@loki:3100", holds)
	f("https://s3cret@loki:3100", holds) // a token
	f("ftp://me:s3cret@loki:3100", isNone)
	f("me:s3cret@loki:3100", isNone)
	f("http:me:s3cret@loki:3100", isNone)
	f("http://me:s3cret@%zz", isNone)
}

func TestLoadConfig_Failure(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		_, err := LoadConfig(path)
		if err == nil {
			t.Fatalf("%s is read", path)
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	dir := t.TempDir()
	f(dir, "read configuration: read "+dir+": is a directory")
	f(dir+"/none", "read configuration: open "+dir+"/none: no such file or directory")
}

func FuzzParseConfig(f *testing.F) {
	f.Add("")
	f.Add("node: a\nloki: {url: 'http://loki:3100', tenant: t}\nsources: [{definition: antrea-networkpolicy, files: [/a.log]}]\n")
	f.Add("definitions:\n" + indent(wordsForm) + "sources: [{definition: words, files: ['/x/*']}]\n")
	f.Add("definitions: [{extends: antrea-networkpolicy, metrics: [{name: pipeline_lines_read_total, type: counter, help: x}]}, {name: b, extends: antrea-networkpolicy}]\n")
	f.Add("sources: &a [{definition: *a}]\n")
	f.Add("definitions: [{name: a, patterns: {A: '%{B}', B: '%{A}'}, layouts: [{name: x, grok: '%{A:a}'}]}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "definitions_dir") {
			return // it may name whatever lies on this machine
		}
		c, err := ParseConfig("c.yaml", []byte(text))
		if (c == nil) == (err == nil) {
			t.Errorf("%q: configuration is %v, error is %v", text, c, err)
		}
	})
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
