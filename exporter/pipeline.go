package exporter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corkline/corkline/exporter/source/syslog"
	"github.com/corkline/corkline/exporter/source/tail"
	"github.com/corkline/corkline/exporter/spool"
	"github.com/corkline/corkline/parsers"
)

// Sink takes records to where they are kept. Begin gives a batch its place
// behind those that were begun before, and returns what delivers it, also while
// they are on their way: nil means that every record of the batch is safe, and
// that the position of its lines may be committed once those before it are. It
// returns an error only when ctx ends first.
type Sink interface {
	Begin(b *parsers.Batch) (deliver func(ctx context.Context) error)
}

// pipeline reads the files of one source, parses and counts their lines, and
// hands them to the sink. The files are its queue: while the sink is away it
// reads ahead for the metrics only, and keeps nothing.
type pipeline struct {
	source      string
	definitions []*parsers.Definition // tried in their order
	tailer      *tail.Tailer
	positions   *tail.Positions
	sink        Sink // nil: metrics only
	parser      *parsers.Parser
	feeders     []*Feeder               // of the definitions
	shown       []func(*parsers.Record) // of the definitions; nil where nothing is to be told
	account     *account
	log         *slog.Logger
	poll        time.Duration
	maxLine     int
	implied     bool // no files are no problem
	now         func() time.Time
	// onCommit is told of batches whose positions are durable, of those with dead
	// letters for sure, and onIdle when all that was read is.
	onCommit  func(*parsers.Batch)
	onIdle    func()
	unwritten prometheus.Counter // failures to write positions
	spool     *spool.Spool       // of a source with syslog: its files are ours

	flights []*flight // the oldest first, at most maxFlights
	free    []*work   // at most one more than flights
	ahead   *work     // for reading ahead
	idle    int       // ticks without a flight
	// shippedBytes of lines, by this process.
	shippedBytes int64
	// pending are positions that were taken over but not written yet, and
	// written is when they last were.
	pending bool
	written time.Time
	tally   tally
	// truncations and NULs that the account knows of, and what the kept one has
	// of losses
	truncations uint64
	nuls        uint64
	losses      int64
	logged      map[string]bool // problems of the last look at the files, logged once
}

// work is what one fill of the buffer becomes.
type work struct {
	buffer  *tail.Buffer
	batch   parsers.Batch
	spans   []parsers.Span
	scratch parsers.Scratch
	bytes   int // of lines
	parsed  int // lines
}

// tally gathers what is to be booked to the account, so that a line costs no
// atomic operation.
type tally struct {
	read, parsed, truncated, invalidUTF8 int64
}

func (t *tally) book(a *account) {
	a.read.Add(t.read)
	a.waiting.Add(t.read)
	a.waitingParsed += t.parsed
	a.parsed.Add(t.parsed)
	a.unparsed.Add(t.read - t.parsed)
	a.truncated.Add(t.truncated)
	a.invalidUTF8.Add(t.invalidUTF8)
	*t = tally{}
}

// bufferBytes of lines are read at once; where a line may be longer, as many
// as it may have.
const bufferBytes = 320 << 10

// A crash repeats what is on its way, while a backlog goes faster in large
// batches. So a batch is a share of what waits, and of what this process has
// shipped, but leastBytes at least: of so few lines Loki takes no longer than
// of the request.
const (
	waitingShare = 16
	shippedShare = 32
	leastBytes   = 6 << 10
)

// writeInterval is how long the positions of a backlog may stay unwritten.
const writeInterval = 20 * time.Millisecond

// idleTicks without a line make a source give its buffers back.
const idleTicks = 30

// What Loki takes by its defaults: times up to ten minutes ahead
// (creation_grace_period), and up to an hour behind the newest of the stream
// (half of max_chunk_age).
const (
	maxLead = 9 * time.Minute
	maxLag  = 55 * time.Minute
)

// maxSpread is how far one file of a source may get ahead of another, since they
// may share a stream. What one sends twice lies as far back once more.
const maxSpread = 25 * time.Minute

// flight is a batch on its way to the sink.
type flight struct {
	work *work
	done chan error
}

// maxFlights are on their way at once: a batch is as slow as its largest stream,
// and meanwhile the sink can take the other streams of the next one.
const maxFlights = 2

// run follows the files until ctx ends, then lets the batch at the sink
// finish until abort ends. With once it returns when all that the files hold
// has been consumed.
func (p *pipeline) run(ctx, abort context.Context, once bool) error {
	ticker := time.NewTicker(p.poll)
	defer ticker.Stop()
	for {
		p.scan()
		for ctx.Err() == nil && p.behind() {
			w := p.fill(once)
			if w == nil {
				break
			}
			if err := p.land(ctx, p.beside(w), ticker.C); err != nil {
				return p.abandon(err)
			}
			p.launch(abort, w)
			if !once && w.bytes < w.buffer.Most/2 && !w.buffer.Held {
				break // all there was; let a batch gather until the next tick
			}
		}
		if once && ctx.Err() == nil && p.tailer.Busy() {
			continue // a packed file has yet to be looked into
		}
		if once || ctx.Err() != nil {
			err := p.land(ctx, 0, ticker.C)
			p.write()
			if err == nil && once && ctx.Err() != nil && p.behind() {
				err = fmt.Errorf("read source %q to its end: %w", p.source, ctx.Err())
			}
			if err == nil && once {
				p.settled()
			}
			return p.abandon(err)
		}
		if err := p.pause(ctx, ticker.C); err != nil {
			return p.abandon(err)
		}
	}
}

// beside tells how many flights a work may join: there are several only of a
// backlog, when what a crash repeats is little beside it, and only when Loki
// does not refuse to take again the first of them behind the last.
func (p *pipeline) beside(w *work) int {
	if len(p.flights) == 0 || w.buffer.Most < bufferBytes {
		return 0
	}
	oldest, newest := w.times()
	for _, f := range p.flights {
		o, n := f.work.times()
		oldest, newest = min(oldest, o), max(newest, n)
	}
	if newest-oldest > int64(maxSpread) {
		return 0
	}
	return maxFlights - 1
}

// times of the oldest and the newest record.
func (w *work) times() (oldest, newest int64) {
	oldest, newest = math.MaxInt64, math.MinInt64
	for i := range w.batch.Records {
		oldest, newest = min(oldest, w.batch.Records[i].Time), max(newest, w.batch.Records[i].Time)
	}
	return oldest, newest
}

// pause waits for the next tick, and settles flights that end meanwhile.
func (p *pipeline) pause(ctx context.Context, tick <-chan time.Time) error {
	p.write()
	if len(p.flights) == 0 {
		p.settled()
		// Idle sources hold no memory. One that has half a line will need it.
		if p.idle++; p.idle > idleTicks && !p.behind() {
			p.free, p.ahead = nil, nil
		}
	}
	for {
		var done chan error
		if len(p.flights) > 0 {
			p.idle, done = 0, p.flights[0].done
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
			return nil
		case err := <-done:
			if err := p.settle(err); err != nil {
				return err
			}
		}
	}
}

// settled is called when nothing is left of what can be read.
func (p *pipeline) settled() {
	if !p.pending {
		p.onIdle()
	}
}

// scan looks at the file system, and says what is new about it.
func (p *pipeline) scan() {
	problems := p.tailer.Scan()
	seen := map[string]bool{}
	texts := make([]string, 0, len(problems))
	for _, err := range problems {
		if p.implied && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		text := err.Error()
		texts = append(texts, text)
		seen[text] = true
		if !p.logged[text] {
			var lost *tail.LostError
			switch {
			case errors.As(err, &lost):
				p.account.lostFiles.Add(1)
			case !errors.Is(err, fs.ErrNotExist): // a file may come yet
				p.account.readErrors.Add(1)
			}
			p.log.Warn("look at files", "source", p.source, "error", text)
		}
	}
	p.logged = seen
	p.publish()
	p.account.mu.Lock()
	p.account.problems = texts
	p.account.rate.update(p.now(), p.account.read.Load())
	p.account.mu.Unlock()
}

func (p *pipeline) publish() {
	p.tidy()
	files := p.tailer.Files()
	p.account.files.Store(&files)
	truncations := p.tailer.Truncations()
	p.account.truncatedFiles.Add(int64(truncations - p.truncations))
	p.truncations = truncations
	nuls := p.tailer.NULs()
	p.account.nuls.Add(int64(nuls - p.nuls))
	p.nuls = nuls
	a := p.account
	if lost := p.tailer.TakeLost(); lost > 0 {
		// Nobody knows which of them were parsed: as many as of all that wait.
		a.waitingParsed -= a.waitingParsed * lost / max(lost, a.waiting.Load())
		a.waiting.Add(-lost)
		a.lost.Add(lost)
	}
	if losses := a.lost.Load() + a.lostFiles.Load() + a.truncatedFiles.Load(); losses != p.losses {
		// Perhaps no commit follows. The next look at the files syncs it.
		note, err := a.note(p.source, p.now())
		if err != nil {
			p.log.Error("keep the account", "source", p.source, "error", err)
			return
		}
		p.positions.Keep(nil, p.source, note)
		p.losses = losses
	}
}

// behind tells whether a file holds more than was committed, without a buffer.
func (p *pipeline) behind() bool {
	for _, f := range *p.account.files.Load() {
		if f.Lag > 0 {
			return true
		}
	}
	return false
}

// fill reads and parses the next lines to ship; nil when there are none.
func (p *pipeline) fill(once bool) *work {
	w := p.takeWork()
	w.buffer.Most = p.batchBytes()
	for {
		err := p.tailer.Fill(w.buffer, tail.Ship)
		if once && w.buffer.Len() == 0 && err == nil {
			err = p.tailer.Drain(w.buffer, tail.Ship)
		}
		p.readError(err)
		if w.buffer.Len() == 0 {
			p.free = append(p.free, w)
			return nil
		}
		p.parse(w)
		if p.hold(w); len(w.batch.Records) > 0 {
			return w
		}
	}
}

// hold gives back the records behind the buffer's horizon: Loki would refuse
// what is behind them by an hour, and may wait in another file.
func (p *pipeline) hold(w *work) {
	b := w.buffer
	if b.Horizon == math.MaxInt64 {
		return
	}
	kept, at := w.batch.Records[:0], 0
	var cut *tail.Chunk
	for i := range b.Chunks {
		c := &b.Chunks[i]
		records := w.batch.Records[at : at+len(c.Lines)]
		at += len(c.Lines)
		n := slices.IndexFunc(records, func(r parsers.Record) bool { return r.Time > b.Horizon })
		if cut != nil && c.Follows(cut) {
			n = 0
		}
		if n >= 0 {
			next, last := records[n].Time, records[max(0, n-1)].Time
			records, cut, b.Held = records[:n], c, true
			p.readError(p.tailer.Return(c, n, last, next))
		}
		kept = append(kept, records...)
	}
	b.Chunks = slices.DeleteFunc(b.Chunks, func(c tail.Chunk) bool { return len(c.Lines) == 0 })
	w.batch.Records, w.bytes, w.parsed = kept, 0, 0
	for i := range kept {
		w.bytes += len(kept[i].Line)
		if kept[i].Layout != nil {
			w.parsed++
		}
	}
}

// batchBytes is how much the next batch is to hold.
func (p *pipeline) batchBytes() int {
	if p.sink == nil {
		return bufferBytes
	}
	var lag int64
	for _, f := range *p.account.files.Load() {
		lag += f.Lag
	}
	return int(min(max(min(lag/waitingShare, p.shippedBytes/shippedShare), leastBytes), bufferBytes))
}

func (p *pipeline) readError(err error) {
	if err != nil {
		p.account.readErrors.Add(1)
		p.log.Error("read files", "source", p.source, "error", err)
	}
}

func (p *pipeline) takeWork() *work {
	if n := len(p.free); n > 0 {
		w := p.free[n-1]
		p.free = p.free[:n-1]
		return w
	}
	return p.newWork()
}

func (p *pipeline) newWork() *work {
	return &work{buffer: tail.NewBuffer(max(bufferBytes, p.maxLine))}
}

// parse makes the records of a work, and counts those lines that have not
// been counted yet.
func (p *pipeline) parse(w *work) {
	fields, n := 0, w.buffer.Len()
	for _, d := range p.definitions {
		fields = max(fields, len(d.Fields))
	}
	if cap(w.spans) < n*fields {
		w.spans = make([]parsers.Span, n*fields)
	}
	if cap(w.batch.Records) < n {
		w.batch.Records = make([]parsers.Record, 0, n)
	}
	w.batch = parsers.Batch{Source: p.source, Records: w.batch.Records[:0]}
	w.bytes, w.parsed = 0, 0
	w.scratch.Reset()
	p.parser.Refer(p.now().UnixNano())
	for i := range w.buffer.Chunks {
		chunk := &w.buffer.Chunks[i]
		counted, last := chunk.File.Counted(), chunk.File.Time()
		follows := chunk.Start > 0
		latest := p.now().Add(maxLead).UnixNano()
		for k := range chunk.Lines {
			line := &chunk.Lines[k]
			at := len(w.batch.Records)
			w.batch.Records = w.batch.Records[:at+1]
			r := &w.batch.Records[at]
			r.Spans, r.Scratch = w.spans[at*fields:at*fields:(at+1)*fields], &w.scratch
			if p.parseLine(r, line, line.Start >= counted, chunk.File) {
				w.parsed++
			}
			last = stamp(r, last, follows, latest)
			follows = true
			w.bytes += len(r.Line)
		}
		chunk.Time = last
		chunk.File.SetTime(last)
		chunk.SetCounted()
	}
	p.tally.book(p.account)
}

// parseLine fills a record, and tells whether it has a layout.
func (p *pipeline) parseLine(r *parsers.Record, line *tail.Line, count bool, file *tail.File) bool {
	r.Line, r.Flags, r.Carried, r.Header = line.Text, 0, line.Time, line.Header
	if p.spool != nil {
		r.Line = syslog.Unescape(line.Text)
	}
	if line.Truncated {
		r.Flags |= parsers.Truncated
	}
	err := p.parser.Parse(r)
	if !count {
		return err == nil
	}
	p.tally.read++
	if r.Flags&parsers.Truncated != 0 {
		p.tally.truncated++
	}
	if r.Flags&parsers.InvalidUTF8 != 0 {
		p.tally.invalidUTF8++
	}
	if err != nil {
		a := p.account
		a.mu.Lock()
		a.lastBad.at, a.lastBad.file, a.lastBad.err = p.now(), file.Path(), err
		a.lastBad.text = append(a.lastBad.text[:0], r.Line[:min(len(r.Line), badLineBytes)]...)
		a.mu.Unlock()
		return false
	}
	p.tally.parsed++
	i := slices.Index(p.definitions, r.Definition)
	p.feeders[i].Add(r)
	if p.shown[i] != nil {
		p.shown[i](r)
	}
	return true
}

// stamp gives a record its time, from the time of the line before it in the
// file. Loki folds entries of the same time and text into one, so lines that
// share a time are told apart, and kept in order, by the nanoseconds that
// their format leaves unused. A line without a time follows the one before
// it. It all depends on the file only: what is sent twice is the same twice.
// A time that lies after latest, or far before that of the line before it,
// Loki would refuse: such a line follows the one before it, too, and is flagged.
// Unless it follows a line, last is only the time of the file.
func stamp(r *parsers.Record, last int64, follows bool, latest int64) int64 {
	step := r.Resolution
	if step == 0 {
		r.Time = last + 1
		return r.Time
	}
	if r.Time > latest && last < latest || follows && r.Time < last-int64(maxLag) {
		r.Flags |= parsers.TimeClamped
		r.Time = last + 1
		return r.Time
	}
	if next := last + 1; last-last%step == r.Time && next-next%step == r.Time {
		r.Time = next
	}
	return r.Time
}

// launch hands a work to the sink.
func (p *pipeline) launch(abort context.Context, w *work) {
	f := &flight{w, make(chan error, 1)}
	p.flights = append(p.flights, f)
	if p.sink == nil {
		f.done <- nil
		return
	}
	deliver := p.sink.Begin(&w.batch)
	go func() { f.done <- deliver(abort) }() // waited for by settle and abandon
}

// land waits until no more than so many flights are left. When that takes longer
// than a tick, the lines behind them are counted meanwhile.
func (p *pipeline) land(ctx context.Context, left int, tick <-chan time.Time) error {
	start := time.Now()
	for len(p.flights) > left {
		select {
		case err := <-p.flights[0].done:
			if err := p.settle(err); err != nil {
				return err
			}
			start = time.Now()
		case <-tick:
			p.write()
			if ctx.Err() == nil {
				p.scan()
				if waited := time.Since(start); waited >= p.poll {
					p.countAhead(p.flights[0], waited > lateFlight)
				}
			}
		}
	}
	return nil
}

// abandon waits for the flights that are left when one has failed: they fail
// for the same reason, and what they hold is not committed.
func (p *pipeline) abandon(err error) error {
	for _, f := range p.flights {
		if other := <-f.done; err == nil {
			err = other
		}
	}
	p.flights = nil
	return err
}

// settle books the oldest flight, which has ended, and commits its positions.
func (p *pipeline) settle(err error) error {
	f := p.flights[0]
	p.flights = slices.Delete(p.flights, 0, 1)
	if err != nil {
		// The lines stay in their files, behind the committed position.
		return fmt.Errorf("ship lines of source %q: %w", p.source, err)
	}
	p.shippedBytes += int64(f.work.bytes)
	lines := int64(len(f.work.batch.Records))
	p.account.waiting.Add(-lines)
	p.account.waitingParsed -= int64(f.work.parsed)
	if p.sink == nil {
		p.account.dropped.Add(lines)
	} else {
		dead := int64(f.work.batch.DeadLettered)
		p.account.deadLettered.Add(dead)
		p.account.shipped.Add(lines - dead)
		p.account.lastShipped.Store(p.now().UnixNano())
	}
	note, err := p.account.note(p.source, p.now())
	if err != nil {
		p.log.Error("write the account down", "source", p.source, "error", err)
	}
	p.positions.Keep(f.work.buffer.Chunks, p.source, note)
	p.pending = true
	// Of a backlog many batches a second land, and each write waits for the disk.
	// What is archived waits for the write.
	if f.work.batch.DeadLettered > 0 || !p.behind() || p.now().Sub(p.written) >= writeInterval {
		p.write()
		if !p.pending {
			p.onCommit(&f.work.batch)
		}
	}
	p.publish()
	p.free = append(p.free, f.work)
	return nil
}

// write makes the positions durable that were taken over. When it fails they
// are kept in memory, and written with the next; a crash until then repeats
// lines, and Loki folds what repeats.
func (p *pipeline) write() {
	if !p.pending {
		return
	}
	err := p.positions.Sync()
	p.pending, p.written = err != nil, p.now()
	if err != nil {
		p.unwritten.Inc()
		p.log.Error("commit positions", "source", p.source, "error", err)
	}
}

// lateFlight is when the sink counts as away. Before, what is counted ahead
// slows down a backlog that is on its way, since it is parsed twice: that is
// not done at all while no flight lasts for a tick.
const (
	lateFlight = time.Second
	aheadShare = 10 // of the time may be spent on it before
	aheadBytes = 16 << 10
)

// countAhead feeds the metrics with what the files hold behind the lines that
// were handed to the sink, until that is all or the flight has ended; unless it
// is late, for a part of the time only.
func (p *pipeline) countAhead(f *flight, late bool) {
	if p.ahead == nil {
		p.ahead = p.newWork()
	}
	w, start := p.ahead, time.Now()
	w.buffer.Most = aheadBytes
	for len(f.done) == 0 && (late || time.Since(start) < p.poll/aheadShare) {
		p.readError(p.tailer.Fill(w.buffer, tail.Count))
		if w.buffer.Len() == 0 {
			return
		}
		r := parsers.Record{Scratch: &w.scratch}
		p.parser.Refer(p.now().UnixNano())
		for i := range w.buffer.Chunks {
			chunk := &w.buffer.Chunks[i]
			for k := range chunk.Lines {
				w.scratch.Reset()
				p.parseLine(&r, &chunk.Lines[k], true, chunk.File)
			}
			chunk.SetCounted()
		}
		p.tally.book(p.account)
	}
}

// isStop tells whether an error is only the end of a context.
func isStop(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
