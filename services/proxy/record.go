package proxy

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
)

// start records that the request is about to go upstream, so that it is known
// even if the proxy dies before it has an answer.
func (x *exchange) start() error {
	x.record.Operation = x.route.API.Operation()
	x.record.Provider = providerName(x.endpoint.Provider)
	x.record.ServerAddress, x.record.ServerPort = x.endpoint.address, x.endpoint.port
	x.record.RequestBytes = int64(len(x.body))
	first := x.record
	first.Phase = proto.PhaseStart
	first.ID = proto.AuditID(first.RequestID, first.Phase)
	first.Findings, first.Guard = nil, nil // the final record has them
	setSeverity(&first, proto.SeverityInfo)
	return x.p.records.AppendAudit(&first)
}

// note takes over how the exchange with the provider went.
func (x *exchange) note(o forward.Outcome) {
	r := &x.record
	r.Status, r.ResponseBytes = o.Status, o.Sent
	r.TimeToFirstChunk, r.Duration = seconds(o.FirstByte), seconds(o.Duration)
	r.Decision, r.ErrorType = proto.DecisionAllowed, string(o.End)
	if o.Err != nil {
		r.Reason = clip(o.Err.Error())
	}
	switch o.End {
	case forward.Completed, forward.ClientGone, forward.ClientStalled:
	case forward.AnswerRefused:
		r.Decision = proto.DecisionBlocked
	default:
		r.Decision = proto.DecisionFailed
	}
	if x.reader == nil {
		return
	}
	a := x.reader.Result()
	r.ResponseID, r.ResponseModel, r.Usage = clip(a.ID), clip(a.Model), a.Usage
	for _, reason := range a.FinishReasons {
		r.FinishReasons = append(r.FinishReasons, clip(reason))
	}
	if r.ErrorType == "" {
		r.ErrorType = clip(a.ErrorType)
	}
	for i, call := range a.ToolCalls {
		if i == maxCalls {
			r.ToolCalls = append(r.ToolCalls, proto.ToolCall{Name: fmt.Sprintf("(%d more)", len(a.ToolCalls)-i)})
			break
		}
		verdict := proto.DecisionAllowed
		if call.Refused != nil {
			verdict = proto.DecisionBlocked
		}
		r.ToolCalls = append(r.ToolCalls, proto.ToolCall{Name: clip(call.Name), ID: clip(call.ID), Verdict: verdict})
	}
	if stopped := firstOf(a.Blocked, x.stopped); stopped != nil {
		r.Decision, r.Reason, r.ErrorType = proto.DecisionBlocked, clip(reason(stopped)), string(forward.AnswerRefused)
	}
}

// finish records how the request ended.
func (x *exchange) finish() {
	r := &x.record
	r.Phase = proto.PhaseEnd
	r.ID = proto.AuditID(r.RequestID, r.Phase)
	if r.Duration == 0 {
		r.Duration = seconds(x.p.now().Sub(r.Time))
	}
	severity := proto.SeverityInfo
	for _, f := range r.Findings {
		severity = max(severity, f.Severity)
	}
	if r.Decision == proto.DecisionBlocked {
		severity = max(severity, proto.SeverityMedium)
	}
	setSeverity(r, severity)
	if x.content != nil {
		r.Prompt, r.Answer = x.content.prompt, x.content.text()
	}
	x.p.metrics.request(x.route.API.String(), r)
	if r.Decision == proto.DecisionRefused && !x.p.refusals.admit(r) {
		return
	}
	// A failure has been counted and logged by the log itself.
	_ = x.p.records.AppendAudit(r)
}

func setSeverity(a *proto.Audit, s proto.Severity) {
	a.Severity, a.SeverityID = s, s.ID()
}

// alert is the event that tells of a finding.
func (x *exchange) alert(f detect.Finding, tool string) *proto.Event {
	where := map[string]string{detect.InRequest: "in a request", detect.InResponse: "in an answer", detect.InToolCall: "in a tool call"}[f.Where]
	if tool != "" {
		where += " (" + clip(tool) + ")"
	}
	if f.Enforced && f.Rule != ruleGuard {
		where += " stopped"
	}
	e := &proto.Event{
		ID:       proto.AuditID(fmt.Sprintf("%s %d %s", x.record.RequestID, x.findings, f.Rule), "finding"),
		Time:     x.p.now().UTC(),
		Host:     x.p.host,
		Source:   source,
		Kind:     "guard",
		ClassUID: proto.ClassUIDDetectionFinding,
		Title:    fmt.Sprintf("%s %s: %s", ruleTitles[f.Rule], where, f.Detail),
		Rule:     &proto.Rule{ID: f.Rule, Name: ruleTitles[f.Rule], Category: "LLM proxy"},
	}
	if f.Enforced {
		e.Action = "blocked"
	}
	e.SetSeverity(f.Severity)
	raw, err := json.Marshal(struct {
		RequestID string `json:"request_id"`
		Rule      string `json:"rule"`
		Where     string `json:"where"`
		Path      string `json:"path,omitempty"`
		Detail    string `json:"detail"`
		Enforced  bool   `json:"enforced"`
		Client    string `json:"client"`
		Model     string `json:"model,omitempty"`
		Tool      string `json:"tool,omitempty"`
	}{x.record.RequestID, f.Rule, f.Where, f.Path, f.Detail, f.Enforced, x.record.Client, x.record.RequestModel, clip(tool)})
	if err == nil { // a struct of strings always can be encoded
		e.Raw = raw
	}
	return e
}

// guardState tells of a guard that has stopped answering: requests are refused,
// or pass unjudged.
func (p *proxy) guardState(err error) {
	if err == nil {
		return
	}
	consequence := "requests are refused until it does"
	if p.cfg.Guard.FailOpen {
		consequence = "requests pass unjudged until it does"
	}
	now := p.now().UTC()
	e := &proto.Event{
		ID:       proto.AuditID(now.Format(time.RFC3339Nano), "guard"),
		Time:     now,
		Host:     p.host,
		Source:   source,
		Kind:     "guard",
		ClassUID: proto.ClassUIDDetectionFinding,
		Title:    "The guard does not answer: " + consequence,
		Rule:     &proto.Rule{ID: "guard-unavailable", Name: "Guard unavailable", Category: "LLM proxy"},
		Tags:     []string{"guard-unavailable"},
	}
	e.SetSeverity(proto.SeverityMedium)
	if p.cfg.Guard.FailOpen {
		e.SetSeverity(proto.SeverityHigh)
	}
	if raw, err := json.Marshal(map[string]string{"error": clip(err.Error())}); err == nil {
		e.Raw = raw
	}
	p.alert(e)
}

// ruleGuard is the rule of what the external guard has blocked.
const ruleGuard = "guard"

// ruleTitles are what alerts call the rules.
var ruleTitles = map[string]string{
	detect.KeyLeak:          "Provider key",
	detect.Canary:           "Canary",
	detect.DangerousCommand: "Dangerous command",
	detect.Secret:           "Secret",
	detect.RunawayLoop:      "Runaway loop",
	detect.InjectionMarker:  "Prompt injection",
	detect.HiddenUnicode:    "Hidden characters",
	detect.ToolDrift:        "Changed tool",
	detect.SecretInPrompt:   "Secret",
	ruleGuard:               "Blocked by the guard",
}

// providerName is the provider's name in OpenTelemetry's conventions.
func providerName(p string) string {
	if p == "gemini" {
		return "gcp.gemini"
	}
	return p
}

// clientAddress is the address that the request came from, without its port.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// clip bounds foreign text in a record.
func clip(s string) string {
	if len(s) <= maxName && utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s[:min(len(s), maxName)], "\uFFFD")
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func isEventStream(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "text/event-stream")
}
