package dashboards

import (
	"strconv"
	"strings"

	"github.com/corkline/corkline/dashboards/grafana"
)

// GSLB: the answers that a service's members got, beside their weights. What
// is a member has a row by the name of its site, and one by its address; that
// one counts which the weights name. docs/gslb.md tells why the verdict is
// right.

const (
	maxWeights = 8 // that are read of the variable

	// gslbTolerance is how far from its weight a member may be, as the distance
	// 2·asin(√share) − 2·asin(√expected): 5 points at a half, 3 at a tenth.
	gslbTolerance = "0.1"
	// gslbSure is how many standard deviations a verdict takes: 99 %.
	gslbSure = "2.326"
)

// gslbAnswers of each member in the time range: of sites and of addresses.
func answersByMember() string {
	answers := here(ofGSLB)
	return `(sum by (gslbservice, member) (` + during(`corkline_dns_answers_total`+answers) + `)` +
		` or sum by (gslbservice, member) (label_replace(` + during(`corkline_dns_site_answers_total`+answers) + `, "member", "$1", "site", "(.+)")))`
}

// allAnswers of each service.
func allAnswers() string {
	return `sum by (gslbservice) (` + during(`corkline_dns_answers_total`+here(ofGSLB)) + `)`
}

// shareByMember of a service's answers.
func shareByMember() string {
	return answersByMember() + ` / on (gslbservice) group_left () (` + allAnswers() + ` > 0)`
}

// typedWeights are the weights of the variable, with the label member. The n-th
// look takes the n-th entry, or the last one when there are fewer; the list
// begins with an entry without a name, so that no look finds nothing. A label
// becomes a number as the bound of a histogram, which takes one of +Inf, too.
func typedWeights() string {
	list := `label_replace(vector(1), "list", ":1,$weights", "", "")`
	list = `(` + list + ` or label_replace(` + list + `, "inf", "+Inf", "", ""))`
	var looks []string
	for n := 1; n <= maxWeights; n++ {
		entry := `"list", "(?:[^,]*,){0,` + strconv.Itoa(n) + `} *([^,]*?) *[:/=] *([0-9.]+) *(?:,.*)?"`
		looks = append(looks, `label_replace(label_replace(`+list+`, "member", "$1", `+entry+`), "list", "$2", `+entry+`)`)
	}
	bounds := `label_join(` + strings.Join(looks, ` or `) + `, "le", "", "inf", "list")`
	return `(sum by (member) (histogram_quantile(1, sum by (member, le) (label_replace(` + bounds + `, "le", "+Inf", "inf", ".+")))) unless on (member) vector(0))`
}

const (
	// someTyped is there when the variable has something.
	someTyped = `(label_replace(vector(1), "typed", "$weights", "", "") unless on (typed) vector(1))`
	// recordedWeights are those of a rule.
	recordedWeights = `gslb:weight{gslbservice=~"$gslbservice"}`
)

// expectedByMember is the share that a member should have by its weight.
func expectedByMember() string {
	answers := answersByMember()
	typed := typedWeights()
	return `((0 * ` + answers + ` + on (member) group_left () (` + typed + ` / scalar(sum(` + typed + `))))` +
		` or (sum by (gslbservice, member) (` + recordedWeights + `) / on (gslbservice) group_left () sum by (gslbservice) (` + recordedWeights + `) unless on () ` + someTyped + `))`
}

// weighed keeps the members that weights name, or all without any weights.
func weighed(expr string) string {
	return `(` + expr + ` and on (member) ` + typedWeights() + `)` +
		` or (` + expr + ` and on (gslbservice, member) ` + recordedWeights + ` unless on () ` + someTyped + `)` +
		` or (` + expr + ` unless on (gslbservice) ` + recordedWeights + ` unless on () ` + someTyped + `)`
}

// certainty is how many standard deviations a member's share lies beyond the
// tolerance, or, below zero, within it.
func certainty() string {
	angle := func(share string) string { return `2 * asin(clamp_max(` + share + `, 1) ^ 0.5)` }
	return `(abs(` + angle(`(`+shareByMember()+`)`) + ` - on (gslbservice, member) ` + angle(expectedByMember()) + `) - ` + gslbTolerance + `)` +
		` * on (gslbservice) group_left () ` + allAnswers() + ` ^ 0.5`
}

// incomplete are the services of which a log is not whole, so that no verdict
// is possible: 3 when it was throttled, 4 when numbers are missing in it.
func incomplete() string {
	b := queries()
	flags := `3 * group by (virtualservice) (` + during(`corkline_virtualservice_log_throttled_seconds_total`+here()) + ` > 0)` +
		` or 4 * group by (virtualservice) (` + missingShareOf(b.counts, here()) + ` > ` + missingLimit + `)`
	return `min by (gslbservice) (0 * sum by (virtualservice, gslbservice) (` + during(b.counts+here(ofGSLB, `gslbservice!=""`)) + ` > 0) + on (virtualservice) group_left () (` + flags + `))`
}

// verdict as one of verdicts: 0 to 2 of how certain it is, where the log is whole.
func verdict(certainty string) string {
	return `clamp(round((` + certainty + `) / (2 * ` + gslbSure + `)) + 1, 0, 2)`
}

func verdicts() []grafana.Word {
	return []grafana.Word{
		{Value: "0", Text: "as configured", Color: "green"},
		{Value: "1", Text: "too few answers", Color: "blue"},
		{Value: "2", Text: "off", Color: "red"},
		{Value: "3", Text: "no verdict: log throttled", Color: "orange"},
		{Value: "4", Text: "no verdict: log has gaps", Color: "orange"},
		{Value: "5", Text: "no weights given", Color: "purple"},
	}
}

// normal is the probability of a standard normal value below one, to 0.0002.
func normal(z string) string {
	return `1 / (1 + exp(-1.5976 * (` + z + `) - 0.070566 * (` + z + `) ^ 3))`
}

// gslbMembers with their weights, as AMKO's log has them.
const gslbMembers = `sum by (gslb_service, gslb_members) (count_over_time({job="corkline", operator="amko", cluster=~"$cluster"} | gslb_members!="" [$__range]))`

const gslbExplained = "Within tolerance means no further from its weight than 5 points at a share of a half, 3 at a tenth; a verdict takes 99 % confidence, about 550 answers at best. No verdict is given when the log was throttled, or more than 1 % of its numbers are missing. "

func gslbAnswers() grafana.Row {
	b := queries()
	worst := `max by (gslbservice) (` + certainty() + `)`
	whole := ` unless on (gslbservice) ` + incomplete()
	members := answersByMember()
	return grafana.Row{Title: "GSLB: answers beside the weights", Panels: []grafana.Panel{
		{
			Title: "Are the weights kept?", Description: "Whether each member of a GSLB service got the share of the answers in the time range that its weight says, within a tolerance. " + gslbExplained + "Off is a service with one member that is. Confidence is that of the verdict, of the member that is furthest off.",
			Width: 9, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: "no GSLB service has answered",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "gslbservice", Title: "GSLB service", Links: []grafana.Link{b.only("GSLB service", "gslbservice", "gslbservice"), b.linesOf("gslbservice")}},
				{Field: "Value #A", Title: "Verdict", Unit: "short", Words: verdicts()},
				{Field: "Value #B", Title: "Confidence", Unit: "percentunit", Width: 100},
				{Field: "Value #C", Title: "Answers", Unit: "locale", Width: 90},
			}},
			Queries: []grafana.Query{
				{Expr: incomplete() + ` or ` + verdict(worst) + ` or 0 * ` + allAnswers() + ` + 5`},
				{Expr: normal(`abs(`+worst+`)`) + whole},
				{Expr: `round(` + allAnswers() + `)`},
			},
		},
		{
			Title: "Members", Description: "Members of the GSLB services: the share of the answers that their weight says, what they got in the time range, and by how many points that differs. " + gslbExplained + "Without weights, sites and addresses are both here.",
			Width: 15, Height: 8, Store: grafana.Prometheus, Unit: "short", Empty: "no member has a name or address that the weights name",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "gslbservice", Title: "GSLB service"},
				{Field: "member", Title: "Member"},
				{Field: "Value #A", Title: "By weight", Unit: "percentunit", Width: 90},
				{Field: "Value #B", Title: "Share", Unit: "percentunit", First: true, Width: 90},
				{Field: "Value #C", Title: "Off by", Unit: "percentunit", Width: 80},
				{Field: "Value #D", Title: "Answers", Unit: "locale", Width: 90},
				{Field: "Value #E", Title: "Verdict", Unit: "short", Words: verdicts()},
			}},
			Queries: []grafana.Query{
				{Expr: expectedByMember()},
				{Expr: weighed(shareByMember())},
				{Expr: shareByMember() + ` - on (gslbservice, member) ` + expectedByMember()},
				{Expr: weighed(`round(` + members + `)`)},
				{Expr: verdict(certainty()) + whole + ` or ` + weighed(`(0 * `+members+` + on (gslbservice) group_left () (`+incomplete()+` or 0 * `+allAnswers()+` + 5))`)},
			},
		},
		{
			Title: "Answers by site", Description: "Shares of the logged answers over time, by the site of the member.",
			Width: 7, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "percentunit", Max: 1, Empty: "no answer names a site",
			Queries: []grafana.Query{{
				Expr:   perSecond("gslbservice, site", "corkline_dns_site_answers_total"+here(ofGSLB)) + ` / on (gslbservice) group_left () (` + perSecond("gslbservice", "corkline_dns_site_answers_total"+here(ofGSLB)) + ` > 0)`,
				Legend: "{{site}} · {{gslbservice}}",
			}},
		},
		{
			Title: "Answers by address", Description: "Answers per second that were logged, of the ten members with the most in the time range.",
			Width: 7, Height: 8, Store: grafana.Prometheus, As: grafana.TimeSeries{Stacked: true}, Unit: "cps", Empty: "no GSLB service has answered",
			Queries: []grafana.Query{{Expr: topPerSecond("10", "member", "corkline_dns_answers_total"+here(ofGSLB)), Legend: "{{member}}"}},
		},
		{
			Title: "Weights that AMKO has set", Description: "Members and weights of GSLB services as AMKO has told the load balancer in the time range, by its log. Open the link of one to hold the answers against it; several of a service mean that they were changed.",
			Width: 10, Height: 8, Store: grafana.Loki, Unit: "short", Empty: "AMKO's log tells of no GSLB service in the time range",
			As: grafana.Table{Columns: []grafana.Column{
				{Field: "gslb_service", Title: "GSLB service", Width: 150},
				{Field: "gslb_members", Title: "Members", Links: []grafana.Link{b.link("Hold the answers against these weights", dnsUID, "weights", "gslb_members"), linesWith(`operator="amko"`, "gslb_service", "gslb_members")}},
				{Field: "Value", Title: "Lines", Unit: "short", Width: 70},
			}},
			Queries: []grafana.Query{{Expr: gslbMembers}},
		},
	}}
}
