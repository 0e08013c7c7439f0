package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// tracked are series of the collector of connection tracking.
func tracked(metric string, more ...string) string {
	return "corkline_conntrack_" + metric + here(more...)
}

// occupancy of the tables, as the alerts have it. A limit of 0 means that there
// is none.
func occupancy() string {
	return tracked("entries") + ` / (` + tracked("entries_limit") + ` > 0)`
}

// occupancyLimits are those of the alerts ConntrackTableFilling and
// ConntrackTableNearlyFull.
func occupancyLimits() []grafana.Threshold {
	return []grafana.Threshold{{Color: "green"}, {From: 0.75, Color: "orange"}, {From: 0.9, Color: "red"}}
}

// halfOpenShare of the entries of each node.
func halfOpenShare() string {
	return `sum by (node) (` + tracked("status_entries", `status="half_open"`) + `) / (sum by (node) (` + tracked("zone_entries") + `) > 0)`
}

// What is not there where the table is that of a userspace switch.
const (
	kernelOnly = " Of the kernel's table only."
	notCounted = "no kernel's table is read, and a userspace switch does not count this"
	noTable    = "no connection tracking table is read"
	noEntries  = "the entries of no table can be read: it takes the capability NET_ADMIN"
	noStream   = "no agent listens to the kernel's events (collectors.conntrack.stream)"
	noAntrea   = "Antrea's agents are not scraped"
)

func trackedFilters(but ...string) []string {
	return without([]string{"prometheus", "loki", "cluster", "node", "zone", "protocol", "namespace", "pod"}, but)
}

func onlyTracked(what, variable, field string) grafana.Link {
	return grafana.Link{Title: "Show only this " + what, URL: grafana.BoardURL(conntrackUID, trackedFilters(variable), variable, grafana.Value(field))}
}

// podOfRow opens a row's pod on this board and on that of the pipeline.
func podOfRow() []grafana.Link {
	set := []string{"namespace", grafana.Value("namespace"), "pod", grafana.Value("pod")}
	return []grafana.Link{
		{Title: "Show only this pod", URL: grafana.BoardURL(conntrackUID, trackedFilters("namespace", "pod"), set...)},
		{Title: "Show its port on OVS pipeline", URL: grafana.BoardURL(ovsUID, []string{"prometheus", "loki", "cluster", "node"}, set...)},
	}
}

// eventsOf opens the lines of the collector's events that have fields of a row.
func eventsOf(fields ...string) grafana.Link {
	expr := `{job="corkline", source="conntrack-events", cluster=~"${cluster:pipe}", node=~"${node:pipe}"}`
	for _, field := range fields {
		expr += " | " + field + "=`" + grafana.Value(field) + "`"
	}
	return grafana.Link{Title: "Show the lines in Explore", URL: grafana.ExploreURL(expr)}
}

func conntrack() grafana.Board {
	return grafana.Board{
		UID:         conntrackUID,
		Title:       "Conntrack and proxy",
		Description: "How full the connection tracking table of every node is and when it will be full, who fills it, what is dropped, and what AntreaProxy has in the switch.",
		Tags:        []string{tag, "node", "conntrack"},
		LinkTag:     tag,
		Variables: append(append(stores(), places()...),
			grafana.LabelVariable{Name: "zone", Label: "Zone", Selector: tracked("zone_entries"), Of: "zone"},
			grafana.LabelVariable{Name: "protocol", Label: "Protocol", Selector: tracked("state_entries"), Of: "protocol"},
			grafana.LabelVariable{Name: "namespace", Label: "Namespace", Selector: tracked("top_pod_entries"), Of: "namespace"},
			grafana.LabelVariable{Name: "pod", Label: "Pod", Selector: tracked("top_pod_entries", `namespace=~"$namespace"`), Of: "pod"},
		),
		Rows: []grafana.Row{
			trackedOverview(), trackedOccupancy(), trackedTalkers(), trackedFloods(), trackedDrops(), trackedEntries(), trackedConnections(), proxy(), trackedReading(),
		},
	}
}

func trackedOverview() grafana.Row {
	return grafana.Row{Title: "At a glance", Panels: []grafana.Panel{
		{
			Title: "Fullest table", Description: "Share of its limit that the fullest table has now. Alerts begin at 75 % and 90 %; at 100 % the first packet of every new connection is dropped.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1, Thresholds: occupancyLimits(), Empty: noTable,
			Queries: []grafana.Query{{Expr: `max(` + occupancy() + `)`, Legend: "in use"}},
		},
		{
			Title: "Full in", Description: "Time until a table is full, as it grows now. An alert begins at 30 minutes.",
			Width: 4, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "s", Empty: "no table is about to be full",
			Thresholds: []grafana.Threshold{{Color: "red"}, {From: 30 * 60, Color: "orange"}, {From: 2 * 3600, Color: "green"}},
			Queries:    []grafana.Query{{Expr: `min(` + tracked("forecast_full_seconds") + `)`, Legend: "the first one"}},
		},
		{
			Title: "Half-open", Description: "Share of the entries whose connection is not answered, or whose TCP handshake is not complete, of the node with the most. A few in a hundred are usual. Of a userspace switch, only TCP tells.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1, Empty: noEntries,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 0.3, Color: "orange"}, {From: 0.5, Color: "red"}},
			Queries:    []grafana.Query{{Expr: `max(` + halfOpenShare() + `)`, Legend: "half-open"}},
		},
		{
			Title: "Going on now", Description: "Floods of half-open connections that no client of the victim explains; scans by one source; services that do not answer their own clients any more (unanswered).",
			Width: 5, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noEntries,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Words:      []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `sum by (kind) (` + tracked("floods") + `)`, Legend: "{{kind}}"}},
		},
		{
			Title: "Dropped", Description: "Packets in the time range that were dropped because a table was full or their entry could not be confirmed, and entries that were evicted for new ones. Of a userspace switch: connections that found its table full.",
			Width: 5, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: notCounted,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `round(sum(increase(` + tracked("drops_total") + `[$__range])))`, Legend: "dropped"},
				{Expr: `round(sum(increase(` + tracked("early_drops_total") + `[$__range])))`, Legend: "evicted"},
				{Expr: switchFull(""), Legend: "switch full"},
			},
		},
		{
			Title: "Tables", Description: "Tables whose entries could be read in the last poll, and those whose could not: the agent lacks the capability NET_ADMIN, or the switch did not answer. Entries and limit are known all the same.",
			Width: 3, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{Named: true}, Unit: "short", Empty: noTable,
			Colors: []grafana.Color{{Series: "read", Color: "green"}, {Series: "not read", Color: "orange"}},
			Queries: []grafana.Query{
				{Expr: `count(` + tracked("dump_up") + ` == 1)`, Legend: "read"},
				{Expr: `count(` + tracked("dump_up") + ` == 0)`, Legend: "not read"},
			},
		},
		firing("conntrack.*"),
	}}
}

func trackedOccupancy() grafana.Row {
	return grafana.Row{Title: "How full, and when it will be full", Panels: []grafana.Panel{
		{
			Title: "Occupancy", Description: "Share of the table's limit that is in use, of the ten nodes where it was highest. The lines are those of the alerts, 75 % and 90 %.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Limits: true}, Unit: "percentunit", Max: 1, Thresholds: occupancyLimits(), Empty: noTable,
			Queries: []grafana.Query{{
				Expr:   occupancy() + ` and topk(10, max_over_time(` + tracked("entries") + `[$__range] @ end()) / (` + tracked("entries_limit") + ` > 0))`,
				Legend: "{{node}}",
			}},
		},
		{
			Title: "Entries and limit", Description: "Entries of the tables of all chosen nodes, and how many there may be.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noTable,
			Colors: []grafana.Color{{Series: "entries", Color: "blue"}, {Series: "limit", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `sum(` + tracked("entries") + `)`, Legend: "entries"},
				{Expr: `sum(` + tracked("entries_limit") + `)`, Legend: "limit"},
			},
		},
		{
			Title: "Time until full", Description: "By the agents' forecast, which knows curves, noise and what rises and falls every day; and by a straight line through five minutes of counts, which Prometheus records (rule conntrack:seconds_to_full). There is none while nothing grows towards full. The line is that of the alert, 30 minutes.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Limits: true}, Unit: "s", Empty: "no table was about to be full in this time range",
			Thresholds: []grafana.Threshold{{Color: "red"}, {From: 30 * 60, Color: "transparent"}},
			Queries: []grafana.Query{
				{Expr: tracked("forecast_full_seconds"), Legend: "{{node}}"},
				{Expr: `conntrack:seconds_to_full{cluster=~"$cluster", node=~"$node"}`, Legend: "{{node}}, straight line"},
			},
		},
		{
			Title: "Confidence of the forecast", Description: "How much of the table's growth the trend explains, less where the time left is long beside it. Below 0.5 the time is a guess.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Max: 1, Empty: "no table was about to be full in this time range",
			Queries: []grafana.Query{{Expr: tracked("forecast_confidence"), Legend: "{{node}}"}},
		},
		{
			Title: "Entries per bucket", Description: "How long the chains of the table's hash are on average. Above 4 look-ups get slow, and packets may be dropped for it (chain too long)." + kernelOnly,
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Limits: true}, Unit: "short", Empty: "no kernel's table is read; that of a userspace switch tells no buckets",
			Thresholds: []grafana.Threshold{{Color: "transparent"}, {From: 4, Color: "orange"}},
			Queries:    []grafana.Query{{Expr: tracked("entries") + ` / (` + tracked("buckets") + ` > 0)`, Legend: "{{node}}"}},
		},
	}}
}

func trackedTalkers() grafana.Row {
	const least = "At least: the agent's counters are bounded, and the ten biggest addresses of each node are looked at. Addresses of pods that are not known are left out. "
	top := func(metric string) string { return tracked(metric, `namespace=~"$namespace"`, `pod=~"$pod"`) }
	pods := func(title, metric, what, color string) grafana.Panel {
		return grafana.Panel{
			Title: title, Description: what + least + "role tells whether the pod opened the connections (source) or took them (destination).",
			Width: 12, Height: 9, Store: grafana.Prometheus, Unit: "short", Empty: "no pod is known by its address, or the entries cannot be read",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "namespace", Title: "Namespace", Width: 120},
				{Field: "pod", Title: "Pod", Links: podOfRow()},
				{Field: "role", Title: "Role", Width: 100},
				{Field: "node", Title: "Node", Links: []grafana.Link{onlyTracked("node", "node", "node")}},
				{Field: "Value", Title: "Entries", Unit: "short", Bar: true},
			}},
			Thresholds: []grafana.Threshold{{Color: color}},
			Queries:    []grafana.Query{{Expr: `topk(20, sum by (namespace, pod, role, node) (` + top(metric) + `))`}},
		}
	}
	// Of floods the biggest is told first; of those without an owner, the address.
	const pairs = `{job="corkline", source="conntrack-events", cluster=~"$cluster", node=~"$node", event!="filling"} | phase="start" | protocol=~"$protocol" | unwrap half_open [$__range]`
	return grafana.Row{Title: "Who fills it", Panels: []grafana.Panel{
		pods("Top pods by entries", "top_pod_entries", "Pods with the most entries now. ", "blue"),
		pods("Top pods by half-open entries", "top_pod_half_open_entries", "Pods with the most entries now that are not answered, or not completely open. ", "orange"),
		{
			Title: "Entries of pods over time", Description: "Entries of the ten pods that had the most in the time range. A pod is in the lists while it is one of its node's biggest, so lines may end. " + least,
			Width: 9, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: "no pod is known by its address, or the entries cannot be read",
			Queries: []grafana.Query{{
				Expr: `sum by (namespace, pod, role) (` + top("top_pod_entries") + `) and on (namespace, pod, role) topk(10, sum by (namespace, pod, role) (max_over_time(` +
					top("top_pod_entries") + `[$__range] @ end())))`,
				Legend: "{{namespace}}/{{pod}} ({{role}})",
			}},
		},
		{
			Title: "Addresses in events", Description: "Who sent to whom in the floods, scans and unanswered services that began in the time range, with the half-open entries that they began with. No metric has addresses. All pairs that a node has now are shown there by corkline conntrack top, and on its agent's status page.",
			Width: 15, Height: 9, Store: grafana.Loki, Unit: "short", Empty: "no flood, scan or unanswered service began in this time range",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "src_ip", Title: "Sender", Width: 115, Links: []grafana.Link{eventsOf("src_ip")}},
				{Field: "src_pod", Title: "Its pod"},
				{Field: "dst_ip", Title: "Victim", Width: 115, Links: []grafana.Link{eventsOf("dst_ip")}},
				{Field: "dst_pod", Title: "Its pod or node"},
				{Field: "dst_port", Title: "Port", Width: 70},
				{Field: "protocol", Title: "Protocol", Width: 80},
				{Field: "event", Title: "Event", Width: 95, Colors: kindColors()},
				{Field: "Value", Title: "Half-open", Unit: "short", Width: 130, Bar: true},
			}},
			Queries: []grafana.Query{{Expr: `topk(50, max by (src_ip, src_pod, dst_ip, dst_pod, dst_port, protocol, event) (max_over_time(` + pairs + `)))`}},
		},
	}}
}

func kindColors() []grafana.Color {
	return []grafana.Color{{Series: "flood", Color: "red"}, {Series: "scan", Color: "orange"}, {Series: "unanswered", Color: "purple"}, {Series: "filling", Color: "blue"}}
}

func trackedFloods() grafana.Row {
	return grafana.Row{Title: "Floods, scans, services without an answer", Panels: []grafana.Panel{
		{
			Title: "Going on", Description: "How many floods, scans and unanswered services go on. They take 2000 half-open entries more than usual; docs/conntrack-analysis.md has the rest of the judgement.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Colors: kindColors(), Empty: noEntries,
			Queries: []grafana.Query{{Expr: `sum by (kind) (` + tracked("floods") + `)`, Legend: "{{kind}}"}},
		},
		{
			Title: "Who floods whom", Description: "Half-open entries of what goes on at the end of the time range, by the pods or nodes that they come from mostly and go to. Empty where an address is nobody's that is known: the events have it.",
			Width: 16, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: "no flood, scan or unanswered service goes on",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "kind", Title: "What", Width: 100, Colors: kindColors()},
				{Field: "protocol", Title: "Protocol", Width: 80},
				{Field: "source", Title: "From"},
				{Field: "victim", Title: "To"},
				{Field: "node", Title: "Node", Links: []grafana.Link{onlyTracked("node", "node", "node"), eventsOf("node")}},
				{Field: "Value", Title: "Half-open", Unit: "short", Bar: true},
			}},
			Queries: []grafana.Query{{Expr: `sum by (kind, protocol, source, victim, node) (` + tracked("flood_half_open_entries", `protocol=~"$protocol"`) + `)`}},
		},
		{
			Title: "Events", Description: "Beginnings and ends of floods, scans and unanswered services, and of tables that will be full within half an hour (filling). Open a line for its senders, ports and peaks.",
			Width: 24, Height: 9, Store: grafana.Loki, As: grafana.Logs{}, Empty: "nothing was noticed in this time range",
			Queries: []grafana.Query{{Expr: `{job="corkline", source="conntrack-events", cluster=~"$cluster", node=~"$node"} | protocol=~"$protocol|"` + readableFlood}},
		},
	}}
}

// readableFlood puts an event into words.
const readableFlood = " | line_format `{{ alignLeft 10 .event }} {{ alignLeft 5 .phase }} {{ .node }}" +
	"{{ if .entries }} · {{ .entries }} of {{ .limit }} entries{{ if .seconds }}, full in {{ round .seconds 0 }} s{{ end }}{{ end }}" +
	"{{ if .shape }} · {{ .protocol }} {{ .shape }} · {{ .src_ip }}{{ if .src_pod }} ({{ .src_pod }}){{ end }}" +
	" → {{ .dst_ip }}{{ if .dst_port }} {{ .dst_port }}{{ end }}{{ if .dst_pod }} ({{ .dst_pod }}){{ end }}" +
	" · {{ .half_open }} half-open, {{ .answered }} answered, at most {{ .peak }}, of {{ .distinct_sources }} sources{{ end }}`"

func trackedDrops() grafana.Row {
	all := func(metric string) string { return `sum(` + rate(tracked(metric)) + `)` }
	inSwitch := func(event string) string {
		return `sum(` + rate(switchSeries("coverage_total", `event="`+event+`"`)) + `)`
	}
	nodes, queries := measured(
		[]grafana.Column{{Field: "node", Title: "Node", Links: []grafana.Link{onlyTracked("node", "node", "node")}}},
		[]measure{
			{title: "Dropped", unit: "short", expr: byNode("drops_total")},
			{title: "Evicted", unit: "short", expr: byNode("early_drops_total"), red: true},
			{title: "Not inserted", unit: "short", expr: byNode("insert_failures_total"), red: true},
			{title: "Chain too long", unit: "short", expr: byNode("chain_too_long_total"), red: true},
			{title: "Invalid", unit: "short", expr: byNode("invalid_total")},
			{title: "Clashes resolved", unit: "short", expr: byNode("clash_resolves_total")},
			{title: "Search restarts", unit: "short", expr: byNode("search_restarts_total")},
			{title: "Switch full", unit: "short", expr: switchFull("node"), red: true},
		})
	return grafana.Row{Title: "What is dropped, and what fails (the kernel's counters)", Panels: []grafana.Panel{
		{
			Title: "Drops", Description: "Packets and entries per second. dropped: the table was full, or an entry could not be confirmed. evicted: an entry made room for a new one. not inserted: another entry had the same tuple, which loses a packet, often of DNS. A userspace switch has of these only that its table, or a zone's part of it, was full.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Empty: "no kernel's table is read, and no userspace switch has told of a full one",
			Colors: []grafana.Color{{Series: "dropped", Color: "red"}, {Series: "evicted", Color: "orange"}, {Series: "not inserted", Color: "purple"}, {Series: "chain too long", Color: "blue"}, {Series: "switch: table full", Color: "dark-red"}, {Series: "switch: zone full", Color: "dark-orange"}},
			Queries: []grafana.Query{
				{Expr: all("drops_total"), Legend: "dropped"},
				{Expr: all("early_drops_total"), Legend: "evicted"},
				{Expr: all("insert_failures_total"), Legend: "not inserted"},
				{Expr: all("chain_too_long_total"), Legend: "chain too long"},
				{Expr: inSwitch("conntrack_full"), Legend: "switch: table full"},
				{Expr: inSwitch("conntrack_zone_full"), Legend: "switch: zone full"},
			},
		},
		{
			Title: "Signs of stress", Description: "Per second: packets that could not be tracked (invalid), ICMP that belongs to no connection, look-ups that began anew because the table changed, and equal tuples that were resolved without a loss. Some are usual; a rise with the load tells of races." + kernelOnly,
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Empty: notCounted,
			Queries: []grafana.Query{
				{Expr: all("invalid_total"), Legend: "invalid"},
				{Expr: all("packet_errors_total"), Legend: "ICMP errors"},
				{Expr: all("search_restarts_total"), Legend: "search restarts"},
				{Expr: all("clash_resolves_total"), Legend: "clashes resolved"},
			},
		},
		{
			Title: "By node", Description: "What the kernels counted in the time range; and of userspace switches, how often a connection found the table, or its zone's part of it, full.",
			Width: 24, Height: 7, Store: grafana.Prometheus, Unit: "short", Empty: notCounted, As: nodes, Queries: queries,
		},
	}}
}

// switchFull is how often the table of a userspace switch was full.
func switchFull(by string) string {
	return `round(sum by (` + by + `) (` + during(switchSeries("coverage_total", `event=~"conntrack_full|conntrack_zone_full"`)) + `))`
}

func byNode(metric string) string {
	return `round(sum by (node) (increase(` + tracked(metric) + `[$__range])))`
}

func trackedEntries() grafana.Row {
	return grafana.Row{Title: "What it holds", Panels: []grafana.Panel{
		{
			Title: "Zones", Description: "Entries by zone and family. antrea has the connections that Antrea's policies decide on; antrea-snat those of them to Services that need SNAT, a second time; 0 those of the host.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "short", Empty: noEntries,
			Queries: []grafana.Query{{Expr: `sum by (zone, family) (` + tracked("zone_entries", `zone=~"$zone"`) + `)`, Legend: "{{zone}} {{family}}"}},
		},
		{
			Title: "States", Description: "Entries by protocol and its state, in all zones. Many in SYN_SENT or SYN_RECV are half-open; many in TIME_WAIT are clients that do not keep connections.",
			Width: 10, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "short", Empty: noEntries,
			Queries: []grafana.Query{{Expr: `sum by (protocol, state) (` + tracked("state_entries", `protocol=~"$protocol"`) + `)`, Legend: "{{protocol}} {{state}}"}},
		},
		{
			Title: "Protocols", Description: "Entries of now by protocol.",
			Width: 6, Height: 9, Store: grafana.Prometheus, As: grafana.PieChart{}, Unit: "short", Empty: noEntries,
			Queries: []grafana.Query{{Expr: `sum by (protocol) (` + tracked("state_entries", `protocol=~"$protocol"`) + `) > 0`, Legend: "{{protocol}}"}},
		},
		{
			Title: "Status", Description: "Entries with a status; one may have several. unreplied: no packet came back. half_open: unreplied, or TCP whose handshake is not complete. assured: not evicted when the table is full. A userspace switch has no status: what TCP's states tell stands for it.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noEntries,
			Queries: []grafana.Query{{Expr: `sum by (status) (` + tracked("status_entries") + `)`, Legend: "{{status}}"}},
		},
		{
			Title: "Half-open share", Description: "Share of a node's entries that are half-open, of the ten nodes where it was highest.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Max: 1, Empty: noEntries,
			Queries: []grafana.Query{{Expr: `topk(10, ` + halfOpenShare() + `)`, Legend: "{{node}}"}},
		},
		{
			Title: "Not allowed, and to Services", Description: "Entries in Antrea's zones that no policy has let pass yet, such as those of denied connections, and those of connections to Services. Of bridges of Antrea 1.6 and later.",
			Width: 8, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noEntries,
			Colors: []grafana.Color{{Series: "not allowed ipv4", Color: "red"}, {Series: "not allowed ipv6", Color: "orange"}},
			Queries: []grafana.Query{
				{Expr: `sum by (family) (` + tracked("not_allowed_entries") + `)`, Legend: "not allowed {{family}}"},
				{Expr: `sum by (family) (` + tracked("service_entries") + `)`, Legend: "to Services {{family}}"},
			},
		},
	}}
}

func trackedConnections() grafana.Row {
	age := func(q string) string {
		return `histogram_quantile(` + q + `, sum by (le) (` + tracked("age_entries") + `)) > 0`
	}
	return grafana.Row{Title: "Connections that come and go", Panels: []grafana.Panel{
		{
			Title: "New and ended", Description: "Connections per second that began and ended, by the kernel's events, and events that were lost. Many new ones beside few entries are short connections.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Empty: noStream,
			Colors: []grafana.Color{{Series: "new", Color: "green"}, {Series: "ended", Color: "blue"}, {Series: "events lost", Color: "red"}},
			Queries: []grafana.Query{
				{Expr: `sum(` + rate(tracked("connections_created_total")) + `)`, Legend: "new"},
				{Expr: `sum(` + rate(tracked("connections_destroyed_total")) + `)`, Legend: "ended"},
				{Expr: `sum(` + rate(tracked("events_lost_total")) + `)`, Legend: "events lost"},
			},
		},
		{
			Title: "Lifetimes", Description: "How long half, and nine of ten, of the connections that ended were tracked. Takes events (stream) and the kernel's nf_conntrack_timestamp.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s", Empty: "no agent listens to the kernel's events, or nf_conntrack_timestamp is off",
			Queries: []grafana.Query{
				{Expr: quantile("0.5", "corkline_conntrack_connection_lifetime_seconds", here()), Legend: "p50"},
				{Expr: quantile("0.9", "corkline_conntrack_connection_lifetime_seconds", here()), Legend: "p90"},
			},
		},
		{
			Title: "Ages", Description: "How old half, and nine of ten, of the entries are. Takes the kernel's nf_conntrack_timestamp.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s", Empty: "no kernel's table is read, or nf_conntrack_timestamp is off",
			Queries: []grafana.Query{{Expr: age("0.5"), Legend: "p50"}, {Expr: age("0.9"), Legend: "p90"}},
		},
	}}
}

// proxied are series of AntreaProxy.
func proxied(metric string) string { return "antrea_proxy_" + metric + here() }

func proxy() grafana.Row {
	sync := perSecond("le", proxied("sync_proxy_rules_duration_seconds_bucket"))
	unserved := `corkline_ovs_dropped_packets_total{cluster=~"$cluster", node=~"$node", reason=~"no_endpoints|source_range"}`
	return grafana.Row{Title: "Services and endpoints (AntreaProxy, from Antrea's own metrics)", Panels: []grafana.Panel{
		{
			Title: "Installed now", Description: "Services and endpoints that AntreaProxy has in the switch, of the node with the most: every node has them all.",
			Width: 5, Height: 8, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: noAntrea,
			Queries: []grafana.Query{
				{Expr: `max by (ip_family) (` + proxied("total_services_installed") + `)`, Legend: "Services {{ip_family}}"},
				{Expr: `max by (ip_family) (` + proxied("total_endpoints_installed") + `)`, Legend: "endpoints {{ip_family}}"},
			},
		},
		{
			Title: "Endpoints by node", Description: "Endpoints that AntreaProxy has in the switch. Nodes that differ for longer have not taken a change.",
			Width: 10, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAntrea,
			Queries: []grafana.Query{{Expr: `max by (node, ip_family) (` + proxied("total_endpoints_installed") + `)`, Legend: "{{node}} {{ip_family}}"}},
		},
		{
			Title: "Updates", Description: "Updates of Services and endpoints per second that AntreaProxy got from the API server.",
			Width: 9, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Empty: noAntrea,
			Queries: []grafana.Query{
				{Expr: `sum(` + rate(proxied("total_services_updates")) + `)`, Legend: "Services"},
				{Expr: `sum(` + rate(proxied("total_endpoints_updates")) + `)`, Legend: "endpoints"},
			},
		},
		{
			Title: "Time of a sync", Description: "How long half, and 99 of 100, of AntreaProxy's syncs of Services into the switch took.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "s", Empty: noAntrea,
			Queries: []grafana.Query{
				{Expr: `histogram_quantile(0.5, ` + sync + `) > 0`, Legend: "p50"},
				{Expr: `histogram_quantile(0.99, ` + sync + `) > 0`, Legend: "p99"},
			},
		},
		{
			Title: "Connections to Services", Description: "Entries of connections to Services, by node: what AntreaProxy's destination NAT holds open.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "short", Empty: noEntries,
			Queries: []grafana.Query{{Expr: `sum by (node) (` + tracked("service_entries") + `)`, Legend: "{{node}}"}},
		},
		{
			Title: "Packets that no Service took", Description: "Packets per second to Services without endpoints (no_endpoints), which Antrea answers with a reset, and from sources that a load balancer does not allow (source_range).",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "pps", Colors: dropReasons(), Empty: "no pipeline of Antrea's is read",
			Queries: []grafana.Query{{Expr: perSecond("reason", unserved), Legend: "{{reason}}", Least: dumps}},
		},
	}}
}

func trackedReading() grafana.Row {
	by := func(metric string) string { return `max by (node) (` + tracked(metric) + `)` }
	return grafana.Row{Title: "Reading the table", Panels: []grafana.Panel{
		{
			Title: "How the tables are read", Description: "Whether the entries could be read, how long that took, and how often the table changed its shape meanwhile or the kernel found no room: then entries may be missing in the sums.",
			Width: 16, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: noTable,
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "node", Title: "Node", Links: []grafana.Link{onlyTracked("node", "node", "node")}},
				{Field: "Value #A", Title: "Entries", Unit: "locale"},
				{Field: "Value #B", Title: "Limit", Unit: "locale"},
				{Field: "Value #C", Title: "Readable", Unit: "bool_yes_no", Width: 90},
				{Field: "Value #D", Title: "Time", Unit: "s", Width: 90},
				{Field: "Value #E", Title: "Interrupted", Unit: "short", Width: 100, Red: true},
				{Field: "Value #F", Title: "No room", Unit: "short", Width: 90, Red: true},
			}},
			Queries: []grafana.Query{
				{Expr: by("entries")},
				{Expr: by("entries_limit")},
				{Expr: by("dump_up")},
				{Expr: by("dump_duration_seconds")},
				{Expr: byNode("dumps_interrupted_total")},
				{Expr: byNode("dump_overruns_total")},
			},
		},
		{
			Title: "What Antrea counts itself", Description: "Connections in Antrea's zone by Antrea's own metrics. They move only where its FlowExporter is on; else they stay 0 whatever the table has.",
			Width: 8, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAntrea,
			Queries: []grafana.Query{
				{Expr: `sum(antrea_agent_conntrack_antrea_connection_count` + here() + `)`, Legend: "in Antrea's zone, by Antrea"},
				{Expr: `sum(` + tracked("zone_entries", `zone=~"antrea.*"`) + `)`, Legend: "in Antrea's zones, by the agents"},
			},
		},
	}}
}
