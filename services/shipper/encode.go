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
	lookout   *lookout
	event     proto.Event

	// position is the checkpoint up to which everything has been encoded.
	position string
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
		x.lookout.record(&x.event)
		if x.dropped() {
			continue
		}
		checkpoint = batch.AppendCheckpoint(checkpoint[:0], i)
		msgs = append(msgs, x.message(string(checkpoint)))
	}
	return msgs
}

// encodeAlarms makes one message of each alarm. Their checkpoint is where the
// source stands before the batch that is encoded next, so that they belong in
// front of it: if the process is killed between the two, an alarm is found again,
// under the same id where the lines tell of it, rather than not at all.
func (x *encoder) encodeAlarms(alarms []normalize.Alarm) []*nats.Msg {
	var msgs []*nats.Msg
	for _, a := range alarms {
		x.normalize.Alarm(&x.event, a)
		if !x.dropped() {
			msgs = append(msgs, x.message(x.position))
		}
	}
	return msgs
}

// dropped applies local rules to x.event and reports whether they drop it.
func (x *encoder) dropped() bool {
	drop, matched := x.rules.Apply(&x.event)
	x.metrics.ruled(drop, matched)
	return drop
}

// message encodes x.event, after which the source stands at checkpoint.
func (x *encoder) message(checkpoint string) *nats.Msg {
	payload := x.payload()
	subject := x.event.Subject()
	x.metrics.encoded(subject, &x.event)
	return &nats.Msg{
		Subject: subject.Ingest(),
		Header: nats.Header{
			proto.HeaderEventID:    {x.event.ID},
			proto.HeaderCheckpoint: {checkpoint},
		},
		Data: payload,
	}
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
