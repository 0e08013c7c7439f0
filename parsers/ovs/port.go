package ovs

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// PortStats are the counters of one port as ovs-ofctl dump-ports prints them.
type PortStats = PortStatsOf[string]

// PortStatsOf are PortStats with text of either kind.
type PortStatsOf[T Text] struct {
	Port   T   // number, LOCAL or name, without quotes
	Number int // -1 for LOCAL and for a name

	RxPackets, RxBytes, RxDropped, RxErrors, RxFrameErrors, RxOverruns, RxCRCErrors Count
	TxPackets, TxBytes, TxDropped, TxErrors, Collisions                             Count

	Duration time.Duration      // since the port was added; 0 in OpenFlow 1.0 to 1.2, which tell none
	More     []PortCounterOf[T] // from OpenFlow 1.4 on
}

// PortCounter is a counter that only some network devices have.
type PortCounter = PortCounterOf[string]

// PortCounterOf is a PortCounter with text of either kind.
type PortCounterOf[T Text] struct {
	Set  string // "rx rfc2819", "tx rfc2819" or "CUSTOM Statistics"
	Name T
	Count
}

const custom = "CUSTOM Statistics"

// Ports reads the lines of one or more dump-ports, of OpenFlow 1.0 to 1.5,
// with reply headers or without. An error tells the line, from 1, and the
// column, and is there instead of the port that the line belongs to; the ports
// behind it are read all the same. No line is kept.
func Ports(lines iter.Seq[[]byte]) iter.Seq2[PortStats, error] {
	return func(yield func(PortStats, error) bool) {
		r, number := portReader[string]{}, 0
		for line := range lines {
			number++
			done, err := r.read(dump.TrimEnd(line))
			if done.Port != "" && !yield(done, nil) {
				return
			}
			if err != nil && !yield(PortStats{}, fmt.Errorf("read ports: line %d: %w", number, err)) {
				return
			}
		}
		if done, err := r.end(); done.Port != "" {
			yield(done, nil)
		} else if err != nil {
			yield(PortStats{}, fmt.Errorf("read ports: end of line %d: %w", number, err))
		}
	}
}

// Port is what ovs-ofctl dump-ports prints of one port.
type Port struct {
	PortStatsOf[[]byte]
	reader portReader[[]byte]
}

// Parse reads the lines of a port into p, whatever p held before, and refers to
// their memory, or to its own where escapes are in the port's name. The error is
// an Error, and leaves p undefined.
func (p *Port) Parse(record []byte) error {
	r, more := &p.reader, p.reader.stats.More[:0]
	s, next := dump.Line(record, 0)
	if s.Blanks(); !s.Take("port ") {
		return s.Expected("a port")
	}
	if err := r.parseHead(&s); err != nil {
		return err
	}
	for r.state, r.stats.More = wantTx, more; next <= len(record); {
		s, next = dump.Line(record, next)
		if s.Blanks(); s.End() {
			continue
		}
		if err := r.parseMore(&s); err != nil {
			return err
		}
	}
	if r.state == wantTx {
		return s.Expected("the tx counters of the port")
	}
	p.PortStatsOf = r.stats
	return nil
}

// PortDesc is what ovs-ofctl dump-ports-desc and show print of one port, for
// OpenFlow 1.0 to 1.5.
type PortDesc struct {
	Port    []byte // number or LOCAL
	Name    []byte // whatever is in it, it is printed as it is
	Address []byte // of Ethernet, as in 02:00:00:00:00:01
	// Names of bits with blanks between, and in hexadecimal those that have none;
	// 0 when none is set. The features are left out then.
	Config, State                        []byte
	Current, Advertised, Supported, Peer []byte // features
	Speed, MaxSpeed                      uint32 // Mbit/s; 0 where the port does not tell
}

// Parse reads the lines of a port into p, whatever p held before, and refers to
// their memory. The error is an Error, and leaves p undefined.
func (p *PortDesc) Parse(record []byte) error {
	*p = PortDesc{}
	s, next := dump.Line(record, 0)
	s.Blanks()
	if err := p.parseHead(&s); err != nil {
		return err
	}
	speed := false
	for next <= len(record) {
		s, next = dump.Line(record, next)
		if s.Blanks(); s.End() {
			continue
		}
		if speed {
			return s.Expected("the end of the port")
		}
		var to *[]byte
		start := s.At
		switch key := s.Until(':'); string(key) {
		case "config":
			to = &p.Config
		case "state":
			to = &p.State
		case "current":
			to = &p.Current
		case "advertised":
			to = &p.Advertised
		case "supported":
			to = &p.Supported
		case "peer":
			to = &p.Peer
		case "speed":
			if err := p.parseSpeed(&s); err != nil {
				return err
			}
			speed = true
			continue
		}
		if to == nil || *to != nil {
			s.At = start
			return s.Expected("each of config, state, features and speed once")
		}
		if s.Take(":"); !isBits(s.Rest()) {
			return s.Expected("names of bits, or 0")
		}
		*to = bytes.TrimLeft(s.Rest(), " ")
	}
	if p.Config == nil || p.State == nil || !speed {
		return s.Expected("config, state and speed")
	}
	return nil
}

func (p *PortDesc) parseHead(s *dump.Scanner) error {
	start := s.At
	if _, ok := s.Number(math.MaxUint32); !ok && !s.Take("LOCAL") {
		return s.Expected("a port's number, or LOCAL")
	}
	p.Port = s.Text[start:s.At:s.At]
	if !s.Take("(") {
		return s.Expected("a bracket")
	}
	length := bytes.LastIndex(s.Rest(), []byte(portAddress))
	if length < 0 {
		return s.Expected("a name, and " + portAddress)
	}
	p.Name = s.Text[s.At : s.At+length : s.At+length]
	s.At += length + len(portAddress)
	if p.Address = s.Rest(); !isEthernet(p.Address) {
		return s.Expected("an Ethernet address")
	}
	return nil
}

const portAddress = "): addr:"

func (p *PortDesc) parseSpeed(s *dump.Scanner) error {
	for _, part := range []struct {
		before, after string
		to            *uint32
	}{{": ", " Mbps now", &p.Speed}, {", ", " Mbps max", &p.MaxSpeed}} {
		if !s.Take(part.before) {
			return s.Expected(part.before)
		}
		if !dump.Take(s, part.to) || !s.Take(part.after) {
			return s.Expected("a number and" + part.after)
		}
	}
	if !s.End() {
		return s.Expected("the end of the line")
	}
	return nil
}

// isBits tells whether a text is names of bits with a blank between, behind
// some blanks, as in "   1GB-FD COPPER 0x10000".
func isBits(text []byte) bool {
	text, before := bytes.TrimLeft(text, " "), byte(' ')
	for _, b := range text {
		known := b-'0' <= 9 || b-'A' <= 'Z'-'A' || b-'a' <= 'f'-'a' || b == 'x' || b == '_' || b == '-'
		if !known && (b != ' ' || before == ' ') {
			return false
		}
		before = b
	}
	return before != ' '
}

// isEthernet tells whether a text is six bytes in hexadecimal with colons between.
func isEthernet(text []byte) bool {
	for i, b := range text {
		if _, ok := dump.HexDigit(b); ok == (i%3 == 2) || !ok && b != ':' {
			return false
		}
	}
	return len(text) == len("00:00:00:00:00:00")
}

// portReader holds the port that is being read.
type portReader[T Text] struct {
	stats PortStatsOf[T]
	state portState
	set   string // that a line of counters belongs to
	name  []byte // what a quoted name is without its quotes
}

type portState uint8

const (
	noPort   portState = iota
	wantTx             // the line with rx was read
	wantMore           // the port may be complete
	badPort            // the lines up to the next port are passed over
)

// end gives the port that is complete when no more of its lines come.
func (r *portReader[T]) end() (done PortStatsOf[T], err error) {
	switch r.state {
	case wantMore:
		done = r.stats
	case wantTx:
		err = Error{Column: 1, Expected: "the tx counters of port " + string(r.stats.Port)}
	}
	r.state = noPort
	return done, err
}

// read gives the port that ends before a line.
func (r *portReader[T]) read(line []byte) (done PortStatsOf[T], err error) {
	s := dump.Scanner{Text: line}
	s.Blanks()
	switch {
	case s.Take("port "):
		done, err = r.end()
		if headErr := r.parseHead(&s); headErr != nil {
			r.state = badPort
			return done, headErr
		}
		r.state = wantTx
		return done, err
	case s.End() || isReply(line):
		return r.end()
	case r.state == badPort:
		return done, nil
	}
	if err = r.parseMore(&s); err != nil {
		r.state = badPort
	}
	return done, err
}

func (r *portReader[T]) parseHead(s *dump.Scanner) error {
	r.stats, r.set = PortStatsOf[T]{Number: -1}, ""
	s.Blanks()
	start := s.At
	var name []byte
	if s.Next('"') {
		end := quoted(s.Text, s.At)
		if end < 0 {
			return s.Expected("the end of a quoted name")
		}
		r.name = AppendUnquoted(r.name[:0], s.Text[start:end])
		name, s.At = r.name, end
	} else {
		name = s.Until(':')
		number := dump.Scanner{Text: name}
		if n, ok := number.Number(math.MaxUint32); ok && number.End() {
			r.stats.Number = int(n)
		}
	}
	if len(name) == 0 {
		return s.Expected("a port")
	}
	r.stats.Port = T(name)
	p := &r.stats
	return parseCounts(s, ": rx ",
		portCount{"pkts=", &p.RxPackets}, portCount{", bytes=", &p.RxBytes}, portCount{", drop=", &p.RxDropped},
		portCount{", errs=", &p.RxErrors}, portCount{", frame=", &p.RxFrameErrors}, portCount{", over=", &p.RxOverruns},
		portCount{", crc=", &p.RxCRCErrors})
}

func (r *portReader[T]) parseMore(s *dump.Scanner) error {
	p := &r.stats
	switch {
	case r.state == noPort:
		return s.Expected("a port")
	case r.state == wantTx:
		r.state = wantMore
		return parseCounts(s, "tx ",
			portCount{"pkts=", &p.TxPackets}, portCount{", bytes=", &p.TxBytes}, portCount{", drop=", &p.TxDropped},
			portCount{", errs=", &p.TxErrors}, portCount{", coll=", &p.Collisions})
	case s.Sees("duration="):
		s.Take("duration=")
		var ok bool
		if p.Duration, ok = s.Duration(); !ok || !s.End() {
			return s.Expected("seconds, and the end of the line")
		}
		return nil
	case s.Take("rx rfc2819 "):
		r.set = "rx rfc2819"
	case s.Take("tx rfc2819 "):
		r.set = "tx rfc2819"
	case s.Take(custom):
		r.set = custom
	case r.set != custom: // only these go on over several lines
		return s.Expected("duration, rfc2819 or CUSTOM Statistics")
	}
	for s.Blanks(); !s.End(); s.Blanks() {
		c := PortCounterOf[T]{Set: r.set, Name: T(s.Until('='))}
		if len(c.Name) == 0 || !s.Take("=") {
			return s.Expected("a counter")
		}
		var ok bool
		if c.Count, ok = count(s); !ok || !s.Take(",") {
			return s.Expected("a number and a comma")
		}
		p.More = append(p.More, c)
	}
	return nil
}

type portCount struct {
	key string
	to  *Count
}

func parseCounts(s *dump.Scanner, before string, counts ...portCount) error {
	if !s.Take(before) {
		return s.Expected(before)
	}
	for _, c := range counts {
		if !s.Take(c.key) {
			return s.Expected(c.key)
		}
		var ok bool
		if *c.to, ok = count(s); !ok {
			return s.Expected("a number, or ?")
		}
	}
	if !s.End() {
		return s.Expected("the end of the line")
	}
	return nil
}
