package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/parsers/strict"
)

type checkCmd struct {
	Config         string   `short:"c" type:"path" placeholder:"FILE" help:"Configuration file to check, with the definitions that it holds or names."`
	DefinitionFile []string `type:"path" placeholder:"FILE" help:"Definition file to check; may be given more than once."`
}

func (c *checkCmd) Help() string {
	return `Examples:
  corkline check --config corkline.yaml
  corkline check --definition-file my-format.yaml

Every fault is printed as file:line:column: key: message. The exit code is 1 when
there are any.`
}

func (c *checkCmd) Run() error {
	if c.Config == "" && len(c.DefinitionFile) == 0 {
		return errors.New("nothing to check: give --config FILE or --definition-file FILE")
	}
	var problems []error
	if c.Config != "" {
		config, err := exporter.LoadConfig(c.Config)
		if err != nil {
			problems = append(problems, err)
		} else {
			fmt.Printf("%s: good; %d sources, node %q, state in %s, %s\n", c.Config, len(config.Sources), config.Node, config.StateDir, destination(config))
			for _, s := range config.Sources {
				fmt.Printf("  %s: definition %s, files %s\n", s.Name, s.Definition, strings.Join(s.Files, " "))
			}
		}
	}
	for _, file := range c.DefinitionFile {
		d, err := parsers.LoadDefinition(file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		fmt.Printf("%s: good; %d layouts, %d fields, %d metrics\n", file, len(d.Layouts), len(d.Fields), len(d.Metrics))
	}
	if len(problems) == 0 {
		return nil
	}
	count := 0
	for _, err := range problems {
		var faults strict.Faults
		if errors.As(err, &faults) {
			count += len(faults) - 1
		}
		count++
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Fprintf(os.Stderr, "corkline: %d faults\n", count)
	return errSilent
}

func destination(c *exporter.Config) string {
	if c.Loki.URL == "" {
		return "metrics only (loki.url is not set)"
	}
	return "lines to " + c.Loki.Address()
}
