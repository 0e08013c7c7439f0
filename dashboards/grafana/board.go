// Package grafana writes Grafana dashboards: their JSON as Go values, with what
// Corkline's boards have in common built in.
package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// schemaVersion is that of Grafana 11.0. Later ones migrate it when they load
// a board; pluginVersion keeps them from migrating panels as if they were of
// Grafana 6.
const (
	schemaVersion = 39
	pluginVersion = "11.0.0"
)

const columns = 24 // of Grafana's grid

// Board is a dashboard.
type Board struct {
	UID         string
	Title       string
	Description string
	Tags        []string
	// LinkTag names the boards that the head of this one links to. The links
	// carry the time range and the variables.
	LinkTag   string
	Variables []Variable
	Rows      []Row
}

// Row is a headline with panels below it.
type Row struct {
	Title  string
	Panels []Panel
}

// JSON of the board, the same for the same board.
func (b Board) JSON() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // people read the expressions
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(b.form()); err != nil {
		return nil, fmt.Errorf("encode dashboard %q: %w", b.UID, err)
	}
	return text.Bytes(), nil
}

type object = map[string]any

// boardForm is the JSON of a board.
type boardForm struct {
	UID                  string      `json:"uid"`
	Title                string      `json:"title"`
	Description          string      `json:"description"`
	Tags                 []string    `json:"tags"`
	SchemaVersion        int         `json:"schemaVersion"`
	Editable             bool        `json:"editable"`
	GraphTooltip         int         `json:"graphTooltip"`
	FiscalYearStartMonth int         `json:"fiscalYearStartMonth"`
	Timezone             string      `json:"timezone"`
	Refresh              string      `json:"refresh"`
	Time                 object      `json:"time"`
	Timepicker           object      `json:"timepicker"`
	Annotations          object      `json:"annotations"`
	Links                []object    `json:"links"`
	Templating           object      `json:"templating"`
	Panels               []panelForm `json:"panels"`
}

func (b Board) form() boardForm {
	variables := make([]object, len(b.Variables))
	for i, v := range b.Variables {
		variables[i] = v.form()
	}
	return boardForm{
		UID: b.UID, Title: b.Title, Description: b.Description, Tags: b.Tags,
		SchemaVersion: schemaVersion,
		Editable:      true,
		GraphTooltip:  1, // one crosshair over all panels
		Timezone:      "browser",
		Refresh:       "30s",
		Time:          object{"from": "now-1h", "to": "now"},
		Timepicker:    object{},
		Annotations:   object{"list": b.annotations()},
		Links: []object{{
			"title": "Boards", "type": "dashboards", "tags": []string{b.LinkTag},
			"asDropdown": true, "includeVars": true, "keepTime": true, "targetBlank": false,
			"icon": "external link", "tooltip": "", "url": "",
		}},
		Templating: object{"list": variables},
		Panels:     b.panels(),
	}
}

// panels are laid out as they are written: from left to right, and below when
// a line is full.
func (b Board) panels() []panelForm {
	var all []panelForm
	add := func(p panelForm, x, y, width, height int) {
		p.ID = len(all) + 1
		p.GridPos = gridPos{Height: height, Width: width, X: x, Y: y}
		all = append(all, p)
	}
	y := 0
	for _, row := range b.Rows {
		add(panelForm{Type: "row", Title: row.Title, Collapsed: new(bool), Panels: &[]panelForm{}}, 0, y, columns, 1)
		y++
		x, tallest := 0, 0
		for _, p := range row.Panels {
			if x+p.Width > columns {
				x, y, tallest = 0, y+tallest, 0
			}
			add(p.form(), x, y, p.Width, p.Height)
			x, tallest = x+p.Width, max(tallest, p.Height)
		}
		y += tallest
	}
	return all
}
