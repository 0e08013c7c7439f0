package view

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestBundleIsOfItsSources holds the sources of the page and its bundle to the
// sums that the last build wrote. That a build gives these bytes is proven by
// make web-check, which takes npm.
func TestBundleIsOfItsSources(t *testing.T) {
	var sums []string // as sha256sum writes them
	for _, dir := range []string{"web", "bundle"} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				if entry != nil && entry.Name() == "node_modules" {
					return fs.SkipDir
				}
				return err
			}
			content, err := os.ReadFile(path)
			sums = append(sums, fmt.Sprintf("%x  %s", sha256.Sum256(content), filepath.ToSlash(path)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile("bundle.sha256")
	if err != nil {
		t.Fatal(err)
	}
	built := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, sum := range sums {
		if !slices.Contains(built, sum) {
			t.Errorf("%s is new or changed since the page was built; run make generate-web", sum[66:])
		}
	}
	for _, sum := range built {
		if len(sum) < 66 || !slices.ContainsFunc(sums, func(s string) bool { return s[66:] == sum[66:] }) {
			t.Errorf("bundle.sha256 has %q, of no file; run make generate-web", sum)
		}
	}
}
