package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// fakeFence stores in memory. onPublish, if set, decides the outcome of each
// attempt; it may store the messages itself.
type fakeFence struct {
	stored    []*nats.Msg
	onPublish func(attempt int, msgs []*nats.Msg) error
	onLast    func(lookup int) error
	attempts  int
	lookups   int
	sizes     []int
}

var _ Fence = (*fakeFence)(nil)

func (f *fakeFence) Last(context.Context) (*bus.Stored, error) {
	f.lookups++
	if f.onLast != nil {
		if err := f.onLast(f.lookups); err != nil {
			return nil, err
		}
	}
	if len(f.stored) == 0 {
		return nil, nil
	}
	m := f.stored[len(f.stored)-1]
	return &bus.Stored{Subject: m.Subject, Sequence: uint64(len(f.stored)), Header: m.Header, Time: time.Now()}, nil
}

func (f *fakeFence) Publish(_ context.Context, msgs []*nats.Msg) error {
	f.attempts++
	if f.onPublish != nil {
		if err := f.onPublish(f.attempts, msgs); err != nil {
			return err
		}
	}
	f.store(msgs)
	return nil
}

func (f *fakeFence) store(msgs []*nats.Msg) {
	f.stored = append(f.stored, msgs...)
	f.sizes = append(f.sizes, len(msgs))
}

func (f *fakeFence) ids() []string {
	var ids []string
	for _, m := range f.stored {
		ids = append(ids, m.Header.Get(proto.HeaderEventID))
	}
	return ids
}

// recorder is an Observer that remembers.
type recorder struct {
	stored  int
	fenced  int
	waiting []string
}

func (r *recorder) Stored(n int, _ time.Duration) { r.stored += n }
func (r *recorder) Fenced()                       { r.fenced++ }
func (r *recorder) Waiting(err error) {
	if err != nil {
		r.waiting = append(r.waiting, err.Error())
	}
}

func messages(from, n int) []*nats.Msg {
	msgs := make([]*nats.Msg, n)
	for i := range msgs {
		msgs[i] = message(fmt.Sprint(from + i))
	}
	return msgs
}

func message(id string) *nats.Msg {
	return &nats.Msg{Subject: "ingest.event.box1.suricata.dns.info", Header: nats.Header{proto.HeaderEventID: {id}}}
}

func ids(from, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(from+i))
	}
	return all
}

var errAway = errors.New("the server is away")

// TestPublish plays what can happen to a publish. Message 0 is stored when the
// publisher begins; it is then given messages 1 and up.
func TestPublish(t *testing.T) {
	for _, test := range []struct {
		name    string
		n       int
		publish func(f *fakeFence) func(int, []*nats.Msg) error
		last    func(f *fakeFence) func(int) error
		sizes   []int // of the publishes that stored something
		err     error
		waited  bool
		reason  string // part of why, if it waited
	}{
		{
			name:  "few go one by one",
			n:     3,
			sizes: []int{1, 1, 1},
		},
		{
			name:  "many go as one batch",
			n:     batchFrom,
			sizes: []int{batchFrom},
		},
		{
			name: "away, then back",
			n:    40,
			publish: func(*fakeFence) func(int, []*nats.Msg) error {
				return func(attempt int, _ []*nats.Msg) error {
					if attempt < 5 {
						return errAway
					}
					return nil
				}
			},
			sizes:  []int{40},
			waited: true,
		},
		{
			name: "the acknowledgement is lost, the batch is stored",
			n:    40,
			publish: func(f *fakeFence) func(int, []*nats.Msg) error {
				return func(attempt int, msgs []*nats.Msg) error {
					if attempt == 1 {
						f.store(msgs)
						return bus.ErrMaybeStored
					}
					return nil
				}
			},
			sizes: []int{40},
		},
		{
			name: "the acknowledgement is lost, the batch is not stored",
			n:    40,
			publish: func(*fakeFence) func(int, []*nats.Msg) error {
				return func(attempt int, _ []*nats.Msg) error {
					if attempt == 1 {
						return bus.ErrMaybeStored
					}
					return nil
				}
			},
			sizes:  []int{40},
			waited: true,
			reason: "disk full",
		},
		{
			name: "the first attempt arrives while the second is under way",
			n:    40,
			publish: func(f *fakeFence) func(int, []*nats.Msg) error {
				return func(attempt int, msgs []*nats.Msg) error {
					if attempt == 1 {
						return bus.ErrMaybeStored
					}
					f.store(msgs)
					return bus.ErrFenced
				}
			},
			sizes:  []int{40},
			waited: true,
		},
		{
			name: "the lookup has to wait too",
			n:    1,
			publish: func(f *fakeFence) func(int, []*nats.Msg) error {
				return func(attempt int, msgs []*nats.Msg) error {
					if attempt == 1 {
						f.store(msgs)
						return bus.ErrMaybeStored
					}
					return nil
				}
			},
			last: func(*fakeFence) func(int) error {
				return func(lookup int) error {
					if lookup < 5 {
						return errAway
					}
					return nil
				}
			},
			sizes:  []int{1},
			waited: true,
		},
		{
			name: "retention has removed the last message",
			n:    40,
			publish: func(f *fakeFence) func(int, []*nats.Msg) error {
				return func(attempt int, _ []*nats.Msg) error {
					if attempt == 1 {
						f.stored = nil
						return bus.ErrFenced
					}
					return nil
				}
			},
			sizes:  []int{40},
			waited: true,
		},
		{
			name: "the batch is too large for the server",
			n:    40,
			publish: func(*fakeFence) func(int, []*nats.Msg) error {
				return func(_ int, msgs []*nats.Msg) error {
					if len(msgs) > 5 {
						return bus.ErrTooLarge
					}
					return nil
				}
			},
			sizes: []int{5, 5, 5, 5, 5, 5, 5, 5},
		},
		{
			name: "others hold all places for batches",
			n:    batchFrom,
			publish: func(*fakeFence) func(int, []*nats.Msg) error {
				return func(_ int, msgs []*nats.Msg) error {
					if len(msgs) > 1 {
						return bus.ErrBatchRefused
					}
					return nil
				}
			},
			sizes: slices.Repeat([]int{1}, batchFrom),
		},
		{
			name: "another process was there",
			n:    1,
			publish: func(f *fakeFence) func(int, []*nats.Msg) error {
				return func(int, []*nats.Msg) error {
					f.stored = append(f.stored, message("another's"))
					return bus.ErrFenced
				}
			},
			err: ErrFenced,
		},
		{
			name: "another process was there with the same line",
			n:    1,
			publish: func(f *fakeFence) func(int, []*nats.Msg) error {
				return func(int, []*nats.Msg) error {
					f.stored = append(f.stored, message("1")) // without this one's instance
					return bus.ErrFenced
				}
			},
			err: ErrFenced,
		},
		{
			name: "the role may not publish",
			n:    1,
			publish: func(*fakeFence) func(int, []*nats.Msg) error {
				return func(int, []*nats.Msg) error {
					return &bus.PermissionError{Role: "shipper-suricata", Op: "publish", Subject: "x"}
				}
			},
			err: &bus.PermissionError{},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeFence{stored: []*nats.Msg{message("0")}}
				r := new(recorder)
				p := New(f, slog.New(slog.DiscardHandler), r)
				if _, err := p.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
				if test.last != nil {
					f.onLast = test.last(f)
				}
				if test.publish != nil {
					f.onPublish = test.publish(f)
				}
				err := p.Publish(t.Context(), messages(1, test.n))
				var permission *bus.PermissionError
				if errors.As(test.err, &permission) {
					if !errors.As(err, &permission) {
						t.Fatalf("error %v, want a permission error", err)
					}
					return
				}
				if !errors.Is(err, test.err) {
					t.Fatalf("error %v, want %v", err, test.err)
				}
				if test.err != nil {
					if r.fenced != 1 || !strings.Contains(err.Error(), "fenced off by instance") {
						t.Errorf("fenced %d times: %v", r.fenced, err)
					}
					return
				}
				got := f.ids()
				if len(got) > test.n { // message 0, unless it was removed
					got = got[1:]
				}
				if want := ids(1, test.n); !slices.Equal(got, want) {
					t.Errorf("stored %v, want %v", got, want)
				}
				if !slices.Equal(f.sizes, test.sizes) {
					t.Errorf("publishes of %v messages, want %v", f.sizes, test.sizes)
				}
				if !strings.Contains(strings.Join(r.waiting, "\n"), test.reason) {
					t.Errorf("waited because of %q, want %q", r.waiting, test.reason)
				}
				if r.stored != test.n || (len(r.waiting) > 0) != test.waited {
					t.Errorf("observed %d stored, waiting %q", r.stored, r.waiting)
				}
			})
		})
	}
}

func TestResume(t *testing.T) {
	f := &fakeFence{}
	p := New(f, slog.New(slog.DiscardHandler), new(recorder))
	if last, err := p.Resume(t.Context()); last != nil || err != nil {
		t.Errorf("of an empty stream: %v %v", last, err)
	}
	m := message("7")
	m.Header.Set(proto.HeaderCheckpoint, "here")
	f.stored = append(f.stored, m)
	if last, err := p.Resume(t.Context()); err != nil || proto.SourceCheckpoint(last.Header) != "here" || last.Time.IsZero() {
		t.Errorf("of a stream: %v %v", last, err)
	}
	m = message("8")
	m.Header["Shipper-Checkpoint"] = []string{"there"} // as schema version 1 had it
	f.stored = append(f.stored, m)
	if last, err := p.Resume(t.Context()); err != nil || proto.SourceCheckpoint(last.Header) != "there" {
		t.Errorf("of a stream that an earlier version wrote: %v %v", last, err)
	}
}

// TestRun is fenced off by the late publish of a predecessor, or by a process that
// goes on publishing.
func TestRun(t *testing.T) {
	for _, test := range []struct {
		name     string
		intruder func(attempt int) bool // whether one publishes before this attempt
		sessions int
		stored   []string
		fenced   bool
	}{
		{"alone", func(int) bool { return false }, 1, []string{"1", "2"}, false},
		{"a predecessor's publish comes late", func(attempt int) bool { return attempt == 1 }, 2, []string{"intruder 1", "1", "2"}, false},
		{"a competitor goes on", func(int) bool { return true }, maxResumes + 1, []string{"intruder 1", "intruder 2", "intruder 3", "intruder 4", "intruder 5", "intruder 6"}, true},
		{"a competitor comes later", func(attempt int) bool { return attempt == 2 }, 1, []string{"1", "intruder 2"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeFence{}
				f.onPublish = func(attempt int, _ []*nats.Msg) error {
					if !test.intruder(attempt) {
						return nil
					}
					f.store([]*nats.Msg{message(fmt.Sprint("intruder ", attempt))})
					return bus.ErrFenced
				}
				sessions := 0
				err := Run(t.Context(), f, slog.New(slog.DiscardHandler), new(recorder), func(p *Publisher, last *bus.Stored) error {
					sessions++
					if (last == nil) != (sessions == 1) {
						t.Errorf("session %d goes on behind %v", sessions, last)
					}
					return p.Publish(t.Context(), messages(1, 2))
				})
				if errors.Is(err, ErrFenced) != test.fenced || !test.fenced && err != nil {
					t.Errorf("error %v", err)
				}
				if sessions != test.sessions || !slices.Equal(f.ids(), test.stored) {
					t.Errorf("%d sessions stored %v, want %d and %v", sessions, f.ids(), test.sessions, test.stored)
				}
			})
		})
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f := &fakeFence{onPublish: func(int, []*nats.Msg) error { return errAway }}
		p := New(f, slog.New(slog.DiscardHandler), new(recorder))
		if err := p.Publish(ctx, messages(1, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		// An hour of waiting at most 5 s each is about 720 attempts: neither a
		// busy loop nor a backoff without end.
		if f.attempts < 700 || f.attempts > 760 {
			t.Errorf("%d attempts in an hour", f.attempts)
		}
	})
}
