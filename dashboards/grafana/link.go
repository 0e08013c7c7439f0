package grafana

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// BoardURL opens a board at the same time range, with the named variables as
// they are, and others set: pairs of a name and a value, which may be ${…}.
func BoardURL(uid string, keep []string, set ...string) string {
	parts := []string{"${__url_time_range}"}
	for _, name := range keep {
		parts = append(parts, "${"+name+":queryparam}")
	}
	for i := 0; i+1 < len(set); i += 2 {
		parts = append(parts, "var-"+set[i]+"="+set[i+1])
	}
	return "/d/" + uid + "?" + strings.Join(parts, "&")
}

// Value of a field in the row that a link belongs to, in a link's URL.
func Value(field string) string { return "${__data.fields." + field + ":percentencode}" }

// interpolated is what Grafana fills in, and must find as it is.
var interpolated = regexp.MustCompile(`\$\{[^}]+\}`)

// ExploreURL opens Explore with a LogQL expression at the same time range.
// Values that Grafana fills into the expression end up in a JSON string.
func ExploreURL(expr string) string { return explore(Loki, `"queryType":"range"`, expr) }

// ExploreMetricsURL does the same with a PromQL expression.
func ExploreMetricsURL(expr string) string { return explore(Prometheus, `"range":true`, expr) }

func explore(s Store, how, expr string) string {
	uid := s.reference().UID
	panes := `{"corkline":{"datasource":"` + uid + `","queries":[{"refId":"A","datasource":{"type":"` + string(s) + `","uid":"` + uid + `"},` +
		`"editorMode":"code",` + how + `,"expr":` + strconv.Quote(expr) + `}],"range":{"from":"${__from}","to":"${__to}"}}}`
	var encoded strings.Builder
	end := 0
	for _, at := range interpolated.FindAllStringIndex(panes, -1) {
		encoded.WriteString(escape(panes[end:at[0]]) + panes[at[0]:at[1]])
		end = at[1]
	}
	return "/explore?schemaVersion=1&panes=" + encoded.String() + escape(panes[end:])
}

// escape as JavaScript's encodeURIComponent does, with %20 for a blank.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
