package proto

import "time"

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
// A message about an alert that was not in [StreamAlerts] yet has another record,
// with the sequence of that alert, when it is there. Chat and MessageID tell which
// records are of one message.
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
	Ranges     []SequenceRange `json:"ranges,omitempty"` // their sequences in the stream SECURITY_ALERTS
}

// SeverityCounts counts alerts by severity.
type SeverityCounts struct {
	Critical int `json:"critical,omitempty"`
	High     int `json:"high,omitempty"`
	Medium   int `json:"medium,omitempty"`
	Low      int `json:"low,omitempty"`
}

// SequenceRange is a run of stream sequences.
type SequenceRange struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"` // not less than First
}

// Covers reports whether the message is about the alert of this sequence in
// [StreamAlerts].
func (d *Delivery) Covers(sequence uint64) bool {
	for _, r := range d.Ranges {
		if r.First <= sequence && sequence <= r.Last {
			return true
		}
	}
	return false
}
