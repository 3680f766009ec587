package forward

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// Route is what an allowlisted method and path mean.
type Route struct {
	Provider llmapi.Provider
	API      llmapi.API
	Model    string // where the path names it (Gemini, and the description of one model); else empty
	Stream   bool   // the path itself asks for a stream (Gemini's streamGenerateContent)

	WebSocket bool // it is for Tunnel, not for Forward

	method, path, query string // as they go upstream
}

// Table knows the routes of the configured providers.
type Table struct {
	providers []llmapi.Provider
	patterns  []pattern
}

// pattern is a method and a path with at most one hole, which stands for one
// path segment or a part of it.
type pattern struct {
	method         string
	prefix, suffix string
	hole           bool
	route          Route
}

// builtin lists what an agent needs. Endpoints that hand out answers which were
// given at another time (batches, stored responses) or that take files are not
// among them, because what they carry cannot be inspected here.
var builtin = []struct {
	pattern string
	route   Route
}{
	{"POST /v1/messages", Route{Provider: llmapi.Anthropic, API: llmapi.Messages}},
	{"POST /v1/messages/count_tokens", Route{Provider: llmapi.Anthropic, API: llmapi.CountTokens}},
	{"GET /v1/models", Route{Provider: llmapi.Anthropic}},
	{"GET /v1/models/{model}", Route{Provider: llmapi.Anthropic}},

	{"POST /v1/chat/completions", Route{Provider: llmapi.OpenAI, API: llmapi.ChatCompletions}},
	{"POST /v1/responses", Route{Provider: llmapi.OpenAI, API: llmapi.Responses}},
	{"POST /v1/embeddings", Route{Provider: llmapi.OpenAI, API: llmapi.Embeddings}},
	{"GET /v1/models", Route{Provider: llmapi.OpenAI}},
	{"GET /v1/models/{model}", Route{Provider: llmapi.OpenAI}},

	{"POST /v1beta/models/{model}:generateContent", Route{Provider: llmapi.Gemini, API: llmapi.GenerateContent}},
	{"POST /v1beta/models/{model}:streamGenerateContent", Route{Provider: llmapi.Gemini, API: llmapi.GenerateContent, Stream: true}},
	// Its body is the same, or has the same in a field, so that it is inspected.
	{"POST /v1beta/models/{model}:countTokens", Route{Provider: llmapi.Gemini, API: llmapi.GenerateContent}},
	{"GET /v1beta/models", Route{Provider: llmapi.Gemini}},
	{"GET /v1beta/models/{model}", Route{Provider: llmapi.Gemini}},
}

// NewTable returns the routes of providers, of which the first is the default:
// it gets what could belong to several. Each extra route is of the form
// "METHOD /path", where one {name} may stand for a path segment; it goes to the
// provider that its request looks like, as [llmapi.None], which means that its
// bodies are not understood.
func NewTable(providers []llmapi.Provider, extra []string) (*Table, error) {
	if len(providers) == 0 {
		return nil, errors.New("no provider")
	}
	t := &Table{providers: providers}
	for _, provider := range providers {
		for _, b := range builtin {
			if b.route.Provider != provider {
				continue
			}
			if err := t.add(b.pattern, b.route); err != nil {
				return nil, err
			}
		}
		for _, text := range extra {
			if err := t.add(text, Route{Provider: provider}); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (t *Table) add(text string, route Route) error {
	p, err := parsePattern(text)
	if err != nil {
		return fmt.Errorf("route %.100q: %w", text, err)
	}
	p.route = route
	t.patterns = append(t.patterns, p)
	return nil
}

// Match finds the route of a request by its method and its raw target. Without
// one it returns the error to answer with, and a Route that has nothing but the
// Provider in whose form the caller will expect it.
//
// Nothing of the caller's target is interpreted: a path with an escape, a dot
// segment, an empty segment or any byte that the routes do not need is refused,
// because two servers may read it differently. Of the query, credentials are
// left out, since the caller's are none of the provider's business, and
// parameters that no route needs are refused, since leaving them out would
// change what was asked.
func (t *Table) Match(r *http.Request) (Route, *llmapi.Error) {
	likely := t.likely(r)
	refuse := func(status int, format string, args ...any) (Route, *llmapi.Error) {
		return Route{Provider: likely}, &llmapi.Error{Status: status, Message: fmt.Sprintf(format, args...)}
	}
	path, query, err := parseTarget(r.RequestURI)
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	route, found := t.find(r.Method, path, likely)
	switch {
	case found && route.WebSocket && !isWebSocket(r.Header):
		return refuse(http.StatusUpgradeRequired, "%s is served over WebSocket", path)
	case switchesProtocol(r.Header) && !route.WebSocket:
		return refuse(http.StatusNotImplemented, "this proxy serves no WebSocket or other upgrade here; use HTTP")
	}
	if !found {
		return refuse(http.StatusNotFound, "%.10q %s is not a route of this proxy", r.Method, path)
	}
	likely = route.Provider
	if route.query, err = cleanQuery(query); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	if r.Method == http.MethodGet && r.ContentLength != 0 {
		return refuse(http.StatusBadRequest, "a GET request has no body")
	}
	if route.API != llmapi.None && !isJSON(r.Header) {
		return refuse(http.StatusUnsupportedMediaType, "the Content-Type must be application/json")
	}
	route.method, route.path = r.Method, path
	return route, nil
}

// likely is the provider whose client seems to have sent r: its own if it names
// one that is configured, else the default.
func (t *Table) likely(r *http.Request) llmapi.Provider {
	var named llmapi.Provider
	switch {
	case r.Header.Get("Anthropic-Version") != "":
		named = llmapi.Anthropic
	case strings.HasPrefix(r.RequestURI, "/v1beta/"):
		named = llmapi.Gemini
	}
	if slices.Contains(t.providers, named) {
		return named
	}
	return t.providers[0]
}

// find returns the route of method and path, of several the likely provider's
// or else the one that is configured first.
func (t *Table) find(method, path string, likely llmapi.Provider) (route Route, found bool) {
	for _, p := range t.patterns {
		model, ok := p.match(method, path)
		if !ok || found && p.route.Provider != likely {
			continue
		}
		route, found = p.route, true
		route.Model = model
		if route.Provider == likely {
			break
		}
	}
	return route, found
}

func parsePattern(text string) (pattern, error) {
	method, path, ok := strings.Cut(text, " ")
	if !ok || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return pattern{}, errors.New("not of the form METHOD /path")
	}
	p := pattern{method: method, prefix: path}
	if before, rest, ok := strings.Cut(path, "{"); ok {
		_, after, closed := strings.Cut(rest, "}")
		if !closed || strings.ContainsAny(after, "{}") {
			return pattern{}, errors.New("more than one {name}, or one that is not closed")
		}
		p.prefix, p.suffix, p.hole = before, after, true
	}
	if err := checkPath(p.prefix + "x" + p.suffix); err != nil {
		return pattern{}, err
	}
	return p, nil
}

// match returns what path has in the pattern's hole.
func (p pattern) match(method, path string) (hole string, ok bool) {
	switch {
	case method != p.method:
		return "", false
	case !p.hole:
		return "", path == p.prefix
	}
	rest, ok := strings.CutPrefix(path, p.prefix)
	if !ok {
		return "", false
	}
	if hole, ok = strings.CutSuffix(rest, p.suffix); !ok || hole == "" || strings.Contains(hole, "/") {
		return "", false
	}
	// A second verb would be read differently by whoever looks for the first.
	return hole, p.suffix == "" || !strings.Contains(hole, ":")
}

// switchesProtocol reports whether a request asks for another protocol. An
// offer of h2c is not counted: some clients make it on every connection, expect
// it to be ignored, and it is never forwarded.
func switchesProtocol(h http.Header) bool {
	for _, value := range h["Upgrade"] {
		if !strings.EqualFold(strings.TrimSpace(value), "h2c") {
			return true
		}
	}
	return false
}

// isJSON reports whether a body is declared as JSON in UTF-8. In another
// charset its meaning would not be what an inspection of the bytes finds.
func isJSON(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) != 1 {
		return false
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil || media != "application/json" {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8")
}
