// Package view shows dashboards in a browser without a Grafana: a page that
// draws them with Grafana's own published libraries, and the server that hands
// it out and passes its queries on to Prometheus and Loki.
package view

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/corkline/corkline/dashboards"
)

// bundle is the page, built from the folder web by make generate-web. All but
// the fonts is in gzip.
//
//go:embed bundle
var bundle embed.FS

// Store is a server that queries are passed on to.
type Store struct {
	// URL of its HTTP API, http or https; it may have a path. Empty means that
	// there is no such store.
	URL string
	// Transport carries what the store asks for beside the query, such as
	// credentials; nil is Go's default.
	Transport http.RoundTripper
}

// Options of a viewer.
type Options struct {
	// Boards are shown in this order; the first one is opened first.
	Boards     []dashboards.Dashboard
	Prometheus Store
	Loki       Store
	// ScrapeInterval of Prometheus, which $__rate_interval is made of; 15 s when
	// it is zero, as Grafana assumes.
	ScrapeInterval time.Duration
	// Version is shown at the foot of the page.
	Version string
	// AnyHost answers to any name in the header Host. Without it only names of
	// the loopback interface are, so that no other page can reach the viewer by
	// a name that it lets point here.
	AnyHost bool
	// Note is asked what stands above the first board; nil for nothing.
	Note func() Note
	// Log is told of queries that a store did not answer; nil is silent.
	Log *slog.Logger
}

// Note is what is to be known about the data.
type Note struct {
	Text   string  `json:"text"` // Markdown
	Events []Event `json:"events"`
}

// Event is drawn into the graphs of all boards.
type Event struct {
	Title    string
	Text     string
	From, To time.Time
}

// MarshalJSON gives times in milliseconds, as JavaScript has them.
func (e Event) MarshalJSON() ([]byte, error) {
	text, err := json.Marshal(map[string]any{"title": e.Title, "text": e.Text, "from": e.From.UnixMilli(), "to": e.To.UnixMilli()})
	if err != nil {
		return nil, fmt.Errorf("encode an event: %w", err)
	}
	return text, nil
}

// boardInfo is an entry of the list of boards.
type boardInfo struct {
	UID         string   `json:"uid"`
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Tags        []string `json:"tags"`
}

// Handler serves the page below /, the boards below /api and the stores below
// /proxy. It fails when a board is no JSON or has no uid, or when a store's URL
// is none.
func Handler(o Options) (http.Handler, error) {
	if o.ScrapeInterval == 0 {
		o.ScrapeInterval = 15 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	if err := servePage(mux); err != nil {
		return nil, err
	}
	if err := serveBoards(mux, o.Boards); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"version": o.Version, "prometheus": o.Prometheus.URL != "", "loki": o.Loki.URL != "",
		"scrapeInterval": o.ScrapeInterval.Milliseconds(), "note": o.Note != nil,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the page's configuration: %w", err)
	}
	mux.Handle("GET /api/config", content{"application/json", config})
	if o.Note != nil {
		mux.HandleFunc("GET /api/note", func(w http.ResponseWriter, r *http.Request) {
			text, err := json.Marshal(o.Note())
			if err != nil {
				http.Error(w, fmt.Sprintf("encode the note: %s", err), http.StatusInternalServerError)
				return
			}
			content{"application/json", text}.ServeHTTP(w, r)
		})
	}
	for name, store := range map[string]Store{"prometheus": o.Prometheus, "loki": o.Loki} {
		if store.URL == "" {
			continue
		}
		p, err := newProxy(name, store, o.Log)
		if err != nil {
			return nil, err
		}
		mux.Handle("/proxy/"+name+"/", http.StripPrefix("/proxy/"+name, p))
	}
	handler := http.NewCrossOriginProtection().Handler(mux)
	if !o.AnyHost {
		handler = loopbackOnly(handler)
	}
	return secured(handler), nil
}

// policy lets the page load nothing but its own files, and run no script that
// is written into it. The hash is that of nothing: Grafana's components make
// empty style elements, and fill them through the CSSOM, which needs no leave.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		next.ServeHTTP(w, r)
	})
}

func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			http.Error(w, fmt.Sprintf("the viewer answers to names of this machine only, not to %q", r.Host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback tells whether a host, with or without a port, is this machine's
// loopback interface by its name or address.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// content is a small answer that does not change.
type content struct {
	kind string
	body []byte
}

func (c content) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", c.kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Write(c.body) //nolint:errcheck // whoever asked is gone
}

func serveBoards(mux *http.ServeMux, boards []dashboards.Dashboard) error {
	infos := make([]boardInfo, 0, len(boards))
	byUID := map[string]content{}
	for _, b := range boards {
		info := boardInfo{Tags: []string{}}
		if err := json.Unmarshal(b.JSON, &info); err != nil {
			return fmt.Errorf("read the dashboard %s: %w", b.Stem, err)
		}
		if info.UID == "" {
			return fmt.Errorf("read the dashboard %s: it has no uid", b.Stem)
		}
		if _, twice := byUID[info.UID]; twice {
			return fmt.Errorf("read the dashboard %s: another one has the uid %q", b.Stem, info.UID)
		}
		infos = append(infos, info)
		byUID[info.UID] = content{"application/json", b.JSON}
	}
	list, err := json.Marshal(infos)
	if err != nil {
		return fmt.Errorf("encode the list of dashboards: %w", err)
	}
	mux.Handle("GET /api/dashboards", content{"application/json", list})
	mux.HandleFunc("GET /api/dashboards/{uid}", func(w http.ResponseWriter, r *http.Request) {
		board, ok := byUID[r.PathValue("uid")]
		if !ok {
			http.Error(w, fmt.Sprintf("there is no board with the uid %q", r.PathValue("uid")), http.StatusNotFound)
			return
		}
		board.ServeHTTP(w, r)
	})
	return nil
}

// Load reads the dashboards of a folder, in the order of their file names:
// every file whose name ends in .json. It fails when there is none, or one has
// no uid.
func Load(dir string) ([]dashboards.Dashboard, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list the dashboards of %q: %w", dir, err)
	}
	if len(names) == 0 {
		if _, err := os.ReadDir(dir); err != nil {
			return nil, fmt.Errorf("read the folder of dashboards: %w", err)
		}
		return nil, fmt.Errorf("read the folder of dashboards: %q has no file *.json", dir)
	}
	slices.Sort(names)
	var all []dashboards.Dashboard
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a dashboard: %w", err)
		}
		var head struct{ UID, Title string }
		if err := json.Unmarshal(text, &head); err != nil {
			return nil, fmt.Errorf("read the dashboard %q: %w", name, err)
		}
		if head.UID == "" {
			return nil, fmt.Errorf("read the dashboard %q: it has no uid", name)
		}
		all = append(all, dashboards.Dashboard{Stem: strings.TrimSuffix(filepath.Base(name), ".json"), UID: head.UID, Title: head.Title, JSON: text})
	}
	return all, nil
}

// file of the page, in gzip or not.
type file struct {
	kind   string
	packed bool
	body   []byte
	tag    string
}

// kinds of the files by their extensions.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".txt": "text/plain; charset=utf-8", ".woff2": "font/woff2",
}

func servePage(mux *http.ServeMux) error {
	entries, err := fs.ReadDir(bundle, "bundle")
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	for _, entry := range entries {
		body, err := bundle.ReadFile(path.Join("bundle", entry.Name()))
		if err != nil {
			return fmt.Errorf("read the page: %w", err)
		}
		name, packed := strings.CutSuffix(entry.Name(), ".gz")
		sum := sha256.Sum256(body)
		f := file{kinds[path.Ext(name)], packed, body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		if name == "index.html" {
			for _, at := range []string{"GET /{$}", "GET /explore", "GET /d/{uid}", "GET /d/{uid}/{slug}"} {
				mux.Handle(at, f)
			}
			continue
		}
		mux.Handle("GET /static/"+name, f)
	}
	return nil
}

func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "no-cache") // asked for again, and not sent again
	h.Set("ETag", f.tag)
	body := f.body
	if f.packed {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
		} else {
			var err error
			if body, err = unpack(body); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			h.Del("ETag")
		}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func acceptsGzip(header string) bool {
	for one := range strings.SplitSeq(header, ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(one), ";")
		if name == "gzip" || name == "*" {
			return strings.Trim(strings.TrimPrefix(strings.TrimSpace(quality), "q="), "0.") != "" || quality == ""
		}
	}
	return false
}

func unpack(packed []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack a file of the page: %w", err)
	}
	body, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("unpack a file of the page: %w", err)
	}
	return body, nil
}

// Server around a handler, with time-outs that fit slow queries.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
		WriteTimeout: queryLimit + 15*time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
}

func parseStore(name, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the URL of %s: %w", name, err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("read the URL of %s: %q is none of the form http://host:port", name, u.Redacted())
	}
	return u, nil
}
