package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
)

// simulate gives the command with its defaults.
func simulate(t *testing.T, change func(*simulateCmd)) *simulateCmd {
	t.Helper()
	c := &simulateCmd{Dir: t.TempDir(), Nodes: 1, Seed: 1, History: 10 * time.Minute, Rate: 1, RotateBytes: 1 << 20, Switch: "off"}
	change(c)
	return c
}

func TestSimulate_NamesTheFlag(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	f := func(want string, change func(*simulateCmd)) {
		t.Helper()
		if p, err := simulate(t, change).play(now); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %+v, %v, want %s", p, err, want)
		}
	}
	f("--nodes=0: ", func(c *simulateCmd) { c.Nodes = 0 })
	f("--rate=0: ", func(c *simulateCmd) { c.Rate = 0 })
	f("--rotate-bytes=0: ", func(c *simulateCmd) { c.RotateBytes = 0 })
	f("--for=1ms: ", func(c *simulateCmd) { c.For = time.Millisecond })
	f("--history=-1s: ", func(c *simulateCmd) { c.History = -time.Second })
	f("--fast: ", func(c *simulateCmd) { c.Fast = true })
	f("--listen: ", func(c *simulateCmd) { c.Fast, c.For, c.Listen = true, time.Minute, "127.0.0.1:0" })
	f("--start=2026-01-02T03:04:06Z: ", func(c *simulateCmd) { c.Start = now.Add(time.Second) })
	f(`--stories: there is no story "flood"; there are connection-leak, `, func(c *simulateCmd) { c.Stories = []string{"scaling", "flood"} })
	f(`--stories: there is no story "none"`, func(c *simulateCmd) { c.Stories = []string{"scaling", "none"} })
	f(`--logs: there is no "avi-waf"; there are antrea-networkpolicy, `, func(c *simulateCmd) { c.Logs = []string{"ako", "avi-waf"} })
	f("--syslog: ", func(c *simulateCmd) { c.Syslog = "127.0.0.1:5515" })
}

func TestSimulate_Times(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	f := func(start string, seconds int, change func(*simulateCmd)) {
		t.Helper()
		p, err := simulate(t, change).play(now)
		if err != nil {
			t.Error(err)
			return
		}
		if got := p.Start.Format(time.DateTime); got != start || p.Seconds != seconds {
			t.Errorf("plays %d seconds from %s, want %d from %s", p.Seconds, got, seconds, start)
		}
	}
	f("2026-01-02 02:54:05", 0, func(*simulateCmd) {})
	f("2026-01-02 02:54:05", 620, func(c *simulateCmd) { c.For = 20 * time.Second })
	f("2026-01-02 03:04:05", 2, func(c *simulateCmd) { c.History, c.For = 0, 1500*time.Millisecond })
	f("2026-01-02 02:04:05", 3600, func(c *simulateCmd) { c.Fast, c.For = true, time.Hour })
	f("2026-01-02 03:03:05", 70, func(c *simulateCmd) { c.Start, c.For = now.Add(-time.Minute), 10*time.Second })
	f("2027-01-02 03:04:05", 10, func(c *simulateCmd) { c.Fast, c.Start, c.For = true, now.AddDate(1, 0, 0), 10*time.Second })
}

// Some logs alone have the lines that they have among all.
func TestSimulate_Logs(t *testing.T) {
	files := func(logs ...string) map[string]string {
		c := simulate(t, func(c *simulateCmd) { c.Fast, c.For, c.RotateBytes, c.Logs = true, time.Minute, 1<<30, logs })
		p, err := c.play(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
		if err == nil {
			_, err = simulation.Run(t.Context(), *p)
		}
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		err = filepath.WalkDir(filepath.Join(c.Dir, "node-1", "var", "log"), func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			all[strings.TrimPrefix(path, c.Dir)] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	all, some := files(), files("antrea-networkpolicy", "avi")
	if len(some) != 2 || len(all) != 8 {
		t.Errorf("%d and %d logs are written, want 8 and 2", len(all), len(some))
	}
	for path, text := range some {
		if text == "" || text != all[path] {
			t.Errorf("%s differs: %d bytes alone, %d among others", path, len(text), len(all[path]))
		}
	}
}

// What the flags' tags say is what play gets.
func TestSimulate_Flags(t *testing.T) {
	var c simulateCmd
	parser, err := kong.New(&c, variables())
	if err == nil {
		_, err = parser.Parse([]string{"--dir=/a", "--start=2026-01-02T03:04:05Z", "--fast", "--for=1m", "--rate=1500", "--logs=avi,ako", "--stories=none"})
	}
	if err != nil {
		t.Fatal(err)
	}
	want := simulateCmd{
		Dir: "/a", Nodes: 1, Seed: 1, Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), History: 10 * time.Minute, For: time.Minute, Fast: true, Rate: 1500,
		Logs: []string{"avi", "ako"}, Stories: []string{"none"}, AntreaVersion: antreametrics.Newest, Switch: "auto", RotateBytes: simulation.DefaultRotateBytes,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("flags (-want +got):\n%s", diff)
	}
	p, err := c.play(time.Now())
	if err != nil || !p.Start.Equal(c.Start) || p.Seconds != 60 || !slices.Equal(p.Sources, c.Logs) {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestSimulate_Stories(t *testing.T) {
	f := func(flag []string, replicas int) {
		t.Helper()
		p, err := simulate(t, func(c *simulateCmd) { c.Stories = flag }).play(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := p.At(170).Replicas; got != replicas {
			t.Errorf("with %q there are %d replicas, want %d", flag, got, replicas)
		}
	}
	f(nil, 100)
	f([]string{"none"}, 1)
	f([]string{"syn-flood", "scaling"}, 100)
	f([]string{"syn-flood"}, 1)
}

// The configurations that it writes are those of an agent that reads all of it.
func TestSimulate_ConfiguresAgents(t *testing.T) {
	f := func(syslog, runDir string, node, sources int, want ...string) {
		t.Helper()
		c := simulate(t, func(c *simulateCmd) { c.Nodes, c.Syslog = 2, syslog })
		p, err := c.play(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s := &simulated{play: p, SwitchDir: runDir}
		if err := s.configure(node, "http://127.0.0.1:3100"); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(c.Dir, simulation.NodeName(node), "corkline.yaml")
		config, err := exporter.LoadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		config.Sources = slices.DeleteFunc(config.Sources, func(s exporter.SourceConfig) bool { return s.FromCollector() })
		if len(config.Sources) != sources {
			t.Errorf("%d sources, want %d", len(config.Sources), sources)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range append(want, "cluster: simulated", "node: "+simulation.NodeName(node), "url: http://127.0.0.1:3100") {
			if !strings.Contains(string(text), w) {
				t.Errorf("lacks %q:\n%s", w, text)
			}
		}
	}
	f("", "", 0, 8, "listen: 127.0.0.1:9440", "avi-serviceengines.log", "enabled: false")
	f("tcp://127.0.0.1:5515", "/run/switch", 0, 8, "tcp: 127.0.0.1:5515", "run_dir: /run/switch", "table: ovs")
	f("udp://127.0.0.1:5514", "", 0, 8, "udp: 127.0.0.1:5514")
	f("tcp://127.0.0.1:5515", "/run/switch", 1, 4, "listen: 127.0.0.1:9441", "enabled: false")
}
