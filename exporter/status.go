package exporter

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/sink/archive"
	"github.com/corkline/corkline/parsers"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:embed status.html
var statusPage string

// statusScript keeps the page new.
//
//go:embed status.js
var statusScript []byte

// serve answers HTTP until the returned function is called.
func (a *Agent) serve() (stop func()) {
	if a.listener == nil {
		return func() {}
	}
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("serve /metrics", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			if err := server.Close(); err != nil {
				a.log.Error("close the listener", "error", err)
			}
		}
		<-done
	}
}

// handler of all pages.
func (a *Agent) handler() http.Handler {
	page, parseErr := template.New("status").Parse(statusPage)
	_, style, _ := strings.Cut(statusPage, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	// Nothing is loaded but the script, which asks for nothing but the page; of what
	// stands in the page only its own style works.
	policy := "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{
		Registry: a.registry, MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true,
		DisableCompression: true, // it would take 0.8 MiB of memory for some 30 KB of text
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-a.ready:
			fmt.Fprintln(w, "ready")
		default:
			http.Error(w, "starting", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("GET /status.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Write(statusScript) //nolint:errcheck // whoever asked is gone
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		err := parseErr // each request has its own: one that breaks off is not the next one's fault
		if err == nil {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Header().Set("Referrer-Policy", "no-referrer")
			err = page.Execute(w, a.status())
		}
		if err != nil {
			a.log.Error("show status page", "error", err)
		}
	})
	return mux
}

// status is what the page shows.
type status struct {
	Version, Node, Cluster, StateDir, Up string
	Loki                                 string
	LokiState                            string
	LokiGood                             bool
	Archive                              string
	ArchiveGood                          bool
	Sources                              []sourceStatus
	Collectors                           []collectorStatus
	Boards                               []boardLink    // without a boards_url there are none
	Absent                               []absentStatus // sources without files, and collectors without an object, on this node
}

// boardLink leads to a board, on which this node is chosen.
type boardLink struct{ Title, URL string }

// BoardUIDs are those of the boards to which the status page links: by what a
// collector or a definition is called, and by their titles for the head.
func BoardUIDs() map[string]string {
	const policies, antrea, controller = "corkline-networkpolicy", "corkline-antrea-agent-logs", "corkline-antrea-controller"
	const services, operators = "corkline-virtualservices", "corkline-operators"
	return map[string]string{
		overviewTitle: "corkline-overview", selfTitle: "corkline-agent",
		"ovs": "corkline-ovs", "ovs-vswitchd": "corkline-ovs", "ovsdb-server": "corkline-ovs", "ovs-events": "corkline-ovs",
		"conntrack": "corkline-conntrack", "conntrack-events": "corkline-conntrack",
		"antrea-networkpolicy": policies, "antrea-agent": antrea, "antrea-controller": controller,
		"avi-application": services, "avi-connection": "corkline-connections", "avi-dns": "corkline-dns", "avi-waf": "corkline-waf",
		"ako": operators, "amko": operators,
	}
}

const (
	overviewTitle = "Overview"
	selfTitle     = "Corkline itself"
)

// board is the address of the board on something; empty when there is none.
func (c *Config) board(what string) string {
	uid := BoardUIDs()[what]
	if c.BoardsURL == "" || uid == "" {
		return ""
	}
	chosen := url.Values{"var-node": {c.Node}}
	if c.Cluster != "" {
		chosen.Set("var-cluster", c.Cluster)
	}
	return strings.TrimSuffix(c.BoardsURL, "/") + "/d/" + uid + "?" + chosen.Encode()
}

type absentStatus struct{ Name, About, Looked string }

type sourceStatus struct {
	Name, Definition, About, Board                                  string
	Read, Parsed, Unparsed, Shipped, DeadLettered, Dropped, Waiting int64
	Lag, Rate                                                       string
	Syslog                                                          *syslogStatus // nil without
	Files                                                           []fileStatus
	Problems                                                        []string
	BadLine, BadFile, BadWhy, BadAge                                string
}

type fileStatus struct{ Path, Size, Committed, Lag string }

func (a *Agent) status() status {
	a.mu.Lock()
	config, sink, store := a.config, a.sink, a.archive
	a.mu.Unlock()
	now := a.now()
	s := status{
		Version: a.options.Version, Node: config.Node, Cluster: config.Cluster, StateDir: config.StateDir,
		Up: now.Sub(a.started).Round(time.Second).String(), Loki: config.Loki.Address(),
	}
	if sink != nil {
		state := sink.State()
		s.LokiGood = state.Failures == 0
		switch {
		case state.Failures > 0:
			s.LokiState = fmt.Sprintf("%s (%d failures in a row; lines wait in their files)", state.LastError, state.Failures)
		case state.LastSuccess.IsZero():
			s.LokiState = "nothing sent yet"
		default:
			s.LokiState = "last push answered " + now.Sub(state.LastSuccess).Round(time.Second).String() + " ago"
		}
	}
	if store != nil {
		s.Archive, s.ArchiveGood = archiveStatus(store.State(), config.Archive.Endpoint, now)
	}
	for _, title := range []string{overviewTitle, selfTitle} {
		if at := config.board(title); at != "" {
			s.Boards = append(s.Boards, boardLink{title, at})
		}
	}
	for _, source := range config.Sources {
		shown := a.sourceStatus(source, config.library.Set, now)
		shown.Board = config.board(source.DefinitionNames()[0])
		if source.events && shown.Read == 0 && len(shown.Problems) == 0 {
			continue
		}
		if source.implied && len(shown.Files) == 0 && len(shown.Problems) == 0 && shown.Read == 0 {
			s.Absent = append(s.Absent, absentStatus{shown.Name, shown.About, strings.Join(source.Files, " ")})
			continue
		}
		s.Sources = append(s.Sources, shown)
	}
	for _, r := range a.runningCollectors() {
		shown, absent := r.status(now)
		if absent {
			s.Absent = append(s.Absent, absentStatus{shown.Name, shown.About, shown.State})
			continue
		}
		shown.Board = config.board(shown.Name)
		s.Collectors = append(s.Collectors, shown)
	}
	return s
}

// archiveStatus is the line on the archive; empty when there is nothing to say.
func archiveStatus(state archive.State, endpoint string, now time.Time) (text string, good bool) {
	if endpoint == "" && state.Segments == 0 && state.StoreError == "" {
		return "", true
	}
	text = fmt.Sprintf("%d segments, %s of %s, on disk", state.Segments, inBytes(state.Bytes), inBytes(state.BudgetBytes))
	if endpoint != "" {
		text += " wait for " + endpoint
	}
	if !state.LastUpload.IsZero() {
		text += "; last upload " + now.Sub(state.LastUpload).Round(time.Second).String() + " ago"
	}
	for _, fault := range []string{state.StoreError, state.UploadError} {
		if fault != "" {
			text += "; " + fault
		}
	}
	return text, state.StoreError == "" && state.UploadError == ""
}

func (a *Agent) sourceStatus(source SourceConfig, set parsers.Set, now time.Time) sourceStatus {
	names := source.DefinitionNames()
	read := parsers.Set{} // what the source reads with
	for _, name := range names {
		read[name] = set[name]
	}
	account := a.ledger.account(source.Name)
	receiver := a.syslogSource(source.Name)
	out := sourceStatus{
		Name: source.Name, Definition: strings.Join(names, " "), About: set[names[0]].About,
		Read: account.read.Load(), Parsed: account.parsed.Load(), Unparsed: account.unparsed.Load(), Shipped: account.shipped.Load(),
		DeadLettered: account.deadLettered.Load(), Dropped: account.dropped.Load(), Waiting: account.waiting.Load(),
	}
	if receiver != nil {
		out.Syslog = receiver.status()
	}
	lag := int64(0)
	if v := account.files.Load(); v != nil {
		for _, f := range *v {
			lag += f.Lag
			out.Files = append(out.Files, fileStatus{f.Path, inBytes(f.Size), inBytes(f.Committed), inBytes(f.Lag)})
		}
	}
	out.Lag = inBytes(lag)
	account.mu.Lock()
	defer account.mu.Unlock()
	out.Problems = account.problems
	out.Rate = strconv.FormatFloat(account.rate.perSecond, 'f', 1, 64)
	if bad := account.lastBad; bad.err != nil {
		out.BadLine, out.BadFile = strings.ToValidUTF8(string(bad.text), "\uFFFD"), bad.file
		_, closest := read.Closest(bad.text)
		out.BadWhy = bad.err.Error() + "; " + closest.String()
		out.BadAge = now.Sub(bad.at).Round(time.Second).String()
	}
	return out
}

// inBytes writes a size for people.
func inBytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < 4 {
		value, prefix = value/unit, prefix+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[prefix])
}
