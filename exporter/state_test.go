package exporter

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/exporter/exportertest"
	"github.com/corkline/corkline/exporter/source/tail"
)

// testdata/state-1 is what an agent of commit 9349cf2 left when it was stopped
// while Loki was away: 23 lines of w.log are delivered, two of them to the
// archive, 6 wait there, and 3 in the spool of the source lb. Folder and inodes
// of its positions are made those of the test.
func TestAgent_StateOfOlderAgent(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.keys += "  - {name: lb, definition: words, syslog: {tcp: '127.0.0.1:0'}}\n"
	if err := os.CopyFS(b.dir, os.DirFS("testdata/state-1")); err != nil {
		t.Fatal(err)
	}
	settle(t, b.path("state/positions"), b.dir)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	want := append(append(numbered("b", 5), "why?"), numbered("c", 3)...)
	b.arrived(want...)
	if n := loki.taken(); n != len(want) {
		t.Errorf("%d lines were sent, %d of them again", n, n-len(want))
	}
	if dead := b.archived("words"); len(dead) != 2 || dead[0]["line"] != "forbidden 1" || dead[1]["line"] != "forbidden 2" {
		t.Errorf("the archive has %v", dead)
	}
	accounts, damaged, err := ReadLedger(b.path("state"))
	if err != nil || len(damaged) > 0 || len(accounts) != 2 {
		t.Fatal(accounts, damaged, err)
	}
	for i, want := range []Account{{Source: "lb", Read: 3, Parsed: 3, Shipped: 3}, {Source: "words", Read: 29, Parsed: 27, Unparsed: 2, Shipped: 27, DeadLettered: 2}} {
		got := accounts[i]
		if got.Source == "words" && got.Since.Format(time.RFC3339) != "2026-11-21T19:16:55Z" {
			t.Errorf("the account begins anew, at %s", got.Since)
		}
		got.Since, got.Written = want.Since, want.Written
		if diff := cmp.Diff(want, got); diff != "" || !got.Balances() {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// settle makes a file of positions that of the files in a folder.
func settle(t *testing.T, positions, dir string) {
	t.Helper()
	text := []byte{}
	for line := range strings.Lines(readFile(t, positions)) {
		if _, body, isRecord := strings.Cut(strings.TrimSuffix(line, "\n"), ` {"source":`); isRecord {
			body = strings.ReplaceAll(`{"source":`+body, "DIR", dir)
			var info syscall.Stat_t
			if err := syscall.Stat(regexp.MustCompile(`"path":"([^"]*)"`).FindStringSubmatch(body)[1], &info); err != nil {
				t.Fatal(err)
			}
			body = regexp.MustCompile(`"dev":\d+,"inode":\d+`).ReplaceAllString(body, fmt.Sprintf(`"dev":%d,"inode":%d`, info.Dev, info.Ino))
			line = fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)), body)
		}
		text = append(text, line...)
	}
	if bytes.Contains(text, []byte(`"DIR`)) {
		t.Fatalf("positions of no file are left:\n%s", text)
	}
	writeFile(t, positions, string(text))
}

// The agent tells which positions it forgets.
func TestAgent_ForgetsUnusedSources(t *testing.T) {
	b := newBench(t, nil)
	words := b.keys
	b.append("w.log", "a 1")
	b.append("n.log", "b 1")
	f := func(at time.Duration, keys string, forgotten bool) {
		t.Helper()
		b.keys = keys
		b.log = &exportertest.Log{}
		b.make(true)
		b.agent.now = func() time.Time { return time.Now().Add(at) }
		if err := b.agent.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(b.log.String(), `forget the positions of a source that is not configured any more" source=words files=1`); said != forgotten {
			t.Errorf("after %s: %v\n%s", at, said, b.log)
		}
	}
	other := "sources:\n" + b.source("other", "words", "n.log")
	f(0, words, false)
	f(time.Hour, other, false)
	f(tail.UnusedTime, other, false)
	f(tail.UnusedTime+2*time.Hour, other, true)
	f(tail.UnusedTime+3*time.Hour, other, false)
	if accounts, _, err := ReadLedger(b.path("state")); err != nil || len(accounts) != 2 {
		t.Errorf("the ledger has %v, %v", accounts, err)
	}
}
