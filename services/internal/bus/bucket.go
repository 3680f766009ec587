package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
)

// Get returns the value of a key in its bucket and its revision, which Put wants. A key that was never set has revision 0, and like one that was
// removed the value nil.
func (c *Conn) Get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	s, err := c.lastBySubject(ctx, proto.StreamOfKey(key), proto.StateSubject(key))
	if err != nil {
		return nil, 0, fmt.Errorf("reading state %s: %w", key, err)
	}
	if s == nil {
		return nil, 0, nil
	}
	if len(s.Data) == 0 {
		return nil, s.Sequence, nil
	}
	return s.Data, s.Sequence, nil
}

// Put makes one attempt to set a key whose revision is still the one given, 0
// for a key that was never set, and returns the new revision. An empty value
// removes what was there.
//
//   - [ErrFenced]: not set. Somebody else has set the key since.
//   - [ErrMaybeStored]: unknown; Get tells.
//   - any other error: not set.
func (c *Conn) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return c.PutFor(ctx, key, value, revision, 0)
}

// PutFor is Put of a value that the server removes after ttl, in whole seconds; 0 is
// never. A watch learns of that removal late.
func (c *Conn) PutFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	return c.put(ctx, proto.StreamOfKey(key), proto.StateSubject(key), value, revision, ttl)
}

// put is PutFor for a subject of a bucket's stream.
func (c *Conn) put(ctx context.Context, stream, subject string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	msg := &nats.Msg{Subject: subject, Data: value, Header: nats.Header{}}
	msg.Header.Set(jetstream.ExpectedStreamHeader, stream)
	msg.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(revision, 10))
	if len(value) == 0 {
		msg.Header.Set(headerOperation, "DEL")
	}
	if ttl > 0 {
		msg.Header.Set(jetstream.MsgTTLHeader, max(ttl, time.Second).Truncate(time.Second).String())
	}
	a, err := c.store(ctx, []*nats.Msg{msg})
	if err != nil {
		return 0, fmt.Errorf("setting state %s: %w", proto.StateKey(subject), err)
	}
	return a.Sequence, nil
}

// headerOperation tells clients' key-value APIs that a value was removed (NATS
// ADR-8).
const headerOperation = "KV-Operation"
