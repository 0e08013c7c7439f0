package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// Scrape jobs of Antrea and of the API server: ours, and those of Antrea's own
// manifest and of kube-prometheus.
const (
	agentJob      = `job=~"antrea-agents?"`
	controllerJob = `job=~"antrea-controllers?"`
	apiServerJob  = `job=~"kube-apiserver|apiserver|kubernetes-apiservers"`
)

// What it means that a panel of their metrics is empty.
const (
	noAgent      = "Antrea's agents are not scraped"
	noController = "Antrea's controller is not scraped"
	noAPIServer  = "The API server is not scraped"
)

func antreaAgent() grafana.Board {
	return grafana.Board{
		UID:         antreaAgentUID,
		Title:       "Antrea agent",
		Description: "What Antrea's agents cost on their nodes, what they look after, and what they ask of the API server.",
		Tags:        []string{tag, "antrea"},
		LinkTag:     tag,
		Variables:   append(stores(), places()...),
		Rows:        []grafana.Row{antreaAgentNow(), antreaAgentProcess(), antreaAgentWork(), apiServerLoad(), antreaAgentLog()},
	}
}

func antreaAgentNow() grafana.Row {
	const logged = "corkline_agent_log_messages_total"
	return grafana.Row{Title: "Now", Panels: []grafana.Panel{
		{
			Title: "Antrea agents", Description: "Agents of Antrea that answer to Prometheus, one on each node, and those that do not.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noAgent,
			Colors: []grafana.Color{{Series: "up", Color: "green"}, {Series: "down", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `count(up` + here(agentJob) + ` == 1)`, Legend: "up"},
				{Expr: `count(up` + here(agentJob) + ` == 0)`, Legend: "down"},
			},
		},
		{
			Title: "Local Pods", Description: "Pods that the agents manage on their nodes; those on the host's network are not among them.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noAgent,
			Queries: []grafana.Query{{Expr: `sum(antrea_agent_local_pod_count` + here() + `)`, Legend: "Pods"}},
		},
		{
			Title: "Policies and rules", Description: "Network policies that concern a node's Pods, and their rules, of the node with the most.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noAgent,
			Queries: []grafana.Query{
				{Expr: `max(antrea_agent_networkpolicy_count` + here() + `)`, Legend: "policies"},
				{Expr: `max(antrea_agent_ingress_networkpolicy_rule_count` + here() + ` + antrea_agent_egress_networkpolicy_rule_count` + here() + `)`, Legend: "rules"},
			},
		},
		{
			Title: "Most descriptors", Description: "Share of the file descriptors that an agent may have open, of the one with the most.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1, Empty: noAgent,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.5, Color: "orange"}, {From: 0.8, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `max(process_open_fds` + here(agentJob) + ` / process_max_fds` + here(agentJob) + `)`, Legend: "open"}},
		},
		{
			Title: "Failed flow operations", Description: "Flows in the time range that the agents could not add, change or delete. A few while many Pods come or go are tried again.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noAgent,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "orange"}, {From: 100, Color: "red"}},
			Words:      []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `round(sum(increase(antrea_agent_ovs_flow_ops_error_count` + here() + `[$__range])))`, Legend: "failed"}},
		},
		{
			Title: "Log errors", Description: "Messages in the time range that are an error or worse.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noAgentLog,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "orange"}},
			Words:      []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `round(sum(` + during(logged+here(`level=~"ERROR|FATAL"`)) + `) or 0 * sum(` + logged + here() + `))`, Legend: "errors"}},
			More:       board("Agent logs", antreaLogsUID),
		},
	}}
}

// most are the ten series of an expression that were the highest in the time
// range.
func most(expr, over string) string { return expr + " and topk(10, " + over + ")" }

func antreaAgentProcess() grafana.Row {
	cpu := "process_cpu_seconds_total" + here(agentJob)
	memory := "process_resident_memory_bytes" + here(agentJob)
	files := "process_open_fds" + here(agentJob)
	one := func(metric string) string { return `max by (cluster, node) (` + metric + `)` }
	agents, queries := measured([]grafana.Column{
		{Field: "cluster", Title: "Cluster"},
		{Field: "node", Title: "Node", Links: []grafana.Link{
			{Title: "Show only this node", URL: grafana.BoardURL(antreaAgentUID, []string{"prometheus", "loki", "cluster"}, "node", grafana.Value("node"))},
			{Title: "Show its log in Explore", URL: grafana.ExploreURL(`{job="corkline", source="antrea-agent", node="` + grafana.Value("node") + `"}`)},
		}},
	}, []measure{
		{title: "CPU", unit: "percentunit", expr: one(rate(cpu))},
		{title: "Memory", unit: "bytes", expr: one(memory)},
		{title: "Virtual size", unit: "bytes", expr: one(`process_virtual_memory_bytes` + here(agentJob))},
		{title: "Descriptors", unit: "locale", expr: one(files)},
		{title: "Pods", unit: "locale", expr: one(`antrea_agent_local_pod_count` + here())},
		{title: "Policies", unit: "locale", expr: one(`antrea_agent_networkpolicy_count` + here())},
		{title: "Rules", unit: "locale", expr: one(`antrea_agent_ingress_networkpolicy_rule_count` + here() + ` + antrea_agent_egress_networkpolicy_rule_count` + here())},
		{title: "Flows", unit: "locale", expr: one(`antrea_agent_ovs_total_flow_count` + here())},
		{title: "Started", unit: "dateTimeFromNow", expr: one(`1000 * process_start_time_seconds` + here(agentJob))},
	})
	return grafana.Row{Title: "Process", Panels: []grafana.Panel{
		{
			Title: "CPU", Description: "Share of a core that Antrea's agents use, of the ten that used the most in the time range.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Empty: noAgent,
			Queries: []grafana.Query{{Expr: most(rate(cpu), `rate(`+cpu+`[$__range] @ end())`), Legend: "{{node}}"}},
		},
		{
			Title: "Resident memory", Description: "Memory of Antrea's agents, of the ten that had the most in the time range. That of Open vSwitch is not in it.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "bytes", Empty: noAgent,
			Queries: []grafana.Query{{Expr: most(memory, `max_over_time(`+memory+`[$__range] @ end())`), Legend: "{{node}}"}},
		},
		{
			Title: "File descriptors", Description: "What Antrea's agents have open, of the ten that had the most in the time range.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAgent,
			Queries: []grafana.Query{{Expr: most(files, `max_over_time(`+files+`[$__range] @ end())`), Legend: "{{node}}"}},
		},
		{
			Title: "Agents by node", Description: "Each agent of Antrea: what it uses, and what it looks after. CPU is the share of a core.",
			Width: 24, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: noAgent, As: agents, Queries: queries,
		},
	}}
}

func antreaAgentWork() grafana.Row {
	pods := "antrea_agent_local_pod_count" + here()
	flows := "antrea_agent_ovs_total_flow_count" + here()
	return grafana.Row{Title: "What the agents look after", Panels: []grafana.Panel{
		{
			Title: "Local Pods by node", Description: "Pods that an agent manages, of the ten nodes with the most in the time range.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAgent,
			Queries: []grafana.Query{{Expr: most(pods, `max_over_time(`+pods+`[$__range] @ end())`), Legend: "{{node}}"}},
		},
		{
			Title: "Flows by node", Description: "Flows in the switch, as the agent counts them, of the ten nodes with the most in the time range. The board Pipeline tells them by table.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAgent,
			Queries: []grafana.Query{{Expr: most(flows, `max_over_time(`+flows+`[$__range] @ end())`), Legend: "{{node}}"}},
			More:    board("Pipeline", ovsUID),
		},
		{
			Title: "Flow operations", Description: "Flows per second that all agents add, change and delete: about a dozen for each Pod that comes or goes.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "ops", Empty: noAgent,
			Colors:  []grafana.Color{{Series: "add", Color: "green"}, {Series: "delete", Color: "red"}, {Series: "modify", Color: "blue"}},
			Queries: []grafana.Query{{Expr: perSecond("operation", `antrea_agent_ovs_flow_ops_count`+here()), Legend: "{{operation}}"}},
			More:    board("Pipeline", ovsUID),
		},
	}}
}

// statusColors of the API's codes.
func statusColors() []grafana.Color {
	return []grafana.Color{
		{Series: "200", Color: "green"},
		{Series: "201", Color: "blue"},
		{Series: "404", Color: "yellow"},
		{Series: "409", Color: "orange"},
		{Series: "429", Color: "purple"},
		{Series: "500", Color: "red"},
		{Series: "503", Color: "dark-red"},
		{Series: "<error>", Color: "red"},
	}
}

func apiServerLoad() grafana.Row {
	cluster := func(more string) string { return `{cluster=~"$cluster", ` + more + `}` } // it runs on no node of ours
	const slow = `verb!~"WATCH|CONNECT"`
	return grafana.Row{Title: "API server", Panels: []grafana.Panel{
		{
			Title: "Requests of Antrea's agents", Description: "Requests per second of all agents to the API server, by the code of the answer. 409 is a conflict that is tried again; 429 means that the server throttles.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps", Empty: noAgent, Colors: statusColors(),
			Queries: []grafana.Query{{Expr: perSecond("code", `rest_client_requests_total`+here(agentJob)), Legend: "{{code}}"}},
		},
		{
			Title: "Requests by verb", Description: "Requests per second that the API server answers, to everybody.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps", Empty: noAPIServer,
			Queries: []grafana.Query{{Expr: perSecond("verb", `apiserver_request_total`+cluster(apiServerJob)), Legend: "{{verb}}"}},
		},
		{
			Title: "Latency by verb", Description: "What 99 of 100 requests took at most. Watches, which last for minutes, are left out.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s", Empty: noAPIServer,
			Queries: []grafana.Query{{Expr: `histogram_quantile(0.99, sum by (le, verb) (` + rate(`apiserver_request_duration_seconds_bucket`+cluster(apiServerJob+", "+slow)) + `)) >= 0`, Legend: "{{verb}}"}},
		},
		{
			Title: "API server CPU", Description: "Cores that each API server uses.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAPIServer,
			Queries: []grafana.Query{{Expr: rate(`process_cpu_seconds_total` + cluster(apiServerJob)), Legend: "{{instance}}"}},
		},
		{
			Title: "API server memory", Description: "Memory of each API server: what is resident, and what is mapped.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "bytes", Empty: noAPIServer,
			Queries: []grafana.Query{
				{Expr: `process_resident_memory_bytes` + cluster(apiServerJob), Legend: "{{instance}} resident"},
				{Expr: `process_virtual_memory_bytes` + cluster(apiServerJob), Legend: "{{instance}} virtual"},
			},
		},
		{
			Title: "Requests in flight", Description: "Requests that are being answered: the most in the second before each scrape. Near its limits the server refuses with 429.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAPIServer,
			Queries: []grafana.Query{{Expr: `sum by (request_kind) (apiserver_current_inflight_requests` + cluster(apiServerJob) + `)`, Legend: "{{request_kind}}"}},
		},
	}}
}

func antreaAgentLog() grafana.Row {
	return grafana.Row{Title: "Log", Panels: []grafana.Panel{
		{
			Title: "Messages per second", Description: "Messages in the logs of all agents of Antrea, by level. The board Agent logs tells more.",
			Width: 8, Height: 10, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Empty: noAgentLog, Colors: levelColors(),
			Queries: []grafana.Query{{Expr: perSecond("level", `corkline_agent_log_messages_total`+here()), Legend: "{{level}}"}},
			More:    board("Agent logs", antreaLogsUID),
		},
		{
			Title: "Warnings and errors", Description: "Lines of the agents' logs that are a warning or worse. Open a line for all its fields.",
			Width: 16, Height: 10, Store: grafana.Loki, As: grafana.Logs{}, Empty: "No warning in this time range",
			Queries: []grafana.Query{{Expr: `{job="corkline", source="antrea-agent", cluster=~"$cluster", node=~"$node", level=~"WARN|ERROR|FATAL"}` + readableKlog}},
			More:    board("Agent logs", antreaLogsUID),
		},
	}}
}
