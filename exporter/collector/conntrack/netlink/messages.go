package netlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
)

// Families, as messages have them.
const (
	familyIPv4 = 2
	familyIPv6 = 10
)

// Of netlink.h and nfnetlink.h of Linux.
const (
	headerBytes = 16

	messageNoop    = 1
	messageError   = 2
	messageDone    = 3
	messageOverrun = 4

	flagRequest     = 0x1
	flagDump        = 0x300
	flagInterrupted = 0x10

	subsystem = 1 << 8 // NFNL_SUBSYS_CTNETLINK

	conntrackNew      = subsystem
	conntrackGet      = subsystem | 1
	conntrackDelete   = subsystem | 2
	conntrackStatsCPU = subsystem | 4
	conntrackStats    = subsystem | 5
)

// message is one of a buffer that was received.
type message struct {
	kind, flags uint16
	sequence    uint32
	payload     []byte // behind the header
}

// errDamaged is a header that announces more than there is.
var errDamaged = errors.New("netlink: a message is cut short")

// cut takes the first message of a buffer.
func cut(buffer []byte) (m message, rest []byte, err error) {
	if len(buffer) < headerBytes {
		return m, nil, errDamaged
	}
	size := int(binary.NativeEndian.Uint32(buffer))
	if size < headerBytes || size > len(buffer) {
		return m, nil, errDamaged
	}
	m.kind = binary.NativeEndian.Uint16(buffer[4:])
	m.flags = binary.NativeEndian.Uint16(buffer[6:])
	m.sequence = binary.NativeEndian.Uint32(buffer[8:])
	m.payload = buffer[headerBytes:size]
	return m, buffer[min((size+3)&^3, len(buffer)):], nil
}

// failure is the error that a message of kind messageError or messageDone
// brings; nil when it brings none.
func (m *message) failure() error {
	if len(m.payload) < 4 {
		if m.kind == messageDone {
			return nil
		}
		return errDamaged
	}
	if code := int32(binary.NativeEndian.Uint32(m.payload)); code < 0 {
		return fmt.Errorf("netlink: %w", syscall.Errno(-code))
	}
	return nil
}

// appendRequest appends a message of the subsystem without attributes; seal
// ends it.
func appendRequest(to []byte, kind, flags uint16, sequence uint32, family uint8) []byte {
	to = binary.NativeEndian.AppendUint32(to, 0) // the size
	to = binary.NativeEndian.AppendUint16(to, kind)
	to = binary.NativeEndian.AppendUint16(to, flagRequest|flags)
	to = binary.NativeEndian.AppendUint32(to, sequence)
	to = binary.NativeEndian.AppendUint32(to, 0)
	return append(to, family, 0, 0, 0)
}

func seal(request []byte) []byte {
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	return request
}

// entries gives the entries of a buffer that belong to a dump, until it ends
// (done) or fails.
func (d *dump) entries(buffer []byte) (done bool, err error) {
	for len(buffer) > 0 {
		var m message
		if m, buffer, err = cut(buffer); err != nil {
			return true, err
		}
		if m.sequence != d.sequence { // of a dump that was given up
			continue
		}
		d.stats.Interrupted = d.stats.Interrupted || m.flags&flagInterrupted != 0
		switch m.kind {
		case messageDone:
			return true, m.failure()
		case messageError:
			if err := m.failure(); err != nil {
				return true, err
			}
		case conntrackNew:
			if err := d.entry.Decode(m.payload); err != nil {
				return true, err
			}
			if !d.filter.Matches(&d.entry) {
				d.stats.Filtered++
				continue
			}
			d.stats.Entries++
			d.each(&d.entry)
		}
	}
	return false, nil
}

// dump that goes on.
type dump struct {
	sequence uint32
	filter   *Filter
	each     func(*Entry)
	stats    DumpStats
	entry    Entry
}

// DumpStats tell how a dump went.
type DumpStats struct {
	Entries uint64 // that the filter has
	// Filtered entries were read in vain: the kernel does not know the filter.
	Filtered uint64
	Bytes    uint64
	Reads    uint64
	// Interrupted: the table changed its shape meanwhile, so that entries may be
	// missing or there twice.
	Interrupted bool
	Overruns    uint64 // times that the kernel found no room
}

// CPUStats are counters of one CPU. They have 32 bits, and wrap.
type CPUStats struct {
	CPU                                                   uint16
	Found, Invalid, Insert, InsertFailed, Drop, EarlyDrop uint32
	Error, SearchRestart, ClashResolve, ChainTooLong      uint32
}

func (s *CPUStats) decode(payload []byte) error {
	*s = CPUStats{}
	if len(payload) < messageBytes {
		return fmt.Errorf("decode statistics of conntrack: %w", errShort)
	}
	s.CPU = binary.BigEndian.Uint16(payload[2:])
	for attrs := payload[messageBytes:]; len(attrs) > 0; {
		kind, value, rest, ok := next(attrs)
		n, fits := be32(value)
		if !ok || !fits {
			return fmt.Errorf("decode statistics of conntrack: %w", errShort)
		}
		attrs = rest
		switch kind {
		case statFound:
			s.Found = n
		case statInvalid:
			s.Invalid = n
		case statInsert:
			s.Insert = n
		case statInsertFailed:
			s.InsertFailed = n
		case statDrop:
			s.Drop = n
		case statEarlyDrop:
			s.EarlyDrop = n
		case statError:
			s.Error = n
		case statSearchRestart:
			s.SearchRestart = n
		case statClashResolve:
			s.ClashResolve = n
		case statChainTooLong:
			s.ChainTooLong = n
		}
	}
	return nil
}

// Stats are those of the table.
type Stats struct {
	Entries uint32
	Limit   uint32 // 0 before Linux 4.18
}

func (s *Stats) decode(payload []byte) error {
	*s = Stats{}
	if len(payload) < messageBytes {
		return fmt.Errorf("decode statistics of conntrack: %w", errShort)
	}
	for attrs := payload[messageBytes:]; len(attrs) > 0; {
		kind, value, rest, ok := next(attrs)
		n, fits := be32(value)
		if !ok || !fits {
			return fmt.Errorf("decode statistics of conntrack: %w", errShort)
		}
		attrs = rest
		switch kind {
		case 1:
			s.Entries = n
		case 2:
			s.Limit = n
		}
	}
	return nil
}

// Attributes of a processor's statistics: enum ctattr_stats_cpu of the kernel's
// nfnetlink_conntrack.h.
const (
	statFound         = 2
	statInvalid       = 4
	statInsert        = 8
	statInsertFailed  = 9
	statDrop          = 10
	statEarlyDrop     = 11
	statError         = 12
	statSearchRestart = 13
	statClashResolve  = 14
	statChainTooLong  = 15
)
