// Package rig is what the tests of the built agent share: the binary, agents
// that are started, killed and asked, and questions to Loki.
//
// A package of tests has one TestMain, and one variable for what Main makes:
//
//	var shared *rig.Rig //nolint:gochecknoglobals // TestMain has no other way to hand it to the tests
//
//	func TestMain(m *testing.M) {
//		os.Exit(rig.Main(m, func(ctx context.Context, r *rig.Rig) error {
//			shared = r
//			return nil // or start servers here, and stop them with r.AtEnd
//		}))
//	}
//
// A test then writes a configuration and runs an agent on it:
//
//	a := shared.Agent(t, config) // a file that has "listen: 127.0.0.1:0"
//	a.Start()                    // again after each Kill or Stop
//	a.AtLeast(`corkline_pipeline_lines_read_total{source="words"}`, 2)
//	a.Stop()
//
// Agents of a test are killed at its end, and a test that failed shows what
// they said. Agent.Prefix runs one elsewhere, such as in a network namespace;
// it is asked through loopback all the same, so there it needs to be asked by
// commands of the test's own. A package whose TestMain has other things to do
// calls Binary, and makes agents with (&Rig{Binary: path}).Agent. Nothing here
// knows of single sources.
package rig

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
)

// Rig is what the tests of one process share.
type Rig struct {
	// Dir is removed at the end.
	Dir string
	// Binary is corkline.
	Binary string

	atEnd []func() error
}

// Main builds the binary, sets up what setUp adds, runs the tests, and ends all
// in reverse. It gives the exit code.
func Main(m *testing.M, setUp func(context.Context, *Rig) error) (code int) {
	flag.Parse()
	r := &Rig{}
	code, err := r.run(m, setUp)
	for i := len(r.atEnd) - 1; i >= 0; i-- {
		err = errors.Join(err, r.atEnd[i]())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "around the tests:", err)
		return max(code, 1)
	}
	return code
}

func (r *Rig) run(m *testing.M, setUp func(context.Context, *Rig) error) (code int, err error) {
	// The first run on a machine builds servers.
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Minute)
	defer cancel()
	if r.Dir, err = os.MkdirTemp("", "corkline-tests-"); err != nil {
		return 0, err
	}
	r.AtEnd(func() error { return os.RemoveAll(r.Dir) })
	if r.Binary, err = Binary(ctx, r.Dir); err != nil {
		return 0, err
	}
	if err := setUp(ctx, r); err != nil {
		return 0, fmt.Errorf("set up: %w", err)
	}
	return m.Run(), nil
}

// AtEnd has f called after the tests, before what came earlier.
func (r *Rig) AtEnd(f func() error) { r.atEnd = append(r.atEnd, f) }

// Stack starts S3, Loki, and a Prometheus that scrapes the addresses, until the
// end.
func (r *Rig) Stack(ctx context.Context, scrape ...string) (*local.Stack, error) {
	stack, err := local.Start(ctx, local.Options{Dir: filepath.Join(r.Dir, "stack"), Progress: local.NewProgress(os.Stderr), Scrape: scrape})
	if err == nil {
		r.AtEnd(stack.Stop)
	}
	return stack, err
}

// binary names the one that is tested, which make integration builds for all
// packages: linking it takes seconds.
const binary = "CORKLINE_BINARY"

// Binary is corkline, the one that the environment names, or built from this
// tree into a folder.
func Binary(ctx context.Context, dir string) (path string, err error) {
	if path = os.Getenv(binary); path != "" {
		return path, nil
	}
	path = filepath.Join(dir, "corkline")
	return path, Build(ctx, Root(), path)
}

// Build makes a static binary of the tree with the root.
func Build(ctx context.Context, root, binary string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/corkline")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build corkline: %w\n%s", err, out)
	}
	return nil
}

// Root is the folder of the tree.
func Root() string {
	_, file, _, _ := runtime.Caller(0) // of this file, always known
	return filepath.Join(filepath.Dir(file), "..", "..")
}
