package proxy

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/limit"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
)

type metrics struct {
	requests  *prometheus.CounterVec
	inFlight  prometheus.Gauge
	duration  *prometheus.HistogramVec
	firstByte *prometheus.HistogramVec
	tokens    *prometheus.CounterVec
	findings  *prometheus.CounterVec
	verdicts  *prometheus.CounterVec

	connsRefused prometheus.Counter
	busy         *prometheus.CounterVec
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
	m.connsRefused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "proxy_connections_refused_total",
		Help: "Connections that were closed at once, because all of PROXY_CONNECTIONS, or of a client's half, had requests.",
	})
	m.busy = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "proxy_memory_refusals_total",
		Help: "Requests and answers that were refused because no memory of PROXY_MEMORY became free in time.",
	}, []string{"what"})
	r.MustRegister(m.requests, m.inFlight, m.duration, m.firstByte, m.tokens, m.findings, m.verdicts, m.connsRefused, m.busy)
	return m
}

// watch has the metrics show what is in use.
func (m *metrics) watch(r prometheus.Registerer, memory *limit.Memory, conns *limit.Connections) {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	r.MustRegister(
		gauge("proxy_memory_bytes", "What requests, their inspection and held answers take of PROXY_MEMORY.", func() float64 {
			used, _ := memory.Used()
			return float64(used)
		}),
		gauge("proxy_memory_waiting", "Requests and answers that wait for memory.", func() float64 {
			_, waiting := memory.Used()
			return float64(waiting)
		}),
		gauge("proxy_connections", "Connections of clients.", func() float64 {
			open, _ := conns.Count()
			return float64(open)
		}),
		gauge("proxy_connections_idle", "Connections of clients that have no request.", func() float64 {
			_, idle := conns.Count()
			return float64(idle)
		}),
	)
}

// request counts one that has ended.
func (m *metrics) request(api string, a *proto.Audit) {
	m.requests.WithLabelValues(api, string(a.Decision), fmt.Sprint(a.Status)).Inc()
	m.duration.WithLabelValues(api).Observe(a.Duration)
	if a.TimeToFirstChunk > 0 {
		m.firstByte.WithLabelValues(api).Observe(a.TimeToFirstChunk)
	}
	if u := a.Usage; u != nil && !u.Stored {
		m.tokens.WithLabelValues(a.Provider, "input").Add(float64(max(u.Input, 0)))
		m.tokens.WithLabelValues(a.Provider, "output").Add(float64(max(u.Output, 0)))
		m.tokens.WithLabelValues(a.Provider, "cache_read").Add(float64(max(u.CacheRead, 0)))
	}
}

// guard counts a verdict that the guard has given, or failed to give.
func (m *metrics) guard(v *policy.Verdict) {
	verdict := "passed"
	switch {
	case v.Guard.Error != "":
		verdict = "failed"
	case !v.Passes():
		verdict = "blocked"
	}
	m.verdicts.WithLabelValues(verdict).Inc()
}
