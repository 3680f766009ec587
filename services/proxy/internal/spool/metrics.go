package spool

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one box.
type metrics struct {
	appended  prometheus.Counter
	published prometheus.Counter
	lost      *prometheus.CounterVec
	fenced    prometheus.Counter
}

func newMetrics(r prometheus.Registerer, stream string, q *queue) *metrics {
	r = prometheus.WrapRegistererWith(prometheus.Labels{"stream": stream}, r)
	m := &metrics{
		appended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "proxy_audit_appended_total",
			Help: "Records taken into the spool.",
		}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "proxy_audit_published_total",
			Help: "Records stored in the stream.",
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "proxy_audit_dropped_total",
			Help: "Records lost, by reason: full, invalid, failed, damaged or oversize.",
		}, []string{"reason"}),
		fenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "proxy_audit_fenced_total",
			Help: "Times that another publisher under the same name was found.",
		}),
	}
	for _, reason := range []string{lostFull, lostInvalid, lostFailed, lostDamaged, lostOversize} {
		m.lost.WithLabelValues(reason) // so that nothing lost is seen as 0
	}
	r.MustRegister(m.appended, m.published, m.lost, m.fenced)
	for _, g := range []struct {
		name, help string
		value      func(stats) float64
	}{
		{"proxy_audit_spool_bytes", "Size of the spool on disk.", func(s stats) float64 { return float64(s.Bytes) }},
		{"proxy_audit_spool_records", "Records that wait in the spool.", func(s stats) float64 { return float64(s.Waiting) }},
		{"proxy_audit_oldest_waiting_seconds", "Age of the first record that waits; 0 if there is none.", func(s stats) float64 { return s.Oldest.Seconds() }},
	} {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help},
			func() float64 { return g.value(q.Stats()) }))
	}
	for _, c := range []struct {
		name, help string
		value      func(stats) float64
	}{
		{"proxy_audit_sync_errors_total", "Times that the spool could not be made durable.", func(s stats) float64 { return float64(s.SyncFailures) }},
		{"proxy_audit_damaged_lines_total", "Lines of the spool found damaged.", func(s stats) float64 { return float64(s.Damaged) }},
		{"proxy_audit_torn_lines_total", "Lines of the spool that a process was writing when it ended.", func(s stats) float64 { return float64(s.Torn) }},
	} {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help},
			func() float64 { return c.value(q.Stats()) }))
	}
	return m
}
