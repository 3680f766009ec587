package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// succession is for how long after a chat was served last its place can be taken.
// Longer, and a chat that is added would begin with what waited for one that was
// given up.
const succession = 7 * 24 * time.Hour

// begins says where new durables of streams of alerts begin, each behind a
// sequence. A chat that is configured in place of another one, because an id was
// corrected or a group has moved, begins where that one stands: what waits for a chat
// is not skipped because other sinks have delivered it. Any other sink begins where
// the most advanced one stands.
type begins struct {
	others     map[string]uint64            // by stream, where the most advanced sink stands
	durables   map[durable]position         // that there are
	successors map[string]predecessor       // by the name of the chat that is new
	metadata   map[string]map[string]string // of one durable of each sink
}

// durable names a durable.
type durable struct{ stream, name string }

// position is where a durable stands.
type position struct {
	after   uint64 // it has nothing left to do up to this sequence
	waiting uint64 // messages
}

// predecessor is a chat that is not configured any more.
type predecessor struct {
	chat  string // whose durables say where it stands
	state string // whose state is to be continued; chat's own, or that of one before it
}

// of returns the sequence that a new durable begins behind, and the chat whose state
// its sink continues, "" for none.
func (b begins) of(def proto.Consumer) (after uint64, chat string) {
	chat, lane, isLane := laneOf(def.Durable)
	from, succeeds := b.successors[chat]
	if before := b.metadata[chat][proto.MetadataPredecessor]; before != "" {
		// This durable was not created when the others of the chat were.
		from, succeeds = predecessor{before, before}, true
	}
	if !isLane || !succeeds {
		return b.others[def.Stream], ""
	}
	if at, ok := b.durables[durable{def.Stream, RoleNotifier + "-" + from.chat + lane}]; ok {
		return at.after, from.state
	}
	return b.others[def.Stream], from.state
}

// begins asks for what decides where durables that are new among defs begin.
func (c *Conn) begins(ctx context.Context, defs []proto.Consumer) (begins, error) {
	b := begins{
		others:     make(map[string]uint64),
		durables:   make(map[durable]position),
		successors: make(map[string]predecessor),
		metadata:   make(map[string]map[string]string),
	}
	var streams []string
	for _, def := range defs {
		streams = append(streams, def.Stream)
	}
	slices.Sort(streams)
	for _, stream := range proto.AlertStreams(slices.Compact(streams)) {
		if err := b.read(ctx, c, stream); err != nil {
			return begins{}, err
		}
	}
	configured, succeeded := make(map[string]bool), make(map[string]bool)
	var added []string // chats, as they are configured
	for _, def := range defs {
		chat, _, isLane := laneOf(def.Durable)
		if isLane && !configured[chat] && b.metadata[chat] == nil {
			added = append(added, chat)
		}
		configured[chat] = true
	}
	for _, metadata := range b.metadata {
		succeeded[metadata[proto.MetadataPredecessor]] = true
	}
	waiting := make(map[string]uint64) // for chats that are not configured any more
	for d, at := range b.durables {
		if chat, _, isLane := laneOf(d.name); isLane && !configured[chat] && !succeeded[chat] {
			waiting[chat] += at.waiting
		}
	}
	// The first one that is added continues where most waits.
	former := slices.SortedFunc(maps.Keys(waiting), func(x, y string) int {
		return cmp.Or(cmp.Compare(waiting[y], waiting[x]), cmp.Compare(x, y))
	})
	for _, chat := range former {
		if len(b.successors) == len(added) {
			break
		}
		p, ok, err := c.mayBeSucceeded(ctx, chat, b.metadata)
		if err != nil {
			return begins{}, err
		}
		if ok {
			b.successors[added[len(b.successors)]] = p
		}
	}
	return b, nil
}

// read reads where the durables of a stream stand.
func (b begins) read(ctx context.Context, c *Conn, stream string) error {
	all, last, err := c.durables(ctx, stream)
	if errors.Is(err, ErrNotProvisioned) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking where the sinks of %s stand: %w", stream, err)
	}
	sinks := make(map[string]uint64)
	for _, d := range all {
		at := position{after: d.AckFloor.Stream, waiting: d.NumPending + uint64(max(0, d.NumAckPending))}
		if at.waiting == 0 {
			at.after = last
		}
		b.durables[durable{stream, d.Name}] = at
		sink, _, _ := laneOf(d.Name)
		if b.metadata[sink][proto.MetadataPredecessor] == "" {
			b.metadata[sink] = d.Config.Metadata
		}
		// The lanes of a sink are as far as the one that is behind.
		if other, ok := sinks[sink]; ok {
			at.after = min(at.after, other)
		}
		sinks[sink] = at.after
	}
	for _, at := range sinks {
		b.others[stream] = max(b.others[stream], at)
	}
	return nil
}

// mayBeSucceeded finds out whether a chat was served lately, and whose state the
// chat in its place continues. One that never was served may not have got round
// to continuing its own predecessor's.
func (c *Conn) mayBeSucceeded(ctx context.Context, chat string, metadata map[string]map[string]string) (p predecessor, ok bool, err error) {
	p = predecessor{chat: chat, state: chat}
	for range metadata { // a bound: each is asked about once
		lease, err := c.lastBySubject(ctx, proto.StreamState, proto.StateSubject(proto.KeyDeliveryLease(p.state)))
		if err != nil {
			return p, false, fmt.Errorf("asking when %s was served: %w", p.state, err)
		}
		if lease != nil {
			return p, time.Since(lease.Time) < succession, nil
		}
		before := metadata[p.state][proto.MetadataPredecessor]
		if before == "" {
			break // earlier versions had no leases: it may be served still
		}
		p.state = before
	}
	return p, true, nil
}

// laneOf returns the chat, and the end of the name for the lane, that a durable of
// [proto.LaneConsumers] is for; for any other durable the sink that it is for.
func laneOf(durable string) (sink, lane string, ok bool) {
	sink = strings.TrimPrefix(durable, RoleNotifier+"-")
	for _, lane := range []string{"-critical", "-urgent", "-routine"} {
		if chat, ok := strings.CutSuffix(sink, lane); ok {
			return chat, lane, true
		}
	}
	return sink, "", false
}

// Predecessor returns the name of the sink whose state the sink of this durable
// continues, "" for none.
func (c *Conn) Predecessor(ctx context.Context, stream, durable string) (string, error) {
	info, err := c.consumerInfo(ctx, stream, durable)
	if err != nil {
		return "", fmt.Errorf("asking whom durable %s succeeds: %w", durable, err)
	}
	return info.Config.Metadata[proto.MetadataPredecessor], nil
}
