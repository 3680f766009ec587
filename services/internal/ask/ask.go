// Package ask carries what the operator asks of a chat to the notifier that
// delivers to it, and the answer back.
//
//	secbus notify test, replay --to, dead retry ─▶ key requests.<sink> ─▶ notifier
//	                                            ◀─ state and detail  ◀──┘
//
// The notifier alone sends to a chat, so that its limits hold whatever is asked,
// and what was asked outlasts its restart.
package ask

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/state"
)

// Kind is what is asked for.
type Kind string

// The kinds.
const (
	Test   Kind = "test"   // a message that says that it is one
	Replay Kind = "replay" // stored alerts once more
	Retry  Kind = "retry"  // dead letters once more
)

// State is how far the notifier has got.
type State string

// The states. A request that is waiting has none.
const (
	Done   State = "done"
	Failed State = "failed"
)

// Ask is one request.
type Ask struct {
	ID      string    `json:"id"`
	Kind    Kind      `json:"kind"`
	Created time.Time `json:"created"`

	Selection *Selection `json:"selection,omitempty"` // for Replay
	Dead      []uint64   `json:"dead,omitempty"`      // sequences in SECURITY_DEAD, for Retry

	State  State  `json:"state,omitempty"`
	Detail string `json:"detail,omitempty"` // what has come of it, in words
}

// Selection chooses stored alerts.
type Selection struct {
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to"`
	Severity proto.Severity `json:"severity"` // the least
	Source   string         `json:"source,omitempty"`
	Kind     string         `json:"kind,omitempty"`
	Host     string         `json:"host,omitempty"`
	Matcher  string         `json:"matcher,omitempty"` // an expression about the event
}

// How many requests a sink keeps, waiting or answered.
const most = 32

// New returns a request.
func New(kind Kind) Ask {
	var id [6]byte
	rand.Read(id[:]) // never fails: crypto/rand aborts the program instead
	return Ask{ID: hex.EncodeToString(id[:]), Kind: kind, Created: time.Now().UTC()}
}

// Put asks a sink for something. Old answers make room for it.
func Put(ctx context.Context, store state.Store, sink string, a Ask) error {
	err := state.Change(ctx, store, proto.KeyRequests(sink), func(all []Ask) ([]Ask, error) {
		for len(all) >= most {
			i := slices.IndexFunc(all, func(a Ask) bool { return a.State != "" })
			if i < 0 {
				return nil, fmt.Errorf("%d requests are waiting for the notifier already; is it running?", len(all))
			}
			all = slices.Delete(all, i, i+1)
		}
		return append(all, a), nil
	})
	if err != nil {
		return fmt.Errorf("asking sink %s: %w", sink, err)
	}
	return nil
}

// Waiting returns the requests that have no answer yet, oldest first.
func Waiting(ctx context.Context, store state.Store, sink string) ([]Ask, error) {
	all, _, err := state.Load[[]Ask](ctx, store, proto.KeyRequests(sink))
	if err != nil {
		return nil, fmt.Errorf("looking for requests: %w", err)
	}
	return slices.DeleteFunc(all, func(a Ask) bool { return a.State != "" }), nil
}

// Answer says what has come of a request.
func Answer(ctx context.Context, store state.Store, sink, id string, s State, detail string) error {
	err := state.Change(ctx, store, proto.KeyRequests(sink), func(all []Ask) ([]Ask, error) {
		for i := range all {
			if all[i].ID == id {
				all[i].State, all[i].Detail = s, detail
			}
		}
		return all, nil
	})
	if err != nil {
		return fmt.Errorf("answering request %s: %w", id, err)
	}
	return nil
}

// ErrGone reports a request that others have pushed out of the list.
var ErrGone = errors.New("the request is not there any more")

// Wait waits until a request is answered, looking twice a second.
func Wait(ctx context.Context, store state.Store, sink, id string) (Ask, error) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		all, _, err := state.Load[[]Ask](ctx, store, proto.KeyRequests(sink))
		if err != nil {
			return Ask{}, fmt.Errorf("waiting for an answer: %w", err)
		}
		i := slices.IndexFunc(all, func(a Ask) bool { return a.ID == id })
		switch {
		case i < 0:
			return Ask{}, ErrGone
		case all[i].State != "":
			return all[i], nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return Ask{}, context.Cause(ctx)
		}
	}
}
