// Package provisioner puts Corkline's dashboards and datasources where Grafana
// finds them, makes the buckets that Loki needs, and tells whether the panels
// have data.
package provisioner

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/corkline/corkline/dashboards"
)

// uidForm is what Grafana takes as a uid.
var uidForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// LoadDashboard reads a dashboard from a JSON file. It fails, naming the file,
// when that holds none, or one that Grafana cannot be provisioned with.
func LoadDashboard(file string) (dashboards.Dashboard, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return dashboards.Dashboard{}, fmt.Errorf("read a dashboard: %w", err)
	}
	stem := strings.TrimSuffix(filepath.Base(file), ".json")
	d, err := parseDashboard(stem, text)
	if err != nil {
		return dashboards.Dashboard{}, fmt.Errorf("read the dashboard %s: %w", file, err)
	}
	return d, nil
}

func parseDashboard(stem string, text []byte) (dashboards.Dashboard, error) {
	var fields struct {
		UID       string          `json:"uid"`
		Title     string          `json:"title"`
		Panels    json.RawMessage `json:"panels"`
		Inputs    json.RawMessage `json:"__inputs"`
		Dashboard json.RawMessage `json:"dashboard"`
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		return dashboards.Dashboard{}, fmt.Errorf("it is not a JSON object of a dashboard: %w", err)
	}
	switch {
	case fields.Dashboard != nil && fields.Panels == nil:
		return dashboards.Dashboard{}, fmt.Errorf("it is an answer of Grafana's API; keep what is under its key %q", "dashboard")
	case fields.Inputs != nil:
		return dashboards.Dashboard{}, errors.New("it was exported for sharing and has __inputs, which provisioning does not fill; export it without")
	case !uidForm.MatchString(fields.UID):
		return dashboards.Dashboard{}, fmt.Errorf("its uid %q is not one to 40 letters, digits, - and _; give it a fixed one", fields.UID)
	case fields.Title == "":
		return dashboards.Dashboard{}, errors.New("it has no title")
	}
	return dashboards.Dashboard{Stem: stem, UID: fields.UID, Title: fields.Title, JSON: text}, nil
}

// check holds dashboards that did not come from LoadDashboard to the same, and
// all to differing uids and stems.
func check(boards []dashboards.Dashboard) error {
	uids, stems := map[string]string{}, map[string]bool{}
	for _, d := range boards {
		parsed, err := parseDashboard(d.Stem, d.JSON)
		if err != nil {
			return fmt.Errorf("check the dashboard %s.json: %w", d.Stem, err)
		}
		if other, taken := uids[parsed.UID]; taken {
			return fmt.Errorf("check the dashboard %s.json: %s.json has the same uid %q", d.Stem, other, parsed.UID)
		}
		if stems[d.Stem] {
			return fmt.Errorf("check the dashboards: two are called %s.json", d.Stem)
		}
		uids[parsed.UID], stems[d.Stem] = d.Stem, true
	}
	return nil
}
