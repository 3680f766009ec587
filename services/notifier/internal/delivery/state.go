package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// stateVersion is the version of the key's value.
const stateVersion = 1

// Bounds of the key's value.
const (
	maxState    = 512 << 10 // bytes
	maxSettled  = 16384     // keys of what was accepted, and as many of what was refused
	maxMessages = 96 << 10  // bytes of one plan's messages
)

// state is all that must outlive the process: the value of the sink's key.
type state struct {
	Version  int    `json:"version"`
	Instance string `json:"instance"`
	Writes   uint64 `json:"writes"` // tells each value of an instance from its others

	Slots   slotLog    `json:"slots"`
	Address string     `json:"address,omitempty"` // that Place was learnt for
	Place   sink.Place `json:"place"`

	// Plan is what is being sent.
	Plan *plan `json:"plan,omitempty"`
	// Unrecorded was accepted and has no ledger record yet, as far as is known.
	Unrecorded *accepted `json:"unrecorded,omitempty"`
	// Ahead are alerts that were accepted before their copies had come, the
	// newest last.
	Ahead []ahead `json:"ahead,omitempty"`
	// Settled are the alerts accepted last, newest last: acknowledged when they
	// are delivered again.
	Settled keys `json:"settled"`
	// Refused are alerts that the chat will take in no form: dead letters when
	// they are delivered again.
	Refused       keys   `json:"refused"`
	RefusedReason string `json:"refused_reason,omitempty"`

	Passed   int     `json:"passed,omitempty"`   // messages in a row that the routine lane has waited for
	Failures int     `json:"failures,omitempty"` // attempts in a row that were not accepted
	Notes    notes   `json:"notes"`
	Outage   *outage `json:"outage,omitempty"`

	// Stream is when the stream was created that Through counts in: everything
	// up to there has been dealt with or was gone.
	Stream  time.Time `json:"stream"`
	Through uint64    `json:"through"`
}

// plan is a message and what it is about.
type plan struct {
	Kind       proto.DeliveryKind   `json:"kind"`
	Messages   [][]byte             `json:"messages"` // the fullest form first
	Level      int                  `json:"level"`    // which of them is to be sent
	Alerts     int                  `json:"alerts"`
	Severities proto.SeverityCounts `json:"severities"`
	Keys       keys                 `json:"keys"` // of the alerts, or of the request
	Ranges     ranges               `json:"ranges"`
	Ahead      keys                 `json:"ahead,omitempty"` // of the alerts that are not in Ranges: their copies have not come
	Oldest     time.Time            `json:"oldest"`          // when the first of the alerts was stored

	Attempts  int  `json:"attempts"`
	UnderWay  bool `json:"under_way"`  // an attempt whose outcome is not known
	MayRepeat bool `json:"may_repeat"` // one that will never be known
}

// ofAlerts reports whether the message is about alerts that wait.
func (p *plan) ofAlerts() bool { return len(p.Ranges)+len(p.Ahead) > 0 }

// accepted is a ledger record to be published, with its ranges packed.
type accepted struct {
	Delivery proto.Delivery `json:"delivery"`
	Ranges   ranges         `json:"ranges"`
}

// encode returns the key's value. Where it would be too large, the oldest of
// what was settled is forgotten.
func (s *state) encode() ([]byte, error) {
	s.Settled = newest(s.Settled, maxSettled)
	s.Refused = newest(s.Refused, maxSettled)
	for {
		value, err := json.Marshal(s)
		if err != nil {
			return nil, fmt.Errorf("writing the state: %w", err)
		}
		if len(value) <= maxState {
			return value, nil
		}
		if len(s.Settled)+len(s.Refused) == 0 {
			return nil, fmt.Errorf("writing the state: %d bytes, where %d are possible", len(value), maxState)
		}
		s.Settled, s.Refused = newest(s.Settled, len(s.Settled)/2), newest(s.Refused, len(s.Refused)/2)
	}
}

func newest(k keys, limit int) keys { return k[max(0, len(k)-limit):] }

// decode reads a key's value; one that was never set is the zero state.
func decode(value []byte) (state, error) {
	var s state
	if len(value) == 0 {
		return s, nil
	}
	if len(value) > maxState {
		return s, fmt.Errorf("reading the state: %d bytes, where at most %d were written", len(value), maxState)
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return s, fmt.Errorf("reading the state: %w", err)
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("reading the state: it has version %d and this program writes %d", s.Version, stateVersion)
	}
	if err := s.check(); err != nil {
		return s, fmt.Errorf("reading the state: %w", err)
	}
	return s, nil
}

func (s *state) check() error {
	switch p := s.Plan; {
	case p != nil && (p.Level < 0 || p.Level >= len(p.Messages)):
		return errors.New("the plan has no message")
	case p != nil && (p.Attempts < 0 || p.Alerts < 0):
		return errors.New("the plan counts less than nothing")
	case s.Passed < 0 || s.Failures < 0 || s.Notes.Dead < 0 || s.Notes.Evicted < 0:
		return errors.New("it counts less than nothing")
	default:
		return nil
	}
}

// index finds what was settled.
type index struct {
	accepted, refused map[key]struct{}
}

func indexOf(s *state) index {
	i := index{make(map[key]struct{}, len(s.Settled)), make(map[key]struct{}, len(s.Refused))}
	for _, k := range s.Settled {
		i.accepted[k] = struct{}{}
	}
	for _, k := range s.Refused {
		i.refused[k] = struct{}{}
	}
	return i
}
