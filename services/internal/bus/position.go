package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
)

// sinksPosition returns the sequence in [proto.StreamAlerts] that the most
// advanced sink has reached, 0 if there is none. A sink that is added begins
// behind it: what was delivered is not delivered again in a flood, and what
// nobody has delivered yet is not skipped.
func (c *Conn) sinksPosition(ctx context.Context) (uint64, error) {
	durables, last, err := c.durables(ctx, proto.StreamAlerts)
	if errors.Is(err, ErrNotProvisioned) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking where the sinks stand: %w", err)
	}
	// The lanes of a sink are as far as the one that is behind.
	sinks := make(map[string]uint64)
	for _, d := range durables {
		at := d.AckFloor.Stream
		if d.NumPending == 0 && d.NumAckPending == 0 {
			at = last
		}
		sink := strings.TrimSuffix(strings.TrimSuffix(d.Name, "-urgent"), "-routine")
		if other, ok := sinks[sink]; ok {
			at = min(at, other)
		}
		sinks[sink] = at
	}
	var position uint64
	for _, at := range sinks {
		position = max(position, at)
	}
	return position, nil
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
