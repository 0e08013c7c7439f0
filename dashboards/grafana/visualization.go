package grafana

import "strings"

// Visualization is what a panel looks like.
type Visualization interface{ visual(p Panel) visual }

// visual is what a kind of panel adds to a panel's JSON.
type visual struct {
	kind            string
	shape           shape
	options         object
	custom          object
	overrides       []override
	transformations []object
}

// shape of the frames that a kind of panel shows.
type shape int

const (
	overTime shape = iota // series over the time range
	asSeries              // a series for each value of now
	asRows                // one frame, a row for each value of now
)

// TimeSeries draws lines over time.
type TimeSeries struct {
	Stacked bool
	// Limits draws the thresholds as lines; the series keep their own colours.
	Limits bool
}

func (t TimeSeries) visual(Panel) visual {
	stacking, fill := "none", 10
	if t.Stacked {
		stacking, fill = "normal", 40
	}
	custom := object{
		"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": fill,
		"gradientMode": "none", "showPoints": "auto", "pointSize": 4, "spanNulls": false,
		"axisPlacement": "auto", "stacking": object{"mode": stacking, "group": "A"},
	}
	if t.Limits {
		custom["thresholdsStyle"] = object{"mode": "dashed"}
	}
	return visual{
		kind: "timeseries",
		options: object{
			"legend":  object{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
		custom: custom,
	}
}

// reduction takes the last value of every series.
func reduction() object {
	return object{"values": false, "calcs": []string{"lastNotNull"}, "fields": ""}
}

// Stat shows numbers of now, one for each series.
type Stat struct {
	// Named shows the name of a series also when it is the only one.
	Named bool
}

func (s Stat) visual(Panel) visual {
	text := "auto"
	if s.Named {
		text = "value_and_name"
	}
	return visual{kind: "stat", shape: asSeries, options: object{
		"reduceOptions": reduction(), "graphMode": "none", "colorMode": "value",
		"justifyMode": "auto", "orientation": "auto", "textMode": text, "wideLayout": true,
	}}
}

// PieChart shows shares of now.
type PieChart struct{}

func (PieChart) visual(Panel) visual {
	return visual{kind: "piechart", shape: asSeries, options: object{
		"reduceOptions": reduction(), "pieType": "donut", "displayLabels": []string{"percent"},
		"legend":  object{"showLegend": true, "displayMode": "table", "placement": "right", "values": []string{"value"}},
		"tooltip": object{"mode": "single", "sort": "none"},
	}}
}

// BarGauge shows the rows of one query as bars, named by their labels, the
// longest first.
type BarGauge struct {
	// LongNames stand above their bars; others are cut where they need more than
	// two fifths of the panel.
	LongNames bool
}

func (b BarGauge) visual(p Panel) visual {
	names, least, most := "left", 16, 28
	if b.LongNames {
		names, least, most = "top", 36, 44
	}
	sort := object{"id": "sortBy", "options": object{"fields": object{}, "sort": []object{{"field": p.value("Value"), "desc": true}}}}
	return visual{kind: "bargauge", shape: asRows, transformations: []object{sort}, options: object{
		"reduceOptions": object{"values": true, "calcs": []string{}, "fields": "/^Value/", "limit": 25},
		"displayMode":   "basic", "orientation": "horizontal", "valueMode": "color",
		"namePlacement": names, "showUnfilled": true, "sizing": "auto", "minVizWidth": 8, "minVizHeight": least, "maxVizHeight": most,
	}}
}

// value is the name of a field in a frame of rows. Of an only query, Loki's
// datasource calls the value by the query's name, that of Prometheus does not.
func (p Panel) value(field string) string {
	if p.Store == Loki && field == "Value" {
		return "Value #A"
	}
	return field
}

// Table shows a row for each set of labels.
type Table struct {
	Columns []Column // what is not named is hidden if it is the time
}

// Column of a table.
type Column struct {
	// Field is a label, or Value: of the only query, else "Value #A", "Value #B" …
	Field string
	Title string
	Unit  string
	Width int // in pixels; 0 shares what is left
	// Bar draws the value as a bar, too.
	Bar bool
	// First sorts the rows by this column, as Bar does, the highest first.
	First bool
	// Red colours values above 0.
	Red bool
	// Colors of words, as of series.
	Colors []Color
	// Words say what values mean, and colour them.
	Words []Word
	// Thresholds colour values; without them they have the colour of text.
	Thresholds []Threshold
	Links      []Link
}

// leastColumn is the width in pixels of a column that has none of its own and
// little room: the last one is not to be cut off.
const leastColumn = 85

func (t Table) visual(p Panel) visual {
	v := visual{
		kind: "table", shape: asRows,
		options: object{"showHeader": true, "cellHeight": "sm", "footer": object{"show": false, "reducer": []string{"sum"}, "countRows": false, "fields": ""}},
		custom:  object{"align": "auto", "minWidth": leastColumn, "cellOptions": object{"type": "auto"}, "filterable": false, "inspect": false},
	}
	order, titles, sort := object{}, object{}, []object{}
	for i, c := range t.Columns {
		field := p.value(c.Field)
		order[field], titles[field] = i, c.Title
		if c.Bar || c.First {
			sort = append(sort, object{"displayName": c.Title, "desc": true})
		}
		o := c.override()
		if p.Empty != "" { // it is about the table, not about a cell
			o.Properties = append(o.Properties, property{"noValue", ""})
		}
		v.overrides = append(v.overrides, o)
	}
	v.options["sortBy"] = sort
	if len(p.Queries) > 1 {
		v.transformations = append(v.transformations, object{"id": "merge", "options": object{}})
	}
	v.transformations = append(v.transformations, object{"id": "organize", "options": object{
		"excludeByName": object{"Time": true}, "indexByName": order, "renameByName": titles, "includeByName": object{},
	}})
	return v
}

func (c Column) override() override {
	o := byName(c.Title)
	add := func(id string, value any) { o.Properties = append(o.Properties, property{id, value}) }
	unit := c.Unit
	if unit == "" && !strings.HasPrefix(c.Field, "Value") {
		unit = "string" // a label that looks like a number is none
	}
	add("unit", unit)
	if c.Width > 0 {
		add("custom.width", c.Width)
	}
	switch {
	case c.Bar:
		add("custom.cellOptions", object{"type": "gauge", "mode": "basic", "valueDisplayMode": "text"})
		add("color", fixed("blue"))
		add("min", 0)
		add("fieldMinMax", true) // of this column, not of all
	case c.Red:
		add("custom.cellOptions", object{"type": "color-text"})
		add("color", object{"mode": "thresholds"})
		add("thresholds", object{"mode": "absolute", "steps": []object{{"color": "text", "value": nil}, {"color": "red", "value": 1}}})
	case len(c.Words) > 0:
		add("custom.cellOptions", object{"type": "color-text"})
		add("mappings", mappings(c.Words))
	case len(c.Thresholds) > 0:
		add("custom.cellOptions", object{"type": "color-text"})
		add("color", object{"mode": "thresholds"})
		add("thresholds", steps(c.Thresholds))
	case len(c.Colors) > 0:
		words := object{}
		for i, color := range c.Colors {
			words[color.Series] = object{"index": i, "color": color.Color}
		}
		add("custom.cellOptions", object{"type": "color-text"})
		add("mappings", []object{{"type": "value", "options": words}})
	}
	if len(c.Links) > 0 {
		add("links", c.Links)
	}
	return o
}

// Logs shows lines.
type Logs struct{}

func (Logs) visual(Panel) visual {
	return visual{kind: "logs", options: object{
		"showTime": true, "showLabels": false, "showCommonLabels": false, "wrapLogMessage": false,
		"prettifyLogMessage": false, "enableLogDetails": true, "dedupStrategy": "none", "sortOrder": "Descending",
	}}
}

// Text is Markdown.
type Text struct {
	Markdown string
}

func (t Text) visual(Panel) visual {
	return visual{kind: "text", options: object{
		"mode": "markdown", "content": t.Markdown,
		"code": object{"language": "plaintext", "showLineNumbers": false, "showMiniMap": false},
	}}
}
