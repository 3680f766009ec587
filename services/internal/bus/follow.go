package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/retry"
)

const (
	// Waits between attempts to read what a feed has missed.
	followRetry    = 200 * time.Millisecond
	maxFollowRetry = 5 * time.Second

	// settle is how long a new message waits for earlier ones of other streams. It
	// covers the clock differences of a cluster's servers, each of which stamps the
	// messages of the streams that it leads.
	settle = 250 * time.Millisecond
)

// Follow yields what streams hold and then what is added to them, each message once,
// merged as [Conn.MergedHistory] does, until ctx ends. streams names the streams to
// follow and is asked again now and then: one that is added later, like the stream of
// a new source, is followed from its beginning, and the others from where from says.
//
// The live feed is only the hint and the streams are the truth: what the feed
// has missed is read from its stream, whether a sequence shows that it is missing or
// the feed suspects it. So it outlasts disconnects, restarts of the server and slow
// readers, and holds no more than a feed may while its reader is busy. Where several
// streams are followed, a new message waits a quarter of a second for
// earlier ones of other streams; one that comes later still is out of order.
//
// An error ends it: that of ctx, or one that trying again cannot help.
func (c *Conn) Follow(ctx context.Context, streams func(context.Context) ([]string, error), from Start) iter.Seq2[*Stored, error] {
	return func(yield func(*Stored, error) bool) {
		f := follower{
			conn: c, streams: streams, from: from, yield: yield,
			next: make(map[string]Start), last: make(map[string]time.Time),
		}
		if err := f.run(ctx); err != nil && !errors.Is(err, errStopped) {
			yield(nil, fmt.Errorf("following %v: %w", slices.Sorted(maps.Keys(f.next)), err))
		}
	}
}

// Only names streams that stay the same, for [Conn.Follow].
func Only(streams ...string) func(context.Context) ([]string, error) {
	return func(context.Context) ([]string, error) { return streams, nil }
}

// followed is what the streams that can be followed hold, and the feed of them.
const followed = proto.StoredPrefix + ".>"

// follower is one call of Follow.
type follower struct {
	conn    *Conn
	streams func(context.Context) ([]string, error)
	from    Start
	next    map[string]Start     // by stream, where to go on
	last    map[string]time.Time // when the last message that was taken was stored
	others  map[string]bool      // streams of the feed that are not to be followed
	waiting settling
	yield   func(*Stored, error) bool
}

func (f *follower) run(ctx context.Context) error {
	var feed *Feed
	// Subscribed before the streams are read: what is stored meanwhile waits in the
	// feed, and is recognized by its sequence when it comes.
	err := again(ctx, f.conn, func(ctx context.Context) error {
		names, err := f.streams(ctx)
		if err != nil {
			return err
		}
		feed, err = f.conn.Live(ctx, liveFilter(names))
		return err
	})
	if err != nil {
		return err
	}
	defer feed.Close()
	for err = f.readAll(ctx); err == nil; {
		var m *Stored
		if m, err = f.wait(ctx, feed); err == nil {
			err = f.live(ctx, m)
		}
	}
	return err
}

// wait returns the next message of the feed, nil if it is time to yield what has
// settled, or to read what the feed may have missed, which it does.
func (f *follower) wait(ctx context.Context, feed *Feed) (*Stored, error) {
	bounded := ctx
	if due, ok := f.waiting.due(); ok {
		var cancel context.CancelFunc
		bounded, cancel = context.WithDeadline(ctx, due)
		defer cancel()
	}
	m, err := feed.next(bounded)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, errMissed):
		clear(f.others)
		return nil, f.readAll(ctx)
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return nil, nil
	}
	return nil, err
}

// live takes a message of the feed, if there is one, and yields what has settled. If
// messages are missing before it, all streams are read up to their ends.
func (f *follower) live(ctx context.Context, m *Stored) error {
	if m == nil {
		return f.waiting.yieldDue(time.Now(), f.out)
	}
	next, known := f.next[m.Stream]
	switch {
	case !known && f.others[m.Stream], known && m.Sequence < next.Sequence:
		return nil
	case !known || m.Sequence > next.Sequence:
		if err := f.readAll(ctx); err != nil {
			return err
		}
		if _, known := f.next[m.Stream]; !known {
			if f.others == nil {
				f.others = make(map[string]bool)
			}
			f.others[m.Stream] = true
		}
		return nil
	}
	return f.take(m, len(f.next) == 1)
}

// readAll takes what the streams hold that was not taken yet.
func (f *follower) readAll(ctx context.Context) error {
	return again(ctx, f.conn, func(ctx context.Context) error {
		names, err := f.streams(ctx)
		if err != nil {
			return err
		}
		first := len(f.next) == 0
		ends, err := f.conn.ends(ctx, names, followed)
		if err != nil {
			return err
		}
		var settled time.Time // what was stored before it has nothing earlier behind it
		var sources []iter.Seq2[*Stored, error]
		for _, name := range names {
			if _, ok := f.next[name]; !ok && first {
				f.next[name] = f.from
			}
			end := ends[name]
			f.place(name, end)
			if end != nil && end.Time.After(settled) {
				settled = end.Time
			}
			sources = append(sources, f.conn.historyTo(ctx, name, followed, f.next[name], end))
		}
		settled = settled.Add(-settle)
		for m, err := range merge(sources) {
			if err != nil {
				return err
			}
			if err := f.take(m, len(f.next) == 1 || m.Time.Before(settled)); err != nil {
				return err
			}
		}
		return nil
	})
}

// place finds where to go on in a stream, given its last message, nil if there is
// none: in one that is to be followed from its end, and in one that ends before that
// place, which was made anew or has lost its end with a crash of the server, so that
// sequences are used again.
func (f *follower) place(stream string, last *Stored) {
	next := f.next[stream]
	end := uint64(0)
	if last != nil {
		end = last.Sequence
	}
	switch {
	case next.New:
		next = Start{Sequence: end + 1}
	case next.Sequence <= 1 || end+1 >= next.Sequence:
	case f.last[stream].IsZero():
		next = Start{}
	default:
		next = Start{Time: f.last[stream].Add(1)}
	}
	f.next[stream] = next
}

// take puts a message in its place among those that wait, and yields it and those
// before it if it has settled.
func (f *follower) take(m *Stored, settled bool) error {
	f.next[m.Stream], f.last[m.Stream] = Start{Sequence: m.Sequence + 1}, m.Time
	due := time.Time{}
	if !settled {
		due = time.Now().Add(settle)
	}
	w := f.waiting.add(m, due)
	if !settled {
		return nil
	}
	return f.waiting.yieldThrough(w, f.out)
}

func (f *follower) out(m *Stored) error {
	if !f.yield(m, nil) {
		return errStopped
	}
	return nil
}

// settling holds messages until those that were stored before them have come.
type settling struct {
	inOrder []*waiting
	arrived []*waiting           // those that become due, in the order in which they have come
	latest  map[string]time.Time // by stream, of what has come
}

// waiting is a message that waits until it is due.
type waiting struct {
	*Stored
	at      time.Time // when it was stored
	due     time.Time
	yielded bool
}

// add takes a message that is to be yielded at due, or without it by yieldThrough.
func (s *settling) add(m *Stored, due time.Time) *waiting {
	w := &waiting{Stored: m, at: m.Time, due: due}
	// A clock that was set back must not change the order within a stream.
	if latest := s.latest[m.Stream]; latest.After(w.at) {
		w.at = latest
	}
	if s.latest == nil {
		s.latest = make(map[string]time.Time)
	}
	s.latest[m.Stream] = w.at
	at, _ := slices.BinarySearchFunc(s.inOrder, w, func(a, b *waiting) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Sequence, b.Sequence))
	})
	s.inOrder = slices.Insert(s.inOrder, at, w)
	if !due.IsZero() {
		s.arrived = append(s.arrived, w)
	}
	return w
}

// due is when the next message is to be yielded.
func (s *settling) due() (time.Time, bool) {
	for len(s.arrived) > 0 && s.arrived[0].yielded {
		s.arrived = s.arrived[1:]
	}
	if len(s.arrived) == 0 {
		return time.Time{}, false
	}
	return s.arrived[0].due, true
}

// yieldDue yields what is due, and what is before it.
func (s *settling) yieldDue(now time.Time, yield func(*Stored) error) error {
	for due, ok := s.due(); ok && !due.After(now); due, ok = s.due() {
		if err := s.yieldThrough(s.arrived[0], yield); err != nil {
			return err
		}
	}
	return nil
}

// yieldThrough yields what is in order before w, and w.
func (s *settling) yieldThrough(w *waiting, yield func(*Stored) error) error {
	for !w.yielded {
		first := s.inOrder[0]
		s.inOrder, first.yielded = s.inOrder[1:], true
		if err := yield(first.Stored); err != nil {
			return err
		}
	}
	return nil
}

// liveFilter is the pattern of what is stored in streams: that of their messages if
// one is enough, else that of all.
func liveFilter(streams []string) string {
	for _, def := range proto.Streams() {
		if len(streams) == 1 && def.Name == streams[0] && def.Stored && len(def.Subjects) == 1 {
			return proto.StoredPrefix + strings.TrimPrefix(def.Subjects[0], proto.IngestPrefix)
		}
	}
	return followed
}

// errStopped ends a loop whose reader has had enough.
var errStopped = errors.New("the reader has stopped")

// again repeats what a feed's reader needs of the server until it succeeds.
func again(ctx context.Context, c *Conn, do func(context.Context) error) error {
	policy := retry.Policy{Min: followRetry, Max: maxFollowRetry, OnRetry: func(err error, wait time.Duration) {
		c.log.Debug("reading what was stored is delayed", "err", err, "retry_in", wait)
	}}
	return retry.Do(ctx, policy, func(ctx context.Context) error {
		err := do(ctx)
		if Permanent(err) || errors.Is(err, errStopped) {
			return retry.Permanent(err)
		}
		return err
	})
}
