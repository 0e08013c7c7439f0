package simulation

import (
	"fmt"
	"hash/fnv"
	"net/netip"
)

// Names that all parts of the cluster use.
const (
	Cluster   = "simulated"
	Namespace = "shop"

	// Bridge that the Pods are on.
	Bridge = "br-int"
	// FlowsPerPod are added to it for each Pod, and deleted with it.
	FlowsPerPod = 12

	// The policies of the stories.
	RejectPolicy = "AntreaNetworkPolicy:shop/catalog-closed"
	RejectRule   = "reject-frontend"
	// A Kubernetes policy without rules isolates Pods; the log has no name of it.
	DefaultDenyPolicy = "K8sNetworkPolicy"

	// What the load balancer serves.
	VirtualService = "shop-https" // L7, with WAF
	Pool           = "shop-web-pool"
	L4Service      = "shop-tcp" // L4
	L4Pool         = "shop-payments-pool"
	DNSService     = "gslb-dns"
	GSLBService    = "shop-gs"
	GSLBName       = "shop.example.com"
)

// Pod of the cluster.
type Pod struct {
	Name    string
	Address netip.Addr
}

// String gives namespace and name.
func (p Pod) String() string { return Namespace + "/" + p.Name }

// Interface is the name of the Pod's port on the bridge: the first eight bytes
// of its name, and six digits that tell it from others.
func (p Pod) Interface() string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(p.String())) // it cannot fail
	return fmt.Sprintf("%s-%06x", p.Name[:min(8, len(p.Name))], hash.Sum32()&0xffffff)
}

// Actor is a Pod that a story is about, each with an address of its own.
type Actor int

// The Pods that are always there.
const (
	Frontend Actor = iota
	Catalog
	Payments
	LoadTest // who floods
	DNS
)

// Pod of an actor.
func (a Actor) Pod() Pod {
	names := [...]string{Frontend: "frontend-0", Catalog: "catalog-0", Payments: "payments-0", LoadTest: "loadtest-0", DNS: "dns-0"}
	return Pod{Name: names[a], Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(2 + a)})}
}

// Web gives a replica of shop/web, from 0.
func Web(replica int) Pod {
	return Pod{Name: fmt.Sprintf("web-%d", replica), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + replica)})}
}

// webs are all replicas that there may be, for parts that name them often.
func webs() []Pod {
	all := make([]Pod, 100)
	for i := range all {
		all[i] = Web(i)
	}
	return all
}

// Pods on the node in a moment.
func (m Moment) Pods() []Pod {
	pods := []Pod{Frontend.Pod(), Catalog.Pod(), Payments.Pod(), LoadTest.Pod(), DNS.Pod()}
	for i := range m.Replicas {
		pods = append(pods, Web(i))
	}
	return pods
}

// Member of the pool shop-web-pool; the third one is slow in the story.
func Member(i int) Pod { return Web(i) }

// Members of the pool.
const (
	Members    = 4
	SlowServer = 2
)

// Site of the GSLB service.
type Site struct {
	Name    string
	Address netip.Addr
	Weight  int
}

// Sites of the GSLB service; the first one fails in the story.
func Sites() []Site {
	return []Site{
		{"frankfurt", netip.MustParseAddr("198.51.100.61"), 6},
		{"dublin", netip.MustParseAddr("198.51.100.62"), 3},
		{"oslo", netip.MustParseAddr("198.51.100.63"), 1},
	}
}
