package consume

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// Outcomes of messages, as metrics name them.
const (
	outcomeHandled  = "handled"
	outcomeBelow    = "below_severity"
	outcomeSilenced = "silenced"
	outcomeDead     = "dead_letter"
)

type metrics struct {
	messages *prometheus.CounterVec
	retries  prometheus.Counter
	delay    prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, def proto.Consumer) *metrics {
	m := &metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "consumer_messages_total",
			Help: "Messages that a durable's service is done with, by the severity of their subject and by outcome: handled, below_severity, silenced or dead_letter.",
		}, []string{"outcome", "severity"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "consumer_retries_total",
			Help: "Attempts to handle messages that failed and were repeated.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "consumer_delay_seconds",
			Help:    "Time from a message's being stored to its being handled.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 60, 300, 3600},
		}),
	}
	for _, outcome := range []string{outcomeHandled, outcomeBelow, outcomeSilenced, outcomeDead} {
		for s := proto.SeverityInfo; s <= proto.SeverityCritical; s++ {
			m.messages.WithLabelValues(outcome, s.String())
		}
	}
	r = prometheus.WrapRegistererWith(prometheus.Labels{"stream": def.Stream, "durable": def.Durable}, r)
	m.messages, m.retries, m.delay = register(r, m.messages), register(r, m.retries), register(r, m.delay)
	return m
}

// register registers c, or returns the one that was registered when the durable was
// bound to before.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	err := r.Register(c)
	if before := (prometheus.AlreadyRegisteredError{}); errors.As(err, &before) {
		return before.ExistingCollector.(C)
	}
	if err != nil {
		panic(err) // as MustRegister does: a fault of the program
	}
	return c
}

func (m *metrics) count(outcome, subject string) {
	s, err := proto.ParseSubject(subject)
	if err != nil {
		s.Severity = proto.SeverityInfo // not published by this project
	}
	m.messages.WithLabelValues(outcome, s.Severity.String()).Inc()
}

// handled counts messages that were handled.
func (m *metrics) handled(msgs []*bus.Msg) {
	for _, one := range msgs {
		m.count(outcomeHandled, one.Subject)
		m.delay.Observe(time.Since(one.Stored).Seconds())
	}
}
