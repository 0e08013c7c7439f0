// Package faults puts the built agent through everything that a node, a disk,
// a network and a Loki may do to it, and counts what is lost.
package faults

import (
	"context"
	"errors"
	"flag"
	"os"
	"testing"

	"github.com/corkline/corkline/deploy/local"
	"github.com/corkline/corkline/tests/rig"
)

var (
	// stack and report are what all rows share; TestMain has no other way to
	// hand them over.
	stack struct { //nolint:gochecknoglobals // see above
		*local.Stack
		*rig.Rig
	}
	report  table                                                                                                   //nolint:gochecknoglobals // see above
	long    = flag.Bool("long", false, "the long form of each fault, which takes about two hours")                  //nolint:gochecknoglobals // a flag
	publish = flag.String("publish", "", "file into which the table is written, between its two comments of a run") //nolint:gochecknoglobals // a flag
)

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, func(ctx context.Context, r *rig.Rig) (err error) {
		stack.Rig = r
		r.AtEnd(tell)
		stack.Stack, err = r.Stack(ctx)
		return err
	}))
}

func tell() (err error) {
	if *publish != "" {
		err = report.publish(*publish)
	}
	return errors.Join(report.print(os.Stdout), err)
}
