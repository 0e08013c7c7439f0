// Package tail reads lines from log files that grow, are rotated, truncated
// and deleted, and keeps the position up to which they have been delivered.
//
// The files are the queue: nothing is held in memory only, and what has been
// read but not committed is read again after a crash. A Tailer is polled; it
// starts no goroutines. One loop calls Scan about once a second, then Fill
// until the buffer stays empty, and Positions.Commit after each delivery.
package tail

import (
	"cmp"
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

	// packTime is how long a packed file without an end must not change before
	// it counts as damaged.
	packTime = time.Minute

	defaultMaxLineBytes = 256 << 10
)

// Options configure a Tailer.
type Options struct {
	// Source is the configured name of the source; positions are kept by it.
	Source string
	// Files are paths, or patterns in the syntax of path/filepath.Match.
	// Compressed files that a pattern matches are left out; what a followed
	// file has become is found by itself.
	Files []string
	// Positions keeps what has been delivered. Required.
	Positions *Positions
	// Framer puts lines together; nil hands them out as they are. The lines
	// that a record may still get are waited for until the file has not changed
	// for a while.
	Framer *parsers.Framer
	// MaxLineBytes is where longer lines are cut; 256 KiB if not positive.
	MaxLineBytes int
	// Spread is how much newer a line may be than the oldest one of any file that
	// waits to be handed out with Ship; 0: any. See Buffer.Horizon.
	Spread time.Duration
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
	spread       time.Duration
	now          func() time.Time

	mu          sync.Mutex
	files       []*File // oldest first
	byID        map[identity]*File
	at          map[string]last // by matched path
	chains      []*chain
	unpacking   [2]*File             // by Cursor: the packed file that is being read
	partial     map[identity]partial // packed files that are waited for
	moving      map[string]bool      // paths that a rotation was seen at in this Scan
	pending     map[*mark]record     // positions whose files have yet to be found
	recovered   []*kept              // those that this Scan has looked for
	scans       uint64               // so far
	closed      bool
	inspected   map[identity]*inspection
	turn        turn
	turnBytes   int64
	nuls        uint64 // passed over
	busy        bool   // files take another Scan to be looked into
	truncations uint64
	clock       uint64                 // grows with each use of a file and each turn of a chain
	scratch     [fingerprintBytes]byte // of a beginning or an end
	scan        []byte                 // for the ends of overlong lines
	ready       []*chain               // scratch
	queue       []*chain               // scratch
	// between is called before each look at the file system. Tests do there what
	// others may do to the folder meanwhile; else it is nil.
	between func()
}

// chain is the files that were rotated away from one path, and the one that is
// there now: they are read one after the other.
type chain struct {
	name  string
	files []*File   // oldest first
	turn  [2]uint64 // by Cursor: when it was last read
	next  int64     // that of its first unread file
	idle  uint64    // the scan since which it had nothing more to read
}

// last is the file last seen at a matched path, and where it was rotated from:
// the path, or what it linked to then. The file may have come from another path.
type last struct {
	file   *File
	target string
}

// partial is a packed file without an end.
type partial struct {
	size     int64
	modified time.Time
	since    time.Time // by the Tailer's clock: when it was first seen so
	scan     uint64    // that it was seen by
}

// FileStatus describes one file that is followed.
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
		spread:       o.Spread,
		now:          o.Now,
		byID:         make(map[identity]*File),
		at:           make(map[string]last),
		partial:      make(map[identity]partial),
		inspected:    make(map[identity]*inspection),
		turnBytes:    turnBytes,
		moving:       make(map[string]bool),
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
	t.scans++
	t.turn = turn{t.turnBytes, t.turnBytes * 2 / 3}
	clear(t.moving)
	found, hidden, faults := t.match()
	present := make(map[identity]sighting, len(found))
	for _, s := range found {
		present[s.id] = s
	}
	faults = append(faults, t.recover(present)...)
	t.anchor()
	// Files that are followed come first: what one holds, or held before it was
	// truncated, may be in another, which then is no new file.
	for _, f := range slices.Clone(t.files) {
		if err := t.revisit(f, present); err != nil {
			faults = append(faults, err)
		}
	}
	// What was rotated away from a path comes before what is at paths of its own.
	for _, path := range slices.Sorted(maps.Keys(t.at)) { // where nothing is now
		if !isHidden(path, hidden) && !slices.ContainsFunc(found, func(s sighting) bool { return s.path == path }) {
			faults = append(faults, t.catchUp(path, present)...)
		}
	}
	slices.SortStableFunc(found, func(a, b sighting) int { return cmp.Compare(t.came(b), t.came(a)) })
	for _, s := range found {
		faults = append(faults, t.visit(s, present)...)
	}
	t.recoverAgain(present)
	faults = append(faults, t.retire(present, hidden)...)
	faults = append(faults, t.makeRoom()...)
	t.positions.expire(t.now())
	maps.DeleteFunc(t.partial, func(_ identity, p partial) bool { return p.scan < t.scans })
	faults = append(faults, t.forgetInspections(false)...)
	took := len(faults)
	faults = slices.DeleteFunc(faults, func(err error) bool { return isBusy(err) || errors.Is(err, errMoved) })
	t.busy = len(faults) < took

	// First sights must be durable before their lines are handed out, and
	// finished files forgotten before someone deletes them.
	if err := t.positions.Sync(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

// pauseHere is called before each look at the file system.
func (t *Tailer) pauseHere() {
	if t.between != nil {
		t.between()
	}
}

func (t *Tailer) list(dir string) ([]sighting, error) {
	t.pauseHere()
	return list(dir)
}

func (t *Tailer) sight(path string) (sighting, error) {
	t.pauseHere()
	return sight(path)
}

// match returns the regular files that the patterns name, oldest first, each
// once. Patterns that could not be looked at are returned as hidden: their files
// are out of sight, not gone.
func (t *Tailer) match() (found []sighting, hidden []string, faults []error) {
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
			s, err := t.sight(path)
			switch {
			case err == nil && !known[s.id]:
				known[s.id] = true
				found = append(found, s)
			case err == nil, isGlob && isGone(err):
				// The same file again, or one that went since the listing.
			default:
				faults = append(faults, err)
				if !isGone(err) && !errors.Is(err, errNotRegular) {
					hidden = append(hidden, path)
				}
			}
		}
	}
	slices.SortStableFunc(found, byAge)
	return found, hidden, faults
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

// anchor lets the search for what was rotated away from a path start from the
// last file that is known, though that was first found after its rotation.
func (t *Tailer) anchor() {
	for _, c := range t.chains {
		if _, ok := t.at[c.name]; ok {
			continue
		}
		newest := slices.MaxFunc(c.files, func(a, b *File) int {
			return byRotation(filepath.Base(c.name))(sighting{path: a.place}, sighting{path: b.place})
		})
		t.at[c.name] = last{newest, resolve(c.name)}
	}
}

// came tells that another file is at a path than was last seen there.
func (t *Tailer) came(s sighting) int {
	if old := t.at[s.path].file; old != nil && old.id != s.id {
		return 1
	}
	return 0
}

// revisit looks at a file that is followed, where it lies now.
func (t *Tailer) revisit(f *File, present map[identity]sighting) error {
	if s, ok := present[f.id]; ok {
		f.rotated, f.place = false, s.path
		return t.look(f, s.info)
	}
	if f.content != nil {
		return t.lookAgain(f)
	}
	return nil
}

// visit takes note of what lies at a matched path.
func (t *Tailer) visit(s sighting, present map[identity]sighting) (faults []error) {
	settled := true
	if old := t.at[s.path].file; old != nil && old.id != s.id {
		// While it is open, its inode is given to no other: all that was rotated
		// away before it is there when the folder is listed.
		held, err := t.openSeen(s)
		if isMoved(err) {
			t.moving[s.path] = true
			return nil
		}
		if err == nil {
			defer func() {
				if err := t.close(held); err != nil {
					faults = append(faults, err)
				}
			}()
		}
		faults = t.catchUp(s.path, present)
		again, err := t.sight(s.path)
		settled = len(faults) == 0
		t.moving[s.path] = t.moving[s.path] || err != nil || again.id != s.id
	}
	if t.moving[s.path] || t.moving[unrotated(s.path)] {
		return faults // the position of s would say that all before it are known
	}

	f := t.byID[s.id]
	if f == nil {
		switch copied, err := t.isCopy(s); {
		case err != nil:
			return append(faults, err)
		case copied:
			return faults
		}
		var err error
		if f, err = t.add(s, s.path, "", false); err != nil {
			faults = append(faults, err)
		}
	}
	// If the folder moved meanwhile, the next Scan searches it from the same
	// file again, so that a rotation in between is not missed.
	if f != nil && settled && t.at[s.path].file != f {
		t.at[s.path] = last{f, resolve(s.path)}
	}
	return faults
}

// add opens a file where it was seen unless it is followed already, and goes on
// from its position; nothing if another file is there by now. The file is known
// by name, which differs from its path after rotation, and was rotated away from
// target, if that is not its path.
// The error may be a *LostError although the file is returned.
func (t *Tailer) add(s sighting, name, target string, rotated bool) (*File, error) {
	path := s.path
	c, err := t.open(path)
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// What was compressed gives its inode to the next file, which may have come to
	// the same name by now. Nobody writes to what was rotated away for long.
	if c.id != s.id || rotated && !c.info.ModTime().Equal(s.info.ModTime()) {
		return nil, t.close(c)
	}
	if f := t.byID[c.id]; f != nil {
		return f, t.close(c)
	}
	if err := errors.Join(c.measure(), t.await(c)); err != nil {
		return nil, errors.Join(err, t.close(c))
	}
	if target == "" {
		target = resolve(path)
	}
	t.clock++
	f := &File{
		path:      name,
		id:        c.id,
		place:     path,
		target:    target,
		content:   c,
		used:      t.clock,
		positions: t.positions,
		rotated:   rotated,
		size:      c.size,
		modified:  c.info.ModTime(),
		changed:   t.now(),
	}
	lost := t.resume(f)
	if f.mark == nil { // unreadable: another Scan may have more luck
		return nil, errors.Join(lost, t.close(c))
	}
	t.positions.learn(f.mark, f.prefix)
	t.files = append(t.files, f)
	t.byID[f.id] = f
	t.link(f)
	if c.packed != nil && c.packed.damage != nil {
		lost = errors.Join(lost, &LostError{f.path, f.size, fmt.Sprintf("%q is damaged: %s", path, c.packed.damage)})
	}
	return f, lost
}

// link puts a file to the end of its chain.
func (t *Tailer) link(f *File) {
	name := unrotated(f.path)
	for _, c := range t.chains {
		if c.name == name {
			f.chain = c
		}
	}
	if f.chain == nil {
		f.chain = &chain{name: name}
		t.chains = append(t.chains, f.chain)
	}
	f.chain.files = append(f.chain.files, f)
}

// resume sets the file's cursors to its kept position if that is still the
// position of this very file, and else to its beginning.
func (t *Tailer) resume(f *File) error {
	key := positionKey{t.source, f.id}
	m, r, ok := t.positions.find(key)
	var lost error
	if ok && (r.Path == f.path || !r.evidence().weak()) {
		same, err := t.has(f.content, r.evidence())
		if err != nil {
			return err
		}
		if same && f.size >= t.positions.counted(m) {
			f.path, f.mark = r.Path, m
			f.time.Store(r.Time)
			if r.Offset > 0 {
				f.next.Store(r.Time)
			}
			f.prefix = r.fingerprint()
			f.cursors[Ship].moveTo(r.Offset, r.Tail)
			return f.learn(t.scratch[:])
		}
		found, missed := t.wasLookedFor(m)
		if found && !same {
			return fmt.Errorf("open %q: its inode is that of a position whose file is looked for: %w", f.path, errMoved)
		}
		if r.Lost == 0 && !r.Ended && !missed {
			lost = &LostError{r.Path, r.Offset, "another file has its inode, or it was truncated"}
		}
	}
	now := t.now()
	f.begin(now)
	if err := f.learn(t.scratch[:]); err != nil {
		return err
	}
	f.mark = t.positions.begin(key, f, now)
	return lost
}

// retire notes which files are no longer at a matched path and forgets those
// that are finished.
func (t *Tailer) retire(present map[identity]sighting, hidden []string) (faults []error) {
	now := t.now()
	for _, f := range slices.Clone(t.files) {
		if has(present, f.id) || isHidden(f.path, hidden) {
			continue
		}
		if f.content == nil && (!f.rotated || !f.finished()) {
			if err := t.find(f); err != nil {
				faults = append(faults, err)
			}
		}
		if f.content == nil {
			continue // not found, or at its end and not needed any more
		}
		if !f.rotated {
			f.rotated, f.changed = true, now
		}
		t.positions.end(f.mark, t.left(f))
		if !f.quiet(now) || !f.finished() {
			continue
		}
		var err error
		if t.succeeded(f) {
			err = t.forget(f)
		} else if f.content.deleted() {
			err = t.outlive(f)
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// outlive goes on with a finished file that has no name any more where it was
// packed to, from where the search for what comes to its path next starts. If it
// is gone, it is forgotten.
func (t *Tailer) outlive(f *File) error {
	s, _, err := t.search(f.evidence(), nil, f.target)
	switch {
	case err != nil:
		return err
	case s.path != "":
		return t.moveTo(f, s)
	}
	return t.forget(f)
}

// left reports whether a file was rotated away, delivered to its end, and left by
// its writer, which has gone on to another or been quiet.
func (t *Tailer) left(f *File) bool {
	return f.rotated && f.finished() && (f.quiet(t.now()) || f.followed())
}

// succeeded reports whether a file is not needed to find what was rotated away
// after it: that search starts from the last file of a path, and after a
// restart from the last whose content can be told.
func (t *Tailer) succeeded(f *File) bool {
	if t.at[f.path].file == f {
		return false
	}
	return f.prefix.bytes == 0 || f.followed()
}

// forget closes a finished file and drops its position.
func (t *Tailer) forget(f *File) error {
	t.positions.deliver(f, t.now())
	return t.unfollow(f)
}

// unfollow closes a file and keeps its position.
func (t *Tailer) unfollow(f *File) error {
	delete(t.byID, f.id)
	for path, at := range t.at {
		if at.file == f {
			delete(t.at, path)
		}
	}
	for i := range t.unpacking {
		if t.unpacking[i] == f {
			t.unpacking[i] = nil
		}
	}
	is := func(other *File) bool { return other == f }
	t.files = slices.DeleteFunc(t.files, is)
	if f.chain.files = slices.DeleteFunc(f.chain.files, is); len(f.chain.files) == 0 {
		t.chains = slices.DeleteFunc(t.chains, func(c *chain) bool { return c == f.chain })
	}
	if f.content == nil {
		return nil
	}
	c := f.content
	f.content = nil
	return t.close(c)
}

// lookAgain is look through the open descriptor.
func (t *Tailer) lookAgain(f *File) error {
	info, err := f.info()
	if err != nil {
		return err
	}
	return t.look(f, info)
}

// look takes in a file's new size and modification time, and starts the file
// over if it is no longer the one that was read.
func (t *Tailer) look(f *File, info fs.FileInfo) error {
	if info.Size() == f.size && info.ModTime().Equal(f.modified) || f.packed() {
		return nil
	}
	if err := t.reach(f); err != nil {
		if isMoved(err) {
			return nil // the next Scan finds it
		}
		return err
	}
	was := f.evidence()
	f.size, f.modified, f.changed = info.Size(), info.ModTime(), t.now()
	if f.size < max(f.cursors[Ship].offset, f.cursors[Count].offset) {
		return t.startOver(f, was)
	}
	// It may have grown beyond the cursors again since it was truncated.
	same, err := f.intact(t.scratch[:])
	if err != nil {
		return err
	}
	if !same {
		return t.startOver(f, was)
	}
	for i := range f.cursors {
		if c := &f.cursors[i]; c.seen > f.size {
			c.seen = c.offset
		}
	}
	err = f.learn(t.scratch[:])
	t.positions.learn(f.mark, f.prefix)
	return err
}

// startOver deals with a file that was truncated. If what it was has been copied
// before, it goes on there, and what is at its path is a new file. Else it is
// read again from its beginning, and chunks read before cannot be committed
// any more.
func (t *Tailer) startOver(f *File, was evidence) error {
	s, _, err := t.search(was, nil, f.target)
	if err == nil && s.path != "" {
		err = t.moveTo(f, s)
	}
	if err != nil && f.id != s.id {
		f.modified = time.Time{} // the next Scan tries again, and says so
		return err
	}
	t.truncations++
	if f.id == s.id {
		return errors.Join(err, t.positions.Sync())
	}
	now := t.now()
	t.positions.restart(f.mark, f, now)
	f.begin(now)
	if err := f.learn(t.scratch[:]); err != nil {
		return err
	}
	t.positions.learn(f.mark, f.prefix)
	return t.positions.Sync()
}

// moveTo goes on with a file where its content is now.
func (t *Tailer) moveTo(f *File, s sighting) error {
	c, err := t.openSeen(s)
	if err != nil {
		return err
	}
	if err := c.measure(); err != nil {
		return errors.Join(err, t.close(c))
	}
	if f.content != nil {
		err = t.close(f.content)
	}
	t.positions.move(map[*mark]identity{f.mark: c.id})
	delete(t.byID, f.id)
	t.byID[c.id] = f
	f.id, f.content, f.place, f.rotated = c.id, c, s.path, true
	f.size, f.modified, f.changed = c.size, c.info.ModTime(), t.now()
	for i := range f.cursors {
		f.cursors[i].seen = f.cursors[i].offset
	}
	if c.packed != nil && c.packed.damage != nil {
		err = errors.Join(err, &LostError{f.path, f.size, fmt.Sprintf("%q is damaged: %s", s.path, c.packed.damage)})
	}
	return err
}

// TakeLost returns how many lines that were counted have been lost since it was
// last called: they were never handed out with Ship, or not committed, and
// their file is gone or was truncated.
func (t *Tailer) TakeLost() int64 { return t.positions.takeLost(t.source) }

// Busy reports whether the last Scan or Fill found more than it may do at once:
// there are files that it takes another one to look into.
func (t *Tailer) Busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.busy
}

// Truncations returns how often a file was found truncated while it was read.
// What was written between the last read and the truncation is lost, unless it
// was copied before.
func (t *Tailer) Truncations() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.truncations
}

// Files returns the state of all files that are followed, oldest first.
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
// for the same source goes on. What it learned of them at last is written by the
// next Sync.
func (t *Tailer) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var errs []error
	for _, f := range t.files {
		t.positions.ground(f.mark)
		t.positions.end(f.mark, t.left(f))
		if f.content == nil {
			continue
		}
		if f.content.deleted() && f.finished() {
			errs = append(errs, t.leave(f))
		}
		errs = append(errs, t.close(f.content))
	}
	errs = append(errs, t.forgetInspections(true)...)
	t.files, t.chains, t.unpacking = nil, nil, [2]*File{}
	clear(t.byID)
	clear(t.at)
	return errors.Join(errs...)
}

// leave deals with the position of a finished file that has no name any more. It
// may live on as a packed one. Else nobody can find it again, so nobody shall
// miss it.
func (t *Tailer) leave(f *File) error {
	s, _, err := t.search(f.evidence(), nil, f.target)
	switch {
	case passing(err): // the next start looks for it
		return nil
	case err == nil && s.path != "":
		t.positions.move(map[*mark]identity{f.mark: s.id})
	case t.at[f.path].file == f:
		t.positions.finish(f.mark, f.modified)
	default:
		t.positions.drop(f.mark)
	}
	return err
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

func isMoved(err error) bool { return isGone(err) || errors.Is(err, errMoved) }

func isBusy(err error) bool { return errors.Is(err, errBusy) }

// isGone tells a missing file from one that cannot be looked at now.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
