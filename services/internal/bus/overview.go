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
	Now      time.Time // by the server's clock
	Streams  []StreamState
	Durables []DurableState
}

// StreamState is one stream of package proto. Err, if set, says why there is
// nothing to say about it: it wraps [ErrNotProvisioned] or is a [*SchemaError]
// where provisioning would help.
type StreamState struct {
	Name     string
	Err      error
	Asked    time.Time // by the server's clock
	Messages uint64
	Bytes    uint64
	MaxBytes int64
	MaxAge   time.Duration
	// DiscardsOld says that the oldest messages go when it is full, rather than new
	// ones being refused.
	DiscardsOld bool
	First       uint64    // sequence of the oldest message
	Last        uint64    // sequence of the newest message
	Oldest      time.Time // zero in an empty stream
	Newest      time.Time
	Copies      []Copy // on other servers; empty for a stream that has none
}

// Copy is a stream's copy on another server of a cluster.
type Copy struct {
	Server  string
	Current bool // has all that the stream's leader has
	Offline bool // the cluster has lost contact with it
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
	// Successor is the chat that was configured in the place of this durable's and
	// gets what waits here; empty for none.
	Successor string
	// Unused says why nobody needs to fetch from it, "" if somebody should.
	// [Overview.Expect] sets it.
	Unused string
}

// String names it as a person must read it: a sink has durables of one name in
// several streams.
func (d DurableState) String() string { return d.Name + " of " + d.Stream }

// Active reports whether a process consumes it. One at work has no
// fetch open while it deals with what it got.
func (d DurableState) Active() bool { return d.Waiting > 0 || d.Progress.Unacked > 0 }

// Overview asks for the state of the streams of package proto, of these, and of those
// of sources that exist besides, and for that of all their durables. It returns an
// error only if the bus cannot be asked at all.
func (c *Conn) Overview(ctx context.Context, more ...proto.Stream) (Overview, error) {
	names, err := c.streamNames(ctx)
	if err != nil {
		return Overview{}, err
	}
	var wanted []string
	for _, def := range append(proto.Streams(), more...) {
		wanted = append(wanted, def.Name)
	}
	for _, name := range slices.Concat(proto.SecurityStreams(names), proto.AlertStreams(names)) {
		if !slices.Contains(wanted, name) {
			wanted = append(wanted, name)
		}
	}
	var o Overview
	var permission *PermissionError
	for _, name := range wanted {
		s, err := c.streamState(ctx, name)
		switch {
		case errors.As(err, &permission): // of a source that is not configured any more
			s = StreamState{Name: name, Err: err}
		case err != nil:
			return Overview{}, fmt.Errorf("asking for stream %s: %w", name, err)
		}
		o.Streams = append(o.Streams, s)
		if s.Asked.After(o.Now) {
			o.Now = s.Asked
		}
	}
	for _, stream := range o.Streams {
		if stream.Err != nil {
			continue
		}
		durables, _, err := c.durables(ctx, stream.Name)
		if errors.As(err, &permission) {
			continue // a role need not be concerned with all
		}
		if err != nil {
			return Overview{}, fmt.Errorf("listing the durables of %s: %w", stream.Name, err)
		}
		for _, info := range durables {
			d := durableState(info, stream.First)
			sink, _, _ := laneOf(info.Name)
			for _, other := range durables {
				if other.Config.Metadata[proto.MetadataPredecessor] == sink {
					d.Successor, _, _ = laneOf(other.Name)
				}
			}
			o.Durables = append(o.Durables, d)
		}
	}
	return o, nil
}

// Alerts returns the names of the streams that hold alerts for delivery, and Security
// those of the streams that together hold every alert and event once, as far as they
// exist ([proto.AlertStreams], [proto.SecurityStreams]).
func (o Overview) Alerts() []string { return proto.AlertStreams(o.names()) }

// Security is described with Alerts.
func (o Overview) Security() []string { return proto.SecurityStreams(o.names()) }

func (o Overview) names() []string {
	var names []string
	for _, s := range o.Streams {
		if s.Err == nil {
			names = append(names, s.Name)
		}
	}
	return names
}

// Expect returns all durables, those of defs that are not provisioned included, and
// says which of them nobody needs to fetch from.
func (o Overview) Expect(defs []proto.Consumer) []DurableState {
	all := append(slices.Clone(o.Durables), o.missing(defs)...)
	standby := func(name string) bool {
		return slices.ContainsFunc(defs, func(def proto.Consumer) bool { return def.Standby && def.Durable == name })
	}
	busy := make(map[string]bool) // services that fetch from another durable
	for _, d := range all {
		if d.Active() && !standby(d.Name) {
			busy[ConsumerRole(d.Name)] = true
		}
	}
	for i := range all {
		switch d := &all[i]; {
		case d.Active() || d.Err != nil:
		case standby(d.Name) && busy[ConsumerRole(d.Name)]:
			d.Unused = "the " + ConsumerRole(d.Name) + " delivers elsewhere"
		case d.Successor != "":
			d.Unused = d.Successor + " has taken the place of its chat, and gets what waits here"
		}
	}
	return all
}

// missing returns those of defs that are not provisioned.
func (o Overview) missing(defs []proto.Consumer) []DurableState {
	var missing []DurableState
	for _, def := range defs {
		if retired(def.Stream) && !slices.ContainsFunc(o.Streams, func(s StreamState) bool { return s.Name == def.Stream }) {
			continue
		}
		if !slices.ContainsFunc(o.Durables, func(d DurableState) bool { return d.Name == def.Durable && d.Stream == def.Stream }) {
			missing = append(missing, DurableState{Name: def.Durable, Stream: def.Stream, Err: ErrNotProvisioned})
		}
	}
	return missing
}

// Stream asks for the state of one stream. Its Err is as in an [Overview].
func (c *Conn) Stream(ctx context.Context, name string) (StreamState, error) {
	state, err := c.streamState(ctx, name)
	if err != nil {
		return StreamState{}, fmt.Errorf("asking for the state of %s: %w", name, err)
	}
	return state, nil
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
		Name:        name,
		Err:         checkVersion("stream "+name, info.Config.Metadata),
		Asked:       info.TimeStamp,
		Messages:    info.State.Msgs,
		Bytes:       info.State.Bytes,
		MaxBytes:    info.Config.MaxBytes,
		MaxAge:      info.Config.MaxAge,
		DiscardsOld: info.Config.Discard == jetstream.DiscardOld,
		First:       info.State.FirstSeq,
		Last:        info.State.LastSeq,
		Oldest:      info.State.FirstTime,
		Newest:      info.State.LastTime,
		Copies:      copies(info.Cluster),
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
