// Command corkline turns what a cluster's network says about itself into
// Prometheus metrics and Loki streams.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/corkline/corkline/samples/simulation"
	"github.com/corkline/corkline/samples/simulation/antreametrics"
)

// version and commit are set by the linker (see the Makefile).
var (
	version = "dev"
	commit  = "unknown"
)

type commands struct {
	Agent      agentCmd         `cmd:"" help:"Follow log files, feed metrics and ship lines to Loki."`
	Try        tryCmd           `cmd:"" help:"Show what a definition makes of lines: fields, labels, metrics, or where a line stops to match."`
	Check      checkCmd         `cmd:"" help:"Check a configuration and its definitions, and name every fault with file, line, column and key."`
	Provision  provisionCmd     `cmd:"" help:"Bring dashboards and datasources to Grafana, buckets to S3, and verify that panels have data."`
	View       viewCmd          `cmd:"" help:"Show the boards in a browser, on a Prometheus and a Loki, without a Grafana."`
	Quickstart quickstartCmd    `cmd:"" help:"Start the agent on sample logs, with S3, Loki and Prometheus beside it on loopback."`
	Simulate   simulateCmd      `cmd:"" help:"Play a small cluster: logs, syslog, Antrea's metrics and a switch, with stories, for an agent to read."`
	Replay     replayCmd        `cmd:"" help:"Push archived lines into Loki again, each once."`
	Conntrack  conntrackCmd     `cmd:"" help:"Look at the connection tracking table of this node: how full it is, who fills it, and when it will be full."`
	Ledger     ledgerCmd        `cmd:"" help:"Show what became of every line, over all restarts."`
	OVS        ovsCmd           `cmd:"" name:"ovs" help:"Show the Open vSwitch of this node, live: tables, flows, drops, ports."`
	Version    kong.VersionFlag `help:"Print the version and exit."`
}

// variables of the flags' texts and defaults.
func variables() kong.Vars {
	return kong.Vars{
		"version": version + " (" + commit + ")", "stories": storyNames(), "logs": strings.Join(simulation.Sources(), ", "), "antrea": antreametrics.Newest,
		"rotate": strconv.Itoa(simulation.DefaultRotateBytes),
	}
}

// errSilent asks for exit code 1; what is wrong has been printed already.
var errSilent = errors.New("")

func main() {
	var c commands
	parser, err := kong.New(&c,
		kong.Name("corkline"),
		kong.Description("Network logs of Kubernetes nodes as Prometheus metrics and Loki streams."),
		kong.UsageOnError(),
		variables(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: false}),
	)
	if err != nil {
		panic(err) // the commands' own tags are wrong
	}
	if len(os.Args) < 2 {
		os.Args = append(os.Args, "--help")
	}
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)

	// The grammar of all commands is not held while one of them runs.
	run := runs(command.Selected().Target.Addr().Interface())
	if err := run(signalContext(), slog.New(slog.NewTextHandler(os.Stderr, nil))); err != nil {
		if !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "corkline: "+err.Error())
		}
		code := 1
		var coder kong.ExitCoder
		if errors.As(err, &coder) {
			code = coder.ExitCode()
		}
		os.Exit(code)
	}
}

// runs gives the Run of a command, which takes what it needs; nil if it has none
// of these.
func runs(command any) func(context.Context, *slog.Logger) error {
	switch c := command.(type) {
	case interface {
		Run(ctx context.Context, log *slog.Logger) error
	}:
		return c.Run
	case interface {
		Run(ctx context.Context) error
	}:
		return func(ctx context.Context, _ *slog.Logger) error { return c.Run(ctx) }
	case interface{ Run() error }:
		return func(context.Context, *slog.Logger) error { return c.Run() }
	default:
		return nil
	}
}

// signalContext ends with the first SIGINT or SIGTERM; a second one aborts.
func signalContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "corkline: aborted; lines that were not shipped stay in their files")
		os.Exit(130)
	}()
	return ctx
}
