package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/daemon"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/internal/progress"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

const (
	// watchEvery is how often the progress of the bus is looked at.
	watchEvery = 15 * time.Second
	// outageTold is for how long the bus must be out of reach, or store nothing, until the
	// notifier says so without it.
	outageTold = time.Minute
	// directTimeout bounds one attempt to send without the bus.
	directTimeout = 30 * time.Second
)

// progressWatch looks at the bus and publishes what does not move, as alerts of the
// notifier's own.
type progressWatch struct {
	conn  *bus.Conn
	host  string
	every time.Duration
	rt    daemon.Runtime
	watch progress.Watch
	gauge *prometheus.GaugeVec
}

// progressWatch returns a watch by a notifier that delivers to these sinks.
func (n *notifier) progressWatch(sinks []string) *progressWatch {
	w := &progressWatch{
		conn: n.conn, host: config.HostName(n.cfg.Host), every: watchEvery, rt: n.rt,
		watch: progress.Watch{Own: func(durable string) bool {
			return slices.ContainsFunc(sinks, func(name string) bool {
				whole := proto.SinkConsumer(name, "").Durable
				return durable == whole || strings.HasPrefix(durable, whole+"-") // a lane of a chat
			})
		}},
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "notifier_bus_alarm",
			Help: "1 for each condition of the bus that does not let alerts through, by condition and by source, stream or consumer.",
		}, []string{"condition", "subject"}),
	}
	n.rt.Metrics.MustRegister(w.gauge)
	return w
}

// run watches until ctx is done.
func (w *progressWatch) run(ctx context.Context) error {
	for {
		err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case bus.Permanent(err):
			// Delivery works without the watch, and must not end with it.
			w.rt.Ready.Set("progress", err)
			w.rt.Log.Error("the progress of the bus is not watched", "err", err)
			return nil
		case err != nil:
			w.watch.Interrupted()
			w.rt.Log.Warn("watching the progress of the bus is delayed", "err", err)
		}
		if retry.Sleep(ctx, w.every) != nil {
			return nil
		}
	}
}

// look judges the bus once and publishes what has changed.
func (w *progressWatch) look(ctx context.Context) error {
	overview, err := w.conn.Overview(ctx)
	if err != nil {
		return err
	}
	beats, err := progress.Beats(ctx, w.conn)
	if err != nil {
		return err
	}
	alarms := w.watch.Judge(progress.State{Now: overview.Now, Overview: overview, Beats: beats, Reconnects: w.conn.Reconnects()})
	standing, err := w.update(ctx, alarms, overview.Now)
	if err != nil {
		return err
	}
	w.gauge.Reset()
	for _, a := range standing {
		w.gauge.WithLabelValues(a.Condition, a.Subject).Set(1)
	}
	w.rt.Ready.Set("progress", notReady(standing))
	return nil
}

// notReady returns what does not work now, or nil. A service that was started again and
// again and runs since does.
func notReady(standing map[string]progress.Alarm) error {
	var texts []string
	for _, id := range slices.Sorted(maps.Keys(standing)) {
		if a := standing[id]; !progress.IsPast(a.Condition) {
			texts = append(texts, a.Text)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// update publishes the alarms that are new, more severe or over, and returns those
// that stand. They are kept on the bus, so that a notifier that starts does not raise
// them again. One is published before it is kept: after a crash in between it comes
// again, under the same id.
func (w *progressWatch) update(ctx context.Context, alarms []progress.Alarm, now time.Time) (map[string]progress.Alarm, error) {
	standing, revision, err := kv.Load[map[string]progress.Alarm](ctx, w.conn, proto.KeyAlarms)
	if err != nil {
		return nil, err
	}
	next, changed := make(map[string]progress.Alarm), false
	for _, a := range alarms {
		before, stands := standing[a.ID()]
		if stands {
			a.Since = before.Since
		}
		next[a.ID()] = a
		if stands && before.Severity >= a.Severity {
			continue
		}
		changed = true
		if err := w.publish(ctx, a, false, now); err != nil {
			return nil, err
		}
	}
	for id, a := range standing {
		if _, holds := next[id]; holds {
			continue
		}
		if !w.watch.Settled(a.Condition, now) {
			next[id] = a
			continue
		}
		changed = true
		if err := w.publish(ctx, a, true, now); err != nil {
			return nil, err
		}
	}
	if !changed {
		return next, nil
	}
	data, err := json.Marshal(next)
	if err != nil {
		return nil, fmt.Errorf("writing the alarms: %w", err)
	}
	if _, err := w.conn.Put(ctx, proto.KeyAlarms, data, revision); err != nil {
		return nil, fmt.Errorf("keeping the alarms: %w", err)
	}
	return next, nil
}

// publish publishes an alarm or its end. That has severity medium, which is delivered
// by default: who was woken wants to hear that it is over.
func (w *progressWatch) publish(ctx context.Context, a progress.Alarm, over bool, now time.Time) error {
	state, title, severity := "raised", a.Text, a.Severity
	if over {
		state, title, severity = "over", fmt.Sprintf("Over after %s: %s", now.Sub(a.Since).Round(time.Second), a.Text), proto.SeverityMedium
	}
	e := ownEvent(w.host, a.Condition, title, severity)
	e.ID = proto.AuditID(fmt.Sprintf("%s %s %s", a.ID(), severity, a.Since.UTC().Format(time.RFC3339Nano)), proto.Phase(state))
	raw, err := json.Marshal(struct {
		State string `json:"state"`
		progress.Alarm
	}{state, a})
	if err != nil {
		return fmt.Errorf("writing an alarm: %w", err)
	}
	e.Raw = raw
	msg := nats.NewMsg(e.Subject().Ingest())
	msg.Header.Set(proto.HeaderEventID, e.ID)
	msg.Data = e.AppendJSON(nil)
	w.rt.Log.Warn("the progress of the bus", "state", state, "condition", a.Condition, "subject", a.Subject, "text", a.Text)
	if err := w.conn.Publish(ctx, msg); err != nil {
		return fmt.Errorf("publishing an alarm: %w", err)
	}
	return nil
}

// ownEvent is an event of the notifier about the bus.
func ownEvent(host, kind, title string, severity proto.Severity) *proto.Event {
	e := &proto.Event{
		Time: time.Now().UTC(), Host: host, Source: Role, Kind: kind, ClassUID: proto.ClassUIDDetectionFinding, Title: title,
		Rule: &proto.Rule{ID: kind, Name: "Progress of the bus", Category: "Bus"},
	}
	e.SetSeverity(severity)
	return e
}

// outage tells the owner without the bus when the bus cannot be reached or stores
// nothing, which the notifier's own heartbeat shows. It is not planned or recorded as
// other messages are, because that takes the bus.
type outage struct {
	host    string
	sinks   []sink.Opened
	now     func() time.Time
	rt      daemon.Runtime
	storing prometheus.Gauge

	since time.Time // of the outage; zero for none
	told  bool
}

func newOutage(host string, sinks []sink.Opened, rt daemon.Runtime) *outage {
	o := &outage{host: host, sinks: sinks, now: time.Now, rt: rt, storing: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "notifier_bus_storing",
		Help: "1 if the bus has stored the notifier's last heartbeat, 0 if it has not: it is out of reach, or its disk is full.",
	})}
	o.storing.Set(1)
	rt.Metrics.MustRegister(o.storing)
	return o
}

// beat takes what has become of a heartbeat.
func (o *outage) beat(ctx context.Context, err error) {
	now := o.now()
	o.storing.Set(1)
	if err != nil {
		o.storing.Set(0)
		err = fmt.Errorf("the bus does not store the notifier's heartbeat: %w", err)
	}
	o.rt.Ready.Set(condStoring, err)
	switch {
	case err != nil && o.since.IsZero():
		o.since = now
	case err != nil && !o.told && now.Sub(o.since) >= outageTold:
		o.told = o.tell(ctx, fmt.Sprintf("The bus cannot store anything since %s UTC (%s). No alert arrives until it does; secbus doctor says more.", o.since.UTC().Format(time.TimeOnly), reason(err)), proto.SeverityHigh)
	case err == nil && o.told:
		if o.tell(ctx, fmt.Sprintf("The bus stores again, after %s. What waited comes now.", now.Sub(o.since).Round(time.Second)), proto.SeverityMedium) {
			o.since, o.told = time.Time{}, false
		}
	case err == nil:
		o.since = time.Time{}
	}
}

// reason puts an error into words for the owner.
func reason(err error) string {
	switch {
	case errors.Is(err, bus.ErrNoSpace):
		return "its disk or its limit is full"
	case errors.Is(err, bus.ErrMaybeStored): // nats-server does not tell publishers that it could not write
		return "the NATS server is there and does not store: its disk may be full"
	case errors.Is(err, bus.ErrNotConnected), errors.Is(err, bus.ErrClosed):
		return "the NATS server is out of reach"
	}
	return err.Error()
}

// tell sends a text to all sinks, and reports whether one has accepted it.
func (o *outage) tell(ctx context.Context, text string, severity proto.Severity) (accepted bool) {
	e := ownEvent(o.host, "bus-outage", text, severity)
	e.ID = proto.AuditID(text, "outage")
	for _, opened := range o.sinks {
		for _, c := range opened.Chats {
			m, ok := c.Render(sink.Batch{Kind: proto.DeliveryNotice, Text: text}, 0)
			if !ok {
				continue
			}
			accepted = o.attempt(ctx, c.Name(), func(ctx context.Context) error {
				_, err := c.Send(ctx, m, sink.Place{}, false)
				return err
			}) || accepted
		}
		for _, s := range opened.Sinks {
			accepted = o.attempt(ctx, s.Name(), func(ctx context.Context) error {
				return s.Deliver(ctx, e, e.AppendJSON(nil), false)
			}) || accepted
		}
	}
	return accepted
}

func (o *outage) attempt(ctx context.Context, name string, send func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	err := send(ctx)
	if err != nil {
		o.rt.Log.Warn("a message about the bus is not sent", "sink", name, "err", err)
	}
	return err == nil
}
