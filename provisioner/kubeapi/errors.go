package kubeapi

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// StatusError is an answer of the API server other than success.
type StatusError struct {
	// Code is the HTTP status.
	Code int
	// Conflicts are the fields that others manage, each as `"manager" manages field`.
	Conflicts []string

	text string
}

// Error says what was asked, what the server said, and what to do.
func (e *StatusError) Error() string { return e.text }

// IsNotFound tells whether the object, its namespace or its kind does not exist.
func IsNotFound(err error) bool { return hasCode(err, http.StatusNotFound) }

// IsConflict tells whether others manage the fields, or the object has changed.
func IsConflict(err error) bool { return hasCode(err, http.StatusConflict) }

func hasCode(err error, code int) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Code == code
}

// unreachable says why there was no answer.
func (c *Client) unreachable(err error) error {
	var wrapped *url.Error // names the whole URL, which says less than the server's
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		record    tls.RecordHeaderError
		lookup    *net.DNSError
		remedy    string
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &lookup), os.IsTimeout(err):
		remedy = "is the cluster up, and is this its API server?"
	case errors.As(err, &authority):
		remedy = "its certificate is not signed by the CA that was given: is the CA another cluster's?"
	case errors.As(err, &name):
		remedy = "its certificate is for another name; see tls-server-name of the kubeconfig"
	case errors.As(err, &record):
		remedy = "it does not speak TLS: is the scheme http?"
	default:
		return fmt.Errorf("reach the Kubernetes API at %s (%s): %w", c.Server(), c.origin, err)
	}
	return fmt.Errorf("reach the Kubernetes API at %s (%s): %w; %s", c.Server(), c.origin, err, remedy)
}

// status is the part of the API's Status that we read.
type status struct {
	Message string
	Reason  string
	Details struct {
		Kind   string
		Name   string
		Causes []struct{ Reason, Message, Field string }
	}
}

func (c *Client) statusError(r request, code int, body []byte) error {
	var s status
	if err := json.Unmarshal(body, &s); err != nil || s.Message == "" {
		s.Message = http.StatusText(code) // a proxy's page
	}
	e := &StatusError{Code: code}
	what := fmt.Sprintf("%s %s", r.verb, r.object)
	if r.object.Name() == "" {
		what = fmt.Sprintf("%s %s", r.verb, strings.ToLower(r.object.Kind())+"s")
	}
	if namespace := r.object.Namespace(); namespace != "" {
		what += " in namespace " + namespace
	}
	for _, cause := range s.Details.Causes {
		if cause.Reason == "FieldManagerConflict" {
			e.Conflicts = append(e.Conflicts, manager(cause.Message)+" manages "+cause.Field)
		}
	}
	switch {
	case code == http.StatusUnauthorized:
		e.text = fmt.Sprintf("%s: %s does not know us (401): the credentials of %s have expired, or are another cluster's", what, c.Server(), c.origin)
	case code == http.StatusForbidden && strings.Contains(s.Message, " cannot "):
		e.text = fmt.Sprintf("%s: forbidden (403): %s; give it a Role with the verbs get, list, create, patch and delete on %s", what, s.Message, r.resource.plural)
	case code == http.StatusNotFound && s.Details.Kind == "namespaces":
		e.text = fmt.Sprintf("%s: there is no such namespace: kubectl create namespace %s", what, r.object.Namespace())
	case len(e.Conflicts) > 0:
		e.text = fmt.Sprintf("%s: conflict (409): %s; take the fields over with --force-conflicts, or have them left alone there", what, strings.Join(e.Conflicts, ", "))
	default:
		e.text = fmt.Sprintf("%s: %s (%d)", what, s.Message, code)
	}
	return e
}

// manager is the first quoted word of `conflict with "name" using v1`.
func manager(message string) string {
	if parts := strings.SplitN(message, `"`, 3); len(parts) == 3 {
		return `"` + parts[1] + `"`
	}
	return message
}
