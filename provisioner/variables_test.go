package provisioner

import (
	"encoding/json"
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	var b board
	if err := json.Unmarshal([]byte(`{"templating": {"list": [
		{"name": "all", "type": "query", "includeAll": true, "current": {"value": "$__all"}},
		{"name": "allValue", "type": "query", "includeAll": true, "allValue": ".+", "current": {"value": ["$__all"]}},
		{"name": "one", "type": "custom", "query": "a, b"},
		{"name": "many", "type": "query", "multi": true, "current": {"value": ["a.b", "c"]}},
		{"name": "option", "type": "custom", "options": [{"value": "x"}, {"value": "y", "selected": true}]},
		{"name": "text", "type": "textbox", "query": ""},
		{"name": "empty", "type": "textbox", "query": "", "options": [{"value": "", "selected": true}], "current": {"value": ""}},
		{"name": "interval", "type": "interval", "query": "1m,5m"},
		{"name": "never", "type": "query"},
		{"name": "ds", "type": "datasource", "query": "loki"}
	]}}`), &b); err != nil {
		t.Fatal(err)
	}
	s := b.variables(time.Hour, map[string]string{"given": "g"})
	for expr, want := range map[string]string{
		`{a=~"$all"}`:                    `{a=~".*"}`,
		`{a=~"${allValue}"}`:             `{a=~".+"}`,
		`{a="[[one]]"}`:                  `{a="a"}`,
		`{a=~"$many"}`:                   `{a=~"(a\\.b|c)"}`,
		"{a=~`${many:regex}`}":           "{a=~`(a\\.b|c)`}",
		`{a=~"${many:pipe}"}`:            `{a=~"a.b|c"}`,
		`$option|$text|$empty|$given`:    `y|||g`,
		`rate(x[$interval])`:             `rate(x[1m])`,
		`rate(x[$__rate_interval])`:      `rate(x[60s])`,
		`rate(x[${__range}]) $__range_s`: `rate(x[3600s]) 3600`,
		`{a=~"$never"}`:                  `{a=~".*"}`,
		`{a=~"x$"} $unknown ${unknown}`:  `{a=~"x$"} $unknown ${unknown}`,
	} {
		if got := s.expand(expr); got != want {
			t.Errorf("%s becomes %s, want %s", expr, got, want)
		}
	}
	for _, c := range []struct {
		target, panel reference
		want          string
	}{
		{reference{}, reference{}, "prometheus"},
		{reference{}, reference{UID: "$ds"}, "loki"},
		{reference{UID: "${ds}"}, reference{Type: "prometheus"}, "loki"},
		{reference{Type: "loki"}, reference{Type: "datasource", UID: "-- Mixed --"}, "loki"},
		{reference{Type: "__expr__", UID: "__expr__"}, reference{Type: "loki"}, "__expr__"},
	} {
		if got := s.kind(c.target, c.panel); got != c.want {
			t.Errorf("kind of %+v in %+v is %s, want %s", c.target, c.panel, got, c.want)
		}
	}
}
