// Package simulation holds the simulated cluster against the real servers: what
// it says it wrote is what Loki and Prometheus have.
package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/tests/rig"
)

// shared is what all tests of a run share.
var shared struct { //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests
	*rig.Rig
	*local.Stack
	agents [2]string // addresses that Prometheus scrapes
}

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(ctx context.Context, r *rig.Rig) (err error) {
		shared.Rig = r
		for i := range shared.agents {
			if shared.agents[i], err = local.FreeAddr(); err != nil {
				return err
			}
		}
		shared.Stack, err = r.Stack(ctx, shared.agents[:]...)
		return err
	}))
}

// Two nodes log for a while, through files that are rotated and through syslog;
// an agent on each reads it. Then every query has exactly the value that the
// simulation names.
func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	receiver := rig.Addr(t)
	// The policy logs are rotated while the agents read them: an agent does not
	// look for what was rotated before it first came.
	simulate := exec.CommandContext(t.Context(), shared.Binary, "simulate",
		"--dir", dir, "--seed=7", "--nodes=2", "--history=1m", "--for=16s", "--rotate-bytes=475000", "--switch=off",
		"--syslog", "tcp://"+receiver, "--loki", shared.Loki.URL)
	var out bytes.Buffer
	simulate.Stdout, simulate.Stderr = &out, &out
	if err := simulate.Start(); err != nil {
		t.Fatal(err)
	}
	var agents []*rig.Agent
	for i, address := range shared.agents {
		config := filepath.Join(dir, simulation.NodeName(i), "corkline.yaml")
		rig.Eventually(t, "the agent's configuration", func(context.Context) error {
			text, err := os.ReadFile(config)
			if err != nil {
				return err
			}
			before, rest, found := strings.Cut(string(text), "listen: ")
			if !found || !strings.HasSuffix(string(text), "ovs:\n    enabled: false\n") {
				return fmt.Errorf("not whole: %s", text)
			}
			_, after, _ := strings.Cut(rest, "\n")
			return os.WriteFile(config, []byte(before+"listen: "+address+"\npoll_interval: 200ms\n"+after), 0o600)
		})
		agents = append(agents, shared.Agent(t, config))
		agents[i].Start()
	}
	if err := simulate.Wait(); err != nil {
		t.Fatalf("%s:\n%s", err, out.String())
	}
	t.Logf("it said:\n%s", out.String())
	var written simulation.Written
	if err := json.Unmarshal([]byte(rig.Read(t, filepath.Join(dir, simulation.WrittenFile))), &written); err != nil {
		t.Fatal(err)
	}
	if len(written.Definitions) != len(simulation.Definitions(true)) || len(written.LogQL) < 20 || len(written.PromQL) < 50 {
		t.Fatalf("too little is said to be written: %+v", written)
	}
	holds(t, "what Loki has", shared.Loki.URL+"/loki/api/v1/query?time="+strconv.FormatInt(written.At.UnixNano(), 10)+"&query=", written.LogQL)
	holds(t, "what Prometheus has", shared.Prometheus.URL+"/api/v1/query?query=", written.PromQL)
	for _, a := range agents {
		metrics, err := a.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for series, n := range metrics {
			if strings.HasPrefix(series, "corkline_pipeline_lines_unparsed_total{") && n != 0 {
				t.Errorf("%s is %v", series, n)
			}
		}
		a.Stop()
	}
	rotated, err := filepath.Glob(filepath.Join(dir, "node-*/var/log/antrea/networkpolicy/np-*.log"))
	if err != nil || len(rotated) < 2 {
		t.Errorf("rotated are %v, %v", rotated, err)
	}
	if !strings.Contains(out.String(), "lines wait, in order") {
		t.Error("nothing had to wait for the receiver of syslog")
	}
}

// holds asks until all expressions have their values.
func holds(t *testing.T, what, query string, all []simulation.Expectation) {
	t.Helper()
	began := time.Now()
	left, last := all, ""
	rig.Eventually(t, what, func(ctx context.Context) error {
		var wrong []simulation.Expectation
		var differ strings.Builder
		for _, e := range left {
			got, err := ask(ctx, query+url.QueryEscape(e.Expression))
			if err != nil {
				return fmt.Errorf("%s: %w; before:%s", e.Expression, err, last)
			}
			if got != e.Value {
				wrong = append(wrong, e)
				fmt.Fprintf(&differ, "\n%s is %v, not %v", e.Expression, got, e.Value)
			}
		}
		last = differ.String()
		if left = wrong; len(left) > 0 {
			return fmt.Errorf("%d of %d differ:%s", len(left), len(all), last)
		}
		return nil
	})
	// What had its value early has it still.
	for _, e := range all {
		if got, err := ask(t.Context(), query+url.QueryEscape(e.Expression)); err != nil || got != e.Value {
			t.Errorf("%s is %v in the end, not %v (%v)", e.Expression, got, e.Value, err)
		}
	}
	t.Logf("%s: %d values, after %s", what, len(all), time.Since(began).Round(100*time.Millisecond))
}

// ask gives the one value of an instant query; 0 for none. Loki and Prometheus
// answer in the same form.
func ask(ctx context.Context, address string) (float64, error) {
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := rig.GetJSON(ctx, address, nil, &answer); err != nil {
		return 0, err
	}
	switch len(answer.Data.Result) {
	case 0:
		return 0, nil
	case 1:
		text, _ := answer.Data.Result[0].Value[1].(string)
		return strconv.ParseFloat(text, 64)
	}
	return 0, fmt.Errorf("%d values", len(answer.Data.Result))
}
