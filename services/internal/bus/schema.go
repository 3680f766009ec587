package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
)

// CheckSchema finds out whether stream is what this program expects. It returns
// an error that wraps [ErrNotProvisioned] if there is none, and a
// [*SchemaError] if it was provisioned for another version of the protocol.
func (c *Conn) CheckSchema(ctx context.Context, stream string) error {
	info, err := c.streamInfo(ctx, stream)
	if err != nil {
		return fmt.Errorf("checking stream %s: %w", stream, err)
	}
	return checkVersion("stream "+stream, info.Config.Metadata)
}

// Created returns when stream was created: it tells a stream from another of the
// same name that took its place.
func (c *Conn) Created(ctx context.Context, stream string) (time.Time, error) {
	info, err := c.streamInfo(ctx, stream)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking when stream %s was created: %w", stream, err)
	}
	return info.Created, nil
}

// Retired returns the last message that a source had stored, under filter, when one
// stream held what all sources published, nil if there is none, and when that stream
// was created. A bus that has been upgraded keeps it until it has aged out.
func (c *Conn) Retired(ctx context.Context, filter string) (last *Stored, created time.Time, err error) {
	created, err = c.Created(ctx, proto.StreamSecurity)
	if errors.Is(err, ErrNotProvisioned) {
		return nil, time.Time{}, nil
	}
	if err == nil {
		last, err = c.lastBySubject(ctx, proto.StreamSecurity, filter)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("looking up the last message under %s of an earlier version: %w", filter, err)
	}
	return last, created, nil
}

func checkVersion(name string, metadata map[string]string) error {
	if have := schemaVersion(metadata); have != proto.SchemaVersion {
		return &SchemaError{Name: name, Have: have, Want: proto.SchemaVersion}
	}
	return nil
}

// schemaVersion is 0 for what this project did not provision.
func schemaVersion(metadata map[string]string) int {
	v, err := strconv.Atoi(metadata[proto.MetadataSchema])
	if err != nil || v < 1 {
		return 0
	}
	return v
}

func (c *Conn) streamInfo(ctx context.Context, stream string, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, end := c.beginOn(ctx, "$JS.API.STREAM.INFO."+stream)
	defer end()
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return nil, c.missing(ctx, err)
	}
	if len(opts) == 0 {
		return s.CachedInfo(), nil
	}
	info, err := s.Info(ctx, opts...)
	if err != nil {
		return nil, c.missing(ctx, err)
	}
	return info, nil
}

func (c *Conn) consumerInfo(ctx context.Context, stream, durable string) (*jetstream.ConsumerInfo, error) {
	ctx, end := c.beginOn(ctx, "$JS.API.CONSUMER.INFO."+stream+"."+durable)
	defer end()
	consumer, err := c.js.Consumer(ctx, stream, durable)
	if err != nil {
		return nil, c.missing(ctx, err)
	}
	return consumer.CachedInfo(), nil
}

// durables lists a stream's durables, and tells the stream's last sequence.
func (c *Conn) durables(ctx context.Context, stream string) ([]*jetstream.ConsumerInfo, uint64, error) {
	info, err := c.streamInfo(ctx, stream)
	if err != nil {
		return nil, 0, err
	}
	ctx, end := c.beginOn(ctx, "$JS.API.CONSUMER.LIST."+stream)
	defer end()
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return nil, 0, c.missing(ctx, err)
	}
	var all []*jetstream.ConsumerInfo
	list := s.ListConsumers(ctx)
	for d := range list.Info() {
		all = append(all, d)
	}
	if err := list.Err(); err != nil {
		return nil, 0, c.missing(ctx, err)
	}
	return all, info.State.LastSeq, nil
}

// missing is outcome for a question about a stream or a durable.
func (c *Conn) missing(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrConsumerNotFound):
		return fmt.Errorf("%w: %w", ErrNotProvisioned, err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("JetStream does not reply: %w", err)
	default:
		return c.outcome(ctx, err)
	}
}
