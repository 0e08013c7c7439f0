package simulation

import "context"

// StartSender lets tests send by syslog without a cluster.
func StartSender(s Syslog) *Sender { return &Sender{startSender(s)} }

// Sender of syslog.
type Sender struct{ sender *sender }

// Send takes lines.
func (s *Sender) Send(ctx context.Context, lines [][]byte) error { return s.sender.send(ctx, lines) }

// Stop ends it.
func (s *Sender) Stop() error { return s.sender.stop() }

// NetworkParts of a node: all but the load balancer's.
func NetworkParts(o Options) []Part {
	return partsOf(o, true, []string{"antrea-networkpolicy", "antrea-agent", "ovs-vswitchd", "ovsdb-server", "antrea-controller"})
}

// Rest is how many records are made that Next has not given yet.
func (g *Generator) Rest() int { return len(g.ends) - g.given }

// Appendf, AppendJSON and Texts are for tests.
func Appendf(to []byte, format string, args ...any) []byte { return appendf(to, format, args...) }

// AppendJSON quotes.
func AppendJSON(to []byte, text string) []byte { return appendJSON(to, text) }

// Texts are kept.
type Texts struct{ texts }

// Labels gives labels.
func (t *Texts) Labels(pairs ...string) string { return t.labels(pairs...) }

// LoadBalancer gives the parts of the load balancer, and of its operators.
func LoadBalancer(o Options) []Part { return partsOf(o, true, []string{"avi", "ako", "amko"}) }
