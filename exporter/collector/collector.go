// Package collector is what the agent and the collectors of polled state share.
package collector

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector polls state that nobody writes to a log. Collect gives what the
// last poll found, from memory; Describe gives all that Collect ever will.
// Polls do not overlap.
type Collector interface {
	prometheus.Collector
	// Name is the key of its configuration, and the value of the label collector.
	Name() string
	// Poll reads the state within the time of ctx, and puts what it finds in
	// place of what was there, at once. An error leaves that alone; it is
	// fs.ErrNotExist where this node has nothing to poll.
	Poll(ctx context.Context) error
}

// Pacer is a Collector that chooses the time until its next poll itself.
type Pacer interface {
	Interval() time.Duration
}

// Runner is a Collector with work between its polls, such as listening to
// events. Run returns when ctx ends.
type Runner interface {
	Run(ctx context.Context)
}

// Reporter is a Collector with facts for the status page, in their order.
type Reporter interface {
	Status() []Fact
}

// Fact is a row of the status page.
type Fact struct {
	Name, Value string
	Bad         bool // something that somebody should look at, such as a missing capability
}

// Events takes what a collector has to tell.
type Events interface {
	// Emit writes an event as a line of JSON to where the agent reads it like a
	// log, under the name of the collector with "-events" behind it. It does not
	// wait: what finds no room is counted.
	Emit(event any)
}
