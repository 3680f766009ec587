package shipper

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/flood"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
)

type metrics struct {
	events   *prometheus.CounterVec
	matched  *prometheus.CounterVec
	dropped  prometheus.Counter
	oversize prometheus.Counter
	fenced   prometheus.Counter
	batch    prometheus.Histogram
	latency  prometheus.Histogram

	follower atomic.Pointer[follow.Follower] // the one at work; nil before the first
}

func newMetrics(r prometheus.Registerer, engine *rules.Engine) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipper_events_total",
			Help: "Events made, by class and by what they were made of: a line that could be read, or one of the kinds unparsed, gap, sensor and flood.",
		}, []string{"class", "outcome"}),
		matched: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipper_rule_matches_total",
			Help: "Events that a local rule has matched, by rule.",
		}, []string{"rule"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shipper_dropped_total",
			Help: "Events that local rules have dropped.",
		}),
		oversize: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shipper_oversize_total",
			Help: "Events whose raw record was cut because it exceeds the server's payload limit.",
		}),
		fenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shipper_fenced_total",
			Help: "Times that another publisher under the same name was found.",
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "shipper_batch_messages",
			Help:    "Messages stored by one publish.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "shipper_publish_seconds",
			Help:    "Time from a publish to its acknowledgement, which means stored durably.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5, 30},
		}),
	}
	r.MustRegister(m.events, m.matched, m.dropped, m.oversize, m.fenced, m.batch, m.latency)
	for _, name := range engine.Names() {
		m.matched.WithLabelValues(name) // so that a rule that never matches is seen
	}
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "shipper_rule_failures_total",
		Help: "Times that a local rule's condition could not be evaluated.",
	}, func() float64 { return float64(engine.Failed()) }))
	for _, g := range []struct {
		name, help string
		value      func(follow.Stats) float64
	}{
		{"shipper_lag_bytes", "Bytes written by the sensor and not yet read, over all incarnations of the file.", func(s follow.Stats) float64 { return float64(s.LagBytes) }},
		{"shipper_lag_lines", "Lines written by the sensor and not yet read, estimated from their mean length.", func(s follow.Stats) float64 { return float64(s.LagLines) }},
		{"shipper_oldest_unread_seconds", "For how long the oldest unread byte has been there, at least; 0 if there is none.", func(s follow.Stats) float64 { return s.OldestUnread.Seconds() }},
		{"shipper_open_files", "Files held open.", func(s follow.Stats) float64 { return float64(s.OpenFiles) }},
		{"shipper_open_generations", "Incarnations of the file not yet read to their end.", func(s follow.Stats) float64 { return float64(s.OpenGenerations) }},
		{"shipper_generations_begun_total", "Incarnations of the file begun since the start.", func(s follow.Stats) float64 { return float64(s.GenerationsBegun) }},
		{"shipper_generations_drained_total", "Incarnations of the file read to their end since the start.", func(s follow.Stats) float64 { return float64(s.GenerationsDrained) }},
		{"shipper_read_bytes_total", "Bytes read since the start.", func(s follow.Stats) float64 { return float64(s.BytesRead) }},
		{"shipper_read_lines_total", "Lines read since the start.", func(s follow.Stats) float64 { return float64(s.LinesRead) }},
		{"shipper_blank_lines_total", "Blank lines passed over since the start.", func(s follow.Stats) float64 { return float64(s.BlankLines) }},
		{"shipper_nul_bytes_total", "NUL bytes of holes passed over since the start.", func(s follow.Stats) float64 { return float64(s.NULBytes) }},
		{"shipper_truncations_total", "Times that a file was truncated or replaced in place.", func(s follow.Stats) float64 { return float64(s.Truncations) }},
		{"shipper_gaps_total", "Ranges of bytes that were gone before they could be read.", func(s follow.Stats) float64 { return float64(s.Gaps) }},
		{"shipper_gap_bytes_total", "Length of those ranges, as far as it is known.", func(s follow.Stats) float64 { return float64(s.GapBytes) }},
	} {
		value := func() float64 {
			if f := m.follower.Load(); f != nil {
				return g.value(f.Stats())
			}
			return 0
		}
		if strings.HasSuffix(g.name, "_total") {
			r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: g.name, Help: g.help}, value))
		} else {
			r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, value))
		}
	}
	return m
}

// floods registers how many alerts floods have made events.
func (*metrics) floods(r prometheus.Registerer, f *flood.Folder) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "shipper_flood_folded_total",
		Help: "Alerts that were published as events because their rule had more than ALERT_FLOOD in a minute.",
	}, func() float64 { return float64(f.Folded()) }))
}

// encoded counts an event by what became of its line.
func (m *metrics) encoded(subject proto.Subject, e *proto.Event) {
	outcome := "parsed"
	switch e.Kind {
	case proto.KindUnparsed, proto.KindGap, proto.KindSensor, proto.KindFlood:
		outcome = e.Kind
	}
	m.events.WithLabelValues(string(subject.Class), outcome).Inc()
}

// ruled counts what local rules have done to an event.
func (m *metrics) ruled(dropped bool, matched []string) {
	for _, name := range matched {
		m.matched.WithLabelValues(name).Inc()
	}
	if dropped {
		m.dropped.Inc()
	}
}

// observer updates metrics and readiness by what the publisher does.
type observer struct {
	metrics *metrics
	ready   *daemon.Readiness
}

var _ publish.Observer = observer{}

func (o observer) Stored(messages int, d time.Duration) {
	o.metrics.batch.Observe(float64(messages))
	o.metrics.latency.Observe(d.Seconds())
}

func (o observer) Waiting(err error) { o.ready.Set("publish", err) }

func (o observer) Fenced() { o.metrics.fenced.Inc() }
