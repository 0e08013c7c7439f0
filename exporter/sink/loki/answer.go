package loki

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// verdict on a request.
type verdict uint8

const (
	taken  verdict = iota // all of it is in Loki
	again                 // nothing is known; send the same bytes again
	narrow                // some of its entries are refused for good, or it is too large
	pack                  // structured metadata is refused
)

// answer to a request.
type answer struct {
	verdict    verdict
	kind       string // one of the statuses below, or "refused"
	text       string
	retryAfter time.Duration
	// away: Loki did not see the request, so that to try again costs it little.
	away bool
}

// Values of the label status, and the kinds of faults.
const (
	statusTaken   = "2xx"
	statusBlocked = "260"
	statusMoved   = "3xx"
	statusClient  = "4xx" // those that are not in ownStatus
	statusServer  = "5xx"
	statusError   = "error" // no answer, or none of HTTP
)

// ownStatus are the statuses that are counted by themselves.
var ownStatus = []string{"400", "401", "403", "404", "405", "413", "429"}

// blocked is what Loki answers by default while it drops a tenant's entries
// on purpose (limits_config.block_ingestion_until): it reads as a success and
// is none.
const blocked = 260

// A wholeFault is a 400 that would meet every record alike. To refuse records
// for it would turn a fault of the configuration into a flood of dead letters.
type wholeFault struct{ text, advice string }

// wholeFaults by a part of Loki's text: 3.7, pkg/validation/validate.go, and
// the tenant's ones in dskit, tenant/tenant.go.
var wholeFaults = []wholeFault{
	{"no org id", "check loki.tenant"},
	{"multiple org IDs", "check loki.tenant"},
	{"tenant ID", "check loki.tenant"},
	{"missing required labels", "check loki.labels"},
	{"label names; limit", "check loki.labels"},
	{"ingestion blocked for user", "loki blocks this tenant"},
}

// noMetadata is in the text of a 400 of a Loki that does not take structured
// metadata (2.9 by default, 3.x with a schema before v13).
const noMetadata = "allow_structured_metadata"

// brokenRequests by the start of the text: Loki could not read the request at
// all (3.7, pkg/loghttp/push/push.go, parsePushRequestBody).
var brokenRequests = []string{"snappy: ", "proto: ", "unexpected EOF", "mime: ", "Content-Encoding "}

// judge the response, of which body is the start.
func (s *Sink) judge(r *http.Response, body string, now time.Time) answer {
	a := answer{
		verdict:    again,
		kind:       statusOf(r.StatusCode),
		text:       firstLine(body),
		retryAfter: retryAfter(r.Header.Get("Retry-After"), now),
	}
	if a.text == "" {
		a.text = http.StatusText(r.StatusCode)
	}
	var advice string
	switch {
	case r.StatusCode == blocked:
		advice = "loki blocks this tenant"
	case a.kind == statusTaken:
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") {
			a.verdict = taken
			return a
		}
		a.text, advice = "a web page", s.checkURL()
	case r.StatusCode == http.StatusRequestEntityTooLarge:
		a.verdict = narrow
		return a
	case r.StatusCode == http.StatusBadRequest && strings.Contains(body, noMetadata):
		a.verdict = pack
		return a
	case r.StatusCode == http.StatusBadRequest:
		if advice = wholeAdvice(body); advice == "" {
			a.verdict = narrow
			return a
		}
	case r.StatusCode == http.StatusUnauthorized, r.StatusCode == http.StatusForbidden:
		advice = "check loki.tenant and credentials"
	case a.kind == statusMoved, r.StatusCode == http.StatusNotFound, r.StatusCode == http.StatusMethodNotAllowed:
		advice = s.checkURL()
	}
	if advice != "" {
		a.text = advice + ": " + a.text
	}
	switch r.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		a.away = true // it is what stands before Loki that answers
	}
	a.text = fmt.Sprintf("loki answered %d: %s", r.StatusCode, a.text)
	return a
}

// unanswered is the answer that stands for err.
func (s *Sink) unanswered(err error) answer {
	// The URL that the error quotes may hold a token.
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return answer{verdict: again, kind: statusError, text: fmt.Sprintf("loki at %s did not answer within %s", s.url.Host, s.timeout)}
	}
	return answer{verdict: again, kind: statusError, away: true, text: fmt.Sprintf("reach loki at %s: %s", s.url.Host, firstLine(err.Error()))}
}

// checkURL is an advice that leaves out what may be secret in the URL.
func (s *Sink) checkURL() string {
	return fmt.Sprintf("check loki.url (%s://%s%s)", s.url.Scheme, s.url.Host, s.url.EscapedPath())
}

func wholeAdvice(body string) string {
	for _, f := range wholeFaults {
		if strings.Contains(body, f.text) {
			return f.advice
		}
	}
	for _, start := range brokenRequests {
		if strings.HasPrefix(body, start) {
			return "the request was changed on its way"
		}
	}
	return ""
}

func statusOf(code int) string {
	text := strconv.Itoa(code)
	for _, own := range ownStatus {
		if own == text {
			return own
		}
	}
	switch {
	case code == blocked:
		return statusBlocked
	case code/100 == 2:
		return statusTaken
	case code/100 == 3:
		return statusMoved
	case code/100 == 4:
		return statusClient
	case code/100 == 5:
		return statusServer
	}
	return statusError
}

// retryAfter reads the header, in either form of RFC 9110, 10.2.3; 0 when it
// says nothing.
func retryAfter(value string, now time.Time) time.Duration {
	const year = 365 * 24 * 60 * 60
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), year)) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// maxReason is how much of Loki's text is kept, in bytes.
const maxReason = 500

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.ToValidUTF8(line[:min(len(line), maxReason)], "")
}
