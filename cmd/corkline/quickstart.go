package main

import (
	"bytes"
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
	"sync/atomic"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/dashboards/view"
	"github.com/corkline/corkline/datasources"
	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/provisioner"
	"github.com/corkline/corkline/samples"
)

const (
	quickstartSource = "antrea-networkpolicy"
	quickstartLogQL  = `sum by (action) (count_over_time({source="antrea-networkpolicy"}[10m]))`
	quickstartPromQL = `sum by (action) (corkline_networkpolicy_logged_packets_total)`
	deliveredPromQL  = `sum(corkline_pipeline_lines_shipped_total{instance=%q})` // without what an earlier run left in --dir

	quickstartStep = 5 * time.Second // between the points of the viewer's graphs, which are to move while somebody looks

	feedEvery   = 100 * time.Millisecond // between two appends to the log
	feedStep    = 20 * time.Millisecond  // between two lines
	feedHistory = time.Minute            // of lines that are there at the start
	answerLimit = 60 * time.Second       // until a query has an answer
	answerEvery = 500 * time.Millisecond
)

// quickstartCmd runs everything on this machine.
type quickstartCmd struct {
	For  time.Duration `placeholder:"DURATION" help:"Stop by itself this long after everything is up, such as 30s. Without it, Ctrl-C stops it."`
	Dir  string        `type:"path" placeholder:"DIR" help:"Keep data, configuration and logs in this folder. Without it, they go to a temporary folder that is removed at the end."`
	Keep bool          `help:"Keep the temporary folder, and say where it is."`
}

// Help is shown below the command's flags.
func (c *quickstartCmd) Help() string {
	return `Starts an agent on a network-policy log that keeps growing, and what it feeds:
Loki with its chunks in an S3 store, Prometheus, a page with the boards, and
Grafana if it is installed.
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
	q := &quickstart{dir: dir, progress: progress, fail: fail}
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
	progress *local.Progress
	fail     context.CancelCauseFunc // ends the run with an error

	feed    *feed
	stopped func() // stops the feed and waits for it
	agent   *local.Process
	stack   *local.Stack
	viewer  *viewer
	grafana string // what to do to see Grafana
	waited  int64  // lines that were written before Loki was up
}

// start brings up the agent first: what it reads before Loki is there waits
// in the log file.
func (q *quickstart) start(ctx context.Context) error {
	s3, err := local.S3FromEnv()
	if err != nil {
		return err
	}
	agentAddr, err := local.FreeAddr()
	if err != nil {
		return err
	}
	lokiAddr, err := local.FreeAddr()
	if err != nil {
		return err
	}
	if err := q.startFeed(ctx); err != nil {
		return err
	}
	if err := q.startAgent(ctx, agentAddr, "http://"+lokiAddr); err != nil {
		return err
	}
	q.progress.Printf("the agent runs: %s/ (it reads %s)", q.agent.URL, q.feed.path)
	q.stack, err = local.Start(ctx, local.Options{
		Dir: q.dir, Progress: q.progress, S3: s3,
		LokiAddr: lokiAddr, Scrape: []string{agentAddr}, OnExit: q.fail,
	})
	if err != nil {
		return err
	}
	q.waited = q.feed.lines.Load()
	q.viewer, err = startViewer("127.0.0.1:0", view.Options{
		Boards: dashboards.All(), Version: version,
		ScrapeInterval: quickstartStep,
		Prometheus:     view.Store{URL: q.stack.Prometheus.URL}, Loki: view.Store{URL: q.stack.Loki.URL},
	}, q.fail)
	if err != nil {
		return err
	}
	q.startGrafana(ctx)
	return nil
}

func (q *quickstart) startFeed(ctx context.Context) error {
	var err error
	if q.feed, err = newFeed(filepath.Join(q.dir, "np.log"), time.Now()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := q.feed.run(ctx); err != nil {
			q.fail(err)
		}
	}()
	q.stopped = func() {
		cancel()
		<-done
	}
	return nil
}

// quickstartConfig is the part of the agent's configuration that is set.
type quickstartConfig struct {
	Node            string             `yaml:"node"`
	Cluster         string             `yaml:"cluster"`
	StateDir        string             `yaml:"state_dir"`
	Listen          string             `yaml:"listen"`
	ShutdownTimeout time.Duration      `yaml:"shutdown_timeout"`
	Loki            quickstartLoki     `yaml:"loki"`
	Sources         []quickstartTarget `yaml:"sources"`
}

type quickstartLoki struct {
	URL        string        `yaml:"url"`
	MaxBackoff time.Duration `yaml:"max_backoff"`
}

type quickstartTarget struct {
	Definition string   `yaml:"definition"`
	Files      []string `yaml:"files"`
}

func (q *quickstart) startAgent(ctx context.Context, addr, loki string) error {
	text, err := yaml.Marshal(quickstartConfig{
		Node: "localhost", Cluster: "quickstart",
		StateDir: filepath.Join(q.dir, "state"), Listen: addr,
		// Somebody is watching, both when Loki comes up and at Ctrl-C.
		ShutdownTimeout: 3 * time.Second,
		Loki:            quickstartLoki{URL: loki, MaxBackoff: 2 * time.Second},
		Sources:         []quickstartTarget{{Definition: quickstartSource, Files: []string{q.feed.path}}},
	})
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

// verify runs the queries of all panels, and says how many have data.
func (q *quickstart) verify(ctx context.Context) (string, error) {
	stores := datasources.Stores{Prometheus: datasources.Store{URL: q.stack.Prometheus.URL}, Loki: datasources.Store{URL: q.stack.Loki.URL}}
	results, err := (&verifyCmd{Wait: verifyLimit, Range: time.Hour}).verify(ctx, dashboards.All(), stores)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%d of %d panels have data", count(results, provisioner.HasData), len(results))
	for _, r := range results {
		if r.State == provisioner.NoData || r.State == provisioner.Broken {
			text += fmt.Sprintf("; %s of %s: %s %s", r.Panel, r.Dashboard, r.State, r.Reason)
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
	fmt.Fprintf(table, "\nCorkline runs on this machine.\n\n")
	fmt.Fprintf(table, "  boards\t%s/ (%s)\n", q.viewer.URL, boards)
	fmt.Fprintf(table, "  agent\t%s/\n", q.agent.URL)
	fmt.Fprintf(table, "  metrics\t%s/metrics\n", q.agent.URL)
	fmt.Fprintf(table, "  Loki\t%s\n", q.stack.Loki.URL)
	fmt.Fprintf(table, "  Prometheus\t%s\n", q.stack.Prometheus.URL)
	fmt.Fprintf(table, "  S3\t%s (the keys are in %s)\n", q.stack.S3, filepath.Join(q.dir, "loki.yaml"))
	fmt.Fprintf(table, "  Grafana\t%s\n", q.grafana)
	fmt.Fprintf(table, "  log\t%s\n", q.feed.path)
	printAnswer(table, "LogQL", quickstartLogQL, "LINES", lines)
	printAnswer(table, "PromQL", quickstartPromQL, "PACKETS", packets)
	fmt.Fprintf(table, "\n%d lines were written before Loki was up; they waited in the log, and all are delivered.\n", q.waited)
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
	if q.stopped != nil {
		q.stopped()
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

// feed writes a network-policy log as the Antrea agent of a busy node does.
type feed struct {
	path      string
	generator *samples.Generator
	next      time.Time    // of the next line
	lines     atomic.Int64 // written so far
	buffer    []byte
}

// cutLine does not parse, so that it can be seen how such a line is shown.
const cutLine = "AntreaPolicyIngressRule AntreaNetworkPolicy:shop/cut\n"

// newFeed creates the log with the lines of the minute before now; one that is
// cut follows. A log that is already there is continued.
func newFeed(path string, now time.Time) (*feed, error) {
	begin := now.Add(-feedHistory)
	f := &feed{
		path:      path,
		generator: samples.NewGenerator(samples.Options{Seed: now.UnixNano(), Start: begin, Step: feedStep}),
		next:      begin,
	}
	err := f.catchUp(now)
	f.buffer = append(f.buffer, cutLine...) // comes next
	return f, err
}

// run appends the lines as they fall due, until ctx ends.
func (f *feed) run(ctx context.Context) error {
	tick := time.NewTicker(feedEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if err := f.catchUp(now); err != nil {
				return err
			}
		}
	}
}

// catchUp appends the lines that are due.
func (f *feed) catchUp(now time.Time) error {
	for ; !f.next.After(now); f.next = f.next.Add(feedStep) {
		f.buffer = f.generator.Next(f.buffer)
	}
	log, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the sample log: %w", err)
	}
	_, err = log.Write(f.buffer)
	if err := errors.Join(err, log.Close()); err != nil {
		return fmt.Errorf("write the sample log: %w", err)
	}
	f.lines.Add(int64(bytes.Count(f.buffer, []byte{'\n'})))
	f.buffer = f.buffer[:0]
	return nil
}
