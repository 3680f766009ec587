package proxy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/proxy/internal/answer"
	"github.com/openclaw-security/bus/services/proxy/internal/detect"
	"github.com/openclaw-security/bus/services/proxy/internal/forward"
	"github.com/openclaw-security/bus/services/proxy/internal/inspect"
	"github.com/openclaw-security/bus/services/proxy/internal/limit"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
	"github.com/openclaw-security/bus/services/proxy/internal/policy"
	"github.com/openclaw-security/bus/services/proxy/internal/spool"
	"github.com/openclaw-security/bus/services/proxy/internal/upload"
)

// headerRequestID names to the client which audit record is about its request.
const headerRequestID = "X-Secbus-Request-Id"

// exchange is one request on its way through the proxy: transport, and nothing
// else. What may pass is decided by policy, what is known of it is in the record.
type exchange struct {
	p        *proxy
	w        http.ResponseWriter
	r        *http.Request
	route    forward.Route
	endpoint *endpoint
	body     []byte
	upload   *upload.Reader   // in the place of body, where files pass
	request  *inspect.Request // nil where the body is not understood
	reader   *answer.Reader   // nil until the answer has begun
	record   *record
	judge    *judge
	lease    *limit.Lease

	inspected int64 // bytes taken for the inspection
	pieces    bool  // the client has asked Gemini for arguments in pieces
	usage     usageAsk
}

// usageAsk is what an exchange has done about the usage of a stream of Chat Completions, for
// which its client has not asked.
type usageAsk struct {
	open bool   // the client has left it open
	body []byte // what was sent with a request for it, until there is an answer; else nil
	mode answer.UsageMode
}

// ServeHTTP serves one request.
//
//	request ─▶ admit ─▶ read ─▶ inspect ─▶ judge.request ─▶ record.start ─▶ forward ─▶ provider
//	             │        │        │            │                │                        │
//	             └────────┴────────┴── refuse ──┴────────────────┘                        │
//	                                     │                                                ▼
//	client ◀────────── llmapi.Error.Write┘                                              answer
//	client ◀─────────────────────────────────── answer.Reader ◀───────────────────────────┘
//	                                              ├─ each tool call ─▶ judge.toolCall ─┐
//	                                              ├─ text ─▶ judge.answered ───────────┤
//	                                              └◀─ an error ends the answer ◀───────┘
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isProbe(r) {
		p.access.Hosts().Handler(http.HandlerFunc(p.health)).ServeHTTP(w, r)
		return
	}
	p.metrics.inFlight.Inc()
	defer p.metrics.inFlight.Dec()
	rec := p.records.begin(r)
	w.Header().Set(headerRequestID, rec.RequestID)
	x := &exchange{p: p, w: w, r: r, record: rec, judge: &judge{detector: p.detector, guard: p.guard, record: rec}}

	if err := x.admit(); err != nil {
		x.refuse(err)
		return
	}
	x.lease = p.memory.Lease(rec.Client)
	defer x.lease.Close()
	for _, step := range []func() error{x.read, x.inspect, x.judgeRequest, x.start} {
		if err := step(); err != nil {
			x.refuse(err)
			return
		}
	}
	x.forward()
}

// admit finds out which client sent the request, and to which provider it goes.
func (x *exchange) admit() error {
	client, refused := x.p.access.Check(x.r)
	if client != "" {
		x.record.Client = client
	}
	route, noRoute := x.p.routes.Match(x.r)
	x.route = route
	if e := cmp.Or(refused, noRoute); e != nil {
		return policy.Refused(*e)
	}
	x.endpoint = x.p.endpoint(route)
	if x.endpoint.NeedsKey && x.endpoint.Key.IsZero() {
		return policy.NoKey(x.endpoint.Label(), x.endpoint.KeySetting)
	}
	return nil
}

// read reads the body.
func (x *exchange) read() error {
	if err := x.Take(exchangeWeight); err != nil {
		return err
	}
	if x.route.Body == forward.File {
		return x.openUpload()
	}
	body, err := forward.ReadBody(x.w, x.r, x.p.cfg.MaxBody, x)
	if err != nil {
		return refusedBody(err)
	}
	x.body = body
	x.record.RequestBytes = int64(len(body))
	return nil
}

// Take implements [forward.Room]: it takes from the memory of all exchanges.
func (x *exchange) Take(n int64) error {
	if err := x.lease.Take(x.r.Context(), n); err != nil {
		return x.busy(err)
	}
	return nil
}

// Give implements [forward.Room].
func (x *exchange) Give(n int64) { x.lease.Give(n) }

// grow is Take and Give for an answer.
func (x *exchange) grow(n int) error {
	if n > 0 {
		return x.Take(int64(n))
	}
	x.Give(int64(-n))
	return nil
}

// busy is the verdict on a request, or an answer, for which there is no memory.
func (x *exchange) busy(err error) error {
	if x.r.Context().Err() != nil {
		return policy.Gone(err)
	}
	what := "request"
	if x.reader != nil {
		what = "answer"
	}
	x.p.metrics.busy.WithLabelValues(what).Inc()
	x.p.records.busy(x.record.Client, what)
	return policy.Busy(err)
}

// inspect reads what the request holds.
func (x *exchange) inspect() error {
	if x.route.Body == forward.JSON || x.route.Body == forward.OptionalJSON && len(x.body) > 0 {
		x.inspected = inspect.Weight(x.body)
		if err := x.lease.TakeLast(x.r.Context(), x.inspected); err != nil {
			return x.busy(err)
		}
		request, err := inspect.Parse(x.route.API, x.body)
		if err != nil {
			x.record.describe(x.route, nil)
			return policy.Malformed(err)
		}
		x.request = request
	}
	x.record.describe(x.route, x.request)
	if x.route.Body == forward.Opaque && len(x.body) > 0 {
		return x.readOpaque()
	}
	return nil
}

func (x *exchange) judgeRequest() error {
	if x.request == nil {
		return nil
	}
	return x.judge.request(x.r.Context(), x.request).Err()
}

// start records that the request is about to go upstream.
func (x *exchange) start() error {
	if err := x.record.start(x.route, x.endpoint); err != nil {
		v := policy.Unrecorded(x.p.cfg.AuditFull, errors.Is(err, spool.ErrFull))
		if !v.Passes() {
			x.p.records.unrecorded(v.Reason)
		}
		return v.Err()
	}
	return nil
}

// refuse answers a request that goes no further, and records that.
func (x *exchange) refuse(err error) {
	v := policy.Withheld(err)
	if v.Answer.Status == http.StatusServiceUnavailable {
		x.w.Header().Set("Retry-After", "5")
	}
	x.record.addUnread(v)
	x.record.stop(v)
	x.record.Status = v.Answer.Status
	forward.Drained(x.w, x.r, func() {
		v.Answer.Write(x.w, cmp.Or(x.route.Provider, llmapi.Provider(x.p.endpoints[0].Provider)), nil)
		x.record.finish(x.route.API)
	})
}

// forward sends the request on and the answer back.
func (x *exchange) forward() {
	body, held := x.body, int64(cap(x.body))
	if x.route.API == llmapi.ChatCompletions && x.record.Stream && x.request != nil && !x.request.IncludeUsage {
		body = x.askForUsage(body)
	}
	x.pieces = x.route.API == llmapi.GenerateContent && asksForPieces(body)
	// A stream can take minutes; what was inspected is not needed any more.
	x.body, x.request = nil, nil
	x.Give(x.inspected)
	var once sync.Once
	sent := func() { once.Do(func() { x.Give(held) }) }
	var outcome forward.Outcome
	switch {
	case x.upload != nil:
		// The rest of a body that was refused is read, so that its client sees why.
		forward.Drained(x.w, x.r, func() {
			exchange := forward.Exchange{Route: x.route, Upload: uploadBody{x.upload}, Room: x, Answer: x.answer}
			outcome = x.endpoint.upstream.Forward(x.w, x.r, exchange)
		})
		x.endUpload()
	case x.route.WebSocket:
		outcome = x.endpoint.upstream.Tunnel(x.w, x.r, x.route)
	default:
		exchange := forward.Exchange{Route: x.route, Body: body, Sent: sent, Room: x, Answer: x.answer}
		if x.usage.body != nil {
			exchange.Again = x.withoutUsage
		}
		outcome = x.endpoint.upstream.Forward(x.w, x.r, exchange)
	}
	x.record.addOutcome(outcome)
	if outcome.End == forward.UploadRefused {
		v := policy.Withheld(outcome.Err)
		x.record.addUnread(v)
		x.record.stop(v)
	}
	if x.reader != nil {
		result := x.reader.Result()
		if stored := x.p.counts.stored(x, result); stored {
			result.Usage.Stored = true // there is one then
		}
		x.record.addResult(result)
		if x.usage.open && outcome.End == forward.Completed && outcome.Status == http.StatusOK && result.Blocked == nil {
			x.endpoint.options.learn(x.record.RequestModel, x.usage.mode != answer.KeepUsage, result.UsageChunk)
		}
	}
	x.addStop(outcome)
	x.record.finish(x.route.API)
	if outcome.Abort {
		panic(http.ErrAbortHandler)
	}
}

// addStop adds a finding about what has ended the answer, where the judge has none of it:
// a value in what is no text of the answer, such as an error or a member that no API
// documents; a form or size that cannot be checked; what the transport does not pass on.
func (x *exchange) addStop(outcome forward.Outcome) {
	var blocked error
	switch {
	case x.reader != nil:
		blocked = x.reader.Result().Blocked
	case outcome.End == forward.AnswerRefused:
		blocked = outcome.Err
	}
	var forbidden *answer.ForbiddenError
	switch {
	case errors.As(blocked, &forbidden):
		leak := x.p.leaks[forbidden.Value]
		if forbidden.Spelled {
			leak.Detail = "with separators, backwards or by ROT13"
		}
		known := slices.ContainsFunc(x.record.Findings, func(f proto.Finding) bool {
			return f.Rule == leak.Rule && f.Enforced
		})
		if !known {
			x.judge.found([]detect.Finding{leak}, "")
		}
	case blocked != nil:
		x.record.addUnread(policy.Withheld(blocked))
	case outcome.End == forward.UpstreamEncoding:
		x.record.addUnread(policy.NotPassedOn(policy.AnswerEncoding))
	case outcome.End == forward.UpstreamRedirect:
		x.record.addUnread(policy.NotPassedOn(policy.AnswerRedirect))
	}
}

// askForUsage is a body with a request for the usage, unless the upstream is known not to
// take one or not to need one.
func (x *exchange) askForUsage(body []byte) []byte {
	ask, mode := x.endpoint.options.ask(x.record.RequestModel)
	// The inspection has weighed as much as the copy that this makes.
	with, added := withUsage(body)
	if x.usage.open = added; !ask || !added {
		return body
	}
	x.usage.body, x.usage.mode = with, mode
	return with
}

// withoutUsage is the body as the client has sent it, if that is what an error is about.
// Nothing has been processed then.
func (x *exchange) withoutUsage(problem []byte) []byte {
	if !x.endpoint.options.refuse(problem) || x.Take(int64(len(x.usage.body))) != nil {
		return nil
	}
	x.usage.mode = answer.KeepUsage
	return withoutUsage(x.usage.body)
}

// answer is what an answer's body passes through.
func (x *exchange) answer(status int, header http.Header, body io.Reader) io.Reader {
	x.usage.body = nil
	if x.upload != nil {
		x.upload.Pause() // what the provider has answered to is all that it gets
	}
	failed := status >= http.StatusBadRequest
	if charset := charsetOf(header); x.route.API != llmapi.None && !failed && !asciiCompatible(charset) {
		return failing{answer.NotUTF8(charset)}
	}
	x.reader = answer.NewReader(body, answer.Options{
		API:    x.route.API,
		Stream: forward.IsEventStream(header),
		Failed: failed,
		Judge: func(call llmapi.ToolCall) error {
			call.Stored = x.r.Method == http.MethodGet
			return x.judge.toolCall(x.r.Context(), call).Err()
		},
		Text:      func(t answer.Text) func([]byte) error { return x.judge.text(x.r.Context(), t) },
		Forbidden: x.p.forbidden,
		Spelled:   x.p.spelled,
		Canceled:  x.r.Context().Err,
		Grow:      x.grow,
		Pieces:    x.pieces,
		Usage:     x.usage.mode,
		MaxCall:   int(x.p.cfg.MaxCall),
	})
	return x.reader
}

// failing is the body of an answer that is refused.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// charsetOf is the charset that a body is declared to be in, in lower case.
func charsetOf(h http.Header) string {
	_, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return strings.ToLower(parameters["charset"])
}

// asciiCompatible reports whether a client that goes by the charset reads the same
// JSON as one that does not. Providers write UTF-8.
func asciiCompatible(charset string) bool {
	switch charset {
	case "", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252":
		return true
	}
	return false
}

// isProbe reports whether a request only asks whether the proxy is there, as monitors do
// and clients before their first request. Such requests reach no provider and are not
// recorded.
//
// Sources: https://github.com/chopratejas/headroom/issues/2032 (HEAD /),
// https://github.com/router-for-me/CLIProxyAPI/issues/5905 (/api/hello).
func isProbe(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.URL.Path {
	case "/", "/health", "/health/", "/healthz", "/livez", "/readyz", "/ping", "/api/hello":
		return true
	}
	return false
}

// health answers with the three keys that are promised, and no more.
func (p *proxy) health(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(struct {
		Status       string `json:"status"`
		GuardEnabled bool   `json:"guard_enabled"`
		APIBase      string `json:"llm_api_base"`
	}{"healthy", p.cfg.Guard.Enabled, p.endpoints[0].Base})
	if err != nil { // three plain values always can be encoded
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body) // the only error is a client that has gone
}

// asksForPieces reports whether a body may ask Gemini for the arguments of function
// calls in pieces.
func asksForPieces(body []byte) bool {
	return bytes.Contains(body, []byte(`"streamFunctionCallArguments"`)) || bytes.Contains(body, []byte(`"stream_function_call_arguments"`))
}
