package exporter

import (
	"context"
	"errors"
	"fmt"

	"github.com/corkline/corkline/exporter/sink/archive"
	"github.com/corkline/corkline/exporter/sink/loki"
	"github.com/corkline/corkline/parsers"
)

// ReplayOptions say what a Replay pushes.
type ReplayOptions struct {
	archive.Selection
	// ID that the lines get as label replay; empty for one made of the selection.
	ID string
	// Dir is the folder of an agent's archive, instead of the S3 that is configured.
	Dir     string
	Version string
}

// Replay pushes archived lines into Loki again.
type Replay struct {
	*archive.Replay
	// OpenSegments are left out, since an agent still writes them.
	OpenSegments int

	library *archive.Library
	s3      *archive.S3
	sink    *loki.Sink
	refused map[string]int // of the push at hand
}

// NewReplay looks at the archive and at what was replayed before. It changes
// nothing but that segments of a folder that no agent uses are closed.
func NewReplay(ctx context.Context, c *Config, o ReplayOptions) (r *Replay, err error) {
	r = &Replay{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if o.Dir != "" {
		if r.library, err = archive.OpenFolder(o.Dir); err != nil {
			return r, err
		}
		r.OpenSegments = r.library.Open
	} else {
		if r.s3, err = c.S3(); err != nil {
			return r, err
		}
		if r.s3 == nil {
			return r, fmt.Errorf("find the archive: archive.endpoint is not set; give the folder of an agent's archive with --dir, such as %s", c.ArchiveDir())
		}
		r.library = archive.NewLibrary(r.s3)
	}
	if o.ID == "" {
		o.ID = archive.ReplayID(o.Selection)
	}
	if r.Replay, err = archive.NewReplay(ctx, r.library, o.Selection, o.ID); err != nil {
		return r, err
	}
	if c.Loki.URL == "" {
		return r, nil
	}
	options := c.Loki.options()
	options.MaxAge = 0 // they are as old as they are
	options.UserAgent = "corkline/" + o.Version
	options.Refused = func(_ context.Context, _ *parsers.Batch, records []int32, reason string) error {
		r.refused[reason] += len(records)
		return nil
	}
	r.sink, err = loki.New(options)
	return r, err
}

// Run pushes what is left, and tells the counts after each push. Its error
// says why it broke off; the next Run goes on from there.
func (r *Replay) Run(ctx context.Context, report func(archive.Counts)) (archive.Counts, error) {
	if r.sink == nil {
		return archive.Counts{}, errors.New("replay: loki.url is not set")
	}
	return r.Replay.Run(ctx, r.push, report)
}

func (r *Replay) push(ctx context.Context, labels [][2]string, entries []archive.Entry) (map[string]int, error) {
	r.refused = map[string]int{}
	pushed := make([]loki.Entry, len(entries))
	for i := range entries {
		pushed[i] = loki.Entry{Time: entries[i].Time, Line: entries[i].Line, Metadata: entries[i].Metadata}
	}
	return r.refused, r.sink.Push(ctx, labels, pushed)
}

// Loki is the state of the push.
func (r *Replay) Loki() loki.State {
	if r.sink == nil {
		return loki.State{}
	}
	return r.sink.State()
}

// Close what the replay holds.
func (r *Replay) Close() (err error) {
	if r.sink != nil {
		err = r.sink.Close()
	}
	if r.s3 != nil {
		err = errors.Join(err, r.s3.Close())
	}
	if r.library != nil {
		err = errors.Join(err, r.library.Close())
	}
	return err
}
