package proto

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Phase says which of a request's two audit records this is. A request with a
// start and no end was interrupted: the proxy died, or is still serving it.
type Phase string

// The phases.
const (
	PhaseStart Phase = "start"
	PhaseEnd   Phase = "end"
)

// Decision is what the proxy did with a request.
type Decision string

// The decisions.
const (
	DecisionAllowed Decision = "allowed"
	DecisionBlocked Decision = "blocked" // by a guard or a detection
	DecisionRefused Decision = "refused" // malformed, unauthenticated or not allowlisted
	DecisionFailed  Decision = "failed"  // upstream could not be reached or broke off
)

// Audit is the proxy's record of one LLM request. Dotted names are those of
// OpenTelemetry's semantic conventions 1.41.0
// (https://github.com/open-telemetry/semantic-conventions/tree/v1.41.0), the
// last release to hold the GenAI ones; the rest is ours, in snake_case.
type Audit struct {
	ID         string    `json:"id"`         // stable for request and phase
	RequestID  string    `json:"request_id"` // the same in both phases
	Phase      Phase     `json:"phase"`
	Time       time.Time `json:"time"` // when the request came in, UTC
	Host       string    `json:"host"`
	Source     string    `json:"source"`
	Kind       string    `json:"kind"`
	Severity   Severity  `json:"severity"`
	SeverityID int       `json:"severity_id"` // the OCSF number, 1 (info) to 5 (critical)
	ClassUID   int       `json:"class_uid"`   // OCSF API Activity, 6003

	Client   string   `json:"client,omitempty"`     // who asked: address, or the token's name
	Session  string   `json:"session.id,omitempty"` // as the client itself names it, in a header or in the body
	TraceID  string   `json:"trace_id,omitempty"`   // of the request's traceparent (W3C Trace Context), as is SpanID
	SpanID   string   `json:"span_id,omitempty"`
	Method   string   `json:"http.request.method,omitempty"`
	Path     string   `json:"url.path,omitempty"`
	Status   int      `json:"http.response.status_code,omitempty"`
	Decision Decision `json:"decision,omitempty"`
	Reason   string   `json:"reason,omitempty"` // why it was not allowed

	Operation     string   `json:"gen_ai.operation.name,omitempty"`
	Provider      string   `json:"gen_ai.provider.name,omitempty"`
	Upstream      string   `json:"upstream,omitempty"` // its name in LLM_UPSTREAMS; empty for a provider that has settings of its own
	ServerAddress string   `json:"server.address,omitempty"`
	ServerPort    int      `json:"server.port,omitempty"`
	RequestModel  string   `json:"gen_ai.request.model,omitempty"`
	ResponseModel string   `json:"gen_ai.response.model,omitempty"`
	ResponseID    string   `json:"gen_ai.response.id,omitempty"`
	FinishReasons []string `json:"gen_ai.response.finish_reasons,omitempty"`
	ErrorType     string   `json:"error.type,omitempty"`

	Usage *Usage `json:"usage,omitempty"`

	Stream           bool    `json:"stream,omitempty"`
	RequestBytes     int64   `json:"request_bytes,omitempty"`
	ResponseBytes    int64   `json:"response_bytes,omitempty"`
	TimeToFirstChunk float64 `json:"gen_ai.response.time_to_first_chunk,omitempty"` // seconds
	Duration         float64 `json:"duration,omitempty"`                            // seconds

	Files []Upload `json:"files,omitempty"` // that the request uploaded, as far as they came

	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	Findings   []Finding  `json:"findings,omitempty"`
	Guard      *Guard     `json:"guard,omitempty"`
	PromptHMAC string     `json:"prompt_hmac,omitempty"` // correlates equal prompts without keeping them

	// What was said, only where the owner has asked for it to be kept; known
	// secrets are taken out of both.
	Prompt []Message `json:"prompt,omitempty"` // what is new in the request
	Answer string    `json:"answer,omitempty"` // the answer's text
}

// Message is one text of a prompt.
type Message struct {
	Role string `json:"role"` // "system", "user", "assistant", "tool" or "other"
	Text string `json:"text"`
}

// Upload is an uploaded file. Its content is not kept.
type Upload struct {
	Name     string `json:"name,omitempty"` // as its sender calls it
	Type     string `json:"type,omitempty"` // the media type that its sender gives it
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	Read     string `json:"read"`               // how it was judged: as "requests" (JSON lines), "text" or "opaque" (not read)
	Requests int    `json:"requests,omitempty"` // lines that were judged as requests
}

// Usage counts tokens.
type Usage struct {
	Input         int64 `json:"gen_ai.usage.input_tokens"` // includes what was read from and written to the provider's cache
	Output        int64 `json:"gen_ai.usage.output_tokens"`
	CacheRead     int64 `json:"gen_ai.usage.cache_read.input_tokens,omitempty"`
	CacheCreation int64 `json:"gen_ai.usage.cache_creation.input_tokens,omitempty"`
	Reasoning     int64 `json:"gen_ai.usage.reasoning.output_tokens,omitempty"`
	Complete      bool  `json:"usage_complete"` // false when the answer broke off before the provider's final count, or states none that can be read

	// Stored says that another record counts this: that of the request which was answered
	// first with what is now read again. It is part of no sum.
	Stored bool `json:"usage_stored,omitempty"`

	CacheCreation1h int64        `json:"cache_creation_1h_tokens,omitempty"` // those of cache_creation that are kept for an hour, not for minutes
	ServiceTier     string       `json:"service_tier,omitempty"`             // the provider's word for the tier that served the request, such as "priority"; empty for the usual one
	OtherModels     []ModelUsage `json:"other_models,omitempty"`             // parts of the above that other models used, such as advisors
}

// ModelUsage counts the tokens of one of several models.
type ModelUsage struct {
	Model         string `json:"gen_ai.response.model"`
	Input         int64  `json:"gen_ai.usage.input_tokens"`
	Output        int64  `json:"gen_ai.usage.output_tokens"`
	CacheRead     int64  `json:"gen_ai.usage.cache_read.input_tokens,omitempty"`
	CacheCreation int64  `json:"gen_ai.usage.cache_creation.input_tokens,omitempty"`

	CacheCreation1h int64 `json:"cache_creation_1h_tokens,omitempty"`
}

// ToolCall is a tool that the model asked for. Its arguments are not kept.
type ToolCall struct {
	Name    string   `json:"gen_ai.tool.name"`
	ID      string   `json:"gen_ai.tool.call.id,omitempty"`
	Verdict Decision `json:"verdict,omitempty"`
}

// Finding is what a detection saw in a request or an answer.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Where    string   `json:"where"`            // "request", "response", "tool_call"
	Detail   string   `json:"detail,omitempty"` // what was seen, without the text itself
	Enforced bool     `json:"enforced,omitempty"`
}

// Guard is the guard's verdict on a request.
type Guard struct {
	Score     float64 `json:"score"`     // 0 (harmless) to 1
	Threshold float64 `json:"threshold"` // blocked at or above
	Reason    string  `json:"reason,omitempty"`
	Error     string  `json:"error,omitempty"` // why there is no verdict
}

// AuditID is the id of the record of a phase of a request.
func AuditID(requestID string, phase Phase) string {
	sum := sha256.Sum256([]byte(string(phase) + " " + requestID))
	return hex.EncodeToString(sum[:EventIDLength/2])
}

// Subject is the subject that the record belongs under.
func (a *Audit) Subject() Subject {
	s := NewSubject(a.Host, a.Source, a.Kind, a.Severity)
	s.Class = ClassAudit
	return s
}
