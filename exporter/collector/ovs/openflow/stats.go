package openflow

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"net"
	"strconv"
	"time"

	"github.com/corkline/corkline/parsers/ovs"
)

// Tables hands on the counters of every table, without their names.
func (c *Client) Tables(ctx context.Context, each func(*ovs.TableStats) error) error {
	var t ovs.TableStats
	return c.multipart(ctx, multipartTable, nil, func(body []byte) error {
		for ; len(body) > 0; body = body[24:] {
			if len(body) < 24 {
				return DecodeError{"the statistics of a table", 0}
			}
			t = ovs.TableStats{ID: int(body[0]), Active: be32(body[4:]), Lookups: be64(body[8:]), Matched: be64(body[16:])}
			if err := each(&t); err != nil {
				return err
			}
		}
		return nil
	})
}

// TableNames are the names of those tables that have one, by their numbers.
// They are in OFPMP_TABLE_FEATURES, in OpenFlow 1.3 and 1.5 alike with every
// Open vSwitch since 2.4 (OFPMP_TABLE_DESC of 1.5 has none), which describe 254
// tables in 1.2 MB: ask once a connection, not in every poll. Names longer
// than 31 bytes are cut.
func (c *Client) TableNames(ctx context.Context) (map[uint8]string, error) {
	names := map[uint8]string{}
	err := c.multipart(ctx, multipartTableFeatures, nil, func(body []byte) error {
		return eachEntry(body, func(entry []byte) error {
			if len(entry) < 40 {
				return DecodeError{"the features of a table", 0}
			}
			if name := text(entry[8:40]); len(name) > 0 {
				names[entry[2]] = string(name)
			}
			return nil
		})
	})
	return names, err
}

// text is what stands before the first zero.
func text(b []byte) []byte {
	if end := bytes.IndexByte(b, 0); end >= 0 {
		return b[:end]
	}
	return b
}

// Port is a port of the bridge.
type Port struct {
	Number        uint32 // PortLocal is the bridge itself
	Name          string
	Address       net.HardwareAddr
	Config, State uint32 // enum ofp_port_config and ofp_port_state
	Speed         uint32 // kbit/s; 0 is unknown
}

// Down tells whether the port is administratively down, or has no link.
func (p *Port) Down() bool { return p.Config&1 != 0 || p.State&1 != 0 }

// all is a request for all ports (or all groups), with its padding.
func all(number uint32) []byte {
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], number)
	return b[:]
}

// Ports hands on the ports with their names, each in the same Port.
func (c *Client) Ports(ctx context.Context, each func(*Port) error) error {
	var request []byte
	if c.version == Version15 {
		request = all(PortNone)
	}
	var p Port
	return c.multipart(ctx, multipartPortDesc, request, func(body []byte) error {
		for len(body) > 0 {
			n, err := p.decode(body, c.version)
			if err != nil {
				return err
			}
			if err := each(&p); err != nil {
				return err
			}
			body = body[n:]
		}
		return nil
	})
}

func (p *Port) decode(b []byte, version Version) (n int, err error) {
	n = 64
	if version == Version15 && len(b) >= 6 {
		n = int(be16(b[4:]))
	}
	if len(b) < 40 || n < 40 || n > len(b) {
		return 0, DecodeError{"a port", 0}
	}
	*p = Port{Number: be32(b), Name: string(text(b[16:32])), Address: bytes.Clone(b[8:14]), Config: be32(b[32:]), State: be32(b[36:])}
	if version == Version15 {
		err = eachProperty(b[:n], 40, func(kind uint16, property []byte) error {
			if kind == 0 && len(property) >= 32 { // OFPPDPT_ETHERNET
				p.Speed = be32(property[24:])
			}
			return nil
		})
		return n, err
	}
	p.Speed = be32(b[56:])
	return n, nil
}

// eachProperty goes through the properties behind a place of an entry.
func eachProperty(b []byte, at int, each func(kind uint16, property []byte) error) error {
	for at < len(b) {
		if len(b)-at < 4 {
			return DecodeError{"the head of a property", at}
		}
		kind, n := be16(b[at:]), int(be16(b[at+2:]))
		if n < 4 || n > len(b)-at {
			return DecodeError{"the length of a property", at}
		}
		if err := each(kind, b[at:at+n:at+n]); err != nil {
			return err
		}
		at += min(padded(n), len(b)-at)
	}
	return nil
}

// PortStats hands on the counters of every port, each in the same PortStats,
// whose Port is the number, or LOCAL.
func (c *Client) PortStats(ctx context.Context, each func(*ovs.PortStats) error) error {
	var p ovs.PortStats
	return c.multipart(ctx, multipartPort, all(PortNone), func(body []byte) error {
		for len(body) > 0 {
			n, err := decodePortStats(&p, body, c.version)
			if err != nil {
				return err
			}
			if err := each(&p); err != nil {
				return err
			}
			body = body[n:]
		}
		return nil
	})
}

func decodePortStats(p *ovs.PortStats, b []byte, version Version) (n int, err error) {
	*p = ovs.PortStats{More: p.More[:0]}
	if version == Version13 {
		if n = 112; len(b) < n {
			return 0, DecodeError{"the statistics of a port", 0}
		}
		setPort(p, be32(b))
		setCounts(b[8:], &p.RxPackets, &p.TxPackets, &p.RxBytes, &p.TxBytes, &p.RxDropped, &p.TxDropped, &p.RxErrors, &p.TxErrors,
			&p.RxFrameErrors, &p.RxOverruns, &p.RxCRCErrors, &p.Collisions)
		p.Duration = duration(b[104:])
		return n, nil
	}
	if len(b) < 80 {
		return 0, DecodeError{"the statistics of a port", 0}
	}
	if n = int(be16(b)); n < 80 || n > len(b) {
		return 0, DecodeError{"the length of the statistics of a port", 0}
	}
	setPort(p, be32(b[4:]))
	p.Duration = duration(b[8:])
	setCounts(b[16:], &p.RxPackets, &p.TxPackets, &p.RxBytes, &p.TxBytes, &p.RxDropped, &p.TxDropped, &p.RxErrors, &p.TxErrors)
	err = eachProperty(b[:n], 80, func(kind uint16, property []byte) error {
		switch {
		case kind == 0 && len(property) >= 40: // OFPPSPT_ETHERNET
			setCounts(property[8:], &p.RxFrameErrors, &p.RxOverruns, &p.RxCRCErrors, &p.Collisions)
		case kind == 0xffff && len(property) >= 12 && be32(property[4:]) == experimenterIntel:
			return decodeIntelStats(p, property)
		}
		return nil
	})
	return n, err
}

func setPort(p *ovs.PortStats, number uint32) {
	p.Number = int(number)
	if number == PortLocal {
		p.Port, p.Number = "LOCAL", -1
		return
	}
	p.Port = string(appendDecimal(nil, uint64(number)))
}

func setCounts(b []byte, counts ...*ovs.Count) {
	for i, c := range counts {
		*c = count(b[8*i:])
	}
}

// rfc2819 are the counters of struct intel_port_stats_rfc2819 in their order,
// and whether they are of what is received.
var rfc2819 = [...]struct {
	rx   bool
	name string
}{
	{true, "1_to_64_packets"},
	{true, "65_to_127_packets"},
	{true, "128_to_255_packets"},
	{true, "256_to_511_packets"},
	{true, "512_to_1023_packets"},
	{true, "1024_to_1522_packets"},
	{true, "1523_to_max_packets"},
	{false, "1_to_64_packets"},
	{false, "65_to_127_packets"},
	{false, "128_to_255_packets"},
	{false, "256_to_511_packets"},
	{false, "512_to_1023_packets"},
	{false, "1024_to_1522_packets"},
	{false, "1523_to_max_packets"},
	{false, "multicast_packets"},
	{true, "broadcast_packets"},
	{false, "broadcast_packets"},
	{true, "undersized_errors"},
	{true, "oversize_errors"},
	{true, "rx_fragmented_errors"},
	{true, "rx_jabber_errors"},
}

// decodeIntelStats reads what ovs-ofctl prints as rfc2819 and CUSTOM Statistics.
func decodeIntelStats(p *ovs.PortStats, b []byte) error {
	switch be32(b[8:]) {
	case 1:
		if at := 16 + 8*len(rfc2819); at > len(b) {
			return DecodeError{"rfc2819 statistics", at}
		}
		for _, rx := range []bool{true, false} { // as they are printed
			set := "tx rfc2819"
			if rx {
				set = "rx rfc2819"
			}
			for i, c := range rfc2819 {
				if n := count(b[16+8*i:]); c.rx == rx && n.Known {
					p.More = append(p.More, ovs.PortCounter{Set: set, Name: c.name, Count: n})
				}
			}
		}
	case 2:
		if len(b) < 16 {
			return DecodeError{"custom statistics", 12}
		}
		for at, left := 16, be16(b[14:]); left > 0; left-- {
			if at >= len(b) || at+1+int(b[at])+8 > len(b) {
				return DecodeError{"a custom statistic", at}
			}
			name := b[at+1 : at+1+int(b[at])]
			at += 1 + len(name)
			p.More = append(p.More, ovs.PortCounter{Set: "CUSTOM Statistics", Name: string(text(name)), Count: count(b[at:])})
			at += 8
		}
	}
	return nil
}

// GroupStats hands on the counters of every group, each in the same GroupStats.
func (c *Client) GroupStats(ctx context.Context, each func(*ovs.GroupStats) error) error {
	var g ovs.GroupStats
	return c.multipart(ctx, multipartGroup, all(groupAll), func(body []byte) error {
		return eachEntry(body, func(b []byte) error {
			if len(b) < 40 {
				return DecodeError{"the statistics of a group", 0}
			}
			g = ovs.GroupStats{
				ID: be32(b[4:]), References: be32(b[8:]), Packets: count(b[16:]), Bytes: count(b[24:]), Duration: duration(b[32:]), Buckets: g.Buckets[:0],
			}
			for i, at := 0, 40; at < len(b); i, at = i+1, at+16 {
				if at+16 > len(b) {
					return DecodeError{"the statistics of a bucket", at}
				}
				g.Buckets = append(g.Buckets, ovs.BucketStats{Bucket: uint32(i), Packets: count(b[at:]), Bytes: count(b[at+8:])})
			}
			return each(&g)
		})
	})
}

// groupAll asks for every group.
const groupAll = 0xfffffffc

// Group is a group with its buckets, valid until the callback returns.
type Group struct {
	ID              uint32
	Type            GroupType
	SelectionMethod []byte // hash or dp_hash; empty is the switch's own
	SelectionParam  uint64
	HashFields      Match // that hash goes by, with the masks in Value
	Buckets         []Bucket

	numbered bool // the buckets have numbers
}

// GroupType is which of the buckets are taken.
type GroupType uint8

// The types of groups.
const (
	GroupAll GroupType = iota
	GroupSelect
	GroupIndirect
	GroupFastFailover
)

var groupTypes = [...]string{"all", "select", "indirect", "ff"}

// String gives the type as ovs-ofctl prints it.
func (t GroupType) String() string {
	if int(t) < len(groupTypes) {
		return groupTypes[t]
	}
	return strconv.Itoa(int(t))
}

// Bucket is one of the action lists that a group chooses from.
type Bucket struct {
	ID         uint32 // its place in OpenFlow 1.3, which has no numbers
	Weight     uint16
	WatchPort  uint32 // PortNone is none
	WatchGroup uint32 // 0xffffffff is none
	Actions    Actions
}

// Groups hands on every group, each in the same Group.
func (c *Client) Groups(ctx context.Context, each func(*Group) error) error {
	var request []byte
	if c.version == Version15 {
		request = all(groupAll)
	}
	var g Group
	return c.multipart(ctx, multipartGroupDesc, request, func(body []byte) error {
		return eachEntry(body, func(entry []byte) error {
			if err := g.decode(entry, c.version); err != nil {
				return err
			}
			return each(&g)
		})
	})
}

func (g *Group) decode(b []byte, version Version) error {
	*g = Group{Buckets: g.Buckets[:0]}
	if len(b) < 8 {
		return DecodeError{"a group", 0}
	}
	g.Type, g.ID = GroupType(b[2]), be32(b[4:])
	if version == Version13 {
		return g.decodeBuckets(b, 8, len(b), version)
	}
	if len(b) < 16 || 16+int(be16(b[8:])) > len(b) {
		return DecodeError{"the buckets of a group", 8}
	}
	g.numbered = true
	end := 16 + int(be16(b[8:]))
	if err := g.decodeBuckets(b, 16, end, version); err != nil {
		return err
	}
	return eachProperty(b, end, func(kind uint16, p []byte) error {
		if kind != 0xffff || len(p) < 40 || be32(p[4:]) != experimenterNTR || be32(p[8:]) != 1 {
			return nil
		}
		g.SelectionMethod, g.SelectionParam = text(p[16:32]), be64(p[32:])
		g.HashFields = Match{p[40:]}
		return checkFields(g.HashFields.oxm, end+40)
	})
}

func (g *Group) decodeBuckets(b []byte, at, end int, version Version) error {
	for at < end {
		var bucket Bucket
		if g.Type == GroupSelect {
			bucket.Weight = 1
		}
		n, err := bucket.decode(b[at:end], at, version)
		if err != nil {
			return err
		}
		if version == Version13 {
			bucket.ID = uint32(len(g.Buckets))
		}
		g.Buckets = append(g.Buckets, bucket)
		at += n
	}
	return nil
}

func (k *Bucket) decode(b []byte, offset int, version Version) (n int, err error) {
	if len(b) < 8 {
		return 0, DecodeError{"a bucket", offset}
	}
	if n = int(be16(b)); n < 8 || n > len(b) {
		return 0, DecodeError{"the length of a bucket", offset}
	}
	k.WatchPort, k.WatchGroup = PortNone, math.MaxUint32
	if version == Version13 {
		if n < 16 {
			return 0, DecodeError{"a bucket", offset}
		}
		k.Weight, k.WatchPort, k.WatchGroup = be16(b[2:]), be32(b[4:]), be32(b[8:])
		k.Actions = Actions{b[16:n:n]}
		return n, checkActions(k.Actions.b, offset+16, 0)
	}
	end := 8 + int(be16(b[2:]))
	if end > n {
		return 0, DecodeError{"the actions of a bucket", offset + 2}
	}
	k.ID, k.Actions = be32(b[4:]), Actions{b[8:end:end]}
	if err := checkActions(k.Actions.b, offset+8, 0); err != nil {
		return 0, err
	}
	return n, eachProperty(b[:n], end, func(kind uint16, p []byte) error {
		if len(p) < 8 {
			return nil
		}
		switch kind {
		case 0: // OFPGBPT_WEIGHT
			k.Weight = be16(p[4:])
		case 1:
			k.WatchPort = be32(p[4:])
		case 2:
			k.WatchGroup = be32(p[4:])
		}
		return nil
	})
}

// MeterStats are the counters of one meter.
type MeterStats struct {
	ID             uint32
	Flows          uint32 // that go through it
	Packets, Bytes ovs.Count
	Duration       time.Duration
	Bands          []MeterBand // valid until the callback returns
}

// MeterBand counts what exceeded one of the rates.
type MeterBand struct{ Packets, Bytes ovs.Count }

// Meters hands on the counters of every meter, each in the same MeterStats.
func (c *Client) Meters(ctx context.Context, each func(*MeterStats) error) error {
	var m MeterStats
	return c.multipart(ctx, multipartMeter, all(math.MaxUint32), func(body []byte) error {
		for len(body) > 0 {
			if len(body) < 40 {
				return DecodeError{"the statistics of a meter", 0}
			}
			n := int(be16(body[4:]))
			if n < 40 || n > len(body) || (n-40)%16 != 0 {
				return DecodeError{"the length of the statistics of a meter", 4}
			}
			m = MeterStats{
				ID: be32(body), Flows: be32(body[12:]), Packets: count(body[16:]), Bytes: count(body[24:]), Duration: duration(body[32:]), Bands: m.Bands[:0],
			}
			for at := 40; at < n; at += 16 {
				m.Bands = append(m.Bands, MeterBand{count(body[at:]), count(body[at+8:])})
			}
			if err := each(&m); err != nil {
				return err
			}
			body = body[n:]
		}
		return nil
	})
}

// MeterFeatures are what the switch can do with meters.
type MeterFeatures struct {
	MaxMeters    uint32 // 0 where the datapath has none
	BandTypes    uint32 // a bit for each enum ofp_meter_band_type
	Capabilities uint32 // enum ofp_meter_flags
	MaxBands     uint8
	MaxColors    uint8
}

// MeterFeatures asks for them.
func (c *Client) MeterFeatures(ctx context.Context) (f MeterFeatures, err error) {
	err = c.multipart(ctx, multipartMeterFeatures, nil, func(body []byte) error {
		if len(body) < 16 {
			return DecodeError{"the features of meters", 0}
		}
		f = MeterFeatures{be32(body), be32(body[4:]), be32(body[8:]), body[12], body[13]}
		return nil
	})
	return f, err
}
