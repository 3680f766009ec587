package notifier

import (
	"context"
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/consume"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// feed delivers every alert by itself to s, until ctx ends.
func (n *notifier) feed(ctx context.Context, s sink.Sink) error {
	n.rt.Ready.Expect(s.Name())
	n.log.Info("delivering", "sink", s.Name(), "min_severity", n.cfg.Alert.MinSeverity)
	durable := func(stream string) proto.Consumer { return proto.SinkConsumer(s.Name(), stream) }
	err := consume.EachAlert(ctx, consume.Options{
		Conn:        n.conn,
		MinSeverity: n.cfg.Alert.MinSeverity,
		Silenced:    n.silenced,
		Ready:       func(err error) { n.rt.Ready.Set(s.Name(), err) },
		Log:         n.log.With("sink", s.Name()),
		Metrics:     n.rt.Metrics,
	}, durable, func(ctx context.Context, m consume.Message) error {
		return outcome(s.Deliver(ctx, m.Event, m.Payload, m.MayRepeat))
	})
	if err != nil {
		return fmt.Errorf("delivering to %s: %w", s.Name(), err)
	}
	return nil
}

// outcome is a sink's error as package consume classifies it.
func outcome(err error) error {
	var e *sink.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Class {
	case sink.Refused:
		return consume.Refused(err)
	case sink.Ambiguous:
		return consume.Ambiguous(consume.Later(err, e.RetryAfter))
	default:
		return consume.Later(err, e.RetryAfter)
	}
}

// silenced names the silence that an alert falls under, "" for none.
func (n *notifier) silenced(e *proto.Event, payload []byte) (by string) {
	s, _ := n.silences.Match(e.Severity, payload, n.now())
	return s.ID
}
