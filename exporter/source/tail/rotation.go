package tail

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// siblings returns, oldest first, the files that were rotated away from path
// after those in known. If none of known is there any more, it returns those
// that were written to since. What is at path itself comes last, if asked for: in
// the same listing, so that no rotation in between puts it before another.
func siblings(path string, known []identity, since time.Time, itself bool) ([]sighting, error) {
	path = resolve(path)
	listed, err := list(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	base, newest := filepath.Base(path), ""
	var rotated, last []sighting
	for _, s := range listed {
		stamp, ok := rotation(base, filepath.Base(s.path))
		switch {
		case itself && s.path == path && !slices.Contains(known, s.id):
			last = append(last, s)
		case !ok:
		case !slices.Contains(known, s.id):
			rotated = append(rotated, s)
		case newest == "" || byStamp(stamp, newest) > 0:
			newest = stamp
		}
	}
	rotated = slices.DeleteFunc(rotated, func(s sighting) bool {
		if newest == "" {
			return s.info.ModTime().Before(since)
		}
		stamp, _ := rotation(base, filepath.Base(s.path))
		return byStamp(stamp, newest) <= 0
	})
	slices.SortFunc(rotated, func(a, b sighting) int {
		return cmp.Or(byRotation(base)(a, b), strings.Compare(a.path, b.path))
	})
	// While a file is being packed it is there twice.
	rotated = slices.CompactFunc(rotated, func(packed, plain sighting) bool { return packed.path == plain.path+packedExt })
	return append(rotated, last...), nil
}

// listings is how often a folder is listed until two listings agree.
const listings = 10

// errChanging marks a folder that another Scan may find at rest.
var errChanging = errors.New("it changes all the time")

// list returns the regular files in a folder. Names and what they lead to are
// read one after the other, and a rotation in between would hide a file. So a
// folder is listed until it was the same twice; one that never is, is a fault.
func list(dir string) ([]sighting, error) {
	var before []sighting
	settled := false // before is whole
	for range listings {
		listed, whole, err := listOnce(dir)
		if err != nil {
			return nil, err
		}
		if settled && whole && slices.EqualFunc(before, listed, func(a, b sighting) bool { return a.path == b.path && a.id == b.id }) {
			return listed, nil
		}
		before, settled = listed, whole
	}
	return nil, fmt.Errorf("list %q: %w", dir, errChanging)
}

// listOnce lists a folder; not as a whole if a name was gone when it was looked
// at.
func listOnce(dir string) (listed []sighting, whole bool, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, false, fmt.Errorf("list %q: %w", dir, err)
	}
	whole = true
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			whole = false
			continue
		}
		listed = append(listed, sighting{filepath.Join(dir, entry.Name()), info, identify(info)})
	}
	return listed, whole, nil
}

// rotation returns the part of name that tells when it was rotated away from
// base, if it was:
//
//	np.log.1, np.log-20261121          logrotate
//	0.log.20261121-100000              kubelet
//	np-2026-11-21T10-00-00.000.log     lumberjack
//
// Any of them may be packed.
func rotation(base, name string) (stamp string, ok bool) {
	name = strings.TrimSuffix(name, packedExt)
	rest, ok := strings.CutPrefix(name, base)
	if !ok {
		ext := filepath.Ext(base)
		if rest, ok = strings.CutPrefix(name, strings.TrimSuffix(base, ext)); ok {
			rest, ok = strings.CutSuffix(rest, ext)
		}
	}
	if !ok || len(rest) < 2 || rest[0] != '.' && rest[0] != '-' || rest[1] < '0' || rest[1] > '9' {
		return "", false
	}
	stamp = rest[1:]
	return stamp, strings.Trim(stamp, "0123456789-.:_TZ") == ""
}

// byStamp orders what rotation returns, the oldest first.
func byStamp(a, b string) int {
	m, errA := strconv.ParseUint(a, 10, 8)
	n, errB := strconv.ParseUint(b, 10, 8)
	if errA == nil && errB == nil {
		return cmp.Compare(n, m) // a number grows with each rotation
	}
	return strings.Compare(a, b)
}

// byRotation orders paths that were rotated away from base, the oldest first.
// What was not comes last.
func byRotation(base string) func(a, b sighting) int {
	return func(a, b sighting) int {
		stampA, okA := rotation(base, filepath.Base(a.path))
		stampB, okB := rotation(base, filepath.Base(b.path))
		switch {
		case okA && okB:
			return byStamp(stampA, stampB)
		case okA:
			return -1
		case okB:
			return 1
		}
		return 0
	}
}

// stem returns what a file was called before its rotation, which may be name
// itself.
func stem(name string) string {
	name = strings.TrimSuffix(name, packedExt)
	for _, ext := range []string{"", filepath.Ext(name)} {
		whole := strings.TrimSuffix(name, ext)
		for i := 1; i < len(whole); i++ {
			if whole[i] != '.' && whole[i] != '-' {
				continue
			}
			base := whole[:i] + ext
			// A short number counts only where logrotate puts it.
			if stamp, ok := rotation(base, name); ok && (len(stamp) >= len("20261121") || ext == "" && whole[i] == '.' && len(stamp) <= 3) {
				return base
			}
		}
	}
	return name
}

// unrotated returns what a path was before its rotation, which may be itself.
func unrotated(path string) string {
	return filepath.Join(filepath.Dir(path), stem(filepath.Base(path)))
}

// related reports whether path is a name that the rotation of target may give,
// or the rotation of what target itself was called before.
func related(target, path string) bool {
	if filepath.Dir(target) != filepath.Dir(path) {
		return false
	}
	base, name := filepath.Base(target), filepath.Base(path)
	if _, ok := rotation(base, name); ok || name == base+packedExt {
		return true
	}
	_, ok := rotation(stem(base), name)
	return ok && isPacked(name)
}

// byAge orders files of any logs, the oldest first. Names decide between files
// that were written to in the same instant.
func byAge(a, b sighting) int {
	if c := a.info.ModTime().Compare(b.info.ModTime()); c != 0 {
		return c
	}
	return byRotation(stem(filepath.Base(a.path)))(a, b)
}

// packedExt is what compressed files that can be read are called.
const packedExt = ".gz"

func isPacked(path string) bool { return strings.HasSuffix(path, packedExt) }

// isCompressed reports whether a file is compressed by its name, or is about to
// be: kubelet writes to that with another suffix before it renames it.
func isCompressed(path string) bool {
	switch filepath.Ext(strings.TrimSuffix(path, ".tmp")) {
	case packedExt, ".bz2", ".xz", ".zst":
		return true
	}
	return false
}

// resolve follows the links to where rotation takes place.
func resolve(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}
