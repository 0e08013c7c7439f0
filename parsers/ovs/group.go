package ovs

import (
	"math"
	"time"

	"github.com/corkline/corkline/parsers/internal/dump"
)

// Group is one group as ovs-ofctl dump-groups prints it, for OpenFlow 1.0 to 1.5.
type Group struct {
	ID              uint32
	Type            []byte // all, select, indirect or ff (fast failover)
	SelectionMethod []byte // of select groups: hash or dp_hash; empty is the switch's own
	SelectionParam  uint64
	HashFields      []byte // the fields that hash goes by, with commas between
	Buckets         []Bucket
}

// Bucket is one of the action lists that a group chooses from.
type Bucket struct {
	ID         uint32 // its place in the group where OpenFlow 1.1 to 1.4 prints none
	Weight     uint16 // in select groups 1 when it is not printed, else 0
	WatchPort  []byte // number or quoted name; empty is none
	WatchGroup []byte // number; empty is none
	Actions    []byte // see Actions
}

// Parse reads a line into g, whatever g held before, and refers to the
// memory of the line. The error is an Error, and leaves g undefined.
func (g *Group) Parse(line []byte) error {
	*g = Group{Buckets: g.Buckets[:0]}
	s := dump.Scanner{Text: dump.TrimEnd(line)}
	s.Blanks()
	if err := parseGroupID(&s, &g.ID); err != nil {
		return err
	}
	if !s.Take(",type=") {
		return s.Expected(",type=")
	}
	if g.Type = s.Word(); len(g.Type) == 0 {
		return s.Expected("a group's type")
	}
	if s.Take(",selection_method=") {
		if g.SelectionMethod = s.Word(); len(g.SelectionMethod) == 0 {
			return s.Expected("a selection method")
		}
	}
	if s.Take(",selection_method_param=") {
		if !dump.Take(&s, &g.SelectionParam) {
			return s.Expected("a number")
		}
	}
	if s.Sees(",fields=") || s.Sees(",fields(") {
		s.At++
		name, end, ok := action(s.Rest())
		if !ok || end == name+1 {
			s.At += end
			return s.Expected("fields to hash")
		}
		g.HashFields = s.Rest()[name+1 : end : end]
		if s.Rest()[name] == '(' {
			g.HashFields = g.HashFields[:len(g.HashFields)-1]
			if s.Rest()[end-1] != ')' {
				s.At += end
				return s.Expected("a closing bracket")
			}
		}
		s.At += end
	}
	for !s.End() {
		if err := g.parseBucket(&s); err != nil {
			return err
		}
	}
	return nil
}

func (g *Group) parseBucket(s *dump.Scanner) error {
	if !s.Take(",bucket=") {
		return s.Expected(",bucket=")
	}
	b := Bucket{ID: uint32(len(g.Buckets))}
	if string(g.Type) == "select" {
		b.Weight = 1
	}
	if s.Take("bucket_id:") {
		if !dump.Take(s, &b.ID) || !s.Take(",") {
			return s.Expected("a bucket's number and a comma")
		}
	}
	if s.Take("weight:") {
		if !dump.Take(s, &b.Weight) || !s.Take(",") {
			return s.Expected("a weight up to 65535 and a comma")
		}
	}
	for _, watch := range []struct {
		key string
		to  *[]byte
	}{{"watch_port:", &b.WatchPort}, {"watch_group:", &b.WatchGroup}} {
		if !s.Take(watch.key) {
			continue
		}
		_, end, ok := action(s.Rest())
		*watch.to = s.Rest()[:end:end]
		s.At += end
		if !ok || !s.Take(",") {
			return s.Expected("a port or group to watch, and a comma")
		}
	}
	if !s.Take(actionsKey) {
		return s.Expected("actions=")
	}
	start := s.At
	for {
		_, end, ok := action(s.Rest())
		s.At += end
		if !ok {
			return s.Expected("an action")
		}
		if s.End() || s.Sees(",bucket=") {
			break
		}
		s.At++ // the comma
	}
	b.Actions = s.Text[start:s.At:s.At]
	g.Buckets = append(g.Buckets, b)
	return nil
}

// GroupStats are the counters of one group as ovs-ofctl dump-group-stats
// prints them.
type GroupStats struct {
	ID             uint32
	Duration       time.Duration // since the group was added; 0 in OpenFlow 1.1 and 1.2, which tell none
	References     uint32        // flows and groups that lead to the group
	Packets, Bytes Count
	Buckets        []BucketStats
}

// BucketStats are the counters of one bucket.
type BucketStats struct {
	Bucket         uint32 // its place in the group; buckets that the switch does not count are left out
	Packets, Bytes Count
}

// Parse reads a line into g, whatever g held before. The error is an Error,
// and leaves g undefined.
func (g *GroupStats) Parse(line []byte) error {
	*g = GroupStats{Buckets: g.Buckets[:0]}
	s := dump.Scanner{Text: dump.TrimEnd(line)}
	s.Blanks()
	if err := parseGroupID(&s, &g.ID); err != nil {
		return err
	}
	if s.Take(",duration=") {
		var ok bool
		if g.Duration, ok = s.Duration(); !ok {
			return s.Expected("seconds")
		}
	}
	if !s.Take(",ref_count=") {
		return s.Expected(",ref_count=")
	}
	if !dump.Take(&s, &g.References) {
		return s.Expected("a number")
	}
	if !s.Take(",") {
		return s.Expected("a comma")
	}
	if err := parseGroupCounts(&s, &g.Packets, &g.Bytes); err != nil {
		return err
	}
	for !s.End() {
		if !s.Take(",bucket") {
			return s.Expected(",bucket")
		}
		var b BucketStats
		if !dump.Take(&s, &b.Bucket) || !s.Take(":") {
			return s.Expected("a bucket's number and a colon")
		}
		if err := parseGroupCounts(&s, &b.Packets, &b.Bytes); err != nil {
			return err
		}
		g.Buckets = append(g.Buckets, b)
	}
	return nil
}

const groupKey = "group_id="

func parseGroupID(s *dump.Scanner, id *uint32) error {
	if !s.Take(groupKey) {
		return s.Expected(groupKey)
	}
	if !dump.Take(s, id) {
		return s.Expected("a group's number")
	}
	return nil
}

func parseGroupCounts(s *dump.Scanner, packets, bytes *Count) error {
	if !s.Take("packet_count=") {
		return s.Expected("packet_count=")
	}
	var ok bool
	if *packets, ok = groupCount(s); !ok {
		return s.Expected("a number")
	}
	if !s.Take(",byte_count=") {
		return s.Expected(",byte_count=")
	}
	if *bytes, ok = groupCount(s); !ok {
		return s.Expected("a number")
	}
	return nil
}

// groupCount takes a number. Of groups the largest one is printed as it is
// when the switch does not count.
func groupCount(s *dump.Scanner) (Count, bool) {
	c, ok := count(s)
	if c.Value == math.MaxUint64 {
		c = Count{}
	}
	return c, ok
}
