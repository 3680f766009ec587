package silence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/state"
)

// Load reads the silences that are stored.
func Load(ctx context.Context, store state.Store) (List, error) {
	l, _, err := state.Load[List](ctx, store, proto.KeySilences)
	return l, err
}

// Change stores what edit makes of the silences. edit may be called several
// times; an error of it ends the attempt.
func Change(ctx context.Context, store state.Store, edit func(List) (List, error)) error {
	return state.Change(ctx, store, proto.KeySilences, edit)
}

// interval is how soon a silence is in force, at most.
const interval = 2 * time.Second

// Keeper keeps the silences that are stored at hand. Before it has read them
// for the first time nothing is silenced.
type Keeper struct {
	store state.Store
	log   *slog.Logger

	mu       sync.RWMutex
	set      *Set
	revision uint64
}

// NewKeeper returns a Keeper; Run keeps it up to date.
func NewKeeper(store state.Store, log *slog.Logger) *Keeper {
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
	l, revision, err := state.Load[List](ctx, k.store, proto.KeySilences)
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
