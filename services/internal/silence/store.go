package silence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/kv"
)

// Load reads the silences that are stored.
func Load(ctx context.Context, store kv.Store) (List, error) {
	l, _, err := kv.Load[List](ctx, store, proto.KeySilences)
	return l, err
}

// Change stores what edit makes of the silences. edit may be called several
// times; an error of it ends the attempt.
func Change(ctx context.Context, store kv.Store, edit func(List) (List, error)) error {
	return kv.Change(ctx, store, proto.KeySilences, edit)
}

// Keeper keeps the silences that are stored at hand. Before it has read them
// for the first time nothing is silenced.
type Keeper struct {
	conn *bus.Conn
	log  *slog.Logger

	mu  sync.RWMutex
	set *Set
}

// NewKeeper returns a Keeper; Run keeps it up to date.
func NewKeeper(conn *bus.Conn, log *slog.Logger) *Keeper {
	return &Keeper{conn: conn, log: log, set: &Set{}}
}

// Run watches the silences until ctx ends, and then returns nil. While the bus is
// absent, those known last stay in force until they end. It returns an error if the
// bus refuses for good.
func (k *Keeper) Run(ctx context.Context) error {
	for e, err := range kv.Watch[List](ctx, k.conn, proto.KeySilences) {
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case e.Err != nil:
			k.log.Error("the silences cannot be read; those known last stay in force", "err", e.Err)
		default:
			k.keep(e.Value)
		}
	}
	return nil
}

// Refresh reads the silences once.
func (k *Keeper) Refresh(ctx context.Context) error {
	l, err := Load(ctx, k.conn)
	if err != nil {
		return err
	}
	k.keep(l)
	return nil
}

func (k *Keeper) keep(l List) {
	set, err := Compile(l)
	if err != nil {
		k.log.Warn("a silence is without effect", "err", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set = set
}

// Match is [Set.Match] on what is stored.
func (k *Keeper) Match(severity proto.Severity, payload []byte, at time.Time) (Silence, bool) {
	k.mu.RLock()
	set := k.set
	k.mu.RUnlock()
	return set.Match(severity, payload, at)
}
