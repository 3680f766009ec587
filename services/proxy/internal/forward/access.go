package forward

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/openclaw-security/bus/services/internal/config"
	"github.com/openclaw-security/bus/services/internal/httpserve"
	"github.com/openclaw-security/bus/services/proxy/internal/llmapi"
)

// minToken is the minimum length of a client token in bytes; a shorter one can be
// guessed.
const minToken = 16

// Access decides who may use the proxy.
type Access struct {
	hosts  *httpserve.Hosts
	tokens []token
}

// token is a client's name and the hash of its token: hashes are of one length,
// so that comparing them reveals nothing of the token's.
type token struct {
	client string
	hash   [sha256.Size]byte
}

// NewAccess returns an Access for requests to one of the host names hosts,
// to localhost, or to any IP address. Tokens are by client name; without any,
// every request that has the right host is admitted.
func NewAccess(hosts []string, tokens map[string]config.Secret) (*Access, error) {
	names, err := httpserve.NewHosts("PROXY_HOSTS", hosts...)
	if err != nil {
		return nil, err
	}
	a := &Access{hosts: names}
	for client, secret := range tokens {
		if client == "" {
			return nil, errors.New("a client token has no name")
		}
		if len(secret.Reveal()) < minToken {
			return nil, fmt.Errorf("the token of client %.50q has fewer than %d bytes", client, minToken)
		}
		a.tokens = append(a.tokens, token{client, sha256.Sum256([]byte(secret.Reveal()))})
	}
	return a, nil
}

// Check returns the name of the client whose token r bears (empty where no
// tokens are configured), or the error to answer with. The token may stand in
// every place in which a provider's client puts its key.
//
// A request that a browser sends on behalf of a page is refused, no matter which
// page.
func (a *Access) Check(r *http.Request) (client string, refusal *llmapi.Error) {
	if !a.hosts.Allow(r.Host) {
		return "", &llmapi.Error{Status: http.StatusForbidden, Message: "this proxy does not answer to that host name"}
	}
	if fromPage(r.Header) {
		return "", &llmapi.Error{Status: http.StatusForbidden, Message: "this proxy does not serve web pages"}
	}
	if len(a.tokens) == 0 {
		return "", nil
	}
	client, ok := a.identify(presented(r))
	if !ok {
		return "", &llmapi.Error{Status: http.StatusUnauthorized, Message: "this proxy needs a client token in place of the API key"}
	}
	return client, nil
}

// identify compares every candidate with every token, so that the time it takes
// does not depend on which one is right.
func (a *Access) identify(candidates []string) (client string, ok bool) {
	for _, candidate := range candidates {
		hash := sha256.Sum256([]byte(candidate))
		for _, t := range a.tokens {
			if subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1 {
				client, ok = t.client, true
			}
		}
	}
	return client, ok
}

// Hosts are the names under which clients reach the proxy.
func (a *Access) Hosts() *httpserve.Hosts { return a.hosts }

// fromPage reports whether a browser sent the request for a page. A request that
// the user made directly has the site "none"; clients that are not browsers send
// neither header.
func fromPage(h http.Header) bool {
	if _, ok := h["Origin"]; ok {
		return true
	}
	site := h.Get("Sec-Fetch-Site")
	return site != "" && site != "none"
}

// presented returns the values that stand where a key would.
func presented(r *http.Request) []string {
	var values []string
	for _, value := range r.Header["Authorization"] {
		if scheme, bearer, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "Bearer") {
			values = append(values, strings.TrimSpace(bearer))
		}
	}
	for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key", "Api-Key"} {
		values = append(values, r.Header[name]...)
	}
	if r.URL.RawQuery != "" {
		if query, err := url.ParseQuery(r.URL.RawQuery); err == nil {
			values = append(values, query["key"]...)
		}
	}
	return values
}
