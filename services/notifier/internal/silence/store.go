package silence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// Store is what this package needs of [bus.Conn].
type Store interface {
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

var _ Store = (*bus.Conn)(nil)

// Load reads the silences that are stored.
func Load(ctx context.Context, store Store) (List, error) {
	l, _, err := load(ctx, store)
	return l, err
}

func load(ctx context.Context, store Store) (List, uint64, error) {
	value, revision, err := store.Get(ctx, proto.KeySilences)
	if err != nil {
		return nil, 0, fmt.Errorf("looking up the silences: %w", err)
	}
	l, err := Parse(value)
	return l, revision, err
}

// Change stores what edit makes of the silences, again if somebody else changes
// them meanwhile. An error of edit ends it.
func Change(ctx context.Context, store Store, edit func(List) (List, error)) error {
	for {
		l, revision, err := load(ctx, store)
		if err != nil {
			return err
		}
		next, err := edit(l)
		if err != nil {
			return err
		}
		value, err := json.Marshal(next)
		if err != nil {
			return fmt.Errorf("writing the silences: %w", err)
		}
		switch _, err = store.Put(ctx, proto.KeySilences, value, revision); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, bus.ErrFenced), errors.Is(err, bus.ErrMaybeStored):
			// Edits can be made again on what is stored now.
		default:
			return fmt.Errorf("storing the silences: %w", err)
		}
	}
}

// interval is how soon a silence is in force, at most.
const interval = 2 * time.Second

// Keeper keeps the silences that are stored at hand. Before it has read them
// for the first time nothing is silenced.
type Keeper struct {
	store Store
	log   *slog.Logger

	mu       sync.RWMutex
	set      *Set
	revision uint64
}

// NewKeeper returns a Keeper; Run keeps it up to date.
func NewKeeper(store Store, log *slog.Logger) *Keeper {
	return &Keeper{store: store, log: log, set: &Set{}}
}

// Run reads the silences every two seconds until ctx is done. While they cannot
// be read, those known last stay in force until they end.
func (k *Keeper) Run(ctx context.Context) error {
	failed := false
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		err := k.Refresh(ctx)
		if err != nil && ctx.Err() == nil && !failed {
			k.log.Warn("reading the silences", "err", err)
		}
		failed = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Refresh reads the silences once.
func (k *Keeper) Refresh(ctx context.Context) error {
	l, revision, err := load(ctx, k.store)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if revision == k.revision {
		return nil
	}
	set, err := Compile(l)
	if err != nil {
		k.log.Warn("a silence is without effect", "err", err)
	}
	k.set, k.revision = set, revision
	return nil
}

// Match is [Set.Match] on what is stored.
func (k *Keeper) Match(severity proto.Severity, payload []byte, at time.Time) (Silence, bool) {
	k.mu.RLock()
	set := k.set
	k.mu.RUnlock()
	return set.Match(severity, payload, at)
}
