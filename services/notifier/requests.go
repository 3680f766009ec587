package notifier

import (
	"context"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/internal/request"
	"github.com/openclaw-security/bus/services/internal/selection"
	"github.com/openclaw-security/bus/services/notifier/api"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

const (
	maxCards  = 6       // alerts of a replay that are shown each by itself
	maxReplay = 100_000 // alerts of one replay
)

// serveRequests does what is requested of chats until ctx ends.
func (n *notifier) serveRequests(ctx context.Context, chats map[string]*chat) error {
	s := request.NewServer(n.conn, api.Service, n.log)
	send := func(ctx context.Context, name, id string, batch sink.Batch) (api.Sent, error) {
		c := chats[name]
		if c == nil {
			return api.Sent{}, fmt.Errorf("this notifier has no chat %.100q", name)
		}
		receipt, err := c.delivery.Enqueue(ctx, "request/"+id, batch)
		if err != nil {
			return api.Sent{}, fmt.Errorf("sending: %w", err)
		}
		return api.Sent{Chat: receipt.Chat, MessageID: receipt.MessageID, Before: receipt.MessageID == ""}, nil
	}
	request.Handle(s, api.SendTest, func(ctx context.Context, id string, t api.Test) (api.Sent, error) {
		text := "This is a test. Alerts of the OpenClaw security bus will come to this chat."
		return send(ctx, t.Chat, id, sink.Batch{Kind: proto.DeliveryNotice, Text: text})
	})
	request.Handle(s, api.SendReplay, func(ctx context.Context, id string, r api.Replay) (result api.Replayed, err error) {
		batch, alerts, err := n.replay(ctx, r.Selection)
		result.Alerts = alerts
		if err == nil && alerts > 0 {
			result.Sent, err = send(ctx, r.Chat, id, batch)
		}
		return result, err
	})
	request.Handle(s, api.SendDead, func(ctx context.Context, id string, d api.Dead) (api.Retried, error) {
		batch, result, err := n.dead(ctx, d.Sequences)
		if err == nil && len(d.Sequences) > 0 {
			result.Sent, err = send(ctx, d.Chat, id, batch)
		}
		return result, err
	})
	return s.Run(ctx)
}

// replay is the message about stored alerts, and how many there are.
func (n *notifier) replay(ctx context.Context, s selection.Selection) (batch sink.Batch, alerts int, err error) {
	selected, err := s.Compile()
	if err != nil {
		return batch, 0, fmt.Errorf("the selection: %w", err)
	}
	batch.Kind = proto.DeliveryReplay
	var folded []digest.Alert
	streams, err := n.conn.AlertStreams(ctx)
	if err != nil {
		return batch, 0, fmt.Errorf("reading the alerts: %w", err)
	}
	for m, err := range n.conn.MergedHistory(ctx, streams, proto.StoredPrefix+".>", bus.Start{Time: s.From}) {
		if err != nil {
			return batch, 0, fmt.Errorf("reading the alerts: %w", err)
		}
		if selected.Past(m) || len(folded) == maxReplay {
			break
		}
		if !selected.Match(m) {
			continue
		}
		e, _, err := consume.Decode(m.Subject, m.Data)
		if err != nil {
			continue // it is a dead letter of every sink
		}
		if len(folded) == 0 {
			batch.First = m.Time
		}
		batch.Last = m.Time
		folded = append(folded, digest.Describe(e))
		if len(folded) <= maxCards {
			batch.Alerts = append(batch.Alerts, sink.Alert{Event: e, Count: 1})
		}
	}
	if len(folded) == 0 {
		return batch, 0, nil
	}
	if len(folded) > maxCards {
		d := digest.Fold(folded)
		batch.Alerts, batch.Digest = nil, &d
	}
	return batch, len(folded), nil
}

// dead is the message about dead letters. What cannot be read as an alert is
// named, so that its existence is known.
func (n *notifier) dead(ctx context.Context, dead []uint64) (batch sink.Batch, result api.Retried, err error) {
	batch.Kind = proto.DeliveryReplay
	for _, sequence := range dead {
		var letter *bus.Stored
		for m, err := range n.conn.History(ctx, proto.StreamDead, proto.DeadPrefix+".>", bus.Start{Sequence: sequence}) {
			if err != nil {
				return batch, result, fmt.Errorf("reading dead letter %d: %w", sequence, err)
			}
			letter = m
			break
		}
		if letter == nil || letter.Sequence != sequence {
			batch.Notices = append(batch.Notices, fmt.Sprintf("There is no dead letter %d any more.", sequence))
			result.Gone = append(result.Gone, sequence)
			continue
		}
		e, _, err := consume.Decode(letter.Header.Get(proto.HeaderDeadSubject), letter.Data)
		if err != nil {
			batch.Notices = append(batch.Notices, fmt.Sprintf("Dead letter %d is not an event that can be shown: %s", sequence, letter.Header.Get(proto.HeaderDeadReason)))
			result.Unreadable = append(result.Unreadable, sequence)
			continue
		}
		batch.Alerts = append(batch.Alerts, sink.Alert{Event: e, Count: 1})
		result.Shown = append(result.Shown, sequence)
	}
	if len(batch.Alerts) == 0 {
		batch.Kind = proto.DeliveryNotice
	}
	return batch, result, nil
}
