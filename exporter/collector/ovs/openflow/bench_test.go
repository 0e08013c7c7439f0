package openflow

import (
	"testing"
)

// BenchmarkFlows decodes the recorded parts of a reply, as a poll does.
func BenchmarkFlows(b *testing.B) {
	for _, v := range []Version{Version13, Version15} {
		stream, _ := recorded(b, v)
		start := int(be16(stream[2:])) // behind the hello
		run := func(name string, each func(*Flow) error) {
			b.Run(v.String()+"/"+name, func(b *testing.B) {
				c, r := replayed(nil)
				c.version = v
				flows, size := 0, 0
				ctx := b.Context()
				b.ReportAllocs()
				for b.Loop() {
					r.from.Reset(stream[start:])
					c.start, c.end, c.xid = 0, 0, 0
					flows = 0
					if err := c.Flows(ctx, FlowFilter{Table: AllTables}, func(f *Flow) error {
						flows++
						return each(f)
					}); err != nil {
						b.Fatal(err)
					}
					size = len(stream) - start - r.from.Len() - (c.end - c.start)
				}
				b.SetBytes(int64(size))
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(flows), "ns/flow")
			})
		}
		run("decode", func(*Flow) error { return nil })
		sum := uint64(0)
		run("fields and actions", func(f *Flow) error {
			for field := range f.Match.Fields() {
				sum += uint64(field.ID)
			}
			for a := range f.Instructions.All() {
				sum += uint64(a.Kind)
			}
			if f.Instructions.Drop() {
				sum += f.Packets.Value
			}
			return nil
		})
		var text []byte
		run("text", func(f *Flow) error { text = f.AppendText(text[:0], nil); return nil })
	}
}
