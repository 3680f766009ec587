package sensorhealth

import (
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

// Metrics are what is known of the sensor. What is not known yet is not there,
// rather than 0.
type Metrics struct {
	alarm       *prometheus.GaugeVec
	lastLine    *prometheus.GaugeVec
	packets     *sensorCounter
	dropped     *sensorCounter
	lostEvents  *sensorCounter
	rulesLoaded *prometheus.GaugeVec
	rulesFailed *prometheus.GaugeVec
	reachable   *prometheus.GaugeVec
}

// NewMetrics registers the metrics with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		r.MustRegister(g)
		return g
	}
	counter := func(name, help string) *sensorCounter {
		c := &sensorCounter{desc: prometheus.NewDesc(name, help, nil, nil)}
		r.MustRegister(c)
		return c
	}
	return &Metrics{
		alarm:       gauge("shipper_sensor_alarm", "Whether an alarm about the sensor stands, by its condition.", "condition"),
		lastLine:    gauge("shipper_last_line_timestamp_seconds", "When a line of the sensor was read last, as Unix time."),
		packets:     counter("shipper_sensor_packets_total", "Packets that Suricata has decoded since it started."),
		dropped:     counter("shipper_sensor_dropped_packets_total", "Packets that the kernel has dropped since Suricata started."),
		lostEvents:  counter("shipper_sensor_lost_events_total", "Events that Tracee says it has lost since it started."),
		rulesLoaded: gauge("shipper_sensor_rules_loaded", "Rules that Suricata has loaded."),
		rulesFailed: gauge("shipper_sensor_rules_failed", "Rules that Suricata could not load."),
		reachable:   gauge("shipper_sensor_metrics_up", "Whether Tracee's metrics could be read last time."),
	}
}

func (m *Metrics) stands(condition string, stands bool) {
	m.alarm.WithLabelValues(strings.ReplaceAll(condition, "-", "_")).Set(number(stands))
}

func (m *Metrics) stats(s suricata.Stats) {
	if s.Decoded != nil {
		m.packets.set(*s.Decoded)
	}
	if s.Capture != nil {
		m.dropped.set(s.Capture.Drops)
	}
	if s.Rules != nil {
		m.rulesLoaded.WithLabelValues().Set(float64(s.Rules.Loaded))
		m.rulesFailed.WithLabelValues().Set(float64(s.Rules.Failed))
	}
}

func (m *Metrics) scraped(r *reading) {
	m.reachable.WithLabelValues().Set(number(r.err == nil))
	if r.err == nil {
		m.lostEvents.set(r.lost)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// sensorCounter is a counter that the sensor keeps: it begins anew with the sensor.
type sensorCounter struct {
	desc  *prometheus.Desc
	value atomic.Pointer[uint64] // nil while it is not known
}

var _ prometheus.Collector = (*sensorCounter)(nil)

func (c *sensorCounter) set(value uint64) { c.value.Store(&value) }

// Describe implements [prometheus.Collector].
func (c *sensorCounter) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements [prometheus.Collector].
func (c *sensorCounter) Collect(to chan<- prometheus.Metric) {
	if value := c.value.Load(); value != nil {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(*value))
	}
}
