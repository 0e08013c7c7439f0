package ovs

import (
	"bytes"
	"fmt"
	"regexp"
	"testing"
)

// antreaDump is a dump of n flows as an Antrea pipeline has them.
func antreaDump(n int) []byte {
	var b bytes.Buffer
	b.WriteString("OFPST_FLOW reply (OF1.5) (xid=0x2):\n")
	for i := range n {
		fmt.Fprintf(&b, " cookie=0x70%d0000000000, duration=%d.%03ds, table=", 1+i%4, 86400+i, i%1000)
		switch i % 4 {
		case 0:
			fmt.Fprintf(&b, "AntreaPolicyIngressRule, n_packets=%d, n_bytes=%d, idle_age=%d, priority=14500,ip,nw_src=198.51.%d.%d actions=conjunction(%d,1/3),conjunction(%d,1/2)",
				i, i*84, i%65534, i/256%256, i%256, i, i+1)
		case 1:
			fmt.Fprintf(&b, `Classifier, n_packets=%d, n_bytes=%d, idle_age=3, priority=190,in_port="web-%d-0a1b2c" actions=set_field:0x3/0xf->reg0,set_field:0x200/0x200->reg0,goto_table:SpoofGuard`,
				i, i*84, i)
		case 2:
			fmt.Fprintf(&b, "EndpointDNAT, n_packets=%d, n_bytes=%d, idle_age=3, priority=200,tcp,reg3=0xc00002%02x,reg4=0x2%04x/0x7ffff actions=ct(commit,table=AntreaPolicyEgressRule,zone=65520,nat(dst=192.0.2.%d:8080),exec(set_field:0x10/0x10->ct_mark,move:NXM_NX_REG0[0..3]->NXM_NX_CT_MARK[0..3]))",
				i, i*84, i%256, i%65536, i%256)
		case 3:
			fmt.Fprintf(&b, "IngressMetric, n_packets=%d, n_bytes=%d, idle_age=3, priority=200,ct_state=+new,ct_label=0x%x/0xffffffff,ip actions=goto_table:ConntrackCommit",
				i, i*84, i)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func BenchmarkFlows(b *testing.B) {
	const flows = 100_000
	dump := antreaDump(flows)
	run := func(name string, read func(line []byte)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(dump)))
			for b.Loop() {
				for line := range bytes.Lines(dump) {
					read(line)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/flows, "ns/flow")
		})
	}

	head := regexp.MustCompile(`^ cookie=(0x[0-9a-f]+), duration=([0-9.]+)s, table=([^,]+), n_packets=([0-9]+), n_bytes=([0-9]+), .*actions=`)
	run("regexp of the head", func(line []byte) {
		if head.FindSubmatchIndex(line) == nil && LineKind(line) == FlowLine {
			b.Fatalf("no match: %s", line)
		}
	})
	var f Flow
	parse := func(line []byte) {
		if err := f.Parse(line); err != nil && LineKind(line) == FlowLine {
			b.Fatalf("%v: %s", err, line)
		}
	}
	run("parse", parse)
	fields := 0
	run("parse, with match fields and actions", func(line []byte) {
		parse(line)
		for range f.MatchFields() {
			fields++
		}
		for range Actions(f.Actions) {
			fields++
		}
	})
	run("kind", func(line []byte) {
		if LineKind(line) == OtherLine {
			b.Fatalf("no kind: %s", line)
		}
	})
}

// A dump of tables has some lines, one of ports several for each pod of a node.
func BenchmarkStats(b *testing.B) {
	var tables, ports, groups bytes.Buffer
	for i := range 254 {
		fmt.Fprintf(&tables, "  table %d (\"table-%d\"):\n    active=%d, lookup=%d, matched=%d\n\n", i, i, i, i*1000, i*999)
		fmt.Fprintf(&ports, "  port  \"web-%d-0a1b2c\": rx pkts=%d, bytes=%d, drop=0, errs=0, frame=0, over=0, crc=0\n           tx pkts=%d, bytes=%d, drop=0, errs=0, coll=0\n           duration=%d.123s\n", i, i, i*84, i, i*84, i)
		fmt.Fprintf(&groups, " group_id=%d,type=select,bucket=bucket_id:0,weight:100,actions=set_field:0xc0000214->reg3,resubmit(,EndpointDNAT),bucket=bucket_id:1,weight:100,actions=set_field:0xc0000215->reg3,resubmit(,EndpointDNAT)\n", i)
	}
	run := func(name string, dump []byte, read func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(dump)))
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("tables", tables.Bytes(), func() error {
		for _, err := range Tables(bytes.Lines(tables.Bytes())) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	run("ports", ports.Bytes(), func() error {
		for _, err := range Ports(bytes.Lines(ports.Bytes())) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	var g Group
	run("groups", groups.Bytes(), func() error {
		for line := range bytes.Lines(groups.Bytes()) {
			if err := g.Parse(line); err != nil {
				return err
			}
		}
		return nil
	})
}
