package dashboards

import (
	"slices"

	"github.com/corkline/corkline/dashboards/grafana"
)

// tagBalancer is that of the boards of the load balancer, NSX ALB (AVI), and of
// its operators.
const tagBalancer = "avi"

// ofService is the matcher of the virtual services of a board.
const ofService = `virtualservice=~"$virtualservice"`

// counted is how many things there were in the time range, by labels. What
// Prometheus reckons for a range is no whole number.
func counted(by, series string) string { return "round(sum by (" + by + ") (" + during(series) + "))" }

// codeColors are the colours of the classes of status codes.
func codeColors() []grafana.Color {
	return []grafana.Color{
		{Series: "1xx", Color: "purple"},
		{Series: "2xx", Color: "green"},
		{Series: "3xx", Color: "blue"},
		{Series: "4xx", Color: "orange"},
		{Series: "5xx", Color: "red"},
		{Series: noCode, Color: "yellow"},
	}
}

// balanced is what a board of the load balancer is about: records of a kind, and
// the metric that counts them.
type balanced struct {
	uid    string
	kind   string   // matcher of the log's streams: all kinds may come from one source
	counts string   // a counter with the label virtualservice
	labels []string // by which variables choose, each within the one before
	more   []string // variables that choose in other ways
	stream string   // matchers of the streams
	stages string   // filters of the lines
}

// variables of the stores, the places, and the labels.
func (b balanced) variables(titles map[string]string, more ...grafana.Variable) []grafana.Variable {
	all := append(stores(), places()...)
	var chosen []string
	for _, label := range b.labels {
		all = append(all, grafana.LabelVariable{Name: label, Label: titles[label], Selector: b.counts + here(chosen...), Of: label})
		chosen = append(chosen, label+`=~"$`+label+`"`)
	}
	return append(all, more...)
}

// lines of the log that the board's filters let through.
func (b balanced) lines(stages string) string {
	selector := `{job="corkline", ` + b.kind + `, cluster=~"$cluster", node=~"$node"` + b.stream + `}`
	for _, label := range b.labels {
		selector += ` | ` + label + `=~"$` + label + `"`
	}
	return selector + b.stages + stages
}

// top labels of the lines, by their number.
func (b balanced) top(n, labels, stages string) []grafana.Query {
	return []grafana.Query{{Expr: "topk(" + n + ", sum by (" + labels + ") (count_over_time(" + b.lines(stages) + " [$__range])))"}}
}

// link to the board itself, or to another one of virtual services, with a
// variable set to a field of the row.
func (b balanced) link(title, uid, variable, field string) grafana.Link {
	keep := []string{"prometheus", "loki", "cluster", "node"}
	if uid == b.uid {
		keep = append(append(keep, b.labels...), b.more...)
	}
	keep = slices.DeleteFunc(keep, func(name string) bool { return name == variable })
	return grafana.Link{Title: title, URL: grafana.BoardURL(uid, keep, variable, grafana.Value(field))}
}

func (b balanced) only(what, variable, field string) grafana.Link {
	return b.link("Show only this "+what, b.uid, variable, field)
}

// linesOf opens the lines that fields of a row tell.
func (b balanced) linesOf(fields ...string) grafana.Link { return linesWith(b.kind, fields...) }

// linesWith opens the lines of a kind that have what fields of a row tell.
func linesWith(kind string, fields ...string) grafana.Link {
	expr := `{job="corkline", ` + kind + `, cluster=~"${cluster:pipe}", node=~"${node:pipe}"}`
	for _, field := range fields {
		expr += " | " + field + "=`" + grafana.Value(field) + "`"
	}
	return grafana.Link{Title: "Show the lines in Explore", URL: grafana.ExploreURL(expr)}
}

// throttled and missing are what tells that a log is not whole; both are in
// all logs of virtual services, those of other boards too.
func (b balanced) throttled() string {
	return `corkline_virtualservice_log_throttled_seconds_total` + here(ofService)
}

func (b balanced) missing() string {
	return `corkline_virtualservice_missing_logs_total` + here(ofService)
}

// own keeps the virtual services that the board is about.
func (b balanced) own(expr string) string {
	return expr + ` and on (virtualservice) ` + b.counts + here(ofService)
}

// missingShareOf is the share that is missing of a virtual service's log numbers, whose logs a counter counts.
func missingShareOf(counts, matchers string) string {
	missing := `sum by (virtualservice) (` + during(`corkline_virtualservice_missing_logs_total`+matchers) + `)`
	return missing + ` / (` + missing + ` + sum by (virtualservice) (` + during(counts+matchers) + `) > 0)`
}

const missingLimit = "0.01" // share of the log's numbers

// whole is the panel that says whether the counts are more than lower bounds.
func (b balanced) whole() grafana.Panel {
	return grafana.Panel{
		Title: "Is the log whole?", Description: "Of the virtual service that is worst off in the time range. Throttled: a Service Engine sent as many logs in a second as its default throttle lets pass (10), so that more were probably left out. Numbers are missing: more than 1 % of the numbers between the logs. Counts are then lower bounds, and shares are those of what was logged.",
		Width: 6, Height: 5, Store: grafana.Prometheus, As: grafana.Stat{}, Unit: "short", Empty: "nothing was logged",
		Words: []grafana.Word{
			{Value: "0", Text: "nothing is known to miss", Color: "green"},
			{Value: "1", Text: "numbers are missing", Color: "orange"},
			{Value: "2", Text: "throttled: lower bounds", Color: "orange"},
		},
		Queries: []grafana.Query{{
			Expr:   `max(clamp_max(2 * (` + b.own(`sum by (virtualservice) (`+during(b.throttled())+`) > bool 0`) + `) + on (virtualservice) (` + missingShareOf(b.counts, here(ofService)) + ` > bool ` + missingLimit + `), 2))`,
			Legend: "log",
		}},
	}
}

// completeness is the row on what the log leaves out.
func (b balanced) completeness() grafana.Row {
	return grafana.Row{Title: "How complete the log is", Panels: []grafana.Panel{
		{
			Title: "What is logged", Description: "What the counts on this board stand for.",
			Width: 6, Height: 8,
			As: grafana.Text{Markdown: "Service Engines log what is **significant**, and all else only while full client logs are on. Of each kind a Service Engine lets 10 logs a second of a virtual service pass by default.\n\nRead counts as *at least*. A share is as good as the sample: a throttled one shows the beginning of each second.\n"},
		},
		{
			Title: "Throttled seconds", Description: "Share of the time in which a Service Engine sent at least 10 logs a second of a virtual service, which is the default throttle.",
			Width: 9, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "percentunit", Max: 1,
			Queries: []grafana.Query{{Expr: b.own(perSecond("virtualservice, service_engine", b.throttled())), Legend: "{{virtualservice}} on {{service_engine}}"}},
		},
		{
			Title: "Missing log numbers", Description: "Numbers per second that are missing between the logs of a virtual service on a Service Engine: left out there, or lost on the way.",
			Width: 9, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps",
			Queries: []grafana.Query{{Expr: b.own(perSecond("virtualservice, service_engine", b.missing())), Legend: "{{virtualservice}} on {{service_engine}}"}},
		},
	}}
}

// significance are the reasons for which something was logged as significant.
func significance(metric, what string, width, height int) grafana.Panel {
	return grafana.Panel{
		Title: "Significant, by reason", Description: "Reasons for which " + what + " were logged as significant in the time range, the twenty most frequent. One may have several.",
		Width: width, Height: height, Store: grafana.Prometheus, As: grafana.BarGauge{LongNames: true}, Unit: "short",
		Thresholds: []grafana.Threshold{{Color: "orange"}}, Empty: "nothing was significant",
		Queries: []grafana.Query{{Expr: `topk(20, ` + counted("significance", metric+here(ofService)) + ` > 0)`}},
	}
}

// number is a column with the count of lines.
func number(title string) grafana.Column {
	return grafana.Column{Field: "Value", Title: title, Unit: "short", Bar: true}
}
