package grafana

import "strings"

// Store is a type of datasource. A board takes its datasource of a type from
// the variable of the same name.
type Store string

// The stores.
const (
	Prometheus Store = "prometheus"
	Loki       Store = "loki"
)

func (s Store) reference() *reference {
	return &reference{Type: string(s), UID: "${" + string(s) + "}"}
}

type reference struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Variable of a board.
type Variable interface{ form() object }

// StoreVariable chooses the datasource of a store.
type StoreVariable struct {
	Store Store
	Label string
	// Name and UID of the datasource that is taken when it exists; else
	// Grafana takes its first.
	Name string
	UID  string
}

func (v StoreVariable) form() object {
	return object{
		"type": "datasource", "name": string(v.Store), "label": v.Label,
		"query": string(v.Store), "regex": "", "refresh": 1, "hide": 0, "skipUrlSync": false,
		"multi": false, "includeAll": false, "options": []object{},
		"current": object{"selected": false, "text": v.Name, "value": v.UID},
	}
}

// LabelVariable chooses values of a label of a Prometheus metric: several, or
// all. All stands for every value, also for none, so that a board works where
// a scrape sets no such label.
type LabelVariable struct {
	Name     string
	Label    string
	Selector string // the series, as in PromQL
	Of       string // the label
}

func (v LabelVariable) form() object {
	query := "label_values(" + v.Selector + ", " + v.Of + ")"
	return object{
		"type": "query", "name": v.Name, "label": v.Label,
		"datasource": Prometheus.reference(), "definition": query,
		"query": object{"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		"regex": "", "refresh": 2, "sort": 1, "hide": 0, "skipUrlSync": false,
		"multi": true, "includeAll": true, "allValue": ".*", "options": []object{},
		"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
	}
}

// ListVariable chooses several of a fixed list, or all.
type ListVariable struct {
	Name   string
	Label  string
	Values []string
}

func (v ListVariable) form() object {
	options := []object{{"selected": true, "text": "All", "value": "$__all"}}
	for _, value := range v.Values {
		options = append(options, object{"selected": false, "text": value, "value": value})
	}
	return object{
		"type": "custom", "name": v.Name, "label": v.Label, "query": strings.Join(v.Values, ","),
		"hide": 0, "skipUrlSync": false,
		"multi": true, "includeAll": true, "allValue": ".*", "options": options,
		"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}},
	}
}

// ChoiceVariable chooses one of a fixed list, at first the first.
type ChoiceVariable struct {
	Name        string
	Label       string
	Description string
	Values      []string
}

func (v ChoiceVariable) form() object {
	var options []object
	for i, value := range v.Values {
		options = append(options, object{"selected": i == 0, "text": value, "value": value})
	}
	return object{
		"type": "custom", "name": v.Name, "label": v.Label, "description": v.Description, "query": strings.Join(v.Values, ","),
		"hide": 0, "skipUrlSync": false, "multi": false, "includeAll": false, "options": options, "current": options[0],
	}
}

// TextVariable is typed in.
type TextVariable struct {
	Name        string
	Label       string
	Description string
}

func (v TextVariable) form() object {
	empty := object{"selected": true, "text": "", "value": ""}
	return object{
		"type": "textbox", "name": v.Name, "label": v.Label, "description": v.Description,
		"query": "", "hide": 0, "skipUrlSync": false, "options": []object{empty}, "current": empty,
	}
}
