// Package openflow reads the statistics of an Open vSwitch bridge over its
// management socket, in OpenFlow 1.3 and 1.5 (OpenFlow Switch Specification
// 1.3.5 and 1.5.1), with Open vSwitch's own fields and actions
// (include/openflow/nicira-ext.h, lib/ofp-actions.c of its source). It never
// changes the switch.
//
// What a reply holds is handed on entry by entry, each as a view on the bytes
// that came; nothing is kept, so that memory does not grow with the flows.
package openflow

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// Version of OpenFlow as its header has it.
type Version uint8

// The versions that a client speaks.
const (
	Version13 Version = 4
	Version15 Version = 6
)

// String gives the version as people write it, as 1.5.
func (v Version) String() string {
	if v == 0 {
		return "none"
	}
	return "1." + strconv.Itoa(int(v)-1)
}

// Types of messages.
const (
	typeHello            = 0
	typeError            = 1
	typeEchoRequest      = 2
	typeEchoReply        = 3
	typeMultipartRequest = 18
	typeMultipartReply   = 19
)

// Types of multipart messages.
const (
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

// multipartName names a type in errors.
func multipartName(kind uint16) string {
	switch kind {
	case multipartFlow:
		return "flows"
	case multipartAggregate:
		return "aggregate"
	case multipartTable:
		return "table statistics"
	case multipartPort:
		return "port statistics"
	case multipartGroup:
		return "group statistics"
	case multipartGroupDesc:
		return "groups"
	case multipartMeter:
		return "meter statistics"
	case multipartMeterFeatures:
		return "meter features"
	case multipartTableFeatures:
		return "table features"
	case multipartPortDesc:
		return "ports"
	default:
		return "multipart type " + strconv.Itoa(int(kind))
	}
}

const (
	headerLen    = 8  // of every message
	multipartLen = 16 // of a multipart message, with the header
)

// Ports that are not ports of the switch.
const (
	PortMax        = 0xffffff00 // the highest number of a port
	PortUnset      = 0xfffffff7
	PortIn         = 0xfffffff8 // the one that the packet came from
	PortTable      = 0xfffffff9
	PortNormal     = 0xfffffffa
	PortFlood      = 0xfffffffb
	PortAll        = 0xfffffffc
	PortController = 0xfffffffd
	PortLocal      = 0xfffffffe // the bridge itself
	PortNone       = 0xffffffff
)

// AllTables in a filter is every table.
const AllTables = 0xff

// DecodeError tells what was cut off or has a length that cannot be, and at
// which byte of its entry, from 0.
type DecodeError struct {
	What   string
	Offset int
}

func (e DecodeError) Error() string { return fmt.Sprintf("decode %s at byte %d", e.What, e.Offset) }

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
func be64(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

// padded is a length up to the next multiple of 8.
func padded(n int) int { return (n + 7) &^ 7 }
