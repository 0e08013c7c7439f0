// Package conntrack holds the agent's view of the connection tracking table to
// that of the kernel and of conntrack-tools, in network namespaces.
package conntrack

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/corkline/corkline/tests/ovs/lab"
	"github.com/corkline/corkline/tests/rig"
)

// inside names corkline to the process that is in a network namespace of its own.
const inside = "CORKLINE_TEST_NAMESPACE"

// TestMain runs the tests in a new network namespace, which goes with them.
func TestMain(m *testing.M) {
	flag.Parse()
	if corkline() != "" {
		os.Exit(m.Run())
	}
	if err := run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// corkline is the path of the binary.
func corkline() string { return os.Getenv(inside) }

// run this process again, in a namespace.
func run() error {
	ctx := context.Background()
	if err := lab.Install(ctx, map[string]string{"conntrack": "conntrack", "nft": "nftables", "ip": "iproute2", "setpriv": "util-linux"}); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "corkline-conntrack-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // at worst it stays
	binary, err := rig.Binary(ctx, dir)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+binary)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run in a network namespace: %w", err)
	}
	return nil
}

// command runs a program and gives its standard output.
func command(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), name, args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		tb.Fatalf("%s %q: %s\n%s", name, args, err, exit.Stderr)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

// connection to put into the table.
type connection struct {
	src, dst         netip.Addr
	protocol         uint8
	srcPort, dstPort uint16 // of ICMP the id, and the type and code
	state            uint8  // of TCP and SCTP
	status           uint32
	zone             uint16
	mark             uint32
	labels           []byte     // 16 bytes, or none
	nat              netip.Addr // destination in place of dst
	timeout          uint32
}

// Status bits, as in nf_conntrack_common.h.
const (
	seenReply = 1 << 1
	assured   = 1 << 2
	confirmed = 1 << 3
)

// table writes entries over netlink.
type table struct {
	testing.TB
	fd       int
	sequence uint32
	buffer   []byte
	pending  int
}

func openTable(tb testing.TB) *table {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err == nil {
		err = errors.Join(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20))
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return &table{TB: tb, fd: fd}
}

// create an entry. What the kernel says of it comes with flush.
func (t *table) create(c *connection) {
	t.Helper()
	t.request(0, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, c)
}

// request of a kind; 0 is a new entry, 2 deletes one.
func (t *table) request(kind, flags uint16, c *connection) {
	t.Helper()
	t.sequence++
	start := len(t.buffer)
	b := binary.NativeEndian.AppendUint32(t.buffer, 0)
	b = binary.NativeEndian.AppendUint16(b, unix.NFNL_SUBSYS_CTNETLINK<<8|kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, t.sequence)
	b = binary.NativeEndian.AppendUint32(b, 0)
	family := byte(unix.AF_INET)
	if c.src.Is6() {
		family = unix.AF_INET6
	}
	b = append(b, family, 0, 0, 0)
	reply := *c
	reply.src, reply.dst, reply.srcPort, reply.dstPort = c.dst, c.src, c.dstPort, c.srcPort
	if c.protocol == unix.IPPROTO_ICMP || c.protocol == unix.IPPROTO_ICMPV6 {
		reply.srcPort, reply.dstPort = c.srcPort, replyType(c.dstPort)
	}
	b = nested(b, 1, c.tuple)
	b = nested(b, 2, reply.tuple)
	b = number32(b, 3, c.status|confirmed)
	b = number32(b, 7, c.timeout)
	if c.mark != 0 {
		b = number32(b, 8, c.mark)
	}
	if c.zone != 0 {
		b = attribute(b, 18, binary.BigEndian.AppendUint16(nil, c.zone))
	}
	if c.labels != nil {
		b = attribute(attribute(b, 22, c.labels), 23, c.labels)
	}
	if c.nat.IsValid() {
		b = nested(b, 13, func(b []byte) []byte { return attribute(attribute(b, 1, c.nat.AsSlice()), 2, c.nat.AsSlice()) })
	}
	switch c.protocol {
	case unix.IPPROTO_TCP:
		b = nested(b, 4, func(b []byte) []byte {
			return nested(b, 1, func(b []byte) []byte { return attribute(b, 1, []byte{c.state}) })
		})
	case unix.IPPROTO_SCTP:
		b = nested(b, 4, func(b []byte) []byte {
			return nested(b, 3, func(b []byte) []byte {
				return number32(number32(attribute(b, 1, []byte{c.state}), 2, 7), 3, 8)
			})
		})
	}
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	t.buffer, t.pending = b, t.pending+1
	if t.pending == 128 {
		t.flush()
	}
}

// replyType of an echo request: its type and code.
func replyType(typeCode uint16) uint16 {
	switch typeCode {
	case 8 << 8:
		return 0
	case 128 << 8:
		return 129 << 8
	default:
		return typeCode
	}
}

func (c *connection) tuple(b []byte) []byte {
	b = nested(b, 1, func(b []byte) []byte {
		first := uint16(1)
		if c.src.Is6() {
			first = 3
		}
		return attribute(attribute(b, first, c.src.AsSlice()), first+1, c.dst.AsSlice())
	})
	return nested(b, 2, func(b []byte) []byte {
		b = attribute(b, 1, []byte{c.protocol})
		port := func(kind, n uint16) { b = attribute(b, kind, binary.BigEndian.AppendUint16(nil, n)) }
		switch c.protocol {
		case unix.IPPROTO_ICMP:
			port(4, c.srcPort)
			b = attribute(attribute(b, 5, []byte{byte(c.dstPort >> 8)}), 6, []byte{byte(c.dstPort)})
		case unix.IPPROTO_ICMPV6:
			port(7, c.srcPort)
			b = attribute(attribute(b, 8, []byte{byte(c.dstPort >> 8)}), 9, []byte{byte(c.dstPort)})
		case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP, unix.IPPROTO_GRE:
			port(2, c.srcPort)
			port(3, c.dstPort)
		}
		return b
	})
}

func attribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%4 > 0 {
		b = append(b, 0)
	}
	return b
}

func number32(b []byte, kind uint16, n uint32) []byte {
	return attribute(b, kind, binary.BigEndian.AppendUint32(nil, n))
}

func nested(b []byte, kind uint16, inner func([]byte) []byte) []byte {
	return attribute(b, kind|unix.NLA_F_NESTED, inner(nil))
}

// flush sends what waits, and fails when the kernel refuses any of it.
func (t *table) flush() {
	t.Helper()
	if err := t.send(); err != nil {
		t.Fatal(err)
	}
}

// send what waits, and give the kernel's first refusal.
func (t *table) send() (refusal error) {
	if t.pending == 0 {
		return nil
	}
	if err := unix.Sendto(t.fd, t.buffer, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	t.buffer = t.buffer[:0]
	answer := make([]byte, 64<<10)
	for t.pending > 0 {
		n, _, err := unix.Recvfrom(t.fd, answer, 0)
		if err != nil {
			return err
		}
		for rest := answer[:n]; len(rest) >= 20; rest = rest[(binary.NativeEndian.Uint32(rest)+3)&^3:] {
			if code := int32(binary.NativeEndian.Uint32(rest[16:])); code != 0 && refusal == nil {
				refusal = syscall.Errno(-code)
			}
			t.pending--
		}
	}
	return refusal
}

// fill the table with n established TCP connections of 10.0.0.0/8.
func (t *table) fill(n int) {
	t.Helper()
	t.more(0, n)
}

// more connections after the first ones.
func (t *table) more(first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		t.create(established(i))
	}
	t.flush()
}

// remove one of them.
func (t *table) remove(i int) {
	t.Helper()
	t.request(2, unix.NLM_F_ACK, established(i))
}

func established(i int) *connection {
	return &connection{
		src: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), dst: netip.AddrFrom4([4]byte{198, 51, 100, 7}),
		protocol: unix.IPPROTO_TCP, srcPort: uint16(20000 + i%40000), dstPort: 443, state: 3, status: seenReply | assured, timeout: 3600,
	}
}
