// Package request carries what somebody wants a service to do to that service, and
// what came of it back.
//
//	client ── Do ──▶ key requests.<service>.<id> ──▶ Server ──▶ handler
//	           ◀─────────── outcome ◀──────────────────┘
//
// A request is a key of the state bucket, so it outlasts a restart of the service,
// and everybody with the right to set keys under requests.<service> may make it.
//
//   - A request is served once: a second one with the same id only waits for the
//     outcome of the first, and a service that starts does not serve what has one.
//   - What was under way when the service was killed is served again. The handler
//     makes it once by using the id as the idempotency key of its work.
//   - A request that was not begun before its deadline has the outcome [Expired] and
//     is never begun. The deadline is compared with the clock of the service.
//   - The server of the bus removes requests and outcomes a day later.
package request

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/kv"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// Bounds of what is kept.
const (
	keepFor = 24 * time.Hour
	maxKept = 1000
	maxBody = 16 << 10 // bytes
)

// Kind is what is wanted of a service: a body of type B says it in detail, and a
// result of type R what was done. Both are stored as JSON.
type Kind[B, R any] string

// State says what came of a request.
type State string

// The states.
const (
	Done    State = "done"
	Failed  State = "failed"
	Expired State = "expired" // not begun before its deadline
)

// Outcome is what came of a request.
type Outcome[R any] struct {
	State  State     `json:"state"`
	Result R         `json:"result,omitzero"`  // if it is done
	Reason string    `json:"reason,omitempty"` // in words, if it is not
	Time   time.Time `json:"time"`
}

// Request is a request as it is stored, with its outcome once there is one.
type Request[R any] struct {
	ID       string          `json:"id"` // a subject token; the key that makes it unique
	Kind     string          `json:"kind"`
	Created  time.Time       `json:"created"`
	Deadline time.Time       `json:"deadline"`
	Body     json.RawMessage `json:"body"`
	Outcome  *Outcome[R]     `json:"outcome,omitempty"`
}

// New returns a request with a random id that is to be begun within a time.
func New[B, R any](kind Kind[B, R], body B, within time.Duration) (Request[R], error) {
	data, err := json.Marshal(body)
	if err != nil {
		return Request[R]{}, fmt.Errorf("writing the request: %w", err)
	}
	if len(data) > maxBody {
		return Request[R]{}, fmt.Errorf("a request takes %d bytes, and this one has %d", maxBody, len(data))
	}
	var id [8]byte
	rand.Read(id[:]) // never fails: crypto/rand aborts the program instead
	now := time.Now().UTC()
	return Request[R]{ID: hex.EncodeToString(id[:]), Kind: string(kind), Created: now, Deadline: now.Add(within), Body: data}, nil
}

// Do makes a request of a service, unless there is one with that id already, and
// waits for the outcome. When ctx ends before, the error is its cause; a request
// that was made stays, and is served all the same.
func Do[R any](ctx context.Context, conn *bus.Conn, service string, r Request[R]) (Outcome[R], error) {
	if err := create(ctx, conn, service, r); err != nil {
		return Outcome[R]{}, fmt.Errorf("making a request of %s: %w", service, err)
	}
	for e, err := range kv.Watch[Request[R]](ctx, conn, proto.KeyRequest(service, r.ID)) {
		switch {
		case err != nil:
			return Outcome[R]{}, fmt.Errorf("waiting for %s: %w", service, err)
		case e.Err != nil:
			return Outcome[R]{}, e.Err
		case e.Removed:
			return Outcome[R]{}, fmt.Errorf("request %s is gone", r.ID)
		case e.Value.Outcome != nil:
			return *e.Value.Outcome, nil
		}
	}
	return Outcome[R]{}, context.Cause(ctx)
}

// create stores a request.
func create[R any](ctx context.Context, conn *bus.Conn, service string, r Request[R]) error {
	kept, err := conn.Subjects(ctx, proto.StreamState, proto.StateSubject(proto.KeyRequest(service, ">")))
	if err != nil {
		return err
	}
	if len(kept) >= maxKept {
		return fmt.Errorf("it has had %d of the last day", len(kept))
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the request: %w", err)
	}
	return retry.Do(ctx, backoff, func(ctx context.Context) error {
		_, err := conn.PutFor(ctx, proto.KeyRequest(service, r.ID), data, 0, time.Until(r.Deadline)+keepFor)
		switch {
		case errors.Is(err, bus.ErrFenced): // it is there already
			return nil
		case errors.Is(err, bus.ErrMaybeStored), errors.Is(err, bus.ErrNotConnected):
			return err
		case err != nil:
			return retry.Permanent(err)
		}
		return nil
	})
}

// backoff is between attempts to reach the bus.
var backoff = retry.Policy{Min: 200 * time.Millisecond, Max: 5 * time.Second}
