package provisioner

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestUnified(t *testing.T) {
	const old, now = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n", "a\nB\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\n"
	const want = `--- live
+++ ours
@@ -1,5 +1,5 @@
 a
-b
+B
 c
 d
 e
@@ -10,3 +10,4 @@
 j
 k
 l
+m
`
	if diff := cmp.Diff(want, unified("live", old, "ours", now)); diff != "" {
		t.Errorf("difference (-want +got):\n%s", diff)
	}
	if got := unified("live", old, "ours", old); got != "" {
		t.Errorf("equal texts differ:\n%s", got)
	}
}

// The marks rebuild both texts, and a script is no longer than diff's.
func TestCompareLines(t *testing.T) {
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		a, b := words.Draw(t, "a"), words.Draw(t, "b")
		var old, now []string
		changes := 0
		for _, e := range compareLines(a, b) {
			if e.olds != len(old) || e.news != len(now) {
				t.Fatalf("edit %+v after %d and %d lines", e, len(old), len(now))
			}
			if e.mark != '+' {
				old = append(old, e.text)
			}
			if e.mark != '-' {
				now = append(now, e.text)
			}
			if e.mark != ' ' {
				changes++
			}
		}
		if strings.Join(old, "") != strings.Join(a, "") || strings.Join(now, "") != strings.Join(b, "") {
			t.Fatalf("edits lead from %q to %q, want from %q to %q", old, now, a, b)
		}
		if shortest := len(a) + len(b) - 2*common(a, b); changes != shortest {
			t.Fatalf("%d edits, and %d are enough", changes, shortest)
		}
	})
}

// common is the length of the longest common subsequence, the slow way.
func common(a, b []string) int {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	best := make([][]int, len(a)+1)
	best[0] = make([]int, len(b)+1)
	for i := range a {
		best[i+1] = make([]int, len(b)+1)
		for j := range b {
			if a[i] == b[j] {
				best[i+1][j+1] = best[i][j] + 1
			} else {
				best[i+1][j+1] = max(best[i][j+1], best[i+1][j])
			}
		}
	}
	return best[len(a)][len(b)]
}

// patch takes what we write.
func TestUnifiedIsAPatch(t *testing.T) {
	patch, err := exec.LookPath("git")
	if err != nil {
		t.Fatal("git is needed:", err)
	}
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "{", "}", ""}), 0, 40)
	// git wants /dev/null for no file.
	some := rapid.Map(lines, text).Filter(func(text string) bool { return text != "" })
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		old := some.Draw(t, "old")
		now := some.Filter(func(text string) bool { return text != old }).Draw(t, "now")
		file, diff := filepath.Join(dir, "f"), filepath.Join(dir, "diff")
		for name, text := range map[string]string{file: old, diff: unified("a/f", old, "b/f", now)} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		command := exec.Command(patch, "apply", "diff") //nolint:noctx // rapid has no context, and git ends
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("git apply: %v: %s", err, out)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != now {
			t.Fatalf("patched to %q (%v), want %q", got, err, now)
		}
	})
}

func text(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
