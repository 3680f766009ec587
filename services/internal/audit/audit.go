// Package audit holds the questions that can be put to the audit log of LLM
// requests, and the values that answer them. It is the one definition of what a
// blocked, an interrupted and an incomplete request is and of what one costs: the
// auditor's index computes these values, commands and
// the daily report render them.
package audit

import (
	"errors"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// Errors about what a question names.
var (
	ErrNotFound  = errors.New("no such request")
	ErrAmbiguous = errors.New("several requests begin with that id")
	ErrBy        = errors.New("a report has no such rows")
)

// Filter selects requests. The zero Filter selects all; what is set must all be
// met. A request without an end has neither decision nor status, tools nor
// findings.
type Filter struct {
	// Time of the request: Since ≤ time < Until.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`

	Client      string         `json:"client,omitempty"`
	Provider    string         `json:"provider,omitempty"`
	Model       string         `json:"model,omitempty"` // that answered, or that was asked for
	Decision    proto.Decision `json:"decision,omitempty"`
	Status      int            `json:"status,omitempty"` // of HTTP
	Tool        string         `json:"tool,omitempty"`   // called in the answer
	Rule        string         `json:"rule,omitempty"`   // that a finding names
	MinSeverity proto.Severity `json:"min_severity,omitzero"`
	IDPrefix    string         `json:"id_prefix,omitempty"`   // of the request's id
	Interrupted bool           `json:"interrupted,omitempty"` // only those in [StateInterrupted]
}

// Order says how a list goes.
type Order struct {
	OldestFirst bool   `json:"oldest_first,omitempty"`
	After       string `json:"after,omitempty"` // id of the request behind which it begins; "" is the first
	Limit       int    `json:"limit,omitempty"` // max requests; 0 is all
}

// State says how far a request has come.
type State string

// The states.
const (
	StateDone        State = "done"        // its end is in the log
	StateOpen        State = "open"        // it has begun, and may still end
	StateInterrupted State = "interrupted" // it began more than an hour ago, and has no end
)

// Request is a request as the log has it: the record of its end, or that of its
// start while there is no end. Prompt and Answer are never set; the log's record
// EndSeq has them, where they were kept.
type Request struct {
	proto.Audit
	State    State  `json:"state"`
	StartSeq uint64 `json:"start_seq,omitempty"` // in the log; 0 if there is no such record
	EndSeq   uint64 `json:"end_seq,omitempty"`   // in the log; 0 if there is no such record
}

// Shown is one request with its records, byte for byte as they stand in the log.
type Shown struct {
	Request Request `json:"request"`
	Start   []byte  `json:"start_record,omitempty"` // nil if there is none, or if retention has removed it
	End     []byte  `json:"end_record,omitempty"`   // likewise
	// Omitted says that the records are too large for a reply of the auditor.
	Omitted bool `json:"omitted,omitempty"`
}

// By says what makes a row of a report.
type By string

// The rows.
const (
	ByDay    By = "day"
	ByHour   By = "hour" // of UTC, shown in the report's zone
	ByModel  By = "model"
	ByClient By = "client"
	ByTool   By = "tool" // a request counts in the row of each tool that it called
)

// Other is the row of the names beyond the first 4096 different ones.
const Other = "(other)"

// Report sums up requests.
type Report struct {
	By       By       `json:"by"`
	Rows     []Row    `json:"rows"`
	Total    Row      `json:"total"`              // each request once
	PricesOf string   `json:"prices_as_of"`       // the date of the prices
	Unpriced []string `json:"unpriced,omitempty"` // models that have no price, at most 20
	// Records of the log that are in no row, for any filter: they cannot be decoded,
	// or repeat a record of the same request and phase.
	Unindexed int64 `json:"unindexed,omitempty"`
}

// Row is a row of a report.
type Row struct {
	Key   string    `json:"key"`            // day, hour or name
	Start time.Time `json:"start,omitzero"` // of the day or hour

	Requests    int64 `json:"requests"` // the six below together
	Allowed     int64 `json:"allowed"`  // and all others that ended
	Blocked     int64 `json:"blocked"`
	Refused     int64 `json:"refused"`
	Failed      int64 `json:"failed"`
	Interrupted int64 `json:"interrupted"`
	Open        int64 `json:"open"`

	Input         int64 `json:"input_tokens"` // includes what was read from and written to the cache
	Output        int64 `json:"output_tokens"`
	CacheRead     int64 `json:"cache_read_tokens"`
	CacheCreation int64 `json:"cache_creation_tokens"`
	Reasoning     int64 `json:"reasoning_tokens"`
	Incomplete    int64 `json:"incomplete"` // requests whose tokens were not counted to the end

	Cost     float64 `json:"cost_usd"` // of the models that have a price
	Unpriced int64   `json:"unpriced"` // requests with tokens of a model that has none

	Duration   Percentiles `json:"duration"`
	FirstChunk Percentiles `json:"time_to_first_chunk"`
}

// Percentiles are in seconds, and off by at most 1/128 of their value; 0 where
// there was nothing to measure.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// ToolUse is how a client's requests have called a tool.
type ToolUse struct {
	Tool     string    `json:"tool"`
	Client   string    `json:"client"`
	Requests int64     `json:"requests"` // that called it
	Calls    int64     `json:"calls"`
	Allowed  int64     `json:"allowed"` // of the calls; the rest of them has no verdict
	Blocked  int64     `json:"blocked"` // of the calls
	First    time.Time `json:"first"`   // request that called it
	Last     time.Time `json:"last"`    // request that called it
}
