package proxy

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
	"github.com/openclaw-security/bus/services/proxy/internal/upload"
)

// Bounds of what a record holds: all of it is foreign, and the bus takes no
// message without an end.
const (
	maxName     = 200 // bytes of a name
	maxCalls    = 500 // tool calls; the rest is counted
	maxFindings = 200 // each is an alert of its own all the same
	maxParts    = 64  // texts of uploads
)

// Kinds of the proxy's records and alerts, beside [spool.KindGap] and
// [proto.KindFlood]: the role may publish no others.
const (
	kindRequest = "request"
	kindGuard   = "guard"
)

// records makes the records of exchanges and the alerts about them.
type records struct {
	spool    appender
	host     string
	now      func() time.Time
	metrics  *metrics
	prompts  *prompts
	refusals *refusals
	redact   func(string) string // takes keys and canaries out
	// These bound the alerts about a lack of memory, and of room for records.
	busyLimit, unrecordedLimit *rate.Limiter
	flood                      *floods
}

// appender takes records and alerts. It does not block; after an error, which it
// has counted and logged, what it was given is lost.
type appender interface {
	AppendAudit(*proto.Audit) error
	AppendAlert(*proto.Event) error
}

var _ appender = (*spool.Spool)(nil)

// record is the audit record of one exchange, while it is being made.
type record struct {
	proto.Audit
	to       *records
	severity proto.Severity
	findings int       // so far, with those that the record has no room for
	answered saidTexts // the answer's texts, where they are recorded
}

// begin begins the record of a request that has come in.
func (r *records) begin(request *http.Request) *record {
	var id [16]byte
	rand.Read(id[:]) // never fails: crypto/rand aborts the program instead
	trace, span := forward.Trace(request.Header)
	return &record{to: r, severity: proto.SeverityInfo, Audit: proto.Audit{
		RequestID: hex.EncodeToString(id[:]),
		Time:      r.now().UTC(),
		Host:      r.host,
		Source:    source,
		Kind:      kindRequest,
		ClassUID:  proto.ClassUIDAPIActivity,
		Client:    clientAddress(request),
		Method:    clip(request.Method),
		Path:      clip(request.URL.Path),
		Session:   clip(forward.Session(request.Header)),
		TraceID:   trace,
		SpanID:    span,
	}}
}

// describe notes what a request is about; request is nil where its body is not
// understood.
func (r *record) describe(route forward.Route, request *inspect.Request) {
	r.RequestModel, r.Stream = clip(route.Model), route.Stream
	if request == nil {
		return
	}
	r.RequestModel = clip(cmp.Or(request.Model, route.Model))
	r.Stream = request.Stream || route.Stream
	r.Session = cmp.Or(r.Session, clip(request.Session))
	r.PromptHMAC = r.to.prompts.hmac(request)
	r.Prompt = r.to.prompts.texts(r.Client, request)
}

// addPart notes what an upload says to the model.
func (r *record) addPart(part *inspect.Request) {
	r.RequestModel = cmp.Or(r.RequestModel, clip(part.Model))
	if len(r.Prompt) < maxParts {
		r.Prompt = append(r.Prompt, r.to.prompts.texts(r.Client, part)...)
	}
}

// addFiles notes what was uploaded.
func (r *record) addFiles(u *upload.Reader) {
	r.RequestModel = cmp.Or(clip(u.Field("model")), r.RequestModel)
	r.Stream = r.Stream || u.Field("stream") == "true"
	r.Files = u.Files()
	r.RequestBytes = u.Taken()
}

// start records that the request is about to go upstream, so that it is known
// even if the proxy dies before it has an answer.
func (r *record) start(route forward.Route, to *endpoint) error {
	r.Operation = route.API.Operation()
	r.Provider = providerName(to.LLMEndpoint)
	r.Upstream = to.Name
	r.ServerAddress, r.ServerPort = to.address, to.port
	first := r.Audit
	first.Phase = proto.PhaseStart
	first.ID = proto.AuditID(first.RequestID, first.Phase)
	first.Findings, first.Guard, first.Prompt = nil, nil, nil // the final record has them
	setSeverity(&first, proto.SeverityInfo)
	redactStrings(reflect.ValueOf(&first).Elem(), r.to.redact)
	return r.to.spool.AppendAudit(&first)
}

// addVerdict notes what was found and what the guard said, and publishes an alert
// for each finding; tool is the tool whose call it is about. Of the guard's
// verdicts the worst is kept.
func (r *record) addVerdict(v *policy.Verdict, tool string) {
	r.severity = max(r.severity, v.Severity)
	if g := v.Guard; g != nil {
		r.to.metrics.guard(v)
		g.Error = clip(g.Error)
		if r.Guard == nil || g.Score >= r.Guard.Score || g.Error != "" {
			r.Guard = g
		}
	}
	for _, f := range v.Findings {
		if r.findings++; len(r.Findings) < maxFindings {
			r.Findings = append(r.Findings, proto.Finding{Rule: f.Rule, Severity: f.Severity, Where: f.Where, Detail: clip(f.Detail), Enforced: f.Enforced})
		}
		r.to.metrics.findings.WithLabelValues(f.Rule, fmt.Sprint(f.Enforced)).Inc()
		if !f.Repeated || f.Enforced {
			r.alert(f, tool)
		}
	}
}

// addUnread notes a verdict on what cannot be checked. The judge, which has had the others
// noted, has not seen that.
func (r *record) addUnread(v *policy.Verdict) {
	if v.Rule == policy.RuleRequestRefused || v.Rule == policy.RuleAnswerRefused {
		r.addVerdict(v, "")
	}
}

// stop notes the verdict that has ended the exchange, or its answer.
func (r *record) stop(v *policy.Verdict) {
	r.Decision, r.Reason = v.Decision, clip(v.Reason)
	r.severity = max(r.severity, v.Severity)
}

// addText begins one of the answer's texts, and returns what notes its pieces.
func (r *record) addText(about answer.Text) func([]byte) {
	if r.to.prompts.recorded == nil || about.Kind == answer.Arguments {
		return func([]byte) {}
	}
	return r.answered.begin(about.Choice)
}

// addOutcome notes how the exchange with the provider went.
func (r *record) addOutcome(o forward.Outcome) {
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
}

// addResult notes what was in the answer, and the verdict that ended it, if one
// did.
func (r *record) addResult(a answer.Result) {
	r.ResponseID, r.ResponseModel, r.Usage = clip(a.ID), clip(a.Model), a.Usage
	for _, reason := range a.FinishReasons {
		r.FinishReasons = append(r.FinishReasons, clip(reason))
	}
	r.ErrorType = cmp.Or(r.ErrorType, clip(a.ErrorType))
	for i, call := range a.ToolCalls {
		if i == maxCalls {
			r.ToolCalls = append(r.ToolCalls, proto.ToolCall{Name: fmt.Sprintf("(%d more)", len(a.ToolCalls)-i+a.MoreCalls)})
			break
		}
		verdict := proto.DecisionAllowed
		if call.Refused != nil {
			verdict = proto.DecisionBlocked
		}
		r.ToolCalls = append(r.ToolCalls, proto.ToolCall{Name: clip(call.Name), ID: clip(call.ID), Verdict: verdict})
	}
	if a.Blocked != nil {
		r.stop(policy.Withheld(a.Blocked))
		r.ErrorType = string(forward.AnswerRefused)
	}
}

// finish records how the request ended.
func (r *record) finish(api llmapi.API) {
	r.Phase = proto.PhaseEnd
	r.ID = proto.AuditID(r.RequestID, r.Phase)
	if r.Duration == 0 {
		r.Duration = seconds(r.to.now().Sub(r.Time))
	}
	setSeverity(&r.Audit, r.severity)
	// Secrets are taken out of the whole, since one can come in several pieces.
	r.Answer = withoutSecrets(r.answered.joined())
	r.to.metrics.request(api.String(), &r.Audit)
	if r.Decision == proto.DecisionRefused && !r.to.refusals.admit(&r.Audit) {
		return
	}
	redactStrings(reflect.ValueOf(&r.Audit).Elem(), r.to.redact)
	// A failure has been counted and logged by the spool itself.
	_ = r.to.spool.AppendAudit(&r.Audit)
}

// redactStrings applies redact to every string in v that may hold what others have
// chosen: to all but the short ones, which have no room for a key.
func redactStrings(v reflect.Value, redact func(string) string) {
	switch v.Kind() {
	case reflect.String:
		if v.Len() >= detect.MinValueBytes {
			v.SetString(redact(v.String()))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			redactStrings(v.Elem(), redact)
		}
	case reflect.Slice:
		for i := range v.Len() {
			redactStrings(v.Index(i), redact)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Field(i); field.CanSet() { // an exported one
				redactStrings(field, redact)
			}
		}
	}
}

func setSeverity(a *proto.Audit, s proto.Severity) {
	a.Severity, a.SeverityID = s, s.ID()
}

// providerName is the provider's name in OpenTelemetry's conventions. Of a server whose
// vendor is not known it is whose API it speaks.
func providerName(e LLMEndpoint) string {
	switch {
	case e.Azure:
		return "azure.ai.openai"
	case e.Provider == "gemini":
		return "gcp.gemini"
	}
	return e.Provider
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

// seconds is a duration as records have it.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }

// Anybody who reaches the port can have requests refused without end. That must
// not fill the audit log, which refuses everything once it is full.
const (
	refusalBurst = 60          // recorded at once
	refusalEvery = time.Second // and then one in this time
)

// refusals decides which refused requests are recorded. The rest is counted, and
// named in the next record.
type refusals struct {
	now     func() time.Time
	limiter *rate.Limiter
	omitted atomic.Int64
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, limiter: rate.NewLimiter(rate.Every(refusalEvery), refusalBurst)}
}

// admit reports whether a is to be recorded, and adds to it how many before it
// were not.
func (f *refusals) admit(a *proto.Audit) bool {
	if !f.limiter.AllowN(f.now(), 1) {
		f.omitted.Add(1)
		return false
	}
	if omitted := f.omitted.Swap(0); omitted > 0 {
		a.Reason = fmt.Sprintf("%s (%d refused requests before this one were counted only)", a.Reason, omitted)
	}
	return true
}
