package exporter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
)

// A crash repeats the batch that is on its way, so it is small until much has
// been shipped; then a backlog goes in large ones.
func TestAgent_BatchesGrow(t *testing.T) {
	loki := newReceiver(t)
	b := newBench(t, loki)
	word, total := strings.Repeat("w", 90), 0
	var lines []string
	for i := range 60_000 {
		line := fmt.Sprintf("%s %d", word, i)
		lines, total = append(lines, line), total+len(line)
	}
	b.append("w.log", lines...)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	sent, largest := 0, 0
	for i, body := range loki.requests() {
		plain, err := s2.Decode(nil, body)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := decodePush(plain)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, e := range entries {
			size += len(e.Line)
		}
		if most := max(leastBytes, min(sent/shippedShare, (total-sent)/waitingShare*2)); size > most {
			t.Errorf("request %d has %d bytes of lines, want %d at most after %d of %d", i, size, most, sent, total)
		}
		sent, largest = sent+size, max(largest, size)
	}
	if sent != total || largest < 4*leastBytes {
		t.Errorf("%d bytes of lines were sent, at most %d of them in a request; want %d, and %d at least", sent, largest, total, 4*leastBytes)
	}
}
