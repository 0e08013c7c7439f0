package parsers

import (
	"bytes"
	"errors"
	"fmt"
)

// csvPlan says which columns are kept of the rows that the AVI controller
// exports its logs as (CSV as in RFC 4180, with a header of JSON names).
type csvPlan struct{ fields map[string]int }

// newCSVPlan takes the columns' names with their indices in Record.Spans.
func newCSVPlan(fields map[string]int) *csvPlan { return &csvPlan{fields} }

// csvReader reads the rows of one file, whose columns it learns from the header.
type csvReader struct {
	plan    *csvPlan
	columns []int // the field of each, or -1; none before the header
	cells   []csvCell
}

// csvCell is the part [start, end) of a row, without its quotes.
type csvCell struct {
	start, end int32
	doubled    bool // there are quotes in it, each written twice
}

// maxCSVCells is how many cells a row may have. The logs have fewer than 200.
const maxCSVCells = 4096

func (p *csvPlan) newReader() *csvReader { return &csvReader{plan: p} }

var (
	errBareQuote = errors.New("a quote stands within a cell and is not doubled")
	errOpenQuote = errors.New("a quoted cell does not end")
	errNoHeader  = errors.New("no header came before the row")
	errCSVCells  = fmt.Errorf("the row has more than %d cells", maxCSVCells)
)

// read keeps the cells of a row, which is the record's line; it may hold line
// ends within quotes. True and False become true and false.
//
// It tells whether the row is a header, which has no values. While there is
// none, that is a row with a column of the plan and no cell of digits only.
// Later, as where a file is exported anew, all cells must be names (letters,
// digits and _) besides.
//
// The error is for a row with quotes that RFC 4180 does not have, with more or
// fewer cells than the header, or before any header. The record gets no values then.
func (c *csvReader) read(r *Record) (header bool, err error) {
	if err := c.split(r.Line); err != nil {
		return false, err
	}
	if c.isHeader(r.Line) {
		c.columns = c.columns[:0]
		for _, cell := range c.cells {
			field, named := c.plan.fields[string(r.Line[cell.start:cell.end])]
			if !named {
				field = -1
			}
			c.columns = append(c.columns, field)
		}
		return true, nil
	}
	if !c.begun() {
		return false, errNoHeader
	}
	if len(c.cells) != len(c.columns) {
		return false, fmt.Errorf("the row has %d cells, the header %d", len(c.cells), len(c.columns))
	}
	for i, field := range c.columns {
		if cell := c.cells[i]; field >= 0 && cell.end > cell.start {
			r.Spans[field] = cell.span(r)
		}
	}
	return false, nil
}

func (c *csvReader) begun() bool { return len(c.columns) > 0 }

// split finds the cells of a row.
func (c *csvReader) split(row []byte) error {
	row = bytes.TrimSuffix(row, []byte("\r"))
	c.cells = c.cells[:0]
	for at := 0; ; at++ { // past the comma
		if len(c.cells) == maxCSVCells {
			return errCSVCells
		}
		cell := csvCell{start: int32(at)}
		if at < len(row) && row[at] == '"' {
			cell.start++
			for {
				i := bytes.IndexByte(row[at+1:], '"')
				if i < 0 {
					return errOpenQuote
				}
				if at += 1 + i; at+1 == len(row) || row[at+1] != '"' {
					break
				}
				cell.doubled = true
				at++
			}
			cell.end = int32(at)
			if at++; at < len(row) && row[at] != ',' {
				return errBareQuote
			}
		} else {
			for ; at < len(row) && row[at] != ','; at++ {
				if row[at] == '"' {
					return errBareQuote
				}
			}
			cell.end = int32(at)
		}
		c.cells = append(c.cells, cell)
		if at == len(row) {
			return nil
		}
	}
}

func (c *csvReader) isHeader(row []byte) bool {
	known := false
	for _, cell := range c.cells {
		cell := row[cell.start:cell.end]
		words, digits := 0, 0
		for _, b := range cell {
			if isWord(b) {
				words++
			}
			if '0' <= b && b <= '9' {
				digits++
			}
		}
		isName, isNumber := words > 0 && words == len(cell), digits > 0 && digits == len(cell)
		if isNumber || !isName && c.begun() {
			return false
		}
		_, named := c.plan.fields[string(cell)]
		known = known || named
	}
	return known
}

func (cell csvCell) span(r *Record) Span {
	text := r.Line[cell.start:cell.end]
	switch {
	case cell.doubled:
		start := r.Scratch.begin()
		r.Scratch.bytes = appendReplaced(r.Scratch.bytes, text, `""`, `"`)
		return r.Scratch.end(start)
	case string(text) == "True":
		return r.Scratch.add("true")
	case string(text) == "False":
		return r.Scratch.add("false")
	}
	return Span{cell.start, cell.end}
}

// csvOpen tells whether a text ends within a quoted cell, so that the row goes
// on with the next line; open tells the same of the text before it.
func csvOpen(text []byte, open bool) bool {
	for {
		if !open && len(text) > 0 && text[0] == '"' { // where a cell begins
			text, open = text[1:], true
		}
		if open {
			i := bytes.IndexByte(text, '"')
			if i < 0 {
				return true
			}
			text = text[i+1:]
			if len(text) > 0 && text[0] == '"' {
				text = text[1:]
				continue
			}
			open = false
		}
		i := bytes.IndexByte(text, ',')
		if i < 0 {
			return false
		}
		text = text[i+1:]
	}
}
