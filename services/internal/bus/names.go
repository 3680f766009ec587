package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/openclaw-security/bus/proto"
)

const streamNames = "$JS.API.STREAM.NAMES"

// AlertStreams asks for the streams that hold alerts to be delivered: sorted, and
// that of earlier versions last ([proto.AlertStreams]). A source that is added gets
// a stream while others read: ask again from time to time.
func (c *Conn) AlertStreams(ctx context.Context) ([]string, error) {
	names, err := c.streamNames(ctx)
	return proto.AlertStreams(names), err
}

// SecurityStreams asks for the streams that together hold every alert and event
// once: sorted, and that of earlier versions last ([proto.SecurityStreams]).
func (c *Conn) SecurityStreams(ctx context.Context) ([]string, error) {
	names, err := c.streamNames(ctx)
	return proto.SecurityStreams(names), err
}

// streamNames returns the names of all streams, page by page.
func (c *Conn) streamNames(ctx context.Context) ([]string, error) {
	ctx, end := c.beginOn(ctx, streamNames)
	defer end()
	var names []string
	for {
		body, err := json.Marshal(map[string]int{"offset": len(names)})
		if err != nil {
			return nil, fmt.Errorf("asking for the streams: %w", err)
		}
		reply, err := c.nc.RequestWithContext(ctx, streamNames, body)
		if err != nil {
			return nil, fmt.Errorf("asking for the streams: %w", c.missing(ctx, err))
		}
		var page struct {
			Error   *jetstream.APIError `json:"error"`
			Total   int                 `json:"total"`
			Streams []string            `json:"streams"`
		}
		if err := json.Unmarshal(reply.Data, &page); err != nil {
			return nil, fmt.Errorf("reading the names of the streams: %w", err)
		}
		if page.Error != nil {
			return nil, fmt.Errorf("asking for the streams: %w", page.Error)
		}
		names = append(names, page.Streams...)
		if len(page.Streams) == 0 || len(names) >= page.Total {
			return names, nil
		}
	}
}
