package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

func antreaLogs() grafana.Board {
	k := klog{
		uid: antreaLogsUID, source: "antrea-agent", metric: "corkline_agent_log_messages_total",
		who: "Antrea's agents", empty: noAgentLog, node: true,
	}
	return grafana.Board{
		UID:         antreaLogsUID,
		Title:       "Antrea agent logs",
		Description: "What Antrea's agents say: how much, of what, and every line with its fields.",
		Tags:        []string{tag, "antrea"},
		LinkTag:     tag,
		Variables:   k.variables(),
		Rows:        []grafana.Row{k.counts(), k.said(), exportedFlows(k), k.log()},
	}
}

// exportedFlows are the connections that Antrea's flow exporter writes to the
// log.
func exportedFlows(k klog) grafana.Row {
	const (
		which = "They are in the log where the feature FlowExporter is on and the agent logs at verbosity 4."
		empty = "No connection in the log: FlowExporter is off, or the verbosity below 4"
	)
	flows := k.lines("") + ` | src_ip!=""`
	// Protocols are numbers there; names of Pods end in what only one of them has.
	const named = " | label_format service=`{{ if eq .protocol \"6\" }}TCP{{ else if eq .protocol \"17\" }}UDP{{ else if eq .protocol \"132\" }}SCTP{{ else }}IP {{ .protocol }}{{ end }}" +
		"{{ if .dst_port }}/{{ .dst_port }}{{ end }}`" +
		" | label_format from=`{{ if .src_pod }}{{ .src_namespace }}/{{ regexReplaceAll \"(-[0-9a-f]{6,10})?-[0-9a-z]{1,5}$\" .src_pod \"\" }}{{ end }}`" +
		" | label_format to=`{{ if .dst_pod }}{{ .dst_namespace }}/{{ regexReplaceAll \"(-[0-9a-f]{6,10})?-[0-9a-z]{1,5}$\" .dst_pod \"\" }}{{ end }}`"
	return grafana.Row{Title: "Connections of the flow exporter, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Connections told", Description: "Connections per second that the log tells of. " + which,
			Width: 8, Height: 9, Store: grafana.Loki, As: grafana.TimeSeries{}, Unit: "cps", Empty: empty,
			Queries: []grafana.Query{{Expr: `sum by (node) (rate(` + flows + ` [$__auto]))`, Legend: "{{node}}"}},
		},
		{
			Title: "Top connections", Description: "Who connected to whom the most in the time range: workloads, without what tells their Pods apart, and the policies that allowed it. An empty end is not a Pod. " + which,
			Width: 16, Height: 9, Store: grafana.Loki, Unit: "short", Empty: empty,
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "from", Title: "From"},
				{Field: "to", Title: "To"},
				{Field: "service", Title: "Service", Width: 110},
				{Field: "egress_policy", Title: "Egress policy"},
				{Field: "ingress_policy", Title: "Ingress policy"},
				{Field: "Value", Title: "Connections", Unit: "short", Bar: true, Width: 160},
			}},
			Queries: []grafana.Query{{Expr: `topk(30, sum by (from, to, service, egress_policy, ingress_policy) (count_over_time(` + flows + named + ` [$__range])))`}},
		},
		{
			Title: "Connections", Description: "Each connection: source, destination and its Pods, the Service that was asked, and the policies. " + which,
			Width: 24, Height: 9, Store: grafana.Loki, As: grafana.Logs{}, Empty: empty,
			Queries: []grafana.Query{{Expr: flows + " | line_format `{{ .src_ip }} {{ .src_port }}{{ if .src_pod }} ({{ .src_namespace }}/{{ .src_pod }}){{ end }} → {{ .dst_ip }} {{ .dst_port }}{{ if .dst_pod }} ({{ .dst_namespace }}/{{ .dst_pod }}){{ end }}" +
				"{{ if .service_ip }} · Service {{ .service_ip }}{{ if .service_port }} {{ .service_port }}{{ end }}{{ end }}{{ if .tcp_state }} · {{ .tcp_state }}{{ end }}" +
				"{{ if .egress_policy }} · egress by {{ .egress_policy }}{{ end }}{{ if .ingress_policy }} · ingress by {{ .ingress_policy }}{{ end }}`"}},
		},
	}}
}
