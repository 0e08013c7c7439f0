package foreign

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestExporters(t *testing.T) {
	exporters, err := Exporters()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exporters {
		all := map[string]Metric{}
		for _, m := range e.Metrics {
			if _, there := all[m.Name]; there {
				t.Errorf("%s has %s twice", e.Name, m.Name)
			}
			all[m.Name] = m
		}
		for _, m := range e.Metrics {
			if !slices.Contains([]string{"counter", "gauge", "histogram"}, m.Type) || !strings.HasSuffix(m.Help, ".") {
				t.Errorf("%s: type %q, help %q", m.Name, m.Type, m.Help)
			}
			if len(m.Buckets) > 0 && (m.Type != "histogram" || !slices.IsSorted(m.Buckets)) {
				t.Errorf("%s: buckets %v of a %s", m.Name, m.Buckets, m.Type)
			}
			// Of a metric that was renamed, each version has one of the names.
			if (m.RenamedTo == "") != (m.Until == Version{}) {
				t.Errorf("%s: until %s, renamed to %q", m.Name, m.Until, m.RenamedTo)
			} else if m.RenamedTo != "" && all[m.RenamedTo].Since != (Version{m.Until.Major, m.Until.Minor + 1}) {
				t.Errorf("%s: until %s, but %s since %s", m.Name, m.Until, m.RenamedTo, all[m.RenamedTo].Since)
			}
		}
	}
	names := func(version string) (names []string) {
		v, err := ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range exporters {
			for _, m := range e.Metrics {
				if m.In(v) {
					names = append(names, m.Name+strings.Join(m.LabelsIn(v), ","))
				}
			}
		}
		return names
	}
	f := func(name, from, before string) {
		t.Helper()
		if slices.Contains(names(before), name) || !slices.Contains(names(from), name) {
			t.Errorf("%s is not in %s only, but not in %s", name, from, before)
		}
	}
	f("antrea_agent_ovs_flow_counttable_id,table_name", "1.12", "1.11")
	f("antrea_agent_ovs_flow_counttable_id", "1.11", "1.12")
	f("antrea_agent_ovs_meter_packet_dropped_countmeter_id", "v1.13.2", "1.12.1")
	f("antrea_controller_annp_status_updates", "2.0", "1.9")
	f("antrea_controller_anp_status_updates", "1.7", "1.13")
	f("antrea_agent_conntrack_poll_cycle_duration_seconds", "2.5", "2.4")
}

func TestParseVersion(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		v, err := ParseVersion(text)
		if err != nil || v.String() != want {
			t.Errorf("ParseVersion(%q) = %s, %v", text, v, err)
		}
	}
	f("1.13", "1.13")
	f("v2.4.1", "2.4")
	for _, text := range []string{"", "2", "1.x", "1.2.3.4", "-1.2", "1.99999"} {
		if v, err := ParseVersion(text); err == nil {
			t.Errorf("ParseVersion(%q) = %s", text, v)
		}
	}
	var m Metric
	if err := yaml.Unmarshal([]byte("since: 1.10"), &m); err == nil {
		t.Error("a number was taken for a version")
	}
}
