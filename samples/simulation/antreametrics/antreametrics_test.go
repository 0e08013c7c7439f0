package antreametrics_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/corkline/corkline/samples/foreign"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
)

func options(version string) antreametrics.Options {
	return antreametrics.Options{
		Simulation: simulation.Options{Seed: 1, Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rate: 1, Node: "node-1"},
		Version:    version, FlowExporter: true,
	}
}

// endpoints of a simulation whose second the test sets.
type endpoints struct {
	t       *testing.T
	second  int
	handler http.Handler
}

func serve(t *testing.T, o antreametrics.Options) *endpoints {
	t.Helper()
	e := &endpoints{t: t}
	var err error
	if e.handler, err = antreametrics.Handler(func() int { return e.second }, o); err != nil {
		t.Fatal(err)
	}
	return e
}

// family of a scrape.
type family struct {
	kind    string
	labels  string // names, sorted
	samples map[string]float64
}

// scrape gives the families by name. Samples are by labels such as a=b,c=d;
// of a histogram also its sum, and its buckets by their bounds.
func (e *endpoints) scrape(exporter string) map[string]family {
	e.t.Helper()
	answer := httptest.NewRecorder()
	e.handler.ServeHTTP(answer, httptest.NewRequestWithContext(e.t.Context(), http.MethodGet, "/"+exporter+"/metrics", nil))
	if answer.Code != http.StatusOK {
		e.t.Fatalf("%s in second %d: %d %s", exporter, e.second, answer.Code, answer.Body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		e.t.Fatalf("%s in second %d: %s", exporter, e.second, err)
	}
	families := map[string]family{}
	for name, p := range parsed {
		f := family{kind: strings.ToLower(p.GetType().String()), samples: map[string]float64{}}
		for _, m := range p.GetMetric() {
			var names, pairs []string
			for _, l := range m.GetLabel() {
				names = append(names, l.GetName())
				pairs = append(pairs, l.GetName()+"="+l.GetValue())
			}
			f.labels = strings.Join(names, " ")
			id := strings.Join(pairs, ",")
			f.samples[id] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if m.GetHistogram() != nil {
				f.samples[id+" sum"] = m.GetHistogram().GetSampleSum()
			}
			for _, b := range m.GetHistogram().GetBucket() {
				f.samples[fmt.Sprintf("%s le=%g", id, b.GetUpperBound())] = float64(b.GetCumulativeCount())
			}
		}
		families[name] = f
	}
	return families
}

// Each version serves all metrics of the data that it has, with its labels,
// and nothing else.
func TestHandler_Versions(t *testing.T) {
	exporters, err := foreign.Exporters()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1.7", "1.10", "1.12", "1.13", "2.3", "2.4", "2.5", "2.7"} {
		v, err := foreign.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		e := serve(t, options(version))
		e.second = 100
		for _, x := range exporters {
			if !slices.Contains(antreametrics.Exporters(), x.Name) {
				continue
			}
			want, got := map[string]string{}, map[string]string{}
			for _, m := range x.Metrics {
				if labels := m.LabelsIn(v); m.In(v) {
					slices.Sort(labels)
					want[m.Name] = m.Type + " " + strings.Join(labels, " ")
				}
			}
			for name, f := range e.scrape(x.Name) {
				got[name] = f.kind + " " + f.labels
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of Antrea %s (-data +served):\n%s", x.Name, version, diff)
			}
		}
	}
	for _, version := range []string{"2", "latest"} {
		if _, err := antreametrics.Handler(func() int { return 0 }, antreametrics.Options{Version: version}); err == nil {
			t.Errorf("version %q was taken", version)
		}
	}
}

// The values follow the stories.
func TestHandler_Stories(t *testing.T) {
	e := serve(t, options("2.3"))
	o := options("").Simulation
	const flows = "antrea_agent_ovs_flow_ops_count"
	value := func(families map[string]family, name, labels string) float64 {
		t.Helper()
		v, there := families[name].samples[labels]
		if !there {
			t.Fatalf("there is no %s{%s}", name, labels)
		}
		return v
	}
	first := e.scrape("antrea-agent")
	for _, e.second = range []int{100, 180, 300, 599} {
		m := o.At(e.second)
		now := e.scrape("antrea-agent")
		if got := value(now, "antrea_agent_local_pod_count", ""); got != float64(len(m.Pods())) {
			t.Errorf("second %d: %g Pods, want %d", e.second, got, len(m.Pods()))
		}
		// What was added and not deleted is there.
		total := value(now, "antrea_agent_ovs_total_flow_count", "")
		if added, deleted := value(now, flows, "operation=add"), value(now, flows, "operation=delete"); total != added-deleted {
			t.Errorf("second %d: %g flows, but %g added and %g deleted", e.second, total, added, deleted)
		}
		sum := 0.0
		for _, flows := range now["antrea_agent_ovs_flow_count"].samples {
			sum += flows
		}
		if sum != total {
			t.Errorf("second %d: the tables have %g flows, all together %g", e.second, sum, total)
		}
		_, rejected := m.Told(simulation.Rejected)
		_, denied := m.Told(simulation.DefaultDeny)
		want := 3
		for _, told := range []bool{rejected, denied} {
			if told {
				want++
			}
		}
		if got := value(now, "antrea_agent_networkpolicy_count", ""); got != float64(want) {
			t.Errorf("second %d: %g policies, want %d", e.second, got, want)
		}
	}
	last, controller := e.scrape("antrea-agent"), e.scrape("antrea-controller")
	f := func(families map[string]family, atLeast float64, name, labels string) {
		t.Helper()
		if got := value(families, name, labels); got < atLeast {
			t.Errorf("%s is %g, want %g at least", name, got, atLeast)
		}
	}
	f(last, value(first, flows, "operation=add")+600, flows, "operation=add")
	f(last, 1, "antrea_agent_ovs_meter_packet_dropped_count", "meter_id=PacketInMeterNetworkPolicy")
	f(last, 100, "antrea_agent_denied_connection_count", "")
	f(last, 20, "antrea_proxy_sync_proxy_rules_duration_seconds", "ip_family=v4")
	f(controller, 200, "antrea_controller_address_group_processed", "")
	f(controller, 200, "antrea_controller_address_group_sync_duration_milliseconds", "")
	f(controller, 10, "antrea_controller_annp_status_updates", "")
}

// Counters and histograms never go back, whenever they are scraped, and two
// runs have the same values.
func TestHandler_Monotonic(t *testing.T) {
	e, again := serve(t, options("2.7")), serve(t, options("2.7"))
	counters := func(e *endpoints) map[string]float64 {
		all := map[string]float64{}
		for _, exporter := range antreametrics.Exporters() {
			for name, f := range e.scrape(exporter) {
				for labels, v := range f.samples {
					if f.kind != "gauge" {
						all[exporter+" "+name+" "+labels] = v
					}
				}
			}
		}
		return all
	}
	before := counters(e)
	for _, e.second = range []int{1, 2, 30, 31, 170, 600, 599, 700} {
		now := counters(e)
		for id, v := range before {
			if now[id] < v {
				t.Errorf("second %d: %s went from %g to %g", e.second, id, v, now[id])
			}
		}
		before = now
	}
	again.second = 700
	if diff := cmp.Diff(before, counters(again)); diff != "" {
		t.Errorf("two runs differ (-often +once):\n%s", diff)
	}
	if len(before) < 200 {
		t.Errorf("there are %d counters only: %v", len(before), slices.Sorted(maps.Keys(before)))
	}
}

// Without FlowExporter, the metrics of connections are there and stay 0.
func TestHandler_FlowExporter(t *testing.T) {
	o := options("2.7")
	o.FlowExporter = false
	e := serve(t, o)
	e.second = 200
	now := e.scrape("antrea-agent")
	for _, name := range []string{"conntrack_total_connection_count", "conntrack_max_connection_count", "denied_connection_count"} {
		if got, there := now["antrea_agent_"+name].samples[""]; !there || got != 0 {
			t.Errorf("%s is %g, %t", name, got, there)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	second := 0
	handler, err := antreametrics.Handler(func() int { return second }, options(""))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		second++
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/antrea-agent/metrics", nil))
		b.SetBytes(int64(answer.Body.Len()))
	}
}
