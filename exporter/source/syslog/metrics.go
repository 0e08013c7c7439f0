package syslog

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/corkline/corkline/exporter/spool"
)

// Metrics of all receivers of an agent.
type Metrics struct {
	messages, bytes, oversized, framing, refused *prometheus.CounterVec
	dropped, writeFailures                       *prometheus.CounterVec
	connections, spoolBytes, spoolLimit          *prometheus.GaugeVec
}

// SourceMetrics are those of one source.
type SourceMetrics struct {
	udp, tcp, tls                           transportMetrics
	framingCut, framingCount                prometheus.Counter
	refusedSender, refusedLimit, refusedTLS prometheus.Counter
	oversized, dropped, writeFailures       prometheus.Counter
	spoolBytes, spoolLimit                  prometheus.Gauge
}

type transportMetrics struct {
	messages, bytes prometheus.Counter
	connections     prometheus.Gauge // nil for UDP
}

// Spool gives those of the source's spool.
func (m *SourceMetrics) Spool() spool.Metrics {
	return spool.Metrics{Bytes: m.spoolBytes, Limit: m.spoolLimit, WriteFailures: m.writeFailures}
}

// NewMetrics registers the metrics with reg, to which it may be given once.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "corkline_syslog_" + name, Help: help}, append(labels, "source"))
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "corkline_syslog_" + name, Help: help}, append(labels, "source"))
		reg.MustRegister(g)
		return g
	}
	return &Metrics{
		messages:      counter("messages_total", "Messages that were received from allowed senders.", "transport"),
		bytes:         counter("received_bytes_total", "Bytes that were received, with their framing and without TLS.", "transport"),
		connections:   gauge("connections", "Open connections.", "transport"),
		refused:       counter("refused_total", "Datagrams and connections that were not taken: the sender is not allowed (sender), there are too many connections (limit), or the TLS handshake failed (tls).", "reason"),
		oversized:     counter("oversized_total", "Messages that were cut at max_line_bytes."),
		framing:       counter("framing_errors_total", "Messages that were lost because their connection ended in the middle of them (cut), and connections that were closed because an octet count cannot be true (count).", "reason"),
		spoolBytes:    gauge("spool_bytes", "Bytes in spool files: what has yet to be delivered, and what shares a file with it."),
		spoolLimit:    gauge("spool_limit_bytes", "What the spool files may have (spool_bytes); when they do, nothing is read from senders."),
		writeFailures: counter("spool_write_failures_total", "Tries to write a spool file that failed; nothing is read from senders until one succeeds."),
		dropped:       counter("udp_dropped_total", "Datagrams that the kernel dropped because they came faster than they were read, or had a wrong checksum."),
	}
}

// Source gives the metrics of one source, which begin at 0.
func (m *Metrics) Source(name string) *SourceMetrics {
	transport := func(transport string) transportMetrics {
		return transportMetrics{m.messages.WithLabelValues(transport, name), m.bytes.WithLabelValues(transport, name), m.connections.WithLabelValues(transport, name)}
	}
	udp := transportMetrics{messages: m.messages.WithLabelValues("udp", name), bytes: m.bytes.WithLabelValues("udp", name)}
	return &SourceMetrics{
		udp: udp, tcp: transport("tcp"), tls: transport("tls"),
		framingCut: m.framing.WithLabelValues("cut", name), framingCount: m.framing.WithLabelValues("count", name),
		refusedSender: m.refused.WithLabelValues("sender", name), refusedLimit: m.refused.WithLabelValues("limit", name), refusedTLS: m.refused.WithLabelValues("tls", name),
		oversized: m.oversized.WithLabelValues(name), dropped: m.dropped.WithLabelValues(name), writeFailures: m.writeFailures.WithLabelValues(name),
		spoolBytes: m.spoolBytes.WithLabelValues(name), spoolLimit: m.spoolLimit.WithLabelValues(name),
	}
}
