package ovs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type groupSample struct {
	line string
	want Group
}

func groupSamples() []groupSample {
	return []groupSample{
		{ // OpenFlow 1.5, and NXST
			" group_id=10,type=select,bucket=bucket_id:0,weight:100,actions=set_field:0xc000020a->reg3,resubmit(,5),bucket=bucket_id:7,weight:50,actions=output:2",
			Group{
				ID: 10, Type: []byte("select"),
				Buckets: []Bucket{
					{ID: 0, Weight: 100, Actions: []byte("set_field:0xc000020a->reg3,resubmit(,5)")},
					{ID: 7, Weight: 50, Actions: []byte("output:2")},
				},
			},
		},
		{ // OpenFlow 1.1 to 1.4 has no numbers of buckets; a weight of 1 is not printed
			" group_id=4294967040,type=select,bucket=actions=drop,bucket=weight:0,actions=ct(commit,zone=1,nat(dst=192.0.2.5)),output:1",
			Group{
				ID: 4294967040, Type: []byte("select"),
				Buckets: []Bucket{
					{ID: 0, Weight: 1, Actions: []byte("drop")},
					{ID: 1, Weight: 0, Actions: []byte("ct(commit,zone=1,nat(dst=192.0.2.5)),output:1")},
				},
			},
		},
		{ // fast failover, with names that divide buckets
			`group_id=12,type=ff,bucket=bucket_id:0,watch_port:1,actions=output:1,bucket=bucket_id:1,watch_port:"p,bucket=",watch_group:10,actions=output:"p,bucket=actions="`,
			Group{
				ID: 12, Type: []byte("ff"),
				Buckets: []Bucket{
					{ID: 0, WatchPort: []byte("1"), Actions: []byte("output:1")},
					{ID: 1, WatchPort: []byte(`"p,bucket="`), WatchGroup: []byte("10"), Actions: []byte(`output:"p,bucket=actions="`)},
				},
			},
		},
		{" group_id=14,type=all", Group{ID: 14, Type: []byte("all")}},
		{" group_id=13,type=indirect,bucket=bucket_id:0,actions=output:1", Group{ID: 13, Type: []byte("indirect"), Buckets: []Bucket{{Actions: []byte("output:1")}}}},
		{
			" group_id=11,type=select,selection_method=hash,selection_method_param=3,fields(ip_src=255.255.255.0,ip_dst),bucket=bucket_id:5,actions=drop",
			Group{
				ID: 11, Type: []byte("select"), SelectionMethod: []byte("hash"), SelectionParam: 3, HashFields: []byte("ip_src=255.255.255.0,ip_dst"),
				Buckets: []Bucket{{ID: 5, Weight: 1, Actions: []byte("drop")}},
			},
		},
		{ // one field has no brackets
			" group_id=11,type=select,selection_method=hash,fields=ip_dst=255.255.255.0,bucket=actions=drop",
			Group{
				ID: 11, Type: []byte("select"), SelectionMethod: []byte("hash"), HashFields: []byte("ip_dst=255.255.255.0"),
				Buckets: []Bucket{{Weight: 1, Actions: []byte("drop")}},
			},
		},
		{" group_id=1,type=select,selection_method=dp_hash", Group{ID: 1, Type: []byte("select"), SelectionMethod: []byte("dp_hash")}},
	}
}

func TestGroup_Parse(t *testing.T) {
	var g Group
	for _, s := range groupSamples() {
		if err := g.Parse([]byte(s.line + "\n")); err != nil {
			t.Errorf("%s: %v", s.line, err)
		} else if diff := cmp.Diff(s.want, g, equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.line, diff)
		}
		if got := LineKind([]byte(s.line)); got != GroupLine {
			t.Errorf("%s: is of kind %d", s.line, got)
		}
	}
}

func TestGroup_ParseErrors(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		var g Group
		if err := g.Parse([]byte(line)); err == nil || err.Error() != want {
			t.Errorf("%s:\nwant %s\n got %v", line, want, err)
		}
	}
	f("", "column 1: expected group_id=")
	f("group_id=ALL", "column 10: expected a group's number")
	f("group_id=4294967296,type=all", "column 10: expected a group's number")
	f("group_id=1,duration=1s", "column 11: expected ,type=")
	f("group_id=1,type=", "column 17: expected a group's type")
	f("group_id=1,type=all,selection_method=,", "column 38: expected a selection method")
	f("group_id=1,type=all,selection_method_param=x", "column 44: expected a number")
	f("group_id=1,type=all,fields(", "column 28: expected fields to hash")
	f("group_id=1,type=all,fields(a)b", "column 31: expected a closing bracket")
	f("group_id=1,type=all,fields=,bucket=", "column 28: expected fields to hash")
	f("group_id=1,type=all,buckets=", "column 20: expected ,bucket=")
	f("group_id=1,type=all,bucket=bucket_id:x,", "column 38: expected a bucket's number and a comma")
	f("group_id=1,type=all,bucket=bucket_id:1", "column 39: expected a bucket's number and a comma")
	f("group_id=1,type=all,bucket=weight:65536,", "column 35: expected a weight up to 65535 and a comma")
	f("group_id=1,type=all,bucket=watch_port:,", "column 39: expected a port or group to watch, and a comma")
	f("group_id=1,type=all,bucket=watch_group:1", "column 41: expected a port or group to watch, and a comma")
	f("group_id=1,type=all,bucket=drop", "column 28: expected actions=")
	f("group_id=1,type=all,bucket=actions=", "column 36: expected an action")
	f("group_id=1,type=all,bucket=actions=drop,", "column 41: expected an action")
	f("group_id=1,type=all,bucket=actions=ct(commit,bucket=actions=drop", "column 65: expected an action")
}

type groupStatsSample struct {
	line string
	want GroupStats
}

func groupStatsSamples() []groupStatsSample {
	return []groupStatsSample{
		{
			" group_id=10,duration=49.546s,ref_count=1,packet_count=7,byte_count=490,bucket0:packet_count=3,byte_count=210,bucket1:packet_count=4,byte_count=280",
			GroupStats{
				ID: 10, Duration: 49546 * time.Millisecond, References: 1, Packets: known(7), Bytes: known(490),
				Buckets: []BucketStats{{0, known(3), known(210)}, {1, known(4), known(280)}},
			},
		},
		{ // OpenFlow 1.1 and 1.2
			" group_id=14,ref_count=0,packet_count=0,byte_count=0",
			GroupStats{ID: 14, Packets: known(0), Bytes: known(0)},
		},
		{ // the largest number is one that the switch does not know; a bucket of those is left out
			" group_id=15,duration=1s,ref_count=0,packet_count=18446744073709551615,byte_count=18446744073709551615,bucket1:packet_count=4,byte_count=18446744073709551615",
			GroupStats{ID: 15, Duration: time.Second, Buckets: []BucketStats{{1, known(4), Count{}}}},
		},
	}
}

func TestGroupStats_Parse(t *testing.T) {
	var g GroupStats
	for _, s := range groupStatsSamples() {
		if err := g.Parse([]byte(s.line)); err != nil {
			t.Errorf("%s: %v", s.line, err)
		} else if diff := cmp.Diff(s.want, g, equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.line, diff)
		}
		if got := LineKind([]byte(s.line)); got != GroupStatsLine {
			t.Errorf("%s: is of kind %d", s.line, got)
		}
	}
	f := func(line, want string) {
		t.Helper()
		if err := g.Parse([]byte(line)); err == nil || err.Error() != want {
			t.Errorf("%s:\nwant %s\n got %v", line, want, err)
		}
	}
	f("group_id=1,type=all", "column 11: expected ,ref_count=")
	f("group_id=1,duration=1,", "column 21: expected seconds")
	f("group_id=1,ref_count=x", "column 22: expected a number")
	f("group_id=1,ref_count=1", "column 23: expected a comma")
	f("group_id=1,ref_count=1,packets=1", "column 24: expected packet_count=")
	f("group_id=1,ref_count=1,packet_count=-", "column 37: expected a number")
	f("group_id=1,ref_count=1,packet_count=1", "column 38: expected ,byte_count=")
	f("group_id=1,ref_count=1,packet_count=1,byte_count=", "column 50: expected a number")
	f("group_id=1,ref_count=1,packet_count=1,byte_count=1,", "column 51: expected ,bucket")
	f("group_id=1,ref_count=1,packet_count=1,byte_count=1,bucketx:", "column 58: expected a bucket's number and a colon")
}

func TestGroup_RoundTrip(t *testing.T) {
	var got Group
	var gotStats GroupStats
	rapid.Check(t, func(t *rapid.T) {
		has := func(name string) bool { return rapid.Bool().Draw(t, "has "+name) }
		want := Group{ID: rapid.Uint32().Draw(t, "id"), Type: []byte(rapid.SampledFrom([]string{"all", "select", "indirect", "ff"}).Draw(t, "type"))}
		stats := GroupStats{ID: want.ID, References: rapid.Uint32().Draw(t, "references"), Packets: known(rapid.Uint64Range(0, 1e18).Draw(t, "packets")), Bytes: known(0)}
		var b, s strings.Builder
		fmt.Fprintf(&b, " group_id=%d,type=%s", want.ID, want.Type)
		fmt.Fprintf(&s, " group_id=%d,ref_count=%d,packet_count=%d,byte_count=0", want.ID, stats.References, stats.Packets.Value)
		if has("method") {
			want.SelectionMethod, want.HashFields = []byte("hash"), []byte(strings.Join(rapid.SliceOfN(rapid.StringMatching(`(ip|eth)_src(=255\.0\.0\.0)?`), 1, 3).Draw(t, "fields"), ","))
			fmt.Fprintf(&b, ",selection_method=hash,fields(%s)", want.HashFields)
		}
		numbered := has("numbers")
		for i := range rapid.IntRange(0, 4).Draw(t, "buckets") {
			bucket := Bucket{ID: uint32(i)}
			b.WriteString(",bucket=")
			if numbered {
				bucket.ID = rapid.Uint32().Draw(t, "bucket")
				fmt.Fprintf(&b, "bucket_id:%d,", bucket.ID)
			}
			if string(want.Type) == "select" {
				bucket.Weight = 1
			}
			if has("weight") {
				bucket.Weight = rapid.Uint16().Draw(t, "weight")
				fmt.Fprintf(&b, "weight:%d,", bucket.Weight)
			}
			if has("port") {
				bucket.WatchPort = []byte(rapid.StringMatching(`[0-9]{1,3}|"[a-z,=:(]{1,9}"`).Draw(t, "port"))
				fmt.Fprintf(&b, "watch_port:%s,", bucket.WatchPort)
			}
			bucket.Actions = []byte(rapid.StringMatching(`(drop|output:"[a-z ,=(]{1,9}"|ct\(commit,nat\(dst=192\.0\.2\.[0-9]\)\))(,group:[0-9]{1,3})?`).Draw(t, "actions"))
			fmt.Fprintf(&b, "actions=%s", bucket.Actions)
			want.Buckets = append(want.Buckets, bucket)

			counted := BucketStats{uint32(i), known(rapid.Uint64Range(0, 1e18).Draw(t, "bucket's packets")), known(7)}
			fmt.Fprintf(&s, ",bucket%d:packet_count=%d,byte_count=7", i, counted.Packets.Value)
			stats.Buckets = append(stats.Buckets, counted)
		}
		for line, parse := range map[string]func([]byte) error{b.String(): got.Parse, s.String(): gotStats.Parse} {
			if err := parse([]byte(line)); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		if diff := cmp.Diff(want, got, equal) + cmp.Diff(stats, gotStats, equal); diff != "" {
			t.Fatalf("%s\n%s (-want +got):\n%s", &b, &s, diff)
		}
	})
}

func TestGroup_Allocations(t *testing.T) {
	groups, stats := groupSamples(), groupStatsSamples()
	var lines, statsLines [][]byte
	for _, s := range groups {
		lines = append(lines, []byte(s.line))
	}
	for _, s := range stats {
		statsLines = append(statsLines, []byte(s.line))
	}
	var g Group
	var s GroupStats
	if n := testing.AllocsPerRun(100, func() {
		for _, line := range lines {
			if g.Parse(line) != nil {
				t.Fatal(string(line))
			}
		}
		for _, line := range statsLines {
			if s.Parse(line) != nil {
				t.Fatal(string(line))
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzGroup(f *testing.F) {
	for _, s := range groupSamples() {
		f.Add([]byte(s.line))
	}
	for _, s := range groupStatsSamples() {
		f.Add([]byte(s.line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		kind := LineKind(line)
		var g Group
		if g.Parse(line) == nil {
			if kind != GroupLine {
				t.Fatalf("%q: parses, but is of kind %d", line, kind)
			}
			for _, b := range g.Buckets {
				if err := whole(&Flow{Actions: b.Actions}); err != nil {
					t.Fatalf("%q: %v", line, err)
				}
			}
		}
		var s GroupStats
		if s.Parse(line) == nil && kind != GroupStatsLine {
			t.Fatalf("%q: parses, but is of kind %d", line, kind)
		}
	})
}
