package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
)

// Msg is a message delivered to a durable. Stream, Durable, Subject, Sequence,
// Deliveries and Stored are the server's statements; a header whose name begins with Nats- can
// be the publisher's, and proves nothing.
//
// The server delivers it again unless Ack, DoubleAck or DeadLetter has been
// called within the durable's AckWait, or InProgress or Nak has moved that time.
type Msg struct {
	Stream     string
	Durable    string
	Subject    string
	Header     nats.Header
	Data       []byte
	Sequence   uint64    // in the stream
	Deliveries uint64    // how often it was delivered, this time included
	Stored     time.Time // UTC

	consumer *Consumer
	reply    string
}

func (c *Consumer) message(m *nats.Msg) (*Msg, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("reading the reply subject of a delivery: %w", err)
	}
	return &Msg{
		Stream:     c.stream,
		Durable:    c.durable,
		Subject:    m.Subject,
		Header:     m.Header,
		Data:       m.Data,
		Sequence:   meta.Sequence.Stream,
		Deliveries: meta.NumDelivered,
		Stored:     meta.Timestamp.UTC(),
		consumer:   c,
		reply:      m.Reply,
	}, nil
}

// Ack tells the server that the message is done, without waiting for a reply:
// after a crash or a disconnect it can be delivered again.
func (m *Msg) Ack() error { return m.tell("+ACK") }

// InProgress starts the durable's AckWait anew.
func (m *Msg) InProgress() error { return m.tell("+WPI") }

// Nak asks for another delivery, not before delay has passed. Until then the
// message counts as unacknowledged.
func (m *Msg) Nak(delay time.Duration) error {
	return m.tell(fmt.Sprintf(`-NAK {"delay": %d}`, delay.Nanoseconds()))
}

func (m *Msg) tell(what string) error {
	if err := m.consumer.conn.nc.Publish(m.reply, []byte(what)); err != nil {
		return fmt.Errorf("acknowledging message %d: %w", m.Sequence, m.consumer.conn.outcome(context.Background(), err))
	}
	return nil
}

// DoubleAck is Ack that waits until the server says that it knows.
func (m *Msg) DoubleAck(ctx context.Context) error {
	conn := m.consumer.conn
	ctx, end := conn.beginOn(ctx, m.reply)
	defer end()
	if _, err := conn.nc.RequestWithContext(ctx, m.reply, []byte("+ACK")); err != nil {
		return fmt.Errorf("acknowledging message %d: %w", m.Sequence, conn.outcome(ctx, err))
	}
	return nil
}

// maxReason bounds a dead letter's reason, in bytes.
const maxReason = 1024

// DeadLetter gives the message up: it stores a copy with the reason in
// [proto.StreamDead] and acknowledges the message once the copy is stored. After
// an error the message is delivered again, and there may be a copy already.
//
// The copy has the original's headers but for those that mean something to the
// server. A payload so large that no room is left for the reason stays out; it
// is in the original stream for as long as that keeps it.
func (m *Msg) DeadLetter(ctx context.Context, reason string) error {
	c := m.consumer
	dead := nats.NewMsg(proto.DeadSubject(c.stream, c.durable))
	for key, values := range m.Header {
		if !strings.HasPrefix(strings.ToLower(key), "nats-") {
			dead.Header[key] = values
		}
	}
	dead.Header.Set(proto.HeaderDeadReason, oneLine(reason))
	dead.Header.Set(proto.HeaderDeadStream, c.stream)
	dead.Header.Set(proto.HeaderDeadSequence, strconv.FormatUint(m.Sequence, 10))
	dead.Header.Set(proto.HeaderDeadSubject, m.Subject)
	dead.Header.Set(proto.HeaderDeadConsumer, c.durable)
	dead.Header.Set(proto.HeaderDeadDeliveries, strconv.FormatUint(m.Deliveries, 10))
	dead.Data = m.Data
	if int64(messageSize(dead)) > c.conn.nc.MaxPayload() {
		dead.Data = nil
		dead.Header.Set(proto.HeaderDeadReason, oneLine(fmt.Sprintf("(payload of %d bytes left out) %s", len(m.Data), reason)))
	}
	if err := c.conn.Publish(ctx, dead); err != nil {
		return fmt.Errorf("storing the dead letter of message %d: %w", m.Sequence, err)
	}
	return m.Ack()
}

func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
}
