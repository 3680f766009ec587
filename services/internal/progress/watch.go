package progress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/render"
)

// The conditions. Each is the kind of the event that reports it.
const (
	SourceSilent    = "source-silent"    // no heartbeat for a minute
	SourceBlocked   = "source-blocked"   // it has not been able to publish for a minute
	SourceRestarts  = "source-restarts"  // it is started again and again
	ServerRestarts  = "server-restarts"  // the connection to the server is lost again and again
	ConsumerStopped = "consumer-stopped" // a durable stands still while messages wait
	Evicted         = "evicted"          // messages were removed before a durable had them
	StreamFilling   = "stream-filling"   // a stream that refuses what is new is nearly full
	StreamShort     = "stream-short"     // a full stream keeps less than Promised
)

// Conditions returns all conditions.
func Conditions() []string {
	return []string{SourceSilent, SourceBlocked, SourceRestarts, ServerRestarts, ConsumerStopped, Evicted, StreamFilling, StreamShort}
}

const (
	// Late is for how long a source may be silent or unable to publish.
	Late = time.Minute
	// Restarts are how many starts within RestartsWithin are too many: more than
	// somebody needs who tries settings.
	Restarts       = 5
	RestartsWithin = 15 * time.Minute
	// Promised is for how long every stream should keep what it gets, or for its own
	// maximum age if that is less.
	Promised = 3 * 24 * time.Hour
	// stillTimes is for how many times as long nobody may fetch from a durable in which
	// messages wait: longer than a restart takes.
	stillTimes = 5

	fillTold   = 0.80
	fillUrgent = 0.95
	full       = 0.90 // of a stream that drops its oldest messages
)

// OfSource reports whether a condition is one of [Sources].
func OfSource(condition string) bool {
	return condition == SourceSilent || condition == SourceBlocked || condition == SourceRestarts
}

// IsPast reports whether a condition is about what has happened, while everything may
// work again: an alarm, and no reason to call a service not ready.
func IsPast(condition string) bool {
	return condition == SourceRestarts || condition == ServerRestarts
}

// Alarm is a condition that holds.
type Alarm struct {
	Condition string         `json:"condition"`
	Subject   string         `json:"subject"` // the source, stream or durable
	Text      string         `json:"text"`
	Severity  proto.Severity `json:"severity"`
	Since     time.Time      `json:"since"` // by the server's clock, as far as is known
}

// ID tells alarms apart that can hold at the same time.
func (a Alarm) ID() string { return a.Condition + "/" + a.Subject }

// State is the bus at one moment.
type State struct {
	Now      time.Time // by the server's clock
	Overview bus.Overview
	Beats    []Beat
	// Reconnects is how often the watcher has had to connect anew since it started.
	Reconnects uint64
}

// Watch judges the bus again and again. The zero Watch has seen nothing yet. It is not
// safe for concurrent use.
type Watch struct {
	// Own names the durables of the notifier that watches: it knows itself why they
	// wait, so only what the server does wrong is an alarm. Those of its role that are
	// not among them are not in use.
	Own func(durable string) bool
	// Late is for how long a source, or a server that has something to deliver, may be
	// silent; 0 means a minute.
	Late time.Duration

	began    time.Time // since when the bus could be watched without a break
	durables map[string]still
	connects []connects // of the last RestartsWithin, oldest first
}

// connects is how often the watcher had connected anew at a time.
type connects struct {
	at    time.Time
	count uint64
}

// still is since when a durable has not moved.
type still struct {
	progress bus.Progress
	since    time.Time
}

// Interrupted says that the bus could not be watched: sources get time to report
// again before they count as silent.
func (w *Watch) Interrupted() { w.began, w.durables = time.Time{}, nil }

func (w *Watch) late() time.Duration { return cmp.Or(w.Late, Late) }

// Settled reports whether a condition that holds would have been found again since the
// watch began: until then its absence from the alarms does not mean that it is over.
func (w *Watch) Settled(condition string, now time.Time) bool {
	watched := now.Sub(w.began)
	switch condition {
	case SourceSilent:
		return watched > 2*w.late()
	case ConsumerStopped:
		return watched > (stillTimes+1)*w.late()
	}
	return true
}

// Judge returns the alarms that hold, by condition and subject.
func (w *Watch) Judge(s State) []Alarm {
	if w.began.IsZero() {
		w.began = s.Now
	}
	alarms := slices.Concat(Sources(s, w.began, w.late()), Streams(s), w.consumers(s), w.server(s))
	slices.SortFunc(alarms, func(a, b Alarm) int {
		return cmp.Or(cmp.Compare(a.Condition, b.Condition), cmp.Compare(a.Subject, b.Subject))
	})
	return alarms
}

// Sources judges the sources by their heartbeats: they may be silent, or unable to
// publish, for late, and started less than Restarts times. Silence before began does not
// count.
func Sources(s State, began time.Time, late time.Duration) []Alarm {
	var alarms []Alarm
	for _, b := range s.Beats {
		name := what(b.Source) + " on " + b.Host
		add := func(condition string, since time.Time, format string, args ...any) {
			alarms = append(alarms, Alarm{Condition: condition, Subject: b.Name(), Severity: proto.SeverityHigh, Since: since, Text: name + " " + fmt.Sprintf(format, args...)})
		}
		restarts := ""
		if b.Starts >= Restarts {
			restarts = fmt.Sprintf("was started %d times within %.0f minutes: it ends again and again, its log says why", b.Starts, RestartsWithin.Minutes())
		}
		silent := s.Now.Sub(b.Stored)
		switch {
		case min(silent, s.Now.Sub(began)) > late:
			why := "nothing of it arrives until it runs again and reaches the bus"
			if restarts != "" {
				why = "it " + restarts
			}
			add(SourceSilent, b.Stored, "has not reported for %s: %s", silent.Round(time.Second), why)
			continue
		case silent <= late && b.Problem != "" && b.For >= late:
			add(SourceBlocked, b.Stored.Add(-b.For), "has not been able to publish for %s: %s", b.For.Round(time.Second), render.Clean(b.Problem, 200))
		}
		if restarts != "" {
			add(SourceRestarts, s.Now, "%s", restarts)
		}
	}
	return alarms
}

// what names what beats under a source's name.
func what(source string) string {
	switch source {
	case bus.RoleProxy, bus.RoleAuditor, bus.RoleNotifier:
		return "The " + source
	}
	return "The shipper of " + source
}

// Streams judges how full the streams are.
func Streams(s State) []Alarm {
	var alarms []Alarm
	for _, st := range s.Overview.Streams {
		if st.Err != nil || st.MaxBytes <= 0 || st.Messages == 0 || st.Name == proto.StreamAudit {
			continue // the auditor watches over its stream itself
		}
		share := float64(st.Bytes) / float64(st.MaxBytes)
		sizes := fmt.Sprintf("%s of %s", render.Size(st.Bytes), render.Size(uint64(st.MaxBytes)))
		kept, promised := s.Now.Sub(st.Oldest), Promised
		if st.MaxAge > 0 {
			promised = min(promised, st.MaxAge)
		}
		a := Alarm{Subject: st.Name, Severity: proto.SeverityMedium, Since: s.Now}
		switch {
		case !st.DiscardsOld && share > fillTold:
			a.Condition = StreamFilling
			a.Text = fmt.Sprintf("Stream %s is %.0f %% full (%s): what comes is refused once it is full", st.Name, 100*share, sizes)
			if share > fillUrgent {
				a.Severity = proto.SeverityHigh
			}
		case st.DiscardsOld && share > full && kept < promised:
			a.Condition = StreamShort
			a.Text = fmt.Sprintf("Stream %s is full (%s) and keeps only the last %s: older messages are gone", st.Name, sizes, kept.Round(time.Second))
			if strings.HasPrefix(st.Name, proto.AlertsPrefix) || st.Name == proto.StreamAlerts {
				a.Severity = proto.SeverityHigh
			}
		default:
			continue
		}
		alarms = append(alarms, a)
	}
	return alarms
}

// server judges the server by how often the connection to it was lost.
func (w *Watch) server(s State) []Alarm {
	w.connects = append(slices.DeleteFunc(w.connects, func(c connects) bool { return s.Now.Sub(c.at) > RestartsWithin }), connects{s.Now, s.Reconnects})
	lost := s.Reconnects - w.connects[0].count
	if lost < Restarts {
		return nil
	}
	return []Alarm{{
		Condition: ServerRestarts, Subject: "NATS", Severity: proto.SeverityHigh, Since: s.Now,
		Text: fmt.Sprintf("The connection to the NATS server was lost %d times within %.0f minutes: it ends again and again, or the network to it fails", lost, RestartsWithin.Minutes()),
	}}
}

// consumers judges the durables by what has changed since they were looked at before.
func (w *Watch) consumers(s State) []Alarm {
	var alarms []Alarm
	seen := make(map[string]still)
	for _, d := range s.Overview.Durables {
		if d.Err != nil {
			continue
		}
		own := w.Own != nil && w.Own(d.Name)
		if !own && bus.ConsumerRole(d.Name) == bus.RoleNotifier {
			continue // of a sink that is not configured any more
		}
		name := d.Name + " of " + d.Stream
		if d.Evicted > 0 && !own { // the notifier reports its own in the chat concerned
			alarms = append(alarms, Alarm{
				Condition: Evicted, Subject: name, Severity: proto.SeverityHigh, Since: s.Now,
				Text: fmt.Sprintf("%d messages of %s were removed before %s had them", d.Evicted, d.Stream, d.Name),
			})
		}
		waiting := d.Progress.Pending + uint64(max(d.Progress.Unacked, 0))
		now := still{d.Progress, s.Now}
		before, known := w.durables[name]
		if known && before.progress.AckedThrough == d.Progress.AckedThrough && before.progress.Delivered == d.Progress.Delivered && waiting > 0 {
			now.since = before.since
		}
		seen[name] = now
		a := Alarm{Condition: ConsumerStopped, Subject: name, Severity: proto.SeverityHigh, Since: now.since}
		switch stood := s.Now.Sub(now.since); {
		case waiting == 0:
			continue
		case d.Waiting > 0 && d.Progress.Pending > 0 && d.Progress.Unacked == 0 && stood >= w.late():
			a.Text = fmt.Sprintf("Consumer %s has been given nothing for %s while %d messages wait in %s: is it paused?", d.Name, stood.Round(time.Second), waiting, d.Stream)
		case !own && d.Waiting == 0 && stood >= stillTimes*w.late():
			a.Text = fmt.Sprintf("Nobody has worked on consumer %s for %s, and %d messages wait in %s", d.Name, stood.Round(time.Second), waiting, d.Stream)
		default:
			continue
		}
		alarms = append(alarms, a)
	}
	w.durables = seen
	return alarms
}
