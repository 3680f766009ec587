// Package sensorhealth watches the sensor that a shipper follows: a sensor that has
// died, hangs or sees nothing must not look like a quiet night.
//
//	lines read, idle times ─▶ silent                     ┐
//	Suricata's stats       ─▶ no-packets, drops, no-rules ├─▶ Monitor ─▶ alarms, gauges, readiness
//	Tracee's metrics       ─▶ lost-events                ┘
//
//	condition     raised when                                      severity  over when
//	silent        no line came for the silence period              high      a line comes
//	no-packets    this process has not decoded a packet for the    high      one is
//	              silence period since its start; or none for a    medium
//	              day: until then the agent may be idle
//	no-rules      two stats records in a row report no rule        high      one reports some
//	drops         of the at least 1000 packets between two stats   medium    an hour passed
//	              records more than 1 % were dropped                         without
//	lost-events   Tracee's counter of lost events has grown        medium    10 minutes
//	                                                                         passed without
//
// An alarm is raised once and ends once. While drops or lost events go on it is
// raised again, at most once an hour and once in 10 minutes. The end of an alarm is
// of severity medium for every alarm: low is not delivered by default, and a
// person who was woken by the alarm wants to hear that it is over.
//
// The Monitor has no clock. Silence and lost events are judged by the shipper's
// clock, Suricata's records by their own times, so that a backlog is judged as it
// would have been while it was written.
package sensorhealth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize/suricata"
)

// The conditions.
const (
	Silent     = "silent"
	NoPackets  = "no-packets"
	NoRules    = "no-rules"
	Drops      = "drops"
	LostEvents = "lost-events"
)

// severityOf is how bad a condition is. A blind sensor is worse than one that
// misses a part.
func severityOf(condition string) proto.Severity {
	switch condition {
	case Drops, LostEvents:
		return proto.SeverityMedium
	}
	return proto.SeverityHigh
}

// severityOver is the severity of every alarm's end; the package comment says why.
const severityOver = proto.SeverityMedium

// Config says what is watched.
type Config struct {
	Sensor   string        // its name in sentences, "Suricata"
	Path     string        // where it writes, in sentences
	Silence  time.Duration // how long it may be silent or see no packet; 0 for ever
	Suricata bool          // its records are Suricata's
	URL      string        // of Tracee's metrics; empty if they are not read

	Metrics *Metrics
	// Report publishes the state of a readiness condition: "sensor", and
	// "sensor_metrics" if URL is set.
	Report func(condition string, err error)
}

// Monitor watches one sensor. But for Run it is not safe for concurrent use.
type Monitor struct {
	cfg      Config
	standing map[string]normalize.Alarm // as raised last, by condition
	alarms   []normalize.Alarm          // not returned yet

	quiet   time.Time // since when the shipper has waited for a line
	packets packets
	rules   rules
	lost    lost

	scraper *scraper // nil without a URL
	scraped *reading // the last that was taken into account
}

// New begins a watch. Nothing that was before now counts as silence. Last is the
// source's last published alarm if nothing was published after it: a silence that
// was reported before a restart is not reported again, and its end is. Nothing
// follows the report of a silence before its end, so the last message is enough;
// other conditions are found anew.
func New(cfg Config, last normalize.Alarm, now time.Time) *Monitor {
	m := &Monitor{
		cfg:      cfg,
		standing: make(map[string]normalize.Alarm),
		quiet:    now,
		packets:  packets{dropping: burst{every: dropsEvery}},
		lost:     lost{losing: burst{every: lostEvery}},
	}
	if cfg.URL != "" {
		m.scraper = newScraper(cfg.URL)
	}
	if last.Condition == Silent && !last.Over && cfg.Silence > 0 {
		m.standing[Silent] = last
	}
	m.report()
	return m
}

// Run reads the sensor's metrics until ctx is done, if they are to be read.
func (m *Monitor) Run(ctx context.Context) {
	if m.scraper != nil {
		m.scraper.run(ctx)
	}
}

// Alarms returns the alarms that have come up since it was called last, in order.
func (m *Monitor) Alarms() []normalize.Alarm {
	if m.scraper != nil {
		if r := m.scraper.latest.Load(); r != m.scraped {
			m.scraped = r
			m.cfg.Metrics.scraped(r)
			m.cfg.Report("sensor_metrics", r.err)
			if r.err == nil {
				m.lost.judge(m, r.at, r.lost)
			}
		}
	}
	alarms := m.alarms
	m.alarms = nil
	if len(alarms) > 0 {
		m.report()
	}
	return alarms
}

// report updates readiness and metrics.
func (m *Monitor) report() {
	for _, condition := range []string{Silent, NoPackets, NoRules, Drops, LostEvents} {
		m.cfg.Metrics.stands(condition, m.stands(condition))
	}
	var err error
	if texts := m.texts(); len(texts) > 0 {
		err = errors.New(strings.Join(texts, "; "))
	}
	m.cfg.Report("sensor", err)
}

// texts are those of the alarms that stand, sorted.
func (m *Monitor) texts() []string {
	var texts []string
	for _, a := range m.standing {
		texts = append(texts, a.Text)
	}
	slices.Sort(texts)
	return texts
}

func (m *Monitor) stands(condition string) bool {
	_, stands := m.standing[condition]
	return stands
}

// raise raises the alarm, or raises it again.
func (m *Monitor) raise(condition string, since, at time.Time, format string, args ...any) {
	m.raiseAs(severityOf(condition), condition, since, at, format, args...)
}

// raiseAs is raise with a severity that is not the usual one.
func (m *Monitor) raiseAs(severity proto.Severity, condition string, since, at time.Time, format string, args ...any) {
	a := normalize.Alarm{
		Condition: condition,
		Severity:  severity,
		Text:      m.cfg.Sensor + fmt.Sprintf(format, args...),
		Since:     since,
		At:        at,
	}
	m.standing[condition] = a
	m.alarms = append(m.alarms, a)
}

// end ends the alarm if it stands.
func (m *Monitor) end(condition string, at time.Time, format string, args ...any) {
	raised, stands := m.standing[condition]
	if !stands {
		return
	}
	delete(m.standing, condition)
	m.alarms = append(m.alarms, normalize.Alarm{
		Condition: condition,
		Over:      true,
		Severity:  severityOver,
		Text:      m.cfg.Sensor + fmt.Sprintf(format, args...),
		Since:     raised.Since,
		At:        at,
	})
}

// length is how long something has lasted, to the second.
func length(since, at time.Time) time.Duration {
	return max(0, at.Sub(since)).Round(time.Second)
}

// clock is a time in a sentence.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Lines notes that lines of the sensor were read at now.
func (m *Monitor) Lines(now time.Time) {
	m.quiet = now
	m.cfg.Metrics.lastLine.WithLabelValues().Set(float64(now.UnixMilli()) / 1000)
	since := m.standing[Silent].Since
	m.end(Silent, now, " writes again, after %s of silence", length(since, now))
}

// Busy notes that the shipper has not read until now, because it had to wait for
// the bus. That was no silence.
func (m *Monitor) Busy(now time.Time) { m.quiet = now }

// Idle notes that all there is has been read. Waiting says what the shipper waits
// for, such as a file that does not exist, and is empty if only for lines.
func (m *Monitor) Idle(now time.Time, waiting string) {
	if m.cfg.Silence == 0 || m.stands(Silent) || now.Sub(m.quiet) < m.cfg.Silence {
		return
	}
	reason := cmp.Or(waiting, "nothing was written to "+m.cfg.Path+" since "+clock(m.quiet))
	if m.scraper != nil {
		if r := m.scraper.latest.Load(); r != nil && r.err != nil {
			reason += "; its metrics endpoint does not answer"
		}
	}
	m.raise(Silent, m.quiet, now, " has been silent for %s: %s; is it running, and does it write there?", m.cfg.Silence, reason)
}

// Record looks at an event that was made of a line, and tags it if it reports
// rules that do not load.
func (m *Monitor) Record(e *proto.Event) {
	if !m.cfg.Suricata || e.Kind != suricata.KindStats || e.Raw == nil {
		return
	}
	stats, ok := suricata.ParseStats(e.Raw)
	if !ok {
		return
	}
	if stats.Rules != nil && stats.Rules.Failed > 0 {
		e.Tags = append(e.Tags, suricata.TagRulesFailed)
	}
	m.cfg.Metrics.stats(stats)
	m.packets.judge(m, e.Time, stats)
}
