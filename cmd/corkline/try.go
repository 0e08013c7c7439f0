package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/parsers"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

type tryCmd struct {
	Config         string `short:"c" xor:"definitions" type:"path" placeholder:"FILE" help:"Configuration with definitions of your own; default is that of the agent, if it is there."`
	Definition     string `short:"d" xor:"definition" placeholder:"NAME" help:"Definition, a shipped one or one of the configuration's; without it the content decides."`
	DefinitionFile string `xor:"definition,definitions" type:"path" placeholder:"FILE" help:"Definition file of your own; it may extend those beside it."`
	Zone           string `placeholder:"NAME" help:"Zone of times that name none, such as Europe/Berlin; default is the definition's."`
	Output         string `short:"o" enum:"table,json,metrics" default:"table" help:"table for people, json for an object a line, metrics for the exposition text that the lines lead to."`
	File           string `arg:"" optional:"" default:"-" help:"File with lines, also in gzip, or a support bundle (tar, tar.gz); - is standard input."`
}

func (c *tryCmd) Help() string {
	return `Examples:
  corkline try /var/log/antrea/networkpolicy/np.log
  corkline try -d antrea-networkpolicy -o json np.log | jq .fields
  corkline try --definition-file my-format.yaml -o metrics my.log
  corkline try np-2024-06-02T10-11-12.000.log.gz
  corkline try support-bundle.tar.gz
  corkline try -o json support-bundle.tar.gz | jq 'select(.error)'
  tar c /var/log/antrea | corkline try
  corkline try -c corkline.yaml -d my-format --zone Europe/Berlin my.log
  kubectl exec … -- tail -100 np.log | corkline try
  ovs-ofctl --names dump-flows br-int | corkline try -d ovs-flows -o json

Of a bundle each member is tried with the definition that its content has; those
of no known format, such as configuration and profiles, are named and skipped.
Nothing is written to disk.

The exit code is 1 when a line did not parse. So it is when no member of a
bundle has a known format.`
}

const (
	tryLineBytes = 256 << 10 // longer lines are cut there, as the agent does
	detectLines  = 200
	tryBatch     = 1000    // lines that are put together at once
	tryBytes     = 8 << 20 // of them, about
)

func (c *tryCmd) Run(ctx context.Context) error {
	set, err := c.definitions()
	if err != nil {
		return err
	}
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		f, err := openRegular(c.File)
		if err != nil {
			return err
		}
		defer f.Close() // only read
		in = f
	}
	reference := time.Now()
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			reference = info.ModTime() // years that the lines leave out are those before it
		}
	}
	var zone *time.Location // nil for the definitions'
	if c.Zone != "" {
		if zone, err = time.LoadLocation(c.Zone); err != nil {
			return fmt.Errorf("there is no time zone %q; use UTC or an IANA name such as Europe/Berlin", c.Zone)
		}
	}
	left := int64(maxUnpacked)
	lines, err := unpacked(in, &left)
	if err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	out := bufio.NewWriter(os.Stdout)
	if isTar(lines) {
		return errors.Join(tryBundle(ctx, set, zone, c.Output, lines, out), out.Flush())
	}
	t := &trial{set: set, out: out, lines: lines, reference: reference, zone: zone}
	err = t.run(ctx, c.Output)
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	return t.verdict()
}

// definitions gives those that may be taken: one when it is named.
func (c *tryCmd) definitions() (parsers.Set, error) {
	if c.DefinitionFile != "" {
		d, err := exporter.LoadDefinition(c.DefinitionFile)
		if err != nil {
			return nil, err
		}
		return parsers.Set{d.Name: d}, nil
	}
	library, err := loadLibrary(c.Config)
	if err != nil {
		return nil, err
	}
	if c.Definition == "" {
		return library.Set, nil
	}
	d, err := named(library.Set, c.Definition)
	if err != nil {
		return nil, err
	}
	return parsers.Set{d.Name: d}, nil
}

func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("read lines: %q is a directory; name a file in it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	return f, nil
}

// trial runs lines through a definition.
type trial struct {
	set            parsers.Set
	zone           *time.Location // nil for the definitions'
	lines          *bufio.Reader
	out            *bufio.Writer
	parser         *parsers.Parser
	framer         *parsers.Framer
	reference      time.Time
	read           int64 // bytes
	parsed, failed int
}

func (t *trial) run(ctx context.Context, output string) error {
	var head []parsers.Line
	var definitions []*parsers.Definition // none: no line of the head parses
	if len(t.set) == 1 {
		definitions = []*parsers.Definition{t.set[t.set.Names()[0]]}
	} else {
		var err error
		if head, err = t.head(); err != nil {
			return err
		}
		definitions = t.set.Detect(texts(head))
	}
	t.take(definitions)
	report, finish, err := t.reporter(output, definitions)
	if err != nil {
		return err
	}
	if err := t.all(ctx, head, report); err != nil {
		return err
	}
	return finish()
}

// take sets what the lines are parsed by.
func (t *trial) take(definitions []*parsers.Definition) {
	if len(definitions) > 0 {
		t.parser, t.framer = parsers.NewParser(definitions...), definitions[0].NewFramer(tryLineBytes)
		t.parser.Refer(t.reference.UnixNano())
		if t.zone != nil {
			t.parser.In(t.zone)
		}
	}
}

// verdict is the error when lines did not parse.
func (t *trial) verdict() error {
	if t.failed > 0 {
		return fmt.Errorf("%d of %d lines did not parse", t.failed, t.failed+t.parsed)
	}
	return nil
}

// all tries the lines of the head and those behind it.
func (t *trial) all(ctx context.Context, head []parsers.Line, report func(outcome) error) error {
	lines := slices.Clone(head)
	for end := false; !end && ctx.Err() == nil; {
		size := 0
		for i := range lines {
			size += len(lines[i].Text)
		}
		for len(lines) < tryBatch && size < tryBytes && !end {
			line, err := t.next()
			if end = errors.Is(err, io.EOF); end {
				break
			}
			if err != nil {
				return err
			}
			lines = append(lines, line)
			size += len(line.Text)
		}
		records, rest := lines, len(lines)
		if t.framer != nil {
			// What fills a batch is not waited for any longer.
			if records, rest, _ = t.framer.Join(nil, lines, nil, end); rest == 0 && len(records) == 0 {
				records, rest, _ = t.framer.Join(nil, lines, nil, true)
			}
		}
		for i := range records {
			if err := t.try(&records[i], report); err != nil {
				return err
			}
		}
		lines = lines[rest:]
	}
	return nil
}

// head reads the lines that decide the definition.
func (t *trial) head() ([]parsers.Line, error) {
	var head []parsers.Line
	for size := 0; len(head) < detectLines && size < tryBytes; size += len(head[len(head)-1].Text) {
		line, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		head = append(head, line)
	}
	return head, nil
}

func texts(lines []parsers.Line) [][]byte {
	all := make([][]byte, len(lines))
	for i := range lines {
		all[i] = lines[i].Text
	}
	return all
}

// next gives the next line that is not empty, cut at tryLineBytes, with its place.
func (t *trial) next() (parsers.Line, error) {
	for {
		line, err := t.lines.ReadSlice('\n')
		start := t.read
		t.read += int64(len(line))
		if errors.Is(err, bufio.ErrBufferFull) {
			line = bytes.Clone(line)
			for errors.Is(err, bufio.ErrBufferFull) {
				var rest []byte
				rest, err = t.lines.ReadSlice('\n')
				t.read += int64(len(rest))
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return parsers.Line{}, fmt.Errorf("read lines: %w", err)
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 {
			return parsers.Line{Text: bytes.Clone(line), Start: start, End: t.read}, nil
		}
		if err != nil {
			return parsers.Line{}, err
		}
	}
}

// outcome of one line: a record, or the result that says why not.
type outcome struct {
	record  *parsers.Record
	failure parsers.Result
}

func (t *trial) try(record *parsers.Line, report func(outcome) error) error {
	line := bytes.ToValidUTF8(record.Text, []byte("\uFFFD"))
	if t.parser == nil {
		t.failed++
		d, closest := t.set.Closest(line)
		failure := d.Failure(line, fmt.Errorf("no definition parses the line; %s got furthest", d.Name))
		failure.Definition, failure.Closest = "", &closest
		return report(outcome{failure: failure})
	}
	r := &parsers.Record{Line: line, Carried: record.Time, Header: record.Header}
	if err := t.parser.Parse(r); err != nil {
		t.failed++
		return report(outcome{failure: r.Definition.Failure(r.Line, err)})
	}
	t.parsed++
	return report(outcome{record: r})
}

func (t *trial) reporter(output string, definitions []*parsers.Definition) (report func(outcome) error, finish func() error, err error) {
	switch output {
	case "json":
		encoder := json.NewEncoder(t.out)
		encoder.SetEscapeHTML(false)
		return func(o outcome) error { return encoder.Encode(o.result()) }, func() error { return nil }, nil
	case "metrics":
		return t.metrics(definitions)
	default:
		layouts := map[*parsers.Layout]int{}
		return func(o outcome) error { return t.table(o, layouts) }, func() error { return t.summary(definitions, layouts) }, nil
	}
}

func (o outcome) result() parsers.Result {
	if o.record == nil {
		return o.failure
	}
	return o.record.Result(time.Time{})
}

func (t *trial) metrics(definitions []*parsers.Definition) (report func(outcome) error, finish func() error, err error) {
	registry := prometheus.NewPedanticRegistry()
	catalogue := exporter.NewCatalogue(registry, 1<<20)
	feeders := map[*parsers.Definition]*exporter.Feeder{}
	for _, d := range definitions {
		if feeders[d], err = catalogue.Feeder(d); err != nil {
			return nil, nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	report = func(o outcome) error {
		if o.record != nil {
			feeders[o.record.Definition].Add(o.record)
			return nil
		}
		_, err := fmt.Fprintf(os.Stderr, "not parsed: %s; %s\n  %s\n", o.failure.Error, o.failure.Closest, o.failure.Line)
		return err
	}
	return report, func() error {
		families, err := registry.Gather()
		if err != nil {
			return fmt.Errorf("gather metrics: %w", err)
		}
		for _, family := range families {
			if !strings.HasPrefix(family.GetName(), parsers.Prefix+"pipeline_") {
				if _, err := expfmt.MetricFamilyToText(t.out, family); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// table prints one line and what it holds, or where it stops to match.
func (t *trial) table(o outcome, layouts map[*parsers.Layout]int) error {
	result := o.result()
	fmt.Fprintln(t.out, result.Line)
	if o.record == nil {
		fmt.Fprintf(t.out, "%s^\n  %s: %s\n\n", strings.Repeat(" ", utf8.RuneCountInString(result.Line[:result.Closest.Column-1])), result.Error, result.Closest)
		return nil
	}
	layouts[o.record.Layout]++
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  layout\t%s\n", result.Layout)
	if result.Time != "" {
		fmt.Fprintf(w, "  time\t%s\n", result.Time)
	}
	for i, f := range o.record.Definition.Fields {
		if value := o.record.Value(i); len(value) > 0 && !o.record.Definition.IsTime(i) {
			mark := ""
			if _, label := result.StreamLabels[f.Name]; label {
				mark = "  (stream label)"
			}
			fmt.Fprintf(w, "  %s\t%s%s\n", f.Name, value, mark)
		}
	}
	for _, pair := range o.record.Pairs {
		fmt.Fprintf(w, "  %s\t%s  (the line's own)\n", o.record.Text(pair.Key), o.record.Text(pair.Value))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

func (t *trial) summary(definitions []*parsers.Definition, layouts map[*parsers.Layout]int) error {
	if len(definitions) == 0 {
		return nil
	}
	names := make([]string, len(definitions))
	for i, d := range definitions {
		names[i] = d.Name
	}
	fmt.Fprintf(t.out, "definition %s: %d lines parsed, %d not", strings.Join(names, " "), t.parsed, t.failed)
	for _, d := range definitions {
		for _, l := range d.Layouts {
			if n := layouts[l]; n > 0 {
				fmt.Fprintf(t.out, "; layout %s: %d", l.Name, n)
			}
		}
	}
	_, err := fmt.Fprintln(t.out)
	return err
}
