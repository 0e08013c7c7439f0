package archive

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics of an archive.
type Metrics struct {
	segments, bytes, budget       prometheus.Gauge
	objects, lines, uploadedBytes prometheus.Counter
	uploadFailures, storeFailures prometheus.Counter
	damaged                       prometheus.Counter
	lastUpload                    prometheus.Gauge
}

// NewMetrics registers the metrics with reg, to which it may be given once;
// nil registers them nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	auto := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return auto.NewCounter(prometheus.CounterOpts{Name: "corkline_archive_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return auto.NewGauge(prometheus.GaugeOpts{Name: "corkline_archive_" + name, Help: help})
	}
	return &Metrics{
		segments:       gauge("segments", "Segments of archived lines on disk, which wait for S3 if one is configured."),
		bytes:          gauge("bytes", "Bytes of archived lines on disk."),
		budget:         gauge("budget_bytes", "Bytes that archived lines may take on disk (archive.budget_bytes); beyond, their sources wait."),
		objects:        counter("uploaded_objects_total", "Objects of archived lines that S3 has acknowledged, with their manifests."),
		lines:          counter("uploaded_lines_total", "Lines in these objects."),
		uploadedBytes:  counter("uploaded_bytes_total", "Compressed bytes of these objects."),
		uploadFailures: counter("upload_failures_total", "Uploads to S3 that failed and are tried again."),
		storeFailures:  counter("store_failures_total", "Times that lines could not be stored on disk, for want of budget or by a fault; their sources wait and try again."),
		damaged:        counter("damaged_records_total", "Stored lines that were found damaged on disk, and set aside."),
		lastUpload:     gauge("last_upload_timestamp_seconds", "When S3 last acknowledged an object; 0 for never."),
	}
}
