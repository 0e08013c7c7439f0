package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// queries to the load balancer's DNS.
func queries() balanced {
	return balanced{
		uid: dnsUID, kind: `rcode!=""`, counts: "corkline_dns_queries_total",
		labels: []string{"virtualservice", "gslbservice"}, more: []string{"rcode", "client", "name", "weights"},
		stream: `, rcode=~"$rcode"`,
		stages: " | client_ip=~`.*${client:regex}.*` | fqdn=~`.*${name:regex}.*`",
	}
}

const ofGSLB = `gslbservice=~"$gslbservice"`

func querySeries(more ...string) string {
	return queries().counts + here(append([]string{ofService, ofGSLB, `rcode=~"$rcode"`}, more...)...)
}

func rcodeColors() []grafana.Color {
	return []grafana.Color{
		{Series: "NOERROR", Color: "green"},
		{Series: "NXDOMAIN", Color: "orange"},
		{Series: "SERVFAIL", Color: "red"},
		{Series: "REFUSED", Color: "purple"},
		{Series: "FORMERR", Color: "dark-red"},
		{Series: "NOTIMP", Color: "blue"},
	}
}

func dns() grafana.Board {
	b := queries()
	return grafana.Board{
		UID:         dnsUID,
		Title:       "DNS and GSLB",
		Description: "What the load balancer's DNS is asked and answers, and whether a GSLB service is answered as its members' weights say.",
		Tags:        []string{tag, tagBalancer},
		LinkTag:     tag,
		Variables: b.variables(map[string]string{"virtualservice": "Virtual service", "gslbservice": "GSLB service"},
			grafana.ListVariable{Name: "rcode", Label: "Answer", Values: []string{"NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"}},
			address("Client address"),
			grafana.TextVariable{Name: "name", Label: "Name", Description: "Any part of a name. Works on the panels that are made of log lines."},
			grafana.TextVariable{Name: "weights", Label: "Weights", Description: "What the members of the GSLB service should weigh, by the names of their sites or by their addresses, eight at most: frankfurt:6, dublin:3, oslo:1. Without them those are taken that the rule gslb:weight records."},
		),
		Rows: []grafana.Row{dnsOverview(), gslbAnswers(), dnsTops(), b.completeness(), dnsLog()},
	}
}

func dnsOverview() grafana.Row {
	return grafana.Row{Title: "Queries", Panels: []grafana.Panel{
		{
			Title: "Queries by answer", Description: "Queries in the time range that were logged, by the code of the answer.",
			Width: 10, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Colors: rcodeColors(),
			Queries: []grafana.Query{{Expr: counted("rcode", querySeries()), Legend: "{{rcode}}"}},
		},
		{
			Title: "Queries by type", Description: "Queries in the time range that were logged, by the type of record that was asked for.",
			Width: 8, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Queries: []grafana.Query{{Expr: `topk(6, ` + counted("qtype", querySeries()) + ` > 0)`, Legend: "{{qtype}}"}},
		},
		queries().whole(),
		{
			Title: "Answers", Description: "Queries per second that were logged, by the code of the answer.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Colors: rcodeColors(),
			Queries: []grafana.Query{{Expr: perSecond("rcode", querySeries()), Legend: "{{rcode}}"}},
		},
		{
			Title: "Types", Description: "Queries per second that were logged, by the type of record that was asked for.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps",
			Queries: []grafana.Query{{Expr: topPerSecond("10", "qtype", querySeries()), Legend: "{{qtype}}"}},
		},
		{
			Title: "Virtual services by queries", Description: "DNS virtual services and the GSLB services that they answer for, with the queries in the time range. A query that no GSLB service answers has none.",
			Width: 8, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: "no query was logged",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "virtualservice", Title: "Virtual service", Links: []grafana.Link{queries().only("virtual service", "virtualservice", "virtualservice"), queries().linesOf("virtualservice")}},
				{Field: "gslbservice", Title: "GSLB service", Links: []grafana.Link{queries().only("GSLB service", "gslbservice", "gslbservice")}},
				number("Queries"),
			}},
			Queries: []grafana.Query{{Expr: `topk(50, ` + counted("virtualservice, gslbservice", querySeries()) + ` > 0)`}},
		},
	}}
}

func dnsTops() grafana.Row {
	b := queries()
	const most = " with the most logged queries in the time range. "
	return grafana.Row{Title: "Who asks for what, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Top names", Description: "Names" + most + topLimit,
			Width: 9, Height: 10, Store: grafana.Loki, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "fqdn", Title: "Name", Links: []grafana.Link{b.only("name", "name", "fqdn"), b.linesOf("fqdn")}},
				{Field: "qtype", Title: "Type", Width: 70},
				{Field: "rcode", Title: "Answer", Width: 100, Colors: rcodeColors()},
				number("Queries"),
			}},
			Queries: b.top("20", "fqdn, qtype, rcode", ` | fqdn!=""`),
		},
		{
			Title: "Top clients", Description: "Addresses" + most + "Mostly these are resolvers, which ask for many. " + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "client_ip", Title: "Client", Links: []grafana.Link{b.only("client", "client", "client_ip"), b.linesOf("client_ip")}},
				{Field: "client_location", Title: "Location", Width: 100},
				number("Queries"),
			}},
			Queries: b.top("20", "client_ip, client_location", ` | client_ip!=""`),
		},
		significance("corkline_dns_significant_queries_total", "queries", 7, 10),
	}}
}

// readableQuery puts what matters of a line into columns.
const readableQuery = " | line_format `{{ if .virtualservice }}" +
	"{{ alignLeft 8 .rcode }} {{ alignLeft 5 .qtype }} {{ .fqdn }} · {{ .client_ip }} → {{ .virtualservice }}" +
	"{{ if .gslbservice }} · {{ .gslbservice }}{{ end }}{{ if .member }} → {{ .member }}{{ end }}{{ if .site }} ({{ .site }}){{ end }}" +
	"{{ if .significance }} · {{ .significance }}{{ end }}{{ else }}{{ __line__ }}{{ end }}`"

func dnsLog() grafana.Row {
	return grafana.Row{Title: "Log (all filters apply)", Panels: []grafana.Panel{{
		Title: "Log", Description: "Queries: code of the answer, type, name, client → virtual service, GSLB service → member (site), and why it is significant. Open a line for all its fields.",
		Width: 24, Height: 14, Store: grafana.Loki, As: grafana.Logs{},
		Queries: []grafana.Query{{Expr: queries().lines("") + readableQuery}},
	}}}
}
