package exporter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// outage starts an agent whose Loki is away, and lets it count more lines than
// it has on their way.
func outage(t *testing.T) (b *bench, lines []string) {
	t.Helper()
	loki := newReceiver(t)
	loki.answer(503)
	b = newBench(t, loki)
	b.append("w.log", numbered("a", 1)...)
	b.start()
	for _, word := range strings.Fields("a b c d e f g h i j k l") {
		more := numbered(word, 10)
		lines = append(lines, more...)
		b.append("w.log", more...)
		n := int64(len(lines) + 1)
		b.balances("words", counts{"read": n, "parsed": n, "waiting": n})
	}
	return b, append([]string{"a 1"}, lines...)
}

// Lines that were counted, and are cut off before Loki is back, wait no more:
// they are lost, and the ledger says so.
func TestAgent_TruncatedDuringOutage(t *testing.T) {
	b, lines := outage(t)
	if err := os.Truncate(b.path("w.log"), 0); err != nil {
		t.Fatal(err)
	}
	b.eventually("the loss", func() error {
		if got := b.ledger("words"); got["lost"] == 0 || got["lost"]+got["waiting"] != int64(len(lines)) {
			return fmt.Errorf("the ledger is %v", got)
		}
		return nil
	})
	lost := b.ledger("words")["lost"]
	b.append("w.log", "new 1")
	b.loki.answer(0)
	n := int64(len(lines)) + 1
	b.balances("words", counts{"read": n, "parsed": n, "shipped": n - lost, "lost": lost})
	b.arrived(append(lines[:n-1-lost], "new 1")...)
}

// Where the lines were copied before, none of them is lost.
func TestAgent_CopiedDuringOutage(t *testing.T) {
	b, lines := outage(t)
	writeFile(t, b.path("w.log.1"), readFile(t, b.path("w.log")))
	if err := os.Truncate(b.path("w.log"), 0); err != nil {
		t.Fatal(err)
	}
	b.append("w.log", "new 1")
	n := int64(len(lines)) + 1
	b.balances("words", counts{"read": n, "parsed": n, "waiting": n})
	b.loki.answer(0)
	b.balances("words", counts{"read": n, "parsed": n, "shipped": n})
	b.arrived(append(lines, "new 1")...)
}

// A file is compressed while no agent runs, and another comes and goes.
func TestAgent_Compressed(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	b.append("w.log", numbered("a", 100)...)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.append("w.log", numbered("b", 100)...)
	for _, file := range []struct {
		name string
		text string
	}{
		{"w.log.2.gz", readFile(t, b.path("w.log"))},
		{"w.log.1.gz", strings.Join(numbered("c", 100), "\n") + "\n"},
	} {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write([]byte(file.text))
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		writeFile(t, b.path(file.name), packed.String())
	}
	if err := os.Remove(b.path("w.log")); err != nil {
		t.Fatal(err)
	}
	b.append("w.log", numbered("d", 100)...)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	b.balances("words", counts{"read": 300, "parsed": 300, "shipped": 300})
	if n := loki.taken(); n != 400 {
		t.Errorf("Loki got %d entries for 400 lines", n)
	}
}
