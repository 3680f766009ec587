package forward

import (
	"net/http"
	"slices"
	"strings"

	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// requestHeader returns what goes upstream of a caller's header: an allowlist,
// because the names under which some provider or gateway takes a credential
// cannot be listed, and because what a caller says about addresses and routing
// (Forwarded, X-Forwarded-*, Via) does not concern the provider. A header
// that Connection names is meant for this hop only.
func requestHeader(in http.Header) http.Header {
	out := make(http.Header, 16)
	for name, values := range in {
		if passesUpstream(name) && !namedByConnection(in, name) {
			out[name] = values
		}
	}
	// The answer must be read as it passes. A caller's own wish would bind the
	// proxy to an encoding that only the caller can read.
	out["Accept-Encoding"] = []string{"identity"}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = []string{""} // else the transport sends its own
	}
	return out
}

// passing are the request headers, by their canonical names, that providers read and that
// neither authenticate nor choose who pays.
var passing = []string{
	"Accept", "Content-Type", "User-Agent", "Idempotency-Key",
	"X-App",                 // Anthropic's own clients name themselves by it
	"X-Anthropic-Beta",      // a second place for betas, in which gateways take them
	"X-Client-Request-Id",   // OpenAI's correlation id
	"X-Goog-Api-Client",     // the version of Google's client
	"Originator", "Version", // OpenAI's coding agents name themselves by them
	"Http-Referer", "X-Title", // OpenRouter's names for the application
	"Traceparent", // W3C Trace Context
}

// passingFamilies begin the names of the providers' own headers: versions and betas, which
// grow with the APIs. The credentialWords in the rest of a name mark those that do not pass.
var (
	passingFamilies = []string{"Anthropic-", "Openai-", "X-Stainless-", "X-Goog-Upload-"}
	credentialWords = []string{"Key", "Token", "Auth", "Secret", "Cookie", "Organization", "Project", "Workspace"}
)

// passesUpstream reports whether a request header, by its canonical name, goes on.
func passesUpstream(name string) bool {
	if slices.Contains(passing, name) || slices.Contains(sessionHeaders, name) {
		return true
	}
	for _, family := range passingFamilies {
		if rest, ok := strings.CutPrefix(name, family); ok {
			return !slices.ContainsFunc(credentialWords, func(word string) bool { return strings.Contains(rest, word) })
		}
	}
	return false
}

// sessionHeaders name the session that a request belongs to, by their canonical names.
// Providers keep the cache of a prompt where the session's last request was, so that
// without them each request can pay for the whole prompt again.
//
// Sources: https://docs.x.ai/docs/advanced-api-usage/prompt-caching (x-grok-conv-id),
// https://github.com/openai/codex (session_id, conversation_id),
// https://github.com/openclaw/openclaw/issues/100232 (the others).
var sessionHeaders = []string{
	"Session_id", "X-Session-Affinity", "X-Session-Id", "X-Grok-Conv-Id",
	"Session-Id", "Conversation_id", "Conversation-Id", "X-Conversation-Id",
}

// Session is what a caller's header calls the session that the request belongs to,
// empty if it names none.
func Session(h http.Header) string {
	for _, name := range sessionHeaders {
		if value := strings.TrimSpace(h.Get(name)); value != "" {
			return value
		}
	}
	return ""
}

// Trace is the trace and the span that the request belongs to by its traceparent
// header, empty without a valid one (https://www.w3.org/TR/trace-context/#traceparent-header).
func Trace(h http.Header) (trace, span string) {
	values := h["Traceparent"]
	if len(values) != 1 {
		return "", ""
	}
	parts := strings.Split(values[0], "-")
	isID := func(s string, length int) bool {
		return len(s) == length && strings.Trim(s, "0123456789abcdef") == ""
	}
	switch {
	case len(parts) < 4 || len(parts) > 4 && parts[0] == "00", // later versions may add parts
		!isID(parts[0], 2) || parts[0] == "ff",
		!isID(parts[1], 32) || strings.Trim(parts[1], "0") == "",
		!isID(parts[2], 16) || strings.Trim(parts[2], "0") == "",
		!isID(parts[3], 2):
		return "", ""
	}
	return parts[1], parts[2]
}

// responseHeader changes an answer's header into what the client may see. It is
// a denylist: compatible servers name their rate limits and request ids as they
// like, clients need them, and the server is one that the operator has chosen.
func responseHeader(h http.Header) {
	for name := range h {
		if staysHere(name) || namedByConnection(h, name) {
			delete(h, name)
		}
	}
	delete(h, "Connection")
	// The body may change on its way (a call refused, a key redacted).
	delete(h, "Content-Length")
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // else the server guesses one
	}
}

// staysHere reports whether a response header is meant for this hop or for this
// host, or would act on a browser.
func staysHere(name string) bool {
	switch name {
	case "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Set-Cookie", "Alt-Svc", "Location", "Content-Location", "Refresh",
		"Strict-Transport-Security", "Clear-Site-Data", "Service-Worker-Allowed",
		"Nel", "Report-To", "Reporting-Endpoints":
		return true
	}
	return strings.HasPrefix(name, "Access-Control-")
}

// namedByConnection reports whether the Connection header of h lists name.
func namedByConnection(h http.Header, name string) bool {
	for _, value := range h["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(option), name) {
				return true
			}
		}
	}
	return false
}

// oauthPrefix begins the tokens that a Claude subscription gives out. They are
// taken as a bearer token only, and with oauthBeta among the betas only; as an
// API key they are answered with 401.
const (
	oauthPrefix = "sk-ant-oat"
	oauthBeta   = "oauth-2025-04-20"
)

// authenticate puts the key into a request header as the provider wants it. The
// header must have come from requestHeader, so that there is no other.
func (u *Upstream) authenticate(h http.Header) {
	switch provider, key := u.provider, u.key.Reveal(); {
	case key == "":
	case u.azure:
		h["Api-Key"] = []string{key}
	case provider == llmapi.Anthropic && strings.HasPrefix(key, oauthPrefix):
		h["Authorization"] = []string{"Bearer " + key}
		addBeta(h, oauthBeta)
	case provider == llmapi.Anthropic:
		h["X-Api-Key"] = []string{key}
	case provider == llmapi.Gemini:
		// Google also takes the key in the query, where it would end up in logs.
		h["X-Goog-Api-Key"] = []string{key}
	default:
		h["Authorization"] = []string{"Bearer " + key}
	}
}

// addBeta adds a beta to the caller's own, which stay as they are. The values
// belong to the incoming request and are not written to.
func addBeta(h http.Header, beta string) {
	const name = "Anthropic-Beta"
	for _, value := range h[name] {
		for one := range strings.SplitSeq(value, ",") {
			if strings.TrimSpace(one) == beta {
				return
			}
		}
	}
	h[name] = append(append([]string(nil), h[name]...), beta)
}
