package conntrack

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
)

// Report is what the last poll found, for people and as JSON.
type Report struct {
	Time     time.Time         `json:"time"`
	Entries  uint64            `json:"entries"`
	Limit    uint64            `json:"limit"`
	Counters map[string]uint64 `json:"counters"` // by the names of their metrics, without prefix and suffix
	Missing  string            `json:"missing,omitempty"`

	// What follows is of the entries, and not there when they could not be read.
	Read     uint64            `json:"read,omitempty"`
	Took     float64           `json:"seconds,omitempty"`
	Statuses map[string]uint64 `json:"statuses,omitempty"`
	Zones    []ZoneEntries     `json:"zones,omitempty"`
	States   []StateEntries    `json:"states,omitempty"`
	Top      *Top              `json:"top,omitempty"`
	Floods   []Flood           `json:"floods,omitempty"`
	Forecast *Forecast         `json:"forecast,omitempty"`
}

// ZoneEntries are those of a zone and family.
type ZoneEntries struct {
	Zone    string `json:"zone"` // see ZoneName
	Family  string `json:"family"`
	Entries uint64 `json:"entries"`
}

// StateEntries are those of a protocol in a state.
type StateEntries struct {
	Protocol string `json:"protocol"`
	State    string `json:"state"` // see StateName
	Entries  uint64 `json:"entries"`
}

// Top lists, the biggest first.
type Top struct {
	Sources              []Talker `json:"sources"`
	Destinations         []Talker `json:"destinations"`
	Pairs                []Talker `json:"pairs"`
	HalfOpenSources      []Talker `json:"half_open_sources"`
	HalfOpenDestinations []Talker `json:"half_open_destinations"`
	HalfOpenPairs        []Talker `json:"half_open_pairs"`
}

// Talker is a source, a destination, or a pair, with its entries. They are at
// least AtLeast, and at most AtMost.
type Talker struct {
	Source         string `json:"src_ip,omitempty"`
	SourcePod      string `json:"src_pod,omitempty"`
	Destination    string `json:"dst_ip,omitempty"`
	DestinationPod string `json:"dst_pod,omitempty"`
	AtLeast        uint64 `json:"at_least"`
	AtMost         uint64 `json:"at_most"`
}

// Forecast of a table that fills.
type Forecast struct {
	Seconds    float64 `json:"seconds"` // until it is full
	Earliest   float64 `json:"earliest_seconds"`
	Latest     float64 `json:"latest_seconds"`
	Confidence float64 `json:"confidence"`
	Growth     float64 `json:"entries_per_second"`
}

// Flood is a flood or what looks like one, in the form of its event.
type Flood struct {
	Time     time.Time `json:"time"`
	Event    string    `json:"event"` // flood, scan or unanswered
	Phase    string    `json:"phase"` // start, ongoing or end
	Message  string    `json:"message"`
	ID       uint64    `json:"id"`
	Shape    string    `json:"shape"`
	Protocol string    `json:"protocol"`
	Since    time.Time `json:"since"`

	Destination    string `json:"dst_ip,omitempty"` // the victim
	DestinationPod string `json:"dst_pod,omitempty"`
	Port           uint16 `json:"dst_port,omitempty"`
	Backend        string `json:"backend_ip,omitempty"` // of a Service
	BackendPod     string `json:"backend_pod,omitempty"`
	// Source with most half-open entries; one of many of a flood with forged ones.
	Source    string   `json:"src_ip,omitempty"`
	SourcePod string   `json:"src_pod,omitempty"`
	Sources   []string `json:"sources,omitempty"` // more of them, with their pods

	HalfOpen        uint64  `json:"half_open"`
	Peak            uint64  `json:"peak"`
	Answered        uint64  `json:"answered"`
	Share           float64 `json:"share"`
	DistinctSources uint64  `json:"distinct_sources"`
	DistinctPorts   uint64  `json:"distinct_ports"`
	DistinctHosts   uint64  `json:"distinct_hosts"`
	NotAllowed      uint64  `json:"not_allowed"`
}

// Report tells what the last poll found; nil before the first.
func (c *Collector) Report() *Report {
	s := c.snapshot.Load()
	if s == nil {
		return nil
	}
	r := &Report{Time: s.at, Entries: s.facts.entries, Limit: s.facts.limit, Counters: map[string]uint64{}, Forecast: s.report()}
	for i, name := range counterNames {
		if s.has[i] {
			r.Counters[name] = s.totals[i]
		}
	}
	if err := errors.Join(s.why, s.unnamed); err != nil {
		r.Missing = missing(err)
	}
	if s.table == nil {
		return r
	}
	t := s.table
	r.Read, r.Took, r.Zones, r.States = t.entries, t.took.Seconds(), t.zones, t.states
	r.Statuses = map[string]uint64{}
	for _, status := range t.tally.statuses() {
		r.Statuses[status.name] = status.entries
	}
	a := t.analysis
	r.Top = &Top{
		Sources: c.talkers(a.Sources.Entries), Destinations: c.talkers(a.Destinations.Entries), Pairs: c.talkers(a.Pairs.Entries),
		HalfOpenSources: c.talkers(a.Sources.HalfOpen), HalfOpenDestinations: c.talkers(a.Destinations.HalfOpen), HalfOpenPairs: c.talkers(a.Pairs.HalfOpen),
	}
	for i := range a.Events {
		r.Floods = append(r.Floods, c.flood(s.at, &a.Events[i]))
	}
	return r
}

func (c *Collector) talkers(tops []analysis.Top) []Talker {
	all := make([]Talker, len(tops))
	for i, t := range tops {
		all[i] = Talker{
			Source: text(t.Source), SourcePod: c.owner(t.Source), Destination: text(t.Destination), DestinationPod: c.owner(t.Destination),
			AtLeast: t.AtLeast, AtMost: t.AtMost,
		}
	}
	return all
}

// text of an address; nothing of none.
func text(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return addr.String()
}

func (c *Collector) owner(addr netip.Addr) string { return resolve(c.options.Names, addr).String() }

// flood in the form of its event.
func (c *Collector) flood(at time.Time, e *analysis.Event) Flood {
	f := Flood{
		Time: at, Event: e.Kind.String(), Phase: e.Phase.String(), ID: e.ID, Shape: e.Shape.String(), Protocol: ProtocolName(e.Protocol), Since: e.Since,
		Destination: text(e.Victim), DestinationPod: c.owner(e.Victim), Port: e.Port,
		HalfOpen: e.HalfOpen, Peak: e.Peak, Answered: e.Answered, Share: math.Round(e.Share*1000) / 1000,
		DistinctSources: e.DistinctSources, DistinctPorts: e.DistinctPorts, DistinctHosts: e.DistinctHosts, NotAllowed: e.NotAllowed,
	}
	if e.Backend != e.Victim {
		f.Backend, f.BackendPod = text(e.Backend), c.owner(e.Backend)
	}
	for i, source := range e.Sources {
		name := text(source.Source)
		if owner := c.owner(source.Source); owner != "" {
			name += " (" + owner + ")"
		}
		if i == 0 {
			f.Source, f.SourcePod = text(source.Source), c.owner(source.Source)
		}
		f.Sources = append(f.Sources, name)
	}
	f.Message = f.message()
	return f
}

func (f *Flood) message() string {
	what := map[string]string{"flood": "flood of half-open connections", "scan": "scan", "unanswered": "connections without an answer"}[f.Event]
	to := "many hosts"
	if f.Destination != "" {
		to = f.Destination
		if f.Port > 0 {
			to = net.JoinHostPort(f.Destination, strconv.Itoa(int(f.Port)))
		}
		if f.DestinationPod != "" {
			to += " (" + f.DestinationPod + ")"
		}
	}
	from := fmt.Sprintf("about %d sources", f.DistinctSources)
	if f.DistinctSources <= uint64(len(f.Sources)) {
		from = strings.Join(f.Sources, ", ")
	}
	if f.Phase == "end" {
		return fmt.Sprintf("%s %s to %s is over; it had %d half-open entries at most", f.Protocol, what, to, f.Peak)
	}
	return fmt.Sprintf("%s %s to %s from %s: %d half-open entries, %d answered", f.Protocol, what, to, from, f.HalfOpen, f.Answered)
}

func (s *snapshot) report() *Forecast {
	if !s.growing {
		return nil
	}
	return NewForecast(s.forecast)
}

// NewForecast gives a forecast of the analysis in seconds.
func NewForecast(f analysis.Forecast) *Forecast {
	return &Forecast{f.Full.Seconds(), f.Earliest.Seconds(), f.Latest.Seconds(), f.Confidence, f.Growth}
}
