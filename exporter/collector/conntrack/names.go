package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Owner of an address. The zero value is an unknown one.
type Owner struct {
	Namespace, Pod string // of a pod
	Node           string // of a node, or whatever else bears the address
}

// ParseOwner reads namespace/pod, or the name of a node.
func ParseOwner(text string) (Owner, error) {
	namespace, pod, isPod := strings.Cut(text, "/")
	if text == "" || isPod && (namespace == "" || pod == "" || strings.Contains(pod, "/")) {
		return Owner{}, fmt.Errorf("%q is neither namespace/pod nor a name", text)
	}
	if isPod {
		return Owner{Namespace: namespace, Pod: pod}, nil
	}
	return Owner{Node: text}, nil
}

// String gives namespace/pod, or the node's name; nothing of an unknown owner.
func (o Owner) String() string {
	if o.Pod != "" {
		return o.Namespace + "/" + o.Pod
	}
	return o.Node
}

// Resolver tells whose an address is. It is safe for concurrent use.
type Resolver interface {
	Resolve(netip.Addr) (Owner, bool)
}

// Refresher is a Resolver that is asked before each poll to look at what it
// resolves by. What it knew goes on when it fails.
type Refresher interface {
	Refresh(ctx context.Context) error
}

// Names is a Resolver with a fixed table. The longest prefix wins.
type Names map[netip.Prefix]Owner

// Resolve implements Resolver.
func (n Names) Resolve(addr netip.Addr) (Owner, bool) {
	if len(n) == 0 {
		return Owner{}, false
	}
	for bits := addr.BitLen(); bits >= 0; bits-- {
		prefix, err := addr.Prefix(bits)
		if err != nil {
			return Owner{}, false
		}
		if owner, ok := n[prefix]; ok {
			return owner, true
		}
	}
	return Owner{}, false
}

// Resolvers are asked in turn.
type Resolvers []Resolver

// Resolve implements Resolver.
func (r Resolvers) Resolve(addr netip.Addr) (Owner, bool) {
	for _, one := range r {
		if owner, ok := one.Resolve(addr); ok {
			return owner, true
		}
	}
	return Owner{}, false
}

// Refresh implements Refresher.
func (r Resolvers) Refresh(ctx context.Context) error {
	var errs []error
	for _, one := range r {
		if refresher, is := one.(Refresher); is {
			errs = append(errs, refresher.Refresh(ctx))
		}
	}
	return errors.Join(errs...)
}
