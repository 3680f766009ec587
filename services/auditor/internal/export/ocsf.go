package export

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"

	"github.com/openclaw-security/bus/proto"
)

// ocsfVersion is the first with the profile ai_operation.
const ocsfVersion = "1.8.0"

// The names and numbers below are those of OCSF 1.8.0
// (https://schema.ocsf.io/1.8.0/classes/api_activity).

type ocsfEvent struct {
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	CategoryUID  int    `json:"category_uid"`
	CategoryName string `json:"category_name"`
	ClassUID     int    `json:"class_uid"`
	ClassName    string `json:"class_name"`
	TypeUID      int    `json:"type_uid"`
	TypeName     string `json:"type_name"`

	Time       int64  `json:"time"` // milliseconds since 1970, here and below
	StartTime  int64  `json:"start_time,omitzero"`
	EndTime    int64  `json:"end_time,omitzero"`
	Duration   int64  `json:"duration,omitzero"` // milliseconds
	SeverityID int    `json:"severity_id"`
	Severity   string `json:"severity"`
	Message    string `json:"message"`

	StatusID     int    `json:"status_id"`
	Status       string `json:"status"`
	StatusCode   string `json:"status_code,omitzero"`
	StatusDetail string `json:"status_detail,omitzero"`

	ActionID      int    `json:"action_id"`
	Action        string `json:"action"`
	DispositionID int    `json:"disposition_id"`
	Disposition   string `json:"disposition"`
	IsAlert       bool   `json:"is_alert"`

	Actor       *ocsfActor    `json:"actor,omitzero"`
	API         *ocsfAPI      `json:"api,omitzero"`
	SrcEndpoint *ocsfEndpoint `json:"src_endpoint,omitzero"`
	DstEndpoint *ocsfEndpoint `json:"dst_endpoint,omitzero"`

	HTTPRequest    *ocsfHTTPRequest  `json:"http_request,omitzero"`
	HTTPResponse   *ocsfHTTPResponse `json:"http_response,omitzero"`
	AIModel        *ocsfAIModel      `json:"ai_model,omitzero"`
	MessageContext *ocsfContext      `json:"message_context,omitzero"`

	Metadata ocsfMetadata `json:"metadata"`
	RawData  string       `json:"raw_data,omitzero"`
	Unmapped any          `json:"unmapped,omitzero"`
}

type ocsfNamed struct {
	Name string `json:"name"`
}

type ocsfActor struct {
	AppName string `json:"app_name"`
}

type ocsfAPI struct {
	Operation string        `json:"operation"`
	Service   *ocsfNamed    `json:"service,omitzero"`
	Request   ocsfUID       `json:"request"`
	Response  *ocsfResponse `json:"response,omitzero"`
}

type ocsfUID struct {
	UID string `json:"uid"`
}

type ocsfResponse struct {
	Code         int    `json:"code,omitzero"`
	Error        string `json:"error,omitzero"`
	ErrorMessage string `json:"error_message,omitzero"`
}

type ocsfEndpoint struct {
	IP       string `json:"ip,omitzero"`
	Name     string `json:"name,omitzero"`
	Hostname string `json:"hostname,omitzero"`
	Port     int    `json:"port,omitzero"`
}

type ocsfHTTPRequest struct {
	Method string  `json:"http_method"`
	URL    ocsfURL `json:"url"`
	Length int64   `json:"length,omitzero"`
}

type ocsfURL struct {
	Path string `json:"path"`
}

type ocsfHTTPResponse struct {
	Code   int   `json:"code"`
	Length int64 `json:"length,omitzero"`
}

type ocsfAIModel struct {
	Name     string `json:"name"`
	Provider string `json:"ai_provider"`
}

type ocsfContext struct {
	RoleID           int        `json:"ai_role_id"`
	Role             string     `json:"ai_role"`
	Service          *ocsfNamed `json:"service"`
	PromptTokens     int64      `json:"prompt_tokens"`
	CompletionTokens int64      `json:"completion_tokens"`
	TotalTokens      int64      `json:"total_tokens"`
}

type ocsfMetadata struct {
	Version        string      `json:"version"`
	Profiles       []string    `json:"profiles,omitzero"`
	Product        ocsfProduct `json:"product"`
	UID            string      `json:"uid"`
	OriginalUID    string      `json:"original_event_uid"`
	CorrelationUID string      `json:"correlation_uid,omitzero"`
	EventCode      string      `json:"event_code,omitzero"`
	LogName        string      `json:"log_name"`
	LogProvider    string      `json:"log_provider,omitzero"`
	LoggedTime     int64       `json:"logged_time"`
	Sequence       uint64      `json:"sequence"`
}

type ocsfProduct struct {
	Name       string `json:"name"`
	VendorName string `json:"vendor_name"`
}

// ocsfUnmapped is what OCSF has no attribute for, under the record's own names.
type ocsfUnmapped struct {
	Host             string           `json:"host,omitzero"`
	Kind             string           `json:"kind,omitzero"`
	Decision         proto.Decision   `json:"decision,omitzero"`
	Stream           bool             `json:"stream,omitzero"`
	RequestModel     string           `json:"gen_ai.request.model,omitzero"`
	ResponseID       string           `json:"gen_ai.response.id,omitzero"`
	FinishReasons    []string         `json:"gen_ai.response.finish_reasons,omitzero"`
	TimeToFirstChunk float64          `json:"gen_ai.response.time_to_first_chunk,omitzero"`
	CacheRead        int64            `json:"gen_ai.usage.cache_read.input_tokens,omitzero"`
	CacheCreation    int64            `json:"gen_ai.usage.cache_creation.input_tokens,omitzero"`
	Reasoning        int64            `json:"gen_ai.usage.reasoning.output_tokens,omitzero"`
	UsageComplete    bool             `json:"usage_complete,omitzero"`
	ToolCalls        []proto.ToolCall `json:"tool_calls,omitzero"`
	Findings         []proto.Finding  `json:"findings,omitzero"`
	Guard            *proto.Guard     `json:"guard,omitzero"`
	PromptHMAC       string           `json:"prompt_hmac,omitzero"`
	Prompt           []proto.Message  `json:"prompt,omitzero"`
	Answer           string           `json:"answer,omitzero"`
	Error            string           `json:"error,omitzero"` // why the record cannot be decoded
}

const unknown = "Unknown"

func ocsf(r *Record, a *proto.Audit, undecodable error) any {
	e := &ocsfEvent{
		Status: unknown, Action: unknown, Disposition: unknown,
		Metadata: ocsfMetadata{
			Version: ocsfVersion,
			Product: ocsfProduct{Name: "OpenClaw security bus", VendorName: "OpenClaw"},
			UID:     r.ID, OriginalUID: r.ID,
			LogName: proto.StreamAudit, LoggedTime: r.Stored.UnixMilli(), Sequence: r.Seq,
		},
	}
	if undecodable != nil {
		return e.base(r, undecodable)
	}
	e.activity(a)
	e.outcome(a)
	e.parties(a)
	e.model(a)
	e.Metadata.Profiles = []string{"ai_operation", "security_control"}
	e.Metadata.CorrelationUID, e.Metadata.EventCode, e.Metadata.LogProvider = a.RequestID, string(a.Phase), a.Source
	e.Unmapped = unmapped(a)
	return e
}

// base makes the event a Base Event, which has no class of its own.
func (e *ocsfEvent) base(r *Record, undecodable error) *ocsfEvent {
	e.ActivityID, e.ActivityName = 0, unknown
	e.CategoryName, e.ClassName, e.TypeName = "Uncategorized", "Base Event", "Base Event: Unknown"
	e.Time = r.Stored.UnixMilli()
	e.SeverityID, e.Severity = 0, unknown
	e.Message = "A record of the audit log that cannot be decoded"
	e.RawData = string(r.Payload)
	e.Unmapped = ocsfUnmapped{Error: undecodable.Error()}
	return e
}

func (e *ocsfEvent) activity(a *proto.Audit) {
	const other = 99 // what a model is asked for creates or changes nothing there
	e.ActivityID, e.ActivityName = other, cmp.Or(a.Operation, "Other")
	e.CategoryUID, e.CategoryName = 6, "Application Activity"
	e.ClassUID, e.ClassName = proto.ClassUIDAPIActivity, "API Activity"
	e.TypeUID, e.TypeName = proto.ClassUIDAPIActivity*100+other, "API Activity: Other"
	e.Time, e.StartTime = a.Time.UnixMilli(), a.Time.UnixMilli()
	if a.Phase == proto.PhaseEnd {
		d := min(max(a.Duration, 0), float64(math.MaxInt32))
		e.Duration = int64(math.Round(d * 1000))
		e.EndTime = a.Time.Add(time.Duration(d * float64(time.Second))).UnixMilli()
	}
	e.SeverityID = a.Severity.ID()
	e.Severity = [...]string{"Informational", "Low", "Medium", "High", "Critical"}[a.Severity]
	e.Message = fmt.Sprintf("LLM request to %s by %s: %s", cmp.Or(a.RequestModel, a.Provider, "a model"),
		cmp.Or(a.Client, "an unknown client"), cmp.Or(string(a.Decision), string(a.Phase)))
}

func (e *ocsfEvent) outcome(a *proto.Audit) {
	switch a.Decision {
	case proto.DecisionAllowed:
		e.ActionID, e.Action, e.DispositionID, e.Disposition = 1, "Allowed", 1, "Allowed"
		e.StatusID, e.Status = 1, "Success"
		if a.Status >= 400 || a.ErrorType != "" {
			e.StatusID, e.Status = 2, "Failure"
		}
	case proto.DecisionBlocked:
		e.ActionID, e.Action, e.DispositionID, e.Disposition = 2, "Denied", 2, "Blocked"
		e.StatusID, e.Status = 2, "Failure"
	case proto.DecisionRefused:
		e.ActionID, e.Action, e.DispositionID, e.Disposition = 2, "Denied", 25, "Rejected"
		e.StatusID, e.Status = 2, "Failure"
	case proto.DecisionFailed:
		e.ActionID, e.Action, e.DispositionID, e.Disposition = 1, "Allowed", 27, "Error"
		e.StatusID, e.Status = 2, "Failure"
	}
	if a.Status != 0 {
		e.StatusCode = strconv.Itoa(a.Status)
	}
	e.StatusDetail = a.Reason
	e.IsAlert = a.Severity > proto.SeverityInfo
}

func (e *ocsfEvent) parties(a *proto.Audit) {
	client := cmp.Or(a.Client, "unknown")
	e.Actor = &ocsfActor{AppName: client}
	e.SrcEndpoint = &ocsfEndpoint{Name: client}
	if ip, err := netip.ParseAddr(a.Client); err == nil {
		e.SrcEndpoint = &ocsfEndpoint{IP: ip.String()}
	}
	if a.ServerAddress != "" {
		e.DstEndpoint = &ocsfEndpoint{Hostname: a.ServerAddress, Port: a.ServerPort}
	}
	e.API = &ocsfAPI{Operation: cmp.Or(a.Operation, a.Method, "unknown"), Request: ocsfUID{a.RequestID}}
	if a.Provider != "" {
		e.API.Service = &ocsfNamed{a.Provider}
	}
	if a.Phase == proto.PhaseEnd {
		e.API.Response = &ocsfResponse{a.Status, a.ErrorType, a.Reason}
	}
	if a.Method != "" {
		e.HTTPRequest = &ocsfHTTPRequest{a.Method, ocsfURL{a.Path}, a.RequestBytes}
	}
	if a.Status != 0 {
		e.HTTPResponse = &ocsfHTTPResponse{a.Status, a.ResponseBytes}
	}
}

func (e *ocsfEvent) model(a *proto.Audit) {
	provider := cmp.Or(a.Provider, "unknown")
	if model := cmp.Or(a.ResponseModel, a.RequestModel); model != "" {
		e.AIModel = &ocsfAIModel{model, provider}
	}
	if u := a.Usage; u != nil {
		e.MessageContext = &ocsfContext{2, "Assistant", &ocsfNamed{provider}, u.Input, u.Output, u.Input + u.Output}
	}
}

func unmapped(a *proto.Audit) any {
	u := ocsfUnmapped{
		Host: a.Host, Kind: a.Kind, Decision: a.Decision, Stream: a.Stream, ResponseID: a.ResponseID, FinishReasons: a.FinishReasons,
		TimeToFirstChunk: a.TimeToFirstChunk, ToolCalls: a.ToolCalls, Findings: a.Findings, Guard: a.Guard,
		PromptHMAC: a.PromptHMAC, Prompt: a.Prompt, Answer: a.Answer,
	}
	if a.ResponseModel != "" && a.ResponseModel != a.RequestModel {
		u.RequestModel = a.RequestModel
	}
	if a.Usage != nil {
		u.CacheRead, u.CacheCreation, u.Reasoning = a.Usage.CacheRead, a.Usage.CacheCreation, a.Usage.Reasoning
		u.UsageComplete = a.Usage.Complete
	}
	return u
}
