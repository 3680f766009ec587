package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/notifier/internal/delivery/clock"
	"github.com/openclaw-security/bus/services/notifier/internal/sink"
)

// stateVersion is the version of the key's value. Version 1 knew one stream of
// alerts, [proto.StreamAlerts]; it is read too.
const stateVersion = 2

// Bounds of the key's value.
const (
	maxState   = 512 << 10 // bytes
	maxSettled = 16384     // keys of what was accepted, and as many of what was refused

	// MaxMessages bounds the bytes of one plan's messages.
	MaxMessages = 96 << 10
)

// State is all that must outlive the process: the value of the sink's key.
type State struct {
	Version  int    `json:"version"`
	Instance string `json:"instance"`
	Writes   uint64 `json:"writes"` // distinguishes the values of an instance

	Attempts RateLog    `json:"slots"`
	Address  string     `json:"address,omitempty"` // that Place was learnt for
	Place    sink.Place `json:"place"`

	// Plan is what is being sent.
	Plan *Plan `json:"plan,omitempty"`
	// Unrecorded was accepted and has no ledger record yet, as far as is known.
	Unrecorded *Accepted `json:"unrecorded,omitempty"`
	// Early are messages of version 1 that were accepted before it was known where
	// their alerts are stored.
	Early []Early `json:"ahead,omitempty"`
	// Settled are the alerts accepted last, newest last: acknowledged when they
	// are delivered again.
	Settled Keys `json:"settled"`
	// Refused are alerts that the chat refuses in every form: dead letters when they
	// are delivered again.
	Refused       Keys   `json:"refused"`
	RefusedReason string `json:"refused_reason,omitempty"`

	Passed   int     `json:"passed,omitempty"`   // messages in a row that the routine lane has waited for
	Failures int     `json:"failures,omitempty"` // attempts in a row that were not accepted
	Notes    Notes   `json:"notes"`
	Outage   *Outage `json:"outage,omitempty"`

	// Successor is the chat that was configured in this one's place and has taken
	// over what waited here.
	Successor string `json:"successor,omitempty"`

	// Streams say for each stream of alerts how far it was dealt with.
	Streams map[string]Position `json:"streams,omitempty"`
}

// Position is a place in a stream.
type Position struct {
	Created time.Time `json:"created"`           // when the stream was: one made anew counts anew
	Through uint64    `json:"through,omitempty"` // everything up to there has been dealt with or was gone
}

// RateLog is the rate limiter's memory: not as times, which a step of the clock
// would move, but as ages at the moment of the stamp.
type RateLog struct {
	Stamp     clock.Stamp     `json:"stamp"`
	Ages      []time.Duration `json:"ages,omitempty"`       // of the attempts, oldest first
	NotBefore time.Duration   `json:"not_before,omitempty"` // after the stamp
}

// Plan is a message and what it is about.
type Plan struct {
	Kind       proto.DeliveryKind   `json:"kind"`
	Messages   [][]byte             `json:"messages"` // the fullest form first
	Level      int                  `json:"level"`    // which of them is to be sent
	Alerts     int                  `json:"alerts"`
	Severities proto.SeverityCounts `json:"severities"`
	Keys       Keys                 `json:"keys"` // of the alerts, or of the request
	Ranges     Ranges               `json:"ranges"`
	Early      Keys                 `json:"ahead,omitempty"` // of alerts that version 1 has planned before it was known where they are stored
	Oldest     time.Time            `json:"oldest"`          // when the first of the alerts was stored

	// Unclear says that the forms before the last were refused for an unknown reason.
	Unclear bool `json:"unclear,omitempty"`

	Attempts  int  `json:"attempts"`
	UnderWay  bool `json:"under_way"`  // an attempt whose outcome is not known
	MayRepeat bool `json:"may_repeat"` // one that will never be known
}

// OfAlerts reports whether the message is about alerts that wait.
func (p *Plan) OfAlerts() bool { return len(p.Ranges)+len(p.Early) > 0 }

// Accepted is a ledger record to be published, with its ranges packed.
type Accepted struct {
	Delivery proto.Delivery `json:"delivery"`
	Ranges   Ranges         `json:"ranges"`
}

// Early is a message that was accepted before it was known where its alerts are
// stored, and those of which that still is not known.
type Early struct {
	Delivery proto.Delivery `json:"delivery"`
	Missing  Keys           `json:"missing"`
}

// Outage is a time in which the chat accepts nothing.
type Outage struct {
	Since   time.Time         `json:"since"`
	Cause   string            `json:"cause"`
	Broken  bool              `json:"broken"`                    // sends nothing until a probe says that it would
	Told    bool              `json:"told"`                      // reported: to readiness, to the fallback
	Printed map[string]uint64 `json:"printed_through,omitempty"` // the fallback was given all up to this sequence, by stream
	Count   int               `json:"count"`                     // alerts that it was given
}

// encode returns the key's value. Where it would be too large, the oldest of
// what was settled is forgotten.
func (s *State) encode() ([]byte, error) {
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

func newest(k Keys, limit int) Keys { return k[max(0, len(k)-limit):] }

// Decode reads a key's value; one that was never set is the zero State.
func Decode(value []byte) (State, error) {
	var s State
	if len(value) == 0 {
		return s, nil
	}
	if len(value) > maxState {
		return s, fmt.Errorf("reading the state: %d bytes, where at most %d were written", len(value), maxState)
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return s, fmt.Errorf("reading the state: %w", err)
	}
	switch s.Version {
	case 1:
		if err := s.upgrade(value); err != nil {
			return s, fmt.Errorf("reading the state: %w", err)
		}
		s.Version = stateVersion
	case stateVersion:
	default:
		return s, fmt.Errorf("reading the state: it has version %d and this program writes %d", s.Version, stateVersion)
	}
	if err := s.check(); err != nil {
		return s, fmt.Errorf("reading the state: %w", err)
	}
	return s, nil
}

// upgrade takes over what version 1 had under other names.
func (s *State) upgrade(value []byte) error {
	var old struct {
		Stream  time.Time `json:"stream"`
		Through uint64    `json:"through"`
		Outage  struct {
			Printed uint64 `json:"printed"`
		} `json:"outage"`
	}
	if err := json.Unmarshal(value, &old); err != nil {
		return err
	}
	s.Streams = map[string]Position{proto.StreamAlerts: {Created: old.Stream, Through: old.Through}}
	if s.Outage != nil && old.Outage.Printed > 0 {
		s.Outage.Printed = map[string]uint64{proto.StreamAlerts: old.Outage.Printed}
	}
	return nil
}

func (s *State) check() error {
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
