package tail

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Remove deletes a file whose owner will not write to it again, nor use its
// path for another. It fails unless all that the file holds has been delivered.
// Whenever a crash comes, nothing is repeated, and no file is missed afterwards.
func (t *Tailer) Remove(path string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.files, func(f *File) bool { return f.path == path })
	if i < 0 {
		return fmt.Errorf("remove %q: it is not open", path)
	}
	f := t.files[i]
	if err := t.lookAgain(f); err != nil {
		return err
	}
	if !f.finished() {
		return fmt.Errorf("remove %q: it has not been delivered to its end", path)
	}
	t.positions.finish(f.mark, f.modified)
	if err := t.positions.Sync(); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	t.positions.drop(f.mark) // its name never comes again
	return t.unfollow(f)
}
