package simulation

import "slices"

// source is what writes the log that a source of the agent reads.
type source struct {
	name  string // as Source has it
	parts []Part
}

// nodeSources are what runs on each node.
func nodeSources(o Options) []source {
	return []source{
		{"antrea-networkpolicy", []Part{newNetworkPolicy(o)}},
		{"antrea-agent", []Part{newAgent(o)}},
		{"ovs-vswitchd", []Part{newVSwitch(o)}},
		{"ovsdb-server", []Part{newOVSDB(o)}},
	}
}

// clusterSources are what a cluster has once. What they send by syslog is the
// load balancer's.
func clusterSources(o Options) []source {
	return []source{
		{"antrea-controller", []Part{newAntreaController(o)}},
		{"avi", []Part{newServiceEngines(o), newController(o)}},
		{"ako", []Part{newAKO(o)}},
		{"amko", []Part{newAMKO(o)}},
	}
}

func sources(o Options, first bool) []source {
	all := nodeSources(o)
	if first {
		all = append(all, clusterSources(o)...)
	}
	return all
}

// Parts of a node that write logs; the first node also has what a cluster has
// once: Antrea's controller, the load balancer and its operators.
func Parts(o Options, first bool) []Part { return partsOf(o, first, nil) }

// partsOf some sources, or of all for nil.
func partsOf(o Options, first bool, names []string) (parts []Part) {
	for _, s := range sources(o, first) {
		if names == nil || slices.Contains(names, s.name) {
			parts = append(parts, s.parts...)
		}
	}
	return parts
}

// Sources of all logs.
func Sources() (names []string) {
	for _, s := range sources(Options{}, true) {
		names = append(names, s.name)
	}
	return names
}

// Definitions of the logs of a node.
func Definitions(first bool) []string {
	names := []string{"antrea-networkpolicy", "antrea-agent", "ovs-vswitchd", "ovsdb-server"}
	if first {
		names = append(names, "antrea-controller", "ako", "amko", "avi-waf", "avi-dns", "avi-connection", "avi-application", "avi-event")
	}
	return names
}
