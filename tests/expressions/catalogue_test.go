package expressions

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/foreign"
	"github.com/grafana/loki/v3/pkg/logql/log"
	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// targetLabels are those that a scrape sets, not the exporter.
var targetLabels = []string{"job", "instance", "cluster", "node", "namespace", "pod"}

// streamLabels are those that every stream of ours has, marks the structured
// metadata that every line may have.
var (
	streamLabels = []string{"job", "cluster", "node", "source"}
	marks        = []string{"parse_error", "truncated", "invalid_utf8"}
)

// catalogue is what expressions may name.
type catalogue struct {
	families map[string]exporter.Family
	foreign  map[string]theirs // metrics that are not ours
	sources  map[string]names  // what lines of a source have
}

// theirs is a metric that others export.
type theirs struct {
	foreign.Metric
	jobs []string // that scrape it
}

// names of a source's lines.
type names struct {
	stream []string // labels
	line   []string // those and structured metadata
}

// newCatalogue holds what the agent exposes and writes, and metrics of others.
func newCatalogue() (*catalogue, error) {
	set, err := parsers.Shipped()
	if err != nil {
		return nil, err
	}
	families, err := exporter.Families(set)
	if err != nil {
		return nil, err
	}
	c := &catalogue{families: map[string]exporter.Family{}, foreign: map[string]theirs{}, sources: map[string]names{}}
	for _, f := range families {
		c.families[f.Name] = f
		if f.Type == "histogram" {
			c.families[f.Name+"_sum"], c.families[f.Name+"_count"] = f, f
			f.Labels = append(slices.Clone(f.Labels), "le")
			c.families[f.Name+"_bucket"] = f
		}
	}
	exporters, err := foreign.Exporters()
	if err != nil {
		return nil, err
	}
	included := map[string]bool{} // and no job
	for _, e := range exporters {
		for _, name := range e.Includes {
			included[name] = true
		}
	}
	for _, e := range exporters {
		if included[e.Name] {
			continue
		}
		for _, m := range e.Metrics {
			parts := []string{m.Name}
			if m.Type == "histogram" {
				parts = []string{m.Name + "_sum", m.Name + "_count", m.Name + "_bucket"}
			}
			for _, name := range parts {
				c.foreign[name] = theirs{m, append(c.foreign[name].jobs, e.Name)}
			}
		}
	}
	for name, d := range set {
		n := names{stream: slices.Clone(streamLabels)}
		for _, field := range d.StreamLabels {
			n.stream = append(n.stream, d.Fields[field].Name)
		}
		n.line = slices.Concat(n.stream, marks)
		for _, field := range d.Metadata {
			n.line = append(n.line, d.Fields[field].Name)
		}
		c.sources[name] = n
	}
	return c, nil
}

// promQL tells what is wrong with an expression for Prometheus.
func (c *catalogue) promQL(text string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			name := metricName(n)
			known, ok := c.labels(name)
			if !ok {
				fault("no such metric: %q", name)
				return nil
			}
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel && !slices.Contains(known, m.Name) {
					fault("metric %q has no label %q", name, m.Name)
				}
				if of, ok := c.foreign[name]; ok && m.Name == model.JobLabel && !slices.ContainsFunc(of.jobs, m.Matches) && name != "up" {
					fault("metric %q is of %s, not of job%s%q", name, strings.Join(of.jobs, " or "), m.Type, m.Value)
				}
			}
			if call := caller(path); (c.families[name].Type == "gauge" || c.foreign[name].Type == "gauge" && !c.foreign[name].Counts) && slices.Contains([]string{"rate", "irate", "increase"}, call) {
				fault("%s of %q, which is a gauge", call, name)
			}
		case *parser.AggregateExpr:
			c.grouping(n.Expr, n.Grouping, fault)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				c.grouping(n, slices.Concat(n.VectorMatching.MatchingLabels, n.VectorMatching.Include), fault)
			}
		}
		return nil
	})
	return faults
}

// groups are the labels by which an expression groups, which are those of what
// a rule records.
func groups(text string) (of []foreign.Label) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return nil // promQL tells
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if n, ok := node.(*parser.AggregateExpr); ok {
			for _, name := range n.Grouping {
				of = append(of, foreign.Label{Name: name})
			}
		}
		return nil
	})
	return of
}

// metricName of a selector, in front of the braces or within.
func metricName(s *parser.VectorSelector) string {
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return s.Name
}

// caller is the function that a range selector is given to.
func caller(path []parser.Node) string {
	for _, node := range slices.Backward(path) {
		if call, ok := node.(*parser.Call); ok {
			return call.Func.Name
		}
	}
	return ""
}

// labels of a metric, and whether there is one.
func (c *catalogue) labels(metric string) ([]string, bool) {
	if f, ok := c.families[metric]; ok {
		return slices.Concat(f.Labels, targetLabels), true
	}
	m, ok := c.foreign[metric]
	known := slices.Clone(targetLabels)
	for _, l := range m.Labels {
		known = append(known, l.Name)
	}
	if strings.HasSuffix(metric, "_bucket") {
		known = append(known, "le")
	}
	return known, ok
}

// conditions of Antrea's metrics in an expression for Prometheus: the versions
// and features without which they are not there, as a panel must tell them. A
// metric that was renamed needs its other name beside it.
func (c *catalogue) conditions(text string) (words, faults []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		return nil, nil // promQL tells
	}
	used := map[string]bool{}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if s, ok := node.(*parser.VectorSelector); ok {
			used[metricName(s)] = true
		}
		return nil
	})
	for _, name := range slices.Sorted(maps.Keys(used)) {
		m := c.foreign[name]
		if m.Feature != "" {
			words = append(words, m.Feature)
		}
		former := c.formerly(name)
		if other := m.RenamedTo + former; other != "" && !used[other] {
			faults = append(faults, fmt.Sprintf("metric %q is %q in other versions", name, other))
		}
		if (m.Since != foreign.Version{}) && former == "" {
			words = append(words, m.Since.String())
		}
		for _, l := range m.Labels {
			if (l.Since != foreign.Version{}) && regexp.MustCompile(`\b`+l.Name+`\b`).MatchString(text) {
				words = append(words, l.Since.String())
			}
		}
	}
	return words, faults
}

// formerly is the name that a metric had in older versions.
func (c *catalogue) formerly(name string) string {
	for _, m := range c.foreign {
		if m.RenamedTo == name {
			return m.Name
		}
	}
	return ""
}

// grouping holds labels by which something is grouped or matched against those
// that its metrics have.
func (c *catalogue) grouping(of parser.Node, by []string, fault func(string, ...any)) {
	var known []string
	parser.Inspect(of, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			of, _ := c.labels(metricName(n))
			known = append(known, of...)
		case *parser.Call: // label_replace and label_join make a label
			if strings.HasPrefix(n.Func.Name, "label_") {
				known = append(known, strings.Trim(n.Args[1].String(), `"`))
			}
		}
		return nil
	})
	for _, label := range by {
		if !slices.Contains(known, label) {
			fault("grouped by %q, which no metric in %q has", label, of)
		}
	}
}

// logQL tells what is wrong with an expression for Loki.
func (c *catalogue) logQL(text string) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	expr, err := syntax.ParseExpr(text)
	if err != nil {
		return []string{err.Error()}
	}
	var used, made []string // labels of lines; made by label_format
	known := map[string]bool{}
	grouped := func(g *syntax.Grouping) {
		if g != nil {
			used = append(used, g.Groups...)
		}
	}
	expr.Walk(func(e syntax.Expr) bool {
		switch e := e.(type) {
		case *syntax.MatchersExpr:
			sources := c.matched(e.Mts)
			if len(sources) == 0 {
				fault("no source writes %s", e)
			}
			var stream []string
			for _, s := range sources {
				stream = append(stream, s.stream...)
				for _, name := range s.line {
					known[name] = true
				}
			}
			for _, m := range e.Mts {
				if !slices.Contains(stream, m.Name) {
					fault("no stream has the label %q", m.Name)
				}
			}
		case *syntax.LabelFilterExpr:
			used = append(used, e.RequiredLabelNames()...)
		case *syntax.LineFmtExpr:
			f, err := log.NewFormatter(e.Value)
			if err != nil {
				fault("line_format: %s", err)
				break
			}
			used = append(used, f.RequiredLabelNames()...)
		case *syntax.LabelFmtExpr:
			f, err := log.NewLabelsFormatter(e.Formats)
			if err != nil {
				fault("label_format: %s", err)
				break
			}
			used = append(used, f.RequiredLabelNames()...)
			for _, format := range e.Formats {
				made = append(made, format.Name)
			}
		case *syntax.LogRangeExpr:
			if e.Unwrap != nil {
				used = append(used, e.Unwrap.Identifier)
			}
		case *syntax.VectorAggregationExpr:
			grouped(e.Grouping)
		case *syntax.RangeAggregationExpr:
			grouped(e.Grouping)
		case *syntax.LineParserExpr, *syntax.LogfmtParserExpr, *syntax.JSONExpressionParserExpr, *syntax.LogfmtExpressionParserExpr:
			fault("parses lines again: %s", e)
		}
		return true
	})
	for _, name := range used {
		if !known[name] && !slices.Contains(made, name) && name != "__error__" {
			fault("no line has %q", name)
		}
	}
	return faults
}

// matched are the sources whose streams a selector may find.
func (c *catalogue) matched(matchers []*labels.Matcher) []names {
	var found []names
	for _, source := range slices.Sorted(maps.Keys(c.sources)) {
		fits := true
		for _, m := range matchers {
			if m.Name == "source" {
				fits = fits && m.Matches(source)
			}
			if m.Name == "job" {
				fits = fits && m.Matches(exporter.Job)
			}
			if !m.Matches("") { // so there is such a label
				fits = fits && slices.Contains(c.sources[source].stream, m.Name)
			}
		}
		if fits {
			found = append(found, c.sources[source])
		}
	}
	return found
}
