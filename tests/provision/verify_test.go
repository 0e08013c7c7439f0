package provision

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// One panel for each kind of query and each outcome, in the shapes that
// Grafana writes; ' is a back quote.
const verifiedBoard = `{
  "uid": "verified", "title": "Verified",
  "templating": {"list": [
    {"name": "datasource", "type": "datasource", "query": "prometheus"},
    {"name": "logs", "type": "datasource", "query": "loki"},
    {"name": "job", "type": "query", "includeAll": true, "multi": true, "current": {"value": ["$__all"]}},
    {"name": "source", "type": "query", "multi": true, "current": {"value": ["verify.test", "other"]}},
    {"name": "needle", "type": "textbox", "query": "line"}
  ]},
  "panels": [
    {"id": 1, "title": "range", "type": "timeseries", "datasource": {"type": "prometheus", "uid": "${datasource}"},
      "targets": [{"refId": "A", "expr": "count_over_time(up{job=~\"$job\"}[$__rate_interval])"}]},
    {"id": 2, "title": "row", "type": "row", "collapsed": true, "panels": [
      {"id": 3, "title": "instant", "type": "stat", "targets": [{"refId": "A", "instant": true, "expr": "vector(1)", "datasource": {"uid": "$datasource"}}]}]},
    {"id": 4, "title": "lines", "type": "logs", "datasource": {"type": "loki", "uid": "${logs}"},
      "targets": [{"refId": "A", "expr": "{source=~'${source:regex}'} |= \"[[needle]]\""}]},
    {"id": 5, "title": "numbers of lines", "type": "timeseries", "datasource": {"type": "loki", "uid": "corkline-loki"},
      "targets": [{"refId": "A", "expr": "sum by (source) (count_over_time({source=~\"$source\"}[$__auto]))"},
                  {"refId": "B", "hide": true, "expr": "nonsense("}]},
    {"id": 6, "title": "a number of lines", "type": "stat", "datasource": {"type": "loki", "uid": "${logs}"},
      "targets": [{"refId": "A", "queryType": "instant", "expr": "sum(count_over_time({source=~\"$source\"}[$__range]))"}]},
    {"id": 7, "title": "empty", "type": "timeseries", "datasource": {"type": "prometheus", "uid": "${datasource}"},
      "targets": [{"refId": "A", "expr": "nothing_has_this_name"}]},
    {"id": 8, "title": "not a number", "type": "stat", "datasource": {"type": "prometheus", "uid": "${datasource}"},
      "targets": [{"refId": "A", "instant": true, "expr": "vector(0) / 0"}]},
    {"id": 9, "title": "text", "type": "text"},
    {"id": 10, "title": "other", "type": "table", "datasource": {"type": "testdata", "uid": "x"}, "targets": [{"refId": "A"}]}
  ]
}`

type result struct {
	Panel  string
	State  string
	Reason string
}

// Verify tells data from none from an error, over real servers.
func TestVerify(t *testing.T) {
	now := time.Now()
	body := fmt.Sprintf(`{"streams": [{"stream": {"source": "verify.test"}, "values": [["%d", "a line"], ["%d", "another line"]]}]}`,
		now.Add(-time.Minute).UnixNano(), now.Add(-30*time.Second).UnixNano())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, servers.stack.Loki.URL+"/loki/api/v1/push", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		t.Fatal(response.Status)
	}

	up := write(t, "up.json", `{"uid": "up", "title": "Up", "panels": [{"title": "up", "targets": [{"refId": "A", "expr": "up"}]}]}`)
	succeed(t, nil, "verify", "--no-shipped", "--dashboard="+up, "--prometheus-url="+servers.stack.Prometheus.URL, "--wait=30s", "--fail-on-no-data")
	board := write(t, "verified.json", strings.ReplaceAll(verifiedBoard, "'", "`"))
	args := []string{
		"verify", "--no-shipped", "--dashboard=" + board, "-o", "json",
		"--prometheus-url=" + servers.stack.Prometheus.URL, "--loki-url=" + servers.stack.Loki.URL,
	}
	var got []result
	if err := json.Unmarshal([]byte(succeed(t, nil, args...)), &got); err != nil {
		t.Fatal(err)
	}
	want := []result{
		{"range", "data", ""},
		{"instant", "data", ""},
		{"lines", "data", ""},
		{"numbers of lines", "data", ""},
		{"a number of lines", "data", ""},
		{"empty", "no data", ""},
		{"not a number", "no data", ""},
		{"other", "skipped", "only Grafana runs queries of datasource testdata"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("panels (-want +got):\n%s", diff)
	}
	refuse(t, nil, 1, []string{"of 8 panels, 0 have errors and 2 no data"}, append(args, "--fail-on-no-data")...)
}

func TestVerifyErrors(t *testing.T) {
	const form = `{"uid": "errors", "title": "Errors", "panels": [{"id": 1, "title": "p", "datasource": {"type": %q, "uid": "x"}, "targets": [{"refId": "A", "expr": %q}]}]}`
	board := func(kind, expr string) string {
		return "--dashboard=" + write(t, "errors.json", fmt.Sprintf(form, kind, expr))
	}
	prometheus, loki := "--prometheus-url="+servers.stack.Prometheus.URL, "--loki-url="+servers.stack.Loki.URL
	for name, c := range map[string]struct {
		reason string
		args   []string
	}{
		"PromQL":           {"parse error", []string{board("prometheus", "sum("), prometheus}},
		"LogQL":            {"parse error", []string{board("loki", "{a="), loki}},
		"nobody answers":   {"connection refused", []string{board("loki", "{}"), "--loki-url=http://127.0.0.1:1"}},
		"another server":   {"404", []string{board("loki", `{a="b"}`), "--loki-url=" + servers.stack.Prometheus.URL}},
		"no URL was given": {"no URL", []string{board("loki", "{}"), prometheus}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := corkline(t, nil, append([]string{"verify", "--no-shipped"}, c.args...)...)
			if code != 1 || !strings.Contains(stderr, "1 have errors") {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
			if !strings.Contains(stdout, c.reason) {
				t.Errorf("it says\n%s\nand not %q", stdout, c.reason)
			}
		})
	}
}
