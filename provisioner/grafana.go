package provisioner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/grafana-tools/sdk"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/datasources"
)

const (
	grafanaLimit       = 30 * time.Second // for one request
	grafanaAnswerLimit = 16 << 20         // bytes
)

// Grafana is a server with who we are to it: a token (of a service account,
// role Editor, and Admin for datasources), or a user with a password. Printing
// it shows no secret.
type Grafana struct {
	URL      string
	Token    string
	User     string
	Password string
}

// String is the URL.
func (g Grafana) String() string { return g.URL }

// GoString is the URL.
func (g Grafana) GoString() string { return g.URL }

// PushOptions say what Grafana is to have.
type PushOptions struct {
	Dashboards  []dashboards.Dashboard
	Datasources datasources.Stores // none when they are empty
	// Folder is the title of the dashboards' folder, and FolderUID what it is
	// known by. Without a title they go to the root.
	Folder    string
	FolderUID string
	// DryRun only says what would be done.
	DryRun bool
}

// Push makes the datasources, the folder and the dashboards, by their uids,
// and leaves alone what is there already. It returns what was done up to the
// first error, and what was not.
func Push(ctx context.Context, g Grafana, o PushOptions) ([]Change, error) {
	if err := check(o.Dashboards); err != nil {
		return nil, err
	}
	var stores []datasources.Datasource
	if o.Datasources != (datasources.Stores{}) {
		var err error
		if stores, err = datasources.All(o.Datasources); err != nil {
			return nil, err
		}
	}
	p, err := newPush(g, o)
	if err != nil {
		return nil, err
	}
	defer p.http.CloseIdleConnections()

	type task struct {
		Change
		do func(context.Context) (Action, error)
	}
	var tasks []task
	for _, d := range stores {
		tasks = append(tasks, task{Change{Kind: "Datasource", Name: d.UID}, func(ctx context.Context) (Action, error) { return p.datasource(ctx, d) }})
	}
	if o.Folder != "" {
		tasks = append(tasks, task{Change{Kind: "Folder", Name: o.FolderUID}, p.folder})
	}
	for _, d := range o.Dashboards {
		tasks = append(tasks, task{Change{Kind: "Dashboard", Name: d.UID}, func(ctx context.Context) (Action, error) { return p.dashboard(ctx, d) }})
	}
	changes := make([]Change, len(tasks))
	var failure error
	for i, task := range tasks {
		changes[i] = task.Change
		if failure != nil {
			changes[i].Action = NotApplied
			continue
		}
		if changes[i].Action, err = task.do(ctx); err != nil {
			changes[i].Action = Failed
			failure = fmt.Errorf("push %s %s to %s: %w", strings.ToLower(task.Kind), task.Name, g, err)
		}
	}
	return changes, failure
}

type push struct {
	options PushOptions
	base    *url.URL
	http    *http.Client
	sdk     *sdk.Client
}

func newPush(g Grafana, o PushOptions) (*push, error) {
	base, err := url.Parse(g.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, errors.New("parse the URL of Grafana: want http(s)://host")
	}
	if base.User != nil {
		return nil, errors.New("parse the URL of Grafana: it must not carry a user or password; see --help for where they go")
	}
	transport := &grafanaTransport{grafana: g, next: http.DefaultTransport.(*http.Transport).Clone()}
	if o.Folder != "" {
		transport.folderUID = o.FolderUID
	}
	p := &push{options: o, base: base, http: &http.Client{Transport: transport, Timeout: grafanaLimit}}
	// The transport authenticates: the client takes every token with a colon
	// for a user with a password, and puts passwords into URLs.
	if p.sdk, err = sdk.NewClient(base.String(), "", p.http); err != nil {
		return nil, fmt.Errorf("create the Grafana client: %w", err)
	}
	return p, nil
}

// datasource is compared as far as Grafana tells; what is secret it does not,
// so that a datasource with secrets is always written.
func (p *push) datasource(ctx context.Context, d datasources.Datasource) (Action, error) {
	var live struct {
		datasources.Datasource
		ReadOnly bool `json:"readOnly"`
	}
	err := p.call(ctx, http.MethodGet, "/api/datasources/uid/"+d.UID, nil, &live)
	switch {
	case isGrafanaNotFound(err):
		if p.options.DryRun {
			return Created, nil
		}
		_, err := p.sdk.CreateDatasource(ctx, sdk.Datasource{
			UID: d.UID, Name: d.Name, Type: d.Type, Access: d.Access, URL: d.URL, IsDefault: d.IsDefault,
			BasicAuth: &d.BasicAuth, BasicAuthUser: &d.BasicAuthUser,
			JSONData: d.JSONData, SecureJSONData: d.SecureJSONData,
		})
		return Created, err
	case err != nil:
		return Failed, err
	case live.ReadOnly:
		return Failed, errors.New("it comes from a provisioning file, and Grafana takes no change from elsewhere; remove it there, or push without datasources")
	}
	secrets := d.SecureJSONData
	want, have := d, live.Datasource
	want.SecureJSONData, have.SecureJSONData = nil, nil
	if len(want.JSONData) == 0 && len(have.JSONData) == 0 {
		want.JSONData, have.JSONData = nil, nil
	}
	if len(secrets) == 0 && reflect.DeepEqual(want, have) {
		return Unchanged, nil
	}
	if p.options.DryRun {
		return Configured, nil
	}
	// Not through the sdk: it goes by the numeric id, which Grafana 13 refuses.
	return Configured, p.call(ctx, http.MethodPut, "/api/datasources/uid/"+d.UID, d, nil)
}

func (p *push) folder(ctx context.Context) (Action, error) {
	var live struct {
		Title   string `json:"title"`
		Version int    `json:"version"`
	}
	uid, title := p.options.FolderUID, p.options.Folder
	err := p.call(ctx, http.MethodGet, "/api/folders/"+url.PathEscape(uid), nil, &live)
	switch {
	case isGrafanaNotFound(err):
		if p.options.DryRun {
			return Created, nil
		}
		return Created, p.call(ctx, http.MethodPost, "/api/folders", map[string]any{"uid": uid, "title": title}, nil)
	case err != nil:
		return Failed, err
	case live.Title == title:
		return Unchanged, nil
	case p.options.DryRun:
		return Configured, nil
	}
	return Configured, p.call(ctx, http.MethodPut, "/api/folders/"+url.PathEscape(uid), map[string]any{"title": title, "version": live.Version}, nil)
}

func (p *push) dashboard(ctx context.Context, d dashboards.Dashboard) (Action, error) {
	var live struct {
		Dashboard map[string]any
		Meta      struct {
			FolderUID   string `json:"folderUid"`
			Provisioned bool
		}
	}
	action := Configured
	err := p.call(ctx, http.MethodGet, "/api/dashboards/uid/"+d.UID, nil, &live)
	switch {
	case isGrafanaNotFound(err):
		action = Created
	case err != nil:
		return Failed, err
	case live.Meta.Provisioned:
		return Failed, errors.New("it comes from a provisioning file or a sidecar, and Grafana takes no change from elsewhere; use corkline provision apply, or remove it there")
	}
	var want map[string]any
	if err := json.Unmarshal(d.JSON, &want); err != nil {
		return Failed, fmt.Errorf("parse the dashboard: %w", err)
	}
	folder := p.options.FolderUID
	if p.options.Folder == "" {
		folder = ""
	}
	if action == Configured && live.Meta.FolderUID == folder && reflect.DeepEqual(content(want), content(live.Dashboard)) {
		return Unchanged, nil
	}
	if p.options.DryRun {
		return action, nil
	}
	_, err = p.sdk.SetRawDashboardWithParam(ctx, sdk.RawBoardRequest{Dashboard: d.JSON})
	return action, err
}

// content is a dashboard without what Grafana counts itself.
func content(dashboard map[string]any) map[string]any {
	dashboard = maps.Clone(dashboard)
	delete(dashboard, "id")
	delete(dashboard, "version")
	return dashboard
}

// call is for what the sdk does not have.
func (p *push) call(ctx context.Context, method, path string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode a request: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, p.base.JoinPath(path).String(), bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("create a request: %w", err)
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := p.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("read Grafana's answer to %s %s (is its URL right?): %w", method, path, err)
	}
	return nil
}

// grafanaError is an answer of Grafana other than 2xx.
type grafanaError struct {
	code int
	text string
}

func (e *grafanaError) Error() string { return e.text }

func isGrafanaNotFound(err error) bool {
	var answer *grafanaError
	return errors.As(err, &answer) && answer.code == http.StatusNotFound
}

// grafanaTransport authenticates, and makes errors of the statuses that the
// sdk does not look at.
type grafanaTransport struct {
	grafana   Grafana
	folderUID string // of dashboards that are written
	next      *http.Transport
}

// CloseIdleConnections closes those that no request uses.
func (t *grafanaTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper.
func (t *grafanaTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	switch {
	case t.grafana.Token != "":
		r.Header.Set("Authorization", "Bearer "+t.grafana.Token)
	case t.grafana.User != "":
		r.SetBasicAuth(t.grafana.User, t.grafana.Password)
	}
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/api/dashboards/db") {
		if err := t.spell(r); err != nil {
			return nil, err
		}
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 200 && response.StatusCode <= 299 {
		return response, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, grafanaAnswerLimit))
	if err != nil {
		return nil, fmt.Errorf("read Grafana's answer: %w", err)
	}
	return nil, refusal(response.StatusCode, body)
}

// spell writes the request for a dashboard as Grafana documents it. The sdk
// sends FolderID and Overwrite, which only parsers that ignore case understand,
// and knows no folderUid, while newer Grafanas no longer go by the number.
func (t *grafanaTransport) spell(r *http.Request) error {
	var sent struct {
		Dashboard json.RawMessage `json:"dashboard"`
	}
	err := json.NewDecoder(r.Body).Decode(&sent)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return fmt.Errorf("read the request for a dashboard: %w", err)
	}
	body, err := json.Marshal(map[string]any{"dashboard": sent.Dashboard, "folderUid": t.folderUID, "overwrite": true})
	if err != nil {
		return fmt.Errorf("encode the request for a dashboard: %w", err)
	}
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	return nil
}

func refusal(code int, body []byte) error {
	var answer struct{ Message string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Message == "" {
		answer.Message = http.StatusText(code) // a proxy's page
	}
	text := fmt.Sprintf("%s (%d)", answer.Message, code)
	switch code {
	case http.StatusUnauthorized:
		text += ": the token has expired or is another Grafana's, or user and password are wrong"
	case http.StatusForbidden:
		text += ": dashboards and folders need the role Editor, datasources Admin"
	case http.StatusPreconditionFailed:
		text += ": somebody else changed it just now; push again"
	}
	return &grafanaError{code: code, text: text}
}
