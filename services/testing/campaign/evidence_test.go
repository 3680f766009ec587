package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
	"github.com/openclaw-security/bus/services/testing/telegramtest"
)

// evidence is all that a campaign has left behind.
type evidence struct {
	published []string       // ids of alerts, each published once
	alerts    []storedAlert  // of the streams of alerts
	least     proto.Severity // that is delivered
	limits    map[string]int // requests a minute, by sink
	sinkOf    func(chat string) string
	arrivals  []arrival
	requests  []telegramtest.Request
	messages  []telegramtest.Message
	ledger    []proto.Delivery
	dead      []deadLetter
}

// place is where an alert is stored.
type place struct {
	stream   string
	sequence uint64
}

// storedAlert is an alert as its stream has it.
type storedAlert struct {
	place
	id       string
	severity proto.Severity
}

// deadLetter is an alert that a durable has given up.
type deadLetter struct {
	durable string
	place
}

// collect reads everything.
func (r *rig) collect(ctx context.Context, published []string, perMinute int) (evidence, error) {
	e := evidence{
		published: published,
		least:     proto.SeverityMedium, // the notifier's default
		limits:    make(map[string]int),
		sinkOf:    r.sinkOf,
		arrivals:  r.gate.seen(),
		requests:  r.telegram.Requests(),
		messages:  r.telegram.Messages(),
	}
	for i, sink := range r.sinks {
		e.limits[sink] = perMinute
		if i >= persons {
			e.limits[sink] = min(perMinute, 20) // what Telegram takes in a group
		}
	}
	var err error
	read := func(stream, filter string, take func(*bus.Stored) error) {
		for m, fault := range r.operator.History(ctx, stream, filter, bus.Start{}) {
			if err != nil {
				return
			}
			if err = fault; err == nil {
				err = take(m)
			}
		}
	}
	for _, stream := range bustest.AlertStreams() {
		read(stream, proto.StoredPrefix+".>", func(m *bus.Stored) error {
			var a proto.Event
			err := json.Unmarshal(m.Data, &a)
			e.alerts = append(e.alerts, storedAlert{place{stream, m.Sequence}, a.ID, a.Severity})
			return err
		})
	}
	read(proto.StreamDeliveries, proto.DeliveriesPrefix+".>", func(m *bus.Stored) error {
		var d proto.Delivery
		err := json.Unmarshal(m.Data, &d)
		// A message can have several records, and a record can be there twice; the
		// chat and the message tell it.
		i := slices.IndexFunc(e.ledger, func(o proto.Delivery) bool { return o.Chat == d.Chat && o.MessageID == d.MessageID })
		if i < 0 {
			e.ledger = append(e.ledger, d)
			return err
		}
		for _, run := range d.Ranges {
			if !slices.Contains(e.ledger[i].Ranges, run) {
				e.ledger[i].Ranges = append(e.ledger[i].Ranges, run)
			}
		}
		return err
	})
	read(proto.StreamDead, proto.DeadPrefix+".>", func(m *bus.Stored) error {
		l := deadLetter{m.Header.Get(proto.HeaderDeadConsumer), place{stream: m.Header.Get(proto.HeaderDeadStream)}}
		_, err := fmt.Sscan(m.Header.Get(proto.HeaderDeadSequence), &l.sequence)
		e.dead = append(e.dead, l)
		return err
	})
	if err != nil {
		return evidence{}, fmt.Errorf("collecting evidence: %w", err)
	}
	return e, nil
}
