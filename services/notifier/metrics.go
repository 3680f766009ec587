package notifier

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	delivered *prometheus.CounterVec
	below     prometheus.Counter
	silenced  prometheus.Counter
	failed    prometheus.Counter
	dead      prometheus.Counter
	delay     prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		delivered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "notifier_alerts_delivered_total",
			Help: "Alerts that the sink has taken, by severity.",
		}, []string{"severity"}),
		below: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_alerts_below_severity_total",
			Help: "Alerts acknowledged without delivery because they are below ALERT_MIN_SEVERITY.",
		}),
		silenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_alerts_silenced_total",
			Help: "Alerts acknowledged without delivery because a silence holds them back.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_deliveries_failed_total",
			Help: "Attempts to deliver that the sink refused.",
		}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "notifier_dead_letters_total",
			Help: "Alerts that could not be decoded, or that the sink refused for good, and that were copied to SECURITY_DEAD.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "notifier_delivery_delay_seconds",
			Help:    "Time from an alert's being stored to its being delivered.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 300, 3600},
		}),
	}
	r.MustRegister(m.delivered, m.below, m.silenced, m.failed, m.dead, m.delay)
	return m
}
