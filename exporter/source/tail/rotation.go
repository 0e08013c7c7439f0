package tail

import (
	"cmp"
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
// that were written to since.
func siblings(path string, known []identity, since time.Time) ([]sighting, error) {
	path = resolve(path)
	listed, err := list(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	base, newest := filepath.Base(path), ""
	var rotated []sighting
	for _, s := range listed {
		stamp, ok := rotation(base, filepath.Base(s.path))
		switch {
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
	slices.SortFunc(rotated, byRotation(base))
	return rotated, nil
}

// list returns the regular files in a folder.
func list(dir string) ([]sighting, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", dir, err)
	}
	var listed []sighting
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue // it went since the listing
		}
		listed = append(listed, sighting{filepath.Join(dir, entry.Name()), info, identify(info)})
	}
	return listed, nil
}

// rotation returns the part of name that tells when it was rotated away from
// base, if it was:
//
//	np.log.1, np.log-20261121          logrotate
//	0.log.20261121-100000              kubelet
//	np-2026-11-21T10-00-00.000.log     lumberjack
func rotation(base, name string) (stamp string, ok bool) {
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

// byAge orders files of any logs, the oldest first. Names decide between files
// that were written to in the same instant.
func byAge(a, b sighting) int {
	if c := a.info.ModTime().Compare(b.info.ModTime()); c != 0 {
		return c
	}
	base := filepath.Base(a.path)
	if ext := filepath.Ext(base); len(ext) > 1 && strings.Trim(ext[1:], "0123456789") == "" {
		base = strings.TrimSuffix(base, ext) // np.log.1 was np.log
	}
	return byRotation(base)(a, b)
}

func isCompressed(path string) bool {
	switch filepath.Ext(path) {
	case ".gz", ".bz2", ".xz", ".zst":
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
