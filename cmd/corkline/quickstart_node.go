package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/dashboards/view"
	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
	"github.com/corkline/corkline/samples/simulation/vswitch"
)

const (
	simulationSeed = 1
	// simulationBegin is how long ago the simulated node began, so that most of
	// its stories are told when the boards are there.
	simulationBegin = 100 * time.Second

	eventsBack = 6 * time.Hour    // of which the viewer draws the stories
	eventsNext = 10 * time.Minute // in which each story begins
)

// simulatedNode is what the quickstart looks at: a node that writes logs, its
// switch, and the metrics of Antrea.
type simulatedNode struct {
	options  simulation.Options
	dir      string // of all nodes
	syslog   string // address to which the load balancer sends
	name     string
	progress *local.Progress
	fail     func(error)

	vswitch   *vswitch.Switch // nil without
	noSwitch  error           // why
	metrics   *http.Server    // of Antrea, emulated
	metricsAt string
	lines     atomic.Int64 // written so far
	cancel    context.CancelFunc
	running   sync.WaitGroup
	mu        sync.Mutex
	fault     error // of what ended
}

// startSwitch starts the node's switch, as real as it can be here. Without one
// the rest goes on.
func (n *simulatedNode) startSwitch(ctx context.Context) {
	done := n.progress.Track("starting the switch", func() string { return "" })
	defer done()
	n.vswitch, n.noSwitch = vswitch.Start(ctx, vswitch.Options{Mode: vswitch.Auto, Seed: n.options.Seed, Rate: n.options.Rate})
}

// start plays until stop.
func (n *simulatedNode) start(ctx context.Context) error {
	ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.serveMetrics(); err != nil {
		return err
	}
	n.running.Go(func() {
		_, err := simulation.Run(ctx, simulation.Play{
			Options: n.options, Dir: n.dir,
			Syslog: &simulation.Syslog{Network: "tcp", Address: n.syslog},
			Report: func(r simulation.Report) { n.lines.Store(r.Lines) },
		})
		n.ended(err)
	})
	if n.vswitch != nil {
		n.running.Go(func() { n.ended(n.playSwitch(ctx)) })
	}
	return nil
}

func (n *simulatedNode) ended(err error) {
	if err == nil {
		return
	}
	n.mu.Lock()
	n.fault = errors.Join(n.fault, err)
	n.mu.Unlock()
	n.fail(err)
}

// playSwitch brings the switch to each second.
func (n *simulatedNode) playSwitch(ctx context.Context) error {
	options := n.options.On(n.name)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := n.vswitch.Second(ctx, options.AtTime(time.Now()))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("play the switch: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (n *simulatedNode) serveMetrics() error {
	handler, err := antreametrics.Handler(
		func() int { return max(0, int(time.Since(n.options.Start)/time.Second)) },
		antreametrics.Options{Simulation: n.options.On(n.name), FlowExporter: true},
	)
	if err != nil {
		return fmt.Errorf("play Antrea's metrics: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for Antrea's metrics: %w", err)
	}
	n.metricsAt = listener.Addr().String()
	n.metrics = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	n.running.Go(func() {
		if err := n.metrics.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.ended(fmt.Errorf("serve Antrea's metrics: %w", err))
		}
	})
	return nil
}

// stop ends it, and waits.
func (n *simulatedNode) stop() error {
	var errs []error
	if n.cancel != nil {
		n.cancel()
	}
	if n.metrics != nil {
		errs = append(errs, n.metrics.Close())
	}
	n.running.Wait()
	if n.vswitch != nil {
		errs = append(errs, n.vswitch.Close())
	}
	return errors.Join(errs...)
}

// labels that a scrape of the node sets.
func (n *simulatedNode) labels() map[string]string {
	return map[string]string{"cluster": simulation.Cluster, "node": n.name}
}

// jobs by which Antrea's metrics are scraped.
func (n *simulatedNode) jobs() []local.Job {
	var jobs []local.Job
	for _, name := range antreametrics.Exporters() {
		labels := n.labels()
		if name == "kube-apiserver" { // which is on no node
			delete(labels, "node")
		}
		jobs = append(jobs, local.Job{Name: name, Path: "/" + name + "/metrics", Target: n.metricsAt, Labels: labels})
	}
	return jobs
}

// sources that read what the node writes, where it would be on a real one, and
// what the load balancer sends.
func (n *simulatedNode) sources() ([]quickstartSource, error) {
	set, err := parsers.Shipped()
	if err != nil {
		return nil, fmt.Errorf("read the definitions: %w", err)
	}
	var all []quickstartSource
	for _, name := range []string{"antrea-networkpolicy", "antrea-agent", "antrea-controller", "ovs-vswitchd", "ovsdb-server", "ako", "amko"} {
		s := quickstartSource{Definition: name}
		for _, file := range set[name].Files {
			s.Files = append(s.Files, filepath.Join(n.dir, n.name, file))
		}
		all = append(all, s)
	}
	return append(all, quickstartSource{
		Name: "avi", Definitions: []string{"avi-waf", "avi-dns", "avi-connection", "avi-application", "avi-event"},
		Syslog: &quickstartSyslog{TCP: n.syslog},
	}), nil
}

// describe says what is real of the node.
func (n *simulatedNode) describe() string {
	if n.vswitch == nil {
		return fmt.Sprintf("not there: %s", n.noSwitch)
	}
	return n.vswitch.Describe()
}

// told are the stories between two times.
func (n *simulatedNode) told(from, to time.Time) []view.Event {
	var events []view.Event
	open := map[simulation.Story]int{} // index of its event
	begin := max(0, int(from.Sub(n.options.Start)/time.Second))
	for second := begin; second <= int(to.Sub(n.options.Start)/time.Second); second++ {
		m := n.options.At(second)
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
func (n *simulatedNode) note() view.Note {
	now := time.Now()
	events := n.told(now.Add(-eventsBack), now.Add(eventsNext))
	var text strings.Builder
	fmt.Fprintf(&text, "**A simulated node**: %s of the cluster %s. Its logs and Antrea's metrics are played; its switch is %s. The agent, Loki on S3, Prometheus and its alerts are real.\n\n", n.name, simulation.Cluster, n.describe())
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
