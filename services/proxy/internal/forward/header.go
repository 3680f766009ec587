package forward

import (
	"net/http"
	"strings"
)

// requestHeader returns what goes upstream of a caller's header: an allowlist,
// because the names under which some provider or gateway takes a credential
// cannot be listed, and because what a caller says about addresses and routing
// (Forwarded, X-Forwarded-*, Via) is none of the provider's business. A header
// that Connection names is meant for this hop only.
func requestHeader(in http.Header) http.Header {
	out := make(http.Header, 16)
	for name, values := range in {
		if passesUpstream(name) && !namedByConnection(in, name) {
			out[name] = values
		}
	}
	// The answer must be read as it passes. A caller's own wish would bind the
	// proxy to whatever encoding it can take.
	out["Accept-Encoding"] = []string{"identity"}
	if _, ok := out["User-Agent"]; !ok {
		out["User-Agent"] = []string{""} // else the transport sends its own
	}
	return out
}

// passesUpstream reports whether a request header, by its canonical name, is
// one that providers read and that neither authenticates nor chooses who pays.
func passesUpstream(name string) bool {
	switch name {
	case "Accept", "Content-Type", "User-Agent", "Idempotency-Key",
		"X-App",                   // Anthropic's own clients name themselves by it
		"X-Client-Request-Id",     // OpenAI's correlation id
		"X-Goog-Api-Client",       // the version of Google's client
		"Http-Referer", "X-Title": // OpenRouter's names for the application
		return true
	}
	family, ok := headerFamily(name)
	if !ok {
		return false
	}
	for _, word := range []string{"Key", "Token", "Auth", "Secret", "Cookie", "Organization", "Project", "Workspace"} {
		if strings.Contains(family, word) {
			return false
		}
	}
	return true
}

// headerFamily returns the rest of a name that begins as one of the providers'
// own do: versions and betas, which grow with the APIs.
func headerFamily(name string) (rest string, ok bool) {
	for _, prefix := range []string{"Anthropic-", "Openai-", "X-Stainless-"} {
		if rest, ok = strings.CutPrefix(name, prefix); ok {
			return rest, true
		}
	}
	return "", false
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
