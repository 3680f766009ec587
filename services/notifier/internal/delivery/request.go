package delivery

import (
	"context"

	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// maxRequests is how many messages that were asked for may wait.
const maxRequests = 16

// request is a message that somebody asked for.
type request struct {
	key   key
	batch sink.Batch
	done  chan answer // has room for one
}

type answer struct {
	receipt sink.Receipt
	err     error
}

// Enqueue sends a message of another kind than alerts, a report, a replay, a
// test, through the same slots, plan and ledger, and returns when the chat has
// accepted it or will not. It blocks while Run does not run, while other messages
// wait, and for as long as the chat is out of reach.
//
// id names the message. One of the same id that was accepted lately, by an
// earlier process even, is not sent again; the Receipt is then empty. Whoever
// gets an error, or no answer because the process ended, may ask again with the
// same id. After an error from ctx the message may still be sent.
func (d *Delivery) Enqueue(ctx context.Context, id string, b sink.Batch) (sink.Receipt, error) {
	r := &request{key: hash("request\x00" + id), batch: b, done: make(chan answer, 1)}
	select {
	case d.asked <- r:
	case <-d.ended:
		return sink.Receipt{}, ErrEnded
	case <-ctx.Done():
		return sink.Receipt{}, context.Cause(ctx)
	}
	select {
	case a := <-r.done: // Run answers before it ends
		return a.receipt, a.err
	case <-ctx.Done():
		return sink.Receipt{}, context.Cause(ctx)
	}
}

// answer tells whoever asked for the plan what has become of it.
func (d *Delivery) answer(a answer) {
	if d.asker != nil {
		d.asker.done <- a
		d.asker = nil
	}
}

// failWaiting answers all that will not be sent.
func (d *Delivery) failWaiting() {
	d.answer(answer{err: ErrEnded})
	for _, r := range d.waiting {
		r.done <- answer{err: ErrEnded}
	}
	d.waiting = nil
}
