package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/dashboards/view"
	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
	"github.com/corkline/corkline/samples/simulation/vswitch"
)

const (
	quickstartSeed = 1
	// quickstartBegin is how long ago the simulated node began, so that some
	// stories are told when the boards are there.
	quickstartBegin = time.Minute

	eventsBack = 6 * time.Hour    // of which the viewer draws the stories
	eventsNext = 10 * time.Minute // in which each story begins
)

// quickstartNode is the simulated node that the quickstart looks at.
type quickstartNode struct {
	*simulated
	progress *local.Progress
	lines    atomic.Int64 // written so far
	endLogs  context.CancelFunc
}

func newQuickstartNode(dir, syslog string, progress *local.Progress, fail context.CancelCauseFunc) *quickstartNode {
	n := &quickstartNode{progress: progress}
	n.simulated = &simulated{said: progress.Printf, fail: fail, play: &simulation.Play{
		Options: simulation.Options{Seed: quickstartSeed, Start: time.Now().UTC().Add(-quickstartBegin).Truncate(time.Second), Rate: 1},
		Dir:     filepath.Join(dir, "nodes"), Nodes: 1,
		Syslog: &simulation.Syslog{Network: "tcp", Address: syslog},
		Report: func(r simulation.Report) { n.lines.Store(r.Lines) },
	}}
	return n
}

// startSurroundings starts the switch, and what serves Antrea's metrics.
func (n *quickstartNode) startSurroundings(ctx context.Context, mode vswitch.Mode) error {
	done := n.progress.Track("starting the switch", func() string { return "" })
	defer done()
	if err := n.startSwitch(ctx, mode, false); err != nil {
		return err
	}
	return n.startMetrics("127.0.0.1:0", antreametrics.Newest)
}

// startLogs writes logs until stop.
func (n *quickstartNode) startLogs(ctx context.Context) {
	ctx, n.endLogs = context.WithCancel(context.WithoutCancel(ctx))
	n.lasts(func() {
		if _, err := simulation.Run(ctx, *n.play); err != nil {
			n.fail(err)
		}
	})
}

// stop ends the node. The agent is to run still, and takes the last lines.
func (n *quickstartNode) stop() error {
	if n.endLogs != nil {
		n.endLogs()
	}
	return n.simulated.stop()
}

// root of the node's files.
func (n *quickstartNode) root() string { return filepath.Join(n.play.Dir, simulation.NodeName(0)) }

// labels that a scrape of the node sets.
func (n *quickstartNode) labels() map[string]string {
	return map[string]string{"cluster": simulation.Cluster, "node": simulation.NodeName(0)}
}

// jobs by which Antrea's metrics are scraped.
func (n *quickstartNode) jobs() []local.Job {
	var jobs []local.Job
	for _, name := range antreametrics.Exporters() {
		labels := n.labels()
		if name == "kube-apiserver" { // which is on no node
			delete(labels, "node")
		}
		jobs = append(jobs, local.Job{Name: name, Path: "/" + name + "/metrics", Target: strings.TrimPrefix(n.MetricsURL, "http://"), Labels: labels})
	}
	return jobs
}

// told are the stories between two times.
func (n *quickstartNode) told(from, to time.Time) []view.Event {
	var events []view.Event
	open := map[simulation.Story]int{} // index of its event
	begin := max(0, int(from.Sub(n.play.Start)/time.Second))
	for second := begin; second <= int(to.Sub(n.play.Start)/time.Second); second++ {
		m := n.play.At(second)
		for _, s := range simulation.Stories() {
			_, told := m.Told(s)
			i, known := open[s]
			switch {
			case told && !known:
				open[s] = len(events)
				events = append(events, view.Event{Title: string(s), Text: s.About(), From: m.Time, To: m.Time})
			case told:
				events[i].To = m.Time
			case known:
				events[i].To = m.Time
				delete(open, s)
			}
		}
	}
	return events
}

// note is what stands above the first board.
func (n *quickstartNode) note() view.Note {
	now := time.Now()
	events := n.told(now.Add(-eventsBack), now.Add(eventsNext))
	var text strings.Builder
	fmt.Fprintf(&text, "**A simulated node**: %s of the cluster %s. Its logs and Antrea's metrics are played; its switch is %s. The agent, Loki on S3, Prometheus and its alerts are real.\n\n", simulation.NodeName(0), simulation.Cluster, n.vswitch.Describe())
	for _, e := range events {
		if !e.From.After(now) && e.To.After(now) {
			fmt.Fprintf(&text, "- **Now**, until %s: %s.\n", e.To.Local().Format("15:04:05"), e.Text)
		}
	}
	next := slices.DeleteFunc(slices.Clone(events), func(e view.Event) bool { return !e.From.After(now) })
	slices.SortStableFunc(next, func(a, b view.Event) int { return a.From.Compare(b.From) })
	if len(next) > 0 {
		fmt.Fprintf(&text, "- Next, at %s: %s.\n", next[0].From.Local().Format("15:04:05"), next[0].Text)
	}
	past := slices.DeleteFunc(events, func(e view.Event) bool { return e.From.After(now) })
	for i := range past {
		if past[i].To.After(now) {
			past[i].To = now
		}
	}
	return view.Note{Text: text.String(), Events: past}
}
