package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// alerting are the matchers of alerts that fire here; one on something that is
// absent names no place.
const alerting = `{alertstate="firing", cluster=~"$cluster|", node=~"$node|"}`

func overview() grafana.Board {
	return grafana.Board{
		UID:         overviewUID,
		Title:       "Overview",
		Description: "The network at a glance: what is wrong now, and the way to the board that tells more.",
		Tags:        []string{tag},
		LinkTag:     tag,
		Variables:   append(stores(), places()...),
		Rows:        []grafana.Row{overviewNow(), overviewNode(), overviewBalancer(), overviewLogs()},
	}
}

// board is a link to one at the same time and place.
func board(title, uid string) []grafana.Link {
	keep := []string{"prometheus", "loki", "cluster", "node"}
	switch uid {
	case virtualServicesUID, connectionsUID, dnsUID, wafUID, operatorsUID:
	case controllerUID:
		keep = keep[:3] // it is on whatever node
	}
	return []grafana.Link{{Title: title, URL: grafana.BoardURL(uid, keep)}}
}

// noticed puts what matters of a collector's event into words.
const noticed = " | line_format `{{ .event }}{{ if .phase }} {{ .phase }}{{ end }}{{ if .invariant }} · {{ .invariant }}{{ end }}{{ if .table }} · {{ .table }}{{ end }}" +
	"{{ if .pod }} · {{ .namespace }}/{{ .pod }}{{ end }}{{ if .src_pod }} · {{ .src_pod }}{{ end }}{{ if .dst_pod }} → {{ .dst_pod }}{{ end }}{{ if .half_open }} · {{ .half_open }} half-open{{ end }}`"

func overviewNow() grafana.Row {
	return grafana.Row{Title: "What is wrong now", Panels: []grafana.Panel{
		{
			Title: "Alerts", Description: "Alerts that fire, of the rules that this Prometheus has (deploy/alerts). Without rules nothing ever fires.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Words:      []grafana.Word{{Value: "0", Text: "Nothing is firing", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `count(ALERTS` + alerting + `) or vector(0)`, Legend: "firing"}},
		},
		{
			Title: "Agents", Description: "Agents of Corkline that answer to Prometheus, one on each node, and those that do not.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Colors: []grafana.Color{{Series: "up", Color: "green"}, {Series: "down", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `count(up` + process + ` == 1) or vector(0)`, Legend: "up"},
				{Expr: `count(up` + process + ` == 0)`, Legend: "down"},
			},
			More: board("Corkline", agentUID),
		},
		{
			Title: "Invariants", Description: "Flows that the pipeline or a local Pod needs, and that the switch does not have.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Words:      []grafana.Word{{Value: "0", Text: "hold", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `sum(corkline_ovs_invariant_broken` + here() + `) or 0 * sum(corkline_ovs_up` + here() + `)`, Legend: "broken"}},
			Empty:      "No switch is read",
			More:       board("Pipeline", ovsUID),
		},
		{
			Title: "Floods", Description: "Floods of half-open connections that no client of the victim explains, and scans.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Words:      []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `sum(corkline_conntrack_floods{cluster=~"$cluster", node=~"$node", kind=~"flood|scan"})`, Legend: "floods"}},
			Empty:      "No conntrack table is read",
			More:       board("Conntrack", conntrackUID),
		},
		{
			Title: "Fullest", Description: "Share of the connection tracking table that is in use, of the node where it is highest. At 100 % new connections fail.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.75, Color: "orange"}, {From: 0.9, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `max(corkline_conntrack_entries` + here() + ` / corkline_conntrack_entries_limit` + here() + `)`, Legend: "in use"}},
			Empty:      "No conntrack table is read",
			More:       board("Conntrack", conntrackUID),
		},
		{
			Title: "Full in", Description: "Time until a connection tracking table is full, as it grows now.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "s",
			Thresholds: []grafana.Threshold{{Color: "red"}, {From: 30 * 60, Color: "orange"}, {From: 2 * 3600, Color: "green"}},
			Queries:    []grafana.Query{{Expr: `min(corkline_conntrack_forecast_full_seconds` + here() + `)`, Legend: "full in"}},
			Empty:      "No table fills up",
			More:       board("Conntrack", conntrackUID),
		},
		{
			Title: "Firing", Description: "The alerts that fire, where, and since when. Each has a runbook in docs/runbooks.",
			Width: 12, Height: 7, Store: grafana.Prometheus, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "alertname", Title: "Alert"},
				{Field: "severity", Title: "Severity", Width: 100, Colors: []grafana.Color{{Series: "critical", Color: "red"}, {Series: "warning", Color: "orange"}, {Series: "info", Color: "blue"}}},
				{Field: "node", Title: "Node"},
				{Field: "source", Title: "Source"},
				{Field: "Value", Title: "Since", Unit: "dateTimeFromNow", Width: 140},
			}},
			Queries: []grafana.Query{{Expr: `max by (alertname, severity, node, source) (1000 * ALERTS_FOR_STATE{cluster=~"$cluster|", node=~"$node|"} * ignoring (alertstate) ALERTS` + alerting + `)`}},
			Empty:   "Nothing is firing",
		},
		{
			Title: "What the agents noticed", Description: "Lines of the agents' own: floods and tables that fill, flows that a Pod lacks, restarts of the switch. The churn of flows has a graph on the board of the pipeline.",
			Width: 12, Height: 7, Store: grafana.Loki, As: grafana.Logs{},
			Queries: []grafana.Query{{Expr: `{job="corkline", cluster=~"$cluster", node=~"$node", source=~"conntrack-events|ovs-events", event!="flow_churn"}` + noticed}},
			Empty:   "Nothing was noticed in this time range",
		},
	}}
}

func overviewNode() grafana.Row {
	return grafana.Row{Title: "Policies, switch, connections", Panels: []grafana.Panel{
		{
			Title: "Denied by policies", Description: "Packets per second that network policies dropped and rejected, by the audit log. " + lowerBound,
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "pps", Colors: actionColors(),
			Queries: []grafana.Query{{Expr: `sum by (action) (rate(corkline_networkpolicy_logged_packets_total{cluster=~"$cluster", node=~"$node", action=~"` + denied + `"}[$__rate_interval]))`, Legend: "{{action}}"}},
			Empty:   "Nothing was denied",
			More:    board("Network policy", networkPolicyUID),
		},
		{
			Title: "Dropped in the switch", Description: "Packets per second that ended in a table of the pipeline, by reason.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "pps",
			Queries: []grafana.Query{{Expr: `sum by (reason) (rate(corkline_ovs_dropped_packets_total` + here() + `[$__rate_interval]))`, Legend: "{{reason}}"}},
			Empty:   "No switch is read, or it drops nothing",
			More:    board("Pipeline", ovsUID),
		},
		{
			Title: "Connection tracking", Description: "Share of the connection tracking table that is in use, of the ten nodes where it was highest.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Limits: true}, Unit: "percentunit", Max: 1,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.75, Color: "orange"}, {From: 0.9, Color: "red"}},
			Queries: []grafana.Query{{
				Expr:   `corkline_conntrack_entries` + here() + ` / corkline_conntrack_entries_limit` + here() + ` and topk(10, max_over_time(corkline_conntrack_entries` + here() + `[$__range] @ end()) / corkline_conntrack_entries_limit` + here() + `)`,
				Legend: "{{node}}",
			}},
			Empty: "No conntrack table is read",
			More:  board("Conntrack", conntrackUID),
		},
	}}
}

func overviewBalancer() grafana.Row {
	duration := func(quantile string) string {
		return `histogram_quantile(` + quantile + `, sum by (le) (rate(corkline_virtualservice_request_duration_seconds_bucket` + here() + `[$__rate_interval])))` +
			` or histogram_quantile(` + quantile + `, sum(rate(corkline_virtualservice_request_duration_seconds` + here() + `[$__rate_interval])))`
	}
	const none = "No load balancer sends its logs"
	return grafana.Row{Title: "Load balancer, of what it logged", Panels: []grafana.Panel{
		{
			Title: "Requests", Description: "HTTP requests per second of all virtual services, by the class of their status code.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps",
			Colors:  []grafana.Color{{Series: "2xx", Color: "green"}, {Series: "3xx", Color: "blue"}, {Series: "4xx", Color: "orange"}, {Series: "5xx", Color: "red"}},
			Queries: []grafana.Query{{Expr: `label_replace(sum by (code_class) (rate(corkline_virtualservice_requests_total` + here() + `[$__rate_interval])), "code_class", "no answer", "code_class", "")`, Legend: "{{code_class}}"}},
			Empty:   none,
			More:    board("Virtual services", virtualServicesUID),
		},
		{
			Title: "Server errors", Description: "Share of the HTTP requests that ended with a status of 5xx, of the five virtual services where it was highest.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit",
			Queries: []grafana.Query{{
				Expr: `topk(5, (sum by (virtualservice) (rate(corkline_virtualservice_requests_total{cluster=~"$cluster", node=~"$node", code_class="5xx"}[$__rate_interval])) or 0 * sum by (virtualservice) (rate(corkline_virtualservice_requests_total` + here() + `[$__rate_interval])))` +
					` / (sum by (virtualservice) (rate(corkline_virtualservice_requests_total` + here() + `[$__rate_interval])) > 0))`,
				Legend: "{{virtualservice}}",
			}},
			Empty: none,
			More:  board("Virtual services", virtualServicesUID),
		},
		{
			Title: "Latency", Description: "Time from the first byte of a request to the last one of its response, of all virtual services.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: []grafana.Query{{Expr: duration("0.5"), Legend: "p50"}, {Expr: duration("0.95"), Legend: "p95"}, {Expr: duration("0.99"), Legend: "p99"}},
			Empty:   none,
			More:    board("Virtual services", virtualServicesUID),
		},
		{
			Title: "Web application firewall", Description: "Requests per second that the firewall looked at, by what it decided.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps",
			Queries: []grafana.Query{{Expr: `sum by (status) (rate(corkline_virtualservice_waf_requests_total` + here() + `[$__rate_interval]))`, Legend: "{{status}}"}},
			Empty:   "No firewall's logs are sent",
			More:    board("WAF", wafUID),
		},
		{
			Title: "Connections", Description: "Layer 4 connections per second, by virtual service.",
			Width: 8, Height: 7, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{{Expr: `sum by (virtualservice) (rate(corkline_virtualservice_connections_total` + here() + `[$__rate_interval]))`, Legend: "{{virtualservice}}"}},
			Empty:   none,
			More:    board("Connections", connectionsUID),
		},
		{
			Title: "GSLB answers by site", Description: "Shares of the sites in the answers of GSLB services. Beside the weights that are configured, the board tells whether they hold.",
			Width: 8, Height: 7, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "percentunit", Max: 1,
			Queries: []grafana.Query{{Expr: `sum by (gslbservice, site) (rate(corkline_dns_site_answers_total` + here() + `[$__rate_interval])) / on (gslbservice) group_left () (sum by (gslbservice) (rate(corkline_dns_site_answers_total` + here() + `[$__rate_interval])) > 0)`, Legend: "{{gslbservice}} {{site}}"}},
			Empty:   "No GSLB service answers",
			More:    board("DNS and GSLB", dnsUID),
		},
		{
			Title: "DNS", Description: "Queries per second, by the code of the response.",
			Width: 8, Height: 7, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps",
			Queries: []grafana.Query{{Expr: `sum by (rcode) (rate(corkline_dns_queries_total` + here() + `[$__rate_interval]))`, Legend: "{{rcode}}"}},
			Empty:   "No DNS service sends its logs",
			More:    board("DNS and GSLB", dnsUID),
		},
	}}
}

func overviewLogs() grafana.Row {
	// What Antrea, the operators and Open vSwitch call a warning or worse.
	const bad = `{cluster=~"$cluster", node=~"$node", level=~"WARN|WARNING|ERR|ERROR|EMER|DPANIC|PANIC|FATAL"}`
	messages := func(metric string) string {
		return `sum(rate(` + metric + bad + `[$__rate_interval])) or 0 * sum(rate(` + metric + here() + `[$__rate_interval]))`
	}
	var more []grafana.Link
	for _, l := range []struct{ title, uid string }{
		{"Agent", antreaAgentUID}, {"its log", antreaLogsUID}, {"Controller", controllerUID}, {"Operators", operatorsUID},
	} {
		more = append(more, board(l.title, l.uid)...)
	}
	return grafana.Row{Title: "Logs, and whether they arrive", Panels: []grafana.Panel{
		{
			Title: "Warnings and errors", Description: "Messages per second that are a warning or worse, in the logs of Antrea, the load balancer's operators and Open vSwitch.",
			Width: 9, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{
				{Expr: messages("corkline_agent_log_messages_total"), Legend: "Antrea agent"},
				{Expr: messages("corkline_controller_log_messages_total"), Legend: "Antrea controller"},
				{Expr: messages("corkline_operator_log_messages_total"), Legend: "AKO and AMKO"},
				{Expr: messages("corkline_ovs_log_messages_total"), Legend: "Open vSwitch"},
			},
			Empty: "None of these logs is read",
			More:  more,
		},
		{
			Title: "Log lines", Description: "Lines per second that the agents read, by source.",
			Width: 9, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps",
			Queries: []grafana.Query{{Expr: `sum by (source) (rate(corkline_pipeline_lines_read_total` + here() + `[$__rate_interval])) > 0`, Legend: "{{source}}"}},
			More:    board("Corkline", agentUID),
		},
		{
			Title: "Ledger", Description: "Lines that wait for Loki in their files, that Loki refused for good, and that were lost with their file, of all that the agents have read since they started.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "locale",
			Colors: []grafana.Color{{Series: "read", Color: "blue"}, {Series: "waiting", Color: "blue"}},
			Queries: []grafana.Query{
				{Expr: `sum(corkline_pipeline_lines_read_total` + here() + `)`, Legend: "read"},
				{Expr: `sum(corkline_pipeline_lines_waiting` + here() + `)`, Legend: "waiting"},
				{Expr: `sum(corkline_pipeline_lines_dead_lettered_total` + here() + `)`, Legend: "refused"},
				{Expr: `sum(corkline_pipeline_lines_lost_total` + here() + `)`, Legend: "lost"},
			},
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			More:       board("Corkline", agentUID),
		},
	}}
}
