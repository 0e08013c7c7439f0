package parsers

import (
	"bytes"
	"strings"
	"testing"

	"github.com/corkline/corkline/samples"
)

// Both benchmarks parse the same lines, which are those of the sample that
// have the usual layout.
func BenchmarkParse_OVS(b *testing.B) {
	eachOVSLine(b, func(d *Definition) func([]byte) bool {
		parser := d.NewParser()
		r := Record{Spans: make([]Span, 0, len(d.Fields)), Scratch: new(Scratch)}
		return func(line []byte) bool {
			r.Line = line
			r.Scratch.Reset()
			return parser.Parse(&r) == nil
		}
	})
}

func BenchmarkRegexp_OVS(b *testing.B) {
	eachOVSLine(b, func(d *Definition) func([]byte) bool {
		re := d.Layouts[0].pattern.re()
		return func(line []byte) bool { return re.FindSubmatchIndex(line) != nil }
	})
}

func eachOVSLine(b *testing.B, maker func(*Definition) func([]byte) bool) {
	set, err := Shipped()
	if err != nil {
		b.Fatal(err)
	}
	d := set["ovs-vswitchd"]
	text, err := samples.Log(d.Name)
	if err != nil {
		b.Fatal(err)
	}
	kinds := map[string][][]byte{}
	for line := range strings.Lines(string(text)) {
		line := []byte(strings.TrimSuffix(line, "\n"))
		var s search
		if s.begin(line); !s.ascii || !d.Layouts[0].pattern.re().Match(line) {
			continue
		}
		kind := "other"
		for _, module := range []string{"connmgr", "coverage", "timeval"} {
			if bytes.Contains(line, []byte("|"+module+"|")) {
				kind = module
			}
		}
		kinds[kind] = append(kinds[kind], line)
	}
	for _, kind := range []string{"other", "connmgr", "coverage", "timeval"} {
		lines, size := kinds[kind], 0
		for _, line := range lines {
			size += len(line)
		}
		b.Run(kind, func(b *testing.B) {
			f := maker(d)
			b.SetBytes(int64(size / len(lines)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if line := lines[i%len(lines)]; !f(line) {
					b.Fatalf("%q does not match", line)
				}
			}
		})
	}
}
