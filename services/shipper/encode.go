package shipper

import (
	"path/filepath"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
)

// headerRoom is what a message's headers may take of the server's payload
// limit, which counts them too: ids, a checkpoint of several files, and the
// server's own batch and expectation headers.
const headerRoom = 8 << 10

// encoder turns lines into messages ready to publish.
type encoder struct {
	normalize *normalize.Normalizer
	rules     *rules.Engine
	limit     int // the server's payload limit, bytes
	metrics   *metrics
	event     proto.Event
}

// encode makes one message of each line of the batch, in order, but for those
// whose events local rules drop: the next message's checkpoint covers them. The
// messages share nothing with the batch, whose text is valid only until the next
// read.
func (x *encoder) encode(batch *follow.Batch) []*nats.Msg {
	msgs := make([]*nats.Msg, 0, len(batch.Lines))
	var checkpoint []byte
	for i := range batch.Lines {
		x.normalizeLine(&batch.Lines[i])
		drop, matched := x.rules.Apply(&x.event)
		x.metrics.ruled(drop, matched)
		if drop {
			continue
		}
		payload := x.payload()
		checkpoint = batch.AppendCheckpoint(checkpoint[:0], i)
		subject := x.event.Subject()
		x.metrics.encoded(subject, &x.event)
		msgs = append(msgs, &nats.Msg{
			Subject: subject.Ingest(),
			Header: nats.Header{
				proto.HeaderEventID:    {x.event.ID},
				proto.HeaderCheckpoint: {string(checkpoint)},
			},
			Data: payload,
		})
	}
	return msgs
}

// normalizeLine fills x.event from what the follower found.
func (x *encoder) normalizeLine(l *follow.Line) {
	origin := proto.Origin{File: filepath.Base(l.File), Generation: l.Generation, Offset: l.Start}
	switch l.Kind {
	case follow.Complete:
		x.normalize.Event(&x.event, l.Text, origin)
	case follow.Gap:
		x.normalize.Gap(&x.event, proto.Gap{From: l.Start, To: l.End, Reason: l.Reason}, origin)
	default:
		x.normalize.Unparsed(&x.event, l.Text, l.End-l.Start, l.Reason, origin)
	}
}

// payload encodes x.event, within what the server takes.
func (x *encoder) payload() []byte {
	const overhead = 1 << 10 // of the normalized fields, as a first guess
	payload := x.event.AppendJSON(make([]byte, 0, len(x.event.Raw)+overhead))
	if limit := x.limit - headerRoom; len(payload) > limit {
		normalize.Oversize(&x.event, limit)
		payload = x.event.AppendJSON(payload[:0])
		x.metrics.oversize.Inc()
	}
	return payload
}
