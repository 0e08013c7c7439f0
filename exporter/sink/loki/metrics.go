package loki

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of pushes to Loki.
type Metrics struct {
	duration prometheus.Histogram
	requests map[string]prometheus.Counter // by status
	bytes    prometheus.Counter
	retries  prometheus.Counter
}

// NewMetrics registers the metrics with reg, to which it may be given once;
// nil registers them nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	auto := promauto.With(reg)
	m := &Metrics{
		duration: auto.NewHistogram(prometheus.HistogramOpts{
			Name:                            "corkline_loki_push_duration_seconds",
			Help:                            "Time from sending a push request to Loki until it was answered or given up.",
			Buckets:                         []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}),
		bytes: auto.NewCounter(prometheus.CounterOpts{
			Name: "corkline_loki_push_bytes_total",
			Help: "Compressed bytes of all push requests to Loki, repeated ones included.",
		}),
		retries: auto.NewCounter(prometheus.CounterOpts{
			Name: "corkline_loki_push_retries_total",
			Help: "Push requests to Loki that repeated an earlier one.",
		}),
		requests: make(map[string]prometheus.Counter),
	}
	requests := auto.NewCounterVec(prometheus.CounterOpts{
		Name: "corkline_loki_push_requests_total",
		Help: "Push requests to Loki by the status of the answer; error means that there was none.",
	}, []string{"status"})
	for _, status := range append([]string{statusTaken, statusBlocked, statusMoved, statusClient, statusServer, statusError}, ownStatus...) {
		m.requests[status] = requests.WithLabelValues(status)
	}
	return m
}

func (m *Metrics) observe(status string, bytes int, d time.Duration) {
	m.requests[status].Inc()
	m.bytes.Add(float64(bytes))
	m.duration.Observe(d.Seconds())
}
