package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/corkline/corkline/exporter/collector/conntrack"
	"github.com/corkline/corkline/exporter/collector/conntrack/analysis"
	"github.com/corkline/corkline/exporter/collector/conntrack/netlink"
)

type conntrackCmd struct {
	Summary  conntrackSummaryCmd  `cmd:"" default:"withargs" help:"How full the table is, what was dropped, and of what it consists."`
	Top      conntrackTopCmd      `cmd:"" help:"Sources, destinations and pairs with most entries, and with most half-open ones."`
	Zones    conntrackZonesCmd    `cmd:"" help:"Entries by zone, protocol and state."`
	Forecast conntrackForecastCmd `cmd:"" help:"When the table will be full, as it grows now."`
	Flows    conntrackFlowsCmd    `cmd:"" help:"Entries, of a pod for example."`
}

func (c *conntrackCmd) Help() string {
	return `Examples:
  corkline conntrack
  corkline conntrack top --watch
  corkline conntrack zones -o json
  corkline conntrack forecast --for 1m
  corkline conntrack flows --pod shop/web-0 --unreplied

All look at this node's table, live, beside the agent or without it. Entries are read over netlink, which takes the capability NET_ADMIN; the
summary goes without. Addresses have the names that the configuration gives
them (collectors.conntrack.names), or those of the pods that Antrea has made
ports for. Of Open vSwitch's userspace datapath they show the table that the
configuration names (collectors.conntrack.table: ovs).`
}

// conntrackFlags are those of all subcommands.
type conntrackFlags struct {
	Config string        `short:"c" type:"path" placeholder:"FILE" help:"Configuration with the names of addresses; default is that of the agent, if it is there."`
	Output string        `short:"o" enum:"table,json" default:"table" help:"table, or json for an object a line."`
	Watch  bool          `short:"w" help:"Again and again, until Ctrl-C."`
	Every  time.Duration `default:"2s" help:"Time between two looks with --watch (default 2s)."`
}

func (c *conntrackFlags) options() (conntrack.Options, error) {
	config, _, err := loadConfig(c.Config)
	if err != nil {
		return conntrack.Options{}, err
	}
	return config.Conntrack(), nil
}

// again calls show once, or with --watch until ctx ends.
func (c *conntrackFlags) again(ctx context.Context, show func(w io.Writer) error) error {
	if c.Every <= 0 {
		return errors.New("--every must be above 0")
	}
	for n := 0; ; n++ {
		switch {
		case !c.Watch || c.Output != "table":
		case isTerminal(os.Stdout):
			fmt.Fprint(os.Stdout, "\x1b[H\x1b[2J")
		case n > 0:
			fmt.Fprintln(os.Stdout)
		}
		if err := show(os.Stdout); err != nil || !c.Watch {
			return err
		}
		if !wait(ctx, c.Every) {
			return nil
		}
	}
}

// wait is false when ctx ends before the time is over.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// report polls the table and shows what it finds.
func (c *conntrackFlags) report(ctx context.Context, log *slog.Logger, table func(io.Writer, *conntrack.Report)) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	options.Interval, options.Stream, options.Log = c.Every, false, log
	collector := conntrack.New(options)
	return c.again(ctx, func(w io.Writer) error {
		if err := collector.Poll(ctx); err != nil {
			return err
		}
		r := collector.Report()
		if c.Output == "json" {
			return jsonLine(w, r)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		table(t, r)
		if r.Missing != "" {
			fmt.Fprintf(t, "\nMissing: %s\n", r.Missing)
		}
		return t.Flush()
	})
}

func jsonLine(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

type conntrackSummaryCmd struct{ conntrackFlags }

// Run shows the summary.
func (c *conntrackSummaryCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.report(ctx, log, func(w io.Writer, r *conntrack.Report) {
		fmt.Fprintf(w, "entries\t%d of %d (%.1f %%)\n", r.Entries, r.Limit, percent(r.Entries, r.Limit))
		for _, name := range slices.Sorted(maps.Keys(r.Counters)) {
			if n := r.Counters[name]; n > 0 || slices.Contains(lossCounters[:], name) {
				fmt.Fprintf(w, "%s\t%d\n", strings.ReplaceAll(name, "_", " "), n)
			}
		}
		if f := r.Forecast; f != nil {
			fmt.Fprintf(w, "full in\t%s\n", forecastText(f))
		}
		for _, name := range slices.Sorted(maps.Keys(r.Statuses)) {
			fmt.Fprintf(w, "%s\t%d (%.1f %%)\n", strings.ReplaceAll(name, "_", "-"), r.Statuses[name], percent(r.Statuses[name], r.Read))
		}
		for i := range r.Floods {
			fmt.Fprintf(w, "%s, %s\t%s\n", r.Floods[i].Event, r.Floods[i].Phase, r.Floods[i].Message)
		}
		if r.Read > 0 {
			fmt.Fprintf(w, "read\t%d entries in %s\n", r.Read, seconds(r.Took).Round(time.Millisecond))
		}
	})
}

// lossCounters are shown even when they are 0.
var lossCounters = [...]string{"drops", "early_drops", "insert_failures"}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func forecastText(f *conntrack.Forecast) string {
	return fmt.Sprintf("%s, between %s and %s; %.1f more entries each second, confidence %.2f", seconds(f.Seconds).Round(time.Second),
		seconds(f.Earliest).Round(time.Second), seconds(f.Latest).Round(time.Second), f.Growth, f.Confidence)
}

type conntrackTopCmd struct{ conntrackFlags }

// Run shows the lists.
func (c *conntrackTopCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.report(ctx, log, func(w io.Writer, r *conntrack.Report) {
		if r.Top == nil {
			return
		}
		for i, list := range [...]struct {
			name string
			top  []conntrack.Talker
		}{
			{"SOURCES", r.Top.Sources},
			{"DESTINATIONS", r.Top.Destinations},
			{"PAIRS", r.Top.Pairs},
			{"SOURCES, HALF-OPEN", r.Top.HalfOpenSources},
			{"DESTINATIONS, HALF-OPEN", r.Top.HalfOpenDestinations},
			{"PAIRS, HALF-OPEN", r.Top.HalfOpenPairs},
		} {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "%s\tENTRIES\tOF ALL\n", list.name)
			for _, t := range list.top {
				count := strconv.FormatUint(t.AtLeast, 10)
				if t.AtMost > t.AtLeast {
					count += " to " + strconv.FormatUint(t.AtMost, 10)
				}
				fmt.Fprintf(w, "%s\t%s\t%.1f %%\n", talkerText(t), count, percent(t.AtLeast, r.Read))
			}
		}
	})
}

func talkerText(t conntrack.Talker) string {
	source, destination := withName(t.Source, t.SourcePod), withName(t.Destination, t.DestinationPod)
	if source != "" && destination != "" {
		return source + " > " + destination
	}
	return source + destination
}

func withName(address, name string) string {
	if name == "" {
		return address
	}
	return address + " " + name
}

type conntrackZonesCmd struct{ conntrackFlags }

// Run shows the sums.
func (c *conntrackZonesCmd) Run(ctx context.Context, log *slog.Logger) error {
	return c.report(ctx, log, func(w io.Writer, r *conntrack.Report) {
		fmt.Fprintln(w, "ZONE\tFAMILY\tENTRIES")
		for _, z := range r.Zones {
			fmt.Fprintf(w, "%s\t%s\t%d\n", z.Zone, z.Family, z.Entries)
		}
		fmt.Fprintln(w, "\nPROTOCOL\tSTATE\tENTRIES")
		for _, s := range r.States {
			fmt.Fprintf(w, "%s\t%s\t%d\n", s.Protocol, s.State, s.Entries)
		}
	})
}

type conntrackForecastCmd struct {
	conntrackFlags
	For time.Duration `default:"30s" help:"How long to look at the table's size, once a second, before the answer (default 30s)."`
}

// conntrackForecast is what the forecast prints as JSON.
type conntrackForecast struct {
	Entries  uint64              `json:"entries"`
	Limit    uint64              `json:"limit"`
	Looked   float64             `json:"looked_seconds"`
	Forecast *conntrack.Forecast `json:"forecast"` // null without a trend
}

// Run looks at the size for a while.
func (c *conntrackForecastCmd) Run(ctx context.Context) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	forecaster := analysis.NewForecaster(analysis.Glimpse(c.For))
	start := time.Now()
	for {
		entries, limit, err := options.Size(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		forecaster.Observe(now, entries, limit)
		looked := now.Sub(start)
		if looked >= c.For || c.Watch {
			if err := c.show(os.Stdout, conntrackForecast{entries, limit, looked.Seconds(), forecastOf(forecaster)}); err != nil {
				return err
			}
		}
		if looked >= c.For && !c.Watch || !wait(ctx, time.Second) {
			return nil
		}
	}
}

func forecastOf(f *analysis.Forecaster) *conntrack.Forecast {
	forecast, is := f.Forecast()
	if !is {
		return nil
	}
	return conntrack.NewForecast(forecast)
}

func (c *conntrackForecastCmd) show(w io.Writer, f conntrackForecast) error {
	if c.Output == "json" {
		return jsonLine(w, f)
	}
	text := "no trend towards a full table"
	if f.Forecast != nil {
		text = "full in " + forecastText(f.Forecast)
	}
	fmt.Fprintf(w, "%d of %d entries (%.1f %%): %s\n", f.Entries, f.Limit, percent(f.Entries, f.Limit), text)
	return nil
}

type conntrackFlowsCmd struct {
	conntrackFlags
	Pod       string `placeholder:"NAMESPACE/POD" help:"Of a pod, or of a node by its name, as source, destination or backend."`
	Address   string `placeholder:"IP" help:"Of an address."`
	Zone      string `placeholder:"ZONE" help:"Of a zone: its number, antrea or antrea-snat."`
	Protocol  string `placeholder:"NAME" help:"Of a protocol, such as tcp."`
	State     string `placeholder:"STATE" help:"In a state, such as SYN_SENT."`
	Unreplied bool   `help:"To which no packet came back."`
	Limit     int    `short:"n" default:"100" help:"Print so many at most, 0 for all (default 100)."`
}

// Run prints entries.
func (c *conntrackFlowsCmd) Run(ctx context.Context) error {
	options, err := c.options()
	if err != nil {
		return err
	}
	selection := conntrack.Selection{Owner: c.Pod, Zone: c.Zone, Protocol: c.Protocol, State: c.State, Unreplied: c.Unreplied, Limit: c.Limit}
	if c.Address != "" {
		if selection.Address, err = netip.ParseAddr(c.Address); err != nil {
			return fmt.Errorf("--address: %w", err)
		}
	}
	return c.again(ctx, func(w io.Writer) error { return c.show(ctx, w, &options, selection) })
}

func (c *conntrackFlowsCmd) show(ctx context.Context, w io.Writer, options *conntrack.Options, selection conntrack.Selection) error {
	var table conntrack.Table = options.Datapath
	if options.Datapath == nil {
		conn, err := netlink.Dial()
		if err != nil {
			return err
		}
		defer conn.Close()
		table = conn
	}
	if names, is := options.Names.(conntrack.Refresher); is {
		if err := names.Refresh(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "corkline:", err)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	each := func(f *conntrack.Flow) error { return jsonLine(w, f) }
	if c.Output == "table" {
		fmt.Fprintln(t, "PROTOCOL\tSTATE\tSOURCE\tDESTINATION\tBACKEND\tZONE\tFLAGS\tTIMEOUT\tPACKETS\tBYTES")
		each = func(f *conntrack.Flow) error { return flowRow(t, f) }
	}
	all, err := conntrack.Flows(ctx, table, options.Names, selection, each)
	if err := errors.Join(err, t.Flush()); err != nil {
		return err
	}
	switch {
	case c.Limit > 0 && all > uint64(c.Limit):
		fmt.Fprintf(os.Stderr, "%d of %d entries; --limit=0 prints all\n", c.Limit, all)
	case all == 0 && c.Pod != "":
		fmt.Fprintf(os.Stderr, "no entry is of %s, or no address is known to be (collectors.conntrack.names)\n", c.Pod)
	case all == 0:
		fmt.Fprintln(os.Stderr, "there is no such entry")
	}
	return nil
}

func flowRow(w io.Writer, f *conntrack.Flow) error {
	var flags []string
	for _, flag := range [...]struct {
		is   bool
		name string
	}{{f.Unreplied, "unreplied"}, {f.Assured, "assured"}, {f.NotAllowed, "not-allowed"}} {
		if flag.is {
			flags = append(flags, flag.name)
		}
	}
	backend := ""
	if f.Backend != "" {
		backend = withName(endpoint(f.Backend, f.BackendPort), f.BackendPod)
	}
	_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\n", f.Protocol, f.State,
		withName(endpoint(f.Source, f.SourcePort), f.SourcePod), withName(endpoint(f.Destination, f.Port), f.DestinationPod), backend,
		f.Zone, strings.Join(flags, ","), time.Duration(f.Timeout)*time.Second, f.Packets, f.Bytes)
	return err
}

func endpoint(address string, port uint16) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}
