package simulation

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// Log says which lines a Generator makes.
type Log struct {
	// Definition that reads them, one of Definitions(true); empty for
	// antrea-networkpolicy.
	Definition string
	// Seed decides every line; equal logs have equal lines.
	Seed uint64
	// Start is the time that the lines follow; zero for 2024-01-01.
	Start time.Time
	// Step is the mean time between two lines, zero for a millisecond. It is a
	// microsecond at least, and a millisecond where lines have nothing finer to
	// tell them apart (avi-event).
	Step time.Duration
	// Layouts of network policies, each as often; see Layouts. None means the
	// newest only.
	Layouts []string
}

// Series is what lines count for: as Output.Count has it.
type Series struct{ Metric, Labels string }

// Generator makes the lines that a log has on an ordinary day, without end, each
// of them once. It is not safe for concurrent use.
type Generator struct {
	talker talker
	rng    *rand.Rand // of the steps
	step   int64      // mean, in units
	unit   time.Duration
	moment Moment
	start  time.Time
	now    time.Time

	text   []byte // that nobody has got yet, with line ends
	ends   []int  // of the records in it
	given  int    // records of them
	totals map[Series]float64
}

// talker is a part that says something by itself.
type talker interface {
	// say something of an ordinary day at a time: a record or more.
	say(m Moment, at time.Time, out Output)
}

// usual is how many Pods the Deployment has on a node on an ordinary day.
const usual = 60

// NewGenerator fails when there is no such log, or layout.
func NewGenerator(log Log) (*Generator, error) {
	if log.Definition == "" {
		log.Definition = "antrea-networkpolicy"
	}
	if log.Start.IsZero() {
		log.Start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if log.Step == 0 {
		log.Step = time.Millisecond
	}
	start := log.Start.UTC().Truncate(time.Microsecond)
	o := Options{Seed: log.Seed, Start: start, Rate: 1, Node: NodeName(0)}
	g := &Generator{
		rng: o.Random("steps of " + log.Definition), unit: time.Microsecond, start: start, now: start,
		totals: map[Series]float64{},
	}
	var eras []layout
	for _, name := range log.Layouts {
		era := slices.Index(Layouts(), name)
		if era < 0 || log.Definition != "antrea-networkpolicy" {
			return nil, fmt.Errorf("make lines of %s: there is no layout %q", log.Definition, name)
		}
		eras = append(eras, layout(era))
	}
	switch log.Definition {
	case "antrea-networkpolicy":
		g.talker = anyNetworkPolicy(o, eras...)
	case "antrea-agent":
		g.talker = newAgent(o)
	case "antrea-controller":
		g.talker = newAntreaController(o)
	case "ovs-vswitchd":
		g.talker = newVSwitch(o)
	case "ovsdb-server":
		g.talker = newOVSDB(o)
	case "avi-application", "avi-waf":
		s := newHTTPService(o)
		s.keep(log.Definition)
		s.unthrottled, g.talker = true, s
	case "avi-connection":
		s := newTCPService(o)
		s.unthrottled, g.talker = true, s
	case "avi-dns":
		s := newDNSService(o)
		s.unthrottled, g.talker = true, s
	case "avi-event":
		g.talker, g.unit = newController(o), time.Millisecond
	case "ako":
		g.talker = newAKO(o)
	case "amko":
		g.talker = newAMKO(o)
	default:
		return nil, fmt.Errorf("make lines of %q: there is no such log, only %q", log.Definition, Definitions(true))
	}
	g.step = max(1, int64(log.Step/g.unit))
	return g, nil
}

// Next appends a line and its end to dst; a record of several lines whole.
// Times strictly increase from record to record, where the log is fine enough.
func (g *Generator) Next(dst []byte) []byte {
	if g.given == len(g.ends) {
		g.text, g.ends, g.given = g.text[:0], g.ends[:0], 0
		for len(g.ends) == 0 {
			g.say()
		}
	}
	from := 0
	if g.given > 0 {
		from = g.ends[g.given-1]
	}
	dst = append(dst, g.text[from:g.ends[g.given]]...)
	g.given++
	return dst
}

func (g *Generator) say() {
	g.now = g.now.Add(time.Duration(1+g.rng.Int64N(2*g.step-1)) * g.unit)
	if since := int(g.now.Sub(g.start) / time.Second); since != g.moment.Second || g.moment.Replicas == 0 {
		g.moment = Moment{Time: g.start.Add(time.Duration(since) * time.Second), Second: since, Replicas: usual}
	}
	g.talker.say(g.moment, g.now, g)
}

// Line implements Output.
func (g *Generator) Line(_ string, line []byte) {
	g.text = append(append(g.text, line...), '\n')
	g.ends = append(g.ends, len(g.text))
}

// Count implements Output.
func (g *Generator) Count(metric, labels string, n float64) {
	g.totals[Series{metric, labels}] += n
}

// Totals says what the lines made so far count for, those included that Next has
// not given yet; they are few.
func (g *Generator) Totals() map[Series]float64 { return maps.Clone(g.totals) }
