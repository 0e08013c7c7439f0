package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
)

type agentCmd struct {
	Config string `short:"c" type:"path" placeholder:"FILE" help:"Configuration file; default is /etc/corkline/corkline.yaml when it is there, else the defaults for an Antrea node."`
	Once   bool   `help:"Read to the end of the files, ship all, commit and exit."`
}

func (c *agentCmd) Help() string {
	return `Examples:
  corkline agent                              # defaults for an Antrea node, metrics only
  corkline agent --config corkline.yaml       # as configured
  corkline agent --config corkline.yaml --once

Signals: SIGTERM and SIGINT finish the batch at Loki within shutdown_timeout
and exit; a second one aborts. SIGHUP, or a change of the file or of a
definition, reads the configuration again; a bad one is refused, and the one
before goes on.`
}

func (c *agentCmd) Run(ctx context.Context, log *slog.Logger) error {
	config, file, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// A line allocates nothing, so a smaller heap costs next to no time.
		debug.SetGCPercent(25)
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	agent, err := exporter.New(exporter.Options{
		ConfigFile: file, Config: config, Once: c.Once, Version: version, Revision: commit, Log: log, Reload: reload,
	})
	if err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	if addr := agent.Addr(); addr != "" {
		log.Info("agent started", "status", "http://"+addr+"/", "node", config.Node, "loki", config.Loki.Address(), "state_dir", config.StateDir)
	}
	err = agent.Run(ctx)
	if c.Once {
		return errors.Join(err, agent.Summary(os.Stderr))
	}
	return err
}

// loadLibrary gives the shipped definitions and those of a configuration.
func loadLibrary(path string) (*parsers.Library, error) {
	config, _, err := loadConfig(path)
	if err != nil {
		return nil, err
	}
	return config.Library(), nil
}

// loadConfig reads the configuration of a file, or without one of the default
// file, or when that is not there, the defaults. It gives the file that it read.
func loadConfig(path string) (config *exporter.Config, file string, err error) {
	if path != "" {
		config, err = exporter.LoadConfig(path)
		return config, path, err
	}
	config, err = exporter.LoadConfig(exporter.DefaultConfigFile)
	if errors.Is(err, fs.ErrNotExist) {
		config, err = exporter.LoadConfig("")
		return config, "", err
	}
	return config, exporter.DefaultConfigFile, err
}
