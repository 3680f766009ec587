package shipper

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

// sensorMetrics tell what is known of the sensor. A gauge that nothing is known
// for yet is not there, rather than 0.
type sensorMetrics struct {
	alarm       *prometheus.GaugeVec
	lastLine    *prometheus.GaugeVec
	packets     *prometheus.GaugeVec
	drops       *prometheus.GaugeVec
	rulesLoaded *prometheus.GaugeVec
	rulesFailed *prometheus.GaugeVec
	lostEvents  *prometheus.GaugeVec
	reachable   *prometheus.GaugeVec
}

func newSensorMetrics(r prometheus.Registerer) *sensorMetrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		r.MustRegister(g)
		return g
	}
	return &sensorMetrics{
		alarm:       gauge("shipper_sensor_alarm", "Whether an alarm about the sensor stands, by its condition.", "condition"),
		lastLine:    gauge("shipper_last_line_timestamp_seconds", "When a line of the sensor was read last, as Unix time."),
		packets:     gauge("shipper_sensor_packets", "Packets that Suricata has decoded since it started."),
		drops:       gauge("shipper_sensor_drops", "Packets that the kernel has dropped since Suricata started."),
		rulesLoaded: gauge("shipper_sensor_rules_loaded", "Rules that Suricata has loaded."),
		rulesFailed: gauge("shipper_sensor_rules_failed", "Rules that Suricata could not load."),
		lostEvents:  gauge("shipper_sensor_lost_events", "Events that Tracee says it has lost since it started."),
		reachable:   gauge("shipper_sensor_metrics_up", "Whether Tracee's metrics could be read last time."),
	}
}

func (m *sensorMetrics) stands(condition string, stands bool) {
	m.alarm.WithLabelValues(strings.ReplaceAll(condition, "-", "_")).Set(number(stands))
}

func (m *sensorMetrics) stats(s suricata.Stats) {
	if s.Decoded != nil {
		m.packets.WithLabelValues().Set(float64(*s.Decoded))
	}
	if s.Capture != nil {
		m.drops.WithLabelValues().Set(float64(s.Capture.Drops))
	}
	if s.Rules != nil {
		m.rulesLoaded.WithLabelValues().Set(float64(s.Rules.Loaded))
		m.rulesFailed.WithLabelValues().Set(float64(s.Rules.Failed))
	}
}

func (m *sensorMetrics) scraped(r *reading) {
	m.reachable.WithLabelValues().Set(number(r.err == nil))
	if r.err == nil {
		m.lostEvents.WithLabelValues().Set(float64(r.lost))
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
