package sensorhealth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
)

// newTracee is a Monitor of Tracee whose endpoint is read by nobody.
func newTracee(t *testing.T, now time.Time) (*Monitor, *prometheus.Registry, *daemon.Readiness) {
	t.Helper()
	registry, ready := prometheus.NewRegistry(), daemon.NewReadiness()
	return New(Config{
		Sensor: "Tracee", Path: "events.json", Silence: 15 * time.Minute, URL: "http://tracee.invalid/metrics",
		Metrics: NewMetrics(registry), Report: ready.Set,
	}, normalize.Alarm{}, now), registry, ready
}

// condition is what readiness says of a condition, "" if it holds.
func condition(ready *daemon.Readiness, name string) string {
	conditions, _ := ready.Check()
	for _, c := range conditions {
		if c.Name == name && c.Err != nil {
			return c.Err.Error()
		}
	}
	return ""
}

func TestLostEventsReachTheOperator(t *testing.T) {
	now := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	m, registry, ready := newTracee(t, now)
	scrape := func(r reading) []normalize.Alarm {
		now = now.Add(scrapeInterval)
		r.at = now
		m.scraper.latest.Store(&r)
		return append(m.Alarms(), m.Alarms()...) // a reading counts once
	}
	if alarms := m.Alarms(); len(alarms) > 0 {
		t.Errorf("before the first reading: %+v", alarms)
	}
	if alarms := scrape(reading{lost: 100}); len(alarms) > 0 {
		t.Errorf("at the first reading: %+v", alarms)
	}
	if alarms := scrape(reading{err: errors.New("refused")}); len(alarms) > 0 || condition(ready, "sensor_metrics") != "refused" {
		t.Errorf("without an answer: %+v, %q", alarms, condition(ready, "sensor_metrics"))
	}
	alarms := scrape(reading{lost: 142})
	if len(alarms) != 1 || !strings.HasPrefix(alarms[0].Text, "Tracee has lost 42 events ") {
		t.Fatalf("alarms %+v", alarms)
	}
	if condition(ready, "sensor_metrics") != "" || condition(ready, "sensor") != alarms[0].Text {
		t.Errorf("readiness: %q, %q", condition(ready, "sensor_metrics"), condition(ready, "sensor"))
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP shipper_sensor_alarm Whether an alarm about the sensor stands, by its condition.
# TYPE shipper_sensor_alarm gauge
shipper_sensor_alarm{condition="drops"} 0
shipper_sensor_alarm{condition="lost_events"} 1
shipper_sensor_alarm{condition="no_packets"} 0
shipper_sensor_alarm{condition="no_rules"} 0
shipper_sensor_alarm{condition="silent"} 0
# HELP shipper_sensor_lost_events_total Events that Tracee says it has lost since it started.
# TYPE shipper_sensor_lost_events_total counter
shipper_sensor_lost_events_total 142
# HELP shipper_sensor_metrics_up Whether Tracee's metrics could be read last time.
# TYPE shipper_sensor_metrics_up gauge
shipper_sensor_metrics_up 1
`)); err != nil {
		t.Error(err)
	}
}

func TestSilenceTellsOfTheEndpoint(t *testing.T) {
	now := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	m, _, _ := newTracee(t, now)
	m.scraper.latest.Store(&reading{at: now, err: errors.New("refused")})
	m.Idle(now.Add(15*time.Minute), "events.json does not exist yet")
	alarms := m.Alarms()
	if len(alarms) != 1 || !strings.Contains(alarms[0].Text, "does not exist yet; its metrics endpoint does not answer") {
		t.Errorf("alarms %+v", alarms)
	}
}
