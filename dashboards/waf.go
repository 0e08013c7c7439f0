package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// firewalled are the requests that the web application firewall looked at.
func firewalled() balanced {
	return balanced{
		uid: wafUID, kind: `status!=""`, counts: "corkline_virtualservice_waf_requests_total",
		labels: []string{"virtualservice"}, more: []string{"status", "client", "uri"},
		stream: `, status=~"$status"`,
		stages: " | client_ip=~`.*${client:regex}.*` | uri_path=~`.*${uri:regex}.*`",
	}
}

// What the firewall decided. Flagged lets a request pass and tells of it.
func decisionColors() []grafana.Color {
	return []grafana.Color{
		{Series: "PASSED", Color: "green"},
		{Series: "FLAGGED", Color: "orange"},
		{Series: "REJECTED", Color: "red"},
		{Series: "ALLOWLISTED", Color: "blue"},
		{Series: "WHITELISTED", Color: "blue"},
		{Series: "BYPASSED", Color: "purple"},
	}
}

func firewallSeries(more ...string) string {
	return firewalled().counts + here(append([]string{ofService, `status=~"$status"`}, more...)...)
}

func waf() grafana.Board {
	b := firewalled()
	return grafana.Board{
		UID:         wafUID,
		Title:       "Web application firewall",
		Description: "What the load balancer's web application firewall flagged and rejected: by rule, by who sent it, and what they wanted.",
		Tags:        []string{tag, tagBalancer},
		LinkTag:     tag,
		Variables: b.variables(map[string]string{"virtualservice": "Virtual service"},
			grafana.ListVariable{Name: "status", Label: "Decision", Values: []string{"PASSED", "FLAGGED", "REJECTED", "ALLOWLISTED", "BYPASSED"}},
			address("Client address"),
			grafana.TextVariable{Name: "uri", Label: "Path", Description: "Any part of a path. Works on the panels that are made of log lines."},
		),
		Rows: []grafana.Row{firewallOverview(), firewallRules(), firewallTops(), b.completeness(), firewallLog()},
	}
}

func firewallOverview() grafana.Row {
	b := firewalled()
	perService := func(more ...string) string {
		return counted("virtualservice", firewallSeries(more...))
	}
	return grafana.Row{Title: "Decisions", Panels: []grafana.Panel{
		{
			Title: "Requests by decision", Description: "Requests in the time range that the firewall looked at and that were logged. FLAGGED ones matched a rule and went through all the same, REJECTED ones did not.",
			Width: 10, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Colors: decisionColors(),
			Queries: []grafana.Query{{Expr: counted("status", firewallSeries()), Legend: "{{status}}"}},
		},
		{
			Title: "Rejected of those that matched", Description: "Of the requests in the time range that matched a rule, the share that was rejected. 0 % means that the policy only detects, or that its rules do not reject.",
			Width: 8, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1, Empty: "nothing matched a rule",
			Queries: []grafana.Query{{Expr: `(sum(` + during(firewallSeries(`status="REJECTED"`)) + `) or vector(0)) / (sum(` + during(firewallSeries(`status=~"FLAGGED|REJECTED"`)) + `) > 0)`, Legend: "rejected"}},
		},
		b.whole(),
		{
			Title: "Decisions over time", Description: "Requests per second that were logged, by what the firewall decided.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps", Colors: decisionColors(),
			Queries: []grafana.Query{{Expr: perSecond("status", firewallSeries()), Legend: "{{status}}"}},
		},
		{
			Title: "Virtual services by decision", Description: "Virtual services with what the firewall decided in the time range.",
			Width: 12, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: "the firewall has looked at nothing that was logged",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "virtualservice", Title: "Virtual service", Links: []grafana.Link{b.only("virtual service", "virtualservice", "virtualservice"), b.link("All of its requests", virtualServicesUID, "virtualservice", "virtualservice"), b.linesOf("virtualservice")}},
				{Field: "Value #A", Title: "Requests", Unit: "short"},
				{Field: "Value #B", Title: "Flagged", Unit: "short"},
				{Field: "Value #C", Title: "Rejected", Unit: "short", First: true, Red: true},
			}},
			Queries: []grafana.Query{{Expr: perService()}, {Expr: perService(`status="FLAGGED"`)}, {Expr: perService(`status="REJECTED"`)}},
		},
	}}
}

func firewallRules() grafana.Row {
	b := firewalled()
	hits := "corkline_virtualservice_waf_rule_group_hits_total" + here(ofService, `status=~"$status"`)
	return grafana.Row{Title: "Rules", Panels: []grafana.Panel{
		{
			Title: "Rule groups over time", Description: "Rules per second that matched logged requests, of the ten groups with the most in the time range.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Empty: "no rule matched",
			Queries: []grafana.Query{{Expr: topPerSecond("10", "rule_group", hits), Legend: "{{rule_group}}"}},
		},
		{
			Title: "Rule groups", Description: "Groups by the rules of theirs that matched logged requests in the time range, and what was decided on these.",
			Width: 10, Height: 9, Store: grafana.Prometheus, Unit: "short", Empty: "no rule matched",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "rule_group", Title: "Group"},
				{Field: "status", Title: "Decision", Width: 100, Colors: decisionColors()},
				number("Hits"),
			}},
			Queries: []grafana.Query{{Expr: `topk(50, ` + counted("rule_group, status", hits) + ` > 0)`}},
		},
		{
			Title: "Top rules", Description: "Rules that matched the same logged request, from log lines; all filters apply. " + topLimit,
			Width: 6, Height: 9, Store: grafana.Loki, Unit: "short", Empty: "no rule matched",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "rule_id", Title: "Rules", Links: []grafana.Link{b.linesOf("rule_id")}},
				number("Requests"),
			}},
			Queries: b.top("20", "rule_id", ` | rule_id!=""`),
		},
	}}
}

func firewallTops() grafana.Row {
	b := firewalled()
	const matched = ` | rule_id!=""`
	const most = " with the most logged requests in the time range that matched a rule. "
	return grafana.Row{Title: "Who attacks what, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Who", Description: "Client addresses" + most + "Behind a proxy it is the proxy's. " + topLimit,
			Width: 10, Height: 10, Store: grafana.Loki, Unit: "short", Empty: "no request matched a rule",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "client_ip", Title: "Client", Links: []grafana.Link{b.only("client", "client", "client_ip"), b.linesOf("client_ip")}},
				{Field: "client_location", Title: "Location", Width: 80},
				{Field: "status", Title: "Decision", Width: 100, Colors: decisionColors()},
				number("Requests"),
			}},
			Queries: b.top("20", "client_ip, client_location, status", matched),
		},
		{
			Title: "What", Description: "Paths" + most + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "short", Empty: "no request matched a rule",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "uri_path", Title: "Path", Links: []grafana.Link{b.only("path", "uri", "uri_path"), b.linesOf("uri_path")}},
				{Field: "status", Title: "Decision", Width: 100, Colors: decisionColors()},
				number("Requests"),
			}},
			Queries: b.top("20", "uri_path, status", matched),
		},
		{
			Title: "Kinds of attacks", Description: "Tags of the rules that matched the same logged request in the time range. " + topLimit,
			Width: 6, Height: 10, Store: grafana.Loki, Unit: "short", Empty: "no rule has a tag",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "rule_tags", Title: "Tags", Links: []grafana.Link{b.linesOf("rule_tags")}},
				number("Requests"),
			}},
			Queries: b.top("20", "rule_tags", ` | rule_tags!=""`),
		},
	}}
}

// readableDecision puts what matters of a line into columns.
const readableDecision = " | line_format `{{ if .status }}" +
	"{{ alignLeft 8 .status }} {{ .response_code }} {{ .client_ip }} {{ .method }} {{ .http_host }}{{ .uri_path }}" +
	" · {{ .virtualservice }}{{ if .rule_id }} · {{ .rule_id }}{{ end }}{{ if .rule_group }} · {{ .rule_group }}{{ end }}" +
	"{{ else }}{{ __line__ }}{{ end }}`"

func firewallLog() grafana.Row {
	return grafana.Row{Title: "Log (all filters apply)", Panels: []grafana.Panel{{
		Title: "Log", Description: "Requests that the firewall looked at: its decision, status, client, method, URL, virtual service, the rules that matched and their groups. Open a line for all its fields.",
		Width: 24, Height: 14, Store: grafana.Loki, As: grafana.Logs{},
		Queries: []grafana.Query{{Expr: firewalled().lines("") + readableDecision}},
	}}}
}
