package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// csvPlan says which columns are kept of the rows that the AVI controller
// exports its logs as (CSV as in RFC 4180, with a header of JSON names), and
// what is hidden in all of them. It does not change.
type csvPlan struct {
	columns map[string]csvColumn
	hide    *secrets
}

// csvColumn is what is known of a column: the index in Record.Spans of what
// its cells become, or -1.
type csvColumn struct {
	field  int
	list   bool // its cells are lists as JSON or Python has them, of which the elements are joined
	secret bool
}

// newCSVPlan takes the columns' names with their indices in Record.Spans. []
// behind a name stands for each element of the list in a cell.
func newCSVPlan(fields map[string]int, hide *secrets) *csvPlan {
	p := &csvPlan{columns: map[string]csvColumn{}, hide: hide}
	for name, field := range fields {
		name, list := strings.CutSuffix(name, "[]")
		p.columns[name] = csvColumn{field: field, list: list}
	}
	return p
}

// csvReader reads the rows of files, whose columns it learns from their headers.
type csvReader struct {
	plan     *csvPlan
	header   *Header
	columns  []csvColumn // below the header; none when it is not one
	secret   bool        // one of them is
	cells    []csvCell
	cell     []byte // one that is redacted
	row      []byte // the row, with such cells
	scrubber *scrubber
}

// csvCell is the part [start, end) of a row, without its quotes.
type csvCell struct {
	start, end int32
	doubled    bool // there are quotes in it, each written twice
}

// maxCSVCells is how many cells a row may have. The logs have fewer than 200.
const maxCSVCells = 4096

func (p *csvPlan) newReader() *csvReader { return &csvReader{plan: p, scrubber: newScrubber(p.hide)} }

var (
	errBareQuote = errors.New("a quote stands within a cell and is not doubled")
	errOpenQuote = errors.New("a quoted cell does not end")
	errNoHeader  = errors.New("no header came before the row")
	errCSVCells  = fmt.Errorf("the row has more than %d cells", maxCSVCells)
)

// read keeps the cells of a row, which is the record's line; it may hold line
// ends within quotes. True and False become true and false. What the plan
// hides is replaced in the line.
//
// The error is for a row with quotes that RFC 4180 does not have, with more or
// fewer cells than the header, or below none: one that names no column of the
// plan. The record is left as it was then, but where a column is secret: then
// nothing of the line is left, for who knows which cell it is.
func (c *csvReader) read(r *Record) error {
	if r.Header == nil {
		return errNoHeader
	}
	if c.header != r.Header {
		c.learn(r.Header)
	}
	if len(c.columns) == 0 {
		return errNoHeader
	}
	err := c.split(r.Line)
	if err == nil && len(c.cells) != len(c.columns) {
		err = fmt.Errorf("the row has %d cells, the header %d", len(c.cells), len(c.columns))
	}
	if err != nil {
		if c.secret {
			r.Line = r.Line[:edit{end: len(r.Line)}.put(r.Line)]
		}
		return err
	}
	if c.plan.hide != nil && c.redact(r) {
		if err := c.split(r.Line); err != nil {
			return err
		}
	}
	for i := range c.columns {
		column, cell := &c.columns[i], c.cells[i]
		switch {
		case column.field < 0 || cell.start == cell.end:
			continue
		case column.list:
			if list := c.list(r, cell); list.Start != list.End {
				r.Spans[column.field] = list
			}
		default:
			r.Spans[column.field] = cell.span(r)
		}
	}
	return nil
}

// learn takes the columns of a header.
func (c *csvReader) learn(h *Header) {
	c.header, c.columns, c.secret = h, c.columns[:0], false
	if c.split(h.text) != nil {
		return
	}
	known := false
	for _, cell := range c.cells {
		name := h.text[cell.start:cell.end]
		column, named := c.plan.columns[string(name)]
		if !named {
			column.field = -1
		}
		column.secret = c.plan.hide.role(name) == roleSecret
		c.columns = append(c.columns, column)
		c.secret = c.secret || column.secret
		known = known || named
	}
	if !known {
		c.columns = c.columns[:0]
	}
}

// redact hides secrets in the cells, and tells whether there were any. The row
// stays in its place unless it gets longer, because of quotes that are doubled.
func (c *csvReader) redact(r *Record) bool {
	c.row = c.row[:0]
	from := 0 // what of the line is yet to be copied
	for i, cell := range c.cells {
		raw := r.Line[cell.start:cell.end]
		if !c.columns[i].secret && bytes.IndexByte(raw, ':') < 0 && bytes.IndexByte(raw, '=') < 0 {
			continue
		}
		if cell.doubled {
			c.cell = appendReplaced(c.cell[:0], raw, `""`, `"`)
		} else {
			c.cell = append(c.cell[:0], raw...)
		}
		if c.columns[i].secret && len(raw) > 0 {
			c.cell = c.cell[:edit{end: len(c.cell)}.put(c.cell)]
		} else {
			c.cell = c.scrubber.scrub(c.cell)
		}
		mark := len(c.row)
		c.row = append(c.row, r.Line[from:cell.start]...)
		start := len(c.row)
		c.row = appendReplaced(c.row, c.cell, `"`, `""`)
		if bytes.Equal(c.row[start:], raw) {
			c.row = c.row[:mark]
			continue
		}
		from = int(cell.end)
	}
	if from == 0 {
		return false
	}
	c.row = append(c.row, r.Line[from:]...)
	if len(c.row) > len(r.Line) {
		start := r.Scratch.begin()
		r.Scratch.bytes = append(r.Scratch.bytes, c.row...)
		r.Line = r.Scratch.bytes[start:len(r.Scratch.bytes):len(r.Scratch.bytes)]
	} else {
		r.Line = r.Line[:copy(r.Line, c.row)]
	}
	return true
}

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

// list joins the elements of a list by commas, without their quotes, and with
// semicolons for the commas within them.
func (c *csvReader) list(r *Record, cell csvCell) Span {
	text := r.Line[cell.start:cell.end]
	if cell.doubled {
		c.cell = appendReplaced(c.cell[:0], text, `""`, `"`)
		text = c.cell
	}
	text = bytes.TrimSpace(text)
	if n := len(text); n > 1 && (text[0] == '[' && text[n-1] == ']' || text[0] == '(' && text[n-1] == ')') {
		text = text[1 : n-1]
	}
	start := r.Scratch.begin()
	out := r.Scratch.bytes
	for i := 0; i < len(text); i++ {
		mark := len(out)
		if mark > start {
			out = append(out, ',')
		}
		at := len(out)
		out, i = appendElement(out, text, i)
		if element := bytes.TrimSpace(out[at:]); len(element) == 0 {
			out = out[:mark]
		} else {
			out = append(out[:at], element...)
		}
	}
	r.Scratch.bytes = out
	return r.Scratch.end(start)
}

// appendElement appends the element of a list at i, and gives where its comma
// is, or the end.
func appendElement(out, text []byte, i int) ([]byte, int) {
	at, quote := len(out), byte(0)
	for ; i < len(text); i++ {
		b := text[i]
		switch {
		case b == '\\' && quote != 0 && i+1 < len(text):
			i++
			out = append(out, text[i])
		case quote == 0 && b == ',':
			return out, i
		case quote == 0 && (b == '"' || b == '\''):
			quote, out = b, out[:at] // without the u of Python's u'…'
		case b == quote:
			quote = 0
		case b == ',':
			out = append(out, ';')
		default:
			out = append(out, b)
		}
	}
	return out, i
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
