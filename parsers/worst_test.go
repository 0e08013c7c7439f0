package parsers

import (
	"bytes"
	"fmt"
	"testing"
	"unicode/utf8"
)

// FuzzDefinition holds for every definition that no line makes it panic, that
// spans lie in the line or in the scratch, and that the values of a line of
// valid UTF-8 are valid, too.
func FuzzDefinition(f *testing.F) {
	set := shippedSet(f)
	names := set.Names()
	var all []*parsing
	for i, name := range names {
		for _, record := range sampleRecords(f, set[name]) {
			f.Add(uint8(i), record.Text)
		}
		all = append(all, newParsing(set[name]))
	}
	f.Fuzz(func(t *testing.T, i uint8, line []byte) {
		p := all[int(i)%len(all)]
		valid := utf8.Valid(line)
		err := p.parse(&Line{Text: bytes.Clone(line)})
		r := &p.record
		if (err == nil) != (r.Layout != nil) || len(r.Spans) != len(r.Definition.Fields) {
			t.Fatalf("%q: %v, layout %v, %d spans", line, err, r.Layout, len(r.Spans))
		}
		check := func(s Span, what string) {
			if in := len(r.Line); s.Start >= 0 && (s.End < s.Start || int(s.End) > in) || s.Start < 0 && (s.End > s.Start || int(^s.End) > len(r.Scratch.bytes)) {
				t.Fatalf("%q: %s is %+v, in %d and %d bytes", line, what, s, in, len(r.Scratch.bytes))
			}
			if text := r.Text(s); valid && !utf8.Valid(text) {
				t.Fatalf("%q: %s is %q", line, what, text)
			}
			if err != nil && s != (Span{}) {
				t.Fatalf("%q: %s is %q, with the error %s", line, what, r.Text(s), err)
			}
		}
		for i, s := range r.Spans {
			check(s, r.Definition.Fields[i].Name)
		}
		for _, pair := range r.Pairs {
			check(pair.Key, "a key")
			check(pair.Value, "a value")
		}
	})
}

// almost makes long lines of a record: its start as often as it goes, from
// which the expressions begin to match again and again.
func almost(record []byte, size int) map[string][]byte {
	all := map[string][]byte{}
	for _, part := range []int{4, 2, 1} {
		start := record[:max(1, len(record)*part/4)]
		middle := record[len(record)/4 : max(len(record)/4+1, len(record)*part/4)]
		all[fmt.Sprintf("start of %d quarters", part)] = bytes.Repeat(start, max(1, size/len(start)))
		all[fmt.Sprintf("up to quarter %d", part)] = append(bytes.Clone(record), bytes.Repeat(middle, max(1, size/len(middle)))...)
	}
	all["blanks"] = append(bytes.Clone(record[:len(record)/2]), bytes.Repeat([]byte{' '}, size)...)
	all["last byte"] = append(bytes.Clone(record), bytes.Repeat(record[len(record)-1:], size)...)
	return all
}

// TestMatcher_Linear holds that the effort that a match takes grows with the
// line, not with its square.
func TestMatcher_Linear(t *testing.T) {
	const short, long = 2 << 10, 16 << 10
	set := shippedSet(t)
	for _, name := range set.Names() {
		seen := map[*Layout]bool{}
		for _, record := range sampleRecords(t, set[name]) {
			again := newParsing(set[name])
			if err := again.parse(&record); err != nil || seen[again.record.Layout] {
				continue
			}
			seen[again.record.Layout] = true
			shorts, longs := almost(record.Text, short), almost(record.Text, long)
			for of := range shorts {
				for _, layout := range set[name].Layouts {
					if layout.pattern == nil {
						continue
					}
					few, many := effort(t, layout.pattern, shorts[of]), effort(t, layout.pattern, longs[of])
					if growth := len(longs[of])/len(shorts[of]) + 1; many > 2*growth*few+1024 {
						t.Errorf("%s, layout %s, %s of %q: an effort of %d for %d bytes, of %d for %d", name, layout.Name, of, record.Text[:min(80, len(record.Text))], few, len(shorts[of]), many, len(longs[of]))
					}
				}
			}
		}
	}
}

// effort gives how much of its effort a matcher takes for a line.
func effort(t *testing.T, p *pattern, line []byte) int {
	t.Helper()
	if p.fast == nil {
		t.Fatalf("%s is left to regexp: %s", p.source, p.slow)
	}
	var s search
	s.begin(line)
	p.fast.match(&s)
	return 1024 + effortPerByte*len(line) - s.effort
}

// BenchmarkDefinition_Worst parses long lines that nearly fit, of two lengths: the time for
// each byte is to be the same.
func BenchmarkDefinition_Worst(b *testing.B) {
	set := shippedSet(b)
	for _, name := range set.Names() {
		record := sampleRecords(b, set[name])[0]
		for _, of := range []string{"start of 2 quarters", "up to quarter 4", "blanks"} {
			for _, size := range []int{64 << 10, 1 << 20} {
				line := Line{Text: almost(record.Text, size)[of]}
				b.Run(fmt.Sprintf("%s/%s/%dKiB", name, of, size>>10), func(b *testing.B) {
					again := newParsing(set[name])
					b.SetBytes(int64(len(line.Text)))
					b.ReportAllocs()
					for b.Loop() {
						_ = again.parse(&line) // most have no layout
					}
				})
			}
		}
	}
}
