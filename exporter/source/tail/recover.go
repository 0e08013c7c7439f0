package tail

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"
)

// errMoved marks a file that is not where it was last seen; the next Scan finds
// where it is.
var errMoved = errors.New("another file is there now")

// openSeen opens a file where it was seen. It fails with errMoved if it is not
// there any more: whoever has to know all of a folder lists it again.
func (t *Tailer) openSeen(s sighting) (*content, error) {
	c, err := t.open(s.path)
	switch {
	case isGone(err):
		return nil, fmt.Errorf("open %q: %w", s.path, errMoved)
	case err != nil:
		return nil, err
	case c.id != s.id:
		return nil, errors.Join(fmt.Errorf("open %q: %w", s.path, errMoved), t.close(c))
	}
	return c, nil
}

// open opens a file, and closes others if there are too many.
func (t *Tailer) open(path string) (*content, error) {
	t.pauseHere()
	if err := errors.Join(t.makeRoom()...); err != nil {
		return nil, err
	}
	if err := t.positions.descriptors.take(); err != nil {
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	c, err := open(path)
	if err != nil {
		t.positions.descriptors.give()
		return nil, err
	}
	if c.packed != nil {
		return t.inspect(c)
	}
	return c, nil
}

// close a file, unless it is to be looked into further.
func (t *Tailer) close(c *content) error {
	if c.packed != nil && t.keep(c) {
		return nil
	}
	return t.shut(c)
}

func (t *Tailer) shut(c *content) error {
	t.positions.descriptors.give()
	return c.close()
}

// makeRoom closes files while too many are open: first those at their end, then
// others that can be opened again. A file that was rotated away before its end
// was read stays open.
func (t *Tailer) makeRoom() (faults []error) {
	for t.positions.descriptors.tight() {
		var least *File
		rank := func(f *File) (n uint64) {
			if !f.finished() {
				n = 1 << 63
			}
			return n + f.used
		}
		for _, f := range t.files {
			closable := f.content != nil && f.used != t.clock && f.content.packed == nil && (!f.rotated || f.finished() && f.quiet(t.now()))
			if closable && (least == nil || rank(f) < rank(least)) {
				least = f
			}
		}
		if least == nil {
			return faults
		}
		c := least.content
		least.content = nil
		if err := t.close(c); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// reach opens a file again that was closed.
func (t *Tailer) reach(f *File) error {
	t.clock++
	f.used = t.clock
	if f.content != nil {
		return nil
	}
	c, err := t.openSeen(sighting{path: f.place, id: f.id})
	if err != nil {
		return err
	}
	if err := c.measure(); err != nil {
		return errors.Join(err, t.close(c))
	}
	f.content = c
	return nil
}

// find opens a file that was closed and is no longer at a matched path. If it is
// gone, it is forgotten; the error is a *LostError unless it was read to its end.
func (t *Tailer) find(f *File) error {
	if f.content != nil {
		return nil
	}
	r := t.positions.record(f.mark)
	s, err := t.locate(r, nil)
	if err == nil && s.path == "" {
		s, _, err = t.search(r.evidence(), nil, r.targets()...)
	}
	switch {
	case err != nil:
		return err
	case s.path != "" && s.id != f.id:
		return t.moveTo(f, s)
	case s.path != "":
		f.place = s.path
		if err := t.reach(f); err != nil {
			return err
		}
		f.rotated, f.changed = true, t.now()
		return nil
	}
	if f.finished() {
		return t.forget(f)
	}
	t.positions.miss(f.mark, t.now())
	return errors.Join(&LostError{f.path, r.Offset, "it was removed before its end was read"}, t.unfollow(f))
}

// await returns an error while a packed file may still be being written.
func (t *Tailer) await(c *content) error {
	if c.packed == nil || !errors.Is(c.packed.damage, errPartial) {
		return nil
	}
	now := t.now()
	p, known := t.partial[c.id]
	if !known || p.size != c.info.Size() || !p.modified.Equal(c.info.ModTime()) {
		p = partial{size: c.info.Size(), modified: c.info.ModTime(), since: now}
	}
	p.scan = t.scans
	t.partial[c.id] = p
	if now.Sub(p.since) >= packTime {
		return nil
	}
	return fmt.Errorf("wait for the end of %q: %w", c.path, errPartial)
}

// catchUp opens the files that came to path and were rotated away from it again
// since the last look.
func (t *Tailer) catchUp(path string, present map[identity]sighting) []error {
	at, ok := t.at[path]
	if !ok {
		return nil
	}
	old := at.file
	known := []identity{old.id}
	if old.content != nil && old.content.packed == nil && old.content.deleted() {
		// Perhaps it was compressed.
		s, _, err := t.search(old.evidence(), nil, old.target)
		if err != nil {
			t.moving[path] = t.moving[path] || passing(err)
			return []error{err}
		}
		known = append(known, s.id)
	}
	targets := []string{at.target}
	if now := resolve(path); now != at.target {
		targets = append(targets, now) // a link to another file
	}
	var faults []error
	for _, target := range targets {
		later, err := t.later(target, path, known, old.modified)
		if err != nil {
			t.moving[path] = t.moving[path] || passing(err)
			return append(faults, err)
		}
		faults = append(faults, t.addRotated(later, path, target, present)...)
	}
	return faults
}

// later returns, oldest first, the files that came to target after those in
// known, but for the one that path leads to now.
func (t *Tailer) later(target, path string, known []identity, since time.Time) ([]sighting, error) {
	t.pauseHere()
	later, err := siblings(target, known, since, target != resolve(path))
	if isGone(err) {
		return nil, nil
	}
	return later, err
}

// addRotated opens files that were rotated away from path, where target was,
// the oldest first, but for those that lie at a matched path of their own.
func (t *Tailer) addRotated(rotated []sighting, path, target string, present map[identity]sighting) (faults []error) {
	for _, s := range rotated {
		if own, ok := present[s.id]; ok {
			own.info = s.info // as of the listing
			settled, err := t.addPresent(own)
			if settled && err != nil {
				faults = append(faults, err)
			}
			if !settled && (err == nil || passing(err)) {
				t.moving[path] = true
				return faults
			}
			if f := t.byID[s.id]; f != nil {
				t.at[path] = last{f, target}
			}
			continue // a visit to it says what else is wrong
		}
		if twin, err := t.twin(s); err != nil {
			t.moving[path] = t.moving[path] || passing(err)
			return append(faults, err)
		} else if twin {
			continue
		}
		if read, err := t.wasDelivered(s); err != nil {
			t.moving[path] = t.moving[path] || passing(err)
			return append(faults, err)
		} else if read {
			continue
		}
		f, err := t.add(s, path, target, true)
		if err != nil {
			faults = append(faults, err)
		}
		if f == nil { // what was rotated after it has to wait
			t.moving[path] = t.moving[path] || err == nil || passing(err)
			return faults
		}
		t.at[path] = last{f, target} // what comes to path next was rotated after it
	}
	return faults
}

// addPresent opens a file at the matched path where it was seen, before what was
// rotated later is known, and reports whether that may be.
func (t *Tailer) addPresent(s sighting) (settled bool, err error) {
	if t.byID[s.id] != nil {
		return true, nil
	}
	if t.moving[s.path] {
		return false, nil
	}
	held, err := t.openSeen(s)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, t.close(held)) }()
	if !held.info.ModTime().Equal(s.info.ModTime()) {
		return false, nil // perhaps another file of the same inode
	}
	if copied, err := t.isCopy(s); err != nil || copied {
		return err == nil, err
	}
	f, err := t.add(s, s.path, "", false)
	return f != nil, err
}

// wasDelivered reports whether a file without a position was delivered to its
// end, under whatever name, before its position was dropped.
func (t *Tailer) wasDelivered(s sighting) (same bool, err error) {
	key := positionKey{t.source, s.id}
	if t.byID[s.id] != nil || t.positions.has(key) {
		return false, nil
	}
	found := t.positions.deliveredAt(t.source, s.info.ModTime())
	if len(found) == 0 {
		return false, nil
	}
	c, err := t.openSeen(s)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, t.close(c)) }()
	for _, r := range found {
		same, err := t.has(c, r.evidence())
		if err != nil || same && c.size == r.Size {
			return err == nil, err
		}
	}
	return false, nil
}

// twin reports whether a packed file holds what a followed one does.
func (t *Tailer) twin(s sighting) (bool, error) {
	if !isPacked(s.path) || t.byID[s.id] != nil {
		return false, nil
	}
	var c *content
	for _, f := range t.files {
		e := f.evidence()
		if e.weak() || f.packed() || !related(f.target, s.path) {
			continue
		}
		if c == nil {
			var err error
			if c, err = t.openSeen(s); err != nil {
				return false, err
			}
		}
		same, err := t.has(c, e)
		if same || err != nil {
			return same, errors.Join(err, t.close(c))
		}
	}
	if c != nil {
		return false, t.close(c)
	}
	return false, nil
}

// isCopy reports whether a file holds, as far as it goes, what one that is
// followed does, and has a name that rotation would have given to that: it is
// a copy, and the other is about to be truncated.
func (t *Tailer) isCopy(s sighting) (bool, error) {
	if t.positions.has(positionKey{t.source, s.id}) {
		return false, nil
	}
	for _, f := range t.files {
		if f.rotated || filepath.Dir(f.place) != filepath.Dir(s.path) {
			continue
		}
		if _, ok := rotation(filepath.Base(f.place), filepath.Base(s.path)); !ok {
			continue
		}
		if err := t.reach(f); err != nil {
			return false, err
		}
		same, err := t.begins(f, s)
		if same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// begins reports whether a file begins with all that another one holds.
func (t *Tailer) begins(f *File, s sighting) (same bool, err error) {
	c, err := t.openSeen(s)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, t.close(c)) }()
	e := evidence{offset: c.size}
	if e.head, _, err = c.head(min(c.size, fingerprintBytes), t.scratch[:]); err != nil {
		return false, err
	}
	if e.tail, _, err = c.tail(Ship, c.size, t.scratch[:]); err != nil {
		return false, err
	}
	return f.content.has(e, t.scratch[:])
}

// recover looks for the files whose positions were kept while no Tailer ran,
// and for those that were rotated away after them. What it cannot look at, it
// tries again at the next Scan.
func (t *Tailer) recover(present map[identity]sighting) (faults []error) {
	if t.scans == 1 {
		t.pending = t.positions.of(t.source)
	}
	byPath := make(map[string][]*kept)
	taken := make(map[identity]bool)
	t.recovered = t.recovered[:0]
	for m := range t.pending {
		r, ok := t.positions.kept(m)
		if !ok || r.Lost != 0 {
			continue
		}
		k := &kept{record: r, mark: m}
		if k.at, k.err = t.locate(r, present); k.at.path != "" {
			taken[k.at.id] = true
		}
		byPath[r.Path] = append(byPath[r.Path], k)
		t.recovered = append(t.recovered, k)
	}
	clear(t.pending)
	moved := make(map[*mark]identity)
	paths := slices.Sorted(maps.Keys(byPath))
	for _, path := range paths {
		for _, k := range byPath[path] {
			if k.err != nil || k.at.path != "" {
				continue
			}
			var why string
			if k.at, why, k.err = t.search(k.evidence(), taken, k.targets()...); k.at.path != "" {
				taken[k.at.id], moved[k.mark] = true, k.at.id
			} else if k.err == nil {
				k.err = &LostError{k.Path, k.Offset, "it was removed, replaced or truncated while no agent ran" + why}
			}
		}
	}
	t.holdBack(moved)
	t.positions.move(moved)
	for _, path := range paths {
		faults = append(faults, t.recoverPath(path, byPath[path], present)...)
	}
	return faults
}

// holdBack leaves out of moved what would take the place of a position whose
// file has yet to be found; that waits, too.
func (t *Tailer) holdBack(moved map[*mark]identity) {
	for again := true; again; {
		again = false
		for _, k := range t.recovered {
			id, ok := moved[k.mark]
			if ok && slices.ContainsFunc(t.recovered, func(other *kept) bool {
				_, moves := moved[other.mark]
				return other != k && !moves && passing(other.err) && other.identity() == id
			}) {
				delete(moved, k.mark)
				k.err = fmt.Errorf("move to %q: its inode is that of a position whose file is looked for: %w", k.at.path, errMoved)
				again = true
			}
		}
	}
}

// kept is a position whose file is looked for.
type kept struct {
	record
	mark *mark
	at   sighting // of its file, if it was found
	err  error
}

// wasLookedFor reports whether the file of a position was found by this Scan, or
// has yet to be, so that what has its inode came after it was renamed; or whether
// it is missed.
func (t *Tailer) wasLookedFor(m *mark) (found, missed bool) {
	_, found = t.pending[m]
	for _, k := range t.recovered {
		if k.mark == m {
			found, missed = found || k.err == nil, k.err != nil
		}
	}
	return found, missed
}

// recoverAgain looks, at the next Scan, again for the positions of a path of which
// one was found at a matched path, but was gone from there before it was opened.
func (t *Tailer) recoverAgain(present map[identity]sighting) {
	again := make(map[string]bool)
	for _, k := range t.recovered {
		if k.err == nil && has(present, k.at.id) && t.byID[k.at.id] == nil {
			again[k.Path] = true
		}
	}
	for _, k := range t.recovered {
		if again[k.Path] {
			t.pending[k.mark] = t.positions.record(k.mark)
		}
	}
	t.recovered = nil
}

// recoverPath opens the files that were at one path, and those that were rotated
// away from it after them.
func (t *Tailer) recoverPath(path string, files []*kept, present map[identity]sighting) (faults []error) {
	for _, k := range files {
		if passing(k.err) {
			faults = append(faults, k.err)
		}
	}
	if len(faults) > 0 { // in their order, and nothing of the path before
		t.moving[path] = true
		for _, k := range files {
			t.pending[k.mark] = t.positions.record(k.mark)
		}
		return faults
	}
	targets := []string{}
	var known []identity
	var rotated []sighting
	var missed, dropped []*mark
	complete := false // nothing was rotated later
	since := t.now()
	for _, k := range files {
		if target := k.target(); !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
		var lost *LostError
		switch {
		case errors.As(k.err, &lost) && k.Finished:
			dropped = append(dropped, k.mark)
			since = earlier(since, time.Unix(0, k.Modified))
		case errors.As(k.err, &lost) && k.Ended:
			dropped = append(dropped, k.mark)
			since = earlier(since, t.positions.opened)
		case errors.As(k.err, &lost):
			missed = append(missed, k.mark)
			since = earlier(since, t.positions.opened)
		case k.err != nil:
			faults = append(faults, k.err)
			t.pending[k.mark] = k.record
			complete = true // as far as can be seen
		case k.evidence().weak():
			// Nothing tells a reused inode here, but then there are files
			// that were written to after the first sight of this one.
			since = earlier(since, time.Unix(0, k.Time))
		case k.at.path == path:
			complete = true
		default:
			known = append(known, k.at.id)
		}
		if k.err == nil && k.at.path != path {
			rotated = append(rotated, k.at)
		}
	}
	if now := resolve(path); !slices.Contains(targets, now) {
		targets = append(targets, now)
	}
	if !complete {
		// Without a known file to start from: what was written to since.
		for _, target := range targets {
			later, err := t.later(target, path, known, since)
			if err != nil {
				t.moving[path] = t.moving[path] || passing(err)
				faults = append(faults, err)
			}
			for _, s := range later {
				if !slices.ContainsFunc(rotated, func(r sighting) bool { return r.id == s.id }) {
					rotated = append(rotated, s)
				}
			}
		}
	}
	for _, target := range targets {
		of := slices.Clone(rotated)
		of = slices.DeleteFunc(of, func(s sighting) bool { return s.path != target && !related(target, s.path) })
		rotated = slices.DeleteFunc(rotated, func(s sighting) bool { return slices.ContainsFunc(of, func(o sighting) bool { return o.id == s.id }) })
		slices.SortStableFunc(of, byRotation(filepath.Base(target)))
		faults = append(faults, t.addRotated(of, path, target, present)...)
	}
	faults = append(faults, t.addRotated(rotated, path, targets[0], present)...)
	if t.moving[path] { // once more, and from the same positions
		for _, k := range files {
			t.pending[k.mark] = t.positions.record(k.mark)
		}
		return faults
	}
	for _, m := range dropped {
		if !t.follows(m) {
			t.positions.drop(m)
		}
	}
	for _, m := range missed {
		if !t.follows(m) {
			t.positions.miss(m, t.now())
		}
	}
	for _, k := range files {
		if lost, ok := errors.AsType[*LostError](k.err); ok && slices.Contains(missed, k.mark) {
			faults = append(faults, lost)
		}
	}
	return faults
}

// follows reports whether a position is that of a file that is followed. One that
// tells nothing is taken over by the next file of its inode.
func (t *Tailer) follows(m *mark) bool {
	return slices.ContainsFunc(t.files, func(f *File) bool { return f.mark == m })
}

// locate finds the file of a kept position by its identity: at a matched path, or
// else in the folder of its path. If it is not there, the path is empty.
func (t *Tailer) locate(r record, present map[identity]sighting) (sighting, error) {
	s, there := present[r.identity()]
	if r.Finished && (!there || s.path != r.Path) {
		return sighting{}, nil // another file has its inode, perhaps with the same content
	}
	if there {
		if same, err := t.isAt(s, r); err != nil && !isMoved(err) || same {
			return s, err
		}
	}
	path := resolve(r.Path)
	for _, target := range r.targets() {
		found, err := atRest(filepath.Dir(target), func() (sighting, error) { return t.locateNow(r, target) })
		if found.path == path {
			found.path = r.Path
		}
		if found.path != "" || err != nil {
			return found, err
		}
	}
	return sighting{}, nil
}

// locateNow looks for the file of a position in one listing of the folder of
// target. It fails with errMoved if the listing does not hold any more.
func (t *Tailer) locateNow(r record, target string) (sighting, error) {
	listed, err := t.list(filepath.Dir(target))
	if isGone(err) {
		return sighting{}, nil
	}
	if err != nil {
		return sighting{}, err
	}
	for _, s := range listed {
		if s.id != r.identity() {
			continue
		}
		_, rotated := rotation(filepath.Base(target), filepath.Base(s.path))
		if r.evidence().weak() && (isPacked(s.path) || !rotated && s.path != target) {
			continue // nothing but the inode speaks for it
		}
		if same, err := t.isAt(s, r); err != nil || same {
			return s, err
		}
	}
	return sighting{}, nil
}

// atRest looks into a folder until no file has been renamed between its listing
// and its opening: one that was may be any, also the one that is looked for.
func atRest(dir string, look func() (sighting, error)) (found sighting, err error) {
	for range listings {
		if found, err = look(); !isMoved(err) {
			return found, err
		}
	}
	return sighting{}, fmt.Errorf("look into %q: %w", dir, errChanging)
}

// search finds the file that has a content, among those with a name that the
// rotation of one of the targets gives, copies and packed ones, but for those
// that are followed or taken. If there is none, the path is empty, and why may
// say more.
func (t *Tailer) search(e evidence, taken map[identity]bool, targets ...string) (found sighting, why string, err error) {
	if e.weak() {
		return found, "", nil
	}
	for _, target := range targets {
		damaged := ""
		found, err = atRest(filepath.Dir(target), func() (s sighting, err error) {
			s, damaged, err = t.searchNow(e, taken, target)
			return s, err
		})
		if found.path != "" || err != nil {
			return found, "", err
		}
		why += damaged
	}
	return found, why, nil
}

// searchNow is search in one listing of the folder of target. It fails with
// errMoved if the listing does not hold any more.
func (t *Tailer) searchNow(e evidence, taken map[identity]bool, target string) (found sighting, why string, err error) {
	listed, err := t.list(filepath.Dir(target))
	if isGone(err) {
		return found, "", nil
	}
	if err != nil {
		return found, "", err
	}
	slices.SortStableFunc(listed, byRotation(stem(filepath.Base(target))))
	// Where files begin alike, and nothing was read of the one that is looked
	// for, the oldest is taken: it leaves none out.
	for _, s := range listed {
		if !related(target, s.path) || t.byID[s.id] != nil || taken[s.id] || !isPacked(s.path) && s.info.Size() < e.offset || s.info.ModTime().Add(timeSlack).Before(e.since) {
			continue
		}
		same, damage, err := t.holds(s, e)
		switch {
		case err != nil:
			return found, "", err
		case same:
			return s, "", nil
		case damage != nil:
			why += fmt.Sprintf("; %q is damaged: %s", s.path, damage)
		}
	}
	return found, why, nil
}

// holds reports whether the file at s has a content, or why that cannot be told.
func (t *Tailer) holds(s sighting, e evidence) (same bool, damage, err error) {
	c, err := t.openSeen(s)
	if err != nil {
		return false, nil, err
	}
	defer func() { err = errors.Join(err, t.close(c)) }()
	if same, err = t.has(c, e); c.packed == nil || err != nil {
		return same, nil, err
	}
	head := c.packed.head
	may := same || c.size < e.offset && (int64(len(head)) < e.head.bytes || fingerprintOf(head[:e.head.bytes]) == e.head)
	if c.packed.damage == nil || !may {
		return same, nil, nil
	}
	return same, c.packed.damage, t.await(c)
}

// isAt reports whether the file at s is the one that r is the position of.
func (t *Tailer) isAt(s sighting, r record) (same bool, err error) {
	c, err := t.openSeen(s)
	if err != nil {
		return false, err
	}
	same, err = t.has(c, r.evidence())
	return same, errors.Join(err, t.close(c))
}
