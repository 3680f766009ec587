package audit

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
	"github.com/openclaw-security/bus/services/proxy/internal/audit/spool"
)

// flushTime bounds what Run does after its context is done. What it does not get
// done waits on disk for the next start.
const flushTime = 2 * time.Second

// A process that was killed can leave a publish under way that is stored only
// after its successor has looked up where the stream stands. The successor is
// then fenced off by its own predecessor and looks again, at most this often,
// before it takes the other for a living competitor.
const (
	maxResumes  = 5
	resumePause = 200 * time.Millisecond
)

// headerRoom is what a message's headers may take of the server's payload limit,
// which counts them too.
const headerRoom = 2 << 10

// Run publishes what the Log takes, until ctx is done, and then for at most two
// seconds what is left. It waits out an absent server and a full stream; it
// returns an error if the bus refuses for good ([bus.Permanent]), if another
// process publishes under the same name ([publish.ErrFenced]), or if the spool
// cannot be read. Records that are not published by then are published by the
// next Run, of this process or the next.
func (l *Log) Run(ctx context.Context, conn *bus.Conn) error {
	group, ctx := errgroup.WithContext(ctx)
	outlive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() { time.AfterFunc(flushTime, cancel) })
	for _, lane := range []*lane{l.audits, l.alerts} {
		group.Go(func() error {
			err := l.drain(ctx, outlive, lane, conn)
			if err == nil || outlive.Err() != nil {
				return nil // told to stop, whatever that broke off
			}
			return fmt.Errorf("publishing to %s: %w", lane.stream, err)
		})
	}
	err := group.Wait()
	if n := l.audits.spool.Stats().Waiting + l.alerts.spool.Stats().Waiting; n > 0 {
		l.log.Info("records wait on disk for the next start", "records", n)
	}
	return err
}

// drain publishes a lane's records until ctx is done and none is left, or
// outlive is done.
func (l *Log) drain(ctx, outlive context.Context, from *lane, conn *bus.Conn) error {
	for resumes := 0; ; resumes++ {
		d := &drainer{log: l, lane: from, limit: conn.MaxPayload() - headerRoom}
		err := d.run(ctx, outlive, conn)
		if !errors.Is(err, publish.ErrFenced) {
			return err
		}
		if d.stored > 0 || resumes == maxResumes {
			return fmt.Errorf("another proxy publishes under this name: %w; stop one of the two, or give them different values of OPENCLAW_HOST", err)
		}
		select {
		case <-time.After(resumePause):
		case <-outlive.Done():
			return outlive.Err()
		}
	}
}

// drainer publishes a lane's records from where the stream stands.
type drainer struct {
	log    *Log
	lane   *lane
	limit  int // bytes of payload that the server takes
	stored int
}

func (d *drainer) run(ctx, outlive context.Context, conn *bus.Conn) error {
	fence := bus.NewFence(conn, d.lane.stream, proto.SourceFilter(d.log.host, Source))
	publisher := publish.New(fence, d.log.log.With("stream", d.lane.stream), d)
	checkpoint, _, err := publisher.Resume(outlive)
	if err != nil {
		return err
	}
	reader, found, err := d.lane.spool.ReadFrom(checkpoint)
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	defer reader.Close()
	d.log.log.Info("publishing from the spool", "stream", d.lane.stream, "checkpoint", checkpoint,
		"found", found, "waiting", d.lane.spool.Stats().Waiting)
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
		d.lane.spool.Done(entries[len(entries)-1].End)
	}
}

// messages makes a message of each entry, but for those that the server would
// not take: one of them must not stop the rest.
func (d *drainer) messages(entries []spool.Entry) []*nats.Msg {
	msgs := make([]*nats.Msg, 0, len(entries))
	for _, e := range entries {
		if len(e.Payload) > d.limit {
			d.log.lose(d.lane, lostOversize, 1)
			d.log.log.Error("a record is larger than the server takes; it is dropped",
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
	d.stored += messages
	d.lane.metrics.published.Add(float64(messages))
}

// Waiting passes on why nothing can be published.
func (d *drainer) Waiting(err error) { d.log.onState(d.lane.stream, err) }

// Fenced counts the encounters with another process.
func (d *drainer) Fenced() { d.lane.metrics.fenced.Inc() }
