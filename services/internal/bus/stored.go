package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stored is a message as a stream holds it. Stream, Subject, Sequence and Time
// are the server's statements, Header and Data the publisher's; a header whose
// name begins with Nats- is either's, and proves nothing.
type Stored struct {
	Stream   string
	Subject  string
	Sequence uint64
	Time     time.Time // when it was stored, UTC
	Header   nats.Header
	Data     []byte
}

// errNoMessage reports the server's reply that there is no such message.
var errNoMessage = errors.New("no such message")

// statusError is a reply of the server that carries no message.
type statusError struct{ code, text string }

func (e *statusError) Error() string { return fmt.Sprintf("the server replies %s %s", e.code, e.text) }

// parseStored reads a reply to a direct get, or a republished message.
//
// The server appends its headers to those that were published with the message.
// Of several by one name the last is therefore the server's; an earlier one
// would let a publisher choose the subject or the sequence that readers see.
// For the same reason a reply is a message if it names a stream, regardless of its
// other headers.
func parseStored(m *nats.Msg) (*Stored, error) {
	stream := lastValue(m.Header, jetstream.StreamHeader)
	if stream == "" {
		e := &statusError{lastValue(m.Header, "Status"), lastValue(m.Header, "Description")}
		if e.code == "404" {
			return nil, errNoMessage
		}
		return nil, e
	}
	seq, err := strconv.ParseUint(lastValue(m.Header, jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the sequence of a stored message: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, lastValue(m.Header, jetstream.TimeStampHeaer))
	if err != nil {
		return nil, fmt.Errorf("reading the time of stored message %d: %w", seq, err)
	}
	return &Stored{
		Stream:   stream,
		Subject:  lastValue(m.Header, jetstream.SubjectHeader),
		Sequence: seq,
		Time:     at,
		Header:   m.Header,
		Data:     m.Data,
	}, nil
}

func lastValue(h nats.Header, key string) string {
	if values := h[key]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

const directGet = "$JS.API.DIRECT.GET."

// lastBySubject returns the last message under filter, nil if there is none. The
// filter is part of the request's subject, where permissions can see it.
func (c *Conn) lastBySubject(ctx context.Context, stream, filter string) (*Stored, error) {
	return c.getOne(ctx, directGet+stream+"."+filter, nil)
}

// getOne makes a direct get for one message and returns nil if there is none.
func (c *Conn) getOne(ctx context.Context, subject string, body []byte) (*Stored, error) {
	ctx, end := c.beginOn(ctx, subject)
	defer end()
	reply, err := c.nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return nil, c.outcome(ctx, err)
	}
	s, err := parseStored(reply)
	if errors.Is(err, errNoMessage) {
		return nil, nil
	}
	return s, err
}
