package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/dashboards/view"
	"github.com/corkline/corkline/datasources"
	"github.com/corkline/corkline/deploy/alerts"
	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/provisioner"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/vswitch"
)

const (
	quickstartLogQL  = `sum by (action) (count_over_time({source="antrea-networkpolicy"}[10m]))`
	quickstartPromQL = `sum by (action) (corkline_networkpolicy_logged_packets_total)`
	deliveredPromQL  = `sum(corkline_pipeline_lines_shipped_total{instance=%q})` // without what an earlier run left in --dir

	// Somebody is watching: graphs are to move.
	quickstartStep   = 5 * time.Second // between the points of the viewer's graphs
	quickstartScrape = 2 * time.Second
	quickstartPoll   = 5 * time.Second // of the switch
	quickstartView   = "?from=now-15m" // there is no more yet

	answerLimit = 60 * time.Second // until a query has an answer
	answerEvery = 500 * time.Millisecond
)

// quickstartCmd runs everything on this machine.
type quickstartCmd struct {
	For  time.Duration `placeholder:"DURATION" help:"Stop by itself this long after everything is up, such as 30s. Without it, Ctrl-C stops it."`
	Dir  string        `type:"path" placeholder:"DIR" help:"Keep data, configuration and logs in this folder. Without it, they go to a temporary folder that is removed at the end."`
	Keep bool          `help:"Keep the temporary folder, and say where it is."`

	Switch string `default:"auto" enum:"auto,real,emulated" help:"Open vSwitch and connection tracking of the node: auto (default; real where it is installed), real, emulated."`
}

// Help is shown below the command's flags.
func (c *quickstartCmd) Help() string {
	return `Plays a node of a Kubernetes cluster on Antrea with a load balancer in front, and
starts an agent on its logs and its switch, and what that feeds: Loki with its
chunks in an S3 store, Prometheus with the alert rules, a page with the boards,
and Grafana if it is installed. The page tells what happens on the node. Its
switch is a real one where Open vSwitch is installed and may be started.
All of it listens on loopback only, and no container is needed. A server that is
not on PATH is taken from Debian or built from source with Go, once; that takes
minutes, and the lines wait in their file meanwhile.

Examples:
  corkline quickstart                    run until Ctrl-C
  corkline quickstart --for=30s          prove that it works, then stop
  corkline quickstart --dir=./quickstart keep data, configuration and logs

  CORKLINE_S3_ENDPOINT=http://127.0.0.1:9000 \
  CORKLINE_S3_ACCESS_KEY_FILE=access.key CORKLINE_S3_SECRET_KEY_FILE=secret.key \
    corkline quickstart                  use an S3 store that runs already

CORKLINE_CACHE names the folder in which the built servers are kept.`
}

// Run starts everything, shows that it works, and waits for the end of ctx or
// of --for. Both are a success; a server that ends before is not.
func (c *quickstartCmd) Run(ctx context.Context) (err error) {
	dir, temporary, err := c.directory()
	if err != nil {
		return err
	}
	progress := local.NewProgress(os.Stderr)
	defer func() {
		switch {
		case temporary && err == nil && !c.Keep:
			if removeErr := os.RemoveAll(dir); removeErr != nil {
				err = fmt.Errorf("remove the run directory: %w", removeErr)
			}
		default:
			progress.Printf("data, configuration and logs are in %s", dir)
		}
	}()

	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	q := &quickstart{dir: dir, mode: vswitch.Mode(c.Switch), progress: progress, fail: fail}
	err = q.start(running)
	if err == nil {
		err = q.show(running, os.Stdout)
	}
	if err == nil {
		err = c.wait(running)
	}
	if ctx.Err() != nil { // asked to stop, at whatever point
		err = nil
	}
	if stopErr := q.stop(); stopErr != nil {
		return errors.Join(err, stopErr)
	}
	if err == nil {
		progress.Printf("stopped")
	}
	return err
}

func (c *quickstartCmd) directory() (dir string, temporary bool, err error) {
	if c.Dir != "" {
		if err := os.MkdirAll(c.Dir, 0o700); err != nil {
			return "", false, fmt.Errorf("create the run directory: %w", err)
		}
		return c.Dir, false, nil
	}
	dir, err = os.MkdirTemp("", "corkline-quickstart-")
	if err != nil {
		return "", false, fmt.Errorf("create the run directory (or choose one with --dir): %w", err)
	}
	return dir, true, nil
}

// wait returns nil after --for, and else why running ended.
func (c *quickstartCmd) wait(running context.Context) error {
	var end <-chan time.Time
	if c.For > 0 {
		timer := time.NewTimer(c.For)
		defer timer.Stop()
		end = timer.C
	}
	select {
	case <-end:
		return nil
	case <-running.Done():
		return context.Cause(running)
	}
}

// quickstart is what runs.
type quickstart struct {
	dir      string
	mode     vswitch.Mode
	progress *local.Progress
	fail     context.CancelCauseFunc // ends the run with an error

	node    *quickstartNode
	agent   *local.Process
	stack   *local.Stack
	viewer  *viewer
	grafana string // what to do to see Grafana
	waited  int64  // lines that were written before Loki was up
}

// start brings up the node and the agent first: what it reads before Loki is
// there waits in files.
func (q *quickstart) start(ctx context.Context) error {
	s3, err := local.S3FromEnv()
	if err != nil {
		return err
	}
	var agentAddr, lokiAddr, syslogAddr, viewAddr string
	for _, addr := range []*string{&agentAddr, &lokiAddr, &syslogAddr, &viewAddr} {
		if *addr, err = local.FreeAddr(); err != nil {
			return err
		}
	}
	rules, err := alerts.Rules()
	if err != nil {
		return err
	}
	if rules["weights.yaml"], err = simulatedWeights(); err != nil {
		return err
	}
	q.node = newQuickstartNode(q.dir, syslogAddr, q.progress, q.fail)
	if err := q.node.startSurroundings(ctx, q.mode); err != nil {
		return err
	}
	if err := q.startAgent(ctx, agentAddr, "http://"+lokiAddr, "http://"+viewAddr); err != nil {
		return err
	}
	q.node.startLogs(ctx)
	q.progress.Printf("the agent runs: %s/ (it reads %s)", q.agent.URL, q.node.root())
	q.stack, err = local.Start(ctx, local.Options{
		Dir: q.dir, Progress: q.progress, S3: s3,
		LokiAddr: lokiAddr, Scrape: []string{agentAddr}, Labels: q.node.labels(), Jobs: q.node.jobs(), Rules: rules,
		ScrapeInterval: quickstartScrape, OnExit: q.fail,
	})
	if err != nil {
		return err
	}
	q.waited = q.node.lines.Load()
	q.viewer, err = startViewer(viewAddr, view.Options{
		Boards: dashboards.All(), Version: version,
		ScrapeInterval: quickstartStep, Note: q.node.note,
		Prometheus: view.Store{URL: q.stack.Prometheus.URL}, Loki: view.Store{URL: q.stack.Loki.URL},
	}, q.fail)
	if err != nil {
		return err
	}
	q.startGrafana(ctx)
	return nil
}

// quickstartConfig is the part of the agent's configuration that is set.
type quickstartConfig struct {
	simulatedConfig `yaml:",inline"`
	BoardsURL       string        `yaml:"boards_url"`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`
}

func (q *quickstart) startAgent(ctx context.Context, addr, loki, boards string) error {
	config, err := q.node.configuration(0)
	if err != nil {
		return err
	}
	// Somebody is watching, both when Loki comes up and at Ctrl-C.
	config.StateDir, config.Listen, config.Loki = filepath.Join(q.dir, "state"), addr, map[string]string{"url": loki, "max_backoff": "2s"}
	config.Collectors.Conntrack.Interval, config.Collectors.OVS.Interval, config.Collectors.OVS.FullInterval = quickstartPoll, quickstartPoll, 4*quickstartPoll
	text, err := yaml.Marshal(quickstartConfig{simulatedConfig: *config, BoardsURL: boards, ShutdownTimeout: 3 * time.Second})
	if err != nil {
		return fmt.Errorf("encode the agent's configuration: %w", err)
	}
	file := filepath.Join(q.dir, "corkline.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the agent's configuration: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	q.agent = &local.Process{
		Name: "agent", URL: "http://" + addr,
		Path: self, Args: []string{"agent", "--config", file},
		LogFile: filepath.Join(q.dir, "agent.log"),
		Ready:   local.Answers("http://" + addr + "/metrics"),
		OnExit:  q.fail,
	}
	return q.agent.Start(ctx)
}

// startGrafana leaves in q.grafana where it is or how to get it. The rest
// works without it, so that it cannot fail the run.
func (q *quickstart) startGrafana(ctx context.Context) {
	found, err := q.stack.StartGrafana(ctx)
	switch {
	case err != nil:
		q.grafana = fmt.Sprintf("did not start: %v", err)
	case found:
		_, err := provisioner.Push(ctx, provisioner.Grafana{URL: q.stack.Grafana.URL}, provisioner.PushOptions{
			Dashboards: dashboards.All(), Folder: "Corkline", FolderUID: "corkline",
		})
		q.grafana = q.stack.Grafana.URL + "/dashboards"
		if err != nil {
			q.grafana += fmt.Sprintf(" (without boards: %v)", err)
		}
	case dockerAnswers(ctx):
		q.grafana = "not installed; Docker is: docker run --rm --network host" +
			" -e GF_SERVER_HTTP_ADDR=127.0.0.1 -e GF_AUTH_ANONYMOUS_ENABLED=true -e GF_AUTH_ANONYMOUS_ORG_ROLE=Editor" +
			" -v " + shellQuote(q.stack.ProvisioningDir()+":/etc/grafana/provisioning:ro") + " grafana/grafana"
	default:
		q.grafana = "not installed; get it from https://grafana.com/grafana/download and run this again"
	}
}

func dockerAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// verifyLimit is what the boards get until every panel has data: rates take two
// scrapes.
const verifyLimit = 20 * time.Second

// verify runs the queries of the first board, and says how many panels have
// data.
func (q *quickstart) verify(ctx context.Context) (string, error) {
	stores := datasources.Stores{Prometheus: datasources.Store{URL: q.stack.Prometheus.URL}, Loki: datasources.Store{URL: q.stack.Loki.URL}}
	boards := dashboards.All()
	results, err := (&verifyCmd{Wait: verifyLimit, Range: 15 * time.Minute}).verify(ctx, boards[:1], stores)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d boards; of %s, %d of %d panels have data", len(boards), boards[0].Title, count(results, provisioner.HasData), len(results))
	for _, r := range results {
		switch r.State {
		case provisioner.Quiet:
			text += fmt.Sprintf("; %s: %s", r.Panel, r.Reason)
		case provisioner.NoData, provisioner.Broken:
			text += fmt.Sprintf("; %s: %s %s", r.Panel, r.State, r.Reason)
		}
	}
	return text, nil
}

// show waits until both stores answer and have what waited for them, and
// prints where everything is and what it says.
func (q *quickstart) show(ctx context.Context, w io.Writer) error {
	loki, prometheus := q.stack.Loki.URL+"/loki/api/v1/query", q.stack.Prometheus.URL+"/api/v1/query"
	var delivered int64
	shipped := fmt.Sprintf(deliveredPromQL, strings.TrimPrefix(q.agent.URL, "http://"))
	if _, err := q.answer(ctx, "waiting until Loki has the lines", prometheus, shipped, func(rows []row) bool {
		if len(rows) == 1 {
			delivered = int64(rows[0].value)
		}
		return delivered >= q.waited
	}); err != nil {
		return fmt.Errorf("deliver the %d lines that waited for Loki, %d done: %w", q.waited, delivered, err)
	}
	some := func(rows []row) bool { return len(rows) > 0 }
	lines, err := q.answer(ctx, "asking Loki", loki, quickstartLogQL, some)
	if err != nil {
		return err
	}
	packets, err := q.answer(ctx, "asking Prometheus", prometheus, quickstartPromQL, some)
	if err != nil {
		return err
	}

	boards, err := q.verify(ctx)
	if err != nil {
		return err
	}

	var page strings.Builder
	table := tabwriter.NewWriter(&page, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nCorkline runs on this machine, and looks at a simulated node.\n\n")
	fmt.Fprintf(table, "  boards\t%s/%s\n", q.viewer.URL, quickstartView)
	fmt.Fprintf(table, "  \t%s\n", boards)
	fmt.Fprintf(table, "  played\tthe logs of %s, of its load balancer and of the operators; Antrea's metrics\n", simulation.NodeName(0))
	fmt.Fprintf(table, "  switch\t%s\n", q.node.vswitch.Describe())
	fmt.Fprintf(table, "  agent\t%s/\n", q.agent.URL)
	fmt.Fprintf(table, "  metrics\t%s/metrics\n", q.agent.URL)
	fmt.Fprintf(table, "  Loki\t%s\n", q.stack.Loki.URL)
	fmt.Fprintf(table, "  Prometheus\t%s\n", q.stack.Prometheus.URL)
	fmt.Fprintf(table, "  S3\t%s (the keys are in %s)\n", q.stack.S3, filepath.Join(q.dir, "loki.yaml"))
	fmt.Fprintf(table, "  Grafana\t%s\n", q.grafana)
	fmt.Fprintf(table, "  logs\t%s\n", q.node.root())
	printAnswer(table, "LogQL", quickstartLogQL, "LINES", lines)
	printAnswer(table, "PromQL", quickstartPromQL, "PACKETS", packets)
	fmt.Fprintf(table, "\n%d lines were written before Loki was up; they waited in their files, and all are delivered.\n", q.waited)
	fmt.Fprintf(table, "Ctrl-C stops everything.\n")
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if _, err := io.WriteString(w, page.String()); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

func printAnswer(w io.Writer, language, query, unit string, rows []row) {
	fmt.Fprintf(w, "\n%s: %s\n\n", language, query)
	fmt.Fprintf(w, "  ACTION\t%s\n", unit)
	for _, r := range rows {
		fmt.Fprintf(w, "  %s\t%.0f\n", r.action, r.value)
	}
}

// answer asks until the rows are enough, for a minute at most.
func (q *quickstart) answer(ctx context.Context, what, endpoint, query string, enough func([]row) bool) ([]row, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("nothing within %s (see agent.log and loki.log)", answerLimit))
	defer cancel()
	done := q.progress.Track(what, func() string { return "" })
	defer done()
	tick := time.NewTicker(answerEvery)
	defer tick.Stop()
	for {
		rows, err := ask(ctx, endpoint, query)
		if err == nil && enough(rows) {
			return rows, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("query %s at %s: %w", query, endpoint, errors.Join(context.Cause(ctx), err))
		case <-tick.C:
		}
	}
}

// row of an answer, an action and its sum.
type row struct {
	action string
	value  float64
}

// ask makes an instant query; Loki and Prometheus answer in the same form.
func ask(ctx context.Context, endpoint, query string) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"?query="+url.QueryEscape(query), nil)
	if err != nil {
		return nil, fmt.Errorf("create the request: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("send the query: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answer: %s: %.200q", response.Status, body)
	}
	return decodeAnswer(body)
}

func decodeAnswer(body []byte) ([]row, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any // Unix seconds, and a number in a string
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	rows := make([]row, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("decode the value of %v: %w", r.Metric, err)
		}
		rows = append(rows, row{r.Metric["action"], value})
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.action, b.action) })
	return rows, nil
}

// stop stops what runs, in the reverse order of the lines' way.
func (q *quickstart) stop() error {
	var errs []error
	if q.node != nil {
		errs = append(errs, q.node.stop())
	}
	if q.viewer != nil {
		errs = append(errs, q.viewer.stop())
	}
	if q.agent != nil {
		errs = append(errs, q.agent.Stop())
	}
	if q.stack != nil {
		errs = append(errs, q.stack.Stop())
	}
	return errors.Join(errs...)
}

// simulatedWeights are rules that say what the sites of the simulated GSLB
// service weigh.
func simulatedWeights() ([]byte, error) {
	type rule struct {
		Record string            `yaml:"record"`
		Expr   string            `yaml:"expr"`
		Labels map[string]string `yaml:"labels"`
	}
	type group struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}
	weights := group{Name: "weights"}
	for _, s := range simulation.Sites() {
		weights.Rules = append(weights.Rules, rule{
			"gslb:weight", fmt.Sprintf("vector(%d)", s.Weight),
			map[string]string{"gslbservice": simulation.GSLBService, "member": s.Name},
		})
	}
	text, err := yaml.Marshal(map[string][]group{"groups": {weights}})
	if err != nil {
		return nil, fmt.Errorf("encode the weights: %w", err)
	}
	return text, nil
}
