package delivery

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/internal/bus"
)

type metrics struct {
	delivered *prometheus.CounterVec
	messages  *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	waiting   *prometheus.GaugeVec
	oldest    prometheus.Gauge
	delay     prometheus.Histogram
	below     prometheus.Counter
	silenced  prometheus.Counter
	repeated  prometheus.Counter
	evicted   prometheus.Counter
	dead      prometheus.Counter
	planned   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, sink string) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := metrics{
		delivered: counters("notifier_chat_alerts_delivered_total", "Alerts that a message the chat has accepted is about, by severity.", "severity"),
		messages:  counters("notifier_chat_messages_total", "Messages that the chat has accepted, by kind.", "kind"),
		attempts:  counters("notifier_chat_attempts_total", "Requests to send a message, by outcome.", "outcome"),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "notifier_chat_alerts_waiting",
			Help: "Alerts stored and not acknowledged, by lane.",
		}, []string{"lane"}),
		oldest: gauge("notifier_chat_oldest_waiting_seconds", "For how long the oldest alert that was fetched has been waiting."),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "notifier_chat_delivery_delay_seconds",
			Help:    "Time from an alert's being stored to a message about it being accepted.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 5, 10, 30, 60, 300, 3600},
		}),
		below:    counter("notifier_chat_alerts_below_severity_total", "Alerts acknowledged without delivery because they are below ALERT_MIN_SEVERITY."),
		silenced: counter("notifier_chat_alerts_silenced_total", "Alerts acknowledged without delivery because of a silence."),
		repeated: counter("notifier_chat_alerts_repeated_total", "Alerts that were delivered to the notifier again after a message about them had been accepted."),
		evicted:  counter("notifier_chat_alerts_evicted_total", "Alerts that retention has removed before they could be delivered."),
		dead:     counter("notifier_chat_dead_letters_total", "Alerts copied to SECURITY_DEAD: undecodable, or refused by the chat in every form."),
		planned:  gauge("notifier_chat_plan", "1 while a message is stored that the chat has not accepted yet."),
	}
	for _, l := range []string{"urgent", "routine"} {
		m.waiting.WithLabelValues(l)
	}
	prometheus.WrapRegistererWith(prometheus.Labels{"sink": sink}, r).MustRegister(
		m.delivered, m.messages, m.attempts, m.waiting, m.oldest, m.delay,
		m.below, m.silenced, m.repeated, m.evicted, m.dead, m.planned)
	return m
}

// accepted counts a message that the chat has accepted, and what is in hand for it.
func (m *metrics) accepted(p *plan, inHand [2][]*bus.Msg, now time.Time) {
	m.messages.WithLabelValues(string(p.Kind)).Inc()
	if !p.ofAlerts() {
		return
	}
	for severity, n := range map[string]int{
		"critical": p.Severities.Critical,
		"high":     p.Severities.High,
		"medium":   p.Severities.Medium,
		"low":      p.Severities.Low,
	} {
		m.delivered.WithLabelValues(severity).Add(float64(n))
	}
	for range p.Ahead {
		m.delay.Observe(now.Sub(p.Oldest).Seconds())
	}
	for _, msgs := range inHand {
		for _, one := range msgs {
			m.delay.Observe(now.Sub(one.Stored).Seconds())
		}
	}
}
