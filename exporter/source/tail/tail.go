// Package tail reads lines from log files that grow, are rotated, truncated
// and deleted, and keeps the position up to which they have been delivered.
//
// The files are the queue: nothing is held in memory only, and what has been
// read but not committed is read again after a crash. A Tailer is polled; it
// starts no goroutines. One loop calls Scan about once a second, then Fill
// until the buffer stays empty, and Positions.Commit after each delivery.
package tail

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/corkline/corkline/parsers"
)

const (
	// quietTime is how long a rotated file must not change before it counts as
	// finished: its writer may go on for a while before it reopens its log.
	quietTime = 5 * time.Second
	// openTime is how long a file must not change before its last record counts
	// as complete: what belongs together is written at once.
	openTime = 2 * time.Second

	defaultMaxLineBytes = 256 << 10
)

// Options configure a Tailer.
type Options struct {
	// Source is the configured name of the source; positions are kept by it.
	Source string
	// Files are paths, or patterns in the syntax of path/filepath.Match.
	// Compressed files that a pattern matches are left out.
	Files []string
	// Positions keeps what has been delivered. Required.
	Positions *Positions
	// Framer puts lines together; nil hands them out as they are. The lines
	// that a record may still get are waited for until the file has not changed
	// for a while.
	Framer *parsers.Framer
	// MaxLineBytes is where longer lines are cut; 256 KiB if not positive.
	MaxLineBytes int
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Tailer reads the files of one source. It is safe for concurrent use, though
// only one goroutine can sensibly call Fill.
type Tailer struct {
	source       string
	patterns     []string
	positions    *Positions
	maxLineBytes int
	framer       *parsers.Framer
	now          func() time.Time

	mu          sync.Mutex
	files       []*File // in the order in which they are read: oldest first
	byID        map[identity]*File
	at          map[string]*File // the file last seen at a matched path
	pending     []record         // positions whose files have yet to be found
	scanned     bool
	closed      bool
	truncations uint64
	prefix      [fingerprintBytes]byte // scratch
}

// FileStatus describes one open file.
type FileStatus struct {
	Path      string // where the file was first found
	Rotated   bool   // no longer at a configured path
	Size      int64  // bytes, as of the last Scan or Fill
	Committed int64  // offset up to which all lines have been delivered
	Lag       int64  // bytes that have yet to be delivered
}

// LostError says that the file behind a kept position is gone, and with it
// whatever it held after Offset, which may be nothing. Scan returns it once for each loss.
type LostError struct {
	Path   string // where the file was first found
	Offset int64  // offset up to which it had been delivered
	Reason string
}

func (e *LostError) Error() string {
	return fmt.Sprintf("lose what %q may have held after offset %d: %s", e.Path, e.Offset, e.Reason)
}

// New returns a Tailer that has not looked at any file yet. It fails if a
// pattern is malformed or an option is missing.
func New(o Options) (*Tailer, error) {
	if o.Positions == nil {
		return nil, fmt.Errorf("tail source %q: no positions given", o.Source)
	}
	for _, pattern := range o.Files {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("parse file pattern %q: %w", pattern, err)
		}
	}
	if o.MaxLineBytes <= 0 {
		o.MaxLineBytes = defaultMaxLineBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Tailer{
		source:       o.Source,
		patterns:     slices.Clone(o.Files),
		positions:    o.Positions,
		maxLineBytes: o.MaxLineBytes,
		framer:       o.Framer,
		now:          o.Now,
		byID:         make(map[identity]*File),
		at:           make(map[string]*File),
	}, nil
}

// Scan looks at the file system once: it opens new files, notices rotation,
// truncation and removal, and closes rotated files that are quiet and
// committed. Faults of single files stop nothing else; they are returned by
// every Scan as long as they last, but a *LostError only once.
func (t *Tailer) Scan() []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	found, missing, hidden, faults := t.match()
	present := make(map[identity]sighting, len(found))
	for _, s := range found {
		present[s.id] = s
	}
	faults = append(faults, t.recover(present)...)
	for _, s := range found {
		faults = append(faults, t.visit(s, present)...)
	}
	for _, path := range missing {
		faults = append(faults, t.catchUp(path, present)...)
	}
	faults = append(faults, t.retire(present, hidden)...)

	// First sights must be durable before their lines are handed out, and
	// finished files forgotten before someone deletes them.
	if err := t.positions.Sync(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// match returns the regular files that the patterns name, oldest first, each
// once, and the paths without wildcards where there is none. Patterns that could not be looked at are returned as hidden: their
// files are out of sight, not gone.
func (t *Tailer) match() (found []sighting, missing, hidden []string, faults []error) {
	known := make(map[identity]bool)
	for _, pattern := range t.patterns {
		paths, isGlob, err := expand(pattern)
		if err != nil {
			faults = append(faults, err)
			if !isGone(err) {
				hidden = append(hidden, pattern)
			}
			continue
		}
		for _, path := range paths {
			s, err := sight(path)
			switch {
			case err == nil && !known[s.id]:
				known[s.id] = true
				found = append(found, s)
			case err == nil, isGlob && isGone(err):
				// The same file again, or one that went since the listing.
			default:
				faults = append(faults, err)
				if isGone(err) {
					missing = append(missing, path)
				} else if !errors.Is(err, errNotRegular) {
					hidden = append(hidden, path)
				}
			}
		}
	}
	slices.SortStableFunc(found, byAge)
	return found, missing, hidden, faults
}

// expand returns the paths that a pattern matches. It is an error if there are
// none; a path without wildcards always matches itself.
func expand(pattern string) (paths []string, isGlob bool, err error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		if isCompressed(pattern) {
			return nil, false, fmt.Errorf("read %q: it is compressed: %w", pattern, errNotRegular)
		}
		return []string{pattern}, false, nil
	}
	paths, err = filepath.Glob(pattern)
	if err != nil {
		return nil, true, fmt.Errorf("expand file pattern %q: %w", pattern, err)
	}
	if paths = slices.DeleteFunc(paths, isCompressed); len(paths) > 0 {
		return paths, true, nil
	}
	// Glob keeps to itself why it found nothing.
	if dir := filepath.Dir(pattern); !strings.ContainsAny(dir, `*?[\`) {
		if _, err := os.ReadDir(dir); err != nil {
			return nil, true, fmt.Errorf("expand file pattern %q: %w", pattern, err)
		}
	}
	return nil, true, fmt.Errorf("expand file pattern %q: no file matches: %w", pattern, fs.ErrNotExist)
}

// visit takes note of what lies at a matched path.
func (t *Tailer) visit(s sighting, present map[identity]sighting) (faults []error) {
	settled := true
	if old := t.at[s.path]; old != nil && old.id != s.id {
		faults = t.catchUp(s.path, present)
		again, err := sight(s.path)
		settled = len(faults) == 0 && err == nil && again.id == s.id
	}

	f := t.byID[s.id]
	var err error
	if f != nil {
		f.rotated = false
		err = t.look(f, s.info)
	} else {
		f, err = t.add(s.path, s.path, false)
	}
	if err != nil {
		faults = append(faults, err)
	}
	// If the folder moved meanwhile, the next Scan searches it from the same
	// file again, so that a rotation in between is not missed.
	if f != nil && f.id == s.id && settled {
		t.at[s.path] = f
	}
	return faults
}

// catchUp opens the files that came to path and were rotated away from it again
// since the last look.
func (t *Tailer) catchUp(path string, present map[identity]sighting) []error {
	old := t.at[path]
	if old == nil || has(present, old.id) {
		return nil
	}
	between, err := siblings(path, []identity{old.id}, old.modified)
	if err != nil && !isGone(err) {
		return []error{err}
	}
	return t.addRotated(between, path, present)
}

// addRotated opens files that were rotated away from path, the oldest first, but
// for those that lie at a matched path of their own.
func (t *Tailer) addRotated(rotated []sighting, path string, present map[identity]sighting) (faults []error) {
	for _, s := range rotated {
		if has(present, s.id) {
			continue
		}
		f, err := t.add(s.path, path, true)
		if err != nil {
			faults = append(faults, err)
		}
		if f != nil {
			t.at[path] = f // what comes to path next was rotated after it
		}
	}
	return faults
}

// add opens the file at path unless it is open already, and goes on from its
// position. The file is known by name, which differs from path after rotation.
// The error may be a *LostError although the file is returned.
func (t *Tailer) add(path, name string, rotated bool) (*File, error) {
	content, info, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	id := identify(info)
	if f := t.byID[id]; f != nil {
		return f, closeFile(content)
	}
	f := &File{
		path:      name,
		id:        id,
		content:   content,
		positions: t.positions,
		rotated:   rotated,
		size:      info.Size(),
		modified:  info.ModTime(),
		changed:   t.now(),
	}
	lost := t.resume(f)
	if f.mark == nil { // unreadable: another Scan may have more luck
		return nil, errors.Join(lost, closeFile(content))
	}
	t.files = append(t.files, f)
	t.byID[id] = f
	return f, lost
}

// resume sets the file's cursors to its kept position if that is still the
// position of this very file, and else to its beginning.
func (t *Tailer) resume(f *File) error {
	key := positionKey{t.source, f.id}
	m, r, ok := t.positions.find(key)
	if !ok || r.Offset == 0 && r.Path != f.path {
		// A position at 0 has no fingerprint that could tell a reused inode.
		now := t.now()
		f.mark = t.positions.begin(key, f.path, now)
		f.begin(now)
		return nil
	}
	same, err := f.is(r, t.positions.counted(m), t.prefix[:])
	if err != nil {
		return err
	}
	if !same {
		now := t.now()
		f.mark = t.positions.begin(key, f.path, now)
		f.begin(now)
		return &LostError{r.Path, r.Offset, "another file has its inode, or it was truncated"}
	}
	f.path, f.mark = r.Path, m
	f.time.Store(r.Time)
	f.prefix = r.fingerprint()
	f.cursors[Ship].moveTo(r.Offset)
	return nil
}

// recover looks for the files whose positions were kept while no Tailer ran,
// and for those that were rotated away after them. What it cannot look at, it
// tries again at the next Scan.
func (t *Tailer) recover(present map[identity]sighting) (faults []error) {
	if !t.scanned {
		t.scanned = true
		t.pending = t.positions.of(t.source)
	}
	byPath := make(map[string][]record)
	for _, r := range t.pending {
		byPath[r.Path] = append(byPath[r.Path], r)
	}
	t.pending = nil
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		var known []identity
		var rotated []sighting
		complete := false // nothing was rotated later
		since := t.now()
		for _, r := range byPath[path] {
			s, ok, err := t.locate(r, present)
			switch {
			case err != nil:
				faults = append(faults, err)
				t.pending = append(t.pending, r)
				complete = true // as far as can be seen
			case !ok && r.Final:
				t.positions.drop(positionKey{t.source, r.identity()})
				complete = true // its path is not used again
			case !ok:
				faults = append(faults, &LostError{r.Path, r.Offset, "it was removed, replaced or truncated while no agent ran"})
				t.positions.drop(positionKey{t.source, r.identity()})
				since = earlier(since, t.positions.opened)
			case r.Offset == 0:
				// Nothing tells a reused inode here, but then there are files
				// that were written to after the first sight of this one.
				since = earlier(since, time.Unix(0, r.Time))
			case s.path == path:
				complete = true
			default:
				known = append(known, s.id)
			}
			if ok && s.path != path {
				rotated = append(rotated, s)
			}
		}
		if !complete {
			// Without a known file to start from: what was written to since.
			newer, err := siblings(path, known, since)
			if err != nil && !isGone(err) {
				faults = append(faults, err)
			}
			rotated = append(rotated, newer...)
		}
		slices.SortStableFunc(rotated, byRotation(filepath.Base(resolve(path))))
		faults = append(faults, t.addRotated(rotated, path, present)...)
	}
	return faults
}

// locate finds the file of a kept position: at a matched path, at its own path
// or else by its identity in the folder of its path.
func (t *Tailer) locate(r record, present map[identity]sighting) (sighting, bool, error) {
	if s, ok := present[r.identity()]; ok {
		if r.Final && s.path != r.Path {
			return sighting{}, false, nil // an inode that is used again
		}
		same, err := t.isAt(s, r)
		return s, same, err
	}
	path := resolve(r.Path)
	for range 2 { // a rename may hide a file from one listing
		listed, err := list(filepath.Dir(path))
		if isGone(err) {
			return sighting{}, false, nil
		}
		if err != nil {
			return sighting{}, false, err
		}
		for _, s := range listed {
			if s.id != r.identity() {
				continue
			}
			_, rotated := rotation(filepath.Base(path), filepath.Base(s.path))
			if r.Offset == 0 && !rotated && s.path != path {
				continue // nothing but the inode speaks for it
			}
			if same, err := t.isAt(s, r); err != nil && !isGone(err) || same {
				if s.path == path {
					s.path = r.Path
				}
				return s, same, err
			}
		}
	}
	return sighting{}, false, nil
}

// isAt reports whether the file at s is the one that r is the position of.
func (t *Tailer) isAt(s sighting, r record) (bool, error) {
	content, info, err := openRegular(s.path)
	if err != nil {
		return false, err
	}
	f := &File{path: s.path, id: identify(info), content: content, size: info.Size()}
	same, err := f.is(r, 0, t.prefix[:])
	return same, errors.Join(err, closeFile(content))
}

// retire notes which files are no longer at a matched path and closes those
// that are finished.
func (t *Tailer) retire(present map[identity]sighting, hidden []string) (faults []error) {
	now := t.now()
	keep := t.files[:0]
	for _, f := range t.files {
		if !has(present, f.id) && !isHidden(f.path, hidden) {
			if !f.rotated {
				f.rotated, f.changed = true, now
			}
			if err := t.lookAgain(f); err != nil {
				faults = append(faults, err)
			} else if f.quiet(now) && f.finished() && (t.at[f.path] != f || f.deleted()) {
				// The last file of a path stays until the next is known: the
				// search for what was rotated after it starts from it.
				if err := t.forget(f); err != nil {
					faults = append(faults, err)
				}
				continue
			}
		}
		keep = append(keep, f)
	}
	clear(t.files[len(keep):])
	t.files = keep
	return faults
}

// forget closes a finished file and drops its position.
func (t *Tailer) forget(f *File) error {
	t.positions.drop(positionKey{t.source, f.id})
	delete(t.byID, f.id)
	for path, at := range t.at {
		if at == f {
			delete(t.at, path)
		}
	}
	return closeFile(f.content)
}

// lookAgain is look through the open descriptor.
func (t *Tailer) lookAgain(f *File) error {
	info, err := f.content.Stat()
	if err != nil {
		return fmt.Errorf("look at %q: %w", f.path, err)
	}
	return t.look(f, info)
}

// look takes in a file's new size and modification time, and starts the file
// over if it is no longer the one that was read.
func (t *Tailer) look(f *File, info fs.FileInfo) error {
	if info.Size() == f.size && info.ModTime().Equal(f.modified) {
		return nil
	}
	f.size, f.modified, f.changed = info.Size(), info.ModTime(), t.now()
	if f.size < max(f.cursors[Ship].offset, f.cursors[Count].offset) {
		return t.startOver(f)
	}
	// It may have grown beyond the cursors again since it was truncated.
	_, same, err := f.verify(0, t.prefix[:])
	if err != nil {
		return err
	}
	if !same {
		return t.startOver(f)
	}
	for i := range f.cursors {
		if c := &f.cursors[i]; c.seen > f.size {
			c.seen = c.offset
		}
	}
	return nil
}

// startOver reads a truncated file again from its beginning. Chunks read before
// cannot be committed any more.
func (t *Tailer) startOver(f *File) error {
	t.truncations++
	now := t.now()
	t.positions.restart(f.mark, now)
	f.begin(now)
	return t.positions.Sync()
}

// Truncations returns how often a file was found truncated while it was read.
// What was written between the last read and the truncation is lost.
func (t *Tailer) Truncations() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.truncations
}

// Files returns the state of all open files, oldest first.
func (t *Tailer) Files() []FileStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	status := make([]FileStatus, 0, len(t.files))
	for _, f := range t.files {
		committed := f.committed()
		status = append(status, FileStatus{
			Path:      f.path,
			Rotated:   f.rotated,
			Size:      f.size,
			Committed: committed,
			Lag:       max(0, f.size-committed),
		})
	}
	return status
}

// Close closes all files and keeps their positions, from which another Tailer
// for the same source goes on.
func (t *Tailer) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var errs []error
	for _, f := range t.files {
		if f.deleted() && f.finished() {
			// Nobody can find it again, so nobody shall miss it.
			t.positions.drop(positionKey{t.source, f.id})
		}
		errs = append(errs, closeFile(f.content))
	}
	t.files = nil
	clear(t.byID)
	clear(t.at)
	return errors.Join(errs...)
}

func has(present map[identity]sighting, id identity) bool {
	_, ok := present[id]
	return ok
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func isHidden(path string, hidden []string) bool {
	return slices.ContainsFunc(hidden, func(pattern string) bool {
		ok, err := filepath.Match(pattern, path)
		return pattern == path || err == nil && ok
	})
}

// isGone tells a missing file from one that cannot be looked at now.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
