package rig

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
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/exporter"
)

// patience is how long a test waits for what must come: the long form of the
// faults drains hours of lines.
const patience = 10 * time.Minute

// Eventually tries until there is no error, for two minutes at most.
func Eventually(tb testing.TB, what string, try func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	// Soon again at first; what takes long is not asked all the time.
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := try(ctx)
		if err == nil {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			tb.Fatalf("%s: %s", what, err)
		case <-timer.C:
		}
	}
}

// Addr gives a loopback address on which nothing listens.
func Addr(tb testing.TB) string {
	tb.Helper()
	addr, err := local.FreeAddr()
	if err != nil {
		tb.Fatal(err)
	}
	return addr
}

// Read gives the text of a file.
func Read(tb testing.TB, path string) string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// Run runs a command to its end, which is that of its context at the latest.
// The exit code of one that was killed is -1.
func Run(tb testing.TB, command *exec.Cmd) (stdout, stderr string, code int) {
	tb.Helper()
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) && command.ProcessState == nil {
		tb.Fatal(err)
	}
	return out.String(), errs.String(), command.ProcessState.ExitCode()
}

// Ledger gives the accounts in a state folder, as a binary prints them, and holds
// that each line is in one place.
func Ledger(tb testing.TB, binary, stateDir string) []exporter.Account {
	tb.Helper()
	out, log, code := Run(tb, exec.CommandContext(tb.Context(), binary, "ledger", "--state-dir", stateDir, "-o", "json"))
	var accounts []exporter.Account
	if err := json.Unmarshal([]byte(out), &accounts); err != nil || code != 0 {
		tb.Fatalf("corkline ledger: exit code %d, %v: %s%s", code, err, out, log)
	}
	for i := range accounts {
		a := &accounts[i]
		if placed := a.Shipped + a.DeadLettered + a.Dropped + a.Lost + a.Waiting; a.Read != placed || a.Read != a.Parsed+a.Unparsed {
			tb.Errorf("the account does not balance: %+v", *a)
		}
	}
	return accounts
}

// Get gives the body of an answer 200.
func Get(ctx context.Context, address string, header http.Header) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := (&http.Client{Timeout: time.Minute}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return body, err
}

// GetJSON decodes an answer.
func GetJSON(ctx context.Context, address string, header http.Header, into any) error {
	body, err := Get(ctx, address, header)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// Metrics are values by series, as they are written: name{label="value"}.
type Metrics map[string]float64

// Scrape gives what an address exposes.
func Scrape(ctx context.Context, address string) (Metrics, error) {
	body, err := Get(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	all := Metrics{}
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(line, "\n")
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if all[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			return nil, fmt.Errorf("parse the metric %q: %w", line, err)
		}
	}
	return all, nil
}

// Entry is one line as Loki has it.
type Entry struct {
	Time     int64 // Unix nanoseconds
	Line     string
	Stream   map[string]string
	Metadata map[string]string
}

// LogQL gives all entries of a query between two times, each as often as Loki
// has it. No more than a page of them (4000) may have the same time.
func LogQL(ctx context.Context, loki, query string, from, to time.Time) (all []Entry, err error) {
	err = EachEntry(ctx, loki, query, from, to, func(e Entry) { all = append(all, e) })
	return all, err
}

// EachEntry is LogQL for more entries than memory has room for.
func EachEntry(ctx context.Context, loki, query string, from, to time.Time, each func(Entry)) error {
	const limit = 4000
	// Loki reads far ahead of a page in a long span.
	span := time.Minute
	for at, until := from.UnixNano(), to.UnixNano(); at < until; {
		end := min(at+int64(span), until)
		var answer struct {
			Data struct {
				Result []struct {
					Stream map[string]string
					Values [][3]json.RawMessage
				}
			}
		}
		values := url.Values{
			"query": {query}, "direction": {"forward"}, "limit": {strconv.Itoa(limit)},
			"start": {strconv.FormatInt(at, 10)}, "end": {strconv.FormatInt(end, 10)},
		}
		header := http.Header{"X-Loki-Response-Encoding-Flags": {"categorize-labels"}}
		if err := GetJSON(ctx, loki+"/loki/api/v1/query_range?"+values.Encode(), header, &answer); err != nil {
			return err
		}
		var page []Entry
		last := at
		for _, stream := range answer.Data.Result {
			for _, value := range stream.Values {
				e := Entry{Stream: stream.Stream}
				var stamp string
				var parts struct{ StructuredMetadata map[string]string }
				if err := errors.Join(json.Unmarshal(value[0], &stamp), json.Unmarshal(value[1], &e.Line), json.Unmarshal(value[2], &parts)); err != nil {
					return err
				}
				var err error
				if e.Time, err = strconv.ParseInt(stamp, 10, 64); err != nil {
					return err
				}
				e.Metadata = parts.StructuredMetadata
				last = max(last, e.Time)
				page = append(page, e)
			}
		}
		full := len(page) == limit
		if full && last == at {
			return fmt.Errorf("%d entries and more have the time %d", limit, at)
		}
		// The next page begins at the last time, of which this one may lack some.
		for _, e := range page {
			if e.Time < last || !full {
				each(e)
			}
		}
		if full {
			at, span = last, max(span/2, time.Millisecond)
		} else {
			at, span = end, 2*span
		}
	}
	return nil
}
