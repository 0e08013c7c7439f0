package syslog

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"
)

const (
	// batchSize is how many datagrams are read with one system call.
	batchSize = 32
	// maxDatagram is what UDP can carry.
	maxDatagram = 64 << 10
	// receiveBuffer is asked of the kernel for each UDP socket; without
	// CAP_NET_ADMIN, net.core.rmem_max is the most that it gives.
	receiveBuffer = 16 << 20
)

// Of <linux/socket.h>, and missing in package syscall.
const (
	soRcvBufForce  = 33
	soMemInfo      = 55
	memInfoDrops   = 8 // index in what soMemInfo gives
	memInfoEntries = 9
)

// udpSocket is one UDP listener.
type udpSocket struct {
	conn   *net.UDPConn
	raw    syscall.RawConn
	buffer int    // bytes that the kernel gave
	drops  uint32 // that are counted
}

func listenUDP(ctx context.Context, address string) (*udpSocket, error) {
	var config net.ListenConfig
	packets, err := config.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	conn, ok := packets.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, packets.Close())
	}
	u := &udpSocket{conn: conn}
	if u.raw, err = conn.SyscallConn(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	var optionErr error
	err = u.raw.Control(func(fd uintptr) {
		if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soRcvBufForce, receiveBuffer) != nil {
			optionErr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
		}
		if optionErr == nil {
			u.buffer, optionErr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF)
		}
	})
	if err := errors.Join(err, optionErr); err != nil {
		return nil, errors.Join(fmt.Errorf("set receive buffer: %w", err), conn.Close())
	}
	return u, nil
}

// dropped gives how many datagrams the kernel has dropped since the last call.
// SO_MEMINFO needs no rights, and tells of drops that nothing was read after.
func (u *udpSocket) dropped() (n uint32, err error) {
	var info [memInfoEntries]uint32
	size := uint32(unsafe.Sizeof(info))
	var errno syscall.Errno
	err = u.raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, soMemInfo,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return 0, fmt.Errorf("ask for dropped datagrams: %w", err)
	}
	n = info[memInfoDrops] - u.drops // it may wrap around
	u.drops = info[memInfoDrops]
	return n, nil
}

// messageHeader is struct mmsghdr.
type messageHeader struct {
	header syscall.Msghdr
	bytes  uint32
}

// datagrams is room for one batch, which recvmmsg fills without allocating.
type datagrams struct {
	n       int
	headers [batchSize]messageHeader
	vectors [batchSize]syscall.Iovec
	senders [batchSize]syscall.RawSockaddrAny
	room    []byte
}

func newDatagrams() *datagrams {
	d := &datagrams{room: make([]byte, batchSize*maxDatagram)}
	for i := range d.headers {
		d.vectors[i].Base = &d.room[i*maxDatagram]
		d.vectors[i].SetLen(maxDatagram)
		h := &d.headers[i].header
		h.Iov, h.Iovlen = &d.vectors[i], 1
		h.Name = (*byte)(unsafe.Pointer(&d.senders[i]))
	}
	return d
}

// receive what has come, without waiting.
func (d *datagrams) receive(fd uintptr) error {
	for i := range d.headers {
		d.headers[i].header.Namelen = syscall.SizeofSockaddrAny
	}
	n, _, errno := syscall.Syscall6(syscall.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&d.headers)), batchSize, syscall.MSG_DONTWAIT, 0, 0)
	d.n = 0
	if errno != 0 {
		return errno
	}
	d.n = int(n)
	return nil
}

// text of a datagram.
func (d *datagrams) text(i int) []byte {
	return d.room[i*maxDatagram:][:min(d.headers[i].bytes, maxDatagram)]
}

// sender of a datagram; the zero address when it is of an unknown family.
func (d *datagrams) sender(i int) netip.Addr {
	switch a := &d.senders[i]; a.Addr.Family {
	case syscall.AF_INET:
		return netip.AddrFrom4((*syscall.RawSockaddrInet4)(unsafe.Pointer(a)).Addr)
	case syscall.AF_INET6:
		return netip.AddrFrom16((*syscall.RawSockaddrInet6)(unsafe.Pointer(a)).Addr).Unmap()
	}
	return netip.Addr{}
}

// read takes the next datagrams. It waits for the first of them until the
// connection's deadline, or not at all.
func (u *udpSocket) read(d *datagrams, wait bool) error {
	var err error
	try := func(fd uintptr) bool {
		err = d.receive(fd)
		return !wait || !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	}
	if !wait {
		return errors.Join(u.raw.Control(func(fd uintptr) { try(fd) }), err)
	}
	return errors.Join(u.raw.Read(try), err)
}

// receiveUDP spools datagrams until ctx ends, and those that have come until then.
func (r *Receiver) receiveUDP(ctx context.Context) {
	u := r.udp
	stop := context.AfterFunc(ctx, func() { r.logError("stop reading UDP", u.conn.SetReadDeadline(time.Unix(1, 0))) })
	defer stop()
	d := newDatagrams()
	var lines []byte
	var last time.Time // to read when ctx has ended
	for {
		stopping := ctx.Err() != nil
		if stopping && last.IsZero() {
			last = time.Now().Add(drainTime)
		}
		if stopping && (time.Now().After(last) || r.options.Spool.Full()) {
			return
		}
		if err := u.read(d, !stopping); err != nil {
			switch {
			case stopping:
				return // nothing more
			case ctx.Err() != nil:
				continue
			}
			// What ICMP reports of another packet; nothing else is expected.
			r.logError("read UDP", err)
			r.wait(ctx, errorPause)
			continue
		}
		lines = r.takeDatagrams(d, lines[:0])
		if r.options.Spool.Append(ctx, lines) != nil {
			return
		}
	}
}

// takeDatagrams appends the lines of a batch.
func (r *Receiver) takeDatagrams(d *datagrams, lines []byte) []byte {
	t := tally{limit: r.limit}
	bytes := 0
	for i := range d.n {
		if !r.allowed(d.sender(i)) {
			r.options.Metrics.refusedSender.Inc()
			continue
		}
		text := d.text(i)
		bytes += len(text)
		lines = t.take(lines, text, len(text) > r.limit)
	}
	t.book(&r.options.Metrics.udp, r.options.Metrics, bytes)
	return lines
}
