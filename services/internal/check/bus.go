package check

import (
	"context"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// A clock that differs by more than SkewTold is reported, and by more than SkewFault
// is a fault.
const (
	SkewTold  = 5 * time.Second
	SkewFault = time.Minute
)

// Bus is the bus as the checks find it. Several need the same of it, which is
// read once.
type Bus struct {
	Conn  *bus.Conn // as the operator
	State bus.Overview
	// Ahead is how far the server's clock is ahead of this machine's, and Within by
	// how much that may be wrong.
	Ahead, Within time.Duration
}

// ReadBus reads the state of a bus that should hold these streams beside those of
// package proto.
func ReadBus(ctx context.Context, conn *bus.Conn, streams []proto.Stream) (*Bus, error) {
	o, err := conn.Overview(ctx, streams...)
	if err != nil {
		return nil, err
	}
	b := &Bus{Conn: conn, State: o}
	if b.HasSecurity() {
		if b.Ahead, b.Within, err = conn.Skew(ctx, o.Security()[0]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Now is the time by the server's clock, which has stamped what is stored.
func (b *Bus) Now() time.Time { return time.Now().Add(b.Ahead) }

// Age is how long ago a message was stored.
func (b *Bus) Age(m *bus.Stored) time.Duration { return b.Now().Sub(m.Time) }

// Stream is the state of a stream.
func (b *Bus) Stream(name string) bus.StreamState {
	for _, s := range b.State.Streams {
		if s.Name == name {
			return s
		}
	}
	return bus.StreamState{Name: name, Err: bus.ErrNotProvisioned}
}

// Has reports whether the bus can be asked and has these streams; if not, doctor
// says so, and what rests on them cannot be checked. b may be nil.
func (b *Bus) Has(streams ...string) bool {
	if b == nil {
		return false
	}
	for _, name := range streams {
		if b.Stream(name).Err != nil {
			return false
		}
	}
	return true
}

// HasSecurity is Has of at least one stream of alerts or events. b may be nil.
func (b *Bus) HasSecurity() bool { return b != nil && len(b.State.Security()) > 0 }
