package notifier

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/internal/silence"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// What a button's data begins with; the id of an alert is behind it.
const (
	pressAck     = "ack:"
	pressSilence = "sil:"
	pressDetails = "det:"
)

const (
	buttonMemory = 7 * 24 * time.Hour
	silenceFor   = time.Hour
	maxDetails   = 3000 // bytes of an alert's JSON that are shown
)

// buttonsBelow are the buttons of a message about one alert. A message about
// several has none: it would not be clear which of them is meant.
func buttonsBelow(b sink.Batch) [][]sink.Button {
	if b.Kind != proto.DeliveryCards || len(b.Alerts) != 1 {
		return nil
	}
	id := b.Alerts[0].Event.ID
	if len(id) > 48 {
		return nil // not one of ours; the data of a button has 64 bytes
	}
	return [][]sink.Button{{
		{Text: "Ack", Data: pressAck + id},
		{Text: "Silence 1 h", Data: pressSilence + id},
		{Text: "Details", Data: pressDetails + id},
	}}
}

// press does what a button stands for, and says what was done.
func (n *notifier) press(ctx context.Context, c *chat, p sink.Press) sink.Response {
	switch {
	case strings.HasPrefix(p.Data, pressAck):
		n.log.Info("an alert was acknowledged", "event_id", strings.TrimPrefix(p.Data, pressAck), "by", p.By)
		return sink.Response{Text: "Acknowledged.", RemoveButtons: true}
	case strings.HasPrefix(p.Data, pressSilence):
		return sink.Response{Text: n.silence(ctx, strings.TrimPrefix(p.Data, pressSilence), p.By)}
	case strings.HasPrefix(p.Data, pressDetails):
		return sink.Response{Text: n.details(ctx, c, strings.TrimPrefix(p.Data, pressDetails), p.ID)}
	}
	return sink.Response{Text: "This notifier does not know that button."}
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
	text := "Alert " + id + " as it is stored:\n" + string(payload[:min(len(payload), maxDetails)])
	if len(payload) > maxDetails {
		text += "\n… secbus trace " + id + " shows the rest."
	}
	if _, err := c.delivery.Enqueue(ctx, "details/"+press, sink.Batch{Kind: proto.DeliveryNotice, Text: text, Silent: true}); err != nil {
		return fmt.Sprintf("No details: %v", err)
	}
	return "Sent."
}

// find returns an alert of the last days.
func (n *notifier) find(ctx context.Context, id string) (*proto.Event, []byte, error) {
	streams, err := n.conn.AlertStreams(ctx)
	if err != nil {
		return nil, nil, err
	}
	for m, err := range n.conn.MergedHistory(ctx, streams, proto.StoredPrefix+".>", bus.Start{Time: n.now().Add(-buttonMemory)}) {
		if err != nil {
			return nil, nil, err
		}
		if m.Header.Get(proto.HeaderEventID) != id {
			continue
		}
		e, payload, err := consume.Decode(m.Subject, m.Data)
		if err != nil {
			return nil, nil, fmt.Errorf("reading alert %s: %w", id, err)
		}
		return e, payload, nil
	}
	return nil, nil, fmt.Errorf("there is no alert %s in the last %d days", id, int(buttonMemory.Hours()/24))
}
