package tail

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// A rotation that goes on while a folder is listed hides no file. The size of
// each tells when it came.
func TestList_WhileRotating(t *testing.T) {
	const depth, looks = 10, 2000
	dir, gone := t.TempDir(), t.TempDir()
	name := func(i int) string { return filepath.Join(dir, "np.log."+strconv.Itoa(i)) }
	rotate := func(newest int) error {
		// What leaves the folder keeps its inode: with the same inodes at the same
		// names again, after as many rotations as there are files, two listings that
		// took that long would agree.
		if err := os.Rename(name(depth), filepath.Join(gone, strconv.Itoa(newest))); err != nil && newest > depth+1 {
			return err
		}
		for i := depth; i > 0; i-- {
			if err := os.Rename(name(i-1), name(i)); err != nil && newest > depth {
				return err
			}
		}
		return errors.Join(os.WriteFile(name(0)+".new", make([]byte, newest), 0o600), os.Rename(name(0)+".new", name(0)))
	}
	quit, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for newest := 1; ; newest++ {
			if err := rotate(newest); err != nil {
				ended <- err
				return
			}
			select {
			case <-quit:
				ended <- nil
				return
			case <-ticker.C:
			}
		}
	}()
	whole := 0
	for range looks {
		listed, err := list(dir)
		if err != nil {
			continue // the next look finds it
		}
		var sizes []int64
		for _, s := range listed {
			sizes = append(sizes, s.info.Size())
		}
		slices.Sort(sizes)
		sizes = slices.DeleteFunc(sizes, func(size int64) bool { return size == 0 }) // a new one that is not written yet
		if n := len(sizes); n > 0 {
			whole++
			if sizes[n-1]-sizes[0] != int64(n-1) {
				t.Errorf("some are hidden: %d", sizes)
				break
			}
		}
	}
	close(quit)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if whole == 0 {
		t.Error("no listing was whole")
	}
}

// A rotation between the listing of a file and its opening leaves none out, also
// if the agent ends right then.
func TestAdd_WhileRotating(t *testing.T) {
	f := func(restart bool) {
		t.Helper()
		b := newBench(t, "np.log")
		b.append("np.log", "w\n")
		b.scan()
		b.fill(Ship, "w")
		b.commit()
		b.rename("np.log", "np.log.2")
		b.append("np.log.1", "x\n")
		listed, err := sight(b.path("np.log.1"))
		b.do(err)
		b.rename("np.log.2", "np.log.3")
		b.rename("np.log.1", "np.log.2")
		b.append("np.log.1", "y\n")
		b.append("np.log", "z\n")
		if faults := b.tailer.addRotated([]sighting{listed}, b.path("np.log"), b.path("np.log"), nil); len(faults) > 0 {
			t.Error(faults)
		}
		if restart {
			b.do(b.positions.Sync())
			b.stop()
			b.start()
		}
		b.scan()
		b.fill(Ship, "x", "y", "z")
	}
	f(false)
	f(true)
}
