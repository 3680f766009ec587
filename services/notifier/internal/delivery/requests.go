package delivery

import (
	"context"

	"github.com/openclaw-security/bus/services/notifier/internal/delivery/store"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// maxRequests is how many requested messages may wait.
const maxRequests = 16

// requests are the messages that were requested, waiting for their turn.
type requests struct {
	incoming chan *request
	ended    chan struct{} // closed when Run has returned
	waiting  []*request
	planned  *request // the one that the plan is about, if it is about one
}

// request is a message that was requested.
type request struct {
	key   store.Key
	batch sink.Batch
	done  chan reply // has room for one
}

type reply struct {
	receipt sink.Receipt
	err     error
}

// Enqueue sends a message of another kind than alerts, a report, a replay, a
// test, through the same rate limiter, plan and ledger, and returns when the chat
// has accepted it or will not. It blocks while Run does not run, while other
// messages wait, and for as long as the chat is out of reach.
//
// id names the message. One of the same id that was accepted lately, by an
// earlier process even, is not sent again; the Receipt is then empty. A caller that
// gets an error, or no reply because the process ended, may request the same id
// again. After an error from ctx the message may still be sent.
func (d *Delivery) Enqueue(ctx context.Context, id string, b sink.Batch) (sink.Receipt, error) {
	r := &request{key: store.Hash("request\x00" + id), batch: b, done: make(chan reply, 1)}
	select {
	case d.requests.incoming <- r:
	case <-d.requests.ended:
		return sink.Receipt{}, ErrEnded
	case <-ctx.Done():
		return sink.Receipt{}, context.Cause(ctx)
	}
	select {
	case a := <-r.done: // Run replies before it ends
		return a.receipt, a.err
	case <-ctx.Done():
		return sink.Receipt{}, context.Cause(ctx)
	}
}

// accept is where another request comes from, nil if none may wait.
func (r *requests) accept() <-chan *request {
	if len(r.waiting) >= maxRequests {
		return nil
	}
	return r.incoming
}

// next is the request that has waited longest.
func (r *requests) next() *request {
	first := r.waiting[0]
	r.waiting = r.waiting[1:]
	return first
}

// done replies to the request that the plan was about.
func (r *requests) done(receipt sink.Receipt, err error) {
	if r.planned != nil {
		r.planned.done <- reply{receipt, err}
		r.planned = nil
	}
}

// end replies to all that will not be sent.
func (r *requests) end() {
	r.done(sink.Receipt{}, ErrEnded)
	for _, one := range r.waiting {
		one.done <- reply{err: ErrEnded}
	}
	r.waiting = nil
}
