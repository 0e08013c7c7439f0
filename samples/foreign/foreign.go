// Package foreign has, as data, the metrics that Corkline's boards and rules
// take from others: Antrea's by version, and the few of Kubernetes and of
// processes.
package foreign

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed metrics.yaml
var metrics []byte

// Exporter is what is scraped from one kind of process. Its name is that of
// the scrape job, but of those that others include.
type Exporter struct {
	Name     string
	Includes []string
	// Metrics, with those of the exporters that it includes.
	Metrics []Metric
}

// Metric of an exporter.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Counts bool   // a gauge that only grows
	Help   string
	Labels []Label
	// Since and Until are the first and the last version of Antrea that has it;
	// zero for the oldest and the newest that there is.
	Since, Until Version
	// RenamedTo is its name after Until.
	RenamedTo string `yaml:"renamed_to"`
	// Feature of Antrea without which the value stays 0.
	Feature string
	// Buckets of a histogram; none for Prometheus's default ones.
	Buckets []float64
}

// Label of a metric.
type Label struct {
	Name   string
	Since  Version
	Values []string // where they are known
}

// In tells whether a version of Antrea has the metric.
func (m Metric) In(v Version) bool {
	return !v.before(m.Since) && (m.Until == Version{} || !m.Until.before(v))
}

// LabelsIn are the names of the labels that a version of Antrea gives it.
func (m Metric) LabelsIn(v Version) []string {
	var names []string
	for _, l := range m.Labels {
		if !v.before(l.Since) {
			names = append(names, l.Name)
		}
	}
	return names
}

// Exporters gives all of them, in the order of the file.
func Exporters() ([]Exporter, error) {
	var file struct{ Exporters []Exporter }
	d := yaml.NewDecoder(bytes.NewReader(metrics))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("decode the metrics of others: %w", err)
	}
	own := map[string][]Metric{}
	for i, e := range file.Exporters {
		own[e.Name] = e.Metrics
		for _, name := range e.Includes {
			included, ok := own[name]
			if !ok {
				return nil, fmt.Errorf("decode the metrics of others: %s includes %q, which is not above it", e.Name, name)
			}
			file.Exporters[i].Metrics = append(file.Exporters[i].Metrics, included...)
		}
	}
	return file.Exporters, nil
}

// Version of Antrea, as 1.13.
type Version struct{ Major, Minor int }

// ParseVersion takes 1.13, v1.13 and v1.13.2; the patch does not matter.
func ParseVersion(text string) (Version, error) {
	var v Version
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	if len(parts) < 2 || len(parts) > 3 {
		return v, fmt.Errorf("parse the version %q: want one such as 1.13", text)
	}
	for i, to := range []*int{&v.Major, &v.Minor} {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return Version{}, fmt.Errorf("parse the version %q: %w", text, err)
		}
		*to = int(n)
	}
	return v, nil
}

// String gives the form 1.13.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// UnmarshalYAML takes what ParseVersion takes.
func (v *Version) UnmarshalYAML(node *yaml.Node) (err error) {
	if node.Tag != "!!str" {
		return fmt.Errorf("line %d: quote the version %s: 1.10 is not 1.1", node.Line, node.Value)
	}
	*v, err = ParseVersion(node.Value)
	return err
}

func (v Version) before(other Version) bool {
	return v.Major < other.Major || v.Major == other.Major && v.Minor < other.Minor
}
