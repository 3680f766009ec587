package shipper

import (
	"path/filepath"

	"github.com/nats-io/nats.go"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/flood"
	"github.com/openclaw-security/bus/services/shipper/internal/follow"
	"github.com/openclaw-security/bus/services/shipper/internal/kinds"
	"github.com/openclaw-security/bus/services/shipper/internal/normalize"
	"github.com/openclaw-security/bus/services/shipper/internal/rules"
)

// headerRoom is what a message's headers may take of the server's payload
// limit, which counts them too: ids, two checkpoints of 256 files, and the server's
// own batch and expectation headers.
const headerRoom = 32 << 10

// encoder turns lines and alarms into messages ready to publish, by way of one
// event that it uses again and again.
type encoder struct {
	normalize *normalize.Normalizer
	rules     *rules.Engine
	kinds     kinds.Set
	limit     int // the server's payload limit, bytes
	metrics   *metrics
	flood     *flood.Folder
	event     proto.Event
}

// line makes x.event of what the follower found.
func (x *encoder) line(l *follow.Line) *proto.Event {
	origin := proto.Origin{File: filepath.Base(l.File), Generation: l.Generation, Offset: l.Start}
	switch l.Kind {
	case follow.Complete:
		x.normalize.Event(&x.event, l.Text, origin)
	case follow.Gap:
		x.normalize.Gap(&x.event, proto.Gap{From: l.Start, To: l.End, Reason: l.Reason}, origin)
	default:
		x.normalize.Damaged(&x.event, l.Text, l.End-l.Start, l.Reason, origin)
	}
	return &x.event
}

// alarms makes one message of each alarm and of each report of a flood, all with the
// same checkpoint.
func (x *encoder) alarms(alarms []normalize.Alarm, checkpoint string) []*nats.Msg {
	var msgs []*nats.Msg
	for _, a := range alarms {
		x.normalize.Alarm(&x.event, a)
		if !x.dropped() {
			msgs = append(msgs, x.message(checkpoint))
		}
	}
	for _, report := range x.flood.Reports() {
		x.event = report.Event(x.normalize.Host, x.normalize.Source)
		if !x.dropped() {
			msgs = append(msgs, x.message(checkpoint))
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
	subject := x.kinds.Subject(&x.event)
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

// payload encodes x.event, within what the server takes, and within what a record may
// cost.
func (x *encoder) payload() []byte {
	const overhead = 1 << 10 // of the normalized fields, as a first guess
	payload := x.event.AppendJSON(make([]byte, 0, len(x.event.Raw)+overhead))
	limit := min(x.limit-headerRoom, normalize.MaxRecord)
	if len(payload) > limit {
		x.normalize.Oversize(&x.event, limit)
		payload = x.event.AppendJSON(payload[:0])
		x.metrics.oversize.Inc()
	}
	return payload
}
