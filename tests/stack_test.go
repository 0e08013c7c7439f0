// Package tests runs the built binary against real Loki on real S3, and real
// Prometheus.
package tests

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/rig"
)

// stack is what all tests of a run share; each tells its lines by a cluster
// label of its own.
var stack struct { //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests
	*local.Stack
	*rig.Rig
	// agentAddr is the one address that Prometheus scrapes; tests run one
	// after the other, so one agent at a time listens there.
	agentAddr string
}

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(ctx context.Context, r *rig.Rig) (err error) {
		stack.Rig = r
		if stack.agentAddr, err = local.FreeAddr(); err != nil {
			return err
		}
		stack.Stack, err = r.Stack(ctx, stack.agentAddr)
		return err
	}))
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
	if err := rig.GetJSON(ctx, stack.Prometheus.URL+"/api/v1/query?query="+url.QueryEscape(query), nil, &answer); err != nil {
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

// logQL gives all entries of a selector that the stack's Loki has.
func logQL(ctx context.Context, selector string, from, to time.Time) ([]rig.Entry, error) {
	return rig.LogQL(ctx, stack.Loki.URL, selector, from, to)
}
