package main

import (
	"testing"

	"github.com/alecthomas/kong"
)

// Each command of the grammar can be run.
func TestRuns(t *testing.T) {
	parser, err := kong.New(&commands{}, variables())
	if err != nil {
		t.Fatal(err)
	}
	leaves := parser.Model.Leaves(true)
	for _, leaf := range leaves {
		if runs(leaf.Target.Addr().Interface()) == nil {
			t.Errorf("corkline %s has no Run that main knows", leaf.Path())
		}
	}
	if len(leaves) == 0 {
		t.Error("there are no commands")
	}
}
