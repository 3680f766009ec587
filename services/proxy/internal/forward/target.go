package forward

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxTarget bounds a request target in bytes. The longest that a client of the
// listed routes sends, with a model's name and a page token, is well below.
const maxTarget = 4 << 10

// parseTarget splits a request's raw target into path and query. The path comes
// back as it stands and is made of harmless bytes only.
func parseTarget(target string) (path, query string, err error) {
	if len(target) > maxTarget {
		return "", "", fmt.Errorf("the request target is longer than %d bytes", maxTarget)
	}
	// The absolute form names a host of the caller's choice, the authority form
	// asks for a tunnel.
	if !strings.HasPrefix(target, "/") {
		return "", "", errors.New("the request target must be a path")
	}
	path, query, _ = strings.Cut(target, "?")
	return path, query, checkPath(path)
}

// checkPath refuses every path that could be read in more than one way. Escapes
// are not needed by any route, so that all are refused: those of slashes and
// dots with the rest.
func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return errors.New("the path must begin with /")
	}
	for i := range len(path) {
		if c := path[i]; c != '/' && c != ':' && c != '@' && !isUnreserved(c) {
			return fmt.Errorf("the path has a %q, which no path of this proxy has", c)
		}
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		switch segment {
		case "":
			return errors.New("the path has an empty segment")
		case ".", "..":
			return errors.New("the path has a dot segment")
		}
	}
	return nil
}

// isUnreserved reports whether RFC 3986, section 2.3, gives c no meaning.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// cleanQuery returns the query that goes upstream, or an error that can be
// shown to the caller: it has no value in it.
func cleanQuery(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", errors.New("the query is malformed")
	}
	for name, all := range values {
		if isCredentialParameter(name) {
			delete(values, name)
			continue
		}
		if !isKnownParameter(name) {
			return "", fmt.Errorf("the query parameter %.50q is not one that this proxy passes on", name)
		}
		if len(all) > 1 {
			return "", fmt.Errorf("the query has %s more than once", name)
		}
		// alt=proto or alt=media would be an answer that nothing here can read.
		if name == "alt" && all[0] != "sse" && all[0] != "json" {
			return "", errors.New("the query parameter alt must be sse or json")
		}
	}
	return values.Encode(), nil
}

// isKnownParameter reports whether a provider's client sends the parameter to
// one of the routes. Google's system parameters (fields, callback, $alt, …) are
// left out on purpose: they change the form of the answer.
func isKnownParameter(name string) bool {
	switch name {
	case "beta", // Anthropic's beta clients
		"model",                          // OpenAI's Realtime API
		"limit", "after_id", "before_id", // Anthropic's lists
		"alt", "pageSize", "pageToken": // Gemini
		return true
	}
	return false
}

func isCredentialParameter(name string) bool {
	switch strings.ToLower(strings.ReplaceAll(name, "-", "_")) {
	case "key", "api_key", "apikey", "x_api_key", "x_goog_api_key", "token", "access_token", "auth_token", "oauth_token", "authorization":
		return true
	}
	return false
}
