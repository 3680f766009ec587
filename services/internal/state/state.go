// Package state keeps values that several processes change in the bus's state
// bucket, as JSON.
package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/openclaw-security/bus/services/internal/bus"
)

// Store is what this package needs of [bus.Conn].
type Store interface {
	// Get returns the value of a key, nil if it has none, and its revision.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put sets a key whose revision is still the one given. bus.ErrFenced says
	// that it is not, bus.ErrMaybeStored that nobody knows.
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

var _ Store = (*bus.Conn)(nil)

// Load reads a key; one without a value gives a zero T.
func Load[T any](ctx context.Context, store Store, key string) (value T, revision uint64, err error) {
	data, revision, err := store.Get(ctx, key)
	if err != nil || len(data) == 0 {
		return value, revision, err
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return value, revision, fmt.Errorf("reading state %s: %w", key, err)
	}
	return value, revision, nil
}

// Change stores what edit makes of a key's value, again if somebody else changes
// it meanwhile: edit may be called several times. An error of edit ends it.
func Change[T any](ctx context.Context, store Store, key string, edit func(T) (T, error)) error {
	for {
		value, revision, err := Load[T](ctx, store, key)
		if err != nil {
			return err
		}
		next, err := edit(value)
		if err != nil {
			return err
		}
		data, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("writing state %s: %w", key, err)
		}
		_, err = store.Put(ctx, key, data, revision)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, bus.ErrFenced), errors.Is(err, bus.ErrMaybeStored):
			// An edit can be made again on what is stored now.
		default:
			return err
		}
	}
}
