// Package simulation plays a small Kubernetes cluster on Antrea with a load
// balancer in front: what its parts write to their logs, second by second, and
// what their metrics say. Equal options give equal lines.
package simulation

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"
)

// Part of the cluster that writes logs.
type Part interface {
	// Second writes what the part has to say about a second. Seconds come in
	// order, each once. Times in the lines lie within it, and do not go back.
	Second(m Moment, out Output)
}

// Output takes what a second gives.
type Output interface {
	// Line takes a line without its end, of the log that the definition with
	// this name reads. It does not keep the bytes.
	Line(definition string, line []byte)
	// Count says that the lines since the last call add n to a metric that the
	// agent makes of them: its full name, and labels as PromQL has them, such as
	// `action="Drop"`. What was counted is what a query must find in the end.
	Count(metric, labels string, n float64)
}

// Options of a simulation.
type Options struct {
	Seed uint64
	// Start is the first second.
	Start time.Time
	// Rate is how busy the cluster is: 1 is about a hundred lines a second.
	Rate float64
	// Stories that are told; nil for all.
	Stories []Story
	// Node on which the agent is.
	Node string
}

// Random numbers of a part, which do not depend on other parts.
func (o Options) Random(part string) *rand.Rand {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(o.Node + " " + part)) // it cannot fail
	return rand.New(rand.NewPCG(o.Seed, hash.Sum64()))
}

// Moment is what holds in the cluster during a second.
type Moment struct {
	Time   time.Time // its begin, in UTC
	Second int       // since Options.Start
	// Replicas of the Deployment shop/web on this node.
	Replicas int

	told map[Story]float64
}

// Told tells how far a story is, from 0 to 1, and whether it is told at all.
func (m Moment) Told(s Story) (progress float64, told bool) {
	progress, told = m.told[s]
	return progress, told
}

// At gives the moment of a second since Start.
func (o Options) At(second int) Moment {
	m := Moment{Time: o.Start.UTC().Add(time.Duration(second) * time.Second), Second: second, Replicas: 1, told: map[Story]float64{}}
	stories := o.Stories
	if stories == nil {
		stories = Stories()
	}
	for _, s := range stories {
		begin, end := s.when()
		if at := second % period; at >= begin && at < end {
			m.told[s] = float64(at-begin) / float64(end-begin)
		}
	}
	if progress, told := m.Told(Scaling); told {
		// Up in the first third, down in the last.
		m.Replicas = 1 + int(math.Round(99*min(1, 3*progress, 3*(1-progress))))
	}
	return m
}
