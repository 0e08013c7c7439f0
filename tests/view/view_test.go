// Package view looks at the boards in a headless Chromium, on the quickstart's
// real Prometheus and Loki.
package view

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/corkline/corkline/tests/rig"
)

const limit = 15 * time.Minute // on a busy machine; a quiet one takes two

// TestBoards starts corkline quickstart, and corkline view with a board of all
// features beside it, and lets browser.mjs look at them. Screenshots go to
// $CORKLINE_SCREENSHOTS.
func TestBoards(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	chromium := findChromium(ctx, t)
	install(ctx, t, ".")
	dir := t.TempDir()
	binary, err := rig.Binary(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	page := start(ctx, t, binary, "quickstart", "--dir", dir)
	found := page.await(ctx, t, `(?s)boards +(http://\S+)/\?.*agent +(http://\S+)/.*Loki +(http://\S+).*Prometheus +(http://\S+).*Ctrl-C stops everything`)
	c := &cluster{rig.Rig{Binary: binary}, dir, found[3], found[4]}
	c.grow(t)
	features := start(ctx, t, binary, "view", "--listen=127.0.0.1:0", "--dashboards=testdata", "--loki="+found[3], "--prometheus="+found[4])
	board := features.await(ctx, t, `1 boards: (http://\S+)/ `)

	look := exec.CommandContext(ctx, "node", "browser.mjs", found[1], found[2], board[1], os.Getenv("CORKLINE_SCREENSHOTS"))
	look.Env = append(os.Environ(), "CHROMIUM="+chromium)
	var faults bytes.Buffer
	look.Stdout, look.Stderr = &faults, t.Output()
	if err := look.Run(); err != nil {
		t.Errorf("the boards are not right: %v\n%s", err, faults.String())
	}
}

// findChromium gives the browser's binary, installed now if need be.
func findChromium(ctx context.Context, t *testing.T) string {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		t.Fatalf("this test looks at the boards in a browser: put one of %v on PATH, or run it as root where there is apt-get", names)
	}
	command(ctx, t, ".", "apt-get", "update", "-q")
	command(ctx, t, ".", "apt-get", "install", "-qy", "--no-install-recommends", "chromium")
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("apt-get has installed no Chromium: %v", err)
	}
	return path
}

// install has the npm packages of a folder, as its lock file says.
func install(ctx context.Context, t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("this test needs %s on PATH (Node.js 20 or later): %v", name, err)
		}
	}
	want, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(dir, "node_modules", ".corkline-lock.json")
	if have, err := os.ReadFile(mark); err == nil && bytes.Equal(have, want) {
		return
	}
	command(ctx, t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	if err := os.WriteFile(mark, want, 0o600); err != nil {
		t.Fatal(err)
	}
}

// command runs a command to its end, and gives what it says.
func command(ctx context.Context, t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

// process is a corkline that runs until the test ends.
type process struct {
	name  string
	lines chan string
}

func start(ctx context.Context, t *testing.T, binary string, args ...string) *process {
	t.Helper()
	// The test's end stops it, with one signal: a second one would abort it.
	c := exec.CommandContext(context.WithoutCancel(ctx), binary, args...)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = in, in
	if err := errors.Join(c.Start(), in.Close()); err != nil {
		t.Fatal(err)
	}
	p := &process{name: args[0], lines: make(chan string, 1000)}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			select {
			case p.lines <- scanner.Text():
			default: // nobody reads any more
			}
		}
	}()
	t.Cleanup(func() {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("corkline %s: %v", p.name, err)
		}
		for range p.lines { // until all is read
		}
		out.Close()
	})
	return p
}

// await reads until what was said has the form of an expression, and gives its
// groups.
func (p *process) await(ctx context.Context, t *testing.T, expr string) []string {
	t.Helper()
	form := regexp.MustCompile(expr)
	var said strings.Builder
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("corkline %s is not up in time:\n%s", p.name, said.String())
		case line, more := <-p.lines:
			if !more {
				t.Fatalf("corkline %s ended before it was up:\n%s", p.name, said.String())
			}
			said.WriteString(line + "\n")
			if m := form.FindStringSubmatch(said.String()); m != nil {
				return m
			}
		}
	}
}
