package simulation

// nodeParts are what runs on each node.
func nodeParts(o Options) []Part {
	return []Part{
		newNetworkPolicy(o),
		newAgent(o),
		newVSwitch(o),
		newOVSDB(o),
	}
}

// clusterParts are what a cluster has once. What they send by syslog is the
// load balancer's.
func clusterParts(o Options) []Part {
	return append([]Part{newAntreaController(o)}, LoadBalancer(o)...)
}

// Parts of a node that write logs; the first node also has what a cluster has
// once: Antrea's controller, the load balancer and its operators.
func Parts(o Options, first bool) []Part {
	parts := nodeParts(o)
	if first {
		parts = append(parts, clusterParts(o)...)
	}
	return parts
}

// Definitions of the logs of a node.
func Definitions(first bool) []string {
	names := []string{"antrea-networkpolicy", "antrea-agent", "ovs-vswitchd", "ovsdb-server"}
	if first {
		names = append(names, "antrea-controller", "ako", "amko", "avi-waf", "avi-dns", "avi-connection", "avi-application", "avi-event")
	}
	return names
}
