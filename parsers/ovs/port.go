package ovs

import (
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// PortStats are the counters of one port as ovs-ofctl dump-ports prints them.
type PortStats struct {
	Port   string // number, LOCAL or name, without quotes
	Number int    // -1 for LOCAL and for a name

	RxPackets, RxBytes, RxDropped, RxErrors, RxFrameErrors, RxOverruns, RxCRCErrors Count
	TxPackets, TxBytes, TxDropped, TxErrors, Collisions                             Count

	Duration time.Duration // since the port was added; 0 in OpenFlow 1.0 to 1.2, which tell none
	More     []PortCounter // from OpenFlow 1.4 on
}

// PortCounter is a counter that only some network devices have.
type PortCounter struct {
	Set  string // "rx rfc2819", "tx rfc2819" or "CUSTOM Statistics"
	Name string
	Count
}

const custom = "CUSTOM Statistics"

// Ports reads the lines of one or more dump-ports, of OpenFlow 1.0 to 1.5,
// with reply headers or without. An error tells the line, from 1, and the
// column, and is there instead of the port that the line belongs to; the ports
// behind it are read all the same. No line is kept.
func Ports(lines iter.Seq[[]byte]) iter.Seq2[PortStats, error] {
	return func(yield func(PortStats, error) bool) {
		r, number := portReader{}, 0
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

// portReader holds the port that is being read.
type portReader struct {
	stats PortStats
	state portState
	set   string // that a line of counters belongs to
}

type portState uint8

const (
	noPort   portState = iota
	wantTx             // the line with rx was read
	wantMore           // the port may be complete
	badPort            // the lines up to the next port are passed over
)

// end gives the port that is complete when no more of its lines come.
func (r *portReader) end() (done PortStats, err error) {
	switch r.state {
	case wantMore:
		done = r.stats
	case wantTx:
		err = Error{Column: 1, Expected: "the tx counters of port " + r.stats.Port}
	}
	r.state = noPort
	return done, err
}

// read gives the port that ends before a line.
func (r *portReader) read(line []byte) (done PortStats, err error) {
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

func (r *portReader) parseHead(s *dump.Scanner) error {
	r.stats, r.set = PortStats{Number: -1}, ""
	s.Blanks()
	start := s.At
	if s.Next('"') {
		end := quoted(s.Text, s.At)
		if end < 0 {
			return s.Expected("the end of a quoted name")
		}
		r.stats.Port, s.At = string(Unquote(s.Text[start:end])), end
	} else {
		r.stats.Port = string(s.Until(':'))
		number := dump.Scanner{Text: []byte(r.stats.Port)}
		if n, ok := number.Number(math.MaxUint32); ok && number.End() {
			r.stats.Number = int(n)
		}
	}
	if r.stats.Port == "" {
		return s.Expected("a port")
	}
	p := &r.stats
	return parseCounts(s, ": rx ",
		portCount{"pkts=", &p.RxPackets}, portCount{", bytes=", &p.RxBytes}, portCount{", drop=", &p.RxDropped},
		portCount{", errs=", &p.RxErrors}, portCount{", frame=", &p.RxFrameErrors}, portCount{", over=", &p.RxOverruns},
		portCount{", crc=", &p.RxCRCErrors})
}

func (r *portReader) parseMore(s *dump.Scanner) error {
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
		c := PortCounter{Set: r.set, Name: string(s.Until('='))}
		if c.Name == "" || !s.Take("=") {
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
