package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Health is what a server says of itself.
type Health struct {
	Version   string        // of nats-server, such as "2.15.2"
	RoundTrip time.Duration // of a ping
	Used      uint64        // bytes that the streams of the account take on disk
	Reserved  uint64        // bytes that are set aside for them
	Limit     int64         // maximum of bytes that they may take; not positive where there is no limit
}

// Health asks the server how it is.
func (c *Conn) Health(ctx context.Context) (Health, error) {
	ctx, end := c.beginOn(ctx, "$JS.API.INFO")
	defer end()
	h := Health{Version: c.nc.ConnectedServerVersion()}
	sent := time.Now()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return Health{}, fmt.Errorf("pinging the server: %w", c.outcome(ctx, err))
	}
	h.RoundTrip = time.Since(sent)
	info, err := c.js.AccountInfo(ctx)
	if err != nil {
		return Health{}, fmt.Errorf("asking for the store's use: %w", c.missing(ctx, err))
	}
	h.Used, h.Reserved, h.Limit = info.Store, info.ReservedStore, info.Limits.MaxStore
	return h, nil
}

// Skew returns how far the server's clock is ahead of this machine's, negative
// if it is behind, and by how much that may be wrong: the server says what time
// it is somewhere between a request about stream and its reply.
func (c *Conn) Skew(ctx context.Context, stream string) (ahead, within time.Duration, err error) {
	sent := time.Now()
	info, err := c.streamInfo(ctx, stream)
	if err != nil {
		return 0, 0, fmt.Errorf("asking the server for its time: %w", err)
	}
	within = time.Since(sent) / 2
	return info.TimeStamp.Sub(sent.Add(within)), within, nil
}

// Subjects counts the messages of stream by their subject, for those under
// filter.
func (c *Conn) Subjects(ctx context.Context, stream, filter string) (map[string]uint64, error) {
	info, err := c.streamInfo(ctx, stream, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, fmt.Errorf("listing the subjects of %s: %w", stream, err)
	}
	return info.State.Subjects, nil
}

// First returns the first message of stream under filter from start on, nil if
// there is none.
func (c *Conn) First(ctx context.Context, stream, filter string, start Start) (*Stored, error) {
	r := directRequest{Sequence: max(start.Sequence, 1), Filter: filter, Batch: 1}
	if !start.Time.IsZero() {
		r.Sequence, r.Time = 0, &start.Time
	}
	page, err := c.page(ctx, stream, r)
	if err != nil {
		return nil, fmt.Errorf("looking up a message of %s: %w", stream, err)
	}
	if len(page) == 0 {
		return nil, nil
	}
	return page[0], nil
}

// Last returns the last message of stream under filter, nil if there is none.
func (c *Conn) Last(ctx context.Context, stream, filter string) (*Stored, error) {
	return c.LastIn(ctx, []string{stream}, filter)
}

// LastIn returns the message of streams under filter that was stored last, nil if
// there is none.
func (c *Conn) LastIn(ctx context.Context, streams []string, filter string) (*Stored, error) {
	ends, err := c.ends(ctx, streams, filter)
	if err != nil {
		return nil, err
	}
	var last *Stored
	for _, m := range ends {
		if m != nil && (last == nil || earlier(last, m) < 0) {
			last = m
		}
	}
	return last, nil
}

// LastUnder is [Conn.LastIn] for a role that may find messages under this very filter
// only ([GrantLast]).
func (c *Conn) LastUnder(ctx context.Context, filter string, streams ...string) (*Stored, error) {
	var last *Stored
	for _, stream := range streams {
		m, err := c.lastBySubject(ctx, stream, filter)
		if err != nil {
			return nil, fmt.Errorf("looking up the last message of %s under %s: %w", stream, filter, err)
		}
		if m != nil && (last == nil || earlier(last, m) < 0) {
			last = m
		}
	}
	return last, nil
}

// Oldest returns the oldest message that a durable has not acknowledged, nil if
// there is none.
func (c *Conn) Oldest(ctx context.Context, d DurableState) (*Stored, error) {
	if d.Progress.Pending == 0 && d.Progress.Unacked == 0 {
		return nil, nil
	}
	filters := d.Filters
	if len(filters) == 0 {
		filters = []string{">"}
	}
	var oldest *Stored
	for _, filter := range filters {
		m, err := c.First(ctx, d.Stream, filter, Start{Sequence: d.Next})
		if err != nil {
			return nil, err
		}
		if m != nil && (oldest == nil || m.Sequence < oldest.Sequence) {
			oldest = m
		}
	}
	return oldest, nil
}
