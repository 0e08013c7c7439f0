package ovs

import "time"

// event is a line of source ovs-events.
type event struct {
	Event  string `json:"event"`
	Time   string `json:"time"` // RFC 3339 with nanoseconds, UTC
	Bridge string `json:"bridge,omitempty"`
	broken
	Missing string `json:"missing,omitempty"` // what an invariant lacks

	// Of flow_churn: what changed between two dumps of all flows.
	Flows         *int    `json:"flows,omitempty"`
	Adds          *int    `json:"adds,omitempty"`
	Deletes       *int    `json:"deletes,omitempty"`
	Modifications *int    `json:"modifications,omitempty"`
	Seconds       float64 `json:"seconds,omitempty"`

	Pipeline string `json:"pipeline,omitempty"` // of pipeline_recognized: the generation
	Round    *int   `json:"round,omitempty"`    // of agent_restarted
	Reason   string `json:"reason,omitempty"`   // of bridge_down
}

func (c *Collector) emit(e event) {
	if c.options.Events == nil {
		return
	}
	e.Time = c.options.Now().UTC().Format(time.RFC3339Nano)
	c.options.Events.Emit(e)
}
