package exporter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
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

// Of a backlog two batches are on their way: while Loki is slow with a stream of
// the first one, it gets the others of the second, and nothing behind that. What
// arrived ahead of what did not is not committed.
func TestAgent_TwoBatches(t *testing.T) {
	const n, held = 30_000, 18_000 // lines of about a KiB; a stream is slow from this one on
	loki := newReceiver(t)
	var mu sync.Mutex
	highest := map[string]int{}
	loki.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		plain, decodeErr := s2.Decode(nil, body)
		if r.Method == http.MethodGet || err != nil || decodeErr != nil {
			loki.ServeHTTP(w, r)
			return
		}
		entries, err := decodePush(plain)
		if err != nil {
			t.Error(err)
			return
		}
		var state string
		var number int
		for _, e := range entries {
			if _, err := fmt.Sscanf(e.Line, "%s %d", &state, &number); err != nil {
				t.Error(err)
			}
		}
		mu.Lock()
		wait := state == "often" && number >= held
		if !wait {
			highest[state] = max(highest[state], number)
		}
		mu.Unlock()
		if wait {
			<-r.Context().Done()
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		loki.ServeHTTP(w, r)
	})
	b := newBench(t, loki)
	b.keys = `  - name: states
    layouts: [{name: plain, regex: '^(?P<state>[a-z]+) (?P<number>[0-9]+) (?P<text>.*)$'}]
    stream_labels: [state]
sources:
` + b.source("states", "states", "s.log")
	var lines []string
	for i := range n {
		state := "often"
		if i%8 == 0 {
			state = "rare"
		}
		lines = append(lines, fmt.Sprintf("%s %d %s", state, i, strings.Repeat("x", 1000)))
	}
	b.append("s.log", lines...)
	b.start()
	batch := bufferBytes / len(lines[0])
	b.eventually("a stream that is ahead", func() error {
		mu.Lock()
		defer mu.Unlock()
		if ahead := highest["rare"] - highest["often"]; ahead < batch*3/2 {
			return fmt.Errorf("%d lines", ahead)
		}
		return nil
	})
	b.stop()
	mu.Lock()
	defer mu.Unlock()
	if ahead := highest["rare"] - highest["often"]; ahead > maxFlights*batch {
		t.Errorf("the other stream was %d lines ahead, in batches of %d", ahead, batch)
	}
	accounts, damaged, err := ReadLedger(b.path("state"))
	if err := errors.Join(append(damaged, err)...); err != nil || len(accounts) != 1 {
		t.Fatalf("%v, %v", accounts, err)
	}
	if shipped := accounts[0].Shipped; shipped > int64(highest["often"])+2 {
		t.Errorf("%d lines are shipped by the ledger, of which Loki has no more than %d", shipped, highest["often"])
	}
	loki.Config.Handler = loki
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	if got := loki.folded(); len(got) != n {
		t.Errorf("Loki has %d lines in the end, want %d", len(got), n)
	}
}
