package analysis

import "time"

// ForecastOptions of a Forecaster. The zero value of each field means its default.
type ForecastOptions struct {
	// Window of counts that are looked at: 15 minutes.
	Window time.Duration
	// Horizon beyond which there is no forecast: 24 hours.
	Horizon time.Duration
}

// Forecast of a table that fills.
type Forecast struct {
	// Full is the time left until the table is full, from the newest count; 0 if
	// it is.
	Full time.Duration
	// Earliest and Latest bound it with a probability of about nine in ten.
	Earliest, Latest time.Duration
	// Confidence from 0 to 1: how much of the counts' change the trend explains,
	// less where it is young.
	Confidence float64
	// Growth of the table, in entries per second, at the newest count.
	Growth float64
	// Since when the table has grown like this.
	Since time.Time
}

// Forecaster tells from counts when the table will be full. Counts may come
// from polls or, better, from the cheap count of each scrape
// (nf_conntrack_count). It is not safe for concurrent use.
type Forecaster struct{ options ForecastOptions }

// NewForecaster makes a Forecaster.
func NewForecaster(o ForecastOptions) *Forecaster { return &Forecaster{options: o} }

// Observe takes a count of entries, and the table's limit: 0 for none. Times
// that do not go forward begin anew.
func (f *Forecaster) Observe(at time.Time, entries, limit uint64) {}

// Forecast tells when the table will be full; false if there is no trend
// towards that, or it is too early to say.
func (f *Forecaster) Forecast() (Forecast, bool) { return Forecast{}, false }
