// Package tests runs the built binary against real Loki on real S3, and real
// Prometheus.
package tests

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
)

// stack is what all tests of a run share; each tells its lines by a cluster
// label of its own.
var stack struct { //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests
	*local.Stack
	binary string
	// agentAddr is the one address that Prometheus scrapes; tests run one
	// after the other, so one agent at a time listens there.
	agentAddr string
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "set up the stack:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "corkline-tests-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	stack.binary = filepath.Join(dir, "corkline")
	build := exec.CommandContext(ctx, "go", "build", "-o", stack.binary, "./cmd/corkline")
	build.Dir, build.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build corkline: %w\n%s", err, out)
	}
	if stack.agentAddr, err = local.FreeAddr(); err != nil {
		return 0, err
	}
	stack.Stack, err = local.Start(ctx, local.Options{
		Dir: filepath.Join(dir, "stack"), Progress: local.NewProgress(os.Stderr), Scrape: []string{stack.agentAddr},
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	return m.Run(), nil
}

// get decodes a JSON answer.
func get(ctx context.Context, address string, header http.Header, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return json.Unmarshal(body, into)
}

// promQL gives the value of every series of an instant query.
func promQL(ctx context.Context, query string) (map[string]float64, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := get(ctx, stack.Prometheus.URL+"/api/v1/query?query="+url.QueryEscape(query), nil, &answer); err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, r := range answer.Data.Result {
		key, err := json.Marshal(r.Metric)
		if err != nil {
			return nil, err
		}
		if out[string(key)], err = strconv.ParseFloat(r.Value[1].(string), 64); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// entry is one line as Loki has it.
type entry struct {
	Time     int64
	Line     string
	Stream   map[string]string
	Metadata map[string]string
}

// logQL gives all entries of a selector between two times, each as often as
// Loki has it.
func logQL(ctx context.Context, selector string, from, to time.Time) ([]entry, error) {
	return logQLAt(ctx, stack.Loki.URL, selector, from, to)
}

// logQLAt asks another Loki than the stack's.
func logQLAt(ctx context.Context, loki, selector string, from, to time.Time) ([]entry, error) {
	const limit = 4000
	var all []entry
	at := from.UnixNano()
	for {
		var answer struct {
			Data struct {
				Result []struct {
					Stream map[string]string
					Values [][3]json.RawMessage
				}
			}
		}
		query := url.Values{
			"query": {selector}, "direction": {"forward"}, "limit": {strconv.Itoa(limit)},
			"start": {strconv.FormatInt(at, 10)}, "end": {strconv.FormatInt(to.UnixNano(), 10)},
		}
		header := http.Header{"X-Loki-Response-Encoding-Flags": {"categorize-labels"}}
		if err := get(ctx, loki+"/loki/api/v1/query_range?"+query.Encode(), header, &answer); err != nil {
			return nil, err
		}
		n, last := 0, at
		for _, stream := range answer.Data.Result {
			for _, value := range stream.Values {
				var e entry
				var stamp string
				var parts struct{ StructuredMetadata map[string]string }
				if err := errors.Join(json.Unmarshal(value[0], &stamp), json.Unmarshal(value[1], &e.Line), json.Unmarshal(value[2], &parts)); err != nil {
					return nil, err
				}
				e.Time, _ = strconv.ParseInt(stamp, 10, 64) // Loki writes whole nanoseconds
				e.Stream, e.Metadata = stream.Stream, parts.StructuredMetadata
				last = max(last, e.Time)
				n++
				all = append(all, e)
			}
		}
		if n < limit {
			return all, nil
		}
		// The times of the generator are all different, so the next page
		// begins right behind the last entry.
		at = last + 1
	}
}

// eventually tries until there is no error, a minute at most.
func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %s", what, err)
		case <-ticker.C:
		}
	}
}
