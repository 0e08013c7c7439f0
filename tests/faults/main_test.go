// Package faults puts the built agent through everything that a node, a disk,
// a network and a Loki may do to it, and counts what is lost.
package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/corkline/corkline/deploy/local"
)

var (
	// stack and report are what all rows share; TestMain has no other way to
	// hand them over.
	stack struct { //nolint:gochecknoglobals // see above
		*local.Stack
		binary string
	}
	report  table                                                                                                   //nolint:gochecknoglobals // see above
	long    = flag.Bool("long", false, "the long form of each fault, which takes about an hour")                    //nolint:gochecknoglobals // a flag
	publish = flag.String("publish", "", "file into which the table is written, between its two comments of a run") //nolint:gochecknoglobals // a flag
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Hour)
	defer cancel()
	dir, err := os.MkdirTemp("", "corkline-faults-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	stack.binary = filepath.Join(dir, "corkline")
	build := exec.CommandContext(ctx, "go", "build", "-o", stack.binary, "./cmd/corkline")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build corkline: %w\n%s", err, out)
	}
	if stack.Stack, err = local.Start(ctx, local.Options{Dir: filepath.Join(dir, "stack"), Progress: local.NewProgress(os.Stderr)}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	code = m.Run()
	if err := report.print(os.Stdout); err != nil {
		return code, err
	}
	if *publish != "" {
		return code, report.publish(*publish)
	}
	return code, nil
}
