package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/corkline/corkline/exporter/collector/ovs"
)

type ovsCmd struct {
	View string `arg:"" optional:"" enum:"tables,flows,drops,ports,trace-drop" default:"tables" help:"tables, flows, drops, ports or trace-drop (default tables)."`

	RunDir   string        `type:"path" placeholder:"DIR" help:"Folder of the switch's sockets; default is the first that has a bridge of /var/run/openvswitch and /var/run/antrea/openvswitch."`
	Bridge   string        `short:"b" placeholder:"NAME" help:"Bridge; default is br-int, or else the first."`
	Table    string        `short:"t" placeholder:"TABLE" help:"Only flows and drops of this table, by its name or number."`
	Output   string        `short:"o" enum:"table,json" default:"table" help:"table or json."`
	Watch    bool          `short:"w" help:"Show it again and again, until Ctrl-C."`
	Interval time.Duration `default:"2s" help:"Between two looks of --watch and trace-drop (default 2s)."`
	Timeout  time.Duration `default:"20s" help:"For one look (default 20s)."`
}

// Help is shown below the command's flags.
func (c *ovsCmd) Help() string {
	return `Examples:
  corkline ovs
  corkline ovs drops --watch
  corkline ovs trace-drop --interval=5s
  corkline ovs flows -t SpoofGuard
  corkline ovs flows -o json | jq 'select(.reason)'
  corkline ovs ports -o json
  corkline ovs --run-dir=/var/run/antrea/openvswitch --bridge=br-int tables

Open vSwitch on this node, live and over its own sockets, of which only root may
open most. Counters are those of the switch, since its start.

  tables      tables with their flows and look-ups
  flows       flows, as ovs-ofctl --names prints them; with -o json one object a line
  drops       where packets end and why: the flow, the policy rule, the pod
  ports       ports with their pods and counters
  trace-drop  drops that grow between two looks

Names of pipelines, reasons and rules are those of Antrea. On other bridges, a
drop is a flow without actions (flow), or a packet that no flow matches
(table_miss).

Exit codes: 0 shown, 2 the switch could not be read.`
}

// Run shows the bridge.
func (c *ovsCmd) Run(ctx context.Context) error {
	if c.Interval <= 0 || c.Timeout <= 0 {
		return exitError{errors.New("--interval and --timeout must be above 0"), 2}
	}
	if err := c.run(ctx); err != nil && ctx.Err() == nil {
		return exitError{explainOVS(err), 2}
	}
	return nil
}

// explainOVS says what can be done about an error.
func explainOVS(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; only root may open the sockets of Open vSwitch", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; is Open vSwitch running on this node? --run-dir names the folder with its *.mgmt sockets", err)
	}
	return err
}

func (c *ovsCmd) run(ctx context.Context) error {
	open, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	viewer, err := ovs.OpenViewer(open, c.RunDir, c.Bridge)
	if err != nil {
		return err
	}
	defer viewer.Close()
	show := c.view(viewer)
	if c.View == "trace-drop" { // begins with a look at nothing
		if err := c.once(ctx, io.Discard, show); err != nil {
			return err
		}
		c.wait(ctx)
	}
	for ctx.Err() == nil {
		if err := c.page(ctx, show); err != nil {
			if !c.Watch || ctx.Err() != nil {
				return err
			}
			fmt.Fprintln(os.Stderr, "corkline: "+explainOVS(err).Error()) // a switch may come back
		}
		if !c.Watch {
			return nil
		}
		c.wait(ctx)
	}
	return nil
}

func (c *ovsCmd) wait(ctx context.Context) {
	timer := time.NewTimer(c.Interval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (c *ovsCmd) once(ctx context.Context, to io.Writer, show func(context.Context, io.Writer) error) error {
	look, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return show(look, to)
}

// page shows one look whole: what is watched is put together before the screen
// is cleared.
func (c *ovsCmd) page(ctx context.Context, show func(context.Context, io.Writer) error) error {
	if !c.Watch || c.Output == "json" {
		out := bufio.NewWriter(os.Stdout)
		return errors.Join(c.once(ctx, out, show), out.Flush())
	}
	var text bytes.Buffer
	if err := c.once(ctx, &text, show); err != nil {
		return err
	}
	if isTerminal(os.Stdout) {
		fmt.Print("\x1b[H\x1b[2J")
	}
	fmt.Printf("%s, every %s\n\n%s\n", time.Now().Format(time.TimeOnly), c.Interval, text.Bytes())
	return nil
}

// view gives what shows one look.
func (c *ovsCmd) view(v *ovs.Viewer) func(context.Context, io.Writer) error {
	switch c.View {
	case "flows":
		return func(ctx context.Context, w io.Writer) error { return c.flows(ctx, v, w) }
	case "drops":
		return func(ctx context.Context, w io.Writer) error {
			drops, err := v.Drops(ctx)
			if err != nil {
				return err
			}
			return c.drops(w, drops)
		}
	case "trace-drop":
		var before []ovs.Drop
		return func(ctx context.Context, w io.Writer) error {
			now, err := v.Drops(ctx)
			if err != nil {
				return err
			}
			grown := ovs.Grown(before, now)
			before = now
			return c.drops(w, grown)
		}
	case "ports":
		return func(ctx context.Context, w io.Writer) error { return c.ports(ctx, v, w) }
	default:
		return func(ctx context.Context, w io.Writer) error { return c.tables(ctx, v, w) }
	}
}

func (c *ovsCmd) tables(ctx context.Context, v *ovs.Viewer, w io.Writer) error {
	tables, err := v.Tables(ctx)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(w, tables)
	}
	pipeline := "not a pipeline of Antrea's"
	if of := v.Pipeline(); of != "" {
		pipeline = of
	}
	fmt.Fprintf(w, "bridge %s, OpenFlow %s: %s\n\n", v.Bridge, v.OpenFlow(), pipeline)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "TABLE\tFLOWS\tLOOKUPS\tMATCHES\t  NAME")
	for i := range tables {
		x := &tables[i]
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t  %s\n", x.ID, x.Flows, x.Lookups, x.Matches, x.Name)
	}
	return t.Flush()
}

func (c *ovsCmd) flows(ctx context.Context, v *ovs.Viewer, w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return v.Flows(ctx, c.Table, func(f *ovs.FlowView, text []byte) error {
		if c.Output == "json" {
			return encoder.Encode(f)
		}
		_, err := fmt.Fprintf(w, "%s\n", text)
		return err
	})
}

func (c *ovsCmd) drops(w io.Writer, all []ovs.Drop) error {
	drops := make([]ovs.Drop, 0, len(all))
	for i := range all {
		if c.Table == "" || all[i].Table == c.Table {
			drops = append(drops, all[i])
		}
	}
	if c.Output == "json" {
		return printJSON(w, drops)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PACKETS\tREASON\tTABLE\tRULE\tPOD\tPRIORITY\tMATCH")
	for i := range drops {
		d := &drops[i]
		rule, pod, priority := "", "", ""
		if d.RulePriority != nil {
			rule = d.RuleTable + " " + strconv.Itoa(int(*d.RulePriority))
		}
		if d.Pod != "" {
			pod = d.Namespace + "/" + d.Pod
		}
		if d.Priority != nil {
			priority = strconv.Itoa(int(*d.Priority))
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Packets, d.Reason, d.Table, rule, pod, priority, d.Match)
	}
	return t.Flush()
}

func (c *ovsCmd) ports(ctx context.Context, v *ovs.Viewer, w io.Writer) error {
	ports, err := v.Ports(ctx)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(w, ports)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "PORT\tRX PACKETS\tRX BYTES\tRX DROPS\tRX ERRORS\tTX PACKETS\tTX BYTES\tTX DROPS\tTX ERRORS\t  TYPE\t  NAME\t  POD")
	for i := range ports {
		p := &ports[i]
		pod := ""
		if p.Pod != "" {
			pod = p.Namespace + "/" + p.Pod
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t  %s\t  %s\t  %s\n", p.Number, p.ReceivedPackets, p.ReceivedBytes, p.ReceivedDropped, p.ReceivedErrors,
			p.SentPackets, p.SentBytes, p.SentDropped, p.SentErrors, p.Type, p.Name, pod)
	}
	return t.Flush()
}
