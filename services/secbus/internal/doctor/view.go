package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// view is what several hops need to know of the bus, read once.
type view struct {
	conn     *bus.Conn
	overview bus.Overview
	ahead    time.Duration // of the server's clock before this machine's
	within   time.Duration // by how much that may be wrong
	sources  []*source
}

// now is the time by the server's clock, which has stamped what is stored.
func (v *view) now() time.Time { return time.Now().Add(v.ahead) }

// age is how long ago a message was stored.
func (v *view) age(m *bus.Stored) time.Duration { return v.now().Sub(m.Time) }

// stream is the state of a stream of package proto.
func (v *view) stream(name string) bus.StreamState {
	for _, s := range v.overview.Streams {
		if s.Name == name {
			return s
		}
	}
	return bus.StreamState{Name: name, Err: bus.ErrNotProvisioned}
}

// look reads the bus. If that fails, it says so and leaves c.bus nil.
func (c *checkup) look(ctx context.Context) []Finding {
	if c.Conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, hopTimeout)
	defer cancel()
	v, err := read(ctx, c.Conn)
	if err != nil {
		f := findings{hop: "server"}
		f.add("NATS", Fault, "the bus cannot be read: %v", err)
		return f.all
	}
	c.bus = v
	return nil
}

func read(ctx context.Context, conn *bus.Conn) (*view, error) {
	o, err := conn.Overview(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{conn: conn, overview: o}
	if v.stream(proto.StreamSecurity).Err != nil {
		return v, nil // told by the hop of the streams
	}
	if v.ahead, v.within, err = conn.Skew(ctx, proto.StreamSecurity); err != nil {
		return nil, err
	}
	if v.sources, err = readSources(ctx, conn); err != nil {
		return nil, fmt.Errorf("looking for the sources: %w", err)
	}
	return v, nil
}
