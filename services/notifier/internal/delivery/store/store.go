// Package store holds what must outlive a delivery's process: the state of a chat,
// which is one key of the bus's state bucket, and the ledger of its messages.
//
// The key is set by comparing revisions: of two notifiers for one chat the second
// to write finds out, and stops.
package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// maxClaims is how often a claim is repeated that lost against a last write of the
// predecessor.
const maxClaims = 5

// Options say which state to store where.
type Options struct {
	Conn *bus.Conn
	// Sink is the chat's name, which decides the key and the ledger's subject.
	Sink string
	// Predecessor returns the name of the chat in whose place this one was
	// configured, "" for none.
	Predecessor func(context.Context) (string, error)
	// Refresh brings the state up to date before it is written.
	Refresh func(*State)
	// Ready is called with the reason why the state cannot be read or written, and
	// with nil when it can again.
	Ready   func(error)
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Store owns the state of one chat. It is not safe for concurrent use.
type Store struct {
	State

	o        Options
	key      string
	revision uint64
	accepted map[Key]struct{}
	refused  map[Key]struct{}
	indexed  bool // accepted and refused are those of the state
	broken   bool // the state could not be read or written last time
	planned  prometheus.Gauge
}

// New returns a Store. Call Claim before anything else.
func New(o Options) *Store {
	s := &Store{o: o, key: proto.KeyDelivery(o.Sink), planned: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "notifier_chat_plan",
		Help: "1 while a message is stored that the chat has not accepted yet.",
	})}
	o.Metrics.MustRegister(s.planned)
	return s
}

// Claim reads the state and makes the key this process's own: the process that had
// it finds out when it next writes. inherit continues what that process has left. A
// chat without a state continues that of its predecessor.
func (s *Store) Claim(ctx context.Context, inherit func(*State)) error {
	for range maxClaims {
		value, revision, err := s.get(ctx)
		if err != nil {
			return err
		}
		s.revision = revision
		if s.State, err = Decode(value); err != nil {
			return fmt.Errorf("%w: if no newer program wrote it, remove key %s of bucket %s; alerts in flight are then sent again, unmarked", err, s.key, proto.BucketState)
		}
		from, err := s.succeed(ctx, len(value) == 0)
		if err != nil {
			return err
		}
		s.Version, s.Instance, s.Writes = stateVersion, rand.Text(), 0
		s.indexed = false
		inherit(&s.State)
		err = s.Put(ctx)
		if err == nil && from != "" {
			s.handOver(ctx, from)
		}
		if !errors.Is(err, bus.ErrFenced) {
			return err
		}
	}
	return s.fenced()
}

// get reads the key as soon as the bus answers.
func (s *Store) get(ctx context.Context) (value []byte, revision uint64, err error) {
	err = retry.Do(ctx, s.policy(), func(ctx context.Context) (err error) {
		value, revision, err = s.o.Conn.Get(ctx, s.key)
		return permanent(err)
	})
	return value, revision, err
}

// Put stores the state and returns when it is known to be stored. It waits out an
// absent bus, and sets a key again that was removed. [bus.ErrFenced] says that another
// process has the key.
func (s *Store) Put(ctx context.Context) error {
	s.Writes++
	s.planned.Set(0)
	if s.Plan != nil {
		s.planned.Set(1)
	}
	s.o.Refresh(&s.State)
	value, err := s.encode()
	if err != nil {
		return err
	}
	// Always the same bytes: an earlier attempt that arrives late is recognized by them.
	err = retry.Do(ctx, s.policy(), func(ctx context.Context) error {
		revision, err := s.o.Conn.Put(ctx, s.key, value, s.revision)
		if err == nil {
			s.revision = revision
			return nil
		}
		if !errors.Is(err, bus.ErrFenced) && !errors.Is(err, bus.ErrMaybeStored) {
			return permanent(err)
		}
		have, revision, getErr := s.get(ctx)
		switch {
		case getErr != nil:
			return retry.Permanent(getErr)
		case bytes.Equal(have, value):
			s.revision = revision
			return nil
		case len(have) == 0:
			// Somebody has removed the key, which takes nothing from this process.
			s.revision = revision
		case revision != s.revision:
			return retry.Permanent(s.fenced())
		}
		return err
	})
	if err != nil {
		return err
	}
	s.ready(nil)
	if !s.indexed {
		s.accepted, s.refused, s.indexed = setOf(s.Settled), setOf(s.Refused), true
	}
	return nil
}

// Record publishes an accepted message to the ledger, the stream of deliveries, and
// returns when it is stored. If an earlier attempt has done so, the server drops
// this one by its message id, for as long as it remembers ids (two minutes by
// default). After that there can be two records of one message: readers identify
// them by chat and message id. which distinguishes several records of one message.
func (s *Store) Record(ctx context.Context, delivery *proto.Delivery, which string) error {
	data, err := json.Marshal(delivery)
	if err != nil {
		return fmt.Errorf("writing the delivery's record: %w", err)
	}
	policy := retry.Policy{Min: minRetry, Max: maxRetry, OnRetry: func(err error, wait time.Duration) {
		s.o.Log.Warn("recording a delivery is delayed", "err", err, "retry_in", wait)
	}}
	err = retry.Do(ctx, policy, func(ctx context.Context) error {
		msg := nats.NewMsg(proto.DeliveriesSubject(s.o.Sink))
		msg.Header.Set(nats.MsgIdHdr, delivery.Sink+" "+delivery.Chat+" "+delivery.MessageID+which)
		msg.Data = data
		return permanent(s.o.Conn.Publish(ctx, msg))
	})
	if err != nil {
		return fmt.Errorf("recording the delivery: %w", err)
	}
	return nil
}

func (s *Store) fenced() error {
	return fmt.Errorf("key %s of bucket %s was written by another process, which delivers to the same chat: stop one of the two, or give their sinks different names: %w",
		s.key, proto.BucketState, bus.ErrFenced)
}

func (s *Store) policy() retry.Policy {
	return retry.Policy{Min: minRetry, Max: maxRetry, OnRetry: func(err error, wait time.Duration) {
		s.o.Log.Warn("storing the plan is delayed", "err", err, "retry_in", wait)
		s.ready(err)
	}}
}

// ready reports that the state can be stored, or why not, when that changes.
func (s *Store) ready(err error) {
	if broken := err != nil; broken != s.broken {
		s.broken = broken
		s.o.Ready(err)
	}
}

// Settle remembers that alerts were accepted, once Put has stored that.
func (s *Store) Settle(keys Keys) {
	s.Settled = append(s.Settled, keys...)
	s.indexed = false
}

// Refuse remembers, once Put has stored that, that the chat refuses alerts in every form.
func (s *Store) Refuse(keys Keys, reason string) {
	s.Refused, s.RefusedReason = append(s.Refused, keys...), reason
	s.indexed = false
}

// IsAccepted reports whether the chat has accepted a message about an alert lately.
func (s *Store) IsAccepted(k Key) bool { return has(s.accepted, k) }

// IsRefused reports whether the chat refuses an alert in every form.
func (s *Store) IsRefused(k Key) bool { return has(s.refused, k) }

func has(set map[Key]struct{}, k Key) bool {
	_, ok := set[k]
	return ok
}

func setOf(keys Keys) map[Key]struct{} {
	set := make(map[Key]struct{}, len(keys))
	for _, k := range keys {
		set[k] = struct{}{}
	}
	return set
}

// Waits of attempts to reach the bus, in real time.
const (
	minRetry = 50 * time.Millisecond
	maxRetry = 5 * time.Second
)

// permanent marks err if trying again cannot help.
func permanent(err error) error {
	if bus.Permanent(err) {
		return retry.Permanent(err)
	}
	return err
}
