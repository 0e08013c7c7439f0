package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
	"github.com/corkline/corkline/samples/simulation/vswitch"
)

// mostBehind is how many seconds a busy switch may be late.
const mostBehind = 30

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
	first := s.play.AtTime(time.Now())
	if err := v.Second(ctx, first); err != nil { // nobody is to see how it comes to that
		return err
	}
	ctx, s.endSwitch = context.WithCancel(ctx)
	s.lasts(func() {
		if err := s.follow(ctx, first.Second+1); err != nil && ctx.Err() == nil {
			s.fail(err)
		}
	})
	return nil
}

// follow brings the switch to each second from next on, also to those that it was too busy
// for when they came, unless it is farther behind than mostBehind.
func (s *simulated) follow(ctx context.Context, next int) error {
	for ; ; next++ {
		if now := s.play.AtTime(time.Now()).Second; now-next > mostBehind {
			next = now
		}
		timer := time.NewTimer(time.Until(s.play.At(next).Time))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		if err := s.vswitch.Second(ctx, s.play.At(next)); err != nil {
			return err
		}
	}
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
