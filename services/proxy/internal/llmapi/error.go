package llmapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Error is what the proxy itself sends a client, in the form of a provider's
// error. Everything that is refused becomes bytes here: by Write if no answer has
// begun, by Event at the end of a stream that has.
type Error struct {
	Status  int    // HTTP status
	Message string // for the person who reads the client's log; may hold any bytes
}

// Blocked is the Error about something that may not pass. Its status is 400
// because a client takes that as final: it neither tries again nor turns to
// another provider.
func Blocked(message string) Error {
	return Error{Status: http.StatusBadRequest, Message: message}
}

// Error implements error.
func (e Error) Error() string { return e.Message }

// self is what the proxy calls itself to clients.
const self = "security proxy"

// text is the message as the client sees it. It says whose it is, since what a
// provider refuses looks the same.
func (e Error) text() string {
	if strings.Contains(e.Message, self) {
		return e.Message
	}
	return self + ": " + e.Message
}

// Write answers with e as p would. redact, if it is not nil, is applied to the
// body. It returns how long the body is.
func (e Error) Write(w http.ResponseWriter, p Provider, redact func([]byte) []byte) int {
	body := e.Body(p)
	if redact != nil {
		body = redact(body)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body) // the only error is a client that has gone
	return len(body)
}

// Body is the JSON body of e as p would send it.
//
// Sources: https://docs.claude.com/en/api/errors,
// https://platform.openai.com/docs/guides/error-codes,
// https://cloud.google.com/apis/design/errors.
func (e Error) Body(p Provider) []byte {
	switch p {
	case Anthropic:
		type detail struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		}
		return encode(struct {
			Type  string `json:"type"`
			Error detail `json:"error"`
		}{"error", detail{e.kind(p), e.text()}})
	case Gemini:
		type detail struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Status  string `json:"status"`
		}
		return encode(struct {
			Error detail `json:"error"`
		}{detail{e.Status, e.text(), e.kind(p)}})
	default:
		type detail struct {
			Message string  `json:"message"`
			Type    string  `json:"type"`
			Param   *string `json:"param"`
			Code    *string `json:"code"`
		}
		return encode(struct {
			Error detail `json:"error"`
		}{detail{Message: e.text(), Type: e.kind(p)}})
	}
}

// Event is e as the last server-sent event of a stream of a, after a status of
// 200 has gone out: `event: error` where the API names its events, else a data
// line with the error's body.
func (e Error) Event(a API) []byte {
	switch a {
	case Messages, CountTokens:
		return sse("error", e.Body(Anthropic))
	case Responses:
		// https://platform.openai.com/docs/api-reference/responses-streaming/error
		return sse("error", encode(struct {
			Type    string  `json:"type"`
			Code    string  `json:"code"`
			Message string  `json:"message"`
			Param   *string `json:"param"`
		}{Type: "error", Code: e.kind(OpenAI), Message: e.text()}))
	case GenerateContent:
		return sse("", e.Body(Gemini))
	case Interactions:
		// https://ai.google.dev/gemini-api/docs/interactions/streaming
		type detail struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		}
		return sse("error", encode(struct {
			Type  string `json:"event_type"`
			Error detail `json:"error"`
		}{"error", detail{strings.ToLower(e.kind(Gemini)), e.text()}}))
	default:
		return sse("", e.Body(OpenAI))
	}
}

// kind is the provider's word for the status.
func (e Error) kind(p Provider) string {
	kinds, fallback := anthropicKinds, "api_error"
	switch p {
	case OpenAI:
		kinds, fallback = openAIKinds, "server_error"
	case Gemini:
		kinds, fallback = geminiKinds, "INTERNAL"
	}
	if kind, ok := kinds[e.Status]; ok {
		return kind
	}
	if e.Status >= 400 && e.Status < 500 {
		return kinds[http.StatusBadRequest]
	}
	return fallback
}

var (
	anthropicKinds = map[int]string{
		http.StatusBadRequest:            "invalid_request_error",
		http.StatusUnauthorized:          "authentication_error",
		http.StatusForbidden:             "permission_error",
		http.StatusNotFound:              "not_found_error",
		http.StatusRequestEntityTooLarge: "request_too_large",
		http.StatusTooManyRequests:       "rate_limit_error",
		http.StatusGatewayTimeout:        "timeout_error",
		http.StatusServiceUnavailable:    "overloaded_error",
	}
	openAIKinds = map[int]string{
		http.StatusBadRequest:      "invalid_request_error",
		http.StatusUnauthorized:    "authentication_error",
		http.StatusForbidden:       "permission_error",
		http.StatusTooManyRequests: "rate_limit_error",
	}
	geminiKinds = map[int]string{
		http.StatusBadRequest:         "INVALID_ARGUMENT",
		http.StatusUnauthorized:       "UNAUTHENTICATED",
		http.StatusForbidden:          "PERMISSION_DENIED",
		http.StatusNotFound:           "NOT_FOUND",
		http.StatusTooManyRequests:    "RESOURCE_EXHAUSTED",
		http.StatusServiceUnavailable: "UNAVAILABLE",
		http.StatusGatewayTimeout:     "DEADLINE_EXCEEDED",
	}
)

func encode(v any) []byte {
	// Structs of strings and numbers: encoding cannot fail, and replaces bytes
	// that are not UTF-8.
	b, _ := json.Marshal(v)
	return b
}

func sse(event string, data []byte) []byte {
	var b bytes.Buffer
	if event != "" {
		b.WriteString("event: " + event + "\n")
	}
	b.WriteString("data: ")
	b.Write(data) // JSON: no line breaks
	b.WriteString("\n\n")
	return b.Bytes()
}
