package provisioner

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// variable of a dashboard, as its JSON has it.
type variable struct {
	Name       string
	Type       string
	Query      json.RawMessage
	AllValue   *string
	IncludeAll bool
	Multi      bool
	Current    struct{ Value json.RawMessage }
	Options    []struct {
		Value    json.RawMessage
		Selected bool
	}
}

// substitution gives the values of variables: of most more than one.
type substitution struct {
	values map[string][]string
	all    map[string]string // what "All" means for those that have it
	kinds  map[string]string // types of the datasource variables
}

const allValue = "$__all"

// scrapeInterval is what Grafana assumes where a datasource does not tell.
const scrapeInterval = 15 * time.Second

// variables are those of the dashboard at their defaults, those that Grafana
// has built in, and what overrides them.
func (b board) variables(span time.Duration, overrides map[string]string) substitution {
	step := max(time.Second, span/graphPoints)
	rate := max(step+scrapeInterval, 4*scrapeInterval)
	s := substitution{
		values: map[string][]string{
			"__interval":      {promDuration(step)},
			"__interval_ms":   {strconv.FormatInt(step.Milliseconds(), 10)},
			"__rate_interval": {promDuration(rate)},
			"__auto":          {promDuration(step)},
			"__range":         {promDuration(span)},
			"__range_s":       {strconv.Itoa(int(span.Seconds()))},
			"__range_ms":      {strconv.FormatInt(span.Milliseconds(), 10)},
		},
		all: map[string]string{}, kinds: map[string]string{},
	}
	for _, v := range b.Templating.List {
		if v.Type == "datasource" {
			s.kinds[v.Name] = one(v.Query)
			continue
		}
		if v.IncludeAll {
			s.all[v.Name] = ".*" // wider than Grafana's list of all values, never narrower
			if v.AllValue != nil && *v.AllValue != "" {
				s.all[v.Name] = *v.AllValue
			}
		}
		s.values[v.Name] = v.defaults()
	}
	for name, value := range overrides {
		s.values[name] = []string{value}
	}
	return s
}

// defaults is what the variable stands at when the dashboard is opened. One
// whose value comes from a query that only Grafana runs stands at all.
func (v variable) defaults() []string {
	if values := list(v.Current.Value); len(values) > 0 {
		return values
	}
	for _, o := range v.Options {
		if values := list(o.Value); o.Selected && len(values) > 0 {
			return values
		}
	}
	switch v.Type {
	case "constant", "textbox":
		return []string{one(v.Query)}
	case "interval", "custom":
		first, _, _ := strings.Cut(one(v.Query), ",")
		return []string{strings.TrimSpace(first)}
	}
	return []string{allValue}
}

// list reads a value or a list of values.
func list(text json.RawMessage) []string {
	var many []string
	if json.Unmarshal(text, &many) == nil {
		return many
	}
	if value := one(text); value != "" {
		return []string{value}
	}
	return nil
}

// one reads a string; anything else is empty.
func one(text json.RawMessage) string {
	var value string
	if json.Unmarshal(text, &value) != nil {
		return ""
	}
	return value
}

// kind is the type of the datasource that a target asks: its own, else the
// panel's, else the default, which is Prometheus.
func (s substitution) kind(target, panel reference) string {
	for _, r := range []reference{target, panel} {
		switch {
		case r.Type == "datasource" || r.UID == "-- Mixed --":
			continue // the targets' own count
		case r.Type != "":
			return r.Type
		case r.UID != "":
			name := strings.Trim(r.UID, "${}")
			if kind := s.kinds[name]; kind != "" {
				return kind
			}
			return name
		}
	}
	return "prometheus"
}

// usage is a variable in an expression: $name, ${name}, ${name:format}, [[name]].
var usage = regexp.MustCompile(`\$(\w+)|\$\{(\w+)(?:\.\w+)?(?::(\w+))?\}|\[\[(\w+)(?::(\w+))?\]\]`)

// expand replaces the variables; what is none stays.
func (s substitution) expand(expr string) string {
	return usage.ReplaceAllStringFunc(expr, func(text string) string {
		m := usage.FindStringSubmatch(text)
		name, format := m[1]+m[2]+m[4], m[3]+m[5]
		values, known := s.values[name]
		if !known {
			return text
		}
		if len(values) == 1 && values[0] == allValue {
			if all, ok := s.all[name]; ok {
				return all
			}
			return ".*"
		}
		if len(values) == 1 && format != "regex" {
			return values[0]
		}
		return join(values, format)
	})
}

// join writes several values as Grafana does for Prometheus and Loki: an
// alternative of quoted ones, unless another format is asked for.
func join(values []string, format string) string {
	switch format {
	case "csv", "raw", "text":
		return strings.Join(values, ",")
	case "pipe":
		return strings.Join(values, "|")
	}
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = regexp.QuoteMeta(value)
		if format != "regex" { // it stands in a string of PromQL or LogQL
			quoted[i] = strings.ReplaceAll(quoted[i], `\`, `\\`)
		}
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return "(" + strings.Join(quoted, "|") + ")"
}

// promDuration writes whole seconds, which PromQL and LogQL both read.
func promDuration(d time.Duration) string {
	return strconv.Itoa(max(1, int(d.Seconds()))) + "s"
}
