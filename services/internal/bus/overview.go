package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Overview is the state of the bus at one moment.
type Overview struct {
	Streams  []StreamState
	Durables []DurableState
}

// StreamState is one stream of package proto. Err, if set, says why there is
// nothing to say about it: it wraps [ErrNotProvisioned] or is a [*SchemaError]
// where provisioning would help.
type StreamState struct {
	Name     string
	Err      error
	Messages uint64
	Bytes    uint64
	MaxBytes int64
	MaxAge   time.Duration
	First    uint64    // sequence of the oldest message
	Last     uint64    // sequence of the newest message
	Oldest   time.Time // zero in an empty stream
	Newest   time.Time
}

// DurableState is one durable of package proto.
type DurableState struct {
	Name     string
	Stream   string
	Err      error // as in StreamState
	Progress Progress
	// Waiting counts open fetches: somebody is there to take the next message.
	Waiting int
	// Evicted counts messages that retention has removed before they were
	// acknowledged, as far as that can still be seen.
	Evicted uint64
}

// Overview asks for the state of every stream and durable of package proto. It
// returns an error only if the bus cannot be asked at all.
func (c *Conn) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	first := make(map[string]uint64)
	for _, def := range proto.Streams() {
		s, err := c.streamState(ctx, def.Name)
		if err != nil {
			return Overview{}, fmt.Errorf("asking for stream %s: %w", def.Name, err)
		}
		first[def.Name] = s.First
		o.Streams = append(o.Streams, s)
	}
	for _, def := range proto.Consumers() {
		d, err := c.durableState(ctx, def, first[def.Stream])
		if err != nil {
			return Overview{}, fmt.Errorf("asking for durable %s: %w", def.Durable, err)
		}
		o.Durables = append(o.Durables, d)
	}
	return o, nil
}

func (c *Conn) streamState(ctx context.Context, name string) (StreamState, error) {
	info, err := c.streamInfo(ctx, name)
	if errors.Is(err, ErrNotProvisioned) {
		return StreamState{Name: name, Err: err}, nil
	}
	if err != nil {
		return StreamState{}, err
	}
	return StreamState{
		Name:     name,
		Err:      checkVersion("stream "+name, info.Config.Metadata),
		Messages: info.State.Msgs,
		Bytes:    info.State.Bytes,
		MaxBytes: info.Config.MaxBytes,
		MaxAge:   info.Config.MaxAge,
		First:    info.State.FirstSeq,
		Last:     info.State.LastSeq,
		Oldest:   info.State.FirstTime,
		Newest:   info.State.LastTime,
	}, nil
}

// durableState describes the durable def, given the first sequence of its stream.
func (c *Conn) durableState(ctx context.Context, def proto.Consumer, first uint64) (DurableState, error) {
	d := DurableState{Name: def.Durable, Stream: def.Stream}
	info, err := c.consumerInfo(ctx, def.Stream, def.Durable)
	if errors.Is(err, ErrNotProvisioned) {
		d.Err = err
		return d, nil
	}
	if err != nil {
		return DurableState{}, err
	}
	d.Err = checkVersion("durable "+def.Durable, info.Config.Metadata)
	d.Progress = progress(info)
	d.Waiting = info.NumWaiting
	if next := d.Progress.AckedThrough + 1; first > next {
		d.Evicted = first - next
	}
	return d, nil
}
