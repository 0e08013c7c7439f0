package grafana

import (
	"slices"
	"strings"
)

// annotations that all boards draw into their graphs, those of their cluster
// and node where they have such variables.
func (b Board) annotations() []object {
	return []object{
		{
			"builtIn": 1, "name": "Annotations & Alerts", "type": "dashboard",
			"datasource": object{"type": "grafana", "uid": "-- Grafana --"},
			"enable":     true, "hide": true, "iconColor": "rgba(0, 211, 255, 1)",
		},
		annotation("Alerts", "red", "{{alertname}}", "{{severity}}, {{node}}{{instance}}",
			`ALERTS{`+b.here(`alertstate="firing"`)+`}`, false),
		// The value is the time, so that a restart is one mark whatever the step;
		// what began before the time range is none of it.
		annotation("Restarts", "blue", "{{job}} started", "{{node}} {{instance}}",
			`1000 * process_start_time_seconds{`+b.here(`job=~"corkline|antrea-agents?|antrea-controllers?"`)+`} > $__from`, true),
		annotation("Restarts of Open vSwitch", "purple", "Open vSwitch restarted", "{{node}} {{instance}}",
			`increase(corkline_ovs_restarts_total{`+b.here()+`}[1m]) > 0`, false),
	}
}

func annotation(name, color, title, text, expr string, valueIsTime bool) object {
	return object{
		"name": name, "datasource": Prometheus.reference(), "enable": true, "hide": false, "iconColor": color,
		"expr": expr, "step": "60s", "titleFormat": title, "textFormat": text, "tagKeys": "", "useValueForTime": valueIsTime,
	}
}

// here adds the matchers of the board's places. What has no such label, as an
// alert on something absent, concerns every place.
func (b Board) here(matchers ...string) string {
	for _, name := range []string{"cluster", "node"} {
		if slices.ContainsFunc(b.Variables, func(v Variable) bool { return v.form()["name"] == name }) {
			matchers = append(matchers, name+`=~"$`+name+`|"`)
		}
	}
	return strings.Join(matchers, ", ")
}
