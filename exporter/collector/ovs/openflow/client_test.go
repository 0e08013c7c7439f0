package openflow

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/corkline/corkline/parsers/ovs"
)

// replay is a connection on which a switch says what was recorded.
type replay struct {
	net.Conn
	from bytes.Reader
}

func (r *replay) Read(b []byte) (int, error)  { return r.from.Read(b) }
func (r *replay) Write(b []byte) (int, error) { return len(b), nil }
func (r *replay) SetDeadline(time.Time) error { return nil }
func (r *replay) Close() error                { return nil }
func replayed(stream []byte) (*Client, *replay) {
	r := &replay{}
	r.from.Reset(stream)
	return newClient(r), r
}

// recorded is what a real Open vSwitch 3.1 said to TestRecord of tests/ovs, and
// how the flows and groups are printed.
func recorded(t testing.TB, v Version) (stream []byte, text string) {
	t.Helper()
	stem := filepath.Join("testdata", map[Version]string{Version13: "openflow13", Version15: "openflow15"}[v])
	stream, err := os.ReadFile(stem + ".bin")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(stem + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	return stream, string(b)
}

func TestRecorded(t *testing.T) {
	for _, v := range []Version{Version13, Version15} {
		stream, want := recorded(t, v)
		c, r := replayed(stream)
		ctx := t.Context()
		if err := c.do(ctx, func() error { return c.hello([]Version{v}) }); err != nil || c.Version() != v {
			t.Fatalf("%s: %v", c.Version(), err)
		}
		var text []byte
		var ports, portStats, groupStats, meters, tables, flows int
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		ok(c.Flows(ctx, FlowFilter{Table: AllTables}, func(f *Flow) error {
			flows++
			text = append(f.AppendText(text, nil), '\n')
			checkAccessors(t, f)
			return nil
		}))
		ok(c.Groups(ctx, func(g *Group) error { text = append(g.AppendText(text, nil), '\n'); return nil }))
		ok(c.Ports(ctx, func(p *Port) error {
			ports++
			if p.Number == 1 && p.Name != "pod-a" || p.Number == PortLocal && p.Name != "br-int" || len(p.Address) != 6 {
				t.Errorf("%+v", p)
			}
			return nil
		}))
		ok(c.PortStats(ctx, func(p *ovs.PortStats) error {
			portStats++
			if !p.RxPackets.Known || p.Duration <= 0 || p.Port == "LOCAL" != (p.Number == -1) {
				t.Errorf("%+v", p)
			}
			return nil
		}))
		ok(c.GroupStats(ctx, func(g *ovs.GroupStats) error {
			groupStats++
			if g.ID == 1 && len(g.Buckets) != 2 || g.Duration <= 0 {
				t.Errorf("%+v", g)
			}
			return nil
		}))
		ok(c.Meters(ctx, func(m *MeterStats) error { meters += len(m.Bands); return nil }))
		ok(c.Tables(ctx, func(*ovs.TableStats) error { tables++; return nil }))
		sum, err := c.Aggregate(ctx, FlowFilter{Table: AllTables})
		ok(err)
		features, err := c.MeterFeatures(ctx)
		ok(err)
		if diff := cmp.Diff(want, string(text)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if int(sum.Flows) != flows || ports != 4 || portStats != 4 || groupStats != 8 || meters != 2 || tables != 254 || features.MaxBands != 8 {
			t.Errorf("%s: %+v, %d ports, %d %d, %d meters, %d tables, %+v", v, sum, ports, portStats, groupStats, meters, tables, features)
		}
		if r.from.Len() != 0 {
			t.Errorf("%d bytes were not read", r.from.Len())
		}
	}
}

// checkAccessors compares what is read from the bytes with what the printed
// flow says.
func checkAccessors(t *testing.T, f *Flow) {
	t.Helper()
	line := f.AppendText(nil, nil)
	var p ovs.Flow
	if err := p.Parse(line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	said := map[string]string{}
	for name, value := range p.MatchFields() {
		said[string(name)] = string(value)
	}
	number := func(name string, value, mask uint64, is bool) {
		t.Helper()
		v, m, ok := ovs.ParseNumber([]byte(said[name]))
		if _, there := said[name]; there != is || is && (!ok || v != value || m&mask != mask) {
			t.Errorf("%s: %s is %#x/%#x %v", line, name, value, mask, is)
		}
	}
	id, ok := f.Match.ConjunctionID()
	number("conj_id", uint64(id), 0xffffffff, ok)
	for n := range 16 {
		v, m, ok := f.Match.Register(n)
		number(fmt.Sprintf("reg%d", n), uint64(v), uint64(m), ok)
	}
	v, m, ok := f.Match.CTMark()
	number("ct_mark", uint64(v), uint64(m), ok)
	if port, ok := f.Match.InPort(); ok && port < PortMax {
		number("in_port", uint64(port), 0xffffffff, true)
	}
	value, mask, ok := f.Match.CTLabel()
	wantValue, wantMask, wantOK := ovs.ParseLabel([]byte(said["ct_label"]))
	if ok != wantOK || ok && (value != wantValue || mask != wantMask) {
		t.Errorf("%s: ct_label is %v/%v", line, value, mask)
	}
	if address, bits, ok := f.Match.Source(); ok && bits >= 0 {
		text := address.String()
		if bits < address.BitLen() {
			text += fmt.Sprintf("/%d", bits)
		}
		if is := said["nw_src"] + said["ipv6_src"] + said["arp_spa"]; is != text && text != "::c000:201" {
			t.Errorf("%s: the source is %s", line, text)
		}
	}

	var resubmits, outputs, conjunctions, gotos, groups, meters, kinds []string
	table := func(n uint8) string {
		if n == AllTables {
			return ""
		}
		return fmt.Sprint(n)
	}
	for a := range f.Instructions.All() {
		kinds = append(kinds, a.Kind.String())
		if port, id, ok := a.Resubmit(); ok {
			name := fmt.Sprint(port)
			switch port {
			case PortIn:
				name = ""
			case PortLocal:
				name = "LOCAL"
			}
			resubmits = append(resubmits, name+","+table(id))
		}
		if port, ok := a.Output(); ok && a.Kind == Output && port < PortMax {
			outputs = append(outputs, fmt.Sprint(port))
		}
		if id, k, n, ok := a.Conjunction(); ok {
			conjunctions = append(conjunctions, fmt.Sprintf("%d,%d/%d", id, k, n))
		}
		if id, ok := a.Group(); ok {
			groups = append(groups, fmt.Sprint(id))
		}
		if id, ok := a.Meter(); ok {
			meters = append(meters, fmt.Sprint(id))
		}
	}
	if id, ok := f.Instructions.GotoTable(); ok {
		gotos = append(gotos, fmt.Sprint(id))
	}
	if id, ok := f.Instructions.Meter(); ok {
		meters = append(meters, fmt.Sprint(id))
	}
	printed := map[string][]string{}
	for name, argument := range ovs.Actions(p.Actions) {
		switch name, argument := string(name), string(argument); {
		case name == "resubmit":
			if !strings.Contains(argument, ",") {
				argument += ","
			}
			printed[name] = append(printed[name], strings.TrimSuffix(argument, ",ct"))
		case name == "write_actions":
			for name, argument := range ovs.Actions([]byte(argument)) {
				printed[string(name)] = append(printed[string(name)], string(argument))
			}
		case name == "output" && strings.Trim(argument, "0123456789") != "": // to a register, or cut
		default:
			printed[name] = append(printed[name], argument)
		}
	}
	for name, got := range map[string][]string{"resubmit": resubmits, "output": outputs, "conjunction": conjunctions, "goto_table": gotos, "group": groups, "meter": meters} {
		if diff := cmp.Diff(printed[name], got); diff != "" {
			t.Errorf("%s: %s of %v (-want +got):\n%s", line, name, kinds, diff)
		}
	}
	if string(p.Actions) == "drop" && !f.Instructions.Drop() || f.Instructions.Drop() && len(resubmits)+len(outputs)+len(gotos)+len(groups)+len(conjunctions) > 0 {
		t.Errorf("%s: drop is %v", line, f.Instructions.Drop())
	}
}

// served gives a client of a switch that a function plays.
func served(t *testing.T, play func(s *fake)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "of") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "br-int.mgmt")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		play(&fake{t, conn})
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
		_ = os.RemoveAll(dir)
	})
	return path
}

type fake struct {
	t *testing.T
	net.Conn
}

// expect reads a message of a type.
func (s *fake) expect(kind byte) []byte {
	s.t.Helper()
	m := make([]byte, headerLen)
	if _, err := io.ReadFull(s, m); err != nil {
		s.t.Errorf("read a message: %v", err)
		return m
	}
	m = append(m, make([]byte, int(be16(m[2:]))-headerLen)...)
	if _, err := io.ReadFull(s, m[headerLen:]); err != nil || m[1] != kind {
		s.t.Errorf("want type %d, got % x, %v", kind, m, err)
	}
	return m
}

func message(version Version, kind byte, xid uint32, body ...byte) []byte {
	m := append([]byte{byte(version), kind, 0, 0, 0, 0, 0, 0}, body...)
	binary.BigEndian.PutUint16(m[2:], uint16(len(m)))
	binary.BigEndian.PutUint32(m[4:], xid)
	return m
}

func (s *fake) send(messages ...[]byte) {
	if _, err := s.Write(bytes.Join(messages, nil)); err != nil {
		s.t.Errorf("write: %v", err)
	}
}

// greet as a switch with versions up to 1.5.
func (s *fake) greet() {
	s.expect(typeHello)
	s.send(message(Version15, typeHello, 1))
}

// reply is a part of a multipart reply to a request.
func reply(request []byte, more bool, body ...byte) []byte {
	head := []byte{request[8], request[9], 0, 0, 0, 0, 0, 0}
	if more {
		head[1+2] = 1
	}
	return message(Version(request[0]), typeMultipartReply, be32(request[4:]), append(head, body...)...)
}

func tableStats(id, active byte) []byte {
	b := make([]byte, 24)
	b[0], b[7] = id, active
	return b
}

func TestClient(t *testing.T) {
	f := func(name string, play func(s *fake), use func(c *Client, err error)) {
		t.Run(name, func(t *testing.T) {
			path := served(t, play)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			c, err := Dial(ctx, path)
			use(c, err)
			if c != nil {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	count := func(c *Client) (tables int, err error) {
		err = c.Tables(context.Background(), func(s *ovs.TableStats) error { tables += int(s.Active); return nil })
		return tables, err
	}
	f("hello with a bitmap", func(s *fake) {
		hello := s.expect(typeHello)
		if want := []byte{6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x50}; !bytes.Equal(hello, want) {
			t.Errorf("hello % x", hello)
		}
		s.send(message(5, typeHello, 1, 0, 9, 0, 8, 0, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x32)) // after an element that is not known: 1.0, 1.3 and 1.4
	}, func(c *Client, err error) {
		if err != nil || c.Version() != Version13 {
			t.Errorf("%v", err)
		}
	})
	f("hello without", func(s *fake) { s.expect(typeHello); s.send(message(5, typeHello, 1)) }, func(c *Client, err error) {
		if err != nil || c.Version() != Version13 {
			t.Errorf("%v", err)
		}
	})
	f("no common version", func(s *fake) { s.expect(typeHello); s.send(message(1, typeHello, 1)) }, func(_ *Client, err error) {
		if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "up to 1.0") {
			t.Error(err)
		}
	})
	f("refused", func(s *fake) { s.expect(typeHello); s.send(message(1, typeError, 1, 0, 0, 0, 0)) }, func(_ *Client, err error) {
		if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "OFPET_HELLO_FAILED, OFPHFC_INCOMPATIBLE") {
			t.Error(err)
		}
	})
	f("parts, with other messages between", func(s *fake) {
		s.greet()
		request := s.expect(typeMultipartRequest)
		s.send(reply(request, true, tableStats(0, 5)...), message(Version15, typeEchoRequest, 77, 'h', 'i'), message(Version15, 12, 9, make([]byte, 80)...),
			message(Version15, typeError, 9, 0, 1, 0, 1), reply(request, true), reply(request, false, append(tableStats(1, 6), tableStats(2, 7)...)...))
		if echo := s.expect(typeEchoReply); be32(echo[4:]) != 77 || string(echo[8:]) != "hi" {
			t.Errorf("echo % x", echo)
		}
	}, func(c *Client, err error) {
		if n, tableErr := count(c); err != nil || n != 18 || tableErr != nil {
			t.Errorf("%v, %d %v", err, n, tableErr)
		}
	})
	f("an error of the switch leaves the connection", func(s *fake) {
		s.greet()
		s.send(message(Version15, typeError, be32(s.expect(typeMultipartRequest)[4:]), 0, 1, 0, 2, 1, 2, 3))
		s.send(reply(s.expect(typeMultipartRequest), false, tableStats(0, 5)...))
	}, func(c *Client, _ error) {
		_, err := count(c)
		if answer := (Error{}); !errors.As(err, &answer) || answer != (Error{Type: 1, Code: 2}) || err.Error() != "read table statistics: the switch answers OFPET_BAD_REQUEST, OFPBRC_BAD_MULTIPART" {
			t.Error(err)
		}
		if n, err := count(c); n != 5 || err != nil {
			t.Errorf("%d %v", n, err)
		}
	})
	f("an error of the callback ends it", func(s *fake) {
		s.greet()
		s.send(reply(s.expect(typeMultipartRequest), true, tableStats(0, 5)...))
	}, func(c *Client, _ error) {
		stop := errors.New("enough")
		if err := c.Tables(t.Context(), func(*ovs.TableStats) error { return stop }); !errors.Is(err, stop) {
			t.Error(err)
		}
		if _, err := count(c); !errors.Is(err, stop) {
			t.Errorf("it goes on: %v", err)
		}
	})
	f("cut off", func(s *fake) {
		s.greet()
		s.send(reply(s.expect(typeMultipartRequest), false, tableStats(0, 5)...)[:30])
	}, func(c *Client, _ error) {
		if _, err := count(c); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
	f("a length that cannot be", func(s *fake) { s.expect(typeHello); s.send([]byte{6, 0, 0, 7, 0, 0, 0, 0}) }, func(_ *Client, err error) {
		if wrong := (DecodeError{}); !errors.As(err, &wrong) {
			t.Error(err)
		}
	})
	f("another reply", func(s *fake) {
		s.greet()
		request := s.expect(typeMultipartRequest)
		request[9]++
		s.send(reply(request, false))
	}, func(c *Client, _ error) {
		if _, err := count(c); err == nil || !strings.Contains(err.Error(), "decode the head of a reply at byte 8") {
			t.Error(err)
		}
	})
	f("deadline", func(s *fake) { s.greet(); _, _ = io.Copy(io.Discard, s) }, func(c *Client, _ error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := c.Tables(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	f("cancelled", func(s *fake) { s.greet(); _, _ = io.Copy(io.Discard, s) }, func(c *Client, _ error) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if err := c.Tables(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})

	if _, err := Dial(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := Dial(t.Context(), served(t, func(*fake) {}), 5); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

func TestError(t *testing.T) {
	f := func(e Error, want string) {
		t.Helper()
		if got := e.Error(); got != "the switch answers "+want {
			t.Errorf("got %s", got)
		}
	}
	f(Error{Type: 1, Code: 9}, "OFPET_BAD_REQUEST, OFPBRC_BAD_TABLE_ID")
	f(Error{Type: 4, Code: 6}, "OFPET_BAD_MATCH, OFPBMC_BAD_FIELD")
	f(Error{Type: 2, Code: 6}, "OFPET_BAD_ACTION, code 6")
	f(Error{Type: 1, Code: 99}, "OFPET_BAD_REQUEST, code 99")
	f(Error{Type: 99, Code: 1}, "error type 99, code 1")
	f(Error{Type: 0xffff, Code: 3, Experimenter: 0x2320}, "OFPET_EXPERIMENTER, experimenter 0x2320, type 3")
}

// A flow in OpenFlow 1.5 as Open vSwitch wrote it before it had OXS is found
// out by the first of them.
func TestOldLayout(t *testing.T) {
	stream, _ := recorded(t, Version13)
	var entry []byte // that of 1.3 is the same
	c, _ := replayed(stream)
	c.version = Version13
	if _, err := c.message(); err != nil { // hello
		t.Fatal(err)
	}
	m, err := c.message()
	if err != nil {
		t.Fatal(err)
	}
	entry = bytes.Clone(m[multipartLen : multipartLen+int(be16(m[multipartLen:]))])
	binary.BigEndian.PutUint16(entry[20:], 7)                     // importance
	binary.BigEndian.PutUint64(entry[24:], 0x0001_0004_0000_0000) // a cookie that looks like an empty match
	old := &Client{version: Version15}
	var f Flow
	for range 2 {
		if err := old.decodeFlow(&f, entry); err != nil || f.Importance != 7 || f.Cookie != 0x0001_0004_0000_0000 || old.flows15 != layout13 {
			t.Errorf("%v, %+v", err, f)
		}
	}

	var a Aggregate
	body := make([]byte, 24)
	body[7], body[15], body[19] = 1, 2, 3
	known := func(n uint64) ovs.Count { return ovs.Count{Value: n, Known: true} }
	if err := a.decode(body, Version15); err != nil || a != (Aggregate{3, known(1), known(2)}) {
		t.Errorf("%v, %+v", err, a)
	}
}

// What only some devices count has two places in a reply of OpenFlow 1.5.
func TestRFC2819(t *testing.T) {
	property := binary.BigEndian.AppendUint32([]byte{0xff, 0xff, 0, 184}, experimenterIntel)
	property = append(property, 0, 0, 0, 1, 0, 0, 0, 0)
	for n := range uint64(21) {
		if n == 8 {
			n = 1<<64 - 1 // not known
		}
		property = binary.BigEndian.AppendUint64(property, n)
	}
	body := append(make([]byte, 80), property...)
	body[1], body[0], body[7] = 8, 1, 7
	var p ovs.PortStats
	n, err := decodePortStats(&p, body, Version15)
	var got strings.Builder
	for _, c := range p.More {
		fmt.Fprintf(&got, "%s %s=%d\n", c.Set, c.Name, c.Value)
	}
	const want = `rx rfc2819 1_to_64_packets=0
rx rfc2819 65_to_127_packets=1
rx rfc2819 128_to_255_packets=2
rx rfc2819 256_to_511_packets=3
rx rfc2819 512_to_1023_packets=4
rx rfc2819 1024_to_1522_packets=5
rx rfc2819 1523_to_max_packets=6
rx rfc2819 broadcast_packets=15
rx rfc2819 undersized_errors=17
rx rfc2819 oversize_errors=18
rx rfc2819 rx_fragmented_errors=19
rx rfc2819 rx_jabber_errors=20
tx rfc2819 1_to_64_packets=7
tx rfc2819 128_to_255_packets=9
tx rfc2819 256_to_511_packets=10
tx rfc2819 512_to_1023_packets=11
tx rfc2819 1024_to_1522_packets=12
tx rfc2819 1523_to_max_packets=13
tx rfc2819 multicast_packets=14
tx rfc2819 broadcast_packets=16
`
	if err != nil || n != len(body) || p.Port != "7" {
		t.Errorf("%d, %v: %+v", n, err, p)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDuration(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := string(appendFraction(nil, d)); got != want {
			t.Errorf("%d: want %s, got %s", d, want, got)
		}
	}
	f(0, "")
	f(10*time.Millisecond, ".010")
	f(123456*time.Microsecond, ".123456")
	f(2, ".000000002")
	f(999999999, ".999999999")
	f(time.Microsecond, ".000001")
}
