package notifier

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/ask"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/expr"
	"github.com/openclaw-security/bus/services/notifier/internal/digest"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

const (
	askInterval = 2 * time.Second // between two looks for requests
	cardsAtMost = 6               // alerts of a replay that are shown each by itself
	replayMost  = 100_000         // alerts of one replay
)

// serveAsks does what the operator asks of a chat until ctx is done.
func (n *notifier) serveAsks(ctx context.Context, c *chat) error {
	failed := false
	for sleep(ctx, askInterval) {
		waiting, err := ask.Waiting(ctx, n.conn, c.Name())
		if err != nil && ctx.Err() == nil && !failed {
			n.log.Warn("looking for requests of the operator", "err", err)
		}
		failed = err != nil
		for _, a := range waiting {
			state, detail := n.serve(ctx, c, a)
			if ctx.Err() != nil {
				return nil
			}
			if err := ask.Answer(ctx, n.conn, c.Name(), a.ID, state, detail); err != nil {
				n.log.Warn("answering a request of the operator", "err", err, "request", a.ID)
				break
			}
		}
	}
	return nil
}

// serve does what one request asks for, and says what has come of it.
func (n *notifier) serve(ctx context.Context, c *chat, a ask.Ask) (ask.State, string) {
	var batch sink.Batch
	var said string
	var err error
	switch a.Kind {
	case ask.Test:
		batch = sink.Batch{Kind: proto.DeliveryNotice, Text: "This is a test. Alerts of the OpenClaw security bus will come to this chat."}
		said = "a test message"
	case ask.Replay:
		batch, said, err = n.replay(ctx, a.Selection)
	case ask.Retry:
		batch, said, err = n.retry(ctx, a.Dead)
	default:
		err = fmt.Errorf("this notifier does not know requests of kind %q", a.Kind)
	}
	if err != nil {
		return ask.Failed, err.Error()
	}
	if said == "" {
		return ask.Done, "there is nothing to send"
	}
	receipt, err := c.delivery.Enqueue(ctx, "ask/"+a.ID, batch)
	if err != nil {
		return ask.Failed, fmt.Sprintf("sending %s: %v", said, err)
	}
	if receipt.MessageID == "" {
		return ask.Done, said + " had been sent before"
	}
	return ask.Done, fmt.Sprintf("sent %s as message %s of chat %s", said, receipt.MessageID, receipt.Chat)
}

// replay is the message about stored alerts.
func (n *notifier) replay(ctx context.Context, s *ask.Selection) (batch sink.Batch, said string, err error) {
	if s == nil {
		return batch, "", fmt.Errorf("the request does not say what to replay")
	}
	var matcher *expr.Expr
	if s.Matcher != "" {
		if matcher, err = expr.Compile(s.Matcher); err != nil {
			return batch, "", fmt.Errorf("the filter: %w", err)
		}
	}
	batch.Kind = proto.DeliveryReplay
	var folded []digest.Alert
	for m, err := range n.conn.History(ctx, proto.StreamAlerts, proto.StoredPrefix+".>", bus.Start{Time: s.From}) {
		if err != nil {
			return batch, "", fmt.Errorf("reading the alerts: %w", err)
		}
		if m.Time.After(s.To) || len(folded) == replayMost {
			break
		}
		if !selected(s, matcher, m) {
			continue
		}
		e := new(proto.Event)
		if json.Unmarshal(m.Data, e) != nil {
			continue // it is a dead letter of every sink
		}
		if len(folded) == 0 {
			batch.First = m.Time
		}
		batch.Last = m.Time
		folded = append(folded, digest.Describe(e))
		if len(folded) <= cardsAtMost {
			batch.Alerts = append(batch.Alerts, sink.Alert{Event: e, Count: 1})
		}
	}
	if len(folded) == 0 {
		return batch, "", nil
	}
	if len(folded) > cardsAtMost {
		d := digest.Fold(folded)
		batch.Alerts, batch.Digest = nil, &d
	}
	return batch, fmt.Sprintf("%d alerts", len(folded)), nil
}

func selected(s *ask.Selection, matcher *expr.Expr, m *bus.Stored) bool {
	subject, err := proto.ParseSubject(m.Subject)
	if err != nil || subject.Severity < s.Severity ||
		s.Source != "" && subject.Source != proto.Slug(s.Source) ||
		s.Kind != "" && subject.Kind != proto.Slug(s.Kind) ||
		s.Host != "" && subject.Host != proto.Slug(s.Host) {
		return false
	}
	if matcher == nil {
		return true
	}
	document, err := expr.Decode(m.Data)
	if err != nil {
		return false
	}
	ok, err := matcher.Match(document)
	return ok && err == nil
}

// retry is the message about dead letters. What cannot be read as an alert is
// named, so that at least its being there reaches somebody.
func (n *notifier) retry(ctx context.Context, dead []uint64) (batch sink.Batch, said string, err error) {
	batch.Kind = proto.DeliveryReplay
	for _, sequence := range dead {
		var letter *bus.Stored
		for m, err := range n.conn.History(ctx, proto.StreamDead, proto.DeadPrefix+".>", bus.Start{Sequence: sequence}) {
			if err != nil {
				return batch, "", fmt.Errorf("reading dead letter %d: %w", sequence, err)
			}
			letter = m
			break
		}
		if letter == nil || letter.Sequence != sequence {
			batch.Notices = append(batch.Notices, fmt.Sprintf("There is no dead letter %d any more.", sequence))
			continue
		}
		e := new(proto.Event)
		if err := json.Unmarshal(letter.Data, e); err != nil {
			batch.Notices = append(batch.Notices, fmt.Sprintf("Dead letter %d is no event that can be shown: %s", sequence, letter.Header.Get(proto.HeaderDeadReason)))
			continue
		}
		batch.Alerts = append(batch.Alerts, sink.Alert{Event: e, Count: 1})
	}
	if len(batch.Alerts) == 0 {
		if len(batch.Notices) == 0 {
			return batch, "", nil
		}
		batch.Kind = proto.DeliveryNotice
	}
	return batch, fmt.Sprintf("%d dead letters", len(dead)), nil
}
