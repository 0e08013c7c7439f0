package dashboards

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana-tools/sdk"

	"github.com/corkline/corkline/datasources"
)

var update = flag.Bool("update", false, "write the dashboards anew")

// TestGolden writes the boards as the JSON that is embedded.
func TestGolden(t *testing.T) {
	for _, b := range boards {
		got, err := b.board().JSON()
		if err != nil {
			t.Fatal(err)
		}
		file := b.stem + ".json"
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("read the dashboard (write it with make generate): %s", err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
			t.Errorf("%s is not what the code says (-file +code); make generate:\n%s", file, diff)
		}
	}
}

func TestAll(t *testing.T) {
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	var stems []string
	for _, d := range All() {
		stems = append(stems, d.Stem+".json")
		var head struct{ UID, Title string }
		if err := json.Unmarshal(d.JSON, &head); err != nil {
			t.Fatalf("%s: %s", d.Stem, err)
		}
		if head.UID != d.UID || head.Title != d.Title {
			t.Errorf("%s: the JSON has uid %q and title %q, not %q and %q", d.Stem, head.UID, head.Title, d.UID, d.Title)
		}
	}
	slices.Sort(stems)
	if diff := cmp.Diff(files, stems); diff != "" {
		t.Errorf("the folder and All differ (-folder +All):\n%s", diff)
	}
}

// The boards take the datasources that our provisioner makes, when they exist.
func TestStores(t *testing.T) {
	all, err := datasources.All(datasources.Stores{
		Prometheus: datasources.Store{URL: "http://prometheus"}, Loki: datasources.Store{URL: "http://loki"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var provisioned, taken []string
	for _, d := range all {
		provisioned = append(provisioned, strings.Join([]string{d.Type, d.Name, d.UID}, " "))
	}
	for _, v := range lint(t, All()[0]).Templating.List[:2] {
		taken = append(taken, strings.Join([]string{v.Query.(string), v.Current.Text.Value[0], v.Current.Value.(string)}, " "))
	}
	if diff := cmp.Diff(provisioned, taken); diff != "" {
		t.Errorf("(-provisioned +taken):\n%s", diff)
	}
}

// lint reads a board as Grafana's clients do.
func lint(t *testing.T, d Dashboard) sdk.Board {
	t.Helper()
	var board sdk.Board
	if err := json.Unmarshal(d.JSON, &board); err != nil {
		t.Fatalf("%s: grafana-tools/sdk cannot read it: %s", d.Stem, err)
	}
	return board
}

func TestLint(t *testing.T) {
	uids := map[string]string{}
	for _, d := range All() {
		board := lint(t, d)
		if other, taken := uids[board.UID]; taken || board.UID == "" {
			t.Errorf("%s: the uid %q is taken by %q", d.Stem, board.UID, other)
		}
		uids[board.UID] = d.Stem
		if board.Title == "" || !board.HasTag("corkline") || board.SchemaVersion < 39 || board.ID != 0 {
			t.Errorf("%s: title %q, tags %q, schemaVersion %d, id %d", d.Stem, board.Title, board.Tags, board.SchemaVersion, board.ID)
		}
		if strings.Contains(string(d.JSON), "__inputs") || strings.Contains(string(d.JSON), "DS_") {
			t.Errorf("%s: is an export for sharing, which provisioning cannot load", d.Stem)
		}
		for _, link := range board.Links {
			if !link.IncludeVars || link.KeepTime == nil || !*link.KeepTime {
				t.Errorf("%s: link %q does not carry time and variables", d.Stem, link.Title)
			}
		}
		ids, titles := map[uint]bool{}, map[string]bool{}
		for i, p := range board.Panels {
			if p.Title == "" || titles[p.Title] || ids[p.ID] {
				t.Errorf("%s: panel %d (%q) has no title, or the title or id of another", d.Stem, p.ID, p.Title)
			}
			ids[p.ID], titles[p.Title] = true, true
			a := spotOf(p)
			if a.x < 0 || a.x+a.w > 24 || a.w < 1 || a.h < 1 {
				t.Errorf("%s: %q does not fit the grid: %+v", d.Stem, p.Title, a)
			}
			for _, other := range board.Panels[:i] {
				if b := spotOf(other); a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
					t.Errorf("%s: %q lies over %q", d.Stem, p.Title, other.Title)
				}
			}
		}
		lintPanels(t, d, variables(board))
	}
}

func variables(board sdk.Board) []string {
	var names []string
	for _, v := range board.Templating.List {
		names = append(names, v.Name)
	}
	return names
}

type spot struct{ x, y, w, h int }

func spotOf(p *sdk.Panel) spot {
	return spot{*p.GridPos.X, *p.GridPos.Y, *p.GridPos.W, *p.GridPos.H}
}

// lintPanels looks at what the sdk drops when it reads a panel.
func lintPanels(t *testing.T, d Dashboard, variables []string) {
	t.Helper()
	type reference struct{ Type, UID string }
	var board struct {
		Panels []struct {
			Type, Title, Description string
			Datasource               reference
			FieldConfig              struct {
				Defaults struct{ Unit string }
			}
			Targets []struct {
				RefID, Expr string
				Datasource  reference
			}
		}
	}
	if err := json.Unmarshal(d.JSON, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		if p.Type == "row" {
			continue
		}
		if p.Description == "" {
			t.Errorf("%s: %q has no description", d.Stem, p.Title)
		}
		if p.Type == "text" {
			continue
		}
		if p.FieldConfig.Defaults.Unit == "" && p.Type != "logs" {
			t.Errorf("%s: %q has no unit", d.Stem, p.Title)
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s: %q has no query", d.Stem, p.Title)
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			name := strings.Trim(target.Datasource.UID, "${}")
			if target.Datasource != p.Datasource || target.Datasource.UID != "${"+name+"}" || !slices.Contains(variables, name) {
				t.Errorf("%s: %q does not take its datasource from a variable: %+v", d.Stem, p.Title, target.Datasource)
			}
			if refs[target.RefID] || target.Expr == "" {
				t.Errorf("%s: %q has a query %q that is empty or there twice", d.Stem, p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
	}
}
