// Package vswitch is the Open vSwitch of the simulated node, and its connection
// tracking. An agent reads it through its sockets (collectors.ovs.run_dir, and
// collectors.conntrack with table: ovs) as it reads any other.
//
// What the node's agent makes of its bridge, and which packets come in, is one
// model. A real Open vSwitch in userspace takes both, or where there is none an
// emulation, whose interfaces say what the collectors ask.
package vswitch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/corkline/corkline/samples/simulation"
)

// Mode tells whether the switch is real.
type Mode string

// The modes. Auto is Real where Open vSwitch is on PATH and starts.
const (
	Auto     Mode = "auto"
	Real     Mode = "real"
	Emulated Mode = "emulated"
)

// Options of a switch.
type Options struct {
	// Dir takes the sockets (and the database of a real switch), and has to be
	// empty, or to be of a switch that is closed; the paths of sockets are 107
	// bytes at most. Empty for a new folder, which Close removes.
	Dir  string
	Mode Mode // empty for Auto
	Seed uint64
	// Rate is how busy the node is: 1, as 0, is about 30 connections a second
	// while shop/web has 100 replicas. More than 3 is 3: it is not the switch that
	// is to be kept busy. Stories have rates of their own.
	Rate float64
	// Stepped lets time in a real switch pass with the moments only, as it does
	// in an emulated one: for tests, which have no time.
	Stepped bool
}

// Switch is a running one.
type Switch struct {
	Dir  string // of the sockets
	Mode Mode   // Real or Emulated

	why     string // the mode, for people
	temp    bool
	forward forwarder

	mu      sync.Mutex
	traffic *traffic
	key     stateKey
	now     *state // nil before the first moment
	ended   error  // why it cannot go on
}

// forwarder takes what the model says.
type forwarder interface {
	// begin a moment.
	begin(ctx context.Context, m simulation.Moment) error
	// apply a state in place of the one before, nil at first.
	apply(ctx context.Context, before, now *state) error
	// receive packets at their ports, and return when they are through.
	receive(ctx context.Context, packets []packet) error
	close() error
}

// Start starts a switch, which runs until Close; ctx ends the start only. With
// Auto an error of the real one leads to the emulated one, which Describe tells.
func Start(ctx context.Context, o Options) (*Switch, error) {
	s := &Switch{Dir: o.Dir, traffic: newTraffic(simulation.Options{Seed: o.Seed}.Random("vswitch"), min(cmp.Or(o.Rate, 1), maxRate))}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "corkline-ovs-")
		if err != nil {
			return nil, fmt.Errorf("create the folder of the switch: %w", err)
		}
		s.Dir, s.temp = dir, true
	}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the switch: %w", err), s.remove())
	}
	return s, nil
}

func (s *Switch) start(ctx context.Context, o Options) (err error) {
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return err
	}
	const longest = "/ovs-vswitchd.4194304.ctl"
	if n := len(s.Dir) + len(longest); n > maxSocketPath {
		return fmt.Errorf("sockets in %s have paths of %d bytes, %d are possible: take a shorter folder", s.Dir, n, maxSocketPath)
	}
	switch o.Mode {
	case Real, Auto, "":
		r, err := startReal(ctx, s.Dir, o.Stepped)
		if err == nil {
			s.forward, s.Mode, s.why = r, Real, fmt.Sprintf("real: Open vSwitch %s, userspace datapath", r.version)
			return nil
		}
		if o.Mode == Real || ctx.Err() != nil {
			return err
		}
		s.why = "emulated: " + err.Error()
	case Emulated:
		s.why = "emulated, as asked for"
	default:
		return fmt.Errorf("there is no mode %q", o.Mode)
	}
	s.Mode = Emulated
	s.forward, err = startEmulated(s.Dir)
	return err
}

const maxRate = 3

// maxSocketPath is what a Unix socket's address holds.
const maxSocketPath = 107

// Describe says which switch it is, and why.
func (s *Switch) Describe() string { return s.why }

// Missing says what a node with the kernel's datapath and connection tracking
// shows, and this switch does not.
func (s *Switch) Missing() []string {
	return []string{
		"counters of connection tracking (drops, early drops, failed inserts, …): the userspace datapath has none; when its table is full, corkline_ovs_coverage_total{event=\"conntrack_full\"} counts, and the packet passes untracked",
		"status and age of connections: TCP's states tell which are answered, of other protocols all count as answered",
		"answers of Antrea's agent: its resets of rejected connections, and what it is asked of Services without endpoints",
	}
}

// Second brings the switch to a moment. Moments come in order, and those that
// are left out did not happen, but of those before the first one long-lived
// connections are there, so that it takes seconds. After an error of a real switch that has ended,
// every further call fails.
func (s *Switch) Second(ctx context.Context, m simulation.Moment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	if err := s.second(ctx, m); err != nil {
		return fmt.Errorf("bring the switch to %s: %w", m.Time.Format("15:04:05"), err)
	}
	return nil
}

func (s *Switch) second(ctx context.Context, m simulation.Moment) error {
	if err := s.forward.begin(ctx, m); err != nil {
		return err
	}
	if key := keyOf(m); s.now == nil || key != s.key {
		if s.now != nil && m.Replicas < s.key.replicas {
			if err := s.receive(ctx, s.traffic.leave(m)); err != nil {
				return err
			}
		}
		now := stateOf(m)
		if err := s.forward.apply(ctx, s.now, now); err != nil {
			return err
		}
		if s.now == nil {
			if err := s.past(ctx, m); err != nil {
				return err
			}
		}
		s.now, s.key = now, key
	}
	return s.receive(ctx, s.traffic.second(m))
}

func (s *Switch) past(ctx context.Context, m simulation.Moment) error {
	for {
		packets, more := s.traffic.past(m)
		if !more {
			return nil
		}
		if err := s.receive(ctx, packets); err != nil {
			return err
		}
	}
}

func (s *Switch) receive(ctx context.Context, phases [3][]packet) error {
	for _, packets := range phases {
		if err := s.forward.receive(ctx, packets); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the switch, and removes the folder that Start made.
func (s *Switch) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return nil
	}
	s.ended = errors.New("the switch is closed")
	return errors.Join(s.forward.close(), s.remove())
}

func (s *Switch) remove() error {
	if !s.temp {
		return nil
	}
	return os.RemoveAll(s.Dir)
}
