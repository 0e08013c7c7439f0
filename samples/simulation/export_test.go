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
func NetworkParts(o Options) []Part { return append(nodeParts(o), newAntreaController(o)) }

// Rest is how many records are made that Next has not given yet.
func (g *Generator) Rest() int { return len(g.ends) - g.given }
