package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// Matchers of the agents, of their sources, and of what every process exposes.
const (
	agents  = `{cluster=~"$cluster", node=~"$node"}`
	sources = `{cluster=~"$cluster", node=~"$node", source=~"$source"}`
	process = `{job="corkline", cluster=~"$cluster", node=~"$node"}`
)

// unparsedShare of the lines that were read lately.
const unparsedShare = `sum by (source) (rate(corkline_pipeline_lines_unparsed_total` + sources + `[$__rate_interval]))` +
	` / (sum by (source) (rate(corkline_pipeline_lines_unparsed_total` + sources + `[$__rate_interval])) + sum by (source) (rate(corkline_pipeline_lines_parsed_total` + sources + `[$__rate_interval])) > 0)`

func agent() grafana.Board {
	return grafana.Board{
		UID:         agentUID,
		Title:       "Corkline",
		Description: "Whether the agents read, parse and ship every line, and what that costs.",
		Tags:        []string{tag},
		LinkTag:     tag,
		Variables: append(append(stores(), places()...),
			grafana.LabelVariable{Name: "source", Label: "Source", Selector: `corkline_pipeline_lines_read_total{cluster=~"$cluster", node=~"$node"}`, Of: "source"},
		),
		Rows: []grafana.Row{agentOverview(), agentLedger(), agentParsing(), agentPush(), agentCollectors(), agentSyslog(), agentArchive(), agentFaults(), agentCost()},
	}
}

func agentOverview() grafana.Row {
	return grafana.Row{Title: "At a glance", Panels: []grafana.Panel{
		{
			Title: "Agents", Description: "Agents that answer to Prometheus, and those that do not. An agent that is down leaves its lines in their files.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Colors: []grafana.Color{{Series: "up", Color: "green"}, {Series: "down", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `count(up` + process + ` == 1)`, Legend: "up"},
				{Expr: `count(up` + process + ` == 0)`, Legend: "down"},
			},
		},
		{
			Title: "Lines waiting", Description: "Lines that were read and that Loki has not acknowledged. They are in their files still; a count that does not fall again means that Loki does not take them.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Queries: []grafana.Query{{Expr: `sum(corkline_pipeline_lines_waiting` + sources + `)`, Legend: "waiting"}},
		},
		{
			Title: "Not shipped yet", Description: "Bytes of the log files behind the committed positions: what would be lost if the files were deleted now. Alerts begin at 64 MiB that grow.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "bytes",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 64 << 20, Color: "orange"}},
			Queries:    []grafana.Query{{Expr: `max(corkline_pipeline_position_lag_bytes` + sources + `)`, Legend: "largest lag"}},
		},
		{
			Title: "Not parsed", Description: "Share of the lines of late that have no layout of their definition, of the worst source. Alerts begin at 5 %: then a format has changed.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.01, Color: "orange"}, {From: 0.05, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `max(` + unparsedShare + `) or vector(0)`, Legend: "worst source"}},
		},
		{
			Title: "Configuration", Description: "Whether every agent took its configuration when it last read it. One that refused goes on with the one before, and would not start with the new one.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Words:   []grafana.Word{{Value: "0", Text: "taken", Color: "green"}},
			Colors:  []grafana.Color{{Series: "agents that refused", Color: "red"}},
			Queries: []grafana.Query{{Expr: `count(corkline_pipeline_config_last_reload_successful` + agents + ` == 0) or vector(0)`, Legend: "agents that refused"}},
		},
		{
			Title: "Lost", Description: "Files in the time range that went before they were read, or were cut by copytruncate. Their last lines may be missing everywhere.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `round(sum(increase(corkline_pipeline_files_lost_total` + sources + `[$__range])))`, Legend: "files gone"},
				{Expr: `round(sum(increase(corkline_pipeline_file_truncations_total` + sources + `[$__range])))`, Legend: "truncated"},
			},
		},
	}}
}

// accounts of the ledger: a line is read into one of them.
func accounts() []struct{ metric, name string } {
	return []struct{ metric, name string }{
		{"corkline_pipeline_lines_read_total", "Read"},
		{"corkline_pipeline_lines_shipped_total", "Shipped"},
		{"corkline_pipeline_lines_dead_lettered_total", "Dead-lettered"},
		{"corkline_pipeline_lines_dropped_total", "Metrics only"},
		{"corkline_pipeline_lines_lost_total", "Lost"},
		{"corkline_pipeline_lines_waiting", "Waiting"},
	}
}

func agentLedger() grafana.Row {
	const by = `sum by (cluster, node, instance, source) `
	columns := []grafana.Column{
		{Field: "cluster", Title: "Cluster"},
		{Field: "node", Title: "Node"},
		{Field: "instance", Title: "Instance"},
		{Field: "source", Title: "Source"},
	}
	var balance []grafana.Query
	missing := ""
	for i, a := range accounts() {
		balance = append(balance, grafana.Query{Expr: by + `(` + a.metric + sources + `)`})
		columns = append(columns, grafana.Column{Field: "Value #" + string(rune('A'+i)), Title: a.name, Unit: "locale"})
		if i > 0 {
			missing += ` - `
		}
		missing += a.metric + sources
	}
	balance = append(balance, grafana.Query{Expr: by + `(` + missing + `)`})
	columns = append(columns, grafana.Column{Field: "Value #G", Title: "Missing", Unit: "locale", Red: true})

	var flow []grafana.Query
	for _, a := range accounts()[:5] {
		flow = append(flow, grafana.Query{Expr: `sum(rate(` + a.metric + sources + `[$__rate_interval]))`, Legend: a.name})
	}
	return grafana.Row{Title: "Ledger: read = shipped + dead-lettered + metrics only + lost + waiting", Panels: []grafana.Panel{
		{
			Title: "Ledger", Description: "Where the lines went that each agent has read since it started. Missing is what no account has; it is 0, or there is a bug. Metrics only are lines of an agent without a Loki.",
			Width: 24, Height: 8, Store: grafana.Prometheus, Unit: "locale",
			As: grafana.Table{Columns: columns}, Queries: balance,
		},
		{
			Title: "Lines", Description: "Lines per second that were read, and where they went. While Loki is away, reading goes on for the metrics, and shipping catches up later.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Queries: flow,
			Colors: []grafana.Color{{Series: "Read", Color: "blue"}, {Series: "Shipped", Color: "green"}, {Series: "Dead-lettered", Color: "red"}, {Series: "Metrics only", Color: "purple"}, {Series: "Lost", Color: "orange"}},
		},
		{
			Title: "Lag", Description: "Bytes of a source's files behind the committed position, of the ten agents furthest behind.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "bytes",
			Queries: []grafana.Query{{
				Expr:   `corkline_pipeline_position_lag_bytes` + sources + ` and topk(10, max_over_time(corkline_pipeline_position_lag_bytes` + sources + `[$__range] @ end()))`,
				Legend: "{{node}} {{source}}",
			}},
		},
		{
			Title: "Since Loki took lines", Description: "Time since Loki last acknowledged lines of a source. On a quiet source it grows and means nothing; with lines that wait it is an outage.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: []grafana.Query{{
				Expr:   `max by (source) (time() - (corkline_pipeline_last_shipped_timestamp_seconds` + sources + ` > 0))`,
				Legend: "{{source}}",
			}},
		},
	}}
}

func agentParsing() grafana.Row {
	return grafana.Row{Title: "Parsing", Panels: []grafana.Panel{
		{
			Title: "Not parsed, by source", Description: "Share of a source's lines that have no layout of its definition. They are in Loki as they are; metrics and labels lack them.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Max: 1,
			Queries: []grafana.Query{{Expr: unparsedShare, Legend: "{{source}}"}},
		},
		{
			Title: "Lines that were changed", Description: "Lines per second that were cut at max_line_bytes, or whose invalid bytes were replaced.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{
				{Expr: `sum by (source) (rate(corkline_pipeline_lines_truncated_total` + sources + `[$__rate_interval]))`, Legend: "{{source}} cut"},
				{Expr: `sum by (source) (rate(corkline_pipeline_lines_invalid_utf8_total` + sources + `[$__rate_interval]))`, Legend: "{{source}} invalid UTF-8"},
			},
		},
		{
			Title: "Series capped", Description: "Additions per second that went to a metric's overflow series since it has reached max_series. Its sum stays right; names are missing.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{{Expr: `sum by (family) (rate(corkline_pipeline_series_capped_total` + agents + `[$__rate_interval]))`, Legend: "{{family}}"}},
		},
		{
			Title: "Lines that did not parse", Description: "Give one to corkline try: it tells how far each layout got.",
			Width: 24, Height: 8, Store: grafana.Loki, As: grafana.Logs{}, Empty: "Every line of this time range parsed",
			Queries: []grafana.Query{{Expr: `{job="corkline", cluster=~"$cluster", node=~"$node", source=~"$source"} | parse_error="true"`}},
		},
	}}
}

func agentPush() grafana.Row {
	return grafana.Row{Title: "Push to Loki", Panels: []grafana.Panel{
		{
			Title: "Latency", Description: "Time from sending a push request until it was answered or given up.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: quantiles("corkline_loki_push_duration_seconds", agents),
		},
		{
			Title: "Requests by status", Description: "Push requests per second by Loki's answer. 2xx is good, error means that there was no answer. The agent's status page tells what Loki said.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "reqps",
			Colors: []grafana.Color{{Series: "2xx", Color: "green"}, {Series: "429", Color: "orange"}, {Series: "5xx", Color: "red"}, {Series: "error", Color: "purple"}},
			Queries: []grafana.Query{
				{Expr: `sum by (status) (rate(corkline_loki_push_requests_total` + agents + `[$__rate_interval])) > 0`, Legend: "{{status}}"},
				{Expr: `sum(rate(corkline_loki_push_retries_total` + agents + `[$__rate_interval]))`, Legend: "of these, retries"},
			},
		},
		{
			Title: "Bytes", Description: "Compressed bytes per second of all push requests, repeated ones too.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "binBps",
			Queries: []grafana.Query{{Expr: `sum(rate(corkline_loki_push_bytes_total` + agents + `[$__rate_interval]))`, Legend: "pushed"}},
		},
	}}
}

// agentCollectors are what polls the switch and connection tracking.
func agentCollectors() grafana.Row {
	const by = `max by (cluster, node, collector) `
	return grafana.Row{Title: "What is polled", Panels: []grafana.Panel{
		{
			Title: "State of collectors", Description: "What each agent polls, whether the last poll was good, and how old it is. Absent means that the node has nothing to poll, such as no Open vSwitch.",
			Width: 14, Height: 8, Store: grafana.Prometheus, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "cluster", Title: "Cluster"},
				{Field: "node", Title: "Node"},
				{Field: "collector", Title: "Collector"},
				{Field: "Value #A", Title: "Up", Unit: "bool_on_off", Width: 80},
				{Field: "Value #B", Title: "Absent", Unit: "bool_yes_no", Width: 80},
				{Field: "Value #C", Title: "Took", Unit: "s", Width: 100},
				{Field: "Value #D", Title: "Last good", Unit: "dateTimeFromNow", Width: 140},
				{Field: "Value #E", Title: "Failed polls", Unit: "locale", Width: 110, Red: true},
			}},
			Queries: []grafana.Query{
				{Expr: by + `(corkline_collector_up` + agents + `)`},
				{Expr: by + `(corkline_collector_absent` + agents + `)`},
				{Expr: by + `(corkline_collector_poll_duration_seconds` + agents + `)`},
				{Expr: by + `(1000 * (corkline_collector_last_success_timestamp_seconds` + agents + ` > 0))`},
				{Expr: `round(sum by (cluster, node, collector) (increase(corkline_collector_polls_total{cluster=~"$cluster", node=~"$node", result="failure"}[$__range]))) or 0 * ` + by + `(corkline_collector_up` + agents + `)`},
			},
			Empty: "No collector is on",
		},
		{
			Title: "Duration of polls", Description: "How long the last poll took, of the slowest agent.",
			Width: 5, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: []grafana.Query{{Expr: `max by (collector) (corkline_collector_poll_duration_seconds` + agents + `)`, Legend: "{{collector}}"}},
			Empty:   "No collector is on",
		},
		{
			Title: "Events", Description: "Events per second that collectors noticed and wrote to their spools, and those that were lost because a spool was full.",
			Width: 5, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{
				{Expr: `sum by (collector) (rate(corkline_collector_events_total` + agents + `[$__rate_interval]))`, Legend: "{{collector}}"},
				{Expr: `sum by (collector) (rate(corkline_collector_events_dropped_total` + agents + `[$__rate_interval]))`, Legend: "{{collector}}, lost"},
			},
			Empty: "No collector is on",
		},
	}}
}

func agentSyslog() grafana.Row {
	const none = "No source receives syslog"
	lost := func(metric string) string {
		return `sum(rate(` + metric + sources + `[$__rate_interval]))`
	}
	return grafana.Row{Title: "Syslog", Panels: []grafana.Panel{
		{
			Title: "Messages received", Description: "Messages per second from allowed senders.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps",
			Queries: []grafana.Query{{Expr: `sum by (source, transport) (rate(corkline_syslog_messages_total` + sources + `[$__rate_interval]))`, Legend: "{{source}} {{transport}}"}},
			Empty:   none,
		},
		{
			Title: "Not received", Description: "Messages per second that were dropped by the kernel (UDP), refused, cut at max_line_bytes, or lost with their connection.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{
				{Expr: lost("corkline_syslog_udp_dropped_total"), Legend: "dropped by the kernel"},
				{Expr: lost("corkline_syslog_refused_total"), Legend: "refused"},
				{Expr: lost("corkline_syslog_oversized_total"), Legend: "cut"},
				{Expr: lost("corkline_syslog_framing_errors_total"), Legend: "badly framed"},
			},
			Empty: none,
		},
		{
			Title: "Spool", Description: "Bytes of messages on disk that have yet to be shipped, as a share of spool_bytes. When it is full nothing more is read from senders. Alerts begin at 75 %.",
			Width: 4, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Limits: true}, Unit: "percentunit", Max: 1,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.75, Color: "orange"}},
			Queries:    []grafana.Query{{Expr: `max by (source) (corkline_syslog_spool_bytes` + sources + ` / corkline_syslog_spool_limit_bytes` + sources + `)`, Legend: "{{source}}"}},
			Empty:      none,
		},
		{
			Title: "Senders", Description: "Connections that are open, over TCP and TLS.",
			Width: 4, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short",
			Queries: []grafana.Query{{Expr: `sum by (source, transport) (corkline_syslog_connections` + sources + `)`, Legend: "{{source}} {{transport}}"}},
			Empty:   none,
		},
	}}
}

func agentArchive() grafana.Row {
	return grafana.Row{Title: "Archive of what Loki refuses", Panels: []grafana.Panel{
		{
			Title: "On disk", Description: "Bytes of archived lines that wait for S3 on the nodes' disks, as a share of archive.budget_bytes, of the fullest agent. Alerts begin at 80 %.",
			Width: 6, Height: 6, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.5, Color: "orange"}, {From: 0.8, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `max(corkline_archive_bytes` + agents + ` / (corkline_archive_budget_bytes` + agents + ` > 0))`, Legend: "of the budget"}},
			Empty:      "No archive",
		},
		{
			Title: "Waiting for S3", Description: "Segments of archived lines on disk; without S3 they stay there.",
			Width: 6, Height: 6, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Queries: []grafana.Query{{Expr: `sum(corkline_archive_segments` + agents + `)`, Legend: "segments"}},
			Empty:   "No archive",
		},
		{
			Title: "Uploads", Description: "Lines per second that S3 acknowledged.",
			Width: 6, Height: 6, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{{Expr: `sum(rate(corkline_archive_uploaded_lines_total` + agents + `[$__rate_interval]))`, Legend: "lines"}},
			Empty:   "No archive",
		},
		{
			Title: "Archive faults", Description: "What failed in the time range: uploads are tried again, and what cannot be stored makes its source wait. Damaged lines were found on disk, and set aside.",
			Width: 6, Height: 6, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `round(sum(increase(corkline_archive_upload_failures_total` + agents + `[$__range])))`, Legend: "uploads"},
				{Expr: `round(sum(increase(corkline_archive_store_failures_total` + agents + `[$__range])))`, Legend: "stores"},
				{Expr: `round(sum(increase(corkline_archive_damaged_records_total` + agents + `[$__range])))`, Legend: "damaged lines"},
			},
			Empty: "No archive",
		},
	}}
}

func agentFaults() grafana.Row {
	var faults []grafana.Query
	columns := []grafana.Column{{Field: "node", Title: "Node"}, {Field: "instance", Title: "Instance"}}
	for i, f := range []struct{ metric, matchers, title string }{
		{"corkline_pipeline_lines_dead_lettered_total", sources, "Dead letters"},
		{"corkline_pipeline_files_lost_total", sources, "Files gone"},
		{"corkline_pipeline_file_truncations_total", sources, "Files truncated"},
		{"corkline_pipeline_read_errors_total", sources, "Read errors"},
		{"corkline_pipeline_position_write_failures_total", agents, "Positions not written"},
		{"corkline_loki_push_retries_total", agents, "Push retries"},
	} {
		faults = append(faults, grafana.Query{Expr: `round(sum by (node, instance) (increase(` + f.metric + f.matchers + `[$__range])))`})
		columns = append(columns, grafana.Column{Field: "Value #" + string(rune('A'+i)), Title: f.title, Unit: "locale", Red: true})
	}
	return grafana.Row{Title: "Faults", Panels: []grafana.Panel{
		{
			Title: "Faults by agent", Description: "What went wrong in the time range. Dead letters are lines that Loki refuses for good or that are too old for it, kept in the archive with the reason. Files that are gone or truncated may have held unread lines. Positions that were not written cost repeated lines after a crash. Retries are usual while Loki restarts.",
			Width: 16, Height: 8, Store: grafana.Prometheus, Unit: "locale",
			As: grafana.Table{Columns: columns}, Queries: faults,
		},
		{
			Title: "Versions", Description: "What the agents were built from, and when they last took a configuration.",
			Width: 8, Height: 8, Store: grafana.Prometheus, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "version", Title: "Version"},
				{Field: "revision", Title: "Revision"},
				{Field: "goversion", Title: "Go", Width: 90},
				{Field: "Value #A", Title: "Agents", Unit: "short", Width: 80},
				{Field: "Value #B", Title: "Configured", Unit: "dateTimeFromNow"},
			}},
			Queries: []grafana.Query{
				{Expr: `count by (version, revision, goversion) (corkline_build_info` + agents + `)`},
				{Expr: `max by (version, revision, goversion) (1000 * corkline_pipeline_config_last_reload_success_timestamp_seconds` + agents + ` * on (job, instance) group_left (version, revision, goversion) corkline_build_info` + agents + `)`},
			},
		},
	}}
}

func agentCost() grafana.Row {
	return grafana.Row{Title: "Cost", Panels: []grafana.Panel{
		{
			Title: "CPU", Description: "Cores that the agents use: the ten that used the most in the time range.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short",
			Queries: []grafana.Query{{
				Expr:   `rate(process_cpu_seconds_total` + process + `[$__rate_interval]) and topk(10, rate(process_cpu_seconds_total` + process + `[$__range] @ end()))`,
				Legend: "{{node}} {{instance}}",
			}},
		},
		{
			Title: "Memory", Description: "Resident memory of the agents: the ten that used the most in the time range.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "bytes",
			Queries: []grafana.Query{{
				Expr:   `process_resident_memory_bytes` + process + ` and topk(10, max_over_time(process_resident_memory_bytes` + process + `[$__range] @ end()))`,
				Legend: "{{node}} {{instance}}",
			}},
		},
		{
			Title: "Files and descriptors", Description: "Log files that the agents have open, and all their file descriptors.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short",
			Queries: []grafana.Query{
				{Expr: `sum by (source) (corkline_pipeline_files` + sources + `)`, Legend: "files of {{source}}"},
				{Expr: `sum(process_open_fds` + process + `)`, Legend: "descriptors"},
			},
		},
	}}
}
