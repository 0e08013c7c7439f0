// Package archive keeps the lines that Loki will not have: first in segments
// on disk, then as objects in S3, from where they can be replayed.
package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/corkline/corkline/parsers"
)

// Options of an Archive. Dir and the three bounds are required.
type Options struct {
	// Dir keeps the segments until they are uploaded; it is made if needed.
	Dir string
	// Cluster and Node are part of the objects' keys.
	Cluster, Node string
	// BudgetBytes bounds what is in Dir.
	BudgetBytes int64
	// SegmentBytes is how large a segment grows, and FlushInterval how long it
	// is open, before it is closed and uploaded.
	SegmentBytes  int64
	FlushInterval time.Duration
	// Remote is where closed segments go; nil: they stay in Dir.
	Remote Store
	// MaxBackoff is the longest pause between two tries of an upload, default 1 min.
	MaxBackoff time.Duration
	Metrics    *Metrics
	Log        *slog.Logger     // default none
	Now        func() time.Time // default time.Now
}

// Archive stores entries. It may be used by many goroutines, each of which
// has sources of its own.
//
// A segment is closed only when the batches whose entries it has are committed:
// what a crash makes the agent send again is then still in an open one, and is
// not stored a second time.
type Archive struct {
	o      Options
	lock   *os.File
	closed chan struct{} // has an element when there may be something to upload
	// step is called before what a crash may come before; for tests.
	step func(name string) error

	mu      sync.Mutex
	sources map[string]*source
	used    int64 // bytes in Dir
	state   State
}

// State for a status page.
type State struct {
	Segments           int   // on disk
	Bytes, BudgetBytes int64 // on disk, and how many there may be
	// StoreError says why entries could not be stored when that was last tried,
	// UploadError the same of an upload.
	StoreError, UploadError string
	LastUpload              time.Time // zero for never in this process's life
}

// source is the segments of one.
type source struct {
	name string
	dir  string

	mu   sync.Mutex
	open []*segment // in the order of their numbers; the last one may be appended to
	last uint64     // the highest number
	// recent are the entries of open segments that an earlier process stored,
	// each as often as there: they may come again.
	recent map[digest]int
	buffer []byte
}

// segment is an open one.
type segment struct {
	path  string
	file  *os.File // nil: is not appended to
	size  int64
	since time.Time
	torn  bool // the file may be longer than size
	// held are the batches that are not committed; inherited tells that there
	// may be others, of an earlier process.
	held      map[*parsers.Batch]struct{}
	inherited bool
}

const (
	openSuffix    = ".open"
	closedSuffix  = ".jsonl"
	damagedSuffix = ".damaged"
	lockName      = "lock"
)

// ErrLocked tells that another process uses the folder.
var ErrLocked = errors.New("another process uses it")

// Open reads what is in the folder. It fails when that cannot be used.
func Open(o Options) (*Archive, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = time.Minute
	}
	a := &Archive{o: o, closed: make(chan struct{}, 1), sources: map[string]*source{}, step: func(string) error { return nil }}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the archive in %q: %w", o.Dir, err)
	}
	a.lock = lock
	if err := a.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the archive in %q: %w", o.Dir, err), a.Close())
	}
	a.o.Metrics.budget.Set(float64(o.BudgetBytes))
	a.account(0)
	a.wake()
	return a, nil
}

func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// load finds the segments, and what may come again.
func (a *Archive) load() error {
	return filepath.WalkDir(a.o.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		a.used += info.Size()
		name, number, suffix := parsePath(a.o.Dir, path)
		if name == "" {
			return nil
		}
		s := a.source(name)
		s.last = max(s.last, number)
		switch suffix {
		case closedSuffix:
			a.state.Segments++
		case openSuffix:
			a.state.Segments++
			g, err := s.inherit(path, a.o.Now())
			if err != nil {
				return err
			}
			a.used += g.size - info.Size()
			s.open = append(s.open, g) // WalkDir goes in the order of the names
		}
		return nil
	})
}

// parsePath of a segment; source is empty for other files.
func parsePath(dir, path string) (source string, number uint64, suffix string) {
	relative, err := filepath.Rel(dir, path)
	if err != nil {
		return "", 0, ""
	}
	folder, base := filepath.Split(relative)
	source, suffix = filepath.Clean(folder), filepath.Ext(base)
	number, err = strconv.ParseUint(strings.TrimSuffix(base, suffix), 16, 64)
	if err != nil || strings.ContainsRune(source, filepath.Separator) || suffix != openSuffix && suffix != closedSuffix {
		return "", 0, ""
	}
	return source, number, suffix
}

// inherit an open segment of an earlier process. What was torn by its end was
// never acknowledged, and comes again.
func (s *source) inherit(path string, now time.Time) (*segment, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	g := &segment{path: path, since: now, held: map[*parsers.Batch]struct{}{}, inherited: true}
	g.size = int64(scan(text, func(line []byte) { s.recent[digestOf(line)]++ }, func([]byte) {}))
	if g.size < int64(len(text)) {
		if err := os.Truncate(path, g.size); err != nil {
			return nil, err
		}
	}
	if bytes.HasSuffix(text[:g.size], []byte("\n")) {
		g.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	}
	return g, err
}

// Close releases the folder. Open segments stay so until the next Open.
func (a *Archive) Close() error {
	err := a.lock.Close()
	for _, s := range a.all() {
		s.mu.Lock()
		for _, g := range s.open {
			if g.file != nil {
				err = errors.Join(err, g.file.Close())
				g.file = nil
			}
		}
		s.mu.Unlock()
	}
	return err
}

// State of the archive.
func (a *Archive) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	state := a.state
	state.Bytes, state.BudgetBytes = a.used, a.o.BudgetBytes
	return state
}

// source gives one of them. It needs mu, or is called by Open.
func (a *Archive) source(name string) *source {
	s := a.sources[name]
	if s == nil {
		s = &source{name: name, dir: filepath.Join(a.o.Dir, name), recent: map[digest]int{}}
		a.sources[name] = s
	}
	return s
}

// all sources, by name. A source is not to be held by the caller.
func (a *Archive) all() []*source {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.Collect(maps.Values(a.sources))
	slices.SortFunc(all, func(a, b *source) int { return cmp.Compare(a.name, b.name) })
	return all
}

func (a *Archive) of(name string) *source {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.source(name)
}

// account for so many bytes more on disk.
func (a *Archive) account(bytes int64) {
	a.used += bytes
	a.o.Metrics.bytes.Set(float64(a.used))
	a.o.Metrics.segments.Set(float64(a.state.Segments))
}

// reserve so many bytes of the budget.
func (a *Archive) reserve(bytes int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used+bytes > a.o.BudgetBytes {
		advice := "it empties when S3 is back"
		if a.o.Remote == nil {
			advice = "configure archive.endpoint, raise archive.budget_bytes, or move segments away and restart"
		}
		return fmt.Errorf("the archive in %q is full (%d of %d bytes): %s; its sources wait", a.o.Dir, a.used, a.o.BudgetBytes, advice)
	}
	a.account(bytes)
	return nil
}

// Store makes entries of a batch durable: all of them, or none when it fails.
// They count as dead letters of the batch.
func (a *Archive) Store(b *parsers.Batch, entries []Entry) error {
	s := a.of(b.Source)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := a.store(s, b, entries)
	text := ""
	if err != nil {
		err = fmt.Errorf("store in the archive: %w", err)
		text = err.Error()
		a.o.Metrics.storeFailures.Inc()
	} else {
		b.DeadLettered += len(entries)
	}
	a.mu.Lock()
	a.state.StoreError = text
	a.mu.Unlock()
	return err
}

func (a *Archive) store(s *source, b *parsers.Batch, entries []Entry) error {
	s.buffer = s.buffer[:0]
	var again []digest
	for i := range entries {
		start := len(s.buffer)
		s.buffer = appendRecord(s.buffer, &entries[i])
		if len(s.recent) == 0 {
			continue
		}
		d := digestOf(s.buffer[start : len(s.buffer)-1])
		if s.recent[d] > 0 {
			s.recent[d]--
			again = append(again, d)
			s.buffer = s.buffer[:start]
		}
	}
	if len(s.buffer) == 0 {
		return nil
	}
	size := int64(len(s.buffer))
	err := a.reserve(size)
	if err == nil {
		if err = a.append(s, b); err != nil {
			a.mu.Lock()
			a.account(-size)
			a.mu.Unlock()
		}
	}
	if err != nil {
		for _, d := range again {
			s.recent[d]++
		}
	}
	if cap(s.buffer) > maxBuffer {
		s.buffer = nil
	}
	return err
}

// maxBuffer is kept from one batch to the next.
const maxBuffer = 256 << 10

// append the source's buffer to its newest segment, and sync.
func (a *Archive) append(s *source, b *parsers.Batch) error {
	g, err := a.appendable(s)
	if err != nil {
		return err
	}
	if g.torn {
		if err := g.file.Truncate(g.size); err != nil {
			return err
		}
	}
	if err := a.step("store"); err != nil {
		return err
	}
	g.torn = true
	if _, err := g.file.Write(s.buffer); err != nil {
		return errors.Join(err, g.repair())
	}
	if err := g.file.Sync(); err != nil {
		return errors.Join(err, g.repair())
	}
	g.torn = false
	g.size += int64(len(s.buffer))
	g.held[b] = struct{}{}
	return a.step("stored")
}

// repair removes what is half written.
func (g *segment) repair() error {
	err := g.file.Truncate(g.size)
	g.torn = err != nil
	return err
}

// appendable gives the newest segment, or a new one when that is full.
func (a *Archive) appendable(s *source) (*segment, error) {
	if n := len(s.open); n > 0 {
		g := s.open[n-1]
		if g.file != nil && (g.size < a.o.SegmentBytes || g.torn) {
			return g, nil
		}
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, fmt.Sprintf("%016x%s", s.last+1, openSuffix))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syncFolders(s.dir, a.o.Dir); err != nil { // a new file lasts when its folder does
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	s.last++
	g := &segment{path: path, file: f, since: a.o.Now(), held: map[*parsers.Batch]struct{}{}}
	s.open = append(s.open, g)
	a.mu.Lock()
	a.state.Segments++
	a.account(0)
	a.mu.Unlock()
	return g, nil
}

func syncFolders(dirs ...string) error {
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// Committed tells that the positions of a batch are durable: it does not come again.
func (a *Archive) Committed(b *parsers.Batch) {
	s := a.of(b.Source)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.open {
		delete(g.held, b)
	}
	a.closeDue(s, false)
}

// Idle tells that all that was read of a source is committed.
func (a *Archive) Idle(name string) {
	s := a.of(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.recent)
	for _, g := range s.open {
		clear(g.held)
		g.inherited = false
	}
	a.closeDue(s, false)
}

// closeDue closes segments that are full or old enough, or any with now.
func (a *Archive) closeDue(s *source, now bool) {
	before := a.o.Now().Add(-a.o.FlushInterval)
	s.open = slices.DeleteFunc(s.open, func(g *segment) bool {
		due := now || g.file == nil || g.size >= a.o.SegmentBytes || !g.since.After(before)
		if !due || g.inherited || len(g.held) > 0 || g.torn {
			return false
		}
		if err := a.close(g); err != nil {
			a.o.Log.Error("close a segment of the archive; tried again later", "file", g.path, "error", err)
			return false
		}
		a.wake()
		return true
	})
}

// close a segment: its name tells.
func (a *Archive) close(g *segment) error {
	if err := a.step("close"); err != nil {
		return err
	}
	if g.file != nil {
		err := g.file.Close() // it is synced
		g.file = nil
		if err != nil {
			return err
		}
	}
	return os.Rename(g.path, strings.TrimSuffix(g.path, openSuffix)+closedSuffix)
}

func (a *Archive) wake() {
	select {
	case a.closed <- struct{}{}:
	default:
	}
}

// closeAllDue closes what is due of every source.
func (a *Archive) closeAllDue(now bool) {
	for _, s := range a.all() {
		s.mu.Lock()
		a.closeDue(s, now)
		s.mu.Unlock()
	}
}

// Flush closes and uploads all that is committed. It fails at the first fault.
func (a *Archive) Flush(ctx context.Context) error {
	a.closeAllDue(true)
	return a.upload(ctx)
}
