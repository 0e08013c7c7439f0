package archive

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"time"
)

// ReplayID is the same for the same selection, so that its replay goes on
// where it was broken off.
func ReplayID(s Selection) string {
	sources := slices.Clone(s.Sources)
	slices.Sort(sources)
	text := fmt.Sprintf("%d %d %q", s.From.UnixNano(), s.To.UnixNano(), slices.Compact(sources))
	return hexSum([]byte(text))[:8]
}

// Push takes entries of one stream, in the order of their times, to where they
// belong. It returns how many were refused for good, by reason; an error means
// that nothing is known of them.
type Push func(ctx context.Context, labels [][2]string, entries []Entry) (refused map[string]int, err error)

// Counts of lines.
type Counts struct {
	Pushed  int
	Refused int            // again
	Reasons map[string]int // of the refused ones, with # for numbers
	Skipped int            // since they were pushed or refused before
}

// Plan is what a replay would do.
type Plan struct {
	ID          string
	Objects     int
	Lines       int            // in the selection
	Skipped     int            // of them, replayed before
	Sources     map[string]int // lines by source
	First, Last time.Time      // of the objects, within the selection
	Damaged     []error        // of objects that are left out
}

// Replay pushes archived lines again, each once over all its runs.
type Replay struct {
	Plan      Plan
	library   *Library
	selection Selection
	groups    []*group
	counts    Counts
	damaged   []error // objects that Run came upon
}

// group is the objects of one cluster, node and source; streams do not go beyond.
type group struct {
	key       string // of the progress
	manifests []Manifest
	progress  progress
}

// progress of a replay in a group. It is saved after each push.
type progress struct {
	Version  int            `json:"version"`
	ID       string         `json:"id"`
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to"`
	Finished []string       `json:"finished"` // names of objects
	Partial  map[string]int `json:"partial"`  // lines done of others, in the order of their times
	Window   *window        `json:"window,omitempty"`
	Pushed   int            `json:"pushed"`
	Refused  int            `json:"refused"`
}

// window is the lines between what is done and its ends, some streams of
// which are pushed already.
type window struct {
	Ends    map[string]int `json:"ends"` // by object
	Streams []string       `json:"streams"`
}

const progressVersion = 1

// A window is at most so large, and so long: what is repeated after a crash
// must not be too far behind what Loki already has of the stream.
const (
	windowBytes = 1 << 20
	windowSpan  = 25 * time.Minute
)

// NewReplay finds what there is to push.
func NewReplay(ctx context.Context, l *Library, s Selection, id string) (*Replay, error) {
	r := &Replay{library: l, selection: s, Plan: Plan{ID: id, Sources: map[string]int{}}, counts: Counts{Reasons: map[string]int{}}}
	manifests, err := l.manifests(ctx, s)
	if err != nil {
		return nil, err
	}
	r.Plan.Damaged = slices.Clone(l.damaged)
	var last string
	for i := range manifests {
		m := &manifests[i]
		if key := l.stateKey(m, id); key != last {
			last = key
			g := &group{key: key}
			if err := g.load(ctx, l, s, id); err != nil {
				return nil, err
			}
			r.Plan.Skipped += g.progress.Pushed + g.progress.Refused
			r.groups = append(r.groups, g)
		}
		g := r.groups[len(r.groups)-1]
		g.manifests = append(g.manifests, *m)
		lines := m.Lines
		if !s.covers(m) {
			entries, err := l.entries(ctx, m, s)
			if damaged := new(damagedError); err != nil && !errors.As(err, &damaged) {
				return nil, err
			}
			lines = len(entries) // none of a damaged one, which Run comes upon
		}
		r.plan(m, lines)
	}
	r.counts.Skipped = r.Plan.Skipped
	return r, nil
}

func (r *Replay) plan(m *Manifest, lines int) {
	if lines == 0 {
		return
	}
	p := &r.Plan
	first, last := time.Unix(0, m.First).UTC(), time.Unix(0, m.Last).UTC()
	if first.Before(r.selection.From) {
		first = r.selection.From
	}
	if !last.Before(r.selection.To) {
		last = r.selection.To
	}
	if p.Objects == 0 || first.Before(p.First) {
		p.First = first
	}
	if p.Objects == 0 || last.After(p.Last) {
		p.Last = last
	}
	p.Objects++
	p.Lines += lines
	p.Sources[m.Source] += lines
}

func (g *group) load(ctx context.Context, l *Library, s Selection, id string) error {
	known, err := l.loadState(ctx, g.key, &g.progress)
	p := &g.progress
	switch {
	case err != nil:
		return err
	case !known:
		*p = progress{Version: progressVersion, ID: id, From: s.From, To: s.To, Partial: map[string]int{}}
	case p.Version > progressVersion:
		return fmt.Errorf("the progress in %s has version %d, newer than %d: use a newer corkline", g.key, p.Version, progressVersion)
	case !p.From.Equal(s.From) || !p.To.Equal(s.To):
		return fmt.Errorf("the replay %q is of %s to %s: give another --id", id, p.From.Format(time.RFC3339Nano), p.To.Format(time.RFC3339Nano))
	}
	if p.Partial == nil {
		p.Partial = map[string]int{}
	}
	return nil
}

// Run pushes what is left, in the order of time within each stream, with the
// label replay and the replay's id. After each push report is told the counts
// so far. Its error tells why it broke off, or which objects are damaged and were
// left out; another Run goes on from there.
func (r *Replay) Run(ctx context.Context, push Push, report func(Counts)) (Counts, error) {
	for _, g := range r.groups {
		if err := r.group(ctx, g, push, report); err != nil {
			return r.counts, err
		}
	}
	return r.counts, errors.Join(append(slices.Clone(r.Plan.Damaged), r.damaged...)...)
}

// item is a line of a window.
type item struct {
	object string
	entry  Entry
}

func (r *Replay) group(ctx context.Context, g *group, push Push, report func(Counts)) error {
	m := &merger{replay: r, group: g, pending: slices.Clone(g.manifests)}
	if w := g.progress.Window; w != nil { // that a run before this one began
		items, err := m.again(ctx, w)
		if err != nil {
			return err
		}
		if err := r.window(ctx, g, m, w, items, push, report); err != nil {
			return err
		}
	}
	m.pending = slices.DeleteFunc(m.pending, func(m Manifest) bool { return slices.Contains(g.progress.Finished, objectName(&m)) })
	for {
		w, items, err := m.next(ctx)
		if err != nil || len(items) == 0 {
			return err
		}
		if err := r.window(ctx, g, m, w, items, push, report); err != nil {
			return err
		}
	}
}

// window pushes the streams of a window that are not pushed yet.
func (r *Replay) window(ctx context.Context, g *group, m *merger, w *window, items []item, push Push, report func(Counts)) error {
	p := &g.progress
	streams := map[string][]Entry{}
	var order []string
	for _, it := range items {
		key := streamKey(it.entry.Labels)
		if streams[key] == nil {
			order = append(order, key)
		}
		streams[key] = append(streams[key], it.entry)
	}
	order = slices.DeleteFunc(order, func(key string) bool { return slices.Contains(w.Streams, key) })
	p.Window = w
	for i, key := range order {
		entries := streams[key]
		if ctx.Err() != nil {
			return ctx.Err()
		}
		refused, err := push(ctx, r.label(entries[0].Labels), entries)
		if err != nil {
			return err
		}
		n := 0
		for reason, count := range refused {
			n += count
			countReason(r.counts.Reasons, reason, count)
		}
		r.counts.Pushed += len(entries) - n
		r.counts.Refused += n
		p.Pushed += len(entries) - n
		p.Refused += n
		w.Streams = append(w.Streams, key)
		if i == len(order)-1 {
			p.fold(m.exhausted)
		}
		// Loki has them: the end of the context must not make that unknown.
		if err := r.library.saveState(context.WithoutCancel(ctx), g.key, p); err != nil {
			return err
		}
		report(r.counts)
	}
	if p.Window != nil { // a crash came between the last push and this
		p.fold(m.exhausted)
	}
	return nil
}

// fold a window into what is done.
func (p *progress) fold(exhausted func(object string, lines int) bool) {
	for object, end := range p.Window.Ends {
		if exhausted(object, end) {
			p.Finished = append(p.Finished, object)
			delete(p.Partial, object)
		} else {
			p.Partial[object] = end
		}
	}
	slices.Sort(p.Finished)
	p.Window = nil
}

// label of the replay, beside those of the stream.
func (r *Replay) label(labels [][2]string) [][2]string {
	all := append(slices.Clone(labels), [2]string{"replay", r.Plan.ID})
	slices.SortStableFunc(all, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return all
}

func streamKey(labels [][2]string) string {
	return hexSum(fmt.Appendf(nil, "%q", labels))[:keyHashDigits]
}

// objectName is an object's name within its group.
func objectName(m *Manifest) string { return strings.TrimSuffix(path.Base(m.Object), objectSuffix) }

// merger gives the lines of objects in the order of their times. An object is
// in memory from its first line to its last.
type merger struct {
	replay  *Replay
	group   *group
	pending []Manifest // by their first time
	open    cursors
	lines   map[string]int // of the objects that were read
}

// cursor in an object's lines of the selection.
type cursor struct {
	object  string
	entries []Entry
	next    int
}

type cursors []*cursor

func (c cursors) Len() int { return len(c) }
func (c cursors) Less(i, j int) bool {
	a, b := c[i], c[j]
	if at, bt := a.entries[a.next].Time, b.entries[b.next].Time; at != bt {
		return at < bt
	}
	return a.object < b.object
}
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }

// Push implements heap.Interface.
func (c *cursors) Push(x any) { *c = append(*c, x.(*cursor)) }

// Pop implements heap.Interface.
func (c *cursors) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	return x
}

func (m *merger) exhausted(object string, lines int) bool { return lines >= m.lines[object] }

// read an object's lines.
func (m *merger) read(ctx context.Context, manifest *Manifest) (*cursor, error) {
	entries, err := m.replay.library.entries(ctx, manifest, m.replay.selection)
	damaged := new(damagedError)
	if err != nil && !errors.As(err, &damaged) {
		return nil, err
	}
	c := &cursor{object: objectName(manifest), entries: entries}
	c.next = min(m.group.progress.Partial[c.object], len(entries))
	if m.lines == nil {
		m.lines = map[string]int{}
	}
	m.lines[c.object] = len(entries)
	if err != nil {
		m.lines[c.object] = math.MaxInt // it is never done
		if r := m.replay; !slices.ContainsFunc(r.damaged, func(old error) bool { return old.Error() == err.Error() }) {
			r.damaged = append(r.damaged, err)
		}
	}
	return c, nil
}

// next window; without items at the end.
func (m *merger) next(ctx context.Context) (*window, []item, error) {
	w := &window{Ends: map[string]int{}}
	var items []item
	size := 0
	for size < windowBytes {
		for len(m.pending) > 0 && (len(m.open) == 0 || m.pending[0].First <= m.open[0].entries[m.open[0].next].Time) {
			c, err := m.read(ctx, &m.pending[0])
			if err != nil {
				return nil, nil, err
			}
			m.pending = m.pending[1:]
			if c.next < len(c.entries) {
				heap.Push(&m.open, c)
			}
		}
		if len(m.open) == 0 {
			break
		}
		c := m.open[0]
		e := c.entries[c.next]
		if len(items) > 0 && e.Time-items[0].entry.Time > int64(windowSpan) {
			break
		}
		items = append(items, item{c.object, e})
		size += len(e.Line)
		for _, pair := range e.Metadata {
			size += len(pair[0]) + len(pair[1])
		}
		c.next++
		w.Ends[c.object] = c.next
		if c.next == len(c.entries) {
			heap.Pop(&m.open)
		} else {
			heap.Fix(&m.open, 0)
		}
	}
	return w, items, nil
}

// again gives the lines of a window that was begun before.
func (m *merger) again(ctx context.Context, w *window) ([]item, error) {
	var items []item
	for _, object := range slices.Sorted(maps.Keys(w.Ends)) {
		i := slices.IndexFunc(m.pending, func(m Manifest) bool { return objectName(&m) == object })
		if i < 0 {
			return nil, fmt.Errorf("the object %s is gone, of which a part was replayed", object)
		}
		c, err := m.read(ctx, &m.pending[i])
		if err != nil {
			return nil, err
		}
		end := w.Ends[object]
		if m.lines[object] == math.MaxInt {
			continue
		}
		if end > len(c.entries) {
			return nil, errors.New("the progress does not fit the object " + object)
		}
		for _, e := range c.entries[c.next:end] {
			items = append(items, item{object, e})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int {
		return cmp.Compare(a.entry.Time, b.entry.Time)
	})
	return items, nil
}
