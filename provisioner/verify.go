package provisioner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/datasources"
)

const (
	queryLimit       = 30 * time.Second // for one query
	queryAnswerLimit = 64 << 20         // bytes
	graphPoints      = 100              // of a range query: enough to see whether there is data
	logLines         = 10               // of a log query
)

// State tells whether a panel shows something.
type State string

// The states, from good to bad.
const (
	HasData State = "data"
	Quiet   State = "quiet" // no data, which the panel has words for (noValue)
	NoData  State = "no data"
	Broken  State = "error"
	Skipped State = "skipped" // with a query that only Grafana can run
)

// PanelResult is what one panel's queries gave.
type PanelResult struct {
	Dashboard string `json:"dashboard"` // its title
	Panel     string `json:"panel"`     // its title
	ID        int    `json:"id"`
	State     State  `json:"state"`
	// Series that were found by all of the panel's queries: time series, or
	// streams of log lines.
	Series int `json:"series"`
	// Queries as they were sent.
	Queries []string `json:"queries"`
	// Reason of an error or a skip.
	Reason string `json:"reason,omitempty"`
}

// VerifyOptions choose what is asked.
type VerifyOptions struct {
	// Range back from now; an hour when it is zero.
	Range time.Duration
	// Variables override the dashboards' defaults.
	Variables map[string]string
	// Progress is told before each panel; it may be nil.
	Progress func(dashboard, panel string)
}

// Verify runs the queries of every panel, as Grafana would with the variables
// at their defaults, and tells which panels have data. It fails when a
// dashboard cannot be read; a query that fails is a result.
func Verify(ctx context.Context, boards []dashboards.Dashboard, stores datasources.Stores, o VerifyOptions) ([]PanelResult, error) {
	if o.Range == 0 {
		o.Range = time.Hour
	}
	v := &verification{options: o, to: time.Now(), stores: map[string]*storeClient{}}
	for kind, store := range map[string]datasources.Store{"prometheus": stores.Prometheus, "loki": stores.Loki} {
		if store == (datasources.Store{}) {
			continue
		}
		transport, err := store.Transport()
		if err != nil {
			return nil, fmt.Errorf("use the datasource %s: %w", kind, err)
		}
		client := &storeClient{url: store.URL, http: &http.Client{Transport: transport, Timeout: queryLimit}}
		defer client.http.CloseIdleConnections()
		v.stores[kind] = client
	}
	var results []PanelResult
	for _, d := range boards {
		var b board
		if err := json.Unmarshal(d.JSON, &b); err != nil {
			return nil, fmt.Errorf("read the dashboard %s.json: %w", d.Stem, err)
		}
		variables := b.variables(o.Range, o.Variables)
		for _, p := range b.all() {
			if o.Progress != nil {
				o.Progress(b.Title, p.Title)
			}
			result, queries := v.panel(ctx, p, variables)
			if ctx.Err() != nil {
				return results, fmt.Errorf("verify the dashboards: %w", context.Cause(ctx))
			}
			if queries {
				result.Dashboard = b.Title
				results = append(results, result)
			}
		}
	}
	return results, nil
}

// board is the part of a dashboard's JSON that leads to queries.
type board struct {
	Title      string
	Panels     []panel
	Templating struct{ List []variable }
}

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource reference
	Targets    []target
	Panels     []panel // of a collapsed row

	FieldConfig struct {
		Defaults struct{ NoValue string }
	}
}

type target struct {
	RefID      string
	Datasource reference
	Expr       string
	Instant    bool
	QueryType  string
	Hide       bool
}

// reference names a datasource: an object, or a name alone in old dashboards.
type reference struct{ Type, UID string }

// UnmarshalJSON implements json.Unmarshaler.
func (r *reference) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, &r.UID)
	}
	type plain reference
	return json.Unmarshal(text, (*plain)(r))
}

// all panels, those in rows too.
func (b board) all() []panel {
	var all []panel
	for _, p := range b.Panels {
		all = append(append(all, p), p.Panels...)
	}
	return all
}

type verification struct {
	options VerifyOptions
	to      time.Time
	stores  map[string]*storeClient // by type of datasource
}

// panel runs the queries of one, and tells whether it has any.
func (v *verification) panel(ctx context.Context, p panel, variables substitution) (result PanelResult, queries bool) {
	result = PanelResult{Panel: p.Title, ID: p.ID, State: NoData, Queries: []string{}}
	for _, t := range p.Targets {
		if t.Hide {
			continue
		}
		queries = true
		kind := variables.kind(t.Datasource, p.Datasource)
		store := v.stores[kind]
		switch {
		case kind != "prometheus" && kind != "loki":
			result.worsen(Skipped, "only Grafana runs queries of datasource "+kind)
			continue
		case store == nil:
			result.worsen(Broken, "no URL for the datasource "+kind+" was given")
			continue
		}
		expr := variables.expand(t.Expr)
		result.Queries = append(result.Queries, expr)
		series, err := store.query(ctx, kind, expr, t.Instant || t.QueryType == "instant", v.to.Add(-v.options.Range), v.to)
		result.Series += series
		if err != nil {
			result.worsen(Broken, fmt.Sprintf("query %s: %v", t.RefID, err))
		}
	}
	switch {
	case result.State != NoData:
	case result.Series > 0:
		result.State = HasData
	case p.FieldConfig.Defaults.NoValue != "":
		result.State, result.Reason = Quiet, p.FieldConfig.Defaults.NoValue
	}
	return result, queries
}

// worsen keeps the first error, and a skip only where nothing is worse.
func (r *PanelResult) worsen(s State, reason string) {
	if r.State == Broken || (s == Skipped && r.State != NoData) {
		return
	}
	r.State, r.Reason = s, reason
}

type storeClient struct {
	url  string
	http *http.Client
}

// query counts the series, or streams, that have a value.
func (c *storeClient) query(ctx context.Context, kind, expr string, instant bool, from, to time.Time) (int, error) {
	path := "/api/v1/query"
	if kind == "loki" {
		path = "/loki/api/v1/query"
	}
	parameters := url.Values{"query": {expr}}
	switch {
	case kind == "loki" && (isLogQuery(expr) || !instant):
		path += "_range"
		parameters.Set("start", strconv.FormatInt(from.UnixNano(), 10))
		parameters.Set("end", strconv.FormatInt(to.UnixNano(), 10))
		parameters.Set("step", stepOf(to.Sub(from)))
		parameters.Set("limit", strconv.Itoa(logLines))
	case kind == "loki":
		parameters.Set("time", strconv.FormatInt(to.UnixNano(), 10))
	case !instant:
		path += "_range"
		parameters.Set("start", seconds(from))
		parameters.Set("end", seconds(to))
		parameters.Set("step", stepOf(to.Sub(from)))
	default:
		parameters.Set("time", seconds(to))
	}
	body, err := c.get(ctx, path+"?"+parameters.Encode())
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("the answer of %s is not one of %s (is its URL right?): %w", c.url, kind, err)
	}
	return count(answer.Data.ResultType, answer.Data.Result)
}

// isLogQuery tells lines from numbers: an expression that begins with a
// stream selector gives lines.
func isLogQuery(expr string) bool { return strings.HasPrefix(strings.TrimSpace(expr), "{") }

func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

func stepOf(span time.Duration) string {
	return strconv.Itoa(max(1, int(span.Seconds())/graphPoints))
}

// get returns the body of a 200, and else the server's own words.
func (c *storeClient) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.url, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("create the request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %s", c.url, reason(err)) // without the query in its URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, queryAnswerLimit))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", c.url, err)
	}
	if response.StatusCode == http.StatusOK {
		return body, nil
	}
	var failure struct{ Error, Message string }
	text := strings.TrimSpace(string(body)) // Loki's errors are plain text
	if json.Unmarshal(body, &failure) == nil && failure.Error+failure.Message != "" {
		text = failure.Error + failure.Message
	}
	if len(text) > 300 || strings.HasPrefix(text, "<") { // a proxy's page
		text = ""
	}
	return nil, fmt.Errorf("%s: %s", response.Status, text)
}

// count is of those that have a value other than NaN, which panels leave out.
func count(resultType string, result json.RawMessage) (int, error) {
	if resultType == "scalar" {
		return 1, nil
	}
	var series []struct {
		Value  [2]any
		Values [][]any
	}
	if err := json.Unmarshal(result, &series); err != nil {
		return 0, errors.New("parse the result: it is no vector, matrix or streams")
	}
	n := 0
	for _, s := range series {
		values := s.Values
		if s.Value[1] != nil {
			values = [][]any{s.Value[:]}
		}
		for _, value := range values {
			if len(value) > 1 && value[1] != "NaN" {
				n++
				break
			}
		}
	}
	return n, nil
}
