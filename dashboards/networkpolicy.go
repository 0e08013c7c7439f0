package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// What a policy did with a packet. Pass is no verdict: it hands the packet to
// the policies of the next tier. Redirect lets it through an L7 engine.
const (
	denied  = "Drop|Reject"
	allowed = "Allow|Redirect"
)

// The same colour everywhere; each is readable on light and on dark.
func actionColors() []grafana.Color {
	return []grafana.Color{
		{Series: "Allow", Color: "green"},
		{Series: "Drop", Color: "red"},
		{Series: "Reject", Color: "orange"},
		{Series: "Pass", Color: "blue"},
		{Series: "Redirect", Color: "purple"},
	}
}

// policySeries are the packets of policies that the board's filters let through.
func policySeries(more string) string {
	return `corkline_networkpolicy_logged_packets_total{cluster=~"$cluster", node=~"$node", action=~"$action", policy=~"$policy"` + more + `}`
}

// policyLines are the log lines that the board's filters let through. Lines of
// which Antrea had no address pass the filters when these are empty.
func policyLines(more string) string {
	return `{job="corkline", source="antrea-networkpolicy", cluster=~"$cluster", node=~"$node", action=~"$action"` + more + `}` +
		" | policy=~\"$policy\" | src_ip=~`.*${src:regex}.*` | dst_ip=~`.*${dst:regex}.*`"
}

// Antrea merges denied packets of a second into one line that says how many
// it stands for; a line that does not stands for one.
const (
	countPackets = " | label_format packets=`{{ or .packets \"1\" }}` | unwrap packets"
	countBytes   = " | label_format bytes=`{{ mul .length (or .packets \"1\") }}` | unwrap bytes"
)

// topPackets are the labels with the most packets of some actions.
func topPackets(n, labels, actions, stages string) string {
	return "topk(" + n + ", sum by (" + labels + ") (sum_over_time(" +
		policyLines(`, action=~"`+actions+`"`) + stages + countPackets + " [$__range])))"
}

const (
	// service is a protocol with its port. Ports that a scan goes through are
	// one: services do not listen on those that Linux gives to clients.
	service = " | protocol!=\"\" | label_format service=`{{ .protocol }}{{ if .dst_port }}{{ if gt (int .dst_port) 32767 }}/32768+{{ else }}/{{ .dst_port }}{{ end }}{{ end }}`"

	topLimit   = "Loki gives the top of all values only while there are fewer than its max_query_series (500 by default); raise that, or narrow the filters, where many addresses talk."
	lowerBound = "The log is sampled, so this is a lower bound."

	// defaultDeny is what the log has in place of a policy that isolates Pods.
	defaultDeny = `policy="K8sNetworkPolicy"`
	// policyMeter is the switch's limit of what is logged.
	policyMeter = `antrea_agent_ovs_meter_packet_dropped_count{cluster=~"$cluster", node=~"$node", meter_id="PacketInMeterNetworkPolicy"}`
)

// end of a conversation. Of addresses there may be more than Loki can add up, so
// they are told by their networks, /24 or /64 of IPv6, until single ones are
// asked for. Loki compiles an expression for every line, so IPv4 goes without.
func end(field string) string {
	before := func(n string) string { return "(sub (len ." + field + ") " + n + ")" }
	octet := func(digits, last string) string { // of so many digits
		return `if eq (slice .` + field + ` ` + before(last) + ` ` + before(digits) + `) "." }}{{ slice .` + field + ` 0 ` + before(last) + ` }}.0/24`
	}
	return `{{ if eq "$ends" "addresses" }}{{ .` + field + ` }}` +
		`{{ else if contains ":" .` + field + ` }}{{ regexReplaceAll "(::.*|(:[0-9a-f]+){4})$" .` + field + ` "::/64" }}` +
		`{{ else ` + octet("1", "2") + `{{ else ` + octet("2", "3") + `{{ else ` + octet("3", "4") + `{{ end }}`
}

// ends of a conversation: the Pod that the rule is applied to, since Antrea 1.13
// logs it, and who is at the other end.
func ends() string {
	return " | label_format from=`{{ if and .applied_to (eq .direction \"Egress\") }}{{ .applied_to }}{{ else }}" + end("src_ip") + "{{ end }}`" +
		" | label_format to=`{{ if and .applied_to (eq .direction \"Ingress\") }}{{ .applied_to }}{{ else }}" + end("dst_ip") + "{{ end }}`"
}

// filters of the board that its links to itself keep.
func filters(but string) []string {
	var keep []string
	for _, name := range []string{"prometheus", "loki", "cluster", "node", "action", "policy", "src", "dst", "ends"} {
		if name != but {
			keep = append(keep, name)
		}
	}
	return keep
}

func only(what, variable, field string) grafana.Link {
	return grafana.Link{Title: "Show only this " + what, URL: grafana.BoardURL(networkPolicyUID, filters(variable), variable, grafana.Value(field))}
}

// linesOf opens the lines that fields of a row tell.
func linesOf(fields ...string) grafana.Link {
	expr := `{job="corkline", source="antrea-networkpolicy", cluster=~"${cluster:pipe}", node=~"${node:pipe}"}`
	for _, field := range fields {
		expr += " | " + field + "=`" + grafana.Value(field) + "`"
	}
	return grafana.Link{Title: "Show the lines in Explore", URL: grafana.ExploreURL(expr)}
}

func networkPolicy() grafana.Board {
	return grafana.Board{
		UID:         networkPolicyUID,
		Title:       "Network policy",
		Description: "What Antrea's network policies did, by the audit log of every node.",
		Tags:        []string{tag, "antrea", "network-policy"},
		LinkTag:     tag,
		Variables: append(append(stores(), places()...),
			grafana.ListVariable{Name: "action", Label: "Action", Values: []string{"Allow", "Drop", "Reject", "Pass", "Redirect"}},
			grafana.LabelVariable{Name: "policy", Label: "Policy", Selector: `corkline_networkpolicy_logged_packets_total{cluster=~"$cluster", node=~"$node"}`, Of: "policy"},
			grafana.TextVariable{Name: "src", Label: "Source address", Description: "Any part of an address, as 192.0.2. or 2001:db8:. Works on the panels that are made of log lines."},
			grafana.TextVariable{Name: "dst", Label: "Destination address", Description: "Any part of an address, as 192.0.2. or 2001:db8:. Works on the panels that are made of log lines."},
			grafana.ChoiceVariable{Name: "ends", Label: "Ends", Description: "Whether conversations have networks (/24, and /64 of IPv6) at their ends, which are always few enough for Loki, or single addresses.", Values: []string{"networks", "addresses"}},
		),
		Rows: []grafana.Row{policyMetrics(), policyCompleteness(), policyDefaultDeny(), policyRules(), policyNodes(), policyLogs(), policyTops("denied", denied), policyTops("allowed", allowed), policyLog()},
	}
}

func policyMetrics() grafana.Row {
	packets := policySeries("")
	return grafana.Row{Title: "Packets, from metrics (the filters by address do not apply)", Panels: []grafana.Panel{
		{
			Title: "Packets by action", Description: "Packets in the time range that the log reports. Pass hands a packet to the next tier and Redirect to an L7 engine; neither is a denial. " + lowerBound,
			Width: 8, Height: 6, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Colors: actionColors(),
			Queries: []grafana.Query{{Expr: gained("action", packets), Legend: "{{action}}"}},
		},
		{
			Title: "Denied", Description: "Share of the packets in the time range that were dropped or rejected. Antrea logs an allowed connection once, but every denied packet, so this is no share of the traffic.",
			Width: 3, Height: 6, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "percentunit", Max: 1,
			Queries: []grafana.Query{{Expr: `(sum(` + during(policySeries(`, action=~"`+denied+`"`)) + `) or vector(0)) / (sum(` + during(packets) + `) > 0)`, Legend: "denied"}},
		},
		{
			Title: "By direction", Description: "Packets in the time range by the direction of the rule that decided. Antrea before 1.13 does not log it.",
			Width: 6, Height: 6, Store: grafana.Prometheus, As: grafana.PieChart{}, Unit: "short",
			Queries: []grafana.Query{{Expr: `label_replace(sum by (direction) (` + during(packets) + `), "direction", "not logged", "direction", "")`, Legend: "{{direction}}"}},
		},
		{
			Title: "How complete is this?", Description: "What the counts on this board stand for.",
			Width: 7, Height: 6,
			As: grafana.Text{Markdown: "Only rules with logging on are here. The datapath **samples**: beyond its rate (100 to 5000 packets/s a node, by Antrea's version) nothing is logged. An allowed connection is logged by its first packet, a denied one by every packet. Read counts as *at least*.\n"},
		},
		{
			Title: "Logged packets", Description: "Packets per second that the log reports, by action. " + lowerBound,
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "pps", Colors: actionColors(),
			Queries: []grafana.Query{{Expr: `sum by (action) (rate(` + packets + `[$__rate_interval]))`, Legend: "{{action}}"}},
		},
		{
			Title: "Log lines (hits)", Description: "Lines per second, by action, of all policies: a line that stands for many packets is one hit.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Colors: actionColors(),
			Queries: []grafana.Query{{Expr: `sum by (action) (rate(corkline_networkpolicy_log_lines_total{cluster=~"$cluster", node=~"$node", action=~"$action"}[$__rate_interval]))`, Legend: "{{action}}"}},
		},
	}}
}

func policyRules() grafana.Row {
	deniedPackets := policySeries(`, action=~"` + denied + `"`)
	top := func(actions string) []grafana.Query {
		return []grafana.Query{{Expr: `topk(10, ` + gained("policy", policySeries(`, action=~"`+actions+`"`)) + ` > 0)`}}
	}
	links := []grafana.Link{only("policy", "policy", "policy"), linesOf("policy")}
	return grafana.Row{Title: "Policies and rules, from metrics", Panels: []grafana.Panel{
		{
			Title: "Denied packets by policy", Description: "Packets per second that were dropped or rejected, of the ten policies that denied the most in the time range. K8sNetworkPolicy without a name is the default deny of all Kubernetes policies.",
			Width: 12, Height: 9, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "pps",
			Queries: []grafana.Query{{
				// The ten are chosen at the end of the range, so that they are the same at every step.
				Expr:   `sum by (policy) (rate(` + deniedPackets + `[$__rate_interval])) and on (policy) topk(10, sum by (policy) (increase(` + deniedPackets + `[$__range] @ end())))`,
				Legend: "{{policy}}",
			}},
		},
		{
			Title: "Top policies, denied", Description: "Policies with the most packets dropped or rejected in the time range. " + lowerBound,
			Width: 6, Height: 9, Store: grafana.Prometheus, As: grafana.BarGauge{LongNames: true}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "red"}}, Links: links, Queries: top(denied),
		},
		{
			Title: "Top policies, allowed", Description: "Policies with the most packets allowed or redirected in the time range; of an allowed connection only the first packet is logged.",
			Width: 6, Height: 9, Store: grafana.Prometheus, As: grafana.BarGauge{LongNames: true}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: "green"}}, Links: links, Queries: top(allowed),
		},
		{
			Title: "Rules", Description: "The hundred rules with the most packets in the time range. Rules of Kubernetes policies have no name. A row of overflow sums what the agent's cap on series (max_series) cut. " + lowerBound,
			Width: 24, Height: 10, Store: grafana.Prometheus, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "policy", Title: "Policy", Links: []grafana.Link{only("policy", "policy", "policy"), linesOf("policy", "rule", "action")}},
				{Field: "rule", Title: "Rule", Links: []grafana.Link{linesOf("policy", "rule", "action")}},
				{Field: "direction", Title: "Direction", Width: 110},
				{Field: "action", Title: "Action", Width: 110, Colors: actionColors()},
				{Field: "Value", Title: "Packets", Unit: "short", Bar: true},
			}},
			Queries: []grafana.Query{{Expr: `topk(100, ` + gained("policy, rule, direction, action", policySeries("")) + ` > 0)`}},
		},
	}}
}

func policyLogs() grafana.Row {
	decided := policyLines(`, action!=""`) // a line that did not parse has no action
	return grafana.Row{Title: "Traffic, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Packets by action, from log lines", Description: "Packets per second that the lines report, with merged lines counted as the packets they stand for. " + lowerBound,
			Width: 12, Height: 8, Store: grafana.Loki, As: grafana.TimeSeries{Stacked: true}, Unit: "pps", Colors: actionColors(),
			Queries: []grafana.Query{{Expr: `sum by (action) (rate(` + decided + countPackets + ` [$__auto]))`, Legend: "{{action}}"}},
		},
		{
			Title: "Bytes by action, from log lines", Description: "Bytes per second of the logged packets: the length of the packet in the line, times the packets that the line stands for. Not the traffic's volume: of an allowed connection only the first packet is logged.",
			Width: 12, Height: 8, Store: grafana.Loki, As: grafana.TimeSeries{Stacked: true}, Unit: "binBps", Colors: actionColors(),
			Queries: []grafana.Query{{Expr: `sum by (action) (rate(` + decided + countBytes + ` [$__auto]))`, Legend: "{{action}}"}},
		},
	}}
}

// policyTops are the top lists of some actions.
func policyTops(word, actions string) grafana.Row {
	what := "the most packets " + word + " in the time range. "
	packets := grafana.Column{Field: "Value", Title: "Packets", Unit: "short", Bar: true}
	addresses := []grafana.Link{{Title: "Show the addresses of this policy's conversations", URL: grafana.BoardURL(networkPolicyUID, without(filters("policy"), []string{"ends"}), "policy", grafana.Value("policy"), "ends", "addresses")}}
	color := "green"
	if actions == denied {
		color = "red"
	}
	return grafana.Row{Title: "Who was " + word + " what, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Top sources, " + word, Description: "Source addresses with " + what + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "src_ip", Title: "Source", Links: []grafana.Link{only("source", "src", "src_ip"), linesOf("src_ip")}},
				packets,
			}},
			Queries: []grafana.Query{{Expr: topPackets("10", "src_ip", actions, ` | src_ip!=""`)}},
		},
		{
			Title: "Top destinations, " + word, Description: "Destination addresses with " + what + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, Unit: "short",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "dst_ip", Title: "Destination", Links: []grafana.Link{only("destination", "dst", "dst_ip"), linesOf("dst_ip")}},
				packets,
			}},
			Queries: []grafana.Query{{Expr: topPackets("10", "dst_ip", actions, ` | dst_ip!=""`)}},
		},
		{
			Title: "Top services, " + word, Description: "Protocols and destination ports with " + what + "Antrea logs ports of TCP and UDP only, and none before 1.6. " + topLimit,
			Width: 8, Height: 10, Store: grafana.Loki, As: grafana.BarGauge{}, Unit: "short",
			Thresholds: []grafana.Threshold{{Color: color}},
			Queries:    []grafana.Query{{Expr: topPackets("10", "service", actions, service)}},
		},
		{
			Title: "Top conversations, " + word, Description: "Who talked to whom, with a service and the policy that decided, with " + what + "The Pod that the rule is applied to has its name (since Antrea 1.13); of the other end Ends chooses the network or the address. Ports above 32767 are one.",
			Width: 24, Height: 9, Store: grafana.Loki, Unit: "short", Empty: "Nothing was " + word + " in this time range",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "from", Title: "From", Links: addresses},
				{Field: "to", Title: "To", Links: addresses},
				{Field: "service", Title: "Service", Width: 130},
				{Field: "policy", Title: "Policy", Links: []grafana.Link{only("policy", "policy", "policy"), linesOf("policy")}},
				packets,
			}},
			Queries: []grafana.Query{{Expr: topPackets("20", "from, to, service, policy", actions, ` | src_ip!="" | dst_ip!=""`+service+ends())}},
		},
	}}
}

// policyCompleteness tells how much of what policies did the log has.
func policyCompleteness() grafana.Row {
	const none = "Antrea's agents are not scraped, or are older than 1.13"
	logged := `corkline_networkpolicy_logged_packets_total` + here()
	counted := func(metric string) string {
		return gained("policy, rule, action", `corkline_ovs_rule_`+metric+here(`action=~"$action"`, `policy=~"$policy"`, `policy!=""`))
	}
	rules, queries := measured([]grafana.Column{
		{Field: "policy", Title: "Policy", Links: []grafana.Link{only("policy", "policy", "policy"), linesOf("policy", "rule", "action")}},
		{Field: "rule", Title: "Rule", Links: []grafana.Link{linesOf("policy", "rule", "action")}},
		{Field: "action", Title: "Action", Width: 110, Colors: actionColors()},
	}, []measure{
		{title: "Packets", unit: "short", expr: `topk(100, ` + counted("packets_total") + ` > 0)`},
		{title: "Bytes", unit: "bytes", expr: counted("bytes_total") + ` > 0`},
		{title: "Connections", unit: "short", expr: counted("sessions_total") + ` > 0`},
		{title: "In the log", unit: "short", expr: gained("policy, rule, action", policySeries("")) + ` and on (policy, rule, action) ` + counted("packets_total")},
	})
	return grafana.Row{Title: "How complete the log is", Panels: []grafana.Panel{
		{
			Title: "Left out of the log", Description: "Packets in the time range that a meter of the switch dropped on their way into the log: it lets so many pass in a second. What they are, nobody knows; policies did what they do to them. From Antrea's own metrics, since Antrea 1.13.",
			Width: 4, Height: 8, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: none,
			Thresholds: []grafana.Threshold{{Color: "green"}, {From: 1, Color: "orange"}},
			Words:      []grafana.Word{{Value: "0", Text: "none", Color: "green"}},
			Queries:    []grafana.Query{{Expr: `round(sum(increase(` + policyMeter + `[$__range])))`, Legend: "packets"}},
		},
		{
			Title: "Logged and left out", Description: "Packets per second that the log reports, beside those that the switch's meter kept from it (since Antrea 1.13).",
			Width: 7, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "pps", Empty: none,
			Colors: []grafana.Color{{Series: "logged", Color: "green"}, {Series: "left out", Color: "orange"}},
			Queries: []grafana.Query{
				{Expr: `sum(` + rate(logged) + `)`, Legend: "logged"},
				{Expr: `sum(` + rate(policyMeter) + `)`, Legend: "left out"},
			},
		},
		{
			Title: "Share that is logged", Description: "Logged packets as a share of all that should have been, of the ten nodes where it was lowest in the time range (since Antrea 1.13). Below 1 the board's counts are too small by that much.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Max: 1, Empty: none,
			Queries: []grafana.Query{{
				Expr: perSecond("node", logged) + ` / (` + perSecond("node", logged) + ` + ` + perSecond("node", policyMeter) + ` > 0)` +
					` and on (node) topk(10, sum by (node) (increase(` + policyMeter + `[$__range] @ end())))`,
				Legend: "{{node}}",
			}},
		},
		{
			Title: "Traffic by action, in the switch", Description: "Bytes per second that rules allowed and denied, as the switch's flows count them: of an allowed connection all packets, logged or not.",
			Width: 7, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "binBps", Empty: noSwitch, Colors: actionColors(),
			Queries: []grafana.Query{{Expr: perSecond("action", `corkline_ovs_rule_bytes_total`+here(`action=~"$action"`)), Legend: "{{action}}"}},
			More:    board("Pipeline", ovsUID),
		},
		{
			Title: "Rules in the switch and in the log", Description: "The hundred rules with the most packets in the time range that both know: what the switch's flows counted, beside what the log reports. Of an allowed connection the log has one packet; of denied packets all, less those that were left out. Rules of Kubernetes policies share their flows' place, and are not told apart there.",
			Width: 24, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: noSwitch + ", or no rule is in both", As: rules, Queries: queries,
		},
	}}
}

const noSwitch = "No switch of Antrea's is read"

// policyDefaultDeny tells whom policies cut off that have no rule for them.
func policyDefaultDeny() grafana.Row {
	const (
		what  = "A Kubernetes policy isolates the Pods that it selects: what no policy allows is dropped, and neither the log nor the switch can name a policy for it."
		quiet = "No default deny dropped anything in this time range"
	)
	dropped := here(`reason=~"default_deny_.*"`)
	return grafana.Row{Title: "Default deny: who is cut off though no rule says so", Panels: []grafana.Panel{
		{
			Title: "Dropped by default", Description: what + " Packets per second, as the switch counts them and as the log reports them.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "pps", Empty: quiet,
			Queries: []grafana.Query{
				{Expr: perSecond("reason", `corkline_ovs_dropped_packets_total`+dropped), Legend: "{{reason}}, in the switch"},
				{Expr: perSecond("direction", policySeries(", "+defaultDeny+`, action="Drop"`)), Legend: "{{direction}}, in the log"},
			},
			More: board("Pipeline", ovsUID),
		},
		{
			Title: "Cut off, as the switch counts", Description: "Pods whose packets, or packets to whom, a default deny dropped in the time range. " + what,
			Width: 12, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: quiet,
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "namespace", Title: "Namespace", Width: 90},
				{Field: "pod", Title: "Pod"},
				{Field: "reason", Title: "What"},
				{Field: "Value", Title: "Packets", Unit: "short", Bar: true},
			}},
			Queries: []grafana.Query{{Expr: `topk(50, ` + gained("namespace, pod, reason", `corkline_ovs_pod_dropped_packets_total`+dropped) + ` > 0)`}},
		},
		{
			Title: "Cut off, as the log reports", Description: "Pods that a default deny isolates, with whom they could not talk in the time range, and over which service. Antrea logs the Pod since 1.13. " + lowerBound,
			Width: 24, Height: 7, Store: grafana.Loki, Unit: "short", Empty: quiet,
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "direction", Title: "Direction", Width: 90},
				{Field: "from", Title: "From"},
				{Field: "to", Title: "To"},
				{Field: "service", Title: "Service", Width: 100},
				{Field: "Value", Title: "Packets", Unit: "short", Bar: true},
			}},
			Queries: []grafana.Query{{Expr: topPackets("30", "direction, from, to, service", "Drop", ` | `+defaultDeny+` | src_ip!="" | dst_ip!=""`+service+ends())}},
		},
	}}
}

// policyNodes tells what Antrea's agents have of policies.
func policyNodes() grafana.Row {
	by := func(title, metric, description string) grafana.Panel {
		series := metric + here()
		return grafana.Panel{
			Title: title, Description: description + ", of the ten nodes with the most in the time range. From Antrea's own metrics.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "short", Empty: noAgent,
			Queries: []grafana.Query{{Expr: most(series, `max_over_time(`+series+`[$__range] @ end())`), Legend: "{{node}}"}},
		}
	}
	return grafana.Row{Title: "Policies on the nodes, from Antrea", Panels: []grafana.Panel{
		by("Policies on the nodes", "antrea_agent_networkpolicy_count", "Network policies that concern Pods of a node"),
		by("Ingress rules", "antrea_agent_ingress_networkpolicy_rule_count", "Ingress rules of these policies"),
		by("Egress rules", "antrea_agent_egress_networkpolicy_rule_count", "Egress rules of these policies"),
		{
			Title: "Denied connections", Description: "Connections per second that policies denied, logged or not. From Antrea's own metrics; without its feature FlowExporter this is always 0.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Empty: noAgent,
			Queries: []grafana.Query{{Expr: most(rate(`antrea_agent_denied_connection_count`+here()), `increase(antrea_agent_denied_connection_count`+here()+`[$__range] @ end())`), Legend: "{{node}}"}},
		},
	}}
}

// readable puts what matters of a line into columns. What did not parse stays
// as it is.
const readable = " | line_format `{{ if .action }}" +
	"{{ alignLeft 8 .action }} {{ alignLeft 7 .direction }} {{ .src_ip }}{{ if .src_port }} {{ .src_port }}{{ end }}" +
	" → {{ .dst_ip }}{{ if .dst_port }} {{ .dst_port }}{{ end }} {{ .protocol }}" +
	" · {{ .policy }}{{ if .rule }} · {{ .rule }}{{ end }}{{ if .applied_to }} · {{ .applied_to }}{{ end }}" +
	"{{ if .packets }} · {{ .packets }} packets{{ end }}{{ else }}{{ __line__ }}{{ end }}`"

func policyLog() grafana.Row {
	return grafana.Row{Title: "Log (all filters apply)", Panels: []grafana.Panel{{
		Title: "Log", Description: "The lines: action, direction, source → destination, protocol, policy, rule, and the Pod that the rule applied to. Open a line for all its fields. Lines that did not parse are shown as they are.",
		Width: 24, Height: 16, Store: grafana.Loki, As: grafana.Logs{},
		Queries: []grafana.Query{{Expr: policyLines("") + readable}},
	}}}
}
