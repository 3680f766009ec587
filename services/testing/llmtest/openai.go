package llmtest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

type openAI struct{}

var _ provider = openAI{}

func (openAI) authenticate(r *http.Request, key string) (string, *fault) {
	presented := bearer(r)
	switch {
	case presented == "":
		return "", &fault{status: http.StatusUnauthorized, message: "There is no API key in the request. It belongs in the Authorization header, as a bearer."}
	case !equal(presented, key):
		return presented, &fault{status: http.StatusUnauthorized, message: "Incorrect API key provided: " + masked(presented) + ".", code: "invalid_api_key"}
	}
	return presented, nil
}

// masked shows as much of a key as OpenAI's errors do.
func masked(key string) string {
	if len(key) < 16 {
		return "********"
	}
	return key[:8] + "********" + key[len(key)-4:]
}

// header sets what https://platform.openai.com/docs/api-reference/debugging-requests
// lists, and what the network in front adds.
func (openAI) header(h http.Header, x *exchange) {
	for name, value := range map[string]string{
		"X-Request-Id":                   x.requestID,
		"Openai-Organization":            "fake-organization",
		"Openai-Processing-Ms":           "12",
		"Openai-Version":                 "2020-10-01",
		"X-Ratelimit-Limit-Requests":     "10000",
		"X-Ratelimit-Limit-Tokens":       "2000000",
		"X-Ratelimit-Remaining-Requests": "9999",
		"X-Ratelimit-Remaining-Tokens":   "1999000",
		"X-Ratelimit-Reset-Requests":     "6ms",
		"X-Ratelimit-Reset-Tokens":       "30ms",
		"Server":                         "cloudflare",
		"Set-Cookie":                     "__cf_bm=fake; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
		"Alt-Svc":                        `h3=":443"; ma=86400`,
	} {
		h.Set(name, value)
	}
}

func (openAI) requestID(serial int64) string { return fmt.Sprintf("req_%032x", serial) }
func (openAI) contentType() string           { return "application/json" }
func (openAI) modelsPath() string            { return "/v1/models" }

func (openAI) knows(model string) bool {
	return hasPrefix(model, "gpt-", "o1", "o3", "o4", "text-embedding-")
}

// errorBody has the shape of https://platform.openai.com/docs/guides/error-codes.
func (openAI) errorBody(f *fault, _ string) []byte {
	return fmt.Appendf(nil, `{"error":{"message":%s,"type":%q,"param":null,"code":%s}}`, quote(f.message), openAIError(f.status), openAICode(f))
}

// openAICode is the code of an error as JSON.
func openAICode(f *fault) string {
	code := f.code
	if code == "" && f.status == http.StatusTooManyRequests {
		code = "rate_limit_exceeded"
	}
	if code == "" {
		return "null"
	}
	return quote(code)
}

// openAIError is the type of error that comes with a status.
func openAIError(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "requests"
	case status >= http.StatusInternalServerError:
		return "server_error"
	}
	return "invalid_request_error"
}

func (o openAI) modelList() []byte {
	return fmt.Appendf(nil, `{"object":"list","data":[%s,%s,%s]}`, o.model("gpt-4.1"), o.model("gpt-5"), o.model("text-embedding-3-small"))
}

func (openAI) model(name string) []byte {
	return fmt.Appendf(nil, `{"id":%s,"object":"model","created":1758000000,"owned_by":"openai"}`, quote(name))
}

// missing refuses a request that lacks something.
func missing(message string) *fault { return &fault{status: http.StatusBadRequest, message: message} }

// text is a JSON string's value, empty if it is none.
func text(value []byte) string {
	var s string
	_ = json.Unmarshal(value, &s)
	return s
}
