package index

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/openclaw-security/bus/proto"
)

// Record is a record of the log.
type Record struct {
	Seq       uint64    // in the log, from 1
	Head      string    // the chain's value after it, for [Index.Position]; only that of a batch's last record counts
	StreamSeq uint64    // in the stream that it came from
	Stored    time.Time // by that stream
	Payload   []byte    // the JSON form of a [proto.Audit]
}

// decode reads a record's payload. It insists on what a row cannot do without.
func decode(payload []byte) (*proto.Audit, error) {
	var a proto.Audit
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, fmt.Errorf("decoding the record: %w", err)
	}
	if a.RequestID == "" {
		return nil, errors.New("the record names no request")
	}
	if a.Phase != proto.PhaseStart && a.Phase != proto.PhaseEnd {
		return nil, fmt.Errorf("%q is no phase", a.Phase)
	}
	return &a, nil
}

// withoutText is the payload of a without what was said.
func withoutText(a *proto.Audit, payload []byte) ([]byte, error) {
	if len(a.Prompt) == 0 && a.Answer == "" {
		return payload, nil
	}
	bare := *a
	bare.Prompt, bare.Answer = nil, ""
	text, err := json.Marshal(&bare)
	if err != nil {
		return nil, fmt.Errorf("encoding the record: %w", err)
	}
	return text, nil
}

// State says how far a request has come.
type State string

// The states.
const (
	StateDone        State = "done"        // its end is in the log
	StateOpen        State = "open"        // it has begun, and may still end
	StateInterrupted State = "interrupted" // it began longer ago than [Options.InterruptedAfter], and has no end
)

// Request is a request as the log tells it: the record of its end, or that of its
// start while there is no end. Prompt and Answer are never set; the log's record
// EndSeq has them, where they were kept.
type Request struct {
	proto.Audit
	State    State  `json:"state"`
	StartSeq uint64 `json:"start_seq,omitempty"` // in the log; 0 if there is no such record
	EndSeq   uint64 `json:"end_seq,omitempty"`   // in the log; 0 if there is no such record
}
