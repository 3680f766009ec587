package proxy

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/flood"
	"github.com/openclaw-security/bus/services/internal/retry"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
)

// alert publishes the event about a finding, the nth of the exchange.
func (r *record) alert(f detect.Finding, tool string) {
	tool = r.to.redact(tool)
	e := r.to.event(kindGuard, fmt.Sprintf("%s %d %s", r.RequestID, r.findings, f.Rule), "finding")
	e.Title = r.to.redact(findingTitle(f, tool))
	e.Rule = &proto.Rule{ID: f.Rule, Name: ruleTitles[f.Rule], Category: "LLM proxy"}
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
	}{r.RequestID, f.Rule, f.Where, f.Path, r.to.redact(f.Detail), f.Enforced, r.Client, r.to.redact(r.RequestModel), clip(tool)})
	if err == nil { // a struct of strings always can be encoded
		e.Raw = raw
	}
	r.to.alert(e)
}

// findingTitle says what was found and where. What the model chose of it, the
// name of the tool, stands in quotes and is bounded.
func findingTitle(f detect.Finding, tool string) string {
	if f.Rule == policy.RuleRequestRefused || f.Rule == policy.RuleAnswerRefused {
		return fmt.Sprintf("%s: %s", ruleTitles[f.Rule], f.Detail)
	}
	where := map[string]string{detect.InRequest: "in a request", detect.InResponse: "in an answer", detect.InToolCall: "in a tool call"}[f.Where]
	if tool != "" {
		where += fmt.Sprintf(" (%.40q)", tool)
	}
	if f.Enforced && f.Rule != policy.RuleGuard {
		where += " stopped"
	}
	return fmt.Sprintf("%s %s: %s", ruleTitles[f.Rule], where, f.Detail)
}

// guardState publishes an event about a guard that has stopped answering:
// requests are refused, or pass unjudged.
func (r *records) guardState(err error, failOpen bool) {
	if err == nil {
		return
	}
	consequence, severity := "requests are refused until it does", proto.SeverityMedium
	if failOpen {
		consequence, severity = "requests pass unjudged until it does", proto.SeverityHigh
	}
	e := r.event(kindGuard, r.now().UTC().Format(time.RFC3339Nano), "guard")
	e.Title = "The guard does not answer: " + consequence
	e.Rule = &proto.Rule{ID: "guard-unavailable", Name: "Guard unavailable", Category: "LLM proxy"}
	e.Tags = []string{"guard-unavailable"}
	e.SetSeverity(severity)
	if raw, err := json.Marshal(map[string]string{"error": clip(err.Error())}); err == nil {
		e.Raw = raw
	}
	r.alert(e)
}

// busyEvery is how often a client that takes all its memory is reported, and that
// requests are refused for want of a record.
const (
	busyEvery       = time.Minute
	unrecordedEvery = 10 * time.Minute
)

// busy publishes an event about a client for which there was no memory: it, or
// all together, hold as much as they may. What is "request" or "answer".
func (r *records) busy(client, what string) {
	if !r.busyLimit.AllowN(r.now(), 1) {
		return
	}
	e := r.event(kindGuard, r.now().UTC().Format(time.RFC3339Nano), "busy")
	e.Title = fmt.Sprintf("The LLM proxy has no memory left: it refused a client's %s (%.40q)", what, client)
	e.Rule = &proto.Rule{ID: policy.RuleBusy, Name: "Out of memory", Category: "LLM proxy"}
	e.Tags = []string{policy.RuleBusy}
	e.Action = "blocked"
	e.SetSeverity(proto.SeverityMedium)
	if raw, err := json.Marshal(map[string]string{"client": client, "what": what}); err == nil {
		e.Raw = raw
	}
	r.alert(e)
}

// unrecorded publishes an event about requests that are refused because no record of
// them can be kept. It has a place of its own on the disk.
func (r *records) unrecorded(reason string) {
	if !r.unrecordedLimit.AllowN(r.now(), 1) {
		return
	}
	e := r.event(kindGuard, r.now().UTC().Format(time.RFC3339Nano), "unrecorded")
	e.Title = "LLM requests are refused: " + reason
	e.Rule = &proto.Rule{ID: policy.RuleUnrecorded, Name: "No room for audit records", Category: "LLM proxy"}
	e.Tags = []string{policy.RuleUnrecorded}
	e.Action = "blocked"
	e.SetSeverity(proto.SeverityHigh)
	r.alert(e)
}

// event begins an event of the proxy's own, with an id made of unique and what.
func (r *records) event(kind, unique string, what proto.Phase) *proto.Event {
	return &proto.Event{
		ID:       proto.AuditID(unique, what),
		Time:     r.now().UTC(),
		Host:     r.host,
		Source:   source,
		Kind:     kind,
		ClassUID: proto.ClassUIDDetectionFinding,
	}
}

// alert hands an event over to the spool, which counts and logs a failure. One of a
// rule that floods is counted instead: what was found stands in the audit record.
func (r *records) alert(e *proto.Event) {
	if !r.flood.fold(e) {
		_ = r.spool.AppendAlert(e)
	}
	r.tellFloods()
}

// tellFloods hands over the alerts that count what floods have folded.
func (r *records) tellFloods() {
	for _, report := range r.flood.reports() {
		e := report.Event(r.host, source)
		_ = r.spool.AppendAlert(&e)
	}
}

// floodEvery is how often an end of a flood is looked for.
const floodEvery = time.Second

// watchFloods tells floods that have ended until ctx is done.
func (r *records) watchFloods(ctx context.Context) error {
	for retry.Sleep(ctx, floodEvery) == nil {
		r.tellFloods()
	}
	return nil
}

// floods is a [flood.Folder] for several goroutines.
type floods struct {
	mu     sync.Mutex
	folder *flood.Folder
}

func (f *floods) fold(e *proto.Event) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.folder.Fold(e)
}

func (f *floods) reports() []flood.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.folder.Reports()
}

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
	detect.RemoteContent:    "Remote content",
	detect.LinkExfil:        "Data in a link",
	policy.RuleGuard:        "Blocked by the guard",

	policy.RuleRequestRefused: "Request refused",
	policy.RuleAnswerRefused:  "Answer refused",
}
