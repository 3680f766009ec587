package export

import (
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// otelEvent is a record under the names of OpenTelemetry's semantic conventions
// 1.41.0 where those have one, the log data model's for the frame, and
// "openclaw." for the rest. No value is an object, so that each key is a column.
type otelEvent struct {
	Timestamp         time.Time `json:"timestamp"`
	ObservedTimestamp time.Time `json:"observed_timestamp"` // when the stream stored it
	SeverityNumber    int       `json:"severity_number,omitzero"`
	SeverityText      string    `json:"severity_text,omitzero"`
	EventName         string    `json:"event.name"`
	ID                string    `json:"log.record.uid"`
	Original          string    `json:"log.record.original,omitzero"` // of what cannot be decoded
	Host              string    `json:"host.name,omitzero"`
	Service           string    `json:"service.name,omitzero"`

	Client string `json:"client.address,omitzero"` // or the name of the client's token
	Method string `json:"http.request.method,omitzero"`
	Path   string `json:"url.path,omitzero"`
	Status int    `json:"http.response.status_code,omitzero"`

	Operation        string   `json:"gen_ai.operation.name,omitzero"`
	Provider         string   `json:"gen_ai.provider.name,omitzero"`
	ServerAddress    string   `json:"server.address,omitzero"`
	ServerPort       int      `json:"server.port,omitzero"`
	RequestModel     string   `json:"gen_ai.request.model,omitzero"`
	ResponseModel    string   `json:"gen_ai.response.model,omitzero"`
	ResponseID       string   `json:"gen_ai.response.id,omitzero"`
	FinishReasons    []string `json:"gen_ai.response.finish_reasons,omitzero"`
	TimeToFirstChunk float64  `json:"gen_ai.response.time_to_first_chunk,omitzero"`
	ErrorType        string   `json:"error.type,omitzero"`

	*otelUsage `json:",inline"`

	ToolNames    []string `json:"gen_ai.tool.name,omitzero"` // of all calls, in their order
	ToolIDs      []string `json:"gen_ai.tool.call.id,omitzero"`
	ToolVerdicts []string `json:"openclaw.tool.verdict,omitzero"`

	RequestBytes  int64 `json:"http.request.body.size,omitzero"`
	ResponseBytes int64 `json:"http.response.body.size,omitzero"`

	Sequence      uint64         `json:"openclaw.log.sequence"`
	RequestID     string         `json:"openclaw.request.id,omitzero"`
	Phase         proto.Phase    `json:"openclaw.phase,omitzero"`
	Decision      proto.Decision `json:"openclaw.decision,omitzero"`
	Reason        string         `json:"openclaw.reason,omitzero"`
	Stream        bool           `json:"openclaw.stream,omitzero"`
	Duration      float64        `json:"openclaw.duration,omitzero"` // seconds
	Rules         []string       `json:"openclaw.finding.rule,omitzero"`
	Severities    []string       `json:"openclaw.finding.severity,omitzero"`
	Places        []string       `json:"openclaw.finding.where,omitzero"`
	Enforced      []bool         `json:"openclaw.finding.enforced,omitzero"`
	*otelGuard    `json:",inline"`
	PromptHMAC    string   `json:"openclaw.prompt.hmac,omitzero"`
	PromptRoles   []string `json:"openclaw.prompt.role,omitzero"`
	PromptTexts   []string `json:"openclaw.prompt.text,omitzero"`
	Answer        string   `json:"openclaw.answer.text,omitzero"`
	DecodingError string   `json:"openclaw.error,omitzero"`
}

type otelUsage struct {
	Input         int64 `json:"gen_ai.usage.input_tokens"`
	Output        int64 `json:"gen_ai.usage.output_tokens"`
	CacheRead     int64 `json:"gen_ai.usage.cache_read.input_tokens"`
	CacheCreation int64 `json:"gen_ai.usage.cache_creation.input_tokens"`
	Reasoning     int64 `json:"gen_ai.usage.reasoning.output_tokens"`
	Complete      bool  `json:"openclaw.usage.complete"`
}

type otelGuard struct {
	Score     float64 `json:"openclaw.guard.score"`
	Threshold float64 `json:"openclaw.guard.threshold"`
	Reason    string  `json:"openclaw.guard.reason,omitzero"`
	Error     string  `json:"openclaw.guard.error,omitzero"`
}

// severityNumbers are the log data model's: INFO, INFO4, WARN, ERROR and FATAL.
var severityNumbers = [...]int{9, 12, 13, 17, 21}

func otel(r *Record, a *proto.Audit, undecodable error) any {
	e := &otelEvent{ObservedTimestamp: r.Stored.UTC(), ID: r.ID, Sequence: r.Seq}
	if undecodable != nil {
		e.Timestamp, e.EventName = e.ObservedTimestamp, "openclaw.undecodable"
		e.Original, e.DecodingError = string(r.Payload), undecodable.Error()
		return e
	}
	e.Timestamp, e.EventName = a.Time.UTC(), "gen_ai.client.inference.operation.details"
	e.SeverityNumber, e.SeverityText = severityNumbers[a.Severity], strings.ToUpper(a.Severity.String())
	e.Host, e.Service = a.Host, a.Source
	e.Client, e.Method, e.Path, e.Status = a.Client, a.Method, a.Path, a.Status
	e.Operation, e.Provider, e.ServerAddress, e.ServerPort = a.Operation, a.Provider, a.ServerAddress, a.ServerPort
	e.RequestModel, e.ResponseModel, e.ResponseID = a.RequestModel, a.ResponseModel, a.ResponseID
	e.FinishReasons, e.TimeToFirstChunk, e.ErrorType = a.FinishReasons, a.TimeToFirstChunk, a.ErrorType
	e.RequestBytes, e.ResponseBytes = a.RequestBytes, a.ResponseBytes
	e.RequestID, e.Phase, e.Decision, e.Reason = a.RequestID, a.Phase, a.Decision, a.Reason
	e.Stream, e.Duration, e.PromptHMAC, e.Answer = a.Stream, a.Duration, a.PromptHMAC, a.Answer
	if u := a.Usage; u != nil {
		e.otelUsage = &otelUsage{u.Input, u.Output, u.CacheRead, u.CacheCreation, u.Reasoning, u.Complete}
	}
	if g := a.Guard; g != nil {
		e.otelGuard = &otelGuard{g.Score, g.Threshold, g.Reason, g.Error}
	}
	for _, c := range a.ToolCalls {
		e.ToolNames, e.ToolIDs = append(e.ToolNames, c.Name), append(e.ToolIDs, c.ID)
		e.ToolVerdicts = append(e.ToolVerdicts, string(c.Verdict))
	}
	for _, f := range a.Findings {
		e.Rules, e.Severities = append(e.Rules, f.Rule), append(e.Severities, f.Severity.String())
		e.Places, e.Enforced = append(e.Places, f.Where), append(e.Enforced, f.Enforced)
	}
	for _, m := range a.Prompt {
		e.PromptRoles, e.PromptTexts = append(e.PromptRoles, m.Role), append(e.PromptTexts, m.Text)
	}
	return e
}
