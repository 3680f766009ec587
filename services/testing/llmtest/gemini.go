package llmtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
)

type gemini struct{}

var _ provider = gemini{}

// authenticate refuses as Google does: 403 without a key, 400 with a wrong one.
func (gemini) authenticate(r *http.Request, key string) (string, *fault) {
	presented := r.Header.Get("X-Goog-Api-Key")
	if presented == "" {
		presented = r.URL.Query().Get("key")
	}
	switch {
	case presented == "":
		return "", &fault{status: http.StatusForbidden, message: "Callers without an established identity are not served. Use an API key."}
	case !equal(presented, key):
		return presented, &fault{status: http.StatusBadRequest, message: "API key not valid.", code: "API_KEY_INVALID"}
	}
	return presented, nil
}

func (gemini) header(h http.Header, _ *exchange) {
	h.Set("Server", "scaffolding on HTTPServer2")
	h.Set("Server-Timing", "gfet4t7; dur=12")
	h["Vary"] = []string{"Origin", "X-Origin", "Referer"}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("X-Xss-Protection", "0")
	h.Set("Alt-Svc", `h3=":443"; ma=2592000,h3-29=":443"; ma=2592000`)
}

func (gemini) requestID(serial int64) string { return fmt.Sprintf("Fake%018d", serial) }
func (gemini) contentType() string           { return "application/json; charset=UTF-8" }
func (gemini) modelsPath() string            { return "/v1beta/models" }
func (gemini) knows(model string) bool       { return hasPrefix(model, "gemini-") }

// errorBody has the shape of https://cloud.google.com/apis/design/errors.
func (gemini) errorBody(f *fault, _ string) []byte {
	details := ""
	if f.code == "API_KEY_INVALID" {
		details = `,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}}]`
	}
	return indent(fmt.Sprintf(`{"error":{"code":%d,"message":%s,"status":%q%s}}`, f.status, quote(f.message), geminiStatus(f.status), details))
}

// geminiStatus is the canonical code that comes with a status.
func geminiStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	case http.StatusGatewayTimeout:
		return "DEADLINE_EXCEEDED"
	}
	if status < http.StatusInternalServerError {
		return "INVALID_ARGUMENT"
	}
	return "INTERNAL"
}

func (g gemini) modelList() []byte {
	return indent(fmt.Sprintf(`{"models":[%s,%s]}`, g.model("gemini-2.5-flash"), g.model("gemini-2.5-pro")))
}

func (gemini) model(name string) []byte {
	return indent(fmt.Sprintf(`{"name":%s,"version":"001","displayName":%s,"inputTokenLimit":1048576,"outputTokenLimit":65536,"supportedGenerationMethods":["generateContent","countTokens"]}`,
		quote("models/"+name), quote(name)))
}

// indent sets JSON out as Google's servers do.
func indent(text string) []byte {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return []byte(text)
	}
	return append(b.Bytes(), '\n')
}

// generate is Gemini's way of asking a model; one path streams and one does not.
type generate struct{ streams bool }

var (
	_ format   = generate{}
	_ streamer = generate{}
)

func (g generate) read(body []byte, r *http.Request, p *prompt) *fault {
	n := 0
	for name, value := range members(body) {
		if name == "contents" {
			var newest []byte
			newest, n = last(value)
			p.text = userText(newest, "user")
		}
	}
	if n == 0 {
		return missing("GenerateContentRequest.contents: contents is not specified")
	}
	p.stream, p.array = g.streams, g.streams && r.URL.Query().Get("alt") != "sse"
	return nil
}

func (generate) contentType(a *answer) string {
	if a.array {
		return gemini{}.contentType()
	}
	return "text/event-stream"
}

// errorEvent is one more element of the array, or one more event.
func (generate) errorEvent(x *exchange, a *answer, f *fault, n int) []byte {
	body := bytes.TrimSpace(x.provider.errorBody(f, x.requestID))
	if a.array {
		return append(element(body, n), ']')
	}
	return fmt.Appendf(nil, "data: %s\r\n\r\n", compact(string(body)))
}

// element is the n-th element of the array, from 0.
func element(body []byte, n int) []byte {
	opening := ",\r\n"
	if n == 0 {
		opening = "["
	}
	return append([]byte(opening), body...)
}

func (generate) body(a *answer) []byte {
	var parts []string
	if len(a.pieces) > 0 {
		parts = append(parts, `{"text":`+quote(a.text())+`}`)
	}
	return indent(geminiChunk(a, append(parts, callParts(a)...), true))
}

func callParts(a *answer) []string {
	parts := make([]string, len(a.calls))
	for i, call := range a.calls {
		parts[i] = fmt.Sprintf(`{"functionCall":{"name":%s,"args":%s}}`, quote(call.name), compact(call.arguments))
	}
	return parts
}

// geminiChunk is a response: a part of the answer, or all of it.
func geminiChunk(a *answer, parts []string, final bool) string {
	finish, usage := "", fmt.Sprintf(`"promptTokenCount":%d,"totalTokenCount":%[1]d`, a.usage.input)
	if final {
		finish = `"finishReason":"STOP",`
		usage = fmt.Sprintf(`"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d`, a.usage.input, a.usage.output, a.usage.input+a.usage.output)
	}
	if a.usage.cached > 0 {
		usage += fmt.Sprintf(`,"cachedContentTokenCount":%d`, a.usage.cached)
	}
	return fmt.Sprintf(`{"candidates":[{"content":{"parts":[%s],"role":"model"},%s"index":0}],"usageMetadata":{%s,"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}]},"modelVersion":%s,"responseId":"%s"}`,
		strings.Join(parts, ","), finish, usage, a.usage.input, quote(a.model), gemini{}.requestID(a.serial))
}

// events yields a stream of responses: server-sent events with CR LF line ends
// if the query says alt=sse, else the elements of one JSON array.
func (generate) events(a *answer) iter.Seq[event] {
	return func(yield func(event) bool) {
		n := 0
		chunk := func(paced, final bool, parts ...string) bool {
			text := geminiChunk(a, parts, final)
			if !a.array {
				return yield(event{wire: fmt.Appendf(nil, "data: %s\r\n\r\n", text), paced: paced})
			}
			wire := element(bytes.TrimSpace(indent(text)), n)
			if final {
				wire = append(wire, ']')
			}
			n++
			return yield(event{wire: wire, paced: paced})
		}
		for _, piece := range a.pieces {
			if !chunk(true, false, `{"text":`+quote(piece)+`}`) {
				return
			}
		}
		parts := callParts(a)
		if len(parts) == 0 {
			parts = []string{`{"text":""}`}
		}
		chunk(false, true, parts...)
	}
}

// geminiCount asks what a prompt would cost.
type geminiCount struct{}

var _ format = geminiCount{}

func (geminiCount) read(body []byte, r *http.Request, p *prompt) *fault {
	return generate{}.read(body, r, p)
}

func (geminiCount) body(a *answer) []byte {
	return indent(fmt.Sprintf(`{"totalTokens":%d,"promptTokensDetails":[{"modality":"TEXT","tokenCount":%[1]d}]}`, a.usage.input))
}
