package vswitch

import (
	"encoding/binary"
	"net/netip"
)

// packet that comes in at a port.
type packet struct {
	in       int // port
	src, dst mac
	kind     uint16 // EtherType
	from, to netip.Addr
	protocol uint8
	ttl      uint8
	// Of TCP and UDP; of ICMP the type, and its identifier.
	fromPort, toPort uint16
	flags            uint8 // of TCP
	seq, ack         uint32
	payload          int // bytes of zeros
}

// EtherTypes, protocols and flags of TCP.
const (
	ethIPv4 = 0x0800
	ethARP  = 0x0806
	ethLLDP = 0x88cc

	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17

	fin = 1
	syn = 2
	rst = 4
	psh = 8
	ack = 16
)

// frame is the packet on the wire, with its checksums: a switch tracks nothing
// whose checksums are wrong.
func (p *packet) frame() []byte {
	b := append(append(make([]byte, 0, 64+p.payload), p.dst[:]...), p.src[:]...)
	b = binary.BigEndian.AppendUint16(b, p.kind)
	switch p.kind {
	case ethARP: // a request for to
		b = append(b, 0, 1, 8, 0, 6, 4, 0, 1)
		b = append(append(b, p.src[:]...), p.from.AsSlice()...)
		return append(append(b, make([]byte, 6)...), p.to.AsSlice()...)
	case ethIPv4:
		return append(b, p.ipv4()...)
	}
	return append(b, make([]byte, p.payload)...)
}

func (p *packet) ipv4() []byte {
	be := binary.BigEndian
	var upper []byte
	sum := 0 // where the checksum is
	switch p.protocol {
	case protoTCP:
		upper = make([]byte, 20+p.payload)
		be.PutUint32(upper[4:], p.seq)
		be.PutUint32(upper[8:], p.ack)
		upper[12], upper[13] = 5<<4, p.flags
		be.PutUint16(upper[14:], 0xffff) // window
		sum = 16
	case protoUDP:
		upper = make([]byte, 8+p.payload)
		be.PutUint16(upper[4:], uint16(len(upper)))
		sum = 6
	case protoICMP:
		upper = make([]byte, 8+p.payload)
		upper[0] = uint8(p.fromPort)
		be.PutUint16(upper[4:], p.toPort)
		be.PutUint16(upper[2:], checksum(upper))
	}
	if sum > 0 {
		be.PutUint16(upper, p.fromPort)
		be.PutUint16(upper[2:], p.toPort)
		pseudo := append(append(append([]byte(nil), p.from.AsSlice()...), p.to.AsSlice()...), 0, p.protocol)
		be.PutUint16(upper[sum:], checksum(append(be.AppendUint16(pseudo, uint16(len(upper))), upper...)))
	}
	head := make([]byte, 20, 20+len(upper))
	head[0], head[8], head[9] = 0x45, p.ttl, p.protocol
	be.PutUint16(head[2:], uint16(20+len(upper)))
	copy(head[12:], p.from.AsSlice())
	copy(head[16:], p.to.AsSlice())
	be.PutUint16(head[10:], checksum(head))
	return append(head, upper...)
}

// checksum of the Internet (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
