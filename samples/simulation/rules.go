package simulation

// Rule of a policy that the cluster has, as Antrea places its flows in the
// pipeline of the node and names it in the log of network policies.
type Rule struct {
	ID       uint32 // conjunction of its flows
	Table    string
	Priority int // of its flows, which the log tells
	Policy   string
	Name     string
	// Direction is Ingress or Egress, Action Allow, Drop or Reject.
	Direction, Action string
	From, To          []Pod  // nil for all Pods, and for anybody
	Protocol          string // tcp or udp
	Port              uint16
	// Story during which the rule is there; empty for always.
	Story Story
}

// Rules of the cluster that have flows of their own. Beside them is the policy
// without rules of the story DefaultDeny.
func Rules() []Rule {
	return []Rule{
		{
			ID: 10, Table: "AntreaPolicyEgressRule", Priority: 14500, Policy: "AntreaClusterNetworkPolicy:baseline", Name: "allow-dns",
			Direction: "Egress", Action: "Allow", To: []Pod{DNS.Pod()}, Protocol: "udp", Port: DNSPort,
		},
		{
			ID: 11, Table: "AntreaPolicyEgressRule", Priority: 14400, Policy: "AntreaClusterNetworkPolicy:baseline", Name: "drop-telnet",
			Direction: "Egress", Action: "Drop", Protocol: "tcp", Port: 23,
		},
		{
			ID: 12, Table: "AntreaPolicyIngressRule", Priority: 14500, Policy: "AntreaNetworkPolicy:shop/dns-open", Name: "allow-pods",
			Direction: "Ingress", Action: "Allow", To: []Pod{DNS.Pod()}, Protocol: "udp", Port: DNSPort,
		},
		{
			ID: 13, Table: "AntreaPolicyIngressRule", Priority: 14600, Policy: RejectPolicy, Name: RejectRule,
			Direction: "Ingress", Action: "Reject", From: []Pod{Frontend.Pod()}, To: []Pod{Catalog.Pod()}, Protocol: "tcp", Port: CatalogPort, Story: Rejected,
		},
		{ // which nobody needs any more
			ID: 14, Table: "AntreaPolicyIngressRule", Priority: 14300, Policy: "AntreaNetworkPolicy:shop/payments-legacy", Name: "allow-old-port",
			Direction: "Ingress", Action: "Allow", To: []Pod{Payments.Pod()}, Protocol: "tcp", Port: 8182,
		},
	}
}

// Ports on which the Pods listen.
const (
	DNSPort      = 53
	WebPort      = 8080
	CatalogPort  = 8081
	PaymentsPort = 8082
)
