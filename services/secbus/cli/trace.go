package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/internal/render"
	"github.com/openclaw-security/bus/services/internal/selection"
)

// minTraceID is the minimum length of an id to search for: fewer digits match by
// chance.
const minTraceID = 6

// maxTraceID is how many characters of an id are shown.
const maxTraceID = 64

type traceCommand struct {
	targetFlags
	ID    string           `arg:"" help:"Event id, or its first digits, as messages and tail show it."`
	Since selection.Moment `default:"30d" placeholder:"WHEN" help:"How far back to look: 2h, 7d (${default})."`
	JSON  bool             `help:"Print as JSON."`
}

// Help is shown by --help.
func (traceCommand) Help() string {
	return "Shows where an event is stored and which messages it was in: the message's id in the chat, when it was accepted, after how many attempts."
}

// trace is what became of one event, as --json prints it.
type trace struct {
	ID         string           `json:"id"`
	Stored     []storedAt       `json:"stored"`
	Deliveries []proto.Delivery `json:"deliveries"`
	Event      json.RawMessage  `json:"event,omitempty"`

	message *bus.Stored
}

type storedAt struct {
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"subject"`
}

// Run follows one event.
func (c *traceCommand) Run(ctx context.Context, term Terminal) error {
	if len(c.ID) < minTraceID {
		return fmt.Errorf("%q is too short: give at least %d digits", c.ID, minTraceID)
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
		return printJSON(term.Stdout, t)
	}
	return t.print(term.Stdout, newPrinter(term.Stdout, false))
}

// follow looks an event up in the streams and in the record of deliveries.
func follow(ctx context.Context, conn *bus.Conn, prefix string, since time.Time) (*trace, error) {
	t := &trace{Stored: []storedAt{}, Deliveries: []proto.Delivery{}}
	streams, err := everyStream(conn)(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for the event: %w", err)
	}
	alerts, err := conn.AlertStreams(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for the event: %w", err)
	}
	for _, stream := range alerts {
		if !slices.Contains(streams, stream) {
			streams = append(streams, stream)
		}
	}
	for m, err := range conn.MergedHistory(ctx, streams, everything, bus.Start{Time: since}) {
		if err != nil {
			return nil, fmt.Errorf("looking for the event: %w", err)
		}
		id := render.Clean(m.Header.Get(proto.HeaderEventID), maxTraceID) // it can be anything
		if !strings.HasPrefix(id, prefix) {
			continue
		}
		if t.ID != "" && t.ID != id {
			return nil, fmt.Errorf("several events begin with %s, %s and %s among them: give more digits", prefix, t.ID, id)
		}
		t.ID, t.message = id, m
		if _, t.Event, err = consume.Decode(m.Subject, m.Data); err != nil {
			t.Event, _ = json.Marshal(string(m.Data))
		}
		t.Stored = append(t.Stored, storedAt{m.Stream, m.Sequence, m.Time, m.Subject})
	}
	if t.ID == "" {
		return nil, fmt.Errorf("no event begins with %s since %s", prefix, since.Local().Format("2006-01-02 15:04"))
	}
	for m, err := range conn.History(ctx, proto.StreamDeliveries, proto.DeliveriesPrefix+".>", bus.Start{Time: since}) {
		if err != nil {
			return nil, fmt.Errorf("reading the deliveries: %w", err)
		}
		var d proto.Delivery
		if err := json.Unmarshal(m.Data, &d); err != nil {
			return nil, fmt.Errorf("reading delivery %d: %w", m.Sequence, err)
		}
		if slices.ContainsFunc(t.Stored, func(s storedAt) bool { return slices.Contains(alerts, s.Stream) && d.Covers(s.Stream, s.Sequence) }) {
			t.Deliveries = append(t.Deliveries, d)
		}
	}
	return t, nil
}

func (t *trace) print(w io.Writer, show printer) error {
	if err := show.print(t.message); err != nil {
		return err
	}
	fmt.Fprintf(w, "id %s\n", t.ID)
	for _, s := range t.Stored {
		fmt.Fprintf(w, "  stored    %s  %s #%d  %s\n", s.Time.Local().Format("2006-01-02 15:04:05.000"), s.Stream, s.Sequence, render.Clean(s.Subject, maxFault))
	}
	for _, d := range t.Deliveries {
		what := fmt.Sprintf("one of %d alerts in a message of kind %s", d.Alerts, render.Clean(string(d.Kind), maxFault))
		if d.Alerts == 1 {
			what = "by itself"
		}
		if d.MayRepeat {
			what += ", which may repeat an earlier one"
		}
		fmt.Fprintf(w, "  delivered %s  %s: message %s of chat %s, attempt %d, %s\n",
			d.Time.Local().Format("2006-01-02 15:04:05.000"), render.Clean(d.Sink, maxFault), render.Clean(d.MessageID, maxFault), render.Clean(d.Chat, maxFault), d.Attempts, what)
	}
	if len(t.Deliveries) == 0 {
		fmt.Fprintln(w, "  no message to a chat was about it (standard output and webhooks keep no record)")
	}
	return nil
}
