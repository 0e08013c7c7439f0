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

// clusterParts are what a cluster has once.
func clusterParts(o Options) []Part {
	return []Part{
		newController(o),
	}
}
