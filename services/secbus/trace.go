package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// traceLeast is the least of an id that is looked for: fewer digits are met by
// chance.
const traceLeast = 6

type traceCommand struct {
	targetFlags
	ID    string `arg:"" help:"Event id, or its first digits, as messages and tail show it."`
	Since moment `default:"30d" placeholder:"WHEN" help:"How far back to look: 2h, 7d (${default})."`
	JSON  bool   `help:"Print as JSON."`
}

// Help is shown by --help.
func (traceCommand) Help() string {
	return "Shows where an event is stored and which messages told of it: the message's id in the chat, when it was accepted, after how many attempts."
}

// trace is what became of one event, as --json prints it.
type trace struct {
	ID         string           `json:"id"`
	Stored     []storedAt       `json:"stored"`
	Deliveries []proto.Delivery `json:"deliveries"`
	Event      json.RawMessage  `json:"event,omitempty"`
}

type storedAt struct {
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"subject"`
}

// Run follows one event.
func (c *traceCommand) Run(ctx context.Context, term terminal) error {
	if len(c.ID) < traceLeast {
		return fmt.Errorf("%q is too short: give at least %d digits", c.ID, traceLeast)
	}
	conn, err := c.connect(ctx, bus.RoleOperator, term)
	if err != nil {
		return err
	}
	defer conn.Close()
	t, err := follow(ctx, conn, strings.ToLower(c.ID), c.Since.Time)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(term.stdout, t)
	}
	return t.print(term.stdout, newPrinter(term.stdout, false))
}

// follow looks an event up in the streams and in the record of deliveries.
func follow(ctx context.Context, conn *bus.Conn, prefix string, since time.Time) (*trace, error) {
	t := &trace{Stored: []storedAt{}, Deliveries: []proto.Delivery{}}
	var alert uint64
	for _, stream := range []string{proto.StreamSecurity, proto.StreamAlerts, proto.StreamAudit} {
		for m, err := range conn.History(ctx, stream, everything, bus.Start{Time: since}) {
			if err != nil {
				return nil, fmt.Errorf("looking for the event in %s: %w", stream, err)
			}
			id := m.Header.Get(proto.HeaderEventID)
			if !strings.HasPrefix(id, prefix) {
				continue
			}
			if t.ID != "" && t.ID != id {
				return nil, fmt.Errorf("several events begin with %s, %s and %s among them: give more digits", prefix, t.ID, id)
			}
			t.ID, t.Event = id, m.Data
			t.Stored = append(t.Stored, storedAt{stream, m.Sequence, m.Time, m.Subject})
			if stream == proto.StreamAlerts {
				alert = m.Sequence
			}
		}
	}
	if t.ID == "" {
		return nil, fmt.Errorf("no event begins with %s since %s", prefix, since.Local().Format("2006-01-02 15:04"))
	}
	if alert == 0 {
		return t, nil
	}
	for m, err := range conn.History(ctx, proto.StreamDeliveries, proto.DeliveriesPrefix+".>", bus.Start{Time: since}) {
		if err != nil {
			return nil, fmt.Errorf("reading the deliveries: %w", err)
		}
		var d proto.Delivery
		if err := json.Unmarshal(m.Data, &d); err != nil {
			return nil, fmt.Errorf("reading delivery %d: %w", m.Sequence, err)
		}
		if d.Covers(alert) {
			t.Deliveries = append(t.Deliveries, d)
		}
	}
	return t, nil
}

func (t *trace) print(w io.Writer, show printer) error {
	if err := show.print(&bus.Stored{Data: t.Event}); err != nil {
		return err
	}
	fmt.Fprintf(w, "id %s\n", t.ID)
	for _, s := range t.Stored {
		fmt.Fprintf(w, "  stored    %s  %s #%d  %s\n", s.Time.Local().Format("2006-01-02 15:04:05.000"), s.Stream, s.Sequence, s.Subject)
	}
	for _, d := range t.Deliveries {
		what := fmt.Sprintf("one of %d alerts in a message of kind %s", d.Alerts, d.Kind)
		if d.Alerts == 1 {
			what = "by itself"
		}
		if d.MayRepeat {
			what += ", which may repeat an earlier one"
		}
		fmt.Fprintf(w, "  delivered %s  %s: message %s of chat %s, attempt %d, %s\n",
			d.Time.Local().Format("2006-01-02 15:04:05.000"), d.Sink, d.MessageID, d.Chat, d.Attempts, what)
	}
	if len(t.Deliveries) == 0 {
		fmt.Fprintln(w, "  no message to a chat tells of it (standard output and webhooks keep no record)")
	}
	return nil
}
