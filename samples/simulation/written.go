package simulation

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// WrittenFile is the name of the file in Play.Dir that says what was written.
const WrittenFile = "written.json"

// Written says what was written, and so what queries have to find.
type Written struct {
	Seed  uint64    `json:"seed"`
	Start time.Time `json:"start"`
	// At is when the last second ended, and the time at which the LogQL
	// expressions have their values.
	At      time.Time `json:"at"`
	Seconds int       `json:"seconds"`
	Lines   int64     `json:"lines"`
	Bytes   int64     `json:"bytes"` // of the lines, without what carries them
	// Definitions has the lines that each of them reads.
	Definitions []Lines `json:"definitions"`
	// Syslog is there when lines are sent.
	Syslog *SyslogState `json:"syslog,omitempty"`
	// LogQL and PromQL have instant queries, each with the one value of its answer.
	LogQL  []Expectation `json:"logql"`
	PromQL []Expectation `json:"promql"`
}

// Lines of a definition.
type Lines struct {
	Definition string `json:"definition"`
	Lines      int64  `json:"lines"`
}

// Expectation is a query and the value of its answer.
type Expectation struct {
	Expression string  `json:"expression"`
	Value      float64 `json:"value"`
}

// ledger counts what is written.
type ledger struct {
	lines, bytes int64
	definitions  map[string]int64
	streams      map[streamKey]int64
	metrics      map[seriesKey]amount
}

// amount of a counter. The agent's library adds whole numbers apart from
// fractions, which decides the last bits of a sum.
type amount struct {
	whole    int64
	fraction float64
}

func (a amount) plus(n float64) amount {
	if whole := int64(n); float64(whole) == n {
		a.whole += whole
	} else {
		a.fraction += n
	}
	return a
}

func (a amount) value() float64 { return a.fraction + float64(a.whole) }

type streamKey struct{ node, source, labels string }

type seriesKey struct{ metric, labels, node string }

func newLedger() *ledger {
	return &ledger{definitions: map[string]int64{}, streams: map[streamKey]int64{}, metrics: map[seriesKey]amount{}}
}

func (l *ledger) line(node, definition string, size int) {
	l.lines++
	l.bytes += int64(size)
	l.definitions[definition]++
	l.streams[streamKey{node, Source(definition), ""}]++
}

func (l *ledger) count(node, metric, labels string, n float64) {
	if strings.HasPrefix(metric, metricPrefix) {
		s := seriesKey{metric, labels, node}
		l.metrics[s] = l.metrics[s].plus(n)
		return
	}
	l.streams[streamKey{node, Source(metric), labels}] += int64(n)
}

// written until a second has ended.
func (l *ledger) written(o Options, seconds int) *Written {
	w := &Written{
		Seed: o.Seed, Start: o.Start.UTC(), At: o.Start.UTC().Add(time.Duration(seconds) * time.Second),
		Seconds: seconds, Lines: l.lines, Bytes: l.bytes,
	}
	for _, name := range slices.Sorted(maps.Keys(l.definitions)) {
		w.Definitions = append(w.Definitions, Lines{name, l.definitions[name]})
	}
	for _, s := range slices.SortedFunc(maps.Keys(l.streams), compareStreams) {
		selector := fmt.Sprintf("cluster=%q, node=%q, source=%q", Cluster, s.node, s.source)
		if s.labels != "" {
			selector += ", " + s.labels
		}
		// A second more, as the begin of a range is not part of it.
		w.LogQL = append(w.LogQL, Expectation{fmt.Sprintf("sum(count_over_time({%s}[%ds]))", selector, seconds+1), float64(l.streams[s])})
	}
	for _, s := range slices.SortedFunc(maps.Keys(l.metrics), compareSeries) {
		e := Expectation{fmt.Sprintf("sum(%s{%s})", s.metric, s.labels), l.metrics[s].value()}
		if last := len(w.PromQL) - 1; last >= 0 && w.PromQL[last].Expression == e.Expression {
			w.PromQL[last].Value += e.Value // of another node
		} else {
			w.PromQL = append(w.PromQL, e)
		}
	}
	return w
}

func compareStreams(a, b streamKey) int {
	return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.source, b.source), cmp.Compare(a.labels, b.labels))
}

func compareSeries(a, b seriesKey) int {
	return cmp.Or(cmp.Compare(a.metric, b.metric), cmp.Compare(a.labels, b.labels), cmp.Compare(a.node, b.node))
}

// save replaces the file in a folder at once.
func (w *Written) save(dir string) error {
	text, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return fmt.Errorf("encode what was written: %w", err)
	}
	path := filepath.Join(dir, WrittenFile)
	temporary := path + ".tmp"
	err = os.WriteFile(temporary, append(text, '\n'), 0o644)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("say what was written: %w", err), removed(temporary))
	}
	return nil
}

// removed removes a file, which need not be there.
func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
