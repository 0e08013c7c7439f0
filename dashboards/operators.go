package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// messages of the operators that configure the load balancer.
func messages(more ...string) string {
	return "corkline_operator_log_messages_total" + here(append([]string{`operator=~"$operator"`, `level=~"$level"`, `object_kind=~"$object_kind"`}, more...)...)
}

// operatorLines are the lines that the board's filters let through.
func operatorLines(stages string) string {
	return `{job="corkline", operator!="", operator=~"$operator", cluster=~"$cluster", node=~"$node", level=~"$level"} |~ "(?i)${search:regex}" | object_kind=~"$object_kind"` + stages
}

// Levels that tell of a fault.
const faulty = "ERROR|DPANIC|PANIC|FATAL"

func operators() grafana.Board {
	return grafana.Board{
		UID:         operatorsUID,
		Title:       "AKO and AMKO",
		Description: "The operators that configure the load balancer: AKO for the objects of a cluster, AMKO for the GSLB services of several, by their logs.",
		Tags:        []string{tag, tagBalancer},
		LinkTag:     tag,
		Variables: append(append(stores(), places()...),
			grafana.LabelVariable{Name: "operator", Label: "Operator", Selector: "corkline_operator_log_messages_total" + here(), Of: "operator"},
			grafana.ListVariable{Name: "level", Label: "Level", Values: []string{"DEBUG", "INFO", "WARN", "ERROR", "FATAL"}},
			grafana.LabelVariable{Name: "object_kind", Label: "Kind", Selector: "corkline_operator_log_messages_total" + here(`operator=~"$operator"`), Of: "object_kind"},
			grafana.TextVariable{Name: "search", Label: "Text", Description: "Any text of the lines, in either case. Works on the panels that are made of log lines."},
		),
		Rows: []grafana.Row{operatorMessages(), operatorSyncs(), operatorFaults(), operatorLogs()},
	}
}

func operatorLinesOf(fields ...string) grafana.Link { return linesWith(`operator!=""`, fields...) }

func operatorMessages() grafana.Row {
	return grafana.Row{Title: "Messages", Panels: []grafana.Panel{
		{
			Title: "Messages by level", Description: "Messages in the operators' logs in the time range. Which levels there are is the operator's configuration.",
			Width: 8, Height: 7, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Colors: levelColors(), Empty: "no operator has written anything",
			Queries: []grafana.Query{{Expr: counted("level", messages()), Legend: "{{level}}"}},
		},
		{
			Title: "Faults", Description: "Messages in the time range of the level ERROR and above, by operator.",
			Width: 4, Height: 7, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Queries:    []grafana.Query{{Expr: counted("operator", messages(`level=~"`+faulty+`"`)) + ` or 0 * sum by (operator) (` + messages() + `)`, Legend: "{{operator}}"}},
		},
		{
			Title: "Messages over time", Description: "Messages per second, by level.",
			Width: 12, Height: 7, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Colors: levelColors(),
			Queries: []grafana.Query{{Expr: perSecond("level", messages()), Legend: "{{level}}"}},
		},
	}}
}

func operatorSyncs() grafana.Row {
	counted := func(labels, stages string) []grafana.Query {
		return []grafana.Query{{Expr: `topk(50, sum by (` + labels + `) (count_over_time(` + operatorLines(stages) + ` [$__range])))`}}
	}
	operation := []grafana.Color{{Series: "ADD", Color: "green"}, {Series: "UPDATE", Color: "blue"}, {Series: "DELETE", Color: "orange"}}
	return grafana.Row{Title: "What they work on", Panels: []grafana.Panel{
		{
			Title: "Kinds of objects", Description: "Messages per second by what the key of the message begins with: the kind of object, or the tenant of a model that is written to the load balancer. The ten with the most in the time range.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Empty: "no message names an object",
			Queries: []grafana.Query{{Expr: topPerSecond("10", "object_kind", messages(`object_kind!=""`)), Legend: "{{object_kind}}"}},
		},
		{
			Title: "Operations", Description: "Messages in the time range about additions, updates and deletions, by kind of object and cluster. AMKO names the operation in its keys; AKO does not.",
			Width: 12, Height: 8, Store: grafana.Loki, Unit: "short", Empty: "no message names an operation",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "operation", Title: "Operation", Width: 100, Colors: operation, Links: []grafana.Link{operatorLinesOf("operation", "object_kind")}},
				{Field: "object_kind", Title: "Kind"},
				{Field: "object_cluster", Title: "Cluster"},
				number("Messages"),
			}},
			Queries: counted("operation, object_kind, object_cluster", ` | operation!=""`),
		},
		{
			Title: "Objects", Description: "Objects with the most messages in the time range. " + topLimit,
			Width: 12, Height: 9, Store: grafana.Loki, Unit: "short", Empty: "no message names an object",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "object_kind", Title: "Kind", Width: 120},
				{Field: "namespace", Title: "Namespace"},
				{Field: "name", Title: "Name", Links: []grafana.Link{operatorLinesOf("object_kind", "name")}},
				number("Messages"),
			}},
			Queries: []grafana.Query{{Expr: `topk(25, sum by (object_kind, namespace, name) (count_over_time(` + operatorLines(` | name!=""`) + ` [$__range])))`}},
		},
		{
			Title: "Queues", Description: "Messages per second about the queues of AMKO that are at work, over five minutes, from log lines. One that falls silent while others work is stuck.",
			Width: 12, Height: 9, Store: grafana.Loki, As: grafana.TimeSeries{}, Unit: "cps", Empty: "no message names a queue",
			Queries: []grafana.Query{{Expr: `sum by (operator, queue) (rate(` + operatorLines(` | queue!=""`) + ` [5m]))`, Legend: "{{operator}} queue {{queue}}"}},
		},
		{
			Title: "GSLB services", Description: "Members and weights of GSLB services as AMKO has told the load balancer in the time range. Several of a service mean that they were changed.",
			Width: 12, Height: 8, Store: grafana.Loki, Unit: "short", Empty: "AMKO's log tells of no GSLB service in the time range",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "gslb_service", Title: "GSLB service", Links: []grafana.Link{operatorLinesOf("gslb_service")}},
				{Field: "gslb_members", Title: "Members", Links: []grafana.Link{
					{Title: "Hold the answers against these weights", URL: grafana.BoardURL(dnsUID, []string{"prometheus", "loki", "cluster"}, "weights", grafana.Value("gslb_members"))},
				}},
				{Field: "Value", Title: "Lines", Unit: "short", Width: 70},
			}},
			Queries: []grafana.Query{{Expr: gslbMembers}},
		},
		{
			Title: "Messages by cluster", Description: "Messages in the time range about objects of the clusters that AMKO serves.",
			Width: 12, Height: 8, Store: grafana.Loki, As: grafana.BarGauge{}, Unit: "short", Empty: "no message names a cluster",
			Thresholds: []grafana.Threshold{{Color: "blue"}},
			Queries:    counted("object_cluster", ` | object_cluster!=""`),
		},
	}}
}

func operatorFaults() grafana.Row {
	// What AKO and AMKO write of objects that they do not take, and of calls that
	// the controller refuses.
	const (
		refused = ` |~ "(?i)reject|not accepted|invalid|unsupported|not valid"`
		calls   = ` |~ "(?i)rest call failed|failed to invoke|client error|error in rest|code: [45][0-9][0-9]"`
	)
	return grafana.Row{Title: "What goes wrong", Panels: []grafana.Panel{
		{
			Title: "Where faults are logged", Description: "Places in the operators' sources with the most messages of the level WARN and above in the time range.",
			Width: 12, Height: 9, Store: grafana.Loki, Unit: "short", Empty: "no warning and no error was logged",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "operator", Title: "Operator", Width: 90},
				{Field: "level", Title: "Level", Width: 90, Colors: levelColors()},
				{Field: "file", Title: "File", Links: []grafana.Link{operatorLinesOf("file", "line")}},
				{Field: "line", Title: "Line", Width: 70},
				number("Messages"),
			}},
			Queries: []grafana.Query{{Expr: `topk(20, sum by (operator, level, file, line) (count_over_time(` + operatorLines(` | level=~"WARN|`+faulty+`"`) + ` [$__range])))`}},
		},
		{
			Title: "Objects that were not taken", Description: "Objects of which the operators say that they are rejected, invalid or not supported, with the messages in the time range.",
			Width: 12, Height: 9, Store: grafana.Loki, Unit: "short", Empty: "no object was rejected",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "object_kind", Title: "Kind", Width: 120},
				{Field: "namespace", Title: "Namespace"},
				{Field: "name", Title: "Name", Links: []grafana.Link{operatorLinesOf("object_kind", "name")}},
				number("Messages"),
			}},
			Queries: []grafana.Query{{Expr: `topk(20, sum by (object_kind, namespace, name) (count_over_time(` + operatorLines(refused) + ` [$__range])))`}},
		},
		{
			Title: "Calls that failed", Description: "Messages within five minutes about calls to the load balancer's controller that failed.",
			Width: 24, Height: 6, Store: grafana.Loki, As: grafana.TimeSeries{}, Unit: "short", Empty: "no call failed",
			Queries: []grafana.Query{{Expr: `sum by (operator) (count_over_time(` + operatorLines(calls) + ` [5m]))`, Legend: "{{operator}}"}},
		},
	}}
}

// withoutTime leaves out the time that the operators write, which the panel has.
const withoutTime = " | line_format `{{ regexReplaceAll \"^[0-9-]{10}T[0-9:.]+(Z|[-+][0-9]{4})[[:space:]]+\" __line__ \"\" }}`"

func operatorLogs() grafana.Row {
	log := func(title, operator, what string) grafana.Panel {
		return grafana.Panel{
			Title: title, Description: what + " Open a line for all its fields.",
			Width: 24, Height: 12, Store: grafana.Loki, As: grafana.Logs{}, Empty: "nothing was logged",
			Queries: []grafana.Query{{Expr: `{job="corkline", operator="` + operator + `", cluster=~"$cluster", node=~"$node", level=~"$level"} |~ "(?i)${search:regex}" | object_kind=~"$object_kind" | decolorize` + withoutTime}},
		}
	}
	return grafana.Row{Title: "Logs (all filters but the operator apply)", Panels: []grafana.Panel{
		log("AKO's log", "ako", "What AKO does for the objects of its cluster."),
		log("AMKO's log", "amko", "What AMKO does for the GSLB services of several clusters."),
	}}
}
