// Package dashboards holds the Grafana dashboards of Corkline. They are written
// as Go values; make generate writes the JSON that is embedded.
package dashboards

import (
	_ "embed"

	"github.com/corkline/corkline/dashboards/grafana"
)

// Dashboard is one in Grafana's JSON, which provisioning and the HTTP API take
// as it is.
type Dashboard struct {
	// Stem names the signal that it shows, and its file.
	Stem string
	// UID and Title by which Grafana knows it.
	UID   string
	Title string
	JSON  []byte
}

//go:embed overview.json
var overviewJSON string

//go:embed antrea-networkpolicy.json
var networkPolicyJSON string

//go:embed antrea-agent.json
var antreaAgentJSON string

//go:embed antrea-agent-logs.json
var antreaLogsJSON string

//go:embed antrea-controller.json
var controllerJSON string

//go:embed ovs-pipeline.json
var ovsJSON string

//go:embed conntrack.json
var conntrackJSON string

//go:embed virtualservices.json
var virtualServicesJSON string

//go:embed connections.json
var connectionsJSON string

//go:embed dns.json
var dnsJSON string

//go:embed waf.json
var wafJSON string

//go:embed operators.json
var operatorsJSON string

//go:embed corkline.json
var agentJSON string

// boards in the order in which people see them.
var boards = []struct {
	stem  string
	board func() grafana.Board
	json  string // what board gives
}{
	{"overview", overview, overviewJSON},
	{"antrea-agent", antreaAgent, antreaAgentJSON},
	{"ovs-pipeline", ovs, ovsJSON},
	{"conntrack", conntrack, conntrackJSON},
	{"antrea-networkpolicy", networkPolicy, networkPolicyJSON},
	{"antrea-agent-logs", antreaLogs, antreaLogsJSON},
	{"antrea-controller", antreaController, controllerJSON},
	{"virtualservices", virtualServices, virtualServicesJSON},
	{"connections", l4Connections, connectionsJSON},
	{"dns", dns, dnsJSON},
	{"waf", waf, wafJSON},
	{"operators", operators, operatorsJSON},
	{"corkline", agent, agentJSON},
}

// All gives the dashboards that come with Corkline.
func All() []Dashboard {
	all := make([]Dashboard, len(boards))
	for i, b := range boards {
		board := b.board()
		all[i] = Dashboard{Stem: b.stem, UID: board.UID, Title: board.Title, JSON: []byte(b.json)}
	}
	return all
}

// The boards know each other by these.
const (
	overviewUID        = "corkline-overview"
	antreaAgentUID     = "corkline-antrea-agent"
	ovsUID             = "corkline-ovs"
	conntrackUID       = "corkline-conntrack"
	networkPolicyUID   = "corkline-networkpolicy"
	antreaLogsUID      = "corkline-antrea-agent-logs"
	controllerUID      = "corkline-antrea-controller"
	virtualServicesUID = "corkline-virtualservices"
	connectionsUID     = "corkline-connections"
	dnsUID             = "corkline-dns"
	wafUID             = "corkline-waf"
	operatorsUID       = "corkline-operators"
	agentUID           = "corkline-agent"

	tag = "corkline"
)

// stores are the variables of the datasources, by the names that Corkline's
// provisioner gives them.
func stores() []grafana.Variable {
	return []grafana.Variable{
		grafana.StoreVariable{Store: grafana.Prometheus, Label: "Prometheus", Name: "Corkline Prometheus", UID: "corkline-prometheus"},
		grafana.StoreVariable{Store: grafana.Loki, Label: "Loki", Name: "Corkline Loki", UID: "corkline-loki"},
	}
}

// places are the variables that say where the agents run. An agent always
// exposes its build, whatever it reads.
func places() []grafana.Variable {
	return []grafana.Variable{
		grafana.LabelVariable{Name: "cluster", Label: "Cluster", Selector: `corkline_build_info`, Of: "cluster"},
		grafana.LabelVariable{Name: "node", Label: "Node", Selector: `corkline_build_info{cluster=~"$cluster"}`, Of: "node"},
	}
}
