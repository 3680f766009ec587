package llmtest

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// statusOverloaded is Anthropic's own. https://docs.claude.com/en/api/errors
const statusOverloaded = 529

// oauthPrefix begins the tokens that are presented as a bearer rather than as an
// API key, and only with the beta of oauthBeta.
const (
	oauthPrefix = "sk-ant-oat"
	oauthBeta   = "oauth-2025-04-20"
)

type anthropic struct{}

var _ provider = anthropic{}

func (anthropic) authenticate(r *http.Request, key string) (string, *fault) {
	presented, token := r.Header.Get("X-Api-Key"), bearer(r)
	refuse := func(message string) *fault { return &fault{status: http.StatusUnauthorized, message: message} }
	switch {
	case presented != "":
		if !equal(presented, key) || strings.HasPrefix(key, oauthPrefix) {
			return presented, refuse("invalid x-api-key")
		}
	case token != "":
		presented = token
		betas := strings.Join(r.Header.Values("Anthropic-Beta"), ",")
		if !strings.Contains(betas, oauthBeta) {
			return presented, refuse("Without its beta, no OAuth token is accepted.")
		}
		if !equal(token, key) || !strings.HasPrefix(key, oauthPrefix) {
			return presented, refuse("Invalid bearer token")
		}
	default:
		return "", refuse("x-api-key header is required")
	}
	if r.Header.Get("Anthropic-Version") == "" {
		return presented, &fault{status: http.StatusBadRequest, message: "anthropic-version: header is required"}
	}
	return presented, nil
}

// header sets what https://docs.claude.com/en/api/rate-limits#response-headers
// lists, and what the network in front adds.
func (anthropic) header(h http.Header, x *exchange) {
	h.Set("Request-Id", x.requestID)
	h.Set("Anthropic-Organization-Id", "00000000-0000-4000-8000-000000000000")
	reset := x.server.now().UTC().Truncate(time.Minute).Add(time.Minute).Format(time.RFC3339)
	for _, limit := range []struct{ name, most, left string }{
		{"Requests", "4000", "3999"},
		{"Tokens", "480000", "479000"},
		{"Input-Tokens", "400000", "399000"},
		{"Output-Tokens", "80000", "80000"},
	} {
		h.Set("Anthropic-Ratelimit-"+limit.name+"-Limit", limit.most)
		h.Set("Anthropic-Ratelimit-"+limit.name+"-Remaining", limit.left)
		h.Set("Anthropic-Ratelimit-"+limit.name+"-Reset", reset)
	}
	h.Set("Server", "cloudflare")
	h.Set("Cf-Cache-Status", "DYNAMIC")
	h.Set("Via", "1.1 google")
}

func (anthropic) requestID(serial int64) string { return fmt.Sprintf("req_011Fake%016d", serial) }
func (anthropic) contentType() string           { return "application/json" }
func (anthropic) modelsPath() string            { return "/v1/models" }
func (anthropic) knows(model string) bool       { return hasPrefix(model, "claude-") }

func (anthropic) errorBody(f *fault, requestID string) []byte {
	return fmt.Appendf(nil, `{"type":"error","error":{"type":%q,"message":%s},"request_id":%q}`,
		anthropicError(f.status), quote(f.message), requestID)
}

// anthropicError is the type of error that comes with a status.
func anthropicError(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusGatewayTimeout:
		return "timeout_error"
	case statusOverloaded:
		return "overloaded_error"
	}
	if status < http.StatusInternalServerError {
		return "invalid_request_error"
	}
	return "api_error"
}

func (a anthropic) modelList() []byte {
	return fmt.Appendf(nil, `{"data":[%s,%s],"has_more":false,"first_id":"claude-opus-4-1-20250805","last_id":"claude-sonnet-4-5-20250929"}`,
		a.model("claude-opus-4-1-20250805"), a.model("claude-sonnet-4-5-20250929"))
}

func (anthropic) model(name string) []byte {
	return fmt.Appendf(nil, `{"type":"model","id":%s,"display_name":%[1]s,"created_at":"2025-09-29T00:00:00Z"}`, quote(name))
}

// messages is the Messages API.
type messages struct{}

var (
	_ format   = messages{}
	_ streamer = messages{}
)

func (messages) read(body []byte, _ *http.Request, p *prompt) *fault {
	return readMessages(body, p, true)
}

// readMessages reads a request of the Messages API, which asks for an answer of
// at most so many tokens if it asks for one.
func readMessages(body []byte, p *prompt, answered bool) *fault {
	n, maxTokens := 0, 0
	for name, value := range members(body) {
		switch name {
		case "model":
			p.model = text(value)
		case "stream":
			p.stream = answered && string(value) == "true"
		case "max_tokens":
			maxTokens, _ = strconv.Atoi(string(value)) // 0 is refused below
		case "messages":
			var newest []byte
			newest, n = last(value)
			p.text = userText(newest, "")
		}
	}
	switch {
	case p.model == "":
		return missing("model: Field required")
	case n == 0:
		return missing("messages: at least one message is required")
	case answered && maxTokens <= 0:
		return missing("max_tokens: a positive number is required")
	}
	return nil
}

func (messages) contentType(*answer) string { return "text/event-stream; charset=utf-8" }

func (messages) errorEvent(x *exchange, _ *answer, f *fault, _ int) []byte {
	return fmt.Appendf(nil, "event: error\ndata: %s\n\n", x.provider.errorBody(f, x.requestID))
}

func (messages) body(a *answer) []byte {
	var blocks []string
	if len(a.pieces) > 0 {
		blocks = append(blocks, `{"type":"text","text":`+quote(a.text())+`}`)
	}
	for i, call := range a.calls {
		blocks = append(blocks, fmt.Sprintf(`{"type":"tool_use","id":%q,"name":%s,"input":%s}`, toolID(a, i), quote(call.name), compact(call.arguments)))
	}
	return fmt.Appendf(nil, `{"id":%q,"type":"message","role":"assistant","model":%s,"content":[%s],"stop_reason":%q,"stop_sequence":null,"usage":{%s,"output_tokens":%d,"service_tier":"standard"}}`,
		messageID(a), quote(a.model), strings.Join(blocks, ","), stopReason(a), inputUsage(a), a.usage.output)
}

// inputUsage is the input's part of a usage, in which input_tokens leaves out
// what came from the cache.
func inputUsage(a *answer) string {
	return fmt.Sprintf(`"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":%d`,
		a.usage.input-a.usage.cached, a.usage.cached)
}

func stopReason(a *answer) string {
	if len(a.calls) > 0 {
		return "tool_use"
	}
	return "end_turn"
}

func messageID(a *answer) string     { return fmt.Sprintf("msg_01Fake%018d", a.serial) }
func toolID(a *answer, i int) string { return fmt.Sprintf("toolu_01Fake%012d%04d", a.serial, i) }

// countTokens is the Messages API's way of asking what a prompt would cost.
type countTokens struct{}

var _ format = countTokens{}

func (countTokens) read(body []byte, _ *http.Request, p *prompt) *fault {
	return readMessages(body, p, false)
}

func (countTokens) body(a *answer) []byte {
	return fmt.Appendf(nil, `{"input_tokens":%d}`, a.usage.input)
}
