package shipper

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/shipper/internal/sensorhealth"
)

// idleInterval is how long the loop waits for a line before it looks after the
// sensor's health.
const idleInterval = time.Second

// loop reads, watches over the sensor and encodes, one after the other; the package
// comment shows it.
type loop struct {
	follower *follow.Follower
	health   *sensorhealth.Monitor
	encoder  *encoder
	stored   *storedLines       // those that a round has left half done
	base     string             // the checkpoint from which a round that is not completed is read again
	position string             // the checkpoint up to which everything has been encoded
	rounds   chan publish.Round // to the publisher
}

// run goes on until ctx is done or the follower fails.
func (l *loop) run(ctx context.Context) error {
	for {
		batch, err := l.next(ctx)
		if err != nil {
			return err
		}
		before := l.position
		var lines []*nats.Msg
		if batch == nil {
			waiting := l.follower.Stats().Waiting
			l.health.Idle(time.Now(), waiting)
			if waiting == "" {
				l.stored.giveUp()
			}
		} else {
			if l.base == "" {
				l.base = l.follower.Begun()
			}
			lines = l.encode(batch)
		}
		// The checkpoint of an alarm is where the source stands before the batch,
		// so that it belongs in front of it: if the process is killed between the
		// two, the alarm is found again, under the same id where the lines show
		// it, rather than lost.
		alarms := l.alarms(before)
		round := publish.Round{Base: l.base, Messages: append(alarms, lines...)}
		if !l.stored.pending() {
			l.base, round.End = l.position, l.position
		}
		if len(round.Messages) == 0 { // rules have dropped all, or all is stored
			continue
		}
		if err := l.send(ctx, round); err != nil {
			return err
		}
		l.health.Busy(time.Now())
	}
}

// next waits for lines, but not beyond idleInterval: it returns nil if there were
// none until then.
func (l *loop) next(ctx context.Context) (*follow.Batch, error) {
	bounded, cancel := context.WithTimeout(ctx, idleInterval)
	defer cancel()
	batch, err := l.follower.Next(bounded, proto.MaxBatch)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return batch, err
}

// encode makes one message of each line of the batch, in order, but for those
// whose events local rules drop, and those that are stored: the next message's
// checkpoint covers them. The messages share nothing with the batch, whose text is
// valid only until the next read.
func (l *loop) encode(batch *follow.Batch) []*nats.Msg {
	// The sensor has not written a gap.
	if slices.ContainsFunc(batch.Lines, func(line follow.Line) bool { return line.Kind != follow.Gap }) {
		l.health.Lines(time.Now())
	}
	msgs := make([]*nats.Msg, 0, len(batch.Lines))
	var checkpoint []byte
	for i := range batch.Lines {
		line := &batch.Lines[i]
		event := l.encoder.line(line)
		l.health.Record(event)
		if l.stored.take(event.ID, line) || l.encoder.dropped() {
			continue
		}
		l.encoder.flood.Fold(event)
		checkpoint = batch.AppendCheckpoint(checkpoint[:0], i)
		msgs = append(msgs, l.encoder.message(string(checkpoint)))
	}
	l.position = string(batch.AppendCheckpoint(nil, len(batch.Lines)-1))
	return msgs
}

// alarms makes one message of each alarm that has come up, all with the same
// checkpoint.
func (l *loop) alarms(checkpoint string) []*nats.Msg {
	return slices.DeleteFunc(l.encoder.alarms(l.health.Alarms(), checkpoint), func(m *nats.Msg) bool {
		return l.stored.has(m.Header.Get(proto.HeaderEventID))
	})
}

// send waits until the publisher accepts a round, which is its own from then on.
func (l *loop) send(ctx context.Context, round publish.Round) error {
	select {
	case l.rounds <- round:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
