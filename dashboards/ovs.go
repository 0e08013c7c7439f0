package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// ovsSeries of a metric of a bridge, that the board's filters let through.
func ovsSeries(metric, more string) string {
	return "corkline_ovs_" + metric + `{cluster=~"$cluster", node=~"$node", bridge=~"$bridge"` + more + "}"
}

// tableSeries are those of a table, portSeries those of a port, and switchSeries
// those of the whole switch.
func tableSeries(metric string) string { return ovsSeries(metric, `, table=~"$table"`) }

func portSeries(metric string) string {
	return ovsSeries("port_"+metric, `, namespace=~"$namespace", pod=~"$pod"`)
}

func switchSeries(metric string, more ...string) string {
	return "corkline_ovs_" + metric + here(more...)
}

// ovsFilters of the board that its links to itself keep.
func ovsFilters(but ...string) []string {
	return without([]string{"prometheus", "loki", "cluster", "node", "bridge", "table", "namespace", "pod", "level", "module"}, but)
}

func onlyOVS(what, variable, field string) grafana.Link {
	return grafana.Link{Title: "Show only this " + what, URL: grafana.BoardURL(ovsUID, ovsFilters(variable), variable, grafana.Value(field))}
}

// onlyPod shows one pod on this board.
func onlyPod() grafana.Link {
	return grafana.Link{Title: "Show only this pod", URL: grafana.BoardURL(ovsUID, ovsFilters("namespace", "pod"), "namespace", grafana.Value("namespace"), "pod", grafana.Value("pod"))}
}

// deniedOn opens what the policy log of a row's node says of denials: on the
// board of network policies, and as lines.
func deniedOn() []grafana.Link {
	keep := []string{"prometheus", "loki", "cluster"}
	return []grafana.Link{
		{Title: "Who was denied what on this node", URL: grafana.BoardURL(networkPolicyUID, keep, "node", grafana.Value("node"), "action", "Drop", "action", "Reject")},
		{Title: "Show this node's denied lines in Explore", URL: grafana.ExploreURL(`{job="corkline", source="antrea-networkpolicy", action=~"` + denied + `", node="` + grafana.Value("node") + `"}`)},
	}
}

// dropReasons have the same colour everywhere.
func dropReasons() []grafana.Color {
	return []grafana.Color{
		{Series: "policy_drop", Color: "red"},
		{Series: "policy_reject", Color: "orange"},
		{Series: "default_deny_ingress", Color: "purple"},
		{Series: "default_deny_egress", Color: "semi-dark-purple"},
		{Series: "spoof_guard", Color: "semi-dark-yellow"},
		{Series: "arp_spoof_guard", Color: "yellow"},
		{Series: "invalid_conntrack", Color: "blue"},
		{Series: "no_endpoints", Color: "semi-dark-blue"},
		{Series: "source_range", Color: "semi-dark-green"},
		{Series: "no_egress_ip", Color: "green"},
		{Series: "ttl", Color: "semi-dark-orange"},
		{Series: "table_miss", Color: "text"},
		{Series: "flow", Color: "semi-dark-red"},
		{Series: "overflow", Color: "text"},
	}
}

// dumps is a fourth of the time in which all flows are read twice: what is summed
// up from them grows in steps, which a shorter window would show as spikes.
const dumps = "30s"

func ovs() grafana.Board {
	return grafana.Board{
		UID:         ovsUID,
		Title:       "OVS pipeline",
		Description: "What Open vSwitch does on every node: which table drops packets and why, what flows it has and lacks, what its ports move, and how its datapath does.",
		Tags:        []string{tag, "node", "ovs"},
		LinkTag:     tag,
		Variables: append(append(stores(), places()...),
			grafana.LabelVariable{Name: "bridge", Label: "Bridge", Selector: switchSeries("up"), Of: "bridge"},
			grafana.LabelVariable{Name: "table", Label: "Table", Selector: ovsSeries("table_lookups_total", ""), Of: "table"},
			grafana.LabelVariable{Name: "namespace", Label: "Namespace", Selector: ovsSeries("port_received_bytes_total", `, namespace!=""`), Of: "namespace"},
			grafana.LabelVariable{Name: "pod", Label: "Pod", Selector: ovsSeries("port_received_bytes_total", `, namespace=~"$namespace", pod!=""`), Of: "pod"},
			grafana.LabelVariable{Name: "level", Label: "Level of the log", Selector: switchSeries("log_messages_total"), Of: "level"},
			grafana.LabelVariable{Name: "module", Label: "Module of the log", Selector: switchSeries("log_messages_total", `level=~"$level"`), Of: "module"},
		),
		Rows: []grafana.Row{ovsOverview(), ovsDrops(), ovsInvariants(), ovsRules(), ovsTables(), ovsChurn(), ovsPorts(), ovsDatapath(), ovsTrouble(), ovsLog()},
	}
}

func ovsOverview() grafana.Row {
	dropped := tableSeries("dropped_packets_total")
	return grafana.Row{Title: "At a glance", Panels: []grafana.Panel{
		{
			Title: "Bridges", Description: "Bridges that could be read over OpenFlow in the last poll, and those that could not: the switch is down, or its socket is not there.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{Named: true}, Unit: "short", Empty: "no agent reads a switch",
			Colors: []grafana.Color{{Series: "up", Color: "green"}, {Series: "down", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `count(` + ovsSeries("up", "") + ` == 1)`, Legend: "up"},
				{Expr: `count(` + ovsSeries("up", "") + ` == 0)`, Legend: "down"},
			},
		},
		{
			Title: "Pipelines", Description: "Bridges by the generation of their pipeline, which is named after the version of Antrea that began with it. none is not Antrea's: such drops are not told apart.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{Named: true}, Unit: "short", Empty: "no bridge has been read yet",
			Thresholds: []grafana.Threshold{{Color: "blue"}},
			Queries:    []grafana.Query{{Expr: `count by (pipeline, openflow) (` + ovsSeries("bridge_info", "") + `)`, Legend: "since {{pipeline}}, OpenFlow {{openflow}}"}},
		},
		{
			Title: "Flows", Description: "Flows of all tables, and those of earlier rounds: Antrea's agent deletes them a little after it has started. Those that stay are forgotten ones.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Colors: []grafana.Color{{Series: "flows", Color: "blue"}, {Series: "stale", Color: "orange"}},
			Queries: []grafana.Query{
				{Expr: `sum(` + tableSeries("table_flows") + `)`, Legend: "flows"},
				{Expr: `sum(` + ovsSeries("stale_flows", "") + `)`, Legend: "stale"},
			},
		},
		{
			Title: "Dropped", Description: "Packets that ended in a table within the time range.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "blue"}},
			Queries:    []grafana.Query{{Expr: `sum(` + during(dropped) + `)`, Legend: "packets"}},
		},
		{
			Title: "Missing flows", Description: "Flows that the pipeline or a local pod needs, and that are not there now.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Words:      []grafana.Word{{Value: "0", Text: "all flows are there", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `sum(` + ovsSeries("invariant_broken", "") + `) or 0 * sum(` + ovsSeries("pods_checked", "") + `)`, Legend: "missing"}},
		},
		{
			Title: "Upcalls lost", Description: "Packets in the time range that should have gone up to ovs-vswitchd, and were dropped since it was too busy: first packets of connections.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `round(sum(increase(` + switchSeries("datapath_lost_total") + `[$__range])))`, Legend: "packets"}},
		},
		{
			Title: "Restarts", Description: "Restarts of ovs-vswitchd in the time range. Until Antrea's agent has put its flows back, nothing passes.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "orange"}},
			Queries:    []grafana.Query{{Expr: `round(sum(increase(` + switchSeries("restarts_total") + `[$__range])))`, Legend: "restarts"}},
		},
		firing("ovs.*"),
	}}
}

// reasonsText says what the reasons of drops mean, in the words of docs/ovs.md.
const reasonsText = `| reason | the packet |
|---|---|
| spoof_guard, arp_spoof_guard | has a sender that is not its pod's |
| policy_drop, policy_reject | is denied by a rule of a policy |
| default_deny_… | meets a pod that Kubernetes policies isolate |
| invalid_conntrack | belongs to no connection that is tracked |
| no_endpoints | is for a Service without endpoints |
| source_range | is not of the Service's allowed sources |
| no_egress_ip | came for an Egress that is not here |
| ttl | has ended its TTL |
| table_miss | is wanted by nothing in the table |
`

func ovsDrops() grafana.Row {
	dropped := tableSeries("dropped_packets_total")
	ofPods := ovsSeries("pod_dropped_packets_total", `, table=~"$table", namespace=~"$namespace", pod=~"$pod"`)
	over := grafana.Link{Title: "Show it over time in Explore", URL: grafana.ExploreMetricsURL(`rate(corkline_ovs_dropped_packets_total{node="` +
		grafana.Value("node") + `", table="` + grafana.Value("table") + `", reason="` + grafana.Value("reason") + `"}[5m])`)}
	return grafana.Row{Title: "Drops: where, why, whose", Panels: []grafana.Panel{
		{
			Title: "Dropped packets by reason", Description: "Packets per second that ended in a table, by reason. Those of the reasons policy_… and default_deny_… are what policies are for; the rest should be rare.",
			Width: 11, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "pps", Colors: dropReasons(), Empty: "no packet was dropped in this time range",
			More:    board("Network policy", networkPolicyUID),
			Queries: []grafana.Query{{Expr: topPerSecond("20", "reason", dropped), Legend: "{{reason}}", Least: dumps}},
		},
		{
			Title: "Dropped packets by table", Description: "Packets in the time range by the table that they ended in.",
			Width: 6, Height: 9, Store: grafana.Prometheus, As: grafana.BarGauge{}, Unit: "short", Empty: "no packet was dropped in this time range",
			Thresholds: []grafana.Threshold{{Color: "red"}}, Links: []grafana.Link{onlyOVS("table", "table", "table")},
			Queries: []grafana.Query{{Expr: `topk(15, sum by (table) (` + during(dropped) + `) > 0)`}},
		},
		{
			Title: "What the reasons mean", Description: "Why a packet's way ends.",
			Width: 7, Height: 9, As: grafana.Text{Markdown: reasonsText},
		},
		{
			Title: "Drops", Description: "Where packets ended in the time range, and why. corkline ovs drops shows the flows behind it on the node, and corkline ovs trace-drop those that count right now.",
			Width: 13, Height: 9, Store: grafana.Prometheus, Unit: "short", Empty: "no packet was dropped in this time range",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "reason", Title: "Reason", Colors: dropReasons(), Links: append([]grafana.Link{over}, deniedOn()...)},
				{Field: "table", Title: "Table", Links: []grafana.Link{onlyOVS("table", "table", "table"), over}},
				{Field: "node", Title: "Node", Links: append([]grafana.Link{onlyOVS("node", "node", "node")}, deniedOn()...)},
				{Field: "bridge", Title: "Bridge", Width: 80},
				{Field: "Value", Title: "Packets", Unit: "short", Bar: true},
			}},
			Queries: []grafana.Query{{Expr: `topk(100, sum by (reason, table, node, bridge) (` + during(dropped) + `) > 0)`}},
		},
		{
			Title: "Pods that are cut off", Description: "Local pods whose own flows dropped packets in the time range: those that Kubernetes policies isolate and that none allows. The policy log names no policy for them. Needs a pipeline of Antrea's.",
			Width: 11, Height: 9, Store: grafana.Prometheus, Unit: "short", Empty: "no flow for a single pod dropped packets in this time range",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "namespace", Title: "Namespace", Width: 95},
				{Field: "pod", Title: "Pod", Links: append([]grafana.Link{onlyPod()}, deniedOn()...)},
				{Field: "reason", Title: "Reason", Width: 160, Colors: dropReasons()},
				{Field: "node", Title: "Node", Width: 100},
				{Field: "Value", Title: "Packets", Unit: "short", Bar: true},
			}},
			Queries: []grafana.Query{{Expr: `topk(50, sum by (namespace, pod, reason, node) (` + during(ofPods) + `) > 0)`}},
		},
	}}
}

func ovsInvariants() grafana.Row {
	// A row says so where pods were checked and nothing is missing.
	broken := ovsSeries("invariant_broken", `, namespace=~"$namespace", pod=~"$pod"`)
	whole := `label_replace(0 * sum by (node, bridge) (` + ovsSeries("pods_checked", "") + `), "invariant", "all flows are there", "", "") unless on (node, bridge) ` + broken
	lines := grafana.Link{Title: "Show what is missing in Explore", URL: grafana.ExploreURL(`{job="corkline", source="ovs-events", event=~"invariant_.*", node="` +
		grafana.Value("node") + `"} | table="` + grafana.Value("table") + `" | pod="` + grafana.Value("pod") + `"`)}
	return grafana.Row{Title: "Flows that must be there, and events", Panels: []grafana.Panel{
		{
			Title: "Missing flows by pod", Description: "Of every local pod the flows that classify its packets, guard against spoofing and forward to it; of every table the one that matches what no other does. overflow sums up what is beyond 200.",
			Width: 14, Height: 8, Store: grafana.Prometheus, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "invariant", Title: "Flow", Width: 150, Colors: invariantColors()},
				{Field: "table", Title: "Table", Links: []grafana.Link{onlyOVS("table", "table", "table"), lines}},
				{Field: "namespace", Title: "Namespace", Width: 95},
				{Field: "pod", Title: "Pod", Links: []grafana.Link{onlyPod(), lines}},
				{Field: "node", Title: "Node", Width: 110},
				{Field: "bridge", Title: "Bridge", Width: 80},
				{Field: "Value", Title: "Missing", Unit: "short", Width: 80, Red: true},
			}},
			Queries: []grafana.Query{{Expr: `sum by (invariant, table, namespace, pod, node, bridge) (` + broken + `) or ` + whole}},
		},
		{
			Title: "Events", Description: "What the agents noticed in the time range, such as flows that a pod lacks, and restarts.",
			Width: 10, Height: 8, Store: grafana.Prometheus, As: grafana.BarGauge{}, Unit: "short", Empty: "nothing happened in this time range",
			Thresholds: []grafana.Threshold{{Color: "blue"}},
			Links:      []grafana.Link{{Title: "Show the lines in Explore", URL: grafana.ExploreURL(`{job="corkline", source="ovs-events", cluster=~"${cluster:pipe}", node=~"${node:pipe}", event="` + grafana.Value("event") + `"}`)}},
			Queries:    []grafana.Query{{Expr: `sum by (event) (` + during(switchSeries("events_total")) + `) > 0`}},
		},
		{
			Title: "Log of events", Description: "One line for each: flows that are missing and come back, flow churn between two looks, a bridge that goes and comes, restarts of the switch and of Antrea's agent.",
			Width: 24, Height: 8, Store: grafana.Loki, As: grafana.Logs{},
			Queries: []grafana.Query{{Expr: `{job="corkline", source="ovs-events", cluster=~"$cluster", node=~"$node"} | bridge=~"$bridge|" | table=~"$table|" | namespace=~"$namespace|" | pod=~"$pod|"` + readableEvent}},
		},
	}}
}

func invariantColors() []grafana.Color {
	colors := []grafana.Color{{Series: "all flows are there", Color: "green"}}
	for _, broken := range []string{"classifier", "spoof_guard", "arp_spoof_guard", "forwarding", "miss_flow", "overflow"} {
		colors = append(colors, grafana.Color{Series: broken, Color: "red"})
	}
	return colors
}

// readableEvent puts an event into words.
const readableEvent = " | line_format `{{ alignLeft 19 .event }} {{ .node }} {{ .bridge }}" +
	"{{ if .missing }} · {{ .missing }}{{ else if .table }} · {{ .table }} {{ .invariant }} {{ .namespace }}/{{ .pod }}{{ end }}" +
	"{{ if .flows }} · {{ .adds }} added, {{ .deletes }} deleted, {{ .modifications }} modified of {{ .flows }} flows in {{ round .seconds 1 }} s{{ end }}" +
	"{{ if .pipeline }} · since {{ .pipeline }}{{ end }}{{ if .round }} · round {{ .round }}{{ end }}{{ if .reason }} · {{ .reason }}{{ end }}`"

func ovsRules() grafana.Row {
	packets := tableSeries("rule_packets_total")
	const by = "policy, rule, table, priority, action"
	labels := []grafana.Column{
		{Field: "policy", Title: "Policy", Width: 330, Links: []grafana.Link{
			{Title: "Show this policy on Network policy", URL: grafana.BoardURL(networkPolicyUID, []string{"prometheus", "loki", "cluster", "node"}, "policy", grafana.Value("policy"))},
			linesOf("policy"),
		}},
		{Field: "rule", Title: "Rule"},
		{Field: "table", Title: "Table", Links: []grafana.Link{onlyOVS("table", "table", "table")}},
		{Field: "priority", Title: "Priority", Width: 80},
		{Field: "action", Title: "Action", Width: 90, Colors: actionColors()},
	}
	sum := func(metric string) string { return `sum by (` + by + `) (` + during(tableSeries(metric)) + `)` }
	rules, queries := measured(labels, []measure{
		{title: "Packets", unit: "short", expr: `topk(100, ` + sum("rule_packets_total") + ` > 0)`},
		{title: "Bytes", unit: "bytes", expr: sum("rule_bytes_total") + ` > 0`},
		{title: "Sessions", unit: "short", expr: sum("rule_sessions_total") + ` > 0`},
	})
	return grafana.Row{Title: "Rules of policies, as the flows count them (all packets, logged or not)", Panels: []grafana.Panel{
		{
			Title: "Packets by action", Description: "Packets per second that rules allowed or denied. Unlike the policy log this is no sample.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "pps", Colors: actionColors(),
			Queries: []grafana.Query{{Expr: perSecond("action", packets), Legend: "{{action}}", Least: dumps}},
		},
		{
			Title: "Rules without a packet", Description: "Rules that no packet has matched since the node's agent started: not needed, or shadowed by another one.",
			Width: 16, Height: 9, Store: grafana.Prometheus, Unit: "short", Empty: "every rule has matched since the agents started",
			As: grafana.Table{Columns: append(append([]grafana.Column{}, labels...), grafana.Column{Field: "Value", Title: "Packets", Unit: "short", Width: 80})},
			// Where the log has named a rule since, its series without the name stays at 0.
			Queries: []grafana.Query{{Expr: `topk(200, sum by (` + by + `) (` + packets + `) == 0 and on (table, priority, action) (sum by (table, priority, action) (` + packets + `) == 0))`}},
		},
		{
			Title: "Rules by packets", Description: "The hundred rules with the most packets in the time range. Policy and rule have names once a line of the policy log has told them; rules that are not logged, and all of Kubernetes' own policies, are known by table and priority.",
			Width: 24, Height: 9, Store: grafana.Prometheus, Unit: "short", Empty: "no rule has matched a packet in this time range",
			As: rules, Queries: queries,
		},
	}}
}

func ovsTables() grafana.Row {
	const by = "table"
	sum := func(metric string) string { return `sum by (table) (` + during(tableSeries(metric)) + `)` }
	tables, queries := measured(
		[]grafana.Column{{Field: "table", Title: "Table", Width: 230, Links: []grafana.Link{onlyOVS("table", "table", "table")}}},
		[]measure{
			{title: "Packets", unit: "short", expr: sum("table_packets_total")},
			{title: "Bytes", unit: "bytes", expr: sum("table_bytes_total")},
			{title: "Flows", unit: "locale", expr: `sum by (table) (` + tableSeries("table_flows") + `)`},
			{title: "Looked up", unit: "short", expr: sum("table_lookups_total")},
			{title: "Matched", unit: "short", expr: sum("table_matches_total")},
			{title: "Dropped", unit: "short", expr: sum("dropped_packets_total"), red: true},
		})
	return grafana.Row{Title: "What the tables hold and match", Panels: []grafana.Panel{
		{
			Title: "Flows by table", Description: "Flows of the twelve tables that had the most at the end of the time range.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "short",
			Queries: []grafana.Query{{Expr: `sum by (table) (` + tableSeries("table_flows") + `) and on (table) topk(12, sum by (table) (` + tableSeries("table_flows") + ` @ end()))`, Legend: "{{table}}"}},
		},
		{
			Title: "Packets by table", Description: "Packets per second that flows of a table matched, of the twelve tables with the most. A packet passes many tables; those of established connections pass few, since the datapath's own flows take them.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "pps",
			Queries: []grafana.Query{{Expr: topPerSecond("12", by, tableSeries("table_packets_total")), Legend: "{{table}}", Least: dumps}},
		},
		{
			Title: "Tables", Description: "What each table did in the time range. What is looked up and not matched ends there, but in tables that are resubmitted to.",
			Width: 17, Height: 11, Store: grafana.Prometheus, Unit: "short", As: tables, Queries: queries,
		},
		{
			Title: "Flows by category", Description: "Flows by what Antrea made them for, as their cookies tell. A bridge that is not Antrea's has no categories.",
			Width: 7, Height: 11, Store: grafana.Prometheus, As: grafana.PieChart{}, Unit: "short",
			Queries: []grafana.Query{{Expr: `sum by (category) (` + ovsSeries("category_flows", "") + `) > 0`, Legend: "{{category}}"}},
		},
	}}
}

func changeColors() []grafana.Color {
	return []grafana.Color{
		{Series: "added", Color: "green"},
		{Series: "deleted", Color: "red"},
		{Series: "modified", Color: "blue"},
		{Series: "add", Color: "green"},
		{Series: "delete", Color: "red"},
		{Series: "modify", Color: "blue"},
	}
}

func ovsChurn() grafana.Row {
	changes := func(of func(metric string) string, prefix, least string) []grafana.Query {
		return []grafana.Query{
			{Expr: `sum(` + rate(of(prefix+"flow_adds_total")) + `)`, Legend: "added", Least: least},
			{Expr: `sum(` + rate(of(prefix+"flow_deletes_total")) + `)`, Legend: "deleted", Least: least},
			{Expr: `sum(` + rate(of(prefix+"flow_modifications_total")) + `)`, Legend: "modified", Least: least},
		}
	}
	const operations, took = "antrea_agent_ovs_flow_ops", "antrea_agent_ovs_flow_ops_latency_milliseconds"
	return grafana.Row{Title: "Churn of flows, seen from three sides", Panels: []grafana.Panel{
		{
			Title: "Between two looks", Description: "Flows per second that had been added, deleted and modified when all flows were read. What lives shorter than that is not seen.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Colors: changeColors(),
			Queries: changes(tableSeries, "", dumps),
		},
		{
			Title: "By the switch's log", Description: "Changes per second that ovs-vswitchd's log sums up, those of short-lived flows too. It writes a sum every few seconds while there are changes.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Colors: changeColors(), Empty: "the log of ovs-vswitchd told of no changes, or is not read",
			Queries: changes(func(metric string) string { return ovsSeries(metric, "") }, "log_", ""),
		},
		{
			Title: "By Antrea's agent", Description: "Operations per second that Antrea's agent asked the switch for, and those that failed. From Antrea's own metrics, which Prometheus scrapes.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Colors: changeColors(), Empty: "Antrea's agents are not scraped",
			Queries: []grafana.Query{
				{Expr: perSecond("operation", operations+"_count"+here()), Legend: "{{operation}}"},
				{Expr: perSecond("operation", operations+"_error_count"+here()) + " > 0", Legend: "{{operation}} failed"},
			},
		},
		{
			Title: "Most changed tables", Description: "Tables by the flows that were added, deleted and modified in the time range.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.BarGauge{}, Unit: "short", Empty: "no flow has changed in this time range",
			Thresholds: []grafana.Threshold{{Color: "blue"}}, Links: []grafana.Link{onlyOVS("table", "table", "table")},
			Queries: []grafana.Query{{Expr: `topk(10, sum by (table) (` + during(tableSeries("flow_adds_total")) + ` + ` + during(tableSeries("flow_deletes_total")) + ` + ` + during(tableSeries("flow_modifications_total")) + `) > 0)`}},
		},
		{
			Title: "Time of operations", Description: "What the operations of Antrea's agent took on average, and 99 of 100 of them at most, as far as Antrea's buckets reach: they end at 10 ms. From Antrea's own metrics, which Prometheus scrapes.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "ms", Colors: changeColors(), Empty: "Antrea's agents are not scraped, or change no flows",
			Queries: []grafana.Query{
				{Expr: perSecond("operation", took+"_sum"+here()) + ` / (` + perSecond("operation", took+"_count"+here()) + ` > 0)`, Legend: "{{operation}}"},
				{Expr: `histogram_quantile(0.99, ` + perSecond("le, operation", took+"_bucket"+here()) + `) > 0`, Legend: "{{operation}} p99"},
			},
		},
	}}
}

func ovsPorts() grafana.Row {
	const by = "namespace, pod, port, type, node"
	sum := func(metric string) string { return `sum by (` + by + `) (` + during(portSeries(metric)) + `)` }
	troubles := func(metric string) string { return `sum by (` + by + `) (round(` + during(portSeries(metric)) + `))` }
	ports, queries := measured([]grafana.Column{
		{Field: "namespace", Title: "Namespace", Width: 110},
		{Field: "pod", Title: "Pod", Links: []grafana.Link{onlyPod(), podLines()}},
		{Field: "port", Title: "Port"},
		{Field: "type", Title: "Type", Width: 90},
		{Field: "node", Title: "Node", Links: []grafana.Link{onlyOVS("node", "node", "node")}},
	}, []measure{
		{title: "From it", unit: "bytes", expr: sum("received_bytes_total")},
		{title: "To it", unit: "bytes", expr: sum("sent_bytes_total")},
		{title: "Dropped from it", unit: "short", expr: troubles("received_dropped_total"), red: true},
		{title: "Dropped to it", unit: "short", expr: troubles("sent_dropped_total"), red: true},
		{title: "Errors from it", unit: "short", expr: troubles("received_errors_total"), red: true},
		{title: "Errors to it", unit: "short", expr: troubles("sent_errors_total"), red: true},
	})
	pods := func(metric string) string {
		return ovsSeries("port_"+metric, `, namespace=~"$namespace", pod=~"$pod", pod!=""`)
	}
	return grafana.Row{Title: "Ports and pods", Panels: []grafana.Panel{
		{
			Title: "Top senders", Description: "Bytes per second that pods send, of the ten that sent the most in the time range.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "binBps", Empty: "no port of a pod is known",
			Queries: []grafana.Query{{Expr: topPerSecond("10", "namespace, pod", pods("received_bytes_total")), Legend: "{{namespace}}/{{pod}}"}},
		},
		{
			Title: "Top receivers", Description: "Bytes per second that go to pods, of the ten that got the most in the time range.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "binBps", Empty: "no port of a pod is known",
			Queries: []grafana.Query{{Expr: topPerSecond("10", "namespace, pod", pods("sent_bytes_total")), Legend: "{{namespace}}/{{pod}}"}},
		},
		{
			Title: "By type of port", Description: "Bytes per second that come in at ports, by their type: pods, the tunnel to other nodes, the gateway to this one, and the like.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "binBps",
			Queries: []grafana.Query{{Expr: perSecond("type", portSeries("received_bytes_total")), Legend: "{{type}}"}},
		},
		{
			Title: "Drops and errors at ports", Description: "Packets per second that were dropped, or had errors, at ports.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "pps",
			Queries: []grafana.Query{
				{Expr: `sum(` + rate(portSeries("received_dropped_total")) + `)`, Legend: "dropped from pods"},
				{Expr: `sum(` + rate(portSeries("sent_dropped_total")) + `)`, Legend: "dropped to pods"},
				{Expr: `sum(` + rate(portSeries("received_errors_total")) + `)`, Legend: "errors from pods"},
				{Expr: `sum(` + rate(portSeries("sent_errors_total")) + `)`, Legend: "errors to pods"},
			},
		},
		{
			Title: "Ports", Description: "What the ports moved in the time range, seen from the pod: what it sends comes from it. Drops and errors are the port's own, as when the pod does not take what it is sent; those of the pipeline are above.",
			Width: 24, Height: 11, Store: grafana.Prometheus, Unit: "short", As: ports, Queries: queries,
		},
	}}
}

// podLines opens the lines of the policy log on a row's pod.
func podLines() grafana.Link {
	return grafana.Link{Title: "Show its lines of the policy log in Explore", URL: grafana.ExploreURL(`{job="corkline", source="antrea-networkpolicy", node="` + grafana.Value("node") + `"} | applied_to="` + grafana.Value("namespace") + "/" + grafana.Value("pod") + `"`)}
}

func ovsDatapath() grafana.Row {
	const by = "node, datapath"
	lookups := `(` + perSecond(by, switchSeries("datapath_hits_total")) + ` + ` + perSecond(by, switchSeries("datapath_misses_total")) + ` > 0)`
	return grafana.Row{Title: "Datapath and upcalls (of the switch, whatever the bridge)", Panels: []grafana.Panel{
		{
			Title: "Cache hits", Description: "Share of packets that a flow of the datapath matched. The others went up to ovs-vswitchd, which takes some hundred times as long.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Max: 1,
			Queries: []grafana.Query{{Expr: perSecond(by, switchSeries("datapath_hits_total")) + ` / ` + lookups, Legend: "{{node}} {{datapath}}"}},
		},
		{
			Title: "Upcalls", Description: "Packets per second that went up to ovs-vswitchd, and those that were lost on the way: first packets of new connections.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "pps", Colors: []grafana.Color{{Series: "lost", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `sum(` + rate(switchSeries("datapath_misses_total")) + `)`, Legend: "upcalls"},
				{Expr: `sum(` + rate(switchSeries("datapath_lost_total")) + `)`, Legend: "lost"},
			},
		},
		{
			Title: "Datapath flows and their limit", Description: "Flows of the datapath, and how many it may have. ovs-vswitchd lowers the limit when revalidation takes too long; at the limit, new flows push others out.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short",
			Queries: []grafana.Query{
				{Expr: `max by (node, datapath) (` + switchSeries("datapath_flows") + `)`, Legend: "{{node}} {{datapath}}"},
				{Expr: `max by (node, datapath) (` + switchSeries("upcall_flow_limit") + `)`, Legend: "limit of {{node}} {{datapath}}"},
			},
		},
		{
			Title: "Revalidation", Description: "How long the last check of all datapath flows took. From 1.3 seconds on (the line) ovs-vswitchd lowers the limit of flows.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Limits: true}, Unit: "s",
			Thresholds: []grafana.Threshold{{Color: "transparent"}, {From: 1.3, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `max by (node, datapath) (` + switchSeries("upcall_dump_duration_seconds") + `)`, Legend: "{{node}} {{datapath}}"}},
		},
		{
			Title: "Masks for a look-up", Description: "Masks that are tried for a packet, on average: each costs time. Only the kernel's datapath tells.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: "no kernel datapath: that of userspace does not tell its masks",
			Queries: []grafana.Query{{Expr: perSecond(by, switchSeries("datapath_mask_hits_total")) + ` / ` + lookups, Legend: "{{node}} {{datapath}}"}},
		},
		{
			Title: "Objects in memory", Description: "What ovs-vswitchd holds in memory, such as rules, ports, and the datapath flows that it watches (udpif keys).",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short",
			Queries: []grafana.Query{{Expr: `sum by (object) (` + switchSeries("memory_objects", `object!~"idl-.*"`) + `)`, Legend: "{{object}}"}},
		},
	}}
}

// Coverage counters that tell of packets that were lost outside of tables, and
// of a switch that has too much to do.
const (
	lostEvents = `event=~"drop_action_.*|datapath_drop_.*|netlink_overflow|rconn_overflow|rconn_discarded", event!="drop_action_of_pipeline"`
	busyEvents = `event=~"upcall_flow_limit_.*|handler_duplicate_upcall|upcall_ukey_contention|revalidate_missed_dp_flow|dumped_duplicate_flow|conntrack_full|conntrack_zone_full|conntrack_insert_failed"`
)

func ovsTrouble() grafana.Row {
	return grafana.Row{Title: "What the switch counts of itself (coverage), and what reading it costs", Panels: []grafana.Panel{
		{
			Title: "Lost outside of tables", Description: "Events in the time range in which ovs-vswitchd lost packets or messages for its own limits: too many resubmits, no room in a queue, an upcall that failed. No table counts them.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.BarGauge{LongNames: true}, Unit: "short", Empty: "ovs-vswitchd lost nothing in this time range",
			Thresholds: []grafana.Threshold{{Color: "red"}},
			Queries:    []grafana.Query{{Expr: `sum by (event) (` + during(switchSeries("coverage_total", lostEvents)) + `) > 0`}},
		},
		{
			Title: "Signs of overload", Description: "Events in the time range that come with too many flows or upcalls: limits that were hit or lowered, work that was done twice, and a full connection table of the userspace datapath.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.BarGauge{LongNames: true}, Unit: "short", Empty: "no sign of overload in this time range",
			Thresholds: []grafana.Threshold{{Color: "orange"}},
			Queries:    []grafana.Query{{Expr: `sum by (event) (` + during(switchSeries("coverage_total", busyEvents)) + `) > 0`}},
		},
		{
			Title: "Work of the switch", Description: "What ovs-vswitchd does per second: translates packets into actions, changes its flow tables, revalidates for reconfigurations, answers OpenFlow.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{{Expr: perSecond("event", switchSeries("coverage_total", `event=~"xlate_actions|rev_flow_table|rev_reconfigure|rev_mac_learning|ofproto_recv_openflow|ofproto_packet_out"`)), Legend: "{{event}}"}},
		},
		{
			Title: "Time to read all flows", Description: "How long the agents took to read all flows of a bridge. They read them no more than a 50th of the time.",
			Width: 12, Height: 7, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: []grafana.Query{{Expr: `max by (node, bridge) (` + ovsSeries("full_poll_duration_seconds", "") + `)`, Legend: "{{node}} {{bridge}}"}},
		},
		{
			Title: "How complete are the counts?", Description: "Bridges with the age of the last look at all flows, the pods that were checked, and the flows beyond those that the agent remembers: what they count is in no sum.",
			Width: 12, Height: 7, Store: grafana.Prometheus, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "node", Title: "Node", Links: []grafana.Link{onlyOVS("node", "node", "node")}},
				{Field: "bridge", Title: "Bridge", Links: []grafana.Link{onlyOVS("bridge", "bridge", "bridge")}},
				{Field: "Value #A", Title: "Readable", Unit: "bool_yes_no", Width: 90},
				{Field: "Value #B", Title: "All flows read", Unit: "dateTimeFromNow"},
				{Field: "Value #C", Title: "Pods checked", Unit: "short", Width: 110},
				{Field: "Value #D", Title: "Not counted", Unit: "short", Width: 100, Red: true},
			}},
			Queries: []grafana.Query{
				{Expr: `max by (node, bridge) (` + ovsSeries("up", "") + `)`},
				{Expr: `max by (node, bridge) (1000 * ` + ovsSeries("full_poll_timestamp_seconds", "") + `)`},
				{Expr: `sum by (node, bridge) (` + ovsSeries("pods_checked", "") + `)`},
				{Expr: `sum by (node, bridge) (` + ovsSeries("flows_unaccounted", "") + `)`},
			},
		},
	}}
}

func ovsLog() grafana.Row {
	messages := switchSeries("log_messages_total", `level=~"$level"`, `module=~"$module"`)
	return grafana.Row{Title: "Log of Open vSwitch (ovs-vswitchd and ovsdb-server)", Panels: []grafana.Panel{
		{
			Title: "Messages by level", Description: "Messages per second in the logs of both daemons, by level. Their rate limits leave messages out.",
			Width: 10, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Colors: levelColors(), Empty: "the logs of Open vSwitch are not read, or are silent",
			Queries: []grafana.Query{{Expr: perSecond("level", messages), Legend: "{{level}}"}},
		},
		{
			Title: "Messages by module", Description: "Messages in the time range by the module that wrote them.",
			Width: 7, Height: 8, Store: grafana.Prometheus, As: grafana.BarGauge{}, Unit: "short", Empty: "the logs of Open vSwitch are not read, or are silent",
			Thresholds: []grafana.Threshold{{Color: "blue"}}, Links: []grafana.Link{onlyOVS("module", "module", "module")},
			Queries: []grafana.Query{{Expr: `topk(12, sum by (module) (` + during(messages) + `) > 0)`}},
		},
		{
			Title: "Left out by rate limits", Description: "Messages in the time range that the daemons' rate limits left out, by module: what is not in the log below.",
			Width: 7, Height: 8, Store: grafana.Prometheus, As: grafana.BarGauge{}, Unit: "short", Empty: "no message was left out in this time range",
			Thresholds: []grafana.Threshold{{Color: "orange"}},
			Queries:    []grafana.Query{{Expr: `topk(12, sum by (module) (` + during(switchSeries("log_suppressed_messages_total", `module=~"$module"`)) + `) > 0)`}},
		},
		{
			Title: "Log", Description: "The lines of both daemons, without the rows of their coverage tables. Level and module are filters above.",
			Width: 24, Height: 14, Store: grafana.Loki, As: grafana.Logs{},
			Queries: []grafana.Query{{Expr: `{job="corkline", source=~"ovs-vswitchd|ovsdb-server", cluster=~"$cluster", node=~"$node", level=~"$level"} | module=~"$module" | event=""`}},
		},
	}}
}
