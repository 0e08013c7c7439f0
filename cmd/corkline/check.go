package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
	"github.com/corkline/corkline/parsers/strict"
)

type checkCmd struct {
	Config         string   `short:"c" type:"path" placeholder:"FILE" help:"Configuration file to check, with the definitions that it holds and those of its definitions_dir."`
	Definition     string   `short:"d" placeholder:"NAME" help:"Definition to show, as with --verbose: a shipped one, or one of the configuration's."`
	DefinitionFile []string `type:"path" placeholder:"FILE" help:"Definition file to check, with those beside it that it extends; may be given more than once."`
	Verbose        bool     `short:"v" help:"Show the expressions and fields of each definition."`
}

func (c *checkCmd) Help() string {
	return `Examples:
  corkline check                              # what an agent without --config would run with
  corkline check --config corkline.yaml
  corkline check --definition-file my-format.yaml -v
  corkline check -d antrea-networkpolicy      # what there is to extend

Every fault is printed as file:line:column: key: message. The exit code is 1
when there are any.

With -v a layout, or another expression, is followed by what finds its fields:
the matcher, or else regexp, which is several times slower, and why. A field is
followed by what becomes of it: time, stream label, structured metadata; and
number.`
}

func (c *checkCmd) Run() error {
	var problems []error
	switch all := c.Config == "" && len(c.DefinitionFile) == 0; {
	case c.Definition != "":
		if err := c.show(); err != nil {
			problems = append(problems, err)
		}
	case all || c.Config != "":
		if err := c.checkConfig(all); err != nil {
			problems = append(problems, err)
		}
	}
	for _, file := range c.DefinitionFile {
		d, err := exporter.LoadDefinition(file)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		describe(os.Stdout, d, file, c.Verbose)
	}
	return report(problems)
}

// checkConfig tells of the sources, and on demand of the definitions.
func (c *checkCmd) checkConfig(definitions bool) error {
	config, file, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if file == "" {
		file = "defaults"
	}
	sources := slices.DeleteFunc(slices.Clone(config.Sources), func(s exporter.SourceConfig) bool { return s.FromCollector() })
	fmt.Printf("%s: good; %d sources, node %q, state in %s, %s\n", file, len(sources), config.Node, config.StateDir, destination(config))
	for _, s := range sources {
		names := s.DefinitionNames()
		what := "definition"
		if len(names) > 1 {
			what = "definitions"
		}
		if s.Zone != "" {
			names = append(names, "in zone "+s.Zone)
		}
		from := "files " + strings.Join(s.Files, " ")
		if s.Syslog != nil {
			from = "syslog over " + s.Syslog.String()
		}
		fmt.Printf("  %s: %s %s, %s\n", s.Name, what, strings.Join(names, " "), from)
	}
	if !definitions && !c.Verbose {
		return nil
	}
	library := config.Library()
	for _, name := range library.InOrder() {
		describe(os.Stdout, library.Set[name], inFile(library, name), c.Verbose)
	}
	return nil
}

// show tells of one definition.
func (c *checkCmd) show() error {
	library, err := loadLibrary(c.Config)
	if err != nil {
		return err
	}
	d, err := named(library.Set, c.Definition)
	if err != nil {
		return err
	}
	describe(os.Stdout, d, inFile(library, d.Name), true)
	return nil
}

// inFile gives the name of a definition, with the file of one that is not shipped.
func inFile(library *parsers.Library, name string) string {
	if file := library.File(name); file != "" {
		return name + " of " + file
	}
	return name
}

// report prints every fault.
func report(problems []error) error {
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

// describe tells what a definition is made of.
func describe(out io.Writer, d *parsers.Definition, what string, verbose bool) {
	fmt.Fprintf(out, "%s: good; %d layouts, %d fields, %d metrics\n", what, len(d.Layouts), len(d.Fields), len(d.Metrics))
	if !verbose {
		return
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, e := range d.Expressions() {
		name, path := e.Key, "matcher"
		if e.Layout != "" {
			name = "layout " + e.Layout
		}
		switch {
		case e.Typed:
			path = "typed parser"
		case e.Regexp != "":
			path = "regexp: " + e.Regexp
		}
		fmt.Fprintf(w, "  %s\t%s\n", name, path)
	}
	for i, f := range d.Fields {
		fmt.Fprintf(w, "  field %s\t%s\n", f.Name, strings.Join(roles(d, i), ", "))
	}
	_ = w.Flush() // to a terminal, whose reader is gone when it fails
}

// roles of a field.
func roles(d *parsers.Definition, field int) []string {
	var roles []string
	for _, role := range []struct {
		name string
		has  bool
	}{
		{"time", d.IsTime(field)},
		{"stream label", slices.Contains(d.StreamLabels, field)},
		{"structured metadata", slices.Contains(d.Metadata, field)},
		{"number", d.Fields[field].Number},
	} {
		if role.has {
			roles = append(roles, role.name)
		}
	}
	if roles == nil {
		return []string{"-"}
	}
	return roles
}

// named gives the definition of a name that a user gave.
func named(set parsers.Set, name string) (*parsers.Definition, error) {
	d, ok := set[name]
	if !ok {
		return nil, fmt.Errorf("there is no definition %q; there are: %s", name, strings.Join(set.Names(), " "))
	}
	return d, nil
}

func destination(c *exporter.Config) string {
	if c.Loki.URL == "" {
		return "metrics only (loki.url is not set)"
	}
	return "lines to " + c.Loki.Address()
}
