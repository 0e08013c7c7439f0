package parsers_test

import (
	"testing"

	"pgregory.net/rapid"
)

func TestAntreaController(t *testing.T) {
	read := reading(t, "antrea-controller")
	rapid.Check(t, func(t *rapid.T) { readKlog(t, read) })
}
