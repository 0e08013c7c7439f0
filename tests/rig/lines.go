package rig

import (
	"testing"

	"github.com/corkline/corkline/samples/simulation"
)

// Lines of a log.
func Lines(t testing.TB, log simulation.Log) *simulation.Generator {
	t.Helper()
	g, err := simulation.NewGenerator(log)
	if err != nil {
		t.Fatal(err)
	}
	return g
}
