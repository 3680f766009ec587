package forward

import (
	"cmp"
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
	Upstream string // the Service's name; empty for that of the Provider itself
	Provider llmapi.Provider
	API      llmapi.API
	Model    string // where the path names it (Gemini, and the description of one model); else empty
	Stream   bool   // the path itself asks for a stream (Gemini's streamGenerateContent)
	Body     Body   // of the request

	WebSocket bool // it is for Tunnel, not for Forward

	method, path, query string // as they go upstream
}

// Body is how the body of a request is taken.
type Body uint8

// The ways. JSON is inspected, and so is OptionalJSON, which can be missing; Opaque is of
// an API that is not known; File is a file, or a form with files, and is read as it passes.
const (
	NoBody Body = iota
	JSON
	OptionalJSON
	Opaque
	File
)

// Service is where requests can go to.
type Service struct {
	// Name is what clients choose it by, with paths that begin with /up/NAME. It is
	// empty for the provider's one service that has the paths of its API.
	Name     string
	Provider llmapi.Provider
	Azure    bool // it is Azure OpenAI
}

// Table knows the routes of the configured services.
type Table struct {
	services  []Service
	providers []llmapi.Provider // of the services without a name
	patterns  []pattern
}

// pattern is a method, a path and the query parameters that are known there.
type pattern struct {
	method   string
	segments []segment
	query    []string
	foreign  bool // see row
	route    Route
}

// segment is a part of a path. With a hole, something stands between its prefix and its
// suffix, of which name is the name.
type segment struct {
	prefix, suffix string
	hole           bool
	name           string
}

// NewTable returns the routes of services, of which the first has no name and is the
// default: it gets what could belong to several. Each extra route is of the form
// "METHOD /path?query", where {name} may stand for a path segment or a part of one, and
// the query names the parameters that may be used, such as ?after&limit; without it, they
// are those of all routes together. Its bodies are [Opaque]. It goes to the
// provider that its path is of or that its request looks like, or to the provider or named
// service that a word before the method names.
func NewTable(services []Service, extra []string) (*Table, error) {
	t := &Table{services: services}
	for _, s := range services {
		if s.Name == "" {
			t.providers = append(t.providers, s.Provider)
		}
		for _, r := range rowsOf(s) {
			if err := t.add(s, r); err != nil {
				return nil, err
			}
		}
	}
	if len(t.providers) == 0 {
		return nil, errors.New("no provider")
	}
	for _, text := range extra {
		if err := t.addExtra(text); err != nil {
			return nil, fmt.Errorf("route %.100q: %w", text, err)
		}
	}
	return t, nil
}

func (t *Table) add(s Service, r row) error {
	p, err := parsePattern(r.text)
	if err != nil {
		return fmt.Errorf("route %.100q: %w", r.text, err)
	}
	p.query = append(p.query, always[s.Provider]...)
	if s.Azure {
		p.query = append(p.query, azureParameter)
	}
	p.foreign = r.foreign
	p.route = r.route
	p.route.Upstream, p.route.Provider = s.Name, s.Provider
	t.patterns = append(t.patterns, p)
	return nil
}

// addExtra adds a route that an operator has named.
func (t *Table) addExtra(text string) error {
	named, rest, ok := strings.Cut(text, " ")
	service, isService := t.service(named)
	if !ok || !isService {
		named, rest = "", text
	}
	p, err := parsePattern(rest)
	if err != nil {
		return err
	}
	if len(p.query) == 0 {
		p.query = allParameters()
	}
	if p.method != http.MethodGet && p.method != http.MethodHead && p.method != http.MethodDelete {
		p.route.Body = Opaque
	}
	if service.Name != "" && named != "" {
		p.route.Upstream, p.route.Provider = service.Name, service.Provider
		t.patterns = append(t.patterns, p)
		return nil
	}
	before := len(t.patterns)
	for _, provider := range t.providers {
		if named != "" && named != string(provider) || named == "" && !mayOwn(provider, p) {
			continue
		}
		p.route.Provider = provider
		p.foreign = named == "" && len(t.providers) > 1
		t.patterns = append(t.patterns, p)
	}
	if len(t.patterns) == before {
		return errors.New("it belongs to a provider that is not configured; the name of another before the method sends it there")
	}
	return nil
}

// service is the one that an operator calls name: by its own name, or by its provider.
func (t *Table) service(name string) (Service, bool) {
	for _, s := range t.services {
		if s.Name == name || s.Name == "" && string(s.Provider) == name {
			return s, name != ""
		}
	}
	return Service{}, false
}

// mayOwn reports whether a path can be provider's: a path that is in the table belongs
// to those that have it there.
func mayOwn(provider llmapi.Provider, p pattern) bool {
	owned := false
	for _, known := range []llmapi.Provider{llmapi.Anthropic, llmapi.OpenAI, llmapi.Gemini} {
		for _, r := range rowsOf(Service{Provider: known}) {
			if other, err := parsePattern(r.text); err == nil && other.method == p.method && slices.EqualFunc(other.segments, p.segments, sameSegment) {
				if known == provider {
					return true
				}
				owned = true
			}
		}
	}
	return !owned
}

func sameSegment(a, b segment) bool {
	return a.prefix == b.prefix && a.suffix == b.suffix && a.hole == b.hole
}

// Match finds the route of a request by its method and its raw target. Without
// one it returns the error to answer with, and a Route that has nothing but the
// Provider in whose form the caller will expect it.
//
// Nothing of the caller's target is interpreted: a path with an escape, a dot
// segment, an empty segment or any byte that the routes do not need is refused,
// because two servers may read it differently. Of the query, credentials are
// left out, since the caller's do not concern the provider, and
// parameters that no route needs are refused, since leaving them out would
// change what was asked.
func (t *Table) Match(r *http.Request) (Route, *llmapi.Error) {
	likely := t.likely(r)
	var upstream string
	refuse := func(status int, format string, args ...any) (Route, *llmapi.Error) {
		return Route{Provider: likely}, &llmapi.Error{Status: status, Message: fmt.Sprintf(format, args...)}
	}
	path, query, err := parseTarget(r.RequestURI)
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	asked := path
	if name, rest, ok := cutService(path); ok {
		s, known := t.service(name)
		if !known || s.Name == "" {
			return refuse(http.StatusNotFound, "%.50q is not a server of this proxy (LLM_UPSTREAMS)", name)
		}
		upstream, path, likely = s.Name, rest, s.Provider
	}
	var route Route
	found, model := t.find(r, path, upstream, likely)
	if found != nil {
		route = found.route
		route.Model = model
	}
	switch {
	case route.WebSocket && !isWebSocket(r.Header):
		return refuse(http.StatusUpgradeRequired, "%s is served over WebSocket", asked)
	case switchesProtocol(r.Header) && !route.WebSocket:
		return refuse(http.StatusNotImplemented, "this proxy serves no WebSocket or other upgrade here; use HTTP")
	}
	if found == nil {
		return refuse(http.StatusNotFound, "%.10q %s is not a route of this proxy", r.Method, asked)
	}
	likely = route.Provider
	if route.query, err = cleanQuery(query, found.query, route.API == llmapi.Results); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	if route.Body == File && begins(r.Header) {
		route.Body = OptionalJSON
	}
	if route.Body == NoBody && r.ContentLength != 0 {
		return refuse(http.StatusBadRequest, "this request has no body")
	}
	if (route.Body == JSON || route.Body == OptionalJSON && r.ContentLength != 0) && !isJSON(r.Header) {
		return refuse(http.StatusUnsupportedMediaType, "the Content-Type must be application/json")
	}
	if route.Body == File && route.Provider != llmapi.Gemini && !isForm(r.Header) {
		return refuse(http.StatusUnsupportedMediaType, "the Content-Type must be multipart/form-data")
	}
	route.method, route.path = r.Method, path
	return route, nil
}

// likely is the provider whose client seems to have sent r: its own if it names
// one that is configured, else the default.
func (t *Table) likely(r *http.Request) llmapi.Provider {
	if named := claimed(r); slices.Contains(t.providers, named) {
		return named
	}
	return t.providers[0]
}

// claimed is the provider that r names, empty if it names none.
func claimed(r *http.Request) llmapi.Provider {
	path := "/" + strings.TrimLeft(r.RequestURI, "/")
	switch {
	case r.Header.Get("Anthropic-Version") != "":
		return llmapi.Anthropic
	case strings.HasPrefix(path, "/v1beta/"), strings.HasPrefix(path, "/v1alpha/"), strings.HasPrefix(path, "/upload/"):
		return llmapi.Gemini
	}
	return ""
}

// servicePrefix begins the paths of services with a name.
const servicePrefix = "/up/"

// cutService splits /up/NAME/PATH.
func cutService(path string) (name, rest string, ok bool) {
	path, ok = strings.CutPrefix(path, servicePrefix)
	if !ok {
		return "", "", false
	}
	name, rest, _ = strings.Cut(path, "/")
	return name, "/" + rest, true
}

// find returns the pattern of a request for path at a service, of several the likely
// provider's or else the one that is configured first.
func (t *Table) find(r *http.Request, path, upstream string, likely llmapi.Provider) (found *pattern, model string) {
	segments := strings.Split(path[1:], "/")
	claim := cmp.Or(claimed(r), llmapi.OpenAI)
	for i := range t.patterns {
		p := &t.patterns[i]
		switch {
		case p.route.Upstream != upstream, found != nil && p.route.Provider != likely:
			continue
		case upstream == "" && p.foreign && p.route.Provider != claim:
			continue
		}
		hole, ok := p.match(r.Method, segments)
		if !ok {
			continue
		}
		if found, model = p, hole; p.route.Provider == likely {
			break
		}
	}
	return found, model
}

func parsePattern(text string) (pattern, error) {
	method, path, ok := strings.Cut(text, " ")
	if !ok || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return pattern{}, errors.New("not of the form METHOD /path")
	}
	p := pattern{method: method}
	path, query, hasQuery := strings.Cut(path, "?")
	if hasQuery {
		p.query = strings.Split(query, "&")
		if slices.ContainsFunc(p.query, func(name string) bool {
			return name == "" || strings.ContainsAny(name, "= ") || isCredentialParameter(name)
		}) {
			return pattern{}, errors.New("the query is not of the form ?name&name")
		}
	}
	if err := checkPath(strings.NewReplacer("{", "", "}", "").Replace(path)); err != nil {
		return pattern{}, err
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		s := segment{prefix: part}
		if before, rest, ok := strings.Cut(part, "{"); ok {
			name, after, closed := strings.Cut(rest, "}")
			if !closed || name == "" || strings.ContainsAny(name+after, "{}") {
				return pattern{}, errors.New("a {name} is not closed, has no name, or is not the only one between two slashes")
			}
			s = segment{prefix: before, suffix: after, hole: true, name: name}
		} else if strings.Contains(part, "}") {
			return pattern{}, errors.New("a } without a {")
		}
		p.segments = append(p.segments, s)
	}
	return p, nil
}

// match returns what a path has in the pattern's {model}.
func (p *pattern) match(method string, path []string) (model string, ok bool) {
	if method != p.method || len(path) != len(p.segments) {
		return "", false
	}
	for i, s := range p.segments {
		if !s.hole {
			if path[i] != s.prefix {
				return "", false
			}
			continue
		}
		rest, begins := strings.CutPrefix(path[i], s.prefix)
		hole, ends := strings.CutSuffix(rest, s.suffix)
		// A server that looks for the first verb would read a second differently.
		if !begins || !ends || hole == "" || strings.Contains(hole, ":") && (s.suffix != "" || i < len(path)-1) {
			return "", false
		}
		if s.name == "model" {
			model = hole
		}
	}
	return model, true
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

// begins reports whether a request announces a file to Gemini, and has JSON about it.
func begins(h http.Header) bool {
	return strings.EqualFold(strings.TrimSpace(h.Get("X-Goog-Upload-Command")), "start")
}

// isForm reports whether a body is declared as a form.
func isForm(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) != 1 {
		return false
	}
	media, _, err := mime.ParseMediaType(values[0])
	return err == nil && media == "multipart/form-data"
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
