package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
	"github.com/openclaw-security/bus/services/notifier/internal/sink/telegram"
)

// What a button's data begins with; the id of an alert is behind it.
const (
	pressAck     = "ack:"
	pressSilence = "sil:"
	pressDetails = "det:"
)

const (
	pollFor      = 50 * time.Second // one wait for presses
	pollRetry    = 10 * time.Second // after a failed one
	buttonMemory = 7 * 24 * time.Hour
	silenceFor   = time.Hour
	detailsMost  = 3000 // bytes of an alert's JSON that are shown
)

// buttonsBelow are the buttons of a message about one alert. A message about
// several has none: nobody could tell which of them is meant.
func buttonsBelow(b sink.Batch) [][]telegram.Button {
	if b.Kind != proto.DeliveryCards || len(b.Alerts) != 1 {
		return nil
	}
	id := b.Alerts[0].Event.ID
	if len(id) > 48 {
		return nil // not one of ours; the data of a button has 64 bytes
	}
	return [][]telegram.Button{{
		{Text: "Ack", Data: pressAck + id},
		{Text: "Silence 1 h", Data: pressSilence + id},
		{Text: "Details", Data: pressDetails + id},
	}}
}

// serveButtons does what is pressed until ctx is done. When another program asks
// for the bot's presses, it gives up: sending goes on.
func (n *notifier) serveButtons(ctx context.Context, c *chat) error {
	allowed := n.cfg.Telegram.AllowedUsers()
	var offset int64
	for ctx.Err() == nil {
		updates, err := c.Updates(ctx, offset, pollFor)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, telegram.ErrOtherPoller):
			n.log.Error("buttons are switched off: another program uses this bot, and would get what is pressed; give the notifier a bot of its own", "err", err)
			return nil
		case err != nil:
			n.log.Warn("asking for presses of buttons", "err", err, "retry_in", pollRetry)
			sleep(ctx, pollRetry)
			continue
		}
		for _, u := range updates {
			offset = u.ID + 1
			if u.Callback == nil {
				continue
			}
			said := "This button is not for you."
			if allowed[u.Callback.From.ID] {
				said = n.press(ctx, c, u.Callback)
			} else {
				n.log.Warn("a button was pressed by somebody who may not", "user_id", u.Callback.From.ID)
			}
			if err := c.Answer(ctx, u.Callback.ID, said); err != nil && ctx.Err() == nil {
				n.log.Warn("answering a press", "err", err)
			}
		}
	}
	return nil
}

// press does what a button stands for, and says what was done.
func (n *notifier) press(ctx context.Context, c *chat, p *telegram.Press) string {
	who := fmt.Sprintf("Telegram user %d", p.From.ID)
	switch {
	case strings.HasPrefix(p.Data, pressAck):
		n.log.Info("an alert was acknowledged", "event_id", strings.TrimPrefix(p.Data, pressAck), "by", who)
		if err := c.RemoveButtons(ctx, p); err != nil {
			n.log.Warn("removing the buttons of an alert", "err", err)
		}
		return "Acknowledged."
	case strings.HasPrefix(p.Data, pressSilence):
		return n.silence(ctx, strings.TrimPrefix(p.Data, pressSilence), who)
	case strings.HasPrefix(p.Data, pressDetails):
		return n.details(ctx, c, strings.TrimPrefix(p.Data, pressDetails), p.ID)
	}
	return "This notifier does not know that button."
}

// silence silences an alert's rule for an hour.
func (n *notifier) silence(ctx context.Context, id, who string) string {
	e, _, err := n.find(ctx, id)
	if err != nil {
		return fmt.Sprintf("Not silenced: %v", err)
	}
	now := n.now()
	matcher := "$.source == " + quoted(e.Source) + " && $.kind == " + quoted(e.Kind)
	what := e.Kind
	if e.Rule != nil && e.Rule.ID != "" {
		matcher = "$.source == " + quoted(e.Source) + " && $.rule.id == " + quoted(e.Rule.ID)
		what = "rule " + e.Rule.ID
	}
	s, err := silence.New(matcher, "button", who, now, now.Add(silenceFor))
	if err == nil {
		err = silence.Change(ctx, n.conn, func(l silence.List) (silence.List, error) { return l.With(s) })
	}
	if err != nil {
		return fmt.Sprintf("Not silenced: %v", err)
	}
	n.log.Info("alerts were silenced", "silence", s.ID, "matcher", matcher, "by", who)
	return fmt.Sprintf("Silenced %s of %s until %s (silence %s).", what, e.Source, s.Until.In(n.cfg.zone()).Format("15:04"), s.ID)
}

// quoted writes a text as a constant of the expression language.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // a string always can be encoded
	}
	return string(b)
}

// details sends what is stored of an alert.
func (n *notifier) details(ctx context.Context, c *chat, id, press string) string {
	_, payload, err := n.find(ctx, id)
	if err != nil {
		return fmt.Sprintf("No details: %v", err)
	}
	text := "Alert " + id + " as it is stored:\n" + string(payload[:min(len(payload), detailsMost)])
	if len(payload) > detailsMost {
		text += "\n… secbus trace " + id + " shows the rest."
	}
	if _, err := c.delivery.Enqueue(ctx, "details/"+press, sink.Batch{Kind: proto.DeliveryNotice, Text: text, Silent: true}); err != nil {
		return fmt.Sprintf("No details: %v", err)
	}
	return "Sent."
}

// find looks for an alert of the last days.
func (n *notifier) find(ctx context.Context, id string) (*proto.Event, []byte, error) {
	for m, err := range n.conn.History(ctx, proto.StreamAlerts, proto.StoredPrefix+".>", bus.Start{Time: n.now().Add(-buttonMemory)}) {
		if err != nil {
			return nil, nil, err
		}
		if m.Header.Get(proto.HeaderEventID) != id {
			continue
		}
		var e proto.Event
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return nil, nil, fmt.Errorf("reading alert %s: %w", id, err)
		}
		return &e, m.Data, nil
	}
	return nil, nil, fmt.Errorf("there is no alert %s in the last %d days", id, int(buttonMemory.Hours()/24))
}
