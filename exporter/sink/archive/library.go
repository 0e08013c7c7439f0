package archive

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Selection of lines.
type Selection struct {
	From, To time.Time // the second is not in it
	Sources  []string  // none for all
}

func (s *Selection) has(source string) bool {
	return len(s.Sources) == 0 || slices.Contains(s.Sources, source)
}

func (s *Selection) overlaps(m *Manifest) bool {
	return m.Lines > 0 && m.Last >= s.From.UnixNano() && m.First < s.To.UnixNano() && s.has(m.Source)
}

func (s *Selection) covers(m *Manifest) bool {
	return m.First >= s.From.UnixNano() && m.Last < s.To.UnixNano()
}

// Library is what can be replayed, and where the progress of replays is kept.
type Library struct {
	store Store             // or
	dir   string            // the folder of an archive
	lock  *os.File          // of the folder; nil when an agent has it
	paths map[string]string // of the folder's segments, by the keys that they would have
	// damaged are objects that were left out of the manifests.
	damaged []error
	// Open counts segments that are left out, since an agent still writes them.
	Open int
}

// NewLibrary of the objects in a store.
func NewLibrary(s Store) *Library { return &Library{store: s} }

// OpenFolder gives the library of the segments in an archive's folder. When no
// agent uses it, open segments are closed and belong to it.
func OpenFolder(dir string) (*Library, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	l := &Library{dir: dir, paths: map[string]string{}}
	lock, err := lockFolder(dir)
	if err != nil && !errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("open the archive in %q: %w", dir, err)
	}
	l.lock = lock
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if source, _, suffix := parsePath(dir, path); err != nil || d.IsDir() || source == "" || suffix != openSuffix {
			return err
		}
		if lock == nil {
			l.Open++
			return nil
		}
		return os.Rename(path, strings.TrimSuffix(path, openSuffix)+closedSuffix)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the archive in %q: %w", dir, err), l.Close())
	}
	return l, nil
}

// Close releases the folder.
func (l *Library) Close() error {
	if l.lock == nil {
		return nil
	}
	return l.lock.Close()
}

// manifests of what overlaps the selection, by source, then by time.
func (l *Library) manifests(ctx context.Context, s Selection) ([]Manifest, error) {
	read := l.storedManifests
	if l.store == nil {
		read = l.folderManifests
	}
	all, err := read(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("list the archive: %w", err)
	}
	all = slices.DeleteFunc(all, func(m Manifest) bool { return !s.overlaps(&m) })
	slices.SortFunc(all, func(a, b Manifest) int {
		return cmp.Or(cmp.Compare(groupKey(&a), groupKey(&b)), cmp.Compare(a.First, b.First), cmp.Compare(a.Object, b.Object))
	})
	return all, nil
}

// readers of manifests at the same time.
const readers = 16

func (l *Library) storedManifests(ctx context.Context, s Selection) ([]Manifest, error) {
	var keys []string
	for key, err := range l.store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		parts := strings.Split(key, "/")
		first, ok := firstOf(key)
		if !ok || !first.Before(s.To) || !strings.HasSuffix(key, manifestSuffix) || len(parts) < 3 {
			continue
		}
		if len(s.Sources) == 0 || slices.ContainsFunc(s.Sources, func(name string) bool { return keyPart(name) == parts[2] }) {
			keys = append(keys, key)
		}
	}
	all := make([]Manifest, len(keys))
	errs := make([]error, len(keys))
	var wait sync.WaitGroup
	for worker := range min(readers, len(keys)) {
		wait.Go(func() {
			for i := worker; i < len(keys); i += readers {
				all[i], errs[i] = l.manifest(ctx, keys[i])
			}
		})
	}
	wait.Wait()
	for i := len(errs) - 1; i >= 0; i-- {
		if damaged := new(damagedError); errors.As(errs[i], &damaged) {
			l.damaged = append(l.damaged, errs[i])
			all, errs = slices.Delete(all, i, i+1), slices.Delete(errs, i, i+1)
		}
	}
	return all, errors.Join(errs...)
}

func (l *Library) manifest(ctx context.Context, key string) (m Manifest, err error) {
	text, err := l.get(ctx, key)
	if err != nil {
		return m, err
	}
	if m, err = decodeManifest(key, text); err != nil {
		return l.rebuild(ctx, key)
	}
	if m.Version > manifestVersion {
		return m, fmt.Errorf("manifest %s has version %d, newer than %d: use a newer corkline", key, m.Version, manifestVersion)
	}
	return m, nil
}

// rebuild a damaged manifest from its object.
func (l *Library) rebuild(ctx context.Context, key string) (m Manifest, err error) {
	m.Object = strings.TrimSuffix(key, manifestSuffix) + objectSuffix
	content, err := l.content(ctx, &m)
	if err != nil {
		return m, err
	}
	parts := strings.Split(key, "/") // three at least
	s, err := seal(content, nameOf(parts[0]), nameOf(parts[1]), nameOf(parts[2]))
	if err == nil && (s.wounds > 0 || s.manifest.Object != m.Object) {
		err = errors.New("it is not what its name says")
	}
	if err != nil {
		return m, &damagedError{fmt.Errorf("read %s: %w", m.Object, err)}
	}
	return s.manifest, nil
}

func (l *Library) folderManifests(ctx context.Context, s Selection) (all []Manifest, err error) {
	err = filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		source, _, suffix := parsePath(l.dir, path)
		if err != nil || d.IsDir() || suffix != closedSuffix || !s.has(source) {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // was uploaded meanwhile
		}
		if err != nil {
			return err
		}
		sealed, err := seal(text, "", "", source)
		if err != nil {
			return fmt.Errorf("read %q: %w", path, err)
		}
		if sealed.wounds > 0 {
			l.damaged = append(l.damaged, fmt.Errorf("read %q: %d of its records are damaged", path, sealed.wounds))
		}
		l.paths[sealed.manifest.Object] = path
		all = append(all, sealed.manifest)
		return ctx.Err()
	})
	return all, err
}

// entries of an object in the selection, in the order of their times.
func (l *Library) entries(ctx context.Context, m *Manifest, s Selection) ([]Entry, error) {
	content, err := l.content(ctx, m)
	if err != nil {
		return nil, err
	}
	var all []Entry
	var failure error
	wounds := 0
	whole := scan(content, func(line []byte) {
		e, err := decodeRecord(line)
		if err != nil {
			failure = err
		}
		if e.Time >= s.From.UnixNano() && e.Time < s.To.UnixNano() {
			all = append(all, e)
		}
	}, func([]byte) { wounds++ })
	if failure == nil && (wounds > 0 || whole < len(content)) {
		failure = errors.New("it has damaged records")
	}
	if failure != nil {
		return nil, &damagedError{fmt.Errorf("read %s: %w", m.Object, failure)}
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return cmp.Compare(a.Time, b.Time) })
	return all, nil
}

func (l *Library) content(ctx context.Context, m *Manifest) ([]byte, error) {
	if l.store != nil {
		object, err := l.get(ctx, m.Object)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &damagedError{err}
		}
		if err != nil {
			return nil, err
		}
		return unpack(object, m)
	}
	text, err := os.ReadFile(l.paths[m.Object])
	if err != nil {
		return nil, err
	}
	sealed, err := seal(text, "", "", m.Source)
	if err == nil && sealed.manifest.SHA256 != m.SHA256 {
		err = errors.New("it has changed meanwhile")
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", l.paths[m.Object], err)
	}
	return sealed.content, nil
}

// groupKey is the beginning of the keys of a cluster's, node's and source's objects.
func groupKey(m *Manifest) string {
	return strings.Join([]string{keyPart(m.Cluster), keyPart(m.Node), keyPart(m.Source)}, "/")
}

// stateKey is where a replay keeps its progress in a group.
func (l *Library) stateKey(m *Manifest, id string) string {
	if l.store != nil {
		return groupKey(m) + "/replay-" + id + ".json"
	}
	return filepath.Join(l.dir, m.Source, "replay-"+id+".json")
}

// loadState reads what saveState wrote; false when there is nothing.
func (l *Library) loadState(ctx context.Context, key string, into any) (bool, error) {
	var text []byte
	var err error
	if l.store != nil {
		text, err = l.get(ctx, key)
	} else {
		text, err = os.ReadFile(key)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the progress: %w", err)
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	if err = checkRecord(text); err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read the progress in %s: %w; remove it and start with another --id, which repeats lines under that", key, err)
	}
	return true, nil
}

// saveState keeps a value, which is encoded as a JSON object.
func (l *Library) saveState(ctx context.Context, key string, value any) error {
	body, err := json.Marshal(value)
	if err == nil {
		text := fmt.Appendf(nil, "%s%08x\",%s\n", recordStart, checksum(body[1:]), body[1:])
		if l.store != nil {
			err = persist(ctx, func() error { return l.store.Put(ctx, key, text) })
		} else {
			err = replaceFile(key, text)
		}
	}
	if err != nil {
		return fmt.Errorf("save the progress: %w", err)
	}
	return nil
}

func (l *Library) get(ctx context.Context, key string) (content []byte, err error) {
	err = persist(ctx, func() error {
		content, err = l.store.Get(ctx, key)
		return err
	})
	return content, err
}

// tries of one request to the store, and the pause after the first, which doubles.
const (
	tries    = 6
	tryAgain = 250 * time.Millisecond
)

func persist(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || errors.Is(err, fs.ErrNotExist) || n == tries-1 || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(tryAgain << n)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}
