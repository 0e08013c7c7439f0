package vswitch

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
)

// Types of messages, and of multipart ones.
const (
	typeHello     = 0
	typeError     = 1
	typeEcho      = 2
	typeEchoReply = 3
	typeFeatures  = 5
	typeConfig    = 7
	typeSetConfig = 9
	typeMultipart = 18
	typeBarrier   = 20

	multipartDesc          = 0
	multipartFlow          = 1
	multipartAggregate     = 2
	multipartTable         = 3
	multipartPort          = 4
	multipartGroup         = 6
	multipartGroupDesc     = 7
	multipartMeter         = 9
	multipartMeterFeatures = 11
	multipartTableFeatures = 12
	multipartPortDesc      = 13
)

const (
	version15 = 6
	headerLen = 8
	allTables = 0xff
	// maxBody of a part of a reply, whose length has 16 bits.
	maxBody = 60_000
)

// Errors that requests may cause (enum ofp_error_type, and their codes).
const (
	helloFailed, incompatible                        = 0, 0
	badRequest                                       = 1
	badVersion, badType, badMultipart, badLen uint16 = 0, 1, 2, 6
)

// message begins one.
func message(kind byte, xid uint32, body ...byte) []byte {
	return append(u32(u16([]byte{version15, kind}, uint16(headerLen+len(body))), xid), body...)
}

// serveOpenFlow answers on one connection to the bridge, until it is closed or
// sends what is no message.
func (e *emulated) serveOpenFlow(conn net.Conn) error {
	bitmap := u32([]byte{0, 1, 0, 8}, 1<<version15)
	if _, err := conn.Write(message(typeHello, 0, bitmap...)); err != nil {
		return err
	}
	var head [headerLen]byte
	for {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint16(head[2:]))
		if n < headerLen {
			return errors.New("a message is shorter than its head")
		}
		body := make([]byte, n-headerLen)
		if _, err := io.ReadFull(conn, body); err != nil {
			return err
		}
		reply, last := e.answer(head[0], head[1], binary.BigEndian.Uint32(head[4:]), body)
		if _, err := conn.Write(reply); err != nil || last {
			return err
		}
	}
}

// answer gives the messages that follow one, and whether it is the last.
func (e *emulated) answer(version, kind byte, xid uint32, body []byte) (reply []byte, last bool) {
	fail := func(of, code uint16) []byte { return message(typeError, xid, u16(u16(nil, of), code)...) }
	if kind == typeHello {
		if !speaks15(version, body) {
			return fail(helloFailed, incompatible), true
		}
		return nil, false
	}
	if version != version15 {
		return fail(badRequest, badVersion), false
	}
	switch kind {
	case typeEcho:
		return message(typeEchoReply, xid, body...), false
	case typeFeatures:
		features := u64(nil, 1)
		features = append(u32(features, 0), 254, 0, 0, 0)
		return message(typeFeatures+1, xid, u32(u32(features, 0x4f), 0)...), false
	case typeConfig:
		return message(typeConfig+1, xid, 0, 0, 0xff, 0xff), false
	case typeBarrier:
		return message(typeBarrier+1, xid), false
	case typeError, typeEchoReply, typeSetConfig:
		return nil, false
	case typeMultipart:
		if len(body) < 8 {
			return fail(badRequest, badLen), false
		}
		of := binary.BigEndian.Uint16(body)
		entries, ok := e.multipart(of, body[8:])
		if !ok {
			return fail(badRequest, badMultipart), false
		}
		return parts(xid, of, entries), false
	}
	return fail(badRequest, badType), false
}

// speaks15 tells whether a hello has OpenFlow 1.5.
func speaks15(version byte, body []byte) bool {
	if len(body) >= 8 && binary.BigEndian.Uint16(body) == 1 { // a bitmap
		return binary.BigEndian.Uint32(body[4:])>>version15&1 != 0
	}
	return version >= version15
}

// parts puts entries into as few messages as they fit into.
func parts(xid uint32, kind uint16, entries [][]byte) (all []byte) {
	for {
		size, n := 0, 0
		for n < len(entries) && (n == 0 || size+len(entries[n]) <= maxBody) {
			size += len(entries[n])
			n++
		}
		more := uint16(0)
		if n < len(entries) {
			more = 1
		}
		body := u32(u16(u16(nil, kind), more), 0)
		all = append(all, message(typeMultipart+1, xid, append(body, slices.Concat(entries[:n]...)...)...)...)
		if entries = entries[n:]; len(entries) == 0 {
			return all
		}
	}
}

// multipart gives the entries of a reply.
func (e *emulated) multipart(kind uint16, request []byte) (entries [][]byte, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.pipeline
	p.asked++
	switch kind {
	case multipartDesc:
		description := text(nil, "Corkline", 256)
		description = text(text(description, "emulated", 256), e.version(), 256)
		return [][]byte{text(text(description, "None", 32), bridgeName, 256)}, true
	case multipartFlow:
		flows := p.chosen(request)
		for _, f := range flows {
			entries = append(entries, p.appendFlow(nil, f))
		}
	case multipartAggregate:
		return [][]byte{aggregate(p.chosen(request))}, true
	case multipartTable:
		for id := range 254 {
			entries = append(entries, p.tables[id].append(nil, id))
		}
	case multipartTableFeatures:
		for id, name := range tableNames() {
			entries = append(entries, appendFeatures(nil, id, name))
		}
	case multipartPort:
		for _, port := range p.ports {
			entries = append(entries, port.count(nil, p.now))
		}
	case multipartPortDesc:
		for _, port := range p.ports {
			entries = append(entries, port.describe(nil))
		}
	case multipartGroup:
		for _, g := range p.groups {
			entries = append(entries, g.count(nil, p.now))
		}
	case multipartGroupDesc:
		for _, g := range p.groups {
			entries = append(entries, g.describe(nil))
		}
	case multipartMeter: // there are none
	case multipartMeterFeatures:
		return [][]byte{make([]byte, 16)}, true
	default:
		return nil, false
	}
	return entries, true
}

// chosen are the flows of a request's table whose cookies have its bits.
func (p *pipeline) chosen(request []byte) (flows []*flow) {
	if len(request) < 32 {
		return nil
	}
	cookie, mask := binary.BigEndian.Uint64(request[16:]), binary.BigEndian.Uint64(request[24:])
	for id := range p.tables {
		if request[0] != allTables && int(request[0]) != id {
			continue
		}
		for _, f := range p.tables[id].flows {
			if f.cookie&mask == cookie&mask {
				flows = append(flows, f)
			}
		}
	}
	return flows
}

// aggregate writes struct ofp_stats of their sum.
func aggregate(flows []*flow) []byte {
	var packets, bytes uint64
	for _, f := range flows {
		packets, bytes = packets+f.packets, bytes+f.bytes
	}
	b := u16(u16(nil, 0), 0)
	b = u32(u32(b, 0x8002<<16|3<<9|4), uint32(len(flows)))
	b = u64(u32(b, 0x8002<<16|4<<9|8), packets)
	b = u64(u32(b, 0x8002<<16|5<<9|8), bytes)
	return pad(setLength(b, 0, 2), 0)
}
