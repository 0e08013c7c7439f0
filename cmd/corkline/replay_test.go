package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/exporter/sink/archive"
	"github.com/corkline/corkline/exporter/source/tail"
)

func TestInstant(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var i instant
		if err := i.UnmarshalText([]byte(text)); err != nil || i.Format(time.RFC3339Nano) != want {
			t.Errorf("%q is %s, %v, want %s", text, i, err, want)
		}
	}
	f("2026-11-21", "2026-11-21T00:00:00Z")
	f("2026-11-21T15:04", "2026-11-21T15:04:00Z")
	f("2026-11-21T15:04:05", "2026-11-21T15:04:05Z")
	f("2026-11-21T15:04:05.123456789+01:00", "2026-11-21T14:04:05.123456789Z")
	for _, text := range []string{"", "yesterday", "21.11.2026", "2026-13-01"} {
		var i instant
		if err := i.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for %s", text, i)
		}
	}
}

func TestPrintPlan(t *testing.T) {
	var out strings.Builder
	printPlan(&out, &archive.Plan{
		ID: "x", Objects: 2, Lines: 30, Skipped: 4, Sources: map[string]int{"b": 10, "a": 20},
		First: time.Unix(0, 0).UTC(), Last: time.Unix(3600, 0).UTC(),
	})
	printCounts(&out, "x", archive.Counts{Pushed: 20, Refused: 6, Skipped: 4, Reasons: map[string]int{"too old": 5, "limit": 1}})
	const want = `replay x: 30 lines in 2 objects, 1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z
  a: 20 lines
  b: 10 lines
  replayed before: 4 lines
pushed 20 lines with the label replay="x", refused again 6, skipped 4 that were replayed before
  refused 1: limit
  refused 5: too old
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The exit code tells whether the ledger balances.
func TestLedger(t *testing.T) {
	f := func(note string, code int, text string) {
		t.Helper()
		dir := t.TempDir()
		p, _, err := tail.OpenPositions(dir)
		if err != nil {
			t.Fatal(err)
		}
		p.Keep(nil, "np", []byte(note))
		if err := errors.Join(p.Sync(), p.Close()); err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, output := range []string{"table", "json"} {
			err = (&ledgerCmd{StateDir: dir, Output: output}).Run()
			var coder kong.ExitCoder
			switch {
			case errors.As(err, &coder):
				got = coder.ExitCode()
			case err != nil:
				got = 1
			}
			if got != code || err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("%s: exit code %d, %v, want %d and %q", note, got, err, code, text)
			}
		}
	}
	f(`{"read":10,"parsed":9,"unparsed":1,"shipped":5,"dead_lettered":2,"dropped":1,"waiting":2}`, 0, "")
	f(`{"read":10,"parsed":9,"unparsed":1,"shipped":5,"dead_lettered":2,"dropped":1,"lost":1,"waiting":1}`, 0, "")
	f(`{"read":10,"parsed":9,"unparsed":1,"shipped":5,"dead_lettered":2,"dropped":1,"waiting":1}`, 0, "") // an older agent's: the missing one was lost
	f(`{"read":10,"parsed":9,"unparsed":1,"shipped":5,"dead_lettered":2,"dropped":1,"lost":0,"waiting":1}`, 1, `the account of source "np" does not balance`)
	f(`{"read":10,"parsed":9,"shipped":10}`, 1, "does not balance")
	f(`{"read":-1,"parsed":-1,"shipped":-1}`, 1, "does not balance")
	f(`{"read":"x"}`, 2, `read the account of source "np"`)
	if err := (&ledgerCmd{StateDir: t.TempDir()}).Run(); err == nil {
		t.Error("an empty folder has a ledger")
	}
}
