package proto

import (
	"cmp"
	"time"
)

// DeliveryKind says what a message to a chat was.
type DeliveryKind string

// The kinds.
const (
	DeliveryCards  DeliveryKind = "cards"  // one alert or a few, each shown by itself
	DeliveryDigest DeliveryKind = "digest" // many alerts, counted
	DeliveryReplay DeliveryKind = "replay" // alerts that an operator asked for again
	DeliveryReport DeliveryKind = "report" // the daily report
	DeliveryNotice DeliveryKind = "notice" // something about the delivery itself, or a test
)

// Delivery is the record of one message that a chat's server has accepted. A
// sink publishes it to its [DeliveriesSubject] and acknowledges the alerts after
// that, so that it can be asked for each alert what has become of it.
//
// There can be several records of one message: after a crash, and one more for each
// alert that was sent before its copy was in [StreamAlerts]. Chat and MessageID say
// which are of one message.
type Delivery struct {
	Time      time.Time    `json:"time"` // when the chat's server had accepted it, UTC
	Sink      string       `json:"sink"`
	Chat      string       `json:"chat"` // as the chat's server names it
	Kind      DeliveryKind `json:"kind"`
	MessageID string       `json:"message_id"`           // the chat server's own
	Attempts  int          `json:"attempts"`             // requests made, the accepted one included
	MayRepeat bool         `json:"may_repeat,omitempty"` // an earlier attempt may have been accepted too

	Alerts     int             `json:"alerts"`           // how many the message is about
	Severities SeverityCounts  `json:"severities"`       // of those
	Ranges     []SequenceRange `json:"ranges,omitempty"` // where they are stored
}

// SeverityCounts counts alerts by severity.
type SeverityCounts struct {
	Critical int `json:"critical,omitempty"`
	High     int `json:"high,omitempty"`
	Medium   int `json:"medium,omitempty"`
	Low      int `json:"low,omitempty"`
}

// SequenceRange is a run of sequences of a stream.
type SequenceRange struct {
	Stream string `json:"stream,omitempty"` // without one it is SECURITY_ALERTS
	First  uint64 `json:"first"`
	Last   uint64 `json:"last"` // not less than First
}

// Covers reports whether the message is about the alert that is stored under this
// sequence in stream.
func (d *Delivery) Covers(stream string, sequence uint64) bool {
	for _, r := range d.Ranges {
		if cmp.Or(r.Stream, StreamAlerts) == stream && r.First <= sequence && sequence <= r.Last {
			return true
		}
	}
	return false
}
