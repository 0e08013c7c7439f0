package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	queryLimit   = 60 * time.Second // for one query
	answerLimit  = 64 << 20         // bytes of an answer, packed as the store sent it
	requestLimit = 1 << 20          // bytes of a request
)

// endpoint of a store's API that the viewer passes on. All of them only read.
type endpoint struct {
	path string // * stands for one segment
	post bool   // a long query goes into the body
}

// The endpoints that boards, their variables and Explore use.
var endpoints = map[string][]endpoint{
	"prometheus": {
		{"/api/v1/query", true},
		{"/api/v1/query_range", true},
		{"/api/v1/series", true},
		{"/api/v1/labels", true},
		{"/api/v1/label/*/values", false},
		{"/api/v1/metadata", false},
	},
	"loki": {
		{"/loki/api/v1/query", false},
		{"/loki/api/v1/query_range", false},
		{"/loki/api/v1/series", false},
		{"/loki/api/v1/labels", false},
		{"/loki/api/v1/label/*/values", false},
	},
}

// allowed tells whether a request may be passed on: whether the path, as it is
// written in the URL, is one of the endpoints', and the method reads. Nothing
// of the path is decoded, so what is compared is what is sent.
func allowed(list []endpoint, method, path string) bool {
	for _, e := range list {
		if matches(e.path, path) {
			return method == http.MethodGet || method == http.MethodPost && e.post
		}
	}
	return false
}

// matches compares a path with a pattern, in which * stands for one segment of
// letters, digits, _, . and -, that is neither . nor ..
func matches(pattern, path string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return path == pattern
	}
	rest, ok := strings.CutPrefix(path, before)
	if !ok {
		return false
	}
	segment, ok := strings.CutSuffix(rest, after)
	if !ok || segment == "" || segment == "." || segment == ".." {
		return false
	}
	return strings.Trim(segment, segmentChars) == ""
}

const segmentChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

// proxy passes queries on to a store.
type proxy struct {
	name   string
	base   *url.URL
	list   []endpoint
	client http.RoundTripper
	log    *slog.Logger
}

func newProxy(name string, store Store, log *slog.Logger) (*proxy, error) {
	base, err := parseStore(name, store.URL)
	if err != nil {
		return nil, err
	}
	p := &proxy{name: name, base: base, list: endpoints[name], client: store.Transport, log: log}
	if p.client == nil {
		p.client = http.DefaultTransport
	}
	return p, nil
}

// Of the headers, these go on to the store, and those come back. No cookie and
// no credential of the browser's does.
var (
	requestHeaders  = []string{"Accept", "Accept-Encoding", "Content-Type", "X-Loki-Response-Encoding-Flags"}
	responseHeaders = []string{"Content-Type", "Content-Encoding"}
)

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	path := r.URL.EscapedPath()
	if !allowed(p.list, r.Method, path) {
		http.Error(w, fmt.Sprintf("the viewer passes no %s %s on to %s", r.Method, path, p.name), http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryLimit)
	defer cancel()
	response, err := p.send(ctx, w, r)
	if err != nil {
		status, reason := p.failure(ctx, r, err)
		if status != 0 {
			http.Error(w, reason, status)
		}
		return
	}
	defer response.Body.Close()
	for _, name := range responseHeaders {
		if value := response.Header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	if response.Header.Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(response.StatusCode)
	n, err := io.Copy(w, io.LimitReader(response.Body, answerLimit+1))
	if n > answerLimit || err != nil {
		if r.Context().Err() == nil {
			p.log.Warn("the answer was cut off", "store", p.name, "bytes", n, "error", err)
		}
		panic(http.ErrAbortHandler) // so that the browser takes the answer for none
	}
}

// send asks the store. A redirect is an answer: it is not followed.
func (p *proxy) send(ctx context.Context, w http.ResponseWriter, r *http.Request) (*http.Response, error) {
	target := *p.base
	target.Path = strings.TrimSuffix(target.Path, "/") + r.URL.Path
	target.RawPath, target.RawQuery, target.Fragment = "", r.URL.RawQuery, ""
	var body io.Reader
	if r.Method == http.MethodPost {
		body = http.MaxBytesReader(w, r.Body, requestLimit)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, target.String(), body)
	if err != nil {
		return nil, fmt.Errorf("create the request: %w", err)
	}
	if body != nil {
		request.ContentLength = r.ContentLength
	}
	for _, name := range requestHeaders {
		if value := r.Header.Get(name); value != "" {
			request.Header.Set(name, value)
		}
	}
	if user := p.base.User; user != nil {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	return p.client.RoundTrip(request)
}

// failure is the status and the reason of a query without an answer; none when
// the browser did not wait for it.
func (p *proxy) failure(ctx context.Context, r *http.Request, err error) (status int, reason string) {
	var tooLarge *http.MaxBytesError
	switch {
	case r.Context().Err() != nil:
		return 0, ""
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, fmt.Sprintf("a query may have %d bytes", tooLarge.Limit)
	case ctx.Err() != nil:
		return http.StatusGatewayTimeout, fmt.Sprintf("%s did not answer within %s", p.name, queryLimit)
	}
	p.log.Warn("the store cannot be asked", "store", p.name, "error", err)
	return http.StatusBadGateway, fmt.Sprintf("%s cannot be asked: %v", p.name, err)
}
