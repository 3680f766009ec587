package llmtest

import (
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
)

// A provider is a vendor: how it knows its customers and what its answers have
// in common.
type provider interface {
	// authenticate returns the key that was presented, and why it is refused.
	authenticate(r *http.Request, key string) (presented string, refusal *fault)
	// header sets the headers that every answer has.
	header(h http.Header, x *exchange)
	requestID(serial int64) string
	contentType() string // of JSON
	// errorBody is an error as the whole answer.
	errorBody(f *fault, requestID string) []byte
	// knows says whether there is a model of that name.
	knows(model string) bool
	// modelsPath is where the list of models stands.
	modelsPath() string
	// modelList is that list, and model one entry of it.
	modelList() []byte
	model(name string) []byte
}

// fault is why a request is not answered by a model.
type fault struct {
	status  int
	message string
	code    string // OpenAI's and Gemini's word for it, where they have one
}

// providerOf is whose API a request is for. Anthropic and OpenAI share the list
// of models and are told apart by how each is asked.
func providerOf(r *http.Request) provider {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/v1beta/"):
		return gemini{}
	case strings.HasPrefix(path, "/v1/messages"):
		return anthropic{}
	case strings.HasPrefix(path, "/v1/chat/"), strings.HasPrefix(path, "/v1/responses"), strings.HasPrefix(path, "/v1/embeddings"):
		return openAI{}
	case r.Header.Get("Anthropic-Version") != "" || r.Header.Get("X-Api-Key") != "":
		return anthropic{}
	default:
		return openAI{}
	}
}

// refuse answers with an error.
func (x *exchange) refuse(f *fault) {
	h := x.w.Header()
	switch f.status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		h.Set("Retry-After", "1")
		h.Set("X-Should-Retry", "true")
	}
	x.send(f.status, x.provider.errorBody(f, x.requestID))
}

// send answers with JSON.
func (x *exchange) send(status int, body []byte) {
	x.w.Header().Set("Content-Type", x.provider.contentType())
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body)
}

// models answers the list of models, or one of it.
func (x *exchange) models(rest string) {
	name, one := strings.CutPrefix(rest, "/")
	switch {
	case !one && rest != "":
		x.refuse(&fault{status: http.StatusNotFound, message: "There is no " + x.r.URL.Path + "."})
	case !one:
		x.send(http.StatusOK, x.provider.modelList())
	case !x.provider.knows(name):
		x.refuse(unknownModel(name))
	default:
		x.send(http.StatusOK, x.provider.model(name))
	}
}

func unknownModel(name string) *fault {
	return &fault{status: http.StatusNotFound, message: "There is no model " + name + ".", code: "model_not_found"}
}

// midway is what #error-after ends with.
func midway() *fault {
	return &fault{status: http.StatusInternalServerError, message: "The model broke down midway, as the prompt asked."}
}

// echo is an error that gives the key away.
func echo(key string) *fault {
	return &fault{status: http.StatusBadRequest, message: "The key " + key + " is not allowed to do this."}
}

// equal compares keys.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// hasPrefix reports whether name begins with one of the prefixes.
func hasPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// bearer is the token of an Authorization header, empty if there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
