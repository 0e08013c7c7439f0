package parsers

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// framed gives a definition that puts lines together in some way.
func framed(t interface {
	Helper()
	Fatal(...any)
}, frame string,
) *Definition {
	t.Helper()
	layout := `regex: '^(?P<all>(?s:.*))$'`
	if frame == byRow {
		frame, layout = "{}", "csv: {id: all}"
	}
	d, faults := ParseDefinition("", []byte("name: x\nframe: "+frame+"\nlayouts: [{name: l, "+layout+"}]\n"))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return d
}

func linesOf(text string) (lines []Line) {
	at := int64(0)
	for line := range strings.Lines(text) {
		end := at + int64(len(line))
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, Line{Text: []byte(line), Start: at, End: end})
		}
		at = end
	}
	return lines
}

const (
	byHead = `{head: '^[IWEF][0-9]{4} ', glued: '.go:'}`
	byCRI  = `{cri: true}`
	byBoth = `{cri: true, head: '^[IWEF][0-9]{4} '}`
	byRow  = `{csv: true}`
)

func TestFramer(t *testing.T) {
	f := func(frame, text string, rest int, want ...string) {
		t.Helper()
		d := framed(t, frame)
		lines := linesOf(text)
		records, gotRest, _ := d.NewFramer(64).Join(nil, lines, nil, false)
		var got []string
		for _, r := range records {
			said := string(r.Text)
			if r.Truncated {
				said += " (truncated)"
			}
			got = append(got, said)
		}
		if diff := cmp.Diff(want, got); diff != "" || gotRest != rest {
			t.Errorf("%s %q: rest %d, want %d (-want +got):\n%s", frame, text, gotRest, rest, diff)
		}
	}
	// The last record may go on.
	f(byHead, "I0102 a\n", 0)
	f(byHead, "I0102 a\n b\n\tc\nE0102 d\nmore\n", 3, "I0102 a\n b\n\tc")
	f(byHead, "no head\nI0102 a\nI0102 b\n", 2, "no head", "I0102 a")
	f(byHead, "I0102 a.go:1] xI0102 b.go:2] y\nI0102 c\n", 1, "I0102 a.go:1] x", "I0102 b.go:2] y")
	f(byHead, "I0102 a.go:1] see b.go:2\nI0102 c\n", 1, "I0102 a.go:1] see b.go:2")
	f(byHead, "I0102 "+strings.Repeat("x", 60)+"\nyy\nI0102 b\n", 2, "I0102 "+strings.Repeat("x", 58)+" (truncated)")

	const o, e = "2024-06-02T10:11:12.5Z stdout ", "2024-06-02T10:11:12.5Z stderr "
	f(byCRI, o+"F a\n"+e+"F b\nplain\n", 3, "a", "b", "plain")
	f(byCRI, o+"P a\n"+o+"P b\n"+o+"F c\n", 3, "abc")
	f(byCRI, o+"P a\n"+e+"F x\n"+o+"F b\n", 3, "ab", "x")
	f(byCRI, o+"F x\n"+o+"P a\n"+e+"F y\n", 1, "x")
	f(byCRI, o+"F \n"+o+"F\n"+o+"F z\n", 3, "z")
	f(byCRI, o+"F:tag a\n2024-06-02T10:11:12.5+02:00 stdout F b\n2024-06-02 stdout F c\n", 3, "a", "b", "2024-06-02 stdout F c")
	f(byBoth, e+"F I0102 a\n"+e+"F  b\n"+o+"F I0102 x\n"+e+"F I0102 c\n", 2, "I0102 a\n b")
	f(byBoth, e+"P I0102 a\n"+e+"F b\n"+e+"F I0102 c\n", 2, "I0102 ab")

	// The header is no record, nor is it when it is repeated.
	f(byRow, "\ufeffid,b\n\"x\n\"\"y\",z\nid,b\n5\" disk\n\"open\n", 5, "\"x\n\"\"y\",z", "5\" disk")
	f(byRow, "id,\"b\n", 0)
	// Empty lines are part of a quoted cell, and else are none.
	f(byRow, "id,b\n\n\n1,\"x\n\n\ny\n\n\"\n\n2,z\n", 5, "1,\"x\n\n\ny\n\n\"", "2,z")
	f(byRow, "id,b\r\n1,\"x\r\n\r\n\r\ny\"\r\n", 3, "1,\"x\n\n\ny\"")
	f(byRow, "id,b\n1,\""+strings.Repeat("\n", 100)+"y\"\n", 3, "1,\" (truncated)")
	f(byRow, "id,b\n", 1)
	f(`{ansi: true}`, "\x1b[33mWARN\x1b[0m\ta\x1b[m \x1b]b\x1b[1;3\n", 1, "WARN\ta \x1b]b\x1b[1;3")
}

func TestFramer_Time(t *testing.T) {
	d := framed(t, byCRI)
	records, _, _ := d.NewFramer(64).Join(nil, linesOf("2024-06-02T12:11:12.000000001+02:00 stdout F a\nb\n"), nil, true)
	if records[0].Time != 1717323072000000001 || records[1].Time != 0 {
		t.Errorf("times %d and %d", records[0].Time, records[1].Time)
	}
}

// TestFramer_Split holds that records do not depend on where reading stopped:
// what is given back and given again makes the same records as the whole.
func TestFramer_Split(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frame := rapid.SampledFrom([]string{byHead, byCRI, byBoth, byRow}).Draw(t, "frame")
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
			"I0102 a", "E0102 b.go:1] xW0102 c.go:2] y", " more", "\tstack",
			"2024-06-02T10:11:12.5Z stdout P one ", "2024-06-02T10:11:12.5Z stdout F two", "2024-06-02T10:11:12.5Z stderr F I0102 err",
			"2024-06-02T10:11:12.5Z stderr P I0102 part", "", `"open`, `x,"y"`, `close"`, "plain",
		}), 1, 30).Draw(t, "lines"), "\n") + "\n"
		d := framed(t, frame)
		all := linesOf(text)
		say := func(rs []Line) (said []string) {
			for _, r := range rs {
				said = append(said, fmt.Sprintf("%d %q", r.Start, r.Text))
				if r.Header != nil {
					said = append(said, fmt.Sprintf("below %q", r.Header.text))
				}
			}
			return said
		}
		whole, _, _ := d.NewFramer(1<<10).Join(nil, linesOf(text), nil, true)
		framer := d.NewFramer(1 << 10)
		var got []string
		from := 0
		for to := 0; to < len(all); {
			to = rapid.IntRange(to+1, len(all)).Draw(t, "to")
			lines := make([]Line, to-from)
			for i, l := range all[from:to] {
				lines[i] = l
				lines[i].Text = bytes.Clone(l.Text)
			}
			if framer.Headed() && from > 0 { // as when a file is read on
				framer.SetHeader(d.NewFramer(1<<10).HeaderOf(all[:to], to == len(all)))
			}
			records, rest, _ := framer.Join(nil, lines, nil, to == len(all))
			got = append(got, say(records)...)
			from += rest
		}
		if diff := cmp.Diff(say(whole), got); diff != "" || from != len(all) {
			t.Fatalf("%s %q: %d of %d lines taken (-whole +in parts):\n%s", frame, text, from, len(all), diff)
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	for _, frame := range []string{byHead, byCRI, byBoth} {
		b.Run(frame, func(b *testing.B) {
			line := "2024-06-02T10:11:12.345678901Z stderr F I0102 10:11:12.345678       1 networkpolicy_controller.go:123] message of some length\n"
			if frame == byHead {
				_, line, _ = strings.Cut(line, " F ")
			}
			lines := linesOf(strings.Repeat(line, 1000))
			f := framed(b, frame).NewFramer(1 << 10)
			var records []Line
			var room []byte
			b.ReportAllocs()
			b.SetBytes(int64(1000 * len(line)))
			for b.Loop() {
				records, _, room = f.Join(records[:0], lines, room[:0], true)
			}
		})
	}
}
