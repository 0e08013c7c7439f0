// Package kubeapi is the little of Kubernetes' REST API that provisioning
// needs: read, server-side apply, list by label and delete, with dry runs.
// client-go would double the binary.
package kubeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// requestLimit is for one request with its answer.
	requestLimit = 30 * time.Second
	// answerLimit is for the bytes of one answer: a page of ConfigMaps, each
	// of which may hold 1 MiB.
	answerLimit = 64 << 20
	// pageSize is in objects.
	pageSize = 50
)

// Client talks to one API server. Its methods may be called from several
// goroutines.
type Client struct {
	// Namespace that the context or the pod is in.
	Namespace string

	base   *url.URL
	http   *http.Client
	token  func() (string, error) // nil: none
	origin string                 // where the credentials come from, in words
	agent  string

	mu        sync.Mutex
	resources map[string]resource // by apiVersion and kind; guarded by mu
}

// resource is how a kind is called in paths.
type resource struct {
	plural     string
	namespaced bool
}

// Server is the API server's URL.
func (c *Client) Server() string { return c.base.Redacted() }

// Get reads the object that has o's kind, namespace and name. It fails with an
// error for which IsNotFound is true when there is none.
func (c *Client) Get(ctx context.Context, o Object) (Object, error) {
	r, err := c.resourceOf(ctx, o)
	if err != nil {
		return nil, err
	}
	var live Object
	err = c.do(ctx, request{verb: "get", method: http.MethodGet, object: o, resource: r}, &live)
	return live, err
}

// ApplyOptions of a server-side apply.
type ApplyOptions struct {
	// Manager is the name under which the server keeps our fields.
	Manager string
	// Force takes fields from their managers instead of failing.
	Force bool
	// DryRun has the server do all but keep the result.
	DryRun bool
}

// Apply merges the object on the server, makes it when it is not there, and
// returns what the server then has. It fails with an error for which
// IsConflict is true when others manage fields that the object sets otherwise.
func (c *Client) Apply(ctx context.Context, o Object, options ApplyOptions) (Object, error) {
	r, err := c.resourceOf(ctx, o)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o, err)
	}
	query := url.Values{"fieldManager": {options.Manager}, "force": {strconv.FormatBool(options.Force)}}
	if options.DryRun {
		query.Set("dryRun", "All")
	}
	var live Object
	err = c.do(ctx, request{
		verb: "apply", method: http.MethodPatch, object: o, resource: r,
		query: query, body: body, contentType: "application/apply-patch+yaml",
	}, &live)
	return live, err
}

// List returns the objects of a kind in a namespace that have all the labels,
// by name.
func (c *Client) List(ctx context.Context, apiVersion, kind, namespace string, labels map[string]string) ([]Object, error) {
	r, err := c.resource(ctx, apiVersion, kind)
	if err != nil {
		return nil, err
	}
	of := Object{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": namespace}}
	query := url.Values{"labelSelector": {selector(labels)}, "limit": {strconv.Itoa(pageSize)}}
	var all []Object
	for {
		var page struct {
			Metadata struct{ Continue string }
			Items    []Object
		}
		if err := c.do(ctx, request{verb: "list", method: http.MethodGet, object: of, resource: r, query: query}, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Items { // a list leaves them out of its items
			o["apiVersion"], o["kind"] = apiVersion, kind
			all = append(all, o)
		}
		if page.Metadata.Continue == "" {
			slices.SortFunc(all, func(a, b Object) int { return strings.Compare(a.Name(), b.Name()) })
			return all, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

func selector(labels map[string]string) string {
	terms := make([]string, 0, len(labels))
	for key, value := range labels {
		terms = append(terms, key+"="+value)
	}
	slices.Sort(terms)
	return strings.Join(terms, ",")
}

// Delete removes the object as it was read: it fails with an error for which
// IsConflict is true when it has changed since.
func (c *Client) Delete(ctx context.Context, o Object, dryRun bool) error {
	r, err := c.resourceOf(ctx, o)
	if err != nil {
		return err
	}
	options := map[string]any{
		"apiVersion": "v1", "kind": "DeleteOptions",
		"preconditions": map[string]any{"uid": o.metadata()["uid"], "resourceVersion": o.metadata()["resourceVersion"]},
	}
	if dryRun {
		options["dryRun"] = []string{"All"}
	}
	body, err := json.Marshal(options)
	if err != nil {
		return fmt.Errorf("encode the deletion of %s: %w", o, err)
	}
	var status Object
	return c.do(ctx, request{
		verb: "delete", method: http.MethodDelete, object: o, resource: r, body: body, contentType: "application/json",
	}, &status)
}

// resourceOf is the resource of an object, which has to be in a namespace
// exactly when its kind is.
func (c *Client) resourceOf(ctx context.Context, o Object) (resource, error) {
	r, err := c.resource(ctx, o.APIVersion(), o.Kind())
	if err == nil && r.namespaced != (o.Namespace() != "") {
		text := fmt.Sprintf("%s: objects of kind %s belong to the whole cluster; apply it with kubectl", o, o.Kind())
		if r.namespaced {
			text = fmt.Sprintf("%s: it has no namespace", o)
		}
		return resource{}, &StatusError{Code: http.StatusBadRequest, text: text}
	}
	return r, err
}

// resource finds how the server calls a kind. The core kinds are known, so
// that a role needs no more than them.
func (c *Client) resource(ctx context.Context, apiVersion, kind string) (resource, error) {
	if apiVersion == "v1" {
		switch kind {
		case "ConfigMap":
			return resource{"configmaps", true}, nil
		case "Secret":
			return resource{"secrets", true}, nil
		}
	}
	key := apiVersion + " " + kind
	c.mu.Lock()
	known, ok := c.resources[key]
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	var list struct {
		Resources []struct {
			Name, Kind string
			Namespaced bool
		}
	}
	of := Object{"apiVersion": apiVersion, "kind": kind}
	err := c.do(ctx, request{verb: "discover", method: http.MethodGet, object: of, path: root(apiVersion)}, &list)
	if err != nil && !IsNotFound(err) {
		return resource{}, err
	}
	for _, r := range list.Resources {
		if r.Kind == kind && !strings.Contains(r.Name, "/") { // not a subresource
			known = resource{r.Name, r.Namespaced}
			c.mu.Lock()
			if c.resources == nil {
				c.resources = map[string]resource{}
			}
			c.resources[key] = known
			c.mu.Unlock()
			return known, nil
		}
	}
	return resource{}, &StatusError{Code: http.StatusNotFound, text: fmt.Sprintf("the cluster knows no %s in %s: install its CRD (see kubectl api-resources), or leave the manifest out", kind, apiVersion)}
}

func root(apiVersion string) string {
	if strings.Contains(apiVersion, "/") {
		return "/apis/" + apiVersion
	}
	return "/api/" + apiVersion
}

type request struct {
	verb        string // as an error says it
	method      string
	object      Object
	resource    resource
	path        string // instead of the object's
	query       url.Values
	body        []byte
	contentType string
}

func (r request) url(base *url.URL) string {
	u := *base
	u.RawQuery = r.query.Encode()
	if r.path != "" {
		return u.JoinPath(r.path).String()
	}
	elements := []string{root(r.object.APIVersion())}
	if r.resource.namespaced {
		elements = append(elements, "namespaces", url.PathEscape(r.object.Namespace()))
	}
	elements = append(elements, r.resource.plural)
	if name := r.object.Name(); name != "" {
		elements = append(elements, url.PathEscape(name))
	}
	return u.JoinPath(elements...).String()
}

func (c *Client) do(ctx context.Context, r request, into any) error {
	h, err := http.NewRequestWithContext(ctx, r.method, r.url(c.base), bytes.NewReader(r.body))
	if err != nil {
		return fmt.Errorf("create the request for %s: %w", r.object, err)
	}
	h.Header.Set("Accept", "application/json")
	h.Header.Set("User-Agent", c.agent)
	if r.contentType != "" {
		h.Header.Set("Content-Type", r.contentType)
	}
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return err
		}
		h.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := c.http.Do(h)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.Server(), err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return c.statusError(r, response.StatusCode, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s does not answer as a Kubernetes API does (is its URL right?): %w", c.Server(), err)
	}
	return nil
}
