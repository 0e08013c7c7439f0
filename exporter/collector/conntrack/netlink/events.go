package netlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event is what became of a connection.
type Event uint8

// The events.
const (
	New Event = iota + 1
	Destroy
)

// Multicast groups of nfnetlink.
const (
	groupNew     = 1
	groupDestroy = 3
)

// Events is a socket to which the kernel sends an event for every new and
// destroyed connection.
type Events struct {
	conn  *Conn
	drops uint32 // that were counted
}

// Subscribe opens a socket for events.
func Subscribe() (*Events, error) {
	conn, err := dial(eventBytes)
	if err != nil {
		return nil, err
	}
	var optErr error
	err = conn.control(func(fd int) {
		for _, group := range [...]int{groupNew, groupDestroy} {
			optErr = errors.Join(optErr, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
		}
	})
	if err = errors.Join(err, optErr); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to events of conntrack: %w", err), conn.Close())
	}
	return &Events{conn: conn}, nil
}

func (c *Conn) control(f func(fd int)) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

// Close the socket.
func (e *Events) Close() error { return e.conn.Close() }

// dropInterval lies between two looks at what was lost. A failed read tells of
// the first loss only.
const dropInterval = time.Second

// Receive gives every event to each, which may not keep the entry, until ctx
// ends. Lost is called with the number of events for which the kernel found no
// room.
func (e *Events) Receive(ctx context.Context, each func(Event, *Entry), lost func(n uint64)) error {
	buffer := make([]byte, receiveBytes)
	var entry Entry
	for {
		if err := e.conn.file.SetReadDeadline(time.Now().Add(dropInterval)); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { e.wake() })
		err := e.read(buffer, &entry, each)
		stop()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ENOBUFS):
			n, err := e.dropped()
			if err != nil {
				return err
			}
			if n > 0 {
				lost(n)
			}
		default:
			return fmt.Errorf("receive events of conntrack: %w", err)
		}
	}
}

// wake whoever reads.
func (e *Events) wake() {
	_ = e.conn.file.SetReadDeadline(time.Unix(1, 0)) // fails on a closed socket only, from which nobody reads
}

// read until an error, which may be that of the deadline.
func (e *Events) read(buffer []byte, entry *Entry, each func(Event, *Entry)) error {
	for {
		n, err := e.conn.file.Read(buffer)
		if err != nil {
			return err
		}
		if err := events(buffer[:n], entry, each); err != nil {
			return err
		}
	}
}

// events of a buffer.
func events(buffer []byte, entry *Entry, each func(Event, *Entry)) error {
	for len(buffer) > 0 {
		var m message
		var err error
		if m, buffer, err = cut(buffer); err != nil {
			return err
		}
		event := New
		switch m.kind {
		case conntrackNew:
		case conntrackDelete:
			event = Destroy
		default:
			continue
		}
		if err := entry.Decode(m.payload); err != nil {
			return err
		}
		each(event, entry)
	}
	return nil
}

// dropped events since the last call. The kernel counts each; the counter has
// 32 bits.
func (e *Events) dropped() (uint64, error) {
	var info [unix.SK_MEMINFO_VARS]uint32
	var errno syscall.Errno
	err := e.conn.control(func(fd int) {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return 0, fmt.Errorf("count lost events of conntrack: %w", err)
	}
	n := info[unix.SK_MEMINFO_DROPS] - e.drops
	e.drops = info[unix.SK_MEMINFO_DROPS]
	return uint64(n), nil
}
