package dashboards

import (
	"strings"

	"github.com/corkline/corkline/dashboards/grafana"
)

// here are the matchers of the board's cluster and node, and those more.
func here(more ...string) string {
	return "{" + strings.Join(append([]string{`cluster=~"$cluster"`, `node=~"$node"`}, more...), ", ") + "}"
}

// rate of a counter's series per second.
func rate(series string) string { return "rate(" + series + "[$__rate_interval])" }

// perSecond of counters, added up by labels.
func perSecond(by, series string) string { return "sum by (" + by + ") (" + rate(series) + ")" }

// topPerSecond are the n with the most in the time range. They are chosen at its
// end, so that they are the same at every step; those with nothing are left out.
func topPerSecond(n, by, series string) string {
	return perSecond(by, series) + " and on (" + by + ") (topk(" + n + ", sum by (" + by + ") (increase(" + series + "[$__range] @ end()))) > 0)"
}

// during is what counters gained in the time range. increase() does not see
// the first value of a series, which for a rule that is rarely hit is all
// there is: a series that begins within the range counts from zero.
func during(series string) string {
	return "((" + series + " unless " + series + " offset $__range) or increase(" + series + "[$__range]))"
}

// gained is what counters of whole things gained in the time range, added up by
// labels. What Prometheus extrapolates is no whole number.
func gained(by, series string) string { return "round(sum by (" + by + ") (" + during(series) + "))" }

// quantile of a histogram, classic or native: which one there is is the
// scrape's choice.
func quantile(q, metric, matchers string) string {
	return `histogram_quantile(` + q + `, sum by (le) (` + rate(metric+`_bucket`+matchers) + `))` +
		` or histogram_quantile(` + q + `, sum(` + rate(metric+matchers) + `))`
}

// quantiles are the usual three of a histogram.
func quantiles(metric, matchers string) []grafana.Query {
	return []grafana.Query{
		{Expr: quantile("0.5", metric, matchers), Legend: "p50"},
		{Expr: quantile("0.9", metric, matchers), Legend: "p90"},
		{Expr: quantile("0.99", metric, matchers), Legend: "p99"},
	}
}

// levelColors of klog and of Open vSwitch.
func levelColors() []grafana.Color {
	return []grafana.Color{
		{Series: "DBG", Color: "purple"},
		{Series: "INFO", Color: "blue"},
		{Series: "WARN", Color: "orange"},
		{Series: "ERR", Color: "red"},
		{Series: "ERROR", Color: "red"},
		{Series: "FATAL", Color: "dark-red"},
		{Series: "EMER", Color: "dark-red"},
	}
}

// measure is a column of a table with a query of its own.
type measure struct {
	title, unit, expr string
	red               bool
}

// measured is a table of labels and of measures, the biggest of the first
// measure above.
func measured(labels []grafana.Column, measures []measure) (grafana.Table, []grafana.Query) {
	table := grafana.Table{Columns: labels}
	var queries []grafana.Query
	for i, m := range measures {
		queries = append(queries, grafana.Query{Expr: m.expr})
		c := grafana.Column{Field: "Value #" + string(rune('A'+i)), Title: m.title, Unit: m.unit, Red: m.red, Bar: i == 0}
		if i > 0 {
			c.Width = max(110, 8*len(m.title)+24) // of the title, which is wider than its values
		}
		table.Columns = append(table.Columns, c)
	}
	return table, queries
}

func without(names, but []string) (kept []string) {
	for _, name := range names {
		if !strings.Contains(" "+strings.Join(but, " ")+" ", " "+name+" ") {
			kept = append(kept, name)
		}
	}
	return kept
}

// firing lists the alerts of signals that fire on the board's nodes.
func firing(signals string) grafana.Panel {
	matchers := `{cluster=~"$cluster|", node=~"$node|", signal=~"` + signals + `"`
	return grafana.Panel{
		Title: "Alerts", Description: "Alerts that fire, where, and since when; their runbooks are in docs/runbooks. They come from the rules in deploy/alerts: a Prometheus without them has none.",
		Width: 24, Height: 5, Store: grafana.Prometheus, Unit: "short", Empty: "no alert fires",
		As: grafana.Table{Columns: []grafana.Column{
			{Field: "alertname", Title: "Alert"},
			{Field: "severity", Title: "Severity", Width: 100, Colors: []grafana.Color{{Series: "critical", Color: "red"}, {Series: "warning", Color: "orange"}, {Series: "info", Color: "blue"}}},
			{Field: "node", Title: "Node"},
			{Field: "instance", Title: "Instance"},
			{Field: "Value", Title: "Since", Unit: "dateTimeFromNow", Width: 160},
		}},
		Queries: []grafana.Query{{Expr: `max by (alertname, severity, node, instance) (1000 * ALERTS_FOR_STATE` + matchers + `} * ignoring (alertstate) ALERTS` + matchers + `, alertstate="firing"})`}},
	}
}
