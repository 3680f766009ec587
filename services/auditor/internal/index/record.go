package index

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

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
		return nil, fmt.Errorf("%q is not a phase", a.Phase)
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

// maxName is how many bytes of a name count. Names come from requests.
const maxName = 256

// group is what requests are summed up by.
type group struct {
	client, provider string
	model            string // that answered or, if none said so, that was asked for
	asked            string
	decision         proto.Decision
	status           int
}

func groupOf(a *proto.Audit) group {
	return group{
		client:   name(a.Client),
		provider: name(a.Provider),
		model:    name(cmp.Or(a.ResponseModel, a.RequestModel)),
		asked:    name(a.RequestModel),
		decision: proto.Decision(name(string(a.Decision))),
		status:   a.Status,
	}
}

// toolOf is the tool that a call names.
func toolOf(c proto.ToolCall) string { return cmp.Or(name(c.Name), "unnamed") }

func name(s string) string {
	if len(s) <= maxName {
		return s
	}
	cut := maxName
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.Clone(s[:cut])
}
