package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	return func(yield func(*Stored, error) bool) {
		end, err := c.get(ctx, stream, directRequest{LastFor: filter})
		if err != nil {
			yield(nil, fmt.Errorf("looking up the end of %s: %w", stream, err))
			return
		}
		if end == nil {
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

// LastMessages returns the last message of every source that has one in stream,
// by their [proto.SourceFilter]; stream must store the bus's six-token subjects.
func (c *Conn) LastMessages(ctx context.Context, stream string) (map[string]*Stored, error) {
	info, err := c.streamInfo(ctx, stream, jetstream.WithSubjectFilter(proto.StoredPrefix+".>"))
	if err != nil {
		return nil, fmt.Errorf("listing the subjects of %s: %w", stream, err)
	}
	last := make(map[string]*Stored)
	for subject := range info.State.Subjects {
		s, err := proto.ParseSubject(subject)
		if err != nil {
			continue // not published by this project
		}
		filter := proto.SourceFilter(s.Host, s.Source)
		if last[filter] != nil {
			continue
		}
		m, err := c.get(ctx, stream, directRequest{LastFor: filter})
		if err != nil {
			return nil, fmt.Errorf("looking up the last message under %s: %w", filter, err)
		}
		if m != nil {
			last[filter] = m
		}
	}
	return last, nil
}
