package ovs

import (
	"sync"
	"time"
)

// RuleBook knows the names of policy rules by the place that their flows have
// in the pipeline: Antrea's flows carry no names, its network-policy log does.
// A place may be that of several rules (all of Kubernetes' own policies share
// one), and may go to another rule: names that took turns within an hour name
// nothing. It is safe for concurrent use.
type RuleBook struct {
	mu    sync.Mutex
	names map[place]names
}

// place of a rule: the parts are those of the log's lines.
type place struct{ table, priority, action string }

type names struct {
	policy, rule string
	at, other    time.Time // when it was last shown, and when another was
}

const (
	maxNames = 20_000 // that are known at most
	turns    = time.Hour
)

// NewRuleBook gives an empty one.
func NewRuleBook() *RuleBook { return &RuleBook{names: map[place]names{}} }

// Show tells what a line of the log names at its own time, which lies far back
// in a backlog. What is shown anew allocates nothing.
func (b *RuleBook) Show(table, priority, action, policy, rule []byte, at time.Time) {
	if len(table) == 0 || len(priority) == 0 || len(policy) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, known := b.names[place{string(table), string(priority), string(action)}]
	switch {
	case known && n.policy == string(policy) && n.rule == string(rule):
		if at.Sub(n.at) < time.Minute {
			return
		}
		n.at = at
	case known:
		n = names{policy: string(policy), rule: string(rule), at: at, other: n.at}
	case len(b.names) >= maxNames:
		return
	default:
		n = names{policy: string(policy), rule: string(rule), at: at}
	}
	b.names[place{string(table), string(priority), string(action)}] = n
}

// Name gives the names of the only rule at a place, or none.
func (b *RuleBook) Name(table, priority, action string) (policy, rule string) {
	if b == nil {
		return "", ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.names[place{table, priority, action}]
	if !n.other.IsZero() && n.at.Sub(n.other) < turns {
		return "", ""
	}
	return n.policy, n.rule
}
