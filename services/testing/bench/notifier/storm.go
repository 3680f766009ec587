package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/notifier"
	"github.com/openclaw-security/bus/services/shipper"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// perMinute is the default of ALERT_MAX_PER_MINUTE.
const perMinute = 10

// outcome is what has become of a storm.
type outcome struct {
	alerts    int // stored, the critical one included
	requests  int
	messages  int
	uncovered int // alerts that no accepted message is about
	published time.Duration
	drained   time.Duration // from the end of the burst until the last message
	critical  time.Duration // from the critical alert's being stored to the message about it
	peakRSS   int           // bytes
}

// storm lets the notifier tell of one.
func (b *bench) storm(ctx context.Context) (o outcome, err error) {
	s, err := b.newSystem(ctx)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p, err := s.run(roleNotifier, notifier.Role, settings(s.api, perMinute)...)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()

	var criticalID string
	began := time.Now()
	err = s.publish(ctx, b.alerts, b.burst, func() error {
		criticalID, err = s.publishCritical(ctx)
		return err
	})
	if err != nil {
		return o, err
	}
	ended := time.Now()
	o.alerts, o.published = b.alerts+1, ended.Sub(began)
	if err := s.drain(ctx, &o, b.drain); err != nil {
		return o, err
	}
	usage, err := p.Usage()
	if err != nil {
		return o, err
	}
	o.peakRSS = usage.PeakRSS
	// By the server's own stamp: the notifier may hear of the alert before the
	// source has its acknowledgement.
	criticalAt, err := s.criticalStored(ctx)
	if err != nil {
		return o, err
	}
	o.requests = int(s.sent.Load())
	for _, m := range s.telegram.Messages() {
		o.messages++
		o.drained = max(o.drained, m.Time.Sub(ended))
		if o.critical == 0 && strings.Contains(m.Text, criticalID[:12]) {
			o.critical = m.Time.Sub(criticalAt)
		}
	}
	if o.critical == 0 {
		return o, errors.New("no message names the critical alert")
	}
	covered, err := s.covered(ctx)
	o.uncovered = o.alerts - covered
	return o, err
}

// drain waits until everything is delivered, at most d.
func (s *system) drain(ctx context.Context, o *outcome, d time.Duration) error {
	operator, err := s.connect(ctx, bus.RoleOperator)
	if err != nil {
		return err
	}
	began := time.Now()
	for time.Since(began) < d {
		state, err := operator.Overview(ctx)
		if err != nil {
			return err
		}
		stored, waiting := uint64(0), uint64(0)
		for _, stream := range state.Streams {
			if slices.Contains(bustest.AlertStreams(), stream.Name) {
				stored += stream.Messages
			}
		}
		for _, durable := range state.Durables {
			if durable.Name != proto.DurableNotifierStdout { // nobody prints
				waiting += durable.Progress.Pending + uint64(durable.Progress.Unacked)
			}
		}
		if stored == uint64(o.alerts) && waiting == 0 {
			return nil
		}
		select {
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil // uncovered counts what is left
}

// publish publishes n alerts in d, and does something in the middle.
func (s *system) publish(ctx context.Context, n int, d time.Duration, middle func() error) error {
	conn, err := s.connect(ctx, bus.ShipperRole(shipper.SourceSuricata))
	if err != nil {
		return err
	}
	fence := bus.NewFence(conn, proto.AlertsStream(shipper.SourceSuricata), proto.SourceFilter(host, shipper.SourceSuricata))
	if _, err := fence.Last(ctx); err != nil {
		return err
	}
	raws := alertLines()
	began := time.Now()
	half := false
	for sent := 0; sent < n; {
		msgs := make([]*nats.Msg, min(proto.MaxBatch, n-sent))
		for i := range msgs {
			msgs[i] = stormAlert(sent+i, raws)
		}
		if err := fence.Publish(ctx, msgs); err != nil {
			return err
		}
		sent += len(msgs)
		if !half && sent >= n/2 {
			half = true
			if err := middle(); err != nil {
				return err
			}
		}
		// The last batch is due at the end of d.
		due := began.Add(d * time.Duration(min(sent+proto.MaxBatch, n)) / time.Duration(n))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// stormAlert is one of many: of a few hundred rules, about a few hundred hosts.
func stormAlert(i int, raws [][]byte) *nats.Msg {
	e := proto.Event{
		Source: shipper.SourceSuricata,
		Kind:   "alert",
		Title:  fmt.Sprintf("ET SCAN made up for a storm, number %d", i%700),
		Rule:   &proto.Rule{ID: fmt.Sprint(2_100_000 + i%700)},
		Src:    &proto.Endpoint{IP: fmt.Sprintf("198.51.100.%d", i%251), Port: 40_000 + i%1000},
		Dst:    &proto.Endpoint{IP: "192.0.2.10", Port: 443},
		Raw:    bytes.TrimSpace(raws[i%len(raws)]),
	}
	e.SetSeverity([]proto.Severity{proto.SeverityMedium, proto.SeverityMedium, proto.SeverityMedium, proto.SeverityHigh}[i%4])
	return message(&e)
}

// publishCritical publishes an alert of another source, and returns its id when
// it is stored.
func (s *system) publishCritical(ctx context.Context) (string, error) {
	conn, err := s.connect(ctx, bus.ShipperRole(shipper.SourceTracee))
	if err != nil {
		return "", err
	}
	e := proto.Event{Source: shipper.SourceTracee, Kind: "alert", Title: "the one that counts", Process: &proto.Process{Name: "bash", Executable: "/bin/bash"}}
	e.SetSeverity(proto.SeverityCritical)
	m := message(&e)
	return e.ID, conn.Publish(ctx, m)
}

// criticalStored is when the critical alert was stored.
func (s *system) criticalStored(ctx context.Context) (time.Time, error) {
	stream := proto.AlertsStream(shipper.SourceTracee)
	operator, err := s.connect(ctx, bus.RoleOperator)
	if err != nil {
		return time.Time{}, err
	}
	for m, err := range operator.History(ctx, stream, proto.SourceFilter(host, shipper.SourceTracee), bus.Start{}) {
		if err != nil {
			return time.Time{}, err
		}
		return m.Time, nil
	}
	return time.Time{}, fmt.Errorf("the critical alert is not in %s", stream)
}

// message completes an alert and puts it into a message.
func message(e *proto.Event) *nats.Msg {
	var id [16]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	e.ID, e.Time, e.Host = hex.EncodeToString(id[:]), time.Now().UTC(), host
	m := &nats.Msg{Subject: e.Subject().Ingest(), Data: e.AppendJSON(nil), Header: nats.Header{}}
	m.Header.Set(proto.HeaderEventID, e.ID)
	return m
}

// covered counts the alerts that the ledger names with a message that the chat has
// accepted.
func (s *system) covered(ctx context.Context) (int, error) {
	operator, err := s.connect(ctx, bus.RoleOperator)
	if err != nil {
		return 0, err
	}
	accepted := make(map[string]bool)
	for _, m := range s.telegram.Messages() {
		accepted[fmt.Sprint(m.ID)] = true
	}
	type place struct {
		stream   string
		sequence uint64
	}
	covered := make(map[place]bool)
	for m, err := range operator.History(ctx, proto.StreamDeliveries, proto.DeliveriesPrefix+".>", bus.Start{}) {
		if err != nil {
			return 0, err
		}
		var d proto.Delivery
		if err := json.Unmarshal(m.Data, &d); err != nil {
			return 0, fmt.Errorf("reading the ledger: %w", err)
		}
		for _, run := range d.Ranges {
			for sequence := run.First; accepted[d.MessageID] && sequence <= run.Last; sequence++ {
				covered[place{run.Stream, sequence}] = true
			}
		}
	}
	return len(covered), nil
}
