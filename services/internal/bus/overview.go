package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
	Copies   []Copy // on other servers; empty for a stream that has none
}

// Copy is a stream's copy on another server of a cluster.
type Copy struct {
	Server  string
	Current bool // has all that the stream's leader has
	Offline bool // has not been heard of lately
}

// DurableState is one durable.
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
	// Filters are the subject patterns that it takes; empty for all.
	Filters []string
	// Next is the first sequence of which it may not have acknowledged the
	// message.
	Next uint64
}

// Active reports whether somebody takes what comes. A consumer at work has no
// fetch open while it deals with what it got.
func (d DurableState) Active() bool { return d.Waiting > 0 || d.Progress.Unacked > 0 }

// Overview asks for the state of the streams of package proto and of all their
// durables. It
// returns an error only if the bus cannot be asked at all.
func (c *Conn) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	for _, def := range proto.Streams() {
		s, err := c.streamState(ctx, def.Name)
		if err != nil {
			return Overview{}, fmt.Errorf("asking for stream %s: %w", def.Name, err)
		}
		o.Streams = append(o.Streams, s)
	}
	for _, stream := range o.Streams {
		if stream.Err != nil {
			continue
		}
		durables, _, err := c.durables(ctx, stream.Name)
		if err != nil {
			return Overview{}, fmt.Errorf("listing the durables of %s: %w", stream.Name, err)
		}
		for _, info := range durables {
			o.Durables = append(o.Durables, durableState(info, stream.First))
		}
	}
	for _, def := range proto.Consumers() {
		if !slices.ContainsFunc(o.Durables, func(d DurableState) bool { return d.Name == def.Durable }) {
			o.Durables = append(o.Durables, DurableState{Name: def.Durable, Stream: def.Stream, Err: ErrNotProvisioned})
		}
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
		Copies:   copies(info.Cluster),
	}, nil
}

func copies(cluster *jetstream.ClusterInfo) []Copy {
	if cluster == nil {
		return nil
	}
	var all []Copy
	for _, r := range cluster.Replicas {
		all = append(all, Copy{Server: r.Name, Current: r.Current, Offline: r.Offline})
	}
	return all
}

// durableState describes a durable, given the first sequence of its stream.
func durableState(info *jetstream.ConsumerInfo, first uint64) DurableState {
	d := DurableState{
		Name:     info.Name,
		Stream:   info.Stream,
		Err:      checkVersion("durable "+info.Name, info.Config.Metadata),
		Progress: progress(info),
		Waiting:  info.NumWaiting,
		Filters:  info.Config.FilterSubjects,
		// One that began behind the oldest message has missed nothing before it.
		Next: max(info.AckFloor.Stream+1, info.Config.OptStartSeq),
	}
	if f := info.Config.FilterSubject; f != "" {
		d.Filters = []string{f}
	}
	if first > d.Next {
		d.Evicted = first - d.Next
	}
	return d
}
