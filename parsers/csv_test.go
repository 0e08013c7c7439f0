package parsers

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readRow gives the fields of a row, and holds that they lie in it or in the scratch.
func readRow(t fataler, c *csvReader, header *Header, row string, fields int) (values []string, err error) {
	t.Helper()
	r := Record{Line: []byte(row), Header: header, Spans: make([]Span, fields), Scratch: &Scratch{}}
	r.Scratch.add("before,")
	mark := len(r.Scratch.bytes)
	err = c.read(&r)
	for _, s := range r.Spans {
		within := 0 <= s.Start && s.Start <= s.End && int(s.End) <= len(row)
		behind := s.Start < 0 && mark <= int(^s.Start) && ^s.Start < ^s.End && int(^s.End) <= len(r.Scratch.bytes)
		if !within && !behind || s.Start == s.End && s != (Span{}) {
			t.Fatalf("%q: a field has the span %v", row, s)
		}
		if err != nil && s != (Span{}) {
			t.Fatalf("%q: a field has the span %v, with error %v", row, s, err)
		}
		values = append(values, string(r.Text(s)))
	}
	if string(r.Line) != row || string(r.Scratch.bytes[:mark]) != "before," {
		t.Fatalf("%q became %q, the scratch %q", row, r.Line, r.Scratch.bytes)
	}
	return values, err
}

func TestCSV(t *testing.T) {
	p := newCSVPlan(map[string]int{"method": 0, "uri_path": 1, "adf": 2, "significant_log[]": 3}, nil)
	c := p.newReader()
	var header *Header
	f := func(row string, want ...string) {
		t.Helper()
		got, err := readRow(t, c, header, row, 4)
		if err != nil {
			got = []string{err.Error()}
		} else if len(want) == 3 {
			want = append(want, "")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", row, diff)
		}
	}
	// No header: one names a column of the plan.
	f(`GET,/a,True`, errNoHeader.Error())
	header = &Header{[]byte(`a,b,`)}
	f(`GET,/a,True`, errNoHeader.Error())
	header = &Header{[]byte(`method,"a`)}
	f(`GET,/a`, errNoHeader.Error())
	header = &Header{}
	f(``, errNoHeader.Error())

	header = &Header{[]byte(`uri-query,method,adf,"uri_path"` + "\r")}
	f(`x,GET,True,/a`, "GET", "/a", "true")
	f(`x,GET,False,/a`+"\r", "GET", "/a", "false")
	f(`,,,`, "", "", "")
	f(`"","","",""`, "", "", "")
	f(`x, GET ,true,TRUE`, " GET ", "TRUE", "true")
	f("\"a\nb\",\"G,\nET\",\"True\",\"say \"\"hi\"\"\r\n\"", "G,\nET", "say \"hi\"\r\n", "true")
	f(`"""","""","""""",""""""""`, `"`, `"""`, `""`)
	f("x,GET,é\xff,日本", "GET", "日本", "é\xff")

	// errors
	f(`x,GET,True`, "the row has 3 cells, the header 4")
	f(`x,GET,True,/a,`, "the row has 5 cells, the header 4")
	f(``, "the row has 1 cells, the header 4")
	f(`x,G"ET,True,/a`, errBareQuote.Error())
	f(`x,"G"ET,True,/a`, errBareQuote.Error())
	f(`x,GET,True,"/a" `, errBareQuote.Error())
	f(`x,GET,True,"/a`, errOpenQuote.Error())
	f(`x,GET,True,"/a""`, errOpenQuote.Error())
	f(`x,GET,True,"`, errOpenQuote.Error())
	f(strings.Repeat(",", maxCSVCells-1), "the row has 4096 cells, the header 4")
	f(strings.Repeat(",", maxCSVCells), errCSVCells.Error())

	// Each file has its own header.
	first := header
	header = &Header{[]byte(`adf,x2,3_,uri_path`)}
	f(`True,GET,x,y`, "", "y", "true")
	header = first
	f(`True,GET,x,y`, "GET", "y", "x")

	// lists
	header = &Header{[]byte(`significant_log`)}
	f(`"[""A_1"", ""B""]"`, "", "", "", "A_1,B")
	f(`"['A_1', u'B']"`, "", "", "", "A_1,B")
	f(`"A_1,B"`, "", "", "", "A_1,B")
	f(` A_1 `, "", "", "", "A_1")
	f(`[]`, "", "", "", "")
	f(`"[,'', ,]"`, "", "", "", "")
	f(`"[""a,b"",'c\'d, ',""it's""]"`, "", "", "", "a;b,c'd;,it's")
	f(`"['a"`, "", "", "", "a")
	f("\"('a'\n, 'b')\"", "", "", "", "a,b")
}

// Secrets are hidden in the cells that they are in, and nothing else changes.
func TestCSV_Redact(t *testing.T) {
	c := newCSVPlan(map[string]int{"a": 0, "b": 1}, testSecrets()).newReader()
	header := &Header{[]byte("a,Cookie,b")}
	f := func(row, want string, values ...string) {
		t.Helper()
		memory := []byte(row + "\nthe next row")
		r := Record{Line: memory[:len(row)], Header: header, Spans: make([]Span, 2), Scratch: &Scratch{}}
		if err := c.read(&r); err != nil {
			t.Fatalf("%s: %s", row, err)
		}
		if string(r.Line) != want || !strings.HasSuffix(string(memory), "\nthe next row") {
			t.Errorf("%s became\n%s, want\n%s; behind it is %s", row, r.Line, want, memory)
		}
		if diff := cmp.Diff(values, []string{string(r.Value(0)), string(r.Value(1))}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row, diff)
		}
	}
	f(`x: y,,/a=b`, `x: y,,/a=b`, "x: y", "/a=b")
	f(`x,0123456789abc,y`, `x,[redacted],y`, "x", "y")
	f(`x,"a""b",y`, `x,"***",y`, "x", "y")
	f(`x,"0123""456789,",y`, `x,"[redacted]",y`, "x", "y")
	f(`/?token=0123456789abc&x=1,,sid=ab`, `/?token=[redacted]&x=1,,sid=**`, "/?token=[redacted]&x=1", "sid=**")
	f("\"Host: x\nCookie: a=b; c=\"\"d\"\"\",,200", "\"Host: x\nCookie: [redacted]\",,200", "Host: x\nCookie: [redacted]", "200")
	f("\"Cookie: a=b; c=\"\"d\"\"\nHost: \"\"x\"\"\",,200", "\"Cookie: [redacted]\nHost: \"\"x\"\"\",,200", "Cookie: [redacted]\nHost: \"x\"", "200")
	f(`"{""Cookie"": ""a\""b0123456789"", ""x"": ""y""}",,200`, `"{""Cookie"": ""[redacted]"", ""x"": ""y""}",,200`, `{"Cookie": "[redacted]", "x": "y"}`, "200")
	f(`"{'Cookie': '0123456789""', 'x': ""y""}",,200`, `"{'Cookie': '[redacted]', 'x': ""y""}",,200`, `{'Cookie': '[redacted]', 'x': "y"}`, "200")
	f(`"{""Cookie"": {""a"":""012345""}}",,"{""a"":1}"`, `"{""Cookie"": ""[redacted]""}",,"{""a"":1}"`, `{"Cookie": "[redacted]"}`, `{"a":1}`)
	f(`"{""Cookie"":123456789012}",,1`, `"{""Cookie"":""[redacted]""}",,1`, `{"Cookie":"[redacted]"}`, "1") // longer than before
}

func TestCSVOpen(t *testing.T) {
	f := func(open bool, text string, want bool) {
		t.Helper()
		if got := csvOpen([]byte(text), open); got != want {
			t.Errorf("%v, %q: got %v", open, text, got)
		}
	}
	f(false, ``, false)
	f(false, `a,b`, false)
	f(false, `a,"b`, true)
	f(false, `a,"b"`, false)
	f(false, `a,"b""`, true)
	f(false, `a,"b"",c`, true)
	f(false, `a,"b""",c`, false)
	f(false, `"`, true)
	f(false, `""`, false)
	f(false, `"",""","`, false)
	f(false, `"","""","`, true)
	f(true, ``, true)
	f(true, `a,b`, true)
	f(true, `"`, false)
	f(true, `""`, true)
	f(true, `b",c`, false)
	f(true, `b","c`, true)
	f(true, `b"",c`, true)
	// A quote within a cell opens nothing; the row that has it is an error.
	f(false, `a 5" disk`, false)
	f(false, `a"b,"c"d"`, false)
	f(true, `b"c"`, false)
}

// What encoding/csv writes is read back, from its lines.
func TestCSV_Random(t *testing.T) {
	cell := rapid.StringOf(rapid.RuneFrom([]rune("ab\",\n\r 1é")))
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9_]{0,3}`), 1, 8, rapid.ID).Draw(t, "columns")
		fields := map[string]int{}
		var kept []int
		for i, name := range columns {
			if i == 0 || rapid.Bool().Draw(t, "kept") {
				fields[name] = len(kept)
				kept = append(kept, i)
			}
		}
		rows := [][]string{columns}
		var want [][]string
		for range rapid.IntRange(0, 5).Draw(t, "rows") {
			row := rapid.SliceOfN(cell, len(columns), len(columns)).Draw(t, "row")
			row[0] = "-" + row[0] // no header, and no empty line
			rows = append(rows, row)
			var values []string
			for _, i := range kept {
				values = append(values, row[i])
			}
			want = append(want, values)
		}
		var text strings.Builder
		if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
			t.Fatalf("%s", err)
		}

		c := newCSVPlan(fields, nil).newReader()
		var got [][]string
		var header *Header
		row, open := "", false
		for line := range strings.SplitSeq(strings.TrimSuffix(text.String(), "\n"), "\n") {
			row += line
			if open = csvOpen([]byte(line), open); open {
				row += "\n"
				continue
			}
			if header == nil {
				header = &Header{[]byte(row)}
			} else if values, err := readRow(t, c, header, row, len(kept)); err != nil {
				t.Fatalf("%q: %s", row, err)
			} else {
				got = append(got, values)
			}
			row = ""
		}
		if diff := cmp.Diff(want, got); diff != "" || open {
			t.Fatalf("%q: open %v (-want +got):\n%s", text.String(), open, diff)
		}
	})
}

// Of a row, encoding/csv has the same cells, or an error, too.
func FuzzCSV(f *testing.F) {
	header, row := appLog()
	for _, row := range []string{header, row, "a,\"b\nc\",\"\"\"\"", `a"b`, `"a"b`, `"a`, ",\r", "\"\r\n\",", "True,False", `"{""Cookie"":123456789012}",?sid=x`} {
		f.Add(row)
	}
	f.Fuzz(func(t *testing.T, row string) {
		reader := csv.NewReader(strings.NewReader(row))
		reader.FieldsPerRecord = -1
		want, wantErr := reader.Read()
		if wantErr == io.EOF || len(want) > maxCSVCells {
			return
		}
		if wantErr == nil {
			first, _ := reader.FieldPos(0)
			if first > 1 || reader.InputOffset() < int64(len(row)) || strings.HasSuffix(row, "\n") {
				return // more than one row and no line end
			}
		}
		var columns []string
		fields := map[string]int{}
		for i := range max(1, len(want)) {
			columns = append(columns, fmt.Sprintf("column %d", i))
			fields[columns[i]] = i
		}
		header := &Header{[]byte(strings.Join(columns, ","))}
		got, err := readRow(t, newCSVPlan(fields, nil).newReader(), header, row, len(fields))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v; encoding/csv %v", row, err, wantErr)
		}
		for i := range want {
			got := strings.ReplaceAll(got[i], "\r\n", "\n")
			if want := want[i]; wantErr == nil && got != want && (want != "True" && want != "False" || got != strings.ToLower(want)) {
				t.Fatalf("%q: cell %d is %q; encoding/csv %q", row, i, got, want)
			}
		}
		if err == nil && csvOpen([]byte(row), false) {
			t.Fatalf("%q is open", row)
		}
		// What is redacted has the same cells, and nothing more to redact.
		hiding := newCSVPlan(fields, testSecrets()).newReader()
		r := Record{Line: []byte(row), Header: header, Spans: make([]Span, len(fields)), Scratch: &Scratch{}}
		if hidden := hiding.read(&r); (hidden == nil) != (err == nil) {
			t.Fatalf("%q: %v, and %v when it is redacted to %q", row, err, hidden, r.Line)
		}
		if once := string(r.Line); err == nil {
			r.Scratch.Reset()
			if err := hiding.read(&r); err != nil || string(r.Line) != once {
				t.Fatalf("%q became %q, and that %q, %v", row, once, r.Line, err)
			}
		}
		for i := range row {
			if row[i] == '\n' && csvOpen([]byte(row[:i]), false) && csvOpen([]byte(row), false) != csvOpen([]byte(row[i+1:]), true) {
				t.Fatalf("%q: open differs when it goes on at %d", row, i+1)
			}
		}
	})
}

// appLog gives an export's header and a row of it, with 80 columns.
func appLog() (header, row string) {
	names, cells := strings.Fields("adf udf virtualservice report_timestamp service_engine vcpu_id log_id client_ip client_src_port client_dest_port client_rtt method uri_path uri_query"+
		" user_agent host response_code response_length total_time all_request_headers significant_log"), []string{
		"True", "False", "virtualservice-0f1e2d3c", "2024-06-02T10:11:12.345678+00:00", "se-1", "0", "98765", "192.0.2.10", "40001", "443", "2", "GET", "/shop/cart", "item=7&n=2",
		`"Mozilla/5.0 (X11, like ""Gecko"")"`, "shop.example.com", "200", "1534", "12", "\"Host: shop.example.com\nAccept: */*\n\"", `"[""ADF_RESPONSE_CODE_4XX"", ""ADF_X""]"`,
	}
	for i := len(names); i < 80; i++ {
		names = append(names, fmt.Sprintf("column_%d", i))
		cells = append(cells, []string{"", "0", "False", "pool-1--shop", "17"}[i%5])
	}
	return strings.Join(names, ","), strings.Join(cells, ",")
}

func TestCSV_Allocs(t *testing.T) {
	c, row, fields := appLogReader(t)
	holdNoAllocs(t, row, fields, func(r *Record, _ Span) {
		r.Header = c.header
		if err := c.read(r); err != nil {
			t.Fatalf("%v", err)
		}
	})
}

// appLogReader gives a reader that has read the header of a row. Its plan names
// half of the columns.
func appLogReader(t fataler) (c *csvReader, row string, fields int) {
	header, row := appLog()
	names := map[string]int{}
	for i, name := range strings.Split(header, ",") {
		if i < 20 || i%3 == 0 {
			names[name] = len(names)
		}
	}
	c = newCSVPlan(names, nil).newReader()
	c.learn(&Header{[]byte(header)})
	return c, row, len(names)
}

// BenchmarkCSV reads a row, and finds its end, beside encoding/csv, which does both, too.
func BenchmarkCSV(b *testing.B) {
	b.Run("csvReader", func(b *testing.B) {
		c, row, fields := appLogReader(b)
		benchReader(b, row, fields, func(r *Record, _ Span) {
			open := false
			for rest := r.Line; ; {
				line, after, found := bytes.Cut(rest, []byte("\n"))
				open = csvOpen(line, open)
				if !found {
					break
				}
				rest = after
			}
			r.Header = c.header
			if err := c.read(r); err != nil || open {
				b.Fatal(err, open)
			}
		})
	})
	b.Run("encoding", func(b *testing.B) {
		_, row := appLog()
		reader := csv.NewReader(&repeated{text: row + "\n"})
		reader.ReuseRecord = true
		b.SetBytes(int64(len(row)))
		b.ReportAllocs()
		for b.Loop() {
			if cells, err := reader.Read(); err != nil || len(cells) != 80 {
				b.Fatal(err, len(cells))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(row)), "ns/byte")
	})
}

// repeated is a text without end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	n = copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

func BenchmarkCSV_Worst(b *testing.B) {
	for _, part := range []string{`"`, `""`, `,`, `"",`, `"""",`, `a`, "\n", "\"\n\","} {
		c := newCSVPlan(map[string]int{"a": 0}, nil).newReader()
		header := &Header{[]byte("a")}
		benchWorst(b, fmt.Sprintf("read/%q", part), "", part, 1, func(r *Record, _ Span) {
			r.Header = header
			c.read(r) //nolint:errcheck // most are no rows
		})
		benchWorst(b, fmt.Sprintf("open/%q", part), "", part, 1, func(r *Record, _ Span) {
			if csvOpen(r.Line, false) == csvOpen(r.Line, true) && part == "a" {
				b.Fatal("a text without quotes changes whether a cell is open")
			}
		})
	}
}
