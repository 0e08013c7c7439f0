package conntrack

import (
	"bytes"
	"fmt"
	"regexp"
	"testing"
)

// listDump is the output of conntrack -L with n entries.
func listDump(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		src, dst := fmt.Sprintf("192.0.%d.%d", i/256%256, i%256), "203.0.113.10"
		if i%10 == 9 {
			src, dst = fmt.Sprintf("2001:db8::%x", i%65536), "2001:db8::53"
		}
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "tcp      6 %d ESTABLISHED src=%s dst=%s sport=%d dport=443 packets=%d bytes=%d src=%s dst=%s sport=8443 dport=%d packets=%d bytes=%d [ASSURED] mark=18 zone=65520 use=1\n",
				i, src, dst, i%65536, i, i*900, dst, src, i%65536, i, i*1100)
		case 1:
			fmt.Fprintf(&b, "udp      17 29 src=%s dst=%s sport=%d dport=53 packets=1 bytes=71 [UNREPLIED] src=%s dst=%s sport=53 dport=%d packets=0 bytes=0 mark=0 zone=65520 use=1\n",
				src, dst, i%65536, dst, src, i%65536)
		case 2:
			fmt.Fprintf(&b, "tcp      6 %d TIME_WAIT src=%s dst=%s sport=%d dport=80 packets=9 bytes=1200 src=%s dst=%s sport=80 dport=%d packets=7 bytes=4000 [ASSURED] mark=0 use=1\n",
				i%120, src, dst, i%65536, dst, src, i%65536)
		}
	}
	return b.Bytes()
}

// datapathDump is the output of dpctl/dump-conntrack -m -s with n entries.
func datapathDump(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "tcp,orig=(src=192.0.2.%d,dst=203.0.113.10,sport=%d,dport=443,packets=9,bytes=900),reply=(src=203.0.113.10,dst=192.0.2.%d,sport=443,dport=%d,packets=8,bytes=800),id=%d,zone=65520,status=SEEN_REPLY|ASSURED|CONFIRMED,timeout=86399,mark=18,labels=0x%x,protoinfo=(state_orig=ESTABLISHED,state_reply=ESTABLISHED)\n",
			i%256, i%65536, i%256, i%65536, i, i+1)
	}
	return b.Bytes()
}

func BenchmarkEntries(b *testing.B) {
	const entries = 200_000
	list := listDump(entries)
	run := func(name string, dump []byte, read func(line []byte)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(dump)))
			for b.Loop() {
				for line := range bytes.Lines(dump) {
					read(line)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
		})
	}

	tuples := regexp.MustCompile(`^(\w+) +(\d+) (?:(\d+) )?(?:([A-Z_0-9]+) )?src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) `)
	run("regexp of the tuples", list, func(line []byte) {
		if tuples.FindSubmatchIndex(line) == nil {
			b.Fatalf("no match: %s", line)
		}
	})
	var e Entry
	parse := func(line []byte) {
		if err := e.Parse(line); err != nil {
			b.Fatalf("%v: %s", err, line)
		}
	}
	run("parse", list, parse)
	run("parse of the datapath's", datapathDump(entries), parse)
	run("kind", list, func(line []byte) {
		if LineKind(line) != EntryLine {
			b.Fatalf("no entry: %s", line)
		}
	})
}
