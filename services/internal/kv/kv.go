// Package kv keeps values that several processes change and watch in the bus's
// state bucket, as JSON.
package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

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

// Watcher is what Watch needs of [bus.Conn].
type Watcher interface {
	// Watch yields the values of the keys under a pattern, and then each that
	// changes. It waits out an absent bus; an error ends it.
	Watch(ctx context.Context, pattern string) iter.Seq2[bus.Entry, error]
}

var _ Watcher = (*bus.Conn)(nil)

// Entry is a key's value at a revision.
type Entry[T any] struct {
	Key      string
	Value    T // zero for a key that was removed
	Removed  bool
	Revision uint64
	Err      error // why the value cannot be read, nil if it can
}

// Watch is [bus.Conn.Watch] of values of type T.
func Watch[T any](ctx context.Context, store Watcher, pattern string) iter.Seq2[Entry[T], error] {
	return func(yield func(Entry[T], error) bool) {
		for e, err := range store.Watch(ctx, pattern) {
			typed := Entry[T]{Key: e.Key, Revision: e.Revision, Removed: e.Value == nil}
			if !typed.Removed {
				if err := json.Unmarshal(e.Value, &typed.Value); err != nil {
					typed.Err = fmt.Errorf("reading state %s: %w", e.Key, err)
				}
			}
			if !yield(typed, err) || err != nil {
				return
			}
		}
	}
}
