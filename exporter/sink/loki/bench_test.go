package loki

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/corkline/corkline/parsers"
)

// policyBatch is like n lines of Antrea's np.log: 157 bytes each on average,
// one label, 13 fields of metadata.
func policyBatch(n int) *parsers.Batch {
	d := &parsers.Definition{Name: "antrea-networkpolicy", StreamLabels: []int{0}}
	for i, name := range strings.Fields("action table policy rule direction priority applied_to src_ip src_port dst_ip dst_port protocol length label") {
		d.Fields = append(d.Fields, parsers.Field{Name: name})
		if i > 0 {
			d.Metadata = append(d.Metadata, i)
		}
	}
	actions := []string{"Allow", "Allow", "Allow", "Drop"}
	b := &parsers.Batch{Source: "antrea-networkpolicy"}
	for i := range n {
		line := fmt.Sprintf("%s AntreaPolicyIngressRule AntreaNetworkPolicy:shop/allow-web-%d rule-%d Ingress %d shop/web-%d 10.10.%d.%d %d 10.10.3.%d 8080 TCP %d %015d",
			actions[i%len(actions)], i%7, i%5, 44900+i%9, i%40, i%11, i%250, 30000+i*7%30000, i%23, 60+i%9, i)
		b.Records = append(b.Records, record(d, 1_790_000_000_000_000_000+int64(i)*137_000, line))
	}
	return b
}

func lineBytes(b *parsers.Batch) (n int64) {
	for i := range b.Records {
		n += int64(len(b.Records[i].Line))
	}
	return n
}

func BenchmarkBatch(b *testing.B) {
	batch := policyBatch(2500)
	perRecord := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Records)), "ns/record")
	}
	encode := func(sp *splitter, buf *buffer, each func([]byte)) {
		for _, st := range sp.streams(batch) {
			request, n := st.encode(buf, batch, st.records, 4<<20, false)
			if n != len(st.records) {
				b.Fatal("the batch does not fit")
			}
			each(request)
		}
	}
	for _, c := range []struct {
		name   string
		budget *Budget
	}{
		{"encode", nil},
		{"encode, with a budget", NewBudget(nil, 32)},
		{"encode, a fourth of it overflow", NewBudget(nil, 1)},
	} {
		b.Run(c.name, func(b *testing.B) {
			sp, buf := newSplitter(nil, c.budget), new(buffer)
			b.SetBytes(lineBytes(batch))
			b.ReportAllocs()
			for b.Loop() {
				encode(sp, buf, func([]byte) {})
			}
			perRecord(b)
		})
	}
	b.Run("snappy", func(b *testing.B) {
		var requests [][]byte
		size := 0
		encode(newSplitter(nil, nil), new(buffer), func(r []byte) {
			requests = append(requests, append([]byte(nil), r...))
			size += len(r)
		})
		var packed []byte
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			for _, r := range requests {
				packed = s2.EncodeSnappy(packed, r)
			}
		}
		perRecord(b)
	})
	b.Run("encode+snappy", func(b *testing.B) {
		sp, buf := newSplitter(nil, nil), new(buffer)
		var packed []byte
		plain, wire := 0, 0
		b.SetBytes(lineBytes(batch))
		b.ReportAllocs()
		for b.Loop() {
			encode(sp, buf, func(r []byte) {
				packed = s2.EncodeSnappy(packed, r)
				plain, wire = plain+len(r), wire+len(packed)
			})
		}
		perRecord(b)
		b.ReportMetric(float64(plain)/float64(wire), "ratio")
	})
	b.Run("consume", func(b *testing.B) {
		s, err := New(Options{URL: "http://loki", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			r.Body.Close()
			return respond(http.StatusNoContent, ""), nil
		})}})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(lineBytes(batch))
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Begin(batch)(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		perRecord(b)
	})
}
