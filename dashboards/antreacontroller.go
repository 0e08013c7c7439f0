package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

func antreaController() grafana.Board {
	k := klog{
		uid: controllerUID, source: "antrea-controller", metric: "corkline_controller_log_messages_total",
		who: "Antrea's controller", empty: noControllerLog,
	}
	return grafana.Board{
		UID:         controllerUID,
		Title:       "Antrea controller",
		Description: "Whether Antrea's controller keeps up with the policies, and what it says. There is one of it in a cluster, on whatever node.",
		Tags:        []string{tag, "antrea"},
		LinkTag:     tag,
		Variables:   k.variables(),
		Rows:        []grafana.Row{controllerNow(), controllerSync(), controllerUpdates(), controllerProcess(), k.counts(), k.said(), k.log()},
	}
}

// inCluster are the matchers of the board's cluster, and those more.
func inCluster(more string) string {
	if more != "" {
		more = ", " + more
	}
	return `{cluster=~"$cluster"` + more + `}`
}

// groups are what the controller computes of policies: the Pods that they
// select as peers, those that they apply to, and themselves.
func groups() []struct{ metric, name string } {
	return []struct{ metric, name string }{
		{"address_group", "address groups"},
		{"applied_to_group", "applied-to groups"},
		{"network_policy", "network policies"},
	}
}

// ofGroups is a query for each of them.
func ofGroups(expr func(group string) string) (queries []grafana.Query) {
	for _, g := range groups() {
		queries = append(queries, grafana.Query{Expr: expr(g.metric), Legend: g.name})
	}
	return queries
}

func groupColors() []grafana.Color {
	return []grafana.Color{{Series: "address groups", Color: "blue"}, {Series: "applied-to groups", Color: "purple"}, {Series: "network policies", Color: "green"}}
}

func controllerNow() grafana.Row {
	waiting := ""
	for i, g := range groups() {
		if i > 0 {
			waiting += " + "
		}
		waiting += "antrea_controller_length_" + g.metric + "_queue" + inCluster("")
	}
	return grafana.Row{Title: "Now", Panels: []grafana.Panel{
		{
			Title: "Controllers", Description: "Controllers that answer to Prometheus, one in each cluster, and those that do not. Without one, nodes go on with the policies that they have.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noController,
			Colors: []grafana.Color{{Series: "up", Color: "green"}, {Series: "down", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `count(up` + inCluster(controllerJob) + ` == 1)`, Legend: "up"},
				{Expr: `count(up` + inCluster(controllerJob) + ` == 0)`, Legend: "down"},
			},
		},
		{
			Title: "Waiting", Description: "Groups and policies that wait to be computed, of the cluster with the most. Until then nodes apply what was before.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noController,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 10, Color: "orange"}, {From: 100, Color: "red"}},
			Words:      []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `max(` + waiting + `)`, Legend: "waiting"}},
		},
		{
			Title: "Longest queue", Description: "The longest that any of the queues was in the time range.",
			Width: 6, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noController,
			Words: []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries: ofGroups(func(g string) string {
				return `max(max_over_time(antrea_controller_length_` + g + `_queue` + inCluster("") + `[$__range]))`
			}),
			Colors: groupColors(),
		},
		{
			Title: "Mean sync", Description: "How long it took to compute a group or policy, as the mean of the time range.",
			Width: 6, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "s", Empty: "Nothing was computed in this time range",
			Queries: ofGroups(func(g string) string {
				metric := "antrea_controller_" + g + "_sync_duration_milliseconds"
				return `sum(increase(` + metric + `_sum` + inCluster("") + `[$__range])) / (sum(increase(` + metric + `_count` + inCluster("") + `[$__range])) > 0) / 1000`
			}),
			Colors: groupColors(),
		},
		{
			Title: "Running since", Description: "When the controller was started, of the one that was started last.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "dateTimeFromNow", Empty: noController,
			Queries: []grafana.Query{{Expr: `1000 * max(process_start_time_seconds` + inCluster(controllerJob) + `)`, Legend: "started"}},
		},
		{
			Title: "Log errors", Description: "Messages in the time range that are an error or worse.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noControllerLog,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "orange"}},
			Words:      []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries: []grafana.Query{{
				Expr:   `round(sum(` + during(`corkline_controller_log_messages_total`+inCluster(`level=~"ERROR|FATAL"`)) + `) or 0 * sum(corkline_controller_log_messages_total` + inCluster("") + `))`,
				Legend: "errors",
			}},
		},
	}}
}

func controllerSync() grafana.Row {
	const buckets = "Antrea's largest bucket ends at 10 ms: what shows as 10 ms took that long or longer."
	durations := func(g string) string { return "antrea_controller_" + g + "_sync_duration_milliseconds" }
	percentile := func(q, g string) string {
		return `histogram_quantile(` + q + `, sum by (le) (` + rate(durations(g)+`_bucket`+inCluster("")) + `)) / 1000 >= 0` // without observations it is not a number
	}
	return grafana.Row{Title: "Queues and how long it takes", Panels: []grafana.Panel{
		{
			Title: "Queues", Description: "Groups and policies that wait to be computed. They grow while many Pods come or go, and must fall again.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noController, Colors: groupColors(),
			Queries: ofGroups(func(g string) string { return `sum(antrea_controller_length_` + g + `_queue` + inCluster("") + `)` }),
		},
		{
			Title: "Mean time to compute", Description: "How long a group or policy took, as a mean; no line means that nothing was computed.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s", Empty: "Nothing was computed in this time range", Colors: groupColors(),
			Queries: ofGroups(func(g string) string {
				return `sum(` + rate(durations(g)+`_sum`+inCluster("")) + `) / (sum(` + rate(durations(g)+`_count`+inCluster("")) + `) > 0) / 1000`
			}),
		},
		{
			Title: "Computed", Description: "Groups and policies per second that were computed.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "ops", Empty: noController, Colors: groupColors(),
			Queries: ofGroups(func(g string) string { return `sum(` + rate(`antrea_controller_`+g+`_processed`+inCluster("")) + `)` }),
		},
		{
			Title: "Half of them took less than", Description: "The median of the times to compute. " + buckets,
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s", Empty: "Nothing was computed in this time range", Colors: groupColors(),
			Queries: ofGroups(func(g string) string { return percentile("0.5", g) }),
		},
		{
			Title: "99 of 100 took less than", Description: "The 99th percentile of the times to compute. " + buckets,
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s", Empty: "Nothing was computed in this time range", Colors: groupColors(),
			Queries: ofGroups(func(g string) string { return percentile("0.99", g) }),
		},
		{
			Title: "Share above 10 ms", Description: "Share of the computations that took longer than 10 ms, of which Antrea's buckets tell no more. It grows with the Pods that a policy selects.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Max: 1, Empty: "Nothing was computed in this time range", Colors: groupColors(),
			Queries: ofGroups(func(g string) string {
				return `1 - sum(` + rate(durations(g)+`_bucket`+inCluster(`le=~"10|10.0"`)) + `) / (sum(` + rate(durations(g)+`_count`+inCluster("")) + `) > 0)`
			}),
		},
	}}
}

func controllerUpdates() grafana.Row {
	updates := func(kind string) string {
		return `sum(` + rate(`antrea_controller_`+kind+`_status_updates`+inCluster("")) + `)`
	}
	return grafana.Row{Title: "Status updates", Panels: []grafana.Panel{
		{
			Title: "Policies", Description: "Updates per second of the status of Antrea's policies, each a write to the API server. Those of AntreaNetworkPolicies have another name in Antrea before 1.13; this takes both.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "ops", Empty: noController,
			Colors: []grafana.Color{{Series: "AntreaClusterNetworkPolicy", Color: "purple"}, {Series: "AntreaNetworkPolicy", Color: "blue"}},
			Queries: []grafana.Query{
				{Expr: updates("acnp"), Legend: "AntreaClusterNetworkPolicy"},
				{Expr: updates("annp") + ` or ` + updates("anp"), Legend: "AntreaNetworkPolicy"},
			},
		},
		{
			Title: "Egresses and pools", Description: "Updates per second of the status of Egresses and ExternalIPPools. Antrea 2.7 counts them.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "ops", Empty: "Antrea is older than 2.7, or its controller is not scraped",
			Queries: []grafana.Query{
				{Expr: updates("eg"), Legend: "Egress"},
				{Expr: updates("eip"), Legend: "ExternalIPPool"},
			},
		},
	}}
}

func controllerProcess() grafana.Row {
	return grafana.Row{Title: "Process", Panels: []grafana.Panel{
		{
			Title: "CPU", Description: "Share of a core that the controller uses.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Empty: noController,
			Queries: []grafana.Query{{Expr: rate(`process_cpu_seconds_total` + inCluster(controllerJob)), Legend: "{{cluster}} {{instance}}"}},
		},
		{
			Title: "Memory", Description: "Memory of the controller that is resident.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "bytes", Empty: noController,
			Queries: []grafana.Query{{Expr: `process_resident_memory_bytes` + inCluster(controllerJob), Legend: "{{cluster}} {{instance}}"}},
		},
		{
			Title: "File descriptors", Description: "What the controller has open; every agent that watches it is one.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noController,
			Queries: []grafana.Query{{Expr: `process_open_fds` + inCluster(controllerJob), Legend: "{{cluster}} {{instance}}"}},
		},
		{
			Title: "Requests to the API server", Description: "Requests per second of the controller, by the code of the answer. 409 is a conflict that is tried again; 429 means that the server throttles.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps", Empty: noController, Colors: statusColors(),
			Queries: []grafana.Query{{Expr: perSecond("code", `rest_client_requests_total`+inCluster(controllerJob)), Legend: "{{code}}"}},
		},
	}}
}
