package netlink

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const nested = 1 << 15 // the flag of attributes that hold others

func attr(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%4 > 0 {
		b = append(b, 0)
	}
	return b
}

func nest(kind uint16, attrs ...[]byte) []byte {
	var all []byte
	for _, a := range attrs {
		all = append(all, a...)
	}
	return attr(kind|nested, all...)
}

func u16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func tuple(kind uint16, src, dst string, protocol uint8, proto ...[]byte) []byte {
	first := uint16(attrIPv4Src)
	if netip.MustParseAddr(src).Is6() {
		first = attrIPv6Src
	}
	return nest(kind,
		nest(attrTupleIP, attr(first, netip.MustParseAddr(src).AsSlice()...), attr(first+1, netip.MustParseAddr(dst).AsSlice()...)),
		nest(attrTupleProto, append([][]byte{attr(attrProtoNum, protocol)}, proto...)...))
}

func payload(family uint8, attrs ...[]byte) []byte {
	b := []byte{family, 0, 0, 0}
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

// tcp is what the kernel says of a connection with all that it may have.
func tcp() []byte {
	return payload(familyIPv4,
		tuple(attrTupleOrig, "192.0.2.10", "198.51.100.7", 6, attr(attrProtoSrcPort, u16(40001)...), attr(attrProtoDstPort, u16(443)...)),
		tuple(attrTupleReply, "203.0.113.5", "192.0.2.10", 6, attr(attrProtoSrcPort, u16(8443)...), attr(attrProtoDstPort, u16(40001)...)),
		attr(attrStatus, u32(SeenReply|Assured|Confirmed|DestNAT)...),
		attr(attrTimeout, u32(431999)...),
		nest(attrCountersOrig, attr(attrPackets, u64(10)...), attr(attrBytes, u64(1<<33)...)),
		nest(attrCountersReply, attr(attrPackets32, u32(7)...), attr(attrBytes32, u32(700)...)),
		nest(attrTimestamp, attr(attrStart, u64(1<<60)...), attr(attrStop, u64(1<<60+5)...)),
		nest(attrProtoInfo, nest(1, attr(1, 3), attr(2, 7), attr(3, 7))),
		attr(attrMark, u32(0x13)...), attr(attrID, u32(0xdeadbeef)...), attr(11, u32(1)...),
		attr(attrZone, u16(65520)...), attr(attrLabels, []byte("0123456789abcdef")...), attr(99, 1, 2, 3),
	)
}

func TestEntry_Decode(t *testing.T) {
	f := func(payload []byte, want Entry) {
		t.Helper()
		got := Entry{Mark: 5, Labels: [16]byte{1}} // of the entry before
		if err := got.Decode(payload); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	ip := netip.MustParseAddr
	f(tcp(), Entry{
		Orig:   Tuple{Src: ip("192.0.2.10"), Dst: ip("198.51.100.7"), SrcPort: 40001, DstPort: 443, Packets: 10, Bytes: 1 << 33},
		Reply:  Tuple{Src: ip("203.0.113.5"), Dst: ip("192.0.2.10"), SrcPort: 8443, DstPort: 40001, Packets: 7, Bytes: 700},
		Family: 4, Protocol: 6, State: 3, Zone: 65520, Status: SeenReply | Assured | Confirmed | DestNAT, Mark: 0x13, Timeout: 431999, ID: 0xdeadbeef,
		Labels: [16]byte([]byte("0123456789abcdef")), Start: 1 << 60, Stop: 1<<60 + 5,
	})
	f(payload(familyIPv6,
		nest(attrTupleOrig, tuple(0, "2001:db8::1", "2001:db8::2", 58, attr(attrICMPv6ID, u16(7)...), attr(attrICMPv6Type, 128), attr(attrICMPv6Code, 1))[4:], attr(attrTupleZone, u16(9)...)),
	), Entry{
		Orig:   Tuple{Src: ip("2001:db8::1"), Dst: ip("2001:db8::2"), ICMPID: 7, ICMPType: 128, ICMPCode: 1},
		Family: 6, Protocol: 58, Zone: 9,
	})
	f(payload(1), Entry{})
}

// What is cut anywhere is an error, or an entry with less in it.
func TestEntry_DecodeCut(t *testing.T) {
	whole := tcp()
	wrong := 0
	for n := range whole {
		var e Entry
		if e.Decode(whole[:n]) != nil {
			wrong++
		}
	}
	if wrong < len(whole)*3/4 {
		t.Errorf("%d of %d cuts are errors only", wrong, len(whole))
	}
	for _, a := range [][]byte{
		attr(attrStatus, 1), attr(attrZone, 1), attr(attrTimestamp, attr(attrStart, 1)...), attr(attrProtoInfo, 1, 2), attr(attrProtoInfo, attr(1, attr(1)...)...),
		attr(attrTupleOrig, attr(attrTupleIP, attr(attrIPv4Src, 1)...)...), attr(attrTupleOrig, attr(attrTupleIP, attr(attrIPv6Dst, 1)...)...),
		attr(attrTupleReply, attr(attrTupleProto, attr(attrProtoNum)...)...), attr(attrCountersOrig, attr(attrBytes, 1)...),
		{3, 0, 1, 0},
		{1},
	} {
		var e Entry
		if err := e.Decode(payload(familyIPv4, a)); err == nil {
			t.Errorf("%x is no error", a)
		}
	}
}

func TestEntry_Rules(t *testing.T) {
	e := Entry{Labels: [16]byte{8: 0, 0, 0, 2, 0, 0, 1, 7}} // ct_label=0x200000107
	if ingress, egress := e.Rules(); ingress != 0x107 || egress != 2 {
		t.Errorf("rules %d and %d", ingress, egress)
	}
}

// What is read as a usual tuple is what it is attribute by attribute; what is
// usual is read so.
func FuzzUsual(f *testing.F) {
	ports := [][]byte{attr(attrProtoSrcPort, u16(40001)...), attr(attrProtoDstPort, u16(443)...)}
	for _, t := range [][]byte{
		tuple(attrTupleOrig, "192.0.2.10", "198.51.100.7", 6, ports...),
		tuple(attrTupleOrig, "2001:db8::1", "2001:db8::2", 17, ports...),
	} {
		var e Entry
		if e.usual(&e.Orig, t[4:]) != (binary.NativeEndian.Uint16(t) == binary.LittleEndian.Uint16(t)) {
			f.Errorf("not usual: %x", t)
		}
		f.Add(t[4:])
		f.Add(append(t[4:], 0, 0, 0, 0))
	}
	f.Add(tuple(attrTupleOrig, "192.0.2.10", "198.51.100.7", 6, ports[1], ports[0])[4:])
	f.Fuzz(func(t *testing.T, attrs []byte) {
		var got, want Entry
		ok := want.tuple(&want.Orig, attrs)
		if got.usual(&got.Orig, attrs) {
			if !ok || got != want {
				t.Errorf("%+v, want %+v, %t", got, want, ok)
			}
		} else if got != (Entry{}) {
			t.Errorf("not usual, and yet %+v", got)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add(tcp())
	f.Add(payload(familyIPv6, tuple(attrTupleOrig, "2001:db8::1", "2001:db8::2", 58, attr(attrICMPv6ID, 1, 2))))
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := string(payload)
		var a, b Entry
		errA := a.Decode(payload)
		b = Entry{Mark: 1, State: 9, Start: 3}
		if errB := b.Decode(payload); (errA == nil) != (errB == nil) || errA == nil && a != b {
			t.Errorf("decoding depends on what the entry held: %+v and %+v, %v and %v", a, b, errA, errB)
		}
		if string(payload) != before {
			t.Error("the payload has changed")
		}
	})
}

// packet of messages.
func packet(kind, flags uint16, sequence uint32, payloads ...[]byte) (b []byte) {
	for _, p := range payloads {
		for len(b)%4 > 0 {
			b = append(b, 0)
		}
		start := len(b)
		b = binary.NativeEndian.AppendUint32(b, uint32(headerBytes+len(p)))
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = binary.NativeEndian.AppendUint16(b, flags)
		b = binary.NativeEndian.AppendUint32(b, sequence)
		b = append(binary.NativeEndian.AppendUint32(b, 0), p...)
		_ = start
	}
	return b
}

func TestDump_Entries(t *testing.T) {
	f := func(buffer []byte, wantDone bool, wantErr error, want DumpStats) {
		t.Helper()
		d := dump{sequence: 7, filter: &Filter{Family: 4}, each: func(e *Entry) {
			if e.Family != 4 {
				t.Errorf("the filter lets %+v pass", e)
			}
		}}
		done, err := d.entries(buffer)
		if done != wantDone || !errors.Is(err, wantErr) || d.stats != want {
			t.Errorf("%t, %v, %+v", done, err, d.stats)
		}
	}
	six := payload(familyIPv6)
	f(nil, false, nil, DumpStats{})
	f(packet(conntrackNew, 0, 7, tcp(), six, tcp()), false, nil, DumpStats{Entries: 2, Filtered: 1})
	f(packet(conntrackNew, flagInterrupted, 7, tcp()), false, nil, DumpStats{Entries: 1, Interrupted: true})
	f(packet(conntrackNew, 0, 6, tcp()), false, nil, DumpStats{}) // of another dump
	f(packet(messageNoop, 0, 7, tcp()), false, nil, DumpStats{})
	f(append(packet(conntrackNew, 0, 7, tcp()), packet(messageDone, 0, 7, make([]byte, 4))...), true, nil, DumpStats{Entries: 1})
	f(packet(messageDone, 0, 7, []byte{}), true, nil, DumpStats{})
	f(packet(messageError, 0, 7, make([]byte, 20)), false, nil, DumpStats{}) // an acknowledgement
	errno := syscall.EPERM
	f(packet(messageError, 0, 7, binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno)))), true, syscall.EPERM, DumpStats{})
	f(packet(messageError, 0, 7, []byte{1}), true, errDamaged, DumpStats{})
	f(packet(conntrackNew, 0, 7, tcp()[:20]), true, errShort, DumpStats{})
	f(packet(conntrackNew, 0, 7, tcp())[:40], true, errDamaged, DumpStats{})
	f([]byte{1, 2, 3}, true, errDamaged, DumpStats{})
	f(make([]byte, 16), true, errDamaged, DumpStats{})
}

// A context that has ended before the dump wins against any answer, since the
// kernel is not asked.
func TestDump_Ended(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var closed Conn
	if _, err := closed.Dump(ctx, Filter{}, func(*Entry) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func FuzzDump(f *testing.F) {
	f.Add(append(packet(conntrackNew, 2, 7, tcp(), tcp()), packet(messageDone, 0, 7, make([]byte, 4))...))
	f.Add(packet(messageError, 0, 7, make([]byte, 20)))
	f.Add(packet(conntrackStatsCPU, 0, 7, payload(0, attr(2, u32(1)...))))
	f.Fuzz(func(t *testing.T, buffer []byte) {
		d := dump{sequence: 7, filter: &Filter{}, each: func(*Entry) {}}
		if done, err := d.entries(buffer); err != nil && !done {
			t.Error("an error does not end the dump")
		}
		var entry Entry
		if err := events(buffer, &entry, func(Event, *Entry) {}); err != nil && err.Error() == "" {
			t.Error("an empty error")
		}
		_, err := messages(buffer, 7, func(m *message) (bool, error) {
			var cpu CPUStats
			var s Stats
			return false, errors.Join(cpu.decode(m.payload), s.decode(m.payload))
		})
		if err != nil && !strings.Contains(err.Error(), ":") {
			t.Errorf("error is %q", err)
		}
	})
}

func TestStats_Decode(t *testing.T) {
	var cpu CPUStats
	p := payload(0, attr(2, u32(1)...), attr(4, u32(2)...), attr(8, u32(3)...), attr(9, u32(4)...), attr(10, u32(5)...), attr(11, u32(6)...),
		attr(12, u32(7)...), attr(13, u32(8)...), attr(14, u32(9)...), attr(15, u32(1<<32-1)...), attr(77, u32(1)...))
	p[3] = 3 // the CPU
	want := CPUStats{3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1<<32 - 1}
	if err := cpu.decode(p); err != nil || cpu != want {
		t.Errorf("%+v, %v", cpu, err)
	}
	var s Stats
	if err := s.decode(payload(0, attr(1, u32(12)...), attr(2, u32(34)...))); err != nil || s != (Stats{12, 34}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, damaged := range [][]byte{nil, payload(0, attr(1, 1)), payload(0, []byte{1, 2, 3})} {
		if cpu.decode(damaged) == nil || s.decode(damaged) == nil {
			t.Errorf("%x is no error", damaged)
		}
	}
}

func TestFilter(t *testing.T) {
	var e Entry
	if err := e.Decode(tcp()); err != nil {
		t.Fatal(err)
	}
	f := func(filter Filter, want bool, attrs ...[]byte) {
		t.Helper()
		if filter.Matches(&e) != want {
			t.Errorf("%+v matches: %t", filter, !want)
		}
		var all []byte
		for _, a := range attrs {
			all = append(all, a...)
		}
		if diff := cmp.Diff(all, filter.append(nil)); diff != "" {
			t.Errorf("%+v: attributes (-want +got):\n%s", filter, diff)
		}
	}
	f(Filter{}, true)
	f(Filter{Family: 4}, true)
	f(Filter{Family: 6}, false)
	f(Filter{Mark: 0x10, MarkMask: 0x10}, true, attr(attrMark, u32(0x10)...), attr(attrMarkMask, u32(0x10)...))
	f(Filter{MarkMask: 0xf}, false, attr(attrMark, u32(0)...), attr(attrMarkMask, u32(0xf)...))
	f(Unreplied(), false, attr(attrStatus, u32(0)...), attr(attrStatusMask, u32(SeenReply)...))
	f(Unassured(), false, attr(attrStatus, u32(0)...), attr(attrStatusMask, u32(Assured)...))
	f(Filter{Status: SeenReply, StatusMask: SeenReply}, true, attr(attrStatus, u32(SeenReply)...), attr(attrStatusMask, u32(SeenReply)...))
	f(Filter{Zone: 65520, OnlyZone: true}, true, attr(attrZone, u16(65520)...))
	f(Filter{OnlyZone: true}, false, attr(attrZone, u16(0)...))
}

// BenchmarkDump decodes what the kernel hands out for 2 million entries, in
// parts of 32 KiB.
func BenchmarkDump(b *testing.B) {
	var payloads [][]byte
	for size := 0; size < 32<<10; size += headerBytes + len(tcp()) {
		payloads = append(payloads, tcp())
	}
	part := packet(conntrackNew, 2, 7, payloads...)
	const entries = 2_000_000
	parts := entries / len(payloads)
	b.ReportAllocs()
	b.SetBytes(int64(parts) * int64(len(part)))
	var n int
	d := dump{sequence: 7, filter: &Filter{}, each: func(*Entry) { n++ }}
	for b.Loop() {
		n = 0
		for range parts {
			if _, err := d.entries(part); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
}
