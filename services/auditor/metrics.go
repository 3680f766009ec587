package auditor

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	logged   prometheus.Counter
	repeated prometheus.Counter
	indexed  prometheus.Counter
	signed   prometheus.Gauge
	delay    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		logged:   prometheus.NewCounter(prometheus.CounterOpts{Name: "auditor_records_logged_total", Help: "Records appended to the log and synced."}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{Name: "auditor_records_repeated_total", Help: "Records that came again and were in the log already."}),
		indexed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "auditor_records_indexed_total", Help: "Records handed to the index."}),
		signed:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "auditor_checkpoint_record", Help: "Number of the last record that a published checkpoint covers."}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "auditor_delay_seconds",
			Help:    "Time from a record's being stored to its being in the log, of the last of each batch.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300, 3600},
		}),
	}
	r.MustRegister(m.logged, m.repeated, m.indexed, m.signed, m.delay)
	return m
}

// taken notes a batch that is in the log.
func (m *metrics) taken(delay time.Duration) { m.delay.Observe(delay.Seconds()) }
