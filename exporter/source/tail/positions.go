package tail

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Positions keeps, for each file of each source, the offset up to which its
// lines have been delivered. There is one for an agent; it outlives the
// Tailers that use it. It is safe for concurrent use.
//
// They are durable in the file "positions" of the state folder. A commit only
// appends to it what it changes: that is there as soon as it is written, should
// the process be killed, and also after a loss of power once it is synced.
type Positions struct {
	dir    string
	lock   *os.File
	opened time.Time // files written to before this held nothing new

	writing sync.Mutex // held while the file is written; taken before mu

	mu    sync.Mutex
	marks map[positionKey]*mark
	notes map[string]json.RawMessage // by source
	dirty bool                       // the file is to be replaced, not appended to
	lost  map[string]int64           // lines by source, until someone asks
	// delivered are files that were forgotten, the last ones of each source.
	delivered map[string][]record

	// What was appended since the file was last replaced, in bytes, and whether
	// some of it is not synced. They belong to writing.
	appended int
	unsynced bool

	descriptors descriptors
}

// positionKey tells positions apart: sources may share a file.
type positionKey struct {
	source string
	id     identity
}

// mark is one position and what a process remembers along with it.
type mark struct {
	record
	generation uint64 // grows when the file starts over
	counted    int64
	// In lines that were counted: those that wait to be committed, those of
	// them on their way, and those on their way of former generations.
	waiting, flying, orphaned int64
}

// forgetTime is how long the position of a file that is gone is kept.
const forgetTime = 24 * time.Hour

// UnusedTime is how long the positions of a source that is not configured are
// kept.
const UnusedTime = 30 * 24 * time.Hour

func (m *mark) key() positionKey { return positionKey{m.Source, m.identity()} }

// clockSlack covers the time between a rotation and the Scan that notices it.
const clockSlack = time.Minute

// OpenPositions reads the positions kept in the folder dir, which it makes if
// needed, and locks it against other agents until Close. Damaged records are
// set aside and returned as warnings; their files are read from the beginning.
// It fails if the folder cannot be used, another agent uses it, or a newer
// version has written the positions.
func OpenPositions(dir string) (*Positions, []error, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, unusable(dir, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, nil, err
	}
	p := &Positions{
		dir: dir, lock: lock,
		marks: make(map[positionKey]*mark), notes: make(map[string]json.RawMessage), lost: make(map[string]int64),
		delivered: make(map[string][]record),
	}
	p.descriptors.limit()
	warnings, err := p.load()
	if err != nil {
		return nil, nil, errors.Join(err, p.Close())
	}
	return p, warnings, nil
}

func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unusable(dir, err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("lock positions in %q: another agent uses them: stop it, or give each agent its own state_dir: %w", dir, err)
	} else if err != nil {
		err = unusable(dir, err)
	}
	if err != nil {
		return nil, errors.Join(err, closeFile(lock))
	}
	return lock, nil
}

func unusable(dir string, err error) error {
	return fmt.Errorf("open positions in %q: %w: set state_dir to a folder that can be written to, or check its mount and permissions", dir, err)
}

// load reads the positions file, if there is one, and proves that it can be
// written.
func (p *Positions) load() ([]error, error) {
	path := p.path()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unusable(p.dir, err)
	}
	var warnings []error
	if err == nil {
		info, err := os.Stat(path)
		if err != nil {
			return nil, unusable(p.dir, err)
		}
		p.opened = info.ModTime().Add(-clockSlack)
		records, notes, damaged, err := decodePositions(text)
		if err != nil {
			return nil, fmt.Errorf("read positions %q: %w", path, err)
		}
		for _, err := range damaged {
			warnings = append(warnings, fmt.Errorf("read positions %q: %w", path, err))
		}
		p.notes = notes
		for _, r := range records {
			if r.Delivered != 0 {
				p.delivered[r.Source] = append(p.delivered[r.Source], r)
			} else {
				p.marks[positionKey{r.Source, r.identity()}] = &mark{record: r}
			}
		}
	}
	p.dirty = true
	if err := p.Sync(); err != nil {
		return nil, unusable(p.dir, err)
	}
	return warnings, nil
}

const positionsFile = "positions"

func (p *Positions) path() string { return filepath.Join(p.dir, positionsFile) }

// Commit makes the End and Time of each chunk durable: it keeps them, and
// syncs.
//
// If it fails, the next Commit or Sync writes these chunks, too.
func (p *Positions) Commit(chunks []Chunk) error {
	p.Keep(chunks, "", nil)
	return p.Sync()
}

// Keep takes over the End and Time of each chunk, together with a JSON object
// that the owner keeps of their source, instead of the one before. Should the
// process be killed, both hold, or none; after a loss of power those hold that
// were synced. Chunks of a file are to be kept in the order in which they were
// read; one whose file was truncated since, or that was read with Count,
// changes nothing. What cannot be written is written by the next Sync.
func (p *Positions) Keep(chunks []Chunk, source string, body []byte) {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	if body != nil {
		p.notes[source] = body
	}
	changed, dirty := p.advance(chunks), p.dirty
	p.mu.Unlock()
	if dirty || body == nil && len(changed) == 0 {
		return
	}
	line, err := encodeCommit(commit{source, body, changed})
	if err == nil {
		err = p.append(line)
	}
	if err != nil || p.appended > appendBytes {
		p.mu.Lock()
		p.dirty = true
		p.mu.Unlock()
	}
}

// advance the marks to the ends of chunks, and return those that have changed.
// It needs mu.
func (p *Positions) advance(chunks []Chunk) (changed []record) {
	for i := range chunks {
		c := &chunks[i]
		m := c.File.mark
		lines := int64(len(c.Lines))
		switch {
		case c.cursor != Ship || !p.keeps(m):
		case c.generation != m.generation:
			m.orphaned = max(0, m.orphaned-lines)
		case c.End > m.Offset:
			m.flying = max(0, m.flying-lines)
			m.waiting = max(0, m.waiting-lines)
			m.Offset, m.Time, m.Tail = c.End, c.Time, c.tail
			m.FingerprintBytes, m.Fingerprint = c.fingerprint.bytes, c.fingerprint.sum
			changed = append(changed, m.record)
		}
	}
	return changed
}

// appendBytes may be appended until the file is replaced by a short one.
const appendBytes = 128 << 10

// append a line to the file. It needs writing.
func (p *Positions) append(line []byte) error {
	f, err := os.OpenFile(p.path(), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	n, err := f.Write(line)
	if err != nil && n > 0 { // the disk is full; a part of a line would be damage
		if info, statErr := f.Stat(); statErr == nil {
			err = errors.Join(err, f.Truncate(info.Size()-int64(n)))
		}
	}
	p.appended += len(line)
	p.unsynced = true
	return errors.Join(err, f.Close())
}

// Retain takes note of the sources that are configured. The positions of others
// are kept for UnusedTime, should they be configured again; then they are
// forgotten, and it says how many of each source. It fails as Sync does.
func (p *Positions) Retain(sources []string, now time.Time) (forgotten map[string]int, err error) {
	p.mu.Lock()
	forgotten = make(map[string]int)
	for key, m := range p.marks {
		unused := m.Unused
		switch {
		case slices.Contains(sources, key.source):
			m.Unused = 0
		case unused == 0:
			m.Unused = now.Unix()
		case now.Sub(time.Unix(unused, 0)) >= UnusedTime:
			delete(p.marks, key)
			forgotten[key.source]++
			p.dirty = true
		}
		p.dirty = p.dirty || m.Unused != unused
	}
	p.mu.Unlock()
	return forgotten, p.Sync()
}

// Sync makes durable what has changed since the last one. It fails as Commit
// does.
func (p *Positions) Sync() error {
	p.writing.Lock()
	defer p.writing.Unlock()
	p.mu.Lock()
	dirty := p.dirty
	p.mu.Unlock()
	if !dirty && !p.unsynced {
		return nil
	}
	// A file that cannot be synced may be one that can be replaced.
	if !dirty && p.syncFile() == nil {
		p.unsynced = false
		return nil
	}
	return p.replace()
}

func (p *Positions) syncFile() error {
	f, err := os.OpenFile(p.path(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// replace the file by one that has each position and note once. It needs
// writing.
func (p *Positions) replace() error {
	p.mu.Lock()
	records := make([]record, 0, len(p.marks))
	for _, m := range p.marks {
		records = append(records, m.record)
	}
	for _, of := range p.delivered {
		records = append(records, of...)
	}
	notes := maps.Clone(p.notes)
	p.dirty = false
	p.mu.Unlock()

	text, err := encodePositions(records, notes)
	if err == nil {
		err = replaceFile(p.path(), text)
	}
	if err != nil {
		p.mu.Lock()
		p.dirty = true
		p.mu.Unlock()
		return fmt.Errorf("write positions %q: %w", p.path(), err)
	}
	p.appended, p.unsynced = 0, false
	return nil
}

// Notes are what was kept of sources with Keep.
func (p *Positions) Notes() map[string]json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.notes)
}

// ReadNotes of a state folder, also while an agent uses it. Damaged lines are
// returned as warnings.
func ReadNotes(dir string) (notes map[string]json.RawMessage, damaged []error, err error) {
	path := filepath.Join(dir, positionsFile)
	text, err := os.ReadFile(path)
	if err == nil {
		_, notes, damaged, err = decodePositions(text)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read positions %q: %w", path, err)
	}
	return notes, damaged, nil
}

// Close releases the folder to other agents. What was appended is put into the
// form that all versions read.
func (p *Positions) Close() (err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.appended > 0 {
		err = p.replace()
	}
	return errors.Join(err, closeFile(p.lock))
}

// replaceFile replaces a file's content at once and durably.
func replaceFile(path string, text []byte) (err error) {
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// The rest is for the Tailer.

// keeps reports whether m has not been dropped. It needs mu.
func (p *Positions) keeps(m *mark) bool { return p.marks[m.key()] == m }

// of returns the positions of a source, both to change and to read.
func (p *Positions) of(source string) map[*mark]record {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[*mark]record)
	for key, m := range p.marks {
		if key.source == source {
			all[m] = m.record
		}
	}
	return all
}

// find returns the position of a file, both to change and to read, to a Tailer
// that has nothing of it on its way.
func (p *Positions) find(key positionKey) (*mark, record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.marks[key]
	if m == nil {
		return nil, record{}, false
	}
	r := m.record
	if m.Lost != 0 {
		m.Lost, p.dirty = 0, true
	}
	return m, r, true
}

// has reports whether there is a position that can only be of this file.
func (p *Positions) has(key positionKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.marks[key]
	return m != nil && m.Lost == 0 && !m.evidence().weak()
}

// kept returns a position unless it was dropped.
func (p *Positions) kept(m *mark) (record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.record, p.keeps(m)
}

func (p *Positions) record(m *mark) record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.record
}

// begin keeps a new position, at the beginning of a file, instead of any other.
func (p *Positions) begin(key positionKey, f *File, now time.Time) *mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandon(p.marks[key])
	m := &mark{record: record{
		Source:           key.source,
		Path:             f.path,
		Dev:              key.id.dev,
		Inode:            key.id.inode,
		FingerprintBytes: f.prefix.bytes,
		Fingerprint:      f.prefix.sum,
		Time:             now.UnixNano(),
		Modified:         f.modified.UnixNano(),
	}}
	if f.target != f.path {
		m.Target = f.target
	}
	p.marks[key], p.dirty = m, true
	return m
}

// learn keeps what has become known of a file's beginning.
func (p *Positions) learn(m *mark, head fingerprint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if head.bytes > m.FingerprintBytes {
		m.FingerprintBytes, m.Fingerprint = head.bytes, head.sum
		p.dirty = true
	}
}

// move keeps positions as those of other files, which have the same content.
// It is one step, as a file may have got the inode of another that moves, too.
func (p *Positions) move(to map[*mark]identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for m := range to {
		if p.keeps(m) {
			delete(p.marks, m.key())
		}
	}
	for m, id := range to {
		m.Dev, m.Inode = id.dev, id.inode
		p.abandon(p.marks[m.key()])
		p.marks[m.key()], p.dirty = m, true
	}
}

// restart puts a position back to the beginning of its file, whose former
// content is gone.
func (p *Positions) restart(m *mark, f *File, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose(m, m.waiting-m.flying)
	m.orphaned += m.flying
	m.generation++
	m.counted, m.waiting, m.flying = 0, 0, 0
	m.Offset, m.FingerprintBytes, m.Fingerprint, m.Tail = 0, 0, 0, 0
	m.Time, m.Modified = now.UnixNano(), f.modified.UnixNano()
	p.dirty = true
}

// drop forgets a position.
func (p *Positions) drop(m *mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandon(m)
	if p.keeps(m) {
		delete(p.marks, m.key())
		p.dirty = true
	}
}

// miss notes that the file of a position is gone. The position is kept for a
// while, should the file come back.
func (p *Positions) miss(m *mark, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandon(m)
	m.Lost, p.dirty = now.Unix(), true
}

// finish notes that a file was read to its end before it was removed.
func (p *Positions) finish(m *mark, modified time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.Finished, m.Modified, p.dirty = true, modified.UnixNano(), true
}

// end notes whether a file that was rotated away has been delivered to its end,
// which its writer has left.
func (p *Positions) end(m *mark, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.Ended != ended {
		m.Ended, p.dirty = ended, true
	}
}

// expire forgets the positions of files that have been gone for long.
func (p *Positions) expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, m := range p.marks {
		if m.Lost != 0 && now.Sub(time.Unix(m.Lost, 0)) >= forgetTime {
			delete(p.marks, key)
			p.dirty = true
		}
	}
	for source, of := range p.delivered {
		of = slices.DeleteFunc(of, func(r record) bool { return now.Sub(time.Unix(r.Delivered, 0)) >= UnusedTime })
		p.dirty = p.dirty || len(of) < len(p.delivered[source])
		p.delivered[source] = of
	}
}

// deliveredFiles of a source are remembered.
const deliveredFiles = 64

// deliver drops the position of a file that was delivered to its end, and
// remembers what tells the file.
func (p *Positions) deliver(f *File, now time.Time) {
	p.drop(f.mark)
	e := f.evidence()
	if e.weak() || e.tail == 0 || e.since.IsZero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := f.mark.record
	r.FingerprintBytes, r.Fingerprint = e.head.bytes, e.head.sum
	r.Offset, r.Tail, r.Size, r.Modified = e.offset, e.tail, f.size, e.since.UnixNano()
	r.Dev, r.Inode = 0, uint64(r.Fingerprint)<<32|uint64(r.Tail)
	r.Finished, r.Delivered = true, now.Unix()
	of := slices.DeleteFunc(p.delivered[r.Source], func(old record) bool { return old.Inode == r.Inode })
	of = append(of, r)
	p.delivered[r.Source] = slices.Clone(of[max(0, len(of)-deliveredFiles):])
	p.dirty = true
}

// deliveredAt returns the files of a source that were delivered to their ends,
// and last written to at a time.
func (p *Positions) deliveredAt(source string, modified time.Time) (found []record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.delivered[source] {
		if d := modified.Sub(time.Unix(0, r.Modified)).Abs(); d < timeSlack {
			found = append(found, r)
		}
	}
	return found
}

// abandon gives up the lines of a position that wait, but for those on their
// way: they may arrive. It needs mu.
func (p *Positions) abandon(m *mark) {
	if m != nil {
		p.lose(m, m.waiting-m.flying)
		m.counted, m.waiting = 0, m.flying
	}
}

// lose counts lines that cannot be delivered any more. It needs mu.
func (p *Positions) lose(m *mark, lines int64) {
	if lines > 0 {
		p.lost[m.Source] += lines
	}
}

// takeLost returns how many lines of a source that were counted have been lost
// since the last time.
func (p *Positions) takeLost(source string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lost[source]
	delete(p.lost, source)
	return lines
}

// hand notes that lines are on their way and returns their generation.
func (p *Positions) hand(m *mark, c Cursor, lines int) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c == Ship {
		m.flying += int64(lines)
	}
	return m.generation
}

// takeBack notes that lines of a chunk are not on their way after all.
func (p *Positions) takeBack(c *Chunk, lines int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := c.File.mark; c.cursor == Ship && c.generation == m.generation {
		m.flying = max(0, m.flying-int64(lines))
	}
}

// ground takes back what is on its way and has not been committed: nobody will
// commit it any more.
func (p *Positions) ground(m *mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := m.orphaned
	if m.Lost != 0 || !p.keeps(m) { // nor will they be read again
		lost += m.flying
		m.waiting -= m.flying
	}
	p.lose(m, lost)
	m.flying, m.orphaned = 0, 0
}

func (p *Positions) offset(m *mark) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.Offset
}

func (p *Positions) counted(m *mark) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.counted
}

func (p *Positions) setCounted(c *Chunk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := c.File.mark
	if c.generation != m.generation {
		return
	}
	for i := range c.Lines {
		if c.Lines[i].Start >= m.counted {
			m.waiting++
		}
	}
	m.counted = max(m.counted, c.End)
}
