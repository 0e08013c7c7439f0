package ovs

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// Text is a string, or part of the memory of what was read.
type Text interface{ string | []byte }

// TableStats are the counters of one table as ovs-ofctl dump-tables prints them.
type TableStats = TableStatsOf[string]

// TableStatsOf are TableStats with text of either kind.
type TableStatsOf[T Text] struct {
	ID      int
	Name    T      // empty when the table has none
	Active  uint32 // flows
	Lookups uint64 // packets that were looked up
	Matched uint64 // packets that a flow matched
}

// Table is what ovs-ofctl dump-tables prints of one table; or the line that says
// which tables are like the one before them ("ditto").
type Table struct {
	TableStatsOf[[]byte]      // without counters of a ditto
	Ditto                bool // the tables from ID to Last have the counters of the one before
	Last                 int
}

// Parse reads the lines of a table into t, whatever t held before, and refers
// to their memory. The features of tables are read over. The error is an Error,
// and leaves t undefined.
func (t *Table) Parse(record []byte) error {
	s, next := dump.Line(record, 0)
	s.Blanks()
	head, ok, err := parseTableHead(&s)
	if err != nil {
		return err
	}
	if !ok {
		return s.Expected("a table")
	}
	*t = Table{TableStatsOf[[]byte]{ID: head.first, Name: head.name, Active: head.active}, head.ditto, head.last}
	if !t.Ditto {
		s, next = dump.Line(record, next)
		s.Blanks()
		if err := parseTableCounters(&s, &t.TableStatsOf); err != nil {
			return err
		}
	}
	for next <= len(record) {
		s, next = dump.Line(record, next)
		if s.End() {
			continue
		}
		if features := s.Take("    "); !features || t.Ditto || s.Sees("active=") {
			return s.Expected("the end of the table")
		}
	}
	return nil
}

// Tables reads the lines of one or more dump-tables, of OpenFlow 1.0 to 1.5,
// with reply headers or without. Tables that are folded as "ditto" come one by
// one, with the counters that they share. The features of tables, which older
// OpenFlow prints too, are read over. An error tells the line, from 1, and the
// column; the tables behind it are read all the same. No line is kept.
func Tables(lines iter.Seq[[]byte]) iter.Seq2[TableStats, error] {
	return func(yield func(TableStats, error) bool) {
		r, number := tableReader{}, 0
		for line := range lines {
			number++
			first, last, err := r.read(dump.TrimEnd(line))
			if err != nil && !yield(TableStats{}, fmt.Errorf("read tables: line %d: %w", number, err)) {
				return
			}
			for id := first; id <= last; id++ {
				stats := r.stats
				if stats.ID = id; first < last {
					stats.Name = ""
				}
				if !yield(stats, nil) {
					return
				}
			}
		}
		if err := r.end(); err != nil {
			yield(TableStats{}, fmt.Errorf("read tables: end of line %d: %w", number, err))
		}
	}
}

// tableReader holds the table that was read last, for those that are like it.
type tableReader struct {
	stats   TableStats
	counted bool // stats has counters
	waiting bool // for the counters of the table whose head was read
}

// read gives the range of tables that are complete with a line, whose counters
// are r.stats.
func (r *tableReader) read(line []byte) (first, last int, err error) {
	const none = -1
	s := dump.Scanner{Text: line}
	s.Blanks()
	head, ok, err := parseTableHead(&s)
	switch {
	case err != nil:
		r.waiting, r.counted = false, false
		return 0, none, err
	case !ok && r.waiting:
		r.waiting = false
		if err := parseTableCounters(&s, &r.stats); err != nil {
			return 0, none, err
		}
		r.counted = true
		return r.stats.ID, r.stats.ID, nil
	case !ok && (s.End() || isReply(line) || line[0] == ' '): // between tables, or features
		return 0, none, nil
	case !ok:
		return 0, none, s.Expected("a table")
	}
	err = r.end()
	r.stats.ID, r.stats.Name = head.first, string(head.name)
	if !head.ditto {
		r.stats.Active, r.waiting, r.counted = head.active, true, false
		return 0, none, err
	}
	if !r.counted {
		return 0, none, errors.Join(err, s.Expected("a table with counters before ditto"))
	}
	return head.first, head.last, err
}

// end tells whether the counters of a table are missing.
func (r *tableReader) end() error {
	if !r.waiting {
		return nil
	}
	r.waiting = false
	return Error{Column: 1, Expected: fmt.Sprintf("the counters of table %d", r.stats.ID)}
}

type tableHead struct {
	first, last int
	name        []byte
	ditto       bool
	active      uint32 // of the older form
}

// parseTableHead takes "table 1:", `table 1 ("name"):`, both with ditto,
// "tables 2...253: ditto", and of Open vSwitch before 2.4
// "1: name    : wild=0x3fffff, max=1000000, active=0".
func parseTableHead(s *dump.Scanner) (h tableHead, ok bool, err error) {
	if first, ok := s.Number(math.MaxUint8); ok {
		h, err = parseOldTableHead(s, int(first))
		return h, true, err
	}
	several := s.Take("tables ")
	if !several && !s.Take("table ") {
		return h, false, nil
	}
	n, ok := s.Number(math.MaxUint8)
	if !ok {
		return h, true, s.Expected("a table's number")
	}
	h.first, h.last = int(n), int(n)
	if several {
		if !s.Take("...") {
			return h, true, s.Expected("...")
		}
		if n, ok = s.Number(math.MaxUint8); !ok || int(n) < h.first {
			return h, true, s.Expected("the last table's number")
		}
		h.last = int(n)
	}
	if s.Take(` ("`) { // whatever is in the name, it is printed as it is
		end := bytes.LastIndex(s.Rest(), []byte(`"):`))
		if end < 0 {
			return h, true, s.Expected(`a name, and "):`)
		}
		h.name = s.Rest()[:end:end]
		s.At += end + len(`")`)
	}
	if !s.Take(":") {
		return h, true, s.Expected("a colon")
	}
	h.ditto = s.Take(" ditto")
	if several && !h.ditto || !s.End() {
		return h, true, s.Expected("ditto, or the end of the line")
	}
	return h, true, nil
}

func parseOldTableHead(s *dump.Scanner, id int) (tableHead, error) {
	h := tableHead{first: id, last: id}
	if !s.Take(": ") {
		return h, s.Expected("a colon and a blank")
	}
	end := bytes.LastIndex(s.Rest(), []byte(": wild="))
	if end < 0 {
		return h, s.Expected("a name, and : wild=")
	}
	h.name = bytes.TrimRight(s.Rest()[:end:end], " ")
	s.At += end
	at := bytes.LastIndex(s.Rest(), []byte(", active="))
	if at < 0 {
		return h, s.Expected("wild, max and active")
	}
	s.At += at + len(", active=")
	if !dump.Take(s, &h.active) || !s.End() {
		return h, s.Expected("a number of flows, and the end of the line")
	}
	return h, nil
}

// parseTableCounters takes "active=1, lookup=2, matched=3", and the older
// "lookup=2, matched=3".
func parseTableCounters[T Text](s *dump.Scanner, t *TableStatsOf[T]) error {
	if !s.Sees("lookup=") {
		if !s.Take("active=") {
			return s.Expected("active=")
		}
		if !dump.Take(s, &t.Active) || !s.Take(", ") {
			return s.Expected("a number of flows, a comma and a blank")
		}
	}
	for _, c := range []struct {
		key string
		to  *uint64
	}{{"lookup=", &t.Lookups}, {", matched=", &t.Matched}} {
		if !s.Take(c.key) {
			return s.Expected(c.key)
		}
		if !dump.Take(s, c.to) {
			return s.Expected("a number")
		}
	}
	if !s.End() {
		return s.Expected("the end of the line")
	}
	return nil
}
