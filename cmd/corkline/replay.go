package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/exporter"
	"github.com/corkline/corkline/exporter/sink/archive"
)

type replayCmd struct {
	Config string   `short:"c" type:"path" placeholder:"FILE" help:"The agent's configuration: where Loki and the archive are; default is /etc/corkline/corkline.yaml."`
	From   instant  `required:"" placeholder:"TIME" help:"First time of the lines: 2006-01-02, 2006-01-02T15:04 (UTC) or RFC 3339."`
	To     instant  `required:"" placeholder:"TIME" help:"End of the times; not in it."`
	Source []string `placeholder:"NAME" help:"Only lines of this source; may be given more than once."`
	Dir    string   `type:"path" placeholder:"DIR" help:"Folder of an agent's archive (state_dir/archive), instead of the S3 of the configuration."`
	ID     string   `name:"id" placeholder:"NAME" help:"Value of the label replay; default is one made of the times and sources."`
	DryRun bool     `help:"Only say what would be pushed."`
}

// instant is a time as people write it.
type instant struct{ time.Time }

// UnmarshalText reads the forms that --help names.
func (i *instant) UnmarshalText(text []byte) (err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if i.Time, err = time.Parse(layout, string(text)); err == nil {
			i.Time = i.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is not a time such as 2026-11-21, 2026-11-21T15:04 or 2026-11-21T15:04:05+01:00", text)
}

// Help is shown below the command's flags.
func (c *replayCmd) Help() string {
	return `Examples:
  corkline replay --from=2026-11-20 --to=2026-11-21 --dry-run
  corkline replay --from=2026-11-20 --to=2026-11-21 --source=antrea-networkpolicy
  corkline replay --from=2026-11-20T06:00 --to=2026-11-20T07:00 --dir=/var/lib/corkline/archive

Puts archived lines (those that Loki refused, or that were too old for it) into
Loki as they were, with the label replay, so that {replay="…"} finds them. Raise
the limit that they met first. The same command goes on where it was broken off
and pushes no line twice: its progress is kept beside the objects. With another
--id all lines are pushed again, under that. An object is in memory from its
first line to its last.

Exit codes: 0 all lines are in Loki, 1 something failed or was interrupted (run
it again), 2 Loki refused lines again.`
}

// Run shows the plan, and carries it out.
func (c *replayCmd) Run(ctx context.Context) (err error) {
	if !c.From.Before(c.To.Time) {
		return errors.New("--from must be before --to")
	}
	if strings.ContainsFunc(c.ID, func(r rune) bool { return !strings.ContainsRune(idRunes, r) }) {
		return fmt.Errorf("--id %q: use lower-case letters, digits and -", c.ID)
	}
	config, _, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	r, err := exporter.NewReplay(ctx, config, exporter.ReplayOptions{
		Selection: archive.Selection{From: c.From.Time, To: c.To.Time, Sources: c.Source},
		ID:        c.ID, Dir: c.Dir, Version: version,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	printPlan(os.Stdout, &r.Plan)
	if r.OpenSegments > 0 {
		fmt.Printf("left out: %d segments that an agent still writes; it closes them within archive.flush_interval\n", r.OpenSegments)
	}
	if c.DryRun {
		fmt.Fprintln(os.Stderr, "dry run: nothing was pushed")
		return nil
	}
	if r.Plan.Lines == r.Plan.Skipped {
		fmt.Println("nothing is left to push")
		return errors.Join(r.Plan.Damaged...)
	}
	return c.push(ctx, r, config.Loki.Address())
}

const idRunes = "abcdefghijklmnopqrstuvwxyz0123456789-"

func (c *replayCmd) push(ctx context.Context, r *exporter.Replay, loki string) error {
	var counts atomic.Pointer[archive.Counts]
	counts.Store(&archive.Counts{})
	left := r.Plan.Lines - r.Plan.Skipped
	done := local.NewProgress(os.Stderr).Track("replaying to "+loki, func() string {
		now := counts.Load()
		text := fmt.Sprintf("%d of %d lines", now.Pushed+now.Refused, left)
		if state := r.Loki(); state.Failures > 0 {
			text += ", waiting: " + state.LastError
		}
		return text
	})
	result, err := r.Run(ctx, func(now archive.Counts) { counts.Store(&now) })
	done()
	printCounts(os.Stdout, r.Plan.ID, result)
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("interrupted; the same command goes on from here")
	case err != nil:
		return fmt.Errorf("replay: %w; the same command goes on from here", err)
	case result.Refused > 0:
		return exitError{errSilent, 2}
	}
	return nil
}

func printPlan(w io.Writer, p *archive.Plan) {
	fmt.Fprintf(w, "replay %s: %d lines in %d objects", p.ID, p.Lines, p.Objects)
	if p.Lines > 0 {
		fmt.Fprintf(w, ", %s to %s", p.First.Format(time.RFC3339), p.Last.Format(time.RFC3339))
	}
	fmt.Fprintln(w)
	for _, source := range slices.Sorted(maps.Keys(p.Sources)) {
		fmt.Fprintf(w, "  %s: %d lines\n", source, p.Sources[source])
	}
	for _, err := range p.Damaged {
		fmt.Fprintf(w, "  left out: %s\n", err)
	}
	if p.Skipped > 0 {
		fmt.Fprintf(w, "  replayed before: %d lines\n", p.Skipped)
	}
}

func printCounts(w io.Writer, id string, c archive.Counts) {
	fmt.Fprintf(w, "pushed %d lines with the label replay=%q, refused again %d, skipped %d that were replayed before\n", c.Pushed, id, c.Refused, c.Skipped)
	for _, reason := range slices.Sorted(maps.Keys(c.Reasons)) {
		fmt.Fprintf(w, "  refused %d: %s\n", c.Reasons[reason], reason)
	}
}
