package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// requests to L7 virtual services. Where the firewall looked at one, its log is
// that of the firewall.
func requests() balanced {
	return balanced{
		uid: virtualServicesUID, kind: `code_class!=""`, counts: "corkline_virtualservice_requests_total",
		labels: []string{"virtualservice", "pool", "server"}, more: []string{"code", "client", "uri"},
		stream: `, code_class=~"$code"`,
		stages: " | client_ip=~`.*${client:regex}.*` | uri_path=~`.*${uri:regex}.*`",
	}
}

// ofPool is the matcher of the pools of a board.
const ofPool = `pool=~"$pool"`

// requestSeries are the requests that the board's filters let through.
func requestSeries(more ...string) string {
	return requests().counts + here(append([]string{ofService, ofPool, `server=~"$server"`, `code_class=~"$code"`}, more...)...)
}

// poolSeries of a metric that does not tell servers apart.
func poolSeries(metric string) string { return metric + here(ofService, ofPool) }

// address and uri are what people type to find requests.
func address(what string) grafana.Variable {
	return grafana.TextVariable{Name: "client", Label: what, Description: "Any part of an address, as 192.0.2. or 2001:db8:. Works on the panels that are made of log lines."}
}

func virtualServices() grafana.Board {
	return grafana.Board{
		UID:         virtualServicesUID,
		Title:       "Virtual services",
		Description: "HTTP virtual services of the load balancer: what is asked of them, how long it takes and where, and which server is slow, by the logs of the Service Engines.",
		Tags:        []string{tag, tagBalancer},
		LinkTag:     tag,
		Variables: requests().variables(map[string]string{"virtualservice": "Virtual service", "pool": "Pool", "server": "Server"},
			grafana.ListVariable{Name: "code", Label: "Status", Values: []string{"1xx", "2xx", "3xx", "4xx", "5xx"}},
			address("Client address"),
			grafana.TextVariable{Name: "uri", Label: "Path", Description: "Any part of a path. Works on the panels that are made of log lines."},
		),
		Rows: []grafana.Row{requestOverview(), requestLatency(), requestMembers(), requestTops(), requests().completeness(), requestLog()},
	}
}

// noCode is what a request has whose client left before it got one.
const noCode = "no code"

func byCode(expr string) string {
	return `label_replace(` + expr + `, "code_class", "` + noCode + `", "code_class", "")`
}

func requestOverview() grafana.Row {
	b := requests()
	failed := requestSeries(`code_class="5xx"`)
	perService := func(series string) string { return `sum by (virtualservice) (` + during(series) + `)` }
	return grafana.Row{Title: "Requests", Panels: []grafana.Panel{
		{
			Title: "Requests by status", Description: "Requests in the time range that were logged, by the class of the status code that the client got.",
			Width: 10, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Colors: codeColors(),
			Queries: []grafana.Query{{Expr: byCode(counted("code_class", requestSeries())), Legend: "{{code_class}}"}},
		},
		{
			Title: "Failed", Description: "Share of the logged requests in the time range that got a 5xx. Failures are always significant and so logged first: of a throttled log this is too high.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.01, Color: "orange"}, {From: 0.05, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `(sum(` + during(failed) + `) or vector(0)) / (sum(` + during(requestSeries()) + `) > 0)`, Legend: "5xx"}},
		},
		{
			Title: "Slower than the pool", Description: "The server that is slowest beside the median server of its pool in the time range: how much longer it took on average until the first byte. The table below has them all.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{Named: true}, Unit: "percentunit",
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: slowOrange, Color: "orange"}, {From: slowRed, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `topk(1, ` + memberDeviation() + `)`, Legend: "{{server}}"}},
		},
		b.whole(),
		{
			Title: "Requests over time", Description: "Requests per second that were logged, by the class of the status code.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps", Colors: codeColors(),
			Queries: []grafana.Query{{Expr: byCode(perSecond("code_class", requestSeries())), Legend: "{{code_class}}"}},
		},
		{
			Title: "Bytes", Description: "Bytes per second of the logged requests and of the responses to them. The filters by server and status do not apply.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "binBps",
			Queries: []grafana.Query{
				{Expr: `sum(` + rate(poolSeries("corkline_virtualservice_request_bytes_total")) + `)`, Legend: "requests"},
				{Expr: `sum(` + rate(poolSeries("corkline_virtualservice_response_bytes_total")) + `)`, Legend: "responses"},
			},
		},
		{
			Title: "Virtual services by requests", Description: "Virtual services with what was logged of them in the time range, and how long a request took on average.",
			Width: 24, Height: 7, Store: grafana.Prometheus, Unit: "short", Empty: "no request was logged",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "virtualservice", Title: "Virtual service", Links: []grafana.Link{b.only("virtual service", "virtualservice", "virtualservice"), b.link("What the firewall did", wafUID, "virtualservice", "virtualservice"), b.linesOf("virtualservice")}},
				{Field: "Value #A", Title: "Requests", Unit: "short", First: true},
				{Field: "Value #B", Title: "4xx", Unit: "percentunit"},
				{Field: "Value #C", Title: "5xx", Unit: "percentunit", Thresholds: []grafana.Threshold{{Color: "text"}, {From: 0.01, Color: "orange"}, {From: 0.05, Color: "red"}}},
				{Field: "Value #D", Title: "Took on average", Unit: "s"},
				{Field: "Value #E", Title: "Responses", Unit: "bytes"},
			}},
			Queries: []grafana.Query{
				{Expr: counted("virtualservice", requestSeries())},
				{Expr: perService(requestSeries(`code_class="4xx"`)) + ` / ` + perService(requestSeries())},
				{Expr: perService(failed) + ` / ` + perService(requestSeries())},
				{Expr: perService(poolSeries("corkline_virtualservice_request_duration_seconds_sum")) + ` / ` + perService(poolSeries(b.counts))},
				{Expr: perService(poolSeries("corkline_virtualservice_response_bytes_total"))},
			},
		},
	}}
}

// average per logged request: a log leaves out what is zero, so that a
// histogram's own count may be too small. Its parts add up to what passed
// between the first byte of the request and the last one of the response.
func average(plus string, minus ...string) string {
	sum := func(metric string) string { return `sum(` + rate(poolSeries(metric+"_sum")) + `)` }
	expr := sum(plus)
	for _, metric := range minus {
		expr += ` - ` + sum(metric)
	}
	return `clamp_min(` + expr + `, 0) / (sum(` + rate(poolSeries(requests().counts)) + `) > 0)`
}

func requestLatency() grafana.Row {
	const (
		clientRTT = "corkline_virtualservice_client_rtt_seconds"
		serverRTT = "corkline_virtualservice_server_rtt_seconds"
		server    = "corkline_virtualservice_server_response_seconds"
		first     = "corkline_virtualservice_response_first_byte_seconds"
		last      = "corkline_virtualservice_response_last_byte_seconds"
		total     = "corkline_virtualservice_request_duration_seconds"
	)
	matchers := here(ofService, ofPool)
	return grafana.Row{Title: "Where the time goes (the filters by server, status, client and path do not apply)", Panels: []grafana.Panel{
		{
			Title: "Average request", Description: "How long a logged request took on average, by where the time went. Client RTT and server RTT: the networks. Load balancer: until the first byte of the response went to the client, without the server's time; what waits for a server that never answers is here, too. Server: until its first byte, without the network. Transfer: from the first byte of the response to the last. RTTs are whole milliseconds.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "s",
			Colors: []grafana.Color{{Series: "client RTT", Color: "blue"}, {Series: "load balancer", Color: "purple"}, {Series: "server RTT", Color: "orange"}, {Series: "server", Color: "red"}, {Series: "transfer", Color: "green"}},
			Queries: []grafana.Query{
				{Expr: average(clientRTT), Legend: "client RTT"},
				{Expr: average(first, server), Legend: "load balancer"},
				{Expr: average(serverRTT), Legend: "server RTT"},
				{Expr: average(server, serverRTT), Legend: "server"},
				{Expr: average(last, first), Legend: "transfer"},
			},
		},
		{
			Title: "Request, quantiles", Description: "Time from the first byte of a request to the last one of its response: half, 90 % and 99 % of the logged requests took no longer.",
			Width: 6, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: quantiles(total, matchers),
		},
		{
			Title: "Parts, 90 %", Description: "90 % of the logged requests took no longer: on the way to the client and to the server (RTT), until the server's first byte, and until the first byte to the client.",
			Width: 6, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: []grafana.Query{
				{Expr: quantile("0.9", clientRTT, matchers), Legend: "client RTT"},
				{Expr: quantile("0.9", serverRTT, matchers), Legend: "server RTT"},
				{Expr: quantile("0.9", server, matchers), Legend: "server's first byte"},
				{Expr: quantile("0.9", first, matchers), Legend: "first byte to the client"},
			},
		},
	}}
}

// From when on a server is slow: so much longer than the median of its pool.
const (
	slowOrange = 1.0
	slowRed    = 3.0
)

const (
	byMember = `sum by (virtualservice, pool, server) `
	inPool   = `pool!=""`
	isServer = `server!=""`
)

// memberAverage is the time that a server of a pool took on average.
func memberAverage() string {
	took := "corkline_virtualservice_server_seconds_total" + here(ofService, ofPool, inPool, isServer)
	return byMember + `(` + during(took) + `) / (` + byMember + `(` + during(requests().counts+here(ofService, ofPool, inPool, isServer)) + `) > 0)`
}

// memberDeviation is by how much that is more than the median of its pool,
// whatever server the board is filtered by.
func memberDeviation() string {
	return `(` + memberAverage() + `) / on (virtualservice, pool) group_left () (quantile by (virtualservice, pool) (0.5, ` + memberAverage() + `) > 0) - 1`
}

func requestMembers() grafana.Row {
	b := requests()
	chosen := func(expr string) string { return expr + ` and on (server) ` + requestSeries(inPool, isServer) }
	all := during(requestSeries(inPool, isServer))
	took := "corkline_virtualservice_server_seconds_total" + here(ofService, ofPool, `server=~"$server"`, inPool, isServer)
	asked := requests().counts + here(ofService, ofPool, `server=~"$server"`, inPool, isServer)
	return grafana.Row{Title: "Servers of the pools", Panels: []grafana.Panel{
		{
			Title: "Servers", Description: "Servers by how much longer than the median server of their pool they took on average until the first byte, in the time range: 100 % is twice as long. The share is that of the pool's logged requests.",
			Width: 24, Height: 9, Store: grafana.Prometheus, Unit: "short", Empty: "no request reached a server",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "virtualservice", Title: "Virtual service"},
				{Field: "pool", Title: "Pool", Links: []grafana.Link{b.only("pool", "pool", "pool")}},
				{Field: "server", Title: "Server", Links: []grafana.Link{b.only("server", "server", "server"), b.linesOf("pool", "server")}},
				{Field: "Value #A", Title: "Requests", Unit: "short"},
				{Field: "Value #B", Title: "Share", Unit: "percentunit"},
				{Field: "Value #C", Title: "5xx", Unit: "percentunit", Thresholds: []grafana.Threshold{{Color: "text"}, {From: 0.01, Color: "orange"}, {From: 0.05, Color: "red"}}},
				{Field: "Value #D", Title: "Average", Unit: "s"},
				{Field: "Value #E", Title: "Than the median", Unit: "percentunit", First: true, Thresholds: []grafana.Threshold{{Color: "text"}, {From: slowOrange, Color: "orange"}, {From: slowRed, Color: "red"}}},
			}},
			Queries: []grafana.Query{
				{Expr: `round(` + byMember + `(` + all + `))`},
				{Expr: byMember + `(` + all + `) / on (virtualservice, pool) group_left () sum by (virtualservice, pool) (` + during(requests().counts+here(ofService, ofPool, `code_class=~"$code"`, inPool, isServer)) + `)`},
				{Expr: byMember + `(` + during(requestSeries(inPool, isServer, `code_class="5xx"`)) + `) / ` + byMember + `(` + all + `)`},
				{Expr: chosen(memberAverage())},
				{Expr: chosen(memberDeviation())},
			},
		},
		{
			Title: "Average time by server", Description: "Time until a server's first byte on average, of the ten servers that took the most time in all in the time range.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s",
			Queries: []grafana.Query{{
				Expr:   perSecond("server", took) + ` / (` + perSecond("server", asked) + ` > 0) and on (server) topk(10, sum by (server) (increase(` + took + `[$__range] @ end())))`,
				Legend: "{{server}}",
			}},
		},
		{
			Title: "Requests by server", Description: "Requests per second that were logged, of the ten servers with the most in the time range.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "reqps",
			Queries: []grafana.Query{{
				Expr:   topPerSecond("10", "server", requestSeries(isServer)),
				Legend: "{{server}}",
			}},
		},
	}}
}

func requestTops() grafana.Row {
	b := requests()
	slow := func(labels, stages string) []grafana.Query {
		return []grafana.Query{{Expr: `topk(10, quantile_over_time(0.95, ` + b.lines(stages+` | unwrap total_time`) + ` [$__range]) by (` + labels + `))`}}
	}
	const most = " with the most logged requests in the time range. "
	took := grafana.Column{Field: "Value", Title: "p95", Unit: "ms", Bar: true}
	return grafana.Row{Title: "What is asked, by whom, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Top paths", Description: "Paths" + most + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "short",
			As:      grafana.Table{Columns: []grafana.Column{{Field: "uri_path", Title: "Path", Links: []grafana.Link{b.only("path", "uri", "uri_path"), b.linesOf("uri_path")}}, number("Requests")}},
			Queries: b.top("15", "uri_path", ` | uri_path!=""`),
		},
		{
			Title: "Slowest paths", Description: "Paths by the time within which 95 % of the logged requests were done in the time range. " + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "ms",
			As:      grafana.Table{Columns: []grafana.Column{{Field: "uri_path", Title: "Path", Links: []grafana.Link{b.only("path", "uri", "uri_path"), b.linesOf("uri_path")}}, took}},
			Queries: slow("uri_path", ` | uri_path!=""`),
		},
		{
			Title: "Slowest servers", Description: "Servers by the time within which 95 % of the logged requests were done in the time range, from the first byte of the request to the last of the response.",
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "ms",
			As:      grafana.Table{Columns: []grafana.Column{{Field: "server", Title: "Server", Links: []grafana.Link{b.only("server", "server", "server"), b.linesOf("server")}}, {Field: "pool", Title: "Pool"}, took}},
			Queries: slow("pool, server", ` | server!=""`),
		},
		{
			Title: "Top clients", Description: "Client addresses" + most + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "short",
			As:      grafana.Table{Columns: []grafana.Column{{Field: "client_ip", Title: "Client", Links: []grafana.Link{b.only("client", "client", "client_ip"), b.linesOf("client_ip")}}, number("Requests")}},
			Queries: b.top("15", "client_ip", ` | client_ip!=""`),
		},
		{
			Title: "Status codes", Description: "What the client got, and what the server had said: no code of a server means that the load balancer answered itself.",
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "response_code", Title: "To the client", Links: []grafana.Link{b.linesOf("response_code")}},
				{Field: "server_response_code", Title: "From the server"},
				number("Requests"),
			}},
			Queries: b.top("20", "response_code, server_response_code", ` | response_code!=""`),
		},
		significance("corkline_virtualservice_significant_requests_total", "requests", 8, 10),
	}}
}

// readableRequest puts what matters of a line into columns. What did not parse
// stays as it is.
const readableRequest = " | line_format `{{ if .virtualservice }}" +
	"{{ .response_code }} {{ alignLeft 7 .method }} {{ .http_host }}{{ .uri_path }}" +
	" · {{ .client_ip }} → {{ .virtualservice }}{{ if .server }} → {{ .server }}{{ end }}" +
	"{{ if .total_time }} · {{ .total_time }} ms{{ end }}" +
	"{{ if .significance }} · {{ .significance }}{{ end }}{{ else }}{{ __line__ }}{{ end }}`"

func requestLog() grafana.Row {
	return grafana.Row{Title: "Log (all filters apply)", Panels: []grafana.Panel{{
		Title: "Log", Description: "Requests: status, method, URL, client → virtual service → server, time from the first byte of the request to the last of the response, and why it is significant. Open a line for all its fields.",
		Width: 24, Height: 16, Store: grafana.Loki, As: grafana.Logs{},
		Queries: []grafana.Query{{Expr: requests().lines("") + readableRequest}},
	}}}
}
