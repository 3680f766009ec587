package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/testing/bustest"
)

// follow collects the ids of what a follower yields, which waits for the reader.
func follow(t *testing.T, c *bus.Conn, from bus.Start, streams ...string) <-chan string {
	return followAll(t, c, from, bus.Only(streams...))
}

func followAll(t *testing.T, c *bus.Conn, from bus.Start, streams func(context.Context) ([]string, error)) <-chan string {
	ids := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		for m, err := range c.Follow(ctx, streams, from) {
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("the follower ended: %v", err)
				}
				return
			}
			select {
			case ids <- m.Header.Get(proto.HeaderEventID):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ids
}

// receive expects the ids from first up to and without end, each once and in order.
func receive(t *testing.T, ids <-chan string, first, end int) {
	t.Helper()
	ctx := deadlineContext(t)
	for i := first; i < end; i++ {
		select {
		case id := <-ids:
			if id != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", id, i)
			}
		case <-ctx.Done():
			t.Fatalf("%d has not come", i)
		}
	}
}

// numbered are messages of Tracee's with the ids from first up to end.
func numbered(first, end int) []*nats.Msg {
	var msgs []*nats.Msg
	for i := first; i < end; i++ {
		msgs = append(msgs, message(bustest.Tracee, proto.SeverityInfo, fmt.Sprint(i)))
	}
	return msgs
}

// What is stored while the history is read comes once, behind it.
func TestFollowJoinsHistoryAndLive(t *testing.T) {
	b := bustest.Start(t)
	f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	publish(t, f, numbered(0, 900)...)
	ids := follow(t, b.Conn(t, bus.RoleTail), bus.Start{}, eventStream)
	receive(t, ids, 0, 10) // in the midst of the first page
	publish(t, f, numbered(900, 1500)...)
	receive(t, ids, 10, 1500)
	publish(t, f, numbered(1500, 1501)...)
	receive(t, ids, 1500, 1501)
}

// A follower outlasts restarts of the server, and has what was stored behind its
// back without another message having to come.
func TestFollowOutlastsRestarts(t *testing.T) {
	b := bustest.Start(t)
	tail := b.Conn(t, bus.RoleTail)
	ids := follow(t, tail, bus.Start{}, eventStream)
	stored := 0
	store := func(n int) {
		t.Helper()
		// The connection of its own is there before the follower's is again.
		publish(t, armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), numbered(stored, stored+n)...)
		stored += n
	}
	store(5)
	receive(t, ids, 0, 5)
	for range 3 {
		before := stored
		b.Restart(t)
		store(40)
		receive(t, ids, before, stored)
	}
}

// What does not fit into the feed of a slow reader is read from the stream.
func TestFollowWaitsForASlowReader(t *testing.T) {
	b := bustest.Start(t)
	f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	ids := follow(t, b.Conn(t, bus.RoleTail), bus.Start{}, eventStream)
	publish(t, f, numbered(0, 1)...)
	receive(t, ids, 0, 1)
	const n = 20_000 // more than wait in the feed
	for i := 1; i < n; i += 1000 {
		publish(t, f, numbered(i, min(i+1000, n))...)
	}
	receive(t, ids, 1, n)
}

// Followers begin where they are told to, in several streams.
func TestFollowBegins(t *testing.T) {
	b := bustest.Start(t)
	f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	publish(t, f, numbered(0, 10)...)
	tail := b.Conn(t, bus.RoleTail)
	fifth, err := tail.First(deadlineContext(t), eventStream, proto.StoredPrefix+".>", bus.Start{Sequence: 6})
	if err != nil {
		t.Fatal(err)
	}
	bySequence := follow(t, tail, bus.Start{Sequence: 6}, eventStream, proto.StreamAudit)
	byTime := follow(t, tail, bus.Start{Time: fifth.Time}, eventStream, proto.StreamAudit)
	receive(t, bySequence, 5, 10)
	first := <-byTime // a batch has one time
	if !slices.Contains([]string{"0", "5"}, first) {
		t.Errorf("by time it began with %s", first)
	}
	// One that wants what is new begins at the end.
	fresh := follow(t, tail, bus.Start{New: true}, eventStream, proto.StreamAudit)
	id := ""
	for i := 10; id == ""; i++ { // until it has begun
		publish(t, f, numbered(i, i+1)...)
		select {
		case id = <-fresh:
		default:
		}
	}
	if slices.Contains([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, id) {
		t.Errorf("got %s of what was stored before", id)
	}
}

// A stream that was made anew, or has lost its end, uses sequences again.
func TestFollowNoticesSequencesThatComeAgain(t *testing.T) {
	b := bustest.Start(t)
	publish(t, armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee), numbered(0, 3)...)
	ids := follow(t, b.Conn(t, bus.RoleTail), bus.Start{Sequence: 100}, eventStream)
	receive(t, ids, 0, 3)
}

func TestFollowEndsForGood(t *testing.T) {
	b := bustest.Start(t)
	for _, err := range b.Conn(t, bus.RoleAuditor).Follow(deadlineContext(t), bus.Only(eventStream), bus.Start{}) {
		var permission *bus.PermissionError
		if !errors.As(err, &permission) {
			t.Errorf("got %v", err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	cancel(reason)
	for _, err := range b.Conn(t, bus.RoleTail).Follow(ctx, bus.Only(eventStream), bus.Start{}) {
		if !errors.Is(err, reason) {
			t.Errorf("got %v", err)
		}
	}
}

// alternating stores messages with the ids from first up to end, in two streams by turns.
func alternating(t *testing.T, b *bustest.Bus, first, end int) {
	t.Helper()
	f := armed(t, b.Conn(t, bus.ShipperRole(bustest.Tracee)), bustest.Tracee)
	proxy := b.Conn(t, bus.RoleProxy)
	for i := first; i < end; i++ {
		if i%2 == 0 {
			publish(t, f, numbered(i, i+1)...)
			continue
		}
		m := message(bustest.Tracee, proto.SeverityInfo, fmt.Sprint(i))
		m.Subject = proto.Subject{Class: proto.ClassAudit, Host: bustest.Host, Source: bus.RoleProxy, Kind: "request"}.Ingest()
		if err := proxy.Publish(deadlineContext(t), m); err != nil {
			t.Fatal(err)
		}
	}
}

// Several streams are read in the order in which their messages were stored, while
// they are read and afterwards, and over a restart of the server.
func TestFollowMergesStreams(t *testing.T) {
	b := bustest.Start(t)
	alternating(t, b, 0, 40)
	tail := b.Conn(t, bus.RoleTail)
	ids := follow(t, tail, bus.Start{}, proto.StreamAudit, eventStream)
	receive(t, ids, 0, 10)
	alternating(t, b, 40, 60)
	receive(t, ids, 10, 60)
	alternating(t, b, 60, 90)
	receive(t, ids, 60, 90)
	b.Restart(t)
	alternating(t, b, 90, 110)
	receive(t, ids, 90, 110)

	n := 0
	for m, err := range tail.MergedHistory(deadlineContext(t), []string{eventStream, proto.StreamAudit}, proto.StoredPrefix+".>", bus.Start{}) {
		if err != nil || m.Header.Get(proto.HeaderEventID) != fmt.Sprint(n) {
			t.Fatalf("message %d: %v, %v", n, m, err)
		}
		n++
	}
	if n != 110 {
		t.Errorf("%d messages", n)
	}
}

// A stream that is added is followed from its beginning.
func TestFollowFindsStreamsThatAreAdded(t *testing.T) {
	b := bustest.Start(t)
	var added atomic.Bool
	ids := followAll(t, b.Conn(t, bus.RoleTail), bus.Start{}, func(context.Context) ([]string, error) {
		if added.Load() {
			return []string{eventStream, proto.StreamAudit}, nil
		}
		return []string{eventStream}, nil
	})
	alternating(t, b, 0, 1)
	receive(t, ids, 0, 1)
	added.Store(true)
	alternating(t, b, 1, 20)
	receive(t, ids, 1, 20)
}
