package store

import (
	"context"
	"errors"
	"strings"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// succeed has a chat that is new continue the state of the one in whose place it was
// configured, whose name it returns, "" for none: the server delivers to it what was
// not acknowledged there. A chat that is configured again after another one had
// taken its place learns what that one has delivered.
func (s *Store) succeed(ctx context.Context, isNew bool) (from string, err error) {
	if !isNew {
		if s.Successor == "" {
			return "", nil
		}
		other, _, err := s.other(ctx, s.Successor)
		if err != nil {
			return "", err
		}
		s.Settled = append(other.Settled, s.Settled...)
		s.Successor = ""
		return "", nil
	}
	err = retry.Do(ctx, s.policy(), func(ctx context.Context) (err error) {
		from, err = s.o.Predecessor(ctx)
		return permanent(err)
	})
	if err != nil || from == "" {
		return "", err
	}
	state, _, err := s.other(ctx, from)
	if err != nil {
		return "", err
	}
	// What was learnt about the former chat does not hold for this one, which may
	// accept what that one has refused.
	state.Place, state.Refused, state.RefusedReason = sink.Place{}, nil, ""
	state.Outage, state.Failures, state.Successor = nil, 0, ""
	if p := state.Plan; p != nil {
		p.Level = 0
		if kind(from) != kind(s.o.Sink) {
			state.Plan = nil // in the other's form; the server delivers its alerts again
		}
	}
	state.Notes.Add("This chat takes the place of %s, which is not configured any more: what waited there comes here.", from)
	s.State = state
	s.o.Log.Info("the chat takes the place of another", "predecessor", from)
	return from, nil
}

// handOver removes from a predecessor's state what this chat has taken over, so that
// it is not sent there as well if that chat is configured again.
func (s *Store) handOver(ctx context.Context, from string) {
	state, revision, err := s.other(ctx, from)
	if err == nil && state.Version != 0 {
		state.Plan, state.Unrecorded, state.Successor = nil, nil, s.o.Sink
		var value []byte
		if value, err = state.encode(); err == nil {
			_, err = s.o.Conn.Put(ctx, proto.KeyDelivery(from), value, revision)
		}
	}
	if err != nil && !errors.Is(err, bus.ErrFenced) { // which says that it is served again
		s.o.Log.Warn("taking over from another chat", "predecessor", from, "err", err)
	}
}

// other reads the state of another chat. One that cannot be read is empty: its alerts
// are sent, at worst once more.
func (s *Store) other(ctx context.Context, name string) (state State, revision uint64, err error) {
	var value []byte
	err = retry.Do(ctx, s.policy(), func(ctx context.Context) (err error) {
		value, revision, err = s.o.Conn.Get(ctx, proto.KeyDelivery(name))
		return permanent(err)
	})
	if err != nil {
		return State{}, 0, err
	}
	state, err = Decode(value)
	if err != nil {
		s.o.Log.Warn("reading the state of another chat", "sink", name, "err", err)
		return State{}, revision, nil
	}
	return state, revision, nil
}

// kind is the first word of a sink's name: chats of one kind send the same form.
func kind(name string) string {
	kind, _, _ := strings.Cut(name, "-")
	return kind
}
