package loki

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Overflow is the value of a stream label for records whose own value the
// budget has no room for. They have it as structured metadata, under the
// label's name and fullSuffix.
const (
	Overflow   = "overflow"
	fullSuffix = "_full"
)

// Budget bounds how many values a stream label may have for each source, since
// Loki's streams multiply with them. The values that come first get the room,
// for as long as the budget lives; it is to outlive the sinks that share it.
// It may be used by many goroutines.
type Budget struct {
	max    int
	capped *prometheus.CounterVec

	mu     sync.Mutex
	labels map[sourceAndLabel]*labelValues
}

type sourceAndLabel struct{ source, label string }

// labelValues are those that have room, at most Budget.max.
type labelValues struct {
	known  map[string]struct{}
	capped prometheus.Counter
}

// NewBudget of this many values for each source and label. Its metrics are
// registered with reg, to which it may be given once; nil registers them
// nowhere.
func NewBudget(reg prometheus.Registerer, values int) *Budget {
	return &Budget{
		max: values,
		capped: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
			Name: "corkline_pipeline_label_values_capped_total",
			Help: "Records that went to a stream with the label's value overflow, since the source had reached its number of values (max_label_values).",
		}, []string{"source", "label"}),
		labels: map[sourceAndLabel]*labelValues{},
	}
}

// Declare exposes the counter of a label before it counts.
func (b *Budget) Declare(source, label string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.values(source, label)
}

func (b *Budget) values(source, label string) *labelValues {
	key := sourceAndLabel{source, label}
	v := b.labels[key]
	if v == nil {
		v = &labelValues{map[string]struct{}{}, b.capped.WithLabelValues(source, label)}
		b.labels[key] = v
	}
	return v
}

// admit tells whether a record's value has room, and if not can count the
// record. No value needs none, nor does Overflow itself.
func (b *Budget) admit(source, label string, value []byte, count bool) bool {
	if b == nil || len(value) == 0 || string(value) == Overflow {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.values(source, label)
	if _, ok := v.known[string(value)]; ok {
		return true
	}
	if len(v.known) < b.max {
		v.known[string(value)] = struct{}{}
		return true
	}
	if count {
		v.capped.Inc()
	}
	return false
}
