package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
	"github.com/corkline/corkline/samples/simulation/vswitch"
)

type simulateCmd struct {
	Dir           string        `type:"path" required:"" placeholder:"DIR" help:"Folder that gets the nodes' logs, a configuration for the agent of each, and what was written."`
	Nodes         int           `default:"1" placeholder:"N" help:"Nodes of the cluster (default 1): node-1 and so on. The load balancer, its operators and Antrea's controller are on the first."`
	Seed          uint64        `default:"1" placeholder:"N" help:"Decides every line, with --start, --rate and --stories (default 1)."`
	Start         time.Time     `format:"2006-01-02T15:04:05Z07:00" placeholder:"TIME" help:"First second, such as 2026-01-02T03:04:05Z, in place of --history."`
	History       time.Duration `default:"10m" placeholder:"DURATION" help:"What has happened before now; its lines are written at once (default 10m, in which all stories are told)."`
	For           time.Duration `placeholder:"DURATION" help:"Stop by itself after this time, such as 30s. Without it, Ctrl-C stops it."`
	Fast          bool          `help:"Write the time of --for as fast as possible, and stop. Without --start it ends now."`
	Rate          float64       `default:"1" placeholder:"X" help:"How busy the cluster is: 1 is about a hundred lines a second (default 1)."`
	Logs          []string      `placeholder:"NAME,…" help:"Logs that are written, by the agent's sources (default all): ${logs}."`
	Stories       []string      `placeholder:"NAME,…" help:"Stories that are told (default all, none for an ordinary day): ${stories}."`
	Syslog        string        `placeholder:"URL" help:"Send the load balancer's lines to this receiver, such as tcp://127.0.0.1:5515, in place of a file. With udp:// the kernel may drop some."`
	Listen        string        `placeholder:"ADDRESS" help:"Serve the metrics that Antrea and the API server would, such as at 127.0.0.1:9090; port 0 chooses one."`
	AntreaVersion string        `default:"${antrea}" placeholder:"VERSION" help:"Version of Antrea whose metrics are served (default ${antrea})."`
	Switch        string        `default:"auto" enum:"auto,real,emulated,off" help:"Open vSwitch and connection tracking of node-1: auto (default; real where it is installed), real, emulated, off. Not with --fast."`
	Loki          string        `placeholder:"URL" help:"Loki that the agents' configurations name."`
	RotateBytes   int64         `default:"${rotate}" placeholder:"N" help:"Size after which a log is rotated (default ${rotate}); four rotated ones are kept."`
}

// Help is shown below the command's flags.
func (c *simulateCmd) Help() string {
	return `Plays a small Kubernetes cluster on Antrea behind a load balancer: what its parts
log, second by second, in stories that several of them tell of. Equal flags with
--start give equal lines.

Examples:
  corkline simulate --dir=./cluster
  corkline agent --config=./cluster/node-1/corkline.yaml     in another shell

  corkline simulate --dir=./cluster --nodes=3 --stories=scaling,rejected
  corkline simulate --dir=./cluster --syslog=tcp://127.0.0.1:5515 --listen=127.0.0.1:0
  corkline simulate --dir=./cluster --for=1h --fast --rate=10 --switch=off
  corkline simulate --dir=./cluster --logs=antrea-networkpolicy --rate=1500 --history=0s
                                          50,000 lines a second of one log

DIR/written.json says what was written: instant queries in LogQL (at its time
"at") and PromQL, with the values that they must have if one agent on each node
has read all since its start. It is written every five seconds, and at the end.

Exit codes: 0 it ended or was stopped (Ctrl-C), 1 it could not begin or go on,
or the receiver of syslog has not taken all lines.`
}

// Run plays until ctx ends, or for as long as --for says.
func (c *simulateCmd) Run(ctx context.Context) error {
	p, err := c.play(time.Now())
	if err != nil {
		return err
	}
	said := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &simulated{play: p, said: said, fail: cancel}
	err = s.start(running, c)
	if err == nil {
		p.Report = s.report
		if p.Syslog != nil {
			p.Syslog.Log = said
		}
		var w *simulation.Written
		w, err = simulation.Run(running, *p)
		if cause := context.Cause(running); ctx.Err() == nil && cause != nil {
			err = errors.Join(cause, err)
		}
		if w != nil {
			err = errors.Join(err, printWritten(os.Stdout, w, p.Dir))
		}
	}
	return errors.Join(err, s.stop())
}

// play gives what the flags ask for.
func (c *simulateCmd) play(now time.Time) (*simulation.Play, error) {
	now = now.UTC().Truncate(time.Second)
	p := &simulation.Play{
		Options: simulation.Options{Seed: c.Seed, Start: c.Start.UTC().Truncate(time.Second), Rate: c.Rate},
		Dir:     c.Dir, Nodes: c.Nodes, Fast: c.Fast, RotateBytes: c.RotateBytes, Sources: c.Logs,
	}
	for _, name := range c.Logs {
		if !slices.Contains(simulation.Sources(), name) {
			return nil, fmt.Errorf("--logs: there is no %q; there are %s", name, strings.Join(simulation.Sources(), ", "))
		}
	}
	switch {
	case c.Nodes < 1 || c.Nodes > 100:
		return nil, fmt.Errorf("--nodes=%d: give 1 to 100", c.Nodes)
	case !(c.Rate > 0) || c.Rate > 10_000:
		return nil, fmt.Errorf("--rate=%v: give a number above 0, and 10000 at most", c.Rate)
	case c.RotateBytes < 1:
		return nil, fmt.Errorf("--rotate-bytes=%d: give 1 at least", c.RotateBytes)
	case c.For < 0 || c.For > 0 && c.For < time.Second:
		return nil, fmt.Errorf("--for=%s: give a second at least", c.For)
	case c.History < 0:
		return nil, fmt.Errorf("--history=%s: give 0s or more", c.History)
	case c.Fast && c.For == 0:
		return nil, errors.New("--fast: say with --for how much is written, such as --for=1h")
	case c.Fast && c.Listen != "":
		return nil, errors.New("--listen: metrics change with time; leave out --fast")
	case c.Fast && c.Start.IsZero():
		p.Start = now.Add(-c.For)
	case c.Start.IsZero():
		p.Start = now.Add(-c.History)
	case !c.Fast && p.Start.After(now):
		return nil, fmt.Errorf("--start=%s: that is to come", c.Start.Format(time.RFC3339))
	}
	if c.For > 0 {
		end := now.Add(c.For)
		if c.Fast {
			end = p.Start.Add(c.For)
		}
		p.Seconds = int(math.Ceil(end.Sub(p.Start).Seconds()))
	}
	if c.Stories != nil {
		p.Stories = []simulation.Story{}
	}
	for _, name := range c.Stories {
		story := simulation.Story(name)
		switch {
		case slices.Contains(simulation.Stories(), story):
			p.Stories = append(p.Stories, story)
		case name != "none" || len(c.Stories) > 1:
			return nil, fmt.Errorf("--stories: there is no story %q; there are %s, or none", name, storyNames())
		}
	}
	if c.Syslog != "" {
		var err error
		if p.Syslog, err = simulation.ParseSyslog(c.Syslog); err != nil {
			return nil, fmt.Errorf("--syslog: %w", err)
		}
	}
	return p, nil
}

func storyNames() string {
	var names []string
	for _, s := range simulation.Stories() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// start what is asked for beside the logs, write the agents' configurations,
// and say what there is.
func (s *simulated) start(ctx context.Context, c *simulateCmd) error {
	if err := s.startMetrics(c.Listen, c.AntreaVersion); err != nil {
		return err
	}
	if err := s.startSwitch(ctx, vswitch.Mode(c.Switch), c.Fast); err != nil {
		return err
	}
	return s.describe(c.Loki, c.AntreaVersion)
}

// describe says what there is, and writes the agents' configurations.
func (s *simulated) describe(loki, version string) error {
	p := s.play
	for i := range p.Nodes {
		if err := s.configure(i, loki); err != nil {
			return err
		}
	}
	stories := "an ordinary day"
	if p.Stories == nil {
		stories = "all stories"
	} else if len(p.Stories) > 0 {
		stories = fmt.Sprintf("stories %v", p.Stories)
	}
	nodes := simulation.NodeName(0)
	if p.Nodes > 1 {
		nodes += " to " + simulation.NodeName(p.Nodes-1)
	}
	s.said("%s in %s: seed %d, start %s, rate %v, %s", nodes, p.Dir, p.Seed, p.Start.Format(time.RFC3339), p.Rate, stories)
	s.said("logs      emulated, %s", strings.Join(s.definitions(0), ", "))
	if p.Syslog != nil {
		s.said("syslog    the load balancer's lines, to %s://%s", p.Syslog.Network, p.Syslog.Address)
	}
	if s.MetricsURL != "" {
		s.said("metrics   emulated, Antrea %s and the API server: %s/{%s}/metrics", version, s.MetricsURL, strings.Join(antreametrics.Exporters(), ","))
	}
	if s.vswitch != nil {
		s.said("switch    %s; sockets in %s", s.vswitch.Describe(), s.SwitchDir)
		for _, missing := range s.vswitch.Missing() {
			s.said("          not there: %s", missing)
		}
	} else {
		s.said("switch    none; no collectors are configured")
	}
	s.said("agent     corkline agent --config=%s", s.config(0))
	return nil
}

// report says how it goes.
func (s *simulated) report(r simulation.Report) {
	var told []string
	for _, story := range simulation.Stories() {
		if progress, ok := r.Moment.Told(story); ok {
			told = append(told, fmt.Sprintf("%s %.0f %%", story, 100*progress))
		}
	}
	if len(told) == 0 {
		told = []string{"an ordinary day"}
	}
	line := fmt.Sprintf("second %d, %d replicas: %s; %d lines", r.Moment.Second, r.Moment.Replicas, strings.Join(told, ", "), r.Lines)
	if r.Rotated > 0 {
		line += fmt.Sprintf(", %d files rotated", r.Rotated)
	}
	if r.Syslog != nil && r.Syslog.Fault != "" {
		line += fmt.Sprintf(", %d wait for the receiver of syslog (%s)", r.Syslog.Waiting, r.Syslog.Fault)
	}
	s.said("%s", line)
}

// printWritten shows what was written.
func printWritten(w io.Writer, written *simulation.Written, dir string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "DEFINITION\tLINES\n")
	for _, d := range written.Definitions {
		fmt.Fprintf(table, "%s\t%d\n", d.Definition, d.Lines)
	}
	fmt.Fprintf(table, "\t\nMETRIC\tSUM\n")
	var names []string
	sums := map[string]float64{} // over the labels
	for _, e := range written.PromQL {
		name, _, _ := strings.Cut(strings.TrimPrefix(e.Expression, "sum("), "{")
		if _, known := sums[name]; !known {
			names = append(names, name)
		}
		sums[name] += e.Value
	}
	for _, name := range names {
		fmt.Fprintf(table, "%s\t%.0f\n", name, sums[name])
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print what was written: %w", err)
	}
	_, err := fmt.Fprintf(w, "\n%d lines of %d seconds, %d bytes; queries with their values are in %s\n",
		written.Lines, written.Seconds, written.Bytes, filepath.Join(dir, simulation.WrittenFile))
	if err != nil {
		return fmt.Errorf("print what was written: %w", err)
	}
	return nil
}
