package openflow

import (
	"math"
	"strings"
	"testing"

	"github.com/corkline/corkline/parsers/ovs"
)

// entries of the recorded replies of a kind, to start from.
func entries(f *testing.F, v Version, kind uint16) (bodies [][]byte) {
	stream, _ := recorded(f, v)
	c, _ := replayed(stream)
	for {
		m, err := c.message()
		if err != nil {
			return bodies
		}
		if m[1] == typeMultipartReply && be16(m[8:]) == kind {
			bodies = append(bodies, append([]byte(nil), m[multipartLen:]...))
		}
	}
}

// FuzzFlow holds that whatever decodes is printed as a line that parses, and
// that no accessor goes wrong with it.
func FuzzFlow(f *testing.F) {
	for _, v := range []Version{Version13, Version15} {
		for _, body := range entries(f, v, multipartFlow) {
			if err := eachEntry(body, func(entry []byte) error { f.Add(entry, v == Version15, false); return nil }); err != nil {
				f.Fatal(err)
			}
		}
	}
	names := &Names{Ports: map[uint32]string{1: "web-0"}, Tables: map[uint8]string{0: "Classifier", 9: `"`}}
	f.Fuzz(func(t *testing.T, entry []byte, v15, old bool) {
		c := &Client{version: Version13}
		if v15 {
			c.version = Version15
		}
		if old {
			c.flows15 = layout13
		}
		var flow Flow
		if c.decodeFlow(&flow, entry) != nil {
			return
		}
		var parsed ovs.Flow
		for _, n := range []*Names{nil, names} {
			line := flow.AppendText(nil, n)
			if len(line) > 1000+40*len(entry) {
				t.Fatalf("%d bytes make %d: %s", len(entry), len(line), line)
			}
			if err := parsed.Parse(line); err != nil {
				t.Fatalf("% x\n%s\n%v", entry, line, err)
			}
			if parsed.Cookie != flow.Cookie || parsed.Priority != uint32(flow.Priority) || parsed.Packets != flow.Packets {
				t.Fatalf("% x\n%s", entry, line)
			}
		}
		flow.Match.Source()
		flow.Match.Destination()
		flow.Match.CTState()
		flow.Match.EthType()
		flow.Match.IPProto()
		flow.Instructions.Metadata()
		flow.Instructions.Clear()
		flow.Instructions.Drop()
		use(t, flow.Instructions.Apply())
		use(t, flow.Instructions.Write())
	})
}

// use asks all of all actions.
func use(t *testing.T, l Actions) {
	t.Helper()
	for a := range l.All() {
		a.Output()
		a.Controller()
		a.Note()
		a.Learn()
		if s, ok := a.SetField(); ok {
			s.Uint64()
			for n := range 16 {
				s.Register(n)
			}
		}
		if table, ok := a.CT().Table(); ok && table == AllTables {
			t.Errorf("%v leads to all tables, which are none", a)
		}
		use(t, a.Nested())
	}
}

// FuzzStatistics holds that no reply makes the other decoders panic or go on
// without end.
func FuzzStatistics(f *testing.F) {
	for _, v := range []Version{Version13, Version15} {
		for _, kind := range []uint16{multipartAggregate, multipartTable, multipartPort, multipartGroup, multipartGroupDesc, multipartMeter, multipartMeterFeatures, multipartPortDesc} {
			for _, body := range entries(f, v, kind) {
				f.Add(body[:min(len(body), 512)], v == Version15, kind)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, v15 bool, kind uint16) {
		if len(body) > math.MaxUint16-multipartLen {
			return
		}
		v := Version13
		if v15 {
			v = Version15
		}
		request := make([]byte, 10)
		request[0], request[7] = byte(v), 1
		request[8], request[9] = byte(kind>>8), byte(kind)
		c, _ := replayed(reply(request, false, body...))
		c.version = v
		n := 0
		each := func() error {
			if n++; n > len(body) {
				t.Fatalf("%d entries in %d bytes", n, len(body))
			}
			return nil
		}
		ctx := t.Context()
		var err error
		switch kind {
		case multipartAggregate:
			_, err = c.Aggregate(ctx, FlowFilter{})
		case multipartTable:
			err = c.Tables(ctx, func(*ovs.TableStats) error { return each() })
		case multipartPort:
			err = c.PortStats(ctx, func(*ovs.PortStats) error { return each() })
		case multipartGroup:
			err = c.GroupStats(ctx, func(*ovs.GroupStats) error { return each() })
		case multipartGroupDesc:
			err = c.Groups(ctx, func(g *Group) error {
				for _, b := range g.Buckets {
					use(t, b.Actions)
				}
				g.AppendText(nil, nil)
				return each()
			})
		case multipartMeter:
			err = c.Meters(ctx, func(*MeterStats) error { return each() })
		case multipartMeterFeatures:
			_, err = c.MeterFeatures(ctx)
		case multipartTableFeatures:
			_, err = c.TableNames(ctx)
		case multipartPortDesc:
			err = c.Ports(ctx, func(*Port) error { return each() })
		}
		if err != nil && !strings.Contains(err.Error(), "decode ") {
			t.Fatal(err)
		}
	})
}

// FuzzHello holds that no greeting makes a client panic or wait.
func FuzzHello(f *testing.F) {
	f.Add([]byte{6, 0, 0, 8, 0, 0, 0, 1})
	f.Add([]byte{6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x50})
	f.Add([]byte{1, 1, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		c, _ := replayed(stream)
		err := c.do(t.Context(), func() error { return c.hello([]Version{Version13, Version15}) })
		if (err == nil) != (c.version == Version13 || c.version == Version15) {
			t.Fatalf("%v, version %s", err, c.version)
		}
	})
}

// Every cut of a flow is an error, never a flow of something else.
func TestCut(t *testing.T) {
	stream, _ := recorded(t, Version15)
	c, _ := replayed(stream)
	for {
		m, err := c.message()
		if err != nil {
			t.Fatal(err)
		}
		if m[1] != typeMultipartReply {
			continue
		}
		var f Flow
		entry := m[multipartLen : multipartLen+int(be16(m[multipartLen:]))]
		for n := range entry {
			if n == len(entry)-len(f.Instructions.b) {
				continue // the instructions are missing as a whole: drop
			}
			err := f.decode15(entry[:n])
			whole := err == nil && n >= 8 && n%8 == 0 // between two instructions
			if err == nil && !whole {
				t.Errorf("%d of %d bytes are a flow", n, len(entry))
			}
		}
		return
	}
}

func TestDecodeError(t *testing.T) {
	f := func(b []byte, want string) {
		t.Helper()
		head := append(make([]byte, 24), b...)
		var flow Flow
		if err := flow.decode15(head); err == nil || err.Error() != want {
			t.Errorf("% x: want %s, got %v", b, want, err)
		}
	}
	match := []byte{0, 1, 0, 4, 0, 0, 0, 0}
	stats := []byte{0, 0, 0, 4, 0, 0, 0, 0}
	f(nil, "decode a match at byte 24")
	f([]byte{0, 0, 0, 4, 0, 0, 0, 0}, "decode the head of a match at byte 24")
	f([]byte{0, 1, 0, 12, 0x80, 0, 10, 2, 8, 0, 0, 0, 0, 0, 0, 0}[:12], "decode the head of a match at byte 24")
	f([]byte{0, 1, 0, 9, 0x80, 0, 10, 2, 8, 0, 0, 0, 0, 0, 0, 0}, "decode the match field eth_type at byte 28")
	f([]byte{0, 1, 0, 9, 0x80, 0, 10, 1, 8, 0, 0, 0, 0, 0, 0, 0}, "decode the match field eth_type at byte 28")
	f([]byte{0, 1, 0, 9, 0x80, 9, 10, 2, 8, 0, 0, 0, 0, 0, 0, 0}, "decode the match field 0x8009:5 at byte 28")
	f(match, "decode statistics at byte 32")
	f(append(match, 0, 0, 0, 8, 0x80, 2, 8, 8), "decode a statistic at byte 36")
	both := append(append([]byte{}, match...), stats...)
	f(append(both, 0, 4, 0, 8), "decode the head of an instruction at byte 40")
	f(append(both, 0, 4, 0, 16, 0, 0, 0, 0), "decode the length of an instruction at byte 40")
	f(append(both, 0, 4, 0, 16, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 1), "decode the action output at byte 48")
	f(append(both, 0, 4, 0, 16, 0, 0, 0, 0, 0, 25, 0, 8, 0x80, 0, 10, 2), "decode the action set_field at byte 52")
}
