package dashboards

import "github.com/corkline/corkline/dashboards/grafana"

// What it means that a panel of their logs is empty.
const (
	noAgentLog      = "No log of Antrea's agents is read"
	noControllerLog = "No log of Antrea's controller is read"
)

// readableKlog puts level, place in the code and message into columns. What did
// not parse stays as it is.
const readableKlog = " | line_format `{{ if .file }}{{ alignLeft 5 .level }} {{ .node }} {{ .file }}:{{ .line }} " + klogMessage + "{{ else }}{{ __line__ }}{{ end }}`"

// klogMessage is what follows the head of a line.
const klogMessage = `{{ regexReplaceAll "^[IWEF][^\\]]*\\] ?" __line__ "" }}`

// klogKind is a message without what differs from one to the next: of a quoted
// one the text, of another one its first line, with # for numbers.
const klogKind = " | label_format message=`{{ trunc 160 (regexReplaceAll \"[0-9]+\"" +
	` (regexReplaceAll "^[IWEF][^\\]]*\\] ?\"?|(\"( [^ =]+=|$)|\n)(?s:.*)$" __line__ "") "#") }}` + "`"

// klog is a log in klog's form.
type klog struct {
	uid    string // of its board
	source string
	metric string // that counts its messages by level and category
	who    string
	empty  string
	node   bool // whether the board chooses nodes
}

// filters of its board that links to itself keep.
func (k klog) filters(but ...string) []string {
	all := []string{"prometheus", "loki", "cluster", "node", "level", "category", "text"}
	if !k.node {
		but = append(but, "node")
	}
	return without(all, but)
}

func (k klog) places() string {
	if k.node {
		return `cluster=~"$cluster", node=~"$node"`
	}
	return `cluster=~"$cluster"`
}

// variables of the board: stores, places, and what messages to show.
func (k klog) variables() []grafana.Variable {
	all := stores()
	if k.node {
		all = append(all, places()...)
	} else {
		all = append(all, places()[0])
	}
	return append(all,
		grafana.LabelVariable{Name: "level", Label: "Level", Selector: k.metric + `{` + k.places() + `}`, Of: "level"},
		grafana.LabelVariable{Name: "category", Label: "Category", Selector: k.metric + `{` + k.places() + `, level=~"$level"}`, Of: "category"},
		grafana.TextVariable{Name: "text", Label: "Text", Description: "A regular expression, as (?i)ovs. Works on the panels that are made of log lines."},
	)
}

// series of the metric that the board's filters let through.
func (k klog) series(more string) string {
	return k.metric + `{` + k.places() + `, level=~"$level", category=~"$category"` + more + `}`
}

// lines that the board's filters let through.
func (k klog) lines(more string) string {
	return `{job="corkline", source="` + k.source + `", ` + k.places() + `, level=~"$level"` + more + "} |~ `${text:raw}` | category=~\"$category\""
}

// only shows a value on the board alone.
func (k klog) only(what, variable, field string) grafana.Link {
	return grafana.Link{Title: "Show only this " + what, URL: grafana.BoardURL(k.uid, k.filters(variable), variable, grafana.Value(field))}
}

// linesOf opens the lines of a place in the code.
func (k klog) linesOf() grafana.Link {
	return grafana.Link{Title: "Show the lines in Explore", URL: grafana.ExploreURL(`{job="corkline", source="` + k.source +
		`", cluster=~"${cluster:pipe}"} | file=` + "`" + grafana.Value("file") + "` | line=`" + grafana.Value("line") + "`")}
}

// counts of messages: how many, and of what.
func (k klog) counts() grafana.Row {
	ten := func(by string) string {
		return `topk(10, ` + gained(by, k.series("")) + ` > 0)`
	}
	return grafana.Row{Title: "Messages, from metrics (the filter by text does not apply)", Panels: []grafana.Panel{
		{
			Title: "By level", Description: "Messages of " + k.who + " in the time range, by level.",
			Width: 6, Height: 8, Store: grafana.Prometheus, As: grafana.PieChart{}, Unit: "short", Empty: k.empty, Colors: levelColors(),
			Queries: []grafana.Query{{Expr: gained("level", k.series("")), Legend: "{{level}}"}},
		},
		{
			Title: "By category", Description: "Messages in the time range by category, which is the file of the source that they come from: the ten with the most.",
			Width: 9, Height: 8, Store: grafana.Prometheus, As: grafana.BarGauge{}, Unit: "short", Empty: k.empty,
			Thresholds: []grafana.Threshold{{Color: "blue"}},
			Links:      []grafana.Link{k.only("category", "category", "category")},
			Queries:    []grafana.Query{{Expr: ten("category")}},
		},
		{
			Title: "By node", Description: "Messages in the time range by node: the ten with the most.",
			Width: 9, Height: 8, Store: grafana.Prometheus, As: grafana.BarGauge{}, Unit: "short", Empty: k.empty,
			Thresholds: []grafana.Threshold{{Color: "blue"}},
			Queries:    []grafana.Query{{Expr: ten("node")}},
		},
		{
			Title: "Messages by level", Description: "Messages of " + k.who + " per second.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Empty: k.empty, Colors: levelColors(),
			Queries: []grafana.Query{{Expr: perSecond("level", k.series("")), Legend: "{{level}}"}},
		},
		{
			Title: "Messages by category", Description: "Messages per second of the ten categories with the most in the time range.",
			Width: 12, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{}, Unit: "cps", Empty: k.empty,
			Queries: []grafana.Query{{Expr: topPerSecond("10", "level, category", k.series("")), Legend: "{{level}} {{category}}"}},
		},
	}}
}

// said is what the messages say.
func (k klog) said() grafana.Row {
	const quiet = "No such message in this time range"
	level := grafana.Column{Field: "level", Title: "Level", Width: 80, Colors: levelColors()}
	messages := grafana.Column{Field: "Value", Title: "Messages", Unit: "short", Bar: true, Width: 200}
	top := func(labels, lines string) []grafana.Query {
		return []grafana.Query{{Expr: `topk(30, sum by (` + labels + `) (count_over_time(` + lines + ` [$__range])))`}}
	}
	return grafana.Row{Title: "What they say, from log lines (all filters apply)", Panels: []grafana.Panel{
		{
			Title: "Top messages", Description: "The messages that were said the most in the time range, with # for numbers, and where in the source they are. A message with values of its own is told by its text only.",
			Width: 14, Height: 12, Store: grafana.Loki, Unit: "short", Empty: quiet,
			As: grafana.Table{Columns: []grafana.Column{
				level,
				{Field: "message", Title: "Message", Links: []grafana.Link{k.linesOf()}},
				{Field: "file", Title: "File", Width: 180, Links: []grafana.Link{k.linesOf()}},
				{Field: "line", Title: "Line", Width: 70},
				messages,
			}},
			Queries: top("level, file, line, message", k.lines("")+` | file!=""`+klogKind),
		},
		{
			Title: "Top errors", Description: "Errors that messages of any level tell as the reason, with # for numbers.",
			Width: 10, Height: 12, Store: grafana.Loki, Unit: "short", Empty: "No message has an error in this time range",
			As: grafana.Table{Columns: []grafana.Column{
				level,
				{Field: "category", Title: "Category", Width: 170, Links: []grafana.Link{k.only("category", "category", "category")}},
				{Field: "error", Title: "Error"},
				{Field: "Value", Title: "Messages", Unit: "short", Bar: true, Width: 140},
			}},
			Queries: top("level, category, error", k.lines("")+" | error!=\"\" | label_format error=`{{ trunc 200 (regexReplaceAll \"[0-9]+\" .error \"#\") }}`"),
		},
		{
			Title: "Bytes of the log", Description: "Bytes per second of these lines, as they are in Loki.",
			Width: 8, Height: 8, Store: grafana.Loki, As: grafana.TimeSeries{}, Unit: "binBps", Empty: quiet,
			Queries: []grafana.Query{{Expr: `sum(bytes_rate(` + k.lines("") + ` [$__auto]))`, Legend: "bytes"}},
		},
		{
			Title: "Crashes", Description: "Lines with the goroutines of a process that panicked or ended. Open one for its stack.",
			Width: 16, Height: 8, Store: grafana.Loki, As: grafana.Logs{}, Empty: "Nothing crashed in this time range",
			Queries: []grafana.Query{{Expr: k.lines("") + ` | level="FATAL" or stack!=""`}},
		},
	}}
}

// log is all of it.
func (k klog) log() grafana.Row {
	return grafana.Row{Title: "Log (all filters apply)", Panels: []grafana.Panel{{
		Title: "Log", Description: "The lines: level, node, place in the source, message. Open a line for all its fields. Lines that did not parse are shown as they are.",
		Width: 24, Height: 16, Store: grafana.Loki, As: grafana.Logs{}, Empty: "No such line in this time range",
		Queries: []grafana.Query{{Expr: k.lines("") + readableKlog}},
	}}}
}
