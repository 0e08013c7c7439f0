package grafana

import "slices"

// Panel shows what its queries give.
type Panel struct {
	Title       string
	Description string
	Width       int // of 24 columns
	Height      int // in rows of 30 pixels
	Store       Store
	Queries     []Query
	As          Visualization

	// Unit by Grafana's name. A table has it in its columns.
	Unit string
	// Thresholds colour the values; without any, series have colours of their own.
	Thresholds []Threshold
	// Max of the values where it is known, as 1 of a share.
	Max float64
	// Words say what values mean.
	Words []Word
	// Colors of series by name.
	Colors []Color
	// Links of a value.
	Links []Link
	// More links to what the panel is about, beside its title.
	More []Link
	// Empty is what it means that the queries give nothing.
	Empty string
}

// Query is one expression in the language of the panel's store.
type Query struct {
	Expr string
	// Legend names its series, with labels as {{label}}.
	Legend string
	// Least time between two points, as 30s; $__rate_interval is at least four of
	// them. For what changes less often than it is scraped.
	Least string
}

// Threshold gives values from From on a colour. The first one's From is
// ignored: it begins below all values.
type Threshold struct {
	From  float64
	Color string
}

// Word stands for a value.
type Word struct {
	Value string
	Text  string
	Color string
}

// Color of the series with a name.
type Color struct {
	Series string
	Color  string
}

// Link opens what belongs to a value.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// panelForm is the JSON of a panel, or of a row.
type panelForm struct {
	ID              int          `json:"id"`
	Type            string       `json:"type"`
	Title           string       `json:"title"`
	Description     string       `json:"description,omitempty"`
	GridPos         gridPos      `json:"gridPos"`
	Collapsed       *bool        `json:"collapsed,omitempty"`
	Panels          *[]panelForm `json:"panels,omitempty"`
	Datasource      *reference   `json:"datasource,omitempty"`
	PluginVersion   string       `json:"pluginVersion,omitempty"`
	Targets         []target     `json:"targets,omitempty"`
	Options         object       `json:"options,omitempty"`
	FieldConfig     *fieldConfig `json:"fieldConfig,omitempty"`
	Transformations []object     `json:"transformations,omitempty"`
	Links           []Link       `json:"links,omitempty"`
}

type gridPos struct {
	Height int `json:"h"`
	Width  int `json:"w"`
	X      int `json:"x"`
	Y      int `json:"y"`
}

type target struct {
	RefID        string     `json:"refId"`
	Datasource   *reference `json:"datasource"`
	EditorMode   string     `json:"editorMode"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat,omitempty"`
	Interval     string     `json:"interval,omitempty"`
	// of Prometheus
	Format  string `json:"format,omitempty"`
	Instant *bool  `json:"instant,omitempty"`
	Range   *bool  `json:"range,omitempty"`
	// of Loki
	QueryType string `json:"queryType,omitempty"`
}

type fieldConfig struct {
	Defaults  object     `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type override struct {
	Matcher    object     `json:"matcher"`
	Properties []property `json:"properties"`
}

type property struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

func byName(name string, properties ...property) override {
	return override{object{"id": "byName", "options": name}, properties}
}

func fixed(color string) object { return object{"mode": "fixed", "fixedColor": color} }

func (p Panel) form() panelForm {
	v := p.As.visual(p)
	form := panelForm{
		Type: v.kind, Title: p.Title, Description: p.Description,
		PluginVersion: pluginVersion, Options: v.options, Transformations: v.transformations, Links: p.More,
	}
	if p.Store == "" {
		return form // text
	}
	form.Datasource = p.Store.reference()
	for i, q := range p.Queries {
		form.Targets = append(form.Targets, p.target(refID(i), q, v))
	}
	form.FieldConfig = &fieldConfig{Defaults: p.defaults(v), Overrides: slices.Concat([]override{}, v.overrides)}
	for _, c := range p.Colors {
		form.FieldConfig.Overrides = append(form.FieldConfig.Overrides, byName(c.Series, property{"color", fixed(c.Color)}))
	}
	return form
}

func refID(i int) string { return string(rune('A' + i)) }

func (p Panel) target(ref string, q Query, v visual) target {
	t := target{
		RefID: ref, Datasource: p.Store.reference(), EditorMode: "code",
		Expr: q.Expr, LegendFormat: q.Legend, Interval: q.Least,
	}
	instant := v.shape != overTime
	if p.Store == Loki {
		t.QueryType = "range"
		if instant {
			t.QueryType = "instant"
		}
		return t
	}
	over := !instant
	t.Instant, t.Range, t.Format = &instant, &over, "time_series"
	if v.shape == asRows {
		t.Format = "table"
	}
	return t
}

func (p Panel) defaults(v visual) object {
	d := object{"color": object{"mode": "palette-classic"}}
	if v.custom != nil {
		d["custom"] = v.custom
	}
	if p.Unit != "" {
		d["unit"], d["min"] = p.Unit, 0
	}
	if p.Max != 0 {
		d["max"] = p.Max
	}
	if len(p.Thresholds) > 0 {
		if t, ok := p.As.(TimeSeries); !ok || !t.Limits {
			d["color"] = object{"mode": "thresholds"}
		}
		d["thresholds"] = steps(p.Thresholds)
	}
	if len(p.Words) > 0 {
		d["mappings"] = mappings(p.Words)
	}
	if len(p.Links) > 0 {
		d["links"] = p.Links
	}
	if p.Empty != "" {
		d["noValue"] = p.Empty
	}
	return d
}

func steps(thresholds []Threshold) object {
	steps := []object{{"color": thresholds[0].Color, "value": nil}}
	for _, t := range thresholds[1:] {
		steps = append(steps, object{"color": t.Color, "value": t.From})
	}
	return object{"mode": "absolute", "steps": steps}
}

func mappings(words []Word) []object {
	options := object{}
	for i, w := range words {
		options[w.Value] = object{"index": i, "text": w.Text, "color": w.Color}
	}
	return []object{{"type": "value", "options": options}}
}
