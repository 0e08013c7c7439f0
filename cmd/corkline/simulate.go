package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/parsers"
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

// simulated is what runs beside the logs.
type simulated struct {
	play *simulation.Play
	said func(format string, args ...any)
	fail context.CancelCauseFunc

	MetricsURL string // of what Antrea and the API server serve; empty for nothing
	SwitchDir  string // of the switch's sockets; empty for none

	server    *http.Server
	vswitch   *vswitch.Switch
	lasting   []chan struct{} // are closed when what runs has ended
	endSwitch context.CancelFunc
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

// startMetrics serves what Antrea and the API server would; those of node-2 and
// further below /node-2, and so on.
func (s *simulated) startMetrics(listen, version string) error {
	if listen == "" {
		return nil
	}
	mux := http.NewServeMux()
	start := s.play.Start
	now := func() int { return max(0, int(time.Since(start)/time.Second)) }
	for i := range s.play.Nodes {
		node := simulation.NodeName(i)
		handler, err := antreametrics.Handler(now, antreametrics.Options{Simulation: s.play.On(node), Version: version, FlowExporter: true})
		if err != nil {
			return fmt.Errorf("--antrea-version: %w", err)
		}
		mux.Handle("/"+node+"/", http.StripPrefix("/"+node, handler))
		if i == 0 {
			mux.Handle("/", handler)
		}
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	s.MetricsURL = "http://" + listener.Addr().String()
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	s.lasts(func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serve metrics: %w", err))
		}
	})
	return nil
}

// lasts runs f until stop.
func (s *simulated) lasts(f func()) {
	done := make(chan struct{})
	s.lasting = append(s.lasting, done)
	go func() {
		defer close(done)
		f()
	}()
}

// startSwitch starts that of node-1, and brings it to each second.
func (s *simulated) startSwitch(ctx context.Context, mode vswitch.Mode, fast bool) error {
	if mode == "off" || fast {
		return nil
	}
	dir := filepath.Join(s.play.Dir, simulation.NodeName(0), "var", "run", "openvswitch")
	const longest = 107 - len("/ovs-vswitchd.4194304.ctl") // of a socket's path
	if len(dir) > longest {
		dir = "" // a temporary one
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the folder of the switch: %w", err)
	}
	v, err := vswitch.Start(ctx, vswitch.Options{Dir: dir, Mode: mode, Seed: s.play.Seed, Rate: s.play.Rate})
	if err != nil {
		return fmt.Errorf("--switch=%s: %w", mode, err)
	}
	s.vswitch, s.SwitchDir = v, v.Dir
	ctx, s.endSwitch = context.WithCancel(ctx)
	s.lasts(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			if err := v.Second(ctx, s.play.AtTime(time.Now())); err != nil && ctx.Err() == nil {
				s.fail(err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return nil
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

// config is the configuration of a node's agent.
func (s *simulated) config(node int) string {
	return filepath.Join(s.play.Dir, simulation.NodeName(node), "corkline.yaml")
}

// simulatedConfig is the part of an agent's configuration that is set.
type simulatedConfig struct {
	Node       string              `yaml:"node"`
	Cluster    string              `yaml:"cluster"`
	StateDir   string              `yaml:"state_dir"`
	Listen     string              `yaml:"listen"`
	Loki       map[string]string   `yaml:"loki,omitempty"`
	Sources    []simulatedSource   `yaml:"sources"`
	Collectors simulatedCollectors `yaml:"collectors"`
}

type simulatedSource struct {
	Name        string            `yaml:"name"`
	Definitions []string          `yaml:"definitions,flow"`
	Files       []string          `yaml:"files,omitempty"`
	Syslog      map[string]string `yaml:"syslog,omitempty"`
}

type simulatedCollectors struct {
	Conntrack struct {
		Enabled bool   `yaml:"enabled"`
		Table   string `yaml:"table,omitempty"`
		// between two polls; 0 for the agent's default
		Interval time.Duration `yaml:"interval,omitempty"`
	} `yaml:"conntrack"`
	OVS struct {
		Enabled bool   `yaml:"enabled"`
		RunDir  string `yaml:"run_dir,omitempty"`
		// as above, and between two that read all flows
		Interval     time.Duration `yaml:"interval,omitempty"`
		FullInterval time.Duration `yaml:"full_interval,omitempty"`
	} `yaml:"ovs"`
}

// agentPort of node-1; the other nodes' are those behind it.
const agentPort = 9440

// definitions of the logs of a node that are written.
func (s *simulated) definitions(node int) []string {
	names := simulation.Definitions(node == 0)
	return slices.DeleteFunc(names, func(name string) bool {
		return s.play.Sources != nil && !slices.Contains(s.play.Sources, simulation.Source(name))
	})
}

// configuration of a node's agent.
func (s *simulated) configuration(node int) (*simulatedConfig, error) {
	set, err := parsers.Shipped()
	if err != nil {
		return nil, err
	}
	name := simulation.NodeName(node)
	root := filepath.Join(s.play.Dir, name)
	config := &simulatedConfig{
		Node: name, Cluster: simulation.Cluster, StateDir: filepath.Join(root, "state"),
		Listen: fmt.Sprintf("127.0.0.1:%d", agentPort+node),
	}
	loadBalancer := simulatedSource{Name: simulation.Source("avi-application")}
	for _, definition := range s.definitions(node) {
		if simulation.IsLoadBalancer(definition) {
			loadBalancer.Definitions = append(loadBalancer.Definitions, definition)
			continue
		}
		source := simulatedSource{Name: definition, Definitions: []string{definition}}
		for _, file := range set[definition].Files {
			source.Files = append(source.Files, filepath.Join(root, file))
		}
		config.Sources = append(config.Sources, source)
	}
	if len(loadBalancer.Definitions) > 0 {
		if to := s.play.Syslog; to != nil {
			loadBalancer.Syslog = map[string]string{to.Network: to.Address}
		} else {
			loadBalancer.Files = []string{filepath.Join(root, simulation.LoadBalancerLog)}
		}
		config.Sources = append(config.Sources, loadBalancer)
	}
	if node == 0 && s.SwitchDir != "" {
		config.Collectors.Conntrack.Enabled, config.Collectors.Conntrack.Table = true, "ovs"
		config.Collectors.OVS.Enabled, config.Collectors.OVS.RunDir = true, s.SwitchDir
	}
	return config, nil
}

// configure writes the configuration of a node's agent.
func (s *simulated) configure(node int, loki string) error {
	config, err := s.configuration(node)
	if err != nil {
		return err
	}
	if loki != "" {
		config.Loki = map[string]string{"url": loki}
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# An agent that reads what corkline simulate writes, which writes this file\n# anew each time. Without loki.url (--loki), lines feed metrics only.\n")
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(config), encoder.Close()); err != nil {
		return fmt.Errorf("encode the agent's configuration: %w", err)
	}
	path := s.config(node)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("create the folder of the node: %w", err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the agent's configuration: %w", err)
	}
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

// stop what runs beside the logs.
func (s *simulated) stop() error {
	var errs []error
	if s.endSwitch != nil {
		s.endSwitch()
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	for _, done := range s.lasting {
		<-done
	}
	if s.vswitch != nil {
		errs = append(errs, s.vswitch.Close())
	}
	return errors.Join(errs...)
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
