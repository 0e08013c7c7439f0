package faults

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// row is what became of one fault.
type row struct {
	Number    int
	Fault     string
	Lines     int
	Lost      int
	Twice     int // in Loki
	SentTwice int
	Time      time.Duration
	RSS       int64 // bytes that the agent had at most
	Note      string
	NotRun    string // why
	Failed    bool
}

// table gathers the rows of a run.
type table struct {
	mu   sync.Mutex
	rows []*row
}

func (t *table) add(r *row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// print writes the rows in Markdown, and below them what was not run.
func (t *table) print(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.rows, func(a, b *row) int { return a.Number - b.Number })
	var text strings.Builder
	text.WriteString("| # | fault | lines | lost | sent twice | in Loki twice | agent's peak RSS | time | besides |\n|---|---|---|---|---|---|---|---|---|\n")
	missing := ""
	for _, r := range t.rows {
		state := ""
		if r.Failed {
			state = "**failed** "
		}
		if r.NotRun != "" {
			fmt.Fprintf(&text, "| %d | **NOT RUN** %s |||||||%s |\n", r.Number, r.Fault, r.NotRun)
			missing += fmt.Sprintf("\n**Row %d was NOT RUN: %s.**\n", r.Number, r.NotRun)
			continue
		}
		fmt.Fprintf(&text, "| %d | %s%s | %d | %d | %d | %d | %.1f MiB | %.1f s | %s |\n",
			r.Number, state, r.Fault, r.Lines, r.Lost, r.SentTwice, r.Twice, float64(r.RSS)/(1<<20), r.Time.Seconds(), r.Note)
	}
	_, err := io.WriteString(w, text.String()+missing)
	return err
}

// Comments of a file between which a run is published.
const runBegins, runEnds = "<!-- run -->\n", "<!-- end of run -->\n"

// publish writes the rows into a file.
func (t *table) publish(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, begins := strings.Cut(string(text), runBegins)
	_, foot, ends := strings.Cut(rest, runEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no comments %q and %q", file, runBegins, runEnds)
	}
	var rows strings.Builder
	if err := t.print(&rows); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(head+runBegins+rows.String()+runEnds+foot), 0o600)
}
