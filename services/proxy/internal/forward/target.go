package forward

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxTarget bounds a request target in bytes. The longest that a client of the
// listed routes sends, with a model's name and a page token, is well below.
const maxTarget = 4 << 10

// parseTarget splits a request's raw target into path and query. The path comes
// back as it stands, but with one slash at its beginning, and is made of harmless
// bytes only.
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
	// Of a base URL that ends in a slash, clients make //v1/…. One slash goes upstream.
	path = "/" + strings.TrimLeft(path, "/")
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
// shown to the caller: it has no value in it. Of known, the parameters that may be used,
// those that end in [] may come several times and also without the brackets. media says that
// alt=media asks for a file's content, which is read like any.
func cleanQuery(raw string, known []string, media bool) (string, error) {
	if raw == "" {
		return "", nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", errors.New("the query is malformed")
	}
	forms := 0
	for name, all := range values {
		if isCredentialParameter(name) {
			delete(values, name)
			continue
		}
		list := slices.Contains(known, strings.TrimSuffix(name, "[]")+"[]")
		if !list && !slices.Contains(known, name) {
			return "", fmt.Errorf("the query parameter %.50q is not one that this proxy passes on here", name)
		}
		if len(all) > 1 && !list {
			return "", fmt.Errorf("the query has %s more than once", name)
		}
		if name == "alt" || name == "$alt" {
			if forms++; forms > 1 || !isReadable(all[0]) && !(media && all[0] == "media") {
				return "", errors.New("the query parameter alt must be sse or json, and come once")
			}
		}
	}
	return values.Encode(), nil
}

// isReadable reports whether an answer in the form that Google's parameter alt asks for
// can be read here, unlike alt=proto or alt=media.
func isReadable(alt string) bool {
	form, option, _ := strings.Cut(alt, ";")
	return (form == "json" || form == "sse") && (option == "" || option == "enum-encoding=int" || option == "enum-encoding=string")
}

// allParameters are the query parameters of all routes together.
func allParameters() []string {
	all := []string{azureParameter}
	for provider, rows := range builtin {
		all = append(all, always[provider]...)
		for _, r := range rows {
			if _, query, ok := strings.Cut(r.text, "?"); ok {
				all = append(all, strings.Split(query, "&")...)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func isCredentialParameter(name string) bool {
	switch strings.ToLower(strings.ReplaceAll(name, "-", "_")) {
	case "key", "api_key", "apikey", "x_api_key", "x_goog_api_key", "token", "access_token", "auth_token", "oauth_token", "authorization":
		return true
	}
	return false
}
