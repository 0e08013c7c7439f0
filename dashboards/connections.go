package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// connections of L4 virtual services.
func connections() balanced {
	return balanced{
		uid: connectionsUID, kind: `protocol!=""`, counts: "corkline_virtualservice_connections_total",
		labels: []string{"virtualservice", "pool", "server"}, more: []string{"protocol", "client"},
		stream: `, protocol=~"$protocol"`,
		stages: " | client_ip=~`.*${client:regex}.*`",
	}
}

// connectionSeries are the connections that the board's filters let through.
func connectionSeries(more ...string) string {
	return connections().counts + here(append([]string{ofService, ofPool, `server=~"$server"`, `protocol=~"$protocol"`}, more...)...)
}

func l4Connections() grafana.Board {
	b := connections()
	return grafana.Board{
		UID:         connectionsUID,
		Title:       "L4 connections",
		Description: "Connections of the load balancer's L4 virtual services: how many, how long, what was sent again, by the logs of the Service Engines.",
		Tags:        []string{tag, tagBalancer},
		LinkTag:     tag,
		Variables: b.variables(map[string]string{"virtualservice": "Virtual service", "pool": "Pool", "server": "Server"},
			grafana.ListVariable{Name: "protocol", Label: "Protocol", Values: []string{"TCP", "UDP"}},
			address("Client address"),
		),
		Rows: []grafana.Row{connectionOverview(), connectionQuality(), connectionTops(), b.completeness(), connectionLog()},
	}
}

func connectionOverview() grafana.Row {
	b := connections()
	perServer := `sum by (virtualservice, pool, server) (` + during(connectionSeries(inPool, isServer)) + `)`
	perService := func(series string) string { return `sum by (virtualservice) (` + during(series) + `)` }
	return grafana.Row{Title: "Connections", Panels: []grafana.Panel{
		{
			Title: "Logged connections", Description: "Connections in the time range that were logged, and the share of them that was significant, once for each reason.",
			Width: 8, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short",
			Queries: []grafana.Query{
				{Expr: counted("protocol", connectionSeries()), Legend: "{{protocol}}"},
				{Expr: `round(sum(` + during("corkline_virtualservice_significant_connections_total"+here(ofService)) + `)) or vector(0)`, Legend: "reasons"},
			},
		},
		{
			Title: "SYNs sent again", Description: "SYN segments that were sent again for each logged connection in the time range. Above 0, servers or the way to them do not answer at once. The filters by server, protocol and client do not apply.",
			Width: 5, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.01, Color: "orange"}, {From: 0.1, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `sum(` + during(poolSeries("corkline_virtualservice_syn_retransmits_total")) + `) / (sum(` + during(poolSeries(b.counts)) + `) > 0)`, Legend: "a connection"}},
		},
		{
			Title: "Average length", Description: "How long a logged connection lasted on average, of those that ended in the time range. The filters by server, protocol and client do not apply.",
			Width: 5, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "s",
			Queries: []grafana.Query{{Expr: `sum(` + during(poolSeries("corkline_virtualservice_connection_duration_seconds_sum")) + `) / (sum(` + during(poolSeries(b.counts)) + `) > 0)`, Legend: "length"}},
		},
		b.whole(),
		{
			Title: "Connections over time", Description: "Connections per second that were logged, by virtual service.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps",
			Queries: []grafana.Query{{Expr: topPerSecond("10", "virtualservice", connectionSeries()), Legend: "{{virtualservice}}"}},
		},
		{
			Title: "Bytes", Description: "Bytes per second of the logged connections, counted when they are logged, which mostly is at their end. The filters by server, protocol and client do not apply.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "binBps",
			Queries: []grafana.Query{
				{Expr: `sum(` + rate(poolSeries("corkline_virtualservice_connection_received_bytes_total")) + `)`, Legend: "from clients"},
				{Expr: `sum(` + rate(poolSeries("corkline_virtualservice_connection_sent_bytes_total")) + `)`, Legend: "to clients"},
			},
		},
		{
			Title: "Virtual services by connections", Description: "L4 virtual services with what was logged of them in the time range.",
			Width: 12, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: "no connection was logged",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "virtualservice", Title: "Virtual service", Links: []grafana.Link{b.only("virtual service", "virtualservice", "virtualservice"), b.linesOf("virtualservice")}},
				{Field: "Value #A", Title: "Connections", Unit: "short", First: true, Width: 110},
				{Field: "Value #B", Title: "From clients", Unit: "bytes", Width: 105},
				{Field: "Value #C", Title: "To clients", Unit: "bytes", Width: 100},
				{Field: "Value #D", Title: "SYNs again", Unit: "short", Width: 100, Red: true},
				{Field: "Value #E", Title: "To servers again", Unit: "short", Width: 130, Red: true},
			}},
			Queries: []grafana.Query{
				{Expr: counted("virtualservice", connectionSeries())},
				{Expr: perService(poolSeries("corkline_virtualservice_connection_received_bytes_total"))},
				{Expr: perService(poolSeries("corkline_virtualservice_connection_sent_bytes_total"))},
				{Expr: `round(` + perService(poolSeries("corkline_virtualservice_syn_retransmits_total")) + `)`},
				{Expr: `round(` + perService(poolSeries("corkline_virtualservice_server_retransmits_total")) + `)`},
			},
		},
		{
			Title: "Connections by server", Description: "Servers with what was logged of them in the time range, and their share of their pool.",
			Width: 12, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: "no connection reached a server",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "server", Title: "Server", Links: []grafana.Link{b.only("server", "server", "server"), b.linesOf("pool", "server")}},
				{Field: "pool", Title: "Pool", Links: []grafana.Link{b.only("pool", "pool", "pool")}},
				{Field: "virtualservice", Title: "Virtual service"},
				{Field: "Value #A", Title: "Connections", Unit: "short", First: true, Width: 110},
				{Field: "Value #B", Title: "Share", Unit: "percentunit", Width: 80},
			}},
			Queries: []grafana.Query{
				{Expr: `round(` + perServer + `)`},
				{Expr: perServer + ` / on (virtualservice, pool) group_left () sum by (virtualservice, pool) (` + during(b.counts+here(ofService, ofPool, `protocol=~"$protocol"`, inPool, isServer)) + `)`},
			},
		},
	}}
}

func connectionQuality() grafana.Row {
	const (
		clientRTT = "corkline_virtualservice_client_rtt_seconds"
		serverRTT = "corkline_virtualservice_server_rtt_seconds"
		length    = "corkline_virtualservice_connection_duration_seconds"
	)
	// RTTs are those of requests, too: only the services of this board.
	matchers := here(ofService, ofPool)
	l4 := func(metric string) string {
		return `histogram_quantile(0.9, sum by (le) (` + rate(metric+"_bucket"+matchers) + ` and on (virtualservice) ` + connections().counts + here(ofService) + `))` +
			` or histogram_quantile(0.9, sum(` + rate(metric+matchers) + ` and on (virtualservice) ` + connections().counts + here(ofService) + `))`
	}
	each := func(metric string) string {
		return `sum(` + rate(poolSeries(metric)) + `)`
	}
	return grafana.Row{Title: "Quality (the filters by server, protocol and client do not apply)", Panels: []grafana.Panel{
		{
			Title: "Length, quantiles", Description: "How long the logged connections lasted: half, 90 % and 99 % lasted no longer.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: quantiles(length, matchers),
		},
		{
			Title: "Round trips, 90 %", Description: "90 % of the logged connections had no longer round-trip times: between client and Service Engine, and between Service Engine and server. Whole milliseconds.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: []grafana.Query{
				{Expr: l4(clientRTT), Legend: "client"},
				{Expr: l4(serverRTT), Legend: "server"},
			},
		},
		{
			Title: "Sent again", Description: "Segments per second that were sent again, on the connections that were logged.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "pps",
			Colors: []grafana.Color{{Series: "SYN", Color: "red"}, {Series: "to clients", Color: "blue"}, {Series: "to servers", Color: "orange"}},
			Queries: []grafana.Query{
				{Expr: each("corkline_virtualservice_syn_retransmits_total"), Legend: "SYN"},
				{Expr: each("corkline_virtualservice_client_retransmits_total"), Legend: "to clients"},
				{Expr: each("corkline_virtualservice_server_retransmits_total"), Legend: "to servers"},
			},
		},
	}}
}

func connectionTops() grafana.Row {
	b := connections()
	const most = " with the most logged connections in the time range. "
	return grafana.Row{Title: "Who connects, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Top clients", Description: "Client addresses" + most + topLimit,
			Width: 8, Height: 9, Store: grafana.Loki, Unit: "short",
			As:      grafana.Table{Columns: []grafana.Column{{Field: "client_ip", Title: "Client", Links: []grafana.Link{b.only("client", "client", "client_ip"), b.linesOf("client_ip")}}, number("Connections")}},
			Queries: b.top("15", "client_ip", ` | client_ip!=""`),
		},
		{
			Title: "Longest by server", Description: "Servers by the time within which 95 % of their logged connections ended in the time range.",
			Width: 8, Height: 9, Store: grafana.Loki, Unit: "ms",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "server", Title: "Server", Links: []grafana.Link{b.only("server", "server", "server"), b.linesOf("server")}},
				{Field: "pool", Title: "Pool"},
				{Field: "Value", Title: "p95", Unit: "ms", Bar: true},
			}},
			Queries: []grafana.Query{{Expr: `topk(15, quantile_over_time(0.95, ` + b.lines(` | server!="" | unwrap total_time`) + ` [$__range]) by (pool, server))`}},
		},
		significance("corkline_virtualservice_significant_connections_total", "connections", 8, 9),
	}}
}

// readableConnection puts what matters of a line into columns.
const readableConnection = " | line_format `{{ if .virtualservice }}" +
	"{{ alignLeft 4 .protocol }} {{ .client_ip }}{{ if .client_port }} {{ .client_port }}{{ end }}" +
	" → {{ .virtualservice }}{{ if .server }} → {{ .server }}{{ end }}" +
	"{{ if .total_time }} · {{ .total_time }} ms{{ end }}{{ if .sni }} · {{ .sni }}{{ end }}" +
	"{{ if .significance }} · {{ .significance }}{{ end }}{{ else }}{{ __line__ }}{{ end }}`"

func connectionLog() grafana.Row {
	return grafana.Row{Title: "Log (all filters apply)", Panels: []grafana.Panel{{
		Title: "Log", Description: "Connections: protocol, client → virtual service → server, how long it lasted, and why it is significant. Open a line for all its fields.",
		Width: 24, Height: 14, Store: grafana.Loki, As: grafana.Logs{},
		Queries: []grafana.Query{{Expr: connections().lines("") + readableConnection}},
	}}}
}
