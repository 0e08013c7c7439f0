package local

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const modulePath = "github.com/corkline/corkline"

// CacheDir is the folder in which built binaries are kept between runs:
// $CORKLINE_CACHE, else .cache at the root of Corkline's repository when the
// current directory is in it, else corkline in the user's cache folder. It
// fails when none of them can be named.
func CacheDir() (string, error) {
	if dir := os.Getenv("CORKLINE_CACHE"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("resolve $CORKLINE_CACHE %q: %w", dir, err)
		}
		return abs, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("get the current directory: %w", err)
	}
	if root, ok := repository(wd); ok {
		return filepath.Join(root, ".cache"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("name a cache folder (set $CORKLINE_CACHE): %w", err)
	}
	return filepath.Join(dir, "corkline"), nil
}

// repository looks for Corkline's go.mod in dir and the folders above it, so
// that the tests' own module shares the cache of the repository.
func repository(dir string) (root string, ok bool) {
	for {
		if moduleOf(filepath.Join(dir, "go.mod")) == modulePath {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

// moduleOf is the module that a go.mod names, or "" when it is not readable.
func moduleOf(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "module "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}
