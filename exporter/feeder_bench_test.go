package exporter

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/corkline/corkline/parsers"
)

// feedAll measures how long a feeder takes for records whose series are all
// there.
func feedAll(b *testing.B, feeder *Feeder, d *parsers.Definition, lines []string) {
	b.Helper()
	var records []parsers.Record
	size := 0
	for _, line := range lines {
		r := parsers.Record{Line: []byte(line)}
		if err := d.NewParser().Parse(&r); err != nil {
			b.Fatalf("%q: %s", line, err)
		}
		records = append(records, r)
		size += len(line)
	}
	all := func() {
		for i := range records {
			feeder.Add(&records[i])
		}
	}
	all()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		all()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
}

func feeder(b *testing.B, d *parsers.Definition, maxSeries int) *Feeder {
	b.Helper()
	f, err := NewCatalogue(prometheus.NewRegistry(), maxSeries).Feeder(d)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkFeeder_NetworkPolicy feeds the two metrics of the shipped definition.
func BenchmarkFeeder_NetworkPolicy(b *testing.B) {
	set, err := parsers.Shipped()
	if err != nil {
		b.Fatal(err)
	}
	d := set["antrea-networkpolicy"]
	var lines []string
	for i := range 512 {
		lines = append(lines, fmt.Sprintf("2024/06/02 10:11:12.%06d AntreaPolicyIngressRule AntreaNetworkPolicy:shop/allow-web-%d rule-%d Ingress %s 14500 shop/web-0 192.0.2.10 40001 198.51.100.7 443 TCP 60 <nil> [3 packets in 1.1s]",
			i, i%7, i%5, []string{"Allow", "Allow", "Drop"}[i%3]))
	}
	feedAll(b, feeder(b, d, 2000), d, lines)
}

// BenchmarkFeeder_VirtualService feeds ten metrics with four sets of labels,
// half of them histograms, as a load balancer's log has them: with a key for
// all that can share one, beside a key for each metric, and for records that
// the cap cuts off.
func BenchmarkFeeder_VirtualService(b *testing.B) {
	d := parse(b, "requests", `
layouts: [{name: plain, regex: '^(?P<time>[^ ]*) (?P<engine>[^ ]*) (?P<virtualservice>[^ ]*) (?P<pool>[^ ]*) (?P<method>[^ ]*) (?P<code>[^ ]*) (?P<id>[^ ]*) (?P<total_ms>[^ ]*) (?P<client_ms>[^ ]*) (?P<server_ms>[^ ]*) (?P<rtt_ms>[^ ]*) (?P<request_bytes>[^ ]*) (?P<response_bytes>[^ ]*)$'}]
numbers: [id, total_ms, client_ms, server_ms, rtt_ms, request_bytes, response_bytes]
time: {field: time, layout: "2006-01-02T15:04:05.000000Z", zone: UTC}
metrics:
  - {name: requests_total, type: counter, labels: [virtualservice, method, code], help: H.}
  - {name: response_bytes_total, type: counter, add: response_bytes, labels: [virtualservice, method, code], help: H.}
  - {name: request_seconds, type: histogram, observe: total_ms, scale: 0.001, buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10], labels: [virtualservice, method, code], help: H.}
  - {name: server_seconds, type: histogram, observe: server_ms, scale: 0.001, buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10], labels: [virtualservice, pool], help: H.}
  - {name: server_rtt_seconds, type: histogram, observe: rtt_ms, scale: 0.001, buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25], labels: [virtualservice, pool], help: H.}
  - {name: pool_requests_total, type: counter, only: {pool: []}, labels: [virtualservice, pool], help: H.}
  - {name: client_rtt_seconds, type: histogram, observe: client_ms, scale: 0.001, buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25], labels: [virtualservice], help: H.}
  - {name: request_bytes, type: histogram, observe: request_bytes, buckets: [100, 1000, 10000, 100000, 1000000], labels: [virtualservice], help: H.}
  - {name: log_gaps_total, type: counter, gaps: id, labels: [engine], help: H.}
  - {name: log_throttled_seconds_total, type: counter, seconds_at: 100, labels: [engine], help: H.}
`)
	lines := func(services int) (lines []string) {
		for i := range 512 {
			lines = append(lines, fmt.Sprintf("2026-11-21T10:11:%02d.%06dZ engine-%d shop--web-%d shop--web-pool-%d %s %d %d %d %d %d %d %d %d",
				i/10, i, i%3, i%services, i%4, []string{"GET", "GET", "POST"}[i%3], []int{200, 200, 304, 503}[i%4], 1000+i/3,
				i*7%900, i%40, i*5%800, i%9, 300+i, 2000+i*31))
		}
		return lines
	}
	b.Run("shared keys", func(b *testing.B) { feedAll(b, feeder(b, d, 2000), d, lines(10)) })
	b.Run("a key each", func(b *testing.B) { feedAll(b, ungrouped(feeder(b, d, 2000)), d, lines(10)) })
	b.Run("shared keys, capped", func(b *testing.B) { feedAll(b, feeder(b, d, 1), d, lines(500)) })
	b.Run("a key each, capped", func(b *testing.B) { feedAll(b, ungrouped(feeder(b, d, 1)), d, lines(500)) })
}
