package bus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
)

const (
	historyPage      = 256     // messages asked for at once
	historyPageBytes = 4 << 20 // after which the server ends a page early
	historyTimeout   = 30 * time.Second
)

// Start says where in a stream to begin. The zero Start is its first message.
type Start struct {
	Sequence uint64    // the first message at or after it
	Time     time.Time // or the first message stored at or after it
	New      bool      // or, for [Conn.Follow], what is not stored yet
}

// directRequest is the body of a direct get (nats-server: JSApiMsgGetRequest).
type directRequest struct {
	Sequence uint64     `json:"seq,omitempty"`
	Time     *time.Time `json:"start_time,omitempty"`
	Filter   string     `json:"next_by_subj,omitempty"`
	Batch    int        `json:"batch,omitempty"`
	MaxBytes int        `json:"max_bytes,omitempty"`
	LastFor  string     `json:"last_by_subj,omitempty"`
}

// History yields what stream holds under filter from start on, in order, up to
// what was its last such message when the iteration began. It changes nothing
// on the server. An error ends it; go on behind the last message yielded.
func (c *Conn) History(ctx context.Context, stream, filter string, start Start) iter.Seq2[*Stored, error] {
	return c.MergedHistory(ctx, []string{stream}, filter, start)
}

// MergedHistory yields what streams hold under filter from start on, up to what were
// their last such messages when the iteration began, by the times at which the server
// has stored them, then by stream and sequence. That order is the same at each
// reading. An error ends it.
func (c *Conn) MergedHistory(ctx context.Context, streams []string, filter string, start Start) iter.Seq2[*Stored, error] {
	return func(yield func(*Stored, error) bool) {
		ends, err := c.ends(ctx, streams, filter)
		if err != nil {
			yield(nil, err)
			return
		}
		var sources []iter.Seq2[*Stored, error]
		for _, stream := range streams {
			sources = append(sources, c.historyTo(ctx, stream, filter, start, ends[stream]))
		}
		merge(sources)(yield)
	}
}

// ends returns the last message of each stream under filter, nil where there is none.
// Of several streams it leaves out those that the role may not read: the stream of a
// source that is not configured any more must not keep others from being read.
func (c *Conn) ends(ctx context.Context, streams []string, filter string) (map[string]*Stored, error) {
	ends := make(map[string]*Stored)
	var denied error
	for _, stream := range streams {
		end, err := c.get(ctx, stream, directRequest{LastFor: filter})
		var permission *PermissionError
		switch {
		case err == nil:
			ends[stream] = end
		case errors.As(err, &permission):
			denied = fmt.Errorf("looking up the end of %s: %w", stream, err)
			if _, known := c.denied.LoadOrStore(stream, true); !known && len(streams) > 1 {
				c.log.Warn("a stream is left out, because the role may not read it", "stream", stream, "err", err)
			}
		default:
			return nil, fmt.Errorf("looking up the end of %s: %w", stream, err)
		}
	}
	if len(ends) == 0 && denied != nil {
		return nil, denied
	}
	return ends, nil
}

// historyTo yields what stream holds under filter from start on up to end, in order;
// nothing if end is nil.
func (c *Conn) historyTo(ctx context.Context, stream, filter string, start Start, end *Stored) iter.Seq2[*Stored, error] {
	return func(yield func(*Stored, error) bool) {
		if end == nil || start.Sequence > end.Sequence {
			return
		}
		next := directRequest{Sequence: max(start.Sequence, 1), Filter: filter, Batch: historyPage, MaxBytes: historyPageBytes}
		if !start.Time.IsZero() {
			next.Sequence, next.Time = 0, &start.Time
		}
		for {
			page, err := c.page(ctx, stream, next)
			if err != nil {
				yield(nil, fmt.Errorf("reading %s: %w", stream, err))
				return
			}
			for _, s := range page {
				if s.Sequence > end.Sequence || !yield(s, nil) {
					return
				}
			}
			// The rest can be gone since: retention, or a deletion.
			if len(page) == 0 || page[len(page)-1].Sequence == end.Sequence {
				return
			}
			next.Sequence, next.Time = page[len(page)-1].Sequence+1, nil
		}
	}
}

// earlier is the order of stored messages: by time, then by stream and sequence.
func earlier(a, b *Stored) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Sequence, b.Sequence))
}

// merge yields what sources yield, each in its own order, by [earlier]. The first
// error ends it.
func merge(sources []iter.Seq2[*Stored, error]) iter.Seq2[*Stored, error] {
	if len(sources) == 1 {
		return sources[0]
	}
	return func(yield func(*Stored, error) bool) {
		type cursor struct {
			head *Stored
			next func() (*Stored, error, bool)
		}
		var cursors []*cursor
		for _, source := range sources {
			next, stop := iter.Pull2(source)
			defer stop()
			cursors = append(cursors, &cursor{next: next})
		}
		// All are without a head at first, then the one whose head was yielded.
		for forward := cursors; len(cursors) > 0; {
			for _, c := range forward {
				m, err, ok := c.next()
				switch {
				case !ok:
					cursors = slices.DeleteFunc(slices.Clone(cursors), func(other *cursor) bool { return other == c })
				case err != nil:
					yield(nil, err)
					return
				}
				c.head = m
			}
			if len(cursors) == 0 {
				return
			}
			first := slices.MinFunc(cursors, func(a, b *cursor) int { return earlier(a.head, b.head) })
			if !yield(first.head, nil) {
				return
			}
			forward = []*cursor{first}
		}
	}
}

func (c *Conn) get(ctx context.Context, stream string, r directRequest) (*Stored, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	return c.getOne(ctx, directGet+stream, body)
}

// page makes one direct get for several messages. It takes them all before it
// returns, so that a slow reader of the history does not stall the connection.
func (c *Conn) page(ctx context.Context, stream string, r directRequest) ([]*Stored, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	subject := directGet + stream
	ctx, end := c.begin(ctx, historyTimeout, func(s string) bool { return s == subject })
	defer end()

	// A channel, because the other kinds of subscription take an empty message
	// whose publisher gave it a Status header for the server's own word.
	replies := make(chan *nats.Msg, r.Batch+1)
	inbox := c.nc.NewInbox()
	sub, err := c.nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return nil, c.outcome(ctx, err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // only fails on a closed connection
	if err := c.nc.PublishRequest(subject, inbox, body); err != nil {
		return nil, c.outcome(ctx, err)
	}
	var page []*Stored
	for {
		select {
		case m := <-replies:
			s, err := parseStored(m)
			var status *statusError
			switch {
			case err == nil:
				page = append(page, s)
			case errors.Is(err, errNoMessage), errors.As(err, &status) && status.code == "204":
				return page, nil
			default:
				return nil, err
			}
		case <-ctx.Done():
			return nil, c.outcome(ctx, ctx.Err())
		}
	}
}

// LastMessages returns the last message of every source that has one in streams,
// by their [proto.SourceFilter]; they must store the bus's six-token subjects.
func (c *Conn) LastMessages(ctx context.Context, streams ...string) (map[string]*Stored, error) {
	last := make(map[string]*Stored)
	for _, stream := range streams {
		subjects, err := c.Subjects(ctx, stream, proto.StoredPrefix+".>")
		var permission *PermissionError
		if len(streams) > 1 && errors.As(err, &permission) {
			continue // of a source that is not configured any more
		}
		if err != nil {
			return nil, err
		}
		filters := make(map[string]bool)
		for subject := range subjects {
			if s, err := proto.ParseSubject(subject); err == nil { // else not published by this project
				filters[proto.SourceFilter(s.Host, s.Source)] = true
			}
		}
		for filter := range filters {
			m, err := c.get(ctx, stream, directRequest{LastFor: filter})
			if err != nil {
				return nil, fmt.Errorf("looking up the last message under %s: %w", filter, err)
			}
			if m != nil && (last[filter] == nil || earlier(last[filter], m) < 0) {
				last[filter] = m
			}
		}
	}
	return last, nil
}
