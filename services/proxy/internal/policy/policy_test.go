package policy

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/guard"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

func TestVerdicts(t *testing.T) {
	observed := detect.Finding{Rule: detect.Secret, Severity: proto.SeverityHigh, Where: detect.InRequest, Detail: "a token"}
	enforced := detect.Finding{Rule: detect.Canary, Severity: proto.SeverityLow, Where: detect.InRequest, Detail: "canary 1", Enforced: true}
	second := detect.Finding{Rule: detect.KeyLeak, Severity: proto.SeverityCritical, Where: detect.InRequest, Detail: "the provider key", Enforced: true}
	down := errors.New("no answer")
	withheld := errors.New("not in the form")
	for _, test := range []struct {
		name     string
		v        *Verdict
		decision proto.Decision
		rule     string
		severity proto.Severity
		reason   string
		status   int
		told     string
		findings int
	}{
		{"nothing found", Found("r1", nil), proto.DecisionAllowed, "", proto.SeverityInfo, "", 0, "", 0},
		{"observed", Found("r1", []detect.Finding{observed}), proto.DecisionAllowed, "", proto.SeverityHigh, "", 0, "", 1},
		{
			"enforced, of low severity", Found("r1", []detect.Finding{enforced}),
			proto.DecisionBlocked, "canary", proto.SeverityMedium, "detection canary: canary 1", 400,
			"blocked by the security proxy: detection canary: canary 1 (request r1)", 1,
		},
		{
			"the first that is enforced decides, the worst is the severity", Found("r1", []detect.Finding{observed, enforced, second}),
			proto.DecisionBlocked, "canary", proto.SeverityCritical, "detection canary: canary 1", 400,
			"blocked by the security proxy: detection canary: canary 1 (request r1)", 3,
		},
		{"the guard finds it harmless", Judged("r1", detect.InRequest, guard.Verdict{Score: .1, Threshold: .8, Reason: "fine"}), proto.DecisionAllowed, "", proto.SeverityInfo, "", 0, "", 0},
		{
			"the guard blocks", Judged("r1", detect.InToolCall, guard.Verdict{Score: .93, Threshold: .8, Reason: "evil", Blocked: true}),
			proto.DecisionBlocked, "guard", proto.SeverityHigh, "the guard says: score 0.93: evil", 400,
			"blocked by the security proxy: the guard says: score 0.93: evil (request r1)", 1,
		},
		{
			"the guard blocks without a reason", Judged("r1", detect.InToolCall, guard.Verdict{Score: 1, Threshold: .8, Blocked: true}),
			proto.DecisionBlocked, "guard", proto.SeverityHigh, "the guard says: score 1.00: no reason given", 400,
			"blocked by the security proxy: the guard says: score 1.00: no reason given (request r1)", 1,
		},
		{
			"the guard fails", Judged("r1", detect.InRequest, guard.Verdict{Threshold: .8, Err: down, Blocked: true}),
			proto.DecisionBlocked, "guard", proto.SeverityMedium, "the guard does not answer, and nothing passes unjudged: no answer", 400,
			"blocked by the security proxy: the guard does not answer, and nothing passes unjudged: no answer (request r1)", 0,
		},
		{"the guard fails open", Judged("r1", detect.InRequest, guard.Verdict{Threshold: .8, Err: down}), proto.DecisionAllowed, "", proto.SeverityInfo, "", 0, "", 0},
		{"refused", Refused(llmapi.Error{Status: 404, Message: "nowhere"}), proto.DecisionRefused, "", proto.SeverityInfo, "nowhere", 404, "nowhere", 0},
		{"malformed", Malformed(withheld), proto.DecisionRefused, "request-refused", proto.SeverityLow, "not in the form", 400, "not in the form", 1},
		{"too large", Unread(llmapi.Error{Status: 413, Message: "too large"}), proto.DecisionRefused, "request-refused", proto.SeverityLow, "too large", 413, "too large", 1},
		{"too slow", Unread(llmapi.Error{Status: 408, Message: "too slow"}), proto.DecisionRefused, "", proto.SeverityInfo, "too slow", 408, "too slow", 0},
		{
			"no key", NoKey("openai", "LLM_OPENAI_API_KEY"), proto.DecisionRefused, "", proto.SeverityInfo,
			"the security proxy has no key for openai: set LLM_OPENAI_API_KEY, or LLM_OPENAI_API_KEY_FILE, where it runs", 401,
			"the security proxy has no key for openai: set LLM_OPENAI_API_KEY, or LLM_OPENAI_API_KEY_FILE, where it runs", 0,
		},
		{
			"no record", Unrecorded(RefuseUnrecorded, false), proto.DecisionRefused, "", proto.SeverityInfo,
			"the security proxy cannot record requests and is set to refuse them then (PROXY_AUDIT_FULL)", 503,
			"the security proxy cannot record requests and is set to refuse them then (PROXY_AUDIT_FULL)", 0,
		},
		{
			"no room for a record", Unrecorded(RefuseUnrecorded, true), proto.DecisionRefused, "", proto.SeverityInfo,
			"the security proxy has no room left for records, because NATS takes none, and is set to refuse requests then (PROXY_AUDIT_FULL)", 503,
			"the security proxy has no room left for records, because NATS takes none, and is set to refuse requests then (PROXY_AUDIT_FULL)", 0,
		},
		{"no record, and served", Unrecorded(ServeUnrecorded, true), proto.DecisionAllowed, "", proto.SeverityInfo, "", 0, "", 0},
		{"an answer withheld for its form", Withheld(withheld), proto.DecisionBlocked, "answer-refused", proto.SeverityMedium, "not in the form", 400, "not in the form", 1},
		{"an answer with a value", Withheld(answer.ErrForbidden), proto.DecisionBlocked, "", proto.SeverityMedium, answer.ErrForbidden.Error(), 400, answer.ErrForbidden.Error(), 0},
		{
			"an answer withheld by a verdict", Withheld(fmt.Errorf("reading: %w", Found("r1", []detect.Finding{enforced}).Err())),
			proto.DecisionBlocked, "canary", proto.SeverityMedium, "detection canary: canary 1", 400,
			"blocked by the security proxy: detection canary: canary 1 (request r1)", 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := test.v
			if v.Decision != test.decision || v.Rule != test.rule || v.Severity != test.severity || v.Reason != test.reason ||
				v.Answer != (llmapi.Error{Status: test.status, Message: test.told}) || len(v.Findings) != test.findings {
				t.Errorf("got %+v", v)
			}
			passes := test.decision == proto.DecisionAllowed
			if v.Passes() != passes || (v.Err() == nil) != passes {
				t.Errorf("passes %t, error %v", v.Passes(), v.Err())
			}
			if told, ok := errors.AsType[llmapi.Error](v.Err()); ok == passes || told.Status != test.status {
				t.Errorf("its error is for the client %t: %+v", ok, told)
			}
		})
	}
}

func TestWhatTheGuardSaidIsKept(t *testing.T) {
	for _, test := range []struct {
		guard guard.Verdict
		want  proto.Guard
	}{
		{guard.Verdict{Score: .1, Threshold: .8, Reason: "fine"}, proto.Guard{Score: .1, Threshold: .8, Reason: "fine"}},
		{guard.Verdict{Threshold: .8, Err: http.ErrHandlerTimeout}, proto.Guard{Threshold: .8, Error: http.ErrHandlerTimeout.Error()}},
	} {
		if got := Judged("r1", detect.InRequest, test.guard).Guard; got == nil || *got != test.want {
			t.Errorf("got %+v, want %+v", got, test.want)
		}
	}
}
