package proxy

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/guard"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// headerRequestID tells the client which audit record is about its request.
const headerRequestID = "X-Secbus-Request-Id"

// Bounds of what a record holds: all of it is foreign, and the bus takes no
// message without an end.
const (
	maxName     = 200 // bytes of a name
	maxCalls    = 500 // tool calls; the rest is counted
	maxFindings = 200 // each is an alert of its own all the same
)

// exchange is one request on its way through the proxy.
type exchange struct {
	p        *proxy
	w        http.ResponseWriter
	r        *http.Request
	route    forward.Route
	endpoint *endpoint
	body     []byte
	request  *inspect.Request // nil where the body is not understood
	text     *detect.Text
	reader   *answer.Reader // nil until the answer has begun
	record   proto.Audit
	content  *content // nil unless content is recorded

	findings   int   // made so far
	addedUsage bool  // the proxy has asked for a usage chunk that the client did not ask for
	stopped    error // why the answer's text may not go on
}

// begin makes an exchange of a request that has come in.
func (p *proxy) begin(w http.ResponseWriter, r *http.Request) *exchange {
	var id [16]byte
	rand.Read(id[:]) // never fails: crypto/rand aborts the program instead
	x := &exchange{p: p, w: w, r: r}
	x.record = proto.Audit{
		RequestID: hex.EncodeToString(id[:]),
		Time:      p.now().UTC(),
		Host:      p.host,
		Source:    source,
		Kind:      "request",
		ClassUID:  proto.ClassUIDAPIActivity,
		Client:    clientAddress(r),
		Method:    clip(r.Method),
		Path:      clip(r.URL.Path),
	}
	w.Header().Set(headerRequestID, x.record.RequestID)
	return x
}

// refuse answers a request that goes no further, and records that.
func (x *exchange) refuse(decision proto.Decision, e llmapi.Error) {
	x.record.Decision, x.record.Status = decision, e.Status
	if x.record.Reason == "" {
		x.record.Reason = clip(e.Message)
	}
	forward.WriteError(x.w, cmp.Or(x.route.Provider, llmapi.Provider(x.p.endpoints[0].Provider)), e)
	x.finish()
}

// inspect reads what the request holds.
func (x *exchange) inspect() error {
	x.record.RequestModel, x.record.Stream = clip(x.route.Model), x.route.Stream
	if x.route.API == llmapi.None || len(x.body) == 0 && x.r.Method == http.MethodGet {
		return nil
	}
	request, err := inspect.Parse(x.route.API, x.body)
	if err != nil {
		return err
	}
	x.request = request
	x.record.RequestModel = clip(cmp.Or(request.Model, x.route.Model))
	x.record.Stream = request.Stream || x.route.Stream
	x.record.PromptHMAC = x.p.promptHMAC(request)
	if x.p.cfg.AuditContent {
		x.content = x.p.newContent(x.record.Client, request)
	}
	return nil
}

// judgeRequest returns why the request may not go on, nil if it may.
func (x *exchange) judgeRequest(ctx context.Context) error {
	if x.request == nil {
		return nil
	}
	if err := x.found(x.p.detector.Request(x.record.Client, x.request), ""); err != nil {
		return err
	}
	if x.p.guard == nil {
		return nil
	}
	texts := make([][]byte, 0, len(x.request.Segments))
	for _, s := range x.request.Segments {
		if s.Kind != inspect.KindData {
			texts = append(texts, s.Text)
		}
	}
	return x.askGuard(ctx, texts, "request", "")
}

// judgeCall returns why a tool call may not go on, nil if it may.
func (x *exchange) judgeCall(call llmapi.ToolCall) error {
	if err := x.found(x.p.detector.ToolCall(x.record.Client, call), call.Name); err != nil {
		return err
	}
	if x.p.guard == nil {
		return nil
	}
	text := append(append([]byte(call.Name), ' '), call.Arguments...)
	return x.askGuard(x.r.Context(), [][]byte{text}, "tool_call", call.Name)
}

// askGuard has texts judged. The record keeps the worst verdict.
func (x *exchange) askGuard(ctx context.Context, texts [][]byte, where, tool string) error {
	v := x.p.guard.Check(ctx, texts)
	if x.record.Guard == nil || v.Score >= x.record.Guard.Score || v.Err != nil {
		x.record.Guard = &proto.Guard{Score: v.Score, Threshold: v.Threshold, Reason: v.Reason}
		if v.Err != nil {
			x.record.Guard.Error = clip(v.Err.Error())
		}
	}
	x.p.metrics.guard(v)
	switch {
	case v.Blocked && v.Err == nil:
		x.found([]detect.Finding{{Rule: ruleGuard, Severity: proto.SeverityHigh, Where: where, Detail: guardDetail(v), Enforced: true}}, tool)
		return x.blocked(fmt.Errorf("the guard says: %s", guardDetail(v)))
	case v.Blocked:
		return x.blocked(fmt.Errorf("the guard does not answer, and nothing passes unjudged: %w", v.Err))
	}
	return nil
}

func guardDetail(v guard.Verdict) string {
	return fmt.Sprintf("score %.2f: %s", v.Score, cmp.Or(v.Reason, "no reason given"))
}

// found records findings and tells the bus of each. It returns an error if one
// of them is enforced.
func (x *exchange) found(findings []detect.Finding, tool string) error {
	var enforced error
	for _, f := range findings {
		if f.Enforced && enforced == nil {
			enforced = x.blocked(fmt.Errorf("detection %s: %s", f.Rule, f.Detail))
		}
		if x.findings++; len(x.record.Findings) < maxFindings {
			x.record.Findings = append(x.record.Findings, proto.Finding{Rule: f.Rule, Severity: f.Severity, Where: f.Where, Enforced: f.Enforced})
		}
		x.p.metrics.findings.WithLabelValues(f.Rule, fmt.Sprint(f.Enforced)).Inc()
		x.p.alert(x.alert(f, tool))
	}
	return enforced
}

// forward sends the request on and the answer back.
func (x *exchange) forward() {
	body := x.body
	if x.route.API == llmapi.ChatCompletions && x.record.Stream && x.request != nil && !x.request.IncludeUsage {
		body, x.addedUsage = withUsage(body)
	}
	// A stream can take minutes; what was inspected is not needed any more.
	x.body, x.request = nil, nil
	var outcome forward.Outcome
	if x.route.WebSocket {
		outcome = x.endpoint.upstream.Tunnel(x.w, x.r, x.route)
	} else {
		outcome = x.endpoint.upstream.Forward(x.w, x.r, forward.Exchange{Route: x.route, Body: body, Answer: x.answer})
	}
	x.note(outcome)
	x.finish()
	if outcome.Abort {
		panic(http.ErrAbortHandler)
	}
}

// answer is what an answer's body passes through.
func (x *exchange) answer(status int, header http.Header, body io.Reader) io.Reader {
	if x.route.API == llmapi.None || status >= http.StatusBadRequest && !mayCall(header) {
		return body
	}
	x.text = x.p.detector.Answer()
	stream := isEventStream(header)
	x.reader = answer.NewReader(body, answer.Options{
		API:       x.route.API,
		Stream:    stream,
		Judge:     x.judgeCall,
		Text:      x.watch,
		Forbidden: x.p.forbidden,
		DropUsage: x.addedUsage,
	})
	return &gated{x: x, stream: stream}
}

// mayCall reports whether an error's body is one that a client reads like an
// answer. A gateway's page about an error is none, whatever is in it.
func mayCall(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "" || strings.HasSuffix(media, "json") || isEventStream(h)
}

// watch looks at the answer's text before it goes on.
func (x *exchange) watch(text []byte) {
	if x.content != nil {
		x.content.answer(text)
	}
	if err := x.found(x.text.Write(text), ""); err != nil && x.stopped == nil {
		x.stopped = err
	}
}

// gated is the answer on its way to the client. What is refused in it becomes
// an error in the provider's form: in place of a body, or at the end of a
// stream.
type gated struct {
	x      *exchange
	stream bool
	last   []byte // what is still to be sent of the error that ends a stream
	ended  bool
}

// Read implements [io.Reader]. An error of the type *refused is a
// [forward.Refusal].
func (g *gated) Read(p []byte) (int, error) {
	if g.ended {
		n := copy(p, g.last)
		g.last = g.last[n:]
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	n, err := g.x.reader.Read(p)
	if g.x.stopped != nil {
		// What was read holds, or follows, the text that may not go on.
		e := refusal(g.x.stopped)
		if !g.stream {
			return 0, &refused{e}
		}
		g.ended = true
		g.last = append([]byte("\n\n"), e.Event(g.x.route.API)...)
		return g.Read(p)
	}
	if r, ok := err.(*answer.Refused); ok {
		return n, &refused{refusal(r)}
	}
	return n, err
}

// refused is an error that has an answer of its own.
type refused struct{ e llmapi.Error }

var _ forward.Refusal = (*refused)(nil)

// Error is what the client is told.
func (r *refused) Error() string { return r.e.Message }

// Refusal implements [forward.Refusal].
func (r *refused) Refusal() llmapi.Error { return r.e }

// blocked is why something may not pass; its text is what the client is told.
type blocked struct {
	reason  error
	request string // its id
}

// Error says where to look it up.
func (b *blocked) Error() string {
	return fmt.Sprintf("blocked by the security proxy: %s (request %s)", b.reason, b.request)
}

// Unwrap returns the reason.
func (b *blocked) Unwrap() error { return b.reason }

func (x *exchange) blocked(reason error) error { return &blocked{reason, x.record.RequestID} }

// reason is what a record says of something that was blocked.
func reason(err error) string {
	var b *blocked
	if errors.As(err, &b) {
		return b.reason.Error()
	}
	return err.Error()
}

// refusal is the error for the client about something that was blocked. Its
// status is 400 because a client takes that as final: it neither tries again
// nor turns to another provider.
func refusal(err error) llmapi.Error {
	return llmapi.Error{Status: http.StatusBadRequest, Message: err.Error()}
}

// promptHMAC is a keyed hash of what the user said last. History is sent again
// with every turn, so that a hash of all of it would never come twice.
func (p *proxy) promptHMAC(r *inspect.Request) string {
	last := -1
	for i, s := range r.Segments {
		if s.Role == inspect.RoleUser && s.Kind == inspect.KindText {
			last = i
		}
	}
	if last < 0 {
		return ""
	}
	mac := hmac.New(sha256.New, p.hmacKey)
	mac.Write(r.Segments[last].Text)
	return hex.EncodeToString(mac.Sum(nil))
}

// since is a duration in seconds, as records have it.
func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }
