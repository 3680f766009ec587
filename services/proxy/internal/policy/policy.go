// Package policy decides what becomes of a request, of a tool call and of an
// answer's text: whether it goes on, what the record says and what the client is
// sent. It is given what others have found, calls nobody and keeps nothing, so
// that a verdict depends on the arguments alone.
//
//	a fault of the request ─▶ Refused ────┐
//	what detections found ──▶ Found ──────┤            ┌─▶ record, alerts (package proxy)
//	what the guard says ────▶ Judged ─────┼─▶ Verdict ─┤
//	no room for a record ───▶ Unrecorded ─┤            └─▶ bytes in the provider's form (llmapi)
//	an answer withheld ─────▶ Withheld ───┘
package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/guard"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// RuleGuard is the rule of what the external guard has blocked.
const RuleGuard = "guard"

// RuleBusy is the rule of what was refused for want of memory.
const RuleBusy = "proxy-busy"

// RuleUnrecorded is the rule of what was refused because no record could be kept.
const RuleUnrecorded = "audit-refused"

// What becomes of a request of which no record can be kept.
const (
	RefuseUnrecorded = "refuse"
	ServeUnrecorded  = "serve"
)

// Rules of what is refused for what it is, no matter what it holds. What cannot be read
// cannot be judged, so that somebody may have written it for just that.
const (
	RuleRequestRefused = "request-refused"
	RuleAnswerRefused  = "answer-refused"
)

// What answers are refused for, beside their form and size.
const (
	AnswerEncoding = "it is in an encoding that cannot be read"
	AnswerRedirect = "the provider sends its client to another place"
)

// Verdict is what is decided about a request or about a part of an answer. One
// that stops it is an error, in whose tree the [llmapi.Error] for the client is.
type Verdict struct {
	Decision proto.Decision // allowed, blocked for what it holds, or refused for another reason
	Rule     string         // that blocked it; empty if none did
	Severity proto.Severity // for the record
	Reason   string         // for the record; empty if it is allowed
	Answer   llmapi.Error   // for the client, unless it is allowed

	Findings []detect.Finding // to be recorded, with an alert for each
	Guard    *proto.Guard     // what the guard said; nil if it was not asked
}

// Passes reports whether what the verdict is about may go on.
func (v *Verdict) Passes() bool { return v.Decision == proto.DecisionAllowed }

// Err returns the verdict as an error, nil if it lets pass.
func (v *Verdict) Err() error {
	if v.Passes() {
		return nil
	}
	return v
}

// Error is the message for the client.
func (v *Verdict) Error() string { return v.Answer.Message }

// Unwrap returns the error for the client.
func (v *Verdict) Unwrap() error { return v.Answer }

func allowed() *Verdict {
	return &Verdict{Decision: proto.DecisionAllowed, Severity: proto.SeverityInfo}
}

// block makes v one that stops what it is about. The client can give the
// request's id to the person who looks into it.
func (v *Verdict) block(requestID, rule, reason string) {
	v.Decision, v.Rule, v.Reason = proto.DecisionBlocked, rule, reason
	v.Severity = max(v.Severity, proto.SeverityMedium)
	v.Answer = llmapi.Blocked(fmt.Sprintf("blocked by the security proxy: %s (request %s)", reason, requestID))
}

// Refused is about a request that is not served, no matter what it holds.
func Refused(e llmapi.Error) *Verdict {
	return &Verdict{Decision: proto.DecisionRefused, Severity: proto.SeverityInfo, Reason: e.Message, Answer: e}
}

// Malformed is about a request whose body has no single meaning.
func Malformed(err error) *Verdict {
	return unread(llmapi.Blocked(err.Error()), "its body cannot be read in one way only")
}

// Unread is about a request whose body could not be read for the reason that the client is
// sent.
func Unread(e llmapi.Error) *Verdict {
	switch e.Status {
	case http.StatusRequestEntityTooLarge:
		return unread(e, "its body is too large")
	case http.StatusUnsupportedMediaType:
		return unread(e, "its body is in a form or an encoding that cannot be read")
	case http.StatusBadRequest:
		return unread(e, "its body is damaged or incomplete")
	default: // it took too long
		return Refused(e)
	}
}

func unread(e llmapi.Error, detail string) *Verdict {
	v := Refused(e)
	v.Rule, v.Severity = RuleRequestRefused, proto.SeverityLow
	v.Findings = []detect.Finding{{Rule: v.Rule, Severity: v.Severity, Where: detect.InRequest, Detail: detail, Enforced: true}}
	return v
}

// NoKey is about a request to a provider for which the proxy has no key; setting
// is where the key would be.
func NoKey(provider, setting string) *Verdict {
	return Refused(llmapi.Error{
		Status:  http.StatusUnauthorized,
		Message: fmt.Sprintf("the security proxy has no key for %s: set %s, or %s_FILE, where it runs", provider, setting, setting),
	})
}

// Unrecorded is about a request of which no record can be kept, because there is
// no room for one or because the file system fails; setting is one of
// RefuseUnrecorded and ServeUnrecorded.
func Unrecorded(setting string, full bool) *Verdict {
	if setting == ServeUnrecorded {
		return allowed()
	}
	message := "the security proxy cannot record requests and is set to refuse them then (PROXY_AUDIT_FULL)"
	if full {
		message = "the security proxy has no room left for records, because NATS takes none, and is set to refuse requests then (PROXY_AUDIT_FULL)"
	}
	return Refused(llmapi.Error{Status: http.StatusServiceUnavailable, Message: message})
}

// Busy is about a request, or an answer, for which there is no memory. Its status
// is one that clients try again after.
func Busy(err error) *Verdict {
	v := Refused(llmapi.Error{
		Status:  http.StatusServiceUnavailable,
		Message: fmt.Sprintf("the security proxy has no memory left for this (PROXY_MEMORY): %v; try again", err),
	})
	v.Rule, v.Severity = RuleBusy, proto.SeverityMedium
	return v
}

// Gone is about a request whose client did not wait for it.
func Gone(err error) *Verdict {
	return Refused(llmapi.Error{Status: http.StatusRequestTimeout, Message: fmt.Sprintf("the client has gone: %v", err)})
}

// Found is about what detections have found something in, or nothing: the first
// finding of an enforced detection blocks it.
func Found(requestID string, findings []detect.Finding) *Verdict {
	v := allowed()
	v.Findings = findings
	for _, f := range findings {
		v.Severity = max(v.Severity, f.Severity)
		if f.Enforced && v.Passes() {
			v.block(requestID, f.Rule, fmt.Sprintf("detection %s: %s", f.Rule, f.Detail))
		}
	}
	return v
}

// Judged is about what the guard was asked about; where is one of the words of
// [detect.Finding].
func Judged(requestID, where string, g guard.Verdict) *Verdict {
	v := allowed()
	v.Guard = &proto.Guard{Score: g.Score, Threshold: g.Threshold, Reason: g.Reason}
	if g.Err != nil {
		v.Guard.Error = g.Err.Error()
	}
	switch {
	case g.Blocked && g.Err == nil:
		detail := fmt.Sprintf("score %.2f: %s", g.Score, cmp.Or(g.Reason, "no reason given"))
		// The guard may be a model that repeats what it was asked about.
		quoted := fmt.Sprintf("score %.2f", g.Score)
		if g.Reason != "" {
			quoted += fmt.Sprintf(" (%.80q)", g.Reason)
		}
		v.Findings = []detect.Finding{{Rule: RuleGuard, Severity: proto.SeverityHigh, Where: where, Detail: quoted, Enforced: true}}
		v.Severity = proto.SeverityHigh
		v.block(requestID, RuleGuard, "the guard says: "+detail)
	case g.Blocked:
		v.block(requestID, RuleGuard, fmt.Sprintf("the guard does not answer, and nothing passes unjudged: %v", g.Err))
	}
	return v
}

// Withheld is about an answer that ended with err: a verdict on a part of it, or
// that it cannot be passed on for its form or its size.
func Withheld(err error) *Verdict {
	if v, ok := errors.AsType[*Verdict](err); ok {
		return v
	}
	v := &Verdict{Decision: proto.DecisionBlocked, Severity: proto.SeverityMedium, Reason: err.Error(), Answer: llmapi.Blocked(err.Error())}
	switch {
	case errors.Is(err, answer.ErrForbidden): // a detection of its own
	case errors.Is(err, answer.ErrTooLarge):
		v.refuseAnswer("it holds more than can be checked")
	default:
		v.refuseAnswer("it is not in the form that its API documents")
	}
	return v
}

// NotPassedOn is about an answer that the transport does not pass on, for one of the
// reasons above.
func NotPassedOn(detail string) *Verdict {
	v := &Verdict{Decision: proto.DecisionFailed, Severity: proto.SeverityMedium}
	v.refuseAnswer(detail)
	return v
}

func (v *Verdict) refuseAnswer(detail string) {
	v.Rule = RuleAnswerRefused
	v.Findings = []detect.Finding{{Rule: v.Rule, Severity: v.Severity, Where: detect.InResponse, Detail: detail, Enforced: true}}
}
