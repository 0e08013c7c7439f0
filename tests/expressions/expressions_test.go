// Package expressions holds every expression that Corkline ships against the
// real parsers of PromQL and LogQL, and every name in them against what the
// agent exposes and writes. It is a module of its own, since Loki's parser
// needs replaced modules.
package expressions

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/corkline/corkline/dashboards"
	"github.com/corkline/corkline/samples/foreign"
	"go.yaml.in/yaml/v3"
)

const alerts = "../../deploy/alerts"

// expression with the place where it stands.
type expression struct {
	file  string
	place string // panel, variable, link or rule
	store string // prometheus or loki
	text  string
	says  string // description of the panel
}

func (e expression) faults(c *catalogue) []string {
	check := c.promQL
	if e.store == "loki" {
		check = c.logQL
	}
	found := check(e.text)
	if e.store != "loki" {
		words, others := c.conditions(e.text)
		found = append(found, others...)
		for _, word := range words {
			if e.says != "" && !strings.Contains(e.says, word) {
				found = append(found, fmt.Sprintf("the description does not tell that it takes %s", word))
			}
		}
	}
	var faults []string
	for _, fault := range found {
		faults = append(faults, fmt.Sprintf("%s: %s: %s, in %s", e.file, e.place, fault, e.text))
	}
	return faults
}

func TestBoards(t *testing.T) {
	c, err := newCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	allRules(t, c) // what they record is shown
	all := variablesOf(t)
	for _, d := range dashboards.All() {
		expressions, faults := inBoard(d.Stem+".json", d.JSON, all)
		if len(expressions) == 0 {
			t.Errorf("%s: no expressions found", d.Stem)
		}
		for _, e := range expressions {
			faults = append(faults, e.faults(c)...)
		}
		for _, fault := range faults {
			t.Error(fault)
		}
	}
}

func TestRules(t *testing.T) {
	c, err := newCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range allRules(t, c) {
		for _, fault := range e.faults(c) {
			t.Error(fault)
		}
	}
}

// allRules gives the expressions of the rules, and adds what they record to the
// catalogue.
func allRules(t *testing.T, c *catalogue) (all []expression) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(alerts, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules in %s: %v", alerts, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		expressions, recorded, err := inRules(filepath.Base(file), text)
		if err != nil || len(expressions) == 0 {
			t.Errorf("%s: no rules found: %v", file, err)
		}
		all = append(all, expressions...)
		for name, expr := range recorded {
			c.foreign[name] = theirs{Metric: foreign.Metric{Name: name, Labels: groups(expr)}}
		}
	}
	return all
}

// inRules finds the expressions of a file of Prometheus rules, and the metrics
// that they record, with what.
func inRules(file string, text []byte) (found []expression, recorded map[string]string, err error) {
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Record, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return nil, nil, err
	}
	recorded = map[string]string{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			found = append(found, expression{file, "rule " + r.Alert + r.Record, "prometheus", r.Expr, ""})
			if r.Record != "" {
				recorded[r.Record] = r.Expr
			}
		}
	}
	return found, recorded, nil
}

// variablesOf gives the variables of all boards, by their uids.
func variablesOf(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, d := range dashboards.All() {
		var b board
		if err := json.Unmarshal(d.JSON, &b); err != nil {
			t.Fatalf("%s: %s", d.Stem, err)
		}
		all[d.UID] = b.variables()
	}
	return all
}

type board struct {
	Templating struct {
		List []struct {
			Name, Type string
			Datasource struct{ UID string }
			Definition string
		}
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Panels []struct {
		Title, Description string

		Targets []struct {
			Expr       string
			Datasource struct{ Type string }
		}
		FieldConfig json.RawMessage
		Links       json.RawMessage // of its title
	}
}

func (b *board) variables() (names []string) {
	for _, v := range b.Templating.List {
		names = append(names, v.Name)
	}
	return names
}

// inBoard finds the expressions of a dashboard: of panels, variables,
// annotations and links to Explore. It fills in the variables, and tells of those that the
// board does not have. all are the variables of all boards, to which it may link.
func inBoard(file string, text []byte, all map[string][]string) (found []expression, faults []string) {
	var b board
	if err := json.Unmarshal(text, &b); err != nil {
		return nil, []string{file + ": " + err.Error()}
	}
	variables := b.variables()
	add := func(place, store, text, says string) {
		filled, unknown := fillIn(text, variables)
		for _, name := range unknown {
			faults = append(faults, fmt.Sprintf("%s: %s: no variable %q, in %s", file, place, name, text))
		}
		found = append(found, expression{file, place, store, filled, says})
	}
	for _, v := range b.Templating.List {
		if v.Type == "query" {
			// A grouping asks for the label, too.
			add("variable "+v.Name, "prometheus", labelValues.ReplaceAllString(v.Definition, "count by ($2) ($1)"), "")
		}
	}
	for _, a := range b.Annotations.List {
		if a.Expr != "" {
			add("annotation "+a.Name, "prometheus", a.Expr, "")
		}
	}
	for _, p := range b.Panels {
		place := fmt.Sprintf("panel %q", p.Title)
		for _, target := range p.Targets {
			add(place, target.Datasource.Type, target.Expr, p.Description)
		}
		for _, match := range link.FindAllSubmatch(slices.Concat(p.FieldConfig, p.Links), -1) {
			var address string
			if err := json.Unmarshal(match[1], &address); err != nil {
				faults = append(faults, fmt.Sprintf("%s: %s: link %s: %s", file, place, match[1], err))
				continue
			}
			filled, unknown := fillIn(address, variables)
			for _, name := range unknown {
				faults = append(faults, fmt.Sprintf("%s: %s: no variable %q, in the link %s", file, place, name, address))
			}
			queries, err := inLink(filled, all)
			if err != nil {
				faults = append(faults, fmt.Sprintf("%s: %s: link %s: %s", file, place, filled, err))
			}
			for _, query := range queries {
				found = append(found, expression{file, place + ", link", query.Datasource.Type, query.Expr, ""})
			}
		}
	}
	return found, faults
}

var (
	labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	link        = regexp.MustCompile(`"url": ("(?:[^"\\]|\\.)*")`)
	usage       = regexp.MustCompile(`\$\{([\w.]+)(?::\w+)?\}|\$(\w+)`)
)

// fillIn replaces variables as Grafana would with something chosen in each.
func fillIn(text string, variables []string) (filled string, unknown []string) {
	filled = usage.ReplaceAllStringFunc(text, func(used string) string {
		m := usage.FindStringSubmatch(used)
		name := m[1] + m[2]
		switch {
		case strings.HasSuffix(used, ":queryparam}") && slices.Contains(variables, name):
			return "var-" + name + "=chosen"
		case name == "__url_time_range":
			return "from=now-1h&to=now"
		case name == "__range":
			return "1h"
		case name == "__rate_interval", name == "__auto", name == "__interval":
			return "1m"
		case name == "1", name == "2": // groups of an expression
			return used
		case name == "source": // the names of sources are known, unlike other values
			return ".*"
		case name == "__from", name == "__to":
			return "1767323045000"
		case strings.HasPrefix(name, "__data.fields."), slices.Contains(variables, name):
			return "chosen"
		}
		unknown = append(unknown, name)
		return used
	})
	return filled, unknown
}

// linked is a query of a link to Explore.
type linked struct {
	Expr       string
	Datasource struct{ Type string }
}

// inLink finds the queries of a link to Explore; of one to a board it checks
// the variables that it sets.
func inLink(address string, all map[string][]string) (queries []linked, err error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(at.RawQuery)
	if err != nil {
		return nil, err
	}
	if at.Path != "/explore" {
		uid, ok := strings.CutPrefix(at.Path, "/d/")
		variables, known := all[uid]
		if !ok || !known {
			return nil, fmt.Errorf("there is no board %q", at.Path)
		}
		for name, values := range query {
			twice := len(values) > 1 && slices.Contains(values, "chosen") // kept and set, or set to a field twice
			if variable, ok := strings.CutPrefix(name, "var-"); ok && (!slices.Contains(variables, variable) || twice) {
				return nil, fmt.Errorf("sets the variable %q to %q", variable, values)
			}
		}
		return nil, nil
	}
	var panes map[string]struct{ Queries []linked }
	if err := json.Unmarshal([]byte(query.Get("panes")), &panes); err != nil {
		return nil, err
	}
	for _, pane := range panes {
		queries = append(queries, pane.Queries...)
	}
	if len(queries) == 0 {
		return nil, fmt.Errorf("has no query")
	}
	return queries, nil
}

// TestBites holds that what the tests above are for would be found.
func TestBites(t *testing.T) {
	c, err := newCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	f := func(store, text, want string) {
		t.Helper()
		faults := strings.Join(expression{"a.json", "panel b", store, text, "Since 1.12."}.faults(c), "\n")
		if want == "" && faults != "" {
			t.Errorf("%s has faults:\n%s", text, faults)
		}
		if !strings.Contains(faults, want) {
			t.Errorf("%s: %q is not in:\n%s", text, want, faults)
		}
		if faults != "" && !strings.HasPrefix(faults, "a.json: panel b: ") {
			t.Errorf("does not tell where: %s", faults)
		}
	}
	f("prometheus", `rate(corkline_pipeline_lines_read_total{source="x", node="n"}[5m])`, "")
	f("prometheus", `rate(corkline_pipeline_line_read_total[5m])`, `no such metric: "corkline_pipeline_line_read_total"`)
	f("prometheus", `{__name__="corkline_gone"}`, `no such metric: "corkline_gone"`)
	f("prometheus", `node_nf_conntrack_size`, `no such metric: "node_nf_conntrack_size"`)
	f("prometheus", `corkline_build_info{release="1"}`, `metric "corkline_build_info" has no label "release"`)
	f("prometheus", `sum by (rule) (corkline_networkpolicy_log_lines_total)`, `grouped by "rule"`)
	f("prometheus", `sum by (rule) (label_replace(corkline_networkpolicy_log_lines_total, "rule", "$1", "action", "(.+)"))`, "")
	f("prometheus", `sum by (rule) (label_replace(corkline_networkpolicy_log_lines_total, "roll", "$1", "action", "(.+)"))`, `grouped by "rule"`)
	f("prometheus", `up * on (host) corkline_build_info`, `grouped by "host"`)
	f("prometheus", `sum by (le) (rate(corkline_loki_push_duration_seconds_bucket[5m]))`, "")
	f("prometheus", `sum by (le) (rate(corkline_loki_push_duration_seconds[5m]))`, `grouped by "le"`)
	f("prometheus", `rate(corkline_pipeline_lines_waiting[5m])`, `rate of "corkline_pipeline_lines_waiting", which is a gauge`)
	f("prometheus", `sum(up`, `parse error`)
	f("prometheus", `rate(process_cpu_seconds_total{job=~"antrea-agent|corkline"}[5m])`, "")
	f("prometheus", `rate(process_cpu_seconds_total{job="antrea-agents"}[5m])`, `is of corkline or antrea-agent or`)
	f("prometheus", `antrea_agent_local_pods`, `no such metric`)
	f("prometheus", `rate(antrea_agent_local_pod_count[5m])`, `which is a gauge`)
	f("prometheus", `sum by (table_name) (antrea_agent_ovs_flow_count{table_name="Output"})`, "")
	f("prometheus", `antrea_agent_ovs_flow_count{table="Output"}`, `has no label "table"`)
	f("prometheus", `sum by (le) (rate(antrea_agent_ovs_flow_ops_latency_milliseconds_bucket[5m]))`, "")
	f("prometheus", `antrea_agent_ovs_flow_ops_latency_milliseconds`, `no such metric`)
	f("prometheus", `antrea_agent_ovs_meter_packet_dropped_count`, `does not tell that it takes 1.13`)
	f("prometheus", `rate(antrea_agent_denied_connection_count[5m])`, `does not tell that it takes FlowExporter`)
	f("prometheus", `antrea_agent_conntrack_total_connection_count`, `does not tell that it takes FlowExporter`)
	f("prometheus", `antrea_controller_annp_status_updates or antrea_controller_anp_status_updates`, "")
	f("prometheus", `antrea_controller_annp_status_updates`, `is "antrea_controller_anp_status_updates" in other versions`)
	f("prometheus", `antrea_controller_anp_status_updates`, `is "antrea_controller_annp_status_updates" in other versions`)
	f("loki", `sum by (src_ip) (count_over_time({source="antrea-networkpolicy", action="Drop"} | policy="p" [5m]))`, "")
	f("loki", `{source="antrea-networkpolicies"}`, `no source writes`)
	f("loki", `{job="fluentbit"}`, `no source writes`)
	f("loki", `{source="antrea-networkpolicy", policy="p"}`, `no stream has the label "policy"`)
	f("loki", `{source="antrea-networkpolicy"} | sourceIP="a"`, `no line has "sourceIP"`)
	f("loki", `{source="antrea-networkpolicy"} | line_format "{{ .sourceIP }}"`, `no line has "sourceIP"`)
	f("loki", "{source=\"antrea-networkpolicy\"} | label_format to=`{{ .dst }}` | to=\"a\"", `no line has "dst"`)
	f("loki", `sum by (sourceIP) (rate({source="antrea-networkpolicy"}[5m]))`, `no line has "sourceIP"`)
	f("loki", `sum(sum_over_time({source="antrea-networkpolicy"} | unwrap size [5m]))`, `no line has "size"`)
	f("loki", `{source="antrea-networkpolicy"} | json`, `parses lines again`)
	f("loki", `{source="antrea-networkpolicy"`, `parse error`)

	link := func(address, want string) {
		t.Helper()
		if _, err := inLink(address, variablesOf(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
	link("/d/corkline-agents?from=now-1h", `there is no board "/d/corkline-agents"`)
	link("/d/corkline-agent?var-policy=p", `sets the variable "policy"`)
	link("/explore?panes=%7B%7D", "has no query")

	all := dashboards.All()
	ourself := all[slices.IndexFunc(all, func(d dashboards.Dashboard) bool { return d.Stem == "corkline" })]
	wrong := strings.NewReplacer(
		"corkline_pipeline_lines_waiting", "corkline_pipeline_lines_witing",
		`\"$node\"`, `\"$nodes\"`,
	).Replace(string(ourself.JSON))
	expressions, faults := inBoard("corkline.json", []byte(wrong), variablesOf(t))
	for _, e := range expressions {
		faults = append(faults, e.faults(c)...)
	}
	told := strings.Join(faults, "\n")
	for _, want := range []string{
		`corkline.json: panel "Lines waiting": no such metric: "corkline_pipeline_lines_witing", in sum(`,
		`corkline.json: panel "Lines waiting": no variable "nodes", in sum(`,
		`corkline.json: variable source: no variable "nodes"`,
	} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told", want)
		}
	}

	rules, _, err := inRules("r.yaml", []byte("groups: [{rules: [{alert: A, expr: corkline_gone > 0}]}]"))
	if err != nil || len(rules) != 1 {
		t.Fatalf("found %v: %v", rules, err)
	}
	if got, want := rules[0].faults(c), `r.yaml: rule A: no such metric: "corkline_gone", in corkline_gone > 0`; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
