package proxy

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/guard"
)

type metrics struct {
	requests  *prometheus.CounterVec
	inFlight  prometheus.Gauge
	duration  *prometheus.HistogramVec
	firstByte *prometheus.HistogramVec
	tokens    *prometheus.CounterVec
	findings  *prometheus.CounterVec
	verdicts  *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	buckets := []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "proxy_requests_total",
			Help: "Requests that have ended, by API, what the proxy did with them and the status sent to the client.",
		}, []string{"api", "decision", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "proxy_requests_in_flight",
			Help: "Requests that have not ended yet.",
		}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "proxy_request_duration_seconds", Help: "Time from a request to the end of its answer.", Buckets: buckets,
		}, []string{"api"}),
		firstByte: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "proxy_first_byte_seconds", Help: "Time from forwarding a request to the first byte of its answer.", Buckets: buckets,
		}, []string{"api"}),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "proxy_tokens_total", Help: "Tokens that providers have counted; input includes cached ones.",
		}, []string{"provider", "type"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "proxy_findings_total", Help: "What detections and the guard have found, and whether it was stopped.",
		}, []string{"rule", "enforced"}),
		verdicts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "proxy_guard_verdicts_total", Help: "Verdicts of the guard: passed, blocked, or failed where it gave none.",
		}, []string{"verdict"}),
	}
	r.MustRegister(m.requests, m.inFlight, m.duration, m.firstByte, m.tokens, m.findings, m.verdicts)
	return m
}

// request counts one that has ended.
func (m *metrics) request(api string, a *proto.Audit) {
	m.requests.WithLabelValues(api, string(a.Decision), fmt.Sprint(a.Status)).Inc()
	m.duration.WithLabelValues(api).Observe(a.Duration)
	if a.TimeToFirstChunk > 0 {
		m.firstByte.WithLabelValues(api).Observe(a.TimeToFirstChunk)
	}
	if u := a.Usage; u != nil {
		m.tokens.WithLabelValues(a.Provider, "input").Add(float64(max(u.Input, 0)))
		m.tokens.WithLabelValues(a.Provider, "output").Add(float64(max(u.Output, 0)))
		m.tokens.WithLabelValues(a.Provider, "cache_read").Add(float64(max(u.CacheRead, 0)))
	}
}

func (m *metrics) guard(v guard.Verdict) {
	verdict := "passed"
	switch {
	case v.Err != nil:
		verdict = "failed"
	case v.Blocked:
		verdict = "blocked"
	}
	m.verdicts.WithLabelValues(verdict).Inc()
}
