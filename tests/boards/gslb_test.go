// Package boards evaluates expressions of the boards with the real Prometheus,
// on series that are known.
package boards

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/parts"
)

// queries of a panel, with All in every variable but weights.
func queries(t *testing.T, uid, panel, weights string) []string {
	t.Helper()
	for _, d := range dashboards.All() {
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(d.JSON, &board); err != nil {
			t.Fatal(err)
		}
		for _, p := range board.Panels {
			if d.UID != uid || p.Title != panel {
				continue
			}
			var all []string
			for _, target := range p.Targets {
				all = append(all, strings.NewReplacer("$weights", weights, "$__range", "30m",
					"$cluster", ".*", "$node", ".*", "$virtualservice", ".*", "$gslbservice", ".*").Replace(target.Expr))
			}
			return all
		}
	}
	t.Fatalf("there is no panel %q on %s", panel, uid)
	return nil
}

// The form of promtool's tests of rules.
type (
	ruleTest struct {
		EvaluationInterval string     `yaml:"evaluation_interval"`
		Tests              []testCase `yaml:"tests"`
	}
	testCase struct {
		Name        string           `yaml:"name"`
		Interval    string           `yaml:"interval"`
		InputSeries []inputSeries    `yaml:"input_series"`
		ExprTests   []expressionTest `yaml:"promql_expr_test"`
	}
	inputSeries struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	expressionTest struct {
		Expr     string   `yaml:"expr"`
		EvalTime string   `yaml:"eval_time"`
		Samples  []sample `yaml:"exp_samples"`
	}
	sample struct {
		Labels string  `yaml:"labels"`
		Value  float64 `yaml:"value"`
	}
)

// expressions of the panel "Are the weights kept?" and the column of verdicts
// of "Members", and what they must give.
type verdict struct {
	weights string
	// of the service: its verdict, and whether that is sure (absent without one)
	service float64
	sure    []float64
	// of the members, by name
	members map[string]float64
}

const (
	configured = iota
	tooFew
	off
	throttled
	gaps
	noWeights
)

// gslb are an hour of logs: answers by site and address each minute.
type gslb struct {
	frankfurt, dublin, oslo string
	throttled, missing      string
	recorded                bool
}

func (g gslb) series() []inputSeries {
	const target = `cluster="c", node="n", instance="i", job="corkline", `
	series := []inputSeries{
		{`corkline_dns_queries_total{` + target + `virtualservice="dns", gslbservice="shop", qtype="A", rcode="NOERROR"}`, "0+100x60"},
		{`corkline_virtualservice_log_throttled_seconds_total{` + target + `virtualservice="dns", service_engine="se"}`, g.throttled},
		{`corkline_virtualservice_missing_logs_total{` + target + `virtualservice="dns", service_engine="se"}`, g.missing},
		{`corkline_virtualservice_log_throttled_seconds_total{` + target + `virtualservice="web", service_engine="se"}`, "0+9x60"},
	}
	for _, m := range []struct{ site, address, answers string }{
		{"frankfurt", "198.51.100.61", g.frankfurt}, {"dublin", "198.51.100.62", g.dublin}, {"oslo", "2001:db8::63", g.oslo},
	} {
		series = append(series,
			inputSeries{`corkline_dns_site_answers_total{` + target + `gslbservice="shop", site="` + m.site + `"}`, m.answers},
			inputSeries{`corkline_dns_answers_total{` + target + `gslbservice="shop", member="` + m.address + `"}`, m.answers})
	}
	if g.recorded {
		series = append(series,
			inputSeries{`gslb:weight{gslbservice="shop", member="frankfurt"}`, "6x60"},
			inputSeries{`gslb:weight{gslbservice="shop", member="dublin"}`, "3x60"},
			inputSeries{`gslb:weight{gslbservice="shop", member="oslo"}`, "1x60"})
	}
	return series
}

func (v verdict) tests(t *testing.T) []expressionTest {
	t.Helper()
	const at = "1h"
	of := func(expr string, samples ...sample) expressionTest { return expressionTest{expr, at, samples} }
	service := queries(t, "corkline-dns", "Are the weights kept?", v.weights)
	column := queries(t, "corkline-dns", "Members", v.weights)
	var sure, members []sample
	for _, s := range v.sure {
		sure = append(sure, sample{`{gslbservice="shop"}`, s})
	}
	for name, code := range v.members {
		members = append(members, sample{`{gslbservice="shop", member="` + name + `"}`, code})
	}
	return []expressionTest{
		of(service[0], sample{`{gslbservice="shop"}`, v.service}),
		of("("+service[1]+") > bool 0.99", sure...),
		of(column[4], members...),
	}
}

func TestGSLBVerdict(t *testing.T) {
	promtool, err := parts.Binary(t.Context(), parts.Promtool, local.NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, logs gslb, want verdict) {
		t.Run(name, func(t *testing.T) {
			if logs.throttled == "" {
				logs.throttled = "0x60"
			}
			if logs.missing == "" {
				logs.missing = "0x60"
			}
			text, err := yaml.Marshal(ruleTest{"1m", []testCase{{name, "1m", logs.series(), want.tests(t)}}})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "test.yaml")
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", file).CombinedOutput(); err != nil {
				t.Errorf("%s\n%s", err, out)
			}
		})
	}
	const weights = "frankfurt:6, dublin:3,oslo : 1"
	all := func(code float64) map[string]float64 {
		return map[string]float64{"frankfurt": code, "dublin": code, "oslo": code}
	}
	// 30 minutes of 100 answers.
	kept := gslb{frankfurt: "0+60x60", dublin: "0+30x60", oslo: "0+10x60"}
	f("6:3:1 as configured", kept, verdict{weights, configured, []float64{1}, all(configured)})
	f("by address, as AMKO writes", kept, verdict{
		"198.51.100.61/6,198.51.100.62/3,2001:db8::63/1", configured,
		[]float64{1},
		map[string]float64{"198.51.100.61": configured, "198.51.100.62": configured, "2001:db8::63": configured},
	})
	recorded := kept
	recorded.recorded = true
	f("by a rule", recorded, verdict{"", configured, []float64{1}, all(configured)})
	f("typed weights go before a rule's", recorded, verdict{
		"frankfurt:5,dublin:4,oslo:1", off,
		[]float64{1},
		map[string]float64{"frankfurt": off, "dublin": off, "oslo": configured},
	})
	f("5:4:1 is off", gslb{frankfurt: "0+50x60", dublin: "0+40x60", oslo: "0+10x60"},
		verdict{weights, off, []float64{1}, map[string]float64{"frankfurt": off, "dublin": off, "oslo": configured}})
	f("a site that fails", gslb{frankfurt: "600x60", dublin: "0+75x60", oslo: "0+25x60"}, verdict{weights, off, []float64{1}, all(off)})
	// 60 answers in 30 minutes.
	f("too few", gslb{frankfurt: "0 0 1+1x29 30 31+1x29", dublin: "0x32 0+1x28", oslo: "0x40 1x10 2x11"},
		verdict{weights, tooFew, []float64{0}, all(tooFew)})
	// Two points off at a half are within the tolerance.
	f("a little off", gslb{frankfurt: "0+580x60", dublin: "0+320x60", oslo: "0+100x60"}, verdict{weights, configured, []float64{1}, all(configured)})
	burst := kept
	burst.throttled = "0x45 1x15"
	f("throttled", burst, verdict{weights, throttled, nil, all(throttled)})
	earlier := kept
	earlier.throttled = "0x5 3x55"
	f("throttled before the time range", earlier, verdict{weights, configured, []float64{1}, all(configured)})
	lost := kept
	lost.missing = "0+2x60"
	f("gaps", lost, verdict{weights, gaps, nil, all(gaps)})
	f("no weights", kept, verdict{
		"", noWeights, nil,
		map[string]float64{"frankfurt": noWeights, "dublin": noWeights, "oslo": noWeights, "198.51.100.61": noWeights, "198.51.100.62": noWeights, "2001:db8::63": noWeights},
	})
	f("weights of others", kept, verdict{"paris:1", noWeights, nil, map[string]float64{}})
	f("no list", kept, verdict{"six to three to one", noWeights, nil, map[string]float64{}})
	f("a canary that gets nothing", gslb{frankfurt: "0+50x60", dublin: "0+50x60", oslo: "5x60"}, verdict{
		"frankfurt:20,dublin:20,oslo:1", off,
		[]float64{1},
		map[string]float64{"frankfurt": configured, "dublin": configured, "oslo": off},
	})
	// 13 of the half of all answers go to a site that the weights do not name.
	f("answers of a site without a weight", kept, verdict{"frankfurt:1", off, []float64{1}, map[string]float64{"frankfurt": off}})
}
