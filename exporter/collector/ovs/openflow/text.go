package openflow

import "strconv"

func appendDecimal(to []byte, n uint64) []byte { return strconv.AppendUint(to, n, 10) }

// appendHex appends as C's %x does.
func appendHex(to []byte, n uint64) []byte { return strconv.AppendUint(to, n, 16) }

// Names are the names of ports and tables, for AppendText as with ovs-ofctl
// --names. A number without a name is printed as it is.
type Names struct {
	Ports  map[uint32]string
	Tables map[uint8]string
}

// AppendText appends the flow as "ovs-ofctl -O OpenFlow15 dump-flows" prints it
// (of OpenFlow 1.3 as with -O OpenFlow13), without the blank before it and the
// end of the line. Names may be nil.
func (f *Flow) AppendText(to []byte, names *Names) []byte { return to }
