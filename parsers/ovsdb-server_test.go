package parsers_test

import (
	"testing"

	"pgregory.net/rapid"
)

func TestOVSDBServer(t *testing.T) {
	read := reading(t, "ovsdb-server")
	rapid.Check(t, func(t *rapid.T) { readVlog(t, read) })
}
