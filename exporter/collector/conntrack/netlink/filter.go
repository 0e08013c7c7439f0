package netlink

import "encoding/binary"

// Filter tells which entries to dump; the zero value is for all. The kernel
// applies what it knows of it: the family and the mark always, the status from
// Linux 6.0, the zone from 6.8. The rest is left out after it was read.
type Filter struct {
	Family             uint8 // 4, 6, or 0 for both
	Mark, MarkMask     uint32
	Status, StatusMask uint32
	Zone               uint16
	OnlyZone           bool
}

// Unreplied is a Filter for entries to which no packet came back.
func Unreplied() Filter { return Filter{StatusMask: SeenReply} }

// Unassured is a Filter for what the kernel evicts first when the table is full:
// entries to which no packet came back, TCP whose handshake is not completed, and
// single questions and answers over UDP or ICMP.
func Unassured() Filter { return Filter{StatusMask: Assured} }

// Matches tells whether an entry is one of those to dump.
func (f *Filter) Matches(e *Entry) bool {
	return (f.Family == 0 || f.Family == e.Family) && e.Mark&f.MarkMask == f.Mark&f.MarkMask &&
		e.Status&f.StatusMask == f.Status&f.StatusMask && (!f.OnlyZone || f.Zone == e.Zone)
}

// family of nfgenmsg.
func (f *Filter) family() uint8 {
	switch f.Family {
	case 4:
		return familyIPv4
	case 6:
		return familyIPv6
	default:
		return 0
	}
}

func (f *Filter) append(to []byte) []byte {
	if f.MarkMask != 0 {
		to = append32(append32(to, attrMark, f.Mark), attrMarkMask, f.MarkMask)
	}
	if f.StatusMask != 0 {
		to = append32(append32(to, attrStatus, f.Status), attrStatusMask, f.StatusMask)
	}
	if f.OnlyZone {
		to = binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(to, 4+2), attrZone)
		to = append(binary.BigEndian.AppendUint16(to, f.Zone), 0, 0)
	}
	return to
}

func append32(to []byte, kind uint16, value uint32) []byte {
	to = binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(to, 4+4), kind)
	return binary.BigEndian.AppendUint32(to, value)
}
