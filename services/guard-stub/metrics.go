package guardstub

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/guard-stub/internal/rules"
)

type metrics struct {
	requests *prometheus.CounterVec
	duration prometheus.Histogram
	scores   prometheus.Histogram
	matches  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guard_stub_requests_total",
			Help: "Requests for a verdict, by status; 499 is a client that did not wait for it.",
		}, []string{"status"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "guard_stub_request_duration_seconds",
			Help:    "Time from a request's header to its verdict, waiting included.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1, 5},
		}),
		scores: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "guard_stub_score",
			Help:    "Scores given.",
			Buckets: prometheus.LinearBuckets(0, .1, 11),
		}),
		matches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "guard_stub_rule_matches_total",
			Help: "Verdicts that a rule decided, by rule.",
		}, []string{"rule"}),
	}
	r.MustRegister(m.requests, m.duration, m.scores, m.matches)
	return m
}

func (m metrics) replied(status int, took time.Duration) {
	m.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	m.duration.Observe(took.Seconds())
}

func (m metrics) judged(v rules.Verdict) {
	m.scores.Observe(v.Score)
	if v.Rule != "" {
		m.matches.WithLabelValues(v.Rule).Inc()
	}
}
