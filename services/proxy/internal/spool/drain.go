package spool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
	"github.com/openclaw-security/bus/services/internal/publish"
	"github.com/openclaw-security/bus/services/internal/retry"
)

// flushTime bounds what Run does after its context is done. What it does not get
// done waits on disk for the next start.
const flushTime = 2 * time.Second

// headerRoom is what a message's headers may take of the server's payload limit,
// which counts them too.
const headerRoom = 2 << 10

// Run publishes what the Spool takes, until ctx is done, and then for at most two
// seconds what is left. It waits out an absent server and a full stream; it
// returns an error if the bus refuses for good ([bus.Permanent]), if another
// process publishes under the same name ([publish.ErrFenced]), or if the spool
// cannot be read. Records that are not published by then are published by the
// next Run, of this process or the next.
func (s *Spool) Run(ctx context.Context, conn *bus.Conn) error {
	group, ctx := errgroup.WithContext(ctx)
	outlive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() { time.AfterFunc(flushTime, cancel) })
	for _, box := range []*outbox{s.audits, s.alerts} {
		group.Go(func() error {
			err := s.drain(ctx, outlive, box, conn)
			if err == nil || outlive.Err() != nil {
				return nil // stopped, and what that broke off is tried again at the next start
			}
			return fmt.Errorf("publishing to %s: %w", box.stream, err)
		})
	}
	err := group.Wait()
	if n := s.audits.queue.Stats().Waiting + s.alerts.queue.Stats().Waiting; n > 0 {
		s.log.Info("records wait on disk for the next start", "records", n)
	}
	return err
}

// drain publishes an outbox's records until ctx is done and none is left, or
// outlive is done.
func (s *Spool) drain(ctx, outlive context.Context, from *outbox, conn *bus.Conn) error {
	d := &drainer{spool: s, outbox: from, limit: conn.MaxPayload() - headerRoom}
	fence := bus.NewFence(conn, from.stream, proto.SourceFilter(s.host, Source))
	err := publish.Run(outlive, fence, s.log.With("stream", from.stream), d, func(p *publish.Publisher, last *bus.Stored) error {
		if last == nil && from == s.alerts {
			var err error
			if last, err = s.retired(outlive, conn); err != nil {
				return err
			}
		}
		checkpoint := ""
		if last != nil {
			checkpoint = proto.SourceCheckpoint(last.Header)
		}
		return d.run(ctx, outlive, p, checkpoint)
	})
	if errors.Is(err, publish.ErrFenced) {
		return fmt.Errorf("another proxy publishes under this name: %w; stop one of the two, or give them different values of OPENCLAW_HOST", err)
	}
	return err
}

// retired returns the last alert that was stored when one stream held what all
// sources published. It waits for the bus to answer, and passes on why it waits.
func (s *Spool) retired(ctx context.Context, conn *bus.Conn) (last *bus.Stored, err error) {
	err = retry.Do(ctx, retry.Policy{Min: flushTime / 10, Max: flushTime}, func(ctx context.Context) (err error) {
		last, _, err = conn.Retired(ctx, proto.SourceFilter(s.host, Source))
		if ctx.Err() == nil {
			s.onState(AlertsStream, err)
		}
		if bus.Permanent(err) {
			return retry.Permanent(err)
		}
		return err
	})
	return last, err
}

// drainer publishes an outbox's records from where the stream stands.
type drainer struct {
	spool  *Spool
	outbox *outbox
	limit  int // bytes of payload that the server takes
}

func (d *drainer) run(ctx, outlive context.Context, publisher *publish.Publisher, checkpoint string) error {
	reader, found, err := d.outbox.queue.ReadFrom(checkpoint)
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	defer reader.Close()
	d.spool.log.Info("publishing from the spool", "stream", d.outbox.stream, "checkpoint", checkpoint,
		"found", found, "waiting", d.outbox.queue.Stats().Waiting)
	for {
		entries, err := reader.Next(ctx, proto.MaxBatch, bus.MaxBatchBytes)
		if err != nil {
			return fmt.Errorf("reading the spool: %w", err)
		}
		if len(entries) == 0 {
			return nil
		}
		if msgs := d.messages(entries); len(msgs) > 0 {
			if err := publisher.Publish(outlive, msgs); err != nil {
				return err
			}
		}
		d.outbox.queue.Done(entries[len(entries)-1].End)
	}
}

// messages makes a message of each entry, but for those that the server would
// not take: one of them must not stop the rest.
func (d *drainer) messages(entries []entry) []*nats.Msg {
	msgs := make([]*nats.Msg, 0, len(entries))
	for _, e := range entries {
		if len(e.Payload) > d.limit {
			d.spool.lose(d.outbox, lostOversize, 1)
			d.spool.log.Error("a record is larger than the server takes; it is dropped",
				"id", e.ID, "subject", e.Subject, "bytes", len(e.Payload), "limit", d.limit)
			continue
		}
		msgs = append(msgs, &nats.Msg{
			Subject: e.Subject,
			Header: nats.Header{
				proto.HeaderEventID:    {e.ID},
				proto.HeaderCheckpoint: {e.End.String()},
			},
			Data: e.Payload,
		})
	}
	return msgs
}

var _ publish.Observer = (*drainer)(nil)

// Stored counts what was published.
func (d *drainer) Stored(messages int, _ time.Duration) {
	d.outbox.metrics.published.Add(float64(messages))
}

// Waiting passes on why nothing can be published.
func (d *drainer) Waiting(err error) { d.spool.onState(d.outbox.stream, err) }

// Fenced counts the encounters with another process.
func (d *drainer) Fenced() { d.outbox.metrics.fenced.Inc() }
