// Package netlink reads the kernel's connection tracking table over netlink,
// in constant memory. It needs CAP_NET_ADMIN, and is for Linux.
//
// The protocol is that of include/uapi/linux/netlink.h, netfilter/nfnetlink.h
// and netfilter/nfnetlink_conntrack.h of Linux.
package netlink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// receiveBytes hold what the kernel hands out at once: 32 KiB at most.
	receiveBytes = 64 << 10
	// batchBytes of what it handed out are decoded at a time: to wake who decodes
	// takes as long as to decode 10 KiB.
	batchBytes = 256 << 10
	// ahead so many batches may be read before they are decoded.
	ahead = 2
	// socketBytes the kernel may hold for us. A dump fills it up to half.
	socketBytes = 1 << 20
	// eventBytes the kernel may hold of events.
	eventBytes = 8 << 20
)

// Conn is a socket in the network namespace that it was made in. It is not safe
// for concurrent use. After an error it is of no more use: the kernel may still
// be in the middle of an answer.
type Conn struct {
	file     *os.File
	sequence uint32
	request  []byte
	free     chan []byte
	full     chan received
}

// received is what some reads have brought, and the error of the last.
type received struct {
	buffer       []byte
	bytes, reads int
	err          error
}

// Dial opens a socket.
func Dial() (*Conn, error) { return dial(socketBytes) }

func dial(buffer int) (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	file := os.NewFile(uintptr(fd), "netlink")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind netlink socket: %w", err), file.Close())
	}
	// The second for who lacks the capability of the first.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer); err != nil {
			return nil, errors.Join(fmt.Errorf("size netlink socket: %w", err), file.Close())
		}
	}
	return &Conn{file: file}, nil
}

// Close the socket.
func (c *Conn) Close() error { return c.file.Close() }

// Dump gives each entry of the table to each, which may not keep it. Entries
// that come and go meanwhile may be given or not.
func (c *Conn) Dump(ctx context.Context, filter Filter, each func(*Entry)) (DumpStats, error) {
	d := dump{filter: &filter, each: each}
	d.sequence = c.begin(conntrackGet, flagDump, filter.family())
	c.request = filter.append(c.request)
	err := c.exchange(ctx, &d.stats, d.entries)
	if err != nil {
		return d.stats, fmt.Errorf("dump conntrack: %w", err)
	}
	return d.stats, nil
}

// CPUStats gives the counters of each CPU.
func (c *Conn) CPUStats(ctx context.Context) (all []CPUStats, err error) {
	sequence := c.begin(conntrackStatsCPU, flagDump, 0)
	err = c.exchange(ctx, &DumpStats{}, func(buffer []byte) (bool, error) {
		return messages(buffer, sequence, func(m *message) (bool, error) {
			var s CPUStats
			if m.kind != conntrackStatsCPU {
				return false, nil
			}
			if err := s.decode(m.payload); err != nil {
				return true, err
			}
			all = append(all, s)
			return false, nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read conntrack's counters: %w", err)
	}
	return all, nil
}

// Stats gives the size of the table.
func (c *Conn) Stats(ctx context.Context) (s Stats, err error) {
	sequence := c.begin(conntrackStats, 0, 0)
	err = c.exchange(ctx, &DumpStats{}, func(buffer []byte) (bool, error) {
		return messages(buffer, sequence, func(m *message) (bool, error) {
			if m.kind != conntrackStats {
				return false, nil
			}
			return true, s.decode(m.payload)
		})
	})
	if err != nil {
		return s, fmt.Errorf("read the size of conntrack: %w", err)
	}
	return s, nil
}

// messages gives those of a buffer until one of them ends the answer.
func messages(buffer []byte, sequence uint32, each func(*message) (bool, error)) (done bool, err error) {
	for len(buffer) > 0 {
		var m message
		if m, buffer, err = cut(buffer); err != nil {
			return true, err
		}
		if m.sequence != sequence {
			continue
		}
		if m.kind == messageDone || m.kind == messageError {
			return true, m.failure()
		}
		if done, err = each(&m); done || err != nil {
			return true, err
		}
	}
	return false, nil
}

func (c *Conn) begin(kind, flags uint16, family uint8) (sequence uint32) {
	c.sequence++
	c.request = appendRequest(c.request[:0], kind, flags, c.sequence, family)
	return c.sequence
}

// exchange sends the request and gives what is received to take, until it is
// done, fails, or ctx ends. The kernel makes the next part of a dump within a
// read: so that this and take go on at once, another goroutine reads.
func (c *Conn) exchange(ctx context.Context, stats *DumpStats, take func([]byte) (done bool, err error)) error {
	// Below, an answer that is there at once could win against an end that was.
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.free == nil {
		c.free, c.full = make(chan []byte, ahead), make(chan received, ahead)
		for range ahead {
			c.free <- make([]byte, batchBytes)
		}
	}
	if err := c.file.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	// A write waits for nothing but memory of the kernel.
	if _, err := c.file.Write(seal(c.request)); err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var wait sync.WaitGroup
	var deadlineErr error
	wait.Go(func() { c.read(reading) })
	wait.Go(func() {
		<-reading.Done()
		deadlineErr = c.file.SetReadDeadline(time.Unix(1, 0)) // ends the read
	})
	err := c.take(ctx, stats, take)
	stop()
	wait.Wait()
	for len(c.full) > 0 { // read in vain
		c.free <- (<-c.full).buffer
	}
	return errors.Join(err, deadlineErr)
}

// read until ctx ends or an error that is not the kernel's lack of room.
func (c *Conn) read(ctx context.Context) {
	for {
		var buffer []byte
		select {
		case <-ctx.Done():
			return
		case buffer = <-c.free:
		}
		r := received{buffer: buffer}
		err := c.batch(&r)
		r.err = errors.Join(r.err, err)
		c.full <- r // has room for all buffers
		if r.err != nil && !errors.Is(r.err, syscall.ENOBUFS) {
			return
		}
	}
}

// batch waits for the first part, and reads what there is until an error or the
// buffer is full. The kernel makes the next part of a dump within each read.
func (c *Conn) batch(r *received) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		for len(r.buffer)-r.bytes >= receiveBytes {
			n, err := unix.Read(int(fd), r.buffer[r.bytes:])
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case errors.Is(err, syscall.EAGAIN):
				return r.reads > 0
			case err != nil:
				r.err = err
				return true
			}
			r.reads++
			for r.bytes += n; r.bytes%4 > 0 && r.bytes < len(r.buffer); r.bytes++ {
				r.buffer[r.bytes] = 0 // messages begin at multiples of 4
			}
		}
		return true
	})
}

func (c *Conn) take(ctx context.Context, stats *DumpStats, take func([]byte) (bool, error)) error {
	for {
		var r received
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r = <-c.full:
		}
		stats.Reads += uint64(r.reads)
		stats.Bytes += uint64(r.bytes)
		done, err := take(r.buffer[:r.bytes])
		if !done && err == nil {
			err = r.err
		}
		c.free <- r.buffer
		switch {
		case errors.Is(err, syscall.ENOBUFS):
			stats.Overruns++
		case ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return ctx.Err()
		case done || err != nil:
			return err
		}
	}
}
